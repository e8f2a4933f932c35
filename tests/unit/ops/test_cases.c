/* What every row of ops.def gets for nothing. Its own cases (mc_op.cases): the reference gives the expected tensors, and so does a
 * session, with known and with symbolic dims. And without any: whatever small inputs its reference accepts, a session gives the
 * same. Argument: names of operators that must have cases. */
#include "text_case.h"

#include <mcomp/mcomp.h>

#include "runtime/runtime.h"

static const mc_op *const *table;
static int32_t n_ops;
static mcomp_context *ctx;
static const char *needed; /* an operator that must have cases */

static void setup(void)
{
    n_ops = mc_op_all(&table);
    mc_ck_ok(mcomp_context_create(&ctx, NULL));
}
static void teardown(void) { mcomp_context_destroy(ctx); }

typedef struct single { /* one operator as a graph */
    mc_graph *g;
    mc_node *n;
    mc_tensor *in[TEXT_IO];
    int32_t n_in;
} single;

static single build(const mc_op *o, const char *attrs, int32_t n_in, mc_tensor *const *in, int32_t n_out, int symbolic)
{
    single s = {.n_in = n_in};
    mc_value *v[TEXT_IO] = {NULL};
    mc_ck_ok(mc_graph_create(&s.g, o->name));
    for (int32_t i = 0; i < n_in; i++) {
        s.in[i] = in[i];
        if (!in[i]) continue;
        mc_type t = mc_type_of(in[i]);
        for (int32_t k = 0; symbolic && k < t.rank; k++) mc_ck_ok(mc_graph_symbol(s.g, NULL, &t.dim[k]));
        mc_ck_ok(mc_graph_add_input(s.g, NULL, &t, &v[i]));
    }
    mc_ck_ok(mc_graph_add_node(s.g, o->domain, o->name, 0, "node", n_in, v, n_out, NULL, &s.n));
    mc_test_set_attrs(s.n, attrs);
    for (int32_t k = 0; k < n_out; k++) mc_ck_ok(mc_graph_add_output(s.g, s.n->out[k]));
    mc_ck_ok(mc_graph_sort(s.g));
    return s;
}

/* Through a session; *out: one tensor an output, or the code. */
static int32_t by_session(single *s, mc_tensor **out)
{
    int32_t st = MCOMP_OK, at = 0;
    mcomp_session *session = NULL;
    mcomp_exec *e = NULL;
    mcomp_tensor *feed[TEXT_IO] = {NULL};
    const mcomp_tensor *in[TEXT_IO], *got[TEXT_IO];
    MC_TRY(mc_infer_graph(s->g));
    MC_TRY(mc_session_open(&session, ctx, s->g, NULL, NULL));
    MC_TRY(mcomp_exec_create(&e, session));
    for (int32_t i = 0; i < s->n_in; i++) {
        if (!s->in[i]) continue;
        MC_TRY(mcomp_tensor_create(&feed[at], s->in[i]->dtype, s->in[i]->shape.rank, s->in[i]->shape.dim));
        memcpy(mcomp_tensor_data(feed[at]), s->in[i]->data, (size_t)mc_tensor_bytes(s->in[i]));
        in[at] = feed[at];
        at++;
    }
    MC_TRY(mcomp_exec_run(e, at, in, (int32_t)s->g->n_outputs, got));
    for (int32_t k = 0; k < s->g->n_outputs; k++) MC_TRY(mc_tensor_copy(&out[k], &got[k]->t));
done:
    for (int32_t i = 0; i < at; i++) mcomp_tensor_destroy(feed[i]);
    mcomp_exec_destroy(e);
    mcomp_session_destroy(session);
    return st;
}

static void free_all(mc_tensor **t)
{
    for (int32_t i = 0; i < TEXT_IO; i++) {
        mc_tensor_destroy(t[i]);
        t[i] = NULL;
    }
}

static void own_case(const mc_op *o, const char *const *c)
{
    const text_case text = {o->name, c[0], c[1], c[2]};
    mc_tensor *in[TEXT_IO] = {NULL}, *want[TEXT_IO] = {NULL}, *got[TEXT_IO] = {NULL};
    const int fails = c[2][0] == '!';
    const int32_t n_in = text_list(c[1], in), n_out = fails ? 1 : text_list(c[2], want);
    for (int way = 0; way < 3; way++) { /* reference, session, session with symbols */
        single s = build(o, c[0], n_in, in, n_out, way == 2);
        mc_error_clear();
        const int32_t st = way ? by_session(&s, got) : mc_op_eval(s.n, n_in, (const mc_tensor *const *)in, got);
        if (fails) ck_assert_msg(strcmp(mcomp_status_name(st), c[2] + 1) == 0, "%s(%s): %s", o->name, c[1], mcomp_status_name(st));
        else ck_assert_msg(st == MCOMP_OK, "%s(%s; %s) way %d: %s", o->name, c[0], c[1], way, mc_error_peek()->message);
        for (int32_t k = 0; !fails && k < n_out; k++) text_compare(&text, got[k], want[k]);
        free_all(got);
        mc_graph_destroy(s.g);
    }
    free_all(in);
    free_all(want);
}

