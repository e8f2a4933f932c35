/* mcomp bench: one or several models, paired and interleaved, with the peak loops of the machine before and after. */
#include "cli.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_MODELS 16

typedef struct cold { /* measured in a process of its own */
    double load_ms, first_ms;
    uint64_t peak_rss;
    int ok;
} cold;

/* ---- inputs without data: --shape NAME=1,128; integers and masks 1, a fixed float pattern ---- */

static const char *shape_of(const cli *c, const char *name)
{
    const size_t n = strlen(name);
    for (int i = 0; i < c->n_args; i++)
        if (strcmp(c->args[i].name, "shape") == 0 && strncmp(c->args[i].value, name, n) == 0 && c->args[i].value[n] == '=') return c->args[i].value + n + 1;
    return NULL;
}

static int check_shapes(cli *c, const mcomp_graph *g)
{
    for (int i = 0; i < c->n_args; i++) {
        int found = 0;
        const char *v = c->args[i].value, *eq = strchr(v, '=');
        if (strcmp(c->args[i].name, "shape") != 0) continue;
        for (int32_t k = 0; eq && !found; k++) {
            mcomp_port_info p = {.size = sizeof p};
            if (mcomp_graph_input(g, k, &p) != 0) break;
            found = strlen(p.name) == (size_t)(eq - v) && strncmp(p.name, v, (size_t)(eq - v)) == 0;
        }
        if (!found) return cli_fail(c, MCOMP_ARGUMENT, v, "--shape NAME=1,128 with a name that 'mcomp inspect' lists", "no such input");
    }
    return 0;
}

/* Length that --shape of another input gives to the symbolic axis 'symbol'; 0: none does. */
static int64_t length_of(const cli *c, const mcomp_graph *g, const char *symbol)
{
    for (int32_t k = 0; symbol; k++) {
        mcomp_port_info p = {.size = sizeof p};
        if (mcomp_graph_input(g, k, &p) != 0) break;
        const char *s = shape_of(c, p.name);
        for (int32_t a = 0; s && a < p.rank; a++) {
            if (p.symbols[a] && strcmp(p.symbols[a], symbol) == 0) return strtoll(s, NULL, 10);
            s = strchr(s, ',');
            if (s) s++;
        }
    }
    return 0;
}

static void fill(mcomp_tensor *t)
{
    void *p = mcomp_tensor_data(t);
    const int64_t n = mcomp_tensor_elements(t);
    for (int64_t i = 0; i < n; i++) {
        const double v = (double)((uint32_t)(i * 2654435761u) >> 16) / 32768.0 - 1.0;
        switch (mcomp_tensor_dtype(t)) {
        case MCOMP_F32: ((float *)p)[i] = (float)v; break;
        case MCOMP_F64: ((double *)p)[i] = v; break;
        case MCOMP_I64: ((int64_t *)p)[i] = 1; break;
        case MCOMP_I32: ((int32_t *)p)[i] = 1; break;
        case MCOMP_U8: case MCOMP_I8: case MCOMP_BOOL: ((uint8_t *)p)[i] = 1; break;
        default: break;
        }
    }
}

static int made_up(cli *c, const mcomp_graph *g, mcomp_tensor ****out, int64_t *n, int32_t *n_in)
{
    int st = 0;
    mcomp_graph_info i = {.size = sizeof i};
    CLI_TRY(check_shapes(c, g));
    CLI_LIB(mcomp_graph_info_get(g, &i));
    *n_in = i.n_inputs;
    *out = calloc(2, sizeof **out);
    if (!*out || !((*out)[0] = calloc((size_t)i.n_inputs + 1, sizeof ***out))) return cli_fail(c, MCOMP_NO_MEMORY, "", "", "no memory");
    *n = 1;
    for (int32_t k = 0; k < i.n_inputs; k++) {
        int64_t dims[MCOMP_MAX_RANK];
        int32_t rank = 0;
        mcomp_port_info p = {.size = sizeof p};
        CLI_LIB(mcomp_graph_input(g, k, &p));
        const char *text = shape_of(c, p.name);
        for (const char *s = text; s; s = strchr(s, ',') ? strchr(s, ',') + 1 : NULL) {
            if (rank >= MCOMP_MAX_RANK) break;
            dims[rank++] = strtoll(s, NULL, 10);
        }
        if (!text)
            for (rank = 0; rank < p.rank; rank++) {
                const int64_t known = p.dims[rank] < 0 ? length_of(c, g, p.symbols[rank]) : p.dims[rank];
                if (known < 1 && p.dims[rank] < 0 && rank > 0)
                    CLI_TRY(cli_fail(c, MCOMP_ARGUMENT, p.name, "--shape NAME=1,128, or --data DATA", "axis %d of this input is free: which length?", rank));
                dims[rank] = known < 1 && p.dims[rank] < 0 ? 1 : known;
            }
        for (int32_t a = 0; a < rank; a++)
            if (dims[a] < 1 || rank != p.rank || (p.dims[a] >= 0 && p.dims[a] != dims[a])) CLI_TRY(cli_fail(c, MCOMP_SHAPE, p.name, "", "--shape does not fit the model's input"));
        CLI_LIB(mcomp_tensor_create(&(*out)[0][k], p.dtype, rank, dims));
        fill((*out)[0][k]);
    }
done:
    return st;
}

