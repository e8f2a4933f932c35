/* Reference interpreter and graph builder for tests. */
#include "support/interp.h"

#include <math.h>
#include <stdarg.h>

#include "runtime/runtime.h"
#include "support/support.h"

void mc_test_set_free(mc_test_set *s)
{
    for (int64_t i = 0; i < s->n; i++) mc_tensor_destroy(s->t[i]);
    memset(s, 0, sizeof *s);
}

static void run_node(const mc_node *n, mc_tensor **value)
{
    const mc_tensor *in[MC_OP_MAX_IO] = {NULL};
    mc_tensor *out[MC_OP_MAX_IO] = {NULL};
    ck_assert_msg(n->n_in <= MC_OP_MAX_IO && n->n_out <= MC_OP_MAX_IO && n->n_cap == 0, "node %s", n->name);
    for (int32_t i = 0; i < n->n_in; i++) {
        if (!n->in[i]) continue;
        in[i] = value[n->in[i]->id] ? value[n->in[i]->id] : n->in[i]->init;
        ck_assert_msg(in[i] != NULL, "input %s of %s has no value", n->in[i]->name, n->name);
    }
    const int32_t st = mc_op_eval(n, n->n_in, in, out);
    ck_assert_msg(st == MCOMP_OK, "%s (%s): %s: %s", n->name, n->op, mcomp_status_name(st), mc_error_peek()->message);
    for (int32_t k = 0; k < n->n_out; k++) {
        if (!n->out[k]) continue;
        const mc_type *t = &n->out[k]->type;
        int fits = t->dtype == out[k]->dtype && (t->rank < 0 || t->rank == out[k]->shape.rank);
        for (int32_t i = 0; fits && i < t->rank; i++) fits = t->dim[i] < 0 || t->dim[i] == out[k]->shape.dim[i];
        ck_assert_msg(fits, "the inferred type of %s (node %s, %s) is not what the reference gives", n->out[k]->name, n->name, n->op);
        value[n->out[k]->id] = out[k];
    }
}

mc_test_set mc_test_interp(const mc_graph *g, const mc_test_set *inputs)
{
    mc_test_set r = {.n = g->n_outputs};
    mc_tensor **value = mc_calloc((size_t)g->n_values + 1, sizeof *value);
    ck_assert_int_eq(inputs->n, g->n_inputs);
    ck_assert_int_le(r.n, MC_TEST_IO);
    for (int64_t i = 0; i < g->n_inputs; i++) mc_ck_ok(mc_tensor_share(&value[g->inputs[i]->id], inputs->t[i]));
    for (int64_t i = 0; i < g->n_order; i++)
        if (g->order[i]->n_out > 0) run_node(g->order[i], value);
    for (int64_t i = 0; i < r.n; i++) {
        const mc_value *v = g->outputs[i];
        const mc_tensor *t = value[v->id] ? value[v->id] : v->init;
        ck_assert_msg(t != NULL, "output %s has no value", v->name);
        mc_ck_ok(mc_tensor_share(&r.t[i], t));
    }
    for (int64_t i = 0; i < g->n_values; i++) mc_tensor_destroy(value[i]);
    mc_free(value);
    return r;
}

mc_test_set mc_test_session(const mc_graph *g, const mc_test_set *in, uint64_t *bytes)
{
    mcomp_context *ctx;
    mcomp_session *s;
    mcomp_exec *e;
    mcomp_plan_info info = {.size = sizeof info};
    const mcomp_tensor *feed[MC_TEST_IO], *out[MC_TEST_IO];
    mcomp_tensor *copy[MC_TEST_IO];
    mc_test_set r = {.n = g->n_outputs};
    mc_ck_ok(mcomp_context_create(&ctx, NULL));
    mc_ck_ok(mc_session_open(&s, ctx, g, NULL, NULL));
    mc_ck_ok(mcomp_exec_create(&e, s));
    for (int64_t i = 0; i < in->n; i++) {
        mc_ck_ok(mcomp_tensor_create(&copy[i], in->t[i]->dtype, in->t[i]->shape.rank, in->t[i]->shape.dim));
        memcpy(copy[i]->t.data, in->t[i]->data, (size_t)mc_tensor_bytes(in->t[i]));
        feed[i] = copy[i];
    }
    mc_ck_ok(mcomp_exec_run(e, (int32_t)in->n, feed, (int32_t)g->n_outputs, out));
    for (int64_t i = 0; i < r.n; i++) mc_ck_ok(mc_tensor_copy(&r.t[i], &out[i]->t));
    mc_ck_ok(mcomp_exec_plan_info(e, &info));
    if (bytes) *bytes = info.memory_bytes;
    for (int64_t i = 0; i < in->n; i++) mcomp_tensor_destroy(copy[i]);
    mcomp_exec_destroy(e);
    mcomp_session_destroy(s);
    mcomp_context_destroy(ctx);
    return r;
}

