/* mcomp.RecurrentGrad: back-propagation through time for RNN, GRU and LSTM (attribute `of`, with the forward node's attributes).
 * Inputs 0..7 are LSTM's (X W R B sequence_lens h0 c0 P; omitted ones stay omitted), 8..10 the gradients of Y, Y_h, Y_c. Outputs:
 * dX dW dR dB dh0 dc0 dP (a scalar where the input is omitted). The states are run again and kept, (seq + 1) H a sequence; in double.
 * With g the gradient of a gate's pre-activation (0 where it was clipped): dW += g x', dR += g h', db += g, dx += W' g, dh += R' g. */
#include <math.h>

#include "ops/grad.h"
#include "ops/rnn.h"

enum { DX, DW, DR, DB, DH0, DC0, DP, OUTPUTS };
static const int32_t input_of[OUTPUTS] = {0, 1, 2, 3, 5, 6, 7};

typedef struct back {
    mc_rnn n;
    double *sum[OUTPUTS];      /* NULL where the input is omitted */
    double *h, *c;             /* [seq + 1][H] */
    double *dh, *dc, *next;    /* [H]: of the state after the step, then before it */
    double *gw, *gr;           /* [gates H]: by W x + wb and by R h + rb */
    double *rh, *drh;          /* GRU: r h and its gradient */
    int64_t d;
} back;

static int32_t infer(mc_infer *c)
{
    int32_t st = MCOMP_OK;
    MC_TRY(mc_nn_need_float(c, 0));
    for (int32_t k = 0; k < c->n_out && k < OUTPUTS; k++) {
        const int32_t i = input_of[k];
        if (i < c->n_in && c->in[i]) c->out[k] = *c->in[i];
        else c->out[k] = (mc_type){.rank = 0};
        c->out[k].dtype = c->in[0]->dtype;
    }
done:
    return st;
}

/* Pre-activation of a row, its value through the activation, and the slope (0 where clipped). */
typedef struct gate {
    double value, slope;
} gate;

static gate through(const mc_rnn *n, const mc_rnn_act *a, double v)
{
    const double x = mc_rnn_clip(n, v);
    return (gate){mc_rnn_activate(a, x), x == v ? mc_rnn_slope(a, x) : 0.0};
}

static double full(const back *b, int64_t row, const double *x, const double *h)
{
    const mc_rnn *n = &b->n;
    return mc_rnn_wx(n, b->d, row, x) + mc_rnn_rh(n, b->d, row, h) + mc_rnn_wb(n, b->d, row) + mc_rnn_rb(n, b->d, row);
}

/* Rows [first, first + H) with recurrent input hin: weights, biases, and dh by the recurrent input added to dhin. */
static void rows_back(back *b, int64_t first, const double *x, double *dx, const double *hin, double *dhin)
{
    const mc_rnn *n = &b->n;
    const int64_t H = n->hidden, rows = n->kind->gates * H;
    for (int64_t k = first; k < first + H; k++) {
        const int64_t row = b->d * rows + k;
        const double gw = b->gw[k], gr = b->gr[k];
        for (int64_t i = 0; i < n->input; i++) {
            b->sum[DW][row * n->input + i] += gw * x[i];
            dx[i] += gw * n->w[row * n->input + i];
        }
        for (int64_t i = 0; i < H; i++) {
            b->sum[DR][row * H + i] += gr * hin[i];
            dhin[i] += gr * n->r[row * H + i];
        }
        if (!b->sum[DB]) continue;
        b->sum[DB][b->d * 2 * rows + k] += gw;
        b->sum[DB][(b->d * 2 + 1) * rows + k] += gr;
    }
}

static void rnn_back(back *b, const double *x, double *dx, const double *h)
{
    for (int64_t k = 0; k < b->n.hidden; k++) b->gw[k] = b->gr[k] = b->dh[k] * through(&b->n, &b->n.act[b->d][0], full(b, k, x, h)).slope;
    memset(b->next, 0, sizeof *b->next * (size_t)b->n.hidden);
    rows_back(b, 0, x, dx, h, b->next);
}

