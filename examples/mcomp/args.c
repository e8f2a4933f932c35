/* Arguments: verb first, long options as --name VALUE or --name=VALUE, -o -f -q -v as short forms. Unknown words are errors
 * that name the nearest known one. */
#include "cli.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

const cli_opt cli_common_opts[] = {
    {"help", OPT_FLAG, "prints this text"},
    {"json", OPT_FLAG, "one JSON object on stdout"},
    {"quiet", OPT_FLAG, "(-q) no result text"},
    {"verbose", OPT_FLAG, "(-v) more on stderr"},
    {"threads", OPT_VALUE, "N  worker threads, the caller included (0: one per CPU)"},
    {"backend", OPT_VALUE, "auto|cpu|onednn|cuda"},
    {"seed", OPT_VALUE, "N  seed of every random choice"},
    {"force", OPT_FLAG, "(-f) overwrite existing files"},
    {"progress", OPT_VALUE, "auto|plain|jsonl|none"},
    {NULL, 0, NULL},
};

const cli_opt cli_data_opts[] = {
    {"data", OPT_VALUE, "DATA  samples (docs/data.md)"},
    {"text", OPT_VALUE, "COLUMN  text column (default text)"},
    {"label", OPT_VALUE, "NAME  label column or array (default label)"},
    {"labels", OPT_VALUE, "FILE  label names in the model's order, one a line"},
    {"tokenizer", OPT_VALUE, "T  vocab.txt, tokenizer.json, bytes, chars, train:wordpiece,8000, train:bpe,8000 (default: STEM.tokenizer.json beside the model)"},
    {"max-length", OPT_VALUE, "N  ids a text, padded on the right"},
    {"objective", OPT_VALUE, "classify|mlm|next-token  what is asked of texts: their label, hidden ids, or each next id of one stream"},
    {"map", OPT_VALUE, "ROLE=NAME,...  inputs for input_ids, attention_mask, token_type_ids"},
    {"output", OPT_VALUE, "NAME  the output that holds the logits"},
    {"scale", OPT_VALUE, "S  IDX images: (x - shift) / scale"},
    {"shift", OPT_VALUE, "T"},
    {"limit", OPT_VALUE, "N  at most N samples"},
    {"skip", OPT_VALUE, "N  without the first N"},
    {"batch", OPT_VALUE, "N  samples a run (models with a free first axis)"},
    {"set", OPT_MULTI, "NAME=VALUE  fixes an input of the model"},
    {NULL, 0, NULL},
};

const cli_opt cli_model_opts[] = {
    {"arch", OPT_VALUE, "bert  what the weights of a safetensors file belong to"},
    {"config", OPT_VALUE, "FILE  its sizes (default: config.json beside the file)"},
    {"head", OPT_VALUE, "CLASSES  adds a fresh classifier (--seed); the output is then logits"},
    {"copy", OPT_FLAG, "reads the model into memory instead of mapping it: for files that others overwrite meanwhile"},
    {"verify", OPT_FLAG, "compares external data with the checksums (SHA-1) in the model"},
    {NULL, 0, NULL},
};

int cli_takes_model(const cli_verb *v) { return v != &cli_doctor && v != &cli_recipe && v != &cli_report && v != &cli_cost && v != &cli_compress; }

int cli_takes_data(const cli_verb *v)
{
    return v == &cli_run || v == &cli_eval || v == &cli_calibrate || v == &cli_quantize || v == &cli_sensitivity || v == &cli_bench || cli_takes_training(v);
}

static const cli_opt *in_table(const cli_opt *t, const char *name)
{
    for (; t && t->name; t++)
        if (strcmp(t->name, name) == 0) return t;
    return NULL;
}

const cli_opt *cli_find_opt(const cli_verb *v, const char *name)
{
    const cli_opt *o = in_table(cli_common_opts, name);
    if (!o) o = in_table(v->opts, name);
    if (!o && cli_takes_training(v)) o = in_table(cli_training_opts, name);
    if (!o && cli_takes_data(v)) o = in_table(cli_data_opts, name);
    if (!o && cli_takes_model(v)) o = in_table(cli_model_opts, name);
    return o;
}

