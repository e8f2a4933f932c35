/* mcomp.MoveGrad: the adjoint of an operator that only moves elements (Slice, Pad, Tile, Gather, GatherElements, GatherND,
 * Trilu ...; attribute `of`, with that operator's own attributes). Inputs: dY, X (only its shape is used), then the forward
 * node's inputs from 1 on. The forward operator is run on the numbers 1..n of X's elements; dX[number] += dY. A 0 is what it
 * filled in. Sums in double, in the order of dY. */
#include "ops/grad.h"
#include "ops/internal.h"

static int32_t infer(mc_infer *c)
{
    int32_t st = MCOMP_OK;
    MC_TRY(mc_infer_check(c, 0, MC_CLASS_FLOAT));
    c->out[0] = *c->in[1];
    c->out[0].dtype = c->in[0]->dtype;
done:
    return st;
}

static int32_t numbers(const mc_op_run *r, const mc_op *of, mc_tensor *index, mc_tensor *moved)
{
    mc_op_run f = {.node = r->node, .n_in = r->n_in - 1, .n_out = 1, .in = {index}, .out = {moved}};
    const int64_t n = mc_tensor_elements(index);
    for (int64_t i = 0; i < n; i++) ((int64_t *)index->data)[i] = i + 1;
    for (int32_t i = 1; i < f.n_in; i++) f.in[i] = r->in[i + 1];
    if (strcmp(of->name, "Pad") == 0) f.in[2] = NULL; /* filled with zeros */
    return of->forward(&f);
}

static int32_t forward(const mc_op_run *r)
{
    const mc_op *of = mc_op_find("", mc_attr_s(r->node, "of", ""));
    const mc_tensor *dy = r->in[0];
    const int64_t n = mc_tensor_elements(r->out[0]), m = mc_tensor_elements(dy);
    mc_tensor *index = NULL, *moved = NULL;
    double *acc = NULL;
    int32_t st = MCOMP_OK;
    if (!of || !of->forward) return mc_op_fail(r, MCOMP_FORMAT, "unknown operator \"%s\"", mc_attr_s(r->node, "of", ""));
    MC_TRY(mc_run_expect(r, 0, &r->in[1]->shape));
    MC_TRY(mc_tensor_create(&index, MCOMP_I64, &r->in[1]->shape));
    MC_TRY(mc_tensor_create(&moved, MCOMP_I64, &dy->shape));
    MC_TRY(numbers(r, of, index, moved));
    acc = mc_calloc((size_t)n + 1, sizeof *acc);
    if (!acc) MC_TRY(MCOMP_NO_MEMORY);
    for (int64_t i = 0; i < m; i++) acc[((const int64_t *)moved->data)[i]] += mc_tensor_get_f64(dy, i);
    for (int64_t i = 0; i < n; i++) mc_tensor_set_f64(r->out[0], i, acc[i + 1]);
done:
    mc_free(acc);
    mc_tensor_destroy(index);
    mc_tensor_destroy(moved);
    return st;
}

int32_t mc_grad_move(mc_op_grad *c)
{
    mc_value *in[MC_OP_MAX_IO] = {c->dy[0], c->x[0]};
    if (!mc_grad_wants(c, 0)) return c->status;
    if (c->n_in + 1 > MC_OP_MAX_IO) return mc_grad_fail(c, MCOMP_NO_GRADIENT, "%d inputs", c->n_in);
    for (int32_t i = 1; i < c->n_in; i++) in[i + 1] = c->x[i];
    mc_node *n = mc_grad_begin(c, "mcomp.MoveGrad", c->n_in + 1, in, 1);
    if (!n) return c->status;
    c->status = mc_node_copy_attrs(n, c->node);
    if (c->status == MCOMP_OK) c->status = mc_node_set_s(n, "of", c->node->op);
    c->dx[0] = mc_grad_end(c, n);
    return c->status;
}

const mc_op mc_op_mcomp_MoveGrad = {.name = "MoveGrad", .domain = "mcomp", .version = 1, .since = 1, .min_in = 2, .max_in = 6,
                                    .min_out = 1, .max_out = 1, .quant = MC_Q_NONE, .infer = infer, .forward = forward,
                                    .shape_only = 2};
