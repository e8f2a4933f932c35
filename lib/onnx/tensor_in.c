/* TensorProto -> tensor. Raw data, little-endian float_data/double_data and external data stay in their mapping; varint
 * coded data and string data are decoded. A tensor must have exactly one source and exactly the bytes its shape needs. */
#include "onnx/internal.h"

enum { F_FLOAT = 4, F_INT32 = 5, F_INT64 = 7, F_RAW = 9, F_DOUBLE = 10, F_UINT64 = 11 };

/* Field of typed data that belongs to an element type. */
static int32_t typed_field(int32_t dtype)
{
    switch (dtype) {
    case MCOMP_F32:
    case MCOMP_C64: return F_FLOAT;
    case MCOMP_F64:
    case MCOMP_C128: return F_DOUBLE;
    case MCOMP_I64: return F_INT64;
    case MCOMP_U32:
    case MCOMP_U64: return F_UINT64;
    default: return F_INT32;
    }
}

static int32_t read_shape(const McOnnx__Tensor *p, const char *where, int32_t dtype, mc_shape *s, uint64_t *bytes)
{
    if (p->n_dims > MC_MAX_RANK)
        return mc_fail(MCOMP_LIMIT, where, "the tensor has rank %llu; at most %d is supported", (unsigned long long)p->n_dims, MC_MAX_RANK);
    s->rank = (int32_t)p->n_dims;
    for (int32_t i = 0; i < s->rank; i++) {
        s->dim[i] = p->dims[i];
        if (s->dim[i] < 0) return mc_fail(MCOMP_FORMAT, where, "negative size %lld of axis %d", (long long)s->dim[i], i);
    }
    if (mc_size_bytes(dtype, s, bytes) != MCOMP_OK) {
        mc_error_clear();
        return mc_fail(MCOMP_FORMAT, where, "the size of the tensor overflows");
    }
    return MCOMP_OK;
}

/* One tensor over part of a buffer: shared when its address suits the element type, else copied as long as the budget for
 * that lasts. Beyond it the tensor stays mapped where it is, and mc_tensor_align() is for those who read it. */
static int32_t place(mc_onnx_file *f, mc_buffer *b, uint64_t offset, int32_t dtype, const mc_shape *s, uint64_t bytes, mc_tensor **out)
{
    const uint64_t unit = (uint64_t)mc_dtype_bits(dtype) / 8, align = unit > 8 ? 8 : unit > 0 ? unit : 1;
    const uintptr_t address = (uintptr_t)mc_buffer_data(b) + offset;
    if (bytes >= 1024 && (address % align == 0 || bytes > f->copy_budget)) return mc_tensor_from_buffer(out, dtype, s, b, offset);
    const int32_t st = mc_tensor_create(out, dtype, s);
    if (st != MCOMP_OK) return st;
    if (bytes) memcpy((*out)->data, (const uint8_t *)mc_buffer_data(b) + offset, (size_t)bytes);
    if (bytes >= 1024) f->copy_budget -= bytes;
    return MCOMP_OK;
}

/* Writes one decoded value; values that do not fit are refused. A sub-byte element type gives whole bytes. */
static int32_t put_value(mc_tensor *t, int64_t i, uint64_t v, const char *where)
{
    const int32_t dtype = t->dtype, bits = mc_dtype_bits(dtype) < 8 ? 8 : mc_dtype_bits(dtype);
    const int64_t s = (int64_t)v;
    if (bits < 64 && (s < -((int64_t)1 << (bits - 1)) || s > (int64_t)(((uint64_t)1 << bits) - 1)))
        return mc_fail(MCOMP_FORMAT, where, "the value %lld of element %lld does not fit into %s", (long long)s, (long long)i, mc_dtype_name(dtype));
    if (dtype == MCOMP_BOOL) v = v != 0;
    memcpy((uint8_t *)t->data + i * (bits / 8), &v, (size_t)bits / 8);
    return MCOMP_OK;
}

/* Varint coded elements of all ranges. */
static int32_t decode_varints(mc_onnx_file *f, const McOnnx__Tensor *p, const char *where, mc_tensor *t, int64_t units)
{
    int32_t st = MCOMP_OK;
    int64_t n = 0;
    const uint8_t *base = mc_buffer_data(f->buffer);
    for (size_t i = 0; i + 2 < p->n_mapped; i += 3) {
        mc_wire w = {base, base + p->mapped[i + 1], base + p->mapped[i + 1] + p->mapped[i + 2], where};
        while (w.p < w.end) {
            uint64_t v;
            MC_TRY(mc_wire_varint(&w, &v));
            if (n >= units) MC_FAIL(MCOMP_FORMAT, where, "the tensor has more values than its shape needs");
            MC_TRY(put_value(t, n++, v, where));
        }
    }
    if (n != units) MC_FAIL(MCOMP_FORMAT, where, "the tensor has %lld values; its shape needs %lld", (long long)n, (long long)units);
done:
    return st;
}

