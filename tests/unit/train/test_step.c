/* One training step: losses and weights against a plain implementation in double, accumulation, clipping, schedules, batch statistics,
 * dropout, freezing, equal bits for all thread counts, losses that are not finite. */
#include <mcomp/build.h>

#include "net.h"

/* ---- the MLP of net.h by hand ---- */

#define N_PARAM (IN * HIDDEN + HIDDEN + HIDDEN * CLASSES + CLASSES)
#define AT_B1 (IN * HIDDEN)
#define AT_W2 (AT_B1 + HIDDEN)
#define AT_B2 (AT_W2 + HIDDEN * CLASSES)

typedef struct hand {
    double p[N_PARAM], g[N_PARAM], m[N_PARAM], v[N_PARAM];
} hand;

static void hand_start(hand *h)
{
    const int64_t size[] = {IN * HIDDEN, HIDDEN, HIDDEN * CLASSES, CLASSES};
    int64_t at = 0;
    memset(h, 0, sizeof *h);
    for (int k = 0; k < 4; k++) {
        uint64_t seed = (uint64_t)k + 1;
        for (int64_t i = 0; i < size[k]; i++) h->p[at++] = (double)((k % 2 ? 0.1f : 0.5f) * mc_test_random(&seed));
    }
}

/* Adds the gradient of the mean loss over the batch; returns that loss. */
static double hand_gradient(hand *h, int64_t first, int64_t n)
{
    double total = 0.0;
    for (int64_t s = 0; s < n; s++) {
        float x[IN];
        double act[HIDDEN], z[CLASSES], dz[CLASSES], sum = 0.0, top = -1e300;
        const int64_t label = net_sample(first + s, x);
        for (int j = 0; j < HIDDEN; j++) {
            double a = h->p[AT_B1 + j];
            for (int i = 0; i < IN; i++) a += (double)x[i] * h->p[i * HIDDEN + j];
            act[j] = tanh(a);
        }
        for (int k = 0; k < CLASSES; k++) {
            z[k] = h->p[AT_B2 + k];
            for (int j = 0; j < HIDDEN; j++) z[k] += act[j] * h->p[AT_W2 + j * CLASSES + k];
            top = fmax(top, z[k]);
        }
        for (int k = 0; k < CLASSES; k++) sum += exp(z[k] - top);
        total += log(sum) + top - z[label];
        for (int k = 0; k < CLASSES; k++) {
            dz[k] = (exp(z[k] - top) / sum - (k == label)) / (double)n;
            h->g[AT_B2 + k] += dz[k];
        }
        for (int j = 0; j < HIDDEN; j++) {
            double d = 0.0;
            for (int k = 0; k < CLASSES; k++) {
                h->g[AT_W2 + j * CLASSES + k] += act[j] * dz[k];
                d += h->p[AT_W2 + j * CLASSES + k] * dz[k];
            }
            d *= 1.0 - act[j] * act[j];
            h->g[AT_B1 + j] += d;
            for (int i = 0; i < IN; i++) h->g[i * HIDDEN + j] += (double)x[i] * d;
        }
    }
    return total / (double)n;
}

static void hand_update(hand *h, int adam, double lr, double wd, double clip, int64_t t)
{
    double norm = 0.0;
    for (int i = 0; i < N_PARAM; i++) norm += h->g[i] * h->g[i];
    const double scale = clip > 0.0 ? fmin(1.0, clip / (sqrt(norm) + 1e-6)) : 1.0;
    for (int i = 0; i < N_PARAM; i++) {
        const int matrix = i < AT_B1 || (i >= AT_W2 && i < AT_B2);
        const double g = h->g[i] * scale, w = matrix ? wd : 0.0;
        if (adam) {
            h->p[i] -= lr * w * h->p[i];
            h->m[i] = 0.9 * h->m[i] + 0.1 * g;
            h->v[i] = 0.999 * h->v[i] + 0.001 * g * g;
            h->p[i] -= lr * h->m[i] / (1.0 - pow(0.9, (double)t)) / (sqrt(h->v[i] / (1.0 - pow(0.999, (double)t))) + 1e-8);
        } else {
            h->m[i] = 0.9 * h->m[i] + g + w * h->p[i];
            h->p[i] -= lr * h->m[i];
        }
        h->g[i] = 0.0;
    }
}

