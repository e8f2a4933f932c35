/* Dense or sparse: looks at the constant weights of an integer product and estimates both kernels.
 *
 * Both give the same bits, so the choice is about time only, and it depends on nothing but the weights, the rows of the plan and
 * the CPU's tier: the same model gets the same kernels on every start. The rates are measured (docs/sparse.md). */
#include "backends/cpu/qgemm.h"

#include <stdio.h>

#define STRIP MC_SPARSE_STRIP
#define SAMPLE 16         /* one line of weights in so many is looked at first */
#define FEW_ZEROS 0.25    /* and if fewer are zero there, that is all */
#define GAIN 0.95         /* of the dense kernel's time: what sparse must stay below to be chosen */
#define HOT_BYTES (1 << 20) /* weights up to this are taken to be in L2 */
#define DENSE_ROWS 32         /* weights are read once a tile of so many rows */
#define DENSE_FEW 4           /* up to so many rows are read in place where others are padded (kernels/x86/qgemm_pairs.h) */

/* What one core does, by tier, measured with bench_sparse. GMAC/s where the operands are near; bytes a nanosecond that weights come
 * with from L2 (hot) and from L3 (cold), which is what bounds few rows. Rates of the sparse kernel count the blocks that are there. */
typedef struct rates {
    double dense, hot, cold;
    int32_t dense_lanes;        /* rows are padded to this */
    double few;                 /* sparse, columns in the lanes (kernels' few()); */
    double few_hot, few_cold;   /* but no more than this for each row; */
    double half;                /* rows in the lanes, up to HALF_ROWS, padded to 16; */
    double full;                /* more rows, padded to full_lanes */
    int32_t full_lanes;
    double output;              /* nanoseconds for bringing a sum back to its row */
} rates;
static const rates by_tier[MC_ISA_COUNT] = {
    {2.0, 100.0, 100.0, 1, 1.0, 100.0, 100.0, 1.0, 1.0, 1, 0.0},
    {95.0, 22.0, 17.0, 16, 40.0, 13.0, 10.0, 75.0, 75.0, 16, 0.25},
    {130.0, 22.0, 17.0, 16, 40.0, 13.0, 10.0, 75.0, 110.0, 64, 0.2},
    {360.0, 130.0, 32.0, 1, 150.0, 45.0, 24.0, 160.0, 250.0, 64, 0.17},
    {1150.0, 75.0, 26.0, 1, 150.0, 45.0, 24.0, 160.0, 250.0, 64, 0.17},
};
#define HALF_ROWS 32

/* ---- counting ---- */

typedef struct count {
    int64_t blocks, empty;  /* 4x1 blocks, and those of zeros */
    int64_t weights, zeros;
} count;

static inline int64_t zero_bytes(uint32_t v)
{
    const uint32_t low = 0x7f7f7f7fu, zero = ~(((v & low) + low) | v | low); /* 0x80 for each zero byte */
    return (int64_t)(((zero >> 7) * 0x01010101u) >> 24);
}

/* Four bytes, or the last `have` of a line and then what counts as zero weights. */
static inline uint32_t load_word(const int8_t *p, int64_t have, uint32_t flip)
{
    uint32_t v = flip;
    if (have >= 4) memcpy(&v, p, 4);
    else memcpy(&v, p, (size_t)have);
    return v ^ flip;
}

/* Blocks of a line [n] of four neighbours each (B is [K, N]). */
static void count_line(count *c, const int8_t *w, int64_t n, uint32_t flip)
{
    int64_t empty = 0, zeros = 0;
    for (int64_t j = 0; j < n; j += STRIP) {
        const uint32_t v = load_word(w + j, n - j, flip);
        empty += v == 0;
        zeros += zero_bytes(v);
    }
    c->empty += empty;
    c->zeros += zeros - (mc_q_up(n, STRIP) - n);
    c->blocks += (n + STRIP - 1) / STRIP;
    c->weights += n;
}

