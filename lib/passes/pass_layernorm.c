/* LayerNormalization in the spellings of exporters:
 *   y = (x - m) / sqrt(v + eps) * gamma + beta, m = mean(x), v = mean((x - m)^2) or max(mean(x^2) - m^2, 0)
 * means as ReduceMean or ReduceSum with a factor 1/n; the root as Div, Reciprocal, Pow -0.5; gamma multiplied before or after;
 * statistics without the reduced axis are accepted where Reshape and Expand bring it back. A single axis that is not the last
 * is normalized between two Transposes. */
#include "passes/internal.h"

#include <math.h>

typedef struct norm {
    mc_value *x, *gamma, *beta; /* gamma, beta: constants or NULL */
    double eps;
    int32_t axis;
} norm;

/* v = mean of x over one axis (any x if *x is NULL): 1 and *axis. */
static int is_mean(mc_value *v, mc_value **x, int32_t *axis)
{
    int64_t axes[MC_MAX_RANK];
    int32_t n;
    double c = 1.0;
    v = mc_peel_views(v);
    const mc_node *scale = v->producer, *r = scale;
    int sum = 0;
    if (mc_node_is(scale, "Mul") || mc_node_is(scale, "Div")) {
        const int32_t i = mc_match_scalar_operand(scale, &c);
        if (i < 0 || (mc_node_is(scale, "Div") && i != 1)) return 0;
        if (mc_node_is(scale, "Div")) c = 1.0 / c;
        r = mc_peel_views(scale->in[1 - i])->producer;
        sum = 1;
    }
    if (!mc_node_is(r, sum ? "ReduceSum" : "ReduceMean") || (*x && r->in[0] != *x)) return 0;
    if (!mc_reduce_axes(r, axes, &n) || n != 1) return 0;
    const int64_t size = mc_dim_at(r->in[0], (int32_t)axes[0]);
    if (size < 1 || (sum && fabs(c * (double)size - 1.0) > 1e-5)) return 0;
    *x = r->in[0];
    *axis = (int32_t)axes[0];
    return 1;
}

/* v = a^2: a or NULL. */
static mc_value *squared(mc_value *v)
{
    const mc_node *n = v->producer;
    double c;
    if (mc_node_is(n, "Mul") && n->in[0] == n->in[1]) return n->in[0];
    if (mc_node_is(n, "Pow") && mc_value_scalar(n->in[1], &c) && c == 2.0) return n->in[0];
    return NULL;
}

/* d = x - mean(x): fills x and axis. */
static int is_centred(mc_value *d, mc_value **x, int32_t *axis)
{
    const mc_node *n = mc_made_by(d, "Sub");
    if (!n || !mc_types_equal(&n->in[0]->type, &d->type)) return 0;
    *x = n->in[0];
    return is_mean(n->in[1], x, axis);
}

/* The variance of x over the axis, given the centred value. */
static int is_variance(mc_value *v, const norm *f, const mc_value *centred)
{
    int32_t axis;
    mc_value *of = NULL;
    double zero;
    v = mc_peel_views(v);
    if (is_mean(v, &of, &axis) && axis == f->axis && squared(of) == centred) return 1;
    const mc_node *max = mc_made_by(v, "Max");
    if (max && max->n_in == 2) {
        const int32_t i = mc_match_scalar_operand(max, &zero);
        if (i < 0 || zero != 0.0) return 0;
        v = mc_peel_views(max->in[1 - i]);
    }
    const mc_node *sub = mc_made_by(v, "Sub");
    mc_value *x = f->x, *mean, *mean_square = NULL;
    if (!sub || !is_mean(sub->in[0], &mean_square, &axis) || axis != f->axis || squared(mean_square) != x) return 0;
    mean = squared(mc_peel_views(sub->in[1]));
    return mean && is_mean(mean, &x, &axis) && axis == f->axis;
}

/* v = 1 / sqrt(var + eps), or (root = 1) sqrt(var + eps): the sum below the root, or NULL. */
static mc_value *below_root(mc_value *v, int root)
{
    double c;
    v = mc_peel_views(v);
    const mc_node *n = v->producer;
    if (root) return mc_node_is(n, "Sqrt") ? n->in[0] : mc_node_is(n, "Pow") && mc_value_scalar(n->in[1], &c) && c == 0.5 ? n->in[0] : NULL;
    if (mc_node_is(n, "Reciprocal")) return below_root(n->in[0], 1);
    if (mc_node_is(n, "Div") && mc_value_scalar(n->in[0], &c) && c == 1.0) return below_root(n->in[1], 1);
    return mc_node_is(n, "Pow") && mc_value_scalar(n->in[1], &c) && c == -0.5 ? n->in[0] : NULL;
}

/* Numerators and denominators of a product of values; constants that are no scalars are weights. */
typedef struct fraction {
    mc_value *up[4], *down[2], *weight;
    int32_t n_up, n_down, bad;
} fraction;

