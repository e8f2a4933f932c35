/* The handle: reading from a file or a text, its errors, copies with searched values fixed. */
#include "recipe/values.h"

#include <stdio.h>

int32_t mcomp_recipe_options_init(mcomp_recipe_options *o, uint32_t size)
{
    MC_API_ENTER();
    return mc_options_init(o, size, sizeof *o, "mcomp_recipe_options");
}

void mcomp_recipe_destroy(mcomp_recipe *r)
{
    if (!r) return;
    for (int32_t i = 0; i < r->n_notes; i++) {
        mc_free(r->notes[i].text);
        mc_free(r->notes[i].hint);
        mc_free(r->notes[i].source);
    }
    mc_arena_destroy(r->arena);
    mc_str_free(&r->explained);
    mc_str_free(&r->result);
    mc_free(r->path);
    mc_free(r->folder);
    mc_free(r->text);
    mc_free(r);
}

/* The record has the first error; the handle has all. */
static int32_t report(const mcomp_recipe *r)
{
    char where[256], others[32] = "";
    const mc_recipe_note *n = r->notes;
    if (r->n_notes == 0) return MCOMP_OK;
    const int more = r->n_notes + r->more - 1;
    if (more) snprintf(others, sizeof others, " (and %d more)", more);
    snprintf(where, sizeof where, "%s:%d:%d", r->path, n->mark.line, n->mark.column);
    mc_error_clear();
    (void)mc_fail(MCOMP_RECIPE, where, "%s%s", n->text, others);
    return *n->hint ? mc_fail_hint("%s", n->hint) : MCOMP_RECIPE;
}

/* Takes over text. *out stays also when there are errors in it. */
static int32_t make(mcomp_recipe **out, char *text, uint64_t bytes, const char *path, const char *folder, const mcomp_recipe_options *o, const double *choices, int64_t n_choices)
{
    int32_t st = MCOMP_OK;
    mc_ynode *root = NULL;
    mcomp_recipe *r = mc_calloc(1, sizeof *r);
    if (!r) {
        mc_free(text);
        return MCOMP_NO_MEMORY;
    }
    *r = (mcomp_recipe){.text = text, .bytes = bytes, .options = *o, .choices = choices, .n_choices = n_choices, .path = mc_strdup(path), .folder = mc_strdup(folder), .arena = mc_arena_create()};
    if (!r->path || !r->folder || !r->arena) MC_TRY(MCOMP_NO_MEMORY);
    MC_TRY(mc_yaml_read(&root, r));
    MC_TRY(mc_recipe_read(r, root));
    if (root) MC_TRY(mc_recipe_resolve(r));
    if (root) MC_TRY(mc_recipe_meaning(r));
    r->choices = NULL;
    if (choices) r->n_searched = 0;
    st = report(r);
    *out = r;
    r = NULL;
done:
    mcomp_recipe_destroy(r);
    return st;
}

static int32_t options_of(mcomp_recipe_options *o, const mcomp_recipe_options *given)
{
    *o = (mcomp_recipe_options){.size = sizeof *o};
    const int32_t st = mc_options_read(o, sizeof *o, given, "options");
    if (st == MCOMP_OK && (o->outside & ~1 || o->no_files & ~1 || o->reserved)) return mc_fail(MCOMP_ARGUMENT, "options", "a flag is 0 or 1, what is reserved is 0");
    return st;
}

int32_t mcomp_recipe_load(mcomp_recipe **out, const char *path, const mcomp_recipe_options *options)
{
    int32_t st;
    char *text = NULL, *folder = NULL;
    uint64_t bytes;
    mcomp_recipe_options o;
    MC_API_ENTER();
    MC_CHECK_ARG(1, out, "out", "is NULL");
    *out = NULL;
    MC_CHECK_ARG(2, path, "path", "is NULL");
    MC_TRY(options_of(&o, options));
    MC_TRY(mc_file_read(path, MC_YAML_BYTES, &text, &bytes));
    const char *slash = strrchr(path, '/');
    folder = slash ? mc_strndup(path, slash == path ? 1 : (size_t)(slash - path)) : mc_strdup("");
    if (!folder) MC_TRY(MCOMP_NO_MEMORY);
    char *given = text;
    text = NULL;
    st = make(out, given, bytes, path, folder, &o, NULL, 0);
done:
    mc_free(text);
    mc_free(folder);
    return st;
}

int32_t mcomp_recipe_parse(mcomp_recipe **out, const char *text, uint64_t bytes, const char *name, const char *folder, const mcomp_recipe_options *options)
{
    int32_t st;
    mcomp_recipe_options o;
    MC_API_ENTER();
    MC_CHECK_ARG(1, out, "out", "is NULL");
    *out = NULL;
    MC_CHECK_ARG(2, text, "text", "is NULL");
    if ((st = options_of(&o, options)) != MCOMP_OK) return st;
    if (bytes > MC_YAML_BYTES) return mc_fail(MCOMP_LIMIT, name, "%llu bytes; a recipe has at most 1 MiB", (unsigned long long)bytes);
    char *copy = mc_malloc(bytes + 1);
    if (!copy) return MCOMP_NO_MEMORY;
    memcpy(copy, text, bytes);
    copy[bytes] = 0;
    return make(out, copy, bytes, name ? name : "recipe", folder ? folder : "", &o, NULL, 0);
}

int32_t mc_recipe_choose(mcomp_recipe **out, const mcomp_recipe *r, int64_t n, const double *values)
{
    static const double none[1] = {0.0};
    *out = NULL;
    if (n != r->n_searched) return mc_fail(MCOMP_ARGUMENT, r->path, "%lld values for %lld that are searched", (long long)n, (long long)r->n_searched);
    char *copy = mc_malloc(r->bytes + 1);
    if (!copy) return MCOMP_NO_MEMORY;
    memcpy(copy, r->text, r->bytes);
    copy[r->bytes] = 0;
    return make(out, copy, r->bytes, r->path, r->folder, &r->options, n ? values : none, n);
}

int32_t mcomp_recipe_error_count(const mcomp_recipe *r, int32_t *count, int32_t *more)
{
    MC_API_ENTER();
    MC_CHECK_ARG(1, r, "r", "is NULL");
    MC_CHECK_ARG(2, count, "count", "is NULL");
    *count = r->n_notes;
    if (more) *more = r->more;
    return MCOMP_OK;
}

int32_t mcomp_recipe_error_get(const mcomp_recipe *r, int32_t index, mcomp_recipe_error *out)
{
    MC_API_ENTER();
    MC_CHECK_ARG(1, r, "r", "is NULL");
    MC_CHECK_ARG(2, index >= 0 && index < r->n_notes, "index", "is beyond the last error");
    MC_CHECK_ARG(3, out, "out", "is NULL");
    const mc_recipe_note *n = &r->notes[index];
    const mcomp_recipe_error e = {.code = n->code, .line = n->mark.line, .column = n->mark.column, .file = r->path, .text = n->text, .hint = n->hint, .source = n->source};
    return mc_info_give(out, &e, sizeof e, 3);
}
