/* mcomp.ChannelNormGrad of InstanceNormalization and GroupNormalization, in float on channels-first planes: a task is one group of
 * channels of one image; the gradients of scale and bias are its planes' sums, added over the images in order.
 *
 * With h = (x - mean) inv, g = dy scale[c] and means over the group: dx = inv (g - mean(g) - h mean(g h)), which in one channel is
 * a dy + b x + c. */
#include "backends/cpu/work.h"

#include <math.h>

static int32_t claim(const mc_node *n, mcomp_claim *out)
{
    const char *kind = mc_attr_s(n, "kind", "");
    const mc_type *x = mc_cpu_in_type(n, 1);
    if (strcmp(kind, "instance") != 0 && strcmp(kind, "group") != 0) return 0;
    for (int32_t i = 0; i < n->n_in; i++)
        if (n->in[i] && !mc_cpu_is(&n->in[i]->type, MCOMP_F32)) return 0;
    if (!x || x->rank < 2) return 0;
    return mc_cpu_claim_f32(out, "group_norm_grad", mc_cpu_guess(x), 1.0);
}

static int32_t prepare(mc_cpu_step *s)
{
    const mc_type *x = mc_cpu_in_type(s->node, 1);
    if (x->dim[0] > 0 && x->dim[1] > 0) s->scratch_bytes = 2 * sizeof(double) * (uint64_t)(x->dim[0] * x->dim[1]);
    return MCOMP_OK;
}

typedef struct group_work {
    const mc_kernels_f32 *k;
    const float *x, *dy, *scale;
    float *dx;
    double *sums; /* of each plane: dy, and dy (x - mean) inv */
    double eps;
    int64_t channels, plane, per; /* per: channels of a group */
} group_work;

/* Planes first .. first + per: around the first value, which takes away most of a large mean, then around the mean. */
static void moments(const group_work *w, int64_t first, double *mean, double *var)
{
    const mc_plane_sums_f32 all = {.x = w->x + first * w->plane, .mean = w->x[first * w->plane], .n = w->per * w->plane};
    double sum[2] = {0.0, 0.0}, square[2] = {0.0, 0.0};
    w->k->plane_sums(&all, sum);
    *mean = (double)all.mean + sum[0] / (double)all.n;
    w->k->plane_sums(&(mc_plane_sums_f32){.x = all.x, .mean = (float)*mean, .n = all.n}, square);
    const double off = square[0] / (double)all.n; /* the mean was rounded */
    *var = square[1] / (double)all.n - off * off;
    if (*var < 0.0) *var = 0.0;
}

static void groups_range(void *ctx, int64_t begin, int64_t end, int32_t worker)
{
    const group_work *w = ctx;
    const double n = (double)(w->per * w->plane);
    (void)worker;
    for (int64_t i = begin; i < end; i++) {
        const int64_t first = i * w->per;
        double mean, var, mean_g = 0.0, mean_gh = 0.0;
        moments(w, first, &mean, &var);
        const double inv = 1.0 / sqrt(var + w->eps);
        for (int64_t p = first; p < first + w->per; p++) {
            const double scale = (double)w->scale[p % w->channels];
            double *sum = w->sums + 2 * p;
            sum[0] = sum[1] = 0.0;
            w->k->plane_sums(&(mc_plane_sums_f32){.x = w->x + p * w->plane, .dy = w->dy + p * w->plane, .mean = (float)mean, .n = w->plane}, sum);
            sum[1] = (sum[1] + ((double)(float)mean - mean) * sum[0]) * inv;
            mean_g += scale * sum[0] / n;
            mean_gh += scale * sum[1] / n;
        }
        const double on_x = -inv * inv * mean_gh, rest = -inv * mean_g - on_x * mean;
        for (int64_t p = first; p < first + w->per && w->dx; p++)
            w->k->combine(w->dy + p * w->plane, (float)(inv * (double)w->scale[p % w->channels]), w->x + p * w->plane, (float)on_x, (float)rest,
                          w->dx + p * w->plane, w->plane);
    }
}

static float *out_data(const mc_cpu_step *s, const mcomp_run_args *a, int32_t i)
{
    const mcomp_bk_buffer *b = mc_cpu_out(s, a, i);
    return b ? b->data : NULL;
}

static int32_t run(const mc_cpu_step *s, const mcomp_run_args *a)
{
    const mcomp_bk_buffer *dy = mc_cpu_in(s, a, 0), *x = mc_cpu_in(s, a, 1), *scale = mc_cpu_in(s, a, 2);
    float *dscale = out_data(s, a, 1), *dbias = out_data(s, a, 2);
    if (mc_cpu_elements(x) == 0) return mc_cpu_ref.run(s, a);
    if (mc_cpu_elements(dy) != mc_cpu_elements(x)) return mc_fail(MCOMP_SHAPE, s->node->name, "dy and x differ");
    group_work w = {.k = &s->kernels->f32, .x = x->data, .dy = dy->data, .scale = scale->data, .dx = out_data(s, a, 0), .sums = a->scratch,
                    .eps = (double)mc_attr_f(s->node, "epsilon", 1e-5f), .channels = x->dims[1], .plane = mc_cpu_product(x->dims, 2, x->rank)};
    const int64_t groups = strcmp(mc_attr_s(s->node, "kind", ""), "group") == 0 ? mc_attr_i(s->node, "num_groups", 1) : w.channels;
    if (groups < 1 || w.channels % groups != 0) return mc_fail(MCOMP_SHAPE, s->node->name, "channels do not divide into groups");
    w.per = w.channels / groups;
    mc_cpu_split(s, a, x->dims[0] * groups, w.per * w.plane * 4, groups_range, &w);
    for (int64_t c = 0; c < w.channels; c++) {
        double sum[2] = {0.0, 0.0};
        for (int64_t p = c; p < x->dims[0] * w.channels; p += w.channels) {
            sum[0] += w.sums[2 * p];
            sum[1] += w.sums[2 * p + 1];
        }
        if (dscale) dscale[c] = (float)sum[1];
        if (dbias) dbias[c] = (float)sum[0];
    }
    return MCOMP_OK;
}

const mc_cpu_impl mc_cpu_group_norm_grad = {.domain = "mcomp", .op = "ChannelNormGrad", .claim = claim, .prepare = prepare, .run = run};
