/* mcomp compress: a whole recipe - distill, prune, quantize, finetune - to a target, measured stage by stage. */
#include "cli.h"

#include <fcntl.h>
#include <math.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

/* ---- memory of a process of its own ---- */

/* All of a pipe; malloc'd. */
static char *read_all(int fd)
{
    size_t n = 0, cap = 65536;
    char *text = malloc(cap);
    for (ssize_t k = 1; text && k > 0; n += (size_t)(k > 0 ? k : 0)) {
        if (n + 1 == cap) {
            char *more = realloc(text, cap *= 2);
            if (!more) break;
            text = more;
        }
        k = read(fd, text + n, cap - n - 1);
    }
    if (text) text[n] = 0;
    return text;
}

/* --shape NAME=1,128 of one input; malloc'd. */
static char *shape_of(const char *name, const mcomp_tensor *t)
{
    const size_t cap = strlen(name) + 24u * MCOMP_MAX_RANK + 2;
    char *text = malloc(cap);
    int n = text ? snprintf(text, cap, "%s=", name) : 0;
    for (int32_t k = 0; text && k < mcomp_tensor_rank(t); k++) n += snprintf(text + n, cap - (size_t)n, "%s%lld", k ? "," : "", (long long)mcomp_tensor_dims(t)[k]);
    return text;
}

/* `mcomp bench` of this very program, so that nothing of this process is counted. */
static int32_t peak_rss(void *payload, uint64_t *bytes, const char *path, int32_t n, const char *const *names, const mcomp_tensor *const *inputs)
{
    const cli *c = payload;
    const char *argv[8 + 2 * 64] = {"mcomp", "bench", path, "--runs", "1", "--json", "-q"};
    char *shapes[64] = {NULL}, *text = NULL;
    int at = 7, fd[2], status = 0;
    pid_t pid = 0;
    posix_spawn_file_actions_t actions;
    *bytes = 0;
    if (n > 60 || pipe(fd) != 0) return MCOMP_UNSUPPORTED;
    for (int32_t k = 0; k < n; k++) {
        if (mcomp_tensor_rank(inputs[k]) == 0 || !(shapes[k] = shape_of(names[k], inputs[k]))) continue;
        argv[at++] = "--shape";
        argv[at++] = shapes[k];
    }
    if (cli_has(c, "threads")) {
        argv[at++] = "--threads";
        argv[at++] = cli_str(c, "threads", "0");
    }
    (void)posix_spawn_file_actions_init(&actions);
    (void)posix_spawn_file_actions_adddup2(&actions, fd[1], 1);
    (void)posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
    (void)posix_spawn_file_actions_addclose(&actions, fd[0]);
    const int spawned = posix_spawn(&pid, "/proc/self/exe", &actions, NULL, (char *const *)(uintptr_t)argv, environ);
    (void)posix_spawn_file_actions_destroy(&actions);
    close(fd[1]);
    if (spawned == 0) {
        text = read_all(fd[0]);
        (void)waitpid(pid, &status, 0);
    }
    close(fd[0]);
    json_t *o = text ? json_loads(text, 0, NULL) : NULL;
    const json_t *rss = json_object_get(json_array_get(json_object_get(o, "models"), 0), "peak_rss_bytes");
    if (json_is_integer(rss)) *bytes = (uint64_t)json_integer_value(rss);
    json_decref(o);
    for (int32_t k = 0; k < n; k++) free(shapes[k]);
    free(text);
    return *bytes ? 0 : MCOMP_UNSUPPORTED;
}

/* ---- results ---- */

static double number(const json_t *o, const char *key) { return json_is_number(json_object_get(o, key)) ? json_number_value(json_object_get(o, key)) : NAN; }

static void say_number(const cli *c, const char *fmt, double v, int width)
{
    char text[64] = "-";
    if (isfinite(v)) snprintf(text, sizeof text, fmt, v);
    cli_say(c, "%-*s ", width, text);
}

