/* Masks of weights: 1 keeps an element, 0 holds it at zero. */
#include "prune/prune.h"

static int64_t index_of(const mc_prune_masks *m, const mc_value *weight)
{
    for (int64_t i = 0; i < m->n; i++)
        if (m->weight[i] == weight) return i;
    return -1;
}

typedef struct touch {
    mc_prune_masks *m;
    int64_t cap;
    const mc_value *last;
    int64_t at;
} touch;

static int32_t add_weight(void *ctx, const mc_prune_run *r)
{
    int32_t st = MCOMP_OK;
    touch *t = ctx;
    mc_prune_masks *m = t->m;
    if (r->weight == t->last || index_of(m, r->weight) >= 0) return MCOMP_OK;
    t->last = r->weight;
    if (m->n == t->cap) {
        int64_t cap = t->cap;
        MC_TRY(mc_grow(&m->weight, &cap, m->n + 1, sizeof *m->weight));
        MC_TRY(mc_grow(&m->mask, &t->cap, m->n + 1, sizeof *m->mask));
    }
    m->weight[m->n] = r->weight;
    MC_TRY(mc_tensor_create(&m->mask[m->n], MCOMP_F32, &r->weight->init->shape));
    m->n++;
done:
    return st;
}

int32_t mc_prune_masks_make(mc_prune_masks *m, const mc_prune_plan *p)
{
    int32_t st = MCOMP_OK;
    touch t = {.m = m};
    *m = (mc_prune_masks){0};
    for (int64_t k = 0; k < p->n && st == MCOMP_OK; k++) st = mc_prune_walk(&p->sites[k], p->pattern, 0, add_weight, &t); /* all granules touch the same ones */
    for (int64_t i = 0; i < m->n; i++)
        for (int64_t j = 0; j < mc_tensor_elements(m->mask[i]); j++) ((float *)m->mask[i]->data)[j] = 1.0f;
    return st;
}

static int32_t clear(void *ctx, const mc_prune_run *r)
{
    touch *t = ctx;
    if (t->last != r->weight) {
        t->last = r->weight;
        t->at = index_of(t->m, r->weight);
    }
    for (int64_t i = 0; i < r->count; i++) ((float *)t->m->mask[t->at]->data)[r->first + i * r->step] = 0.0f;
    return MCOMP_OK;
}

void mc_prune_masks_fill(mc_prune_masks *m, const mc_prune_plan *p, const mc_prune_state *s)
{
    touch t = {.m = m};
    for (int64_t k = 0; k < p->n; k++)
        for (int64_t i = 0; i < p->sites[k].granules; i++)
            if (s->gone[k][i]) (void)mc_prune_walk(&p->sites[k], p->pattern, i, clear, &t);
}

void mc_prune_masks_free(mc_prune_masks *m)
{
    for (int64_t i = 0; i < m->n; i++) mc_tensor_destroy(m->mask[i]);
    mc_free(m->mask);
    mc_free(m->weight);
    *m = (mc_prune_masks){0};
}

int32_t mc_prune_masks_apply(const mc_prune_masks *m, mc_graph *g)
{
    int32_t st = MCOMP_OK;
    for (int64_t i = 0; i < m->n; i++) {
        mc_value *v = mc_graph_find_value(g, m->weight[i]->name);
        mc_tensor *own = NULL;
        if (!v || !v->init) MC_FAIL(MCOMP_INTERNAL, m->weight[i]->name, "the model has no such weight");
        MC_TRY(mc_tensor_copy(&own, v->init)); /* its memory is shared with other graphs */
        for (int64_t k = 0; k < mc_tensor_elements(own); k++) ((float *)own->data)[k] *= ((const float *)m->mask[i]->data)[k];
        mc_tensor_destroy(v->init);
        v->init = own;
    }
done:
    return st;
}
