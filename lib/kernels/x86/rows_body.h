/* x86/rows_body.h - epilogue, softmax, normalisation and reductions of rows, written once; a tier's file includes it. */
#include "kernels/rows.h"
#include "kernels/x86/vec_math.h"
#include "kernels/x86/vec_norm.h"

/* ---- epilogue: a row pass y = post(act(y + bias) + residual) ---- */

typedef struct row_pass {
    const float *bias, *residual;
    mc_v lo, hi;
} row_pass;

MC_INLINE mc_v row_step(const row_pass *r, const int act, const int post, mc_v y, int64_t j, const int masked, mc_vm m)
{
    if (r->bias) y = v_add(y, masked ? v_load_m(r->bias + j, m) : v_load(r->bias + j));
    y = v_act(act, r->lo, r->hi, y);
    if (r->residual) y = v_add(y, masked ? v_load_m(r->residual + j, m) : v_load(r->residual + j));
    return v_act(post, r->lo, r->hi, y);
}

MC_INLINE void row_run(const row_pass *r, const int act, const int post, float *y, int64_t n)
{
    int64_t j = 0;
    for (; j + 16 <= n; j += 16) v_store(y + j, row_step(r, act, post, v_load(y + j), j, 0, v_first(0)));
    if (j < n) {
        const mc_vm m = v_first(n - j);
        v_store_m(y + j, m, row_step(r, act, post, v_load_m(y + j, m), j, 1, m));
    }
}

#define ROW_ACTS(F)                                                                                                    \
    F(MCOMP_ACT_RELU) F(MCOMP_ACT_CLIP) F(MCOMP_ACT_GELU) F(MCOMP_ACT_GELU_TANH) F(MCOMP_ACT_SIGMOID)                  \
    F(MCOMP_ACT_TANH) F(MCOMP_ACT_SILU) F(MCOMP_ACT_HARDSWISH)

static void row_act(const row_pass *r, int32_t act, float *y, int64_t n)
{
    switch (act) {
#define ROW_CASE(a)                                                                                                    \
    case a: row_run(r, a, MCOMP_ACT_NONE, y, n); break;
        ROW_ACTS(ROW_CASE)
#undef ROW_CASE
    default: row_run(r, MCOMP_ACT_NONE, MCOMP_ACT_NONE, y, n); break;
    }
}

static void row_post(const row_pass *r, int32_t post, float *y, int64_t n)
{
    switch (post) {
#define ROW_CASE(a)                                                                                                    \
    case a: row_run(r, MCOMP_ACT_NONE, a, y, n); break;
        ROW_ACTS(ROW_CASE)
#undef ROW_CASE
    default: break;
    }
}

void MC_K(epilogue)(const mcomp_epilogue_f32 *e, float *y, int64_t ld_y, int64_t m, int64_t n)
{
    const int one_pass = e->post_act == MCOMP_ACT_NONE, second = !one_pass && e->act != MCOMP_ACT_NONE;
    const int nothing = !e->bias && !e->residual && e->act == MCOMP_ACT_NONE && one_pass;
    row_pass r = {.bias = e->bias, .lo = v_set1(e->act_lo), .hi = v_set1(e->act_hi)};
    row_pass alone = r;
    alone.bias = NULL;
    for (int64_t i = 0; i < m; i++, y += ld_y) {
        r.residual = e->residual ? e->residual + i * e->ld_r : NULL;
        if (one_pass && !nothing) row_act(&r, e->act, y, n);
        if (!one_pass && !second) row_post(&r, e->post_act, y, n);
        if (second) { /* two activations: the residual goes with the first pass */
            row_act(&r, e->act, y, n);
            row_post(&alone, e->post_act, y, n);
        }
        if (e->layernorm) v_layernorm_row(y, y, e->gamma, e->beta, e->ln_eps, n);
    }
}

/* ---- softmax ---- */

