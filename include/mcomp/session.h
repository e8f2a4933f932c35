/* mcomp/session.h - running models.
 *
 * A session is a graph made ready to run: immutable, shared by threads. An exec is one caller's working memory: one exec a
 * thread. After the first run of a shape, mcomp_exec_run allocates nothing.
 */
#ifndef MCOMP_SESSION_H
#define MCOMP_SESSION_H

#include <mcomp/graph.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mcomp_session_options {
    uint32_t size;
    int32_t threads;       /* 0: the context's pool; n: a pool of its own with n workers */
    const char *backend;   /* NULL: the context's choice; "auto", "cpu", "onednn", "cuda" */
    int32_t profile;       /* 1: execs keep per-node times */
    int32_t max_plans;     /* plans kept, least recently used goes; 0 = 16 */
    int32_t no_fusion;     /* 1: run the graph as it is (for debugging and differential tests) */
    int32_t reserved;
    const char *precision; /* f32 (NULL); bf16: matrix products (MatMul, Gemm and what they are fused into) round their operands to
                            * BF16 and sum in float, everything else is float; UNSUPPORTED where the CPU lacks AVX512_BF16. f32-split:
                            * these products as sums of BF16 products that lose nothing (docs/training.md); UNSUPPORTED without AMX */
} mcomp_session_options;
MCOMP_API int32_t mcomp_session_options_init(mcomp_session_options *o, uint32_t size);

/* The graph is cloned (weights shared). @thread shareable. Codes: UNSUPPORTED (lists every operator without a kernel),
 * NO_BACKEND, FORMAT, SHAPE, NO_MEMORY. */
MCOMP_API int32_t mcomp_session_create(mcomp_session **out, mcomp_context *ctx, const mcomp_graph *g,
                                       const mcomp_session_options *options);
/* Execs must be destroyed first. */
MCOMP_API void mcomp_session_destroy(mcomp_session *s);
MCOMP_API int32_t mcomp_session_n_inputs(const mcomp_session *s);
MCOMP_API int32_t mcomp_session_n_outputs(const mcomp_session *s);
MCOMP_API const char *mcomp_session_input_name(const mcomp_session *s, int32_t i);
MCOMP_API const char *mcomp_session_output_name(const mcomp_session *s, int32_t i);
/* Plans compiled so far (by shape bucket). */
MCOMP_API int32_t mcomp_session_plans(const mcomp_session *s);

/* @thread one at a time. */
MCOMP_API int32_t mcomp_exec_create(mcomp_exec **out, mcomp_session *s);
MCOMP_API void mcomp_exec_destroy(mcomp_exec *e);
/* Runs once. inputs: one tensor an input, in session order, borrowed for the call. outputs: receives one tensor an output,
 * owned by the exec and valid until its next run or its destruction. Codes: SHAPE, DTYPE, RANGE (index out of bounds),
 * LIMIT, CANCELLED, UNSUPPORTED, NO_MEMORY, FORKED. */
MCOMP_API int32_t mcomp_exec_run(mcomp_exec *e, int32_t n_inputs, const mcomp_tensor *const *inputs, int32_t n_outputs,
                                 const mcomp_tensor **outputs);

typedef struct mcomp_kernel_info { /* strings valid until the exec's next run */
    uint32_t size;
    int32_t integer;           /* 1: integer kernel */
    const char *node, *op, *backend, *kernel, *dtype, *why;
    double cost_us;            /* estimate the choice was made with */
    double time_us;            /* mean over profiled runs; 0 when not profiled */
    double macs;
} mcomp_kernel_info;
/* Placement of the plan used by the exec's last run. */
MCOMP_API int32_t mcomp_exec_kernel_count(const mcomp_exec *e, int32_t *count);
MCOMP_API int32_t mcomp_exec_kernel(const mcomp_exec *e, int32_t i, mcomp_kernel_info *out);

typedef struct mcomp_plan_info {
    uint32_t size;
    int32_t n_steps;
    uint64_t memory_bytes;       /* the one block of intermediates and scratch */
    uint64_t packed_bytes;       /* packed constants of the session */
    double macs, integer_macs;   /* integer_macs_ratio = integer_macs / macs */
    int64_t bucket;              /* largest size of the bucketed axis, 0 when the plan is for one exact shape */
} mcomp_plan_info;
MCOMP_API int32_t mcomp_exec_plan_info(const mcomp_exec *e, mcomp_plan_info *out);

#ifdef __cplusplus
}
#endif
#endif
