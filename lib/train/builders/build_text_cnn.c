/* text-cnn: convolutions of widths 3, 4 and 5 over embeddings, the maximum over time of each filter, a classifier (Kim, 2014). A window
 * ends at its token, and those of padding count nothing, so the result does not depend on how far a text is padded.
 * input_ids [batch, sequence] -> logits [batch, classes]. */
#include "train/build.h"

#include <math.h>

void mc_build_text_cnn(mc_builder *b);

static mc_value *filters(mc_builder *b, mc_value *x, mc_value *real, int64_t width)
{
    const int64_t in = b->s.hidden, out = b->s.channels, dims[] = {out, in, width};
    const char *name = mc_b_name("conv%lld", (long long)width);
    mc_value *w = mc_b_normal(b, mc_b_name("%s.weight", name), 3, dims, sqrt(2.0 / (double)(in * width)));
    mc_value *bias = mc_b_filled(b, mc_b_name("%s.bias", name), 1, &out, 0.0);
    mc_value *y = mc_b_op(b, "Conv", name, 3, (mc_value *[]){x, w, bias});
    y = mc_b_ints(b, mc_b_ints(b, y, "kernel_shape", 1, &width), "pads", 2, (const int64_t[]){width - 1, 0});
    y = mc_b_2(b, "Mul", mc_b_1(b, "Relu", y), real);
    return mc_b_int(b, mc_b_2(b, "ReduceMax", y, mc_b_list(b, 1, (const int64_t[]){2})), "keepdims", 0);
}

void mc_build_text_cnn(mc_builder *b)
{
    mc_build_spec *s = &b->s;
    s->hidden = mc_b_default(s->hidden, 128);
    s->channels = mc_b_default(s->channels, 128);
    if (s->dropout < 0.0) s->dropout = 0.5;
    mc_value *ids = mc_b_input(b, "input_ids", MCOMP_I64, 2, (const int64_t[]){-1, -2}), *real = mc_b_real(b, ids);
    mc_value *x = mc_b_embed(b, "embeddings.word", ids, s->vocab, s->hidden, 0.25);
    x = mc_b_2(b, "Mul", x, mc_b_2(b, "Unsqueeze", real, mc_b_list(b, 1, (const int64_t[]){2})));
    x = mc_b_transpose(b, x, 3, (const int64_t[]){0, 2, 1});
    real = mc_b_2(b, "Unsqueeze", real, mc_b_list(b, 1, (const int64_t[]){1}));
    mc_value *y[3];
    for (int64_t k = 0; k < 3; k++) y[k] = filters(b, x, real, k + 3);
    mc_value *all = mc_b_int(b, mc_b_op(b, "Concat", NULL, 3, y), "axis", 1);
    mc_b_output(b, mc_b_dense(b, "classifier", mc_b_dropout(b, all), 3 * s->channels, s->classes, 1.0 / sqrt(3.0 * (double)s->channels)), "logits");
}
