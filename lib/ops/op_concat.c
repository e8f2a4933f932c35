/* Concat along one axis. */
#include "ops/grad.h"
#include "ops/internal.h"

/* Shape data: 1-d pieces one after the other; a piece of known length and unknown content gives unknown elements. */
static void infer_data(mc_infer *c)
{
    mc_shape_data *y = c->out_data[0];
    int64_t n = 0;
    if (!y) return;
    for (int32_t i = 0; i < c->n_in; i++) {
        if (!c->in[i] || c->in[i]->rank != 1 || c->in[i]->dim[0] < 0 || !mc_dtype_is_integer(c->in[i]->dtype)) return;
        if (c->in[i]->dim[0] > MC_SHAPE_DATA || n + c->in[i]->dim[0] > MC_SHAPE_DATA) return;
        for (int64_t k = 0; k < c->in[i]->dim[0]; k++) y->v[n++] = c->data[i] ? c->data[i]->v[k] : MC_DATA_UNKNOWN;
    }
    y->n = (int32_t)n;
}

/* One more input: sizes off the axis must agree, sizes along it add up (*symbol: one unknown part, 2 = several). */
static int32_t add_input(mc_infer *c, int32_t i, int32_t axis, int64_t *sum, int64_t *symbol, int32_t *symbols)
{
    const mc_type *x = c->in[i];
    mc_type *y = &c->out[0];
    if (x->rank != y->rank) return mc_infer_fail(c, MCOMP_SHAPE, "inputs of rank %d and %d", y->rank, x->rank);
    for (int32_t a = 0; a < x->rank; a++) {
        if (a == axis) continue;
        if (x->dim[a] >= 0 && y->dim[a] >= 0 && x->dim[a] != y->dim[a])
            return mc_infer_fail(c, MCOMP_SHAPE, "sizes %lld and %lld on axis %d", (long long)y->dim[a], (long long)x->dim[a], a);
        if (y->dim[a] < 0 && x->dim[a] >= 0) y->dim[a] = x->dim[a];
    }
    if (x->dim[axis] < 0) {
        *symbol = x->dim[axis];
        ++*symbols;
    } else if (__builtin_add_overflow(*sum, x->dim[axis], sum)) {
        return mc_infer_fail(c, MCOMP_LIMIT, "the size of axis %d overflows", axis);
    }
    return MCOMP_OK;
}

static int32_t infer(mc_infer *c)
{
    int32_t st = MCOMP_OK, axis, first = -1, unknown = 0, symbols = 0;
    int64_t sum = 0, symbol = 0;
    MC_TRY(mc_infer_one_dtype(c, 0, c->n_in - 1, &c->out[0].dtype));
    for (int32_t i = 0; i < c->n_in; i++) {
        if (!c->in[i]) return mc_infer_fail(c, MCOMP_FORMAT, "input %d is missing", i);
        if (c->in[i]->rank < 0) unknown = 1;
        else if (first < 0) first = i;
    }
    if (first < 0) return MCOMP_OK;
    const mc_attr *a = mc_node_attr(c->node, "axis");
    if (!a) return mc_infer_fail(c, MCOMP_FORMAT, "no axis");
    MC_TRY(mc_infer_axis(c, a->i, c->in[first]->rank, &axis));
    const int32_t dtype = c->out[0].dtype;
    c->out[0] = *c->in[first];
    c->out[0].dtype = dtype;
    for (int32_t i = 0; i < c->n_in; i++)
        if (c->in[i]->rank >= 0) MC_TRY(add_input(c, i, axis, &sum, &symbol, &symbols));
    if (unknown) symbols = 2;
    c->out[0].dim[axis] = symbols == 0 ? sum : symbols == 1 && sum == 0 ? symbol : mc_infer_symbol(c);
    infer_data(c);
done:
    return st;
}

static int32_t forward(const mc_op_run *r)
{
    mc_tensor *y = r->out[0];
    int64_t to[MC_MAX_RANK], from[MC_MAX_RANK], at = 0;
    int64_t axis = mc_attr_i(r->node, "axis", 0);
    if (axis < 0) axis += y->shape.rank;
    if (axis < 0 || axis >= y->shape.rank) return mc_op_fail(r, MCOMP_FORMAT, "axis is out of range");
    mc_contiguous_strides(&y->shape, to);
    for (int32_t i = 0; i < r->n_in; i++) {
        const mc_tensor *x = r->in[i];
        int fits = x && x->shape.rank == y->shape.rank && x->dtype == y->dtype;
        for (int32_t a = 0; fits && a < y->shape.rank; a++)
            fits = a == axis ? x->shape.dim[a] <= y->shape.dim[a] - at : x->shape.dim[a] == y->shape.dim[a];
        if (!fits) return mc_op_fail(r, MCOMP_SHAPE, "input %d does not fit", i);
        mc_contiguous_strides(&x->shape, from);
        mc_move(y, at * to[axis], to, x, 0, from, &x->shape);
        at += x->shape.dim[axis];
    }
    return at == y->shape.dim[axis] ? MCOMP_OK : mc_op_fail(r, MCOMP_SHAPE, "the inputs do not fill the output");
}

/* The parts of dY, by Split with the inputs' sizes along the axis. */
static int32_t gradient(mc_op_grad *c)
{
    const int64_t axis = mc_attr_i(c->node, "axis", 0);
    mc_value *size[MC_OP_MAX_IO], *sizes;
    mc_node *n;
    for (int32_t i = 0; i < c->n_in; i++) {
        mc_value *where = mc_grad_ints(c, 1, &axis), *shape = mc_grad_1(c, "Shape", c->x[i]);
        if (axis < 0) where = mc_grad_2(c, "Add", where, mc_grad_1(c, "Shape", shape));
        size[i] = mc_grad_2(c, "Gather", shape, where);
    }
    n = mc_grad_begin(c, "Concat", c->n_in, size, 1);
    if (!n) return c->status;
    c->status = mc_node_set_i(n, "axis", 0);
    sizes = mc_grad_end(c, n);
    n = sizes ? mc_grad_begin(c, "Split", 2, (mc_value *[]){c->dy[0], sizes}, c->n_in) : NULL;
    if (!n) return c->status;
    c->status = mc_node_set_i(n, "axis", axis);
    mc_grad_end(c, n);
    for (int32_t i = 0; i < c->n_in && c->status == MCOMP_OK; i++) {
        mc_grad_shape_like(n->out[i], c->x[i]);
        c->dx[i] = n->out[i];
    }
    return c->status;
}

const mc_op mc_op_Concat = {.name = "Concat", .domain = "", .version = 13, .since = 4, .min_in = 1, .max_in = -1, .min_out = 1,
                            .max_out = 1, .traits = MC_OP_SHAPE_GLUE, .quant = MC_Q_SHARED, .axes = mc_axes_concat, .infer = infer, .forward = forward,
                            .gradient = gradient};
