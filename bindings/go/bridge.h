/* bridge.h - between Go and libmcomp: errors copied in the call that failed, and callbacks that end in Go.
 *
 * An error or panic of a Go callback waits, as a cgo.Handle, in thread-local storage until the C call it interrupted has returned:
 * that is on the same thread, since Go locks a goroutine to it while C runs. */
#ifndef MCOMP_GO_BRIDGE_H
#define MCOMP_GO_BRIDGE_H

#include <mcomp/mcomp.h>
#include <stdlib.h>

typedef struct mcgo_error {
    mcomp_error record;
    uintptr_t cause; /* handle of a Go error, or 0 */
} mcgo_error;

/* Around every fallible call; calls nest, since a callback may call the library. enter returns what leave wants back. */
uintptr_t mcgo_enter(void);
int32_t mcgo_leave(mcgo_error *error, uintptr_t outer, int32_t status);
/* Keeps the first error of the running call; 0 if there is one already (the caller frees the handle then). */
int32_t mcgo_keep(uintptr_t cause);

int32_t mcgo_context_create(mcgo_error *error, mcomp_context **out, mcomp_context_options *options, uintptr_t handle, int32_t progress,
                            int32_t log);
int32_t mcgo_dataset_create(mcgo_error *error, mcomp_dataset **out, mcomp_context *ctx, const mcomp_graph *g, int64_t samples,
                            uintptr_t handle);
int32_t mcgo_graph_unsupported(mcgo_error *error, const mcomp_graph *g, uintptr_t handle);

/* options is copied, with the callback set when progress is 1. */
int32_t mcgo_trainer_create(mcgo_error *error, mcomp_trainer **out, mcomp_context *ctx, const mcomp_graph *g, const mcomp_trainer_options *options,
                            uintptr_t handle, int32_t progress);

/* What a tensor is, told in one crossing. */
typedef struct mcgo_view {
    const int64_t *dims;
    void *data;
    uint64_t bytes;
    int32_t dtype, rank;
} mcgo_view;
void mcgo_look(const mcomp_tensor *t, mcgo_view *view);

/* Runs, and copies output i into copies[i], which is made where it is NULL and made again where its type or shape is another; views[i] tells
 * what it is: one crossing from Go. exec is void *, as cgo allocates to check pointers to incomplete structs. The copies are the caller's
 * to destroy, whatever the status. */
int32_t mcgo_exec_run(mcgo_error *error, void *exec, int32_t n_inputs, const mcomp_tensor *const *inputs, int32_t n_outputs,
                      const mcomp_tensor **outputs, mcomp_tensor **copies, mcgo_view *views);

#endif
