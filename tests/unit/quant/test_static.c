/* Static INT8: where the pairs stand, what they share, weights, biases and their guard; and that it computes. */
#include "build.h"

#include <math.h>

#include "quant/calibrator.h"
#include "quant/plan.h"

/* A calibrator filled by the interpreter: every float value of g on one tensor. */
static mcomp_calibrator *calibrate(const mc_graph *g, const mc_tensor *x)
{
    mcomp_calibrator *c;
    mc_tensor **v = tb_run(g, x);
    int64_t at;
    mc_ck_ok(mc_calib_new(&c, NULL));
    for (int64_t i = 0; i < g->n_values; i++) {
        if (!v[i] || v[i]->dtype != MCOMP_F32) continue;
        mc_ck_ok(mc_calib_tensor_add(c, g->values[i]->name, -1, 0, &at));
        ck_assert_int_eq(mc_sketch_add(&c->tensor[at].total, v[i]->data, 1, 0, mc_tensor_elements(v[i])), 0);
    }
    c->samples = 1;
    tb_run_free(g, v);
    return c;
}

/* Quantizes in place; error of output 0 against the float result on x. */
static double quantize(mc_graph *g, const mc_tensor *x, int32_t qdq, const char *keep)
{
    mcomp_calibrator *c = calibrate(g, x);
    mc_tensor **v = tb_run(g, x), *want;
    mc_qplan *p;
    mc_ck_ok(mc_tensor_copy(&want, v[g->outputs[0]->id]));
    tb_run_free(g, v);
    mc_ck_ok(mc_qplan_create(&p, g));
    p->calibrator = c;
    p->qdq = qdq;
    p->range = "minmax";
    mc_q_candidates(p);
    for (int64_t i = 0; i < p->n_nodes; i++) {
        if (keep && strcmp(g->nodes[i]->name, keep) == 0) p->node[i].ruled = 1;
        else if (p->node[i].candidate) p->node[i].kind = MC_QK_STATIC;
    }
    mc_ck_ok(mc_qplan_apply(p));
    mc_qplan_destroy(p);
    mcomp_calibrator_destroy(c);
    v = tb_run(g, x);
    const double e = tb_error(want, v[g->outputs[0]->id]);
    tb_run_free(g, v);
    mc_tensor_destroy(want);
    return e;
}

static mc_node *conv(mc_graph *g, const char *name, mc_value *x, int64_t in, int64_t out)
{
    char w[32], b[32];
    strcpy(w, name);
    strcat(w, ".w");
    strcpy(b, name);
    strcat(b, ".b");
    mc_node *n = tb_node(g, "Conv", name, 3, x, tb_const(g, w, 4, (int64_t[]){out, in, 3, 3}, NULL), tb_const(g, b, 1, &out, NULL));
    mc_ck_ok(mc_node_set_ints(n, "pads", (int64_t[]){1, 1, 1, 1}, 4));
    mc_ck_ok(mc_node_set_ints(n, "kernel_shape", (int64_t[]){3, 3}, 2));
    return n;
}

/* x -> conv1 -> Relu -> (conv2 + skip) -> Relu -> MaxPool -> conv3 -> GlobalAveragePool -> Flatten -> Gemm */
static mc_graph *residual(void)
{
    mc_graph *g = tb_graph();
    mc_value *x = tb_input(g, "x", 4, (int64_t[]){1, 3, 8, 8});
    mc_node *r1 = tb_node(g, "Relu", "relu1", 1, conv(g, "conv1", x, 3, 4)->out[0], NULL, NULL);
    mc_node *c2 = conv(g, "conv2", r1->out[0], 4, 4);
    mc_node *add = tb_node(g, "Add", "add", 2, c2->out[0], r1->out[0], NULL);
    mc_node *r2 = tb_node(g, "Relu", "relu2", 1, add->out[0], NULL, NULL);
    mc_node *pool = tb_node(g, "MaxPool", "pool", 1, r2->out[0], NULL, NULL);
    mc_ck_ok(mc_node_set_ints(pool, "kernel_shape", (int64_t[]){2, 2}, 2));
    mc_ck_ok(mc_node_set_ints(pool, "strides", (int64_t[]){2, 2}, 2));
    mc_node *gap = tb_node(g, "GlobalAveragePool", "gap", 1, conv(g, "conv3", pool->out[0], 4, 6)->out[0], NULL, NULL);
    mc_node *flat = tb_node(g, "Flatten", "flat", 1, gap->out[0], NULL, NULL);
    mc_node *fc = tb_node(g, "Gemm", "fc", 3, flat->out[0], tb_const(g, "fc.w", 2, (int64_t[]){5, 6}, NULL),
                          tb_const(g, "fc.b", 1, (int64_t[]){5}, NULL));
    mc_ck_ok(mc_node_set_i(fc, "transB", 1));
    tb_finish(g, fc->out[0]);
    return g;
}

