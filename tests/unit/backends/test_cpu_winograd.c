/* 3 x 3 convolutions by Winograd transforms on every tier, against the direct sum in double, within the bound of their rounding errors.
 *
 * With |.| by element and u = 2^-24, an output is off by at most gamma(n) (|A'| (sum over C of |G| |g| |G'| . |B'| |d| |B|) |A| + |bias| + |residual|),
 * gamma(n) = n u / (1 - n u), where n counts the roundings on the longest way through: the weight 1, the input transform 2, C products and
 * a sum for each block of 256 of them, the output transform 4, bias and residual 2 (Higham, Accuracy and Stability, section 3.1).
 * ReLU moves no two values apart. */
#include <math.h>
#include <stdio.h>

#include "cpu_case.h"

typedef struct shape {
    int n, h, w, c, m, pads[4], bias, residual;
    const char *act; /* extra attributes */
} shape;

static const shape shapes[] = {
    {1, 14, 14, 32, 48, {1, 1, 1, 1}, 1, 1, "act='none' post_act='relu'"},
    {1, 8, 8, 32, 32, {1, 1, 1, 1}, 1, 0, "act='relu'"},
    {2, 7, 7, 64, 64, {1, 1, 1, 1}, 0, 1, ""},
    {3, 9, 13, 33, 47, {1, 1, 1, 1}, 1, 0, ""},          /* odd everything */
    {1, 10, 9, 100, 31, {0, 0, 0, 0}, 1, 1, "post_act='relu'"},
    {1, 20, 11, 17, 130, {2, 3, 1, 0}, 1, 1, "post_act='clip' act_lo=-1.0f act_hi=1.0f"},
    {1, 5, 61, 64, 20, {0, 2, 0, 5}, 0, 0, ""},
    {17, 3, 3, 40, 40, {1, 1, 1, 1}, 1, 0, ""},           /* blocks that cross images */
    {1, 61, 3, 20, 64, {3, 2, 3, 2}, 1, 1, ""},           /* tiles that see only padding */
    {2, 30, 31, 70, 65, {1, 1, 1, 1}, 1, 1, "act='relu'"},
    {1, 12, 12, 300, 260, {1, 1, 1, 1}, 1, 1, ""},        /* two blocks of the inner dimension; columns shared out */
    {1, 64, 64, 16, 64, {1, 1, 1, 1}, 0, 0, ""},
};

static double at(const mc_tensor *x, const shape *s, int64_t n, int64_t y, int64_t c, int64_t ch)
{
    if (y < 0 || y >= s->h || c < 0 || c >= s->w) return 0.0;
    return (double)((const float *)x->data)[((n * s->h + y) * s->w + c) * s->c + ch];
}

/* |G| |g| |G'| of every filter and channel, [m][c][16]. */
static void weight_sizes(const shape *s, const mc_tensor *w, double *u)
{
    static const double G[4][3] = {{1, 0, 0}, {.5, .5, .5}, {.5, .5, .5}, {0, 0, 1}};
    for (int64_t f = 0; f < s->m * s->c; f++, u += 16) {
        const float *g = (const float *)w->data + f * 9;
        for (int t = 0; t < 16; t++) {
            u[t] = 0.0;
            for (int i = 0; i < 9; i++) u[t] += G[t / 4][i / 3] * G[t % 4][i % 3] * fabs((double)g[i]);
        }
    }
}

/* |B'| |d| |B| of the tile whose first input is (y, x), [c][16]. */
static void input_sizes(const shape *s, const mc_tensor *in, int64_t n, int64_t y, int64_t x, double *v)
{
    static const double B[4][4] = {{1, 0, 1, 0}, {0, 1, 1, 0}, {0, 1, 1, 0}, {0, 1, 0, 1}};
    for (int64_t k = 0; k < s->c; k++, v += 16)
        for (int t = 0; t < 16; t++) {
            v[t] = 0.0;
            for (int i = 0; i < 16; i++) {
                const double b = B[t / 4][i / 4] * B[t % 4][i % 4];
                if (b != 0.0) v[t] += fabs(at(in, s, n, y + i / 4, x + i % 4, k));
            }
        }
}

