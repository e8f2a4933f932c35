/* Results by operator: the table on stdout, and docs/conformance.md. */
#include "conformance.h"

#include <stdio.h>
#include <stdlib.h>

#define MAX_ROWS 400
#define MAX_REASONS 6

typedef struct tally {
    char op[96];
    int32_t n[CONF_CLASSES];
    char reason[MAX_REASONS][120]; /* distinct ones */
} tally;

static tally rows[MAX_ROWS];
static int32_t n_rows, total[CONF_CLASSES];

/* What a reader wants to know of a refusal: many messages differ in names only. */
static void shorten(const char *message, char *out, size_t cap)
{
    static const struct {
        const char *part, *reason;
    } known[] = {{"float8", "8-bit floats"}, {"float4", "4-bit floats"}, {"string", "strings"}, {"no tensor", "sequences and optionals"},
                 {"segments", "tensors in segments"}, {"output is random", "random output (training mode)"}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (!strstr(message, known[i].part)) continue;
        snprintf(out, cap, "%s", known[i].reason);
        return;
    }
    const char *node = strstr(message, "without a kernel"), *colon;
    if (node) { /* "operators without a kernel: Op (node name: reason), ...": the first one's reason */
        node = strstr(node, "(node ");
        colon = node ? strpbrk(node, ":)") : NULL;
        if (colon && *colon == ':') snprintf(out, cap, "%.*s", (int)strcspn(colon + 2, ")"), colon + 2);
        else snprintf(out, cap, "not in the library");
        return;
    }
    colon = strstr(message, "; ");
    snprintf(out, cap, "%.*s", (int)(colon ? colon - message : (long)strlen(message)), message);
}

static void add_reason(tally *t, const conf_result *r)
{
    char text[120];
    int i = 0;
    shorten(r->reason, text, sizeof text);
    while (i < MAX_REASONS && t->reason[i][0] && strcmp(t->reason[i], text) != 0) i++;
    if (i < MAX_REASONS) snprintf(t->reason[i], sizeof t->reason[i], "%s", text);
}

void conf_count(const conf_result *r)
{
    const char *op = r->op[0] ? r->op : r->class == CONF_REFUSED ? "(refused when loading)" : "(several operators)";
    int32_t i = 0;
    while (i < n_rows && strcmp(rows[i].op, op) != 0) i++;
    if (i == n_rows && n_rows < MAX_ROWS) snprintf(rows[n_rows++].op, sizeof rows->op, "%s", op);
    total[r->class]++;
    if (i == n_rows) return;
    rows[i].n[r->class]++;
    if (r->class == CONF_REFUSED) add_reason(&rows[i], r);
}

int32_t conf_total(int class) { return total[class]; }

static int by_name(const void *a, const void *b) { return strcmp(((const tally *)a)->op, ((const tally *)b)->op); }

void conf_print_table(void)
{
    qsort(rows, (size_t)n_rows, sizeof *rows, by_name);
    printf("%-32s %6s %8s %6s\n", "operator", "pass", "refused", "wrong");
    for (int32_t i = 0; i < n_rows; i++) {
        const int32_t *n = rows[i].n;
        printf("%-32s %6d %8d %6d\n", rows[i].op, n[CONF_PASS], n[CONF_REFUSED], n[CONF_WRONG]);
    }
    printf("%-32s %6d %8d %6d\n", "all", total[CONF_PASS], total[CONF_REFUSED], total[CONF_WRONG]);
}

/* ---- which rows have a case ---- */

static mc_map *covered;

void conf_covers(const char *op)
{
    if (!covered) covered = mc_map_create();
    if (covered && mc_map_put(covered, op, 1) != MCOMP_OK) mc_error_clear();
}

int32_t conf_uncovered(void)
{
    const mc_op *const *table;
    const int32_t n = mc_op_all(&table);
    int32_t missing = 0;
    for (int32_t i = 0; i < n; i++) {
        if (strcmp(table[i]->domain, "mcomp") == 0 || table[i]->cases || mc_map_get(covered, table[i]->name, NULL)) continue;
        printf("%s: no backend case runs it; give it cases (mc_op.cases)\n", table[i]->name);
        missing++;
    }
    mc_map_destroy(covered);
    covered = NULL;
    return missing;
}

/* ---- docs/conformance.md ---- */

static const char head[] =
    "# Conformance\n\n"
    "Made by `mcomp_conformance ARCHIVE WORKDIR --session --write docs/conformance.md`; do not edit. The test\n"
    "`conformance/session-*` compares it.\n\n"
    "The ONNX backend test suite v1.22.0, every model of it, run as a user runs it (`mcomp run MODEL --onnx-test DIR`): a file, a\n"
    "session, an exec. Tolerance: 1e-5 + 1e-3 relative, integers exactly, one unit in the last place for 16-bit floats. A refusal is\n"
    "an error that names node and operator (UNSUPPORTED, exit 3); the model can still be inspected, compressed and saved. Nothing\n"
    "else is allowed: no other result, no other error. All tiers (`MCOMP_ISA`) give this same table.\n\n"
    "A model of one node counts for its operator, a refused model for the first operator that is missing. Models of several\n"
    "nodes that pass are one row: the expanded forms of functions, PyTorch's exports, whole networks.\n\n";

static int32_t make(mc_str *s)
{
    int32_t st = MCOMP_OK;
    const int32_t all = total[CONF_PASS] + total[CONF_REFUSED] + total[CONF_WRONG];
    MC_TRY(mc_str_append(s, head));
    MC_TRY(mc_str_appendf(s, "**%d models: %d pass, %d are refused, %d are wrong.**\n\n", all, total[CONF_PASS], total[CONF_REFUSED], total[CONF_WRONG]));
    MC_TRY(mc_str_append(s, "| operator | cases | pass | refused | why |\n|---|---|---|---|---|\n"));
    for (int32_t i = 0; i < n_rows; i++) {
        const tally *t = &rows[i];
        const int32_t cases = t->n[CONF_PASS] + t->n[CONF_REFUSED] + t->n[CONF_WRONG];
        MC_TRY(mc_str_appendf(s, "| %s | %d | %d | ", t->op, cases, t->n[CONF_PASS]));
        MC_TRY(t->n[CONF_REFUSED] ? mc_str_appendf(s, "%d | ", t->n[CONF_REFUSED]) : mc_str_append(s, "| "));
        for (int k = 0; k < MAX_REASONS && t->reason[k][0]; k++) MC_TRY(mc_str_appendf(s, "%s%s", k ? "; " : "", t->reason[k]));
        MC_TRY(mc_str_append(s, t->reason[0][0] ? " |\n" : "|\n"));
    }
done:
    return st;
}

int conf_docs(const char *path, int write)
{
    int bad = 1;
    mc_str s = {0};
    char *old = NULL;
    qsort(rows, (size_t)n_rows, sizeof *rows, by_name);
    FILE *f = fopen(path, write ? "wb" : "rb");
    if (!f || make(&s) != MCOMP_OK) goto done;
    if (write) {
        bad = fwrite(s.data, 1, (size_t)s.len, f) != (size_t)s.len;
        goto done;
    }
    old = calloc(1, (size_t)s.len + 2);
    bad = !old || fread(old, 1, (size_t)s.len + 1, f) != (size_t)s.len || memcmp(old, s.data, (size_t)s.len) != 0;
    if (bad) printf("%s is not what the cases give: run this again with --session --write %s\n", path, path);
done:
    if (f && fclose(f) != 0) bad = 1;
    free(old);
    mc_str_free(&s);
    return bad;
}
