/* The lower stage on float graphs: Linear with its epilogues, Attention in the usual spellings, channels-last regions. */
#include <math.h>

#include "compare.h"

static const uint32_t all = MC_STAGE_LOAD | MC_STAGE_SHAPE | MC_STAGE_FUSE | MC_STAGE_LOWER;

static mc_value *rnd(mc_graph *g, uint64_t seed, int64_t n) { return mc_test_random_const(g, seed, 0.5f, 1, &n); }
static mc_value *matrix(mc_graph *g, uint64_t seed, int64_t k, int64_t n) { return mc_test_random_const(g, seed, 0.4f, 2, (int64_t[]){k, n}); }
static mc_value *add(mc_graph *g, mc_value *a, mc_value *b) { return mc_test_op(g, "Add", 2, a, b); }
static mc_value *dense(mc_graph *g, mc_value *x, uint64_t seed, int64_t k, int64_t n) { return add(g, mc_test_op(g, "MatMul", 2, x, matrix(g, seed, k, n)), rnd(g, seed + 1, n)); }
static mc_value *transpose(mc_graph *g, mc_value *x, int32_t rank, const int64_t *perm)
{
    mc_value *y = mc_test_op(g, "Transpose", 1, x);
    mc_ck_ok(mc_node_set_ints(y->producer, "perm", perm, rank));
    return y;
}

START_TEST(linear_takes_what_follows)
{
    mc_graph *g = mc_test_graph();
    int64_t b, s;
    mc_ck_ok(mc_graph_symbol(g, "B", &b));
    mc_ck_ok(mc_graph_symbol(g, "S", &s));
    mc_value *x = mc_test_input(g, "x", MCOMP_F32, 3, (int64_t[]){b, s, 8});
    mc_value *h = mc_test_op(g, "Gelu", 1, dense(g, x, 1, 8, 12));
    mc_value *y = add(g, x, dense(g, h, 3, 12, 8));
    mc_test_output(g, mc_test_op(g, "LayerNormalization", 3, y, rnd(g, 5, 8), rnd(g, 6, 8)), "y");
    mc_graph *r = mc_test_passes(g, all, 1e-4, 1e-5);
    ck_assert_int_eq(r->n_order, 2);
    ck_assert_int_eq(mc_test_count(r, "mcomp", "Linear"), 2);
    mc_graph_destroy(r);
    mc_graph_destroy(g);
}
END_TEST

/* Weights that change, as in training: the bias and the residual are taken; a product that others read keeps its Add. */
START_TEST(linear_of_variables)
{
    mc_graph *g = mc_test_graph();
    mc_value *x = mc_test_input(g, "x", MCOMP_F32, 3, (int64_t[]){2, 5, 8}), *w = mc_test_input(g, "w", MCOMP_F32, 2, (int64_t[]){8, 8});
    mc_value *b = mc_test_input(g, "b", MCOMP_F32, 1, (int64_t[]){8}), *h = mc_test_op(g, "MatMul", 2, x, w);
    mc_test_output(g, add(g, x, add(g, b, h)), "y");
    mc_value *k = mc_test_op(g, "MatMul", 2, h, w);
    mc_test_output(g, mc_test_op(g, "Tanh", 1, k), "t");
    mc_test_output(g, add(g, k, b), "z");
    mc_graph *r = mc_test_passes(g, all, 1e-5, 1e-6);
    ck_assert_int_eq(mc_test_count(r, "mcomp", "Linear"), 0); /* both products have two readers */
    mc_graph_destroy(r);
    mc_graph_destroy(g);
    g = mc_test_graph();
    x = mc_test_input(g, "x", MCOMP_F32, 3, (int64_t[]){2, 5, 8});
    w = mc_test_input(g, "w", MCOMP_F32, 2, (int64_t[]){8, 8});
    b = mc_test_input(g, "b", MCOMP_F32, 1, (int64_t[]){8});
    mc_test_output(g, add(g, x, add(g, b, mc_test_op(g, "MatMul", 2, x, w))), "y");
    r = mc_test_passes(g, all, 1e-5, 1e-6);
    ck_assert_int_eq(r->n_order, 1);
    ck_assert_int_eq(mc_test_count(r, "mcomp", "Linear"), 1);
    mc_graph_destroy(r);
    mc_graph_destroy(g);
}
END_TEST

