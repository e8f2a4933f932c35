/* Type inference of nodes and graphs: prepares the context of an operator's infer function, merges its answer with what is
 * known of the values, and descends into subgraphs. Shape data is in infer_data.c. */
#include "ops/internal.h"

int32_t mc_check_arity(const mc_node *n, int32_t n_in)
{
    const mc_op *d = n->desc;
    if (n_in < d->min_in || (d->max_in >= 0 && n_in > d->max_in))
        return mc_fail(MCOMP_FORMAT, n->name, "%s has %d inputs; %d to %d are possible", n->op, n_in, d->min_in,
                       d->max_in < 0 ? MC_OP_MAX_IO : d->max_in);
    if (n->n_out < d->min_out || (d->max_out >= 0 && n->n_out > d->max_out))
        return mc_fail(MCOMP_FORMAT, n->name, "%s has %d outputs; %d to %d are possible", n->op, n->n_out, d->min_out,
                       d->max_out < 0 ? MC_OP_MAX_IO : d->max_out);
    return MCOMP_OK;
}

int32_t mc_infer_run(mc_scope *s, const mc_node *n, mc_graph *symbols, mc_infer_box *box)
{
    mc_infer *c = &box->c;
    const int32_t st = mc_check_arity(n, n->n_in);
    if (st != MCOMP_OK) return st;
    for (int32_t i = 0; i < n->desc->min_in; i++)
        if (!n->in[i]) return mc_fail(MCOMP_FORMAT, n->name, "%s: input %d must not be omitted", n->op, i);
    c->node = n;
    c->graph = symbols;
    c->n_in = n->n_in;
    c->n_out = n->n_out;
    for (int32_t i = 0; i < n->n_in; i++) {
        const mc_value *v = n->in[i];
        c->in[i] = v ? &v->type : NULL;
        c->cst[i] = v ? mc_scope_const(s, v) : NULL;
        box->in_data[i].n = -1;
        if (v) mc_scope_data(s, v, &box->in_data[i]);
        c->data[i] = box->in_data[i].n >= 0 ? &box->in_data[i] : NULL;
    }
    for (int32_t k = 0; k < n->n_out; k++) {
        memset(&c->out[k], 0, sizeof c->out[k]);
        c->out[k].rank = -1;
        box->out_data[k].n = -1;
        c->out_data[k] = &box->out_data[k];
    }
    return n->desc->infer(c);
}

/* Known and inferred type of one value become one. Numbers win over symbols; inferred symbols (which tie the value to
 * others) win over known ones unless they were made up just now (index >= fresh). */
static int32_t merge(const mc_node *n, mc_value *v, const mc_type *t, int64_t fresh, int32_t *used_fresh)
{
    mc_type *k = &v->type;
    if (t->dtype != MCOMP_UNDEFINED) {
        if (k->dtype != MCOMP_UNDEFINED && k->dtype != t->dtype)
            return mc_fail(MCOMP_DTYPE, n->name, "%s gives %s but its output '%s' is declared %s", n->op, mc_dtype_name(t->dtype),
                           v->name, mc_dtype_name(k->dtype));
        k->dtype = t->dtype;
    }
    if (t->rank < 0) return MCOMP_OK;
    if (k->rank >= 0 && k->rank != t->rank)
        return mc_fail(MCOMP_SHAPE, n->name, "%s gives rank %d but its output '%s' is declared with rank %d", n->op, t->rank,
                       v->name, k->rank);
    for (int32_t i = 0; i < t->rank; i++) {
        const int64_t d = t->dim[i];
        const int made_up = d < 0 && -1 - d >= fresh;
        if (d == MC_DIM_ANONYMOUS) return mc_fail(MCOMP_NO_MEMORY, n->name, "no memory for a symbol");
        if (k->rank >= 0 && d >= 0 && k->dim[i] >= 0 && k->dim[i] != d)
            return mc_fail(MCOMP_SHAPE, n->name, "%s gives size %lld on axis %d but its output '%s' is declared with %lld", n->op,
                           (long long)d, i, v->name, (long long)k->dim[i]);
        if (k->rank >= 0 && (made_up || (d < 0 && k->dim[i] >= 0))) continue;
        k->dim[i] = d;
        *used_fresh |= made_up;
    }
    k->rank = t->rank;
    return MCOMP_OK;
}

