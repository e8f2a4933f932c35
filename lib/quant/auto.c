/* Scheme "auto": which scheme, which range rule and which nodes stay float, by measured error.
 * The rules are in docs/quantization.md §5. */
#include "quant/auto.h"

#include <math.h>
#include <stdlib.h>

enum { MAX_TRIALS = 8, MAX_ALONE = 24 };

static const char too_wrong[] = "auto: its error is among the largest, and with it the output missed the accepted error";

/* One way to quantize everything that no rule has fixed. */
typedef struct candidate {
    const char *scheme, *range;
    int32_t conv, matmul; /* kinds */
    double share;         /* of the candidates' MACs that run on integers */
    mc_qresult result;
} candidate;

static int is_matmul(const mc_node *n) { return mc_node_is(n, "MatMul") || mc_node_is(n, "Gemm"); }

static double weight_of(const mc_qplan *p, const mc_node *n)
{
    const double macs = p->node[n->id].macs;
    return macs > 0.0 ? macs : (double)mc_tensor_elements(mc_value_const(n->in[1]));
}

static void set_kinds(mc_qplan *p, candidate *c)
{
    double all = 0.0, integer = 0.0;
    for (int64_t i = 0; i < p->n_nodes; i++) {
        mc_qnode *q = &p->node[i];
        const mc_node *n = p->g->nodes[i];
        if (n->dead || !q->candidate) continue;
        if (!q->ruled) {
            q->kind = is_matmul(n) ? c->matmul : c->conv;
            q->why = q->kind == MC_QK_FLOAT ? "convolutions are never dynamic, and there is no calibration" : NULL;
        }
        all += weight_of(p, n);
        if (q->kind != MC_QK_FLOAT) integer += weight_of(p, n);
    }
    p->range = c->range;
    c->share = all > 0.0 ? integer / all : 0.0;
}

/* Applies p to a clone of its graph and measures it. */
static int32_t trial(mc_qauto *a, const mc_qplan *p, mc_qresult *r)
{
    mc_graph *g = NULL;
    mc_qplan *q = NULL;
    int32_t st = MCOMP_OK;
    MC_TRY(mc_graph_clone(&g, p->g));
    MC_TRY(mc_qplan_clone(&q, p, g));
    MC_TRY(mc_qplan_apply(q));
    MC_TRY(mc_qmeasure_run(a->measure, g, r));
    mc_context_log(a->ctx, 2, "quantize: trial: error %.3g, cosine %.5f, top-1 agreement %.4f", r->error, r->cosine, r->top1);
done:
    mc_qplan_destroy(q);
    mc_graph_destroy(g);
    return st;
}

static double matmul_share(const mc_qplan *p)
{
    double all = 0.0, mm = 0.0;
    for (int64_t i = 0; i < p->n_nodes; i++) {
        const mc_node *n = p->g->nodes[i];
        if (n->dead || !p->node[i].candidate) continue;
        all += weight_of(p, n);
        if (is_matmul(n)) mm += weight_of(p, n);
    }
    return all > 0.0 ? mm / all : 0.0;
}

/* Does the model normalise or attend? Then its activations have outliers that static grids cannot follow. */
static int is_transformer(const mc_qplan *p)
{
    for (int64_t i = 0; i < p->g->n_order; i++) {
        const mc_node *n = p->g->order[i];
        const int product = mc_node_is(n, "MatMul") && n->n_in == 2 && n->in[0] && n->in[1] && !mc_value_const(n->in[0]) &&
                            !mc_value_const(n->in[1]);
        if (mc_node_is(n, "LayerNormalization") || product) return matmul_share(p) >= 0.5;
    }
    return 0;
}

/* Expected error of a static node from the sketch alone: rounding and clipping of its input, rounding of its weight. */
static int32_t estimate(const mc_qplan *p, const mc_node *n, double *out)
{
    const mc_sketch *s = mc_calibrator_sketch(p->calibrator, n->in[0]->name);
    const mc_range_ask ask = {.symmetric = p->qdq == MCOMP_QDQ_TENSORRT, .percentile = p->percentile};
    double lo, hi;
    int32_t st = MCOMP_OK;
    *out = 0.0;
    if (!s || s->count == 0 || s->sumsq <= 0.0) return MCOMP_OK;
    MC_TRY(mc_range_auto(s, &ask, &lo, &hi, NULL, NULL));
    *out = mc_range_error(s, lo, hi, mc_range_steps(&ask), 1.0) * (double)s->count / s->sumsq +
           mc_qweight_error(mc_value_const(n->in[1]), mc_q_weight_axis(n));
done:
    return st;
}