/* What others read, or what is an output, stays. */
START_TEST(linear_leaves_what_others_read)
{
    mc_graph *g = mc_test_graph();
    mc_value *x = mc_test_input(g, "x", MCOMP_F32, 2, (int64_t[]){3, 8});
    mc_value *h = dense(g, x, 1, 8, 8), *y = mc_test_op(g, "Relu", 1, h);
    mc_test_output(g, h, "h");
    mc_test_output(g, y, "y");
    mc_value *d = dense(g, y, 3, 8, 8);
    mc_test_output(g, mc_test_op(g, "Tanh", 1, d), "z");
    mc_ck_ok(mc_graph_add_node(g, "mcomp", "Observe", 0, "tap", 1, &d, 0, NULL, NULL));
    mc_graph *r = mc_test_passes(g, all, 1e-5, 1e-6);
    ck_assert_int_eq(mc_test_count(r, "", "Relu"), 1);
    ck_assert_int_eq(mc_test_count(r, "", "Tanh"), 1);
    ck_assert_int_eq(mc_test_count(r, "mcomp", "Observe"), 1);
    ck_assert_int_eq(mc_test_count(r, "mcomp", "Linear"), 2);
    mc_graph_destroy(r);
    mc_graph_destroy(g);
}
END_TEST

START_TEST(gemm_forms)
{
    for (int form = 0; form < 4; form++) {
        mc_graph *g = mc_test_graph();
        mc_value *x = mc_test_input(g, "x", MCOMP_F32, 2, form == 3 ? (int64_t[]){8, 3} : (int64_t[]){3, 8});
        mc_value *c = form == 2 ? mc_test_input(g, "c", MCOMP_F32, 2, (int64_t[]){3, 5}) : form == 1 ? mc_test_scalar(g, 0.7f) : rnd(g, 2, 5);
        mc_value *y = mc_test_op(g, "Gemm", 3, x, form ? matrix(g, 1, 8, 5) : matrix(g, 1, 5, 8), c);
        mc_ck_ok(mc_node_set_i(y->producer, "transB", form == 0));
        mc_ck_ok(mc_node_set_i(y->producer, "transA", form == 3));
        mc_ck_ok(mc_node_set_f(y->producer, "alpha", form == 1 ? 0.5f : 1.0f));
        mc_ck_ok(mc_node_set_f(y->producer, "beta", form == 1 ? 2.0f : 1.0f));
        mc_test_output(g, mc_test_op(g, "Relu", 1, y), "y");
        mc_graph *r = mc_test_passes(g, all, 1e-5, 1e-6);
        ck_assert_int_eq(mc_test_count(r, "mcomp", "Linear"), 1);
        ck_assert_int_eq(r->n_order, form == 3 ? 2 : 1);
        mc_graph_destroy(r);
        mc_graph_destroy(g);
    }
}
END_TEST

enum { K_TWICE = 1, SCALE_SQRT = 2, SCALE_Q = 4, WHERE = 8, CROSS = 16, SPLIT = 32, TWO_MASKS = 64, NO_MASK = 128, NAN_ZERO = 256, AS_MATRIX = 512, K_FLAT = 1024 };

static mc_value *heads_of(mc_graph *g, mc_value *x)
{
    return mc_test_op(g, "Reshape", 2, x, mc_test_i64s(g, 4, (int64_t)0, (int64_t)0, (int64_t)3, (int64_t)4));
}

