/* cnn: `layers` stages of two 3x3 convolutions with BatchNormalization and Relu and a 2x2 maximum, doubling the channels, then a dense
 * layer. input [batch, channels, height, width] -> logits [batch, classes]. */
#include "train/build.h"

#include <math.h>

void mc_build_cnn(mc_builder *b);

void mc_build_cnn(mc_builder *b)
{
    mc_build_spec *s = &b->s;
    int64_t in = s->image[0], h = s->image[1], w = s->image[2], c;
    s->layers = mc_b_default(s->layers, 2);
    s->channels = mc_b_default(s->channels, 16);
    s->hidden = mc_b_default(s->hidden, 128);
    if (s->dropout < 0.0) s->dropout = 0.25;
    mc_value *x = mc_b_input(b, "input", MCOMP_F32, 4, (const int64_t[]){-1, in, h, w});
    c = s->channels;
    for (int64_t l = 0; l < s->layers; l++, in = c, c *= 2) {
        if (h < 2 || w < 2 || l > 20) {
            (void)mc_b_fail(b, MCOMP_RANGE, "layers", "%lld stages halve the image below one pixel", (long long)s->layers);
            return;
        }
        x = mc_b_conv_bn(b, mc_b_name("stage.%lld.a", (long long)l), x, in, c, 3, 1, 1, 1);
        x = mc_b_conv_bn(b, mc_b_name("stage.%lld.b", (long long)l), x, c, c, 3, 1, 1, 1);
        x = mc_b_ints(b, mc_b_1(b, "MaxPool", x), "kernel_shape", 2, (const int64_t[]){2, 2});
        x = mc_b_ints(b, x, "strides", 2, (const int64_t[]){2, 2});
        h /= 2;
        w /= 2;
    }
    const int64_t n = in * h * w;
    x = mc_b_1(b, "Relu", mc_b_dense(b, "dense", mc_b_1(b, "Flatten", x), n, s->hidden, sqrt(2.0 / (double)n)));
    mc_b_output(b, mc_b_dense(b, "classifier", mc_b_dropout(b, x), s->hidden, s->classes, 1.0 / sqrt((double)s->hidden)), "logits");
}
