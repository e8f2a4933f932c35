/* Gather, GatherElements, GatherND. Indices are checked before anything is read: MCOMP_RANGE. */
#include "ops/grad.h"
#include "ops/internal.h"

/* Negative indices count from the end; -1 when out of range. */
static int64_t wrap(int64_t i, int64_t dim)
{
    if (i < 0) i += dim;
    return i >= 0 && i < dim ? i : -1;
}

static int32_t check_indices(const mc_infer *c)
{
    const int32_t d = c->in[1]->dtype;
    if (d != MCOMP_UNDEFINED && d != MCOMP_I64 && d != MCOMP_I32)
        return mc_infer_fail(c, MCOMP_DTYPE, "indices must be int32 or int64, not %s", mc_dtype_name(d));
    return MCOMP_OK;
}

static int32_t infer_gather(mc_infer *c)
{
    int32_t st = MCOMP_OK, axis, n;
    int64_t ids[MC_SHAPE_DATA];
    const mc_type *x = c->in[0], *ix = c->in[1];
    mc_type *y = &c->out[0];
    y->dtype = x->dtype;
    MC_TRY(check_indices(c));
    if (x->rank < 0 || ix->rank < 0) return MCOMP_OK;
    MC_TRY(mc_infer_axis(c, mc_attr_i(c->node, "axis", 0), x->rank, &axis));
    MC_TRY(mc_infer_set_rank(c, 0, x->rank - 1 + ix->rank));
    for (int32_t i = 0; i < axis; i++) y->dim[i] = x->dim[i];
    for (int32_t i = 0; i < ix->rank; i++) y->dim[axis + i] = ix->dim[i];
    for (int32_t i = axis + 1; i < x->rank; i++) y->dim[ix->rank + i - 1] = x->dim[i];
    if (x->rank != 1 || !c->data[0] || !c->out_data[0] || !mc_infer_ints(c, 1, ids, MC_SHAPE_DATA, &n)) return MCOMP_OK;
    for (int32_t i = 0; i < n; i++) {
        const int64_t k = wrap(ids[i], c->data[0]->n);
        c->out_data[0]->v[i] = k < 0 ? MC_DATA_UNKNOWN : c->data[0]->v[k];
    }
    c->out_data[0]->n = n;
done:
    return st;
}

static int32_t forward_gather(const mc_op_run *r)
{
    const mc_tensor *x = r->in[0], *ix = r->in[1];
    mc_tensor *y = r->out[0];
    mc_shape want = {0};
    int64_t axis = mc_attr_i(r->node, "axis", 0), outer = 1, block = 1;
    if (axis < 0) axis += x->shape.rank;
    if (axis < 0 || axis >= x->shape.rank || x->shape.rank - 1 + ix->shape.rank > MC_MAX_RANK)
        return mc_op_fail(r, MCOMP_FORMAT, "axis is out of range");
    for (int32_t i = 0; i < axis; i++) outer *= want.dim[want.rank++] = x->shape.dim[i];
    for (int32_t i = 0; i < ix->shape.rank; i++) want.dim[want.rank++] = ix->shape.dim[i];
    for (int32_t i = (int32_t)axis + 1; i < x->shape.rank; i++) block *= want.dim[want.rank++] = x->shape.dim[i];
    const int32_t st = mc_run_expect(r, 0, &want);
    if (st != MCOMP_OK) return st;
    const int64_t n = mc_tensor_elements(ix), dim = x->shape.dim[axis];
    const int32_t bits = mc_dtype_bits(x->dtype);
    const size_t bytes = (size_t)(block * bits / 8);
    for (int64_t i = 0; i < n; i++)
        if (wrap(mc_tensor_get_i64(ix, i), dim) < 0)
            return mc_op_fail(r, MCOMP_RANGE, "index %lld is out of range for axis %lld of size %lld",
                              (long long)mc_tensor_get_i64(ix, i), (long long)axis, (long long)dim);
    for (int64_t o = 0; o < outer; o++) {
        for (int64_t i = 0; i < n; i++) {
            const int64_t from = (o * dim + wrap(mc_tensor_get_i64(ix, i), dim)) * block, to = (o * n + i) * block;
            if (bits >= 8 && bytes) memcpy((uint8_t *)y->data + to * (bits / 8), (const uint8_t *)x->data + from * (bits / 8), bytes);
            for (int64_t k = 0; bits < 8 && k < block; k++) mc_move_one(y, to + k, x, from + k);
        }
    }
    return MCOMP_OK;
}

static int32_t infer_elements(mc_infer *c)
{
    int32_t st = MCOMP_OK, axis;
    const mc_type *x = c->in[0], *ix = c->in[1];
    MC_TRY(check_indices(c));
    if (x->rank >= 0 && ix->rank >= 0 && x->rank != ix->rank)
        return mc_infer_fail(c, MCOMP_SHAPE, "indices of rank %d for data of rank %d", ix->rank, x->rank);
    if (x->rank >= 0) MC_TRY(mc_infer_axis(c, mc_attr_i(c->node, "axis", 0), x->rank, &axis));
    c->out[0] = *ix;
    c->out[0].dtype = x->dtype;
done:
    return st;
}

