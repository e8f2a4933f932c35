/* mcomp: finds the verb, runs it, prints what came of it. Every verb that the contract names but this version lacks is exit 3. */
#include "cli.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

static const cli_verb *const verbs[] = {&cli_inspect, &cli_run,   &cli_eval,    &cli_calibrate, &cli_quantize,
                                        &cli_bench,   &cli_convert, &cli_doctor, &cli_train, &cli_distill, &cli_prune, &cli_compress, &cli_recipe, &cli_report, &cli_cost, &cli_sensitivity, NULL};
static const char *const later[] = {"diagnose",
                                    "monitor", "serve", "generate", "perplexity", NULL};

static mcomp_context *volatile running;

static void interrupted(int signal_number)
{
    (void)signal_number;
    if (running) mcomp_context_cancel(running); /* async-signal-safe */
    else _Exit(130);
}

static void print_opts(const cli_opt *o)
{
    for (; o && o->name; o++) printf("  --%s %s\n", strcmp(o->name, "out-file") == 0 ? "out-file (-o)" : o->name, o->help);
}

static void print_help(const cli_verb *v)
{
    if (!v) {
        printf("mcomp %s: makes trained neural networks small, fast and cheap\n\nusage: mcomp VERB ...   (mcomp VERB --help)\n\n", mcomp_version_string());
        for (int i = 0; verbs[i]; i++) printf("  %-10s %s\n", verbs[i]->name, verbs[i]->about);
        printf("\nExit codes: 0 done, 1 usage, 2 bad input, 3 not supported, 4 target or comparison missed, 5 resource, 6 internal, 130 interrupted.\n");
        return;
    }
    printf("usage: %s\n\n%s\n\noptions:\n", v->usage, v->about);
    print_opts(v->opts);
    if (cli_takes_training(v)) print_opts(cli_training_opts);
    if (cli_takes_data(v)) print_opts(cli_data_opts);
    if (cli_takes_model(v)) printf("safetensors models:\n");
    if (cli_takes_model(v)) print_opts(cli_model_opts);
    printf("common options:\n");
    print_opts(cli_common_opts);
}

static int no_verb(cli *c, const char *word)
{
    const char *names[32];
    char hint[120];
    int n = 0;
    for (int i = 0; later[i]; i++)
        if (strcmp(later[i], word) == 0)
            return cli_fail(c, MCOMP_UNSUPPORTED, word, "it comes with a later version", "mcomp %s is not in version %s", word, mcomp_version_string());
    for (int i = 0; verbs[i]; i++) names[n++] = verbs[i]->name;
    for (int i = 0; later[i]; i++) names[n++] = later[i];
    names[n] = NULL;
    const char *near = cli_nearest(word, names);
    snprintf(hint, sizeof hint, near ? "did you mean \"%s\"? 'mcomp --help' lists the verbs" : "'mcomp --help' lists the verbs", near);
    return cli_fail(c, MCOMP_ARGUMENT, word, hint, *word ? "unknown verb \"%.60s\"" : "a verb is needed%.0s", word);
}

static const cli_verb *find_verb(const char *word)
{
    for (int i = 0; verbs[i]; i++)
        if (strcmp(verbs[i]->name, word) == 0) return verbs[i];
    return NULL;
}

/* The first word that is no option is the verb; a lone --json or -f before it is allowed. */
static int verb_index(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (argv[i][0] != '-') return i;
    return 0;
}

static int run_verb(cli *c, int argc, char **argv)
{
    const int at = verb_index(argc, argv);
    const char *word = at ? argv[at] : "";
    if (!at && argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) return print_help(NULL), 0;
    if (!at && argc > 1 && strcmp(argv[1], "--version") == 0) return printf("%s\n", mcomp_version_string()), 0;
    if (at && strcmp(word, "help") == 0) return print_help(at + 1 < argc ? find_verb(argv[at + 1]) : NULL), 0;
    c->command = word;
    c->verb = find_verb(word);
    if (!c->verb) return no_verb(c, word);
    for (int i = at; i > 1; i--) argv[i] = argv[i - 1]; /* the verb's word drops out */
    int st = cli_parse(c, argc - 2, argv + 2);
    if (st != 0) return st;
    if (cli_has(c, "help")) {
        c->json = 0;
        return print_help(c->verb), 0;
    }
    st = cli_context(c);
    running = c->ctx;
    return st != 0 ? st : c->verb->run(c);
}

int main(int argc, char **argv)
{
    cli c = {.progress = 0};
    struct sigaction sa = {.sa_handler = interrupted};
    c.argv = json_array(); /* the verb moves in argv */
    for (int i = 0; i < argc; i++) (void)json_array_append_new(c.argv, json_string(argv[i]));
    c.root = json_object();
    c.warnings = json_array();
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--") == 0) break;
        if (strcmp(argv[i], "--json") == 0) c.json = 1;
    }
    (void)sigaction(SIGINT, &sa, NULL);
    (void)sigaction(SIGTERM, &sa, NULL);
    const int status = run_verb(&c, argc, argv);
    const int code = cli_finish(&c, status);
    running = NULL;
    mcomp_tokenizer_destroy(c.tokenizer);
    mcomp_context_destroy(c.ctx);
    json_decref(c.root);
    json_decref(c.warnings);
    free(c.pos);
    free(c.args);
    json_decref(c.argv);
    return code;
}
