/* The simplest executor there is: every node in order through mc_op_eval, tensors kept until the end. */
#include "conformance.h"

typedef struct env {
    const mc_graph *g;
    const struct env *parent;
    mc_tensor **t;      /* by value id */
    int64_t *symbol;    /* what each symbol of g turned out to be, -1: nothing yet */
    const char **culprit;
} env;

static const mc_tensor *value_of(const env *e, const mc_value *v)
{
    while (v) {
        if (v->init) return v->init;
        if (v->capture < 0) return e->t[v->id];
        const mc_node *owner = e->g->owner;
        v = owner->in[owner->n_in + v->capture];
        e = e->parent;
    }
    return NULL;
}

/* Inference must not have claimed anything that does not hold. */
static int32_t check_type(env *e, const mc_value *v, const mc_tensor *t)
{
    if (v->type.dtype && v->type.dtype != t->dtype)
        return mc_fail(MCOMP_INTERNAL, v->name, "inferred %s, is %s", mc_dtype_name(v->type.dtype), mc_dtype_name(t->dtype));
    if (v->type.rank < 0) return MCOMP_OK;
    if (v->type.rank != t->shape.rank) return mc_fail(MCOMP_INTERNAL, v->name, "inferred rank %d, is %d", v->type.rank, t->shape.rank);
    for (int32_t i = 0; i < t->shape.rank; i++) {
        const int64_t d = v->type.dim[i], is = t->shape.dim[i];
        int64_t *s = d < 0 && -1 - d < e->g->n_symbols ? &e->symbol[-1 - d] : NULL;
        if (d < 0 && !s) return mc_fail(MCOMP_INTERNAL, v->name, "axis %d has a symbol that the graph has not", i);
        if (s && *s < 0) *s = is;
        if ((s ? *s : d) != is)
            return mc_fail(MCOMP_INTERNAL, v->name, "inferred %lld on axis %d, is %lld", (long long)(s ? *s : d), i, (long long)is);
    }
    return MCOMP_OK;
}

static int32_t run_graph(env *e, mc_tensor **out);

static int32_t run_branch(env *e, const mc_node *n, mc_tensor **out)
{
    const mc_tensor *cond = value_of(e, n->in[0]);
    if (!cond || cond->dtype != MCOMP_BOOL || mc_tensor_elements(cond) != 1) return mc_fail(MCOMP_SHAPE, n->name, "bad condition");
    const mc_attr *a = mc_node_attr(n, mc_tensor_get_i64(cond, 0) ? "then_branch" : "else_branch");
    if (!a || !a->graph) return mc_fail(MCOMP_FORMAT, n->name, "no branch");
    env inner = {.g = a->graph, .parent = e, .culprit = e->culprit};
    return run_graph(&inner, out);
}

static int32_t run_node(env *e, const mc_node *n)
{
    const mc_tensor *in[MC_OP_MAX_IO] = {NULL};
    mc_tensor *out[MC_OP_MAX_IO] = {NULL};
    int32_t st = MCOMP_OK;
    *e->culprit = n->op;
    if (n->n_in > MC_OP_MAX_IO || n->n_out > MC_OP_MAX_IO) return mc_fail(MCOMP_LIMIT, n->name, "too many inputs");
    for (int32_t i = 0; i < n->n_in; i++) in[i] = value_of(e, n->in[i]);
    for (int32_t i = 0; i < n->n_in; i++)
        if (n->in[i] && !in[i]) return mc_fail(MCOMP_INTERNAL, n->name, "input %d was not made", i);
    st = mc_node_is(n, "If") ? run_branch(e, n, out) : mc_op_eval(n, n->n_in, in, out);
    for (int32_t k = 0; st == MCOMP_OK && k < n->n_out; k++) {
        if (!n->out[k]) {
            mc_tensor_destroy(out[k]);
            continue;
        }
        e->t[n->out[k]->id] = out[k];
        const int32_t bad = check_type(e, n->out[k], out[k]);
        if (bad != MCOMP_OK) st = bad;
    }
    return st;
}

/* Expects the inputs of g in e->t already when e->t is there. */
static int32_t run_graph(env *e, mc_tensor **out)
{
    int32_t st = MCOMP_OK;
    if (!e->t) e->t = mc_calloc((size_t)e->g->n_values + 1, sizeof *e->t);
    e->symbol = mc_malloc(sizeof *e->symbol * (size_t)(e->g->n_symbols + 1));
    if (!e->t || !e->symbol) MC_FAIL(MCOMP_NO_MEMORY, "", "no memory");
    for (int64_t i = 0; i < e->g->n_symbols; i++) e->symbol[i] = -1;
    for (int64_t i = 0; i < e->g->n_inputs; i++)
        if (e->t[e->g->inputs[i]->id]) MC_TRY(check_type(e, e->g->inputs[i], e->t[e->g->inputs[i]->id]));
    for (int64_t i = 0; i < e->g->n_order; i++) MC_TRY(run_node(e, e->g->order[i]));
    for (int64_t i = 0; i < e->g->n_outputs; i++) {
        const mc_tensor *t = value_of(e, e->g->outputs[i]);
        if (!t) MC_FAIL(MCOMP_INTERNAL, e->g->outputs[i]->name, "output was not made");
        MC_TRY(mc_tensor_copy(&out[i], t));
    }
done:
    for (int64_t i = 0; e->t && i < e->g->n_values; i++) mc_tensor_destroy(e->t[i]);
    mc_free(e->t);
    mc_free(e->symbol);
    return st;
}

int32_t conf_run(const mc_graph *g, int32_t n_in, mc_tensor *const *in, mc_tensor **out, const char **culprit)
{
    env e = {.g = g, .culprit = culprit};
    int32_t at = 0;
    *culprit = "(inputs)";
    e.t = mc_calloc((size_t)g->n_values + 1, sizeof *e.t);
    if (!e.t) return MCOMP_NO_MEMORY;
    for (int64_t i = 0; i < g->n_inputs; i++) {
        if (g->inputs[i]->init) continue;
        if (at < n_in && mc_tensor_share(&e.t[g->inputs[i]->id], in[at++]) != MCOMP_OK) return MCOMP_NO_MEMORY;
    }
    return run_graph(&e, out);
}
