/* runtime/plan.h - private: what a session compiles for one shape bucket, and how dims get bound to it.
 *
 * A plan is the lowered graph with a step for every node, one program a kernel step, and storages (offsets into one block)
 * for all values. It is made for the largest dims of a bucket; a run of smaller dims binds its own dims to the same steps.
 */
#ifndef MC_RUNTIME_PLAN_H
#define MC_RUNTIME_PLAN_H

#include <pthread.h>
#include <stdatomic.h>

#include "ops/ops.h"
#include "passes/passes.h"
#include "runtime/registry.h"

#define MC_MAX_BACKENDS 8
#define MC_KNOWN_ELEMENTS 1024 /* values of at most so many elements are followed through shape arithmetic */

/* ---- dims of every value for concrete input dims (bind.c) ------------------------------------------------------- */

typedef struct mc_bound {
    mc_type type;     /* rank -1 or a dim < 0: only known at run time */
    mc_tensor *known; /* the value itself, where it follows from dims and constants alone; NULL otherwise */
    int32_t owned;    /* known is ours (not an initializer of the graph) */
    int32_t reserved;
} mc_bound;

/* Infers every value of g (array of g->n_values) from the types of its inputs. What depends on run-time values stays
 * unknown. Fails where dims do not fit together. */
int32_t mc_bind(mc_bound **out, const mc_graph *g, const mc_type *inputs);
void mc_bind_free(mc_bound *b, int64_t n_values);

/* ---- bucket rule and input checks (bucket.c) ----------------------------------------------------------------------- */

/* Every run: inputs present, dtype, alignment. */
int32_t mc_check_memory(const mc_graph *g, const mcomp_tensor *const *inputs);
/* New shapes: rank, fixed dims, equal symbols, size. */
int32_t mc_check_shapes(const mc_graph *g, const mcomp_tensor *const *inputs, uint64_t max_bytes);
/* Dims of the bucket that holds `run` (n_inputs types each): see bucket.c for the rule. *largest: the largest rounded dim, 0
 * when no input dim is symbolic. */
void mc_bucket(const mc_graph *g, const mc_type *run, mc_type *bucket, int64_t *largest);

/* ---- plan ---------------------------------------------------------------------------------------------------------- */

enum {
    MC_STEP_KERNEL = 0, /* a program of a backend */
    MC_STEP_VIEW,       /* output is the input's memory */
    MC_STEP_KNOWN,      /* value follows from the input dims: computed once a binding */
    MC_STEP_EVAL,       /* interpreted at run time: dims depend on values, or strings */
    MC_STEP_CONTROL,    /* If, Loop: runs nested sessions */
    MC_STEP_OBSERVE,
    MC_STEP_DEVICE        /* part of a group that a device runs where its first step stands */
};

/* What a value is to a group of nodes on a device. */
enum { MC_ROLE_CONST = 0, MC_ROLE_IN, MC_ROLE_OUT, MC_ROLE_INNER };

typedef struct mc_group_arg {
    int32_t slot, role;
    uint64_t bytes; /* at the bucket's dims */
} mc_group_arg;

typedef struct mc_group {
    int32_t backend, n_args; /* index in the session */
    int64_t first, last;     /* steps */
    mc_group_arg *args;
    int64_t cap_args;
    mcomp_bk_program *program;
    uint64_t scratch_bytes;
} mc_group;

typedef struct mc_step {
    const mc_node *node;
    int32_t kind;
    int32_t integer;
    const mcomp_backend_api *api;
    mcomp_bk_program *program;  /* NULL: the operator's reference */
    int32_t n_args, reserved;
    int32_t *args;              /* slots, in the order of the program's values */
    int32_t inplace;            /* slot that output 0 overwrites, -1 */
    int32_t scratch, worker;    /* storages, -1 */
    int32_t group, reserved2;   /* DEVICE: index of the plan's group */
    uint64_t scratch_bytes, worker_stride;
    double cost_us, macs;
    const char *backend, *dtype;
    char kernel[64], why[256];
    mcomp_session *sub[2];      /* CONTROL: then and else, or body */
} mc_step;