/* Blocks of up to four rows [rows][k] that lie one after another (B is [N, K]). */
static void count_rows(count *c, const int8_t *w, int64_t rows, int64_t k, uint32_t flip)
{
    const int64_t beyond = mc_q_up(k, 4) - k;
    int64_t empty = 0, zeros = 0;
    for (int64_t i = 0; i < k; i += 4) {
        uint32_t all = 0;
        for (int64_t r = 0; r < rows; r++) {
            const uint32_t v = load_word(w + r * k + i, k - i, flip);
            all |= v;
            zeros += zero_bytes(v);
        }
        empty += zero_bytes(all);
    }
    c->empty += empty - beyond;
    c->zeros += zeros - beyond * rows;
    c->blocks += k;
    c->weights += rows * k;
}

/* Every step-th line, or strip of rows. */
static count count_every(const mc_q_layout *l, const int8_t *w, int64_t step)
{
    const int64_t depth = l->channels * l->kh * l->kw;
    const uint32_t flip = l->flip * 0x01010101u;
    count c = {0};
    if (l->order == MC_Q_KN) {
        for (int64_t k = 0; k < depth; k += step) count_line(&c, w + k * l->n, l->n, flip);
        return c;
    }
    for (int64_t g = 0; g < l->groups; g++)
        for (int64_t j = 0; j < l->n; j += STRIP * step)
            count_rows(&c, w + (g * l->n + j) * depth, l->n - j < STRIP ? l->n - j : STRIP, depth, flip);
    return c;
}

/* ---- choosing ---- */

static double least(double a, double b) { return a < b ? a : b; }
static double filled(double rows, int32_t lanes) { return rows / (double)mc_q_up((int64_t)rows, lanes); }

/* Nanoseconds of one output of `depth` products at m rows, weights of so many bytes (sparse: 1.4 a weight). */
static double dense_ns(const rates *r, double depth, double m, double bytes)
{
    const double reads = (bytes <= HOT_BYTES ? r->hot : r->cold) * least(m, DENSE_ROWS);
    return depth / least(r->dense * (m > DENSE_FEW ? filled(m, r->dense_lanes) : 1.0), reads);
}

static double sparse_ns(const rates *r, double depth, double m, double bytes, int64_t few)
{
    const double one = 1.4 * bytes <= HOT_BYTES ? r->few_hot : r->few_cold;
    if (m <= (double)few) return depth / least(r->few, one * m) + r->output;
    return depth / (m <= HALF_ROWS ? r->half * filled(m, 16) : r->full * filled(m, r->full_lanes)) + r->output;
}

mc_q_choice mc_q_choose(const mc_node *n, const mc_q_layout *l, const int8_t *w, double rows)
{
    const int64_t depth = l->channels * l->kh * l->kw, forced = mc_attr_i(n, "sparse", 0);
    const rates *r = &by_tier[mc_cpu_isa()];
    mc_q_choice out = {.cost = 1.0};
    if (depth > MC_SPARSE_MAX_K || forced < 0) return out;
    count c = count_every(l, w, SAMPLE);
    if (!forced && (double)c.zeros < FEW_ZEROS * (double)c.weights) return out;
    c = count_every(l, w, 1);
    const double kept = (double)(c.blocks - c.empty) / (double)c.blocks, zeros = (double)c.zeros / (double)c.weights;
    if (rows < 1.0) rows = 1.0;
    const double bytes = (double)c.weights / (double)l->groups;
    const int64_t few = mc_kernels_for(mc_cpu_isa())->sparse.few();
    const double dense = dense_ns(r, (double)depth, rows, bytes), sparse = sparse_ns(r, (double)depth * kept, rows, bytes * kept, few);
    out.sparse = forced > 0 || sparse < GAIN * dense;
    if (out.sparse) {
        out.cost = least(sparse / dense, 1.0); /* where it is forced it is not to be outbid for that */
        snprintf(out.note, sizeof out.note, "%.0f %% of its 4x1 blocks kept", 100.0 * kept);
    } else if (1.0 - kept > 0.5 * zeros) {
        snprintf(out.note, sizeof out.note, "%.0f %% of its 4x1 blocks kept: dense is faster for this size", 100.0 * kept);
    } else if (zeros >= 0.5) {
        snprintf(out.note, sizeof out.note, "%.0f %% unstructured zeros: smaller file, not faster", 100.0 * zeros);
    }
    return out;
}
