/* sizes.c - size-first structs of every length, as callers of older and newer headers have them (docs/conventions.md, Options).
 *
 * A shorter one: the library reads and writes that many bytes and no more, and the bytes are those of the full struct. A longer one: zeroes
 * in the part that the library does not know are accepted and come back as zeroes; anything else in options is ARGUMENT. */
#include <mcomp/mcomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROOM = 2048, LONGER = 64 };

static mcomp_context *ctx;
static mcomp_graph *model;
static mcomp_dataset *data;
static mcomp_calibrator *calibrator;
static mcomp_quantizer *quantizer;
static mcomp_session *session;
static mcomp_exec *runner;
static mcomp_trainer *trainer;
static mcomp_distiller *distiller;
static mcomp_pruner *pruner;
static mcomp_recipe *recipe;
static int failures;

#define CHECK(condition, ...)                                                                                          \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            printf("sizes.c:%d: %s: ", __LINE__, #condition);                                                          \
            printf(__VA_ARGS__);                                                                                       \
            putchar('\n');                                                                                             \
            failures++;                                                                                                \
        }                                                                                                              \
    } while (0)
#define NEED(call)                                                                                                     \
    do {                                                                                                               \
        if ((call) < 0) {                                                                                              \
            mcomp_error e_ = {.size = sizeof e_};                                                                      \
            mcomp_error_get(&e_);                                                                                      \
            printf("sizes.c:%d: %s: %s: %s\n", __LINE__, #call, e_.where, e_.message);                                 \
            exit(1);                                                                                                   \
        }                                                                                                              \
    } while (0)

/* ---- facts: the caller sets size, the library fills ---- */

static int32_t machine_info(void *o) { return mcomp_machine_info_get(o); }
static int32_t backend_info(void *o) { return mcomp_backend_info_get(ctx, 0, o); }
static int32_t graph_info(void *o) { return mcomp_graph_info_get(model, o); }
static int32_t graph_input(void *o) { return mcomp_graph_input(model, 0, o); }
static int32_t graph_output(void *o) { return mcomp_graph_output(model, 0, o); }
static int32_t graph_node(void *o) { return mcomp_graph_node(model, 0, o); }
static int32_t calibration_info(void *o) { return mcomp_calibrator_info(calibrator, o); }
static int32_t quantized_node(void *o) { return mcomp_quantizer_node(quantizer, 0, o); }
static int32_t kernel_info(void *o) { return mcomp_exec_kernel(runner, 0, o); }
static int32_t plan_info(void *o) { return mcomp_exec_plan_info(runner, o); }
static int32_t trainer_info(void *o) { return mcomp_trainer_info_get(trainer, o); }
static int32_t recipe_error(void *o) { return mcomp_recipe_error_get(recipe, 0, o); }
static int32_t distiller_info(void *o) { return mcomp_distiller_info_get(distiller, o); }
static int32_t prune_site(void *o) { return mcomp_pruner_site_get(pruner, 0, o); }
/* A pruner prunes once. */
static int32_t prune_result(void *o)
{
    mcomp_pruner *p = NULL;
    NEED(mcomp_pruner_create(&p, ctx, model, NULL));
    const int32_t status = mcomp_pruner_run(o, NULL, p, NULL, data, NULL);
    mcomp_pruner_destroy(p);
    return status;
}
static int32_t qat_result(void *o)
{
    mcomp_graph *g = NULL;
    const int32_t status = mcomp_quantizer_train(&g, o, NULL, quantizer, model, calibrator, data, data, NULL, NULL);
    mcomp_graph_destroy(g);
    return status;
}
static int32_t fit_again(void *o) { return mcomp_trainer_fit(o, trainer, data, data); } /* every epoch is done: at once */
static int32_t cost_result(void *o)
{
    mcomp_cost_options all;
    NEED(mcomp_cost_options_init(&all, sizeof all));
    all.instances = 8;
    return mcomp_cost_compute(o, &all);
}
static int32_t error_record(void *o)
{
    mcomp_graph *none = NULL;
    CHECK(mcomp_graph_load(&none, ctx, "/no/such/model.onnx") == MCOMP_PATH, "a model was found");
    mcomp_error_get(o);
    return MCOMP_OK;
}

static const struct {
    const char *name;
    int32_t (*get)(void *out);
    uint32_t bytes, least;
} facts[] = {
    {"machine_info", machine_info, sizeof(mcomp_machine_info), 4},
    {"backend_info", backend_info, sizeof(mcomp_backend_info), 4},
    {"graph_info", graph_info, sizeof(mcomp_graph_info), 4},
    {"graph_input", graph_input, sizeof(mcomp_port_info), 4},
    {"graph_output", graph_output, sizeof(mcomp_port_info), 4},
    {"graph_node", graph_node, sizeof(mcomp_node_info), 4},
    {"calibration_info", calibration_info, sizeof(mcomp_calibration_info), 4},
    {"quantized_node", quantized_node, sizeof(mcomp_quantized_node), 4},
    {"kernel_info", kernel_info, sizeof(mcomp_kernel_info), 4},
    {"plan_info", plan_info, sizeof(mcomp_plan_info), 4},
    {"trainer_info", trainer_info, sizeof(mcomp_trainer_info), 4},
    {"distiller_info", distiller_info, sizeof(mcomp_distiller_info), 4},
    {"recipe_error", recipe_error, sizeof(mcomp_recipe_error), 4},
    {"prune_site", prune_site, sizeof(mcomp_prune_site), 4},
    {"prune_result", prune_result, sizeof(mcomp_prune_result), 4},
    {"qat_result", qat_result, sizeof(mcomp_qat_result), 4},
    {"train_result", fit_again, sizeof(mcomp_train_result), 4},
    {"cost_result", cost_result, sizeof(mcomp_cost_result), 4},
    {"error", error_record, sizeof(mcomp_error), 8},
};

static void check_facts(void)
{
    for (size_t f = 0; f < sizeof facts / sizeof *facts; f++) {
        unsigned char whole[ROOM] = {0}, got[ROOM];
        memcpy(whole, &facts[f].bytes, 4);
        NEED(facts[f].get(whole));
        for (uint32_t size = facts[f].least; size <= facts[f].bytes + LONGER; size += 4) {
            const uint32_t known = size < facts[f].bytes ? size : facts[f].bytes;
            memset(got, 0xA5, sizeof got);
            memcpy(got, &size, 4);
            NEED(facts[f].get(got));
            CHECK(memcmp(got, &size, 4) == 0, "%s of %u bytes: the size was changed", facts[f].name, size);
            CHECK(memcmp(got + 4, whole + 4, known - 4) == 0, "%s of %u bytes: other content", facts[f].name, size);
            for (uint32_t i = known; i < size; i++) CHECK(got[i] == 0, "%s of %u bytes: byte %u, which is unknown, is not zero", facts[f].name, size, i);
            for (uint32_t i = size; i < ROOM; i++) CHECK(got[i] == 0xA5, "%s of %u bytes: byte %u behind it was written", facts[f].name, size, i);
        }
        if (facts[f].get == error_record) continue; /* it cannot fail: it writes nothing */
        memset(whole, 0, 4);
        CHECK(facts[f].get(whole) == MCOMP_ARGUMENT, "%s without a size", facts[f].name);
    }
}

/* ---- options: _init fills, a create function reads ---- */

#define OPTIONS(type, made, destroy, ...)                                                                              \
    static int32_t init_##type(void *o, uint32_t size) { return mcomp_##type##_options_init(o, size); }                \
    static int32_t use_##type(const void *o)                                                                           \
    {                                                                                                                  \
        made = NULL;                                                                                                   \
        const int32_t status = __VA_ARGS__;                                                                            \
        destroy;                                                                                                       \
        return status;                                                                                                 \
    }
OPTIONS(context, mcomp_context *c, mcomp_context_destroy(c), mcomp_context_create(&c, o))
OPTIONS(load, mcomp_graph *g, mcomp_graph_destroy(g), mcomp_graph_load_with(&g, ctx, "/no/such/model.onnx", o))
OPTIONS(save, mcomp_graph *g, mcomp_graph_destroy(g), mcomp_graph_save(model, "/no/such/folder/model.onnx", o))
OPTIONS(build, mcomp_graph *g, mcomp_graph_destroy(g), mcomp_graph_build(&g, ctx, "text-cnn:vocab=20,classes=2,length=8,hidden=8", o))
OPTIONS(dataset, mcomp_dataset *d, mcomp_dataset_destroy(d), mcomp_dataset_open(&d, ctx, model, "/no/such/data.npz", o))
OPTIONS(quantizer, mcomp_quantizer *q, mcomp_quantizer_destroy(q), mcomp_quantizer_create(&q, ctx, o))
OPTIONS(qat, mcomp_graph *g, mcomp_graph_destroy(g), mcomp_quantizer_train(&g, NULL, NULL, quantizer, model, calibrator, data, data, NULL, o))
OPTIONS(session, mcomp_session *s, mcomp_session_destroy(s), mcomp_session_create(&s, ctx, model, o))
OPTIONS(distiller, mcomp_distiller *d, mcomp_distiller_destroy(d), mcomp_distiller_create(&d, ctx, model, o))
OPTIONS(pruner, mcomp_pruner *p, mcomp_pruner_destroy(p), mcomp_pruner_create(&p, ctx, model, o))
OPTIONS(recipe, mcomp_recipe *r, mcomp_recipe_destroy(r), mcomp_recipe_load(&r, "/no/such/recipe.yaml", o))
OPTIONS(recipe_run, const char *json, (void)json, mcomp_recipe_run(&json, recipe, ctx, o))
OPTIONS(cost, mcomp_cost_result *r, (void)r, mcomp_cost_compute(&(mcomp_cost_result){.size = sizeof *r}, o))
OPTIONS(trainer, mcomp_trainer *t, mcomp_trainer_destroy(t), mcomp_trainer_create(&t, ctx, model, o))

static const struct {
    const char *name;
    int32_t (*init)(void *o, uint32_t size);
    int32_t (*use)(const void *o);
    uint32_t bytes;
    int32_t expected; /* PATH: the options were read, and the file is not there */
} options[] = {
    {"context", init_context, use_context, sizeof(mcomp_context_options), MCOMP_OK},
    {"load", init_load, use_load, sizeof(mcomp_load_options), MCOMP_PATH},
    {"save", init_save, use_save, sizeof(mcomp_save_options), MCOMP_PATH},
    {"build", init_build, use_build, sizeof(mcomp_build_options), MCOMP_OK},
    {"dataset", init_dataset, use_dataset, sizeof(mcomp_dataset_options), MCOMP_PATH},
    {"quantizer", init_quantizer, use_quantizer, sizeof(mcomp_quantizer_options), MCOMP_OK},
    {"qat", init_qat, use_qat, sizeof(mcomp_qat_options), MCOMP_OK},
    {"session", init_session, use_session, sizeof(mcomp_session_options), MCOMP_OK},
    {"distiller", init_distiller, use_distiller, sizeof(mcomp_distiller_options), MCOMP_OK},
    {"pruner", init_pruner, use_pruner, sizeof(mcomp_pruner_options), MCOMP_OK},
    {"recipe", init_recipe, use_recipe, sizeof(mcomp_recipe_options), MCOMP_PATH},
    {"recipe_run", init_recipe_run, use_recipe_run, sizeof(mcomp_recipe_run_options), MCOMP_RECIPE}, /* read, and the recipe has an error */
    {"cost", init_cost, use_cost, sizeof(mcomp_cost_options), MCOMP_OK},
    {"trainer", init_trainer, use_trainer, sizeof(mcomp_trainer_options), MCOMP_OK},
};

static void check_options(void)
{
    for (size_t k = 0; k < sizeof options / sizeof *options; k++) {
        _Alignas(16) unsigned char o[ROOM];
        for (uint32_t size = 4; size <= options[k].bytes + LONGER; size += 4) {
            memset(o, 0xA5, sizeof o);
            NEED(options[k].init(o, size));
            for (uint32_t i = size; i < ROOM; i++) CHECK(o[i] == 0xA5, "%s of %u bytes: _init wrote byte %u behind it", options[k].name, size, i);
            int32_t status = options[k].use(o);
            CHECK(status == options[k].expected, "%s of %u bytes: %s", options[k].name, size, mcomp_status_name(status));
            if (size <= options[k].bytes) continue;
            o[size - 1] = 1;
            status = options[k].use(o);
            CHECK(status == MCOMP_ARGUMENT, "%s of %u bytes with an option that nobody knows: %s", options[k].name, size, mcomp_status_name(status));
        }
        memset(o, 0, sizeof o);
        CHECK(options[k].use(o) == MCOMP_ARGUMENT, "%s without a size", options[k].name);
    }
}

/* ---- what the facts are of ---- */

static int32_t fetch(void *payload, int64_t index, int32_t n_inputs, mcomp_tensor **inputs, int64_t *label)
{
    (void)payload;
    if (n_inputs != 1) return MCOMP_DATA;
    const int32_t status = mcomp_tensor_create(&inputs[0], MCOMP_F32, 2, (const int64_t[]){1, 4});
    for (int i = 0; status >= 0 && i < 4; i++) ((float *)mcomp_tensor_data(inputs[0]))[i] = (float)((index * 4 + i) % 7) - 3.0f;
    *label = index % 2;
    return status;
}

int main(void)
{
    mcomp_graph *small = NULL;
    mcomp_tensor *x = NULL;
    const mcomp_tensor *y;
    mcomp_trainer_options o;
    NEED(mcomp_context_create(&ctx, NULL));
    mcomp_build_options b;
    NEED(mcomp_build_options_init(&b, sizeof b));
    b.features = 4;
    b.classes = 2;
    NEED(mcomp_graph_build(&model, ctx, "mlp:hidden=16,layers=2", &b));
    NEED(mcomp_dataset_create(&data, ctx, model, 16, fetch, NULL));
    NEED(mcomp_calibrator_create(&calibrator, ctx, model));
    NEED(mcomp_calibrator_feed_dataset(calibrator, data));
    NEED(mcomp_quantizer_create(&quantizer, ctx, NULL));
    NEED(mcomp_quantizer_apply(&small, quantizer, model, calibrator, data));
    NEED(mcomp_session_create(&session, ctx, model, NULL));
    NEED(mcomp_exec_create(&runner, session));
    NEED(mcomp_tensor_create(&x, MCOMP_F32, 2, (const int64_t[]){1, 4}));
    NEED(mcomp_exec_run(runner, 1, (const mcomp_tensor *const[]){x}, 1, &y));
    NEED(mcomp_trainer_options_init(&o, sizeof o));
    o.epochs = 1;
    NEED(mcomp_trainer_create(&trainer, ctx, model, &o));
    NEED(mcomp_trainer_fit(NULL, trainer, data, data));
    NEED(mcomp_distiller_create(&distiller, ctx, model, NULL));
    NEED(mcomp_distiller_teach(distiller, data));
    NEED(mcomp_pruner_create(&pruner, ctx, model, NULL));
    CHECK(mcomp_recipe_parse(&recipe, "- 1", 3, NULL, NULL, NULL) == MCOMP_RECIPE, "a list is no recipe");
    check_facts();
    check_options();
    mcomp_recipe_destroy(recipe);
    mcomp_pruner_destroy(pruner);
    mcomp_distiller_destroy(distiller);
    mcomp_trainer_destroy(trainer);
    mcomp_tensor_destroy(x);
    mcomp_exec_destroy(runner);
    mcomp_session_destroy(session);
    mcomp_graph_destroy(small);
    mcomp_quantizer_destroy(quantizer);
    mcomp_calibrator_destroy(calibrator);
    mcomp_dataset_destroy(data);
    mcomp_graph_destroy(model);
    mcomp_context_destroy(ctx);
    printf("%d failures\n", failures);
    return failures != 0;
}
