/* The calibrator: skipping, memory, merging, the .calib file and its damages. */
#include "build.h"

#include <math.h>
#include <stdio.h>
#include <unistd.h>

#include "quant/calibrator.h"

static mcomp_context *ctx;
static const int64_t dims[] = {1, 3, 6, 6};

/* x -> Conv -> Relu -> Conv */
static mcomp_graph network(float gain)
{
    mc_graph *g = tb_graph();
    mc_value *x = tb_input(g, "x", 4, dims);
    mc_value *w1 = tb_const(g, "w1", 4, (int64_t[]){4, 3, 1, 1}, NULL);
    for (int i = 0; i < 12; i++) ((float *)w1->init->data)[i] *= i < 3 ? 0.0f : gain; /* channel 0 is dead */
    mc_node *c1 = tb_node(g, "Conv", "c1", 2, x, w1, NULL);
    mc_node *r = tb_node(g, "Relu", "r", 1, c1->out[0], NULL, NULL);
    tb_finish(g, tb_node(g, "Conv", "c2", 2, r->out[0], tb_const(g, "w2", 4, (int64_t[]){2, 4, 3, 3}, NULL), NULL)->out[0]);
    return (mcomp_graph){.g = g, .ctx = ctx};
}

static int32_t feed(mcomp_calibrator *c, uint64_t seed, float bad)
{
    mcomp_tensor *t = (mcomp_tensor *)tb_tensor(4, dims, seed, 1.0f);
    const mcomp_tensor *in[] = {t};
    if (bad != 0.0f) ((float *)t->t.data)[5] = bad;
    const int32_t st = mcomp_calibrator_feed(c, 1, in, (int64_t)(seed % 3));
    mcomp_tensor_destroy(t);
    return st;
}

static void open_ctx(void)
{
    mcomp_context_options o;
    mc_ck_ok(mcomp_context_options_init(&o, sizeof o));
    o.threads = 1;
    mc_ck_ok(mcomp_context_create(&ctx, &o));
}
static void close_ctx(void) { mcomp_context_destroy(ctx); }

static mcomp_calibration_info info(const mcomp_calibrator *c)
{
    mcomp_calibration_info i = {.size = sizeof i};
    mc_ck_ok(mcomp_calibrator_info(c, &i));
    return i;
}

static void same(const mcomp_calibrator *a, const mcomp_calibrator *b)
{
    const mcomp_calibration_info x = info(a), y = info(b);
    ck_assert(x.samples == y.samples && x.skipped == y.skipped && x.tensors == y.tensors && x.labels_seen == y.labels_seen);
    for (int64_t i = 0; i < a->n; i++) {
        const mc_sketch *s = &a->tensor[i].total, *t = mc_calibrator_sketch(b, a->tensor[i].name);
        ck_assert(t && s->count == t->count && s->min == t->min && s->max == t->max && s->exponent == t->exponent);
        ck_assert(memcmp(s->bin, t->bin, MC_SKETCH_BINS * sizeof *s->bin) == 0);
        ck_assert(s->channels == t->channels);
        if (s->channels) ck_assert(memcmp(s->ch_absmax, t->ch_absmax, sizeof *s->ch_absmax * (size_t)s->channels) == 0);
    }
}

START_TEST(counts_and_coverage)
{
    mcomp_graph g = network(1.0f);
    mcomp_calibrator *c;
    mc_ck_ok(mcomp_calibrator_create(&c, ctx, &g));
    for (uint64_t s = 1; s <= 10; s++) mc_ck_ok(feed(c, s, 0.0f));
    mcomp_calibration_info i = info(c);
    ck_assert_int_eq(i.samples, 10);
    ck_assert_int_eq(i.skipped, 0);
    ck_assert_int_eq(i.tensors, 2); /* x and the Relu's output */
    ck_assert_int_eq(i.dead_channels, 1);
    ck_assert_int_eq(i.labels_seen, 3);
    ck_assert(i.channels > 0 && i.dead_channels <= i.channels);
    int64_t label = 0;
    ck_assert_int_eq(i.classes, 0); /* neither names nor a row of scores */
    mc_ck_ok(mcomp_calibrator_unseen(&label, c, 0));
    ck_assert_int_eq(label, -1);
    mc_ck_ok(mc_graph_set_meta(c->g, "mcomp.labels", "[\"a\",\"b\",\"c\",\"d\",\"e\"]"));
    ck_assert_int_eq(info(c).classes, 5);
    for (int64_t k = 0; k < 3; k++) { /* labels 0 to 2 were there */
        mc_ck_ok(mcomp_calibrator_unseen(&label, c, k));
        ck_assert_int_eq(label, k < 2 ? 3 + k : -1);
    }
    const char *name;
    double lo, hi;
    mc_ck_ok(mcomp_calibrator_range(c, 0, "minmax", &name, &lo, &hi));
    ck_assert_str_eq(name, "x");
    ck_assert(lo < -0.9 && lo >= -1.0 && hi > 0.9 && hi < 1.0);
    mc_ck_fails(mcomp_calibrator_range(c, 2, "minmax", &name, &lo, &hi), MCOMP_ARGUMENT);
    mc_ck_fails(mcomp_calibrator_range(c, 0, "median", &name, &lo, &hi), MCOMP_ARGUMENT);
    mcomp_calibrator_destroy(c);
    mc_graph_destroy(g.g);
}
END_TEST

