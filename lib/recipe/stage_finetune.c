/* Training on: what earlier passes cost comes back as far as it can. */
#include "recipe/run.h"

static int32_t run(mc_run *r, mc_run_stage *s)
{
    int32_t st = MCOMP_OK;
    mc_stage_training training = {0};
    mcomp_trainer_options o;
    mcomp_trainer *t = NULL;
    mcomp_distiller *teacher = NULL;
    mcomp_train_result fit = {.size = sizeof fit};
    mc_str what = {0};
    const mc_run_data *d = s->from->data;
    if (!d->train) return mc_recipe_fail(r->recipe, MCOMP_RECIPE, s->pass, NULL, "there are no samples to train on: data.train");
    MC_TRY(mc_stage_training_open(&training, r, s, &o));
    MC_TRY(mc_stage_teacher(r, s, &teacher));
    MC_TRY(mcomp_trainer_create(&t, r->ctx, s->from->g, &o));
    if (teacher) MC_TRY(mcomp_distiller_attach(teacher, t));
    MC_TRY(mc_stage_hold_zeros(r, s, t));
    MC_TRY(mcomp_trainer_fit(&fit, t, d->train, d->valid));
    MC_TRY(mcomp_trainer_graph(&s->made, t));
    MC_TRY(mc_str_appendf(&what, "trained on: %lld updates in %lld epochs, best after epoch %lld%s", (long long)fit.steps, (long long)fit.epochs, (long long)fit.best_epoch,
                          teacher ? ", with the teacher's losses" : ""));
    st = mc_put_text(s->facts, "what", what.data);
done:
    mcomp_trainer_destroy(t);
    mcomp_distiller_destroy(teacher);
    mc_stage_training_close(&training);
    mc_str_free(&what);
    return st;
}

const mc_stage_kind mc_stage_finetune = {"finetune", mc_stage_teacher_key, run};
