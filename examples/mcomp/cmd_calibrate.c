/* mcomp calibrate: one pass over data into a mergeable sketch file, and merging of such files. */
#include "cli.h"

#include <string.h>

#define NAMED 8 /* classes that the warning names */

/* The name of a class in the model, or its number. */
static json_t *class_name(const json_t *names, int64_t label)
{
    json_t *name = json_array_get(names, (size_t)label);
    if (name) return json_incref(name);
    char text[24];
    snprintf(text, sizeof text, "%lld", (long long)label);
    return json_string(text);
}

/* Classes that no sample had, as far as they are known. */
static json_t *unseen(const mcomp_calibrator *k, const mcomp_graph *g)
{
    const char *text = g ? mcomp_graph_meta(g, "mcomp.labels") : NULL;
    json_t *names = text ? json_loads(text, 0, NULL) : NULL, *list = json_array();
    int64_t label = -1;
    for (int64_t i = 0; mcomp_calibrator_unseen(&label, k, i) == 0 && label >= 0; i++) (void)json_array_append_new(list, class_name(names, label));
    json_decref(names);
    return list;
}

int cli_coverage(cli *c, const mcomp_calibrator *k, const mcomp_graph *g)
{
    int st = 0;
    mcomp_calibration_info i = {.size = sizeof i};
    CLI_LIB(mcomp_calibrator_info(k, &i));
    json_t *o = json_pack("{s:I,s:I,s:I,s:I,s:I}", "samples", (json_int_t)i.samples, "skipped", (json_int_t)i.skipped, "dead_channels", (json_int_t)i.dead_channels,
                          "constant_tensors", (json_int_t)i.constant_tensors, "labels_seen", (json_int_t)i.labels_seen);
    if (!o) return cli_fail(c, MCOMP_NO_MEMORY, "", "", "no memory");
    cli_set(c->root, "coverage", o);
    if (i.channels > 0) cli_set_real(o, "dead_channels_ratio", (double)i.dead_channels / (double)i.channels);
    if (i.skipped > 0) cli_warn(c, "DATA", "", "%lld samples held NaN or Inf and were skipped", (long long)i.skipped);
    if (i.labels_seen == 0) return 0;
    if (i.classes > 0) cli_set(o, "classes", json_integer(i.classes));
    json_t *list = unseen(k, g);
    const size_t n = json_array_size(list);
    char names[512] = "";
    for (size_t m = 0; m < n && m < NAMED; m++) {
        const size_t used = strlen(names);
        snprintf(names + used, sizeof names - used, "%s%.40s", m ? ", " : "", json_string_value(json_array_get(list, m)));
    }
    if (n > NAMED) snprintf(names + strlen(names), sizeof names - strlen(names), ", and %zu more", n - NAMED);
    cli_set(o, "unseen", list);
    if (i.classes > 0 && n > 0 && (i.labels_seen == 1 || 2 * ((int64_t)i.classes - (int64_t)n) <= i.classes))
        cli_warn(c, "COVERAGE", "", "the calibration saw %lld of %lld classes, never %s: ranges may be too small for those; calibrate on samples of every class", (long long)(i.classes - (int64_t)n),
                 (long long)i.classes, names);
    else if (i.labels_seen == 1 && i.samples > 1) cli_warn(c, "COVERAGE", "", "all calibration samples carry one label");
done:
    return st;
}

static int save(cli *c, const mcomp_calibrator *k, const mcomp_graph *g, const char *out)
{
    int st = 0;
    mcomp_calibration_info i = {.size = sizeof i};
    CLI_LIB(mcomp_calibrator_info(k, &i));
    CLI_LIB(mcomp_calibrator_save(k, out, c->overwrite));
    cli_set(c->root, "samples", json_integer(i.samples));
    cli_set(c->root, "tensors", json_integer(i.tensors));
    CLI_TRY(cli_coverage(c, k, g));
    cli_set(c->root, "peak_rss_bytes", json_integer((json_int_t)cli_peak_rss()));
    cli_set(c->root, "output", json_string(out));
    cli_say(c, "%lld samples (%lld skipped), %lld tensors, %lld dead channels, %lld constant tensors, %lld labels seen\nwrote %s\n", (long long)i.samples,
            (long long)i.skipped, (long long)i.tensors, (long long)i.dead_channels, (long long)i.constant_tensors, (long long)i.labels_seen, out);
done:
    return st;
}

static int merge(cli *c, const char *out)
{
    int st = 0;
    mcomp_calibrator *all = NULL, *one = NULL;
    if (c->n_pos < 1) return cli_fail(c, MCOMP_ARGUMENT, "--merge", "mcomp calibrate --merge -o F.calib A.calib B.calib ...", "nothing to merge");
    for (int i = 0; i < c->n_pos; i++) {
        CLI_LIB(mcomp_calibrator_load(i ? &one : &all, c->ctx, NULL, c->pos[i]));
        if (i) CLI_LIB(mcomp_calibrator_merge(all, one));
        mcomp_calibrator_destroy(one);
        one = NULL;
    }
    st = save(c, all, NULL, out);
done:
    mcomp_calibrator_destroy(one);
    mcomp_calibrator_destroy(all);
    return st;
}

static int run(cli *c)
{
    int st = 0;
    mcomp_graph *g = NULL;
    mcomp_dataset *d = NULL;
    mcomp_calibrator *k = NULL;
    const char *out = cli_str(c, "out-file", NULL), *data = cli_str(c, "data", NULL);
    if (!out) return cli_fail(c, MCOMP_ARGUMENT, "-o", c->verb->usage, "mcomp calibrate needs -o F.calib");
    if (cli_has(c, "merge")) return merge(c, out);
    if (c->n_pos != 1) return cli_fail(c, MCOMP_ARGUMENT, "", c->verb->usage, "mcomp calibrate takes one model");
    if (!data) return cli_fail(c, MCOMP_ARGUMENT, "--data", c->verb->usage, "mcomp calibrate needs --data DATA");
    CLI_TRY(cli_model(c, c->pos[0], &g));
    CLI_TRY(cli_dataset(c, g, data, &d));
    CLI_LIB(mcomp_calibrator_create(&k, c->ctx, g));
    CLI_LIB(mcomp_calibrator_feed_dataset(k, d));
    st = save(c, k, g, out);
done:
    mcomp_calibrator_destroy(k);
    mcomp_dataset_destroy(d);
    mcomp_graph_destroy(g);
    return st;
}

static const cli_opt opts[] = {
    {"merge", OPT_FLAG, "merges .calib files instead"},
    {"out-file", OPT_VALUE, "F.calib  the file to write"},
    {NULL, 0, NULL},
};
const cli_verb cli_calibrate = {"calibrate", "mcomp calibrate MODEL --data DATA -o F.calib | mcomp calibrate --merge -o F.calib A.calib B.calib ...",
                                "one pass over data: ranges and histograms of every tensor, mergeable", 0, -1, opts, run};
