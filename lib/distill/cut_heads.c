/* Fewer attention heads: of each head the columns of the query, key and value products and the rows of the output product go together. A
 * head's importance is that of its rows and columns there: the sum of their squares, each matrix counting alike. */
#include "distill/cut.h"

/* The shape that a Reshape is given becomes a new constant with one entry changed; entries that are found at run time stay. */
static int32_t reshape_to(mc_graph *g, mc_node *n, int64_t at, int64_t was, int64_t now)
{
    int32_t st = MCOMP_OK;
    const mc_tensor *old = mc_value_const(n->in[1]);
    int64_t dim[MC_MAX_RANK];
    mc_value *shape;
    if (!old || mc_tensor_elements(old) <= at || mc_tensor_elements(old) > MC_MAX_RANK) {
        (void)mc_fail(MCOMP_UNSUPPORTED, n->name, "the shape of a head is computed at run time");
        return mc_fail_hint("keep the number of heads");
    }
    const int64_t rank = mc_tensor_elements(old);
    for (int64_t i = 0; i < rank; i++) dim[i] = mc_tensor_get_i64(old, i);
    if (dim[at] == -1) return MCOMP_OK;
    if (dim[at] != was) return mc_fail(MCOMP_UNSUPPORTED, n->name, "the shape of a head is %lld where %lld was expected", (long long)dim[at], (long long)was);
    dim[at] = now;
    MC_TRY(mc_graph_add_const_i64s(g, NULL, dim, rank, &shape));
    st = mc_node_set_input(g, n, 1, shape);
done:
    return st;
}

static int32_t reshapes_of(mc_graph *g, const mc_layer *l, const mc_value *x, int64_t count)
{
    int32_t st = MCOMP_OK;
    for (int64_t u = 0; u < x->n_uses; u++)
        if (!x->uses[u].node->dead && mc_node_is(x->uses[u].node, "Reshape")) MC_TRY(reshape_to(g, x->uses[u].node, 2, l->heads, count));
done:
    return st;
}

static int32_t follow(mc_axis *a, mc_graph *g, mc_value *x, int from_here)
{
    mc_value *stop[8];
    int32_t n = 0;
    if (!from_here) stop[n++] = x; /* the context: the Reshape that makes it is not passed */
    for (int64_t u = 0; from_here && u < x->n_uses && n < 8; u++)
        if (mc_node_is(x->uses[u].node, "Reshape")) stop[n++] = x->uses[u].node->out[0];
    return mc_axis_follow(a, g, x, stop, n);
}

int32_t mc_cut_heads(mc_graph *g, const mc_layer *l, int64_t count)
{
    int32_t st = MCOMP_OK;
    mc_value *const ends[4] = {l->q, l->k, l->v, l->context};
    mc_axis axis[4] = {{0}};
    const int64_t width = l->heads * l->width;
    double *score = mc_calloc((size_t)width, sizeof *score), *head = mc_calloc((size_t)l->heads, sizeof *head);
    int64_t *keep = mc_calloc((size_t)width, sizeof *keep), *kept = mc_calloc((size_t)l->heads, sizeof *kept);
    if (!score || !head || !keep || !kept) MC_TRY(MCOMP_NO_MEMORY);
    for (int i = 0; i < 4; i++) {
        MC_TRY(follow(&axis[i], g, ends[i], i < 3));
        if (axis[i].size != width) MC_FAIL(MCOMP_UNSUPPORTED, ends[i]->name, "queries, keys and values have different widths");
        MC_TRY(mc_axis_scores(&axis[i], score));
    }
    for (int64_t i = 0; i < width; i++) head[i / l->width] += score[i];
    MC_TRY(mc_best_of(head, l->heads, count, kept));
    for (int64_t i = 0; i < count * l->width; i++) keep[i] = kept[i / l->width] * l->width + i % l->width;
    for (int i = 0; i < 4; i++) MC_TRY(mc_axis_take(&axis[i], keep, count * l->width));
    for (int i = 0; i < 3; i++) MC_TRY(reshapes_of(g, l, ends[i], count));
    MC_TRY(reshape_to(g, l->context->producer, 2, width, count * l->width));
done:
    for (int i = 0; i < 4; i++) mc_axis_free(&axis[i]);
    mc_free(score);
    mc_free(head);
    mc_free(keep);
    mc_free(kept);
    return st;
}
