/* ai.onnx.preview.training.Gradient (version 1): d y / d xs, where y and xs name tensors of the same graph, becomes the nodes that
 * compute it (mc_gradient). The operator calls the graph between them as a function: of xs, each a variable of its own, with zs held
 * constant, at the values that are its inputs. Where the inputs are the named tensors and these come from outside, that is the graph
 * as it stands; otherwise its nodes are repeated on the inputs.
 * It comes before anything that removes dead nodes: a name in an attribute keeps nothing alive. */
#include "passes/internal.h"

typedef struct call {
    mc_graph *g;
    mc_node *n;
    int64_t n_x, n_named; /* xs, then zs */
    mc_value **named;
    mc_value **x, **dx;
    mc_value *y;
} call;

static mc_value *named(const call *c, const char *name, int32_t *st)
{
    mc_value *v = mc_graph_find_value(c->g, name);
    if (!v && *st == MCOMP_OK) *st = mc_fail(MCOMP_FORMAT, c->n->name, "Gradient: there is no tensor \"%.200s\"", name);
    return v;
}

static int32_t open_call(call *c)
{
    int32_t st = MCOMP_OK;
    const mc_attr *xs = mc_node_attr(c->n, "xs"), *zs = mc_node_attr(c->n, "zs");
    const char *y = mc_attr_s(c->n, "y", NULL);
    if (!xs || xs->kind != MC_ATTR_STRINGS || !y || (zs && zs->kind != MC_ATTR_STRINGS))
        MC_FAIL(MCOMP_FORMAT, c->n->name, "Gradient needs the attributes xs and y");
    c->n_x = xs->n;
    c->n_named = xs->n + (zs ? zs->n : 0);
    if (c->n_named != c->n->n_in) MC_FAIL(MCOMP_FORMAT, c->n->name, "Gradient: %d inputs for %lld names", c->n->n_in, (long long)c->n_named);
    if (c->n_x != c->n->n_out) MC_FAIL(MCOMP_FORMAT, c->n->name, "Gradient: %d outputs for %lld names in xs", c->n->n_out, (long long)c->n_x);
    c->named = mc_calloc((size_t)c->n_named + 1, sizeof *c->named);
    c->x = mc_calloc((size_t)c->n_x + 1, sizeof *c->x);
    c->dx = mc_calloc((size_t)c->n_x + 1, sizeof *c->dx);
    if (!c->named || !c->x || !c->dx) MC_TRY(MCOMP_NO_MEMORY);
    for (int64_t i = 0; i < c->n_named; i++) {
        c->named[i] = named(c, i < c->n_x ? xs->strings[i] : zs->strings[i - c->n_x], &st);
        if (st == MCOMP_OK && !c->n->in[i]) MC_FAIL(MCOMP_FORMAT, c->n->name, "Gradient: input %lld is missing", (long long)i);
    }
    c->y = named(c, y, &st);
done:
    return st;
}

/* 1: the graph as it stands is the function. */
static int as_it_stands(const call *c)
{
    for (int64_t i = 0; i < c->n_named; i++)
        if (c->named[i] != c->n->in[i] || c->named[i]->producer) return 0;
    return 1;
}

static int32_t repeat(call *c, mc_node *n, mc_value **map)
{
    int32_t st = MCOMP_OK;
    mc_node *copy;
    mc_str name = {0};
    mc_value **in = mc_calloc((size_t)n->n_in + 1, sizeof *in);
    if (!in) MC_TRY(MCOMP_NO_MEMORY);
    if (n->n_cap > 0 || mc_node_is_control(n)) MC_FAIL(MCOMP_UNSUPPORTED, n->name, "Gradient through %s at other values is not supported", n->op);
    for (int32_t k = 0; k < n->n_in; k++) in[k] = n->in[k] && map[n->in[k]->id] ? map[n->in[k]->id] : n->in[k];
    MC_TRY(mc_str_appendf(&name, "%s.%s", c->n->name, n->name));
    MC_TRY(mc_graph_add_node(c->g, n->domain, n->op, n->version, name.data, n->n_in, in, n->n_out, NULL, &copy));
    copy->origin = "gradient";
    MC_TRY(mc_node_copy_attrs(copy, n));
    MC_TRY(mc_infer_node(c->g, copy));
    for (int32_t k = 0; k < n->n_out; k++)
        if (n->out[k] && !map[n->out[k]->id]) map[n->out[k]->id] = copy->out[k]; /* a named tensor stays what was put in its place */
done:
    mc_str_free(&name);
    mc_free(in);
    return st;
}

