/* ref/bf16_scalar.h - one float to BF16 and back, as the kernels of bf16.h define it. */
#ifndef MC_BF16_SCALAR_H
#define MC_BF16_SCALAR_H

#include <stdint.h>
#include <string.h>

static inline uint16_t rounded(float f)
{
    uint32_t u;
    memcpy(&u, &f, sizeof u);
    if ((u & 0x7f800000u) == 0) return (uint16_t)(u >> 16 & 0x8000u);
    if ((u & 0x7fffffffu) > 0x7f800000u) return (uint16_t)(u >> 16 | 0x40u);
    return (uint16_t)((u + 0x7fffu + (u >> 16 & 1u)) >> 16);
}

static inline float widened(uint16_t h)
{
    const uint32_t u = (uint32_t)h << 16;
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}

#endif
