/* x86/qepilogue_body.h - ref/qepilogue.c on 16 lanes. Includer: the vec header of its tier, then NAME(x).
 *
 * Activation, residual and output kind are constants of an instance of the row loop; combinations that plans rarely hold
 * share one instance that decides in the loop.
 */
#include "kernels/rows.h"
#include "kernels/x86/vec_bytes.h"
#include "kernels/x86/vec_wide.h"

typedef struct requant {
    mc_v inv, lo, hi;
    mc_vi zp;
    __m128i flip;
} requant;

MC_INLINE requant requant_of(const mc_qout *o)
{
    return (requant){v_set1(o->inv), v_set1((float)(0 - o->zp)), v_set1((float)(255 - o->zp)), vi_set1(o->zp),
                     _mm_set1_epi8((char)o->flip)};
}

/* mc_requant, as bytes. */
MC_INLINE __m128i requantized(const requant *q, mc_v v)
{
    mc_v t = v_mul_or_zero(v, q->inv);
    t = v_max(q->lo, v_min(q->hi, t));
    return _mm_xor_si128(bytes_of_vi(vi_add(vi_round(t), q->zp)), q->flip);
}

typedef struct real {
    mc_v scale;
    mc_vi zp;
    __m128i flip;
} real;

MC_INLINE real real_of(const mc_qmap *p) { return (real){v_set1(p->scale), vi_set1(p->zp), _mm_set1_epi8((char)p->flip)}; }
MC_INLINE mc_v real_value(const real *r, __m128i bytes, const int32_t not_flipped)
{
    return v_mul(v_of_int(vi_sub(vi_of_bytes(not_flipped ? bytes : _mm_xor_si128(bytes, r->flip)), r->zp)), r->scale);
}

/* Through the bytes of a grid and back to real values: mc_requant, dequantized. */
typedef struct grid {
    mc_v inv, lo, hi, scale;
} grid;

MC_INLINE grid grid_of(const mc_qepilogue *e)
{
    return (grid){v_set1(e->m_inv), v_set1((float)(0 - e->m_param.zp)), v_set1((float)(255 - e->m_param.zp)), v_set1(e->m_param.scale)};
}
MC_INLINE mc_v on_grid(const grid *g, mc_v v, const int32_t tame)
{
    const mc_v t = v_max(g->lo, v_min(g->hi, tame ? v_mul(v, g->inv) : v_mul_or_zero(v, g->inv)));
    return v_mul(v_of_int(vi_round(t)), g->scale);
}

/* One row; act, post, residual, bytes, middle are constants where the caller passes constants. */
MC_INLINE void row(const mc_qepilogue *e, int64_t i, const int32_t act, const int32_t post, const int32_t residual, const int32_t bytes,
                   const int32_t middle)
{
    const mc_v x_scale = v_set1(e->row_scale ? e->row_scale[i] : e->x_scale), lo = v_set1(e->lo), hi = v_set1(e->hi);
    const requant q = requant_of(&e->out);
    const real r = real_of(&e->r_param);
    const grid m = grid_of(e);
    const int32_t *acc = e->acc + i * e->ld_acc;
    const float *r32 = (const float *)e->r + i * e->ld_r, *bias = e->bias;
    const uint8_t *r8 = (const uint8_t *)e->r + i * e->ld_r;
    float *y32 = (float *)e->out.y + i * e->out.ld;
    uint8_t *y8 = (uint8_t *)e->out.y + i * e->out.ld;
    const int64_t n = e->n;
    for (int64_t j = 0; j < n; j += 16) {
        const int64_t left = n - j;
        mc_v v = v_mul(v_of_int(vi_load(acc + j)), v_mul(x_scale, v_load_n(e->w_scale + j, left)));
        if (bias) v = v_add(v, v_load_n(bias + j, left));
        v = v_act(act, lo, hi, v);
        if (middle) v = on_grid(&m, v, 0);
        if (residual == MC_QRESIDUAL_F32) v = v_add(v, v_load_n(r32 + j, left));
        else if (residual == MC_QRESIDUAL_BYTES) v = v_add(v, real_value(&r, bytes_load(r8 + j, left), 0));
        v = v_act(post, lo, hi, v);
        if (bytes) bytes_store(y8 + j, left, requantized(&q, v));
        else v_store_n(y32 + j, left, v);
    }
}

