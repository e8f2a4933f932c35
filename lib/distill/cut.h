/* distill/cut.h - private: a student cut from the teacher. cut.c reads the description and puts the parts together; cut_find.c recognises
 * the layers, cut_axis.c follows an axis through the graph and takes a part of it, cut_vocab.c takes a part of the vocabulary. */
#ifndef MC_DISTILL_CUT_H
#define MC_DISTILL_CUT_H

#include "distill/distill.h"

/* One encoder layer of the working graph: stream -> attention -> feed-forward -> out. */
typedef struct mc_layer {
    mc_value *stream, *out;       /* [B,S,H] on its way in and out, residual included */
    mc_value *q, *k, *v, *context; /* [B,S,heads * D]: after the products with their biases; in front of the output product */
    int64_t heads, width;          /* width of one head, D */
    mc_node *up;                   /* MatMul of the feed-forward part, H -> F */
} mc_layer;

typedef struct mc_encoder_map {
    mc_layer *layers;
    int64_t n;
    int64_t hidden;
} mc_encoder_map;
/* UNSUPPORTED says what does not look like an encoder. The graph has been through the LOAD, SHAPE and FUSE passes. */
int32_t mc_cut_find(mc_encoder_map *out, mc_graph *g);

/* ---- an axis and everything that is tied to it ---- */

typedef struct mc_axis_part { /* a constant with the axis */
    mc_value *v;
    int32_t axis;
} mc_axis_part;
typedef struct mc_axis {
    mc_graph *g;
    int64_t size;
    mc_value **values; /* whose last axis it is */
    int64_t n_values, cap_values;
    mc_axis_part *parts;
    int64_t n_parts, cap_parts;
} mc_axis;
/* Follows the last axis of v through everything that keeps it, both ways, up to products that make it or use it up and up to stop (NULL:
 * none; a value that the walk does not pass). UNSUPPORTED names a node that it cannot be followed through. */
int32_t mc_axis_follow(mc_axis *a, mc_graph *g, mc_value *v, mc_value *const *stop, int32_t n_stop);
int mc_axis_has(const mc_axis *a, const mc_value *v);
void mc_axis_free(mc_axis *a);
/* Importance of each index by the weights: the sum over the constants of the square of its slice, each constant counting alike. */
int32_t mc_axis_scores(const mc_axis *a, double *score);
/* Keeps the `count` indices keep[] (ascending) of every constant. */
int32_t mc_axis_take(const mc_axis *a, const int64_t *keep, int64_t count);
/* The `count` best of n indices, ascending; equal ones: the lower. */
int32_t mc_best_of(const double *score, int64_t n, int64_t count, int64_t *keep);

/* Keeps the `count` most important heads of a layer. */
int32_t mc_cut_heads(mc_graph *g, const mc_layer *l, int64_t count);

/* ---- vocabulary ---- */

/* Keeps about `size` rows of the table that the ids go into: those needed and the most frequent in the data. */
int32_t mc_cut_vocab(mcomp_tokenizer **out, mc_graph *g, int64_t size, mcomp_dataset *data);

#endif
