/* Small text tables of every form, plain and gzipped. */
#include <zlib.h>

#include "base/base.h"
#include "fuzz/fuzz.h"

static size_t gz(uint8_t *out, size_t cap, const char *text)
{
    char copy[256];
    z_stream z = {0};
    const size_t n = strlen(text);
    memcpy(copy, text, n + 1);
    if (deflateInit2(&z, 9, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY) != Z_OK) return 0;
    z.next_in = (Bytef *)copy;
    z.avail_in = (uInt)n;
    z.next_out = out;
    z.avail_out = (uInt)cap;
    (void)deflate(&z, Z_FINISH);
    (void)deflateEnd(&z);
    return z.total_out;
}

void mc_fuzz_seeds(mc_fuzz_give give, void *payload)
{
    static const struct {
        uint8_t form;
        const char *text;
    } rows[] = {{0, "text\tlabel\none\t1\r\ntwo\t0\n"},
                {8, "split\tlabel\ttext\ntrain\tx\tone\ntest\ty\ttwo"},
                {1, "label,text\n1,\"a \"\"b\"\",\nc\"\n2,d\n"},
                {9, "\xef\xbb\xbfsplit,text\r\ntest,\"q\"\r\n"},
                {2, "{\"text\":\"q\",\"label\":3}\n\n{\"text\":\"r\",\"label\":4}\n"},
                {10, "{\"split\":\"test\",\"text\":\"\\u00e9\",\"label\":\"z\"}\n"},
                {3, "one\n\ntwo\r\nthree"},
                {31, "[\"a\",\"b\"]"},
                {31, "a\nb\nc\n"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        uint8_t b[512] = {rows[i].form};
        const size_t n = strlen(rows[i].text);
        memcpy(b + 1, rows[i].text, n);
        give(payload, b, n + 1);
        if (rows[i].form == 31) continue;
        b[0] = rows[i].form + 4;
        give(payload, b, 1 + gz(b + 1, sizeof b - 1, rows[i].text));
    }
}
