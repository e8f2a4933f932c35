/* The table of losses and what they emit nodes with. */
#include "train/train.h"

#include <stdarg.h>
#include <stdio.h>

#define MC_LOSS(symbol, labels_) mc_value *mc_loss_##symbol(mc_loss_site *s);
#include "train/losses.def"
#undef MC_LOSS
#define MC_LOSS(symbol, labels_) {#symbol, labels_, mc_loss_##symbol},
static const mc_loss table[] = {
#include "train/losses.def"
};
#undef MC_LOSS
#define N (sizeof table / sizeof *table)

const mc_loss *mc_loss_find(const char *name)
{
    const char *names[N + 1] = {NULL};
    for (size_t i = 0; i < N; i++) {
        if (strcmp(table[i].name, name) == 0) return &table[i];
        names[i] = table[i].name;
    }
    const char *near = mc_nearest(name, names);
    (void)mc_fail(MCOMP_ARGUMENT, "loss", "there is no loss \"%.60s\"", name);
    (void)mc_fail_hint(near ? "did you mean %s?" : "cross_entropy, bce, mse, kl, cosine and span exist%s", near ? near : "");
    return NULL;
}

mc_value *mc_loss_fail(mc_loss_site *s, int32_t code, const char *fmt, ...)
{
    char text[256];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if (s->status == MCOMP_OK) s->status = mc_fail(code, "loss", "%s", text);
    return NULL;
}

static mc_value *end(mc_loss_site *s, mc_node *n)
{
    n->origin = "loss";
    s->status = mc_infer_node(s->g, n);
    return s->status == MCOMP_OK ? n->out[0] : NULL;
}

static mc_node *begin(mc_loss_site *s, const char *op, int32_t n, mc_value *const *in)
{
    mc_node *made = NULL;
    if (s->status == MCOMP_OK) s->status = mc_graph_add_node(s->g, "", op, 0, NULL, n, in, 1, NULL, &made);
    return s->status == MCOMP_OK ? made : NULL;
}

mc_value *mc_loss_node(mc_loss_site *s, const char *op, int32_t n, mc_value *const *in)
{
    mc_node *made = begin(s, op, n, in);
    return made ? end(s, made) : NULL;
}

mc_value *mc_loss_node_i(mc_loss_site *s, const char *op, int32_t n, mc_value *const *in, const char *attr, int64_t v)
{
    mc_node *made = begin(s, op, n, in);
    if (made) s->status = mc_node_set_i(made, attr, v);
    return made && s->status == MCOMP_OK ? end(s, made) : NULL;
}

mc_value *mc_loss_scalar(mc_loss_site *s, double v)
{
    mc_value *c = NULL;
    if (s->status == MCOMP_OK) s->status = mc_graph_add_const_f32(s->g, NULL, (float)v, &c);
    return s->status == MCOMP_OK ? c : NULL;
}

mc_value *mc_loss_ints(mc_loss_site *s, int64_t n, const int64_t *v)
{
    mc_value *c = NULL;
    if (s->status == MCOMP_OK) s->status = mc_graph_add_const_i64s(s->g, NULL, v, n, &c);
    return s->status == MCOMP_OK ? c : NULL;
}

mc_value *mc_loss_mean(mc_loss_site *s, mc_value *x) { return mc_loss_node_i(s, "ReduceMean", 1, &x, "keepdims", 0); }

mc_value *mc_loss_target(mc_loss_site *s, const mc_type *type)
{
    if (s->status == MCOMP_OK) s->status = mc_graph_add_input(s->g, "mcomp.target", type, &s->target);
    return s->status == MCOMP_OK ? s->target : NULL;
}

mc_value *mc_loss_parameter(mc_loss_site *s, const char *name, mc_tensor *start)
{
    mc_value *v = NULL;
    if (s->status == MCOMP_OK && !start) s->status = MCOMP_NO_MEMORY;
    if (s->status != MCOMP_OK) {
        mc_tensor_destroy(start);
        return NULL;
    }
    if (!s->step) {
        s->status = mc_graph_add_const(s->g, name, start, &v);
        return s->status == MCOMP_OK ? v : NULL;
    }
    const mc_type type = mc_type_of(start);
    s->status = mc_graph_add_input(s->g, name, &type, &v);
    if (s->status != MCOMP_OK) {
        mc_tensor_destroy(start);
        return NULL;
    }
    v->flags |= MC_VALUE_VARIABLE;
    s->status = mc_step_add_variable(s->step, name, MC_VAR_PARAM, -1, v, start);
    if (s->status != MCOMP_OK) return NULL;
    s->step->vars[s->step->n_vars - 1].helper = 1;
    return v;
}

mc_value *mc_loss_input(mc_loss_site *s, const char *name, const mc_type *type)
{
    mc_value *v = NULL;
    if (s->status == MCOMP_OK) s->status = mc_graph_add_input(s->g, name, type, &v);
    if (s->status != MCOMP_OK) return NULL;
    s->n_inputs++;
    return v;
}
