/* Bad recipes, one a rule: each is refused with the place, the reason and what to do. Numbers 27 to 32 are those of docs/bad_input.md. */
#include <locale.h>
#include <mcomp/mcomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "recipe/recipe.h"
#include "support/support.h"

#define HEAD                                                                                                           \
    "version: 1\n"                                                                                                     \
    "model: {teacher: t.onnx}\n"                                                                                       \
    "data: {train: a.tsv, eval: b.tsv}\n"
#define PASS HEAD "passes:\n- "

static int32_t parse_bytes(mcomp_recipe **r, const char *text, size_t n)
{
    mcomp_recipe_options o;
    mc_ck_ok(mcomp_recipe_options_init(&o, sizeof o));
    o.no_files = 1;
    return mcomp_recipe_parse(r, text, n, "r.yaml", NULL, &o);
}

typedef struct bad {
    const char *text;
    int32_t line, column; /* of the first error */
    const char *says, *hint;
} bad;

/* n recipes: each has an error at its place that says so, and nothing is left behind. */
static void refused(const bad *b, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        mcomp_recipe *r;
        const uint64_t live = mc_alloc_live_bytes();
        int32_t count;
        mcomp_recipe_error e = {.size = sizeof e};
        const int32_t st = parse_bytes(&r, b[i].text, strlen(b[i].text));
        ck_assert_msg(st == MCOMP_RECIPE, "%s for\n%s", mcomp_status_name(st), b[i].text);
        ck_assert_msg(strstr(mc_error_peek()->where, "r.yaml:") != NULL, "the record names no place: %s", mc_error_peek()->where);
        mc_ck_ok(mcomp_recipe_error_count(r, &count, NULL));
        mc_ck_ok(mcomp_recipe_error_get(r, 0, &e));
        ck_assert_msg(count == 1, "%d errors instead of one, the first \"%s\", for\n%s", count, e.text, b[i].text);
        ck_assert_msg(strstr(e.text, b[i].says) != NULL, "\"%s\" does not say \"%s\" of\n%s", e.text, b[i].says, b[i].text);
        ck_assert_msg(e.line == b[i].line && e.column == b[i].column, "%d:%d instead of %d:%d for \"%s\" of\n%s", e.line, e.column, b[i].line, b[i].column, e.text, b[i].text);
        ck_assert_msg(!b[i].hint || strstr(e.hint, b[i].hint) != NULL, "the hint \"%s\" does not say \"%s\" of\n%s", e.hint, b[i].hint, b[i].text);
        mcomp_recipe_destroy(r);
        ck_assert_uint_eq(mc_alloc_live_bytes(), live);
    }
}
#define REFUSED(...)                                                                                                   \
    do {                                                                                                               \
        static const bad rows_[] = {__VA_ARGS__};                                                                      \
        refused(rows_, sizeof rows_ / sizeof *rows_);                                                                  \
    } while (0)

/* ---- syntax ---- */

START_TEST(bad_029_syntax)
{
    REFUSED({"", 1, 1, "there is no recipe", NULL}, {"# nothing\n# more\n", 1, 1, "there is no recipe", NULL}, {"---\n", 2, 1, "section with keys", NULL},
            {PASS "finetune: {}\n---\nb\n", 6, 1, "second document", NULL}, {"version: 1\n\tmodel: x\n", 2, 1, "tab character", "spaces, not with tabs"},
            {"a: b: c\n", 1, 5, "mapping values", "quotes"}, {"a: [1, 2\n", 2, 1, "did not find", NULL}, {"a: \"b\n", 2, 1, "unexpected end", NULL},
            {"- 1\n", 1, 1, "section with keys", NULL}, {"x\n", 1, 1, "section with keys", NULL}, {HEAD "passes: [{finetune: {}}]\n? [x]\n: 1\n", 5, 3, "a key is a word", NULL},
            {HEAD "passes: [{finetune: {}}]\nseed: 1\nseed: 2\n", 6, 1, "twice, first in line 5", NULL}, {HEAD "passes: [{finetune: {}}]\nseed: !!int 1\n", 5, 7, "no tags", NULL},
            {HEAD "passes: ! [{finetune: {}}]\n", 4, 9, "no tags", NULL}, {"%TAG ! tag:x,2000:\n---\n" PASS "finetune: {}\n", 1, 1, "no tags", NULL},
            {HEAD "passes:\n- &a finetune: {}\n<<: {seed: 1}\n", 6, 1, "merge key", "write the keys out"}, {HEAD "passes: [{finetune: {freeze: \"a\\0b\"}}]\n", 4, 30, "control character", NULL},
            {HEAD "passes: [{finetune: {freeze: |\n  a\n  b\n  }}]\n", 4, 30, "cannot start", NULL}, {"\xff\xfev", 1, 1, "UTF-16", "UTF-8"}, {"a: \xe9t\xe9\n", 1, 5, "UTF-8", NULL},
            {"a: \x01\n", 1, 4, "control characters", NULL});
}
END_TEST