/* Columns j .. j + 16*n of all rows, with what belongs to the columns in registers. A bias that is not there is -0: adding
 * it changes nothing, not even the sign of a zero. */
MC_INLINE void block(const mc_qepilogue *e, int64_t j, const int n, const int32_t act, const int32_t post, const int32_t residual,
                     const int32_t bytes, const int32_t middle, const int32_t tame)
{
    const mc_v lo = v_set1(e->lo), hi = v_set1(e->hi);
    const requant q = requant_of(&e->out);
    const mc_pack pack = pack_of(e->out.zp, e->out.flip);
    const real r = real_of(&e->r_param);
    const grid m = grid_of(e);
    mc_v w[4], bias[4];
    MC_EACH(w[k] = v_load(e->w_scale + j + 16 * k));
    MC_EACH(bias[k] = e->bias ? v_load(e->bias + j + 16 * k) : v_set1(-0.0f));
    if (!e->row_scale) MC_EACH(w[k] = v_mul(v_set1(e->x_scale), w[k]));
    for (int64_t i = 0; i < e->m; i++) {
        const int32_t *acc = e->acc + i * e->ld_acc + j;
        const float *r32 = (const float *)e->r + i * e->ld_r + j;
        const uint8_t *r8 = (const uint8_t *)e->r + i * e->ld_r + j;
        const mc_v x_scale = v_set1(e->row_scale ? e->row_scale[i] : 1.0f);
        mc_v x[4];
        mc_vi out[4];
        MC_EACH(x[k] = v_add(v_mul(v_of_int(vi_load(acc + 16 * k)), e->row_scale ? v_mul(x_scale, w[k]) : w[k]), bias[k]));
        w_act(act, lo, hi, x, n);
        if (middle) MC_EACH(x[k] = on_grid(&m, x[k], tame));
        if (residual == MC_QRESIDUAL_F32) MC_EACH(x[k] = v_add(x[k], v_load(r32 + 16 * k)));
        else if (residual == MC_QRESIDUAL_BYTES) MC_EACH(x[k] = v_add(x[k], real_value(&r, bytes_load(r8 + 16 * k, 16), tame)));
        w_act(post, lo, hi, x, n);
        if (bytes && tame) MC_EACH(out[k] = vi_round(v_mul(x[k], q.inv)));
        else if (bytes) MC_EACH(out[k] = vi_round(v_min(q.hi, v_mul_or_zero(x[k], q.inv))));
        else MC_EACH(v_store((float *)e->out.y + i * e->out.ld + j + 16 * k, x[k]));
        if (bytes) bytes_pack((uint8_t *)e->out.y + i * e->out.ld + j, n, out, &pack);
    }
}

/* Whole blocks of columns; returns where they end. */
#define BLOCKS(...)                                                                                                        do {                                                                                                                       int64_t j = 0;                                                                                                         for (; e->n - j >= 64; j += 64) block(e, j, 4, __VA_ARGS__);                                                           for (; e->n - j >= 32; j += 32) block(e, j, 2, __VA_ARGS__);                                                           return j;                                                                                                          } while (0)

/* 1: no value of the epilogue can be NaN, infinite, or beyond 2^31 steps of an output grid, so that rounding to integers and the
 * saturation of bytes_pack are all that requantization needs; and the residual is u8. */
