/* Gradients against central differences in double. A row is an operator, its attributes, and its inputs:
 *   x2,3  wanted, in [-1, 1)     p2,3  wanted, in [0.5, 1.5)    g2,3  wanted, in [1.5, 2.5)    d2,3  wanted, all different (for Max and its kind)
 *   c2,3  constant in [-1, 1)    q2,3  constant in [0.5, 1.5)   i[0,2] int64 list  l[2,3] int32 list   k2,3  int64 in [0, 2)   b2,3 bool
 *   s1.5  double scalar constant     -  left out       ,  alone: a scalar (x, p, c ...)
 * The loss is the sum over all outputs of output * fixed random weights. Each row is run with known dims and with every dim of
 * the wanted inputs a symbol. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "ops/grad.h"
#include "passes/passes.h"
#include "support/interp.h"
#include "support/node.h"
#include "support/support.h"

typedef struct gradient_row {
    const char *op, *attrs, *inputs;
    int32_t n_out; /* 0: 1 */
} gradient_row;

#include "gradient_rows.h"

#define MAX_IN 12
typedef struct built {
    mc_graph *g;
    mc_value *in[MAX_IN], *loss, *wrt[MAX_IN], *grad[MAX_IN];
    int32_t n_in, n_wrt, n_first; /* the wanted inputs come first among the graph's inputs */
    mc_test_set feed;
} built;

static mc_tensor *values(char kind, const mc_shape *s, uint64_t seed)
{
    const int32_t dtype = kind == 'k' ? MCOMP_I64 : kind == 'b' ? MCOMP_BOOL : MCOMP_F64;
    uint64_t state = seed * 7919 + 17;
    mc_tensor *t;
    mc_ck_ok(mc_tensor_create(&t, dtype, s));
    const int64_t n = mc_tensor_elements(t);
    for (int64_t i = 0; i < n; i++) {
        const double u = (double)mc_test_random(&state); /* [-1, 1) */
        if (kind == 'k' || kind == 'b') mc_tensor_set_i64(t, i, u > 0.0);
        else if (kind == 'p' || kind == 'q') mc_tensor_set_f64(t, i, 1.0 + 0.5 * u);
        else if (kind == 'g') mc_tensor_set_f64(t, i, 2.0 + 0.5 * u);
        else if (kind == 'd') mc_tensor_set_f64(t, i, ((double)((i * 7 + (int64_t)seed) % 11) - 5.4) * 0.19 + (double)i * 0.003);
        else mc_tensor_set_f64(t, i, u);
    }
    return t;
}

static mc_value *operand(built *b, char *tok, int symbolic, uint64_t seed)
{
    mc_value *v = NULL;
    const char kind = *tok++;
    if (kind == '-') return NULL;
    if (kind == 'i' || kind == 'l') {
        double list[16];
        int32_t n = 0;
        for (tok++; *tok && *tok != ']'; tok += *tok == ',') list[n++] = (double)strtol(tok, &tok, 10);
        return mc_test_const(b->g, kind == 'i' ? MCOMP_I64 : MCOMP_I32, n, list);
    }
    if (kind == 's') {
        const double x = atof(tok);
        return mc_test_const(b->g, MCOMP_F64, 0, &x);
    }
    mc_shape s = {.rank = 0};
    while (*tok >= '0' && *tok <= '9') {
        s.dim[s.rank++] = strtol(tok, &tok, 10);
        if (*tok == ',') tok++;
    }
    mc_tensor *t = values(kind, &s, seed);
    if (strchr("xpdg", kind)) {
        mc_type type = mc_type_of(t);
        for (int32_t i = 0; symbolic && i < type.rank; i++) mc_ck_ok(mc_graph_symbol(b->g, NULL, &type.dim[i]));
        mc_ck_ok(mc_graph_add_input(b->g, NULL, &type, &v));
        b->feed.t[b->feed.n++] = t;
        b->wrt[b->n_wrt++] = v;
        return v;
    }
    mc_ck_ok(mc_graph_add_const(b->g, NULL, t, &v));
    return v;
}

