/* mcomp.Linear: Y = post_act(act(X.W + B) + R), LayerNormalization if ln_eps; X [...,K], W [K,N] or [N,K] (trans_w).
 * mcomp.QLinear: the same on integers, X quantized before or on the way in (mode static, token, tensor), W s8 with one scale a
 * column; bit-exact by docs/fused_ops.md, Numerics. */
#include "ops/fused.h"

static const mc_fused_slots linear_slots = {.bias = 2, .residual = 3, .gamma = 4, .beta = 5};
static const mc_fused_slots qlinear_slots = {.bias = 3, .residual = 4, .gamma = 5, .beta = 6};

enum { MODE_STATIC, MODE_TOKEN, MODE_TENSOR };

static int32_t mode_of(const mc_node *n)
{
    const char *s = mc_attr_s(n, "mode", "static");
    return strcmp(s, "static") == 0 ? MODE_STATIC : strcmp(s, "token") == 0 ? MODE_TOKEN : strcmp(s, "tensor") == 0 ? MODE_TENSOR : -1;
}

/* Shapes of X and W; *n: output features (a dim, may be unknown). */
static int32_t infer_shape(mc_infer *c, int64_t *n)
{
    int32_t st = MCOMP_OK, trans;
    const mc_type *x = c->in[0], *w = c->in[1];
    MC_TRY(mc_nn_flag(c, "trans_w", 0, &trans));
    MC_TRY(mc_nn_need_rank(c, 1, 2));
    if (x->rank == 0) return mc_infer_fail(c, MCOMP_SHAPE, "X is a scalar");
    *n = w->rank == 2 ? w->dim[trans ? 0 : 1] : mc_infer_symbol(c);
    if (x->rank < 0) goto done;
    MC_TRY(mc_nn_need_dim(c, 1, trans ? 1 : 0, x->dim[x->rank - 1], "inner size"));
    const int32_t dtype = c->out[0].dtype;
    c->out[0] = *x;
    c->out[0].dtype = dtype;
    c->out[0].dim[x->rank - 1] = *n;
done:
    return st;
}

static int32_t infer_linear(mc_infer *c)
{
    int32_t st = MCOMP_OK;
    int64_t n = -1;
    MC_TRY(mc_nn_need_dtype(c, 0, MCOMP_F32));
    MC_TRY(mc_nn_need_dtype(c, 1, MCOMP_F32));
    MC_TRY(mc_nn_need_dtype(c, 3, MCOMP_F32));
    c->out[0].dtype = MCOMP_F32;
    if (mc_qparam_given(c->node, "y_scale")) return mc_infer_fail(c, MCOMP_FORMAT, "y_scale on a float operator");
    MC_TRY(infer_shape(c, &n));
    MC_TRY(mc_fused_infer(c, &linear_slots, n));
done:
    return st;
}

static int32_t infer_qlinear(mc_infer *c)
{
    int32_t st = MCOMP_OK;
    int64_t n = -1;
    mc_qparam q;
    const int32_t mode = mode_of(c->node), dtype = c->in[0]->dtype;
    if (mode < 0) return mc_infer_fail(c, MCOMP_FORMAT, "mode must be static, token or tensor");
    if (mode == MODE_STATIC && (dtype == MCOMP_U8 || dtype == MCOMP_I8)) MC_TRY(mc_qparam_infer(c, 0, "x"));
    else MC_TRY(mc_nn_need_dtype(c, 0, MCOMP_F32));
    if (mode == MODE_STATIC) MC_TRY(mc_qparam_read(c->node, "x", &q));
    MC_TRY(mc_nn_need_dtype(c, 1, MCOMP_I8));
    MC_TRY(mc_nn_need_dtype(c, 2, MCOMP_F32));
    MC_TRY(mc_qparam_out(c));
    MC_TRY(infer_shape(c, &n));
    MC_TRY(mc_nn_need_vector(c, 2, n, "weight scales"));
    MC_TRY(mc_nn_need_positive(c, 2, "w_scale"));
    MC_TRY(mc_fused_infer(c, &qlinear_slots, n));
done:
    return st;
}

static int32_t forward_linear(const mc_op_run *r)
{
    int32_t st = mc_nn_recheck(r, infer_linear, 1);
    mc_fused f;
    float *v = NULL;
    if (st != MCOMP_OK) return st;
    const mc_tensor *x = r->in[0], *w = r->in[1];
    const int trans = mc_attr_i(r->node, "trans_w", 0) != 0;
    const int64_t k = x->shape.dim[x->shape.rank - 1], n = w->shape.dim[trans ? 0 : 1];
    const int64_t rows = mc_nn_extent(&x->shape, 0, x->shape.rank - 1);
    MC_TRY(mc_fused_open(r, &linear_slots, &f));
    v = mc_malloc(sizeof *v * (size_t)n);
    if (!v) MC_FAIL(MCOMP_NO_MEMORY, r->node->name, "no memory for a row");
    for (int64_t i = 0; i < rows; i++) {
        for (int64_t j = 0; j < n; j++) v[j] = (float)mc_nn_dot(x, i * k, 1, w, trans ? j * k : j, trans ? 1 : n, k);
        mc_fused_row(&f, v, i, n, r->out[0]);
    }
done:
    mc_free(v);
    return st;
}

