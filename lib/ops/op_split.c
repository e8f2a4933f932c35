/* Split along one axis: sizes from input 1, or equal parts (the last one may be smaller). */
#include "ops/grad.h"
#include "ops/internal.h"

/* Size of part k when an axis of `dim` is cut into n equal parts; -1 when that leaves a negative rest. */
static int64_t equal_part(int64_t dim, int64_t n, int64_t k)
{
    const int64_t part = dim / n + (dim % n != 0), rest = dim - part * (n - 1);
    return rest < 0 ? -1 : k < n - 1 ? part : rest;
}

static void infer_data(mc_infer *c, int32_t k, int64_t at)
{
    const mc_shape_data *x = c->data[0];
    mc_shape_data *y = c->out_data[k];
    const int64_t n = c->out[k].dim[0];
    if (!x || !y || c->out[k].rank != 1 || n < 0 || at + n > x->n) return;
    y->n = (int32_t)n;
    for (int64_t i = 0; i < n; i++) y->v[i] = x->v[at + i];
}

static int32_t infer(mc_infer *c)
{
    int32_t st = MCOMP_OK, axis, count = 0;
    int64_t split[MC_OP_MAX_IO], sum = 0;
    const mc_type *x = c->in[0];
    for (int32_t k = 0; k < c->n_out; k++) c->out[k].dtype = x->dtype;
    if (x->rank < 0) return MCOMP_OK;
    MC_TRY(mc_infer_axis(c, mc_attr_i(c->node, "axis", 0), x->rank, &axis));
    const int given = mc_has(c, 1) && mc_infer_ints(c, 1, split, MC_OP_MAX_IO, &count);
    if (given && count != c->n_out) return mc_infer_fail(c, MCOMP_FORMAT, "%d sizes for %d outputs", count, c->n_out);
    if (!mc_has(c, 1) && mc_attr_i(c->node, "num_outputs", c->n_out) != c->n_out)
        return mc_infer_fail(c, MCOMP_FORMAT, "num_outputs is not the number of outputs");
    for (int32_t k = 0; k < c->n_out; k++) {
        c->out[k] = *x;
        if (!mc_has(c, 1) && c->n_out > 1) split[k] = x->dim[axis] < 0 ? 0 : equal_part(x->dim[axis], c->n_out, k);
        else if (!mc_has(c, 1)) split[k] = x->dim[axis];
        if (given || (!mc_has(c, 1) && x->dim[axis] >= 0)) {
            if (split[k] < 0 || __builtin_add_overflow(sum, split[k], &sum))
                return mc_infer_fail(c, MCOMP_SHAPE, "axis %d of size %lld cannot be split so", axis, (long long)x->dim[axis]);
            c->out[k].dim[axis] = split[k];
            if (axis == 0) infer_data(c, k, sum - split[k]);
        } else if (c->n_out > 1) {
            c->out[k].dim[axis] = mc_infer_symbol(c);
        }
    }
    if (given && x->dim[axis] >= 0 && sum != x->dim[axis])
        return mc_infer_fail(c, MCOMP_SHAPE, "sizes sum up to %lld, axis %d has %lld", (long long)sum, axis, (long long)x->dim[axis]);
done:
    return st;
}

static int32_t forward(const mc_op_run *r)
{
    const mc_tensor *x = r->in[0], *sizes = mc_in(r, 1);
    int64_t from[MC_MAX_RANK], to[MC_MAX_RANK], at = 0;
    int64_t axis = mc_attr_i(r->node, "axis", 0);
    if (axis < 0) axis += x->shape.rank;
    if (axis < 0 || axis >= x->shape.rank) return mc_op_fail(r, MCOMP_FORMAT, "axis is out of range");
    if (sizes && mc_tensor_elements(sizes) != r->n_out) return mc_op_fail(r, MCOMP_FORMAT, "wrong number of sizes");
    mc_contiguous_strides(&x->shape, from);
    for (int32_t k = 0; k < r->n_out; k++) {
        mc_shape want = x->shape;
        want.dim[axis] = sizes ? mc_tensor_get_i64(sizes, k) : equal_part(x->shape.dim[axis], r->n_out, k);
        if (want.dim[axis] < 0 || want.dim[axis] > x->shape.dim[axis] - at) return mc_op_fail(r, MCOMP_RANGE, "part %d does not fit", k);
        if (r->out[k]) {
            const int32_t st = mc_run_expect(r, k, &want);
            if (st != MCOMP_OK) return st;
            mc_contiguous_strides(&want, to);
            mc_move(r->out[k], 0, to, x, at * from[axis], from, &want);
        }
        at += want.dim[axis];
    }
    return MCOMP_OK;
}

static int32_t gradient(mc_op_grad *c)
{
    mc_value *part[MC_OP_MAX_IO];
    if (!mc_grad_wants(c, 0)) return c->status;
    for (int32_t k = 0; k < c->n_out; k++) {
        if (!c->y[k]) return mc_grad_fail(c, MCOMP_NO_GRADIENT, "output %d is left out", k);
        part[k] = c->dy[k] ? c->dy[k] : mc_grad_zeros_like(c, c->y[k]);
    }
    mc_node *n = mc_grad_begin(c, "Concat", c->n_out, part, 1);
    if (!n) return c->status;
    c->status = mc_node_set_i(n, "axis", mc_attr_i(c->node, "axis", 0));
    c->dx[0] = mc_grad_end(c, n);
    if (c->dx[0]) mc_grad_shape_like(c->dx[0], c->x[0]);
    return c->status;
}

const mc_op mc_op_Split = {.name = "Split", .domain = "", .version = 18, .since = 18, .min_in = 1, .max_in = 2, .min_out = 1,
                           .max_out = -1, .traits = MC_OP_SHAPE_GLUE, .quant = MC_Q_PASS, .axes = mc_axes_split, .infer = infer, .forward = forward,
                           .gradient = gradient};
