/* Recurrent operators: shape inference, named activations, and the walk over directions, batch and time.
 *
 * layout 0: X [seq,batch,in], Y [seq,dirs,batch,H], states [dirs,batch,H]; layout 1: [batch,seq,in], [batch,seq,dirs,H],
 * [batch,dirs,H]. A sequence shorter than seq (sequence_lens) gives zeros in Y after its end; backward directions start at
 * its end. */
#include "ops/rnn.h"

#include <math.h>
#include <strings.h>

enum { RELU, TANH, SIGMOID, AFFINE, LEAKY_RELU, THRESHOLDED_RELU, SCALED_TANH, HARD_SIGMOID, ELU, SOFTSIGN, SOFTPLUS, N_ACTS };

static const struct {
    const char *name;
    int32_t has_alpha, has_beta;
    double alpha, beta; /* defaults */
} act_table[N_ACTS] = {
    [RELU] = {"Relu", 0, 0, 0.0, 0.0},
    [TANH] = {"Tanh", 0, 0, 0.0, 0.0},
    [SIGMOID] = {"Sigmoid", 0, 0, 0.0, 0.0},
    [AFFINE] = {"Affine", 1, 1, 1.0, 0.0},
    [LEAKY_RELU] = {"LeakyRelu", 1, 0, 0.01, 0.0},
    [THRESHOLDED_RELU] = {"ThresholdedRelu", 1, 0, 1.0, 0.0},
    [SCALED_TANH] = {"ScaledTanh", 1, 1, 1.0, 1.0},
    [HARD_SIGMOID] = {"HardSigmoid", 1, 1, 0.2, 0.5},
    [ELU] = {"Elu", 1, 0, 1.0, 0.0},
    [SOFTSIGN] = {"Softsign", 0, 0, 0.0, 0.0},
    [SOFTPLUS] = {"Softplus", 0, 0, 0.0, 0.0},
};

double mc_rnn_activate(const mc_rnn_act *a, double x)
{
    switch (a->kind) {
    case RELU: return x > 0.0 ? x : 0.0;
    case TANH: return tanh(x);
    case SIGMOID: return 1.0 / (1.0 + exp(-x));
    case AFFINE: return a->alpha * x + a->beta;
    case LEAKY_RELU: return x >= 0.0 ? x : a->alpha * x;
    case THRESHOLDED_RELU: return x > a->alpha ? x : 0.0;
    case SCALED_TANH: return a->alpha * tanh(a->beta * x);
    case HARD_SIGMOID: return fmin(1.0, fmax(0.0, a->alpha * x + a->beta));
    case ELU: return x >= 0.0 ? x : a->alpha * expm1(x);
    case SOFTSIGN: return x / (1.0 + fabs(x));
    default: return x > 30.0 ? x : log1p(exp(x));
    }
}

double mc_rnn_slope(const mc_rnn_act *a, double x)
{
    const double y = mc_rnn_activate(a, x), t = tanh(a->beta * x);
    switch (a->kind) {
    case RELU: return x > 0.0;
    case TANH: return 1.0 - y * y;
    case SIGMOID: return y * (1.0 - y);
    case AFFINE: return a->alpha;
    case LEAKY_RELU: return x >= 0.0 ? 1.0 : a->alpha;
    case THRESHOLDED_RELU: return x > a->alpha;
    case SCALED_TANH: return a->alpha * a->beta * (1.0 - t * t);
    case HARD_SIGMOID: return y > 0.0 && y < 1.0 ? a->alpha : 0.0;
    case ELU: return x >= 0.0 ? 1.0 : a->alpha * exp(x);
    case SOFTSIGN: return 1.0 / ((1.0 + fabs(x)) * (1.0 + fabs(x)));
    default: return 1.0 / (1.0 + exp(-x));
    }
}

