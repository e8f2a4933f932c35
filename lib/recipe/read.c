/* Nodes to sections, by the table of parameters: keys, types, bounds. What is wrong is noted and reading goes on. */
#include "recipe/values.h"

#include <math.h>
#include <stdio.h>

int32_t mc_note(mcomp_recipe *r, const mc_section *s, const char *key, const char *hint, const char *fmt, ...)
{
    va_list list;
    char text[400];
    const mc_setting *v = key ? mc_section_get(s, key) : NULL;
    const mc_text_mark at = v && v->mark.line ? v->mark : s->mark.line ? s->mark : (mc_text_mark){1, 1};
    va_start(list, fmt);
    (void)vsnprintf(text, sizeof text, fmt, list);
    va_end(list);
    return mc_recipe_note_at(r, MCOMP_RECIPE, at, hint, "%s%s%s%s%s", s->name, key && s->name[0] ? "." : "", key ? key : "", s->name[0] || key ? ": " : "", text);
}

/* ---- values to search ---- */

static const mc_ynode *member(const mc_ynode *map, const char *key)
{
    for (int64_t i = 0; i < map->n; i++)
        if (map->item[2 * i]->kind == MC_SCALAR && strcmp(map->item[2 * i]->text, key) == 0) return map->item[2 * i + 1];
    return NULL;
}

/* Passes and their losses: what is tried in turn. The model, the samples and the target are what trials are compared by. */
int mc_param_searched(mc_section_kind in, const mc_param *p)
{
    const int pass = in < MC_PASS_KINDS || in == MC_IN_LOSS;
    return pass && (p->type == MC_P_INT || p->type == MC_P_NUM || p->type == MC_P_FLAG || p->type == MC_P_CHOICE || p->type == MC_P_STUDENT);
}

static int is_number(const mc_param *p) { return p->type == MC_P_INT || p->type == MC_P_NUM; }

static int32_t read_options(mcomp_recipe *r, const mc_section *s, mc_setting *v, const mc_ynode *list)
{
    int32_t st = MCOMP_OK;
    const int32_t before = r->n_notes + r->more;
    const mc_text_mark whole = v->mark;
    if (list->kind != MC_SEQUENCE || list->n < 2 || list->n > 16) return mc_note(r, s, v->param->key, "{choose: [a, b]}", "choose takes a list of 2 to 16 values");
    v->option = mc_arena_alloc(r->arena, (size_t)list->n * sizeof *v->option);
    if (!v->option) return MCOMP_NO_MEMORY;
    for (int64_t i = 0; i < list->n && st == MCOMP_OK; i++) {
        mc_setting *o = &v->option[i];
        *o = (mc_setting){.param = v->param, .key = v->key, .mark = list->item[i]->mark, .origin = MC_FROM_RECIPE};
        v->mark = o->mark; /* of an error in it */
        st = mc_value_read(r, s, o, list->item[i]);
        for (int64_t k = 0; k < i && st == MCOMP_OK && o->kind == MC_SET_FIXED; k++)
            if (v->option[k].kind == MC_SET_FIXED && v->option[k].number == o->number && (is_number(v->param) || strcmp(v->option[k].text, o->text) == 0)) st = mc_note(r, s, v->param->key, NULL, "the same value twice in choose");
    }
    v->mark = whole;
    v->n_options = (int32_t)list->n;
    if (st == MCOMP_OK && r->n_notes + r->more == before) v->kind = MC_SET_CHOOSE;
    return st;
}

static int32_t bound(mcomp_recipe *r, const mc_section *s, mc_setting *v, const mc_ynode *n, double *out)
{
    mc_setting one = {.param = v->param};
    const mc_text_mark whole = v->mark;
    v->mark = n->mark;
    const int32_t st = mc_value_read(r, s, &one, n);
    v->mark = whole;
    *out = one.number;
    return st;
}

static int32_t read_bisect(mcomp_recipe *r, const mc_section *s, mc_setting *v, const mc_ynode *list, const mc_ynode *step)
{
    int32_t st = MCOMP_OK;
    const int32_t before = r->n_notes + r->more;
    const char *why;
    if (!is_number(v->param)) return mc_note(r, s, v->param->key, "{choose: [a, b]}", "bisect is for numbers");
    if (list->kind != MC_SEQUENCE || list->n != 2 || !step || step->kind != MC_SCALAR)
        return mc_note(r, s, v->param->key, NULL, "bisect is written {bisect: [lowest, highest], step: s}");
    MC_TRY(bound(r, s, v, list->item[0], &v->lo));
    MC_TRY(bound(r, s, v, list->item[1], &v->hi));
    if (r->n_notes + r->more != before) return MCOMP_OK;
    if (!mc_value_number(v->param, step->text, &v->step, &why) || !step->plain) return mc_note(r, s, v->param->key, NULL, "the step \"%.40s\" %s", step->text, why ? why : "is a text");
    if (!(v->lo < v->hi)) return mc_note(r, s, v->param->key, NULL, "bisect needs a lowest value below the highest one");
    if (!(v->step > 0.0 && v->step <= v->hi - v->lo)) return mc_note(r, s, v->param->key, NULL, "the step must be above 0 and no larger than the distance of the two values");
    if ((v->hi - v->lo) / v->step > 1e6) return mc_note(r, s, v->param->key, NULL, "more than a million steps");
    v->kind = MC_SET_BISECT;
done:
    return st;
}

