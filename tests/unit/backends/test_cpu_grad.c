/* Kernels of training graphs in the built-in backend: against the operators' references on every tier, and equal bits for one to
 * four threads. */
#include <math.h>
#include <stdio.h>

#include "unit/backends/cpu_case.h"

#define KEEP (1 << 21)
#ifdef __SANITIZE_ADDRESS__ /* many times slower: one and four threads, and fewer sizes */
#define MORE_THREADS 3
#define MORE_SIZES 5
#else
#define MORE_THREADS 1
#define MORE_SIZES 1
#endif
static float *kept;

static void setup(void) { kept = malloc(KEEP * sizeof *kept); }
static void teardown(void) { free(kept); }

typedef struct grad_row {
    const char *kernel, *domain, *op, *attrs;
    const char *in; /* "x3,4 i3 -": floats in [-1,1), labels or indices, omitted */
    int32_t n_out;
    double tolerance; /* 0: 2e-5; sums of many terms need more */
    int32_t top;      /* of integers */
    uint32_t constant;
} grad_row;

static void inputs(const grad_row *row, mc_node_case *c)
{
    c->n_in = 0;
    for (const char *p = row->in; *p;) {
        const char kind = *p++;
        int64_t dims[MC_MAX_RANK];
        int32_t rank = 0;
        for (; *p >= '0' && *p <= '9'; p += *p == ',') {
            char *end;
            dims[rank++] = strtoll(p, &end, 10);
            p = end;
        }
        while (*p == ' ') p++;
        mc_tensor *t = kind == '-' ? NULL : mc_test_tensor(kind == 'i' ? MCOMP_I64 : MCOMP_F32, dims, rank, (uint64_t)c->n_in * 77 + 5);
        for (int64_t i = 0; kind == 'i' && i < mc_tensor_elements(t); i++) mc_tensor_set_i64(t, i, (i * 7 + i / 3) % row->top);
        if (kind == 'p') /* positive */
            for (int64_t i = 0; i < mc_tensor_elements(t); i++) mc_tensor_set_f64(t, i, 0.1 + fabs(mc_tensor_get_f64(t, i)));
        c->in[c->n_in++] = t;
    }
}

/* The row on tier i against the reference with one thread, then equal bits with more. */
static void run_row(int i, const grad_row *row)
{
    mc_tensor *want[MC_TEST_OUT];
    const double tolerance = row->tolerance > 0.0 ? row->tolerance : 2e-5;
    setenv("MCOMP_ISA", tiers[i], 1);
    for (int32_t threads = 1; threads <= 4; threads += MORE_THREADS) {
        mc_node_case c = {.domain = row->domain, .op = row->op, .attrs = row->attrs, .n_out = row->n_out ? row->n_out : 1,
                          .constant = row->constant, .kernel = row->kernel, .rtol = tolerance, .atol = tolerance, .threads = threads};
        inputs(row, &c);
        if (threads == 1) {
            c.keep = kept;
            mc_ck_node(&c);
            continue;
        }
        c.same = kept; /* the outputs' values do not matter here, only their types */
        c.rtol = c.atol = 1e30;
        mc_graph *g = NULL;
        mc_node *n;
        mc_value *in[MC_TEST_IN] = {NULL};
        mc_ops_register();
        mc_ck_ok(mc_graph_create(&g, "types"));
        for (int32_t k = 0; k < c.n_in; k++) {
            const mc_type type = c.in[k] ? mc_type_of(c.in[k]) : (mc_type){0};
            if (c.in[k]) mc_ck_ok(mc_graph_add_input(g, NULL, &type, &in[k]));
        }
        mc_ck_ok(mc_graph_add_node(g, c.domain, c.op, 0, "node", c.n_in, in, c.n_out, NULL, &n));
        mc_test_set_attrs(n, c.attrs);
        mc_ck_ok(mc_infer_node(g, n));
        for (int32_t k = 0; k < c.n_out; k++) {
            mc_shape s;
            mc_ck_ok(mc_type_shape(&n->out[k]->type, &s));
            mc_ck_ok(mc_tensor_create(&want[k], MCOMP_F32, &s));
        }
        mc_graph_destroy(g);
        mc_ck_node_want(&c, want);
    }
}

