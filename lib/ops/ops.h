/* ops/ops.h - operator descriptors: one file op_<name>.c and one row in ops.def an operator.
 *
 * A descriptor knows the operator's internal version (older versions are upgraded on import), infers types, runs the
 * reference on contiguous host tensors, counts work, and tells quantizer and pruner how the operator behaves. Files may
 * hold several operators of one family when they share everything but one line (e.g. the comparison operators); each
 * has its own row.
 *
 * Reference implementations are for correctness: readable, any size, f32 and f64 from one source (MC_DISPATCH_*),
 * accumulate in double for f64 and in double for f32 sums as well unless the note of the file says why not.
 */
#ifndef MC_OPS_H
#define MC_OPS_H

#include "graph/graph.h"

#define MC_OP_MAX_IO 64 /* formal inputs/outputs that infer and forward see; Concat etc. beyond it are refused */

/* Type inference. Unknown rank/dims are allowed on input (see mc_type); an infer function must not fail because something
 * is unknown, it leaves the output unknown (rank -1) or the dim a fresh symbol (mc_infer_symbol). It fails with
 * MCOMP_SHAPE / MCOMP_DTYPE / MCOMP_FORMAT for what cannot be right, naming the node. */
typedef struct mc_infer {
    const mc_node *node;
    int32_t n_in, n_out;
    const mc_type *in[MC_OP_MAX_IO];    /* NULL for omitted inputs */
    const mc_tensor *cst[MC_OP_MAX_IO]; /* value of the input when it is known now (constant, or at run time), else NULL */
    mc_type out[MC_OP_MAX_IO];          /* preset to unknown (dtype 0, rank -1) */
    mc_graph *graph;                    /* for mc_infer_symbol; may be NULL when everything is known */
    const struct mc_shape_data *data[MC_OP_MAX_IO]; /* NULL: nothing known */
    struct mc_shape_data *out_data[MC_OP_MAX_IO];   /* NULL: not wanted */
} mc_infer;

/* Shape data: small integer tensors (at most MC_SHAPE_DATA elements) that stand for dims are followed through Shape, Gather,
 * Slice, Concat, Squeeze, Unsqueeze, Cast, Reshape, Add, Sub, Mul, Div ... even where they are symbolic, so that
 * Reshape(x, Concat(Shape(x)[0], -1, 12)) keeps symbols. mc_infer.data[i] is what is known of input i, out_data[k] what the
 * function can say of output k (preset to unknown). An element is a number or a symbol (see mc_dim_is_symbol). */
#define MC_SHAPE_DATA 16
#define MC_DATA_UNKNOWN INT64_MIN
#define MC_DATA_SYMBOL(dim) (INT64_MIN + 1 - (dim)) /* dim < 0 as in mc_type */
typedef struct mc_shape_data {
    int32_t n; /* -1: nothing known; otherwise the number of elements */
    int64_t v[MC_SHAPE_DATA];
} mc_shape_data;
static inline int mc_data_is_symbol(int64_t v) { return v > INT64_MIN && v < INT64_MIN + ((int64_t)1 << 40); }
static inline int64_t mc_data_dim(int64_t v) { return INT64_MIN + 1 - v; } /* symbol -> negative dim of mc_type */

