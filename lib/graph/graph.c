/* Life of graphs, values and nodes; the operator lookup hook. */
#include "graph/internal.h"

static const struct mc_op *(*lookup_find)(const char *domain, const char *op);
static int32_t (*lookup_version)(const struct mc_op *op);

void mc_graph_set_op_lookup(const struct mc_op *(*find)(const char *domain, const char *op), int32_t (*version)(const struct mc_op *op))
{
    lookup_find = find;
    lookup_version = version;
}

const struct mc_op *mc_graph_lookup(const char *domain, const char *op, int32_t *version)
{
    const struct mc_op *d = lookup_find ? lookup_find(domain, op) : NULL;
    *version = d ? lookup_version(d) : 0;
    return d;
}

int32_t mc_graph_create(mc_graph **out, const char *name)
{
    mc_graph *g = mc_calloc(1, sizeof *g);
    *out = NULL;
    if (!g) return MCOMP_NO_MEMORY;
    g->name = mc_strdup(name ? name : "graph");
    g->names = mc_map_create();
    g->node_names = mc_map_create();
    g->ir_version = 8;
    if (!g->name || !g->names || !g->node_names) {
        mc_graph_destroy(g);
        return MCOMP_NO_MEMORY;
    }
    *out = g;
    return MCOMP_OK;
}

void mc_value_free(mc_value *v)
{
    if (!v) return;
    mc_free(v->name);
    mc_free(v->uses);
    mc_tensor_destroy(v->init);
    mc_free(v);
}

void mc_node_free(mc_node *n)
{
    if (!n) return;
    for (int32_t i = 0; i < n->n_attrs; i++) mc_attr_clear(&n->attrs[i]);
    for (int32_t i = 0; i < n->n_aliases; i++) mc_free(n->aliases[i]);
    mc_free(n->attrs);
    mc_free(n->aliases);
    mc_free(n->refused);
    mc_free(n->name);
    mc_free(n->domain);
    mc_free(n->op);
    mc_free(n->in);
    mc_free(n->out);
    mc_free(n);
}

void mc_graph_destroy(mc_graph *g)
{
    if (!g) return;
    for (int64_t i = 0; i < g->n_nodes; i++) mc_node_free(g->nodes[i]);
    for (int64_t i = 0; i < g->n_values; i++) mc_value_free(g->values[i]);
    for (int64_t i = 0; i < g->n_symbols; i++) mc_free(g->symbols[i]);
    for (int64_t i = 0; i < g->n_meta; i++) {
        mc_free(g->meta[i].key);
        mc_free(g->meta[i].value);
    }
    for (int64_t i = 0; i < g->n_opsets; i++) mc_free(g->opsets[i].domain);
    mc_free(g->values);
    mc_free(g->nodes);
    mc_free(g->order);
    mc_free(g->inputs);
    mc_free(g->outputs);
    mc_free(g->symbols);
    mc_free(g->meta);
    mc_free(g->opsets);
    mc_free(g->producer);
    mc_free(g->source_path);
    mc_free(g->name);
    mc_map_destroy(g->names);
    mc_map_destroy(g->node_names);
    mc_free(g);
}

int32_t mc_graph_set_meta(mc_graph *g, const char *key, const char *value)
{
    int32_t st = MCOMP_OK;
    for (int64_t i = 0; i < g->n_meta; i++) {
        if (strcmp(g->meta[i].key, key) != 0) continue;
        if (!value) {
            mc_free(g->meta[i].key);
            mc_free(g->meta[i].value);
            memmove(&g->meta[i], &g->meta[i + 1], sizeof *g->meta * (size_t)(g->n_meta - i - 1));
            g->n_meta--;
            return MCOMP_OK;
        }
        char *copy = mc_strdup(value);
        if (!copy) return MCOMP_NO_MEMORY;
        mc_free(g->meta[i].value);
        g->meta[i].value = copy;
        return MCOMP_OK;
    }
    if (!value) return MCOMP_OK;
    MC_TRY(mc_grow(&g->meta, &g->cap_meta, g->n_meta + 1, sizeof *g->meta));
    mc_graph_meta *m = &g->meta[g->n_meta];
    m->key = mc_strdup(key);
    m->value = mc_strdup(value);
    g->n_meta++;
    if (!m->key || !m->value) st = MCOMP_NO_MEMORY;
done:
    return st;
}

const char *mc_graph_get_meta(const mc_graph *g, const char *key)
{
    for (int64_t i = 0; i < g->n_meta; i++)
        if (strcmp(g->meta[i].key, key) == 0) return g->meta[i].value;
    return NULL;
}

int64_t mc_graph_opset(const mc_graph *g, const char *domain)
{
    for (int64_t i = 0; i < g->n_opsets; i++)
        if (strcmp(g->opsets[i].domain, domain) == 0) return g->opsets[i].version;
    return 0;
}
