/* Text, headings and tables of the page, in HTML or Markdown. Everything that comes from a run passes mc_page_text. */
#include "report/page.h"

#include <stdio.h>

void mc_page_raw(mc_page *p, const char *markup)
{
    if (p->st == MCOMP_OK) p->st = mc_str_append(&p->s, markup);
}

void mc_page_rawf(mc_page *p, const char *fmt, ...)
{
    char buf[1024];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(buf, sizeof buf, fmt, ap);
    va_end(ap);
    mc_page_raw(p, buf);
}

void mc_page_html(mc_page *p, const char *markup)
{
    if (!p->markdown) mc_page_raw(p, markup);
}

void mc_page_md(mc_page *p, const char *markup)
{
    if (p->markdown) mc_page_raw(p, markup);
}

/* What a character of text becomes; NULL: itself. A line break ends a row of a Markdown table, so it is a space there. */
static const char *entity(int markdown, char c)
{
    switch (c) {
    case '&': return "&amp;";
    case '<': return "&lt;";
    case '>': return "&gt;";
    case '"': return markdown ? NULL : "&quot;";
    case '\'': return markdown ? NULL : "&#39;";
    case '|': return markdown ? "\\|" : NULL;
    case '\\': return markdown ? "\\\\" : NULL;
    case '`': return markdown ? "\\`" : NULL;
    case '*': return markdown ? "\\*" : NULL;
    case '_': return markdown ? "\\_" : NULL;
    case '[': return markdown ? "\\[" : NULL;
    case ']': return markdown ? "\\]" : NULL;
    case '#': return markdown ? "\\#" : NULL;
    case '~': return markdown ? "\\~" : NULL;
    case '@': return markdown ? "&#64;" : NULL; /* mentions nobody */
    default: return NULL;
    }
}

void mc_page_text(mc_page *p, const char *hostile)
{
    char clean[512], piece[128];
    while (*hostile && p->st == MCOMP_OK) { /* in pieces, for mc_escape writes into a buffer of fixed size */
        size_t n = strnlen(hostile, sizeof piece - 1);
        for (int back = 0; back < 3 && n > sizeof piece - 5 && ((unsigned char)hostile[n] & 0xc0) == 0x80; back++) n--; /* not within a character */
        memcpy(piece, hostile, n);
        piece[n] = 0;
        hostile += n;
        for (const char *c = mc_escape(clean, sizeof clean, piece); *c; c++) {
            const char *e = entity(p->markdown, *c);
            if (e) mc_page_raw(p, e);
            else if (p->st == MCOMP_OK) p->st = mc_str_append_bytes(&p->s, c, 1);
        }
    }
}

int mc_page_said(mc_page *p, const char *title)
{
    const int again = strcmp(p->said, title) == 0;
    snprintf(p->said, sizeof p->said, "%s", title);
    return again;
}

void mc_page_heading(mc_page *p, int level, const char *title)
{
    if (p->markdown) mc_page_rawf(p, "%.*s ", level, "######");
    else mc_page_rawf(p, "<h%d>", level);
    mc_page_text(p, title);
    if (p->markdown) mc_page_raw(p, "\n\n");
    else mc_page_rawf(p, "</h%d>\n", level);
}

void mc_page_note(mc_page *p, const char *text)
{
    mc_page_html(p, "<p class=\"note\">");
    mc_page_text(p, text);
    mc_page_raw(p, p->markdown ? "\n\n" : "</p>\n");
}

/* ---- tables ---- */

void mc_table_open(mc_page *p, const char *caption, const char *align, const char *const *titles)
{
    p->columns = (int)strlen(align);
    p->column = 0;
    p->align = align;
    const int again = mc_page_said(p, caption);
    int titled = 0;
    for (int i = 0; i < p->columns; i++) titled |= *titles[i] != 0;
    if (p->markdown) {
        mc_page_raw(p, "|");
        for (int i = 0; i < p->columns; i++) {
            mc_page_raw(p, " ");
            mc_page_text(p, titles[i]);
            mc_page_raw(p, " |");
        }
        mc_page_raw(p, "\n|");
        for (int i = 0; i < p->columns; i++) mc_page_raw(p, align[i] == 'r' ? "---:|" : "---|");
        mc_page_raw(p, "\n");
        return;
    }
    mc_page_raw(p, "<div class=\"scroll\" role=\"region\" tabindex=\"0\" aria-label=\""); /* it scrolls by the keyboard too */
    mc_page_text(p, caption);
    mc_page_raw(p, "\"><table>");
    mc_page_raw(p, again ? "<caption class=\"vh\"><span>" : "<caption><span>");
    mc_page_text(p, caption);
    mc_page_raw(p, titled ? "</span></caption>\n<thead><tr>" : "</span></caption>\n<tbody>\n");
    if (!titled) return;
    for (int i = 0; i < p->columns; i++) {
        mc_page_rawf(p, "<th scope=\"col\"%s>", align[i] == 'r' ? " class=\"r\"" : "");
        mc_page_text(p, titles[i]);
        mc_page_raw(p, "</th>");
    }
    mc_page_raw(p, "</tr></thead>\n<tbody>\n");
}