/* Without samples: convolutional models static, transformers by token; static nodes whose expected error alone is more than
 * the accepted error of the whole output stay float (a MatMul becomes dynamic instead). */
static int32_t by_rules(mc_qauto *a, mc_qplan *p)
{
    candidate c = {.range = a->range, .conv = MC_QK_STATIC, .matmul = MC_QK_STATIC, .scheme = "int8"};
    int32_t st = MCOMP_OK;
    if (!p->calibrator || is_transformer(p)) {
        c.matmul = MC_QK_TOKEN;
        c.scheme = p->calibrator && matmul_share(p) < 1.0 ? "int8-mixed" : "int8-dynamic";
        if (!p->calibrator) c.conv = MC_QK_FLOAT;
    }
    set_kinds(p, &c);
    a->scheme = c.scheme;
    for (int64_t i = 0; i < p->n_nodes; i++) {
        const mc_node *n = p->g->nodes[i];
        mc_qnode *q = &p->node[i];
        double e;
        if (n->dead || !q->candidate || q->ruled || q->kind != MC_QK_STATIC) continue;
        MC_TRY(estimate(p, n, &e));
        if (e <= a->max_error) continue;
        q->kind = is_matmul(n) ? MC_QK_TOKEN : MC_QK_FLOAT;
        if (q->kind == MC_QK_FLOAT) q->why = "auto: the calibration promises an error above the accepted one";
    }
done:
    return st;
}

/* Within the accepted error; where the largest element is the answer, at most one in fifty may change (or one at all). */
static int accepted(const mc_qauto *a, const mc_qresult *r)
{
    const double flips = (1.0 - r->top1) * r->rows, allowed = fmax(1.0, 0.02 * r->rows);
    return r->error <= a->max_error && (!r->ranks || flips <= allowed + 1e-6);
}

/* Fewer changed answers, where there are answers; then the smaller error. */
static int closer(const mc_qresult *x, const mc_qresult *y)
{
    if (x->ranks && y->ranks && x->top1 != y->top1) return x->top1 > y->top1;
    return x->error < y->error;
}

typedef struct ranked {
    double error;
    int64_t node;
} ranked;

static int worse_first(const void *x, const void *y)
{
    const ranked *a = x, *b = y;
    return a->error != b->error ? (a->error < b->error ? 1 : -1) : a->node < b->node ? -1 : a->node > b->node;
}

static void keep_worst(mc_qplan *p, const ranked *r, int64_t n, int64_t k, const int32_t *kinds)
{
    for (int64_t i = 0; i < n; i++) {
        mc_qnode *q = &p->node[r[i].node];
        q->kind = i < k ? MC_QK_FLOAT : kinds[r[i].node];
        q->why = i < k ? too_wrong : NULL;
    }
}

/* What rounding one node alone does to the output: a trial each. What a node's own error means for the output depends on what
 * follows it, so this is the better order; only for models with few nodes. */
static int32_t alone(mc_qauto *a, mc_qplan *p, ranked *r, int64_t n, const int32_t *kinds)
{
    mc_qresult one;
    int32_t st = MCOMP_OK;
    for (int64_t i = 0; i < n; i++) {
        MC_TRY(mc_context_progress(a->ctx, "quantize", -1.0));
        for (int64_t k = 0; k < n; k++) p->node[r[k].node].kind = k == i ? kinds[r[k].node] : MC_QK_FLOAT;
        MC_TRY(trial(a, p, &one));
        r[i].error = one.error;
    }
done:
    return st;
}

