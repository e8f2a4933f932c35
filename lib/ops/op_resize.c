/* Resize: inputs X, roi, scales, sizes (exactly one of the last two). Separable: each axis is a list of taps (index, weight),
 * applied one axis after the other in double. Modes nearest, linear, cubic; coordinate modes half_pixel, half_pixel_symmetric,
 * pytorch_half_pixel, align_corners, asymmetric. tf_crop_and_resize and antialias are refused. */
#include "ops/nn.h"

#include <math.h>

enum { NEAREST, LINEAR, CUBIC };
enum { HALF_PIXEL, HALF_PIXEL_SYMMETRIC, PYTORCH_HALF_PIXEL, ALIGN_CORNERS, ASYMMETRIC };
enum { PREFER_FLOOR, PREFER_CEIL, FLOOR, CEIL };

/* Everything about the axes; scale[i] as given, or out / in. */
typedef struct plan {
    int32_t mode, coordinate, nearest, exclude_outside;
    double cubic_a, scale[MC_MAX_RANK];
} plan;

static int32_t choose(const mc_node *n, const char *attr, const char *otherwise, const char *const *names, int32_t count, int32_t *out)
{
    const char *s = mc_attr_s(n, attr, otherwise);
    char shown[40];
    for (*out = 0; *out < count; ++*out)
        if (strcmp(names[*out], s) == 0) return MCOMP_OK;
    *out = 0;
    return mc_fail(MCOMP_UNSUPPORTED, n->name, "%s: %s '%s' is not supported", n->op, attr, mc_escape(shown, sizeof shown, s));
}

static int32_t read_plan(const mc_node *n, plan *p)
{
    static const char *const modes[] = {"nearest", "linear", "cubic"}, *const nearest[] = {"round_prefer_floor", "round_prefer_ceil", "floor", "ceil"},
                     *const coordinates[] = {"half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners", "asymmetric"};
    int32_t st = MCOMP_OK;
    MC_TRY(choose(n, "mode", "nearest", modes, 3, &p->mode));
    MC_TRY(choose(n, "coordinate_transformation_mode", "half_pixel", coordinates, 5, &p->coordinate));
    MC_TRY(choose(n, "nearest_mode", "round_prefer_floor", nearest, 4, &p->nearest));
    if (mc_attr_i(n, "antialias", 0) != 0) MC_FAIL(MCOMP_UNSUPPORTED, n->name, "%s: antialias is not supported", n->op);
    p->exclude_outside = mc_attr_i(n, "exclude_outside", 0) != 0;
    p->cubic_a = (double)mc_attr_f(n, "cubic_coeff_a", -0.75f);
done:
    return st;
}

/* Axis list of scales / sizes: all axes, or the attribute `axes`. */
static int32_t read_axes(const mc_infer *c, int32_t rank, int32_t axis[MC_MAX_RANK], int32_t *count)
{
    int32_t st = MCOMP_OK;
    int64_t n = 0;
    const int64_t *v = mc_attr_ints(c->node, "axes", &n);
    if (v && n > rank) return mc_infer_fail(c, MCOMP_FORMAT, "axes has %lld entries for rank %d", (long long)n, rank);
    *count = v ? (int32_t)n : rank;
    for (int32_t i = 0; i < *count; i++) {
        axis[i] = i;
        if (v) MC_TRY(mc_infer_axis(c, v[i], rank, &axis[i]));
        for (int32_t k = 0; k < i; k++)
            if (axis[k] == axis[i]) return mc_infer_fail(c, MCOMP_FORMAT, "axes names axis %d twice", axis[i]);
    }
done:
    return st;
}

static int32_t from_scales(mc_infer *c, const mc_tensor *t, const int32_t *axis, int32_t count, double *scale)
{
    if (mc_tensor_elements(t) != count)
        return mc_infer_fail(c, MCOMP_SHAPE, "%lld scales for %d axes", (long long)mc_tensor_elements(t), count);
    for (int32_t i = 0; i < count; i++) {
        const float s = (float)mc_tensor_get_f64(t, i);
        int64_t *d = &c->out[0].dim[axis[i]];
        if (!(s > 0.0f) || isinf(s)) return mc_infer_fail(c, MCOMP_RANGE, "scale %d is %g; it must be positive and finite", i, (double)s);
        scale[axis[i]] = (double)s;
        if (s == 1.0f) continue;
        if (*d < 0) {
            *d = mc_infer_symbol(c);
            continue;
        }
        const double size = floor((double)((float)*d * s));
        if (size > 0x1p40) return mc_infer_fail(c, MCOMP_LIMIT, "axis %d would have %g elements", axis[i], size);
        *d = (int64_t)size;
    }
    return MCOMP_OK;
}

