/* Whole models that others wrote. The ONNX Runtime fork's 143: each loads, is written and loads again, and a session of it either
 * opens or says what it lacks; the refusals are named here. Those with expected outputs run. And the CCT transformers of
 * deeploy-cct, as numeric goldens. */
#include <dirent.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <mcomp/mcomp.h>

#include "conformance.h"
#include "deeploy.h"

#define MODELS 143
static char files[MODELS + 8][700];
static int n_files;
static const char *fork_root, *cct_root;

static const struct {
    const char *file;
    int32_t load, save, open; /* codes; open 0: OK or UNSUPPORTED */
} refused[] = {
    {"add_opset_314159.onnx", MCOMP_UNSUPPORTED, 0, 0},                          /* of the future */
    {"mul_1.noopset.onnx", MCOMP_UNSUPPORTED, 0, 0},                             /* says no operator set */
    {"transform/fusion/fuse-conv-bn-mul-add-unsqueeze.onnx", MCOMP_FORMAT, 0, 0}, /* one output twice */
    {"pipeline_vectorize.onnx", 0, MCOMP_UNSUPPORTED, 0},                        /* a map as input */
    {"sequence_insert.onnx", 0, MCOMP_UNSUPPORTED, 0},                           /* sequences as inputs */
    {"transform/fusion/embed_layer_norm_format4.onnx", 0, 0, MCOMP_SHAPE}, /* expands the indices of zeros, none, to 3 */
    {"sequence_length.onnx", 0, MCOMP_UNSUPPORTED, 0},
};

enum { LOAD, SAVE, OPEN };

static int32_t expected(const char *file, int step)
{
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        if (strcmp(refused[i].file, file) == 0) return step == LOAD ? refused[i].load : step == SAVE ? refused[i].save : refused[i].open;
    return MCOMP_OK;
}

static void check(int32_t got, int32_t want, const char *file, const char *doing)
{
    mcomp_error e = {.size = sizeof e};
    mcomp_error_get(&e);
    ck_assert_msg(got == want, "%s %s: %s, not %s: %s: %s", doing, file, mcomp_status_name(got), mcomp_status_name(want), e.where, e.message);
    if (got != MCOMP_OK) ck_assert_msg(e.message[0] && e.where[0], "%s %s: a refusal that says nothing", doing, file);
}

/* Operators, in order: what a round trip must keep. */
static void same_operators(const mcomp_graph *a, const mcomp_graph *b, const char *file)
{
    mcomp_graph_info ia = {.size = sizeof ia}, ib = {.size = sizeof ib};
    mc_ck_ok(mcomp_graph_info_get(a, &ia));
    mc_ck_ok(mcomp_graph_info_get(b, &ib));
    ck_assert_msg(ia.n_nodes == ib.n_nodes && ia.n_inputs == ib.n_inputs && ia.n_outputs == ib.n_outputs, "%s: another graph after a round trip", file);
    for (int64_t i = 0; i < ia.n_nodes; i++) {
        mcomp_node_info na = {.size = sizeof na}, nb = {.size = sizeof nb};
        mc_ck_ok(mcomp_graph_node(a, i, &na));
        mc_ck_ok(mcomp_graph_node(b, i, &nb));
        ck_assert_msg(strcmp(na.op, nb.op) == 0 && strcmp(na.domain, nb.domain) == 0, "%s: node %lld is %s, was %s", file, (long long)i, nb.op, na.op);
    }
}

/* Data sets beside a model: test_data_set_0, test_data_0. */
static void goldens(mcomp_context *ctx, const mcomp_graph *g, mcomp_session *s, const char *path, int *ran)
{
    static const char *const names[] = {"test_data_set_0", "test_data_0"};
    const mcomp_tensor *in[CONF_MAX_IO], *out[CONF_MAX_IO], *want;
    for (int i = 0; i < 2; i++) {
        char dir[800], argument[820];
        mcomp_dataset *d = NULL;
        mcomp_exec *e = NULL;
        snprintf(dir, sizeof dir, "%.*s/%s", (int)(strrchr(path, '/') - path), path, names[i]);
        snprintf(argument, sizeof argument, "onnx-test:%s", dir);
        if (access(dir, R_OK) != 0 || strstr(path, "neg_model")) continue; /* neg_model: a graph for which fusion is wrong, other shapes */
        mc_ck_ok(mcomp_exec_create(&e, s));
        mc_ck_ok(mcomp_dataset_open(&d, ctx, g, argument, NULL));
        mc_ck_ok(mcomp_dataset_get(d, 0, mcomp_session_n_inputs(s), in, NULL));
        mc_ck_ok(mcomp_exec_run(e, mcomp_session_n_inputs(s), in, mcomp_session_n_outputs(s), out));
        mc_ck_ok(mcomp_dataset_expected(d, 0, 0, &want));
        const char *why = conf_differs(&out[0]->t, &want->t);
        ck_assert_msg(why == NULL, "%s: %s", path, why);
        *ran += 1;
        mcomp_dataset_destroy(d);
        mcomp_exec_destroy(e);
    }
}

