/* tests/unit/onnx/same.h - are two graphs the same model? Names, operators, attributes, weights, ports, subgraphs. */
#ifndef MC_TEST_SAME_H
#define MC_TEST_SAME_H

#include "support/support.h"

#include <stdio.h>
#include <stdlib.h>

#include "onnx/onnx.h"

static inline void same_tensor(const mc_tensor *a, const mc_tensor *b)
{
    ck_assert_int_eq(a->dtype, b->dtype);
    ck_assert(mc_shape_equal(&a->shape, &b->shape));
    if (a->dtype == MCOMP_STRING)
        for (int64_t i = 0; i < mc_tensor_elements(a); i++) ck_assert_str_eq(((char **)a->data)[i], ((char **)b->data)[i]);
    else ck_assert_int_eq(memcmp(a->data, b->data, (size_t)mc_tensor_bytes(a)), 0);
}

/* Inner names of subgraphs may differ (they are made unique on saving); the structure may not. */
static inline void same_value(const mc_value *a, const mc_value *b, int with_names)
{
    ck_assert_int_eq(!a, !b);
    if (!a) return;
    if (with_names) ck_assert_str_eq(a->name, b->name);
    ck_assert_int_eq(!a->init, !b->init);
    ck_assert_int_eq(!a->producer, !b->producer);
    if (a->init) same_tensor(a->init, b->init);
    if (a->producer) {
        ck_assert_str_eq(a->producer->name, b->producer->name);
        ck_assert_int_eq(a->producer_index, b->producer_index);
    }
    ck_assert_int_eq(a->capture >= 0, b->capture >= 0);
}

static inline void same_graph(const mc_graph *a, const mc_graph *b, int with_names);

static inline void same_attr(const mc_attr *a, const mc_attr *b, int with_names)
{
    ck_assert_str_eq(a->name, b->name);
    ck_assert_int_eq(a->kind, b->kind);
    ck_assert_int_eq(a->i, b->i);
    ck_assert(memcmp(&a->f, &b->f, sizeof a->f) == 0);
    ck_assert_int_eq(a->s_len, b->s_len);
    if (a->s && a->kind == MC_ATTR_STRING) ck_assert_int_eq(memcmp(a->s, b->s, (size_t)a->s_len), 0);
    ck_assert_int_eq(a->n, b->n);
    if (a->ints) ck_assert_int_eq(memcmp(a->ints, b->ints, sizeof *a->ints * (size_t)a->n), 0);
    if (a->floats) ck_assert_int_eq(memcmp(a->floats, b->floats, sizeof *a->floats * (size_t)a->n), 0);
    for (int64_t i = 0; a->strings && i < a->n; i++) ck_assert_str_eq(a->strings[i], b->strings[i]);
    if (a->tensor) same_tensor(a->tensor, b->tensor);
    if (a->graph) same_graph(a->graph, b->graph, with_names);
}

static inline int trimmed(mc_value *const *list, int n)
{
    while (n > 0 && !list[n - 1]) n--;
    return n;
}

static inline void same_node(const mc_node *a, const mc_node *b, int with_names)
{
    ck_assert_str_eq(a->name, b->name);
    ck_assert_str_eq(a->op, b->op);
    ck_assert_str_eq(a->domain, b->domain);
    ck_assert_int_eq(trimmed(a->in, a->n_in), trimmed(b->in, b->n_in));
    ck_assert_int_eq(trimmed(a->out, a->n_out), trimmed(b->out, b->n_out));
    ck_assert_int_eq(a->n_cap, b->n_cap);
    for (int i = 0; i < trimmed(a->in, a->n_in); i++) same_value(a->in[i], b->in[i], with_names);
    for (int i = 0; i < trimmed(a->out, a->n_out); i++) ck_assert_int_eq(!a->out[i], !b->out[i]);
    ck_assert_int_eq(a->n_attrs, b->n_attrs);
    for (int i = 0; i < a->n_attrs; i++) same_attr(&a->attrs[i], &b->attrs[i], with_names);
}

static inline void same_graph(const mc_graph *a, const mc_graph *b, int with_names)
{
    ck_assert_int_eq(a->n_order, b->n_order);
    ck_assert_int_eq(a->n_inputs, b->n_inputs);
    ck_assert_int_eq(a->n_outputs, b->n_outputs);
    for (int64_t i = 0; i < a->n_order; i++) same_node(a->order[i], b->order[i], with_names && !a->owner);
    for (int64_t i = 0; i < a->n_outputs; i++) same_value(a->outputs[i], b->outputs[i], with_names && !a->owner);
    for (int64_t i = 0; !a->owner && i < a->n_inputs; i++) {
        const mc_type *x = &a->inputs[i]->type, *y = &b->inputs[i]->type;
        same_value(a->inputs[i], b->inputs[i], with_names);
        ck_assert_int_eq(x->dtype, y->dtype);
        ck_assert_int_eq(x->rank, y->rank);
        for (int32_t k = 0; k < x->rank; k++) {
            if (x->dim[k] >= 0) ck_assert_int_eq(x->dim[k], y->dim[k]);
            else ck_assert_int_lt(y->dim[k], 0);
            const char *s = x->dim[k] < 0 ? mc_graph_symbol_name(a, x->dim[k]) : "?";
            if (s[0] != '?') ck_assert_str_eq(s, mc_graph_symbol_name(b, y->dim[k]));
        }
    }
    ck_assert_int_eq(a->n_meta, b->n_meta);
    for (int64_t i = 0; i < a->n_meta; i++) ck_assert_str_eq(a->meta[i].value, mc_graph_get_meta(b, a->meta[i].key));
}

static inline char *same_read(const char *path, uint64_t *n)
{
    char *data;
    mc_ck_ok(mc_file_read(path, (uint64_t)1 << 30, &data, n));
    return data;
}
static inline void same_bytes(const char *a, const char *b)
{
    uint64_t n, m;
    char *x = same_read(a, &n), *y = same_read(b, &m);
    ck_assert_uint_eq(n, m);
    ck_assert_int_eq(memcmp(x, y, (size_t)n), 0);
    mc_free(x);
    mc_free(y);
}

#endif
