/* A case as a user runs it: file, session with its passes and plans, exec, all through the public interface. UNSUPPORTED is the
 * only refusal; every other code, and every other result, is wrong. */
#include "conformance.h"

#include <mcomp/mcomp.h>
#include <stdio.h>
#include <unistd.h>

static void note_first(void *payload, const char *node, const char *op, const char *why)
{
    conf_result *r = payload;
    (void)node;
    (void)why;
    if (!r->op[0]) snprintf(r->op, sizeof r->op, "%s", op);
}

static int32_t compare(const mcomp_tensor *got, const mc_tensor *want, int32_t k, conf_result *r)
{
    const char *d = conf_differs(&got->t, want);
    if (!d) return MCOMP_OK;
    snprintf(r->why, sizeof r->why, "output %d: %s", k, d);
    r->class = CONF_WRONG;
    return MCOMP_MISMATCH;
}

static int32_t run_set(mcomp_context *ctx, const mcomp_graph *g, const mcomp_session *s, mcomp_exec *e, const char *dir, conf_result *r)
{
    int32_t st = MCOMP_OK;
    char argument[900];
    mcomp_dataset *d = NULL;
    const mcomp_tensor *in[CONF_MAX_IO], *out[CONF_MAX_IO], *want;
    const int32_t n_in = mcomp_session_n_inputs(s), n_out = mcomp_session_n_outputs(s);
    snprintf(argument, sizeof argument, "onnx-test:%s", dir);
    MC_TRY(mcomp_dataset_open(&d, ctx, g, argument, NULL));
    for (int64_t i = 0; i < mcomp_dataset_count(d); i++) {
        MC_TRY(mcomp_dataset_get(d, i, n_in, in, NULL));
        MC_TRY(mcomp_exec_run(e, n_in, in, n_out, out));
        for (int32_t k = 0; k < n_out; k++) {
            MC_TRY(mcomp_dataset_expected(d, i, k, &want));
            MC_TRY(compare(out[k], &want->t, k, r));
        }
    }
done:
    mcomp_dataset_destroy(d);
    return st;
}

static int32_t run_light(const mcomp_graph *g, mcomp_exec *e, const conf_case *c, conf_result *r)
{
    int32_t st = MCOMP_OK;
    mc_tensor *x = NULL, *want = NULL;
    mcomp_tensor *in = NULL;
    const mcomp_tensor *const_in[1], *out[1];
    MC_TRY(conf_light_io(g->g, c, &x, &want));
    MC_TRY(mcomp_tensor_wrap(&in, x->dtype, x->shape.rank, x->shape.dim, x->data, (uint64_t)mc_tensor_bytes(x), NULL, NULL));
    const_in[0] = in;
    MC_TRY(mcomp_exec_run(e, 1, const_in, 1, out));
    MC_TRY(compare(out[0], want, 0, r));
done:
    mcomp_tensor_destroy(in);
    mc_tensor_destroy(x);
    mc_tensor_destroy(want);
    return st;
}

void conf_case_session(const conf_case *c, conf_result *r)
{
    static mcomp_context *ctx;
    int32_t st = MCOMP_OK;
    char path[800];
    mcomp_graph *g = NULL;
    mcomp_session *s = NULL;
    mcomp_exec *e = NULL;
    mcomp_node_info node = {.size = sizeof node};
    mcomp_graph_info info = {.size = sizeof info};
    if (!ctx) MC_TRY(mcomp_context_create(&ctx, NULL));
    MC_TRY(mcomp_graph_load(&g, ctx, c->model));
    MC_TRY(mcomp_graph_info_get(g, &info));
    MC_TRY(mcomp_graph_unsupported(g, note_first, r));
    if (!r->op[0] && info.n_nodes == 1 && mcomp_graph_node(g, 0, &node) == MCOMP_OK) snprintf(r->op, sizeof r->op, "%s", node.op);
    MC_TRY(mcomp_session_create(&s, ctx, g, NULL));
    MC_TRY(mcomp_exec_create(&e, s));
    if (c->light) MC_TRY(run_light(g, e, c, r));
    for (int set = 0; !c->light; set++) {
        snprintf(path, sizeof path, "%s/test_data_set_%d", c->base, set);
        if (access(path, R_OK) != 0) break;
        MC_TRY(run_set(ctx, g, s, e, path, r));
    }
done:
    if (st != MCOMP_OK && r->class == CONF_PASS) conf_failed(r, st, 0);
    for (int64_t i = 0; r->class == CONF_PASS && i < info.n_nodes; i++)
        if (mcomp_graph_node(g, i, &node) == MCOMP_OK) conf_covers(node.op);
    mcomp_exec_destroy(e);
    mcomp_session_destroy(s);
    mcomp_graph_destroy(g);
}
