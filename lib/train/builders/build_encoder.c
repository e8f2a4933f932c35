/* encoder: pre-norm transformer encoder (Xiong et al., 2020) with learned positions, the mean over real tokens, and a classifier.
 * input_ids, attention_mask [batch, sequence] -> logits [batch, classes]; with option tokens: [batch, sequence, vocab]. */
#include "train/builders/transformer.h"

void mc_build_encoder(mc_builder *b);

void mc_build_encoder(mc_builder *b)
{
    mc_build_spec *s = &b->s;
    mc_b_transformer_sizes(b);
    mc_value *ids = mc_b_input(b, "input_ids", MCOMP_I64, 2, (const int64_t[]){-1, -2});
    mc_value *mask = mc_b_int(b, mc_b_1(b, "Cast", mc_b_input(b, "attention_mask", MCOMP_I64, 2, (const int64_t[]){-1, -2})), "to", MCOMP_F32);
    mc_value *x = mc_b_dropout(b, mc_b_positions(b, ids));
    mc_value *bias = mc_b_2(b, "Mul", mc_b_2(b, "Sub", mc_b_scalar(b, 1.0), mask), mc_b_scalar(b, -1e9));
    bias = mc_b_2(b, "Unsqueeze", bias, mc_b_list(b, 2, (const int64_t[]){1, 2}));
    for (int64_t l = 0; l < s->layers; l++) x = mc_b_block(b, l, x, bias, 0.02);
    x = mc_b_layer_norm(b, "encoder.norm", x, s->hidden);
    if (s->tokens) {
        mc_b_output(b, mc_b_dense(b, "head", x, s->hidden, s->vocab, 0.02), "logits");
        return;
    }
    mc_value *wide = mc_b_2(b, "Unsqueeze", mask, mc_b_list(b, 1, (const int64_t[]){2})), *axis = mc_b_list(b, 1, (const int64_t[]){1});
    mc_value *sum = mc_b_int(b, mc_b_2(b, "ReduceSum", mc_b_2(b, "Mul", x, wide), axis), "keepdims", 0);
    mc_value *count = mc_b_2(b, "Max", mc_b_int(b, mc_b_2(b, "ReduceSum", wide, axis), "keepdims", 0), mc_b_scalar(b, 1.0));
    mc_b_output(b, mc_b_dense(b, "classifier", mc_b_dropout(b, mc_b_2(b, "Div", sum, count)), s->hidden, s->classes, 0.02), "logits");
}
