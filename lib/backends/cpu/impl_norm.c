/* Normalisations of float tensors: LayerNormalization and RMSNormalization of rows; InstanceNormalization,
 * GroupNormalization and BatchNormalization (inference) of channels-first planes [N,C,spatial...]. */
#include "backends/cpu/work.h"

#include <math.h>

enum { KIND_LAYER, KIND_RMS, KIND_INSTANCE, KIND_GROUP, KIND_BATCH };

static int32_t kind_of(const mc_node *n)
{
    static const char *const names[] = {"LayerNormalization", "RMSNormalization", "InstanceNormalization", "GroupNormalization",
                                        "BatchNormalization"};
    if (strcmp(n->domain, "") != 0) return -1;
    for (int32_t i = 0; i < 5; i++)
        if (strcmp(names[i], n->op) == 0) return i;
    return -1;
}

static int32_t claim(const mc_node *n, mcomp_claim *out)
{
    static const char *const names[] = {"layernorm", "rmsnorm", "instancenorm", "groupnorm", "batchnorm"};
    const int32_t kind = kind_of(n);
    if (kind < 0) return 0;
    for (int32_t i = 0; i < n->n_in; i++)
        if (n->in[i] && !mc_cpu_is(&n->in[i]->type, MCOMP_F32)) return 0;
    for (int32_t i = 1; i < n->n_out; i++) /* mean and deviation for training: the reference's work */
        if (n->out[i] && (n->out[i]->n_uses > 0 || n->out[i]->flags & MC_VALUE_OUTPUT)) return 0;
    if (mc_attr_i(n, "training_mode", 0) != 0 || mc_attr_i(n, "stash_type", 1) != 1) return 0;
    if (kind == KIND_RMS || kind == KIND_LAYER) { /* scale must cover the normalised axes, not broadcast within them */
        const mc_type *x = mc_cpu_in_type(n, 0), *g = mc_cpu_in_type(n, 1);
        if (!g || x->rank < 1 || g->rank < 1) return 0;
        const int32_t axis = mc_cpu_axis(mc_attr_i(n, "axis", -1), x->rank);
        if (axis < 0 || x->rank - axis != g->rank) return 0;
        for (int32_t i = 0; i < g->rank; i++)
            if (g->dim[i] != x->dim[axis + i]) return 0;
    }
    out->inplace_input = 1;
    return mc_cpu_claim_f32(out, names[kind], mc_cpu_guess(mc_cpu_in_type(n, 0)), 0.3);
}

typedef struct norm_work {
    const mc_kernels *k;
    int32_t kind;
    const float *x, *gamma, *beta, *mean, *var;
    float *y, eps;
    int64_t channels, plane, group; /* channels of one sample, elements of a channel, channels of a group */
} norm_work;

static void rows_range(void *ctx, int64_t begin, int64_t end, int32_t worker)
{
    const norm_work *w = ctx;
    const int64_t n = w->plane;
    const mc_norm_f32 norm = {.x = w->x + begin * n, .gamma = w->gamma, .beta = w->beta, .y = w->y + begin * n, .ld_x = n,
                              .ld_y = n, .rows = end - begin, .n = n, .eps = w->eps, .rms = w->kind == KIND_RMS};
    (void)worker;
    w->k->f32.norm(&norm);
}

/* A unit is one group of channels of one sample (one channel for instance and batch normalisation). */
static void planes_range(void *ctx, int64_t begin, int64_t end, int32_t worker)
{
    const norm_work *w = ctx;
    (void)worker;
    for (int64_t i = begin; i < end; i++) {
        const int64_t first = i * w->group % w->channels, n = w->group * w->plane;
        const float *x = w->x + i * n;
        float *y = w->y + i * n;
        if (w->kind != KIND_BATCH) {
            const mc_norm_f32 norm = {.x = x, .y = y, .ld_x = n, .ld_y = n, .rows = 1, .n = n, .eps = w->eps};
            w->k->f32.norm(&norm);
            x = y;
        }
        for (int64_t c = 0; c < w->group; c++) {
            float p = w->gamma[first + c], q = w->beta[first + c];
            if (w->kind == KIND_BATCH) {
                p = p / sqrtf(w->var[first + c] + w->eps);
                q = q - w->mean[first + c] * p;
            }
            w->k->f32.unary(MC_UNARY_AFFINE, x + c * w->plane, y + c * w->plane, w->plane, p, q);
        }
    }
}

static const float *data_of(const mcomp_bk_buffer *b) { return b ? b->data : NULL; }

static int32_t run(const mc_cpu_step *s, const mcomp_run_args *a)
{
    const mcomp_bk_buffer *x = mc_cpu_in(s, a, 0);
    norm_work w = {.k = s->kernels, .kind = kind_of(s->node), .x = x->data, .y = mc_cpu_out(s, a, 0)->data, .group = 1,
                   .eps = mc_attr_f(s->node, "epsilon", 1e-5f)};
    w.gamma = data_of(mc_cpu_in(s, a, 1));
    w.beta = data_of(mc_cpu_in(s, a, 2));
    w.mean = data_of(mc_cpu_in(s, a, 3));
    w.var = data_of(mc_cpu_in(s, a, 4));
    const int64_t total = mc_cpu_elements(x);
    if (total == 0) return MCOMP_OK;
    if (w.kind == KIND_LAYER || w.kind == KIND_RMS) {
        const int32_t axis = mc_cpu_axis(mc_attr_i(s->node, "axis", -1), x->rank);
        w.plane = mc_cpu_product(x->dims, axis < 0 ? 0 : axis, x->rank);
        mc_cpu_split(s, a, total / w.plane, w.plane * 2, rows_range, &w);
        return MCOMP_OK;
    }
    w.channels = x->rank > 1 ? x->dims[1] : 1;
    w.plane = mc_cpu_product(x->dims, 2, x->rank);
    if (w.kind == KIND_GROUP) {
        const int64_t groups = mc_attr_i(s->node, "num_groups", 1);
        if (groups < 1 || w.channels % groups != 0) return mc_fail(MCOMP_SHAPE, s->node->name, "channels do not divide into groups");
        w.group = w.channels / groups;
    }
    mc_cpu_split(s, a, total / (w.plane * w.group), w.plane * w.group, planes_range, &w);
    return MCOMP_OK;
}

const mc_cpu_impl mc_cpu_norm = {.claim = claim, .run = run};
