/* Slice with starts, ends, axes, steps as inputs; steps may be negative. Shape data may hold symbols: x[.., 0:S] has size S
 * (a slice beyond the end would only be cut at run time, where the operators behind it would not fit either). */
#include "ops/grad.h"
#include "ops/internal.h"

/* numpy's slice: first index and number of elements. */
static void clamp(int64_t dim, int64_t start, int64_t end, int64_t step, int64_t *first, int64_t *count)
{
    const int64_t low = step < 0 ? -1 : 0, high = step < 0 ? dim - 1 : dim;
    if (start < 0) start = start < -dim ? low : start + dim;
    if (end < 0) end = end < -dim ? low : end + dim;
    start = start < low ? low : start > high ? high : start;
    end = end < low ? low : end > high ? high : end;
    *first = start;
    if (step > 0) *count = end > start ? (int64_t)(((uint64_t)(end - start) - 1) / (uint64_t)step + 1) : 0;
    else *count = start > end ? (int64_t)(((uint64_t)(start - end) - 1) / (0 - (uint64_t)step) + 1) : 0;
}

/* What is known of input i: MC_SHAPE_DATA elements at most; n = -1 when nothing is. */
static const mc_shape_data *list(const mc_infer *c, int32_t i, mc_shape_data *buf)
{
    buf->n = -1;
    if (i < c->n_in && c->cst[i]) {
        mc_data_from_tensor(c->cst[i], buf);
        for (int32_t k = 0; k < buf->n; k++) /* INT64_MIN is how exporters write "to the beginning"; any size is nearer */
            if (buf->v[k] == MC_DATA_UNKNOWN) buf->v[k] = -((int64_t)1 << 61);
    } else if (i < c->n_in && c->data[i]) {
        *buf = *c->data[i];
    }
    return buf;
}

static int64_t slice_dim(mc_infer *c, int64_t dim, int64_t start, int64_t end, int64_t step)
{
    int64_t first, count;
    const int numbers = start != MC_DATA_UNKNOWN && end != MC_DATA_UNKNOWN && !mc_data_is_symbol(start) && !mc_data_is_symbol(end);
    if (numbers && dim >= 0) {
        clamp(dim, start, end, step, &first, &count);
        return count;
    }
    if (numbers && step > 0 && ((start >= 0 && end >= 0 && end <= start) || (start < 0 && end < 0 && end <= start))) return 0;
    if (start != 0 || step != 1) return mc_infer_symbol(c);
    if (mc_data_is_symbol(end)) return mc_data_dim(end);
    if (numbers && end == 0) return 0;
    return numbers && dim < 0 && end >= 1000000000 ? dim : mc_infer_symbol(c); /* TensorFlow writes 1e9 for "to the end" */
}

static void infer_data(mc_infer *c, const mc_shape_data *starts, const mc_shape_data *ends, const mc_shape_data *steps)
{
    const mc_shape_data *x = c->data[0];
    mc_shape_data *y = c->out_data[0];
    int64_t first, count, step = steps->n == 1 ? steps->v[0] : 1;
    if (!x || !y || c->in[0]->rank != 1 || starts->n != 1 || ends->n != 1) return;
    if (starts->v[0] == MC_DATA_UNKNOWN || mc_data_is_symbol(starts->v[0]) || ends->v[0] == MC_DATA_UNKNOWN ||
        mc_data_is_symbol(ends->v[0]))
        return;
    clamp(x->n, starts->v[0], ends->v[0], step, &first, &count);
    y->n = (int32_t)count;
    for (int64_t i = 0; i < count; i++) y->v[i] = x->v[first + i * step];
}

