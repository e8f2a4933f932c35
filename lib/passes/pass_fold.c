/* Constant folding: nodes whose inputs are all constant are run once, with budgets for the size of a result, for the growth
 * of the whole graph and for the work; Shape and Size of known types, and integer tensors whose elements the inference of
 * shape data knows, become constants too. */
#include "passes/internal.h"

typedef struct folder {
    const mc_pass_options *o;
    uint64_t grown; /* bytes that folding added beyond what it consumed */
} folder;

enum { SMALL_ELEMENTS = 256 };
static const double max_macs = 2e9;
static const double max_flops = 2e8;

static int is_variable(const mc_value *v) { return (v->flags & MC_VALUE_VARIABLE) != 0; }

static int is_foldable(const mc_node *n)
{
    const uint32_t never = MC_OP_NONDETERMINISTIC | MC_OP_CONTROL | MC_OP_NO_FOLD;
    int any = 0;
    if (!n->desc || !n->desc->forward || n->desc->traits & never || n->n_cap) return 0;
    if (n->n_in > MC_OP_MAX_IO || n->n_out > MC_OP_MAX_IO) return 0;
    for (int32_t i = 0; i < n->n_in; i++)
        if (n->in[i] && (!n->in[i]->init || is_variable(n->in[i]) || n->in[i]->init->dtype == MCOMP_STRING)) return 0;
    for (int32_t k = 0; k < n->n_out; k++) any |= n->out[k] != NULL;
    return any;
}

/* Both sides of the trade: bytes that come in and the most that may come out. */
static int is_worth(folder *f, const mc_node *n, uint64_t *limit)
{
    uint64_t in = 0, out = 0;
    mc_op_cost cost;
    const uint64_t budget = f->o->fold_bytes ? f->o->fold_bytes : (uint64_t)64 << 20;
    for (int32_t i = 0; i < n->n_in; i++)
        if (n->in[i]) in += mc_tensor_bytes(n->in[i]->init);
    *limit = in > budget ? in : budget;
    for (int32_t k = 0; k < n->n_out; k++) {
        const mc_value *v = n->out[k];
        mc_shape s;
        uint64_t bytes;
        if (!v || !mc_type_known(&v->type)) continue;
        if (mc_type_shape(&v->type, &s) != MCOMP_OK || mc_size_bytes(v->type.dtype, &s, &bytes) != MCOMP_OK) return 0;
        if (f->o->shape_only && bytes > SMALL_ELEMENTS * sizeof(int64_t)) return 0;
        out += bytes;
    }
    if (out > *limit || (out > in && f->grown + (out - in) > 4 * budget)) return 0;
    if (mc_op_count(n, &cost) != MCOMP_OK || cost.macs > max_macs || cost.flops > max_flops) return 0;
    return 1;
}

/* Runs the node; what cannot be run stays as it is (its error shows when it is needed). */
static int32_t fold_node(mc_graph *g, folder *f, mc_node *n)
{
    int32_t st = MCOMP_OK;
    uint64_t limit = 0, in_bytes = 0, out_bytes = 0;
    const mc_tensor *in[MC_OP_MAX_IO] = {NULL};
    mc_tensor *out[MC_OP_MAX_IO] = {NULL};
    if (!is_worth(f, n, &limit)) goto quiet;
    for (int32_t i = 0; i < n->n_in; i++) {
        in[i] = n->in[i] ? n->in[i]->init : NULL;
        if (in[i]) in_bytes += mc_tensor_bytes(in[i]);
    }
    st = mc_op_eval_limit(n, n->n_in, in, limit, out);
    if (st == MCOMP_NO_MEMORY) return st;
    if (st != MCOMP_OK) goto quiet;
    for (int32_t k = 0; k < n->n_out; k++) {
        if (!n->out[k] || !out[k]) continue;
        out_bytes += mc_tensor_bytes(out[k]);
        st = mc_value_make_const(g, n->out[k], out[k]);
        if (st != MCOMP_OK) return st;
    }
    if (out_bytes > in_bytes) f->grown += out_bytes - in_bytes;
    mc_graph_remove_node(g, n);
    return MCOMP_OK;
quiet:
    mc_error_clear();
    return MCOMP_OK;
}

/* Elements known from shape data: the tensor, or NULL. */
static int32_t known_elements(mc_graph *g, mc_value *v, mc_tensor **out)
{
    int32_t st = MCOMP_OK;
    mc_shape_data d = {.n = -1};
    const mc_type *t = &v->type;
    *out = NULL;
    if (v->init || t->rank < 0 || t->rank > 1 || !mc_dtype_is_integer(t->dtype)) return MCOMP_OK;
    mc_infer_data(g, v, &d);
    if (d.n < 0 || (t->rank == 0 && d.n != 1)) return MCOMP_OK;
    for (int32_t i = 0; i < d.n; i++)
        if (d.v[i] == MC_DATA_UNKNOWN || mc_data_is_symbol(d.v[i])) return MCOMP_OK;
    const mc_shape s = {.rank = t->rank, .dim = {d.n}};
    MC_TRY(mc_tensor_create(out, t->dtype, &s));
    for (int32_t i = 0; i < d.n; i++) mc_tensor_set_i64(*out, i, d.v[i]);
done:
    return st;
}

static int32_t fold_known(mc_graph *g, mc_node *n)
{
    int32_t st = MCOMP_OK, left = 0;
    mc_tensor *t = NULL;
    if (!n->desc || n->desc->traits & (MC_OP_CONTROL | MC_OP_NONDETERMINISTIC)) return MCOMP_OK;
    for (int32_t k = 0; k < n->n_out; k++) {
        if (!n->out[k]) continue;
        MC_TRY(known_elements(g, n->out[k], &t));
        if (t) MC_TRY(mc_value_make_const(g, n->out[k], t));
        else left++;
    }
    if (!left && n->n_out > 0) mc_graph_remove_node(g, n);
done:
    return st;
}

int32_t mc_pass_fold(mc_graph *g, const mc_pass_options *o)
{
    int32_t st = MCOMP_OK;
    folder f = {.o = o};
    for (int64_t i = 0; i < g->n_order; i++) {
        mc_node *n = g->order[i];
        if (n->dead || n->n_out == 0) continue;
        MC_TRY(mc_infer_node(g, n)); /* an input may have become constant just now */
        if (is_foldable(n)) MC_TRY(fold_node(g, &f, n));
        else MC_TRY(fold_known(g, n));
    }
done:
    return st;
}
