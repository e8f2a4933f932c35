/* The table of passes and the runner: stages in their order, the passes of a stage in table order, repeated until the graph
 * stays as it is (inlining an If exposes new constants, which decide the next If). */
#include "passes/internal.h"

static const mc_pass table[] = {
#define MC_PASS(symbol, file, stages) {#symbol, (stages), mc_pass_##symbol},
#include "passes/passes.def"
#undef MC_PASS
};

enum { MAX_ROUNDS = 32 };

int32_t mc_pass_count(void) { return (int32_t)(sizeof table / sizeof *table); }

const mc_pass *mc_pass_at(int32_t i) { return i >= 0 && i < mc_pass_count() ? &table[i] : NULL; }

const mc_pass_options *mc_pass_options_or_default(const mc_pass_options *o)
{
    static const mc_pass_options standard = {.fold_bytes = (uint64_t)64 << 20};
    return o ? o : &standard;
}

static int32_t run(mc_graph *g, const mc_pass *p, const mc_pass_options *o)
{
    int32_t st = p->run(g, o);
    if (st == MCOMP_OK) st = mc_graph_remove_dead(g, NULL);
    return st;
}

/* Every rewrite makes or removes a node, so these two numbers tell whether a round did anything. */
typedef struct state {
    int64_t nodes, live;
} state;

static state state_of(const mc_graph *g) { return (state){g->n_nodes, g->n_order}; }

/* Nodes whose outputs are all omitted compute nothing; without them every pass may look at output 0 of what is used. */
static void remove_mute(mc_graph *g)
{
    for (int64_t i = 0; i < g->n_order; i++) {
        mc_node *n = g->order[i];
        int any = n->n_out == 0;
        for (int32_t k = 0; k < n->n_out; k++) any |= n->out[k] != NULL;
        if (!any) mc_graph_remove_node(g, n);
    }
}

static int32_t run_stage(mc_graph *g, uint32_t stage, const mc_pass_options *o)
{
    int32_t st = MCOMP_OK;
    for (int32_t round = 0; round < MAX_ROUNDS; round++) {
        MC_TRY(mc_infer_graph(g));
        remove_mute(g);
        MC_TRY(mc_graph_remove_dead(g, NULL));
        const state before = state_of(g);
        for (int32_t i = 0; i < mc_pass_count(); i++)
            if (table[i].stages & stage) MC_TRY(run(g, &table[i], o));
        const state after = state_of(g);
        if (memcmp(&before, &after, sizeof before) == 0) break;
    }
done:
    return st;
}

int32_t mc_passes_run(mc_graph *g, uint32_t stages, const mc_pass_options *o)
{
    int32_t st = MCOMP_OK;
    mc_ops_register();
    o = mc_pass_options_or_default(o);
    if (stages & MC_STAGE_LOAD) MC_TRY(mc_expand_gradients(g));
    MC_TRY(mc_graph_align_constants(g)); /* passes and kernels read weights as arrays */
    for (uint32_t stage = MC_STAGE_LOAD; stage <= MC_STAGE_TRAIN; stage <<= 1)
        if (stages & stage) MC_TRY(run_stage(g, stage, o));
    st = mc_infer_graph(g);
done:
    return st;
}

int32_t mc_pass_run_one(mc_graph *g, const char *name, const mc_pass_options *o)
{
    int32_t st = MCOMP_OK;
    const mc_pass *p = NULL;
    for (int32_t i = 0; i < mc_pass_count(); i++)
        if (strcmp(table[i].name, name) == 0) p = &table[i];
    if (!p) return mc_fail(MCOMP_ARGUMENT, name, "there is no pass of this name");
    mc_ops_register();
    MC_TRY(mc_infer_graph(g));
    st = run(g, p, mc_pass_options_or_default(o));
done:
    return st;
}
