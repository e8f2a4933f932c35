/* A case through the operator references, node by node (run.c): what an operator's `forward` gives, without passes and plans. */
#include "conformance.h"
#include "passes/passes.h"

#include <stdio.h>
#include <unistd.h>

static int load_io(const char *dir, const char *kind, mc_tensor **t, int32_t *st)
{
    char path[900];
    int n = 0;
    for (; n < CONF_MAX_IO; n++) {
        snprintf(path, sizeof path, "%s/%s_%d.pb", dir, kind, n);
        if (access(path, R_OK) != 0) break;
        *st = mc_onnx_tensor_load(&t[n], path, NULL, 0);
        if (*st != MCOMP_OK) break;
    }
    return n;
}

static void free_io(mc_tensor **t)
{
    for (int i = 0; i < CONF_MAX_IO; i++) {
        mc_tensor_destroy(t[i]);
        t[i] = NULL;
    }
}

static void compare(int n, mc_tensor *const *got, mc_tensor *const *want, conf_result *r)
{
    for (int i = 0; r->class == CONF_PASS && i < n; i++) {
        const char *d = conf_differs(got[i], want[i]);
        if (!d) continue;
        snprintf(r->why, sizeof r->why, "output %d: %s", i, d);
        r->class = CONF_WRONG;
    }
}

static void run_on(const mc_graph *g, int n_in, mc_tensor *const *in, int n_want, mc_tensor *const *want, conf_result *r)
{
    mc_tensor *got[CONF_MAX_IO] = {NULL};
    const char *culprit = NULL;
    const int32_t st = conf_run(g, n_in, in, got, &culprit);
    if (st != MCOMP_OK) {
        conf_failed(r, st, 1);
        if (culprit && culprit[0] != '(') snprintf(r->op, sizeof r->op, "%s", culprit);
    } else {
        compare(n_want < g->n_outputs ? n_want : (int)g->n_outputs, got, want, r);
    }
    free_io(got);
}

static void run_set(const mc_graph *g, const char *dir, conf_result *r)
{
    mc_tensor *in[CONF_MAX_IO] = {NULL}, *want[CONF_MAX_IO] = {NULL};
    int32_t st = MCOMP_OK;
    const int n_in = load_io(dir, "input", in, &st);
    const int n_want = st == MCOMP_OK ? load_io(dir, "output", want, &st) : 0;
    if (st != MCOMP_OK || g->n_outputs > CONF_MAX_IO) { /* sequences and optionals: no tensor in the file */
        r->class = CONF_REFUSED;
        snprintf(r->why, sizeof r->why, "data: %s", mc_error_peek()->message);
    } else {
        run_on(g, n_in, in, n_want, want, r);
    }
    free_io(in);
    free_io(want);
}

static void run_light(const mc_graph *g, const conf_case *c, conf_result *r)
{
    mc_tensor *x = NULL, *want = NULL;
    const int32_t st = conf_light_io(g, c, &x, &want);
    if (st == MCOMP_OK) run_on(g, 1, &x, 1, &want, r);
    else conf_failed(r, st, 1);
    mc_tensor_destroy(x);
    mc_tensor_destroy(want);
}

void conf_case_reference(const conf_case *c, conf_result *r)
{
    char path[800];
    mc_graph *g = NULL;
    int32_t st = mc_onnx_load(&g, NULL, c->model, NULL);
    if (st == MCOMP_OK) st = mc_expand_gradients(g); /* no operator to run, but an order to make some */
    if (st != MCOMP_OK) {
        conf_failed(r, st, 1);
        mc_graph_destroy(g);
        return;
    }
    if (g->n_order == 1) snprintf(r->op, sizeof r->op, "%s", g->order[0]->op);
    if (c->light) run_light(g, c, r);
    for (int set = 0; !c->light && r->class == CONF_PASS; set++) {
        snprintf(path, sizeof path, "%s/test_data_set_%d", c->base, set);
        if (access(path, R_OK) != 0) break;
        mc_error_clear();
        run_set(g, path, r);
    }
    mc_graph_destroy(g);
}