START_TEST(bad_029_bytes)
{
    mcomp_recipe *r;
    static char text[(1 << 20) + 8];
    mc_ck_fails(parse_bytes(&r, "version: 1\n\0", 12), MCOMP_RECIPE); /* NUL */
    ck_assert(strstr(mc_error_peek()->message, "NUL") != NULL);
    mcomp_recipe_destroy(r);
    memset(text, ' ', sizeof text);
    memcpy(text, PASS "finetune: {}\n", sizeof(PASS "finetune: {}\n") - 1);
    mc_ck_ok(parse_bytes(&r, text, 1 << 20)); /* as large as it may be */
    mcomp_recipe_destroy(r);
    mc_ck_fails(parse_bytes(&r, text, (1 << 20) + 1), MCOMP_LIMIT);
    ck_assert_ptr_null(r);
    memset(text, 'x', sizeof text); /* one value of a megabyte */
    memcpy(text, "a: ", 3);
    mc_ck_fails(parse_bytes(&r, text, 1 << 20), MCOMP_RECIPE);
    mcomp_recipe_destroy(r);
    static const char windows[] = "\xef\xbb\xbf" "version: 1\r\nmodel: {teacher: t.onnx}\r\ndata: {train: a.tsv, eval: b.tsv}\r\npasses:\r\n- finetune: {}\r\n";
    mc_ck_ok(parse_bytes(&r, windows, sizeof windows - 1)); /* CRLF and a byte order mark are fine */
    mcomp_recipe_destroy(r);
    static const char json[] = "{\"version\": 1, \"model\": {\"teacher\": \"t.onnx\"}, \"data\": {\"eval\": \"b.tsv\"}, \"passes\": [{\"quantize\": {\"scheme\": \"int8-dynamic\"}}]}";
    mc_ck_ok(parse_bytes(&r, json, sizeof json - 1));
    mcomp_recipe_destroy(r);
}
END_TEST

/* ---- limits ---- */

static double seconds_of(const char *text, size_t n, const char *says)
{
    mcomp_recipe *r;
    const int64_t start = mc_clock_ns();
    const uint64_t live = mc_alloc_live_bytes();
    ck_assert_int_eq(parse_bytes(&r, text, n), MCOMP_RECIPE);
    mcomp_recipe_error e = {.size = sizeof e};
    mc_ck_ok(mcomp_recipe_error_get(r, 0, &e));
    ck_assert_msg(strstr(e.text, says) != NULL, "\"%s\" does not say \"%s\"", e.text, says);
    ck_assert_msg(mc_alloc_live_bytes() - live < n + (4 << 20), "%llu bytes", (unsigned long long)(mc_alloc_live_bytes() - live));
    mcomp_recipe_destroy(r);
    return (double)(mc_clock_ns() - start) * 1e-9;
}

START_TEST(bad_027_aliases)
{
    mc_str bomb = {0};
    mc_ck_ok(mc_str_append(&bomb, "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"));
    for (int i = 1; i < 9; i++) {
        mc_ck_ok(mc_str_appendf(&bomb, "a%d: &a%d [", i, i));
        for (int k = 0; k < 10; k++) mc_ck_ok(mc_str_appendf(&bomb, "%s*a%d", k ? ", " : "", i - 1));
        mc_ck_ok(mc_str_append(&bomb, "]\n"));
    }
    ck_assert(seconds_of(bomb.data, (size_t)bomb.len, "10,000") < 1.0);
    mc_str_free(&bomb);
    REFUSED({"a: &a [*a]\n", 1, 8, "names nothing that is complete", NULL}, {"a: &a {b: {c: *a}}\n", 1, 15, "names nothing", NULL}, {"a: *b\n", 1, 4, "names nothing", "&name"});
    mcomp_recipe *r;
    static const char twice[] = PASS "finetune: &f {lr: 1e-3}\n- finetune: *f\n"; /* an alias is a convenience that stays */
    mc_ck_ok(parse_bytes(&r, twice, sizeof twice - 1));
    ck_assert(mc_section_num(r->passes[1], "lr") == 1e-3);
    mcomp_recipe_destroy(r);
    mc_str many = {0};
    mc_ck_ok(mc_str_append(&many, "a: &a x\nb: ["));
    for (int i = 0; i < 101; i++) mc_ck_ok(mc_str_append(&many, "*a,"));
    mc_ck_ok(mc_str_append(&many, "]\n"));
    (void)seconds_of(many.data, (size_t)many.len, "100 aliases");
    mc_str_free(&many);
}
END_TEST

