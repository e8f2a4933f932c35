/* Names of the activations that fused operators carry in `act` and `post_act` (docs/fused_ops.md). */
#include "ops/ops.h"

#include <mcomp/backend.h>

int32_t mc_act_read(const mc_node *n, const char *attr)
{
    static const struct {
        const char *name;
        int32_t code;
    } table[] = {{"none", MCOMP_ACT_NONE}, {"relu", MCOMP_ACT_RELU}, {"clip", MCOMP_ACT_CLIP}, {"gelu", MCOMP_ACT_GELU},
                 {"gelu_tanh", MCOMP_ACT_GELU_TANH}, {"sigmoid", MCOMP_ACT_SIGMOID}, {"tanh", MCOMP_ACT_TANH},
                 {"silu", MCOMP_ACT_SILU}, {"hardswish", MCOMP_ACT_HARDSWISH}};
    const char *s = mc_attr_s(n, attr, "none");
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (strcmp(table[i].name, s) == 0) return table[i].code;
    return -1;
}
