/* Emitting nodes and drawing weights. */
#include "train/build.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>

mc_value *mc_b_fail(mc_builder *b, int32_t code, const char *where, const char *fmt, ...)
{
    char text[256];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if (b->status == MCOMP_OK) b->status = mc_fail(code, where, "%s", text);
    return NULL;
}

const char *mc_b_name(const char *fmt, ...)
{
    static _Thread_local char names[8][96];
    static _Thread_local unsigned next;
    char *out = names[next++ % 8];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(out, sizeof names[0], fmt, ap);
    va_end(ap);
    return out;
}

int64_t mc_b_default(int64_t given, int64_t otherwise) { return given > 0 ? given : otherwise; }

/* ---- nodes ---- */

mc_value *mc_b_input(mc_builder *b, const char *name, int32_t dtype, int32_t rank, const int64_t *dims)
{
    mc_value *v = NULL;
    mc_type t = {.dtype = dtype, .rank = rank};
    for (int32_t i = 0; i < rank && b->status == MCOMP_OK; i++) {
        t.dim[i] = dims[i];
        if (dims[i] < 0) b->status = mc_graph_symbol(b->g, dims[i] == -1 ? "batch" : "sequence", &t.dim[i]);
    }
    if (b->status == MCOMP_OK) b->status = mc_graph_add_input(b->g, name, &t, &v);
    return b->status == MCOMP_OK ? v : NULL;
}

void mc_b_output(mc_builder *b, mc_value *v, const char *name)
{
    if (b->status == MCOMP_OK && v) b->status = mc_value_rename(b->g, v, name);
    if (b->status == MCOMP_OK && v) b->status = mc_graph_add_output(b->g, v);
}

mc_value *mc_b_op(mc_builder *b, const char *op, const char *name, int32_t n, mc_value *const *in)
{
    mc_node *made = NULL;
    if (b->status == MCOMP_OK) b->status = mc_graph_add_node(b->g, "", op, 0, name, n, in, 1, NULL, &made);
    return b->status == MCOMP_OK ? made->out[0] : NULL;
}

mc_value *mc_b_1(mc_builder *b, const char *op, mc_value *x) { return mc_b_op(b, op, NULL, 1, &x); }
mc_value *mc_b_2(mc_builder *b, const char *op, mc_value *x, mc_value *y) { return mc_b_op(b, op, NULL, 2, (mc_value *[]){x, y}); }

mc_value *mc_b_int(mc_builder *b, mc_value *v, const char *attr, int64_t i)
{
    if (v && b->status == MCOMP_OK) b->status = mc_node_set_i(v->producer, attr, i);
    return v;
}

mc_value *mc_b_ints(mc_builder *b, mc_value *v, const char *attr, int64_t n, const int64_t *i)
{
    if (v && b->status == MCOMP_OK) b->status = mc_node_set_ints(v->producer, attr, i, n);
    return v;
}

mc_value *mc_b_float(mc_builder *b, mc_value *v, const char *attr, double f)
{
    if (v && b->status == MCOMP_OK) b->status = mc_node_set_f(v->producer, attr, (float)f);
    return v;
}

mc_value *mc_b_scalar(mc_builder *b, double v)
{
    mc_value *c = NULL;
    if (b->status == MCOMP_OK) b->status = mc_graph_add_const_f32(b->g, NULL, (float)v, &c);
    return b->status == MCOMP_OK ? c : NULL;
}

mc_value *mc_b_list(mc_builder *b, int64_t n, const int64_t *v)
{
    mc_value *c = NULL;
    if (b->status == MCOMP_OK) b->status = mc_graph_add_const_i64s(b->g, NULL, v, n, &c);
    return b->status == MCOMP_OK ? c : NULL;
}

/* ---- weights ---- */

static double uniform_at(const mc_builder *b, uint64_t i, int32_t word)
{
    uint32_t w[4];
    mc_rng_block(b->seed, 0x6275696c64u + (b->stream << 40), i, w);
    return ((double)w[word] + 0.5) * 0x1p-32;
}

/* Box and Muller (1958); what falls beyond two deviations is drawn again from the block's other words, and then cut. */
static double normal_at(const mc_builder *b, uint64_t i)
{
    const double r = sqrt(-2.0 * log(uniform_at(b, i, 0))), a = 6.283185307179586 * uniform_at(b, i, 1);
    double v = r * cos(a);
    if (fabs(v) > 2.0) v = sqrt(-2.0 * log(uniform_at(b, i, 2))) * cos(6.283185307179586 * uniform_at(b, i, 3));
    return v > 2.0 ? 2.0 : v < -2.0 ? -2.0 : v;
}

enum { NORMAL, UNIFORM, FILLED };

static mc_value *weight(mc_builder *b, const char *name, int32_t rank, const int64_t *dims, int how, double scale)
{
    const mc_shape s = mc_shape_make(rank, dims);
    mc_tensor *t = NULL;
    mc_value *v = NULL;
    if (b->status != MCOMP_OK) return NULL;
    b->status = mc_tensor_create(&t, MCOMP_F32, &s);
    if (b->status != MCOMP_OK) return NULL;
    float *p = t->data;
    const int64_t n = mc_tensor_elements(t);
    b->stream++;
    for (int64_t i = 0; i < n; i++)
        p[i] = (float)(how == NORMAL ? scale * normal_at(b, (uint64_t)i) : how == UNIFORM ? scale * (2.0 * uniform_at(b, (uint64_t)i, 0) - 1.0) : scale);
    b->status = mc_graph_add_const(b->g, name, t, &v);
    return b->status == MCOMP_OK ? v : NULL;
}

mc_value *mc_b_normal(mc_builder *b, const char *name, int32_t rank, const int64_t *dims, double deviation) { return weight(b, name, rank, dims, NORMAL, deviation); }
mc_value *mc_b_uniform(mc_builder *b, const char *name, int32_t rank, const int64_t *dims, double scale) { return weight(b, name, rank, dims, UNIFORM, scale); }
mc_value *mc_b_filled(mc_builder *b, const char *name, int32_t rank, const int64_t *dims, double value) { return weight(b, name, rank, dims, FILLED, value); }
