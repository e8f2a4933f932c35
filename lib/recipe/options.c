/* Sections as options of the rooms that do the work. */
#include "recipe/values.h"

#include <stdio.h>

int32_t mc_recipe_losses(mc_str *out, const mc_section *distill)
{
    int32_t st = MCOMP_OK;
    int64_t n;
    char number[MC_NUMBER_TEXT];
    mc_section *const *l = mc_section_sections(distill, "losses", &n);
    for (int64_t i = 0; i < n; i++)
        MC_TRY(mc_str_appendf(out, "%s%s=%s", i ? "," : "", mc_section_str(l[i], "kind"), mc_number_text(number, mc_section_num(l[i], "weight"))));
done:
    return st;
}

int32_t mc_recipe_training(mcomp_trainer_options *o, const mcomp_recipe *r, const mc_section *s)
{
    o->batch = (int32_t)mc_section_int(s, "batch");
    o->loss = mc_section_str(s, s->kind == MC_IN_DISTILL ? "hard_loss" : "loss");
    o->optimizer = mc_section_str(s, "optimizer");
    o->schedule = mc_section_str(s, "lr_schedule");
    o->metric = mc_section_str(s, "metric");
    o->precision = mc_section_str(s, "precision");
    o->freeze = mc_section_str(s, "freeze");
    o->no_decay = mc_section_str(s, "no_decay");
    o->objective = mc_section_str(r->train, "objective");
    o->augment = mc_section_str(s, "augment");
    o->lr_scale = mc_section_str(s, "lr_scale");
    o->output = mc_section_str(r->model, "output");
    o->lr = mc_section_num(s, "lr");
    if (mc_section_has(s, "weight_decay")) o->weight_decay = mc_section_num(s, "weight_decay");
    o->momentum = mc_section_num(s, "momentum");
    o->beta1 = mc_section_num(s, "beta1");
    o->beta2 = mc_section_num(s, "beta2");
    o->epsilon = mc_section_num(s, "epsilon");
    o->clip_norm = mc_section_num(s, "clip_norm");
    o->label_smoothing = mc_section_num(s, "label_smoothing");
    o->warmup = mc_section_num(s, "warmup");
    o->average = s->kind == MC_IN_PRUNE ? 0.0 : mc_section_num(s, "average");
    o->epochs = mc_section_int(s, "epochs");
    o->max_steps = mc_section_int(s, "steps");
    o->accumulate = mc_section_int(s, "accumulate");
    o->patience = mc_section_int(s, "patience");
    o->checkpoint_every = mc_section_int(s, "checkpoint_every");
    o->seed = (uint64_t)mc_section_int(r->top, "seed");
    o->no_shuffle = !mc_section_flag(s, "shuffle");
    o->balance = mc_section_flag(s, "balance");
    o->keep_last = mc_section_flag(s, "keep_last");
    o->recompute = mc_section_flag(s, "recompute");
    return MCOMP_OK;
}
