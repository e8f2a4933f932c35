/* What other rooms plug into a training: parts of the loss, inputs by batch, masks, a hook. */
#include "train/trainer.h"

int32_t mc_trainer_add_term(mcomp_trainer *t, const mc_loss_term *term)
{
    if (t->ready) return mc_fail(MCOMP_ARGUMENT, "loss", "the step is built already");
    const int32_t st = mc_grow(&t->terms, &t->cap_terms, t->n_terms + 1, sizeof *t->terms);
    if (st == MCOMP_OK) t->terms[t->n_terms++] = *term;
    return st;
}

void mc_trainer_weigh_loss(mcomp_trainer *t, double weight) { t->loss_weight = weight; }

void mc_trainer_set_feed(mcomp_trainer *t, mc_feed_fn feed, void *payload)
{
    t->feed = feed;
    t->feed_payload = payload;
}

int32_t mc_trainer_feed(mcomp_trainer *t, const mc_feed_batch *b)
{
    if (t->n_extra == 0) return MCOMP_OK;
    if (!t->feed) return mc_fail(MCOMP_INTERNAL, "train", "the loss has inputs that nobody fills");
    if (!t->fed && !(t->fed = mc_calloc((size_t)t->n_extra, sizeof *t->fed))) return MCOMP_NO_MEMORY;
    const int32_t st = t->feed(t->feed_payload, b, t->n_extra, t->fed);
    for (int64_t i = t->first_extra, k = 0; st == MCOMP_OK && k < t->n_extra; i++)
        if (!(t->step.g->inputs[i]->flags & MC_VALUE_VARIABLE)) t->in[i] = t->fed[k++];
    return st;
}

void mc_trainer_set_hook(mcomp_trainer *t, mc_hook_fn hook, void *payload)
{
    t->hook = hook;
    t->hook_payload = payload;
}

void mc_trainer_free_plugs(mcomp_trainer *t)
{
    for (int64_t i = 0; i < t->n_masks; i++) {
        mc_free(t->masks[i].parameter);
        mc_tensor_destroy(t->masks[i].t);
    }
    for (int64_t i = 0; i < t->n_marks; i++) mc_free(t->marks[i].name);
    mc_free(t->marks);
    mc_free(t->masks);
    mc_free(t->terms);
}

/* ---- loss ---- */

static mc_value *scaled(mc_loss_site *s, mc_value *x, double weight)
{
    return weight == 1.0 || !x ? x : mc_loss_node(s, "Mul", 2, (mc_value *[]){x, mc_loss_scalar(s, weight)});
}

int32_t mc_trainer_emit_loss(mcomp_trainer *t, mc_loss_site *site)
{
    mc_value *sum = t->loss_weight == 0.0 && t->n_terms > 0 ? NULL : scaled(site, t->loss->emit(site), t->loss_weight);
    t->first_extra = site->g->n_inputs;
    for (int64_t i = 0; i < t->n_terms && site->status == MCOMP_OK; i++) {
        mc_value *x = scaled(site, t->terms[i].emit(site, t->terms[i].payload), t->terms[i].weight);
        sum = sum ? mc_loss_node(site, "Add", 2, (mc_value *[]){sum, x}) : x;
    }
    t->n_extra = site->n_inputs;
    t->step.loss = sum;
    if (site->status == MCOMP_OK && !sum) return mc_fail(MCOMP_INTERNAL, "loss", "the loss has no value");
    return site->status;
}

/* ---- masks ---- */

static mc_variable *find(const mcomp_trainer *t, const char *name, int32_t kind)
{
    for (int64_t i = 0; i < t->step.n_vars; i++) {
        mc_variable *v = &t->step.vars[i];
        if (v->kind == kind && strcmp(t->step.vars[v->of].name, name) == 0) return v;
    }
    return NULL;
}

/* The parameter obeys its mask at once. */
static void apply(const mcomp_trainer *t, const mc_variable *mask)
{
    mc_tensor *p = &t->step.vars[mask->of].t->t;
    const int64_t n = mc_tensor_elements(p);
    for (int64_t i = 0; i < n; i++) ((float *)p->data)[i] *= ((const float *)mask->t->t.data)[i];
}

