/* INT8 that is slower than float is no compression: the whole of the graph is raced, and while it loses, the plan gives integers up,
 * from the nodes that lose most to everything. What is decided is written into the file; running it depends on no timing. */
#include "quant/slower.h"

#include "quant/latency.h"

/* A ratio that equal plans reach: medians of a second of pairs differ by less. */
#define EQUAL 0.99

static const char loses[] = "on this machine it is slower on integers than in float (measured)";
static const char border[] = "on this machine the model is slower with it on integers than without (measured; going to and from integers costs more than it gains)";
static const char table[] = "on this machine the model is slower with this table in 8 bits (measured)";

typedef struct race {
    mcomp_context *ctx;
    mc_qlatency *time;
    double *f32, *int8; /* us by node id */
} race;

/* Applies p to a clone of its graph; *out is the caller's. */
static int32_t applied(const mc_qplan *p, mc_graph **out)
{
    mc_graph *g = NULL;
    mc_qplan *q = NULL;
    int32_t st = MCOMP_OK;
    MC_TRY(mc_graph_clone(&g, p->g));
    MC_TRY(mc_qplan_clone(&q, p, g));
    MC_TRY(mc_qplan_apply(q));
    *out = g;
    g = NULL;
done:
    mc_qplan_destroy(q);
    mc_graph_destroy(g);
    return st;
}

static int32_t trial(const race *r, const mc_qplan *p, double *ratio)
{
    mc_graph *g = NULL;
    int32_t st = MCOMP_OK;
    MC_TRY(applied(p, &g));
    MC_TRY(mc_qlatency_race(r->time, g, ratio));
    mc_context_log(r->ctx, 2, "quantize: %.3f times as fast as float", *ratio);
done:
    mc_graph_destroy(g);
    return st;
}

static int32_t profile(race *r, const mc_qplan *p)
{
    mc_graph *g = NULL;
    int32_t st = MCOMP_OK;
    MC_TRY(applied(p, &g));
    MC_TRY(mc_qlatency_nodes(r->time, p, p->g, r->f32));
    MC_TRY(mc_qlatency_nodes(r->time, p, g, r->int8));
done:
    mc_graph_destroy(g);
    return st;
}

static int is_open(const mc_qplan *p, int64_t i)
{
    return !p->g->nodes[i]->dead && !p->node[i].ruled && p->node[i].kind != MC_QK_FLOAT;
}

static int64_t count_open(const mc_qplan *p)
{
    int64_t n = 0;
    for (int64_t i = 0; i < p->n_nodes; i++) n += is_open(p, i);
    return n;
}

static int64_t give_up(mc_qnode *q, const char *why)
{
    q->kind = MC_QK_FLOAT;
    q->why = why;
    q->slower = 1;
    return 1;
}

/* Nodes that take more than `share` of their float time on integers become float. *n: how many. */
static int64_t drop(const race *r, mc_qplan *p, double share, const char *why)
{
    int64_t n = 0;
    for (int64_t i = 0; i < p->n_nodes; i++) {
        if (!is_open(p, i) || !p->node[i].candidate || r->f32[i] < 0.0 || r->int8[i] < 0.0) continue;
        if (r->int8[i] > share * r->f32[i]) n += give_up(&p->node[i], why);
    }
    return n;
}

static int64_t drop_all(mc_qplan *p, int tables)
{
    int64_t n = 0;
    for (int64_t i = 0; i < p->n_nodes; i++)
        if (is_open(p, i) && (p->node[i].kind == MC_QK_TABLE) == tables) n += give_up(&p->node[i], tables ? table : border);
    return n;
}

/* Steps from the mildest: nodes that lose by themselves; those that gain too little for their borders; all products; the tables. */
static int32_t mend(race *r, mc_qplan *p, double ratio)
{
    int32_t st = MCOMP_OK;
    MC_TRY(profile(r, p));
    for (int step = 0; step < 4 && ratio < EQUAL; step++) {
        const int64_t n = step == 0 ? drop(r, p, 1.0, loses) : step == 1 ? drop(r, p, 0.7, border) : drop_all(p, step == 3);
        MC_TRY(mc_context_progress(r->ctx, "quantize", -1.0));
        if (count_open(p) == 0) break; /* the float graph again, but for what rules fix */
        if (n > 0) MC_TRY(trial(r, p, &ratio));
    }
done:
    return st;
}

int32_t mc_qslower_run(mcomp_context *ctx, mc_qplan *p, mcomp_dataset *samples)
{
    race r = {.ctx = ctx};
    double ratio;
    int32_t st = MCOMP_OK;
    if (count_open(p) == 0) return MCOMP_OK;
    r.f32 = mc_calloc(2 * (size_t)p->n_nodes + 1, sizeof *r.f32);
    if (!r.f32) return MCOMP_NO_MEMORY;
    r.int8 = r.f32 + p->n_nodes;
    MC_TRY(mc_qlatency_open(&r.time, ctx, p->g, samples));
    MC_TRY(trial(&r, p, &ratio));
    if (ratio < EQUAL) MC_TRY(mend(&r, p, ratio));
done:
    mc_qlatency_close(r.time);
    mc_free(r.f32);
    return st;
}
