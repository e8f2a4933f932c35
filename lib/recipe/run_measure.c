/* How good a stage's file is, alone and beside the teacher. */
#include "recipe/run.h"

int32_t mc_run_measure(mc_run *r, mc_run_stage *s)
{
    int32_t st = MCOMP_OK;
    const char *objective;
    mc_scores_ask ask = {.output = mc_section_str(r->recipe->model, "output")};
    MC_TRY(mc_run_objective(r, &objective));
    ask.next_token = objective && strcmp(objective, "next-token") == 0;
    MC_TRY(mc_scores_make(&s->scores, r->ctx, s->g->g, s->data->eval, &ask));
    MC_TRY(mc_scores_metric(&s->scores, r->metric, &s->metric));
    if (s != &r->stage[0]) mc_scores_compare(&s->scores, &r->stage[0].scores, &s->comparison);
done:
    return st;
}
