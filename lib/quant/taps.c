/* Which tensors calibration looks at, and the model's fingerprint.
 *
 * Tapped are the tensors that a static plan could want: the one that makes every candidate integer, plus both sides of every
 * residual addition, so that keeping nodes float later needs no tensor that was not seen. Masks and other tensors that no
 * integer operator reads are not tapped, so -inf in them is no defect of the data. */
#include "quant/calibrator.h"
#include "quant/plan.h"

/* Convolutions and pools count channels on axis 1, everything else on the last. */
static int32_t channel_axis(const mc_value *v)
{
    if (v->type.rank < 2) return -1;
    for (int64_t i = 0; i < v->n_uses; i++) {
        const mc_node *n = v->uses[i].node;
        if (v->type.rank >= 3 && (mc_node_is(n, "Conv") || mc_node_is(n, "ConvTranspose") || (n->desc && n->desc->quant == MC_Q_POOL)))
            return 1;
    }
    return v->type.rank - 1;
}

static int32_t tap(mcomp_calibrator *c, mc_value *v)
{
    int32_t axis = channel_axis(v), st = MCOMP_OK;
    int64_t channels = axis >= 0 ? v->type.dim[axis] : 0, index;
    mc_node *n;
    if (channels <= 0) channels = axis = -1;
    if (channels > MC_SKETCH_CHANNELS) channels = MC_SKETCH_CHANNELS;
    MC_TRY(mc_calib_tensor_add(c, v->name, axis, axis < 0 ? 0 : (int32_t)channels, &index));
    MC_TRY(mc_graph_add_node(c->g, "mcomp", "Observe", 0, NULL, 1, &v, 0, NULL, &n));
    MC_TRY(mc_node_set_i(n, "slot", index));
done:
    return st;
}

int32_t mc_calib_tap(mcomp_calibrator *c)
{
    mc_qplan *p = NULL;
    int32_t st = MCOMP_OK;
    MC_TRY(mc_qplan_create(&p, c->g));
    mc_q_candidates(p);
    for (int64_t i = 0; i < p->n_nodes; i++)
        if (p->node[i].candidate) p->node[i].kind = MC_QK_STATIC;
    MC_TRY(mc_q_static_mark(p));
    for (int64_t i = 0; i < p->n_nodes; i++) {
        const mc_node *n = c->g->nodes[i];
        for (int32_t k = 0; !n->dead && p->node[i].integer && k < n->n_in; k++)
            if (n->in[k] && !mc_value_const(n->in[k]) && n->in[k]->type.dtype == MCOMP_F32)
                p->value[n->in[k]->id].wanted = 1;
    }
    for (int64_t i = 0; i < p->n_values; i++)
        if (p->value[i].wanted) MC_TRY(tap(c, c->g->values[i]));
    MC_TRY(mc_graph_sort(c->g));
done:
    mc_qplan_destroy(p);
    return st;
}

static uint64_t hash_text(const char *s, uint64_t h) { return mc_hash64(s ? s : "", s ? strlen(s) : 0, h); }
static uint64_t hash_int(int64_t v, uint64_t h) { return mc_hash64(&v, sizeof v, h); }

static uint64_t hash_tensor(const mc_tensor *t, uint64_t h)
{
    h = hash_int(t->dtype, h);
    for (int32_t d = 0; d < t->shape.rank; d++) h = hash_int(t->shape.dim[d], h);
    return t->dtype == MCOMP_STRING ? h : mc_hash64(t->data, (size_t)mc_tensor_bytes(t), h);
}

static uint64_t hash_graph(const mc_graph *g, uint64_t h, int depth);

static uint64_t hash_attr(const mc_attr *a, uint64_t h, int depth)
{
    h = hash_int(a->kind, hash_text(a->name, h));
    h = mc_hash64(&a->f, sizeof a->f, hash_int(a->i, h));
    h = hash_text(a->s, h);
    if (a->floats) h = mc_hash64(a->floats, sizeof *a->floats * (size_t)a->n, h);
    if (a->ints) h = mc_hash64(a->ints, sizeof *a->ints * (size_t)a->n, h);
    for (int64_t i = 0; a->strings && i < a->n; i++) h = hash_text(a->strings[i], h);
    if (a->tensor) h = hash_tensor(a->tensor, h);
    return a->graph && depth > 0 ? hash_graph(a->graph, h, depth - 1) : h;
}

static uint64_t hash_graph(const mc_graph *g, uint64_t h, int depth)
{
    for (int64_t i = 0; i < g->n_inputs; i++) h = hash_text(g->inputs[i]->name, h);
    for (int64_t i = 0; i < g->n_order; i++) {
        const mc_node *n = g->order[i];
        h = hash_text(n->op, hash_text(n->domain, h));
        for (int32_t k = 0; k < n->n_in; k++) h = hash_text(n->in[k] ? n->in[k]->name : "", h);
        for (int32_t k = 0; k < n->n_out; k++) h = hash_text(n->out[k] ? n->out[k]->name : "", h);
        for (int32_t k = 0; k < n->n_attrs; k++) h = hash_attr(&n->attrs[k], h, depth);
    }
    for (int64_t i = 0; i < g->n_values; i++)
        if (!g->values[i]->dead && g->values[i]->init) h = hash_tensor(g->values[i]->init, hash_text(g->values[i]->name, h));
    for (int64_t i = 0; i < g->n_outputs; i++) h = hash_text(g->outputs[i]->name, h);
    return h;
}

void mc_calib_fingerprint(const mc_graph *g, char out[33])
{
    static const char digits[] = "0123456789abcdef";
    for (int k = 0; k < 2; k++) {
        uint64_t h = hash_graph(g, k ? 0x6d636f6d70ull : 1, 64);
        for (int i = 15; i >= 0; i--, h >>= 4) out[k * 16 + i] = digits[h & 15];
    }
    out[32] = 0;
}
