/* ArgMax, ArgMin and TopK along one axis. NaN counts as the largest number; of equal elements the first one wins (ArgMax with
 * select_last_index: the last one). */
#include "ops/internal.h"

#include <math.h>
#include <stdlib.h>

typedef struct item {
    double f; /* floats */
    int64_t i; /* integers */
    int64_t at;
} item;

static item load(const mc_tensor *x, int64_t off, int64_t at)
{
    item v = {.at = at};
    if (mc_dtype_is_float(x->dtype)) v.f = mc_tensor_get_f64(x, off);
    else v.i = x->dtype == MCOMP_U64 ? (int64_t)((uint64_t)mc_tensor_get_i64(x, off) ^ (uint64_t)1 << 63) : mc_tensor_get_i64(x, off);
    return v;
}

/* Order of values only: -1, 0, 1. */
static int order(const item *a, const item *b)
{
    if (a->i != b->i) return a->i < b->i ? -1 : 1;
    if (isnan(a->f) || isnan(b->f)) return (isnan(a->f) != 0) - (isnan(b->f) != 0);
    return (a->f > b->f) - (a->f < b->f);
}

/* The axis, and the sizes before and behind it. */
static int read_axis(const mc_op_run *r, int64_t otherwise, int64_t *dim, int64_t *outer, int64_t *inner)
{
    const mc_shape *s = &r->in[0]->shape;
    int64_t axis = mc_attr_i(r->node, "axis", otherwise);
    if (axis < 0) axis += s->rank;
    if (axis < 0 || axis >= s->rank) return -1;
    *outer = *inner = 1;
    for (int32_t i = 0; i < axis; i++) *outer *= s->dim[i];
    for (int32_t i = (int32_t)axis + 1; i < s->rank; i++) *inner *= s->dim[i];
    *dim = s->dim[axis];
    return (int)axis;
}

static int32_t infer_arg(mc_infer *c)
{
    int32_t st = MCOMP_OK, axis;
    const mc_type *x = c->in[0];
    MC_TRY(mc_infer_check(c, 0, MC_CLASS_NUMBER));
    c->out[0].dtype = MCOMP_I64;
    if (x->rank < 0) return MCOMP_OK;
    MC_TRY(mc_infer_axis(c, mc_attr_i(c->node, "axis", 0), x->rank, &axis));
    if (x->dim[axis] == 0) return mc_infer_fail(c, MCOMP_SHAPE, "axis %d is empty", axis);
    c->out[0].rank = 0;
    for (int32_t i = 0; i < x->rank; i++) {
        if (i != axis) c->out[0].dim[c->out[0].rank++] = x->dim[i];
        else if (mc_attr_i(c->node, "keepdims", 1)) c->out[0].dim[c->out[0].rank++] = 1;
    }
done:
    return st;
}

static int32_t forward_arg(const mc_op_run *r, int sign)
{
    const mc_tensor *x = r->in[0];
    int64_t dim, outer, inner, *y = r->out[0]->data;
    const int last = mc_attr_i(r->node, "select_last_index", 0) != 0;
    if (read_axis(r, 0, &dim, &outer, &inner) < 0) return mc_op_fail(r, MCOMP_FORMAT, "axis is out of range");
    if (dim == 0 || outer * inner != mc_tensor_elements(r->out[0])) return mc_op_fail(r, MCOMP_SHAPE, "the result has another size");
    for (int64_t o = 0; o < outer; o++)
        for (int64_t k = 0; k < inner; k++) {
            item best = load(x, o * dim * inner + k, 0);
            for (int64_t d = 1; d < dim; d++) {
                const item v = load(x, (o * dim + d) * inner + k, d);
                int c = order(&v, &best) * sign;
                if (sign < 0 && isnan(v.f) && !isnan(best.f)) c = 1; /* as in numpy, NaN is also the smallest */
                if (sign < 0 && isnan(best.f) && !isnan(v.f)) c = -1;
                if (c > 0 || (c == 0 && last)) best = v;
            }
            y[o * inner + k] = best.at;
        }
    return MCOMP_OK;
}

