/* What gradient functions call: emitting nodes with a sticky status, and the shape work that broadcasting makes necessary. */
#include "ops/grad.h"

#include <stdarg.h>
#include <stdio.h>

#include "ops/internal.h"

int32_t mc_grad_fail(mc_op_grad *c, int32_t code, const char *fmt, ...)
{
    char text[256];
    va_list ap;
    if (c->status != MCOMP_OK) return c->status;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    c->status = mc_fail(code, c->node->name, "gradient of %s: %s", c->node->op, text);
    return c->status;
}

mc_node *mc_grad_begin(mc_op_grad *c, const char *op, int32_t n_in, mc_value *const *in, int32_t n_out)
{
    static const char ours[] = "mcomp.";
    const int own = strncmp(op, ours, sizeof ours - 1) == 0;
    mc_node *n = NULL;
    mc_str name = {0};
    if (c->status != MCOMP_OK) return NULL;
    if (!in[0]) {
        mc_grad_fail(c, MCOMP_INTERNAL, "%s without its first input", op);
        return NULL;
    }
    c->status = mc_str_appendf(&name, "%s.grad", c->node->name);
    if (c->status == MCOMP_OK)
        c->status = mc_graph_add_node(c->g, own ? "mcomp" : "", own ? op + sizeof ours - 1 : op, 0, name.data, n_in, in, n_out, NULL, &n);
    mc_str_free(&name);
    if (c->status != MCOMP_OK) return NULL;
    n->origin = "gradient";
    if (!n->desc) {
        mc_grad_fail(c, MCOMP_INTERNAL, "%s has no descriptor", op);
        return NULL;
    }
    return n;
}

mc_value *mc_grad_end(mc_op_grad *c, mc_node *n)
{
    if (c->status == MCOMP_OK) c->status = mc_infer_node(c->g, n);
    return c->status == MCOMP_OK ? n->out[0] : NULL;
}

static mc_value *simple(mc_op_grad *c, const char *op, int32_t n_in, mc_value *const *in)
{
    mc_node *n = mc_grad_begin(c, op, n_in, in, 1);
    return n ? mc_grad_end(c, n) : NULL;
}

mc_value *mc_grad_1(mc_op_grad *c, const char *op, mc_value *a) { return simple(c, op, 1, (mc_value *[]){a}); }
mc_value *mc_grad_2(mc_op_grad *c, const char *op, mc_value *a, mc_value *b) { return simple(c, op, 2, (mc_value *[]){a, b}); }

mc_value *mc_grad_3(mc_op_grad *c, const char *op, mc_value *a, mc_value *b, mc_value *d)
{
    return simple(c, op, 3, (mc_value *[]){a, b, d});
}

mc_value *mc_grad_scalar(mc_op_grad *c, double v, const mc_value *like)
{
    mc_tensor *t;
    mc_value *out = NULL;
    const mc_shape s = {.rank = 0};
    const int32_t dtype = like && mc_dtype_is_float(like->type.dtype) ? like->type.dtype : MCOMP_F32;
    if (c->status != MCOMP_OK) return NULL;
    c->status = mc_tensor_create(&t, dtype, &s);
    if (c->status != MCOMP_OK) return NULL;
    mc_tensor_set_f64(t, 0, v);
    c->status = mc_graph_add_const(c->g, NULL, t, &out);
    return out;
}

mc_value *mc_grad_scale(mc_op_grad *c, mc_value *a, double v)
{
    return v == 1.0 || !a ? a : mc_grad_2(c, "Mul", a, mc_grad_scalar(c, v, a));
}

mc_value *mc_grad_ints(mc_op_grad *c, int64_t n, const int64_t *v)
{
    mc_value *out = NULL;
    if (c->status == MCOMP_OK) c->status = mc_graph_add_const_i64s(c->g, NULL, v, n, &out);
    return out;
}

mc_value *mc_grad_sum_to(mc_op_grad *c, mc_value *d, mc_value *x)
{
    if (!d || c->status != MCOMP_OK) return NULL;
    return mc_dims_equal(&d->type, &x->type) ? d : mc_grad_2(c, "mcomp.SumTo", d, x);
}

mc_value *mc_grad_reshape_like(mc_op_grad *c, mc_value *d, mc_value *x)
{
    if (!d || c->status != MCOMP_OK) return NULL;
    return mc_dims_equal(&d->type, &x->type) ? d : mc_grad_2(c, "Reshape", d, mc_grad_1(c, "Shape", x));
}

mc_value *mc_grad_expand_like(mc_op_grad *c, mc_value *d, mc_value *x)
{
    if (!d || c->status != MCOMP_OK) return NULL;
    return mc_dims_equal(&d->type, &x->type) ? d : mc_grad_2(c, "Expand", d, mc_grad_1(c, "Shape", x));
}

mc_value *mc_grad_zeros_like(mc_op_grad *c, mc_value *x)
{
    return c->status == MCOMP_OK ? mc_grad_2(c, "Expand", mc_grad_scalar(c, 0.0, x), mc_grad_1(c, "Shape", x)) : NULL;
}

int32_t mc_grad_rank(mc_op_grad *c, const mc_value *v)
{
    if (v->type.rank < 0) mc_grad_fail(c, MCOMP_NO_GRADIENT, "the rank of \"%s\" is not known", v->name);
    return v->type.rank;
}

mc_value *mc_grad_swap(mc_op_grad *c, mc_value *a)
{
    int64_t perm[MC_MAX_RANK];
    if (!a || c->status != MCOMP_OK || mc_grad_rank(c, a) < 2) return a;
    for (int32_t i = 0; i < a->type.rank; i++) perm[i] = i;
    perm[a->type.rank - 2] = a->type.rank - 1;
    perm[a->type.rank - 1] = a->type.rank - 2;
    mc_node *n = mc_grad_begin(c, "Transpose", 1, &a, 1);
    if (!n) return NULL;
    c->status = mc_node_set_ints(n, "perm", perm, a->type.rank);
    return mc_grad_end(c, n);
}

mc_value *mc_grad_mask(mc_op_grad *c, mc_value *cond, const mc_value *like)
{
    mc_node *n = mc_grad_begin(c, "Cast", 1, &cond, 1);
    if (!n) return NULL;
    c->status = mc_node_set_i(n, "to", like->type.dtype);
    return mc_grad_end(c, n);
}
