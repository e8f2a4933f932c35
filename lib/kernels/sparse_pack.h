/* kernels/sparse_pack.h - private: the packed 4x1 block of kernels/sparse.h, shared by all tiers. */
#ifndef MC_KERNELS_SPARSE_PACK_H
#define MC_KERNELS_SPARSE_PACK_H

#include "kernels/sparse.h"

#include <string.h>

#define MC_SPARSE_NONE 0xffff
#define MC_SPARSE_SEARCH 64 /* candidates looked at for a partner */

static inline int64_t sparse_depth(const mc_qgemm_shape *s) { return s->segments * s->seg_len; }
static inline int64_t sparse_padded(const mc_qgemm_shape *s) { return (s->n + MC_QGEMM_LANES - 1) / MC_QGEMM_LANES * MC_QGEMM_LANES; }
static inline int64_t sparse_strips(const mc_qgemm_shape *s) { return sparse_padded(s) / MC_SPARSE_STRIP; }
static inline int64_t sparse_starts_bytes(const mc_qgemm_shape *s) { return ((sparse_strips(s) + 1) * 4 + 63) / 64 * 64; }
static inline const mc_sparse_quad *sparse_quads(const mc_qgemm_shape *s, const void *packed)
{
    return (const mc_sparse_quad *)(const void *)((const uint8_t *)packed + sparse_starts_bytes(s));
}

/* Weights that input k meets in a strip; columns past the last are zero. */
static inline void sparse_block(const mc_qgemm_shape *s, const int8_t *w, int64_t strip, int64_t k, int8_t out[4])
{
    for (int64_t c = 0; c < 4; c++) {
        const int64_t j = strip * 4 + c;
        out[c] = j < s->n ? w[j * sparse_depth(s) + k] : 0;
    }
}

/* Inputs of a strip in order; returns how many. k: [depth]. */
static inline int64_t sparse_inputs(const mc_qgemm_shape *s, const int8_t *w, int64_t strip, uint16_t *k)
{
    const int64_t depth = sparse_depth(s), left = s->n - strip * 4, rows = left < 4 ? left : 4;
    int64_t n = 0;
    for (int64_t i = 0; i < depth; i += 4) {
        const int64_t have = depth - i < 4 ? depth - i : 4;
        uint8_t any[4] = {0};
        uint32_t all = 0;
        for (int64_t r = 0; r < rows; r++) {
            uint32_t v = 0;
            if (have == 4) memcpy(&v, w + (strip * 4 + r) * depth + i, 4);
            else memcpy(&v, w + (strip * 4 + r) * depth + i, (size_t)have);
            all |= v;
        }
        if (all == 0) continue;
        memcpy(any, &all, 4);
        for (int64_t e = 0; e < have; e++)
            if (any[e]) k[n++] = (uint16_t)(i + e);
    }
    return n;
}

/* 1 if two unsigned bytes times these fit in 16 bits together, whatever the bytes are: 255 * 128 < 2^15 (qgemm_pairs.h). */
static inline int sparse_pair_fits(const int8_t a[4], const int8_t b[4])
{
    for (int c = 0; c < 4; c++) {
        const int pos = (a[c] > 0 ? a[c] : 0) + (b[c] > 0 ? b[c] : 0), neg = (a[c] < 0 ? a[c] : 0) + (b[c] < 0 ? b[c] : 0);
        if (pos > 128 || neg < -128) return 0;
    }
    return 1;
}

/* Puts inputs in pairs that cannot overflow, first fit; one that finds no partner stands beside NONE. out: [2 * n]. */
static inline int64_t sparse_pair_up(const mc_qgemm_shape *s, const int8_t *w, int64_t strip, uint16_t *k, int64_t n, uint16_t *out)
{
    int64_t used = 0;
    for (int64_t i = 0; i < n; i++) {
        int8_t a[4], b[4];
        int64_t j = i + 1, seen = 0;
        if (k[i] == MC_SPARSE_NONE) continue;
        sparse_block(s, w, strip, k[i], a);
        out[used++] = k[i];
        out[used] = MC_SPARSE_NONE;
        for (; j < n && seen < MC_SPARSE_SEARCH; j++) {
            if (k[j] == MC_SPARSE_NONE) continue;
            seen++;
            sparse_block(s, w, strip, k[j], b);
            if (!sparse_pair_fits(a, b)) continue;
            out[used] = k[j];
            k[j] = MC_SPARSE_NONE;
            break;
        }
        used++;
    }
    return used;
}

/* Order of a strip's inputs in its quads, NONE in the gaps; returns the number of quads. order: [2 * MC_SPARSE_MAX_K + 8]. */
static inline int64_t sparse_order(const mc_qgemm_shape *s, const int8_t *w, int64_t strip, int paired, uint16_t *order)
{
    uint16_t k[MC_SPARSE_MAX_K];
    int64_t n = sparse_inputs(s, w, strip, paired ? k : order);
    if (paired) n = sparse_pair_up(s, w, strip, k, n, order);
    for (; n % 8 != 0; n++) order[n] = MC_SPARSE_NONE;
    return n / 4;
}

/* Bytes of starts and quads. */
static inline uint64_t sparse_packed_bytes(const mc_qgemm_shape *s, const int8_t *w, int paired)
{
    uint16_t order[2 * MC_SPARSE_MAX_K + 8];
    int64_t quads = 0;
    for (int64_t j = 0; j < sparse_strips(s); j++) quads += sparse_order(s, w, j, paired, order);
    return (uint64_t)(sparse_starts_bytes(s) + quads * (int64_t)sizeof(mc_sparse_quad));
}

static inline void sparse_pack(const mc_qgemm_shape *s, const int8_t *w, int paired, void *out, int32_t *colsum)
{
    uint16_t order[2 * MC_SPARSE_MAX_K + 8];
    uint32_t *start = out;
    mc_sparse_quad *q = (mc_sparse_quad *)(void *)((uint8_t *)out + sparse_starts_bytes(s));
    int64_t total = 0;
    memset(out, 0, (size_t)sparse_starts_bytes(s));
    memset(colsum, 0, (size_t)sparse_padded(s) * sizeof *colsum);
    for (int64_t j = 0; j < sparse_strips(s); j++) {
        const int64_t quads = sparse_order(s, w, j, paired, order);
        start[j] = (uint32_t)total;
        for (int64_t i = 0; i < quads * 4; i++) {
            int8_t b[4] = {0, 0, 0, 0};
            if (order[i] != MC_SPARSE_NONE) sparse_block(s, w, j, order[i], b);
            q[total + i / 4].place[i % 4] = (uint16_t)(order[i] == MC_SPARSE_NONE ? 0 : order[i] * 8);
            for (int64_t c = 0; c < 4; c++) {
                q[total + i / 4].w[c][i % 4] = b[c];
                colsum[j * 4 + c] += b[c];
            }
        }
        total += quads;
    }
    start[sparse_strips(s)] = (uint32_t)total;
}

#endif
