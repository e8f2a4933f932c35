/* ops/qdq.h - private: how a scale (and zero point) covers a tensor: per tensor, per axis, or in blocks along an axis. */
#ifndef MC_OPS_QDQ_H
#define MC_OPS_QDQ_H

#include "ops/nn.h"

/* Which scale element x element i uses: (i / outer) * groups * inner_groups ...; see mc_qdq_index. */
typedef struct mc_qdq_map {
    int64_t dim, inner; /* length of the axis and elements below it */
    int64_t block;      /* elements of the axis that share a scale; dim: per tensor or per axis */
    int64_t groups;     /* scales along the axis of x: dim / block rounded up; per axis: dim */
    int32_t kind;       /* 0 tensor, 1 axis, 2 blocked */
} mc_qdq_map;

/* Types of scale (input 1) and zero point (input 2) against x (input 0). sign: scales have to be positive. */
int32_t mc_qdq_check(const mc_infer *c, int sign);
void mc_qdq_map_of(const mc_op_run *r, mc_qdq_map *m);
static inline int64_t mc_qdq_index(const mc_qdq_map *m, int64_t i)
{
    const int64_t k = i / m->inner % m->dim;
    if (m->kind == 0) return 0;
    if (m->kind == 1) return k;
    return (i / (m->inner * m->dim) * m->groups + k / m->block) * m->inner + i % m->inner;
}
/* Range of a quantized type; MCOMP_UNSUPPORTED if it is none of u8 i8 u16 i16 u4 i4 u2 i2. */
int32_t mc_qdq_range(int32_t dtype, int32_t *lo, int32_t *hi);
/* v rounded to a float type. */
float mc_qdq_round_to(int32_t dtype, float v);

#endif
