/* Elementwise operators of two float tensors, broadcast; Min, Max and Sum of one to three; Pow through libm. */
#include "backends/cpu/broadcast.h"

#include <math.h>

enum { CODE_POW = 100, CODE_PRELU = 101 };

static const struct {
    const char *op;
    int32_t code;
} table[] = {{"Add", MC_BINARY_ADD}, {"Sub", MC_BINARY_SUB}, {"Mul", MC_BINARY_MUL}, {"Div", MC_BINARY_DIV}, {"Min", MC_BINARY_MIN},
             {"Max", MC_BINARY_MAX}, {"Sum", MC_BINARY_ADD}, {"Pow", CODE_POW}, {"PRelu", CODE_PRELU}};

static int32_t code_of(const mc_node *n)
{
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (strcmp(table[i].op, n->op) == 0) return table[i].code;
    return -1;
}

static int same_type(const mc_type *a, const mc_type *b)
{
    if (a->rank < 0 || a->rank != b->rank) return 0;
    for (int32_t i = 0; i < a->rank; i++)
        if (a->dim[i] != b->dim[i]) return 0;
    return 1;
}

static int32_t claim(const mc_node *n, mcomp_claim *out)
{
    const mc_type *y = mc_cpu_out_type(n, 0);
    const int32_t code = strcmp(n->domain, "") == 0 ? code_of(n) : -1;
    if (code < 0 || n->n_in != 2 || !mc_cpu_is(mc_cpu_in_type(n, 0), MCOMP_F32) || !mc_cpu_is(mc_cpu_in_type(n, 1), MCOMP_F32)) return 0;
    if (y && same_type(y, mc_cpu_in_type(n, 0))) out->inplace_input = 1;
    else if (y && same_type(y, mc_cpu_in_type(n, 1))) out->inplace_input = 2;
    return mc_cpu_claim_f32(out, code == CODE_POW ? "pow" : "binary", mc_cpu_guess(y), code == CODE_POW ? 10.0 : 0.15);
}

typedef struct binary_work {
    const mc_cpu_step *s;
    int32_t code;
    const float *a, *b;
    float *y;
    int64_t a_step, b_step;
} binary_work;

static void part(void *ctx, const int64_t *offset, int64_t out, int64_t count)
{
    const binary_work *w = ctx;
    const float *a = w->a + offset[0], *b = w->b + offset[1];
    float *y = w->y + out;
    if (w->code == CODE_POW) {
        for (int64_t i = 0; i < count; i++) y[i] = powf(a[i * w->a_step], b[i * w->b_step]);
    } else if (w->code == CODE_PRELU) {
        for (int64_t i = 0; i < count; i++) {
            const float x = a[i * w->a_step];
            y[i] = x < 0.0f ? x * b[i * w->b_step] : x;
        }
    } else {
        w->s->kernels->f32.binary(w->code, a, w->a_step, b, w->b_step, y, count);
    }
}

static int32_t run(const mc_cpu_step *s, const mcomp_run_args *a)
{
    const mcomp_bk_buffer *in[2] = {mc_cpu_in(s, a, 0), mc_cpu_in(s, a, 1)}, *y = mc_cpu_out(s, a, 0);
    mc_broadcast b;
    mc_broadcast_plan(&b, y, in, 2);
    binary_work w = {s, code_of(s->node), in[0]->data, in[1]->data, y->data, b.stride[0][b.rank - 1], b.stride[1][b.rank - 1]};
    mc_broadcast_run(s, a, &b, part, &w);
    return MCOMP_OK;
}

const mc_cpu_impl mc_cpu_binary = {.claim = claim, .run = run};
