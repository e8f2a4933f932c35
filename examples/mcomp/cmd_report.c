/* mcomp report: run.json to one HTML page or Markdown tables, and a check over its figures for scripts. */
#include "cli.h"

#include <stdlib.h>
#include <string.h>

static int print_markdown(cli *c, mcomp_report *r)
{
    int st = 0;
    const char *text;
    uint64_t bytes;
    CLI_LIB(mcomp_report_text(&text, &bytes, r, "md"));
    if (c->json) cli_set(c->root, "markdown", json_string(text));
    else (void)fwrite(text, 1, (size_t)bytes, stdout);
done:
    return st;
}

static int run(cli *c)
{
    int st = 0;
    int32_t holds = 0;
    mcomp_report *r = NULL;
    const char *out = cli_str(c, "out-file", NULL), *check = cli_str(c, "fail-if", NULL);
    const int md = cli_has(c, "md"), html_file = out && (cli_ends(out, ".html") || cli_ends(out, ".htm"));
    if (!out && !md && !check) return cli_fail(c, MCOMP_ARGUMENT, "-o", c->verb->usage, "mcomp report needs -o R.html, --md or --fail-if EXPR");
    CLI_LIB(mcomp_report_create(&r, c->ctx));
    for (int i = 0; i < c->n_pos; i++) CLI_LIB(mcomp_report_add_file(r, c->pos[i]));
    if (check) CLI_LIB(mcomp_report_check(&holds, r, check)); /* a wrong expression is found before anything is written */
    if (out) {
        CLI_LIB(mcomp_report_save(r, out, md && !html_file ? "md" : "html", c->overwrite));
        cli_set(c->root, "output", json_string(out));
    }
    if (md && (!out || html_file)) CLI_TRY(print_markdown(c, r));
    else if (out) cli_say(c, "wrote %s\n", out);
    if (!check) goto done;
    cli_set(c->root, "fail_if", json_pack("{s:s,s:b}", "expression", check, "holds", holds));
    if (holds) st = cli_fail(c, MCOMP_MISMATCH, "--fail-if", "", "it holds: %s", check);
done:
    mcomp_report_destroy(r);
    return st;
}

static const cli_opt opts[] = {
    {"out-file", OPT_VALUE, "R.html  the page to write"},
    {"md", OPT_FLAG, "Markdown tables: into the file, or on stdout when there is none or it is an .html"},
    {"fail-if", OPT_VALUE, "EXPR  exit 4 when it holds, as in 'accuracy < 0.88 or p50_ms > 1.1 * run1.p50_ms' (docs/report.md)"},
    {NULL, 0, NULL},
};
const cli_verb cli_report = {"report", "mcomp report RUN.json [RUN2.json ...] -o R.html [--md] [--fail-if EXPR]",
                             "one page about a run, or several beside one another", 1, 16, opts, run};
