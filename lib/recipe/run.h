/* recipe/run.h - private: running a recipe.
 *
 * A run is a chain of stages: the teacher, then one a pass. Each pass is a node of the store (store.h): made once, by its kind (stages.def),
 * or found there. What a pass starts from is always what the stage before wrote to disk, so a chain that was interrupted and one that was not
 * are the same chain. Then every stage's file is measured, all of them timed in turn, and the last one is held against the target.
 */
#ifndef MC_RECIPE_RUN_H
#define MC_RECIPE_RUN_H

#include "measure/measure.h"
#include "recipe/recipe.h"
#include "recipe/store.h"

/* The data as models with these inputs and this tokenizer take them. Datasets the recipe does not have are NULL. */
typedef struct mc_run_data {
    mcomp_dataset *train, *valid, *eval, *calib;
    mcomp_tokenizer *tokenizer;
    const char *ranges; /* a .calib file instead of calib; NULL: none */
    char train_hash[65], valid_hash[65], eval_hash[65], calib_hash[65]; /* of the samples as the model takes them; "" without */
} mc_run_data;

typedef struct mc_run mc_run;
typedef struct mc_run_stage mc_run_stage;

/* One kind of pass (stages.def: one file stage_<name>.c and one row each). */
typedef struct mc_stage_kind {
    const char *name;
    /* What the result depends on beside the model, the data and the section: appended to the text of the node's key. NULL: nothing. */
    int32_t (*key)(mc_run *r, mc_run_stage *s, mc_str *text);
    /* Makes s->made from s->from->g; may set s->tokenizer, s->control and facts. */
    int32_t (*run)(mc_run *r, mc_run_stage *s);
} mc_stage_kind;
extern const mc_stage_kind mc_stage_distill, mc_stage_prune, mc_stage_quantize, mc_stage_finetune;

struct mc_run_stage {
    const mc_stage_kind *kind; /* NULL: the teacher */
    const mc_section *pass;
    mc_run_stage *from;
    char name[40];             /* kind, kind#2 where there are several */
    mc_run_data *data;         /* as this stage's model takes it */
    mc_store_node node;
    int32_t reused;            /* 1: the node was finished before this run */
    char *path;                /* of the file */
    mcomp_graph *g, *control;  /* as they lie on disk */
    char identity[65];         /* of g: of the file's bytes and of what the graph computes */
    uint64_t file_bytes;
    /* while it is made */
    mcomp_graph *made, *made_control;
    mcomp_tokenizer *tokenizer; /* of the student; NULL: that of the stage before */
    mc_json *facts;             /* what, scheme, kept_float, equivalence, curve, seconds, sites, missed */
    /* measured */
    mc_scores scores;
    mc_measured metric;
    mc_comparison comparison;   /* with the teacher */
    double *ms, p50, p90;
};

struct mc_run {
    mcomp_context *ctx;
    mcomp_recipe *recipe;
    mcomp_recipe_run_options o;
    mc_arena *arena;
    const char *out; /* DIR */
    mc_store *store;
    mc_run_stage stage[MC_RECIPE_PASSES + 1]; /* 0: the teacher */
    int32_t n_stages;
    mc_run_data data[MC_RECIPE_PASSES + 1];
    int32_t n_data;
    const char *metric;
    mc_run_stage final; /* DIR/model.onnx */
    int64_t rounds;     /* of the race */
    mc_json *root, *warnings;
    int32_t missed;     /* 1: a target was, the record says which */
    mcomp_error why;
};

/* run_data.c */
int32_t mc_run_load(mc_run *r, const char *path, mcomp_graph **out);
/* Opens the recipe's data for g. tokenizer: that its texts go through (shared), or NULL: the recipe's, or what lies beside `path`. */
int32_t mc_run_data_open(mc_run *r, mc_run_data *d, const mcomp_graph *g, const char *path, const mcomp_tokenizer *tokenizer);
/* The training samples alone, with another tokenizer: named, or a handle. */
int32_t mc_run_data_train(mc_run *r, const mcomp_graph *g, const char *tokenizer, mcomp_tokenizer *handle, mcomp_dataset **out);
void mc_run_data_close(mc_run_data *d);
int32_t mc_run_identity(const char *path, const mcomp_graph *g, char hex[65]);
int32_t mc_run_objective(const mc_run *r, const char **name); /* of texts; NULL: classify */

/* run_stage.c: the node of a pass, found or made */
int32_t mc_run_stage_do(mc_run *r, mc_run_stage *s);
void mc_run_stage_close(mc_run_stage *s);

/* stage_training.c: what passes that train share */
typedef struct mc_stage_training {
    mc_run *r;
    mc_run_stage *s;
    int32_t runs, run; /* student and control: two; the curve is the first one's */
    mc_str checkpoint;
    int64_t started_ns;
    double seconds_before;
} mc_stage_training;
/* Options of the pass, with the node's checkpoint and a progress callback. Strings live as long as t and the recipe. */
int32_t mc_stage_training_open(mc_stage_training *t, mc_run *r, mc_run_stage *s, mcomp_trainer_options *o);
void mc_stage_training_close(mc_stage_training *t); /* seconds and curve into the facts */
/* The teacher's losses of the last distill pass, taught on the data of s->from, or NULL when the pass does not ask for them. The caller
 * destroys *out. */
int32_t mc_stage_teacher(mc_run *r, mc_run_stage *s, mcomp_distiller **out);
int32_t mc_stage_teacher_key(mc_run *r, mc_run_stage *s, mc_str *text);
/* Asks the teacher about the training samples. Where losses compare tokens and the student's tokenizer is a smaller one, the teacher reads the
 * texts as the student cuts them, under its own numbers. student: the student's tokenizer, or NULL. */
int32_t mc_stage_teach(mc_run *r, mcomp_distiller *d, const mcomp_tokenizer *student);
/* A distiller of the teacher with the losses of a distill section (NULL: the defaults). */
int32_t mc_stage_distiller(mc_run *r, const mc_section *distill, mcomp_distiller **out);
/* Weights that an earlier pass pruned stay as they are where they are zero. */
int32_t mc_stage_hold_zeros(mc_run *r, const mc_run_stage *s, mcomp_trainer *t);

/* run_measure.c, run_time.c, run_layers.c */
int32_t mc_run_measure(mc_run *r, mc_run_stage *s);
int32_t mc_run_race(mc_run *r);
int32_t mc_run_layers(mc_json *list, const mc_run *r, const mc_run_stage *s);
int32_t mc_run_operators(mc_json *list, mc_run *r, const mc_run_stage *s);

/* run_target.c: target{}; r->missed. */
int32_t mc_run_target(mc_run *r, mc_json **out);

/* run_report.c: the object of run.json. */
int32_t mc_run_report(mc_run *r);
int32_t mc_run_cost(mc_run *r, mc_json *to); /* run_cost.c: `cost`, if the recipe asks for it */
int32_t mc_run_warn(mc_run *r, const char *code, const char *node, const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/* json_put.c: putting things into an object. Numbers that are not finite and NULL texts stay away. */
int32_t mc_put_number(mc_json *o, const char *key, double v);
int32_t mc_put_text(mc_json *o, const char *key, const char *text);
int32_t mc_put_interval(mc_json *o, const char *key, double lo, double hi);
int32_t mc_put_new(mc_json *o, const char *key, int array, mc_json **out); /* o NULL key: appended to the array o */

#endif