/* The value that stands for a searched one in a copy (mc_recipe_choose). */
static void choose(mc_setting *v, double value)
{
    if (v->kind == MC_SET_CHOOSE) {
        const int32_t i = value > 0.0 && value < v->n_options ? (int32_t)value : 0;
        mc_setting o = v->option[i];
        o.key = v->key;
        *v = o;
        return;
    }
    v->kind = MC_SET_FIXED;
    v->number = value >= v->lo ? value <= v->hi ? value : v->hi : v->lo;
    if (v->param->type == MC_P_INT) v->number = floor(v->number + 0.5);
    v->n_options = 0;
}

static int32_t read_searched(mcomp_recipe *r, const mc_section *s, mc_setting *v, const mc_ynode *n)
{
    int32_t st;
    const mc_ynode *options = member(n, "choose"), *bounds = member(n, "bisect");
    for (int64_t i = 0; i < n->n; i++) {
        const char *key = n->item[2 * i]->text;
        if (!key || (strcmp(key, "choose") != 0 && strcmp(key, "bisect") != 0 && strcmp(key, "step") != 0)) {
            v->mark = n->item[2 * i]->mark;
            return mc_note(r, s, v->param->key, "{choose: [a, b]} or {bisect: [lowest, highest], step: s}", "a value, or one to search, is needed");
        }
    }
    if (!options == !bounds) return mc_note(r, s, v->param->key, NULL, "a value to search has either choose or bisect");
    st = options ? read_options(r, s, v, options) : read_bisect(r, s, v, bounds, member(n, "step"));
    if (st != MCOMP_OK || (v->kind != MC_SET_CHOOSE && v->kind != MC_SET_BISECT)) return st;
    if (options && n->n > 1) return mc_note(r, s, v->param->key, NULL, "choose has no step");
    if (r->n_searched == MC_RECIPE_SEARCHED) return mc_note(r, s, v->param->key, NULL, "more than 16 values to search");
    const int64_t i = r->n_searched++;
    r->searched[i] = (mc_searched){s, v};
    if (r->choices && i < r->n_choices) choose(v, r->choices[i]);
    return MCOMP_OK;
}

/* ---- sections ---- */

static int32_t read_list(mcomp_recipe *r, mc_section *s, mc_setting *v, const mc_ynode *n)
{
    int32_t st = MCOMP_OK;
    char name[sizeof s->name];
    if (n->kind != MC_SEQUENCE) return mc_note(r, s, v->param->key, NULL, "a list of sections is needed");
    if (n->n > MC_RECIPE_PASSES) return mc_note(r, s, v->param->key, NULL, "more than 64 entries");
    mc_section **list = mc_arena_alloc(r->arena, (size_t)(n->n + 1) * sizeof *list);
    if (!list) return MCOMP_NO_MEMORY;
    for (int64_t i = 0; i < n->n && st == MCOMP_OK; i++) {
        snprintf(name, sizeof name, "%.60s%s%s[%d]", s->name, s->name[0] ? "." : "", v->param->key, (int)i);
        if (!(list[i] = mc_section_new(r, v->param->of, name))) return MCOMP_NO_MEMORY;
        list[i]->mark = v->mark.line ? n->item[i]->mark : (mc_text_mark){0, 0};
        st = mc_section_fill(r, list[i], n->item[i]);
    }
    v->sections = list;
    v->n = n->n;
    v->kind = MC_SET_FIXED;
    return st;
}