static mc_value *scores(mc_graph *g, mc_value *q, mc_value *k, uint32_t how)
{
    static const int64_t heads[4] = {0, 2, 1, 3}, both[4] = {0, 2, 3, 1}, last[4] = {0, 1, 3, 2};
    const float d = 4.0f;
    mc_value *const k0 = k;
    if (how & SCALE_Q) q = mc_test_op(g, "Mul", 2, q, mc_test_scalar(g, 1.0f / sqrtf(d)));
    q = transpose(g, heads_of(g, q), 4, heads);
    k = how & K_TWICE ? transpose(g, transpose(g, heads_of(g, k), 4, heads), 4, last) : transpose(g, heads_of(g, k), 4, both);
    if (how & K_FLAT) { /* [B,H,S,D] -> [B*H,S,D] -> [B*H,D,S] -> [B,H,D,S], sizes taken from K as PyTorch does */
        k = transpose(g, heads_of(g, k0), 4, heads);
        mc_value *shape = mc_test_op(g, "Shape", 1, k), *axis = mc_test_i64s(g, 1, (int64_t)0);
        mc_value *len = mc_test_op(g, "Slice", 4, shape, mc_test_i64s(g, 1, (int64_t)2), mc_test_i64s(g, 1, (int64_t)3), axis);
        mc_value *b = mc_test_op(g, "Slice", 4, shape, axis, mc_test_i64s(g, 1, (int64_t)1), axis);
        k = mc_test_op(g, "Reshape", 2, k, mc_test_op(g, "Concat", 3, mc_test_i64s(g, 1, (int64_t)-1), len, mc_test_i64s(g, 1, (int64_t)4)));
        mc_ck_ok(mc_node_set_i(k->producer->in[1]->producer, "axis", 0));
        k = transpose(g, k, 3, (int64_t[]){0, 2, 1});
        k = mc_test_op(g, "Reshape", 2, k, mc_test_op(g, "Concat", 4, b, mc_test_i64s(g, 1, (int64_t)3), mc_test_i64s(g, 1, (int64_t)4), len));
        mc_ck_ok(mc_node_set_i(k->producer->in[1]->producer, "axis", 0));
    }
    if (how & SCALE_SQRT) {
        q = mc_test_op(g, "Mul", 2, q, mc_test_scalar(g, 1.0f / sqrtf(sqrtf(d))));
        k = mc_test_op(g, "Mul", 2, mc_test_scalar(g, 1.0f / sqrtf(sqrtf(d))), k);
    }
    mc_value *s = mc_test_op(g, "MatMul", 2, q, k);
    return how & (SCALE_Q | SCALE_SQRT) ? s : mc_test_op(g, "Div", 2, s, mc_test_scalar(g, sqrtf(d)));
}

static mc_value *masked(mc_graph *g, mc_value *s, uint32_t how, int64_t b, int64_t len)
{
    if (how & NO_MASK) return s;
    mc_value *m = mc_test_input(g, "m", MCOMP_F32, 4, (int64_t[]){b, 1, 1, len});
    if (how & WHERE) {
        mc_value *cond = mc_test_op(g, "Greater", 2, m, mc_test_scalar(g, -0.5f));
        return mc_test_op(g, "Where", 3, cond, s, mc_test_scalar(g, -3.4e38f));
    }
    s = add(g, s, mc_test_op(g, "Mul", 2, m, mc_test_scalar(g, 10.0f)));
    return how & TWO_MASKS ? add(g, mc_test_random_const(g, 77, 1.0f, 4, (int64_t[]){1, 3, 1, 1}), s) : s;
}