START_TEST(own_cases)
{
    int found = needed == NULL;
    for (int32_t i = 0; i < n_ops; i++) {
        found |= needed && table[i]->cases && strcmp(table[i]->name, needed) == 0;
        for (const char *const *c = table[i]->cases; c && *c; c += 3) own_case(table[i], c);
    }
    ck_assert_msg(found, "%s has no cases", needed);
}
END_TEST

/* ---- any row: reference against session ---- */

static mc_tensor *small(int form, int32_t dtype, uint64_t seed)
{
    static const mc_shape shapes[] = {{1, {1}}, {0, {0}}, {2, {3, 4}}, {3, {2, 3, 4}}, {4, {1, 4, 6, 5}}, {2, {4, 4}}};
    mc_tensor *t;
    mc_ck_ok(mc_tensor_create(&t, dtype, &shapes[form]));
    for (int64_t i = 0; i < mc_tensor_elements(t); i++) {
        const double u = (double)mc_test_random(&seed);
        if (mc_dtype_is_float(dtype)) mc_tensor_set_f64(t, i, 2.0 * u);
        else mc_tensor_set_i64(t, i, dtype == MCOMP_BOOL ? u > 0.0 : (int64_t)(u * 2.0 + 2.0));
    }
    return t;
}

static int close_enough(const mc_tensor *a, const mc_tensor *b)
{
    if (a->dtype != b->dtype || !mc_shape_equal(&a->shape, &b->shape)) return 0;
    const double room = a->dtype == MCOMP_F16 || a->dtype == MCOMP_BF16 ? 1e-2 : 2e-5;
    for (int64_t i = 0; i < mc_tensor_elements(a); i++) {
        const double x = mc_tensor_get_f64(a, i), y = mc_tensor_get_f64(b, i);
        const int same = x == y || (isnan(x) && isnan(y)) || (mc_dtype_is_float(a->dtype) && fabs(x - y) <= room * fmax(1.0, fabs(y)));
        if (!same) return 0;
    }
    return 1;
}

/* 1: the reference took it, and the session gave the same. */
static int cross(const mc_op *o, int32_t n_in, int form, int32_t first, int32_t rest)
{
    mc_tensor *in[TEXT_IO] = {NULL}, *want[TEXT_IO] = {NULL}, *got[TEXT_IO] = {NULL};
    const int32_t n_out = o->min_out > 0 ? o->min_out : 1;
    for (int32_t i = 0; i < n_in; i++) in[i] = small(form, i ? rest : first, (uint64_t)(i * 31 + form));
    single s = build(o, NULL, n_in, in, n_out, 0);
    mc_error_clear();
    const int ran = mc_op_eval_limit(s.n, n_in, (const mc_tensor *const *)in, 1 << 20, want) == MCOMP_OK;
    if (ran) {
        const int32_t st = by_session(&s, got);
        ck_assert_msg(st == MCOMP_OK, "%s of %d inputs, form %d, %s: the reference runs, a session does not: %s: %s", o->name, n_in, form,
                      mc_dtype_name(first), mcomp_status_name(st), mc_error_peek()->message);
        for (int32_t k = 0; k < n_out; k++)
            ck_assert_msg(close_enough(got[k], want[k]), "%s of %d inputs, form %d, %s: output %d of a session is not the reference's", o->name, n_in,
                          form, mc_dtype_name(first), k);
    }
    free_all(want);
    free_all(got);
    free_all(in);
    mc_graph_destroy(s.g);
    return ran;
}

/* Operators that only plans hold have their own tests against the reference (tests/unit/backends). */
START_TEST(sessions_agree)
{
    static const int32_t types[] = {MCOMP_F32, MCOMP_F16, MCOMP_I64, MCOMP_U8, MCOMP_BOOL};
    int compared = 0;
    for (int32_t i = 0; i < n_ops; i++) {
        const mc_op *o = table[i];
        const int32_t last = o->max_in < 0 ? 3 : o->max_in < 5 ? o->max_in : 5;
        if (!o->forward || o->domain[0] || o->min_out < 1 || (o->traits & MC_OP_NONDETERMINISTIC)) continue;
        for (int32_t n_in = o->min_in; n_in <= last; n_in++)
            for (int form = 0; form < 6; form++)
                for (int32_t t = 0; t < 5; t++)
                    for (int other = 0; other < 2; other++) compared += cross(o, n_in, form, types[t], other ? MCOMP_I64 : types[t]);
    }
    ck_assert_int_gt(compared, 1000);
}
END_TEST

int main(int argc, char **argv)
{
    mc_ops_register();
    Suite *s = suite_create("ops/cases");
    TCase *t = tcase_create("cases");
    needed = argc > 1 ? argv[1] : NULL;
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_set_timeout(t, 120);
    tcase_add_test(t, own_cases);
    tcase_add_test(t, sessions_agree);
    suite_add_tcase(s, t);
    return mc_test_main(s);
}
