/* Layer by layer: how many weights are gone and in what precision the rest is kept. */
#include "report/view.h"

#include <stdio.h>

enum { MOST = 400 };

/* The last stage that lists its layers; prune lists those of the call. */
static const mc_json *layers_of(const mc_view *v, const char **stage)
{
    for (int64_t i = v->n - 1; i >= 0; i--) {
        const mc_json *l = mc_find(v->stages[i].j, "layers");
        *stage = v->stages[i].name;
        if (l && mc_json_is_array(l)) return l;
    }
    *stage = v->n > 0 ? v->last->name : "";
    const mc_json *l = mc_find(v->j, "layers");
    return l && mc_json_is_array(l) ? l : NULL;
}

static const char *tone_of(const char *dtype)
{
    static const struct {
        const char *dtype, *tone;
    } tones[] = {{"float32", "p32"}, {"f32", "p32"}, {"fp32", "p32"}, {"float16", "p16"}, {"f16", "p16"}, {"bfloat16", "p16"}, {"bf16", "p16"},
                 {"int8", "p8"},     {"uint8", "p8"}, {"int4", "p4"}, {"uint4", "p4"}};
    for (size_t i = 0; dtype && i < sizeof tones / sizeof *tones; i++)
        if (strcmp(tones[i].dtype, dtype) == 0) return tones[i].tone;
    return dtype ? "pother" : "p32";
}

static void legend(mc_page *p, const mc_column *columns, int64_t n)
{
    static const char *const names[][2] = {{"p32", "float32"}, {"p16", "16 bit float"}, {"p8", "int8"}, {"p4", "int4"}, {"pother", "other"}};
    if (p->markdown) return;
    mc_page_raw(p, "<p class=\"legend\">");
    for (size_t k = 0; k < sizeof names / sizeof *names; k++) {
        int64_t count = 0;
        for (int64_t i = 0; i < n; i++) count += strcmp(columns[i].tone, names[k][0]) == 0;
        if (count) mc_page_rawf(p, "<span><i class=\"%s\"></i>%s, %lld layers</span> ", names[k][0], names[k][1], (long long)count);
    }
    mc_page_raw(p, "</p>\n");
}

static void chart(mc_page *p, const mc_json *list, int64_t n)
{
    mc_column *columns = mc_calloc((size_t)n, sizeof *columns);
    int64_t sparse = 0, typed = 0;
    if (!columns) {
        p->st = MCOMP_NO_MEMORY;
        return;
    }
    for (int64_t i = 0; i < n; i++) {
        const mc_json *l = mc_json_at(list, i);
        const double s = mc_find_number(l, "sparsity");
        const char *node = mc_find_string(l, "node"), *dtype = mc_find_string(l, "dtype");
        columns[i] = (mc_column){node ? node : "", s >= 0.0 && s <= 1.0 ? s : (double)NAN, tone_of(dtype)};
        sparse += isfinite(columns[i].fraction);
        typed += dtype != NULL;
    }
    if (sparse || typed) mc_chart_columns(p, sparse ? "Weights that are zero, layer by layer" : "Precision, layer by layer",
                                          "One column a layer, in order: its height is the share of weights that are zero, its colour the precision.", columns, n);
    if (typed) legend(p, columns, n);
    mc_free(columns);
}

static void kept_float(mc_page *p, const mc_view *v)
{
    static const char *const titles[] = {"node", "why it stays float"};
    const mc_json *list = mc_find(v->j, "kept_float");
    for (int64_t i = 0; i < v->n && !list; i++) list = mc_find(v->stages[i].j, "kept_float");
    const int64_t n = list && mc_json_is_array(list) ? mc_json_size(list) : 0;
    char summary[64];
    if (n == 0) return;
    snprintf(summary, sizeof summary, "Kept in float: %lld nodes", (long long)n);
    mc_fold_open(p, summary);
    mc_table_open(p, "Kept in float", "wl", titles);
    for (int64_t i = 0; i < n && i < MOST; i++) {
        mc_cell(p, mc_find_string(mc_json_at(list, i), "node"));
        mc_cell(p, mc_find_string(mc_json_at(list, i), "why"));
    }
    mc_table_close(p);
    mc_fold_close(p);
}

static void layers(mc_page *p, const mc_view *v)
{
    static const char *const titles[] = {"layer", "operator", "parameters", "bytes", "zeros", "pattern", "precision"};
    const char *stage;
    char summary[96];
    const mc_json *list = layers_of(v, &stage);
    const int64_t all = list ? mc_json_size(list) : 0, n = all < MOST ? all : MOST;
    if (n > 0) {
        chart(p, list, n);
        if (all > n) snprintf(summary, sizeof summary, "The first %lld of %lld layers", (long long)n, (long long)all);
        else snprintf(summary, sizeof summary, "All %lld layers", (long long)n);
        mc_fold_open(p, summary);
        mc_table_open(p, stage, "wlrrrll", titles);
        for (int64_t i = 0; i < n; i++) {
            const mc_json *l = mc_json_at(list, i);
            const char *pattern = mc_find_string(l, "pattern");
            mc_cell(p, mc_find_string(l, "node"));
            mc_cell(p, mc_find_string(l, "op"));
            mc_cell_shown(p, mc_show_count(mc_find_number(l, "params")));
            mc_cell_shown(p, mc_show_bytes(mc_find_number(l, "bytes")));
            mc_cell_shown(p, mc_show_percent(mc_find_number(l, "sparsity")));
            mc_cell(p, pattern ? pattern : "\xe2\x80\x93"); /* none is what it says, not something unmeasured */
            mc_cell(p, mc_find_string(l, "dtype"));
        }
        mc_table_close(p);
        mc_fold_close(p);
    }
    kept_float(p, v);
}

const mc_section mc_section_layers = {"layers", "Layers", layers};
