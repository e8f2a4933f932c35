/* The table of losses with a teacher, and the list of them that a user gives. */
#include "distill/distill.h"

#define MC_KD(symbol, tap) mc_value *mc_kd_##symbol(mc_kd_site *k);
#include "distill/losses.def"
#undef MC_KD
#define MC_KD(symbol, tap) {#symbol, tap, mc_kd_##symbol},
static const mc_kd table[] = {
#include "distill/losses.def"
};
#undef MC_KD
#define N ((int32_t)(sizeof table / sizeof *table))

int32_t mc_kd_count(void) { return N; }

const mc_kd *mc_kd_find(const char *name)
{
    const char *names[N + 1];
    for (int32_t i = 0; i < N; i++) {
        if (strcmp(table[i].name, name) == 0) return &table[i];
        names[i] = table[i].name;
    }
    names[N] = NULL;
    const char *near = mc_nearest(name, names);
    mc_str all = {0};
    for (int32_t i = 0; i < N && mc_str_appendf(&all, "%s%s", i ? ", " : "", names[i]) == MCOMP_OK; i++) continue;
    (void)mc_fail(MCOMP_ARGUMENT, "losses", "there is no loss with a teacher named \"%.60s\"", name);
    if (near) (void)mc_fail_hint("did you mean %s?", near);
    else (void)mc_fail_hint("there are: %s", all.data ? all.data : "");
    mc_str_free(&all);
    return NULL;
}

static int32_t add(mc_kd_choice *out, int32_t *n, char *item)
{
    mc_kd_choice c = {.weight = 1.0};
    char *eq = strchr(item, '=');
    if (eq) *eq = 0;
    c.loss = mc_kd_find(item);
    if (!c.loss) return mc_error_peek()->code;
    if (eq && (mc_parse_f64(eq + 1, &c.weight) != MCOMP_OK || !(c.weight > 0.0 && c.weight < 1e6)))
        return mc_fail(MCOMP_RANGE, item, "\"%.40s\" is no weight: a positive number is needed", eq + 1);
    for (int32_t i = 0; i < *n; i++)
        if (out[i].loss == c.loss) return mc_fail(MCOMP_ARGUMENT, item, "the loss is named twice");
    if (*n == MC_KD_MAX) return mc_fail(MCOMP_LIMIT, "losses", "more than %d losses", MC_KD_MAX);
    out[(*n)++] = c;
    return MCOMP_OK;
}

int32_t mc_kd_parse(mc_kd_choice out[MC_KD_MAX], int32_t *n, const char *text)
{
    int32_t st = MCOMP_OK;
    *n = 0;
    char *copy = mc_strdup(text), *rest = copy;
    if (!copy) return MCOMP_NO_MEMORY;
    for (char *item; st == MCOMP_OK && (item = strsep(&rest, ",")) != NULL;) st = add(out, n, item);
    mc_free(copy);
    return st;
}
