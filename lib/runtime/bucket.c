/* Shape buckets and the checks of a run's inputs.
 *
 * The rule, by symbol: a symbol that is the leading axis of an input of rank 2 or more is batch-like, unless it is also an inner axis
 * of an input whose leading axis is symbolic: exact up to 8, then the next power of two. Every other symbol is length-like:
 * multiples of 16 up to 64, then 96, 128, 192, 256, 384, ... (steps of half a power of two, all multiples of 16). Lengths 1..128
 * make six buckets. 0 stays 0. */
#include "runtime/plan.h"

static int64_t round_batch(int64_t d)
{
    int64_t p = 8;
    if (d <= 8) return d;
    while (p < d && p < ((int64_t)1 << 60)) p *= 2;
    return p < d ? d : p;
}

static int64_t round_length(int64_t d)
{
    int64_t p = 64;
    if (d <= 64) return (d + 15) / 16 * 16;
    while (p < d && p < ((int64_t)1 << 60)) {
        if (p + p / 2 >= d) return p + p / 2;
        p *= 2;
    }
    return p < d ? d : p;
}

static int batch_like(const mc_graph *g, int64_t symbol)
{
    int leads = 0;
    for (int64_t i = 0; i < g->n_inputs; i++) {
        const mc_type *t = &g->inputs[i]->type;
        for (int32_t k = 0; k < t->rank; k++) {
            if (t->dim[k] != symbol) continue;
            if (k == 0 && t->rank >= 2) leads = 1;
            if (k > 0 && t->dim[0] < 0) return 0;
        }
    }
    return leads;
}

void mc_bucket(const mc_graph *g, const mc_type *run, mc_type *bucket, int64_t *largest)
{
    *largest = 0;
    for (int64_t i = 0; i < g->n_inputs; i++) {
        const mc_type *t = &g->inputs[i]->type;
        bucket[i] = run[i];
        if (t->rank < 0) continue; /* unknown rank: as it is */
        for (int32_t k = 0; k < t->rank; k++) {
            if (t->dim[k] >= 0) continue;
            bucket[i].dim[k] = batch_like(g, t->dim[k]) ? round_batch(run[i].dim[k]) : round_length(run[i].dim[k]);
            if (bucket[i].dim[k] > *largest) *largest = bucket[i].dim[k];
        }
    }
}

static const char *type_text(const mc_graph *g, const mc_type *t, char *buf, size_t cap)
{
    mc_str s = {0};
    int32_t st = mc_str_append(&s, "[");
    for (int32_t i = 0; i < t->rank && st == MCOMP_OK; i++) {
        if (i) st = mc_str_append(&s, ",");
        if (st != MCOMP_OK) break;
        if (t->dim[i] >= 0) {
            st = mc_str_appendf(&s, "%lld", (long long)t->dim[i]);
        } else {
            const char *name = mc_graph_symbol_name(g, t->dim[i]);
            st = mc_str_append(&s, name && *name ? name : "?");
        }
    }
    if (st == MCOMP_OK) st = mc_str_append(&s, "]");
    mc_escape(buf, cap, st == MCOMP_OK && s.data ? s.data : "[...]");
    mc_str_free(&s);
    return buf;
}

static int32_t check_shape(const mc_graph *g, const mc_value *v, const mc_tensor *t)
{
    char want[160], got[96];
    int bad = v->type.rank >= 0 && v->type.rank != t->shape.rank;
    for (int32_t k = 0; !bad && k < v->type.rank; k++) bad = v->type.dim[k] >= 0 && v->type.dim[k] != t->shape.dim[k];
    if (!bad) return MCOMP_OK;
    return mc_fail(MCOMP_SHAPE, v->name, "input has shape %s, the model wants %s", mc_shape_text(&t->shape, got, sizeof got),
                   type_text(g, &v->type, want, sizeof want));
}

/* A symbol must have one size wherever it occurs. */
static int32_t check_symbols(const mc_graph *g, const mcomp_tensor *const *inputs)
{
    for (int64_t i = 0; i < g->n_inputs; i++) {
        const mc_type *t = &g->inputs[i]->type;
        for (int32_t k = 0; k < t->rank; k++) {
            if (t->dim[k] >= 0) continue;
            for (int64_t j = 0; j <= i; j++) {
                const mc_type *u = &g->inputs[j]->type;
                for (int32_t m = 0; m < u->rank; m++) {
                    if (u->dim[m] != t->dim[k] || inputs[j]->t.shape.dim[m] == inputs[i]->t.shape.dim[k]) continue;
                    const char *name = mc_graph_symbol_name(g, t->dim[k]);
                    return mc_fail(MCOMP_SHAPE, g->inputs[i]->name, "axis %d (%s) is %lld, but axis %d of input %s, the same size in the model, is %lld",
                                   k, name && *name ? name : "unnamed", (long long)inputs[i]->t.shape.dim[k], m, g->inputs[j]->name,
                                   (long long)inputs[j]->t.shape.dim[m]);
                }
            }
        }
    }
    return MCOMP_OK;
}

int32_t mc_check_memory(const mc_graph *g, const mcomp_tensor *const *inputs)
{
    for (int64_t i = 0; i < g->n_inputs; i++) {
        const mc_value *v = g->inputs[i];
        if (!inputs[i]) return mc_fail(MCOMP_ARGUMENT, v->name, "input %lld is NULL", (long long)i);
        const mc_tensor *t = &inputs[i]->t;
        if (v->type.dtype != MCOMP_UNDEFINED && v->type.dtype != t->dtype)
            return mc_fail(MCOMP_DTYPE, v->name, "input is %s, the model wants %s", mc_dtype_name(t->dtype), mc_dtype_name(v->type.dtype));
        const int32_t bits = mc_dtype_bits(t->dtype);
        const uintptr_t align = bits >= 64 ? 8 : bits >= 16 ? (uintptr_t)bits / 8 : 1;
        if ((uintptr_t)t->data % align != 0)
            return mc_fail(MCOMP_ARGUMENT, v->name, "the input's memory is not aligned to its elements");
    }
    return MCOMP_OK;
}

int32_t mc_check_shapes(const mc_graph *g, const mcomp_tensor *const *inputs, uint64_t max_bytes)
{
    int32_t st = MCOMP_OK;
    for (int64_t i = 0; i < g->n_inputs; i++) {
        const mc_value *v = g->inputs[i];
        const mc_tensor *t = &inputs[i]->t;
        uint64_t bytes = 0;
        MC_TRY(check_shape(g, v, t));
        if (t->dtype == MCOMP_STRING) continue;
        MC_TRY(mc_size_bytes(t->dtype, &t->shape, &bytes));
        if (bytes > max_bytes)
            MC_FAIL(MCOMP_LIMIT, v->name, "input of %llu bytes; one tensor may have %llu", (unsigned long long)bytes, (unsigned long long)max_bytes);
        if (bytes > 0 && !t->data) MC_FAIL(MCOMP_ARGUMENT, v->name, "the input has no memory");
    }
    MC_TRY(check_symbols(g, inputs));
done:
    return st;
}
