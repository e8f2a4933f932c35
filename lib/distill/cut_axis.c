/* One axis, the last of the values it runs through, and the constants that carry it. */
#include "distill/cut.h"

#include <math.h>
#include <stdlib.h>

void mc_axis_free(mc_axis *a)
{
    mc_free(a->values);
    mc_free(a->parts);
    *a = (mc_axis){0};
}

int mc_axis_has(const mc_axis *a, const mc_value *v)
{
    for (int64_t i = 0; i < a->n_values; i++)
        if (a->values[i] == v) return 1;
    return 0;
}

static int32_t part(mc_axis *a, mc_value *v, int32_t axis)
{
    for (int64_t i = 0; i < a->n_parts; i++)
        if (a->parts[i].v == v && a->parts[i].axis == axis) return MCOMP_OK;
    const int32_t st = mc_grow(&a->parts, &a->cap_parts, a->n_parts + 1, sizeof *a->parts);
    if (st == MCOMP_OK) a->parts[a->n_parts++] = (mc_axis_part){v, axis};
    return st;
}

/* A value that has the axis, or broadcasts along it. */
static int32_t tie(mc_axis *a, mc_value *v)
{
    const int32_t rank = v->type.rank;
    if (rank == 0 || (rank > 0 && v->type.dim[rank - 1] == 1) || mc_axis_has(a, v)) return MCOMP_OK;
    if (rank < 1 || v->type.dim[rank - 1] != a->size)
        return mc_fail(MCOMP_UNSUPPORTED, v->name, "the value is tied to an axis of %lld that it does not have", (long long)a->size);
    if (v->init) return part(a, v, rank - 1);
    const int32_t st = mc_grow(&a->values, &a->cap_values, a->n_values + 1, sizeof *a->values);
    if (st == MCOMP_OK) a->values[a->n_values++] = v;
    return st;
}

static int one_of(const mc_node *n, const char *const *list)
{
    for (; !n->domain[0] && *list; list++)
        if (strcmp(n->op, *list) == 0) return 1;
    return 0;
}

static const char *const elementwise[] = {"Add", "Sub", "Mul", "Div", "Where", "Min", "Max", "Sum", NULL};
static const char *const unary[] = {"Gelu", "Relu", "Tanh", "Erf", "Sigmoid", "Identity", "Dropout", "Cast", "Neg", "Abs", "Sqrt", "Elu", "LeakyRelu", "HardSwish", NULL};
static const char *const other_axes[] = {"Slice", "Gather", "ReduceMean", "ReduceSum", "ReduceMax", "Unsqueeze", "Squeeze", "Reshape", "Expand", "Flatten", NULL};

static int32_t refuse(const mc_node *n)
{
    (void)mc_fail(MCOMP_UNSUPPORTED, n->name, "an axis cannot be narrowed through %s here", n->op);
    return mc_fail_hint("keep this size, or cut layers and vocabulary only");
}

/* Nodes that leave the last axis whole: it is there before and after, and nobody named it. */
static int32_t keeps_last(mc_axis *a, const mc_node *n)
{
    int32_t st = MCOMP_OK;
    mc_value *x = n->in[0], *y = n->out[0];
    const int32_t rx = x->type.rank, ry = y->type.rank;
    if (rx < 1 || ry < 1 || x->type.dim[rx - 1] != a->size || y->type.dim[ry - 1] != a->size) return refuse(n);
    if (mc_node_is(n, "Reshape")) { /* only where the last length is left to be found: it is not written into the shape */
        const mc_tensor *shape = mc_value_const(n->in[1]);
        if (!shape || mc_tensor_get_i64(shape, mc_tensor_elements(shape) - 1) > 0) return refuse(n);
    }
    if (mc_node_is(n, "Gather") && (rx < 2 || mc_attr_i(n, "axis", 0) == rx - 1 || mc_attr_i(n, "axis", 0) == -1)) return refuse(n);
    MC_TRY(tie(a, x));
    MC_TRY(tie(a, y));
done:
    return st;
}

