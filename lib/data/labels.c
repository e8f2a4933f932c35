/* Class names: a JSON array or one name a line, or collected from the data and sorted bytewise. */
#include "data/internal.h"

#include <stdlib.h>

static int32_t add(mc_labels *l, const char *name, size_t n, const char *where)
{
    int32_t st = MCOMP_OK;
    char *copy = mc_strndup(name, n);
    if (!copy) return MCOMP_NO_MEMORY;
    if (!l->index && !(l->index = mc_map_create())) MC_FAIL(MCOMP_NO_MEMORY, where, "no memory");
    if (mc_map_get(l->index, copy, NULL)) MC_FAIL(MCOMP_DATA, where, "label \"%s\" is listed twice", copy);
    MC_TRY(mc_grow(&l->names, &l->cap, l->n + 1, sizeof *l->names));
    MC_TRY(mc_map_put(l->index, copy, l->n));
    l->names[l->n++] = copy;
    return MCOMP_OK;
done:
    mc_free(copy);
    return st;
}

int32_t mc_labels_parse(mc_labels *l, const char *text, const char *where)
{
    int32_t st = MCOMP_OK;
    mc_json *j = NULL;
    if (text[strspn(text, " \t\r\n")] == '[') {
        MC_TRY(mc_json_parse(&j, text, strlen(text), where));
        for (int64_t i = 0; i < mc_json_size(j); i++) {
            const char *s = mc_json_string(mc_json_at(j, i));
            if (!s) MC_FAIL(MCOMP_DATA, where, "label %lld is no string", (long long)i);
            MC_TRY(add(l, s, strlen(s), where));
        }
    } else {
        while (*text) {
            size_t n = strcspn(text, "\n");
            const char *next = text + n + (text[n] == '\n');
            if (n > 0 && text[n - 1] == '\r') n--;
            if (n > 0) MC_TRY(add(l, text, n, where));
            text = next;
        }
    }
done:
    mc_json_destroy(j);
    return st;
}

static int compare(const void *a, const void *b) { return strcmp(*(const char *const *)a, *(const char *const *)b); }

int32_t mc_labels_collect(mc_labels *l, const char *const *values, int64_t n)
{
    int32_t st = MCOMP_OK;
    const char **sorted = mc_malloc(sizeof *sorted * (size_t)(n > 0 ? n : 1));
    if (!sorted) return MCOMP_NO_MEMORY;
    if (n > 0) memcpy(sorted, values, sizeof *sorted * (size_t)n);
    qsort(sorted, (size_t)n, sizeof *sorted, compare);
    for (int64_t i = 0; i < n; i++)
        if (i == 0 || strcmp(sorted[i], sorted[i - 1]) != 0) MC_TRY(add(l, sorted[i], strlen(sorted[i]), "labels"));
done:
    mc_free(sorted);
    return st;
}

void mc_labels_free(mc_labels *l)
{
    for (int64_t i = 0; i < l->n; i++) mc_free(l->names[i]);
    mc_free(l->names);
    mc_map_destroy(l->index);
    memset(l, 0, sizeof *l);
}
