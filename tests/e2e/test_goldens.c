/* Real models through sessions, with the passes and without: outputs against stored ones (tests/README of the data folder says how
 * they were made). Argument "slow" runs every row of everything. */
#include <math.h>
#include <mcomp/session.h>
#include <stdio.h>
#include <stdlib.h>

#include "passes/passes.h"
#include "support/support.h"

static mcomp_context *ctx;
static int slow;

typedef struct model {
    mcomp_graph *g;
    mcomp_session *s;
    mcomp_exec *e;
} model;

static void setup(void) { mc_ck_ok(mcomp_context_create(&ctx, NULL)); }
static void teardown(void) { mcomp_context_destroy(ctx); }

static model open_model(const char *file, int no_fusion, const char *fixed, const mcomp_tensor *value, const char *expose)
{
    model m = {0};
    mcomp_session_options o;
    char path[128];
    snprintf(path, sizeof path, "models/%s.onnx", file);
    mc_ck_ok(mcomp_graph_load(&m.g, ctx, mc_test_data(path)));
    const mc_pass_options po = {0};
    if (fixed) mc_ck_ok(mc_pass_fix_input(m.g->g, fixed, &value->t, &po));
    if (expose) mc_ck_ok(mcomp_graph_expose(m.g, expose));
    mc_ck_ok(mcomp_session_options_init(&o, sizeof o));
    o.no_fusion = no_fusion;
    mc_ck_ok(mcomp_session_create(&m.s, ctx, m.g, &o));
    mc_ck_ok(mcomp_exec_create(&m.e, m.s));
    return m;
}

static void close_model(model *m)
{
    mcomp_exec_destroy(m->e);
    mcomp_session_destroy(m->s);
    mcomp_graph_destroy(m->g);
}

static int input_index(const model *m, const char *name)
{
    for (int32_t i = 0; i < mcomp_session_n_inputs(m->s); i++)
        if (strcmp(mcomp_session_input_name(m->s, i), name) == 0) return i;
    ck_abort_msg("no input %s", name);
}

static const mcomp_tensor *output(const model *m, const mcomp_tensor *const *out, const char *name)
{
    for (int32_t i = 0; i < mcomp_session_n_outputs(m->s); i++)
        if (strcmp(mcomp_session_output_name(m->s, i), name) == 0) return out[i];
    ck_abort_msg("no output %s", name);
}

static void check_golden(const mcomp_tensor *t, const char *file)
{
    char path[128];
    mc_mapping m;
    snprintf(path, sizeof path, "models/golden/%s.f32", file);
    mc_ck_ok(mc_file_map(mc_test_data(path), &m));
    ck_assert_uint_eq(mcomp_tensor_bytes(t), m.bytes);
    mc_ck_close_f32(mcomp_tensor_data(t), (const float *)(const void *)m.data, mcomp_tensor_elements(t), 1e-4, 1e-4);
    mc_file_unmap(&m);
}

/* The formula image: 0..255, or centred as ultraface wants it. */
static mcomp_tensor *image(int32_t rank, const int64_t *dims, int centred)
{
    mcomp_tensor *t = NULL;
    mc_ck_ok(mcomp_tensor_create(&t, MCOMP_F32, rank, dims));
    float *x = mcomp_tensor_data(t);
    for (uint32_t i = 0; i < (uint32_t)mcomp_tensor_elements(t); i++) {
        const float u = (float)mc_test_formula(i);
        x[i] = centred ? (u - 127.0f) / 128.0f : u;
    }
    return t;
}