static void softmax_row(const float *x, float *y, int64_t n, float scale, int32_t log)
{
    const mc_v k = v_set1(scale), low = v_set1(-INFINITY);
    const int64_t whole = n & ~(int64_t)15;
    const mc_vm last = v_first(n - whole);
    mc_v top = low, sum = v_zero();
    for (int64_t j = 0; j < whole; j += 16) top = v_max(v_mul(k, v_load(x + j)), top);
    if (whole < n) top = v_max(v_sel(last, v_mul(k, v_load_m(x + whole, last)), low), top);
    const mc_v max = v_set1(v_reduce_max(top));
    for (int64_t j = 0; j < whole; j += 16) {
        const mc_v d = v_sub(v_mul(k, v_load(x + j)), max), e = v_expf(d);
        v_store(y + j, log ? d : e);
        sum = v_add(sum, e);
    }
    if (whole < n) {
        const mc_v d = v_sub(v_mul(k, v_load_m(x + whole, last)), max), e = v_expf(d);
        v_store_m(y + whole, last, log ? d : e);
        sum = v_sel(last, v_add(sum, e), sum);
    }
    const float total = v_reduce_add(sum);
    const mc_v f = v_set1(log ? logf(total) : 1.0f / total);
    for (int64_t j = 0; j < whole; j += 16) v_store(y + j, log ? v_sub(v_load(y + j), f) : v_mul(v_load(y + j), f));
    if (whole < n) {
        const mc_v v = v_load_m(y + whole, last);
        v_store_m(y + whole, last, log ? v_sub(v, f) : v_mul(v, f));
    }
}

void MC_K(softmax)(const mc_softmax_f32 *s)
{
    for (int64_t i = 0; i < s->rows; i++) softmax_row(s->x + i * s->ld_x, s->y + i * s->ld_y, s->n, s->scale, s->log);
}

/* 2^x for x <= 0, 0 below -125: n = round(x), then 2^(x - n) = 1 + r P(r) (our own minimax fit, 1.7e-7 relative) with n added
 * to the exponent field. Fused multiplies: attention is float only. */
MC_INLINE mc_v exp2_negative(mc_v x)
{
    const mc_v low = v_set1(-125.0f), magic = v_set1(MC_ROUND_MAGIC), t = v_add(v_max(low, x), magic);
    const mc_v r = v_sub(v_max(low, x), v_sub(t, magic));
    mc_v p = v_fma(v_set1(0x1.5bba14p-10f), r, v_set1(0x1.3cea88p-7f));
    p = v_fma(p, r, v_set1(0x1.c6b752p-5f));
    p = v_fma(p, r, v_set1(0x1.ebf9bcp-3f));
    p = v_fma(p, r, v_set1(0x1.62e42ap-1f));
    p = v_fma(p, r, v_set1(1.0f));
    return v_sel(v_lt(x, low), v_zero(), v_of_vi(vi_add(vi_of_v(p), vi_shl(vi_of_v(t), 23))));
}

/* Adds the mask to 16 lanes of the scores. */
MC_INLINE mc_v masked_scores(const mc_attention_f32 *a, mc_v s, int64_t t, int64_t first, int64_t lanes)
{
    const mc_v log2e = v_set1(MC_LOG2E);
    if (a->tile) return v_fma(v_load(a->tile + t * MC_ATTENTION_LANES + first), log2e, s);
    if (a->mask_q == 0) return v_fma(v_set1(a->mask[t * a->mask_t]), log2e, s);
    float mask[16] = {0};
    for (int64_t i = 0; i < 16 && i < lanes; i++) mask[i] = a->mask[t * a->mask_t + (first + i) * a->mask_q];
    return v_fma(v_load(mask), log2e, s);
}

