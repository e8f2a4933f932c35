/* Type inference after import. An operator in a form that the library does not know (a new element type, a training mode)
 * makes its node opaque: the model can still be inspected, pruned around and saved, only running it needs a kernel. */
#include "onnx/save.h"

/* The node says from now on why it was refused: the error's text, without the operator's name in front of it. */
static int32_t keep_reason(mc_node *n)
{
    const char *why = mc_error_peek()->message;
    const size_t len = strlen(n->op);
    if (n->refused) return MCOMP_OK;
    if (strncmp(why, n->op, len) == 0 && strncmp(why + len, ": ", 2) == 0) why += len + 2;
    n->refused = mc_strdup(why);
    return n->refused ? MCOMP_OK : MCOMP_NO_MEMORY;
}

static int32_t soften(mcomp_context *ctx, mc_graph *g)
{
    int32_t st = MCOMP_OK;
    for (int64_t i = 0; i < g->n_order; i++) {
        mc_node *n = g->order[i];
        if (i % 256 == 0) MC_TRY(mc_context_poll(ctx));
        for (int32_t k = 0; k < n->n_attrs; k++) {
            if (!n->attrs[k].graph) continue;
            MC_TRY(mc_onnx_capture_types(g, n, n->attrs[k].graph));
            MC_TRY(soften(ctx, n->attrs[k].graph));
        }
        st = mc_infer_node(g, n);
        if (st == MCOMP_UNSUPPORTED && n->desc) {
            MC_TRY(keep_reason(n));
            mc_error_clear();
            n->version = mc_onnx_need_of(n);
            n->desc = NULL;
            st = MCOMP_OK;
        }
        MC_TRY(st);
    }
done:
    return st;
}

int32_t mc_onnx_infer(mcomp_context *ctx, mc_graph *g)
{
    int32_t st = mc_infer_graph(g);
    if (st != MCOMP_UNSUPPORTED) return st;
    mc_error_clear();
    MC_TRY(soften(ctx, g));
    MC_TRY(mc_infer_graph(g));
done:
    return st;
}