static void same_weights(mcomp_trainer *t, const hand *h, double tol)
{
    static const char *const name[] = {"w1", "b1", "w2", "b2"};
    mcomp_graph *g = NULL;
    int64_t at = 0;
    mc_ck_ok(mcomp_trainer_graph(&g, t));
    for (int k = 0; k < 4; k++) {
        const mc_tensor *w = mc_graph_find_value(g->g, name[k])->init;
        for (int64_t i = 0; i < mc_tensor_elements(w); i++, at++) ck_assert_double_eq_tol((double)((const float *)w->data)[i], h->p[at], tol);
    }
    mcomp_graph_destroy(g);
}

static mcomp_context *ctx;
static mcomp_graph *g;
static mcomp_trainer_options o;
static void setup(void)
{
    ctx = net_context(2);
    g = net_mlp(ctx, 0.0f);
    mc_ck_ok(mcomp_trainer_options_init(&o, sizeof o));
}
static void teardown(void)
{
    mcomp_graph_destroy(g);
    mcomp_context_destroy(ctx);
}

START_TEST(by_hand)
{
    hand h;
    const int adam = _i & 1, clip = _i & 2;
    o.optimizer = adam ? "adamw" : "sgd";
    o.lr = 0.05;
    o.weight_decay = 0.1;
    o.clip_norm = clip ? 0.2 : 0.0;
    o.accumulate = _i & 4 ? 2 : 1;
    mcomp_trainer *t = net_trainer(ctx, g, &o);
    hand_start(&h);
    for (int64_t s = 0; s < 40; s++) {
        const double want = hand_gradient(&h, s * 8, 8);
        const float loss = net_steps(t, s, s + 1, 8);
        ck_assert_double_eq_tol((double)loss, want, 2e-6);
        if (s % o.accumulate != o.accumulate - 1) continue;
        for (int i = 0; i < N_PARAM; i++) h.g[i] /= (double)o.accumulate;
        hand_update(&h, adam, 0.05, 0.1, clip ? 0.2 : 0.0, (s + 1) / o.accumulate);
    }
    same_weights(t, &h, 1e-5);
    mcomp_trainer_destroy(t);
}
END_TEST

START_TEST(rate_follows_the_schedule)
{
    hand h;
    o.optimizer = "sgd";
    o.lr = 0.05;
    o.weight_decay = 0.0;
    o.clip_norm = 0.0;
    o.schedule = "linear";
    o.warmup = 0.25;
    o.max_steps = 16;
    mcomp_trainer *t = net_trainer(ctx, g, &o);
    hand_start(&h);
    for (int64_t s = 0; s < 16; s++) {
        (void)hand_gradient(&h, s * 8, 8);
        (void)net_steps(t, s, s + 1, 8);
        hand_update(&h, 0, 0.05 * (s < 4 ? (double)(s + 1) / 4.0 : 1.0 - (double)(s - 4) / 12.0), 0.0, 0.0, s + 1);
    }
    same_weights(t, &h, 1e-5);
    mcomp_trainer_destroy(t);
}
END_TEST

START_TEST(threads_do_not_matter)
{
    mcomp_trainer *t[3];
    mcomp_context *c[3];
    mcomp_graph *m[3];
    for (int k = 0; k < 3; k++) {
        c[k] = net_context(1 << k);
        m[k] = net_mlp(c[k], 0.3f);
        t[k] = net_trainer(c[k], m[k], &o);
        (void)net_steps(t[k], 0, 20, 64);
    }
    ck_assert(net_same(t[0], t[1]) && net_same(t[0], t[2]));
    for (int k = 0; k < 3; k++) {
        mcomp_trainer_destroy(t[k]);
        mcomp_graph_destroy(m[k]);
        mcomp_context_destroy(c[k]);
    }
}
END_TEST

