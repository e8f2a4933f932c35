/* A recipe with every default written out. */
#include "recipe/values.h"

static int32_t indent(mc_str *out, int depth)
{
    int32_t st = MCOMP_OK;
    for (int i = 0; i < depth && st == MCOMP_OK; i++) st = mc_str_append(out, "  ");
    return st;
}

static int32_t fixed(mc_str *out, const mc_setting *v)
{
    int32_t st = MCOMP_OK;
    char number[MC_NUMBER_TEXT];
    switch (v->param->type) {
    case MC_P_INT:
    case MC_P_NUM: return mc_str_append(out, mc_number_text(number, v->number));
    case MC_P_FLAG: return mc_str_append(out, v->number != 0.0 ? "true" : "false");
    case MC_P_GLOBS:
        if (v->n > 8 && strlen(v->text) <= MC_YAML_SCALAR) return mc_scalar_write(out, v->text); /* one value, not so many: there is a limit */
        MC_TRY(mc_str_append(out, "["));
        for (int64_t i = 0; i < v->n; i++) {
            if (i) MC_TRY(mc_str_append(out, ", "));
            MC_TRY(mc_scalar_write(out, v->list[i]));
        }
        return mc_str_append(out, "]");
    default: return mc_scalar_write(out, v->written);
    }
done:
    return st;
}

static int32_t value(mc_str *out, const mc_setting *v)
{
    int32_t st = MCOMP_OK;
    char lo[MC_NUMBER_TEXT], hi[MC_NUMBER_TEXT], step[MC_NUMBER_TEXT];
    if (v->kind == MC_SET_FIXED) return fixed(out, v);
    if (v->kind == MC_SET_BISECT)
        return mc_str_appendf(out, "{bisect: [%s, %s], step: %s}", mc_number_text(lo, v->lo), mc_number_text(hi, v->hi), mc_number_text(step, v->step));
    MC_TRY(mc_str_append(out, "{choose: ["));
    for (int32_t i = 0; i < v->n_options; i++) {
        if (i) MC_TRY(mc_str_append(out, ", "));
        MC_TRY(fixed(out, &v->option[i]));
    }
    st = mc_str_append(out, "]}");
done:
    return st;
}

/* What a loss says of its pass is written there; samples `from` elsewhere have that one's path. */
static int is_elsewhere(const mc_section *s, const mc_setting *v)
{
    const char *key = v->param->key;
    if (s->kind == MC_IN_LOSS) return strcmp(key, "alpha") == 0 || strcmp(key, "temperature") == 0;
    return strcmp(key, "path") == 0 && s->kind != MC_IN_TRAIN && mc_section_has(s, "from");
}

/* Short ones, a line each. */
static int32_t sections(mc_str *out, const mc_setting *v, int depth)
{
    int32_t st = MCOMP_OK;
    if (v->n == 0) return mc_str_append(out, " []\n");
    MC_TRY(mc_str_append(out, "\n"));
    for (int64_t i = 0; i < v->n; i++) {
        const mc_section *s = v->sections[i];
        const char *between = "";
        MC_TRY(indent(out, depth));
        MC_TRY(mc_str_append(out, "  - {"));
        for (int32_t k = 0; k < s->n; k++) {
            const mc_setting *x = &s->settings[k];
            if (x->kind == MC_SET_NONE || is_elsewhere(s, x)) continue;
            MC_TRY(mc_str_appendf(out, "%s%s: ", between, x->param->key));
            MC_TRY(value(out, x));
            between = ", ";
        }
        MC_TRY(mc_str_append(out, "}\n"));
    }
done:
    return st;
}

static int32_t setting(mc_str *out, const mc_section *s, const mc_setting *v, int depth, int comments)
{
    int32_t st = MCOMP_OK;
    const mc_param *p = v->param;
    if (is_elsewhere(s, v)) return MCOMP_OK;
    const int nothing = v->kind == MC_SET_NONE;
    if (nothing && !comments) return MCOMP_OK;
    MC_TRY(indent(out, depth));
    if (nothing) return mc_str_appendf(out, "# %s: %s\n", p->key, p->text);
    MC_TRY(mc_str_appendf(out, "%s:", p->key));
    if (p->type == MC_P_SECTIONS) return sections(out, v, depth);
    MC_TRY(mc_str_append(out, " "));
    MC_TRY(value(out, v));
    const char *remark = v->mark.line ? "" : v->origin == MC_FROM_OTHERS ? "  # follows" : "  # default";
    st = mc_str_appendf(out, "%s\n", comments ? remark : "");
done:
    return st;
}

/* Is there anything to write in a section that was not given? Only where a default of it counts: samples that follow from others, and
 * sections that need no key of the user's. */
static int is_written(const mc_section *s)
{
    if (mc_section_given(s)) return 1;
    if (s->kind == MC_IN_CALIB) return mc_section_has(s, "from");
    return s->kind == MC_IN_TARGET || s->kind == MC_IN_SEARCH || s->kind == MC_IN_EXPORT;
}

static int32_t section(mc_str *out, const mc_section *s, int depth, int comments);

static int32_t passes(mc_str *out, const mc_setting *v, int comments)
{
    int32_t st = mc_str_append(out, "passes:\n");
    for (int64_t i = 0; i < v->n && st == MCOMP_OK; i++) {
        MC_TRY(mc_str_appendf(out, "  - %s:\n", mc_section_kind_name(v->sections[i]->kind)));
        st = section(out, v->sections[i], 3, comments);
    }
done:
    return st;
}

static int32_t section(mc_str *out, const mc_section *s, int depth, int comments)
{
    int32_t st = MCOMP_OK;
    for (int32_t i = 0; i < s->n; i++) {
        const mc_setting *v = &s->settings[i];
        if (v->param->type == MC_P_PASSES) {
            MC_TRY(passes(out, v, comments));
        } else if (v->param->type != MC_P_SECTION) {
            MC_TRY(setting(out, s, v, depth, comments));
        } else if (is_written(v->sections[0])) {
            MC_TRY(indent(out, depth));
            MC_TRY(mc_str_appendf(out, "%s:\n", v->param->key));
            MC_TRY(section(out, v->sections[0], depth + 1, comments));
        }
    }
done:
    return st;
}

int32_t mc_section_write(mc_str *out, const mc_section *s) { return section(out, s, 0, 0); }

int32_t mcomp_recipe_explain(const char **text, mcomp_recipe *r)
{
    int32_t st = MCOMP_OK;
    mc_str out = {0};
    MC_API_ENTER();
    MC_CHECK_ARG(1, text, "text", "is NULL");
    *text = NULL;
    MC_CHECK_ARG(2, r, "r", "is NULL");
    if (r->n_notes) return mc_fail(MCOMP_RECIPE, r->path, "a recipe with errors cannot be explained; there are %d", r->n_notes + r->more);
    if (!r->explained.data) {
        MC_TRY(section(&out, r->top, 0, 1));
        r->explained = out;
        out = (mc_str){0};
    }
    *text = r->explained.data;
done:
    mc_str_free(&out);
    return st;
}
