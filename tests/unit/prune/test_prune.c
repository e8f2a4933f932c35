/* Pruning: choices by hand, patterns, schedules, masks through a training, cutting, resuming, targets, errors. */
#include <mcomp/build.h>
#include <stdio.h>
#include <unistd.h>

#include "prune/prune.h"
#include "unit/train/net.h"

#define FEATURES 16
#define SAMPLES 400

static mcomp_context *ctx;
static mcomp_graph *g; /* mlp 16 -> 32 -> 24 -> 3 */
static mcomp_dataset *data;
static mcomp_pruner_options o;
static mcomp_trainer_options t;
static mcomp_train_result fit; /* of the last pruned() */
static char path[64];

/* The class is one of three by the signs of two sums. */
static int32_t fetch(void *payload, int64_t i, int32_t n, mcomp_tensor **inputs, int64_t *label)
{
    uint64_t seed = (uint64_t)i * 7919 + 11;
    float sum[2] = {0};
    (void)payload;
    (void)n;
    const int32_t st = mcomp_tensor_create(&inputs[0], MCOMP_F32, 2, (const int64_t[]){1, FEATURES});
    for (int k = 0; st == 0 && k < FEATURES; k++) sum[k % 2] += ((float *)mcomp_tensor_data(inputs[0]))[k] = mc_test_random(&seed);
    *label = sum[0] > 0.0f ? (sum[1] > 0.0f ? 2 : 1) : 0;
    return st;
}

/* turned: fc2 is a MatMul of the same weight behind a Transpose, as PyTorch's Linear may be exported. */
static mcomp_graph *mlp(int turned)
{
    mcomp_graph *m = NULL;
    mc_ck_ok(mcomp_graph_create(&m, ctx, "mlp", 17));
    mc_ck_ok(mcomp_graph_add_input(m, "x", MCOMP_F32, 2, (const int64_t[]){-1, FEATURES}, (const char *const[]){"N", NULL}));
    net_weight(m, "w1", 2, (const int64_t[]){FEATURES, 32}, 1, 0.4f, 0.0f);
    net_weight(m, "b1", 1, (const int64_t[]){32}, 2, 0.1f, 0.0f);
    net_weight(m, "w2", 2, (const int64_t[]){24, 32}, 3, 0.4f, 0.0f);
    net_weight(m, "b2", 1, (const int64_t[]){24}, 4, 0.1f, 0.0f);
    net_weight(m, "w3", 2, (const int64_t[]){24, 3}, 5, 0.4f, 0.0f);
    net_node(m, "MatMul", "fc1", "x", "w1", NULL, "m1");
    net_node(m, "Add", "add1", "m1", "b1", NULL, "a1");
    net_node(m, "Sigmoid", "act1", "a1", NULL, NULL, "h1"); /* not 0 at 0: the consumer has to be masked too */
    if (turned) {
        net_node(m, "Transpose", "turn", "w2", NULL, NULL, "w2t");
        net_node(m, "MatMul", "fc2", "h1", "w2t", NULL, "m2");
        net_node(m, "Add", "add2", "m2", "b2", NULL, "a2");
    } else {
        net_node(m, "Gemm", "fc2", "h1", "w2", "b2", "a2");
        mc_ck_ok(mcomp_graph_set_int(m, "fc2", "transB", 1));
    }
    net_node(m, "Relu", "act2", "a2", NULL, NULL, "h2");
    net_node(m, "MatMul", "fc3", "h2", "w3", NULL, "y");
    mc_ck_ok(mcomp_graph_add_output(m, "y"));
    mc_ck_ok(mcomp_graph_finish(m));
    return m;
}

static void setup(void)
{
    ctx = net_context(2);
    g = mlp(0);
    mc_ck_ok(mcomp_dataset_create(&data, ctx, g, SAMPLES, fetch, NULL));
    mc_ck_ok(mcomp_pruner_options_init(&o, sizeof o));
    mc_ck_ok(mcomp_trainer_options_init(&t, sizeof t));
    t.epochs = 6;
    t.lr = 0.01;
    snprintf(path, sizeof path, "/tmp/mcomp_prune_%d.ckpt", (int)getpid());
    (void)unlink(path);
}

static void teardown(void)
{
    (void)unlink(path);
    mcomp_dataset_destroy(data);
    mcomp_graph_destroy(g);
    mcomp_context_destroy(ctx);
}

static mcomp_pruner *pruner(void)
{
    mcomp_pruner *p = NULL;
    mc_ck_ok(mcomp_pruner_create(&p, ctx, g, &o));
    return p;
}

