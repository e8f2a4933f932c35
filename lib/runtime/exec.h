/* runtime/exec.h - private: one caller's working memory. */
#ifndef MC_RUNTIME_EXEC_H
#define MC_RUNTIME_EXEC_H

#include "runtime/plan.h"

#define MC_MAX_BINDINGS 64

/* Device memory of one group. */
typedef struct mc_device {
    mcomp_bk_stream *stream;
    void **buffers; /* by argument of the group; NULL for constants */
    void *scratch;
} mc_device;

/* State that an exec keeps for a plan it has used. */
typedef struct mc_exec_plan {
    mc_plan *plan;
    int32_t refs;          /* bindings that use it */
    int64_t runs;          /* profiled ones */
    double *ns;            /* by step, profiled sessions only */
    mc_device *devices;    /* by group */
    mcomp_exec **nested;   /* two a step, made when first taken; NULL when the plan has no control flow */
} mc_exec_plan;

/* The dims of one exact set of input shapes. */
typedef struct mc_binding {
    mc_exec_plan *plan;
    uint64_t hash, used;
    int64_t *dims;         /* of all inputs, ranks first */
    int64_t n_dims;
    mcomp_bk_buffer *val;  /* by slot; data set for known values only */
    void *known;           /* memory behind known values */
    uint8_t *skip;         /* by step: MC_RUN_*; NULL when every step is MC_RUN_KERNEL */
} mc_binding;

enum { MC_RUN_KERNEL = 0, MC_RUN_NOTHING, MC_RUN_REFERENCE }; /* outputs empty; some input empty */

typedef struct mc_region {
    void *data;
    uint64_t bytes;
} mc_region;

struct mcomp_exec {
    mcomp_session *session;
    atomic_int busy;
    mc_region block;           /* intermediates and scratch */
    mc_region *out_memory;     /* by output */
    mcomp_tensor *out;         /* by output: what the caller gets */
    mc_region *in_copy;        /* by input: for inputs that are our own outputs */
    const void **in_data;      /* by input, of this run */
    int64_t *dims;             /* of this run's inputs */
    int64_t cap_dims;
    mc_binding **bindings;
    int64_t n_bindings, cap_bindings;
    mc_exec_plan **plans;
    int64_t n_plans, cap_plans;
    uint64_t clock;
    mc_binding *current;       /* of the last successful look-up */
    void **ptr;                /* by storage */
    mc_tensor **dynamic;       /* by storage */
    int64_t cap_storages, n_dynamic;
    mcomp_bk_buffer *args;
    int64_t cap_args;
};

/* Finds or makes the binding for the inputs' shapes (binding.c). */
int32_t mc_exec_bind(mcomp_exec *e, const mcomp_tensor *const *inputs, mc_binding **out);
void mc_exec_forget(mcomp_exec *e); /* all bindings and plans */
int32_t mc_region_grow(mc_region *r, uint64_t bytes);

/* Steps (steps.c). Data of a slot in this run. */
void *mc_exec_data(const mcomp_exec *e, const mc_binding *b, int32_t slot);
int32_t mc_exec_step(mcomp_exec *e, mc_binding *b, int64_t i);
void mc_exec_drop_dynamic(mcomp_exec *e);

#endif
