/* Building graphs: values, constants, nodes, symbols. */
#include "graph/internal.h"

#include <stdio.h>

int32_t mc_graph_unique_name(mc_graph *g, const mc_map *taken, const char *base, char **out)
{
    char buf[64];
    *out = NULL;
    if (base && *base && !mc_map_get(taken, base, NULL)) {
        *out = mc_strdup(base);
        return *out ? MCOMP_OK : MCOMP_NO_MEMORY;
    }
    for (;;) {
        snprintf(buf, sizeof buf, "_%lld", (long long)g->next_name++);
        const size_t n = base ? strlen(base) : 0, m = strlen(buf);
        char *s = mc_malloc(n + m + 1);
        if (!s) return MCOMP_NO_MEMORY;
        if (n) memcpy(s, base, n);
        memcpy(s + n, buf, m + 1);
        if (!mc_map_get(taken, s, NULL)) {
            *out = s;
            return MCOMP_OK;
        }
        mc_free(s);
    }
}

int32_t mc_graph_add_value(mc_graph *g, const char *name, const mc_type *type, mc_value **out)
{
    int32_t st = MCOMP_OK;
    mc_value *v = mc_calloc(1, sizeof *v);
    *out = NULL;
    if (!v) return MCOMP_NO_MEMORY;
    v->capture = -1;
    v->type.rank = -1;
    if (type) v->type = *type;
    MC_TRY(mc_graph_unique_name(g, g->names, name, &v->name));
    MC_TRY(mc_grow(&g->values, &g->cap_values, g->n_values + 1, sizeof *g->values));
    if (g->n_values >= INT32_MAX) MC_FAIL(MCOMP_LIMIT, v->name, "too many values");
    MC_TRY(mc_map_put(g->names, v->name, g->n_values));
    v->id = (int32_t)g->n_values;
    g->values[g->n_values++] = v;
    *out = v;
    return MCOMP_OK;
done:
    mc_value_free(v);
    return st;
}

static int32_t append(void *list, int64_t *n, int64_t *cap, mc_value *v)
{
    int32_t st = mc_grow(list, cap, *n + 1, sizeof v);
    if (st != MCOMP_OK) return st;
    mc_value **p;
    memcpy(&p, list, sizeof p);
    p[(*n)++] = v;
    return MCOMP_OK;
}

int32_t mc_graph_add_input(mc_graph *g, const char *name, const mc_type *type, mc_value **out)
{
    int32_t st = mc_graph_add_value(g, name, type, out);
    if (st != MCOMP_OK) return st;
    (*out)->flags |= MC_VALUE_INPUT;
    return append(&g->inputs, &g->n_inputs, &g->cap_inputs, *out);
}

int32_t mc_value_make_variable(mc_graph *g, mc_value *v, mc_tensor **t)
{
    const int32_t st = append(&g->inputs, &g->n_inputs, &g->cap_inputs, v);
    if (st != MCOMP_OK) return st;
    *t = v->init;
    v->init = NULL;
    v->flags |= MC_VALUE_INPUT | MC_VALUE_VARIABLE;
    return MCOMP_OK;
}

int32_t mc_graph_add_output(mc_graph *g, mc_value *v)
{
    v->flags |= MC_VALUE_OUTPUT;
    return append(&g->outputs, &g->n_outputs, &g->cap_outputs, v);
}

mc_type mc_type_of(const mc_tensor *t)
{
    mc_type r = {.dtype = t->dtype, .rank = t->shape.rank};
    for (int32_t i = 0; i < t->shape.rank; i++) r.dim[i] = t->shape.dim[i];
    return r;
}

int32_t mc_graph_add_const(mc_graph *g, const char *name, mc_tensor *t, mc_value **out)
{
    const mc_type type = mc_type_of(t);
    const int32_t st = mc_graph_add_value(g, name, &type, out);
    if (st != MCOMP_OK) {
        mc_tensor_destroy(t);
        return st;
    }
    (*out)->init = t;
    return MCOMP_OK;
}

int32_t mc_graph_add_const_f32(mc_graph *g, const char *name, float v, mc_value **out)
{
    mc_tensor *t;
    const mc_shape s = {.rank = 0};
    *out = NULL;
    int32_t st = mc_tensor_create(&t, MCOMP_F32, &s);
    if (st != MCOMP_OK) return st;
    *(float *)t->data = v;
    return mc_graph_add_const(g, name, t, out);
}

int32_t mc_graph_add_const_i64s(mc_graph *g, const char *name, const int64_t *v, int64_t n, mc_value **out)
{
    mc_tensor *t;
    const mc_shape s = {.rank = 1, .dim = {n}};
    *out = NULL;
    int32_t st = mc_tensor_create(&t, MCOMP_I64, &s);
    if (st != MCOMP_OK) return st;
    if (n) memcpy(t->data, v, sizeof *v * (size_t)n);
    return mc_graph_add_const(g, name, t, out);
}