START_TEST(bad_028_nesting)
{
    static char text[1 << 20];
    memset(text, '[', sizeof text);
    ck_assert(seconds_of(text, 5000, "32 levels") < 1.0);
    ck_assert(seconds_of(text, sizeof text, "32 levels") < 1.0);
    size_t n = 0;
    for (int i = 0; i < 1000; i++) n += (size_t)sprintf(text + n, "%*sa:\n", i, "");
    ck_assert(seconds_of(text, n, "32 levels") < 1.0);
    for (n = 0; n + 2 <= 200000; n += 2) memcpy(text + n, "- ", 2);
    ck_assert(seconds_of(text, n, "32 levels") < 1.0);
    n = (size_t)sprintf(text, "a: [");
    for (int i = 0; i < 10000; i++) n += (size_t)sprintf(text + n, "x,");
    n += (size_t)sprintf(text + n, "]\n");
    ck_assert(seconds_of(text, n, "10,000 values") < 1.0);
    n = 0;
    for (int i = 0; i < 4990; i++) n += (size_t)sprintf(text + n, "key%d: 1\n", i); /* unknown keys in one section: 20 are kept */
    ck_assert(seconds_of(text, n, "no key") < 1.0);
}
END_TEST

/* ---- keys and values ---- */

START_TEST(bad_029_keys_and_types)
{
    REFUSED({PASS "finetune: {epoch: 1}\n", 5, 14, "passes[0].finetune: there is no key \"epoch\"", "did you mean epochs?"},
            {PASS "finetune: {qwertyuiop: 1}\n", 5, 14, "no key", "all keys of finetune"}, {PASS "finetun: {}\n", 5, 3, "no pass \"finetun\"", "finetune"},
            {PASS "prun: {}\n", 5, 3, "no pass", "prune"}, {HEAD "passes: []\n", 4, 9, "nothing to do", NULL}, {HEAD "passes: {finetune: {}}\n", 4, 9, "a list of passes", NULL},
            {PASS "{finetune: {}, prune: {}}\n", 5, 3, "one key", NULL}, {PASS "finetune\n", 5, 3, "one key", NULL}, {PASS "finetune:\n", 5, 3, "section with keys", NULL},
            {HEAD, 1, 1, "passes is missing", NULL}, {"version: 1\ndata: {train: a, eval: b}\npasses: [{finetune: {}}]\n", 1, 1, "model is missing", NULL},
            {"version: 1\nmodel: {}\ndata: {train: a, eval: b}\npasses: [{finetune: {}}]\n", 2, 8, "model.teacher is missing", NULL},
            {"model: {teacher: t}\ndata: {train: a, eval: b}\npasses: [{finetune: {}}]\n", 1, 1, "version is missing", NULL},
            {PASS "distill: {}\n", 5, 3, "student is missing", NULL}, {PASS "finetune: {epochs: [1]}\n", 5, 22, "a list is not what belongs here", NULL},
            {PASS "finetune: {epochs: {a: 1}}\n", 5, 23, "a value, or one to search", "choose"}, {PASS "finetune: {epochs: \"3\"}\n", 5, 22, "a text", "without quotes"},
            {PASS "finetune: {epochs: many}\n", 5, 22, "no whole number", NULL}, {PASS "finetune: {epochs: 1.5}\n", 5, 22, "no whole number", NULL},
            {PASS "finetune: {optimizer: adamv}\n", 5, 25, "no optimizer \"adamv\"", "adamw"}, {PASS "finetune: {optimizer: x1}\n", 5, 25, "no optimizer", "one of adamw adam sgd lamb"},
            {PASS "finetune: {balance: yes}\n", 5, 23, "neither true nor false", "true or false"}, {PASS "finetune: {lr: ~}\n", 5, 18, "no value", "default"},
            {PASS "finetune: {lr: }\n", 5, 18, "no value", NULL}, {PASS "finetune: {freeze: [a, \"b,c\"]}\n", 5, 26, "without commas", NULL},
            {PASS "finetune: {freeze: {a: b}}\n", 5, 22, "list of patterns", NULL}, {HEAD "passes: [{finetune: {}}]\nobjective: \"\"\n", 5, 12, "no objective", NULL},
            {PASS "distill: {student: mlp, losses: 3}\n", 5, 35, "list of sections", NULL}, {"version: 2\nmodel: {teacher: t}\ndata: {train: a, eval: b}\npasses: [{finetune: {}}]\n", 1, 10, "not within", NULL});
}
END_TEST

