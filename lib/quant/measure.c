/* Measuring candidates end to end: the float outputs of a few samples against the candidate's. */
#include "quant/measure.h"

#include <math.h>

#include "passes/passes.h"
#include "runtime/runtime.h"
#include "quant/measure_internal.h"

/* As many samples as a trial of this much work takes: few change the answer of one row in a hundred of a small model reliably, and a
 * large one needs minutes for them. Counted, not timed, so that the choice is the same everywhere. */
enum { MIN_SAMPLES = 32, MAX_SAMPLES = 256 };
#define TRIAL_MACS 1e11
#define MAX_BYTES (256ull << 20)

void mc_qmeasure_close(mc_qmeasure *m)
{
    if (!m) return;
    for (int64_t i = 0; m->ref && i < m->n_samples * m->n_out; i++) mc_tensor_destroy(m->ref[i]);
    mc_free(m->ref);
    mc_free(m->inputs);
    mc_free(m);
}

static int64_t sample_index(const mc_qmeasure *m, int64_t i)
{
    const int64_t count = mcomp_dataset_count(m->samples);
    return count <= m->n_samples ? i : i * (count / m->n_samples);
}

/* Runs sample i; outputs belong to the exec. */
int32_t mc_qmeasure_sample(mc_qmeasure *m, mcomp_exec *e, int64_t i, int32_t n_out, const mcomp_tensor **outputs)
{
    int64_t label;
    int32_t st = MCOMP_OK;
    MC_TRY(mc_context_poll(m->ctx));
    MC_TRY(mcomp_dataset_get(m->samples, sample_index(m, i), m->n_in, m->inputs, &label));
    MC_TRY(mcomp_exec_run(e, m->n_in, m->inputs, n_out, outputs));
done:
    return st;
}

/* Keeps the float outputs of all samples; fewer samples when they are large. */
static int32_t reference(mc_qmeasure *m, mcomp_exec *e)
{
    const mcomp_tensor **outputs = mc_calloc((size_t)m->n_out + 1, sizeof *outputs);
    uint64_t bytes = 0;
    int32_t st = MCOMP_OK;
    if (!outputs) return MCOMP_NO_MEMORY;
    for (int64_t i = 0; i < m->n_samples; i++) {
        MC_TRY(mc_qmeasure_sample(m, e, i, m->n_out, outputs));
        for (int32_t k = 0; k < m->n_out; k++) {
            if (outputs[k]->t.dtype != MCOMP_F32) continue;
            MC_TRY(mc_tensor_copy(&m->ref[i * m->n_out + k], &outputs[k]->t));
            bytes += mc_tensor_bytes(&outputs[k]->t);
        }
        if (bytes > MAX_BYTES) m->n_samples = i + 1;
    }
done:
    mc_free(outputs);
    return st;
}

/* MACs of one sample, its free axes as long as the first sample's longest. */
static int32_t work(mc_qmeasure *m, const mc_graph *g, double *macs)
{
    int64_t label, longest = 1;
    int32_t st = MCOMP_OK;
    MC_TRY(mcomp_dataset_get(m->samples, 0, m->n_in, m->inputs, &label));
    for (int32_t k = 0; k < m->n_in; k++)
        for (int32_t d = 0; d < m->inputs[k]->t.shape.rank; d++)
            if (d < g->inputs[k]->type.rank && g->inputs[k]->type.dim[d] < 0 && m->inputs[k]->t.shape.dim[d] > longest) longest = m->inputs[k]->t.shape.dim[d];
    MC_TRY(mc_count_macs(g, longest, macs));
done:
    return st;
}

int32_t mc_qmeasure_open(mc_qmeasure **out, mcomp_context *ctx, const mc_graph *g, mcomp_dataset *samples)
{
    mc_qmeasure *m = NULL;
    mcomp_session *s = NULL;
    mcomp_exec *e = NULL;
    int32_t st = MCOMP_OK;
    double macs = 0.0;
    const int64_t count = mcomp_dataset_count(samples);
    if (count <= 0) return mc_fail(MCOMP_DATA, NULL, "there is no sample to measure candidates on");
    m = mc_calloc(1, sizeof *m);
    if (!m) return MCOMP_NO_MEMORY;
    m->ctx = ctx;
    m->samples = samples;
    m->n_in = (int32_t)g->n_inputs;
    m->n_out = (int32_t)g->n_outputs;
    m->ref = mc_calloc((size_t)(MAX_SAMPLES * m->n_out) + 1, sizeof *m->ref);
    m->inputs = mc_calloc((size_t)m->n_in + 1, sizeof *m->inputs);
    if (!m->ref || !m->inputs) {
        st = MCOMP_NO_MEMORY;
        goto done;
    }
    MC_TRY(work(m, g, &macs));
    m->n_samples = macs * MAX_SAMPLES <= TRIAL_MACS ? MAX_SAMPLES : macs * MIN_SAMPLES >= TRIAL_MACS ? MIN_SAMPLES : (int64_t)(TRIAL_MACS / macs);
    if (count < m->n_samples) m->n_samples = count;
    MC_TRY(mc_session_open(&s, ctx, g, NULL, NULL));
    MC_TRY(mcomp_exec_create(&e, s));
    MC_TRY(reference(m, e));
    *out = m;
    m = NULL;
done:
    mcomp_exec_destroy(e);
    mcomp_session_destroy(s);
    mc_qmeasure_close(m);
    return st;
}

