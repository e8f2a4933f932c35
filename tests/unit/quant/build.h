/* Building and running small graphs for the tests of quant/: a builder on the internal graph and an interpreter. */
#ifndef MC_TEST_QUANT_BUILD_H
#define MC_TEST_QUANT_BUILD_H

#include "support/support.h"

#include <stdlib.h>

#include "ops/ops.h"

static inline mc_graph *tb_graph(void)
{
    mc_graph *g;
    mc_ops_register();
    mc_ck_ok(mc_graph_create(&g, "t"));
    return g;
}

static inline mc_value *tb_input(mc_graph *g, const char *name, int32_t rank, const int64_t *dims)
{
    mc_type t = {.dtype = MCOMP_F32, .rank = rank};
    mc_value *v;
    for (int32_t i = 0; i < rank; i++) {
        t.dim[i] = dims[i];
        if (dims[i] < 0) mc_ck_ok(mc_graph_symbol(g, "n", &t.dim[i]));
    }
    mc_ck_ok(mc_graph_add_input(g, name, &t, &v));
    return v;
}

/* f32 constant; data NULL: reproducible numbers in [-1, 1). */
static inline mc_value *tb_const(mc_graph *g, const char *name, int32_t rank, const int64_t *dims, const float *data)
{
    const mc_shape s = mc_shape_make(rank, dims);
    uint64_t seed = 17;
    mc_tensor *t;
    mc_value *v;
    mc_ck_ok(mc_tensor_create(&t, MCOMP_F32, &s));
    for (const char *c = name; *c; c++) seed = seed * 31 + (uint64_t)*c;
    for (int64_t i = 0; i < mc_tensor_elements(t); i++) ((float *)t->data)[i] = data ? data[i] : mc_test_random(&seed);
    mc_ck_ok(mc_graph_add_const(g, name, t, &v));
    return v;
}

/* Default-domain node with one output, typed. Inputs end with NULL unless n is given. */
static inline mc_node *tb_node(mc_graph *g, const char *op, const char *name, int32_t n, mc_value *a, mc_value *b, mc_value *c)
{
    mc_value *in[3] = {a, b, c};
    mc_node *node;
    mc_ck_ok(mc_graph_add_node(g, "", op, 0, name, n, in, 1, NULL, &node));
    ck_assert_msg(node->desc != NULL, "%s is not known", op);
    return node;
}

static inline void tb_finish(mc_graph *g, mc_value *y)
{
    mc_ck_ok(mc_graph_add_output(g, y));
    mc_ck_ok(mc_graph_sort(g));
    mc_ck_ok(mc_infer_graph(g));
    mc_ck_ok(mc_graph_validate(g));
}

static inline int tb_count(const mc_graph *g, const char *op)
{
    int n = 0;
    for (int64_t i = 0; i < g->n_order; i++) n += strcmp(g->order[i]->op, op) == 0;
    return n;
}

/* Interpreter: every value of the graph by id, owned by the caller's array (n_values entries). x feeds input 0. */
static inline mc_tensor **tb_run(const mc_graph *g, const mc_tensor *x)
{
    mc_tensor **v = calloc((size_t)g->n_values + 1, sizeof *v);
    mc_ck_ok(mc_tensor_copy(&v[g->inputs[0]->id], x));
    for (int64_t i = 0; i < g->n_order; i++) {
        const mc_node *n = g->order[i];
        const mc_tensor *in[8] = {0};
        mc_tensor *out[8] = {0};
        ck_assert(n->n_in <= 8 && n->n_out <= 8);
        for (int32_t k = 0; k < n->n_in; k++)
            in[k] = n->in[k] ? (n->in[k]->init ? n->in[k]->init : v[n->in[k]->id]) : NULL;
        mc_ck_ok(mc_op_eval(n, n->n_in, in, out));
        for (int32_t k = 0; k < n->n_out; k++)
            if (n->out[k]) v[n->out[k]->id] = out[k];
    }
    return v;
}

static inline void tb_run_free(const mc_graph *g, mc_tensor **v)
{
    for (int64_t i = 0; i < g->n_values; i++) mc_tensor_destroy(v[i]);
    free(v);
}

static inline mc_tensor *tb_tensor(int32_t rank, const int64_t *dims, uint64_t seed, float scale)
{
    const mc_shape s = mc_shape_make(rank, dims);
    mc_tensor *t;
    mc_ck_ok(mc_tensor_create(&t, MCOMP_F32, &s));
    for (int64_t i = 0; i < mc_tensor_elements(t); i++) ((float *)t->data)[i] = mc_test_random(&seed) * scale;
    return t;
}

/* sum (a - b)^2 / sum a^2 */
static inline double tb_error(const mc_tensor *a, const mc_tensor *b)
{
    double noise = 0.0, signal = 0.0;
    ck_assert(mc_tensor_elements(a) == mc_tensor_elements(b));
    for (int64_t i = 0; i < mc_tensor_elements(a); i++) {
        const double x = mc_tensor_get_f64(a, i), d = x - mc_tensor_get_f64(b, i);
        noise += d * d;
        signal += x * x;
    }
    return signal > 0.0 ? noise / signal : noise;
}

#endif
