/* Gradient checkpointing as a rewrite (Chen et al., 2016): the forward graph is cut into segments, what crosses a cut is kept, and what
 * the backward graph reads from inside a segment is computed again when the backward pass comes to it. Of n activations about
 * 2 sqrt(n) are alive at a time, for at most one more forward pass.
 *
 * Same operators on same inputs: the gradients are the same to the bit. What starts a recomputation is an mcomp.After: the
 * identity of a kept value that also waits for the gradients that enter the segment; it keeps the copy late and apart from its
 * original. To which segment the backward pass has come is the level of a backward value: the lowest segment that it depends on
 * through recomputed values. Values of a higher level that level s reads are what segment s waits for, so there is no cycle. */
#include "passes/internal.h"

#include <math.h>
#include <stdlib.h>

#define NO_LEVEL INT32_MAX
#define MAX_WAITS 32       /* gradients that one segment waits for; more would change nothing */
#define ASSUMED_AXIS 16    /* elements of an axis of unknown length, when sizes are compared */

enum { OTHER, FORWARD, BACKWARD };

typedef struct plan {
    mc_graph *g;
    int64_t n_order, n_values; /* before anything was added */
    mc_node **order;
    uint8_t *role;             /* by node id */
    int32_t *segment;          /* by node id, of forward nodes */
    uint8_t *fixed;            /* by value id: follows from constants and variables alone */
    uint8_t *needed;           /* by value id: inside a segment and read by the backward graph, or by what makes such a value */
    int32_t *level;            /* by value id, of backward values */
    mc_value **again, **after; /* by value id: computed again; kept value seen by the segment in work */
    mc_value *wait[MAX_WAITS];
    int32_t n_wait;
    mc_node **list;            /* forward nodes in order */
    int64_t n_list;
} plan;

static int role_of(const plan *p, const mc_node *n) { return n ? p->role[n->id] : OTHER; }

static int reads(const mc_node *n, int32_t i)
{
    return i >= n->n_in || !n->desc || i >= 32 || !(n->desc->shape_only >> i & 1);
}

/* ---- what is forward, what is backward ---- */

static int32_t open_plan(plan *p, mc_graph *g)
{
    int32_t st = MCOMP_OK;
    const size_t nodes = (size_t)g->n_nodes + 1, values = (size_t)g->n_values + 1;
    p->g = g;
    p->n_order = g->n_order;
    p->n_values = g->n_values;
    p->order = mc_calloc(nodes, sizeof *p->order);
    p->list = mc_calloc(nodes, sizeof *p->list);
    p->role = mc_calloc(nodes, 1);
    p->segment = mc_calloc(nodes, sizeof *p->segment);
    p->fixed = mc_calloc(values, 1);
    p->needed = mc_calloc(values, 1);
    p->level = mc_calloc(values, sizeof *p->level);
    p->again = mc_calloc(values, sizeof(mc_value *));
    p->after = mc_calloc(values, sizeof(mc_value *));
    if (!p->order || !p->list || !p->role || !p->segment || !p->fixed || !p->needed || !p->level || !p->again || !p->after)
        MC_TRY(MCOMP_NO_MEMORY);
    for (int64_t i = 0; i < g->n_order; i++) p->order[i] = g->order[i];
done:
    return st;
}

static void close_plan(plan *p)
{
    mc_free(p->order);
    mc_free(p->list);
    mc_free(p->role);
    mc_free(p->segment);
    mc_free(p->fixed);
    mc_free(p->needed);
    mc_free(p->level);
    mc_free(p->again);
    mc_free(p->after);
}

static void classify(plan *p, const mc_value *loss)
{
    for (int64_t i = 0; i < p->n_values; i++)
        p->fixed[i] = p->g->values[i]->init != NULL || (p->g->values[i]->flags & MC_VALUE_VARIABLE) != 0;
    for (int64_t i = 0; i < p->n_order; i++) {
        const mc_node *n = p->order[i];
        int back = n->origin && strcmp(n->origin, "gradient") == 0, fixed = 1;
        for (int32_t k = 0; k < n->n_in + n->n_cap; k++) {
            if (!n->in[k]) continue;
            back |= role_of(p, n->in[k]->producer) == BACKWARD;
            fixed &= p->fixed[n->in[k]->id];
        }
        if (back) p->role[n->id] = BACKWARD;
        for (int32_t k = 0; fixed && k < n->n_out; k++)
            if (n->out[k]) p->fixed[n->out[k]->id] = 1;
    }
    if (loss->producer && role_of(p, loss->producer) == OTHER) p->role[loss->producer->id] = FORWARD;
    for (int64_t i = p->n_order - 1; i >= 0; i--) {
        const mc_node *n = p->order[i];
        for (int32_t k = 0; role_of(p, n) == FORWARD && k < n->n_in + n->n_cap; k++)
            if (n->in[k] && n->in[k]->producer && role_of(p, n->in[k]->producer) == OTHER) p->role[n->in[k]->producer->id] = FORWARD;
    }
    for (int64_t i = 0; i < p->n_order; i++)
        if (role_of(p, p->order[i]) == FORWARD) p->list[p->n_list++] = p->order[i];
}

