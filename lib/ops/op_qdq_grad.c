/* Gradients of QuantizeLinear and DequantizeLinear. The integer q between them carries a float surrogate gradient, as if rounding
 * were the identity (straight through: Bengio et al. 2013), 0 where q left its range. With t = x / s, r = rne(t), z the zero point:
 *   mcomp.DequantizeGrad: dY, s -> dQ = dY s
 *   mcomp.QuantizeGrad: D, s, z, X -> dX = D / s where lo <= r + z <= hi, 0 elsewhere
 *   mcomp.ScaleGrad: D, s, z, X -> ds, summed over what shares a scale, in double. `of` says which function's:
 *     dequantize (X is q): sum D (q - z)        quantize: sum of -D x / s^2 where r is in range
 *     pair: sum D (r - t) in range, D (lo - z) below, D (hi - z) above
 * A pair, QuantizeLinear whose only reader is a DequantizeLinear of the same grid, gets the sum of both rules, which is the
 * gradient of a learned step size (LSQ: Esser et al. 2020, without its factor on the step), exactly: attribute `pair` says that D
 * is the gradient of the dequantized y, and then dX = D in range.
 * Attributes: `axis`, `block_size` as the forward node's; `range`: dtype of q. */
#include <math.h>

#include "ops/grad.h"
#include "ops/qdq.h"

enum { DEQUANTIZE, QUANTIZE, PAIR };

static int of_what(const mc_node *n)
{
    static const char *const names[] = {"dequantize", "quantize", "pair"};
    for (int i = 0; i < 3; i++)
        if (strcmp(mc_attr_s(n, "of", ""), names[i]) == 0) return i;
    return -1;
}

static int32_t range_of(const mc_node *n, int32_t *lo, int32_t *hi)
{
    return mc_qdq_range((int32_t)mc_attr_i(n, "range", MCOMP_U8), lo, hi);
}

static int32_t infer_like_d(mc_infer *c)
{
    int32_t st = MCOMP_OK, lo, hi;
    const int dequantize = strcmp(c->node->op, "DequantizeGrad") == 0;
    if (!dequantize && !mc_has(c, 3)) return mc_infer_fail(c, MCOMP_FORMAT, "input 3 is missing");
    MC_TRY(mc_nn_need_float(c, 0));
    MC_TRY(mc_qdq_check(c, 1));
    if (range_of(c->node, &lo, &hi) != MCOMP_OK) return mc_infer_fail(c, MCOMP_FORMAT, "range is no quantized type");
    c->out[0] = dequantize ? *c->in[0] : *c->in[3];
    c->out[0].dtype = c->in[0]->dtype;
    if (c->out[0].rank < 0) goto done;
    MC_TRY(mc_nn_need_rank(c, 0, c->out[0].rank));
    for (int32_t i = 0; i < c->out[0].rank; i++) MC_TRY(mc_nn_need_dim(c, 0, i, c->out[0].dim[i], "axis of the quantized input"));
done:
    return st;
}

static int32_t infer_scale(mc_infer *c)
{
    const int of = of_what(c->node);
    if (of < 0) return mc_infer_fail(c, MCOMP_FORMAT, "unknown `of`");
    const int32_t st = infer_like_d(c);
    c->out[0] = *c->in[1];
    return st;
}

/* x on its grid: t = x / s as the forward node has it, r rounded; inside its range? */
static int on_grid(const mc_op_run *r, const mc_qdq_map *m, int64_t i, double *t, double *rounded)
{
    const mc_tensor *s = r->in[1], *z = mc_in(r, 2);
    const int64_t k = mc_qdq_index(m, i), zp = z ? mc_tensor_get_i64(z, k) : 0;
    int32_t lo = 0, hi = 0;
    (void)range_of(r->node, &lo, &hi);
    const float f = mc_qdq_round_to(s->dtype, (float)mc_nn_at(r->in[3], i) / (float)mc_nn_at(s, k));
    *t = mc_nn_at(r->in[3], i) / mc_nn_at(s, k);
    *rounded = (double)rintf(f);
    if (*rounded + (double)zp >= lo && *rounded + (double)zp <= hi) return 1;
    *rounded = isnan(f) ? 0.0 : *rounded < 0.0 ? (double)(lo - zp) : (double)(hi - zp);
    return 0;
}

static int32_t forward_dequantize(const mc_op_run *r)
{
    const int32_t st = mc_nn_recheck(r, infer_like_d, 0);
    mc_qdq_map m;
    if (st != MCOMP_OK) return st;
    mc_qdq_map_of(r, &m);
    const int64_t n = mc_tensor_elements(r->in[0]);
    for (int64_t i = 0; i < n; i++) mc_nn_put(r->out[0], i, mc_nn_at(r->in[0], i) * mc_nn_at(r->in[1], mc_qdq_index(&m, i)));
    return MCOMP_OK;
}

static int32_t forward_quantize(const mc_op_run *r)
{
    const int32_t st = mc_nn_recheck(r, infer_like_d, 0);
    const int pair = mc_attr_i(r->node, "pair", 0) != 0;
    double t, rounded;
    mc_qdq_map m;
    if (st != MCOMP_OK) return st;
    mc_qdq_map_of(r, &m);
    const int64_t n = mc_tensor_elements(r->in[0]);
    for (int64_t i = 0; i < n; i++) {
        const double s = pair ? 1.0 : mc_nn_at(r->in[1], mc_qdq_index(&m, i));
        mc_nn_put(r->out[0], i, on_grid(r, &m, i, &t, &rounded) ? mc_nn_at(r->in[0], i) / s : 0.0);
    }
    return MCOMP_OK;
}

