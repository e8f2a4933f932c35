/* Attributes of nodes. */
#include "graph/internal.h"

void mc_attr_clear(mc_attr *a)
{
    mc_free(a->name);
    mc_free(a->s);
    mc_free(a->floats);
    mc_free(a->ints);
    for (int64_t i = 0; a->strings && i < a->n; i++) mc_free(a->strings[i]);
    mc_free(a->strings);
    mc_tensor_destroy(a->tensor);
    mc_graph_destroy(a->graph);
    memset(a, 0, sizeof *a);
}

static int32_t copy_strings(mc_attr *to, char *const *v, int64_t n)
{
    to->strings = mc_calloc((size_t)(n > 0 ? n : 1), sizeof *to->strings);
    if (!to->strings) return MCOMP_NO_MEMORY;
    for (int64_t i = 0; i < n; i++) {
        to->strings[i] = mc_strdup(v[i]);
        if (!to->strings[i]) return MCOMP_NO_MEMORY;
    }
    return MCOMP_OK;
}

static void *copy_block(const void *p, size_t bytes)
{
    void *q = mc_malloc(bytes);
    if (q && bytes) memcpy(q, p, bytes);
    return q;
}

int32_t mc_attr_copy(mc_attr *to, const mc_attr *from)
{
    int32_t st = MCOMP_OK;
    char *name = to->name ? to->name : mc_strdup(from->name);
    memset(to, 0, sizeof *to);
    to->name = name;
    if (!name) return MCOMP_NO_MEMORY;
    to->kind = from->kind;
    to->f = from->f;
    to->i = from->i;
    to->n = from->n;
    to->s_len = from->s_len;
    if (from->s && !(to->s = mc_strndup(from->s, (size_t)from->s_len))) return MCOMP_NO_MEMORY;
    if (from->floats && !(to->floats = copy_block(from->floats, sizeof(float) * (size_t)from->n))) return MCOMP_NO_MEMORY;
    if (from->ints && !(to->ints = copy_block(from->ints, sizeof(int64_t) * (size_t)from->n))) return MCOMP_NO_MEMORY;
    if (from->strings) MC_TRY(copy_strings(to, from->strings, from->n));
    if (from->tensor) MC_TRY(mc_tensor_share(&to->tensor, from->tensor));
    if (from->graph) MC_TRY(mc_graph_clone(&to->graph, from->graph));
done:
    return st;
}

const mc_attr *mc_node_attr(const mc_node *n, const char *name)
{
    for (int32_t i = 0; i < n->n_attrs; i++)
        if (strcmp(n->attrs[i].name, name) == 0) return &n->attrs[i];
    return NULL;
}

mc_attr *mc_node_attr_new(mc_node *n, const char *name, int32_t kind)
{
    mc_attr *a = (mc_attr *)(uintptr_t)mc_node_attr(n, name);
    if (a) {
        mc_attr_clear(a);
    } else {
        mc_attr *list = mc_realloc(n->attrs, sizeof *list * (size_t)(n->n_attrs + 1));
        if (!list) return NULL;
        n->attrs = list;
        a = &list[n->n_attrs++];
        memset(a, 0, sizeof *a);
    }
    a->kind = kind;
    a->name = mc_strdup(name);
    if (!a->name) { /* never leave a nameless attribute behind */
        *a = n->attrs[--n->n_attrs];
        return NULL;
    }
    return a;
}

void mc_node_remove_attr(mc_node *n, const char *name)
{
    mc_attr *a = (mc_attr *)(uintptr_t)mc_node_attr(n, name);
    if (!a) return;
    mc_attr_clear(a);
    const int32_t at = (int32_t)(a - n->attrs);
    memmove(a, a + 1, sizeof *a * (size_t)(n->n_attrs - at - 1));
    n->n_attrs--;
}

int64_t mc_attr_i(const mc_node *n, const char *name, int64_t otherwise)
{
    const mc_attr *a = mc_node_attr(n, name);
    return a && a->kind == MC_ATTR_INT ? a->i : otherwise;
}

