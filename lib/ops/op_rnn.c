/* RNN, GRU and LSTM: one step of each cell; everything else is rnn.c. Weights are W [dirs,G*H,in], R [dirs,G*H,H], B
 * [dirs,2*G*H] (of W, then of R), gates in the order i o f c (LSTM), z r h (GRU). Sums in double; a pre-activation is clipped
 * to [-clip, clip] where `clip` is given. */
#include "ops/grad.h"
#include "ops/rnn.h"

static const mc_rnn_kind rnn_kind = {.gates = 1, .acts = 1, .initial_c = -1, .peepholes = -1, .defaults = {"Tanh"}};
static const mc_rnn_kind gru_kind = {.gates = 3, .acts = 2, .initial_c = -1, .peepholes = -1, .defaults = {"Sigmoid", "Tanh"}};
static const mc_rnn_kind lstm_kind = {.gates = 4, .acts = 3, .initial_c = 6, .peepholes = 7, .defaults = {"Sigmoid", "Tanh", "Tanh"}};

/* W x + R h + both biases of one row. */
static double full(const mc_rnn *n, int64_t d, int64_t row, const double *x, const double *h)
{
    return mc_rnn_wx(n, d, row, x) + mc_rnn_rh(n, d, row, h) + mc_rnn_wb(n, d, row) + mc_rnn_rb(n, d, row);
}

/* h = f(W x + R h + b) */
static void rnn_step(const mc_rnn *n, int64_t d, const double *x, double *h, double *c, double *tmp)
{
    (void)c;
    for (int64_t k = 0; k < n->hidden; k++) tmp[k] = mc_rnn_activate(&n->act[d][0], mc_rnn_clip(n, full(n, d, k, x, h)));
    memcpy(h, tmp, sizeof *h * (size_t)n->hidden);
}

/* z, r = f(...); hh = g(Wh x + Rh (r h) + b), or with linear_before_reset g(Wh x + wb + r (Rh h + rb)); h = (1 - z) hh + z h */
static void gru_step(const mc_rnn *n, int64_t d, const double *x, double *h, double *c, double *tmp)
{
    const int64_t H = n->hidden;
    const int before = mc_attr_i(n->node, "linear_before_reset", 0) != 0;
    double *z = tmp, *r = tmp + H, *rh = tmp + 2 * H, *next = tmp + 3 * H;
    (void)c;
    for (int64_t k = 0; k < H; k++) {
        z[k] = mc_rnn_activate(&n->act[d][0], mc_rnn_clip(n, full(n, d, k, x, h)));
        r[k] = mc_rnn_activate(&n->act[d][0], mc_rnn_clip(n, full(n, d, H + k, x, h)));
        rh[k] = r[k] * h[k];
    }
    for (int64_t k = 0; k < H; k++) {
        const int64_t row = 2 * H + k;
        const double rec = before ? r[k] * (mc_rnn_rh(n, d, row, h) + mc_rnn_rb(n, d, row)) : mc_rnn_rh(n, d, row, rh) + mc_rnn_rb(n, d, row);
        const double v = mc_rnn_activate(&n->act[d][1], mc_rnn_clip(n, mc_rnn_wx(n, d, row, x) + mc_rnn_wb(n, d, row) + rec));
        next[k] = (1.0 - z[k]) * v + z[k] * h[k];
    }
    memcpy(h, next, sizeof *h * (size_t)H);
}

