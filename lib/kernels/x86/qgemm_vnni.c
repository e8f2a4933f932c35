/* Integer GEMM with AVX-512 VNNI. */
#define DEPTH_QUADS 1

#include "kernels/x86/qgemm_vnni_body.h"

uint64_t mc_k_int8_qgemm_packed_bytes_avx512_vnni(const mc_qgemm_shape *s, const int8_t *w)
{
    (void)w;
    return vnni_packed_bytes(s);
}

void mc_k_int8_qgemm_pack_avx512_vnni(const mc_qgemm_shape *s, const int8_t *w, void *out, int32_t *colsum) { vnni_pack(s, w, out, colsum); }

uint64_t mc_k_int8_qgemm_loaded_bytes_avx512_vnni(const mc_qgemm_shape *s, int64_t m)
{
    (void)s;
    (void)m;
    return 0;
}

void mc_k_int8_qgemm_load_avx512_vnni(const mc_qgemm_tile *t) { (void)t; }
void mc_k_int8_qgemm_avx512_vnni(const mc_qgemm_tile *t) { vnni_gemm(t); }
