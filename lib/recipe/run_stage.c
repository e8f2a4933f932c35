/* One pass: its key, its node in the store, what it made written there and read back. */
#include "recipe/run.h"

#include <stdio.h>
#include <unistd.h>

void mc_run_stage_close(mc_run_stage *s)
{
    mc_scores_free(&s->scores);
    mc_store_node_close(&s->node);
    mcomp_graph_destroy(s->g);
    mcomp_graph_destroy(s->control);
    mcomp_graph_destroy(s->made);
    mcomp_graph_destroy(s->made_control);
    mcomp_tokenizer_destroy(s->tokenizer);
    mc_json_destroy(s->facts);
    mc_free(s->path);
    mc_free(s->ms);
    memset(s, 0, sizeof *s);
}

/* Everything that decides what comes out, as text: the chain before it, the model, the section with every value, the data, the seed. */
static int32_t key_of(mc_run *r, mc_run_stage *s, char key[65])
{
    int32_t st = MCOMP_OK;
    mc_str t = {0};
    const mc_run_data *d = s->from->data;
    MC_TRY(mc_str_appendf(&t, "format %d\npass %s\nafter %s\nmodel %s\nseed %lld\n", MC_STORE_FORMAT, s->kind->name, s->from->node.key, s->from->identity,
                          (long long)mc_section_int(r->recipe->top, "seed")));
    MC_TRY(mc_str_appendf(&t, "train %s\nvalid %s\ncalib %s\n", d->train_hash, d->valid_hash, d->calib_hash));
    MC_TRY(mc_section_write(&t, s->pass));
    MC_TRY(mc_section_write(&t, r->recipe->exporting));
    if (mc_section_has(r->recipe->model, "output")) MC_TRY(mc_str_appendf(&t, "output %s\n", mc_section_str(r->recipe->model, "output")));
    if (s->kind->key) MC_TRY(s->kind->key(r, s, &t));
    st = mc_sha256_hex(t.data, (uint64_t)t.len, key);
done:
    mc_str_free(&t);
    return st;
}

static int32_t save(mc_run *r, mc_run_stage *s)
{
    int32_t st = MCOMP_OK;
    mc_str path = {0};
    mcomp_save_options o;
    const mcomp_tokenizer *t = s->tokenizer ? s->tokenizer : s->from->data->tokenizer;
    const char *const weights = mc_section_str(r->recipe->exporting, "weights");
    MC_TRY(mcomp_save_options_init(&o, sizeof o));
    o.overwrite = 1;
    o.opset = (int32_t)mc_section_int(r->recipe->exporting, "opset");
    o.data = strcmp(weights, "inside") == 0 ? MCOMP_DATA_INSIDE : strcmp(weights, "beside") == 0 ? MCOMP_DATA_BESIDE : MCOMP_DATA_AUTO;
    if (t) {
        MC_TRY(mc_store_node_path(&s->node, "model.tokenizer.json", &path));
        MC_TRY(mcomp_tokenizer_save(t, path.data, 1));
    }
    if (s->made_control) {
        MC_TRY(mc_store_node_path(&s->node, "control.onnx", &path));
        MC_TRY(mcomp_graph_save(s->made_control, path.data, &o));
    }
    MC_TRY(mc_store_node_path(&s->node, "model.onnx", &path));
    MC_TRY(mcomp_graph_save(s->made, path.data, &o));
    MC_TRY(mc_store_node_finish(&s->node, mc_json_copy(s->facts)));
done:
    mc_str_free(&path);
    return st;
}

static int32_t make(mc_run *r, mc_run_stage *s)
{
    int32_t st = MCOMP_OK;
    if (!(s->facts = mc_json_object())) return MCOMP_NO_MEMORY;
    MC_TRY(mc_context_progress(r->ctx, s->name, 0.0));
    MC_TRY(s->kind->run(r, s));
    MC_TRY(save(r, s));
    mcomp_graph_destroy(s->made);
    mcomp_graph_destroy(s->made_control);
    s->made = s->made_control = NULL;
    MC_TRY(mc_context_progress(r->ctx, s->name, 1.0));
done:
    return st;
}

/* The data of the stage before do, unless the model has other inputs or another tokenizer. */
static int32_t choose_data(mc_run *r, mc_run_stage *s)
{
    int32_t st = MCOMP_OK;
    mc_str path = {0};
    mcomp_tokenizer *t = NULL;
    const mc_graph *a = s->from->g->g, *b = s->g->g;
    if (s->data) return MCOMP_OK; /* opened while it was made */
    int same = s->kind != &mc_stage_distill && a->n_inputs == b->n_inputs;
    for (int64_t i = 0; same && i < a->n_inputs; i++)
        same = strcmp(a->inputs[i]->name, b->inputs[i]->name) == 0 && a->inputs[i]->type.dtype == b->inputs[i]->type.dtype;
    s->data = s->from->data;
    if (same) return MCOMP_OK;
    MC_TRY(mc_store_node_path(&s->node, "model.tokenizer.json", &path));
    if (access(path.data, F_OK) == 0) MC_TRY(mcomp_tokenizer_create(&t, r->ctx, path.data, NULL, NULL, 0));
    s->data = &r->data[r->n_data++];
    MC_TRY(mc_run_data_open(r, s->data, s->g, s->path, t));
done:
    mcomp_tokenizer_destroy(t);
    mc_str_free(&path);
    return st;
}

static int32_t read_back(mc_run *r, mc_run_stage *s)
{
    int32_t st = MCOMP_OK;
    mc_str path = {0};
    MC_TRY(mc_store_node_path(&s->node, "model.onnx", &path));
    if (!(s->path = mc_strdup(path.data))) MC_TRY(MCOMP_NO_MEMORY);
    MC_TRY(mcomp_graph_load(&s->g, r->ctx, s->path));
    s->file_bytes = s->g->file_bytes;
    MC_TRY(mc_run_identity(s->path, s->g, s->identity));
    MC_TRY(mc_store_node_path(&s->node, "control.onnx", &path));
    if (access(path.data, F_OK) == 0) MC_TRY(mcomp_graph_load(&s->control, r->ctx, path.data));
    st = choose_data(r, s);
done:
    mc_str_free(&path);
    return st;
}

int32_t mc_run_stage_do(mc_run *r, mc_run_stage *s)
{
    int32_t st = MCOMP_OK;
    char key[65];
    MC_TRY(key_of(r, s, key));
    MC_TRY(mc_store_node_open(&s->node, r->store, key, !r->o.resume));
    if (s->node.damaged) MC_TRY(mc_run_warn(r, "STORE", s->name, "what the store holds of this pass is damaged; it is made anew"));
    s->reused = s->node.facts != NULL;
    if (s->reused) s->facts = mc_json_copy(s->node.facts);
    else MC_TRY(make(r, s));
    if (!s->facts) MC_TRY(MCOMP_NO_MEMORY);
    st = read_back(r, s);
done:
    return st;
}
