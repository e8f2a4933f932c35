/* Recipes: whatever the text, it is read or every error has a place within it; what is read explains itself as the same recipe. */
#include "fuzz/fuzz.h"
#include "recipe/recipe.h"

#include <stdlib.h>

static void check_errors(const mcomp_recipe *r, int32_t st, size_t size)
{
    int32_t n = 0, more = 0;
    if (mcomp_recipe_error_count(r, &n, &more) != MCOMP_OK || (n > 0) != (st == MCOMP_RECIPE) || n > 20) __builtin_trap();
    for (int32_t i = 0; i < n; i++) {
        mcomp_recipe_error e = {.size = sizeof e};
        if (mcomp_recipe_error_get(r, i, &e) != MCOMP_OK || e.line < 1 || e.column < 1 || (size_t)e.line > size + 1 || (size_t)e.column > size + 1 || !*e.text) __builtin_trap();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    mcomp_recipe *r = NULL, *again = NULL;
    mcomp_recipe_options o;
    const char *text;
    if (mcomp_recipe_options_init(&o, sizeof o) != MCOMP_OK) exit(2);
    o.no_files = 1;
    const int32_t st = mcomp_recipe_parse(&r, (const char *)data, size, "r", NULL, &o);
    if ((st == MCOMP_OK || st == MCOMP_RECIPE) != (r != NULL)) __builtin_trap();
    if (r) check_errors(r, st, size);
    if (st == MCOMP_OK) {
        if (mcomp_recipe_explain(&text, r) != MCOMP_OK) __builtin_trap();
        if (mcomp_recipe_parse(&again, text, strlen(text), "r", NULL, &o) != MCOMP_OK) __builtin_trap();
        mc_str a = {0}, b = {0};
        if (mc_section_write(&a, r->top) != MCOMP_OK || mc_section_write(&b, again->top) != MCOMP_OK || strcmp(a.data, b.data) != 0) __builtin_trap();
        mc_str_free(&a);
        mc_str_free(&b);
        for (double v = 0.0; r->n_searched && v < 2.0; v += 1.0) {
            double values[MC_RECIPE_SEARCHED];
            mcomp_recipe *one = NULL;
            for (int64_t i = 0; i < r->n_searched; i++) values[i] = v;
            const int32_t chosen = mc_recipe_choose(&one, r, r->n_searched, values);
            if (chosen != MCOMP_OK && chosen != MCOMP_RECIPE) __builtin_trap();
            mcomp_recipe_destroy(one);
        }
    }
    mcomp_recipe_destroy(again);
    mcomp_recipe_destroy(r);
    return 0;
}
