/* Public functions that build a graph by hand. Nodes are written in the form of the opset that mcomp_graph_create was given;
 * mcomp_graph_finish brings them to the internal form as the loader does (which is why this lives here). */
#include <mcomp/graph.h>

#include "onnx/internal.h"

int32_t mcomp_graph_create(mcomp_graph **out, mcomp_context *ctx, const char *name, int32_t opset)
{
    int32_t st = MCOMP_OK;
    mcomp_graph *h = NULL;
    MC_API_ENTER();
    MC_CHECK_ARG(1, out, "out", "is NULL");
    *out = NULL;
    MC_CHECK_ARG(2, ctx, "ctx", "is NULL");
    if (opset == 0) opset = MC_ONNX_OPSET_MAX;
    MC_CHECK_ARG(4, opset >= 7 && opset <= MC_ONNX_OPSET_MAX, "opset", "is outside 7..25 (0 is the newest)");
    mc_ops_register();
    h = mc_calloc(1, sizeof *h);
    if (!h) return MCOMP_NO_MEMORY;
    h->ctx = ctx;
    MC_TRY(mc_graph_create(&h->g, name));
    MC_TRY(mc_grow(&h->g->opsets, &h->g->cap_opsets, 1, sizeof *h->g->opsets));
    h->g->opsets[0] = (mc_opset){mc_strdup(""), opset};
    if (!h->g->opsets[0].domain) MC_FAIL(MCOMP_NO_MEMORY, "", "no memory");
    h->g->n_opsets = 1;
    *out = h;
    return MCOMP_OK;
done:
    mc_graph_destroy(h->g);
    mc_free(h);
    return st;
}

static int32_t fresh_name(const mc_graph *g, int32_t index, const char *name)
{
    if (!name || !*name) return mc_fail_argument(index, "name", "is empty");
    return mc_graph_find_value(g, name) ? mc_fail(MCOMP_ARGUMENT, name, "there is a value of this name already") : MCOMP_OK;
}

int32_t mcomp_graph_add_input(mcomp_graph *g, const char *name, int32_t dtype, int32_t rank, const int64_t *dims, const char *const *symbols)
{
    int32_t st = MCOMP_OK;
    mc_type type = {.dtype = dtype, .rank = rank};
    mc_value *v;
    MC_API_ENTER();
    MC_CHECK_ARG(1, g, "g", "is NULL");
    MC_TRY(fresh_name(g->g, 2, name));
    if (mc_dtype_bits(dtype) == 0 && dtype != MCOMP_STRING) return mc_fail_argument(3, "dtype", "is no element type");
    if (rank < -1 || rank > MC_MAX_RANK) return mc_fail_argument(4, "rank", "is outside -1..8");
    if (rank > 0 && !dims) return mc_fail_argument(5, "dims", "is NULL");
    for (int32_t i = 0; i < rank; i++) {
        type.dim[i] = dims[i];
        if (dims[i] < -1) return mc_fail_argument(5, "dims", "has a negative size other than -1");
        if (dims[i] == -1) MC_TRY(mc_graph_symbol(g->g, symbols ? symbols[i] : NULL, &type.dim[i]));
    }
    MC_TRY(mc_graph_add_input(g->g, name, &type, &v));
done:
    return st;
}

int32_t mcomp_graph_add_constant(mcomp_graph *g, const char *name, const mcomp_tensor *t)
{
    int32_t st = MCOMP_OK;
    mc_tensor *copy;
    mc_value *v;
    MC_API_ENTER();
    MC_CHECK_ARG(1, g, "g", "is NULL");
    MC_CHECK_ARG(3, t, "t", "is NULL");
    MC_TRY(fresh_name(g->g, 2, name));
    MC_TRY(mc_tensor_copy(&copy, &t->t));
    MC_TRY(mc_graph_add_const(g->g, name, copy, &v));
done:
    return st;
}

static int32_t find_inputs(const mc_graph *g, int32_t n, const char *const *names, mc_value **in)
{
    for (int32_t i = 0; i < n; i++) {
        if (!names[i] || !*names[i]) continue;
        in[i] = mc_graph_find_value(g, names[i]);
        if (!in[i]) return mc_fail(MCOMP_ARGUMENT, names[i], "there is no value of this name to be input %d", i);
    }
    return MCOMP_OK;
}

