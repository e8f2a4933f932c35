/* Memory plan: one storage a value, or one for several where a view or an in-place kernel lets them share; lifetimes over the
 * step order; offsets into one 64-byte aligned block by greedy best fit, largest first (Pisarchyk & Lee, 2020, "greedy by size").
 * Graph outputs get buffers of their own, graph inputs and constants are used where they are. */
#include "runtime/plan.h"

#include <stdlib.h>

static int32_t new_storage(mc_plan *p, int32_t kind, int32_t index, int64_t step, uint64_t bytes, int32_t *at)
{
    const int32_t st = mc_grow(&p->storages, &p->cap_storages, p->n_storages + 1, sizeof *p->storages);
    if (st != MCOMP_OK) return st;
    p->storages[p->n_storages] =
        (mc_storage){.kind = kind, .index = index, .into = -1, .bytes = (bytes + 63) & ~(uint64_t)63, .first = step, .last = step};
    *at = (int32_t)p->n_storages++;
    return MCOMP_OK;
}

static uint64_t slot_bytes(const mc_plan *p, int32_t slot)
{
    uint64_t bytes = 0;
    const mc_type *t = &p->slot_type[slot];
    if (!mc_type_known(t)) return 0;
    const mc_shape s = mc_shape_make(t->rank, t->dim);
    return mc_size_bytes(t->dtype, &s, &bytes) == MCOMP_OK ? bytes : 0; /* checked when the plan was made */
}

static int32_t slot_of(const mc_plan *p, const mc_value *v) { return v ? p->slot_of[v->id] : -1; }

/* Inputs first (storage i is input i), then constants. */
static int32_t leaves(mc_plan *p)
{
    int32_t st = MCOMP_OK;
    for (int64_t i = 0; i < p->g->n_inputs; i++)
        MC_TRY(new_storage(p, MC_STORE_INPUT, (int32_t)i, 0, 0, &p->slot_storage[slot_of(p, p->g->inputs[i])]));
    for (int32_t i = 0; i < p->n_slots; i++) {
        if (!p->slot_value[i]->init || p->slot_storage[i] >= 0) continue;
        MC_TRY(new_storage(p, MC_STORE_CONST, 0, 0, 0, &p->slot_storage[i]));
        p->storages[p->slot_storage[i]].constant = p->slot_value[i]->init->data;
    }
done:
    return st;
}

static int inner(const mc_group *g, int32_t slot)
{
    for (int32_t k = 0; k < g->n_args; k++)
        if (g->args[k].slot == slot) return g->args[k].role == MC_ROLE_INNER;
    return 0;
}

static int32_t step_outputs(mc_plan *p, int64_t i)
{
    int32_t st = MCOMP_OK;
    const mc_step *s = &p->steps[i];
    static const int32_t kinds[] = {[MC_STEP_KERNEL] = MC_STORE_ARENA, [MC_STEP_VIEW] = MC_STORE_ARENA,  [MC_STEP_KNOWN] = MC_STORE_KNOWN,
                                    [MC_STEP_EVAL] = MC_STORE_DYNAMIC, [MC_STEP_CONTROL] = MC_STORE_DYNAMIC, [MC_STEP_OBSERVE] = MC_STORE_ARENA,
                                    [MC_STEP_DEVICE] = MC_STORE_ARENA};
    const mc_group *g = s->kind == MC_STEP_DEVICE ? &p->groups[s->group] : NULL;
    for (int32_t k = 0; k < s->node->n_out; k++) {
        const int32_t slot = mc_output_wanted(s->node, k) ? slot_of(p, s->node->out[k]) : -1;
        if (slot < 0) continue;
        if (s->kind == MC_STEP_VIEW) p->slot_storage[slot] = p->slot_storage[slot_of(p, s->node->in[0])];
        else MC_TRY(new_storage(p, g && inner(g, slot) ? MC_STORE_DEVICE : kinds[s->kind], 0, i, slot_bytes(p, slot), &p->slot_storage[slot]));
        if (g) { /* written when the whole group runs, at its first step */
            p->storages[p->slot_storage[slot]].first = g->first;
            p->storages[p->slot_storage[slot]].last = g->last;
        }
    }
done:
    return st;
}