static mc_graph *attention(uint32_t how)
{
    static const int64_t heads[4] = {0, 2, 1, 3};
    mc_graph *g = mc_test_graph();
    int64_t b, len;
    mc_node *split;
    mc_ck_ok(mc_graph_symbol(g, "B", &b));
    mc_ck_ok(mc_graph_symbol(g, "S", &len));
    mc_value *x = mc_test_input(g, "x", MCOMP_F32, 3, (int64_t[]){b, len, 12}), *q, *k, *v;
    mc_value *from = how & CROSS ? mc_test_input(g, "memory", MCOMP_F32, 3, (int64_t[]){b, len, 10}) : x;
    if (how & SPLIT) {
        mc_value *in[2] = {dense(g, x, 1, 12, 36), mc_test_i64s(g, 3, (int64_t)12, (int64_t)12, (int64_t)12)};
        mc_ck_ok(mc_graph_add_node(g, "", "Split", 0, NULL, 2, in, 3, NULL, &split));
        mc_ck_ok(mc_node_set_i(split, "axis", -1));
        q = split->out[0];
        k = split->out[1];
        v = split->out[2];
    } else {
        q = dense(g, x, 1, 12, 12);
        k = dense(g, from, 3, how & CROSS ? 10 : 12, 12);
        v = dense(g, from, 5, how & CROSS ? 10 : 12, 12);
    }
    mc_value *p = mc_test_op(g, "Softmax", 1, masked(g, scores(g, q, k, how), how, b, len));
    if (how & NAN_ZERO) p = mc_test_op(g, "Where", 3, mc_test_op(g, "IsNaN", 1, p), mc_test_scalar(g, 0.0f), p);
    mc_value *y = transpose(g, mc_test_op(g, "MatMul", 2, p, transpose(g, heads_of(g, v), 4, heads)), 4, heads);
    if (how & AS_MATRIX) mc_test_output(g, dense(g, mc_test_op(g, "Reshape", 2, y, mc_test_i64s(g, 2, (int64_t)-1, (int64_t)12)), 9, 12, 12), "rows");
    y = mc_test_op(g, "Reshape", 2, y, mc_test_i64s(g, 3, (int64_t)0, (int64_t)0, (int64_t)12));
    mc_test_output(g, add(g, dense(g, y, 7, 12, 12), x), "y");
    return g;
}

START_TEST(attention_forms)
{
    static const uint32_t forms[] = {0, K_TWICE, SCALE_SQRT, SCALE_Q | K_TWICE, WHERE, CROSS, SPLIT, TWO_MASKS, NO_MASK | SPLIT | SCALE_Q,
                                     SCALE_SQRT | NAN_ZERO, AS_MATRIX, K_FLAT | SCALE_SQRT | NAN_ZERO};
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        mc_graph *g = attention(forms[i]), *r = mc_test_passes(g, all, 1e-4, 1e-5);
        ck_assert_msg(mc_test_count(r, "mcomp", "Attention") == 1, "form %u: no Attention, %d nodes", forms[i], (int)r->n_order);
        ck_assert_int_eq(mc_test_count(r, "mcomp", "Linear"), forms[i] & (CROSS | AS_MATRIX) ? 3 : 2);
        ck_assert_int_eq(mc_test_count(r, "", "Transpose") + mc_test_count(r, "", "Softmax") + mc_test_count(r, "", "Split") + mc_test_count(r, "", "IsNaN"), 0);
        mc_graph_destroy(r);
        mc_graph_destroy(g);
    }
}
END_TEST

/* Before a gradient: slices of one wide value stay outside, a mask that is trained keeps the pattern. */
START_TEST(attention_before_gradients)
{
    const mc_pass_options o = {.training = 1};
    for (int trained = 0; trained < 3; trained++) { /* 2: no gradient of nan_zero either */
        mc_graph *g = attention(trained == 2 ? NAN_ZERO : trained ? 0 : SPLIT);
        mc_ck_ok(mc_infer_graph(g));
        if (trained) mc_graph_find_value(g, "m")->flags |= MC_VALUE_VARIABLE;
        mc_ck_ok(mc_passes_run(g, MC_STAGE_TRAIN, &o));
        ck_assert_int_eq(mc_test_count(g, "mcomp", "Attention"), !trained);
        if (!trained) ck_assert_int_eq(mc_test_count(g, "", "Split"), 1);
        for (int64_t i = 0; i < g->n_order; i++) ck_assert_ptr_null(mc_node_attr(g->order[i], "q_offset"));
        mc_graph_destroy(g);
    }
}
END_TEST

