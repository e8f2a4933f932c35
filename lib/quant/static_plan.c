/* Static INT8, first half: which tensors get a QuantizeLinear/DequantizeLinear pair, and on which grid.
 *
 * The input of every integer product gets one. From there the pairs spread towards the graph's inputs, in reverse order,
 * through operators that can run on integers (movers, Concat, pools, residual additions) as long as an integer product
 * stands at the other end: otherwise nothing is gained by rounding earlier. See docs/quantization.md §4.
 */
#include "quant/calibrator.h"
#include "quant/plan.h"

static int32_t root(mc_qplan *p, int32_t v)
{
    while (p->value[v].group != v) v = p->value[v].group = p->value[p->value[v].group].group;
    return v;
}

static int is_static(const mc_qplan *p, const mc_node *n) { return p->node[n->id].kind == MC_QK_STATIC; }

/* The integer product whose epilogue makes v (bias Add and activations included), or NULL. */
static const mc_node *product_of(const mc_qplan *p, const mc_value *v)
{
    for (const mc_node *n = v->producer; n; n = n->in[0] ? n->in[0]->producer : NULL) {
        const int constant_add = mc_node_is(n, "Add") && n->n_in == 2 && n->in[1] && mc_value_const(n->in[1]);
        if (p->node[n->id].candidate) return is_static(p, n) && mc_q_after(n) == v ? n : NULL;
        if (constant_add || mc_q_is_activation(n)) continue;
        const int swapped = mc_node_is(n, "Add") && n->n_in == 2 && n->in[0] && mc_value_const(n->in[0]);
        if (!swapped || !n->in[1] || !n->in[1]->producer) return NULL;
        const mc_node *m = n->in[1]->producer;
        return p->node[m->id].candidate && is_static(p, m) && mc_q_after(m) == v ? m : NULL;
    }
    return NULL;
}

/* Does an integer product stand behind v, through operators that run on integers? Bounded depth against long chains. */
static int integer_source(const mc_qplan *p, const mc_value *v, int depth)
{
    const mc_node *n = v->producer;
    if (p->value[v->id].wanted || product_of(p, v)) return 1;
    if (!n || !n->desc || depth == 0 || p->node[n->id].ruled) return 0;
    switch (n->desc->quant) {
    case MC_Q_PASS:
    case MC_Q_POOL: return n->in[0] && integer_source(p, n->in[0], depth - 1);
    case MC_Q_SHARED:
    case MC_Q_ADD:
        for (int32_t i = 0; i < n->n_in; i++)
            if (n->in[i] && integer_source(p, n->in[i], depth - 1)) return 1;
        return 0;
    default: return mc_q_is_activation(n) && n->in[0] && integer_source(p, n->in[0], depth - 1);
    }
}

/* Float tensor that varies. Constants folded or not, mask or not: they never get a pair. */
static int quantizable(const mc_value *v)
{
    return v && !mc_value_const(v) && v->type.dtype == MCOMP_F32;
}

/* The value behind v's activation functions, where the pair of v's producer stands. */
static const mc_value *effective(const mc_value *v)
{
    const mc_node *u = mc_value_only_user(v);
    while (u && mc_q_is_activation(u) && u->in[0] == v) {
        v = u->out[0];
        u = mc_value_only_user(v);
    }
    return v;
}

static void want(mc_qplan *p, const mc_value *v) { p->value[v->id].wanted = 1; }

static void join(mc_qplan *p, const mc_value *a, const mc_value *b)
{
    p->value[root(p, a->id)].group = root(p, b->id);
}

static int same_dims(const mc_value *a, const mc_value *b)
{
    if (a->type.rank < 0 || a->type.rank != b->type.rank) return 0;
    for (int32_t d = 0; d < a->type.rank; d++)
        if (a->type.dim[d] != b->type.dim[d]) return 0;
    return 1;
}

/* Residual addition: a pair on every input; in the flavours of runtimes that add in the product's epilogue, on every input but
 * that product's. ONNX Runtime runs a convolution on integers only if a QuantizeLinear follows it: there the pair stays. */
static void mark_add(mc_qplan *p, mc_node *n)
{
    const mc_value *a = n->in[0], *b = n->in[1];
    int64_t skip = -1, last = -1;
    if (n->n_in != 2 || !quantizable(a) || !quantizable(b) || a == b || !same_dims(a, b)) return;
    if (!p->value[effective(n->out[0])->id].wanted) return;
    if (!integer_source(p, a, 64) && !integer_source(p, b, 64)) return;
    for (int32_t i = 0; i < 2 && p->qdq != MCOMP_QDQ_ORT; i++) {
        const mc_node *m = product_of(p, n->in[i]);
        if (!m || mc_value_only_user(n->in[i]) != n || p->value[n->in[i]->id].wanted) continue;
        for (int64_t k = 0; k < p->g->n_order; k++)
            if (p->g->order[k] == m && k > last) last = k, skip = i;
    }
    for (int32_t i = 0; i < 2; i++)
        if (i != skip) want(p, n->in[i]);
    p->node[n->id].integer = 1;
}

