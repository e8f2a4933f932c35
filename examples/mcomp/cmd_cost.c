/* mcomp cost: what a model costs a month before and after, and what to do first. The arithmetic is the library's (docs/cost.md); a flag is
 * the field of mcomp_cost_options with dashes. */
#include "cli.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static int set_one(cli *c, mcomp_cost_options *o, const char *flag)
{
    char key[64], why[512], where[80];
    double v;
    const char *text = cli_str(c, flag, NULL);
    if (!text) return 0;
    char *end;
    v = strtod(text, &end); /* the program never leaves the C locale */
    snprintf(where, sizeof where, "--%s", flag);
    if (!*text || *end || !isfinite(v)) return cli_fail(c, MCOMP_ARGUMENT, where, "", "--%s takes a number, not \"%.60s\"", flag, text);
    snprintf(key, sizeof key, "%s", flag);
    for (char *p = key; *p; p++) *p = *p == '-' ? '_' : *p;
    const int code = mcomp_cost_set(o, key, v);
    if (code == 0) return 0;
    (void)cli_lib(c, code); /* what is wrong with it, and that it is a flag */
    snprintf(why, sizeof why, "%s", c->error.message);
    char hint[256];
    snprintf(hint, sizeof hint, "%s", c->error.hint);
    return cli_fail(c, MCOMP_ARGUMENT, where, hint, "--%s: %s", flag, why);
}

static void money(cli *c, const char *title, double before, double after, const char *unit)
{
    if (!isfinite(before) && !isfinite(after)) return;
    cli_say(c, "%-24s", title);
    for (int i = 0; i < 2; i++) {
        const double v = i ? after : before;
        if (isfinite(v)) cli_say(c, " %14.2f", v);
        else cli_say(c, " %14s", "-");
    }
    cli_say(c, "  %s\n", unit);
}

static void say(cli *c, const mcomp_cost_result *r, const json_t *object)
{
    size_t i;
    json_t *line;
    cli_say(c, "%-24s %14s %14s\n", "", "before", "after");
    money(c, "instances", r->instances_before, r->instances_after, "");
    money(c, "needed at the peak", r->needed_before, r->needed_after, "");
    money(c, "load at the peak", 100.0 * r->utilization_before, 100.0 * r->utilization_after, "%");
    money(c, "monthly cost", r->monthly_before, r->monthly_after, "USD");
    money(c, "a million requests", r->per_million_before, r->per_million_after, "USD");
    if (isfinite(r->saving_percent)) cli_say(c, "saving                   %.2f USD a month, %.1f %%\n", r->saving_usd, r->saving_percent);
    if (isfinite(r->error_usd)) cli_say(c, "wrong answers            %.2f USD a month\n", r->error_usd);
    if (isfinite(r->payback_months)) cli_say(c, "paid back after          %.1f months\n", r->payback_months);
    json_array_foreach(json_object_get(object, "advice"), i, line) cli_say(c, "- %s\n", json_string_value(json_object_get(line, "text")));
}

static int run(cli *c)
{
    int st = 0;
    uint64_t bytes = 0;
    char *text = NULL;
    json_t *object = NULL;
    mcomp_cost_options o;
    mcomp_cost_result r = {.size = sizeof r};
    CLI_LIB(mcomp_cost_options_init(&o, sizeof o));
    int given = 0;
    for (const cli_opt *f = c->verb->opts; f->name; f++) given += cli_has(c, f->name);
    if (!given) CLI_TRY(cli_fail(c, MCOMP_ARGUMENT, "", "mcomp cost --instances 8 --usd-per-hour 3.06 --after-instances 4 --after-usd-per-hour 0.752",
                                         "mcomp cost needs figures: 'mcomp cost --help' lists them"));
    for (const cli_opt *f = c->verb->opts; f->name; f++) CLI_TRY(set_one(c, &o, f->name));
    CLI_LIB(mcomp_cost_compute(&r, &o));
    (void)mcomp_cost_json(NULL, &bytes, 0, &o); /* asks how long it is */
    text = malloc((size_t)bytes + 1);
    if (!text) CLI_TRY(cli_fail(c, MCOMP_NO_MEMORY, "", "", "no memory"));
    CLI_LIB(mcomp_cost_json(text, &bytes, bytes, &o));
    object = json_loads(text, 0, NULL);
    if (!object) CLI_TRY(cli_fail(c, MCOMP_NO_MEMORY, "", "", "no memory"));
    (void)json_object_update(c->root, object);
    if (isnan(r.monthly_before) && isnan(r.monthly_after))
        cli_warn(c, "INCOMPLETE", "", "no monthly cost: it takes --usd-per-hour, and --instances or --peak-rps with --throughput or --p50-ms");
    say(c, &r, object);
done:
    if (object) json_decref(object);
    free(text);
    return st;
}

static const cli_opt opts[] = {
    {"instances", OPT_VALUE, "N  instances that run today (else: what the peak needs)"},
    {"after-instances", OPT_VALUE, "N  instances that will run (else: what the peak needs, else as loaded as today)"},
    {"usd-per-hour", OPT_VALUE, "P  price of an instance"},
    {"after-usd-per-hour", OPT_VALUE, "P  price of an instance afterwards (the same)"},
    {"peak-rps", OPT_VALUE, "R  requests a second at the busiest time"},
    {"throughput", OPT_VALUE, "X  requests a second of one instance that meet the latency"},
    {"after-throughput", OPT_VALUE, "X  the same afterwards"},
    {"p50-ms", OPT_VALUE, "T  latency of a request, where no throughput is known"},
    {"after-p50-ms", OPT_VALUE, "T  the same afterwards"},
    {"workers", OPT_VALUE, "N  requests that an instance serves at once, for --p50-ms (1)"},
    {"after-workers", OPT_VALUE, "N  the same afterwards"},
    {"utilization", OPT_VALUE, "U  share of the capacity that the peak may take (0.6)"},
    {"min-instances", OPT_VALUE, "N  never fewer (1)"},
    {"hours", OPT_VALUE, "H  a month (730)"},
    {"fixed-usd", OPT_VALUE, "C  a month beside the instances: storage, load balancers, transfer"},
    {"after-fixed-usd", OPT_VALUE, "C  the same afterwards"},
    {"retraining-usd", OPT_VALUE, "C  a month: repeating the compression, monitoring"},
    {"engineering-usd", OPT_VALUE, "C  once: people"},
    {"training-usd", OPT_VALUE, "C  once: machines to train on"},
    {"requests-per-day", OPT_VALUE, "N"},
    {"accuracy-drop", OPT_VALUE, "D  fraction of the answers that become wrong"},
    {"usd-per-error", OPT_VALUE, "C  what a wrong answer costs"},
    {"max-drop", OPT_VALUE, "D  accuracy that may be lost, a fraction"},
    {"max-p50-ms", OPT_VALUE, "T  latency that is asked for"},
    {"samples", OPT_VALUE, "N  samples of the task, labelled or not"},
    {NULL, 0, NULL},
};
const cli_verb cli_cost = {"cost", "mcomp cost --instances N --usd-per-hour P ...", "monthly cost before and after, saving, payback, advice; from prices you give", 0, 0, opts, run};
