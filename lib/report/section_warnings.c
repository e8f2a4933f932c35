/* What the run warned of. */
#include "report/view.h"

enum { MOST = 200 };

static void warnings(mc_page *p, const mc_view *v)
{
    static const char *const titles[] = {"code", "where", "warning"};
    const mc_json *list = mc_find(v->j, "warnings");
    const int64_t n = list && mc_json_is_array(list) ? mc_json_size(list) : 0;
    const char *failed = mc_find_string(v->j, "error.what");
    if (failed) {
        mc_page_html(p, "<p class=\"verdict bad\">");
        mc_page_raw(p, "\xe2\x9c\x97 ");
        mc_page_text(p, failed);
        mc_page_raw(p, p->markdown ? "\n\n" : "</p>\n");
    }
    if (n == 0) return;
    mc_table_open(p, "Warnings", "lwl", titles);
    for (int64_t i = 0; i < n && i < MOST; i++) {
        const mc_json *w = mc_json_at(list, i);
        const char *node = mc_find_string(w, "node");
        mc_cell(p, mc_find_string(w, "code"));
        mc_cell(p, node ? node : "");
        mc_cell(p, mc_find_string(w, "text"));
    }
    mc_table_close(p);
}

const mc_section mc_section_warnings = {"warnings", "Warnings", warnings};
