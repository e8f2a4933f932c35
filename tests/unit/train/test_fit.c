/* Whole trainings: learning, the best epoch, early stopping, checkpoints (resume to the byte, damage, another set-up), cancelling. */
#include <stdio.h>
#include <unistd.h>

#include "net.h"

static mcomp_context *ctx;
static mcomp_graph *g;
static mcomp_dataset *data;
static mcomp_trainer_options o;
static char path[64];

typedef struct seen {
    int64_t steps, validations, checkpoints, plans, stop_at;
    double metric[64];
} seen;

static int32_t see(void *payload, const mcomp_train_event *e)
{
    seen *s = payload;
    s->steps += e->kind == 0;
    if (e->kind == 1) s->metric[s->validations++ % 64] = e->metric;
    s->checkpoints += e->kind == 2;
    s->plans += e->kind == 3 && e->peak_bytes > 0 && e->step == 0;
    return e->kind == 0 && s->stop_at && e->step == s->stop_at;
}

static void setup(void)
{
    ctx = net_context(1);
    g = net_mlp(ctx, 0.2f);
    mc_ck_ok(mcomp_dataset_create(&data, ctx, g, 600, net_fetch, NULL));
    mc_ck_ok(mcomp_trainer_options_init(&o, sizeof o));
    o.lr = 0.02;
    o.epochs = 4;
    snprintf(path, sizeof path, "/tmp/mcomp_fit_%d.ckpt", (int)getpid());
    (void)unlink(path);
}
static void teardown(void)
{
    (void)unlink(path);
    mcomp_dataset_destroy(data);
    mcomp_graph_destroy(g);
    mcomp_context_destroy(ctx);
}

START_TEST(learns)
{
    mcomp_train_result r = {.size = sizeof r};
    seen s = {0};
    o.epochs = 25;
    o.lr = 0.03;
    o.progress = see;
    o.progress_payload = &s;
    mcomp_trainer *t = net_trainer(ctx, g, &o);
    mc_ck_ok(mcomp_trainer_fit(&r, t, data, NULL));
    ck_assert_msg(r.best_metric > 0.85, "accuracy %g", r.best_metric);
    ck_assert(r.epochs == 25 && s.validations == 25 && s.plans == 1 && s.steps == r.steps && r.samples_per_second > 0.0 && r.peak_bytes > 0);
    double best = 0.0;
    for (int k = 0; k < 25; k++) best = fmax(best, s.metric[k]);
    ck_assert_double_eq(best, r.best_metric);
    ck_assert_double_eq(s.metric[r.best_epoch - 1], best);
    mcomp_trainer_destroy(t);
}
END_TEST

START_TEST(stops_early)
{
    mcomp_train_result r = {.size = sizeof r};
    o.epochs = 50;
    o.patience = 2;
    o.lr = 1e-7; /* nothing gets better */
    mcomp_trainer *t = net_trainer(ctx, g, &o);
    mc_ck_ok(mcomp_trainer_fit(&r, t, data, NULL));
    ck_assert(r.stopped_early == 1 && r.epochs == 3 && r.best_epoch == 1);
    mcomp_trainer_destroy(t);
}
END_TEST

/* Stopped in the middle of an epoch and resumed by a new trainer: the same bytes as without the stop; with accumulation and averages. */
START_TEST(resumes_to_the_byte)
{
    mcomp_train_result r = {.size = sizeof r}, q = {.size = sizeof q};
    seen s = {.stop_at = 17};
    o.batch = 16;
    o.accumulate = _i & 1 ? 2 : 1;
    o.average = _i & 1 ? 0.95 : 0.0;
    mcomp_trainer *whole = net_trainer(ctx, g, &o);
    mc_ck_ok(mcomp_trainer_fit(&r, whole, data, NULL));
    o.checkpoint = path;
    o.progress = see;
    o.progress_payload = &s;
    mcomp_trainer *first = net_trainer(ctx, g, &o);
    mc_ck_fails(mcomp_trainer_fit(NULL, first, data, NULL), MCOMP_CANCELLED);
    mcomp_trainer_destroy(first);
    ck_assert_int_eq(access(path, F_OK), 0);
    s.stop_at = 0;
    o.resume = 1;
    mcomp_trainer *second = net_trainer(ctx, g, &o);
    mc_ck_ok(mcomp_trainer_fit(&q, second, data, NULL));
    ck_assert(net_same(whole, second));
    ck_assert(r.best_metric == q.best_metric && r.best_epoch == q.best_epoch && r.steps == q.steps);
    mcomp_trainer_destroy(whole);
    mcomp_trainer_destroy(second);
}
END_TEST

START_TEST(resume_without_a_checkpoint_starts_afresh)
{
    o.checkpoint = path;
    mcomp_trainer *a = net_trainer(ctx, g, &o);
    mc_ck_ok(mcomp_trainer_fit(NULL, a, data, NULL));
    (void)unlink(path);
    o.resume = 1;
    mcomp_trainer *b = net_trainer(ctx, g, &o);
    mc_ck_ok(mcomp_trainer_fit(NULL, b, data, NULL));
    ck_assert(net_same(a, b));
    mcomp_trainer_destroy(a);
    mcomp_trainer_destroy(b);
}
END_TEST

