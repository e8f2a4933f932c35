/* backends/cpu/broadcast.h - private: walking broadcast operands as few long inner loops. */
#ifndef MC_BACKENDS_CPU_BROADCAST_H
#define MC_BACKENDS_CPU_BROADCAST_H

#include "backends/cpu/work.h"

#define MC_BROADCAST_INPUTS 3

/* Output dims merged as far as every operand allows; strides in elements, 0 where an operand is repeated. The last axis is
 * the inner loop: operand steps there are 0 or 1. */
typedef struct mc_broadcast {
    int32_t rank, inputs;
    int64_t dim[MC_MAX_RANK], stride[MC_BROADCAST_INPUTS][MC_MAX_RANK];
    int64_t inner, rows; /* elements of the last axis; product of the others */
} mc_broadcast;

void mc_broadcast_plan(mc_broadcast *b, const mcomp_bk_buffer *out, const mcomp_bk_buffer *const *in, int32_t inputs);
/* Element offsets of the operands at row r. */
void mc_broadcast_row(const mc_broadcast *b, int64_t row, int64_t offset[MC_BROADCAST_INPUTS]);
/* Runs rows (or parts of one row) over the pool: fn(ctx, row, begin, count) with count elements from `begin` of the row. */
typedef void (*mc_broadcast_fn)(void *ctx, const int64_t *offset, int64_t out, int64_t count);
void mc_broadcast_run(const mc_cpu_step *s, const mcomp_run_args *a, const mc_broadcast *b, mc_broadcast_fn fn, void *ctx);

#endif
