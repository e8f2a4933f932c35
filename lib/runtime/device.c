/* Device backends: their buffers are not host memory, so values cross the border only where a group of nodes begins and ends. A group
 * is a run of consecutive steps; it executes where its first node stands, when all it needs from outside is there. */
#include "runtime/device.h"

#include <stdio.h>

#define TRANSFER_US 10.0       /* one copy, whatever its size */
#define TRANSFER_BYTES_US 1e4  /* 10 GB/s */

static const mcomp_bk_node *bk_node(const mc_node *n) { return (const mcomp_bk_node *)(const void *)n; }

static uint64_t slot_bytes(const mc_type *t)
{
    uint64_t bytes = 0;
    const mc_shape s = mc_shape_make(t->rank, t->dim);
    return mc_type_known(t) && mc_size_bytes(t->dtype, &s, &bytes) == MCOMP_OK ? bytes : 0;
}

/* ---- groups ---- */

static int inside(const mc_plan *p, const mc_group *g, const mc_node *n)
{
    for (int64_t i = g->first; n && i <= g->last; i++)
        if (p->steps[i].node == n && p->steps[i].kind != MC_STEP_KNOWN) return 1;
    return 0;
}

static int32_t role_of(const mc_plan *p, const mc_group *g, const mc_value *v)
{
    if (v->init) return MC_ROLE_CONST;
    if (!inside(p, g, v->producer)) return MC_ROLE_IN;
    if (v->flags & MC_VALUE_OUTPUT) return MC_ROLE_OUT;
    for (int64_t u = 0; u < v->n_uses; u++)
        if (!inside(p, g, v->uses[u].node)) return MC_ROLE_OUT;
    return MC_ROLE_INNER;
}

static int32_t add_arg(const mc_plan *p, mc_group *g, int32_t slot)
{
    int32_t st = MCOMP_OK;
    for (int32_t k = 0; k < g->n_args; k++)
        if (g->args[k].slot == slot) return MCOMP_OK;
    MC_TRY(mc_grow(&g->args, &g->cap_args, g->n_args + 1, sizeof *g->args));
    g->args[g->n_args++] = (mc_group_arg){.slot = slot, .role = role_of(p, g, p->slot_value[slot]), .bytes = slot_bytes(&p->slot_type[slot])};
done:
    return st;
}

static int32_t collect_args(const mc_plan *p, mc_group *g)
{
    int32_t st = MCOMP_OK;
    for (int64_t i = g->first; i <= g->last; i++)
        for (int32_t k = 0; p->steps[i].kind != MC_STEP_KNOWN && k < p->steps[i].n_args; k++) MC_TRY(add_arg(p, g, p->steps[i].args[k]));
done:
    return st;
}

/* Cheapest claim of a host backend; a view costs nothing there. */
static double host_cost(const mcomp_session *x, const mc_step *s)
{
    double best = s->kind == MC_STEP_VIEW ? 0.0 : 1e30;
    for (int32_t i = 0; i < x->n_backends && s->kind == MC_STEP_KERNEL; i++) {
        mcomp_claim c = {.size = sizeof c};
        if (x->backends[i].api->flags & MCOMP_BACKEND_OWN_MEMORY) continue;
        if (x->backends[i].api->claim(x->backends[i].instance, bk_node(s->node), &c) > 0 && c.cost_us < best) best = c.cost_us;
    }
    return best;
}

static int32_t compile(mc_plan *p, mc_group *g)
{
    int32_t st = MCOMP_OK, n = 0;
    const mc_session_backend *b = &p->session->backends[g->backend];
    mcomp_program_info info = {.size = sizeof info};
    const mcomp_bk_node **nodes = mc_malloc((size_t)(g->last - g->first + 1) * sizeof *nodes);
    const mcomp_bk_value **values = mc_malloc((size_t)(g->n_args + 1) * sizeof *values);
    if (!nodes || !values) MC_FAIL(MCOMP_NO_MEMORY, b->name, "no memory for a group of nodes");
    for (int64_t i = g->first; i <= g->last; i++)
        if (p->steps[i].kind != MC_STEP_KNOWN) nodes[n++] = bk_node(p->steps[i].node);
    for (int32_t k = 0; k < g->n_args; k++) values[k] = (const mcomp_bk_value *)(const void *)p->slot_value[g->args[k].slot];
    const mcomp_bk_compile c = {.size = sizeof c, .n_nodes = n, .nodes = nodes, .n_values = g->n_args, .values = values,
                                .store = (mcomp_bk_store *)(void *)p->session->store, .threads = mc_pool_threads(p->session->pool)};
    st = b->api->compile(b->instance, &c, &g->program);
    if (st != MCOMP_OK) MC_FAIL(st, p->steps[g->first].node->name, "backend %s cannot compile a group of %d nodes", b->name, n);
    MC_TRY(b->api->program_info(g->program, &info));
    g->scratch_bytes = info.scratch_bytes;
done:
    mc_free(nodes);
    mc_free(values);
    return st;
}