/* Does step s read the elements of input k? Steps that are known beforehand never run. */
static int reads(const mc_step *s, int32_t k)
{
    if (s->kind == MC_STEP_KNOWN) return 0;
    return s->kind != MC_STEP_KERNEL || k >= s->node->n_in || k >= 32 || !(s->node->desc->shape_only >> k & 1);
}

static int32_t lifetimes(mc_plan *p)
{
    int32_t st = MCOMP_OK;
    for (int64_t i = 0; i < p->n_steps; i++) {
        mc_step *s = &p->steps[i];
        for (int32_t k = 0; k < s->node->n_in + s->node->n_cap; k++) {
            const int32_t slot = slot_of(p, s->node->in[k]);
            if (slot < 0) continue;
            if (p->slot_storage[slot] < 0)
                MC_FAIL(MCOMP_INTERNAL, s->node->name, "input %s has no producer", s->node->in[k]->name);
            const int64_t last = s->kind == MC_STEP_DEVICE ? p->groups[s->group].last : i;
            mc_storage *x = &p->storages[p->slot_storage[slot]];
            if (last > x->last && reads(s, k)) x->last = last;
        }
        MC_TRY(step_outputs(p, i));
        if (s->scratch_bytes) MC_TRY(new_storage(p, MC_STORE_ARENA, 0, i, s->scratch_bytes, &s->scratch));
        if (s->worker_stride) {
            uint64_t bytes;
            if (__builtin_mul_overflow(s->worker_stride, (uint64_t)mc_pool_threads(p->session->pool), &bytes))
                MC_FAIL(MCOMP_LIMIT, s->node->name, "the kernel wants too much scratch memory");
            MC_TRY(new_storage(p, MC_STORE_ARENA, 0, i, bytes, &s->worker));
        }
    }
done:
    return st;
}

/* Storages that hold a graph output become output buffers; the first output on a storage names it. */
static void outputs(mc_plan *p)
{
    for (int64_t i = 0; i < p->g->n_outputs; i++) {
        mc_storage *s = &p->storages[p->slot_storage[slot_of(p, p->g->outputs[i])]];
        if (s->kind == MC_STORE_ARENA) {
            s->kind = MC_STORE_OUTPUT;
            s->index = (int32_t)i;
        }
        s->last = INT64_MAX;
    }
}

static int32_t resolve(const mc_plan *p, int32_t at)
{
    while (at >= 0 && p->storages[at].into >= 0) at = p->storages[at].into;
    return at;
}

/* Output 0 takes the place of an input that dies here, if its kernel allows and nothing else looks at that memory. */
static void in_place(mc_plan *p, int64_t i)
{
    mc_step *s = &p->steps[i];
    const int32_t input = s->inplace;
    s->inplace = -1;
    if (s->kind != MC_STEP_KERNEL || input < 0 || !s->node->out[0]) return;
    const int32_t in = slot_of(p, s->node->in[input]), out = slot_of(p, s->node->out[0]);
    const int32_t from = resolve(p, p->slot_storage[in]), to = p->slot_storage[out];
    mc_storage *a = &p->storages[from], *b = &p->storages[to];
    if (a->kind != MC_STORE_ARENA || a->last != i || slot_bytes(p, in) != slot_bytes(p, out)) return;
    if (p->slot_type[in].dtype != p->slot_type[out].dtype && mc_dtype_bits(p->slot_type[in].dtype) != mc_dtype_bits(p->slot_type[out].dtype))
        return;
    for (int32_t k = 0; k < s->node->n_in; k++) {
        const int32_t other = k == input ? -1 : slot_of(p, s->node->in[k]);
        if (other >= 0 && resolve(p, p->slot_storage[other]) == from) return;
    }
    a->into = to;
    if (a->first < b->first) b->first = a->first;
    if (a->bytes > b->bytes) b->bytes = a->bytes;
    s->inplace = in;
}

