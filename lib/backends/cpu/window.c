/* Tiles of channels-last windows: how large, and where their input lies. */
#include "backends/cpu/window.h"

int64_t mc_cpu_window_copy(const mc_q_window *w, int64_t channels, int64_t rows, int64_t columns)
{
    return mc_q_span_h(w, rows) * mc_q_span_w(w, columns) * channels;
}

void mc_cpu_window_tile(int64_t oh, int64_t ow, int64_t pixels, int64_t *rows, int64_t *columns)
{
    *columns = ow > 2 * pixels ? pixels : ow > 0 ? ow : 1;
    *rows = pixels / *columns;
    if (*rows < 1) *rows = 1;
    if (*rows > oh) *rows = oh > 0 ? oh : 1;
}

const float *mc_cpu_window_input(const mc_q_window *w, const mc_q_image *i, const mc_cpu_tile *t, const float *image, float *copy, int64_t *row)
{
    const int64_t y = t->y0 * w->sh - w->top, x = t->x0 * w->sw - w->left, c = i->c;
    const int64_t rows = mc_q_span_h(w, t->y1 - t->y0), columns = mc_q_span_w(w, t->x1 - t->x0);
    if (y >= 0 && x >= 0 && y + rows <= i->h && x + columns <= i->w) {
        *row = i->w * c;
        return image + (y * i->w + x) * c;
    }
    const int64_t left = x < 0 ? (-x < columns ? -x : columns) : 0;
    int64_t end = i->w - x < columns ? i->w - x : columns; /* first column beyond the image */
    if (end < left) end = left;
    *row = columns * c;
    for (int64_t r = 0; r < rows; r++) {
        float *out = copy + r * *row;
        if (y + r < 0 || y + r >= i->h) {
            memset(out, 0, sizeof *out * (size_t)*row);
            continue;
        }
        memset(out, 0, sizeof *out * (size_t)(left * c));
        memcpy(out + left * c, image + ((y + r) * i->w + x + left) * c, sizeof *out * (size_t)((end - left) * c));
        memset(out + end * c, 0, sizeof *out * (size_t)((columns - end) * c));
    }
    return copy;
}
