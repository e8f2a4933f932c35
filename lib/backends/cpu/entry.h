/* backends/cpu/entry.h - the two names by which runtime/ knows the linked-in backend; everything else goes through its table. */
#ifndef MC_BACKENDS_CPU_ENTRY_H
#define MC_BACKENDS_CPU_ENTRY_H

#include <mcomp/backend.h>

const mcomp_backend_api *mc_cpu_backend_entry(const mcomp_host_api *host);
/* The row epilogue, offered to plugins as the extension "epilogue_f32". */
void mc_cpu_epilogue_f32(const mcomp_epilogue_f32 *e, float *y, int64_t ld_y, int64_t m, int64_t n);
void mc_cpu_epilogue_q8(const mcomp_epilogue_q8 *e, int64_t m, int64_t n);
void mc_cpu_quantize_q8(const float *x, int64_t ld_x, int64_t m, int64_t k, float scale, int32_t zp, uint8_t *y, int64_t ld_y, float *row_scale);

#endif
