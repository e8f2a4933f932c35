/* Building blocks of rewrites: nodes with types and inherited names, constants, transposes and reshapes. */
#include "passes/internal.h"

int32_t mc_rewrite_begin(mc_graph *g, const char *domain, const char *op, const char *origin, const mc_node *named_after,
                         int32_t n_in, mc_value *const *in, mc_node **out)
{
    mc_str name = {0};
    int32_t st = MCOMP_OK;
    *out = NULL;
    if (named_after) MC_TRY(mc_str_appendf(&name, "%s", named_after->name));
    MC_TRY(mc_graph_add_node(g, domain, op, 0, name.data, n_in, in, 1, NULL, out));
    (*out)->origin = origin;
    if (!(*out)->desc) MC_FAIL(MCOMP_INTERNAL, op, "a pass made an operator that has no descriptor");
done:
    mc_str_free(&name);
    return st;
}

int32_t mc_rewrite_end(mc_graph *g, mc_node *n, const mc_node *replaced, mc_value *old)
{
    int32_t st = MCOMP_OK;
    if (old && old->type.rank >= 0) n->out[0]->type = old->type; /* it is the same value: what was known stays known */
    MC_TRY(mc_infer_node(g, n));
    if (replaced) MC_TRY(mc_node_inherit(n, replaced, n->origin));
    if (old) MC_TRY(mc_graph_replace_uses(g, old, n->out[0]));
done:
    return st;
}

int32_t mc_rewrite(mc_graph *g, const char *domain, const char *op, const char *origin, const mc_node *replaced,
                   int32_t n_in, mc_value *const *in, mc_value *old, mc_node **out)
{
    mc_node *n = NULL;
    int32_t st = mc_rewrite_begin(g, domain, op, origin, replaced, n_in, in, &n);
    if (st == MCOMP_OK) st = mc_rewrite_end(g, n, replaced, old);
    if (out) *out = st == MCOMP_OK ? n : NULL;
    return st;
}

int32_t mc_bypass(mc_graph *g, mc_node *n, mc_value *v, int32_t *done_)
{
    int32_t st = MCOMP_OK;
    mc_value *old = n->out[0];
    *done_ = 0;
    if (!old || old == v) return MCOMP_OK;
    /* an output keeps its name; v cannot take it when it has a public name of its own */
    if (old->flags & MC_VALUE_OUTPUT && (v->flags & (MC_VALUE_INPUT | MC_VALUE_OUTPUT) || v->capture >= 0)) return MCOMP_OK;
    if (v->producer) MC_TRY(mc_node_inherit(v->producer, n, v->producer->origin));
    MC_TRY(mc_graph_replace_uses(g, old, v));
    mc_graph_remove_node(g, n);
    *done_ = 1;
done:
    return st;
}

int32_t mc_absorb(mc_graph *g, mc_node *n, mc_node *u, const char *origin)
{
    int32_t st = MCOMP_OK;
    const mc_type type = u->out[0]->type;
    MC_TRY(mc_node_inherit(n, u, origin ? origin : n->origin));
    MC_TRY(mc_graph_replace_uses(g, u->out[0], n->out[0]));
    n->out[0]->type = type;
    mc_graph_remove_node(g, u);
done:
    return st;
}

int32_t mc_const_f32(mc_graph *g, const char *name, const float *v, int64_t n, mc_value **out)
{
    mc_tensor *t;
    const mc_shape s = {.rank = 1, .dim = {n}};
    *out = NULL;
    const int32_t st = mc_tensor_create(&t, MCOMP_F32, &s);
    if (st != MCOMP_OK) return st;
    if (n) memcpy(t->data, v, sizeof *v * (size_t)n);
    return mc_graph_add_const(g, name, t, out);
}

int32_t mc_const_shared(mc_graph *g, const char *name, const mc_tensor *t, const mc_shape *shape, mc_value **out)
{
    mc_tensor *s;
    *out = NULL;
    const int32_t st = mc_tensor_share(&s, t);
    if (st != MCOMP_OK) return st;
    s->shape = *shape;
    return mc_graph_add_const(g, name, s, out);
}

