/* mcomp.Attention: Y = softmax(scale Q K^T + mask) V a head; Q [B,S,H*D], K [B,T,H*D], V [B,T,H*Dv], mask broadcast to
 * [B,H,S,T]. Operands may be slices of wider rows (*_offset, *_width), e.g. of one merged QKV projection. f32. */
#include "kernels/kernels.h"
#include "ops/nn.h"

/* Slice of the last axis. */
typedef struct slice {
    int64_t offset, width, row; /* row: elements of the whole last axis */
} slice;

static int32_t read_slice(const mc_infer *c, int32_t i, slice *s)
{
    static const char *const offset[] = {"q_offset", "k_offset", "v_offset"}, *const width[] = {"q_width", "k_width", "v_width"};
    const mc_type *t = c->in[i];
    s->offset = mc_attr_i(c->node, offset[i], 0);
    s->row = t->rank == 3 && t->dim[2] >= 0 ? t->dim[2] : -1;
    s->width = mc_attr_i(c->node, width[i], s->row < 0 ? -1 : s->row - s->offset);
    if (s->offset < 0 || (mc_node_attr(c->node, width[i]) && s->width < 1) ||
        (s->row >= 0 && (s->offset > s->row || s->width < 1 || s->width > s->row - s->offset)))
        return mc_infer_fail(c, MCOMP_SHAPE, "%s %lld and %s %lld do not fit a row of %lld", offset[i], (long long)s->offset, width[i],
                             (long long)s->width, (long long)s->row);
    return MCOMP_OK;
}

static int32_t check_mask(const mc_infer *c)
{
    int32_t st = MCOMP_OK;
    const mc_type *q = c->in[0], *k = c->in[1], *m = mc_has(c, 3) ? c->in[3] : NULL;
    MC_TRY(mc_nn_need_dtype(c, 3, MCOMP_F32));
    if (!m || m->rank < 0) goto done;
    if (m->rank > 4) return mc_infer_fail(c, MCOMP_SHAPE, "the mask has rank %d", m->rank);
    const int64_t want[4] = {q->rank == 3 ? q->dim[0] : -1, mc_attr_i(c->node, "heads", 0), q->rank == 3 ? q->dim[1] : -1,
                             k->rank == 3 ? k->dim[1] : -1};
    for (int32_t i = 0; i < m->rank; i++) {
        const int64_t got = m->dim[i], w = want[4 - m->rank + i];
        if (got >= 0 && got != 1 && w >= 0 && got != w)
            return mc_infer_fail(c, MCOMP_SHAPE, "axis %d of the mask is %lld; it does not broadcast to %lld", i, (long long)got,
                                 (long long)w);
    }
done:
    return st;
}

static int32_t infer(mc_infer *c)
{
    int32_t st = MCOMP_OK;
    slice s[3];
    const mc_type *q = c->in[0];
    mc_type *y = &c->out[0];
    const int64_t heads = mc_attr_i(c->node, "heads", 0);
    if (heads < 1 || heads > INT32_MAX) return mc_infer_fail(c, MCOMP_FORMAT, "heads is %lld", (long long)heads);
    for (int32_t i = 0; i < 3; i++) {
        MC_TRY(mc_nn_need_dtype(c, i, MCOMP_F32));
        MC_TRY(mc_nn_need_rank(c, i, 3));
        MC_TRY(read_slice(c, i, &s[i]));
        if (s[i].width >= 0 && s[i].width % heads != 0)
            return mc_infer_fail(c, MCOMP_SHAPE, "%lld elements in %lld heads", (long long)s[i].width, (long long)heads);
        if (q->rank == 3) MC_TRY(mc_nn_need_dim(c, i, 0, q->dim[0], "batch"));
    }
    if (s[0].width >= 0 && s[1].width >= 0 && s[0].width != s[1].width)
        return mc_infer_fail(c, MCOMP_SHAPE, "Q has %lld elements a row, K %lld", (long long)s[0].width, (long long)s[1].width);
    if (c->in[1]->rank == 3) MC_TRY(mc_nn_need_dim(c, 2, 1, c->in[1]->dim[1], "length of K"));
    MC_TRY(check_mask(c));
    y->dtype = MCOMP_F32;
    y->rank = 3;
    y->dim[0] = q->rank == 3 ? q->dim[0] : mc_infer_symbol(c);
    y->dim[1] = q->rank == 3 ? q->dim[1] : mc_infer_symbol(c);
    y->dim[2] = s[2].width >= 0 ? s[2].width : c->in[2]->rank == 3 && s[2].offset == 0 ? c->in[2]->dim[2] : mc_infer_symbol(c);
done:
    return st;
}