static double finish(const shape *s, double sum, double residual)
{
    if (strncmp(s->act, "act='relu'", 10) == 0) sum = fmax(sum, 0.0);
    sum += residual;
    if (strstr(s->act, "post_act='relu'")) return fmax(sum, 0.0);
    return strstr(s->act, "clip") ? fmin(fmax(sum, -1.0), 1.0) : sum;
}

/* Output e and the bound of its error. */
static void expect_one(const shape *s, mc_tensor *const in[4], const double z[16], int64_t e, int64_t ow, int64_t oh, double *want, double *most)
{
    static const double A[2][4] = {{1, 1, 1, 0}, {0, 1, 1, 1}};
    const double n = 1 + 2 + s->c + (s->c + 255) / 256 + 4 + 2, u = 0x1p-24, gamma = n * u / (1.0 - n * u);
    const int64_t m = e % s->m, x = e / s->m % ow, y = e / s->m / ow % oh, i = e / s->m / ow / oh;
    const double bias = s->bias ? (double)((const float *)in[2]->data)[m] : 0.0;
    const double residual = s->residual ? (double)((const float *)in[3]->data)[e] : 0.0;
    double sum = bias, size = fabs(bias) + fabs(residual);
    for (int t = 0; t < 16; t++) size += A[y % 2][t / 4] * A[x % 2][t % 4] * z[t];
    for (int t = 0; t < 9; t++)
        for (int64_t k = 0; k < s->c; k++)
            sum += (double)((const float *)in[1]->data)[(m * s->c + k) * 9 + t] * at(in[0], s, i, y - s->pads[0] + t / 3, x - s->pads[1] + t % 3, k);
    want[e] = finish(s, sum, residual);
    most[e] = gamma * size;
}

static void expect(const shape *s, mc_tensor *const in[4], int64_t oh, int64_t ow, double *want, double *most)
{
    double *u = mc_malloc((size_t)(s->m * s->c * 16) * sizeof *u), *v = mc_malloc((size_t)(s->c * 16) * sizeof *v);
    weight_sizes(s, in[1], u);
    for (int64_t i = 0; i < s->n; i++)
        for (int64_t y = 0; y < oh; y += 2)
            for (int64_t x = 0; x < ow; x += 2) {
                input_sizes(s, in[0], i, y - s->pads[0], x - s->pads[1], v);
                for (int64_t m = 0; m < s->m; m++) {
                    double z[16] = {0};
                    for (int64_t k = 0; k < s->c; k++)
                        for (int t = 0; t < 16; t++) z[t] += u[(m * s->c + k) * 16 + t] * v[k * 16 + t];
                    for (int o = 0; o < 4; o++)
                        if (y + o / 2 < oh && x + o % 2 < ow)
                            expect_one(s, in, z, ((i * oh + y + o / 2) * ow + x + o % 2) * s->m + m, ow, oh, want, most);
                }
            }
    mc_free(u);
    mc_free(v);
}

static mc_tensor *share(mc_tensor *t)
{
    mc_tensor *s = NULL;
    if (t) mc_ck_ok(mc_tensor_share(&s, t));
    return s;
}