/* The QuantizeLinear that makes what n reads at input i, through its DequantizeLinear; NULL: that input is float. */
static const mc_node *pair_before(const mc_node *n, int32_t i)
{
    const mc_node *d = n->in[i] ? n->in[i]->producer : NULL;
    if (!d || strcmp(d->op, "DequantizeLinear") != 0) return NULL;
    const mc_node *q = d->in[0]->producer;
    if (q) ck_assert(q->in[1] == d->in[1] && q->in[2] == d->in[2]);
    return q;
}

static const mc_node *node(const mc_graph *g, const char *name)
{
    const mc_node *n = mc_graph_find_node(g, name);
    ck_assert_msg(n != NULL, "no node %s", name);
    return n;
}

static double scalar(const mc_value *v)
{
    double d = NAN;
    ck_assert(mc_value_scalar(v, &d));
    return d;
}

START_TEST(pairs_in_a_residual_network)
{
    mc_graph *g = residual();
    mc_tensor *x = tb_tensor(4, (int64_t[]){1, 3, 8, 8}, 3, 2.0f);
    const double e = quantize(g, x, MCOMP_QDQ_ORT, NULL);
    ck_assert_msg(e < 2e-3, "error %g", e);
    /* x, relu1, conv2's output, relu2, maxpool's output, gap's input and output, flatten's output */
    ck_assert_int_eq(tb_count(g, "QuantizeLinear"), 8);
    ck_assert_int_eq(tb_count(g, "DequantizeLinear"), 8 + 4 + 4);
    ck_assert(pair_before(node(g, "add"), 0) != NULL);
    const mc_node *skip = pair_before(node(g, "add"), 1);
    ck_assert(skip && skip == pair_before(node(g, "conv2"), 0)); /* one pair a tensor */
    ck_assert(skip->in[0] == node(g, "relu1")->out[0]);          /* behind the activation */
    /* MaxPool: one grid on both sides */
    const mc_node *before = pair_before(node(g, "pool"), 0), *after = pair_before(node(g, "conv3"), 0);
    ck_assert(before && after && scalar(before->in[1]) == scalar(after->in[1]) && scalar(before->in[2]) == scalar(after->in[2]));
    /* GlobalAveragePool: its own on each side; Flatten: one */
    const mc_node *in = pair_before(node(g, "gap"), 0), *out = pair_before(node(g, "flat"), 0), *fc = pair_before(node(g, "fc"), 0);
    ck_assert(in && out && fc && scalar(in->in[1]) != scalar(out->in[1]) && scalar(out->in[1]) == scalar(fc->in[1]));
    mc_tensor_destroy(x);
    mc_graph_destroy(g);
}
END_TEST

START_TEST(constants_have_the_right_form)
{
    mc_graph *g = residual();
    mc_tensor *x = tb_tensor(4, (int64_t[]){1, 3, 8, 8}, 3, 2.0f);
    quantize(g, x, MCOMP_QDQ_ORT, NULL);
    const mc_node *c = node(g, "conv2"), *w = c->in[1]->producer, *b = c->in[2]->producer;
    ck_assert(w->in[0]->init->dtype == MCOMP_I8 && mc_attr_i(w, "axis", 1) == 0);
    ck_assert(w->in[1]->init->shape.rank == 1 && w->in[1]->init->shape.dim[0] == 4 && w->in[2]->init->dtype == MCOMP_I8);
    ck_assert(b->in[0]->init->dtype == MCOMP_I32 && mc_attr_i(b, "axis", 1) == 0);
    const float sx = (float)scalar(pair_before(c, 0)->in[1]);
    for (int k = 0; k < 4; k++)
        ck_assert(((float *)b->in[1]->init->data)[k] == sx * ((float *)w->in[1]->init->data)[k]);
    ck_assert_int_eq(pair_before(c, 0)->in[2]->init->dtype, MCOMP_U8);
    ck_assert(scalar(pair_before(c, 0)->in[2]) == 0.0);    /* after Relu */
    ck_assert(scalar(pair_before(node(g, "conv1"), 0)->in[2]) > 100.0); /* signed input */
    ck_assert_int_eq(mc_attr_i(node(g, "fc")->in[1]->producer, "axis", 1), 0); /* transB */
    mc_tensor_destroy(x);
    mc_graph_destroy(g);
}
END_TEST

