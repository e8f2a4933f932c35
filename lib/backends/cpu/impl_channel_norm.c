/* BatchNormalization that is not folded into a convolution (training, or variables as its operands) and its gradient, on channels-first
 * planes: a task is one channel, whose planes are visited in the order of the images, so the sums do not depend on the threads. */
#include "backends/cpu/work.h"

#include <math.h>

typedef struct channel_work {
    const mc_cpu_step *s;
    const float *x, *dy, *scale, *bias, *mean, *var;
    float *y, *mean_out, *var_out, *dscale, *dbias;
    int64_t images, channels, plane;
    int32_t training;
    float eps, momentum;
} channel_work;

static int is_plain(const mc_node *n, int32_t first, int32_t last)
{
    for (int32_t i = first; i <= last; i++)
        if (i < n->n_in && n->in[i] && !mc_cpu_is(mc_cpu_in_type(n, i), MCOMP_F32)) return 0;
    return mc_cpu_in_type(n, first) && mc_cpu_in_type(n, first)->rank >= 2;
}

static void shape_of(channel_work *w, const mcomp_bk_buffer *x)
{
    w->images = x->dims[0];
    w->channels = x->dims[1];
    w->plane = mc_cpu_product(x->dims, 2, x->rank);
}

static const float *plane_of(const channel_work *w, const float *t, int64_t image, int64_t c) { return t + (image * w->channels + c) * w->plane; }

/* Mean and variance of the batch: sums around the first value, which takes away most of a large mean, then around the mean. */
static void moments(const channel_work *w, int64_t c, double *mean, double *var)
{
    const double n = (double)(w->images * w->plane);
    double sum[2] = {0.0, 0.0}, square[2] = {0.0, 0.0};
    const float first = w->x[c * w->plane];
    for (int64_t m = 0; m < w->images; m++)
        w->s->kernels->f32.plane_sums(&(mc_plane_sums_f32){.x = plane_of(w, w->x, m, c), .mean = first, .n = w->plane}, sum);
    *mean = (double)first + sum[0] / n;
    for (int64_t m = 0; m < w->images; m++)
        w->s->kernels->f32.plane_sums(&(mc_plane_sums_f32){.x = plane_of(w, w->x, m, c), .mean = (float)*mean, .n = w->plane}, square);
    const double off = square[0] / n; /* the mean was rounded */
    *var = square[1] / n - off * off;
    if (*var < 0.0) *var = 0.0;
}

static void forward_range(void *ctx, int64_t begin, int64_t end, int32_t worker)
{
    const channel_work *w = ctx;
    (void)worker;
    for (int64_t c = begin; c < end; c++) {
        double mean = (double)w->mean[c], var = (double)w->var[c];
        if (w->training) moments(w, c, &mean, &var);
        if (w->mean_out) w->mean_out[c] = (float)((double)w->momentum * (double)w->mean[c] + (1.0 - (double)w->momentum) * mean);
        if (w->var_out) w->var_out[c] = (float)((double)w->momentum * (double)w->var[c] + (1.0 - (double)w->momentum) * var);
        const double scale = (double)w->scale[c] / sqrt(var + (double)w->eps);
        const float a = (float)scale, b = (float)((double)w->bias[c] - mean * scale);
        for (int64_t m = 0; m < w->images; m++)
            w->s->kernels->f32.unary(MC_UNARY_AFFINE, plane_of(w, w->x, m, c), w->y + (m * w->channels + c) * w->plane, w->plane, a, b);
    }
}

static int32_t claim_forward(const mc_node *n, mcomp_claim *c)
{
    if (!is_plain(n, 0, 4)) return 0;
    c->inplace_input = 1;
    return mc_cpu_claim_f32(c, "batch_norm", mc_cpu_guess(mc_cpu_in_type(n, 0)), 0.5);
}

