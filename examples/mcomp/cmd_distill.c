/* mcomp distill: a small student learns from a teacher, beside a control that learns from the labels alone; all three are measured on the
 * same samples, the student as it lies on disk. */
#include "cli.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TEACHER, STUDENT, CONTROL, MODELS };

typedef struct job {
    cli *c;
    const char *data, *valid, *out;
    mcomp_graph *teacher, *start, *result[MODELS]; /* start: the student before it learns */
    mcomp_dataset *teach, *teach_valid, *train, *train_valid;
    int divided; /* the teacher's data are the parts already */
    int renumber; /* the student has a part of the teacher's vocabulary */
    mcomp_tokenizer *teacher_tokenizer;
    mcomp_distiller *d;
    cli_training training;
    mcomp_train_result r[MODELS];
    cli_rows rows[MODELS];
} job;

/* ---- data ---- */

/* The training samples and those to validate on: --valid, or the tenth that `mcomp train` sets apart as well. */
static int parts(job *j, const mcomp_graph *g, mcomp_dataset **train, mcomp_dataset **valid)
{
    int st = 0;
    cli *c = j->c;
    CLI_TRY(cli_dataset(c, g, j->data, train));
    CLI_TRY(cli_dataset(c, g, j->valid ? j->valid : j->data, valid));
done:
    return st;
}

static int divide(job *j)
{
    int st = 0;
    cli *c = j->c;
    if (!j->valid && !j->divided) {
        CLI_LIB(mcomp_dataset_split(j->teach, j->train, 0, 0.1));
        CLI_LIB(mcomp_dataset_split(j->teach_valid, j->train_valid, 1, 0.1));
    }
    if (!j->valid) {
        CLI_LIB(mcomp_dataset_split(j->train, NULL, 0, 0.1));
        CLI_LIB(mcomp_dataset_split(j->train_valid, NULL, 1, 0.1));
    }
    if (mcomp_dataset_count(j->teach) != mcomp_dataset_count(j->train) || mcomp_dataset_count(j->teach_valid) != mcomp_dataset_count(j->train_valid))
        st = cli_fail(c, MCOMP_DATA, j->data, "", "teacher and student see different numbers of samples");
done:
    return st;
}

/* Losses over tokens: the teacher reads the texts as the student's smaller vocabulary cuts them, under its own numbers. */
static int lesson(job *j)
{
    int st = 0;
    cli *c = j->c;
    mcomp_dataset *texts = NULL;
    mcomp_tokenizer *student = c->tokenizer;
    mcomp_distiller_info i = {.size = sizeof i};
    CLI_LIB(mcomp_distiller_info_get(j->d, &i));
    if (!i.over_tokens || !j->renumber || !student || !j->teacher_tokenizer) return 0;
    CLI_LIB(mcomp_tokenizer_renumber(&c->tokenizer, student, j->teacher_tokenizer));
    CLI_TRY(cli_dataset(c, j->teacher, j->data, &texts));
    if (!j->valid) CLI_LIB(mcomp_dataset_split(texts, NULL, 0, 0.1));
    mcomp_dataset_destroy(j->teach);
    j->teach = texts;
    texts = NULL;
done:
    mcomp_dataset_destroy(texts);
    if (c->tokenizer != student) mcomp_tokenizer_destroy(c->tokenizer);
    c->tokenizer = student;
    return st;
}

/* ---- models ---- */

/* Classes of the teacher's scores; 0: its type does not say. */
static int64_t classes_of(const job *j)
{
    const char *name = cli_str(j->c, "output", NULL);
    mcomp_port_info p = {.size = sizeof p};
    for (int32_t i = 0; mcomp_graph_output(j->teacher, i, &p) == 0; i++) {
        if (name ? strcmp(p.name, name) != 0 : p.dtype != MCOMP_F32) continue;
        return p.rank == 2 && p.dims[1] > 0 ? p.dims[1] : 0;
    }
    return 0;
}

static int is_model(const char *spec) { return cli_ends(spec, ".onnx") || cli_is_safetensors(spec); }

static int is_cut(const char *spec) { return strcmp(spec, "teacher") == 0 || strncmp(spec, "teacher:", 8) == 0; }

/* From the teacher; a smaller vocabulary is chosen by the training samples, not by those that measure. */
static int cut(job *j, const char *spec)
{
    int st = 0;
    cli *c = j->c;
    mcomp_tokenizer *own = NULL;
    if (!j->valid) {
        CLI_LIB(mcomp_dataset_split(j->teach, NULL, 0, 0.1));
        CLI_LIB(mcomp_dataset_split(j->teach_valid, NULL, 1, 0.1));
        j->divided = 1;
    }
    if (cli_has(c, "student-tokenizer")) return cli_fail(c, MCOMP_ARGUMENT, "--student-tokenizer", "vocab=N makes it smaller", "a student cut from the teacher has the teacher's tokenizer");
    CLI_LIB(mcomp_distiller_cut(&j->start, &own, j->d, spec, j->teach));
    if (own) {
        mcomp_tokenizer_destroy(c->tokenizer);
        c->tokenizer = own;
        j->renumber = 1;
        c->tokenizer_option = "student-tokenizer"; /* --tokenizer is the teacher's */
    }
done:
    return st;
}

