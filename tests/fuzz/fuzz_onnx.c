/* Any bytes: load (which upgrades and infers), clone, and now and then save and load again. Nothing may crash, leak or hang. */
#include <stdio.h>
#include <unistd.h>

#include "fuzz/fuzz.h"
#include "onnx/onnx.h"

static void save_and_load(const mc_graph *g)
{
    const mcomp_save_options o = {.size = sizeof o, .overwrite = 1};
    char path[64];
    mc_graph *b = NULL;
    snprintf(path, sizeof path, "/tmp/mcomp-fuzz-%ld.onnx", (long)getpid());
    if (mc_onnx_save(g, path, &o) == MCOMP_OK && mc_onnx_load(&b, NULL, path, NULL) != MCOMP_OK) __builtin_trap(); /* we wrote it */
    mc_graph_destroy(b);
    (void)unlink(path);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    mc_graph *g = NULL, *copy = NULL;
    mc_error_clear();
    const int32_t st = mc_onnx_load_memory(&g, NULL, data, size);
    if (st != MCOMP_OK) {
        if (g || st > 0 || !mc_error_peek()->message[0]) __builtin_trap(); /* a failure has a code and a reason */
        return 0;
    }
    if (mc_graph_validate(g) != MCOMP_OK || mc_graph_clone(&copy, g) != MCOMP_OK) __builtin_trap();
    if (mc_hash64(data, size, 1) % 32 == 0) save_and_load(copy);
    mc_graph_destroy(copy);
    mc_graph_destroy(g);
    return 0;
}
