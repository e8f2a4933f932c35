/* Recognising the layers of an encoder by structure, not by name: an attention (as the pass of the runtime matches it), the sum with the
 * stream it came from, two products with an activation between them, and the sum with the stream again; normalised before the sums'
 * branches (pre-norm) or after the sums (BERT). */
#include "distill/cut.h"

static int32_t unlike(const mc_node *n, const char *what)
{
    (void)mc_fail(MCOMP_UNSUPPORTED, n ? n->name : "model", "this does not look like a transformer encoder: %s", what);
    return mc_fail_hint("describe a student (encoder:layers=..., lstm, text-cnn), or give a model file");
}

/* Weights are constants, or variables of a training step. */
static int is_weight(const mc_value *v) { return v->init || (v->flags & MC_VALUE_VARIABLE); }

/* The producer of v behind what changes no value: Dropout, Identity, Cast. */
static mc_node *made_by(const mc_value *v)
{
    mc_node *n = v ? v->producer : NULL;
    while (n && (mc_node_is(n, "Dropout") || mc_node_is_in(n, "mcomp", "Dropout") || mc_node_is(n, "Identity") || mc_node_is(n, "Cast"))) n = n->in[0]->producer;
    return n;
}

/* The product behind a bias. */
static mc_node *product_of(const mc_value *v)
{
    mc_node *n = made_by(v);
    if (n && mc_node_is(n, "Add")) n = made_by(is_weight(n->in[0]) ? n->in[1] : n->in[0]);
    return n && mc_node_is(n, "MatMul") && is_weight(n->in[1]) ? n : NULL;
}

/* The next sum of two computed values downstream of v, through products, biases, activations, and norms where asked. */
static mc_node *next_sum(const mc_value *v, int32_t steps)
{
    for (int64_t u = 0; steps > 0 && u < v->n_uses; u++) {
        mc_node *n = v->uses[u].node;
        if (n->dead || n->n_out < 1) continue;
        if (mc_node_is(n, "Add") && !is_weight(n->in[0]) && !is_weight(n->in[1])) return n;
        if ((n->domain[0] && !mc_node_is_in(n, "mcomp", "Dropout")) || mc_node_is(n, "Shape") || mc_node_is(n, "LayerNormalization")) continue;
        mc_node *found = next_sum(n->out[0], steps - 1);
        if (found) return found;
    }
    return NULL;
}

static mc_node *only_norm(const mc_value *v)
{
    mc_node *norm = NULL;
    for (int64_t u = 0; u < v->n_uses; u++) {
        mc_node *n = v->uses[u].node;
        if (n->dead || mc_node_is(n, "Shape")) continue;
        if (!mc_node_is(n, "LayerNormalization") || norm) return NULL;
        norm = n;
    }
    return norm;
}

/* The product of the feed-forward part: a reader of x (or of its norm) whose result is added to the stream again. */
static mc_node *up_product(mc_value *x, mc_value *stream, mc_node **sum)
{
    for (int64_t u = 0; u < x->n_uses; u++) {
        mc_node *n = x->uses[u].node;
        if (n->dead || !mc_node_is(n, "MatMul") || n->in[0] != x || !is_weight(n->in[1])) continue;
        *sum = next_sum(n->out[0], 12);
        if (*sum && ((*sum)->in[0] == stream || (*sum)->in[1] == stream)) return n;
    }
    return NULL;
}

static int32_t feed_forward(mc_layer *l, mc_value *stream, int pre_norm)
{
    mc_node *sum = NULL, *norm;
    mc_value *x = stream;
    for (int64_t u = 0; pre_norm && u < stream->n_uses; u++)
        if (mc_node_is(stream->uses[u].node, "LayerNormalization")) x = stream->uses[u].node->out[0];
    l->up = up_product(x, stream, &sum);
    if (!l->up) return unlike(stream->producer, "nothing like a feed-forward part follows this sum");
    l->out = sum->out[0];
    if (pre_norm) return MCOMP_OK;
    norm = only_norm(sum->out[0]);
    if (!norm) return unlike(sum, "no normalization follows this sum");
    l->out = norm->out[0];
    return MCOMP_OK;
}

static int32_t layer_of(mc_layer *l, const mc_node *attention, mc_graph *g)
{
    mc_value *const in[3] = {g->values[attention->in[0]->id], g->values[attention->in[1]->id], g->values[attention->in[2]->id]};
    const mc_node *product[3];
    l->q = in[0];
    l->k = in[1];
    l->v = in[2];
    l->heads = mc_attr_i(attention, "heads", 0);
    for (int i = 0; i < 3; i++)
        if (!(product[i] = product_of(in[i])) || product[i]->in[0] != product[0]->in[0]) return unlike(attention, "queries, keys and values are not three products of one stream");
    if (l->q == l->k || l->q == l->v || l->k == l->v || l->heads < 1) return unlike(attention, "queries, keys and values are not three products of one stream");
    l->width = l->q->type.dim[2] / l->heads;
    mc_value *x = product[0]->in[0];
    const mc_node *norm = mc_node_is(x->producer ? x->producer : attention, "LayerNormalization") ? x->producer : NULL;
    int64_t readers = 0;
    for (int64_t u = 0; u < x->n_uses; u++) readers += !x->uses[u].node->dead && !mc_node_is(x->uses[u].node, "Shape");
    const int pre_norm = norm && readers == 3;
    l->stream = pre_norm ? norm->in[0] : x;
    const mc_node *sum = next_sum(l->context, 6);
    if (!sum || (sum->in[0] != l->stream && sum->in[1] != l->stream)) return unlike(attention, "its result is not added to the stream it came from");
    if (pre_norm) return feed_forward(l, sum->out[0], 1);
    norm = only_norm(sum->out[0]);
    if (!norm) return unlike(sum, "no normalization follows this sum");
    return feed_forward(l, norm->out[0], 0);
}