static void flip(const char *file, long at)
{
    FILE *f = fopen(file, "r+b");
    ck_assert(f && fseek(f, at, SEEK_SET) == 0);
    const int c = fgetc(f);
    ck_assert(fseek(f, at, SEEK_SET) == 0 && fputc(c ^ 0x10, f) != EOF && fclose(f) == 0);
}

/* Every byte of the file counts, and every length below its own; a damaged file changes nothing. */
START_TEST(damage)
{
    char cut[80];
    mcomp_trainer *t = net_trainer(ctx, g, &o), *same = net_trainer(ctx, g, &o);
    (void)net_steps(t, 0, 5, 16);
    mc_ck_ok(mcomp_trainer_save(t, path));
    mc_ck_ok(mcomp_trainer_load(same, path));
    ck_assert(net_same(t, same));
    FILE *f = fopen(path, "rb");
    static char bytes[1 << 16];
    const long n = (long)fread(bytes, 1, sizeof bytes, f);
    ck_assert(fclose(f) == 0 && n > 2000 && n < (long)sizeof bytes);
    (void)net_steps(same, 5, 6, 16);
    mcomp_trainer *reference = net_trainer(ctx, g, &o);
    mc_ck_ok(mcomp_trainer_load(reference, path));
    (void)net_steps(reference, 5, 6, 16);
    int64_t refused = 0;
    for (long at = 0; at < n; at += 7) {
        flip(path, at);
        refused += mcomp_trainer_load(same, path) != MCOMP_OK;
        ck_assert(refused == 0 || net_same(same, reference) || refused < at / 7 + 1);
        flip(path, at);
    }
    ck_assert_msg(refused > (n / 7) * 8 / 10, "%d of %d damages were seen", (int)refused, (int)(n / 7)); /* padding between tensors may change */
    snprintf(cut, sizeof cut, "%s.cut", path);
    for (long len = 0; len < n - 64; len += 61) {
        f = fopen(cut, "wb");
        ck_assert(f && fwrite(bytes, 1, (size_t)len, f) == (size_t)len && fclose(f) == 0);
        mc_ck_fails(mcomp_trainer_load(same, cut), MCOMP_FORMAT);
    }
    (void)unlink(cut);
    mcomp_trainer_destroy(t);
    mcomp_trainer_destroy(same);
    mcomp_trainer_destroy(reference);
}
END_TEST

START_TEST(another_set_up)
{
    mcomp_trainer *t = net_trainer(ctx, g, &o);
    (void)net_steps(t, 0, 2, 16);
    mc_ck_ok(mcomp_trainer_save(t, path));
    mcomp_trainer_destroy(t);
    o.seed = 5;
    t = net_trainer(ctx, g, &o);
    mc_ck_fails(mcomp_trainer_load(t, path), MCOMP_DATA);
    mcomp_trainer_destroy(t);
    o.seed = 0;
    o.average = 0.9;
    t = net_trainer(ctx, g, &o);
    mc_ck_fails(mcomp_trainer_load(t, path), MCOMP_DATA);
    mcomp_trainer_destroy(t);
}
END_TEST

static int32_t unlabelled(void *payload, int64_t i, int32_t n, mcomp_tensor **inputs, int64_t *label)
{
    const int32_t st = net_fetch(payload, i, n, inputs, label);
    if (i == 7) *label = i == 7 ? -1 : *label;
    return st;
}

static int32_t too_large(void *payload, int64_t i, int32_t n, mcomp_tensor **inputs, int64_t *label)
{
    const int32_t st = net_fetch(payload, i, n, inputs, label);
    if (i == 7) *label = CLASSES;
    return st;
}

START_TEST(bad_labels)
{
    mcomp_dataset *d = NULL;
    mcomp_trainer *t = net_trainer(ctx, g, &o);
    mc_ck_ok(mcomp_dataset_create(&d, ctx, g, 40, _i ? too_large : unlabelled, NULL));
    const int32_t st = mcomp_trainer_fit(NULL, t, d, NULL);
    ck_assert_msg(st == MCOMP_DATA || st == MCOMP_RANGE, "%s: %s", mcomp_status_name(st), mc_error_peek()->message);
    mcomp_dataset_destroy(d);
    mcomp_trainer_destroy(t);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("train/fit");
    TCase *t = tcase_create("all");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, learns);
    tcase_add_test(t, stops_early);
    tcase_add_loop_test(t, resumes_to_the_byte, 0, 2);
    tcase_add_test(t, resume_without_a_checkpoint_starts_afresh);
    tcase_add_test(t, damage);
    tcase_add_test(t, another_set_up);
    tcase_add_loop_test(t, bad_labels, 0, 2);
    suite_add_tcase(s, t);
    return mc_test_main(s);
}