static void gru_back(back *b, const double *x, double *dx, const double *h)
{
    const mc_rnn *n = &b->n;
    const int64_t H = n->hidden;
    const int before = mc_attr_i(n->node, "linear_before_reset", 0) != 0;
    const mc_rnn_act *a = n->act[b->d];
    for (int64_t k = 0; k < H; k++) b->rh[k] = through(n, &a[0], full(b, H + k, x, h)).value * h[k];
    memset(b->drh, 0, sizeof *b->drh * (size_t)H);
    for (int64_t k = 0; k < H; k++) {
        const int64_t row = 2 * H + k;
        const gate z = through(n, &a[0], full(b, k, x, h)), r = through(n, &a[0], full(b, H + k, x, h));
        const double rec = mc_rnn_rh(n, b->d, row, before ? h : b->rh) + mc_rnn_rb(n, b->d, row);
        const gate v = through(n, &a[1], mc_rnn_wx(n, b->d, row, x) + mc_rnn_wb(n, b->d, row) + (before ? r.value * rec : rec));
        b->gw[k] = b->gr[k] = b->dh[k] * (h[k] - v.value) * z.slope;
        b->gw[row] = b->dh[k] * (1.0 - z.value) * v.slope;
        b->gr[row] = before ? b->gw[row] * r.value : b->gw[row];
        b->gw[H + k] = b->gr[H + k] = before ? b->gw[row] * rec * r.slope : r.slope; /* the rest below */
        b->next[k] = b->dh[k] * z.value;
    }
    rows_back(b, 2 * H, x, dx, before ? h : b->rh, before ? b->next : b->drh);
    for (int64_t k = 0; k < H && !before; k++) {
        b->next[k] += b->drh[k] * through(n, &a[0], full(b, H + k, x, h)).value;
        b->gw[H + k] = b->gr[H + k] = b->gw[H + k] * b->drh[k] * h[k];
    }
    rows_back(b, 0, x, dx, h, b->next);
    rows_back(b, H, x, dx, h, b->next);
}

static void lstm_back(back *b, const double *x, double *dx, const double *h, const double *c, const double *cn)
{
    const mc_rnn *n = &b->n;
    const int64_t H = n->hidden;
    const int coupled = mc_attr_i(n->node, "input_forget", 0) != 0;
    const mc_rnn_act *a = n->act[b->d];
    const double *p = n->p ? n->p + b->d * 3 * H : NULL;
    double *dp = b->sum[DP] ? b->sum[DP] + b->d * 3 * H : NULL;
    for (int64_t k = 0; k < H; k++) {
        const gate i = through(n, &a[0], full(b, k, x, h) + (p ? p[k] * c[k] : 0.0));
        const gate o = through(n, &a[0], full(b, H + k, x, h) + (p ? p[H + k] * cn[k] : 0.0));
        gate f = through(n, &a[0], full(b, 2 * H + k, x, h) + (p ? p[2 * H + k] * c[k] : 0.0));
        const gate g = through(n, &a[1], full(b, 3 * H + k, x, h));
        if (coupled) f = (gate){1.0 - i.value, 0.0};
        const double go = b->dh[k] * mc_rnn_activate(&a[2], cn[k]) * o.slope;
        const double dc = b->dc[k] + b->dh[k] * o.value * mc_rnn_slope(&a[2], cn[k]) + (p ? go * p[H + k] : 0.0);
        const double gi = dc * (g.value - (coupled ? c[k] : 0.0)) * i.slope, gf = dc * c[k] * f.slope;
        b->gw[k] = b->gr[k] = gi;
        b->gw[H + k] = b->gr[H + k] = go;
        b->gw[2 * H + k] = b->gr[2 * H + k] = gf;
        b->gw[3 * H + k] = b->gr[3 * H + k] = dc * i.value * g.slope;
        b->dc[k] = dc * f.value + (p ? gi * p[k] + gf * p[2 * H + k] : 0.0);
        if (!dp) continue;
        dp[k] += gi * c[k];
        dp[H + k] += go * cn[k];
        dp[2 * H + k] += gf * c[k];
    }
    memset(b->next, 0, sizeof *b->next * (size_t)H);
    for (int64_t gate_ = 0; gate_ < 4; gate_++) rows_back(b, gate_ * H, x, dx, h, b->next);
}

