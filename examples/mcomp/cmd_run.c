/* mcomp run: every sample of a dataset in order, outputs as .npy; or one ONNX test directory, compared. */
#include "cli.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int cli_run_onnx_test(cli *c, const mcomp_graph *g, const char *dir); /* onnx_test.c */

typedef struct collected { /* one output over all samples */
    uint8_t *bytes;
    uint64_t n_bytes, cap;
    int32_t dtype, rank;
    int64_t dims[MCOMP_MAX_RANK]; /* of the first sample */
    int64_t rows;                 /* joined length of axis 0 */
    int varies;                   /* shapes beyond axis 0 differ: one file a sample */
} collected;

/* "a/b" -> "a%2Fb": file name of an output. */
static void encode(char *out, size_t cap, const char *name)
{
    static const char hex[] = "0123456789ABCDEF";
    size_t o = 0;
    for (const unsigned char *p = (const unsigned char *)name; *p && o + 4 < cap; p++) {
        const int plain = (*p >= '0' && *p <= '9') || (*p >= 'A' && *p <= 'Z') || (*p >= 'a' && *p <= 'z') || strchr("-_.~", *p);
        if (plain && !(p == (const unsigned char *)name && *p == '.')) {
            out[o++] = (char)*p;
        } else {
            out[o++] = '%';
            out[o++] = hex[*p >> 4];
            out[o++] = hex[*p & 15];
        }
    }
    out[o] = 0;
}

static int save(cli *c, const mcomp_tensor *t, const char *dir, const char *name, int64_t sample, char *path, size_t cap)
{
    char file[512];
    encode(file, sizeof file, name);
    const int n = sample < 0 ? snprintf(path, cap, "%s/%s.npy", dir, file) : snprintf(path, cap, "%s/%s.%lld.npy", dir, file, (long long)sample);
    if (n < 0 || (size_t)n >= cap) return cli_fail(c, MCOMP_PATH, dir, "", "path too long");
    const int st = mcomp_tensor_save_npy(t, path, c->overwrite);
    return st == 0 ? 0 : cli_lib(c, st);
}

static int collect(cli *c, collected *o, const mcomp_tensor *t, int64_t sample)
{
    const int32_t rank = mcomp_tensor_rank(t);
    const int64_t *dims = mcomp_tensor_dims(t);
    const uint64_t n = mcomp_tensor_bytes(t);
    if (sample == 0) {
        o->dtype = mcomp_tensor_dtype(t);
        o->rank = rank;
        for (int32_t i = 0; i < rank; i++) o->dims[i] = dims[i];
    }
    if (rank != o->rank) o->varies = 1;
    for (int32_t i = 1; i < rank && !o->varies; i++) o->varies = dims[i] != o->dims[i];
    if (o->varies) return 0;
    if (o->n_bytes + n > o->cap) {
        o->cap = (o->n_bytes + n) * 2;
        uint8_t *more = realloc(o->bytes, o->cap);
        if (!more) return cli_fail(c, MCOMP_NO_MEMORY, "", "--out DIR with fewer samples", "no memory for the outputs");
        o->bytes = more;
    }
    memcpy(o->bytes + o->n_bytes, mcomp_tensor_data(t), n);
    o->n_bytes += n;
    o->rows += rank > 0 ? dims[0] : 1;
    return 0;
}

/* The first sample of another shape: what was joined so far goes to one file a run. */
static int split(cli *c, collected *o, const char *dir, const char *name, int64_t batch)
{
    int st = 0;
    char path[4096];
    mcomp_tensor *t = NULL;
    const int64_t per = o->rank > 0 ? o->dims[0] : 1, runs = o->n_bytes ? o->rows / per : 0;
    const uint64_t bytes = runs ? o->n_bytes / (uint64_t)runs : 0;
    for (int64_t i = 0; i < runs; i++) {
        CLI_LIB(mcomp_tensor_wrap(&t, o->dtype, o->rank, o->dims, o->bytes + (uint64_t)i * bytes, bytes, NULL, NULL));
        CLI_TRY(save(c, t, dir, name, i * batch, path, sizeof path));
        mcomp_tensor_destroy(t);
        t = NULL;
    }
    o->n_bytes = 0;
done:
    mcomp_tensor_destroy(t);
    return st;
}

static int finish_output(cli *c, collected *o, const char *name, const char *dir, json_t *list, int64_t samples)
{
    int st = 0;
    char path[4096] = "";
    mcomp_tensor *t = NULL;
    json_t *entry = json_object(), *shape = json_array();
    const int32_t rank = o->rank > 0 ? o->rank : samples > 1;
    cli_set(entry, "name", json_string(name));
    cli_set(entry, "dtype", json_string(mcomp_dtype_name(o->dtype)));
    o->dims[0] = o->rows;
    if (!o->varies) {
        for (int32_t i = 0; i < rank; i++) (void)json_array_append_new(shape, json_integer(o->dims[i]));
        cli_set(entry, "shape", shape);
    } else {
        json_decref(shape);
    }
    if (dir && !o->varies) {
        CLI_LIB(mcomp_tensor_wrap(&t, o->dtype, rank, o->dims, o->bytes, o->n_bytes, NULL, NULL));
        CLI_TRY(save(c, t, dir, name, -1, path, sizeof path));
    } else if (dir) {
        snprintf(path, sizeof path, "%s", dir);
    }
    if (dir) cli_set(entry, "path", json_string(path));
    cli_say(c, "%s %s%s%s\n", name, mcomp_dtype_name(o->dtype), dir ? " -> " : "", path);
done:
    mcomp_tensor_destroy(t);
    (void)json_array_append_new(list, entry);
    return st;
}

