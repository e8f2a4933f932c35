/* Binding: the dims of every value of a graph for concrete input dims, by running the operators' own inference over it once.
 * Small tensors that follow from dims and constants alone (shape arithmetic) are computed on the way, so that Reshape and
 * its like resolve, and their nodes need not run at all. Values that depend on run-time data stay unknown. */
#include "runtime/plan.h"

typedef struct bind_work { /* large, so it lives on the heap */
    mc_infer infer;
    mc_shape_data in_data[MC_OP_MAX_IO], out_data[MC_OP_MAX_IO];
} bind_work;

static int32_t bind_graph(mc_bound **out, const mc_graph *g, const mc_type *inputs, const mc_node *owner, const mc_bound *outer,
                          bind_work *w);

void mc_bind_free(mc_bound *b, int64_t n_values)
{
    for (int64_t i = 0; b && i < n_values; i++)
        if (b[i].owned) mc_tensor_destroy(b[i].known);
    mc_free(b);
}

static int small(const mc_type *t)
{
    int64_t n = 1;
    if (!mc_type_known(t) || t->dtype == MCOMP_STRING) return 0;
    for (int32_t i = 0; i < t->rank; i++) {
        if (t->dim[i] > MC_KNOWN_ELEMENTS) return 0;
        n *= t->dim[i];
        if (n > MC_KNOWN_ELEMENTS) return 0;
    }
    return 1;
}

static void data_of(const mc_tensor *t, mc_shape_data *d)
{
    d->n = -1;
    if (!t || !(mc_dtype_is_integer(t->dtype) || t->dtype == MCOMP_BOOL) || t->shape.rank > 1) return;
    const int64_t n = mc_tensor_elements(t);
    if (n > MC_SHAPE_DATA) return;
    d->n = (int32_t)n;
    for (int64_t i = 0; i < n; i++) d->v[i] = mc_tensor_get_i64(t, i);
}

/* Tensor from what inference said of a small integer output; NULL in *t when it does not know all of it. */
static int32_t tensor_of(const mc_shape_data *d, const mc_type *type, mc_tensor **t)
{
    mc_shape shape;
    *t = NULL;
    if (d->n < 0 || !small(type) || !mc_dtype_is_integer(type->dtype)) return MCOMP_OK;
    shape = mc_shape_make(type->rank, type->dim);
    int64_t n;
    int32_t st = mc_shape_elements(&shape, &n);
    if (st != MCOMP_OK || n != d->n) return st;
    for (int64_t i = 0; i < n; i++)
        if (d->v[i] == MC_DATA_UNKNOWN || mc_data_is_symbol(d->v[i])) return MCOMP_OK;
    st = mc_tensor_create(t, type->dtype, &shape);
    for (int64_t i = 0; st == MCOMP_OK && i < n; i++) mc_tensor_set_i64(*t, i, d->v[i]);
    return st;
}

static void set_known(mc_bound *b, mc_tensor *t)
{
    b->known = t;
    b->owned = 1;
    b->type = mc_type_of(t);
}

/* Runs the reference of a node whose inputs are all known and small. */
static int32_t evaluate(const mc_node *n, mc_bound *b)
{
    int32_t st = MCOMP_OK;
    const mc_tensor *in[MC_OP_MAX_IO];
    mc_tensor *out[MC_OP_MAX_IO] = {NULL};
    if (!n->desc->forward || (n->desc->traits & (MC_OP_NONDETERMINISTIC | MC_OP_CONTROL)) || n->n_cap) return MCOMP_OK;
    for (int32_t i = 0; i < n->n_in; i++) {
        in[i] = n->in[i] ? b[n->in[i]->id].known : NULL;
        if (n->in[i] && (!in[i] || !small(&b[n->in[i]->id].type))) return MCOMP_OK;
    }
    for (int32_t i = 0; i < n->n_out; i++) /* unknown dims are computed, known large ones are not worth it */
        if (n->out[i] && mc_type_known(&b[n->out[i]->id].type) && !small(&b[n->out[i]->id].type)) return MCOMP_OK;
    MC_TRY(mc_op_eval(n, n->n_in, in, out));
    for (int32_t i = 0; i < n->n_out; i++) {
        if (n->out[i] && out[i] && !b[n->out[i]->id].known) {
            set_known(&b[n->out[i]->id], out[i]);
            out[i] = NULL;
        }
        mc_tensor_destroy(out[i]);
    }
done:
    return st;
}

