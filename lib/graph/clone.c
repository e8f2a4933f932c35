/* Deep copy of structure; weights stay shared. Ids are kept so that callers can map by id. */
#include "graph/internal.h"

static int32_t copy_value(mc_graph *to, const mc_value *v)
{
    int32_t st = MCOMP_OK;
    mc_value *c = mc_calloc(1, sizeof *c);
    if (!c) return MCOMP_NO_MEMORY;
    to->values[v->id] = c;
    c->id = v->id;
    c->dead = v->dead;
    c->flags = v->flags;
    c->type = v->type;
    c->capture = v->capture;
    c->producer_index = v->producer_index;
    c->name = mc_strdup(v->name);
    if (!c->name) return MCOMP_NO_MEMORY;
    if (v->init) MC_TRY(mc_tensor_share(&c->init, v->init));
    if (!c->dead) MC_TRY(mc_map_put(to->names, c->name, c->id));
done:
    return st;
}

static int32_t copy_node(mc_graph *to, const mc_node *n)
{
    int32_t st = MCOMP_OK;
    const int32_t n_in = n->n_in + n->n_cap;
    mc_node *c = mc_calloc(1, sizeof *c);
    if (!c) return MCOMP_NO_MEMORY;
    to->nodes[n->id] = c;
    c->id = n->id;
    c->dead = n->dead;
    c->version = n->version;
    c->desc = n->desc;
    c->origin = n->origin;
    c->name = mc_strdup(n->name);
    c->domain = mc_strdup(n->domain);
    c->op = mc_strdup(n->op);
    c->in = mc_calloc((size_t)n_in + 1, sizeof *c->in);
    c->out = mc_calloc((size_t)n->n_out + 1, sizeof *c->out);
    if (!c->name || !c->domain || !c->op || !c->in || !c->out) return MCOMP_NO_MEMORY;
    if (n->refused && !(c->refused = mc_strdup(n->refused))) return MCOMP_NO_MEMORY;
    c->n_in = n->n_in;
    c->n_cap = n->n_cap;
    c->n_out = n->n_out;
    for (int32_t i = 0; i < n_in; i++) {
        c->in[i] = n->in[i] ? to->values[n->in[i]->id] : NULL;
        if (!c->dead) MC_TRY(mc_value_add_use(c->in[i], c, i));
    }
    for (int32_t i = 0; i < n->n_out; i++) {
        c->out[i] = n->out[i] ? to->values[n->out[i]->id] : NULL;
        if (c->out[i] && !c->dead) c->out[i]->producer = c;
    }
    MC_TRY(mc_node_copy_attrs(c, n));
    for (int32_t i = 0; i < n->n_aliases; i++) MC_TRY(mc_node_add_alias(c, n->aliases[i]));
    if (!c->dead) MC_TRY(mc_map_put(to->node_names, c->name, c->id));
done:
    return st;
}

static int32_t copy_list(mc_graph *to, mc_value ***list, int64_t *n, int64_t *cap, mc_value *const *from, int64_t count)
{
    const int32_t st = mc_grow(list, cap, count, sizeof **list);
    if (st != MCOMP_OK) return st;
    for (int64_t i = 0; i < count; i++) (*list)[i] = to->values[from[i]->id];
    *n = count;
    return MCOMP_OK;
}

static int32_t copy_tables(mc_graph *c, const mc_graph *g)
{
    int32_t st = MCOMP_OK;
    MC_TRY(mc_grow(&c->values, &c->cap_values, g->n_values, sizeof *c->values));
    MC_TRY(mc_grow(&c->nodes, &c->cap_nodes, g->n_nodes, sizeof *c->nodes));
    for (int64_t i = 0; i < g->n_values; i++) c->values[i] = NULL;
    for (int64_t i = 0; i < g->n_nodes; i++) c->nodes[i] = NULL;
    c->n_values = g->n_values;
    c->n_nodes = g->n_nodes;
    for (int64_t i = 0; i < g->n_values; i++) MC_TRY(copy_value(c, g->values[i]));
    for (int64_t i = 0; i < g->n_nodes; i++) MC_TRY(copy_node(c, g->nodes[i]));
    MC_TRY(copy_list(c, &c->inputs, &c->n_inputs, &c->cap_inputs, g->inputs, g->n_inputs));
    MC_TRY(copy_list(c, &c->outputs, &c->n_outputs, &c->cap_outputs, g->outputs, g->n_outputs));
done:
    return st;
}

static int32_t copy_heads(mc_graph *c, const mc_graph *g)
{
    int32_t st = MCOMP_OK;
    MC_TRY(mc_grow(&c->symbols, &c->cap_symbols, g->n_symbols, sizeof *c->symbols));
    for (int64_t i = 0; i < g->n_symbols; i++) {
        if (!(c->symbols[i] = mc_strdup(g->symbols[i]))) return MCOMP_NO_MEMORY;
        c->n_symbols++;
    }
    for (int64_t i = 0; i < g->n_meta; i++) MC_TRY(mc_graph_set_meta(c, g->meta[i].key, g->meta[i].value));
    MC_TRY(mc_grow(&c->opsets, &c->cap_opsets, g->n_opsets, sizeof *c->opsets));
    for (int64_t i = 0; i < g->n_opsets; i++) {
        c->opsets[i].version = g->opsets[i].version;
        c->opsets[i].domain = mc_strdup(g->opsets[i].domain);
        c->n_opsets++;
        if (!c->opsets[i].domain) return MCOMP_NO_MEMORY;
    }
    if (g->producer && !(c->producer = mc_strdup(g->producer))) return MCOMP_NO_MEMORY;
    if (g->source_path && !(c->source_path = mc_strdup(g->source_path))) return MCOMP_NO_MEMORY;
    c->ir_version = g->ir_version;
    c->next_name = g->next_name;
done:
    return st;
}

int32_t mc_graph_clone(mc_graph **out, const mc_graph *g)
{
    int32_t st = MCOMP_OK;
    mc_graph *c = NULL;
    *out = NULL;
    MC_TRY(mc_graph_create(&c, g->name));
    MC_TRY(copy_heads(c, g));
    MC_TRY(copy_tables(c, g));
    MC_TRY(mc_graph_sort(c));
    *out = c;
    return MCOMP_OK;
done:
    mc_graph_destroy(c);
    return st;
}
