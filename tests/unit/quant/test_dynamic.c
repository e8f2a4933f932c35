/* Dynamic INT8: the chains have the documented form, share what they can, and compute what mcomp.QLinear computes. */
#include "build.h"

#include <math.h>

#include "quant/plan.h"

static void quantize(mc_graph *g, int32_t kind)
{
    mc_qplan *p;
    mc_ck_ok(mc_qplan_create(&p, g));
    mc_q_candidates(p);
    for (int64_t i = 0; i < p->n_nodes; i++)
        if (p->node[i].candidate) p->node[i].kind = kind;
    mc_ck_ok(mc_qplan_apply(p));
    mc_qplan_destroy(p);
}

/* x -> MatMul(w1) + b1, MatMul(w2); outputs their sum. */
static mc_graph *two_products(int32_t rank, const int64_t *dims, int64_t k, int64_t n)
{
    mc_graph *g = tb_graph();
    mc_value *x = tb_input(g, "x", rank, dims);
    mc_value *w1 = tb_const(g, "w1", 2, (int64_t[]){k, n}, NULL), *w2 = tb_const(g, "w2", 2, (int64_t[]){k, n}, NULL);
    mc_value *b1 = tb_const(g, "b1", 1, &n, NULL);
    mc_node *a = tb_node(g, "MatMul", "first", 2, x, w1, NULL), *b = tb_node(g, "MatMul", "second", 2, x, w2, NULL);
    mc_node *c = tb_node(g, "Add", "bias", 2, a->out[0], b1, NULL);
    mc_node *d = tb_node(g, "Add", "sum", 2, c->out[0], b->out[0], NULL);
    tb_finish(g, d->out[0]);
    return g;
}

START_TEST(token_chain_has_the_documented_form)
{
    mc_graph *g = two_products(3, (int64_t[]){2, -1, 24}, 24, 10);
    quantize(g, MC_QK_TOKEN);
    ck_assert_int_eq(tb_count(g, "MatMul"), 0);
    ck_assert_int_eq(tb_count(g, "MatMulInteger"), 2);
    ck_assert_int_eq(tb_count(g, "QuantizeLinear"), 1); /* shared by both products */
    ck_assert_int_eq(tb_count(g, "Abs"), 1);
    ck_assert_int_eq(tb_count(g, "ReduceMax"), 1);
    ck_assert_int_eq(tb_count(g, "Max"), 1);
    ck_assert_int_eq(tb_count(g, "Div"), 1);
    ck_assert_int_eq(tb_count(g, "ConstantOfShape"), 1);
    ck_assert_int_eq(tb_count(g, "Reshape"), 3);
    ck_assert_int_eq(tb_count(g, "Cast"), 2);
    ck_assert_int_eq(tb_count(g, "Mul"), 4);
    ck_assert_int_eq(tb_count(g, "Add"), 2);
    const mc_node *first = mc_graph_find_node(g, "first"); /* the old name lives on as an alias */
    ck_assert(first && strcmp(first->op, "Mul") == 0);
    mc_graph_destroy(g);
    g = two_products(2, (int64_t[]){-1, 24}, 24, 10);
    quantize(g, MC_QK_TOKEN);
    ck_assert_int_eq(tb_count(g, "Reshape"), 1); /* rank 2: only the row scales */
    mc_graph_destroy(g);
}
END_TEST

/* The reference: mcomp.QLinear with mode = token on the same integers. */
static mc_tensor *qlinear(const mc_tensor *x, const mc_tensor *w, int32_t transposed, const mc_tensor *b)
{
    mc_graph *g = tb_graph();
    mc_qweight q;
    mc_value *in[4] = {tb_input(g, "x", x->shape.rank, x->shape.dim)};
    mc_tensor *y, *copy;
    mc_node *n;
    mc_ck_ok(mc_qweight_make(&q, w, transposed ? 0 : 1, NULL, 1.0, transposed));
    mc_ck_ok(mc_graph_add_const(g, "w", q.q, &in[1]));
    mc_ck_ok(mc_graph_add_const(g, "s", q.scale, &in[2]));
    if (b) {
        mc_ck_ok(mc_tensor_copy(&copy, b));
        mc_ck_ok(mc_graph_add_const(g, "b", copy, &in[3]));
    }
    mc_ck_ok(mc_graph_add_node(g, "mcomp", "QLinear", 0, "q", b ? 4 : 3, in, 1, NULL, &n));
    mc_ck_ok(mc_node_set_s(n, "mode", "token"));
    const mc_tensor *args[4] = {x, in[1]->init, in[2]->init, b ? in[3]->init : NULL};
    mc_ck_ok(mc_op_eval(n, b ? 4 : 3, args, &y));
    mc_graph_destroy(g);
    return y;
}