static int by_size(const void *x, const void *y)
{
    const mc_storage *a = *(mc_storage *const *)x, *b = *(mc_storage *const *)y;
    if (a->bytes != b->bytes) return a->bytes < b->bytes ? 1 : -1;
    return a->first != b->first ? (a->first < b->first ? -1 : 1) : (a < b ? -1 : a > b);
}

/* Smallest gap among the placed storages (sorted by offset) that live at the same time. */
static uint64_t best_fit(mc_storage *const *placed, int64_t n, const mc_storage *s)
{
    uint64_t end = 0, best = UINT64_MAX, best_gap = UINT64_MAX;
    for (int64_t i = 0; i < n; i++) {
        const mc_storage *q = placed[i];
        if (q->last < s->first || q->first > s->last) continue;
        if (q->offset > end && q->offset - end >= s->bytes && q->offset - end < best_gap) {
            best = end;
            best_gap = q->offset - end;
        }
        if (q->offset + q->bytes > end) end = q->offset + q->bytes;
    }
    return best == UINT64_MAX ? end : best;
}

static int32_t offsets(mc_plan *p)
{
    int32_t st = MCOMP_OK;
    int64_t n = 0, placed_n = 0;
    mc_storage **todo = mc_malloc((size_t)(p->n_storages + 1) * sizeof *todo);
    mc_storage **placed = mc_malloc((size_t)(p->n_storages + 1) * sizeof *placed);
    if (!todo || !placed) MC_FAIL(MCOMP_NO_MEMORY, "", "no memory to plan memory");
    for (int64_t i = 0; i < p->n_storages; i++)
        if (p->storages[i].kind == MC_STORE_ARENA && p->storages[i].into < 0 && p->storages[i].bytes > 0) todo[n++] = &p->storages[i];
    qsort(todo, (size_t)n, sizeof *todo, by_size);
    for (int64_t i = 0; i < n; i++) {
        mc_storage *s = todo[i];
        uint64_t end;
        s->offset = best_fit(placed, placed_n, s);
        if (__builtin_add_overflow(s->offset, s->bytes, &end) || end > (uint64_t)INT64_MAX)
            MC_FAIL(MCOMP_LIMIT, "", "the model needs too much memory for its intermediates");
        if (end > p->block_bytes) p->block_bytes = end;
        int64_t at = placed_n++;
        for (; at > 0 && placed[at - 1]->offset > s->offset; at--) placed[at] = placed[at - 1];
        placed[at] = s;
    }
done:
    mc_free(todo);
    mc_free(placed);
    return st;
}

int32_t mc_plan_memory(mc_plan *p)
{
    int32_t st = MCOMP_OK;
    MC_TRY(leaves(p));
    MC_TRY(lifetimes(p));
    for (int64_t i = 0; i < p->g->n_outputs; i++)
        if (p->slot_storage[slot_of(p, p->g->outputs[i])] < 0)
            MC_FAIL(MCOMP_INTERNAL, p->g->outputs[i]->name, "graph output has no producer");
    outputs(p);
    for (int64_t i = 0; i < p->n_steps; i++) in_place(p, i);
    for (int32_t i = 0; i < p->n_slots; i++) p->slot_storage[i] = resolve(p, p->slot_storage[i]);
    MC_TRY(offsets(p));
    p->output_bytes = mc_calloc((size_t)p->g->n_outputs + 1, sizeof *p->output_bytes);
    if (!p->output_bytes) return MCOMP_NO_MEMORY;
    for (int64_t i = 0; i < p->n_storages; i++)
        if (p->storages[i].kind == MC_STORE_OUTPUT) p->output_bytes[p->storages[i].index] = p->storages[i].bytes;
    for (int64_t i = 0; i < p->g->n_outputs; i++) { /* a graph input that is an output as well is copied */
        const int32_t slot = slot_of(p, p->g->outputs[i]);
        if (p->storages[p->slot_storage[slot]].kind == MC_STORE_INPUT) p->output_bytes[i] = slot_bytes(p, slot);
    }
done:
    return st;
}
