/* Reshape (with allowzero) and Flatten. The new shape may hold symbols: -1 is found by cancelling the symbols and numbers
 * of both sides, so that [B,S,768] reshaped by [B,S,12,-1] gives [B,S,12,64] without knowing B and S. */
#include "ops/grad.h"
#include "ops/internal.h"

/* The product of the numbers of a dim list; symbols that are left over after cancelling against `gone`. */
static int32_t cancel(mc_infer *c, const int64_t *dim, int32_t n, int64_t *number, int64_t *left, int32_t *n_left)
{
    *number = 1;
    *n_left = 0;
    for (int32_t i = 0; i < n; i++) {
        if (dim[i] < 0) left[(*n_left)++] = dim[i];
        else if (__builtin_mul_overflow(*number, dim[i], number)) return mc_infer_fail(c, MCOMP_LIMIT, "the number of elements overflows");
    }
    return MCOMP_OK;
}

/* Symbols on both sides go; returns 1 if none is left in y. */
static int subtract(int64_t *x, int32_t *nx, const int64_t *y, int32_t ny)
{
    for (int32_t i = 0; i < ny; i++) {
        int32_t k = 0;
        while (k < *nx && x[k] != y[i]) k++;
        if (k == *nx || y[i] == MC_DIM_ANONYMOUS) return 0;
        x[k] = x[--*nx];
    }
    return 1;
}

/* dims of y with the -1 at `at` (or nowhere: -1) resolved from x. */
static int32_t resolve(mc_infer *c, const mc_type *x, int64_t *y, int32_t n, int32_t at)
{
    int32_t st = MCOMP_OK, nx, ny;
    int64_t px, py, sx[MC_MAX_RANK], sy[MC_MAX_RANK], rest[MC_MAX_RANK];
    int32_t m = 0;
    for (int32_t i = 0; i < n; i++)
        if (i != at) rest[m++] = y[i];
    MC_TRY(cancel(c, x->dim, x->rank, &px, sx, &nx));
    MC_TRY(cancel(c, rest, m, &py, sy, &ny));
    const int closed = subtract(sx, &nx, sy, ny);
    if (at < 0) {
        if (closed && nx == 0 && px != py)
            MC_TRY(mc_infer_fail(c, MCOMP_SHAPE, "%lld elements do not become %lld", (long long)px, (long long)py));
        return MCOMP_OK;
    }
    if (closed && nx == 0) {
        if (py == 0 ? px != 0 : px % py != 0)
            MC_TRY(mc_infer_fail(c, MCOMP_SHAPE, "%lld elements cannot be divided by %lld", (long long)px, (long long)py));
        y[at] = py == 0 ? 0 : px / py;
    } else if (closed && nx == 1 && px == py && px != 0) {
        y[at] = sx[0];
    } else {
        y[at] = mc_infer_symbol(c);
    }
done:
    return st;
}

static int32_t from_data(mc_infer *c, const mc_shape_data *d)
{
    const mc_type *x = c->in[0];
    const int64_t allowzero = mc_attr_i(c->node, "allowzero", 0);
    int32_t st = MCOMP_OK, at = -1;
    MC_TRY(mc_infer_set_rank(c, 0, d->n));
    for (int32_t i = 0; i < d->n; i++) {
        int64_t *y = &c->out[0].dim[i];
        if (d->v[i] == MC_DATA_UNKNOWN || mc_data_is_symbol(d->v[i])) {
            *y = mc_data_to_dim(c, d->v[i]);
        } else if (d->v[i] == -1) {
            if (at >= 0) return mc_infer_fail(c, MCOMP_SHAPE, "more than one -1 in the new shape");
            at = i;
        } else if (d->v[i] == 0 && !allowzero) {
            if (x->rank >= 0 && i >= x->rank) return mc_infer_fail(c, MCOMP_SHAPE, "0 in the new shape beyond the rank of the input");
            *y = x->rank >= 0 ? x->dim[i] : mc_infer_symbol(c);
        } else if (d->v[i] < 0) {
            return mc_infer_fail(c, MCOMP_SHAPE, "size %lld in the new shape", (long long)d->v[i]);
        } else {
            *y = d->v[i];
        }
    }
    if (x->rank >= 0) return resolve(c, x, c->out[0].dim, d->n, at);
    if (at >= 0) c->out[0].dim[at] = mc_infer_symbol(c);
done:
    return st;
}

