/* Sections with their defaults, before anything of the text goes in. */
#include "recipe/values.h"

#include <stdio.h>

/* Defaults of lists of sections are two only: none, and one loss. */
static int32_t standard_sections(mcomp_recipe *r, mc_section *s, mc_setting *v)
{
    mc_section **list = mc_arena_alloc(r->arena, 2 * sizeof *list);
    char name[sizeof s->name];
    if (!list) return MCOMP_NO_MEMORY;
    v->sections = list;
    v->kind = MC_SET_FIXED;
    if (strcmp(v->param->standard, "[]") == 0) return MCOMP_OK;
    snprintf(name, sizeof name, "%.60s.%s[0]", s->name, v->param->key);
    if (!(list[0] = mc_section_new(r, v->param->of, name))) return MCOMP_NO_MEMORY;
    v->n = 1;
    return mc_value_derive(r, list[0], "kind", "logits");
}

static int32_t standard(mcomp_recipe *r, mc_section *s, mc_setting *v)
{
    const mc_param *p = v->param;
    char name[sizeof s->name];
    if (p->type == MC_P_SECTION) {
        mc_section **one = mc_arena_alloc(r->arena, 2 * sizeof *one);
        if (!one) return MCOMP_NO_MEMORY;
        snprintf(name, sizeof name, "%.60s%s%s", s->name, s->name[0] ? "." : "", p->key);
        if (!(one[0] = mc_section_new(r, p->of, name))) return MCOMP_NO_MEMORY;
        v->sections = one;
        v->n = 1;
        return MCOMP_OK;
    }
    if (!p->standard || !*p->standard) return MCOMP_OK;
    if (p->type == MC_P_SECTIONS) return standard_sections(r, s, v);
    const mc_ynode n = {.kind = MC_SCALAR, .plain = 1, .text = p->standard};
    return mc_value_read(r, s, v, &n);
}

mc_section *mc_section_new(mcomp_recipe *r, mc_section_kind kind, const char *name)
{
    int32_t n, k = 0;
    const mc_param *table = mc_params(&n);
    mc_section *s = mc_arena_alloc(r->arena, sizeof *s);
    if (!s) return NULL;
    s->kind = kind;
    snprintf(s->name, sizeof s->name, "%s", name);
    for (int32_t i = 0; i < n; i++) s->n += (table[i].in & MC_BIT(kind)) != 0;
    s->settings = mc_arena_alloc(r->arena, (size_t)(s->n + 1) * sizeof *s->settings);
    if (!s->settings) return NULL;
    for (int32_t i = 0; i < n; i++)
        if (table[i].in & MC_BIT(kind)) s->settings[k++].param = &table[i];
    for (k = 0; k < s->n; k++)
        if (standard(r, s, &s->settings[k]) != MCOMP_OK) return NULL;
    return s;
}

int32_t mc_value_derive(mcomp_recipe *r, mc_section *s, const char *key, const char *text)
{
    mc_setting *v = mc_setting_of(s, key);
    const mc_param *p = v->param;
    const char *why;
    v->origin = MC_FROM_OTHERS;
    v->written = v->text = mc_arena_strdup(r->arena, text);
    if (!v->text) return MCOMP_NO_MEMORY;
    if (p->type == MC_P_INT || p->type == MC_P_NUM) (void)mc_value_number(p, text, &v->number, &why);
    v->kind = MC_SET_FIXED;
    return MCOMP_OK;
}

int32_t mc_value_derive_number(mcomp_recipe *r, mc_section *s, const char *key, double number)
{
    char text[MC_NUMBER_TEXT];
    return mc_value_derive(r, s, key, mc_number_text(text, number));
}

/* A handle always has every section, so that nobody needs to ask. */
int32_t mc_recipe_read(mcomp_recipe *r, const mc_ynode *root)
{
    r->top = mc_section_new(r, MC_IN_TOP, "");
    if (!r->top) return MCOMP_NO_MEMORY;
    const struct {
        mc_section **at, *in;
        const char *key;
    } homes[] = {{&r->model, r->top, "model"}, {&r->data, r->top, "data"}, {&r->target, r->top, "target"}, {&r->search, r->top, "search"}, {&r->exporting, r->top, "export"}, {&r->report, r->top, "report"}};
    for (size_t i = 0; i < sizeof homes / sizeof *homes; i++) *homes[i].at = mc_setting_of(homes[i].in, homes[i].key)->sections[0];
    r->expect = mc_setting_of(r->model, "expect")->sections[0];
    r->train = mc_setting_of(r->data, "train")->sections[0];
    r->valid = mc_setting_of(r->data, "valid")->sections[0];
    r->eval = mc_setting_of(r->data, "eval")->sections[0];
    r->calib = mc_setting_of(r->data, "calib")->sections[0];
    r->cost = mc_setting_of(r->report, "cost")->sections[0];
    if (!root) return MCOMP_OK;
    r->top->mark = root->mark;
    return mc_section_fill(r, r->top, root);
}
