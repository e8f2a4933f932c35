/* kernels/f32.h - float kernels.
 *
 * Work on whole arrays; callers cut into tiles. The value of one element does not depend on how callers cut the work. Row
 * kernels may run in place. Activation codes (MCOMP_ACT_*) and the epilogue are those of backend.h. Everything but matrix
 * products and attention gives the same bits in every tier (math_f32.h).
 */
#ifndef MC_KERNELS_F32_H
#define MC_KERNELS_F32_H

#include <mcomp/backend.h>
#include <stdint.h>

/* ---- matrix product ------------------------------------------------------------------------------------------- */

/* C[m][n] (+)= sum over taps t and kk of A_t[i][kk] * B[t*k + kk][j].
 *
 * A_t[i][kk] = a[tap[t] + i*a_row + kk*a_col] (tap NULL: one tap at 0); one of a_row, a_col is 1. Convolutions use one tap a
 * row of the kernel. B comes in panels of MC_GEMM_PANEL columns: B[r][16*p + c] = b[p*b_panel + r*b_row + c]. Packed
 * panels (pack) have b_row = 16 and b_panel = 16 * rows; plain row-major B has b_row = ld and b_panel = 16. Only the
 * columns below n are read. Sums run over r in order, fused multiply-add, in blocks that depend on k and taps only.
 *
 * With `tiles` 1, A is what pack_rows of the same tier wrote for these m and k (a_row and a_col are not read): reading columns of
 * a matrix, or rows a power of two apart, would miss the L1 cache at every step. */
#define MC_GEMM_PANEL 16
typedef struct mc_gemm_f32 {
    const float *a;
    const int64_t *tap;
    int64_t taps, a_row, a_col;
    const float *b;
    int64_t b_row, b_panel;
    float *c;
    int64_t ldc, m, n, k;
    int32_t tiles;      /* 1: A comes from pack_rows; one tap */
    int32_t accumulate; /* 1: adds to C */
    int32_t finish;     /* 1: afterwards C = min(max(C + bias[j] + residual[i][j], lo), hi); NULL: none */
    const float *bias, *residual;
    int64_t ld_r;
    float lo, hi;
    const float *ahead; /* what the caller multiplies by next, brought into L2 meanwhile; NULL: not known */
} mc_gemm_f32;

/* ---- Winograd convolution ----------------------------------------------------------------------------------------- */

/* F(2x2, 3x3) of Lavin and Gray (2016): 2 x 2 outputs of a 3 x 3 window from 16 products instead of 36,
 *   Y = A' [ (G g G') . (B' d B) ] A,  d: 4 x 4 inputs,  g: the weights,  . by element, summed over input channels;
 *   B' = 1  0 -1  0    G = 1    0    0     A' = 1  1  1  0
 *        0  1  1  0        1/2  1/2  1/2        0  1 -1 -1
 *        0 -1  1  0        1/2 -1/2  1/2
 *        0  1  0 -1        0    0    1
 * Element 4i + j of a transformed tile is plane 4i + j. */
#define MC_WINOGRAD_PLANES 16
typedef struct mc_winograd_out_f32 {
    const float *z; /* products of a tile: channel c of plane t is z[t * plane + c] */
    int64_t plane, n;
    float *y[4];                       /* outputs (0,0) (0,1) (1,0) (1,1); NULL: beyond the image */
    const float *bias, *residual[4];   /* NULL: none */
    float lo, hi;                      /* y = min(max(Y + bias + residual, lo), hi) */
} mc_winograd_out_f32;

/* Attention block: MC_ATTENTION_LANES queries side by side; s[t][lane] are the scaled scores of keys t times log2(e), so that
 * the exponential is a power of two. Adds log2(e) * mask[t*mask_t + lane*mask_q] (NULL: none; lanes beyond `lanes` read
 * none), updates the running maximum and sum of each lane, replaces s by 2^(s - maximum) and gives in `rescale` the factor
 * for what was accumulated before this block. Start with maximum -INFINITY and sum 0. */
#define MC_ATTENTION_LANES 32
#define MC_LOG2E 1.44269504f
typedef struct mc_attention_f32 {
    float *s;
    int64_t t;
    const float *mask;
    int64_t mask_t, mask_q, lanes;
    const float *tile; /* the mask laid out as s is ([t][32]), instead of mask; NULL: none */
    float *maximum, *sum, *rescale; /* [32] each */
} mc_attention_f32;

/* ---- elementwise ------------------------------------------------------------------------------------------------ */

