/* --arch bert: config.json and tensors as published checkpoints have them, with or without the prefix "bert.", LayerNorm as weight/bias
 * or gamma/beta, with or without pooler and classifier. f16 and bf16 weights are widened to f32, which is exact. */
#include "safetensors/internal.h"

#include <stdio.h>

typedef struct bert {
    mc_arch_in *in;
    mc_bert_config c;
    const char *prefix;
    uint8_t *used;     /* a tensor */
    int fresh;         /* the classifier is made up */
    double deviation;  /* of its weights */
    char as[320];
} bert;

static int32_t size_of(const bert *b, const char *key, int64_t otherwise, int64_t max, int64_t *out)
{
    const mc_json *j = mc_json_get(b->in->config, key);
    *out = otherwise;
    if (!j && otherwise > 0) return MCOMP_OK;
    if (!j) return mc_fail(MCOMP_FORMAT, b->in->config_path, "%s is missing", key);
    if (!mc_json_int(j, out) || *out < 1 || *out > max) return mc_fail(MCOMP_RANGE, b->in->config_path, "%s is no number from 1 to %lld", key, (long long)max);
    return MCOMP_OK;
}

static int32_t number_of(const bert *b, const char *key, double otherwise, double *out)
{
    const mc_json *j = mc_json_get(b->in->config, key);
    *out = otherwise;
    if (!j) return MCOMP_OK;
    if (!mc_json_number(j, out) || !(*out > 0.0 && *out < 1.0)) return mc_fail(MCOMP_RANGE, b->in->config_path, "%s is no number between 0 and 1", key);
    return MCOMP_OK;
}

static int32_t must_be(const bert *b, const char *key, const char *value, const char *why)
{
    const mc_json *j = mc_json_get(b->in->config, key);
    const char *text = mc_json_string(j);
    if (!j || (text && strcmp(text, value) == 0)) return MCOMP_OK;
    return mc_fail(MCOMP_UNSUPPORTED, b->in->config_path, "%s is %s; %s", key, text ? text : "no string", why);
}

static int32_t config_in(bert *b)
{
    static const struct {
        const char *name;
        int32_t act;
    } acts[] = {{"gelu", MC_BERT_GELU}, {"gelu_new", MC_BERT_GELU_TANH}, {"gelu_pytorch_tanh", MC_BERT_GELU_TANH}, {"relu", MC_BERT_RELU}};
    int32_t st = MCOMP_OK;
    double eps;
    mc_bert_config *c = &b->c;
    const char *act = mc_json_get(b->in->config, "hidden_act") ? mc_json_string(mc_json_get(b->in->config, "hidden_act")) : "gelu";
    MC_TRY(must_be(b, "model_type", "bert", "--arch bert reads BERT encoders only"));
    MC_TRY(must_be(b, "position_embedding_type", "absolute", "only absolute positions are supported"));
    MC_TRY(size_of(b, "vocab_size", 0, 100000000, &c->vocab));
    MC_TRY(size_of(b, "hidden_size", 0, 1000000, &c->hidden));
    MC_TRY(size_of(b, "num_hidden_layers", 0, 1000, &c->layers));
    MC_TRY(size_of(b, "num_attention_heads", 0, 100000, &c->heads));
    MC_TRY(size_of(b, "intermediate_size", 0, 10000000, &c->ffn));
    MC_TRY(size_of(b, "max_position_embeddings", 512, 100000000, &c->positions));
    MC_TRY(size_of(b, "type_vocab_size", 2, 1000000, &c->types));
    MC_TRY(number_of(b, "layer_norm_eps", 1e-12, &eps));
    MC_TRY(number_of(b, "initializer_range", 0.02, &b->deviation));
    c->eps = (float)eps;
    c->act = -1;
    for (size_t i = 0; act && i < sizeof acts / sizeof *acts; i++)
        if (strcmp(acts[i].name, act) == 0) c->act = acts[i].act;
    if (c->act < 0) MC_FAIL(MCOMP_UNSUPPORTED, b->in->config_path, "hidden_act is %s; gelu, gelu_new and relu are supported", act ? act : "no string");
    if (c->hidden % c->heads) MC_FAIL(MCOMP_RANGE, b->in->config_path, "%lld attention heads do not divide a hidden size of %lld", (long long)c->heads, (long long)c->hidden);
done:
    return st;
}

