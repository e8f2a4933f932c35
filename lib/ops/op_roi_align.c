/* RoiAlign (Mask R-CNN, arXiv:1703.06870): X [N,C,H,W], rois [R,4] as x1 y1 x2 y2, batch_indices [R] -> Y [R,C,h,w]. Each bin is
 * the mean (or maximum) of bilinear samples on a regular grid; in mode max, of the four weighted neighbours of each sample,
 * as the specification's reference does. */
#include "ops/nn.h"

#include <math.h>

#define MAX_GRID 512 /* samples a bin and axis: a box that asks for more is no box of an image */

static int32_t infer(mc_infer *c)
{
    int32_t st = MCOMP_OK;
    const int64_t h = mc_attr_i(c->node, "output_height", 1), w = mc_attr_i(c->node, "output_width", 1);
    const char *mode = mc_attr_s(c->node, "mode", "avg"), *pixel = mc_attr_s(c->node, "coordinate_transformation_mode", "half_pixel");
    const int64_t grid = mc_attr_i(c->node, "sampling_ratio", 0);
    mc_type *y = &c->out[0];
    if (h < 1 || h > INT32_MAX || w < 1 || w > INT32_MAX) return mc_infer_fail(c, MCOMP_FORMAT, "the output is %lld x %lld", (long long)h, (long long)w);
    if (grid < 0 || grid > 64) return mc_infer_fail(c, MCOMP_FORMAT, "sampling_ratio is %lld", (long long)grid);
    if (strcmp(mode, "avg") != 0 && strcmp(mode, "max") != 0) return mc_infer_fail(c, MCOMP_FORMAT, "mode must be avg or max");
    if (strcmp(pixel, "half_pixel") != 0 && strcmp(pixel, "output_half_pixel") != 0)
        return mc_infer_fail(c, MCOMP_FORMAT, "coordinate_transformation_mode must be half_pixel or output_half_pixel");
    MC_TRY(mc_nn_need_float(c, 0));
    MC_TRY(mc_infer_one_dtype(c, 0, 1, &y->dtype));
    MC_TRY(mc_nn_need_dtype(c, 2, MCOMP_I64));
    MC_TRY(mc_nn_need_rank(c, 0, 4));
    MC_TRY(mc_nn_need_rank(c, 1, 2));
    MC_TRY(mc_nn_need_dim(c, 1, 1, 4, "corners of a box"));
    MC_TRY(mc_nn_need_vector(c, 2, c->in[1]->rank == 2 ? c->in[1]->dim[0] : -1, "boxes"));
    y->rank = 4;
    y->dim[0] = c->in[1]->rank == 2 ? c->in[1]->dim[0] : c->in[2]->rank == 1 ? c->in[2]->dim[0] : mc_infer_symbol(c);
    y->dim[1] = c->in[0]->rank == 4 ? c->in[0]->dim[1] : mc_infer_symbol(c);
    y->dim[2] = h;
    y->dim[3] = w;
done:
    return st;
}

/* Neighbours and weights along one axis of n elements; 0 weights outside. */
typedef struct corner {
    int64_t at[2];
    double weight[2];
} corner;

static corner corner_of(double x, int64_t n)
{
    corner k = {{0, 0}, {0.0, 0.0}};
    if (!(x >= -1.0 && x <= (double)n)) return k;
    if (x < 0.0) x = 0.0;
    k.at[0] = (int64_t)x;
    if (k.at[0] >= n - 1) {
        k.at[0] = n - 1;
        x = (double)(n - 1);
    }
    k.at[1] = k.at[0] < n - 1 ? k.at[0] + 1 : k.at[0];
    k.weight[1] = x - (double)k.at[0];
    k.weight[0] = 1.0 - k.weight[1];
    return k;
}

/* Box along one axis. */
typedef struct span {
    double start, bin;
    int64_t grid, size;
} span;

