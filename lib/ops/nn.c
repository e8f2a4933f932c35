/* Checks and conversions shared by the neural-network operators. */
#include "ops/nn.h"

#include <math.h>

mc_type mc_type_channels_first(const mc_type *t)
{
    mc_type r = *t;
    if (t->rank < 2) return r;
    r.dim[1] = t->dim[t->rank - 1];
    for (int32_t i = 2; i < t->rank; i++) r.dim[i] = t->dim[i - 1];
    return r;
}

int32_t mc_nn_need_float(const mc_infer *c, int32_t i) { return mc_infer_check(c, i, MC_CLASS_FLOAT); }

int32_t mc_nn_need_dtype(const mc_infer *c, int32_t i, int32_t dtype)
{
    if (!mc_has(c, i) || c->in[i]->dtype == MCOMP_UNDEFINED || c->in[i]->dtype == dtype) return MCOMP_OK;
    return mc_infer_fail(c, MCOMP_DTYPE, "input %d is %s, not %s", i, mc_dtype_name(c->in[i]->dtype), mc_dtype_name(dtype));
}

int32_t mc_nn_need_byte(const mc_infer *c, int32_t i)
{
    if (!mc_has(c, i) || c->in[i]->dtype == MCOMP_UNDEFINED || c->in[i]->dtype == MCOMP_U8 || c->in[i]->dtype == MCOMP_I8)
        return MCOMP_OK;
    return mc_infer_fail(c, MCOMP_DTYPE, "input %d is %s, not uint8 or int8", i, mc_dtype_name(c->in[i]->dtype));
}

int32_t mc_nn_need_rank(const mc_infer *c, int32_t i, int32_t rank)
{
    if (!mc_has(c, i) || c->in[i]->rank < 0 || c->in[i]->rank == rank) return MCOMP_OK;
    return mc_infer_fail(c, MCOMP_SHAPE, "input %d has rank %d, not %d", i, c->in[i]->rank, rank);
}

int32_t mc_nn_need_dim(const mc_infer *c, int32_t i, int32_t d, int64_t want, const char *what)
{
    if (!mc_has(c, i) || c->in[i]->rank < 0) return MCOMP_OK;
    if (d < 0 || d >= c->in[i]->rank) return mc_infer_fail(c, MCOMP_SHAPE, "input %d has rank %d: no axis %d (%s)", i, c->in[i]->rank, d, what);
    const int64_t got = c->in[i]->dim[d];
    if (got < 0 || want < 0 || got == want) return MCOMP_OK;
    return mc_infer_fail(c, MCOMP_SHAPE, "axis %d of input %d is %lld, not %lld (%s)", d, i, (long long)got, (long long)want, what);
}

int32_t mc_nn_need_vector(const mc_infer *c, int32_t i, int64_t want, const char *what)
{
    const int32_t st = mc_nn_need_rank(c, i, 1);
    return st != MCOMP_OK ? st : mc_nn_need_dim(c, i, 0, want, what);
}

int32_t mc_nn_flag(const mc_infer *c, const char *name, int32_t otherwise, int32_t *out)
{
    const int64_t v = mc_attr_i(c->node, name, otherwise);
    if (v != 0 && v != 1) return mc_infer_fail(c, MCOMP_FORMAT, "%s is %lld; it must be 0 or 1", name, (long long)v);
    *out = (int32_t)v;
    return MCOMP_OK;
}

/* Of the tensor that an operator reads, for messages. */
static const char *name_of(const mc_infer *c, int32_t i, char *buf, size_t cap)
{
    const mc_value *v = c->node && i < c->node->n_in ? c->node->in[i] : NULL;
    return mc_escape(buf, cap, v && v->name ? v->name : "");
}

int32_t mc_nn_need_finite(const mc_infer *c, int32_t i, const char *what)
{
    char name[128];
    const mc_tensor *t = mc_cst(c, i);
    const int64_t n = t ? mc_tensor_elements(t) : 0;
    for (int64_t k = 0; k < n; k++) {
        const double v = mc_nn_at(t, k);
        if (isnan(v) || isinf(v))
            return mc_infer_fail(c, MCOMP_RANGE, "%s \"%s\" [%lld] is %g; it must be finite", what, name_of(c, i, name, sizeof name), (long long)k, v);
    }
    return MCOMP_OK;
}

int32_t mc_nn_need_positive(const mc_infer *c, int32_t i, const char *what)
{
    char name[128];
    const mc_tensor *t = mc_cst(c, i);
    const int64_t n = t ? mc_tensor_elements(t) : 0;
    for (int64_t k = 0; k < n; k++) {
        const double v = mc_nn_at(t, k);
        if (!(v > 0.0) || isinf(v))
            return mc_infer_fail(c, MCOMP_RANGE, "%s \"%s\" [%lld] is %g; it must be positive and finite", what, name_of(c, i, name, sizeof name), (long long)k, v);
    }
    return MCOMP_OK;
}

int32_t mc_nn_broadcast_dim(mc_infer *c, int64_t a, int64_t b, int64_t *out)
{
    if (a == 1 || (a == b && a != MC_DIM_ANONYMOUS)) *out = b;
    else if (b == 1) *out = a;
    else if (a >= 0 && b >= 0) return mc_infer_fail(c, MCOMP_SHAPE, "sizes %lld and %lld do not broadcast", (long long)a, (long long)b);
    else *out = a >= 0 ? a : b >= 0 ? b : mc_infer_join(c, a, b);
    return MCOMP_OK;
}