int64_t mc_infer_symbol(mc_infer *c); /* fresh unknown dim (negative number) */
/* The size that two symbolic sizes broadcast to: a symbol that remembers both, so that joining it with either gives itself. */
int64_t mc_infer_join(mc_infer *c, int64_t a, int64_t b);
int32_t mc_infer_fail(const mc_infer *c, int32_t code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* Output k = same type as input i. */
int32_t mc_infer_same(mc_infer *c, int32_t k, int32_t i);
/* numpy broadcast of inputs 0..n-1 into out[k] (dtype left alone). */
int32_t mc_infer_broadcast(mc_infer *c, int32_t k, int32_t n);
/* Small integer list behind input i: 1 = known (up to cap values written, *count set). */
int mc_infer_ints(const mc_infer *c, int32_t i, int64_t *values, int32_t cap, int32_t *count);
/* axis in [-rank, rank) -> [0, rank); MCOMP_FORMAT otherwise. */
int32_t mc_infer_axis(const mc_infer *c, int64_t axis, int32_t rank, int32_t *out);

/* Reference run. Output tensors are allocated with the inferred type, memory zeroed or not (do not rely on it). */
typedef struct mc_op_run {
    const mc_node *node;
    int32_t n_in, n_out;
    const mc_tensor *in[MC_OP_MAX_IO]; /* NULL for omitted inputs */
    mc_tensor *out[MC_OP_MAX_IO];      /* NULL for outputs nobody wants */
} mc_op_run;
int32_t mc_op_fail(const mc_op_run *r, int32_t code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Traits (bits). */
enum {
    MC_OP_ELEMENTWISE = 1,  /* output element depends on the input elements at the same (broadcast) position only */
    MC_OP_SHAPE_GLUE = 2,   /* shape arithmetic; folded when its inputs are known */
    MC_OP_VIEW = 4,         /* output has the input's elements in the same order (Reshape, Squeeze, Identity ...) */
    MC_OP_NONDETERMINISTIC = 8,
    MC_OP_VALUE_SHAPED = 16, /* output shape depends on input values that are usually known only at run time */
    MC_OP_CONTROL = 32,      /* has subgraphs; run by the executor, forward is NULL */
    MC_OP_NO_FOLD = 64,      /* never constant-folded (DequantizeLinear on weights, ConstantOfShape of big sizes ...) */
    MC_OP_SURROGATE = 128    /* integer outputs that carry the gradient of what they stand for (QuantizeLinear) */
};
/* How the operator behaves when its tensors are quantized (quantizer, integer fusion). */
enum {
    MC_Q_NONE = 0,      /* stays float */
    MC_Q_WEIGHTED = 1,  /* input 0 activation, input 1 weight (constant), input 2 bias: Conv, Gemm, MatMul, ConvTranspose */
    MC_Q_PASS = 2,      /* moves elements only: runs on integers with the scale of its input (MaxPool, Reshape, Transpose...) */
    MC_Q_SHARED = 3,    /* all data inputs and the output share one scale (Concat) */
    MC_Q_ADD = 4,       /* Add: both inputs quantized, own scale each, output requantized */
    MC_Q_POOL = 5,      /* averages: AveragePool, GlobalAveragePool, ReduceMean over space */
    MC_Q_UNARY = 6      /* can be a 256-entry table: Sigmoid, Tanh, HardSwish, Gelu ... */
};

typedef struct mc_op_cost {
    double macs;  /* multiply-accumulates of the matrix part */
    double flops; /* everything else, per element operations */
} mc_op_cost;

/* What a gradient function sees and fills in: it emits nodes that compute the gradients of the wanted inputs (ops/grad.h). */
typedef struct mc_op_grad {
    mc_graph *g;
    const mc_node *node;
    mc_value *const *x; /* node->in, n_in of them (NULL: omitted) */
    mc_value *const *y; /* node->out */
    int32_t n_in, n_out;
    mc_value *dy[MC_OP_MAX_IO];  /* gradient of each output; NULL: nothing depends on it */
    mc_value *dx[MC_OP_MAX_IO];  /* to fill; NULL stays "no contribution" */
    uint8_t want[MC_OP_MAX_IO];  /* 1: dx[i] is asked for */
    int32_t status;
} mc_op_grad;

struct mc_axes;
typedef struct mc_op {
    const char *name;   /* ONNX name */
    const char *domain; /* "" or "mcomp" or "com.microsoft" */
    int32_t version;    /* internal version: the opset whose form (inputs/attributes) the graph uses */
    int32_t since;      /* lowest opset that has an operator of this internal form, for export */
    int32_t min_in, max_in, min_out, max_out; /* max -1: variadic */
    uint32_t traits;
    int32_t quant; /* MC_Q_* */
    int32_t (*infer)(mc_infer *c);
    int32_t (*forward)(const mc_op_run *r); /* NULL: cannot be run by reference */
    int32_t (*cost)(const mc_node *n, const mc_type *const *in, const mc_type *const *out, mc_op_cost *cost); /* NULL: 0 MACs,
                                                                              one flop an output element */
    int32_t (*gradient)(mc_op_grad *g); /* NULL: none */
    void (*axes)(struct mc_axes *a, const mc_node *n); /* how axes couple, ops/axes.h; NULL: elementwise operators broadcast, others pin */
    uint32_t shape_only; /* bit i: of input i only the shape is read; its memory may be gone when the node runs */
    /* Test cases, three strings each, NULL ends: attributes, inputs, outputs as tests/unit/ops/text_case.h reads them. For what
     * no ONNX backend case covers. NULL: none. */
    const char *const *cases;
} mc_op;

/* Tells graph/ how to find descriptors. Idempotent, thread-safe; every creator of graphs calls it (mc_op_find does too). */
void mc_ops_register(void);
/* Looks an operator up; NULL if unknown. */
const mc_op *mc_op_find(const char *domain, const char *name);
/* All descriptors, in table order; returns how many. */
int32_t mc_op_all(const mc_op *const **table);

/* Infers the types of one node's outputs from its inputs' types (and constants) and writes them to the values, merging
 * with what is already known (a contradiction is MCOMP_SHAPE/MCOMP_DTYPE). Subgraphs of If/Loop are inferred too. */
int32_t mc_infer_node(mc_graph *g, mc_node *n);
/* Whole graph, in order. Unknown operators leave unknown types. */
int32_t mc_infer_graph(mc_graph *g);
/* What is known of the elements of v (n = -1: nothing), by asking its producers, a bounded number of them. */
void mc_infer_data(mc_graph *g, const mc_value *v, mc_shape_data *out);
/* MACs and flops of one node with known types; zero where unknown. */
int32_t mc_op_count(const mc_node *n, mc_op_cost *cost);
/* Infers output types from concrete input tensors (all values known), then runs the reference; outputs are created.
 * For constant folding, the interpreter and tests. out[k] NULL for omitted outputs. */
int32_t mc_op_eval(const mc_node *n, int32_t n_in, const mc_tensor *const *in, mc_tensor **out);
/* The same with a limit on the bytes of each output (MCOMP_LIMIT before anything is allocated); mc_op_eval's is 16 GiB. */
int32_t mc_op_eval_limit(const mc_node *n, int32_t n_in, const mc_tensor *const *in, uint64_t max_bytes, mc_tensor **out);

/* ---- shared pieces of the reference code (ops_util.c) ---- */
/* Convolution / pooling geometry of one node on concrete shapes: NCHW spatial rank 1..3. */
typedef struct mc_window {
    int32_t spatial;          /* number of spatial axes */
    int64_t in[3], out[3], kernel[3], stride[3], dilation[3], pad_begin[3], pad_end[3];
    int64_t group;
} mc_window;
/* Reads kernel_shape (or weight dims), strides, dilations, pads, auto_pad, ceil_mode; checks that nothing is zero or negative.
 * x: input dims N,C,spatial...; unknown dims allowed (out = -1 then). kernel: from the weight's dims or NULL. */
int32_t mc_window_read(const mc_node *n, const mc_type *x, const int64_t *kernel, mc_window *w);
/* Activation of a fused operator: attribute `attr` ("act" or "post_act") of n -> MCOMP_ACT_*, NONE when absent; -1 unknown name. */
int32_t mc_act_read(const mc_node *n, const char *attr);

#include "ops/axes.h"

#endif