int32_t mc_const_permuted(mc_graph *g, const char *name, const mc_tensor *t, const int64_t *perm, mc_value **out)
{
    int32_t st = MCOMP_OK;
    mc_tensor *p = NULL;
    mc_shape s = {.rank = t->shape.rank};
    int64_t stride[MC_MAX_RANK], at[MC_MAX_RANK] = {0}, from = 0, step = 1;
    *out = NULL;
    for (int32_t i = s.rank - 1; i >= 0; i--) {
        stride[i] = step;
        step *= t->shape.dim[i];
    }
    for (int32_t i = 0; i < s.rank; i++) s.dim[i] = t->shape.dim[perm[i]];
    MC_TRY(mc_tensor_create(&p, t->dtype, &s));
    const int64_t n = mc_tensor_elements(t);
    const size_t bytes = (size_t)mc_dtype_bits(t->dtype) / 8;
    if (bytes == 0) MC_FAIL(MCOMP_DTYPE, name, "cannot permute packed elements");
    for (int64_t i = 0; i < n; i++) {
        memcpy((uint8_t *)p->data + (size_t)i * bytes, (const uint8_t *)t->data + (size_t)from * bytes, bytes);
        for (int32_t a = s.rank - 1; a >= 0; a--) {
            from += stride[perm[a]];
            if (++at[a] < s.dim[a]) break;
            from -= stride[perm[a]] * s.dim[a];
            at[a] = 0;
        }
    }
    return mc_graph_add_const(g, name, p, out);
done:
    mc_tensor_destroy(p);
    return st;
}

int32_t mc_const_floats(const mc_value *v, int64_t n, float **out)
{
    const mc_tensor *t = mc_value_const(v);
    *out = NULL;
    if (!t || n < 0) return mc_fail(MCOMP_INTERNAL, v ? v->name : "", "a pass needs a constant here");
    const int64_t have = mc_tensor_elements(t);
    if (have != n && have != 1) return mc_fail(MCOMP_SHAPE, v->name, "%lld elements, not %lld", (long long)have, (long long)n);
    float *f = mc_calloc((size_t)n + 1, sizeof *f);
    if (!f) return MCOMP_NO_MEMORY;
    for (int64_t i = 0; i < n; i++) f[i] = (float)mc_tensor_get_f64(t, have == 1 ? 0 : i);
    *out = f;
    return MCOMP_OK;
}

int32_t mc_shape_const(mc_graph *g, const mc_type *from, const mc_type *to, mc_value **out)
{
    int64_t v[MC_MAX_RANK];
    int32_t free_dim = -1;
    *out = NULL;
    if (to->rank < 0) return MCOMP_OK;
    for (int32_t i = 0; i < to->rank; i++) {
        v[i] = to->dim[i];
        if (v[i] > 0) continue;
        if (from->rank > i && from->dim[i] == to->dim[i]) {
            v[i] = 0; /* copied from the input */
        } else if (v[i] < 0 && free_dim < 0) {
            free_dim = i;
            v[i] = -1;
        } else {
            return MCOMP_OK;
        }
    }
    for (int32_t i = 0; free_dim >= 0 && i < to->rank; i++)
        if (to->dim[i] == 0) return MCOMP_OK; /* -1 beside an empty axis is ambiguous */
    return mc_graph_add_const_i64s(g, "shape", v, to->rank, out);
}

int32_t mc_transposed(mc_graph *g, const char *origin, mc_value *v, int32_t rank, const int64_t *perm, mc_value **out)
{
    int32_t st = MCOMP_OK;
    mc_node *n;
    int same = 1;
    *out = v;
    for (int32_t i = 0; i < rank; i++) same &= perm[i] == i;
    if (same) return MCOMP_OK;
    MC_TRY(mc_rewrite_begin(g, "", "Transpose", origin, v->producer, 1, &v, &n));
    MC_TRY(mc_node_set_ints(n, "perm", perm, rank));
    MC_TRY(mc_infer_node(g, n));
    *out = n->out[0];
done:
    return st;
}

