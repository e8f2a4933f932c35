/* Which tokenizer the texts of a call go through, and where it is kept: STEM.tokenizer.json beside the model. */
#include "cli.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The file beside the model that g came from; NULL if there is none. malloc'd. */
static char *beside(const cli *c, const mcomp_graph *g)
{
    for (int i = c->n_places - 1; i >= 0; i--) {
        if (c->places[i].g != g) continue;
        char *path = cli_stem(c->places[i].path, ".tokenizer.json");
        if (path && access(path, F_OK) == 0) return path;
        free(path);
        return NULL;
    }
    return NULL;
}

static int from_data(const char *spec) { return strcmp(spec, "chars") == 0 || strncmp(spec, "train:", 6) == 0; }

int cli_tokenizer_choose(cli *c, const mcomp_graph *g, mcomp_dataset_options *o, mcomp_tokenizer **own)
{
    int st = 0;
    const char *spec = cli_str(c, c->tokenizer_option ? c->tokenizer_option : "tokenizer", NULL);
    const int trains = c->verb == &cli_train || c->tokenizer_option;
    char *path = NULL;
    *own = NULL;
    if (spec && !from_data(spec)) {
        o->tokenizer = spec;
        return 0;
    }
    if (spec && c->tokenizer) { /* made from the first data of this call */
        o->tokenizer_handle = c->tokenizer;
        return 0;
    }
    if (!(spec && trains)) path = beside(c, g);
    if (path) {
        CLI_LIB(mcomp_tokenizer_create(own, c->ctx, path, NULL, NULL, 0));
        o->tokenizer_handle = *own;
        cli_log(c, "tokenizer: %s\n", path);
        if (spec) cli_warn(c, "TOKENIZER", "", "the model has a tokenizer of its own, %s; %s is not made from this data", path, spec);
    } else if (spec) {
        o->tokenizer = spec;
        if (!trains) cli_warn(c, "TOKENIZER", "", "%s is made from this data, and may give other ids than the model was trained with", spec);
    } else {
        o->tokenizer_handle = c->tokenizer;
    }
done:
    free(path);
    return st;
}

int cli_tokenizer_keep(cli *c, mcomp_dataset *d)
{
    int st = 0;
    const mcomp_tokenizer *t = mcomp_dataset_tokenizer(d);
    if (t && !c->tokenizer) CLI_LIB(mcomp_tokenizer_share(&c->tokenizer, t));
done:
    return st;
}

static int same_file(const char *a, const char *b)
{
    struct stat x, y;
    return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

int cli_tokenizer_save(cli *c, const char *model_out)
{
    int st = 0;
    char *found = c->n_places ? beside(c, c->places[0].g) : NULL, *path = cli_stem(model_out, ".tokenizer.json");
    if (!path) CLI_TRY(cli_fail(c, MCOMP_NO_MEMORY, "", "", "no memory"));
    if (!c->overwrite && access(model_out, F_OK) == 0) goto done; /* writing the model says what is wrong */
    if (!c->tokenizer && found) CLI_LIB(mcomp_tokenizer_create(&c->tokenizer, c->ctx, found, NULL, NULL, 0)); /* no texts were read */
    if (!c->tokenizer) goto done;
    if (!(found && same_file(found, path) && !cli_has(c, "tokenizer"))) CLI_LIB(mcomp_tokenizer_save(c->tokenizer, path, c->overwrite));
    cli_set(c->root, "tokenizer", json_string(path));
done:
    free(found);
    free(path);
    return st;
}