static const struct {
    const char *file, *expose;
    int centred;
    int32_t rank;
    int64_t dims[4];
    const char *out[2][2]; /* output, golden */
} images[] = {
    {"mnist8", NULL, 0, 4, {1, 1, 28, 28}, {{"Plus214_Output_0", "mnist8_Plus214_Output_0"}}},
    {"resnet8_cifar", "logits", 0, 4, {1, 3, 32, 32}, {{"probs", "resnet8_cifar_probs"}, {"logits", "resnet8_cifar_logits"}}},
    {"resnet8_large_cifar", "logits", 0, 4, {1, 3, 32, 32}, {{"probs", "resnet8_large_cifar_probs"}, {"logits", "resnet8_large_cifar_logits"}}},
    {"ultraface_rfb320", NULL, 1, 4, {1, 3, 240, 320}, {{"scores", "ultraface_rfb320_scores"}, {"boxes", "ultraface_rfb320_boxes"}}},
    {"ultraface_rfb320_simplified", NULL, 1, 4, {1, 3, 240, 320}, {{"scores", "ultraface_rfb320_scores"}, {"boxes", "ultraface_rfb320_simplified_boxes"}}},
};
#define N_IMAGES ((int)(sizeof images / sizeof *images))

START_TEST(image_models)
{
    if (mc_test_skip_without_data()) return;
    const int k = _i / 2, no_fusion = _i % 2;
    const mcomp_tensor *out[2];
    if (no_fusion && images[k].centred && !slow) return;
    model m = open_model(images[k].file, no_fusion, NULL, NULL, images[k].expose);
    mcomp_tensor *x = image(images[k].rank, images[k].dims, images[k].centred);
    const mcomp_tensor *in[1] = {x};
    const int32_t n = mcomp_session_n_outputs(m.s);
    mc_ck_ok(mcomp_exec_run(m.e, 1, in, n, out));
    for (int i = 0; i < n; i++) check_golden(output(&m, out, images[k].out[i][0]), images[k].out[i][1]);
    mcomp_tensor_destroy(x);
    close_model(&m);
}
END_TEST

static mcomp_tensor *ids(int64_t batch, int64_t seq, int kind)
{
    mcomp_tensor *t = NULL;
    mc_ck_ok(mcomp_tensor_create(&t, MCOMP_I64, 2, (int64_t[]){batch, seq}));
    int64_t *x = mcomp_tensor_data(t);
    for (int64_t i = 0; i < batch * seq; i++) x[i] = kind == 0 ? (7 * (i % seq) + 3) % 99 : kind == 1 ? (i % seq) * 2 / seq : 1;
    return t;
}

static void bert_run(const model *m, int64_t batch, int64_t seq, const mcomp_tensor **out, mcomp_tensor **x)
{
    static const char *const names[3] = {"input_ids", "token_type_ids", "input_mask"};
    const mcomp_tensor *in[3];
    for (int i = 0; i < 3; i++) {
        x[i] = ids(batch, seq, i);
        in[input_index(m, names[i])] = x[i];
    }
    mc_ck_ok(mcomp_exec_run(m->e, 3, in, 2, out));
    for (int i = 0; i < 3; i++) mcomp_tensor_destroy(x[i]);
}

/* The stored case; then a batch of equal rows gives equal rows, and many lengths few plans. */
START_TEST(bert)
{
    if (mc_test_skip_without_data()) return;
    const mcomp_tensor *out[2];
    mcomp_tensor *x[3];
    model m = open_model("bert_toy_optimized", _i, NULL, NULL, NULL);
    bert_run(&m, 1, 16, out, x);
    check_golden(output(&m, out, "prediction_scores"), "bert_toy_prediction_scores");
    check_golden(output(&m, out, "seq_relationship_score"), "bert_toy_seq_relationship_score");
    bert_run(&m, 3, 16, out, x);
    const float *p = mcomp_tensor_data(output(&m, out, "prediction_scores"));
    mc_ck_close_f32(p + 16 * 99, p, 16 * 99, 1e-6, 1e-6);
    mc_ck_close_f32(p + 2 * 16 * 99, p, 16 * 99, 1e-6, 1e-6);
    const int32_t plans = mcomp_session_plans(m.s);
    for (int64_t n = 1; n <= 128; n += slow ? 1 : 9) bert_run(&m, 1, n, out, x);
    ck_assert_int_le(mcomp_session_plans(m.s) - plans, 8);
    close_model(&m);
}
END_TEST

