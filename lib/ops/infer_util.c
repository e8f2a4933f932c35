/* What infer functions use: failing, symbols, broadcasting, axes, small integer lists. */
#include "ops/internal.h"

#include <inttypes.h>
#include <stdio.h>

int32_t mc_infer_fail(const mc_infer *c, int32_t code, const char *fmt, ...)
{
    char text[320];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    return mc_fail(code, c->node->name, "%s: %s", c->node->op, text);
}

int32_t mc_op_fail(const mc_op_run *r, int32_t code, const char *fmt, ...)
{
    char text[320];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    return mc_fail(code, r->node->name, "%s: %s", r->node->op, text);
}

int64_t mc_infer_symbol(mc_infer *c)
{
    int64_t dim = MC_DIM_ANONYMOUS;
    if (c->graph && mc_graph_symbol(c->graph, NULL, &dim) != MCOMP_OK) return MC_DIM_ANONYMOUS;
    return dim;
}

/* Symbols that a symbol is the broadcast of: itself, or the list in the name that mc_infer_join gave it. */
static int32_t members(const mc_graph *g, int64_t dim, int64_t *list, int32_t n)
{
    const char *s = mc_graph_symbol_name(g, dim);
    int64_t v = dim;
    int32_t used = 0;
    if (!s || strncmp(s, "?b(", 3) != 0) s = NULL;
    for (s = s ? s + 3 : NULL;; s += used) {
        if (s && sscanf(s, "%" SCNd64 "%*1[,)]%n", &v, &used) != 1) return n;
        int32_t at = 0;
        while (at < n && list[at] < v) at++;
        if (at == n || list[at] != v) {
            if (n == MC_MAX_RANK) return MC_MAX_RANK + 1;
            memmove(&list[at + 1], &list[at], sizeof *list * (size_t)(n - at));
            list[at] = v;
            n++;
        }
        if (!s || s[used] == 0) return n;
    }
}

int64_t mc_infer_join(mc_infer *c, int64_t a, int64_t b)
{
    int64_t both[MC_MAX_RANK + 1], one[MC_MAX_RANK + 1], dim;
    char name[32 * MC_MAX_RANK];
    if (a == b && a != MC_DIM_ANONYMOUS) return a;
    if (!c->graph || a == MC_DIM_ANONYMOUS || b == MC_DIM_ANONYMOUS) return mc_infer_symbol(c);
    const int32_t na = members(c->graph, a, one, 0), nb = members(c->graph, b, one, 0), n = members(c->graph, b, both, members(c->graph, a, both, 0));
    if (n > MC_MAX_RANK || na > MC_MAX_RANK || nb > MC_MAX_RANK) return mc_infer_symbol(c);
    if (n == na) return a;
    if (n == nb) return b;
    int32_t len = snprintf(name, sizeof name, "?b(");
    for (int32_t i = 0; i < n; i++)
        len += snprintf(name + len, sizeof name - (size_t)len, "%" PRId64 "%s", both[i], i + 1 < n ? "," : ")");
    return mc_graph_symbol(c->graph, name, &dim) == MCOMP_OK ? dim : MC_DIM_ANONYMOUS;
}

int64_t mc_data_to_dim(mc_infer *c, int64_t v)
{
    if (v == MC_DATA_UNKNOWN) return mc_infer_symbol(c);
    return mc_data_is_symbol(v) ? mc_data_dim(v) : v;
}

int32_t mc_infer_same(mc_infer *c, int32_t k, int32_t i)
{
    c->out[k] = *c->in[i];
    return MCOMP_OK;
}

void mc_infer_copy_data(mc_infer *c, int32_t k, int32_t i)
{
    if (c->out_data[k] && c->data[i]) *c->out_data[k] = *c->data[i];
}

int32_t mc_infer_set_rank(mc_infer *c, int32_t k, int64_t rank)
{
    if (rank < 0 || rank > MC_MAX_RANK)
        return mc_infer_fail(c, MCOMP_LIMIT, "rank %lld of the result; at most %d is supported", (long long)rank, MC_MAX_RANK);
    c->out[k].rank = (int32_t)rank;
    return MCOMP_OK;
}

