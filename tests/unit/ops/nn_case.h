/* One node, its tensors and its run, in a few lines: what the tests of neural-network operators are written with.
 *
 *   nn_begin("", "Conv");
 *   nn_in_f32((int64_t[]){1, 1, 3, 3}, 4, values); nn_ints("pads", ...); nn_run(1); nn_want_f32(0, values, n, tol); nn_end();
 */
#ifndef MC_TEST_NN_CASE_H
#define MC_TEST_NN_CASE_H

#include "ops/ops.h"
#include "support/support.h"

#include <math.h>

static mc_graph *nn_graph;
static mc_node *nn_node;
static mc_tensor *nn_in[16], *nn_out[8];
static int32_t nn_count;

/* outs: how many outputs the node has. */
static inline void nn_begin_outs(const char *domain, const char *op, int32_t outs)
{
    mc_value *none = NULL;
    mc_ops_register();
    mc_ck_ok(mc_graph_create(&nn_graph, "case"));
    mc_ck_ok(mc_graph_add_input(nn_graph, NULL, NULL, &none));
    mc_ck_ok(mc_graph_add_node(nn_graph, domain, op, 0, "case", 1, &none, outs, NULL, &nn_node));
    ck_assert_msg(nn_node->desc != NULL, "operator %s is unknown", op);
    nn_count = 0;
    memset(nn_in, 0, sizeof nn_in);
    memset(nn_out, 0, sizeof nn_out);
}
static inline void nn_begin(const char *domain, const char *op) { nn_begin_outs(domain, op, 1); }

static inline mc_tensor *nn_input(int32_t dtype, const int64_t *dims, int32_t rank)
{
    const mc_shape s = mc_shape_make(rank, dims);
    mc_ck_ok(mc_tensor_create(&nn_in[nn_count], dtype, &s));
    return nn_in[nn_count++];
}
static inline void nn_in_values(int32_t dtype, const int64_t *dims, int32_t rank, const double *v)
{
    mc_tensor *t = nn_input(dtype, dims, rank);
    for (int64_t i = 0; i < mc_tensor_elements(t); i++) mc_tensor_set_f64(t, i, v[i]);
}
/* Dims and values of one input: NN_IN(F32, ((int64_t[]){2, 3}), {1, 2, 3, 4, 5, 6}) */
#define NN_D(...) (const int64_t[]){__VA_ARGS__}, (int32_t)(sizeof((const int64_t[]){__VA_ARGS__}) / sizeof(int64_t))
#define NN_V(...) (const double[]){__VA_ARGS__}
#define NN_IN(dtype, dims, values) nn_in_values(MCOMP_##dtype, dims, values)
static inline void nn_scalar(int32_t dtype, double v) { nn_in_values(dtype, NULL, 0, &v); }
static inline void nn_omit(void) { nn_in[nn_count++] = NULL; }
/* Reproducible numbers: floats in [-1, 1), integers over the whole range of a byte (or [-lim, lim]). */
static inline mc_tensor *nn_random(int32_t dtype, const int64_t *dims, int32_t rank, uint64_t seed)
{
    mc_tensor *t = nn_input(dtype, dims, rank);
    for (int64_t i = 0; i < mc_tensor_elements(t); i++) {
        const double r = (double)mc_test_random(&seed);
        mc_tensor_set_f64(t, i, dtype == MCOMP_U8 ? 127.5 + 127.5 * r : mc_dtype_is_integer(dtype) ? 127.0 * r : r);
    }
    return t;
}

static inline int32_t nn_eval(void) { return mc_op_eval(nn_node, nn_count, (const mc_tensor *const *)nn_in, nn_out); }
static inline void nn_run(void) { mc_ck_ok(nn_eval()); }
static inline void nn_end(void)
{
    for (int32_t i = 0; i < 16; i++) mc_tensor_destroy(nn_in[i]);
    for (int32_t i = 0; i < 8; i++) mc_tensor_destroy(nn_out[i]);
    mc_graph_destroy(nn_graph);
    memset(nn_in, 0, sizeof nn_in);
    memset(nn_out, 0, sizeof nn_out);
}

static inline void nn_want_dims(int32_t k, int32_t dtype, const int64_t *dims, int32_t rank)
{
    const mc_shape s = mc_shape_make(rank, dims);
    char a[96], b[96];
    ck_assert_msg(nn_out[k]->dtype == dtype, "output %d is %s", k, mc_dtype_name(nn_out[k]->dtype));
    ck_assert_msg(mc_shape_equal(&nn_out[k]->shape, &s), "output %d has shape %s, not %s", k, mc_shape_text(&nn_out[k]->shape, a, sizeof a),
                  mc_shape_text(&s, b, sizeof b));
}
static inline void nn_want(int32_t k, const double *v, double tolerance)
{
    for (int64_t i = 0; i < mc_tensor_elements(nn_out[k]); i++) {
        const double got = mc_tensor_get_f64(nn_out[k], i);
        ck_assert_msg(fabs(got - v[i]) <= tolerance || (isnan(got) && isnan(v[i])), "output %d [%lld] is %.9g, not %.9g", k, (long long)i,
                      got, v[i]);
    }
}
#define NN_WANT(k, dtype, dims, values, tolerance)                                                                     \
    do {                                                                                                               \
        nn_want_dims(k, MCOMP_##dtype, dims);                                                                          \
        nn_want(k, values, tolerance);                                                                                 \
    } while (0)

static inline void nn_i(const char *name, int64_t v) { mc_ck_ok(mc_node_set_i(nn_node, name, v)); }
static inline void nn_f(const char *name, float v) { mc_ck_ok(mc_node_set_f(nn_node, name, v)); }
static inline void nn_s(const char *name, const char *v) { mc_ck_ok(mc_node_set_s(nn_node, name, v)); }
static inline void nn_ints(const char *name, const int64_t *v, int32_t n) { mc_ck_ok(mc_node_set_ints(nn_node, name, v, n)); }
/* The case must fail with this status and a message. */
static inline void nn_fails(int32_t code)
{
    mc_ck_fails(nn_eval(), code);
    nn_end();
}

#endif