/* keep_aspect_ratio_policy: one scale for all named axes. */
static void keep_aspect(mc_infer *c, const int64_t *size, const int32_t *axis, int32_t count, int larger, double *scale)
{
    double one = larger ? 0.0 : INFINITY;
    for (int32_t i = 0; i < count; i++) {
        const double s = (double)size[i] / (double)c->in[0]->dim[axis[i]];
        one = larger ? fmax(one, s) : fmin(one, s);
    }
    for (int32_t i = 0; i < count; i++) {
        scale[axis[i]] = one;
        c->out[0].dim[axis[i]] = (int64_t)floor(one * (double)c->in[0]->dim[axis[i]] + 0.5);
    }
}

static int32_t from_sizes(mc_infer *c, const int32_t *axis, int32_t count, double *scale)
{
    const char *policy = mc_attr_s(c->node, "keep_aspect_ratio_policy", "stretch");
    const int larger = strcmp(policy, "not_smaller") == 0, aspect = larger || strcmp(policy, "not_larger") == 0;
    int64_t size[MC_MAX_RANK];
    int32_t n = 0, known = mc_infer_ints(c, 3, size, MC_MAX_RANK, &n), dims_known = 1;
    if (!aspect && strcmp(policy, "stretch") != 0) return mc_infer_fail(c, MCOMP_FORMAT, "keep_aspect_ratio_policy is unknown");
    const mc_shape_data *data = c->data[3];
    if ((known && n != count) || (!known && data && data->n >= 0 && data->n != count))
        return mc_infer_fail(c, MCOMP_SHAPE, "%d sizes for %d axes", known ? n : data->n, count);
    for (int32_t i = 0; i < count; i++) {
        const int64_t in = c->in[0]->dim[axis[i]];
        int64_t *d = &c->out[0].dim[axis[i]];
        dims_known &= in > 0;
        *d = known ? size[i] : data && data->n == count && !aspect ? mc_data_to_dim(c, data->v[i]) : mc_infer_symbol(c);
        if (known && (size[i] < 0 || size[i] > (int64_t)1 << 40)) return mc_infer_fail(c, MCOMP_RANGE, "size %d is %lld", i, (long long)size[i]);
        scale[axis[i]] = known && in > 0 ? (double)size[i] / (double)in : 1.0;
    }
    if (aspect && known && dims_known) keep_aspect(c, size, axis, count, larger, scale);
    else if (aspect)
        for (int32_t i = 0; i < count; i++) c->out[0].dim[axis[i]] = mc_infer_symbol(c);
    return MCOMP_OK;
}

static int given(const mc_infer *c, int32_t i)
{
    if (!mc_has(c, i)) return 0;
    return !(c->in[i]->rank == 1 && c->in[i]->dim[0] == 0); /* an empty tensor counts as absent */
}

static int32_t infer_plan(mc_infer *c, plan *p)
{
    int32_t st = MCOMP_OK, axis[MC_MAX_RANK], count = 0;
    MC_TRY(read_plan(c->node, p));
    MC_TRY(mc_infer_check(c, 0, MC_CLASS_NUMBER | MC_CLASS_BOOL));
    c->out[0].dtype = c->in[0]->dtype;
    if (given(c, 2) == given(c, 3)) return mc_infer_fail(c, MCOMP_FORMAT, "exactly one of scales and sizes is needed");
    if (c->in[0]->rank < 0) goto done;
    c->out[0].rank = c->in[0]->rank;
    for (int32_t i = 0; i < MC_MAX_RANK; i++) p->scale[i] = 1.0;
    for (int32_t i = 0; i < c->in[0]->rank; i++) c->out[0].dim[i] = c->in[0]->dim[i];
    MC_TRY(read_axes(c, c->in[0]->rank, axis, &count));
    if (given(c, 3)) MC_TRY(from_sizes(c, axis, count, p->scale));
    else if (mc_cst(c, 2)) MC_TRY(from_scales(c, c->cst[2], axis, count, p->scale));
    else
        for (int32_t i = 0; i < count; i++) c->out[0].dim[axis[i]] = mc_infer_symbol(c);
    for (int32_t i = 0; i < c->in[0]->rank; i++)
        if (c->in[0]->dim[i] == 0 && c->out[0].dim[i] > 0)
            return mc_infer_fail(c, MCOMP_SHAPE, "axis %d is empty and cannot grow", i);
done:
    return st;
}

static int32_t infer(mc_infer *c)
{
    plan p;
    memset(&p, 0, sizeof p);
    return infer_plan(c, &p);
}

static double coordinate(const plan *p, int64_t o, int64_t in, int64_t out, double scale)
{
    switch (p->coordinate) {
    case ALIGN_CORNERS: { /* the conformance suite takes scale * in, not its floor, for the length of the result */
        const double length = scale * (double)in;
        return out == 1 || length == 1.0 ? 0.0 : (double)o * (double)(in - 1) / (length - 1.0);
    }
    case ASYMMETRIC: return (double)o / scale;
    case PYTORCH_HALF_PIXEL: return out == 1 ? 0.0 : ((double)o + 0.5) / scale - 0.5;
    case HALF_PIXEL_SYMMETRIC: {
        const double adjustment = (double)out / (scale * (double)in), centre = (double)in / 2.0;
        return centre * (1.0 - adjustment) + ((double)o + 0.5) / scale - 0.5;
    }
    default: return ((double)o + 0.5) / scale - 0.5;
    }
}