START_TEST(dropout_trains_and_is_not_shipped)
{
    mcomp_graph *drop = net_mlp(ctx, 0.5f), *out = NULL;
    o.seed = 1;
    mcomp_trainer *a = net_trainer(ctx, drop, &o), *b = net_trainer(ctx, drop, &o);
    o.seed = 2;
    mcomp_trainer *d = net_trainer(ctx, drop, &o);
    const float x = net_steps(a, 0, 3, 16), y = net_steps(b, 0, 3, 16), z = net_steps(d, 0, 3, 16);
    ck_assert(x == y && x != z && net_same(a, b) && !net_same(a, d));
    mc_ck_ok(mcomp_trainer_graph(&out, a));
    ck_assert(mc_graph_find_node(out->g, "drop") != NULL); /* the model is what it was: an ordinary Dropout, inactive when run */
    for (int64_t i = 0; i < out->g->n_nodes; i++) ck_assert_str_eq(out->g->nodes[i]->domain, "");
    mcomp_graph_destroy(out);
    mcomp_graph_destroy(drop);
    mcomp_trainer_destroy(a);
    mcomp_trainer_destroy(b);
    mcomp_trainer_destroy(d);
}
END_TEST

START_TEST(frozen_weights_stay)
{
    mcomp_graph *out = NULL;
    o.freeze = "w1,b*";
    mcomp_trainer *t = net_trainer(ctx, g, &o);
    (void)net_steps(t, 0, 5, 16);
    mc_ck_ok(mcomp_trainer_graph(&out, t));
    static const char *const name[] = {"w1", "b1", "b2", "w2"};
    for (int k = 0; k < 4; k++) {
        const mc_tensor *a = mc_graph_find_value(g->g, name[k])->init, *b = mc_graph_find_value(out->g, name[k])->init;
        ck_assert((memcmp(a->data, b->data, (size_t)mc_tensor_bytes(a)) == 0) == (k < 3));
    }
    mcomp_graph_destroy(out);
    mcomp_trainer_destroy(t);
    o.freeze = "w9";
    t = net_trainer(ctx, g, &o);
    float loss;
    mcomp_tensor *x, *label;
    net_batch(0, 4, &x, &label);
    mc_ck_fails(mcomp_trainer_step(&loss, t, 1, (const mcomp_tensor *const[]){x}, label), MCOMP_ARGUMENT);
    mcomp_trainer_destroy(t);
    mcomp_tensor_destroy(x);
    mcomp_tensor_destroy(label);
}
END_TEST

START_TEST(not_finite)
{
    float loss;
    mcomp_tensor *x, *label;
    mcomp_trainer *t = net_trainer(ctx, g, &o), *same = net_trainer(ctx, g, &o);
    (void)net_steps(t, 0, 3, 16);
    (void)net_steps(same, 0, 3, 16);
    net_batch(0, 4, &x, &label);
    ((float *)mcomp_tensor_data(x))[5] = NAN;
    mc_ck_fails(mcomp_trainer_step(&loss, t, 1, (const mcomp_tensor *const[]){x}, label), MCOMP_DIVERGED);
    ck_assert_str_eq(mc_error_peek()->where, "fc1");
    ck_assert(strstr(mc_error_peek()->message, "step 4, batch 4") != NULL);
    ck_assert(net_same(t, same));
    mcomp_tensor_destroy(x);
    mcomp_tensor_destroy(label);
    mcomp_trainer_destroy(t);
    mcomp_trainer_destroy(same);
}
END_TEST

START_TEST(average_of_the_weights)
{
    mcomp_graph *out = NULL, *plain = NULL;
    double want = (double)((const float *)mc_graph_find_value(g->g, "w2")->init->data)[3];
    o.average = 0.9;
    o.keep_last = 1;
    mcomp_trainer *t = net_trainer(ctx, g, &o);
    o.average = 0.0;
    mcomp_trainer *p = net_trainer(ctx, g, &o);
    for (int64_t s = 0; s < 10; s++) {
        (void)net_steps(t, s, s + 1, 16);
        (void)net_steps(p, s, s + 1, 16);
        mc_ck_ok(mcomp_trainer_graph(&plain, p));
        want = 0.9 * want + 0.1 * (double)((const float *)mc_graph_find_value(plain->g, "w2")->init->data)[3];
        mcomp_graph_destroy(plain);
    }
    mc_ck_ok(mcomp_trainer_graph(&out, t));
    ck_assert_double_eq_tol((double)((const float *)mc_graph_find_value(out->g, "w2")->init->data)[3], want, 1e-6);
    mcomp_graph_destroy(out);
    mcomp_trainer_destroy(t);
    mcomp_trainer_destroy(p);
}
END_TEST

