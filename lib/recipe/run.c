/* mcomp_recipe_run: the chain of stages, the files it leaves in DIR. */
#include "recipe/run.h"

#include "report/report.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const mc_stage_kind *const kinds[] = {
#define MC_STAGE(name) &mc_stage_##name,
#include "recipe/stages.def"
#undef MC_STAGE
};

int32_t mcomp_recipe_run_options_init(mcomp_recipe_run_options *o, uint32_t size)
{
    MC_API_ENTER();
    return mc_options_init(o, size, sizeof *o, "mcomp_recipe_run_options");
}

/* ---- before any work ---- */

static const char *joined(mc_run *r, const char *folder, const char *file)
{
    const size_t n = strlen(folder) + strlen(file) + 2;
    char *path = mc_arena_alloc(r->arena, n);
    if (path) (void)snprintf(path, n, "%s/%s", folder, file);
    return path;
}

/* Stages and their names; what no version does yet is said before anything runs. */
static int32_t plan(mc_run *r)
{
    const mcomp_recipe *q = r->recipe;
    if (q->n_searched || strcmp(mc_section_str(q->search, "method"), "none") != 0)
        return mc_recipe_fail(q, MCOMP_UNSUPPORTED, q->search, "method", "searching values is not in this version: give each value and method: none");
    r->n_stages = 1;
    (void)snprintf(r->stage[0].name, sizeof r->stage[0].name, "teacher");
    for (int32_t i = 0; i < q->n_passes; i++) {
        mc_run_stage *s = &r->stage[r->n_stages++];
        const char *name = mc_section_kind_name(q->passes[i]->kind);
        int same = 1;
        s->pass = q->passes[i];
        s->from = s - 1;
        for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++)
            if (strcmp(kinds[k]->name, name) == 0) s->kind = kinds[k];
        if (!s->kind) return mc_recipe_fail(q, MCOMP_INTERNAL, s->pass, NULL, "no stage does this");
        for (int32_t k = 1; k < r->n_stages - 1; k++) same += r->stage[k].kind == s->kind;
        if (same > 1) (void)snprintf(s->name, sizeof s->name, "%s#%d", name, same);
        else (void)snprintf(s->name, sizeof s->name, "%s", name);
    }
    const mc_section *t = q->target;
    r->metric = mc_section_str(t, "metric");
    return MCOMP_OK;
}

/* DIR, and that nothing of an earlier run is in the way. */
static int32_t open_folder(mc_run *r)
{
    int32_t st = MCOMP_OK;
    static const char *const files[] = {"model.onnx", "run.json", "report.html"};
    MC_TRY(mc_store_make_folder(r->out));
    for (size_t i = 0; i < sizeof files / sizeof *files && !r->o.overwrite && !r->o.resume; i++) {
        const char *path = joined(r, r->out, files[i]);
        if (!path) return MCOMP_NO_MEMORY;
        if (access(path, F_OK) != 0) continue;
        (void)mc_fail(MCOMP_PATH, path, "the file exists");
        return mc_fail_hint("overwriting replaces it, resuming goes on with that run");
    }
    const mc_section *search = r->recipe->search;
    const char *cache = mc_setting_given(search, "cache") ? mc_section_str(search, "cache") : joined(r, r->out, ".mcomp");
    if (!cache) return MCOMP_NO_MEMORY;
    st = mc_store_open(&r->store, cache);
done:
    return st;
}

/* Class names go into the model, so that every file of the chain numbers them alike. */
static int32_t name_labels(mcomp_graph *g, const mcomp_dataset *d)
{
    int32_t st = MCOMP_OK;
    mc_str text = {0};
    mc_json *list = mc_json_array();
    if (mcomp_graph_meta(g, "mcomp.labels") || !d || !mcomp_dataset_label_name(d, 0)) goto done;
    for (int64_t i = 0; mcomp_dataset_label_name(d, i); i++) MC_TRY(mc_json_append(list, mc_json_new_string(mcomp_dataset_label_name(d, i))));
    MC_TRY(mc_json_dump(list, &text));
    st = mcomp_graph_set_meta(g, "mcomp.labels", text.data);
done:
    mc_json_destroy(list);
    mc_str_free(&text);
    return st;
}

static int32_t teacher(mc_run *r)
{
    int32_t st = MCOMP_OK;
    mc_run_stage *s = &r->stage[0];
    const mc_section *e = r->recipe->expect;
    const char *path = mc_section_str(r->recipe->model, "teacher");
    if (!(s->path = mc_strdup(path))) return MCOMP_NO_MEMORY;
    MC_TRY(mc_context_progress(r->ctx, s->name, 0.0));
    MC_TRY(mc_run_load(r, path, &s->g));
    s->file_bytes = s->g->file_bytes;
    MC_TRY(mc_run_identity(path, s->g, s->identity));
    s->data = &r->data[r->n_data++];
    MC_TRY(mc_run_data_open(r, s->data, s->g, path, NULL));
    MC_TRY(name_labels(s->g, s->data->train ? s->data->train : s->data->eval));
    MC_TRY(mc_run_measure(r, s));
    if (!mc_section_given(e)) goto done;
    mc_measured m = s->metric;
    if (strcmp(mc_section_str(e, "metric"), r->metric) != 0) MC_TRY(mc_scores_metric(&s->scores, mc_section_str(e, "metric"), &m));
    const double want = mc_section_num(e, "value"), tol = mc_section_num(e, "tol");
    if (fabs(m.value - want) <= tol) goto done;
    st = mc_recipe_fail(r->recipe, MCOMP_MISMATCH, e, "value", "the teacher's %s on data.eval is %.6g, not %.6g within %.6g", mc_section_str(e, "metric"), m.value, want, tol);
    (void)mc_fail_hint("is this the model, and are these its data (scale, tokenizer, labels)?");
done:
    return st;
}