/* ---- where to cut ---- */

static double size_of(const mc_value *v)
{
    double n = mc_dtype_bits(v->type.dtype) / 8.0;
    for (int32_t i = 0; i < v->type.rank; i++) n *= v->type.dim[i] < 0 ? (double)ASSUMED_AXIS : (double)v->type.dim[i];
    return n;
}

static int is_saved(const plan *p, const mc_value *v)
{
    for (int64_t u = 0; !p->fixed[v->id] && u < v->n_uses; u++)
        if (role_of(p, v->uses[u].node) == BACKWARD && reads(v->uses[u].node, v->uses[u].index)) return 1;
    return 0;
}

/* saved[i]: bytes that the backward graph reads of the first i + 1 nodes; crossing[i]: bytes that a cut after node i keeps. Returns
 * how many values are saved. */
static int64_t survey(const plan *p, double *saved, double *crossing)
{
    int64_t n = 0;
    double total = 0.0, open = 0.0;
    int64_t *place = mc_calloc((size_t)p->g->n_nodes + 1, sizeof *place);
    if (!place) return -1;
    for (int64_t i = 0; i < p->n_list; i++) place[p->list[i]->id] = i;
    for (int64_t i = 0; i < p->n_list; i++)
        for (int32_t k = 0; k < p->list[i]->n_out; k++) {
            const mc_value *v = p->list[i]->out[k];
            int64_t last = i;
            if (!v || p->fixed[v->id]) continue;
            if (is_saved(p, v)) {
                n++;
                saved[i] += size_of(v);
            }
            for (int64_t u = 0; u < v->n_uses; u++)
                if (role_of(p, v->uses[u].node) == FORWARD && place[v->uses[u].node->id] > last) last = place[v->uses[u].node->id];
            crossing[i] += size_of(v);
            crossing[last] -= size_of(v);
        }
    for (int64_t i = 0; i < p->n_list; i++) {
        saved[i] = total += saved[i];
        crossing[i] = open += crossing[i];
    }
    mc_free(place);
    return n;
}

/* Cuts by equal shares of what is saved, each moved to the narrowest place near by. Returns the number of segments, -1: no memory. */
static int32_t cut_evenly(const plan *p, int32_t asked, uint8_t *cut)
{
    int32_t made = -1;
    double *saved = mc_calloc((size_t)p->n_list + 1, sizeof *saved), *crossing = mc_calloc((size_t)p->n_list + 1, sizeof *crossing);
    const int64_t n = saved && crossing ? survey(p, saved, crossing) : -1;
    if (n >= 0) {
        const int32_t parts = asked > 0 ? asked : (int32_t)lround(sqrt((double)n));
        const double total = p->n_list ? saved[p->n_list - 1] : 0.0, reach = total / (2.0 * (parts > 0 ? parts : 1));
        int64_t from = 0;
        made = 1;
        for (int32_t k = 1; k < parts; k++) {
            const double want = total * k / parts;
            int64_t best = -1;
            for (int64_t i = from; i + 1 < p->n_list && saved[i] <= want + reach; i++) {
                if (saved[i] < want - reach) continue;
                if (best < 0 || crossing[i] < crossing[best] ||
                    (crossing[i] <= crossing[best] && fabs(saved[i] - want) < fabs(saved[best] - want)))
                    best = i;
            }
            if (best < 0) continue;
            cut[best] = 1;
            from = best + 1;
            made++;
        }
    }
    mc_free(saved);
    mc_free(crossing);
    return made;
}