/* Normal numbers without functions of the C library, so that a seed gives the same bits on every machine: twelve uniform ones. */
static int32_t fresh_weight(const bert *b, const mc_shape *shape, mc_tensor **out)
{
    const int32_t st = mc_tensor_create(out, MCOMP_F32, shape);
    if (st != MCOMP_OK || shape->rank < 2) return st; /* a bias starts at 0 */
    float *v = (*out)->data;
    for (int64_t i = 0; i < mc_tensor_elements(*out); i++) {
        double sum = -6.0;
        uint32_t r[4];
        for (uint64_t k = 0; k < 3; k++) {
            mc_rng_block(b->in->seed, 0x636c6173736966ull, (uint64_t)i * 3 + k, r);
            for (int m = 0; m < 4; m++) sum += ((double)r[m] + 0.5) * 0x1p-32;
        }
        v[i] = (float)(sum * b->deviation);
    }
    return MCOMP_OK;
}

static int32_t widen(const mc_tensor *t, mc_tensor **out)
{
    const int32_t st = mc_tensor_create(out, MCOMP_F32, &t->shape);
    if (st != MCOMP_OK) return st;
    const uint8_t *from = t->data; /* at any address */
    float *to = (*out)->data;
    for (int64_t i = 0; i < mc_tensor_elements(t); i++) {
        uint16_t h;
        memcpy(&h, from + 2 * i, sizeof h);
        to[i] = t->dtype == MCOMP_F16 ? mc_f16_to_f32(h) : mc_bf16_to_f32(h);
    }
    return MCOMP_OK;
}

/* The tensor behind a canonical name: prefix, and the older names of LayerNorm. The name it has goes to b->as. */
static const mc_st_tensor *find(bert *b, const char *name)
{
    static const char norm[] = ".LayerNorm.";
    const char *prefix = strncmp(name, "classifier.", 11) == 0 ? "" : b->prefix, *at = strstr(name, norm);
    snprintf(b->as, sizeof b->as, "%s%s", prefix, name);
    const mc_st_tensor *t = mc_safetensors_find(b->in->s, b->as);
    if (t || !at) return t;
    const char *last = at + strlen(norm), *older = strcmp(last, "weight") == 0 ? "gamma" : "beta";
    snprintf(b->as, sizeof b->as, "%s%.*s%s", prefix, (int)(last - name), name, older);
    t = mc_safetensors_find(b->in->s, b->as);
    if (!t) snprintf(b->as, sizeof b->as, "%s%s", prefix, name);
    return t;
}

static int32_t weight_in(void *payload, const char *name, const mc_shape *shape, mc_tensor **out, const char **as)
{
    bert *b = payload;
    int32_t st = MCOMP_OK;
    mc_tensor *t = NULL;
    char want[128], got[128];
    *out = NULL;
    *as = b->as;
    if (b->fresh && strncmp(name, "classifier.", 11) == 0) {
        snprintf(b->as, sizeof b->as, "%s", name);
        return fresh_weight(b, shape, out);
    }
    const mc_st_tensor *e = find(b, name);
    if (!e) {
        (void)mc_fail(MCOMP_FORMAT, b->as, "the tensor is missing; %s asks for it", b->in->config_path);
        return mc_fail_hint("'mcomp inspect' lists the tensors of the file");
    }
    if (!mc_shape_equal(&e->shape, shape))
        return mc_fail(MCOMP_SHAPE, b->as, "the tensor has the shape %s, %s asks for %s", mc_shape_text(&e->shape, got, sizeof got), b->in->config_path,
                       mc_shape_text(shape, want, sizeof want));
    b->used[e - b->in->s->tensor] = 1;
    if (e->dtype != MCOMP_F32 && e->dtype != MCOMP_F16 && e->dtype != MCOMP_BF16)
        return mc_fail(MCOMP_DTYPE, b->as, "the tensor is %s; weights are float32, float16 or bfloat16", mc_dtype_name(e->dtype));
    MC_TRY(mc_safetensors_tensor(e, &t));
    if (e->dtype != MCOMP_F32) {
        st = widen(t, out);
    } else {
        *out = t;
        t = NULL;
    }
done:
    mc_tensor_destroy(t);
    return st;
}

