/* mcomp.Conv in float, channels-last, 3 x 3 with stride 1, by Winograd's F(2x2, 3x3) (kernels/f32.h has the formula): 2.25 times
 * fewer multiplications than impl_conv.c.
 *
 * The weights are transformed once. A task takes a block of tiles of all images in one row: it transforms their inputs into
 * sixteen matrices [tiles][C], multiplies each by its [C][M] in groups of columns, and turns the sums of a group into outputs
 * while they are in L2. Where blocks are few, tasks share the columns out too; a worker then keeps the transformed inputs of the
 * block it saw last. (Transforming them once for all workers is slower: four times the image goes from core to core.)
 *
 * Rounding: the transforms add +-1 multiples and the weights are rounded once, so the error stays near that of the direct sum
 * (whose chain is nine times longer). What differs: an infinity or NaN reaches all 2 x 2 outputs of the tiles that read it. */
#include "backends/cpu/gemm.h"
#include "backends/cpu/qwindow.h"

#include <math.h>
#include <stdio.h>

#define PLANES MC_WINOGRAD_PLANES
#define TILES 56       /* of a task at most: four register tiles of 14 */
#define V_FLOATS (256 << 10) /* transformed inputs of a task, 1 MiB: half an L2 cache */
#define COLUMNS 64     /* of a group */
#define MIN_TASKS 8    /* fewer blocks than this: columns are shared out too */
#define LEAST 24       /* tiles of a task where there are enough */
#define WEIGHTS_NEAR (256 << 10) /* floats of weights that stay in L2 from task to task */
#define TASK_MACS 400000 /* below: the calling thread alone */

typedef struct winograd {
    mc_q_window w;
    int64_t c, m;
    int64_t row;  /* floats between rows of transformed inputs: no power of two, which would put them in one set of the L1 cache */
    int64_t most; /* tiles of a task */
    int64_t tiles; /* of the plan */
    const float *weight;
    mcomp_epilogue_f32 e;
} winograd;

static int64_t up16(int64_t v) { return mc_q_up(v, 16); }
static int64_t known(int64_t dim) { return dim < 0 ? 32 : dim; }
static int64_t tiles_of(int64_t n, int64_t oh, int64_t ow) { return n * ((oh + 1) / 2) * ((ow + 1) / 2); }

/* Measured with tests/bench/bench_convs.c on AVX-512 and AVX2: 1.3 to 2.2 times the direct kernel where this holds. Few channels:
 * the transforms cost what the products save; few tiles: reading 16/9 of the weights does. */
static int worth(const winograd *v)
{
    return v->c >= 16 && v->m >= 16 && v->c * v->m >= 1024 && v->tiles >= (v->c * v->m > 512 * 512 ? 32 : 16);
}

static int read_winograd(const mc_node *n, winograd *v)
{
    const mc_type *x = mc_cpu_in_type(n, 0), *w = mc_cpu_in_type(n, 1), *y = mc_cpu_out_type(n, 0);
    if (!mc_cpu_is(x, MCOMP_F32) || !mc_cpu_is(w, MCOMP_F32) || w->rank != 4 || x->rank != 4 || y->rank != 4 || !mc_value_const(n->in[1])) return 0;
    if (!mc_q_window_read(n, 4, w->dim + 2, &v->w) || v->w.kh != 3 || v->w.kw != 3 || v->w.groups != 1) return 0;
    if (v->w.sh != 1 || v->w.sw != 1 || v->w.dh != 1 || v->w.dw != 1) return 0;
    v->c = x->dim[3];
    v->m = w->dim[0];
    if (v->c != w->dim[1] || v->c < 1 || v->m < 1) return 0;
    v->row = up16(v->c) + 16;
    v->most = V_FLOATS / (PLANES * v->row) / 14 * 14;
    v->most = v->most < 14 ? 14 : v->most > TILES ? TILES : v->most;
    v->tiles = tiles_of(known(y->dim[0]), known(y->dim[1]), known(y->dim[2]));
    return worth(v);
}

