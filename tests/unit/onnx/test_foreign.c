/* com.microsoft operators of quantized models: after loading nothing of them is left, and the standard operators that stand for
 * them give what the operator's formula gives. Every model goes through a file. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "onnx/onnx.h"
#include "passes/passes.h"
#include "support/interp.h"
#include "support/node.h"
#include "support/support.h"

#define N 12 /* elements of x: [1, 3, 4] */
static mc_graph *g;
static mc_value *x; /* the first input */
static const double sx = 0.05, sb = 0.03, sy = 0.04;
enum { ZX = 120, ZB = 130, ZY = 100 };

static void setup(void)
{
    mc_ops_register();
    mc_ck_ok(mc_graph_create(&g, "foreign"));
}
static void teardown(void) { mc_graph_destroy(g); }

static mc_value *u8(double v) { return mc_test_const(g, MCOMP_U8, 0, &v); }
static mc_value *f32(double v) { return mc_test_const(g, MCOMP_F32, 0, &v); }

static mc_value *bytes(const char *name, int32_t rank, const int64_t *dims) { return mc_test_input(g, name, MCOMP_U8, rank, dims); }

static mc_node *foreign(const char *op, const char *attrs, int32_t n, ...)
{
    mc_value *in[16];
    mc_node *made;
    va_list ap;
    va_start(ap, n);
    for (int32_t i = 0; i < n; i++) in[i] = va_arg(ap, mc_value *);
    va_end(ap);
    mc_ck_ok(mc_graph_add_node(g, "com.microsoft", op, 1, "node", n, in, 1, (const char *const[]){"y"}, &made));
    mc_test_set_attrs(made, attrs);
    mc_ck_ok(mc_graph_add_output(g, made->out[0]));
    mc_ck_ok(mc_graph_sort(g));
    return made;
}

