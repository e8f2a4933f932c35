/* ds-cnn: a 3x3 convolution with stride 2, then `layers` depthwise-separable blocks (3x3 a channel, 1x1 across them), the mean over the
 * image (Zhang et al., 2017). input [batch, channels, height, width] -> logits [batch, classes]. */
#include "train/build.h"

#include <math.h>

void mc_build_ds_cnn(mc_builder *b);

void mc_build_ds_cnn(mc_builder *b)
{
    mc_build_spec *s = &b->s;
    s->layers = mc_b_default(s->layers, 4);
    s->channels = mc_b_default(s->channels, 64);
    if (s->dropout < 0.0) s->dropout = 0.1;
    const int64_t c = s->channels;
    mc_value *x = mc_b_input(b, "input", MCOMP_F32, 4, (const int64_t[]){-1, s->image[0], s->image[1], s->image[2]});
    x = mc_b_conv_bn(b, "stem", x, s->image[0], c, 3, 2, 1, 1);
    for (int64_t l = 0; l < s->layers; l++) {
        x = mc_b_conv_bn(b, mc_b_name("block.%lld.depthwise", (long long)l), x, c, c, 3, 1, c, 1);
        x = mc_b_conv_bn(b, mc_b_name("block.%lld.pointwise", (long long)l), x, c, c, 1, 1, 1, 1);
    }
    x = mc_b_dropout(b, mc_b_1(b, "Flatten", mc_b_1(b, "GlobalAveragePool", x)));
    mc_b_output(b, mc_b_dense(b, "classifier", x, c, s->classes, 1.0 / sqrt((double)c)), "logits");
}