/* The same student without the teacher, and what the teacher brought. */
static void control(const cli *c, const json_t *o)
{
    const json_t *d = json_object_get(o, "difference"), *ci = json_object_get(d, "ci95");
    if (!o) return;
    cli_say(c, "%-12s ", "  control");
    say_number(c, "%.4f", number(json_object_get(o, "metric"), "value"), 12);
    cli_say(c, "without the teacher");
    if (d) cli_say(c, ", which brought %+.4f (95 %% interval %+.4f to %+.4f)", number(d, "value"), json_number_value(json_array_get(ci, 0)), json_number_value(json_array_get(ci, 1)));
    cli_say(c, "\n");
}

static void table(const cli *c, const json_t *run)
{
    size_t i;
    const json_t *s, *stages = json_object_get(run, "stages"), *target = json_object_get(run, "target");
    const json_t *metric = json_object_get(json_array_get(stages, 0), "metric");
    const double first = number(json_array_get(stages, 0), "p50_ms");
    const char *key;
    json_t *t;
    cli_say(c, "%-12s %-12s %-12s %-12s %-20s %-10s %s\n", "", json_string_value(json_object_get(metric, "name")), "size", "parameters", "p50 latency", "agreement", "");
    json_array_foreach((json_t *)(uintptr_t)stages, i, s) {
        char size[32], time[48];
        const double p50 = number(s, "p50_ms");
        snprintf(time, sizeof time, i ? "%.4f ms (%.2fx)" : "%.4f ms", p50, first / p50);
        cli_say(c, "%-12s ", json_string_value(json_object_get(s, "name")));
        say_number(c, "%.4f", number(json_object_get(s, "metric"), "value"), 12);
        cli_say(c, "%-12s ", cli_human_bytes(size, sizeof size, number(s, "bytes")));
        say_number(c, "%.0f", number(s, "params"), 12);
        cli_say(c, "%-20s ", isfinite(p50) ? time : "-");
        say_number(c, "%.4f", number(s, "agreement_ratio"), 10);
        cli_say(c, "%s%s\n", json_string_value(json_object_get(s, "what")), json_is_true(json_object_get(s, "reused")) ? " (from the store)" : "");
        control(c, json_object_get(s, "control"));
    }
    json_object_foreach((json_t *)(uintptr_t)target, key, t)
        if (json_is_object(t))
            cli_say(c, "%s: %.6g, limit %.6g: %s\n", key, number(t, "value"), number(t, "limit"), json_is_true(json_object_get(t, "met")) ? "met" : "missed");
    if (json_is_string(json_object_get(run, "output"))) cli_say(c, "wrote %s\n", json_string_value(json_object_get(run, "output")));
}

static int show(cli *c, const char *text)
{
    size_t i;
    const json_t *w;
    json_error_t e;
    json_t *run = json_loads(text, 0, &e);
    if (!run) return cli_fail(c, MCOMP_INTERNAL, "run.json", "", "%s", e.text);
    json_array_foreach(json_object_get(run, "warnings"), i, w)
        cli_warn(c, json_string_value(json_object_get(w, "code")), json_string_value(json_object_get(w, "node")), "%s", json_string_value(json_object_get(w, "text")));
    (void)json_object_del(run, "warnings"); /* cli_finish has them */
    table(c, run);
    (void)json_object_update(c->root, run);
    json_decref(run);
    return 0;
}

/* ---- the verb ---- */

/* STEM.compressed beside the recipe; malloc'd. */
static char *default_folder(const char *recipe)
{
    const char *dot = strrchr(recipe, '.'), *slash = strrchr(recipe, '/');
    const size_t n = dot && dot != recipe && (!slash || dot > slash + 1) ? (size_t)(dot - recipe) : strlen(recipe);
    char *out = malloc(n + sizeof ".compressed");
    if (!out) return NULL;
    memcpy(out, recipe, n);
    memcpy(out + n, ".compressed", sizeof ".compressed");
    return out;
}

