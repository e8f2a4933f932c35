/* tests/support/interp.h - runs a graph node by node with the reference, for tests that compare graphs; and a short way to
 * write graphs. Every function fails the running test by itself. */
#ifndef MC_TEST_INTERP_H
#define MC_TEST_INTERP_H

#include "ops/ops.h"

#define MC_TEST_IO 96
typedef struct mc_test_set { /* tensors for the inputs or outputs of a graph, in order */
    int64_t n;
    mc_tensor *t[MC_TEST_IO];
} mc_test_set;

/* Reference run. The set of outputs is the caller's (mc_test_set_free). */
mc_test_set mc_test_interp(const mc_graph *g, const mc_test_set *inputs);
/* Random tensors for every input: floats in [-1, 1), integers in [0, top]; symbolic dims become `dims` (cycled by symbol). */
mc_test_set mc_test_inputs(const mc_graph *g, uint64_t seed, int64_t top, const int64_t *dims, int32_t n_dims);
void mc_test_set_free(mc_test_set *s);
/* The same by a session on the CPU's own kernels. *bytes (may be NULL): its plan's one block of memory. */
mc_test_set mc_test_session(const mc_graph *g, const mc_test_set *inputs, uint64_t *bytes);
/* Same outputs: dtypes, shapes, names of a and b, and elements within |x - y| <= atol + rtol * |y|. */
void mc_test_same_outputs(const mc_graph *a, const mc_test_set *x, const mc_graph *b, const mc_test_set *y, double rtol, double atol);
/* Live nodes of this operator. */
int64_t mc_test_count(const mc_graph *g, const char *domain, const char *op);

/* Builder: one node of the default domain with n inputs; returns output 0. Attributes: mc_test_node(v)->... afterwards,
 * before mc_infer_graph. */
mc_value *mc_test_op(mc_graph *g, const char *op, int32_t n, ...);
mc_value *mc_test_input(mc_graph *g, const char *name, int32_t dtype, int32_t rank, const int64_t *dims);
mc_value *mc_test_random_const(mc_graph *g, uint64_t seed, float scale, int32_t rank, const int64_t *dims);
mc_value *mc_test_scalar(mc_graph *g, float v);
mc_value *mc_test_i64s(mc_graph *g, int32_t n, ...); /* int64_t arguments */
/* 1-d (rank 1) or 0-d (n = 0) constant of any dtype from doubles. */
mc_value *mc_test_const(mc_graph *g, int32_t dtype, int32_t n, const double *v);
void mc_test_output(mc_graph *g, mc_value *v, const char *name);

#endif
