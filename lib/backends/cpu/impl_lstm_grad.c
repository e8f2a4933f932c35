/* mcomp.RecurrentGrad of LSTM in float, in the form that impl_lstm.c runs: back-propagation through time by products. The gates are
 * computed again (X W' of all steps is one product); with G the gradients of the pre-activations of all steps and directions,
 *   dh before a step = G R,  dX = G W,  dW = G' X,  dR = G' H,  dB = sums of G. */
#include "backends/cpu/matrix.h"
#include "backends/cpu/sums.h"

enum { DX, DW, DR, DB, DH0, DC0, OUTPUTS };

typedef struct lstm_grad {
    int64_t steps, batch, input, hidden, dirs; /* steps and batch: the most */
} lstm_grad;

static int plain(const mc_node *n, int32_t i, int32_t rank)
{
    return i >= n->n_in || !n->in[i] || (mc_cpu_is(&n->in[i]->type, MCOMP_F32) && n->in[i]->type.rank == rank);
}

static int read_node(const mc_node *n, lstm_grad *l)
{
    static const int32_t rank[11] = {3, 3, 3, 2, -1, 3, 3, -1, 4, 3, 3};
    const mc_type *x = mc_cpu_in_type(n, 0), *w = mc_cpu_in_type(n, 1), *r = mc_cpu_in_type(n, 2);
    if (strcmp(mc_attr_s(n, "of", ""), "LSTM") != 0 || !x || !w || !r) return 0;
    for (int32_t i = 0; i < 11; i++)
        if (rank[i] < 0 ? i < n->n_in && n->in[i] : !plain(n, i, rank[i])) return 0;
    if (mc_node_attr(n, "activations") || mc_node_attr(n, "clip") || mc_attr_i(n, "layout", 0) != 0 || mc_attr_i(n, "input_forget", 0) != 0) return 0;
    *l = (lstm_grad){x->dim[0], x->dim[1], w->dim[2], r->dim[2], r->dim[0]};
    return l->steps >= 0 && l->batch >= 0 && l->input > 0 && l->hidden > 0 && l->dirs >= 1 && l->dirs <= 2;
}

static int32_t claim(const mc_node *n, mcomp_claim *out)
{
    lstm_grad l;
    if (!read_node(n, &l)) return 0;
    return mc_cpu_claim_f32(out, "lstm_grad", (double)(l.steps * l.batch * l.dirs) * 12.0 * (double)(l.hidden * (l.hidden + l.input)), mc_cpu_mac_ns() * 2.0);
}

static int64_t up16(int64_t n) { return (n + 15) / 16 * 16; }

/* Scratch of a run; the products' own comes first. */
typedef struct parts {
    float *gates, *h, *c;      /* [steps][batch][4H], then G; states before each step [steps][batch][H] */
    float *dh, *dc, *tanh_c;   /* [batch][H] */
    float *w, *r, *r_back;     /* packed: W' [in][4H], R' [H][4H], R [4H][H] */
    float *bias, *dx;          /* [4H]; [steps][batch][in] of the second direction */
} parts;

static uint64_t lay_out(parts *p, float *at, const lstm_grad *l)
{
    const int64_t rows = l->steps * l->batch, h = l->hidden, state = up16(l->batch * h);
    const int64_t size[] = {up16(rows * 4 * h), up16(rows * h), up16(rows * h), state, state, state, up16(4 * h) * l->input, up16(4 * h) * h,
                            up16(h) * 4 * h, up16(4 * h), up16(rows * l->input)};
    float **to[] = {&p->gates, &p->h, &p->c, &p->dh, &p->dc, &p->tanh_c, &p->w, &p->r, &p->r_back, &p->bias, &p->dx};
    int64_t total = 0;
    for (size_t i = 0; i < sizeof size / sizeof *size; i++) {
        *to[i] = at ? at + total : NULL;
        total += size[i];
    }
    return (uint64_t)total * sizeof(float);
}

