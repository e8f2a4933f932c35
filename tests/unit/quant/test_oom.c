/* The Nth allocation fails, once or from then on for ever, in everything between a file and a quantized file that runs: the
 * call reports NO_MEMORY (or gets by without), gives everything back, leaves no half-written file, and works afterwards.
 * The quick test takes a sample of the allocations, `test_quant_oom all` (suite slow) every one. */
#include <mcomp/mcomp.h>

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "support/failing.h"
#include "support/support.h"

#define QUICK_POINTS 160

static long points = QUICK_POINTS;
static char dir[64];

static const char *at(const char *name)
{
    static char path[8][128];
    static int next;
    char *p = path[next++ % 8];
    snprintf(p, sizeof path[0], "%s/%s", dir, name);
    return p;
}

/* x [N, 6] -> MatMul -> Add -> Relu -> MatMul -> y */
static void write_model(void)
{
    static const int64_t x[2] = {-1, 6}, w1[2] = {6, 8}, b[1] = {8}, w2[2] = {8, 3}, data[2] = {5, 6};
    static const struct {
        const char *op, *in[2], *out;
    } nodes[] = {{"MatMul", {"x", "w1"}, "m"}, {"Add", {"m", "b"}, "a"}, {"Relu", {"a", NULL}, "r"}, {"MatMul", {"r", "w2"}, "y"}};
    const struct {
        const char *name;
        int32_t rank;
        const int64_t *dims;
    } weights[] = {{"w1", 2, w1}, {"b", 1, b}, {"w2", 2, w2}};
    uint64_t seed = 5;
    mcomp_context *ctx;
    mcomp_graph *g;
    mcomp_tensor *t;
    mc_ck_ok(mcomp_context_create(&ctx, NULL));
    mc_ck_ok(mcomp_graph_create(&g, ctx, "m", 13));
    mc_ck_ok(mcomp_graph_add_input(g, "x", MCOMP_F32, 2, x, NULL));
    for (int i = 0; i < 3; i++) {
        mc_ck_ok(mcomp_tensor_create(&t, MCOMP_F32, weights[i].rank, weights[i].dims));
        for (int64_t k = 0; k < mcomp_tensor_elements(t); k++) ((float *)mcomp_tensor_data(t))[k] = mc_test_random(&seed);
        mc_ck_ok(mcomp_graph_add_constant(g, weights[i].name, t));
        mcomp_tensor_destroy(t);
    }
    for (int i = 0; i < 4; i++) mc_ck_ok(mcomp_graph_add_node(g, nodes[i].op, nodes[i].out, nodes[i].in[1] ? 2 : 1, nodes[i].in, 1, &nodes[i].out));
    mc_ck_ok(mcomp_graph_add_output(g, "y"));
    mc_ck_ok(mcomp_graph_finish(g));
    mc_ck_ok(mcomp_graph_save(g, at("m.onnx"), NULL));
    mcomp_graph_destroy(g);
    mcomp_context_destroy(ctx);
    mc_ck_ok(mcomp_tensor_create(&t, MCOMP_F32, 2, data));
    for (int64_t k = 0; k < 30; k++) ((float *)mcomp_tensor_data(t))[k] = mc_test_random(&seed);
    mc_ck_ok(mcomp_tensor_save_npy(t, at("x.npy"), 0));
    mcomp_tensor_destroy(t);
}

/* The same array in an archive, stored. */
static void write_npz(void)
{
    char *npy;
    uint64_t n;
    uint8_t h[46] = {0x50, 0x4b, 1, 2}, l[30] = {0x50, 0x4b, 3, 4}, e[22] = {0x50, 0x4b, 5, 6};
    mc_ck_ok(mc_file_read(at("x.npy"), 1 << 20, &npy, &n));
    uint32_t crc = 0xffffffffu;
    for (uint64_t i = 0; i < n; i++) {
        crc ^= (uint8_t)npy[i];
        for (int k = 0; k < 8; k++) crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
    }
    crc = ~crc;
    const uint32_t size = (uint32_t)n, end = (uint32_t)(30 + 5 + n), central = 46 + 5;
    memcpy(l + 14, &crc, 4), memcpy(l + 18, &size, 4), memcpy(l + 22, &size, 4), l[26] = 5;
    memcpy(h + 16, &crc, 4), memcpy(h + 20, &size, 4), memcpy(h + 24, &size, 4), h[28] = 5;
    e[8] = e[10] = 1, memcpy(e + 12, &central, 4), memcpy(e + 16, &end, 4);
    FILE *f = fopen(at("x.npz"), "wb");
    ck_assert_ptr_nonnull(f);
    fwrite(l, 1, 30, f), fwrite("x.npy", 1, 5, f), fwrite(npy, 1, n, f), fwrite(h, 1, 46, f), fwrite("x.npy", 1, 5, f), fwrite(e, 1, 22, f);
    ck_assert_int_eq(fclose(f), 0);
    mc_free(npy);
}