static int32_t infer_node(const mc_node *n, mc_bound *b, bind_work *w)
{
    int32_t st = MCOMP_OK;
    mc_infer *c = &w->infer;
    memset(c, 0, sizeof *c);
    c->node = n;
    c->n_in = n->n_in;
    c->n_out = n->n_out;
    for (int32_t i = 0; i < n->n_in; i++) {
        const mc_bound *v = n->in[i] ? &b[n->in[i]->id] : NULL;
        if (!v) continue;
        c->in[i] = &v->type;
        c->cst[i] = v->known;
        data_of(v->known, &w->in_data[i]);
        if (w->in_data[i].n >= 0) c->data[i] = &w->in_data[i];
    }
    for (int32_t k = 0; k < n->n_out; k++) {
        c->out[k].rank = -1;
        w->out_data[k].n = -1;
        c->out_data[k] = &w->out_data[k];
    }
    MC_TRY(n->desc->infer(c)); /* no graph to make symbols in: what is not known comes back as some negative dim */
    for (int32_t k = 0; k < n->n_out; k++) {
        mc_tensor *t = NULL;
        if (!n->out[k]) continue;
        mc_bound *v = &b[n->out[k]->id];
        v->type = c->out[k];
        MC_TRY(tensor_of(&w->out_data[k], &v->type, &t));
        if (t) set_known(v, t);
    }
done:
    return st;
}

static int same_type(const mc_type *a, const mc_type *b)
{
    if (!mc_type_known(a) || !mc_type_known(b) || a->dtype != b->dtype || a->rank != b->rank) return 0;
    for (int32_t i = 0; i < a->rank; i++)
        if (a->dim[i] != b->dim[i]) return 0;
    return 1;
}

/* If: the outputs' types where the condition is known or both branches agree. */
static int32_t infer_if(const mc_node *n, mc_bound *b, bind_work *w)
{
    static const char *const names[2] = {"then_branch", "else_branch"};
    int32_t st = MCOMP_OK;
    mc_bound *branch[2] = {NULL, NULL};
    const mc_graph *sub[2] = {NULL, NULL};
    const mc_tensor *cond = n->n_in > 0 && n->in[0] ? b[n->in[0]->id].known : NULL;
    const int only = cond && mc_tensor_elements(cond) == 1 ? (mc_tensor_get_i64(cond, 0) ? 0 : 1) : -1;
    for (int i = 0; i < 2; i++) {
        const mc_attr *a = mc_node_attr(n, names[i]);
        if (!a || !a->graph || a->graph->n_outputs != n->n_out) MC_FAIL(MCOMP_FORMAT, n->name, "If needs %s with %d outputs", names[i], n->n_out);
        sub[i] = a->graph;
        if (only >= 0 && only != i) continue;
        st = bind_graph(&branch[i], sub[i], NULL, n, b, w);
        if (st == MCOMP_NO_MEMORY || only == i) MC_TRY(st);
        mc_error_clear(); /* a branch that cannot run with these dims: it must not be taken */
        st = MCOMP_OK;
    }
    for (int32_t k = 0; k < n->n_out; k++) {
        if (!n->out[k]) continue;
        const mc_type *t[2] = {NULL, NULL};
        for (int i = 0; i < 2; i++) t[i] = branch[i] ? &branch[i][sub[i]->outputs[k]->id].type : NULL;
        mc_type *out = &b[n->out[k]->id].type;
        if (only >= 0) *out = *t[only];
        else if (t[0] && t[1] && same_type(t[0], t[1])) *out = *t[0];
        if (out->dtype == MCOMP_UNDEFINED) out->dtype = n->out[k]->type.dtype;
    }
done:
    for (int i = 0; i < 2; i++) mc_bind_free(branch[i], sub[i] ? sub[i]->n_values : 0);
    return st;
}