static uint64_t products_scratch(const mc_cpu_step *s, const lstm_grad *l, uint64_t *worker)
{
    mc_cpu_step t = *s;
    uint64_t most = mc_cpu_sums_scratch();
    const int64_t sizes[3][2] = {{l->input, 4 * l->hidden}, {l->input, l->steps * l->batch}, {l->hidden, l->steps * l->batch}};
    for (int i = 0; i < 3; i++) {
        mc_cpu_matrix_scratch(&t, sizes[i][0], sizes[i][1]);
        if (t.scratch_bytes > most) most = t.scratch_bytes;
    }
    *worker = t.worker_scratch_bytes;
    return (most + 63) & ~(uint64_t)63;
}

static int32_t prepare(mc_cpu_step *s)
{
    parts p;
    lstm_grad *l = mc_calloc(1, sizeof *l);
    if (!l) return MCOMP_NO_MEMORY;
    s->state = l;
    if (!read_node(s->node, l)) return mc_fail(MCOMP_INTERNAL, s->node->name, "not an LSTM this kernel knows");
    s->scratch_bytes = products_scratch(s, l, &s->worker_scratch_bytes) + lay_out(&p, NULL, l);
    return MCOMP_OK;
}

typedef struct grad_run {
    const mc_cpu_step *s;
    const mcomp_run_args *a;
    const mc_kernels_f32 *k;
    lstm_grad l;
    parts p;
    int64_t d;
    int backwards;
    const float *x, *w, *r, *b, *dy; /* of this direction; dy [steps][dirs][batch][H] of all */
} grad_run;

static const float *in_data(const grad_run *g, int32_t i, int64_t offset)
{
    const float *p = mc_cpu_in_f32(g->s, g->a, i);
    return p ? p + offset : NULL;
}
static float *out_data(const grad_run *g, int32_t i, int64_t offset)
{
    float *p = mc_cpu_out_f32(g->s, g->a, i);
    return p ? p + offset : NULL;
}

static void load_state(float *to, const float *from, int64_t n)
{
    if (from) memcpy(to, from, (size_t)n * sizeof *to);
    else memset(to, 0, (size_t)n * sizeof *to);
}

static void step_product(const grad_run *g, const float *x, int64_t k, const float *packed, float *c, int64_t n, int32_t accumulate)
{
    mc_cpu_product_args p = {.e = {.size = sizeof p.e}};
    p.g = (mc_gemm_f32){.a = x, .taps = 1, .a_row = k, .a_col = 1, .b = packed, .b_row = MC_GEMM_PANEL, .b_panel = MC_GEMM_PANEL * k, .c = c,
                        .ldc = n, .m = g->l.batch, .n = n, .k = k, .accumulate = accumulate};
    mc_cpu_gemm(g->s, g->a, &p);
}

