/* bridge.c - what cannot be said in Go: thread-local errors, addresses of exported functions, a run in one crossing. */
#include "bridge.h"

#include <string.h>

#include "_cgo_export.h"

static __thread uintptr_t pending;

uintptr_t mcgo_enter(void)
{
    uintptr_t outer = pending;
    pending = 0;
    return outer;
}

int32_t mcgo_leave(mcgo_error *error, uintptr_t outer, int32_t status)
{
    if (status < 0) {
        error->record.size = sizeof error->record;
        mcomp_error_get(&error->record);
    }
    error->cause = pending;
    pending = outer;
    return status;
}

int32_t mcgo_keep(uintptr_t cause)
{
    if (pending)
        return 0;
    pending = cause;
    return 1;
}

static int32_t progress(void *payload, const char *stage, double fraction)
{
    return goProgress((uintptr_t)payload, (char *)stage, fraction);
}

static void log_line(void *payload, int32_t level, const char *text)
{
    goLog((uintptr_t)payload, level, (char *)text);
}

int32_t mcgo_context_create(mcgo_error *error, mcomp_context **out, mcomp_context_options *options, uintptr_t handle, int32_t with_progress,
                            int32_t with_log)
{
    if (with_progress) {
        options->progress = progress;
        options->progress_payload = (void *)handle;
    }
    if (with_log) {
        options->log = log_line;
        options->log_payload = (void *)handle;
    }
    uintptr_t outer = mcgo_enter();
    return mcgo_leave(error, outer, mcomp_context_create(out, options));
}

static int32_t fetch(void *payload, int64_t index, int32_t n_inputs, mcomp_tensor **inputs, int64_t *label)
{
    return goFetch((uintptr_t)payload, index, n_inputs, inputs, label);
}

int32_t mcgo_dataset_create(mcgo_error *error, mcomp_dataset **out, mcomp_context *ctx, const mcomp_graph *g, int64_t samples, uintptr_t handle)
{
    uintptr_t outer = mcgo_enter();
    return mcgo_leave(error, outer, mcomp_dataset_create(out, ctx, g, samples, fetch, (void *)handle));
}

static void unsupported(void *payload, const char *node, const char *op, const char *why)
{
    goUnsupported((uintptr_t)payload, (char *)node, (char *)op, (char *)why);
}

int32_t mcgo_graph_unsupported(mcgo_error *error, const mcomp_graph *g, uintptr_t handle)
{
    uintptr_t outer = mcgo_enter();
    return mcgo_leave(error, outer, mcomp_graph_unsupported(g, unsupported, (void *)handle));
}

static int32_t train_event(void *payload, const mcomp_train_event *event)
{
    return goTrainEvent((uintptr_t)payload, (mcomp_train_event *)event);
}

int32_t mcgo_trainer_create(mcgo_error *error, mcomp_trainer **out, mcomp_context *ctx, const mcomp_graph *g, const mcomp_trainer_options *options,
                            uintptr_t handle, int32_t with_progress)
{
    mcomp_trainer_options o = *options;
    if (with_progress) {
        o.progress = train_event;
        o.progress_payload = (void *)handle;
    }
    uintptr_t outer = mcgo_enter();
    return mcgo_leave(error, outer, mcomp_trainer_create(out, ctx, g, &o));
}

/* The same type and shape. */
static int alike(const mcomp_tensor *a, const mcomp_tensor *b)
{
    int32_t rank = mcomp_tensor_rank(a);
    return mcomp_tensor_dtype(a) == mcomp_tensor_dtype(b) && rank == mcomp_tensor_rank(b) &&
           (rank == 0 || memcmp(mcomp_tensor_dims(a), mcomp_tensor_dims(b), (size_t)rank * sizeof(int64_t)) == 0);
}

static int32_t copy(mcomp_tensor **to, const mcomp_tensor *from)
{
    if (*to && !alike(*to, from)) {
        mcomp_tensor_destroy(*to);
        *to = NULL;
    }
    if (!*to) {
        int32_t status = mcomp_tensor_create(to, mcomp_tensor_dtype(from), mcomp_tensor_rank(from), mcomp_tensor_dims(from));
        if (status < 0)
            return status;
    }
    uint64_t bytes = mcomp_tensor_bytes(from);
    if (bytes)
        memcpy(mcomp_tensor_data(*to), mcomp_tensor_data(from), bytes);
    return MCOMP_OK;
}

void mcgo_look(const mcomp_tensor *t, mcgo_view *view)
{
    *view = (mcgo_view){.dims = mcomp_tensor_dims(t), .data = mcomp_tensor_data(t), .bytes = mcomp_tensor_bytes(t),
                        .dtype = mcomp_tensor_dtype(t), .rank = mcomp_tensor_rank(t)};
}

int32_t mcgo_exec_run(mcgo_error *error, void *exec, int32_t n_inputs, const mcomp_tensor *const *inputs, int32_t n_outputs,
                      const mcomp_tensor **outputs, mcomp_tensor **copies, mcgo_view *views)
{
    uintptr_t outer = mcgo_enter();
    int32_t status = mcomp_exec_run(exec, n_inputs, inputs, n_outputs, outputs);
    for (int32_t i = 0; status >= 0 && i < n_outputs; i++) {
        if (mcomp_tensor_dtype(outputs[i]) == MCOMP_STRING) { /* its elements are pointers into the exec */
            mcgo_leave(error, outer, MCOMP_OK);
            memset(&error->record, 0, sizeof error->record);
            strcpy(error->record.message, "an output holds text, which is not copied to Go");
            return error->record.code = MCOMP_UNSUPPORTED;
        }
        status = copy(&copies[i], outputs[i]);
        if (status >= 0)
            mcgo_look(copies[i], &views[i]);
    }
    return mcgo_leave(error, outer, status);
}
