/* ai.onnx.preview.training.Gradient (version 1): d y / d xs of tensors of the same graph, named in the attributes `xs` and `y`,
 * becomes the nodes that compute it (mc_gradient). `zs`, what is held constant, needs nothing. The operator may also take other
 * values in place of the tensors it names, as if the graph between were called again with these: that is refused.
 * It comes before anything that removes dead nodes: a name in an attribute keeps nothing alive. */
#include "passes/internal.h"

static const mc_value *named(const mc_graph *g, const mc_node *n, const char *name, int32_t *st)
{
    const mc_value *v = mc_graph_find_value(g, name);
    if (!v && *st == MCOMP_OK) *st = mc_fail(MCOMP_FORMAT, n->name, "Gradient: there is no tensor \"%.200s\"", name);
    return v;
}

/* Are the inputs the tensors that xs and then zs name? */
static int32_t check_inputs(const mc_graph *g, const mc_node *n, const mc_attr *xs, const mc_attr *zs)
{
    int32_t st = MCOMP_OK;
    const int64_t nx = xs->n, nz = zs ? zs->n : 0;
    if (nx + nz != n->n_in) MC_FAIL(MCOMP_FORMAT, n->name, "Gradient: %d inputs for %lld names", n->n_in, (long long)(nx + nz));
    if (nx != n->n_out) MC_FAIL(MCOMP_FORMAT, n->name, "Gradient: %d outputs for %lld names in xs", n->n_out, (long long)nx);
    for (int64_t i = 0; i < nx + nz; i++) {
        const char *name = i < nx ? xs->strings[i] : zs->strings[i - nx];
        if (named(g, n, name, &st) == n->in[i] || st != MCOMP_OK) continue;
        st = mc_fail(MCOMP_UNSUPPORTED, n->name, "Gradient at another value than \"%.200s\" is not supported", name);
        mc_fail_hint("pass the tensors that xs and zs name");
    }
done:
    return st;
}

/* y does not depend on x. */
static int32_t zeros(mc_graph *g, const mc_node *n, mc_value *x, mc_value **out)
{
    int32_t st = MCOMP_OK;
    mc_value *in[2];
    mc_node *shape, *wide;
    if (x->type.dtype != MCOMP_F32) MC_FAIL(MCOMP_NO_GRADIENT, n->name, "\"%s\" does not depend on \"%s\"", mc_attr_s(n, "y", ""), x->name);
    MC_TRY(mc_graph_add_const_f32(g, NULL, 0.0f, &in[0]));
    MC_TRY(mc_rewrite(g, "", "Shape", "gradient", NULL, 1, &x, NULL, &shape));
    in[1] = shape->out[0];
    MC_TRY(mc_rewrite(g, "", "Expand", "gradient", NULL, 2, in, NULL, &wide));
    *out = wide->out[0];
done:
    return st;
}

static int32_t expand(mc_graph *g, mc_node *n)
{
    int32_t st = MCOMP_OK;
    const mc_attr *xs = mc_node_attr(n, "xs"), *zs = mc_node_attr(n, "zs");
    const char *y_name = mc_attr_s(n, "y", NULL);
    mc_value **x = NULL, **dx = NULL;
    if (!xs || xs->kind != MC_ATTR_STRINGS || !y_name || (zs && zs->kind != MC_ATTR_STRINGS))
        MC_FAIL(MCOMP_FORMAT, n->name, "Gradient needs the attributes xs and y");
    MC_TRY(check_inputs(g, n, xs, zs));
    const mc_value *y = named(g, n, y_name, &st);
    if (st != MCOMP_OK) goto done;
    x = mc_calloc((size_t)xs->n + 1, sizeof *x);
    dx = mc_calloc((size_t)xs->n + 1, sizeof *dx);
    if (!x || !dx) MC_TRY(MCOMP_NO_MEMORY);
    for (int64_t i = 0; i < xs->n; i++) x[i] = n->in[i];
    MC_TRY(mc_gradient(g, g->values[y->id], xs->n, x, dx));
    for (int64_t i = 0; i < xs->n; i++) {
        if (!n->out[i]) continue;
        if (!dx[i]) MC_TRY(zeros(g, n, x[i], &dx[i]));
        MC_TRY(mc_rewrite(g, "", "Identity", "gradient", n, 1, &dx[i], n->out[i], NULL));
    }
    mc_graph_remove_node(g, n);
done:
    mc_free(x);
    mc_free(dx);
    return st;
}

int mc_is_gradient_operator(const mc_node *n) { return mc_node_is_in(n, "ai.onnx.preview.training", "Gradient"); }

int32_t mc_expand_gradients(mc_graph *g)
{
    int32_t st = MCOMP_OK, any = 0;
    for (int64_t i = 0; i < g->n_nodes; i++) /* by id: what a gradient adds comes later, and may itself be differentiated */
        if (!g->nodes[i]->dead && mc_is_gradient_operator(g->nodes[i])) {
            MC_TRY(expand(g, g->nodes[i]));
            any = 1;
        }
    if (any) MC_TRY(mc_graph_sort(g));
done:
    return st;
}