static int32_t product(mc_axis *a, mc_node *n, const mc_value *v, int gemm)
{
    mc_value *w = n->in[1];
    const int at_input = n->in[0] == v;
    if (!w->init || w->type.rank != 2 || (n->in[1] == v)) return refuse(n);
    if (gemm && mc_attr_i(n, "transA", 0)) return refuse(n);
    const int32_t in_axis = gemm && mc_attr_i(n, "transB", 0) ? 1 : 0;
    if (at_input) return part(a, w, in_axis);
    int32_t st = part(a, w, 1 - in_axis);
    if (st == MCOMP_OK && gemm && n->n_in > 2 && n->in[2]) st = tie(a, n->in[2]);
    return st;
}

static int32_t visit(mc_axis *a, mc_node *n, mc_value *v)
{
    int32_t st = MCOMP_OK;
    if (mc_node_is(n, "Shape")) return MCOMP_OK;
    if (mc_node_is(n, "MatMul")) return product(a, n, v, 0);
    if (mc_node_is(n, "Gemm")) return product(a, n, v, 1);
    if (mc_node_is(n, "LayerNormalization")) {
        const int64_t axis = mc_attr_i(n, "axis", -1);
        if ((axis != -1 && axis != v->type.rank - 1) || v == n->in[1] || (n->n_in > 2 && v == n->in[2])) return refuse(n);
        for (int32_t i = 0; i < n->n_in; i++)
            if (n->in[i]) MC_TRY(tie(a, n->in[i]));
        return tie(a, n->out[0]);
    }
    if (one_of(n, elementwise) || one_of(n, unary)) {
        const int32_t first = mc_node_is(n, "Where") ? 1 : 0, last = one_of(n, unary) ? 1 : n->n_in;
        for (int32_t i = first; i < last; i++) MC_TRY(tie(a, n->in[i]));
        return tie(a, n->out[0]);
    }
    if (one_of(n, other_axes) && (n->in[0] == v || n->out[0] == v)) return keeps_last(a, n);
    return refuse(n);
done:
    return st;
}

static int stops(const mc_node *n, mc_value *const *stop, int32_t n_stop)
{
    for (int32_t i = 0; i < n_stop; i++)
        for (int32_t k = 0; k < n->n_out; k++)
            if (n->out[k] == stop[i]) return 1;
    return 0;
}

int32_t mc_axis_follow(mc_axis *a, mc_graph *g, mc_value *v, mc_value *const *stop, int32_t n_stop)
{
    int32_t st = MCOMP_OK;
    *a = (mc_axis){.g = g, .size = v->type.rank > 0 ? v->type.dim[v->type.rank - 1] : -1};
    if (a->size < 1) return mc_fail(MCOMP_UNSUPPORTED, v->name, "the length of the last axis is not known");
    MC_TRY(tie(a, v));
    for (int64_t i = 0; i < a->n_values; i++) {
        mc_value *x = a->values[i];
        if (x->flags & (MC_VALUE_OUTPUT | MC_VALUE_INPUT)) MC_FAIL(MCOMP_UNSUPPORTED, x->name, "the axis is part of what the model takes or gives and cannot be narrowed");
        if (x->producer && !x->producer->dead && !stops(x->producer, stop, n_stop)) MC_TRY(visit(a, x->producer, x));
        for (int64_t u = 0; u < x->n_uses; u++)
            if (!x->uses[u].node->dead && !stops(x->uses[u].node, stop, n_stop)) MC_TRY(visit(a, x->uses[u].node, x));
    }
done:
    if (st != MCOMP_OK) mc_axis_free(a);
    return st;
}

/* ---- importance and taking ---- */

/* A tensor seen as [outer, size, inner]. */
static void view(const mc_tensor *t, int32_t axis, int64_t *outer, int64_t *inner)
{
    *outer = *inner = 1;
    for (int32_t i = 0; i < t->shape.rank; i++)
        if (i != axis) *(i < axis ? outer : inner) *= t->shape.dim[i];
}

