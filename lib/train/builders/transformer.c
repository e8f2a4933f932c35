/* Sizes and positions of transformers. */
#include "train/builders/transformer.h"

void mc_b_transformer_sizes(mc_builder *b)
{
    mc_build_spec *s = &b->s;
    s->layers = mc_b_default(s->layers, 4);
    s->hidden = mc_b_default(s->hidden, 128);
    s->heads = mc_b_default(s->heads, s->hidden % 32 == 0 && s->hidden >= 64 ? s->hidden / 32 : 1);
    s->ffn = mc_b_default(s->ffn, 4 * s->hidden);
    s->length = mc_b_default(s->length, 128);
    if (s->dropout < 0.0) s->dropout = 0.1;
    if (s->hidden % s->heads != 0) (void)mc_b_fail(b, MCOMP_RANGE, "heads", "hidden %lld is no multiple of %lld heads", (long long)s->hidden, (long long)s->heads);
}

mc_value *mc_b_positions(mc_builder *b, mc_value *ids)
{
    mc_build_spec *s = &b->s;
    mc_value *table = mc_b_normal(b, "embeddings.position.weight", 2, (const int64_t[]){s->length, s->hidden}, 0.02);
    mc_value *shape = mc_b_int(b, mc_b_int(b, mc_b_1(b, "Shape", ids), "start", 1), "end", 2);
    mc_value *zero = mc_b_list(b, 1, (const int64_t[]){0});
    mc_value *rows = mc_b_op(b, "Slice", NULL, 4, (mc_value *[]){table, zero, shape, zero});
    return mc_b_2(b, "Add", mc_b_embed(b, "embeddings.word", ids, s->vocab, s->hidden, 0.02), rows);
}
