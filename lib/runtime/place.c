/* Placement: every usable backend is asked for every node; the cheapest claim gets it (or the backend that the user named, where
 * it claims), and is asked to compile a program of that one node. */
#include "runtime/device.h"

#include <stdio.h>

static const mcomp_bk_node *bk_node(const mc_node *n) { return (const mcomp_bk_node *)(const void *)n; }

/* Slots that the program reads or writes, each once. */
static int32_t make_args(const mc_plan *p, mc_step *s)
{
    const mc_node *n = s->node;
    s->args = mc_malloc((size_t)(n->n_in + n->n_out + 1) * sizeof *s->args);
    if (!s->args) return MCOMP_NO_MEMORY;
    for (int32_t i = 0; i < n->n_in + n->n_out; i++) {
        const mc_value *v = i < n->n_in ? n->in[i] : n->out[i - n->n_in];
        if (!v || (i >= n->n_in && !mc_output_wanted(n, i - n->n_in))) continue;
        const int32_t slot = p->slot_of[v->id];
        int32_t k = 0;
        while (k < s->n_args && s->args[k] != slot) k++;
        if (k == s->n_args) s->args[s->n_args++] = slot;
    }
    return MCOMP_OK;
}

/* What a backend answered: yes (1), no (0, perhaps with a reason). */
typedef struct answer {
    mcomp_claim claim;
    int32_t said;
    char no[100];
} answer;

static void explain(const mcomp_session *x, mc_step *s, const answer *answers, int32_t chosen)
{
    const mcomp_claim *claim = &answers[chosen].claim;
    int used = snprintf(s->why, sizeof s->why, "cost %.3g us", claim->cost_us);
    for (int32_t i = 0; i < x->n_backends; i++) { /* also of one that was not chosen: it speaks of the node */
        if (answers[i].said <= 0 || !answers[i].claim.note[0]) continue;
        used += snprintf(s->why + used, sizeof s->why - (size_t)used, "; %.100s", answers[i].claim.note);
        break;
    }
    for (int32_t i = 0; i < x->n_backends; i++) {
        if (i == chosen || used < 0 || (size_t)used >= sizeof s->why) continue;
        char *at = s->why + used;
        const size_t left = sizeof s->why - (size_t)used;
        if (answers[i].said > 0) used += snprintf(at, left, "; %s %.3g us", x->backends[i].name, answers[i].claim.cost_us);
        else if (answers[i].no[0]) used += snprintf(at, left, "; %s refuses: %s", x->backends[i].name, answers[i].no);
        else used += snprintf(at, left, "; %s does not offer it", x->backends[i].name);
    }
    memcpy(s->kernel, claim->kernel, sizeof s->kernel);
    s->kernel[sizeof s->kernel - 1] = 0;
    s->backend = x->backends[chosen].name;
    s->api = x->backends[chosen].api;
    s->cost_us = claim->cost_us;
    s->integer = claim->integer;
    if (s->integer) s->dtype = "int8";
}

static int32_t use_reference(mc_step *s)
{
    if (!s->node->desc->forward) return mc_fail(MCOMP_UNSUPPORTED, s->node->name, "operator %s has no reference", s->node->op);
    snprintf(s->kernel, sizeof s->kernel, "ref:%s", s->node->op);
    snprintf(s->why, sizeof s->why, "references were asked for");
    /* an element of input 0 is read before the same element of the output is written */
    s->inplace = (s->node->desc->traits & MC_OP_ELEMENTWISE) && s->node->n_in <= 2 && s->node->in[0] ? 0 : -1;
    return MCOMP_OK;
}

static int32_t ask(const mc_session_backend *b, const mc_step *s, answer *a)
{
    const mcomp_error *e = mc_error_peek();
    *a = (answer){.claim = {.size = sizeof a->claim}};
    if (b->api->flags & MCOMP_BACKEND_OWN_MEMORY) return MCOMP_OK; /* devices took their groups before */
    mc_error_clear();
    a->said = b->api->claim(b->instance, bk_node(s->node), &a->claim);
    if (a->said < 0) return mc_fail(a->said, s->node->name, "backend %s failed to look at operator %s", b->name, s->node->op);
    if (a->said == 0 && e->code) snprintf(a->no, sizeof a->no, "%.99s", e->message);
    mc_error_clear();
    return MCOMP_OK;
}

