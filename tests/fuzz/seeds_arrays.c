/* Small arrays in every form, put together here byte by byte. */
#include <stdio.h>
#include <zlib.h>

#include "base/base.h"
#include "fuzz/fuzz.h"

typedef struct bytes {
    uint8_t data[1024];
    size_t n;
} bytes;

static void put(bytes *b, const void *data, size_t n)
{
    memcpy(b->data + b->n, data, n);
    b->n += n;
}
static void le(bytes *b, uint64_t v, int n)
{
    for (int i = 0; i < n; i++) b->data[b->n++] = (uint8_t)(v >> (8 * i));
}

static void npy(bytes *b, const char *descr, const char *order, const char *shape, const void *data, size_t n)
{
    char head[128];
    const int len = snprintf(head, sizeof head, "{'descr': '%s', 'fortran_order': %s, 'shape': %s, }\n", descr, order, shape);
    put(b, "\x93NUMPY\x01\x00", 8);
    le(b, (uint64_t)len, 2);
    put(b, head, (size_t)len);
    put(b, data, n);
}

/* A zip archive of one member; deflated or stored. */
static void zip(bytes *b, const char *name, const bytes *member, int deflated)
{
    bytes packed = {.n = 0};
    const size_t start = b->n, k = strlen(name);
    const uint64_t crc = crc32_z(0, member->data, member->n);
    bytes copy = *member;
    z_stream z = {0};
    if (deflated && deflateInit2(&z, 9, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY) == Z_OK) {
        z.next_in = copy.data;
        z.avail_in = (uInt)copy.n;
        z.next_out = packed.data;
        z.avail_out = sizeof packed.data;
        (void)deflate(&z, Z_FINISH);
        packed.n = z.total_out;
        (void)deflateEnd(&z);
    } else {
        packed = copy;
    }
    le(b, 0x04034b50, 4), le(b, 0, 4), le(b, deflated ? 8 : 0, 2), le(b, 0, 4), le(b, crc, 4), le(b, packed.n, 4), le(b, copy.n, 4);
    le(b, k, 2), le(b, 0, 2);
    put(b, name, k);
    put(b, packed.data, packed.n);
    const size_t central = b->n;
    le(b, 0x02014b50, 4), le(b, 0, 6), le(b, deflated ? 8 : 0, 2), le(b, 0, 4), le(b, crc, 4), le(b, packed.n, 4), le(b, copy.n, 4);
    le(b, k, 2), le(b, 0, 8), le(b, 0, 4), le(b, 0, 4);
    put(b, name, k);
    const size_t end = b->n;
    le(b, 0x06054b50, 4), le(b, 0, 4), le(b, 1, 2), le(b, 1, 2), le(b, end - central, 4), le(b, central - start, 4), le(b, 0, 2);
}

void mc_fuzz_seeds(mc_fuzz_give give, void *payload)
{
    static const float v[8] = {1, 2, 3, 4, -5, 6.5f, 7, 8};
    static const uint32_t text[4] = {'a', 0, 0xe9, 0x1f600};
    static const struct {
        const char *descr, *order, *shape;
        const void *data;
        size_t n;
    } rows[] = {{"<f4", "False", "(2, 4)", v, 32}, {">i2", "True", "(2, 2, 4)", v, 32}, {"<U2", "False", "(2,)", text, 16}, {"|u1", "False", "()", v, 1}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (uint8_t mode = 0; mode < 9; mode = mode == 1 ? 7 : mode + 1) {
            bytes b = {.n = 0}, member = {.n = 0};
            if (mode > 1 && mode < 7) continue;
            b.data[b.n++] = mode;
            npy(&member, rows[i].descr, rows[i].order, rows[i].shape, rows[i].data, rows[i].n);
            if (mode == 0 || mode == 8) put(&b, member.data, member.n);
            else {
                bytes z = {.n = 0};
                zip(&z, "x.npy", &member, i % 2 == 0);
                put(&b, z.data, z.n);
            }
            give(payload, b.data, b.n);
        }
    give(payload, (const uint8_t *)"\2\0\0\10\2\0\0\0\2\0\0\0\2\1\2\3\4", 17);          /* IDX of bytes [2, 2] */
    give(payload, (const uint8_t *)"\2\0\0\15\1\0\0\0\1\77\200\0\0", 13);              /* IDX of one float */
    give(payload, (const uint8_t *)"\4float32:2,4\n0123456789abcdef0123456789abcdef", 45); /* raw */
    give(payload, (const uint8_t *)"\5\10\2\20\1\42\10\0\0\200\77\0\0\0\100B\1x", 18);    /* TensorProto with float_data */
    give(payload, (const uint8_t *)"\6idx:a,b@skip=3,limit=5,every=2,split=test", 43);
    give(payload, (const uint8_t *)"\6data/x.tsv.gz@label=a", 23);
}