static mc_value *conv(mc_graph *g, mc_value *x, uint64_t seed, int64_t in, int64_t out, int64_t k, int64_t group)
{
    mc_value *y = mc_test_op(g, "Conv", 3, x, mc_test_random_const(g, seed, 0.3f, 4, (int64_t[]){out, in / group, k, k}), rnd(g, seed + 1, out));
    mc_ck_ok(mc_node_set_ints(y->producer, "pads", (int64_t[]){k / 2, k / 2, k / 2, k / 2}, 4));
    mc_ck_ok(mc_node_set_i(y->producer, "group", group));
    return y;
}

/* Squeeze and excitation, concatenation, slicing, padding and a mean over space: Transposes at the two ends only. */
START_TEST(channels_last_region)
{
    mc_graph *g = mc_test_graph();
    int64_t b;
    mc_ck_ok(mc_graph_symbol(g, "B", &b));
    mc_value *x = mc_test_input(g, "x", MCOMP_F32, 4, (int64_t[]){b, 3, 8, 6});
    mc_value *y = conv(g, x, 1, 3, 6, 3, 1), *s, *z;
    y = mc_test_op(g, "Mul", 2, y, mc_test_op(g, "Sigmoid", 1, y)); /* becomes Swish, then an epilogue */
    s = mc_test_op(g, "Sigmoid", 1, conv(g, mc_test_op(g, "Relu", 1, conv(g, mc_test_op(g, "GlobalAveragePool", 1, y), 3, 6, 2, 1, 1)), 5, 2, 6, 1, 1));
    y = mc_test_op(g, "Mul", 2, y, s);
    z = add(g, mc_test_op(g, "Mul", 2, y, mc_test_random_const(g, 9, 1.0f, 3, (int64_t[]){6, 1, 1})), mc_test_random_const(g, 10, 1.0f, 4, (int64_t[]){1, 6, 1, 1}));
    y = mc_test_op(g, "Concat", 2, conv(g, y, 11, 6, 6, 3, 6), z);
    mc_ck_ok(mc_node_set_i(y->producer, "axis", 1));
    y = mc_test_op(g, "Slice", 4, y, mc_test_i64s(g, 1, (int64_t)2), mc_test_i64s(g, 1, (int64_t)10), mc_test_i64s(g, 1, (int64_t)1));
    y = mc_test_op(g, "Pad", 2, y, mc_test_i64s(g, 8, (int64_t)0, (int64_t)0, (int64_t)1, (int64_t)0, (int64_t)0, (int64_t)0, (int64_t)0, (int64_t)1));
    z = mc_test_op(g, "MaxPool", 1, conv(g, y, 13, 8, 4, 3, 2));
    mc_ck_ok(mc_node_set_ints(z->producer, "kernel_shape", (int64_t[]){2, 2}, 2));
    mc_ck_ok(mc_node_set_s(z->producer, "auto_pad", "SAME_UPPER"));
    mc_test_output(g, z, "map");
    y = mc_test_op(g, "ReduceMean", 2, z, mc_test_i64s(g, 2, (int64_t)2, (int64_t)3));
    mc_ck_ok(mc_node_set_i(y->producer, "keepdims", 0));
    mc_test_output(g, dense(g, y, 15, 4, 3), "y");
    mc_graph *r = mc_test_passes(g, all, 1e-4, 1e-5);
    ck_assert_int_eq(mc_test_count(r, "mcomp", "Conv"), 6); /* one of them is the scale and shift */
    ck_assert_int_eq(mc_test_count(r, "mcomp", "GlobalAveragePool"), 2);
    ck_assert_int_eq(mc_test_count(r, "", "Transpose"), 2);
    mc_graph_destroy(r);
    mc_graph_destroy(g);
}
END_TEST

