/* backends/onednn/plugin.h - private: what the files of the plugin share.
 *
 * A program is one node: a list of primitives (one a tile shape), packed weights, and a list of tiles. Primitives are made and
 * run by one thread each (no OpenMP team), on tiles that parallel_for hands out, with scratchpads from the worker's scratch. A tile is
 * some rows of outputs times one part of the output channels; weights are packed part by part.
 */
#ifndef MC_ONEDNN_PLUGIN_H
#define MC_ONEDNN_PLUGIN_H

#include <mcomp/backend.h>

#include "dnnl_compat.h"

#define DN_MAX_PRIMITIVES 48
#define DN_MAX_PARTS 8
#define DN_KEY 5
#define DN_EXEC_US 3.0 /* one execution's own cost: argument map, memory objects */

typedef struct dn_primitive {
    dnnl_primitive_t p;
    dc_md src, dst, scratch;
    uint64_t scratch_bytes;
    int32_t set;         /* which weights descriptor: 0 whole parts, 1 the smaller last part, -1 none */
    int64_t key[DN_KEY]; /* tile shape it is for; the last is the channels of the part */
} dn_primitive;

struct mcomp_bk_instance {
    dnnl_engine_t engine;
    dnnl_primitive_attr_t attr; /* user scratchpad; BF16 arithmetic if asked for */
    int32_t bf16;
};

/* Output channels cut into parts of `block` channels, the last one smaller. */
typedef struct dn_parts {
    int64_t m, block, count;
} dn_parts;

/* What follows the matrix part: the host's function for floats or for integer sums. */
typedef struct dn_epilogue {
    mcomp_epilogue_f32 f;
    mcomp_epilogue_q8 q;
    int32_t integer;
    int32_t slot[5]; /* of bias, residual, gamma, beta, w_scale; -1 none */
} dn_epilogue;

/* A window over a channels-last plane; one spatial axis counts as height 1. */
typedef struct dn_window {
    int64_t n, c, h, w, oh, ow, kh, kw;
    dc_conv_geometry g;
    int64_t rows; /* output rows of a tile */
} dn_window;

/* Tile shapes of a window: {input rows, padding above, below, output rows, channels}. */
typedef struct dn_shapes {
    int64_t key[DN_MAX_PRIMITIVES][DN_KEY];
    int32_t n;
} dn_shapes;

/* Zero point of X times sums of weights, for integer programs whose zero point is not 0: one row of m for each set of kernel taps that lie
 * inside the image (the library pads with zeros, not with the zero point). */
typedef struct dn_correction {
    int32_t *rows;                /* [row classes][column classes][m], NULL: none */
    uint8_t *row_class, *col_class; /* [oh], [ow]; NULL: all outputs alike */
    int64_t columns;
} dn_correction;

struct mcomp_bk_program {
    mcomp_bk_instance *b;
    int32_t (*run)(const mcomp_bk_program *p, const mcomp_run_args *a);
    dn_primitive list[DN_MAX_PRIMITIVES];
    int32_t n;
    dc_md weights[2];                  /* by set */
    const void *packed[DN_MAX_PARTS];  /* by part */
    dn_parts cut;
    int32_t x, y;                      /* slots */
    int64_t k;                         /* channels in */
    dn_epilogue e;
    dn_correction correction;
    dn_window win;
    int32_t quantize; /* X is float: DN_ROWS_* */
    float x_scale;
    int32_t x_zp;     /* of what the primitive reads */
    uint64_t pad_bytes, acc_bytes, row_bytes, x_bytes; /* a worker's scratch: primitive, sums, float rows, bytes of X with row scales */
};

enum { DN_ROWS_AS_THEY_ARE, DN_ROWS_STATIC, DN_ROWS_TOKEN };

typedef struct dn_tile {
    const dn_primitive *k;
    int64_t part;
    const void *src;
    int64_t row, rows; /* rows of Y (pixels) */
    int64_t oy;        /* of a window: first row in the image */
    const float *row_scale;
    int32_t worker;
} dn_tile;

/* One run cut into tasks. */
typedef struct dn_work {
    const mcomp_bk_program *p;
    const mcomp_run_args *a;
    int32_t (*task)(const struct dn_work *w, int64_t index, int32_t worker);
    int64_t rows, tile; /* products: rows in all, and of a task */
    int64_t tiles;      /* windows: of an image */
    int32_t status;     /* of a task that failed */
} dn_work;

extern const mcomp_host_api *dn_host;

/* ---- primitive.c ---- */
/* This thread runs primitives without a team from now on. */
void dn_single_thread(void);
/* Makes a primitive from pd and consumes pd. The first one of a set decides p->weights[set]. MCOMP_UNSUPPORTED if the
 * implementation is a reference one. */