static int32_t span_of(const mc_op_run *r, int64_t box, int32_t axis, int64_t bins, int64_t size, span *s)
{
    const int half = strcmp(mc_attr_s(r->node, "coordinate_transformation_mode", "half_pixel"), "half_pixel") == 0;
    const double scale = (double)mc_attr_f(r->node, "spatial_scale", 1.0f), offset = half ? 0.5 : 0.0;
    const double start = mc_nn_at(r->in[1], box * 4 + axis) * scale - offset;
    double length = mc_nn_at(r->in[1], box * 4 + axis + 2) * scale - offset - start;
    if (!half && length < 1.0) length = 1.0;
    s->start = start;
    s->bin = length / (double)bins;
    s->size = size;
    s->grid = mc_attr_i(r->node, "sampling_ratio", 0);
    if (!isfinite(start) || !isfinite(length) || s->bin > MAX_GRID)
        return mc_op_fail(r, MCOMP_RANGE, "box %lld starts at %g and is %g long", (long long)box, start, length);
    if (s->grid == 0) s->grid = s->bin > 0.0 ? (int64_t)ceil(s->bin) : 0;
    return MCOMP_OK;
}

static double bin_value(const mc_tensor *x, int64_t plane, const span *sy, const span *sx, int64_t py, int64_t px, int maximum)
{
    double sum = 0.0, best = 0.0;
    int any = 0;
    for (int64_t i = 0; i < sy->grid; i++)
        for (int64_t j = 0; j < sx->grid; j++) {
            const corner cy = corner_of(sy->start + sy->bin * ((double)py + ((double)i + 0.5) / (double)sy->grid), sy->size);
            const corner cx = corner_of(sx->start + sx->bin * ((double)px + ((double)j + 0.5) / (double)sx->grid), sx->size);
            for (int32_t k = 0; k < 4; k++) {
                const double v = cy.weight[k / 2] * cx.weight[k % 2] * mc_nn_at(x, plane + cy.at[k / 2] * sx->size + cx.at[k % 2]);
                sum += v;
                best = !any || v > best ? v : best;
                any = 1;
            }
        }
    const int64_t count = sy->grid * sx->grid;
    return maximum ? best : sum / (double)(count > 0 ? count : 1);
}

static int32_t forward(const mc_op_run *r)
{
    int32_t st = mc_nn_recheck(r, infer, 0);
    span sy, sx;
    if (st != MCOMP_OK) return st;
    const mc_tensor *x = r->in[0];
    const int64_t *d = x->shape.dim, *o = r->out[0]->shape.dim;
    const int maximum = strcmp(mc_attr_s(r->node, "mode", "avg"), "max") == 0;
    for (int64_t box = 0; box < o[0]; box++) {
        const int64_t image = ((const int64_t *)r->in[2]->data)[box];
        if (image < 0 || image >= d[0]) MC_FAIL(MCOMP_RANGE, r->node->name, "%s: box %lld is of image %lld of %lld", r->node->op, (long long)box, (long long)image, (long long)d[0]);
        if (d[2] == 0 || d[3] == 0) MC_FAIL(MCOMP_SHAPE, r->node->name, "%s: the image is empty", r->node->op);
        MC_TRY(span_of(r, box, 1, o[2], d[2], &sy));
        MC_TRY(span_of(r, box, 0, o[3], d[3], &sx));
        for (int64_t i = 0; i < o[1] * o[2] * o[3]; i++) {
            const int64_t c = i / (o[2] * o[3]), py = i / o[3] % o[2], px = i % o[3];
            mc_nn_put(r->out[0], box * o[1] * o[2] * o[3] + i, bin_value(x, (image * d[1] + c) * d[2] * d[3], &sy, &sx, py, px, maximum));
        }
    }
done:
    return st;
}

const mc_op mc_op_RoiAlign = {.name = "RoiAlign", .domain = "", .version = 22, .since = 16, .min_in = 3, .max_in = 3, .min_out = 1,
                              .max_out = 1, .quant = MC_Q_NONE, .infer = infer, .forward = forward};
