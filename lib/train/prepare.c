/* The forward graph of a step: parameters and running moments become variables, Dropout draws from the step's key,
 * BatchNormalization uses the batch's moments; then the exact and the fusing passes, before any gradient is taken. */
#include "train/train.h"

#include <math.h>
#include <stdio.h>

void mc_step_free(mc_step *s)
{
    for (int64_t i = 0; i < s->n_vars; i++) {
        mc_free(s->vars[i].name);
        mcomp_tensor_destroy(s->vars[i].t);
    }
    mc_free(s->vars);
    mc_graph_destroy(s->g);
    *s = (mc_step){0};
}

int32_t mc_step_add_variable(mc_step *s, const char *name, int32_t kind, int32_t of, mc_value *v, mc_tensor *t)
{
    int32_t st = mc_grow(&s->vars, &s->cap_vars, s->n_vars + 1, sizeof *s->vars);
    mc_variable *x = st == MCOMP_OK ? &s->vars[s->n_vars] : NULL;
    if (x) *x = (mc_variable){.name = mc_strdup(name), .kind = kind, .of = of < 0 ? (int32_t)s->n_vars : of, .value = v, .t = (mcomp_tensor *)t};
    if (!x || !x->name) {
        mc_tensor_destroy(t);
        return st != MCOMP_OK ? st : MCOMP_NO_MEMORY;
    }
    s->n_vars++;
    return MCOMP_OK;
}

/* ---- which constants are parameters ---- */

static int in_list(const char *op, const char *const *list)
{
    for (; *list; list++)
        if (strcmp(op, *list) == 0) return 1;
    return 0;
}

/* A mask of attention is added like a bias, but nobody trains minus infinity. */
static int has_huge(const mc_tensor *t)
{
    const int64_t n = mc_tensor_elements(t);
    for (int64_t i = 0; i < n; i++)
        if (!(fabs(mc_tensor_get_f64(t, i)) < 1e4)) return 1;
    return 0;
}

static int trains_through(const mc_value *v, const mc_tensor *t, int32_t depth);

static int trains_at(const mc_node *n, int32_t i, const mc_tensor *t, int32_t depth)
{
    static const char *const weighted[] = {"Conv", "ConvTranspose", "Gemm", NULL};
    static const char *const norms[] = {"LayerNormalization", "RMSNormalization", "InstanceNormalization", "GroupNormalization", "BatchNormalization", NULL};
    static const char *const cells[] = {"LSTM", "GRU", "RNN", NULL};
    static const char *const any[] = {"MatMul", "Einsum", NULL};
    static const char *const moves[] = {"Transpose", "Reshape", "Unsqueeze", "Squeeze", "Identity", "Cast", "Slice", "Split", "Concat", "Expand", NULL};
    if (n->domain[0]) return 0;
    if (in_list(n->op, weighted) || in_list(n->op, norms)) return i == 1 || i == 2;
    if (in_list(n->op, cells)) return i == 1 || i == 2 || i == 3 || i == 7;
    if (in_list(n->op, any)) return 1;
    if (strcmp(n->op, "Gather") == 0) return i == 0 && t->shape.rank >= 2;
    if (strcmp(n->op, "PRelu") == 0) return i == 1;
    if (strcmp(n->op, "Add") == 0 || strcmp(n->op, "Mul") == 0) return mc_tensor_elements(t) > 1 && !has_huge(t);
    if (in_list(n->op, moves) && depth < 8 && n->n_out > 0 && n->out[0]) return i == 0 && trains_through(n->out[0], t, depth + 1);
    return 0;
}

static int trains_through(const mc_value *v, const mc_tensor *t, int32_t depth)
{
    for (int64_t u = 0; u < v->n_uses; u++)
        if (v->uses[u].index < v->uses[u].node->n_in && trains_at(v->uses[u].node, v->uses[u].index, t, depth)) return 1;
    return 0;
}

static int is_frozen(const char *name, const char *const *patterns)
{
    for (; patterns && *patterns; patterns++)
        if (mc_glob_match(*patterns, name)) return 1;
    return 0;
}

/* ---- rewriting ---- */

static int32_t variable_of(mc_step *s, mc_value *v, int32_t kind)
{
    int32_t st = MCOMP_OK;
    mc_tensor *shared = NULL, *own = NULL;
    MC_TRY(mc_tensor_copy(&own, v->init));
    MC_TRY(mc_value_make_variable(s->g, v, &shared));
    mc_tensor_destroy(shared);
    st = mc_step_add_variable(s, v->name, kind, -1, v, own);
    own = NULL;
done:
    mc_tensor_destroy(own);
    return st;
}

/* A mark decides, else what reads the value. */
static int trains(const mc_value *v, const mc_mark *marks, int64_t n_marks)
{
    for (int64_t i = 0; i < n_marks; i++)
        if (strcmp(marks[i].name, v->name) == 0) return marks[i].trained;
    return trains_through(v, v->init, 0);
}

static int32_t parameters(mc_step *s, const char *const *frozen, const mc_mark *marks, int64_t n_marks)
{
    int32_t st = MCOMP_OK;
    const int64_t n = s->g->n_values;
    for (const char *const *p = frozen; p && *p; p++) { /* a pattern that matches nothing is a mistake */
        int hit = 0;
        for (int64_t i = 0; i < n && !hit; i++) hit = !s->g->values[i]->dead && s->g->values[i]->init && mc_glob_match(*p, s->g->values[i]->name);
        if (!hit) MC_FAIL(MCOMP_ARGUMENT, "freeze", "no parameter matches \"%.100s\"", *p);
    }
    for (int64_t i = 0; i < n; i++) {
        mc_value *v = s->g->values[i];
        if (v->dead || !v->init || v->init->dtype != MCOMP_F32 || is_frozen(v->name, frozen) || !trains(v, marks, n_marks)) continue;
        MC_TRY(variable_of(s, v, MC_VAR_PARAM));
        s->parameters += mc_tensor_elements(&s->vars[s->n_vars - 1].t->t);
    }
    if (s->parameters == 0) {
        (void)mc_fail(MCOMP_ARGUMENT, "freeze", "nothing is left to train");
        st = mc_fail_hint(frozen && *frozen ? "freeze fewer parameters" : "the model has no float32 weights");
    }
done:
    return st;
}