static const bad numbers[] = {
    {PASS "prune: {sparsity: 1.5}\n", 5, 21, "1.5 is not within 0 and 0.999", NULL},
    {PASS "prune: {sparsity: -0}\n", 5, 21, "sign that means nothing", NULL},
    {PASS "prune: {sparsity: -0.5}\n", 5, 21, "not within", NULL},
    {PASS "prune: {sparsity: nan}\n", 5, 21, "is no number", NULL},
    {PASS "prune: {sparsity: .nan}\n", 5, 21, "is no number", NULL},
    {PASS "prune: {sparsity: .inf}\n", 5, 21, "is no number", NULL},
    {PASS "prune: {sparsity: 1e400}\n", 5, 21, "beyond all numbers", NULL},
    {PASS "prune: {sparsity: 1e999}\n", 5, 21, "beyond all numbers", NULL},
    {PASS "prune: {sparsity: 0x1}\n", 5, 21, "is no number", "decimal digits"},
    {PASS "prune: {sparsity: 0.5f}\n", 5, 21, "is no number", NULL},
    {PASS "prune: {sparsity: 1_0}\n", 5, 21, "is no number", "without _"},
    {PASS "prune:\n    sparsity: 0,5\n", 6, 15, "is no number", "a decimal point"},
    {PASS "prune: {sparsity: yes}\n", 5, 21, "is no number", NULL},
    {PASS "prune: {align: 010}\n", 5, 18, "no whole number", "leading zeros"},
    {PASS "prune: {align: 0o10}\n", 5, 18, "no whole number", NULL},
    {PASS "prune: {align: 0x10}\n", 5, 18, "no whole number", NULL},
    {PASS "prune: {align: 0b1}\n", 5, 18, "no whole number", NULL},
    {PASS "prune: {align: 1:30}\n", 5, 18, "no whole number", NULL},
    {PASS "prune: {align: 0}\n", 5, 18, "0 is not within 1 and 1024", NULL},
    {PASS "finetune: {lr: 0}\n", 5, 18, "not within", NULL},
    {PASS "finetune: {lr: 1e-400}\n", 5, 18, "", NULL},
    {PASS "finetune: {warmup: 1.00001}\n", 5, 22, "not within 0 and 1", NULL},
    {PASS "finetune: {epochs: 9223372036854775808}\n", 5, 22, "not within", NULL},
    {PASS "finetune: {epochs: 1e18}\n", 5, 22, "not within", NULL},
    {PASS "distill: {student: mlp, alpha: 1.5}\n", 5, 34, "passes[0].distill.alpha: 1.5 is not within 0 and 1", NULL},
    {PASS "distill: {student: mlp, temperature: 0}\n", 5, 40, "not within", NULL},
};

START_TEST(bad_030_numbers)
{
    refused(numbers, sizeof numbers / sizeof *numbers);
    const char *const locales[] = {"de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8", "ru_RU.UTF-8"};
    for (size_t i = 0; i < sizeof locales / sizeof *locales; i++) { /* a decimal comma, where one is installed */
        if (!setlocale(LC_ALL, locales[i])) continue;
        mcomp_recipe *r;
        static const char text[] = PASS "prune: {sparsity: 0.75}\n";
        refused(numbers, sizeof numbers / sizeof *numbers);
        mc_ck_ok(parse_bytes(&r, text, sizeof text - 1));
        ck_assert(mc_section_num(r->passes[0], "sparsity") == 0.75);
        const char *explained;
        mc_ck_ok(mcomp_recipe_explain(&explained, r));
        ck_assert(strstr(explained, "sparsity: 0.75\n") && strstr(explained, "beta2: 0.999"));
        mcomp_recipe_destroy(r);
    }
    setlocale(LC_ALL, "C");
}
END_TEST