/* Activations of all directions; alpha and beta lists are consumed in order by the functions that have one. */
static int32_t read_acts(const mc_node *n, const mc_rnn_kind *kind, int64_t dirs, mc_rnn_act out[2][3])
{
    const mc_attr *names = mc_node_attr(n, "activations");
    int64_t n_alpha = 0, n_beta = 0, alpha = 0, beta = 0;
    const float *alphas = mc_attr_floats(n, "activation_alpha", &n_alpha), *betas = mc_attr_floats(n, "activation_beta", &n_beta);
    if (names && (names->kind != MC_ATTR_STRINGS || names->n != dirs * kind->acts))
        return mc_fail(MCOMP_FORMAT, n->name, "%s: activations has %lld entries, needs %lld", n->op, (long long)names->n,
                       (long long)(dirs * kind->acts));
    for (int64_t i = 0; i < dirs * kind->acts; i++) {
        mc_rnn_act *a = &out[i / kind->acts][i % kind->acts];
        const char *name = names ? names->strings[i] : kind->defaults[i % kind->acts];
        for (a->kind = 0; a->kind < N_ACTS && strcasecmp(act_table[a->kind].name, name) != 0;) a->kind++;
        if (a->kind == N_ACTS) {
            char shown[40];
            a->kind = 0;
            return mc_fail(MCOMP_UNSUPPORTED, n->name, "%s: activation '%s' is unknown", n->op, mc_escape(shown, sizeof shown, name));
        }
        a->alpha = act_table[a->kind].alpha;
        a->beta = act_table[a->kind].beta;
        if (act_table[a->kind].has_alpha && alpha < n_alpha) a->alpha = (double)alphas[alpha++];
        if (act_table[a->kind].has_beta && beta < n_beta) a->beta = (double)betas[beta++];
    }
    return MCOMP_OK;
}

static int32_t read_dirs(const mc_node *n, int64_t *dirs, int32_t *reverse)
{
    const char *s = mc_attr_s(n, "direction", "forward");
    *dirs = strcmp(s, "bidirectional") == 0 ? 2 : 1;
    *reverse = strcmp(s, "reverse") == 0;
    if (*dirs == 1 && !*reverse && strcmp(s, "forward") != 0) {
        char shown[40];
        return mc_fail(MCOMP_FORMAT, n->name, "%s: direction '%s' is unknown", n->op, mc_escape(shown, sizeof shown, s));
    }
    return MCOMP_OK;
}

/* States [dirs,batch,H] or [batch,dirs,H]. */
static int32_t check_state(const mc_infer *c, int32_t i, const int64_t want[3], int32_t layout)
{
    static const char *const what[3] = {"directions", "batch", "hidden size"};
    int32_t st = MCOMP_OK;
    if (i < 0) goto done;
    MC_TRY(mc_nn_need_float(c, i));
    MC_TRY(mc_nn_need_rank(c, i, 3));
    for (int32_t k = 0; k < 3; k++) {
        const int32_t from = layout && k < 2 ? 1 - k : k;
        MC_TRY(mc_nn_need_dim(c, i, k, want[from], what[from]));
    }
done:
    return st;
}

static int32_t check_operands(const mc_infer *c, const mc_rnn_kind *kind, int64_t dirs, int64_t batch, int64_t hidden, int32_t layout)
{
    int32_t st = MCOMP_OK;
    const mc_type *x = c->in[0];
    const int64_t rows = hidden >= 0 ? kind->gates * hidden : -1, want[3] = {dirs, batch, hidden};
    for (int32_t i = 1; i < 4; i++) {
        MC_TRY(mc_nn_need_float(c, i));
        MC_TRY(mc_nn_need_rank(c, i, i < 3 ? 3 : 2));
        MC_TRY(mc_nn_need_dim(c, i, 0, dirs, "directions"));
        MC_TRY(mc_nn_need_dim(c, i, 1, i == 3 && rows >= 0 ? 2 * rows : rows, "gates times hidden size"));
    }
    MC_TRY(mc_nn_need_dim(c, 1, 2, x->rank == 3 ? x->dim[2] : -1, "input size"));
    MC_TRY(mc_nn_need_dim(c, 2, 2, hidden, "hidden size"));
    MC_TRY(mc_nn_need_dtype(c, 4, MCOMP_I32));
    MC_TRY(mc_nn_need_vector(c, 4, batch, "batch"));
    MC_TRY(check_state(c, 5, want, layout));
    MC_TRY(check_state(c, kind->initial_c, want, layout));
    if (kind->peepholes >= 0) {
        MC_TRY(mc_nn_need_float(c, kind->peepholes));
        MC_TRY(mc_nn_need_rank(c, kind->peepholes, 2));
        MC_TRY(mc_nn_need_dim(c, kind->peepholes, 0, dirs, "directions"));
        MC_TRY(mc_nn_need_dim(c, kind->peepholes, 1, hidden >= 0 ? 3 * hidden : -1, "three peepholes a unit"));
    }
done:
    return st;
}

