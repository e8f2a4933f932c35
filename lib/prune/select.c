/* Which granules go. Ties are broken by index, so the same scores give the same choice everywhere. */
#include "prune/prune.h"

#include <math.h>
#include <stdlib.h>

typedef struct entry {
    float score;
    uint8_t gone;
    int32_t site;
    int64_t index;
} entry;

static int by_score(const void *x, const void *y)
{
    const entry *a = x, *b = y;
    if (a->gone != b->gone) return a->gone ? -1 : 1; /* what is gone stays gone */
    if (a->score != b->score) return a->score < b->score ? -1 : 1;
    if (a->site != b->site) return a->site < b->site ? -1 : 1;
    return a->index < b->index ? -1 : a->index > b->index;
}

/* How many granules of a site go for a fraction: rounded down, survivors a multiple of the alignment, at least one left. */
static int64_t quota(const mc_prune_site *s, double fraction)
{
    int64_t left = s->granules - (int64_t)floor(fraction * (double)s->granules + 1e-9);
    if (s->align > 1) left = (left + s->align - 1) / s->align * s->align;
    if (left < 1) left = 1;
    return left > s->granules ? 0 : s->granules - left;
}

static int32_t by_site(mc_prune_state *s, const mc_prune_plan *p, double fraction)
{
    for (int64_t k = 0; k < p->n; k++) {
        const int64_t n = p->sites[k].granules, go = quota(&p->sites[k], fraction);
        entry *e = mc_malloc((size_t)n * sizeof *e);
        if (!e) return MCOMP_NO_MEMORY;
        for (int64_t i = 0; i < n; i++) e[i] = (entry){s->score[k][i], s->gone[k][i], (int32_t)k, i};
        qsort(e, (size_t)n, sizeof *e, by_score);
        for (int64_t i = 0; i < go; i++) s->gone[k][e[i].index] = 1;
        mc_free(e);
    }
    return MCOMP_OK;
}

/* Scores over their site's mean; elements are counted, not granules, and of a site at most all granules but one (or its alignment) go. */
static int32_t together(mc_prune_state *s, const mc_prune_plan *p, double fraction)
{
    int32_t st = MCOMP_OK;
    int64_t n = 0, at = 0;
    double total = 0.0, removed = 0.0;
    for (int64_t k = 0; k < p->n; k++) n += p->sites[k].granules;
    entry *e = mc_malloc((size_t)n * sizeof *e);
    int64_t *left = mc_malloc((size_t)p->n * sizeof *left);
    if (!e || !left) MC_TRY(MCOMP_NO_MEMORY);
    for (int64_t k = 0; k < p->n; k++) {
        double mean = 0.0;
        total += (double)p->sites[k].elements;
        left[k] = p->sites[k].granules;
        for (int64_t i = 0; i < left[k]; i++) mean += (double)s->score[k][i] / (double)left[k];
        for (int64_t i = 0; i < p->sites[k].granules; i++)
            e[at++] = (entry){mean > 0.0 ? (float)((double)s->score[k][i] / mean) : 0.0f, s->gone[k][i], (int32_t)k, i};
    }
    qsort(e, (size_t)n, sizeof *e, by_score);
    for (int64_t i = 0; i < n; i++) {
        const mc_prune_site *site = &p->sites[e[i].site];
        const double weight = (double)site->elements / (double)site->granules;
        if (removed + weight > fraction * total + 1e-9) break;
        if (left[e[i].site] <= site->align) continue;
        s->gone[e[i].site][e[i].index] = 1;
        left[e[i].site]--;
        removed += weight;
    }
    for (int64_t i = n - 1; i >= 0; i--) { /* survivors up to the alignment: the best of those that went come back */
        const mc_prune_site *site = &p->sites[e[i].site];
        if (left[e[i].site] % site->align == 0 || !s->gone[e[i].site][e[i].index] || e[i].gone) continue;
        s->gone[e[i].site][e[i].index] = 0;
        left[e[i].site]++;
    }
done:
    mc_free(e);
    mc_free(left);
    return st;
}

/* Of each group of `rows` neighbouring inputs of an output, the `cols` best stay. */
static void n_of_m(mc_prune_state *s, const mc_prune_plan *p)
{
    for (int64_t k = 0; k < p->n; k++) {
        const mc_prune_matrix *m = &p->sites[k].m;
        for (int64_t i = 0; i < m->n; i++)
            for (int64_t j = 0; j < m->k; j += p->pattern->rows) {
                const int64_t width = m->k - j < p->pattern->rows ? m->k - j : p->pattern->rows, base = i * m->k + j;
                for (int64_t x = 0; x < width; x++) {
                    int64_t better = 0;
                    for (int64_t y = 0; y < width; y++) {
                        const float a = s->score[k][base + y], b = s->score[k][base + x];
                        better += a > b || (a == b && y > x);
                    }
                    s->gone[k][base + x] = s->gone[k][base + x] || better >= p->pattern->cols;
                }
            }
    }
}

int32_t mc_prune_select(mc_prune_state *s, const mc_prune_plan *p, double fraction, int global)
{
    if (p->pattern->kind != MC_PRUNE_N_OF_M) return global ? together(s, p, fraction) : by_site(s, p, fraction);
    n_of_m(s, p);
    return MCOMP_OK;
}
