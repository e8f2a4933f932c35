/* Dynamically quantized products (docs/quantization.md, 2 and 3) -> mcomp.QLinear.
 * One scale a token: MatMulInteger of rows quantized by max|x| / 127, cast, times the row scale, times the weight scale.
 * One scale a tensor: DynamicQuantizeLinear, MatMulInteger, cast, times (x scale * weight scale); ONNX Runtime's own form too.
 * Several products may share one quantized input: each finds it again, and the chain dies with its last reader. */
#include "passes/internal.h"

#include <math.h>

typedef struct product {
    mc_node *mm;       /* MatMulInteger */
    mc_node *last;     /* the Mul that ends the chain */
    mc_value *x;       /* f32, as the product reads it */
    mc_value *w_scale; /* constant */
    const char *mode;
    int32_t symmetric; /* the integers are s8 (or u8 around 128) */
} product;

/* Same elements, same last axis: what a row sees is the same. */
static mc_value *peel_rows(mc_value *v)
{
    for (int32_t i = 0; i < 4; i++) {
        const mc_node *n = v->producer;
        const int view = mc_node_is(n, "Reshape") || mc_node_is(n, "Squeeze") || mc_node_is(n, "Unsqueeze") || mc_node_is(n, "Flatten");
        if (!view || mc_dim_at(n->in[0], -1) != mc_dim_at(v, -1) || mc_dim_at(v, -1) < 1) break;
        v = n->in[0];
    }
    return v;
}

/* v without any Reshape: the same elements in the same order. */
static mc_value *peel_all(mc_value *v)
{
    for (int32_t i = 0; i < 8; i++) {
        const mc_node *n = v->producer;
        if (!mc_node_is(n, "Reshape") && !mc_node_is(n, "Squeeze") && !mc_node_is(n, "Unsqueeze") && !mc_node_is(n, "Flatten")) break;
        v = n->in[0];
    }
    return v;
}

/* Reshape and the like around one number a row. */
static mc_value *peel_scale(mc_value *v) { return mc_peel_views(v); }

/* s = max|x| over the last axis / 127, guarded against 0: x, or NULL. */
static mc_value *row_scale_of(mc_value *s)
{
    double c, guard;
    int64_t axes[MC_MAX_RANK];
    int32_t n;
    s = peel_scale(s);
    const mc_node *div = s->producer;
    mc_value *v = NULL;
    if (mc_node_is(div, "Div") && mc_value_scalar(div->in[1], &c) && fabs(c - 127.0) < 1e-3) {
        v = div->in[0];
    } else if (mc_node_is(div, "Mul")) {
        const int32_t i = mc_match_scalar_operand(div, &c);
        if (i >= 0 && fabs(c * 127.0 - 1.0) < 1e-5) v = div->in[1 - i];
    }
    if (!v) return NULL;
    v = peel_scale(v);
    const mc_node *max = mc_made_by(v, "Max");
    if (!max) max = mc_made_by(v, "Clip");
    if (max) {
        const int32_t i = mc_node_is(max, "Max") ? mc_match_scalar_operand(max, &guard) : 1;
        if (i < 0 || (mc_node_is(max, "Clip") && (max->n_in < 2 || !max->in[1] || !mc_value_scalar(max->in[1], &guard) || (max->n_in > 2 && max->in[2]))))
            return NULL;
        if (!(guard >= 0.0) || guard > 1e-6) return NULL; /* only there to keep rows of zeros finite */
        v = peel_scale(max->in[1 - i]);
    }
    const mc_node *r = mc_made_by(v, "ReduceMax"), *abs = r ? mc_made_by(peel_rows(r->in[0]), "Abs") : NULL;
    if (!abs || !mc_reduce_axes(r, axes, &n) || n != 1 || axes[0] != r->in[0]->type.rank - 1) return NULL;
    return peel_rows(abs->in[0]);
}

