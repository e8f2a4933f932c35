/* Rows of text files: .tsv (no quoting), .csv (RFC 4180), .jsonl (an object a line), .txt (a text a line); each may be .gz.
 * Fields stay in the file's block; only what needs unescaping is copied to the arena. */
#include "data/internal.h"

#include <stdio.h>

#define MAX_COLUMNS 256

typedef struct reader {
    mc_table *t;
    const char *path, *text_name, *label_name, *group_name;
    const mc_select *select;
    int32_t n_select, stream;
    int64_t line;
    /* columns of the header */
    char *names[MAX_COLUMNS + 1];
    int32_t n_names, text, label, group, wanted[16];
} reader;

static int32_t fail_row(const reader *r, const char *why)
{
    char where[300];
    snprintf(where, sizeof where, "%.250s:%lld", r->path, (long long)r->line);
    return mc_fail(MCOMP_DATA, where, "%s", why);
}

static int32_t no_column(const reader *r, const char *name)
{
    const char *near = mc_nearest(name, (const char *const *)r->names);
    (void)mc_fail(MCOMP_DATA, r->path, "there is no column \"%s\"", name);
    if (near) (void)mc_fail_hint("did you mean \"%s\"?", near);
    return MCOMP_DATA;
}

static int32_t column(const reader *r, const char *name)
{
    for (int32_t i = 0; i < r->n_names; i++)
        if (strcmp(r->names[i], name) == 0) return i;
    return -1;
}

/* Finds the columns that matter; names[] is the header. */
static int32_t bind_columns(reader *r)
{
    r->text = column(r, r->text_name ? r->text_name : "text");
    if (r->text < 0) return no_column(r, r->text_name ? r->text_name : "text");
    r->label = column(r, r->label_name ? r->label_name : "label");
    if (r->label < 0 && r->label_name) return no_column(r, r->label_name);
    r->t->has_label = r->label >= 0;
    r->group = r->group_name ? column(r, r->group_name) : -1;
    if (r->group < 0 && r->group_name) return no_column(r, r->group_name);
    for (int32_t i = 0; i < r->n_select; i++) {
        r->wanted[i] = column(r, r->select[i].column);
        if (r->wanted[i] < 0) return no_column(r, r->select[i].column);
    }
    return MCOMP_OK;
}

static int32_t add_row(reader *r, const char *text, int64_t len, const char *label, const char *group)
{
    mc_table *t = r->t;
    const int32_t st = mc_grow(&t->rows, &t->cap, t->n + 1, sizeof *t->rows);
    if (st == MCOMP_OK) t->rows[t->n++] = (mc_row){text, label, group, len};
    return st;
}

static int32_t take_fields(reader *r, char *const *f, int32_t n)
{
    if (n != r->n_names) {
        char why[96];
        snprintf(why, sizeof why, "%d fields where the header has %d columns", n, r->n_names);
        return fail_row(r, why);
    }
    for (int32_t i = 0; i < r->n_select; i++)
        if (strcmp(f[r->wanted[i]], r->select[i].value) != 0) return MCOMP_OK;
    return add_row(r, f[r->text], (int64_t)strlen(f[r->text]), r->label >= 0 ? f[r->label] : NULL, r->group >= 0 ? f[r->group] : NULL);
}

static int32_t take_record(reader *r, char **f, int32_t n)
{
    if (r->n_names > 0) return take_fields(r, f, n);
    for (int32_t i = 0; i < n; i++) r->names[i] = f[i];
    r->names[n] = NULL;
    r->n_names = n;
    return bind_columns(r);
}

static char *end_of_line(char *p)
{
    char *e = strchr(p, '\n');
    return e ? e : p + strlen(p);
}

