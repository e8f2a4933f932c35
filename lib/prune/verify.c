/* The cut model against the masked one: the same outputs, but for the order of sums. */
#include "prune/pruner.h"

#include <math.h>

#define SAMPLES 8
#define TOLERANCE 1e-5 /* of the largest output, or of 1 */

typedef struct side {
    mcomp_session *s;
    mcomp_exec *e;
    const mcomp_tensor *out[MC_OP_MAX_IO];
} side;

static int32_t open(side *x, const mcomp_pruner *p, const mc_graph *g)
{
    int32_t st = MCOMP_OK;
    MC_TRY(mc_session_open(&x->s, p->ctx, g, NULL, NULL));
    MC_TRY(mcomp_exec_create(&x->e, x->s));
done:
    return st;
}

static void close(side *x)
{
    mcomp_exec_destroy(x->e);
    mcomp_session_destroy(x->s);
}

static int32_t differ(const mc_tensor *a, const mc_tensor *b, const char *name, double *max_abs)
{
    double largest = 0.0, size = 1.0;
    if (!mc_shape_equal(&a->shape, &b->shape)) return mc_fail(MCOMP_MISMATCH, name, "the cut model gives another shape");
    for (int64_t i = 0; i < mc_tensor_elements(a); i++) {
        const double x = mc_tensor_get_f64(a, i), y = mc_tensor_get_f64(b, i), d = fabs(x - y);
        if (isnan(x) && isnan(y)) continue;
        if (fabs(x) > size) size = fabs(x);
        if (!(d <= largest)) largest = d;
    }
    if (largest > *max_abs) *max_abs = largest;
    if (largest <= TOLERANCE * size) return MCOMP_OK;
    return mc_fail(MCOMP_MISMATCH, name, "cutting changed this output by %g (largest value %g): nothing was kept", largest, size);
}

int32_t mc_pruner_compare(mcomp_pruner *p, const mc_graph *a, const mc_graph *b, mcomp_dataset *d, double *max_abs, int64_t *samples)
{
    int32_t st = MCOMP_OK;
    side x = {0}, y = {0};
    const mcomp_tensor *in[MC_OP_MAX_IO];
    const int32_t n_in = (int32_t)a->n_inputs, n_out = (int32_t)a->n_outputs;
    *max_abs = 0.0;
    *samples = 0;
    if (n_in > MC_OP_MAX_IO || n_out > MC_OP_MAX_IO) return mc_fail(MCOMP_LIMIT, "prune", "the model has more than %d inputs or outputs", MC_OP_MAX_IO);
    MC_TRY(open(&x, p, a));
    MC_TRY(open(&y, p, b));
    const int64_t count = mcomp_dataset_count(d), step = count > SAMPLES ? count / SAMPLES : 1;
    for (int64_t i = 0; i < count && *samples < SAMPLES; i += step, ++*samples) {
        MC_TRY(mcomp_dataset_get(d, i, n_in, in, NULL));
        MC_TRY(mcomp_exec_run(x.e, n_in, in, n_out, x.out));
        MC_TRY(mcomp_exec_run(y.e, n_in, in, n_out, y.out));
        for (int32_t k = 0; k < n_out; k++) MC_TRY(differ(&x.out[k]->t, &y.out[k]->t, a->outputs[k]->name, max_abs));
    }
done:
    close(&x);
    close(&y);
    return st;
}