/* Zero points all `z`, given as a constant or as ConstantOfShape / Expand of one. */
static int zero_points_are(const mc_value *v, double z)
{
    const mc_node *n = v->producer;
    if (v->init) return mc_value_const_is(v, z);
    if (mc_node_is(n, "ConstantOfShape")) {
        const mc_attr *a = mc_node_attr(n, "value");
        return a && a->tensor ? mc_tensor_elements(a->tensor) == 1 && mc_tensor_get_f64(a->tensor, 0) == z : z == 0.0;
    }
    return mc_node_is(n, "Expand") && zero_points_are(n->in[0], z);
}

/* The a operand of MatMulInteger comes from rows quantized by their own maximum. */
static int match_rows(product *p, mc_value **scale)
{
    mc_value *a = p->mm->in[0], *zp = p->mm->n_in > 2 ? p->mm->in[2] : NULL;
    const mc_node *q = mc_made_by(peel_rows(a), "QuantizeLinear");
    if (!q || q->n_in < 2 || !mc_is_f32(q->in[0]) || (a->type.dtype != MCOMP_U8 && a->type.dtype != MCOMP_I8)) return 0;
    const double z = a->type.dtype == MCOMP_U8 ? 128.0 : 0.0;
    if (zp ? !mc_value_const_is(zp, z) : z != 0.0) return 0;
    if (q->n_in > 2 && q->in[2] ? !zero_points_are(q->in[2], z) : z != 0.0) return 0;
    const int32_t rank = q->in[0]->type.rank;
    /* one scale a row: axis 0 of [rows, K], or any form in which the scale broadcasts over the last axis only */
    if (rank < 2 || (q->in[1]->type.rank == 1 && (rank != 2 || mc_axis_of(mc_attr_i(q, "axis", 1), 2) != 0))) return 0;
    if (q->in[1]->type.rank > 1 || mc_attr_i(q, "block_size", 0)) return 0;
    *scale = peel_scale(q->in[1]);
    mc_value *of = row_scale_of(q->in[1]);
    /* same elements, same length of a row: the same rows, however they were reshaped on the way */
    if (!of || peel_all(of) != peel_all(q->in[0]) || mc_dim_at(of, -1) != mc_dim_at(q->in[0], -1)) return 0;
    p->x = of;
    p->mode = "token";
    return 1;
}

static int match_tensor(product *p, mc_value **scale)
{
    const mc_node *q = mc_made_by(mc_peel_views(p->mm->in[0]), "DynamicQuantizeLinear");
    if (!q || p->mm->in[0]->producer != q || p->mm->n_in < 3 || p->mm->in[2] != q->out[2]) return 0;
    p->x = q->in[0];
    p->mode = "tensor";
    *scale = q->out[1];
    return 1;
}

/* Mul after the cast: by the row (or tensor) scale and the weight scale, in one or two steps. */
static int match_scales(product *p, const mc_value *scale)
{
    const mc_node *cast = mc_value_only_user(p->mm->out[0]);
    if (!mc_node_is(cast, "Cast") || !mc_is_f32(cast->out[0])) return 0;
    mc_value *v = cast->out[0];
    int seen = 0;
    for (int32_t step = 0; step < 2 && !(seen && p->w_scale); step++) {
        mc_node *mul = mc_value_only_user(v);
        if (!mc_node_is(mul, "Mul") || mul->in[0] == mul->in[1]) return 0;
        mc_value *f = mul->in[0] == v ? mul->in[1] : mul->in[0];
        const mc_node *both = mc_made_by(f, "Mul");
        if (f->init && !p->w_scale) {
            p->w_scale = f;
        } else if (mc_peel_views(f) == scale && !seen) {
            seen = 1;
        } else if (both && !seen && !p->w_scale) {
            const int32_t i = both->in[0]->init ? 0 : both->in[1]->init ? 1 : -1;
            if (i < 0 || mc_peel_views(both->in[1 - i]) != scale) return 0;
            p->w_scale = both->in[i];
            seen = 1;
        } else {
            return 0;
        }
        p->last = mul;
        v = mul->out[0];
    }
    return seen && p->w_scale && mc_types_equal(&p->last->out[0]->type, &cast->out[0]->type);
}

