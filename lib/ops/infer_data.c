/* Shape data: what is known of the elements of small integer tensors. In graph order it is remembered by value; for a
 * single node it is found by asking the producers, a bounded number of them. Also the border of subgraphs: symbols have
 * numbers of their graph, so they are carried over by name. */
#include "ops/internal.h"

#include <stdio.h>

void mc_data_from_tensor(const mc_tensor *t, mc_shape_data *out)
{
    out->n = -1;
    if (!t || (!mc_dtype_is_integer(t->dtype) && t->dtype != MCOMP_BOOL) || t->shape.rank > 1) return;
    const int64_t n = mc_tensor_elements(t);
    if (n > MC_SHAPE_DATA) return;
    out->n = (int32_t)n;
    for (int64_t i = 0; i < n; i++) {
        const int64_t v = mc_tensor_get_i64(t, i);
        const int64_t lowest = -((int64_t)1 << 62); /* below are symbols and "unknown"; "to the very front" of Slice is as well said by it */
        out->v[i] = v < lowest ? lowest : v;
    }
}

static const mc_value *captured(const mc_scope *s, const mc_value *v)
{
    const mc_node *o = s->g->owner;
    return o && v->capture >= 0 && v->capture < o->n_cap ? o->in[o->n_in + v->capture] : NULL;
}

const mc_tensor *mc_scope_const(const mc_scope *s, const mc_value *v)
{
    while (v) {
        if (v->init) return v->init;
        if (v->producer) {
            const mc_attr *a = mc_node_is(v->producer, "Constant") ? mc_node_attr(v->producer, "value") : NULL;
            return a ? a->tensor : NULL;
        }
        v = captured(s, v);
        if (!s->parent) return v ? v->init : NULL;
        s = s->parent;
    }
    return NULL;
}

/* Elements that only mean something in another graph or in no graph become unknown. */
static void forget_foreign(const mc_graph *g, mc_shape_data *d)
{
    for (int32_t i = 0; i < d->n; i++)
        if (mc_data_is_symbol(d->v[i]) && (mc_data_dim(d->v[i]) == MC_DIM_ANONYMOUS || -1 - mc_data_dim(d->v[i]) >= g->n_symbols))
            d->v[i] = MC_DATA_UNKNOWN;
}

/* Asks the producer of v, without a graph to make symbols in. */
static void walk(mc_scope *s, const mc_value *v, mc_shape_data *out)
{
    const mc_node *p = v->producer;
    if (!p->desc || !p->desc->infer || p->n_in > MC_OP_MAX_IO || p->n_out > MC_OP_MAX_IO || s->budget <= 0) return;
    s->budget--;
    mc_infer_box *box = mc_malloc(sizeof *box);
    if (!box) return;
    const mcomp_error saved = *mc_error_peek();
    if (mc_infer_run(s, p, NULL, box) == MCOMP_OK) *out = box->out_data[v->producer_index];
    else mc_error_restore(&saved); /* an error of the producer is reported when it is inferred itself */
    mc_free(box);
}

static int small_integer(const mc_type *t)
{
    if (t->dtype != MCOMP_UNDEFINED && t->dtype != MCOMP_BOOL && !mc_dtype_is_integer(t->dtype)) return 0;
    return t->rank <= 1 && !(t->rank == 1 && t->dim[0] > MC_SHAPE_DATA);
}

void mc_scope_data(mc_scope *s, const mc_value *v, mc_shape_data *out)
{
    out->n = -1;
    if (!small_integer(&v->type)) return;
    const mc_tensor *t = mc_scope_const(s, v);
    if (t) {
        mc_data_from_tensor(t, out);
        return;
    }
    const mc_value *outer = v->producer ? NULL : captured(s, v);
    if (outer && s->parent) {
        mc_scope_data(s->parent, outer, out);
        for (int32_t i = 0; i < out->n; i++) {
            int64_t d;
            if (!mc_data_is_symbol(out->v[i])) continue;
            out->v[i] = mc_dim_into(s->g, s->parent->g, mc_data_dim(out->v[i]), &d) == MCOMP_OK ? MC_DATA_SYMBOL(d) : MC_DATA_UNKNOWN;
        }
    } else if (s->data) {
        if (v->id < s->n_data && s->data[v->id]) *out = *s->data[v->id];
    } else if (v->producer) {
        walk(s, v, out);
        forget_foreign(s->g, out);
    }
}

void mc_infer_data(mc_graph *g, const mc_value *v, mc_shape_data *out)
{
    mc_scope s = {.g = g, .budget = MC_WALK_BUDGET};
    mc_scope_data(&s, v, out);
}

int32_t mc_scope_remember(mc_scope *s, const mc_value *v, const mc_shape_data *d)
{
    if (!s->data || d->n < 0 || v->id >= s->n_data || v->type.rank > 1 || v->type.rank < 0) return MCOMP_OK;
    mc_shape_data *copy = mc_malloc(sizeof *copy);
    if (!copy) return MCOMP_NO_MEMORY;
    *copy = *d;
    mc_free(s->data[v->id]);
    s->data[v->id] = copy;
    return MCOMP_OK;
}

void mc_scope_free(mc_scope *s)
{
    for (int64_t i = 0; s->data && i < s->n_data; i++) mc_free(s->data[i]);
    mc_free(s->data);
    s->data = NULL;
}

/* ---- symbols across the border of a subgraph ---- */

/* Anonymous names ("?3") are numbered a graph, so the outer one is marked: "^?3" in the subgraph. */
int32_t mc_dim_into(mc_graph *sub, const mc_graph *outer, int64_t dim, int64_t *out)
{
    char buf[300];
    const char *name = dim < 0 ? mc_graph_symbol_name(outer, dim) : NULL;
    *out = dim;
    if (dim >= 0) return MCOMP_OK;
    if (name && (name[0] == '?' || name[0] == '^')) {
        snprintf(buf, sizeof buf, "^%.290s", name);
        name = buf;
    }
    return mc_graph_symbol(sub, name, out);
}

static int32_t dim_out_of(const mc_graph *sub, mc_graph *outer, int64_t dim, int64_t *out)
{
    const char *name = dim < 0 ? mc_graph_symbol_name(sub, dim) : NULL;
    *out = dim;
    if (dim >= 0) return MCOMP_OK;
    if (name && name[0] == '^') return mc_graph_symbol(outer, name + 1, out);
    return mc_graph_symbol(outer, name && name[0] != '?' ? name : NULL, out);
}

int32_t mc_type_into(mc_graph *sub, const mc_graph *outer, const mc_type *t, mc_type *out)
{
    int32_t st = MCOMP_OK;
    mc_type r = *t;
    for (int32_t i = 0; i < t->rank; i++) MC_TRY(mc_dim_into(sub, outer, t->dim[i], &r.dim[i]));
    *out = r;
done:
    return st;
}

int32_t mc_type_out_of(const mc_graph *sub, mc_graph *outer, const mc_type *t, mc_type *out)
{
    int32_t st = MCOMP_OK;
    mc_type r = *t;
    for (int32_t i = 0; i < t->rank; i++) MC_TRY(dim_out_of(sub, outer, t->dim[i], &r.dim[i]));
    *out = r;
done:
    return st;
}
