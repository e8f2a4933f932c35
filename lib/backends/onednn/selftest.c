/* Reference vectors before the plugin is used on a machine: a product with a constant in every entry that a wrong layout would
 * move, and a padded convolution, against plain loops. */
#include "plugin.h"

#include <math.h>
#include <string.h>

static float value(int64_t i) { return (float)((i * 2654435761u + 12345u) >> 24 & 255) / 64.0f - 2.0f; }

static int close_to(const float *got, const double *want, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        if (!(fabs((double)got[i] - want[i]) <= 1e-3 + 1e-3 * fabs(want[i]))) return 0;
    return 1;
}

/* Runs one primitive on plain data; weights are reordered on the way. */
static int run_once(mcomp_bk_instance *b, dnnl_primitive_desc_t pd, const dc_md *plain, const void *x, const void *w, void *y)
{
    mcomp_bk_program p = {.b = b};
    dnnl_primitive_desc_t rpd = NULL;
    static const int64_t key[DN_KEY] = {1, 0, 0, 0, 0};
    void *packed = NULL, *scratch = NULL;
    int good = dn_add(&p, pd, key, 0) == MCOMP_OK;
    if (good) {
        packed = dn_host->alloc(dc_md_bytes(&p.weights[0]) + 64);
        scratch = dn_host->alloc(p.pad_bytes + 64);
        good = packed && scratch && !dc_reorder(&rpd, b->engine, plain, &p.weights[0]);
    }
    if (good) good = dn_reorder_run(b, rpd, plain, &p.weights[0], w, packed) == 0;
    p.packed[0] = packed;
    if (good) good = dn_execute(&p, &p.list[0], 0, x, y, scratch) == MCOMP_OK;
    if (rpd) dnnl_primitive_desc_destroy(rpd);
    if (packed) dn_host->release(packed);
    if (scratch) dn_host->release(scratch);
    dn_program_clear(&p);
    return good;
}

static int test_matmul(mcomp_bk_instance *b)
{
    enum { M = 19, K = 37, N = 45 };
    static float x[M * K], w[K * N], y[M * N];
    static double want[M * N];
    const int64_t ds[2] = {M, K}, dw[2] = {K, N}, dd[2] = {M, N};
    dc_md src = {0}, wei = {0}, dst = {0}, plain = {0};
    dnnl_primitive_desc_t pd = NULL;
    for (int64_t i = 0; i < M * K; i++) x[i] = value(i);
    for (int64_t i = 0; i < K * N; i++) w[i] = value(7 * i + 3);
    for (int64_t i = 0; i < M * N; i++) {
        want[i] = 0.0;
        for (int64_t k = 0; k < K; k++) want[i] += (double)x[i / N * K + k] * (double)w[k * N + i % N];
    }
    int good = !dc_md_tag(&src, 2, ds, dnnl_f32, dnnl_ab) && !dc_md_tag(&dst, 2, dd, dnnl_f32, dnnl_ab) &&
               !dc_md_tag(&wei, 2, dw, dnnl_f32, dnnl_format_tag_any) && !dc_md_tag(&plain, 2, dw, dnnl_f32, dnnl_ab) &&
               !dc_matmul(&pd, b->engine, &src, &wei, &dst, b->attr) && run_once(b, pd, &plain, x, w, y);
    dc_md_free(&src);
    dc_md_free(&wei);
    dc_md_free(&dst);
    dc_md_free(&plain);
    return good && (b->bf16 || close_to(y, want, M * N));
}