/* The nodes between the named tensors and y once more, on the operator's inputs. */
static int32_t call_again(call *c)
{
    int32_t st = MCOMP_OK;
    mc_graph *g = c->g;
    const int64_t values = g->n_values, n = g->n_order;
    mc_value **map = mc_calloc((size_t)values + 1, sizeof *map);
    uint8_t *ahead = mc_calloc((size_t)values + 1, 1); /* y depends on it */
    mc_node *id;
    if (!map || !ahead) MC_TRY(MCOMP_NO_MEMORY);
    for (int64_t i = 0; i < c->n_named; i++) {
        MC_TRY(mc_rewrite(g, "", "Identity", "gradient", NULL, 1, &c->n->in[i], NULL, &id));
        map[c->named[i]->id] = id->out[0];
        if (i < c->n_x) c->x[i] = id->out[0];
    }
    ahead[c->y->id] = 1;
    for (int64_t i = n - 1; i >= 0; i--) {
        const mc_node *p = g->order[i];
        int wanted = 0;
        for (int32_t k = 0; k < p->n_out; k++) wanted |= p->out[k] && ahead[p->out[k]->id];
        for (int32_t k = 0; wanted && k < p->n_in + p->n_cap; k++)
            if (p->in[k]) ahead[p->in[k]->id] = 1;
    }
    for (int64_t i = 0; i < n; i++) {
        mc_node *p = g->order[i];
        int wanted = 0, changed = 0;
        for (int32_t k = 0; k < p->n_out; k++) wanted |= p->out[k] && ahead[p->out[k]->id] && !map[p->out[k]->id];
        for (int32_t k = 0; wanted && k < p->n_in + p->n_cap; k++) changed |= p->in[k] && map[p->in[k]->id];
        if (changed) MC_TRY(repeat(c, p, map));
    }
    if (map[c->y->id]) c->y = map[c->y->id];
done:
    mc_free(map);
    mc_free(ahead);
    return st;
}

/* y does not depend on x. */
static int32_t zeros(const call *c, mc_value *x, mc_value **out)
{
    int32_t st = MCOMP_OK;
    mc_value *in[2];
    mc_node *shape, *wide;
    if (x->type.dtype != MCOMP_F32) MC_FAIL(MCOMP_NO_GRADIENT, c->n->name, "\"%s\" does not depend on \"%s\"", mc_attr_s(c->n, "y", ""), x->name);
    MC_TRY(mc_graph_add_const_f32(c->g, NULL, 0.0f, &in[0]));
    MC_TRY(mc_rewrite(c->g, "", "Shape", "gradient", NULL, 1, &x, NULL, &shape));
    in[1] = shape->out[0];
    MC_TRY(mc_rewrite(c->g, "", "Expand", "gradient", NULL, 2, in, NULL, &wide));
    *out = wide->out[0];
done:
    return st;
}

static int32_t expand(mc_graph *g, mc_node *n)
{
    int32_t st = MCOMP_OK;
    call c = {.g = g, .n = n};
    MC_TRY(mc_graph_sort(g));
    MC_TRY(mc_infer_graph(g));
    MC_TRY(open_call(&c));
    for (int64_t i = 0; i < c.n_x; i++) c.x[i] = n->in[i];
    if (!as_it_stands(&c)) MC_TRY(call_again(&c));
    MC_TRY(mc_gradient(g, c.y, c.n_x, c.x, c.dx));
    for (int64_t i = 0; i < c.n_x; i++) {
        if (!n->out[i]) continue;
        if (!c.dx[i]) MC_TRY(zeros(&c, c.x[i], &c.dx[i]));
        MC_TRY(mc_rewrite(g, "", "Identity", "gradient", n, 1, &c.dx[i], n->out[i], NULL));
    }
    mc_graph_remove_node(g, n);
done:
    mc_free(c.named);
    mc_free(c.x);
    mc_free(c.dx);
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