static int32_t infer(mc_infer *c)
{
    mc_shape_data d = {.n = -1};
    c->out[0].dtype = c->in[0]->dtype;
    if (c->out_data[0] && c->data[0]) *c->out_data[0] = *c->data[0];
    if (c->cst[1]) {
        mc_data_from_tensor(c->cst[1], &d);
        if (d.n < 0) return mc_infer_fail(c, MCOMP_SHAPE, "the new shape must be a list of at most %d integers", MC_MAX_RANK);
    } else if (c->data[1]) {
        d = *c->data[1];
    }
    if (d.n >= 0) return from_data(c, &d);
    const mc_type *s = c->in[1];
    if (s->rank == 1 && s->dim[0] >= 0) {
        const int32_t st = mc_infer_set_rank(c, 0, s->dim[0]);
        if (st != MCOMP_OK) return st;
        for (int32_t i = 0; i < c->out[0].rank; i++) c->out[0].dim[i] = mc_infer_symbol(c);
    }
    return MCOMP_OK;
}

static int32_t infer_flatten(mc_infer *c)
{
    const mc_type *x = c->in[0];
    int64_t axis = mc_attr_i(c->node, "axis", 1);
    mc_type *y = &c->out[0];
    y->dtype = x->dtype;
    y->rank = 2;
    y->dim[0] = y->dim[1] = 0;
    if (x->rank < 0) {
        y->dim[0] = mc_infer_symbol(c);
        y->dim[1] = mc_infer_symbol(c);
        return MCOMP_OK;
    }
    if (axis < -(int64_t)x->rank || axis > x->rank) return mc_infer_fail(c, MCOMP_FORMAT, "axis %lld is out of range", (long long)axis);
    if (axis < 0) axis += x->rank;
    for (int32_t part = 0; part < 2; part++) {
        const int64_t first = part ? axis : 0, last = part ? x->rank : axis;
        int64_t number, left[MC_MAX_RANK];
        int32_t n_left;
        const int32_t st = cancel(c, x->dim + first, (int32_t)(last - first), &number, left, &n_left);
        if (st != MCOMP_OK) return st;
        if (n_left == 0 || number == 0) y->dim[part] = number;
        else y->dim[part] = n_left == 1 && number == 1 ? left[0] : mc_infer_symbol(c);
    }
    return MCOMP_OK;
}

static int32_t forward(const mc_op_run *r)
{
    if (mc_tensor_bytes(r->out[0]) != mc_tensor_bytes(r->in[0])) return mc_op_fail(r, MCOMP_SHAPE, "the sizes differ");
    mc_move_all(r->out[0], r->in[0]);
    return MCOMP_OK;
}

static int32_t gradient(mc_op_grad *c)
{
    if (mc_grad_wants(c, 0)) c->dx[0] = mc_grad_reshape_like(c, c->dy[0], c->x[0]);
    return c->status;
}

const mc_op mc_op_Reshape = {.name = "Reshape", .domain = "", .version = 21, .since = 5, .min_in = 2, .max_in = 2, .min_out = 1,
                             .max_out = 1, .traits = MC_OP_VIEW | MC_OP_SHAPE_GLUE, .quant = MC_Q_PASS, .axes = mc_axes_reshape, .infer = infer,
                             .forward = forward, .gradient = gradient};
const mc_op mc_op_Flatten = {.name = "Flatten", .domain = "", .version = 21, .since = 9, .min_in = 1, .max_in = 1, .min_out = 1,
                             .max_out = 1, .traits = MC_OP_VIEW | MC_OP_SHAPE_GLUE, .quant = MC_Q_PASS, .axes = mc_axes_reshape, .infer = infer_flatten,
                             .forward = forward, .gradient = gradient};
