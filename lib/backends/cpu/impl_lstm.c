/* LSTM in float with the default activations: X W^T of all steps is one product, then a step is h R^T added to it and the cell
 * kernel. X [T,B,in], W [D,4H,in], R [D,4H,H], B [D,8H], gates in the order i o f c. Peepholes, clipping, coupled gates,
 * sequence lengths and layout 1 are left to the reference. Weights that are no constants (training) are packed on every run. */
#include "backends/cpu/gemm.h"

#include <stdio.h>

typedef struct lstm {
    int64_t dirs, hidden, input;
    int reverse;                    /* the only direction runs backwards */
    const float *w[2], *r[2];       /* packed [in][4H] and [H][4H] */
    float *bias;                    /* [dirs][4H]: sum of both */
    int32_t changes;                /* weights are no constants */
    int64_t packed;                 /* floats of one direction, packed on every run */
} lstm;

static int32_t claim(const mc_node *n, mcomp_claim *out)
{
    const mc_type *x = mc_cpu_in_type(n, 0), *w = mc_cpu_in_type(n, 1), *r = mc_cpu_in_type(n, 2);
    const char *direction = mc_attr_s(n, "direction", "forward");
    if (!mc_cpu_is(x, MCOMP_F32) || x->rank != 3 || !mc_cpu_is(w, MCOMP_F32) || !mc_cpu_is(r, MCOMP_F32)) return 0;
    if (w->rank != 3 || r->rank != 3 || !mc_value_const(n->in[1]) != !mc_value_const(n->in[2])) return 0;
    if (n->n_in > 3 && n->in[3] && (!mc_cpu_is(mc_cpu_in_type(n, 3), MCOMP_F32) || !mc_value_const(n->in[3]) != !mc_value_const(n->in[1]))) return 0;
    if ((n->n_in > 4 && n->in[4]) || (n->n_in > 7 && n->in[7]) || mc_node_attr(n, "activations") || mc_node_attr(n, "clip")) return 0;
    if (mc_attr_i(n, "layout", 0) != 0 || mc_attr_i(n, "input_forget", 0) != 0 || x->dim[0] < 0 || x->dim[1] < 0) return 0;
    if (strcmp(direction, "forward") != 0 && strcmp(direction, "reverse") != 0 && strcmp(direction, "bidirectional") != 0) return 0;
    const double macs = (double)(x->dim[0] * x->dim[1]) * (mc_cpu_guess(w) + mc_cpu_guess(r));
    return mc_cpu_claim_f32(out, "lstm", macs, mc_cpu_mac_ns() * 3.0);
}

typedef struct pack_ctx {
    const mc_kernels *k;
    const float *w;
    int64_t rows, columns; /* [rows][columns], packed transposed */
} pack_ctx;

static int32_t fill(void *ctx, void *block)
{
    const pack_ctx *c = ctx;
    c->k->f32.pack(c->w, 1, c->columns, c->columns, c->rows, 1.0f, block);
    return MCOMP_OK;
}

static int32_t pack(const mc_cpu_step *s, int32_t i, int64_t d, const float **out)
{
    char key[64];
    const void *block = NULL;
    const mc_tensor *t = mc_value_const(s->node->in[i]);
    const int64_t rows = t->shape.dim[1], columns = t->shape.dim[2];
    pack_ctx c = {s->kernels, (const float *)t->data + d * rows * columns, rows, columns};
    snprintf(key, sizeof key, "lstm_f32:%llx:%lld", (unsigned long long)s->host->value_key((const mcomp_bk_value *)(const void *)s->node->in[i]),
             (long long)d);
    const int32_t st = s->host->pack(s->store, key, (uint64_t)((rows + 15) / 16 * 16 * columns) * sizeof(float) + 1, fill, &c, &block);
    *out = block;
    return st;
}

static void release(mc_cpu_step *s)
{
    lstm *l = s->state;
    if (l) mc_free(l->bias);
    mc_free(l);
}

static int32_t prepare(mc_cpu_step *s)
{
    int32_t st = MCOMP_OK;
    const mc_type *x = mc_cpu_in_type(s->node, 0), *r = mc_cpu_in_type(s->node, 2);
    const mc_tensor *b = s->node->n_in > 3 && s->node->in[3] ? mc_value_const(s->node->in[3]) : NULL;
    lstm *l = mc_calloc(1, sizeof *l);
    if (!l) return MCOMP_NO_MEMORY;
    s->state = l;
    l->dirs = r->dim[0];
    l->hidden = r->dim[2];
    l->input = mc_cpu_in_type(s->node, 1)->dim[2];
    l->reverse = strcmp(mc_attr_s(s->node, "direction", "forward"), "reverse") == 0;
    if (l->dirs > 2) return mc_fail(MCOMP_SHAPE, s->node->name, "%lld directions", (long long)l->dirs);
    const int64_t gates = 4 * l->hidden;
    l->bias = mc_calloc((size_t)(l->dirs * gates) + 1, sizeof *l->bias);
    if (!l->bias) return MCOMP_NO_MEMORY;
    l->changes = !mc_value_const(s->node->in[1]);
    l->packed = l->changes ? (gates + 15) / 16 * 16 * (l->input + l->hidden) + gates : 0;
    for (int64_t d = 0; d < l->dirs && !l->changes; d++) {
        MC_TRY(pack(s, 1, d, &l->w[d]));
        MC_TRY(pack(s, 2, d, &l->r[d]));
        for (int64_t k = 0; b && k < gates; k++) {
            const float *p = (const float *)b->data + d * 2 * gates;
            l->bias[d * gates + k] = p[k] + p[gates + k];
        }
    }
    /* What is packed of one direction, gates of all its steps, then c and h [B][H]. */
    s->scratch_bytes = sizeof(float) * (uint64_t)(l->packed + 16 + x->dim[1] * (x->dim[0] * gates + 2 * l->hidden));
done:
    return st;
}

