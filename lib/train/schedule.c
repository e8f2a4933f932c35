/* Learning-rate schedules: a factor of the base rate over the training's progress. One row each; all may start with a linear warm-up. */
#include "train/train.h"

#include <math.h>

static double constant(double t) { (void)t; return 1.0; }
static double linear(double t) { return 1.0 - t; }
static double cosine(double t) { return 0.5 * (1.0 + cos(3.14159265358979323846 * t)); }
static double step(double t) { return t < 1.0 / 3.0 ? 1.0 : t < 2.0 / 3.0 ? 0.1 : 0.01; } /* a tenth after each third */
/* Smith and Topin (2019), in two cosines: from 1/25 up to 1 over 30 % of the way, then down to 1/250000. */
static double one_cycle(double t)
{
    const double low = 1.0 / 25.0, end = 1.0 / 250000.0, up = 0.3;
    return t < up ? 1.0 + (low - 1.0) * cosine(t / up) : end + (1.0 - end) * cosine((t - up) / (1.0 - up));
}

static const mc_schedule table[] = {{"constant", constant}, {"linear", linear}, {"cosine", cosine}, {"step", step}, {"one-cycle", one_cycle}};
#define N (sizeof table / sizeof *table)

const mc_schedule *mc_schedule_find(const char *name)
{
    const char *names[N + 1] = {NULL};
    for (size_t i = 0; i < N; i++) {
        if (strcmp(table[i].name, name) == 0) return &table[i];
        names[i] = table[i].name;
    }
    const char *near = mc_nearest(name, names);
    (void)mc_fail(MCOMP_ARGUMENT, "schedule", "there is no schedule \"%.60s\"", name);
    (void)mc_fail_hint(near ? "did you mean %s?" : "constant, linear, cosine, step and one-cycle exist%s", near ? near : "");
    return NULL;
}

double mc_schedule_at(const mc_schedule *s, int64_t step_, int64_t total, int64_t warmup)
{
    if (step_ < warmup) return (double)(step_ + 1) / (double)warmup;
    const int64_t rest = total - warmup;
    const double t = rest > 1 ? (double)(step_ - warmup) / (double)rest : 0.0;
    return s->factor(t > 1.0 ? 1.0 : t);
}
