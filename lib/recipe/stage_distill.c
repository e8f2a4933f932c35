/* A student learns from the teacher. The model that comes out takes the place of the one before. */
#include "recipe/run.h"

#include <mcomp/build.h>
#include <unistd.h>

static int ends(const char *text, const char *end)
{
    const size_t n = strlen(text), k = strlen(end);
    return n > k && strcmp(text + n - k, end) == 0;
}

static int is_file(const char *spec) { return ends(spec, ".onnx") || ends(spec, ".safetensors") || ends(spec, ".safetensors.index.json"); }
static int is_cut(const char *spec) { return strcmp(spec, "teacher") == 0 || strncmp(spec, "teacher:", 8) == 0; }

/* Of a file the hash, so that another file of that name is another student. */
static int32_t file_key(mc_str *text, const char *what, const char *path)
{
    int32_t st = MCOMP_OK;
    char hex[65];
    if (!path || access(path, R_OK) != 0) return MCOMP_OK;
    MC_TRY(mc_store_hash_file(path, hex));
    st = mc_str_appendf(text, "%s %s\n", what, hex);
done:
    return st;
}

static int32_t beside(mc_str *out, const char *model)
{
    const size_t n = strlen(model), k = ends(model, ".onnx") ? 5 : ends(model, ".safetensors") ? 12 : 0;
    out->len = 0;
    return mc_str_appendf(out, "%.*s.tokenizer.json", (int)(n - k), model);
}

static int32_t key(mc_run *r, mc_run_stage *s, mc_str *text)
{
    int32_t st = MCOMP_OK;
    mc_str own = {0};
    const char *spec = mc_section_str(s->pass, "student");
    MC_TRY(mc_str_appendf(text, "teacher %s %s\n", r->stage[0].identity, r->stage[0].data->train_hash));
    if (is_file(spec)) {
        MC_TRY(file_key(text, "student", spec));
        MC_TRY(beside(&own, spec));
        MC_TRY(file_key(text, "beside", own.data));
    }
    MC_TRY(file_key(text, "tokenizer", mc_section_str(s->pass, "student_tokenizer")));
done:
    mc_str_free(&own);
    return st;
}

/* ---- the student as it starts ---- */

/* Its own tokenizer: named, beside its file, or NULL for the teacher's. */
static int32_t own_tokenizer(mc_run *r, mc_run_stage *s, const char *spec)
{
    int32_t st = MCOMP_OK;
    mc_str path = {0};
    mcomp_dataset *texts = NULL;
    const char *named = mc_section_str(s->pass, "student_tokenizer");
    if (named && is_cut(spec)) return mc_recipe_fail(r->recipe, MCOMP_RECIPE, s->pass, "student_tokenizer", "a student cut from the teacher has the teacher's tokenizer; vocab=N makes it smaller");
    if (named && (strcmp(named, "chars") == 0 || strncmp(named, "train:", 6) == 0)) { /* made from the texts */
        MC_TRY(mc_run_data_train(r, r->stage[0].g, named, NULL, &texts));
        if (mcomp_dataset_tokenizer(texts)) MC_TRY(mcomp_tokenizer_share(&s->tokenizer, mcomp_dataset_tokenizer(texts)));
    } else if (named) {
        MC_TRY(mcomp_tokenizer_create(&s->tokenizer, r->ctx, named, NULL, NULL, 0));
    } else if (is_file(spec)) {
        MC_TRY(beside(&path, spec));
        if (access(path.data, F_OK) == 0) MC_TRY(mcomp_tokenizer_create(&s->tokenizer, r->ctx, path.data, NULL, NULL, 0));
    }
    if (!s->tokenizer && r->stage[0].data->tokenizer) MC_TRY(mcomp_tokenizer_share(&s->tokenizer, r->stage[0].data->tokenizer));
done:
    mcomp_dataset_destroy(texts);
    mc_str_free(&path);
    return st;
}