static int32_t forward(const mc_op_run *r)
{
    int32_t st = mc_nn_recheck(r, infer, 0);
    static const char *const offset[] = {"q_offset", "k_offset", "v_offset"};
    float *p = NULL;
    if (st != MCOMP_OK) return st;
    const mc_tensor *tq = r->in[0], *tk = r->in[1], *tv = r->in[2], *mask = mc_in(r, 3);
    const int64_t heads = mc_attr_i(r->node, "heads", 1), b = tq->shape.dim[0], s = tq->shape.dim[1], t = tk->shape.dim[1];
    const int64_t oq = mc_attr_i(r->node, offset[0], 0), ok = mc_attr_i(r->node, offset[1], 0), ov = mc_attr_i(r->node, offset[2], 0);
    const int64_t wq = tq->shape.dim[2], wk = tk->shape.dim[2], wv = tv->shape.dim[2], dv = r->out[0]->shape.dim[2] / heads;
    const int64_t d = mc_attr_i(r->node, "q_width", wq - oq) / heads;
    const float scale = mc_attr_f(r->node, "scale", 1.0f);
    int64_t sm[MC_MAX_RANK] = {0};
    const mc_shape full = mc_shape_make(4, (const int64_t[]){b, heads, s, t});
    if (mask) mc_shape_broadcast_strides(&mask->shape, &full, sm);
    p = mc_malloc(sizeof *p * (size_t)t);
    if (!p) MC_FAIL(MCOMP_NO_MEMORY, r->node->name, "no memory for a row");
    for (int64_t row = 0; row < b * heads * s; row++) {
        const int64_t n = row / (heads * s), h = row / s % heads, i = row % s;
        for (int64_t j = 0; j < t; j++) {
            p[j] = (float)mc_nn_dot(tq, (n * s + i) * wq + oq + h * d, 1, tk, (n * t + j) * wk + ok + h * d, 1, d) * scale;
            if (mask) p[j] = p[j] + ((const float *)mask->data)[n * sm[0] + h * sm[1] + i * sm[2] + j * sm[3]];
        }
        mc_softmax_row_ref(p, p, t);
        for (int64_t e = 0; e < dv; e++) {
            double sum = 0.0;
            for (int64_t j = 0; j < t; j++) sum += (double)p[j] * mc_nn_at(tv, (n * t + j) * wv + ov + h * dv + e);
            mc_nn_put(r->out[0], ((n * s + i) * heads + h) * dv + e, sum);
        }
    }
done:
    mc_free(p);
    return st;
}

static int32_t cost(const mc_node *n, const mc_type *const *in, const mc_type *const *out, mc_op_cost *c)
{
    if (out[0]->rank != 3 || in[0]->rank != 3 || in[1]->rank != 3) return MCOMP_OK;
    const double heads = (double)mc_attr_i(n, "heads", 1), t = mc_nn_extent_f(in[1], 1, 2), s = mc_nn_extent_f(in[0], 0, 2);
    const double width = (double)mc_attr_i(n, "q_width", in[0]->dim[2] > 0 ? in[0]->dim[2] : 0);
    c->macs = s * t * (width + mc_nn_extent_f(out[0], 2, 3));
    c->flops = 4.0 * s * t * heads;
    return MCOMP_OK;
}

const mc_op mc_op_mcomp_Attention = {.name = "Attention", .domain = "mcomp", .version = 1, .since = 1, .min_in = 3, .max_in = 4,
                                     .min_out = 1, .max_out = 1, .quant = MC_Q_NONE, .infer = infer, .forward = forward, .cost = cost};
