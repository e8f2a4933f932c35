/* A student of a teacher, end to end on the small net: what the teacher said reaches the right samples, the control knows no teacher,
 * the cache spares the teacher, resuming gives the same bytes; bad input. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "distill/distill.h"
#include "../train/net.h"

#define SAMPLES 96

static mcomp_context *ctx;
static char folder[64];
static int asked; /* times the data were read */

static void setup(void)
{
    ctx = net_context(1);
    strcpy(folder, "/tmp/mcomp-distil-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
}

static void teardown(void)
{
    char command[128];
    mcomp_context_destroy(ctx);
    snprintf(command, sizeof command, "rm -rf %s", folder);
    ck_assert_int_eq(system(command), 0);
}

static int32_t unlabelled(void *payload, int64_t i, int32_t n, mcomp_tensor **inputs, int64_t *label)
{
    const int32_t st = net_fetch(payload, i, n, inputs, label);
    *label = -1;
    return st;
}

static mcomp_dataset *data_of(const mcomp_graph *g, int64_t n, mcomp_fetch_fn fetch)
{
    mcomp_dataset *d = NULL;
    mc_ck_ok(mcomp_dataset_create(&d, ctx, g, n, fetch, &asked));
    return d;
}

/* A net that has learned the task. */
static mcomp_graph *taught_net(void)
{
    mcomp_graph *g = net_mlp(ctx, 0.0f), *out = NULL;
    mcomp_trainer_options o;
    mc_ck_ok(mcomp_trainer_options_init(&o, sizeof o));
    o.lr = 0.02;
    mcomp_trainer *t = net_trainer(ctx, g, &o);
    (void)net_steps(t, 0, 60, 32);
    mc_ck_ok(mcomp_trainer_graph(&out, t));
    mcomp_trainer_destroy(t);
    mcomp_graph_destroy(g);
    return out;
}

static mcomp_distiller *distiller_of(const mcomp_graph *teacher, const mcomp_distiller_options *o)
{
    mcomp_distiller *d = NULL;
    mcomp_dataset *rows = data_of(teacher, SAMPLES, net_fetch);
    mc_ck_ok(mcomp_distiller_create(&d, ctx, teacher, o));
    mc_ck_ok(mcomp_distiller_teach(d, rows));
    mcomp_dataset_destroy(rows);
    return d;
}

static mcomp_distiller_options defaults(void)
{
    mcomp_distiller_options o;
    mc_ck_ok(mcomp_distiller_options_init(&o, sizeof o));
    return o;
}

static mcomp_trainer_options short_training(void)
{
    mcomp_trainer_options o;
    mc_ck_ok(mcomp_trainer_options_init(&o, sizeof o));
    o.lr = 0.01;
    o.batch = 16;
    o.epochs = 4;
    o.keep_last = 1;
    return o;
}

static int same_weights(const mcomp_graph *a, const mcomp_graph *b)
{
    int same = 1;
    for (int64_t i = 0; i < a->g->n_values; i++) {
        const mc_value *v = a->g->values[i], *w = b->g->values[i];
        if (v->init) same &= memcmp(v->init->data, w->init->data, (size_t)mc_tensor_bytes(v->init)) == 0;
    }
    return same;
}

static mcomp_graph *fit(mcomp_distiller *d, const mcomp_graph *student, const mcomp_trainer_options *o, int32_t which)
{
    mcomp_graph *out = NULL;
    mcomp_dataset *train = data_of(student, SAMPLES, net_fetch), *valid = data_of(student, 40, net_fetch);
    mc_ck_ok(mcomp_distiller_fit(NULL, NULL, d, student, o, train, valid));
    mc_ck_ok(mcomp_distiller_graph(&out, d, which));
    mcomp_dataset_destroy(train);
    mcomp_dataset_destroy(valid);
    return out;
}

/* With alpha 0 and the teacher as its own student there is nothing to learn: the scores of every sample are matched with what the teacher
 * said of that sample, in every shuffled batch. Were they matched otherwise, the weights would move. */
START_TEST(right_samples)
{
    mcomp_distiller_options o = defaults();
    mcomp_trainer_options to = short_training();
    o.alpha = 0.0;
    o.losses = "mse";
    o.no_control = 1;
    to.optimizer = "sgd";
    to.weight_decay = 0.0;
    to.lr = 0.1;
    mcomp_graph *teacher = taught_net();
    mcomp_distiller *d = distiller_of(teacher, &o);
    mcomp_graph *same = fit(d, teacher, &to, 0);
    for (int64_t i = 0; i < teacher->g->n_values; i++) {
        const mc_value *v = teacher->g->values[i], *w = same->g->values[i];
        if (v->init) mc_ck_close_f32(w->init->data, v->init->data, mc_tensor_elements(v->init), 0.0, 2e-3); /* halves are exact to 5e-4 */
    }
    mcomp_graph_destroy(same);
    mcomp_distiller_destroy(d);
    mcomp_graph_destroy(teacher);
}
END_TEST

/* The control is what a trainer alone gives, to the bit; the student is not. */
START_TEST(control_knows_no_teacher)
{
    mcomp_distiller_options o = defaults();
    const mcomp_trainer_options to = short_training();
    mcomp_graph *teacher = taught_net(), *start = net_mlp(ctx, 0.0f), *alone = NULL, *student = NULL;
    mcomp_distiller *d = distiller_of(teacher, &o);
    mcomp_graph *control = fit(d, start, &to, 1);
    mc_ck_ok(mcomp_distiller_graph(&student, d, 0));
    mcomp_trainer *t = net_trainer(ctx, start, &to);
    mcomp_dataset *train = data_of(start, SAMPLES, net_fetch), *valid = data_of(start, 40, net_fetch);
    mc_ck_ok(mcomp_trainer_fit(NULL, t, train, valid));
    mc_ck_ok(mcomp_trainer_graph(&alone, t));
    ck_assert(same_weights(control, alone));
    ck_assert(!same_weights(student, alone));
    mcomp_distiller_destroy(d);
    /* alpha 1 is the hard loss alone */
    o.alpha = 1.0;
    d = distiller_of(teacher, &o);
    mcomp_graph *hard = fit(d, start, &to, 0);
    ck_assert(same_weights(hard, alone));
    mcomp_graph_destroy(hard);
    mcomp_dataset_destroy(train);
    mcomp_dataset_destroy(valid);
    mcomp_trainer_destroy(t);
    mcomp_distiller_destroy(d);
    mcomp_graph_destroy(alone);
    mcomp_graph_destroy(student);
    mcomp_graph_destroy(control);
    mcomp_graph_destroy(start);
    mcomp_graph_destroy(teacher);
}
END_TEST

/* In memory and from the cache: the same student; the second time the teacher does not run; another teacher is not mistaken for it. */
START_TEST(cache)
{
    mcomp_distiller_options o = defaults();
    const mcomp_trainer_options to = short_training();
    mcomp_distiller_info info = {.size = sizeof info};
    mcomp_graph *teacher = taught_net(), *start = net_mlp(ctx, 0.0f), *got[3];
    for (int i = 0; i < 3; i++) {
        o.cache = i ? folder : NULL;
        mcomp_distiller *d = distiller_of(teacher, &o);
        mc_ck_ok(mcomp_distiller_info_get(d, &info));
        ck_assert_int_eq(info.samples, SAMPLES);
        ck_assert_int_eq(info.computed, i == 2 ? 0 : SAMPLES);
        got[i] = fit(d, start, &to, 0);
        mcomp_distiller_destroy(d);
    }
    ck_assert(same_weights(got[0], got[1]) && same_weights(got[0], got[2]));
    mcomp_distiller *other = distiller_of(start, &o);
    mc_ck_ok(mcomp_distiller_info_get(other, &info));
    ck_assert_int_eq(info.computed, SAMPLES);
    mcomp_distiller_destroy(other);
    for (int i = 0; i < 3; i++) mcomp_graph_destroy(got[i]);
    mcomp_graph_destroy(start);
    mcomp_graph_destroy(teacher);
}
END_TEST

static int32_t stop(void *payload, const mcomp_train_event *e)
{
    return e->kind == 0 && e->step == *(int64_t *)payload;
}

/* Stopped in the student or in the control, then resumed: the same bytes. */
START_TEST(resume)
{
    mcomp_distiller_options o = defaults();
    mcomp_trainer_options to = short_training();
    char path[128];
    snprintf(path, sizeof path, "%s/ckpt", folder);
    mcomp_graph *teacher = taught_net(), *start = net_mlp(ctx, 0.0f);
    mcomp_distiller *d = distiller_of(teacher, &o);
    mcomp_graph *whole[2], *parts[2] = {NULL, NULL};
    whole[0] = fit(d, start, &to, 0);
    mc_ck_ok(mcomp_distiller_graph(&whole[1], d, 1));
    mcomp_dataset *train = data_of(start, SAMPLES, net_fetch), *valid = data_of(start, 40, net_fetch);
    int64_t at = 9;
    to.checkpoint = path;
    to.resume = 1;
    to.progress = stop;
    to.progress_payload = &at;
    mc_ck_fails(mcomp_distiller_fit(NULL, NULL, d, start, &to, train, valid), MCOMP_CANCELLED);
    mcomp_distiller_destroy(d);
    d = distiller_of(teacher, &o);
    at = 5; /* the student is past it, the control is not */
    mc_ck_fails(mcomp_distiller_fit(NULL, NULL, d, start, &to, train, valid), MCOMP_CANCELLED);
    mcomp_distiller_destroy(d);
    d = distiller_of(teacher, &o);
    at = -1;
    mc_ck_ok(mcomp_distiller_fit(NULL, NULL, d, start, &to, train, valid));
    for (int i = 0; i < 2; i++) {
        mc_ck_ok(mcomp_distiller_graph(&parts[i], d, i));
        ck_assert_msg(same_weights(parts[i], whole[i]), "%s", i ? "control" : "student");
        mcomp_graph_destroy(parts[i]);
        mcomp_graph_destroy(whole[i]);
    }
    mcomp_dataset_destroy(train);
    mcomp_dataset_destroy(valid);
    mcomp_distiller_destroy(d);
    mcomp_graph_destroy(start);
    mcomp_graph_destroy(teacher);
}
END_TEST

static mcomp_graph *with_classes(int64_t classes, float scale)
{
    mcomp_graph *g = NULL;
    mc_ck_ok(mcomp_graph_create(&g, ctx, "linear", 17));
    mc_ck_ok(mcomp_graph_add_input(g, "x", MCOMP_F32, 2, (const int64_t[]){-1, IN}, (const char *const[]){"N", NULL}));
    net_weight(g, "w", 2, (const int64_t[]){IN, classes}, 1, scale, 0.0f);
    net_node(g, "MatMul", "fc", "x", "w", NULL, "logits");
    mc_ck_ok(mcomp_graph_add_output(g, "logits"));
    mc_ck_ok(mcomp_graph_finish(g));
    return g;
}

START_TEST(bad_input)
{
    mcomp_distiller_options o = defaults();
    mcomp_distiller *d = NULL;
    mcomp_graph *teacher = net_mlp(ctx, 0.0f), *two = with_classes(2, 1.0f), *huge = with_classes(3, 1e6f), *out = NULL;
    mcomp_dataset *rows = data_of(teacher, SAMPLES, net_fetch), *few = data_of(teacher, 30, net_fetch), *bare = data_of(teacher, SAMPLES, unlabelled);
    mcomp_trainer_options to = short_training();
    o.temperature = 0.0;
    mc_ck_fails(mcomp_distiller_create(&d, ctx, teacher, &o), MCOMP_RANGE);
    o = defaults();
    o.alpha = 1.5;
    mc_ck_fails(mcomp_distiller_create(&d, ctx, teacher, &o), MCOMP_RANGE);
    o = defaults();
    o.losses = "logit";
    mc_ck_fails(mcomp_distiller_create(&d, ctx, teacher, &o), MCOMP_ARGUMENT);
    o = defaults();
    o.output = "nothing";
    mc_ck_fails(mcomp_distiller_create(&d, ctx, teacher, &o), MCOMP_ARGUMENT);
    o = defaults();
    mc_ck_ok(mcomp_distiller_create(&d, ctx, huge, &o));
    mc_ck_fails(mcomp_distiller_teach(d, rows), MCOMP_RANGE);
    mcomp_distiller_destroy(d);
    mc_ck_ok(mcomp_distiller_create(&d, ctx, teacher, &o));
    mc_ck_fails(mcomp_distiller_fit(NULL, NULL, d, two, &to, rows, few), MCOMP_ARGUMENT); /* nothing taught */
    mc_ck_ok(mcomp_distiller_teach(d, rows));
    mc_ck_fails(mcomp_distiller_graph(&out, d, 0), MCOMP_ARGUMENT);
    mc_ck_fails(mcomp_distiller_fit(NULL, NULL, d, two, &to, rows, few), MCOMP_SHAPE);
    mc_ck_fails(mcomp_distiller_fit(NULL, NULL, d, teacher, &to, few, rows), MCOMP_DATA);
    mc_ck_fails(mcomp_distiller_fit(NULL, NULL, d, teacher, &to, bare, few), MCOMP_DATA);
    to.augment = "shift:1";
    mc_ck_fails(mcomp_distiller_fit(NULL, NULL, d, teacher, &to, rows, few), MCOMP_UNSUPPORTED);
    mcomp_distiller_destroy(d);
    mcomp_dataset_destroy(rows);
    mcomp_dataset_destroy(few);
    mcomp_dataset_destroy(bare);
    mcomp_graph_destroy(huge);
    mcomp_graph_destroy(two);
    mcomp_graph_destroy(teacher);
}
END_TEST

/* Without labels the teacher alone teaches; the student comes near it. */
START_TEST(no_labels)
{
    mcomp_distiller_options o = defaults();
    mcomp_trainer_options to = short_training();
    mcomp_train_result r = {.size = sizeof r};
    o.alpha = 0.0;
    o.no_control = 1;
    to.epochs = 40;
    mcomp_graph *teacher = taught_net(), *start = net_mlp(ctx, 0.0f);
    mcomp_distiller *d = distiller_of(teacher, &o);
    mcomp_dataset *bare = data_of(start, SAMPLES, unlabelled), *valid = data_of(start, 200, net_fetch);
    mc_ck_ok(mcomp_distiller_fit(&r, NULL, d, start, &to, bare, valid));
    ck_assert_double_gt(r.best_metric, 0.75);
    mcomp_dataset_destroy(bare);
    mcomp_dataset_destroy(valid);
    mcomp_distiller_destroy(d);
    mcomp_graph_destroy(start);
    mcomp_graph_destroy(teacher);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("distill/distiller");
    TCase *t = tcase_create("all");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, right_samples);
    tcase_add_test(t, control_knows_no_teacher);
    tcase_add_test(t, cache);
    tcase_add_test(t, resume);
    tcase_add_test(t, bad_input);
    tcase_add_test(t, no_labels);
    suite_add_tcase(s, t);
    return mc_test_main(s);
}
