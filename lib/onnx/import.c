/* GraphProto -> graph: constants, inputs, then all nodes with their outputs, then all inputs and attributes (so that the
 * order of nodes does not matter and subgraphs see every outer name). */
#include "onnx/internal.h"

static const char *domain_of(const McOnnx__Node *p)
{
    const char *d = mc_onnx_text(p->domain);
    return strcmp(d, "ai.onnx") == 0 ? "" : d;
}

/* "graph 'main', node 'x'" is too long for messages: the name, or what it makes, or the operator. */
static const char *label(const McOnnx__Node *p)
{
    if (p->name && *p->name) return p->name;
    return p->n_output && *p->output[0] ? p->output[0] : p->op_type;
}

static int32_t add_const(mc_graph *g, const char *name, mc_tensor *t)
{
    mc_value *v;
    if (!*name || mc_graph_find_value(g, name)) {
        mc_tensor_destroy(t);
        return *name ? mc_fail(MCOMP_FORMAT, name, "the value is defined twice") : mc_fail(MCOMP_FORMAT, g->name, "an initializer without a name");
    }
    return mc_graph_add_const(g, name, t, &v);
}

/* In the main graph an input that has an initializer is a constant (files of IR 3 list them all); a subgraph's inputs are
 * positional, so there the initializer gives way. */
static int32_t constants_in(mc_onnx_file *f, const McOnnx__Graph *p, mc_graph *g, const mc_map *formal)
{
    int32_t st = MCOMP_OK;
    mc_tensor *t;
    for (size_t i = 0; i < p->n_initializer; i++) {
        const char *name = mc_onnx_text(p->initializer[i]->name);
        if (formal && mc_map_get(formal, name, NULL)) continue;
        MC_TRY(mc_onnx_tensor_in(f, p->initializer[i], name, &t));
        MC_TRY(add_const(g, name, t));
    }
    for (size_t i = 0; i < p->n_sparse_initializer; i++) {
        const McOnnx__SparseTensor *sp = p->sparse_initializer[i];
        const char *name = sp->values ? mc_onnx_text(sp->values->name) : "";
        MC_TRY(mc_onnx_sparse_in(f, sp, name, &t));
        MC_TRY(add_const(g, name, t));
    }
done:
    return st;
}

static int32_t inputs_in(const McOnnx__Graph *p, mc_graph *g, int main_graph)
{
    int32_t st = MCOMP_OK;
    mc_type type;
    mc_value *v;
    for (size_t i = 0; i < p->n_input; i++) {
        const char *name = mc_onnx_text(p->input[i]->name);
        if (!*name) MC_FAIL(MCOMP_FORMAT, g->name, "an input without a name");
        v = mc_graph_find_value(g, name);
        if (v && v->init && main_graph) continue;
        if (v) MC_FAIL(MCOMP_FORMAT, name, "the value is defined twice");
        MC_TRY(mc_onnx_type_in(g, p->input[i]->type, name, &type));
        MC_TRY(mc_graph_add_input(g, name, &type, &v));
    }
done:
    return st;
}

static int32_t names_in(const McOnnx__Graph *p, mc_map **out)
{
    int32_t st = MCOMP_OK;
    *out = mc_map_create();
    if (!*out) return MCOMP_NO_MEMORY;
    for (size_t i = 0; i < p->n_input; i++) MC_TRY(mc_map_put(*out, mc_onnx_text(p->input[i]->name), (int64_t)i));
done:
    return st;
}

static int32_t check_outputs(mc_graph *g, const McOnnx__Node *p)
{
    for (size_t k = 0; k < p->n_output; k++)
        if (*p->output[k] && mc_graph_find_value(g, p->output[k]))
            return mc_fail(MCOMP_FORMAT, p->output[k], "the value is defined twice (again by node \"%s\")", label(p));
    for (size_t k = 1; k < p->n_output && k < 64; k++)
        for (size_t j = 0; j < k; j++)
            if (*p->output[k] && strcmp(p->output[k], p->output[j]) == 0) return mc_fail(MCOMP_FORMAT, p->output[k], "the value is defined twice");
    return MCOMP_OK;
}

static int32_t version_in(const mc_onnx_file *f, const char *domain)
{
    for (size_t i = 0; i < f->model->n_opset_import; i++) {
        const char *d = mc_onnx_text(f->model->opset_import[i]->domain);
        if (strcmp(strcmp(d, "ai.onnx") == 0 ? "" : d, domain) == 0) return (int32_t)f->model->opset_import[i]->version;
    }
    return 1;
}

