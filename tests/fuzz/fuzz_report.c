/* A line that is an expression, then JSON of a run: the page must be in balance with one script element, whatever the run says, and an
 * expression is true, false or an error. */
#include <mcomp/context.h>
#include <mcomp/report.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "fuzz/fuzz.h"

enum { MAX_OPEN = 64, NAME = 16 };

static void must(int ok)
{
    if (!ok) __builtin_trap();
}

static void outcome(int32_t st) { must(st <= 0 && (st == MCOMP_OK || mc_error_peek()->message[0])); }

/* Elements close in order; those that are empty end in "/>". A quote within a tag hides nothing, since texts are escaped. */
static void balanced(const char *page)
{
    char open[MAX_OPEN][NAME];
    int depth = 0, scripts = 0;
    for (const char *p = strchr(page, '<'); p; p = strchr(p + 1, '<')) {
        const char *end = strchr(p, '>');
        must(end != NULL);
        if (p[1] == '!') continue; /* doctype */
        const int closing = p[1] == '/';
        const size_t n = strspn(p + 1 + closing, "abcdefghijklmnopqrstuvwxyz0123456789");
        must(n > 0 && n < NAME);
        scripts += !closing && n == 6 && memcmp(p + 1, "script", 6) == 0;
        if (closing) {
            must(depth > 0);
            depth--;
            must(strlen(open[depth]) == n && memcmp(open[depth], p + 2, n) == 0);
        } else if (end[-1] != '/') {
            must(depth < MAX_OPEN);
            memcpy(open[depth], p + 1, n);
            open[depth++][n] = 0;
        }
    }
    must(depth == 0 && scripts == 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static mcomp_context *ctx;
    const uint8_t *line = memchr(data, '\n', size);
    mcomp_report *r = NULL;
    const char *text;
    uint64_t n;
    int32_t holds;
    if (!ctx && mcomp_context_create(&ctx, NULL) != MCOMP_OK) exit(2);
    if (!line) return 0;
    char *expression = mc_strndup((const char *)data, (size_t)(line - data));
    must(expression && mcomp_report_create(&r, ctx) == MCOMP_OK);
    const int32_t st = mcomp_report_add(r, (const char *)line + 1, size - (size_t)(line + 1 - data), expression);
    outcome(st);
    if (st == MCOMP_OK) {
        outcome(mcomp_report_check(&holds, r, expression));
        must(holds == 0 || holds == 1);
        must(mcomp_report_text(&text, &n, r, "md") == MCOMP_OK);
        must(mcomp_report_text(&text, &n, r, "html") == MCOMP_OK && strlen(text) == n);
        balanced(text);
    }
    mcomp_report_destroy(r);
    mc_free(expression);
    return 0;
}
