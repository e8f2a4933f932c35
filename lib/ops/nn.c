/* Checks and conversions shared by the neural-network operators. */
#include "ops/nn.h"

mc_type mc_type_channels_first(const mc_type *t)
{
    mc_type r = *t;
    if (t->rank < 2) return r;
    r.dim[1] = t->dim[t->rank - 1];
    for (int32_t i = 2; i < t->rank; i++) r.dim[i] = t->dim[i - 1];
    return r;
}

int32_t mc_nn_need_float(const mc_infer *c, int32_t i)
{
    if (i >= c->n_in || !c->in[i]) return mc_infer_fail(c, MCOMP_FORMAT, "input %d is missing", i);
    const int32_t d = c->in[i]->dtype;
    if (d == MCOMP_UNDEFINED || mc_dtype_is_float(d)) return MCOMP_OK;
    return mc_infer_fail(c, MCOMP_DTYPE, "input %d is %s; a float type is needed", i, mc_dtype_name(d));
}

int32_t mc_nn_need_rank(const mc_infer *c, int32_t i, int32_t rank)
{
    if (i >= c->n_in || !c->in[i] || c->in[i]->rank < 0 || c->in[i]->rank == rank) return MCOMP_OK;
    return mc_infer_fail(c, MCOMP_SHAPE, "input %d has rank %d, not %d", i, c->in[i]->rank, rank);
}

int32_t mc_nn_need_dim(const mc_infer *c, int32_t i, int32_t d, int64_t want, const char *what)
{
    if (i >= c->n_in || !c->in[i] || c->in[i]->rank < 0) return MCOMP_OK;
    if (d >= c->in[i]->rank) return mc_infer_fail(c, MCOMP_SHAPE, "input %d has rank %d, axis %d (%s) is missing", i, c->in[i]->rank, d, what);
    const int64_t got = c->in[i]->dim[d];
    if (got < 0 || want < 0 || got == want) return MCOMP_OK;
    return mc_infer_fail(c, MCOMP_SHAPE, "axis %d of input %d is %lld, not %lld (%s)", d, i, (long long)got, (long long)want, what);
}

int64_t mc_nn_extent(const mc_shape *s, int32_t from, int32_t to)
{
    int64_t n = 1;
    for (int32_t i = from; i < to; i++) n *= s->dim[i];
    return n;
}

double mc_nn_extent_f(const mc_type *t, int32_t from, int32_t to)
{
    double n = 1.0;
    for (int32_t i = from; i < to; i++) n *= t->dim[i] > 0 ? (double)t->dim[i] : 0.0;
    return n;
}

double *mc_nn_load(const mc_tensor *t)
{
    const int64_t n = mc_tensor_elements(t);
    double *v = mc_calloc((size_t)n + 1, sizeof *v);
    if (!v) return NULL;
    if (t->dtype == MCOMP_F32) {
        const float *x = t->data;
        for (int64_t i = 0; i < n; i++) v[i] = (double)x[i];
    } else {
        for (int64_t i = 0; i < n; i++) v[i] = mc_tensor_get_f64(t, i);
    }
    return v;
}

void mc_nn_store(mc_tensor *t, const double *v)
{
    const int64_t n = mc_tensor_elements(t);
    if (t->dtype == MCOMP_F32) {
        float *y = t->data;
        for (int64_t i = 0; i < n; i++) y[i] = (float)v[i];
    } else {
        for (int64_t i = 0; i < n; i++) mc_tensor_set_f64(t, i, v[i]);
    }
}