/* Gates of all steps, after their activations, and the states before each step. */
static void forward(grad_run *g)
{
    const lstm_grad *l = &g->l;
    const int64_t h = l->hidden, n = l->batch * h;
    float *next_h = g->p.dh, *next_c = g->p.dc; /* free until the way back */
    for (int64_t i = 0; i < 4 * h; i++) g->p.bias[i] = g->b ? g->b[i] + g->b[4 * h + i] : 0.0f;
    g->k->pack(g->w, 1, l->input, l->input, 4 * h, 1.0f, g->p.w);
    g->k->pack(g->r, 1, h, h, 4 * h, 1.0f, g->p.r);
    g->k->pack(g->r, h, 1, 4 * h, h, 1.0f, g->p.r_back);
    mc_cpu_matrix all = {.a = g->x, .a_row = l->input, .a_col = 1, .packed = g->p.w, .c = g->p.gates, .m = l->steps * l->batch, .n = 4 * h,
                         .k = l->input, .e = {.size = sizeof all.e, .bias = g->p.bias}};
    all.b_col = 1;
    mc_cpu_matrix_run(g->s, g->a, &all);
    load_state(next_h, in_data(g, 5, g->d * n), n);
    load_state(next_c, in_data(g, 6, g->d * n), n);
    for (int64_t i = 0; i < l->steps; i++) {
        const int64_t t = g->backwards ? l->steps - 1 - i : i;
        float *gates = g->p.gates + t * n * 4;
        memcpy(g->p.h + t * n, next_h, (size_t)n * sizeof(float));
        memcpy(g->p.c + t * n, next_c, (size_t)n * sizeof(float));
        step_product(g, g->p.h + t * n, h, g->p.r, gates, 4 * h, 1);
        for (int64_t b = 0; b < l->batch; b++) {
            float *row = gates + b * 4 * h, *c = next_c + b * h;
            g->k->unary(MCOMP_ACT_SIGMOID, row, row, 3 * h, 0.0f, 0.0f); /* i o f */
            g->k->unary(MCOMP_ACT_TANH, row + 3 * h, row + 3 * h, h, 0.0f, 0.0f);
            for (int64_t k = 0; k < h; k++) c[k] = row[2 * h + k] * c[k] + row[k] * row[3 * h + k];
            g->k->unary(MCOMP_ACT_TANH, c, next_h + b * h, h, 0.0f, 0.0f);
            g->k->binary(MC_BINARY_MUL, next_h + b * h, 1, row + h, 1, next_h + b * h, h);
        }
    }
}

/* One row of a step: the gates become the gradients of their pre-activations, dc that of the state before. */
static void row_back(float *row, const float *c, const float *tanh_c, const float *dh, float *dc, int64_t h)
{
    float *i = row, *o = row + h, *f = row + 2 * h, *z = row + 3 * h;
    for (int64_t k = 0; k < h; k++) {
        const float d = dc[k] + dh[k] * o[k] * (1.0f - tanh_c[k] * tanh_c[k]), gi = d * z[k] * i[k] * (1.0f - i[k]);
        const float go = dh[k] * tanh_c[k] * o[k] * (1.0f - o[k]), gf = d * c[k] * f[k] * (1.0f - f[k]), gz = d * i[k] * (1.0f - z[k] * z[k]);
        dc[k] = d * f[k];
        i[k] = gi;
        o[k] = go;
        f[k] = gf;
        z[k] = gz;
    }
}

static void backward(grad_run *g)
{
    const lstm_grad *l = &g->l;
    const int64_t h = l->hidden, n = l->batch * h;
    load_state(g->p.dh, in_data(g, 9, g->d * n), n);
    load_state(g->p.dc, in_data(g, 10, g->d * n), n);
    for (int64_t i = l->steps - 1; i >= 0; i--) {
        const int64_t t = g->backwards ? l->steps - 1 - i : i;
        float *gates = g->p.gates + t * n * 4, *tanh_c = g->p.tanh_c;
        const float *c = g->p.c + t * n;
        if (g->dy) g->k->binary(MC_BINARY_ADD, g->p.dh, 1, g->dy + (t * l->dirs + g->d) * n, 1, g->p.dh, n);
        for (int64_t b = 0; b < l->batch; b++) {
            const float *row = gates + b * 4 * h;
            for (int64_t k = 0; k < h; k++) tanh_c[b * h + k] = row[2 * h + k] * c[b * h + k] + row[k] * row[3 * h + k];
        }
        g->k->unary(MCOMP_ACT_TANH, tanh_c, tanh_c, n, 0.0f, 0.0f);
        for (int64_t b = 0; b < l->batch; b++)
            row_back(gates + b * 4 * h, c + b * h, tanh_c + b * h, g->p.dh + b * h, g->p.dc + b * h, h);
        step_product(g, gates, 4 * h, g->p.r_back, g->p.dh, h, 0);
    }
}

