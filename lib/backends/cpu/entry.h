/* backends/cpu/entry.h - the two names by which runtime/ knows the linked-in backend; everything else goes through its table. */
#ifndef MC_BACKENDS_CPU_ENTRY_H
#define MC_BACKENDS_CPU_ENTRY_H

#include <mcomp/backend.h>

const mcomp_backend_api *mc_cpu_backend_entry(const mcomp_host_api *host);
/* The row epilogue, offered to plugins as the extension "epilogue_f32". */
void mc_cpu_epilogue_f32(const mcomp_epilogue_f32 *e, float *y, int64_t ld_y, int64_t m, int64_t n);

#endif
