/* examples/mcomp/cli.h - what the verbs of the command share: arguments, the one JSON object, errors and exits, common steps.
 *
 * The command is written on the public API alone. Results go to stdout, everything else to stderr; with --json exactly one
 * object goes to stdout, also when something fails.
 */
#ifndef MCOMP_CLI_H
#define MCOMP_CLI_H

#include <jansson.h>
#include <mcomp/mcomp.h>
#include <stdint.h>
#include <stdio.h>

/* ---- arguments (args.c) ---- */

enum { OPT_FLAG, OPT_VALUE, OPT_MULTI };
typedef struct cli_opt {
    const char *name; /* without dashes */
    int kind;
    const char *help; /* "VALUE  what it does" */
} cli_opt;

typedef struct cli_arg {
    const char *name, *value;
} cli_arg;

typedef struct cli cli;
typedef struct cli_verb {
    const char *name, *usage, *about;
    int min_pos, max_pos; /* positional arguments; max -1: any */
    const cli_opt *opts;  /* beside the common ones; ends with a NULL name */
    int (*run)(cli *c);   /* returns a status code of the library, or EXIT_AS (see below) */
} cli_verb;

struct cli {
    const cli_verb *verb;
    json_t *argv; /* the words as the program got them */
    const char *command; /* the verb as typed */
    int n_pos;
    const char **pos;
    int n_args;
    cli_arg *args;
    int json, quiet, verbose, overwrite, progress; /* progress: 0 none 1 plain 2 jsonl 3 bar */
    json_t *root, *warnings;
    mcomp_context *ctx;
    struct cli_place {
        const mcomp_graph *g;
        const char *path;
    } places[8]; /* where the models of this call came from */
    int n_places;
    mcomp_tokenizer *tokenizer; /* that the texts of this call go through */
    const char *tokenizer_option; /* that names it; NULL: tokenizer */
    mcomp_error error; /* what is reported when run() fails; filled by cli_fail or from the library */
    int own_progress; /* 1: the verb prints its progress itself */
    const char *last_stage;
    int64_t last_report_ms;
};

int cli_parse(cli *c, int argc, char **argv);
const char *cli_str(const cli *c, const char *name, const char *otherwise); /* last one given */
int cli_has(const cli *c, const char *name);
/* Numbers: usage error (recorded, non-zero return) when malformed or outside [lo, hi]. */
int cli_i64(cli *c, const char *name, int64_t otherwise, int64_t lo, int64_t hi, int64_t *out);
int cli_f64(cli *c, const char *name, double otherwise, double lo, double hi, double *out);
int cli_ends(const char *text, const char *end); /* 1 if text is longer than end and ends in it */
const char *cli_nearest(const char *word, const char *const *candidates);
extern const cli_opt cli_common_opts[];
extern const cli_opt cli_data_opts[];
extern const cli_opt cli_model_opts[];
/* Option of the verb by name (common, data, model and its own); NULL if unknown. */
const cli_opt *cli_find_opt(const cli_verb *v, const char *name);
int cli_takes_data(const cli_verb *v);
int cli_takes_model(const cli_verb *v);

/* ---- results and errors (report.c) ---- */