static int32_t cut_by_name(const plan *p, const char *const *after, uint8_t *cut, int32_t *segments)
{
    *segments = 1;
    for (; *after; after++) {
        int hit = 0;
        for (int64_t i = 0; i < p->n_list; i++)
            if (mc_glob_match(*after, p->list[i]->name)) {
                hit = 1;
                if (i + 1 < p->n_list && !cut[i]) *segments += 1;
                cut[i] = 1;
            }
        if (!hit) return mc_fail(MCOMP_ARGUMENT, "recompute", "no node in front of the loss matches \"%.100s\"", *after);
    }
    return MCOMP_OK;
}

static int32_t cut_up(plan *p, const mc_recompute_options *o, int32_t *segments)
{
    int32_t st = MCOMP_OK, at = 0;
    uint8_t *cut = mc_calloc((size_t)p->n_list + 1, 1);
    if (!cut) MC_TRY(MCOMP_NO_MEMORY);
    if (o->after) MC_TRY(cut_by_name(p, o->after, cut, segments));
    else if ((*segments = cut_evenly(p, o->segments, cut)) < 0) MC_TRY(MCOMP_NO_MEMORY);
    for (int64_t i = 0; i < p->n_list; i++) {
        p->segment[p->list[i]->id] = at;
        at += cut[i];
    }
done:
    mc_free(cut);
    return st;
}

/* ---- what is computed again ---- */

/* Made and used inside one segment that is not the last, by an operator that gives the same when it runs again. Integers are small
 * and steer shapes: they are kept. */
static int is_inside(const plan *p, const mc_value *v, int32_t segments)
{
    const mc_node *n = v->producer;
    if (v->id >= p->n_values || role_of(p, n) != FORWARD || p->fixed[v->id] || v->flags & MC_VALUE_OUTPUT) return 0;
    if (!n->desc || n->desc->traits & (MC_OP_NONDETERMINISTIC | MC_OP_CONTROL) || n->n_cap > 0) return 0;
    if (v->type.dtype == MCOMP_I64 || p->segment[n->id] >= segments - 1) return 0;
    for (int64_t u = 0; u < v->n_uses; u++)
        if (role_of(p, v->uses[u].node) == FORWARD && p->segment[v->uses[u].node->id] != p->segment[n->id]) return 0;
    return 1;
}

/* Marks needed values and gives every backward value its level. */
static void mark(plan *p, int32_t segments)
{
    for (int64_t i = 0; i < p->n_order; i++) {
        const mc_node *n = p->order[i];
        int32_t level = NO_LEVEL;
        if (role_of(p, n) != BACKWARD) continue;
        for (int32_t k = 0; k < n->n_in + n->n_cap; k++) {
            const mc_value *v = n->in[k];
            if (!v || !reads(n, k)) continue;
            if (role_of(p, v->producer) == BACKWARD) level = p->level[v->id] < level ? p->level[v->id] : level;
            if (!is_inside(p, v, segments)) continue;
            p->needed[v->id] = 1;
            level = p->segment[v->producer->id] < level ? p->segment[v->producer->id] : level;
        }
        for (int32_t k = 0; k < n->n_out; k++)
            if (n->out[k]) p->level[n->out[k]->id] = level;
    }
    for (int64_t i = p->n_list - 1; i >= 0; i--) {
        const mc_node *n = p->list[i];
        int wanted = 0;
        for (int32_t k = 0; k < n->n_out; k++) wanted |= n->out[k] && p->needed[n->out[k]->id];
        for (int32_t k = 0; wanted && k < n->n_in; k++)
            if (n->in[k] && is_inside(p, n->in[k], segments)) p->needed[n->in[k]->id] = 1;
    }
}

static int32_t level_of(const plan *p, const mc_node *n)
{
    for (int32_t k = 0; k < n->n_out; k++)
        if (n->out[k]) return p->level[n->out[k]->id];
    return NO_LEVEL;
}

/* The gradients that segment s waits for. */
static void collect_waits(plan *p, int32_t s)
{
    p->n_wait = 0;
    for (int64_t i = 0; i < p->n_order; i++) {
        const mc_node *n = p->order[i];
        if (role_of(p, n) != BACKWARD || level_of(p, n) != s) continue;
        for (int32_t k = 0; k < n->n_in; k++) {
            mc_value *v = n->in[k];
            int known = !v || role_of(p, v->producer) != BACKWARD || p->level[v->id] <= s || !reads(n, k) || p->n_wait == MAX_WAITS;
            for (int32_t w = 0; w < p->n_wait && !known; w++) known = p->wait[w] == v;
            if (!known) p->wait[p->n_wait++] = v;
        }
    }
}

