/* 4x1 sparse integer GEMM with AVX-512 VNNI: groups of 64 rows, the last of up to 32 rows in 256-bit vectors. vpdpbusd adds four
 * products to a 32-bit lane without saturation. */
#include "kernels/rows.h"
#include "kernels/sparse_pack.h"
#include "kernels/x86/sparse_zmm.h"

/* The intrinsic of the same name makes gcc 12 copy every sum once a quad. */
static inline __m512i dot_zmm(__m512i c, __m512i x, __m512i w)
{
    __asm__("vpdpbusd %2, %1, %0" : "+v"(c) : "v"(x), "v"(w));
    return c;
}
static inline __m256i dot_ymm(__m256i c, __m256i x, __m256i w)
{
    __asm__("vpdpbusd %2, %1, %0" : "+v"(c) : "v"(x), "v"(w));
    return c;
}

#define PASSES 1
#define CHAINS 1
#define vec_dot dot_zmm
#include "kernels/x86/sparse_tokens_body.h"
#include "kernels/x86/sparse_undef.h"

#include "kernels/x86/sparse_ymm.h"
#define PASSES 2
#define CHAINS 2
#define vec_dot dot_ymm
#include "kernels/x86/sparse_tokens_body.h"
#include "kernels/x86/sparse_undef.h"

#include "kernels/x86/sparse_columns.h"

#define ROWS 64
#define HALF 32
#define FEW 12 /* so many rows of the last group go by columns where the CPU has VBMI */

/* Bytes of starts and quads: where the section for few rows begins. */
static inline uint64_t section_at(const mc_qgemm_shape *s, const void *packed)
{
    const uint32_t quads = ((const uint32_t *)packed)[sparse_strips(s)];
    return (uint64_t)up64(sparse_starts_bytes(s) + (int64_t)quads * (int64_t)sizeof(mc_sparse_quad));
}

uint64_t mc_k_sparse_packed_bytes_avx512_vnni(const mc_qgemm_shape *s, const int8_t *w)
{
    return (uint64_t)up64((int64_t)sparse_packed_bytes(s, w, 0)) + (columns_usable() ? columns_bytes(s, w) : 0);
}

void mc_k_sparse_pack_avx512_vnni(const mc_qgemm_shape *s, const int8_t *w, void *out, int32_t *colsum)
{
    sparse_pack(s, w, 0, out, colsum);
    if (columns_usable()) columns_pack(s, w, (uint8_t *)out + section_at(s, out));
}

uint64_t mc_k_sparse_loaded_bytes_avx512_vnni(const mc_qgemm_shape *s, int64_t m)
{
    return (uint64_t)((m + ROWS - 1) / ROWS * ROWS * up64(sparse_depth(s)));
}

/* How a group of rows is taken. */
enum { BY_COLUMNS, IN_HALVES, IN_FULL };
static inline int way_of(int64_t rows) { return rows > HALF ? IN_FULL : rows <= FEW && columns_usable() ? BY_COLUMNS : IN_HALVES; }
static inline int64_t rows_of(const mc_qgemm_tile *t, int64_t first) { return t->m - first < ROWS ? t->m - first : ROWS; }

void mc_k_sparse_load_avx512_vnni(const mc_qgemm_tile *t)
{
    for (int64_t i = 0; i < t->m; i += ROWS) {
        const int64_t rows = rows_of(t, i);
        uint8_t *lines = (uint8_t *)t->loaded + i * up64(sparse_depth(&t->shape));
        if (way_of(rows) == IN_FULL) load_group_zmm(t, i, rows, 0, lines);
        else if (way_of(rows) == IN_HALVES) load_group_ymm(t, i, rows, rows <= HALF / 2, lines);
        else columns_load(t, i, rows, lines);
    }
}

void mc_k_sparse_gemm_avx512_vnni(const mc_qgemm_tile *t)
{
    for (int64_t i = 0; i < t->m; i += ROWS) {
        const int64_t rows = rows_of(t, i);
        const uint8_t *lines = (const uint8_t *)t->loaded + i * up64(sparse_depth(&t->shape));
        if (way_of(rows) == BY_COLUMNS) columns_gemm(t, (const uint8_t *)t->packed + section_at(&t->shape, t->packed), lines, i, rows);
        for (int64_t col = 0; col < t->cols && way_of(rows) != BY_COLUMNS; col += MC_QGEMM_LANES) {
            if (way_of(rows) == IN_FULL) panel_zmm(t, lines, i, rows, 0, col);
            else panel_ymm(t, lines, i, rows, rows <= HALF / 2, col);
        }
    }
}

int64_t mc_k_sparse_few_avx512_vnni(void) { return columns_usable() ? FEW : 0; }
