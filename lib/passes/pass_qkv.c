/* The projections that feed one mcomp.Attention from the same input become one wide product: W [K, 3N], and the Attention reads
 * slices of its rows. Q, K and V together, or only K and V (cross attention). Float and integer products alike. */
#include "passes/internal.h"

static const char *const offsets[3] = {"q_offset", "k_offset", "v_offset"}, *const widths[3] = {"q_width", "k_width", "v_width"};

/* A product with nothing behind its bias, read only by this Attention. */
static mc_node *projection(const mc_value *v)
{
    mc_node *n = mc_made_in(v, "mcomp", "Linear");
    if (!n) n = mc_made_in(v, "mcomp", "QLinear");
    if (!n || !mc_value_only_user(v)) return NULL;
    const int32_t after = mc_node_is_in(n, "mcomp", "Linear") ? 3 : 4;
    for (int32_t i = after; i < n->n_in; i++)
        if (n->in[i]) return NULL;
    if (strcmp(mc_attr_s(n, "act", "none"), "none") != 0 || mc_node_attr(n, "ln_eps") || mc_node_attr(n, "y_scale")) return NULL;
    return n;
}

static int same_quantization(const mc_node *a, const mc_node *b)
{
    return strcmp(mc_attr_s(a, "mode", "static"), mc_attr_s(b, "mode", "static")) == 0 &&
           mc_attr_f(a, "x_scale", 0.0f) == mc_attr_f(b, "x_scale", 0.0f) && mc_attr_i(a, "x_zp", 0) == mc_attr_i(b, "x_zp", 0) &&
           mc_attr_i(a, "x_dtype", 0) == mc_attr_i(b, "x_dtype", 0);
}

static int fit_together(const mc_node *a, const mc_node *b)
{
    return a && b && a != b && strcmp(a->op, b->op) == 0 && a->in[0] == b->in[0] && same_quantization(a, b);
}

static int64_t width_of(const mc_node *n) { return n->in[1]->type.dim[mc_attr_i(n, "trans_w", 0) ? 0 : 1]; }

/* Weights side by side as [K, sum N]. */
static int32_t join_weights(mc_graph *g, mc_node *const *p, int32_t n, int64_t total, mc_value **out)
{
    mc_tensor *t;
    const size_t size = (size_t)mc_dtype_bits(p[0]->in[1]->type.dtype) / 8;
    const int64_t k = p[0]->in[1]->type.dim[mc_attr_i(p[0], "trans_w", 0) ? 1 : 0];
    const mc_shape s = {.rank = 2, .dim = {k, total}};
    int64_t at = 0;
    const int32_t st = mc_tensor_create(&t, p[0]->in[1]->type.dtype, &s);
    *out = NULL;
    if (st != MCOMP_OK) return st;
    for (int32_t i = 0; i < n; at += width_of(p[i]), i++) {
        const int64_t w = width_of(p[i]);
        const int trans = mc_attr_i(p[i], "trans_w", 0) != 0;
        const uint8_t *from = p[i]->in[1]->init->data;
        uint8_t *to = (uint8_t *)t->data + (size_t)at * size;
        for (int64_t r = 0; r < k; r++) {
            if (!trans) memcpy(to + (size_t)(r * total) * size, from + (size_t)(r * w) * size, (size_t)w * size);
            for (int64_t c = 0; trans && c < w; c++)
                memcpy(to + (size_t)(r * total + c) * size, from + (size_t)(c * k + r) * size, size);
        }
    }
    return mc_graph_add_const(g, p[0]->in[1]->name, t, out);
}

/* f32 vectors (scales, biases) one after the other; missing ones are zero. *out = NULL when all are missing. */
static int32_t join_vectors(mc_graph *g, mc_node *const *p, int32_t n, int32_t slot, int64_t total, mc_value **out)
{
    int32_t st = MCOMP_OK, any = 0;
    float *f = mc_calloc((size_t)total + 1, sizeof *f);
    int64_t at = 0;
    *out = NULL;
    if (!f) return MCOMP_NO_MEMORY;
    for (int32_t i = 0; i < n; at += width_of(p[i]), i++) {
        if (slot >= p[i]->n_in || !p[i]->in[slot]) continue;
        memcpy(f + at, p[i]->in[slot]->init->data, sizeof *f * (size_t)width_of(p[i]));
        any = 1;
    }
    if (any) st = mc_const_f32(g, "merged", f, total, out);
    mc_free(f);
    return st;
}

/* Replaces the projections of the Attention's inputs first..2 by one. */
static int32_t merge(mc_graph *g, mc_node *a, mc_node *const *p, int32_t first)
{
    int32_t st = MCOMP_OK;
    const int32_t n = 3 - first;
    const int integer = mc_node_is_in(p[0], "mcomp", "QLinear");
    int64_t total = 0, at = 0;
    mc_value *in[4] = {p[0]->in[0], NULL, NULL, NULL};
    mc_node *m;
    for (int32_t i = 0; i < n; i++) total += width_of(p[i]);
    MC_TRY(join_weights(g, p, n, total, &in[1]));
    if (integer) MC_TRY(join_vectors(g, p, n, 2, total, &in[2]));
    MC_TRY(join_vectors(g, p, n, integer ? 3 : 2, total, &in[integer ? 3 : 2]));
    MC_TRY(mc_rewrite_begin(g, "mcomp", p[0]->op, "qkv", p[0], (integer ? 3 : 2) + (in[integer ? 3 : 2] != NULL), in, &m));
    MC_TRY(mc_node_copy_attrs(m, p[0]));
    mc_node_remove_attr(m, "trans_w");
    for (int32_t i = 0; i < n; i++) MC_TRY(mc_node_inherit(m, p[i], "qkv"));
    MC_TRY(mc_rewrite_end(g, m, NULL, NULL));
    for (int32_t i = 0; i < n; at += width_of(p[i]), i++) {
        MC_TRY(mc_node_set_i(a, offsets[first + i], at));
        MC_TRY(mc_node_set_i(a, widths[first + i], width_of(p[i])));
        MC_TRY(mc_node_set_input(g, a, first + i, m->out[0]));
    }
    st = mc_infer_node(g, a);
done:
    return st;
}

int32_t mc_pass_qkv(mc_graph *g, const mc_pass_options *o)
{
    int32_t st = MCOMP_OK;
    (void)o;
    for (int64_t i = 0; i < g->n_order; i++) {
        mc_node *a = g->order[i], *p[3];
        int whole = 1;
        if (a->dead || !mc_node_is_in(a, "mcomp", "Attention")) continue;
        for (int32_t k = 0; k < 3; k++) {
            whole &= !mc_node_attr(a, offsets[k]) && !mc_node_attr(a, widths[k]);
            p[k] = projection(a->in[k]);
        }
        if (!whole || !fit_together(p[1], p[2])) continue;
        MC_TRY(merge(g, a, fit_together(p[0], p[1]) && p[0] != p[2] ? p : p + 1, fit_together(p[0], p[1]) && p[0] != p[2] ? 0 : 1));
    }
done:
    return st;
}