/* The texts of the student go through a tokenizer of its own: that of its file, or --student-tokenizer; otherwise the teacher's. */
static int own_tokenizer(job *j, const char *spec)
{
    int st = 0;
    cli *c = j->c;
    char *beside = is_model(spec) ? cli_stem(spec, ".tokenizer.json") : NULL;
    const int own = cli_has(c, "student-tokenizer") || (beside && access(beside, F_OK) == 0);
    j->teacher_tokenizer = c->tokenizer;
    c->tokenizer = NULL;
    if (cli_has(c, "student-tokenizer")) c->tokenizer_option = "student-tokenizer";
    if (!own && j->teacher_tokenizer) CLI_LIB(mcomp_tokenizer_share(&c->tokenizer, j->teacher_tokenizer));
done:
    free(beside);
    return st;
}

static int student(job *j)
{
    int st = 0;
    cli *c = j->c;
    const char *spec = cli_str(c, "student", NULL), *names = mcomp_graph_meta(j->teacher, "mcomp.labels");
    CLI_TRY(own_tokenizer(j, spec));
    if (is_model(spec)) CLI_TRY(cli_model(c, spec, &j->start));
    else if (is_cut(spec)) CLI_TRY(cut(j, spec));
    else CLI_TRY(cli_built_model(c, spec, j->data, classes_of(j), &j->start));
    if (names && !mcomp_graph_meta(j->start, "mcomp.labels")) CLI_LIB(mcomp_graph_set_meta(j->start, "mcomp.labels", names));
    CLI_TRY(parts(j, j->start, &j->train, &j->train_valid));
    CLI_TRY(cli_name_labels(c, j->start, j->train));
done:
    return st;
}

/* ---- options ---- */

/* DIR of -o, where the cache lies unless it is named. malloc'd. */
static char *cache_folder(const char *out)
{
    const char *slash = strrchr(out, '/');
    const size_t n = slash ? (size_t)(slash - out) + 1 : 0;
    char *path = malloc(n + 8);
    if (path) {
        memcpy(path, out, n);
        strcpy(path + n, ".mcomp");
    }
    return path;
}

static int make_distiller(job *j)
{
    int st = 0;
    cli *c = j->c;
    int64_t limit = 0;
    mcomp_distiller_options o;
    char *folder = cache_folder(j->out);
    if (!folder) return cli_fail(c, MCOMP_NO_MEMORY, "", "", "no memory");
    CLI_LIB(mcomp_distiller_options_init(&o, sizeof o));
    CLI_TRY(cli_f64(c, "temperature", o.temperature, 0.01, 1000.0, &o.temperature));
    CLI_TRY(cli_f64(c, "alpha", o.alpha, 0.0, 1.0, &o.alpha));
    CLI_TRY(cli_i64(c, "cache-limit", (int64_t)o.cache_bytes, 1, INT64_MAX, &limit));
    o.cache_bytes = (uint64_t)limit;
    o.cache = cli_has(c, "no-cache") ? NULL : cli_str(c, "cache", folder);
    o.losses = cli_str(c, "loss", NULL);
    o.output = cli_str(c, "output", NULL);
    o.no_control = cli_has(c, "no-control");
    CLI_LIB(mcomp_distiller_create(&j->d, c->ctx, j->teacher, &o));
done:
    free(folder);
    return st;
}

static int training_options(job *j, mcomp_trainer_options *o)
{
    int st = 0;
    cli *c = j->c;
    const char *spec = cli_str(c, "student", NULL);
    CLI_LIB(mcomp_trainer_options_init(o, sizeof *o));
    if (is_cut(spec)) {
        o->epochs = 10;
        o->lr = 3e-4;
    } else if (!is_model(spec)) {
        CLI_LIB(mcomp_build_training(o, spec));
    }
    CLI_TRY(cli_training_options(&j->training, o));
    o->loss = cli_str(c, "hard-loss", NULL);
done:
    return st;
}

/* ---- results ---- */