static int32_t from_typed(mc_onnx_file *f, const McOnnx__Tensor *p, const char *where, int32_t dtype, const mc_shape *s, uint64_t bytes,
                          mc_tensor **out)
{
    uint64_t have = 0;
    const int32_t field = (int32_t)p->mapped[0];
    if (field != typed_field(dtype)) return mc_fail(MCOMP_FORMAT, where, "the data is stored in a field that does not belong to %s", mc_dtype_name(dtype));
    for (size_t i = 0; i + 2 < p->n_mapped; i += 3) have += p->mapped[i + 2];
    if (field == F_FLOAT || field == F_DOUBLE) { /* little-endian, as raw data */
        if (have != bytes)
            return mc_fail(MCOMP_FORMAT, where, "the tensor has %llu bytes of data; its shape needs %llu", (unsigned long long)have, (unsigned long long)bytes);
        if (p->n_mapped == 3) return place(f, f->buffer, p->mapped[1], dtype, s, bytes, out);
    } else if (bytes / 8 > have) { /* a varint is at least one byte: allocate in proportion to what is there */
        return mc_fail(MCOMP_FORMAT, where, "the tensor has too few values for its shape");
    }
    int32_t st = mc_tensor_create(out, dtype, s);
    if (st != MCOMP_OK) return st;
    if (field != F_FLOAT && field != F_DOUBLE) {
        const int64_t units = mc_dtype_bits(dtype) < 8 ? (int64_t)bytes : mc_tensor_elements(*out);
        return decode_varints(f, p, where, *out, units);
    }
    uint8_t *to = (*out)->data;
    for (size_t i = 0; i + 2 < p->n_mapped; i += 3) {
        memcpy(to, (const uint8_t *)mc_buffer_data(f->buffer) + p->mapped[i + 1], (size_t)p->mapped[i + 2]);
        to += p->mapped[i + 2];
    }
    return MCOMP_OK;
}

static void release_block(void *payload, void *data)
{
    (void)payload;
    mc_free(data);
}

static int32_t from_strings(const McOnnx__Tensor *p, const char *where, const mc_shape *s, mc_tensor **out)
{
    uint64_t total = 0;
    int64_t n;
    int32_t st = mc_shape_elements(s, &n);
    if (st != MCOMP_OK) return st;
    if ((uint64_t)n != p->n_string_data)
        return mc_fail(MCOMP_FORMAT, where, "the tensor has %llu strings; its shape needs %lld", (unsigned long long)p->n_string_data, (long long)n);
    for (int64_t i = 0; i < n; i++) {
        if (p->string_data[i].len && memchr(p->string_data[i].data, 0, p->string_data[i].len))
            return mc_fail(MCOMP_FORMAT, where, "string %lld holds a NUL byte", (long long)i);
        total += p->string_data[i].len + 1;
    }
    char **block = mc_calloc(1, (size_t)n * sizeof *block + (size_t)total + 1);
    if (!block) return MCOMP_NO_MEMORY;
    char *text = (char *)(block + n);
    for (int64_t i = 0; i < n; i++) {
        block[i] = text;
        if (p->string_data[i].len) memcpy(text, p->string_data[i].data, p->string_data[i].len);
        text += p->string_data[i].len + 1;
    }
    mc_buffer *b = mc_buffer_wrap(block, (uint64_t)n * sizeof *block, release_block, NULL);
    if (!b) {
        mc_free(block);
        return MCOMP_NO_MEMORY;
    }
    st = mc_tensor_from_buffer(out, MCOMP_STRING, s, b, 0);
    mc_buffer_unref(b);
    return st;
}

typedef struct external_entry {
    const char *location, *checksum;
    int64_t offset, length; /* -1: not given */
} external_entry;

