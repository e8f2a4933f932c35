/* QuantizeLinear, DequantizeLinear (f32 <-> u8/s8, per tensor or along an axis) and DynamicQuantizeLinear. */
#include "backends/cpu/qgemm.h"
#include "backends/cpu/work.h"

#include <float.h>

/* Input of the form [outer][d][inner]: scale d maps rows of inner elements. d = 1: one scale. */
typedef struct cast {
    int64_t outer, d, inner;
    const float *scale;
    const uint8_t *zp; /* NULL: 0 */
    uint32_t flip;
    const uint8_t *x;
    uint8_t *y;
    const mc_kernels_int8 *k;
} cast;

/* The axis along which scales vary (-1: one scale); -2 for forms that are left to the reference. */
static int32_t scale_axis(const mc_node *n, const mc_type *x)
{
    const mc_type *s = mc_cpu_in_type(n, 1), *z = mc_cpu_in_type(n, 2);
    if (!x || !s || s->dtype != MCOMP_F32 || s->rank < 0 || s->rank > 1 || mc_attr_i(n, "block_size", 0) != 0) return -2;
    if (z && z->rank != s->rank) return -2;
    if (s->rank == 0 || s->dim[0] == 1) return -1;
    const int32_t axis = mc_cpu_axis(mc_attr_i(n, "axis", 1), x->rank);
    return axis < 0 ? -2 : axis;
}

static int32_t claim_cast(const mc_node *n, mcomp_claim *out, const mc_type *bytes, const mc_type *reals, const char *name)
{
    const mc_type *x = mc_cpu_in_type(n, 0), *z = mc_cpu_in_type(n, 2);
    if (!mc_q_is_byte(bytes) || !mc_cpu_is(reals, MCOMP_F32) || (z && z->dtype != bytes->dtype) || scale_axis(n, x) < -1) return 0;
    return mc_q_claim(out, name, 0.0, mc_q_guess(x) * 5.0);
}
static int32_t claim_quantize(const mc_node *n, mcomp_claim *out)
{
    return claim_cast(n, out, mc_cpu_out_type(n, 0), mc_cpu_in_type(n, 0), "quantize");
}
static int32_t claim_dequantize(const mc_node *n, mcomp_claim *out)
{
    return claim_cast(n, out, mc_cpu_in_type(n, 0), mc_cpu_out_type(n, 0), "dequantize");
}

static cast cast_of(const mc_cpu_step *s, const mcomp_run_args *a, int32_t byte_dtype)
{
    const mcomp_bk_buffer *x = mc_cpu_in(s, a, 0), *scale = mc_cpu_in(s, a, 1), *z = mc_cpu_in(s, a, 2), *y = mc_cpu_out(s, a, 0);
    const int32_t axis = scale_axis(s->node, mc_cpu_in_type(s->node, 0));
    cast c = {1, 1, mc_cpu_elements(x), scale->data, z ? z->data : NULL, byte_dtype == MCOMP_I8 ? 0x80 : 0, x->data, y->data, &s->kernels->int8};
    if (axis >= 0) {
        c.outer = mc_cpu_product(x->dims, 0, axis);
        c.d = x->dims[axis];
        c.inner = mc_cpu_product(x->dims, axis + 1, x->rank);
    }
    return c;
}

/* Scales may be computed at run time. */
static int32_t check_scales(const mc_cpu_step *s, const cast *c)
{
    for (int64_t i = 0; i < c->d; i++)
        if (!(c->scale[i] > 0.0f && c->scale[i] <= FLT_MAX))
            return mc_fail(MCOMP_RANGE, s->node->name, "%s: scale [%lld] is %g; it must be positive and finite", s->node->op, (long long)i,
                           (double)c->scale[i]);
    return MCOMP_OK;
}

static mc_qmap map_of(const cast *c, int64_t i) { return (mc_qmap){c->scale[i], c->zp ? c->zp[i] ^ (int32_t)c->flip : (int32_t)c->flip, c->flip}; }

typedef void (*row_fn)(const cast *c, int64_t at, int64_t n, const mc_qmap *m);

static void quantize_row(const cast *c, int64_t at, int64_t n, const mc_qmap *m)
{
    c->k->quantize((const float *)(const void *)c->x + at, n, m, c->y + at);
}
static void dequantize_row(const cast *c, int64_t at, int64_t n, const mc_qmap *m)
{
    c->k->dequantize(c->x + at, n, m, (float *)(void *)c->y + at);
}

