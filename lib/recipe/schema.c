/* JSON Schema (draft 2020-12) of recipes, from the table of parameters: what an editor completes and underlines. What holds between values
 * is not in it: meaning.c. Every value is given to its container at once, so that a failure leaves one root to destroy. */
#include "recipe/values.h"

#include <math.h>

typedef struct maker { /* sticky: after a failure nothing is added */
    int32_t status;
} maker;

/* v becomes member `key` of an object, or with key NULL the next item of an array. Returns v, NULL after a failure. */
static mc_json *put(maker *m, mc_json *to, const char *key, mc_json *v)
{
    if (m->status == MCOMP_OK && (!to || !v)) m->status = MCOMP_NO_MEMORY;
    if (m->status != MCOMP_OK) {
        mc_json_destroy(v);
        return NULL;
    }
    m->status = key ? mc_json_set(to, key, v) : mc_json_append(to, v);
    return m->status == MCOMP_OK ? v : NULL;
}

static void put_word(maker *m, mc_json *to, const char *key, const char *word) { (void)put(m, to, key, mc_json_new_string(word)); }

/* "a|b|c" as an array. */
static void put_words(maker *m, mc_json *to, const char *key, const char *words)
{
    mc_json *list = put(m, to, key, mc_json_array());
    for (const char *w = words; w; w = w[strcspn(w, "|")] ? w + strcspn(w, "|") + 1 : NULL) {
        char *one = mc_strndup(w, strcspn(w, "|"));
        (void)put(m, list, NULL, one ? mc_json_new_string(one) : NULL);
        mc_free(one);
    }
}

static int is_number(const mc_param *p) { return p->type == MC_P_INT || p->type == MC_P_NUM; }
static mc_json *number(double v) { return v == floor(v) && fabs(v) < 9.1e15 ? mc_json_new_int((int64_t)v) : mc_json_new_number(v); }

/* What one value must be, without choose and bisect. */
static void put_plain(maker *m, mc_json *o, const mc_param *p)
{
    if (is_number(p)) {
        put_word(m, o, "type", p->type == MC_P_INT ? "integer" : "number");
        (void)put(m, o, "minimum", number(p->lo));
        (void)put(m, o, "maximum", number(p->hi));
    } else if (p->type == MC_P_FLAG) {
        put_word(m, o, "type", "boolean");
    } else if (p->type == MC_P_CHOICE) {
        put_words(m, o, "enum", p->words);
    } else if (p->type == MC_P_GLOBS) {
        put_words(m, o, "type", "string|array");
        put_word(m, put(m, o, "items", mc_json_object()), "type", "string");
    } else {
        put_word(m, o, "type", "string");
    }
}

/* An array type; returns the schema of its items, empty. */
static mc_json *put_list(maker *m, mc_json *o, int64_t lowest, int64_t highest)
{
    put_word(m, o, "type", "array");
    (void)put(m, o, "minItems", mc_json_new_int(lowest));
    (void)put(m, o, "maxItems", mc_json_new_int(highest));
    return put(m, o, "items", mc_json_object());
}

/* An object type that has no other members than those put into what is returned. */
static mc_json *put_object(maker *m, mc_json *o, const char *required)
{
    put_word(m, o, "type", "object");
    if (required) put_words(m, o, "required", required);
    (void)put(m, o, "additionalProperties", mc_json_new_bool(0));
    return put(m, o, "properties", mc_json_object());
}

static void put_reference(maker *m, mc_json *o, mc_section_kind kind)
{
    mc_str path = {0};
    if (mc_str_appendf(&path, "#/$defs/%s", mc_section_kind_name(kind)) != MCOMP_OK) m->status = MCOMP_NO_MEMORY;
    else put_word(m, o, "$ref", path.data);
    mc_str_free(&path);
}

