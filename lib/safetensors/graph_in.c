/* Weights to a graph: chooses the architecture, reads its config.json, keeps the metadata. */
#include "safetensors/internal.h"

#include <stdarg.h>
#include <stdio.h>

static const mc_arch archs[] = {
#define MC_ARCH(name) {#name, mc_st_arch_##name},
#include "safetensors/archs.def"
#undef MC_ARCH
};
enum { N_ARCHS = sizeof archs / sizeof *archs };

#define MAX_CONFIG ((uint64_t)1 << 20)

int32_t mc_st_warn(mc_str *warnings, const char *fmt, ...)
{
    char text[1024];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    return mc_str_append_bytes(warnings, text, strlen(text) + 1);
}

/* The tensors alone, as constants of a graph without nodes. */
static int32_t tensors_only(const mc_safetensors *s, mc_graph **out)
{
    int32_t st = MCOMP_OK;
    mc_graph *g;
    mc_tensor *t;
    mc_value *v;
    MC_TRY(mc_graph_create(&g, "tensors"));
    *out = g;
    for (int64_t i = 0; i < s->n; i++) {
        MC_TRY(mc_safetensors_tensor(&s->tensor[i], &t));
        MC_TRY(mc_graph_add_const(g, s->tensor[i].name, t, &v));
    }
done:
    return st;
}

static const mc_arch *find_arch(const char *name)
{
    const char *names[N_ARCHS + 1] = {NULL};
    for (int32_t i = 0; i < N_ARCHS; i++) {
        if (strcmp(archs[i].name, name) == 0) return &archs[i];
        names[i] = archs[i].name;
    }
    const char *near = mc_nearest(name, names);
    (void)mc_fail(MCOMP_ARGUMENT, "arch", "there is no architecture \"%s\"", name);
    (void)mc_fail_hint(near ? "did you mean %s?" : "there is: %s", near ? near : archs[0].name);
    return NULL;
}

/* config.json beside the file as it was named (in a download cache the file is a link to somewhere else). */
static int32_t config_path(const char *path, const char *config, mc_str *out)
{
    const char *slash = strrchr(path, '/');
    if (config) return mc_str_append(out, config);
    int32_t st = slash ? mc_str_append_bytes(out, path, (size_t)(slash + 1 - path)) : MCOMP_OK;
    return st == MCOMP_OK ? mc_str_append(out, "config.json") : st;
}

static int32_t build(const mc_arch *arch, const mc_safetensors *s, const char *path, const mcomp_load_options *o, mc_str *warnings, mc_graph **out)
{
    int32_t st = MCOMP_OK;
    mc_str where = {0};
    char *text = NULL;
    uint64_t bytes;
    mc_json *j = NULL;
    MC_TRY(config_path(path, o->config, &where));
    st = mc_file_read(where.data, MAX_CONFIG, &text, &bytes);
    if (st != MCOMP_OK) (void)mc_fail_hint("the architecture's sizes are in a config.json: keep it beside the file or name it (--config FILE)");
    MC_TRY(st);
    MC_TRY(mc_json_parse(&j, text, bytes, where.data));
    if (!mc_json_is_object(j)) MC_FAIL(MCOMP_FORMAT, where.data, "the configuration is no JSON object");
    mc_arch_in in = {.s = s, .config = j, .config_path = where.data, .head = o->head, .seed = o->seed, .warnings = warnings};
    MC_TRY(arch->build(&in, out));
done:
    mc_json_destroy(j);
    mc_free(text);
    mc_str_free(&where);
    return st;
}

/* Built graphs are in the newest form; the opset they tell is the lowest that has all their operators. */
static int32_t set_opset(mc_graph *g)
{
    int64_t opset = 13;
    for (int64_t i = 0; i < g->n_nodes; i++)
        if (g->nodes[i]->desc && g->nodes[i]->desc->since > opset) opset = g->nodes[i]->desc->since;
    const int32_t st = mc_grow(&g->opsets, &g->cap_opsets, 1, sizeof *g->opsets);
    if (st != MCOMP_OK) return st;
    g->opsets[0] = (mc_opset){mc_strdup(""), opset};
    g->n_opsets = g->opsets[0].domain ? 1 : 0;
    return g->n_opsets ? MCOMP_OK : MCOMP_NO_MEMORY;
}

int32_t mc_safetensors_load(mc_graph **out, mcomp_context *ctx, const char *path, const mcomp_load_options *options, mc_str *warnings,
                            uint64_t *file_bytes)
{
    int32_t st = MCOMP_OK;
    mcomp_load_options o = {.size = sizeof o};
    mc_safetensors *s = NULL;
    mc_graph *g = NULL;
    const mc_arch *arch = NULL;
    *out = NULL;
    MC_TRY(mc_options_read(&o, sizeof o, options, "options"));
    if (!o.arch) {
        (void)mc_fail(MCOMP_ARGUMENT, path, "a safetensors file holds weights only; the architecture they belong to must be named");
        st = mc_fail_hint("say which it is: --arch bert (with its config.json beside the file or --config FILE)");
        goto done;
    }
    const int plain = strcmp(o.arch, "tensors") == 0;
    if (!plain && !(arch = find_arch(o.arch))) return MCOMP_ARGUMENT;
    if (o.head < 0 || o.head > 1000000) MC_FAIL(MCOMP_ARGUMENT, "head", "%d is no number of classes", o.head);
    if (plain && (o.head || o.config)) MC_FAIL(MCOMP_ARGUMENT, o.head ? "head" : "config", "tensors alone have no architecture");
    mc_ops_register();
    MC_TRY(mc_safetensors_open(&s, ctx, path, o.copy));
    MC_TRY(plain ? tensors_only(s, &g) : build(arch, s, path, &o, warnings, &g));
    if (arch) MC_TRY(set_opset(g));
    for (int64_t i = 0; i < s->n_meta; i++)
        if (!mc_graph_get_meta(g, s->meta[i].key)) MC_TRY(mc_graph_set_meta(g, s->meta[i].key, s->meta[i].value));
    if (!(g->source_path = mc_strdup(path))) MC_FAIL(MCOMP_NO_MEMORY, path, "no memory");
    *file_bytes = s->file_bytes;
    *out = g;
    g = NULL;
done:
    mc_graph_destroy(g);
    mc_safetensors_close(s);
    return st;
}