/* Sum over the outputs of sum(output * weights): weights from a fixed pattern of the element's index, made by the test below. */
static void add_loss(built *b, mc_node *n, const mc_test_set *weights)
{
    for (int32_t k = 0; k < n->n_out; k++) {
        if (!n->out[k] || !mc_dtype_is_float(n->out[k]->type.dtype)) continue;
        mc_value *w, *sum;
        mc_tensor *share;
        mc_ck_ok(mc_tensor_share(&share, weights->t[k]));
        mc_ck_ok(mc_graph_add_const(b->g, NULL, share, &w));
        sum = mc_test_op(b->g, "ReduceSum", 1, mc_test_op(b->g, "Mul", 2, n->out[k], w));
        mc_ck_ok(mc_node_set_i(sum->producer, "keepdims", 0));
        b->loss = b->loss ? mc_test_op(b->g, "Add", 2, b->loss, sum) : sum;
    }
}

static built build(const gradient_row *row, int symbolic, const mc_test_set *weights)
{
    built b = {0};
    char text[256], *rest = text;
    mc_node *n;
    mc_ck_ok(mc_graph_create(&b.g, "gradient"));
    snprintf(text, sizeof text, "%s", row->inputs);
    for (char *tok; (tok = strsep(&rest, " ")) != NULL; b.n_in++)
        b.in[b.n_in] = operand(&b, tok, symbolic, (uint64_t)b.n_in * 31 + (uint64_t)row->op[0]);
    const int own = strncmp(row->op, "mcomp.", 6) == 0;
    mc_ck_ok(mc_graph_add_node(b.g, own ? "mcomp" : "", own ? row->op + 6 : row->op, 0, "node", b.n_in, b.in,
                               row->n_out ? row->n_out : 1, NULL, &n));
    ck_assert_msg(n->desc != NULL, "no operator %s", row->op);
    mc_test_set_attrs(n, row->attrs);
    mc_ck_ok(mc_graph_sort(b.g));
    mc_ck_ok(mc_infer_graph(b.g));
    if (!weights) {
        for (int32_t k = 0; k < n->n_out; k++) mc_ck_ok(mc_graph_add_output(b.g, n->out[k]));
        return b;
    }
    add_loss(&b, n, weights);
    mc_ck_ok(mc_graph_add_output(b.g, b.loss));
    mc_ck_ok(mc_graph_sort(b.g));
    mc_ck_ok(mc_infer_graph(b.g));
    return b;
}

static void discard(built *b)
{
    mc_test_set_free(&b->feed);
    mc_graph_destroy(b->g);
}

static double loss_of(const built *b)
{
    mc_test_set out = mc_test_interp(b->g, &b->feed);
    const double v = mc_tensor_get_f64(out.t[0], 0);
    mc_test_set_free(&out);
    return v;
}

/* Central difference of the loss by element i of wanted input k. */
static double difference(const built *plain, int32_t k, int64_t i)
{
    const double h = 1e-5, x = mc_tensor_get_f64(plain->feed.t[k], i);
    mc_tensor_set_f64(plain->feed.t[k], i, x + h);
    const double up = loss_of(plain);
    mc_tensor_set_f64(plain->feed.t[k], i, x - h);
    const double down = loss_of(plain);
    mc_tensor_set_f64(plain->feed.t[k], i, x);
    return (up - down) / (2.0 * h);
}