static void put_searched(maker *m, mc_json *o, const mc_param *p)
{
    mc_json *any = put(m, o, "anyOf", mc_json_array());
    put_plain(m, put(m, any, NULL, mc_json_object()), p);
    mc_json *members = put_object(m, put(m, any, NULL, mc_json_object()), "choose");
    put_plain(m, put_list(m, put(m, members, "choose", mc_json_object()), 2, 16), p);
    if (!is_number(p)) return;
    members = put_object(m, put(m, any, NULL, mc_json_object()), "bisect|step");
    put_plain(m, put_list(m, put(m, members, "bisect", mc_json_object()), 2, 2), p);
    put_plain(m, put(m, members, "step", mc_json_object()), p);
}

static void put_passes(maker *m, mc_json *o)
{
    mc_json *any = put(m, put_list(m, o, 1, MC_RECIPE_PASSES), "anyOf", mc_json_array());
    for (int k = 0; k < MC_PASS_KINDS; k++) {
        const char *name = mc_section_kind_name((mc_section_kind)k);
        put_reference(m, put(m, put_object(m, put(m, any, NULL, mc_json_object()), name), name, mc_json_object()), (mc_section_kind)k);
    }
}

static void put_standard(maker *m, mc_json *o, const mc_param *p)
{
    double v;
    const char *why;
    if (!p->standard || mc_param_required(p) || p->type == MC_P_SECTIONS) return;
    if (p->type == MC_P_FLAG) (void)put(m, o, "default", mc_json_new_bool(strcmp(p->standard, "true") == 0));
    else if (!is_number(p)) put_word(m, o, "default", p->standard);
    else if (mc_value_number(p, p->standard, &v, &why)) (void)put(m, o, "default", number(v));
}

static void put_property(maker *m, mc_json *o, const mc_param *p, mc_section_kind in)
{
    put_word(m, o, "description", p->text);
    if (p->type == MC_P_PASSES) put_passes(m, o);
    else if (p->type == MC_P_SECTIONS) put_reference(m, put_list(m, o, 0, MC_RECIPE_PASSES), p->of);
    else if (p->type == MC_P_SECTION) put_reference(m, o, p->of);
    else if (mc_param_searched(in, p)) put_searched(m, o, p);
    else put_plain(m, o, p);
    put_standard(m, o, p);
}

static void put_section(maker *m, mc_json *o, mc_section_kind kind)
{
    int32_t n;
    const mc_param *table = mc_params(&n);
    const int samples = kind >= MC_IN_TRAIN && kind <= MC_IN_CALIB;
    mc_json *members = put_object(m, o, NULL);
    if (samples) put_words(m, o, "type", "object|string");
    mc_json *needed = put(m, o, "required", mc_json_array());
    for (int32_t i = 0; i < n; i++) {
        if (!(table[i].in & MC_BIT(kind))) continue;
        put_property(m, put(m, members, table[i].key, mc_json_object()), &table[i], kind);
        if (mc_param_required(&table[i])) put_word(m, needed, NULL, table[i].key);
    }
}

static int32_t whole(mc_str *out)
{
    maker m = {MCOMP_OK};
    mc_json *o = mc_json_object();
    if (!o) return MCOMP_NO_MEMORY;
    put_word(&m, o, "$schema", "https://json-schema.org/draft/2020-12/schema");
    put_word(&m, o, "title", "libmcomp recipe");
    put_section(&m, o, MC_IN_TOP);
    mc_json *defs = put(&m, o, "$defs", mc_json_object());
    for (int k = 0; k < MC_SECTION_KINDS; k++)
        if (k != MC_IN_TOP) put_section(&m, put(&m, defs, mc_section_kind_name((mc_section_kind)k), mc_json_object()), (mc_section_kind)k);
    if (m.status == MCOMP_OK) m.status = mc_json_dump(o, out);
    mc_json_destroy(o);
    return m.status;
}

int32_t mcomp_recipe_schema(uint64_t *needed, char *text, uint64_t bytes)
{
    mc_str out = {0};
    MC_API_ENTER();
    MC_CHECK_ARG(1, needed, "needed", "is NULL");
    *needed = 0;
    int32_t st = whole(&out);
    if (st == MCOMP_OK) {
        *needed = (uint64_t)out.len + 1;
        if (text && bytes >= *needed) memcpy(text, out.data, *needed);
    } else {
        st = mc_fail(st, "schema", "no memory for the schema");
    }
    mc_str_free(&out);
    return st;
}
