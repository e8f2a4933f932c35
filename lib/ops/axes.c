/* Labels of axis positions: union-find, and the pass over the graph. */
#include "ops/axes.h"

struct mc_axes {
    int64_t (*base)[MC_MAX_RANK]; /* by value id: label of position 0 of an axis, -1 without labels */
    int32_t *parent;
    uint8_t *pinned; /* of a root */
    int64_t labels;
    int32_t round;
    const mc_graph *g;
};

#define MAX_LENGTH (1 << 20)   /* a longer axis is nobody's channel */
#define MAX_LABELS (1ll << 28)

static int32_t root(const mc_axes *a, int64_t label)
{
    int32_t x = (int32_t)label;
    while (a->parent[x] != x) {
        a->parent[x] = a->parent[a->parent[x]];
        x = a->parent[x];
    }
    return x;
}

static void join(mc_axes *a, int64_t x, int64_t y)
{
    const int32_t p = root(a, x), q = root(a, y), low = p < q ? p : q, high = p < q ? q : p;
    if (p == q) return;
    a->parent[high] = low;
    a->pinned[low] = a->pinned[low] | a->pinned[high];
}

int32_t mc_axes_round(const mc_axes *a) { return a->round; }

static int64_t base(const mc_axes *a, const mc_value *v, int32_t axis)
{
    return v && axis >= 0 && axis < v->type.rank && v->id < a->g->n_values ? a->base[v->id][axis] : -1;
}

int64_t mc_axes_length(const mc_axes *a, const mc_value *v, int32_t axis) { return base(a, v, axis) < 0 ? -1 : v->type.dim[axis]; }

void mc_axes_pin(mc_axes *a, const mc_value *v, int32_t axis)
{
    const int64_t at = base(a, v, axis), n = mc_axes_length(a, v, axis);
    for (int64_t i = 0; i < n; i++) a->pinned[root(a, at + i)] = 1;
}

void mc_axes_pin_all(mc_axes *a, const mc_value *v)
{
    for (int32_t i = 0; v && i < v->type.rank; i++) mc_axes_pin(a, v, i);
}

int mc_axes_pinned(const mc_axes *a, const mc_value *v, int32_t axis)
{
    const int64_t at = base(a, v, axis), n = mc_axes_length(a, v, axis);
    for (int64_t i = 0; i < n; i++)
        if (a->pinned[root(a, at + i)]) return 1;
    return n < 0;
}

void mc_axes_pin_node(mc_axes *a, const mc_node *n)
{
    for (int32_t i = 0; i < n->n_in + n->n_cap; i++) mc_axes_pin_all(a, n->in[i]);
    for (int32_t i = 0; i < n->n_out; i++) mc_axes_pin_all(a, n->out[i]);
}

void mc_axes_tie(mc_axes *a, const mc_value *x, int32_t ax, int64_t fx, const mc_value *y, int32_t ay, int64_t fy, int64_t n)
{
    const int64_t bx = base(a, x, ax), by = base(a, y, ay);
    if (bx < 0 || by < 0 || fx + n > x->type.dim[ax] || fy + n > y->type.dim[ay]) {
        mc_axes_pin(a, x, ax);
        mc_axes_pin(a, y, ay);
        return;
    }
    for (int64_t i = 0; i < n; i++) join(a, bx + fx + i, by + fy + i);
}

void mc_axes_same(mc_axes *a, const mc_value *x, int32_t ax, const mc_value *y, int32_t ay)
{
    const int64_t nx = mc_axes_length(a, x, ax), ny = mc_axes_length(a, y, ay);
    if (nx >= 0 && nx == ny) {
        mc_axes_tie(a, x, ax, 0, y, ay, 0, nx);
        return;
    }
    if (nx != 1 || ny < 0) mc_axes_pin(a, y, ay);
    if (ny != 1 || nx < 0) mc_axes_pin(a, x, ax);
    if (nx == 1) mc_axes_pin(a, x, ax);
    if (ny == 1) mc_axes_pin(a, y, ay);
}

void mc_axes_broadcast(mc_axes *a, const mc_node *n, int32_t n_in)
{
    const mc_value *y = n->n_out > 0 ? n->out[0] : NULL;
    for (int32_t i = 0; i < n_in && i < n->n_in; i++) {
        const mc_value *x = n->in[i];
        if (!x) continue;
        if (!y || x->type.rank < 0 || y->type.rank < x->type.rank) {
            mc_axes_pin_node(a, n);
            return;
        }
        for (int32_t k = 0; k < x->type.rank; k++) {
            const int32_t ky = y->type.rank - x->type.rank + k;
            /* a length of 1 is stretched: what it meets is tied by the others */
            if (x->type.dim[k] == 1 && y->type.dim[ky] != 1) mc_axes_pin(a, x, k);
            else mc_axes_same(a, x, k, y, ky);
        }
    }
}

