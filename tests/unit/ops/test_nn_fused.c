/* The mcomp operators against compositions of the plain ones, and the bit-exact order of the integer epilogue. */
#include "nn_case.h"

#include "kernels/kernels.h"

static float at(const mc_tensor *t, int64_t i) { return ((const float *)t->data)[i]; }

START_TEST(linear)
{
    nn_begin("mcomp", "Linear");
    const mc_tensor *x = nn_random(MCOMP_F32, NN_D(2, 3, 5), 1), *w = nn_random(MCOMP_F32, NN_D(4, 5), 2);
    const mc_tensor *b = nn_random(MCOMP_F32, NN_D(4), 3), *r = nn_random(MCOMP_F32, NN_D(2, 3, 4), 4);
    const mc_tensor *gamma = nn_random(MCOMP_F32, NN_D(4), 5), *beta = nn_random(MCOMP_F32, NN_D(4), 6);
    nn_i("trans_w", 1);
    nn_s("act", "gelu");
    nn_s("post_act", "relu");
    nn_f("ln_eps", 1e-5f);
    nn_run();
    nn_want_dims(0, MCOMP_F32, NN_D(2, 3, 4));
    for (int64_t i = 0; i < 6; i++) {
        double v[4], mean = 0.0, square = 0.0;
        for (int64_t j = 0; j < 4; j++) {
            double sum = (double)at(b, j);
            for (int64_t k = 0; k < 5; k++) sum += (double)at(x, i * 5 + k) * (double)at(w, j * 5 + k);
            v[j] = fmax(0.0, 0.5 * sum * (1.0 + erf(sum / sqrt(2.0))) + (double)at(r, i * 4 + j));
            mean += v[j] / 4.0;
        }
        for (int64_t j = 0; j < 4; j++) square += (v[j] - mean) * (v[j] - mean) / 4.0;
        for (int64_t j = 0; j < 4; j++) {
            const double want = (v[j] - mean) / sqrt(square + 1e-5) * (double)at(gamma, j) + (double)at(beta, j);
            ck_assert_double_eq_tol((double)at(nn_out[0], i * 4 + j), want, 3e-5);
        }
    }
    nn_end();
}
END_TEST

/* The plain operator on transposed tensors gives the reference. */
static mc_tensor *transpose_first(const mc_tensor *t) /* [N,H,W,C] -> [N,C,H,W] */
{
    const int64_t *d = t->shape.dim;
    const mc_shape s = mc_shape_make(4, (const int64_t[]){d[0], d[3], d[1], d[2]});
    mc_tensor *r;
    mc_ck_ok(mc_tensor_create(&r, t->dtype, &s));
    for (int64_t i = 0; i < mc_tensor_elements(t); i++) {
        const int64_t c = i % d[3], p = i / d[3] % (d[1] * d[2]), n = i / (d[1] * d[2] * d[3]);
        mc_tensor_set_f64(r, (n * d[3] + c) * d[1] * d[2] + p, mc_tensor_get_f64(t, i));
    }
    return r;
}

static void window_attrs(void)
{
    nn_ints("pads", (int64_t[]){1, 0, 1, 2}, 4);
    nn_ints("strides", (int64_t[]){1, 2}, 2);
    nn_ints("dilations", (int64_t[]){2, 1}, 2);
}

START_TEST(conv_is_conv)
{
    nn_begin("mcomp", "Conv");
    nn_random(MCOMP_F32, NN_D(2, 5, 6, 4), 1);
    nn_random(MCOMP_F32, NN_D(6, 2, 2, 3), 2);
    nn_random(MCOMP_F32, NN_D(6), 3);
    window_attrs();
    nn_i("group", 2);
    nn_s("act", "clip");
    nn_f("act_lo", 0.0f);
    nn_f("act_hi", 0.5f);
    nn_run();
    mc_tensor *got = transpose_first(nn_out[0]), *x = transpose_first(nn_in[0]), *w, *b;
    mc_ck_ok(mc_tensor_copy(&w, nn_in[1]));
    mc_ck_ok(mc_tensor_copy(&b, nn_in[2]));
    nn_end();
    nn_begin("", "Conv");
    nn_in[nn_count++] = x;
    nn_in[nn_count++] = w;
    nn_in[nn_count++] = b;
    window_attrs();
    nn_i("group", 2);
    nn_run();
    ck_assert(mc_shape_equal(&nn_out[0]->shape, &got->shape));
    for (int64_t i = 0; i < mc_tensor_elements(got); i++)
        ck_assert_double_eq_tol(fmin(0.5, fmax(0.0, (double)at(nn_out[0], i))), (double)at(got, i), 1e-6);
    nn_end();
    mc_tensor_destroy(got);
}
END_TEST

