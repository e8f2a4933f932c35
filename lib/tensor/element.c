/* Single elements of any type, and half-precision conversions (IEEE 754, round to nearest even). */
#include "tensor/tensor.h"

#include <math.h>

static uint32_t bits_of(float f)
{
    uint32_t u;
    memcpy(&u, &f, sizeof u);
    return u;
}

static float from_bits(uint32_t u)
{
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}

float mc_f16_to_f32(uint16_t h)
{
    const uint32_t sign = (uint32_t)(h & 0x8000u) << 16, exp = (h >> 10) & 31u, man = h & 0x3ffu;
    if (exp == 31) return from_bits(sign | 0x7f800000u | man << 13);
    if (exp == 0) return from_bits(sign | bits_of((float)man * 0x1p-24f));
    return from_bits(sign | (exp + 112) << 23 | man << 13);
}

uint16_t mc_f32_to_f16(float f)
{
    const uint32_t u = bits_of(f), sign = u >> 16 & 0x8000u, a = u & 0x7fffffffu;
    if (a > 0x7f800000u) return (uint16_t)(sign | 0x7e00u);
    if (a >= 0x477ff000u) return (uint16_t)(sign | 0x7c00u); /* rounds to infinity */
    if (a < 0x38800000u) { /* subnormal: adding 0.5 puts the rounded value into the low bits */
        const uint32_t r = bits_of(from_bits(a) + 0.5f) - 0x3f000000u;
        return (uint16_t)(sign | r);
    }
    const uint32_t r = a + 0xfffu + (a >> 13 & 1u) - 0x38000000u;
    return (uint16_t)(sign | r >> 13);
}

float mc_bf16_to_f32(uint16_t h) { return from_bits((uint32_t)h << 16); }

uint16_t mc_f32_to_bf16(float f)
{
    const uint32_t u = bits_of(f);
    if ((u & 0x7fffffffu) > 0x7f800000u) return (uint16_t)(u >> 16 | 0x40u);
    return (uint16_t)((u + 0x7fffu + (u >> 16 & 1u)) >> 16);
}

/* Sub-byte element i: first element in the low bits. */
static uint32_t packed_get(const uint8_t *p, int64_t i, int32_t bits)
{
    const int32_t per = 8 / bits, at = (int32_t)(i % per) * bits;
    return (uint32_t)p[i / per] >> at & ((1u << bits) - 1);
}

static void packed_set(uint8_t *p, int64_t i, int32_t bits, uint32_t v)
{
    const int32_t per = 8 / bits, at = (int32_t)(i % per) * bits;
    const uint32_t mask = ((1u << bits) - 1) << at;
    p[i / per] = (uint8_t)((p[i / per] & ~mask) | (v << at & mask));
}

int64_t mc_tensor_get_i64(const mc_tensor *t, int64_t i)
{
    switch (t->dtype) {
    case MCOMP_I64: return ((const int64_t *)t->data)[i];
    case MCOMP_I32: return ((const int32_t *)t->data)[i];
    case MCOMP_I16: return ((const int16_t *)t->data)[i];
    case MCOMP_I8: return ((const int8_t *)t->data)[i];
    case MCOMP_U64: return (int64_t)((const uint64_t *)t->data)[i];
    case MCOMP_U32: return ((const uint32_t *)t->data)[i];
    case MCOMP_U16: return ((const uint16_t *)t->data)[i];
    case MCOMP_U8: return ((const uint8_t *)t->data)[i];
    case MCOMP_BOOL: return ((const uint8_t *)t->data)[i] != 0;
    case MCOMP_U4: return packed_get(t->data, i, 4);
    case MCOMP_U2: return packed_get(t->data, i, 2);
    case MCOMP_I4: return ((int64_t)packed_get(t->data, i, 4) ^ 8) - 8;
    case MCOMP_I2: return ((int64_t)packed_get(t->data, i, 2) ^ 2) - 2;
    default: {
        const double v = mc_tensor_get_f64(t, i);
        return v >= 0x1p63 ? INT64_MAX : v < -0x1p63 ? INT64_MIN : isnan(v) ? 0 : (int64_t)v;
    }
    }
}

