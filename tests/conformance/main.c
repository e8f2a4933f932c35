/* mcomp_conformance ARCHIVE WORKDIR [--quick] [--list] [FILTER...] - runs the ONNX backend cases through the operator
 * references and prints pass / refused / wrong for each operator.
 *
 * pass: every data set agrees. refused: the library said that it cannot (UNSUPPORTED, LIMIT). wrong: another failure, or
 * another result. Exit 1 when an operator that must not be wrong is wrong. A filter is a glob on suite/case. */
#include "conformance.h"
#include "passes/passes.h"
#include "support/support.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { PASS, REFUSED, WRONG, CLASSES };
#define MAX_IO 64
#define MAX_ROWS 400

typedef struct tally {
    char op[64];
    int32_t n[CLASSES];
} tally;

static tally rows[MAX_ROWS];
static int32_t n_rows, total[CLASSES], list_all;

static void count(const char *op, int class)
{
    int32_t i = 0;
    while (i < n_rows && strcmp(rows[i].op, op) != 0) i++;
    if (i == n_rows && n_rows < MAX_ROWS) snprintf(rows[n_rows++].op, sizeof rows->op, "%s", op);
    if (i < n_rows) rows[i].n[class]++;
    total[class]++;
}

static int load_io(const char *dir, const char *kind, mc_tensor **t, int32_t *st)
{
    char path[900];
    int n = 0;
    for (; n < MAX_IO; n++) {
        snprintf(path, sizeof path, "%s/%s_%d.pb", dir, kind, n);
        if (access(path, R_OK) != 0) break;
        *st = mc_onnx_tensor_load(&t[n], path, NULL, 0);
        if (*st != MCOMP_OK) break;
    }
    return n;
}

static void free_io(mc_tensor **t)
{
    for (int i = 0; i < MAX_IO; i++) {
        mc_tensor_destroy(t[i]);
        t[i] = NULL;
    }
}

static int class_of(int32_t st) { return st == MCOMP_UNSUPPORTED || st == MCOMP_LIMIT ? REFUSED : WRONG; }

/* One data set; why: what went wrong (static). */
static int run_set(const mc_graph *g, const char *dir, const char **culprit, char *why, size_t cap)
{
    mc_tensor *in[MAX_IO] = {NULL}, *want[MAX_IO] = {NULL}, *got[MAX_IO] = {NULL};
    int32_t st = MCOMP_OK;
    int class = PASS;
    *culprit = "(data)";
    const int n_in = load_io(dir, "input", in, &st);
    const int n_want = st == MCOMP_OK ? load_io(dir, "output", want, &st) : 0;
    if (st != MCOMP_OK) { /* sequences and optionals: no tensor in the file */
        snprintf(why, cap, "data: %s", mc_error_peek()->message);
        class = REFUSED;
    } else if (g->n_outputs > MAX_IO) {
        class = REFUSED;
    } else if ((st = conf_run(g, n_in, in, got, culprit)) != MCOMP_OK) {
        snprintf(why, cap, "%s: %s: %s", mcomp_status_name(st), mc_error_peek()->where, mc_error_peek()->message);
        class = class_of(st);
    }
    for (int i = 0; class == PASS && i < n_want && i < g->n_outputs; i++) {
        const char *d = conf_differs(got[i], want[i]);
        if (!d) continue;
        snprintf(why, cap, "output %d: %s", i, d);
        class = WRONG;
    }
    free_io(in);
    free_io(want);
    free_io(got);
    return class;
}

static void report(const char *name, const char *op, int class, const char *why)
{
    static const char *const text[] = {"pass", "refused", "wrong"};
    count(op, class);
    if (class == WRONG || list_all) printf("%s %s [%s] %s\n", text[class], name, op, why);
}

/* The operator a case is about: its only node's. */
static const char *subject(const mc_graph *g) { return g->n_order == 1 ? g->order[0]->op : "(several)"; }

static int load(const char *path, const char *name, mc_graph **g)
{
    char why[900];
    mc_error_clear();
    int32_t st = mc_onnx_load(g, NULL, path, NULL);
    for (int64_t i = 0; st == MCOMP_OK && i < (*g)->n_nodes; i++) /* no operator to run, but an order to make some */
        if (mc_node_is_in((*g)->nodes[i], "ai.onnx.preview.training", "Gradient")) st = mc_pass_run_one(*g, "gradient", NULL);
    if (st == MCOMP_OK) return 1;
    snprintf(why, sizeof why, "%s: %s: %s", mcomp_status_name(st), mc_error_peek()->where, mc_error_peek()->message);
    report(name, "(load)", class_of(st), why);
    mc_graph_destroy(*g);
    return 0;
}