static mcomp_graph *pruned(mcomp_dataset *train, mcomp_prune_result *r)
{
    mcomp_graph *out = NULL;
    mcomp_pruner *p = pruner();
    *r = (mcomp_prune_result){.size = sizeof *r};
    fit = (mcomp_train_result){.size = sizeof fit};
    mc_ck_ok(mcomp_pruner_run(r, &fit, p, train, data, &t));
    mc_ck_ok(mcomp_pruner_graph(&out, p));
    mcomp_pruner_destroy(p);
    return out;
}

static const mc_tensor *weight(const mcomp_graph *m, const char *name) { return mc_graph_find_value(m->g, name)->init; }
static float at(const mcomp_graph *m, const char *name, int64_t i) { return ((const float *)weight(m, name)->data)[i]; }

/* ---- choices without training ---- */

/* w1 is [inputs][outputs]: element (output n, input k) at k * 32 + n. The smallest half of all weights goes, no other. */
START_TEST(unstructured_by_hand)
{
    mcomp_prune_result r;
    o.match = "fc1";
    mcomp_graph *m = pruned(NULL, &r);
    float largest_gone = 0.0f, smallest_kept = 1e9f;
    int64_t gone = 0;
    for (int64_t i = 0; i < FEATURES * 32; i++) {
        const float was = fabsf(at(g, "w1", i)), is = at(m, "w1", i);
        ck_assert(is == 0.0f || is == at(g, "w1", i));
        if (is == 0.0f) largest_gone = fmaxf(largest_gone, was);
        else smallest_kept = fminf(smallest_kept, was);
        gone += is == 0.0f;
    }
    ck_assert_int_eq(gone, FEATURES * 32 / 2);
    ck_assert(largest_gone <= smallest_kept);
    ck_assert(memcmp(weight(m, "w2")->data, weight(g, "w2")->data, 24 * 32 * 4) == 0);
    ck_assert_double_eq_tol(r.sparsity, 0.5, 1e-9);
    ck_assert_int_eq(r.params_before - r.params_after, gone);
    mcomp_graph_destroy(m);
}
END_TEST

/* Blocks of four outputs by one input: fc1 keeps outputs in its columns, fc2 (transB) in its rows. */
START_TEST(blocks)
{
    mcomp_prune_result r;
    o.pattern = _i ? "1x4" : "4x1";
    o.criterion = "l1";
    mcomp_graph *m = pruned(NULL, &r);
    const int64_t rows = _i ? 1 : 4, cols = _i ? 4 : 1;
    const struct {
        const char *name;
        int64_t n, k, sn, sk;
    } w[2] = {{"w1", 32, FEATURES, 1, 32}, {"w2", 24, 32, 32, 1}};
    for (int x = 0; x < 2; x++) {
        double best_gone = 0.0, least_kept = 1e9;
        int64_t gone = 0, all = 0;
        for (int64_t i = 0; i < w[x].n; i += rows)
            for (int64_t j = 0; j < w[x].k; j += cols) {
                int64_t zeros = 0;
                double sum = 0.0;
                for (int64_t a = 0; a < rows; a++)
                    for (int64_t b = 0; b < cols; b++) {
                        const int64_t e = (i + a) * w[x].sn + (j + b) * w[x].sk;
                        zeros += at(m, w[x].name, e) == 0.0f;
                        sum += fabs((double)at(g, w[x].name, e));
                    }
                ck_assert(zeros == 0 || zeros == 4);
                if (zeros) best_gone = fmax(best_gone, sum);
                else least_kept = fmin(least_kept, sum);
                gone += zeros == 4;
                all++;
            }
        ck_assert_int_eq(gone, all / 2);
        ck_assert(best_gone <= least_kept + 1e-6);
    }
    mcomp_graph_destroy(m);
}
END_TEST

/* The same blocks of the same weight go, however the product reads it. */
START_TEST(transposed_weights)
{
    mcomp_prune_result r;
    o.pattern = "4x1";
    o.match = "*2*";
    mcomp_graph *a = pruned(NULL, &r), *same = g;
    ck_assert_double_eq_tol(r.sparsity, 0.5, 1e-9);
    g = mlp(1);
    mcomp_graph *b = pruned(NULL, &r);
    ck_assert_double_eq_tol(r.sparsity, 0.5, 1e-9);
    ck_assert(memcmp(weight(a, "w2")->data, weight(b, "w2")->data, 24 * 32 * 4) == 0);
    mcomp_graph_destroy(same);
    mcomp_graph_destroy(a);
    mcomp_graph_destroy(b);
}
END_TEST

