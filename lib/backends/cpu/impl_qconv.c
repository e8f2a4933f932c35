/* mcomp.QConv: channels-last convolution of bytes, one or two spatial axes, through the integer GEMM with indirect rows.
 *
 * An output pixel is a row of the product: its window is one run a kernel row (kw * C bytes lie together), or one run a tap
 * with dilation or groups. Where there is padding, or bytes are signed, a task first copies the input rows that it looks at,
 * padded, into the worker's scratch; otherwise the windows are read in place. */
#include "backends/cpu/qwindow.h"

#define PIXELS 64      /* output pixels of a task, about */
#define TILE 64        /* most output pixels multiplied at once */
#define MIN_TASKS 8    /* fewer row tasks than this: columns are shared out too */
#define COLUMNS 48
#define MAX_GROUPS 64

typedef struct conv {
    mc_q_window win;
    mc_qmap x_map;
    mc_q_finish finish;
    int64_t m, cg; /* outputs of a group, channels of a group */
    int32_t runs, in_place;
    int32_t dynamic; /* scale and zero point of X are operands 5 and 6 */
    mc_q_matrix *w;  /* [groups] */
    int32_t *init;   /* [groups][m padded] */
} conv;

static int is_one(const mc_type *t, int32_t dtype) { return t && t->dtype == dtype && (t->rank == 0 || (t->rank == 1 && t->dim[0] == 1)); }

static int read_map(const mc_node *n, int32_t dtype, conv *c)
{
    c->dynamic = n->n_in > 5 && n->in[5];
    if (!c->dynamic) return mc_q_map(n, "x", dtype, &c->x_map);
    c->x_map = mc_q_map_of(1.0f, 0, dtype); /* the run's comes later */
    return n->n_in > 6 && is_one(mc_cpu_in_type(n, 5), MCOMP_F32) && is_one(mc_cpu_in_type(n, 6), dtype);
}

static int read_node(const mc_node *n, conv *c)
{
    const mc_type *x = mc_cpu_in_type(n, 0);
    const mc_tensor *w = n->n_in > 2 && n->in[1] ? mc_value_const(n->in[1]) : NULL;
    memset(c, 0, sizeof *c);
    if (!x || !w || w->dtype != MCOMP_I8 || !mc_q_is_byte(x) || x->rank != w->shape.rank) return 0;
    if (!mc_q_window_read(n, x->rank, &w->shape.dim[2], &c->win) || !read_map(n, x->dtype, c)) return 0;
    const mc_q_window *g = &c->win;
    c->cg = w->shape.dim[1];
    if (w->shape.dim[0] < 1 || c->cg < 1 || g->groups > MAX_GROUPS || w->shape.dim[0] % g->groups != 0) return 0;
    c->m = w->shape.dim[0] / g->groups;
    if (c->cg * g->kh * g->kw > MC_Q_MAX_K) return 0;
    c->runs = g->groups == 1 && g->dw == 1;
    c->in_place = x->dtype == MCOMP_U8 && !(g->top | g->left | g->bottom | g->right) && (c->runs ? g->kw * c->cg : c->cg) % 4 == 0;
    /* copies are planned for the sizes of the image, which may not be unknown then */
    for (int32_t d = 1; d < x->rank && !c->in_place; d++)
        if (x->dim[d] < 1 || mc_cpu_out_type(n, 0)->rank != x->rank || mc_cpu_out_type(n, 0)->dim[d] < 1) return 0;
    return mc_q_finish_read(n, 2, 0, w->shape.dim[0], &c->finish);
}

static mc_q_layout layout_of(const conv *c)
{
    return (mc_q_layout){.order = MC_Q_OIHW, .groups = (int32_t)c->win.groups, .n = c->m, .channels = c->cg, .kh = c->win.kh,
                         .kw = c->win.kw, .rows_as_runs = c->runs};
}

/* Most output pixels multiplied at once: few, so that sums stay near, unless that would read large weights too often. */
static int64_t most_of(int64_t weights) { return weights > 200000 ? TILE : TILE / 2; }

/* Output pixels are the rows. */
static mc_q_choice choose(const mc_node *n, const mc_q_layout *l)
{
    const double pixels = mc_q_guess(mc_cpu_out_type(n, 0)) / (double)(l->n * l->groups);
    const double most = (double)most_of(l->n * l->channels * l->kh * l->kw);
    return mc_q_choose(n, l, mc_value_const(n->in[1])->data, pixels < most ? pixels : most);
}

