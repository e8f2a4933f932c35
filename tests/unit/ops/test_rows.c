/* Every row of ops.def: the descriptor makes sense, and its functions survive what nobody would give them: scalars, empty
 * tensors, single elements, wrong types, unknown types, missing attributes. Results are not looked at here. */
#include "ops/ops.h"
#include "support/support.h"

static const mc_op *const *table;
static int32_t n_ops;

START_TEST(descriptors)
{
    for (int32_t i = 0; i < n_ops; i++) {
        const mc_op *o = table[i];
        ck_assert_msg(o->name && o->name[0], "row %d has no name", i);
        ck_assert_msg(o->domain && (strcmp(o->domain, "") == 0 || strcmp(o->domain, "mcomp") == 0 ||
                                    strcmp(o->domain, "ai.onnx.preview.training") == 0), "%s: domain", o->name);
        ck_assert_msg(o->version >= 1 && o->since >= 1 && o->since <= o->version, "%s: version %d, since %d", o->name, o->version, o->since);
        ck_assert_msg(o->min_in >= 0 && (o->max_in == -1 || o->max_in >= o->min_in) && o->max_in <= MC_OP_MAX_IO, "%s: inputs", o->name);
        ck_assert_msg(o->min_out >= 0 && (o->max_out == -1 || o->max_out >= o->min_out) && o->max_out <= MC_OP_MAX_IO, "%s: outputs", o->name);
        ck_assert_msg(o->infer != NULL, "%s: no inference", o->name);
        ck_assert_msg((o->traits & MC_OP_CONTROL) ? !o->forward : o->forward != NULL, "%s: forward", o->name);
        ck_assert_msg(o->quant >= MC_Q_NONE && o->quant <= MC_Q_UNARY, "%s: quant", o->name);
        ck_assert_msg(mc_op_find(o->domain, o->name) == o, "%s is found elsewhere: two rows?", o->name);
    }
}
END_TEST

/* Type t of input i: 1 element, a scalar, empty axes, or unknown. */
enum { FORM_ONE, FORM_SCALAR, FORM_EMPTY, FORM_SMALL, FORM_RANK4, FORMS };

static mc_tensor *form(int f, int32_t dtype)
{
    static const mc_shape shapes[FORMS] = {{1, {1}}, {0, {0}}, {2, {0, 3}}, {2, {2, 2}}, {4, {1, 1, 2, 2}}};
    mc_tensor *t;
    mc_ck_ok(mc_tensor_create(&t, dtype, &shapes[f]));
    for (int64_t i = 0; i < mc_tensor_elements(t); i++) mc_tensor_set_f64(t, i, (double)(i % 3) - 1.0);
    return t;
}

static void try_eval(const mc_op *o, int32_t n_in, int f, int32_t first, int32_t rest)
{
    mc_tensor *in[MC_OP_MAX_IO] = {NULL}, *out[MC_OP_MAX_IO] = {NULL};
    mc_value *v[MC_OP_MAX_IO] = {NULL};
    mc_graph *g;
    mc_node *n;
    const int32_t n_out = o->max_out < 0 ? 2 : o->max_out > 0 ? o->max_out : 1;
    mc_ck_ok(mc_graph_create(&g, "row"));
    mc_ck_ok(mc_graph_add_node(g, o->domain, o->name, 0, NULL, 0, NULL, n_out, NULL, &n));
    for (int32_t i = 0; i < n_in; i++) {
        in[i] = form(i == 0 || rest == first ? f : f == FORM_RANK4 ? FORM_ONE : f, i == 0 ? first : rest);
        const mc_type t = mc_type_of(in[i]);
        mc_ck_ok(mc_graph_add_input(g, NULL, &t, &v[i]));
        mc_ck_ok(mc_node_set_input(g, n, i, v[i]));
    }
    mc_error_clear();
    int32_t st = mc_op_eval_limit(n, n_in, (const mc_tensor *const *)in, 1 << 20, out);
    ck_assert_msg(st == MCOMP_OK || mc_error_peek()->message[0], "%s: %s without a message", o->name, mcomp_status_name(st));
    ck_assert_msg(st != MCOMP_INTERNAL, "%s: %s", o->name, mc_error_peek()->message);
    mc_error_clear();
    st = mc_infer_node(g, n); /* the same without values: may know less, must not contradict */
    for (int32_t k = 0; st == MCOMP_OK && k < n_out; k++) {
        if (!out[k]) continue;
        const mc_type *t = &n->out[k]->type;
        ck_assert_msg(!t->dtype || t->dtype == out[k]->dtype, "%s: output %d inferred %s", o->name, k, mc_dtype_name(t->dtype));
        ck_assert_msg(t->rank < 0 || t->rank == out[k]->shape.rank, "%s: output %d inferred rank %d", o->name, k, t->rank);
        for (int32_t d = 0; d < t->rank; d++)
            ck_assert_msg(t->dim[d] < 0 || t->dim[d] == out[k]->shape.dim[d], "%s: output %d axis %d", o->name, k, d);
    }
    for (int32_t i = 0; i < MC_OP_MAX_IO; i++) {
        mc_tensor_destroy(in[i]);
        mc_tensor_destroy(out[i]);
    }
    mc_graph_destroy(g);
}

