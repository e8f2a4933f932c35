/* Loading plugins: the good one runs nodes, each bad one is refused with a reason that says what is wrong. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "unit/runtime/random_graph.h"

static char dir[64];
static mcomp_context *ctx;

/* Copies a built plugin into a folder of our own: the build's file may be writable for a group. */
static const char *place(const char *variant, const char *as, mode_t mode)
{
    static char to[160];
    char from[512];
    mc_mapping m;
    snprintf(from, sizeof from, FAKE_DIR "/libfake_%s.so", variant);
    snprintf(to, sizeof to, "%s/%s", dir, as);
    mc_ck_ok(mc_file_map(from, &m));
    FILE *f = fopen(to, "wb");
    ck_assert_ptr_nonnull(f);
    ck_assert_uint_eq(fwrite(m.data, 1, (size_t)m.bytes, f), m.bytes);
    fclose(f);
    mc_file_unmap(&m);
    ck_assert_int_eq(chmod(to, mode), 0);
    return to;
}

static void setup(void)
{
    mcomp_context_options o;
    strcpy(dir, "/tmp/mcomp-plugins-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    ck_assert_int_eq(unsetenv("MCOMP_BACKEND_PATH"), 0);
    mc_ck_ok(mcomp_context_options_init(&o, sizeof o));
    o.backend_dir = dir;
    mc_ck_ok(mcomp_context_create(&ctx, &o));
}

static void teardown(void)
{
    char path[160];
    static const char *const names[] = {"libmcomp-fake.so", "libmcomp-other.so", "readme.so"};
    mcomp_context_destroy(ctx);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(path, sizeof path, "%s/%s", dir, names[i]);
        (void)unlink(path);
    }
    (void)rmdir(dir);
}

static int find(const char *name, mcomp_backend_info *out)
{
    int32_t n = 0;
    out->size = sizeof *out;
    mc_ck_ok(mcomp_backend_count(ctx, &n));
    for (int32_t i = 0; i < n; i++) {
        mc_ck_ok(mcomp_backend_info_get(ctx, i, out));
        if (strcmp(out->name, name) == 0) return 1;
    }
    return 0;
}

static void check_refused(const char *path, const char *why)
{
    mcomp_backend_info info;
    mc_ck_fails(mcomp_backend_load(ctx, path), MCOMP_NO_BACKEND);
    ck_assert_msg(strstr(mc_error_peek()->message, why), "\"%s\" does not say \"%s\"", mc_error_peek()->message, why);
    ck_assert(find("fake", &info));
    ck_assert_int_eq(info.usable, 0);
    ck_assert_msg(strstr(info.why, why), "\"%s\" does not say \"%s\"", info.why, why);
}

START_TEST(refuses_files)
{
    check_refused(place("good", "libmcomp-fake.so", 0777), "writable");
    check_refused(place("good", "libmcomp-fake.so", 0775), "writable");
    mc_ck_fails(mcomp_backend_load(ctx, "libmcomp-fake.so"), MCOMP_NO_BACKEND);
    ck_assert_ptr_nonnull(strstr(mc_error_peek()->message, "absolute"));
    mc_ck_fails(mcomp_backend_load(ctx, "/nonexistent/libmcomp-nope.so"), MCOMP_NO_BACKEND);
    mc_ck_fails(mcomp_backend_load(ctx, dir), MCOMP_NO_BACKEND);
    mc_ck_fails(mcomp_backend_load(ctx, NULL), MCOMP_ARGUMENT);
    mc_ck_fails(mcomp_backend_load(NULL, "/x"), MCOMP_ARGUMENT);
}
END_TEST

static const struct {
    const char *variant, *why;
} bad[] = {
    {"symbol", "mcomp_backend_entry"}, {"abi", "version 2"},          {"short", "version"},  {"selftest", "vector 3"},
    {"refuses", "newer driver"},       {"unusable", "no fake device"}, {"device", "memory"},
};

START_TEST(refuses_tables) { check_refused(place(bad[_i].variant, "libmcomp-fake.so", 0755), bad[_i].why); }
END_TEST

