/* Dynamic INT8: MatMul and Gemm become MatMulInteger chains of standard operators, one scale a token or one a tensor.
 * The exact chains, and why they look as they do, are in docs/quantization.md §2 and §3. */
#include "quant/plan.h"

#include <math.h>

/* What is made once for each x. */
typedef struct chain {
    int32_t value; /* id of x */
    int32_t kind;
    mc_value *q, *scale, *zero_point;
} chain;

typedef struct maker {
    mc_qplan *p;
    mc_graph *g;
    chain *chains;
    int64_t n, cap;
    mc_value *guard, *c127, *minus1, *z128; /* shared constants, made when first needed */
} maker;

static int32_t emit(maker *m, const char *op, const mc_value *x, const char *what, int32_t n_in, mc_value *const *in,
                    mc_node **out)
{
    mc_str name = {0};
    int32_t st = MCOMP_OK;
    MC_TRY(mc_str_appendf(&name, "%s_%s", x->name, what));
    MC_TRY(mc_q_emit(m->g, op, name.data, n_in, in, out));
done:
    mc_str_free(&name);
    return st;
}

static int32_t shared_consts(maker *m)
{
    const int64_t minus1 = -1;
    int32_t st = MCOMP_OK;
    if (m->guard) return MCOMP_OK;
    MC_TRY(mc_q_const_f32(m->g, "quant_row_guard", 1e-30f, &m->guard));
    MC_TRY(mc_q_const_f32(m->g, "quant_127", 127.0f, &m->c127));
    MC_TRY(mc_q_const_int(m->g, "quant_128", MCOMP_U8, 128, &m->z128));
    MC_TRY(mc_graph_add_const_i64s(m->g, "quant_last", &minus1, 1, &m->minus1));
done:
    return st;
}

static int32_t token_zero_points(maker *m, mc_value *x, mc_value *scale1, mc_value **out)
{
    const mc_shape one = {.rank = 1, .dim = {1}};
    mc_node *n;
    mc_tensor *t = NULL;
    int32_t st = MCOMP_OK;
    MC_TRY(emit(m, "Shape", x, "rows", 1, &scale1, &n));
    MC_TRY(emit(m, "ConstantOfShape", x, "row_zero_points", 1, n->out, &n));
    MC_TRY(mc_tensor_create(&t, MCOMP_U8, &one));
    *(uint8_t *)t->data = 128;
    st = mc_node_set_tensor(n, "value", t);
    t = NULL;
    *out = n->out[0];
done:
    mc_tensor_destroy(t);
    return st;
}

static int32_t token_chain(maker *m, mc_value *x, int64_t k, chain *c)
{
    const int flat = x->type.rank == 2;
    const int64_t rows_k[2] = {-1, k};
    mc_value *in[3] = {x, NULL, NULL}, *x2 = x;
    mc_node *n, *shape;
    int32_t st = MCOMP_OK;
    MC_TRY(shared_consts(m));
    MC_TRY(emit(m, "Abs", x, "abs", 1, in, &n));
    in[0] = n->out[0];
    in[1] = m->minus1;
    MC_TRY(emit(m, "ReduceMax", x, "row_absmax", 2, in, &n));
    MC_TRY(mc_node_set_i(n, "keepdims", 1));
    in[0] = n->out[0];
    in[1] = m->guard;
    MC_TRY(emit(m, "Max", x, "row_range", 2, in, &n));
    in[0] = n->out[0];
    in[1] = m->c127;
    MC_TRY(emit(m, "Div", x, "row_scale", 2, in, &n));
    c->scale = n->out[0];
    if (!flat) {
        in[0] = x;
        MC_TRY(mc_graph_add_const_i64s(m->g, "quant_rows_shape", rows_k, 2, &in[1]));
        MC_TRY(emit(m, "Reshape", x, "as_rows", 2, in, &n));
        x2 = n->out[0];
    }
    in[0] = c->scale;
    in[1] = m->minus1;
    MC_TRY(emit(m, "Reshape", x, "row_scales", 2, in, &n));
    in[0] = x2;
    in[1] = n->out[0];
    MC_TRY(token_zero_points(m, x, in[1], &in[2]));
    MC_TRY(emit(m, "QuantizeLinear", x, "QuantizeLinear", 3, in, &n));
    MC_TRY(mc_node_set_i(n, "axis", 0));
    c->q = n->out[0];
    if (!flat) {
        in[0] = x;
        MC_TRY(emit(m, "Shape", x, "shape", 1, in, &shape));
        in[0] = c->q;
        in[1] = shape->out[0];
        MC_TRY(emit(m, "Reshape", x, "quantized", 2, in, &n));
        c->q = n->out[0];
    }
    c->zero_point = m->z128;
done:
    return st;
}

static int32_t tensor_chain(maker *m, mc_value *x, chain *c)
{
    mc_node *n = NULL;
    int32_t st = MCOMP_OK;
    MC_TRY(mc_graph_add_node(m->g, "", "DynamicQuantizeLinear", 0, NULL, 1, &x, 3, NULL, &n));
    n->origin = "quantize";
    c->q = n->out[0];
    c->scale = n->out[1];
    c->zero_point = n->out[2];
done:
    return st;
}