/* A pool of the mcomp domain equals the plain one on the transposed tensor. */
static void pool_case(const char *op, int32_t dtype, int global)
{
    nn_begin("mcomp", op);
    nn_random(dtype, NN_D(2, 5, 4, 3), 7);
    if (!global) {
        nn_ints("kernel_shape", (int64_t[]){3, 2}, 2);
        nn_ints("pads", (int64_t[]){1, 0, 2, 1}, 4);
        nn_ints("strides", (int64_t[]){2, 1}, 2);
    }
    nn_run();
    mc_tensor *got = transpose_first(nn_out[0]), *x = transpose_first(nn_in[0]);
    nn_end();
    nn_begin("", op);
    nn_in[nn_count++] = x;
    if (!global) {
        nn_ints("kernel_shape", (int64_t[]){3, 2}, 2);
        nn_ints("pads", (int64_t[]){1, 0, 2, 1}, 4);
        nn_ints("strides", (int64_t[]){2, 1}, 2);
    }
    nn_run();
    ck_assert(mc_shape_equal(&nn_out[0]->shape, &got->shape));
    for (int64_t i = 0; i < mc_tensor_elements(got); i++)
        ck_assert_double_eq_tol(mc_tensor_get_f64(nn_out[0], i), mc_tensor_get_f64(got, i), 1e-7);
    nn_end();
    mc_tensor_destroy(got);
}

START_TEST(pools_are_pools)
{
    pool_case("MaxPool", MCOMP_F32, 0);
    pool_case("MaxPool", MCOMP_U8, 0);
    pool_case("MaxPool", MCOMP_I8, 0);
    pool_case("AveragePool", MCOMP_F32, 0);
    pool_case("GlobalAveragePool", MCOMP_F32, 1);
    pool_case("GlobalMaxPool", MCOMP_F32, 1);
}
END_TEST

START_TEST(attention)
{
    enum { B = 2, S = 3, T = 4, H = 2, D = 3, DV = 2 };
    nn_begin("mcomp", "Attention");
    const mc_tensor *q = nn_random(MCOMP_F32, NN_D(B, S, 8), 1), *k = nn_random(MCOMP_F32, NN_D(B, T, 6), 2);
    const mc_tensor *v = nn_random(MCOMP_F32, NN_D(B, T, 5), 3), *mask = nn_random(MCOMP_F32, NN_D(B, 1, 1, T), 4);
    nn_i("heads", H);
    nn_f("scale", 0.5f);
    nn_i("q_offset", 2);
    nn_i("v_offset", 1);
    nn_i("v_width", 4);
    nn_run();
    nn_want_dims(0, MCOMP_F32, NN_D(B, S, H * DV));
    for (int64_t n = 0; n < B; n++)
        for (int64_t h = 0; h < H; h++)
            for (int64_t i = 0; i < S; i++) {
                double p[T], sum = 0.0;
                for (int64_t j = 0; j < T; j++) {
                    double dot = 0.0;
                    for (int64_t d = 0; d < D; d++)
                        dot += (double)at(q, (n * S + i) * 8 + 2 + h * D + d) * (double)at(k, (n * T + j) * 6 + h * D + d);
                    p[j] = exp(0.5 * dot + (double)at(mask, n * T + j));
                    sum += p[j];
                }
                for (int64_t e = 0; e < DV; e++) {
                    double want = 0.0;
                    for (int64_t j = 0; j < T; j++) want += p[j] / sum * (double)at(v, (n * T + j) * 5 + 1 + h * DV + e);
                    ck_assert_double_eq_tol((double)at(nn_out[0], ((n * S + i) * H + h) * DV + e), want, 1e-6);
                }
            }
    nn_end();
}
END_TEST