static int32_t behind_waits(plan *p, mc_value *v, mc_value **out)
{
    int32_t st = MCOMP_OK;
    mc_value *in[1 + MAX_WAITS] = {v};
    mc_node *n;
    if (!p->after[v->id]) {
        for (int32_t i = 0; i < p->n_wait; i++) in[1 + i] = p->wait[i];
        MC_TRY(mc_graph_add_node(p->g, "mcomp", "After", 0, v->name, 1 + p->n_wait, in, 1, NULL, &n));
        n->origin = "recompute";
        n->out[0]->type = v->type;
        MC_TRY(mc_infer_node(p->g, n));
        p->after[v->id] = n->out[0];
    }
    *out = p->after[v->id];
done:
    return st;
}

static int32_t compute_again(plan *p, const mc_node *n)
{
    int32_t st = MCOMP_OK, late = 0;
    mc_node *copy;
    mc_str name = {0};
    mc_value **in = mc_calloc((size_t)n->n_in + 1, sizeof *in);
    if (!in) MC_TRY(MCOMP_NO_MEMORY);
    for (int pass = 0; pass < 2; pass++) /* integers wait only where nothing else makes the copy wait */
        for (int32_t k = 0; k < n->n_in; k++) {
            mc_value *v = n->in[k];
            if (!v || in[k]) continue;
            if (p->fixed[v->id] || (pass == 1 && late)) in[k] = v;
            else if (p->again[v->id]) in[k] = p->again[v->id];
            else if (v->type.dtype != MCOMP_I64 || pass == 1) MC_TRY(behind_waits(p, v, &in[k]));
            late |= in[k] && !p->fixed[v->id];
        }
    MC_TRY(mc_str_appendf(&name, "%s.again", n->name));
    MC_TRY(mc_graph_add_node(p->g, n->domain, n->op, n->version, name.data, n->n_in, in, n->n_out, NULL, &copy));
    MC_TRY(mc_node_copy_attrs(copy, n));
    copy->origin = "recompute";
    for (int32_t k = 0; k < n->n_out; k++) {
        if (!n->out[k]) continue;
        copy->out[k]->type = n->out[k]->type;
        if (p->needed[n->out[k]->id]) p->again[n->out[k]->id] = copy->out[k];
    }
    st = mc_infer_node(p->g, copy);
done:
    mc_str_free(&name);
    mc_free(in);
    return st;
}

static int32_t segment_again(plan *p, int32_t s, int64_t *nodes)
{
    int32_t st = MCOMP_OK;
    collect_waits(p, s);
    if (p->n_wait == 0) return MCOMP_OK; /* nothing to wait for: it stays as it is */
    memset(p->after, 0, (size_t)p->n_values * sizeof(mc_value *));
    for (int64_t i = 0; i < p->n_list; i++) {
        const mc_node *n = p->list[i];
        int wanted = 0;
        if (p->segment[n->id] != s) continue;
        for (int32_t k = 0; k < n->n_out; k++) wanted |= n->out[k] && p->needed[n->out[k]->id];
        if (!wanted) continue;
        MC_TRY(compute_again(p, n));
        *nodes += 1;
    }
done:
    return st;
}

int32_t mc_recompute(mc_graph *g, mc_value *loss, const mc_recompute_options *o, mc_recompute_report *report)
{
    int32_t st = MCOMP_OK;
    const mc_recompute_options none = {0};
    mc_recompute_report r = {0};
    plan p = {0};
    MC_TRY(mc_graph_sort(g));
    MC_TRY(mc_infer_graph(g));
    MC_TRY(open_plan(&p, g));
    classify(&p, loss);
    MC_TRY(cut_up(&p, o ? o : &none, &r.segments));
    mark(&p, r.segments);
    for (int32_t s = r.segments - 2; s >= 0; s--) MC_TRY(segment_again(&p, s, &r.nodes));
    for (int64_t i = 0; i < p.n_order; i++) {
        mc_node *n = p.order[i];
        for (int32_t k = 0; role_of(&p, n) == BACKWARD && k < n->n_in; k++)
            if (n->in[k] && n->in[k]->id < p.n_values && p.again[n->in[k]->id] && reads(n, k))
                MC_TRY(mc_node_set_input(g, n, k, p.again[n->in[k]->id]));
    }
    MC_TRY(mc_graph_sort(g));
    if (report) *report = r;
done:
    close_plan(&p);
    return st;
}
