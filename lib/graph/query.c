/* Small questions about graphs, nodes and values. */
#include "graph/internal.h"

#include <math.h>

mc_value *mc_graph_find_value(const mc_graph *g, const char *name)
{
    int64_t id;
    return mc_map_get(g->names, name, &id) ? g->values[id] : NULL;
}

mc_node *mc_graph_find_node(const mc_graph *g, const char *name)
{
    int64_t id;
    if (mc_map_get(g->node_names, name, &id)) return g->nodes[id];
    for (int64_t i = 0; i < g->n_nodes; i++) {
        mc_node *n = g->nodes[i];
        for (int32_t k = 0; !n->dead && k < n->n_aliases; k++)
            if (strcmp(n->aliases[k], name) == 0) return n;
    }
    return NULL;
}

int mc_type_known(const mc_type *t)
{
    if (t->dtype == MCOMP_UNDEFINED || t->rank < 0) return 0;
    for (int32_t i = 0; i < t->rank; i++)
        if (t->dim[i] < 0) return 0;
    return 1;
}

int32_t mc_type_shape(const mc_type *t, mc_shape *out)
{
    if (t->rank < 0 || !mc_type_known(t)) return mc_fail(MCOMP_SHAPE, "", "the shape is not fully known");
    *out = mc_shape_make(t->rank, t->dim);
    return MCOMP_OK;
}

int mc_dims_equal(const mc_type *a, const mc_type *b)
{
    if (a->rank < 0 || a->rank != b->rank) return 0;
    for (int32_t i = 0; i < a->rank; i++)
        if (a->dim[i] != b->dim[i]) return 0;
    return 1;
}

int mc_node_is_control(const mc_node *n) { return mc_node_is(n, "If") || mc_node_is(n, "Loop"); }

int mc_node_is(const mc_node *n, const char *op) { return n && n->domain[0] == 0 && strcmp(n->op, op) == 0; }

int mc_node_is_in(const mc_node *n, const char *domain, const char *op)
{
    return n && strcmp(n->domain, domain) == 0 && strcmp(n->op, op) == 0;
}

mc_node *mc_value_only_user(const mc_value *v)
{
    if (!v || v->n_uses != 1 || (v->flags & MC_VALUE_OUTPUT)) return NULL;
    return v->uses[0].index < v->uses[0].node->n_in ? v->uses[0].node : NULL;
}

const mc_tensor *mc_value_const(const mc_value *v) { return v ? v->init : NULL; }

int mc_value_const_is(const mc_value *v, double x)
{
    const mc_tensor *t = mc_value_const(v);
    if (!t || t->dtype == MCOMP_STRING) return 0;
    const int64_t n = mc_tensor_elements(t);
    for (int64_t i = 0; i < n; i++) {
        const double e = mc_tensor_get_f64(t, i);
        if (!(fabs(e - x) <= 1e-6 * fabs(x))) return 0;
    }
    return n > 0;
}

int mc_value_scalar(const mc_value *v, double *out)
{
    const mc_tensor *t = mc_value_const(v);
    if (!t || t->dtype == MCOMP_STRING || mc_tensor_elements(t) != 1) return 0;
    *out = mc_tensor_get_f64(t, 0);
    return 1;
}