/* Loop: carried values keep their type where one iteration of the body keeps it; how many rows scan outputs get is not known. */
static int32_t infer_loop(const mc_node *n, mc_bound *b, bind_work *w)
{
    int32_t st = MCOMP_OK;
    mc_bound *body = NULL;
    mc_type *in = NULL;
    const mc_attr *a = mc_node_attr(n, "body");
    if (!a || !a->graph || n->n_in < 2 || a->graph->n_inputs != n->n_in || a->graph->n_outputs < 1 + n->n_out)
        MC_FAIL(MCOMP_FORMAT, n->name, "the body of Loop does not fit the node");
    in = mc_calloc((size_t)n->n_in, sizeof *in);
    if (!in) MC_FAIL(MCOMP_NO_MEMORY, n->name, "no memory to infer types");
    for (int32_t k = 0; k < n->n_in; k++) {
        in[k] = k >= 2 && n->in[k] ? b[n->in[k]->id].type : (mc_type){.dtype = k == 0 ? MCOMP_I64 : MCOMP_BOOL};
        if (k < 2 && a->graph->inputs[k]->type.rank == 1) in[k] = (mc_type){.dtype = in[k].dtype, .rank = 1, .dim = {1}};
    }
    st = bind_graph(&body, a->graph, in, n, b, w);
    if (st == MCOMP_NO_MEMORY) goto done;
    mc_error_clear(); /* a body that cannot run with these dims may not run at all */
    st = MCOMP_OK;
    for (int32_t k = 0; k < n->n_out; k++) {
        if (!n->out[k]) continue;
        const mc_value *out = a->graph->outputs[1 + k];
        mc_type *t = &b[n->out[k]->id].type;
        if (body && k < n->n_in - 2 && same_type(&body[out->id].type, &in[2 + k])) *t = in[2 + k];
        if (t->dtype == MCOMP_UNDEFINED) t->dtype = out->type.dtype;
    }
done:
    mc_bind_free(body, a && a->graph ? a->graph->n_values : 0);
    mc_free(in);
    return st;
}

static void bind_leaves(mc_bound *b, const mc_graph *g, const mc_type *inputs, const mc_node *owner, const mc_bound *outer)
{
    for (int64_t i = 0; i < g->n_values; i++) {
        const mc_value *v = g->values[i];
        b[i].type.rank = -1;
        b[i].type.dtype = v->type.dtype;
        if (v->dead) continue;
        if (v->init) {
            b[i].known = v->init;
            b[i].type = mc_type_of(v->init);
        } else if (v->capture >= 0 && owner && owner->in[owner->n_in + v->capture]) {
            b[i] = outer[owner->in[owner->n_in + v->capture]->id];
            b[i].owned = 0;
        }
    }
    for (int64_t i = 0; inputs && i < g->n_inputs; i++) b[g->inputs[i]->id].type = inputs[i];
}

static int32_t check_arity(const mc_node *n)
{
    const mc_op *d = n->desc;
    int bad = n->n_in < d->min_in || (d->max_in >= 0 && n->n_in > d->max_in) || n->n_out < d->min_out || (d->max_out >= 0 && n->n_out > d->max_out);
    for (int32_t i = 0; i < d->min_in && !bad; i++) bad = !n->in[i];
    if (bad) return mc_fail(MCOMP_FORMAT, n->name, "operator %s with %d inputs and %d outputs", n->op, n->n_in, n->n_out);
    if (n->n_in > MC_OP_MAX_IO || n->n_out > MC_OP_MAX_IO)
        return mc_fail(MCOMP_UNSUPPORTED, n->name, "%s with %d inputs and %d outputs; %d are possible", n->op, n->n_in, n->n_out, MC_OP_MAX_IO);
    return MCOMP_OK;
}

static int32_t bind_graph(mc_bound **out, const mc_graph *g, const mc_type *inputs, const mc_node *owner, const mc_bound *outer,
                          bind_work *w)
{
    int32_t st = MCOMP_OK;
    mc_bound *b = mc_calloc((size_t)g->n_values + 1, sizeof *b);
    *out = NULL;
    if (!b) return MCOMP_NO_MEMORY;
    bind_leaves(b, g, inputs, owner, outer);
    for (int64_t i = 0; i < g->n_order; i++) {
        const mc_node *n = g->order[i];
        if (!n->desc) MC_FAIL(MCOMP_UNSUPPORTED, n->name, "operator %s has no kernel", n->op);
        MC_TRY(check_arity(n));
        if (mc_node_is(n, "If")) {
            MC_TRY(infer_if(n, b, w));
            continue;
        }
        if (mc_node_is(n, "Loop")) {
            MC_TRY(infer_loop(n, b, w));
            continue;
        }
        if (n->desc->traits & MC_OP_CONTROL) continue;
        if (n->desc->infer) MC_TRY(infer_node(n, b, w));
        MC_TRY(evaluate(n, b));
    }
    *out = b;
    return MCOMP_OK;
done:
    mc_bind_free(b, g->n_values);
    return st;
}

int32_t mc_bind(mc_bound **out, const mc_graph *g, const mc_type *inputs)
{
    *out = NULL;
    bind_work *w = mc_calloc(1, sizeof *w);
    if (!w) return MCOMP_NO_MEMORY;
    const int32_t st = bind_graph(out, g, inputs, NULL, NULL, w);
    mc_free(w);
    return st;
}
