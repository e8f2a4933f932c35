/* The row epilogue of the host, applied to tiles while they are in the cache. */
#include "plugin.h"

#include <string.h>

static int32_t act_code(const mcomp_bk_node *n, const char *attr)
{
    static const char *const names[] = {"none", "relu", "clip", "gelu", "gelu_tanh", "sigmoid", "tanh", "silu", "hardswish"};
    const char *s = dn_host->attr_string(n, attr, "none");
    for (int32_t i = 0; i < (int32_t)(sizeof names / sizeof *names); i++)
        if (strcmp(names[i], s) == 0) return i;
    return -1;
}

int dn_epilogue_read(const mcomp_bk_node *n, const mcomp_bk_compile *c, const int32_t index[4], dn_epilogue *e)
{
    memset(e, 0, sizeof *e);
    e->e.size = sizeof e->e;
    e->e.act = act_code(n, "act");
    e->e.post_act = act_code(n, "post_act");
    e->e.act_lo = (float)dn_host->attr_float(n, "act_lo", 0.0);
    e->e.act_hi = (float)dn_host->attr_float(n, "act_hi", 0.0);
    const double eps = dn_host->attr_float(n, "ln_eps", -1.0);
    e->e.layernorm = eps >= 0.0;
    e->e.ln_eps = (float)eps;
    for (int32_t i = 0; i < 4; i++) {
        const mcomp_bk_value *v = index[i] >= 0 ? dn_host->node_input(n, index[i]) : NULL;
        e->slot[i] = c ? dn_slot(c, v) : -1;
        if (v && dn_host->value_dtype(v) != MCOMP_F32) return 0;
    }
    return e->e.act >= 0 && e->e.post_act >= 0 && dn_host->get_proc("epilogue_f32") != NULL;
}

void dn_epilogue_run(const mcomp_bk_program *p, const mcomp_run_args *a, int64_t at, int64_t rows)
{
    mcomp_epilogue_f32 e = p->e.e;
    const float *operand[4];
    for (int32_t i = 0; i < 4; i++) operand[i] = p->e.slot[i] >= 0 ? a->buffers[p->e.slot[i]].data : NULL;
    e.bias = operand[0];
    e.residual = operand[1] ? operand[1] + at : NULL;
    e.gamma = operand[2];
    e.beta = operand[3];
    e.ld_r = p->m;
    ((mcomp_epilogue_f32_fn)dn_host->get_proc("epilogue_f32"))(&e, (float *)a->buffers[p->y].data + at, p->m, rows, p->m);
}
