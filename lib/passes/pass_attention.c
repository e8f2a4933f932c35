/* Scaled dot-product attention -> mcomp.Attention. The pattern, with [B,S,H*D] values at its corners:
 *   Q, K, V -> Reshape [B,S,H,D] -> Transpose [B,H,S,D] (K: [B,H,D,S], in one step or two)
 *   Softmax(scale Q K' + mask) V -> Transpose [B,S,H,D] -> Reshape [B,S,H*D]
 * Scalar factors are accepted anywhere in front of the mask and multiplied into `scale`. A Where that replaces scores by a
 * constant beyond -1e30 is an added mask: x + c rounds to c there. PyTorch writes Where(IsNaN(p), 0, p) behind its Softmax, so that a
 * query that may see no key gets 0: `nan_zero`. Q, K or V may be outputs of a Split of one wide value. In front of a gradient, slices stay
 * outside, and a mask that is trained or nan_zero keep the pattern as it is: AttentionGrad knows neither. */
#include "passes/internal.h"

#include <math.h>

typedef struct corner { /* Q, K or V */
    mc_value *x;           /* [B,S,width] or wider (slice) */
    int64_t offset, width, heads;
} corner;

typedef struct attention {
    corner q, k, v;
    mc_value *mask[4];
    int32_t n_masks, where; /* where: mask[0] is a condition, see below */
    double where_value;
    int64_t where_keeps;    /* 1: true keeps the score */
    double scale;
    int32_t nan_zero;
    mc_node *last;          /* the Reshape at the end */
} attention;

/* v without scalar factors. */
static mc_value *unscaled(mc_value *v, double *scale)
{
    for (int32_t i = 0; i < 4; i++) {
        const mc_node *n = v->producer;
        double c;
        if (mc_node_is(n, "Mul")) {
            const int32_t k = mc_match_scalar_operand(n, &c);
            if (k < 0) break;
            *scale *= c;
            v = n->in[1 - k];
        } else if (mc_node_is(n, "Div") && mc_value_scalar(n->in[1], &c) && c != 0.0) {
            *scale /= c;
            v = n->in[0];
        } else {
            break;
        }
    }
    return v;
}

/* One output of a Split along the last axis is a slice of the Split's input. */
static void through_split(corner *c)
{
    const mc_node *s = mc_made_by(c->x, "Split");
    if (!s || s->in[0]->type.rank != 3 || mc_axis_of(mc_attr_i(s, "axis", 0), 3) != 2) return;
    int64_t offset = 0;
    for (int32_t i = 0; i < c->x->producer_index; i++) {
        if (!s->out[i] || mc_dim_at(s->out[i], 2) < 0) return;
        offset += mc_dim_at(s->out[i], 2);
    }
    if (mc_dim_at(s->in[0], 2) < 0) return;
    c->offset = offset;
    c->x = s->in[0];
}

/* K behind K' where that is made by way of [B*H,S,D] (PyTorch's newer exporter): Reshape, Transpose, Reshape. Else v. */
static mc_value *through_matrices(mc_value *v)
{
    static const int64_t last[3] = {0, 2, 1};
    const mc_node *out = mc_made_by(v, "Reshape"), *t = out ? mc_made_by(out->in[0], "Transpose") : NULL;
    const mc_node *in = mc_perm_is(t, 3, last) ? mc_made_by(t->in[0], "Reshape") : NULL;
    if (!in || v->type.rank != 4 || in->in[0]->type.rank != 4) return v;
    const int64_t *x = in->in[0]->type.dim, *y = v->type.dim, *m = t->in[0]->type.dim;
    return x[0] == y[0] && x[1] == y[1] && x[2] == y[3] && x[3] == y[2] && m[1] == x[2] && m[2] == x[3] ? in->in[0] : v;
}

/* v [B,H,S,D] (swapped: [B,H,D,S]) back to the [B,S,H*D] value it is made of. */
static int match_corner(mc_value *v, int swapped, double *scale, corner *c)
{
    static const int64_t heads[4] = {0, 2, 1, 3}, both[4] = {0, 2, 3, 1}, last[4] = {0, 1, 3, 2};
    v = unscaled(v, scale);
    mc_value *k = swapped ? through_matrices(v) : v;
    if (k != v) {
        v = unscaled(k, scale);
        swapped = 0;
    }
    const mc_node *t = mc_made_by(v, "Transpose");
    if (swapped && mc_perm_is(t, 4, last)) {
        v = unscaled(t->in[0], scale);
        t = mc_made_by(v, "Transpose");
        swapped = 0;
    }
    if (!mc_perm_is(t, 4, swapped ? both : heads)) return 0;
    mc_value *split = unscaled(t->in[0], scale);
    const mc_node *r = mc_made_by(split, "Reshape");
    if (!r || r->in[0]->type.rank != 3 || split->type.rank != 4 || !mc_is_f32(split)) return 0;
    c->heads = mc_dim_at(split, 2);
    c->width = mc_dim_at(r->in[0], 2);
    if (c->heads < 1 || mc_dim_at(split, 3) < 1 || c->width != c->heads * mc_dim_at(split, 3)) return 0;
    if (mc_dim_at(split, 0) != mc_dim_at(r->in[0], 0) || mc_dim_at(split, 1) != mc_dim_at(r->in[0], 1)) return 0;
    c->x = unscaled(r->in[0], scale);
    c->offset = 0;
    return 1;
}

