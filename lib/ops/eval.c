/* Runs one operator on concrete tensors: types are inferred from the tensors, outputs created, the reference run. */
#include "ops/internal.h"

static int32_t prepare(const mc_node *n, int32_t n_in, const mc_tensor *const *in, mc_infer *c, mc_type *types)
{
    const mc_op *d = n->desc;
    if (!d || !d->forward)
        return mc_fail(MCOMP_UNSUPPORTED, n->name, "operator %s%s%s cannot be run by the reference", n->domain, n->domain[0] ? "." : "",
                       n->op);
    if (n_in > MC_OP_MAX_IO || n->n_out > MC_OP_MAX_IO)
        return mc_fail(MCOMP_LIMIT, n->name, "%s has more than %d inputs or outputs", n->op, MC_OP_MAX_IO);
    const int32_t st = mc_check_arity(n, n_in);
    if (st != MCOMP_OK) return st;
    c->node = n;
    c->n_in = n_in;
    c->n_out = n->n_out;
    for (int32_t i = 0; i < n_in; i++) {
        if (!in[i] && i < d->min_in) return mc_fail(MCOMP_FORMAT, n->name, "%s: input %d must not be omitted", n->op, i);
        if (!in[i]) continue;
        types[i] = mc_type_of(in[i]);
        c->in[i] = &types[i];
        c->cst[i] = in[i];
    }
    for (int32_t k = 0; k < n->n_out; k++) c->out[k].rank = -1;
    return MCOMP_OK;
}

static int32_t create(const mc_node *n, const mc_type *t, uint64_t max_bytes, mc_tensor **out)
{
    int32_t st;
    mc_shape s;
    uint64_t bytes;
    if (!mc_type_known(t)) return mc_fail(MCOMP_UNSUPPORTED, n->name, "%s: the type of the result cannot be told from these inputs", n->op);
    if (t->dtype == MCOMP_STRING) return mc_fail(MCOMP_UNSUPPORTED, n->name, "%s on strings cannot be run", n->op);
    MC_TRY(mc_type_shape(t, &s));
    MC_TRY(mc_size_bytes(t->dtype, &s, &bytes));
    if (bytes > max_bytes)
        MC_FAIL(MCOMP_LIMIT, n->name, "%s would make a tensor of %llu bytes; at most %llu are allowed", n->op, (unsigned long long)bytes,
                (unsigned long long)max_bytes);
    st = mc_tensor_create(out, t->dtype, &s);
done:
    return st;
}

int32_t mc_op_eval_limit(const mc_node *n, int32_t n_in, const mc_tensor *const *in, uint64_t max_bytes, mc_tensor **out)
{
    int32_t st = MCOMP_OK, wanted = 0;
    struct {
        mc_infer c;
        mc_op_run r;
        mc_type types[MC_OP_MAX_IO];
    } *w = NULL;
    for (int32_t k = 0; k < n->n_out; k++) out[k] = NULL;
    w = mc_calloc(1, sizeof *w);
    if (!w) return MCOMP_NO_MEMORY;
    MC_TRY(prepare(n, n_in, in, &w->c, w->types));
    MC_TRY(n->desc->infer(&w->c));
    w->r.node = n;
    w->r.n_in = n_in;
    w->r.n_out = n->n_out;
    for (int32_t i = 0; i < n_in; i++) w->r.in[i] = in[i];
    for (int32_t k = 0; k < n->n_out; k++) {
        if (!n->out[k]) continue;
        MC_TRY(create(n, &w->c.out[k], max_bytes, &out[k]));
        w->r.out[k] = out[k];
        wanted = 1;
    }
    if (wanted) st = n->desc->forward(&w->r);
done:
    for (int32_t k = 0; st != MCOMP_OK && k < n->n_out; k++) {
        mc_tensor_destroy(out[k]);
        out[k] = NULL;
    }
    mc_free(w);
    return st;
}

int32_t mc_op_eval(const mc_node *n, int32_t n_in, const mc_tensor *const *in, mc_tensor **out)
{
    return mc_op_eval_limit(n, n_in, in, (uint64_t)16 << 30, out);
}