/* Elements begin..end-1, row by row. */
static void cast_range(const cast *c, int64_t begin, int64_t end, row_fn fn)
{
    while (begin < end) {
        const int64_t row = begin / c->inner, left = (row + 1) * c->inner - begin, n = left < end - begin ? left : end - begin;
        const mc_qmap m = map_of(c, row % c->d);
        fn(c, begin, n, &m);
        begin += n;
    }
}
static void quantize_range(void *ctx, int64_t begin, int64_t end, int32_t worker)
{
    (void)worker;
    cast_range(ctx, begin, end, quantize_row);
}
static void dequantize_range(void *ctx, int64_t begin, int64_t end, int32_t worker)
{
    const cast *c = ctx;
    (void)worker;
    while (c->inner == 1 && c->d > 1 && begin < end) { /* scales run along the last axis */
        const int64_t k = begin % c->d, n = end - begin < c->d - k ? end - begin : c->d - k;
        c->k->dequantize_each(c->x + begin, n, c->scale + k, c->zp ? c->zp + k : NULL, c->flip, (float *)(void *)c->y + begin);
        begin += n;
    }
    cast_range(ctx, begin, end, dequantize_row);
}

static int32_t run_quantize(const mc_cpu_step *s, const mcomp_run_args *a)
{
    cast c = cast_of(s, a, mc_cpu_out(s, a, 0)->dtype);
    const int32_t st = check_scales(s, &c);
    if (st == MCOMP_OK) mc_cpu_split(s, a, mc_cpu_elements(mc_cpu_in(s, a, 0)), 1, quantize_range, &c);
    return st;
}

static int32_t run_dequantize(const mc_cpu_step *s, const mcomp_run_args *a)
{
    cast c = cast_of(s, a, mc_cpu_in(s, a, 0)->dtype);
    const int32_t st = check_scales(s, &c);
    if (st == MCOMP_OK) mc_cpu_split(s, a, mc_cpu_elements(mc_cpu_in(s, a, 0)), 1, dequantize_range, &c);
    return st;
}

/* ---- DynamicQuantizeLinear ---- */

static int32_t claim_dynamic(const mc_node *n, mcomp_claim *out)
{
    const mc_type *x = mc_cpu_in_type(n, 0);
    if (!mc_cpu_is(x, MCOMP_F32) || n->n_out < 3) return 0;
    return mc_q_claim(out, "dynamic_quantize", 0.0, mc_q_guess(x) * 9.0);
}

static int32_t prepare_dynamic(mc_cpu_step *s)
{
    s->scratch_bytes = MC_Q_EXTREMES * 2 * sizeof(float);
    return MCOMP_OK;
}

static int32_t run_dynamic(const mc_cpu_step *s, const mcomp_run_args *a)
{
    const mcomp_bk_buffer *x = mc_cpu_in(s, a, 0), *y = mc_cpu_out(s, a, 0), *scale = mc_cpu_out(s, a, 1), *zp = mc_cpu_out(s, a, 2);
    const int64_t n = mc_cpu_elements(x);
    int32_t zero;
    const float found = mc_q_tensor_scale(s, a, x->data, n, a->scratch, &zero);
    const uint8_t zero_byte = (uint8_t)zero;
    cast c = {1, 1, n > 0 ? n : 1, &found, &zero_byte, 0, x->data, y ? y->data : NULL, &s->kernels->int8};
    if (scale) *(float *)scale->data = found;
    if (zp) *(uint8_t *)zp->data = zero_byte;
    if (y) mc_cpu_split(s, a, n, 1, quantize_range, &c);
    return MCOMP_OK;
}

const mc_cpu_impl mc_cpu_quantize = {.domain = "", .op = "QuantizeLinear", .claim = claim_quantize, .run = run_quantize};
const mc_cpu_impl mc_cpu_dequantize = {.domain = "", .op = "DequantizeLinear", .claim = claim_dequantize, .run = run_dequantize};
const mc_cpu_impl mc_cpu_dynamic_quantize = {.domain = "", .op = "DynamicQuantizeLinear", .claim = claim_dynamic,
                                             .prepare = prepare_dynamic, .run = run_dynamic};