/* Found in the context's folder, used for what it claims, the rest stays with the built-in backend. */
START_TEST(runs_nodes)
{
    mcomp_backend_info info;
    mcomp_session *s = NULL;
    mcomp_exec *e = NULL;
    mcomp_session_options o;
    mcomp_kernel_info k = {.size = sizeof k};
    mcomp_plan_info plan = {.size = sizeof plan};
    (void)place("good", "libmcomp-fake.so", 0755);
    ck_assert(find("fake", &info));
    ck_assert_msg(info.usable == 1, "%s", info.why);
    ck_assert_str_eq(info.version, "1.2");
    mc_graph *g = net_block();
    mc_ck_ok(mcomp_session_options_init(&o, sizeof o));
    o.no_fusion = 1;
    o.threads = 3;
    o.backend = _i == 0 ? "auto" : "fake";
    mc_ck_ok(mc_session_open(&s, ctx, g, &o, NULL));
    mc_ck_ok(mcomp_exec_create(&e, s));
    for (int64_t n = 1; n < 40; n += 6) {
        mcomp_tensor *x = net_random(3, (int64_t[]){2, n, 8}, (uint64_t)n);
        const mcomp_tensor *in[1] = {x}, *out[1];
        mc_tensor *want[1];
        mc_ck_ok(mcomp_exec_run(e, 1, in, 1, out));
        net_interpret(g, in, want);
        mc_ck_close_f32(mcomp_tensor_data(out[0]), want[0]->data, mc_tensor_elements(want[0]), 1e-5, 1e-5);
        mc_tensor_destroy(want[0]);
        mcomp_tensor_destroy(x);
    }
    static const char *const backends[] = {"fake", "cpu", "fake", "cpu"};
    for (int32_t i = 0; i < 4; i++) {
        mc_ck_ok(mcomp_exec_kernel(e, i, &k));
        ck_assert_msg(strcmp(k.backend, backends[i]) == 0, "step %d of %s: %s, %s", i, k.op, k.backend, k.why);
    }
    mc_ck_ok(mcomp_exec_kernel(e, 2, &k));
    ck_assert_str_eq(k.kernel, "fake:relu");
    ck_assert_ptr_nonnull(strstr(k.why, "cpu"));
    mc_ck_ok(mcomp_exec_plan_info(e, &plan));
    ck_assert_uint_eq(plan.packed_bytes, 8 * 8 * 4); /* one packed weight for all plans */
    ck_assert_int_gt(mcomp_session_plans(s), 2);
    mcomp_exec_destroy(e);
    mcomp_session_destroy(s);
    mc_graph_destroy(g);
}
END_TEST

/* A session that asks for "cpu" never sees the plugin. */
START_TEST(named_backend)
{
    mcomp_session *s = NULL;
    mcomp_exec *e = NULL;
    mcomp_session_options o;
    mcomp_kernel_info k = {.size = sizeof k};
    (void)place("good", "libmcomp-fake.so", 0755);
    mc_graph *g = net_block();
    mc_ck_ok(mcomp_session_options_init(&o, sizeof o));
    o.backend = "cpu";
    mc_ck_ok(mc_session_open(&s, ctx, g, &o, NULL));
    mc_ck_ok(mcomp_exec_create(&e, s));
    mcomp_tensor *x = net_random(3, (int64_t[]){2, 3, 8}, 4);
    const mcomp_tensor *in[1] = {x}, *out[1];
    int32_t n = 0;
    mc_ck_ok(mcomp_exec_run(e, 1, in, 1, out));
    mc_ck_ok(mcomp_exec_kernel_count(e, &n));
    for (int32_t i = 0; i < n; i++) {
        mc_ck_ok(mcomp_exec_kernel(e, i, &k));
        ck_assert_str_eq(k.backend, "cpu");
    }
    mcomp_tensor_destroy(x);
    mcomp_exec_destroy(e);
    mcomp_session_destroy(s);
    mc_graph_destroy(g);
}
END_TEST

/* Names that are no plugins are not opened; MCOMP_BACKEND_PATH is searched. */
/* A device whose memory the host cannot read: groups of nodes, transfers at their borders only. */
START_TEST(device_groups)
{
    mcomp_backend_info info;
    mcomp_session *s = NULL;
    mcomp_exec *e[2] = {NULL};
    mcomp_session_options o;
    mcomp_kernel_info k = {.size = sizeof k};
    int32_t n = 0, on_device = 0;
    uint64_t seed = 3;
    mc_value *flat = NULL, *back = NULL;
    (void)place("memory", "libmcomp-fake.so", 0755);
    ck_assert(find("fakedev", &info));
    ck_assert_msg(info.usable == 1, "%s", info.why);
    mc_graph *g = NULL;
    mc_ops_register();
    mc_ck_ok(mc_graph_create(&g, "device"));
    mc_value *x = net_input(g, "x", MCOMP_F32, 3, (int64_t[]){net_symbol(g, "b"), net_symbol(g, "n"), 8});
    mc_value *w = net_random_const(g, "w", 2, (int64_t[]){8, 8}, &seed);
    mc_ck_ok(mc_graph_add_const_i64s(g, "flat", (int64_t[]){-1, 8}, 2, &flat));
    mc_ck_ok(mc_graph_add_const_i64s(g, "back", (int64_t[]){0, -1, 4, 2}, 4, &back));
    mc_value *a = net_node(g, "Relu", "a", x, NULL), *b = net_node(g, "MatMul", "b", a, w), *c = net_node(g, "Add", "c", b, a);
    mc_value *d = net_node(g, "Exp", "d", c, NULL); /* not for the device */
    mc_value *f = net_node(g, "Add", "f", net_node(g, "Relu", "e", d, NULL), c), *h = net_node(g, "Reshape", "h", f, back);
    mc_value *r = net_node(g, "Relu", "r", h, NULL);
    mc_ck_ok(mc_graph_add_output(g, r));
    mc_ck_ok(mc_graph_add_output(g, net_node(g, "Reshape", "v", b, flat)));
    mc_ck_ok(mc_graph_remove_dead(g, NULL));
    mc_ck_ok(mcomp_session_options_init(&o, sizeof o));
    o.no_fusion = 1;
    o.backend = _i == 0 ? "fakedev" : "auto";
    mc_ck_ok(mc_session_open(&s, ctx, g, &o, NULL));
    for (int i = 0; i < 2; i++) mc_ck_ok(mcomp_exec_create(&e[i], s));
    for (int64_t len = 0; len < 24; len += 3) {
        mcomp_tensor *t = net_random(3, (int64_t[]){2, len, 8}, (uint64_t)len);
        const mcomp_tensor *in[1] = {t}, *out[2];
        mc_tensor *want[2];
        mc_ck_ok(mcomp_exec_run(e[len % 2], 1, in, 2, out));
        net_interpret(g, in, want);
        for (int i = 0; i < 2; i++) {
            ck_assert(mc_shape_equal(&want[i]->shape, &out[i]->t.shape));
            mc_ck_close_f32(mcomp_tensor_data(out[i]), want[i]->data, mc_tensor_elements(want[i]), 1e-5, 1e-5);
            mc_tensor_destroy(want[i]);
        }
        mcomp_tensor_destroy(t);
    }
    mc_ck_ok(mcomp_exec_kernel_count(e[1], &n));
    for (int32_t i = 0; i < n; i++) {
        mc_ck_ok(mcomp_exec_kernel(e[1], i, &k));
        on_device += strcmp(k.backend, "fakedev") == 0;
        if (strcmp(k.op, "Exp") == 0) ck_assert_str_eq(k.backend, "cpu");
        if (strcmp(k.op, "MatMul") == 0 && _i == 0) ck_assert_ptr_nonnull(strstr(k.why, "group of"));
    }
    if (_i == 0) ck_assert_int_ge(on_device, 7);
    else ck_assert_int_eq(on_device, 0); /* transfers of 10 us do not pay for such small nodes */
    for (int i = 0; i < 2; i++) mcomp_exec_destroy(e[i]);
    mcomp_session_destroy(s);
    mc_graph_destroy(g);
}
END_TEST

