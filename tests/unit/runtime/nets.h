/* tests/unit/runtime/nets.h - small graphs built by hand, and the plainest possible interpreter to compare plans with. */
#ifndef MC_TEST_NETS_H
#define MC_TEST_NETS_H

#include "ops/ops.h"
#include "runtime/runtime.h"
#include "support/support.h"

static inline mc_type net_type(int32_t dtype, int32_t rank, const int64_t *dims)
{
    mc_type t = {.dtype = dtype, .rank = rank};
    for (int32_t i = 0; i < rank; i++) t.dim[i] = dims[i];
    return t;
}

static inline mc_value *net_input(mc_graph *g, const char *name, int32_t dtype, int32_t rank, const int64_t *dims)
{
    mc_value *v = NULL;
    const mc_type t = net_type(dtype, rank, dims);
    mc_ck_ok(mc_graph_add_input(g, name, &t, &v));
    return v;
}

static inline int64_t net_symbol(mc_graph *g, const char *name)
{
    int64_t d = 0;
    mc_ck_ok(mc_graph_symbol(g, name, &d));
    return d;
}

static inline mc_value *net_node(mc_graph *g, const char *op, const char *name, mc_value *a, mc_value *b)
{
    mc_node *n = NULL;
    mc_value *in[2] = {a, b};
    mc_ck_ok(mc_graph_add_node(g, "", op, 0, name, b ? 2 : 1, in, 1, NULL, &n));
    return n->out[0];
}

static inline mc_value *net_random_const(mc_graph *g, const char *name, int32_t rank, const int64_t *dims, uint64_t *seed)
{
    mc_tensor *t = NULL;
    mc_value *v = NULL;
    const mc_shape s = mc_shape_make(rank, dims);
    mc_ck_ok(mc_tensor_create(&t, MCOMP_F32, &s));
    for (int64_t i = 0; i < mc_tensor_elements(t); i++) ((float *)t->data)[i] = mc_test_random(seed);
    mc_ck_ok(mc_graph_add_const(g, name, t, &v));
    return v;
}

static inline mcomp_tensor *net_random(int32_t rank, const int64_t *dims, uint64_t seed)
{
    mcomp_tensor *t = NULL;
    mc_ck_ok(mcomp_tensor_create(&t, MCOMP_F32, rank, dims));
    for (int64_t i = 0; i < mcomp_tensor_elements(t); i++) ((float *)mcomp_tensor_data(t))[i] = mc_test_random(&seed);
    return t;
}

/* Runs g node by node with the reference; out[k] is new. */
static inline void net_interpret(const mc_graph *g, const mcomp_tensor *const *inputs, mc_tensor **out)
{
    mc_tensor **v = mc_calloc((size_t)g->n_values + 1, sizeof *v);
    ck_assert_ptr_nonnull(v);
    for (int64_t i = 0; i < g->n_values; i++)
        if (g->values[i]->init) mc_ck_ok(mc_tensor_share(&v[i], g->values[i]->init));
    for (int64_t i = 0; i < g->n_inputs; i++) mc_ck_ok(mc_tensor_share(&v[g->inputs[i]->id], &inputs[i]->t));
    for (int64_t i = 0; i < g->n_order; i++) {
        const mc_node *n = g->order[i];
        const mc_tensor *in[MC_OP_MAX_IO] = {NULL};
        mc_tensor *o[MC_OP_MAX_IO] = {NULL};
        for (int32_t k = 0; k < n->n_in; k++) in[k] = n->in[k] ? v[n->in[k]->id] : NULL;
        mc_ck_ok(mc_op_eval(n, n->n_in, in, o));
        for (int32_t k = 0; k < n->n_out; k++)
            if (n->out[k]) v[n->out[k]->id] = o[k];
    }
    for (int64_t i = 0; i < g->n_outputs; i++) mc_ck_ok(mc_tensor_copy(&out[i], v[g->outputs[i]->id]));
    for (int64_t i = 0; i < g->n_values; i++) mc_tensor_destroy(v[i]);
    mc_free(v);
}

static inline void net_ck_same(const mc_tensor *want, const mcomp_tensor *got, const char *what)
{
    ck_assert_msg(want->dtype == got->t.dtype && mc_shape_equal(&want->shape, &got->t.shape), "%s: type differs", what);
    ck_assert_msg(mc_tensor_bytes(want) == 0 || memcmp(want->data, got->t.data, (size_t)mc_tensor_bytes(want)) == 0, "%s: elements differ", what);
}

/* x [batch, len, 8] -> MatMul W (or Mul b) -> Add b -> Relu -> + x -> y; a shape-preserving block with a residual. */
static inline mc_graph *net_block_of(int with_matmul)
{
    mc_graph *g = NULL;
    uint64_t seed = 7;
    mc_ops_register();
    mc_ck_ok(mc_graph_create(&g, "block"));
    mc_value *x = net_input(g, "x", MCOMP_F32, 3, (int64_t[]){net_symbol(g, "batch"), net_symbol(g, "len"), 8});
    mc_value *w = net_random_const(g, "w", 2, (int64_t[]){8, 8}, &seed), *b = net_random_const(g, "b", 1, (int64_t[]){8}, &seed);
    mc_value *y = with_matmul ? net_node(g, "MatMul", "dot", x, w) : net_node(g, "Mul", "scale", x, b);
    y = net_node(g, "Add", "bias", y, b);
    y = net_node(g, "Relu", "act", y, NULL);
    y = net_node(g, "Add", "res", y, x);
    mc_ck_ok(mc_graph_add_output(g, y));
    mc_ck_ok(mc_graph_remove_dead(g, NULL));
    mc_ck_ok(mc_infer_graph(g));
    return g;
}
static inline mc_graph *net_block(void) { return net_block_of(1); }

#endif