static int32_t check_mask(const mc_variable *p, const char *parameter, const mc_tensor *mask)
{
    if (!p) return mc_fail(MCOMP_ARGUMENT, parameter, "no such parameter is trained");
    if (mask->dtype != MCOMP_F32 || !mc_shape_equal(&mask->shape, &p->t->t.shape)) return mc_fail(MCOMP_SHAPE, parameter, "the mask is not float32 of the parameter's shape");
    return MCOMP_OK;
}

int32_t mc_trainer_set_mask(mcomp_trainer *t, const char *parameter, const mc_tensor *mask, int32_t optional)
{
    int32_t st = MCOMP_OK;
    if (t->ready) {
        const mc_variable *m = find(t, parameter, MC_VAR_MASK);
        if (!m && optional) return MCOMP_OK;
        MC_TRY(check_mask(m, parameter, mask));
        memcpy(m->t->t.data, mask->data, (size_t)mc_tensor_bytes(mask));
        apply(t, m);
        return MCOMP_OK;
    }
    MC_TRY(mc_grow(&t->masks, &t->cap_masks, t->n_masks + 1, sizeof *t->masks));
    mc_mask *m = &t->masks[t->n_masks];
    *m = (mc_mask){.parameter = mc_strdup(parameter), .optional = optional};
    if (!m->parameter) return MCOMP_NO_MEMORY;
    t->n_masks++;
    MC_TRY(mc_tensor_copy(&m->t, mask));
done:
    return st;
}

int32_t mc_trainer_add_masks(mcomp_trainer *t)
{
    int32_t st = MCOMP_OK;
    mc_str name = {0};
    for (int64_t i = 0; i < t->n_masks; i++) {
        const mc_mask *m = &t->masks[i];
        const mc_variable *p = find(t, m->parameter, MC_VAR_PARAM);
        mc_tensor *copy = NULL;
        mc_value *v = NULL;
        if (!p && m->optional) continue;
        MC_TRY(check_mask(p, m->parameter, m->t));
        const mc_type type = mc_type_of(m->t);
        const int32_t of = p->of;
        name.len = 0;
        MC_TRY(mc_str_appendf(&name, "%s#mask", m->parameter));
        MC_TRY(mc_graph_add_input(t->step.g, name.data, &type, &v));
        v->flags |= MC_VALUE_VARIABLE;
        MC_TRY(mc_tensor_copy(&copy, m->t));
        MC_TRY(mc_step_add_variable(&t->step, name.data, MC_VAR_MASK, of, v, copy));
        apply(t, &t->step.vars[t->step.n_vars - 1]);
    }
done:
    mc_str_free(&name);
    return st;
}

int32_t mc_trainer_mark(mcomp_trainer *t, const char *initializer, int32_t trained)
{
    int32_t st = MCOMP_OK;
    if (t->ready) return mc_fail(MCOMP_ARGUMENT, initializer, "the step is built already");
    MC_TRY(mc_grow(&t->marks, &t->cap_marks, t->n_marks + 1, sizeof *t->marks));
    t->marks[t->n_marks] = (mc_mark){mc_strdup(initializer), trained};
    if (!t->marks[t->n_marks].name) MC_TRY(MCOMP_NO_MEMORY);
    t->n_marks++;
done:
    return st;
}

const mc_tensor *mc_trainer_parameter(mcomp_trainer *t, const char *name)
{
    const mc_variable *p = mc_trainer_ready(t) == MCOMP_OK ? find(t, name, MC_VAR_PARAM) : NULL;
    return p ? &p->t->t : NULL;
}

const mc_tensor *mc_trainer_second_moment(mcomp_trainer *t, const char *name)
{
    if (strcmp(t->optimizer->op, "Sgd") == 0 || mc_trainer_ready(t) != MCOMP_OK) return NULL;
    for (int64_t i = 0; i < t->step.n_vars; i++) {
        const mc_variable *v = &t->step.vars[i];
        if (v->kind == MC_VAR_SLOT && strcmp(t->step.vars[v->of].name, name) == 0 && strstr(v->name, "#momentum2")) return &v->t->t;
    }
    return NULL;
}

void mc_trainer_best_after(mcomp_trainer *t, double fraction) { t->best_after = fraction; }

int64_t mc_trainer_updates_planned(const mcomp_trainer *t) { return t->total; }
