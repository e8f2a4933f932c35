/* .npy arrays (numpy format versions 1 to 3; Fortran order is turned into C order) in and out. Header: "\x93NUMPY", version, little-endian length, a Python
 * dict literal with the keys descr, fortran_order and shape. */
#include "data/internal.h"

#include <stdio.h>

#define MAGIC "\x93NUMPY"
#define MAX_HEADER 65536u

typedef struct npy_header {
    char descr[32];
    int32_t fortran;
    mc_shape shape;
} npy_header;

static const char *skip_space(const char *p)
{
    while (*p == ' ' || *p == '\n' || *p == '\t') p++;
    return p;
}

/* Value of 'key' in the dict text, or NULL. */
static const char *dict_value(const char *dict, const char *key)
{
    char quoted[32];
    snprintf(quoted, sizeof quoted, "'%s'", key);
    const char *p = strstr(dict, quoted);
    if (!p) return NULL;
    p = skip_space(p + strlen(quoted));
    return *p == ':' ? skip_space(p + 1) : NULL;
}

static int parse_shape(const char *p, mc_shape *s)
{
    s->rank = 0;
    if (*p++ != '(') return 0;
    for (;;) {
        p = skip_space(p);
        if (*p == ')') return 1;
        int64_t v = 0;
        int digits = 0;
        for (; *p >= '0' && *p <= '9'; p++, digits++)
            if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, *p - '0', &v)) return 0;
        if (*p == 'L') p++;
        if (digits == 0 || s->rank >= MC_MAX_RANK) return 0;
        s->dim[s->rank++] = v;
        p = skip_space(p);
        if (*p == ',') p++;
        else if (*p != ')') return 0;
    }
}

static int32_t parse_dict(const char *dict, npy_header *h, const char *where)
{
    const char *descr = dict_value(dict, "descr"), *order = dict_value(dict, "fortran_order"), *shape = dict_value(dict, "shape");
    if (!descr || *descr != '\'' || !order || !shape) return mc_fail(MCOMP_FORMAT, where, "not a numpy array: the header lacks descr, fortran_order or shape");
    const char *end = strchr(descr + 1, '\'');
    const size_t n = end ? (size_t)(end - descr - 1) : sizeof h->descr;
    if (n >= sizeof h->descr) return mc_fail(MCOMP_FORMAT, where, "numpy header: bad descr");
    memcpy(h->descr, descr + 1, n);
    h->descr[n] = 0;
    h->fortran = strncmp(order, "True", 4) == 0;
    if (!parse_shape(shape, &h->shape)) return mc_fail(MCOMP_FORMAT, where, "numpy header: bad shape (at most %d axes)", MC_MAX_RANK);
    return MCOMP_OK;
}

static int utf8_put(uint32_t c, char *p)
{
    if (c < 0x80) return p[0] = (char)c, 1;
    if (c < 0x800) return p[0] = (char)(0xc0 | c >> 6), p[1] = (char)(0x80 | (c & 63)), 2;
    if (c < 0x10000) return p[0] = (char)(0xe0 | c >> 12), p[1] = (char)(0x80 | (c >> 6 & 63)), p[2] = (char)(0x80 | (c & 63)), 3;
    p[0] = (char)(0xf0 | c >> 18), p[1] = (char)(0x80 | (c >> 12 & 63)), p[2] = (char)(0x80 | (c >> 6 & 63)), p[3] = (char)(0x80 | (c & 63));
    return 4;
}

/* "<U7" arrays: fixed-width UCS-4, padded with NUL. One block holds the pointers and then the UTF-8 text. */
static int32_t parse_unicode(mc_tensor **out, const npy_header *h, int64_t width, const uint8_t *data, uint64_t bytes, const char *where)
{
    int32_t st = MCOMP_OK;
    int64_t n = 0;
    uint64_t need, block;
    mc_tensor *t = NULL;
    MC_TRY(mc_shape_elements(&h->shape, &n));
    if (width < 0 || width > 4096 || __builtin_mul_overflow((uint64_t)n, (uint64_t)width * 4, &need) || need != bytes ||
        __builtin_mul_overflow((uint64_t)n, (uint64_t)width * 4 + 1 + sizeof(char *), &block))
        MC_FAIL(MCOMP_FORMAT, where, "string array of %llu bytes does not fill its shape", (unsigned long long)bytes);
    t = mc_calloc(1, sizeof *t);
    if (!t || !(t->buffer = mc_buffer_alloc(block ? block : 1))) MC_FAIL(MCOMP_NO_MEMORY, where, "no memory for a string array");
    t->dtype = MCOMP_STRING;
    t->shape = h->shape;
    t->data = mc_buffer_data(t->buffer);
    char **list = t->data, *text = (char *)(list + n);
    for (int64_t i = 0; i < n; i++) {
        list[i] = text;
        for (int64_t k = 0; k < width; k++, data += 4) {
            const uint32_t c = (uint32_t)data[0] | (uint32_t)data[1] << 8 | (uint32_t)data[2] << 16 | (uint32_t)data[3] << 24;
            if (c > 0x10ffff) MC_FAIL(MCOMP_FORMAT, where, "string element %lld is not Unicode", (long long)i);
            if (c) text += utf8_put(c, text);
        }
        *text++ = 0;
    }
    *out = t;
    return MCOMP_OK;
done:
    mc_tensor_destroy(t);
    return st;
}