/* Which optional parts there are. */
static int32_t parts_in(bert *b)
{
    const mc_safetensors *s = b->in->s;
    const mc_st_tensor *classifier = mc_safetensors_find(s, "classifier.weight");
    b->prefix = mc_safetensors_find(s, "bert.embeddings.word_embeddings.weight") ? "bert." : "";
    b->c.pooler = find(b, "pooler.dense.weight") != NULL;
    b->fresh = b->in->head > 0;
    b->c.classes = b->in->head;
    if (!classifier) return MCOMP_OK;
    if (b->fresh) return mc_st_warn(b->in->warnings, "classifier.weight: the classifier of the file gives way to the fresh one");
    if (classifier->shape.rank != 2 || classifier->shape.dim[0] < 1) return mc_fail(MCOMP_SHAPE, classifier->name, "the classifier is no matrix [classes, hidden]");
    b->c.classes = classifier->shape.dim[0];
    return MCOMP_OK;
}

/* Class names of the configuration, unless they are mere numbers. */
static int32_t labels_in(const bert *b, mc_graph *g)
{
    int32_t st = MCOMP_OK;
    mc_json *list = mc_json_array();
    mc_str text = {0};
    char key[24];
    const mc_json *labels = mc_json_get(b->in->config, "id2label");
    int named = mc_json_size(labels) == b->c.classes;
    for (int64_t i = 0; named && i < b->c.classes; i++) {
        snprintf(key, sizeof key, "%lld", (long long)i);
        const char *name = mc_json_string(mc_json_get(labels, key));
        named = name && strncmp(name, "LABEL_", 6) != 0;
        if (named) MC_TRY(mc_json_append(list, mc_json_new_string(name)));
    }
    if (!named) goto done;
    MC_TRY(mc_json_dump(list, &text));
    MC_TRY(mc_graph_set_meta(g, "mcomp.labels", text.data));
done:
    mc_json_destroy(list);
    mc_str_free(&text);
    return st;
}

/* Tensors that nobody asked for; position_ids is a counter that older checkpoints carry. */
static int32_t tell_unused(const bert *b)
{
    enum { MANY = 20 };
    int32_t st = MCOMP_OK;
    int64_t n = 0;
    for (int64_t i = 0; i < b->in->s->n; i++) {
        const char *name = b->in->s->tensor[i].name;
        char shown[256];
        const char *last = strrchr(name, '.');
        if (b->used[i] || strcmp(last ? last + 1 : name, "position_ids") == 0) continue;
        if (strncmp(name, MC_BERT_CONST, strlen(MC_BERT_CONST)) == 0) continue; /* the model came from here */
        if (b->fresh && strncmp(name, "classifier.", 11) == 0) continue;
        if (n++ < MANY) MC_TRY(mc_st_warn(b->in->warnings, "%s: the tensor is no part of a BERT encoder and is left out", mc_escape(shown, sizeof shown, name)));
    }
    if (n > MANY) st = mc_st_warn(b->in->warnings, "%lld more tensors are left out", (long long)(n - MANY));
done:
    return st;
}

int32_t mc_st_arch_bert(mc_arch_in *in, mc_graph **out)
{
    int32_t st = MCOMP_OK;
    bert b = {.in = in, .prefix = ""};
    b.used = mc_calloc((size_t)in->s->n + 1, 1);
    if (!b.used) return MCOMP_NO_MEMORY;
    MC_TRY(config_in(&b));
    MC_TRY(parts_in(&b));
    MC_TRY(mc_bert_build(out, &b.c, weight_in, &b));
    if (b.c.classes && !b.fresh) MC_TRY(labels_in(&b, *out));
    MC_TRY(tell_unused(&b));
done:
    mc_free(b.used);
    return st;
}