static int is_tame(const mc_qepilogue *e)
{
    const float most = e->middle && e->m_inv > e->out.inv ? e->m_inv : e->out.inv;
    if (!e->out.quantized || e->row_scale || !(most < 1e20f) || !(e->out.inv > 1e-20f)) return 0;
    const float limit = 0x1p29f / most; /* bias, residual and middle, a quarter of 2^31 each, and so is 2^31 * scale below */
    if (e->middle && !(255.0f * e->m_param.scale <= limit)) return 0;
    if (e->residual == MC_QRESIDUAL_BYTES && (e->r_param.flip || !(255.0f * e->r_param.scale <= limit))) return 0;
    const mc_v bias = v_set1(limit), scale = v_set1(0.25f / most), x = v_set1(e->x_scale);
    for (int64_t j = 0; j + 16 <= e->n; j += 16) {
        if (!vm_all(v_le(v_abs(v_mul(x, v_load(e->w_scale + j))), scale))) return 0;
        if (e->bias && !vm_all(v_le(v_abs(v_load(e->bias + j)), bias))) return 0;
    }
    return 1;
}

/* The commonest of the common. A Relu before zero point 0 is done by the saturation. */
static int64_t common_tame(const mc_qepilogue *e)
{
    enum { NONE = MCOMP_ACT_NONE, RELU = MCOMP_ACT_RELU, BYTES = MC_QRESIDUAL_BYTES };
    const int32_t last = e->residual == MC_QRESIDUAL_NONE ? e->act : e->post_act, saturates = e->out.zp == 0;
    if (e->residual == MC_QRESIDUAL_NONE) {
        if (last == NONE || saturates) BLOCKS(NONE, NONE, 0, 1, 0, 1);
        BLOCKS(RELU, NONE, 0, 1, 0, 1);
    }
    if (e->middle && (last == NONE || saturates)) BLOCKS(NONE, NONE, BYTES, 1, 1, 1);
    if (e->middle) BLOCKS(NONE, RELU, BYTES, 1, 1, 1);
    if (last == NONE || saturates) BLOCKS(NONE, NONE, BYTES, 1, 0, 1);
    BLOCKS(NONE, RELU, BYTES, 1, 0, 1);
}

/* What plans are full of. Returns how many columns are done. */
static int64_t common(const mc_qepilogue *e)
{
    enum { NONE = MCOMP_ACT_NONE, RELU = MCOMP_ACT_RELU, CLIP = MCOMP_ACT_CLIP, GELU = MCOMP_ACT_GELU,
           GELU_TANH = MCOMP_ACT_GELU_TANH, SILU = MCOMP_ACT_SILU, F32 = MC_QRESIDUAL_F32, BYTES = MC_QRESIDUAL_BYTES };
    const int32_t bytes = e->out.quantized;
    if (e->n < 32) return 0;
    const int32_t first = e->residual == MC_QRESIDUAL_NONE ? e->post_act : e->act, last = e->residual == MC_QRESIDUAL_NONE ? e->act : e->post_act;
    if (bytes && first == NONE && (last == NONE || last == RELU) && e->residual != F32 && (e->residual == BYTES || !e->middle) && is_tame(e))
        return common_tame(e);
    if (e->residual == MC_QRESIDUAL_NONE && e->post_act == NONE && !e->middle) {
        if (e->act == NONE && bytes) BLOCKS(NONE, NONE, 0, 1, 0, 0);
        if (e->act == NONE) BLOCKS(NONE, NONE, 0, 0, 0, 0);
        if (e->act == RELU && bytes) BLOCKS(RELU, NONE, 0, 1, 0, 0);
        if (e->act == RELU) BLOCKS(RELU, NONE, 0, 0, 0, 0);
        if (e->act == CLIP && bytes) BLOCKS(CLIP, NONE, 0, 1, 0, 0);
        if (e->act == GELU && bytes) BLOCKS(GELU, NONE, 0, 1, 0, 0);
        if (e->act == GELU) BLOCKS(GELU, NONE, 0, 0, 0, 0);
        if (e->act == GELU_TANH && bytes) BLOCKS(GELU_TANH, NONE, 0, 1, 0, 0);
        if (e->act == GELU_TANH) BLOCKS(GELU_TANH, NONE, 0, 0, 0, 0);
        if (e->act == SILU && bytes) BLOCKS(SILU, NONE, 0, 1, 0, 0);
    }
    if (e->act == NONE && e->residual == F32 && e->post_act == NONE && !bytes && !e->middle) BLOCKS(NONE, NONE, F32, 0, 0, 0);
    if (e->act == NONE && e->residual == BYTES && bytes) {
        if (e->post_act == RELU && e->middle) BLOCKS(NONE, RELU, BYTES, 1, 1, 0);
        if (e->post_act == RELU) BLOCKS(NONE, RELU, BYTES, 1, 0, 0);
        if (e->post_act == NONE && e->middle) BLOCKS(NONE, NONE, BYTES, 1, 1, 0);
        if (e->post_act == NONE) BLOCKS(NONE, NONE, BYTES, 1, 0, 0);
    }
    return 0;
}

