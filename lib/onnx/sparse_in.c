/* SparseTensorProto -> dense tensor: values [nnz] with indices [nnz] (row-major positions) or [nnz, rank]. */
#include "onnx/internal.h"

/* Position of entry k, or -1 when it lies outside. */
static int64_t position(const mc_tensor *indices, int64_t k, const mc_shape *s, int64_t elements)
{
    int64_t at = 0, d;
    const uint8_t *p = indices->data; /* may lie anywhere in the file */
    if (indices->shape.rank == 1) {
        memcpy(&d, p + k * 8, 8);
        return d >= 0 && d < elements ? d : -1;
    }
    for (int32_t i = 0; i < s->rank; i++) {
        memcpy(&d, p + (k * s->rank + i) * 8, 8);
        if (d < 0 || d >= s->dim[i]) return -1;
        at = at * s->dim[i] + d;
    }
    return at;
}

static int32_t fill(mc_tensor *t, const mc_tensor *values, const mc_tensor *indices, const char *where)
{
    const size_t unit = (size_t)mc_dtype_bits(t->dtype) / 8;
    const int64_t n = mc_tensor_elements(values), elements = mc_tensor_elements(t);
    for (int64_t k = 0; k < n; k++) {
        const int64_t at = position(indices, k, &t->shape, elements);
        if (at < 0) return mc_fail(MCOMP_FORMAT, where, "index %lld of a sparse tensor lies outside of it", (long long)k);
        memcpy((uint8_t *)t->data + (size_t)at * unit, (const uint8_t *)values->data + (size_t)k * unit, unit);
    }
    return MCOMP_OK;
}

static int32_t check_indices(const mc_tensor *values, const mc_tensor *indices, const mc_shape *s, const char *where)
{
    const mc_shape *i = &indices->shape;
    if (indices->dtype != MCOMP_I64 || values->shape.rank != 1 || i->rank < 1 || i->rank > 2 || i->dim[0] != values->shape.dim[0] ||
        (i->rank == 2 && i->dim[1] != s->rank))
        return mc_fail(MCOMP_FORMAT, where, "values and indices of a sparse tensor do not fit together");
    return MCOMP_OK;
}

int32_t mc_onnx_sparse_in(mc_onnx_file *f, const McOnnx__SparseTensor *p, const char *where, mc_tensor **out)
{
    int32_t st = MCOMP_OK;
    mc_tensor *values = NULL, *indices = NULL;
    mc_shape s = {.rank = (int32_t)p->n_dims};
    uint64_t bytes, limit = f->ctx ? f->ctx->options.max_fold_bytes : (uint64_t)1 << 26;
    *out = NULL;
    if (!p->values || !p->indices) MC_FAIL(MCOMP_FORMAT, where, "a sparse tensor without values or indices");
    if (p->n_dims > MC_MAX_RANK) MC_FAIL(MCOMP_LIMIT, where, "a sparse tensor of rank above %d", MC_MAX_RANK);
    for (int32_t i = 0; i < s.rank; i++) {
        s.dim[i] = p->dims[i];
        if (s.dim[i] < 0) MC_FAIL(MCOMP_FORMAT, where, "negative size of a sparse tensor");
    }
    MC_TRY(mc_onnx_tensor_in(f, p->values, where, &values));
    MC_TRY(mc_onnx_tensor_in(f, p->indices, where, &indices));
    MC_TRY(check_indices(values, indices, &s, where));
    if (mc_dtype_bits(values->dtype) < 8) MC_FAIL(MCOMP_UNSUPPORTED, where, "a sparse tensor of %s", mc_dtype_name(values->dtype));
    if (mc_size_bytes(values->dtype, &s, &bytes) != MCOMP_OK) {
        mc_error_clear();
        MC_FAIL(MCOMP_FORMAT, where, "the size of the tensor overflows");
    }
    if (bytes > limit) MC_FAIL(MCOMP_LIMIT, where, "a sparse tensor of %llu bytes; max_fold_bytes allows %llu", (unsigned long long)bytes, (unsigned long long)limit);
    MC_TRY(mc_tensor_create(out, values->dtype, &s));
    MC_TRY(fill(*out, values, indices, where));
done:
    mc_tensor_destroy(values);
    mc_tensor_destroy(indices);
    if (st != MCOMP_OK) {
        mc_tensor_destroy(*out);
        *out = NULL;
    }
    return st;
}