START_TEST(device_random)
{
    mcomp_session_options o;
    (void)place("memory", "libmcomp-fake.so", 0755);
    mc_ck_ok(mcomp_session_options_init(&o, sizeof o));
    o.no_fusion = 1;
    o.backend = "fakedev";
    mc_ops_register();
    for (uint64_t k = 0; k < 60; k++) {
        uint64_t seed = k * 991 + 3;
        mcomp_session *s = NULL;
        mcomp_exec *e = NULL;
        mc_graph *g = net_random_graph(&seed);
        mc_ck_ok(mc_session_open(&s, ctx, g, &o, NULL));
        mc_ck_ok(mcomp_exec_create(&e, s));
        for (int64_t rows = 16; rows > 0; rows -= 7) {
            mcomp_tensor *x[2] = {net_random(2, (int64_t[]){rows, 6}, seed), net_random(2, (int64_t[]){rows, 6}, seed + 1)};
            const mcomp_tensor *in[2] = {x[0], x[1]}, *out[4];
            mc_tensor *want[4];
            mc_ck_ok(mcomp_exec_run(e, 2, in, (int32_t)g->n_outputs, out));
            net_interpret(g, in, want);
            for (int64_t i = 0; i < g->n_outputs; i++) {
                float largest = 1.0f;
                const float *w = want[i]->data;
                for (int64_t j = 0; j < mc_tensor_elements(want[i]); j++) largest = w[j] > largest ? w[j] : -w[j] > largest ? -w[j] : largest;
                if (largest < 1e30f) mc_ck_close_f32(mcomp_tensor_data(out[i]), w, mc_tensor_elements(want[i]), 1e-4, 1e-4 * (double)largest);
                mc_tensor_destroy(want[i]);
            }
            mcomp_tensor_destroy(x[0]);
            mcomp_tensor_destroy(x[1]);
        }
        mcomp_exec_destroy(e);
        mcomp_session_destroy(s);
        mc_graph_destroy(g);
    }
}
END_TEST

START_TEST(search)
{
    mcomp_backend_info info;
    (void)place("good", "readme.so", 0755);
    ck_assert(!find("fake", &info));
    mcomp_context_destroy(ctx);
    (void)place("good", "libmcomp-other.so", 0755);
    ck_assert_int_eq(setenv("MCOMP_BACKEND_PATH", dir, 1), 0);
    mc_ck_ok(mcomp_context_create(&ctx, NULL));
    ck_assert(find("fake", &info)); /* the table's name counts */
    ck_assert_int_eq(info.usable, 1);
    ck_assert_int_eq(unsetenv("MCOMP_BACKEND_PATH"), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("plugins");
    TCase *c = tcase_create("plugins");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, refuses_files);
    tcase_add_loop_test(c, refuses_tables, 0, (int)(sizeof bad / sizeof *bad));
    tcase_add_loop_test(c, runs_nodes, 0, 2);
    tcase_add_test(c, named_backend);
    tcase_add_loop_test(c, device_groups, 0, 2);
    tcase_add_test(c, device_random);
    tcase_add_test(c, search);
    suite_add_tcase(suite, c);
    return mc_test_main(suite);
}
