/* Where a loss stopped being finite: the model with the present weights, seen node by node on the batch that did it. */
#include "train/trainer.h"

#include <math.h>

typedef struct finding {
    const mc_graph *g;
    mc_value **seen; /* by slot */
    const mc_value *bad;
} finding;

static int32_t see(void *payload, int64_t slot, const mc_tensor *t)
{
    finding *f = payload;
    const int64_t n = mc_tensor_elements(t);
    for (int64_t i = 0; !f->bad && i < n; i++)
        if (!isfinite(mc_tensor_get_f64(t, i))) f->bad = f->seen[slot];
    return MCOMP_OK;
}

static int32_t watch(finding *f, mc_graph *g)
{
    int32_t st = MCOMP_OK;
    int64_t slot = 0;
    MC_TRY(mc_graph_sort(g));
    const int64_t n = g->n_order;
    mc_node **order = mc_malloc((size_t)(n + 1) * sizeof *order);
    f->seen = mc_calloc((size_t)(n + 1), sizeof *f->seen);
    if (!order || !f->seen) {
        mc_free(order);
        return MCOMP_NO_MEMORY;
    }
    for (int64_t i = 0; i < n; i++) order[i] = g->order[i];
    for (int64_t i = 0; i < n && st == MCOMP_OK; i++) {
        mc_value *v = order[i]->n_out > 0 ? order[i]->out[0] : NULL;
        mc_node *tap;
        if (!v || !mc_dtype_is_float(v->type.dtype)) continue;
        st = mc_graph_add_node(g, "mcomp", "Observe", 0, NULL, 1, &v, 0, NULL, &tap);
        if (st == MCOMP_OK) st = mc_node_set_i(tap, "slot", slot);
        f->seen[slot++] = v;
    }
    mc_free(order);
    if (st == MCOMP_OK) st = mc_graph_sort(g);
done:
    return st;
}

int32_t mc_trainer_diagnose(mcomp_trainer *t)
{
    int32_t st = MCOMP_OK;
    mc_graph *g = NULL;
    mcomp_session *s = NULL;
    mcomp_exec *e = NULL;
    finding f = {0};
    const mc_observer observer = {see, &f};
    const mcomp_session_options o = {.size = sizeof o, .no_fusion = 1};
    const int64_t step = t->updates + 1, batch = t->updates * t->o.accumulate + t->micro + 1;
    MC_TRY(mc_graph_clone(&g, t->model));
    MC_TRY(mc_trainer_weights_into(t, g, 0));
    MC_TRY(mc_infer_graph(g));
    MC_TRY(watch(&f, g));
    MC_TRY(mc_session_open(&s, t->ctx, g, &o, &observer));
    MC_TRY(mcomp_exec_create(&e, s));
    MC_TRY(mcomp_exec_run(e, (int32_t)g->n_inputs, t->in, 0, NULL));
    mc_error_clear();
    if (f.bad) (void)mc_fail(MCOMP_DIVERGED, f.bad->producer->name, "step %lld, batch %lld: the loss is not finite; the first output that is not is that of %s",
                             (long long)step, (long long)batch, f.bad->producer->op);
    else (void)mc_fail(MCOMP_DIVERGED, "loss", "step %lld, batch %lld: the loss is not finite, though the outputs of the model are", (long long)step, (long long)batch);
    st = mc_fail_hint("a lower learning rate, a longer warm-up or clip_norm help; inputs and targets may hold NaN");
done:
    mcomp_exec_destroy(e);
    mcomp_session_destroy(s);
    mc_graph_destroy(g);
    mc_free(f.seen);
    return st;
}
