/* recipe/yaml.h - private: YAML text as a small tree with places, read from libyaml's events under limits of our own. */
#ifndef MC_RECIPE_YAML_H
#define MC_RECIPE_YAML_H

#include "recipe/recipe.h"

#define MC_YAML_BYTES (1 << 20)
#define MC_YAML_DEPTH 32
#define MC_YAML_NODES 10000 /* an alias counts as all that it stands for */
#define MC_YAML_ALIASES 100
#define MC_YAML_SCALAR 4096

typedef enum mc_node_kind { MC_SCALAR, MC_SEQUENCE, MC_MAPPING } mc_node_kind;
typedef struct mc_ynode {
    mc_node_kind kind;
    int32_t plain;           /* scalars: written without quotes */
    mc_text_mark mark;
    const char *text;        /* scalars */
    int64_t n;               /* items, or pairs */
    struct mc_ynode **item;  /* mappings: item[2 i] is the key, item[2 i + 1] the value */
    int64_t total;           /* nodes in it, itself included */
    int32_t height;          /* levels below it */
} mc_ynode;

/* The document, in the recipe's arena; NULL where it cannot be read as one (the errors are noted). Returns a status only when there is no
 * memory. */
int32_t mc_yaml_read(mc_ynode **out, mcomp_recipe *r);

/* Notes an error at a place; beyond 20 they are counted only. hint may be NULL. NO_MEMORY, or OK. */
int32_t mc_recipe_note_at(mcomp_recipe *r, int32_t code, mc_text_mark at, const char *hint, const char *fmt, ...) __attribute__((format(printf, 5, 6)));
/* Where the text begins: behind a byte order mark. */
uint64_t mc_recipe_start(const mcomp_recipe *r);
/* The place of a byte of the text. */
mc_text_mark mc_recipe_place(const mcomp_recipe *r, uint64_t offset);

#endif
