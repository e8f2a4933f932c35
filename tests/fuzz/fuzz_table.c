/* Text tables: the first byte chooses tsv, csv, jsonl or txt (also gzipped), with or without a selection; then every sample is
 * tokenized. Another form is a list of labels. */
#include "data/internal.h"
#include "fuzz/fuzz.h"
#include "fuzz/scratch.h"

static mcomp_graph *model(void)
{
    static mcomp_graph *g;
    mcomp_context *ctx;
    mcomp_context_options o;
    static const int64_t dims[2] = {-1, 8};
    if (g) return g;
    if (mcomp_context_options_init(&o, sizeof o) != MCOMP_OK) exit(2);
    o.threads = 1;
    if (mcomp_context_create(&ctx, &o) != MCOMP_OK || mcomp_graph_create(&g, ctx, "m", 13) != MCOMP_OK || mcomp_graph_add_input(g, "input_ids", MCOMP_I64, 2, dims, NULL) != MCOMP_OK ||
        mcomp_graph_add_input(g, "attention_mask", MCOMP_I64, 2, dims, NULL) != MCOMP_OK)
        exit(2);
    return g;
}

static void outcome(int32_t st)
{
    if (st > 0 || (st != MCOMP_OK && !mc_error_peek()->message[0])) __builtin_trap();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const endings[] = {".tsv", ".csv", ".jsonl", ".txt", ".tsv.gz", ".csv.gz", ".jsonl.gz", ".txt.gz"};
    const mcomp_dataset_options o = {.size = sizeof o, .tokenizer = "bytes"};
    mcomp_dataset *d = NULL;
    const mcomp_tensor *in[2];
    char argument[128];
    int64_t label;
    if (size == 0) return 0;
    mc_error_clear();
    if (data[0] % 32 == 31) {
        mc_labels l = {0};
        char *text = mc_strndup((const char *)data + 1, size - 1);
        if (text) outcome(mc_labels_parse(&l, text, "labels"));
        mc_free(text);
        mc_labels_free(&l);
        return 0;
    }
    snprintf(argument, sizeof argument, "%s%s", mc_scratch(endings[data[0] % 8], data + 1, size - 1), data[0] & 8 ? "@split=test" : "");
    const int32_t st = mcomp_dataset_open(&d, NULL, model(), argument, &o);
    outcome(st);
    for (int64_t i = 0; st == MCOMP_OK && i < 64 && i < mcomp_dataset_count(d); i++) outcome(mcomp_dataset_get(d, i, 2, in, &label));
    mcomp_dataset_destroy(d);
    return 0;
}
