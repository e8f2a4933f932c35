/* The training form of a quantized graph: it computes what the file computes, and its gradients are those of the formulas. */
#include "unit/quant/qat.h"

/* Masters and steps moved at random: the file that comes out computes the bits that the training form computes, by the reference; by
 * integer kernels up to a step at rounding ties. */
START_TEST(file_computes_the_training_form)
{
    const int conv = _i / 2, learn = _i % 2;
    const mcomp_graph *g = conv ? cnn : mlp;
    mcomp_graph *file = pairs(g, conv ? images : data);
    mc_qat q = {.file = file->g, .real = g->g};
    mc_graph *out = NULL;
    uint64_t seed = 77;
    mc_ck_ok(mc_qat_open(&q, learn));
    ck_assert_int_eq(q.n_weights, conv ? 4 : 3);
    for (int64_t i = 0; i < q.n_marks; i++) {
        if (!q.marks[i].trained) continue;
        mc_tensor *p = NULL, **at = &mc_graph_find_value(q.g, q.marks[i].name)->init;
        const int step = strstr(q.marks[i].name, "#step") != NULL;
        mc_ck_ok(mc_tensor_copy(&p, *at));
        for (int64_t k = 0; k < mc_tensor_elements(p); k++) {
            float *v = (float *)p->data + k;
            *v = step ? *v * (1.0f + 0.3f * mc_test_random(&seed)) : *v * 1.2f + 0.05f * mc_test_random(&seed);
        }
        mc_tensor_destroy(*at);
        *at = p;
    }
    mc_ck_ok(mc_qat_export(&out, &q, q.g));
    mc_test_set in = inputs_of(out), a = mc_test_interp(q.g, &in), b = mc_test_interp(out, &in);
    mc_test_same_outputs(q.g, &a, out, &b, 0.0, 0.0);
    same_classes(q.g, out, 0.02);
    for (int64_t i = 0; i < out->n_values; i++) {
        const mc_tensor *w = out->values[i]->dead ? NULL : out->values[i]->init;
        for (int64_t k = 0; w && w->dtype == MCOMP_I8 && k < mc_tensor_elements(w); k++) ck_assert_int_ge(((const int8_t *)w->data)[k], -127);
    }
    mc_test_set_free(&in);
    mc_test_set_free(&a);
    mc_test_set_free(&b);
    mc_graph_destroy(out);
    mc_qat_close(&q);
    mcomp_graph_destroy(file);
}
END_TEST

/* Untrained: nothing is lost against the calibrated file (biases were rounded in double there, in float here: a step at most). */
START_TEST(untrained_is_the_calibrated_file)
{
    mcomp_graph *file = pairs(cnn, images);
    mc_qat q = {.file = file->g, .real = _i ? cnn->g : NULL};
    mc_graph *out = NULL;
    mc_ck_ok(mc_qat_open(&q, 1));
    mc_ck_ok(mc_qat_export(&out, &q, q.g));
    for (int64_t i = 0; i < out->n_values; i++) {
        const mc_value *a = file->g->values[i], *b = out->values[i];
        if (a->dead || !a->init) continue;
        ck_assert(a->init->dtype == b->init->dtype && mc_shape_equal(&a->init->shape, &b->init->shape));
        for (int64_t k = 0; k < mc_tensor_elements(a->init); k++) {
            const double x = mc_tensor_get_f64(a->init, k), y = mc_tensor_get_f64(b->init, k);
            ck_assert_msg(a->init->dtype == MCOMP_I32 ? fabs(x - y) <= 1.0 : x == y, "%s[%lld] is %g, was %g", a->name, (long long)k, y, x);
        }
    }
    mc_graph_destroy(out);
    mc_qat_close(&q);
    mcomp_graph_destroy(file);
}
END_TEST

/* Gradients of one layer y = Q(x) Q(w), loss = sum of y u, against the formulas in double: dW = dL/dWq in range and 0 outside; LSQ's
 * dL/ds with its factor, for each channel of the weight and for the activation. */