/* Codes of `unary`: MCOMP_ACT_* (CLIP to [p, q]) and these. */
enum {
    MC_UNARY_HARDSIGMOID = 16, /* max(0, min(1, p*x + q)) */
    MC_UNARY_LEAKY_RELU,       /* x < 0 ? p*x : x */
    MC_UNARY_ELU,              /* x < 0 ? p*(exp(x) - 1) : x */
    MC_UNARY_AFFINE,           /* x*p + q */
    MC_UNARY_ERF,
    MC_UNARY_EXP,
    MC_UNARY_LOG,
    MC_UNARY_SQRT,
    MC_UNARY_RSQRT,            /* 1 / sqrt(x) */
    MC_UNARY_NEG,
    MC_UNARY_ABS,
    MC_UNARY_RECIPROCAL,
    MC_UNARY_SQUARE,
    MC_UNARY_FLOOR,
    MC_UNARY_CEIL,
    MC_UNARY_ROUND             /* to nearest, ties to even */
};
enum { MC_BINARY_ADD, MC_BINARY_SUB, MC_BINARY_MUL, MC_BINARY_DIV, MC_BINARY_MIN, MC_BINARY_MAX };
enum { MC_REDUCE_SUM, MC_REDUCE_MAX, MC_REDUCE_MIN, MC_REDUCE_SQUARES };

/* Softmax of rows: y = exp(scale*x - max) / sum, or with log: scale*x - max - log(sum). */
typedef struct mc_softmax_f32 {
    const float *x;
    float *y;
    int64_t ld_x, ld_y, rows, n;
    float scale;
    int32_t log;
} mc_softmax_f32;

/* LayerNormalization (rms 0) or RMSNormalization of rows; gamma, beta may be NULL. */
typedef struct mc_norm_f32 {
    const float *x, *gamma, *beta;
    float *y;
    int64_t ld_x, ld_y, rows, n;
    float eps;
    int32_t rms;
} mc_norm_f32;

/* Pixels p of one output row: y[p*ld_y + c] = bias[c] + sum over taps t of x[t][p*x_step + c] * w[t][c], taps in order,
 * fused; bias NULL: 0. */
typedef struct mc_depthwise_f32 {
    const float *const *x, *const *w;
    const float *bias;
    float *y;
    int64_t taps, pixels, x_step, ld_y, n;
} mc_depthwise_f32;

/* ---- gradients ---------------------------------------------------------------------------------------------------- */

/* Rows of LayerNormalization (rms 0) or RMSNormalization with h = (x - mean) inv and t = dy gamma:
 *   dx = inv (t - mean(t) - h mean(t h)),  dgamma += sum over rows of dy h,  dbeta += sum over rows of dy
 * (rms: mean and mean(t) are 0). dx, dgamma, dbeta may be NULL. Rows are contiguous. */
typedef struct mc_norm_grad_f32 {
    const float *x, *dy, *gamma;
    float *dx, *dgamma, *dbeta;
    int64_t rows, n;
    float eps;
    int32_t rms;
} mc_norm_grad_f32;

/* ---- training ----------------------------------------------------------------------------------------------------- */

/* One Adam step of n parameters (Kingma and Ba, 2015; decoupled decay: Loshchilov and Hutter, 2019). With g' = (scale g + l2 p) mask:
 *   m = beta1 m + (1 - beta1) g';  v = beta2 v + (1 - beta2) g'^2;  p = (p decay - step m / (sqrt(v) root + eps)) mask
 * step and root carry the learning rate and the bias corrections. u not NULL (LAMB): p stays, u = step m / (sqrt(v) root + eps) + l2 p,
 * and g' has no l2 term. mask NULL: ones. */
typedef struct mc_adam_f32 {
    float *p, *m, *v, *u;
    const float *g, *mask;
    int64_t n;
    float scale, l2, decay, beta1, beta2, step, root, eps;
} mc_adam_f32;

/* One step of gradient descent with momentum: g' = (scale g + l2 p) mask; b = momentum b + g'; d = nesterov ? g' + momentum b : b;
 * p = (p - lr d) mask. b NULL: d = g'. */
typedef struct mc_sgd_f32 {
    float *p, *b;
    const float *g, *mask;
    int64_t n;
    float scale, l2, momentum, lr;
    int32_t nesterov;
} mc_sgd_f32;

/* y[i] = x[i] * scale where the random number of element first + i is at least threshold, else 0. The number of element e is word
 * (e % 64) / 16 of the Philox block (mc_rng_block) with counter 16 (e / 64) + e % 16. first: a multiple of 64. */
typedef struct mc_dropout_f32 {
    const float *x;
    float *y;
    int64_t n, first;
    uint64_t seed, stream;
    uint32_t threshold;
    float scale;
} mc_dropout_f32;

/* Sums over a plane, added to out[2]: of x - mean and its square, or with dy: of dy and dy (x - mean). In blocks of 1,024 elements, each in 16
 * lanes, blocks in double. */
typedef struct mc_plane_sums_f32 {
    const float *x, *dy; /* dy may be NULL */
    float mean;
    int64_t n;
} mc_plane_sums_f32;

/* n elements of one scale on the grid lo <= x / scale <= hi (the range of q less its zero point); d: gradient of q, with `pair` of
 * the dequantized value (ops/op_qdq_grad.c has the formulas). */
typedef struct mc_quant_grad_f32 {
    const float *d, *x;
    float *dx;
    int64_t n;
    float scale, lo, hi;
    int32_t pair;
} mc_quant_grad_f32;

