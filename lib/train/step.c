/* The graph of a step: after the loss come the gradients, their sum over accumulated batches, clipping by the global norm, one optimizer
 * node a parameter, averages of the weights. A loss that is not finite updates nothing. */
#include "train/train.h"

#include <float.h>
#include <stdio.h>

#define SUM_WIDTH 32 /* operands of one Sum */

typedef struct emitter {
    mc_step *s;
    const mc_update *u;
    mc_value *lr, *step, *apply, *scale;
    int64_t n;       /* parameters with a gradient */
    int32_t *param;  /* their variables */
    mc_value **grad;
} emitter;

static int32_t op(emitter *e, const char *domain, const char *name, int32_t n, mc_value *const *in, int32_t n_out, mc_node **out)
{
    int32_t st = MCOMP_OK;
    MC_TRY(mc_graph_add_node(e->s->g, domain, name, 0, NULL, n, in, n_out, NULL, out));
    (*out)->origin = "train";
    MC_TRY(mc_infer_node(e->s->g, *out));
done:
    return st;
}

static int32_t op1(emitter *e, const char *domain, const char *name, int32_t n, mc_value *const *in, mc_value **out)
{
    mc_node *made = NULL;
    const int32_t st = op(e, domain, name, n, in, 1, &made);
    *out = st == MCOMP_OK ? made->out[0] : NULL;
    return st;
}

/* An input of the step. */
static int32_t input(emitter *e, const char *name, int32_t dtype, int32_t *index, mc_value **out)
{
    const mc_type type = {.dtype = dtype};
    *index = (int32_t)e->s->g->n_inputs;
    return mc_graph_add_input(e->s->g, name, &type, out);
}

/* A variable of the parameter's shape: zeros, or a copy of it. */
static int32_t companion(emitter *e, int32_t param, const char *role, int32_t kind, int copy, mc_value **out)
{
    int32_t st = MCOMP_OK;
    const mc_tensor *p = &e->s->vars[param].t->t;
    const mc_type type = mc_type_of(p);
    mc_tensor *t = NULL;
    mc_str name = {0};
    MC_TRY(mc_str_appendf(&name, "%s#%s", e->s->vars[param].name, role));
    MC_TRY(mc_graph_add_input(e->s->g, name.data, &type, out));
    (*out)->flags |= MC_VALUE_VARIABLE;
    MC_TRY(mc_tensor_create(&t, p->dtype, &p->shape));
    if (copy) memcpy(t->data, p->data, (size_t)mc_tensor_bytes(p));
    st = mc_step_add_variable(e->s, name.data, kind, param, *out, t);
done:
    mc_str_free(&name);
    return st;
}

static int32_t gradients(emitter *e)
{
    int32_t st = MCOMP_OK;
    mc_step *s = e->s;
    const int64_t n = s->n_vars;
    mc_value **wrt = mc_calloc((size_t)n + 1, sizeof *wrt);
    e->param = mc_calloc((size_t)n + 1, sizeof *e->param);
    e->grad = mc_calloc((size_t)n + 1, sizeof *e->grad);
    int64_t k = 0;
    if (!wrt || !e->param || !e->grad) MC_TRY(MCOMP_NO_MEMORY);
    for (int64_t i = 0; i < n; i++) {
        if (s->vars[i].kind != MC_VAR_PARAM) continue;
        e->param[k] = (int32_t)i;
        wrt[k++] = s->vars[i].value;
    }
    MC_TRY(mc_gradient(s->g, s->loss, k, wrt, e->grad));
    if (e->u->recompute) MC_TRY(mc_recompute(s->g, s->loss, NULL, NULL));
    for (int64_t i = 0; i < k; i++) { /* the loss may not depend on some */
        if (!e->grad[i]) continue;
        e->param[e->n] = e->param[i];
        e->grad[e->n++] = e->grad[i];
    }
    if (e->n == 0) MC_FAIL(MCOMP_ARGUMENT, "loss", "the loss depends on no trained parameter");
done:
    mc_free(wrt);
    return st;
}

static int32_t accumulate(emitter *e)
{
    int32_t st = MCOMP_OK;
    for (int64_t i = 0; e->u->accumulate > 1 && i < e->n; i++) {
        mc_value *sum, *now;
        mc_node *write;
        MC_TRY(companion(e, e->param[i], "sum", MC_VAR_SUM, 0, &sum));
        MC_TRY(op1(e, "", "Add", 2, (mc_value *[]){e->grad[i], sum}, &now));
        MC_TRY(op(e, "mcomp", "Assign", 2, (mc_value *[]){sum, now}, 0, &write));
        e->grad[i] = now;
    }
done:
    return st;
}