START_TEST(residual_convolutions)
{
    mc_graph *g = mc_test_graph();
    mc_value *x = mc_test_input(g, "x", MCOMP_F32, 4, (int64_t[]){2, 4, 6, 6});
    mc_value *y = conv(g, mc_test_op(g, "Relu", 1, conv(g, x, 1, 4, 4, 3, 1)), 3, 4, 4, 3, 1);
    y = mc_test_op(g, "Clip", 3, add(g, y, conv(g, x, 5, 4, 4, 1, 1)), mc_test_scalar(g, 0.0f), mc_test_scalar(g, 6.0f)); /* two products meet */
    mc_test_output(g, add(g, x, mc_test_op(g, "HardSwish", 1, conv(g, y, 7, 4, 4, 3, 1))), "y"); /* with the input itself */
    mc_graph *r = mc_test_passes(g, all, 1e-4, 1e-5);
    ck_assert_int_eq(mc_test_count(r, "mcomp", "Conv"), 4);
    ck_assert_int_eq(mc_test_count(r, "", "Add") + mc_test_count(r, "", "Clip") + mc_test_count(r, "", "HardSwish"), 0);
    ck_assert_int_eq(r->n_order, 6);
    mc_graph_destroy(r);
    mc_graph_destroy(g);
}
END_TEST

/* Upsampling, and heads that merge or split axes on the way to channels-last: [B,C,H,W] -> [B,C,HW] -> [B,HW,C]. */
START_TEST(reshapes_behind_convolutions)
{
    mc_graph *g = mc_test_graph();
    int64_t b;
    mc_ck_ok(mc_graph_symbol(g, "B", &b));
    mc_value *x = mc_test_input(g, "x", MCOMP_F32, 4, (int64_t[]){b, 4, 3, 5}), *y, *z;
    y = mc_test_op(g, "Resize", 3, conv(g, x, 1, 4, 6, 3, 1), NULL, mc_test_const(g, MCOMP_F32, 4, (double[]){1, 1, 2, 2}));
    y = mc_test_op(g, "Relu", 1, conv(g, y, 3, 6, 6, 3, 1));
    z = mc_test_op(g, "Reshape", 2, y, mc_test_i64s(g, 3, (int64_t)0, (int64_t)6, (int64_t)60));
    mc_test_output(g, transpose(g, z, 3, (int64_t[]){0, 2, 1}), "merged");
    z = mc_test_op(g, "Reshape", 2, y, mc_test_i64s(g, 5, (int64_t)0, (int64_t)2, (int64_t)3, (int64_t)6, (int64_t)10));
    mc_test_output(g, transpose(g, z, 5, (int64_t[]){0, 3, 4, 1, 2}), "split");
    z = mc_test_op(g, "Reshape", 2, y, mc_test_i64s(g, 2, (int64_t)0, (int64_t)-1)); /* channels and space become one: a real Transpose */
    mc_test_output(g, dense(g, z, 5, 360, 3), "flat");
    mc_graph *r = mc_test_passes(g, all, 1e-4, 1e-5);
    ck_assert_int_eq(mc_test_count(r, "", "Transpose"), 2); /* input, flat */
    ck_assert_int_eq(mc_test_count(r, "mcomp", "Conv"), 2);
    mc_graph_destroy(r);
    mc_graph_destroy(g);
}
END_TEST

