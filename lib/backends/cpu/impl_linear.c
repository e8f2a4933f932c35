/* mcomp.Linear in float: matrix product with the fused epilogue. X [...,K], W [K,N] or [N,K]: packed once if it is a constant, by
 * blocks on every run if not (matrix.h). */
#include "backends/cpu/matrix.h"

typedef struct linear {
    const float *w; /* packed panels, or NULL: W changes */
    int64_t k, n;
    int32_t trans;
    mcomp_epilogue_f32 e;
} linear;

static int32_t claim(const mc_node *n, mcomp_claim *out)
{
    const mc_type *x = mc_cpu_in_type(n, 0), *w = mc_cpu_in_type(n, 1), *y = mc_cpu_out_type(n, 0);
    if (!mc_cpu_is(x, MCOMP_F32) || !mc_cpu_is(w, MCOMP_F32) || w->rank != 2) return 0;
    if (!mc_value_const(n->in[1]) && (w->dim[0] < 0 || w->dim[1] < 0 || mc_node_attr(n, "ln_eps"))) return 0;
    const double k = (double)w->dim[mc_attr_i(n, "trans_w", 0) ? 1 : 0], outputs = mc_cpu_guess(y), weights = mc_cpu_guess(w);
    /* One row reads the weights once for one use each: 10 GB/s from the last cache and beyond. */
    if (mc_attr_i(n, "bf16", 0)) return mc_cpu_claim_product(out, n, outputs, outputs * k);
    const double compute = outputs * k * mc_cpu_mac_ns(), stream = weights * 4.0 / 20.0;
    return mc_cpu_claim_f32(out, "gemm", 1.0, (compute > stream ? compute : stream) + outputs * 0.1);
}

static int32_t prepare(mc_cpu_step *s)
{
    int32_t st = MCOMP_OK;
    const mc_type *w = mc_cpu_in_type(s->node, 1);
    linear *l = mc_calloc(1, sizeof *l);
    if (!l) return MCOMP_NO_MEMORY;
    s->state = l;
    l->trans = mc_attr_i(s->node, "trans_w", 0) != 0;
    l->k = w->dim[l->trans ? 1 : 0];
    l->n = w->dim[l->trans ? 0 : 1];
    MC_TRY(mc_cpu_epilogue_read(s->node, &l->e));
    if (mc_value_const(s->node->in[1]) && !s->bf16) MC_TRY(mc_cpu_pack_weight(s, 1, l->trans, &l->w));
    else mc_cpu_matrix_scratch(s, l->n, l->k);
done:
    return st;
}

static const float *data_of(const mcomp_bk_buffer *b) { return b ? b->data : NULL; }

typedef struct norm_work {
    const mc_kernels *k;
    mc_norm_f32 norm;
} norm_work;

static void norm_range(void *ctx, int64_t begin, int64_t end, int32_t worker)
{
    const norm_work *w = ctx;
    mc_norm_f32 part = w->norm;
    (void)worker;
    part.y += begin * part.ld_y;
    part.x = part.y;
    part.rows = end - begin;
    w->k->f32.norm(&part);
}

static void run_variable(const mc_cpu_step *s, const mcomp_run_args *a, const linear *l)
{
    const mcomp_bk_buffer *x = mc_cpu_in(s, a, 0), *w = mc_cpu_in(s, a, 1), *y = mc_cpu_out(s, a, 0);
    mc_cpu_matrix p = {.a = x->data, .a_row = w->dims[l->trans ? 1 : 0], .a_col = 1, .b = w->data, .b_row = l->trans ? 1 : w->dims[1],
                       .b_col = l->trans ? w->dims[1] : 1, .c = y->data, .n = w->dims[l->trans ? 0 : 1], .e = l->e};
    p.k = p.a_row;
    p.m = mc_cpu_product(y->dims, 0, y->rank - 1);
    p.e.bias = data_of(mc_cpu_in(s, a, 2));
    p.e.residual = data_of(mc_cpu_in(s, a, 3));
    p.e.layernorm = 0;
    mc_cpu_matrix_run(s, a, &p);
    if (!l->e.layernorm) return;
    norm_work norm = {s->kernels, {.y = p.c, .gamma = data_of(mc_cpu_in(s, a, 4)), .beta = data_of(mc_cpu_in(s, a, 5)), .ld_x = p.n, .ld_y = p.n,
                                .n = p.n, .eps = l->e.ln_eps}};
    mc_cpu_split(s, a, p.m, p.n, norm_range, &norm);
}

static int32_t run(const mc_cpu_step *s, const mcomp_run_args *a)
{
    const linear *l = s->state;
    const mcomp_bk_buffer *x = mc_cpu_in(s, a, 0), *y = mc_cpu_out(s, a, 0);
    if (!l->w) {
        run_variable(s, a, l);
        return MCOMP_OK;
    }
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
