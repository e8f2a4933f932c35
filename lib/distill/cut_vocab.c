/* Fewer tokens: half of a small encoder is its embedding table, and most of its rows are never asked for by the texts at hand. */
#include "distill/cut.h"

/* The table that ids of texts go into: the largest one behind a Gather of an integer input. */
static mc_node *find_table(const mc_graph *g, int64_t *input)
{
    mc_node *best = NULL;
    for (int64_t i = 0; i < g->n_nodes; i++) {
        mc_node *n = g->nodes[i];
        if (n->dead || !mc_node_is(n, "Gather") || !n->in[0]->init || n->in[0]->init->shape.rank != 2 || mc_attr_i(n, "axis", 0) != 0) continue;
        const mc_value *ids = n->in[1];
        while (ids->producer && (mc_node_is(ids->producer, "Cast") || mc_node_is(ids->producer, "Identity"))) ids = ids->producer->in[0];
        for (int64_t k = 0; k < g->n_inputs; k++) {
            if (g->inputs[k] != ids || (best && n->in[0]->init->shape.dim[0] <= best->in[0]->init->shape.dim[0])) continue;
            best = n;
            *input = k;
        }
    }
    return best;
}

/* The ids may only be looked up: a graph that compares them means particular numbers. */
static int32_t only_looked_up(const mc_value *ids, int64_t depth)
{
    int32_t st = MCOMP_OK;
    for (int64_t u = 0; u < ids->n_uses; u++) {
        const mc_node *n = ids->uses[u].node;
        if (n->dead || mc_node_is(n, "Shape") || (mc_node_is(n, "Gather") && ids->uses[u].index == 1)) continue;
        if ((mc_node_is(n, "Cast") || mc_node_is(n, "Identity")) && depth < 8) {
            MC_TRY(only_looked_up(n->out[0], depth + 1));
            continue;
        }
        return mc_fail(MCOMP_UNSUPPORTED, n->name, "the model computes with token ids here: they cannot be numbered anew");
    }
done:
    return st;
}

static int32_t count_ids(double *count, int64_t n, int64_t input, mcomp_dataset *data, const mcomp_tensor **in, int32_t n_in)
{
    int32_t st = MCOMP_OK;
    for (int64_t i = 0; i < mcomp_dataset_count(data); i++) {
        MC_TRY(mcomp_dataset_get(data, i, n_in, in, NULL));
        const mc_tensor *t = &in[input]->t;
        for (int64_t k = 0; k < mc_tensor_elements(t); k++) {
            const int64_t id = mc_tensor_get_i64(t, k);
            if (id < 0 || id >= n) MC_FAIL(MCOMP_DATA, "vocab", "sample %lld has the id %lld, the teacher's table has %lld rows", (long long)i, (long long)id, (long long)n);
            count[id] += 1.0;
        }
    }
done:
    return st;
}

int32_t mc_cut_vocab(mcomp_tokenizer **out, mc_graph *g, int64_t size, mcomp_dataset *data)
{
    int32_t st = MCOMP_OK;
    int64_t input = 0, rows = 0, needed = 0, kept = 0;
    const mcomp_tokenizer *t = data ? mcomp_dataset_tokenizer(data) : NULL;
    double *count = NULL;
    uint8_t *seen = NULL, *must = NULL;
    int64_t *keep = NULL;
    int32_t *to = NULL;
    const mcomp_tensor **in = NULL;
    mc_axis_part table;
    mc_axis axis = {.g = g, .parts = &table, .n_parts = 1};
    mc_node *lookup = find_table(g, &input);
    if (!t) MC_FAIL(MCOMP_ARGUMENT, "vocab", "a smaller vocabulary is chosen by the texts that the teacher is given, and there are none");
    if (!lookup) MC_FAIL(MCOMP_UNSUPPORTED, "vocab", "the teacher has no table that its input ids are looked up in");
    MC_TRY(only_looked_up(g->inputs[input], 0));
    rows = lookup->in[0]->init->shape.dim[0];
    const int64_t tokens = mcomp_tokenizer_count(t), n = tokens < rows ? tokens : rows;
    count = mc_calloc((size_t)rows, sizeof *count);
    seen = mc_calloc((size_t)rows, 1);
    must = mc_calloc((size_t)(tokens > rows ? tokens : rows), 1);
    keep = mc_calloc((size_t)rows, sizeof *keep);
    to = mc_calloc((size_t)(tokens > rows ? tokens : rows), sizeof *to);
    in = mc_calloc((size_t)g->n_inputs + 1, sizeof *in);
    if (!count || !seen || !must || !keep || !to || !in) MC_TRY(MCOMP_NO_MEMORY);
    if (tokens > rows) MC_FAIL(MCOMP_DATA, "vocab", "the tokenizer has %lld ids, the teacher's table %lld rows", (long long)tokens, (long long)rows);
    MC_TRY(count_ids(count, n, input, data, in, (int32_t)g->n_inputs));
    for (int64_t i = 0; i < n; i++) seen[i] = count[i] > 0.0;
    MC_TRY(mc_tokenizer_needed(t, seen, must, n));
    for (int64_t i = 0; i < n; i++) {
        needed += must[i];
        if (must[i]) count[i] = 1e300;
        else if (!mcomp_tokenizer_token(t, i)) count[i] = -1.0; /* a gap in the vocabulary */
    }
    if (size < needed) MC_FAIL(MCOMP_RANGE, "vocab", "%lld tokens are too few: special tokens and single characters alone are %lld", (long long)size, (long long)needed);
    MC_TRY(mc_best_of(count, n, size < n ? size : n, keep));
    for (int64_t i = 0; i < tokens; i++) to[i] = -1;
    for (int64_t i = 0; i < (size < n ? size : n); i++)
        if (count[keep[i]] >= 0.0) {
            to[keep[i]] = (int32_t)kept;
            keep[kept++] = keep[i];
        }
    MC_TRY(mc_tokenizer_reduce(out, t, to, tokens));
    table = (mc_axis_part){lookup->in[0], 0};
    axis.size = rows;
    st = mc_axis_take(&axis, keep, kept);
done:
    mc_free(count);
    mc_free(seen);
    mc_free(must);
    mc_free(keep);
    mc_free(to);
    mc_free(in);
    return st;
}