void MC_K(attention)(const mc_attention_f32 *a)
{
    for (int64_t h = 0; h < MC_ATTENTION_LANES; h += 16) {
        float *s = a->s + h;
        const mc_v old = v_load(a->maximum + h);
        mc_v top = old, top2 = old, top3 = old, top4 = old, sum = v_zero();
        int64_t t0 = 0;
        if (a->mask || a->tile)
            for (int64_t t = 0; t < a->t; t++)
                v_store(s + t * MC_ATTENTION_LANES, masked_scores(a, v_load(s + t * MC_ATTENTION_LANES), t, h, a->lanes - h));
        for (; t0 + 4 <= a->t; t0 += 4) { /* four chains hide the latency */
            top = v_max(v_load(s + t0 * MC_ATTENTION_LANES), top);
            top2 = v_max(v_load(s + (t0 + 1) * MC_ATTENTION_LANES), top2);
            top3 = v_max(v_load(s + (t0 + 2) * MC_ATTENTION_LANES), top3);
            top4 = v_max(v_load(s + (t0 + 3) * MC_ATTENTION_LANES), top4);
        }
        for (; t0 < a->t; t0++) top = v_max(v_load(s + t0 * MC_ATTENTION_LANES), top);
        top = v_max(v_max(top, top2), v_max(top3, top4));
        const mc_v base = v_sel(v_eq(top, v_set1(-INFINITY)), v_zero(), top); /* only masked keys so far: all become 0 */
        for (int64_t t = 0; t < a->t; t++) {
            const mc_v e = exp2_negative(v_sub(v_load(s + t * MC_ATTENTION_LANES), base));
            v_store(s + t * MC_ATTENTION_LANES, e);
            sum = v_add(sum, e);
        }
        const mc_v f = exp2_negative(v_sub(old, base)); /* 0 for the first block */
        v_store(a->maximum + h, top);
        v_store(a->rescale + h, f);
        v_store(a->sum + h, v_add(v_mul(v_load(a->sum + h), f), sum));
    }
}

void MC_K(scale_rows)(float *y, int64_t ld, int64_t rows, int64_t n, const float *factor)
{
    for (int64_t i = 0; i < rows; i++, y += ld) {
        const mc_v f = v_set1(factor[i]);
        int64_t j = 0;
        for (; j + 16 <= n; j += 16) v_store(y + j, v_mul(v_load(y + j), f));
        if (j < n) v_store_m(y + j, v_first(n - j), v_mul(v_load_m(y + j, v_first(n - j)), f));
    }
}

/* ---- normalisation ---- */

static void rms_row(const float *x, float *y, const float *gamma, const float *beta, float eps, int64_t n)
{
    const int64_t whole = n & ~(int64_t)15;
    const mc_vm last = v_first(n - whole);
    mc_v s = v_zero();
    for (int64_t j = 0; j < whole; j += 16) s = v_add(s, v_mul(v_load(x + j), v_load(x + j)));
    if (whole < n) {
        const mc_v v = v_load_m(x + whole, last);
        s = v_add(s, v_mul(v, v));
    }
    const mc_v k = v_set1(1.0f / sqrtf(v_reduce_add(s) / (float)n + eps));
    for (int64_t j = 0; j < n; j += 16) {
        const mc_vm m = v_first(n - j);
        mc_v v = v_mul(v_load_m(x + j, m), k);
        if (gamma) v = v_mul(v, v_load_m(gamma + j, m));
        if (beta) v = v_add(v, v_load_m(beta + j, m));
        v_store_m(y + j, m, v);
    }
}

void MC_K(norm)(const mc_norm_f32 *s)
{
    int64_t i = 0;
    for (; i + 4 <= s->rows && !s->rms; i += 4)
        v_layernorm_rows4(s->y + i * s->ld_y, s->ld_y, s->x + i * s->ld_x, s->ld_x, s->gamma, s->beta, s->eps, s->n);
    for (; i < s->rows; i++) {
        const float *x = s->x + i * s->ld_x;
        float *y = s->y + i * s->ld_y;
        if (s->rms) rms_row(x, y, s->gamma, s->beta, s->eps, s->n);
        else v_layernorm_row(y, x, s->gamma, s->beta, s->eps, s->n);
    }
}

/* ---- reductions ---- */