int32_t mc_rnn_infer(mc_infer *c, const mc_rnn_kind *kind)
{
    int32_t st = MCOMP_OK, layout, reverse;
    int64_t dirs;
    mc_rnn_act acts[2][3];
    const mc_type *x = c->in[0], *r = c->in[2];
    MC_TRY(mc_nn_flag(c, "layout", 0, &layout));
    MC_TRY(read_dirs(c->node, &dirs, &reverse));
    MC_TRY(read_acts(c->node, kind, dirs, acts));
    MC_TRY(mc_nn_need_float(c, 0));
    MC_TRY(mc_nn_need_rank(c, 0, 3));
    int64_t hidden = mc_attr_i(c->node, "hidden_size", r->rank == 3 ? r->dim[2] : -1);
    if (hidden > INT32_MAX || (mc_node_attr(c->node, "hidden_size") && hidden < 1))
        return mc_infer_fail(c, MCOMP_FORMAT, "hidden_size is %lld", (long long)hidden);
    if (mc_node_attr(c->node, "clip") && !(mc_attr_f(c->node, "clip", 0.0f) >= 0.0f))
        return mc_infer_fail(c, MCOMP_FORMAT, "clip is %g", (double)mc_attr_f(c->node, "clip", 0.0f));
    const int64_t batch = x->rank == 3 ? x->dim[layout ? 0 : 1] : -1, seq = x->rank == 3 ? x->dim[layout ? 1 : 0] : -1;
    MC_TRY(check_operands(c, kind, dirs, batch, hidden, layout));
    for (int32_t k = 0; k < c->n_out; k++) {
        mc_type *y = &c->out[k];
        const int32_t at = k == 0;
        y->dtype = x->dtype;
        if (x->rank != 3) continue;
        y->rank = 3 + at;
        y->dim[0] = layout ? batch : k == 0 ? seq : dirs;
        y->dim[1] = layout ? (k == 0 ? seq : dirs) : k == 0 ? dirs : batch;
        if (k == 0) y->dim[2] = layout ? dirs : batch;
        y->dim[2 + at] = hidden >= 0 ? hidden : r->rank == 3 ? r->dim[2] : mc_infer_symbol(c);
    }
done:
    return st;
}

double mc_rnn_wx(const mc_rnn *n, int64_t d, int64_t row, const double *x)
{
    const double *w = n->w + (d * n->kind->gates * n->hidden + row) * n->input;
    double sum = 0.0;
    for (int64_t k = 0; k < n->input; k++) sum += w[k] * x[k];
    return sum;
}

double mc_rnn_rh(const mc_rnn *n, int64_t d, int64_t row, const double *h)
{
    const double *r = n->r + (d * n->kind->gates * n->hidden + row) * n->hidden;
    double sum = 0.0;
    for (int64_t k = 0; k < n->hidden; k++) sum += r[k] * h[k];
    return sum;
}

static int32_t load(double **to, const mc_tensor *t)
{
    if (!t) return MCOMP_OK;
    *to = mc_nn_load(t);
    return *to ? MCOMP_OK : MCOMP_NO_MEMORY;
}

int32_t mc_rnn_open(const mc_op_run *r, const mc_rnn_kind *kind, mc_rnn *n)
{
    int32_t st = MCOMP_OK;
    const mc_shape *x = &r->in[0]->shape;
    n->kind = kind;
    n->node = r->node;
    n->layout = mc_attr_i(r->node, "layout", 0) != 0;
    n->batch = x->dim[n->layout ? 0 : 1];
    n->seq = x->dim[n->layout ? 1 : 0];
    n->input = x->dim[2];
    n->hidden = r->in[2]->shape.dim[2];
    n->clip = (double)mc_attr_f(r->node, "clip", 0.0f);
    if (!(n->clip > 0.0)) n->clip = INFINITY;
    MC_TRY(read_dirs(r->node, &n->dirs, &n->reverse_first));
    MC_TRY(read_acts(r->node, kind, n->dirs, n->act));
    MC_TRY(load(&n->x, r->in[0]));
    MC_TRY(load(&n->w, r->in[1]));
    MC_TRY(load(&n->r, r->in[2]));
    MC_TRY(load(&n->b, mc_in(r, 3)));
    if (kind->peepholes >= 0) MC_TRY(load(&n->p, mc_in(r, kind->peepholes)));
    n->work = mc_calloc((size_t)n->hidden + 1, (size_t)(kind->gates + 4) * sizeof *n->work);
    if (!n->work) MC_FAIL(MCOMP_NO_MEMORY, r->node->name, "no memory for the state");
done:
    return st;
}

