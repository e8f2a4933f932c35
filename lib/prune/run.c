/* One pruning: the target, the training with masks, the cut, the comparison, the figures. */
#include "prune/pruner.h"

#define PROBE_STEPS 64 /* batches whose gradients the first choice by taylor rests on */

typedef struct job {
    mcomp_pruner *p;
    mcomp_dataset *train, *valid;
    mcomp_trainer_options o;
    mcomp_graph model;       /* p->g as a handle */
    mcomp_trainer *t, *probe;
    mcomp_train_result result;
} job;

/* Chooses what is gone at this fraction and puts it into the masks. */
static int32_t choose(mcomp_pruner *p, double fraction, const mc_prune_source *src)
{
    int32_t st = MCOMP_OK;
    MC_TRY(mc_prune_score(&p->state, &p->plan, src));
    MC_TRY(mc_prune_select(&p->state, &p->plan, fraction, p->o.global));
    mc_prune_masks_fill(&p->masks, &p->plan, &p->state);
done:
    return st;
}

static int32_t set_masks(mcomp_pruner *p, mcomp_trainer *t)
{
    int32_t st = MCOMP_OK;
    for (int64_t i = 0; i < p->masks.n && st == MCOMP_OK; i++)
        st = mc_trainer_set_mask(t, p->masks.weight[i]->name, p->masks.mask[i], p->plan.pattern->kind == MC_PRUNE_UNITS);
    return st;
}

static int32_t after_update(void *payload, mcomp_trainer *t, int64_t updates)
{
    int32_t st = MCOMP_OK;
    mcomp_pruner *p = payload;
    const mc_prune_source src = {.trainer = t, .moments = t};
    double fraction;
    if (!mc_prune_due(p->schedule, updates, mc_trainer_updates_planned(t), p->sparsity, &fraction)) return MCOMP_OK;
    MC_TRY(choose(p, fraction, &src));
    MC_TRY(set_masks(p, t));
done:
    return st;
}

/* Gradients before anything is gone: steps with a rate of 0 fill Adam's moments and change no weight. */
static int32_t probe(job *j)
{
    int32_t st = MCOMP_OK;
    mcomp_trainer_options o = j->o;
    o.optimizer = "adamw";
    o.lr_scale = "*=0";
    o.max_steps = PROBE_STEPS;
    o.checkpoint = NULL;
    o.resume = 0;
    o.progress = NULL;
    MC_TRY(mcomp_trainer_create(&j->probe, j->p->ctx, &j->model, &o));
    if (j->p->prepare) MC_TRY(j->p->prepare(j->p->prepare_payload, j->probe));
    MC_TRY(mcomp_trainer_fit(NULL, j->probe, j->train, j->valid));
done:
    return st;
}

/* The model as given, by the training's own yardstick. */
static int32_t measure(job *j, mcomp_prune_result *r)
{
    int32_t st = MCOMP_OK;
    mcomp_trainer *t = NULL;
    mcomp_trainer_options o = j->o;
    mc_measured m = {0};
    o.resume = 0;
    MC_TRY(mcomp_trainer_create(&t, j->p->ctx, &j->model, &o));
    MC_TRY(mc_trainer_measure(t, j->train, j->valid, &m));
    r->before_metric = m.value;
    r->before_lo = m.lo;
    r->before_hi = m.hi;
done:
    mcomp_trainer_destroy(t);
    return st;
}

static int32_t train(job *j, mc_graph **out)
{
    int32_t st = MCOMP_OK;
    mcomp_pruner *p = j->p;
    mcomp_graph *g = NULL;
    if (j->o.average > 0.0) MC_FAIL(MCOMP_ARGUMENT, "average", "an average of the weights would bring back what is pruned");
    const double first = p->schedule->at(0.0, p->sparsity); /* gone before the first step */
    if (p->plan.criterion->moments && j->o.optimizer && strcmp(j->o.optimizer, "sgd") == 0)
        MC_FAIL(MCOMP_ARGUMENT, "criterion", "%s reads the moments that adam, adamw and lamb keep; sgd keeps none", p->plan.criterion->name);
    if (first > 0.0) {
        if (p->plan.criterion->moments) MC_TRY(probe(j));
        const mc_prune_source src = {.moments = j->probe};
        MC_TRY(choose(p, first, &src));
    }
    MC_TRY(mcomp_trainer_create(&j->t, p->ctx, &j->model, &j->o));
    if (p->prepare) MC_TRY(p->prepare(p->prepare_payload, j->t));
    MC_TRY(set_masks(p, j->t));
    mc_trainer_best_after(j->t, p->schedule->end(p->sparsity));
    mc_trainer_set_hook(j->t, after_update, p);
    j->result.size = sizeof j->result;
    MC_TRY(mcomp_trainer_fit(&j->result, j->t, j->train, j->valid));
    MC_TRY(mcomp_trainer_graph(&g, j->t));
    *out = g->g;
    g->g = NULL;
done:
    mcomp_graph_destroy(g);
    return st;
}