float mc_attr_f(const mc_node *n, const char *name, float otherwise)
{
    const mc_attr *a = mc_node_attr(n, name);
    return a && a->kind == MC_ATTR_FLOAT ? a->f : otherwise;
}

const char *mc_attr_s(const mc_node *n, const char *name, const char *otherwise)
{
    const mc_attr *a = mc_node_attr(n, name);
    return a && a->kind == MC_ATTR_STRING && a->s ? a->s : otherwise;
}

const int64_t *mc_attr_ints(const mc_node *n, const char *name, int64_t *count)
{
    const mc_attr *a = mc_node_attr(n, name);
    *count = a && a->kind == MC_ATTR_INTS ? a->n : 0;
    return *count ? a->ints : NULL;
}

const float *mc_attr_floats(const mc_node *n, const char *name, int64_t *count)
{
    const mc_attr *a = mc_node_attr(n, name);
    *count = a && a->kind == MC_ATTR_FLOATS ? a->n : 0;
    return *count ? a->floats : NULL;
}

#define NEW_ATTR(kind)                                                                                                 \
    mc_attr *a = mc_node_attr_new(n, name, kind);                                                                      \
    if (!a) return MCOMP_NO_MEMORY

int32_t mc_node_set_i(mc_node *n, const char *name, int64_t v)
{
    NEW_ATTR(MC_ATTR_INT);
    a->i = v;
    return MCOMP_OK;
}

int32_t mc_node_set_f(mc_node *n, const char *name, float v)
{
    NEW_ATTR(MC_ATTR_FLOAT);
    a->f = v;
    return MCOMP_OK;
}

int32_t mc_node_set_s(mc_node *n, const char *name, const char *v)
{
    NEW_ATTR(MC_ATTR_STRING);
    a->s = mc_strdup(v);
    a->s_len = (int64_t)strlen(v);
    return a->s ? MCOMP_OK : MCOMP_NO_MEMORY;
}

int32_t mc_node_set_ints(mc_node *n, const char *name, const int64_t *v, int64_t count)
{
    NEW_ATTR(MC_ATTR_INTS);
    a->ints = copy_block(v, sizeof *v * (size_t)count);
    a->n = count;
    return a->ints ? MCOMP_OK : MCOMP_NO_MEMORY;
}

int32_t mc_node_set_floats(mc_node *n, const char *name, const float *v, int64_t count)
{
    NEW_ATTR(MC_ATTR_FLOATS);
    a->floats = copy_block(v, sizeof *v * (size_t)count);
    a->n = count;
    return a->floats ? MCOMP_OK : MCOMP_NO_MEMORY;
}

int32_t mc_node_set_strings(mc_node *n, const char *name, char *const *v, int64_t count)
{
    NEW_ATTR(MC_ATTR_STRINGS);
    a->n = count;
    return copy_strings(a, v, count);
}

int32_t mc_node_set_tensor(mc_node *n, const char *name, mc_tensor *t)
{
    mc_attr *a = mc_node_attr_new(n, name, MC_ATTR_TENSOR);
    if (!a) {
        mc_tensor_destroy(t);
        return MCOMP_NO_MEMORY;
    }
    a->tensor = t;
    return MCOMP_OK;
}

int32_t mc_node_set_graph(mc_node *n, const char *name, mc_graph *sub)
{
    mc_attr *a = mc_node_attr_new(n, name, MC_ATTR_GRAPH);
    if (!a) {
        mc_graph_destroy(sub);
        return MCOMP_NO_MEMORY;
    }
    a->graph = sub;
    sub->owner = n;
    return MCOMP_OK;
}

int32_t mc_node_copy_attrs(mc_node *to, const mc_node *from)
{
    int32_t st = MCOMP_OK;
    for (int32_t i = 0; i < from->n_attrs; i++) {
        mc_attr *a = mc_node_attr_new(to, from->attrs[i].name, from->attrs[i].kind);
        if (!a) return MCOMP_NO_MEMORY;
        MC_TRY(mc_attr_copy(a, &from->attrs[i]));
        if (a->graph) a->graph->owner = to;
    }
done:
    return st;
}