/* Sums of one output over the samples. */
typedef struct sums {
    double noise, signal, cosine, same, rows, distributions;
    int64_t n;
} sums;

static void compare(sums *s, const mc_tensor *want, const mc_tensor *got)
{
    const int64_t n = mc_tensor_elements(want);
    const int64_t last = want->shape.rank > 0 ? want->shape.dim[want->shape.rank - 1] : 1;
    const float *a = want->data, *b = got->data;
    double ab = 0.0, aa = 0.0, bb = 0.0, noise = 0.0;
    if (got->dtype != MCOMP_F32 || mc_tensor_elements(got) != n || n == 0) {
        s->noise = HUGE_VAL;
        return;
    }
    for (int64_t i = 0; i < n; i++) {
        const double x = (double)a[i], y = (double)b[i], d = x - y;
        if (!isfinite(x)) continue;
        ab += x * y;
        aa += x * x;
        bb += y * y;
        noise += d * d;
    }
    s->noise += isfinite(noise) ? noise : HUGE_VAL;
    s->signal += aa;
    s->cosine += aa > 0.0 && bb > 0.0 ? ab / sqrt(aa * bb) : aa == bb ? 1.0 : 0.0;
    s->n++;
    for (int64_t r = 0; last > 1 && r < n / last; r++) {
        int64_t p = 0, q = 0;
        double total = 0.0;
        for (int64_t i = 0; i < last; i++) {
            total += a[r * last + i] >= 0.0f ? (double)a[r * last + i] : HUGE_VAL;
            if (a[r * last + i] > a[r * last + p]) p = i;
            if (b[r * last + i] > b[r * last + q]) q = i;
        }
        s->same += p == q;
        s->distributions += fabs(total - 1.0) < 1e-3;
        s->rows += 1.0;
    }
}

int32_t mc_qmeasure_run(mc_qmeasure *m, const mc_graph *g, mc_qresult *out)
{
    mcomp_session *s = NULL;
    mcomp_exec *e = NULL;
    const mcomp_tensor **outputs = mc_calloc((size_t)m->n_out + 1, sizeof *outputs);
    sums *sum = mc_calloc((size_t)m->n_out + 1, sizeof *sum);
    int32_t st = MCOMP_OK;
    if (!outputs || !sum) {
        st = MCOMP_NO_MEMORY;
        goto done;
    }
    MC_TRY(mc_session_open(&s, m->ctx, g, NULL, NULL));
    MC_TRY(mcomp_exec_create(&e, s));
    for (int64_t i = 0; i < m->n_samples; i++) {
        MC_TRY(mc_qmeasure_sample(m, e, i, m->n_out, outputs));
        for (int32_t k = 0; k < m->n_out; k++)
            if (m->ref[i * m->n_out + k]) compare(&sum[k], m->ref[i * m->n_out + k], &outputs[k]->t);
    }
    *out = (mc_qresult){.cosine = 1.0, .top1 = 1.0};
    for (int32_t k = 0; k < m->n_out; k++) {
        const double error = sum[k].signal > 0.0 ? sum[k].noise / sum[k].signal : sum[k].noise;
        if (sum[k].n == 0 || error < out->error) continue;
        out->error = error;
        out->cosine = sum[k].cosine / (double)sum[k].n;
        out->top1 = sum[k].rows > 0.0 ? sum[k].same / sum[k].rows : 1.0;
        out->rows = sum[k].rows;
        out->ranks = sum[k].rows > 0.0 && (sum[k].distributions == sum[k].rows ||
                                           (mcomp_dataset_has_labels(m->samples) && sum[k].rows == (double)m->n_samples));
    }
done:
    mcomp_exec_destroy(e);
    mcomp_session_destroy(s);
    mc_free(outputs);
    mc_free(sum);
    return st;
}
