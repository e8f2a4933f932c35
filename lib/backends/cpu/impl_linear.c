/* mcomp.Linear in float: packed matrix product with the fused epilogue. X [...,K], W constant [K,N] or [N,K]. */
#include "backends/cpu/gemm.h"

typedef struct linear {
    const float *w; /* packed panels */
    int64_t k, n;
    mcomp_epilogue_f32 e;
} linear;

static int32_t claim(const mc_node *n, mcomp_claim *out)
{
    const mc_type *x = mc_cpu_in_type(n, 0), *w = mc_cpu_in_type(n, 1), *y = mc_cpu_out_type(n, 0);
    if (!mc_cpu_is(x, MCOMP_F32) || !mc_cpu_is(w, MCOMP_F32) || w->rank != 2 || !mc_value_const(n->in[1])) return 0;
    const double k = (double)w->dim[mc_attr_i(n, "trans_w", 0) ? 1 : 0], outputs = mc_cpu_guess(y), weights = mc_cpu_guess(w);
    /* One row reads the weights once for one use each: 10 GB/s from the last cache and beyond. */
    const double compute = outputs * k * mc_cpu_mac_ns(), stream = weights * 4.0 / 20.0;
    return mc_cpu_claim_f32(out, "gemm", 1.0, (compute > stream ? compute : stream) + outputs * 0.1);
}

static int32_t prepare(mc_cpu_step *s)
{
    int32_t st = MCOMP_OK;
    const mc_tensor *w = mc_value_const(s->node->in[1]);
    const int32_t transposed = mc_attr_i(s->node, "trans_w", 0) != 0;
    linear *l = mc_calloc(1, sizeof *l);
    if (!l) return MCOMP_NO_MEMORY;
    s->state = l;
    l->k = w->shape.dim[transposed ? 1 : 0];
    l->n = w->shape.dim[transposed ? 0 : 1];
    MC_TRY(mc_cpu_epilogue_read(s->node, &l->e));
    MC_TRY(mc_cpu_pack_weight(s, 1, transposed, &l->w));
done:
    return st;
}

static const float *data_of(const mcomp_bk_buffer *b) { return b ? b->data : NULL; }

static int32_t run(const mc_cpu_step *s, const mcomp_run_args *a)
{
    const linear *l = s->state;
    const mcomp_bk_buffer *x = mc_cpu_in(s, a, 0), *y = mc_cpu_out(s, a, 0);
    mc_cpu_product_args p = {.e = l->e};
    const int64_t outputs = mc_cpu_elements(y), m = l->n > 0 ? outputs / l->n : 0;
    p.g = (mc_gemm_f32){.a = x->data, .taps = 1, .a_row = l->k, .a_col = 1, .b = l->w, .b_row = MC_GEMM_PANEL,
                        .b_panel = MC_GEMM_PANEL * l->k, .c = y->data, .ldc = l->n, .m = m, .n = l->n, .k = l->k};
    p.e.bias = data_of(mc_cpu_in(s, a, 2));
    p.e.residual = data_of(mc_cpu_in(s, a, 3));
    p.e.gamma = data_of(mc_cpu_in(s, a, 4));
    p.e.beta = data_of(mc_cpu_in(s, a, 5));
    p.e.ld_r = l->n;
    mc_cpu_gemm(s, a, &p);
    return MCOMP_OK;
}

const mc_cpu_impl mc_cpu_linear_f32 = {.domain = "mcomp", .op = "Linear", .claim = claim, .prepare = prepare, .run = run};