START_TEST(gradients_by_hand)
{
    enum { N = 6, K = 5, M = 3 };
    mcomp_graph *m = NULL;
    mc_ck_ok(mcomp_graph_create(&m, ctx, "one", 17));
    mc_ck_ok(mcomp_graph_add_input(m, "x", MCOMP_F32, 2, (const int64_t[]){N, K}, NULL));
    net_weight(m, "w", 2, (const int64_t[]){K, M}, 9, 1.0f, 0.0f);
    net_node(m, "MatMul", "fc", "x", "w", NULL, "y");
    mc_ck_ok(mcomp_graph_add_output(m, "y"));
    mc_ck_ok(mcomp_graph_finish(m));
    mc_test_set in = mc_test_inputs(m->g, 3, 1, NULL, 0);
    mcomp_calibrator *c = NULL;
    mcomp_quantizer *q = quantizer("int8", "minmax");
    mcomp_graph *file = NULL;
    mc_ck_ok(mcomp_calibrator_create(&c, ctx, m));
    mc_ck_ok(mcomp_calibrator_feed(c, 1, (const mcomp_tensor *const[]){(const mcomp_tensor *)in.t[0]}, -1));
    mc_ck_ok(mcomp_quantizer_apply(&file, q, m, c, NULL));
    mc_qat a = {.file = file->g, .real = m->g};
    mc_ck_ok(mc_qat_open(&a, 1));
    ck_assert_int_eq(a.n_steps, 2);
    /* what lies outside: weights and inputs grow; what lies on an end: one weight exactly there */
    float *w = mc_graph_find_value(a.g, "w")->init->data, *x = in.t[0]->data;
    const float *s0 = init_of(file->g, "w_scale")->data;
    const float sx0 = ((const float *)init_of(file->g, "x_scale")->data)[0];
    const int z = ((const uint8_t *)init_of(file->g, "x_zero_point")->data)[0];
    for (int i = 0; i < K * M; i++) w[i] *= i % 4 == 0 ? 1.7f : 0.9f;
    w[M] = -127.0f * s0[0];
    for (int i = 0; i < N * K; i++) x[i] *= i % 3 == 0 ? 1.6f : 0.8f;
    mc_value *wrt[3] = {mc_graph_find_value(a.g, "w"), mc_graph_find_value(a.g, "w_scale#step"), mc_graph_find_value(a.g, "x_scale#step")}, *grads[3];
    mc_value *u = mc_test_random_const(a.g, 4, 1.0f, 2, (const int64_t[]){N, M});
    mc_value *loss = mc_test_op(a.g, "ReduceSum", 1, mc_test_op(a.g, "Mul", 2, a.g->outputs[0], u));
    mc_ck_ok(mc_node_set_i(loss->producer, "keepdims", 0));
    mc_ck_ok(mc_infer_graph(a.g));
    mc_ck_ok(mc_gradient(a.g, loss, 3, wrt, grads));
    for (int i = 0; i < 3; i++) mc_ck_ok(mc_graph_add_output(a.g, grads[i]));
    mc_ck_ok(mc_graph_sort(a.g));
    mc_test_set got = mc_test_interp(a.g, &in);
    const float *uu = u->init->data;
    double xq[N * K], wq[K * M], dx[N * K] = {0}, dw[K * M] = {0}, ds[M] = {0}, dsx = 0.0;
    int outside = 0;
    for (int i = 0; i < N * K; i++) xq[i] = (fmin(fmax((double)rintf(x[i] / sx0) + z, 0.0), 255.0) - z) * (double)sx0;
    for (int i = 0; i < K * M; i++) wq[i] = fmin(fmax((double)rintf(w[i] / s0[i % M]), -127.0), 127.0) * (double)s0[i % M];
    for (int n = 0; n < N; n++)
        for (int k = 0; k < K; k++)
            for (int j = 0; j < M; j++) {
                dx[n * K + k] += (double)uu[n * M + j] * wq[k * M + j];
                dw[k * M + j] += (double)uu[n * M + j] * xq[n * K + k];
            }
    for (int i = 0; i < K * M; i++) {
        const double s = (double)s0[i % M], v = (double)rintf(w[i] / s0[i % M]);
        const int in_range = fabs(v) <= 127.0;
        outside += !in_range;
        ds[i % M] += dw[i] * (in_range ? v - (double)w[i] / s : v < 0.0 ? -127.0 : 127.0);
        ck_assert_double_eq_tol((double)((const float *)got.t[1]->data)[i], in_range ? dw[i] : 0.0, 1e-5);
    }
    for (int i = 0; i < N * K; i++) {
        const double v = (double)rintf(x[i] / sx0);
        dsx += dx[i] * (v + z < 0.0 ? -z : v + z > 255.0 ? 255.0 - z : v - (double)x[i] / (double)sx0);
    }
    ck_assert(outside > 1 && outside < K * M - 1);
    for (int j = 0; j < M; j++) {
        const double s = (double)s0[j], want = ds[j] * s / sqrt(K * 127.0) / (s * s);
        ck_assert_msg(fabs((double)((const float *)got.t[2]->data)[j] - want) <= 1e-4 * fabs(want) + 1e-4, "step of channel %d: %g, not %g", j, (double)((const float *)got.t[2]->data)[j], want);
    }
    const double want = dsx / sqrt(K * 255.0) / (double)sx0, is = (double)((const float *)got.t[3]->data)[0];
    ck_assert_msg(fabs(is - want) <= 1e-4 * fabs(want) + 1e-4, "step of the input: %g, not %g", is, want);
    mc_test_set_free(&got);
    mc_test_set_free(&in);
    mc_qat_close(&a);
    mcomp_graph_destroy(file);
    mcomp_graph_destroy(m);
    mcomp_calibrator_destroy(c);
    mcomp_quantizer_destroy(q);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("quant/qat_graph");
    TCase *c = tcase_create("all");
    tcase_add_checked_fixture(c, open_models, close_models);
    tcase_add_loop_test(c, file_computes_the_training_form, 0, 4);
    tcase_add_loop_test(c, untrained_is_the_calibrated_file, 0, 2);
    tcase_add_test(c, gradients_by_hand);
    suite_add_tcase(s, c);
    return mc_test_main(s);
}