static int32_t infer_topk(mc_infer *c)
{
    int32_t st = MCOMP_OK, axis, n;
    int64_t k;
    const mc_type *x = c->in[0];
    MC_TRY(mc_infer_check(c, 0, MC_CLASS_NUMBER));
    for (int32_t i = 0; i < c->n_out; i++) {
        c->out[i] = *x;
        if (i == 1) c->out[i].dtype = MCOMP_I64;
    }
    if (x->rank < 0) return MCOMP_OK;
    MC_TRY(mc_infer_axis(c, mc_attr_i(c->node, "axis", -1), x->rank, &axis));
    const int known = mc_infer_ints(c, 1, &k, 1, &n) && n == 1;
    if (!known && c->cst[1]) return mc_infer_fail(c, MCOMP_SHAPE, "k must be one integer");
    if (known && (k < 0 || (x->dim[axis] >= 0 && k > x->dim[axis])))
        return mc_infer_fail(c, MCOMP_RANGE, "k %lld of %lld elements", (long long)k, (long long)x->dim[axis]);
    if (!known) k = mc_infer_symbol(c);
    for (int32_t i = 0; i < c->n_out; i++) c->out[i].dim[axis] = k;
done:
    return st;
}

static int by_largest(const void *a, const void *b)
{
    const item *x = a, *y = b;
    const int c = order(y, x);
    return c ? c : (x->at > y->at) - (x->at < y->at);
}

static int by_smallest(const void *a, const void *b)
{
    const item *x = a, *y = b;
    const int c = order(x, y);
    return c ? c : (x->at > y->at) - (x->at < y->at);
}

static int32_t forward_topk(const mc_op_run *r)
{
    const mc_tensor *x = r->in[0];
    const mc_tensor *out = r->out[0] ? r->out[0] : r->out[1];
    int64_t dim, outer, inner;
    const int axis = read_axis(r, -1, &dim, &outer, &inner);
    if (axis < 0 || mc_tensor_elements(r->in[1]) != 1) return mc_op_fail(r, MCOMP_FORMAT, "axis or k is wrong");
    const int64_t k = mc_tensor_get_i64(r->in[1], 0);
    if (k < 0 || k > dim) return mc_op_fail(r, MCOMP_RANGE, "k %lld of %lld elements", (long long)k, (long long)dim);
    if (out->shape.rank != x->shape.rank || out->shape.dim[axis] != k || mc_tensor_elements(out) != outer * inner * k)
        return mc_op_fail(r, MCOMP_SHAPE, "the result has another size");
    if (mc_tensor_elements(out) == 0) return MCOMP_OK;
    item *v = mc_calloc((size_t)dim, sizeof *v);
    if (!v) return MCOMP_NO_MEMORY;
    for (int64_t o = 0; o < outer; o++)
        for (int64_t i = 0; i < inner; i++) {
            for (int64_t d = 0; d < dim; d++) v[d] = load(x, (o * dim + d) * inner + i, d);
            qsort(v, (size_t)dim, sizeof *v, mc_attr_i(r->node, "largest", 1) ? by_largest : by_smallest);
            for (int64_t d = 0; d < k; d++) {
                const int64_t to = (o * k + d) * inner + i;
                if (r->out[0]) mc_move_one(r->out[0], to, x, (o * dim + v[d].at) * inner + i);
                if (r->n_out > 1 && r->out[1]) ((int64_t *)r->out[1]->data)[to] = v[d].at;
            }
        }
    mc_free(v);
    return MCOMP_OK;
}

static int32_t forward_max(const mc_op_run *r) { return forward_arg(r, 1); }
static int32_t forward_min(const mc_op_run *r) { return forward_arg(r, -1); }

const mc_op mc_op_ArgMax = {.name = "ArgMax", .domain = "", .version = 13, .since = 12, .min_in = 1, .max_in = 1, .min_out = 1,
                            .max_out = 1, .traits = 0, .quant = MC_Q_NONE, .infer = infer_arg, .forward = forward_max};
const mc_op mc_op_ArgMin = {.name = "ArgMin", .domain = "", .version = 13, .since = 12, .min_in = 1, .max_in = 1, .min_out = 1,
                            .max_out = 1, .traits = 0, .quant = MC_Q_NONE, .infer = infer_arg, .forward = forward_min};
const mc_op mc_op_TopK = {.name = "TopK", .domain = "", .version = 11, .since = 11, .min_in = 2, .max_in = 2, .min_out = 1,
                          .max_out = 2, .traits = MC_OP_VALUE_SHAPED, .quant = MC_Q_NONE, .infer = infer_topk,
                          .forward = forward_topk};
