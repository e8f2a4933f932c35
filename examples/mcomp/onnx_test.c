/* One ONNX test directory: runs its data sets and compares with the expected outputs. Count, dtype and shape must match
 * exactly; NaN equals NaN; f16 and bf16 may differ by one unit in the last place. */
#include "cli.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

int cli_run_onnx_test(cli *c, const mcomp_graph *g, const char *dir);

static double half_value(uint16_t h, int bf16)
{
    if (bf16) {
        const uint32_t u = (uint32_t)h << 16;
        float f;
        memcpy(&f, &u, sizeof f);
        return (double)f;
    }
    const int e = h >> 10 & 31, m = h & 1023;
    const double v = e == 31 ? (m ? NAN : INFINITY) : e ? ldexp(1024 + m, e - 25) : ldexp(m, -24);
    return h & 0x8000 ? -v : v;
}

static double element(const mcomp_tensor *t, int64_t i)
{
    const void *p = mcomp_tensor_data(t);
    switch (mcomp_tensor_dtype(t)) {
    case MCOMP_F32: return (double)((const float *)p)[i];
    case MCOMP_F64: return ((const double *)p)[i];
    case MCOMP_I8: return ((const int8_t *)p)[i];
    case MCOMP_U8: case MCOMP_BOOL: return ((const uint8_t *)p)[i];
    case MCOMP_I16: return ((const int16_t *)p)[i];
    case MCOMP_U16: return ((const uint16_t *)p)[i];
    case MCOMP_I32: return ((const int32_t *)p)[i];
    case MCOMP_U32: return ((const uint32_t *)p)[i];
    case MCOMP_I64: return (double)((const int64_t *)p)[i];
    case MCOMP_U64: return (double)((const uint64_t *)p)[i];
    case MCOMP_F16: return half_value(((const uint16_t *)p)[i], 0);
    case MCOMP_BF16: return half_value(((const uint16_t *)p)[i], 1);
    default: return NAN;
    }
}

/* Distance of two 16-bit floats in representable steps. */
static int64_t ulps(uint16_t a, uint16_t b)
{
    const int32_t x = a & 0x8000 ? -(int32_t)(a & 0x7fff) : a, y = b & 0x8000 ? -(int32_t)(b & 0x7fff) : b;
    return llabs((long long)x - y);
}

typedef struct verdict {
    double max_abs, max_rel;
    int ok;
    const char *why;
} verdict;

static void compare(const mcomp_tensor *got, const mcomp_tensor *want, double rtol, double atol, verdict *v)
{
    *v = (verdict){0.0, 0.0, 1, ""};
    const int32_t dtype = mcomp_tensor_dtype(want), rank = mcomp_tensor_rank(want);
    if (mcomp_tensor_dtype(got) != dtype) v->ok = 0, v->why = "dtype";
    if (mcomp_tensor_rank(got) != rank) v->ok = 0, v->why = "shape";
    for (int32_t i = 0; v->ok && i < rank; i++)
        if (mcomp_tensor_dims(got)[i] != mcomp_tensor_dims(want)[i]) v->ok = 0, v->why = "shape";
    if (!v->ok) return;
    const int half = dtype == MCOMP_F16 || dtype == MCOMP_BF16;
    const int exact = dtype != MCOMP_F32 && dtype != MCOMP_F64 && !half;
    const int64_t n = mcomp_tensor_elements(want);
    if (dtype == MCOMP_STRING || dtype > MCOMP_BF16 || dtype == MCOMP_C64 || dtype == MCOMP_C128) { /* compared as bytes */
        v->ok = memcmp(mcomp_tensor_data(got), mcomp_tensor_data(want), (size_t)mcomp_tensor_bytes(want)) == 0;
        v->why = "values";
        return;
    }
    for (int64_t i = 0; i < n; i++) {
        const double x = element(got, i), y = element(want, i);
        if ((isnan(x) && isnan(y)) || x == y) continue;
        const double d = fabs(x - y), rel = d / (fabs(y) > 0 ? fabs(y) : 1.0);
        int fine = exact ? 0 : d <= atol + rtol * fabs(y);
        if (half) fine = fine || ulps(((const uint16_t *)mcomp_tensor_data(got))[i], ((const uint16_t *)mcomp_tensor_data(want))[i]) <= 1;
        if (exact && dtype != MCOMP_BOOL) fine = d <= atol + rtol * fabs(y);
        if (!(d <= v->max_abs)) v->max_abs = d;
        if (!(rel <= v->max_rel)) v->max_rel = rel;
        if (!fine) v->ok = 0, v->why = "values";
    }
}

int cli_run_onnx_test(cli *c, const mcomp_graph *g, const char *dir)
{
    int st = 0, all = 1;
    double rtol, atol;
    char *argument = NULL;
    mcomp_dataset *d = NULL;
    mcomp_session *s = NULL;
    mcomp_exec *e = NULL;
    const mcomp_tensor *in[64], *out[64], *want;
    json_t *list = json_array();
    cli_set(c->root, "outputs", list);
    CLI_TRY(cli_f64(c, "rtol", 1e-3, 0.0, 1e30, &rtol));
    CLI_TRY(cli_f64(c, "atol", 1e-5, 0.0, 1e30, &atol));
    argument = malloc(strlen(dir) + 16);
    if (!argument) return cli_fail(c, MCOMP_NO_MEMORY, "", "", "no memory");
    sprintf(argument, "onnx-test:%s", dir);
    CLI_TRY(cli_session(c, g, 0, &s, &e));
    CLI_TRY(cli_dataset(c, g, argument, &d));
    const int32_t n_in = mcomp_session_n_inputs(s), n_out = mcomp_session_n_outputs(s);
    if (n_in > 64 || n_out > 64) CLI_TRY(cli_fail(c, MCOMP_UNSUPPORTED, "", "", "more than 64 inputs or outputs"));
    for (int64_t i = 0; i < mcomp_dataset_count(d); i++) {
        CLI_LIB(mcomp_dataset_get(d, i, n_in, in, NULL));
        CLI_LIB(mcomp_exec_run(e, n_in, in, n_out, out));
        if (mcomp_dataset_expected(d, i, n_out, &want) == 0) CLI_TRY(cli_fail(c, MCOMP_DATA, dir, "", "the test expects more outputs than the model has"));
        for (int32_t k = 0; k < n_out; k++) {
            verdict v;
            CLI_LIB(mcomp_dataset_expected(d, i, k, &want));
            compare(out[k], want, rtol, atol, &v);
            all = all && v.ok;
            json_t *o = json_object();
            cli_set(o, "name", json_string(mcomp_session_output_name(s, k)));
            cli_set_real(o, "max_abs", v.max_abs);
            cli_set_real(o, "max_rel", v.max_rel);
            cli_set(o, "ok", json_boolean(v.ok));
            (void)json_array_append_new(list, o);
            cli_say(c, "%s %s max_abs %.3g max_rel %.3g %s\n", mcomp_session_output_name(s, k), v.ok ? "ok" : "MISMATCH", v.max_abs, v.max_rel, v.ok ? "" : v.why);
        }
    }
    cli_set(c->root, "ok", json_boolean(all));
    if (!all) st = cli_fail(c, MCOMP_MISMATCH, dir, "", "an output differs from what the test expects");
done:
    free(argument);
    mcomp_exec_destroy(e);
    mcomp_session_destroy(s);
    mcomp_dataset_destroy(d);
    return st;
}