static int32_t claim(const mc_node *n, mcomp_claim *out)
{
    winograd v = {0};
    if (!read_winograd(n, &v)) return 0;
    const double outputs = mc_cpu_guess(mc_cpu_out_type(n, 0));
    const double macs = (double)(PLANES * v.c) * (double)v.tiles * (double)up16(v.m);
    return mc_cpu_claim_f32(out, "conv_winograd", outputs, outputs > 0.0 ? macs / outputs * mc_cpu_mac_ns() * 1.4 + 0.1 : 0.1);
}

/* G g G' of one filter and channel (g: 3 x 3), rounded once. */
static void transform_weight(const float *g, float u[PLANES])
{
    double s[4][3];
    for (int j = 0; j < 3; j++) {
        const double g0 = (double)g[j], g1 = (double)g[3 + j], g2 = (double)g[6 + j];
        s[0][j] = g0;
        s[1][j] = 0.5 * (g0 + g1 + g2);
        s[2][j] = 0.5 * (g0 - g1 + g2);
        s[3][j] = g2;
    }
    for (int i = 0; i < 4; i++) {
        u[4 * i] = (float)s[i][0];
        u[4 * i + 1] = (float)(0.5 * (s[i][0] + s[i][1] + s[i][2]));
        u[4 * i + 2] = (float)(0.5 * (s[i][0] - s[i][1] + s[i][2]));
        u[4 * i + 3] = (float)s[i][2];
    }
}

/* Weights [M][C][3][3] -> for each group of columns and each plane, packed panels of [C][columns]. */
static int32_t fill(void *ctx, void *block)
{
    const mc_cpu_step *s = ctx;
    const winograd *v = s->state;
    const float *w = mc_value_const(s->node->in[1])->data;
    float u[PLANES];
    for (int64_t j0 = 0; j0 < v->m; j0 += COLUMNS) {
        float *group = (float *)block + j0 * PLANES * v->c;
        const int64_t columns = up16(v->m - j0 < COLUMNS ? v->m - j0 : COLUMNS), plane = columns * v->c;
        for (int64_t j = 0; j < columns; j++)
            for (int64_t c = 0; c < v->c; c++) {
                if (j0 + j < v->m) transform_weight(w + ((j0 + j) * v->c + c) * 9, u);
                else memset(u, 0, sizeof u);
                for (int t = 0; t < PLANES; t++)
                    group[t * plane + (j / MC_GEMM_PANEL * v->c + c) * MC_GEMM_PANEL + j % MC_GEMM_PANEL] = u[t];
            }
    }
    return MCOMP_OK;
}

static int64_t v_plane(const winograd *v, int64_t tiles) { return tiles * v->row + 16; }
static int64_t z_plane(int64_t tiles) { return tiles * COLUMNS + 16; }

typedef struct held { /* what a worker has in its scratch; a cache line of its own */
    int64_t tile; /* first tile of the block, -1: none */
    int64_t pad[7];
} held;

static int32_t prepare(mc_cpu_step *s)
{
    int32_t st = MCOMP_OK;
    char key[64];
    const void *block = NULL;
    winograd *v = mc_calloc(1, sizeof *v);
    if (!v) return MCOMP_NO_MEMORY;
    s->state = v;
    if (!read_winograd(s->node, v)) return mc_fail(MCOMP_INTERNAL, s->node->name, "not a convolution this kernel knows");
    MC_TRY(mc_cpu_epilogue_read(s->node, &v->e));
    snprintf(key, sizeof key, "winograd_f32:%llx", (unsigned long long)s->host->value_key((const mcomp_bk_value *)(const void *)s->node->in[1]));
    MC_TRY(s->host->pack(s->store, key, (uint64_t)(PLANES * v->c) * (uint64_t)up16(v->m) * sizeof(float), fill, s, &block));
    v->weight = block;
    s->scratch_bytes = (uint64_t)s->threads * sizeof(held);
    s->worker_scratch_bytes = (uint64_t)(PLANES * (v_plane(v, v->most) + z_plane(v->most)) + v->c) * sizeof(float);
done:
    return st;
}

