/* Scores of granules, from the weights as they are now. */
#include "prune/prune.h"

#define CHUNK 256

int32_t mc_prune_state_make(mc_prune_state *s, const mc_prune_plan *p)
{
    *s = (mc_prune_state){mc_calloc((size_t)p->n + 1, sizeof *s->score), mc_calloc((size_t)p->n + 1, sizeof *s->gone)};
    if (!s->score || !s->gone) return MCOMP_NO_MEMORY;
    for (int64_t i = 0; i < p->n; i++) {
        s->score[i] = mc_calloc((size_t)p->sites[i].granules, sizeof **s->score);
        s->gone[i] = mc_calloc((size_t)p->sites[i].granules, 1);
        if (!s->score[i] || !s->gone[i]) return MCOMP_NO_MEMORY;
    }
    return MCOMP_OK;
}

void mc_prune_state_free(mc_prune_state *s, const mc_prune_plan *p)
{
    for (int64_t i = 0; i < p->n; i++) {
        if (s->score) mc_free(s->score[i]);
        if (s->gone) mc_free(s->gone[i]);
    }
    mc_free(s->score);
    mc_free(s->gone);
    *s = (mc_prune_state){0};
}

typedef struct sum {
    const mc_prune_plan *p;
    const mc_prune_source *src;
    const mc_value *known; /* the weight that w and v belong to */
    const float *w, *v;
    void (*element)(const float *w, const float *v, int64_t n, float *score); /* NULL: only zeros are looked for */
    double score;
    int zero;
    float *row;    /* gathers a unit's weights; NULL: sums */
    int64_t width;
} sum;

static int32_t open_weight(sum *s, const mc_value *weight)
{
    if (s->known == weight) return MCOMP_OK;
    const mc_tensor *w = s->src->trainer ? mc_trainer_parameter(s->src->trainer, weight->name) : NULL, *v = NULL;
    const mc_value *other = s->src->g ? mc_graph_find_value(s->src->g, weight->name) : NULL;
    if (!w) w = other && other->init ? other->init : weight->init; /* not trained: as it is */
    if (s->p->criterion->moments && s->element) {
        v = s->src->moments ? mc_trainer_second_moment(s->src->moments, weight->name) : NULL;
        if (!v && s->p->pattern->kind != MC_PRUNE_UNITS) return mc_fail(MCOMP_ARGUMENT, weight->name, "%s needs gradients, and this weight is not trained", s->p->criterion->name);
    }
    s->known = weight;
    s->w = w->data;
    s->v = v ? v->data : NULL;
    return MCOMP_OK;
}

static int32_t add_run(void *ctx, const mc_prune_run *r)
{
    sum *s = ctx;
    if (r->weight->init->shape.rank < 2) return MCOMP_OK; /* biases and moments say nothing of a unit, and go with it */
    float w[CHUNK], v[CHUNK], score[CHUNK];
    const int32_t st = open_weight(s, r->weight);
    if (st != MCOMP_OK) return st;
    for (int64_t at = 0; at < r->count; at += CHUNK) {
        const int64_t n = r->count - at < CHUNK ? r->count - at : CHUNK;
        for (int64_t i = 0; i < n; i++) {
            const int64_t k = r->first + (at + i) * r->step;
            w[i] = s->w[k];
            v[i] = s->v ? s->v[k] : 0.0f;
            s->zero = s->zero && w[i] == 0.0f;
        }
        if (s->row) {
            memcpy(s->row + s->width, w, (size_t)n * sizeof *w);
            s->width += n;
        } else if (s->element) {
            s->element(w, v, n, score);
            for (int64_t i = 0; i < n; i++) s->score += (double)score[i];
        }
    }
    return MCOMP_OK;
}

/* Criteria that compare units see all weights of a group, a unit a row. */
static int32_t compare(const mc_prune_plan *p, int64_t k, const mc_prune_source *src, mc_prune_state *out)
{
    int32_t st = MCOMP_OK;
    const mc_prune_site *site = &p->sites[k];
    const int64_t width = site->elements / site->granules;
    float *rows = mc_malloc((size_t)(site->granules * width) * sizeof *rows);
    if (!rows) return MCOMP_NO_MEMORY;
    for (int64_t i = 0; i < site->granules; i++) {
        sum s = {.p = p, .src = src, .zero = 1, .row = rows + i * width};
        MC_TRY(mc_prune_walk(site, p->pattern, i, add_run, &s));
        out->gone[k][i] = (uint8_t)s.zero;
    }
    p->criterion->unit(rows, site->granules, width, out->score[k]);
done:
    mc_free(rows);
    return st;
}

static int32_t each(mc_prune_state *out, const mc_prune_plan *p, int64_t k, sum *s)
{
    int32_t st = MCOMP_OK;
    for (int64_t i = 0; i < p->sites[k].granules && st == MCOMP_OK; i++) {
        s->score = 0.0;
        s->zero = 1;
        st = mc_prune_walk(&p->sites[k], p->pattern, i, add_run, s);
        out->score[k][i] = (float)s->score;
        out->gone[k][i] = (uint8_t)s->zero;
    }
    return st;
}

int32_t mc_prune_score(mc_prune_state *out, const mc_prune_plan *p, const mc_prune_source *src)
{
    int32_t st = MCOMP_OK;
    for (int64_t k = 0; k < p->n && st == MCOMP_OK; k++) {
        sum s = {.p = p, .src = src, .element = p->criterion->element};
        st = p->criterion->unit ? compare(p, k, src, out) : each(out, p, k, &s);
    }
    return st;
}

int32_t mc_prune_zeros(mc_prune_state *out, const mc_prune_plan *p, const mc_prune_source *src)
{
    int32_t st = MCOMP_OK;
    for (int64_t k = 0; k < p->n && st == MCOMP_OK; k++) {
        sum s = {.p = p, .src = src};
        st = each(out, p, k, &s);
    }
    return st;
}
