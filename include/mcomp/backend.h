/* mcomp/backend.h - the plugin interface: how a backend offers kernels to libmcomp.
 *
 * A backend is a shared object `libmcomp-<name>.so` that exports one symbol, mcomp_backend_entry, and links to nothing of
 * libmcomp: everything it needs comes through the host table. Both tables are size-first and append-only; each side
 * checks the other's `size` before it touches a member added later. abi_major must be equal, abi_minor may differ.
 * The built-in CPU backend uses the same tables.
 *
 * Life of a model: the host asks claim() for every node of a plan and picks the cheapest claim (transfers counted); it
 * calls compile() for groups of nodes (groups of one node for backends that run in host memory, connected groups for
 * devices with memory of their own), and later run() many times. Constants are known at compile: prepack them then
 * (see pack()); every other operand varies. A plan serves all sizes of one shape bucket: the dims seen at compile
 * are the largest ones, the dims at run are in the buffers and may be smaller in the bucketed axis.
 *
 * Threads: claim, compile and destroy are called by one thread at a time for one instance. run() may be called by many
 * threads at once for the same program, with different buffers and scratch; a program is immutable after compile.
 * Kernels may use parallel_for of the run arguments; a plugin starts no threads of its own and must survive fork.
 *
 * Plugins are loaded once and never unloaded: link with -Wl,-z,nodelete.
 */
#ifndef MCOMP_BACKEND_H
#define MCOMP_BACKEND_H

#include <mcomp/status.h>
#include <mcomp/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MCOMP_BACKEND_ABI_MAJOR 1
#define MCOMP_BACKEND_ABI_MINOR 0

typedef struct mcomp_bk_node mcomp_bk_node;       /* a node of the plan, borrowed during claim and compile */
typedef struct mcomp_bk_value mcomp_bk_value;     /* a value of the plan, likewise */
typedef struct mcomp_bk_pool mcomp_bk_pool;       /* worker threads of the caller */
typedef struct mcomp_bk_store mcomp_bk_store;     /* packed constants, shared by all plans of a session */
typedef struct mcomp_bk_instance mcomp_bk_instance; /* the backend's own state for one device */
typedef struct mcomp_bk_program mcomp_bk_program;   /* the backend's compiled group of nodes */
typedef struct mcomp_bk_stream mcomp_bk_stream;     /* the backend's own stream */

/* ISA tiers as cpu_isa() reports them (the MCOMP_ISA cap applied). */
#define MCOMP_ISA_REF 0
#define MCOMP_ISA_AVX2 1
#define MCOMP_ISA_AVX512 2
#define MCOMP_ISA_AVX512_VNNI 3

/* Epilogue of a row tile, extension "epilogue_f32" of get_proc: for each of m rows of n floats (row stride ld_y):
 * y = y + bias; y = act(y); y += residual; y = post_act(y); LayerNormalization over the row if gamma or eps given. */
typedef struct mcomp_epilogue_f32 {
    uint32_t size;
    int32_t act, post_act;       /* MCOMP_ACT_* */
    float act_lo, act_hi;        /* for CLIP */
    int32_t layernorm;           /* 1: normalise the row at the end (the tile must hold whole rows) */
    float ln_eps;
    int32_t reserved;
    const float *bias;           /* [n] or NULL */
    const float *gamma, *beta;   /* [n] or NULL */
    const float *residual;       /* [m][ld_r] or NULL */
    int64_t ld_r;
} mcomp_epilogue_f32;
typedef void (*mcomp_epilogue_f32_fn)(const mcomp_epilogue_f32 *e, float *y, int64_t ld_y, int64_t m, int64_t n);

/* Epilogue of integer tiles, extension "epilogue_q8" of get_proc: for each of m rows of n exact sums (zero point of X taken off), in
 * the single-precision order that makes integer plans equal on every backend (docs/fused_ops.md, Numerics, steps 2 to 9):
 * v = acc * (x_scale * w_scale); + bias; act; through the grid m if m_scale > 0; + residual; post_act; LayerNormalization; requantized
 * if y_scale > 0. A plugin that has the sums right needs no float code of its own. Reads of acc may go up to 15 elements beyond a row's end. */
typedef struct mcomp_epilogue_q8 {
    uint32_t size;
    int32_t act, post_act;   /* MCOMP_ACT_* */
    float act_lo, act_hi;    /* for CLIP */
    int32_t layernorm;       /* 1: the tile must hold whole rows */
    float ln_eps, x_scale;
    const float *row_scale;  /* [m], instead of x_scale; or NULL */
    const float *w_scale;    /* [n] */
    const float *bias;       /* [n] or NULL */
    const float *gamma, *beta; /* [n] or NULL */
    const void *residual;    /* [m][ld_r] of r_dtype (MCOMP_F32, MCOMP_U8, MCOMP_I8), or NULL */
    int64_t ld_r, ld_acc, ld_y; /* elements */
    const int32_t *acc;
    void *y;                 /* floats, or bytes of y_dtype if y_scale > 0 */
    float *rows;             /* m * n floats, needed only where LayerNormalization and y_scale meet */
    int32_t r_dtype, r_zp, y_dtype, y_zp, m_dtype, m_zp;
    float r_scale, y_scale, m_scale;
} mcomp_epilogue_q8;
typedef void (*mcomp_epilogue_q8_fn)(const mcomp_epilogue_q8 *e, int64_t m, int64_t n);

