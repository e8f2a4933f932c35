/* mcomp_conformance ARCHIVE WORKDIR [--session] [--quick] [--list] [--least N] [--write|--check FILE] [FILTER...] - runs the ONNX
 * backend cases and prints pass / refused / wrong for each operator. Exit 1 when anything is wrong, or fewer than N pass.
 *
 * --session: as a user runs them, through sessions (session.c); otherwise the operator references alone (reference.c).
 * --quick: without whole networks. --list: every case, not only wrong ones. --write, --check: docs/conformance.md. A filter is a
 * glob on suite/case. */
#include "conformance.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

typedef struct options {
    const char *archive, *root, *write, *check;
    int session, quick, list;
    long least;
    char **filter;
    int n_filter;
} options;

void conf_failed(conf_result *r, int32_t st, int limit_too)
{
    const mcomp_error *e = mc_error_peek();
    r->class = st == MCOMP_UNSUPPORTED || (limit_too && st == MCOMP_LIMIT) ? CONF_REFUSED : CONF_WRONG;
    snprintf(r->why, sizeof r->why, "%s: %s: %s", mcomp_status_name(st), e->where, e->message);
    snprintf(r->reason, sizeof r->reason, "%s", e->message);
}

int32_t conf_light_io(const mc_graph *g, const conf_case *c, mc_tensor **x, mc_tensor **want)
{
    int32_t st = MCOMP_OK;
    char path[800];
    mc_shape s;
    const mc_value *input = NULL;
    for (int64_t i = 0; i < g->n_inputs && !input; i++) input = g->inputs[i]->init ? NULL : g->inputs[i];
    if (!input) return mc_fail(MCOMP_DATA, c->model, "no input");
    MC_TRY(mc_type_shape(&input->type, &s));
    MC_TRY(mc_tensor_create(x, MCOMP_F32, &s));
    const int64_t n = mc_tensor_elements(*x);
    for (int64_t i = 0; i < n; i++) ((float *)(*x)->data)[i] = (float)i / (float)n;
    snprintf(path, sizeof path, "%s_output_0.pb", c->base);
    MC_TRY(mc_onnx_tensor_load(want, path, NULL, 0));
done:
    return st;
}

static void run_case(const options *o, const char *suite, const char *name, int light)
{
    static const char *const text[] = {"pass", "refused", "wrong"};
    conf_case c = {.light = light};
    conf_result r = {0};
    snprintf(c.name, sizeof c.name, "%s/%s", suite, name);
    snprintf(c.base, sizeof c.base, "%s/%s/%s", o->root, suite, name);
    snprintf(c.model, sizeof c.model, light ? "%.600s.onnx" : "%.600s/model.onnx", c.base);
    mc_error_clear();
    if (o->session) conf_case_session(&c, &r);
    else conf_case_reference(&c, &r);
    conf_count(&r);
    if (r.class == CONF_WRONG || o->list) printf("%s %s [%s] %s\n", text[r.class], c.name, r.op, r.why);
}

static int wanted(const options *o, const char *suite, const char *name)
{
    char full[300];
    snprintf(full, sizeof full, "%s/%s", suite, name);
    for (int i = 0; i < o->n_filter; i++)
        if (mc_glob_match(o->filter[i], full)) return 1;
    return o->n_filter == 0;
}

static int run_suite(const options *o, const char *suite)
{
    char dir[600], name[256];
    struct dirent **e = NULL;
    const int light = strcmp(suite, "light") == 0;
    snprintf(dir, sizeof dir, "%s/%s", o->root, suite);
    const int found = scandir(dir, &e, NULL, alphasort);
    for (int i = 0; i < found; i++) {
        snprintf(name, sizeof name, "%s", e[i]->d_name);
        free(e[i]);
        char *dot = strstr(name, ".onnx");
        if (name[0] == '.' || (light && !dot)) continue;
        if (dot) *dot = 0;
        if (wanted(o, suite, name)) run_case(o, suite, name, light);
    }
    free(e);
    return found > 0;
}

/* 0: the rest of the arguments is filters. */
static int read_options(options *o, int argc, char **argv)
{
    int at = 3;
    if (argc < 3) return 2;
    o->archive = argv[1];
    o->root = argv[2];
    for (; at < argc && argv[at][0] == '-'; at++) {
        const char *value = at + 1 < argc ? argv[at + 1] : "";
        if (strcmp(argv[at], "--quick") == 0) o->quick = 1;
        else if (strcmp(argv[at], "--list") == 0) o->list = 1;
        else if (strcmp(argv[at], "--session") == 0) o->session = 1;
        else if (strcmp(argv[at], "--least") == 0) o->least = strtol(value, NULL, 10), at++;
        else if (strcmp(argv[at], "--write") == 0) o->write = value, at++;
        else if (strcmp(argv[at], "--check") == 0) o->check = value, at++;
        else return 2;
    }
    o->filter = argv + at;
    o->n_filter = argc - at;
    return 0;
}

int main(int argc, char **argv)
{
    static const char *const suites[] = {"node", "simple", "pytorch-operator", "pytorch-converted", "light"};
    options o = {.least = 1};
    int bad = 0;
    if (read_options(&o, argc, argv) != 0) return 2;
    if (access(o.archive, R_OK) != 0) {
        printf("no archive %s\n", o.archive);
        return getenv("CI") ? 1 : 77;
    }
    if (conf_unpack(o.archive, o.root) != 0) {
        printf("cannot unpack %s into %s\n", o.archive, o.root);
        return 1;
    }
    for (int i = 0; i < (o.quick ? 3 : 5); i++)
        if (!run_suite(&o, suites[i])) return 1;
    conf_print_table();
    if (o.session && !o.quick && o.n_filter == 0) bad |= conf_uncovered() > 0;
    if (o.write) bad |= conf_docs(o.write, 1);
    if (o.check) bad |= conf_docs(o.check, 0);
    if (conf_total(CONF_PASS) < o.least) {
        printf("%d cases pass; %ld have to\n", conf_total(CONF_PASS), o.least);
        bad = 1;
    }
    return bad || conf_total(CONF_WRONG) > 0;
}
