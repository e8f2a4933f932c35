/* recipe/recipe.h - a recipe: YAML in, sections of checked values out, each with its place in the file.
 *
 * Reading has four steps, each in a file of its own: text -> nodes (yaml.c, libyaml's events under our own limits), nodes -> values (read.c,
 * by the table params.def), values that follow from others (resolve.c), what must hold between values (meaning.c). Errors are gathered.
 *
 * For who runs one: a section has every parameter of its kind, given or not, so a getter always answers; what was not given is the
 * default. A value to search ({choose: ...}, {bisect: ...}) has no answer until mc_recipe_choose made a copy in which it is fixed.
 */
#ifndef MC_RECIPE_H
#define MC_RECIPE_H

#include <mcomp/recipe.h>

#include "distill/distill.h"
#include "prune/prune.h"
#include "train/train.h"

typedef struct mc_text_mark {
    int32_t line, column; /* from 1, columns in characters; 0: not in the text */
} mc_text_mark;

/* ---- the table of parameters (params.def, params.c) ------------------------------------------------------------------- */

/* Kinds of sections. The first four passes are the kinds of `passes`. */
typedef enum mc_section_kind {
    MC_IN_DISTILL,
    MC_IN_PRUNE,
    MC_IN_QUANTIZE,
    MC_IN_FINETUNE,
    MC_IN_TOP,
    MC_IN_MODEL,
    MC_IN_EXPECT,
    MC_IN_DATA,
    MC_IN_TRAIN,
    MC_IN_VALID,
    MC_IN_EVAL,
    MC_IN_CALIB,
    MC_IN_TARGET,
    MC_IN_SEARCH,
    MC_IN_EXPORT,
    MC_IN_REPORT,
    MC_IN_COST,
    MC_IN_LOSS,
    MC_IN_RULE,
    MC_SECTION_KINDS
} mc_section_kind;
#define MC_PASS_KINDS 4

typedef enum mc_param_type {
    MC_P_INT,
    MC_P_NUM,
    MC_P_FLAG,
    MC_P_CHOICE,  /* one of words */
    MC_P_TEXT,
    MC_P_GLOBS,   /* list of patterns, or one text with commas; mc_section_str joins them with commas */
    MC_P_FILE,    /* that must exist */
    MC_P_DATA,    /* a data argument (docs/data.md); its files must exist */
    MC_P_TOKENS,  /* a tokenizer: a file, or bytes, chars, train:... */
    MC_P_STUDENT, /* a model file, a description, a cut */
    MC_P_FOLDER,  /* to write to; inside of the recipe's folder */
    MC_P_SECTION, /* one section of kind `of` */
    MC_P_SECTIONS,/* a list of them */
    MC_P_PASSES
} mc_param_type;

typedef struct mc_param { /* a row of params.def */
    uint32_t in;          /* kinds of sections that have it: bits 1 << mc_section_kind */
    const char *key;
    mc_param_type type;
    double lo, hi;        /* of numbers */
    const char *words;    /* of choices: "a|b|c" */
    mc_section_kind of;
    const char *standard; /* the default as it is written in a recipe; NULL: none, or it follows from other values (resolve.c); "": the key
                           * is needed */
    const char *since, *text;
} mc_param;
int mc_param_required(const mc_param *p);
const mc_param *mc_params(int32_t *n);
const mc_param *mc_param_find(mc_section_kind kind, const char *key); /* NULL: no such key there */
const char *mc_section_kind_name(mc_section_kind kind);               /* "distill", "train", "losses" ... */

/* ---- values ------------------------------------------------------------------------------------------------------------------ */

typedef struct mc_section mc_section;
typedef enum mc_setting_kind { MC_SET_NONE, MC_SET_FIXED, MC_SET_CHOOSE, MC_SET_BISECT } mc_setting_kind;
typedef enum mc_origin { MC_FROM_DEFAULT, MC_FROM_RECIPE, MC_FROM_OTHERS /* inherited, or follows from other values */ } mc_origin;

typedef struct mc_setting {
    const mc_param *param;
    mc_text_mark key, mark;        /* of the key, of the value; 0 where it was not given */
    mc_setting_kind kind;
    mc_origin origin;
    double number;            /* numbers; flags 0 or 1 */
    const char *text;         /* choices, texts; of paths: resolved, to open as it is */
    const char *written;      /* as the recipe has it (no path is resolved) */
    const char *const *list;  /* of globs, NULL-terminated */
    mc_section *const *sections;
    int64_t n;                /* of list, sections */
    double lo, hi, step;      /* bisect */
    struct mc_setting *option;/* choose: n_options fixed values */
    int32_t n_options;
} mc_setting;