START_TEST(strange_inputs)
{
    static const int32_t types[] = {MCOMP_F32, MCOMP_I64, MCOMP_U8, MCOMP_BOOL, MCOMP_F16, MCOMP_I4};
    for (int32_t i = 0; i < n_ops; i++) {
        const mc_op *o = table[i];
        const int32_t last = o->max_in < 0 ? 3 : o->max_in;
        if (!o->forward) continue;
        for (int32_t n_in = o->min_in; n_in <= last; n_in++)
            for (int f = 0; f < FORMS; f++)
                for (size_t a = 0; a < sizeof types / sizeof *types; a++)
                    for (size_t b = 0; b < 2; b++) try_eval(o, n_in, f, types[a], b ? MCOMP_I64 : types[a]);
    }
}
END_TEST

START_TEST(unknown_inputs)
{
    for (int32_t i = 0; i < n_ops; i++) {
        const mc_op *o = table[i];
        for (int32_t rank = -1; rank <= 4; rank++) {
            mc_value *v[MC_OP_MAX_IO];
            mc_graph *g;
            mc_node *n;
            const int32_t n_in = o->max_in < 0 ? 3 : o->max_in, n_out = o->max_out < 0 ? 2 : o->max_out;
            mc_ck_ok(mc_graph_create(&g, "row"));
            for (int32_t k = 0; k < n_in; k++) {
                mc_type t = {.rank = rank};
                for (int32_t d = 0; d < rank; d++) mc_ck_ok(mc_graph_symbol(g, NULL, &t.dim[d]));
                mc_ck_ok(mc_graph_add_input(g, NULL, &t, &v[k]));
            }
            mc_ck_ok(mc_graph_add_node(g, o->domain, o->name, 0, NULL, n_in, v, n_out, NULL, &n));
            mc_error_clear();
            const int32_t st = mc_infer_node(g, n);
            ck_assert_msg(st == MCOMP_OK || st == MCOMP_FORMAT || st == MCOMP_SHAPE || st == MCOMP_RANGE || st == MCOMP_UNSUPPORTED,
                          "%s: %s: %s", o->name,
                          mcomp_status_name(st), mc_error_peek()->message);
            for (int32_t k = 0; st == MCOMP_OK && k < n_out; k++)
                for (int32_t d = 0; d < n->out[k]->type.rank; d++)
                    ck_assert_msg(n->out[k]->type.dim[d] >= 0 || -1 - n->out[k]->type.dim[d] < g->n_symbols, "%s: no such symbol", o->name);
            mc_op_cost cost;
            mc_ck_ok(mc_op_count(n, &cost));
            ck_assert_msg(cost.macs >= 0.0 && cost.flops >= 0.0, "%s: negative cost", o->name);
            mc_graph_destroy(g);
        }
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("ops/rows");
    TCase *t = tcase_create("rows");
    n_ops = mc_op_all(&table);
    tcase_add_test(t, descriptors);
    tcase_add_test(t, strange_inputs);
    tcase_add_test(t, unknown_inputs);
    suite_add_tcase(s, t);
    return mc_test_main(s);
}
