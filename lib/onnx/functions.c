/* Model-local functions: every call is replaced by the function's nodes before import. Formal names become the caller's,
 * inner names get a prefix of their own, references to attributes are filled in from the call or the function's defaults.
 * Calls nest (bounded); what they expand to counts against max_nodes. */
#include "onnx/internal.h"

#include <stdio.h>

typedef struct list {
    McOnnx__Node **node;
    int64_t n, cap;
} list;

typedef struct expansion {
    mc_onnx_file *f;
    mc_map *functions; /* "domain:name:overload" -> index */
    int64_t nodes_left, calls;
    int32_t depth;
} expansion;

/* One call: what the function's names mean. */
typedef struct call {
    expansion *x;
    const McOnnx__Function *fn;
    const McOnnx__Node *node;
    mc_map *formal; /* input i -> i, output k -> k + 2^20 */
    char prefix[160];
} call;

#define OUTPUT_BASE ((int64_t)1 << 20)
#define LIST(x, p, n)                                                                                                  \
    do {                                                                                                               \
        (p) = mc_arena_alloc((x)->f->arena, sizeof *(p) * ((size_t)(n) + 1));                                          \
        if (!(p)) return MCOMP_NO_MEMORY;                                                                              \
    } while (0)

static const char *plain(const char *domain)
{
    return domain && strcmp(domain, "ai.onnx") != 0 ? domain : "";
}

static void key_of(char *buf, size_t cap, const char *domain, const char *name, const char *overload)
{
    const int n = snprintf(buf, cap, "%s:%s:%s", plain(domain), mc_onnx_text(name), mc_onnx_text(overload));
    if (n < 0 || (size_t)n >= cap) buf[0] = 0; /* too long to be a function of ours */
}

static const McOnnx__Function *function_of(const expansion *x, const McOnnx__Node *n)
{
    char key[512];
    int64_t i;
    key_of(key, sizeof key, n->domain, n->op_type, n->overload);
    if (!key[0] || !mc_map_get(x->functions, key, &i)) return NULL;
    return *plain(n->domain) || !mc_op_find("", n->op_type) ? x->f->model->functions[i] : NULL; /* what we know ourselves comes first */
}

/* Name inside the function -> name in the graph. */
static int32_t renamed(const call *c, const char *name, char **out)
{
    static char none[1];
    int64_t i;
    *out = none;
    if (!*name) return MCOMP_OK;
    if (mc_map_get(c->formal, name, &i)) {
        if (i < OUTPUT_BASE && (size_t)i < c->node->n_input) *out = c->node->input[i];
        if (i < OUTPUT_BASE) return MCOMP_OK; /* an input that the call leaves away */
        i -= OUTPUT_BASE;
        if ((size_t)i < c->node->n_output && *c->node->output[i]) {
            *out = c->node->output[i];
            return MCOMP_OK;
        }
    }
    const size_t n = strlen(name), m = strlen(c->prefix);
    *out = mc_arena_alloc(c->x->f->arena, n + m + 1);
    if (!*out) return MCOMP_NO_MEMORY;
    memcpy(*out, c->prefix, m);
    memcpy(*out + m, name, n + 1);
    return MCOMP_OK;
}

static int32_t renamed_list(const call *c, char **names, size_t n, char ***out)
{
    int32_t st = MCOMP_OK;
    LIST(c->x, *out, n);
    for (size_t i = 0; i < n; i++) MC_TRY(renamed(c, names[i], &(*out)[i]));
done:
    return st;
}

static int32_t copy_node(const call *c, const McOnnx__Node *n, McOnnx__Node **out);

static int32_t copy_values(const call *c, McOnnx__ValueInfo **values, size_t n, McOnnx__ValueInfo ***out)
{
    int32_t st = MCOMP_OK;
    LIST(c->x, *out, n);
    for (size_t i = 0; i < n; i++) {
        LIST(c->x, (*out)[i], 1);
        *(*out)[i] = *values[i];
        MC_TRY(renamed(c, mc_onnx_text(values[i]->name), &(*out)[i]->name));
    }
done:
    return st;
}

