/* Questions that patterns ask: who made a value, what is constant, products and sums in any spelling, and whether a pattern
 * is closed (nothing inside is used outside, so replacing it loses nothing). */
#include "passes/internal.h"

enum { CONE = 48 }; /* nodes of the largest pattern */

int mc_types_equal(const mc_type *a, const mc_type *b)
{
    return a->dtype != MCOMP_UNDEFINED && a->dtype == b->dtype && mc_dims_equal(a, b);
}

int64_t mc_dim_at(const mc_value *v, int32_t axis)
{
    if (!v || v->type.rank < 0) return MC_NO_DIM;
    if (axis < 0) axis += v->type.rank;
    return axis >= 0 && axis < v->type.rank ? v->type.dim[axis] : MC_NO_DIM;
}

mc_node *mc_made_by(const mc_value *v, const char *op)
{
    return v && mc_node_is(v->producer, op) ? v->producer : NULL;
}

mc_node *mc_made_in(const mc_value *v, const char *domain, const char *op)
{
    return v && mc_node_is_in(v->producer, domain, op) ? v->producer : NULL;
}

mc_node *mc_match_producer(const mc_node *n, int32_t i, const char *op)
{
    return i < n->n_in ? mc_made_by(n->in[i], op) : NULL;
}

int mc_is_f32(const mc_value *v) { return v && v->type.dtype == MCOMP_F32; }

int32_t mc_axis_of(int64_t axis, int32_t rank)
{
    if (axis < 0) axis += rank;
    return axis >= 0 && axis < rank ? (int32_t)axis : -1;
}

int mc_perm_of(const mc_node *n, int64_t perm[MC_MAX_RANK], int32_t *rank)
{
    int64_t count;
    uint32_t seen = 0;
    const int64_t *p = mc_attr_ints(n, "perm", &count);
    const int32_t r = n->in[0]->type.rank;
    if (r < 0 || r > MC_MAX_RANK || (p && count != r)) return 0;
    for (int32_t i = 0; i < r; i++) {
        perm[i] = p ? p[i] : r - 1 - i;
        if (perm[i] < 0 || perm[i] >= r) return 0;
        seen |= 1u << perm[i];
    }
    *rank = r;
    return seen == (uint32_t)(((uint64_t)1 << r) - 1);
}

int mc_perm_is(const mc_node *n, int32_t rank, const int64_t *want)
{
    int64_t perm[MC_MAX_RANK];
    int32_t r;
    return n && mc_perm_of(n, perm, &r) && r == rank && memcmp(perm, want, sizeof *perm * (size_t)rank) == 0;
}

int mc_const_ints(const mc_value *v, int64_t *out, int32_t cap, int32_t *count)
{
    const mc_tensor *t = mc_value_const(v);
    if (!t || t->shape.rank > 1 || !mc_dtype_is_integer(t->dtype)) return 0;
    const int64_t n = mc_tensor_elements(t);
    if (n > cap) return 0;
    for (int64_t i = 0; i < n; i++) out[i] = mc_tensor_get_i64(t, i);
    *count = (int32_t)n;
    return 1;
}

int mc_reduce_axes(const mc_node *n, int64_t axes[MC_MAX_RANK], int32_t *count)
{
    const int32_t rank = n->in[0]->type.rank;
    int64_t given[MC_MAX_RANK], k = 0;
    int32_t n_given = 0;
    uint32_t mask = 0;
    const int64_t *attr = mc_attr_ints(n, "axes", &k);
    if (rank < 0) return 0;
    if (n->n_in > 1 && n->in[1]) {
        if (!mc_const_ints(n->in[1], given, MC_MAX_RANK, &n_given)) return 0;
    } else {
        for (; n_given < k && n_given < MC_MAX_RANK; n_given++) given[n_given] = attr[n_given];
    }
    if (n_given == 0) {
        if (mc_attr_i(n, "noop_with_empty_axes", 0)) return 0;
        for (; n_given < rank; n_given++) given[n_given] = n_given;
    }
    for (int32_t i = 0; i < n_given; i++) {
        const int32_t a = mc_axis_of(given[i], rank);
        if (a < 0) return 0;
        mask |= 1u << a;
    }
    *count = 0;
    for (int32_t a = 0; a < rank; a++)
        if (mask >> a & 1) axes[(*count)++] = a;
    return 1;
}