START_TEST(token_chain_equals_qlinear)
{
    const int64_t dims[] = {2, 5, 24};
    mc_graph *g = tb_graph();
    mc_value *x = tb_input(g, "x", 3, dims), *w = tb_const(g, "w", 2, (int64_t[]){24, 10}, NULL);
    mc_value *b = tb_const(g, "b", 1, (int64_t[]){10}, NULL);
    mc_node *m = tb_node(g, "MatMul", "m", 2, x, w, NULL);
    tb_finish(g, tb_node(g, "Add", "a", 2, m->out[0], b, NULL)->out[0]);
    mc_tensor *t = tb_tensor(3, dims, 5, 3.0f);
    memset((float *)t->data + 2 * 24, 0, 24 * sizeof(float)); /* a row of zeros */
    ((float *)t->data)[24] = 1000.0f;                          /* one outlier in its own row only */
    mc_tensor *want = qlinear(t, w->init, 0, b->init);
    quantize(g, MC_QK_TOKEN);
    mc_tensor **v = tb_run(g, t);
    const mc_tensor *got = v[g->outputs[0]->id];
    mc_ck_close_f32(got->data, want->data, mc_tensor_elements(want), 2e-7, 1e-6);
    tb_run_free(g, v);
    mc_tensor_destroy(t);
    mc_tensor_destroy(want);
    mc_graph_destroy(g);
}
END_TEST

START_TEST(gemm_with_everything)
{
    for (int trans = 0; trans < 2; trans++)
        for (int32_t kind = MC_QK_TOKEN; kind <= MC_QK_TENSOR; kind++) {
            const int64_t dims[] = {7, 16};
            mc_graph *g = tb_graph();
            mc_value *x = tb_input(g, "x", 2, dims);
            mc_value *w = tb_const(g, "w", 2, trans ? (int64_t[]){9, 16} : (int64_t[]){16, 9}, NULL);
            mc_node *n = tb_node(g, "Gemm", "gemm", 3, x, w, tb_const(g, "c", 1, (int64_t[]){9}, NULL));
            mc_ck_ok(mc_node_set_i(n, "transB", trans));
            mc_ck_ok(mc_node_set_f(n, "alpha", 0.5f));
            mc_ck_ok(mc_node_set_f(n, "beta", -2.0f));
            tb_finish(g, n->out[0]);
            mc_tensor *t = tb_tensor(2, dims, 3, 2.0f);
            mc_tensor **a = tb_run(g, t);
            mc_tensor *want;
            mc_ck_ok(mc_tensor_copy(&want, a[g->outputs[0]->id]));
            tb_run_free(g, a);
            quantize(g, kind);
            ck_assert_int_eq(tb_count(g, "Gemm"), 0);
            a = tb_run(g, t);
            ck_assert_msg(tb_error(want, a[g->outputs[0]->id]) < 2e-4, "%g", tb_error(want, a[g->outputs[0]->id]));
            tb_run_free(g, a);
            mc_tensor_destroy(t);
            mc_tensor_destroy(want);
            mc_graph_destroy(g);
        }
}
END_TEST

START_TEST(tensor_chain)
{
    const int64_t dims[] = {2, 5, 24};
    mc_graph *g = two_products(3, dims, 24, 10);
    mc_tensor *t = tb_tensor(3, dims, 8, 2.0f);
    mc_tensor **a = tb_run(g, t), *want;
    mc_ck_ok(mc_tensor_copy(&want, a[g->outputs[0]->id]));
    tb_run_free(g, a);
    quantize(g, MC_QK_TENSOR);
    ck_assert_int_eq(tb_count(g, "DynamicQuantizeLinear"), 1);
    ck_assert_int_eq(tb_count(g, "MatMulInteger"), 2);
    a = tb_run(g, t);
    ck_assert(tb_error(want, a[g->outputs[0]->id]) < 2e-4);
    tb_run_free(g, a);
    mc_tensor_destroy(t);
    mc_tensor_destroy(want);
    mc_graph_destroy(g);
}
END_TEST

