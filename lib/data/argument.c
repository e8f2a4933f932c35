/* A data argument: [form:]path[@key=value,...]. The suffix belongs to this one argument; skip, limit and every count after the
 * selection by columns. */
#include "data/argument.h"

#include <unistd.h>

/* Start of the suffix: the last '@' that is followed by word=, unless the whole text is a file. */
static char *suffix(char *text)
{
    char *at = strrchr(text, '@');
    if (!at || access(text, F_OK) == 0) return NULL;
    const size_t n = strcspn(at + 1, "=,/");
    return n > 0 && at[1 + n] == '=' ? at : NULL;
}

static int32_t number(const char *key, const char *value, int64_t lowest, int64_t *out)
{
    if (mc_parse_i64(value, out) != MCOMP_OK || *out < lowest)
        return mc_fail(MCOMP_ARGUMENT, key, "\"%s\" is no number of at least %lld", value, (long long)lowest);
    return MCOMP_OK;
}

static int32_t take(mc_argument *a, char *key, char *value)
{
    if (strcmp(key, "skip") == 0) return number(key, value, 0, &a->skip);
    if (strcmp(key, "limit") == 0) return number(key, value, 1, &a->limit);
    if (strcmp(key, "every") == 0) return number(key, value, 1, &a->every);
    if (a->n_select == (int32_t)(sizeof a->select / sizeof *a->select)) return mc_fail(MCOMP_ARGUMENT, key, "too many selections");
    a->select[a->n_select++] = (mc_select){key, value};
    return MCOMP_OK;
}

static int32_t find_form(mc_argument *a)
{
    static const char *const prefixes[] = {"idx", "raw", "onnx-test"};
    static const char *const texts[] = {".tsv", ".csv", ".jsonl", ".txt"};
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++) {
        const size_t n = strlen(prefixes[i]);
        if (strncmp(a->path, prefixes[i], n) != 0 || a->path[n] != ':') continue;
        a->form = prefixes[i];
        a->path += n + 1;
        return MCOMP_OK;
    }
    if (mc_path_ends(a->path, ".npz", 0)) a->form = "npz";
    if (mc_path_ends(a->path, ".npy", 0)) a->form = "npy";
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (mc_path_ends(a->path, texts[i], 1)) a->form = "text";
    if (a->form) return MCOMP_OK;
    (void)mc_fail(MCOMP_ARGUMENT, a->path, "not a form of data that is known");
    (void)mc_fail_hint("x.npz x.npy x.tsv x.csv x.jsonl x.txt (.gz too), idx:IMAGES,LABELS, onnx-test:DIR, raw:NAME=FILE:DTYPE:SHAPE");
    return MCOMP_ARGUMENT;
}

int32_t mc_argument_parse(mc_argument *a, const char *text)
{
    int32_t st = MCOMP_OK;
    memset(a, 0, sizeof *a);
    a->limit = -1;
    a->every = 1;
    a->copy = mc_strdup(text);
    if (!a->copy) return MCOMP_NO_MEMORY;
    char *s = suffix(a->copy);
    if (s) {
        *s++ = 0;
        for (char *save = NULL, *w = strtok_r(s, ",", &save); w; w = strtok_r(NULL, ",", &save)) {
            char *eq = strchr(w, '=');
            if (!eq) MC_FAIL(MCOMP_ARGUMENT, w, "a suffix is @key=value,... with skip, limit, every or a column");
            *eq++ = 0;
            MC_TRY(take(a, w, eq));
        }
    }
    a->path = a->copy;
    st = find_form(a);
done:
    return st;
}

void mc_argument_free(mc_argument *a) { mc_free(a->copy); }
