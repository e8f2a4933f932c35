/* tests/support/node.h - runs one node through a backend and compares it with the operator's reference. */
#ifndef MC_TEST_NODE_H
#define MC_TEST_NODE_H

#include "graph/graph.h"
#include "ops/ops.h"
#include <mcomp/backend.h>

#define MC_TEST_IN 12
#define MC_TEST_OUT 8

/* A node with its inputs. Inputs are owned by the case; bit i of `constant` makes input i a constant of the graph. */
typedef struct mc_node_case {
    const char *domain, *op;
    const char *attrs; /* "axis=1 perm=[0,2,1] alpha=0.5f mode='linear'" or NULL */
    int32_t n_in, n_out;
    uint32_t constant;
    mc_tensor *in[MC_TEST_IN]; /* NULL: omitted */
    const mcomp_backend_api *api;
    mcomp_bk_instance *instance; /* NULL: the built-in cpu backend */
    const char *kernel;          /* the claim's kernel must begin with it; NULL: any */
    double rtol, atol;           /* for float outputs; integers must be equal */
    int32_t threads;             /* 0: 2 */
    int32_t expect;              /* status that run is expected to give */
    float *keep;                 /* receives the outputs (float) one after another, or NULL */
    const float *same;           /* the outputs must have these bits, or NULL */
} mc_node_case;

/* Attributes from text like that of mc_node_case.attrs; NULL and "" are fine. */
void mc_test_set_attrs(mc_node *n, const char *attrs);
/* Tensors: random in [-1, 1), or from values. Dims end with -1. */
mc_tensor *mc_test_tensor(int32_t dtype, const int64_t *dims, int32_t rank, uint64_t seed);
mc_tensor *mc_test_f32(uint64_t seed, int32_t rank, ...); /* dims as int */
mc_tensor *mc_test_ints(int32_t n, ...);                  /* 1-d int64 of ints */

/* Builds, claims, compiles, runs, compares with mc_op_eval; frees the inputs. Returns the claim's cost. */
double mc_ck_node(mc_node_case *c);
/* The same, but the reference outputs are given (want[i] consumed). */
double mc_ck_node_want(mc_node_case *c, mc_tensor **want);
/* Time of one run in microseconds (minimum of several), for benchmarks; 0 rounds: not measured. */
extern int32_t mc_test_rounds;
extern double mc_test_us;

#endif
