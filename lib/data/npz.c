/* .npz: a zip archive of .npy members, stored or deflated. Read through the central directory; sizes are checked before
 * anything is allocated, members may not claim more than 1,032 times their packed size (deflate's own limit). */
#include "data/internal.h"

#include <zlib.h>

#define END_SIG 0x06054b50u
#define END64_SIG 0x06064b50u
#define LOC64_SIG 0x07064b50u
#define CENTRAL_SIG 0x02014b50u
#define LOCAL_SIG 0x04034b50u
#define MAX_MEMBERS 65536u

static uint64_t le(const uint8_t *p, int n)
{
    uint64_t v = 0;
    for (int i = n - 1; i >= 0; i--) v = v << 8 | p[i];
    return v;
}

typedef struct directory {
    uint64_t offset, bytes, members;
} directory;

static int32_t find_directory(const mc_mapping *m, directory *d, const char *path)
{
    const uint64_t lowest = m->bytes > 65557 ? m->bytes - 65557 : 0;
    for (uint64_t at = m->bytes >= 22 ? m->bytes - 22 + 1 : 0; at-- > lowest;) {
        const uint8_t *p = m->data + at;
        if (le(p, 4) != END_SIG) continue;
        *d = (directory){le(p + 16, 4), le(p + 12, 4), le(p + 10, 2)};
        if (at >= 20 && le(p - 20, 4) == LOC64_SIG) {
            const uint64_t e = le(p - 20 + 8, 8);
            if (e > m->bytes || m->bytes - e < 56 || le(m->data + e, 4) != END64_SIG) break;
            *d = (directory){le(m->data + e + 48, 8), le(m->data + e + 40, 8), le(m->data + e + 32, 8)};
        }
        if (d->offset > m->bytes || d->bytes > m->bytes - d->offset || d->members > MAX_MEMBERS) break;
        return MCOMP_OK;
    }
    return mc_fail(MCOMP_FORMAT, path, "not a zip archive (.npz), or truncated");
}

static int32_t inflate_member(uint8_t **out, const uint8_t *packed, uint64_t packed_bytes, uint64_t bytes, const char *path)
{
    z_stream z = {0};
    if (bytes > UINT32_MAX || packed_bytes > UINT32_MAX || bytes / 1032 > packed_bytes + 1)
        return mc_fail(MCOMP_LIMIT, path, "packed member claims %llu bytes", (unsigned long long)bytes);
    uint8_t *data = mc_malloc((size_t)bytes + 1);
    if (!data) return MCOMP_NO_MEMORY;
    z.next_in = (Bytef *)(uintptr_t)packed;
    z.avail_in = (uInt)packed_bytes;
    z.next_out = data;
    z.avail_out = (uInt)bytes;
    int r = inflateInit2(&z, -15);
    if (r == Z_OK) {
        r = inflate(&z, Z_FINISH);
        (void)inflateEnd(&z);
    }
    if (r != Z_STREAM_END || z.total_out != bytes) {
        mc_free(data);
        return mc_fail(MCOMP_FORMAT, path, "damaged member: it does not inflate to its size");
    }
    *out = data;
    return MCOMP_OK;
}

