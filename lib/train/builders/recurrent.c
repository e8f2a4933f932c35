/* LSTM classifiers, one or both directions. */
#include "train/builders/recurrent.h"

#include <math.h>

/* [sequence, batch, in] -> [sequence, batch, directions * hidden]. Uniform in 1/sqrt(hidden); the forget gates start open (bias 1;
 * Jozefowicz et al., 2015). Gates lie in ONNX's order i o f c. */
static mc_value *layer(mc_builder *b, int64_t l, mc_value *x, int64_t in, mc_value *lengths, int64_t directions)
{
    const int64_t h = b->s.hidden;
    const double scale = 1.0 / sqrt((double)h);
    const char *name = mc_b_name("lstm.%lld", (long long)l);
    mc_value *w = mc_b_uniform(b, mc_b_name("%s.weight_ih", name), 3, (const int64_t[]){directions, 4 * h, in}, scale);
    mc_value *r = mc_b_uniform(b, mc_b_name("%s.weight_hh", name), 3, (const int64_t[]){directions, 4 * h, h}, scale);
    mc_value *bias = mc_b_filled(b, mc_b_name("%s.bias", name), 2, (const int64_t[]){directions, 8 * h}, 0.0);
    if (b->status != MCOMP_OK) return NULL;
    for (int64_t d = 0; d < directions; d++)
        for (int64_t i = 0; i < h; i++) ((float *)bias->init->data)[d * 8 * h + 2 * h + i] = 1.0f;
    mc_value *y = mc_b_int(b, mc_b_op(b, "LSTM", name, 5, (mc_value *[]){x, w, r, bias, lengths}), "hidden_size", h);
    if (y && directions == 2 && b->status == MCOMP_OK) b->status = mc_node_set_s(y->producer, "direction", "bidirectional");
    y = mc_b_transpose(b, y, 4, (const int64_t[]){0, 2, 1, 3}); /* [sequence, batch, directions, hidden] */
    return mc_b_reshape(b, y, 3, (const int64_t[]){0, 0, directions * h});
}

void mc_b_recurrent(mc_builder *b, int64_t directions)
{
    mc_build_spec *s = &b->s;
    s->layers = mc_b_default(s->layers, 1);
    s->hidden = mc_b_default(s->hidden, 128);
    if (s->dropout < 0.0) s->dropout = 0.3;
    mc_value *ids = mc_b_input(b, "input_ids", MCOMP_I64, 2, (const int64_t[]){-1, -2}), *real = mc_b_real(b, ids);
    mc_value *axis = mc_b_list(b, 1, (const int64_t[]){1});
    mc_value *count = mc_b_int(b, mc_b_2(b, "ReduceSum", real, axis), "keepdims", 0); /* [batch] */
    mc_value *lengths = mc_b_int(b, mc_b_1(b, "Cast", count), "to", MCOMP_I32);
    mc_value *x = mc_b_dropout(b, mc_b_embed(b, "embeddings.word", ids, s->vocab, s->hidden, 0.1));
    x = mc_b_transpose(b, x, 3, (const int64_t[]){1, 0, 2});
    for (int64_t l = 0; l < s->layers; l++) x = layer(b, l, x, l ? directions * s->hidden : s->hidden, lengths, directions);
    mc_value *sum = mc_b_int(b, mc_b_2(b, "ReduceSum", x, mc_b_list(b, 1, (const int64_t[]){0})), "keepdims", 0);
    count = mc_b_2(b, "Unsqueeze", mc_b_2(b, "Max", count, mc_b_scalar(b, 1.0)), axis);
    mc_value *mean = mc_b_dropout(b, mc_b_2(b, "Div", sum, count));
    mc_b_output(b, mc_b_dense(b, "classifier", mean, directions * s->hidden, s->classes, 1.0 / sqrt((double)(directions * s->hidden))), "logits");
}