/* Each pass is a section with one key, its kind. */
static int32_t read_passes(mcomp_recipe *r, mc_section *s, mc_setting *v, const mc_ynode *n)
{
    int32_t st = MCOMP_OK;
    char name[sizeof s->name], shown[80];
    const char *const kinds[] = {"distill", "prune", "quantize", "finetune", NULL};
    if (n->kind != MC_SEQUENCE) return mc_note(r, s, v->param->key, "passes:\n  - quantize: {scheme: int8}", "a list of passes is needed");
    if (n->n > MC_RECIPE_PASSES) return mc_note(r, s, v->param->key, NULL, "more than 64 passes");
    if (n->n == 0) return mc_note(r, s, v->param->key, "distill, prune, quantize, finetune", "there is nothing to do");
    for (int64_t i = 0; i < n->n && st == MCOMP_OK; i++) {
        const mc_ynode *x = n->item[i], *key = x->kind == MC_MAPPING && x->n == 1 ? x->item[0] : NULL;
        int32_t k = 0;
        v->mark = x->mark;
        if (!key || key->kind != MC_SCALAR) {
            st = mc_note(r, s, v->param->key, "- quantize: {scheme: int8}", "a pass is a section with one key: distill, prune, quantize or finetune");
            continue;
        }
        while (k < MC_PASS_KINDS && strcmp(kinds[k], key->text) != 0) k++;
        if (k == MC_PASS_KINDS) {
            const char *near = mc_nearest(key->text, kinds);
            char hint[40];
            snprintf(hint, sizeof hint, near ? "did you mean %s?" : "distill, prune, quantize, finetune", near);
            st = mc_note(r, s, v->param->key, hint, "there is no pass \"%s\"", mc_escape(shown, sizeof shown, key->text));
            continue;
        }
        snprintf(name, sizeof name, "passes[%d].%s", (int)i, kinds[k]);
        mc_section *pass = mc_section_new(r, (mc_section_kind)k, name);
        if (!pass) return MCOMP_NO_MEMORY;
        pass->mark = key->mark;
        r->passes[r->n_passes++] = pass;
        st = mc_section_fill(r, pass, x->item[1]);
    }
    v->mark = n->mark;
    v->kind = MC_SET_FIXED;
    v->sections = r->passes;
    v->n = r->n_passes;
    return st;
}

static int32_t read_setting(mcomp_recipe *r, mc_section *s, mc_setting *v, const mc_ynode *n)
{
    const mc_param *p = v->param;
    if (p->type == MC_P_PASSES) return read_passes(r, s, v, n);
    if (p->type == MC_P_SECTIONS) return read_list(r, s, v, n);
    if (p->type == MC_P_SECTION) {
        v->sections[0]->mark = n->mark;
        return mc_section_fill(r, v->sections[0], n);
    }
    if (n->kind == MC_MAPPING && mc_param_searched(s->kind, p)) return read_searched(r, s, v, n);
    return mc_value_read(r, s, v, n);
}

static int32_t unknown_key(mcomp_recipe *r, const mc_section *s, const mc_ynode *key)
{
    const char *names[64], *near;
    char hint[120], shown[80];
    int32_t n = 0;
    for (; n < s->n && n < 63; n++) names[n] = s->settings[n].param->key;
    names[n] = NULL;
    near = mc_nearest(key->text, names);
    if (near) snprintf(hint, sizeof hint, "did you mean %s?", near);
    else snprintf(hint, sizeof hint, "docs/parameters.md has all keys of %s", mc_section_kind_name(s->kind));
    return mc_recipe_note_at(r, MCOMP_RECIPE, key->mark, hint, "%s%sthere is no key \"%s\"", s->name, s->name[0] ? ": " : "", mc_escape(shown, sizeof shown, key->text));
}

int32_t mc_section_fill(mcomp_recipe *r, mc_section *s, const mc_ynode *map)
{
    int32_t st = MCOMP_OK;
    const int samples = s->kind >= MC_IN_TRAIN && s->kind <= MC_IN_CALIB;
    if (samples && map->kind == MC_SCALAR && *map->text) { /* train: FILE is short for train: {path: FILE} */
        mc_setting *v = mc_setting_of(s, "path");
        v->key = v->mark = map->mark;
        v->origin = MC_FROM_RECIPE;
        return mc_value_read(r, s, v, map);
    }
    if (map->kind != MC_MAPPING) return mc_note(r, s, NULL, samples ? "a data argument, or {path: ...}" : NULL, "a section with keys is needed");
    for (int64_t i = 0; i < map->n && st == MCOMP_OK; i++) {
        const mc_ynode *key = map->item[2 * i];
        if (key->kind != MC_SCALAR || (key->plain && strcmp(key->text, "<<") == 0)) continue; /* noted by the reader of the text, as are keys that are there twice */
        mc_setting *v = mc_setting_of(s, key->text);
        if (!v) {
            st = unknown_key(r, s, key);
        } else if (!v->key.line) {
            const mc_setting fresh = {.param = v->param, .key = key->mark, .mark = map->item[2 * i + 1]->mark, .origin = MC_FROM_RECIPE, .sections = v->sections, .n = v->n};
            *v = fresh;
            st = read_setting(r, s, v, map->item[2 * i + 1]);
        }
    }
    for (int32_t i = 0; i < s->n && st == MCOMP_OK; i++) {
        const mc_param *p = s->settings[i].param;
        if (mc_param_required(p) && !s->settings[i].key.line) st = mc_recipe_note_at(r, MCOMP_RECIPE, s->mark.line ? s->mark : (mc_text_mark){1, 1}, p->text, "%s%s%s is missing", s->name, s->name[0] ? "." : "", p->key);
    }
    return st;
}