static int32_t forward_elements(const mc_op_run *r)
{
    const mc_tensor *x = r->in[0], *ix = r->in[1];
    int64_t at[MC_MAX_RANK] = {0}, stride[MC_MAX_RANK];
    int64_t axis = mc_attr_i(r->node, "axis", 0);
    const int32_t rank = x->shape.rank;
    if (axis < 0) axis += rank;
    const int32_t st = mc_run_expect(r, 0, &ix->shape);
    if (st != MCOMP_OK) return st;
    for (int32_t a = 0; a < rank; a++)
        if (a != axis && ix->shape.dim[a] > x->shape.dim[a]) return mc_op_fail(r, MCOMP_SHAPE, "indices are larger than data on axis %d", a);
    mc_contiguous_strides(&x->shape, stride);
    const int64_t n = mc_tensor_elements(ix);
    for (int64_t i = 0; i < n; i++) {
        const int64_t k = wrap(mc_tensor_get_i64(ix, i), x->shape.dim[axis]);
        int64_t off = k * stride[axis];
        if (k < 0) return mc_op_fail(r, MCOMP_RANGE, "index %lld is out of range", (long long)mc_tensor_get_i64(ix, i));
        for (int32_t a = 0; a < rank; a++) off += a == axis ? 0 : at[a] * stride[a];
        mc_move_one(r->out[0], i, x, off);
        for (int32_t a = rank - 1; a >= 0 && ++at[a] == ix->shape.dim[a]; a--) at[a] = 0;
    }
    return MCOMP_OK;
}

static int32_t infer_nd(mc_infer *c)
{
    const mc_type *x = c->in[0], *ix = c->in[1];
    const int64_t batch = mc_attr_i(c->node, "batch_dims", 0);
    int32_t st = MCOMP_OK;
    c->out[0].dtype = x->dtype;
    MC_TRY(check_indices(c));
    if (x->rank < 0 || ix->rank < 0) return MCOMP_OK;
    if (ix->rank < 1 || batch < 0 || batch >= ix->rank || batch >= x->rank)
        return mc_infer_fail(c, MCOMP_FORMAT, "batch_dims %lld does not fit ranks %d and %d", (long long)batch, x->rank, ix->rank);
    const int64_t depth = ix->dim[ix->rank - 1];
    if (depth < 0) return MCOMP_OK;
    if (depth < 1 || depth > x->rank - batch) return mc_infer_fail(c, MCOMP_SHAPE, "tuples of %lld indices", (long long)depth);
    MC_TRY(mc_infer_set_rank(c, 0, ix->rank - 1 + x->rank - batch - depth));
    for (int32_t i = 0; i < ix->rank - 1; i++) c->out[0].dim[i] = ix->dim[i];
    for (int64_t i = batch + depth; i < x->rank; i++) c->out[0].dim[ix->rank - 1 + i - batch - depth] = x->dim[i];
done:
    return st;
}

static int32_t forward_nd(const mc_op_run *r)
{
    const mc_tensor *x = r->in[0], *ix = r->in[1];
    const int64_t batch = mc_attr_i(r->node, "batch_dims", 0), depth = ix->shape.dim[ix->shape.rank - 1];
    int64_t stride[MC_MAX_RANK], batches = 1, block = 1, tuples = 1;
    mc_contiguous_strides(&x->shape, stride);
    for (int32_t i = 0; i < batch; i++) {
        if (ix->shape.dim[i] != x->shape.dim[i]) return mc_op_fail(r, MCOMP_SHAPE, "batch axis %d differs", i);
        batches *= ix->shape.dim[i];
    }
    for (int32_t i = (int32_t)batch; i < ix->shape.rank - 1; i++) tuples *= ix->shape.dim[i];
    for (int64_t i = batch + depth; i < x->shape.rank; i++) block *= x->shape.dim[i];
    if (batches * tuples * block != mc_tensor_elements(r->out[0])) return mc_op_fail(r, MCOMP_SHAPE, "the result has another size");
    for (int64_t t = 0; t < batches * tuples; t++) {
        int64_t off = batch > 0 ? t / tuples * stride[batch - 1] : 0;
        for (int64_t d = 0; d < depth; d++) {
            const int64_t k = wrap(mc_tensor_get_i64(ix, t * depth + d), x->shape.dim[batch + d]);
            if (k < 0) return mc_op_fail(r, MCOMP_RANGE, "index %lld is out of range", (long long)mc_tensor_get_i64(ix, t * depth + d));
            off += k * stride[batch + d];
        }
        for (int64_t k = 0; k < block; k++) mc_move_one(r->out[0], t * block + k, x, off + k);
    }
    return MCOMP_OK;
}

const mc_op mc_op_Gather = {.name = "Gather", .domain = "", .version = 13, .since = 1, .min_in = 2, .max_in = 2, .min_out = 1,
                            .max_out = 1, .traits = MC_OP_SHAPE_GLUE, .quant = MC_Q_PASS, .axes = mc_axes_gather, .infer = infer_gather,
                            .forward = forward_gather, .gradient = mc_grad_move};
const mc_op mc_op_GatherElements = {.name = "GatherElements", .domain = "", .version = 13, .since = 11, .min_in = 2, .max_in = 2,
                                    .min_out = 1, .max_out = 1, .traits = 0, .quant = MC_Q_PASS, .infer = infer_elements,
                                    .forward = forward_elements, .gradient = mc_grad_move};
const mc_op mc_op_GatherND = {.name = "GatherND", .domain = "", .version = 13, .since = 12, .min_in = 2, .max_in = 2, .min_out = 1,
                              .max_out = 1, .traits = 0, .quant = MC_Q_PASS, .infer = infer_nd, .forward = forward_nd,
                              .gradient = mc_grad_move};
