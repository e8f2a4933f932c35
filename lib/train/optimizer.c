/* The table of optimizers. */
#include "train/train.h"

#define MC_OPTIMIZER(name_, op_, slots_, decoupled_, lr_, decay_) {#name_, #op_, slots_, decoupled_, lr_, decay_},
static const mc_optimizer table[] = {
#include "train/optimizers.def"
};
#undef MC_OPTIMIZER
#define N (sizeof table / sizeof *table)

const mc_optimizer *mc_optimizer_find(const char *name)
{
    const char *names[N + 1] = {NULL};
    for (size_t i = 0; i < N; i++) {
        if (strcmp(table[i].name, name) == 0) return &table[i];
        names[i] = table[i].name;
    }
    const char *near = mc_nearest(name, names);
    (void)mc_fail(MCOMP_ARGUMENT, "optimizer", "there is no optimizer \"%.60s\"", name);
    (void)mc_fail_hint(near ? "did you mean %s?" : "sgd, adam, adamw and lamb exist%s", near ? near : "");
    return NULL;
}