typedef struct winograd_work {
    const mc_cpu_step *s;
    const mcomp_run_args *a;
    const winograd *v;
    mc_q_image i;
    const float *x, *bias, *residual;
    float *y;
    int64_t th, tw, tiles, rows, columns, column_tiles; /* tiles of an image, of the run; tiles and columns of a task */
} winograd_work;

typedef struct place { /* of a tile */
    int64_t image, y, x; /* its first output */
} place;

static place place_of(const winograd_work *w, int64_t tile)
{
    return (place){tile / w->tw / w->th, tile / w->tw % w->th * 2, tile % w->tw * 2};
}

static void next_tile(const winograd_work *w, place *p)
{
    p->x += 2;
    if (p->x < w->i.ow) return;
    p->x = 0;
    p->y += 2;
    if (p->y < w->i.oh) return;
    p->y = 0;
    p->image++;
}

/* Inputs of tiles t0 .. t1 into rows of v; zeros: C of them, for the padding. */
static void transform_inputs(const winograd_work *w, int64_t t0, int64_t t1, float *v, int64_t plane, const float *zeros)
{
    const mc_q_image *i = &w->i;
    place p = place_of(w, t0);
    for (int64_t t = t0; t < t1; t++, v += w->v->row) {
        const int64_t iy = p.y - w->v->w.top, ix = p.x - w->v->w.left;
        const float *x[16], *image = w->x + p.image * i->h * i->w * i->c;
        for (int64_t k = 0; k < 16; k++) {
            const int64_t r = iy + k / 4, c = ix + k % 4;
            x[k] = r >= 0 && r < i->h && c >= 0 && c < i->w ? image + (r * i->w + c) * i->c : zeros;
        }
        w->s->kernels->f32.winograd_in(x, v, plane, i->c);
        next_tile(w, &p);
    }
}

/* Sums of tiles t0 .. t1 and a group of columns from j0 on into outputs. */
static void transform_outputs(const winograd_work *w, int64_t t0, int64_t t1, int64_t j0, int64_t n, const float *z, int64_t plane)
{
    const mc_q_image *i = &w->i;
    mcomp_epilogue_f32 e = w->v->e;
    mc_gemm_f32 g = {0};
    e.bias = w->bias ? w->bias + j0 : NULL;
    e.residual = w->residual;
    e.ld_r = i->m;
    const int finished = mc_cpu_finish(&g, &e), plain = !finished || !g.finish;
    mc_winograd_out_f32 o = {.z = z, .plane = plane, .n = n, .bias = plain ? NULL : e.bias, .lo = plain ? -INFINITY : g.lo, .hi = plain ? INFINITY : g.hi};
    place p = place_of(w, t0);
    for (int64_t t = t0; t < t1; t++, o.z += COLUMNS) {
        const int64_t first = ((p.image * i->oh + p.y) * i->ow + p.x) * i->m + j0;
        for (int k = 0; k < 4; k++) {
            const int inside = p.y + k / 2 < i->oh && p.x + k % 2 < i->ow;
            const int64_t at = first + (k / 2 * i->ow + k % 2) * i->m;
            o.y[k] = inside ? w->y + at : NULL;
            o.residual[k] = inside && !plain && w->residual ? w->residual + at : NULL;
        }
        w->s->kernels->f32.winograd_out(&o);
        for (int k = 0; k < 4 && !finished; k += 2) {
            if (!o.y[k]) continue;
            e.residual = w->residual ? w->residual + (o.y[k] - w->y) : NULL;
            w->s->kernels->f32.epilogue(&e, o.y[k], i->m, o.y[k + 1] ? 2 : 1, n);
        }
        next_tile(w, &p);
    }
}