/* Parameters of a whole tensor by DynamicQuantizeLinear's rule. */
static void tensor_params(const mc_tensor *x, mc_qparam *q)
{
    const float *p = x->data;
    const int64_t n = mc_tensor_elements(x);
    float min = 0.0f, max = 0.0f;
    for (int64_t i = 0; i < n; i++) {
        min = p[i] < min ? p[i] : min;
        max = p[i] > max ? p[i] : max;
    }
    q->scale = mc_tensor_scale(min, max, &q->zp);
    q->dtype = MCOMP_U8;
    q->lo = 0;
    q->hi = 255;
}

/* Row of X as q - zp. */
static void quantized_row(const mc_tensor *x, int32_t mode, int64_t from, int64_t k, mc_qparam *q, int32_t *out)
{
    if (x->dtype != MCOMP_F32) {
        for (int64_t i = 0; i < k; i++) out[i] = mc_nn_byte(x, from + i) - q->zp;
        return;
    }
    const float *p = (const float *)x->data + from;
    if (mode == MODE_TOKEN) *q = (mc_qparam){.scale = mc_token_scale(p, k), .zp = 0, .dtype = MCOMP_I8, .lo = -128, .hi = 127};
    for (int64_t i = 0; i < k; i++) out[i] = mc_quant_round(p[i] / q->scale, q->zp, q->lo, q->hi) - q->zp;
}

static int32_t forward_qlinear(const mc_op_run *r)
{
    int32_t st = mc_nn_recheck(r, infer_qlinear, 1);
    mc_fused f;
    mc_qparam q = {.scale = 1.0f};
    float *v = NULL;
    int32_t *xq = NULL;
    if (st != MCOMP_OK) return st;
    const mc_tensor *x = r->in[0], *w = r->in[1];
    const float *ws = r->in[2]->data;
    const int8_t *wd = w->data;
    const int32_t mode = mode_of(r->node);
    const int trans = mc_attr_i(r->node, "trans_w", 0) != 0;
    const int64_t k = x->shape.dim[x->shape.rank - 1], n = w->shape.dim[trans ? 0 : 1];
    const int64_t rows = mc_nn_extent(&x->shape, 0, x->shape.rank - 1), step = trans ? 1 : n;
    MC_TRY(mc_fused_open(r, &qlinear_slots, &f));
    v = mc_malloc(sizeof *v * (size_t)n);
    xq = mc_malloc(sizeof *xq * (size_t)k);
    if (!v || !xq) MC_FAIL(MCOMP_NO_MEMORY, r->node->name, "no memory for a row");
    if (mode == MODE_STATIC) MC_TRY(mc_qparam_read(r->node, "x", &q));
    if (mode == MODE_TENSOR) tensor_params(x, &q);
    for (int64_t i = 0; i < rows; i++) {
        quantized_row(x, mode, i * k, k, &q, xq);
        for (int64_t j = 0; j < n; j++) {
            const int8_t *col = wd + (trans ? j * k : j);
            int64_t acc = 0;
            for (int64_t p = 0; p < k; p++) acc += (int64_t)xq[p] * col[p * step];
            v[j] = (float)acc * (q.scale * ws[j]);
        }
        mc_fused_row(&f, v, i, n, r->out[0]);
    }
done:
    mc_free(v);
    mc_free(xq);
    return st;
}

static int32_t cost(const mc_node *n, const mc_type *const *in, const mc_type *const *out, mc_op_cost *c)
{
    (void)n;
    if (out[0]->rank < 0 || in[0]->rank < 1) return MCOMP_OK;
    c->flops = mc_nn_extent_f(out[0], 0, out[0]->rank);
    c->macs = c->flops * mc_nn_extent_f(in[0], in[0]->rank - 1, in[0]->rank);
    return MCOMP_OK;
}

const mc_op mc_op_mcomp_Linear = {.name = "Linear", .domain = "mcomp", .version = 1, .since = 1, .min_in = 2, .max_in = 6,
                                  .min_out = 1, .max_out = 1, .quant = MC_Q_WEIGHTED, .infer = infer_linear,
                                  .forward = forward_linear, .cost = cost};
const mc_op mc_op_mcomp_QLinear = {.name = "QLinear", .domain = "mcomp", .version = 1, .since = 1, .min_in = 3, .max_in = 7,
                                   .min_out = 1, .max_out = 1, .quant = MC_Q_NONE, .infer = infer_qlinear,
                                   .forward = forward_qlinear, .cost = cost};