static int32_t key_of(mc_step *s, mc_value **key)
{
    const mc_type type = {.dtype = MCOMP_I64, .rank = 1, .dim = {2}};
    if (s->key) {
        *key = s->key;
        return MCOMP_OK;
    }
    const int32_t st = mc_graph_add_input(s->g, "mcomp.key", &type, &s->key);
    *key = s->key;
    return st;
}

static int32_t dropout(mc_step *s, mc_node *n, int64_t stream)
{
    int32_t st = MCOMP_OK;
    double ratio = 0.5;
    mc_value *key;
    mc_node *made;
    if (n->n_in > 1 && n->in[1] && !mc_value_scalar(n->in[1], &ratio)) MC_FAIL(MCOMP_UNSUPPORTED, n->name, "Dropout's ratio must be a constant to train it");
    if (n->n_out > 1 && n->out[1] && n->out[1]->n_uses > 0) MC_FAIL(MCOMP_UNSUPPORTED, n->name, "a Dropout whose mask is used cannot be trained");
    if (ratio <= 0.0) {
        MC_TRY(mc_graph_replace_uses(s->g, n->out[0], n->in[0]));
        goto done;
    }
    MC_TRY(key_of(s, &key));
    MC_TRY(mc_graph_add_node(s->g, "mcomp", "Dropout", 0, NULL, 2, (mc_value *[]){n->in[0], key}, 1, NULL, &made));
    MC_TRY(mc_node_set_f(made, "ratio", (float)ratio));
    MC_TRY(mc_node_set_i(made, "stream", stream));
    MC_TRY(mc_node_inherit(made, n, "train"));
    MC_TRY(mc_graph_replace_uses(s->g, n->out[0], made->out[0]));
done:
    return st;
}

/* The batch's moments normalise; the running ones are written after everything has read them. A frozen layer keeps its own. */
static int32_t batch_norm(mc_step *s, mc_node *n)
{
    int32_t st = MCOMP_OK;
    mc_node *made, *write;
    if (mc_attr_i(n, "training_mode", 0) != 0 || n->n_in < 5) return MCOMP_OK;
    if (!(n->in[1]->flags & MC_VALUE_VARIABLE) && !(n->in[2]->flags & MC_VALUE_VARIABLE)) return MCOMP_OK;
    for (int32_t i = 3; i < 5; i++)
        if (n->in[i]->init) MC_TRY(variable_of(s, n->in[i], MC_VAR_STAT));
    MC_TRY(mc_graph_add_node(s->g, "", "BatchNormalization", n->version, NULL, 5, n->in, 3, NULL, &made));
    MC_TRY(mc_node_copy_attrs(made, n));
    MC_TRY(mc_node_set_i(made, "training_mode", 1));
    MC_TRY(mc_node_inherit(made, n, "train"));
    MC_TRY(mc_graph_replace_uses(s->g, n->out[0], made->out[0]));
    for (int32_t i = 1; i < 3; i++)
        MC_TRY(mc_graph_add_node(s->g, "mcomp", "Assign", 0, NULL, 2, (mc_value *[]){n->in[i + 2], made->out[i]}, 0, NULL, &write));
done:
    return st;
}

static int32_t training_forms(mc_step *s)
{
    int32_t st = MCOMP_OK;
    const int64_t n = s->g->n_nodes;
    int64_t stream = 0;
    for (int64_t i = 0; i < n; i++) {
        mc_node *x = s->g->nodes[i];
        if (x->dead) continue;
        if (mc_node_is(x, "Dropout")) MC_TRY(dropout(s, x, stream++));
        else if (mc_node_is(x, "BatchNormalization")) MC_TRY(batch_norm(s, x));
        else continue;
        if (x->out[0]->n_uses == 0 && !(x->out[0]->flags & MC_VALUE_OUTPUT)) mc_graph_remove_node(s->g, x);
    }
done:
    return st;
}

int32_t mc_step_prepare(mc_step *s, const mc_graph *model, const char *const *frozen, const mc_mark *marks, int64_t n_marks)
{
    int32_t st = MCOMP_OK;
    const mc_pass_options po = {.isa = (int32_t)mc_cpu_isa(), .training = 1};
    s->in_target = s->in_lr = s->in_step = s->in_key = s->in_apply = s->out_loss = s->out_norm = -1;
    MC_TRY(mc_graph_clone(&s->g, model));
    MC_TRY(mc_graph_sort(s->g));
    MC_TRY(mc_infer_graph(s->g));
    s->n_model_inputs = s->g->n_inputs;
    MC_TRY(parameters(s, frozen, marks, n_marks));
    MC_TRY(training_forms(s));
    MC_TRY(mc_graph_remove_dead(s->g, NULL));
    MC_TRY(mc_infer_graph(s->g));
    MC_TRY(mc_passes_run(s->g, MC_STAGE_LOAD | MC_STAGE_SHAPE | MC_STAGE_FUSE, &po));
    MC_TRY(mc_passes_run(s->g, MC_STAGE_TRAIN, &po));
done:
    return st;
}
