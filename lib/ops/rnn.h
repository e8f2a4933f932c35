/* ops/rnn.h - private: what LSTM, GRU and RNN share (rnn.c): shapes, directions, activations, the walk over time. */
#ifndef MC_OPS_RNN_H
#define MC_OPS_RNN_H

#include "ops/nn.h"

/* One activation with its parameters. */
typedef struct mc_rnn_act {
    int32_t kind;
    double alpha, beta;
} mc_rnn_act;
double mc_rnn_activate(const mc_rnn_act *a, double x);
double mc_rnn_slope(const mc_rnn_act *a, double x); /* its derivative at x */

/* What makes a cell: gates (4, 3, 1), activations a direction (3, 2, 1), index of the initial cell state and of the
 * peepholes (-1: none), default activations. */
typedef struct mc_rnn_kind {
    int32_t gates, acts, initial_c, peepholes;
    const char *defaults[3];
} mc_rnn_kind;

typedef struct mc_rnn {
    const mc_rnn_kind *kind;
    const mc_node *node;
    int64_t seq, batch, input, hidden, dirs;
    int32_t layout, reverse_first; /* reverse_first: the only direction runs backwards */
    double clip;                   /* infinite: none */
    double *x, *w, *r, *b, *p;     /* f64 copies; b, p NULL when omitted */
    double *work;                  /* 2 H of state, then what a step needs: (gates + 2) H */
    mc_rnn_act act[2][3];
} mc_rnn;

/* One time step of direction d: x [input], h [H] in and out, c [H] in and out (LSTM), tmp (gates + 2) H. */
typedef void (*mc_rnn_step)(const mc_rnn *n, int64_t d, const double *x, double *h, double *c, double *tmp);

/* A recurrent operator; NULL for other names. */
typedef struct mc_rnn_cell {
    const char *name;
    const mc_rnn_kind *kind;
    mc_rnn_step step;
    int32_t (*infer)(mc_infer *c);
    int32_t max_in;
} mc_rnn_cell;
const mc_rnn_cell *mc_rnn_cell_of(const char *name);

/* Operands of a run as f64; mc_rnn_close in any case. */
int32_t mc_rnn_open(const mc_op_run *r, const mc_rnn_kind *kind, mc_rnn *n);
void mc_rnn_close(mc_rnn *n);
/* Offset of unit 0 of direction d, image b in a state tensor; rows of X and of Y at time t. */
int64_t mc_rnn_state_at(const mc_rnn *n, int64_t d, int64_t b);
typedef struct mc_rnn_place {
    int64_t x, y;
} mc_rnn_place;
mc_rnn_place mc_rnn_place_of(const mc_rnn *n, int64_t d, int64_t b, int64_t t);

int32_t mc_rnn_infer(mc_infer *c, const mc_rnn_kind *kind);
int32_t mc_rnn_run(const mc_op_run *r, const mc_rnn_kind *kind, int32_t (*infer)(mc_infer *), mc_rnn_step step);
int32_t mc_rnn_cost(const mc_node *n, const mc_type *const *in, mc_op_cost *c, int32_t gates);

static inline double mc_rnn_clip(const mc_rnn *n, double v) { return v > n->clip ? n->clip : v < -n->clip ? -n->clip : v; }
/* W[d, row] . x, R[d, row] . h and the two biases of a row (gate * H + unit). */
double mc_rnn_wx(const mc_rnn *n, int64_t d, int64_t row, const double *x);
double mc_rnn_rh(const mc_rnn *n, int64_t d, int64_t row, const double *h);
static inline double mc_rnn_wb(const mc_rnn *n, int64_t d, int64_t row)
{
    return n->b ? n->b[d * 2 * n->kind->gates * n->hidden + row] : 0.0;
}
static inline double mc_rnn_rb(const mc_rnn *n, int64_t d, int64_t row)
{
    return n->b ? n->b[(d * 2 + 1) * n->kind->gates * n->hidden + row] : 0.0;
}

#endif
