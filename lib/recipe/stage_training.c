/* What passes that train share: options, progress, the curve, the teacher's losses, zeros that stay. */
#include "recipe/run.h"

/* ---- curve and progress ---- */

/* Rows of steps that come again after a resume are replaced. */
static int32_t add_row(mc_stage_training *t, const mcomp_train_event *e)
{
    int32_t st = MCOMP_OK;
    const mc_json *old = mc_json_get(t->s->node.journal, "curve");
    mc_json *curve = mc_json_array(), *row = NULL;
    for (int64_t i = 0; i < mc_json_size(old); i++) {
        int64_t step = 0;
        if (mc_json_int(mc_json_get(mc_json_at(old, i), "step"), &step) && step < e->step) MC_TRY(mc_json_append(curve, mc_json_copy(mc_json_at(old, i))));
    }
    MC_TRY(mc_put_new(curve, NULL, 0, &row));
    MC_TRY(mc_json_set_int(row, "epoch", e->epoch));
    MC_TRY(mc_json_set_int(row, "step", e->step));
    MC_TRY(mc_put_number(row, "loss", e->loss));
    MC_TRY(mc_put_number(row, "metric", e->metric));
    st = mc_json_set(t->s->node.journal, "curve", curve);
    curve = NULL;
    MC_TRY(st);
    MC_TRY(mc_put_number(t->s->node.journal, "seconds", t->seconds_before + (double)(mc_clock_ns() - t->started_ns) * 1e-9));
    st = mc_store_node_keep(&t->s->node);
done:
    mc_json_destroy(curve);
    return st;
}

static int32_t on_event(void *payload, const mcomp_train_event *e)
{
    mc_stage_training *t = payload;
    const double runs = t->runs ? t->runs : 1;
    if (e->kind == 3 && t->runs) t->run = t->run + 1 < t->runs ? t->run + 1 : t->runs - 1;
    if (e->kind == 1 && t->run <= 0) return add_row(t, e);
    if (e->kind != 0 || e->total_steps < 1) return 0;
    return mc_context_progress(t->r->ctx, t->s->name, ((double)(t->run > 0 ? t->run : 0) + (double)e->step / (double)e->total_steps) / runs);
}

int32_t mc_stage_training_open(mc_stage_training *t, mc_run *r, mc_run_stage *s, mcomp_trainer_options *o)
{
    int32_t st = MCOMP_OK;
    *t = (mc_stage_training){.r = r, .s = s, .started_ns = mc_clock_ns(), .run = -1};
    (void)mc_json_number(mc_json_get(s->node.journal, "seconds"), &t->seconds_before);
    MC_TRY(mcomp_trainer_options_init(o, sizeof *o));
    MC_TRY(mc_recipe_training(o, r->recipe, s->pass));
    MC_TRY(mc_store_node_path(&s->node, "checkpoint", &t->checkpoint));
    o->checkpoint = t->checkpoint.data;
    o->resume = 1; /* an unfinished node holds a checkpoint only if the run resumes (mc_store_node_open) */
    o->progress = on_event;
    o->progress_payload = t;
done:
    return st;
}

void mc_stage_training_close(mc_stage_training *t)
{
    const mc_json *curve = t->s ? mc_json_get(t->s->node.journal, "curve") : NULL;
    mc_str_free(&t->checkpoint);
    if (!t->s) return;
    (void)mc_put_number(t->s->facts, "seconds", t->seconds_before + (double)(mc_clock_ns() - t->started_ns) * 1e-9);
    if (curve) (void)mc_json_set(t->s->facts, "curve", mc_json_copy(curve));
}

/* ---- the teacher's losses ---- */

static const mc_section *last_distill(const mc_run *r, const mc_run_stage *s)
{
    const mc_section *found = NULL;
    for (int32_t i = 1; i < r->n_stages && &r->stage[i] != s; i++)
        if (r->stage[i].kind == &mc_stage_distill) found = r->stage[i].pass;
    return found;
}

int32_t mc_stage_distiller(mc_run *r, const mc_section *distill, mcomp_distiller **out)
{
    int32_t st = MCOMP_OK;
    mc_str folder = {0}, losses = {0};
    mcomp_distiller_options o;
    MC_TRY(mcomp_distiller_options_init(&o, sizeof o));
    MC_TRY(mc_str_appendf(&folder, "%s/teacher", mc_store_folder(r->store)));
    o.cache = folder.data;
    o.output = mc_section_str(r->recipe->model, "output");
    if (distill) {
        MC_TRY(mc_recipe_losses(&losses, distill));
        o.losses = losses.data;
        o.alpha = mc_section_num(distill, "alpha");
        o.temperature = mc_section_num(distill, "temperature");
        o.batch = (int32_t)mc_section_int(distill, "teacher_batch");
        o.cache_bytes = (uint64_t)mc_section_int(distill, "cache_bytes");
        o.no_control = !mc_section_flag(distill, "control");
    }
    st = mcomp_distiller_create(out, r->ctx, r->stage[0].g, &o);
done:
    mc_str_free(&folder);
    mc_str_free(&losses);
    return st;
}