static int32_t claim(const mc_node *n, mcomp_claim *out)
{
    conv c;
    if (!read_node(n, &c)) return 0;
    const double y = mc_q_guess(mc_cpu_out_type(n, 0)), x = mc_q_guess(mc_cpu_in_type(n, 0));
    const mc_type *r = mc_cpu_in_type(n, 4), *o = mc_cpu_out_type(n, 0);
    if (r && r->dtype == o->dtype) out->inplace_input = 1 + 4;
    /* panels are 16 columns wide and quads 4 weights deep */
    const double depth = (double)(c.win.kh * (c.runs ? mc_q_up(c.win.kw * c.cg, 4) : c.win.kw * mc_q_up(c.cg, 4)));
    const mc_q_layout layout = layout_of(&c);
    const mc_q_choice how = choose(n, &layout);
    (void)mc_q_claim_product(out, "qconv", &how, y / (double)c.m * (double)mc_q_up(c.m, 16) * depth, x + y * 2.0);
    out->cost_us += (y / (double)c.m / TILE + (double)c.win.groups) * 0.1; /* tiles: one a group and TILE pixels, at least */
    return 1;
}

static void release(mc_cpu_step *s)
{
    conv *c = s->state;
    if (c) {
        mc_free(c->w);
        mc_free(c->init);
    }
    mc_free(c);
}

/* Pixels multiplied at once: whole output rows or equal parts of one, because kernels like their rows equally spaced. */
static int64_t tile_of(const conv *c, int64_t ow)
{
    const int64_t most = most_of(c->cg * c->win.kh * c->win.kw * c->m), parts = (ow + most - 1) / most;
    return ow <= most ? most / ow * ow : (ow + parts - 1) / parts;
}

/* Output rows of a task: about PIXELS pixels, and two rows, which look at many of the same input rows. */
static int64_t task_rows(const mc_q_image *i)
{
    const int64_t r = PIXELS / (i->ow > 0 ? i->ow : 1);
    return i->oh < 2 ? i->oh : r < 2 ? 2 : r > i->oh ? i->oh : r;
}

static int64_t segments_of(const conv *c) { return c->runs ? c->win.kh : c->win.kh * c->win.kw; }

/* Worker scratch: run offsets, row pointers, the copy, the tile. */
static int64_t fixed_bytes(const conv *c) { return mc_q_up(segments_of(c) * 8, 64) + TILE * 8; }

static int32_t prepare(mc_cpu_step *s)
{
    int32_t st = MCOMP_OK;
    conv *c = mc_calloc(1, sizeof *c);
    if (!c) return MCOMP_NO_MEMORY;
    s->state = c;
    if (!read_node(s->node, c)) MC_FAIL(MCOMP_UNSUPPORTED, s->node->name, "QConv of an unknown form");
    const mc_type *x = mc_cpu_in_type(s->node, 0), *y = mc_cpu_out_type(s->node, 0);
    mc_q_layout layout = layout_of(c);
    layout.sparse = choose(s->node, &layout).sparse;
    c->w = mc_calloc((size_t)c->win.groups, sizeof *c->w);
    c->init = mc_calloc((size_t)(c->win.groups * mc_q_padded(c->m)), sizeof *c->init);
    if (!c->w || !c->init) MC_FAIL(MCOMP_NO_MEMORY, s->node->name, "no memory for a convolution");
    MC_TRY(mc_q_pack(s, 1, &layout, c->w));
    for (int64_t g = 0; g < c->win.groups; g++) mc_q_init(&c->w[g], c->x_map.zp, c->init + g * mc_q_padded(c->m));
    if (c->dynamic) s->scratch_bytes = (uint64_t)(c->win.groups * mc_q_padded(c->m)) * sizeof *c->init;
    s->worker_scratch_bytes = (uint64_t)fixed_bytes(c) + mc_q_tile_scratch(s->kernels, &c->w[0], TILE, &c->finish);
    if (!c->in_place) {
        const mc_q_image i = {.c = x->dim[x->rank - 1], .ow = y->dim[y->rank - 2], .oh = y->rank == 4 ? y->dim[1] : 1};
        s->worker_scratch_bytes += (uint64_t)mc_q_copy_bytes(&c->win, &i, task_rows(&i));
    }
done:
    return st;
}

typedef struct job {
    const mc_cpu_step *s;
    const mcomp_run_args *a;
    const conv *c;
    mc_q_image i;
    const uint8_t *x, *r;
    uint8_t *y;
    int64_t rows, row_tasks, cols, col_tasks; /* rows and columns a task; row tasks an image */
} job;

/* Where the windows of m output pixels from pixel p begin. */
static void point_rows(const mc_q_window *w, const mc_q_image *i, const uint8_t *x, int64_t pitch, int64_t p, int64_t m,
                       const uint8_t **rows)
{
    int64_t column = p % i->ow;
    const uint8_t *line = x + p / i->ow * w->sh * pitch;
    for (int64_t q = 0; q < m; q++) {
        rows[q] = line + column * w->sw * i->c;
        if (++column < i->ow) continue;
        column = 0;
        line += w->sh * pitch;
    }
}

