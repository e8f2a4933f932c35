/* kernels/int8.h - integer kernels.
 *
 * Every kernel gives the same bits on every tier: float steps are those of kernels/math_f32.h.
 *
 * GEMM. acc[m][n] = sum_k a[m][k] * w[k][n], a unsigned bytes, w signed bytes, sums exact in 32 bits (they wrap). Weights are
 * packed once by the tier that will read them (mc_kernels_for(tier)->int8.qgemm_pack); a packed block belongs to its tier.
 * Signed activations are stored as unsigned ones shifted by 128 (byte ^ 0x80), with a zero point shifted likewise, so that
 * one kernel serves both. The left operand is indirect: a row is `segments` runs of seg_len bytes, run s at
 * rows[i] + seg[s]; a matrix row is one run, the window of a channels-last convolution is one run per kernel tap (or per
 * kernel row), so convolutions need no im2col. Every run must be readable up to the next multiple of 4 bytes; what lies there
 * meets zero weights.
 */
#ifndef MC_KERNELS_INT8_H
#define MC_KERNELS_INT8_H

#include <stdint.h>

#define MC_QGEMM_LANES 16 /* columns are padded to this in packed weights, in init and in acc */

/* Shape of the right operand: n columns, each segments * seg_len weights long. */
typedef struct mc_qgemm_shape {
    int64_t n;
    int64_t segments, seg_len;
} mc_qgemm_shape;

typedef struct mc_qgemm_tile {
    mc_qgemm_shape shape;
    const void *packed;         /* from qgemm_pack of the same tier */
    const uint8_t *const *rows; /* [m] */
    const int64_t *seg;         /* [segments] byte offsets from a row's start */
    int64_t m;
    void *loaded;         /* qgemm_loaded_bytes, written by qgemm_load and read by qgemm */
    int64_t n0, cols;     /* columns to compute; n0 a multiple of MC_QGEMM_LANES */
    const int32_t *init;  /* [n, padded] what sums start from, by absolute column: -zero_point * colsum */
    int32_t *acc;         /* [m][ld_acc], column n0 first; written up to cols padded, 64-byte aligned */
    int64_t ld_acc;       /* multiple of MC_QGEMM_LANES, at least cols padded */
} mc_qgemm_tile;

/* Quantization parameters in the domain of unsigned bytes: real = scale * ((byte ^ flip) - zp). Signed bytes have flip 0x80
 * and their zero point plus 128. */
typedef struct mc_qmap {
    float scale;
    int32_t zp;
    uint32_t flip; /* 0 or 0x80 */
} mc_qmap;

/* Where results go: floats, or bytes by mc_requant with inv = 1 / scale. */
typedef struct mc_qout {
    void *y;
    int64_t ld;        /* elements from row to row */
    int32_t quantized; /* 0: float */
    int32_t zp;
    uint32_t flip;
    float inv;
} mc_qout;

enum { MC_QRESIDUAL_NONE, MC_QRESIDUAL_F32, MC_QRESIDUAL_BYTES };

/* Epilogue of a tile, docs/fused_ops.md steps 2 to 8 and 10: m rows, n columns; the pointers of columns and of the residual
 * start at the tile's first column (and row). LayerNormalization is a kernel of its own (f32.norm). */
typedef struct mc_qepilogue {
    const int32_t *acc;
    int64_t ld_acc, m, n;
    const float *w_scale;   /* [n] */
    const float *row_scale; /* [m]; NULL: x_scale for every row */
    float x_scale;
    int32_t act, post_act; /* MCOMP_ACT_* */
    float lo, hi;          /* for CLIP, of both */
    int32_t residual;      /* MC_QRESIDUAL_* */
    const float *bias;     /* [n] or NULL */
    const void *r;
    int64_t ld_r;
    mc_qmap r_param;
    int32_t middle; /* 1: values go through bytes of m_param before the residual is added */
    mc_qmap m_param;
    float m_inv; /* 1 / m_param.scale */
    mc_qout out;
} mc_qepilogue;