int32_t mc_nn_recheck(const mc_op_run *r, int32_t (*infer)(mc_infer *), int values)
{
    int32_t st = MCOMP_OK;
    struct {
        mc_infer c;
        mc_type types[MC_OP_MAX_IO];
    } *w = mc_calloc(1, sizeof *w);
    if (!w) return MCOMP_NO_MEMORY;
    w->c.node = r->node;
    w->c.n_in = r->n_in;
    w->c.n_out = r->n_out;
    for (int32_t i = 0; i < r->n_in; i++) {
        if (!r->in[i]) continue;
        w->types[i] = mc_type_of(r->in[i]);
        w->c.in[i] = &w->types[i];
        w->c.cst[i] = values ? r->in[i] : NULL;
    }
    for (int32_t k = 0; k < r->n_out; k++) w->c.out[k].rank = -1;
    MC_TRY(infer(&w->c));
    for (int32_t k = 0; k < r->n_out; k++) {
        const mc_type *t = &w->c.out[k];
        if (!r->out[k] && k < r->node->desc->min_out)
            MC_FAIL(MCOMP_FORMAT, r->node->name, "%s: output %d must not be omitted", r->node->op, k);
        if (!r->out[k]) continue;
        int same = t->rank == r->out[k]->shape.rank && t->dtype == r->out[k]->dtype;
        for (int32_t d = 0; same && d < t->rank; d++) same = t->dim[d] == r->out[k]->shape.dim[d];
        if (!same) MC_FAIL(MCOMP_SHAPE, r->node->name, "%s: output %d has another type than its inputs give", r->node->op, k);
    }
done:
    mc_free(w);
    return st;
}

int64_t mc_nn_extent(const mc_shape *s, int32_t from, int32_t to)
{
    int64_t n = 1;
    for (int32_t i = from; i < to; i++) n *= s->dim[i];
    return n;
}

double mc_nn_extent_f(const mc_type *t, int32_t from, int32_t to)
{
    double n = 1.0;
    for (int32_t i = from; i < to; i++) n *= t->dim[i] > 0 ? (double)t->dim[i] : 0.0;
    return n;
}

double mc_nn_dot(const mc_tensor *a, int64_t ia, int64_t sa, const mc_tensor *b, int64_t ib, int64_t sb, int64_t n)
{
    double sum = 0.0;
    if (a->dtype == MCOMP_F32 && b->dtype == MCOMP_F32) {
        const float *x = (const float *)a->data + ia, *y = (const float *)b->data + ib;
        for (int64_t k = 0; k < n; k++) sum += (double)x[k * sa] * (double)y[k * sb];
    } else {
        for (int64_t k = 0; k < n; k++) sum += mc_nn_at(a, ia + k * sa) * mc_nn_at(b, ib + k * sb);
    }
    return sum;
}

int64_t mc_nn_broadcast_at(const mc_shape *s, const int64_t *stride, int64_t i)
{
    int64_t at = 0;
    for (int32_t d = s->rank - 1; d >= 0; i /= s->dim[d--]) at += i % s->dim[d] * stride[d];
    return at;
}

int32_t mc_nn_broadcast_batch(mc_infer *c, const mc_type *a, const mc_type *b, mc_type *y)
{
    int32_t st = MCOMP_OK;
    y->rank = a->rank > b->rank ? a->rank : b->rank;
    for (int32_t i = 0; i < y->rank - 2; i++) {
        const int32_t ia = i + a->rank - y->rank, ib = i + b->rank - y->rank;
        MC_TRY(mc_nn_broadcast_dim(c, ia < 0 ? 1 : a->dim[ia], ib < 0 ? 1 : b->dim[ib], &y->dim[i]));
    }
done:
    return st;
}

int32_t mc_nn_batches_open(mc_nn_batches *n, const mc_shape *a, const mc_shape *b)
{
    int32_t st = MCOMP_OK;
    const mc_shape sa = mc_shape_make(a->rank - 2, a->dim), sb = mc_shape_make(b->rank - 2, b->dim);
    MC_TRY(mc_shape_broadcast(&sa, &sb, &n->shape));
    MC_TRY(mc_shape_elements(&n->shape, &n->count));
    mc_shape_broadcast_strides(&sa, &n->shape, n->a);
    mc_shape_broadcast_strides(&sb, &n->shape, n->b);
done:
    return st;
}

void mc_nn_moments(const mc_tensor *x, int64_t from, int64_t n, int centre, double eps, double *mean, double *inv)
{
    double sum = 0.0, square = 0.0;
    for (int64_t i = from; centre && i < from + n; i++) sum += mc_nn_at(x, i);
    *mean = centre ? sum / (double)n : 0.0;
    for (int64_t i = from; i < from + n; i++) square += (mc_nn_at(x, i) - *mean) * (mc_nn_at(x, i) - *mean);
    *inv = 1.0 / sqrt(square / (double)n + eps);
}

double *mc_nn_load(const mc_tensor *t)
{
    const int64_t n = mc_tensor_elements(t);
    double *v = mc_calloc((size_t)n + 1, sizeof *v);
    for (int64_t i = 0; v && i < n; i++) v[i] = mc_nn_at(t, i);
    return v;
}

void mc_nn_store(mc_tensor *t, const double *v)
{
    const int64_t n = mc_tensor_elements(t);
    for (int64_t i = 0; i < n; i++) mc_nn_put(t, i, v[i]);
}
