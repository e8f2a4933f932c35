/* If with a constant condition becomes its branch: the nodes and constants of the subgraph move into the graph, captured
 * values become the outer values themselves. Nested subgraphs keep their captures, renumbered. */
#include "passes/internal.h"

typedef struct splice {
    mc_graph *g;
    const mc_graph *sub;
    const mc_node *n;  /* the If */
    mc_value **map;    /* by id of the subgraph's values */
} splice;

/* Types may hold symbols of the subgraph, which mean nothing here: only fully known shapes are taken over. */
static mc_type portable_type(const mc_type *t)
{
    mc_type r = *t;
    if (!mc_type_known(t)) r.rank = -1;
    return r;
}

static int32_t map_source(splice *s, const mc_value *v)
{
    int32_t st = MCOMP_OK;
    mc_tensor *t;
    if (v->init) {
        MC_TRY(mc_tensor_share(&t, v->init));
        MC_TRY(mc_graph_add_const(s->g, v->name, t, &s->map[v->id]));
    } else if (v->capture >= 0) {
        if (v->capture >= s->n->n_cap) return mc_fail(MCOMP_FORMAT, s->n->name, "\"%s\" is captured from nowhere", v->name);
        s->map[v->id] = s->n->in[s->n->n_in + v->capture];
    }
done:
    return st;
}

/* Captures of a copied node: equal outer values share one slot now, so the nested graphs are renumbered. */
static int32_t copy_captures(splice *s, const mc_node *from, mc_node *to)
{
    int32_t st = MCOMP_OK, *slot = NULL;
    if (from->n_cap == 0) return MCOMP_OK;
    slot = mc_calloc((size_t)from->n_cap, sizeof *slot);
    if (!slot) return MCOMP_NO_MEMORY;
    for (int32_t k = 0; k < from->n_cap; k++) {
        mc_value *outer = s->map[from->in[from->n_in + k]->id];
        if (!outer) MC_FAIL(MCOMP_FORMAT, from->name, "a captured value is never produced");
        MC_TRY(mc_node_add_capture(s->g, to, outer, &slot[k]));
    }
    for (int32_t i = 0; i < to->n_attrs; i++) {
        mc_graph *inner = to->attrs[i].graph;
        for (int64_t k = 0; inner && k < inner->n_values; k++) {
            mc_value *v = inner->values[k];
            if (v->dead || v->capture < 0) continue;
            if (v->capture >= from->n_cap) MC_FAIL(MCOMP_FORMAT, from->name, "\"%s\" is captured from nowhere", v->name);
            v->capture = slot[v->capture];
        }
    }
done:
    mc_free(slot);
    return st;
}

static int32_t copy_node(splice *s, const mc_node *from)
{
    int32_t st = MCOMP_OK;
    mc_value **in = mc_calloc((size_t)from->n_in + 1, sizeof(mc_value *));
    const char **names = mc_calloc((size_t)from->n_out + 1, sizeof(char *));
    mc_node *to;
    if (!in || !names) MC_FAIL(MCOMP_NO_MEMORY, from->name, "no memory to inline a branch");
    for (int32_t i = 0; i < from->n_in; i++) {
        if (!from->in[i]) continue;
        in[i] = s->map[from->in[i]->id];
        if (!in[i]) MC_FAIL(MCOMP_FORMAT, from->name, "input \"%s\" is never produced", from->in[i]->name);
    }
    for (int32_t k = 0; k < from->n_out; k++) names[k] = from->out[k] ? from->out[k]->name : NULL;
    MC_TRY(mc_graph_add_node(s->g, from->domain, from->op, from->version, from->name, from->n_in, in, from->n_out, names, &to));
    MC_TRY(mc_node_copy_attrs(to, from));
    MC_TRY(mc_node_add_alias(to, from->name));
    MC_TRY(mc_node_inherit(to, from, from->origin));
    for (int32_t k = 0; k < from->n_out; k++) {
        if (!from->out[k]) continue;
        to->out[k]->type = portable_type(&from->out[k]->type);
        s->map[from->out[k]->id] = to->out[k];
    }
    MC_TRY(copy_captures(s, from, to));
    MC_TRY(mc_infer_node(s->g, to));
done:
    mc_free(in);
    mc_free(names);
    return st;
}

/* The If's output k is the branch's output now. */
static int32_t connect(splice *s, mc_node *n, int32_t k)
{
    int32_t st = MCOMP_OK;
    mc_node *id;
    mc_value *v = s->map[s->sub->outputs[k]->id], *old = n->out[k];
    if (!old) return MCOMP_OK;
    if (!v) return mc_fail(MCOMP_FORMAT, n->name, "output %d of the branch is never produced", k);
    const int named = v->flags & (MC_VALUE_INPUT | MC_VALUE_OUTPUT) || v->capture >= 0;
    if (old->flags & MC_VALUE_OUTPUT && named) { /* two public names: a copy between them */
        MC_TRY(mc_rewrite_begin(s->g, "", "Identity", "inline_if", n, 1, &v, &id));
        return mc_rewrite_end(s->g, id, n, old);
    }
    if (v->producer) MC_TRY(mc_node_inherit(v->producer, n, v->producer->origin));
    MC_TRY(mc_graph_replace_uses(s->g, old, v));
done:
    return st;
}

int32_t mc_pass_inline_if(mc_graph *g, mc_node *n, int32_t then_branch)
{
    int32_t st = MCOMP_OK;
    const mc_attr *a = mc_node_attr(n, then_branch ? "then_branch" : "else_branch");
    splice s = {.g = g, .n = n};
    if (!mc_node_is(n, "If") || !a || !a->graph) return mc_fail(MCOMP_FORMAT, n->name, "the branch of the If is missing");
    MC_TRY(mc_graph_sort(a->graph));
    s.sub = a->graph;
    if (s.sub->n_outputs != n->n_out || s.sub->n_inputs != 0)
        MC_FAIL(MCOMP_FORMAT, n->name, "the branch has %lld outputs, the If has %d", (long long)s.sub->n_outputs, n->n_out);
    s.map = mc_calloc((size_t)s.sub->n_values + 1, sizeof *s.map);
    if (!s.map) MC_FAIL(MCOMP_NO_MEMORY, n->name, "no memory to inline a branch");
    for (int64_t i = 0; i < s.sub->n_values; i++)
        if (!s.sub->values[i]->dead) MC_TRY(map_source(&s, s.sub->values[i]));
    for (int64_t i = 0; i < s.sub->n_order; i++) MC_TRY(copy_node(&s, s.sub->order[i]));
    for (int32_t k = 0; k < n->n_out; k++) MC_TRY(connect(&s, n, k));
    mc_graph_remove_node(g, n);
done:
    mc_free(s.map);
    return st;
}

int32_t mc_pass_constant_if(mc_graph *g, const mc_pass_options *o)
{
    int32_t st = MCOMP_OK;
    (void)o;
    for (int64_t i = 0; i < g->n_order; i++) {
        mc_node *n = g->order[i];
        double condition;
        if (n->dead || !mc_node_is(n, "If") || n->n_in != 1 || !mc_value_scalar(n->in[0], &condition)) continue;
        MC_TRY(mc_pass_inline_if(g, n, condition != 0.0));
    }
done:
    return st;
}
