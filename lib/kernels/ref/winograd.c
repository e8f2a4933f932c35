/* Winograd transforms of F(2x2, 3x3), portable. Columns first, then rows: every tier adds in this order and gives these bits. */
#include "kernels/rows.h"

void mc_k_f32_winograd_in_ref(const float *const x[16], float *z, int64_t plane, int64_t n)
{
    for (int64_t c = 0; c < n; c++, z++) {
        float s[4][4];
        for (int j = 0; j < 4; j++) {
            const float d0 = x[j][c], d1 = x[4 + j][c], d2 = x[8 + j][c], d3 = x[12 + j][c];
            s[0][j] = d0 - d2;
            s[1][j] = d1 + d2;
            s[2][j] = d2 - d1;
            s[3][j] = d1 - d3;
        }
        for (int i = 0; i < 4; i++) {
            z[(4 * i) * plane] = s[i][0] - s[i][2];
            z[(4 * i + 1) * plane] = s[i][1] + s[i][2];
            z[(4 * i + 2) * plane] = s[i][2] - s[i][1];
            z[(4 * i + 3) * plane] = s[i][1] - s[i][3];
        }
    }
}

void mc_k_f32_winograd_out_ref(const mc_winograd_out_f32 *o)
{
    for (int64_t c = 0; c < o->n; c++) {
        float s[2][4];
        for (int j = 0; j < 4; j++) {
            const float *z = o->z + j * o->plane + c;
            const float m0 = z[0], m1 = z[4 * o->plane], m2 = z[8 * o->plane], m3 = z[12 * o->plane];
            s[0][j] = m0 + m1 + m2;
            s[1][j] = m1 - m2 - m3;
        }
        for (int i = 0; i < 4; i++) {
            const float *r = s[i / 2];
            float y = i % 2 ? r[1] - r[2] - r[3] : r[0] + r[1] + r[2];
            if (!o->y[i]) continue;
            if (o->bias) y = y + o->bias[c];
            if (o->residual[i]) y = y + o->residual[i][c];
            y = o->lo > y ? o->lo : y;
            y = o->hi < y ? o->hi : y;
            o->y[i][c] = y;
        }
    }
}