static int match(mc_node *n, product *p)
{
    mc_value *scale = NULL;
    memset(p, 0, sizeof *p);
    p->mm = n;
    if (!mc_node_is(n, "MatMulInteger") || n->n_in < 2 || !n->in[1]->init || n->in[1]->type.rank != 2 || n->in[0]->type.rank < 2) return 0;
    if (!match_rows(p, &scale) && !match_tensor(p, &scale)) return 0;
    if (!mc_is_f32(p->x) || p->x->type.rank < 1 || mc_dim_at(p->x, -1) != mc_dim_at(n->in[0], -1)) return 0;
    return match_scales(p, scale);
}

static int scales_are_good(const mc_value *v)
{
    const mc_tensor *t = mc_value_const(v);
    const int64_t n = t && t->dtype == MCOMP_F32 ? mc_tensor_elements(t) : 0;
    for (int64_t i = 0; i < n; i++)
        if (!(((const float *)t->data)[i] > 0.0f) || isinf(((const float *)t->data)[i])) return 0;
    return n > 0;
}

static int32_t replace(mc_graph *g, const product *p)
{
    int32_t st = MCOMP_OK;
    const mc_node *mm = p->mm;
    const int64_t channels = mc_dim_at(mm->in[1], 1);
    const mc_value *y = p->last->out[0];
    mc_value *in[3] = {p->x, NULL, NULL}, *out;
    mc_node *l;
    if (!scales_are_good(p->w_scale) || channels < 1) return MCOMP_OK;
    const mc_tensor *ws = p->w_scale->init;
    if (mc_tensor_elements(ws) != 1 && !mc_const_along(p->w_scale, y->type.rank, y->type.rank - 1, channels)) return MCOMP_OK;
    mc_type row = p->x->type; /* the product of x as it is, in case x was reshaped on the way in */
    row.dim[row.rank - 1] = channels;
    row.dtype = MCOMP_F32;
    MC_TRY(mc_symmetric_s8(g, mm->in[1], mm->n_in > 3 ? mm->in[3] : NULL, &in[1]));
    if (!in[1]) return MCOMP_OK;
    MC_TRY(mc_const_vector(g, p->w_scale, y->type.rank, channels, 1.0, &in[2]));
    if (!mc_dims_equal(&row, &y->type)) { /* then it reads x in the form the chain had */
        mc_type like = y->type;
        like.dim[like.rank - 1] = mc_dim_at(p->x, -1);
        MC_TRY(mc_reshaped(g, "dynamic", p->x, &like, &in[0]));
        if (!in[0]) return MCOMP_OK;
    }
    MC_TRY(mc_rewrite_begin(g, "mcomp", "QLinear", "dynamic", mm, 3, in, &l));
    MC_TRY(mc_node_set_s(l, "mode", p->mode));
    MC_TRY(mc_inherit_cone(l, p->last->out[0], in, 1));
    MC_TRY(mc_rewrite_end(g, l, mm, NULL));
    out = l->out[0];
    MC_TRY(mc_node_inherit(l, p->last, "dynamic"));
    st = mc_graph_replace_uses(g, p->last->out[0], out);
done:
    return st;
}

int32_t mc_pass_dynamic(mc_graph *g, const mc_pass_options *o)
{
    int32_t st = MCOMP_OK;
    product p;
    (void)o;
    for (int64_t i = 0; i < g->n_order; i++)
        if (!g->order[i]->dead && !mc_is_unused(g->order[i]) && match(g->order[i], &p)) MC_TRY(replace(g, &p));
done:
    return st;
}