/* v depends on a variable, or on too much to tell; budget: values looked at. */
static int is_trained(const mc_value *v, int32_t *budget)
{
    if (!v || v->init) return 0;
    if (v->flags & MC_VALUE_VARIABLE || --*budget < 0) return 1;
    for (int32_t i = 0; v->producer && i < v->producer->n_in; i++)
        if (is_trained(v->producer->in[i], budget)) return 1;
    return 0;
}

/* The scores in front of a Where mask: Where(keep, x, c) or Where(drop, c, x). */
static mc_value *match_where(const mc_node *n, attention *a)
{
    double c;
    for (int32_t i = 1; i <= 2; i++) {
        mc_value *x = n->in[3 - i];
        if (!mc_value_scalar(n->in[i], &c) || !(c <= -1e30) || isinf(c)) continue;
        if (!mc_types_equal(&x->type, &n->out[0]->type) || a->n_masks) return NULL;
        a->where = 1;
        a->where_value = c;
        a->where_keeps = i == 2;
        a->mask[a->n_masks++] = n->in[0];
        return x;
    }
    return NULL;
}

/* Peels added masks; which operand is the scores is told by the MatMul behind it. */
static int is_scores(mc_value *v)
{
    double ignored = 1.0;
    for (int32_t i = 0; i < 6; i++) {
        v = unscaled(v, &ignored);
        if (mc_made_by(v, "MatMul")) return v->type.rank == 4;
        const mc_node *add = mc_made_by(v, "Add");
        if (!add || !mc_types_equal(&add->in[0]->type, &v->type)) return 0;
        v = add->in[0];
    }
    return 0;
}

static mc_value *match_masks(mc_value *v, attention *a)
{
    for (int32_t i = 0; i < 4; i++) {
        const mc_node *n = v->producer;
        if (mc_node_is(n, "Where") && n->n_in == 3) {
            v = match_where(n, a);
            if (!v) return NULL;
            continue;
        }
        if (!mc_node_is(n, "Add") || a->where) break;
        const int32_t s = is_scores(n->in[0]) ? 0 : is_scores(n->in[1]) ? 1 : -1;
        if (s < 0 || a->n_masks == 4 || !mc_is_f32(n->in[1 - s]) || n->in[1 - s]->type.rank > 4 || n->in[1 - s]->type.rank < 0 ||
            !mc_types_equal(&n->in[s]->type, &v->type))
            return NULL;
        a->mask[a->n_masks++] = n->in[1 - s];
        v = n->in[s];
    }
    return v;
}

/* The Softmax that made v, also behind Where(IsNaN(p), 0, p). */
static const mc_node *match_softmax(mc_value *v, attention *a)
{
    const mc_node *w = mc_made_by(v, "Where"), *nan = w && w->n_in == 3 ? mc_made_by(w->in[0], "IsNaN") : NULL;
    double c;
    if (!nan || nan->in[0] != w->in[2] || !mc_value_scalar(w->in[1], &c) || c != 0.0) return mc_made_by(v, "Softmax");
    a->nan_zero = 1;
    return mc_types_equal(&w->in[2]->type, &v->type) ? mc_made_by(w->in[2], "Softmax") : NULL;
}

/* The Reshape [B,S,H*D] behind the Transpose at the end. Others may read the same elements in another shape (a projection as a matrix of
 * B*S rows), as long as that shape means the same from [B,S,H*D]: a 0 copies a dim of the input. */
static mc_node *match_last(const mc_value *v)
{
    int64_t shape[MC_MAX_RANK];
    int32_t n;
    mc_node *last = NULL;
    if (v->flags & MC_VALUE_OUTPUT) return NULL;
    for (int64_t i = 0; i < v->n_uses; i++) {
        mc_node *r = v->uses[i].node;
        if (!mc_node_is(r, "Reshape") || v->uses[i].index != 0) return NULL;
        if (!last && r->out[0]->type.rank == 3) {
            last = r;
            continue;
        }
        if (!mc_const_ints(r->in[1], shape, MC_MAX_RANK, &n)) return NULL;
        for (int32_t k = 0; k < n; k++)
            if (shape[k] == 0) return NULL;
    }
    return last;
}

