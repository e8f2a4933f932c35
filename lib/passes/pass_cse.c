/* Common subexpressions: nodes of the same operator with the same inputs and attributes become one. Small constants count as
 * the same when they hold the same elements (exporters write every scale and epsilon anew). */
#include "passes/internal.h"

#include <stdlib.h>

enum { SMALL_BYTES = 64, KEY_LIMIT = 2000 };

static int32_t add_input(mc_str *key, const mc_value *v)
{
    int32_t st = MCOMP_OK;
    const mc_tensor *t = mc_value_const(v);
    if (!v) return mc_str_append(key, ";-");
    if (!t || t->dtype == MCOMP_STRING || v->flags & MC_VALUE_VARIABLE || mc_tensor_bytes(t) > SMALL_BYTES)
        return mc_str_appendf(key, ";%d", v->id);
    MC_TRY(mc_str_appendf(key, ";c%d:%d", t->dtype, t->shape.rank));
    for (int32_t i = 0; i < t->shape.rank; i++) MC_TRY(mc_str_appendf(key, ",%lld", (long long)t->shape.dim[i]));
    const uint64_t bytes = mc_tensor_bytes(t);
    for (uint64_t i = 0; i < bytes; i++) MC_TRY(mc_str_appendf(key, "%c%02x", i ? '.' : '=', ((const uint8_t *)t->data)[i]));
done:
    return st;
}

/* 0 in *usable when the attribute cannot be part of a key. */
static int32_t add_attr(mc_str *key, const mc_attr *a, int32_t *usable)
{
    int32_t st = MCOMP_OK;
    uint32_t bits;
    MC_TRY(mc_str_appendf(key, "|%s:%d=", a->name, a->kind));
    switch (a->kind) {
    case MC_ATTR_INT: st = mc_str_appendf(key, "%lld", (long long)a->i); break;
    case MC_ATTR_FLOAT:
        memcpy(&bits, &a->f, sizeof bits);
        st = mc_str_appendf(key, "%08x", bits);
        break;
    case MC_ATTR_STRING: st = mc_str_append(key, a->s ? a->s : ""); break;
    case MC_ATTR_INTS:
        for (int64_t i = 0; i < a->n && i < KEY_LIMIT; i++) MC_TRY(mc_str_appendf(key, "%lld,", (long long)a->ints[i]));
        break;
    case MC_ATTR_FLOATS:
        for (int64_t i = 0; i < a->n && i < KEY_LIMIT; i++) {
            memcpy(&bits, &a->floats[i], sizeof bits);
            MC_TRY(mc_str_appendf(key, "%08x,", bits));
        }
        break;
    default: *usable = 0; break;
    }
    if (a->n >= KEY_LIMIT) *usable = 0;
done:
    return st;
}

static int by_name(const void *x, const void *y)
{
    const mc_attr *const *a = x, *const *b = y;
    return strcmp((*a)->name, (*b)->name);
}

static int32_t make_key(mc_str *key, const mc_node *n, int32_t *usable)
{
    int32_t st = MCOMP_OK;
    const mc_attr *sorted[16];
    const uint32_t never = MC_OP_NONDETERMINISTIC | MC_OP_CONTROL;
    *usable = n->desc && !(n->desc->traits & never) && n->n_out == 1 && n->out[0] && n->n_cap == 0 && n->n_attrs <= 16 && n->n_in <= 64;
    if (!*usable) return MCOMP_OK;
    for (int32_t i = 0; i < n->n_attrs; i++) sorted[i] = &n->attrs[i];
    if (n->n_attrs > 1) qsort(sorted, (size_t)n->n_attrs, sizeof *sorted, by_name);
    MC_TRY(mc_str_appendf(key, "%s:%s", n->domain, n->op));
    for (int32_t i = 0; i < n->n_in; i++) MC_TRY(add_input(key, n->in[i]));
    for (int32_t i = 0; i < n->n_attrs; i++) MC_TRY(add_attr(key, sorted[i], usable));
done:
    return st;
}

int32_t mc_pass_cse(mc_graph *g, const mc_pass_options *o)
{
    int32_t st = MCOMP_OK, usable, gone;
    mc_str key = {0};
    int64_t id;
    mc_map *seen = mc_map_create();
    (void)o;
    if (!seen) return MCOMP_NO_MEMORY;
    for (int64_t i = 0; i < g->n_order; i++) {
        mc_node *n = g->order[i];
        if (n->dead) continue;
        key.len = 0;
        MC_TRY(make_key(&key, n, &usable));
        if (!usable) continue;
        if (mc_map_get(seen, key.data, &id) && !g->nodes[id]->dead) {
            MC_TRY(mc_bypass(g, n, g->nodes[id]->out[0], &gone));
            continue;
        }
        MC_TRY(mc_map_put(seen, key.data, n->id));
    }
done:
    mc_str_free(&key);
    mc_map_destroy(seen);
    return st;
}
