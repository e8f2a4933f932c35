/* Runs of several verbs, small, each with an expression that fits. */
#include <string.h>

#include "fuzz/fuzz.h"

void mc_fuzz_seeds(mc_fuzz_give give, void *payload)
{
    static const char *const seeds[] = {
        ("accuracy < 0.88 or size_ratio<4\n"
        "{\"command\":\"compress\",\"argv\":[\"a\",\"b c\"],\"recipe\":{\"text\":\"a: <b>\\n\"},\"data\":{\"t\":{\"path\":\"x\",\"samples\":2}},\"stages\":[{\"name\":\"t\",\"metric\":{\"name\":\"accuracy\","
        "\"value\":0.9,\"ci95\":[0.8,1.0],\"n\":9},\"bytes\":400,\"p50_ms\":2,\"operators\":[{\"op\":\"MatMul\",\"count\":1,\"us\":3}]},{\"name\":\"q\",\"what\":\"</td>\",\"metric\":{\"name\":"
        "\"accuracy\",\"value\":0.8},\"bytes\":100,\"p50_ms\":1,\"curve\":[{\"epoch\":1,\"loss\":2,\"metric\":0.1},{\"epoch\":2,\"loss\":1,\"metric\":0.2}],\"layers\":[{\"node\":\"n\",\"sparsity\":0.5,"
        "\"dtype\":\"int8\"}]}],\"target\":{\"met\":true,\"max_drop\":{\"limit\":0.1,\"value\":0.1,\"met\":false}},\"trials\":[{\"id\":1,\"choices\":{\"a\":1},\"met\":true,\"value\":3}]}"),
        ("not (p50_ms > 1.1 * run1.p50_ms) and before.bytes == 40\n{\"command\":\"quantize\",\"before\":{\"bytes\":40,\"p50_ms\":2},\"after\":{\"bytes\":10,\"p50_ms\":1},\"agreement_ratio\":0.9,"
        "\"kept_float\":[{\"node\":\"n\",\"why\":\"w\"}],\"warnings\":[{\"code\":\"C\",\"node\":\"\",\"text\":\"<script>\"}]}"),
        "stages[0].bytes >= 1 kB\n{\"models\":[{\"path\":\"a\",\"bytes\":3,\"p50_ms\":1}],\"ratios\":[{\"of\":\"b\",\"over\":\"a\",\"p50_ratio\":2}],\"kernels\":[{\"op\":\"Conv\",\"us\":2}]}",
        "saving_percent > 1\n{\"cost\":{\"monthly_cost\":{\"before\":2,\"after\":1},\"saving_percent\":50,\"advice\":[{\"text\":\"t\"}]}}",
        "drop < 2%\n{\"teacher\":{\"metric\":{\"name\":\"mse\",\"value\":1}},\"student\":{\"metric\":{\"name\":\"mse\",\"value\":2}},\"control\":{\"bytes\":1}}",
    };
    for (size_t i = 0; i < sizeof seeds / sizeof *seeds; i++) give(payload, (const uint8_t *)seeds[i], strlen(seeds[i]));
}