static int32_t at_once(job *j, mc_graph **out)
{
    int32_t st = MCOMP_OK;
    const mc_prune_source src = {0};
    if (j->p->plan.criterion->moments) {
        (void)mc_fail(MCOMP_ARGUMENT, "criterion", "%s needs data to train on: it looks at gradients", j->p->plan.criterion->name);
        return mc_fail_hint("l1 and l2 look at weights alone");
    }
    MC_TRY(choose(j->p, j->p->sparsity, &src));
    MC_TRY(mc_graph_clone(out, j->p->g));
    MC_TRY(mc_prune_masks_apply(&j->p->masks, *out));
done:
    return st;
}

static int64_t nonzero(const mc_graph *g)
{
    int64_t n = 0;
    for (int64_t i = 0; i < g->n_values; i++) {
        const mc_value *v = g->values[i];
        if (v->dead || !v->init || v->n_uses == 0 || !mc_dtype_is_float(v->init->dtype)) continue;
        for (int64_t k = 0; k < mc_tensor_elements(v->init); k++) n += mc_tensor_get_f64(v->init, k) != 0.0;
    }
    return n;
}

static int32_t finish(job *j, mc_graph **masked, mcomp_prune_result *r)
{
    int32_t st = MCOMP_OK;
    mcomp_pruner *p = j->p;
    const mc_prune_source src = {.g = *masked};
    double gone = 0.0, all = 0.0;
    MC_TRY(mc_prune_zeros(&p->state, &p->plan, &src)); /* as it came out, a resumed training included */
    for (int64_t k = 0; k < p->plan.n; k++) {
        const double weight = (double)p->plan.sites[k].elements / (double)p->plan.sites[k].granules;
        for (int64_t i = 0; i < p->plan.sites[k].granules; i++) gone += weight * p->state.gone[k][i];
        all += (double)p->plan.sites[k].elements;
    }
    r->sparsity = all > 0.0 ? gone / all : 0.0;
    if (p->plan.pattern->kind == MC_PRUNE_UNITS) {
        mcomp_dataset *d = j->valid ? j->valid : j->train;
        MC_TRY(mc_graph_clone(&p->result, *masked));
        MC_TRY(mc_prune_shrink(p->result, &p->plan, &p->state));
        if (!d) MC_FAIL(MCOMP_ARGUMENT, "prune", "a cut model is compared with the masked one on samples, and there are none: give train or valid");
        MC_TRY(mc_pruner_compare(p, *masked, p->result, d, &r->equivalence_max_abs, &r->equivalence_samples));
    } else {
        p->result = *masked;
        *masked = NULL;
    }
    r->params_before = nonzero(p->g);
    r->params_after = nonzero(p->result);
    MC_TRY(mc_pruner_macs(p, p->g, NULL, &r->macs_before));
    MC_TRY(mc_pruner_macs(p, p->result, &p->state, &r->macs_after));
done:
    if (st != MCOMP_OK) {
        mc_graph_destroy(p->result);
        p->result = NULL;
    }
    return st;
}

int32_t mcomp_pruner_run(mcomp_prune_result *result, mcomp_train_result *fit, mcomp_pruner *p, mcomp_dataset *train_set, mcomp_dataset *valid,
                         const mcomp_trainer_options *training)
{
    int32_t st = MCOMP_OK, missed = MCOMP_OK;
    mc_graph *masked = NULL;
    mcomp_error why = {.size = sizeof why};
    MC_API_ENTER();
    MC_CHECK_ARG(1, !result || mc_info_sized(result), "result", "its size is not set");
    MC_CHECK_ARG(2, !fit || mc_info_sized(fit), "fit", "its size is not set");
    MC_CHECK_ARG(3, p, "p", "is NULL");
    MC_CHECK_ARG(3, !p->has_run, "p", "has run: a pruner prunes once");
    job j = {.p = p, .train = train_set, .valid = valid, .model = {.g = p->g, .ctx = p->ctx}};
    mcomp_prune_result r = {.size = sizeof r, .trained = train_set != NULL};
    p->has_run = 1;
    MC_TRY(mcomp_trainer_options_init(&j.o, sizeof j.o));
    MC_TRY(mc_options_read(&j.o, sizeof j.o, training, "training"));
    missed = mc_pruner_resolve(p, valid ? valid : train_set);
    if (missed == MCOMP_TARGET_MISSED) why = *mc_error_peek();
    else MC_TRY(missed);
    if (train_set) MC_TRY(measure(&j, &r));
    MC_TRY(train_set ? train(&j, &masked) : at_once(&j, &masked));
    MC_TRY(finish(&j, &masked, &r));
done:
    mc_graph_destroy(masked);
    mcomp_trainer_destroy(j.probe);
    mcomp_trainer_destroy(j.t);
    if (result) (void)mc_info_give(result, &r, sizeof r, 1);
    if (fit && train_set) (void)mc_info_give(fit, &j.result, sizeof j.result, 2);
    if (st == MCOMP_OK && missed != MCOMP_OK) {
        mc_error_restore(&why);
        st = missed;
    }
    return st;
}