int32_t mc_stage_teach(mc_run *r, mcomp_distiller *d, const mcomp_tokenizer *student)
{
    int32_t st = MCOMP_OK;
    mcomp_tokenizer *as_student = NULL;
    mcomp_dataset *texts = NULL;
    mcomp_distiller_info i = {.size = sizeof i};
    const mc_run_data *data = r->stage[0].data;
    MC_TRY(mcomp_distiller_info_get(d, &i));
    if (!i.over_tokens || !student || !data->tokenizer || mcomp_tokenizer_count(student) >= mcomp_tokenizer_count(data->tokenizer))
        return mcomp_distiller_teach(d, data->train);
    MC_TRY(mcomp_tokenizer_renumber(&as_student, student, data->tokenizer));
    MC_TRY(mc_run_data_train(r, r->stage[0].g, NULL, as_student, &texts));
    st = mcomp_distiller_teach(d, texts);
done:
    mcomp_dataset_destroy(texts);
    mcomp_tokenizer_destroy(as_student);
    return st;
}

int32_t mc_stage_teacher(mc_run *r, mc_run_stage *s, mcomp_distiller **out)
{
    int32_t st = MCOMP_OK;
    *out = NULL;
    if (!mc_section_flag(s->pass, "keep_distilling")) return MCOMP_OK;
    if (!s->from->data->train) return mc_recipe_fail(r->recipe, MCOMP_RECIPE, s->pass, "keep_distilling", "there are no samples to train on: data.train");
    if (mc_section_str(s->pass, "augment")) return mc_recipe_fail(r->recipe, MCOMP_UNSUPPORTED, s->pass, "augment", "the teacher has not seen images that are moved at random");
    MC_TRY(mc_stage_distiller(r, last_distill(r, s), out));
    MC_TRY(mc_stage_teach(r, *out, s->from->data->tokenizer));
done:
    return st;
}

int32_t mc_stage_teacher_key(mc_run *r, mc_run_stage *s, mc_str *text)
{
    int32_t st = MCOMP_OK;
    const mc_section *distill = last_distill(r, s);
    if (!mc_section_flag(s->pass, "keep_distilling")) return MCOMP_OK;
    MC_TRY(mc_str_appendf(text, "teacher %s %s\n", r->stage[0].identity, r->stage[0].data->train_hash));
    if (distill) MC_TRY(mc_section_write(text, distill));
done:
    return st;
}

/* ---- zeros ---- */

static int32_t hold(mcomp_trainer *t, const mc_value *w)
{
    int32_t st = MCOMP_OK;
    mc_tensor *mask = NULL;
    const int64_t n = mc_tensor_elements(w->init);
    if (w->init->dtype != MCOMP_F32) return MCOMP_OK;
    MC_TRY(mc_tensor_create(&mask, MCOMP_F32, &w->init->shape));
    for (int64_t i = 0; i < n; i++) ((float *)mask->data)[i] = mc_tensor_get_f64(w->init, i) != 0.0;
    st = mc_trainer_set_mask(t, w->name, mask, 1);
done:
    mc_tensor_destroy(mask);
    return st;
}

int32_t mc_stage_hold_zeros(mc_run *r, const mc_run_stage *s, mcomp_trainer *t)
{
    int32_t st = MCOMP_OK;
    const mc_graph *g = s->from->g->g;
    for (const mc_run_stage *p = s->from; p; p = p->from) {
        const mc_json *sites = mc_json_get(p->facts, "zeros");
        for (int64_t i = 0; i < mc_json_size(sites); i++) {
            const char *name = mc_json_string(mc_json_get(mc_json_at(sites, i), "node"));
            const mc_node *n = name ? mc_graph_find_node(g, name) : NULL;
            for (int32_t k = 0; n && k < n->n_in; k++)
                if (n->in[k] && n->in[k]->init && n->in[k]->init->shape.rank >= 2) MC_TRY(hold(t, n->in[k]));
        }
        if (p->kind == &mc_stage_distill) break; /* another model from here on */
    }
    (void)r;
done:
    return st;
}
