/* The tables of criteria, patterns and schedules, and how names are looked up. */
#include "prune/prune.h"

#include <math.h>

#define MAX_NAMES 32

static int32_t unknown(const char *what, const char *name, const char *const *names)
{
    const char *near = mc_nearest(name, names);
    mc_str list = {0};
    for (int i = 0; names[i]; i++) (void)mc_str_appendf(&list, "%s%s", i ? ", " : "", names[i]);
    const int32_t st = mc_fail(MCOMP_ARGUMENT, what, "there is no %s \"%.60s\"", what, name);
    if (near) (void)mc_fail_hint("did you mean %s? There are %s", near, list.data ? list.data : "");
    else (void)mc_fail_hint("there are %s", list.data ? list.data : "");
    mc_str_free(&list);
    return st;
}

#define FIND(what, table, entry_name)                                                                                  \
    const char *names[MAX_NAMES + 1] = {NULL};                                                                         \
    for (size_t i = 0; i < sizeof table / sizeof *table && i < MAX_NAMES; i++) {                                       \
        if (strcmp(entry_name, name) == 0) return entry;                                                               \
        names[i] = entry_name;                                                                                         \
    }                                                                                                                  \
    (void)unknown(what, name, names);                                                                                  \
    return NULL

/* ---- criteria ---- */

#define MC_CRITERION(name) extern const mc_criterion mc_criterion_##name;
#include "prune/criteria.def"
#undef MC_CRITERION

const mc_criterion *mc_criterion_find(const char *name)
{
    static const mc_criterion *const table[] = {
#define MC_CRITERION(name) &mc_criterion_##name,
#include "prune/criteria.def"
#undef MC_CRITERION
    };
#define entry table[i]
    FIND("criterion", table, table[i]->name);
#undef entry
}

/* ---- patterns ---- */

const mc_prune_pattern *mc_prune_pattern_find(const char *name)
{
    static const mc_prune_pattern table[] = {
#define MC_PATTERN(name, kind, rows, cols) {name, kind, rows, cols},
#include "prune/patterns.def"
#undef MC_PATTERN
    };
#define entry &table[i]
    FIND("pattern", table, table[i].name);
#undef entry
}

/* ---- schedules ---- */

#define RISE (2.0 / 3.0) /* of the updates; the rest trains what is left */
#define STEP 0.1         /* of iterative pruning */

static double at_once(double done, double target)
{
    (void)done;
    return target;
}

static double start(double target)
{
    (void)target;
    return 0.0;
}

static double rise_end(double target)
{
    (void)target;
    return RISE;
}

static double linear(double done, double target) { return done >= RISE ? target : target * done / RISE; }

/* Zhu and Gupta, "To prune, or not to prune", 2017: target (1 - (1 - t)^3). */
static double cubic(double done, double target)
{
    const double left = done >= RISE ? 0.0 : 1.0 - done / RISE;
    return target * (1.0 - left * left * left);
}

static double steps_of(double target) { return fmax(1.0, ceil(target / STEP - 1e-9)); }

/* Ten points at a time, the same number of updates after each. */
static double iterative(double done, double target)
{
    const double steps = steps_of(target), k = fmin(floor(done * steps + 1e-9), steps - 1.0);
    return fmin(target, STEP * (k + 1.0));
}

static double iterative_end(double target) { return (steps_of(target) - 1.0) / steps_of(target); }

const mc_prune_schedule *mc_prune_schedule_find(const char *name)
{
    static const mc_prune_schedule table[] = {
        {"one-shot", at_once, start, 1},
        {"iterative", iterative, iterative_end, 1},
        {"linear", linear, rise_end, 0},
        {"cubic", cubic, rise_end, 0},
    };
#define entry &table[i]
    FIND("schedule", table, table[i].name);
#undef entry
}

int mc_prune_due(const mc_prune_schedule *s, int64_t u, int64_t total, double target, double *fraction)
{
    const double now = (double)u / (double)total, before = (double)(u - 1) / (double)total;
    const int64_t every = total / 50 + 1;
    *fraction = s->at(now, target);
    if (*fraction <= s->at(before, target)) return 0;
    return s->jumps || u % every == 0 || *fraction >= target;
}
