/* Calibrations of a small network, saved by the library; without the checksum, which the target puts on. */
#include <mcomp/calibrator.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/base.h"
#include "fuzz/fuzz.h"

static void check(int32_t st, const char *what)
{
    if (st == MCOMP_OK) return;
    fprintf(stderr, "seed: %s: %s: %s\n", what, mcomp_status_name(st), mc_error_peek()->message);
    exit(1);
}
#define CHECK(expr) check((expr), #expr)

void mc_fuzz_seeds(mc_fuzz_give give, void *payload)
{
    static const int64_t in[2] = {-1, 6}, weight[2] = {6, 3};
    static const char *const sum[2] = {"x", "w"}, *const y[1] = {"y"};
    mcomp_context *ctx;
    mcomp_context_options o;
    mcomp_graph *g;
    mcomp_tensor *w, *x;
    CHECK(mcomp_context_options_init(&o, sizeof o));
    o.threads = 1;
    CHECK(mcomp_context_create(&ctx, &o));
    CHECK(mcomp_graph_create(&g, ctx, "m", 13));
    CHECK(mcomp_graph_add_input(g, "x", MCOMP_F32, 2, in, NULL));
    CHECK(mcomp_tensor_create(&w, MCOMP_F32, 2, weight));
    for (int i = 0; i < 18; i++) ((float *)mcomp_tensor_data(w))[i] = (float)(i % 5) - 2.0f;
    CHECK(mcomp_graph_add_constant(g, "w", w));
    CHECK(mcomp_graph_add_node(g, "MatMul", "mm", 2, sum, 1, y));
    CHECK(mcomp_graph_add_output(g, "y"));
    CHECK(mcomp_graph_finish(g));
    for (int samples = 0; samples < 3; samples++) {
        mcomp_calibrator *c;
        char path[64], *data;
        uint64_t n;
        const int64_t one[2] = {1, 6};
        CHECK(mcomp_calibrator_create(&c, ctx, g));
        for (int s = 0; s < samples; s++) {
            CHECK(mcomp_tensor_create(&x, MCOMP_F32, 2, one));
            const mcomp_tensor *inputs[1] = {x};
            for (int i = 0; i < 6; i++) ((float *)mcomp_tensor_data(x))[i] = (float)(i * s) * 0.25f - 0.5f;
            CHECK(mcomp_calibrator_feed(c, 1, inputs, s));
            mcomp_tensor_destroy(x);
        }
        snprintf(path, sizeof path, "/tmp/mcomp-seed-%ld.calib", (long)getpid());
        CHECK(mcomp_calibrator_save(c, path, 1));
        CHECK(mc_file_read(path, 1 << 20, &data, &n));
        give(payload, (const uint8_t *)data, (size_t)n - 64);
        memset(data + 56, 0x7f, 8); /* more samples than can be added up */
        give(payload, (const uint8_t *)data, (size_t)n - 64);
        mc_free(data);
        (void)unlink(path);
        mcomp_calibrator_destroy(c);
    }
    mcomp_tensor_destroy(w);
    mcomp_graph_destroy(g);
    mcomp_context_destroy(ctx);
}