static int test_conv(mcomp_bk_instance *b)
{
    enum { H = 5, W = 7, C = 16, O = 24 };
    static float x[H * W * C], w[O * C * 9], y[H * W * O];
    static double want[H * W * O];
    const int64_t ds[4] = {1, C, H, W}, dw[4] = {O, C, 3, 3}, dd[4] = {1, O, H, W};
    const dc_conv_geometry g = {{1, 1}, {0, 0}, {1, 1}, {1, 1}};
    dc_md src = {0}, wei = {0}, dst = {0}, plain = {0};
    dnnl_primitive_desc_t pd = NULL;
    for (int64_t i = 0; i < H * W * C; i++) x[i] = value(i);
    for (int64_t i = 0; i < O * C * 9; i++) w[i] = value(5 * i + 1);
    for (int64_t i = 0; i < H * W * O; i++) {
        const int64_t o = i % O, ox = i / O % W, oy = i / O / W;
        want[i] = 0.0;
        for (int64_t k = 0; k < C * 9; k++) {
            const int64_t iy = oy + k % 9 / 3 - 1, ix = ox + k % 3 - 1;
            if (iy >= 0 && iy < H && ix >= 0 && ix < W) want[i] += (double)x[(iy * W + ix) * C + k / 9] * (double)w[o * C * 9 + k];
        }
    }
    int good = !dc_md_tag(&src, 4, ds, dnnl_f32, dnnl_nhwc) && !dc_md_tag(&dst, 4, dd, dnnl_f32, dnnl_nhwc) &&
               !dc_md_tag(&wei, 4, dw, dnnl_f32, dnnl_format_tag_any) && !dc_md_tag(&plain, 4, dw, dnnl_f32, dnnl_oihw) &&
               !dc_conv(&pd, b->engine, &src, &wei, &dst, &g, b->attr) && run_once(b, pd, &plain, x, w, y);
    dc_md_free(&src);
    dc_md_free(&wei);
    dc_md_free(&dst);
    dc_md_free(&plain);
    return good && (b->bf16 || close_to(y, want, H * W * O));
}

/* The largest bytes of either sign: sums that saturate in 16 bits, leave f32's 24, or lose a compensation. Exact or refused. */
static int test_integer(mcomp_bk_instance *b, dnnl_data_type_t type)
{
    enum { M = 5, K = 1030, N = 48 };
    static uint8_t x[M * K];
    static int8_t w[K * N];
    static int32_t y[M * N];
    const int64_t ds[2] = {M, K}, dw[2] = {K, N}, dd[2] = {M, N};
    dc_md src = {0}, wei = {0}, dst = {0}, plain = {0};
    dnnl_primitive_desc_t pd = NULL;
    int64_t wrong = 0;
    for (int64_t i = 0; i < M * K; i++) x[i] = (uint8_t)(i / K == 0 ? 255 : i / K == 1 ? 128 : i * 7 % 256);
    for (int64_t i = 0; i < K * N; i++) w[i] = (int8_t)(i % N == 0 ? 127 : i % N == 1 ? -128 : i % N == 2 && i > 7 * N ? 127 : i * 11 % 256 - 128);
    int good = !dc_md_tag(&src, 2, ds, type, dnnl_ab) && !dc_md_tag(&dst, 2, dd, dnnl_s32, dnnl_ab) &&
               !dc_md_tag(&wei, 2, dw, dnnl_s8, dnnl_format_tag_any) && !dc_md_tag(&plain, 2, dw, dnnl_s8, dnnl_ab) &&
               !dc_matmul(&pd, b->engine, &src, &wei, &dst, b->attr) && run_once(b, pd, &plain, x, w, y);
    for (int64_t i = 0; i < M * N; i++) {
        int32_t want = 0;
        for (int64_t k = 0; k < K; k++) want += (type == dnnl_s8 ? (int8_t)x[i / N * K + k] : x[i / N * K + k]) * w[k * N + i % N];
        wrong += y[i] != want;
    }
    dc_md_free(&src);
    dc_md_free(&wei);
    dc_md_free(&dst);
    dc_md_free(&plain);
    return good && wrong == 0;
}

int32_t dn_self_test(mcomp_bk_instance *b)
{
    if (!test_matmul(b)) return dn_host->fail(MCOMP_NO_BACKEND, "onednn", "the self-test failed: matrix product differs from the reference");
    if (!test_conv(b)) return dn_host->fail(MCOMP_NO_BACKEND, "onednn", "the self-test failed: convolution differs from the reference");
    if (dn_has_vnni() && (!test_integer(b, dnnl_u8) || !test_integer(b, dnnl_s8)))
        return dn_host->fail(MCOMP_NO_BACKEND, "onednn", "the self-test failed: integer product differs from the reference");
    return MCOMP_OK;
}
