/* BatchNormalization by the moments of the batch, and mcomp.ChannelNormGrad (batch, fixed, instance, group), in float on
 * channels-first planes. A block is the set of elements that share their moments: a channel of all images, or a group of channels of
 * one image; one worker does a block. Sums of planes are joined in double, in order.
 *
 * With h = (x - mean) inv, g = dy scale[c] and means over the block: dx = inv (g - mean(g) - h mean(g h)), which in one channel is
 * a dy + b x + c. */
#include "backends/cpu/work.h"

#include <math.h>

enum { FIXED, BATCH, INSTANCE, GROUP, FORWARD };

static int kind_of(const mc_node *n)
{
    static const char *const names[] = {"fixed", "batch", "instance", "group"};
    if (strcmp(n->op, "BatchNormalization") == 0) return FORWARD;
    for (int i = 0; i < 4; i++)
        if (strcmp(mc_attr_s(n, "kind", ""), names[i]) == 0) return i;
    return -1;
}

static int32_t claim(const mc_node *n, mcomp_claim *out)
{
    const int kind = kind_of(n);
    const mc_type *x = mc_cpu_in_type(n, kind == FORWARD ? 0 : 1);
    if (kind < 0 || (kind == FORWARD && (mc_attr_i(n, "training_mode", 0) == 0 || n->n_in < 5))) return 0;
    for (int32_t i = 0; i < n->n_in; i++)
        if (n->in[i] && !mc_cpu_is(&n->in[i]->type, MCOMP_F32)) return 0;
    if (!x || x->rank < 2) return 0;
    return mc_cpu_claim_f32(out, kind == FORWARD ? "batchnorm_training" : "channel_norm_grad", mc_cpu_guess(x), 0.6);
}

static int32_t prepare(mc_cpu_step *s)
{
    const mc_type *x = mc_cpu_in_type(s->node, kind_of(s->node) == FORWARD ? 0 : 1);
    if (x->dim[0] > 0 && x->dim[1] > 0) s->scratch_bytes = 2 * sizeof(double) * (uint64_t)(x->dim[0] * x->dim[1]); /* sums of each plane */
    return MCOMP_OK;
}

typedef struct channel_work {
    const mc_kernels_f32 *k;
    int kind;
    const float *x, *dy, *scale, *bias, *mean, *var;
    float *y, *out_mean, *out_var; /* y: or dX */
    double *sums;                  /* [images][channels][2]: of dy, of dy (x - mean) inv */
    float eps, momentum;
    int64_t images, channels, plane, groups; /* groups: of instance and group */
} channel_work;

/* Planes of a block: i-th of n, in the order of images, then channels. */
typedef struct block {
    int64_t first, n, step;
} block;

static block block_of(const channel_work *w, int64_t b)
{
    const int64_t per = w->channels / w->groups;
    if (w->kind == INSTANCE || w->kind == GROUP) return (block){b / w->groups * w->channels + b % w->groups * per, per, 1};
    return (block){b, w->images, w->channels};
}

static void moments(const channel_work *w, const block *b, int64_t channel, double *mean, double *var)
{
    const double n = (double)(b->n * w->plane);
    double sum = 0.0;
    if (w->kind == FIXED) {
        *mean = (double)w->mean[channel];
        *var = (double)w->var[channel];
        return;
    }
    for (int64_t i = 0; i < b->n; i++) sum += (double)w->k->reduce(MC_REDUCE_SUM, w->x + (b->first + i * b->step) * w->plane, w->plane);
    *mean = sum / n;
    sum = 0.0;
    for (int64_t i = 0; i < b->n; i++) sum += (double)w->k->centred_squares(w->x + (b->first + i * b->step) * w->plane, w->plane, (float)*mean);
    *var = sum / n;
}

static void forward_range(void *ctx, int64_t begin, int64_t end, int32_t worker)
{
    const channel_work *w = ctx;
    (void)worker;
    for (int64_t c = begin; c < end; c++) {
        const block b = block_of(w, c);
        double mean, var;
        moments(w, &b, c, &mean, &var);
        const double p = (double)w->scale[c] / sqrt(var + (double)w->eps), keep = (double)w->momentum;
        if (w->out_mean) w->out_mean[c] = (float)(keep * (double)w->mean[c] + (1.0 - keep) * mean);
        if (w->out_var) w->out_var[c] = (float)(keep * (double)w->var[c] + (1.0 - keep) * var);
        for (int64_t i = 0; i < b.n; i++) {
            const int64_t at = (b.first + i * b.step) * w->plane;
            w->k->unary(MC_UNARY_AFFINE, w->x + at, w->y + at, w->plane, (float)p, (float)((double)w->bias[c] - mean * p));
        }
    }
}

