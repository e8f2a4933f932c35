/* tests/unit/onnx/pb.h - a small writer of protobuf messages, for files that no exporter would write. */
#ifndef MC_TEST_PB_H
#define MC_TEST_PB_H

#include "support/support.h"

#include <stdio.h>
#include <stdlib.h>

#include "onnx/onnx.h"

typedef struct pb {
    uint8_t data[8192];
    size_t n;
} pb;

static inline void pb_raw(pb *p, const void *data, size_t n)
{
    ck_assert_msg(p->n + n <= sizeof p->data, "test message too large");
    if (n) memcpy(p->data + p->n, data, n);
    p->n += n;
}
static inline void pb_varint(pb *p, uint64_t v)
{
    uint8_t b[10];
    size_t n = 0;
    for (; v >= 0x80; v >>= 7) b[n++] = (uint8_t)(v | 0x80);
    b[n++] = (uint8_t)v;
    pb_raw(p, b, n);
}
static inline void pb_int(pb *p, uint32_t field, int64_t v)
{
    pb_varint(p, (uint64_t)field << 3);
    pb_varint(p, (uint64_t)v);
}
static inline void pb_bytes(pb *p, uint32_t field, const void *data, size_t n)
{
    pb_varint(p, (uint64_t)field << 3 | 2);
    pb_varint(p, n);
    pb_raw(p, data, n);
}
static inline void pb_str(pb *p, uint32_t field, const char *s) { pb_bytes(p, field, s, strlen(s)); }
static inline void pb_msg(pb *p, uint32_t field, const pb *m) { pb_bytes(p, field, m->data, m->n); }

/* ---- pieces of ONNX ---- */

static inline pb pb_value(const char *name, int64_t dtype, int n_dims, const int64_t *dims)
{
    pb v = {.n = 0}, type = {.n = 0}, tensor = {.n = 0}, shape = {.n = 0};
    for (int i = 0; i < n_dims; i++) {
        pb d = {.n = 0};
        if (dims[i] >= -1) pb_int(&d, 1, dims[i]);
        else pb_str(&d, 2, "N");
        pb_msg(&shape, 1, &d);
    }
    pb_int(&tensor, 1, dtype);
    pb_msg(&tensor, 2, &shape);
    pb_msg(&type, 1, &tensor);
    pb_str(&v, 1, name);
    pb_msg(&v, 2, &type);
    return v;
}

/* in, out: names separated by commas; an empty name omits. */
static inline void pb_names(pb *n, uint32_t field, const char *list)
{
    if (!*list) return;
    for (const char *p = list;; p++) {
        const char *c = strchr(p, ',');
        pb_bytes(n, field, p, c ? (size_t)(c - p) : strlen(p));
        if (!c) break;
        p = c;
    }
}

static inline pb pb_node(const char *op, const char *name, const char *in, const char *out)
{
    pb n = {.n = 0};
    pb_names(&n, 1, in);
    pb_names(&n, 2, out);
    if (*name) pb_str(&n, 3, name);
    pb_str(&n, 4, op);
    return n;
}

static inline void pb_attr_int(pb *node, const char *name, int64_t v)
{
    pb a = {.n = 0};
    pb_str(&a, 1, name);
    pb_int(&a, 3, v);
    pb_int(&a, 20, 2);
    pb_msg(node, 5, &a);
}
static inline void pb_attr_float(pb *node, const char *name, float v)
{
    pb a = {.n = 0};
    pb_str(&a, 1, name);
    pb_varint(&a, 2 << 3 | 5);
    pb_raw(&a, &v, 4);
    pb_int(&a, 20, 1);
    pb_msg(node, 5, &a);
}
static inline void pb_attr_ints(pb *node, const char *name, int n, const int64_t *v)
{
    pb a = {.n = 0};
    pb_str(&a, 1, name);
    for (int i = 0; i < n; i++) pb_int(&a, 8, v[i]);
    pb_int(&a, 20, 7);
    pb_msg(node, 5, &a);
}
/* kind 4: tensor in field 5; 5: graph in field 6; 11: sparse tensor in field 22. */
static inline void pb_attr_msg(pb *node, const char *name, int kind, const pb *m)
{
    pb a = {.n = 0};
    pb_str(&a, 1, name);
    pb_msg(&a, kind == 4 ? 5 : kind == 5 ? 6 : 22, m);
    pb_int(&a, 20, kind);
    pb_msg(node, 5, &a);
}

static inline pb pb_tensor(const char *name, int64_t dtype, int n_dims, const int64_t *dims)
{
    pb t = {.n = 0};
    for (int i = 0; i < n_dims; i++) pb_int(&t, 1, dims[i]);
    pb_int(&t, 2, dtype);
    if (name) pb_str(&t, 8, name);
    return t;
}
static inline pb pb_floats(const char *name, int n, const float *v)
{
    const int64_t dim = n;
    pb t = pb_tensor(name, 1, 1, &dim);
    pb_bytes(&t, 9, v, sizeof *v * (size_t)n);
    return t;
}
static inline void pb_entry(pb *t, const char *key, const void *value, size_t n)
{
    pb e = {.n = 0};
    pb_str(&e, 1, key);
    pb_bytes(&e, 2, value, n);
    pb_msg(t, 13, &e);
}
static inline pb pb_external(const char *name, const char *location, size_t location_bytes, const char *offset, const char *length)
{
    const int64_t dim = 4;
    pb t = pb_tensor(name, 1, 1, &dim);
    pb_entry(&t, "location", location, location_bytes);
    if (offset) pb_entry(&t, "offset", offset, strlen(offset));
    if (length) pb_entry(&t, "length", length, strlen(length));
    pb_int(&t, 14, 1);
    return t;
}

static inline pb pb_model_of(const pb *graph, int64_t opset, int64_t ir)
{
    pb m = {.n = 0}, o = {.n = 0};
    pb_int(&m, 1, ir);
    pb_msg(&m, 7, graph);
    pb_str(&o, 1, "");
    pb_int(&o, 2, opset);
    pb_msg(&m, 8, &o);
    return m;
}
/* A graph with the input x f32[2,4] and the output y, to be filled with nodes (field 1) and initializers (field 5). */
static inline pb pb_graph(void)
{
    static const int64_t dims[2] = {2, 4};
    pb g = {.n = 0}, x = pb_value("x", 1, 2, dims), y = {.n = 0};
    pb_str(&g, 2, "g");
    pb_str(&y, 1, "y");
    pb_msg(&g, 11, &x);
    pb_msg(&g, 12, &y);
    return g;
}
static inline int32_t pb_load(const pb *model, mc_graph **g)
{
    mc_error_clear();
    return mc_onnx_load_memory(g, NULL, model->data, model->n);
}
/* The graph must be refused with `code`, and the message (or its place) must name `what` if that is given. */
static inline void pb_refused(const pb *graph, int64_t opset, int32_t code, const char *what)
{
    mc_graph *g = NULL;
    const pb m = pb_model_of(graph, opset, 8);
    const int32_t st = pb_load(&m, &g);
    const mcomp_error *e = mc_error_peek();
    ck_assert_msg(st == code, "%s instead of %s: %s (%s)", mcomp_status_name(st), mcomp_status_name(code), e->message, e->where);
    ck_assert_ptr_null(g);
    ck_assert_msg(e->message[0], "no message");
    ck_assert_msg(!what || strstr(e->message, what) || strstr(e->where, what), "\"%s\" is not named in: %s (%s)", what, e->message, e->where);
}

#endif