/* Edit distance, one row at a time; words beyond 63 letters are far from everything. */
static int distance(const char *a, const char *b)
{
    int row[64];
    const int n = (int)strlen(a), m = (int)strlen(b);
    if (n > 63 || m > 63) return 99;
    for (int j = 0; j <= m; j++) row[j] = j;
    for (int i = 1; i <= n; i++) {
        int diagonal = row[0];
        row[0] = i;
        for (int j = 1; j <= m; j++) {
            const int up = row[j];
            int best = diagonal + (a[i - 1] != b[j - 1]);
            if (up + 1 < best) best = up + 1;
            if (row[j - 1] + 1 < best) best = row[j - 1] + 1;
            row[j] = best;
            diagonal = up;
        }
    }
    return row[m];
}

const char *cli_nearest(const char *word, const char *const *candidates)
{
    const char *best = NULL;
    int best_distance = 1 + (int)strlen(word) / 3;
    if (best_distance < 2) best_distance = 2;
    for (; *candidates; candidates++) {
        const int d = distance(word, *candidates);
        if (d > best_distance || (best && d == best_distance)) continue;
        best = *candidates;
        best_distance = d;
    }
    return best;
}

int cli_ends(const char *text, const char *end)
{
    const size_t n = strlen(text), m = strlen(end);
    return n > m && strcmp(text + n - m, end) == 0;
}

static int unknown_option(cli *c, const char *name)
{
    const char *names[80];
    char hint[160] = "";
    int n = 0;
    const cli_opt *tables[] = {cli_common_opts, c->verb->opts, cli_takes_data(c->verb) ? cli_data_opts : NULL,
                               cli_takes_model(c->verb) ? cli_model_opts : NULL, cli_takes_training(c->verb) ? cli_training_opts : NULL};
    for (size_t t = 0; t < 5; t++)
        for (const cli_opt *o = tables[t]; o && o->name && n < 79; o++) names[n++] = o->name;
    names[n] = NULL;
    const char *near = cli_nearest(name, names);
    if (near) snprintf(hint, sizeof hint, "did you mean --%s? 'mcomp %s --help' lists the options", near, c->verb->name);
    else snprintf(hint, sizeof hint, "'mcomp %s --help' lists the options", c->verb->name);
    return cli_fail(c, MCOMP_ARGUMENT, name, hint, "unknown option --%.80s of mcomp %s", name, c->verb->name);
}

static int add(cli *c, const char *name, const char *value)
{
    cli_arg *list = realloc(c->args, sizeof *list * (size_t)(c->n_args + 1));
    if (!list) return cli_fail(c, MCOMP_NO_MEMORY, "", "", "no memory");
    c->args = list;
    list[c->n_args++] = (cli_arg){name, value};
    return 0;
}

/* --name, --name=value or --name value at argv[*i]. */
static int long_option(cli *c, int argc, char **argv, int *i)
{
    char *name = argv[*i] + 2, *eq = strchr(name, '=');
    if (eq) *eq = 0;
    const cli_opt *o = cli_find_opt(c->verb, name);
    if (!o) return unknown_option(c, name);
    if (o->kind == OPT_FLAG) return eq ? cli_fail(c, MCOMP_ARGUMENT, name, "", "--%s takes no value", name) : add(c, o->name, "1");
    if (eq) return add(c, o->name, eq + 1);
    if (*i + 1 >= argc) return cli_fail(c, MCOMP_ARGUMENT, name, "", "--%s needs a value", name);
    return add(c, o->name, argv[++*i]);
}

static int short_option(cli *c, int argc, char **argv, int *i)
{
    static const struct {
        const char *s, *name;
    } shorts[] = {{"-q", "quiet"}, {"-v", "verbose"}, {"-f", "force"}, {"-h", "help"}, {"-o", "out-file"}};
    if (argv[*i][1] >= '1' && argv[*i][1] <= '9' && !argv[*i][2] && cli_find_opt(c->verb, "preset")) return add(c, "preset", argv[*i] + 1);
    for (size_t k = 0; k < sizeof shorts / sizeof *shorts; k++) {
        if (strcmp(argv[*i], shorts[k].s) != 0) continue;
        const cli_opt *o = cli_find_opt(c->verb, shorts[k].name);
        if (!o) break;
        if (o->kind == OPT_FLAG) return add(c, o->name, "1");
        if (*i + 1 >= argc) return cli_fail(c, MCOMP_ARGUMENT, argv[*i], "", "%s needs a value", shorts[k].s);
        return add(c, o->name, argv[++*i]);
    }
    return cli_fail(c, MCOMP_ARGUMENT, argv[*i], "long options start with two dashes", "unknown option %.40s", argv[*i]);
}

