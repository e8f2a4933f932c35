/* Gradients of whole models, every kind of the builder, cross entropy of the logits, all parameters at once: the derivative along
 * random directions against central differences in double, and the gradients that a session computes in float against those in double.
 * The weights are moved away from their start, where biases are 0 and norms 1. */
#include <math.h>
#include <mcomp/build.h>
#include <stdio.h>

#include "passes/passes.h"
#include "support/interp.h"
#include "support/support.h"

#define N_WRT 90
static const char *const specs[] = {
    "encoder:layers=2,hidden=16,heads=2,ffn=32", "text-cnn:hidden=8,channels=6", "lstm:layers=2,hidden=8", "bilstm:hidden=8",
    "decoder:layers=2,hidden=16,heads=2,ffn=32", "mlp:layers=3,hidden=10", "cnn:channels=4,hidden=8", "resnet:channels=4",
    "ds-cnn:layers=2,channels=4",
};

typedef struct model {
    mc_graph *g;
    mc_value *loss, *wrt[N_WRT], *grads[N_WRT];
    int64_t n_wrt;
} model;

static int is_moment(const mc_value *v)
{
    return v->n_uses > 0 && mc_node_is(v->uses[0].node, "BatchNormalization") && v->uses[0].index >= 3;
}

/* Constants become a copy of their own of this type; the types of what is computed are forgotten. */
static void retype(mc_graph *g, int32_t dtype, uint64_t seed)
{
    uint64_t state = seed;
    for (int64_t i = 0; i < g->n_values; i++) {
        mc_value *v = g->values[i];
        mc_tensor *t;
        if (v->dead) continue;
        if (v->producer) {
            v->type = (mc_type){.dtype = MCOMP_UNDEFINED, .rank = -1};
            continue;
        }
        if (v->type.dtype != MCOMP_F32) continue;
        v->type.dtype = dtype;
        if (!v->init) continue;
        mc_ck_ok(mc_tensor_create(&t, dtype, &v->init->shape));
        for (int64_t k = 0; k < mc_tensor_elements(t); k++) {
            const float moved = v->type.rank > 0 && !is_moment(v) ? 0.1f * mc_test_random(&state) : 0.0f;
            mc_tensor_set_f64(t, k, (double)(float)(mc_tensor_get_f64(v->init, k) + (double)moved));
        }
        mc_tensor_destroy(v->init);
        v->init = t;
    }
    for (int64_t i = 0; i < g->n_nodes; i++) {
        mc_node *n = g->nodes[i];
        if (mc_node_is(n, "Cast") && mc_attr_i(n, "to", 0) == MCOMP_F32) mc_ck_ok(mc_node_set_i(n, "to", dtype));
        if (mc_node_is(n, "BatchNormalization")) mc_ck_ok(mc_node_set_i(n, "training_mode", 1));
    }
}

static mc_value *add_loss(mc_graph *g)
{
    mc_value *logits = g->outputs[0], *labels;
    mc_type t = {.dtype = MCOMP_I64, .rank = 1, .dim = {0}};
    const int64_t classes = logits->type.dim[logits->type.rank - 1];
    ck_assert_int_gt(classes, 0);
    mc_ck_ok(mc_graph_symbol(g, "labels", &t.dim[0]));
    mc_ck_ok(mc_graph_add_input(g, "labels", &t, &labels));
    if (logits->type.rank == 3) logits = mc_test_op(g, "Reshape", 2, logits, mc_test_i64s(g, 2, (int64_t)-1, classes));
    mc_value *loss = mc_test_op(g, "SoftmaxCrossEntropyLoss", 2, logits, labels);
    for (int64_t i = 0; i < g->n_outputs; i++) g->outputs[i]->flags &= ~(uint32_t)MC_VALUE_OUTPUT;
    g->n_outputs = 0;
    mc_ck_ok(mc_graph_add_output(g, loss));
    mc_ck_ok(mc_graph_remove_dead(g, NULL));
    return loss;
}

static model open_model(const mc_graph *built, int32_t dtype)
{
    model m = {0};
    mc_ck_ok(mc_graph_clone(&m.g, built));
    m.loss = add_loss(m.g);
    retype(m.g, dtype, 5);
    mc_ck_ok(mc_infer_graph(m.g));
    for (int64_t i = 0; i < m.g->n_values; i++) {
        mc_value *v = m.g->values[i];
        if (v->dead || !v->init || v->type.dtype != dtype || v->type.rank == 0 || is_moment(v)) continue;
        ck_assert(m.n_wrt < N_WRT);
        m.wrt[m.n_wrt++] = v;
    }
    return m;
}

static void differentiate(model *m)
{
    int64_t n = 0;
    mc_ck_ok(mc_gradient(m->g, m->loss, m->n_wrt, m->wrt, m->grads));
    for (int64_t i = 0; i < m->n_wrt; i++) {
        if (!m->grads[i]) continue;
        m->wrt[n] = m->wrt[i];
        m->grads[n] = m->grads[i];
        mc_ck_ok(mc_graph_add_output(m->g, m->grads[n++]));
    }
    m->n_wrt = n;
    ck_assert_int_gt(n, 5);
    mc_ck_ok(mc_graph_sort(m->g));
}

