/* One value: a number, a word, a text, a list of patterns. What YAML 1.1 and 1.2 read differently (010, 0x10, 1_000, yes) is refused. */
#include "recipe/values.h"

#include <math.h>
#include <stdio.h>

/* [+-] digits [. digits] [e [+-] digits]; no leading zeros, nothing else. */
static int is_decimal(const char *t)
{
    t += *t == '-' || *t == '+';
    const size_t whole = strspn(t, "0123456789");
    if (whole > 1 && *t == '0') return 0;
    t += whole;
    size_t part = 0;
    if (*t == '.') t += 1 + (part = strspn(t + 1, "0123456789"));
    if (!whole && !part) return 0;
    if (*t != 'e' && *t != 'E') return !*t;
    t++;
    t += *t == '-' || *t == '+';
    const size_t power = strspn(t, "0123456789");
    return power > 0 && !t[power];
}

int mc_value_number(const mc_param *p, const char *text, double *out, const char **why)
{
    const char *const what = p->type == MC_P_INT ? "is no whole number" : "is no number";
    *why = what;
    if (!is_decimal(text)) return 0;
    const int32_t st = mc_parse_f64(text, out);
    if (st == MCOMP_RANGE) *why = "is beyond all numbers";
    if (st != MCOMP_OK) return 0;
    if (p->type == MC_P_INT && *out != floor(*out)) return 0;
    if (*out == 0.0 && signbit(*out)) return *why = "has a sign that means nothing", 0;
    *why = NULL;
    return 1;
}

static int32_t number(mcomp_recipe *r, const mc_section *s, mc_setting *v, const mc_ynode *n)
{
    const mc_param *p = v->param;
    const char *why;
    char lo[MC_NUMBER_TEXT], hi[MC_NUMBER_TEXT], shown[80], hint[64] = "";
    (void)mc_escape(shown, sizeof shown, n->text);
    if (!n->plain) why = p->type == MC_P_INT ? "is a text; a whole number is needed" : "is a text; a number is needed";
    else (void)mc_value_number(p, n->text, &v->number, &why);
    if (why && !n->plain) snprintf(hint, sizeof hint, "without quotes");
    else if (why && strchr(n->text, ',')) snprintf(hint, sizeof hint, "a decimal point, not a comma");
    else if (why && strchr(n->text, '_')) snprintf(hint, sizeof hint, "digits without _ between them");
    else if (why && *n->text == '0' && n->text[1]) snprintf(hint, sizeof hint, "decimal digits, without leading zeros");
    if (why) return mc_note(r, s, p->key, hint, "\"%s\" %s", shown, why);
    if (v->number >= p->lo && v->number <= p->hi) return MCOMP_OK;
    return mc_note(r, s, p->key, NULL, "%s is not within %s and %s", shown, mc_number_text(lo, p->lo), mc_number_text(hi, p->hi));
}

static int32_t flag(mcomp_recipe *r, const mc_section *s, mc_setting *v, const mc_ynode *n)
{
    char shown[80];
    v->number = strcmp(n->text, "true") == 0;
    if (n->plain && (v->number != 0.0 || strcmp(n->text, "false") == 0)) return MCOMP_OK;
    return mc_note(r, s, v->param->key, "true or false", "\"%s\" is neither true nor false", mc_escape(shown, sizeof shown, n->text));
}

static int32_t choice(mcomp_recipe *r, const mc_section *s, mc_setting *v, const mc_ynode *n)
{
    int32_t st = MCOMP_OK;
    char shown[80], hint[200], words[160];
    const char *names[16], *near;
    int32_t k = 0;
    snprintf(words, sizeof words, "%s", v->param->words);
    char *save = NULL;
    for (char *w = strtok_r(words, "|", &save); w && k < 15; w = strtok_r(NULL, "|", &save)) {
        if (strcmp(w, n->text) == 0) return MCOMP_OK;
        names[k++] = w;
    }
    names[k] = NULL;
    near = mc_nearest(n->text, names);
    if (near) snprintf(hint, sizeof hint, "did you mean %s?", near);
    else snprintf(hint, sizeof hint, "one of %s", v->param->words);
    for (char *c = hint; !near && *c; c++)
        if (*c == '|') *c = ' ';
    st = mc_note(r, s, v->param->key, hint, "there is no %s \"%s\"", v->param->key, mc_escape(shown, sizeof shown, n->text));
    return st;
}