static void swap_bytes(uint8_t *p, uint64_t bytes, uint32_t width)
{
    for (uint64_t i = 0; i + width <= bytes; i += width)
        for (uint32_t k = 0; k < width / 2; k++) {
            const uint8_t b = p[i + k];
            p[i + k] = p[i + width - 1 - k];
            p[i + width - 1 - k] = b;
        }
}

/* Fortran order: the first axis runs fastest in the file. 'index' counts in C order, 'from' is the element's place in the file. */
static void to_c_order(mc_tensor *t, const uint8_t *data)
{
    const mc_shape *s = &t->shape;
    const uint64_t width = (uint64_t)mc_dtype_bits(t->dtype) / 8;
    int64_t index[MC_MAX_RANK] = {0}, stride[MC_MAX_RANK], from = 0;
    stride[0] = 1;
    for (int32_t a = 1; a < s->rank; a++) stride[a] = stride[a - 1] * s->dim[a - 1];
    const int64_t n = mc_tensor_elements(t);
    for (int64_t i = 0; i < n; i++) {
        memcpy((uint8_t *)t->data + (uint64_t)i * width, data + (uint64_t)from * width, width);
        for (int32_t a = s->rank - 1; a >= 0; a--) {
            from += stride[a];
            if (++index[a] < s->dim[a]) break;
            from -= stride[a] * s->dim[a];
            index[a] = 0;
        }
    }
}

static int32_t parse_body(mc_tensor **out, npy_header *h, const uint8_t *data, uint64_t bytes, const char *where)
{
    int32_t st = MCOMP_OK;
    uint64_t need;
    int64_t width;
    mc_tensor *t = NULL;
    const int big = h->descr[0] == '>';
    const int fortran = h->fortran && h->shape.rank > 1;
    if (!fortran && h->descr[0] == '<' && h->descr[1] == 'U' && mc_parse_i64(h->descr + 2, &width) == MCOMP_OK)
        return parse_unicode(out, h, width, data, bytes, where);
    if (big) h->descr[0] = '<';
    const int32_t dtype = mc_dtype_from_name(h->descr);
    if (dtype == MCOMP_UNDEFINED) MC_FAIL(MCOMP_DTYPE, where, "numpy type \"%s\" is not supported", h->descr);
    MC_TRY(mc_size_bytes(dtype, &h->shape, &need));
    if (need != bytes)
        MC_FAIL(MCOMP_FORMAT, where, "the shape needs %llu bytes, the file holds %llu", (unsigned long long)need, (unsigned long long)bytes);
    MC_TRY(mc_tensor_create(&t, dtype, &h->shape));
    if (bytes && fortran) to_c_order(t, data);
    else if (bytes) memcpy(t->data, data, bytes);
    if (big) swap_bytes(t->data, bytes, (uint32_t)mc_dtype_bits(dtype) / 8);
    *out = t;
    return MCOMP_OK;
done:
    mc_tensor_destroy(t);
    return st;
}

int32_t mc_npy_parse(mc_tensor **out, const uint8_t *data, uint64_t bytes, const char *where)
{
    int32_t st = MCOMP_OK;
    npy_header h;
    char *dict = NULL;
    uint64_t at = 10, n;
    *out = NULL;
    if (bytes < 12 || memcmp(data, MAGIC, 6) != 0) return mc_fail(MCOMP_FORMAT, where, "not a numpy array (.npy)");
    if (data[6] < 1 || data[6] > 3) return mc_fail(MCOMP_FORMAT, where, "numpy format version %d is not known", data[6]);
    n = (uint64_t)data[8] | (uint64_t)data[9] << 8;
    if (data[6] > 1) {
        n |= (uint64_t)data[10] << 16 | (uint64_t)data[11] << 24;
        at = 12;
    }
    if (n > MAX_HEADER || n > bytes - at) return mc_fail(MCOMP_FORMAT, where, "numpy header of %llu bytes does not fit the file", (unsigned long long)n);
    dict = mc_strndup((const char *)data + at, (size_t)n);
    if (!dict) return MCOMP_NO_MEMORY;
    MC_TRY(parse_dict(dict, &h, where));
    MC_TRY(parse_body(out, &h, data + at + n, bytes - at - n, where));
done:
    mc_free(dict);
    return st;
}