START_TEST(not_finite_samples_leave_no_trace)
{
    mcomp_graph g = network(1.0f), big = network(3e38f);
    mcomp_calibrator *a, *b;
    mc_ck_ok(mcomp_calibrator_create(&a, ctx, &g));
    mc_ck_ok(mcomp_calibrator_create(&b, ctx, &g));
    for (uint64_t s = 1; s <= 4; s++) {
        mc_ck_ok(feed(a, s, 0.0f));
        mc_ck_ok(feed(b, s, 0.0f));
        mc_ck_ok(feed(b, s + 100, s % 2 ? NAN : INFINITY));
    }
    ck_assert_int_eq(info(b).samples, 8);
    ck_assert_int_eq(info(b).skipped, 4);
    b->samples = a->samples;
    b->skipped = a->skipped;
    same(a, b);
    mcomp_calibrator_destroy(a);
    mcomp_calibrator_destroy(b);
    /* finite input, infinite inside: the sketch of x must not keep the sample either */
    mc_ck_ok(mcomp_calibrator_create(&a, ctx, &big));
    mc_ck_ok(feed(a, 1, 3e38f));
    ck_assert_int_eq(info(a).skipped, 1);
    ck_assert_uint_eq(a->tensor[0].total.count, 0);
    mcomp_calibrator_destroy(a);
    mc_graph_destroy(g.g);
    mc_graph_destroy(big.g);
}
END_TEST

static int32_t fetch(void *payload, int64_t i, int32_t n, mcomp_tensor **inputs, int64_t *label)
{
    ck_assert_int_eq(n, 1);
    inputs[0] = (mcomp_tensor *)tb_tensor(4, dims, (uint64_t)i + 1, 1.0f);
    if (*(int64_t *)payload > 0 && i % *(int64_t *)payload == 0) ((float *)inputs[0]->t.data)[0] = NAN;
    *label = -1;
    return MCOMP_OK;
}

START_TEST(datasets)
{
    mcomp_graph g = network(1.0f);
    int64_t every[] = {0, 200, 50};
    for (int k = 0; k < 3; k++) {
        mcomp_calibrator *c;
        mcomp_dataset *d;
        mc_ck_ok(mcomp_calibrator_create(&c, ctx, &g));
        mc_ck_ok(mcomp_dataset_create(&d, ctx, &g, 400, fetch, &every[k]));
        if (k < 2) mc_ck_ok(mcomp_calibrator_feed_dataset(c, d)); /* 2 of 400 is still fine */
        else mc_ck_fails(mcomp_calibrator_feed_dataset(c, d), MCOMP_DATA);
        mcomp_dataset_destroy(d);
        mcomp_calibrator_destroy(c);
    }
    mc_graph_destroy(g.g);
}
END_TEST

START_TEST(memory_does_not_grow)
{
    mcomp_graph g = network(1.0f);
    mcomp_calibrator *c;
    mc_ck_ok(mcomp_calibrator_create(&c, ctx, &g));
    for (uint64_t s = 1; s <= 8; s++) mc_ck_ok(feed(c, s, 0.0f));
    const uint64_t live = mc_alloc_live_bytes();
    for (uint64_t s = 9; s <= 512; s++) mc_ck_ok(feed(c, s, 0.0f));
    ck_assert_uint_eq(mc_alloc_live_bytes(), live);
    mcomp_calibrator_destroy(c);
    mc_graph_destroy(g.g);
}
END_TEST

static const char *temporary(void)
{
    static char path[64];
    snprintf(path, sizeof path, "/tmp/mcomp-calib-%d.calib", (int)getpid());
    return path;
}