/* Taps of one output position: up to four. */
typedef struct taps {
    int32_t n;
    int64_t at[4];
    double weight[4];
} taps;

static double nearest_index(int32_t mode, double x)
{
    switch (mode) {
    case PREFER_FLOOR: return ceil(x - 0.5);
    case PREFER_CEIL: return floor(x + 0.5);
    case FLOOR: return floor(x);
    default: return ceil(x);
    }
}

static double cubic_weight(double a, double t)
{
    t = fabs(t);
    if (t <= 1.0) return ((a + 2.0) * t - (a + 3.0)) * t * t + 1.0;
    return t < 2.0 ? ((a * t - 5.0 * a) * t + 8.0 * a) * t - 4.0 * a : 0.0;
}

static void taps_of(const plan *p, int64_t o, int64_t in, int64_t out, double scale, taps *t)
{
    const double x = coordinate(p, o, in, out, scale);
    double sum = 0.0;
    t->n = p->mode == NEAREST ? 1 : p->mode == LINEAR ? 2 : 4;
    const double first = p->mode == NEAREST ? nearest_index(p->nearest, x) : floor(x) - (p->mode == CUBIC ? 1.0 : 0.0);
    for (int32_t i = 0; i < t->n; i++) {
        const double at = first + i;
        const int outside = !(at >= 0.0 && at <= (double)(in - 1));
        t->at[i] = !outside ? (int64_t)at : at > 0.0 ? in - 1 : 0;
        t->weight[i] = p->mode == NEAREST ? 1.0 : p->mode == LINEAR ? 1.0 - fabs(x - at) : cubic_weight(p->cubic_a, x - at);
        if (outside && p->exclude_outside && p->mode != NEAREST) t->weight[i] = 0.0;
        sum += t->weight[i];
    }
    for (int32_t i = 0; i < t->n && p->exclude_outside && sum != 0.0; i++) t->weight[i] /= sum;
}

/* Resizes axis d of `from` (shape s, its axis d still the input's) to `out` elements. */
static double *resize_axis(const plan *p, const double *from, mc_shape *s, int32_t d, int64_t out)
{
    const int64_t in = s->dim[d], outer = mc_nn_extent(s, 0, d), inner = mc_nn_extent(s, d + 1, s->rank);
    int64_t total;
    s->dim[d] = out;
    if (mc_shape_elements(s, &total) != MCOMP_OK) return NULL;
    double *to = mc_calloc((size_t)total + 1, sizeof *to);
    for (int64_t o = 0; to && o < out; o++) {
        taps t;
        taps_of(p, o, in, out, p->scale[d], &t);
        for (int64_t a = 0; a < outer; a++)
            for (int64_t b = 0; b < inner; b++) {
                double v = 0.0;
                for (int32_t i = 0; i < t.n; i++) v += t.weight[i] * from[(a * in + t.at[i]) * inner + b];
                to[(a * out + o) * inner + b] = v;
            }
    }
    return to;
}

static int32_t plan_of(const mc_op_run *r, plan *p)
{
    mc_type types[4];
    mc_infer *c = mc_calloc(1, sizeof *c);
    if (!c) return MCOMP_NO_MEMORY;
    c->node = r->node;
    c->n_in = r->n_in;
    c->n_out = 1;
    for (int32_t i = 0; i < r->n_in && i < 4; i++) {
        if (!r->in[i]) continue;
        types[i] = mc_type_of(r->in[i]);
        c->in[i] = &types[i];
        c->cst[i] = r->in[i];
    }
    c->out[0].rank = -1;
    const int32_t st = infer_plan(c, p);
    mc_free(c);
    return st;
}

static int32_t forward(const mc_op_run *r)
{
    int32_t st = mc_nn_recheck(r, infer, 1);
    plan p;
    double *v = NULL;
    mc_shape s = r->in[0]->shape;
    memset(&p, 0, sizeof p);
    MC_TRY(st);
    MC_TRY(plan_of(r, &p));
    v = mc_nn_load(r->in[0]);
    if (!v) MC_FAIL(MCOMP_NO_MEMORY, r->node->name, "no memory for the input");
    for (int32_t d = 0; d < s.rank; d++) {
        const int64_t out = r->out[0]->shape.dim[d];
        if (out == s.dim[d] && p.scale[d] == 1.0) continue;
        double *next = resize_axis(&p, v, &s, d, out);
        mc_free(v);
        v = next;
        if (!v) MC_FAIL(MCOMP_NO_MEMORY, r->node->name, "no memory for axis %d", d);
    }
    mc_nn_store(r->out[0], v);
done:
    mc_free(v);
    return st;
}

const mc_op mc_op_Resize = {.name = "Resize", .domain = "", .version = 19, .since = 13, .min_in = 1, .max_in = 4, .min_out = 1,
                            .max_out = 1, .traits = MC_OP_VALUE_SHAPED, .quant = MC_Q_NONE, .infer = infer, .forward = forward};