/* Records an error of the command's own. Returns code. */
int cli_fail(cli *c, int code, const char *where, const char *hint, const char *fmt, ...) __attribute__((format(printf, 5, 6)));
/* Keeps the library's error record of the call that just failed. Returns code. */
int cli_lib(cli *c, int code);
/* The same of a call on samples first..first+n-1: when it is their fault, the error says which they were. */
int cli_lib_samples(cli *c, int code, int64_t first, int64_t n);
void cli_warn(cli *c, const char *code, const char *node, const char *fmt, ...) __attribute__((format(printf, 4, 5)));
/* Human result line on stdout (not with --json, not with -q). */
void cli_say(const cli *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Log line on stderr, with -v. */
void cli_log(const cli *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void cli_set(json_t *o, const char *key, json_t *value);
void cli_set_real(json_t *o, const char *key, double v); /* absent when not finite */
json_t *cli_interval(double lo, double hi);
int cli_finish(cli *c, int status); /* prints object or error; returns the exit code */

#define CLI_TRY(expr)                                                                                                  \
    do {                                                                                                               \
        st = (expr);                                                                                                   \
        if (st != 0) goto done;                                                                                        \
    } while (0)
/* As CLI_TRY for calls of the library: keeps their error record. */
#define CLI_LIB(expr)                                                                                                  \
    do {                                                                                                               \
        st = (expr);                                                                                                   \
        if (st != 0) {                                                                                                 \
            st = cli_lib(c, st);                                                                                       \
            goto done;                                                                                                 \
        }                                                                                                              \
    } while (0)

/* ---- common steps (steps.c) ---- */

int cli_context(cli *c); /* c->ctx from the common options */
/* Loads a model, ONNX or safetensors (--arch --config --head), and applies --set. */
int cli_model(cli *c, const char *path, mcomp_graph **out);
/* A fresh model from --build SPEC; what it leaves open is read from the data (may be NULL). classes 0: read as well. */
int cli_built_model(cli *c, const char *spec, const char *data, int64_t classes, mcomp_graph **out);
/* The tensors of a safetensors file alone. */
int cli_tensors(cli *c, const char *path, mcomp_graph **out);
int cli_is_safetensors(const char *path);
/* What --set gives an input that --carry feeds: its value before the first sample; NULL if it gives none. */
int cli_start_value(cli *c, const mcomp_graph *g, const char *name, mcomp_tensor **out);
int cli_dataset(cli *c, const mcomp_graph *g, const char *argument, mcomp_dataset **out);
int cli_session(cli *c, const mcomp_graph *g, int profile, mcomp_session **s, mcomp_exec **e);
/* Size of the model on disk, weights beside it included. */
uint64_t cli_model_bytes(const mcomp_graph *g);
/* Index of the output that holds the logits (--output, or the only one). */
int cli_logits(cli *c, const mcomp_session *s, int32_t *index);
double cli_now_ms(void);
uint64_t cli_peak_rss(void);
const char *cli_human_bytes(char *buf, size_t cap, double bytes);
/* Default output beside the input: STEM + suffix. malloc'd. */
char *cli_stem(const char *path, const char *suffix);

/* ---- tokenizers (tokenizer.c) ---- */

/* What the texts for this model go through: --tokenizer, or what lies beside the model. Sets the two options. */
int cli_tokenizer_choose(cli *c, const mcomp_graph *g, mcomp_dataset_options *o, mcomp_tokenizer **own);
/* Keeps the tokenizer of a dataset for the other datasets of this call and for cli_tokenizer_save. */
int cli_tokenizer_keep(cli *c, mcomp_dataset *d);
/* STEM.tokenizer.json beside a model that is about to be written; nothing to do when no texts were read. Before the model: so that a file
 * that is in the way is found first. */
int cli_tokenizer_save(cli *c, const char *model_out);

/* ---- training (training.c) ---- */

typedef struct cli_training { /* of one call: what its options and events need */
    cli *c;
    int runs, run;     /* several trainings one after another (student, control), and which runs; runs 0: one */
    json_t *curve[2];  /* by run */
    char *freeze, *ckpt;
    double started_ms, reported_ms;
    char metric[32];
} cli_training;
extern const cli_opt cli_training_opts[];
int cli_takes_training(const cli_verb *v);
int cli_training_open(cli_training *t, cli *c, const char *out); /* the checkpoint is OUT.ckpt */
void cli_training_close(cli_training *t);
/* The common options over the defaults in o, and progress. Strings live as long as t. */
int cli_training_options(cli_training *t, mcomp_trainer_options *o);
json_t *cli_best(const cli_training *t, const mcomp_train_result *r); /* best{} */
/* Names of the classes go into the model, so that validation and every later call number them alike. */
int cli_name_labels(cli *c, mcomp_graph *g, const mcomp_dataset *d);

/* coverage{} of a calibration, and warnings of what it never saw (cmd_calibrate.c). g may be NULL. */
int cli_coverage(cli *c, const mcomp_calibrator *k, const mcomp_graph *g);

/* ---- recipes (cmd_recipe.c) ---- */

/* Reads and checks, and lists every error; --outside and --no-files where the verb has them. */
int cli_recipe_load(cli *c, const char *path, mcomp_recipe **r);
/* The same of a text made here; paths in it are relative to the working folder. */
int cli_recipe_parse(cli *c, const char *text, mcomp_recipe **r);
/* preset.c: the recipe of preset level ("1" to "9") for a model and --data; malloc'd. */
int cli_preset(cli *c, const char *model, const char *level, char **recipe);

/* ---- quantization-aware training (qat.c) ---- */

enum { CLI_PTQ, CLI_QAT, CLI_PTQ_THEN_QAT };
typedef struct cli_qat {
    int mode;
    mcomp_dataset *data, *valid;
    cli_training training;
    mcomp_qat_result r;
    mcomp_train_result fit;
} cli_qat;
int cli_qat_mode(cli *c, int *mode); /* --mode, and whether the other options go with it */
int cli_has_pairs(const mcomp_graph *g); /* it is quantized already */
int cli_qat_open(cli *c, cli_qat *q, mcomp_graph *g, const char *out); /* data, checkpoint; OUT must be free */
void cli_qat_close(cli_qat *q);
int cli_qat_calibrate(cli *c, const mcomp_graph *g, mcomp_dataset *d, mcomp_calibrator **out);
int cli_qat_train(cli *c, cli_qat *q, mcomp_quantizer *quantizer, const mcomp_graph *g, const mcomp_calibrator *sketch, mcomp_graph **out);
void cli_qat_report(const cli_qat *q, json_t *before, json_t *after);

/* ---- running a dataset (rows.c) ---- */

typedef struct cli_rows { /* one float row an output row: predictions of a model on a dataset */
    int64_t n, width;     /* rows of `width` values */
    float *v;
    int64_t *label;       /* a row; -1 none */
    int64_t samples;
} cli_rows;
int cli_next_token(const cli *c); /* 1: --objective next-token, a row is one position of a text and its label the next id */
int cli_predict(cli *c, const mcomp_graph *g, mcomp_dataset *d, cli_rows *out);
void cli_rows_free(cli_rows *r);
int64_t cli_argmax(const float *v, int64_t n);
int64_t cli_class(const cli_rows *r, int64_t i); /* predicted class of a row; a single probability has the classes 0 and 1 */
typedef struct cli_auc cli_auc;
cli_auc *cli_auc_new(const cli_rows *r); /* NULL: no memory */
void cli_auc_free(cli_auc *a);
double cli_auc_of(cli_auc *a, const cli_rows *r, const int64_t *index, int64_t n); /* of the rows index[0..n); NaN: one class only */

/* ---- metrics (metrics.c) ---- */

typedef struct cli_metric {
    char name[64];
    double value, lo, hi;
    int64_t n;
} cli_metric;
/* name: accuracy macro_f1 f1:LABEL auc mse perplexity. label_of gives the class index of a label name for f1:LABEL. */
int cli_metric_of(cli *c, const char *name, const cli_rows *r, mcomp_dataset *labels, cli_metric *out);
double cli_agreement(const cli_rows *a, const cli_rows *b);
/* Cosine of each sample's whole output: mean and 5th percentile. */
void cli_cosine(const cli_rows *a, const cli_rows *b, double *mean, double *p5);
json_t *cli_metric_json(const cli_metric *m);
json_t *cli_per_class(const cli_rows *r, mcomp_dataset *labels);
json_t *cli_difference(const cli_rows *a, const cli_rows *b); /* accuracy of a minus that of b, paired */
uint64_t cli_random(uint64_t *state);

/* ---- timing (timing.c) ---- */

typedef struct cli_timed {
    const mcomp_graph *g;
    mcomp_session *s;
    mcomp_exec *e;
    double *ms; /* one entry a run */
    int64_t n;
} cli_timed;
/* Runs the models in turn on the same samples (rounds of A B A B ...) until runs or seconds are reached. */
int cli_time_models(cli *c, cli_timed *m, int n_models, int64_t n_samples, const mcomp_tensor *const *const *samples, int32_t n_inputs,
                    int64_t runs, double seconds);
/* Both models in turn on the first samples of d: p50_ms of each, NaN where d is NULL. */
int cli_time_pair(cli *c, mcomp_dataset *d, const mcomp_graph *before, const mcomp_graph *after, json_t *to_before, json_t *to_after, double p50[2]);
double cli_quantile(const double *ms, int64_t n, double q);
/* Ratio of medians a/b with a bootstrap interval over paired blocks. */
void cli_ratio(const cli_timed *a, const cli_timed *b, double *ratio, double *lo, double *hi);
/* First `want` samples of the dataset as tensors of their own. Freed by cli_samples_free. */
int cli_samples(cli *c, mcomp_dataset *d, int32_t n_inputs, int64_t want, mcomp_tensor ****out, int64_t *n);
void cli_samples_free(mcomp_tensor ***samples, int64_t n, int32_t n_inputs);
/* Peak loops of one core: GMAC/s of f32 FMA and of u8*s8 on the tier in effect. */
void cli_witness(double *f32, double *int8);

extern const cli_verb cli_inspect, cli_run, cli_eval, cli_calibrate, cli_quantize, cli_bench, cli_convert, cli_doctor, cli_train, cli_distill, cli_prune, cli_compress, cli_recipe, cli_report, cli_cost, cli_sensitivity;

#endif