/* y = act(a_scale * (a - a_zp) + b_scale * (b - b_zp)). */
typedef struct mc_qadd {
    const uint8_t *a, *b;
    mc_qmap a_param, b_param;
    int32_t relu;
    int64_t n;
    mc_qout out;
} mc_qadd;

/* Depthwise convolution: acc[p][c] = init[c] + sum_t x[p * step + tap[t] + c] * w[t][c] for `pixels` pixels of n channels.
 * w: pairs of taps, [(taps + 1) / 2][n padded to 16][2], the second of an odd last one 0. */
typedef struct mc_qdepthwise {
    const uint8_t *x;
    const int64_t *tap; /* [taps], bytes */
    int64_t taps, n, pixels, step;
    const int16_t *w;
    const int32_t *init; /* [n padded] */
    int32_t *acc;        /* [pixels][n padded], 64-byte aligned */
} mc_qdepthwise;

typedef struct mc_kernels_int8 {
    /* w: [n][segments * seg_len]. Bytes of the packed block (depends on the weights where a tier stores corrections). */
    uint64_t (*qgemm_packed_bytes)(const mc_qgemm_shape *s, const int8_t *w);
    /* out: packed block, 64-byte aligned; colsum: [n padded], sum of each column, zero in the padding. */
    void (*qgemm_pack)(const mc_qgemm_shape *s, const int8_t *w, void *out, int32_t *colsum);
    /* Bytes of the private copy of m rows that the tier wants; 0: it reads rows in place. */
    uint64_t (*qgemm_loaded_bytes)(const mc_qgemm_shape *s, int64_t m);
    /* Makes that copy, once for all columns of a tile. Does nothing where qgemm_loaded_bytes is 0. */
    void (*qgemm_load)(const mc_qgemm_tile *t);
    void (*qgemm)(const mc_qgemm_tile *t);
    /* After the last qgemm of a loaded tile, in the same thread: gives back what the tier took (AMX: the tile configuration). */
    void (*qgemm_done)(const mc_qgemm_tile *t);
    void (*epilogue)(const mc_qepilogue *e);
    /* y = (saturate(rne(x / scale) + zp)) ^ flip, NaN to zp. */
    void (*quantize)(const float *x, int64_t n, const mc_qmap *p, uint8_t *y);
    /* Mode token: each of m rows by its own mc_token_scale; bytes with zp 128 and flip 0. scale: [m]. */
    void (*quantize_rows)(const float *x, int64_t ld_x, int64_t m, int64_t k, uint8_t *y, int64_t ld_y, float *scale);
    /* y = requantized x (n values; out->ld is not used). */
    void (*requantize)(const float *x, int64_t n, const mc_qout *out);
    void (*dequantize)(const uint8_t *x, int64_t n, const mc_qmap *p, float *y);
    /* A scale and a zero point (NULL: 0; bytes of the same signedness) for each element. */
    void (*dequantize_each)(const uint8_t *x, int64_t n, const float *scale, const uint8_t *zp, uint32_t flip, float *y);
    /* Lowers *min and raises *max; NaN is passed over. */
    void (*minmax)(const float *x, int64_t n, float *min, float *max);
    /* y = x ^ flip. */
    void (*flip)(const uint8_t *x, int64_t n, uint32_t flip, uint8_t *y);
    void (*add)(const mc_qadd *a);
    void (*depthwise)(const mc_qdepthwise *d);
    /* Windows: acc[c] += sum_t (x[t][c] ^ flip); y[c] = max_t of x[t][c], as signed bytes with flip 0x80. taps >= 1. */
    void (*sum_taps)(const uint8_t *const *x, int64_t taps, int64_t n, uint32_t flip, int32_t *acc);
    void (*max_taps)(const uint8_t *const *x, int64_t taps, int64_t n, uint32_t flip, uint8_t *y);
    /* y = table[x]. */
    void (*lut)(const uint8_t *x, int64_t n, const uint8_t *table, uint8_t *y);
} mc_kernels_int8;

#endif