/* ---- public ---- */

int32_t mcomp_tensor_load_npy(mcomp_tensor **out, const char *path)
{
    mc_mapping m = {0};
    mc_tensor *t = NULL;
    MC_API_ENTER();
    MC_CHECK_ARG(1, out, "out", "is NULL");
    MC_CHECK_ARG(2, path, "path", "is NULL");
    *out = NULL;
    int32_t st = mc_file_map(path, &m);
    if (st == MCOMP_OK) st = mc_npy_parse(&t, m.data, m.bytes, path);
    mc_file_unmap(&m);
    *out = (mcomp_tensor *)(void *)t;
    return st;
}

/* numpy's name of a dtype, NULL where numpy has none. */
static const char *descr_of(int32_t dtype)
{
    static const struct {
        int32_t dtype;
        const char *descr;
    } table[] = {{MCOMP_F32, "<f4"}, {MCOMP_F64, "<f8"}, {MCOMP_F16, "<f2"}, {MCOMP_I8, "|i1"}, {MCOMP_U8, "|u1"},
                 {MCOMP_I16, "<i2"}, {MCOMP_U16, "<u2"}, {MCOMP_I32, "<i4"}, {MCOMP_U32, "<u4"}, {MCOMP_I64, "<i8"},
                 {MCOMP_U64, "<u8"}, {MCOMP_BOOL, "|b1"}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (table[i].dtype == dtype) return table[i].descr;
    return NULL;
}

/* The numpy type that holds every value of a type that numpy lacks (bfloat16, 8-bit floats, sub-byte integers). */
static int32_t widened(mc_tensor **out, const mc_tensor *x, const char *path)
{
    int32_t st = MCOMP_OK;
    int32_t to = MCOMP_UNDEFINED;
    mc_tensor *t = NULL;
    switch (x->dtype) {
    case MCOMP_U4: case MCOMP_U2: to = MCOMP_U8; break;
    case MCOMP_I4: case MCOMP_I2: to = MCOMP_I8; break;
    case MCOMP_STRING: case MCOMP_UNDEFINED: case MCOMP_C64: case MCOMP_C128: break;
    default: to = MCOMP_F32; break;
    }
    if (to == MCOMP_UNDEFINED) MC_FAIL(MCOMP_DTYPE, path, "numpy has no type for %s", mc_dtype_name(x->dtype));
    MC_TRY(mc_tensor_create(&t, to, &x->shape));
    const int64_t n = mc_tensor_elements(x);
    for (int64_t i = 0; i < n; i++) mc_tensor_set_f64(t, i, mc_tensor_get_f64(x, i));
    *out = t;
    return MCOMP_OK;
done:
    mc_tensor_destroy(t);
    return st;
}

int32_t mcomp_tensor_save_npy(const mcomp_tensor *t, const char *path, int32_t overwrite)
{
    int32_t st = MCOMP_OK;
    mc_writer *w = NULL;
    mc_str dict = {0};
    mc_tensor *wide = NULL;
    MC_API_ENTER();
    MC_CHECK_ARG(1, t, "t", "is NULL");
    MC_CHECK_ARG(2, path, "path", "is NULL");
    const mc_tensor *x = &t->t;
    const char *descr = descr_of(x->dtype);
    if (!descr) {
        MC_TRY(widened(&wide, x, path));
        x = wide;
        descr = descr_of(x->dtype);
    }
    MC_TRY(mc_str_appendf(&dict, "{'descr': '%s', 'fortran_order': False, 'shape': (", descr));
    for (int32_t i = 0; i < x->shape.rank; i++) MC_TRY(mc_str_appendf(&dict, i ? ", %lld" : "%lld", (long long)x->shape.dim[i]));
    MC_TRY(mc_str_append(&dict, x->shape.rank == 1 ? ",), }" : "), }"));
    while ((dict.len + 11) % 64 != 0) MC_TRY(mc_str_append(&dict, " "));
    MC_TRY(mc_str_append(&dict, "\n"));
    const uint8_t head[10] = {0x93, 'N', 'U', 'M', 'P', 'Y', 1, 0, (uint8_t)(dict.len & 255), (uint8_t)(dict.len >> 8)};
    MC_TRY(mc_writer_open(&w, path, overwrite));
    MC_TRY(mc_writer_write(w, head, sizeof head));
    MC_TRY(mc_writer_write(w, dict.data, (uint64_t)dict.len));
    MC_TRY(mc_writer_write(w, x->data, mc_tensor_bytes(x)));
    st = mc_writer_commit(w);
    w = NULL;
done:
    mc_writer_abort(w);
    mc_str_free(&dict);
    mc_tensor_destroy(wide);
    return st;
}
