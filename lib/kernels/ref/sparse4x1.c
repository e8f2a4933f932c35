/* 4x1 sparse integer GEMM, portable: what a packed block means. */
#include "kernels/rows.h"
#include "kernels/sparse_pack.h"

uint64_t mc_k_sparse_packed_bytes_ref(const mc_qgemm_shape *s, const int8_t *w) { return sparse_packed_bytes(s, w, 0); }
void mc_k_sparse_pack_ref(const mc_qgemm_shape *s, const int8_t *w, void *out, int32_t *colsum) { sparse_pack(s, w, 0, out, colsum); }

uint64_t mc_k_sparse_loaded_bytes_ref(const mc_qgemm_shape *s, int64_t m)
{
    (void)s;
    (void)m;
    return 0;
}

void mc_k_sparse_load_ref(const mc_qgemm_tile *t) { (void)t; }

void mc_k_sparse_gemm_ref(const mc_qgemm_tile *t)
{
    const int64_t run = t->shape.seg_len, padded = (t->cols + MC_QGEMM_LANES - 1) / MC_QGEMM_LANES * MC_QGEMM_LANES;
    const uint32_t *start = t->packed;
    const mc_sparse_quad *quads = sparse_quads(&t->shape, t->packed);
    for (int64_t i = 0; i < t->m; i++)
        for (int64_t j = 0; j < padded; j++) {
            const int64_t col = t->n0 + j, strip = col / MC_SPARSE_STRIP;
            uint32_t sum = (uint32_t)t->init[col];
            for (const mc_sparse_quad *q = quads + start[strip]; q < quads + start[strip + 1]; q++)
                for (int64_t e = 0; e < 4; e++) {
                    const int64_t k = q->place[e] / 8;
                    sum += (uint32_t)((int32_t)t->rows[i][t->seg[k / run] + k % run] * (int32_t)q->w[col % MC_SPARSE_STRIP][e]);
                }
            t->acc[i * t->ld_acc + j] = (int32_t)sum;
        }
}

int64_t mc_k_sparse_few_ref(void) { return 0; }
