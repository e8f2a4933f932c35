/* A two-dimensional Conv over an axis of size 1 is a one-dimensional Conv: X [N,C,L,1] * W [M,C/g,k,1] (or the other axis). TensorFlow
 * exports every Conv1D this way; as Conv1D the surrounding Unsqueeze and Squeeze cancel and what follows can be fused. */
#include "passes/internal.h"

static int explicit_pads(const mc_node *n) { return strcmp(mc_attr_s(n, "auto_pad", "NOTSET"), "NOTSET") == 0; }

/* Attribute list without the entry of the spatial axis `a`; pads hold two values an axis. */
static int32_t drop(mc_node *to, const mc_node *from, const char *name, int32_t a, int32_t per_axis)
{
    int64_t n, kept[2];
    const int64_t *v = mc_attr_ints(from, name, &n);
    if (n != 2 * per_axis) return MCOMP_OK; /* absent: the default is the same for one axis */
    for (int32_t i = 0; i < per_axis; i++) kept[i] = v[2 * i + (1 - a)];
    return mc_node_set_ints(to, name, kept, per_axis);
}

/* The constant weight, also behind a DequantizeLinear with one scale, or one an output channel. */
static const mc_tensor *weight_of(const mc_node *n)
{
    const mc_value *v = n->n_in > 1 ? n->in[1] : NULL;
    const mc_node *dq = mc_made_by(v, "DequantizeLinear");
    if (dq && (mc_attr_i(dq, "block_size", 0) || mc_axis_of(mc_attr_i(dq, "axis", 1), 4) > 1)) return NULL;
    return mc_value_const(dq ? dq->in[0] : v);
}

/* The weight without the axis; a DequantizeLinear is made anew around it. */
static int32_t narrow_weight(mc_graph *g, const mc_node *n, int32_t a, mc_value **out)
{
    int32_t st = MCOMP_OK;
    const mc_node *dq = mc_made_by(n->in[1], "DequantizeLinear");
    const mc_tensor *w = weight_of(n);
    const mc_shape s = {.rank = 3, .dim = {w->shape.dim[0], w->shape.dim[1], w->shape.dim[3 - a]}};
    mc_value *in[3] = {NULL};
    mc_node *d;
    MC_TRY(mc_const_shared(g, dq ? dq->in[0]->name : n->in[1]->name, w, &s, out));
    if (!dq) goto done;
    for (int32_t i = 0; i < dq->n_in && i < 3; i++) in[i] = i ? dq->in[i] : *out;
    MC_TRY(mc_rewrite_begin(g, "", "DequantizeLinear", "conv1d", dq, dq->n_in, in, &d));
    MC_TRY(mc_node_copy_attrs(d, dq));
    MC_TRY(mc_infer_node(g, d));
    *out = d->out[0];
done:
    return st;
}

/* The spatial axis (0 or 1) that can go, or -1. */
static int32_t idle_axis(const mc_node *n)
{
    int64_t np, ns;
    const mc_tensor *w = weight_of(n);
    const int64_t *pads = mc_attr_ints(n, "pads", &np), *strides = mc_attr_ints(n, "strides", &ns);
    if (!w || w->shape.rank != 4 || n->in[0]->type.rank != 4 || !explicit_pads(n) || n->out[0]->type.rank != 4) return -1;
    for (int32_t a = 1; a >= 0; a--) {
        if (n->in[0]->type.dim[2 + a] != 1 || w->shape.dim[2 + a] != 1 || n->out[0]->type.dim[2 + a] != 1) continue;
        if ((pads && (np != 4 || pads[a] || pads[2 + a])) || (strides && (ns != 2 || strides[a] != 1))) continue;
        return a;
    }
    return -1;
}

static mc_type without(const mc_type *t, int32_t axis)
{
    mc_type r = *t;
    for (int32_t i = axis; i + 1 < t->rank; i++) r.dim[i] = t->dim[i + 1];
    r.rank--;
    return r;
}

static int32_t visit(mc_graph *g, mc_node *n, int32_t a)
{
    int32_t st = MCOMP_OK;
    mc_node *c;
    mc_value *in[3] = {NULL, NULL, n->n_in > 2 ? n->in[2] : NULL}, *back;
    const mc_type x = without(&n->in[0]->type, 2 + a), y = without(&n->out[0]->type, 2 + a);
    MC_TRY(mc_reshaped(g, "conv1d", n->in[0], &x, &in[0]));
    if (!in[0]) return MCOMP_OK;
    MC_TRY(narrow_weight(g, n, a, &in[1]));
    MC_TRY(mc_rewrite_begin(g, "", "Conv", "conv1d", n, n->n_in, in, &c));
    MC_TRY(mc_node_set_i(c, "group", mc_attr_i(n, "group", 1)));
    MC_TRY(drop(c, n, "kernel_shape", a, 1));
    MC_TRY(drop(c, n, "strides", a, 1));
    MC_TRY(drop(c, n, "dilations", a, 1));
    MC_TRY(drop(c, n, "pads", a, 2));
    c->out[0]->type = y;
    MC_TRY(mc_rewrite_end(g, c, n, NULL));
    MC_TRY(mc_reshaped(g, "conv1d", c->out[0], &n->out[0]->type, &back));
    if (back) st = mc_graph_replace_uses(g, n->out[0], back);
done:
    return st;
}

int32_t mc_pass_conv1d(mc_graph *g, const mc_pass_options *o)
{
    int32_t st = MCOMP_OK;
    (void)o;
    for (int64_t i = 0; i < g->n_order; i++) {
        mc_node *n = g->order[i];
        if (n->dead || !mc_node_is(n, "Conv") || mc_is_unused(n)) continue;
        const int32_t a = idle_axis(n);
        if (a >= 0) MC_TRY(visit(g, n, a));
    }
done:
    return st;
}
