/* A BERT encoder (Devlin et al., 2019) as a graph. B batch, S sequence, H hidden, A heads, D = H / A:
 *   x = LayerNorm(word[ids] + type[types] + position[0..S-1])                                      [B,S,H]
 *   each layer: x = LayerNorm(x + dense(softmax(Q K' / sqrt D + mask) V));  x = LayerNorm(x + dense(act(dense(x))))
 *   mask = (1 - attention_mask) * lowest float [B,1,1,S]: what is masked gets a weight of exactly 0.
 * Matrices keep their checkpoint form [out, in] behind a Transpose, so that a model can go back to its checkpoint unchanged; constant
 * folding takes the Transposes away before anything runs. */
#include "safetensors/safetensors.h"

#include <float.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>

typedef struct builder {
    mc_graph *g;
    const mc_bert_config *c;
    mc_bert_weight_fn weight;
    void *payload;
    mc_value *mask, *scale;   /* [B,1,1,S]; 1 / sqrt D */
    mc_value *heads, *merged; /* shapes [0,0,A,D] and [0,0,H] */
} builder;

static const char *text(char *buf, size_t cap, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static const char *text(char *buf, size_t cap, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vsnprintf(buf, cap, fmt, args);
    va_end(args);
    return buf;
}

/* One node with one output; y and z may be NULL (from the end). */
static int32_t node(builder *b, const char *op, const char *at, const char *what, mc_value *x, mc_value *y, mc_value *z, mc_node **out)
{
    char name[320];
    mc_value *in[3] = {x, y, z};
    text(name, sizeof name, "%s/%s", at, what);
    return mc_graph_add_node(b->g, "", op, 0, name, z ? 3 : y ? 2 : 1, in, 1, NULL, out);
}

static int32_t apply(builder *b, const char *op, const char *at, const char *what, mc_value *x, mc_value *y, mc_value **out)
{
    mc_node *n;
    const int32_t st = node(b, op, at, what, x, y, NULL, &n);
    if (st == MCOMP_OK) *out = n->out[0];
    return st;
}

static int32_t weight(builder *b, const char *at, const char *what, int32_t rank, int64_t d0, int64_t d1, mc_value **out)
{
    char name[256];
    const char *as = NULL;
    mc_tensor *t = NULL;
    const mc_shape s = {.rank = rank, .dim = {d0, d1}};
    text(name, sizeof name, "%s.%s", at, what);
    const int32_t st = b->weight(b->payload, name, &s, &t, &as);
    return st == MCOMP_OK ? mc_graph_add_const(b->g, as ? as : name, t, out) : st;
}

static int32_t permute(builder *b, const char *at, const char *what, mc_value *x, int64_t n, const int64_t *perm, mc_value **out)
{
    mc_node *t;
    int32_t st = MCOMP_OK;
    MC_TRY(node(b, "Transpose", at, what, x, NULL, NULL, &t));
    MC_TRY(mc_node_set_ints(t, "perm", perm, n));
    *out = t->out[0];
done:
    return st;
}

/* x [B,S,from] W' + bias: [B,S,to] */
static int32_t dense(builder *b, const char *at, mc_value *x, int64_t from, int64_t to, mc_value **out)
{
    static const int64_t swap[2] = {1, 0};
    int32_t st = MCOMP_OK;
    mc_value *w, *bias, *y;
    MC_TRY(weight(b, at, "weight", 2, to, from, &w));
    MC_TRY(weight(b, at, "bias", 1, to, 0, &bias));
    MC_TRY(permute(b, at, "Transpose", w, 2, swap, &w));
    MC_TRY(apply(b, "MatMul", at, "MatMul", x, w, &y));
    MC_TRY(apply(b, "Add", at, "Add", y, bias, out));
done:
    return st;
}

/* x [B,from]: one row a sample needs no Transpose. */
static int32_t dense_rows(builder *b, const char *at, mc_value *x, int64_t from, int64_t to, mc_value **out)
{
    int32_t st = MCOMP_OK;
    mc_value *w, *bias;
    mc_node *n;
    MC_TRY(weight(b, at, "weight", 2, to, from, &w));
    MC_TRY(weight(b, at, "bias", 1, to, 0, &bias));
    MC_TRY(node(b, "Gemm", at, "Gemm", x, w, bias, &n));
    MC_TRY(mc_node_set_i(n, "transB", 1));
    *out = n->out[0];
done:
    return st;
}

static int32_t layer_norm(builder *b, const char *at, mc_value *x, mc_value **out)
{
    int32_t st = MCOMP_OK;
    mc_value *gamma, *beta;
    mc_node *n;
    MC_TRY(weight(b, at, "weight", 1, b->c->hidden, 0, &gamma));
    MC_TRY(weight(b, at, "bias", 1, b->c->hidden, 0, &beta));
    MC_TRY(node(b, "LayerNormalization", at, "LayerNormalization", x, gamma, beta, &n));
    MC_TRY(mc_node_set_i(n, "axis", -1));
    MC_TRY(mc_node_set_f(n, "epsilon", b->c->eps));
    *out = n->out[0];
done:
    return st;
}

static int32_t activation(builder *b, const char *at, mc_value *x, mc_value **out)
{
    int32_t st = MCOMP_OK;
    mc_node *n;
    if (b->c->act == MC_BERT_RELU) return apply(b, "Relu", at, "Relu", x, NULL, out);
    MC_TRY(node(b, "Gelu", at, "Gelu", x, NULL, NULL, &n));
    MC_TRY(mc_node_set_s(n, "approximate", b->c->act == MC_BERT_GELU_TANH ? "tanh" : "none"));
    *out = n->out[0];
done:
    return st;
}

/* Positions are Range(S) into the table: a text that is longer than the table is an index out of range. */
static int32_t embeddings(builder *b, mc_value *ids, mc_value *types, mc_value **out)
{
    static const char *const at = "embeddings";
    int32_t st = MCOMP_OK;
    const mc_bert_config *c = b->c;
    mc_value *word, *position, *type, *length, *zero, *one, *first, *range, *x, *y;
    mc_node *n;
    MC_TRY(weight(b, "embeddings.word_embeddings", "weight", 2, c->vocab, c->hidden, &word));
    MC_TRY(weight(b, "embeddings.position_embeddings", "weight", 2, c->positions, c->hidden, &position));
    MC_TRY(weight(b, "embeddings.token_type_embeddings", "weight", 2, c->types, c->hidden, &type));
    MC_TRY(apply(b, "Gather", at, "words", word, ids, &x));
    MC_TRY(apply(b, "Gather", at, "types", type, types, &y));
    MC_TRY(apply(b, "Add", at, "words_types", x, y, &x));
    MC_TRY(node(b, "Shape", at, "length", ids, NULL, NULL, &n));
    MC_TRY(mc_node_set_i(n, "start", 1));
    MC_TRY(mc_node_set_i(n, "end", 2));
    MC_TRY(mc_graph_add_const_i64s(b->g, MC_BERT_CONST "embeddings/axis0", (int64_t[1]){0}, 1, &first));
    MC_TRY(apply(b, "Squeeze", at, "length0", n->out[0], first, &length));
    mc_tensor *t[2];
    for (int64_t i = 0; i < 2; i++) {
        const mc_shape scalar = {.rank = 0};
        MC_TRY(mc_tensor_create(&t[i], MCOMP_I64, &scalar));
        *(int64_t *)t[i]->data = i;
        MC_TRY(mc_graph_add_const(b->g, i ? MC_BERT_CONST "embeddings/one" : MC_BERT_CONST "embeddings/zero", t[i], i ? &one : &zero));
    }
    MC_TRY(node(b, "Range", at, "positions", zero, length, one, &n));
    range = n->out[0];
    MC_TRY(apply(b, "Gather", at, "places", position, range, &y));
    MC_TRY(apply(b, "Add", at, "sum", x, y, &x));
    MC_TRY(layer_norm(b, "embeddings.LayerNorm", x, out));
done:
    return st;
}

static int32_t make_mask(builder *b, mc_value *attention_mask)
{
    static const char *const at = "mask";
    int32_t st = MCOMP_OK;
    mc_value *axes, *one, *lowest, *x;
    mc_node *cast;
    MC_TRY(mc_graph_add_const_i64s(b->g, MC_BERT_CONST "mask/axes", (int64_t[2]){1, 2}, 2, &axes));
    MC_TRY(mc_graph_add_const_f32(b->g, MC_BERT_CONST "mask/one", 1.0f, &one));
    MC_TRY(mc_graph_add_const_f32(b->g, MC_BERT_CONST "mask/lowest", -FLT_MAX, &lowest));
    MC_TRY(apply(b, "Unsqueeze", at, "Unsqueeze", attention_mask, axes, &x));
    MC_TRY(node(b, "Cast", at, "Cast", x, NULL, NULL, &cast));
    MC_TRY(mc_node_set_i(cast, "to", MCOMP_F32));
    MC_TRY(apply(b, "Sub", at, "Sub", one, cast->out[0], &x));
    MC_TRY(apply(b, "Mul", at, "Mul", x, lowest, &b->mask));
done:
    return st;
}

/* One projection, cut into heads: [B,S,H] -> [B,A,S,D], for the keys [B,A,D,S]. */
static int32_t project(builder *b, const char *layer, const char *which, mc_value *x, int keys, mc_value **out)
{
    static const int64_t rows[4] = {0, 2, 1, 3}, columns[4] = {0, 2, 3, 1};
    char at[160];
    int32_t st = MCOMP_OK;
    mc_value *y;
    text(at, sizeof at, "%s.attention.self.%s", layer, which);
    MC_TRY(dense(b, at, x, b->c->hidden, b->c->hidden, &y));
    MC_TRY(apply(b, "Reshape", at, "heads", y, b->heads, &y));
    MC_TRY(permute(b, at, "heads_first", y, 4, keys ? columns : rows, out));
done:
    return st;
}

static int32_t attention(builder *b, const char *layer, mc_value *x, mc_value **out)
{
    static const int64_t rows[4] = {0, 2, 1, 3};
    char at[160];
    int32_t st = MCOMP_OK;
    mc_value *q, *k, *v, *s;
    mc_node *softmax;
    text(at, sizeof at, "%s.attention", layer);
    MC_TRY(project(b, layer, "query", x, 0, &q));
    MC_TRY(project(b, layer, "key", x, 1, &k));
    MC_TRY(project(b, layer, "value", x, 0, &v));
    MC_TRY(apply(b, "MatMul", at, "scores", q, k, &s));
    MC_TRY(apply(b, "Mul", at, "scaled", s, b->scale, &s));
    MC_TRY(apply(b, "Add", at, "masked", s, b->mask, &s));
    MC_TRY(node(b, "Softmax", at, "Softmax", s, NULL, NULL, &softmax));
    MC_TRY(mc_node_set_i(softmax, "axis", -1));
    MC_TRY(apply(b, "MatMul", at, "context", softmax->out[0], v, &s));
    MC_TRY(permute(b, at, "tokens_first", s, 4, rows, &s));
    MC_TRY(apply(b, "Reshape", at, "merged", s, b->merged, out));
done:
    return st;
}

static int32_t encoder_layer(builder *b, int64_t i, mc_value **x)
{
    char layer[64], at[128];
    int32_t st = MCOMP_OK;
    const mc_bert_config *c = b->c;
    mc_value *y;
    text(layer, sizeof layer, "encoder.layer.%lld", (long long)i);
    MC_TRY(attention(b, layer, *x, &y));
    text(at, sizeof at, "%s.attention.output.dense", layer);
    MC_TRY(dense(b, at, y, c->hidden, c->hidden, &y));
    text(at, sizeof at, "%s.attention.output", layer);
    MC_TRY(apply(b, "Add", at, "residual", y, *x, &y));
    text(at, sizeof at, "%s.attention.output.LayerNorm", layer);
    MC_TRY(layer_norm(b, at, y, x));
    text(at, sizeof at, "%s.intermediate.dense", layer);
    MC_TRY(dense(b, at, *x, c->hidden, c->ffn, &y));
    text(at, sizeof at, "%s.intermediate", layer);
    MC_TRY(activation(b, at, y, &y));
    text(at, sizeof at, "%s.output.dense", layer);
    MC_TRY(dense(b, at, y, c->ffn, c->hidden, &y));
    text(at, sizeof at, "%s.output", layer);
    MC_TRY(apply(b, "Add", at, "residual", y, *x, &y));
    text(at, sizeof at, "%s.output.LayerNorm", layer);
    MC_TRY(layer_norm(b, at, y, x));
done:
    return st;
}

/* Pooler and classifier, and the outputs. */
static int32_t heads_out(builder *b, mc_value *x)
{
    int32_t st = MCOMP_OK;
    const mc_bert_config *c = b->c;
    mc_value *first = NULL, *zero;
    mc_node *n;
    if (c->pooler || c->classes) {
        const mc_shape scalar = {.rank = 0};
        mc_tensor *t;
        MC_TRY(mc_tensor_create(&t, MCOMP_I64, &scalar));
        MC_TRY(mc_graph_add_const(b->g, MC_BERT_CONST "pooler/first", t, &zero));
        MC_TRY(node(b, "Gather", "pooler", "token0", x, zero, NULL, &n));
        MC_TRY(mc_node_set_i(n, "axis", 1));
        first = n->out[0];
    }
    if (c->pooler) {
        MC_TRY(dense_rows(b, "pooler.dense", first, c->hidden, c->hidden, &first));
        MC_TRY(apply(b, "Tanh", "pooler", "Tanh", first, NULL, &first));
    }
    if (c->classes) {
        MC_TRY(dense_rows(b, "classifier", first, c->hidden, c->classes, &first));
        MC_TRY(mc_value_rename(b->g, first, "logits"));
        MC_TRY(mc_graph_add_output(b->g, first));
        goto done;
    }
    MC_TRY(mc_value_rename(b->g, x, "last_hidden_state"));
    MC_TRY(mc_graph_add_output(b->g, x));
    if (!c->pooler) goto done;
    MC_TRY(mc_value_rename(b->g, first, "pooler_output"));
    MC_TRY(mc_graph_add_output(b->g, first));
done:
    return st;
}

static int32_t inputs(builder *b, mc_value *in[3])
{
    static const char *const names[3] = {"input_ids", "attention_mask", "token_type_ids"};
    int32_t st = MCOMP_OK;
    mc_type type = {.dtype = MCOMP_I64, .rank = 2};
    MC_TRY(mc_graph_symbol(b->g, "batch", &type.dim[0]));
    MC_TRY(mc_graph_symbol(b->g, "sequence", &type.dim[1]));
    for (int i = 0; i < 3; i++) MC_TRY(mc_graph_add_input(b->g, names[i], &type, &in[i]));
done:
    return st;
}

int32_t mc_bert_build(mc_graph **out, const mc_bert_config *c, mc_bert_weight_fn fn, void *payload)
{
    int32_t st = MCOMP_OK;
    builder b = {.c = c, .weight = fn, .payload = payload};
    mc_value *in[3], *x;
    *out = NULL;
    if (c->heads < 1 || c->hidden < 1 || c->hidden % c->heads) return mc_fail(MCOMP_RANGE, "heads", "%lld heads do not divide a width of %lld", (long long)c->heads, (long long)c->hidden);
    const int64_t width = c->hidden / c->heads;
    mc_ops_register();
    MC_TRY(mc_graph_create(&b.g, "bert"));
    MC_TRY(inputs(&b, in));
    MC_TRY(mc_graph_add_const_i64s(b.g, MC_BERT_CONST "heads_shape", (int64_t[4]){0, 0, c->heads, width}, 4, &b.heads));
    MC_TRY(mc_graph_add_const_i64s(b.g, MC_BERT_CONST "merged_shape", (int64_t[3]){0, 0, c->hidden}, 3, &b.merged));
    MC_TRY(mc_graph_add_const_f32(b.g, MC_BERT_CONST "attention_scale", (float)(1.0 / sqrt((double)width)), &b.scale));
    MC_TRY(embeddings(&b, in[0], in[2], &x));
    MC_TRY(make_mask(&b, in[1]));
    for (int64_t i = 0; i < c->layers; i++) MC_TRY(encoder_layer(&b, i, &x));
    MC_TRY(heads_out(&b, x));
    MC_TRY(mc_graph_sort(b.g));
    MC_TRY(mc_infer_graph(b.g));
    MC_TRY(mc_graph_validate(b.g));
    *out = b.g;
    b.g = NULL;
done:
    mc_graph_destroy(b.g);
    return st;
}
