/* Sections as who runs a recipe sees them: every parameter of the kind has an answer. */
#include "recipe/values.h"

int mc_section_given(const mc_section *s) { return s->mark.line > 0; }

mc_setting *mc_setting_of(mc_section *s, const char *key)
{
    for (int32_t i = 0; i < s->n; i++)
        if (strcmp(s->settings[i].param->key, key) == 0) return &s->settings[i];
    return NULL;
}

const mc_setting *mc_section_get(const mc_section *s, const char *key)
{
    for (int32_t i = 0; i < s->n; i++)
        if (strcmp(s->settings[i].param->key, key) == 0) return &s->settings[i];
    return NULL;
}

int mc_setting_given(const mc_section *s, const char *key)
{
    const mc_setting *v = mc_section_get(s, key);
    return v && v->mark.line > 0;
}

int mc_section_has(const mc_section *s, const char *key)
{
    const mc_setting *v = mc_section_get(s, key);
    return v && v->kind == MC_SET_FIXED;
}

double mc_section_num(const mc_section *s, const char *key)
{
    const mc_setting *v = mc_section_get(s, key);
    return v && v->kind == MC_SET_FIXED ? v->number : 0.0;
}

int64_t mc_section_int(const mc_section *s, const char *key) { return (int64_t)mc_section_num(s, key); } /* bounds are within 2^53 */
int mc_section_flag(const mc_section *s, const char *key) { return mc_section_num(s, key) != 0.0; }

const char *mc_section_str(const mc_section *s, const char *key)
{
    const mc_setting *v = mc_section_get(s, key);
    return v && v->kind == MC_SET_FIXED ? v->text : NULL;
}

const char *const *mc_section_list(const mc_section *s, const char *key, int64_t *n)
{
    static const char *const none[] = {NULL};
    const mc_setting *v = mc_section_get(s, key);
    if (n) *n = v && v->list ? v->n : 0;
    return v && v->list ? v->list : none;
}

mc_section *const *mc_section_sections(const mc_section *s, const char *key, int64_t *n)
{
    const mc_setting *v = mc_section_get(s, key);
    *n = v && v->sections ? v->n : 0;
    return v ? v->sections : NULL;
}
