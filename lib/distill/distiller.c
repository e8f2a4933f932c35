/* The distiller's handle: options, the teacher, and how its losses get into a trainer. */
#include "distill/distiller.h"

int32_t mcomp_distiller_options_init(mcomp_distiller_options *o, uint32_t size)
{
    MC_API_ENTER();
    const int32_t st = mc_options_init(o, size, sizeof *o, "mcomp_distiller_options");
    if (st != MCOMP_OK) return st;
    const mcomp_distiller_options d = {.size = size, .batch = 32, .temperature = 2.0, .alpha = 0.3, .cache_bytes = UINT64_C(4) << 30};
    memcpy(o, &d, size < sizeof d ? size : sizeof d);
    return MCOMP_OK;
}

static int32_t check(const mcomp_distiller_options *o)
{
    if (o->batch < 1 || o->batch > 1 << 16) return mc_fail(MCOMP_RANGE, "batch", "%d samples a batch", o->batch);
    if (!(o->temperature >= 0.01 && o->temperature <= 1000.0)) return mc_fail(MCOMP_RANGE, "temperature", "a temperature of %g; 0.01 to 1000 is meaningful", o->temperature);
    if (!(o->alpha >= 0.0 && o->alpha <= 1.0)) return mc_fail(MCOMP_RANGE, "alpha", "%g: the weight of the hard loss is a fraction from 0 to 1", o->alpha);
    return MCOMP_OK;
}

static int32_t copy_strings(mcomp_distiller *d)
{
    const char **all[] = {&d->o.losses, &d->o.output, &d->o.cache};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (*all[i] && !(*all[i] = mc_arena_strdup(d->arena, *all[i]))) return MCOMP_NO_MEMORY;
    return MCOMP_OK;
}

int32_t mc_distiller_scores(const mcomp_distiller *d, int32_t *index)
{
    const mc_graph *g = d->teacher;
    for (*index = 0; *index < g->n_outputs; ++*index) {
        const mc_value *v = g->outputs[*index];
        if (d->o.output ? strcmp(v->name, d->o.output) == 0 : mc_dtype_is_float(v->type.dtype)) return MCOMP_OK;
    }
    if (d->o.output) return mc_fail(MCOMP_ARGUMENT, d->o.output, "the teacher has no such output");
    return mc_fail(MCOMP_ARGUMENT, "output", "the teacher has no float output to learn from");
}

int32_t mcomp_distiller_create(mcomp_distiller **out, mcomp_context *ctx, const mcomp_graph *teacher, const mcomp_distiller_options *options)
{
    int32_t st = MCOMP_OK, index;
    mcomp_distiller *d = NULL;
    MC_API_ENTER();
    MC_CHECK_ARG(1, out, "out", "is NULL");
    *out = NULL;
    MC_CHECK_ARG(2, ctx, "ctx", "is NULL");
    MC_CHECK_ARG(3, teacher && teacher->g, "teacher", "is NULL");
    d = mc_calloc(1, sizeof *d);
    if (!d) return MCOMP_NO_MEMORY;
    d->ctx = ctx;
    d->arena = mc_arena_create();
    if (!d->arena) MC_TRY(MCOMP_NO_MEMORY);
    MC_TRY(mcomp_distiller_options_init(&d->o, sizeof d->o));
    MC_TRY(mc_options_read(&d->o, sizeof d->o, options, "options"));
    MC_TRY(check(&d->o));
    MC_TRY(copy_strings(d));
    MC_TRY(mc_kd_parse(d->losses, &d->n_losses, d->o.losses ? d->o.losses : "logits"));
    for (int32_t i = 0; i < d->n_losses; i++) d->taps |= d->losses[i].loss->tap;
    MC_TRY(mc_graph_clone(&d->teacher, teacher->g));
    MC_TRY(mc_graph_sort(d->teacher));
    MC_TRY(mc_distiller_scores(d, &index));
    *out = d;
    return MCOMP_OK;
done:
    mcomp_distiller_destroy(d);
    return st;
}

int mc_distiller_keeps(const mcomp_distiller *d, int part) { return d->taps & (part == MC_TOKENS_HIDDEN ? MC_TAP_HIDDEN : MC_TAP_RELATION) ? 1 : 0; }

void mc_distiller_forget(mcomp_distiller *d)
{
    mc_kd_store_close(d->store);
    mc_free(d->said);
    for (size_t i = 0; i < sizeof d->batch / sizeof *d->batch; i++) mc_tensor_destroy(d->batch[i]);
    d->store = NULL;
    d->said = NULL;
    memset(d->batch, 0, sizeof d->batch);
    d->n_samples = d->width = d->hidden = d->inner = 0;
}

void mcomp_distiller_destroy(mcomp_distiller *d)
{
    if (!d) return;
    mc_distiller_forget(d);
    mcomp_graph_destroy(d->student);
    mcomp_graph_destroy(d->control);
    mc_graph_destroy(d->teacher);
    mc_arena_destroy(d->arena);
    mc_free(d);
}

int32_t mcomp_distiller_info_get(const mcomp_distiller *d, mcomp_distiller_info *out)
{
    MC_API_ENTER();
    MC_CHECK_ARG(1, d, "d", "is NULL");
    mcomp_distiller_info info = d->info;
    info.over_tokens = d->taps != 0;
    return mc_info_give(out, &info, sizeof info, 2);
}
