/* x86/training_body.h - optimizer steps and dropout, written once; a tier's file includes it. */
#include "kernels/rows.h"
#include "kernels/x86/vec_bytes.h"

typedef struct adam_consts {
    mc_v scale, l2, decay, beta1, beta2, rest1, rest2, step, root, eps;
} adam_consts;

MC_INLINE void adam_block(const mc_adam_f32 *s, const adam_consts *c, int64_t i, mc_vm in)
{
    const mc_v p = v_load_m(s->p + i, in), mask = s->mask ? v_load_m(s->mask + i, in) : v_set1(1.0f);
    mc_v g = v_mul(v_load_m(s->g + i, in), c->scale);
    if (!s->u) g = v_add(g, v_mul(c->l2, p));
    g = v_mul(g, mask);
    const mc_v m = v_add(v_mul(v_load_m(s->m + i, in), c->beta1), v_mul(g, c->rest1));
    const mc_v v = v_add(v_mul(v_load_m(s->v + i, in), c->beta2), v_mul(v_mul(g, g), c->rest2));
    const mc_v d = v_div(v_mul(c->step, m), v_add(v_mul(v_sqrt(v), c->root), c->eps));
    v_store_m(s->m + i, in, m);
    v_store_m(s->v + i, in, v);
    if (s->u) v_store_m(s->u + i, in, v_add(d, v_mul(c->l2, p)));
    else v_store_m(s->p + i, in, v_mul(v_sub(v_mul(p, c->decay), d), mask));
}

void MC_K(adam)(const mc_adam_f32 *s)
{
    const adam_consts c = {v_set1(s->scale), v_set1(s->l2), v_set1(s->decay), v_set1(s->beta1), v_set1(s->beta2), v_set1(1.0f - s->beta1),
                           v_set1(1.0f - s->beta2), v_set1(s->step), v_set1(s->root), v_set1(s->eps)};
    for (int64_t i = 0; i < s->n; i += 16) adam_block(s, &c, i, v_first(s->n - i));
}

void MC_K(sgd)(const mc_sgd_f32 *s)
{
    const mc_v scale = v_set1(s->scale), l2 = v_set1(s->l2), mu = v_set1(s->momentum), lr = v_set1(s->lr);
    for (int64_t i = 0; i < s->n; i += 16) {
        const mc_vm in = v_first(s->n - i);
        const mc_v p = v_load_m(s->p + i, in), mask = s->mask ? v_load_m(s->mask + i, in) : v_set1(1.0f);
        const mc_v g = v_mul(v_add(v_mul(v_load_m(s->g + i, in), scale), v_mul(l2, p)), mask);
        mc_v d = g;
        if (s->b) {
            const mc_v b = v_add(v_mul(v_load_m(s->b + i, in), mu), g);
            v_store_m(s->b + i, in, b);
            d = s->nesterov ? v_add(v_mul(b, mu), g) : b;
        }
        v_store_m(s->p + i, in, v_mul(v_sub(p, v_mul(lr, d)), mask));
    }
}

/* 16 Philox 4x32-10 blocks side by side. */
MC_INLINE void philox(uint64_t seed, uint64_t stream, uint64_t counter, mc_vi out[4])
{
    static const int32_t lanes[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
    mc_vi c0 = vi_add(vi_load(lanes), vi_set1((int32_t)(uint32_t)counter)), c1 = vi_set1((int32_t)(counter >> 32));
    mc_vi c2 = vi_set1((int32_t)(uint32_t)stream), c3 = vi_set1((int32_t)(stream >> 32));
    for (int i = 0; i < 10; i++) {
        mc_vi hi0, lo0, hi1, lo1;
        vi_mul_wide(c0, (int32_t)0xD2511F53u, &hi0, &lo0);
        vi_mul_wide(c2, (int32_t)0xCD9E8D57u, &hi1, &lo1);
        c0 = vi_xor(vi_xor(hi1, c1), vi_set1((int32_t)k0));
        c2 = vi_xor(vi_xor(hi0, c3), vi_set1((int32_t)k1));
        c1 = lo1;
        c3 = lo0;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

/* counter is a multiple of 16, so that no carry leaves a lane's low word. */
void MC_K(dropout)(const mc_dropout_f32 *d)
{
    const mc_vi flip = vi_set1((int32_t)0x80000000), limit = vi_xor(vi_set1((int32_t)d->threshold), flip); /* unsigned order by signed compare */
    const mc_v scale = v_set1(d->scale);
    for (int64_t i = 0; i < d->n; i += 64) {
        mc_vi word[4];
        philox(d->seed, d->stream, 16 * (uint64_t)((d->first + i) / 64), word);
        for (int64_t k = 0; k < 4 && i + 16 * k < d->n; k++) {
            const mc_vm in = v_first(d->n - i - 16 * k);
            const mc_v x = v_load_m(d->x + i + 16 * k, in);
            v_store_m(d->y + i + 16 * k, in, v_sel(vi_lt(vi_xor(word[k], flip), limit), v_zero(), v_mul(x, scale)));
        }
    }
}

void MC_K(plane_sums)(const mc_plane_sums_f32 *s, double out[2])
{
    const mc_v mean = v_set1(s->mean);
    for (int64_t at = 0; at < s->n; at += 1024) {
        mc_v a = v_zero(), b = v_zero();
        const int64_t end = s->n - at < 1024 ? s->n : at + 1024;
        for (int64_t i = at; i < end; i += 16) {
            const mc_vm in = v_first(end - i);
            const mc_v d = v_sel(in, v_sub(v_load_m(s->x + i, in), mean), v_zero()), w = s->dy ? v_load_m(s->dy + i, in) : d;
            a = v_add(a, w);
            b = v_add(b, v_mul(w, d));
        }
        out[0] += (double)v_reduce_add(a);
        out[1] += (double)v_reduce_add(b);
    }
}

void MC_K(combine)(const float *p, float a, const float *q, float b, float c, float *y, int64_t n)
{
    const mc_v va = v_set1(a), vb = v_set1(b), vc = v_set1(c);
    for (int64_t i = 0; i < n; i += 16) {
        const mc_vm in = v_first(n - i);
        v_store_m(y + i, in, v_add(v_add(v_mul(v_load_m(p + i, in), va), v_mul(v_load_m(q + i, in), vb)), vc));
    }
}