/* g becomes what its file gives; the output keeps its name. */
static void through_file(void)
{
    char path[256];
    mcomp_save_options o = {.size = sizeof o, .overwrite = 1};
    snprintf(path, sizeof path, "%s/foreign-%d.onnx", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp", (int)getpid());
    mc_ck_ok(mc_onnx_save(g, path, &o));
    mc_graph_destroy(g);
    g = NULL;
    const int32_t st = mc_onnx_load(&g, NULL, path, NULL);
    unlink(path);
    ck_assert_msg(st == MCOMP_OK, "%s: %s", mc_error_peek()->where, mc_error_peek()->message);
    ck_assert_str_eq(g->outputs[0]->name, "y");
}

static mc_test_set run(void)
{
    const int64_t dims[] = {1};
    through_file();
    for (int64_t i = 0; i < g->n_order; i++) ck_assert_msg(g->order[i]->desc != NULL, "%s is left", g->order[i]->op);
    ck_assert_ptr_nonnull(mc_graph_find_node(g, "node")); /* its name lives on */
    mc_test_set in = mc_test_inputs(g, 3, 255, dims, 1), out = mc_test_interp(g, &in);
    for (int64_t k = 0; k < out.n; k++) in.t[in.n++] = out.t[k]; /* inputs, then outputs */
    return in;
}

static double at(const mc_test_set *s, int32_t k, int64_t i) { return mc_tensor_get_f64(s->t[k], i); }
static double real_x(const mc_test_set *s, int64_t i) { return (at(s, 0, i) - ZX) * sx; }
static double clamp(double v) { return fmin(255.0, fmax(0.0, v)); }

/* y in parts of the output's step from what is wanted: a tie may go either way. */
static void near(double got, double real)
{
    const double q = clamp(real / sy + ZY);
    ck_assert_msg(fabs(got - q) <= 0.5001, "%.9g, not %.9g", got, q);
}

static mc_node *unary(const char *op, const char *attrs)
{
    const int64_t dims[] = {1, 3, 4};
    x = bytes("x", 3, dims);
    return foreign(op, attrs, 5, x, f32(sx), u8(ZX), f32(sy), u8(ZY));
}

START_TEST(elementwise)
{
    static const struct {
        const char *op, *attrs;
        int32_t n_in;
    } rows[] = {{"QLinearSigmoid", NULL, 1}, {"QLinearLeakyRelu", "alpha=0.2f", 1}, {"QLinearAdd", NULL, 2}, {"QLinearMul", NULL, 2}};
    const int64_t dims[] = {1, 3, 4};
    if (rows[_i].n_in == 1) {
        unary(rows[_i].op, rows[_i].attrs);
    } else {
        x = bytes("x", 3, dims);
        foreign(rows[_i].op, NULL, 8, x, f32(sx), u8(ZX), bytes("b", 3, dims), f32(sb), u8(ZB), f32(sy), u8(ZY));
    }
    mc_test_set s = run();
    for (int64_t i = 0; i < N; i++) {
        const double a = real_x(&s, i), b = rows[_i].n_in == 2 ? (at(&s, 1, i) - ZB) * sb : 0.0;
        const double want[] = {1.0 / (1.0 + exp(-a)), a < 0 ? 0.2 * a : a, a + b, a * b};
        near(at(&s, rows[_i].n_in, i), want[_i]);
    }
    mc_test_set_free(&s);
}
END_TEST

START_TEST(pools)
{
    static const char *const ops[] = {"QLinearGlobalAveragePool", "QLinearReduceMean", "QLinearAveragePool"};
    static const char *const attrs[] = {"channels_last=0", "axes=[2] keepdims=1", "kernel_shape=[4]"};
    unary(ops[_i], attrs[_i]);
    mc_test_set s = run();
    ck_assert_int_eq(mc_tensor_elements(s.t[1]), 3);
    for (int64_t c = 0; c < 3; c++) {
        double sum = 0.0;
        for (int64_t i = 0; i < 4; i++) sum += real_x(&s, c * 4 + i);
        near(at(&s, 1, c), sum / 4);
    }
    mc_test_set_free(&s);
}
END_TEST

/* opset 12: over all axes from `axis` on. */
START_TEST(softmax)
{
    const int flat = _i == 1;
    unary("QLinearSoftmax", flat ? "axis=1 opset=12" : "axis=-1 opset=13");
    mc_test_set s = run();
    for (int64_t i = 0; i < N; i++) {
        double sum = 0.0;
        for (int64_t k = flat ? 0 : i / 4 * 4; k < (flat ? N : i / 4 * 4 + 4); k++) sum += exp(real_x(&s, k));
        near(at(&s, 1, i), exp(real_x(&s, i)) / sum);
    }
    mc_test_set_free(&s);
}
END_TEST

START_TEST(joins)
{
    const int64_t dims[] = {1, 3, 4};
    mc_value *b = NULL;
    if (_i == 0) {
        x = bytes("x", 3, dims);
        b = bytes("b", 3, dims);
        foreign("QLinearConcat", "axis=1", 8, f32(sy), u8(ZY), x, f32(sx), u8(ZX), b, f32(sb), u8(ZB));
    } else {
        x = bytes("x", 3, dims);
        b = bytes("b", 3, dims);
        mc_value *cond = mc_test_input(g, "c", MCOMP_BOOL, 3, dims);
        foreign("QLinearWhere", NULL, 9, cond, x, f32(sx), u8(ZX), b, f32(sb), u8(ZB), f32(sy), u8(ZY));
    }
    mc_test_set s = run();
    for (int64_t i = 0; i < (_i ? N : 2 * N); i++) {
        const double from_b = (at(&s, 1, i % N) - ZB) * sb;
        near(at(&s, _i ? 3 : 2, i), _i ? (at(&s, 2, i) != 0 ? real_x(&s, i) : from_b) : i < N ? real_x(&s, i) : from_b);
    }
    mc_test_set_free(&s);
}
END_TEST

/* [2, 3] . [3, 4]; bit 0: float result, bit 1: transposed weight, one scale a column, alpha. */
START_TEST(gemm)
{
    static const int64_t dims[] = {2, 3};
    static const double ws[] = {0.01, 0.02, 0.03, 0.04}, bias[] = {100, -200, 300, -400}, zeros[4] = {0};
    const int plain = _i & 1, turned = _i >> 1;
    const mc_shape shape = {.rank = 2, .dim = {turned ? 4 : 3, turned ? 3 : 4}};
    mc_tensor *t;
    mc_value *w;
    mc_ck_ok(mc_tensor_create(&t, MCOMP_I8, &shape));
    for (int64_t i = 0; i < N; i++) ((int8_t *)t->data)[i] = (int8_t)(i * 37 % 200 - 100);
    mc_ck_ok(mc_graph_add_const(g, "w", t, &w));
    x = bytes("x", 2, dims);
    mc_value *wz = mc_test_const(g, MCOMP_I8, turned ? 4 : 0, zeros), *scale = mc_test_const(g, MCOMP_F32, turned ? 4 : 0, ws);
    foreign("QGemm", turned ? "transB=1 alpha=0.5f" : NULL, plain ? 7 : 9, x, f32(sx), u8(ZX), w, scale, wz,
            mc_test_const(g, MCOMP_I32, 4, bias), f32(sy), u8(ZY));
    mc_test_set s = run();
    for (int64_t i = 0; i < 8; i++) {
        double acc = bias[i % 4];
        for (int64_t k = 0; k < 3; k++) {
            const int64_t j = turned ? i % 4 * 3 + k : k * 4 + i % 4;
            acc += (at(&s, 0, i / 4 * 3 + k) - ZX) * (double)(j * 37 % 200 - 100);
        }
        const double real = acc * sx * ws[turned ? i % 4 : 0] * (turned ? 0.5 : 1.0);
        if (plain) ck_assert_double_eq_tol(at(&s, 1, i), real, 1e-5 + 1e-5 * fabs(real));
        else near(at(&s, 1, i), real);
    }
    mc_test_set_free(&s);
}
END_TEST

/* The dynamic product becomes one QLinear of the plan. */
START_TEST(dynamic)
{
    static const int64_t dims[] = {2, 3};
    static const double ws[] = {0.01, 0.02, 0.03, 0.04}, bias[] = {1, -2, 3, -4};
    const mc_shape shape = {.rank = 2, .dim = {3, 4}};
    mc_tensor *t;
    mc_value *w;
    mc_ck_ok(mc_tensor_create(&t, MCOMP_I8, &shape));
    for (int64_t i = 0; i < N; i++) ((int8_t *)t->data)[i] = (int8_t)(i * 37 % 200 - 100);
    mc_ck_ok(mc_graph_add_const(g, "w", t, &w));
    x = mc_test_input(g, "x", MCOMP_F32, 2, dims);
    foreign("DynamicQuantizeMatMul", NULL, 5, x, w, mc_test_const(g, MCOMP_F32, 4, ws), NULL, mc_test_const(g, MCOMP_F32, 4, bias));
    mc_test_set s = run();
    double lo = 0.0, hi = 0.0;
    for (int64_t i = 0; i < 6; i++) {
        lo = fmin(lo, at(&s, 0, i));
        hi = fmax(hi, at(&s, 0, i));
    }
    for (int64_t i = 0; i < 8; i++) {
        double sum = bias[i % 4];
        for (int64_t k = 0; k < 3; k++) sum += at(&s, 0, i / 4 * 3 + k) * (double)((k * 4 + i % 4) * 37 % 200 - 100) * ws[i % 4];
        ck_assert_double_eq_tol(at(&s, 1, i), sum, 0.5 * (hi - lo) / 255.0 * 300.0 * ws[i % 4] + 1e-5);
    }
    mc_test_set_free(&s);
    mc_ck_ok(mc_passes_run(g, MC_STAGE_LOAD | MC_STAGE_SHAPE | MC_STAGE_FUSE | MC_STAGE_LOWER, NULL));
    ck_assert_int_eq(mc_test_count(g, "mcomp", "QLinear"), 1);
    ck_assert_int_eq(g->n_order, 1);
}
END_TEST

/* K = 40 in blocks of 16: the last one is padded. _i: bits 2, 4, 8, without and with zero points. */
START_TEST(nbits)
{
    enum { K = 40, ROWS = 3, BLOCK = 16, BLOCKS = 3 };
    static const int64_t dims[] = {2, K}, all_bits[] = {2, 4, 8};
    const int64_t bits = all_bits[_i / 2], blob = BLOCK * bits / 8, zrow = (BLOCKS * bits + 7) / 8;
    const int with_zeros = _i % 2;
    const mc_shape shape = {.rank = 3, .dim = {ROWS, BLOCKS, blob}}, flat = {.rank = 1, .dim = {ROWS * BLOCKS}}, packed = {.rank = 1, .dim = {ROWS * zrow}};
    mc_tensor *w, *s, *z = NULL, *keep[3];
    mc_value *in[3] = {NULL};
    char attrs[80];
    mc_ck_ok(mc_tensor_create(&w, MCOMP_U8, &shape));
    mc_ck_ok(mc_tensor_create(&s, MCOMP_F32, &flat));
    mc_ck_ok(mc_tensor_create(&z, MCOMP_U8, &packed));
    for (int64_t i = 0; i < mc_tensor_elements(w); i++) ((uint8_t *)w->data)[i] = (uint8_t)(i * 89 + 7);
    for (int64_t i = 0; i < mc_tensor_elements(z); i++) ((uint8_t *)z->data)[i] = with_zeros ? (uint8_t)(i * 53 + 1) : bits == 2 ? 0xaa : bits == 4 ? 0x88 : 0x80;
    for (int64_t i = 0; i < ROWS * BLOCKS; i++) ((float *)s->data)[i] = (i % 2 ? -0.01f : 0.02f) * (float)(i + 1);
    mc_ck_ok(mc_tensor_copy(&keep[0], w));
    mc_ck_ok(mc_tensor_copy(&keep[1], s));
    mc_ck_ok(mc_tensor_copy(&keep[2], z));
    mc_ck_ok(mc_graph_add_const(g, "w", w, &in[0]));
    mc_ck_ok(mc_graph_add_const(g, "s", s, &in[1]));
    if (with_zeros) mc_ck_ok(mc_graph_add_const(g, "z", z, &in[2]));
    else mc_tensor_destroy(z);
    x = mc_test_input(g, "x", MCOMP_F32, 2, dims);
    snprintf(attrs, sizeof attrs, "K=%d N=%d bits=%d block_size=%d", K, ROWS, (int)bits, BLOCK);
    foreign("MatMulNBits", attrs, with_zeros ? 4 : 3, x, in[0], in[1], in[2]);
    mc_test_set r = run();
    for (int64_t i = 0; i < 2 * ROWS; i++) {
        double sum = 0.0;
        for (int64_t k = 0; k < K; k++) {
            const int64_t row = i % ROWS, block = k / BLOCK, mask = (1 << bits) - 1;
            const int64_t q = ((uint8_t *)keep[0]->data)[(row * BLOCKS + block) * blob + k % BLOCK * bits / 8] >> (k % BLOCK * bits % 8) & mask;
            const int64_t zero = ((uint8_t *)keep[2]->data)[row * zrow + block * bits / 8] >> (block * bits % 8) & mask;
            sum += at(&r, 0, i / ROWS * K + k) * (double)(q - zero) * (double)((float *)keep[1]->data)[row * BLOCKS + block];
        }
        ck_assert_double_eq_tol(at(&r, 1, i), sum, 1e-4);
    }
    mc_test_set_free(&r);
    for (int k = 0; k < 3; k++) mc_tensor_destroy(keep[k]);
}
END_TEST

/* Forms that do not map stay opaque: nothing half-expanded is left, and the file can be written again. */
START_TEST(stays_opaque)
{
    static const int64_t dims[] = {2, 64};
    mc_value *w = bytes("w", 3, (const int64_t[]){3, 2, 16}); /* no constant */
    x = mc_test_input(g, "x", MCOMP_F32, 2, dims);
    if (_i == 0) foreign("MatMulNBits", "K=64 N=3 bits=4 block_size=32", 3, x, w, mc_test_random_const(g, 1, 1.0f, 1, (const int64_t[]){6}));
    if (_i == 1) foreign("QLinearGlobalAveragePool", "channels_last=1", 5, w, f32(sx), u8(ZX), f32(sy), u8(ZY));
    if (_i == 2) foreign("QLinearAdd", NULL, 8, w, f32(sx), u8(ZX), w, f32(sx), u8(ZX), f32(sy), NULL);
    if (_i == 3) foreign("QAttention", "num_heads=2", 2, x, w);
    through_file();
    ck_assert_int_eq(g->n_order, 1);
    ck_assert_ptr_null(g->order[0]->desc);
    through_file();
}
END_TEST

int main(void)
{
    Suite *s = suite_create("onnx/foreign");
    TCase *t = tcase_create("foreign");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_loop_test(t, elementwise, 0, 4);
    tcase_add_loop_test(t, pools, 0, 3);
    tcase_add_loop_test(t, softmax, 0, 2);
    tcase_add_loop_test(t, joins, 0, 2);
    tcase_add_loop_test(t, gemm, 0, 4);
    tcase_add_test(t, dynamic);
    tcase_add_loop_test(t, nbits, 0, 6);
    tcase_add_loop_test(t, stays_opaque, 0, 4);
    suite_add_tcase(s, t);
    return mc_test_main(s);
}
