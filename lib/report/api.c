/* The public handle: JSON texts in, a page out. */
#include "report/report.h"

enum { MAX_RUNS = 16 };
static const uint64_t max_bytes = 64u << 20;

struct mcomp_report {
    mcomp_context *ctx;
    mc_report_run runs[MAX_RUNS]; /* all three members owned */
    int32_t n;
    mc_str text; /* what mcomp_report_text gave last */
};

static void drop(mc_report_run *r)
{
    mc_free((char *)(uintptr_t)r->name);
    mc_free((char *)(uintptr_t)r->text);
    if (r->json) mc_json_destroy((mc_json *)(uintptr_t)r->json);
    *r = (mc_report_run){0};
}

int32_t mcomp_report_create(mcomp_report **out, mcomp_context *ctx)
{
    MC_API_ENTER();
    MC_CHECK_ARG(1, out, "out", "is NULL");
    *out = NULL;
    MC_CHECK_ARG(2, ctx, "ctx", "is NULL");
    mcomp_report *r = mc_calloc(1, sizeof *r);
    if (!r) return MCOMP_NO_MEMORY;
    r->ctx = ctx;
    *out = r;
    return MCOMP_OK;
}

void mcomp_report_destroy(mcomp_report *r)
{
    if (!r) return;
    for (int32_t i = 0; i < r->n; i++) drop(&r->runs[i]);
    mc_str_free(&r->text);
    mc_free(r);
}

/* Takes text over, whatever comes of it. */
static int32_t add(mcomp_report *r, char *text, uint64_t bytes, const char *name)
{
    int32_t st = MCOMP_OK;
    mc_report_run run = {.text = text};
    mc_json *j = NULL;
    MC_TRY(mc_context_poll(r->ctx));
    if (r->n == MAX_RUNS) MC_FAIL(MCOMP_LIMIT, name, "a report compares at most %d runs", MAX_RUNS);
    MC_TRY(mc_json_parse(&j, text, bytes, name));
    run.json = j;
    if (!mc_json_is_object(j)) MC_FAIL(MCOMP_FORMAT, name, "not a JSON object: a report is made from what --json prints");
    run.name = mc_strdup(name);
    if (!run.name) MC_FAIL(MCOMP_NO_MEMORY, name, "no memory for the name");
    r->runs[r->n++] = run;
    return MCOMP_OK;
done:
    drop(&run);
    return st;
}

int32_t mcomp_report_add(mcomp_report *r, const char *json, uint64_t bytes, const char *name)
{
    MC_API_ENTER();
    MC_CHECK_ARG(1, r, "r", "is NULL");
    MC_CHECK_ARG(2, json, "json", "is NULL");
    MC_CHECK_ARG(4, name, "name", "is NULL");
    if (bytes > max_bytes) return mc_fail(MCOMP_LIMIT, name, "%llu bytes of JSON, more than %llu", (unsigned long long)bytes, (unsigned long long)max_bytes);
    char *copy = mc_malloc((size_t)bytes + 1);
    if (!copy) return MCOMP_NO_MEMORY;
    memcpy(copy, json, (size_t)bytes);
    copy[bytes] = 0;
    return add(r, copy, bytes, name);
}

int32_t mcomp_report_add_file(mcomp_report *r, const char *path)
{
    char *text = NULL;
    uint64_t bytes;
    MC_API_ENTER();
    MC_CHECK_ARG(1, r, "r", "is NULL");
    MC_CHECK_ARG(2, path, "path", "is NULL");
    const int32_t st = mc_file_read(path, max_bytes, &text, &bytes);
    return st != MCOMP_OK ? st : add(r, text, bytes, path);
}

static int32_t write_text(mc_str *out, const mcomp_report *r, const char *format)
{
    int32_t st = mc_context_poll(r->ctx);
    if (st != MCOMP_OK) return st;
    if (r->n == 0) return mc_fail(MCOMP_ARGUMENT, "report", "no run was added");
    if (strcmp(format, "html") == 0) return mc_report_html(out, r->runs, r->n);
    if (strcmp(format, "md") == 0) return mc_report_markdown(out, r->runs, r->n);
    (void)mc_fail(MCOMP_ARGUMENT, format, "no such format of a report");
    return mc_fail_hint("html or md");
}

int32_t mcomp_report_text(const char **text, uint64_t *bytes, mcomp_report *r, const char *format)
{
    mc_str made = {0};
    MC_API_ENTER();
    MC_CHECK_ARG(1, text, "text", "is NULL");
    MC_CHECK_ARG(2, bytes, "bytes", "is NULL");
    MC_CHECK_ARG(3, r, "r", "is NULL");
    MC_CHECK_ARG(4, format, "format", "is NULL");
    const int32_t st = write_text(&made, r, format);
    if (st != MCOMP_OK) {
        mc_str_free(&made);
        return st;
    }
    mc_str_free(&r->text);
    r->text = made;
    *text = made.data;
    *bytes = (uint64_t)made.len;
    return MCOMP_OK;
}

int32_t mcomp_report_save(mcomp_report *r, const char *path, const char *format, int32_t overwrite)
{
    int32_t st = MCOMP_OK;
    mc_str text = {0};
    mc_writer *w = NULL;
    MC_API_ENTER();
    MC_CHECK_ARG(1, r, "r", "is NULL");
    MC_CHECK_ARG(2, path, "path", "is NULL");
    MC_CHECK_ARG(3, format, "format", "is NULL");
    MC_TRY(write_text(&text, r, format));
    MC_TRY(mc_writer_open(&w, path, overwrite));
    st = mc_writer_write(w, text.data, (uint64_t)text.len);
    if (st == MCOMP_OK) st = mc_writer_commit(w);
    else mc_writer_abort(w);
done:
    mc_str_free(&text);
    return st;
}

int32_t mcomp_report_check(int32_t *holds, mcomp_report *r, const char *expression)
{
    MC_API_ENTER();
    MC_CHECK_ARG(1, holds, "holds", "is NULL");
    *holds = 0;
    MC_CHECK_ARG(2, r, "r", "is NULL");
    MC_CHECK_ARG(3, expression, "expression", "is NULL");
    if (r->n == 0) return mc_fail(MCOMP_ARGUMENT, "report", "no run was added");
    return mc_report_check(holds, r->runs, r->n, expression);
}
