/* What is in a stage's file, layer by layer, and where the time of a run goes, operator by operator. */
#include "recipe/run.h"

#include <math.h>

/* The constant behind an input of a layer; what stands between it and the layer only converts it. *zero: its zero point. */
static const mc_value *weight_of(const mc_value *v, double *zero)
{
    static const char *const between[] = {"DequantizeLinear", "Cast", "Transpose", "Reshape", "Identity"};
    *zero = 0.0;
    for (int depth = 0; v && depth < 8; depth++) {
        const mc_node *n = v->producer;
        int known = 0;
        if (v->init) return v;
        for (size_t i = 0; n && i < sizeof between / sizeof *between; i++) known |= strcmp(n->op, between[i]) == 0;
        if (!known) return NULL;
        if (n->n_in > 2 && n->in[2] && n->in[2]->init && mc_tensor_elements(n->in[2]->init) > 0) *zero = mc_tensor_get_f64(n->in[2]->init, 0);
        v = n->in[0];
    }
    return NULL;
}

static int converts(const mc_node *n)
{
    static const char *const names[] = {"DequantizeLinear", "QuantizeLinear", "Cast", "Transpose", "Reshape", "Identity"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(n->op, names[i]) == 0) return 1;
    return 0;
}

/* The pattern by which an earlier pass of the same model pruned this node. */
static const char *pattern_of(const mc_run_stage *s, const mc_node *n)
{
    for (; s; s = s->kind == &mc_stage_distill ? NULL : s->from) {
        const mc_json *sites = mc_json_get(s->facts, "zeros");
        for (int64_t i = 0; i < mc_json_size(sites); i++) {
            const char *name = mc_json_string(mc_json_get(mc_json_at(sites, i), "node"));
            if (name && strcmp(name, n->name) == 0) return mc_json_string(mc_json_get(mc_json_at(sites, i), "pattern"));
        }
    }
    return NULL;
}

static int32_t add_layer(mc_json *list, const mc_run_stage *s, const mc_node *n, const mc_value *w, double zero)
{
    int32_t st = MCOMP_OK;
    mc_json *o;
    int64_t zeros = 0;
    const int64_t all = mc_tensor_elements(w->init);
    for (int64_t i = 0; i < all; i++) zeros += mc_tensor_get_f64(w->init, i) == zero;
    MC_TRY(mc_put_new(list, NULL, 0, &o));
    MC_TRY(mc_put_text(o, "node", n->name));
    MC_TRY(mc_put_text(o, "op", n->op));
    MC_TRY(mc_json_set_int(o, "params", all));
    MC_TRY(mc_json_set_int(o, "bytes", (int64_t)mc_tensor_bytes(w->init)));
    MC_TRY(mc_put_number(o, "sparsity", all > 0 ? (double)zeros / (double)all : NAN));
    MC_TRY(mc_put_text(o, "pattern", zeros > 0 ? pattern_of(s, n) : NULL));
    st = mc_put_text(o, "dtype", mc_dtype_name(w->init->dtype));
done:
    return st;
}

int32_t mc_run_layers(mc_json *list, const mc_run *r, const mc_run_stage *s)
{
    int32_t st = MCOMP_OK;
    const mc_graph *g = s->g->g;
    (void)r;
    for (int64_t i = 0; i < g->n_order; i++) {
        const mc_node *n = g->order[i];
        if (converts(n)) continue;
        for (int32_t k = 0; k < n->n_in; k++) {
            double zero;
            const mc_value *w = weight_of(n->in[k], &zero);
            if (w && w->init->shape.rank >= 2 && w->init->dtype != MCOMP_STRING && mc_tensor_elements(w->init) > 1) MC_TRY(add_layer(list, s, n, w, zero));
        }
    }
done:
    return st;
}

/* ---- operators ---- */

#define KINDS 64
#define RUNS 20

typedef struct sums {
    char op[KINDS][64];
    int64_t count[KINDS];
    double us[KINDS];
    int n;
} sums;

static void add(sums *t, const char *op, double us)
{
    int i = 0;
    while (i < t->n && strcmp(t->op[i], op) != 0) i++;
    if (i == KINDS) return; /* the rest of a model with more kinds than that is small */
    if (i == t->n) {
        t->n++;
        strncpy(t->op[i], op, sizeof t->op[i] - 1);
    }
    t->count[i]++;
    t->us[i] += us;
}

int32_t mc_run_operators(mc_json *list, mc_run *r, const mc_run_stage *s)
{
    int32_t st = MCOMP_OK, n = 0;
    sums t = {0};
    mcomp_session *session = NULL;
    mcomp_exec *e = NULL;
    mcomp_session_options o;
    const mcomp_tensor *in[MC_OP_MAX_IO], *out[MC_OP_MAX_IO];
    const int32_t n_in = (int32_t)s->g->g->n_inputs, n_out = (int32_t)s->g->g->n_outputs;
    if (n_in > MC_OP_MAX_IO || n_out > MC_OP_MAX_IO) return MCOMP_OK;
    MC_TRY(mcomp_session_options_init(&o, sizeof o));
    o.profile = 1;
    MC_TRY(mcomp_session_create(&session, r->ctx, s->g, &o));
    MC_TRY(mcomp_exec_create(&e, session));
    MC_TRY(mcomp_dataset_get(s->data->eval, 0, n_in, in, NULL));
    for (int i = 0; i < RUNS; i++) MC_TRY(mcomp_exec_run(e, n_in, in, n_out, out));
    MC_TRY(mcomp_exec_kernel_count(e, &n));
    for (int32_t i = 0; i < n; i++) {
        mcomp_kernel_info k = {.size = sizeof k};
        MC_TRY(mcomp_exec_kernel(e, i, &k));
        add(&t, k.op, k.time_us);
    }
    for (int i = 0; i < t.n; i++) {
        mc_json *row;
        MC_TRY(mc_put_new(list, NULL, 0, &row));
        MC_TRY(mc_put_text(row, "op", t.op[i]));
        MC_TRY(mc_json_set_int(row, "count", t.count[i]));
        MC_TRY(mc_put_number(row, "us", t.us[i]));
    }
done:
    mcomp_exec_destroy(e);
    mcomp_session_destroy(session);
    return st;
}