static int32_t scalar(emitter *e, double v, mc_value **out) { return mc_graph_add_const_f32(e->s->g, NULL, (float)v, out); }

/* norm of all gradients (of the mean over accumulated batches); scale = min(1, clip / (norm + 1e-6)) / batches. */
static int32_t clip(emitter *e)
{
    int32_t st = MCOMP_OK;
    const double share = 1.0 / (double)e->u->accumulate;
    int64_t n = e->n;
    mc_value **list = mc_calloc((size_t)n + 1, sizeof *list), *c, *norm;
    if (!list) MC_TRY(MCOMP_NO_MEMORY);
    if (e->u->clip <= 0.0) {
        if (e->u->accumulate > 1) MC_TRY(scalar(e, share, &e->scale));
        goto done;
    }
    for (int64_t i = 0; i < n; i++) MC_TRY(op1(e, "mcomp", "SquareSum", 1, &e->grad[i], &list[i]));
    while (n > 1) {
        int64_t m = 0;
        for (int64_t i = 0; i < n; i += SUM_WIDTH)
            MC_TRY(op1(e, "", "Sum", (int32_t)(n - i < SUM_WIDTH ? n - i : SUM_WIDTH), list + i, &list[m++]));
        n = m;
    }
    MC_TRY(op1(e, "", "Sqrt", 1, list, &norm));
    MC_TRY(scalar(e, share, &c));
    MC_TRY(op1(e, "", "Mul", 2, (mc_value *[]){norm, c}, &norm));
    e->s->out_norm = (int32_t)e->s->g->n_outputs;
    MC_TRY(mc_graph_add_output(e->s->g, norm));
    mc_value *eps, *limit, *one;
    MC_TRY(scalar(e, 1e-6, &eps));
    MC_TRY(scalar(e, e->u->clip, &limit));
    MC_TRY(scalar(e, 1.0, &one));
    MC_TRY(op1(e, "", "Add", 2, (mc_value *[]){norm, eps}, &norm));
    MC_TRY(op1(e, "", "Div", 2, (mc_value *[]){limit, norm}, &e->scale));
    MC_TRY(op1(e, "", "Min", 2, (mc_value *[]){e->scale, one}, &e->scale));
    if (e->u->accumulate > 1) MC_TRY(op1(e, "", "Mul", 2, (mc_value *[]){e->scale, c}, &e->scale));
done:
    mc_free(list);
    return st;
}

/* apply = asked for, and the loss is finite. */
static int32_t controls(emitter *e)
{
    int32_t st = MCOMP_OK;
    mc_step *s = e->s;
    mc_value *asked, *size, *limit;
    mc_node *cast;
    MC_TRY(input(e, "mcomp.lr", MCOMP_F32, &s->in_lr, &e->lr));
    MC_TRY(input(e, "mcomp.step", MCOMP_I64, &s->in_step, &e->step));
    MC_TRY(input(e, "mcomp.apply", MCOMP_I64, &s->in_apply, &asked));
    MC_TRY(op1(e, "", "Abs", 1, &s->loss, &size));
    MC_TRY(scalar(e, (double)FLT_MAX, &limit));
    MC_TRY(op1(e, "", "LessOrEqual", 2, (mc_value *[]){size, limit}, &size));
    MC_TRY(mc_graph_add_node(s->g, "", "Cast", 0, NULL, 1, &size, 1, NULL, &cast));
    MC_TRY(mc_node_set_i(cast, "to", MCOMP_I64));
    MC_TRY(mc_infer_node(s->g, cast));
    MC_TRY(op1(e, "", "Mul", 2, (mc_value *[]){asked, cast->out[0]}, &e->apply));
done:
    return st;
}

static int decays(const emitter *e, const mc_variable *v)
{
    const char *p = e->u->no_decay;
    if (v->t->t.shape.rank < 2) return 0;
    while (p && *p) {
        const char *end = strchr(p, ',');
        const size_t n = end ? (size_t)(end - p) : strlen(p);
        char pattern[256];
        if (n < sizeof pattern) {
            memcpy(pattern, p, n);
            pattern[n] = 0;
            if (mc_glob_match(pattern, v->name)) return 0;
        }
        p = end ? end + 1 : p + n;
    }
    return 1;
}

/* Factor of the last pattern in "PATTERN=FACTOR,..." that matches. */
static int32_t lr_scale(const emitter *e, const char *name, double *out)
{
    const char *p = e->u->lr_scale;
    *out = 1.0;
    while (p && *p) {
        const size_t n = strcspn(p, ",");
        char item[300], *eq;
        if (n >= sizeof item) return mc_fail(MCOMP_ARGUMENT, "lr_scale", "a pattern of %zu letters", n);
        memcpy(item, p, n);
        item[n] = 0;
        double factor = 0.0;
        eq = strrchr(item, '=');
        if (!eq || mc_parse_f64(eq + 1, &factor) != MCOMP_OK || factor < 0.0) return mc_fail(MCOMP_ARGUMENT, "lr_scale", "\"%.100s\" is not PATTERN=FACTOR", item);
        *eq = 0;
        if (mc_glob_match(item, name)) *out = factor;
        p += n + (p[n] == ',');
    }
    return MCOMP_OK;
}