START_TEST(flavours)
{
    mc_tensor *x = tb_tensor(4, (int64_t[]){1, 3, 8, 8}, 3, 2.0f);
    for (int32_t q = MCOMP_QDQ_TENSORRT; q <= MCOMP_QDQ_OPENVINO; q++) {
        mc_graph *g = residual();
        const double e = quantize(g, x, q, NULL);
        ck_assert_msg(e < 5e-3, "error %g", e);
        const mc_node *c = node(g, "conv1");
        ck_assert(c->in[2]->init && c->in[2]->init->dtype == MCOMP_F32);
        ck_assert_int_eq(pair_before(c, 0)->in[2]->init->dtype, q == MCOMP_QDQ_TENSORRT ? MCOMP_I8 : MCOMP_U8);
        ck_assert(pair_before(node(g, "add"), 0) == NULL && pair_before(node(g, "add"), 1) != NULL); /* the residual edge */
        if (q == MCOMP_QDQ_TENSORRT) ck_assert(scalar(pair_before(c, 0)->in[2]) == 0.0);
        mc_graph_destroy(g);
    }
    mc_tensor_destroy(x);
}
END_TEST

START_TEST(kept_float)
{
    mc_graph *g = residual();
    mc_tensor *x = tb_tensor(4, (int64_t[]){1, 3, 8, 8}, 3, 2.0f);
    quantize(g, x, MCOMP_QDQ_TENSORRT, "conv2");
    ck_assert(pair_before(node(g, "conv2"), 0) == NULL && node(g, "conv2")->in[1]->init != NULL);
    ck_assert(pair_before(node(g, "add"), 0) != NULL); /* no integer product to ride on: both sides have a pair */
    mc_tensor_destroy(x);
    mc_graph_destroy(g);
}
END_TEST

START_TEST(concat_shares_one_grid)
{
    mc_graph *g = tb_graph();
    mc_value *x = tb_input(g, "x", 4, (int64_t[]){1, 3, 6, 6});
    mc_node *a = conv(g, "a", x, 3, 4), *b = conv(g, "b", x, 3, 4);
    mc_node *cat = tb_node(g, "Concat", "cat", 2, a->out[0], b->out[0], NULL);
    mc_ck_ok(mc_node_set_i(cat, "axis", 1));
    tb_finish(g, conv(g, "c", cat->out[0], 8, 2)->out[0]);
    mc_tensor *t = tb_tensor(4, (int64_t[]){1, 3, 6, 6}, 4, 1.0f);
    ck_assert(quantize(g, t, MCOMP_QDQ_ORT, NULL) < 2e-3);
    const mc_node *p = pair_before(node(g, "cat"), 0), *q = pair_before(node(g, "cat"), 1), *r = pair_before(node(g, "c"), 0);
    ck_assert(p && q && r);
    ck_assert(scalar(p->in[1]) == scalar(q->in[1]) && scalar(q->in[1]) == scalar(r->in[1]));
    ck_assert(scalar(p->in[2]) == scalar(q->in[2]) && scalar(q->in[2]) == scalar(r->in[2]));
    mc_tensor_destroy(t);
    mc_graph_destroy(g);
}
END_TEST