/* First pass over one node: the node with its outputs, or a constant. *out NULL for constants. */
static int32_t node_in(mc_onnx_file *f, mc_graph *g, const McOnnx__Node *p, mc_node **out)
{
    int32_t st = MCOMP_OK;
    const char *domain = domain_of(p);
    mc_tensor *t;
    mc_value **none = NULL;
    *out = NULL;
    if (p->n_input > 100000 || p->n_output > 100000) MC_FAIL(MCOMP_LIMIT, label(p), "more than 100000 inputs or outputs of one node");
    MC_TRY(check_outputs(g, p));
    if (!*domain && strcmp(p->op_type, "Constant") == 0) {
        if (p->n_output != 1 || p->n_input) MC_FAIL(MCOMP_FORMAT, label(p), "a Constant node has no inputs and one output");
        MC_TRY(mc_onnx_constant_in(f, p, &t));
        MC_TRY(add_const(g, p->output[0], t));
        return MCOMP_OK;
    }
    none = mc_calloc(p->n_input + 1, sizeof *none);
    if (!none) return MCOMP_NO_MEMORY;
    MC_TRY(mc_graph_add_node(g, domain, p->op_type, version_in(f, domain), p->name, (int32_t)p->n_input, none, (int32_t)p->n_output,
                             (const char *const *)p->output, out));
done:
    mc_free(none);
    return st;
}

/* Second pass: inputs by name, attributes, subgraphs. */
static int32_t link_node(mc_onnx_file *f, const mc_onnx_scope *s, mc_node *n, const McOnnx__Node *p)
{
    int32_t st = MCOMP_OK;
    mc_value *v;
    for (size_t k = 0; k < p->n_input; k++) {
        if (!*p->input[k]) continue;
        MC_TRY(mc_onnx_resolve(s, p->input[k], &v));
        if (!v) MC_FAIL(MCOMP_FORMAT, label(p), "input \"%s\" is never produced", p->input[k]);
        MC_TRY(mc_node_set_input(s->g, n, (int32_t)k, v));
    }
    if (p->n_attribute > 1000) MC_FAIL(MCOMP_LIMIT, n->name, "more than 1000 attributes of one node");
    for (size_t k = 0; k < p->n_attribute; k++) MC_TRY(mc_onnx_attribute_in(f, s, n, p->attribute[k]));
done:
    return st;
}

static int32_t nodes_in(mc_onnx_file *f, const mc_onnx_scope *s, const McOnnx__Graph *p)
{
    int32_t st = MCOMP_OK;
    mc_node **made = mc_calloc(p->n_node + 1, sizeof *made);
    if (!made) return MCOMP_NO_MEMORY;
    for (size_t i = 0; i < p->n_node; i++) {
        if (i % 1024 == 0) MC_TRY(mc_context_poll(f->ctx));
        MC_TRY(node_in(f, s->g, p->node[i], &made[i]));
    }
    for (size_t i = 0; i < p->n_node; i++)
        if (made[i]) MC_TRY(link_node(f, s, made[i], p->node[i]));
done:
    mc_free(made);
    return st;
}

/* Types that the file states for what we cannot infer: outputs of unknown operators. */
static int32_t stated_types(mc_graph *g, McOnnx__ValueInfo *const *list, size_t n)
{
    int32_t st = MCOMP_OK;
    mc_type type;
    for (size_t i = 0; i < n; i++) {
        mc_value *v = mc_graph_find_value(g, mc_onnx_text(list[i]->name));
        if (!v || !v->producer || v->producer->desc) continue;
        MC_TRY(mc_onnx_type_in(g, list[i]->type, v->name, &type));
        v->type = type;
    }
done:
    return st;
}

static int32_t outputs_in(const mc_onnx_scope *s, const McOnnx__Graph *p)
{
    int32_t st = MCOMP_OK;
    mc_value *v;
    for (size_t i = 0; i < p->n_output; i++) {
        const char *name = mc_onnx_text(p->output[i]->name);
        MC_TRY(mc_onnx_resolve(s, name, &v));
        if (!v) MC_FAIL(MCOMP_FORMAT, name, "the graph output is never produced");
        if ((v->flags & MC_VALUE_OUTPUT) && !s->outer) MC_FAIL(MCOMP_FORMAT, name, "the graph output is listed twice");
        MC_TRY(mc_graph_add_output(s->g, v));
    }
done:
    return st;
}

int32_t mc_onnx_graph_in(mc_onnx_file *f, const McOnnx__Graph *p, const mc_onnx_scope *outer, mc_node *owner, mc_graph **out)
{
    int32_t st = MCOMP_OK;
    mc_onnx_scope s = {NULL, outer, owner};
    mc_map *formal = NULL;
    *out = NULL;
    MC_TRY(mc_graph_create(&s.g, p->name && *p->name ? p->name : "graph"));
    if (outer) {
        MC_TRY(names_in(p, &formal));
        s.g->owner = owner;
    }
    MC_TRY(constants_in(f, p, s.g, formal));
    MC_TRY(inputs_in(p, s.g, outer == NULL));
    MC_TRY(nodes_in(f, &s, p));
    MC_TRY(outputs_in(&s, p));
    MC_TRY(stated_types(s.g, p->value_info, p->n_value_info));
    MC_TRY(stated_types(s.g, p->output, p->n_output));
    MC_TRY(mc_graph_sort(s.g));
    *out = s.g;
    s.g = NULL;
done:
    mc_map_destroy(formal);
    mc_graph_destroy(s.g);
    return st;
}