static void step_back(back *b, const double *x, double *dx, int64_t i)
{
    const int64_t H = b->n.hidden;
    const double *h = b->h + i * H, *c = b->c + i * H;
    if (b->n.kind->gates == 1) rnn_back(b, x, dx, h);
    else if (b->n.kind->gates == 3) gru_back(b, x, dx, h);
    else lstm_back(b, x, dx, h, c, c + H);
    memcpy(b->dh, b->next, sizeof *b->dh * (size_t)H);
}

static void one_sequence(const mc_op_run *r, back *b, mc_rnn_step step, int64_t image, int64_t length)
{
    const mc_rnn *n = &b->n;
    const int64_t H = n->hidden, at = mc_rnn_state_at(n, b->d, image);
    const mc_tensor *h0 = mc_in(r, 5), *c0 = n->kind->initial_c >= 0 ? mc_in(r, 6) : NULL, *dy = mc_in(r, 8), *dyh = mc_in(r, 9), *dyc = mc_in(r, 10);
    const int backwards = b->d == 1 || n->reverse_first;
    for (int64_t k = 0; k < H; k++) {
        b->h[k] = h0 ? mc_nn_at(h0, at + k) : 0.0;
        b->c[k] = c0 ? mc_nn_at(c0, at + k) : 0.0;
    }
    for (int64_t i = 0; i < length; i++) {
        const mc_rnn_place s = mc_rnn_place_of(n, b->d, image, backwards ? length - 1 - i : i);
        memcpy(b->h + (i + 1) * H, b->h + i * H, sizeof *b->h * (size_t)H);
        memcpy(b->c + (i + 1) * H, b->c + i * H, sizeof *b->c * (size_t)H);
        step(n, b->d, n->x + s.x * n->input, b->h + (i + 1) * H, b->c + (i + 1) * H, n->work);
    }
    for (int64_t k = 0; k < H; k++) {
        b->dh[k] = dyh ? mc_nn_at(dyh, at + k) : 0.0;
        b->dc[k] = dyc ? mc_nn_at(dyc, at + k) : 0.0;
    }
    for (int64_t i = length - 1; i >= 0; i--) {
        const mc_rnn_place s = mc_rnn_place_of(n, b->d, image, backwards ? length - 1 - i : i);
        for (int64_t k = 0; dy && k < H; k++) b->dh[k] += mc_nn_at(dy, s.y * H + k);
        step_back(b, n->x + s.x * n->input, b->sum[DX] + s.x * n->input, i);
    }
    for (int64_t k = 0; k < H; k++) {
        if (b->sum[DH0]) b->sum[DH0][at + k] += b->dh[k];
        if (b->sum[DC0]) b->sum[DC0][at + k] += b->dc[k];
    }
}

static int32_t open_back(const mc_op_run *r, back *b)
{
    int32_t st = MCOMP_OK;
    const int64_t H = b->n.hidden, states = (b->n.seq + 1) * H;
    double **const arrays[] = {&b->h, &b->c, &b->dh, &b->dc, &b->next, &b->gw, &b->gr, &b->rh, &b->drh};
    for (int32_t k = 0; k < OUTPUTS; k++) {
        const mc_tensor *t = mc_in(r, input_of[k]);
        if (!t) continue;
        b->sum[k] = mc_calloc((size_t)mc_tensor_elements(t) + 1, sizeof **b->sum);
        if (!b->sum[k]) MC_TRY(MCOMP_NO_MEMORY);
    }
    for (size_t k = 0; k < sizeof arrays / sizeof *arrays; k++) {
        *arrays[k] = mc_calloc((size_t)(k < 2 ? states : 4 * H) + 1, sizeof(double));
        if (!*arrays[k]) MC_TRY(MCOMP_NO_MEMORY);
    }
done:
    return st;
}