int32_t mc_value_add_use(mc_value *v, mc_node *n, int32_t index)
{
    if (!v) return MCOMP_OK;
    const int32_t st = mc_grow(&v->uses, &v->cap_uses, v->n_uses + 1, sizeof *v->uses);
    if (st == MCOMP_OK) v->uses[v->n_uses++] = (mc_use){n, index};
    return st;
}

void mc_value_drop_use(mc_value *v, const mc_node *n, int32_t index)
{
    if (!v) return;
    for (int64_t i = 0; i < v->n_uses; i++) {
        if (v->uses[i].node != n || v->uses[i].index != index) continue;
        memmove(&v->uses[i], &v->uses[i + 1], sizeof *v->uses * (size_t)(v->n_uses - i - 1));
        v->n_uses--;
        return;
    }
}

static int32_t make_outputs(mc_graph *g, mc_node *n, const char *const *out_names)
{
    int32_t st = MCOMP_OK;
    char buf[300];
    for (int32_t i = 0; i < n->n_out; i++) {
        const char *name = out_names ? out_names[i] : NULL;
        if (out_names && (!name || !*name)) continue; /* omitted */
        if (!name) {
            snprintf(buf, sizeof buf, i ? "%.250s_out%d" : "%.250s_out", n->name, i);
            name = buf;
        }
        MC_TRY(mc_graph_add_value(g, name, NULL, &n->out[i]));
        n->out[i]->producer = n;
        n->out[i]->producer_index = i;
    }
done:
    return st;
}

int32_t mc_graph_add_node(mc_graph *g, const char *domain, const char *op, int32_t version, const char *name, int32_t n_in,
                          mc_value *const *in, int32_t n_out, const char *const *out_names, mc_node **out)
{
    int32_t st = MCOMP_OK, known_version;
    mc_node *n = mc_calloc(1, sizeof *n);
    if (out) *out = NULL;
    if (!n) return MCOMP_NO_MEMORY;
    n->n_in = n_in;
    n->n_out = n_out;
    n->domain = mc_strdup(domain);
    n->op = mc_strdup(op);
    n->in = mc_calloc((size_t)(n_in > 0 ? n_in : 1), sizeof *n->in);
    n->out = mc_calloc((size_t)(n_out > 0 ? n_out : 1), sizeof *n->out);
    if (!n->domain || !n->op || !n->in || !n->out) MC_FAIL(MCOMP_NO_MEMORY, name, "no memory for a node");
    n->desc = mc_graph_lookup(domain, op, &known_version);
    n->version = version ? version : known_version;
    MC_TRY(mc_graph_unique_name(g, g->node_names, name && *name ? name : op, &n->name));
    MC_TRY(mc_grow(&g->nodes, &g->cap_nodes, g->n_nodes + 1, sizeof *g->nodes));
    if (g->n_nodes >= INT32_MAX) MC_FAIL(MCOMP_LIMIT, n->name, "too many nodes");
    MC_TRY(mc_map_put(g->node_names, n->name, g->n_nodes));
    n->id = (int32_t)g->n_nodes;
    g->nodes[g->n_nodes++] = n; /* from here the graph owns it */
    for (int32_t i = 0; i < n_in; i++) {
        n->in[i] = in[i];
        st = mc_value_add_use(in[i], n, i);
        if (st != MCOMP_OK) return st;
    }
    st = make_outputs(g, n, out_names);
    if (st == MCOMP_OK && out) *out = n;
    return st;
done:
    mc_node_free(n);
    return st;
}

int32_t mc_graph_symbol(mc_graph *g, const char *name, int64_t *dim)
{
    int32_t st = MCOMP_OK;
    char buf[32];
    if (name && *name) {
        for (int64_t i = 0; i < g->n_symbols; i++)
            if (strcmp(g->symbols[i], name) == 0) {
                *dim = -1 - i;
                return MCOMP_OK;
            }
    } else {
        snprintf(buf, sizeof buf, "?%lld", (long long)g->n_symbols);
        name = buf;
    }
    MC_TRY(mc_grow(&g->symbols, &g->cap_symbols, g->n_symbols + 1, sizeof *g->symbols));
    char *copy = mc_strdup(name);
    if (!copy) return MCOMP_NO_MEMORY;
    g->symbols[g->n_symbols] = copy;
    *dim = -1 - g->n_symbols++;
done:
    return st;
}

const char *mc_graph_symbol_name(const mc_graph *g, int64_t dim)
{
    const int64_t i = -1 - dim;
    return dim < 0 && i < g->n_symbols ? g->symbols[i] : NULL;
}