/* x [N, 2, 3, 3] -> BatchNormalization -> GlobalAveragePool -> Flatten -> logits */
START_TEST(batch_moments)
{
    mcomp_graph *bn = NULL, *out = NULL;
    mcomp_tensor *x = NULL, *label = NULL;
    float loss;
    mc_ck_ok(mcomp_graph_create(&bn, ctx, "bn", 17));
    mc_ck_ok(mcomp_graph_add_input(bn, "x", MCOMP_F32, 4, (const int64_t[]){-1, 2, 3, 3}, (const char *const[]){"N", NULL, NULL, NULL}));
    static const char *const name[] = {"scale", "shift", "mean", "var"};
    for (int k = 0; k < 4; k++) net_weight(bn, name[k], 1, (const int64_t[]){2}, (uint64_t)k + 1, 0.0f, k % 3 ? 0.25f : 1.0f);
    const char *in[] = {"x", "scale", "shift", "mean", "var"}, *y = "y";
    mc_ck_ok(mcomp_graph_add_node(bn, "BatchNormalization", "norm", 5, in, 1, &y));
    net_node(bn, "GlobalAveragePool", "pool", "y", NULL, NULL, "p");
    net_node(bn, "Flatten", "flat", "p", NULL, NULL, "logits");
    mc_ck_ok(mcomp_graph_add_output(bn, "logits"));
    mc_ck_ok(mcomp_graph_finish(bn));
    mc_ck_ok(mcomp_tensor_create(&x, MCOMP_F32, 4, (const int64_t[]){5, 2, 3, 3}));
    mc_ck_ok(mcomp_tensor_create(&label, MCOMP_I64, 1, (const int64_t[]){5}));
    uint64_t seed = 9;
    double sum = 0.0, squares = 0.0;
    for (int i = 0; i < 90; i++) {
        const float v = ((float *)mcomp_tensor_data(x))[i] = 2.0f * mc_test_random(&seed) + 1.0f;
        if (i / 9 % 2 == 1) { /* channel 1 */
            sum += (double)v;
            squares += (double)v * (double)v;
        }
    }
    mcomp_trainer *t = net_trainer(ctx, bn, &o);
    mc_ck_ok(mcomp_trainer_step(&loss, t, 1, (const mcomp_tensor *const[]){x}, label));
    mc_ck_ok(mcomp_trainer_graph(&out, t));
    const double mean = sum / 45.0, var = squares / 45.0 - mean * mean;
    ck_assert_double_eq_tol((double)((const float *)mc_graph_find_value(out->g, "mean")->init->data)[1], 0.9 * 0.25 + 0.1 * mean, 1e-6);
    ck_assert_double_eq_tol((double)((const float *)mc_graph_find_value(out->g, "var")->init->data)[1], 0.9 * 1.0 + 0.1 * var, 1e-6);
    mcomp_graph_destroy(out);
    mcomp_graph_destroy(bn);
    mcomp_trainer_destroy(t);
    mcomp_tensor_destroy(x);
    mcomp_tensor_destroy(label);
}
END_TEST

START_TEST(recomputing_changes_no_bit)
{
    mcomp_graph *deep = NULL;
    mcomp_build_options b;
    mcomp_tensor *in[2], *label;
    mcomp_trainer_info i[2];
    float loss[2];
    mc_ck_ok(mcomp_build_options_init(&b, sizeof b));
    b.classes = 3;
    b.vocab = 30;
    b.length = 16;
    mc_ck_ok(mcomp_graph_build(&deep, ctx, "encoder:layers=6,hidden=32,heads=2,ffn=64", &b));
    for (int k = 0; k < 2; k++) {
        mc_ck_ok(mcomp_tensor_create(&in[k], MCOMP_I64, 2, (const int64_t[]){32, 16}));
        for (int64_t j = 0; j < 512; j++) ((int64_t *)mcomp_tensor_data(in[k]))[j] = k ? 1 : j * 7 % 30;
    }
    mc_ck_ok(mcomp_tensor_create(&label, MCOMP_I64, 1, (const int64_t[]){32}));
    mcomp_trainer *t[2];
    for (int k = 0; k < 2; k++) {
        o.recompute = k;
        t[k] = net_trainer(ctx, deep, &o);
        for (int s = 0; s < 3; s++) mc_ck_ok(mcomp_trainer_step(&loss[k], t[k], 2, (const mcomp_tensor *const *)in, label));
        i[k].size = sizeof i[k];
        mc_ck_ok(mcomp_trainer_info_get(t[k], &i[k]));
    }
    ck_assert(loss[0] == loss[1] && net_same(t[0], t[1]));
    ck_assert_msg(i[1].plan_bytes < i[0].plan_bytes * 7 / 10, "%llu bytes instead of %llu", (unsigned long long)i[1].plan_bytes, (unsigned long long)i[0].plan_bytes);
    for (int k = 0; k < 2; k++) {
        mcomp_trainer_destroy(t[k]);
        mcomp_tensor_destroy(in[k]);
    }
    mcomp_tensor_destroy(label);
    mcomp_graph_destroy(deep);
}
END_TEST

