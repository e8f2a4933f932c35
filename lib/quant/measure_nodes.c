/* Measured error of every node alone, all nodes in one pass: next to each candidate stands a quantized twin that reads the
 * same float tensors; Observe nodes see the difference and the float output. What one node's rounding does to the next is
 * thereby left out: that is what mc_qmeasure_run measures. */
#include <math.h>

#include "quant/measure_internal.h"
#include "runtime/runtime.h"

typedef struct seen {
    double *sum; /* [2 * twins]: squares of the difference, of the float output */
    int64_t n;
} seen;

static int32_t see(void *payload, int64_t slot, const mc_tensor *t)
{
    seen *s = payload;
    double q = 0.0;
    if (slot < 0 || slot >= s->n || t->dtype != MCOMP_F32) return MCOMP_OK;
    const float *x = t->data;
    for (int64_t i = 0, n = mc_tensor_elements(t); i < n; i++) q += (double)x[i] * (double)x[i];
    s->sum[slot] += q;
    return MCOMP_OK;
}

static int32_t observe(mc_graph *g, mc_value *v, int64_t slot)
{
    mc_node *n;
    int32_t st = MCOMP_OK;
    MC_TRY(mc_graph_add_node(g, "mcomp", "Observe", 0, NULL, 1, &v, 0, NULL, &n));
    MC_TRY(mc_node_set_i(n, "slot", slot));
done:
    return st;
}

/* twin[k] is the id of the twin of node of[k]. */
static int32_t add_twins(mc_graph *g, const mc_qplan *p, int32_t *of, int32_t *twin, int64_t *count)
{
    int32_t st = MCOMP_OK;
    *count = 0;
    for (int64_t i = 0; i < p->n_nodes; i++) {
        mc_node *n = g->nodes[i], *t, *diff;
        if (n->dead || p->node[i].kind == MC_QK_FLOAT || !p->node[i].candidate) continue;
        MC_TRY(mc_graph_add_node(g, n->domain, n->op, n->version, NULL, n->n_in, n->in, 1, NULL, &t));
        MC_TRY(mc_node_copy_attrs(t, n));
        MC_TRY(mc_infer_node(g, t));
        mc_value *in[2] = {t->out[0], n->out[0]};
        MC_TRY(mc_graph_add_node(g, "", "Sub", 0, NULL, 2, in, 1, NULL, &diff));
        MC_TRY(mc_infer_node(g, diff));
        MC_TRY(observe(g, diff->out[0], 2 * *count));
        MC_TRY(observe(g, n->out[0], 2 * *count + 1));
        of[*count] = (int32_t)i;
        twin[(*count)++] = t->id;
    }
    MC_TRY(mc_graph_sort(g));
done:
    return st;
}

int32_t mc_qmeasure_nodes(mc_qmeasure *m, mc_qplan *p)
{
    mc_graph *g = NULL;
    mc_qplan *q = NULL;
    mcomp_session *s = NULL;
    mcomp_exec *e = NULL;
    int32_t *of = mc_calloc((size_t)p->n_nodes + 1, sizeof *of), *twin = mc_calloc((size_t)p->n_nodes + 1, sizeof *twin);
    const mcomp_tensor **outputs = mc_calloc((size_t)m->n_out + 1, sizeof *outputs);
    seen sums = {mc_calloc((size_t)p->n_nodes * 2 + 1, sizeof *sums.sum), 0};
    const mc_observer observer = {see, &sums};
    int64_t n = 0;
    int32_t st = MCOMP_OK;
    if (!of || !twin || !outputs || !sums.sum) {
        st = MCOMP_NO_MEMORY;
        goto done;
    }
    MC_TRY(mc_graph_clone(&g, p->g));
    MC_TRY(add_twins(g, p, of, twin, &n));
    sums.n = 2 * n;
    MC_TRY(mc_qplan_create(&q, g));
    q->qdq = p->qdq;
    q->range = p->range;
    q->percentile = p->percentile;
    q->calibrator = p->calibrator;
    for (int64_t k = 0; k < n; k++) {
        q->node[twin[k]] = p->node[of[k]];
        q->node[twin[k]].integer = 0;
    }
    MC_TRY(mc_qplan_apply(q));
    MC_TRY(mc_session_open(&s, m->ctx, g, NULL, &observer));
    MC_TRY(mcomp_exec_create(&e, s));
    for (int64_t i = 0; i < m->n_samples; i++) MC_TRY(mc_qmeasure_sample(m, e, i, m->n_out, outputs));
    for (int64_t k = 0; k < n; k++) {
        const double noise = sums.sum[2 * k], signal = sums.sum[2 * k + 1];
        if (signal > 0.0 && isfinite(noise)) p->node[of[k]].error = noise / signal;
    }
done:
    mcomp_exec_destroy(e);
    mcomp_session_destroy(s);
    mc_qplan_destroy(q);
    mc_graph_destroy(g);
    mc_free(of);
    mc_free(twin);
    mc_free(outputs);
    mc_free(sums.sum);
    return st;
}