/* Quantization on the way in, extension "quantize_q8": m rows of k floats to unsigned bytes. row_scale NULL: by scale and zp (of a
 * signed type: zp + 128). Otherwise each row by its own scale, written to row_scale, with zero point 128 (mode `token`). */
typedef void (*mcomp_quantize_q8_fn)(const float *x, int64_t ld_x, int64_t m, int64_t k, float scale, int32_t zp, uint8_t *y,
                                     int64_t ld_y, float *row_scale);

#define MCOMP_ACT_NONE 0
#define MCOMP_ACT_RELU 1
#define MCOMP_ACT_CLIP 2
#define MCOMP_ACT_GELU 3      /* 0.5 x (1 + erf(x / sqrt 2)) */
#define MCOMP_ACT_GELU_TANH 4
#define MCOMP_ACT_SIGMOID 5
#define MCOMP_ACT_TANH 6
#define MCOMP_ACT_SILU 7
#define MCOMP_ACT_HARDSWISH 8

typedef void (*mcomp_bk_task_fn)(void *ctx, int64_t task, int32_t worker);

/* What the host gives to a backend. */
typedef struct mcomp_host_api {
    uint32_t size, abi_major, abi_minor, reserved;
    /* memory of the host's allocator, 64-byte aligned, NULL on failure */
    void *(*alloc)(uint64_t bytes);
    void (*release)(void *p);
    void (*log)(int32_t level, const char *text);
    /* fills the calling thread's error record and returns code */
    int32_t (*fail)(int32_t code, const char *where, const char *message);
    /* runs fn for tasks 0..n-1; returns when all are done */
    void (*parallel_for)(mcomp_bk_pool *pool, int64_t n, mcomp_bk_task_fn fn, void *ctx);
    int32_t (*threads)(const mcomp_bk_pool *pool); /* workers that may run tasks at once; worker < threads */
    int32_t (*cpu_isa)(void);
    int32_t (*cpu_has_bf16)(void);
    /* nodes */
    const char *(*node_name)(const mcomp_bk_node *n);
    const char *(*node_domain)(const mcomp_bk_node *n);
    const char *(*node_op)(const mcomp_bk_node *n);
    int32_t (*node_n_inputs)(const mcomp_bk_node *n);
    int32_t (*node_n_outputs)(const mcomp_bk_node *n);
    const mcomp_bk_value *(*node_input)(const mcomp_bk_node *n, int32_t i);  /* NULL: omitted */
    const mcomp_bk_value *(*node_output)(const mcomp_bk_node *n, int32_t i); /* NULL: nobody wants it */
    int64_t (*attr_int)(const mcomp_bk_node *n, const char *name, int64_t otherwise);
    double (*attr_float)(const mcomp_bk_node *n, const char *name, double otherwise);
    const char *(*attr_string)(const mcomp_bk_node *n, const char *name, const char *otherwise);
    int32_t (*attr_ints)(const mcomp_bk_node *n, const char *name, int64_t *out, int32_t cap); /* count, -1 if absent */
    /* values; dims are those of the plan (the largest of the bucket) */
    int32_t (*value_dtype)(const mcomp_bk_value *v);
    int32_t (*value_rank)(const mcomp_bk_value *v);
    void (*value_dims)(const mcomp_bk_value *v, int64_t dims[MCOMP_MAX_RANK]);
    const void *(*value_const)(const mcomp_bk_value *v); /* row-major elements, NULL if not constant */
    uint64_t (*value_key)(const mcomp_bk_value *v); /* identity of a constant's content in the session; 0 if not constant */
    /* Packed constants shared by all plans of a session: finds the block of this key or allocates `bytes` and calls fill
     * once. The block lives as long as the session. */
    int32_t (*pack)(mcomp_bk_store *store, const char *key, uint64_t bytes, int32_t (*fill)(void *ctx, void *block),
                    void *ctx, const void **block);
    /* extensions by name ("epilogue_f32", "epilogue_q8", "quantize_q8"); NULL if unknown */
    void (*(*get_proc)(const char *name))(void);
} mcomp_host_api;

