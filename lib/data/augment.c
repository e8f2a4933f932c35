/* Augmentation: random numbers of a sample, and shifted, mirrored images. */
#include "data/loader_internal.h"

void mc_sample_random(const mc_sample_rng *r, uint32_t k, uint32_t out[4])
{
    mc_rng_block(r->seed, MC_STREAM_AUGMENT | (uint64_t)r->epoch, (uint64_t)r->sample << 20 | k, out);
}

int32_t mc_augment_shift_image(void *payload, const mc_sample_rng *r, int32_t input, mc_tensor *x)
{
    const mc_augment_shift *a = payload;
    uint32_t random[4];
    (void)input;
    if (x->shape.rank != 4 || mc_dtype_bits(x->dtype) < 8) return mc_fail(MCOMP_SHAPE, "augmentation", "shifts are for images [1, channels, height, width], not for %d axes", x->shape.rank);
    mc_sample_random(r, 0, random);
    const int64_t span = 2 * (int64_t)a->pixels + 1, h = x->shape.dim[2], w = x->shape.dim[3];
    const int64_t dy = (int64_t)(random[0] * (uint64_t)span >> 32) - a->pixels, dx = (int64_t)(random[1] * (uint64_t)span >> 32) - a->pixels;
    const int mirror = a->mirror && (random[2] & 1);
    mc_tensor *copy;
    const int32_t st = mc_tensor_copy(&copy, x);
    if (st != MCOMP_OK) return st;
    const size_t width = (size_t)mc_dtype_bits(x->dtype) / 8;
    mc_tensor fill = {.dtype = x->dtype, .shape = {.rank = 1, .dim = {1}}, .data = (double[2]){0}};
    mc_tensor_set_f64(&fill, 0, a->fill);
    uint8_t *to = x->data;
    for (int64_t plane = 0; plane < x->shape.dim[0] * x->shape.dim[1]; plane++)
        for (int64_t y = 0; y < h; y++)
            for (int64_t k = 0; k < w; k++, to += width) {
                const int64_t fy = y - dy, fx = (mirror ? w - 1 - k : k) - dx;
                const int inside = fy >= 0 && fy < h && fx >= 0 && fx < w;
                memcpy(to, inside ? (const uint8_t *)copy->data + (size_t)((plane * h + fy) * w + fx) * width : fill.data, width);
            }
    mc_tensor_destroy(copy);
    return MCOMP_OK;
}
