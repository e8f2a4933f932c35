/* Editing: inputs, uses, removal. */
#include "graph/internal.h"

int32_t mc_node_set_input(mc_graph *g, mc_node *n, int32_t index, mc_value *v)
{
    int32_t st = MCOMP_OK;
    (void)g;
    if (index >= n->n_in) { /* captures move behind the new formal inputs */
        const int32_t extra = index + 1 - n->n_in;
        mc_value **in = mc_realloc(n->in, sizeof *in * (size_t)(n->n_in + n->n_cap + extra));
        if (!in) return MCOMP_NO_MEMORY;
        n->in = in;
        for (int32_t i = n->n_in + n->n_cap - 1; i >= n->n_in; i--) {
            in[i + extra] = in[i];
            for (int64_t k = 0; in[i] && k < in[i]->n_uses; k++)
                if (in[i]->uses[k].node == n && in[i]->uses[k].index == i) in[i]->uses[k].index = i + extra;
        }
        for (int32_t i = n->n_in; i <= index; i++) in[i] = NULL;
        n->n_in = index + 1;
    }
    if (n->in[index] == v) return MCOMP_OK;
    MC_TRY(mc_value_add_use(v, n, index));
    mc_value_drop_use(n->in[index], n, index);
    n->in[index] = v;
done:
    return st;
}

int32_t mc_node_add_capture(mc_graph *g, mc_node *n, mc_value *outer, int32_t *index)
{
    int32_t st = MCOMP_OK;
    (void)g;
    for (int32_t i = 0; i < n->n_cap; i++)
        if (n->in[n->n_in + i] == outer) {
            *index = i;
            return MCOMP_OK;
        }
    mc_value **in = mc_realloc(n->in, sizeof *in * (size_t)(n->n_in + n->n_cap + 1));
    if (!in) return MCOMP_NO_MEMORY;
    n->in = in;
    MC_TRY(mc_value_add_use(outer, n, n->n_in + n->n_cap));
    in[n->n_in + n->n_cap] = outer;
    *index = n->n_cap++;
done:
    return st;
}

/* Swaps the names of two values (graph outputs keep theirs). */
static int32_t swap_names(mc_graph *g, mc_value *a, mc_value *b)
{
    int32_t st = MCOMP_OK;
    char *t = a->name;
    a->name = b->name;
    b->name = t;
    MC_TRY(mc_map_put(g->names, a->name, a->id));
    MC_TRY(mc_map_put(g->names, b->name, b->id));
done:
    return st;
}

int32_t mc_graph_replace_uses(mc_graph *g, mc_value *a, mc_value *b)
{
    int32_t st = MCOMP_OK;
    if (a == b) return MCOMP_OK;
    MC_TRY(mc_grow(&b->uses, &b->cap_uses, b->n_uses + a->n_uses, sizeof *b->uses));
    for (int64_t i = 0; i < a->n_uses; i++) {
        const mc_use u = a->uses[i];
        u.node->in[u.index] = b;
        b->uses[b->n_uses++] = u;
    }
    a->n_uses = 0;
    if (a->flags & MC_VALUE_OUTPUT) {
        for (int64_t i = 0; i < g->n_outputs; i++)
            if (g->outputs[i] == a) g->outputs[i] = b;
        a->flags &= ~(uint32_t)MC_VALUE_OUTPUT;
        if (!(b->flags & (MC_VALUE_OUTPUT | MC_VALUE_INPUT)) && b->capture < 0) MC_TRY(swap_names(g, a, b));
        b->flags |= MC_VALUE_OUTPUT;
    }
done:
    return st;
}

static void kill_value(mc_graph *g, mc_value *v)
{
    if (v->dead) return;
    v->dead = 1;
    mc_map_remove(g->names, v->name);
    mc_tensor_destroy(v->init);
    v->init = NULL;
    v->producer = NULL;
}

void mc_graph_remove_node(mc_graph *g, mc_node *n)
{
    if (n->dead) return;
    n->dead = 1;
    for (int32_t i = 0; i < n->n_in + n->n_cap; i++) {
        mc_value_drop_use(n->in[i], n, i);
        n->in[i] = NULL;
    }
    for (int32_t i = 0; i < n->n_out; i++) {
        mc_value *v = n->out[i];
        if (!v) continue;
        v->producer = NULL;
        if (v->n_uses == 0 && !(v->flags & MC_VALUE_OUTPUT)) kill_value(g, v);
    }
    mc_map_remove(g->node_names, n->name);
}