static int measure(job *j, int which, mcomp_dataset *valid, json_t *o)
{
    int st = 0;
    cli *c = j->c;
    cli_metric m;
    mcomp_graph_info i = {.size = sizeof i};
    const char *name = cli_str(c, "metric", "accuracy");
    CLI_TRY(cli_predict(c, j->result[which], valid, &j->rows[which]));
    CLI_TRY(cli_metric_of(c, strcmp(name, "loss") == 0 ? "perplexity" : name, &j->rows[which], valid, &m));
    cli_set(o, "metric", cli_metric_json(&m));
    CLI_LIB(mcomp_graph_info_get(j->result[which], &i));
    cli_set(o, "params", json_integer((json_int_t)i.parameters));
    if (i.file_bytes) cli_set(o, "bytes", json_integer((json_int_t)i.file_bytes));
    if (which != TEACHER) {
        cli_set(o, "best", cli_best(&j->training, &j->r[which]));
        cli_set(o, "steps", json_integer((json_int_t)j->r[which].steps));
        cli_set(o, "curve", json_incref(j->training.curve[which - 1]));
        cli_set_real(o, "samples_per_second", j->r[which].samples_per_second);
    }
    static const char *const words[] = {"teacher", "student", "control"};
    cli_say(c, "%-8s %s %.4f  (95 %% interval %.4f to %.4f, n %lld)  %lld parameters\n", words[which], m.name, m.value, m.lo, m.hi, (long long)m.n, (long long)i.parameters);
done:
    return st;
}

static int report(job *j)
{
    int st = 0;
    cli *c = j->c;
    static const char *const words[] = {"teacher", "student", "control"};
    mcomp_distiller_info cache = {.size = sizeof cache};
    for (int k = 0; k < MODELS; k++) {
        if (!j->result[k]) continue;
        json_t *o = json_object();
        cli_set(c->root, words[k], o);
        if (k == TEACHER) cli_set(o, "path", json_string(c->pos[0]));
        CLI_TRY(measure(j, k, k == TEACHER ? j->teach_valid : j->train_valid, o));
    }
    const double same = cli_agreement(&j->rows[STUDENT], &j->rows[TEACHER]);
    cli_set_real(c->root, "agreement_ratio", same);
    cli_say(c, "student and teacher agree on %.4f\n", same);
    cli_set(json_object_get(c->root, "student"), "difference", cli_difference(&j->rows[STUDENT], &j->rows[TEACHER]));
    if (j->result[CONTROL]) {
        json_t *d = cli_difference(&j->rows[STUDENT], &j->rows[CONTROL]);
        double v = 0.0, lo = 0.0, hi = 0.0, p = 0.0;
        if (d && json_unpack(d, "{s:F,s:[F,F],s:F}", "value", &v, "ci95", &lo, &hi, "mcnemar_p", &p) == 0)
            cli_say(c, "student over control: %+.4f (95 %% interval %+.4f to %+.4f, McNemar p %.3g)\n", v, lo, hi, p);
        cli_set(json_object_get(c->root, "control"), "difference", d);
    }
    CLI_LIB(mcomp_distiller_info_get(j->d, &cache));
    cli_set(c->root, "cache", json_pack("{s:I,s:I,s:I,s:I}", "samples", (json_int_t)cache.samples, "computed", (json_int_t)cache.computed, "damaged", (json_int_t)cache.damaged,
                                        "bytes", (json_int_t)cache.cache_bytes));
    cli_set(c->root, "output", json_string(j->out));
    cli_say(c, "wrote %s\n", j->out);
done:
    return st;
}

/* The student goes to disk and is read back: what is measured is what was written. */
static int store(job *j)
{
    int st = 0;
    cli *c = j->c;
    mcomp_graph *made = NULL;
    mcomp_save_options o;
    const char *control = cli_str(c, "control-out", NULL);
    CLI_LIB(mcomp_save_options_init(&o, sizeof o));
    o.overwrite = c->overwrite;
    CLI_LIB(mcomp_distiller_graph(&made, j->d, 0));
    CLI_TRY(cli_tokenizer_save(c, j->out));
    CLI_LIB(mcomp_graph_save(made, j->out, &o));
    CLI_LIB(mcomp_graph_load(&j->result[STUDENT], c->ctx, j->out));
    if (!cli_has(c, "no-control")) CLI_LIB(mcomp_distiller_graph(&j->result[CONTROL], j->d, 1));
    if (control && j->result[CONTROL]) CLI_LIB(mcomp_graph_save(j->result[CONTROL], control, &o));
done:
    mcomp_graph_destroy(made);
    return st;
}

static int distill(job *j)
{
    int st = 0;
    cli *c = j->c;
    mcomp_trainer_options o;
    CLI_TRY(cli_model(c, c->pos[0], &j->teacher));
    CLI_TRY(make_distiller(j));
    CLI_TRY(parts(j, j->teacher, &j->teach, &j->teach_valid));
    CLI_TRY(student(j));
    CLI_TRY(divide(j));
    CLI_TRY(training_options(j, &o));
    CLI_TRY(lesson(j));
    CLI_LIB(mcomp_distiller_teach(j->d, j->teach));
    c->own_progress = 1;
    j->training.runs = 2;
    j->training.run = -1;
    j->training.started_ms = cli_now_ms();
    CLI_LIB(mcomp_distiller_fit(&j->r[STUDENT], &j->r[CONTROL], j->d, j->start, &o, j->train, j->train_valid));
    CLI_TRY(store(j));
    j->result[TEACHER] = j->teacher;
    j->teacher = NULL;
    st = report(j);
done:
    return st;
}