static void visit(mc_axes *a, const mc_node *n)
{
    const int captures = n->n_cap > 0;
    for (int32_t i = 1; i < n->n_out; i++)
        if (n->out[i] && !(n->desc && n->desc->axes)) mc_axes_pin_all(a, n->out[i]);
    if (!n->desc || n->refused || captures || n->n_out < 1) mc_axes_pin_node(a, n);
    else if (n->desc->axes) n->desc->axes(a, n);
    else if (n->desc->traits & MC_OP_ELEMENTWISE) mc_axes_broadcast(a, n, n->n_in);
    else mc_axes_pin_node(a, n);
}

static int32_t label_axes(mc_axes *a, const mc_graph *g)
{
    a->base = mc_malloc(((size_t)g->n_values + 1) * sizeof *a->base);
    if (!a->base) return MCOMP_NO_MEMORY;
    for (int64_t i = 0; i < g->n_values; i++) {
        const mc_value *v = g->values[i];
        for (int32_t k = 0; k < MC_MAX_RANK; k++) {
            const int64_t n = !v->dead && k < v->type.rank ? v->type.dim[k] : -1;
            a->base[i][k] = n > 0 && n <= MAX_LENGTH ? a->labels : -1;
            if (a->base[i][k] >= 0) a->labels += n;
        }
        if (a->labels > MAX_LABELS) return mc_fail(MCOMP_LIMIT, g->name, "the axes of this graph have more than %lld positions", MAX_LABELS);
    }
    a->parent = mc_malloc(((size_t)a->labels + 1) * sizeof *a->parent);
    a->pinned = mc_calloc((size_t)a->labels + 1, 1);
    if (!a->parent || !a->pinned) return MCOMP_NO_MEMORY;
    for (int64_t i = 0; i < a->labels; i++) a->parent[i] = (int32_t)i;
    return MCOMP_OK;
}

int32_t mc_axes_build(mc_axes **out, const mc_graph *g)
{
    int32_t st = MCOMP_OK;
    mc_axes *a = mc_calloc(1, sizeof *a);
    *out = a;
    if (!a) return MCOMP_NO_MEMORY;
    a->g = g;
    MC_TRY(label_axes(a, g));
    for (int64_t i = 0; i < g->n_inputs; i++) mc_axes_pin_all(a, g->inputs[i]);
    for (int64_t i = 0; i < g->n_outputs; i++) mc_axes_pin_all(a, g->outputs[i]);
    for (a->round = 0; a->round < 2; a->round++)
        for (int64_t i = 0; i < g->n_order; i++) visit(a, g->order[i]);
done:
    if (st != MCOMP_OK) {
        mc_axes_free(a);
        *out = NULL;
    }
    return st;
}

void mc_axes_free(mc_axes *a)
{
    if (!a) return;
    mc_free(a->base);
    mc_free(a->parent);
    mc_free(a->pinned);
    mc_free(a);
}

/* ---- units ---- */

uint8_t *mc_axes_marks(const mc_axes *a) { return mc_calloc((size_t)a->labels + 1, 1); }

void mc_axes_mark(const mc_axes *a, uint8_t *marks, const mc_axis_member *m)
{
    const int64_t at = base(a, m->value, m->axis);
    if (at >= 0) marks[root(a, at + m->at)] = 1;
}

int64_t mc_axes_kept(const mc_axes *a, const uint8_t *marks, const mc_value *v, int32_t axis, uint8_t *keep)
{
    const int64_t at = base(a, v, axis), n = v->type.dim[axis];
    int64_t kept = 0;
    for (int64_t i = 0; i < n; i++) {
        const uint8_t stays = at < 0 || !marks[root(a, at + i)];
        if (keep) keep[i] = stays;
        kept += stays;
    }
    return kept;
}

int64_t mc_axes_unit(const mc_axes *a, const mc_value *v, int32_t axis, int64_t at)
{
    const int64_t b = base(a, v, axis);
    const int32_t r = b < 0 ? -1 : root(a, b + at);
    return r < 0 || a->pinned[r] ? -1 : r;
}
