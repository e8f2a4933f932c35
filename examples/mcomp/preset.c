/* mcomp compress MODEL -1 ... -9: presets, each a short recipe. What is printed by --show-recipe is what runs. */
#include "cli.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/* From what costs nothing to what takes long: calibrating, training on, pruning, distilling. @: the model itself, as its own student. */
static const char *const presets[] = {
    "  - quantize: {scheme: int8-dynamic, slower: float}\n",
    "  - quantize: {scheme: int8-dynamic}\n",
    "  - quantize: {scheme: auto}\n",
    "  - quantize: {scheme: int8, slower: float}\n",
    "  - quantize: {scheme: int8}\n",
    "  - quantize: {scheme: int8, mode: ptq_then_qat, epochs: 2}\n",
    "  - prune: {pattern: 4x1, sparsity: 0.5, epochs: 3}\n  - quantize: {scheme: int8}\n",
    "  - prune: {pattern: 4x1, sparsity: 0.75, epochs: 6}\n  - quantize: {scheme: int8, mode: qat, epochs: 2}\n",
    ("  - distill: {student: @, epochs: 3, lr: 3.0e-4}\n  - prune: {pattern: 4x1, sparsity: 0.75, epochs: 6, keep_distilling: true}\n"
     "  - quantize: {scheme: int8, mode: qat, epochs: 2, keep_distilling: true}\n"),
};

typedef struct text {
    char *p;
    size_t n, cap;
    int failed;
} text;

static void put(text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void put(text *t, const char *fmt, ...)
{
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    const int n = vsnprintf(NULL, 0, fmt, ap);
    if (n >= 0 && t->n + (size_t)n + 1 > t->cap) {
        char *more = realloc(t->p, t->cap = 2 * t->cap + (size_t)n + 256);
        if (!more) t->failed = 1;
        else t->p = more;
    }
    if (n >= 0 && !t->failed) {
        vsnprintf(t->p + t->n, t->cap - t->n, fmt, again);
        t->n += (size_t)n;
    }
    va_end(again);
    va_end(ap);
}

/* A YAML scalar between single quotes; a quote is doubled. ${ has a meaning in paths and cannot be written otherwise. malloc'd. */
static char *quoted(const char *s)
{
    char *out = malloc(2 * strlen(s) + 3), *p = out;
    if (!out) return NULL;
    *p++ = '\'';
    for (; *s; s++) {
        if (*s == '\'') *p++ = '\'';
        *p++ = *s;
    }
    *p++ = '\'';
    *p = 0;
    return out;
}

static void pair(text *t, const char *key, const char *value)
{
    char *q = value ? quoted(value) : NULL;
    if (q) put(t, ", %s: %s", key, q);
    t->failed |= value && !q;
    free(q);
}

/* How samples are read, of the options; numbers as they are given: the recipe checks them. */
static void how(const cli *c, text *t)
{
    pair(t, "text", cli_str(c, "text", NULL));
    pair(t, "label", cli_str(c, "label", NULL));
    pair(t, "labels", cli_str(c, "labels", NULL));
    pair(t, "tokenizer", cli_str(c, "tokenizer", NULL));
    pair(t, "map", cli_str(c, "map", NULL));
    if (cli_has(c, "max-length")) put(t, ", max_length: %s", cli_str(c, "max-length", ""));
    if (cli_has(c, "scale")) put(t, ", scale: %s", cli_str(c, "scale", ""));
    if (cli_has(c, "shift")) put(t, ", shift: %s", cli_str(c, "shift", ""));
}

/* Samples in DATA, for the tenth at its end that measures when there is no --eval. */
static int count(cli *c, const char *model, const char *data, int64_t *n)
{
    int st = 0;
    mcomp_graph *g = NULL;
    mcomp_dataset *d = NULL;
    CLI_TRY(cli_model(c, model, &g));
    CLI_TRY(cli_dataset(c, g, data, &d));
    *n = mcomp_dataset_count(d);
    if (*n < 10) st = cli_fail(c, MCOMP_DATA, data, "--eval DATA names samples that measure", "%lld samples are too few to train on some and measure on others", (long long)*n);
done:
    mcomp_dataset_destroy(d);
    mcomp_graph_destroy(g);
    return st;
}

int cli_preset(cli *c, const char *model, const char *level, char **recipe)
{
    int st = 0;
    text t = {0};
    int64_t n = 0, seed;
    const int k = level[0] - '1';
    const char *data = cli_str(c, "data", NULL), *eval = cli_str(c, "eval", NULL);
    char *m = quoted(model), *d = data ? quoted(data) : NULL, *e = eval ? quoted(eval) : NULL;
    if (!data) CLI_TRY(cli_fail(c, MCOMP_ARGUMENT, "--data", "docs/data.md lists the forms", "mcomp compress MODEL -%s needs --data DATA", level));
    if (!m || !d || (eval && !e)) CLI_TRY(cli_fail(c, MCOMP_NO_MEMORY, "", "", "no memory"));
    CLI_TRY(cli_i64(c, "seed", 0, 0, INT64_MAX, &seed));
    if (!eval) CLI_TRY(count(c, model, data, &n));
    put(&t, "# mcomp compress -%s\nversion: 1\nseed: %lld\nmodel: {teacher: %s}\ndata:\n  train: {path: %s", level, (long long)seed, m, d);
    how(c, &t);
    if (!eval) put(&t, ", limit: %lld", (long long)(n - n / 10));
    put(&t, "}\n  eval: {path: %s", eval ? e : d);
    if (!eval) put(&t, ", skip: %lld", (long long)(n - n / 10));
    put(&t, "}\npasses:\n");
    const char *passes = presets[k], *self = strchr(passes, '@');
    if (self) put(&t, "%.*s%s%s", (int)(self - passes), passes, m, self + 1);
    else put(&t, "%s", passes);
    if (t.failed) CLI_TRY(cli_fail(c, MCOMP_NO_MEMORY, "", "", "no memory"));
    *recipe = t.p;
    t.p = NULL;
done:
    free(t.p);
    free(m);
    free(d);
    free(e);
    return st;
}
