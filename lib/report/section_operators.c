/* Where the time of a run goes, by operator, in the first and in the last stage that were profiled. */
#include "report/view.h"

#include <stdio.h>
#include <stdlib.h>

enum { MOST = 64, DRAWN = 12 };

typedef struct op_row {
    const char *op;
    double us[2], count[2];
} op_row;

typedef struct ops_table {
    op_row rows[MOST];
    int n;
    double total[2];
} ops_table;

static op_row *row_of(ops_table *t, const char *op)
{
    for (int i = 0; i < t->n; i++)
        if (strcmp(t->rows[i].op, op) == 0) return &t->rows[i];
    if (t->n == MOST) return &t->rows[MOST - 1]; /* what is beyond goes to the last */
    t->rows[t->n] = (op_row){.op = t->n == MOST - 1 ? "others" : op, .us = {(double)NAN, (double)NAN}, .count = {(double)NAN, (double)NAN}};
    return &t->rows[t->n++];
}

static void plus(double *to, double v)
{
    if (isfinite(v) && v >= 0.0) *to = isfinite(*to) ? *to + v : v;
}

static void read_ops(ops_table *t, const mc_json *list, int side, int one_each)
{
    t->total[side] = (double)NAN;
    for (int64_t i = 0; list && mc_json_is_array(list) && i < mc_json_size(list); i++) {
        const mc_json *j = mc_json_at(list, i);
        const char *op = mc_find_string(j, "op");
        const double us = mc_find_number(j, "us");
        if (!op || !(us >= 0.0)) continue;
        op_row *r = row_of(t, op);
        plus(&r->us[side], us);
        plus(&r->count[side], one_each ? 1.0 : mc_find_number(j, "count"));
        plus(&t->total[side], us);
    }
}

static int dearer(const void *a, const void *b)
{
    const op_row *x = a, *y = b;
    const double u = fmax(isfinite(x->us[0]) ? x->us[0] : 0.0, isfinite(x->us[1]) ? x->us[1] : 0.0);
    const double w = fmax(isfinite(y->us[0]) ? y->us[0] : 0.0, isfinite(y->us[1]) ? y->us[1] : 0.0);
    return u < w ? 1 : u > w ? -1 : strcmp(x->op, y->op);
}

static void chart(mc_page *p, const ops_table *t, const char *const names[2])
{
    mc_bar bars[DRAWN];
    char values[DRAWN][120];
    int n = 0;
    for (; n < t->n && n < DRAWN; n++) {
        const op_row *r = &t->rows[n];
        const int both = names[0] && names[1];
        snprintf(values[n], sizeof values[n], "%s%s%s", isfinite(r->us[0]) ? mc_show_ms(r->us[0] / 1e3).text : both ? "\xe2\x80\x93" : "", both ? " \xe2\x86\x92 " : "",
                 isfinite(r->us[1]) ? mc_show_ms(r->us[1] / 1e3).text : both ? "\xe2\x80\x93" : "");
        bars[n] = (mc_bar){.label = r->op, .value = values[n], .v = {r->us[0], r->us[1]}, .ghost = (double)NAN};
    }
    mc_chart_bars(p, "Time by operator", "Grey: the first stage; coloured: the last one. A fused operator holds what was several.", bars, n);
}

static void operators(mc_page *p, const mc_view *v)
{
    const char *const titles[] = {"operator", "nodes before", "time before", "share before", "nodes after", "time after", "share after"};
    const char *names[2] = {NULL, NULL};
    ops_table *t = mc_calloc(1, sizeof *t);
    if (!t) {
        p->st = MCOMP_NO_MEMORY;
        return;
    }
    t->total[0] = t->total[1] = (double)NAN;
    for (int64_t i = 0; i < v->n; i++) {
        if (!mc_find(v->stages[i].j, "operators")) continue;
        if (!names[0]) {
            names[0] = v->stages[i].name;
            read_ops(t, mc_find(v->stages[i].j, "operators"), 0, 0);
        } else if (i == v->n - 1 || !mc_find(v->last->j, "operators")) {
            names[1] = v->stages[i].name;
            for (int k = 0; k < t->n; k++) t->rows[k].us[1] = t->rows[k].count[1] = (double)NAN;
            read_ops(t, mc_find(v->stages[i].j, "operators"), 1, 0);
        }
    }
    if (t->n == 0 && v->n > 0) { /* bench: of the last model, node by node */
        read_ops(t, mc_find(v->j, "kernels"), 1, 1);
        if (t->n > 0) names[1] = v->last->name;
    }
    if (t->n > 0) {
        qsort(t->rows, (size_t)t->n, sizeof *t->rows, dearer);
        chart(p, t, names);
        mc_table_open(p, "Time by operator", "lrrrrrr", titles);
        for (int i = 0; i < t->n; i++) {
            mc_cell(p, t->rows[i].op);
            for (int side = 0; side < 2; side++) {
                const int none = names[side] && isnan(t->rows[i].us[side]); /* the operator is not in that model */
                mc_cell(p, none ? "\xe2\x80\x93" : mc_show_number(t->rows[i].count[side]).text);
                mc_cell(p, none ? "\xe2\x80\x93" : mc_show_ms(t->rows[i].us[side] / 1e3).text);
                mc_cell(p, none ? "\xe2\x80\x93" : mc_show_percent(t->rows[i].us[side] / t->total[side]).text);
            }
        }
        mc_table_close(p);
    }
    mc_free(t);
}

const mc_section mc_section_operators = {"operators", "Time by operator", operators};
