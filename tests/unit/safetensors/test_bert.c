/* --arch bert against the formulas of the paper written out in double, on checkpoints of small sizes; and what a checkpoint can have
 * wrong. */
#include "unit/safetensors/bert_case.h"

static const int64_t ids[BATCH * SEQ] = {1, 5, 10, 0, 3, 3, 2, 9, 8, 7, 0, 0, 0, 0}, mask[BATCH * SEQ] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0},
                     types[BATCH * SEQ] = {0, 0, 0, 1, 1, 1, 1, 0, 1, 0, 0, 0, 0, 0};

static int32_t run(const mcomp_graph *g, int64_t rows, int64_t length, const int64_t *const *data, mcomp_session **s, mcomp_exec **e, const mcomp_tensor **out)
{
    mcomp_tensor *in[3];
    const int64_t dims[2] = {rows, length};
    mc_ck_ok(mcomp_session_create(s, ctx, g, NULL));
    mc_ck_ok(mcomp_exec_create(e, *s));
    for (int i = 0; i < 3; i++) {
        mc_ck_ok(mcomp_tensor_create(&in[i], MCOMP_I64, 2, dims));
        memcpy(mcomp_tensor_data(in[i]), data[i], sizeof(int64_t) * (size_t)(rows * length));
    }
    const int32_t st = mcomp_exec_run(*e, 3, (const mcomp_tensor *const *)in, mcomp_session_n_outputs(*s), out);
    for (int i = 0; i < 3; i++) mcomp_tensor_destroy(in[i]);
    return st;
}

static void check_close(const char *what, const float *got, const double *want, int n)
{
    for (int i = 0; i < n; i++) ck_assert_msg(fabs((double)got[i] - want[i]) <= 2e-5 * (1 + fabs(want[i])), "%s %d: %g instead of %g", what, i, (double)got[i], want[i]);
}

static void compare(const variant *v)
{
    static double x[SEQ * H], pooled[H], logits[CLASSES];
    char rest[200];
    mcomp_graph *m;
    mcomp_session *s;
    mcomp_exec *e;
    const mcomp_tensor *out[2];
    mc_graph *g = checkpoint(v);
    const int32_t classes = v->head ? v->head : v->classifier ? CLASSES : 0;
    put_checkpoint(g);
    snprintf(rest, sizeof rest, "\"hidden_act\":\"%s\",", v->act);
    put_config(rest);
    mc_ck_ok(load(&m, v->head, 3));
    ck_assert_msg(!mcomp_graph_warning(m, 0) || (v->head && v->classifier), "%s", mcomp_graph_warning(m, 0));
    mc_ck_ok(run(m, BATCH, SEQ, (const int64_t *const[]){ids, mask, types}, &s, &e, out));
    ck_assert_int_eq(mcomp_session_n_outputs(s), classes || !v->pooler ? 1 : 2);
    for (int b = 0; b < BATCH; b++) {
        encode(g, v, ids + b * SEQ, mask + b * SEQ, types + b * SEQ, x);
        const double *first = x;
        if (v->pooler) {
            dense(g, v->prefix, "pooler.dense", x, 1, H, H, pooled);
            for (int i = 0; i < H; i++) pooled[i] = tanh(pooled[i]);
            first = pooled;
        }
        if (classes) { /* the weights of a fresh classifier are in the model */
            dense(v->head ? m->g : g, "", "classifier", first, 1, H, classes, logits);
            check_close("logits", (const float *)mcomp_tensor_data((mcomp_tensor *)(uintptr_t)out[0]) + b * classes, logits, classes);
        } else {
            check_close("hidden", (const float *)mcomp_tensor_data((mcomp_tensor *)(uintptr_t)out[0]) + b * SEQ * H, x, SEQ * H);
            if (v->pooler) check_close("pooled", (const float *)mcomp_tensor_data((mcomp_tensor *)(uintptr_t)out[1]) + b * H, pooled, H);
        }
    }
    mcomp_exec_destroy(e);
    mcomp_session_destroy(s);
    mcomp_graph_destroy(m);
    mc_graph_destroy(g);
}

START_TEST(against_the_formulas)
{
    variant v = plain;
    compare(&v);
    v.act = "relu";
    v.position_ids = 1;
    compare(&v);
    v.act = "gelu_new";
    v.prefix = "bert.";
    v.gamma = "gamma";
    v.beta = "beta";
    compare(&v);
    v.classifier = 1;
    compare(&v);
    v.head = 3;
    compare(&v);
    v.pooler = 0;
    compare(&v);
    v = plain;
    v.pooler = 0;
    compare(&v);
    v.dtype = MCOMP_F16;
    compare(&v);
    v.dtype = MCOMP_BF16;
    compare(&v);
}
END_TEST

