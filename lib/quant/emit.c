/* Making the nodes and constants of the quantized patterns. */
#include "quant/plan.h"

int32_t mc_q_emit(mc_graph *g, const char *op, const char *name, int32_t n_in, mc_value *const *in, mc_node **out)
{
    int32_t st = MCOMP_OK;
    mc_node *n = NULL;
    MC_TRY(mc_graph_add_node(g, "", op, 0, name, n_in, in, 1, NULL, &n));
    n->origin = "quantize";
    *out = n;
done:
    return st;
}

int32_t mc_q_const_f32(mc_graph *g, const char *name, float v, mc_value **out)
{
    return mc_graph_add_const_f32(g, name, v, out);
}

int32_t mc_q_const_int(mc_graph *g, const char *name, int32_t dtype, int64_t v, mc_value **out)
{
    const mc_shape scalar = {0};
    mc_tensor *t = NULL;
    int32_t st = MCOMP_OK;
    MC_TRY(mc_tensor_create(&t, dtype, &scalar));
    mc_tensor_set_i64(t, 0, v);
    MC_TRY(mc_graph_add_const(g, name, t, out));
done:
    return st;
}

int32_t mc_q_const_tensor(mc_graph *g, const char *base, const char *suffix, mc_tensor **t, mc_value **out)
{
    mc_str name = {0};
    mc_tensor *given = *t;
    int32_t st = MCOMP_OK;
    *t = NULL;
    MC_TRY(mc_str_appendf(&name, "%s%s", base, suffix));
    st = mc_graph_add_const(g, name.data, given, out);
    given = NULL;
done:
    mc_tensor_destroy(given);
    mc_str_free(&name);
    return st;
}