static void take_apart(mc_value *v, int32_t depth, fraction *f)
{
    const mc_node *n = v->producer;
    double c;
    if (v->init) {
        f->bad |= f->weight != NULL;
        f->weight = v;
    } else if (depth > 0 && mc_node_is(n, "Mul")) {
        take_apart(n->in[0], depth - 1, f);
        take_apart(n->in[1], depth - 1, f);
    } else if (depth > 0 && mc_node_is(n, "Div") && !mc_value_scalar(n->in[0], &c) && !n->in[1]->init) {
        take_apart(n->in[0], depth - 1, f);
        if (f->n_down < 2) f->down[f->n_down] = n->in[1];
        f->n_down++;
    } else {
        if (f->n_up < 4) f->up[f->n_up] = v;
        f->n_up++;
    }
}

static int match_product(mc_value *v, norm *f)
{
    fraction p = {.bad = 0};
    take_apart(v, 3, &p);
    f->gamma = p.weight;
    if (p.bad || p.n_up + p.n_down != 2 || p.n_up < 1) return 0;
    for (int32_t i = 0; i < p.n_up; i++) {
        mc_value *d = p.up[i], *sum = p.n_down ? below_root(p.down[0], 1) : below_root(p.up[1 - i], 0);
        if (!sum || !is_centred(d, &f->x, &f->axis)) continue;
        mc_value *var = mc_sum_with_scalar(sum, &f->eps);
        if (var && f->eps >= 0.0 && is_variance(var, f, d)) return 1;
    }
    return 0;
}

static int match(const mc_node *n, norm *f)
{
    memset(f, 0, sizeof *f);
    if (mc_node_is(n, "Add")) {
        const int32_t i = n->in[0]->init ? 0 : n->in[1]->init ? 1 : -1;
        if (i < 0 || !match_product(n->in[1 - i], f)) return 0;
        f->beta = n->in[i];
    } else if ((!mc_node_is(n, "Mul") && !mc_node_is(n, "Div")) || !match_product(n->out[0], f)) {
        return 0;
    }
    const int32_t rank = f->x->type.rank;
    const int64_t size = mc_dim_at(f->x, f->axis);
    if (!mc_is_f32(f->x) || !mc_types_equal(&f->x->type, &n->out[0]->type)) return 0;
    if (f->gamma && !mc_const_along(f->gamma, rank, f->axis, size) && mc_tensor_elements(f->gamma->init) != 1) return 0;
    if (f->beta && !mc_const_along(f->beta, rank, f->axis, size) && mc_tensor_elements(f->beta->init) != 1) return 0;
    return mc_match_cone_closed(n->out[0], &f->x, 1);
}

static int32_t vector(mc_graph *g, const mc_value *v, int64_t n, mc_value **out)
{
    float *f = NULL;
    int32_t st = MCOMP_OK;
    if (v) {
        MC_TRY(mc_const_floats(v, n, &f));
    } else {
        f = mc_malloc(sizeof *f * (size_t)n);
        if (!f) return MCOMP_NO_MEMORY;
        for (int64_t i = 0; i < n; i++) f[i] = 1.0f;
    }
    st = mc_const_f32(g, v ? v->name : "ones", f, n, out);
done:
    mc_free(f);
    return st;
}

static int32_t replace(mc_graph *g, mc_node *last, const norm *f)
{
    int32_t st = MCOMP_OK;
    const int32_t rank = f->x->type.rank;
    const int64_t size = mc_dim_at(f->x, f->axis);
    int64_t perm[MC_MAX_RANK];
    mc_value *in[3] = {NULL, NULL, NULL};
    mc_node *n, *back;
    for (int32_t i = 0; i < rank; i++) perm[i] = i;
    perm[f->axis] = rank - 1; /* a swap is its own inverse */
    perm[rank - 1] = f->axis;
    MC_TRY(mc_transposed(g, "layernorm", f->x, rank, perm, &in[0]));
    MC_TRY(vector(g, f->gamma, size, &in[1]));
    if (f->beta) MC_TRY(vector(g, f->beta, size, &in[2]));
    MC_TRY(mc_rewrite_begin(g, "", "LayerNormalization", "layernorm", last, f->beta ? 3 : 2, in, &n));
    MC_TRY(mc_node_set_i(n, "axis", -1));
    MC_TRY(mc_node_set_f(n, "epsilon", (float)f->eps));
    MC_TRY(mc_inherit_cone(n, last->out[0], (mc_value *[]){f->x}, 1));
    if (f->axis == rank - 1) {
        MC_TRY(mc_rewrite_end(g, n, last, last->out[0]));
    } else {
        MC_TRY(mc_rewrite_end(g, n, last, NULL));
        MC_TRY(mc_rewrite_begin(g, "", "Transpose", "layernorm", NULL, 1, n->out, &back));
        MC_TRY(mc_node_set_ints(back, "perm", perm, rank));
        MC_TRY(mc_rewrite_end(g, back, NULL, last->out[0]));
    }
    mc_graph_remove_node(g, last);
done:
    return st;
}

int32_t mc_pass_layernorm(mc_graph *g, const mc_pass_options *o)
{
    int32_t st = MCOMP_OK;
    norm f;
    (void)o;
    for (int64_t i = g->n_order - 1; i >= 0; i--) { /* backwards: the largest pattern first, its remains die on the way */
        mc_node *n = g->order[i];
        if (n->dead) continue;
        if (mc_is_unused(n)) mc_graph_remove_node(g, n);
        else if (match(n, &f)) MC_TRY(replace(g, n, &f));
    }
done:
    return st;
}