/* Feed-forward blocks and attention are known by their structure, whatever they are called; the classifier is neither. */
START_TEST(parts_by_structure)
{
    static const struct {
        const char *match;
        int64_t layers;
    } all[] = {{"ffn", 4}, {"*ffn*", 4}, {"attention", 8}, {"ffn,attention", 12}};
    mcomp_build_options b;
    mcomp_graph *m = NULL;
    mcomp_pruner *p = NULL;
    int64_t sites = 0;
    mc_ck_ok(mcomp_build_options_init(&b, sizeof b));
    mc_ck_ok(mcomp_graph_build(&m, ctx, "encoder:layers=2,hidden=32,heads=4,ffn=64,vocab=40,length=16,classes=3", &b));
    for (int64_t i = 0; i < m->g->n_nodes; i++) { /* names that say nothing */
        char *name = m->g->nodes[i]->name;
        for (size_t k = 0; name && name[k]; k++)
            if (name[k] == 'f' || name[k] == 'a') name[k] = 'x';
    }
    o.pattern = "4x1";
    o.match = all[_i].match;
    mc_ck_ok(mcomp_pruner_create(&p, ctx, m, &o));
    mc_ck_ok(mcomp_pruner_site_count(p, &sites));
    ck_assert_int_eq(sites, all[_i].layers);
    mcomp_pruner_destroy(p);
    mcomp_graph_destroy(m);
}
END_TEST

START_TEST(two_of_four)
{
    mcomp_prune_result r;
    o.pattern = "2:4";
    o.sparsity = 0.9; /* the pattern knows better */
    mcomp_graph *m = pruned(NULL, &r);
    for (int64_t n = 0; n < 24; n++)
        for (int64_t k = 0; k < 32; k += 4) {
            float kept = 1e9f, gone = 0.0f;
            int64_t zeros = 0;
            for (int64_t j = k; j < k + 4; j++) {
                const float was = fabsf(at(g, "w2", n * 32 + j));
                if (at(m, "w2", n * 32 + j) == 0.0f) gone = fmaxf(gone, was), zeros++;
                else kept = fminf(kept, was);
            }
            ck_assert(zeros == 2 && gone <= kept);
        }
    ck_assert_double_eq_tol(r.sparsity, 0.5, 1e-9);
    mcomp_graph_destroy(m);
}
END_TEST

/* One ranking over both layers: the sum is met, the layers differ, and a layer of tiny weights does not vanish. */
START_TEST(global)
{
    mcomp_prune_result r;
    float *w2 = weight(g, "w2")->data;
    for (int64_t i = 0; i < 24 * 32; i++) w2[i] *= i % 2 ? 1e-3f : 1.0f;
    o.global = 1;
    o.sparsity = 0.6;
    mcomp_graph *m = pruned(NULL, &r);
    int64_t gone = 0, all = FEATURES * 32 + 24 * 32;
    for (int64_t i = 0; i < FEATURES * 32; i++) gone += at(m, "w1", i) == 0.0f;
    const int64_t first = gone;
    for (int64_t i = 0; i < 24 * 32; i++) gone += at(m, "w2", i) == 0.0f;
    ck_assert(gone <= (int64_t)(0.6 * (double)all) && gone > (int64_t)(0.59 * (double)all));
    ck_assert(first < gone - first);
    mcomp_graph_destroy(m);
}
END_TEST

/* ---- units ---- */

/* Half of the hidden neurons of both layers, by each criterion; the outputs are those of the masked model. */
START_TEST(neurons)
{
    static const char *const criteria[] = {"l1", "l2", "fpgm", "taylor"};
    mcomp_prune_result r;
    o.pattern = "ffn";
    o.criterion = criteria[_i];
    o.align = 4;
    o.schedule = "one-shot";
    mcomp_graph *m = pruned(_i == 3 ? data : NULL, &r);
    ck_assert(weight(m, "w1")->shape.dim[1] == 16 && weight(m, "b1")->shape.dim[0] == 16 && weight(m, "w2")->shape.dim[1] == 16);
    ck_assert(weight(m, "w2")->shape.dim[0] == 12 && weight(m, "b2")->shape.dim[0] == 12 && weight(m, "w3")->shape.dim[0] == 12);
    ck_assert(r.equivalence_samples == 8 && r.equivalence_max_abs < 1e-5);
    ck_assert_double_eq(r.macs_after, FEATURES * 16 + 16 * 12 + 12 * 3);
    ck_assert_double_eq(r.macs_before, FEATURES * 32 + 32 * 24 + 24 * 3);
    mcomp_graph_destroy(m);
}
END_TEST