/* Probabilities that are dropped out would hide an attention from the pass; the copy is only looked at. */
static int32_t without_dropout(mc_graph *g)
{
    int32_t st = MCOMP_OK;
    for (int64_t i = 0; i < g->n_nodes; i++) {
        const mc_node *n = g->nodes[i];
        if (n->dead || !(mc_node_is(n, "Dropout") || mc_node_is_in(n, "mcomp", "Dropout")) || (n->out[0]->flags & MC_VALUE_OUTPUT)) continue;
        MC_TRY(mc_graph_replace_uses(g, n->out[0], n->in[0]));
    }
done:
    return st;
}

/* The matched attentions of a copy, in order; its values have the numbers of g's. */
static int32_t find_layers(mc_encoder_map *m, mc_graph *g)
{
    int32_t st = MCOMP_OK;
    mc_graph *copy = NULL;
    const mc_pass_options o = {.isa = (int32_t)mc_cpu_isa()};
    *m = (mc_encoder_map){0};
    MC_TRY(mc_graph_clone(&copy, g));
    MC_TRY(without_dropout(copy));
    MC_TRY(mc_graph_remove_dead(copy, NULL));
    MC_TRY(mc_graph_sort(copy));
    MC_TRY(mc_pass_run_one(copy, "attention", &o));
    MC_TRY(mc_graph_sort(copy));
    m->layers = mc_calloc((size_t)copy->n_order + 1, sizeof *m->layers);
    if (!m->layers) MC_TRY(MCOMP_NO_MEMORY);
    for (int64_t i = 0; i < copy->n_order; i++) {
        const mc_node *n = copy->order[i];
        if (!mc_node_is_in(n, "mcomp", "Attention")) continue;
        mc_layer *l = &m->layers[m->n];
        const mc_node *as_is = n->id < g->n_nodes ? g->nodes[n->id] : NULL;
        if (as_is && !as_is->dead && mc_node_is_in(as_is, "mcomp", "Attention")) l->context = as_is->out[0]; /* a training step has been through the pass */
        for (int32_t k = 0; k < n->n_aliases && !l->context; k++) { /* the Reshape that the match ends with */
            const mc_node *last = mc_graph_find_node(g, n->aliases[k]);
            if (last && mc_node_is(last, "Reshape") && last->out[0]->type.rank == 3 && mc_node_is(last->in[0]->producer, "Transpose")) l->context = last->out[0];
        }
        const mc_node *own = l->context ? NULL : mc_graph_find_node(g, n->name);
        if (own && mc_node_is(own, "Reshape")) l->context = own->out[0];
        if (!l->context) MC_TRY(unlike(n, "the end of this attention is not where it was expected"));
        MC_TRY(layer_of(l, n, g));
        m->n++;
    }
    if (m->n == 0) MC_TRY(unlike(NULL, "it has no attention that is matched"));
    const mc_type *t = &m->layers[0].stream->type;
    m->hidden = t->rank == 3 ? t->dim[2] : -1;
    for (int64_t i = 1; i < m->n; i++)
        if (m->layers[i].stream != m->layers[i - 1].out) MC_TRY(unlike(m->layers[i].stream->producer, "its layers do not follow one another"));
done:
    mc_graph_destroy(copy);
    return st;
}

/* ---- quantized graphs ---- */

static int has_pairs(const mc_graph *g)
{
    for (int64_t i = 0; i < g->n_nodes; i++)
        if (!g->nodes[i]->dead && mc_node_is(g->nodes[i], "DequantizeLinear")) return 1;
    return 0;
}

/* The float behind a pair; of a weight in training, the parameter behind its lower end too. NULL: integers are all there is. */
static mc_value *float_behind(const mc_node *dequantize)
{
    const mc_node *q = dequantize->in[0]->producer;
    if (!q || !mc_node_is(q, "QuantizeLinear")) return NULL;
    const mc_node *max = q->in[0]->producer;
    return max && mc_node_is(max, "Max") && is_weight(max->in[0]) ? max->in[0] : q->in[0];
}

static int32_t without_pairs(mc_graph *g)
{
    int32_t st = MCOMP_OK;
    for (int64_t i = 0; i < g->n_nodes; i++) {
        const mc_node *n = g->nodes[i];
        mc_value *v = n->dead || !mc_node_is(n, "DequantizeLinear") ? NULL : float_behind(n);
        if (v && !(n->out[0]->flags & MC_VALUE_OUTPUT)) MC_TRY(mc_graph_replace_uses(g, n->out[0], v));
    }
    MC_TRY(mc_graph_remove_dead(g, NULL));
    MC_TRY(mc_graph_sort(g));
done:
    return st;
}

/* A quantized student is looked at without its pairs; what is found has the same numbers with them. */
int32_t mc_cut_find(mc_encoder_map *m, mc_graph *g)
{
    int32_t st = MCOMP_OK;
    mc_graph *plain = NULL;
    if (!has_pairs(g)) return find_layers(m, g);
    *m = (mc_encoder_map){0};
    MC_TRY(mc_graph_clone(&plain, g));
    MC_TRY(without_pairs(plain));
    MC_TRY(find_layers(m, plain));
    for (int64_t i = 0; i < m->n; i++) {
        mc_layer *l = &m->layers[i];
        mc_value **const values[] = {&l->stream, &l->q, &l->k, &l->v, &l->context, &l->out};
        for (size_t k = 0; k < sizeof values / sizeof *values; k++) *values[k] = g->values[(*values[k])->id];
        l->up = g->nodes[l->up->id];
    }
done:
    mc_graph_destroy(plain);
    return st;
}