static int32_t read_external(const McOnnx__Tensor *p, const char *where, external_entry *e)
{
    uint32_t seen = 0;
    static const char *const keys[] = {"location", "offset", "length", "checksum", "basepath"};
    *e = (external_entry){NULL, NULL, 0, -1};
    for (size_t i = 0; i < p->n_external_data; i++) {
        const char *key = mc_onnx_text(p->external_data[i]->key), *value = mc_onnx_text(p->external_data[i]->value);
        int32_t k = 0;
        while (k < 5 && strcmp(key, keys[k]) != 0) k++;
        if (k == 5) return mc_fail(MCOMP_FORMAT, where, "unknown key \"%s\" of external data", key);
        if (seen & 1u << k) return mc_fail(MCOMP_FORMAT, where, "the key \"%s\" of external data comes twice", key);
        seen |= 1u << k;
        if (k == 0) e->location = value;
        if (k == 3) e->checksum = value;
        if (k != 1 && k != 2) continue;
        if (mc_parse_i64(value, k == 1 ? &e->offset : &e->length) != MCOMP_OK || (k == 1 ? e->offset : e->length) < 0)
            return mc_fail(MCOMP_FORMAT, where, "the %s \"%s\" of external data is no size", key, value);
    }
    return e->location ? MCOMP_OK : mc_fail(MCOMP_FORMAT, where, "external data without a location");
}

static int32_t from_external(mc_onnx_file *f, const McOnnx__Tensor *p, const char *where, int32_t dtype, const mc_shape *s, uint64_t bytes,
                             mc_tensor **out)
{
    int32_t st = MCOMP_OK;
    external_entry e;
    mc_buffer *b;
    MC_TRY(read_external(p, where, &e));
    MC_TRY(mc_onnx_external_find(f, e.location, &b));
    MC_TRY(mc_onnx_external_check(f, e.location, e.checksum, where));
    if (e.length >= 0 && (uint64_t)e.length != bytes)
        MC_FAIL(MCOMP_FORMAT, where, "the external data has %lld bytes; the shape needs %llu", (long long)e.length, (unsigned long long)bytes);
    if ((uint64_t)e.offset > mc_buffer_bytes(b) || bytes > mc_buffer_bytes(b) - (uint64_t)e.offset)
        MC_FAIL(MCOMP_FORMAT, where, "the external data at %lld ends beyond the %llu bytes of \"%s\"", (long long)e.offset,
                (unsigned long long)mc_buffer_bytes(b), e.location);
    MC_TRY(place(f, b, (uint64_t)e.offset, dtype, s, bytes, out));
done:
    return st;
}

/* One kind of data only; typed and raw ranges do not mix. */
static int32_t check_sources(const McOnnx__Tensor *p, const char *where, int external)
{
    for (size_t i = 3; i + 2 < p->n_mapped; i += 3)
        if (p->mapped[i] != p->mapped[0]) return mc_fail(MCOMP_FORMAT, where, "the tensor holds data of two kinds");
    if ((p->n_mapped > 0) + (p->n_string_data > 0) + external > 1) return mc_fail(MCOMP_FORMAT, where, "the tensor holds data of two kinds");
    return MCOMP_OK;
}

int32_t mc_onnx_tensor_in(mc_onnx_file *f, const McOnnx__Tensor *p, const char *where, mc_tensor **out)
{
    int32_t st = MCOMP_OK;
    mc_shape s = {0};
    uint64_t bytes;
    const int32_t dtype = p->data_type;
    const int external = p->data_location == 1;
    *out = NULL;
    if (dtype == MCOMP_UNDEFINED) MC_FAIL(MCOMP_FORMAT, where, "the tensor has no element type");
    if (dtype != MCOMP_STRING && mc_dtype_bits(dtype) == 0) MC_FAIL(MCOMP_DTYPE, where, "element type %d is not known", dtype);
    if (p->data_location != 0 && !external) MC_FAIL(MCOMP_FORMAT, where, "unknown data location %d", p->data_location);
    MC_TRY(read_shape(p, where, dtype, &s, &bytes));
    MC_TRY(check_sources(p, where, external));
    if (dtype == MCOMP_STRING) {
        if (p->n_mapped || external) MC_FAIL(MCOMP_FORMAT, where, "strings can only be stored in string_data");
        MC_TRY(from_strings(p, where, &s, out));
    } else if (external) {
        MC_TRY(from_external(f, p, where, dtype, &s, bytes, out));
    } else if (p->n_mapped == 0) {
        if (bytes || p->n_string_data) MC_FAIL(MCOMP_FORMAT, where, "the tensor has no data");
        MC_TRY(mc_tensor_create(out, dtype, &s));
    } else if (p->mapped[0] == F_RAW) {
        if (p->mapped[2] != bytes)
            MC_FAIL(MCOMP_FORMAT, where, "the tensor has %llu bytes of data; its shape needs %llu", (unsigned long long)p->mapped[2],
                    (unsigned long long)bytes);
        MC_TRY(place(f, f->buffer, p->mapped[1], dtype, &s, bytes, out));
    } else {
        MC_TRY(from_typed(f, p, where, dtype, &s, bytes, out));
    }
done:
    if (st != MCOMP_OK) {
        mc_tensor_destroy(*out);
        *out = NULL;
    }
    return st;
}
