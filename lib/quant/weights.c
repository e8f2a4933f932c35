/* Weights to s8 in [-127, 127], zero point 0, one scale an output channel: scale = max|w| / 127.
 * A channel of zeros gets scale 1. Division in float as QuantizeLinear does it, so that a runtime that quantizes the float
 * weight with the same scale gets the same integers. */
#include "quant/plan.h"

#include <math.h>

/* The weight as [outer][channels][inner]. */
typedef struct view {
    int64_t outer, channels, inner;
} view;

static view view_of(const mc_tensor *w, int32_t axis)
{
    view v = {1, 1, 1};
    for (int32_t d = 0; d < w->shape.rank; d++) {
        if (axis < 0 || d > axis) v.inner *= w->shape.dim[d];
        else if (d == axis) v.channels = w->shape.dim[d];
        else v.outer *= w->shape.dim[d];
    }
    return v;
}

static void scales(const float *x, view v, const double *floor, float *scale, int64_t *flat)
{
    for (int64_t c = 0; c < v.channels; c++) {
        float m = 0.0f;
        for (int64_t o = 0; o < v.outer; o++) {
            const float *r = x + (o * v.channels + c) * v.inner;
            for (int64_t i = 0; i < v.inner; i++) m = fabsf(r[i]) > m ? fabsf(r[i]) : m;
        }
        double s = (double)m / 127.0;
        if (!(s >= 1e-30)) {
            s = 1.0;
            if (flat) ++*flat;
        }
        if (floor && s < floor[c]) s = floor[c];
        scale[c] = (float)s;
    }
}

static int8_t quantize(float x, float scale)
{
    const float q = nearbyintf(x / scale);
    return (int8_t)(q > 127.0f ? 127.0f : q < -127.0f ? -127.0f : q);
}

int32_t mc_qweight_make(mc_qweight *out, const mc_tensor *w, int32_t axis, const double *floor, double alpha,
                        int32_t transpose)
{
    const view v = view_of(w, axis);
    const float *x = w->data;
    mc_shape shape = w->shape, sshape = {0};
    int32_t st = MCOMP_OK;
    memset(out, 0, sizeof *out);
    if (axis >= 0) {
        sshape.rank = 1;
        sshape.dim[0] = v.channels;
    }
    if (transpose) {
        shape.dim[0] = w->shape.dim[1];
        shape.dim[1] = w->shape.dim[0];
    }
    MC_TRY(mc_tensor_create(&out->q, MCOMP_I8, &shape));
    MC_TRY(mc_tensor_create(&out->scale, MCOMP_F32, &sshape));
    float *s = out->scale->data;
    int8_t *q = out->q->data;
    scales(x, v, floor, s, &out->flat);
    for (int64_t o = 0; o < v.outer; o++)
        for (int64_t c = 0; c < v.channels; c++)
            for (int64_t i = 0; i < v.inner; i++) {
                const int64_t at = (o * v.channels + c) * v.inner + i;
                const int64_t rows = w->shape.dim[0], cols = transpose ? w->shape.dim[1] : 1;
                q[transpose ? at % cols * rows + at / cols : at] = quantize(x[at], s[c]);
            }
    for (int64_t c = 0; c < v.channels; c++) s[c] = (float)((double)s[c] * alpha);
done:
    if (st != MCOMP_OK) mc_qweight_free(out);
    return st;
}

void mc_qweight_free(mc_qweight *w)
{
    mc_tensor_destroy(w->q);
    mc_tensor_destroy(w->scale);
    memset(w, 0, sizeof *w);
}

double mc_qweight_error(const mc_tensor *w, int32_t axis)
{
    mc_qweight t;
    const view v = view_of(w, axis);
    const float *x = w->data;
    double noise = 0.0, signal = 0.0;
    if (mc_qweight_make(&t, w, axis, NULL, 1.0, 0) != MCOMP_OK) return HUGE_VAL;
    const float *s = t.scale->data;
    const int8_t *q = t.q->data;
    for (int64_t at = 0; at < v.outer * v.channels * v.inner; at++) {
        const double d = (double)x[at] - (double)q[at] * (double)s[at / v.inner % v.channels];
        noise += d * d;
        signal += (double)x[at] * (double)x[at];
    }
    mc_qweight_free(&t);
    return signal > 0.0 ? noise / signal : 0.0;
}
