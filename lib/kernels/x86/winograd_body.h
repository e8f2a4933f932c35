/* x86/winograd_body.h - transforms of F(2x2, 3x3), written once; a tier's file includes it. Line by line ref/winograd.c, so that
 * every tier gives the same bits. */
#include "kernels/rows.h"

/* B' d of one column or row. */
MC_INLINE void winograd_into(mc_v d0, mc_v d1, mc_v d2, mc_v d3, mc_v out[4])
{
    out[0] = v_sub(d0, d2);
    out[1] = v_add(d1, d2);
    out[2] = v_sub(d2, d1);
    out[3] = v_sub(d1, d3);
}

MC_INLINE mc_v winograd_load(const float *p, mc_vm last, const int masked) { return masked ? v_load_m(p, last) : v_load(p); }

MC_INLINE void winograd_in_16(const float *const x[16], float *z, int64_t plane, int64_t c, mc_vm last, const int masked)
{
    mc_v s[4][4], r[4];
    MC_UNROLL for (int j = 0; j < 4; j++) {
        winograd_into(winograd_load(x[j] + c, last, masked), winograd_load(x[4 + j] + c, last, masked),
                      winograd_load(x[8 + j] + c, last, masked), winograd_load(x[12 + j] + c, last, masked), r);
        MC_UNROLL for (int i = 0; i < 4; i++) s[i][j] = r[i];
    }
    MC_UNROLL for (int i = 0; i < 4; i++) {
        winograd_into(s[i][0], s[i][1], s[i][2], s[i][3], r);
        MC_UNROLL for (int j = 0; j < 4; j++) {
            if (masked) v_store_m(z + (4 * i + j) * plane + c, last, r[j]);
            else v_store(z + (4 * i + j) * plane + c, r[j]);
        }
    }
}

void MC_K(winograd_in)(const float *const x[16], float *z, int64_t plane, int64_t n)
{
    int64_t c = 0;
    for (; c + 16 <= n; c += 16) winograd_in_16(x, z, plane, c, v_first(16), 0);
    if (c < n) winograd_in_16(x, z, plane, c, v_first(n - c), 1);
}

MC_INLINE void winograd_out_16(const mc_winograd_out_f32 *o, int64_t c, mc_vm last, const int masked)
{
    mc_v s[2][4], y[4];
    MC_UNROLL for (int j = 0; j < 4; j++) {
        mc_v m[4];
        MC_UNROLL for (int i = 0; i < 4; i++) m[i] = winograd_load(o->z + (4 * i + j) * o->plane + c, last, masked);
        s[0][j] = v_add(v_add(m[0], m[1]), m[2]);
        s[1][j] = v_sub(v_sub(m[1], m[2]), m[3]);
    }
    MC_UNROLL for (int i = 0; i < 2; i++) {
        y[2 * i] = v_add(v_add(s[i][0], s[i][1]), s[i][2]);
        y[2 * i + 1] = v_sub(v_sub(s[i][1], s[i][2]), s[i][3]);
    }
    MC_UNROLL for (int i = 0; i < 4; i++) {
        if (!o->y[i]) continue;
        if (o->bias) y[i] = v_add(y[i], winograd_load(o->bias + c, last, masked));
        if (o->residual[i]) y[i] = v_add(y[i], winograd_load(o->residual[i] + c, last, masked));
        y[i] = v_min(v_set1(o->hi), v_max(v_set1(o->lo), y[i]));
        if (masked) v_store_m(o->y[i] + c, last, y[i]);
        else v_store(o->y[i] + c, y[i]);
    }
}

void MC_K(winograd_out)(const mc_winograd_out_f32 *o)
{
    int64_t c = 0;
    for (; c + 16 <= o->n; c += 16) winograd_out_16(o, c, v_first(16), 0);
    if (c < o->n) winograd_out_16(o, c, v_first(o->n - c), 1);
}