/* --carry OUT=IN pairs as indices. */
static int read_carry(cli *c, const mcomp_session *s, int32_t *from, int32_t *to, int *n)
{
    *n = 0;
    for (int i = 0; i < c->n_args; i++) {
        char out[256];
        if (strcmp(c->args[i].name, "carry") != 0) continue;
        const char *text = c->args[i].value, *eq = strrchr(text, '=');
        if (!eq || (size_t)(eq - text) >= sizeof out || *n >= 16) return cli_fail(c, MCOMP_ARGUMENT, text, "", "--carry takes OUT=IN, at most 16 times");
        memcpy(out, text, (size_t)(eq - text));
        out[eq - text] = 0;
        from[*n] = to[*n] = -1;
        for (int32_t k = 0; k < mcomp_session_n_outputs(s); k++)
            if (strcmp(mcomp_session_output_name(s, k), out) == 0) from[*n] = k;
        for (int32_t k = 0; k < mcomp_session_n_inputs(s); k++)
            if (strcmp(mcomp_session_input_name(s, k), eq + 1) == 0) to[*n] = k;
        if (from[*n] < 0 || to[*n] < 0)
            return cli_fail(c, MCOMP_ARGUMENT, text, "'mcomp inspect' lists inputs and outputs", "the model has no such %s", from[*n] < 0 ? "output" : "input");
        ++*n;
    }
    return 0;
}

static int copy_tensor(cli *c, mcomp_tensor **out, const mcomp_tensor *t)
{
    mcomp_tensor_destroy(*out);
    *out = NULL;
    const int st = mcomp_tensor_create(out, mcomp_tensor_dtype(t), mcomp_tensor_rank(t), mcomp_tensor_dims(t));
    if (st != 0) return cli_lib(c, st);
    memcpy(mcomp_tensor_data(*out), mcomp_tensor_data(t), (size_t)mcomp_tensor_bytes(t));
    return 0;
}

/* n samples side by side on axis 0. */
static int stack(cli *c, mcomp_dataset *d, int64_t first, int64_t n, int32_t n_in, mcomp_tensor **out)
{
    int st = 0;
    const mcomp_tensor *in[64];
    for (int64_t i = 0; i < n; i++) {
        CLI_LIB(mcomp_dataset_get(d, first + i, n_in, in, NULL));
        for (int32_t k = 0; k < n_in; k++) {
            int64_t dims[MCOMP_MAX_RANK];
            const int32_t rank = mcomp_tensor_rank(in[k]);
            const uint64_t bytes = mcomp_tensor_bytes(in[k]);
            for (int32_t a = 0; a < rank; a++) dims[a] = mcomp_tensor_dims(in[k])[a];
            if (n > 1 && (rank == 0 || dims[0] != 1)) return cli_fail(c, MCOMP_SHAPE, "--batch", "use --batch 1", "an input has no sample axis to stack");
            if (rank > 0) dims[0] *= n;
            if (i == 0) CLI_LIB(mcomp_tensor_create(&out[k], mcomp_tensor_dtype(in[k]), rank, dims));
            if (bytes * (uint64_t)n != mcomp_tensor_bytes(out[k])) return cli_fail(c, MCOMP_SHAPE, "--batch", "use --batch 1", "samples of one batch differ in shape");
            memcpy((uint8_t *)mcomp_tensor_data(out[k]) + (uint64_t)i * bytes, mcomp_tensor_data(in[k]), (size_t)bytes);
        }
    }
done:
    return st;
}

typedef struct runner {
    mcomp_session *s;
    mcomp_exec *e;
    mcomp_tensor *in[64], *state[16];
    int32_t from[16], to[16];
    int n_carry;
    collected *out;
    double ms;
} runner;