static void mark_node(mc_qplan *p, mc_node *n)
{
    const int ruled_float = p->node[n->id].ruled && p->node[n->id].kind == MC_QK_FLOAT;
    if (!n->desc || ruled_float || n->n_out < 1 || !n->out[0]) return;
    switch (n->desc->quant) {
    case MC_Q_PASS:
        if (!p->value[n->out[0]->id].wanted || !quantizable(n->in[0]) || !integer_source(p, n->in[0], 64)) return;
        join(p, n->in[0], n->out[0]);
        want(p, n->in[0]);
        break;
    case MC_Q_SHARED:
        if (!p->value[n->out[0]->id].wanted) return;
        for (int32_t i = 0; i < n->n_in; i++)
            if (!quantizable(n->in[i])) return;
        if (!integer_source(p, n->out[0], 64)) return;
        for (int32_t i = 0; i < n->n_in; i++) {
            join(p, n->in[i], n->out[0]);
            want(p, n->in[i]);
        }
        break;
    case MC_Q_POOL:
        if (!p->value[effective(n->out[0])->id].wanted || !quantizable(n->in[0]) || !integer_source(p, n->in[0], 64)) return;
        want(p, n->in[0]);
        break;
    case MC_Q_ADD: mark_add(p, n); return;
    default: return;
    }
    p->node[n->id].integer = 1;
}

int32_t mc_q_static_mark(mc_qplan *p)
{
    mc_graph *g = p->g;
    int any = 0;
    for (int64_t i = 0; i < g->n_order; i++) {
        mc_node *n = g->order[i];
        if (!is_static(p, n)) continue;
        any = 1;
        p->node[n->id].integer = 1;
        want(p, n->in[0]);
    }
    for (int64_t i = g->n_order - 1; any && i >= 0; i--) mark_node(p, g->order[i]);
    return MCOMP_OK;
}

/* Range rule for every group: what a rule of the user says about one of its readers, else the plan's default. */
static void range_names(mc_qplan *p)
{
    for (int64_t i = 0; i < p->n_values; i++) p->value[i].range = p->range;
    for (int64_t i = 0; i < p->g->n_order; i++) {
        const mc_node *n = p->g->order[i];
        const mc_qnode *q = &p->node[n->id];
        if (q->range && q->integer && n->in[0]) p->value[root(p, n->in[0]->id)].range = q->range;
    }
}

static int32_t grid(mc_qplan *p, const mc_sketch *s, mc_qvalue *v)
{
    const mc_range_ask ask = {.symmetric = p->qdq == MCOMP_QDQ_TENSORRT, .percentile = p->percentile};
    const mc_range_rule *rule = NULL;
    double lo, hi;
    int32_t st = MCOMP_OK;
    if (strcmp(v->range, "auto") == 0) {
        MC_TRY(mc_range_auto(s, &ask, &lo, &hi, &rule, &v->flat));
    } else {
        rule = mc_range_rule_named(v->range);
        if (!rule) MC_FAIL(MCOMP_ARGUMENT, v->range, "no such range rule");
        MC_TRY(mc_range_find(rule, s, &ask, &lo, &hi, &v->flat));
    }
    mc_range_grid(lo, hi, ask.symmetric, &v->scale, &v->zero_point);
    v->range = rule->name;
done:
    return st;
}

/* Takes the pairs of groups without a grid away again; their readers stay float. */
static void give_up(mc_qplan *p)
{
    for (int64_t i = 0; i < p->g->n_order; i++) {
        const mc_node *n = p->g->order[i];
        mc_qnode *q = &p->node[n->id];
        const mc_qvalue *v = n->in && n->n_in > 0 && n->in[0] ? &p->value[root(p, n->in[0]->id)] : NULL;
        if (!q->integer || !v || !v->why || !p->value[n->in[0]->id].wanted) continue;
        q->integer = 0;
        if (q->kind == MC_QK_STATIC) q->kind = MC_QK_FLOAT;
        q->why = v->why;
    }
    for (int64_t i = 0; i < p->n_values; i++) {
        const mc_qvalue *v = &p->value[root(p, (int32_t)i)];
        if (v->why) p->value[i].wanted = 0;
        p->value[i].scale = v->scale;
        p->value[i].zero_point = v->zero_point;
        p->value[i].range = v->range;
    }
}

int32_t mc_q_static_grids(mc_qplan *p)
{
    int32_t st = MCOMP_OK;
    int32_t *next = mc_calloc((size_t)p->n_values + 1, sizeof *next); /* members of a group, 1-based, from its root */
    mc_sketch merged = {0};
    if (!next) return MCOMP_NO_MEMORY;
    MC_TRY(mc_sketch_init(&merged, 0));
    range_names(p);
    for (int64_t i = 0; i < p->n_values; i++) {
        const int32_t r = root(p, (int32_t)i);
        if (!p->value[i].wanted || r == i) continue;
        next[i] = next[r];
        next[r] = (int32_t)i + 1;
    }
    for (int64_t r = 0; r < p->n_values; r++) {
        mc_qvalue *v = &p->value[r];
        if (root(p, (int32_t)r) != r || !v->wanted) continue;
        mc_sketch_reset(&merged);
        for (int32_t i = (int32_t)r + 1; i; i = next[i - 1]) {
            const mc_sketch *s = p->calibrator ? mc_calibrator_sketch(p->calibrator, p->g->values[i - 1]->name) : NULL;
            if (s) mc_sketch_merge(&merged, s);
        }
        if (merged.count == 0) {
            v->why = "the calibration has no data for its input";
            continue;
        }
        MC_TRY(grid(p, &merged, v));
        if (v->flat) v->why = "its input never varied in the calibration";
    }
    give_up(p);
done:
    mc_sketch_free(&merged);
    mc_free(next);
    return st;
}
