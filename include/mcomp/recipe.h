/* mcomp/recipe.h - a recipe: what is to become of a model, in YAML, checked before anything runs.
 *
 * docs/recipes.md describes the format, docs/parameters.md every key with its type, range and default. @thread one at a time.
 */
#ifndef MCOMP_RECIPE_H
#define MCOMP_RECIPE_H

#include <mcomp/context.h>
#include <mcomp/tensor.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mcomp_recipe_options { /* start with _init */
    uint32_t size;
    int32_t outside;    /* 1: `search.cache`, which is written to, may lie outside of the recipe's folder */
    int32_t no_files;   /* 1: files that the recipe names need not be there */
    int32_t reserved;
} mcomp_recipe_options;
MCOMP_API int32_t mcomp_recipe_options_init(mcomp_recipe_options *o, uint32_t size);

/* Reads and checks; a relative path in it is relative to its folder. Codes: RECIPE: there are errors in it; *out is the caller's also then
 * and holds up to 20 of them, the record has the first. PATH, IO, LIMIT (1 MiB), NO_MEMORY: *out is NULL. */
MCOMP_API int32_t mcomp_recipe_load(mcomp_recipe **out, const char *path, const mcomp_recipe_options *options);
/* The same from memory. name: for messages (NULL: "recipe"); folder: what paths are relative to (NULL: the working folder). */
MCOMP_API int32_t mcomp_recipe_parse(mcomp_recipe **out, const char *text, uint64_t bytes, const char *name, const char *folder, const mcomp_recipe_options *options);
MCOMP_API void mcomp_recipe_destroy(mcomp_recipe *r);

typedef struct mcomp_recipe_error { /* borrowed until the recipe is destroyed */
    uint32_t size;
    int32_t code;         /* RECIPE, LIMIT, PATH or RANGE */
    int32_t line, column; /* from 1; columns count characters */
    const char *file;     /* as it was named */
    const char *text;     /* what is wrong */
    const char *hint;     /* what to do; may be empty */
    const char *source;   /* the line of the recipe, where the error is in it */
} mcomp_recipe_error;
/* Errors kept (at most 20), and those that were found beyond them in *more (may be NULL). */
MCOMP_API int32_t mcomp_recipe_error_count(const mcomp_recipe *r, int32_t *count, int32_t *more);
MCOMP_API int32_t mcomp_recipe_error_get(const mcomp_recipe *r, int32_t index, mcomp_recipe_error *out);

/* The recipe with every default written out, a recipe itself. Borrowed until it is destroyed. RECIPE: it has errors. */
MCOMP_API int32_t mcomp_recipe_explain(const char **text, mcomp_recipe *r);
/* JSON Schema of recipes, for editors: *needed bytes with the final NUL; written to text if it has room for so many (text may be NULL). */
MCOMP_API int32_t mcomp_recipe_schema(uint64_t *needed, char *text, uint64_t bytes);

/* ---- running ---- */

/* Largest resident memory, in *bytes, of a process of its own that loads and runs this file on these inputs (names[n], inputs[n]). The
 * library starts no processes. Anything but 0: not measured. */
typedef int32_t (*mcomp_peak_rss_fn)(void *payload, uint64_t *bytes, const char *path, int32_t n, const char *const *names, const mcomp_tensor *const *inputs);

typedef struct mcomp_recipe_run_options { /* strings are copied; start with _init */
    uint32_t size;
    int32_t resume;               /* 1: passes that were interrupted go on from their checkpoints. Finished ones are never made twice */
    const char *out;              /* folder for the results, made if it is not there */
    int32_t overwrite;            /* 1: results of an earlier run in `out` are replaced (with resume they are anyway) */
    int32_t reserved;
    const char *argv;             /* how the run was asked for, a JSON array of words; kept in run.json. NULL: an empty one */
    mcomp_peak_rss_fn peak_rss;   /* NULL: peak_rss_bytes is absent */
    void *peak_rss_payload;
} mcomp_recipe_run_options;
MCOMP_API int32_t mcomp_recipe_run_options_init(mcomp_recipe_run_options *o, uint32_t size);

/* Runs the passes, measures every stage's file and holds the last one against the target. `out` gets model.onnx, model.tokenizer.json where
 * texts are read, run.json, and the store (.mcomp) unless search.cache names another folder. *json is what run.json holds; borrowed until the
 * next run or the recipe's end; NULL when the run failed. Progress and cancelling: the context's. docs/recipes.md
 *
 * The same recipe, model and data give the same model.onnx to the byte, interrupted (killed, too) and resumed or not; decisions that rest on
 * timings are taken once and kept in the store. Codes: TARGET_MISSED (everything is written, *json is there); MISMATCH (model.expect); BUSY
 * (another run uses the store); RECIPE, PATH (a result is in the way), DATA, NO_SPACE, UNSUPPORTED, DIVERGED, CANCELLED (what was done is
 * kept for resuming). */
MCOMP_API int32_t mcomp_recipe_run(const char **json, mcomp_recipe *recipe, mcomp_context *ctx, const mcomp_recipe_run_options *options);

#ifdef __cplusplus
}
#endif
#endif
