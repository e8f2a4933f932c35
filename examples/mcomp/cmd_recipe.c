/* mcomp recipe: checks a recipe and names every error with its line, prints it with all defaults, prints the JSON Schema for editors. */
#include "cli.h"

#include <stdlib.h>
#include <string.h>

/* As compilers print it: place, line, caret. */
static void print_error(const mcomp_recipe_error *e)
{
    fprintf(stderr, "%s:%d:%d: error: %s\n", e->file, e->line, e->column, e->text);
    if (*e->source) fprintf(stderr, "    %s\n    %*s^\n", e->source, e->column - 1, "");
    if (*e->hint) fprintf(stderr, "    %s\n", e->hint);
}

static int list_errors(cli *c, const mcomp_recipe *r, const char *path)
{
    int st = 0;
    int32_t n = 0, more = 0;
    json_t *list = json_array();
    cli_set(c->root, "errors", list);
    if (!r) return 0;
    CLI_LIB(mcomp_recipe_error_count(r, &n, &more));
    for (int32_t i = 0; i < n; i++) {
        mcomp_recipe_error e = {.size = sizeof e};
        CLI_LIB(mcomp_recipe_error_get(r, i, &e));
        if (!c->json) print_error(&e);
        (void)json_array_append_new(list, json_pack("{s:s,s:i,s:i,s:s,s:s}", "file", e.file, "line", (int)e.line, "column", (int)e.column, "text", e.text, "hint", e.hint));
    }
    if (more) cli_warn(c, "MORE", "", "%d errors more are not listed", (int)more);
    if (n) st = cli_fail(c, MCOMP_RECIPE, path, "", n + more == 1 ? "%d error in the recipe" : "%d errors in the recipe", (int)(n + more));
done:
    return st;
}

int cli_recipe_load(cli *c, const char *path, mcomp_recipe **r)
{
    int st = 0;
    mcomp_recipe_options o;
    CLI_LIB(mcomp_recipe_options_init(&o, sizeof o));
    o.outside = cli_has(c, "outside");
    o.no_files = cli_has(c, "no-files");
    const int32_t status = mcomp_recipe_load(r, path, &o);
    if (status != 0 && status != MCOMP_RECIPE) st = cli_lib(c, status);
    else st = list_errors(c, *r, path);
done:
    return st;
}

int cli_recipe_parse(cli *c, const char *text, mcomp_recipe **r)
{
    const int32_t status = mcomp_recipe_parse(r, text, strlen(text), "preset", NULL, NULL);
    if (status != 0 && status != MCOMP_RECIPE) return cli_lib(c, status);
    return list_errors(c, *r, "preset");
}

static int explain(cli *c, mcomp_recipe *r)
{
    int st = 0;
    const char *text;
    CLI_LIB(mcomp_recipe_explain(&text, r));
    cli_set(c->root, "recipe", json_string(text));
    if (!c->json) fputs(text, stdout);
done:
    return st;
}

static int schema(cli *c)
{
    int st = 0;
    uint64_t n = 0;
    char *text = NULL;
    CLI_LIB(mcomp_recipe_schema(&n, NULL, 0));
    if (!(text = malloc(n))) return cli_fail(c, MCOMP_NO_MEMORY, "", "", "no memory");
    CLI_LIB(mcomp_recipe_schema(&n, text, n));
    cli_set(c->root, "schema", json_loads(text, 0, NULL));
    if (!c->json) puts(text);
done:
    free(text);
    return st;
}

static int run(cli *c)
{
    int st = 0;
    mcomp_recipe *r = NULL;
    const char *const actions[] = {"check", "explain", "schema", NULL};
    const char *action = c->pos[0], *path = c->n_pos > 1 ? c->pos[1] : NULL;
    int k = 0;
    while (actions[k] && strcmp(actions[k], action) != 0) k++;
    if (!actions[k]) {
        const char *near = cli_nearest(action, actions);
        char hint[64];
        snprintf(hint, sizeof hint, near ? "did you mean %s?" : "check, explain or schema", near);
        return cli_fail(c, MCOMP_ARGUMENT, action, hint, "mcomp recipe cannot \"%.60s\"", action);
    }
    if (!path && k < 2) return cli_fail(c, MCOMP_ARGUMENT, "RECIPE", c->verb->usage, "mcomp recipe %s needs a recipe", action);
    if (path) CLI_TRY(cli_recipe_load(c, path, &r));
    if (k == 0) cli_say(c, "%s: no errors\n", path);
    else if (k == 1) st = explain(c, r);
    else st = schema(c);
done:
    mcomp_recipe_destroy(r);
    return st;
}

static const cli_opt opts[] = {
    {"outside", OPT_FLAG, "search.cache may lie outside of the recipe's folder"},
    {"no-files", OPT_FLAG, "files that the recipe names need not be there"},
    {NULL, 0, NULL},
};
const cli_verb cli_recipe = {.name = "recipe", .usage = "mcomp recipe check|explain RECIPE | mcomp recipe schema [RECIPE]",
                             .about = "errors of a recipe, the recipe with every default, the JSON Schema of recipes", .min_pos = 1, .max_pos = 2, .opts = opts, .run = run};
