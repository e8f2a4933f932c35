/* resnet: a small residual network as for CIFAR (He et al., 2016, section 4.2): three stages of `layers` blocks, the last two halve the
 * image and double the channels; 1x1 shortcuts; the mean over the image. input [batch, channels, height, width] -> logits. */
#include "train/build.h"

#include <math.h>

void mc_build_resnet(mc_builder *b);

static mc_value *block(mc_builder *b, int64_t stage, int64_t i, mc_value *x, int64_t in, int64_t out)
{
    const char *name = mc_b_name("stage.%lld.block.%lld", (long long)stage, (long long)i);
    const int64_t stride = stage > 0 && i == 0 ? 2 : 1;
    mc_value *y = mc_b_conv_bn(b, mc_b_name("%s.a", name), x, in, out, 3, stride, 1, 1);
    y = mc_b_conv_bn(b, mc_b_name("%s.b", name), y, out, out, 3, 1, 1, 0);
    if (in != out || stride != 1) x = mc_b_conv_bn(b, mc_b_name("%s.shortcut", name), x, in, out, 1, stride, 1, 0);
    return mc_b_1(b, "Relu", mc_b_2(b, "Add", y, x));
}

void mc_build_resnet(mc_builder *b)
{
    mc_build_spec *s = &b->s;
    s->layers = mc_b_default(s->layers, 1);
    s->channels = mc_b_default(s->channels, 16);
    if (s->dropout < 0.0) s->dropout = 0.0;
    int64_t in = s->channels;
    mc_value *x = mc_b_input(b, "input", MCOMP_F32, 4, (const int64_t[]){-1, s->image[0], s->image[1], s->image[2]});
    x = mc_b_conv_bn(b, "stem", x, s->image[0], in, 3, 1, 1, 1);
    for (int64_t stage = 0; stage < 3; stage++)
        for (int64_t i = 0; i < s->layers; i++) {
            const int64_t out = s->channels << stage;
            x = block(b, stage, i, x, in, out);
            in = out;
        }
    x = mc_b_dropout(b, mc_b_1(b, "Flatten", mc_b_1(b, "GlobalAveragePool", x)));
    mc_b_output(b, mc_b_dense(b, "classifier", x, in, s->classes, 1.0 / sqrt((double)in)), "logits");
}