static int32_t copy_graph(const call *c, const McOnnx__Graph *g, McOnnx__Graph **out)
{
    int32_t st = MCOMP_OK;
    McOnnx__Graph *p;
    LIST(c->x, p, 1);
    *p = *g;
    *out = p;
    if (g->n_sparse_initializer) return mc_fail(MCOMP_UNSUPPORTED, c->fn->name, "a function whose subgraph has sparse initializers");
    LIST(c->x, p->node, g->n_node);
    for (size_t i = 0; i < g->n_node; i++) MC_TRY(copy_node(c, g->node[i], &p->node[i]));
    LIST(c->x, p->initializer, g->n_initializer);
    for (size_t i = 0; i < g->n_initializer; i++) {
        LIST(c->x, p->initializer[i], 1);
        *p->initializer[i] = *g->initializer[i];
        MC_TRY(renamed(c, mc_onnx_text(g->initializer[i]->name), &p->initializer[i]->name));
    }
    MC_TRY(copy_values(c, g->input, g->n_input, &p->input));
    MC_TRY(copy_values(c, g->output, g->n_output, &p->output));
    MC_TRY(copy_values(c, g->value_info, g->n_value_info, &p->value_info));
done:
    return st;
}

static const McOnnx__Attribute *find_attribute(McOnnx__Attribute *const *attrs, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(mc_onnx_text(attrs[i]->name), name) == 0) return attrs[i];
    return NULL;
}

/* *out NULL: a reference to an attribute that the call does not give and that has no default. */
static int32_t copy_attribute(const call *c, const McOnnx__Attribute *a, McOnnx__Attribute **out)
{
    const McOnnx__Attribute *from = a;
    *out = NULL;
    if (a->ref_attr_name && *a->ref_attr_name) {
        from = find_attribute(c->node->attribute, c->node->n_attribute, a->ref_attr_name);
        if (!from) from = find_attribute(c->fn->attribute_proto, c->fn->n_attribute_proto, a->ref_attr_name);
        if (!from) return MCOMP_OK;
    }
    LIST(c->x, *out, 1);
    **out = *from;
    (*out)->name = a->name;
    return from == a && a->g ? copy_graph(c, a->g, &(*out)->g) : MCOMP_OK; /* the caller's graphs have the caller's names */
}

static int32_t copy_node(const call *c, const McOnnx__Node *n, McOnnx__Node **out)
{
    int32_t st = MCOMP_OK;
    McOnnx__Node *p;
    if (--c->x->nodes_left < 0) return mc_fail(MCOMP_LIMIT, c->fn->name, "functions expand to more nodes than the context's limit max_nodes allows");
    LIST(c->x, p, 1);
    *p = *n;
    *out = p;
    MC_TRY(renamed_list(c, n->input, n->n_input, &p->input));
    MC_TRY(renamed_list(c, n->output, n->n_output, &p->output));
    if (n->name && *n->name) MC_TRY(renamed(c, n->name, &p->name));
    LIST(c->x, p->attribute, n->n_attribute);
    p->n_attribute = 0;
    for (size_t i = 0; i < n->n_attribute; i++) {
        MC_TRY(copy_attribute(c, n->attribute[i], &p->attribute[p->n_attribute]));
        p->n_attribute += p->attribute[p->n_attribute] != NULL;
    }
done:
    return st;
}

static int32_t expand_nodes(expansion *x, McOnnx__Node **nodes, size_t n, list *out);

/* The body must be written in the operator set of the model: nodes carry no version of their own. */
static int32_t check_opset(const expansion *x, const McOnnx__Function *fn)
{
    const McOnnx__Model *m = x->f->model;
    for (size_t i = 0; i < fn->n_opset_import; i++)
        for (size_t k = 0; k < m->n_opset_import; k++)
            if (strcmp(plain(fn->opset_import[i]->domain), plain(m->opset_import[k]->domain)) == 0 && fn->opset_import[i]->version != m->opset_import[k]->version)
                return mc_fail(MCOMP_UNSUPPORTED, mc_onnx_text(fn->name), "the function is written in opset %lld of \"%s\", the model in %lld",
                               (long long)fn->opset_import[i]->version, plain(fn->opset_import[i]->domain), (long long)m->opset_import[k]->version);
    return MCOMP_OK;
}