int mc_const_along(const mc_value *v, int32_t rank, int32_t axis, int64_t n)
{
    const mc_tensor *t = mc_value_const(v);
    if (!t || n < 0 || t->shape.rank > rank || mc_tensor_elements(t) != n) return 0;
    if (n == 1) return 1;
    const int32_t at = axis - (rank - t->shape.rank);
    return at >= 0 && t->shape.dim[at] == n;
}

int32_t mc_match_scalar_operand(const mc_node *n, double *v)
{
    for (int32_t i = 0; i < 2 && i < n->n_in; i++)
        if (mc_value_scalar(n->in[i], v)) return i;
    return -1;
}

static void add_factor(mc_product *p, mc_value *v)
{
    if (p->n < MC_FACTORS) p->factor[p->n] = v;
    p->n++; /* beyond the capacity: n > MC_FACTORS, which no pattern accepts */
}

void mc_product_of(mc_value *v, int32_t depth, mc_product *p)
{
    const mc_node *n = v->producer;
    double c;
    if (v == p->whole) {
        add_factor(p, v);
    } else if (mc_value_scalar(v, &c)) {
        p->coef *= c;
    } else if (depth > 0 && mc_node_is(n, "Mul") && n->n_in == 2) {
        mc_product_of(n->in[0], depth - 1, p);
        mc_product_of(n->in[1], depth - 1, p);
    } else if (depth > 0 && mc_node_is(n, "Div") && mc_value_scalar(n->in[1], &c) && c != 0.0) {
        p->coef /= c;
        mc_product_of(n->in[0], depth - 1, p);
    } else if (depth > 0 && mc_node_is(n, "Neg")) {
        p->coef = -p->coef;
        mc_product_of(n->in[0], depth - 1, p);
    } else if (depth > 0 && mc_node_is(n, "Pow") && mc_value_scalar(n->in[1], &c) && (c == 2.0 || c == 3.0)) {
        for (int32_t i = 0; i < (int32_t)c; i++) mc_product_of(n->in[0], depth - 1, p);
    } else {
        add_factor(p, v);
    }
}

int mc_is_monomial(mc_value *v, double coef, const mc_value *x, int32_t power)
{
    mc_product p = {.coef = 1.0, .whole = x};
    mc_product_of(v, 5, &p);
    if (p.n != power || !(p.coef >= coef - 1e-4 * coef && p.coef <= coef + 1e-4 * coef)) return 0;
    for (int32_t i = 0; i < p.n; i++)
        if (p.factor[i] != x) return 0;
    return 1;
}

mc_value *mc_peel_views(mc_value *v)
{
    for (int32_t i = 0; i < 8; i++) {
        const mc_node *n = v->producer;
        if (!mc_node_is(n, "Reshape") && !mc_node_is(n, "Squeeze") && !mc_node_is(n, "Unsqueeze") && !mc_node_is(n, "Expand") &&
            !mc_node_is(n, "Flatten"))
            break;
        v = n->in[0];
    }
    return v;
}

int mc_is_unused(const mc_node *n)
{
    for (int32_t k = 0; k < n->n_out; k++)
        if (n->out[k] && (n->out[k]->n_uses > 0 || n->out[k]->flags & MC_VALUE_OUTPUT)) return 0;
    return n->n_out > 0;
}

mc_value *mc_sum_with_scalar(const mc_value *v, double *c)
{
    const mc_node *n = mc_made_by(v, "Add");
    if (n) {
        const int32_t i = mc_match_scalar_operand(n, c);
        return i < 0 ? NULL : n->in[1 - i];
    }
    n = mc_made_by(v, "Sub");
    if (n && mc_value_scalar(n->in[1], c)) {
        *c = -*c;
        return n->in[0];
    }
    return NULL;
}

