/* Integer GEMM, portable. Packed layout: [n][segments][seg_len], as it came. */
#include "kernels/rows.h"

#include <string.h>

uint64_t mc_k_int8_qgemm_packed_bytes_ref(const mc_qgemm_shape *s, const int8_t *w)
{
    (void)w;
    return (uint64_t)(s->n * s->segments * s->seg_len);
}

void mc_k_int8_qgemm_pack_ref(const mc_qgemm_shape *s, const int8_t *w, void *out, int32_t *colsum)
{
    const int64_t k = s->segments * s->seg_len, padded = (s->n + MC_QGEMM_LANES - 1) / MC_QGEMM_LANES * MC_QGEMM_LANES;
    memcpy(out, w, (size_t)(s->n * k));
    for (int64_t j = 0; j < padded; j++) {
        uint32_t sum = 0;
        for (int64_t i = 0; i < k && j < s->n; i++) sum += (uint32_t)(int32_t)w[j * k + i];
        colsum[j] = (int32_t)sum;
    }
}

uint64_t mc_k_int8_qgemm_loaded_bytes_ref(const mc_qgemm_shape *s, int64_t m)
{
    (void)s;
    (void)m;
    return 0;
}

void mc_k_int8_qgemm_load_ref(const mc_qgemm_tile *t) { (void)t; }

void mc_k_int8_qgemm_ref(const mc_qgemm_tile *t)
{
    const int64_t run = t->shape.seg_len, k = t->shape.segments * run;
    const int64_t padded = (t->cols + MC_QGEMM_LANES - 1) / MC_QGEMM_LANES * MC_QGEMM_LANES;
    for (int64_t i = 0; i < t->m; i++)
        for (int64_t j = 0; j < padded; j++) {
            const int64_t col = t->n0 + j;
            const int8_t *w = (const int8_t *)t->packed + col * k;
            uint32_t sum = (uint32_t)t->init[col];
            for (int64_t s = 0; s < t->shape.segments && col < t->shape.n; s++) {
                const uint8_t *a = t->rows[i] + t->seg[s];
                for (int64_t q = 0; q < run; q++) sum += (uint32_t)((int32_t)a[q] * (int32_t)w[s * run + q]);
            }
            t->acc[i * t->ld_acc + j] = (int32_t)sum;
        }
}

void mc_k_int8_qgemm_done_ref(const mc_qgemm_tile *t) { (void)t; }