/* ---- what holds between values ---- */

START_TEST(bad_031_meaning)
{
    REFUSED({"version: 1\nmodel: {teacher: t}\ndata: {eval: b}\npasses:\n- quantize: {mode: qat}\n", 5, 20, "no data.train", "train"},
            {"version: 1\nmodel: {teacher: t}\ndata: {eval: b}\npasses:\n- finetune: {}\n", 5, 3, "no data.train", NULL},
            {"version: 1\nmodel: {teacher: t}\ndata: {eval: b}\npasses:\n- quantize: {scheme: int8}\n", 5, 22, "needs samples to find ranges", NULL},
            {"version: 1\nmodel: {teacher: t}\ndata: {eval: b, calib: {from: train}}\npasses:\n- quantize: {}\n", 3, 31, "there is no data.train", NULL},
            {"version: 1\nmodel: {teacher: t}\ndata: {eval: b, calib: {from: tain}}\npasses:\n- quantize: {}\n", 3, 31, "no from \"tain\"", "train"},
            {"version: 1\nmodel: {teacher: t}\ndata: {eval: {from: eval}}\npasses:\n- quantize: {}\n", 3, 21, "the samples themselves", NULL},
            {"version: 1\nmodel: {teacher: t}\ndata: {eval: {path: b, from: train}, train: a}\npasses:\n- quantize: {}\n", 3, 30, "both say", NULL},
            {"version: 1\nmodel: {teacher: t}\ndata: {train: a, eval: {from: valid}, valid: {from: train}}\npasses:\n- quantize: {}\n", 3, 31, "takes its samples from others", NULL},
            {"version: 1\nmodel: {teacher: t}\ndata: {train: a, eval: {text: x}}\npasses:\n- quantize: {}\n", 3, 24, "path is missing", NULL},
            {PASS "prune: {keep_distilling: true}\n", 5, 28, "no pass before this one distills", NULL},
            {HEAD "passes: [{distill: {student: mlp}}, {quantize: {keep_distilling: true}}]\n", 4, 66, "nothing is trained", "qat"},
            {PASS "prune: {sparsity: 0.5, macs: 0.3}\n", 5, 32, "each say how much", NULL}, {PASS "prune: {latency_ms: 2}\n", 5, 23, "whole units", "channel"},
            {PASS "prune: {criterion: fpgm}\n", 5, 22, "whole units", NULL}, {PASS "prune: {criterion: taylor, epochs: 0}\n", 5, 22, "needs gradients", NULL},
            {PASS "prune: {criterion: taylor, optimizer: sgd}\n", 5, 41, "moments", NULL}, {PASS "prune: {pattern: \"2:4\", schedule: cubic}\n", 5, 37, "at once", NULL},
            {PASS "prune: {pattern: \"2:4\", sparsity: 0.7}\n", 5, 37, "one half", NULL}, {PASS "prune: {pattern: \"4:2\"}\n", 5, 20, "no pattern", "4x1"},
            {PASS "prune: {pattern: \"0:0\"}\n", 5, 20, "no pattern", NULL}, {PASS "quantize: {scheme: w3}\n", 5, 22, "no scheme", NULL},
            {PASS "quantize: {scheme: w4, mode: qat}\n", 5, 32, "is for scheme int8", NULL}, {PASS "quantize: {percentile: 99.9}\n", 5, 26, "range: percentile only", NULL},
            {PASS "quantize: {rules: [{match: x}]}\n", 5, 22, "says nothing", NULL}, {PASS "distill: {student: mlp, losses: []}\n", 5, 35, "at least one loss", NULL},
            {PASS "distill: {student: mlp, losses: [{kind: logits}, {kind: logits}]}\n", 5, 59, "there twice", NULL},
            {PASS "distill: {student: mlp, losses: [{kind: hidden, temperature: 2}]}\n", 5, 64, "no temperature", NULL},
            {PASS "distill: {student: mlp, losses: [{kind: logits, alpha: 0.1}, {kind: mse, alpha: 0.2}]}\n", 5, 83, "another alpha", NULL},
            {PASS "distill: {student: mlp, alpha: 0, losses: [{kind: dkd}]}\n", 5, 53, "needs the labels", NULL},
            {PASS "distill: {student: \"teacher:layer=0\"}\n", 5, 22, "no key \"layer\"", "layers"}, {PASS "distill: {student: \"teacher:layers=2+1\"}\n", 5, 22, "does not come after", NULL},
            {PASS "distill: {student: \"mpl\"}\n", 5, 22, "mpl", "mlp"}, {PASS "distill: {student: \"mlp:hiden=3\"}\n", 5, 22, "hiden", "hidden"},
            {PASS "distill: {student: \"mlp:hidden=0\"}\n", 5, 22, "no whole number", NULL}, {PASS "finetune: {augment: \"shift:99\"}\n", 5, 23, "no augmentation", NULL},
            {PASS "finetune: {lr_scale: \"a\"}\n", 5, 24, "no pattern and factor", NULL}, {PASS "finetune: {lr_scale: \"a=1,b=-1\"}\n", 5, 24, "b=-1", NULL},
            {HEAD "passes: [{finetune: {}}]\nreport: {cost: {instances: 8}}\n", 5, 16, "report.cost.usd_per_hour is missing", NULL},
            {"version: 1\nmodel: {teacher: t, expect: {metric: auc, value: 1}}\ndata: {train: a, eval: b}\ntarget: {metric: accuracy}\npasses: [{finetune: {}}]\n", 4, 18, "speaks of auc", NULL},
            {"version: 1\nmodel: {teacher: t, expect: {value: 1}}\ndata: {train: a, eval: b}\npasses: [{finetune: {}}]\n", 2, 29, "metric is missing", NULL});
}
END_TEST