/* A weight's gradient: G' times the rows it met. */
static void by_weight(const grad_run *g, const float *rows, int64_t n, float *out)
{
    mc_cpu_matrix m = {.a = g->p.gates, .a_row = 1, .a_col = 4 * g->l.hidden, .b = rows, .b_row = n, .b_col = 1, .c = out, .m = 4 * g->l.hidden,
                       .n = n, .k = g->l.steps * g->l.batch, .split = 1, .e = {.size = sizeof m.e}};
    mc_cpu_matrix_run(g->s, g->a, &m);
}

static void direction(grad_run *g)
{
    const lstm_grad *l = &g->l;
    const int64_t h = l->hidden, rows = l->steps * l->batch, n = l->batch * h;
    float *dx = out_data(g, DX, 0), *dw = out_data(g, DW, g->d * 4 * h * l->input), *dr = out_data(g, DR, g->d * 4 * h * h);
    float *db = g->b ? out_data(g, DB, g->d * 8 * h) : NULL;
    forward(g);
    backward(g);
    if (dx) {
        mc_cpu_matrix m = {.a = g->p.gates, .a_row = 4 * h, .a_col = 1, .b = g->w, .b_row = l->input, .b_col = 1, .c = g->d ? g->p.dx : dx, .m = rows,
                           .n = l->input, .k = 4 * h, .e = {.size = sizeof m.e}};
        mc_cpu_matrix_run(g->s, g->a, &m);
        if (g->d) g->k->binary(MC_BINARY_ADD, dx, 1, g->p.dx, 1, dx, rows * l->input);
    }
    if (dw) by_weight(g, g->x, l->input, dw);
    if (dr) by_weight(g, g->p.h, h, dr);
    if (db) {
        mc_cpu_sums_run(g->s, g->a, &(mc_cpu_sums){.x = g->p.gates, .y = db, .r0 = 1, .k0 = 1, .r1 = rows, .k1 = 4 * h});
        memcpy(db + 4 * h, db, (size_t)(4 * h) * sizeof *db);
    }
    if (in_data(g, 5, 0) && out_data(g, DH0, 0)) memcpy(out_data(g, DH0, g->d * n), g->p.dh, (size_t)n * sizeof(float));
    if (in_data(g, 6, 0) && out_data(g, DC0, 0)) memcpy(out_data(g, DC0, g->d * n), g->p.dc, (size_t)n * sizeof(float));
}

static int32_t run(const mc_cpu_step *s, const mcomp_run_args *a)
{
    const mcomp_bk_buffer *x = mc_cpu_in(s, a, 0);
    grad_run g = {.s = s, .a = a, .k = &s->kernels->f32, .l = *(const lstm_grad *)s->state, .x = x->data};
    uint64_t worker;
    float *mine = (float *)(void *)((uint8_t *)a->scratch + products_scratch(s, s->state, &worker));
    g.l.steps = x->dims[0];
    g.l.batch = x->dims[1];
    if (mc_cpu_elements(x) == 0) return mc_cpu_ref.run(s, a);
    (void)lay_out(&g.p, mine, &g.l);
    for (int32_t i = DB; i < s->n_out; i++) /* of omitted inputs, and peepholes */
        if (mc_cpu_out(s, a, i)) memset(mc_cpu_out(s, a, i)->data, 0, (size_t)mc_cpu_elements(mc_cpu_out(s, a, i)) * sizeof(float));
    for (g.d = 0; g.d < g.l.dirs; g.d++) {
        const int64_t h = g.l.hidden;
        g.w = in_data(&g, 1, g.d * 4 * h * g.l.input);
        g.r = in_data(&g, 2, g.d * 4 * h * h);
        g.b = in_data(&g, 3, g.d * 8 * h);
        g.dy = in_data(&g, 8, 0);
        g.backwards = g.d == 1 || strcmp(mc_attr_s(s->node, "direction", "forward"), "reverse") == 0;
        direction(&g);
    }
    return MCOMP_OK;
}

const mc_cpu_impl mc_cpu_lstm_grad = {.domain = "mcomp", .op = "RecurrentGrad", .claim = claim, .prepare = prepare, .run = run};