static mc_test_set feed(const model *m, int64_t classes)
{
    static const int64_t dims[] = {4, 10};
    mc_test_set in = {.n = m->g->n_inputs};
    uint64_t state = 77;
    int64_t labels = 4;
    for (int64_t i = 0; i < in.n; i++) {
        const mc_value *v = m->g->inputs[i];
        mc_shape s = {.rank = v->type.rank};
        for (int32_t k = 0; k < s.rank; k++) s.dim[k] = v->type.dim[k] >= 0 ? v->type.dim[k] : dims[k];
        if (i == in.n - 1) s.dim[0] = labels;
        mc_ck_ok(mc_tensor_create(&in.t[i], v->type.dtype, &s));
        for (int64_t k = 0; k < mc_tensor_elements(in.t[i]); k++) {
            const double u = (double)mc_test_random(&state);
            if (v->type.dtype != MCOMP_I64) mc_tensor_set_f64(in.t[i], k, u);
            else if (strcmp(v->name, "attention_mask") == 0) mc_tensor_set_i64(in.t[i], k, k % 10 < 7); /* padded texts */
            else mc_tensor_set_i64(in.t[i], k, (int64_t)((u + 1.0) / 2.0 * (double)(i == in.n - 1 ? classes : 49)));
        }
        if (strstr(m->g->outputs[0]->producer->in[0]->name, "logits") == NULL && i == 0) labels = 40; /* one label a token */
    }
    return in;
}

static double loss_at(const mc_graph *g, const mc_test_set *in)
{
    mc_test_set out = mc_test_interp(g, in);
    const double v = mc_tensor_get_f64(out.t[0], 0);
    mc_test_set_free(&out);
    return v;
}

/* Moves every parameter by h times its direction (drawn from seed); returns the gradient along it. */
static double move(const model *m, const mc_test_set *out, double h, uint64_t seed)
{
    double along = 0.0;
    uint64_t state = seed;
    for (int64_t i = 0; i < m->n_wrt; i++)
        for (int64_t k = 0; k < mc_tensor_elements(m->wrt[i]->init); k++) {
            const double u = (double)mc_test_random(&state);
            mc_tensor_set_f64(m->wrt[i]->init, k, mc_tensor_get_f64(m->wrt[i]->init, k) + h * u);
            along += u * mc_tensor_get_f64(out->t[1 + i], k);
        }
    return along;
}

static void check_directions(const model *m, const mc_graph *plain, const mc_test_set *in, const mc_test_set *out, const char *spec)
{
    for (uint64_t seed = 1; seed < 6; seed++) {
        const double h = 1e-6, along = move(m, out, h, seed), up = loss_at(plain, in);
        (void)move(m, out, -2.0 * h, seed);
        const double down = loss_at(plain, in), want = (up - down) / (2.0 * h);
        (void)move(m, out, h, seed);
        ck_assert_msg(fabs(along - want) <= 1e-7 * fmax(1.0, fabs(want)), "%s, direction %d: %.12g, differences give %.12g", spec, (int)seed,
                      along, want);
    }
}

/* Largest difference of a gradient from its double, in units of that gradient's largest element. */
static double check_session(const mc_graph *built, const mc_test_set *want, int64_t classes, const char *spec)
{
    model m = open_model(built, MCOMP_F32);
    double worst = 0.0;
    differentiate(&m);
    mc_test_set in = feed(&m, classes), got = mc_test_session(m.g, &in, NULL);
    ck_assert_int_eq(got.n, want->n);
    for (int64_t t = 0; t < got.n; t++) {
        double size = 0.0, miss = 0.0;
        for (int64_t k = 0; k < mc_tensor_elements(want->t[t]); k++) {
            size = fmax(size, fabs(mc_tensor_get_f64(want->t[t], k)));
            miss = fmax(miss, fabs(mc_tensor_get_f64(want->t[t], k) - mc_tensor_get_f64(got.t[t], k)));
        }
        /* what is 0 in exact arithmetic (a key's bias under Softmax, a bias in front of a norm) is rounding */
        ck_assert_msg(miss <= 2e-5 * size + 2e-7, "%s: gradient of %s is off by %g of %g", spec, t ? m.wrt[t - 1]->name : "the loss", miss, size);
        if (size > 1e-4) worst = fmax(worst, miss / size);
    }
    mc_test_set_free(&in);
    mc_test_set_free(&got);
    mc_graph_destroy(m.g);
    return worst;
}

START_TEST(whole_model)
{
    mcomp_context *ctx;
    mcomp_graph *built;
    mcomp_build_options o;
    mc_graph *plain;
    mc_ck_ok(mcomp_context_create(&ctx, NULL));
    mc_ck_ok(mcomp_build_options_init(&o, sizeof o));
    o.classes = 3;
    o.vocab = 50;
    o.length = 24;
    o.seed = 9;
    o.image[0] = 1;
    o.image[1] = o.image[2] = 12;
    mc_ck_ok(mcomp_graph_build(&built, ctx, specs[_i], &o));
    const mc_type *logits = &built->g->outputs[0]->type;
    const int64_t classes = logits->dim[logits->rank - 1];
    model m = open_model(built->g, MCOMP_F64);
    mc_ck_ok(mc_graph_clone(&plain, m.g)); /* shares the weights */
    mc_ck_ok(mc_graph_sort(plain));
    differentiate(&m);
    mc_test_set in = feed(&m, classes), out = mc_test_interp(m.g, &in);
    check_directions(&m, plain, &in, &out, specs[_i]);
    const double worst = check_session(built->g, &out, classes, specs[_i]);
    printf("# %s: %d gradients, a session's within %.2g\n", specs[_i], (int)m.n_wrt, worst);
    mc_test_set_free(&in);
    mc_test_set_free(&out);
    mc_graph_destroy(plain);
    mc_graph_destroy(m.g);
    mcomp_graph_destroy(built);
    mcomp_context_destroy(ctx);
}
END_TEST

int main(void)
{
    mc_ops_register();
    Suite *s = suite_create("train/gradients");
    TCase *tc = tcase_create("gradients");
    tcase_set_timeout(tc, 120);
    tcase_add_loop_test(tc, whole_model, 0, (int)(sizeof specs / sizeof *specs));
    suite_add_tcase(s, tc);
    return mc_test_main(s);
}