/* The recipe of a file, or of a preset for a model. *text: the preset's, malloc'd. */
static int load(cli *c, mcomp_recipe **r, char **text)
{
    static const char *const data[] = {"data", "eval", "text", "label", "labels", "tokenizer", "map", "max-length", "scale", "shift", "seed", "show-recipe", NULL};
    int st = 0;
    const char *level = cli_str(c, "preset", NULL);
    if (level) {
        if (strlen(level) != 1 || *level < '1' || *level > '9') return cli_fail(c, MCOMP_ARGUMENT, "--preset", "", "presets are 1 to 9, not \"%.40s\"", level);
        CLI_TRY(cli_preset(c, c->pos[0], level, text));
        return cli_recipe_parse(c, *text, r);
    }
    for (int i = 0; data[i]; i++)
        if (cli_has(c, data[i])) return cli_fail(c, MCOMP_ARGUMENT, data[i], "in a recipe they stand in the file; with a model, -1 to -9 choose a preset", "--%s goes with a preset", data[i]);
    st = cli_recipe_load(c, c->pos[0], r);
done:
    return st;
}

static int run(cli *c)
{
    int st = 0, missed = 0;
    mcomp_recipe *r = NULL;
    mcomp_recipe_run_options o;
    const char *json = NULL;
    char *own = NULL, *text = NULL, *argv = json_dumps(c->argv, JSON_COMPACT | JSON_ENSURE_ASCII);
    CLI_TRY(load(c, &r, &text));
    if (cli_has(c, "show-recipe")) {
        cli_set(c->root, "recipe", json_string(text));
        if (!c->json) fputs(text, stdout);
        goto done;
    }
    CLI_LIB(mcomp_recipe_run_options_init(&o, sizeof o));
    o.out = cli_str(c, "out-file", NULL);
    if (!o.out) o.out = own = default_folder(c->pos[0]);
    if (!o.out) CLI_TRY(cli_fail(c, MCOMP_NO_MEMORY, "", "", "no memory"));
    o.resume = cli_has(c, "resume");
    o.overwrite = c->overwrite;
    o.argv = argv;
    o.peak_rss = peak_rss;
    o.peak_rss_payload = c;
    missed = mcomp_recipe_run(&json, r, c->ctx, &o);
    if (missed != 0) st = cli_lib(c, missed);
    if (missed != 0 && !json) goto done;
    const mcomp_error why = c->error;
    st = show(c, json);
    if (st == 0 && missed != 0) {
        c->error = why;
        st = missed;
    }
done:
    mcomp_recipe_destroy(r);
    free(own);
    free(text);
    free(argv);
    return st;
}

static const cli_opt opts[] = {
    {"out-file", OPT_VALUE, "DIR  gets model.onnx, run.json, report.html and the store (default: RECIPE without its ending, .compressed)"},
    {"outside", OPT_FLAG, "the store may lie outside of the recipe's folder"},
    {"resume", OPT_FLAG, "goes on where an interrupted run of this recipe stopped; finished passes are never made twice"},
    {"preset", OPT_VALUE, "N  (-1 to -9) with a model: 1 to 2 dynamic int8, 3 automatic, 4 to 5 static int8, 6 trained where that loses, 7 to 8 pruned 4x1, 9 with the model as its own teacher"},
    {"show-recipe", OPT_FLAG, "prints the recipe of the preset instead of running it"},
    {"data", OPT_VALUE, "DATA  samples of a preset to calibrate and train on (docs/data.md)"},
    {"eval", OPT_VALUE, "DATA  samples that measure (default: the tenth at the end of --data)"},
    {"text", OPT_VALUE, "COLUMN  text column"},
    {"label", OPT_VALUE, "NAME  label column or array"},
    {"labels", OPT_VALUE, "FILE  label names in the model's order"},
    {"tokenizer", OPT_VALUE, "T  (default: STEM.tokenizer.json beside the model)"},
    {"map", OPT_VALUE, "ROLE=NAME,..."},
    {"max-length", OPT_VALUE, "N  ids a text"},
    {"scale", OPT_VALUE, "S  images: (x - shift) / scale"},
    {"shift", OPT_VALUE, "T"},
    {NULL, 0, NULL},
};

const cli_verb cli_compress = {.name = "compress", .usage = "mcomp compress RECIPE [-o DIR] [--resume], or mcomp compress MODEL -1...-9 --data DATA", .about = "a whole recipe to a target, measured stage by stage",
                               .min_pos = 1, .max_pos = 1, .opts = opts, .run = run};
