/* Element types: sizes and names. */
#include "tensor/tensor.h"

#include <mcomp/tensor.h>

int32_t mc_dtype_bits(int32_t dtype)
{
    switch (dtype) {
#define ROW(name, value, bits, text)                                                                                   \
    case value: return bits;
        MCOMP_DTYPE_TABLE(ROW)
#undef ROW
    default: return 0;
    }
}

const char *mc_dtype_name(int32_t dtype)
{
    switch (dtype) {
#define ROW(name, value, bits, text)                                                                                   \
    case value: return text;
        MCOMP_DTYPE_TABLE(ROW)
#undef ROW
    default: return "undefined";
    }
}

int32_t mc_dtype_from_name(const char *name)
{
    static const struct {
        const char *text;
        int32_t dtype;
    } more[] = {{"f4", MCOMP_F32}, {"f8", MCOMP_F64}, {"f2", MCOMP_F16}, {"i1", MCOMP_I8}, {"i2", MCOMP_I16}, {"i4", MCOMP_I32},
                {"i8", MCOMP_I64}, {"u1", MCOMP_U8}, {"u2", MCOMP_U16}, {"u4", MCOMP_U32}, {"u8", MCOMP_U64}, {"b1", MCOMP_BOOL},
                {"f32", MCOMP_F32}, {"f64", MCOMP_F64}, {"f16", MCOMP_F16}, {"float", MCOMP_F32}, {"double", MCOMP_F64}};
    if (!name) return MCOMP_UNDEFINED;
    if (name[0] == '<' || name[0] == '|' || name[0] == '=') name++;
#define ROW(id, value, bits, text)                                                                                     \
    if (value != 0 && strcmp(name, text) == 0) return value;
    MCOMP_DTYPE_TABLE(ROW)
#undef ROW
    for (size_t i = 0; i < sizeof more / sizeof *more; i++)
        if (strcmp(name, more[i].text) == 0) return more[i].dtype;
    return MCOMP_UNDEFINED;
}

int mc_dtype_is_float(int32_t dtype)
{
    return dtype == MCOMP_F32 || dtype == MCOMP_F64 || dtype == MCOMP_F16 || dtype == MCOMP_BF16;
}

int mc_dtype_is_integer(int32_t dtype)
{
    return (dtype >= MCOMP_U8 && dtype <= MCOMP_I64) || dtype == MCOMP_U32 || dtype == MCOMP_U64;
}

const char *mcomp_dtype_name(int32_t dtype) { return mc_dtype_name(dtype); }
int32_t mcomp_dtype_from_name(const char *name) { return mc_dtype_from_name(name); }