/* One entry of the central directory. */
static int32_t read_member(mc_arrays *out, const mc_mapping *m, const uint8_t *c, const char *path)
{
    int32_t st = MCOMP_OK;
    uint64_t packed = le(c + 20, 4), bytes = le(c + 24, 4), local = le(c + 42, 4);
    const uint64_t name_len = le(c + 28, 2), extra_len = le(c + 30, 2);
    const uint8_t *name = c + 46, *extra = name + name_len, *extra_end = extra + extra_len;
    const uint64_t method = le(c + 10, 2), flags = le(c + 8, 2);
    uint8_t *inflated = NULL;
    mc_tensor *t = NULL;
    for (; extra_end - extra >= 4; extra += 4 + le(extra + 2, 2)) { /* zip64 sizes */
        const uint8_t *v = extra + 4;
        const uint64_t n = le(extra + 2, 2);
        if (n > (uint64_t)(extra_end - v)) break;
        if (le(extra, 2) != 1) continue;
        const uint8_t *end = v + n;
        if (bytes == UINT32_MAX && end - v >= 8) bytes = le(v, 8), v += 8;
        if (packed == UINT32_MAX && end - v >= 8) packed = le(v, 8), v += 8;
        if (local == UINT32_MAX && end - v >= 8) local = le(v, 8);
    }
    if (flags & 1) MC_FAIL(MCOMP_UNSUPPORTED, path, "encrypted archives are not supported");
    if (local > m->bytes || m->bytes - local < 30 || le(m->data + local, 4) != LOCAL_SIG) MC_FAIL(MCOMP_FORMAT, path, "damaged archive: no local header");
    const uint64_t head = 30 + le(m->data + local + 26, 2) + le(m->data + local + 28, 2);
    if (head > m->bytes - local || packed > m->bytes - local - head) MC_FAIL(MCOMP_FORMAT, path, "damaged archive: a member runs past the end");
    const uint8_t *data = m->data + local + head;
    if (method == 8) {
        MC_TRY(inflate_member(&inflated, data, packed, bytes, path));
        data = inflated;
    } else if (method != 0 || packed != bytes) {
        MC_FAIL(MCOMP_FORMAT, path, "packing method %llu is not supported", (unsigned long long)method);
    }
    if ((uint64_t)crc32_z(0, data, (z_size_t)bytes) != le(c + 16, 4)) MC_FAIL(MCOMP_FORMAT, path, "damaged member: wrong checksum");
    MC_TRY(mc_npy_parse(&t, data, bytes, path));
    const size_t keep = name_len > 4 && memcmp(name + name_len - 4, ".npy", 4) == 0 ? (size_t)name_len - 4 : (size_t)name_len;
    st = mc_arrays_add(out, (const char *)name, keep, t);
done:
    mc_free(inflated);
    return st;
}

int32_t mc_npz_read(mc_arrays *out, const char *path)
{
    int32_t st = MCOMP_OK;
    mc_mapping m = {0};
    directory d = {0};
    MC_TRY(mc_file_map(path, &m));
    MC_TRY(find_directory(&m, &d, path));
    uint64_t at = d.offset;
    const uint64_t end = d.offset + d.bytes;
    for (uint64_t i = 0; i < d.members; i++) {
        const uint8_t *c = m.data + at;
        if (end - at < 46 || le(c, 4) != CENTRAL_SIG) MC_FAIL(MCOMP_FORMAT, path, "damaged archive: bad directory");
        const uint64_t entry = 46 + le(c + 28, 2) + le(c + 30, 2) + le(c + 32, 2);
        if (entry > end - at) MC_FAIL(MCOMP_FORMAT, path, "damaged archive: bad directory");
        MC_TRY(read_member(out, &m, c, path));
        at += entry;
    }
done:
    mc_file_unmap(&m);
    return st;
}

void mc_arrays_free(mc_arrays *a)
{
    for (int64_t i = 0; i < a->n; i++) {
        mc_free(a->list[i].name);
        mc_tensor_destroy(a->list[i].t);
    }
    mc_free(a->list);
    memset(a, 0, sizeof *a);
}

int32_t mc_arrays_add(mc_arrays *a, const char *name, size_t name_len, mc_tensor *t)
{
    int32_t st = mc_grow(&a->list, &a->cap, a->n + 1, sizeof *a->list);
    char *copy = st == MCOMP_OK ? mc_strndup(name, name_len) : NULL;
    if (!copy) {
        mc_tensor_destroy(t);
        return MCOMP_NO_MEMORY;
    }
    for (int64_t i = 0; i < a->n && st == MCOMP_OK; i++)
        if (strcmp(a->list[i].name, copy) == 0) st = mc_fail(MCOMP_FORMAT, copy, "the archive holds two arrays of this name");
    if (st != MCOMP_OK) {
        mc_free(copy);
        mc_tensor_destroy(t);
        return st;
    }
    a->list[a->n++] = (mc_array){copy, t};
    return MCOMP_OK;
}
