/* Conv on channels-first images whose weights change from run to run, and its gradients mcomp.ConvGradInput and
 * mcomp.ConvGradWeight, as matrix products on unfolded images (im2col). With col [depth][pixels] of one image and group:
 *   forward  Y = W col                    rows of W and of Y are output channels
 *   input    dX = fold(W' dY)
 *   weight   dW' = sum over images of col dY'
 * Constant weights are mcomp.Conv, which is channels-last (impl_conv.c). */
#include "backends/cpu/planes.h"

#define PARTS 16                /* images of a weight gradient are summed in so many parts */
#define PART_FLOATS (1 << 23)   /* of all parts together, at most */

enum { FORWARD, BY_INPUT, BY_WEIGHT };

static int form_of(const mc_node *n) { return strcmp(n->op, "Conv") == 0 ? FORWARD : strcmp(n->op, "ConvGradInput") == 0 ? BY_INPUT : BY_WEIGHT; }

/* Which inputs stand for X, W and Y (-1: the output). */
static const int8_t operand[3][3] = {{0, 1, -1}, {-1, 1, 0}, {1, -1, 0}};

static const mc_type *type_of(const mc_node *n, int what)
{
    const int i = operand[form_of(n)][what];
    return i < 0 ? mc_cpu_out_type(n, 0) : mc_cpu_in_type(n, i);
}

static int read_node(const mc_node *n, mc_cpu_planes *p)
{
    const mc_type *x = type_of(n, 0), *w = type_of(n, 1), *y = type_of(n, 2);
    if (!mc_cpu_is(x, MCOMP_F32) || !mc_cpu_is(w, MCOMP_F32) || !mc_cpu_is(y, MCOMP_F32) || x->rank != w->rank || y->rank != x->rank) return 0;
    if (!mc_cpu_planes_read(n, x->rank, w->dim + 2, &p->w)) return 0;
    for (int32_t i = 0; i < x->rank; i++)
        if (x->dim[i] < 0 || y->dim[i] < 0 || w->dim[i] < 0) return 0;
    mc_cpu_planes_dims(p, x->dim, y->dim, x->rank);
    return p->c > 0 && p->m > 0 && p->c % p->w.groups == 0 && p->m % p->w.groups == 0 && w->dim[0] == p->m && w->dim[1] == p->c / p->w.groups;
}

static int32_t claim(const mc_node *n, mcomp_claim *out)
{
    static const char *const names[] = {"conv_planes", "conv_grad_input", "conv_grad_weight"};
    mc_cpu_planes p;
    const mc_type *b = form_of(n) == FORWARD ? mc_cpu_in_type(n, 2) : NULL;
    if (!read_node(n, &p) || (b && !mc_cpu_is(b, MCOMP_F32))) return 0;
    return mc_cpu_claim_f32(out, names[form_of(n)], (double)(p.n * p.m * p.oh * p.ow), (double)p.depth * mc_cpu_mac_ns() * 1.5 + 0.3);
}

static int64_t up16(int64_t n) { return (n + 15) / 16 * 16; }

/* Parts of the images and blocks of output channels of a weight gradient. */
typedef struct weight_cut {
    int64_t parts, images, blocks, channels;
} weight_cut;

static weight_cut cut_weight(const mc_cpu_planes *p)
{
    const int64_t size = p->m * p->depth, mg = p->m / p->w.groups;
    weight_cut c = {.parts = p->n < PARTS ? p->n : PARTS, .blocks = 1};
    while (c.parts > 1 && c.parts * size > PART_FLOATS) c.parts--;
    if (c.parts < 1) c.parts = 1;
    c.images = (p->n + c.parts - 1) / c.parts;
    if (c.images > 0) c.parts = (p->n + c.images - 1) / c.images;
    if (c.parts < PARTS / 2 && mg >= 128) c.blocks = mg / 64 < PARTS / c.parts ? mg / 64 : PARTS / c.parts;
    c.channels = up16((mg + c.blocks - 1) / c.blocks);
    c.blocks = (mg + c.channels - 1) / c.channels;
    return c;
}

static int32_t prepare(mc_cpu_step *s)
{
    mc_cpu_planes *p = mc_calloc(1, sizeof *p);
    if (!p) return MCOMP_NO_MEMORY;
    s->state = p;
    if (!read_node(s->node, p)) return mc_fail(MCOMP_INTERNAL, s->node->name, "not a convolution this kernel knows");
    const int64_t block = mc_cpu_planes_block(p), mg = p->m / p->w.groups;
    const int form = form_of(s->node);
    int64_t scratch = 0, packed = block + 16 * p->depth;
    if (form == BY_INPUT) {
        scratch = p->w.groups * (p->depth + 15) * mg;
        packed = mg * (block / (p->depth > 0 ? p->depth : 1) + p->ow + 16);
    } else if (form == BY_WEIGHT) {
        const int64_t parts = (p->n < PARTS ? p->n : PARTS) * p->m * p->depth, one = p->m * p->depth;
        scratch = parts > PART_FLOATS ? (one > PART_FLOATS ? one : PART_FLOATS) : parts;
        packed = up16(mg) * (block / (p->depth > 0 ? p->depth : 1) + p->ow + 16);
    }
    s->scratch_bytes = (uint64_t)scratch * sizeof(float);
    s->worker_scratch_bytes = (uint64_t)(block + packed + 64) * sizeof(float);
    return MCOMP_OK;
}