/* Inputs that only carry a shape or axes are no data: 1 for the rest. */
static int is_data_input(const mc_node *n, int32_t i)
{
    const int glue = mc_node_is(n, "Expand") || (n->desc && n->desc->traits & (MC_OP_VIEW | MC_OP_VALUE_SHAPED));
    return i == 0 || !glue || !mc_dtype_is_integer(n->in[i]->type.dtype);
}

static int in_set(const void *p, const void *const *set, int32_t n)
{
    for (int32_t i = 0; i < n; i++)
        if (set[i] == p) return 1;
    return 0;
}

int32_t mc_match_cone(mc_value *from, mc_value *const *stops, int32_t n_stops, mc_node **set, int32_t cap)
{
    int32_t n = 0;
    if (!from->producer || cap < 1) return -1;
    set[n++] = from->producer;
    for (int32_t at = 0; at < n; at++) {
        const mc_node *node = set[at];
        for (int32_t i = 0; i < node->n_in; i++) {
            mc_value *v = node->in[i];
            if (!v || v->init || !v->producer || !is_data_input(node, i)) continue;
            if (in_set(v, (const void *const *)stops, n_stops)) continue;
            if (in_set(v->producer, (const void *const *)set, n)) continue;
            if (n == cap) return -1;
            set[n++] = v->producer;
        }
    }
    return n;
}

/* Everything that u computes goes into the pattern again: the sizes of a Reshape in it, taken from a value of it. */
static int feeds_only(const mc_node *u, mc_node *const *inner, int32_t n, int depth)
{
    if (in_set(u, (const void *const *)inner, n)) return 1;
    if (depth == 0) return 0;
    for (int32_t k = 0; k < u->n_out; k++) {
        const mc_value *v = u->out[k];
        if (v && v->flags & MC_VALUE_OUTPUT) return 0;
        for (int64_t i = 0; v && i < v->n_uses; i++)
            if (v->uses[i].index >= v->uses[i].node->n_in || !feeds_only(v->uses[i].node, inner, n, depth - 1)) return 0;
    }
    return 1;
}

int mc_match_closed(mc_node *const *inner, int32_t n, const mc_value *keep)
{
    for (int32_t i = 0; i < n; i++) {
        for (int32_t k = 0; k < inner[i]->n_out; k++) {
            const mc_value *v = inner[i]->out[k];
            if (!v || v == keep) continue;
            if (v->flags & MC_VALUE_OUTPUT) return 0;
            for (int64_t u = 0; u < v->n_uses; u++) {
                if (v->uses[u].index >= v->uses[u].node->n_in) return 0;
                const mc_node *reader = v->uses[u].node;
                if (!in_set(reader, (const void *const *)inner, n) && !(mc_node_is(reader, "Shape") && feeds_only(reader, inner, n, 8))) return 0;
            }
        }
    }
    return 1;
}

int32_t mc_inherit_cone(mc_node *n, mc_value *from, mc_value *const *stops, int32_t n_stops)
{
    mc_node *set[CONE];
    int32_t st = MCOMP_OK;
    const int32_t count = mc_match_cone(from, stops, n_stops, set, CONE);
    for (int32_t i = 0; i < count; i++) MC_TRY(mc_node_inherit(n, set[i], n->origin));
done:
    return st;
}

int mc_match_cone_closed(mc_value *from, mc_value *const *stops, int32_t n_stops)
{
    mc_node *set[CONE];
    const int32_t n = mc_match_cone(from, stops, n_stops, set, CONE);
    if (n < 0) return 0;
    for (int32_t i = 0; i < n; i++) /* reaching a graph input means the pattern has another source */
        for (int32_t k = 0; k < set[i]->n_in; k++) {
            mc_value *v = set[i]->in[k];
            if (v && !v->init && !v->producer && is_data_input(set[i], k) && !in_set(v, (const void *const *)stops, n_stops)) return 0;
        }
    return mc_match_closed(set, n, from);
}