static void run_case(const char *root, const char *suite, const char *name)
{
    char path[700], full[300], why[900] = "";
    const char *culprit = NULL;
    int class = PASS;
    mc_graph *g = NULL;
    snprintf(full, sizeof full, "%s/%s", suite, name);
    snprintf(path, sizeof path, "%s/%s/%s/model.onnx", root, suite, name);
    if (!load(path, full, &g)) return;
    for (int set = 0; class == PASS; set++) {
        snprintf(path, sizeof path, "%s/%s/%s/test_data_set_%d", root, suite, name, set);
        if (access(path, R_OK) != 0) break;
        mc_error_clear();
        class = run_set(g, path, &culprit, why, sizeof why);
    }
    report(full, class == PASS || !culprit || culprit[0] == '(' ? subject(g) : culprit, class, why);
    mc_graph_destroy(g);
}

/* light/light_X.onnx with light_X_output_0.pb; input element i is i / n. */
static void run_light(const char *root, const char *name)
{
    char path[700], full[300], why[900] = "";
    mc_tensor *x = NULL, *want = NULL, *got[MAX_IO] = {NULL};
    mc_graph *g = NULL;
    mc_shape s;
    const char *culprit = "(data)";
    int class = WRONG;
    snprintf(full, sizeof full, "light/%s", name);
    snprintf(path, sizeof path, "%s/light/%s.onnx", root, name);
    if (!load(path, full, &g)) return;
    snprintf(path, sizeof path, "%s/light/%s_output_0.pb", root, name);
    mc_value *input = NULL;
    for (int64_t i = 0; i < g->n_inputs && !input; i++) input = g->inputs[i]->init ? NULL : g->inputs[i];
    if (input && mc_type_shape(&input->type, &s) == MCOMP_OK && mc_tensor_create(&x, MCOMP_F32, &s) == MCOMP_OK &&
        mc_onnx_tensor_load(&want, path, NULL, 0) == MCOMP_OK) {
        const int64_t n = mc_tensor_elements(x);
        for (int64_t i = 0; i < n; i++) ((float *)x->data)[i] = (float)i / (float)n;
        const int32_t st = conf_run(g, 1, &x, got, &culprit);
        const char *d = st == MCOMP_OK ? conf_differs(got[0], want) : mc_error_peek()->message;
        class = !d ? PASS : st == MCOMP_OK ? WRONG : class_of(st);
        snprintf(why, sizeof why, "%s", d ? d : "");
    }
    report(full, class == PASS ? "(several)" : culprit, class, why);
    mc_tensor_destroy(x);
    mc_tensor_destroy(want);
    free_io(got);
    mc_graph_destroy(g);
}

static int by_name(const void *a, const void *b) { return strcmp(((const tally *)a)->op, ((const tally *)b)->op); }

static int wanted(const char *suite, const char *name, char **filter, int n)
{
    char full[300];
    snprintf(full, sizeof full, "%s/%s", suite, name);
    for (int i = 0; i < n; i++)
        if (mc_glob_match(filter[i], full)) return 1;
    return n == 0;
}

static int run_suite(const char *root, const char *suite, char **filter, int n)
{
    char dir[600], name[256];
    struct dirent **e = NULL;
    snprintf(dir, sizeof dir, "%s/%s", root, suite);
    const int found = scandir(dir, &e, NULL, alphasort);
    for (int i = 0; i < found; i++) {
        snprintf(name, sizeof name, "%s", e[i]->d_name);
        free(e[i]);
        char *dot = strstr(name, ".onnx");
        if (name[0] == '.' || (strcmp(suite, "light") == 0 && !dot)) continue;
        if (dot) *dot = 0;
        if (!wanted(suite, name, filter, n)) continue;
        if (dot) run_light(root, name);
        else run_case(root, suite, name);
    }
    free(e);
    return found > 0;
}

int main(int argc, char **argv)
{
    static const char *const suites[] = {"node", "simple", "pytorch-operator", "pytorch-converted", "light"};
    int at = 3, quick = 0;
    if (argc < 3) return 2;
    for (; at < argc && argv[at][0] == '-'; at++) {
        quick |= strcmp(argv[at], "--quick") == 0;
        list_all |= strcmp(argv[at], "--list") == 0;
    }
    if (access(argv[1], R_OK) != 0) {
        printf("no archive %s\n", argv[1]);
        return getenv("CI") ? 1 : 77;
    }
    if (conf_unpack(argv[1], argv[2]) != 0) {
        printf("cannot unpack %s into %s\n", argv[1], argv[2]);
        return 1;
    }
    for (int i = 0; i < (quick ? 3 : 5); i++)
        if (!run_suite(argv[2], suites[i], argv + at, argc - at)) return 1;
    qsort(rows, (size_t)n_rows, sizeof *rows, by_name);
    printf("%-32s %6s %8s %6s\n", "operator", "pass", "refused", "wrong");
    for (int32_t i = 0; i < n_rows; i++) printf("%-32s %6d %8d %6d\n", rows[i].op, rows[i].n[PASS], rows[i].n[REFUSED], rows[i].n[WRONG]);
    printf("%-32s %6d %8d %6d\n", "all", total[PASS], total[REFUSED], total[WRONG]);
    return total[WRONG] > 0 || total[PASS] == 0;
}
