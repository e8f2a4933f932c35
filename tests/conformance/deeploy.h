/* deeploy.h - the training cases of the deeploy-cct archive (README of the data folder, 3.3): reading them, running graphs on
 * them with the references and with a session, comparing. Every function fails the running test by itself. */
#ifndef MC_CONFORMANCE_DEEPLOY_H
#define MC_CONFORMANCE_DEEPLOY_H

#include "data/internal.h"
#include "support/interp.h"
#include "support/support.h"

#define DP_IO 96

/* Unpacks the archive below dir once and returns the folder it is in; NULL: no data. Before any test runs. */
const char *dp_unpack(const char *dir);

typedef struct dp_case {
    char dir[600]; /* holds network.onnx, inputs.npz, outputs.npz */
    mc_arrays in, out;
} dp_case;
void dp_open(dp_case *c, const char *dir);
void dp_close(dp_case *c);
/* Array of this name, and array k of mini-batch b (arr_000k, mb<b>_arr_000k). NULL when there is none. */
const mc_tensor *dp_find(const mc_arrays *a, const char *name);
const mc_tensor *dp_at(const mc_arrays *a, int b, int k);

/* Ready to run one graph often: by the references (fast 0) or by a session. */
typedef struct dp_runner dp_runner;
dp_runner *dp_runner_open(const mc_graph *g, int fast);
/* in: one tensor an input of the graph; out: one new tensor an output. */
void dp_run(dp_runner *r, mc_tensor *const *in, mc_tensor **out);
void dp_runner_close(dp_runner *r);

/* |got - want| <= atol + rtol |want|; returns the largest difference. */
double dp_compare(const char *what, const mc_tensor *got, const mc_tensor *want, double rtol, double atol);

#endif