int32_t mc_axis_scores(const mc_axis *a, double *score)
{
    int32_t st = MCOMP_OK;
    double *own = mc_calloc((size_t)a->size, sizeof *own);
    if (!own) return MCOMP_NO_MEMORY;
    for (int64_t p = 0; p < a->n_parts; p++) {
        const mc_tensor *t = a->parts[p].v->init;
        int64_t outer, inner;
        double sum = 0.0;
        if (t->dtype != MCOMP_F32 || t->shape.rank < 2) continue; /* biases say little of a channel's use */
        view(t, a->parts[p].axis, &outer, &inner);
        for (int64_t i = 0; i < a->size; i++) own[i] = 0.0;
        for (int64_t o = 0; o < outer; o++)
            for (int64_t i = 0; i < a->size; i++)
                for (int64_t k = 0; k < inner; k++) {
                    const double x = (double)((const float *)t->data)[(o * a->size + i) * inner + k];
                    own[i] += x * x;
                }
        for (int64_t i = 0; i < a->size; i++) sum += own[i];
        for (int64_t i = 0; i < a->size && sum > 0.0; i++) score[i] += own[i] / sum;
    }
    mc_free(own);
    return st;
}

static int32_t slice(mc_value *v, int32_t axis, const int64_t *keep, int64_t count)
{
    int32_t st = MCOMP_OK;
    mc_tensor *t = NULL;
    int64_t outer, inner;
    mc_shape s = v->init->shape;
    const int64_t size = s.dim[axis];
    view(v->init, axis, &outer, &inner);
    s.dim[axis] = count;
    MC_TRY(mc_tensor_create(&t, v->init->dtype, &s));
    const size_t bytes = (size_t)(mc_dtype_bits(t->dtype) / 8) * (size_t)inner;
    for (int64_t o = 0; o < outer; o++)
        for (int64_t i = 0; i < count; i++)
            memcpy((uint8_t *)t->data + (size_t)(o * count + i) * bytes, (const uint8_t *)v->init->data + (size_t)(o * size + keep[i]) * bytes, bytes);
    mc_tensor_destroy(v->init);
    v->init = t;
    v->type = mc_type_of(t);
done:
    return st;
}

int32_t mc_axis_take(const mc_axis *a, const int64_t *keep, int64_t count)
{
    int32_t st = MCOMP_OK;
    for (int64_t p = 0; p < a->n_parts; p++) {
        mc_value *v = a->parts[p].v;
        if (v->init->shape.dim[a->parts[p].axis] != a->size) MC_FAIL(MCOMP_UNSUPPORTED, v->name, "the weight is shared by layers that would keep different parts of it");
        MC_TRY(slice(v, a->parts[p].axis, keep, count));
    }
done:
    return st;
}

typedef struct ranked {
    double score;
    int64_t index;
} ranked;

static int best_first(const void *x, const void *y)
{
    const ranked *a = x, *b = y;
    if (a->score != b->score) return a->score > b->score ? -1 : 1;
    return (a->index > b->index) - (a->index < b->index);
}

static int ascending(const void *x, const void *y)
{
    const int64_t a = *(const int64_t *)x, b = *(const int64_t *)y;
    return (a > b) - (a < b);
}

int32_t mc_best_of(const double *score, int64_t n, int64_t count, int64_t *keep)
{
    ranked *r = mc_malloc(sizeof *r * (size_t)n);
    if (!r) return MCOMP_NO_MEMORY;
    for (int64_t i = 0; i < n; i++) r[i] = (ranked){score[i], i};
    qsort(r, (size_t)n, sizeof *r, best_first);
    for (int64_t i = 0; i < count; i++) keep[i] = r[i].index;
    qsort(keep, (size_t)count, sizeof *keep, ascending);
    mc_free(r);
    return MCOMP_OK;
}