static float weight_of(mcomp_trainer *t, const char *name, int64_t i) { return ((const float *)mc_trainer_parameter(t, name)->data)[i]; }

START_TEST(rate_by_pattern)
{
    o.lr_scale = "*=0.5,b*=0";
    o.weight_decay = 0.0;
    o.optimizer = "sgd";
    o.momentum = 0.0;
    mcomp_trainer *t = net_trainer(ctx, g, &o);
    o.lr_scale = NULL;
    mcomp_trainer *plain = net_trainer(ctx, g, &o);
    const float w = weight_of(t, "w2", 4), b = weight_of(t, "b2", 1);
    (void)net_steps(t, 0, 1, 16);
    (void)net_steps(plain, 0, 1, 16);
    ck_assert(weight_of(t, "b2", 1) == b && weight_of(plain, "b2", 1) != b);
    ck_assert_double_eq_tol((double)(weight_of(t, "w2", 4) - w), 0.5 * (double)(weight_of(plain, "w2", 4) - w), 1e-7);
    mcomp_trainer_destroy(t);
    mcomp_trainer_destroy(plain);
    o.lr_scale = "w1";
    t = net_trainer(ctx, g, &o);
    mc_ck_fails(mc_trainer_parameter(t, "w1") ? MCOMP_OK : mc_error_peek()->code, MCOMP_ARGUMENT);
    mcomp_trainer_destroy(t);
}
END_TEST

/* Moments, too: an element that comes back starts afresh. The mask may change while the training runs. */
START_TEST(masks_hold_elements_at_zero)
{
    mc_tensor *mask = NULL;
    const mc_shape s = {.rank = 2, .dim = {IN, HIDDEN}};
    mc_ck_ok(mc_tensor_create(&mask, MCOMP_F32, &s));
    for (int64_t i = 0; i < IN * HIDDEN; i++) ((float *)mask->data)[i] = (float)(i % 3 != 0);
    mcomp_trainer *t = net_trainer(ctx, g, &o);
    mc_ck_ok(mc_trainer_set_mask(t, "w1", mask, 0));
    (void)net_steps(t, 0, 10, 16);
    for (int64_t i = 0; i < IN * HIDDEN; i++) ck_assert((weight_of(t, "w1", i) == 0.0f) == (i % 3 == 0));
    ((float *)mask->data)[0] = 1.0f;
    ((float *)mask->data)[1] = 0.0f;
    mc_ck_ok(mc_trainer_set_mask(t, "w1", mask, 0));
    ck_assert(weight_of(t, "w1", 1) == 0.0f);
    (void)net_steps(t, 10, 15, 16);
    ck_assert(weight_of(t, "w1", 0) != 0.0f && weight_of(t, "w1", 1) == 0.0f && weight_of(t, "w1", 3) == 0.0f);
    mc_ck_fails(mc_trainer_set_mask(t, "w2", mask, 0), MCOMP_ARGUMENT);
    mcomp_trainer_destroy(t);
    t = net_trainer(ctx, g, &o);
    mc_ck_ok(mc_trainer_set_mask(t, "w2", mask, 0));
    ck_assert(mc_trainer_parameter(t, "w2") == NULL && mc_error_peek()->code == MCOMP_SHAPE);
    mcomp_trainer_destroy(t);
    mc_tensor_destroy(mask);
}
END_TEST

