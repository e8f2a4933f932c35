/* SoftmaxCrossEntropyLoss and NegativeLogLikelihoodLoss of float scores [N,C], and their gradient mcomp.LossGrad. Rows over the pool;
 * what the rows give is added in their order, in double. Scores with more axes are the reference's. */
#include "backends/cpu/work.h"

#include <math.h>

typedef struct loss {
    int32_t first;            /* input of the scores: 0, of the gradient 1 */
    int32_t log_input;        /* scores are log-probabilities */
    int32_t mean, none;       /* reduction; neither: sum */
    int32_t ignores;
    int64_t ignored;
} loss;

static void read_node(const mc_node *n, loss *l)
{
    const char *how = mc_attr_s(n, "reduction", "mean");
    const int grad = strcmp(n->op, "LossGrad") == 0;
    *l = (loss){.first = grad, .mean = strcmp(how, "mean") == 0, .none = strcmp(how, "none") == 0};
    l->log_input = grad ? mc_attr_i(n, "log_input", 0) != 0 : strcmp(n->op, "NegativeLogLikelihoodLoss") == 0;
    l->ignores = mc_node_attr(n, "ignore_index") != NULL;
    l->ignored = mc_attr_i(n, "ignore_index", 0);
}

static int32_t claim(const mc_node *n, mcomp_claim *out)
{
    loss l;
    read_node(n, &l);
    const mc_type *x = mc_cpu_in_type(n, l.first), *t = mc_cpu_in_type(n, l.first + 1), *w = mc_cpu_in_type(n, l.first + 2);
    if (!mc_cpu_is(x, MCOMP_F32) || x->rank != 2 || !t || (t->dtype != MCOMP_I64 && t->dtype != MCOMP_I32) || (w && !mc_cpu_is(w, MCOMP_F32))) return 0;
    return mc_cpu_claim_f32(out, l.first ? "loss_grad" : "loss", mc_cpu_guess(x), 1.0);
}

static int32_t prepare(mc_cpu_step *s)
{
    loss l;
    read_node(s->node, &l);
    const mc_type *x = mc_cpu_in_type(s->node, l.first);
    s->scratch_bytes = (uint64_t)(x->dim[0] > 0 ? x->dim[0] : 0) * sizeof(float) + 64;       /* the rows' losses */
    s->worker_scratch_bytes = (uint64_t)(x->dim[1] > 0 ? x->dim[1] : 0) * sizeof(float) + 64; /* log-probabilities of a row */
    return MCOMP_OK;
}

typedef struct loss_work {
    const mc_cpu_step *s;
    const mcomp_run_args *a;
    loss l;
    const mcomp_bk_buffer *labels;
    const float *x, *weight, *dloss;
    float *out, *log_prob; /* losses of the rows or dX; output 1 */
    int64_t rows, classes;
    double weights;        /* sum of those used */
} loss_work;

/* Label of a row, -1 where it is ignored. */
static int64_t label_at(const loss_work *w, int64_t i)
{
    const int64_t v = w->labels->dtype == MCOMP_I64 ? ((const int64_t *)w->labels->data)[i] : ((const int32_t *)w->labels->data)[i];
    return w->l.ignores && v == w->l.ignored ? -1 : v;
}

static int32_t check_labels(loss_work *w)
{
    for (int64_t i = 0; i < w->rows; i++) {
        const int64_t label = label_at(w, i);
        if (label == -1 && w->l.ignores) continue;
        if (label < 0 || label >= w->classes)
            return mc_fail(MCOMP_RANGE, w->s->node->name, "label [%lld] is %lld of %lld classes", (long long)i, (long long)label, (long long)w->classes);
        w->weights += w->weight ? (double)w->weight[label] : 1.0;
    }
    return MCOMP_OK;
}

static void loss_range(void *ctx, int64_t begin, int64_t end, int32_t worker)
{
    const loss_work *w = ctx;
    const int64_t n = w->classes;
    for (int64_t i = begin; i < end; i++) {
        const float *x = w->x + i * n;
        const int64_t label = label_at(w, i);
        if (!w->l.log_input && (w->log_prob || label >= 0)) {
            float *y = w->log_prob ? w->log_prob + i * n : mc_cpu_worker_scratch(w->a, worker);
            const mc_softmax_f32 s = {.x = x, .y = y, .ld_x = n, .ld_y = n, .rows = 1, .n = n, .scale = 1.0f, .log = 1};
            w->s->kernels->f32.softmax(&s);
            x = y;
        }
        w->out[i] = label < 0 ? 0.0f : -(w->weight ? w->weight[label] : 1.0f) * x[label];
    }
}