static int32_t read_tsv(reader *r, char *p)
{
    int32_t st = MCOMP_OK;
    char *f[MAX_COLUMNS];
    while (*p) {
        char *e = end_of_line(p), *next = *e ? e + 1 : e;
        int32_t n = 0;
        r->line++;
        if (e > p && e[-1] == '\r') e--;
        *e = 0;
        for (char *q = p; q; n++) {
            char *tab = strchr(q, '\t');
            if (n == MAX_COLUMNS) return fail_row(r, "more than 256 columns");
            if (tab) *tab = 0;
            f[n] = q;
            q = tab ? tab + 1 : NULL;
        }
        if (e > p || r->n_names > 1) MC_TRY(take_record(r, f, n)); /* an empty line of a one-column file is nothing */
        p = next;
    }
done:
    return st;
}

/* One CSV field starting at p, unescaped in place. Returns the position after it, NULL for an open quote. */
static char *csv_field(char *p, char **field, int64_t *lines)
{
    char *to = p;
    if (*p != '"') {
        *field = p;
        while (*p && *p != ',' && *p != '\n') p++;
        return p;
    }
    *field = to;
    for (p++;; p++) {
        if (!*p) return NULL;
        if (*p == '\n') ++*lines;
        if (*p == '"') {
            if (p[1] != '"') break;
            p++;
        }
        *to++ = *p;
    }
    *to = 0;
    return p + 1;
}

static int32_t read_csv(reader *r, char *p)
{
    int32_t st = MCOMP_OK;
    char *f[MAX_COLUMNS];
    while (*p) {
        int32_t n = 0;
        int64_t lines = 1;
        char end;
        do {
            if (n == MAX_COLUMNS) return fail_row(r, "more than 256 columns");
            p = csv_field(p, &f[n++], &lines);
            if (!p) return fail_row(r, "a quoted field is not closed");
            if (*p == '\r' && p[1] == '\n') *p++ = 0;
            end = *p;
            if (end && end != ',' && end != '\n') return fail_row(r, "text after a quoted field");
            if (end) *p++ = 0;
        } while (end == ',');
        const size_t last = strlen(f[n - 1]);
        if (last > 0 && f[n - 1][last - 1] == '\r') f[n - 1][last - 1] = 0;
        r->line++;
        if (n > 1 || *f[0] || r->n_names > 1) MC_TRY(take_record(r, f, n));
        r->line += lines - 1;
    }
done:
    return st;
}

/* Value of a key as text in the arena; numbers are printed. NULL when absent. */
static const char *json_text(reader *r, const mc_json *o, const char *key, int32_t *st)
{
    char buf[32];
    int64_t i;
    const mc_json *v = mc_json_get(o, key);
    const char *s = v ? mc_json_string(v) : NULL;
    if (v && !s && mc_json_int(v, &i)) {
        snprintf(buf, sizeof buf, "%lld", (long long)i);
        s = buf;
    }
    if (!s) return NULL;
    const char *copy = mc_arena_strdup(r->t->arena, s);
    if (!copy) *st = MCOMP_NO_MEMORY;
    return copy;
}

static int32_t take_json(reader *r, const mc_json *o)
{
    int32_t st = MCOMP_OK;
    for (int32_t i = 0; i < r->n_select; i++) {
        const char *v = json_text(r, o, r->select[i].column, &st);
        if (st != MCOMP_OK) return st;
        if (!v || strcmp(v, r->select[i].value) != 0) return MCOMP_OK;
    }
    const char *text = json_text(r, o, r->text_name ? r->text_name : "text", &st);
    if (st == MCOMP_OK && !text) return fail_row(r, "the object lacks the text key (--text names it)");
    const char *label = st == MCOMP_OK ? json_text(r, o, r->label_name ? r->label_name : "label", &st) : NULL;
    if (st != MCOMP_OK) return st;
    if (!label && (r->label_name || r->t->has_label)) return fail_row(r, "the object lacks the label key");
    if (label && r->t->n == 0) r->t->has_label = 1;
    const char *group = r->group_name ? json_text(r, o, r->group_name, &st) : NULL;
    if (st == MCOMP_OK && r->group_name && !group) return fail_row(r, "the object lacks the group key");
    return st != MCOMP_OK ? st : add_row(r, text, (int64_t)strlen(text), r->t->has_label ? label : NULL, group);
}

