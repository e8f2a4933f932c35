/* Fitting an array to a graph input: which axis is the sample axis, exact casts, and the shape of one sample. */
#include "data/internal.h"

#include <math.h>

/* Exact value round trip of element i. */
static int survives(const mc_tensor *from, mc_tensor *to, int64_t i)
{
    if (mc_dtype_is_float(from->dtype)) {
        const double v = mc_tensor_get_f64(from, i);
        if (!mc_dtype_is_float(to->dtype) && !isfinite(v)) return 0;
        mc_tensor_set_f64(to, i, v);
        const double w = mc_tensor_get_f64(to, i);
        return w == v || (isnan(v) && isnan(w));
    }
    const int64_t v = mc_tensor_get_i64(from, i);
    if (from->dtype == MCOMP_U64 && v < 0) return to->dtype == MCOMP_U64 && (mc_tensor_set_i64(to, i, v), 1);
    if (mc_dtype_is_float(to->dtype)) {
        mc_tensor_set_f64(to, i, (double)v);
        const double w = mc_tensor_get_f64(to, i);
        return w >= -0x1p63 && w < 0x1p63 && (int64_t)w == v;
    }
    mc_tensor_set_i64(to, i, v);
    return mc_tensor_get_i64(to, i) == v && !(to->dtype == MCOMP_U64 && v < 0);
}

int32_t mc_cast_exact(mc_tensor **out, mc_tensor *t, int32_t dtype, const char *where)
{
    int32_t st = MCOMP_OK;
    mc_tensor *c = NULL;
    *out = NULL;
    if (t->dtype == dtype) {
        *out = t;
        return MCOMP_OK;
    }
    if (t->dtype == MCOMP_STRING || dtype == MCOMP_STRING || mc_dtype_bits(dtype) == 0)
        MC_FAIL(MCOMP_DTYPE, where, "array of %s where the model takes %s", mc_dtype_name(t->dtype), mc_dtype_name(dtype));
    MC_TRY(mc_tensor_create(&c, dtype, &t->shape));
    const int64_t n = mc_tensor_elements(t);
    for (int64_t i = 0; i < n; i++)
        if (!survives(t, c, i))
            MC_FAIL(MCOMP_DTYPE, where, "array of %s where the model takes %s, and element %lld (%g) does not survive the cast", mc_dtype_name(t->dtype),
                    mc_dtype_name(dtype), (long long)i, mc_tensor_get_f64(t, i));
    *out = c;
    c = NULL;
done:
    mc_tensor_destroy(c);
    mc_tensor_destroy(t);
    return st;
}

static int fits(const mc_type *in, const mc_shape *s)
{
    if (in->rank < 0) return 1;
    if (in->rank != s->rank) return 0;
    for (int32_t i = 0; i < s->rank; i++)
        if (in->dim[i] >= 0 && in->dim[i] != s->dim[i]) return 0;
    return 1;
}

/* Sample shape of an array whose first axis is the samples: [1, rest] where the model has a sample axis, else [rest]. */
static int sample_shape(const mc_type *in, const mc_shape *a, mc_shape *s)
{
    *s = *a;
    if (a->rank > 0 && (in->rank < 0 || in->rank == a->rank)) {
        s->dim[0] = 1;
        return fits(in, s);
    }
    if (a->rank > 0 && in->rank == a->rank - 1) {
        s->rank--;
        for (int32_t i = 0; i < s->rank; i++) s->dim[i] = a->dim[i + 1];
        return fits(in, s);
    }
    return 0;
}

/* Same number of elements a sample, other axes (IDX images): the model's shape, when it is known but for the sample axis. */
static int reshaped(const mc_type *in, const mc_shape *a, mc_shape *s)
{
    int64_t want = 1, have = 1;
    if (in->rank < 1 || a->rank < 1) return 0;
    s->rank = in->rank;
    s->dim[0] = 1;
    if (in->dim[0] > 1) return 0;
    for (int32_t i = 1; i < in->rank; i++) {
        if (in->dim[i] < 0) return 0;
        s->dim[i] = in->dim[i];
        want *= in->dim[i];
    }
    for (int32_t i = 1; i < a->rank; i++) have *= a->dim[i];
    return want == have;
}

int32_t mc_binding_make(mc_binding *b, const mc_value *v, mc_tensor *a, int64_t *samples, int32_t reshape)
{
    char got[128], want[128];
    mc_shape in_shape = {.rank = v->type.rank < 0 ? 0 : v->type.rank};
    mc_shape s;
    const int32_t st = mc_cast_exact(&a, a, v->type.dtype, v->name);
    if (st != MCOMP_OK) return st;
    for (int32_t i = 0; i < in_shape.rank; i++) in_shape.dim[i] = v->type.dim[i] < 0 ? -1 : v->type.dim[i];
    b->t = a;
    *samples = a->shape.rank > 0 ? a->shape.dim[0] : 1;
    if (v->type.rank == 0 && a->shape.rank == 0) {
        b->constant = 1;
        b->sample = a->shape;
    } else if (sample_shape(&v->type, &a->shape, &s) || (reshape && reshaped(&v->type, &a->shape, &s))) {
        b->constant = *samples == 1;
        b->sample = s;
    } else if (fits(&v->type, &a->shape)) { /* no sample axis: the same for every sample */
        b->constant = 1;
        *samples = 1;
        b->sample = a->shape;
    } else {
        return mc_fail(MCOMP_SHAPE, v->name, "array of shape %s does not fit the model's input %s", mc_shape_text(&a->shape, got, sizeof got),
                       mc_shape_text(&in_shape, want, sizeof want));
    }
    return mc_shape_elements(&b->sample, &b->elements);
}