#define ROWS_TEST(name)                                                                                                \
    START_TEST(name)                                                                                                   \
    {                                                                                                                  \
        for (size_t k = 0; k < sizeof name##_rows / sizeof *name##_rows; k++) run_row(_i, &name##_rows[k]);            \
    }                                                                                                                  \
    END_TEST

static const grad_row product_rows[] = {
    {"gemm", "mcomp", "Product", NULL, "x1,1 x1,1", 0, 0, 0, 0},
    {"gemm", "mcomp", "Product", NULL, "x7,5 x5,3", 0, 0, 0, 0},
    {"gemm", "mcomp", "Product", "trans_a=1", "x257,33 x257,17", 0, 0, 0, 0},
    {"gemm", "mcomp", "Product", "trans_b=1", "x33,257 x129,257", 0, 0, 0, 0},
    {"gemm", "mcomp", "Product", "trans_a=1 trans_b=1", "x65,31 x15,65", 0, 0, 0, 0},
    {"gemm", "mcomp", "Product", NULL, "x3,512 x512,40", 0, 0, 0, 0},
    {"gemm", "mcomp", "Product", "trans_b=1", "x40,1024 x33,1024", 0, 5e-5, 0, 0},
    {"gemm", "mcomp", "Product", NULL, "x450,70 x70,400", 0, 0, 0, 0},
    {"gemm", "mcomp", "Product", "trans_b=1", "x450,70 x400,70", 0, 0, 0, 0},
    {"gemm", "mcomp", "Product", "trans_a=1", "x70,600 x70,390", 0, 0, 0, 0},
    {"gemm", "mcomp", "Product", "flat=1", "x5,7 x5,9", 0, 0, 0, 0},
    {"gemm", "mcomp", "Product", "flat=1", "x3,50,64 x3,50,33", 0, 0, 0, 0},
    {"gemm", "mcomp", "Product", "flat=1", "x2,1100,64 x2,1100,80", 0, 1e-4, 0, 0},
    {"gemm", "mcomp", "Product", "flat=1", "x0,5 x0,3", 0, 0, 0, 0},
    {"gemm", "mcomp", "Product", "flat=1", "x9 x4", 0, 0, 0, 0},
    {"gemm", "mcomp", "Product", "trans_a=1", "x6,31,15 x6,31,40", 0, 0, 0, 0},
    {"gemm", "mcomp", "Product", "trans_b=1", "x2,3,31,15 x3,40,15", 0, 0, 0, 0},
    {"gemm", "mcomp", "Product", "trans_b=1", "x2,3,31,15 x40,15", 0, 0, 0, 0},
    {"gemm", "mcomp", "Product", "trans_a=1", "x2,3,31,15 x31,40", 0, 0, 0, 0},
    {"gemm", "mcomp", "Product", NULL, "x31,15 x4,1,15,40", 0, 0, 0, 0},
    {"gemm", "mcomp", "Product", NULL, "x50,2,3 x50,3,2", 0, 0, 0, 0},
    {"gemm", "mcomp", "Product", "trans_a=1", "x24,129,33 x24,129,65", 0, 0, 0, 0},
};
ROWS_TEST(product)

static const grad_row matmul_rows[] = {
    {"gemm", "", "MatMul", NULL, "x5,130,70 x70,400", 0, 0, 0, 0},
    {"gemm", "", "MatMul", NULL, "x5,130,70 x70,400", 0, 0, 0, 2},
    {"gemm", "", "MatMul", NULL, "x1,300 x300,257", 0, 0, 0, 0},
    {"gemm", "", "MatMul", NULL, "x24,65,33 x24,33,129", 0, 0, 0, 0},
    {"gemm", "", "Gemm", "transB=1 alpha=0.5f", "x33,70 x257,70 x33,1", 0, 0, 0, 0},
    {"gemm", "", "Gemm", "transA=1", "x70,210 x70,257 x257", 0, 0, 0, 0},
    {"gemm", "", "Gemm", "transA=1 transB=1", "x70,33 x65,70", 0, 0, 0, 2},
};
ROWS_TEST(matmul)

static const grad_row linear_rows[] = {
    {"gemm", "mcomp", "Linear", NULL, "x3,70,65 x65,257 x257", 0, 0, 0, 0},
    {"gemm", "mcomp", "Linear", "trans_w=1 act='gelu'", "x5,33 x70,33 x70", 0, 0, 0, 0},
    {"gemm", "mcomp", "Linear", "act='relu' post_act='tanh'", "x450,70 x70,400 x400 x450,400", 0, 0, 0, 0},
    {"gemm", "mcomp", "Linear", NULL, "x450,300 x300,40 x40 x450,40", 0, 0, 0, 0},
    {"gemm", "mcomp", "Linear", NULL, "x3,65 x65,2", 0, 0, 0, 0},
};
ROWS_TEST(linear)

/* Every size from 1 to 257 on each axis in turn. */
START_TEST(product_sizes)
{
    char in[64];
    for (int s = 1; s <= 257; s += (s < 40 ? 1 : 7) * MORE_SIZES) {
        const grad_row row = {"gemm", "mcomp", "Product", s % 2 ? "trans_a=1" : "trans_b=1", in, 0, 0, 0, 0};
        for (int axis = 0; axis < 3; axis++) {
            const int m = axis == 0 ? s : 19, n = axis == 1 ? s : 21, k = axis == 2 ? s : 18;
            snprintf(in, sizeof in, "x%d,%d x%d,%d", s % 2 ? k : m, s % 2 ? m : k, s % 2 ? k : n, s % 2 ? n : k);
            run_row(_i, &row);
        }
    }
}
END_TEST

static const grad_row elementwise_rows[] = {
    {"unary_grad", "mcomp", "UnaryGrad", "of='Relu'", "x3,50 x3,50", 0, 0, 0, 0},
    {"unary_grad", "mcomp", "UnaryGrad", "of='Gelu'", "x300,257 x300,257", 0, 0, 0, 0},
    {"unary_grad", "mcomp", "UnaryGrad", "of='Gelu' approximate='tanh'", "x70,129 x70,129", 0, 0, 0, 0},
    {"unary_grad", "mcomp", "UnaryGrad", "of='Sigmoid'", "x301 x301", 0, 0, 0, 0},
    {"unary_grad", "mcomp", "UnaryGrad", "of='Tanh'", "x301 x301", 0, 0, 0, 0},
    {"unary_grad", "mcomp", "UnaryGrad", "of='Swish'", "x301 x301", 0, 0, 0, 0},
    {"unary_grad", "mcomp", "UnaryGrad", "of='HardSwish'", "x301 x301", 0, 0, 0, 0},
    {"unary_grad", "mcomp", "UnaryGrad", "of='HardSigmoid' alpha=0.7f beta=0.4f", "x301 x301", 0, 0, 0, 0},
    {"unary_grad", "mcomp", "UnaryGrad", "of='LeakyRelu' alpha=0.2f", "x301 x301", 0, 0, 0, 0},
    {"unary_grad", "mcomp", "UnaryGrad", "of='Elu' alpha=0.5f", "x301 x301", 0, 0, 0, 0},
    {"unary_grad", "mcomp", "UnaryGrad", "of='Erf'", "x301 x301", 0, 0, 0, 0},
    {"unary_grad", "mcomp", "UnaryGrad", "of='Sqrt'", "p301 x301", 0, 0, 0, 0},
    {"unary_grad", "mcomp", "UnaryGrad", "of='Reciprocal'", "p301 x301", 0, 0, 0, 0},
    {"unary_grad", "mcomp", "UnaryGrad", "of='Log'", "p301 x301", 0, 0, 0, 0},
    {"softmax_grad", "mcomp", "SoftmaxGrad", NULL, "x3,4,300,129 x3,4,300,129", 0, 0, 0, 0},
    {"softmax_grad", "mcomp", "SoftmaxGrad", "log=1", "x7,33 x7,33", 0, 0, 0, 0},
    {"softmax_grad", "mcomp", "SoftmaxGrad", "axis=1", "x4,50,300 x4,50,300", 0, 0, 0, 0},
    {"softmax_grad", "mcomp", "SoftmaxGrad", "axis=0 log=1", "x33,301 x33,301", 0, 0, 0, 0},
};
ROWS_TEST(elementwise)

static const grad_row norm_rows[] = {
    {"norm_grad", "mcomp", "RowNormGrad", "centre=1", "x5,7 x5,7 x7 x7", 3, 0, 0, 0},
    {"norm_grad", "mcomp", "RowNormGrad", "centre=1 epsilon=0.01f", "x2,300,129 x2,300,129 x129 x129", 3, 1e-4, 0, 0},
    {"norm_grad", "mcomp", "RowNormGrad", "centre=1", "x700,64 x700,64 x64", 2, 1e-4, 0, 0},
    {"norm_grad", "mcomp", "RowNormGrad", "centre=0", "x700,33 x700,33 x33", 2, 1e-4, 0, 0},
    {"norm_grad", "mcomp", "RowNormGrad", "centre=1 axis=1", "x50,4,33 x50,4,33 x4,33 x4,33", 3, 1e-4, 0, 0},
    {"norm_grad", "mcomp", "RowNormGrad", "centre=1", "x0,33 x0,33 x33 x33", 3, 0, 0, 0},
};
ROWS_TEST(norm)

static const grad_row sum_rows[] = {
    {"sum_to", "mcomp", "SumTo", NULL, "x5,7 x7", 0, 0, 0, 0},
    {"sum_to", "mcomp", "SumTo", NULL, "x2,900,257 x257", 0, 1e-4, 0, 0},
    {"sum_to", "mcomp", "SumTo", NULL, "x40,30,65 x30,65", 0, 0, 0, 0},
    {"sum_to", "mcomp", "SumTo", NULL, "x40,30,65 x40,1,65", 0, 0, 0, 0},
    {"sum_to", "mcomp", "SumTo", NULL, "x40,30,65 x40,30,1", 0, 0, 0, 0},
    {"sum_to", "mcomp", "SumTo", NULL, "x8,33,17,19 x33,1,1", 0, 0, 0, 0},
    {"sum_to", "mcomp", "SumTo", NULL, "x8,3,17,19 x1,3,1,19", 0, 0, 0, 0},
    {"sum_to", "mcomp", "SumTo", NULL, "x70000 x1", 0, 1e-4, 0, 0},
    {"sum_to", "mcomp", "SumTo", NULL, "x3,4 x", 0, 0, 0, 0},
    {"sum_to", "mcomp", "SumTo", NULL, "x9,1300 x1300", 0, 0, 0, 0},
};
ROWS_TEST(sum)

static const grad_row move_rows[] = {
    {"gather_grad", "mcomp", "MoveGrad", "of='Gather'", "x40,70 x11,70 i40", 0, 0, 11, 0},
    {"gather_grad", "mcomp", "MoveGrad", "of='Gather'", "x4,50,130 x90,130 i4,50", 0, 0, 90, 0},
    {"gather_grad", "mcomp", "MoveGrad", "of='Gather' axis=1", "x9,6,33 x9,20,33 i6", 0, 0, 20, 0},
    {"gather_grad", "mcomp", "MoveGrad", "of='Gather' axis=1", "x60,33 x60,20,33 i", 0, 0, 20, 0},
    {"gather_grad", "mcomp", "MoveGrad", "of='Gather' axis=-1", "x9,6,5 x9,6,20 i5", 0, 0, 20, 0},
};
ROWS_TEST(move)

/* Slices with negative steps, clamped starts and listed axes. */
START_TEST(slice)
{
    setenv("MCOMP_ISA", tiers[_i], 1);
    CHECK_MC("slice_grad", "MoveGrad", "of='Slice'", 60, F(1, 4, 3), F(2, 9, 3), mc_test_ints(1, 2), mc_test_ints(1, 6));
    CHECK_MC("slice_grad", "MoveGrad", "of='Slice'", 60, F(1, 5, 3, 7), F(2, 5, 9, 7), mc_test_ints(1, -1), mc_test_ints(1, -10),
             mc_test_ints(1, 1), mc_test_ints(1, -3));
    CHECK_MC("slice_grad", "MoveGrad", "of='Slice'", 60, F(1, 3, 50, 4), F(2, 5, 50, 9), mc_test_ints(2, -20, 1), mc_test_ints(2, 3, 100),
             mc_test_ints(2, 0, -1), mc_test_ints(2, 1, 2));
    CHECK_MC("slice_grad", "MoveGrad", "of='Slice'", 60, F(1, 0, 3), F(2, 9, 3), mc_test_ints(1, 20), mc_test_ints(1, 30));
}
END_TEST

/* An index outside of the axis, and dy of another shape. */
START_TEST(bad_index)
{
    mc_node_case c = {.domain = "mcomp", .op = "MoveGrad", .attrs = "of='Gather'", .n_in = 3, .n_out = 1, .kernel = "gather_grad",
                      .expect = MCOMP_RANGE, .in = {F(1, 3, 4), F(2, 9, 4), mc_test_ints(3, 0, -10, 2)}};
    mc_tensor *want[1] = {F(3, 9, 4)};
    setenv("MCOMP_ISA", tiers[_i], 1);
    mc_ck_node_want(&c, want);
}
END_TEST

/* Channel sums of planes: two groups of axes. */
START_TEST(channel_sums)
{
    CHECK("reduce", "ReduceSum", "keepdims=0", 2, F(1, 9, 33, 14, 14), mc_test_ints(3, 0, 2, 3));
    CHECK("reduce", "ReduceMean", NULL, 2, F(1, 9, 3, 14, 15), mc_test_ints(3, 0, 2, 3));
    CHECK("reduce", "ReduceSum", NULL, 2, F(1, 9, 3, 14, 15), mc_test_ints(2, 0, 2));
}
END_TEST

static const grad_row loss_rows[] = {
    {"loss", "", "SoftmaxCrossEntropyLoss", NULL, "x70,11 i70", 0, 0, 11, 0},
    {"loss", "", "SoftmaxCrossEntropyLoss", "ignore_index=3", "x300,257 i300 p257", 2, 0, 257, 0},
    {"loss", "", "SoftmaxCrossEntropyLoss", "reduction='none'", "x70,100 i70", 0, 0, 100, 0},
    {"loss", "", "NegativeLogLikelihoodLoss", "reduction='sum' ignore_index=2", "x70,11 i70 p11", 0, 0, 11, 0},
    {"loss_grad", "mcomp", "LossGrad", NULL, "x x70,11 i70", 0, 0, 11, 0},
    {"loss_grad", "mcomp", "LossGrad", "ignore_index=3", "x x300,257 i300 p257", 0, 0, 257, 0},
    {"loss_grad", "mcomp", "LossGrad", "reduction='none'", "x70 x70,100 i70", 0, 0, 100, 0},
    {"loss_grad", "mcomp", "LossGrad", "reduction='sum' log_input=1", "x x70,11 i70 p11", 0, 0, 11, 0},
};
ROWS_TEST(loss)

static const grad_row channel_rows[] = {
    {"group_norm_grad", "mcomp", "ChannelNormGrad", "kind='instance'", "x5,20,17,19 x5,20,17,19 x20", 3, 1e-4, 0, 0},
    {"group_norm_grad", "mcomp", "ChannelNormGrad", "kind='group' num_groups=4", "x5,20,17,19 x5,20,17,19 x20", 3, 1e-4, 0, 0},
};
ROWS_TEST(channel)

/* X W R B lengths h0 c0 P, dY dY_h dY_c. */
static const grad_row lstm_rows[] = {
    {"lstm:", "", "LSTM", "hidden_size=9", "x7,3,5 x1,36,5 x1,36,9 x1,72", 3, 0, 0, 0},
    {"lstm:", "", "LSTM", "hidden_size=17 direction='bidirectional'", "x6,33,20 x2,68,20 x2,68,17", 3, 0, 0, 0},
    {"lstm_grad", "mcomp", "RecurrentGrad", "of='LSTM' hidden_size=9", "x7,3,5 x1,36,5 x1,36,9 x1,72 - x1,3,9 x1,3,9 - x7,1,3,9 x1,3,9 x1,3,9", 7, 5e-5, 0, 0},
    {"lstm_grad", "mcomp", "RecurrentGrad", "of='LSTM' hidden_size=17 direction='bidirectional'", "x6,33,20 x2,68,20 x2,68,17 x2,136 - - - - x6,2,33,17 - -", 7, 1e-4, 0, 0},
    {"lstm_grad", "mcomp", "RecurrentGrad", "of='LSTM' hidden_size=64 direction='reverse'", "x20,40,33 x1,256,33 x1,256,64 - - - - - - x1,40,64 -", 7, 1e-4, 0, 0},
};
ROWS_TEST(lstm)

/* dY, Q, K, V, mask. */
static const grad_row attention_rows[] = {
    {"attention_grad", "mcomp", "AttentionGrad", "heads=2 scale=0.3f", "x1,5,12 x1,5,8 x1,7,8 x1,7,12", 3, 0, 0, 0},
    {"attention_grad", "mcomp", "AttentionGrad", "heads=12 scale=0.176f", "x2,50,384 x2,50,384 x2,50,384 x2,50,384 x2,1,1,50", 3, 0, 0, 0},
    {"attention_grad", "mcomp", "AttentionGrad", "heads=3 scale=0.5f", "x1,40,54 x1,40,51 x1,300,51 x1,300,54 x3,40,300", 3, 5e-5, 0, 0},
    {"attention_grad", "mcomp", "AttentionGrad", "heads=1", "x3,1,1 x3,1,3 x3,1,3 x3,1,1", 3, 0, 0, 0},
    {"attention_grad", "mcomp", "AttentionGrad", "heads=4", "x3,33,64 x3,33,64 x3,65,64 x3,65,64 x33,65", 3, 5e-5, 0, 0},
};
ROWS_TEST(attention)

/* Conv: X, W, bias; ConvGradInput: dY, W, X; ConvGradWeight: dY, X, W. */
static const grad_row conv_rows[] = {
    {"conv_planes", "", "Conv", "pads=[1,1,1,1]", "x3,5,14,15 x7,5,3,3 x7", 0, 0, 0, 0},
    {"conv_planes", "", "Conv", "strides=[2,1] dilations=[1,2] pads=[2,0,1,3]", "x2,3,9,17 x20,3,3,2", 0, 0, 0, 0},
    {"conv_planes", "", "Conv", "group=3", "x2,6,9,9 x9,2,1,1 x9", 0, 0, 0, 0},
    {"conv_planes", "", "Conv", "pads=[2,2]", "x5,33,40 x17,33,5 x17", 0, 0, 0, 0},
    {"conv_planes", "", "Conv", "pads=[1,1,1,1]", "x1,64,40,41 x33,64,3,3", 0, 5e-5, 0, 0},
    {"conv_grad_input", "mcomp", "ConvGradInput", "pads=[1,1,1,1]", "x3,7,14,15 x7,5,3,3 x3,5,14,15", 0, 0, 0, 0},
    {"conv_grad_input", "mcomp", "ConvGradInput", "strides=[2,1] dilations=[1,2] pads=[2,0,1,3]", "x2,20,5,18 x20,3,3,2 x2,3,9,17", 0, 0, 0, 0},
    {"conv_grad_input", "mcomp", "ConvGradInput", "group=3", "x2,9,9,9 x9,2,1,1 x2,6,9,9", 0, 0, 0, 0},
    {"conv_grad_input", "mcomp", "ConvGradInput", "pads=[2,2]", "x5,17,40 x17,33,5 x5,33,40", 0, 0, 0, 0},
    {"conv_grad_input", "mcomp", "ConvGradInput", "pads=[1,1,1,1]", "x1,300,20,21 x300,17,3,3 x1,17,20,21", 0, 5e-5, 0, 0},
    {"conv_grad_weight", "mcomp", "ConvGradWeight", "pads=[1,1,1,1]", "x3,7,14,15 x3,5,14,15 x7,5,3,3", 0, 5e-5, 0, 0},
    {"conv_grad_weight", "mcomp", "ConvGradWeight", "strides=[2,1] dilations=[1,2] pads=[2,0,1,3]", "x2,20,5,18 x2,3,9,17 x20,3,3,2", 0, 0, 0, 0},
    {"conv_grad_weight", "mcomp", "ConvGradWeight", "group=3", "x2,9,9,9 x2,6,9,9 x9,2,1,1", 0, 5e-5, 0, 0},
    {"conv_grad_weight", "mcomp", "ConvGradWeight", "pads=[2,2]", "x40,17,40 x40,33,40 x17,33,5", 0, 1e-4, 0, 0},
    {"conv_grad_weight", "mcomp", "ConvGradWeight", "pads=[1,1,1,1]", "x2,200,12,13 x2,9,12,13 x200,9,3,3", 0, 5e-5, 0, 0},
};
ROWS_TEST(conv)

static const grad_row pool_rows[] = {
    {"pool_grad", "mcomp", "MaxPoolGrad", "kernel_shape=[2,2] strides=[2,2]", "x3,5,7,6 x3,5,14,12", 0, 0, 0, 0},
    {"pool_grad", "mcomp", "MaxPoolGrad", "kernel_shape=[3,2] strides=[2,1] pads=[1,0,1,1]", "x2,20,5,9 x2,20,9,9", 0, 0, 0, 0},
    {"pool_grad", "mcomp", "MaxPoolGrad", "kernel_shape=[2,2] dilations=[2,3]", "x2,3,7,6 x2,3,9,9", 0, 0, 0, 0},
    {"pool_grad", "mcomp", "MaxPoolGrad", "kernel_shape=[3] strides=[2] pads=[1,1]", "x4,30,20 x4,30,40", 0, 0, 0, 0},
    {"pool_grad", "mcomp", "AveragePoolGrad", "kernel_shape=[2,2] strides=[2,2]", "x3,5,7,6 x3,5,14,12", 0, 0, 0, 0},
    {"pool_grad", "mcomp", "AveragePoolGrad", "kernel_shape=[3,2] strides=[2,1] pads=[1,0,1,1]", "x2,20,5,9 x2,20,9,9", 0, 0, 0, 0},
    {"pool_grad", "mcomp", "AveragePoolGrad", "kernel_shape=[3,3] pads=[1,1,1,1] count_include_pad=1", "x40,20,9,9 x40,20,9,9", 0, 0, 0, 0},
};
ROWS_TEST(pool)

static const grad_row channel_norm_rows[] = {
    {"batch_norm", "", "BatchNormalization", "training_mode=1 momentum=0.8f", "x3,5,7,6 x5 x5 x5 p5", 3, 0, 0, 0},
    {"batch_norm", "", "BatchNormalization", "training_mode=1", "x40,33,9,50 x33 x33 x33 p33", 3, 1e-4, 0, 0},
    {"batch_norm", "", "BatchNormalization", "training_mode=1", "x300,20 x20 x20 x20 p20", 3, 1e-4, 0, 0},
    {"batch", "", "BatchNormalization", "epsilon=0.01f", "x3,70,33,30 x70 x70 x70 p70", 0, 0, 0, 0},
    {"batch_norm_grad", "mcomp", "ChannelNormGrad", "kind='batch'", "x3,5,7,6 x3,5,7,6 x5", 3, 1e-4, 0, 0},
    {"batch_norm_grad", "mcomp", "ChannelNormGrad", "kind='batch' epsilon=0.01f", "x40,33,9,50 x40,33,9,50 x33", 3, 4e-4, 0, 0},
    {"batch_norm_grad", "mcomp", "ChannelNormGrad", "kind='fixed'", "x30,33,9,20 x30,33,9,20 x33 x33 p33", 3, 4e-4, 0, 0},
    {"batch_norm_grad", "mcomp", "ChannelNormGrad", "kind='batch'", "x300,20 x300,20 x20", 3, 4e-4, 0, 0},
};
ROWS_TEST(channel_norm)

static const grad_row step_rows[] = {
    {"dropout", "mcomp", "Dropout", "ratio=0.3f stream=5", "x40,70,33 i2", 0, 0, 9, 0},
    {"square_sum", "mcomp", "SquareSum", NULL, "x70,900", 0, 1e-4, 0, 0},
    {"square_sum", "mcomp", "SquareSum", NULL, "x7", 0, 0, 0, 0},
};
ROWS_TEST(step)

int main(void)
{
    Suite *s = suite_create("cpu_grad");
    TCase *t = tcase_create("implementations");
    const int n = tier_count();
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, product, 0, n);
    tcase_add_loop_test(t, matmul, 0, n);
    tcase_add_loop_test(t, linear, 0, n);
    tcase_add_loop_test(t, product_sizes, 0, n);
    tcase_add_loop_test(t, elementwise, 0, n);
    tcase_add_loop_test(t, norm, 0, n);
    tcase_add_loop_test(t, sum, 0, n);
    tcase_add_loop_test(t, move, 0, n);
    tcase_add_loop_test(t, slice, 0, n);
    tcase_add_loop_test(t, bad_index, 0, n);
    tcase_add_loop_test(t, channel_sums, 0, n);
    tcase_add_loop_test(t, attention, 0, n);
    tcase_add_loop_test(t, conv, 0, n);
    tcase_add_loop_test(t, lstm, 0, n);
    tcase_add_loop_test(t, channel, 0, n);
    tcase_add_loop_test(t, loss, 0, n);
    tcase_add_loop_test(t, pool, 0, n);
    tcase_add_loop_test(t, channel_norm, 0, n);
    tcase_add_loop_test(t, step, 0, n);
    suite_add_tcase(s, t);
    return mc_test_main(s);
}
