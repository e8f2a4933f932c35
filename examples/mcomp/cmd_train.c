/* mcomp train: trains a model on data and writes the best one; checkpoints beside the output, resumable. */
#include "cli.h"

#include <unistd.h>

typedef struct job {
    cli *c;
    mcomp_graph *g, *best;
    mcomp_dataset *train, *valid;
    mcomp_trainer *t;
    cli_training training;
} job;

static int make_trainer(cli *c, job *j)
{
    int st = 0;
    mcomp_trainer_options o;
    CLI_LIB(mcomp_trainer_options_init(&o, sizeof o));
    if (cli_has(c, "build")) CLI_LIB(mcomp_build_training(&o, cli_str(c, "build", NULL)));
    CLI_TRY(cli_training_options(&j->training, &o));
    o.loss = cli_str(c, "loss", NULL);
    o.augment = cli_str(c, "augment", NULL);
    CLI_LIB(mcomp_trainer_create(&j->t, c->ctx, j->g, &o));
done:
    return st;
}

static int store(cli *c, job *j, const char *out, const mcomp_train_result *r)
{
    int st = 0;
    mcomp_save_options o;
    CLI_LIB(mcomp_trainer_graph(&j->best, j->t));
    CLI_LIB(mcomp_save_options_init(&o, sizeof o));
    o.overwrite = c->overwrite;
    CLI_TRY(cli_tokenizer_save(c, out));
    CLI_LIB(mcomp_graph_save(j->best, out, &o));
    cli_set(c->root, "best", cli_best(&j->training, r));
    cli_set(c->root, "output", json_string(out));
    cli_say(c, "best: %s %.4f (95 %% interval %.4f to %.4f, n %lld) after epoch %lld (step %lld)\nwrote %s\n", j->training.metric, r->best_metric, r->best_lo, r->best_hi, (long long)r->best_n, (long long)r->best_epoch, (long long)r->best_step, out);
done:
    return st;
}

static int train(cli *c, job *j, const char *out)
{
    int st = 0;
    mcomp_train_result r = {.size = sizeof r};
    const char *data = cli_str(c, "data", NULL), *valid = cli_str(c, "valid", NULL);
    if (cli_has(c, "build")) CLI_TRY(cli_built_model(c, cli_str(c, "build", NULL), data, 0, &j->g));
    else CLI_TRY(cli_model(c, c->pos[0], &j->g));
    CLI_TRY(cli_dataset(c, j->g, data, &j->train));
    CLI_TRY(cli_name_labels(c, j->g, j->train));
    if (valid) CLI_TRY(cli_dataset(c, j->g, valid, &j->valid));
    CLI_TRY(make_trainer(c, j));
    j->training.started_ms = cli_now_ms();
    const int32_t code = mcomp_trainer_fit(&r, j->t, j->train, j->valid);
    if (code != 0) {
        st = cli_lib(c, code);
        if (code != MCOMP_DIVERGED || r.best_epoch == 0) goto done;
    }
    cli_set(c->root, "curve", json_incref(j->training.curve[0]));
    cli_set_real(c->root, "samples_per_second", r.samples_per_second);
    cli_set(c->root, "peak_bytes", json_integer((json_int_t)r.peak_bytes));
    const int stored = store(c, j, out, &r);
    if (st == 0) st = stored;
done:
    return st;
}

static int run(cli *c)
{
    int st = 0;
    job j = {.c = c};
    const char *out = cli_str(c, "out-file", NULL);
    c->own_progress = 1;
    if (!c->n_pos == !cli_has(c, "build"))
        st = cli_fail(c, MCOMP_ARGUMENT, "", c->verb->usage, "mcomp train needs %s", c->n_pos ? "either MODEL or --build, not both" : "a MODEL, or --build SPEC");
    else if (!cli_str(c, "data", NULL)) st = cli_fail(c, MCOMP_ARGUMENT, "--data", "docs/data.md lists the forms", "mcomp train needs --data DATA");
    else if (!out) st = cli_fail(c, MCOMP_ARGUMENT, "-o", "", "mcomp train needs -o OUT");
    else if (access(out, F_OK) == 0 && !c->overwrite) st = cli_fail(c, MCOMP_PATH, out, "-f replaces it", "the file exists"); /* before hours of work */
    if (st == 0) st = cli_training_open(&j.training, c, out);
    if (st == 0) st = train(c, &j, out);
    mcomp_graph_destroy(j.best);
    mcomp_trainer_destroy(j.t);
    mcomp_dataset_destroy(j.valid);
    mcomp_dataset_destroy(j.train);
    mcomp_graph_destroy(j.g);
    cli_training_close(&j.training);
    return st;
}

static const cli_opt opts[] = {
    {"build", OPT_VALUE, "SPEC  a fresh model: KIND[:key=value,...], KIND encoder|text-cnn|lstm|bilstm|mlp|cnn|resnet|ds-cnn|decoder"},
    {"valid", OPT_VALUE, "DATA  samples that choose the best epoch (default: 10 % of the data, by hash)"},
    {"out-file", OPT_VALUE, "OUT  the trained model; OUT.ckpt is the checkpoint"},
    {"loss", OPT_VALUE, "cross_entropy|bce|mse|kl|cosine|span"},
    {"augment", OPT_VALUE, "shift:N[,mirror]  moves images by up to N pixels (and mirrors half of them)"},
    {NULL, 0, NULL},
};

const cli_verb cli_train = {.name = "train", .usage = "mcomp train MODEL|--build SPEC --data DATA [--valid DATA] -o OUT", .about = "trains a model on data",
                            .min_pos = 0, .max_pos = 1, .opts = opts, .run = run};