static int match(mc_node *n, attention *a, int32_t training)
{
    static const int64_t heads[4] = {0, 2, 1, 3};
    double value_scale = 1.0;
    memset(a, 0, sizeof *a);
    a->scale = 1.0;
    int32_t budget = 256;
    const mc_node *p = mc_node_is(n, "MatMul") ? match_softmax(n->in[0], a) : NULL;
    if (!p || (training && a->nan_zero) || n->out[0]->type.rank != 4 || mc_axis_of(mc_attr_i(p, "axis", -1), 4) != 3) return 0;
    const mc_node *back = mc_value_only_user(n->out[0]);
    if (!mc_perm_is(back, 4, heads) || !mc_node_is(back, "Transpose")) return 0;
    a->last = match_last(back->out[0]);
    if (!a->last) return 0;
    mc_value *scores = match_masks(p->in[0], a);
    if (!scores) return 0;
    scores = unscaled(scores, &a->scale);
    const mc_node *product = mc_made_by(scores, "MatMul");
    if (!product || !match_corner(product->in[0], 0, &a->scale, &a->q) || !match_corner(product->in[1], 1, &a->scale, &a->k)) return 0;
    if (!match_corner(n->in[1], 0, &value_scale, &a->v) || value_scale != 1.0) return 0;
    for (int32_t i = 0; training && i < a->n_masks; i++)
        if (is_trained(a->mask[i], &budget)) return 0;
    if (!training) {
        through_split(&a->q);
        through_split(&a->k);
        through_split(&a->v);
    }
    if (a->q.heads != a->k.heads || a->q.heads != a->v.heads || a->q.width != a->k.width) return 0;
    const mc_value *y = a->last->out[0];
    if (mc_dim_at(y, 0) != mc_dim_at(a->q.x, 0) || mc_dim_at(y, 1) != mc_dim_at(a->q.x, 1) || mc_dim_at(y, 2) != a->v.width) return 0;
    if (mc_dim_at(a->k.x, 0) != mc_dim_at(a->q.x, 0) || mc_dim_at(a->v.x, 0) != mc_dim_at(a->q.x, 0) ||
        mc_dim_at(a->k.x, 1) != mc_dim_at(a->v.x, 1))
        return 0;
    mc_value *stops[7] = {a->q.x, a->k.x, a->v.x};
    for (int32_t i = 0; i < a->n_masks; i++) stops[3 + i] = a->mask[i];
    return mc_match_cone_closed(n->out[0], stops, 3 + a->n_masks);
}

/* One added mask out of what was found, or NULL. */
static int32_t make_mask(mc_graph *g, const attention *a, mc_value **out)
{
    int32_t st = MCOMP_OK;
    mc_node *n;
    mc_value *in[3], *zero, *low;
    *out = a->n_masks ? a->mask[0] : NULL;
    if (a->where) {
        MC_TRY(mc_graph_add_const_f32(g, "zero", 0.0f, &zero));
        MC_TRY(mc_graph_add_const_f32(g, "masked", (float)a->where_value, &low));
        in[0] = a->mask[0];
        in[1] = a->where_keeps ? zero : low;
        in[2] = a->where_keeps ? low : zero;
        MC_TRY(mc_rewrite(g, "", "Where", "attention", NULL, 3, in, NULL, &n));
        *out = n->out[0];
    }
    for (int32_t i = 1; i < a->n_masks; i++) {
        in[0] = a->mask[i];
        in[1] = *out;
        MC_TRY(mc_rewrite(g, "", "Add", "attention", NULL, 2, in, NULL, &n));
        *out = n->out[0];
    }
done:
    return st;
}

static int32_t replace(mc_graph *g, const attention *a)
{
    static const char *const names[3][2] = {{"q_offset", "q_width"}, {"k_offset", "k_width"}, {"v_offset", "v_width"}};
    const corner *c[3] = {&a->q, &a->k, &a->v};
    int32_t st = MCOMP_OK;
    mc_value *in[4] = {a->q.x, a->k.x, a->v.x, NULL};
    mc_node *n;
    mc_value *back = a->last->in[0];
    MC_TRY(make_mask(g, a, &in[3]));
    MC_TRY(mc_rewrite_begin(g, "mcomp", "Attention", "attention", a->last, in[3] ? 4 : 3, in, &n));
    MC_TRY(mc_node_set_i(n, "heads", a->q.heads));
    MC_TRY(mc_node_set_f(n, "scale", (float)a->scale));
    if (a->nan_zero) MC_TRY(mc_node_set_i(n, "nan_zero", 1));
    for (int32_t i = 0; i < 3; i++) {
        if (mc_dim_at(c[i]->x, 2) == c[i]->width) continue;
        MC_TRY(mc_node_set_i(n, names[i][0], c[i]->offset));
        MC_TRY(mc_node_set_i(n, names[i][1], c[i]->width));
    }
    MC_TRY(mc_inherit_cone(n, a->last->out[0], in, in[3] ? 4 : 3));
    MC_TRY(mc_rewrite_end(g, n, a->last, a->last->out[0]));
    for (int64_t i = back->n_uses - 1; i >= 0; i--)
        if (back->uses[i].node != a->last) MC_TRY(mc_node_set_input(g, back->uses[i].node, 0, n->out[0]));
done:
    return st;
}

int32_t mc_pass_attention(mc_graph *g, const mc_pass_options *o)
{
    int32_t st = MCOMP_OK;
    attention a;
    for (int64_t i = 0; i < g->n_order; i++)
        if (!g->order[i]->dead && g->order[i]->n_in == 2 && match(g->order[i], &a, o->training)) MC_TRY(replace(g, &a));
done:
    return st;
}