START_TEST(save_load_merge)
{
    mcomp_graph g = network(1.0f), other = network(0.5f);
    mcomp_calibrator *all, *a, *b, *back, *foreign;
    mc_ck_ok(mcomp_calibrator_create(&all, ctx, &g));
    mc_ck_ok(mcomp_calibrator_create(&a, ctx, &g));
    mc_ck_ok(mcomp_calibrator_create(&b, ctx, &g));
    for (uint64_t s = 1; s <= 6; s++) {
        mc_ck_ok(feed(all, s, 0.0f));
        mc_ck_ok(feed(s % 2 ? a : b, s, 0.0f));
    }
    mc_ck_ok(mcomp_calibrator_save(b, temporary(), 1));
    mc_ck_fails(mcomp_calibrator_save(b, temporary(), 0), MCOMP_PATH);
    mc_ck_ok(mcomp_calibrator_load(&back, ctx, NULL, temporary()));
    same(b, back);
    mc_ck_fails(feed(back, 1, 0.0f), MCOMP_ARGUMENT); /* no model behind it */
    mc_ck_ok(mcomp_calibrator_merge(a, back));
    same(all, a);
    mcomp_calibrator_destroy(back);
    mc_ck_ok(mcomp_calibrator_load(&back, ctx, &g, temporary())); /* with the model: calibration goes on */
    for (uint64_t s = 1; s <= 6; s += 2) mc_ck_ok(feed(back, s, 0.0f));
    same(all, back);
    mc_ck_ok(mcomp_calibrator_create(&foreign, ctx, &other));
    mc_ck_fails(mcomp_calibrator_merge(foreign, back), MCOMP_DATA);
    mcomp_calibrator_destroy(foreign);
    mc_ck_fails(mcomp_calibrator_load(&foreign, ctx, &other, temporary()), MCOMP_DATA);
    mcomp_calibrator_destroy(all);
    mcomp_calibrator_destroy(a);
    mcomp_calibrator_destroy(b);
    mcomp_calibrator_destroy(back);
    mc_graph_destroy(g.g);
    mc_graph_destroy(other.g);
    unlink(temporary());
}
END_TEST

static void write_file(const char *path, const char *data, size_t n)
{
    FILE *f = fopen(path, "wb");
    ck_assert(f && fwrite(data, 1, n, f) == n && fclose(f) == 0);
}

START_TEST(every_damage_is_refused)
{
    const float x[] = {1.0f, 1.001f, 1.002f}; /* neighbouring bins: a small file */
    mcomp_calibrator *c, *back = NULL;
    char *data;
    uint64_t n;
    int64_t at;
    mc_ck_ok(mc_calib_new(&c, ctx));
    memcpy(c->fingerprint, "0123456789abcdef0123456789abcdef", 33);
    mc_ck_ok(mc_calib_tensor_add(c, "a", 1, 3, &at));
    mc_sketch_add(&c->tensor[at].total, x, 1, 3, 1);
    mc_ck_ok(mc_calib_tensor_add(c, "b", -1, 0, &at));
    mc_sketch_add(&c->tensor[at].total, x, 1, 0, 2);
    mc_ck_ok(mc_calib_label_add(c, 7));
    c->samples = 1;
    mc_ck_ok(mcomp_calibrator_save(c, temporary(), 1));
    mc_ck_ok(mc_file_read(temporary(), 1 << 20, &data, &n));
    for (uint64_t k = 0; k < n; k++) {
        write_file(temporary(), data, (size_t)k);
        mc_ck_fails(mcomp_calibrator_load(&back, ctx, NULL, temporary()), MCOMP_FORMAT);
        ck_assert(back == NULL);
    }
    for (uint64_t k = 0; k < n; k++) {
        data[k] = (char)(data[k] ^ 0x20);
        write_file(temporary(), data, (size_t)n);
        mc_ck_fails(mcomp_calibrator_load(&back, ctx, NULL, temporary()), MCOMP_FORMAT);
        data[k] = (char)(data[k] ^ 0x20);
    }
    /* Damage with a matching checksum, as somebody hostile would write it: refused or read, never a crash. */
    for (uint64_t k = 12; k + 64 < n; k++) {
        char hash[65];
        data[k] = (char)(data[k] ^ 0x81);
        mc_ck_ok(mc_sha256_hex(data, n - 64, hash));
        memcpy(data + n - 64, hash, 64);
        write_file(temporary(), data, (size_t)n);
        const int32_t st = mcomp_calibrator_load(&back, ctx, NULL, temporary());
        ck_assert(st == MCOMP_OK || st == MCOMP_FORMAT);
        mcomp_calibrator_destroy(back);
        back = NULL;
        data[k] = (char)(data[k] ^ 0x81);
    }
    mc_free(data);
    mcomp_calibrator_destroy(c);
    unlink(temporary());
}
END_TEST

int main(void)
{
    Suite *s = suite_create("quant/calibrator");
    TCase *t = tcase_create("calibrator");
    tcase_add_checked_fixture(t, open_ctx, close_ctx);
    tcase_add_test(t, counts_and_coverage);
    tcase_add_test(t, not_finite_samples_leave_no_trace);
    tcase_add_test(t, datasets);
    tcase_add_test(t, memory_does_not_grow);
    tcase_add_test(t, save_load_merge);
    tcase_add_test(t, every_damage_is_refused);
    suite_add_tcase(s, t);
    return mc_test_main(s);
}
