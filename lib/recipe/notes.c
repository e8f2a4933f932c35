/* Errors in a recipe: gathered, each with its place and the line that it is in. */
#include "recipe/yaml.h"

#include <stdio.h>

#define SOURCE_MAX 160 /* characters of a line that are shown */

/* Length of the character at p, of `left` bytes; 1 for what is no UTF-8. *shown: 1 if a terminal may have it. */
static size_t character(const uint8_t *p, uint64_t left, int *shown)
{
    const size_t n = *p < 0x80 ? 1 : *p >= 0xc2 && *p < 0xe0 ? 2 : *p >= 0xe0 && *p < 0xf0 ? 3 : *p >= 0xf0 && *p < 0xf5 ? 4 : 1;
    *shown = n == 1 ? *p >= 0x20 && *p < 0x7f : 1;
    if (n > left) return *shown = 0, 1;
    for (size_t i = 1; i < n; i++)
        if ((p[i] & 0xc0) != 0x80) return *shown = 0, 1;
    if (n == 2 && *p == 0xc2 && p[1] < 0xa0) *shown = 0; /* C1 controls */
    return n;
}

/* Bytes of the line break at p, 0 for none: those of YAML 1.1. */
static size_t line_break(const uint8_t *p, uint64_t left)
{
    if (*p == '\n') return 1;
    if (*p == '\r') return left > 1 && p[1] == '\n' ? 2 : 1;
    if (left > 1 && p[0] == 0xc2 && p[1] == 0x85) return 2;
    return left > 2 && p[0] == 0xe2 && p[1] == 0x80 && (p[2] == 0xa8 || p[2] == 0xa9) ? 3 : 0;
}

uint64_t mc_recipe_start(const mcomp_recipe *r) { return r->bytes >= 3 && memcmp(r->text, "\xef\xbb\xbf", 3) == 0 ? 3 : 0; }

mc_text_mark mc_recipe_place(const mcomp_recipe *r, uint64_t offset)
{
    mc_text_mark m = {1, 1};
    const uint8_t *p = (const uint8_t *)r->text;
    if (offset > r->bytes) offset = r->bytes;
    for (uint64_t i = mc_recipe_start(r); i < offset;) {
        int shown;
        const size_t n = line_break(p + i, r->bytes - i);
        if (n) m = (mc_text_mark){m.line + 1, 1};
        else m.column++;
        i += n ? n : character(p + i, r->bytes - i, &shown);
    }
    return m;
}

/* The line with a place in it, fit for a terminal: one character a character. */
static char *source_of(const mcomp_recipe *r, mc_text_mark at)
{
    const uint8_t *p = (const uint8_t *)r->text;
    uint64_t i = mc_recipe_start(r);
    mc_str s = {0};
    int32_t st = mc_str_append(&s, "");
    for (int32_t line = 1; line < at.line && i < r->bytes;) {
        int shown;
        const size_t n = line_break(p + i, r->bytes - i);
        if (n) line++;
        i += n ? n : character(p + i, r->bytes - i, &shown);
    }
    for (int k = 0; at.line > 0 && i < r->bytes && !line_break(p + i, r->bytes - i) && st == MCOMP_OK && k < SOURCE_MAX; k++) {
        int shown;
        const size_t n = character(p + i, r->bytes - i, &shown);
        st = shown ? mc_str_append_bytes(&s, p + i, n) : mc_str_append(&s, p[i] == '\t' ? " " : "?");
        i += n;
    }
    if (st == MCOMP_OK) return s.data;
    mc_str_free(&s);
    return NULL;
}

int32_t mc_recipe_note_at(mcomp_recipe *r, int32_t code, mc_text_mark at, const char *hint, const char *fmt, ...)
{
    va_list list;
    char text[512];
    if (r->n_notes == MC_RECIPE_ERRORS) {
        r->more++;
        return MCOMP_OK;
    }
    va_start(list, fmt);
    (void)vsnprintf(text, sizeof text, fmt, list);
    va_end(list);
    mc_recipe_note *n = &r->notes[r->n_notes++];
    *n = (mc_recipe_note){code, at, mc_strdup(text), mc_strdup(hint ? hint : ""), source_of(r, at)};
    return n->text && n->hint && n->source ? MCOMP_OK : MCOMP_NO_MEMORY;
}

int32_t mc_recipe_fail(const mcomp_recipe *r, int32_t code, const mc_section *s, const char *key, const char *fmt, ...)
{
    va_list list;
    char text[512], where[256];
    const mc_setting *v = s && key ? mc_section_get(s, key) : NULL;
    const mc_text_mark at = v && v->mark.line ? v->mark : s ? s->mark : (mc_text_mark){0, 0};
    va_start(list, fmt);
    (void)vsnprintf(text, sizeof text, fmt, list);
    va_end(list);
    if (at.line) snprintf(where, sizeof where, "%s:%d:%d", r->path, at.line, at.column);
    else snprintf(where, sizeof where, "%s", r->path);
    mc_error_clear(); /* the record holds what went wrong inside; `text` says it with the place */
    return mc_fail(code, where, "%s%s%s%s%s", s ? s->name : "", key && s && s->name[0] ? "." : "", key ? key : "", (s && s->name[0]) || key ? ": " : "", text);
}
