/* Keeps data in integers where the operator between DequantizeLinear and QuantizeLinear does no arithmetic:
 *   Q(DQ(q))                 -> q, or a 256-entry table (mcomp.QLut) when the parameters differ
 *   DQ -> MaxPool, Reshape, Transpose, Concat ... -> the operator on integers, DQ behind it
 *   DQ -> f -> Q, f elementwise with one data operand -> a table computed with the reference of f, exact
 * Sums over DQ values never pass here: they are the qdq pass's. */
#include "passes/internal.h"

/* One data input that is moved, the rest are shapes or axes. A Transpose that the layout pass has pushed down past a
 * DequantizeLinear stays there: raised again, it would be pushed again. */
static int is_move(const mc_node *n)
{
    static const char *const ops[] = {"MaxPool", "Reshape", "Transpose", "Flatten", "Squeeze", "Unsqueeze", "Slice", "Gather",
                                      "Expand", "Identity", "DepthToSpace", "SpaceToDepth", "Tile", "GlobalMaxPool"};
    if (n->domain[0] || n->n_out < 1 || !n->out[0]) return 0;
    if (n->origin && strcmp(n->origin, "layout") == 0) return 0;
    for (int32_t k = 1; k < n->n_out; k++)
        if (n->out[k]) return 0;
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++)
        if (strcmp(n->op, ops[i]) == 0) return 1;
    return 0;
}

/* DQ with the parameters of `like` on v. */
static int32_t dequantize_like(mc_graph *g, mc_value *v, const mc_node *like, mc_node **out)
{
    int32_t st = MCOMP_OK;
    mc_value *in[3] = {v, like->in[1], like->n_in > 2 ? like->in[2] : NULL};
    MC_TRY(mc_rewrite_begin(g, "", "DequantizeLinear", "qmove", like, in[2] ? 3 : 2, in, out));
    MC_TRY(mc_node_copy_attrs(*out, like));
done:
    return st;
}

/* n on the integer inputs `in`, dequantized behind it. */
static int32_t move(mc_graph *g, mc_node *n, const mc_node *dq, mc_value *const *in)
{
    int32_t st = MCOMP_OK;
    mc_node *c, *d;
    MC_TRY(mc_rewrite_begin(g, n->domain, n->op, n->origin, n, n->n_in, in, &c));
    MC_TRY(mc_node_copy_attrs(c, n));
    c->out[0]->type = n->out[0]->type;
    c->out[0]->type.dtype = in[0]->type.dtype;
    MC_TRY(mc_rewrite_end(g, c, n, NULL));
    MC_TRY(dequantize_like(g, c->out[0], dq, &d));
    st = mc_rewrite_end(g, d, NULL, n->out[0]);
done:
    return st;
}

static int32_t visit_move(mc_graph *g, mc_node *n)
{
    int32_t st = MCOMP_OK;
    mc_qdq p;
    mc_value *q = mc_dequantized(n->in[0], &p), *in[8] = {NULL};
    if (!q || n->n_in > 8) return MCOMP_OK;
    for (int32_t i = 0; i < n->n_in; i++) in[i] = n->in[i];
    in[0] = q;
    st = move(g, n, n->in[0]->producer, in);
    return st;
}

/* Any elementwise function of one quantized value as a table; n = NULL: only other parameters. */
static int32_t make_table(mc_graph *g, const mc_node *n, const mc_value *data, const mc_qdq *p, const mc_node *quantize, mc_value **out)
{
    int32_t st = MCOMP_OK;
    const mc_shape s = {.rank = 1, .dim = {256}};
    mc_tensor *x = NULL, *y = NULL, *t = NULL;
    const mc_tensor *in[8] = {NULL};
    *out = NULL;
    MC_TRY(mc_tensor_create(&x, MCOMP_F32, &s));
    for (int32_t b = 0; b < 256; b++)
        ((float *)x->data)[b] = (float)((p->dtype == MCOMP_I8 ? (int8_t)(uint8_t)b : b) - p->zp) * p->scale;
    for (int32_t i = 0; n && i < n->n_in; i++) in[i] = n->in[i] == data ? x : n->in[i] ? n->in[i]->init : NULL;
    if (n) MC_TRY(mc_op_eval(n, n->n_in, in, &y));
    const mc_tensor *q[3] = {y ? y : x, quantize->in[1]->init, quantize->n_in > 2 && quantize->in[2] ? quantize->in[2]->init : NULL};
    mc_tensor scale = *q[1], zp = q[2] ? *q[2] : scale;
    scale.shape.rank = zp.shape.rank = 0;
    q[1] = &scale;
    if (q[2]) q[2] = &zp;
    if ((y && (y->dtype != MCOMP_F32 || !mc_shape_equal(&y->shape, &s)))) goto done;
    MC_TRY(mc_op_eval(quantize, quantize->n_in, q, &t));
    st = mc_graph_add_const(g, "table", t, out);
done:
    mc_tensor_destroy(x);
    mc_tensor_destroy(y);
    return st;
}