/* i, f = f(... + P c); g = g(...); c = f c + i g; o = f(... + Po c); h = o h(c). Peepholes in the order i o f. */
static void lstm_step(const mc_rnn *n, int64_t d, const double *x, double *h, double *c, double *tmp)
{
    const int64_t H = n->hidden;
    const int coupled = mc_attr_i(n->node, "input_forget", 0) != 0;
    const mc_rnn_act *a = n->act[d];
    const double *p = n->p ? n->p + d * 3 * H : NULL;
    for (int64_t k = 0; k < H; k++) {
        double i = full(n, d, k, x, h), o = full(n, d, H + k, x, h), f = full(n, d, 2 * H + k, x, h);
        const double g = mc_rnn_activate(&a[1], mc_rnn_clip(n, full(n, d, 3 * H + k, x, h)));
        if (p) {
            i += p[k] * c[k];
            f += p[2 * H + k] * c[k];
        }
        i = mc_rnn_activate(&a[0], mc_rnn_clip(n, i));
        f = coupled ? 1.0 - i : mc_rnn_activate(&a[0], mc_rnn_clip(n, f));
        c[k] = f * c[k] + i * g;
        if (p) o += p[H + k] * c[k];
        o = mc_rnn_activate(&a[0], mc_rnn_clip(n, o));
        tmp[k] = o * mc_rnn_activate(&a[2], c[k]);
    }
    memcpy(h, tmp, sizeof *h * (size_t)H);
}

static int32_t infer_rnn(mc_infer *c) { return mc_rnn_infer(c, &rnn_kind); }
static int32_t infer_gru(mc_infer *c)
{
    int32_t flag;
    const int32_t st = mc_nn_flag(c, "linear_before_reset", 0, &flag);
    return st != MCOMP_OK ? st : mc_rnn_infer(c, &gru_kind);
}
static int32_t infer_lstm(mc_infer *c)
{
    int32_t flag;
    const int32_t st = mc_nn_flag(c, "input_forget", 0, &flag);
    return st != MCOMP_OK ? st : mc_rnn_infer(c, &lstm_kind);
}

static int32_t forward_rnn(const mc_op_run *r) { return mc_rnn_run(r, &rnn_kind, infer_rnn, rnn_step); }
static int32_t forward_gru(const mc_op_run *r) { return mc_rnn_run(r, &gru_kind, infer_gru, gru_step); }
static int32_t forward_lstm(const mc_op_run *r) { return mc_rnn_run(r, &lstm_kind, infer_lstm, lstm_step); }

#define COST(name, gates)                                                                                              \
    static int32_t name(const mc_node *n, const mc_type *const *in, const mc_type *const *out, mc_op_cost *c)          \
    {                                                                                                                  \
        (void)out;                                                                                                     \
        return mc_rnn_cost(n, in, c, gates);                                                                           \
    }
COST(cost_rnn, 1)
COST(cost_gru, 3)
COST(cost_lstm, 4)

const mc_rnn_cell *mc_rnn_cell_of(const char *name)
{
    static const mc_rnn_cell cells[] = {{"RNN", &rnn_kind, rnn_step, infer_rnn, 6}, {"GRU", &gru_kind, gru_step, infer_gru, 6},
                                        {"LSTM", &lstm_kind, lstm_step, infer_lstm, 8}};
    for (size_t i = 0; i < sizeof cells / sizeof *cells; i++)
        if (strcmp(name, cells[i].name) == 0) return &cells[i];
    return NULL;
}

const mc_op mc_op_RNN = {.name = "RNN", .domain = "", .version = 22, .since = 7, .min_in = 3, .max_in = 6, .min_out = 0,
                         .max_out = 2, .quant = MC_Q_NONE, .infer = infer_rnn, .forward = forward_rnn, .cost = cost_rnn,
                         .gradient = mc_grad_recurrent};
const mc_op mc_op_GRU = {.name = "GRU", .domain = "", .version = 22, .since = 7, .min_in = 3, .max_in = 6, .min_out = 0,
                         .max_out = 2, .quant = MC_Q_NONE, .infer = infer_gru, .forward = forward_gru, .cost = cost_gru,
                         .gradient = mc_grad_recurrent};
const mc_op mc_op_LSTM = {.name = "LSTM", .domain = "", .version = 22, .since = 7, .min_in = 3, .max_in = 8, .min_out = 0,
                          .max_out = 3, .quant = MC_Q_NONE, .infer = infer_lstm, .forward = forward_lstm, .cost = cost_lstm,
                          .gradient = mc_grad_recurrent};