static int32_t chain_of(maker *m, mc_value *x, int64_t k, int32_t kind, chain *out)
{
    chain c = {.value = x->id, .kind = kind};
    int32_t st = MCOMP_OK;
    for (int64_t i = 0; i < m->n; i++)
        if (m->chains[i].value == x->id && m->chains[i].kind == kind) {
            *out = m->chains[i];
            return MCOMP_OK;
        }
    MC_TRY(kind == MC_QK_TOKEN ? token_chain(m, x, k, &c) : tensor_chain(m, x, &c));
    MC_TRY(mc_grow(&m->chains, &m->cap, m->n + 1, sizeof *m->chains));
    m->chains[m->n++] = *out = c;
done:
    return st;
}

/* beta * C of a Gemm as the right-hand side of an Add; *out NULL when there is none. */
static int32_t gemm_bias(maker *m, mc_node *n, mc_value **out)
{
    mc_value *c = mc_node_is(n, "Gemm") && n->n_in > 2 ? n->in[2] : NULL;
    const float beta = mc_attr_f(n, "beta", 1.0f);
    mc_value *in[2] = {c, NULL};
    mc_node *mul;
    int32_t st = MCOMP_OK;
    *out = c;
    if (!c || beta == 1.0f) return MCOMP_OK;
    const mc_tensor *t = mc_value_const(c);
    if (t && t->dtype == MCOMP_F32) {
        mc_tensor *s = NULL;
        MC_TRY(mc_tensor_copy(&s, t));
        for (int64_t i = 0; i < mc_tensor_elements(s); i++) ((float *)s->data)[i] *= beta;
        MC_TRY(mc_graph_add_const(m->g, c->name, s, out));
    } else {
        MC_TRY(mc_q_const_f32(m->g, "quant_beta", beta, &in[1]));
        MC_TRY(emit(m, "Mul", c, "beta", 2, in, &mul));
        *out = mul->out[0];
    }
done:
    return st;
}

static int32_t product(maker *m, mc_node *n, const chain *c, mc_qweight *w, mc_value **y)
{
    mc_value *in[3] = {c->q, NULL, c->zero_point}, *ws, *bias;
    mc_node *f;
    int32_t st = MCOMP_OK;
    MC_TRY(mc_q_const_tensor(m->g, n->in[1]->name, "_quantized", &w->q, &in[1]));
    MC_TRY(mc_q_const_tensor(m->g, n->in[1]->name, "_scale", &w->scale, &ws));
    MC_TRY(emit(m, "MatMulInteger", n->out[0], "MatMulInteger", 3, in, &f));
    MC_TRY(emit(m, "Cast", n->out[0], "accumulator", 1, f->out, &f));
    MC_TRY(mc_node_set_i(f, "to", MCOMP_F32));
    if (c->kind == MC_QK_TOKEN) {
        in[0] = f->out[0];
        in[1] = c->scale;
        MC_TRY(emit(m, "Mul", n->out[0], "row_scaled", 2, in, &f));
        in[0] = f->out[0];
        in[1] = ws;
    } else {
        mc_node *scale;
        in[0] = c->scale;
        in[1] = ws;
        MC_TRY(emit(m, "Mul", n->out[0], "scales", 2, in, &scale));
        in[0] = f->out[0];
        in[1] = scale->out[0];
    }
    MC_TRY(emit(m, "Mul", n->out[0], "scaled", 2, in, &f));
    MC_TRY(gemm_bias(m, n, &bias));
    if (bias) {
        in[0] = f->out[0];
        in[1] = bias;
        MC_TRY(emit(m, "Add", n->out[0], "biased", 2, in, &f));
    }
    MC_TRY(mc_node_inherit(f, n, "quantize"));
    *y = f->out[0];
done:
    return st;
}

static int32_t rewrite(maker *m, mc_node *n, int32_t kind)
{
    const mc_tensor *w = mc_value_const(n->in[1]);
    const int32_t axis = mc_q_weight_axis(n), transpose = axis == 0;
    const double alpha = mc_node_is(n, "Gemm") ? (double)mc_attr_f(n, "alpha", 1.0f) : 1.0;
    mc_qweight q = {0};
    chain c;
    mc_value *y;
    int32_t st = MCOMP_OK;
    MC_TRY(chain_of(m, n->in[0], w->shape.dim[1 - axis], kind, &c));
    MC_TRY(mc_qweight_make(&q, w, axis, NULL, alpha, transpose));
    MC_TRY(product(m, n, &c, &q, &y));
    MC_TRY(mc_graph_replace_uses(m->g, n->out[0], y));
    mc_graph_remove_node(m->g, n);
done:
    mc_qweight_free(&q);
    return st;
}

int32_t mc_q_dynamic_apply(mc_qplan *p)
{
    maker m = {.p = p, .g = p->g};
    int32_t st = MCOMP_OK;
    for (int64_t i = 0; i < p->n_nodes; i++) { /* by id: the order array changes under the rewrite */
        mc_node *n = p->g->nodes[i];
        const int32_t kind = p->node[i].kind;
        if (n->dead || (kind != MC_QK_TOKEN && kind != MC_QK_TENSOR)) continue;
        MC_TRY(rewrite(&m, n, kind));
    }
    MC_TRY(mc_graph_sort(p->g));
done:
    mc_free(m.chains);
    return st;
}