/* Nodes all have kernels that are meant for them, and the attention is recognised. */
START_TEST(passes_recognise_it)
{
    mcomp_graph *m;
    mcomp_session *s;
    mcomp_exec *e;
    const mcomp_tensor *out[2];
    int attention = 0, n = 0;
    mc_graph *g = checkpoint(&plain);
    mcomp_session_options o;
    put_checkpoint(g);
    put_config("");
    mc_ck_ok(load(&m, 0, 0));
    mc_ck_ok(mcomp_session_options_init(&o, sizeof o));
    mc_ck_ok(run(m, BATCH, SEQ, (const int64_t *const[]){ids, mask, types}, &s, &e, out));
    for (int32_t i = 0;; i++, n++) {
        mcomp_kernel_info k = {.size = sizeof k};
        if (mcomp_exec_kernel(e, i, &k) != MCOMP_OK) break;
        ck_assert_msg(strncmp(k.kernel, "ref", 3) != 0 || strcmp(getenv("MCOMP_ISA") ? getenv("MCOMP_ISA") : "", "ref") == 0, "%s (%s) runs on %s", k.node, k.op, k.kernel);
        attention += strcmp(k.op, "Attention") == 0 || strcmp(k.op, "mcomp.Attention") == 0;
        ck_assert_msg(strcmp(k.op, "Transpose") != 0 && strcmp(k.op, "Softmax") != 0, "%s", k.node);
    }
    ck_assert_int_eq(attention, LAYERS);
    ck_assert_int_gt(n, LAYERS * 5);
    mcomp_exec_destroy(e);
    mcomp_session_destroy(s);
    mcomp_graph_destroy(m);
    mc_graph_destroy(g);
}
END_TEST

START_TEST(bad_inputs_at_run_time)
{
    static const int64_t longer[POSITIONS + 1] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1}, outside[2] = {VOCAB, 0}, below[2] = {0, -VOCAB - 1};
    mcomp_graph *m;
    mcomp_session *s;
    mcomp_exec *e;
    const mcomp_tensor *out[2];
    mc_graph *g = checkpoint(&plain);
    put_checkpoint(g);
    put_config("");
    mc_ck_ok(load(&m, 0, 0));
    const struct {
        const int64_t *ids, *types;
        int64_t length;
    } rows[] = {{longer, longer, POSITIONS + 1}, {outside, longer, 2}, {below, longer, 2}, {longer, outside, 2}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const int32_t st = run(m, 1, rows[i].length, (const int64_t *const[]){rows[i].ids, longer, rows[i].types}, &s, &e, out);
        ck_assert_msg(st == MCOMP_RANGE, "%zu: %s", i, mcomp_status_name(st));
        mcomp_exec_destroy(e);
        mcomp_session_destroy(s);
    }
    mcomp_graph_destroy(m);
    mc_graph_destroy(g);
}
END_TEST

/* Back to safetensors: every tensor of the checkpoint, byte for byte; and into a model again. */
START_TEST(back_to_the_checkpoint)
{
    mcomp_graph *m, *again;
    mc_safetensors *a, *b;
    variant v = plain;
    v.prefix = "bert.";
    v.gamma = "gamma";
    v.beta = "beta";
    mc_graph *g = checkpoint(&v);
    const mcomp_save_options over = {.size = sizeof over, .overwrite = 1};
    put_checkpoint(g);
    put_config("");
    mc_ck_ok(load(&m, 0, 0));
    mc_ck_ok(mcomp_graph_save(m, st_path("m.onnx"), NULL));
    mc_ck_ok(mcomp_graph_load(&again, ctx, st_path("m.onnx")));
    mc_ck_ok(mcomp_graph_save(again, st_path("back.safetensors"), NULL));
    mc_ck_ok(mc_safetensors_open(&a, NULL, st_path("model.safetensors"), 0));
    mc_ck_ok(mc_safetensors_open(&b, NULL, st_path("back.safetensors"), 0));
    for (int64_t i = 0; i < a->n; i++) {
        const mc_st_tensor *x = &a->tensor[i], *y = mc_safetensors_find(b, x->name);
        ck_assert_msg(y && y->dtype == x->dtype && mc_shape_equal(&x->shape, &y->shape), "%s", x->name);
        ck_assert_mem_eq((uint8_t *)mc_buffer_data(x->buffer) + x->offset, (uint8_t *)mc_buffer_data(y->buffer) + y->offset, x->bytes);
    }
    mc_safetensors_close(a);
    mc_safetensors_close(b);
    mcomp_graph_destroy(again);
    mcomp_graph_destroy(m);
    ck_assert_int_eq(rename(st_path("back.safetensors"), st_path("model.safetensors")), 0);
    mc_ck_ok(load(&m, 0, 0));
    ck_assert_ptr_null(mcomp_graph_warning(m, 0));
    mc_ck_ok(mcomp_graph_save(m, st_path("m2.onnx"), &over));
    mcomp_graph_destroy(m);
    mc_graph_destroy(g);
}
END_TEST

