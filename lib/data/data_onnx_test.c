/* ONNX test directories: DIR/input_k.pb and output_k.pb, or DIR/test_data_set_N/ with them; a data set is a sample. */
#include "data/internal.h"

#include <stdio.h>
#include <unistd.h>

#define MAX_SETS 4096

static int32_t load_all(mc_tensor ***list, int64_t *n, const char *dir, const char *kind, char names[][256], int64_t max_names)
{
    int32_t st = MCOMP_OK;
    char path[4096];
    int64_t cap = 0;
    for (int64_t k = 0;; k++) {
        mc_tensor *t = NULL;
        if (snprintf(path, sizeof path, "%s/%s_%lld.pb", dir, kind, (long long)k) >= (int)sizeof path)
            return mc_fail(MCOMP_PATH, dir, "path too long");
        if (access(path, F_OK) != 0) return MCOMP_OK;
        MC_TRY(mc_onnx_tensor_load(&t, path, names && k < max_names ? names[k] : NULL, 256));
        st = mc_grow(list, &cap, *n + 1, sizeof **list);
        if (st != MCOMP_OK) {
            mc_tensor_destroy(t);
            return st;
        }
        (*list)[(*n)++] = t;
    }
done:
    return st;
}

/* Tensors go to the input of their name, else by position. */
static int32_t load_case(mcomp_dataset *d, mc_onnx_case *c, const char *dir)
{
    int32_t st = MCOMP_OK;
    char names[64][256];
    mc_tensor **files = NULL;
    int64_t n = 0;
    memset(names, 0, sizeof names);
    c->in = mc_calloc((size_t)d->n_inputs + 1, sizeof *c->in);
    if (!c->in) return MCOMP_NO_MEMORY;
    c->n_in = d->n_inputs;
    MC_TRY(load_all(&files, &n, dir, "input", names, 64));
    for (int64_t k = 0; k < n; k++) {
        const int32_t named = k < 64 ? mc_dataset_input(d, names[k]) : -1;
        const int64_t at = named >= 0 ? named : k;
        if (at >= d->n_inputs || c->in[at]) MC_FAIL(MCOMP_DATA, dir, "input_%lld.pb belongs to no input of the model", (long long)k);
        c->in[at] = files[k];
        files[k] = NULL;
    }
    for (int64_t i = 0; i < d->n_inputs; i++) {
        if (!c->in[i]) MC_FAIL(MCOMP_DATA, dir, "no tensor for the model's input \"%s\"", d->input_names[i]);
        if (c->in[i]->dtype != d->input_types[i].dtype)
            MC_FAIL(MCOMP_DTYPE, d->input_names[i], "the test holds %s, the model takes %s", mc_dtype_name(c->in[i]->dtype), mc_dtype_name(d->input_types[i].dtype));
    }
    st = load_all(&c->out, &c->n_out, dir, "output", NULL, 0);
done:
    for (int64_t k = 0; k < n; k++) mc_tensor_destroy(files[k]);
    mc_free(files);
    return st;
}

int32_t mc_open_onnx_test(mcomp_dataset *d, const mc_data_request *r, int64_t *rows)
{
    int32_t st = MCOMP_OK;
    char path[4096];
    int64_t cap = 0;
    if (r->n_select > 0) return mc_fail(MCOMP_ARGUMENT, r->select[0].column, "an ONNX test directory has no columns");
    for (int64_t k = 0; k < MAX_SETS; k++) {
        snprintf(path, sizeof path, "%s/test_data_set_%lld", r->path, (long long)k);
        if (access(path, F_OK) != 0) {
            if (k > 0) break;
            snprintf(path, sizeof path, "%s", r->path);
            if (access(path, F_OK) != 0) MC_FAIL(MCOMP_PATH, r->path, "no such directory");
            k = MAX_SETS;
        }
        MC_TRY(mc_grow(&d->cases, &cap, d->n_cases + 1, sizeof *d->cases));
        memset(&d->cases[d->n_cases], 0, sizeof *d->cases);
        MC_TRY(load_case(d, &d->cases[d->n_cases++], path));
    }
    *rows = d->n_cases;
done:
    return st;
}

int32_t mc_sample_onnx_test(mcomp_dataset *d, int64_t row, mcomp_tensor **inputs)
{
    int32_t st = MCOMP_OK;
    for (int64_t i = 0; i < d->n_inputs; i++) {
        mc_tensor *t = NULL;
        MC_TRY(mc_tensor_share(&t, d->cases[row].in[i]));
        inputs[i] = (mcomp_tensor *)t;
    }
done:
    return st;
}