static int32_t read_jsonl(reader *r, char *p)
{
    int32_t st = MCOMP_OK;
    char where[300];
    while (*p) {
        char *e = end_of_line(p), *next = *e ? e + 1 : e;
        mc_json *o = NULL;
        r->line++;
        *e = 0;
        snprintf(where, sizeof where, "%.250s:%lld", r->path, (long long)r->line);
        if (p[strspn(p, " \t\r")]) {
            MC_TRY(mc_json_parse(&o, p, (uint64_t)(e - p), where));
            st = take_json(r, o);
            mc_json_destroy(o);
            if (st != MCOMP_OK) return st;
        }
        p = next;
    }
done:
    return st;
}

static int32_t read_txt(reader *r, char *p)
{
    int32_t st = MCOMP_OK;
    if (r->n_select > 0 || r->label_name || r->group_name) return mc_fail(MCOMP_ARGUMENT, r->path, "a .txt file has no columns");
    if (r->stream) return *p ? add_row(r, p, (int64_t)strlen(p), NULL, NULL) : MCOMP_OK;
    while (*p) {
        char *e = end_of_line(p), *next = *e ? e + 1 : e;
        if (e > p && e[-1] == '\r') e--;
        *e = 0;
        if (e > p) MC_TRY(add_row(r, p, e - p, NULL, NULL));
        p = next;
    }
done:
    return st;
}

/* Rows of a table as one text, a newline after each. */
static int32_t join(mc_table *t)
{
    int32_t st = MCOMP_OK;
    mc_str s = {0};
    for (int64_t i = 0; i < t->n; i++) {
        MC_TRY(mc_str_append_bytes(&s, t->rows[i].text, (size_t)t->rows[i].text_len));
        MC_TRY(mc_str_append_bytes(&s, "\n", 1));
    }
    mc_free(t->block);
    t->block = s.data;
    t->rows[0] = (mc_row){s.data, NULL, NULL, s.len};
    t->n = 1;
    return MCOMP_OK;
done:
    mc_str_free(&s);
    return st;
}

int32_t mc_table_read(mc_table *t, const mc_table_request *q)
{
    int32_t st = MCOMP_OK;
    uint64_t bytes = 0;
    const char *path = q->path;
    reader r = {.t = t, .path = path, .text_name = q->text, .label_name = q->label, .group_name = q->group, .select = q->select, .n_select = q->n_select, .stream = q->stream};
    if (q->n_select > 16) return mc_fail(MCOMP_ARGUMENT, path, "more than 16 selections");
    t->arena = mc_arena_create();
    if (!t->arena) return MCOMP_NO_MEMORY;
    MC_TRY(mc_text_slurp(path, 1ull << 32, &t->block, &bytes));
    if (memchr(t->block, 0, (size_t)bytes)) MC_FAIL(MCOMP_DATA, path, "the file holds NUL bytes: not a text file");
    char *p = t->block + (bytes >= 3 && memcmp(t->block, "\xef\xbb\xbf", 3) == 0 ? 3 : 0);
    if (mc_path_ends(path, ".tsv", 1)) st = read_tsv(&r, p);
    else if (mc_path_ends(path, ".csv", 1)) st = read_csv(&r, p);
    else if (mc_path_ends(path, ".jsonl", 1)) st = read_jsonl(&r, p);
    else st = read_txt(&r, p);
    if (st == MCOMP_OK && q->stream && t->n > 0 && !mc_path_ends(path, ".txt", 1)) st = join(t);
done:
    return st;
}

void mc_table_free(mc_table *t)
{
    mc_free(t->block);
    mc_free(t->rows);
    mc_arena_destroy(t->arena);
    memset(t, 0, sizeof *t);
}
