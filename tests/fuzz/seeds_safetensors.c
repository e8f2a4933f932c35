/* Files of the format, good and bad, and indexes. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz/fuzz.h"

#define T(name, dtype, shape, from, to) "\"" name "\":{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":[" from "," to "]}"

static const struct {
    const char *header;
    size_t data;
} files[] = {
    {"{}", 0},
    {"{" T("a", "F32", "[2]", "0", "8") "}", 8},
    {"{\"__metadata__\":{\"format\":\"pt\",\"a\":\"\"}," T("b", "BF16", "[2,3]", "0", "12") "," T("a", "I64", "[]", "12", "20") "}   ", 20},
    {"{" T("b", "U8", "[1]", "8", "9") "," T("a", "F64", "[1,1]", "0", "8") "," T("c", "BOOL", "[0,5]", "9", "9") "}", 9},
    {"{" T("\\u00e9\\\"\\n", "I16", "[1,1,1,1,1,1,1,2]", "0", "4") "}", 4},
    {"{" T("a", "F16", "[4]", "0", "8") "," T("b", "U64", "[2]", "8", "24") "," T("c", "I8", "[3]", "24", "27") "," T("d", "U16", "[1]", "27", "29") "}", 29},
    {"{" T("a", "F8_E4M3", "[2]", "0", "2") "}", 2},
    {"{" T("a", "F32", "[2]", "0", "8") "," T("a", "F32", "[2]", "8", "16") "}", 16},
    {"{" T("a", "F32", "[4611686018427387904,4]", "0", "0") "}", 0},
    {"{" T("a", "F32", "[2]", "0", "8") "," T("b", "F32", "[2]", "4", "12") "}", 12},
    {"{\"a\":[[[[[[[[[[", 0},
    {"{\"x\":{\"shape\":[1e400],\"dtype\":\"F32\",\"data_offsets\":[-0,1.5]}}", 8},
};
static const char *const indexes[] = {
    "{\"weight_map\":{}}",
    "{\"metadata\":{\"total_size\":8},\"weight_map\":{\"a\":\"model-00001-of-00002.safetensors\",\"b\":\"../x\"}}",
    "{\"weight_map\":{\"a\":\"/etc/passwd\"}}",
    "{\"weight_map\":{\"a\":\"x\\u0000y\"}}",
};

void mc_fuzz_seeds(mc_fuzz_give give, void *payload)
{
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        const size_t n = strlen(files[i].header), size = 8 + n + files[i].data;
        uint8_t *b = calloc(size, 1);
        if (!b) return;
        for (int k = 0; k < 8; k++) b[k] = (uint8_t)((uint64_t)n >> 8 * k);
        memcpy(b + 8, files[i].header, n);
        for (size_t k = 0; k < files[i].data; k++) b[8 + n + k] = (uint8_t)(17 * k);
        give(payload, b, size);
        free(b);
    }
    for (size_t i = 0; i < sizeof indexes / sizeof *indexes; i++) give(payload, (const uint8_t *)indexes[i], strlen(indexes[i]));
}