static int32_t choose(const mcomp_session *x, mc_step *s, int32_t *chosen)
{
    int32_t st = MCOMP_OK;
    answer answers[MC_MAX_BACKENDS];
    *chosen = -1;
    for (int32_t i = 0; i < x->n_backends; i++) {
        MC_TRY(ask(&x->backends[i], s, &answers[i]));
        if (answers[i].said == 0) continue;
        if (*chosen < 0 || i == x->preferred || (*chosen != x->preferred && answers[i].claim.cost_us < answers[*chosen].claim.cost_us)) *chosen = i;
    }
    if (*chosen < 0) return mc_fail(MCOMP_UNSUPPORTED, s->node->name, "operator %s has no kernel for these types", s->node->op);
    explain(x, s, answers, *chosen);
    const int32_t in = answers[*chosen].claim.inplace_input - 1;
    s->inplace = in >= 0 && in < s->node->n_in && s->node->in[in] ? in : -1;
done:
    return st;
}

static int32_t compile(mc_plan *p, mc_step *s, int32_t chosen, const mcomp_bk_value **values)
{
    int32_t st = MCOMP_OK;
    mcomp_session *x = p->session;
    const mcomp_bk_node *node = bk_node(s->node);
    mcomp_program_info info = {.size = sizeof info};
    for (int32_t i = 0; i < s->n_args; i++) values[i] = (const mcomp_bk_value *)(const void *)p->slot_value[s->args[i]];
    const mcomp_bk_compile c = {.size = sizeof c, .n_nodes = 1, .nodes = &node, .n_values = s->n_args, .values = values,
                                .store = (mcomp_bk_store *)(void *)x->store, .threads = mc_pool_threads(x->pool)};
    st = s->api->compile(x->backends[chosen].instance, &c, &s->program);
    if (st != MCOMP_OK) return mc_fail(st, s->node->name, "backend %s cannot compile operator %s", s->backend, s->node->op);
    MC_TRY(s->api->program_info(s->program, &info));
    s->scratch_bytes = info.scratch_bytes;
    s->worker_stride = (info.scratch_per_worker_bytes + 63) & ~(uint64_t)63;
done:
    return st;
}

int32_t mc_plan_place(mc_plan *p)
{
    int32_t st = MCOMP_OK;
    const mcomp_bk_value **values = NULL;
    for (int64_t i = 0; i < p->n_steps; i++) {
        mc_op_cost cost = {0};
        mc_step *s = &p->steps[i];
        MC_TRY(make_args(p, s));
        if (s->n_args > p->max_args) p->max_args = s->n_args;
        if (s->kind != MC_STEP_KERNEL && s->kind != MC_STEP_EVAL) continue;
        if (mc_op_count(s->node, &cost) == MCOMP_OK) s->macs = cost.macs;
        p->macs += s->macs;
    }
    values = mc_malloc((size_t)(p->max_args + 1) * sizeof *values);
    if (!values) return MCOMP_NO_MEMORY;
    pthread_mutex_lock(&p->session->registry->lock);
    st = mc_device_place(p);
    for (int64_t i = 0; i < p->n_steps && st == MCOMP_OK; i++) {
        mc_step *s = &p->steps[i];
        int32_t chosen;
        if (s->kind != MC_STEP_KERNEL) continue;
        if (p->session->references) {
            st = use_reference(s);
            continue;
        }
        st = choose(p->session, s, &chosen);
        if (st == MCOMP_OK) st = compile(p, s, chosen, values);
        if (s->integer) p->integer_macs += s->macs;
    }
    pthread_mutex_unlock(&p->session->registry->lock);
done:
    mc_free(values);
    return st;
}