START_TEST(fresh_heads)
{
    mcomp_graph *m[3];
    mc_graph *g = checkpoint(&plain);
    put_checkpoint(g);
    put_config("\"initializer_range\":0.5,");
    for (int i = 0; i < 3; i++) mc_ck_ok(load(&m[i], 50, i == 2 ? 2 : 1));
    const mc_tensor *w[3];
    for (int i = 0; i < 3; i++) w[i] = find(m[i]->g, "", "classifier", "weight");
    double sum = 0, square = 0;
    for (int64_t i = 0; i < mc_tensor_elements(w[0]); i++) {
        const double x = mc_tensor_get_f64(w[0], i);
        sum += x;
        square += x * x;
    }
    ck_assert_mem_eq(w[0]->data, w[1]->data, mc_tensor_bytes(w[0]));
    ck_assert(memcmp(w[0]->data, w[2]->data, mc_tensor_bytes(w[0])) != 0);
    ck_assert_double_lt(fabs(sum / (50 * H)), 0.08); /* 4 standard errors of the mean */
    ck_assert_double_lt(fabs(sqrt(square / (50 * H)) - 0.5), 0.06);
    for (int64_t i = 0; i < 50; i++) ck_assert(mc_tensor_get_f64(find(m[0]->g, "", "classifier", "bias"), i) == 0.0);
    for (int i = 0; i < 3; i++) mcomp_graph_destroy(m[i]);
    mc_graph_destroy(g);
}
END_TEST

START_TEST(label_names)
{
    mcomp_graph *m;
    variant v = plain;
    v.classifier = 1;
    mc_graph *g = checkpoint(&v);
    put_checkpoint(g);
    put_config("\"id2label\":{\"0\":\"a\",\"1\":\"b\\\"\",\"2\":\"c\",\"3\":\"d\"},");
    mc_ck_ok(load(&m, 0, 0));
    ck_assert_str_eq(mcomp_graph_meta(m, "mcomp.labels"), "[\"a\",\"b\\\"\",\"c\",\"d\"]");
    mcomp_graph_destroy(m);
    put_config("\"id2label\":{\"0\":\"LABEL_0\",\"1\":\"LABEL_1\",\"2\":\"LABEL_2\",\"3\":\"LABEL_3\"},");
    mc_ck_ok(load(&m, 0, 0));
    ck_assert_ptr_null(mcomp_graph_meta(m, "mcomp.labels"));
    mcomp_graph_destroy(m);
    mc_graph_destroy(g);
}
END_TEST

static void kill_constant(mc_graph *g, const char *name)
{
    mc_value *v = mc_graph_find_value(g, name);
    ck_assert_ptr_nonnull(v);
    mc_ck_ok(mc_value_rename(g, v, "extra"));
}

START_TEST(bad_checkpoints)
{
    static const char *const missing[] = {"embeddings.word_embeddings.weight", "embeddings.LayerNorm.bias", "encoder.layer.1.attention.self.key.bias", "encoder.layer.0.output.LayerNorm.weight", "pooler.dense.bias"};
    static const int64_t wrong[2] = {H, H + 1};
    mcomp_graph *m;
    mc_value *v;
    mc_tensor *t;
    put_config("");
    for (size_t i = 0; i < sizeof missing / sizeof *missing; i++) {
        mc_graph *g = checkpoint(&plain);
        kill_constant(g, missing[i]);
        put_checkpoint(g);
        mc_ck_fails(load(&m, 0, 0), MCOMP_FORMAT);
        ck_assert_str_eq(mc_error_peek()->where, missing[i]);
        mc_graph_destroy(g);
    }
    for (int k = 0; k < 2; k++) { /* another shape, another type */
        mc_graph *g = checkpoint(&plain);
        const mc_shape s = {.rank = 2, .dim = {wrong[0], wrong[k ? 0 : 1]}};
        kill_constant(g, "encoder.layer.0.attention.self.query.weight");
        mc_ck_ok(mc_tensor_create(&t, k ? MCOMP_F64 : MCOMP_F32, &s));
        mc_ck_ok(mc_graph_add_const(g, "encoder.layer.0.attention.self.query.weight", t, &v));
        put_checkpoint(g);
        mc_ck_fails(load(&m, 0, 0), k ? MCOMP_DTYPE : MCOMP_SHAPE);
        ck_assert_str_eq(mc_error_peek()->where, "encoder.layer.0.attention.self.query.weight");
        mc_graph_destroy(g);
    }
    mc_graph *g = checkpoint(&plain); /* more than there is a place for */
    add(g, MCOMP_F32, 3, 0, "", "cls.predictions", "bias");
    add(g, MCOMP_F32, 3, 0, "encoder.layer.2.", "output.dense", "bias");
    put_checkpoint(g);
    mc_ck_ok(load(&m, 0, 0));
    ck_assert_ptr_nonnull(strstr(mcomp_graph_warning(m, 0), "cls.predictions.bias"));
    ck_assert_ptr_nonnull(strstr(mcomp_graph_warning(m, 1), "encoder.layer.2.output.dense.bias"));
    ck_assert_ptr_null(mcomp_graph_warning(m, 2));
    mcomp_graph_destroy(m);
    mc_graph_destroy(g);
}
END_TEST

