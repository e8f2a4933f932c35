/* mlp: dense layers with Relu. input [batch, features], or images [batch, channels, height, width] flattened -> logits [batch, classes]. */
#include "train/build.h"

#include <math.h>

void mc_build_mlp(mc_builder *b);

void mc_build_mlp(mc_builder *b)
{
    mc_build_spec *s = &b->s;
    const int64_t *i = s->image;
    int64_t n = s->features > 0 ? s->features : i[0] * i[1] * i[2];
    s->layers = mc_b_default(s->layers, 2);
    s->hidden = mc_b_default(s->hidden, 256);
    if (s->dropout < 0.0) s->dropout = 0.1;
    mc_value *x = s->features > 0 ? mc_b_input(b, "input", MCOMP_F32, 2, (const int64_t[]){-1, n})
                                  : mc_b_1(b, "Flatten", mc_b_input(b, "input", MCOMP_F32, 4, (const int64_t[]){-1, i[0], i[1], i[2]}));
    for (int64_t l = 0; l < s->layers; l++, n = s->hidden)
        x = mc_b_dropout(b, mc_b_1(b, "Relu", mc_b_dense(b, mc_b_name("layer.%lld", (long long)l), x, n, s->hidden, sqrt(2.0 / (double)n))));
    mc_b_output(b, mc_b_dense(b, "classifier", x, n, s->classes, 1.0 / sqrt((double)n)), "logits");
}