static int one_batch(cli *c, runner *r, mcomp_dataset *d, int64_t first, int64_t n, const char *dir)
{
    int st = 0;
    char path[4096];
    const mcomp_tensor *in[64], *o[64];
    const int32_t n_in = mcomp_session_n_inputs(r->s), n_out = mcomp_session_n_outputs(r->s);
    CLI_TRY(stack(c, d, first, n, n_in, r->in));
    for (int32_t k = 0; k < n_in; k++) in[k] = r->in[k];
    for (int k = 0; k < r->n_carry; k++)
        if (r->state[k]) in[r->to[k]] = r->state[k];
    const double start = cli_now_ms();
    st = mcomp_exec_run(r->e, n_in, in, n_out, o);
    if (st != 0) CLI_TRY(cli_lib_samples(c, st, first, n));
    r->ms += cli_now_ms() - start;
    for (int32_t k = 0; k < n_out; k++) {
        CLI_TRY(collect(c, &r->out[k], o[k], first));
        if (r->out[k].varies && dir) {
            CLI_TRY(split(c, &r->out[k], dir, mcomp_session_output_name(r->s, k), n));
            CLI_TRY(save(c, o[k], dir, mcomp_session_output_name(r->s, k), first, path, sizeof path));
        }
    }
    for (int k = 0; k < r->n_carry; k++) CLI_TRY(copy_tensor(c, &r->state[k], o[r->from[k]]));
done:
    for (int32_t k = 0; k < 64; k++) {
        mcomp_tensor_destroy(r->in[k]);
        r->in[k] = NULL;
    }
    return st;
}

static int run_data(cli *c, const mcomp_graph *g, const char *data, const char *dir)
{
    int st = 0;
    runner r = {0};
    mcomp_dataset *d = NULL;
    int64_t batch;
    json_t *list = json_array();
    int32_t n_out = 0;
    cli_set(c->root, "outputs", list);
    CLI_TRY(cli_i64(c, "batch", 1, 1, 65536, &batch));
    CLI_TRY(cli_dataset(c, g, data, &d));
    CLI_TRY(cli_session(c, g, 0, &r.s, &r.e));
    n_out = mcomp_session_n_outputs(r.s);
    if (mcomp_session_n_inputs(r.s) > 64 || n_out > 64) CLI_TRY(cli_fail(c, MCOMP_UNSUPPORTED, "", "", "more than 64 inputs or outputs"));
    CLI_TRY(read_carry(c, r.s, r.from, r.to, &r.n_carry));
    if (r.n_carry > 0 && batch > 1) CLI_TRY(cli_fail(c, MCOMP_ARGUMENT, "--batch", "", "--carry goes sample by sample"));
    for (int k = 0; k < r.n_carry; k++) CLI_TRY(cli_start_value(c, g, mcomp_session_input_name(r.s, r.to[k]), &r.state[k]));
    r.out = calloc((size_t)n_out + 1, sizeof *r.out);
    if (!r.out) CLI_TRY(cli_fail(c, MCOMP_NO_MEMORY, "", "", "no memory"));
    const int64_t n = mcomp_dataset_count(d);
    for (int64_t i = 0; i < n; i += batch) CLI_TRY(one_batch(c, &r, d, i, n - i < batch ? n - i : batch, dir));
    for (int32_t k = 0; k < n_out; k++) CLI_TRY(finish_output(c, &r.out[k], mcomp_session_output_name(r.s, k), dir, list, n));
    cli_set(c->root, "samples", json_integer(n));
    cli_set_real(c->root, "total_ms", r.ms);
    cli_say(c, "%lld samples in %.3f ms\n", (long long)n, r.ms);
done:
    for (int32_t k = 0; r.out && k < n_out; k++) free(r.out[k].bytes);
    free(r.out);
    for (int k = 0; k < r.n_carry; k++) mcomp_tensor_destroy(r.state[k]);
    mcomp_exec_destroy(r.e);
    mcomp_session_destroy(r.s);
    mcomp_dataset_destroy(d);
    return st;
}

static int run(cli *c)
{
    int st = 0;
    mcomp_graph *g = NULL;
    const char *dir = cli_str(c, "out", NULL), *data = cli_str(c, "data", NULL), *test = cli_str(c, "onnx-test", NULL);
    if (!data == !test) return cli_fail(c, MCOMP_ARGUMENT, "--data", c->verb->usage, "mcomp run needs --data DATA or --onnx-test DIR");
    if (dir && mkdir(dir, 0777) != 0 && errno != EEXIST) return cli_fail(c, MCOMP_PATH, dir, "", "cannot make this folder: %s", strerror(errno));
    CLI_TRY(cli_model(c, c->pos[0], &g));
    st = test ? cli_run_onnx_test(c, g, test) : run_data(c, g, data, dir);
done:
    mcomp_graph_destroy(g);
    return st;
}

static const cli_opt opts[] = {
    {"out", OPT_VALUE, "DIR  gets one .npy an output"},
    {"onnx-test", OPT_VALUE, "DIR  an ONNX test directory: runs and compares"},
    {"rtol", OPT_VALUE, "R  relative tolerance of --onnx-test (1e-3)"},
    {"atol", OPT_VALUE, "A  absolute tolerance of --onnx-test (1e-5)"},
    {"carry", OPT_MULTI, "OUT=IN  feeds an output back as an input of the next sample (the first: from the data, --set IN=VALUE, or zeros)"},
    {NULL, 0, NULL},
};
const cli_verb cli_run = {"run", "mcomp run MODEL --data DATA [--out DIR] | mcomp run MODEL --onnx-test DIR", "runs every sample in order", 1, 1, opts, run};
