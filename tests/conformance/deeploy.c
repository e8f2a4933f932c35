/* Reading, running and comparing the deeploy-cct cases. */
#include "deeploy.h"

#include <math.h>
#include <stdio.h>

#include "conformance.h"
#include "runtime/runtime.h"

const char *dp_unpack(const char *dir)
{
    static char at[500];
    const char *archive = mc_test_data("conformance/deeploy-cct.tar.gz");
    snprintf(at, sizeof at, "%s", dir);
    return archive && conf_unpack(archive, at) == 0 ? at : NULL;
}

void dp_open(dp_case *c, const char *dir)
{
    char path[700];
    memset(c, 0, sizeof *c);
    snprintf(c->dir, sizeof c->dir, "%s", dir);
    snprintf(path, sizeof path, "%s/inputs.npz", dir);
    mc_ck_ok(mc_npz_read(&c->in, path));
    snprintf(path, sizeof path, "%s/outputs.npz", dir);
    mc_ck_ok(mc_npz_read(&c->out, path));
}

void dp_close(dp_case *c)
{
    mc_arrays_free(&c->in);
    mc_arrays_free(&c->out);
}

const mc_tensor *dp_find(const mc_arrays *a, const char *name)
{
    for (int64_t i = 0; i < a->n; i++)
        if (strcmp(a->list[i].name, name) == 0) return a->list[i].t;
    return NULL;
}

const mc_tensor *dp_at(const mc_arrays *a, int b, int k)
{
    char name[64];
    if (b) snprintf(name, sizeof name, "mb%d_arr_%04d", b, k);
    else snprintf(name, sizeof name, "arr_%04d", k);
    return dp_find(a, name);
}

struct dp_runner {
    const mc_graph *g;
    mcomp_context *ctx; /* NULL: references */
    mcomp_session *session;
    mcomp_exec *exec;
};

dp_runner *dp_runner_open(const mc_graph *g, int fast)
{
    dp_runner *r = mc_calloc(1, sizeof *r);
    ck_assert_ptr_nonnull(r);
    r->g = g;
    if (!fast) return r;
    mc_ck_ok(mcomp_context_create(&r->ctx, NULL));
    mc_ck_ok(mc_session_open(&r->session, r->ctx, g, NULL, NULL));
    mc_ck_ok(mcomp_exec_create(&r->exec, r->session));
    return r;
}

static void run_session(dp_runner *r, mc_tensor *const *in, mc_tensor **out)
{
    mcomp_tensor *copy[DP_IO];
    const mcomp_tensor *feed[DP_IO], *got[DP_IO];
    const int32_t n_in = (int32_t)r->g->n_inputs, n_out = (int32_t)r->g->n_outputs;
    for (int32_t i = 0; i < n_in; i++) {
        mc_ck_ok(mcomp_tensor_create(&copy[i], in[i]->dtype, in[i]->shape.rank, in[i]->shape.dim));
        memcpy(copy[i]->t.data, in[i]->data, (size_t)mc_tensor_bytes(in[i]));
        feed[i] = copy[i];
    }
    mc_ck_ok(mcomp_exec_run(r->exec, n_in, feed, n_out, got));
    for (int32_t i = 0; i < n_out; i++) mc_ck_ok(mc_tensor_copy(&out[i], &got[i]->t));
    for (int32_t i = 0; i < n_in; i++) mcomp_tensor_destroy(copy[i]);
}

void dp_run(dp_runner *r, mc_tensor *const *in, mc_tensor **out)
{
    const char *culprit = "";
    ck_assert(r->g->n_inputs <= DP_IO && r->g->n_outputs <= DP_IO);
    if (r->ctx) run_session(r, in, out);
    else mc_ck_ok(conf_run(r->g, (int32_t)r->g->n_inputs, in, out, &culprit));
}

void dp_runner_close(dp_runner *r)
{
    mcomp_exec_destroy(r->exec);
    mcomp_session_destroy(r->session);
    mcomp_context_destroy(r->ctx);
    mc_free(r);
}

double dp_compare(const char *what, const mc_tensor *got, const mc_tensor *want, double rtol, double atol)
{
    double worst = 0.0;
    ck_assert_msg(mc_shape_equal(&got->shape, &want->shape), "%s: another shape", what);
    for (int64_t i = 0; i < mc_tensor_elements(want); i++) {
        const double x = mc_tensor_get_f64(got, i), y = mc_tensor_get_f64(want, i);
        ck_assert_msg(fabs(x - y) <= atol + rtol * fabs(y), "%s[%lld] is %.9g, not %.9g", what, (long long)i, x, y);
        if (fabs(x - y) > worst) worst = fabs(x - y);
    }
    return worst;
}