static int samples_for(cli *c, const mcomp_graph *g, mcomp_tensor ****out, int64_t *n, int32_t *n_in)
{
    int st = 0;
    mcomp_dataset *d = NULL;
    mcomp_graph_info i = {.size = sizeof i};
    const char *data = cli_str(c, "data", NULL);
    if (!data) return made_up(c, g, out, n, n_in);
    CLI_LIB(mcomp_graph_info_get(g, &i));
    *n_in = i.n_inputs;
    CLI_TRY(cli_dataset(c, g, data, &d));
    st = cli_samples(c, d, i.n_inputs, 16, out, n);
done:
    mcomp_dataset_destroy(d);
    return st;
}

/* ---- cold start, in a child: nothing of ours runs before the fork but the context ---- */

static void child(cli *c, const char *path, int fd)
{
    cold r = {0};
    mcomp_graph *g = NULL;
    mcomp_session *s = NULL;
    mcomp_exec *e = NULL;
    mcomp_tensor ***samples = NULL;
    const mcomp_tensor *out[64];
    int64_t n = 0;
    int32_t n_in = 0;
    c->quiet = 1;
    const double start = cli_now_ms();
    if (cli_model(c, path, &g) == 0 && cli_session(c, g, 0, &s, &e) == 0) {
        r.load_ms = cli_now_ms() - start;
        if (samples_for(c, g, &samples, &n, &n_in) == 0 && n > 0 && mcomp_session_n_outputs(s) <= 64) {
            const double first = cli_now_ms();
            r.ok = mcomp_exec_run(e, n_in, (const mcomp_tensor *const *)samples[0], mcomp_session_n_outputs(s), out) == 0;
            r.first_ms = cli_now_ms() - first;
            for (int i = 0; r.ok && i < 3; i++) r.ok = mcomp_exec_run(e, n_in, (const mcomp_tensor *const *)samples[0], mcomp_session_n_outputs(s), out) == 0;
        }
    }
    r.peak_rss = cli_peak_rss();
    const ssize_t put = write(fd, &r, sizeof r);
    _exit(put == (ssize_t)sizeof r ? 0 : 1);
}

static cold measure_cold(cli *c, const char *path)
{
    cold r = {0};
    int fd[2], status;
    fflush(stdout);
    fflush(stderr);
    if (pipe(fd) != 0) return r;
    const pid_t pid = fork();
    if (pid == 0) {
        close(fd[0]);
        child(c, path, fd[1]);
    }
    close(fd[1]);
    if (pid > 0) {
        if (read(fd[0], &r, sizeof r) != (ssize_t)sizeof r) r.ok = 0;
        (void)waitpid(pid, &status, 0);
    }
    close(fd[0]);
    return r;
}

/* ---- results ---- */

static void kernels(cli *c, const cli_timed *m)
{
    int32_t n = 0;
    json_t *list = json_array();
    cli_set(c->root, "kernels", list);
    if (mcomp_exec_kernel_count(m->e, &n) != 0) return;
    for (int32_t i = 0; i < n; i++) {
        mcomp_kernel_info k = {.size = sizeof k};
        if (mcomp_exec_kernel(m->e, i, &k) != 0) continue;
        json_t *o = json_pack("{s:s,s:s,s:s,s:s,s:s}", "node", k.node, "op", k.op, "backend", k.backend, "kernel", k.kernel, "dtype", k.dtype);
        if (!o) continue;
        if (k.time_us > 0) cli_set_real(o, "us", k.time_us);
        (void)json_array_append_new(list, o);
        if (cli_has(c, "explain"))
            cli_say(c, "  %9.2f us  %-28s %-8s %-26s %s  [%s]\n", k.time_us, k.op, k.backend, k.kernel, k.node, k.why);
    }
}