static int run(cli *c)
{
    int st = 0;
    job j = {.c = c, .data = cli_str(c, "data", NULL), .valid = cli_str(c, "valid", NULL), .out = cli_str(c, "out-file", NULL)};
    const char *objective = cli_str(c, "objective", "classify"), *control = cli_str(c, "control-out", NULL);
    for (int k = 0; k < MODELS; k++) j.r[k].size = sizeof j.r[k];
    if (!cli_str(c, "student", NULL)) st = cli_fail(c, MCOMP_ARGUMENT, "--student", c->verb->usage, "mcomp distill needs --student SPEC or MODEL");
    else if (!j.data) st = cli_fail(c, MCOMP_ARGUMENT, "--data", "docs/data.md lists the forms", "mcomp distill needs --data DATA");
    else if (!j.out) st = cli_fail(c, MCOMP_ARGUMENT, "-o", "", "mcomp distill needs -o OUT");
    else if (control && cli_has(c, "no-control")) st = cli_fail(c, MCOMP_ARGUMENT, "--control-out", "", "there is no control with --no-control");
    else if (strcmp(objective, "classify") != 0)
        st = cli_fail(c, MCOMP_UNSUPPORTED, "--objective", "", "distillation for %s comes with a later version", objective);
    else if (access(j.out, F_OK) == 0 && !c->overwrite) st = cli_fail(c, MCOMP_PATH, j.out, "-f replaces it", "the file exists"); /* before hours of work */
    else if (control && access(control, F_OK) == 0 && !c->overwrite) st = cli_fail(c, MCOMP_PATH, control, "-f replaces it", "the file exists");
    if (st == 0) st = cli_training_open(&j.training, c, j.out);
    if (st == 0) st = distill(&j);
    for (int k = 0; k < MODELS; k++) {
        cli_rows_free(&j.rows[k]);
        mcomp_graph_destroy(j.result[k]);
    }
    mcomp_distiller_destroy(j.d);
    mcomp_dataset_destroy(j.teach);
    mcomp_dataset_destroy(j.teach_valid);
    mcomp_dataset_destroy(j.train);
    mcomp_dataset_destroy(j.train_valid);
    mcomp_tokenizer_destroy(j.teacher_tokenizer);
    mcomp_graph_destroy(j.start);
    mcomp_graph_destroy(j.teacher);
    cli_training_close(&j.training);
    return st;
}

static const cli_opt opts[] = {
    {"student", OPT_VALUE, "SPEC|MODEL  KIND[:key=value,...] as for mcomp train --build, teacher[:layers=0+2+4,hidden=192,heads=6,ffn=768,vocab=8000], or a model file"},
    {"valid", OPT_VALUE, "DATA  samples that choose the best epoch and measure (default: 10 % of the data, by hash)"},
    {"out-file", OPT_VALUE, "OUT  the student; OUT.ckpt and OUT.ckpt.control are the checkpoints"},
    {"loss", OPT_VALUE, "NAME[=WEIGHT],...  logits|mse|dkd|hidden|cosine|relation: losses with the teacher (logits)"},
    {"hard-loss", OPT_VALUE, "cross_entropy|bce|mse|kl|cosine|span  loss on the labels"},
    {"temperature", OPT_VALUE, "T  softens the scores of both (2)"},
    {"alpha", OPT_VALUE, "A  weight of the hard loss; 1 - A is the teacher's (0.3)"},
    {"student-tokenizer", OPT_VALUE, "T  for the student alone (default: its own file's, or the teacher's)"},
    {"no-control", OPT_FLAG, "trains no control"},
    {"control-out", OPT_VALUE, "FILE  writes the control, too"},
    {"cache", OPT_VALUE, "DIR  where the teacher's outputs are kept (default: .mcomp beside OUT)"},
    {"no-cache", OPT_FLAG, "keeps the teacher's outputs in memory only"},
    {"cache-limit", OPT_VALUE, "BYTES  largest size of the cache (4 GiB)"},
    {NULL, 0, NULL},
};

const cli_verb cli_distill = {.name = "distill", .usage = "mcomp distill TEACHER --student SPEC|MODEL --data DATA [--valid DATA] -o OUT",
                              .about = "a small model learns from a large one", .min_pos = 1, .max_pos = 1, .opts = opts, .run = run};
