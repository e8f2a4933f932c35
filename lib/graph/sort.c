/* Topological order, stable with respect to node ids: Kahn's algorithm with a binary heap of ready ids. */
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

int32_t mc_graph_sort(mc_graph *g)
{
    int32_t st = MCOMP_OK;
    int64_t ready = 0, live = 0;
    int32_t *waits = NULL, *heap = NULL;
    MC_TRY(mc_grow(&g->order, &g->cap_order, g->n_nodes, sizeof *g->order));
    waits = mc_calloc((size_t)g->n_nodes + 1, sizeof *waits);
    heap = mc_calloc((size_t)g->n_nodes + 1, sizeof *heap);
    if (!waits || !heap) MC_FAIL(MCOMP_NO_MEMORY, "", "no memory to sort the graph");
    for (int64_t i = 0; i < g->n_nodes; i++) {
        if (g->nodes[i]->dead) continue;
        live++;
        waits[i] = count_waits(g->nodes[i]);
        if (waits[i] == 0) heap_push(heap, &ready, (int32_t)i);
    }
    g->n_order = 0;
    while (ready > 0) {
        mc_node *n = g->nodes[heap_pop(heap, &ready)];
        g->order[g->n_order++] = n;
        for (int32_t k = 0; k < n->n_out; k++) {
            const mc_value *v = n->out[k];
            for (int64_t u = 0; v && u < v->n_uses; u++)
                if (--waits[v->uses[u].node->id] == 0) heap_push(heap, &ready, v->uses[u].node->id);
        }
    }
    if (g->n_order != live) {
        for (int64_t i = 0; i < g->n_nodes; i++)
            if (!g->nodes[i]->dead && waits[i] > 0)
                MC_FAIL(MCOMP_FORMAT, g->nodes[i]->name, "the graph has a cycle through this node");
    }
done:
    mc_free(waits);
    mc_free(heap);
    return st;
}
