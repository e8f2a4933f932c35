/* Control flow: a subgraph becomes a graph of its own, whose inputs are its formal inputs and then the outer values it captures, and
 * runs as a nested session with plans, kernels and memory like any other. */
#include "runtime/control.h"

#include <stdio.h>

/* Type of an outer value in the subgraph's terms: equal outer symbols stay equal. */
static int32_t carry_type(mc_graph *g, const mc_type *outer, mc_type *out)
{
    int32_t st = MCOMP_OK;
    char name[40];
    *out = *outer;
    for (int32_t k = 0; k < out->rank; k++) {
        if (out->dim[k] >= 0) continue;
        snprintf(name, sizeof name, "^%lld", -(long long)out->dim[k]);
        MC_TRY(mc_graph_symbol(g, name, &out->dim[k]));
    }
done:
    return st;
}

static int32_t standalone(mc_graph **out, const mc_graph *sub, const mc_node *owner, const mc_graph *outer)
{
    int32_t st = MCOMP_OK;
    mc_graph *g = NULL;
    *out = NULL;
    MC_TRY(mc_graph_clone(&g, sub));
    MC_TRY(mc_grow(&g->inputs, &g->cap_inputs, g->n_inputs + owner->n_cap, sizeof *g->inputs));
    for (int32_t c = 0; c < owner->n_cap; c++) {
        const mc_value *from = owner->in[owner->n_in + c];
        mc_value *v = NULL;
        for (int64_t i = 0; i < g->n_values; i++)
            if (!g->values[i]->dead && g->values[i]->capture == c) v = g->values[i];
        if (!v) MC_TRY(mc_graph_add_value(g, from->name, NULL, &v)); /* captured by the other branch only */
        v->capture = -1;
        MC_TRY(carry_type(g, &outer->values[from->id]->type, &v->type));
        v->flags |= MC_VALUE_INPUT;
        g->inputs[g->n_inputs++] = v;
    }
    *out = g;
    return MCOMP_OK;
done:
    mc_graph_destroy(g);
    return st;
}

static int32_t open_one(mcomp_session **out, const mcomp_session *s, const mc_node *n, const char *attr, const mc_graph *outer)
{
    int32_t st = MCOMP_OK;
    mc_graph *g = NULL;
    const mc_attr *a = mc_node_attr(n, attr);
    if (!a || !a->graph) MC_FAIL(MCOMP_FORMAT, n->name, "%s has no %s", n->op, attr);
    MC_TRY(standalone(&g, a->graph, n, outer));
    MC_TRY(mc_session_nested(out, s, g));
done:
    mc_graph_destroy(g);
    return st;
}

int32_t mc_control_open(mcomp_session *s, const mc_node *n, const mc_graph *outer, mcomp_session *sub[2])
{
    int32_t st = MCOMP_OK;
    if (mc_node_is(n, "Loop")) {
        MC_TRY(open_one(&sub[0], s, n, "body", outer));
        const int64_t formal = sub[0]->g->n_inputs - n->n_cap, carried = formal - 2;
        if (n->n_in < 2 || carried != n->n_in - 2 || sub[0]->g->n_outputs < 1 + carried || sub[0]->g->n_outputs - 1 < n->n_out)
            MC_FAIL(MCOMP_FORMAT, n->name, "the body of Loop has %lld inputs and %lld outputs; the node has %d inputs and %d outputs", (long long)formal,
                    (long long)sub[0]->g->n_outputs, n->n_in, n->n_out);
        goto done;
    }
    if (n->n_in < 1 || !n->in[0]) MC_FAIL(MCOMP_FORMAT, n->name, "If has no condition");
    MC_TRY(open_one(&sub[0], s, n, "then_branch", outer));
    MC_TRY(open_one(&sub[1], s, n, "else_branch", outer));
    for (int i = 0; i < 2; i++)
        if (sub[i]->g->n_outputs != n->n_out) MC_FAIL(MCOMP_FORMAT, n->name, "a branch of If has %lld outputs, the node %d", (long long)sub[i]->g->n_outputs, n->n_out);
done:
    return st;
}

/* ---- running ---- */