mc_test_set mc_test_inputs(const mc_graph *g, uint64_t seed, int64_t top, const int64_t *dims, int32_t n_dims)
{
    mc_test_set r = {.n = g->n_inputs};
    uint64_t state = seed * 2654435761u + 1;
    ck_assert_int_le(r.n, MC_TEST_IO);
    for (int64_t i = 0; i < r.n; i++) {
        const mc_type *t = &g->inputs[i]->type;
        mc_shape s = {.rank = t->rank};
        ck_assert_int_ge(t->rank, 0);
        for (int32_t k = 0; k < t->rank; k++) s.dim[k] = t->dim[k] >= 0 ? t->dim[k] : dims[(-1 - t->dim[k]) % n_dims];
        mc_ck_ok(mc_tensor_create(&r.t[i], t->dtype, &s));
        const int64_t n = mc_tensor_elements(r.t[i]);
        for (int64_t k = 0; k < n; k++) {
            const float x = mc_test_random(&state);
            if (mc_dtype_is_float(t->dtype)) mc_tensor_set_f64(r.t[i], k, (double)x);
            else mc_tensor_set_i64(r.t[i], k, (int64_t)(((double)x + 1.0) / 2.0 * ((double)top + 0.999)));
        }
    }
    return r;
}

void mc_test_same_outputs(const mc_graph *a, const mc_test_set *x, const mc_graph *b, const mc_test_set *y, double rtol, double atol)
{
    ck_assert_int_eq(x->n, y->n);
    for (int64_t i = 0; i < x->n; i++) {
        const char *name = b->outputs[i]->name;
        ck_assert_str_eq(a->outputs[i]->name, name);
        ck_assert_int_eq(x->t[i]->dtype, y->t[i]->dtype);
        ck_assert_msg(mc_shape_equal(&x->t[i]->shape, &y->t[i]->shape), "shape of output %s", name);
        const int64_t n = mc_tensor_elements(x->t[i]);
        for (int64_t k = 0; k < n; k++) {
            const double p = mc_tensor_get_f64(x->t[i], k), q = mc_tensor_get_f64(y->t[i], k);
            if (isnan(p) && isnan(q)) continue;
            ck_assert_msg(p == q || fabs(p - q) <= atol + rtol * fabs(q), "output %s[%lld]: %.9g instead of %.9g", name, (long long)k, p, q);
        }
    }
}

int64_t mc_test_count(const mc_graph *g, const char *domain, const char *op)
{
    int64_t n = 0;
    for (int64_t i = 0; i < g->n_nodes; i++) n += !g->nodes[i]->dead && mc_node_is_in(g->nodes[i], domain, op);
    return n;
}

mc_value *mc_test_op(mc_graph *g, const char *op, int32_t n, ...)
{
    mc_value *in[MC_TEST_IO] = {NULL};
    mc_node *node;
    va_list ap;
    va_start(ap, n);
    for (int32_t i = 0; i < n; i++) in[i] = va_arg(ap, mc_value *);
    va_end(ap);
    mc_ops_register();
    mc_ck_ok(mc_graph_add_node(g, "", op, 0, NULL, n, in, 1, NULL, &node));
    ck_assert_msg(node->desc != NULL, "no operator %s", op);
    return node->out[0];
}

mc_value *mc_test_input(mc_graph *g, const char *name, int32_t dtype, int32_t rank, const int64_t *dims)
{
    mc_type t = {.dtype = dtype, .rank = rank};
    mc_value *v;
    for (int32_t i = 0; i < rank; i++) t.dim[i] = dims[i];
    mc_ck_ok(mc_graph_add_input(g, name, &t, &v));
    return v;
}

mc_value *mc_test_random_const(mc_graph *g, uint64_t seed, float scale, int32_t rank, const int64_t *dims)
{
    const mc_shape s = mc_shape_make(rank, dims);
    uint64_t state = seed * 40503u + 7;
    mc_tensor *t;
    mc_value *v;
    mc_ck_ok(mc_tensor_create(&t, MCOMP_F32, &s));
    const int64_t n = mc_tensor_elements(t);
    for (int64_t i = 0; i < n; i++) ((float *)t->data)[i] = scale * mc_test_random(&state);
    mc_ck_ok(mc_graph_add_const(g, NULL, t, &v));
    return v;
}

mc_value *mc_test_scalar(mc_graph *g, float x)
{
    mc_value *v;
    mc_ck_ok(mc_graph_add_const_f32(g, NULL, x, &v));
    return v;
}

mc_value *mc_test_i64s(mc_graph *g, int32_t n, ...)
{
    int64_t x[16];
    mc_value *v;
    va_list ap;
    va_start(ap, n);
    for (int32_t i = 0; i < n; i++) x[i] = va_arg(ap, int64_t);
    va_end(ap);
    mc_ck_ok(mc_graph_add_const_i64s(g, NULL, x, n, &v));
    return v;
}

mc_value *mc_test_const(mc_graph *g, int32_t dtype, int32_t n, const double *x)
{
    const mc_shape s = {.rank = n > 0, .dim = {n}};
    mc_tensor *t;
    mc_value *v;
    mc_ck_ok(mc_tensor_create(&t, dtype, &s));
    for (int32_t i = 0; i < (n > 0 ? n : 1); i++) mc_tensor_set_f64(t, i, x[i]);
    mc_ck_ok(mc_graph_add_const(g, NULL, t, &v));
    return v;
}

void mc_test_output(mc_graph *g, mc_value *v, const char *name)
{
    mc_ck_ok(mc_value_rename(g, v, name));
    mc_ck_ok(mc_graph_add_output(g, v));
}