static void compare(const gradient_row *row, const built *plain, built *b, int symbolic)
{
    mc_test_set out;
    int32_t used[MAX_IN], n_used = 0;
    for (int32_t k = 0; k < b->n_wrt; k++) {
        used[k] = -1;
        if (!b->grad[k]) continue;
        mc_ck_ok(mc_graph_add_output(b->g, b->grad[k]));
        used[k] = ++n_used;
    }
    ck_assert_msg(n_used > 0, "%s: no gradient at all", row->op);
    mc_ck_ok(mc_graph_sort(b->g));
    mc_ck_ok(mc_graph_validate(b->g));
    out = mc_test_interp(b->g, &b->feed);
    for (int32_t k = 0; k < b->n_wrt; k++) {
        const mc_tensor *x = plain->feed.t[k];
        if (used[k] > 0) ck_assert_msg(mc_shape_equal(&out.t[used[k]]->shape, &x->shape), "%s %s: shape of gradient %d", row->op, row->inputs, k);
        for (int64_t i = 0; i < mc_tensor_elements(x); i++) {
            const double want = difference(plain, k, i), got = used[k] > 0 ? mc_tensor_get_f64(out.t[used[k]], i) : 0.0;
            ck_assert_msg(fabs(got - want) <= 2e-6 * fmax(1.0, fabs(want)), "%s [%s] (%s)%s: d input %d [%lld] is %.9g, differences give %.9g",
                          row->op, row->attrs ? row->attrs : "", row->inputs, symbolic ? " symbolic" : "", k, (long long)i, got, want);
        }
    }
    mc_test_set_free(&out);
}

static void check_row(const gradient_row *row)
{
    built probe = build(row, 0, NULL);
    mc_test_set weights = mc_test_interp(probe.g, &probe.feed); /* the shapes */
    for (int64_t k = 0; k < weights.n; k++) {
        const mc_shape s = weights.t[k]->shape;
        mc_tensor_destroy(weights.t[k]);
        weights.t[k] = values('x', &s, (uint64_t)k + 99);
    }
    discard(&probe);
    built plain = build(row, 0, &weights);
    for (int symbolic = 0; symbolic < 2; symbolic++) {
        built b = build(row, symbolic, &weights);
        const int32_t st = mc_gradient(b.g, b.loss, b.n_wrt, b.wrt, b.grad);
        ck_assert_msg(st == MCOMP_OK, "%s (%s)%s: %s: %s", row->op, row->inputs, symbolic ? " symbolic" : "", mcomp_status_name(st),
                      mc_error_peek()->message);
        compare(row, &plain, &b, symbolic);
        discard(&b);
    }
    discard(&plain);
    mc_test_set_free(&weights);
}

START_TEST(central_differences)
{
    check_row(&rows[_i]);
}
END_TEST

/* Every operator that has a gradient has a row here. */
START_TEST(all_rows_are_checked)
{
    const mc_op *const *table;
    const int32_t n = mc_op_all(&table);
    for (int32_t i = 0; i < n; i++) {
        char name[64];
        int found = table[i]->gradient == NULL || strstr("Sign Floor Ceil Round", table[i]->name) != NULL || /* steps_are_flat */
                    strstr("QuantizeLinear DequantizeLinear", table[i]->name) != NULL;                     /* test_gradient_qdq.c */
        snprintf(name, sizeof name, "%s%s", table[i]->domain[0] ? "mcomp." : "", table[i]->name);
        for (size_t k = 0; !found && k < sizeof rows / sizeof *rows; k++) found = strcmp(rows[k].op, name) == 0;
        ck_assert_msg(found, "%s has a gradient and no row in gradient_rows.h", name);
    }
}
END_TEST