/* A term that pulls the logits to numbers that the feed gives: alone it is the mean squared error. */
static mc_value *pull(mc_loss_site *s, void *payload)
{
    mc_value *want = mc_loss_input(s, "want", &s->out[0]->type), *d = mc_loss_node(s, "Sub", 2, (mc_value *[]){s->out[0], want});
    *(int *)payload += 1;
    return mc_loss_mean(s, mc_loss_node(s, "Mul", 2, (mc_value *[]){d, d}));
}

static int32_t give(void *payload, const mc_feed_batch *b, int64_t n, const mcomp_tensor **extra)
{
    ck_assert(n == 1 && b->inputs[0]->t.shape.dim[0] == 8 && !b->samples);
    extra[0] = payload;
    return MCOMP_OK;
}

static int32_t stop_at_3(void *payload, mcomp_trainer *t, int64_t updates)
{
    (void)t;
    *(int64_t *)payload = updates;
    return updates < 3 ? MCOMP_OK : mc_fail(MCOMP_CANCELLED, "test", "three are enough");
}

START_TEST(terms_feed_and_hook)
{
    int emitted = 0;
    int64_t seen = 0;
    float loss = 0.0f, own = 0.0f;
    mcomp_tensor *want = NULL, *x, *label;
    mc_ck_ok(mcomp_tensor_create(&want, MCOMP_F32, 2, (const int64_t[]){8, CLASSES}));
    net_batch(0, 8, &x, &label);
    o.loss = "cross_entropy";
    mcomp_trainer *base = net_trainer(ctx, g, &o), *t = net_trainer(ctx, g, &o), *only = net_trainer(ctx, g, &o);
    mc_ck_ok(mcomp_trainer_step(&own, base, 1, (const mcomp_tensor *const[]){x}, label));
    mc_ck_ok(mc_trainer_add_term(only, &(mc_loss_term){pull, &emitted, 1.0}));
    mc_trainer_weigh_loss(only, 0.0);
    mc_trainer_set_feed(only, give, want);
    float squares = 0.0f;
    mc_ck_ok(mcomp_trainer_step(&squares, only, 1, (const mcomp_tensor *const[]){x}, label));
    mc_ck_ok(mc_trainer_add_term(t, &(mc_loss_term){pull, &emitted, 2.0}));
    mc_trainer_weigh_loss(t, 0.25);
    mc_trainer_set_feed(t, give, want);
    mc_trainer_set_hook(t, stop_at_3, &seen);
    mc_ck_ok(mcomp_trainer_step(&loss, t, 1, (const mcomp_tensor *const[]){x}, label));
    ck_assert(emitted == 2);
    ck_assert_double_eq_tol((double)loss, 0.25 * (double)own + 2.0 * (double)squares, 1e-6);
    for (int s = 0; s < 2; s++) {
        const int32_t st = mcomp_trainer_step(&loss, t, 1, (const mcomp_tensor *const[]){x}, label);
        ck_assert(st == (s ? MCOMP_CANCELLED : MCOMP_OK));
    }
    ck_assert_int_eq(seen, 3);
    mcomp_trainer_destroy(base);
    mcomp_trainer_destroy(t);
    mcomp_trainer_destroy(only);
    mcomp_tensor_destroy(want);
    mcomp_tensor_destroy(x);
    mcomp_tensor_destroy(label);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("train/step");
    TCase *t = tcase_create("all");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_loop_test(t, by_hand, 0, 8);
    tcase_add_test(t, rate_follows_the_schedule);
    tcase_add_test(t, threads_do_not_matter);
    tcase_add_test(t, dropout_trains_and_is_not_shipped);
    tcase_add_test(t, frozen_weights_stay);
    tcase_add_test(t, not_finite);
    tcase_add_test(t, average_of_the_weights);
    tcase_add_test(t, batch_moments);
    tcase_add_test(t, recomputing_changes_no_bit);
    tcase_add_test(t, rate_by_pattern);
    tcase_add_test(t, masks_hold_elements_at_zero);
    tcase_add_test(t, terms_feed_and_hook);
    suite_add_tcase(s, t);
    return mc_test_main(s);
}