static int check_choice(cli *c, const char *name, const char *const *allowed)
{
    const char *v = cli_str(c, name, NULL);
    char hint[160] = "";
    if (!v) return 0;
    for (int i = 0; allowed[i]; i++)
        if (strcmp(allowed[i], v) == 0) return i;
    for (int i = 0; allowed[i]; i++) {
        const size_t n = strlen(hint);
        snprintf(hint + n, sizeof hint - n, "%s%s", i ? ", " : "one of ", allowed[i]);
    }
    (void)cli_fail(c, MCOMP_ARGUMENT, name, hint, "--%s cannot be \"%.60s\"", name, v);
    return -1;
}

int cli_parse(cli *c, int argc, char **argv)
{
    static const char *const progress[] = {"auto", "plain", "jsonl", "none", NULL};
    static const char *const backends[] = {"auto", "cpu", "onednn", "cuda", NULL};
    int st = 0, rest = 0;
    c->pos = calloc((size_t)argc + 1, sizeof *c->pos);
    if (!c->pos) return cli_fail(c, MCOMP_NO_MEMORY, "", "", "no memory");
    for (int i = 0; i < argc && st == 0; i++) {
        if (rest || argv[i][0] != '-' || strcmp(argv[i], "-") == 0) c->pos[c->n_pos++] = argv[i];
        else if (strcmp(argv[i], "--") == 0) rest = 1;
        else st = argv[i][1] == '-' ? long_option(c, argc, argv, &i) : short_option(c, argc, argv, &i);
    }
    if (st != 0) return st;
    c->quiet = cli_has(c, "quiet");
    c->verbose = cli_has(c, "verbose");
    c->overwrite = cli_has(c, "force");
    const int p = check_choice(c, "progress", progress);
    if (p < 0 || check_choice(c, "backend", backends) < 0) return MCOMP_ARGUMENT;
    c->progress = p == 1 ? 1 : p == 2 ? 2 : p == 3 ? 0 : 3;
    if (cli_has(c, "help")) return 0;
    if (c->n_pos < c->verb->min_pos)
        return cli_fail(c, MCOMP_ARGUMENT, "", c->verb->usage, "mcomp %s needs %s", c->verb->name, c->verb->min_pos > 1 ? "more arguments" : "an argument");
    if (c->verb->max_pos >= 0 && c->n_pos > c->verb->max_pos)
        return cli_fail(c, MCOMP_ARGUMENT, c->pos[c->verb->max_pos], c->verb->usage, "mcomp %s takes no further argument", c->verb->name);
    return 0;
}

const char *cli_str(const cli *c, const char *name, const char *otherwise)
{
    for (int i = c->n_args - 1; i >= 0; i--)
        if (strcmp(c->args[i].name, name) == 0) return c->args[i].value;
    return otherwise;
}

int cli_has(const cli *c, const char *name) { return cli_str(c, name, NULL) != NULL; }

int cli_i64(cli *c, const char *name, int64_t otherwise, int64_t lo, int64_t hi, int64_t *out)
{
    const char *s = cli_str(c, name, NULL);
    char *end;
    *out = otherwise;
    if (!s) return 0;
    errno = 0;
    const long long v = strtoll(s, &end, 10);
    if (!*s || *end || errno || v < lo || v > hi)
        return cli_fail(c, MCOMP_ARGUMENT, name, "", "--%s takes a whole number from %lld to %lld, not \"%.60s\"", name, (long long)lo, (long long)hi, s);
    *out = v;
    return 0;
}

int cli_f64(cli *c, const char *name, double otherwise, double lo, double hi, double *out)
{
    const char *s = cli_str(c, name, NULL);
    char *end;
    *out = otherwise;
    if (!s) return 0;
    const double v = strtod(s, &end); /* the program never leaves the C locale */
    if (!*s || *end || !isfinite(v) || v < lo || v > hi)
        return cli_fail(c, MCOMP_ARGUMENT, name, "", "--%s takes a number from %g to %g, not \"%.60s\"", name, lo, hi, s);
    *out = v;
    return 0;
}
