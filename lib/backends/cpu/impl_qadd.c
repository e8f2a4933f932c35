/* mcomp.QAdd and mcomp.QLut: element by element on bytes. */
#include "backends/cpu/qgemm.h"
#include "backends/cpu/work.h"

/* ---- QAdd ---- */

static int read_add(const mc_node *n, mc_qadd *q)
{
    const mc_type *a = mc_cpu_in_type(n, 0), *b = mc_cpu_in_type(n, 1), *y = mc_cpu_out_type(n, 0);
    memset(q, 0, sizeof *q);
    if (!y || !mc_q_is_byte(a) || !mc_q_is_byte(b)) return 0;
    if (!mc_q_map(n, "a", a->dtype, &q->a_param) || !mc_q_map(n, "b", b->dtype, &q->b_param)) return 0;
    const int32_t act = mc_act_read(n, "act");
    if (act != MCOMP_ACT_NONE && act != MCOMP_ACT_RELU) return 0;
    q->relu = act == MCOMP_ACT_RELU;
    if (!mc_node_attr(n, "y_scale")) return y->dtype == MCOMP_F32;
    mc_qmap m;
    if (!mc_q_is_byte(y) || !mc_q_map(n, "y", y->dtype, &m)) return 0;
    q->out = (mc_qout){.quantized = 1, .zp = m.zp, .flip = m.flip, .inv = 1.0f / m.scale};
    return 1;
}

static int32_t claim_add(const mc_node *n, mcomp_claim *out)
{
    mc_qadd q;
    if (!read_add(n, &q)) return 0;
    out->inplace_input = q.out.quantized ? 1 : 0;
    return mc_q_claim(out, "qadd", 0.0, mc_q_guess(mc_cpu_out_type(n, 0)) * 3.0);
}

static int32_t prepare_add(mc_cpu_step *s)
{
    mc_qadd *q = mc_malloc(sizeof *q);
    if (!q) return MCOMP_NO_MEMORY;
    s->state = q;
    return read_add(s->node, q) ? MCOMP_OK : mc_fail(MCOMP_UNSUPPORTED, s->node->name, "QAdd of an unknown form");
}

typedef struct add_job {
    mc_qadd q;
    const mc_kernels_int8 *k;
} add_job;

static void add_range(void *ctx, int64_t begin, int64_t end, int32_t worker)
{
    const add_job *j = ctx;
    mc_qadd q = j->q;
    (void)worker;
    q.a += begin;
    q.b += begin;
    q.n = end - begin;
    q.out.y = (uint8_t *)q.out.y + begin * (q.out.quantized ? 1 : 4);
    j->k->add(&q);
}

static int32_t run_add(const mc_cpu_step *s, const mcomp_run_args *a)
{
    add_job j = {*(const mc_qadd *)s->state, &s->kernels->int8};
    const mcomp_bk_buffer *y = mc_cpu_out(s, a, 0);
    j.q.a = mc_cpu_in(s, a, 0)->data;
    j.q.b = mc_cpu_in(s, a, 1)->data;
    j.q.out.y = y->data;
    mc_cpu_split(s, a, mc_cpu_elements(y), 1, add_range, &j);
    return MCOMP_OK;
}

/* ---- QLut ---- */

static int32_t claim_lut(const mc_node *n, mcomp_claim *out)
{
    const mc_type *x = mc_cpu_in_type(n, 0), *t = mc_cpu_in_type(n, 1);
    if (!mc_q_is_byte(x) || !mc_q_is_byte(t) || t->rank != 1 || t->dim[0] != 256) return 0;
    out->inplace_input = 1;
    return mc_q_claim(out, "qlut", 0.0, mc_q_guess(x) * 2.0);
}

typedef struct lut_job {
    const uint8_t *x, *table;
    uint8_t *y;
    const mc_kernels_int8 *k;
} lut_job;

static void lut_range(void *ctx, int64_t begin, int64_t end, int32_t worker)
{
    const lut_job *j = ctx;
    (void)worker;
    j->k->lut(j->x + begin, end - begin, j->table, j->y + begin);
}

static int32_t run_lut(const mc_cpu_step *s, const mcomp_run_args *a)
{
    lut_job j = {mc_cpu_in(s, a, 0)->data, mc_cpu_in(s, a, 1)->data, mc_cpu_out(s, a, 0)->data, &s->kernels->int8};
    mc_cpu_split(s, a, mc_cpu_elements(mc_cpu_out(s, a, 0)), 1, lut_range, &j);
    return MCOMP_OK;
}

const mc_cpu_impl mc_cpu_qadd = {.domain = "mcomp", .op = "QAdd", .claim = claim_add, .prepare = prepare_add, .run = run_add};
const mc_cpu_impl mc_cpu_qlut = {.domain = "mcomp", .op = "QLut", .claim = claim_lut, .run = run_lut};