START_TEST(what_stays_float)
{
    mc_graph *g = tb_graph();
    mc_value *x = tb_input(g, "x", 3, (int64_t[]){2, 4, 4});
    mc_node *both = tb_node(g, "MatMul", "both", 2, x, x, NULL); /* two activations */
    mc_value *w3 = tb_const(g, "w3", 3, (int64_t[]){2, 4, 4}, NULL);
    mc_node *batched = tb_node(g, "MatMul", "batched", 2, both->out[0], w3, NULL);
    tb_finish(g, batched->out[0]);
    ck_assert(strstr(mc_q_not_weighted(both), "computed") != NULL);
    ck_assert(strstr(mc_q_not_weighted(batched), "matrix") != NULL);
    const int64_t before = g->n_order;
    quantize(g, MC_QK_TOKEN);
    ck_assert_int_eq(g->n_order, before);
    mc_graph_destroy(g);
}
END_TEST

START_TEST(weights)
{
    const float w[] = {1.0f, 0.0f, -2.0f, 0.5f, 0.0f, 254.0f}; /* [2,3], channels on axis 1: amax 1, 0, 254 */
    const mc_shape s = {.rank = 2, .dim = {2, 3}};
    mc_tensor t = {.dtype = MCOMP_F32, .shape = s, .data = (void *)(uintptr_t)w};
    mc_qweight q;
    mc_ck_ok(mc_qweight_make(&q, &t, 1, NULL, 1.0, 0));
    const int8_t *b = q.q->data;
    const float *sc = q.scale->data;
    ck_assert(b[0] == 127 && b[1] == 0 && b[2] == -1 && b[3] == 64 && b[5] == 127);
    ck_assert(sc[0] == 1.0f / 127.0f && sc[1] == 1.0f && sc[2] == 2.0f && q.flat == 1);
    mc_qweight_free(&q);
    mc_ck_ok(mc_qweight_make(&q, &t, 1, NULL, 1.0, 1));
    ck_assert(q.q->shape.dim[0] == 3 && q.q->shape.dim[1] == 2 && ((int8_t *)q.q->data)[1] == 64);
    mc_qweight_free(&q);
    ck_assert(mc_qweight_error(&t, 1) < 1e-4);
}
END_TEST

START_TEST(embedding_tables)
{
    for (int spiky = 0; spiky < 2; spiky++) {
        mc_graph *g = tb_graph();
        const mc_type type = {.dtype = MCOMP_I64, .rank = 2, .dim = {1, 5}};
        const mc_shape shape = {.rank = 2, .dim = {1, 5}};
        mc_value *ids, *table = tb_const(g, "table", 2, (int64_t[]){4096, 16}, NULL);
        mc_tensor *t;
        mc_qplan *p;
        mc_ck_ok(mc_graph_add_input(g, "ids", &type, &ids));
        if (spiky) ((float *)table->init->data)[16] = 1000.0f; /* one row spoils its column */
        mc_node *e = tb_node(g, "Gather", "embed", 2, table, ids, NULL);
        tb_finish(g, tb_node(g, "Relu", "r", 1, e->out[0], NULL, NULL)->out[0]);
        mc_ck_ok(mc_tensor_create(&t, MCOMP_I64, &shape));
        for (int i = 0; i < 5; i++) ((int64_t *)t->data)[i] = 700 * i + 3;
        mc_tensor **v = tb_run(g, t), *want;
        mc_ck_ok(mc_tensor_copy(&want, v[g->outputs[0]->id]));
        tb_run_free(g, v);
        mc_ck_ok(mc_qplan_create(&p, g));
        mc_q_candidates(p);
        mc_q_tables(p);
        ck_assert_int_eq(p->node[e->id].kind, spiky ? MC_QK_FLOAT : MC_QK_TABLE);
        mc_ck_ok(mc_qplan_apply(p));
        ck_assert_int_eq(tb_count(g, "DequantizeLinear"), !spiky);
        v = tb_run(g, t);
        ck_assert(tb_error(want, v[g->outputs[0]->id]) < 1e-4);
        tb_run_free(g, v);
        mc_tensor_destroy(want);
        mc_tensor_destroy(t);
        mc_qplan_destroy(p);
        mc_graph_destroy(g);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("quant/dynamic");
    TCase *t = tcase_create("dynamic");
    tcase_add_test(t, token_chain_has_the_documented_form);
    tcase_add_test(t, token_chain_equals_qlinear);
    tcase_add_test(t, gemm_with_everything);
    tcase_add_test(t, tensor_chain);
    tcase_add_test(t, what_stays_float);
    tcase_add_test(t, weights);
    tcase_add_test(t, embedding_tables);
    suite_add_tcase(s, t);
    return mc_test_main(s);
}