typedef struct conv_work {
    const mc_cpu_step *s;
    const mcomp_run_args *a;
    mc_cpu_planes p;
    const float *x, *w, *dy, *bias; /* dy: gradient of the output */
    float *out;                     /* Y, dX, or dW */
    int64_t rows, blocks;           /* output rows of a block, blocks of an image */
    weight_cut cut;
} conv_work;

/* ---- forward ---- */

static void forward_task(void *ctx, int64_t task, int32_t worker)
{
    const conv_work *w = ctx;
    const mc_cpu_planes *p = &w->p;
    const mc_kernels *k = w->s->kernels;
    const int64_t image = task / w->blocks, y0 = task % w->blocks * w->rows, rows = p->oh - y0 < w->rows ? p->oh - y0 : w->rows;
    const int64_t cg = p->c / p->w.groups, mg = p->m / p->w.groups, plane = p->oh * p->ow, n = rows * p->ow;
    float *col = mc_cpu_worker_scratch(w->a, worker), *packed = col + up16(mc_cpu_planes_block(p));
    for (int64_t g = 0; g < p->w.groups; g++) {
        mc_gemm_f32 t = {.a = w->w + g * mg * p->depth, .taps = 1, .a_row = p->depth, .a_col = 1, .b = packed, .b_row = MC_GEMM_PANEL,
                         .b_panel = MC_GEMM_PANEL * p->depth, .c = w->out + (image * p->m + g * mg) * plane + y0 * p->ow, .ldc = plane,
                         .m = mg, .n = n, .k = p->depth, .accumulate = w->bias != NULL};
        mc_cpu_planes_unfold(k, p, w->x + (image * p->c + g * cg) * p->h * p->wd, y0, rows, col);
        k->f32.pack(col, n, 1, p->depth, n, 1.0f, packed);
        for (int64_t i = 0; w->bias && i < mg; i++) /* the sums start from the bias */
            for (int64_t j = 0; j < n; j++) t.c[i * plane + j] = w->bias[g * mg + i];
        k->f32.gemm(&t);
    }
}

/* ---- gradient of the input ---- */

static void pack_weight(void *ctx, int64_t begin, int64_t end, int32_t worker)
{
    const conv_work *w = ctx;
    const mc_cpu_planes *p = &w->p;
    const int64_t mg = p->m / p->w.groups;
    (void)worker;
    for (int64_t g = begin; g < end; g++)
        w->s->kernels->f32.pack_rows(w->w + g * mg * p->depth, 1, p->depth, p->depth, mg, (float *)w->a->scratch + g * (p->depth + 15) * mg);
}

static void input_task(void *ctx, int64_t task, int32_t worker)
{
    const conv_work *w = ctx;
    const mc_cpu_planes *p = &w->p;
    const mc_kernels *k = w->s->kernels;
    const int64_t image = task / p->w.groups, g = task % p->w.groups;
    const int64_t cg = p->c / p->w.groups, mg = p->m / p->w.groups, plane = p->oh * p->ow, size = cg * p->h * p->wd;
    float *col = mc_cpu_worker_scratch(w->a, worker), *packed = col + up16(mc_cpu_planes_block(p)), *dx = w->out + task * size;
    memset(dx, 0, (size_t)size * sizeof *dx);
    for (int64_t y0 = 0; y0 < p->oh; y0 += w->rows) {
        const int64_t rows = p->oh - y0 < w->rows ? p->oh - y0 : w->rows, n = rows * p->ow;
        const mc_gemm_f32 t = {.a = (const float *)w->a->scratch + g * (p->depth + 15) * mg, .tiles = 1, .taps = 1, .b = packed,
                               .b_row = MC_GEMM_PANEL, .b_panel = MC_GEMM_PANEL * mg, .c = col, .ldc = n, .m = p->depth, .n = n, .k = mg};
        k->f32.pack(w->dy + (image * p->m + g * mg) * plane + y0 * p->ow, plane, 1, mg, n, 1.0f, packed);
        k->f32.gemm(&t);
        mc_cpu_planes_fold(k, p, col, y0, rows, dx);
    }
}

/* ---- gradient of the weight ---- */

