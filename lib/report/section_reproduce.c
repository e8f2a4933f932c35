/* Everything it takes to do it again: command, recipe, data by content, machine. */
#include "report/view.h"

static void line(mc_page *p, const char *title, const char *text)
{
    if (!text || !*text) return;
    mc_cell(p, title);
    mc_cell(p, text);
}

/* A word that a shell would take apart is quoted. */
static int32_t argv_text(mc_str *out, const mc_json *argv)
{
    int32_t st = MCOMP_OK;
    for (int64_t i = 0; st == MCOMP_OK && i < mc_json_size(argv); i++) {
        const char *word = mc_json_string(mc_json_at(argv, i));
        if (!word) continue;
        if (i > 0) MC_TRY(mc_str_append(out, " "));
        if (*word && strspn(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./:=,@%+") == strlen(word)) {
            MC_TRY(mc_str_append(out, word));
            continue;
        }
        MC_TRY(mc_str_append(out, "'"));
        for (; *word; word++) MC_TRY(*word == '\'' ? mc_str_append(out, "'\\''") : mc_str_append_bytes(out, word, 1));
        MC_TRY(mc_str_append(out, "'"));
    }
done:
    return st;
}

static void command(mc_page *p, const mc_view *v)
{
    mc_str text = {0};
    const mc_json *argv = mc_find(v->j, "argv");
    if (!argv || !mc_json_is_array(argv)) return;
    if (p->st == MCOMP_OK) p->st = argv_text(&text, argv);
    line(p, "command", text.data);
    mc_str_free(&text);
}

static int32_t data_row(void *payload, const char *key, const mc_json *d)
{
    mc_page *p = payload;
    const char *hash = mc_find_string(d, "sha256"), *path = mc_find_string(d, "path");
    mc_cell(p, key);
    mc_cell(p, path);
    mc_cell_shown(p, mc_show_number(mc_find_number(d, "samples")));
    mc_cell(p, hash);
    return p->st;
}

static void reproduce(mc_page *p, const mc_view *v)
{
    static const char *const titles[] = {"", ""}, *const data_titles[] = {"data", "argument", "samples", "SHA-256"};
    const mc_json *data = mc_find(v->j, "data"), *m = mc_find(v->j, "machine");
    const char *recipe = mc_find_string(v->j, "recipe.text");
    const double seed = mc_find_number(v->j, "seed"), threads = mc_find_number(m, "threads");
    int64_t before = p->s.len;
    mc_table_open(p, "How it was made", "lw", titles);
    const int64_t empty = p->s.len;
    command(p, v);
    line(p, "mcomp", mc_find_string(v->j, "mcomp"));
    line(p, "CPU", mc_find_string(m, "cpu"));
    line(p, "instructions", mc_find_string(m, "isa"));
    if (isfinite(threads)) line(p, "threads", mc_show_number(threads).text);
    if (isfinite(seed)) line(p, "seed", mc_show_number(seed).text);
    line(p, "recipe", mc_find_string(v->j, "recipe.path"));
    line(p, "SHA-256 of the recipe", mc_find_string(v->j, "recipe.sha256"));
    line(p, "model", mc_find_string(v->j, "output"));
    if (p->st == MCOMP_OK && p->s.len == empty) p->s.data[p->s.len = before] = 0;
    else mc_table_close(p);
    if (data && mc_json_is_object(data) && mc_json_size(data) > 0) {
        mc_table_open(p, "Data, by content", "lwrw", data_titles);
        (void)mc_json_each(data, data_row, p);
        mc_table_close(p);
    }
    if (recipe) {
        mc_fold_open(p, "The recipe, every default written out");
        mc_page_pre(p, recipe);
        mc_fold_close(p);
    }
}

const mc_section mc_section_reproduce = {"reproduce", "How to do it again", reproduce};