static void byte_attrs(const char *p, float scale, int64_t zp, int32_t dtype)
{
    char name[16];
    const char *const suffix[3] = {"_scale", "_zp", "_dtype"};
    for (int i = 0; i < 3; i++) {
        memcpy(name, p, 2);
        memcpy(name + 1, suffix[i], strlen(suffix[i]) + 1);
        if (i == 0) nn_f(name, scale);
        else nn_i(name, i == 1 ? zp : dtype);
    }
}

/* Static mode: every bit of the documented order, written out again. */
START_TEST(qlinear_static)
{
    enum { M = 3, K = 40, N = 5 };
    nn_begin("mcomp", "QLinear");
    const mc_tensor *x = nn_random(MCOMP_U8, NN_D(M, K), 1), *w = nn_random(MCOMP_I8, NN_D(K, N), 2);
    const mc_tensor *ws = nn_random(MCOMP_F32, NN_D(N), 3), *b = nn_random(MCOMP_F32, NN_D(N), 4);
    const mc_tensor *r = nn_random(MCOMP_I8, NN_D(M, N), 5);
    for (int64_t j = 0; j < N; j++) ((float *)ws->data)[j] = 0.01f + 0.001f * (float)j;
    byte_attrs("x", 0.02f, 113, MCOMP_U8);
    byte_attrs("r", 0.03f, -7, MCOMP_I8);
    byte_attrs("y", 0.05f, 9, MCOMP_I8);
    nn_s("act", "gelu");
    nn_s("post_act", "relu");
    nn_run();
    nn_want_dims(0, MCOMP_I8, NN_D(M, N));
    for (int64_t i = 0; i < M * N; i++) {
        int32_t acc = 0, colsum = 0;
        for (int64_t k = 0; k < K; k++) {
            const int32_t wk = ((const int8_t *)w->data)[k * N + i % N];
            acc += ((const uint8_t *)x->data)[i / N * K + k] * wk;
            colsum += wk;
        }
        const float s = 0.02f * at(ws, i % N);
        float v = (float)(acc - 113 * colsum) * s;
        v = v + at(b, i % N);
        v = mc_geluf(v);
        v = v + (float)(((const int8_t *)r->data)[i] + 7) * 0.03f;
        v = v > 0.0f ? v : 0.0f;
        const float t = v * (1.0f / 0.05f);
        const int32_t q = (int32_t)nearbyintf(t) + 9;
        ck_assert_int_eq(((const int8_t *)nn_out[0]->data)[i], q > 127 ? 127 : q < -128 ? -128 : q);
    }
    nn_end();
}
END_TEST

/* Token mode equals the exported chain: max|x| / 127, QuantizeLinear, integer product, scales. */
START_TEST(qlinear_token_and_tensor)
{
    for (int token = 0; token < 2; token++) {
        nn_begin("mcomp", "QLinear");
        const mc_tensor *x = nn_random(MCOMP_F32, NN_D(3, 17), 11), *w = nn_random(MCOMP_I8, NN_D(4, 17), 2);
        const mc_tensor *ws = nn_random(MCOMP_F32, NN_D(4), 3);
        for (int64_t j = 0; j < 4; j++) ((float *)ws->data)[j] = 0.02f;
        memset((float *)x->data + 17, 0, 17 * sizeof(float)); /* a row of zeros */
        nn_i("trans_w", 1);
        nn_s("mode", token ? "token" : "tensor");
        nn_run();
        nn_want_dims(0, MCOMP_F32, NN_D(3, 4));
        float lo = 0.0f, hi = 0.0f;
        for (int64_t k = 0; k < 51; k++) {
            lo = fminf(lo, at(x, k));
            hi = fmaxf(hi, at(x, k));
        }
        for (int64_t i = 0; i < 3; i++) {
            float amax = 0.0f, scale = (hi - lo) / 255.0f;
            for (int64_t k = 0; k < 17; k++) amax = fmaxf(amax, fabsf(at(x, i * 17 + k)));
            if (token) scale = amax > 0.0f ? amax / 127.0f : 1.0f;
            const int32_t zp = token ? 0 : (int32_t)nearbyintf((0.0f - lo) / scale);
            for (int64_t j = 0; j < 4; j++) {
                int32_t acc = 0;
                for (int64_t k = 0; k < 17; k++) {
                    const int32_t q = (int32_t)nearbyintf(at(x, i * 17 + k) / scale) + zp;
                    acc += (q - zp) * ((const int8_t *)w->data)[j * 17 + k];
                }
                ck_assert(at(nn_out[0], i * 4 + j) == (float)acc * (scale * 0.02f));
            }
        }
        nn_end();
    }
}
END_TEST

