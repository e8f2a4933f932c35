/* Names and types: a name is looked up in its graph, then outwards; a value of an outer graph becomes a capture of every
 * node between. */
#include "onnx/internal.h"

int32_t mc_onnx_resolve(const mc_onnx_scope *s, const char *name, mc_value **out)
{
    mc_value *outer, *v = mc_graph_find_value(s->g, name);
    int32_t index, st = MCOMP_OK;
    *out = v;
    if (v || !s->outer) return MCOMP_OK;
    MC_TRY(mc_onnx_resolve(s->outer, name, &outer));
    if (!outer) return MCOMP_OK;
    MC_TRY(mc_node_add_capture(s->outer->g, s->owner, outer, &index));
    MC_TRY(mc_graph_add_value(s->g, name, NULL, &v));
    v->capture = index;
    *out = v;
done:
    return st;
}

static int32_t dim_in(mc_graph *g, const McOnnx__Dim *d, const char *where, int32_t axis, int64_t *out)
{
    if (d->has_dim_value && d->dim_value >= 0) {
        *out = d->dim_value;
        return MCOMP_OK;
    }
    if (d->has_dim_value && d->dim_value < -1)
        return mc_fail(MCOMP_FORMAT, where, "negative size %lld of axis %d", (long long)d->dim_value, axis);
    if (d->dim_param && g->n_symbols > 10000) return mc_fail(MCOMP_LIMIT, where, "more than 10000 free axes with names");
    return mc_graph_symbol(g, d->dim_param && d->dim_param[0] != '?' ? d->dim_param : NULL, out); /* some exporters write -1 for "unknown" */
}

int32_t mc_onnx_type_in(mc_graph *g, const McOnnx__Type *p, const char *where, mc_type *out)
{
    int32_t st = MCOMP_OK;
    *out = (mc_type){.dtype = MCOMP_UNDEFINED, .rank = -1};
    if (!p || !p->tensor_type) return MCOMP_OK;
    const McOnnx__TensorType *t = p->tensor_type;
    if (t->elem_type && t->elem_type != MCOMP_STRING && mc_dtype_bits(t->elem_type) == 0)
        MC_FAIL(MCOMP_DTYPE, where, "element type %d is not known", t->elem_type);
    out->dtype = t->elem_type;
    if (!t->shape) return MCOMP_OK;
    if (t->shape->n_dim > MC_MAX_RANK)
        MC_FAIL(MCOMP_LIMIT, where, "rank %llu; at most %d is supported", (unsigned long long)t->shape->n_dim, MC_MAX_RANK);
    for (size_t i = 0; i < t->shape->n_dim; i++) MC_TRY(dim_in(g, t->shape->dim[i], where, (int32_t)i, &out->dim[i]));
    out->rank = (int32_t)t->shape->n_dim;
done:
    return st;
}
