/* Where, IsNaN, comparisons and logic, integer arithmetic and Clip: broadcast loops on float32, int32, int64 and bool. */
#include "backends/cpu/broadcast.h"

#include <stdio.h>

typedef void (*select_fn)(const uint8_t *const *in, const int64_t *step, uint8_t *out, int64_t n);

#define AT(T, i, k) ((const T *)(const void *)in[i])[(k) * step[i]]
#define LOOP(name, T, R, expr)                                                                                         \
    static void name(const uint8_t *const *in, const int64_t *step, uint8_t *out, int64_t n)                           \
    {                                                                                                                  \
        R *y = (R *)(void *)out;                                                                                       \
        for (int64_t k = 0; k < n; k++) {                                                                              \
            const T a = AT(T, 0, k), b = AT(T, 1, k);                                                                  \
            y[k] = (R)(expr);                                                                                          \
        }                                                                                                              \
    }
#define ORDER(op, expr)                                                                                                \
    LOOP(op##_f32, float, uint8_t, expr)                                                                               \
    LOOP(op##_i32, int32_t, uint8_t, expr)                                                                             \
    LOOP(op##_i64, int64_t, uint8_t, expr)
#define ARITHMETIC(op, expr32, expr64)                                                                                 \
    LOOP(op##_i32, int32_t, int32_t, expr32)                                                                           \
    LOOP(op##_i64, int64_t, int64_t, expr64)

ORDER(equal, a == b)
LOOP(equal_u8, uint8_t, uint8_t, a == b)
ORDER(less, a < b)
ORDER(less_equal, a <= b)
ORDER(greater, a > b)
ORDER(greater_equal, a >= b)
LOOP(and_u8, uint8_t, uint8_t, a && b)
LOOP(or_u8, uint8_t, uint8_t, a || b)
LOOP(xor_u8, uint8_t, uint8_t, (a != 0) != (b != 0))
/* Integers wrap around: computed unsigned. */
ARITHMETIC(add, (uint32_t)a + (uint32_t)b, (uint64_t)a + (uint64_t)b)
ARITHMETIC(sub, (uint32_t)a - (uint32_t)b, (uint64_t)a - (uint64_t)b)
ARITHMETIC(mul, (uint32_t)a * (uint32_t)b, (uint64_t)a * (uint64_t)b)
ARITHMETIC(min, a < b ? a : b, a < b ? a : b)
ARITHMETIC(max, a > b ? a : b, a > b ? a : b)

#define WHERE(name, T)                                                                                                 \
    static void name(const uint8_t *const *in, const int64_t *step, uint8_t *out, int64_t n)                           \
    {                                                                                                                  \
        T *y = (T *)(void *)out;                                                                                       \
        for (int64_t k = 0; k < n; k++) y[k] = in[0][k * step[0]] ? AT(T, 1, k) : AT(T, 2, k);                         \
    }
WHERE(where_1, uint8_t)
WHERE(where_4, uint32_t)
WHERE(where_8, uint64_t)

static void isnan_f32(const uint8_t *const *in, const int64_t *step, uint8_t *out, int64_t n)
{
    for (int64_t k = 0; k < n; k++) out[k] = AT(float, 0, k) != AT(float, 0, k);
}

/* Columns: float32, int32, int64, bool (or bytes). */
static const struct {
    const char *op;
    select_fn fn[4];
} table[] = {
    {"Equal", {equal_f32, equal_i32, equal_i64, equal_u8}}, {"Less", {less_f32, less_i32, less_i64, NULL}},
    {"LessOrEqual", {less_equal_f32, less_equal_i32, less_equal_i64, NULL}},
    {"Greater", {greater_f32, greater_i32, greater_i64, NULL}},
    {"GreaterOrEqual", {greater_equal_f32, greater_equal_i32, greater_equal_i64, NULL}},
    {"And", {NULL, NULL, NULL, and_u8}}, {"Or", {NULL, NULL, NULL, or_u8}}, {"Xor", {NULL, NULL, NULL, xor_u8}},
    {"Add", {NULL, add_i32, add_i64, NULL}}, {"Sub", {NULL, sub_i32, sub_i64, NULL}}, {"Mul", {NULL, mul_i32, mul_i64, NULL}},
    {"Min", {NULL, min_i32, min_i64, NULL}}, {"Max", {NULL, max_i32, max_i64, NULL}},
    {"Where", {where_4, where_4, where_8, where_1}},
    {"IsNaN", {isnan_f32, NULL, NULL, NULL}},
};

static select_fn find(const mc_node *n)
{
    const int32_t where = strcmp(n->op, "Where") == 0, data = where ? 1 : 0;
    const mc_type *t = mc_cpu_in_type(n, data);
    const int32_t inputs = where ? 3 : strcmp(n->op, "IsNaN") == 0 ? 1 : 2;
    if (strcmp(n->domain, "") != 0 || n->n_in != inputs || !t) return NULL;
    if (inputs > 1 && !mc_cpu_is(mc_cpu_in_type(n, data + 1), t->dtype)) return NULL;
    if (where && !mc_cpu_is(mc_cpu_in_type(n, 0), MCOMP_BOOL)) return NULL;
    const int32_t column = t->dtype == MCOMP_F32 ? 0 : t->dtype == MCOMP_I32 ? 1 : t->dtype == MCOMP_I64 ? 2 : t->dtype == MCOMP_BOOL ? 3 : -1;
    for (size_t i = 0; i < sizeof table / sizeof *table && column >= 0; i++)
        if (strcmp(table[i].op, n->op) == 0) return table[i].fn[column];
    return NULL;
}

static int32_t claim(const mc_node *n, mcomp_claim *out)
{
    if (!find(n)) return 0;
    out->cost_us = 0.1 + mc_cpu_guess(mc_cpu_out_type(n, 0)) * 0.7e-3;
    snprintf(out->kernel, sizeof out->kernel, "select");
    return 1;
}

typedef struct select_work {
    select_fn fn;
    int32_t inputs;
    const uint8_t *in[3];
    int32_t bytes[3], out_bytes;
    uint8_t *out;
    int64_t step[3];
} select_work;

static void part(void *ctx, const int64_t *offset, int64_t out, int64_t count)
{
    const select_work *w = ctx;
    const uint8_t *in[3] = {NULL};
    for (int32_t i = 0; i < w->inputs; i++) in[i] = w->in[i] + offset[i] * w->bytes[i];
    w->fn(in, w->step, w->out + out * w->out_bytes, count);
}

static int32_t run(const mc_cpu_step *s, const mcomp_run_args *a)
{
    const mcomp_bk_buffer *in[3] = {mc_cpu_in(s, a, 0), mc_cpu_in(s, a, 1), mc_cpu_in(s, a, 2)}, *y = mc_cpu_out(s, a, 0);
    select_work w = {.fn = find(s->node), .inputs = s->n_in, .out_bytes = mc_cpu_element_bytes(y->dtype), .out = y->data};
    mc_broadcast b;
    mc_broadcast_plan(&b, y, in, s->n_in);
    for (int32_t i = 0; i < s->n_in; i++) {
        w.in[i] = in[i]->data;
        w.bytes[i] = mc_cpu_element_bytes(in[i]->dtype);
        w.step[i] = b.stride[i][b.rank - 1];
    }
    mc_broadcast_run(s, a, &b, part, &w);
    return MCOMP_OK;
}

/* Clip of int32 and int64: bounds are scalars, each may be missing. */
static int32_t claim_clip(const mc_node *n, mcomp_claim *out)
{
    const mc_type *x = mc_cpu_in_type(n, 0);
    if (!mc_cpu_is(x, MCOMP_I32) && !mc_cpu_is(x, MCOMP_I64)) return 0;
    out->inplace_input = 1;
    out->cost_us = 0.1 + mc_cpu_guess(x) * 0.7e-3;
    snprintf(out->kernel, sizeof out->kernel, "select");
    return 1;
}

#define CLIP(T, least, most)                                                                                           \
    {                                                                                                                  \
        const T *px = x->data, l = lo ? *(const T *)lo->data : least, h = hi ? *(const T *)hi->data : most;            \
        T *py = y->data;                                                                                               \
        for (int64_t i = 0; i < n; i++) {                                                                              \
            const T v = px[i] < l ? l : px[i];                                                                         \
            py[i] = v > h ? h : v;                                                                                     \
        }                                                                                                              \
    }

static int32_t run_clip(const mc_cpu_step *s, const mcomp_run_args *a)
{
    const mcomp_bk_buffer *x = mc_cpu_in(s, a, 0), *lo = mc_cpu_in(s, a, 1), *hi = mc_cpu_in(s, a, 2), *y = mc_cpu_out(s, a, 0);
    const int64_t n = mc_cpu_elements(x);
    if (x->dtype == MCOMP_I32) CLIP(int32_t, INT32_MIN, INT32_MAX)
    else CLIP(int64_t, INT64_MIN, INT64_MAX)
    return MCOMP_OK;
}

const mc_cpu_impl mc_cpu_clip_int = {.domain = "", .op = "Clip", .claim = claim_clip, .run = run_clip};
const mc_cpu_impl mc_cpu_select = {.claim = claim, .run = run};
