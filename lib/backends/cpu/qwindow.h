/* backends/cpu/qwindow.h - private: geometry of channels-last windows over bytes, and copies of padded input rows.
 *
 * One spatial axis counts as two with height 1. Padding bytes hold the zero point, so that kernels need not know of it.
 */
#ifndef MC_BACKENDS_CPU_QWINDOW_H
#define MC_BACKENDS_CPU_QWINDOW_H

#include "backends/cpu/qgemm.h"

typedef struct mc_q_window { /* attributes */
    int64_t kh, kw, sh, sw, dh, dw, top, left, bottom, right, groups;
} mc_q_window;

typedef struct mc_q_image { /* a run */
    int64_t n, h, w, c, oh, ow, m; /* m: output channels */
} mc_q_image;

/* kernel: spatial dims (rank - 2 of them) or NULL to read kernel_shape. 0: not a window that this backend runs. */
int mc_q_window_read(const mc_node *n, int32_t rank, const int64_t *kernel, mc_q_window *w);
mc_q_image mc_q_image_of(const mcomp_bk_buffer *x, const mcomp_bk_buffer *y);

/* Columns that a row of outputs looks at, padding included. */
static inline int64_t mc_q_span_w(const mc_q_window *w, int64_t ow) { return (ow - 1) * w->sw + (w->kw - 1) * w->dw + 1; }
static inline int64_t mc_q_span_h(const mc_q_window *w, int64_t oh) { return (oh - 1) * w->sh + (w->kh - 1) * w->dh + 1; }
/* Bytes of a copy for `oh` rows of outputs, with room to read a few bytes beyond. */
static inline int64_t mc_q_copy_bytes(const mc_q_window *w, const mc_q_image *i, int64_t oh)
{
    return mc_q_up(mc_q_span_h(w, oh) * mc_q_span_w(w, i->ow) * i->c + 64, 64);
}
/* Input rows behind output rows oy.. of one image (x: its first byte), as [span_h][span_w][c] unsigned bytes. */
void mc_q_copy(const mc_kernels_int8 *k, const mc_q_window *w, const mc_q_image *i, const uint8_t *x, int64_t oy, int64_t oh,
               const mc_qmap *map, uint8_t *out);

#endif