/* Ids outside the vocabulary are an error of the run, not of the process; an empty batch gives empty outputs. */
START_TEST(bert_edges)
{
    if (mc_test_skip_without_data()) return;
    static const char *const names[3] = {"input_ids", "token_type_ids", "input_mask"};
    const mcomp_tensor *in[3], *out[2];
    mcomp_tensor *x[3];
    model m = open_model("bert_toy_optimized", _i, NULL, NULL, NULL);
    for (int i = 0; i < 3; i++) in[input_index(&m, names[i])] = x[i] = ids(2, 7, i);
    for (int64_t bad = -200; bad <= 200; bad += 100) {
        ((int64_t *)mcomp_tensor_data(x[0]))[5] = bad;
        if (bad > 98 || bad < -99) mc_ck_fails(mcomp_exec_run(m.e, 3, in, 2, out), MCOMP_RANGE);
        else mc_ck_ok(mcomp_exec_run(m.e, 3, in, 2, out));
    }
    for (int i = 0; i < 3; i++) mcomp_tensor_destroy(x[i]);
    bert_run(&m, 0, 16, out, x);
    ck_assert_int_eq(mcomp_tensor_dims(output(&m, out, "prediction_scores"))[0], 0);
    bert_run(&m, 2, 16, out, x);
    ck_assert_int_eq(mcomp_tensor_dims(output(&m, out, "prediction_scores"))[0], 2);
    close_model(&m);
}
END_TEST

START_TEST(magika)
{
    if (mc_test_skip_without_data()) return;
    mc_mapping f, want, labels;
    const int64_t rows = slow || _i == 0 ? 96 : 4; /* without fusion it multiplies one-hot rows */
    const mcomp_tensor *out[1], *in[1];
    mcomp_tensor *x = NULL;
    mc_ck_ok(mc_file_map(mc_test_data("models/magika_v3_3_golden_features.i32"), &f));
    mc_ck_ok(mc_file_map(mc_test_data("models/magika_v3_3_golden_probs.f32"), &want));
    mc_ck_ok(mc_file_map(mc_test_data("models/magika_v3_3_golden.tsv"), &labels));
    model m = open_model("magika_v3_3", _i, NULL, NULL, NULL);
    const char *line = strchr((const char *)labels.data, '\n');
    int loose = 0;
    for (int64_t at = 0; at < rows; at += 4) {
        mc_ck_ok(mcomp_tensor_wrap(&x, MCOMP_I32, 2, (int64_t[]){4, 2048}, (void *)(uintptr_t)(f.data + at * 8192), 4 * 8192, NULL, NULL));
        in[0] = x;
        mc_ck_ok(mcomp_exec_run(m.e, 1, in, 1, out));
        mcomp_tensor_destroy(x);
        for (int64_t r = 0; r < 4; r++) {
            const float *got = (const float *)mcomp_tensor_data(out[0]) + r * 214, *w = (const float *)(const void *)want.data + (at + r) * 214;
            int best = 0;
            for (int i = 0; i < 214; i++) {
                if (got[i] > got[best]) best = i;
                ck_assert_msg(fabsf(got[i] - w[i]) <= 5e-3f, "row %lld, class %d: %g, want %g", (long long)(at + r), i, (double)got[i], (double)w[i]);
            }
            const char *tab = strchr(line + 1, '\t');
            ck_assert_int_eq(strtol(tab + 1, NULL, 10), best);
            for (int column = 1; column < 5; column++) tab = strchr(tab + 1, '\t'); /* to content_bytes */
            if (fabsf(got[best] - w[best]) > 1e-4f) {
                loose++;
                ck_assert_int_le(strtol(tab + 1, NULL, 10), 200); /* of 2,048 features */
            }
            line = strchr(line + 1, '\n');
        }
    }
    /* Only rows of almost nothing but padding, where the variance as the file computes it, E[x^2] - E[x]^2, is ill-conditioned: which of
     * them are loose without fusion depends on the order of sums (ONNX Runtime: 10 one by one, 11 four at a time). */
    if (_i == 0) ck_assert_int_le(loose, 10);
    mc_file_unmap(&f);
    mc_file_unmap(&want);
    mc_file_unmap(&labels);
    close_model(&m);
}
END_TEST

