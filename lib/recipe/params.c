/* The table of parameters. */
#include "recipe/values.h"

enum {
    DISTILL = MC_BIT(MC_IN_DISTILL),
    PRUNE = MC_BIT(MC_IN_PRUNE),
    QUANTIZE = MC_BIT(MC_IN_QUANTIZE),
    FINETUNE = MC_BIT(MC_IN_FINETUNE),
    TOP = MC_BIT(MC_IN_TOP),
    MODEL = MC_BIT(MC_IN_MODEL),
    EXPECT = MC_BIT(MC_IN_EXPECT),
    DATA = MC_BIT(MC_IN_DATA),
    TRAIN = MC_BIT(MC_IN_TRAIN),
    VALID = MC_BIT(MC_IN_VALID),
    EVAL = MC_BIT(MC_IN_EVAL),
    CALIB = MC_BIT(MC_IN_CALIB),
    TARGET = MC_BIT(MC_IN_TARGET),
    SEARCH = MC_BIT(MC_IN_SEARCH),
    EXPORT = MC_BIT(MC_IN_EXPORT),
    REPORT = MC_BIT(MC_IN_REPORT),
    COST = MC_BIT(MC_IN_COST),
    LOSS = MC_BIT(MC_IN_LOSS),
    RULE = MC_BIT(MC_IN_RULE)
};

#define MC_MUST ""

static const mc_param table[] = {
#define MC_PARAM(in, key, type, lo, hi, words, standard, since, text) {in, key, MC_P_##type, lo, hi, words, MC_IN_TOP, standard, since, text},
#define MC_NEST(in, key, type, of, standard, since, text) {in, key, MC_P_##type, 0, 0, NULL, MC_IN_##of, standard, since, text},
#include "recipe/params.def"
#undef MC_PARAM
#undef MC_NEST
};
#define N ((int32_t)(sizeof table / sizeof *table))

const mc_param *mc_params(int32_t *n)
{
    *n = N;
    return table;
}

const mc_param *mc_param_find(mc_section_kind kind, const char *key)
{
    for (int32_t i = 0; i < N; i++)
        if ((table[i].in & MC_BIT(kind)) && strcmp(table[i].key, key) == 0) return &table[i];
    return NULL;
}

int mc_param_required(const mc_param *p) { return p->standard && !*p->standard; }

const char *mc_section_kind_name(mc_section_kind kind)
{
    static const char *const names[MC_SECTION_KINDS] = {"distill", "prune", "quantize", "finetune", "recipe", "model", "expect", "data", "train", "valid",
                                                        "eval", "calib", "target", "search", "export", "report", "cost", "losses", "rules"};
    return names[kind];
}
