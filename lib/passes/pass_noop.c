/* Removes what does nothing: Identity, Dropout at inference, Cast to the same type, Transpose that keeps the order, x + 0,
 * x * 1, and every Reshape, Expand, Slice, Pad ... whose result has the type of its input (symbolic sizes compared by symbol). */
#include "passes/internal.h"

static int is_dropout(const mc_node *n)
{
    double training = 0.0;
    if (!mc_node_is(n, "Dropout") || (n->n_out > 1 && n->out[1])) return 0;
    if (n->n_in > 2 && n->in[2] && !mc_value_scalar(n->in[2], &training)) return 0;
    return training == 0.0;
}

static int all_const(const mc_value *v, double x) { return !v || mc_value_const_is(v, x); }

static int same_type(const mc_node *n) { return mc_types_equal(&n->in[0]->type, &n->out[0]->type); }

/* Nodes that can only leave the elements alone if the sizes stay the same. */
static int is_idle_view(const mc_node *n)
{
    if (!same_type(n)) return 0;
    if (mc_node_is(n, "Reshape") || mc_node_is(n, "Expand") || mc_node_is(n, "Tile") || mc_node_is(n, "Flatten") ||
        mc_node_is(n, "Squeeze") || mc_node_is(n, "Unsqueeze"))
        return 1;
    if (mc_node_is(n, "Slice")) return n->n_in < 5 || all_const(n->in[4], 1.0);
    if (mc_node_is(n, "Pad")) return n->n_in > 1 && all_const(n->in[1], 0.0);
    return 0;
}

static int is_idle_permutation(const mc_node *n)
{
    int64_t perm[MC_MAX_RANK];
    int32_t rank;
    if (!mc_node_is(n, "Transpose") || !mc_perm_of(n, perm, &rank)) return 0;
    for (int32_t i = 0; i < rank; i++)
        if (perm[i] != i) return 0;
    return 1;
}

/* x + 0, x * 1 and the like: index of x, or -1. */
static int32_t neutral_operand(const mc_node *n)
{
    static const struct {
        const char *op;
        double neutral;
        int32_t commutes;
    } table[] = {{"Add", 0.0, 1}, {"Sub", 0.0, 0}, {"Mul", 1.0, 1}, {"Div", 1.0, 0}, {"Pow", 1.0, 0}};
    double c;
    if (n->n_in != 2 || !n->in[0] || !n->in[1]) return -1;
    for (size_t k = 0; k < sizeof table / sizeof *table; k++) {
        if (!mc_node_is(n, table[k].op)) continue;
        for (int32_t i = 1; i >= (table[k].commutes ? 0 : 1); i--)
            if (mc_value_const_is(n->in[i], table[k].neutral) && mc_types_equal(&n->in[1 - i]->type, &n->out[0]->type)) return 1 - i;
    }
    const int max = mc_node_is(n, "Max"), min = mc_node_is(n, "Min");
    for (int32_t i = 0; i < 2 && (max || min); i++)
        if (mc_value_scalar(n->in[i], &c) && c == (max ? -__builtin_inf() : __builtin_inf()) &&
            mc_types_equal(&n->in[1 - i]->type, &n->out[0]->type))
            return 1 - i;
    return -1;
}

/* Sum of two is Add, which every later pass and the quantizer know. */
static int32_t sum_to_add(mc_graph *g, mc_node *n)
{
    mc_node *add;
    if (!mc_node_is(n, "Sum") || n->n_in != 2 || !n->in[0] || !n->in[1] || !n->out[0]) return MCOMP_OK;
    const int32_t st = mc_rewrite(g, "", "Add", "noop", n, 2, n->in, n->out[0], &add);
    if (st == MCOMP_OK) mc_graph_remove_node(g, n);
    return st;
}

/* The input that the node passes on, or -1. */
static int32_t passed_on(const mc_node *n)
{
    if (n->n_in < 1 || !n->in[0] || n->n_out < 1 || !n->out[0] || n->n_cap) return -1;
    if (mc_node_is(n, "Identity") || is_dropout(n)) return 0;
    if ((mc_node_is(n, "Cast") || mc_node_is(n, "CastLike")) && same_type(n)) return 0;
    if (is_idle_permutation(n) || is_idle_view(n)) return 0;
    if (n->n_in == 1 && (mc_node_is(n, "Concat") || mc_node_is(n, "Sum") || mc_node_is(n, "Max") || mc_node_is(n, "Min") ||
                         mc_node_is(n, "Mean")))
        return 0;
    return neutral_operand(n);
}

int32_t mc_pass_noop(mc_graph *g, const mc_pass_options *o)
{
    int32_t st = MCOMP_OK, done;
    (void)o;
    for (int64_t i = 0; i < g->n_order; i++) {
        mc_node *n = g->order[i];
        if (n->dead) continue;
        const int32_t k = passed_on(n);
        if (k >= 0) MC_TRY(mc_bypass(g, n, n->in[k], &done));
        else MC_TRY(sum_to_add(g, n));
    }
done:
    return st;
}
