/* docs/parameters.md against the table of parameters: `params_docs FILE` compares, `params_docs --write FILE` writes it. */
#include <stdio.h>
#include <stdlib.h>

#include "recipe/recipe.h"

static int32_t kind_text(mc_str *out, const mc_param *p)
{
    static const char *const types[] = {"whole number", "number", "true or false", NULL, "text", "patterns", "file", "data argument", "tokenizer", "student", "folder", "section", "list", "list of passes"};
    if (p->type != MC_P_CHOICE) return mc_str_append(out, types[p->type]);
    int32_t st = MCOMP_OK;
    for (const char *c = p->words; *c && st == MCOMP_OK; c++) st = *c == '|' ? mc_str_append(out, ", ") : mc_str_append_bytes(out, c, 1);
    return st;
}

static int32_t row(mc_str *out, const mc_param *p)
{
    int32_t st = MCOMP_OK;
    MC_TRY(mc_str_appendf(out, "| `%s` | ", p->key));
    MC_TRY(kind_text(out, p));
    if (p->type == MC_P_INT) MC_TRY(mc_str_appendf(out, ", %.0f to %.0f", p->lo, p->hi));
    if (p->type == MC_P_NUM) MC_TRY(mc_str_appendf(out, ", %g to %g", p->lo, p->hi));
    st = mc_str_appendf(out, " | %s%s%s | %s | %s |\n", mc_param_required(p) ? "needed" : p->standard ? "`" : "", mc_param_required(p) ? "" : p->standard ? p->standard : "",
                        p->standard && !mc_param_required(p) ? "`" : "", p->text, p->since);
done:
    return st;
}

static int same_rows(mc_section_kind a, mc_section_kind b)
{
    int32_t n;
    const mc_param *p = mc_params(&n);
    for (int32_t i = 0; i < n; i++)
        if (!(p[i].in >> a & 1) != !(p[i].in >> b & 1)) return 0;
    return 1;
}

static int32_t page(mc_str *out)
{
    int32_t st = MCOMP_OK, n;
    const mc_param *p = mc_params(&n);
    const mc_section_kind order[] = {MC_IN_TOP, MC_IN_MODEL, MC_IN_EXPECT, MC_IN_DATA, MC_IN_TRAIN, MC_IN_VALID, MC_IN_EVAL, MC_IN_CALIB, MC_IN_TARGET, MC_IN_SEARCH, MC_IN_DISTILL, MC_IN_LOSS,
                                     MC_IN_PRUNE, MC_IN_QUANTIZE, MC_IN_RULE, MC_IN_FINETUNE, MC_IN_EXPORT, MC_IN_REPORT, MC_IN_COST};
    MC_TRY(mc_str_append(out, "# Parameters of a recipe\n\nMade from `lib/recipe/params.def` (`params_docs --write docs/parameters.md`). How a recipe is written: [recipes.md](recipes.md). Where the\n"
                              "default is empty there is none, or the text says what it follows from; `mcomp recipe explain` prints the value.\n"));
    for (size_t k = 0; k < sizeof order / sizeof *order; k++) {
        if (order[k] == MC_IN_EVAL && same_rows(MC_IN_VALID, MC_IN_EVAL)) continue;
        MC_TRY(mc_str_appendf(out, "\n## %s%s\n\n| key | value | default | meaning | since |\n|---|---|---|---|---|\n", mc_section_kind_name(order[k]), order[k] == MC_IN_VALID ? ", eval" : ""));
        for (int32_t i = 0; i < n; i++)
            if (p[i].in >> order[k] & 1) MC_TRY(row(out, &p[i]));
    }
done:
    return st;
}

int main(int argc, char **argv)
{
    mc_str want = {0};
    char *have = NULL;
    uint64_t bytes = 0;
    if (page(&want) != MCOMP_OK || argc < 2) return 2;
    if (argc == 3 && strcmp(argv[1], "--write") == 0) {
        FILE *f = fopen(argv[2], "w");
        return f && fputs(want.data, f) >= 0 && fclose(f) == 0 ? 0 : 2;
    }
    const int same = mc_file_read(argv[1], 1 << 24, &have, &bytes) == MCOMP_OK && strcmp(have, want.data) == 0;
    if (!same) printf("%s is not what the table says: params_docs --write %s\n", argv[1], argv[1]);
    mc_free(have);
    mc_str_free(&want);
    return !same;
}