static int32_t run_model(mcomp_context *ctx, const mcomp_graph *g, mcomp_dataset *d, int32_t samples)
{
    int32_t st = MCOMP_OK;
    mcomp_session *s = NULL;
    mcomp_exec *e = NULL;
    const mcomp_tensor *in[1], *out[1];
    int64_t label;
    MC_TRY(mcomp_session_create(&s, ctx, g, NULL));
    MC_TRY(mcomp_exec_create(&e, s));
    for (int32_t i = 0; i < samples; i++) {
        MC_TRY(mcomp_dataset_get(d, i, 1, in, &label));
        MC_TRY(mcomp_exec_run(e, 1, in, 1, out));
    }
done:
    mcomp_exec_destroy(e);
    mcomp_session_destroy(s);
    return st;
}

/* load, dataset, calibrate, save and load the calibration, quantize, save, load again, run. */
static int32_t pipeline(int32_t dynamic)
{
    int32_t st = MCOMP_OK;
    mcomp_context *ctx = NULL;
    mcomp_graph *g = NULL, *q = NULL, *raced = NULL, *back = NULL;
    mcomp_dataset *d = NULL;
    mcomp_calibrator *c = NULL, *c2 = NULL;
    mcomp_quantizer *z = NULL, *z2 = NULL;
    const mcomp_context_options co = {.size = sizeof co, .threads = 1, .backend = "cpu"};
    mcomp_quantizer_options qo;
    mcomp_save_options so;
    MC_TRY(mcomp_save_options_init(&so, sizeof so));
    so.overwrite = 1;
    MC_TRY(mcomp_context_create(&ctx, &co));
    MC_TRY(mcomp_graph_load(&g, ctx, at("m.onnx")));
    MC_TRY(mcomp_dataset_open(&d, ctx, g, at("x.npz"), NULL));
    if (!dynamic) {
        MC_TRY(mcomp_calibrator_create(&c, ctx, g));
        MC_TRY(mcomp_calibrator_feed_dataset(c, d));
        MC_TRY(mcomp_calibrator_save(c, at("m.calib"), 1));
        MC_TRY(mcomp_calibrator_load(&c2, ctx, g, at("m.calib")));
    }
    MC_TRY(mcomp_quantizer_options_init(&qo, sizeof qo));
    qo.scheme = dynamic ? "int8-dynamic" : "int8";
    MC_TRY(mcomp_quantizer_create(&z2, ctx, &qo));
    MC_TRY(mcomp_quantizer_apply(&raced, z2, g, c2, d)); /* what it decides depends on the clock: not compared */
    qo.slower = MCOMP_SLOWER_KEEP;
    MC_TRY(mcomp_quantizer_create(&z, ctx, &qo));
    MC_TRY(mcomp_quantizer_apply(&q, z, g, c2, d));
    MC_TRY(mcomp_graph_save(q, at("q.onnx"), &so));
    MC_TRY(mcomp_graph_load(&back, ctx, at("q.onnx")));
    MC_TRY(run_model(ctx, back, d, 2));
done:
    mcomp_quantizer_destroy(z);
    mcomp_quantizer_destroy(z2);
    mcomp_graph_destroy(raced);
    mcomp_calibrator_destroy(c);
    mcomp_calibrator_destroy(c2);
    mcomp_dataset_destroy(d);
    mcomp_graph_destroy(back);
    mcomp_graph_destroy(q);
    mcomp_graph_destroy(g);
    mcomp_context_destroy(ctx);
    return st;
}