/* Keeps as few of the worst nodes float as the accepted error needs: doubling, then halving the gap. */
static int32_t refine(mc_qauto *a, mc_qplan *p, mc_qresult *result)
{
    ranked *r = mc_calloc((size_t)p->n_nodes + 1, sizeof *r);
    int32_t *kinds = mc_calloc((size_t)p->n_nodes + 1, sizeof *kinds);
    mc_qresult now = *result;
    int64_t n = 0, low = 0, high = -1, best_k = 0;
    int32_t st = MCOMP_OK;
    double best = result->error;
    if (!r || !kinds) {
        st = MCOMP_NO_MEMORY;
        goto done;
    }
    for (int64_t i = 0; i < p->n_nodes; i++) {
        kinds[i] = p->node[i].kind;
        if (!p->node[i].candidate || p->node[i].ruled || kinds[i] == MC_QK_FLOAT) continue;
        r[n++] = (ranked){p->node[i].error, i};
    }
    if (n > 1 && n <= MAX_ALONE) MC_TRY(alone(a, p, r, n, kinds));
    if (n) qsort(r, (size_t)n, sizeof *r, worse_first);
    for (int t = 0, k = 1; t < MAX_TRIALS && n > 0; t++) {
        if (high >= 0 && high - low <= 1) break;
        const int64_t try_k = high < 0 ? (k < n ? k : n) : low + (high - low) / 2;
        keep_worst(p, r, n, try_k, kinds);
        MC_TRY(trial(a, p, &now));
        if (accepted(a, &now)) high = try_k;
        else low = try_k;
        if (now.error < best) best = now.error, best_k = try_k, *result = now;
        if (high < 0 && try_k > n / 2) break; /* more than half of the model float: nothing is gained beyond */
        k *= 2;
    }
    if (high >= 0) best_k = high;
    keep_worst(p, r, n, best_k, kinds);
done:
    mc_free(r);
    mc_free(kinds);
    return st;
}

static int32_t add(candidate *list, int32_t *n, const char *scheme, const char *range, int32_t conv, int32_t matmul)
{
    list[(*n)++] = (candidate){.scheme = scheme, .range = range, .conv = conv, .matmul = matmul};
    return *n;
}

/* The candidates worth a trial. */
static int32_t list_candidates(const mc_qauto *a, const mc_qplan *p, candidate *list)
{
    static const char *const ranges[] = {"auto", "minmax", "percentile", "mse"};
    const double mm = matmul_share(p);
    int32_t n = 0;
    const char *dynamic = p->calibrator && mm < 1.0 ? "int8-mixed" : "int8-dynamic"; /* static convolutions beside it */
    if (mm > 0.0) add(list, &n, dynamic, a->range, p->calibrator ? MC_QK_STATIC : MC_QK_FLOAT, MC_QK_TOKEN);
    if (!p->calibrator) return n;
    if (a->range_given) add(list, &n, "int8", a->range, MC_QK_STATIC, MC_QK_STATIC);
    for (int i = 0; !a->range_given && i < 4; i++) add(list, &n, "int8", ranges[i], MC_QK_STATIC, MC_QK_STATIC);
    return n;
}

/* Is x the better choice? Within the accepted error static wins in convolutional models; a transformer's static candidate
 * has to be as accurate as the dynamic one. Otherwise the closer one. */
static int better(const mc_qauto *a, const candidate *x, const candidate *y, int transformer)
{
    const int x_static = x->matmul == MC_QK_STATIC, y_static = y->matmul == MC_QK_STATIC;
    const int x_ok = accepted(a, &x->result), y_ok = accepted(a, &y->result);
    if (x_ok != y_ok) return x_ok;
    if (x_static == y_static || !x_ok) return closer(&x->result, &y->result);
    if (transformer) return x_static ? x->result.error <= y->result.error * 1.05 : x->result.error * 1.05 < y->result.error;
    return x_static;
}

static int32_t run(mc_qauto *a, mc_qplan *p)
{
    candidate list[8];
    int32_t st = MCOMP_OK, n, best = 0;
    if (!a->measure) return by_rules(a, p);
    n = list_candidates(a, p, list);
    const int transformer = is_transformer(p);
    if (n == 0) {
        candidate none = {.scheme = "float", .range = a->range};
        set_kinds(p, &none);
        a->scheme = none.scheme;
        return MCOMP_OK;
    }
    for (int32_t i = 0; i < n; i++) {
        MC_TRY(mc_context_progress(a->ctx, "quantize", (double)i / (double)(n + MAX_TRIALS)));
        set_kinds(p, &list[i]);
        MC_TRY(trial(a, p, &list[i].result));
        if (i > 0 && better(a, &list[i], &list[best], transformer)) best = i;
    }
    set_kinds(p, &list[best]);
    a->scheme = list[best].scheme;
    a->result = list[best].result;
    MC_TRY(mc_qmeasure_nodes(a->measure, p));
    if (!accepted(a, &a->result)) MC_TRY(refine(a, p, &a->result));
done:
    return st;
}

int32_t mc_qauto_run(mc_qauto *a, mc_qplan *p)
{
    const int32_t st = run(a, p);
    int integer = 0;
    for (int64_t i = 0; i < p->n_nodes; i++) integer |= p->node[i].candidate && p->node[i].kind != MC_QK_FLOAT;
    if (!integer) a->scheme = "float";
    return st;
}