static int32_t expand_call(expansion *x, const McOnnx__Function *fn, const McOnnx__Node *n, list *out)
{
    int32_t st = MCOMP_OK;
    call c = {.x = x, .fn = fn, .node = n};
    McOnnx__Node **body = NULL;
    if (++x->depth > MC_ONNX_MAX_DEPTH) MC_FAIL(MCOMP_LIMIT, fn->name, "functions call one another deeper than %d, or in a circle", MC_ONNX_MAX_DEPTH);
    if (n->n_input > fn->n_input || n->n_output > fn->n_output) MC_FAIL(MCOMP_FORMAT, fn->name, "a call has more inputs or outputs than the function");
    MC_TRY(check_opset(x, fn));
    snprintf(c.prefix, sizeof c.prefix, "%.100s.%lld/", n->name && *n->name ? n->name : fn->name, (long long)x->calls++);
    c.formal = mc_map_create();
    if (!c.formal) MC_FAIL(MCOMP_NO_MEMORY, fn->name, "no memory");
    for (size_t i = 0; i < fn->n_output; i++) MC_TRY(mc_map_put(c.formal, fn->output[i], (int64_t)i + OUTPUT_BASE));
    for (size_t i = 0; i < fn->n_input; i++) {
        if (mc_map_get(c.formal, fn->input[i], NULL)) MC_FAIL(MCOMP_UNSUPPORTED, fn->name, "\"%s\" is an input and an output of the function", fn->input[i]);
        MC_TRY(mc_map_put(c.formal, fn->input[i], (int64_t)i));
    }
    body = mc_calloc(fn->n_node + 1, sizeof *body);
    if (!body) MC_FAIL(MCOMP_NO_MEMORY, fn->name, "no memory");
    for (size_t i = 0; i < fn->n_node; i++) MC_TRY(copy_node(&c, fn->node[i], &body[i]));
    MC_TRY(expand_nodes(x, body, fn->n_node, out));
    x->depth--;
done:
    mc_map_destroy(c.formal);
    mc_free(body);
    return st;
}

static int32_t expand_graph(expansion *x, McOnnx__Graph *g)
{
    int32_t st = MCOMP_OK;
    list out = {0};
    MC_TRY(expand_nodes(x, g->node, g->n_node, &out));
    g->node = mc_arena_alloc(x->f->arena, sizeof *g->node * ((size_t)out.n + 1));
    if (!g->node) MC_FAIL(MCOMP_NO_MEMORY, x->f->where, "no memory");
    if (out.n) memcpy(g->node, out.node, sizeof *out.node * (size_t)out.n);
    g->n_node = (size_t)out.n;
done:
    mc_free(out.node);
    return st;
}

static int32_t expand_nodes(expansion *x, McOnnx__Node **nodes, size_t n, list *out)
{
    int32_t st = MCOMP_OK;
    for (size_t i = 0; i < n; i++) {
        const McOnnx__Function *fn = function_of(x, nodes[i]);
        for (size_t k = 0; k < nodes[i]->n_attribute; k++)
            if (nodes[i]->attribute[k]->g) MC_TRY(expand_graph(x, nodes[i]->attribute[k]->g));
        if (fn) {
            MC_TRY(expand_call(x, fn, nodes[i], out));
            continue;
        }
        MC_TRY(mc_grow(&out->node, &out->cap, out->n + 1, sizeof *out->node));
        out->node[out->n++] = nodes[i];
    }
done:
    return st;
}

int32_t mc_onnx_inline_functions(mc_onnx_file *f)
{
    int32_t st = MCOMP_OK;
    const McOnnx__Model *m = f->model;
    expansion x = {.f = f, .nodes_left = f->ctx ? f->ctx->options.max_nodes : 1000000};
    char key[512];
    if (m->n_functions == 0) return MCOMP_OK;
    if (m->n_functions > 10000) MC_FAIL(MCOMP_LIMIT, f->where, "more than 10000 functions");
    x.functions = mc_map_create();
    if (!x.functions) MC_FAIL(MCOMP_NO_MEMORY, f->where, "no memory");
    for (size_t i = 0; i < m->n_functions; i++) {
        const McOnnx__Function *fn = m->functions[i];
        key_of(key, sizeof key, fn->domain, fn->name, fn->overload);
        if (!fn->name || !key[0]) MC_FAIL(MCOMP_FORMAT, f->where, "a function without a (usable) name");
        if (mc_map_get(x.functions, key, NULL)) MC_FAIL(MCOMP_FORMAT, fn->name, "the function is defined twice");
        MC_TRY(mc_map_put(x.functions, key, (int64_t)i));
    }
    MC_TRY(expand_graph(&x, m->graph));
done:
    mc_map_destroy(x.functions);
    return st;
}
