/* Pad in the modes constant, reflect, edge and wrap; negative pads cut. For each axis a map from the output index to the
 * input index is made (-1: the constant), then elements are moved through the maps. */
#include "ops/grad.h"
#include "ops/internal.h"

#define PAD_LIMIT ((int64_t)1 << 48)
enum { PAD_CONSTANT, PAD_REFLECT, PAD_EDGE, PAD_WRAP };

static int mode_of(const mc_node *n)
{
    static const char *const names[] = {"constant", "reflect", "edge", "wrap"};
    const char *s = mc_attr_s(n, "mode", "constant");
    for (int i = 0; i < 4; i++)
        if (strcmp(s, names[i]) == 0) return i;
    return -1;
}

static int32_t infer(mc_infer *c)
{
    int32_t st = MCOMP_OK, n = 0, n_axes = 0;
    int64_t pads[2 * MC_MAX_RANK], axes[MC_MAX_RANK];
    const mc_type *x = c->in[0];
    c->out[0].dtype = x->dtype;
    if (mode_of(c->node) < 0) return mc_infer_fail(c, MCOMP_FORMAT, "unknown mode");
    if (x->rank < 0) return MCOMP_OK;
    c->out[0].rank = x->rank;
    for (int32_t i = 0; i < x->rank; i++) c->out[0].dim[i] = mc_infer_symbol(c);
    if (!mc_infer_ints(c, 1, pads, 2 * MC_MAX_RANK, &n)) return MCOMP_OK;
    if (mc_has(c, 3) && !mc_infer_ints(c, 3, axes, MC_MAX_RANK, &n_axes)) return MCOMP_OK;
    if (!mc_has(c, 3))
        for (n_axes = 0; n_axes < x->rank; n_axes++) axes[n_axes] = n_axes;
    if (n != 2 * n_axes) return mc_infer_fail(c, MCOMP_FORMAT, "%d pads for %d axes", n, n_axes);
    for (int32_t i = 0; i < x->rank; i++) c->out[0].dim[i] = x->dim[i];
    for (int32_t i = 0; i < n_axes; i++) {
        int32_t a;
        int64_t sum;
        MC_TRY(mc_infer_axis(c, axes[i], x->rank, &a));
        if (pads[i] == 0 && pads[n_axes + i] == 0) continue;
        if (x->dim[a] < 0) {
            c->out[0].dim[a] = mc_infer_symbol(c);
            continue;
        }
        if (__builtin_add_overflow(x->dim[a], pads[i], &sum) || __builtin_add_overflow(sum, pads[n_axes + i], &sum) || sum < 0)
            return mc_infer_fail(c, MCOMP_SHAPE, "axis %d of size %lld cannot be padded so", a, (long long)x->dim[a]);
        c->out[0].dim[a] = sum;
    }
done:
    return st;
}

/* Input index for position i relative to the input; dim > 0. */
static int64_t source(int mode, int64_t i, int64_t dim)
{
    if (i >= 0 && i < dim) return i;
    if (mode == PAD_CONSTANT) return -1;
    if (mode == PAD_EDGE) return i < 0 ? 0 : dim - 1;
    if (mode == PAD_WRAP) return (i % dim + dim) % dim;
    if (dim == 1) return 0;
    const int64_t period = 2 * (dim - 1), k = (i % period + period) % period; /* reflect, again and again */
    return k < dim ? k : period - k;
}

static int32_t read_begins(const mc_op_run *r, int64_t *begin, mc_shape *want)
{
    const mc_tensor *x = r->in[0], *pads = r->in[1], *axes = mc_in(r, 3);
    const int64_t n = axes ? mc_tensor_elements(axes) : x->shape.rank;
    *want = x->shape;
    if (mc_tensor_elements(pads) != 2 * n || n > MC_MAX_RANK) return mc_op_fail(r, MCOMP_FORMAT, "wrong number of pads");
    for (int64_t i = 0; i < n; i++) {
        int64_t a = axes ? mc_tensor_get_i64(axes, i) : i;
        const int64_t b = mc_tensor_get_i64(pads, i), e = mc_tensor_get_i64(pads, n + i);
        if (a < 0) a += x->shape.rank;
        if (a < 0 || a >= x->shape.rank) return mc_op_fail(r, MCOMP_RANGE, "axis is out of range");
        if (b < -PAD_LIMIT || b > PAD_LIMIT || e < -PAD_LIMIT || e > PAD_LIMIT) return mc_op_fail(r, MCOMP_RANGE, "pads are out of range");
        begin[a] = b;
        if (__builtin_add_overflow(x->shape.dim[a], b + e, &want->dim[a])) return mc_op_fail(r, MCOMP_RANGE, "pads are out of range");
        if (x->shape.dim[a] == 0 && want->dim[a] > 0 && mode_of(r->node) != PAD_CONSTANT)
            return mc_op_fail(r, MCOMP_RANGE, "axis %lld is empty: nothing to repeat", (long long)a);
    }
    return MCOMP_OK;
}

static int32_t forward(const mc_op_run *r)
{
    int32_t st = MCOMP_OK;
    int64_t begin[MC_MAX_RANK] = {0}, *maps = NULL, total = 0, at = 0;
    const int64_t *map[MC_MAX_RANK];
    mc_shape want;
    mc_tensor *y = r->out[0], *zero = NULL;
    const mc_tensor *fill = mc_in(r, 2);
    const int mode = mode_of(r->node);
    const mc_shape scalar = {.rank = 0};
    MC_TRY(read_begins(r, begin, &want));
    MC_TRY(mc_run_expect(r, 0, &want));
    if (mc_tensor_elements(y) == 0) return MCOMP_OK;
    if (fill && (mc_tensor_elements(fill) != 1 || fill->dtype != y->dtype))
        MC_TRY(mc_op_fail(r, MCOMP_SHAPE, "the constant is no scalar of the input's type"));
    if (!fill) MC_TRY(mc_tensor_create(&zero, y->dtype, &scalar));
    for (int32_t a = 0; a < want.rank; a++) total += want.dim[a]; /* no overflow: all are >= 1 and their product exists */
    maps = mc_malloc(sizeof *maps * (size_t)(total ? total : 1));
    if (!maps) MC_TRY(MCOMP_NO_MEMORY);
    for (int32_t a = 0; a < want.rank; a++) {
        map[a] = maps + at;
        for (int64_t i = 0; i < want.dim[a]; i++) maps[at++] = source(mode, i - begin[a], r->in[0]->shape.dim[a]);
    }
    mc_move_mapped(y, r->in[0], map, fill ? fill : zero);
done:
    mc_free(maps);
    mc_tensor_destroy(zero);
    return st;
}

const mc_op mc_op_Pad = {.name = "Pad", .domain = "", .version = 21, .since = 18, .min_in = 2, .max_in = 4, .min_out = 1,
                         .max_out = 1, .traits = 0, .quant = MC_Q_PASS, .infer = infer, .forward = forward,
                         .gradient = mc_grad_move};