/* QConv, 1x1: the same numbers as QLinear; and padding is x_zp. */
START_TEST(qconv)
{
    nn_begin("mcomp", "QConv");
    NN_IN(U8, NN_D(1, 3, 1), NN_V(11, 12, 13));
    NN_IN(I8, NN_D(2, 1, 2), NN_V(1, 3, -1, 2));
    NN_IN(F32, NN_D(2), NN_V(0.5, 0.25));
    NN_IN(F32, NN_D(2), NN_V(0, 1));
    byte_attrs("x", 2.0f, 10, MCOMP_U8);
    nn_ints("pads", (int64_t[]){1, 1}, 2);
    nn_run(); /* acc 3 7 11 3; 2 3 4 -3 */
    NN_WANT(0, F32, NN_D(1, 4, 2), NN_V(3, 2, 7, 2.5, 11, 3, 3, -0.5), 0.0);
    nn_end();
}
END_TEST

START_TEST(small_integer_operators)
{
    nn_begin("mcomp", "QAdd");
    NN_IN(U8, NN_D(4), NN_V(0, 10, 20, 255));
    NN_IN(I8, NN_D(4), NN_V(0, -4, 5, 127));
    byte_attrs("a", 0.5f, 10, MCOMP_U8);
    byte_attrs("b", 1.0f, 0, MCOMP_I8);
    byte_attrs("y", 1.0f, 1, MCOMP_U8);
    nn_s("act", "relu");
    nn_run(); /* -5, -4, 10, 249.5 */
    NN_WANT(0, U8, NN_D(4), NN_V(1, 1, 11, 251), 0.0);
    nn_end();
    nn_begin("mcomp", "QAveragePool");
    NN_IN(U8, NN_D(1, 3, 1), NN_V(12, 14, 17));
    byte_attrs("x", 0.5f, 10, MCOMP_U8);
    byte_attrs("y", 0.25f, 0, MCOMP_I8);
    nn_ints("kernel_shape", (int64_t[]){2}, 1);
    nn_ints("pads", (int64_t[]){1, 0}, 2);
    nn_run(); /* means of 2 | 2 4 | 4 7, times .5 / .25 */
    NN_WANT(0, I8, NN_D(1, 3, 1), NN_V(4, 6, 11), 0.0);
    nn_end();
    nn_begin("mcomp", "QGlobalAveragePool");
    NN_IN(U8, NN_D(1, 2, 2), NN_V(10, 20, 30, 41));
    byte_attrs("x", 1.0f, 0, MCOMP_U8);
    nn_run();
    NN_WANT(0, F32, NN_D(1, 1, 2), NN_V(20, 30.5), 0.0);
    nn_end();
    nn_begin("mcomp", "QLut");
    NN_IN(I8, NN_D(3), NN_V(-1, 0, 5));
    mc_tensor *table = nn_input(MCOMP_U8, NN_D(256));
    for (int i = 0; i < 256; i++) ((uint8_t *)table->data)[i] = (uint8_t)(255 - i);
    nn_run(); /* indexed by the raw byte */
    NN_WANT(0, U8, NN_D(3), NN_V(0, 255, 250), 0.0);
    nn_end();
    nn_begin_outs("mcomp", "Observe", 0);
    NN_IN(F32, NN_D(1), NN_V(1));
    nn_i("slot", 3);
    nn_run();
    nn_end();
}
END_TEST

int main(void)
{
    Suite *s = suite_create("nn_fused");
    TCase *t = tcase_create("all");
    tcase_add_test(t, linear);
    tcase_add_test(t, conv_is_conv);
    tcase_add_test(t, pools_are_pools);
    tcase_add_test(t, attention);
    tcase_add_test(t, qlinear_static);
    tcase_add_test(t, qlinear_token_and_tensor);
    tcase_add_test(t, qconv);
    tcase_add_test(t, small_integer_operators);
    suite_add_tcase(s, t);
    return mc_test_main(s);
}