static void weight_task(void *ctx, int64_t task, int32_t worker)
{
    const conv_work *w = ctx;
    const mc_cpu_planes *p = &w->p;
    const mc_kernels *k = w->s->kernels;
    const int64_t block = task % w->cut.blocks, g = task / w->cut.blocks % p->w.groups, part = task / w->cut.blocks / p->w.groups;
    const int64_t cg = p->c / p->w.groups, mg = p->m / p->w.groups, plane = p->oh * p->ow, m0 = block * w->cut.channels;
    const int64_t first = part * w->cut.images, last = first + w->cut.images < p->n ? first + w->cut.images : p->n;
    float *col = mc_cpu_worker_scratch(w->a, worker), *packed = col + up16(mc_cpu_planes_block(p));
    mc_gemm_f32 t = {.a = col, .taps = 1, .a_col = 1, .b = packed, .b_row = MC_GEMM_PANEL,
                     .c = (float *)w->a->scratch + part * p->m * p->depth + g * mg * p->depth + m0, .ldc = mg, .m = p->depth,
                     .n = mg - m0 < w->cut.channels ? mg - m0 : w->cut.channels};
    for (int64_t image = first; image < last; image++)
        for (int64_t y0 = 0; y0 < p->oh; y0 += w->rows) {
            const int64_t rows = p->oh - y0 < w->rows ? p->oh - y0 : w->rows;
            t.k = t.a_row = rows * p->ow;
            t.b_panel = MC_GEMM_PANEL * t.k;
            mc_cpu_planes_unfold(k, p, w->x + (image * p->c + g * cg) * p->h * p->wd, y0, rows, col);
            k->f32.pack(w->dy + (image * p->m + g * mg + m0) * plane + y0 * p->ow, 1, plane, t.k, t.n, 1.0f, packed);
            t.accumulate = image > first || y0 > 0;
            k->f32.gemm(&t);
        }
}

/* Parts joined in order and turned over: [groups][depth][m / groups] to dW. */
static void finish_weight(const conv_work *w)
{
    const mc_cpu_planes *p = &w->p;
    const mc_kernels_f32 *k = &w->s->kernels->f32;
    const int64_t mg = p->m / p->w.groups, size = p->m * p->depth;
    float *sum = w->a->scratch;
    for (int64_t i = 1; i < w->cut.parts; i++) k->binary(MC_BINARY_ADD, sum, 1, sum + i * size, 1, sum, size);
    for (int64_t g = 0; g < p->w.groups; g++) k->transpose(sum + g * mg * p->depth, mg, w->out + g * mg * p->depth, p->depth, p->depth, mg);
}

static int32_t run(const mc_cpu_step *s, const mcomp_run_args *a)
{
    const int form = form_of(s->node);
    const mcomp_bk_buffer *b[3], *bias = form == FORWARD ? mc_cpu_in(s, a, 2) : NULL;
    conv_work w = {.s = s, .a = a, .p = *(const mc_cpu_planes *)s->state, .out = mc_cpu_out(s, a, 0)->data, .bias = bias ? bias->data : NULL};
    for (int i = 0; i < 3; i++) b[i] = operand[form][i] < 0 ? mc_cpu_out(s, a, 0) : mc_cpu_in(s, a, operand[form][i]);
    mc_cpu_planes_dims(&w.p, b[0]->dims, b[2]->dims, b[0]->rank);
    w.x = b[0]->data;
    w.w = b[1]->data;
    w.dy = b[2]->data;
    w.rows = mc_cpu_planes_rows(&w.p);
    w.blocks = w.rows > 0 ? (w.p.oh + w.rows - 1) / w.rows : 0;
    w.cut = cut_weight(&w.p);
    if (mc_cpu_elements(b[0]) == 0 || mc_cpu_elements(b[2]) == 0) return mc_cpu_ref.run(s, a);
    if (form == FORWARD) {
        s->host->parallel_for(a->pool, w.p.n * w.blocks, forward_task, &w);
    } else if (form == BY_INPUT) {
        mc_cpu_split(s, a, w.p.w.groups, w.p.depth * (w.p.m / w.p.w.groups), pack_weight, &w);
        s->host->parallel_for(a->pool, w.p.n * w.p.w.groups, input_task, &w);
    } else {
        s->host->parallel_for(a->pool, w.cut.parts * w.p.w.groups * w.cut.blocks, weight_task, &w);
        finish_weight(&w);
    }
    return MCOMP_OK;
}

const mc_cpu_impl mc_cpu_conv_planes = {.domain = "", .op = "Conv", .claim = claim, .prepare = prepare, .run = run};
const mc_cpu_impl mc_cpu_conv_grad_input = {.domain = "mcomp", .op = "ConvGradInput", .claim = claim, .prepare = prepare, .run = run};
const mc_cpu_impl mc_cpu_conv_grad_weight = {.domain = "mcomp", .op = "ConvGradWeight", .claim = claim, .prepare = prepare, .run = run};