/* Only whole files: what is there loads, and nothing else is there. */
static void check_files(long n)
{
    DIR *d = opendir(dir);
    ck_assert_ptr_nonnull(d);
    for (struct dirent *e = readdir(d); e; e = readdir(d)) {
        const char *s = e->d_name;
        const int known = s[0] == '.' || strcmp(s, "m.onnx") == 0 || strcmp(s, "x.npy") == 0 || strcmp(s, "x.npz") == 0 || strcmp(s, "m.calib") == 0 ||
                          strcmp(s, "q.onnx") == 0;
        ck_assert_msg(known, "allocation %ld leaves the file %s", n, s);
    }
    closedir(d);
}

static void read_back(const char *name, char **data, uint64_t *n)
{
    *data = NULL;
    *n = 0;
    if (access(at(name), F_OK) == 0) mc_ck_ok(mc_file_read(at(name), 1 << 24, data, n));
}

START_TEST(every_allocation)
{
    const int32_t dynamic = _i & 1;
    char *want, *got;
    uint64_t want_n, got_n;
    strcpy(dir, access("/dev/shm", W_OK) == 0 ? "/dev/shm/mcomp-oom-XXXXXX" : "/tmp/mcomp-oom-XXXXXX"); /* fsync costs nothing there */
    ck_assert_ptr_nonnull(mkdtemp(dir));
    write_model();
    write_npz();
    mc_ck_ok(pipeline(dynamic)); /* what is built once a process is built now */
    const uint64_t before = mc_alloc_count();
    mc_ck_ok(pipeline(dynamic));
    const uint64_t live = mc_alloc_live_bytes();
    const long all = (long)(mc_alloc_count() - before), step = points > 0 && all > points ? all / points : 1;
    ck_assert_int_gt(all, 500);
    read_back("q.onnx", &want, &want_n);
    const uint64_t held = mc_alloc_live_bytes();
    atomic_store(&for_ever, _i >> 1);
    long failed = 0;
    for (long n = _i % step; n < all; n += step) {
        (void)unlink(at("q.onnx"));
        mc_error_clear();
        atomic_store(&countdown, n);
        const int32_t st = pipeline(dynamic);
        atomic_store(&countdown, -1);
        ck_assert_msg(st == MCOMP_OK || st == MCOMP_NO_MEMORY, "allocation %ld: %s: %s (%s)", n, mcomp_status_name(st), mc_error_peek()->message,
                      mc_error_peek()->where);
        ck_assert_msg(st == MCOMP_OK || mc_error_peek()->message[0], "allocation %ld: no message", n);
        failed += st != MCOMP_OK;
        check_files(n);
        read_back("q.onnx", &got, &got_n);
        ck_assert_msg(!got || (got_n == want_n && memcmp(got, want, (size_t)want_n) == 0), "allocation %ld: another q.onnx", n);
        mc_free(got);
        ck_assert_msg(mc_alloc_live_bytes() == held, "allocation %ld leaks %lld bytes (%s)", n, (long long)(mc_alloc_live_bytes() - held), mc_error_peek()->message);
    }
    ck_assert_int_gt(failed, all / step / 2);
    mc_free(want);
    ck_assert_msg(mc_alloc_live_bytes() == live, "%lld bytes leak", (long long)(mc_alloc_live_bytes() - live));
    mc_ck_ok(pipeline(dynamic));
    char cmd[128];
    snprintf(cmd, sizeof cmd, "rm -rf %s", dir);
    ck_assert_int_eq(system(cmd), 0);
}
END_TEST

int main(int argc, char **argv)
{
    if (mc_allocator_set(&mc_test_failing) != MCOMP_OK) return 1;
    if (argc > 1 && strcmp(argv[1], "all") == 0) points = 0;
    Suite *suite = suite_create("oom");
    TCase *c = tcase_create("oom");
    tcase_set_timeout(c, 600);
    tcase_add_loop_test(c, every_allocation, 0, 4);
    suite_add_tcase(suite, c);
    return mc_test_main(suite);
}
