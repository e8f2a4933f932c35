/* ops/axes.h - how axes depend on one another: what must be cut together when part of an axis is removed.
 *
 * Every position of every axis of known length has a label; operators tie labels (the outputs of a product with those of its bias, of the
 * next normalization, of the next product's inputs) or pin them (graph inputs and outputs, axes that are summed over by a softmax,
 * whatever an unknown operator touches). What is tied and not pinned can be removed as one unit. Union-find over positions, after the
 * dependency graph of Fang et al., "DepGraph", 2023, on the graph itself instead of a trace.
 *
 * An operator says what it does in `axes` of its row (NULL: elementwise operators tie what they broadcast; all others pin). Functions are
 * called twice, in graph order; they must be idempotent. Allocation failures are sticky in the handle.
 */
#ifndef MC_OPS_AXES_H
#define MC_OPS_AXES_H

#include "ops/ops.h"

typedef struct mc_axes mc_axes;

/* Types of the graph must be inferred, constants present. */
int32_t mc_axes_build(mc_axes **out, const mc_graph *g);
void mc_axes_free(mc_axes *a);

/* ---- for operators ---- */
int32_t mc_axes_round(const mc_axes *a);                            /* 0 or 1: the first or the second call */
int64_t mc_axes_length(const mc_axes *a, const mc_value *v, int32_t axis); /* -1: not labelled */
/* Positions fx, fx + 1, ... of x's axis are those fy, fy + 1, ... of y's, n of them. An unlabelled side pins the other. */
void mc_axes_tie(mc_axes *a, const mc_value *x, int32_t ax, int64_t fx, const mc_value *y, int32_t ay, int64_t fy, int64_t n);
/* The whole axes; a length of 1 against another one ties nothing and pins itself. */
void mc_axes_same(mc_axes *a, const mc_value *x, int32_t ax, const mc_value *y, int32_t ay);
void mc_axes_pin(mc_axes *a, const mc_value *v, int32_t axis);
void mc_axes_pin_all(mc_axes *a, const mc_value *v);
int mc_axes_pinned(const mc_axes *a, const mc_value *v, int32_t axis); /* 1 if any position is */
/* Pins every axis of every input and output. */
void mc_axes_pin_node(mc_axes *a, const mc_node *n);
/* Inputs 0..n_in-1 and output 0 broadcast. */
void mc_axes_broadcast(mc_axes *a, const mc_node *n, int32_t n_in);

/* Shared by rows of the table (axes_nn.c, axes_move.c). */
void mc_axes_matmul(mc_axes *a, const mc_node *n);
void mc_axes_gemm(mc_axes *a, const mc_node *n);
void mc_axes_conv(mc_axes *a, const mc_node *n);
void mc_axes_conv_transpose(mc_axes *a, const mc_node *n);
void mc_axes_channel_norm(mc_axes *a, const mc_node *n); /* axis 1 of x with inputs 1.. of one axis */
void mc_axes_pool(mc_axes *a, const mc_node *n);         /* the first two axes */
void mc_axes_along(mc_axes *a, const mc_node *n);        /* attribute axis (-1) is pinned: Softmax */
void mc_axes_row_norm(mc_axes *a, const mc_node *n);     /* attribute axis and those after it */
void mc_axes_reduce(mc_axes *a, const mc_node *n);
void mc_axes_transpose(mc_axes *a, const mc_node *n);
void mc_axes_reshape(mc_axes *a, const mc_node *n);      /* any operator that keeps the elements in their order */
void mc_axes_concat(mc_axes *a, const mc_node *n);
void mc_axes_split(mc_axes *a, const mc_node *n);
void mc_axes_slice(mc_axes *a, const mc_node *n);
void mc_axes_gather(mc_axes *a, const mc_node *n);
void mc_axes_qdq(mc_axes *a, const mc_node *n);
void mc_axes_shape(mc_axes *a, const mc_node *n);        /* reads sizes only: ties and pins nothing */

/* ---- for the pruner ---- */

/* One member of a unit: position `at` of an axis of a constant. */
typedef struct mc_axis_member {
    const mc_value *value;
    int32_t axis;
    int64_t at;
} mc_axis_member;
/* Units that touch the same axes of the same constants in the same number. */
enum { MC_AXIS_CHANNEL, MC_AXIS_FFN, MC_AXIS_HEAD };
typedef struct mc_axis_group {
    char *name;      /* of the node that reads the first member */
    int32_t kind;    /* CHANNEL: holds a convolution's weights; HEAD: several positions of an axis a unit; FFN: the others */
    int64_t units, width; /* members a unit */
    mc_axis_member *members; /* [units][width], in the order of axes and positions */
} mc_axis_group;
typedef struct mc_axis_groups {
    mc_axis_group *v;
    int64_t n, cap;
} mc_axis_groups;
/* Groups that touch at least two weights of two or more axes, in graph order. */
int32_t mc_axes_groups(mc_axis_groups *out, const mc_axes *a, const mc_graph *g);
void mc_axis_groups_free(mc_axis_groups *g);
const char *mc_axis_kind_name(int32_t kind);
/* What is left of an axis once units are gone: keep[i] = 0 for positions of units that are marked. */
uint8_t *mc_axes_marks(const mc_axes *a); /* a zeroed array for mc_axes_mark; NULL without memory */
void mc_axes_mark(const mc_axes *a, uint8_t *marks, const mc_axis_member *m); /* the unit of m is gone */
int64_t mc_axes_kept(const mc_axes *a, const uint8_t *marks, const mc_value *v, int32_t axis, uint8_t *keep); /* how many; keep may be NULL */
/* Number of the unit that a position belongs to, -1 if it is pinned or has no label. */
int64_t mc_axes_unit(const mc_axes *a, const mc_value *v, int32_t axis, int64_t at);

#endif