enum { MC_STORE_ARENA = 0, MC_STORE_INPUT, MC_STORE_CONST, MC_STORE_KNOWN, MC_STORE_OUTPUT, MC_STORE_DYNAMIC,
       MC_STORE_DEVICE /* never in host memory */ };

typedef struct mc_storage {
    int32_t kind;
    int32_t index;       /* INPUT: of the input; OUTPUT: of the output */
    int32_t into;        /* merged into another storage (in-place), or -1 */
    int32_t reserved;
    uint64_t bytes, offset;
    int64_t first, last; /* steps */
    void *constant;      /* CONST */
} mc_storage;

typedef struct mc_plan {
    atomic_int refs;
    int32_t exact;        /* for one exact shape only */
    mcomp_session *session;
    mc_graph *g;
    mc_type *key;         /* input types it was compiled for */
    int64_t bucket;
    uint64_t used;        /* clock of the session's cache */
    mc_step *steps;
    int64_t n_steps;
    mc_group *groups;
    int64_t n_groups, cap_groups;
    int32_t n_slots, max_args;
    int32_t *slot_of;     /* by value id, -1: not used by any step */
    mc_value **slot_value;
    mc_type *slot_type;   /* dims of the bucket */
    int32_t *slot_storage;
    mc_storage *storages;
    int64_t n_storages, cap_storages;
    uint64_t block_bytes; /* intermediates and scratch */
    uint64_t *output_bytes;
    double macs, integer_macs;
} mc_plan;

/* Plan for these input types; the caller holds the session's lock. `exact`: never a bucket. */
int32_t mc_plan_get(mcomp_session *s, const mc_type *run, int32_t exact, mc_plan **out);
mc_plan *mc_plan_ref(mc_plan *p);
void mc_plan_unref(mc_plan *p);
/* Chooses kernels and compiles programs for all kernel steps (place.c). */
int32_t mc_plan_place(mc_plan *p);
/* Assigns storages and offsets (memory.c). */
int32_t mc_plan_memory(mc_plan *p);
/* 1 if output i of n is wanted by somebody (output 0 always is). */
int mc_output_wanted(const mc_node *n, int32_t i);

/* ---- session --------------------------------------------------------------------------------------------------------- */

typedef struct mc_session_backend {
    char name[32];
    const mcomp_backend_api *api;
    mcomp_bk_instance *instance;
} mc_session_backend;

struct mcomp_session {
    atomic_int refs;        /* the handle, and one an exec */
    int32_t no_fusion, profile, max_plans;
    int32_t references;     /* 1: no programs, kernel steps run the operator's reference */
    int32_t bf16;           /* as in mc_pass_options */
    int32_t sparse;         /* mc_session_use_sparse */
    mcomp_context *ctx;
    mc_registry *registry;  /* its lock serialises claim, compile and destroy */
    mc_pool *pool;
    mc_pool *own_pool;      /* NULL: the context's */
    mc_graph *g;            /* after load passes */
    mc_graph *lowered;      /* after all passes with symbols kept; NULL until first needed */
    int32_t exact_only;     /* dims cannot be followed symbolically: one plan an exact shape */
    int32_t preferred;      /* index of the backend the user asked for, -1 */
    mc_session_backend backends[MC_MAX_BACKENDS];
    int32_t n_backends, has_observer;
    mc_observer observer;
    mc_store *store;
    pthread_mutex_t lock;   /* plans, lowered, store */
    mc_plan **plans;
    int64_t n_plans, cap_plans;
    int64_t compiled;
    uint64_t clock;
};

/* Session over a branch: the parent's context, pool, backends and observer. g is cloned. */
int32_t mc_session_nested(mcomp_session **out, const mcomp_session *parent, const mc_graph *g);
void mc_session_ref(mcomp_session *s);
void mc_session_unref(mcomp_session *s);

#endif