/* ---- what it leaves ---- */

static int32_t write_model(mc_run *r)
{
    int32_t st = MCOMP_OK;
    mcomp_save_options o;
    mc_run_stage *last = &r->stage[r->n_stages - 1];
    const char *path = joined(r, r->out, "model.onnx"), *tokenizer = joined(r, r->out, "model.tokenizer.json");
    const char *const weights = mc_section_str(r->recipe->exporting, "weights");
    if (!path || !tokenizer) return MCOMP_NO_MEMORY;
    MC_TRY(mcomp_save_options_init(&o, sizeof o));
    o.overwrite = 1; /* open_folder has looked */
    o.opset = (int32_t)mc_section_int(r->recipe->exporting, "opset");
    o.data = strcmp(weights, "inside") == 0 ? MCOMP_DATA_INSIDE : strcmp(weights, "beside") == 0 ? MCOMP_DATA_BESIDE : MCOMP_DATA_AUTO;
    if (last->data->tokenizer) MC_TRY(mcomp_tokenizer_save(last->data->tokenizer, tokenizer, 1));
    MC_TRY(mcomp_graph_save(last->g, path, &o));
    mcomp_graph_destroy(last->g); /* from here on the last stage is this file */
    last->g = NULL;
    mc_free(last->path);
    if (!(last->path = mc_strdup(path))) MC_TRY(MCOMP_NO_MEMORY);
    MC_TRY(mcomp_graph_load(&last->g, r->ctx, path));
    last->file_bytes = last->g->file_bytes;
    mc_scores_free(&last->scores);
    MC_TRY(mc_run_measure(r, last));
    MC_TRY(mc_put_text(r->root, "output", path));
done:
    return st;
}

static int32_t write_report(mc_run *r)
{
    int32_t st = MCOMP_OK;
    const char *path = joined(r, r->out, "run.json"), *page = joined(r, r->out, "report.html");
    mc_str *text = &r->recipe->result;
    if (!path || !page) return MCOMP_NO_MEMORY;
    MC_TRY(mc_put_text(r->root, "report", page));
    text->len = 0;
    MC_TRY(mc_json_dump(r->root, text));
    MC_TRY(mc_report_save_html(&(mc_report_run){.name = r->recipe->path, .json = r->root, .text = text->data}, page, 1));
    st = mc_store_write(path, text->data, (uint64_t)text->len, 1);
done:
    return st;
}

static int32_t run(mc_run *r)
{
    int32_t st = MCOMP_OK;
    MC_TRY(plan(r));
    MC_TRY(open_folder(r));
    MC_TRY(teacher(r));
    for (int32_t i = 1; i < r->n_stages; i++) {
        MC_TRY(mc_run_stage_do(r, &r->stage[i]));
        if (i < r->n_stages - 1) MC_TRY(mc_run_measure(r, &r->stage[i]));
    }
    MC_TRY(write_model(r));
    MC_TRY(mc_run_race(r));
    MC_TRY(mc_run_report(r));
    MC_TRY(write_report(r));
done:
    return st;
}

int32_t mcomp_recipe_run(const char **json, mcomp_recipe *recipe, mcomp_context *ctx, const mcomp_recipe_run_options *options)
{
    int32_t st = MCOMP_OK;
    mc_run *r = NULL;
    MC_API_ENTER();
    MC_CHECK_ARG(1, json, "json", "is NULL");
    *json = NULL;
    MC_CHECK_ARG(2, recipe, "recipe", "is NULL");
    MC_CHECK_ARG(3, ctx, "ctx", "is NULL");
    r = mc_calloc(1, sizeof *r);
    if (!r) return MCOMP_NO_MEMORY;
    r->ctx = ctx;
    r->recipe = recipe;
    r->arena = mc_arena_create();
    r->root = mc_json_object();
    r->warnings = mc_json_array();
    if (!r->arena || !r->root || !r->warnings) MC_TRY(MCOMP_NO_MEMORY);
    MC_TRY(mcomp_recipe_run_options_init(&r->o, sizeof r->o));
    MC_TRY(mc_options_read(&r->o, sizeof r->o, options, "options"));
    if (recipe->n_notes) MC_FAIL(MCOMP_RECIPE, recipe->path, "the recipe has errors, the first in line %d: %s", recipe->notes[0].mark.line, recipe->notes[0].text);
    if (!r->o.out || !*r->o.out) MC_FAIL(MCOMP_ARGUMENT, "out", "a folder for the results is needed");
    if (!(r->out = mc_arena_strdup(r->arena, r->o.out))) MC_TRY(MCOMP_NO_MEMORY);
    MC_TRY(run(r));
    *json = recipe->result.data;
    if (r->missed) {
        mc_error_restore(&r->why);
        st = MCOMP_TARGET_MISSED;
    }
done:
    for (int32_t i = r->n_stages - 1; i >= 0; i--) mc_run_stage_close(&r->stage[i]);
    for (int32_t i = 0; i < r->n_data; i++) mc_run_data_close(&r->data[i]);
    mc_store_close(r->store);
    mc_json_destroy(r->root);
    mc_json_destroy(r->warnings);
    mc_arena_destroy(r->arena);
    mc_free(r);
    return st;
}