/* A model of each kind, cut and compared inside the library. */
START_TEST(built_models)
{
    static const struct {
        const char *spec, *pattern;
    } all[] = {
        {"encoder:layers=2,hidden=32,heads=4,ffn=64,vocab=40,length=16,classes=3", "head"},
        {"encoder:layers=2,hidden=32,heads=4,ffn=64,vocab=40,length=16,classes=3", "ffn"},
        {"decoder:layers=2,hidden=32,heads=4,ffn=64,vocab=40,length=16", "head"},
        {"cnn:classes=3", "channel"},
        {"resnet:classes=3", "channel"},
        {"ds-cnn:classes=3", "channel"},
        {"text-cnn:vocab=40,length=16,classes=3", "channel"},
    };
    mcomp_build_options b;
    mcomp_graph *m = NULL, *out = NULL;
    mcomp_pruner *p = NULL;
    mcomp_dataset *d = NULL;
    mcomp_prune_result r = {.size = sizeof r};
    mc_ck_ok(mcomp_build_options_init(&b, sizeof b));
    b.image[0] = 1;
    b.image[1] = b.image[2] = 16;
    mc_ck_ok(mcomp_graph_build(&m, ctx, all[_i].spec, &b));
    mc_ck_ok(mcomp_dataset_create(&d, ctx, m, 8, mc_test_pattern_fetch, m));
    o.pattern = all[_i].pattern;
    o.sparsity = 0.5;
    o.align = 2;
    mc_ck_ok(mcomp_pruner_create(&p, ctx, m, &o));
    mc_ck_ok(mcomp_pruner_run(&r, NULL, p, NULL, d, NULL));
    ck_assert_msg(r.equivalence_samples == 8 && r.equivalence_max_abs < 1e-4, "%s: %g", all[_i].spec, r.equivalence_max_abs);
    ck_assert(r.params_after < r.params_before && r.macs_after < r.macs_before && r.sparsity > 0.2);
    mc_ck_ok(mcomp_pruner_graph(&out, p));
    mcomp_graph_destroy(out);
    mcomp_pruner_destroy(p);
    mcomp_dataset_destroy(d);
    mcomp_graph_destroy(m);
}
END_TEST

/* ---- training ---- */

static int32_t watch(void *payload, const mcomp_train_event *e)
{
    int64_t *stop_at = payload;
    return e->kind == 0 && *stop_at && e->step == *stop_at;
}

/* At every schedule the ask is met exactly, masked weights are exact zeros, and the model still learns. */
START_TEST(trains)
{
    static const char *const schedules[] = {"one-shot", "iterative", "linear", "cubic"};
    mcomp_prune_result r;
    o.pattern = _i % 2 ? "4x1" : "unstructured";
    o.schedule = schedules[_i];
    o.criterion = _i == 3 ? "taylor" : "l2";
    t.epochs = 14;
    mcomp_graph *m = pruned(data, &r);
    int64_t gone = 0;
    for (int64_t i = 0; i < 24 * 32; i++) gone += at(m, "w2", i) == 0.0f;
    ck_assert_int_eq(gone, 24 * 32 / 2);
    ck_assert_double_eq_tol(r.sparsity, 0.5, 1e-9);
    ck_assert_msg(fit.best_metric > 0.8 && r.before_metric < 0.7, "%s: %g after %g", schedules[_i], fit.best_metric, r.before_metric);
    ck_assert(fit.best_epoch > (_i == 0 ? 0 : 9)); /* none before the last weight was gone */
    mcomp_graph_destroy(m);
}
END_TEST

/* Stopped in the middle and resumed: the same bytes, for elements and for units; and with another number of threads. */
START_TEST(resumes_to_the_byte)
{
    mcomp_prune_result r;
    int64_t stop_at = 21;
    mcomp_pruner *p;
    o.pattern = _i ? "ffn" : "unstructured";
    o.align = 1;
    mcomp_graph *whole = pruned(data, &r);
    t.checkpoint = path;
    t.progress = watch;
    t.progress_payload = &stop_at;
    p = pruner();
    mc_ck_fails(mcomp_pruner_run(NULL, NULL, p, data, data, &t), MCOMP_CANCELLED);
    mcomp_pruner_destroy(p);
    stop_at = 0;
    t.resume = 1;
    mcomp_graph *again = pruned(data, &r);
    for (int64_t i = 0; i < whole->g->n_values; i++) {
        const mc_value *a = whole->g->values[i], *b = again->g->values[i];
        if (!a->dead && a->init) ck_assert(mc_tensor_bytes(a->init) == mc_tensor_bytes(b->init) && memcmp(a->init->data, b->init->data, (size_t)mc_tensor_bytes(a->init)) == 0);
    }
    mcomp_graph_destroy(whole);
    mcomp_graph_destroy(again);
}
END_TEST