double mc_tensor_get_f64(const mc_tensor *t, int64_t i)
{
    switch (t->dtype) {
    case MCOMP_F32: return (double)((const float *)t->data)[i];
    case MCOMP_F64: return ((const double *)t->data)[i];
    case MCOMP_F16: return (double)mc_f16_to_f32(((const uint16_t *)t->data)[i]);
    case MCOMP_BF16: return (double)mc_bf16_to_f32(((const uint16_t *)t->data)[i]);
    case MCOMP_U64: return (double)((const uint64_t *)t->data)[i];
    case MCOMP_I64: case MCOMP_I32: case MCOMP_I16: case MCOMP_I8: case MCOMP_U32: case MCOMP_U16: case MCOMP_U8: case MCOMP_BOOL:
    case MCOMP_U4: case MCOMP_I4: case MCOMP_U2: case MCOMP_I2: return (double)mc_tensor_get_i64(t, i);
    default: return 0.0;
    }
}

static int64_t saturate(int64_t v, int64_t lo, int64_t hi) { return v < lo ? lo : v > hi ? hi : v; }

void mc_tensor_set_i64(mc_tensor *t, int64_t i, int64_t v)
{
    switch (t->dtype) {
    case MCOMP_I64: ((int64_t *)t->data)[i] = v; break;
    case MCOMP_I32: ((int32_t *)t->data)[i] = (int32_t)saturate(v, INT32_MIN, INT32_MAX); break;
    case MCOMP_I16: ((int16_t *)t->data)[i] = (int16_t)saturate(v, INT16_MIN, INT16_MAX); break;
    case MCOMP_I8: ((int8_t *)t->data)[i] = (int8_t)saturate(v, INT8_MIN, INT8_MAX); break;
    case MCOMP_U64: ((uint64_t *)t->data)[i] = (uint64_t)saturate(v, 0, INT64_MAX); break;
    case MCOMP_U32: ((uint32_t *)t->data)[i] = (uint32_t)saturate(v, 0, UINT32_MAX); break;
    case MCOMP_U16: ((uint16_t *)t->data)[i] = (uint16_t)saturate(v, 0, UINT16_MAX); break;
    case MCOMP_U8: ((uint8_t *)t->data)[i] = (uint8_t)saturate(v, 0, UINT8_MAX); break;
    case MCOMP_BOOL: ((uint8_t *)t->data)[i] = v != 0; break;
    case MCOMP_U4: packed_set(t->data, i, 4, (uint32_t)saturate(v, 0, 15)); break;
    case MCOMP_I4: packed_set(t->data, i, 4, (uint32_t)saturate(v, -8, 7) & 15u); break;
    case MCOMP_U2: packed_set(t->data, i, 2, (uint32_t)saturate(v, 0, 3)); break;
    case MCOMP_I2: packed_set(t->data, i, 2, (uint32_t)saturate(v, -2, 1) & 3u); break;
    case MCOMP_F32: case MCOMP_F64: case MCOMP_F16: case MCOMP_BF16: mc_tensor_set_f64(t, i, (double)v); break;
    default: break; /* no element access; set_f64 ends here for these, too */
    }
}

void mc_tensor_set_f64(mc_tensor *t, int64_t i, double v)
{
    switch (t->dtype) {
    case MCOMP_F32: ((float *)t->data)[i] = (float)v; break;
    case MCOMP_F64: ((double *)t->data)[i] = v; break;
    case MCOMP_F16: ((uint16_t *)t->data)[i] = mc_f32_to_f16((float)v); break;
    case MCOMP_BF16: ((uint16_t *)t->data)[i] = mc_f32_to_bf16((float)v); break;
    default:
        if (isnan(v)) v = 0.0;
        v = nearbyint(v);
        mc_tensor_set_i64(t, i, v >= 0x1p63 ? INT64_MAX : v < -0x1p63 ? INT64_MIN : (int64_t)v);
        break;
    }
}