static void grad_range(void *ctx, int64_t begin, int64_t end, int32_t worker)
{
    const channel_work *w = ctx;
    (void)worker;
    for (int64_t i = begin; i < end; i++) {
        const block b = block_of(w, i);
        const double n = (double)(b.n * w->plane);
        double mean, var, mean_g = 0.0, mean_gh = 0.0;
        moments(w, &b, b.first % w->channels, &mean, &var);
        const double inv = 1.0 / sqrt(var + (double)w->eps);
        for (int64_t k = 0; k < b.n; k++) {
            const int64_t p = b.first + k * b.step;
            const double scale = (double)w->scale[p % w->channels];
            float sum[2];
            w->k->centred_sums(w->dy + p * w->plane, w->x + p * w->plane, w->plane, (float)mean, sum);
            w->sums[2 * p] = (double)sum[0];
            w->sums[2 * p + 1] = (double)sum[1] * inv;
            mean_g += scale * w->sums[2 * p] / n;
            mean_gh += scale * w->sums[2 * p + 1] / n;
        }
        if (w->kind == FIXED) mean_g = mean_gh = 0.0;
        const double on_x = -inv * inv * mean_gh, rest = -inv * mean_g - on_x * mean;
        for (int64_t k = 0; k < b.n && w->y; k++) {
            const int64_t p = b.first + k * b.step, at = p * w->plane;
            w->k->combine(w->dy + at, w->x + at, w->y + at, w->plane, (float)(inv * (double)w->scale[p % w->channels]), (float)on_x, (float)rest);
        }
    }
}

static float *out_data(const mc_cpu_step *s, const mcomp_run_args *a, int32_t i)
{
    const mcomp_bk_buffer *b = mc_cpu_out(s, a, i);
    return b ? b->data : NULL;
}
static const float *in_data(const mc_cpu_step *s, const mcomp_run_args *a, int32_t i)
{
    const mcomp_bk_buffer *b = mc_cpu_in(s, a, i);
    return b ? b->data : NULL;
}

static void scale_and_bias(const channel_work *w, float *dscale, float *dbias)
{
    for (int64_t c = 0; c < w->channels; c++) {
        double bias = 0.0, scale = 0.0;
        for (int64_t i = 0; i < w->images; i++) {
            bias += w->sums[2 * (i * w->channels + c)];
            scale += w->sums[2 * (i * w->channels + c) + 1];
        }
        if (dscale) dscale[c] = (float)scale;
        if (dbias) dbias[c] = (float)bias;
    }
}

static int32_t run(const mc_cpu_step *s, const mcomp_run_args *a)
{
    const int kind = kind_of(s->node), x = kind == FORWARD ? 0 : 1;
    const mcomp_bk_buffer *b = mc_cpu_in(s, a, x);
    channel_work w = {.k = &s->kernels->f32, .kind = kind, .x = b->data, .scale = in_data(s, a, x + 1), .mean = in_data(s, a, 3),
                      .var = in_data(s, a, 4), .y = out_data(s, a, 0), .sums = a->scratch, .eps = mc_attr_f(s->node, "epsilon", 1e-5f),
                      .momentum = mc_attr_f(s->node, "momentum", 0.9f), .images = b->dims[0], .channels = b->dims[1],
                      .plane = mc_cpu_product(b->dims, 2, b->rank)};
    if (mc_cpu_elements(b) == 0) return mc_cpu_ref.run(s, a);
    w.groups = kind == GROUP ? mc_attr_i(s->node, "num_groups", 1) : w.channels;
    if (w.groups < 1 || w.channels % w.groups != 0) return mc_fail(MCOMP_SHAPE, s->node->name, "channels do not divide into groups");
    if (kind == FORWARD) {
        w.bias = in_data(s, a, 2);
        w.out_mean = out_data(s, a, 1);
        w.out_var = out_data(s, a, 2);
        mc_cpu_split(s, a, w.channels, w.images * w.plane * 3, forward_range, &w);
        return MCOMP_OK;
    }
    w.dy = in_data(s, a, 0);
    if (mc_cpu_elements(mc_cpu_in(s, a, 0)) != mc_cpu_elements(b)) return mc_fail(MCOMP_SHAPE, s->node->name, "dy and x differ");
    const int64_t blocks = kind == INSTANCE || kind == GROUP ? w.images * w.groups : w.channels;
    mc_cpu_split(s, a, blocks, w.images * w.channels / blocks * w.plane * 4, grad_range, &w);
    scale_and_bias(&w, out_data(s, a, 1), out_data(s, a, 2));
    return MCOMP_OK;
}

const mc_cpu_impl mc_cpu_batchnorm_training = {.domain = "", .op = "BatchNormalization", .claim = claim, .prepare = prepare, .run = run};
const mc_cpu_impl mc_cpu_channel_norm_grad = {.domain = "mcomp", .op = "ChannelNormGrad", .claim = claim, .prepare = prepare, .run = run};
