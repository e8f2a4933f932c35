/* backends/cpu/window.h - private: geometry of channels-last float windows and padded copies of input tiles.
 * One spatial axis counts as two with height 1. */
#ifndef MC_BACKENDS_CPU_WINDOW_H
#define MC_BACKENDS_CPU_WINDOW_H

#include "backends/cpu/qwindow.h"
#include "backends/cpu/work.h"

typedef struct mc_cpu_tile { /* a rectangle of outputs of one image */
    int64_t y0, y1, x0, x1;
} mc_cpu_tile;

/* Where output (y0, x0) of the tile finds its first tap: the image itself when the tile touches no padding, else a copy with
 * zeros in `copy`. row: floats between input rows. */
const float *mc_cpu_window_input(const mc_q_window *w, const mc_q_image *i, const mc_cpu_tile *t, const float *image, float *copy, int64_t *row);
/* Floats of the largest copy for tiles of rows x columns outputs. */
int64_t mc_cpu_window_copy(const mc_q_window *w, int64_t channels, int64_t rows, int64_t columns);
/* Tile size for outputs of oh x ow: about `pixels` outputs, whole rows where they are short. */
void mc_cpu_window_tile(int64_t oh, int64_t ow, int64_t pixels, int64_t *rows, int64_t *columns);

#endif