static void cell_begin(mc_page *p, const char *tone)
{
    const char a = p->align[p->column];
    if (p->markdown) mc_page_raw(p, p->column == 0 ? "| " : " ");
    else if (p->column == 0) mc_page_raw(p, a == 'w' ? "<tr><th scope=\"row\" class=\"w\">" : "<tr><th scope=\"row\">");
    else if (a == 'l' && !*tone) mc_page_raw(p, "<td>");
    else mc_page_rawf(p, "<td class=\"%s%s%s\">", a == 'l' ? "" : a == 'r' ? "r" : "w", a != 'l' && *tone ? " " : "", tone);
}

static void cell_end(mc_page *p)
{
    mc_page_raw(p, p->markdown ? " |" : p->column == 0 ? "</th>" : "</td>");
    if (++p->column < p->columns) return;
    p->column = 0;
    mc_page_raw(p, p->markdown ? "\n" : "</tr>\n");
}

void mc_cell(mc_page *p, const char *hostile)
{
    const int absent = !hostile || strcmp(hostile, mc_not_measured) == 0;
    cell_begin(p, absent ? "na" : "");
    mc_page_text(p, absent ? mc_not_measured : hostile);
    cell_end(p);
}

void mc_cell_two(mc_page *p, mc_shown v, const char *below)
{
    if (!below) {
        mc_cell_shown(p, v);
        return;
    }
    cell_begin(p, "");
    mc_page_text(p, v.text);
    mc_page_raw(p, p->markdown ? " (" : "<small>");
    mc_page_text(p, below);
    mc_page_raw(p, p->markdown ? ")" : "</small>");
    cell_end(p);
}

void mc_cell_met(mc_page *p, int met)
{
    if (met < 0) {
        mc_cell(p, NULL);
        return;
    }
    cell_begin(p, met ? "good" : "bad");
    mc_page_raw(p, met ? "\xe2\x9c\x93\xc2\xa0met" : "\xe2\x9c\x97\xc2\xa0missed");
    cell_end(p);
}

void mc_cell_shown(mc_page *p, mc_shown v) { mc_cell(p, v.text); }

void mc_table_close(mc_page *p) { mc_page_raw(p, p->markdown ? "\n" : "</tbody></table></div>\n"); }

void mc_fold_open(mc_page *p, const char *summary)
{
    mc_page_html(p, "<details><summary>");
    mc_page_md(p, "<details><summary>");
    mc_page_text(p, summary);
    mc_page_raw(p, p->markdown ? "</summary>\n\n" : "</summary>\n");
}

void mc_fold_close(mc_page *p) { mc_page_raw(p, p->markdown ? "</details>\n\n" : "</details>\n"); }

/* Lines stay lines. Markdown takes HTML's <pre>, whose end cannot be in an escaped text. */
void mc_page_pre(mc_page *p, const char *hostile)
{
    const int markdown = p->markdown;
    p->markdown = 0;
    mc_page_raw(p, "<pre>");
    while (*hostile && p->st == MCOMP_OK) {
        char line[256];
        const size_t n = strcspn(hostile, "\n\t"), take = n < sizeof line - 1 ? n : sizeof line - 1;
        if (n == 0) {
            mc_page_raw(p, *hostile++ == '\n' ? "\n" : "    ");
            continue;
        }
        size_t whole = take;
        while (whole > 1 && whole < n && ((unsigned char)hostile[whole] & 0xc0) == 0x80 && whole + 4 > take) whole--;
        memcpy(line, hostile, whole);
        line[whole] = 0;
        mc_page_text(p, line);
        hostile += whole;
    }
    mc_page_raw(p, "</pre>\n");
    p->markdown = markdown;
    mc_page_md(p, "\n");
}
