/* Cutting units out: every constant loses the positions of the units that are gone, and the sizes that nodes have written down follow. */
#include "prune/prune.h"

typedef struct cut {
    const mc_prune_plan *p;
    const uint8_t *marks;
    mc_graph *g; /* being cut; values have the ids of p->g */
} cut;

/* Types as they were before. */
static const mc_value *old_of(const cut *c, const mc_value *v) { return c->p->g->values[v->id]; }

static int64_t kept(const cut *c, const mc_value *v, int32_t axis) { return mc_axes_kept(c->p->axes, c->marks, old_of(c, v), axis, NULL); }

/* The kept positions of one axis. */
static int32_t select_axis(mc_tensor **t, int32_t axis, const uint8_t *keep, int64_t left)
{
    const mc_tensor *old = *t;
    mc_shape s = old->shape;
    mc_tensor *made = NULL;
    const int64_t len = s.dim[axis], item = mc_dtype_bits(old->dtype) / 8;
    int64_t inner = item, outer = 1, to = 0;
    if (mc_dtype_bits(old->dtype) % 8 != 0) return mc_fail(MCOMP_UNSUPPORTED, "prune", "a weight of %s cannot be cut", mcomp_dtype_name(old->dtype));
    for (int32_t k = 0; k < s.rank; k++) {
        if (k < axis) outer *= s.dim[k];
        if (k > axis) inner *= s.dim[k];
    }
    s.dim[axis] = left;
    const int32_t st = mc_tensor_create(&made, old->dtype, &s);
    if (st != MCOMP_OK) return st;
    for (int64_t o = 0; o < outer; o++)
        for (int64_t i = 0; i < len; i++) {
            if (!keep[i]) continue;
            memcpy((uint8_t *)made->data + to, (const uint8_t *)old->data + (o * len + i) * inner, (size_t)inner);
            to += inner;
        }
    mc_tensor_destroy(*t);
    *t = made;
    return MCOMP_OK;
}

static int32_t cut_value(const cut *c, mc_value *v)
{
    int32_t st = MCOMP_OK;
    uint8_t *keep = NULL;
    for (int32_t k = 0; k < v->type.rank; k++) {
        const int64_t n = v->type.dim[k], left = n > 0 ? kept(c, v, k) : n;
        if (left == n) continue;
        keep = mc_malloc((size_t)n);
        if (!keep) return MCOMP_NO_MEMORY;
        (void)mc_axes_kept(c->p->axes, c->marks, old_of(c, v), k, keep);
        if (v->init) MC_TRY(select_axis(&v->init, k, keep, left));
        v->type.dim[k] = left;
        mc_free(keep);
        keep = NULL;
    }
done:
    mc_free(keep);
    return st;
}

static int changed(const cut *c, const mc_value *v)
{
    const mc_value *old = old_of(c, v);
    for (int32_t k = 0; k < old->type.rank; k++)
        if (old->type.dim[k] > 0 && kept(c, v, k) != old->type.dim[k]) return 1;
    return 0;
}

static int32_t set_ints(const cut *c, mc_node *n, int32_t input, const int64_t *v, int64_t count)
{
    mc_value *value = NULL;
    const int32_t st = mc_graph_add_const_i64s(c->g, NULL, v, count, &value);
    return st != MCOMP_OK ? st : mc_node_set_input(c->g, n, input, value);
}

/* Known sizes are written as they are now; others are copied from the input's axis, or left over (lib/ops/axes_move.c allows one). */
static int32_t reshape(const cut *c, mc_node *n)
{
    int64_t shape[MC_MAX_RANK];
    const mc_type *x = &old_of(c, n->in[0])->type, *y = &old_of(c, n->out[0])->type;
    if (!changed(c, n->out[0]) && !changed(c, n->in[0])) return MCOMP_OK;
    for (int32_t k = 0; k < y->rank; k++) {
        if (y->dim[k] >= 0) shape[k] = y->dim[k] > 0 ? kept(c, n->out[0], k) : 0;
        else shape[k] = k < x->rank && x->dim[k] == y->dim[k] ? 0 : -1;
    }
    mc_node_remove_attr(n, "allowzero");
    return set_ints(c, n, 1, shape, y->rank);
}

static int32_t split(const cut *c, mc_node *n)
{
    int64_t sizes[MC_OP_MAX_IO];
    const int64_t axis = mc_attr_i(n, "axis", 0), rank = n->in[0]->type.rank;
    const int32_t k = (int32_t)(axis < 0 ? axis + rank : axis);
    if (!changed(c, n->in[0]) || n->n_out > MC_OP_MAX_IO) return MCOMP_OK;
    for (int32_t i = 0; i < n->n_out; i++) sizes[i] = kept(c, n->out[i], k);
    mc_node_remove_attr(n, "num_outputs");
    return set_ints(c, n, 1, sizes, n->n_out);
}

static int32_t sizes_of(const cut *c, mc_node *n)
{
    if (mc_node_is(n, "Reshape")) return reshape(c, n);
    if (mc_node_is(n, "Split")) return split(c, n);
    if (mc_node_is(n, "Conv") && old_of(c, n->in[1])->type.dim[1] == 1 && mc_attr_i(n, "group", 1) > 1) /* depthwise */
        return mc_node_set_i(n, "group", kept(c, n->in[0], 1));
    return MCOMP_OK;
}

int32_t mc_prune_shrink(mc_graph *g, const mc_prune_plan *p, const mc_prune_state *s)
{
    int32_t st = MCOMP_OK;
    uint8_t *marks = mc_axes_marks(p->axes);
    cut c = {p, marks, g};
    const int64_t n_values = p->g->n_values, n_nodes = g->n_nodes;
    if (!marks) return MCOMP_NO_MEMORY;
    for (int64_t k = 0; k < p->n; k++)
        for (int64_t i = 0; i < p->sites[k].granules; i++)
            if (s->gone[k][i]) mc_axes_mark(p->axes, marks, &p->sites[k].group->members[i * p->sites[k].group->width]);
    for (int64_t i = 0; i < n_nodes; i++)
        if (!g->nodes[i]->dead) MC_TRY(sizes_of(&c, g->nodes[i]));
    for (int64_t i = 0; i < n_values && i < g->n_values; i++)
        if (!g->values[i]->dead) MC_TRY(cut_value(&c, g->values[i]));
    MC_TRY(mc_graph_remove_dead(g, NULL));
    MC_TRY(mc_infer_graph(g));
done:
    mc_free(marks);
    return st;
}