static mc_gemm_f32 product(const float *a, int64_t m, int64_t k, const float *b, float *c, int64_t n)
{
    return (mc_gemm_f32){.a = a, .taps = 1, .a_row = k, .a_col = 1, .b = b, .b_row = MC_GEMM_PANEL, .b_panel = MC_GEMM_PANEL * k, .c = c,
                         .ldc = n, .m = m, .n = n, .k = k};
}

static void load_state(const mcomp_bk_buffer *b, int64_t d, float *to, int64_t n)
{
    if (b) memcpy(to, (const float *)b->data + d * n, sizeof *to * (size_t)n);
    else memset(to, 0, sizeof *to * (size_t)n);
}

static void store_state(const mcomp_bk_buffer *b, int64_t d, const float *from, int64_t n)
{
    if (b) memcpy((float *)b->data + d * n, from, sizeof *from * (size_t)n);
}

typedef struct weights {
    const float *w, *r, *bias;
} weights;

/* Of one direction; those that change are packed into scratch. */
static weights weights_of(const mc_cpu_step *s, const mcomp_run_args *a, const lstm *l, int64_t d)
{
    const int64_t gates = 4 * l->hidden, panels = (gates + 15) / 16 * 16;
    float *w = a->scratch, *r = w + panels * l->input, *bias = r + panels * l->hidden;
    const mcomp_bk_buffer *b = mc_cpu_in(s, a, 3);
    if (!l->changes) return (weights){l->w[d], l->r[d], l->bias + d * gates};
    s->kernels->f32.pack((const float *)mc_cpu_in(s, a, 1)->data + d * gates * l->input, 1, l->input, l->input, gates, 1.0f, w);
    s->kernels->f32.pack((const float *)mc_cpu_in(s, a, 2)->data + d * gates * l->hidden, 1, l->hidden, l->hidden, gates, 1.0f, r);
    for (int64_t k = 0; k < gates; k++) bias[k] = b ? ((const float *)b->data)[d * 2 * gates + k] + ((const float *)b->data)[(d * 2 + 1) * gates + k] : 0.0f;
    return (weights){w, r, bias};
}

static void direction(const mc_cpu_step *s, const mcomp_run_args *a, const lstm *l, int64_t d)
{
    const mcomp_bk_buffer *x = mc_cpu_in(s, a, 0), *y = mc_cpu_out(s, a, 0);
    const int64_t steps = x->dims[0], batch = x->dims[1], h = l->hidden, gates = 4 * h;
    const weights w = weights_of(s, a, l, d);
    float *all = (float *)a->scratch + (l->packed + 15) / 16 * 16, *c = all + steps * batch * gates, *state = c + batch * h;
    mc_cpu_product_args p = {.g = product(x->data, steps * batch, l->input, w.w, all, gates), .e = {.size = sizeof p.e}};
    p.e.bias = w.bias;
    mc_cpu_gemm(s, a, &p);
    load_state(mc_cpu_in(s, a, 5), d, state, batch * h);
    load_state(mc_cpu_in(s, a, 6), d, c, batch * h);
    mc_cpu_product_args step = {.e = {.size = sizeof p.e}};
    for (int64_t i = 0; i < steps; i++) {
        const int64_t t = d == 1 || l->reverse ? steps - 1 - i : i;
        float *g = all + t * batch * gates;
        step.g = product(state, batch, h, w.r, g, gates);
        step.g.accumulate = 1;
        mc_cpu_gemm(s, a, &step);
        for (int64_t b = 0; b < batch; b++) s->kernels->f32.lstm(g + b * gates, c + b * h, state + b * h, h);
        if (y) memcpy((float *)y->data + (t * l->dirs + d) * batch * h, state, sizeof(float) * (size_t)(batch * h));
    }
    store_state(mc_cpu_out(s, a, 1), d, state, batch * h);
    store_state(mc_cpu_out(s, a, 2), d, c, batch * h);
}

static int32_t run(const mc_cpu_step *s, const mcomp_run_args *a)
{
    const lstm *l = s->state;
    for (int64_t d = 0; d < l->dirs; d++) direction(s, a, l, d);
    return MCOMP_OK;
}

const mc_cpu_impl mc_cpu_lstm = {.domain = "", .op = "LSTM", .claim = claim, .prepare = prepare, .release = release, .run = run};
