/* Recipes are run on a tiny model and made-up images: stages and what is measured, the store, cancelling, targets, errors, no memory. */
#include "support/failing.h"
#include "support/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <mcomp/build.h>

#include "recipe/recipe.h"

static char folder[64];
static mcomp_context *ctx;
static const char *cancel_at; /* stage in which the progress callback says stop; NULL: none */

static void put(const char *name, const void *data, size_t n)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "wb");
    ck_assert_ptr_nonnull(f);
    ck_assert_uint_eq(fwrite(data, 1, n, f), n);
    ck_assert_int_eq(fclose(f), 0);
}

/* n images of 4 by 4 in IDX files; the class is the brighter half. */
static void images(const char *stem, int n, uint64_t seed)
{
    static uint8_t x[16 + 16 * 512], y[8 + 512];
    const uint8_t hx[16] = {0, 0, 8, 3, 0, 0, (uint8_t)(n >> 8), (uint8_t)n, 0, 0, 0, 4, 0, 0, 0, 4}, hy[8] = {0, 0, 8, 1, 0, 0, (uint8_t)(n >> 8), (uint8_t)n};
    char name[32];
    memcpy(x, hx, sizeof hx);
    memcpy(y, hy, sizeof hy);
    for (int i = 0; i < n; i++) {
        int half[2] = {0, 0};
        for (int k = 0; k < 16; k++) {
            x[16 + 16 * i + k] = (uint8_t)(127.0f + 127.0f * mc_test_random(&seed));
            half[k / 8] += x[16 + 16 * i + k];
        }
        y[8 + i] = half[1] > half[0];
    }
    snprintf(name, sizeof name, "%s.x", stem);
    put(name, x, 16 + 16 * (size_t)n);
    snprintf(name, sizeof name, "%s.y", stem);
    put(name, y, 8 + (size_t)n);
}

static int32_t on_progress(void *payload, const char *stage, double fraction)
{
    (void)payload;
    return cancel_at && strcmp(stage, cancel_at) == 0 && fraction > 0.4;
}

