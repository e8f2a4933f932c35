/* Cast between the common number types. Floats are cut towards zero and held within the target's range, NaN becomes 0,
 * integers wrap when they get narrower: as the reference does. */
#include "backends/cpu/work.h"

#include <math.h>
#include <stdio.h>

typedef void (*cast_fn)(const void *x, void *y, int64_t n);

#define CAST(name, X, Y, expr)                                                                                         \
    static void name(const void *px, void *py, int64_t n)                                                              \
    {                                                                                                                  \
        const X *x = px;                                                                                               \
        Y *y = py;                                                                                                     \
        for (int64_t i = 0; i < n; i++) y[i] = (Y)(expr);                                                              \
    }
CAST(i32_f32, int32_t, float, x[i])
CAST(i64_f32, int64_t, float, x[i])
CAST(u8_f32, uint8_t, float, x[i])
CAST(i8_f32, int8_t, float, x[i])
CAST(bool_f32, uint8_t, float, x[i] != 0)
CAST(f64_f32, double, float, x[i])
CAST(f32_f64, float, double, x[i])
CAST(i64_i32, int64_t, int32_t, (uint32_t)(uint64_t)x[i])
CAST(i32_i64, int32_t, int64_t, x[i])
CAST(bool_i32, uint8_t, int32_t, x[i] != 0)
CAST(bool_i64, uint8_t, int64_t, x[i] != 0)
CAST(i32_bool, int32_t, uint8_t, x[i] != 0)
CAST(i64_bool, int64_t, uint8_t, x[i] != 0)
CAST(f32_bool, float, uint8_t, x[i] != 0.0f)
CAST(f32_i32, float, int32_t, isnan(x[i]) ? 0.0f : x[i] >= 0x1p31f ? (double)INT32_MAX : x[i] < -0x1p31f ? (double)INT32_MIN : (double)x[i])
CAST(f32_i64, float, int64_t, isnan(x[i]) ? 0 : x[i] >= 0x1p63f ? INT64_MAX : x[i] < -0x1p63f ? INT64_MIN : (int64_t)x[i])
CAST(f16_f32, uint16_t, float, mc_f16_to_f32(x[i]))
CAST(f32_f16, float, uint16_t, mc_f32_to_f16(x[i]))
CAST(bf16_f32, uint16_t, float, mc_bf16_to_f32(x[i]))
CAST(f32_bf16, float, uint16_t, mc_f32_to_bf16(x[i]))

static const struct {
    int32_t from, to;
    cast_fn fn;
} table[] = {
    {MCOMP_I32, MCOMP_F32, i32_f32}, {MCOMP_I64, MCOMP_F32, i64_f32}, {MCOMP_U8, MCOMP_F32, u8_f32}, {MCOMP_I8, MCOMP_F32, i8_f32},
    {MCOMP_BOOL, MCOMP_F32, bool_f32}, {MCOMP_F64, MCOMP_F32, f64_f32}, {MCOMP_F32, MCOMP_F64, f32_f64},
    {MCOMP_I64, MCOMP_I32, i64_i32}, {MCOMP_I32, MCOMP_I64, i32_i64}, {MCOMP_BOOL, MCOMP_I32, bool_i32}, {MCOMP_BOOL, MCOMP_I64, bool_i64},
    {MCOMP_I32, MCOMP_BOOL, i32_bool}, {MCOMP_I64, MCOMP_BOOL, i64_bool}, {MCOMP_F32, MCOMP_BOOL, f32_bool},
    {MCOMP_F32, MCOMP_I32, f32_i32}, {MCOMP_F32, MCOMP_I64, f32_i64}, {MCOMP_F16, MCOMP_F32, f16_f32}, {MCOMP_F32, MCOMP_F16, f32_f16},
    {MCOMP_BF16, MCOMP_F32, bf16_f32}, {MCOMP_F32, MCOMP_BF16, f32_bf16},
};

static cast_fn find(int32_t from, int32_t to)
{
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (table[i].from == from && table[i].to == to) return table[i].fn;
    return NULL;
}

static int32_t claim(const mc_node *n, mcomp_claim *out)
{
    const mc_type *x = mc_cpu_in_type(n, 0), *y = mc_cpu_out_type(n, 0);
    if (!x || !y || (x->dtype != y->dtype && !find(x->dtype, y->dtype)) || mc_cpu_element_bytes(x->dtype) == 0) return 0;
    if (x->dtype == y->dtype) out->inplace_input = 1;
    out->cost_us = 0.1 + mc_cpu_guess(x) * 0.5e-3;
    snprintf(out->kernel, sizeof out->kernel, "cast");
    return 1;
}

typedef struct cast_work {
    cast_fn fn;
    const uint8_t *x;
    uint8_t *y;
    int64_t x_bytes, y_bytes;
} cast_work;

static void range(void *ctx, int64_t begin, int64_t end, int32_t worker)
{
    const cast_work *w = ctx;
    const uint8_t *x = w->x + begin * w->x_bytes;
    uint8_t *y = w->y + begin * w->y_bytes;
    (void)worker;
    if (w->fn) w->fn(x, y, end - begin);
    else if (x != y) memcpy(y, x, (size_t)((end - begin) * w->x_bytes));
}

static int32_t run(const mc_cpu_step *s, const mcomp_run_args *a)
{
    const mcomp_bk_buffer *x = mc_cpu_in(s, a, 0), *y = mc_cpu_out(s, a, 0);
    cast_work w = {find(x->dtype, y->dtype), x->data, y->data, mc_cpu_element_bytes(x->dtype), mc_cpu_element_bytes(y->dtype)};
    mc_cpu_split(s, a, mc_cpu_elements(x), 1, range, &w);
    return MCOMP_OK;
}

const mc_cpu_impl mc_cpu_cast = {.domain = "", .op = "Cast", .claim = claim, .run = run};