MC_INLINE mc_v reduce_step(const int code, mc_v acc, mc_v x)
{
    switch (code) {
    case MC_REDUCE_MAX: return v_sel(v_nan(x), x, v_max(x, acc)); /* a NaN stays */
    case MC_REDUCE_MIN: return v_sel(v_nan(x), x, v_min(x, acc));
    case MC_REDUCE_SQUARES: return v_add(acc, v_mul(x, x));
    default: return v_add(acc, x);
    }
}

MC_INLINE float reduce_row(const int code, const float *x, int64_t n)
{
    const int sums = code == MC_REDUCE_SUM || code == MC_REDUCE_SQUARES;
    const int64_t whole = n & ~(int64_t)15;
    const mc_v start = v_set1(sums ? 0.0f : x[0]);
    mc_v acc = start;
    for (int64_t j = 0; j < whole; j += 16) acc = reduce_step(code, acc, v_load(x + j));
    if (whole < n) {
        const mc_vm m = v_first(n - whole);
        acc = reduce_step(code, acc, v_sel(m, v_load_m(x + whole, m), start));
    }
    if (sums) return v_reduce_add(acc);
    float lane[16], r;
    v_store(lane, acc);
    r = lane[0];
    for (int i = 1; i < 16; i++)
        r = isnan(r) || isnan(lane[i]) ? r + lane[i] : code == MC_REDUCE_MAX ? (lane[i] > r ? lane[i] : r) : (lane[i] < r ? lane[i] : r);
    return r;
}

float MC_K(reduce)(int32_t code, const float *x, int64_t n)
{
    switch (code) {
    case MC_REDUCE_MAX: return reduce_row(MC_REDUCE_MAX, x, n);
    case MC_REDUCE_MIN: return reduce_row(MC_REDUCE_MIN, x, n);
    case MC_REDUCE_SQUARES: return reduce_row(MC_REDUCE_SQUARES, x, n);
    default: return reduce_row(MC_REDUCE_SUM, x, n);
    }
}

MC_INLINE void reduce_rows_as(const int code, const float *x, int64_t ld, int64_t rows, float *y, int64_t n)
{
    int64_t j = 0;
    for (; j + 64 <= n; j += 64) { /* four chains, and whole runs of a row's cache lines */
        mc_v acc[4];
        MC_UNROLL for (int q = 0; q < 4; q++)
        {
            acc[q] = v_load(x + j + 16 * q);
            if (code == MC_REDUCE_SQUARES) acc[q] = v_mul(acc[q], acc[q]);
        }
        for (int64_t i = 1; i < rows; i++)
            MC_UNROLL for (int q = 0; q < 4; q++) acc[q] = reduce_step(code, acc[q], v_load(x + i * ld + j + 16 * q));
        MC_UNROLL for (int q = 0; q < 4; q++) v_store(y + j + 16 * q, acc[q]);
    }
    for (; j < n; j += 16) {
        const mc_vm m = v_first(n - j);
        mc_v acc = v_load_m(x + j, m);
        if (code == MC_REDUCE_SQUARES) acc = v_mul(acc, acc);
        for (int64_t i = 1; i < rows; i++) acc = reduce_step(code, acc, v_load_m(x + i * ld + j, m));
        v_store_m(y + j, m, acc);
    }
}

void MC_K(reduce_rows)(int32_t code, const float *x, int64_t ld, int64_t rows, float *y, int64_t n)
{
    switch (code) {
    case MC_REDUCE_MAX: reduce_rows_as(MC_REDUCE_MAX, x, ld, rows, y, n); break;
    case MC_REDUCE_MIN: reduce_rows_as(MC_REDUCE_MIN, x, ld, rows, y, n); break;
    case MC_REDUCE_SQUARES: reduce_rows_as(MC_REDUCE_SQUARES, x, ld, rows, y, n); break;
    default: reduce_rows_as(MC_REDUCE_SUM, x, ld, rows, y, n); break;
    }
}
