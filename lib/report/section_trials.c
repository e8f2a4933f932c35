/* What a search tried, and what it chose. */
#include "report/view.h"

enum { MOST = 400 };

/* "prune.sparsity = 0.8, ..." */
static int32_t choice(void *payload, const char *key, const mc_json *value)
{
    int32_t st = MCOMP_OK;
    mc_str *s = payload;
    const char *word = mc_json_string(value);
    if (s->len > 0) MC_TRY(mc_str_append(s, ", "));
    MC_TRY(mc_str_append(s, key));
    MC_TRY(mc_str_append(s, " = "));
    st = word ? mc_str_append(s, word) : mc_json_dump(value, s);
done:
    return st;
}

static void trials(mc_page *p, const mc_view *v)
{
    static const char *titles[] = {"trial", "choices", "targets", "objective"};
    const mc_json *list = mc_find(v->j, "trials");
    const int64_t n = list && mc_json_is_array(list) ? mc_json_size(list) : 0;
    if (n == 0) return;
    if (mc_find_string(mc_json_at(list, 0), "objective")) titles[3] = mc_find_string(mc_json_at(list, 0), "objective");
    mc_table_open(p, "Trials", "lwlr", titles);
    for (int64_t i = 0; i < n && i < MOST; i++) {
        const mc_json *t = mc_json_at(list, i), *choices = mc_find(t, "choices");
        mc_str text = {0};
        int64_t id;
        int met;
        const char *word = mc_find_string(t, "id");
        if (mc_json_int(mc_find(t, "id"), &id)) mc_cell_shown(p, mc_show_number((double)id));
        else mc_cell(p, word);
        if (choices && p->st == MCOMP_OK) p->st = mc_json_is_object(choices) ? mc_json_each(choices, choice, &text) : mc_json_dump(choices, &text);
        mc_cell(p, text.data);
        mc_str_free(&text);
        mc_cell_met(p, mc_json_bool(mc_find(t, "met"), &met) ? met : -1);
        const double value = mc_find_number(t, "value");
        mc_cell_shown(p, mc_show_number(isfinite(value) ? value : mc_find_number(t, "objective")));
    }
    mc_table_close(p);
}

const mc_section mc_section_trials = {"trials", "Trials", trials};
