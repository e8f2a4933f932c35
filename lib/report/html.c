/* The whole page: head, one run after another with its sections, and the JSON it was made from. No scripts: the page says so to the browser
 * too (Content-Security-Policy), and what is in the only script element is data. */
#include "report/view.h"

static const mc_section *const sections[] = {
#define MC_SECTION(name) &mc_section_##name,
#include "report/sections.def"
#undef MC_SECTION
};
enum { N_SECTIONS = (int)(sizeof sections / sizeof *sections), MAX_RUNS = 16 };

/* A JSON text within the page. `<` ends or opens nothing, and the page is well-formed XML too: these three are only within strings, where
 * JSON can spell them otherwise. */
static void embed(mc_page *p, const char *json)
{
    for (const char *c = json; *c && p->st == MCOMP_OK; c++) {
        const char *spelled = *c == '<' ? "\\u003c" : *c == '>' ? "\\u003e" : *c == '&' ? "\\u0026" : NULL;
        const size_t n = spelled ? 6 : strcspn(c, "<>&");
        p->st = mc_str_append_bytes(&p->s, spelled ? spelled : c, n);
        c += spelled ? 0 : n - 1;
    }
}

static void embed_run(mc_page *p, const mc_report_run *run)
{
    mc_str text = {0};
    if (run->text) {
        embed(p, run->text);
        return;
    }
    if (p->st == MCOMP_OK) p->st = mc_json_dump(run->json, &text);
    if (p->st == MCOMP_OK) embed(p, text.data);
    mc_str_free(&text);
}

static void embed_all(mc_page *p, const mc_report_run *runs, int32_t n)
{
    mc_page_raw(p, "<script type=\"application/json\" id=\"mcomp-run\">");
    if (n > 1) mc_page_raw(p, "[");
    for (int32_t i = 0; i < n; i++) {
        if (i > 0) mc_page_raw(p, ",\n");
        embed_run(p, &runs[i]);
    }
    mc_page_raw(p, n > 1 ? "]</script>\n" : "</script>\n");
}

/* A section that has nothing to say is not there, heading and all. */
static void section(mc_page *p, const mc_section *s, const mc_view *v, int level)
{
    const int64_t before = p->s.len;
    if (!p->markdown) {
        mc_page_rawf(p, "<section id=\"%s%d\"><h%d class=\"%s\">%s</h%d>\n", s->id, p->run, level, strcmp(s->id, "result") == 0 ? "vh" : "s", s->title, level);
        (void)mc_page_said(p, s->title);
    } else {
        mc_page_heading(p, level, s->title);
    }
    const int64_t start = p->s.len;
    s->write(p, v);
    if (p->st != MCOMP_OK) return;
    if (p->s.len == start) p->s.data[p->s.len = before] = 0;
    else mc_page_html(p, "</section>\n");
}

static void sections_of(mc_page *p, const mc_view *v, int level)
{
    for (int i = 0; i < N_SECTIONS; i++) section(p, sections[i], v, level);
}

static void meta(mc_page *p, const mc_view *v)
{
    static const char *const keys[] = {"recipe.path", "output", NULL};
    const char *cpu = mc_find_string(v->j, "machine.cpu"), *isa = mc_find_string(v->j, "machine.isa"), *what = NULL;
    for (int i = 0; keys[i] && !what; i++) what = mc_find_string(v->j, keys[i]);
    mc_page_html(p, "<p class=\"meta\">");
    mc_page_raw(p, "mcomp ");
    mc_page_text(p, v->command ? v->command : "run");
    if (what) {
        mc_page_raw(p, " \xc2\xb7 ");
        mc_page_text(p, what);
    }
    if (cpu) {
        mc_page_raw(p, " \xc2\xb7 ");
        mc_page_text(p, cpu);
    }
    if (isa) {
        mc_page_raw(p, ", ");
        mc_page_text(p, isa);
    }
    mc_page_raw(p, p->markdown ? "\n\n" : "</p>\n");
}

static const char title[] = "Compression report";

static void head(mc_page *p, const mc_view *views, int32_t n)
{
    mc_page_html(p, "<!DOCTYPE html>\n<html lang=\"en\" xmlns=\"http://www.w3.org/1999/xhtml\"><head><meta charset=\"utf-8\"/>\n"
                    "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\"/>\n"
                    "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n<title>");
    if (!p->markdown) {
        mc_page_text(p, title);
        mc_page_raw(p, ": ");
        mc_page_text(p, views[0].name);
        mc_page_raw(p, "</title>\n<style>\n");
        for (int i = 0; mc_style[i]; i++) {
            mc_page_raw(p, mc_style[i]);
            mc_page_raw(p, "\n");
        }
        mc_page_raw(p, "</style></head>\n<body><main>\n<header>");
    }
    mc_page_heading(p, 1, title);
    if (n == 1) meta(p, &views[0]);
    mc_page_html(p, "</header>\n");
}

static void body(mc_page *p, const mc_view *views, int32_t n)
{
    p->run = -1;
    if (n > 1) mc_compare(p, views, n);
    for (int32_t i = 0; i < n; i++) {
        p->run = i;
        if (n > 1) {
            mc_page_heading(p, 2, views[i].name);
            meta(p, &views[i]);
        }
        sections_of(p, &views[i], n > 1 ? 3 : 2);
    }
}

static int32_t write_page(mc_str *out, const mc_report_run *runs, int32_t n, int markdown)
{
    int32_t st = MCOMP_OK, read = 0;
    mc_view views[MAX_RUNS];
    mc_page p = {.markdown = markdown};
    if (n < 1 || n > MAX_RUNS) return mc_fail(MCOMP_ARGUMENT, "report", n < 1 ? "a report needs a run" : "more than %d runs", MAX_RUNS);
    for (; read < n; read++) {
        st = mc_view_read(&views[read], &runs[read]);
        if (st != MCOMP_OK) goto done;
    }
    head(&p, views, n);
    body(&p, views, n);
    if (!markdown) {
        mc_page_raw(&p, "<footer>Absent figures were not measured. The JSON of the run is in this file, in the element mcomp-run.</footer>\n</main>\n");
        embed_all(&p, runs, n);
        mc_page_raw(&p, "</body></html>\n");
    }
    st = p.st;
    if (st == MCOMP_OK) st = mc_str_append_bytes(out, p.s.data, (size_t)p.s.len);
    else if (mc_error_peek()->code != st) (void)mc_fail(st, "report", "no memory for the page");
done:
    for (int32_t i = 0; i < read; i++) mc_view_free(&views[i]);
    mc_str_free(&p.s);
    return st;
}

int32_t mc_report_html(mc_str *out, const mc_report_run *runs, int32_t n) { return write_page(out, runs, n, 0); }
int32_t mc_report_markdown(mc_str *out, const mc_report_run *runs, int32_t n) { return write_page(out, runs, n, 1); }

int32_t mc_report_save_html(const mc_report_run *run, const char *path, int32_t overwrite)
{
    int32_t st = MCOMP_OK;
    mc_str text = {0};
    mc_writer *w = NULL;
    MC_TRY(mc_report_html(&text, run, 1));
    MC_TRY(mc_writer_open(&w, path, overwrite));
    st = mc_writer_write(w, text.data, (uint64_t)text.len);
    if (st == MCOMP_OK) st = mc_writer_commit(w);
    else mc_writer_abort(w);
done:
    mc_str_free(&text);
    return st;
}
