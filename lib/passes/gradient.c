/* Reverse-mode differentiation as a rewrite: the gradient of a scalar with respect to chosen values is more nodes of the same
 * graph, emitted by the operators' gradient functions (ops/grad.h) in reverse order. Where a value is used several times its
 * contributions are added in the order in which they were emitted, so the sum does not depend on anything but the graph. */
#include "passes/passes.h"

typedef struct tape {
    mc_graph *g;
    uint8_t *needs;   /* by value id: depends on a wanted value through what carries gradients */
    mc_value **grad;  /* by value id: accumulated so far */
} tape;

static int is_float(const mc_value *v) { return mc_dtype_is_float(v->type.dtype); }

/* What can hold quantized numbers or their sums. */
static int is_grid(const mc_value *v)
{
    switch (v->type.dtype) {
    case MCOMP_I32: case MCOMP_I16: case MCOMP_U16: case MCOMP_I8: case MCOMP_U8:
    case MCOMP_I4: case MCOMP_U4: case MCOMP_I2: case MCOMP_U2: return 1;
    default: return 0;
    }
}

/* Values that depend on the wanted ones: floats, integers that stand for floats (MC_OP_SURROGATE) and what is made of these, and
 * results of operators of which not even the type is known. */
static void spread(tape *t, mc_node *const *order, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        const mc_node *n = order[i];
        int depends = 0, grid = n->desc && (n->desc->traits & MC_OP_SURROGATE) != 0;
        for (int32_t k = 0; k < n->n_in + n->n_cap; k++) {
            if (!n->in[k] || !t->needs[n->in[k]->id]) continue;
            depends = 1;
            grid |= is_grid(n->in[k]);
        }
        for (int32_t k = 0; depends && k < n->n_out; k++) {
            const mc_value *v = n->out[k];
            if (v && (is_float(v) || v->type.dtype == MCOMP_UNDEFINED || (grid && is_grid(v)))) t->needs[v->id] = 1;
        }
    }
}

static int32_t accumulate(tape *t, mc_value *v, mc_value *d)
{
    int32_t st = MCOMP_OK;
    mc_node *n;
    if (!t->grad[v->id]) {
        t->grad[v->id] = d;
        return MCOMP_OK;
    }
    MC_TRY(mc_graph_add_node(t->g, "", "Add", 0, NULL, 2, (mc_value *[]){t->grad[v->id], d}, 1, NULL, &n));
    n->origin = "gradient";
    MC_TRY(mc_infer_node(t->g, n));
    t->grad[v->id] = n->out[0];
done:
    return st;
}

static int32_t no_gradient(const mc_node *n)
{
    mc_fail(MCOMP_NO_GRADIENT, n->name, "operator %s%s%s has no gradient%s", n->domain, n->domain[0] ? "." : "", n->op,
            n->desc ? "" : ": it is unknown");
    return mc_fail_hint("freeze the parameters in front of it, or cut the model there");
}

static int32_t backward(tape *t, const mc_node *n)
{
    int32_t st = MCOMP_OK, any = 0;
    mc_op_grad *c = mc_calloc(1, sizeof *c);
    if (!c) MC_TRY(MCOMP_NO_MEMORY);
    for (int32_t k = 0; k < n->n_out; k++) any |= n->out[k] && t->grad[n->out[k]->id];
    if (!any) goto done;
    if (n->n_in > MC_OP_MAX_IO || n->n_out > MC_OP_MAX_IO) MC_FAIL(MCOMP_NO_GRADIENT, n->name, "%s has %d inputs", n->op, n->n_in);
    *c = (mc_op_grad){.g = t->g, .node = n, .x = n->in, .y = n->out, .n_in = n->n_in, .n_out = n->n_out};
    for (int32_t k = 0; k < n->n_out; k++) c->dy[k] = n->out[k] ? t->grad[n->out[k]->id] : NULL;
    any = 0;
    for (int32_t i = 0; i < n->n_in; i++) {
        c->want[i] = n->in[i] && t->needs[n->in[i]->id];
        any |= c->want[i];
    }
    for (int32_t i = n->n_in; i < n->n_in + n->n_cap; i++) any |= t->needs[n->in[i]->id];
    if (!any) goto done;
    if (!n->desc || !n->desc->gradient) MC_TRY(no_gradient(n));
    MC_TRY(n->desc->gradient(c));
    for (int32_t i = 0; i < n->n_in; i++)
        if (c->want[i] && c->dx[i]) MC_TRY(accumulate(t, n->in[i], c->dx[i]));
done:
    mc_free(c);
    return st;
}

/* Gradient 1 of the loss itself. */
static int32_t seed(tape *t, mc_value *loss)
{
    int32_t st = MCOMP_OK;
    mc_tensor *one;
    mc_shape s;
    int64_t one_element = 0;
    if (!is_float(loss)) MC_FAIL(MCOMP_DTYPE, loss->name, "a loss is a float, this is %s", mc_dtype_name(loss->type.dtype));
    if (mc_type_shape(&loss->type, &s) != MCOMP_OK || mc_shape_elements(&s, &one_element) != MCOMP_OK || one_element != 1) {
        mc_error_clear();
        MC_FAIL(MCOMP_SHAPE, loss->name, "a loss has one element; reduce it first (ReduceMean)");
    }
    MC_TRY(mc_tensor_create(&one, loss->type.dtype, &s));
    mc_tensor_set_f64(one, 0, 1.0);
    MC_TRY(mc_graph_add_const(t->g, NULL, one, &t->grad[loss->id]));
done:
    return st;
}

int32_t mc_gradient(mc_graph *g, mc_value *loss, int64_t n_wrt, mc_value *const *wrt, mc_value **grads)
{
    int32_t st = MCOMP_OK;
    tape t = {.g = g};
    const int64_t n_values = g->n_values; /* forward values: gradients are kept of these */
    mc_node **order = NULL;
    int64_t n = 0;
    MC_TRY(mc_graph_sort(g));
    MC_TRY(mc_infer_graph(g));
    n = g->n_order;
    order = mc_calloc((size_t)(n ? n : 1), sizeof *order);
    t.needs = mc_calloc((size_t)n_values + 1, 1);
    t.grad = mc_calloc((size_t)n_values + 1, sizeof *t.grad);
    if (!order || !t.needs || !t.grad) MC_TRY(MCOMP_NO_MEMORY);
    for (int64_t i = 0; i < n; i++) order[i] = g->order[i];
    for (int64_t i = 0; i < n_wrt; i++) {
        if (!is_float(wrt[i])) MC_FAIL(MCOMP_DTYPE, wrt[i]->name, "no gradient by %s", mc_dtype_name(wrt[i]->type.dtype));
        t.needs[wrt[i]->id] = 1;
    }
    spread(&t, order, n);
    MC_TRY(seed(&t, loss));
    for (int64_t i = n - 1; i >= 0; i--) MC_TRY(backward(&t, order[i]));
    for (int64_t i = 0; i < n_wrt; i++) grads[i] = t.grad[wrt[i]->id];
    MC_TRY(mc_graph_sort(g));
done:
    mc_free(order);
    mc_free(t.needs);
    mc_free(t.grad);
    return st;
}
