/* Graph -> GraphProto in the writer's arena. Names: a captured value goes by the name of the outer value; a value of a
 * subgraph whose name is in use outside gets a new one, so that no name means two things. */
#include "onnx/save.h"

#include <stdio.h>

static int32_t unique_name(mc_onnx_writer *w, const mc_graph *g, const char *base, char **out)
{
    char text[600];
    for (int64_t i = 1;; i++) {
        snprintf(text, sizeof text, "%.500s_%lld", base, (long long)i);
        if (!mc_map_get(w->taken, text, NULL) && !mc_graph_find_value(g, text)) break;
    }
    *out = mc_onnx_copy(w, text);
    return *out ? MCOMP_OK : MCOMP_NO_MEMORY;
}

/* Names of all values by id. */
static int32_t make_names(mc_onnx_writer *w, const mc_graph *g, const char *const *outer, const char ***out)
{
    int32_t st = MCOMP_OK;
    const char **names;
    char *fresh;
    MC_ONNX_LIST(w, names, g->n_values);
    *out = names;
    for (int64_t i = 0; i < g->n_values; i++) {
        const mc_value *v = g->values[i];
        if (v->dead) continue;
        if (v->capture >= 0 && outer) {
            const mc_value *from = g->owner->in[g->owner->n_in + v->capture];
            names[i] = outer[from->id];
            continue;
        }
        names[i] = v->name;
        if (mc_map_get(w->taken, v->name, NULL)) {
            MC_TRY(unique_name(w, g, v->name, &fresh));
            names[i] = fresh;
        }
    }
    for (int64_t i = 0; i < g->n_values; i++)
        if (names[i] && g->values[i]->capture < 0) MC_TRY(mc_map_put(w->taken, names[i], i));
done:
    return st;
}

/* Names of a subgraph mean nothing behind it. */
static void forget_names(mc_onnx_writer *w, const mc_graph *g, const char *const *names)
{
    for (int64_t i = 0; names && i < g->n_values; i++)
        if (names[i] && g->values[i]->capture < 0) (void)mc_map_remove(w->taken, names[i]);
}

static int32_t type_out(mc_onnx_writer *w, const mc_graph *g, const mc_type *t, McOnnx__Type **out)
{
    McOnnx__Type *p;
    McOnnx__Shape *s;
    *out = NULL;
    if (t->dtype == MCOMP_UNDEFINED) return MCOMP_OK;
    MC_ONNX_NEW(w, p, mc_onnx__type__init);
    MC_ONNX_NEW(w, p->tensor_type, mc_onnx__tensor_type__init);
    *out = p;
    p->tensor_type->has_elem_type = 1;
    p->tensor_type->elem_type = t->dtype;
    if (t->rank < 0) return MCOMP_OK;
    MC_ONNX_NEW(w, s, mc_onnx__shape__init);
    p->tensor_type->shape = s;
    MC_ONNX_LIST(w, s->dim, t->rank);
    for (int32_t i = 0; i < t->rank; i++) {
        McOnnx__Dim *d;
        MC_ONNX_NEW(w, d, mc_onnx__dim__init);
        s->dim[s->n_dim++] = d;
        const char *name = t->dim[i] < 0 ? mc_graph_symbol_name(g, t->dim[i]) : NULL;
        if (t->dim[i] >= 0) {
            d->has_dim_value = 1;
            d->dim_value = t->dim[i];
        } else if (name && name[0] != '?') { /* made-up symbols stay anonymous */
            d->dim_param = (char *)(uintptr_t)name;
        }
    }
    return MCOMP_OK;
}

static int32_t ports_out(mc_onnx_writer *w, const mc_graph *g, mc_value *const *list, int64_t n, const char *const *names,
                         McOnnx__ValueInfo ***out, size_t *count)
{
    MC_ONNX_LIST(w, *out, n);
    for (int64_t i = 0; i < n; i++) {
        McOnnx__ValueInfo *p;
        MC_ONNX_NEW(w, p, mc_onnx__value_info__init);
        p->name = (char *)(uintptr_t)names[list[i]->id];
        const int32_t st = type_out(w, g, &list[i]->type, &p->type);
        if (st != MCOMP_OK) return st;
        if (!p->type && !g->owner && !list[i]->producer)
            return mc_fail(MCOMP_UNSUPPORTED, p->name, "the input is no tensor; such models cannot be written");
        (*out)[(*count)++] = p;
    }
    return MCOMP_OK;
}

static int32_t constants_out(mc_onnx_writer *w, const mc_graph *g, const char *const *names, McOnnx__Graph *p)
{
    int32_t st = MCOMP_OK;
    MC_ONNX_LIST(w, p->initializer, g->n_values);
    for (int64_t i = 0; i < g->n_values; i++) {
        const mc_value *v = g->values[i];
        if (v->dead || !v->init || (v->n_uses == 0 && !(v->flags & MC_VALUE_OUTPUT))) continue;
        MC_TRY(mc_onnx_tensor_out(w, v->init, names[i], &p->initializer[p->n_initializer]));
        p->n_initializer++;
    }
done:
    return st;
}

int32_t mc_onnx_graph_out(mc_onnx_writer *w, const mc_graph *g, const char *const *outer, McOnnx__Graph **out)
{
    int32_t st = MCOMP_OK;
    McOnnx__Graph *p;
    const char **names = NULL;
    MC_ONNX_NEW(w, p, mc_onnx__graph__init);
    *out = p;
    p->name = *g->name ? g->name : (char *)(uintptr_t)"graph";
    MC_TRY(make_names(w, g, outer, &names));
    MC_TRY(constants_out(w, g, names, p));
    MC_TRY(ports_out(w, g, g->inputs, g->n_inputs, names, &p->input, &p->n_input));
    MC_TRY(ports_out(w, g, g->outputs, g->n_outputs, names, &p->output, &p->n_output));
    p->node = mc_arena_alloc(w->arena, sizeof *p->node * ((size_t)g->n_order + 1));
    if (!p->node) MC_FAIL(MCOMP_NO_MEMORY, g->name, "no memory to write the graph");
    for (int64_t i = 0; i < g->n_order; i++) {
        MC_TRY(mc_onnx_node_out(w, g->order[i], names, &p->node[i]));
        p->n_node++;
    }
done:
    if (outer) forget_names(w, g, names);
    return st;
}