static void task(void *ctx, int64_t index, int32_t worker)
{
    const job *j = ctx;
    const conv *c = j->c;
    const mc_q_window *w = &c->win;
    const mc_q_image *i = &j->i;
    const int64_t n0 = index % j->col_tasks * j->cols, at = index / j->col_tasks, image = at / j->row_tasks;
    const int64_t oy = at % j->row_tasks * j->rows, oh = i->oh - oy < j->rows ? i->oh - oy : j->rows, pixels = oh * i->ow;
    uint8_t *scratch = mc_cpu_worker_scratch(j->a, worker);
    int64_t *seg = (int64_t *)(void *)scratch;
    const uint8_t **rows = (const uint8_t **)(void *)(scratch + mc_q_up(segments_of(c) * 8, 64));
    uint8_t *rest = scratch + fixed_bytes(c);
    const uint8_t *x = j->x + image * i->h * i->w * i->c;
    int64_t pitch = i->w * i->c; /* bytes from input row to input row */
    if (c->in_place) {
        x += oy * w->sh * pitch;
    } else {
        mc_q_copy(&j->s->kernels->int8, w, i, x, oy, oh, &c->x_map, rest);
        x = rest;
        rest += mc_q_copy_bytes(w, i, j->rows);
        pitch = mc_q_span_w(w, i->ow) * i->c;
    }
    for (int64_t s = 0; s < segments_of(c); s++)
        seg[s] = c->runs ? s * w->dh * pitch : s / w->kw * w->dh * pitch + s % w->kw * w->dw * i->c;
    const int64_t y_element = c->finish.out.quantized ? 1 : 4, r_element = c->finish.residual == MC_QRESIDUAL_F32 ? 4 : 1;
    const int64_t tile = tile_of(c, i->ow);
    for (int64_t p = 0; p < pixels; p += tile) {
        const int64_t m = pixels - p < tile ? pixels - p : tile, first = ((image * i->oh + oy) * i->ow + p) * i->m;
        mc_q_tile t = {.kernels = j->s->kernels, .finish = &c->finish, .rows = rows, .seg = seg, .m = m, .n0 = n0,
                       .cols = c->m - n0 < j->cols ? c->m - n0 : j->cols, .x_scale = c->x_map.scale,
                       .r = j->r ? j->r + first * r_element : NULL, .y = j->y + first * y_element, .ld = i->m, .scratch = rest};
        for (int64_t g = 0; g < w->groups; g++) {
            point_rows(w, i, x + g * c->cg, pitch, p, m, rows);
            t.w = &c->w[g];
            t.init = c->init + g * mc_q_padded(c->m);
            t.channel0 = g * c->m;
            mc_q_tile_run(&t);
        }
    }
}

static void set_run_map(const mc_cpu_step *s, const mcomp_run_args *a, conv *c)
{
    const int32_t dtype = mc_cpu_in_type(s->node, 0)->dtype;
    const void *z = mc_cpu_in(s, a, 6)->data;
    c->x_map = mc_q_map_of(*(const float *)mc_cpu_in(s, a, 5)->data, dtype == MCOMP_I8 ? *(const int8_t *)z : *(const uint8_t *)z, dtype);
    c->init = a->scratch;
    for (int64_t g = 0; g < c->win.groups; g++) mc_q_init(&c->w[g], c->x_map.zp, c->init + g * mc_q_padded(c->m));
}

static int32_t run(const mc_cpu_step *s, const mcomp_run_args *a)
{
    conv own; /* of this run, where X is quantized at run time */
    const conv *c = s->state;
    const mcomp_bk_buffer *x = mc_cpu_in(s, a, 0), *r = mc_cpu_in(s, a, 4), *y = mc_cpu_out(s, a, 0);
    job j = {.s = s, .a = a, .c = c, .i = mc_q_image_of(x, y), .x = x->data, .r = r ? r->data : NULL, .y = y->data, .cols = c->m,
             .col_tasks = 1};
    if (mc_cpu_elements(y) == 0) return MCOMP_OK;
    if (c->dynamic) {
        own = *c;
        set_run_map(s, a, &own);
        j.c = c = &own;
    }
    const mc_q_window *w = &c->win;
    if (w->kh == 1 && w->kw == 1 && w->sh == 1 && w->sw == 1 && c->in_place) { /* every pixel alike: one image of one row of tiles */
        const int64_t pixels = j.i.n * j.i.oh * j.i.ow;
        j.i.n = 1;
        j.i.h = j.i.oh = pixels;
        j.i.w = j.i.ow = 1;
    }
    j.rows = task_rows(&j.i);
    j.row_tasks = (j.i.oh + j.rows - 1) / j.rows;
    if (j.i.n * j.row_tasks < MIN_TASKS && w->groups == 1) {
        const int64_t parts = (MIN_TASKS + j.i.n * j.row_tasks - 1) / (j.i.n * j.row_tasks);
        j.cols = mc_q_up((c->m + parts - 1) / parts, COLUMNS);
        if (j.cols > c->m) j.cols = c->m;
        j.col_tasks = (c->m + j.cols - 1) / j.cols;
    }
    mc_q_parallel(s, a, j.i.n * j.row_tasks * j.col_tasks, (double)mc_cpu_elements(y) * (double)(w->kh * w->kw * c->cg), task, &j);
    return MCOMP_OK;
}

const mc_cpu_impl mc_cpu_qconv = {.domain = "mcomp", .op = "QConv", .claim = claim, .prepare = prepare, .release = release, .run = run};
