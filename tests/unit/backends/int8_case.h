/* Operands and attributes that the tests of integer implementations share. */
#ifndef MC_TEST_INT8_CASE_H
#define MC_TEST_INT8_CASE_H

#include "support/node.h"
#include "support/support.h"

#define DIMS(...) (const int64_t[]){__VA_ARGS__}, (int32_t)(sizeof((const int64_t[]){__VA_ARGS__}) / sizeof(int64_t))
#define F(seed, ...) mc_test_tensor(MCOMP_F32, DIMS(__VA_ARGS__), seed)
#define U8(seed, ...) bytes(MCOMP_U8, DIMS(__VA_ARGS__), seed)
#define S8(seed, ...) bytes(MCOMP_I8, DIMS(__VA_ARGS__), seed)
#define SCALES(seed, n) scales(seed, n)

static mc_tensor *bytes(int32_t dtype, const int64_t *dims, int32_t rank, uint64_t seed)
{
    mc_tensor *t = mc_test_tensor(dtype, dims, rank, seed);
    for (int64_t i = 0; i < mc_tensor_elements(t); i++) ((uint8_t *)t->data)[i] = (uint8_t)((double)mc_test_random(&seed) * 127.99);
    return t;
}

static mc_tensor *scales(uint64_t seed, int64_t n)
{
    mc_tensor *t = mc_test_tensor(MCOMP_F32, &n, 1, seed);
    for (int64_t i = 0; i < n; i++) ((float *)t->data)[i] = 0.002f + 0.001f * ((float *)t->data)[i];
    return t;
}

#define X "x_scale=0.02f x_zp=13 x_dtype=2 "
#define XS "x_scale=0.02f x_zp=-5 x_dtype=3 "
#define Y "y_scale=0.05f y_zp=100 y_dtype=2 "
#define YS "y_scale=0.05f y_zp=-3 y_dtype=3 "

#endif