struct mc_section {
    mc_section_kind kind;
    char name[96];         /* "passes[1].prune", for messages */
    mc_text_mark mark;          /* 0: the section was not given */
    int32_t n;
    mc_setting *settings;  /* one a parameter of this kind, in the order of the table */
};

typedef struct mc_searched { /* a value to search */
    const mc_section *section;
    const mc_setting *setting;
} mc_searched;

#define MC_RECIPE_ERRORS 20
#define MC_RECIPE_SEARCHED 16
#define MC_RECIPE_PASSES 64

typedef struct mc_recipe_note {
    int32_t code; /* RECIPE, LIMIT, PATH, RANGE */
    mc_text_mark mark;
    char *text, *hint, *source; /* source: the line of the recipe */
} mc_recipe_note;

struct mcomp_recipe {
    mc_arena *arena;   /* all sections, settings, texts */
    char *path;        /* for messages: as it was named, or "recipe" for a text */
    char *folder;      /* what paths are relative to; "" the working folder */
    char *text;
    uint64_t bytes;
    mcomp_recipe_options options;
    const double *choices;  /* while a copy is made: values of the searched ones */
    int64_t n_choices;
    mc_recipe_note notes[MC_RECIPE_ERRORS];
    int32_t n_notes, more;  /* more: found and not kept */
    mc_section *top, *model, *expect, *data, *train, *valid, *eval, *calib, *target, *search, *exporting, *report, *cost;
    mc_section *passes[MC_RECIPE_PASSES]; /* in order; the kind says which */
    int32_t n_passes;
    mc_searched searched[MC_RECIPE_SEARCHED]; /* in the order of the text */
    int64_t n_searched;
    mc_str explained;
    mc_str result;     /* of the last run: run.json */
};

/* ---- for who runs a recipe --------------------------------------------------------------------------------------------------- */

/* Of every kind above the handle has a section, also where the recipe has none: `given` says so. Keys are those of params.def; for one
 * that the kind does not have the answer is "no value". */
int mc_section_given(const mc_section *s);
const mc_setting *mc_section_get(const mc_section *s, const char *key);
int mc_setting_given(const mc_section *s, const char *key);   /* 1: written in the recipe (or inherited from a section where it is) */
double mc_section_num(const mc_section *s, const char *key);  /* 0 where there is no value */
int64_t mc_section_int(const mc_section *s, const char *key);
int mc_section_flag(const mc_section *s, const char *key);
const char *mc_section_str(const mc_section *s, const char *key); /* NULL where there is none; paths resolved */
int mc_section_has(const mc_section *s, const char *key);         /* 1: there is a value, by whatever way */
/* Patterns, NULL-terminated; *n may be NULL. */
const char *const *mc_section_list(const mc_section *s, const char *key, int64_t *n);
mc_section *const *mc_section_sections(const mc_section *s, const char *key, int64_t *n);

/* An error of running, at a place: fills the record ("file:line:column", the message with the section's name in front) and returns code.
 * key NULL: at the section. */
int32_t mc_recipe_fail(const mcomp_recipe *r, int32_t code, const mc_section *s, const char *key, const char *fmt, ...) __attribute__((format(printf, 5, 6)));

/* A copy in which values[i] stands for searched value i: the index of an option of `choose`, a number within the bounds of `bisect`. What
 * follows from other values (defaults of an optimizer) follows anew. n must be r->n_searched. The caller destroys *out. */
int32_t mc_recipe_choose(mcomp_recipe **out, const mcomp_recipe *r, int64_t n, const double *values);

/* The section with every value written out, as `explain` prints it, the same for equal values: what a key of a store is made of. */
int32_t mc_section_write(mc_str *out, const mc_section *s);

/* The losses of a distill section as mcomp_distiller_options.losses takes them: "logits=1,relation=0.5". In out's memory. */
int32_t mc_recipe_losses(mc_str *out, const mc_section *distill);
/* Trainer options of a pass: everything that the section says of training, over the defaults in o. Strings live as long as the recipe. */
int32_t mc_recipe_training(mcomp_trainer_options *o, const mcomp_recipe *r, const mc_section *pass);

#endif