int32_t mcomp_graph_add_node(mcomp_graph *g, const char *op, const char *name, int32_t n_inputs, const char *const *inputs, int32_t n_outputs,
                             const char *const *outputs)
{
    int32_t st = MCOMP_OK;
    mc_value **in = NULL;
    MC_API_ENTER();
    MC_CHECK_ARG(1, g, "g", "is NULL");
    MC_CHECK_ARG(2, op && *op, "op", "is empty");
    MC_CHECK_ARG(4, n_inputs >= 0 && n_inputs <= 100000, "n_inputs", "is outside 0..100000");
    MC_CHECK_ARG(5, inputs || n_inputs == 0, "inputs", "is NULL");
    MC_CHECK_ARG(6, n_outputs >= 1 && n_outputs <= 100000, "n_outputs", "is outside 1..100000");
    MC_CHECK_ARG(7, outputs, "outputs", "is NULL");
    if (name && *name && mc_graph_find_node(g->g, name)) return mc_fail(MCOMP_ARGUMENT, name, "there is a node of this name already");
    in = mc_calloc((size_t)n_inputs + 1, sizeof *in);
    if (!in) return MCOMP_NO_MEMORY;
    MC_TRY(find_inputs(g->g, n_inputs, inputs, in));
    for (int32_t i = 0; i < n_outputs; i++)
        if (outputs[i] && *outputs[i]) MC_TRY(fresh_name(g->g, 7, outputs[i]));
    MC_TRY(mc_graph_add_node(g->g, "", op, (int32_t)mc_graph_opset(g->g, ""), name, n_inputs, in, n_outputs, outputs, NULL));
done:
    mc_free(in);
    return st;
}

static int32_t find_node(const mcomp_graph *g, const char *node, const char *attribute, mc_node **out)
{
    if (!g) return mc_fail_argument(1, "g", "is NULL");
    if (!node) return mc_fail_argument(2, "node", "is NULL");
    if (!attribute || !*attribute) return mc_fail_argument(3, "attribute", "is empty");
    *out = mc_graph_find_node(g->g, node);
    return *out ? MCOMP_OK : mc_fail(MCOMP_ARGUMENT, node, "there is no node of this name");
}

int32_t mcomp_graph_set_int(mcomp_graph *g, const char *node, const char *attribute, int64_t value)
{
    mc_node *n;
    MC_API_ENTER();
    const int32_t st = find_node(g, node, attribute, &n);
    return st == MCOMP_OK ? mc_node_set_i(n, attribute, value) : st;
}

int32_t mcomp_graph_set_float(mcomp_graph *g, const char *node, const char *attribute, float value)
{
    mc_node *n;
    MC_API_ENTER();
    const int32_t st = find_node(g, node, attribute, &n);
    return st == MCOMP_OK ? mc_node_set_f(n, attribute, value) : st;
}

int32_t mcomp_graph_set_string(mcomp_graph *g, const char *node, const char *attribute, const char *value)
{
    mc_node *n;
    MC_API_ENTER();
    const int32_t st = find_node(g, node, attribute, &n);
    if (st != MCOMP_OK) return st;
    MC_CHECK_ARG(4, value, "value", "is NULL");
    return mc_node_set_s(n, attribute, value);
}

int32_t mcomp_graph_set_ints(mcomp_graph *g, const char *node, const char *attribute, const int64_t *values, int64_t n)
{
    mc_node *at;
    MC_API_ENTER();
    const int32_t st = find_node(g, node, attribute, &at);
    if (st != MCOMP_OK) return st;
    MC_CHECK_ARG(5, n >= 0 && n <= 1000000, "n", "is outside 0..1000000");
    MC_CHECK_ARG(4, values || n == 0, "values", "is NULL");
    return mc_node_set_ints(at, attribute, values, n);
}

int32_t mcomp_graph_add_output(mcomp_graph *g, const char *value)
{
    MC_API_ENTER();
    MC_CHECK_ARG(1, g, "g", "is NULL");
    MC_CHECK_ARG(2, value, "value", "is NULL");
    mc_value *v = mc_graph_find_value(g->g, value);
    if (!v) return mc_fail(MCOMP_ARGUMENT, value, "there is no value of this name");
    if (v->flags & MC_VALUE_OUTPUT) return mc_fail(MCOMP_ARGUMENT, value, "the value is an output already");
    return mc_graph_add_output(g->g, v);
}

int32_t mcomp_graph_finish(mcomp_graph *g)
{
    int32_t st = MCOMP_OK;
    MC_API_ENTER();
    MC_CHECK_ARG(1, g, "g", "is NULL");
    MC_TRY(mc_graph_sort(g->g));
    MC_TRY(mc_graph_validate(g->g));
    MC_TRY(mc_onnx_upgrade(g->ctx, g->g, (int32_t)mc_graph_opset(g->g, "")));
    MC_TRY(mc_onnx_infer(g->ctx, g->g));
done:
    return st;
}
