/* Public functions that look at a graph or change it in small ways. */
#include <mcomp/graph.h>

#include "passes/passes.h"

#include <stdio.h>

int32_t mcomp_graph_clone(mcomp_graph **out, const mcomp_graph *g)
{
    int32_t st = MCOMP_OK;
    mcomp_graph *h = NULL;
    MC_API_ENTER();
    MC_CHECK_ARG(1, out, "out", "is NULL");
    *out = NULL;
    MC_CHECK_ARG(2, g, "g", "is NULL");
    h = mc_calloc(1, sizeof *h);
    if (!h) return MCOMP_NO_MEMORY;
    *h = *g;
    h->g = NULL;
    h->warnings = (mc_str){0};
    MC_TRY(mc_graph_clone(&h->g, g->g));
    *out = h;
    return MCOMP_OK;
done:
    mc_free(h);
    return st;
}

void mcomp_graph_destroy(mcomp_graph *g)
{
    if (!g) return;
    mc_graph_destroy(g->g);
    mc_str_free(&g->warnings);
    mc_free(g);
}

int32_t mcomp_graph_info_get(const mcomp_graph *g, mcomp_graph_info *out)
{
    mcomp_graph_info i = {.size = sizeof i};
    MC_API_ENTER();
    MC_CHECK_ARG(1, g, "g", "is NULL");
    MC_CHECK_ARG(2, out, "out", "is NULL");
    i.n_inputs = (int32_t)g->g->n_inputs;
    i.n_outputs = (int32_t)g->g->n_outputs;
    for (int64_t k = 0; k < g->g->n_nodes; k++) i.n_nodes += !g->g->nodes[k]->dead;
    i.ir_version = g->g->ir_version;
    i.opset = mc_graph_opset(g->g, "");
    i.macs_free_axis = 1;
    i.file_bytes = g->file_bytes;
    mc_count_parameters(g->g, &i.parameters, &i.parameter_bytes);
    const int32_t st = mc_count_macs(g->g, i.macs_free_axis, &i.macs);
    if (st != MCOMP_OK) return st;
    snprintf(i.producer, sizeof i.producer, "%s", g->g->producer ? g->g->producer : "");
    return mc_info_give(out, &i, sizeof i, 2);
}

static int32_t port(const mc_graph *g, mc_value *const *list, int64_t n, int32_t i, mcomp_port_info *out)
{
    mcomp_port_info p = {.size = sizeof p};
    MC_CHECK_ARG(2, i >= 0 && i < n, "i", "is out of range");
    MC_CHECK_ARG(3, out, "out", "is NULL");
    const mc_value *v = list[i];
    p.dtype = v->type.dtype;
    p.rank = v->type.rank;
    p.name = v->name;
    for (int32_t k = 0; k < p.rank; k++) {
        const int64_t d = v->type.dim[k];
        p.dims[k] = d < 0 ? -1 : d;
        p.symbols[k] = d < 0 ? mc_graph_symbol_name(g, d) : NULL;
        if (d < 0 && !p.symbols[k]) p.symbols[k] = "?";
    }
    return mc_info_give(out, &p, sizeof p, 3);
}

int32_t mcomp_graph_input(const mcomp_graph *g, int32_t i, mcomp_port_info *out)
{
    MC_API_ENTER();
    MC_CHECK_ARG(1, g, "g", "is NULL");
    return port(g->g, g->g->inputs, g->g->n_inputs, i, out);
}

int32_t mcomp_graph_output(const mcomp_graph *g, int32_t i, mcomp_port_info *out)
{
    MC_API_ENTER();
    MC_CHECK_ARG(1, g, "g", "is NULL");
    return port(g->g, g->g->outputs, g->g->n_outputs, i, out);
}

/* NULL: it can be run. */
static const char *why_not(const mc_node *n)
{
    if (n->refused && !n->desc) return n->refused;
    if (mc_is_gradient_operator(n)) return NULL; /* expanded before anything runs */
    if (!n->desc) return *n->domain ? "the operator's domain is not known" : "the operator is not known";
    if (n->desc->forward || mc_node_is_control(n)) return NULL;
    return "there is no kernel for the operator";
}

int32_t mcomp_graph_node(const mcomp_graph *g, int64_t i, mcomp_node_info *out)
{
    mcomp_node_info info = {.size = sizeof info};
    MC_API_ENTER();
    MC_CHECK_ARG(1, g, "g", "is NULL");
    MC_CHECK_ARG(2, i >= 0 && i < g->g->n_order, "i", "is out of range");
    MC_CHECK_ARG(3, out, "out", "is NULL");
    const mc_node *n = g->g->order[i];
    info.name = n->name;
    info.domain = n->domain;
    info.op = n->op;
    info.supported = why_not(n) == NULL;
    return mc_info_give(out, &info, sizeof info, 3);
}