static int node_is_needed(const mc_node *n)
{
    int any = 0;
    for (int32_t i = 0; i < n->n_out; i++) {
        if (!n->out[i]) continue;
        any = 1;
        if (n->out[i]->n_uses > 0 || (n->out[i]->flags & MC_VALUE_OUTPUT)) return 1;
    }
    return !any;
}

int32_t mc_graph_remove_dead(mc_graph *g, int64_t *removed)
{
    int64_t count = 0;
    int32_t st = mc_graph_sort(g);
    if (st != MCOMP_OK) return st;
    for (int64_t i = g->n_order - 1; i >= 0; i--) { /* users come after producers, so one backward sweep is enough */
        mc_node *n = g->order[i];
        if (node_is_needed(n)) continue;
        mc_graph_remove_node(g, n);
        count++;
    }
    for (int64_t i = 0; i < g->n_values; i++) {
        mc_value *v = g->values[i];
        if (v->dead || v->producer || v->n_uses || (v->flags & (MC_VALUE_INPUT | MC_VALUE_OUTPUT))) continue;
        kill_value(g, v);
        count++;
    }
    if (removed) *removed = count;
    return mc_graph_sort(g);
}

int32_t mc_node_add_alias(mc_node *n, const char *name)
{
    if (strcmp(n->name, name) == 0) return MCOMP_OK;
    for (int32_t i = 0; i < n->n_aliases; i++)
        if (strcmp(n->aliases[i], name) == 0) return MCOMP_OK;
    char **list = mc_realloc(n->aliases, sizeof *list * (size_t)(n->n_aliases + 1));
    if (!list) return MCOMP_NO_MEMORY;
    n->aliases = list;
    list[n->n_aliases] = mc_strdup(name);
    if (!list[n->n_aliases]) return MCOMP_NO_MEMORY;
    n->n_aliases++;
    return MCOMP_OK;
}

int32_t mc_node_inherit(mc_node *n, const mc_node *replaced, const char *origin)
{
    int32_t st = MCOMP_OK;
    if (origin) n->origin = origin;
    if (!replaced) return MCOMP_OK;
    MC_TRY(mc_node_add_alias(n, replaced->name));
    for (int32_t i = 0; i < replaced->n_aliases; i++) MC_TRY(mc_node_add_alias(n, replaced->aliases[i]));
done:
    return st;
}

int32_t mc_value_make_const(mc_graph *g, mc_value *v, mc_tensor *t)
{
    (void)g;
    if (v->producer) v->producer->out[v->producer_index] = NULL;
    v->producer = NULL;
    mc_tensor_destroy(v->init);
    v->init = t;
    v->type = mc_type_of(t);
    return MCOMP_OK;
}

int32_t mc_value_rename(mc_graph *g, mc_value *v, const char *name)
{
    if (strcmp(v->name, name) == 0) return MCOMP_OK;
    if (mc_map_get(g->names, name, NULL)) return mc_fail(MCOMP_ARGUMENT, name, "the name is taken");
    char *copy = mc_strdup(name);
    if (!copy) return MCOMP_NO_MEMORY;
    const int32_t st = mc_map_put(g->names, name, v->id);
    if (st != MCOMP_OK) {
        mc_free(copy);
        return st;
    }
    mc_map_remove(g->names, v->name);
    mc_free(v->name);
    v->name = copy;
    return MCOMP_OK;
}

int32_t mc_graph_align_constants(mc_graph *g)
{
    int32_t st = MCOMP_OK;
    for (int64_t i = 0; i < g->n_values; i++)
        if (g->values[i]->init) MC_TRY(mc_tensor_align(g->values[i]->init));
    for (int64_t i = 0; i < g->n_nodes; i++)
        for (int32_t k = 0; k < g->nodes[i]->n_attrs; k++) {
            const mc_attr *a = &g->nodes[i]->attrs[k];
            if (a->tensor) MC_TRY(mc_tensor_align(a->tensor));
            if (a->graph) MC_TRY(mc_graph_align_constants(a->graph));
        }
done:
    return st;
}
