/* Weights or whole units go, while the model trains; the teacher's losses may stay on. */
#include "recipe/run.h"

/* A decision that rests on timings is taken once: how much has to go for a latency is kept in the journal. */
static int32_t settle_latency(mc_run *r, mc_run_stage *s, mcomp_pruner_options *o)
{
    int32_t st = MCOMP_OK;
    mcomp_pruner *p = NULL;
    const mc_run_data *d = s->from->data;
    double sparsity = 0.0;
    if (o->latency_ms <= 0.0) return MCOMP_OK;
    if (!mc_json_number(mc_json_get(s->node.journal, "sparsity"), &sparsity)) {
        MC_TRY(mcomp_pruner_create(&p, r->ctx, s->from->g, o));
        st = mc_pruner_settle(p, d->valid ? d->valid : d->train ? d->train : d->calib, &sparsity);
        if (st == MCOMP_TARGET_MISSED) {
            MC_TRY(mc_put_text(s->node.journal, "missed", mc_error_peek()->message));
            st = MCOMP_OK;
        }
        MC_TRY(st);
        MC_TRY(mc_put_number(s->node.journal, "sparsity", sparsity));
        MC_TRY(mc_store_node_keep(&s->node));
        MC_TRY(mc_store_node_reread(&s->node)); /* as it will be read after an interruption, to the digit */
        (void)mc_json_number(mc_json_get(s->node.journal, "sparsity"), &sparsity);
    }
    MC_TRY(mc_put_text(s->facts, "missed", mc_json_string(mc_json_get(s->node.journal, "missed"))));
    o->latency_ms = 0.0;
    o->sparsity = sparsity;
done:
    mcomp_pruner_destroy(p);
    return st;
}

static int32_t options(mc_run *r, const mc_section *s, mcomp_pruner_options *o)
{
    int32_t st = MCOMP_OK;
    MC_TRY(mcomp_pruner_options_init(o, sizeof *o));
    o->pattern = mc_section_str(s, "pattern");
    o->criterion = mc_section_str(s, "criterion");
    o->schedule = mc_section_str(s, "schedule");
    o->match = mc_section_str(s, "match");
    o->keep = mc_section_str(s, "keep");
    o->global = mc_section_flag(s, "global");
    o->align = mc_section_int(s, "align");
    if (mc_section_has(s, "sparsity")) o->sparsity = mc_section_num(s, "sparsity");
    if (mc_section_has(s, "macs")) o->macs = mc_section_num(s, "macs");
    if (mc_section_has(s, "latency_ms")) o->latency_ms = mc_section_num(s, "latency_ms");
    (void)r;
done:
    return st;
}

/* What was pruned, node by node; those whose zeros later trainings must leave alone as `zeros`. */
static int32_t sites(mc_run_stage *s, const mcomp_pruner *p, const char *pattern)
{
    int32_t st = MCOMP_OK;
    int64_t n = 0;
    mc_json *list, *one;
    const int units = strcmp(pattern, "channel") == 0 || strcmp(pattern, "ffn") == 0 || strcmp(pattern, "head") == 0;
    MC_TRY(mcomp_pruner_site_count(p, &n));
    MC_TRY(mc_put_new(s->facts, units ? "cut" : "zeros", 1, &list));
    for (int64_t i = 0; i < n; i++) {
        mcomp_prune_site k = {.size = sizeof k};
        MC_TRY(mcomp_pruner_site_get(p, i, &k));
        MC_TRY(mc_put_new(list, NULL, 0, &one));
        MC_TRY(mc_put_text(one, "node", k.node));
        MC_TRY(mc_put_text(one, "pattern", pattern));
        MC_TRY(mc_json_set_int(one, "pieces", k.pieces));
        MC_TRY(mc_json_set_int(one, "kept", k.kept));
        MC_TRY(mc_put_number(one, "sparsity", k.sparsity));
    }
done:
    return st;
}

static int32_t facts(mc_run_stage *s, const mcomp_pruner *p, const mcomp_prune_result *result, const mcomp_pruner_options *o)
{
    int32_t st = MCOMP_OK;
    mc_json *e;
    mc_str what = {0};
    MC_TRY(mc_str_appendf(&what, "%s by %s: %.1f %% of what was pruned is gone", o->pattern, o->criterion, 100.0 * result->sparsity));
    MC_TRY(mc_put_text(s->facts, "what", what.data));
    MC_TRY(mc_put_number(s->facts, "sparsity", result->sparsity));
    if (result->equivalence_samples > 0) {
        MC_TRY(mc_put_new(s->facts, "equivalence", 0, &e));
        MC_TRY(mc_put_number(e, "max_abs", result->equivalence_max_abs));
        MC_TRY(mc_json_set_int(e, "samples", result->equivalence_samples));
    }
    MC_TRY(mc_json_set_int(s->facts, "params_left", result->params_after));
    MC_TRY(mc_put_number(s->facts, "macs_left", result->macs_after));
    st = sites(s, p, o->pattern);
done:
    mc_str_free(&what);
    return st;
}

typedef struct preparing {
    mc_run *r;
    mc_run_stage *s;
    mcomp_distiller *teacher;
} preparing;

static int32_t prepare(void *payload, mcomp_trainer *t)
{
    int32_t st = MCOMP_OK;
    const preparing *p = payload;
    if (p->teacher) MC_TRY(mcomp_distiller_attach(p->teacher, t));
    st = mc_stage_hold_zeros(p->r, p->s, t);
done:
    return st;
}

static int32_t run(mc_run *r, mc_run_stage *s)
{
    int32_t st = MCOMP_OK;
    mc_stage_training training = {0};
    mcomp_trainer_options o;
    mcomp_pruner_options po;
    mcomp_pruner *p = NULL;
    mcomp_prune_result result = {.size = sizeof result};
    preparing plug = {.r = r, .s = s};
    const mc_run_data *d = s->from->data;
    const int trains = mc_section_int(s->pass, "epochs") > 0;
    if (trains && !d->train) return mc_recipe_fail(r->recipe, MCOMP_RECIPE, s->pass, NULL, "there are no samples to train on: data.train, or epochs: 0");
    MC_TRY(mc_stage_training_open(&training, r, s, &o));
    MC_TRY(options(r, s->pass, &po));
    MC_TRY(settle_latency(r, s, &po));
    if (trains) MC_TRY(mc_stage_teacher(r, s, &plug.teacher));
    else o.epochs = 1;
    MC_TRY(mcomp_pruner_create(&p, r->ctx, s->from->g, &po));
    mc_pruner_set_prepare(p, prepare, &plug);
    st = mcomp_pruner_run(&result, NULL, p, trains ? d->train : NULL, d->valid ? d->valid : trains ? NULL : d->calib, &o);
    if (st == MCOMP_TARGET_MISSED) st = mc_put_text(s->facts, "missed", mc_error_peek()->message); /* what came nearest is the result */
    MC_TRY(st);
    MC_TRY(mcomp_pruner_graph(&s->made, p));
    st = facts(s, p, &result, &po);
done:
    mcomp_pruner_destroy(p);
    mcomp_distiller_destroy(plug.teacher);
    mc_stage_training_close(&training);
    return st;
}

const mc_stage_kind mc_stage_prune = {"prune", mc_stage_teacher_key, run};