START_TEST(fork_models)
{
    char copy[700];
    int ran = 0;
    mcomp_context *ctx = NULL;
    if (mc_test_skip_without_data()) return;
    ck_assert_int_eq(n_files, MODELS);
    mc_ck_ok(mcomp_context_create(&ctx, NULL));
    snprintf(copy, sizeof copy, "%s/copy-%d.onnx", fork_root, (int)getpid());
    for (int i = 0; i < n_files; i++) {
        const char *name = files[i] + strlen(fork_root) + 1;
        mcomp_graph *g = NULL, *again = NULL;
        mcomp_session *s = NULL;
        mcomp_save_options o = {.size = sizeof o, .overwrite = 1};
        const int32_t loaded = mcomp_graph_load(&g, ctx, files[i]);
        check(loaded, expected(name, LOAD), name, "load");
        if (loaded != MCOMP_OK) continue;
        const int32_t saved = mcomp_graph_save(g, copy, &o);
        check(saved, expected(name, SAVE), name, "save");
        if (saved == MCOMP_OK) {
            check(mcomp_graph_load(&again, ctx, copy), MCOMP_OK, name, "load again");
            same_operators(g, again, name);
        }
        const int32_t opened = mcomp_session_create(&s, ctx, g, NULL);
        if (opened != MCOMP_OK) check(opened, expected(name, OPEN) ? expected(name, OPEN) : MCOMP_UNSUPPORTED, name, "open");
        else goldens(ctx, g, s, files[i], &ran);
        mcomp_session_destroy(s);
        mcomp_graph_destroy(again);
        mcomp_graph_destroy(g);
    }
    unlink(copy);
    ck_assert_int_eq(ran, 6);
    mcomp_context_destroy(ctx);
}
END_TEST

static const struct {
    const char *name;
    int32_t code; /* CCT_2_32_32_128: nodes out of order, and Gemm on operands of rank 3: not ONNX */
} cct[] = {{"CCT_1_16_16_8", 0}, {"CCT_1_16_16_32", 0}, {"CCT_1_16_16_64", 0}, {"CCT_1_16_16_128", 0}, {"CCT_1_32_32_8", 0},
           {"CCT_1_32_32_32", 0}, {"CCT_2_32_32_128_Opset20", 0}, {"CCT_2_32_32_128", MCOMP_SHAPE}};

START_TEST(transformers)
{
    char path[700];
    dp_case c;
    mc_graph *g = NULL;
    mc_tensor *out[DP_IO];
    if (mc_test_skip_without_data()) return;
    snprintf(path, sizeof path, "%s/Models/CCT/FP32/%s/network.onnx", cct_root, cct[_i].name);
    const int32_t st = mc_onnx_load(&g, NULL, path, NULL);
    check(st, cct[_i].code, cct[_i].name, "load");
    if (st != MCOMP_OK) return;
    *strrchr(path, '/') = 0;
    dp_open(&c, path);
    ck_assert_int_eq(c.in.n, 1);
    ck_assert_int_eq(c.out.n, 1);
    for (int fast = 0; fast < 2; fast++) {
        dp_runner *r = dp_runner_open(g, fast);
        mc_tensor *const in[1] = {c.in.list[0].t};
        dp_run(r, in, out);
        (void)dp_compare(cct[_i].name, out[0], c.out.list[0].t, 1e-4, 1e-5);
        mc_tensor_destroy(out[0]);
        dp_runner_close(r);
    }
    dp_close(&c);
    mc_graph_destroy(g);
}
END_TEST

static int visit(const char *path, const struct stat *st, int kind, struct FTW *f)
{
    const size_t n = strlen(path);
    (void)st;
    (void)kind;
    (void)f;
    if (n > 5 && strcmp(path + n - 5, ".onnx") == 0 && !strstr(path, "/copy-") && n_files < MODELS + 8)
        snprintf(files[n_files++], sizeof *files, "%s", path);
    return 0;
}

/* corpus FOLDER-FOR-FORK FOLDER-FOR-CCT */
int main(int argc, char **argv)
{
    mc_ops_register();
    Suite *s = suite_create("conformance/corpus");
    TCase *tc = tcase_create("corpus");
    const char *archive = mc_test_data("conformance/ort-fork-models.tar.gz");
    if (argc > 2 && archive && conf_unpack(archive, argv[1]) == 0) {
        fork_root = argv[1];
        nftw(fork_root, visit, 8, FTW_PHYS);
    }
    cct_root = argc > 2 ? dp_unpack(argv[2]) : NULL;
    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, fork_models);
    tcase_add_loop_test(tc, transformers, 0, (int)(sizeof cct / sizeof *cct));
    suite_add_tcase(s, tc);
    return mc_test_main(s);
}