/* ---- targets and errors ---- */

START_TEST(targets)
{
    mcomp_prune_result r;
    o.pattern = "ffn";
    o.align = 1;
    o.macs = 0.6;
    mcomp_graph *m = pruned(NULL, &r);
    ck_assert(r.macs_after <= 0.4 * r.macs_before && r.macs_after > 0.33 * r.macs_before);
    mcomp_graph_destroy(m);
    o.pattern = "unstructured";
    m = pruned(NULL, &r);
    ck_assert(fabs(r.macs_after / r.macs_before - 0.4) < 0.01);
    mcomp_graph_destroy(m);
    o.pattern = "ffn";
    o.macs = 0.99;
    mcomp_pruner *p = pruner();
    mc_ck_fails(mcomp_pruner_run(&r, NULL, p, NULL, data, NULL), MCOMP_TARGET_MISSED);
    mc_ck_ok(mcomp_pruner_graph(&m, p)); /* what came nearest */
    ck_assert(r.macs_after < 0.2 * r.macs_before);
    mcomp_graph_destroy(m);
    mcomp_pruner_destroy(p);
}
END_TEST

START_TEST(errors)
{
    mcomp_pruner *p = NULL;
    mcomp_graph *m = NULL;
#define REFUSED(field, value, code)                                                                                    \
    do {                                                                                                               \
        mc_ck_ok(mcomp_pruner_options_init(&o, sizeof o));                                                             \
        o.field = value;                                                                                               \
        mc_ck_fails(mcomp_pruner_create(&p, ctx, g, &o), code);                                                        \
        ck_assert(p == NULL && mc_error_peek()->message[0]);                                                           \
    } while (0)
    REFUSED(pattern, "4x2", MCOMP_ARGUMENT);
    REFUSED(pattern, "head", MCOMP_ARGUMENT);
    REFUSED(criterion, "l3", MCOMP_ARGUMENT);
    REFUSED(criterion, "fpgm", MCOMP_ARGUMENT);
    REFUSED(schedule, "cube", MCOMP_ARGUMENT);
    REFUSED(match, "nothing*", MCOMP_ARGUMENT);
    REFUSED(keep, "fc1,nothing*", MCOMP_ARGUMENT);
    REFUSED(keep, "*", MCOMP_ARGUMENT);
    REFUSED(sparsity, 1.0, MCOMP_RANGE);
    REFUSED(sparsity, -0.1, MCOMP_RANGE);
    REFUSED(sparsity, (double)NAN, MCOMP_RANGE);
    REFUSED(macs, 1.5, MCOMP_RANGE);
    REFUSED(latency_ms, 1.0, MCOMP_UNSUPPORTED);
    REFUSED(align, 0, MCOMP_RANGE);
    mc_ck_ok(mcomp_pruner_options_init(&o, sizeof o));
    p = pruner();
    mc_ck_fails(mcomp_pruner_graph(&m, p), MCOMP_ARGUMENT);
    t.average = 0.9;
    mc_ck_fails(mcomp_pruner_run(NULL, NULL, p, data, NULL, &t), MCOMP_ARGUMENT);
    mcomp_pruner_destroy(p);
    t.average = 0.0;
    o.criterion = "taylor";
    p = pruner();
    mc_ck_fails(mcomp_pruner_run(NULL, NULL, p, NULL, data, &t), MCOMP_ARGUMENT); /* no gradients without data */
    mcomp_pruner_destroy(p);
    t.optimizer = "sgd";
    p = pruner();
    mc_ck_fails(mcomp_pruner_run(NULL, NULL, p, data, NULL, &t), MCOMP_ARGUMENT);
    mcomp_pruner_destroy(p);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("prune/prune");
    TCase *c = tcase_create("all");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, unstructured_by_hand);
    tcase_add_loop_test(c, blocks, 0, 2);
    tcase_add_test(c, transposed_weights);
    tcase_add_loop_test(c, parts_by_structure, 0, 4);
    tcase_add_test(c, two_of_four);
    tcase_add_test(c, global);
    tcase_add_loop_test(c, neurons, 0, 4);
    tcase_add_loop_test(c, built_models, 0, 7);
    tcase_add_loop_test(c, trains, 0, 4);
    tcase_add_loop_test(c, resumes_to_the_byte, 0, 2);
    tcase_add_test(c, targets);
    tcase_add_test(c, errors);
    suite_add_tcase(s, c);
    return mc_test_main(s);
}