/* d y / d s of one element of D. */
static double slope(const mc_op_run *r, const mc_qdq_map *m, int of, int64_t i)
{
    const mc_tensor *z = mc_in(r, 2);
    const int64_t k = mc_qdq_index(m, i);
    double t, rounded;
    if (of == DEQUANTIZE) return (double)(mc_tensor_get_i64(r->in[3], i) - (z ? mc_tensor_get_i64(z, k) : 0));
    const int inside = on_grid(r, m, i, &t, &rounded);
    if (of == QUANTIZE) return inside ? -t / mc_nn_at(r->in[1], k) : 0.0;
    return inside ? rounded - t : rounded;
}

static int32_t forward_scale(const mc_op_run *r)
{
    int32_t st = mc_nn_recheck(r, infer_scale, 0);
    const int of = of_what(r->node);
    double *acc = NULL;
    mc_qdq_map m;
    if (st != MCOMP_OK) return st;
    mc_qdq_map_of(r, &m);
    const int64_t n = mc_tensor_elements(r->in[0]), scales = mc_tensor_elements(r->in[1]);
    acc = mc_calloc((size_t)scales + 1, sizeof *acc);
    if (!acc) MC_TRY(MCOMP_NO_MEMORY);
    for (int64_t i = 0; i < n; i++) acc[mc_qdq_index(&m, i)] += mc_nn_at(r->in[0], i) * slope(r, &m, of, i);
    mc_nn_store(r->out[0], acc);
done:
    mc_free(acc);
    return st;
}

static mc_value *emit(mc_op_grad *c, const char *op, mc_value *d, mc_value *x, const mc_value *q, const char *of, int pair)
{
    mc_node *n = mc_grad_begin(c, op, x ? 4 : 2, (mc_value *[]){d, c->x[1], c->n_in > 2 ? c->x[2] : NULL, x}, 1);
    if (!n) return NULL;
    c->status = mc_node_set_i(n, "range", q->type.dtype == MCOMP_I32 ? MCOMP_I8 : q->type.dtype); /* int32 is only dequantized */
    if (c->status == MCOMP_OK && mc_node_attr(c->node, "axis")) c->status = mc_node_set_i(n, "axis", mc_attr_i(c->node, "axis", 1));
    if (c->status == MCOMP_OK && mc_node_attr(c->node, "block_size"))
        c->status = mc_node_set_i(n, "block_size", mc_attr_i(c->node, "block_size", 0));
    if (c->status == MCOMP_OK && of) c->status = mc_node_set_s(n, "of", of);
    if (c->status == MCOMP_OK && pair) c->status = mc_node_set_i(n, "pair", 1);
    return mc_grad_end(c, n);
}

/* The QuantizeLinear in front of a DequantizeLinear when nobody else reads its q and both have one grid. */
static mc_node *partner(const mc_node *n)
{
    mc_node *p = n->in[0]->producer;
    if (!p || !mc_node_is(p, "QuantizeLinear") || mc_value_only_user(n->in[0]) != n || !mc_dtype_is_float(p->in[0]->type.dtype)) return NULL;
    const mc_value *za = p->n_in > 2 ? p->in[2] : NULL, *zb = n->n_in > 2 ? n->in[2] : NULL;
    const int same = p->in[1] == n->in[1] && za == zb && mc_attr_i(p, "axis", 1) == mc_attr_i(n, "axis", 1) &&
                     mc_attr_i(p, "block_size", 0) == mc_attr_i(n, "block_size", 0);
    return same ? p : NULL;
}

int32_t mc_grad_dequantize(mc_op_grad *c)
{
    const mc_node *p = partner(c->node);
    if (mc_grad_wants(c, 0)) c->dx[0] = emit(c, "mcomp.DequantizeGrad", c->dy[0], NULL, c->x[0], NULL, p != NULL);
    if (mc_grad_wants(c, 1)) c->dx[1] = emit(c, "mcomp.ScaleGrad", c->dy[0], p ? p->in[0] : c->x[0], c->x[0], p ? "pair" : "dequantize", 0);
    return c->status;
}

int32_t mc_grad_quantize(mc_op_grad *c)
{
    const mc_node *p = c->dy[0]->producer;
    const int pair = mc_node_is_in(p, "mcomp", "DequantizeGrad") && mc_attr_i(p, "pair", 0) != 0; /* it gave the scale its gradient */
    mc_value *d = pair ? p->in[0] : c->dy[0];
    if (mc_grad_wants(c, 0)) c->dx[0] = emit(c, "mcomp.QuantizeGrad", d, c->x[0], c->y[0], NULL, pair);
    if (mc_grad_wants(c, 1) && !pair) c->dx[1] = emit(c, "mcomp.ScaleGrad", d, c->x[0], c->y[0], "quantize", 0);
    return c->status;
}

const mc_op mc_op_mcomp_DequantizeGrad = {.name = "DequantizeGrad", .domain = "mcomp", .version = 1, .since = 1, .min_in = 2,
                                          .max_in = 2, .min_out = 1, .max_out = 1, .quant = MC_Q_NONE, .infer = infer_like_d,
                                          .forward = forward_dequantize};
const mc_op mc_op_mcomp_QuantizeGrad = {.name = "QuantizeGrad", .domain = "mcomp", .version = 1, .since = 1, .min_in = 2, .max_in = 4,
                                        .min_out = 1, .max_out = 1, .quant = MC_Q_NONE, .infer = infer_like_d,
                                        .forward = forward_quantize};
const mc_op mc_op_mcomp_ScaleGrad = {.name = "ScaleGrad", .domain = "mcomp", .version = 1, .since = 1, .min_in = 2, .max_in = 4,
                                     .min_out = 1, .max_out = 1, .quant = MC_Q_NONE, .infer = infer_scale, .forward = forward_scale};
