/* A model over a dataset: the chosen output of every sample as rows of floats, with labels. Samples may be stacked (--batch)
 * where the model's first axis is free. */
#include "cli.h"

#include <stdlib.h>
#include <string.h>

int64_t cli_argmax(const float *v, int64_t n)
{
    int64_t best = 0;
    for (int64_t i = 1; i < n; i++)
        if (v[i] > v[best]) best = i;
    return best;
}

int64_t cli_class(const cli_rows *r, int64_t i)
{
    const float *v = r->v + i * r->width;
    return r->width > 1 ? cli_argmax(v, r->width) : v[0] > 0.5f;
}

void cli_rows_free(cli_rows *r)
{
    free(r->v);
    free(r->label);
    memset(r, 0, sizeof *r);
}

static int take_output(cli *c, cli_rows *r, const mcomp_tensor *t, int64_t sample, int64_t label)
{
    const int32_t dtype = mcomp_tensor_dtype(t), rank = mcomp_tensor_rank(t);
    const int64_t n = mcomp_tensor_elements(t), width = rank > 0 ? mcomp_tensor_dims(t)[rank - 1] : 1;
    if (dtype != MCOMP_F32 && dtype != MCOMP_F64 && dtype != MCOMP_I64)
        return cli_fail(c, MCOMP_DTYPE, "output", "--output NAME picks another one", "an output of %s cannot be compared", mcomp_dtype_name(dtype));
    if (width < 1 || n < 1) return cli_fail(c, MCOMP_SHAPE, "output", "", "sample %lld gave an empty output", (long long)sample);
    if (r->width && r->width != width) return cli_fail(c, MCOMP_SHAPE, "output", "", "the last axis of the output varies between samples");
    const int64_t rows = n / width;
    if ((r->n + rows) > (INT64_C(1) << 30) / width)
        return cli_fail(c, MCOMP_LIMIT, "output", "--limit N takes the first N samples", "%lld rows of %lld numbers are more than is kept", (long long)(r->n + rows), (long long)width);
    float *v = realloc(r->v, sizeof *v * (size_t)((r->n + rows) * width));
    if (v) r->v = v;
    int64_t *l = realloc(r->label, sizeof *l * (size_t)(r->n + rows));
    if (l) r->label = l;
    if (!v || !l) return cli_fail(c, MCOMP_NO_MEMORY, "", "", "no memory for the outputs");
    r->width = width;
    const void *p = mcomp_tensor_data(t);
    for (int64_t i = 0; i < n; i++)
        v[r->n * width + i] = dtype == MCOMP_F32 ? ((const float *)p)[i] : dtype == MCOMP_F64 ? (float)((const double *)p)[i] : (float)((const int64_t *)p)[i];
    for (int64_t i = 0; i < rows; i++) l[r->n + i] = label;
    r->n += rows;
    return 0;
}

int cli_next_token(const cli *c) { return strcmp(cli_str(c, "objective", "classify"), "next-token") == 0; }

/* The labels of the last sample's rows. */
static int take_targets(cli *c, mcomp_dataset *d, cli_rows *r, int64_t sample, int64_t rows)
{
    int st = 0;
    if (!cli_next_token(c)) return 0;
    CLI_LIB(mcomp_dataset_targets(d, sample, rows, r->label + r->n - rows));
done:
    return st;
}

int cli_predict(cli *c, const mcomp_graph *g, mcomp_dataset *d, cli_rows *out)
{
    int st = 0;
    mcomp_session *s = NULL;
    mcomp_exec *e = NULL;
    const mcomp_tensor *in[64], *o[64];
    int32_t which;
    int64_t label;
    memset(out, 0, sizeof *out);
    CLI_TRY(cli_session(c, g, 0, &s, &e));
    const int32_t n_in = mcomp_session_n_inputs(s), n_out = mcomp_session_n_outputs(s);
    if (n_in > 64 || n_out > 64) CLI_TRY(cli_fail(c, MCOMP_UNSUPPORTED, "", "", "more than 64 inputs or outputs"));
    CLI_TRY(cli_logits(c, s, &which));
    out->samples = mcomp_dataset_count(d);
    for (int64_t i = 0; i < out->samples; i++) {
        CLI_LIB(mcomp_dataset_get(d, i, n_in, in, &label));
        st = mcomp_exec_run(e, n_in, in, n_out, o);
        if (st != 0) CLI_TRY(cli_lib_samples(c, st, i, 1));
        const int64_t before = out->n;
        CLI_TRY(take_output(c, out, o[which], i, label));
        CLI_TRY(take_targets(c, d, out, i, out->n - before));
    }
done:
    mcomp_exec_destroy(e);
    mcomp_session_destroy(s);
    if (st != 0) cli_rows_free(out);
    return st;
}
