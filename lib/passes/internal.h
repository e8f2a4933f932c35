/* passes/internal.h - private to the room: type questions, building and replacing nodes, constants, layout glue.
 *
 * Rewrites are made in three steps: mc_rewrite_begin (node, no types yet), attributes, mc_rewrite_end (types, uses, names).
 */
#ifndef MC_PASSES_INTERNAL_H
#define MC_PASSES_INTERNAL_H

#include "passes/passes.h"

#define MC_PASS(symbol, file, stages) int32_t mc_pass_##symbol(mc_graph *g, const mc_pass_options *o);
#include "passes/passes.def"
#undef MC_PASS

#define MC_NO_DIM INT64_MIN

/* ---- questions (match.c) ---- */
int mc_types_equal(const mc_type *a, const mc_type *b); /* dims (mc_dims_equal) and dtype */
int64_t mc_dim_at(const mc_value *v, int32_t axis);     /* negative axes count from the end; MC_NO_DIM when not there */
mc_node *mc_made_by(const mc_value *v, const char *op); /* producer if it is this operator of the default domain */
mc_node *mc_made_in(const mc_value *v, const char *domain, const char *op);
int mc_is_f32(const mc_value *v);
/* One axis -> [0, rank), or -1. */
int32_t mc_axis_of(int64_t axis, int32_t rank);
/* perm attribute of a Transpose (reversal when absent); 0 when the rank is unknown or the attribute is broken. */
int mc_perm_of(const mc_node *n, int64_t perm[MC_MAX_RANK], int32_t *rank);
int mc_perm_is(const mc_node *n, int32_t rank, const int64_t *want);
/* Small constant integer list (1-d or scalar): 1 and *count, or 0. */
int mc_const_ints(const mc_value *v, int64_t *out, int32_t cap, int32_t *count);
/* Axes of a reduction: input 1 (or attribute), normalised and sorted; 0 if unknown. No axes: all (unless noop). */
int mc_reduce_axes(const mc_node *n, int64_t axes[MC_MAX_RANK], int32_t *count);
/* Constant with `n` elements that broadcasts along `axis` of a tensor of rank `rank` only (all its other dims are 1). */
int mc_const_along(const mc_value *v, int32_t rank, int32_t axis, int64_t n);
/* Product tree: v = coef * factor[0] * ... ; looks through Mul, Div by constants, Neg and small integer Pow. */
#define MC_FACTORS 8
typedef struct mc_product {
    double coef; /* start with 1 */
    int32_t n;
    mc_value *factor[MC_FACTORS];
    const mc_value *whole; /* is a factor even where it is a product itself; may be NULL */
} mc_product;
void mc_product_of(mc_value *v, int32_t depth, mc_product *p);
/* 1 if v = coef * x^power (coefficient within 1e-4). */
int mc_is_monomial(mc_value *v, double coef, const mc_value *x, int32_t power);
/* v without Reshape, Squeeze, Unsqueeze, Expand in front of it (the caller checks shapes). */
mc_value *mc_peel_views(mc_value *v);
/* Nobody reads the outputs of n (left over from a rewrite). */
int mc_is_unused(const mc_node *n);
/* v = x + c with a constant scalar c: x, else NULL. */
mc_value *mc_sum_with_scalar(const mc_value *v, double *c);
/* Nodes between `from` (exclusive) and the stops/constants/inputs, following data inputs only. -1 if more than cap. */
int32_t mc_match_cone(mc_value *from, mc_value *const *stops, int32_t n_stops, mc_node **set, int32_t cap);
/* All nodes of the cone leave their names to n. */
int32_t mc_inherit_cone(mc_node *n, mc_value *from, mc_value *const *stops, int32_t n_stops);
/* The cone ends at the stops alone, and nothing inside is used elsewhere. */
int mc_match_cone_closed(mc_value *from, mc_value *const *stops, int32_t n_stops);

/* ---- building (rewrite.c) ---- */
int32_t mc_rewrite_begin(mc_graph *g, const char *domain, const char *op, const char *origin, const mc_node *named_after,
                         int32_t n_in, mc_value *const *in, mc_node **out);
/* Types n, then every use of old becomes output 0 of n, which also takes old's type where it says more. */
int32_t mc_rewrite_end(mc_graph *g, mc_node *n, const mc_node *replaced, mc_value *old);
/* All uses of old become v (the producer of v inherits the name of old's producer). 0 in *done when old is a graph output
 * that cannot take over v's place (v is an input or an output itself). */