/* Axis `axis` (from the end: -1 last) of the broadcast of all inputs. */
static int32_t broadcast_axis(mc_infer *c, int32_t n, int32_t axis, int64_t *out)
{
    int64_t number = 1, symbol = 0;
    for (int32_t i = 0; i < n; i++) {
        if (!c->in[i] || c->in[i]->rank + axis < 0) continue;
        const int64_t d = c->in[i]->dim[c->in[i]->rank + axis];
        if (d < 0) {
            symbol = symbol == 0 ? d : mc_infer_join(c, symbol, d);
        } else if (d != 1) {
            if (number != 1 && number != d)
                return mc_infer_fail(c, MCOMP_SHAPE, "sizes %lld and %lld on axis %d do not broadcast", (long long)number, (long long)d,
                                     axis);
            number = d;
        }
    }
    *out = number != 1 || symbol == 0 ? number : symbol;
    return MCOMP_OK;
}

int32_t mc_infer_broadcast(mc_infer *c, int32_t k, int32_t n)
{
    int32_t st = MCOMP_OK, rank = 0;
    for (int32_t i = 0; i < n && i < c->n_in; i++) {
        if (!c->in[i]) continue;
        if (c->in[i]->rank < 0) return MCOMP_OK;
        if (c->in[i]->rank > rank) rank = c->in[i]->rank;
    }
    for (int32_t a = 0; a < rank; a++) MC_TRY(broadcast_axis(c, n < c->n_in ? n : c->n_in, a - rank, &c->out[k].dim[a]));
    c->out[k].rank = rank;
done:
    return st;
}

int mc_infer_ints(const mc_infer *c, int32_t i, int64_t *values, int32_t cap, int32_t *count)
{
    *count = 0;
    if (i >= c->n_in || !c->in[i]) return 0;
    const mc_tensor *t = c->cst[i];
    if (t) {
        const int64_t n = mc_tensor_elements(t);
        if (!mc_dtype_is_integer(t->dtype) || n > cap) return 0;
        for (int64_t k = 0; k < n; k++) values[k] = mc_tensor_get_i64(t, k);
        *count = (int32_t)n;
        return 1;
    }
    const mc_shape_data *d = c->data[i];
    if (!d || d->n < 0 || d->n > cap) return 0;
    for (int32_t k = 0; k < d->n; k++) {
        if (d->v[k] == MC_DATA_UNKNOWN || mc_data_is_symbol(d->v[k])) return 0;
        values[k] = d->v[k];
    }
    *count = d->n;
    return 1;
}

int32_t mc_infer_axis(const mc_infer *c, int64_t axis, int32_t rank, int32_t *out)
{
    if (axis < -(int64_t)rank || axis >= rank)
        return mc_infer_fail(c, MCOMP_FORMAT, "axis %lld is out of range for rank %d", (long long)axis, rank);
    *out = (int32_t)(axis < 0 ? axis + rank : axis);
    return MCOMP_OK;
}

int32_t mc_infer_check(const mc_infer *c, int32_t i, uint32_t classes)
{
    const int32_t d = mc_has(c, i) ? c->in[i]->dtype : MCOMP_UNDEFINED;
    if (d == MCOMP_UNDEFINED || (classes & MC_CLASS_ANY)) return MCOMP_OK;
    if ((classes & MC_CLASS_FLOAT) && mc_dtype_is_float(d)) return MCOMP_OK;
    if ((classes & MC_CLASS_INT) && mc_dtype_is_integer(d)) return MCOMP_OK;
    if ((classes & MC_CLASS_BOOL) && d == MCOMP_BOOL) return MCOMP_OK;
    return mc_infer_fail(c, MCOMP_DTYPE, "input %d must not be %s", i, mc_dtype_name(d));
}

int32_t mc_infer_one_dtype(const mc_infer *c, int32_t first, int32_t last, int32_t *dtype)
{
    int32_t known = MCOMP_UNDEFINED;
    for (int32_t i = first; i <= last && i < c->n_in; i++) {
        const int32_t d = c->in[i] ? c->in[i]->dtype : MCOMP_UNDEFINED;
        if (d == MCOMP_UNDEFINED) continue;
        if (known != MCOMP_UNDEFINED && known != d)
            return mc_infer_fail(c, MCOMP_DTYPE, "inputs of different types, %s and %s", mc_dtype_name(known), mc_dtype_name(d));
        known = d;
    }
    *dtype = known;
    return MCOMP_OK;
}
