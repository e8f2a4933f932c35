/* kernels/sparse.h - integer products with weights pruned 4x1: four neighbouring columns (outputs) by one input.
 *
 * The same sums as int8.h's GEMM, bit for bit, from the same tiles: only the packed weights differ. Columns stand in strips of
 * four. A strip lists its inputs that meet a weight other than zero, four at a time (a quad), with the 4 x 4 weights that they
 * meet; the number of quads is even. The packer reads plain weights, so a block that is half zero is stored whole and nothing is ever rounded or dropped.
 *
 * Packed block, the same on every tier: uint32 start[strips + 1] (rounded up to 64 bytes), then quads. Without VNNI,
 * vpmaddubsw adds pairs of products in 16 bits; there the packer orders the inputs of a strip so that no pair can overflow and
 * leaves one alone where none fits. Blocks of every tier are valid for the reference. A tier may append lists of its own.
 */
#ifndef MC_KERNELS_SPARSE_H
#define MC_KERNELS_SPARSE_H

#include "kernels/int8.h"

#define MC_SPARSE_STRIP 4
#define MC_SPARSE_MAX_K 8191 /* places are 16 bits wide; deeper products run dense */

typedef struct mc_sparse_quad {
    uint16_t place[4]; /* 8 * input (counted through all runs); any valid input where the weights are padding */
    int8_t w[4][4];    /* [column][input] */
} mc_sparse_quad;

/* Members as those of mc_kernels_int8 with the prefix qgemm_. */
typedef struct mc_kernels_sparse {
    uint64_t (*packed_bytes)(const mc_qgemm_shape *s, const int8_t *w);
    void (*pack)(const mc_qgemm_shape *s, const int8_t *w, void *out, int32_t *colsum);
    uint64_t (*loaded_bytes)(const mc_qgemm_shape *s, int64_t m);
    void (*load)(const mc_qgemm_tile *t);
    void (*gemm)(const mc_qgemm_tile *t);
    /* Up to so many rows columns stand in the vector lanes and a row costs its share; beyond, rows stand there and are padded. */
    int64_t (*few)(void);
} mc_kernels_sparse;

#endif
