/* Validation: the model with the present weights, as it would be shipped, on samples that no step has seen. */
#include "train/fit.h"

/* Session over model, loss and outputs; *loss_at: index of the loss among the outputs, *out_at of the scores. */
static int32_t open(mc_fit *f, mcomp_session **s, int32_t *out_at, int32_t *loss_at, int32_t *target_at)
{
    int32_t st = MCOMP_OK;
    mcomp_trainer *t = f->t;
    mc_graph *g = NULL;
    mc_value *out[MC_LOSS_OUTPUTS];
    mc_loss_site site = {.out = out, .smoothing = 0.0f};
    MC_TRY(mc_graph_clone(&g, t->model));
    MC_TRY(mc_trainer_weights_into(t, g, 0));
    MC_TRY(mc_infer_graph(g));
    site.g = g;
    MC_TRY(mc_trainer_outputs(t, g, out, &site.n_out));
    while (g->outputs[*out_at] != out[0]) ++*out_at;
    *target_at = (int32_t)g->n_inputs;
    *loss_at = (int32_t)g->n_outputs;
    mc_value *loss = t->loss->emit(&site);
    MC_TRY(site.status);
    MC_TRY(mc_graph_add_output(g, loss));
    MC_TRY(mc_graph_sort(g));
    MC_TRY(mc_session_open(s, t->ctx, g, NULL, NULL));
done:
    mc_graph_destroy(g);
    return st;
}

int32_t mc_fit_validate(mc_fit *f, mc_measured *result)
{
    int32_t st = MCOMP_OK, out_at = 0, loss_at = 0, target_at = 0;
    mc_metric *m = NULL;
    mcomp_session *s = NULL;
    mcomp_exec *e = NULL;
    const mcomp_tensor *in[MC_OP_MAX_IO], *out[MC_OP_MAX_IO];
    MC_TRY(mc_metric_open(&m, f->metric));
    MC_TRY(open(f, &s, &out_at, &loss_at, &target_at));
    MC_TRY(mcomp_exec_create(&e, s));
    const int32_t n_in = mcomp_session_n_inputs(s), n_out = mcomp_session_n_outputs(s);
    if (n_in > MC_OP_MAX_IO || n_out > MC_OP_MAX_IO) MC_FAIL(MCOMP_LIMIT, "train", "the model has more than %d inputs or outputs", MC_OP_MAX_IO - 1);
    for (;;) {
        const mc_tensor *target = NULL;
        mc_batch b;
        MC_TRY(mc_loader_next(f->valid, &b));
        if (b.n == 0) break;
        MC_TRY(mc_fit_target(f, &b, &target));
        for (int32_t i = 0; i < target_at; i++) in[i] = (const mcomp_tensor *)b.inputs[i];
        in[target_at] = (const mcomp_tensor *)target;
        MC_TRY(mcomp_exec_run(e, n_in, in, n_out, out));
        MC_TRY(mc_metric_add(m, &out[out_at]->t, target, mc_tensor_get_f64(&out[loss_at]->t, 0)));
    }
    MC_TRY(mc_metric_result(m, &result->value, &result->lo, &result->hi));
    result->n = mc_metric_rows(m);
    result->lower = mc_metric_lower_is_better(f->metric);
done:
    mcomp_exec_destroy(e);
    mcomp_session_destroy(s);
    mc_metric_close(m);
    return st;
}

int32_t mc_trainer_measure(mcomp_trainer *t, mcomp_dataset *train, mcomp_dataset *valid, mc_measured *out)
{
    int32_t st = MCOMP_OK;
    mc_fit f = {.t = t, .train_set = train, .valid_set = valid ? valid : train};
    MC_TRY(mc_fit_open(&f));
    MC_TRY(mc_fit_validate(&f, out));
done:
    mc_fit_close(&f);
    return st;
}