START_TEST(bad_configurations)
{
    static const struct {
        const char *text;
        int32_t code;
    } rows[] = {
        {"", MCOMP_FORMAT}, {"[]", MCOMP_FORMAT}, {"{}", MCOMP_FORMAT}, {"{\"vocab_size\":11,\"hidden_size\":12}", MCOMP_FORMAT},
        {"{%s,\"hidden_act\":\"swish\"}", MCOMP_UNSUPPORTED}, {"{%s,\"hidden_act\":7}", MCOMP_UNSUPPORTED}, {"{%s,\"model_type\":\"roberta\"}", MCOMP_UNSUPPORTED},
        {"{%s,\"position_embedding_type\":\"relative_key\"}", MCOMP_UNSUPPORTED}, {"{%s,\"layer_norm_eps\":0}", MCOMP_RANGE}, {"{%s,\"layer_norm_eps\":\"x\"}", MCOMP_RANGE},
        {"{\"vocab_size\":11,\"hidden_size\":12,\"num_hidden_layers\":2,\"num_attention_heads\":5,\"intermediate_size\":20}", MCOMP_RANGE},
        {"{\"vocab_size\":11,\"hidden_size\":12,\"num_hidden_layers\":2,\"num_attention_heads\":0,\"intermediate_size\":20}", MCOMP_RANGE},
        {"{\"vocab_size\":11,\"hidden_size\":-12,\"num_hidden_layers\":2,\"num_attention_heads\":3,\"intermediate_size\":20}", MCOMP_RANGE},
        {"{\"vocab_size\":11,\"hidden_size\":12,\"num_hidden_layers\":1e9,\"num_attention_heads\":3,\"intermediate_size\":20}", MCOMP_RANGE},
        {"{\"vocab_size\":11,\"hidden_size\":12,\"num_hidden_layers\":1000000000,\"num_attention_heads\":3,\"intermediate_size\":20}", MCOMP_RANGE},
        {"{\"vocab_size\":11,\"hidden_size\":9223372036854775807,\"num_hidden_layers\":2,\"num_attention_heads\":3,\"intermediate_size\":20}", MCOMP_RANGE},
    };
    mcomp_graph *m;
    char text[1024];
    mc_graph *g = checkpoint(&plain);
    put_checkpoint(g);
    mc_ck_fails(load(&m, 0, 0), MCOMP_PATH); /* there is none */
    ck_assert_ptr_nonnull(strstr(mc_error_peek()->hint, "config.json"));
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *at = strstr(rows[i].text, "%s");
        if (at) snprintf(text, sizeof text, "{%s%s", sizes, at + 2);
        else snprintf(text, sizeof text, "%s", rows[i].text);
        st_put_text("config.json", text);
        mc_error_clear();
        const int32_t st = load(&m, 0, 0);
        ck_assert_msg(st == rows[i].code, "configuration %zu: %s (%s)", i, mcomp_status_name(st), mc_error_peek()->message);
        ck_assert_ptr_null(m);
    }
    mc_graph_destroy(g);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("safetensors/bert");
    TCase *c = tcase_create("core");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, against_the_formulas);
    tcase_add_test(c, passes_recognise_it);
    tcase_add_test(c, bad_inputs_at_run_time);
    tcase_add_test(c, back_to_the_checkpoint);
    tcase_add_test(c, fresh_heads);
    tcase_add_test(c, label_names);
    tcase_add_test(c, bad_checkpoints);
    tcase_add_test(c, bad_configurations);
    suite_add_tcase(s, c);
    return mc_test_main(s);
}
