/* backends/cpu/qgemm.h - private: integer products with their epilogue, shared by QLinear, QConv and MatMulInteger.
 *
 * A node becomes: packed weights (once a session), an epilogue read from its attributes, and tiles of rows. A tile copies or
 * quantizes its rows into the worker's scratch where they cannot be read in place, multiplies block of columns by block of
 * columns, and finishes each block while its sums are in L1.
 */
#ifndef MC_BACKENDS_CPU_QGEMM_H
#define MC_BACKENDS_CPU_QGEMM_H

#include "backends/cpu/cpu.h"

#define MC_Q_MAX_K 33000 /* 255 * 127 * K stays below 2^31 (docs/fused_ops.md); larger products are left to the reference */

typedef struct mc_q_matrix {
    mc_qgemm_shape shape;
    const void *packed;
    const int32_t *colsum; /* [n padded] */
    int32_t sparse;        /* packed 4x1 (kernels/sparse.h) */
} mc_q_matrix;

/* How W lies in memory. */
enum { MC_Q_KN, MC_Q_NK, MC_Q_OIHW };

typedef struct mc_q_layout {
    int32_t order;                 /* MC_Q_KN.. */
    int32_t groups;
    int64_t n, channels, kh, kw;   /* a group: n columns, depth channels * kh * kw */
    uint32_t flip;                 /* 0x80: W is unsigned; w - 128 is packed */
    int32_t rows_as_runs;          /* OIHW: one run a kernel row (kw * channels) instead of one a tap (channels) */
    int32_t sparse;                /* pack 4x1 (sparse.c decides) */
} mc_q_layout;

/* The product of a matrix: dense and sparse kernels are called alike. */
typedef struct mc_q_product {
    uint64_t (*packed_bytes)(const mc_qgemm_shape *s, const int8_t *w);
    void (*pack)(const mc_qgemm_shape *s, const int8_t *w, void *out, int32_t *colsum);
    uint64_t (*loaded_bytes)(const mc_qgemm_shape *s, int64_t m);
    void (*load)(const mc_qgemm_tile *t);
    void (*gemm)(const mc_qgemm_tile *t);
    void (*done)(const mc_qgemm_tile *t);
} mc_q_product;
mc_q_product mc_q_product_of(const mc_kernels *k, int32_t sparse);

/* Dense or 4x1 sparse for constant weights w and so many rows (sparse.c). The attribute `sparse` of the node decides where it is
 * not 0: 1 always, -1 never (passes/pass_sparse.c). */
typedef struct mc_q_choice {
    int32_t sparse;
    double cost;    /* of the dense kernel's time, as a factor */
    char note[128]; /* for explain; "" */
} mc_q_choice;
mc_q_choice mc_q_choose(const mc_node *n, const mc_q_layout *l, const int8_t *w, double rows);

/* Packs the constant input `index` for the tier in effect; out: [groups]. */
int32_t mc_q_pack(const mc_cpu_step *s, int32_t index, const mc_q_layout *l, mc_q_matrix *out);
static inline int64_t mc_q_padded(int64_t n) { return (n + MC_QGEMM_LANES - 1) / MC_QGEMM_LANES * MC_QGEMM_LANES; }
/* init[j] = -zp * colsum[j], modulo 2^32. */
void mc_q_init(const mc_q_matrix *w, int32_t zp, int32_t *init);

/* x_scale, x_zp, x_dtype (prefix "x") and so on; dtype MCOMP_U8 or MCOMP_I8, 0: from the attribute. 0 = not usable. */
/* Parameters in the domain of unsigned bytes that the kernels work in; zp of dtype u8 or s8. */
mc_qmap mc_q_map_of(float scale, int32_t zp, int32_t dtype);
int mc_q_map(const mc_node *n, const char *prefix, int32_t dtype, mc_qmap *p);

/* What follows the sums; constants of the node. */
typedef struct mc_q_finish {
    const float *w_scale, *bias, *gamma, *beta; /* [n] of all groups; NULL: none */
    int32_t act, post_act, layernorm, residual, middle; /* residual: MC_QRESIDUAL_* */
    float lo, hi, eps, m_inv;
    mc_qmap r_param, m_param;
    mc_qout out; /* y and ld are of the run */
} mc_q_finish;

/* Inputs from `first`: w_scale, B, R and (gammas != 0) gamma, beta. 1 if every operand is a constant of the right kind;
 * finish may be NULL (claims). */
int mc_q_finish_read(const mc_node *n, int32_t first, int32_t gammas, int64_t outputs, mc_q_finish *finish);

typedef struct mc_q_tile {
    const mc_kernels *kernels;
    const mc_q_matrix *w;
    const mc_q_finish *finish;
    const uint8_t *const *rows;
    const int64_t *seg;
    int64_t m, n0, cols;     /* columns of the matrix; all of them when there is a LayerNormalization */
    int64_t channel0;        /* where the matrix's column 0 stands among the outputs (groups) */
    const int32_t *init;
    float x_scale;
    const float *row_scale;
    const void *r;           /* residual and output of the tile's first row, output channel 0 */
    void *y;
    int64_t ld;              /* of both, in elements */
    uint8_t *scratch;
} mc_q_tile;

uint64_t mc_q_tile_scratch(const mc_kernels *k, const mc_q_matrix *w, int64_t m, const mc_q_finish *f);
void mc_q_tile_run(const mc_q_tile *t);
/* LayerNormalization of rows in place; then, if out is quantized, they become rows of out (ld elements apart). */
void mc_q_normalise(const mc_kernels *k, const mc_norm_f32 *norm, const mc_qout *out, int64_t ld);

/* Runs the tasks over the pool, or in the caller if they are too little to wake it for. */
void mc_q_parallel(const mc_cpu_step *s, const mcomp_run_args *a, int64_t tasks, double macs, mcomp_bk_task_fn fn, void *ctx);

/* mc_tensor_scale of n floats; scratch: MC_Q_EXTREMES * 2 floats. */
#define MC_Q_EXTREMES 64
float mc_q_tensor_scale(const mc_cpu_step *s, const mcomp_run_args *a, const float *x, int64_t n, float *scratch, int32_t *zp);

/* Estimated microseconds on one thread; name: "<name>:<tier>". Returns 1. */
int32_t mc_q_claim(mcomp_claim *c, const char *name, double macs, double bytes);
/* The same of a product with constant weights; "_sparse4x1" is added to the name where they will be packed so. */
int32_t mc_q_claim_product(mcomp_claim *c, const char *name, const mc_q_choice *choice, double macs, double bytes);
/* Elements of a type, symbols counting 128. */
double mc_q_guess(const mc_type *t);
int mc_q_is_byte(const mc_type *t); /* u8 or s8 */
static inline int64_t mc_q_up(int64_t v, int64_t to) { return (v + to - 1) / to * to; }
static inline int64_t mc_q_element(int32_t dtype) { return dtype == MCOMP_F32 ? 4 : 1; }

#endif
