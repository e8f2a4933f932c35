/* Calibration files. The checksum is put on here, or nothing behind it would ever be read. What loads is asked for all its
 * ranges, merged with itself, saved and loaded again. */
#include <mcomp/calibrator.h>

#include "base/base.h"
#include "fuzz/fuzz.h"
#include "fuzz/scratch.h"

static void use(mcomp_context *ctx, mcomp_calibrator *c)
{
    static const char *const rules[] = {"minmax", "average", "percentile", "kl", "mse"};
    mcomp_calibration_info info = {.size = sizeof info};
    mcomp_calibrator *again = NULL;
    if (mcomp_calibrator_info(c, &info) != MCOMP_OK) __builtin_trap();
    for (int64_t i = 0; i < info.tensors && i < 4; i++)
        for (int r = 0; r < 5; r++) {
            const char *name;
            double lo, hi;
            const int32_t st = mcomp_calibrator_range(c, i, rules[r], &name, &lo, &hi);
            if (st > 0 || (st == MCOMP_OK && (!(lo <= hi) || !name))) __builtin_trap();
        }
    char *path = mc_strdup(mc_scratch_path);
    if (!path) return;
    if (mcomp_calibrator_save(c, path, 1) != MCOMP_OK || mcomp_calibrator_load(&again, ctx, NULL, path) != MCOMP_OK) __builtin_trap(); /* we wrote it */
    (void)mcomp_calibrator_merge(c, again);
    mcomp_calibrator_destroy(again);
    mc_free(path);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static mcomp_context *ctx;
    mcomp_context_options o;
    mcomp_calibrator *c = NULL;
    mc_str file = {0};
    char hash[65];
    if (!ctx && (mcomp_context_options_init(&o, sizeof o) != MCOMP_OK || (o.threads = 1, mcomp_context_create(&ctx, &o)) != MCOMP_OK)) exit(2);
    if (mc_str_append_bytes(&file, data, size) != MCOMP_OK || mc_sha256_hex(data, size, hash) != MCOMP_OK || mc_str_append(&file, hash) != MCOMP_OK) exit(2);
    const int32_t st = mcomp_calibrator_load(&c, ctx, NULL, mc_scratch(".calib", (const uint8_t *)file.data, (size_t)file.len));
    if (st > 0 || (st != MCOMP_OK && (c || !mc_error_peek()->message[0]))) __builtin_trap();
    if (st == MCOMP_OK) use(ctx, c);
    mcomp_calibrator_destroy(c);
    mc_str_free(&file);
    return 0;
}