static int32_t run_forward(const mc_cpu_step *s, const mcomp_run_args *a)
{
    channel_work w = {.s = s, .x = mc_cpu_in_f32(s, a, 0), .scale = mc_cpu_in_f32(s, a, 1), .bias = mc_cpu_in_f32(s, a, 2), .mean = mc_cpu_in_f32(s, a, 3), .var = mc_cpu_in_f32(s, a, 4),
                      .y = mc_cpu_out_f32(s, a, 0), .mean_out = mc_cpu_out_f32(s, a, 1), .var_out = mc_cpu_out_f32(s, a, 2), .training = mc_attr_i(s->node, "training_mode", 0) != 0,
                      .eps = mc_attr_f(s->node, "epsilon", 1e-5f), .momentum = mc_attr_f(s->node, "momentum", 0.9f)};
    shape_of(&w, mc_cpu_in(s, a, 0));
    mc_cpu_split(s, a, w.channels, w.images * w.plane * 2, forward_range, &w);
    return MCOMP_OK;
}

/* With g = scale dy and xh = (x - mean) inv: dx = inv (g - mean(g) - xh mean(g xh)); fixed moments: dx = inv g. */
static void gradient_range(void *ctx, int64_t begin, int64_t end, int32_t worker)
{
    const channel_work *w = ctx;
    const double n = (double)(w->images * w->plane);
    (void)worker;
    for (int64_t c = begin; c < end; c++) {
        double mean = w->training ? 0.0 : (double)w->mean[c], var = w->training ? 0.0 : (double)w->var[c], sum[2] = {0.0, 0.0};
        if (w->training) moments(w, c, &mean, &var);
        const float centre = (float)mean;
        for (int64_t m = 0; m < w->images; m++)
            w->s->kernels->f32.plane_sums(&(mc_plane_sums_f32){.x = plane_of(w, w->x, m, c), .dy = plane_of(w, w->dy, m, c), .mean = centre, .n = w->plane}, sum);
        sum[1] += ((double)centre - mean) * sum[0];
        const double inv = 1.0 / sqrt(var + (double)w->eps), k = (double)w->scale[c] * inv;
        if (w->dscale) w->dscale[c] = (float)(sum[1] * inv);
        if (w->dbias) w->dbias[c] = (float)sum[0];
        const double slope = w->training ? k * inv * inv * sum[1] / n : 0.0, shift = w->training ? k * sum[0] / n : 0.0;
        for (int64_t m = 0; w->y && m < w->images; m++)
            w->s->kernels->f32.combine(plane_of(w, w->dy, m, c), (float)k, plane_of(w, w->x, m, c), (float)-slope, (float)(slope * mean - shift),
                                       w->y + (m * w->channels + c) * w->plane, w->plane);
    }
}

static int32_t claim_gradient(const mc_node *n, mcomp_claim *c)
{
    const char *kind = mc_attr_s(n, "kind", "");
    if (!is_plain(n, 1, 4) || !mc_cpu_is(mc_cpu_in_type(n, 0), MCOMP_F32)) return 0;
    if (strcmp(kind, "batch") != 0 && strcmp(kind, "fixed") != 0) return 0;
    return mc_cpu_claim_f32(c, "batch_norm_grad", mc_cpu_guess(mc_cpu_in_type(n, 1)), 1.0);
}

static int32_t run_gradient(const mc_cpu_step *s, const mcomp_run_args *a)
{
    channel_work w = {.s = s, .dy = mc_cpu_in_f32(s, a, 0), .x = mc_cpu_in_f32(s, a, 1), .scale = mc_cpu_in_f32(s, a, 2), .mean = mc_cpu_in_f32(s, a, 3), .var = mc_cpu_in_f32(s, a, 4), .y = mc_cpu_out_f32(s, a, 0),
                      .dscale = mc_cpu_out_f32(s, a, 1), .dbias = mc_cpu_out_f32(s, a, 2), .training = strcmp(mc_attr_s(s->node, "kind", ""), "batch") == 0,
                      .eps = mc_attr_f(s->node, "epsilon", 1e-5f)};
    shape_of(&w, mc_cpu_in(s, a, 1));
    mc_cpu_split(s, a, w.channels, w.images * w.plane * 4, gradient_range, &w);
    return MCOMP_OK;
}

const mc_cpu_impl mc_cpu_batch_norm = {.domain = "", .op = "BatchNormalization", .claim = claim_forward, .run = run_forward};
const mc_cpu_impl mc_cpu_channel_norm_grad = {.domain = "mcomp", .op = "ChannelNormGrad", .claim = claim_gradient, .run = run_gradient};