static void setup(void)
{
    char path[128];
    mcomp_graph *g;
    mcomp_build_options o;
    mcomp_context_options c;
    cancel_at = NULL;
    strcpy(folder, "/tmp/mc_run_XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    images("a", 300, 1);
    images("b", 200, 2);
    mc_ck_ok(mcomp_context_options_init(&c, sizeof c));
    c.threads = 1;
    c.progress = on_progress;
    mc_ck_ok(mcomp_context_create(&ctx, &c));
    mc_ck_ok(mcomp_build_options_init(&o, sizeof o));
    o.classes = 2;
    o.image[0] = 1;
    o.image[1] = o.image[2] = 4;
    mc_ck_ok(mcomp_graph_build(&g, ctx, "mlp:layers=1,hidden=32,dropout=0", &o));
    snprintf(path, sizeof path, "%s/teacher.onnx", folder);
    mc_ck_ok(mcomp_graph_save(g, path, NULL));
    mcomp_graph_destroy(g);
}

static void teardown(void)
{
    char command[96];
    mcomp_context_destroy(ctx);
    snprintf(command, sizeof command, "rm -rf %s", folder);
    ck_assert_int_eq(system(command), 0);
}

#define HEAD "version: 1\nmodel: {teacher: teacher.onnx%s}\ndata:\n  train: {path: 'idx:a.x,a.y', scale: 255}\n  eval: {path: 'idx:b.x,b.y'}\n%s\npasses:\n%s"
#define PASSES                                                                                                                                                       \
    "  - finetune: {epochs: 4, lr: 0.01}\n  - prune: {pattern: 4x1, sparsity: 0.5, epochs: 3, schedule: linear}\n  - distill: {student: 'mlp:layers=1,hidden=8,dropout=0', "                                                                                                                                          \
    "epochs: 4, lr: 0.01}\n  - finetune: {epochs: 1, keep_distilling: true}\n  - quantize: {scheme: int8}\n"

static mcomp_recipe *recipe(const char *model, const char *more, const char *passes)
{
    char text[2048];
    mcomp_recipe *r;
    const int n = snprintf(text, sizeof text, HEAD, model, more, passes);
    mc_ck_ok(mcomp_recipe_parse(&r, text, (uint64_t)n, "r.yaml", folder, NULL));
    return r;
}

static int32_t run(mc_json **out, mcomp_recipe *r, const char *dir, int32_t resume)
{
    char path[128];
    const char *json;
    mcomp_recipe_run_options o;
    mc_ck_ok(mcomp_recipe_run_options_init(&o, sizeof o));
    snprintf(path, sizeof path, "%s/%s", folder, dir);
    o.out = path;
    o.resume = resume;
    *out = NULL;
    const int32_t st = mcomp_recipe_run(&json, r, ctx, &o);
    const mcomp_error why = *mc_error_peek();
    if (json) mc_ck_ok(mc_json_parse(out, json, strlen(json), "run.json"));
    if (st != MCOMP_OK) mc_error_restore(&why);
    return st;
}

static const mc_json *stage(const mc_json *run_json, int i) { return mc_json_at(mc_json_get(run_json, "stages"), i); }

static void same_files(const char *a, const char *b)
{
    char x[128], y[128];
    mc_mapping m, n;
    snprintf(x, sizeof x, "%s/%s/model.onnx", folder, a);
    snprintf(y, sizeof y, "%s/%s/model.onnx", folder, b);
    mc_ck_ok(mc_file_map(x, &m));
    mc_ck_ok(mc_file_map(y, &n));
    ck_assert_uint_eq(m.bytes, n.bytes);
    ck_assert_mem_eq(m.data, n.data, m.bytes);
    mc_file_unmap(&m);
    mc_file_unmap(&n);
}

START_TEST(chain)
{
    mcomp_recipe *r = recipe("", "target: {max_drop: 0.5}", PASSES);
    mc_json *j;
    static const char *const names[] = {"teacher", "finetune", "prune", "distill", "finetune#2", "quantize"};
    mc_ck_ok(run(&j, r, "out", 0));
    ck_assert_int_eq(mc_json_size(mc_json_get(j, "stages")), 6);
    for (int i = 0; i < 6; i++) ck_assert_str_eq(mc_json_string(mc_json_get(stage(j, i), "name")), names[i]);
    double before = 0.0, after = 0.0;
    ck_assert_int_eq(mc_json_number(mc_json_get(mc_json_get(stage(j, 0), "metric"), "value"), &before), 1);
    ck_assert_int_eq(mc_json_number(mc_json_get(mc_json_get(stage(j, 1), "metric"), "value"), &after), 1);
    ck_assert_msg(after > before + 0.2, "training on teaches something: %g to %g", before, after);
    ck_assert_ptr_null(mc_json_get(stage(j, 0), "difference"));
    ck_assert_ptr_null(mc_json_get(stage(j, 1), "peak_rss_bytes")); /* nobody measured it */
    mc_json_destroy(j);
    mc_ck_fails(run(&j, r, "out", 0), MCOMP_PATH); /* nothing is replaced unasked */
    mc_ck_ok(run(&j, r, "out", 1));
    for (int i = 1, yes; i < 6; i++) ck_assert(mc_json_bool(mc_json_get(stage(j, i), "reused"), &yes) && yes);
    mc_json_destroy(j);
    mcomp_recipe_destroy(r);
}
END_TEST

/* _i: the stage in which it is stopped. */
START_TEST(cancelled_and_resumed)
{
    static const char *const at[] = {"finetune", "prune", "distill", "quantize", "time"};
    mcomp_recipe *r = recipe("", "", PASSES);
    mc_json *j;
    mc_ck_ok(run(&j, r, "whole", 0));
    mc_json_destroy(j);
    cancel_at = at[_i];
    mc_ck_fails(run(&j, r, "stopped", 0), MCOMP_CANCELLED);
    cancel_at = NULL;
    mc_ck_ok(run(&j, r, "stopped", 1));
    same_files("whole", "stopped");
    mc_json_destroy(j);
    mcomp_recipe_destroy(r);
}
END_TEST

START_TEST(targets_and_errors)
{
    mc_json *j;
    int met = 1;
    mcomp_recipe *r = recipe("", "target: {max_size_bytes: 10}", "  - quantize: {scheme: int8-dynamic}\n");
    mc_ck_fails(run(&j, r, "missed", 0), MCOMP_TARGET_MISSED);
    ck_assert_ptr_nonnull(strstr(mc_error_peek()->message, "max_size_bytes"));
    ck_assert(mc_json_bool(mc_json_get(mc_json_get(j, "target"), "met"), &met) && !met);
    mc_json_destroy(j);
    mcomp_recipe_destroy(r);
    r = recipe(", expect: {metric: accuracy, value: 1.0, tol: 0.001}", "", "  - quantize: {scheme: int8-dynamic}\n");
    mc_ck_fails(run(&j, r, "expect", 0), MCOMP_MISMATCH);
    ck_assert_ptr_null(j);
    mcomp_recipe_destroy(r);
    r = recipe("", "search: {method: halving, max_trials: 2}", "  - finetune: {epochs: {choose: [1, 2]}}\n");
    mc_ck_fails(run(&j, r, "search", 0), MCOMP_UNSUPPORTED);
    mcomp_recipe_destroy(r);
    r = recipe("", "", "  - finetune: {epochs: 1}\n");
    mc_ck_fails(mcomp_recipe_run(&(const char *){NULL}, r, ctx, NULL), MCOMP_ARGUMENT); /* no folder */
    mcomp_recipe_destroy(r);
}
END_TEST

START_TEST(no_memory)
{
    mcomp_recipe *r = recipe("", "", "  - finetune: {epochs: 1}\n  - quantize: {scheme: int8-dynamic}\n");
    mc_json *j;
    const char *json;
    mcomp_recipe_run_options o;
    char path[128];
    mc_ck_ok(run(&j, r, "fine", 0));
    mc_json_destroy(j);
    mc_ck_ok(mcomp_recipe_run_options_init(&o, sizeof o));
    snprintf(path, sizeof path, "%s/oom", folder);
    o.out = path;
    o.resume = 1;
    for (long n = 0; n < 100000; n = n * 3 / 2 + 1) {
        atomic_store(&for_ever, 1);
        atomic_store(&countdown, n);
        const int32_t st = mcomp_recipe_run(&json, r, ctx, &o);
        atomic_store(&countdown, -1);
        ck_assert_msg(st == MCOMP_OK || st == MCOMP_NO_MEMORY, "allocation %ld fails: %s: %s", n, mcomp_status_name(st), mc_error_peek()->message);
        if (st == MCOMP_OK) break;
    }
    atomic_store(&countdown, -1);
    mc_ck_ok(run(&j, r, "oom", 1)); /* what was begun is finished, with the same bytes */
    mc_json_destroy(j);
    same_files("fine", "oom");
    mcomp_recipe_destroy(r);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("run");
    TCase *t = tcase_create("run");
    if (mc_allocator_set(&mc_test_failing) != MCOMP_OK) return 1;
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, chain);
    tcase_add_loop_test(t, cancelled_and_resumed, 0, 5);
    tcase_add_test(t, targets_and_errors);
    tcase_add_test(t, no_memory);
    suite_add_tcase(s, t);
    return mc_test_main(s);
}