static const char *const silero[] = {"silero_vad_16k_op15", "silero_vad", "silero_vad_op18_ifless", "silero_vad_openvino_16k"};

static double golden_probability(const char **line)
{
    const char *tab = strchr(*line, '\t');
    *line = strchr(*line, '\n') + 1;
    return strtod(tab + 1, NULL);
}

/* Frames of a recording with the state fed back; sr as an input (If at run time) or fixed (folded). */
START_TEST(silero_vad)
{
    if (mc_test_skip_without_data()) return;
    const int which = _i / 2, fix = _i % 2, has_sr = which != 3;
    const int frames = slow ? 1875 : 20;
    if (fix && !has_sr) return;
    mc_mapping wav, tsv;
    mcomp_tensor *sr = NULL, *x = NULL, *state = NULL;
    const mcomp_tensor *in[3], *out[2];
    mc_ck_ok(mc_file_map(mc_test_data("models/test.wav"), &wav));
    mc_ck_ok(mc_file_map(mc_test_data("models/silero_vad_16k_golden.tsv"), &tsv));
    mc_ck_ok(mcomp_tensor_create(&sr, MCOMP_I64, 0, NULL));
    *(int64_t *)mcomp_tensor_data(sr) = 16000;
    model m = open_model(silero[which], 0, fix ? "sr" : NULL, sr, NULL);
    mc_ck_ok(mcomp_tensor_create(&x, MCOMP_F32, 2, (int64_t[]){1, 576}));
    mc_ck_ok(mcomp_tensor_create(&state, MCOMP_F32, 3, (int64_t[]){2, 1, 128}));
    const int32_t n_in = mcomp_session_n_inputs(m.s), at_state = input_index(&m, "state");
    in[input_index(&m, "input")] = x;
    in[at_state] = state;
    if (has_sr && !fix) in[input_index(&m, "sr")] = sr;
    const int16_t *samples = (const int16_t *)(const void *)(wav.data + wav.bytes - 960000 * 2);
    const char *line = strchr((const char *)tsv.data, '\n') + 1;
    float *v = mcomp_tensor_data(x);
    for (int i = 0; i < frames; i++) {
        memmove(v, v + 512, 64 * sizeof *v);
        for (int k = 0; k < 512; k++) v[64 + k] = (float)samples[512 * i + k] / 32768.0f;
        mc_ck_ok(mcomp_exec_run(m.e, n_in, in, 2, out));
        const double p = (double)*(const float *)mcomp_tensor_data(output(&m, out, "output")), want = golden_probability(&line);
        ck_assert_msg(fabs(p - want) <= 1e-4, "%s frame %d: %g, want %g", silero[which], i, p, want);
        in[at_state] = output(&m, out, "stateN");
    }
    mcomp_tensor_destroy(sr);
    mcomp_tensor_destroy(x);
    mcomp_tensor_destroy(state);
    mc_file_unmap(&wav);
    mc_file_unmap(&tsv);
    close_model(&m);
}
END_TEST

int main(int argc, char **argv)
{
    slow = argc > 1 && strcmp(argv[1], "slow") == 0;
    Suite *suite = suite_create("goldens");
    TCase *c = tcase_create("goldens");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_set_timeout(c, slow ? 600 : 120);
    tcase_add_loop_test(c, image_models, 0, 2 * N_IMAGES);
    tcase_add_loop_test(c, bert, 0, 2);
    tcase_add_loop_test(c, bert_edges, 0, 2);
    tcase_add_loop_test(c, magika, 0, 2);
    tcase_add_loop_test(c, silero_vad, 0, 8);
    suite_add_tcase(suite, c);
    return mc_test_main(suite);
}