START_TEST(within_the_bound)
{
    const shape *s = &shapes[_i];
    const int oh = s->h + s->pads[0] + s->pads[2] - 2, ow = s->w + s->pads[1] + s->pads[3] - 2;
    char attrs[160];
    snprintf(attrs, sizeof attrs, "kernel_shape=[3,3] pads=[%d,%d,%d,%d] %s", s->pads[0], s->pads[1], s->pads[2], s->pads[3], s->act);
    mc_tensor *in[4] = {F(1, s->n, s->h, s->w, s->c), F(2, s->m, s->c, 3, 3), s->bias ? F(3, s->m) : NULL, s->residual ? F(4, s->n, oh, ow, s->m) : NULL};
    const size_t floats = (size_t)(s->n * oh * ow * s->m);
    float *got = mc_malloc(floats * sizeof *got), *first = mc_malloc(floats * sizeof *first);
    double *want = mc_malloc(floats * sizeof *want), *most = mc_malloc(floats * sizeof *most);
    expect(s, in, oh, ow, want, most);
    for (int tier = 0; tier < tier_count(); tier++) {
        setenv("MCOMP_ISA", tiers[tier], 1);
        for (int32_t threads = 1; threads <= 4; threads++) { /* the same bits for each number of threads */
            mc_node_case c = {.domain = "mcomp", .op = "Conv", .attrs = attrs, .n_in = 4, .n_out = 1, .constant = 6, .kernel = "conv_winograd", .rtol = 0.0,
                              .atol = INFINITY, .threads = threads, .keep = threads == 1 ? first : got, .same = threads > 1 ? first : NULL};
            for (int i = 0; i < 4; i++) c.in[i] = share(in[i]);
            mc_ck_node(&c);
        }
        for (size_t e = 0; e < floats; e++) {
            const double off = fabs((double)first[e] - want[e]);
            ck_assert_msg(off <= most[e], "%s, %dx%d %d->%d: element %d is off by %g of at most %g", tiers[tier], s->h, s->w, s->c, s->m, (int)e, off, most[e]);
        }
    }
    mc_free(want);
    mc_free(most);
    mc_free(got);
    mc_free(first);
    for (int i = 0; i < 4; i++) mc_tensor_destroy(in[i]);
}
END_TEST

/* Activations that the output transform cannot do, and what the direct kernel keeps. */
START_TEST(others)
{
    CHECK_MC("conv_winograd", "Conv", "kernel_shape=[3,3] pads=[1,1,1,1] act='gelu'", 6, F(1, 2, 9, 9, 40), F(2, 50, 40, 3, 3), F(3, 50));
    CHECK_MC("conv_winograd", "Conv", "kernel_shape=[3,3] pads=[0,3,1,0] act='tanh' post_act='relu'", 6, F(1, 1, 9, 33, 32), F(2, 70, 32, 3, 3), F(3, 70), F(4, 1, 8, 34, 70));
    CHECK_MC("conv:", "Conv", "kernel_shape=[3,3] pads=[1,1,1,1] strides=[2,2]", 2, F(1, 1, 20, 20, 64), F(2, 64, 64, 3, 3));
    CHECK_MC("conv:", "Conv", "kernel_shape=[3,3] pads=[2,2,2,2] dilations=[2,2]", 2, F(1, 1, 20, 20, 64), F(2, 64, 64, 3, 3));
    CHECK_MC("conv:", "Conv", "kernel_shape=[3,3] pads=[1,1,1,1] group=2", 2, F(1, 1, 20, 20, 64), F(2, 64, 32, 3, 3));
    CHECK_MC("conv:", "Conv", "kernel_shape=[3,3] pads=[1,1,1,1]", 2, F(1, 1, 40, 40, 3), F(2, 64, 3, 3, 3));
    CHECK_MC("conv:", "Conv", "kernel_shape=[3,3] pads=[1,1,1,1]", 2, F(1, 1, 4, 4, 64), F(2, 64, 64, 3, 3)); /* four tiles */
    CHECK_MC("conv:", "Conv", "kernel_shape=[3] pads=[1,1]", 2, F(1, 2, 100, 64), F(2, 64, 64, 3));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("cpu_winograd");
    TCase *t = tcase_create("winograd");
    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, within_the_bound, 0, (int)(sizeof shapes / sizeof *shapes));
    tcase_add_loop_test(t, others, 0, tier_count());
    suite_add_tcase(s, t);
    return mc_test_main(s);
}
