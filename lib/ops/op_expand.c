/* Expand (numpy broadcast to a given shape) and Tile. */
#include "ops/grad.h"
#include "ops/internal.h"

/* Elements of input 1 as shape data, from the tensor or from what is known; n = -1 when nothing is. */
static int32_t read_list(const mc_infer *c, mc_shape_data *d)
{
    d->n = -1;
    if (c->cst[1]) {
        mc_data_from_tensor(c->cst[1], d);
        if (d->n < 0) return mc_infer_fail(c, MCOMP_SHAPE, "input 1 must be a list of at most %d integers", MC_SHAPE_DATA);
    } else if (c->data[1]) {
        *d = *c->data[1];
    }
    return MCOMP_OK;
}

static int32_t expand_dim(mc_infer *c, int64_t x, int64_t want, int64_t *out)
{
    const int unknown = want == MC_DATA_UNKNOWN, symbol = mc_data_is_symbol(want);
    if (!unknown && !symbol && want < 0) return mc_infer_fail(c, MCOMP_SHAPE, "size %lld in the new shape", (long long)want);
    if (unknown) *out = x >= 0 && x != 1 ? x : mc_infer_symbol(c);
    else if (x == 1) *out = mc_data_to_dim(c, want);
    else if (symbol) *out = x >= 0 ? x : mc_infer_join(c, x, mc_data_dim(want));
    else if (x < 0) *out = want == 1 ? x : want;
    else if (want != 1 && want != x) return mc_infer_fail(c, MCOMP_SHAPE, "size %lld does not expand to %lld", (long long)x, (long long)want);
    else *out = x;
    return MCOMP_OK;
}

static int32_t infer_expand(mc_infer *c)
{
    mc_shape_data d;
    int32_t st = MCOMP_OK;
    const mc_type *x = c->in[0];
    c->out[0].dtype = x->dtype;
    MC_TRY(read_list(c, &d));
    if (d.n < 0 && c->in[1]->rank == 1 && c->in[1]->dim[0] >= 0 && c->in[1]->dim[0] <= MC_SHAPE_DATA) {
        d.n = (int32_t)c->in[1]->dim[0];
        for (int32_t i = 0; i < d.n; i++) d.v[i] = MC_DATA_UNKNOWN;
    }
    if (d.n < 0 || x->rank < 0) return MCOMP_OK;
    const int32_t rank = d.n > x->rank ? d.n : x->rank;
    MC_TRY(mc_infer_set_rank(c, 0, rank));
    for (int32_t i = 0; i < rank; i++) {
        const int32_t xi = i - (rank - x->rank), di = i - (rank - d.n);
        MC_TRY(expand_dim(c, xi < 0 ? 1 : x->dim[xi], di < 0 ? 1 : d.v[di], &c->out[0].dim[i]));
    }
    if (x->rank <= 1 && rank == 1 && c->data[0] && c->data[0]->n == 1 && c->out_data[0] && c->out[0].dim[0] >= 0 &&
        c->out[0].dim[0] <= MC_SHAPE_DATA) {
        c->out_data[0]->n = (int32_t)c->out[0].dim[0];
        for (int32_t i = 0; i < c->out_data[0]->n; i++) c->out_data[0]->v[i] = c->data[0]->v[0];
    }
done:
    return st;
}

static int32_t forward_expand(const mc_op_run *r) { return mc_move_broadcast(r, r->out[0], r->in[0]); }

static int32_t infer_tile(mc_infer *c)
{
    mc_shape_data d;
    int32_t st = MCOMP_OK;
    const mc_type *x = c->in[0];
    c->out[0].dtype = x->dtype;
    MC_TRY(read_list(c, &d));
    if (x->rank < 0) return MCOMP_OK;
    c->out[0].rank = x->rank;
    if (d.n >= 0 && d.n != x->rank) return mc_infer_fail(c, MCOMP_SHAPE, "%d repeats for rank %d", d.n, x->rank);
    for (int32_t i = 0; i < x->rank; i++) {
        const int64_t times = d.n < 0 ? MC_DATA_UNKNOWN : d.v[i];
        const int number = times != MC_DATA_UNKNOWN && !mc_data_is_symbol(times);
        int64_t *y = &c->out[0].dim[i];
        if (number && times < 0) return mc_infer_fail(c, MCOMP_SHAPE, "%lld repeats", (long long)times);
        if (number && x->dim[i] >= 0) {
            if (__builtin_mul_overflow(times, x->dim[i], y)) return mc_infer_fail(c, MCOMP_LIMIT, "the size of axis %d overflows", i);
        } else if (number && times <= 1) {
            *y = times == 1 ? x->dim[i] : 0;
        } else {
            *y = x->dim[i] == 1 ? mc_data_to_dim(c, times) : mc_infer_symbol(c);
        }
    }
done:
    return st;
}

/* Doubles nothing: each output element looks its source up, index modulo size. */
static int32_t forward_tile(const mc_op_run *r)
{
    const mc_tensor *x = r->in[0];
    mc_tensor *y = r->out[0];
    int64_t at[MC_MAX_RANK] = {0}, stride[MC_MAX_RANK];
    const int32_t rank = x->shape.rank;
    const int64_t n = mc_tensor_elements(y);
    if (y->shape.rank != rank || mc_tensor_elements(r->in[1]) != rank) return mc_op_fail(r, MCOMP_SHAPE, "wrong number of repeats");
    for (int32_t a = 0; a < rank; a++)
        if (mc_tensor_get_i64(r->in[1], a) * x->shape.dim[a] != y->shape.dim[a]) return mc_op_fail(r, MCOMP_SHAPE, "axis %d differs", a);
    mc_contiguous_strides(&x->shape, stride);
    for (int64_t i = 0; i < n; i++) {
        int64_t off = 0;
        for (int32_t a = 0; a < rank; a++) off += at[a] % x->shape.dim[a] * stride[a];
        mc_move_one(y, i, x, off);
        for (int32_t a = rank - 1; a >= 0 && ++at[a] == y->shape.dim[a]; a--) at[a] = 0;
    }
    return MCOMP_OK;
}

static int32_t grad_expand(mc_op_grad *c)
{
    if (mc_grad_wants(c, 0)) c->dx[0] = mc_grad_sum_to(c, c->dy[0], c->x[0]);
    return c->status;
}

const mc_op mc_op_Expand = {.name = "Expand", .domain = "", .version = 13, .since = 8, .min_in = 2, .max_in = 2, .min_out = 1,
                            .max_out = 1, .traits = MC_OP_SHAPE_GLUE, .quant = MC_Q_PASS, .infer = infer_expand,
                            .forward = forward_expand, .gradient = grad_expand};
const mc_op mc_op_Tile = {.name = "Tile", .domain = "", .version = 13, .since = 6, .min_in = 2, .max_in = 2, .min_out = 1,
                          .max_out = 1, .traits = MC_OP_SHAPE_GLUE, .quant = MC_Q_PASS, .infer = infer_tile, .forward = forward_tile,
                          .gradient = mc_grad_move};