int32_t dn_add(mcomp_bk_program *p, dnnl_primitive_desc_t pd, const int64_t key[DN_KEY], int32_t set);
const dn_primitive *dn_find(const mcomp_bk_program *p, const int64_t key[DN_KEY]);
/* 1 if pd's implementation is usable: no reference, and with depth > 0 (u8 or s8 times s8) exact for sums of that many products; consumes pd. */
int dn_usable(dnnl_primitive_desc_t pd, int64_t depth);
int32_t dn_execute(const mcomp_bk_program *p, const dn_primitive *k, int64_t part, const void *src, void *dst, void *scratch);
/* Reorders a part of a constant (plain layout `from`, its first element at `data`) into p->weights[set] once a session. */
int32_t dn_pack(mcomp_bk_program *p, const mcomp_bk_compile *c, const mcomp_bk_value *v, int64_t part, const dc_md *from, const void *data,
                const char *what);
/* One reorder by pd; 0 = done. */
int dn_reorder_run(mcomp_bk_instance *b, dnnl_primitive_desc_t pd, const dc_md *from, const dc_md *to, const void *data, void *out);
/* All tasks, in the pool or (here) in the calling thread. */
int32_t dn_work_run(dn_work *w, int64_t tasks, int here);
void dn_program_clear(mcomp_bk_program *p); /* frees what a program holds, not the program */
int32_t dn_slot(const mcomp_bk_compile *c, const mcomp_bk_value *v);
int32_t dn_fail(int32_t code, const mcomp_bk_node *n, const char *message);
int32_t dn_refuse(const mcomp_bk_node *n, const char *reason); /* 0, with the reason recorded */

/* ---- parts ---- */
static inline int64_t dn_part_size(const dn_parts *c, int64_t part) { return part + 1 < c->count ? c->block : c->m - part * c->block; }
static inline int32_t dn_part_set(const dn_parts *c, int64_t part) { return dn_part_size(c, part) == c->block ? 0 : 1; }
/* m channels in at most `most` parts of multiples of 64. */
dn_parts dn_cut(int64_t m, double most);

/* ---- epilogue.c ---- */
/* Activations and operand slots; input indices of bias, residual, gamma, beta, w_scale (-1: the operator has none). NULL, or the reason
 * why it cannot be done. c NULL: slots are not needed. */
const char *dn_epilogue_read(const mcomp_bk_node *n, const mcomp_bk_compile *c, const int32_t index[5], dn_epilogue *e);
/* Scratch of a worker for tiles of at most `rows` rows and x_bytes of quantized input; call when all primitives are there. */
void dn_tile_plan(mcomp_bk_program *p, int64_t rows, uint64_t x_bytes);
uint8_t *dn_tile_input(const mcomp_bk_program *p, const mcomp_run_args *a, int32_t worker); /* x_bytes of the worker */
int32_t dn_tile_run(const mcomp_bk_program *p, const mcomp_run_args *a, const dn_tile *t);

/* ---- window.c ---- */
/* Reads geometry, kernel sizes from `kernel` (NULL: attribute kernel_shape; global: the plane). NULL or the reason. */
const char *dn_window_read(const mcomp_bk_node *n, const int64_t *kernel, int global, dn_window *w);
void dn_window_key(const dn_window *w, int64_t y0, int64_t y1, int64_t channels, int64_t key[DN_KEY], int64_t *first);
/* Distinct tile shapes, the middle one first: it chooses the layout of the weights. 0: too many. */
int dn_window_shapes(const dn_window *w, int64_t channels, dn_shapes *s);
/* Geometry of a tile: padding above and below by its key, at the right what is really read. */
dc_conv_geometry dn_window_geometry(const dn_window *w, const int64_t key[DN_KEY]);
/* Correction of a convolution of `m` outputs, cg channels a group; w is OIHW. */
int32_t dn_correction_make(dn_correction *c, const dn_window *win, const int8_t *w, int64_t m, int64_t cg, int32_t zp);
/* The run's plane must be the plan's; only the number of images may differ. */
int32_t dn_window_check(const dn_window *w, const mcomp_bk_buffer *x);

/* ---- operators ---- */
int32_t dn_linear_claim(mcomp_bk_instance *b, const mcomp_bk_node *n, mcomp_claim *out);
int32_t dn_linear_compile(mcomp_bk_program *p, const mcomp_bk_compile *c);
int32_t dn_conv_claim(mcomp_bk_instance *b, const mcomp_bk_node *n, mcomp_claim *out);
int32_t dn_conv_compile(mcomp_bk_program *p, const mcomp_bk_compile *c);
int32_t dn_pool_claim(mcomp_bk_instance *b, const mcomp_bk_node *n, mcomp_claim *out);
int32_t dn_pool_compile(mcomp_bk_program *p, const mcomp_bk_compile *c);
int32_t dn_self_test(mcomp_bk_instance *b);
/* Multiply-adds a nanosecond of the tier, from measurements. */
double dn_rate(int32_t integer);
int dn_is_op(const mcomp_bk_node *n, const char *op);
/* INT8 is exact only with VNNI: without it pairs of products saturate in 16 bits, and s8s8 convolutions halve the weights. */
int dn_has_vnni(void);
#define DN_NO_VNNI "without VNNI the library's INT8 overflows in 16 bits"
#define DN_MAX_DEPTH 33000 /* 255 * 127 * K stays below 2^31 */

#endif
