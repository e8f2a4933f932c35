/* IDX images and labels, raw bytes, and whole text files; all of them also gzipped (.gz). */
#include "data/internal.h"

#include <stdio.h>
#include <zlib.h>

int mc_path_ends(const char *path, const char *end, int gz)
{
    const size_t n = strlen(path), m = strlen(end);
    if (n >= m && memcmp(path + n - m, end, m) == 0) return 1;
    return gz && n >= m + 3 && memcmp(path + n - 3, ".gz", 3) == 0 && memcmp(path + n - 3 - m, end, m) == 0;
}

/* zlib's reader over a file that is known to be regular; plain files pass through it unchanged. */
static int32_t gunzip(const char *path, uint64_t max, mc_str *s)
{
    int32_t st = MCOMP_OK;
    static const unsigned block = 65536;
    mc_mapping probe = {0};
    gzFile f = NULL;
    char *buf = NULL;
    MC_TRY(mc_file_map(path, &probe)); /* refuses FIFOs, devices, folders */
    mc_file_unmap(&probe);
    buf = mc_malloc(block);
    if (!buf) MC_FAIL(MCOMP_NO_MEMORY, path, "no memory");
    f = gzopen(path, "rb");
    if (!f) MC_FAIL(MCOMP_IO, path, "cannot open");
    for (;;) {
        const int n = gzread(f, buf, block);
        if (n < 0) MC_FAIL(MCOMP_FORMAT, path, "damaged gzip data");
        if (n == 0) break;
        if ((uint64_t)s->len + (uint64_t)n > max) MC_FAIL(MCOMP_LIMIT, path, "unpacks to more than %llu bytes", (unsigned long long)max);
        MC_TRY(mc_str_append_bytes(s, buf, (size_t)n));
    }
    int err = Z_OK;
    (void)gzerror(f, &err);
    if (err != Z_OK) MC_FAIL(MCOMP_FORMAT, path, "truncated gzip data");
    MC_TRY(mc_str_append_bytes(s, "", 0));
done:
    if (f) (void)gzclose(f);
    mc_free(buf);
    return st;
}

int32_t mc_text_slurp(const char *path, uint64_t max, char **data, uint64_t *bytes)
{
    mc_str s = {0};
    if (!mc_path_ends(path, ".gz", 0)) return mc_file_read(path, max, data, bytes);
    const int32_t st = gunzip(path, max, &s);
    if (st != MCOMP_OK) {
        mc_str_free(&s);
        return st;
    }
    *data = s.data;
    *bytes = (uint64_t)s.len;
    return MCOMP_OK;
}

/* Magic 0 0 <type> <rank>, then big-endian 32-bit dims (the MNIST container). */
int32_t mc_idx_read(mc_tensor **out, const char *path)
{
    int32_t st = MCOMP_OK;
    static const int32_t types[] = {MCOMP_U8, MCOMP_I8, 0, MCOMP_I16, MCOMP_I32, MCOMP_F32, MCOMP_F64}; /* codes 8..14 */
    char *data = NULL;
    uint64_t bytes, need;
    mc_shape s = {0};
    *out = NULL;
    MC_TRY(mc_text_slurp(path, 1ull << 33, &data, &bytes));
    const uint8_t *p = (const uint8_t *)data;
    const int code = bytes >= 4 ? p[2] : 0;
    if (bytes < 4 || p[0] || p[1] || code < 8 || code > 14 || !types[code - 8]) MC_FAIL(MCOMP_FORMAT, path, "not an IDX file");
    s.rank = p[3];
    if (s.rank > MC_MAX_RANK || bytes < 4 + 4 * (uint64_t)s.rank) MC_FAIL(MCOMP_FORMAT, path, "IDX header is truncated");
    for (int32_t i = 0; i < s.rank; i++) {
        const uint8_t *q = p + 4 + 4 * i;
        s.dim[i] = (int64_t)((uint32_t)q[0] << 24 | (uint32_t)q[1] << 16 | (uint32_t)q[2] << 8 | q[3]);
    }
    const int32_t dtype = types[code - 8];
    const uint64_t head = 4 + 4 * (uint64_t)s.rank;
    MC_TRY(mc_size_bytes(dtype, &s, &need));
    if (need != bytes - head)
        MC_FAIL(MCOMP_FORMAT, path, "IDX header promises %llu bytes, the file holds %llu", (unsigned long long)need, (unsigned long long)(bytes - head));
    MC_TRY(mc_tensor_create(out, dtype, &s));
    const uint32_t width = (uint32_t)mc_dtype_bits(dtype) / 8;
    uint8_t *to = (*out)->data;
    for (uint64_t i = 0; i < need; i += width)
        for (uint32_t k = 0; k < width; k++) to[i + k] = p[head + i + width - 1 - k];
done:
    mc_free(data);
    return st;
}

int32_t mc_raw_read(mc_tensor **out, const char *spec)
{
    int32_t st = MCOMP_OK;
    char *copy = mc_strdup(spec), *data = NULL;
    uint64_t bytes, need;
    mc_shape s = {0};
    *out = NULL;
    if (!copy) return MCOMP_NO_MEMORY;
    char *shape = strrchr(copy, ':');
    if (shape) *shape++ = 0;
    char *type = shape ? strrchr(copy, ':') : NULL;
    if (!type) MC_FAIL(MCOMP_ARGUMENT, spec, "the raw form is raw:NAME=FILE:DTYPE:SHAPE, e.g. raw:x=a.bin:float32:10,3,8");
    *type++ = 0;
    const int32_t dtype = mc_dtype_from_name(type);
    if (mc_dtype_bits(dtype) < 8) MC_FAIL(MCOMP_DTYPE, type, "no such data type for raw bytes");
    for (char *save = NULL, *w = strtok_r(shape, ",x", &save); w; w = strtok_r(NULL, ",x", &save)) {
        if (s.rank >= MC_MAX_RANK || mc_parse_i64(w, &s.dim[s.rank]) != MCOMP_OK || s.dim[s.rank] < 0)
            MC_FAIL(MCOMP_ARGUMENT, spec, "\"%s\" is no axis length", w);
        s.rank++;
    }
    MC_TRY(mc_size_bytes(dtype, &s, &need));
    MC_TRY(mc_text_slurp(copy, 1ull << 33, &data, &bytes));
    if (bytes != need)
        MC_FAIL(MCOMP_DATA, copy, "the shape needs %llu bytes, the file holds %llu", (unsigned long long)need, (unsigned long long)bytes);
    MC_TRY(mc_tensor_create(out, dtype, &s));
    if (bytes) memcpy((*out)->data, data, bytes);
done:
    mc_free(data);
    mc_free(copy);
    return st;
}