/* Steps contribute nothing, and do not stop the rest: d(x + Round(x)) = 1. */
START_TEST(steps_are_flat)
{
    static const char *const steps[] = {"Sign", "Floor", "Ceil", "Round"};
    for (int i = 0; i < 4; i++) {
        const int64_t dims[] = {3};
        mc_graph *g;
        mc_value *grads[1];
        mc_ck_ok(mc_graph_create(&g, "g"));
        mc_value *x = mc_test_input(g, "x", MCOMP_F32, 1, dims);
        mc_value *loss = mc_test_op(g, "ReduceSum", 1, mc_test_op(g, "Add", 2, x, mc_test_op(g, steps[i], 1, x)));
        mc_ck_ok(mc_node_set_i(loss->producer, "keepdims", 0));
        mc_ck_ok(mc_gradient(g, loss, 1, &x, grads));
        mc_ck_ok(mc_graph_add_output(g, grads[0]));
        mc_ck_ok(mc_graph_sort(g));
        mc_test_set in = mc_test_inputs(g, 1, 1, NULL, 0), out = mc_test_interp(g, &in);
        for (int64_t k = 0; k < 3; k++) ck_assert_float_eq(((const float *)out.t[0]->data)[k], 1.0f);
        mc_test_set_free(&in);
        mc_test_set_free(&out);
        mc_graph_destroy(g);
    }
}
END_TEST

START_TEST(names_what_has_none)
{
    const int64_t dims[] = {2, 3};
    mc_graph *g;
    mc_value *grads[1];
    mc_ck_ok(mc_graph_create(&g, "g"));
    mc_value *x = mc_test_input(g, "x", MCOMP_F32, 2, dims);
    mc_node *n;
    mc_ck_ok(mc_graph_add_node(g, "other.domain", "Strange", 1, "odd", 1, &x, 1, NULL, &n));
    n->out[0]->type = x->type;
    mc_value *loss = mc_test_op(g, "ReduceSum", 1, n->out[0]);
    mc_ck_ok(mc_node_set_i(loss->producer, "keepdims", 0));
    ck_assert_int_eq(mc_gradient(g, loss, 1, &x, grads), MCOMP_NO_GRADIENT);
    ck_assert_msg(strstr(mc_error_peek()->message, "Strange") != NULL, "%s", mc_error_peek()->message);
    mc_graph_destroy(g);
}
END_TEST

/* A dropout that drops is not the identity; it must not be differentiated as if it were. */
START_TEST(dropout_in_training_has_none)
{
    const int64_t dims[] = {2, 3};
    const double half = 0.5, none = 0.0, on = 1.0, off = 0.0;
    for (int k = 0; k < 4; k++) { /* on; fed at run time; on, ratio 0; off */
        mc_graph *g;
        mc_value *grads[1], *in[3];
        mc_node *n;
        mc_ck_ok(mc_graph_create(&g, "g"));
        in[0] = mc_test_input(g, "x", MCOMP_F32, 2, dims);
        in[1] = mc_test_const(g, MCOMP_F32, 0, k == 2 ? &none : &half);
        in[2] = k == 1 ? mc_test_input(g, "training", MCOMP_BOOL, 0, NULL) : mc_test_const(g, MCOMP_BOOL, 0, k == 3 ? &off : &on);
        mc_ck_ok(mc_graph_add_node(g, "", "Dropout", 0, "drop", 3, in, 1, NULL, &n));
        mc_value *loss = mc_test_op(g, "ReduceSum", 1, n->out[0]);
        mc_ck_ok(mc_node_set_i(loss->producer, "keepdims", 0));
        mc_error_clear(); /* the tests may share a process */
        ck_assert_int_eq(mc_gradient(g, loss, 1, in, grads), k < 2 ? MCOMP_NO_GRADIENT : MCOMP_OK);
        if (k < 2) ck_assert_str_eq(mc_error_peek()->where, "drop");
        mc_graph_destroy(g);
    }
}
END_TEST

int main(void)
{
    mc_ops_register();
    Suite *s = suite_create("ops/gradient");
    TCase *tc = tcase_create("gradient");
    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, central_differences, 0, (int)(sizeof rows / sizeof *rows));
    tcase_add_test(tc, all_rows_are_checked);
    tcase_add_test(tc, steps_are_flat);
    tcase_add_test(tc, names_what_has_none);
    tcase_add_test(tc, dropout_in_training_has_none);
    suite_add_tcase(s, tc);
    return mc_test_main(s);
}