/* Tries the run of steps [first, last]; claims[i] is what the backend said of step i. */
static int32_t consider(mc_plan *p, int32_t backend, int64_t first, int64_t last, const mcomp_claim *claims)
{
    int32_t st = MCOMP_OK, n = 0;
    double device = 0.0, host = 0.0;
    mc_group g = {.backend = backend, .first = first, .last = last};
    mcomp_session *x = p->session;
    for (int64_t i = first; i <= last; i++) {
        if (p->steps[i].kind == MC_STEP_KNOWN) continue;
        n += p->steps[i].kind == MC_STEP_KERNEL;
        device += claims[i].cost_us;
        host += host_cost(x, &p->steps[i]);
    }
    if (n == 0) return MCOMP_OK;
    MC_TRY(collect_args(p, &g));
    for (int32_t k = 0; k < g.n_args; k++)
        if (g.args[k].role == MC_ROLE_IN || g.args[k].role == MC_ROLE_OUT) device += TRANSFER_US + (double)g.args[k].bytes / TRANSFER_BYTES_US;
    if (backend != x->preferred && device >= host) goto done;
    MC_TRY(compile(p, &g));
    MC_TRY(mc_grow(&p->groups, &p->cap_groups, p->n_groups + 1, sizeof *p->groups));
    for (int64_t i = first; i <= last; i++) {
        mc_step *s = &p->steps[i];
        if (s->kind == MC_STEP_KNOWN) continue;
        s->kind = MC_STEP_DEVICE;
        s->group = (int32_t)p->n_groups;
        s->inplace = -1;
        s->backend = x->backends[backend].name;
        s->cost_us = claims[i].cost_us;
        s->integer = claims[i].integer;
        memcpy(s->kernel, claims[i].kernel, sizeof s->kernel);
        s->kernel[sizeof s->kernel - 1] = 0;
        snprintf(s->why, sizeof s->why, "group of %d nodes: %.3g us with transfers; host %.3g us", n, device, host);
        if (s->integer) p->integer_macs += s->macs;
    }
    if (g.n_args > p->max_args) p->max_args = g.n_args;
    p->groups[p->n_groups++] = g;
    return MCOMP_OK;
done:
    mc_device_free(&g);
    if (g.program) x->backends[backend].api->program_destroy(g.program);
    return st;
}

static int32_t place_on(mc_plan *p, int32_t backend, mcomp_claim *claims, int8_t *said)
{
    int32_t st = MCOMP_OK;
    const mc_session_backend *b = &p->session->backends[backend];
    for (int64_t i = 0; i < p->n_steps; i++) {
        const mc_step *s = &p->steps[i];
        said[i] = 0;
        if (s->kind != MC_STEP_KERNEL && s->kind != MC_STEP_VIEW) continue;
        claims[i] = (mcomp_claim){.size = sizeof claims[i]};
        const int32_t r = b->api->claim(b->instance, bk_node(s->node), &claims[i]);
        if (r < 0) return mc_fail(r, s->node->name, "backend %s failed to look at operator %s", b->name, s->node->op);
        said[i] = r > 0;
    }
    for (int64_t i = 0; i < p->n_steps; i++) {
        if (!said[i]) continue;
        int64_t last = i;
        for (int64_t k = i + 1; k < p->n_steps && (said[k] || p->steps[k].kind == MC_STEP_KNOWN); k++)
            if (said[k]) last = k;
        MC_TRY(consider(p, backend, i, last, claims));
        i = last;
    }
done:
    return st;
}

int32_t mc_device_place(mc_plan *p)
{
    int32_t st = MCOMP_OK, any = 0;
    mcomp_claim *claims = NULL;
    int8_t *said = NULL;
    for (int32_t i = 0; i < p->session->n_backends; i++) any |= (p->session->backends[i].api->flags & MCOMP_BACKEND_OWN_MEMORY) != 0;
    if (!any || p->session->references) return MCOMP_OK;
    for (int32_t i = 0; i < p->n_slots; i++) /* empty tensors stay at home */
        for (int32_t k = 0; k < p->slot_type[i].rank; k++)
            if (p->slot_type[i].dim[k] == 0) return MCOMP_OK;
    claims = mc_calloc((size_t)p->n_steps + 1, sizeof *claims);
    said = mc_calloc((size_t)p->n_steps + 1, 1);
    if (!claims || !said) MC_FAIL(MCOMP_NO_MEMORY, "", "no memory to place nodes");
    for (int32_t i = 0; i < p->session->n_backends; i++)
        if (p->session->backends[i].api->flags & MCOMP_BACKEND_OWN_MEMORY) MC_TRY(place_on(p, i, claims, said));
done:
    mc_free(claims);
    mc_free(said);
    return st;
}