static int32_t infer(mc_infer *c)
{
    mc_shape_data starts, ends, steps;
    int64_t axes[MC_MAX_RANK];
    int32_t n_axes = 0, st = MCOMP_OK;
    uint32_t seen = 0;
    const mc_type *x = c->in[0];
    c->out[0].dtype = x->dtype;
    if (x->rank < 0) return MCOMP_OK;
    list(c, 1, &starts);
    list(c, 2, &ends);
    list(c, 4, &steps);
    for (int32_t i = 0; i < x->rank; i++) c->out[0].dim[i] = mc_infer_symbol(c); /* until more is known */
    c->out[0].rank = x->rank;
    const int axes_known = !mc_has(c, 3) || mc_infer_ints(c, 3, axes, MC_MAX_RANK, &n_axes);
    const int32_t n = axes_known && mc_has(c, 3) ? n_axes : starts.n >= 0 ? starts.n : ends.n;
    if (!axes_known || n < 0 || (mc_has(c, 4) && steps.n < 0)) return MCOMP_OK;
    if ((starts.n >= 0 && starts.n != n) || (ends.n >= 0 && ends.n != n) || (steps.n >= 0 && steps.n != n) || n > x->rank)
        return mc_infer_fail(c, MCOMP_FORMAT, "starts, ends, axes and steps differ in length, or exceed rank %d", x->rank);
    for (int32_t i = 0; i < x->rank; i++) c->out[0].dim[i] = x->dim[i];
    for (int32_t i = 0; i < n; i++) {
        int32_t a;
        const int64_t step = steps.n >= 0 ? steps.v[i] : 1;
        MC_TRY(mc_infer_axis(c, mc_has(c, 3) ? axes[i] : i, x->rank, &a));
        if (seen >> a & 1u) return mc_infer_fail(c, MCOMP_FORMAT, "axis %d is named twice", a);
        seen |= 1u << a;
        if (step == 0) return mc_infer_fail(c, MCOMP_FORMAT, "step 0 on axis %d", a);
        if (step == MC_DATA_UNKNOWN || mc_data_is_symbol(step)) c->out[0].dim[a] = mc_infer_symbol(c);
        else c->out[0].dim[a] = slice_dim(c, x->dim[a], starts.n < 0 ? MC_DATA_UNKNOWN : starts.v[i],
                                          ends.n < 0 ? MC_DATA_UNKNOWN : ends.v[i], step);
    }
    infer_data(c, &starts, &ends, &steps);
done:
    return st;
}

static int32_t forward(const mc_op_run *r)
{
    const mc_tensor *x = r->in[0], *starts = r->in[1], *ends = r->in[2], *axes = mc_in(r, 3), *steps = mc_in(r, 4);
    int64_t from[MC_MAX_RANK], to[MC_MAX_RANK], off = 0;
    mc_shape want = x->shape;
    const int64_t n = mc_tensor_elements(starts);
    if (mc_tensor_elements(ends) != n || (axes && mc_tensor_elements(axes) != n) || (steps && mc_tensor_elements(steps) != n) ||
        n > x->shape.rank)
        return mc_op_fail(r, MCOMP_FORMAT, "starts, ends, axes and steps differ in length");
    mc_contiguous_strides(&x->shape, from);
    for (int64_t i = 0; i < n; i++) {
        int64_t a = axes ? mc_tensor_get_i64(axes, i) : i, first;
        const int64_t step = steps ? mc_tensor_get_i64(steps, i) : 1;
        if (a < 0) a += x->shape.rank;
        if (a < 0 || a >= x->shape.rank || step == 0) return mc_op_fail(r, MCOMP_RANGE, "axis or step is out of range");
        clamp(x->shape.dim[a], mc_tensor_get_i64(starts, i), mc_tensor_get_i64(ends, i), step, &first, &want.dim[a]);
        if (want.dim[a] > 0) off += first * from[a];
        from[a] = want.dim[a] > 1 ? from[a] * step : 0; /* a step beyond the size would overflow */
    }
    const int32_t st = mc_run_expect(r, 0, &want);
    if (st != MCOMP_OK) return st;
    mc_contiguous_strides(&want, to);
    mc_move(r->out[0], 0, to, x, off, from, &want);
    return MCOMP_OK;
}

const mc_op mc_op_Slice = {.name = "Slice", .domain = "", .version = 13, .since = 10, .min_in = 3, .max_in = 5, .min_out = 1,
                           .max_out = 1, .traits = MC_OP_SHAPE_GLUE, .quant = MC_Q_PASS, .axes = mc_axes_slice, .infer = infer, .forward = forward,
                           .gradient = mc_grad_move};