START_TEST(bias_guard)
{
    /* ONNX Runtime's pull request 22020: s_x = 0.5, s_w = 7.8e-10, b = 5 does not fit int32. */
    const float w[] = {127.0f * 7.8e-10f, 0.5f}, b[] = {5.0f, -1.0f};
    mc_graph *g = tb_graph();
    mc_value *x = tb_input(g, "x", 2, (int64_t[]){2, 1});
    mc_node *n = tb_node(g, "Gemm", "fc", 3, x, tb_const(g, "w", 2, (int64_t[]){1, 2}, w), tb_const(g, "b", 1, (int64_t[]){2}, b));
    tb_finish(g, n->out[0]);
    mc_tensor *t = tb_tensor(2, (int64_t[]){2, 1}, 1, 1.0f);
    ((float *)t->data)[0] = 0.0f;
    ((float *)t->data)[1] = 127.5f; /* 255 steps of 0.5 */
    ck_assert(quantize(g, t, MCOMP_QDQ_ORT, NULL) < 1e-4);
    n = mc_graph_find_node(g, "fc");
    const mc_node *bias = n->in[2]->producer;
    const int32_t *q = bias->in[0]->init->data;
    const float *s = bias->in[1]->init->data, *ws = n->in[1]->producer->in[1]->init->data;
    ck_assert(llabs((long long)q[0]) <= 1100000000ll && q[0] > 0);
    for (int i = 0; i < 2; i++) {
        ck_assert(s[i] == 0.5f * ws[i]);
        ck_assert(fabs((double)q[i] * (double)s[i] - (double)b[i]) < 0.01);
    }
    ck_assert(ws[0] > 7.8e-10f && ws[1] == 0.5f / 127.0f); /* raised where it had to be, and only there */
    mc_tensor_destroy(t);
    mc_graph_destroy(g);
}
END_TEST

START_TEST(constant_input_stays_float)
{
    mc_graph *g = residual();
    mc_tensor *x = tb_tensor(4, (int64_t[]){1, 3, 8, 8}, 3, 0.0f); /* all zero: never varies */
    ck_assert(quantize(g, x, MCOMP_QDQ_ORT, NULL) < 1e-2);
    ck_assert(pair_before(node(g, "conv1"), 0) == NULL);
    mc_tensor_destroy(x);
    mc_graph_destroy(g);
}
END_TEST

START_TEST(attention_and_normalisation_stay_float)
{
    mc_graph *g = tb_graph();
    mc_value *x = tb_input(g, "x", 3, (int64_t[]){1, 4, 8});
    mc_node *q = tb_node(g, "MatMul", "q", 2, x, tb_const(g, "wq", 2, (int64_t[]){8, 8}, NULL), NULL);
    mc_node *k = tb_node(g, "MatMul", "k", 2, x, tb_const(g, "wk", 2, (int64_t[]){8, 4}, NULL), NULL);
    mc_node *s = tb_node(g, "MatMul", "scores", 2, k->out[0], q->out[0], NULL);
    mc_value *mask = tb_input(g, "mask", 3, (int64_t[]){1, 4, 8});
    mc_node *m = tb_node(g, "Add", "masked", 2, s->out[0], mask, NULL);
    mc_node *p = tb_node(g, "Softmax", "p", 1, m->out[0], NULL, NULL);
    mc_node *o = tb_node(g, "MatMul", "o", 2, p->out[0], tb_const(g, "wo", 2, (int64_t[]){8, 8}, NULL), NULL);
    mc_node *r = tb_node(g, "Add", "res", 2, o->out[0], x, NULL);
    tb_finish(g, r->out[0]);
    mc_qplan *plan;
    mc_ck_ok(mc_qplan_create(&plan, g));
    mc_q_candidates(plan);
    for (int64_t i = 0; i < plan->n_nodes; i++)
        if (plan->node[i].candidate) plan->node[i].kind = MC_QK_STATIC;
    mc_ck_ok(mc_q_static_mark(plan));
    int wanted = 0;
    for (int64_t i = 0; i < plan->n_values; i++) wanted += plan->value[i].wanted;
    ck_assert_int_eq(wanted, 2); /* x (for q and k) and the softmax's output (for o) */
    ck_assert(plan->value[x->id].wanted && plan->value[p->out[0]->id].wanted);
    ck_assert(!plan->node[m->id].integer && !plan->node[r->id].integer);
    mc_qplan_destroy(plan);
    mc_graph_destroy(g);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("quant/static");
    TCase *t = tcase_create("static");
    tcase_add_test(t, pairs_in_a_residual_network);
    tcase_add_test(t, constants_have_the_right_form);
    tcase_add_test(t, flavours);
    tcase_add_test(t, kept_float);
    tcase_add_test(t, concat_shares_one_grid);
    tcase_add_test(t, bias_guard);
    tcase_add_test(t, constant_input_stays_float);
    tcase_add_test(t, attention_and_normalisation_stay_float);
    suite_add_tcase(s, t);
    return mc_test_main(s);
}