typedef struct mc_kernels_f32 {
    void (*gemm)(const mc_gemm_f32 *g);
    /* B [k][n] with strides (row, col), one of them 1, into panels [ceil(n/16)][k][16], zero-padded, times scale. */
    void (*pack)(const float *b, int64_t row, int64_t col, int64_t k, int64_t n, float scale, float *out);
    /* A [m][k] with strides (row, col), one of them 1, into the tier's tiles of rows: out holds (m + 15) * k floats. */
    void (*pack_rows)(const float *a, int64_t row, int64_t col, int64_t m, int64_t k, float *out);
    /* z[t * plane + c] = (B' d B)_t of channels c < n of the 4 x 4 pixels x. */
    void (*winograd_in)(const float *const x[16], float *z, int64_t plane, int64_t n);
    void (*winograd_out)(const mc_winograd_out_f32 *o);
    void (*attention)(const mc_attention_f32 *a);
    /* Block of 32 queries (lanes), [t][32]: p, the exponentials, becomes p / sum[lane], dp becomes scale p (dp - sum over t of p dp). */
    void (*attention_grad)(float *p, float *dp, int64_t t, const float *sum, float scale);
    void (*scale_rows)(float *y, int64_t ld, int64_t rows, int64_t n, const float *factor); /* row i times factor[i] */
    void (*epilogue)(const mcomp_epilogue_f32 *e, float *y, int64_t ld_y, int64_t m, int64_t n);
    void (*unary)(int32_t code, const float *x, float *y, int64_t n, float p, float q);
    /* Operand steps are 1, or 0 for one value that meets all. */
    void (*binary)(int32_t code, const float *a, int64_t a_step, const float *b, int64_t b_step, float *y, int64_t n);
    void (*softmax)(const mc_softmax_f32 *s);
    void (*norm)(const mc_norm_f32 *s);
    /* One row to one number, sums in 16 lanes; start of MAX and MIN is the first element. n >= 1. */
    float (*reduce)(int32_t code, const float *x, int64_t n);
    /* y[j] = reduction over rows of x[row*ld + j], in order. rows >= 1. */
    void (*reduce_rows)(int32_t code, const float *x, int64_t ld, int64_t rows, float *y, int64_t n);
    void (*depthwise)(const mc_depthwise_f32 *d);
    /* y[c] = sum or maximum (MC_REDUCE_*) over taps of x_t[c], taps in order. taps >= 1. */
    void (*pool)(int32_t code, const float *const *x, int64_t taps, float *y, int64_t n);
    /* One LSTM step of one sequence: gates [4][n] in the order i o f c; c = sig(f) c + sig(i) tanh(g); h = sig(o) tanh(c). */
    void (*lstm)(const float *gates, float *c, float *h, int64_t n);
    /* Maximum of each 2 x 2 window of two rows (2n elements each), and where its gradient goes: all of dx0 and dx1 is written. */
    void (*max_pool2)(const float *x0, const float *x1, float *y, int64_t n);
    void (*max_pool2_grad)(const float *x0, const float *x1, const float *dy, float *dx0, float *dx1, int64_t n);
    /* y[i][j] = x[i][j] and y[i][j] += x[i][j] of rows x n. */
    void (*copy_block)(const float *x, int64_t ld_x, float *y, int64_t ld_y, int64_t rows, int64_t n);
    void (*add_block)(const float *x, int64_t ld_x, float *y, int64_t ld_y, int64_t rows, int64_t n);
    /* out[c][r] = in[r][c] for 4-byte elements. */
    void (*transpose)(const float *in, int64_t ld_in, float *out, int64_t ld_out, int64_t rows, int64_t cols);
    /* dx = dy f'(x); codes as of unary: RELU GELU GELU_TANH SIGMOID TANH SILU HARDSWISH HARDSIGMOID LEAKY_RELU ELU ERF SQRT
     * RECIPROCAL LOG. dx may be dy. */
    void (*unary_grad)(int32_t code, const float *x, const float *dy, float *dx, int64_t n, float p, float q);
    /* dx = y (dy - sum(dy y)), with log: dy - e^y sum(dy); dx may be dy. */
    void (*softmax_grad)(const float *y, const float *dy, float *dx, int64_t rows, int64_t n, int32_t log);
    void (*norm_grad)(const mc_norm_grad_f32 *g);
    void (*adam)(const mc_adam_f32 *s);
    void (*sgd)(const mc_sgd_f32 *s);
    void (*dropout)(const mc_dropout_f32 *d);
    void (*plane_sums)(const mc_plane_sums_f32 *s, double out[2]);
    /* y[i] = a p[i] + b q[i] + c */
    void (*combine)(const float *p, float a, const float *q, float b, float c, float *y, int64_t n);
    void (*quantize_grad)(const mc_quant_grad_f32 *g);
    /* The sum of n elements' shares of the gradient by the scale, in 16 lanes of double; dx is not used. */
    double (*scale_grad)(const mc_quant_grad_f32 *g);
} mc_kernels_f32;

#endif
