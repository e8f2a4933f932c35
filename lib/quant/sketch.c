/* The sketch of one tensor: adding, doubling, merging. See sketch.h for the histogram's definition and why it is exact. */
#include "quant/sketch.h"

#include <math.h>

int32_t mc_sketch_init(mc_sketch *s, int32_t channels)
{
    memset(s, 0, sizeof *s);
    s->bin = mc_calloc(MC_SKETCH_BINS, sizeof *s->bin);
    if (!s->bin) return MCOMP_NO_MEMORY;
    if (channels > 0) {
        s->channels = channels < MC_SKETCH_CHANNELS ? channels : MC_SKETCH_CHANNELS;
        s->ch_absmax = mc_calloc((size_t)s->channels, sizeof *s->ch_absmax);
        s->ch_sumsq = mc_calloc((size_t)s->channels, sizeof *s->ch_sumsq);
        if (!s->ch_absmax || !s->ch_sumsq) {
            mc_sketch_free(s);
            return MCOMP_NO_MEMORY;
        }
    }
    mc_sketch_reset(s);
    return MCOMP_OK;
}

void mc_sketch_reset(mc_sketch *s)
{
    s->exponent = MC_SKETCH_MIN_EXP;
    s->count = s->zeros = s->batches = 0;
    s->batch_min_sum = s->batch_max_sum = s->sum = s->sumsq = 0.0;
    s->min = HUGE_VAL;
    s->max = -HUGE_VAL;
    memset(s->bin, 0, MC_SKETCH_BINS * sizeof *s->bin);
    for (int32_t c = 0; c < s->channels; c++) {
        s->ch_absmax[c] = 0.0f;
        s->ch_sumsq[c] = 0.0;
    }
}

void mc_sketch_free(mc_sketch *s)
{
    mc_free(s->bin);
    mc_free(s->ch_absmax);
    mc_free(s->ch_sumsq);
    memset(s, 0, sizeof *s);
}

double mc_sketch_width(const mc_sketch *s) { return ldexp(1.0, s->exponent) / MC_SKETCH_HALF; }

/* Raises T to 2^exponent: index k of each half becomes k >> shift. In place, inner bins first. */
static void widen(mc_sketch *s, int32_t exponent)
{
    const int32_t shift = exponent - s->exponent;
    if (shift <= 0) return;
    uint64_t *pos = s->bin + MC_SKETCH_HALF, *neg = s->bin + MC_SKETCH_HALF - 1;
    for (int32_t k = 0; k < MC_SKETCH_HALF; k++) {
        const int32_t to = shift < 31 ? k >> shift : 0;
        const uint64_t p = pos[k], n = neg[-k];
        pos[k] = neg[-k] = 0;
        pos[to] += p;
        neg[-to] += n;
    }
    s->exponent = exponent;
}

static int32_t exponent_for(double magnitude)
{
    int e = 0;
    frexp(magnitude, &e); /* magnitude < 2^e, >= 2^(e-1) */
    return magnitude > 0.0 && e > MC_SKETCH_MIN_EXP ? e : MC_SKETCH_MIN_EXP;
}

/* Extremes; 0 when a value is NaN or infinite. */
static int extremes(const float *x, int64_t n, float *lo, float *hi)
{
    float a[8], b[8];
    int64_t i = 0;
    uint32_t worst = 0; /* largest exponent field: 0x7f800000 means not finite */
    for (int k = 0; k < 8; k++) a[k] = b[k] = x[0];
    for (; i + 8 <= n; i += 8)
        for (int k = 0; k < 8; k++) {
            const float v = x[i + k];
            a[k] = v < a[k] ? v : a[k];
            b[k] = v > b[k] ? v : b[k];
        }
    for (; i < n; i++) {
        a[0] = x[i] < a[0] ? x[i] : a[0];
        b[0] = x[i] > b[0] ? x[i] : b[0];
    }
    for (i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, x + i, 4);
        bits &= 0x7f800000u;
        worst = bits > worst ? bits : worst;
    }
    if (worst == 0x7f800000u) return 0;
    for (int k = 1; k < 8; k++) {
        a[0] = a[k] < a[0] ? a[k] : a[0];
        b[0] = b[k] > b[0] ? b[k] : b[0];
    }
    *lo = a[0];
    *hi = b[0];
    return 1;
}