static int32_t truth(const mc_node *n, const mc_tensor *t, int *out)
{
    if (mc_tensor_elements(t) != 1) return mc_fail(MCOMP_SHAPE, n->name, "the condition of %s has more than one element", n->op);
    *out = mc_tensor_get_i64(t, 0) != 0;
    return MCOMP_OK;
}

static int32_t run_if(const mc_node *n, mcomp_session *const sub[2], mcomp_exec *exec[2], const mc_tensor *const *in, mc_tensor **out)
{
    int32_t st = MCOMP_OK;
    int yes = 0;
    mcomp_tensor *t = mc_calloc((size_t)n->n_cap + 1, sizeof *t);
    const mcomp_tensor **ins = mc_calloc((size_t)n->n_cap + 1, sizeof *ins), **outs = mc_calloc((size_t)n->n_out + 1, sizeof *outs);
    if (!t || !ins || !outs) MC_FAIL(MCOMP_NO_MEMORY, n->name, "no memory for a branch");
    MC_TRY(truth(n, in[0], &yes));
    const int take = yes ? 0 : 1;
    if (!exec[take]) MC_TRY(mcomp_exec_create(&exec[take], sub[take]));
    for (int32_t k = 0; k < n->n_cap; k++) {
        t[k].t = *in[n->n_in + k];
        ins[k] = &t[k];
    }
    MC_TRY(mcomp_exec_run(exec[take], n->n_cap, ins, n->n_out, outs));
    for (int32_t k = 0; k < n->n_out; k++) MC_TRY(mc_tensor_share(&out[k], &outs[k]->t));
done:
    mc_free(t);
    mc_free(ins);
    mc_free(outs);
    return st;
}

typedef struct scan { /* one scan output: rows of equal size collected over the iterations */
    uint8_t *data;
    uint64_t bytes;
    int64_t cap, rows;
    int32_t dtype, reserved;
    mc_shape row;
} scan;

static int32_t collect(const mc_node *n, scan *s, const mc_tensor *t, uint64_t max_bytes)
{
    int32_t st = MCOMP_OK;
    const uint64_t bytes = mc_tensor_bytes(t);
    if (t->dtype == MCOMP_STRING || mc_dtype_bits(t->dtype) % 8 != 0 || t->shape.rank >= MC_MAX_RANK)
        return mc_fail(MCOMP_UNSUPPORTED, n->name, "Loop cannot collect %s tensors of rank %d", mc_dtype_name(t->dtype), t->shape.rank);
    if (s->rows == 0) {
        s->dtype = t->dtype;
        s->row = t->shape;
    }
    if (s->dtype != t->dtype || !mc_shape_equal(&s->row, &t->shape)) return mc_fail(MCOMP_SHAPE, n->name, "a scan output of Loop changed its shape");
    if (s->bytes + bytes > max_bytes) return mc_fail(MCOMP_LIMIT, n->name, "a scan output of Loop has more than %llu bytes", (unsigned long long)max_bytes);
    MC_TRY(mc_grow(&s->data, &s->cap, (int64_t)(s->bytes + bytes), 1));
    if (bytes) memcpy(s->data + s->bytes, t->data, (size_t)bytes);
    s->bytes += bytes;
    s->rows++;
done:
    return st;
}

static int32_t stacked(mc_tensor **out, const scan *s, const mc_type *declared)
{
    mc_shape shape = {.rank = s->row.rank + 1};
    int32_t dtype = s->dtype;
    shape.dim[0] = s->rows;
    for (int32_t k = 0; k < s->row.rank; k++) shape.dim[k + 1] = s->row.dim[k];
    if (s->rows == 0) { /* no iteration: what the body declares, free dims empty */
        dtype = declared->dtype;
        shape.rank = declared->rank >= 0 && declared->rank < MC_MAX_RANK ? declared->rank + 1 : 1;
        for (int32_t k = 1; k < shape.rank; k++) shape.dim[k] = declared->dim[k - 1] > 0 ? declared->dim[k - 1] : 0;
    }
    const int32_t st = mc_tensor_create(out, dtype, &shape);
    if (st == MCOMP_OK && s->bytes) memcpy((*out)->data, s->data, (size_t)s->bytes);
    return st;
}

