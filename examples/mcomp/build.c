/* --build SPEC: what the description leaves open (classes, vocabulary, the size of the input) is read from the data. */
#include "cli.h"

#include <string.h>

/* A graph whose only input takes whatever the data hold. */
static int probe_graph(cli *c, int text, mcomp_graph **g)
{
    int st = 0;
    const int64_t dims[] = {-1, -1};
    const char *symbols[] = {"batch", "sequence"}, *in = "input", *out = "same";
    *g = NULL;
    CLI_LIB(mcomp_graph_create(g, c->ctx, "probe", 20));
    if (text) in = "input_ids";
    CLI_LIB(mcomp_graph_add_input(*g, in, text ? MCOMP_I64 : MCOMP_F32, text ? 2 : -1, dims, symbols));
    CLI_LIB(mcomp_graph_add_node(*g, "Identity", "same", 1, &in, 1, &out));
    CLI_LIB(mcomp_graph_add_output(*g, out));
    CLI_LIB(mcomp_graph_finish(*g));
done:
    return st;
}

/* [1, C, H, W], [1, H, W] or [1, N] of one sample. */
static int sample_size(cli *c, mcomp_dataset *d, mcomp_build_options *o)
{
    int st = 0;
    const mcomp_tensor *x = NULL;
    int64_t label = 0;
    CLI_LIB(mcomp_dataset_get(d, 0, 1, &x, &label));
    const int32_t rank = mcomp_tensor_rank(x);
    if (rank == 2) {
        o->features = mcomp_tensor_dims(x)[1];
    } else if (rank == 3 || rank == 4) {
        o->image[0] = rank == 4 ? mcomp_tensor_dims(x)[1] : 1;
        o->image[1] = mcomp_tensor_dims(x)[rank - 2];
        o->image[2] = mcomp_tensor_dims(x)[rank - 1];
    } else {
        st = cli_fail(c, MCOMP_SHAPE, "--build", "images are [n, channels, height, width], rows of numbers [n, features]", "samples of rank %d cannot be built for", rank);
    }
done:
    return st;
}

/* Names the data know, or the highest label. */
static int class_count(cli *c, mcomp_dataset *d, mcomp_build_options *o)
{
    int st = 0;
    const mcomp_tensor *in[1];
    while (mcomp_dataset_label_name(d, o->classes)) o->classes++;
    if (o->classes > 0 || !mcomp_dataset_has_labels(d)) return 0;
    for (int64_t i = 0; i < mcomp_dataset_count(d); i++) {
        int64_t label = -1;
        CLI_LIB(mcomp_dataset_get(d, i, 1, in, &label));
        if (label >= o->classes) o->classes = label + 1;
    }
done:
    return st;
}

/* The tokenizer that the data went through decides on the size of the embedding. */
static int vocabulary(cli *c, const char *objective, mcomp_build_options *o)
{
    int st = 0;
    CLI_TRY(cli_i64(c, "max-length", 128, 1, 1 << 20, &o->length));
    o->tokens = objective && strcmp(objective, "mlm") == 0;
    if (!c->tokenizer) return 0; /* vocab=N says it, or the error of the builder */
    const int64_t pad = mcomp_tokenizer_pad_id(c->tokenizer);
    o->vocab = mcomp_tokenizer_count(c->tokenizer);
    o->pad = pad < 0 ? 0 : pad;
done:
    return st;
}

int cli_built_model(cli *c, const char *spec, const char *data, int64_t classes, mcomp_graph **out)
{
    int st = 0;
    int32_t text = 0;
    int64_t seed = 0;
    mcomp_graph *probe = NULL;
    mcomp_dataset *d = NULL;
    mcomp_build_options o;
    *out = NULL;
    CLI_LIB(mcomp_build_options_init(&o, sizeof o));
    CLI_TRY(cli_i64(c, "seed", 0, 0, INT64_MAX, &seed));
    const char *objective = cli_str(c, "objective", NULL);
    o.seed = (uint64_t)seed;
    o.classes = classes;
    CLI_LIB(mcomp_build_is_text(spec, &text));
    if (data) {
        CLI_TRY(probe_graph(c, text, &probe));
        CLI_TRY(cli_dataset(c, probe, data, &d));
        if (mcomp_dataset_count(d) < 1) CLI_TRY(cli_fail(c, MCOMP_DATA, data, "", "there are no samples"));
        if (!classes && (!objective || strcmp(objective, "classify") == 0)) CLI_TRY(class_count(c, d, &o));
        if (!text) CLI_TRY(sample_size(c, d, &o));
    }
    if (text) CLI_TRY(vocabulary(c, objective, &o));
    CLI_LIB(mcomp_graph_build(out, c->ctx, spec, &o));
done:
    mcomp_dataset_destroy(d);
    mcomp_graph_destroy(probe);
    return st;
}