/* ShuffleNet's shuffle: [B,g,c,H,W] -> [B,c,g,H,W] costs one Transpose of the last axes, not three of everything. */
START_TEST(channel_shuffle)
{
    for (int known = 0; known < 2; known++) {
        mc_graph *g = mc_test_graph();
        int64_t b = 1;
        if (!known) mc_ck_ok(mc_graph_symbol(g, "B", &b));
        mc_value *x = mc_test_input(g, "x", MCOMP_F32, 4, (int64_t[]){b, 4, 5, 6});
        mc_value *y = mc_test_op(g, "Reshape", 2, conv(g, x, 1, 4, 6, 1, 2), mc_test_i64s(g, 5, (int64_t)-1, (int64_t)2, (int64_t)3, (int64_t)5, (int64_t)6));
        y = transpose(g, y, 5, (int64_t[]){0, 2, 1, 3, 4});
        y = mc_test_op(g, "Reshape", 2, y, mc_test_i64s(g, 4, (int64_t)-1, (int64_t)6, (int64_t)5, (int64_t)6));
        y = mc_test_op(g, "Sum", 2, conv(g, y, 3, 6, 6, 3, 6), y);
        mc_test_output(g, y, "y");
        mc_graph *r = mc_test_passes(g, all, 1e-4, 1e-5);
        ck_assert_int_eq(mc_test_count(r, "", "Transpose"), 3); /* input, shuffle, output */
        ck_assert_int_eq(mc_test_count(r, "mcomp", "Conv"), 2);
        ck_assert_int_eq(mc_test_count(r, "", "Add") + mc_test_count(r, "", "Sum"), 0);
        mc_graph_destroy(r);
        mc_graph_destroy(g);
    }
}
END_TEST

/* DenseNet: normalization and Relu in front of the convolution. */
START_TEST(normalization_first)
{
    mc_graph *g = mc_test_graph();
    mc_value *x = mc_test_input(g, "x", MCOMP_F32, 4, (int64_t[]){2, 4, 5, 6}), *one = rnd(g, 9, 4), *y;
    for (int i = 0; i < 4; i++) ((float *)one->init->data)[i] = 1.0f + 0.25f * (float)i;
    y = mc_test_op(g, "BatchNormalization", 5, x, rnd(g, 1, 4), rnd(g, 2, 4), rnd(g, 3, 4), one);
    mc_test_output(g, conv(g, mc_test_op(g, "Relu", 1, y), 5, 4, 8, 3, 1), "y");
    mc_graph *r = mc_test_passes(g, all, 1e-4, 1e-5);
    ck_assert_int_eq(mc_test_count(r, "mcomp", "Conv"), 2);
    ck_assert_int_eq(r->n_order, 4);
    mc_graph_destroy(r);
    mc_graph_destroy(g);
}
END_TEST

START_TEST(one_dimension)
{
    mc_graph *g = mc_test_graph();
    int64_t b;
    mc_ck_ok(mc_graph_symbol(g, "B", &b));
    mc_value *x = mc_test_input(g, "x", MCOMP_F32, 3, (int64_t[]){b, 4, 20});
    mc_value *y = mc_test_op(g, "Conv", 2, x, mc_test_random_const(g, 1, 0.3f, 3, (int64_t[]){6, 4, 3}));
    y = mc_test_op(g, "AveragePool", 1, mc_test_op(g, "Relu", 1, y));
    mc_ck_ok(mc_node_set_ints(y->producer, "kernel_shape", (int64_t[]){2}, 1));
    y = mc_test_op(g, "GlobalMaxPool", 1, y);
    mc_test_output(g, dense(g, mc_test_op(g, "Flatten", 1, y), 3, 6, 2), "y");
    mc_graph *r = mc_test_passes(g, all, 1e-4, 1e-5);
    ck_assert_int_eq(mc_test_count(r, "", "Transpose"), 1);
    ck_assert_int_eq(r->n_order, 6);
    mc_graph_destroy(r);
    mc_graph_destroy(g);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("passes/lower");
    TCase *t = tcase_create("lower");
    tcase_add_test(t, linear_takes_what_follows);
    tcase_add_test(t, linear_of_variables);
    tcase_add_test(t, linear_leaves_what_others_read);
    tcase_add_test(t, gemm_forms);
    tcase_add_test(t, attention_forms);
    tcase_add_test(t, attention_before_gradients);
    tcase_add_test(t, channels_last_region);
    tcase_add_test(t, residual_convolutions);
    tcase_add_test(t, reshapes_behind_convolutions);
    tcase_add_test(t, channel_shuffle);
    tcase_add_test(t, normalization_first);
    tcase_add_test(t, one_dimension);
    suite_add_tcase(s, t);
    return mc_test_main(s);
}