typedef struct loop { /* tensors of one run of a Loop */
    int32_t n_in, carried, n_out;
    int64_t i;
    uint8_t go;
    mcomp_tensor *t;             /* by input of the body */
    const mcomp_tensor **in, **out;
    scan *scans;
} loop;

static int32_t iterate(const mc_node *n, mcomp_exec *e, loop *l, int64_t trip, uint64_t max_bytes, mcomp_context *ctx)
{
    int32_t st = MCOMP_OK;
    int yes = l->go;
    for (; l->i < trip && yes; l->i++) {
        MC_TRY(mc_context_poll(ctx));
        l->go = 1;
        MC_TRY(mcomp_exec_run(e, l->n_in, l->in, l->n_out, l->out));
        MC_TRY(truth(n, &l->out[0]->t, &yes));
        for (int32_t k = 0; k < l->carried; k++) l->in[2 + k] = l->out[1 + k]; /* the exec copies what it is fed back */
        for (int32_t k = 1 + l->carried; k < l->n_out; k++) MC_TRY(collect(n, &l->scans[k - 1 - l->carried], &l->out[k]->t, max_bytes));
    }
done:
    return st;
}

static int32_t run_loop(const mc_node *n, mcomp_session *s, mcomp_exec **e, const mc_tensor *const *in, mc_tensor **out)
{
    int32_t st = MCOMP_OK;
    int yes = 1;
    loop l = {.n_in = (int32_t)s->g->n_inputs, .carried = n->n_in - 2, .n_out = (int32_t)s->g->n_outputs};
    const int32_t n_scans = l.n_out - 1 - l.carried;
    l.t = mc_calloc((size_t)l.n_in + 1, sizeof *l.t);
    l.in = mc_calloc((size_t)l.n_in + 1, sizeof *l.in);
    l.out = mc_calloc((size_t)l.n_out + 1, sizeof *l.out);
    l.scans = mc_calloc((size_t)n_scans + 1, sizeof *l.scans);
    if (!l.t || !l.in || !l.out || !l.scans) MC_FAIL(MCOMP_NO_MEMORY, n->name, "no memory for a loop");
    const int64_t trip = in[0] ? mc_tensor_get_i64(in[0], 0) : INT64_MAX;
    if (in[1]) MC_TRY(truth(n, in[1], &yes));
    l.go = (uint8_t)yes;
    l.t[0].t = (mc_tensor){.dtype = MCOMP_I64, .data = &l.i, .shape = {.rank = s->g->inputs[0]->type.rank == 1 ? 1 : 0, .dim = {1}}};
    l.t[1].t = (mc_tensor){.dtype = MCOMP_BOOL, .data = &l.go, .shape = {.rank = s->g->inputs[1]->type.rank == 1 ? 1 : 0, .dim = {1}}};
    for (int32_t k = 2; k < l.n_in; k++) {
        if (!in[k]) MC_FAIL(MCOMP_FORMAT, n->name, "Loop: input %d is missing", k);
        l.t[k].t = *in[k];
    }
    for (int32_t k = 0; k < l.n_in; k++) l.in[k] = &l.t[k];
    if (!*e) MC_TRY(mcomp_exec_create(e, s));
    MC_TRY(iterate(n, *e, &l, trip, s->ctx->options.max_tensor_bytes, s->ctx));
    for (int32_t k = 0; k < n->n_out; k++) {
        if (!n->out[k]) continue;
        if (k >= l.carried) MC_TRY(stacked(&out[k], &l.scans[k - l.carried], &s->g->outputs[1 + k]->type));
        else if (l.i == 0) MC_TRY(mc_tensor_copy(&out[k], in[2 + k]));
        else MC_TRY(mc_tensor_share(&out[k], &l.out[1 + k]->t));
    }
done:
    for (int32_t k = 0; l.scans && k < n_scans; k++) mc_free(l.scans[k].data);
    mc_free(l.t);
    mc_free(l.in);
    mc_free(l.out);
    mc_free(l.scans);
    return st;
}

int32_t mc_control_run(const mc_node *n, mcomp_session *const sub[2], mcomp_exec *exec[2], const mc_tensor *const *in, mc_tensor **out)
{
    return mc_node_is(n, "Loop") ? run_loop(n, sub[0], &exec[0], in, out) : run_if(n, sub, exec, in, out);
}