int32_t mc_reshaped(mc_graph *g, const char *origin, mc_value *v, const mc_type *to, mc_value **out)
{
    int32_t st = MCOMP_OK;
    mc_node *n;
    mc_value *in[2] = {v, NULL};
    *out = mc_dims_equal(&v->type, to) ? v : NULL;
    if (*out) return MCOMP_OK;
    MC_TRY(mc_shape_const(g, &v->type, to, &in[1]));
    if (!in[1]) return MCOMP_OK;
    MC_TRY(mc_rewrite_begin(g, "", "Reshape", origin, v->producer, 2, in, &n));
    n->out[0]->type = *to;
    n->out[0]->type.dtype = v->type.dtype;
    MC_TRY(mc_infer_node(g, n));
    *out = n->out[0];
done:
    return st;
}

void mc_channels_last_perm(int32_t rank, int64_t perm[MC_MAX_RANK])
{
    for (int32_t i = 0; i < rank; i++) perm[i] = i == 0 ? 0 : i == rank - 1 ? 1 : i + 1;
}

void mc_channels_first_perm(int32_t rank, int64_t perm[MC_MAX_RANK])
{
    for (int32_t i = 0; i < rank; i++) perm[i] = i == 0 ? 0 : i == 1 ? rank - 1 : i - 1;
}

int mc_window_is_explicit(const mc_node *n)
{
    const char *pad = mc_attr_s(n, "auto_pad", "NOTSET");
    const mc_type *x = &n->in[0]->type;
    if (strcmp(pad, "NOTSET") == 0 || strcmp(pad, "VALID") == 0) return 1;
    for (int32_t i = 2; i < x->rank; i++)
        if (x->dim[i] < 0) return 0;
    return x->rank > 2;
}

int32_t mc_copy_window(mc_node *to, const mc_node *from)
{
    static const char *const lists[] = {"kernel_shape", "strides", "dilations", "pads"};
    static const char *const ints[] = {"group", "ceil_mode", "count_include_pad"};
    int32_t st = MCOMP_OK;
    int64_t count, pads[6];
    mc_window w;
    for (int32_t i = 0; i < 4; i++) {
        const int64_t *v = mc_attr_ints(from, lists[i], &count);
        if (v) MC_TRY(mc_node_set_ints(to, lists[i], v, count));
    }
    for (int32_t i = 0; i < 3; i++)
        if (mc_node_attr(from, ints[i])) MC_TRY(mc_node_set_i(to, ints[i], mc_attr_i(from, ints[i], 0)));
    if (strcmp(mc_attr_s(from, "auto_pad", "NOTSET"), "NOTSET") == 0) return MCOMP_OK;
    const int64_t *kernel = from->n_in > 1 && from->in[1] && from->in[1]->type.rank > 2 ? &from->in[1]->type.dim[2] : NULL;
    MC_TRY(mc_window_read(from, &from->in[0]->type, kernel, &w));
    for (int32_t i = 0; i < w.spatial; i++) {
        pads[i] = w.pad_begin[i];
        pads[i + w.spatial] = w.pad_end[i];
    }
    MC_TRY(mc_node_set_ints(to, "pads", pads, 2 * w.spatial));
done:
    return st;
}

int32_t mc_const_vector(mc_graph *g, const mc_value *v, int32_t rank, int64_t n, double factor, mc_value **out)
{
    float *f = NULL;
    int32_t st = MCOMP_OK;
    const mc_tensor *t = mc_value_const(v);
    *out = NULL;
    if (!t || t->dtype != MCOMP_F32 || n < 1) return MCOMP_OK;
    if (!(mc_tensor_elements(t) == 1 && t->shape.rank <= rank) && !mc_const_along(v, rank, rank - 1, n)) return MCOMP_OK;
    MC_TRY(mc_const_floats(v, n, &f));
    for (int64_t i = 0; factor != 1.0 && i < n; i++) f[i] = (float)((double)f[i] * factor);
    st = mc_const_f32(g, v->name, f, n, out);
done:
    mc_free(f);
    return st;
}
