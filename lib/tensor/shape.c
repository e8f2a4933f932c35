/* Checked shape arithmetic: the one place where sizes are multiplied. */
#include "tensor/tensor.h"

#include <stdio.h>

int32_t mc_shape_elements(const mc_shape *s, int64_t *elements)
{
    int64_t n = 1;
    int zero = 0;
    if (s->rank < 0 || s->rank > MC_MAX_RANK) return mc_fail(MCOMP_LIMIT, "", "rank %d; at most %d is supported", s->rank, MC_MAX_RANK);
    for (int32_t i = 0; i < s->rank; i++) {
        const int64_t d = s->dim[i];
        if (d < 0) return mc_fail(MCOMP_SHAPE, "", "negative size %lld of axis %d", (long long)d, i);
        if (d == 0) {
            zero = 1; /* go on: a zero must not hide an overflow of the other axes */
            continue;
        }
        if (__builtin_mul_overflow(n, d, &n)) return mc_fail(MCOMP_LIMIT, "", "the number of elements overflows 63 bits");
    }
    *elements = zero ? 0 : n;
    return MCOMP_OK;
}

int32_t mc_size_bytes(int32_t dtype, const mc_shape *s, uint64_t *bytes)
{
    int64_t n = 0;
    uint64_t bits;
    const int32_t st = mc_shape_elements(s, &n);
    if (st != MCOMP_OK) return st;
    const int32_t b = dtype == MCOMP_STRING ? (int32_t)(8 * sizeof(char *)) : mc_dtype_bits(dtype);
    if (b == 0) return mc_fail(MCOMP_DTYPE, "", "element type %d has no size", dtype);
    if (__builtin_mul_overflow((uint64_t)n, (uint64_t)b, &bits) || bits > (uint64_t)INT64_MAX)
        return mc_fail(MCOMP_LIMIT, "", "the size in bytes overflows");
    *bytes = (bits + 7) / 8;
    return MCOMP_OK;
}

mc_shape mc_shape_make(int32_t rank, const int64_t *dims)
{
    mc_shape s = {.rank = rank};
    for (int32_t i = 0; i < rank && i < MC_MAX_RANK; i++) s.dim[i] = dims[i];
    return s;
}

int mc_shape_equal(const mc_shape *a, const mc_shape *b)
{
    if (a->rank != b->rank) return 0;
    for (int32_t i = 0; i < a->rank; i++)
        if (a->dim[i] != b->dim[i]) return 0;
    return 1;
}

int32_t mc_shape_broadcast(const mc_shape *a, const mc_shape *b, mc_shape *out)
{
    const int32_t rank = a->rank > b->rank ? a->rank : b->rank;
    mc_shape r = {.rank = rank};
    for (int32_t i = 0; i < rank; i++) {
        const int32_t ia = i - (rank - a->rank), ib = i - (rank - b->rank);
        const int64_t da = ia < 0 ? 1 : a->dim[ia], db = ib < 0 ? 1 : b->dim[ib];
        if (da != db && da != 1 && db != 1)
            return mc_fail(MCOMP_SHAPE, "", "sizes %lld and %lld do not broadcast", (long long)da, (long long)db);
        r.dim[i] = da == 1 ? db : da;
    }
    *out = r;
    return MCOMP_OK;
}

void mc_shape_broadcast_strides(const mc_shape *s, const mc_shape *to, int64_t strides[MC_MAX_RANK])
{
    int64_t stride = 1;
    for (int32_t i = to->rank - 1; i >= 0; i--) {
        const int32_t k = i - (to->rank - s->rank);
        strides[i] = k < 0 || s->dim[k] == 1 ? 0 : stride;
        if (k >= 0) stride *= s->dim[k];
    }
}

const char *mc_shape_text(const mc_shape *s, char *buf, size_t cap)
{
    size_t o = 0;
    if (cap == 0) return "";
    buf[0] = 0;
    for (int32_t i = 0; i < s->rank && o < cap; i++) {
        const int n = snprintf(buf + o, cap - o, "%s%lld", i ? "," : "[", (long long)s->dim[i]);
        o += n > 0 ? (size_t)n : 0;
    }
    if (o < cap) snprintf(buf + o, cap - o, s->rank ? "]" : "[]");
    return buf;
}