START_TEST(bad_031_search)
{
    REFUSED({PASS "finetune: {epochs: {choose: [1, 2]}}\n", 5, 22, "search.method is none", NULL}, {PASS "finetune: {epochs: {choose: [1]}}\n", 5, 22, "2 to 16", NULL},
            {PASS "finetune: {epochs: {choose: 1}}\n", 5, 22, "2 to 16", NULL}, {PASS "finetune: {epochs: {choose: [1, 1]}}\n", 5, 35, "twice", NULL},
            {PASS "finetune: {epochs: {choose: [1, 0]}}\n", 5, 35, "not within", NULL}, {PASS "finetune: {epochs: {choose: [1, x]}}\n", 5, 35, "no whole number", NULL},
            {PASS "finetune: {epochs: {choose: [1, 2], bisect: [1, 2], step: 1}}\n", 5, 22, "either", NULL}, {PASS "finetune: {epochs: {step: 1}}\n", 5, 22, "either", NULL},
            {PASS "finetune: {lr: {bisect: [1, 2]}}\n", 5, 18, "step: s", NULL}, {PASS "finetune: {lr: {bisect: [2, 1], step: 1}}\n", 5, 18, "below", NULL},
            {PASS "finetune: {lr: {bisect: [1, 2], step: 0}}\n", 5, 18, "above 0", NULL}, {PASS "finetune: {lr: {bisect: [1, 2], step: 1e-9}}\n", 5, 18, "million steps", NULL},
            {PASS "finetune: {lr: {bisect: [1, 1e9], step: 1}}\n", 5, 31, "not within", NULL}, {PASS "finetune: {optimizer: {bisect: [adam, sgd], step: 1}}\n", 5, 25, "for numbers", NULL},
            {HEAD "seed: {choose: [1, 2]}\npasses: [{finetune: {}}]\n", 4, 7, "a section is not what belongs here", NULL},
            {HEAD "search: {method: bisect}\npasses: [{finetune: {}}]\n", 4, 18, "nothing to bisect", NULL}, {HEAD "search: {method: halving}\npasses: [{finetune: {}}]\n", 4, 18, "nothing to search", NULL},
            {HEAD "search: {method: halving, max_trials: 4}\npasses: [{finetune: {lr: {bisect: [1, 2], step: 1}}}]\n", 5, 26, "listed", NULL},
            {HEAD "search: {method: halving}\npasses: [{finetune: {lr: {choose: [1, 2]}}}]\n", 4, 9, "max_trials", NULL});
}
END_TEST

/* ---- paths ---- */

