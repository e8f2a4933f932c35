/* ops/internal.h - private to the room: inference scopes, shape data helpers, strided walks, checks that many operators share. */
#ifndef MC_OPS_INTERNAL_H
#define MC_OPS_INTERNAL_H

#include "ops/ops.h"

/* ---- inference ------------------------------------------------------------------------------------------------- */

/* One graph being inferred; subgraphs have their parent's scope behind them, so that captured constants and shape data
 * are seen. data: what is known of each value (by id), filled in graph order; NULL when a single node is inferred: then
 * data is found by a bounded walk to the producers. */
typedef struct mc_scope {
    mc_graph *g;
    struct mc_scope *parent;
    mc_shape_data **data;
    int64_t n_data;
    int32_t budget; /* producers that a walk may still visit */
    int32_t depth;  /* nesting of subgraphs */
} mc_scope;

/* Everything one call of an infer function needs, too large for the stack of a recursion. */
typedef struct mc_infer_box {
    mc_infer c;
    mc_shape_data in_data[MC_OP_MAX_IO], out_data[MC_OP_MAX_IO];
} mc_infer_box;

#define MC_WALK_BUDGET 64
#define MC_SUBGRAPH_DEPTH 64
/* Stands for "some dim" when there is no graph to make a symbol in; never stored in a graph. */
#define MC_DIM_ANONYMOUS (-((int64_t)1 << 39))

/* Fills the box for one node and runs its infer function; symbols: the graph to make symbols in, or NULL. */
int32_t mc_infer_run(mc_scope *s, const mc_node *n, mc_graph *symbols, mc_infer_box *box);
int32_t mc_check_arity(const mc_node *n, int32_t n_in);
/* Whole graph of a scope (subgraphs included). */
int32_t mc_infer_scope(mc_scope *s);
/* The constant behind a value, through captures and Constant nodes. */
const mc_tensor *mc_scope_const(const mc_scope *s, const mc_value *v);
/* What is known of v's elements; n = -1 when nothing is. */
void mc_scope_data(mc_scope *s, const mc_value *v, mc_shape_data *out);
void mc_data_from_tensor(const mc_tensor *t, mc_shape_data *out);
int32_t mc_scope_remember(mc_scope *s, const mc_value *v, const mc_shape_data *d);
void mc_scope_free(mc_scope *s);
/* Types across the border of a subgraph: symbols are matched by name, anonymous ones of the outer graph keep a mark. */
int32_t mc_type_into(mc_graph *sub, const mc_graph *outer, const mc_type *t, mc_type *out);
int32_t mc_type_out_of(const mc_graph *sub, mc_graph *outer, const mc_type *t, mc_type *out);
int32_t mc_dim_into(mc_graph *sub, const mc_graph *outer, int64_t dim, int64_t *out);

/* ---- for infer functions --------------------------------------------------------------------------------------- */

static inline int64_t mc_data_of_dim(int64_t dim) { return dim >= 0 ? dim : dim == MC_DIM_ANONYMOUS ? MC_DATA_UNKNOWN : MC_DATA_SYMBOL(dim); }
/* Number or symbol -> dim; unknown -> a fresh symbol. Negative numbers are the caller's business. */
int64_t mc_data_to_dim(mc_infer *c, int64_t v);
/* out_data[k] = data[i] (operators that keep the elements). */
void mc_infer_copy_data(mc_infer *c, int32_t k, int32_t i);
/* Sets output k: rank, and room for dims that the caller fills; MCOMP_LIMIT above MC_MAX_RANK. */
int32_t mc_infer_set_rank(mc_infer *c, int32_t k, int64_t rank);
/* dtype of input i must be one of a class, else MCOMP_DTYPE. Unknown passes. */
enum { MC_CLASS_FLOAT = 1, MC_CLASS_INT = 2, MC_CLASS_BOOL = 4, MC_CLASS_NUMBER = 3, MC_CLASS_ANY = 8 };
int32_t mc_infer_check(const mc_infer *c, int32_t i, uint32_t classes);
/* Inputs first..last have the same dtype where known (MCOMP_DTYPE otherwise); the known one goes to *dtype (0 if none). */
int32_t mc_infer_one_dtype(const mc_infer *c, int32_t first, int32_t last, int32_t *dtype);
/* 1 if the input is there. */
static inline int mc_has(const mc_infer *c, int32_t i) { return i < c->n_in && c->in[i]; }
static inline const mc_tensor *mc_cst(const mc_infer *c, int32_t i) { return i < c->n_in ? c->cst[i] : NULL; }
static inline const mc_tensor *mc_in(const mc_op_run *r, int32_t i) { return i < r->n_in ? r->in[i] : NULL; }

/* ---- strided walks (walk.c) ------------------------------------------------------------------------------------- */

/* Visits an index space row by row; off[k] is the element offset of operand k at the start of the row, step[k] its stride
 * along the row of `inner` elements. Neighbouring axes are merged where all operands allow it. */
#define MC_WALK_OPERANDS 4
typedef struct mc_walk {
    int32_t n, rank; /* rank counts the outer axes that are left */
    int64_t inner, rows;
    int64_t dim[MC_MAX_RANK], at[MC_MAX_RANK];
    int64_t stride[MC_WALK_OPERANDS][MC_MAX_RANK];
    int64_t off[MC_WALK_OPERANDS], step[MC_WALK_OPERANDS];
} mc_walk;
void mc_walk_init(mc_walk *w, const mc_shape *space, int32_t n, int64_t stride[][MC_MAX_RANK]);
/* Operand 0 is contiguous over `space`; operands 1.. are the tensors broadcast to it (MCOMP_SHAPE when they do not). */
int32_t mc_walk_broadcast(mc_walk *w, const mc_op_run *r, const mc_shape *space, int32_t n, const mc_tensor *const *t);
void mc_walk_next(mc_walk *w); /* to the next row */
#define MC_WALK_ROWS(w) for (int64_t row_ = 0; row_ < (w)->rows; row_++, mc_walk_next(w))

/* Copies elements over an index space: to[to_off + sum i*to_stride] = from[...]. Same dtype, any size of element. */
void mc_move(mc_tensor *to, int64_t to_off, const int64_t *to_stride, const mc_tensor *from, int64_t from_off,
             const int64_t *from_stride, const mc_shape *space);
void mc_contiguous_strides(const mc_shape *s, int64_t stride[MC_MAX_RANK]);
/* Element `from_i` of one tensor to element `to_i` of another of the same dtype. */
void mc_move_one(mc_tensor *to, int64_t to_i, const mc_tensor *from, int64_t from_i);
int32_t mc_move_broadcast(const mc_op_run *r, mc_tensor *to, const mc_tensor *from);
/* Same elements in the same order (views). */
void mc_move_all(mc_tensor *to, const mc_tensor *from);
/* to[i, j, ..] = from[map0[i], map1[j], ..], or fill[0] where a map says -1 (fill may be NULL when none does). */
void mc_move_mapped(mc_tensor *to, const mc_tensor *from, const int64_t *const *map, const mc_tensor *fill);
/* Output k must have this shape (the plan may have assumed another one): MCOMP_SHAPE. */
int32_t mc_run_expect(const mc_op_run *r, int32_t k, const mc_shape *want);

#endif
