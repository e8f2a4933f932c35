/* decoder: pre-norm causal language model as GPT-2 (Radford et al., 2019), with learned positions and an output layer of its own.
 * input_ids [batch, sequence] -> logits [batch, sequence, vocab]. */
#include "train/builders/transformer.h"

#include <math.h>

void mc_build_decoder(mc_builder *b);

/* [1, 1, S, S]: -1e9 above the diagonal, cut from the table for the longest sequence. */
static mc_value *causal_bias(mc_builder *b, mc_value *ids)
{
    const int64_t n = b->s.length;
    const mc_shape s = {.rank = 4, .dim = {1, 1, n, n}};
    mc_tensor *t = NULL;
    mc_value *table = NULL;
    if (b->status == MCOMP_OK) b->status = mc_tensor_create(&t, MCOMP_F32, &s);
    if (b->status != MCOMP_OK) return NULL;
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = i + 1; j < n; j++) ((float *)t->data)[i * n + j] = -1e9f;
    b->status = mc_graph_add_const(b->g, "causal_bias", t, &table);
    mc_value *len = mc_b_int(b, mc_b_int(b, mc_b_1(b, "Shape", ids), "start", 1), "end", 2);
    mc_value *ends = mc_b_int(b, mc_b_2(b, "Concat", len, len), "axis", 0);
    return mc_b_op(b, "Slice", NULL, 4, (mc_value *[]){table, mc_b_list(b, 2, (const int64_t[]){0, 0}), ends, mc_b_list(b, 2, (const int64_t[]){2, 3})});
}

void mc_build_decoder(mc_builder *b)
{
    mc_build_spec *s = &b->s;
    mc_b_transformer_sizes(b);
    mc_value *ids = mc_b_input(b, "input_ids", MCOMP_I64, 2, (const int64_t[]){-1, -2});
    mc_value *x = mc_b_dropout(b, mc_b_positions(b, ids)), *bias = causal_bias(b, ids);
    for (int64_t l = 0; l < s->layers; l++) x = mc_b_block(b, l, x, bias, 0.02 / sqrt(2.0 * (double)s->layers));
    x = mc_b_layer_norm(b, "encoder.norm", x, s->hidden);
    mc_b_output(b, mc_b_dense(b, "head", x, s->hidden, s->vocab, 0.02), "logits");
}