int32_t mc_bypass(mc_graph *g, mc_node *n, mc_value *v, int32_t *done);
/* u (the only user of n's output 0) is now part of n: its output becomes n's, u dies. */
int32_t mc_absorb(mc_graph *g, mc_node *n, mc_node *u, const char *origin);
/* Constants. f32: copied. shared: same memory under another shape (same number of elements). */
int32_t mc_const_f32(mc_graph *g, const char *name, const float *v, int64_t n, mc_value **out);
int32_t mc_const_shared(mc_graph *g, const char *name, const mc_tensor *t, const mc_shape *shape, mc_value **out);
int32_t mc_const_permuted(mc_graph *g, const char *name, const mc_tensor *t, const int64_t *perm, mc_value **out);
/* Any numeric constant as n f32 values (one element: repeated). Caller frees. */
int32_t mc_const_floats(const mc_value *v, int64_t n, float **out);
/* Constant int64 shape that makes Reshape turn `from` into `to`; *out = NULL when symbols prevent it. */
int32_t mc_shape_const(mc_graph *g, const mc_type *from, const mc_type *to, mc_value **out);
/* NCHW <-> NHWC for rank 3 (one spatial axis) to 5; perm to be used with mc_transposed. */
void mc_channels_last_perm(int32_t rank, int64_t perm[MC_MAX_RANK]);
void mc_channels_first_perm(int32_t rank, int64_t perm[MC_MAX_RANK]);
/* Window attributes of a Conv or pool, auto_pad resolved into pads; possible when mc_window_is_explicit. */
int mc_window_is_explicit(const mc_node *n);
int32_t mc_copy_window(mc_node *to, const mc_node *from);
/* Constant f32 list that broadcasts along the last axis (or one number) as a [n] value; *out = NULL if it does not. */
int32_t mc_const_vector(mc_graph *g, const mc_value *v, int32_t rank, int64_t n, double factor, mc_value **out);
/* v seen through a new Transpose / Reshape (or v itself when nothing changes). Reshape: *out = NULL when not expressible. */
int32_t mc_transposed(mc_graph *g, const char *origin, mc_value *v, int32_t rank, const int64_t *perm, mc_value **out);
int32_t mc_reshaped(mc_graph *g, const char *origin, mc_value *v, const mc_type *to, mc_value **out);

/* ---- moving a Transpose through a node (layout_ops.c) ---- */
typedef struct mc_layout {
    mc_graph *g;
    mc_node *t, *u;  /* u reads t's output as input `index` */
    int32_t index, rank;
    int64_t perm[MC_MAX_RANK], inverse[MC_MAX_RANK];
} mc_layout;
/* Rewrites u to read t's input; its results are transposed instead. 0 in *moved when u is not such an operator. */
int32_t mc_layout_move(mc_layout *l, int32_t *moved);

/* ---- quantization parameters (quantized.c) ---- */
typedef struct mc_qdq { /* one scale a tensor */
    float scale;
    int32_t zp, dtype; /* MCOMP_U8 or MCOMP_I8 */
} mc_qdq;
/* v = DequantizeLinear(q) of a u8/s8 value that is no constant: q, else NULL. */
mc_value *mc_dequantized(const mc_value *v, mc_qdq *p);
/* n is a QuantizeLinear to u8/s8 with constant parameters. */
int mc_quantizes(const mc_node *n, mc_qdq *p);
int mc_qdq_equal(const mc_qdq *a, const mc_qdq *b);
int32_t mc_node_set_qdq(mc_node *n, const char *prefix, const mc_qdq *p); /* attributes PREFIX_scale, PREFIX_zp, PREFIX_dtype */
mc_qdq mc_node_get_qdq(const mc_node *n, const char *prefix);
void mc_node_drop_qdq(mc_node *n, const char *prefix);
/* Weight behind DequantizeLinear(constant s8, or u8 around 128; one scale, or one a slice along `axis`): an s8 constant of the
 * same shape and [n] scales. *w = NULL when it is anything else. */
int32_t mc_integer_weight(mc_graph *g, const mc_value *v, int32_t axis, mc_value **w, mc_value **scale);
/* The same for a bare constant with its scale and zero point values (MatMulInteger); scale NULL: not made. */
int32_t mc_symmetric_s8(mc_graph *g, const mc_value *q, const mc_value *zp, mc_value **w);
/* Weights around any zero point (one, or one a slice along `axis`): w + rest = q - zp; rest NULL where w is all of it. *w = NULL when q
 * is no such constant. */
int32_t mc_split_s8(mc_graph *g, const mc_value *q, const mc_value *zp, int32_t axis, mc_value **w, mc_value **rest);
/* f32 [n] behind a constant or DequantizeLinear(int32 constant); *b = NULL when it is anything else. */
int32_t mc_real_bias(mc_graph *g, const mc_value *v, int64_t n, mc_value **b);

/* Default options when the caller has none. */
const mc_pass_options *mc_pass_options_or_default(const mc_pass_options *o);

#endif