static json_t *model_json(cli *c, const cli_timed *m, const char *path, const cold *r)
{
    char size[32];
    mcomp_plan_info plan = {.size = sizeof plan};
    json_t *o = json_object();
    const double p50 = cli_quantile(m->ms, m->n, 0.5);
    double sum = 0.0;
    for (int64_t i = 0; i < m->n; i++) sum += m->ms[i];
    cli_set(o, "path", json_string(path));
    cli_set(o, "bytes", json_integer((json_int_t)cli_model_bytes(m->g)));
    cli_set_real(o, "p50_ms", p50);
    cli_set_real(o, "p90_ms", cli_quantile(m->ms, m->n, 0.9));
    cli_set_real(o, "p99_ms", cli_quantile(m->ms, m->n, 0.99));
    cli_set_real(o, "per_second", 1e3 * (double)m->n / sum);
    cli_set(o, "runs", json_integer(m->n));
    if (r->ok) {
        cli_set(o, "peak_rss_bytes", json_integer((json_int_t)r->peak_rss));
        cli_set_real(o, "load_ms", r->load_ms);
        cli_set_real(o, "first_ms", r->first_ms);
    }
    if (mcomp_exec_plan_info(m->e, &plan) == 0 && plan.macs > 0) cli_set_real(o, "integer_macs_ratio", plan.integer_macs / plan.macs);
    cli_say(c, "%-40s %10s  p50 %.4f ms  p90 %.4f  p99 %.4f  first %.2f  load %.2f  integer MACs %.3f\n", path,
            cli_human_bytes(size, sizeof size, (double)cli_model_bytes(m->g)), p50, cli_quantile(m->ms, m->n, 0.9), cli_quantile(m->ms, m->n, 0.99), r->first_ms,
            r->load_ms, plan.macs > 0 ? plan.integer_macs / plan.macs : 0.0);
    return o;
}

static json_t *witness_json(double f0, double i0, double f1, double i1)
{
    return json_pack("{s:f,s:f,s:f,s:f}", "f32_gmacs_per_core_before", f0, "f32_gmacs_per_core_after", f1, "int8_gmacs_per_core_before", i0, "int8_gmacs_per_core_after", i1);
}

static int run(cli *c)
{
    int st = 0, n = c->n_pos;
    int64_t runs, n_samples = 0;
    int32_t n_in = 0;
    double seconds, f0, i0, f1, i1;
    cli_timed m[MAX_MODELS] = {{0}};
    mcomp_graph *g[MAX_MODELS] = {NULL};
    cold r[MAX_MODELS];
    mcomp_tensor ***samples = NULL;
    json_t *models = json_array(), *ratios = json_array();
    cli_set(c->root, "models", models);
    cli_set(c->root, "ratios", ratios);
    if (n > MAX_MODELS) return cli_fail(c, MCOMP_ARGUMENT, "", "", "at most %d models", MAX_MODELS);
    CLI_TRY(cli_i64(c, "runs", 0, 1, 10000000, &runs));
    CLI_TRY(cli_f64(c, "seconds", runs ? 1e9 : 3.0, 0.0, 1e9, &seconds));
    for (int k = 0; k < n; k++) r[k] = measure_cold(c, c->pos[k]);
    for (int k = 0; k < n; k++) {
        CLI_TRY(cli_model(c, c->pos[k], &g[k]));
        m[k].g = g[k];
        CLI_TRY(cli_session(c, g[k], cli_has(c, "explain"), &m[k].s, &m[k].e));
    }
    CLI_TRY(samples_for(c, g[0], &samples, &n_samples, &n_in));
    cli_witness(&f0, &i0);
    CLI_TRY(cli_time_models(c, m, n, n_samples, (const mcomp_tensor *const *const *)samples, n_in, runs ? runs : 10000000, seconds));
    cli_witness(&f1, &i1);
    for (int k = 0; k < n; k++) (void)json_array_append_new(models, model_json(c, &m[k], c->pos[k], &r[k]));
    for (int k = 1; k < n; k++) {
        double ratio, lo, hi;
        cli_ratio(&m[0], &m[k], &ratio, &lo, &hi);
        json_t *o = json_pack("{s:s,s:s,s:f}", "of", c->pos[k], "over", c->pos[0], "p50_ratio", ratio);
        cli_set(o, "ci95", cli_interval(lo, hi));
        (void)json_array_append_new(ratios, o);
        cli_say(c, "%s is %.3fx as fast as %s (95 %% interval %.3f to %.3f)\n", c->pos[k], ratio, c->pos[0], lo, hi);
    }
    cli_set(c->root, "witness", witness_json(f0, i0, f1, i1));
    cli_say(c, "peak loops, one core, GMAC/s before/after: f32 %.1f/%.1f, int8 %.1f/%.1f\n", f0, f1, i0, i1);
    kernels(c, &m[n - 1]);
done:
    cli_samples_free(samples, n_samples, n_in);
    for (int k = 0; k < n && k < MAX_MODELS; k++) {
        free(m[k].ms);
        mcomp_exec_destroy(m[k].e);
        mcomp_session_destroy(m[k].s);
        mcomp_graph_destroy(g[k]);
    }
    return st;
}

static const cli_opt opts[] = {
    {"shape", OPT_MULTI, "NAME=1,128  shape of an input when there is no --data"},
    {"runs", OPT_VALUE, "N  runs a model"},
    {"seconds", OPT_VALUE, "S  time for all (default 3)"},
    {"explain", OPT_FLAG, "every node of the last model: backend, kernel, why, time"},
    {NULL, 0, NULL},
};
const cli_verb cli_bench = {"bench", "mcomp bench MODEL [MODEL2 ...]", "paired and interleaved timing with the machine's peak beside it", 1, MAX_MODELS, opts, run};