static int32_t update(emitter *e, int64_t i)
{
    int32_t st = MCOMP_OK;
    static const char *const role[] = {"momentum1", "momentum2"};
    const mc_update *u = e->u;
    const int32_t param = e->param[i];
    const int sgd = strcmp(u->optimizer->op, "Sgd") == 0;
    mc_value *in[9] = {e->s->vars[param].value, e->grad[i]}, *mask = NULL;
    mc_node *n;
    int32_t at = 2;
    double factor = 1.0;
    MC_TRY(lr_scale(e, e->s->vars[param].name, &factor));
    for (int64_t k = 0; k < e->s->n_vars; k++)
        if (e->s->vars[k].kind == MC_VAR_MASK && e->s->vars[k].of == param) mask = e->s->vars[k].value;
    if (sgd) in[at++] = e->lr;
    for (int32_t k = 0; k < u->optimizer->slots; k++, at++)
        if (!sgd || u->momentum > 0.0) MC_TRY(companion(e, param, role[k], MC_VAR_SLOT, 0, &in[at]));
    if (!sgd) {
        in[at++] = e->lr;
        in[at++] = e->step;
    }
    in[at++] = e->scale;
    in[at++] = mask;
    in[at++] = e->apply;
    MC_TRY(mc_graph_add_node(e->s->g, "mcomp", u->optimizer->op, 0, NULL, at, in, 0, NULL, &n));
    MC_TRY(mc_node_set_f(n, "weight_decay", decays(e, &e->s->vars[param]) ? (float)u->weight_decay : 0.0f));
    MC_TRY(mc_node_set_f(n, "lr_scale", (float)factor));
    if (sgd) {
        MC_TRY(mc_node_set_f(n, "momentum", (float)u->momentum));
    } else {
        MC_TRY(mc_node_set_f(n, "beta1", (float)u->beta1));
        MC_TRY(mc_node_set_f(n, "beta2", (float)u->beta2));
        MC_TRY(mc_node_set_f(n, "epsilon", (float)u->epsilon));
        MC_TRY(mc_node_set_i(n, "decoupled", u->optimizer->decoupled));
    }
    MC_TRY(mc_infer_node(e->s->g, n));
done:
    return st;
}

static int32_t averages(emitter *e)
{
    int32_t st = MCOMP_OK;
    for (int64_t i = 0; e->u->ema > 0.0 && i < e->n; i++) {
        mc_value *average;
        mc_node *n;
        MC_TRY(companion(e, e->param[i], "average", MC_VAR_AVERAGE, 1, &average));
        MC_TRY(op(e, "mcomp", "Average", 3, (mc_value *[]){average, e->s->vars[e->param[i]].value, e->apply}, 0, &n));
        MC_TRY(mc_node_set_f(n, "decay", (float)e->u->ema));
    }
done:
    return st;
}

int32_t mc_step_finish(mc_step *s, const mc_update *u)
{
    int32_t st = MCOMP_OK;
    emitter e = {.s = s, .u = u};
    MC_TRY(gradients(&e));
    while (s->g->n_outputs > 0) s->g->outputs[--s->g->n_outputs]->flags &= ~(uint32_t)MC_VALUE_OUTPUT; /* the model's are not needed */
    s->out_loss = 0;
    MC_TRY(mc_graph_add_output(s->g, s->loss));
    MC_TRY(controls(&e));
    MC_TRY(accumulate(&e));
    MC_TRY(clip(&e));
    for (int64_t i = 0; i < e.n; i++) MC_TRY(update(&e, i));
    MC_TRY(averages(&e));
    MC_TRY(mc_graph_remove_dead(s->g, NULL));
    MC_TRY(mc_infer_graph(s->g));
    for (int64_t i = 0; i < s->g->n_inputs; i++) {
        if (s->g->inputs[i] == s->key) s->in_key = (int32_t)i;
        if (strcmp(s->g->inputs[i]->name, "mcomp.target") == 0) s->in_target = (int32_t)i;
        for (int64_t k = 0; k < s->n_vars; k++)
            if (s->vars[k].value == s->g->inputs[i]) s->vars[k].input = (int32_t)i;
    }
done:
    mc_free(e.param);
    mc_free(e.grad);
    return st;
}