void mc_rnn_close(mc_rnn *n)
{
    mc_free(n->x);
    mc_free(n->w);
    mc_free(n->r);
    mc_free(n->b);
    mc_free(n->p);
    mc_free(n->work);
}

int64_t mc_rnn_state_at(const mc_rnn *n, int64_t d, int64_t b) { return (n->layout ? b * n->dirs + d : d * n->batch + b) * n->hidden; }

mc_rnn_place mc_rnn_place_of(const mc_rnn *n, int64_t d, int64_t b, int64_t t)
{
    const int64_t x = n->layout ? b * n->seq + t : t * n->batch + b;
    return (mc_rnn_place){x, n->layout ? x * n->dirs + d : (t * n->dirs + d) * n->batch + b};
}

static void one_sequence(const mc_op_run *r, const mc_rnn *n, mc_rnn_step step, int64_t d, int64_t b, int64_t length)
{
    double *h = n->work, *c = h + n->hidden, *tmp = c + n->hidden;
    const mc_tensor *h0 = mc_in(r, 5), *c0 = n->kind->initial_c >= 0 ? mc_in(r, n->kind->initial_c) : NULL;
    const int backwards = d == 1 || n->reverse_first;
    mc_tensor *y = r->n_out > 0 ? r->out[0] : NULL;
    for (int64_t k = 0; k < n->hidden; k++) {
        h[k] = h0 ? mc_nn_at(h0, mc_rnn_state_at(n, d, b) + k) : 0.0;
        c[k] = c0 ? mc_nn_at(c0, mc_rnn_state_at(n, d, b) + k) : 0.0;
    }
    for (int64_t i = 0; i < n->seq; i++) {
        const int64_t t = i < length && backwards ? length - 1 - i : i;
        const mc_rnn_place p = mc_rnn_place_of(n, d, b, t);
        if (i < length) step(n, d, n->x + p.x * n->input, h, c, tmp);
        for (int64_t k = 0; y && k < n->hidden; k++) mc_nn_put(y, p.y * n->hidden + k, i < length ? h[k] : 0.0);
    }
    for (int32_t s = 1; s < r->n_out; s++)
        for (int64_t k = 0; r->out[s] && k < n->hidden; k++) mc_nn_put(r->out[s], mc_rnn_state_at(n, d, b) + k, s == 1 ? h[k] : c[k]);
}

int32_t mc_rnn_run(const mc_op_run *r, const mc_rnn_kind *kind, int32_t (*infer)(mc_infer *), mc_rnn_step step)
{
    mc_rnn n;
    int32_t st = MCOMP_OK;
    memset(&n, 0, sizeof n);
    MC_TRY(mc_nn_recheck(r, infer, 0));
    MC_TRY(mc_rnn_open(r, kind, &n));
    for (int64_t b = 0; b < n.batch; b++) {
        const mc_tensor *lens = mc_in(r, 4);
        const int64_t length = lens ? ((const int32_t *)lens->data)[b] : n.seq;
        if (length < 0 || length > n.seq)
            MC_FAIL(MCOMP_RANGE, r->node->name, "%s: sequence_lens[%lld] is %lld; the sequence has %lld", r->node->op, (long long)b,
                    (long long)length, (long long)n.seq);
        for (int64_t d = 0; d < n.dirs; d++) one_sequence(r, &n, step, d, b, length);
    }
done:
    mc_rnn_close(&n);
    return st;
}

int32_t mc_rnn_cost(const mc_node *n, const mc_type *const *in, mc_op_cost *c, int32_t gates)
{
    (void)n;
    if (in[0]->rank != 3 || in[1]->rank != 3 || in[2]->rank != 3) return MCOMP_OK;
    const double steps = mc_nn_extent_f(in[0], 0, 2);
    c->macs = steps * (mc_nn_extent_f(in[1], 0, 3) + mc_nn_extent_f(in[2], 0, 3));
    c->flops = steps * mc_nn_extent_f(in[2], 0, 1) * mc_nn_extent_f(in[2], 2, 3) * (double)gates * 4.0;
    return MCOMP_OK;
}
