/* Topological order, stable with respect to node ids: Kahn's algorithm with a binary heap of ready ids. Nodes that write variables
 * in place (optimizer steps) wait in a heap of their own until everything else has run: no reader of a variable comes after them,
 * whatever a pass has replaced it with. */
#include "graph/internal.h"

static void heap_push(int32_t *heap, int64_t *n, int32_t id)
{
    int64_t i = (*n)++;
    for (; i > 0 && heap[(i - 1) / 2] > id; i = (i - 1) / 2) heap[i] = heap[(i - 1) / 2];
    heap[i] = id;
}

static int32_t heap_pop(int32_t *heap, int64_t *n)
{
    const int32_t top = heap[0], last = heap[--*n];
    int64_t i = 0;
    for (;;) {
        int64_t c = 2 * i + 1;
        if (c >= *n) break;
        if (c + 1 < *n && heap[c + 1] < heap[c]) c++;
        if (heap[c] >= last) break;
        heap[i] = heap[c];
        i = c;
    }
    heap[i] = last;
    return top;
}

static int32_t count_waits(const mc_node *n)
{
    int32_t waits = 0;
    for (int32_t i = 0; i < n->n_in + n->n_cap; i++)
        if (n->in[i] && n->in[i]->producer) waits++;
    return waits;
}

int mc_node_is_effect(const mc_node *n)
{
    if (n->n_out > 0 || mc_node_is_in(n, "mcomp", "Observe")) return 0;
    for (int32_t i = 0; i < n->n_in; i++)
        if (n->in[i] && n->in[i]->flags & MC_VALUE_VARIABLE) return 1;
    return 0;
}

typedef struct ready_nodes {
    int32_t *heap[2]; /* of the others, of effects */
    int64_t n[2];
} ready_nodes;

static void push_ready(ready_nodes *r, const mc_node *n)
{
    const int k = mc_node_is_effect(n);
    heap_push(r->heap[k], &r->n[k], n->id);
}

int32_t mc_graph_sort(mc_graph *g)
{
    int32_t st = MCOMP_OK;
    int64_t live = 0;
    int32_t *waits = NULL;
    ready_nodes r = {0};
    MC_TRY(mc_grow(&g->order, &g->cap_order, g->n_nodes, sizeof *g->order));
    waits = mc_calloc((size_t)g->n_nodes + 1, sizeof *waits);
    for (int k = 0; k < 2; k++) r.heap[k] = mc_calloc((size_t)g->n_nodes + 1, sizeof *r.heap[k]);
    if (!waits || !r.heap[0] || !r.heap[1]) MC_FAIL(MCOMP_NO_MEMORY, "", "no memory to sort the graph");
    for (int64_t i = 0; i < g->n_nodes; i++) {
        if (g->nodes[i]->dead) continue;
        live++;
        waits[i] = count_waits(g->nodes[i]);
        if (waits[i] == 0) push_ready(&r, g->nodes[i]);
    }
    g->n_order = 0;
    while (r.n[0] > 0 || r.n[1] > 0) {
        const int k = r.n[0] == 0;
        mc_node *n = g->nodes[heap_pop(r.heap[k], &r.n[k])];
        g->order[g->n_order++] = n;
        for (int32_t o = 0; o < n->n_out; o++) {
            const mc_value *v = n->out[o];
            for (int64_t u = 0; v && u < v->n_uses; u++)
                if (--waits[v->uses[u].node->id] == 0) push_ready(&r, v->uses[u].node);
        }
    }
    if (g->n_order != live) {
        for (int64_t i = 0; i < g->n_nodes; i++)
            if (!g->nodes[i]->dead && waits[i] > 0)
                MC_FAIL(MCOMP_FORMAT, g->nodes[i]->name, "the graph has a cycle through this node");
    }
done:
    mc_free(waits);
    mc_free(r.heap[0]);
    mc_free(r.heap[1]);
    return st;
}