/* What the description leaves open is the teacher's: classes, vocabulary, the size of a sample. */
static int32_t build(mc_run *r, mc_run_stage *s, const char *spec, mcomp_graph **out)
{
    int32_t st = MCOMP_OK;
    mcomp_build_options o;
    const mc_graph *teacher = r->stage[0].g->g;
    const mc_section *train = r->recipe->train;
    const mcomp_tensor *in[MC_OP_MAX_IO];
    int32_t text = 0;
    MC_TRY(mcomp_build_options_init(&o, sizeof o));
    MC_TRY(mcomp_build_is_text(spec, &text));
    o.seed = (uint64_t)mc_section_int(r->recipe->top, "seed");
    MC_TRY(mcomp_dataset_get(r->stage[0].data->train, 0, (int32_t)teacher->n_inputs, in, NULL));
    const mc_shape *x = &in[0]->t.shape;
    if (text) {
        const int64_t pad = s->tokenizer ? mcomp_tokenizer_pad_id(s->tokenizer) : 0;
        o.length = mc_section_has(train, "max_length") ? mc_section_int(train, "max_length") : x->rank == 2 && x->dim[1] > 1 ? x->dim[1] : 128;
        o.vocab = s->tokenizer ? mcomp_tokenizer_count(s->tokenizer) : 0;
        o.pad = pad < 0 ? 0 : pad;
    } else if (x->rank == 2) {
        o.features = x->dim[1];
    } else if (x->rank == 3 || x->rank == 4) {
        o.image[0] = x->rank == 4 ? x->dim[1] : 1;
        o.image[1] = x->dim[x->rank - 2];
        o.image[2] = x->dim[x->rank - 1];
    }
    o.classes = r->stage[0].scores.width;
    st = mcomp_graph_build(out, r->ctx, spec, &o);
done:
    return st;
}

static int32_t start(mc_run *r, mc_run_stage *s, mcomp_distiller *d, mcomp_graph **out)
{
    int32_t st = MCOMP_OK;
    mcomp_tokenizer *smaller = NULL;
    const char *spec = mc_section_str(s->pass, "student"), *names = mcomp_graph_meta(r->stage[0].g, "mcomp.labels");
    MC_TRY(own_tokenizer(r, s, spec));
    if (is_cut(spec)) {
        MC_TRY(mcomp_distiller_cut(out, &smaller, d, spec, r->stage[0].data->train));
        if (smaller) {
            mcomp_tokenizer_destroy(s->tokenizer);
            s->tokenizer = smaller;
        }
    } else if (is_file(spec)) {
        MC_TRY(mc_run_load(r, spec, out));
    } else {
        MC_TRY(build(r, s, spec, out));
    }
    if (names && !mcomp_graph_meta(*out, "mcomp.labels")) st = mcomp_graph_set_meta(*out, "mcomp.labels", names);
done:
    return st;
}

/* ---- the pass ---- */

static int32_t facts(mc_run_stage *s, const mcomp_train_result *student, const mcomp_train_result *control)
{
    int32_t st = MCOMP_OK;
    mc_str what = {0}, losses = {0};
    MC_TRY(mc_recipe_losses(&losses, s->pass));
    MC_TRY(mc_str_appendf(&what, "student %s: %lld updates, best after epoch %lld; losses %s, temperature %g, alpha %g%s", mc_section_get(s->pass, "student")->written, (long long)student->steps,
                          (long long)student->best_epoch, losses.data, mc_section_num(s->pass, "temperature"), mc_section_num(s->pass, "alpha"), control->steps ? "; a control learned from labels alone" : ""));
    st = mc_put_text(s->facts, "what", what.data);
done:
    mc_str_free(&what);
    mc_str_free(&losses);
    return st;
}

static int32_t run(mc_run *r, mc_run_stage *s)
{
    int32_t st = MCOMP_OK;
    mc_stage_training training = {0};
    mcomp_trainer_options o;
    mcomp_distiller *d = NULL;
    mcomp_graph *student = NULL;
    mcomp_train_result a = {.size = sizeof a}, b = {.size = sizeof b};
    const int control = mc_section_flag(s->pass, "control");
    if (!r->stage[0].data->train) return mc_recipe_fail(r->recipe, MCOMP_RECIPE, s->pass, NULL, "there are no samples to train on: data.train");
    MC_TRY(mc_stage_training_open(&training, r, s, &o));
    training.runs = control ? 2 : 1;
    MC_TRY(mc_stage_distiller(r, s->pass, &d));
    MC_TRY(start(r, s, d, &student));
    s->data = &r->data[r->n_data++];
    MC_TRY(mc_run_data_open(r, s->data, student, r->stage[0].path, s->tokenizer));
    MC_TRY(mc_stage_teach(r, d, s->tokenizer));
    MC_TRY(mcomp_distiller_fit(&a, &b, d, student, &o, s->data->train, s->data->valid));
    MC_TRY(mcomp_distiller_graph(&s->made, d, 0));
    if (control) MC_TRY(mcomp_distiller_graph(&s->made_control, d, 1));
    st = facts(s, &a, &b);
done:
    mcomp_graph_destroy(student);
    mcomp_distiller_destroy(d);
    mc_stage_training_close(&training);
    return st;
}

const mc_stage_kind mc_stage_distill = {"distill", key, run};