#define ROWS(...)                                                                                                      \
    do {                                                                                                               \
        for (int64_t i = 0; i < e->m; i++) row(e, i, __VA_ARGS__);                                                     \
        return;                                                                                                        \
    } while (0)
#define FIRST_ACT(a)                                                                                                   \
    case a:                                                                                                            \
        if (e->out.quantized) ROWS(a, MCOMP_ACT_NONE, MC_QRESIDUAL_NONE, 1, 0);                                           \
        ROWS(a, MCOMP_ACT_NONE, MC_QRESIDUAL_NONE, 0, 0)

static void plain(const mc_qepilogue *e)
{
    switch (e->act) {
        FIRST_ACT(MCOMP_ACT_NONE);
        FIRST_ACT(MCOMP_ACT_RELU);
        FIRST_ACT(MCOMP_ACT_CLIP);
        FIRST_ACT(MCOMP_ACT_GELU);
        FIRST_ACT(MCOMP_ACT_GELU_TANH);
        FIRST_ACT(MCOMP_ACT_SIGMOID);
        FIRST_ACT(MCOMP_ACT_TANH);
        FIRST_ACT(MCOMP_ACT_SILU);
        FIRST_ACT(MCOMP_ACT_HARDSWISH);
    default: break;
    }
}

static void any(const mc_qepilogue *e) { ROWS(e->act, e->post_act, e->residual, e->out.quantized, e->middle); }

void NAME(epilogue)(const mc_qepilogue *all)
{
    const int64_t done = common(all);
    mc_qepilogue e = *all;
    if (done == e.n) return;
    e.n -= done;
    e.acc += done;
    e.w_scale += done;
    if (e.bias) e.bias += done;
    if (e.r) e.r = (const uint8_t *)e.r + done * (e.residual == MC_QRESIDUAL_F32 ? 4 : 1);
    e.out.y = (uint8_t *)e.out.y + done * (e.out.quantized ? 1 : 4);
    if (e.residual == MC_QRESIDUAL_NONE && e.post_act == MCOMP_ACT_NONE && !e.middle) plain(&e);
    else any(&e);
}

void NAME(add)(const mc_qadd *a)
{
    const real ra = real_of(&a->a_param), rb = real_of(&a->b_param);
    const requant q = requant_of(&a->out);
    for (int64_t j = 0; j < a->n; j += 16) {
        const int64_t left = a->n - j;
        mc_v v = v_add(real_value(&ra, bytes_load(a->a + j, left), 0), real_value(&rb, bytes_load(a->b + j, left), 0));
        if (a->relu) v = v_max(v_zero(), v);
        if (a->out.quantized) bytes_store((uint8_t *)a->out.y + j, left, requantized(&q, v));
        else v_store_n((float *)a->out.y + j, left, v);
    }
}

void NAME(requantize)(const float *x, int64_t n, const mc_qout *out)
{
    const requant q = requant_of(out);
    for (int64_t j = 0; j < n; j += 16) {
        const mc_v v = v_load_n(x + j, n - j);
        if (out->quantized) bytes_store((uint8_t *)out->y + j, n - j, requantized(&q, v));
        else v_store_n((float *)out->y + j, n - j, v);
    }
}
