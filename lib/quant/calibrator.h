/* quant/calibrator.h - private: the calibrator and its file. */
#ifndef MC_QUANT_CALIBRATOR_H
#define MC_QUANT_CALIBRATOR_H

#include <mcomp/calibrator.h>

#include "graph/graph.h"
#include "quant/ranges.h"

#define MC_CALIB_LABELS 65536 /* distinct labels remembered */

typedef struct mc_calib_tensor {
    char *name;
    int32_t axis; /* channel axis of the tensor, -1: none */
    mc_sketch total, pending; /* pending: the sample that runs now; bin NULL when there is no graph */
} mc_calib_tensor;

struct mcomp_calibrator {
    mcomp_context *ctx;
    mc_graph *g; /* after the load stage, with Observe nodes; NULL: merge and inspection only */
    mcomp_session *session; /* made at the first sample */
    mcomp_exec *exec;
    const mcomp_tensor **outputs;
    char fingerprint[33]; /* of the model as it was given */
    mc_calib_tensor *tensor;
    int64_t n, cap;
    mc_map *names; /* tensor name -> index */
    int64_t *labels; /* sorted */
    int64_t n_labels, cap_labels;
    int64_t samples, skipped;
    int32_t bad; /* the running sample has a value that is not finite */
};

/* Hash over structure and weights: 32 hex digits. */
void mc_calib_fingerprint(const mc_graph *g, char out[33]);
int32_t mc_calib_new(mcomp_calibrator **out, mcomp_context *ctx);
/* The tensor's entry, made when there is none. channels: 0 or the number of channels. */
int32_t mc_calib_tensor_add(mcomp_calibrator *c, const char *name, int32_t axis, int32_t channels, int64_t *index);
int32_t mc_calib_label_add(mcomp_calibrator *c, int64_t label);
int64_t mc_calib_classes(const mcomp_calibrator *c); /* of the model, coverage.c */
/* Sketch of a tensor; NULL when there is none. */
const mc_sketch *mc_calibrator_sketch(const mcomp_calibrator *c, const char *tensor);
/* Chooses the tensors and puts the Observe nodes into c->g. */
int32_t mc_calib_tap(mcomp_calibrator *c);

#endif
