/* Steps that several verbs take: context, model with --set, dataset, session. */
#include "cli.h"

#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

double cli_now_ms(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

uint64_t cli_peak_rss(void)
{
    struct rusage u;
    return getrusage(RUSAGE_SELF, &u) == 0 ? (uint64_t)u.ru_maxrss * 1024u : 0;
}

const char *cli_human_bytes(char *buf, size_t cap, double bytes)
{
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB"};
    int u = 0;
    for (; bytes >= 1000.0 && u < 4; u++) bytes /= 1000.0;
    snprintf(buf, cap, u == 0 ? "%.0f %s" : "%.2f %s", bytes, units[u]);
    return buf;
}

static int32_t on_progress(void *payload, const char *stage, double fraction)
{
    cli *c = payload;
    const int64_t now = (int64_t)cli_now_ms();
    const int new_stage = !c->last_stage || strcmp(c->last_stage, stage) != 0, done = fraction >= 1.0;
    if (c->progress == 0 || c->own_progress || (!new_stage && !done && now - c->last_report_ms < (c->progress == 1 ? 10000 : 200))) return 0;
    c->last_report_ms = now;
    c->last_stage = stage;
    if (c->progress == 2) fprintf(stderr, fraction < 0 ? "{\"stage\":\"%s\"}\n" : "{\"stage\":\"%s\",\"fraction\":%.4f}\n", stage, fraction);
    else if (c->progress == 1 || fraction < 0) fprintf(stderr, fraction < 0 ? "%s\n" : "%s %.0f %%\n", stage, fraction * 100.0);
    else fprintf(stderr, done ? "\r%s 100 %%\n" : "\r%s %.0f %%  ", stage, fraction * 100.0);
    return 0;
}

static void on_log(void *payload, int32_t level, const char *text)
{
    const cli *c = payload;
    if (c->verbose || level == 0) fprintf(stderr, "%s\n", text);
}

int cli_context(cli *c)
{
    int st = 0;
    int64_t threads, seed;
    mcomp_context_options o;
    if (c->progress == 3) c->progress = isatty(2) ? 3 : 0;
    if (c->quiet) c->progress = 0;
    CLI_TRY(cli_i64(c, "threads", 0, 0, 256, &threads));
    CLI_TRY(cli_i64(c, "seed", 0, 0, INT64_MAX, &seed));
    CLI_LIB(mcomp_context_options_init(&o, sizeof o));
    o.threads = (int32_t)threads;
    o.backend = cli_str(c, "backend", NULL);
    o.progress = on_progress;
    o.progress_payload = c;
    o.log = on_log;
    o.log_payload = c;
    CLI_LIB(mcomp_context_create(&c->ctx, &o));
    if (o.backend && strcmp(o.backend, "cuda") == 0)
        st = cli_fail(c, MCOMP_NO_BACKEND, "cuda", "'mcomp doctor' lists the backends", "there is no cuda backend in this version");
done:
    return st;
}

/* The declared type of a graph input. */
static int find_input(const mcomp_graph *g, const char *name, mcomp_port_info *p)
{
    for (int32_t i = 0;; i++) {
        p->size = sizeof *p;
        if (mcomp_graph_input(g, i, p) != 0) return 0;
        if (strcmp(p->name, name) == 0) return 1;
    }
}

static int put_number(mcomp_tensor *t, const char *text)
{
    char *end;
    void *p = mcomp_tensor_data(t);
    if (mcomp_tensor_dtype(t) == MCOMP_F32 || mcomp_tensor_dtype(t) == MCOMP_F64) {
        const double v = strtod(text, &end);
        if (!*text || *end) return 0;
        if (mcomp_tensor_dtype(t) == MCOMP_F32) *(float *)p = (float)v;
        else *(double *)p = v;
        return 1;
    }
    const long long v = strtoll(text, &end, 10);
    if (!*text || *end) return 0;
    switch (mcomp_tensor_dtype(t)) {
    case MCOMP_I64: *(int64_t *)p = v; return 1;
    case MCOMP_I32: return *(int32_t *)p = (int32_t)v, v >= INT32_MIN && v <= INT32_MAX;
    case MCOMP_U8: return *(uint8_t *)p = (uint8_t)v, v >= 0 && v <= 255;
    case MCOMP_I8: return *(int8_t *)p = (int8_t)v, v >= -128 && v <= 127;
    case MCOMP_BOOL: return *(uint8_t *)p = (uint8_t)v, v == 0 || v == 1;
    default: return 0;
    }
}

/* The tensor of --set NAME=VALUE: a number for every element of an input; a free axis has length 1. */
static int set_tensor(cli *c, const mcomp_graph *g, const char *name, const char *value, mcomp_tensor **out)
{
    int st = 0;
    mcomp_port_info p;
    mcomp_tensor *t = NULL;
    int64_t dims[MCOMP_MAX_RANK];
    if (!find_input(g, name, &p)) return cli_fail(c, MCOMP_ARGUMENT, name, "'mcomp inspect' lists the inputs", "the model has no input \"%.100s\"", name);
    for (int32_t i = 0; i < p.rank; i++) dims[i] = p.dims[i] < 0 ? 1 : p.dims[i];
    CLI_LIB(mcomp_tensor_create(&t, p.dtype, p.rank < 0 ? 0 : p.rank, dims));
    const int64_t n = mcomp_tensor_elements(t);
    if (n < 1) CLI_TRY(cli_fail(c, MCOMP_SHAPE, name, "", "--set: the input has no elements"));
    if (!put_number(t, value)) CLI_TRY(cli_fail(c, MCOMP_ARGUMENT, name, "", "\"%.60s\" is no %s", value, mcomp_dtype_name(p.dtype)));
    const uint64_t width = mcomp_tensor_bytes(t) / (uint64_t)n;
    for (int64_t i = 1; i < n; i++) memcpy((uint8_t *)mcomp_tensor_data(t) + (uint64_t)i * width, mcomp_tensor_data(t), (size_t)width);
    *out = t;
    t = NULL;
done:
    mcomp_tensor_destroy(t);
    return st;
}

/* The input that an argument --carry OUT=IN feeds; NULL: it is another argument. */
static const char *carries_to(const cli_arg *a)
{
    const char *eq = strcmp(a->name, "carry") == 0 ? strrchr(a->value, '=') : NULL;
    return eq ? eq + 1 : NULL;
}

static int is_carried(const cli *c, const char *name)
{
    for (int i = 0; i < c->n_args; i++) {
        const char *to = carries_to(&c->args[i]);
        if (to && strcmp(to, name) == 0) return 1;
    }
    return 0;
}

/* Fixes an input. The file that is made of the model says so in `mcomp.fixed.NAME`, and the same --set on that file changes nothing. */
static int fix_input(cli *c, mcomp_graph *g, const char *text)
{
    int st = 0;
    char key[280] = "mcomp.fixed.", *name = key + strlen(key);
    mcomp_tensor *t = NULL;
    mcomp_port_info p;
    const char *eq = strrchr(text, '=');
    if (!eq || eq == text || eq - text >= 256) return cli_fail(c, MCOMP_ARGUMENT, text, "", "--set takes NAME=VALUE");
    memcpy(name, text, (size_t)(eq - text));
    name[eq - text] = 0;
    const char *before = mcomp_graph_meta(g, key);
    if (before && !find_input(g, name, &p)) {
        if (strcmp(before, eq + 1) == 0) return 0;
        return cli_fail(c, MCOMP_ARGUMENT, text, "make the file again with the other value", "this input was fixed at %.60s when the file was made", before);
    }
    if (is_carried(c, name)) return 0; /* its value before the first sample: cli_start_value */
    CLI_TRY(set_tensor(c, g, name, eq + 1, &t));
    CLI_LIB(mcomp_graph_fix_input(g, name, t));
    CLI_LIB(mcomp_graph_set_meta(g, key, eq + 1));
done:
    mcomp_tensor_destroy(t);
    return st;
}

int cli_start_value(cli *c, const mcomp_graph *g, const char *name, mcomp_tensor **out)
{
    const size_t n = strlen(name);
    *out = NULL;
    for (int i = 0; i < c->n_args; i++) {
        const char *text = c->args[i].value;
        if (strcmp(c->args[i].name, "set") == 0 && strncmp(text, name, n) == 0 && text[n] == '=' && !strchr(text + n + 1, '='))
            return set_tensor(c, g, name, text + n + 1, out);
    }
    return 0;
}

int cli_is_safetensors(const char *path) { return cli_ends(path, ".safetensors") || cli_ends(path, ".safetensors.index.json"); }

/* --arch and its kin belong to the safetensors files of the call; where there is none, they are an error of the file there is. */
static int concerns(const cli *c, const char *path)
{
    int any = 0;
    const char *against = cli_str(c, "against", NULL);
    for (int i = 0; i < c->n_pos; i++) any |= cli_is_safetensors(c->pos[i]);
    return cli_is_safetensors(path) || !(any || (against && cli_is_safetensors(against)));
}

int cli_tensors(cli *c, const char *path, mcomp_graph **out)
{
    int st = 0;
    mcomp_load_options o;
    *out = NULL;
    CLI_LIB(mcomp_load_options_init(&o, sizeof o));
    o.arch = "tensors";
    o.copy = cli_has(c, "copy");
    o.verify = cli_has(c, "verify") && path == c->pos[0]; /* not what we wrote ourselves */
    CLI_LIB(mcomp_graph_load_with(out, c->ctx, path, &o));
done:
    return st;
}

int cli_model(cli *c, const char *path, mcomp_graph **out)
{
    int st = 0;
    mcomp_load_options o;
    int64_t head, seed;
    *out = NULL;
    CLI_LIB(mcomp_load_options_init(&o, sizeof o));
    CLI_TRY(cli_i64(c, "head", 0, 1, 1000000, &head));
    CLI_TRY(cli_i64(c, "seed", 0, 0, INT64_MAX, &seed));
    if (concerns(c, path)) {
        o.arch = cli_str(c, "arch", NULL);
        o.config = cli_str(c, "config", NULL);
        o.head = (int32_t)head;
        o.seed = (uint64_t)seed;
    }
    o.copy = cli_has(c, "copy");
    o.verify = cli_has(c, "verify");
    CLI_LIB(mcomp_graph_load_with(out, c->ctx, path, &o));
    if (c->n_places < (int)(sizeof c->places / sizeof *c->places)) c->places[c->n_places++] = (struct cli_place){*out, path};
    for (int64_t i = 0; mcomp_graph_warning(*out, i); i++) cli_warn(c, "TENSOR", "", "%s", mcomp_graph_warning(*out, i));
    for (int i = 0; i < c->n_args; i++)
        if (strcmp(c->args[i].name, "set") == 0) CLI_TRY(fix_input(c, *out, c->args[i].value));
done:
    if (st != 0) {
        mcomp_graph_destroy(*out);
        *out = NULL;
    }
    return st;
}

static char *read_small(const char *path)
{
    FILE *f = fopen(path, "rb");
    char *text = f ? malloc(1 << 20) : NULL;
    if (text) text[fread(text, 1, (1 << 20) - 1, f)] = 0;
    if (f) fclose(f);
    return text;
}

/* Inputs that --carry feeds may be absent from the data. malloc'd list. */
static char *carried(const cli *c)
{
    char *list = calloc(1, 4096);
    for (int i = 0; list && i < c->n_args; i++) {
        const char *to = carries_to(&c->args[i]);
        const size_t n = strlen(list);
        if (to && n + strlen(to) + 2 < 4096) snprintf(list + n, 4096 - n, "%s%s", n ? "," : "", to);
    }
    return list;
}

int cli_dataset(cli *c, const mcomp_graph *g, const char *argument, mcomp_dataset **out)
{
    int st = 0;
    int64_t max_length, skip, limit;
    mcomp_dataset_options o;
    mcomp_tokenizer *own = NULL;
    char *labels = NULL, *optional = carried(c);
    const char *file = cli_str(c, "labels", NULL);
    *out = NULL;
    CLI_LIB(mcomp_dataset_options_init(&o, sizeof o));
    CLI_TRY(cli_i64(c, "max-length", 0, 1, 1 << 20, &max_length));
    CLI_TRY(cli_i64(c, "skip", 0, 0, INT64_MAX, &skip));
    CLI_TRY(cli_i64(c, "limit", 0, 1, INT64_MAX, &limit));
    CLI_TRY(cli_f64(c, "scale", 0.0, -1e30, 1e30, &o.scale));
    CLI_TRY(cli_f64(c, "shift", 0.0, -1e30, 1e30, &o.shift));
    if (file && !(labels = read_small(file))) CLI_TRY(cli_fail(c, MCOMP_PATH, file, "", "cannot read the label names"));
    o.max_length = (int32_t)max_length;
    o.skip = skip;
    o.limit = limit;
    o.text = cli_str(c, "text", NULL);
    o.label = cli_str(c, "label", NULL);
    CLI_TRY(cli_tokenizer_choose(c, g, &o, &own));
    o.map = cli_str(c, "map", NULL);
    o.objective = cli_str(c, "objective", NULL);
    o.labels = labels;
    o.optional = optional && *optional ? optional : NULL;
    CLI_LIB(mcomp_dataset_open(out, c->ctx, g, argument, &o));
    for (int64_t i = 0; mcomp_dataset_warning(*out, i); i++) cli_warn(c, "DATA", "", "%s", mcomp_dataset_warning(*out, i));
    st = cli_tokenizer_keep(c, *out);
done:
    mcomp_tokenizer_destroy(own);
    free(labels);
    free(optional);
    return st;
}

int cli_session(cli *c, const mcomp_graph *g, int profile, mcomp_session **s, mcomp_exec **e)
{
    int st = 0;
    mcomp_session_options o;
    *s = NULL;
    *e = NULL;
    CLI_LIB(mcomp_session_options_init(&o, sizeof o));
    o.profile = profile;
    CLI_LIB(mcomp_session_create(s, c->ctx, g, &o));
    CLI_LIB(mcomp_exec_create(e, *s));
done:
    if (st != 0) {
        mcomp_session_destroy(*s);
        *s = NULL;
    }
    return st;
}

uint64_t cli_model_bytes(const mcomp_graph *g)
{
    mcomp_graph_info i = {.size = sizeof i};
    return mcomp_graph_info_get(g, &i) == 0 ? i.file_bytes : 0;
}

int cli_logits(cli *c, const mcomp_session *s, int32_t *index)
{
    const char *name = cli_str(c, "output", NULL);
    const int32_t n = mcomp_session_n_outputs(s);
    *index = 0;
    if (!name && n == 1) return 0;
    for (int32_t i = 0; name && i < n; i++)
        if (strcmp(mcomp_session_output_name(s, i), name) == 0) {
            *index = i;
            return 0;
        }
    if (name) return cli_fail(c, MCOMP_ARGUMENT, name, "'mcomp inspect' lists the outputs", "the model has no output \"%.100s\"", name);
    return cli_fail(c, MCOMP_ARGUMENT, "output", "--output NAME picks it", "the model has %d outputs: which one holds the logits?", n);
}

char *cli_stem(const char *path, const char *suffix)
{
    const size_t n = strlen(path), k = cli_ends(path, ".onnx") ? n - 5 : cli_ends(path, ".safetensors") ? n - 12 : n;
    char *out = malloc(k + strlen(suffix) + 1);
    if (!out) return NULL;
    memcpy(out, path, k);
    strcpy(out + k, suffix);
    return out;
}
