/* mcomp inspect: what is in the file and what can be done with it. */
#include "cli.h"

#include <stdlib.h>
#include <string.h>

static json_t *shape_json(const mcomp_port_info *p)
{
    json_t *a = json_array();
    for (int32_t i = 0; i < p->rank; i++)
        (void)json_array_append_new(a, p->dims[i] >= 0 ? json_integer(p->dims[i]) : json_string(p->symbols[i] ? p->symbols[i] : "?"));
    return a;
}

static json_t *ports(const cli *c, const mcomp_graph *g, int32_t n, int outputs)
{
    json_t *list = json_array();
    for (int32_t i = 0; i < n; i++) {
        mcomp_port_info p = {.size = sizeof p};
        if ((outputs ? mcomp_graph_output(g, i, &p) : mcomp_graph_input(g, i, &p)) != 0) continue;
        json_t *o = json_object();
        cli_set(o, "name", json_string(p.name));
        cli_set(o, "dtype", json_string(mcomp_dtype_name(p.dtype)));
        if (p.rank >= 0) cli_set(o, "shape", shape_json(&p));
        char *shape = json_dumps(json_object_get(o, "shape"), JSON_COMPACT | JSON_ENCODE_ANY);
        cli_say(c, "%-8s %s %s %s\n", i == 0 ? (outputs ? "outputs" : "inputs") : "", p.name, mcomp_dtype_name(p.dtype), shape ? shape : "?");
        free(shape);
        (void)json_array_append_new(list, o);
    }
    return list;
}

static json_t *count_ops(const cli *c, const mcomp_graph *g, int64_t n)
{
    json_t *ops = json_object();
    const char *key;
    json_t *value;
    char name[160];
    for (int64_t i = 0; i < n; i++) {
        mcomp_node_info node = {.size = sizeof node};
        if (mcomp_graph_node(g, i, &node) != 0) continue;
        snprintf(name, sizeof name, "%s%s%s", node.domain, *node.domain ? "." : "", node.op);
        cli_set(ops, name, json_integer(1 + json_integer_value(json_object_get(ops, name))));
    }
    cli_say(c, "ops     ");
    json_object_foreach(ops, key, value) cli_say(c, " %s %lld", key, (long long)json_integer_value(value));
    cli_say(c, "\n");
    return ops;
}

static void note_unsupported(void *payload, const char *node, const char *op, const char *why)
{
    (void)json_array_append_new(payload, json_pack("{s:s,s:s,s:s}", "node", node, "op", op, "why", why));
}

static json_t *model_json(const cli *c, const mcomp_graph *g, const char *path, const mcomp_graph_info *i)
{
    char size[32];
    const char *domain;
    int64_t version;
    json_t *o = json_object(), *opset = json_object();
    for (int64_t k = 0; mcomp_graph_opset_at(g, k, &domain, &version) == 0; k++) cli_set(opset, *domain ? domain : "ai.onnx", json_integer(version));
    cli_set(o, "path", json_string(path));
    cli_set(o, "format", json_string(cli_is_safetensors(path) ? "safetensors" : "onnx"));
    cli_set(o, "ir", json_integer(i->ir_version));
    cli_set(o, "opset", opset);
    cli_set(o, "producer", json_string(i->producer));
    cli_set(o, "bytes", json_integer((json_int_t)cli_model_bytes(g)));
    cli_set(o, "params", json_integer(i->parameters));
    cli_set_real(o, "macs", i->macs);
    cli_say(c, "%s  %s opset %lld, IR %lld%s%s  %s  %.3f M params  %.2f M MACs (free axes 1)\n", path,
            cli_is_safetensors(path) ? "safetensors as ONNX" : "ONNX", (long long)i->opset, (long long)i->ir_version, *i->producer ? ", producer " : "", i->producer, cli_human_bytes(size, sizeof size, (double)cli_model_bytes(g)), (double)i->parameters * 1e-6,
            i->macs * 1e-6);
    return o;
}

/* ---- a safetensors file without an architecture: what is in it ---- */

typedef struct tensor_list {
    const cli *c;
    json_t *list;
    int64_t elements;
    int embeddings; /* it looks like a BERT encoder */
} tensor_list;

static void note_tensor(void *payload, const mcomp_constant_info *t)
{
    tensor_list *l = payload;
    json_t *shape = json_array(), *o = json_object();
    int64_t n = 1;
    for (int32_t k = 0; k < t->rank; k++) {
        n *= t->dims[k];
        (void)json_array_append_new(shape, json_integer(t->dims[k]));
    }
    char *text = json_dumps(shape, JSON_COMPACT);
    cli_say(l->c, "  %-60s %-9s %s\n", t->name, mcomp_dtype_name(t->dtype), text ? text : "");
    free(text);
    cli_set(o, "name", json_string(t->name));
    cli_set(o, "dtype", json_string(mcomp_dtype_name(t->dtype)));
    cli_set(o, "shape", shape);
    cli_set(o, "bytes", json_integer((json_int_t)t->bytes));
    l->elements += n;
    l->embeddings |= strstr(t->name, "embeddings.word_embeddings.weight") != NULL;
    (void)json_array_append_new(l->list, o);
}