START_TEST(bad_032_paths)
{
    REFUSED({HEAD "search: {cache: ../../x}\npasses: [{finetune: {}}]\n", 4, 17, "leads out of", NULL}, {HEAD "search: {cache: /tmp/x}\npasses: [{finetune: {}}]\n", 4, 17, "leads out of", NULL},
            {HEAD "search: {cache: a/../../x}\npasses: [{finetune: {}}]\n", 4, 17, "leads out of", NULL}, {HEAD "plugin: x.so\npasses: [{finetune: {}}]\n", 4, 1, "no key \"plugin\"", NULL},
            {HEAD "output: ../x\npasses: [{finetune: {}}]\n", 4, 1, "no key", NULL}, {HEAD "search: {cache: \"${MCOMP_UP}/x\"}\npasses: [{finetune: {}}]\n", 4, 17, "leads out of", NULL},
            {"version: 1\nmodel: {teacher: \"${MCOMP_NOT_THERE}/t\"}\ndata: {train: a, eval: b}\npasses: [{finetune: {}}]\n", 2, 18, "no variable of that name", "MCOMP_NOT_THERE"},
            {"version: 1\nmodel: {teacher: \"${}\"}\ndata: {train: a, eval: b}\npasses: [{finetune: {}}]\n", 2, 18, "followed by a name", NULL},
            {"version: 1\nmodel: {teacher: \"${A\"}\ndata: {train: a, eval: b}\npasses: [{finetune: {}}]\n", 2, 18, "followed by a name", NULL},
            {"version: 1\nmodel: {teacher: t, output: \"${HOME}\"}\ndata: {train: a, eval: b}\npasses: [{finetune: {}}]\n", 2, 29, "paths only", NULL});
}
END_TEST

static void write_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    ck_assert_ptr_nonnull(f);
    fputs(text, f);
    fclose(f);
}

