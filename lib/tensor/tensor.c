/* Tensors over buffers, and the public handle. */
#include "tensor/tensor.h"

#include <mcomp/tensor.h>

int32_t mc_tensor_from_buffer(mc_tensor **out, int32_t dtype, const mc_shape *shape, mc_buffer *b, uint64_t offset)
{
    uint64_t bytes, end;
    *out = NULL;
    int32_t st = mc_size_bytes(dtype, shape, &bytes);
    if (st != MCOMP_OK) return st;
    if (__builtin_add_overflow(offset, bytes, &end) || end > mc_buffer_bytes(b))
        return mc_fail(MCOMP_FORMAT, "", "tensor of %llu bytes at offset %llu does not fit into %llu bytes",
                       (unsigned long long)bytes, (unsigned long long)offset, (unsigned long long)mc_buffer_bytes(b));
    mc_tensor *t = (mc_tensor *)mc_calloc(1, sizeof(mcomp_tensor));
    if (!t) return MCOMP_NO_MEMORY;
    t->dtype = dtype;
    t->shape = *shape;
    t->buffer = mc_buffer_ref(b);
    t->data = (uint8_t *)mc_buffer_data(b) + offset;
    *out = t;
    return MCOMP_OK;
}

int32_t mc_tensor_create(mc_tensor **out, int32_t dtype, const mc_shape *shape)
{
    uint64_t bytes;
    *out = NULL;
    int32_t st = mc_size_bytes(dtype, shape, &bytes);
    if (st != MCOMP_OK) return st;
    mc_buffer *b = mc_buffer_alloc(bytes);
    if (!b) return MCOMP_NO_MEMORY;
    st = mc_tensor_from_buffer(out, dtype, shape, b, 0);
    mc_buffer_unref(b);
    return st;
}

int32_t mc_tensor_share(mc_tensor **out, const mc_tensor *t)
{
    *out = (mc_tensor *)mc_calloc(1, sizeof(mcomp_tensor));
    if (!*out) return MCOMP_NO_MEMORY;
    **out = *t;
    mc_buffer_ref(t->buffer);
    return MCOMP_OK;
}

int32_t mc_tensor_copy(mc_tensor **out, const mc_tensor *t)
{
    if (t->dtype == MCOMP_STRING) return mc_tensor_share(out, t); /* elements belong to the buffer */
    const int32_t st = mc_tensor_create(out, t->dtype, &t->shape);
    if (st == MCOMP_OK && mc_tensor_bytes(t)) memcpy((*out)->data, t->data, (size_t)mc_tensor_bytes(t));
    return st;
}

int32_t mc_tensor_align(mc_tensor *t)
{
    const uint64_t unit = (uint64_t)mc_dtype_bits(t->dtype) / 8, bytes = mc_tensor_bytes(t);
    const uintptr_t align = unit > 8 ? 8 : unit > 0 ? (uintptr_t)unit : 1;
    if (t->dtype == MCOMP_STRING || (uintptr_t)t->data % align == 0) return MCOMP_OK;
    mc_buffer *b = mc_buffer_alloc(bytes);
    if (!b) return MCOMP_NO_MEMORY;
    if (bytes) memcpy(mc_buffer_data(b), t->data, (size_t)bytes);
    mc_buffer_unref(t->buffer);
    t->buffer = b;
    t->data = mc_buffer_data(b);
    return MCOMP_OK;
}

void mc_tensor_destroy(mc_tensor *t)
{
    if (!t) return;
    mc_buffer_unref(t->buffer);
    mc_free(t);
}

int64_t mc_tensor_elements(const mc_tensor *t)
{
    int64_t n = 1;
    for (int32_t i = 0; i < t->shape.rank; i++) n *= t->shape.dim[i];
    return n;
}

uint64_t mc_tensor_bytes(const mc_tensor *t)
{
    const uint64_t bits = t->dtype == MCOMP_STRING ? 8 * sizeof(char *) : (uint64_t)mc_dtype_bits(t->dtype);
    return ((uint64_t)mc_tensor_elements(t) * bits + 7) / 8;
}

/* ---- public ---- */

static int32_t read_shape(mc_shape *s, int32_t rank, const int64_t *dims)
{
    if (rank < 0 || rank > MC_MAX_RANK) return mc_fail_argument(3, "rank", "is outside 0..8");
    if (rank > 0 && !dims) return mc_fail_argument(4, "dims", "is NULL");
    *s = mc_shape_make(rank, dims);
    return MCOMP_OK;
}

int32_t mcomp_tensor_create(mcomp_tensor **out, int32_t dtype, int32_t rank, const int64_t *dims)
{
    mc_shape s;
    mc_tensor *t = NULL;
    MC_API_ENTER();
    MC_CHECK_ARG(1, out, "out", "is NULL");
    *out = NULL;
    int32_t st = read_shape(&s, rank, dims);
    if (st == MCOMP_OK && dtype == MCOMP_STRING) st = mc_fail(MCOMP_UNSUPPORTED, "dtype", "string tensors cannot be created here");
    if (st == MCOMP_OK) st = mc_tensor_create(&t, dtype, &s);
    *out = (mcomp_tensor *)t;
    return st;
}

int32_t mcomp_tensor_wrap(mcomp_tensor **out, int32_t dtype, int32_t rank, const int64_t *dims, void *data, uint64_t bytes,
                          void (*release)(void *payload, void *data), void *payload)
{
    mc_shape s;
    mc_tensor *t = NULL;
    uint64_t need;
    MC_API_ENTER();
    MC_CHECK_ARG(1, out, "out", "is NULL");
    *out = NULL;
    int32_t st = read_shape(&s, rank, dims);
    if (st == MCOMP_OK) st = mc_size_bytes(dtype, &s, &need);
    if (st != MCOMP_OK) return st;
    MC_CHECK_ARG(5, data || need == 0, "data", "is NULL");
    MC_CHECK_ARG(6, bytes == need, "bytes", "is not the size of the tensor");
    mc_buffer *b = mc_buffer_wrap(data, bytes, release, payload);
    if (!b) return MCOMP_NO_MEMORY;
    st = mc_tensor_from_buffer(&t, dtype, &s, b, 0);
    mc_buffer_unref(b);
    *out = (mcomp_tensor *)t;
    return st;
}

void mcomp_tensor_destroy(mcomp_tensor *t) { mc_tensor_destroy((mc_tensor *)t); }
int32_t mcomp_tensor_dtype(const mcomp_tensor *t) { return t ? t->t.dtype : MCOMP_UNDEFINED; }
int32_t mcomp_tensor_rank(const mcomp_tensor *t) { return t ? t->t.shape.rank : 0; }
const int64_t *mcomp_tensor_dims(const mcomp_tensor *t) { return t ? t->t.shape.dim : NULL; }
void *mcomp_tensor_data(const mcomp_tensor *t) { return t ? t->t.data : NULL; }
uint64_t mcomp_tensor_bytes(const mcomp_tensor *t) { return t ? mc_tensor_bytes(&t->t) : 0; }
int64_t mcomp_tensor_elements(const mcomp_tensor *t) { return t ? mc_tensor_elements(&t->t) : 0; }