static int32_t to_table(mc_graph *g, const mc_node *f, mc_value *data, mc_value *q, const mc_qdq *p, mc_node *quantize)
{
    int32_t st = MCOMP_OK;
    mc_value *in[2] = {q, NULL};
    mc_node *lut;
    MC_TRY(make_table(g, f, data, p, quantize, &in[1]));
    if (!in[1]) return MCOMP_OK;
    MC_TRY(mc_rewrite_begin(g, "mcomp", "QLut", "qmove", f ? f : quantize, 2, in, &lut));
    if (f) MC_TRY(mc_node_inherit(lut, f, "qmove"));
    st = mc_rewrite_end(g, lut, quantize, quantize->out[0]);
done:
    return st;
}

/* The operand of an elementwise function whose other inputs are single numbers; -1 if there is none. */
static int32_t data_operand(const mc_node *f)
{
    int32_t at = -1;
    if (!f->desc || !f->desc->forward || !(f->desc->traits & MC_OP_ELEMENTWISE) || f->n_out != 1 || f->n_in > 8) return -1;
    for (int32_t i = 0; i < f->n_in; i++) {
        double c;
        if (!f->in[i] || mc_value_scalar(f->in[i], &c)) continue;
        if (at >= 0 && f->in[i] != f->in[at]) return -1;
        at = at >= 0 ? at : i;
    }
    return at >= 0 && mc_dims_equal(&f->in[at]->type, &f->out[0]->type) ? at : -1;
}

static int32_t visit_quantize(mc_graph *g, mc_node *n)
{
    int32_t st = MCOMP_OK, done_;
    mc_qdq to, from;
    if (!mc_quantizes(n, &to)) return MCOMP_OK;
    mc_value *q = mc_dequantized(n->in[0], &from);
    if (q && mc_qdq_equal(&to, &from)) return mc_bypass(g, n, q, &done_);
    if (q) return to_table(g, NULL, NULL, q, &from, n);
    mc_node *f = n->in[0]->producer;
    const int32_t at = f ? data_operand(f) : -1;
    if (at < 0 || !mc_value_only_user(n->in[0])) return MCOMP_OK;
    q = mc_dequantized(f->in[at], &from);
    if (q) st = to_table(g, f, f->in[at], q, &from, n);
    return st;
}

/* Concat of quantized values: with the parameters of the QuantizeLinear behind it, or those of the first input; others are requantized. */
static int32_t visit_concat(mc_graph *g, mc_node *n)
{
    int32_t st = MCOMP_OK;
    mc_value *in[MC_OP_MAX_IO] = {NULL};
    mc_qdq p[MC_OP_MAX_IO], to;
    mc_node *user = mc_value_only_user(n->out[0]), *d;
    if (n->n_in < 1 || n->n_in > MC_OP_MAX_IO) return MCOMP_OK;
    int same = 1;
    for (int32_t i = 0; i < n->n_in; i++) {
        in[i] = mc_dequantized(n->in[i], &p[i]);
        if (!in[i]) return MCOMP_OK;
        same &= mc_qdq_equal(&p[i], &p[0]);
    }
    const int quantized = user && mc_quantizes(user, &to);
    if (!quantized && !same) return MCOMP_OK;
    if (!quantized || (same && mc_qdq_equal(&p[0], &to))) return move(g, n, n->in[0]->producer, in);
    for (int32_t i = 0; i < n->n_in; i++) { /* each input in the output's parameters */
        mc_value *v[2] = {in[i], NULL};
        if (mc_qdq_equal(&p[i], &to)) continue;
        MC_TRY(make_table(g, NULL, NULL, &p[i], user, &v[1]));
        if (!v[1]) return MCOMP_OK;
        MC_TRY(mc_rewrite(g, "mcomp", "QLut", "qmove", n, 2, v, NULL, &d));
        in[i] = d->out[0];
    }
    MC_TRY(mc_rewrite_begin(g, "", "Concat", n->origin, n, n->n_in, in, &d));
    MC_TRY(mc_node_copy_attrs(d, n));
    MC_TRY(mc_node_inherit(d, n, d->origin));
    st = mc_rewrite_end(g, d, user, user->out[0]);
done:
    return st;
}

static int32_t sweep(mc_graph *g)
{
    int32_t st = MCOMP_OK;
    for (int64_t i = 0; i < g->n_order; i++) {
        mc_node *n = g->order[i];
        if (n->dead || n->n_in < 1 || n->n_out < 1 || !n->in[0] || !n->out[0] || mc_is_unused(n)) continue;
        if (is_move(n)) MC_TRY(visit_move(g, n));
        else if (mc_node_is(n, "Concat")) MC_TRY(visit_concat(g, n));
        else if (mc_node_is(n, "QuantizeLinear")) MC_TRY(visit_quantize(g, n));
    }
done:
    return st;
}

int32_t mc_pass_qmove(mc_graph *g, const mc_pass_options *o)
{
    int32_t st = MCOMP_OK;
    int64_t before;
    (void)o;
    do { /* one step down a chain of moves a sweep */
        before = g->n_nodes;
        MC_TRY(sweep(g));
        MC_TRY(mc_graph_remove_dead(g, NULL));
    } while (g->n_nodes != before);
done:
    return st;
}