void mc_device_free(mc_group *g)
{
    mc_free(g->args);
    g->args = NULL;
}

/* ---- memory of an exec ---- */

static const mc_session_backend *backend_of(const mc_plan *p, const mc_group *g) { return &p->session->backends[g->backend]; }

void mc_device_close(const mc_plan *p, mc_device *d)
{
    if (!d) return;
    pthread_mutex_lock(&p->session->registry->lock);
    for (int64_t i = 0; i < p->n_groups; i++) {
        const mc_session_backend *b = backend_of(p, &p->groups[i]);
        for (int32_t k = 0; d[i].buffers && k < p->groups[i].n_args; k++)
            if (d[i].buffers[k]) b->api->buffer_free(b->instance, d[i].buffers[k]);
        if (d[i].scratch) b->api->buffer_free(b->instance, d[i].scratch);
        if (d[i].stream && b->api->stream_destroy) b->api->stream_destroy(b->instance, d[i].stream);
        mc_free(d[i].buffers);
    }
    pthread_mutex_unlock(&p->session->registry->lock);
    mc_free(d);
}

static int32_t open_one(const mc_session_backend *b, const mc_group *g, mc_device *d)
{
    int32_t st = MCOMP_OK;
    d->buffers = mc_calloc((size_t)g->n_args + 1, sizeof *d->buffers);
    if (!d->buffers) return MCOMP_NO_MEMORY;
    if (b->api->stream_create) MC_TRY(b->api->stream_create(b->instance, &d->stream));
    for (int32_t k = 0; k < g->n_args; k++)
        if (g->args[k].role != MC_ROLE_CONST) MC_TRY(b->api->buffer_alloc(b->instance, g->args[k].bytes, &d->buffers[k]));
    if (g->scratch_bytes) MC_TRY(b->api->buffer_alloc(b->instance, g->scratch_bytes, &d->scratch));
done:
    return st == MCOMP_OK ? st : mc_fail(st, b->name, "no device memory for a group of nodes");
}

int32_t mc_device_open(const mc_plan *p, mc_device **out)
{
    int32_t st = MCOMP_OK;
    *out = NULL;
    if (p->n_groups == 0) return MCOMP_OK;
    mc_device *d = mc_calloc((size_t)p->n_groups, sizeof *d);
    if (!d) return MCOMP_NO_MEMORY;
    pthread_mutex_lock(&p->session->registry->lock);
    for (int64_t i = 0; i < p->n_groups && st == MCOMP_OK; i++) st = open_one(backend_of(p, &p->groups[i]), &p->groups[i], &d[i]);
    pthread_mutex_unlock(&p->session->registry->lock);
    if (st == MCOMP_OK) *out = d;
    else mc_device_close(p, d);
    return st;
}

/* ---- run ---- */

static uint64_t run_bytes(const mcomp_bk_buffer *v)
{
    const mc_type t = {.dtype = v->dtype, .rank = v->rank, .dim = {v->dims[0], v->dims[1], v->dims[2], v->dims[3], v->dims[4], v->dims[5], v->dims[6], v->dims[7]}};
    return slot_bytes(&t);
}

int32_t mc_device_run(mcomp_exec *e, const mc_binding *b, const mc_group *g, mc_device *d)
{
    int32_t st = MCOMP_OK;
    const mc_session_backend *k = backend_of(b->plan->plan, g);
    for (int32_t i = 0; i < g->n_args; i++) {
        const mc_group_arg *a = &g->args[i];
        e->args[i] = b->val[a->slot];
        e->args[i].data = d->buffers[i];
        if (a->role == MC_ROLE_IN)
            MC_TRY(k->api->upload(k->instance, d->stream, d->buffers[i], mc_exec_data(e, b, a->slot), run_bytes(&b->val[a->slot])));
    }
    const mcomp_run_args args = {.size = sizeof args, .n_buffers = g->n_args, .buffers = e->args, .scratch = d->scratch,
                                 .pool = (mcomp_bk_pool *)(void *)e->session->pool, .stream = d->stream};
    MC_TRY(k->api->run(g->program, &args));
    for (int32_t i = 0; i < g->n_args; i++)
        if (g->args[i].role == MC_ROLE_OUT)
            MC_TRY(k->api->download(k->instance, d->stream, mc_exec_data(e, b, g->args[i].slot), d->buffers[i], run_bytes(&b->val[g->args[i].slot])));
    if (k->api->synchronize) MC_TRY(k->api->synchronize(k->instance, d->stream));
done:
    return st;
}
