/* mcomp convert: ONNX to ONNX (opset, weights inside or beside), weights of a safetensors file to ONNX by architecture, weights of an
 * ONNX model to safetensors. */
#include "cli.h"

#include <string.h>

static int save_options(cli *c, mcomp_save_options *o)
{
    int st = 0;
    int64_t opset, shard;
    const char *data = cli_str(c, "data", "auto");
    CLI_TRY(cli_i64(c, "opset", 0, 7, 99, &opset));
    CLI_TRY(cli_i64(c, "shard-bytes", 0, 1, INT64_MAX, &shard));
    CLI_LIB(mcomp_save_options_init(o, sizeof *o));
    o->overwrite = c->overwrite;
    o->opset = (int32_t)opset;
    o->shard_bytes = (uint64_t)shard;
    if (strcmp(data, "inside") == 0) o->data = MCOMP_DATA_INSIDE;
    else if (strcmp(data, "beside") == 0) o->data = MCOMP_DATA_BESIDE;
    else if (strcmp(data, "auto") != 0) st = cli_fail(c, MCOMP_ARGUMENT, "data", "auto, inside, beside", "--data cannot be \"%.60s\"", data);
done:
    return st;
}

static void count_tensor(void *payload, const mcomp_constant_info *info)
{
    (void)info;
    (*(int64_t *)payload)++;
}

/* What is in the file that was written, against what was read. */
static int compare(cli *c, const mcomp_graph *g, const mcomp_graph *written, const char *out, json_t *changed)
{
    int st = 0;
    int64_t tensors = 0;
    mcomp_graph_info before = {.size = sizeof before}, after = {.size = sizeof after};
    const int from = cli_is_safetensors(c->pos[0]), to = cli_is_safetensors(out);
    CLI_LIB(mcomp_graph_info_get(g, &before));
    CLI_LIB(mcomp_graph_info_get(written, &after));
    CLI_LIB(mcomp_graph_constants(written, count_tensor, &tensors));
    if (from && !to) (void)json_array_append_new(changed, json_sprintf("safetensors -> ONNX opset %lld, architecture %s", (long long)after.opset, cli_str(c, "arch", "")));
    else if (to) (void)json_array_append_new(changed, json_sprintf("%s -> safetensors, %lld tensors", from ? "safetensors" : "ONNX", (long long)tensors));
    if (!from && !to && before.opset != after.opset)
        (void)json_array_append_new(changed, json_sprintf("opset %lld -> %lld", (long long)before.opset, (long long)after.opset));
    if (!from && !to && before.ir_version != after.ir_version)
        (void)json_array_append_new(changed, json_sprintf("IR %lld -> %lld", (long long)before.ir_version, (long long)after.ir_version));
    if (cli_model_bytes(g) != cli_model_bytes(written))
        (void)json_array_append_new(changed, json_sprintf("bytes %llu -> %llu", (unsigned long long)cli_model_bytes(g), (unsigned long long)cli_model_bytes(written)));
done:
    return st;
}

static int run(cli *c)
{
    int st = 0;
    mcomp_graph *g = NULL, *written = NULL;
    mcomp_save_options o;
    char index[4096];
    const char *out = c->pos[1];
    const char *qdq = cli_str(c, "qdq", NULL);
    json_t *changed = json_array();
    cli_set(c->root, "changed", changed);
    if (qdq) return cli_fail(c, MCOMP_UNSUPPORTED, "--qdq", "quantize the float model with --qdq", "changing the QDQ flavour of a file is not in this version");
    CLI_TRY(save_options(c, &o));
    if (cli_is_safetensors(c->pos[0]) && cli_is_safetensors(out) && !cli_has(c, "arch")) CLI_TRY(cli_tensors(c, c->pos[0], &g));
    else CLI_TRY(cli_model(c, c->pos[0], &g));
    CLI_TRY(cli_tokenizer_save(c, out));
    CLI_LIB(mcomp_graph_save(g, out, &o));
    if (o.shard_bytes) {
        snprintf(index, sizeof index, "%s.index.json", out);
        out = index;
    }
    if (cli_is_safetensors(out)) CLI_TRY(cli_tensors(c, out, &written)); /* what was written is what is reported */
    else CLI_LIB(mcomp_graph_load(&written, c->ctx, out));
    CLI_TRY(compare(c, g, written, out, changed));
    cli_set(c->root, "output", json_string(out));
    cli_say(c, "wrote %s\n", out);
    for (size_t i = 0; i < json_array_size(changed); i++) cli_say(c, "  %s\n", json_string_value(json_array_get(changed, i)));
done:
    mcomp_graph_destroy(written);
    mcomp_graph_destroy(g);
    return st;
}

static const cli_opt opts[] = {
    {"opset", OPT_VALUE, "N  at least this opset (default: the lowest the model needs)"},
    {"data", OPT_VALUE, "auto|inside|beside  where the weights go"},
    {"shard-bytes", OPT_VALUE, "N  safetensors output in shards of at most N bytes, with an index"},
    {"qdq", OPT_VALUE, "ort|tensorrt|openvino  (not in this version)"},
    {"set", OPT_MULTI, "NAME=VALUE  fixes an input of the model"},
    {NULL, 0, NULL},
};
const cli_verb cli_convert = {"convert", "mcomp convert IN OUT", "ONNX to ONNX (opset, weights inside or beside), safetensors to ONNX (--arch) and back", 2, 2, opts, run};
