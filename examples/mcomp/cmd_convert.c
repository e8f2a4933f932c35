/* mcomp convert: ONNX to ONNX: opset, weights inside or beside. */
#include "cli.h"

#include <string.h>

static int run(cli *c)
{
    int st = 0;
    mcomp_graph *g = NULL, *written = NULL;
    mcomp_save_options o;
    mcomp_graph_info before = {.size = sizeof before}, after = {.size = sizeof after};
    int64_t opset;
    const char *data = cli_str(c, "data", "auto"), *qdq = cli_str(c, "qdq", NULL);
    json_t *changed = json_array();
    cli_set(c->root, "changed", changed);
    if (cli_ends(c->pos[1], ".safetensors")) return cli_fail(c, MCOMP_UNSUPPORTED, c->pos[1], "", "safetensors output is not in this version");
    if (qdq) return cli_fail(c, MCOMP_UNSUPPORTED, "--qdq", "quantize the float model with --qdq", "changing the QDQ flavour of a file is not in this version");
    CLI_TRY(cli_i64(c, "opset", 0, 7, 99, &opset));
    CLI_TRY(cli_model(c, c->pos[0], &g));
    CLI_LIB(mcomp_save_options_init(&o, sizeof o));
    o.overwrite = c->overwrite;
    o.opset = (int32_t)opset;
    if (strcmp(data, "inside") == 0) o.data = MCOMP_DATA_INSIDE;
    else if (strcmp(data, "beside") == 0) o.data = MCOMP_DATA_BESIDE;
    else if (strcmp(data, "auto") != 0) CLI_TRY(cli_fail(c, MCOMP_ARGUMENT, "data", "auto, inside, beside", "--data cannot be \"%.60s\"", data));
    CLI_LIB(mcomp_graph_info_get(g, &before));
    CLI_LIB(mcomp_graph_save(g, c->pos[1], &o));
    CLI_LIB(mcomp_graph_load(&written, c->ctx, c->pos[1])); /* what was written is what is reported */
    CLI_LIB(mcomp_graph_info_get(written, &after));
    if (before.opset != after.opset)
        (void)json_array_append_new(changed, json_sprintf("opset %lld -> %lld", (long long)before.opset, (long long)after.opset));
    if (before.ir_version != after.ir_version)
        (void)json_array_append_new(changed, json_sprintf("IR %lld -> %lld", (long long)before.ir_version, (long long)after.ir_version));
    if (cli_model_bytes(g) != cli_model_bytes(written))
        (void)json_array_append_new(changed, json_sprintf("bytes %llu -> %llu", (unsigned long long)cli_model_bytes(g), (unsigned long long)cli_model_bytes(written)));
    cli_set(c->root, "output", json_string(c->pos[1]));
    cli_say(c, "wrote %s\n", c->pos[1]);
    for (size_t i = 0; i < json_array_size(changed); i++) cli_say(c, "  %s\n", json_string_value(json_array_get(changed, i)));
done:
    mcomp_graph_destroy(written);
    mcomp_graph_destroy(g);
    return st;
}

static const cli_opt opts[] = {
    {"opset", OPT_VALUE, "N  at least this opset (default: the lowest the model needs)"},
    {"data", OPT_VALUE, "auto|inside|beside  where the weights go"},
    {"qdq", OPT_VALUE, "ort|tensorrt|openvino  (not in this version)"},
    {"set", OPT_MULTI, "NAME=VALUE  fixes an input of the model"},
    {NULL, 0, NULL},
};
const cli_verb cli_convert = {"convert", "mcomp convert IN OUT", "ONNX to ONNX: opset, weights inside or beside", 2, 2, opts, run};