START_TEST(files_and_variables)
{
    char dir[] = "/tmp/mcomp-recipe-XXXXXX", path[128];
    mcomp_recipe *r;
    mcomp_recipe_error e = {.size = sizeof e};
    ck_assert_ptr_nonnull(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/r.yaml", dir);
    write_file(path, "version: 1\nmodel: {teacher: t.onnx}\ndata: {train: \"idx:i,l@limit=3\", eval: \"${MCOMP_SUB}/e.tsv@split=a\"}\npasses: [{finetune: {}}]\n");
    mc_ck_fails(mcomp_recipe_load(&r, path, NULL), MCOMP_RECIPE); /* nothing is there */
    ck_assert_int_eq(r->n_notes, 3);
    mc_ck_ok(mcomp_recipe_error_get(r, 0, &e));
    ck_assert(e.code == MCOMP_PATH && e.line == 2 && e.column == 18 && strstr(e.text, "t.onnx is not there"));
    mcomp_recipe_destroy(r);
    char file[160];
    const char *const names[] = {"t.onnx", "i", "l"};
    for (int i = 0; i < 3; i++) snprintf(file, sizeof file, "%s/%s", dir, names[i]), write_file(file, "x");
    snprintf(file, sizeof file, "%s/s", dir);
    ck_assert_int_eq(mkdir(file, 0700), 0);
    setenv("MCOMP_SUB", "s", 1);
    mc_ck_fails(mcomp_recipe_load(&r, path, NULL), MCOMP_RECIPE);
    mc_ck_ok(mcomp_recipe_error_get(r, 0, &e));
    ck_assert(r->n_notes == 1 && strstr(e.text, "${MCOMP_SUB}/e.tsv") && !strstr(e.text, "s/e.tsv is")); /* as it is written */
    mcomp_recipe_destroy(r);
    snprintf(file, sizeof file, "%s/s/e.tsv", dir);
    write_file(file, "x");
    mc_ck_ok(mcomp_recipe_load(&r, path, NULL));
    snprintf(file, sizeof file, "idx:%s/i,%s/l@limit=3", dir, dir);
    ck_assert_str_eq(mc_section_str(r->train, "path"), file);
    snprintf(file, sizeof file, "%s/s/e.tsv@split=a", dir);
    ck_assert_str_eq(mc_section_str(r->eval, "path"), file);
    mcomp_recipe_destroy(r);
    mc_ck_fails(mcomp_recipe_load(&r, dir, NULL), MCOMP_PATH); /* a folder is no recipe */
    ck_assert_ptr_null(r);
    snprintf(file, sizeof file, "%s/none.yaml", dir);
    mc_ck_fails(mcomp_recipe_load(&r, file, NULL), MCOMP_PATH);
    snprintf(file, sizeof file, "rm -r %s", dir);
    ck_assert_int_eq(system(file), 0);
}
END_TEST

/* ---- many errors, every prefix ---- */

START_TEST(twenty_errors_and_a_count)
{
    mc_str text = {0};
    mcomp_recipe *r;
    int32_t n, more;
    mc_ck_ok(mc_str_append(&text, HEAD "passes:\n"));
    for (int i = 0; i < 25; i++) mc_ck_ok(mc_str_appendf(&text, "- finetune: {epochs: 0}\n"));
    ck_assert_int_eq(parse_bytes(&r, text.data, (size_t)text.len), MCOMP_RECIPE);
    ck_assert(strstr(mc_error_peek()->message, "(and 24 more)") != NULL);
    mc_ck_ok(mcomp_recipe_error_count(r, &n, &more));
    ck_assert(n == 20 && more == 5);
    for (int i = 0; i < 20; i++) {
        mcomp_recipe_error e = {.size = sizeof e};
        mc_ck_ok(mcomp_recipe_error_get(r, i, &e));
        ck_assert(e.line == 5 + i && e.column == 22);
        ck_assert_str_eq(e.source, "- finetune: {epochs: 0}");
    }
    mc_ck_fails(mcomp_recipe_error_get(r, 20, &(mcomp_recipe_error){.size = sizeof(mcomp_recipe_error)}), MCOMP_ARGUMENT);
    mcomp_recipe_destroy(r);
    mc_str_free(&text);
}
END_TEST

START_TEST(places_count_characters)
{
    mcomp_recipe *r;
    mcomp_recipe_error e = {.size = sizeof e};
    static const char text[] = HEAD "passes: [{finetune: {freeze: \"\xc3\xa4\xe2\x82\xac\", epochs: x}}]\n";
    ck_assert_int_eq(parse_bytes(&r, text, sizeof text - 1), MCOMP_RECIPE);
    mc_ck_ok(mcomp_recipe_error_get(r, 0, &e));
    ck_assert(e.line == 4 && e.column == 44);
    mcomp_recipe_destroy(r);
}
END_TEST

START_TEST(every_prefix)
{
    static const char text[] =
        "%YAML 1.1\n---\nversion: 1\nmodel: {teacher: \"\\u00e9.onnx\", expect: {metric: auc, value: 0.5}}\ndata:\n  train: &t {path: 'a.tsv@x=1', text: \xc3\xa4}\n"
        "  eval: {path: b, limit: 3}\nsearch: {method: bisect, max_trials: 3}\npasses:\n  - distill: {student: mlp, losses: [{kind: logits, alpha: .5}]}\n"
        "  - prune: &p\n      sparsity: {bisect: [0.5, 0.9], step: 0.1}\n      match: [\"*a*\", b]\n  - prune: *p\n...\n";
    for (size_t n = 0; n < sizeof text; n++) {
        mcomp_recipe *r;
        const uint64_t live = mc_alloc_live_bytes();
        const int32_t st = parse_bytes(&r, text, n);
        ck_assert(st == MCOMP_OK || st == MCOMP_RECIPE);
        ck_assert(n < sizeof text - 1 || st == MCOMP_OK);
        mcomp_recipe_destroy(r);
        ck_assert_uint_eq(mc_alloc_live_bytes(), live);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("recipe/bad");
    TCase *t = tcase_create("bad");
    setenv("MCOMP_UP", "..", 1);
    tcase_set_timeout(t, 120);
    tcase_add_test(t, bad_029_syntax);
    tcase_add_test(t, bad_029_bytes);
    tcase_add_test(t, bad_027_aliases);
    tcase_add_test(t, bad_028_nesting);
    tcase_add_test(t, bad_029_keys_and_types);
    tcase_add_test(t, bad_030_numbers);
    tcase_add_test(t, bad_031_meaning);
    tcase_add_test(t, bad_031_search);
    tcase_add_test(t, bad_032_paths);
    tcase_add_test(t, files_and_variables);
    tcase_add_test(t, twenty_errors_and_a_count);
    tcase_add_test(t, places_count_characters);
    tcase_add_test(t, every_prefix);
    suite_add_tcase(s, t);
    return mc_test_main(s);
}