static int32_t open_work(const mc_cpu_step *s, const mcomp_run_args *a, loss_work *w)
{
    *w = (loss_work){.s = s, .a = a};
    read_node(s->node, &w->l);
    const mcomp_bk_buffer *x = mc_cpu_in(s, a, w->l.first), *weight = mc_cpu_in(s, a, w->l.first + 2);
    w->labels = mc_cpu_in(s, a, w->l.first + 1);
    w->x = x->data;
    w->weight = weight ? weight->data : NULL;
    w->rows = x->dims[0];
    w->classes = x->dims[1];
    if (mc_cpu_elements(w->labels) != w->rows) return mc_fail(MCOMP_SHAPE, s->node->name, "one label a row is needed");
    if (weight && mc_cpu_elements(weight) != w->classes) return mc_fail(MCOMP_SHAPE, s->node->name, "one weight a class is needed");
    return check_labels(w);
}

static int32_t run(const mc_cpu_step *s, const mcomp_run_args *a)
{
    loss_work w;
    const mcomp_bk_buffer *log_prob = mc_cpu_out(s, a, 1);
    float *y = mc_cpu_out(s, a, 0)->data;
    const int32_t st = open_work(s, a, &w);
    if (st != MCOMP_OK) return st;
    w.out = w.l.none ? y : a->scratch;
    w.log_prob = log_prob ? log_prob->data : NULL;
    mc_cpu_split(s, a, w.rows, w.l.log_input ? 4 : w.classes * 8, loss_range, &w);
    if (w.l.none) return MCOMP_OK;
    double sum = 0.0;
    for (int64_t i = 0; i < w.rows; i++) sum += (double)w.out[i];
    *y = (float)(w.l.mean ? sum / w.weights : sum);
    return MCOMP_OK;
}

/* dx = u (p - 1 at the label), or -u at the label of log-probabilities. */
static void grad_range(void *ctx, int64_t begin, int64_t end, int32_t worker)
{
    const loss_work *w = ctx;
    const mc_kernels_f32 *k = &w->s->kernels->f32;
    const int64_t n = w->classes;
    (void)worker;
    for (int64_t i = begin; i < end; i++) {
        const int64_t label = label_at(w, i);
        float *dx = w->out + i * n;
        double u = label < 0 ? 0.0 : (w->weight ? (double)w->weight[label] : 1.0) * (double)w->dloss[w->l.none ? i : 0];
        if (u != 0.0 && w->l.mean) u /= w->weights;
        if (u == 0.0 || w->l.log_input) {
            memset(dx, 0, (size_t)n * sizeof *dx);
        } else {
            const mc_softmax_f32 s = {.x = w->x + i * n, .y = dx, .ld_x = n, .ld_y = n, .rows = 1, .n = n, .scale = 1.0f};
            k->softmax(&s);
            dx[label] -= 1.0f;
            k->unary(MC_UNARY_AFFINE, dx, dx, n, (float)u, 0.0f);
            continue;
        }
        if (u != 0.0) dx[label] = (float)-u;
    }
}

static int32_t run_grad(const mc_cpu_step *s, const mcomp_run_args *a)
{
    loss_work w;
    const mcomp_bk_buffer *d = mc_cpu_in(s, a, 0);
    const int32_t st = open_work(s, a, &w);
    if (st != MCOMP_OK) return st;
    if (mc_cpu_elements(d) != (w.l.none ? w.rows : 1)) return mc_fail(MCOMP_SHAPE, s->node->name, "gradient of the loss");
    w.dloss = d->data;
    w.out = mc_cpu_out(s, a, 0)->data;
    mc_cpu_split(s, a, w.rows, w.classes * 8, grad_range, &w);
    return MCOMP_OK;
}

const mc_cpu_impl mc_cpu_cross_entropy = {.domain = "", .op = "SoftmaxCrossEntropyLoss", .claim = claim, .prepare = prepare, .run = run};
const mc_cpu_impl mc_cpu_likelihood = {.domain = "", .op = "NegativeLogLikelihoodLoss", .claim = claim, .prepare = prepare, .run = run};
const mc_cpu_impl mc_cpu_loss_grad = {.domain = "mcomp", .op = "LossGrad", .claim = claim, .prepare = prepare, .run = run_grad};