typedef void (*visit_fn)(void *payload, const char *node, const char *op, const char *why);

static void visit_unsupported(const mc_graph *g, visit_fn visit, void *payload)
{
    for (int64_t i = 0; i < g->n_order; i++) {
        const mc_node *n = g->order[i];
        const char *why = why_not(n);
        if (why) visit(payload, n->name, n->op, why);
        for (int32_t k = 0; k < n->n_attrs; k++)
            if (n->attrs[k].graph) visit_unsupported(n->attrs[k].graph, visit, payload);
    }
}

int32_t mcomp_graph_unsupported(const mcomp_graph *g, visit_fn visit, void *payload)
{
    MC_API_ENTER();
    MC_CHECK_ARG(1, g, "g", "is NULL");
    MC_CHECK_ARG(2, visit, "visit", "is NULL");
    visit_unsupported(g->g, visit, payload);
    return MCOMP_OK;
}

const char *mcomp_graph_meta(const mcomp_graph *g, const char *key) { return g && key ? mc_graph_get_meta(g->g, key) : NULL; }

int32_t mcomp_graph_meta_at(const mcomp_graph *g, int64_t i, const char **key, const char **value)
{
    MC_API_ENTER();
    MC_CHECK_ARG(1, g, "g", "is NULL");
    MC_CHECK_ARG(2, i >= 0 && i < g->g->n_meta, "i", "is out of range");
    MC_CHECK_ARG(3, key, "key", "is NULL");
    MC_CHECK_ARG(4, value, "value", "is NULL");
    *key = g->g->meta[i].key;
    *value = g->g->meta[i].value;
    return MCOMP_OK;
}

int32_t mcomp_graph_set_meta(mcomp_graph *g, const char *key, const char *value)
{
    MC_API_ENTER();
    MC_CHECK_ARG(1, g, "g", "is NULL");
    MC_CHECK_ARG(2, key && *key, "key", "is empty");
    return mc_graph_set_meta(g->g, key, value);
}

int32_t mcomp_graph_opset_at(const mcomp_graph *g, int64_t i, const char **domain, int64_t *version)
{
    MC_API_ENTER();
    MC_CHECK_ARG(1, g, "g", "is NULL");
    MC_CHECK_ARG(2, i >= 0 && i < g->g->n_opsets, "i", "is out of range");
    MC_CHECK_ARG(3, domain, "domain", "is NULL");
    MC_CHECK_ARG(4, version, "version", "is NULL");
    *domain = g->g->opsets[i].domain;
    *version = g->g->opsets[i].version;
    return MCOMP_OK;
}

int32_t mcomp_graph_expose(mcomp_graph *g, const char *value)
{
    MC_API_ENTER();
    MC_CHECK_ARG(1, g, "g", "is NULL");
    MC_CHECK_ARG(2, value, "value", "is NULL");
    mc_value *v = mc_graph_find_value(g->g, value);
    if (!v) return mc_fail(MCOMP_ARGUMENT, value, "there is no value of this name in the graph");
    return v->flags & MC_VALUE_OUTPUT ? MCOMP_OK : mc_graph_add_output(g->g, v);
}

int32_t mcomp_graph_fix_input(mcomp_graph *g, const char *input, const mcomp_tensor *t)
{
    mc_pass_options o = {0};
    MC_API_ENTER();
    MC_CHECK_ARG(1, g, "g", "is NULL");
    MC_CHECK_ARG(2, input, "input", "is NULL");
    MC_CHECK_ARG(3, t, "t", "is NULL");
    if (g->ctx) o.fold_bytes = g->ctx->options.max_fold_bytes;
    return mc_pass_fix_input(g->g, input, &t->t, &o);
}

int32_t mcomp_graph_constants(const mcomp_graph *g, void (*visit)(void *payload, const mcomp_constant_info *info), void *payload)
{
    MC_API_ENTER();
    MC_CHECK_ARG(1, g, "g", "is NULL");
    MC_CHECK_ARG(2, visit, "visit", "is NULL");
    for (int64_t i = 0; i < g->g->n_values; i++) {
        const mc_value *v = g->g->values[i];
        if (v->dead || !v->init) continue;
        mcomp_constant_info info = {.size = sizeof info, .dtype = v->init->dtype, .rank = v->init->shape.rank, .name = v->name};
        for (int32_t k = 0; k < info.rank; k++) info.dims[k] = v->init->shape.dim[k];
        info.bytes = mc_tensor_bytes(v->init);
        info.data = v->init->data;
        visit(payload, &info);
    }
    return MCOMP_OK;
}