static int32_t add_pattern(mcomp_recipe *r, const char ***list, int64_t *n, int64_t cap, const char *text, size_t len)
{
    if (*n + 1 >= cap || !len) return MCOMP_OK;
    char *copy = mc_arena_alloc(r->arena, len + 1);
    if (!copy) return MCOMP_NO_MEMORY;
    memcpy(copy, text, len);
    (*list)[(*n)++] = copy;
    return MCOMP_OK;
}

/* A list of patterns, or one text with commas; text: joined with commas, NULL when there are none. */
static int32_t globs(mcomp_recipe *r, const mc_section *s, mc_setting *v, const mc_ynode *n)
{
    int32_t st = MCOMP_OK;
    int64_t cap = 2;
    mc_str all = {0};
    if (n->kind == MC_MAPPING) return mc_note(r, s, v->param->key, "match: [\"*ffn*\", \"*attn*\"]", "a list of patterns is needed");
    for (const char *c = n->kind == MC_SCALAR ? n->text : ""; *c; c++) cap += *c == ',';
    if (n->kind == MC_SEQUENCE) cap += n->n;
    const char **list = mc_arena_alloc(r->arena, (size_t)cap * sizeof *list);
    if (!list) return MCOMP_NO_MEMORY;
    for (const char *t = n->kind == MC_SCALAR ? n->text : NULL; t; t = strchr(t, ',') ? strchr(t, ',') + 1 : NULL) MC_TRY(add_pattern(r, &list, &v->n, cap, t, strcspn(t, ",")));
    for (int64_t i = 0; n->kind == MC_SEQUENCE && i < n->n; i++) {
        const mc_ynode *x = n->item[i];
        if (x->kind != MC_SCALAR || !*x->text || strchr(x->text, ',')) {
            v->mark = x->mark;
            return mc_note(r, s, v->param->key, NULL, "a pattern is a text without commas");
        }
        MC_TRY(add_pattern(r, &list, &v->n, cap, x->text, strlen(x->text)));
    }
    v->list = list;
    for (int64_t i = 0; i < v->n; i++) MC_TRY(mc_str_appendf(&all, "%s%s", i ? "," : "", list[i]));
    if (v->n && !(v->text = mc_arena_strdup(r->arena, all.data))) st = MCOMP_NO_MEMORY;
done:
    mc_str_free(&all);
    return st;
}

/* Values that may stand where there is nothing: an error that says so. */
static int is_empty(const mc_ynode *n) { return n->kind == MC_SCALAR && n->plain && (!*n->text || strcmp(n->text, "~") == 0 || strcmp(n->text, "null") == 0); }

int32_t mc_value_read(mcomp_recipe *r, const mc_section *s, mc_setting *v, const mc_ynode *n)
{
    int32_t st;
    const mc_param *p = v->param;
    const int32_t before = r->n_notes + r->more;
    if (is_empty(n)) return mc_note(r, s, p->key, "a key that is left out has its default", "there is no value");
    if (p->type == MC_P_GLOBS) {
        st = globs(r, s, v, n);
    } else if (n->kind != MC_SCALAR) {
        const int number_wanted = p->type == MC_P_INT || p->type == MC_P_NUM;
        return mc_note(r, s, p->key, NULL, "%s is not what belongs here: %s is needed", n->kind == MC_SEQUENCE ? "a list" : "a section", number_wanted ? "a number" : "a word or a text");
    } else {
        v->text = v->written = n->text;
        if (p->type == MC_P_INT || p->type == MC_P_NUM) st = number(r, s, v, n);
        else if (p->type == MC_P_FLAG) st = flag(r, s, v, n);
        else if (p->type == MC_P_CHOICE) st = choice(r, s, v, n);
        else st = *n->text ? mc_path_resolve(r, s, v) : mc_note(r, s, p->key, NULL, "an empty text");
    }
    if (st == MCOMP_OK && r->n_notes + r->more == before) v->kind = MC_SET_FIXED;
    return st;
}
