/* What was asked for and whether it was reached. */
#include "report/view.h"

typedef struct target_row {
    const char *key, *title;
    mc_shown (*show)(double);
} target_row;

static const target_row known[] = {
    {"max_drop", "loss of accuracy, at most", mc_show_percent}, {"max_size_bytes", "size, at most", mc_show_bytes},
    {"max_p50_ms", "median latency, at most", mc_show_ms},
};

static const target_row *row_of(const char *key)
{
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(known[i].key, key) == 0) return &known[i];
    return NULL;
}

/* A constraint is any member with a limit: what a later version asks for is listed under its own key. */
static int32_t row(void *payload, const char *key, const mc_json *value)
{
    mc_page *p = payload;
    int met = 0;
    if (!mc_find(value, "limit")) return MCOMP_OK;
    const target_row *k = row_of(key);
    mc_shown (*show)(double) = k ? k->show : mc_show_number;
    const int judged = mc_json_bool(mc_find(value, "met"), &met);
    mc_cell(p, k ? k->title : key);
    mc_cell_shown(p, show(mc_find_number(value, "limit")));
    mc_cell_shown(p, show(mc_find_number(value, "value")));
    mc_cell_met(p, judged ? met : -1);
    return p->st;
}

static void targets(mc_page *p, const mc_view *v)
{
    static const char *const titles[] = {"target", "limit", "reached", ""};
    int met = 0;
    const mc_json *t = mc_find(v->j, "target");
    if (!t || !mc_json_is_object(t)) return;
    if (mc_json_bool(mc_json_get(t, "met"), &met)) {
        mc_page_html(p, met ? "<p class=\"verdict good\">" : "<p class=\"verdict bad\">");
        mc_page_raw(p, met ? "\xe2\x9c\x93 Every target is met." : "\xe2\x9c\x97 A target is missed: the model is the best that was found.");
        mc_page_raw(p, p->markdown ? "\n\n" : "</p>\n");
    }
    if (mc_json_size(t) < 2) return;
    mc_table_open(p, "Targets", "lrrl", titles);
    (void)mc_json_each(t, row, p);
    mc_table_close(p);
}

const mc_section mc_section_targets = {"targets", "Targets", targets};