/* Counts, zeros and sums; T is wide enough. Blocks keep the indices in cache between the two loops. */
static void count(mc_sketch *s, const float *x, int64_t n)
{
    enum { BLOCK = 512 };
    int32_t index[BLOCK];
    const float scale = ldexpf(1.0f, 11 - s->exponent); /* 2^11 = MC_SKETCH_HALF */
    uint64_t zeros = 0;
    for (int64_t i0 = 0; i0 < n; i0 += BLOCK) {
        const int32_t m = n - i0 < BLOCK ? (int32_t)(n - i0) : BLOCK;
        const float *v = x + i0;
        double sum[4] = {0}, sq[4] = {0};
        int32_t z = 0, i = 0;
        for (i = 0; i < m; i++) {
            const int32_t k = (int32_t)(fabsf(v[i]) * scale), sign = -(v[i] < 0.0f);
            index[i] = (k ^ sign) + MC_SKETCH_HALF; /* ~k = -1 - k on the negative side */
            z += v[i] == 0.0f;
        }
        for (i = 0; i < m; i++) s->bin[index[i]]++;
        for (i = 0; i < m; i++) {
            const double d = (double)v[i];
            sum[i & 3] += d;
            sq[i & 3] += d * d;
        }
        s->sum += sum[0] + sum[1] + (sum[2] + sum[3]);
        s->sumsq += sq[0] + sq[1] + (sq[2] + sq[3]);
        zeros += (uint64_t)z;
    }
    s->zeros += zeros;
    s->count += (uint64_t)n;
}

static void count_channels(mc_sketch *s, const float *x, int64_t outer, int64_t axis, int64_t inner)
{
    const int64_t group = (axis + s->channels - 1) / s->channels;
    for (int64_t o = 0; o < outer; o++)
        for (int64_t c = 0; c < axis; c++, x += inner) {
            float m = s->ch_absmax[c / group];
            double q = 0.0;
            for (int64_t i = 0; i < inner; i++) {
                const float a = fabsf(x[i]);
                m = a > m ? a : m;
                q += (double)a * (double)a;
            }
            s->ch_absmax[c / group] = m;
            s->ch_sumsq[c / group] += q;
        }
}

int mc_sketch_add(mc_sketch *s, const float *x, int64_t outer, int64_t axis, int64_t inner)
{
    const int64_t n = outer * (axis > 0 ? axis : 1) * inner;
    float lo, hi;
    if (n <= 0) return 0;
    if (!extremes(x, n, &lo, &hi)) return 1;
    widen(s, exponent_for(fmax(fabs((double)lo), fabs((double)hi))));
    count(s, x, n);
    if (s->channels > 0 && axis > 0) count_channels(s, x, outer, axis, inner);
    s->min = fmin(s->min, (double)lo);
    s->max = fmax(s->max, (double)hi);
    return 0;
}

void mc_sketch_close_batch(mc_sketch *s)
{
    if (s->count == 0) return;
    s->batches = 1;
    s->batch_min_sum = s->min;
    s->batch_max_sum = s->max;
}

void mc_sketch_merge(mc_sketch *a, const mc_sketch *b)
{
    const int32_t shift = a->exponent - b->exponent; /* b's bins are this much finer */
    if (b->count == 0) return;
    if (shift < 0) widen(a, b->exponent);
    for (int32_t k = 0; k < MC_SKETCH_HALF; k++) {
        const int32_t to = shift <= 0 ? k : shift < 31 ? k >> shift : 0;
        a->bin[MC_SKETCH_HALF + to] += b->bin[MC_SKETCH_HALF + k];
        a->bin[MC_SKETCH_HALF - 1 - to] += b->bin[MC_SKETCH_HALF - 1 - k];
    }
    if (a->channels != b->channels) a->channels = 0;
    for (int32_t c = 0; c < a->channels; c++) {
        a->ch_absmax[c] = fmaxf(a->ch_absmax[c], b->ch_absmax[c]);
        a->ch_sumsq[c] += b->ch_sumsq[c];
    }
    a->count += b->count;
    a->zeros += b->zeros;
    a->batches += b->batches;
    a->batch_min_sum += b->batch_min_sum;
    a->batch_max_sum += b->batch_max_sum;
    a->min = fmin(a->min, b->min);
    a->max = fmax(a->max, b->max);
    a->sum += b->sum;
    a->sumsq += b->sumsq;
}

int64_t mc_sketch_dead_channels(const mc_sketch *s)
{
    int64_t dead = 0;
    if (s->count == 0) return 0;
    for (int32_t c = 0; c < s->channels; c++) dead += s->ch_absmax[c] == 0.0f;
    return dead;
}