/* Outer types go into captured values, then the subgraph is inferred. */
static int32_t infer_subgraphs(mc_scope *s, mc_node *n)
{
    int32_t st = MCOMP_OK;
    for (int32_t i = 0; i < n->n_attrs; i++) {
        mc_graph *sub = n->attrs[i].graph;
        if (!sub) continue;
        if (s->depth >= MC_SUBGRAPH_DEPTH)
            return mc_fail(MCOMP_LIMIT, n->name, "subgraphs nested deeper than %d", MC_SUBGRAPH_DEPTH);
        for (int64_t k = 0; k < sub->n_values; k++) {
            mc_value *v = sub->values[k];
            if (v->dead || v->capture < 0 || v->capture >= n->n_cap || !n->in[n->n_in + v->capture]) continue;
            MC_TRY(mc_type_into(sub, s->g, &n->in[n->n_in + v->capture]->type, &v->type));
        }
        mc_scope inner = {.g = sub, .parent = s, .depth = s->depth + 1};
        MC_TRY(mc_infer_scope(&inner));
    }
done:
    return st;
}

static int32_t infer_in(mc_scope *s, mc_node *n, mc_infer_box *box)
{
    int32_t st = MCOMP_OK, used_fresh = 0;
    MC_TRY(infer_subgraphs(s, n));
    if (!n->desc || !n->desc->infer || n->n_in > MC_OP_MAX_IO || n->n_out > MC_OP_MAX_IO) return MCOMP_OK;
    const int64_t fresh = s->g->n_symbols;
    MC_TRY(mc_infer_run(s, n, s->g, box));
    for (int32_t k = 0; k < n->n_out; k++) {
        if (!n->out[k]) continue;
        MC_TRY(merge(n, n->out[k], &box->c.out[k], fresh, &used_fresh));
        MC_TRY(mc_scope_remember(s, n->out[k], &box->out_data[k]));
    }
    if (!used_fresh) /* inferring again must not pile up symbols */
        while (s->g->n_symbols > fresh) mc_free(s->g->symbols[--s->g->n_symbols]);
done:
    return st;
}

/* A branch that does not fit its inputs is legal as long as it is not taken (it is written for another rank, say): inside
 * of subgraphs such nodes only stay unknown. */
static int32_t infer_or_leave(mc_scope *s, mc_node *n, mc_infer_box *box)
{
    const mcomp_error before = *mc_error_peek();
    int32_t st = infer_in(s, n, box);
    if (s->depth > 0 && (st == MCOMP_SHAPE || st == MCOMP_RANGE)) {
        mc_error_restore(&before);
        st = MCOMP_OK;
    }
    return st;
}

int32_t mc_infer_scope(mc_scope *s)
{
    int32_t st = mc_graph_sort(s->g);
    mc_infer_box *box = NULL;
    if (st != MCOMP_OK) return st;
    box = mc_malloc(sizeof *box);
    s->n_data = s->g->n_values;
    s->data = mc_calloc((size_t)(s->n_data ? s->n_data : 1), sizeof *s->data);
    if (!box || !s->data) MC_FAIL(MCOMP_NO_MEMORY, s->g->name, "no memory to infer types");
    for (int64_t i = 0; i < s->g->n_order; i++) MC_TRY(infer_or_leave(s, s->g->order[i], box));
done:
    mc_scope_free(s);
    mc_free(box);
    return st;
}

int32_t mc_infer_graph(mc_graph *g)
{
    mc_scope s = {.g = g};
    return mc_infer_scope(&s);
}

int32_t mc_infer_node(mc_graph *g, mc_node *n)
{
    mc_scope s = {.g = g, .budget = MC_WALK_BUDGET};
    mc_infer_box *box = mc_malloc(sizeof *box);
    if (!box) return MCOMP_NO_MEMORY;
    const int32_t st = infer_in(&s, n, box);
    mc_free(box);
    return st;
}