static void winograd_task(void *ctx, int64_t task, int32_t worker)
{
    const winograd_work *w = ctx;
    const winograd *v = w->v;
    const int64_t t0 = task / w->column_tiles * w->rows, t1 = t0 + w->rows < w->tiles ? t0 + w->rows : w->tiles, n = t1 - t0;
    const int64_t c0 = task % w->column_tiles * w->columns, c1 = c0 + w->columns < v->m ? c0 + w->columns : v->m;
    float *in = mc_cpu_worker_scratch(w->a, worker), *z = in + PLANES * v_plane(v, v->most), *zeros = z + PLANES * z_plane(v->most);
    const int64_t plane = v_plane(v, n);
    held *h = (held *)w->a->scratch + worker;
    if (h->tile != t0) {
        memset(zeros, 0, (size_t)v->c * sizeof *zeros);
        transform_inputs(w, t0, t1, in, plane, zeros);
        h->tile = t0;
    }
    for (int64_t j = c0; j < c1;) {
        const int64_t group = j / COLUMNS * COLUMNS, group_end = group + COLUMNS < v->m ? group + COLUMNS : v->m;
        const int64_t end = group_end < c1 ? group_end : c1, panels = up16(group_end - group);
        mc_gemm_f32 g = {.taps = 1, .a_row = v->row, .a_col = 1, .b_row = MC_GEMM_PANEL, .b_panel = MC_GEMM_PANEL * v->c, .ldc = COLUMNS,
                         .m = n, .n = end - j, .k = v->c};
        for (int64_t t = 0; t < PLANES; t++) {
            g.a = in + t * plane;
            g.b = v->weight + (group * PLANES + t * panels + (j - group)) * v->c;
            g.c = z + t * z_plane(n);
            g.ahead = g.b + panels * v->c;
            w->s->kernels->f32.gemm(&g);
        }
        transform_outputs(w, t0, t1, j, end - j, z, z_plane(n));
        j = end;
    }
}

static int32_t run(const mc_cpu_step *s, const mcomp_run_args *a)
{
    const winograd *v = s->state;
    const mcomp_bk_buffer *x = mc_cpu_in(s, a, 0), *y = mc_cpu_out(s, a, 0), *bias = mc_cpu_in(s, a, 2), *residual = mc_cpu_in(s, a, 3);
    winograd_work w = {.s = s, .a = a, .v = v, .i = mc_q_image_of(x, y), .x = x->data, .y = y->data, .bias = bias ? bias->data : NULL,
                       .residual = residual ? residual->data : NULL};
    if (mc_cpu_elements(y) == 0) return MCOMP_OK;
    w.th = (w.i.oh + 1) / 2;
    w.tw = (w.i.ow + 1) / 2;
    w.tiles = w.i.n * w.th * w.tw;
    int64_t blocks = (w.tiles + v->most - 1) / v->most;
    if (blocks < MIN_TASKS && PLANES * v->c * up16(v->m) <= WEIGHTS_NEAR) { /* reading the weights more often is cheap */
        blocks = w.tiles / LEAST < MIN_TASKS ? w.tiles / LEAST : MIN_TASKS;
        if (blocks < 1) blocks = 1;
    }
    w.rows = (w.tiles + blocks - 1) / blocks;
    w.columns = v->m;
    if (blocks < MIN_TASKS) {
        const int64_t parts = (MIN_TASKS + blocks - 1) / blocks;
        w.columns = mc_q_up((v->m + parts - 1) / parts, 32);
    }
    w.column_tiles = (v->m + w.columns - 1) / w.columns;
    for (int32_t i = 0; i < s->threads; i++) ((held *)a->scratch)[i].tile = -1;
    if ((double)w.tiles * (double)(PLANES * v->c) * (double)v->m < TASK_MACS) {
        for (int64_t i = 0; i < blocks * w.column_tiles; i++) winograd_task(&w, i, 0);
    } else {
        s->host->parallel_for(a->pool, blocks * w.column_tiles, winograd_task, &w);
    }
    return MCOMP_OK;
}

const mc_cpu_impl mc_cpu_winograd = {.domain = "mcomp", .op = "Conv", .claim = claim, .prepare = prepare, .run = run};
