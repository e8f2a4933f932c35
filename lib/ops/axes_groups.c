/* Units of axes and groups of alike units. */
#include "ops/axes.h"

#include <stdlib.h>

typedef struct member {
    int64_t unit;
    int32_t value, axis;
    int64_t at;
} member;

typedef struct unit {
    int64_t first, n; /* of the sorted members */
    uint64_t hash;    /* of its axes and how many positions each has */
} unit;

static int by_unit(const void *x, const void *y)
{
    const member *a = x, *b = y;
    if (a->unit != b->unit) return a->unit < b->unit ? -1 : 1;
    if (a->value != b->value) return a->value < b->value ? -1 : 1;
    if (a->axis != b->axis) return a->axis < b->axis ? -1 : 1;
    return a->at < b->at ? -1 : a->at > b->at;
}

static int by_hash(const void *x, const void *y)
{
    const unit *a = x, *b = y;
    if (a->hash != b->hash) return a->hash < b->hash ? -1 : 1;
    return a->first < b->first ? -1 : a->first > b->first;
}

static int is_member(const mc_value *v) { return !v->dead && v->init && v->n_uses > 0; }

static int32_t collect(const mc_axes *a, const mc_graph *g, member **out, int64_t *n)
{
    int32_t st = MCOMP_OK;
    int64_t cap = 0;
    for (int64_t i = 0; i < g->n_values; i++) {
        const mc_value *v = g->values[i];
        for (int32_t k = 0; is_member(v) && k < v->type.rank; k++)
            for (int64_t at = 0; at < mc_axes_length(a, v, k); at++) {
                const int64_t u = mc_axes_unit(a, v, k, at);
                if (u < 0) continue;
                MC_TRY(mc_grow(out, &cap, *n + 1, sizeof **out));
                (*out)[(*n)++] = (member){u, v->id, k, at};
            }
    }
    qsort(*out, (size_t)*n, sizeof **out, by_unit);
done:
    return st;
}

/* Signature: for each axis of each constant, how many positions (FNV-1a over them). */
static uint64_t signature(const member *m, int64_t n)
{
    uint64_t h = 1469598103934665603u;
    for (int64_t i = 0; i < n;) {
        int64_t end = i;
        while (end < n && m[end].value == m[i].value && m[end].axis == m[i].axis) end++;
        const uint64_t parts[3] = {(uint64_t)m[i].value, (uint64_t)m[i].axis, (uint64_t)(end - i)};
        for (int k = 0; k < 3; k++) h = (h ^ parts[k]) * 1099511628211u;
        i = end;
    }
    return h;
}

/* A unit that touches one matrix only, or none, is no coupling of layers. */
static int couples(const mc_graph *g, const member *m, int64_t n)
{
    int32_t matrices = 0, last = -1;
    for (int64_t i = 0; i < n; i++) {
        if (m[i].value != last && g->values[m[i].value]->type.rank >= 2) matrices++;
        last = m[i].value;
    }
    return matrices >= 2;
}

static const mc_node *reader(const mc_graph *g, const mc_value *v)
{
    for (int64_t i = 0; i < g->n_order; i++)
        for (int32_t k = 0; k < g->order[i]->n_in; k++)
            if (g->order[i]->in[k] == v) return g->order[i];
    return NULL;
}

static int is_conv(const mc_value *v)
{
    for (int64_t i = 0; i < v->n_uses; i++)
        if ((mc_node_is(v->uses[i].node, "Conv") || mc_node_is(v->uses[i].node, "ConvTranspose")) && v->uses[i].index == 1) return 1;
    return 0;
}

static int32_t kind_of(const mc_graph *g, const member *m, int64_t n)
{
    int several = 0;
    for (int64_t i = 0; i < n; i++) {
        if (is_conv(g->values[m[i].value])) return MC_AXIS_CHANNEL;
        several |= i > 0 && m[i].value == m[i - 1].value && m[i].axis == m[i - 1].axis;
    }
    return several ? MC_AXIS_HEAD : MC_AXIS_FFN;
}

static int32_t add_group(mc_axis_groups *out, const mc_graph *g, const member *m, const unit *u, int64_t units)
{
    int32_t st = MCOMP_OK;
    const int64_t width = u[0].n;
    MC_TRY(mc_grow(&out->v, &out->cap, out->n + 1, sizeof *out->v));
    mc_axis_group *x = &out->v[out->n];
    *x = (mc_axis_group){.units = units, .width = width, .kind = kind_of(g, m + u[0].first, width)};
    x->members = mc_malloc((size_t)(units * width) * sizeof *x->members);
    const mc_node *first = reader(g, g->values[m[u[0].first].value]);
    x->name = mc_strdup(first ? first->name : g->values[m[u[0].first].value]->name);
    if (!x->members || !x->name) {
        mc_free(x->members);
        mc_free(x->name);
        return MCOMP_NO_MEMORY;
    }
    out->n++;
    for (int64_t i = 0; i < units; i++)
        for (int64_t k = 0; k < width; k++) {
            const member *p = &m[u[i].first + k];
            x->members[i * width + k] = (mc_axis_member){g->values[p->value], p->axis, p->at};
        }
done:
    return st;
}

static int by_first_value(const void *x, const void *y)
{
    const mc_axis_group *a = x, *b = y;
    return a->members[0].value->id < b->members[0].value->id ? -1 : a->members[0].value->id > b->members[0].value->id;
}

int32_t mc_axes_groups(mc_axis_groups *out, const mc_axes *a, const mc_graph *g)
{
    int32_t st = MCOMP_OK;
    member *m = NULL;
    unit *u = NULL;
    int64_t n = 0, n_units = 0, cap = 0;
    *out = (mc_axis_groups){0};
    MC_TRY(collect(a, g, &m, &n));
    for (int64_t i = 0; i < n;) {
        int64_t end = i;
        while (end < n && m[end].unit == m[i].unit) end++;
        if (couples(g, m + i, end - i)) {
            MC_TRY(mc_grow(&u, &cap, n_units + 1, sizeof *u));
            u[n_units++] = (unit){i, end - i, signature(m + i, end - i)};
        }
        i = end;
    }
    qsort(u, (size_t)n_units, sizeof *u, by_hash);
    for (int64_t i = 0; i < n_units;) {
        int64_t end = i;
        while (end < n_units && u[end].hash == u[i].hash) end++;
        if (end - i > 1) MC_TRY(add_group(out, g, m, u + i, end - i));
        i = end;
    }
    if (out->n > 1) qsort(out->v, (size_t)out->n, sizeof *out->v, by_first_value);
done:
    mc_free(m);
    mc_free(u);
    if (st != MCOMP_OK) mc_axis_groups_free(out);
    return st;
}

void mc_axis_groups_free(mc_axis_groups *g)
{
    for (int64_t i = 0; i < g->n; i++) {
        mc_free(g->v[i].name);
        mc_free(g->v[i].members);
    }
    mc_free(g->v);
    *g = (mc_axis_groups){0};
}

const char *mc_axis_kind_name(int32_t kind) { return kind == MC_AXIS_CHANNEL ? "channel" : kind == MC_AXIS_HEAD ? "head" : "ffn"; }
