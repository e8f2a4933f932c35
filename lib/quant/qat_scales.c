/* Learned scales: LSQ (Esser et al. 2020, "Learned Step Size Quantization"). A scale is s = s0 max(r, 1/64), s0 what calibration found, r
 * trained from 1 on: relative, so that one learning rate suits scales of any size, and positive. The gradient by r carries
 * F = g / s0^2 with LSQ's g = 1 / sqrt(N q_max), which makes a step of plain gradient descent by lr move s by lr g dL/ds; Adam's
 * steps do not depend on it, but the norm that gradients are clipped by does. N: elements that share the scale, of an activation in one
 * sample (a free axis counts 1).
 * Tensors that must share a grid (around Concat, pools of maxima, Reshape ...) share one r. */
#include "quant/qat.h"

#include <math.h>

typedef struct scales {
    mc_qat *q;
    int32_t *group; /* by value id: union-find parent */
    int64_t n;
} scales;

static int32_t root(const scales *s, int32_t v)
{
    while (s->group[v] != v) v = s->group[v] = s->group[s->group[v]];
    return v;
}

static int same_grid(const mc_node *a, const mc_node *b)
{
    const mc_tensor *sa = mc_value_const(a->in[1]), *sb = mc_value_const(b->in[1]);
    double za = 0.0, zb = 0.0;
    if (!sa || !sb || sa->shape.rank != 0 || sb->shape.rank != 0 || memcmp(sa->data, sb->data, sizeof(float)) != 0) return 0;
    if (a->n_in > 2 && a->in[2] && !mc_value_scalar(a->in[2], &za)) return 0;
    if (b->n_in > 2 && b->in[2] && !mc_value_scalar(b->in[2], &zb)) return 0;
    return za == zb;
}

/* Both sides of what moves elements. */
static void tie(scales *s, const mc_node *n)
{
    if (!n->desc || (n->desc->quant != MC_Q_PASS && n->desc->quant != MC_Q_SHARED) || n->n_out < 1 || !n->out[0]) return;
    for (int64_t u = 0; u < n->out[0]->n_uses; u++) {
        const mc_node *after = n->out[0]->uses[u].node;
        if (after->dead || !mc_node_is(after, "QuantizeLinear")) continue;
        for (int32_t i = 0; i < n->n_in; i++) {
            const mc_node *before = n->in[i] ? n->in[i]->producer : NULL;
            if (before && mc_node_is(before, "DequantizeLinear") && same_grid(before, after))
                s->group[root(s, before->in[1]->id)] = root(s, after->in[1]->id);
        }
    }
}

/* Elements of a tensor that share a scale. */
static double sharing(const mc_node *n, const mc_value *x, int weight)
{
    const mc_tensor *scale = mc_value_const(n->in[1]);
    double count = 1.0;
    for (int32_t d = weight ? 0 : 1; d < x->type.rank; d++)
        if (x->type.dim[d] > 0) count *= (double)x->type.dim[d];
    return count / (double)mc_tensor_elements(scale);
}

static int32_t emit(mc_graph *g, const char *domain, const char *op, int32_t n_in, mc_value *const *in, mc_value **out)
{
    mc_node *n;
    const int32_t st = mc_graph_add_node(g, domain, op, 0, NULL, n_in, in, 1, NULL, &n);
    if (st != MCOMP_OK) return st;
    n->origin = "quantize";
    *out = n->out[0];
    return mc_infer_node(g, n);
}

/* s0 max(r, 1/64) in the place of the constant v. */
static int32_t learn(mc_qat *q, mc_value *v, double shared, double q_max, mc_value **out)
{
    int32_t st = MCOMP_OK;
    const mc_tensor *s0 = v->init;
    mc_tensor *r = NULL, *f = NULL, *start = NULL;
    mc_value *in[2];
    const double g = 1.0 / sqrt(fmax(shared * q_max, 1.0));
    MC_TRY(mc_tensor_create(&r, MCOMP_F32, &s0->shape));
    MC_TRY(mc_tensor_create(&f, MCOMP_F32, &s0->shape));
    MC_TRY(mc_tensor_copy(&start, s0));
    for (int64_t i = 0; i < mc_tensor_elements(s0); i++) {
        const double s = (double)((const float *)s0->data)[i];
        ((float *)r->data)[i] = 1.0f;
        ((float *)f->data)[i] = (float)fmin(g / (s * s), 1e12);
    }
    MC_TRY(mc_q_const_tensor(q->g, v->name, "#step", &r, &in[0]));
    MC_TRY(mc_q_const_tensor(q->g, v->name, "#factor", &f, &in[1]));
    MC_TRY(mc_qat_mark(q, in[0]->name, 1));
    MC_TRY(mc_qat_mark(q, in[1]->name, 0));
    MC_TRY(emit(q->g, "mcomp", "Through", 2, in, &in[0]));
    MC_TRY(mc_q_const_f32(q->g, NULL, 1.0f / 64.0f, &in[1]));
    MC_TRY(emit(q->g, "", "Max", 2, in, &in[0]));
    MC_TRY(mc_q_const_tensor(q->g, v->name, "#start", &start, &in[1]));
    MC_TRY(mc_qat_mark(q, in[1]->name, 0));
    MC_TRY(emit(q->g, "", "Mul", 2, in, out));
    q->n_steps++;
done:
    mc_tensor_destroy(r);
    mc_tensor_destroy(f);
    mc_tensor_destroy(start);
    return st;
}

/* Activations by their QuantizeLinear, weights by their DequantizeLinear. */
static int is_learned(const mc_node *n, int *weight)
{
    const mc_tensor *s = n->n_in > 1 && n->in[1] ? mc_value_const(n->in[1]) : NULL;
    if (n->dead || !s || s->dtype != MCOMP_F32 || s->shape.rank > 1) return 0;
    *weight = mc_node_is(n, "DequantizeLinear");
    return *weight ? mc_qat_is_weight(n) : mc_node_is(n, "QuantizeLinear") && s->shape.rank == 0 && !n->in[0]->init;
}

int32_t mc_qat_learn(mc_qat *q)
{
    int32_t st = MCOMP_OK;
    mc_graph *g = q->g;
    const int64_t n_nodes = g->n_nodes;
    scales s = {.q = q, .n = g->n_values};
    mc_value **made = NULL; /* by value id of a group's root */
    s.group = mc_calloc((size_t)s.n + 1, sizeof *s.group);
    made = mc_calloc((size_t)s.n + 1, sizeof *made);
    if (!s.group || !made) MC_TRY(MCOMP_NO_MEMORY);
    for (int64_t i = 0; i < s.n; i++) s.group[i] = (int32_t)i;
    for (int64_t i = 0; i < n_nodes; i++)
        if (!g->nodes[i]->dead) tie(&s, g->nodes[i]);
    for (int64_t i = 0; i < n_nodes; i++) {
        const mc_node *n = g->nodes[i];
        int weight = 0;
        if (!is_learned(n, &weight)) continue;
        mc_value *old = n->in[1];
        const int32_t k = root(&s, old->id);
        const mc_value *zero = n->n_in > 2 ? n->in[2] : NULL;
        const double q_max = weight || (zero && zero->type.dtype == MCOMP_I8) ? 127.0 : 255.0;
        if (!made[k]) MC_TRY(learn(q, old, sharing(n, n->in[0], weight), q_max, &made[k]));
        MC_TRY(mc_qat_link_add(q, old->name, made[k]->name));
        MC_TRY(mc_graph_replace_uses(g, old, made[k]));
    }
done:
    mc_free(s.group);
    mc_free(made);
    return st;
}