static void close_back(const mc_op_run *r, back *b, int32_t st)
{
    double *const arrays[] = {b->h, b->c, b->dh, b->dc, b->next, b->gw, b->gr, b->rh, b->drh};
    for (int32_t k = 0; k < OUTPUTS; k++) {
        mc_tensor *out = k < r->n_out ? r->out[k] : NULL;
        for (int64_t i = 0; st == MCOMP_OK && out && i < mc_tensor_elements(out); i++) mc_nn_put(out, i, b->sum[k] ? b->sum[k][i] : 0.0);
        mc_free(b->sum[k]);
    }
    for (size_t k = 0; k < sizeof arrays / sizeof *arrays; k++) mc_free(arrays[k]);
    mc_rnn_close(&b->n);
}

static int32_t forward(const mc_op_run *r)
{
    int32_t st = MCOMP_OK;
    back b = {0};
    const mc_tensor *lens = mc_in(r, 4);
    const mc_rnn_cell *cell = mc_rnn_cell_of(mc_attr_s(r->node, "of", ""));
    if (!cell) return mc_op_fail(r, MCOMP_FORMAT, "unknown operator \"%s\"", mc_attr_s(r->node, "of", ""));
    /* the operands are checked as the forward operator checks them */
    mc_op_run f = {.node = r->node, .n_in = r->n_in < 8 ? r->n_in : 8};
    while (f.n_in > cell->max_in) f.n_in--;
    for (int32_t i = 0; i < f.n_in; i++) f.in[i] = r->in[i];
    MC_TRY(mc_nn_recheck(&f, cell->infer, 0));
    MC_TRY(mc_rnn_open(&f, cell->kind, &b.n));
    MC_TRY(open_back(r, &b));
    for (int64_t image = 0; image < b.n.batch; image++) {
        const int64_t length = lens ? ((const int32_t *)lens->data)[image] : b.n.seq;
        if (length < 0 || length > b.n.seq) MC_TRY(mc_op_fail(r, MCOMP_RANGE, "sequence_lens[%lld] is %lld", (long long)image, (long long)length));
        for (b.d = 0; b.d < b.n.dirs; b.d++) one_sequence(r, &b, cell->step, image, length);
    }
done:
    close_back(r, &b, st);
    return st;
}

/* The states again, the gates' gradients back through both weights, and both weights' gradients: three times the forward products. */
static int32_t cost(const mc_node *n, const mc_type *const *in, const mc_type *const *out, mc_op_cost *c)
{
    (void)n;
    (void)out;
    if (in[0]->rank != 3 || !in[1] || in[1]->rank != 3 || !in[2] || in[2]->rank != 3) return MCOMP_OK;
    c->macs = 3.0 * mc_nn_extent_f(in[0], 0, 2) * (mc_nn_extent_f(in[1], 0, 3) + mc_nn_extent_f(in[2], 0, 3));
    return MCOMP_OK;
}

int32_t mc_grad_recurrent(mc_op_grad *c)
{
    mc_value *in[11] = {NULL};
    for (int32_t i = 0; i < c->n_in; i++) in[i] = c->x[i];
    for (int32_t k = 0; k < c->n_out && k < 3; k++) in[8 + k] = c->dy[k];
    mc_node *n = mc_grad_begin(c, "mcomp.RecurrentGrad", 11, in, OUTPUTS);
    if (!n) return c->status;
    c->status = mc_node_copy_attrs(n, c->node);
    if (c->status == MCOMP_OK) c->status = mc_node_set_s(n, "of", c->node->op);
    mc_grad_end(c, n);
    for (int32_t k = 0; k < OUTPUTS; k++) c->dx[input_of[k]] = n->out[k];
    return c->status;
}

const mc_op mc_op_mcomp_RecurrentGrad = {.name = "RecurrentGrad", .domain = "mcomp", .version = 1, .since = 1, .min_in = 3, .max_in = 11,
                                         .min_out = 1, .max_out = OUTPUTS, .quant = MC_Q_NONE, .infer = infer, .forward = forward,
                                         .cost = cost};