/* Answer to a claim. Preset to zero by the host. */
typedef struct mcomp_claim {
    uint32_t size;
    int32_t reserved;
    double cost_us;       /* estimated time of one run on one thread at the plan's dims, > 0 */
    int32_t inplace_input; /* 1 + index of the input whose memory output 0 may reuse; 0 = none */
    int32_t integer;       /* 1: the matrix part runs on integers (for integer_macs_ratio) */
    char kernel[64];       /* name of the kernel it would use, e.g. "qgemm:avx512_vnni"; "ref:<op>" for references */
    char note[128];        /* what explain says of it, "" nothing; of hosts whose `size` covers it */
} mcomp_claim;

typedef struct mcomp_bk_compile {
    uint32_t size;
    int32_t n_nodes;
    const mcomp_bk_node *const *nodes;   /* in execution order */
    int32_t n_values, reserved;
    const mcomp_bk_value *const *values; /* every value the nodes read or write, once; the index is its slot at run */
    mcomp_bk_store *store;
    int32_t threads, reserved2;
} mcomp_bk_compile;

typedef struct mcomp_program_info {
    uint32_t size;
    int32_t reserved;
    uint64_t scratch_bytes;            /* shared by the whole run */
    uint64_t scratch_per_worker_bytes; /* times the number of workers */
} mcomp_program_info;

typedef struct mcomp_bk_buffer {
    void *data; /* host memory; device memory for backends that own memory */
    int32_t rank, dtype;
    int64_t dims[MCOMP_MAX_RANK]; /* dims of this run */
} mcomp_bk_buffer;

typedef struct mcomp_run_args {
    uint32_t size;
    int32_t n_buffers;
    const mcomp_bk_buffer *buffers; /* by slot of compile's values */
    void *scratch;                  /* scratch_bytes, 64-byte aligned */
    void *worker_scratch;           /* worker w uses worker_scratch + w * scratch_per_worker_bytes (rounded up to 64) */
    uint64_t worker_scratch_stride;
    mcomp_bk_pool *pool;
    mcomp_bk_stream *stream;        /* NULL for host-memory backends */
} mcomp_run_args;

typedef struct mcomp_device_info {
    uint32_t size;
    int32_t reserved;
    char name[96];
    uint64_t memory_bytes;
} mcomp_device_info;

#define MCOMP_BACKEND_OWN_MEMORY 1u /* buffers live in device memory: alloc/upload/download are used, groups are compiled whole */

/* What a backend gives to the host. Members after `run` may be NULL for backends that run in host memory. */
typedef struct mcomp_backend_api {
    uint32_t size, abi_major, abi_minor, flags; /* flags: MCOMP_BACKEND_* */
    const char *name, *vendor, *version;
    int32_t (*score)(void);        /* 0: not usable on this machine (the reason in the error record); higher wins */
    int32_t (*device_count)(void);
    int32_t (*device_info)(int32_t device, mcomp_device_info *out);
    /* options as key/value pairs; an unknown key is MCOMP_ARGUMENT */
    int32_t (*create)(mcomp_bk_instance **out, int32_t device, const char *const *keys, const char *const *values, int32_t n);
    void (*destroy)(mcomp_bk_instance *b);
    int32_t (*self_test)(mcomp_bk_instance *b); /* reference vectors; MCOMP_NO_BACKEND with the reason if they fail */
    int32_t (*claim)(mcomp_bk_instance *b, const mcomp_bk_node *n, mcomp_claim *out); /* 1 yes; 0 no, the
        reason (if fail() was called) is shown by explain; negative: error */
    int32_t (*compile)(mcomp_bk_instance *b, const mcomp_bk_compile *c, mcomp_bk_program **out);
    void (*program_destroy)(mcomp_bk_program *p);
    int32_t (*program_info)(const mcomp_bk_program *p, mcomp_program_info *out);
    int32_t (*run)(const mcomp_bk_program *p, const mcomp_run_args *args);
    /* device memory */
    int32_t (*buffer_alloc)(mcomp_bk_instance *b, uint64_t bytes, void **out);
    void (*buffer_free)(mcomp_bk_instance *b, void *p);
    int32_t (*upload)(mcomp_bk_instance *b, mcomp_bk_stream *s, void *device, const void *host, uint64_t bytes);
    int32_t (*download)(mcomp_bk_instance *b, mcomp_bk_stream *s, void *host, const void *device, uint64_t bytes);
    int32_t (*stream_create)(mcomp_bk_instance *b, mcomp_bk_stream **out);
    void (*stream_destroy)(mcomp_bk_instance *b, mcomp_bk_stream *s);
    int32_t (*synchronize)(mcomp_bk_instance *b, mcomp_bk_stream *s);
} mcomp_backend_api;

/* The one exported symbol. Returns the backend's table, or NULL (reason through host->fail). host lives for ever. */
const mcomp_backend_api *mcomp_backend_entry(const mcomp_host_api *host);
typedef const mcomp_backend_api *(*mcomp_backend_entry_fn)(const mcomp_host_api *host);

#ifdef __cplusplus
}
#endif
#endif