static int inspect_tensors(cli *c, const char *path)
{
    int st = 0;
    char size[32];
    mcomp_graph *g = NULL;
    json_t *model = json_object(), *meta = json_object();
    const char *key, *value;
    tensor_list l = {.c = c, .list = json_array()};
    cli_set(c->root, "model", model);
    cli_set(c->root, "tensors", l.list);
    cli_set(c->root, "metadata", meta);
    CLI_TRY(cli_tensors(c, path, &g));
    CLI_LIB(mcomp_graph_constants(g, note_tensor, &l));
    for (int64_t i = 0; mcomp_graph_meta_at(g, i, &key, &value) == 0; i++) cli_set(meta, key, json_string(value));
    cli_set(model, "path", json_string(path));
    cli_set(model, "format", json_string("safetensors"));
    cli_set(model, "bytes", json_integer((json_int_t)cli_model_bytes(g)));
    cli_set(model, "params", json_integer(l.elements));
    for (int i = 0; i < 4; i++) cli_set(c->root, (const char *const[]){"inputs", "outputs", "unsupported", "groups"}[i], json_array());
    cli_set(c->root, "ops", json_object());
    cli_say(c, "%s  safetensors, %lld tensors  %s  %.3f M params\n", path, (long long)json_array_size(l.list),
            cli_human_bytes(size, sizeof size, (double)cli_model_bytes(g)), (double)l.elements * 1e-6);
    if (l.embeddings) cli_say(c, "try      mcomp convert %s model.onnx --arch bert\n", path);
done:
    mcomp_graph_destroy(g);
    return st;
}

/* What shrinks together: units that can be cut out whole, by the patterns of mcomp prune. */
static int groups(cli *c, const mcomp_graph *g, json_t *list)
{
    static const char *const kinds[] = {"channel", "ffn", "head"};
    int st = 0;
    mcomp_pruner *p = NULL;
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        mcomp_pruner_options o;
        int64_t n = 0;
        CLI_LIB(mcomp_pruner_options_init(&o, sizeof o));
        o.pattern = kinds[k];
        const int32_t code = mcomp_pruner_create(&p, c->ctx, g, &o);
        if (code == MCOMP_ARGUMENT) continue; /* none of this kind */
        CLI_LIB(code);
        CLI_LIB(mcomp_pruner_site_count(p, &n));
        for (int64_t i = 0; i < n; i++) {
            mcomp_prune_site s = {.size = sizeof s};
            CLI_LIB(mcomp_pruner_site_get(p, i, &s));
            json_t *row = json_pack("{s:s,s:s,s:I,s:I}", "name", s.node, "kind", s.kind, "units", (json_int_t)s.pieces, "weights", (json_int_t)s.elements);
            if (row) (void)json_array_append_new(list, row);
            cli_say(c, "%-8s %-8s %6lld units, %lld weights: %s\n", i + k == 0 ? "groups" : "", s.kind, (long long)s.pieces, (long long)s.elements, s.node);
        }
        mcomp_pruner_destroy(p);
        p = NULL;
    }
done:
    mcomp_pruner_destroy(p);
    return st;
}

static int run(cli *c)
{
    int st = 0;
    mcomp_graph *g = NULL;
    mcomp_graph_info i = {.size = sizeof i};
    json_t *unsupported = NULL;
    if (cli_is_safetensors(c->pos[0]) && !cli_has(c, "arch")) return inspect_tensors(c, c->pos[0]);
    CLI_TRY(cli_model(c, c->pos[0], &g));
    CLI_LIB(mcomp_graph_info_get(g, &i));
    cli_set(c->root, "model", model_json(c, g, c->pos[0], &i));
    cli_set(c->root, "inputs", ports(c, g, i.n_inputs, 0));
    cli_set(c->root, "outputs", ports(c, g, i.n_outputs, 1));
    cli_set(c->root, "ops", count_ops(c, g, i.n_nodes));
    unsupported = json_array();
    cli_set(c->root, "unsupported", unsupported);
    CLI_LIB(mcomp_graph_unsupported(g, note_unsupported, unsupported));
    json_t *list = json_array();
    cli_set(c->root, "groups", list);
    if (cli_has(c, "groups")) CLI_TRY(groups(c, g, list));
    for (size_t k = 0; k < json_array_size(unsupported); k++) {
        const json_t *u = json_array_get(unsupported, k);
        cli_say(c, "cannot run %s (%s): %s\n", json_string_value(json_object_get(u, "node")), json_string_value(json_object_get(u, "op")),
                json_string_value(json_object_get(u, "why")));
    }
    if (json_array_size(unsupported) == 0) cli_say(c, "try      mcomp quantize %s --calib DATA --eval DATA\n", c->pos[0]);
done:
    mcomp_graph_destroy(g);
    return st;
}

static const cli_opt opts[] = {
    {"groups", OPT_FLAG, "lists what mcomp prune can cut out whole: channels, neurons, heads"},
    {"set", OPT_MULTI, "NAME=VALUE  fixes an input of the model"},
    {NULL, 0, NULL},
};
const cli_verb cli_inspect = {"inspect", "mcomp inspect MODEL", "what is in the file, what can be done with it", 1, 1, opts, run};
