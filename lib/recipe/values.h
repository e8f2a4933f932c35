/* recipe/values.h - private: from nodes to values, and what follows from them. */
#ifndef MC_RECIPE_VALUES_H
#define MC_RECIPE_VALUES_H

#include "recipe/yaml.h"

#define MC_BIT(kind) (UINT32_C(1) << (kind))

/* nodes -> sections (read.c): checks keys and values one by one; fills r. root may be NULL: nothing is read. */
int32_t mc_recipe_read(mcomp_recipe *r, const mc_ynode *root);
/* Whether a value of this parameter may be one to search. */
int mc_param_searched(mc_section_kind in, const mc_param *p);
/* A section of a kind with its defaults, not given. */
mc_section *mc_section_new(mcomp_recipe *r, mc_section_kind kind, const char *name);
int32_t mc_section_fill(mcomp_recipe *r, mc_section *s, const mc_ynode *map);

/* One value that is neither a section nor searched (scalar.c). */
int32_t mc_value_read(mcomp_recipe *r, const mc_section *s, mc_setting *v, const mc_ynode *n);
/* Its text as a number within the bounds of the parameter; 1, or 0 with a reason. */
int mc_value_number(const mc_param *p, const char *text, double *out, const char **why);
/* Sets a number or a word that the recipe does not have, as it would be written. */
int32_t mc_value_derive(mcomp_recipe *r, mc_section *s, const char *key, const char *text);
int32_t mc_value_derive_number(mcomp_recipe *r, mc_section *s, const char *key, double number);

/* Paths (paths.c): ${VAR} expanded, relative to the recipe. The files must exist. Sets v->text. */
int32_t mc_path_resolve(mcomp_recipe *r, const mc_section *s, mc_setting *v);

int32_t mc_recipe_resolve(mcomp_recipe *r); /* resolve.c: inherited values and defaults that follow from others */
int32_t mc_recipe_meaning(mcomp_recipe *r); /* meaning.c: what must hold between values */

/* Notes an error at a value of a section (key NULL: at the section), with its name in front. */
int32_t mc_note(mcomp_recipe *r, const mc_section *s, const char *key, const char *hint, const char *fmt, ...) __attribute__((format(printf, 5, 6)));

/* The shortest decimal that reads back as v, independent of the locale. */
#define MC_NUMBER_TEXT 40
const char *mc_number_text(char buf[MC_NUMBER_TEXT], double v);
/* Text as a YAML scalar: plain where that reads back as the same text, else in double quotes. */
int32_t mc_scalar_write(mc_str *out, const char *text);
mc_setting *mc_setting_of(mc_section *s, const char *key);

#endif
