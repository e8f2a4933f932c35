/* train/build.h - private: models from a short description (builders.def: one file builders/build_<kind>.c and one row a kind).
 *
 * A builder emits ONNX operators with weights drawn from the counter-based generator, each from its own stream, so that the same seed
 * gives the same bytes. Emitting is sticky: after a failure every function returns NULL and `status` tells why.
 */
#ifndef MC_TRAIN_BUILD_H
#define MC_TRAIN_BUILD_H

#include <mcomp/build.h>

#include "train/train.h"

typedef struct mc_build_spec { /* 0: not given; the builder fills in its default */
    int64_t layers, hidden, heads, ffn, vocab, length, classes, channels;
    double dropout;       /* negative: not given */
    int64_t image[3], features, pad;
    int32_t tokens;
} mc_build_spec;

typedef struct mc_builder {
    mc_graph *g;
    mc_build_spec s;
    uint64_t seed, stream;
    int32_t status;
} mc_builder;

typedef struct mc_kind {
    const char *name;
    void (*build)(mc_builder *b); /* adds inputs, nodes and outputs */
    int32_t text, epochs, batch;
    double lr;
} mc_kind;

/* ---- what builders write with (builder.c) ---- */
mc_value *mc_b_fail(mc_builder *b, int32_t code, const char *where, const char *fmt, ...) __attribute__((format(printf, 4, 5)));
mc_value *mc_b_input(mc_builder *b, const char *name, int32_t dtype, int32_t rank, const int64_t *dims); /* dim -1: batch, -2: sequence */
void mc_b_output(mc_builder *b, mc_value *v, const char *name);
mc_value *mc_b_op(mc_builder *b, const char *op, const char *name, int32_t n, mc_value *const *in); /* output 0 */
mc_value *mc_b_1(mc_builder *b, const char *op, mc_value *x);
mc_value *mc_b_2(mc_builder *b, const char *op, mc_value *x, mc_value *y);
mc_value *mc_b_int(mc_builder *b, mc_value *v, const char *attr, int64_t i);                      /* on the producer of v */
mc_value *mc_b_ints(mc_builder *b, mc_value *v, const char *attr, int64_t n, const int64_t *i);
mc_value *mc_b_float(mc_builder *b, mc_value *v, const char *attr, double f);
mc_value *mc_b_scalar(mc_builder *b, double v);
mc_value *mc_b_list(mc_builder *b, int64_t n, const int64_t *v);
/* Weights: normal with this deviation (cut at two deviations), uniform in +-scale, or filled with a value. */
mc_value *mc_b_normal(mc_builder *b, const char *name, int32_t rank, const int64_t *dims, double deviation);
mc_value *mc_b_uniform(mc_builder *b, const char *name, int32_t rank, const int64_t *dims, double scale);
mc_value *mc_b_filled(mc_builder *b, const char *name, int32_t rank, const int64_t *dims, double value);
/* x W + b on the last axis: names NAME.weight [in, out], NAME.bias. */
mc_value *mc_b_dense(mc_builder *b, const char *name, mc_value *x, int64_t in, int64_t out, double deviation);
mc_value *mc_b_layer_norm(mc_builder *b, const char *name, mc_value *x, int64_t n);
/* Convolution without bias, BatchNormalization, Relu; He initialisation. relu 0: without the last. */
mc_value *mc_b_conv_bn(mc_builder *b, const char *name, mc_value *x, int64_t in, int64_t out, int64_t kernel, int64_t stride, int64_t group, int relu);
mc_value *mc_b_dropout(mc_builder *b, mc_value *x); /* an ordinary Dropout: trained, and removed from what is run */
mc_value *mc_b_reshape(mc_builder *b, mc_value *x, int64_t n, const int64_t *dims);
mc_value *mc_b_transpose(mc_builder *b, mc_value *x, int32_t rank, const int64_t *perm);
/* input_ids [batch, sequence] through an embedding table NAME.weight [vocab, width]. */
mc_value *mc_b_embed(mc_builder *b, const char *name, mc_value *ids, int64_t rows, int64_t width, double deviation);
mc_value *mc_b_real(mc_builder *b, mc_value *ids); /* float [batch, sequence]: 1 where the id is not padding */
/* Pre-norm transformer layer of width `hidden`; bias is added to the scores [batch, heads, sequence, sequence]. */
mc_value *mc_b_block(mc_builder *b, int64_t layer, mc_value *x, mc_value *bias, double residual_deviation);
int64_t mc_b_default(int64_t given, int64_t otherwise);
/* Name with a number: "encoder.layer.%lld.x". Static buffers, 8 in rotation. */
const char *mc_b_name(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
