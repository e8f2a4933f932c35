/* The built-in backend: the table that a plugin would have, over the rows of cpu.def. Programs hold one node. */
#include "backends/cpu/cpu.h"
#include <mcomp/version.h>

#include <stdio.h>

#define MC_CPU_IMPL(symbol, file) extern const mc_cpu_impl mc_cpu_##symbol;
#include "backends/cpu/cpu.def"
#undef MC_CPU_IMPL

static const mc_cpu_impl *const impls[] = {
#define MC_CPU_IMPL(symbol, file) &mc_cpu_##symbol,
#include "backends/cpu/cpu.def"
#undef MC_CPU_IMPL
};

static const mcomp_host_api *host;
static const mc_node *(*node_of)(const mcomp_bk_node *n);

struct mcomp_bk_program {
    mc_cpu_step step;
};

int64_t mc_cpu_elements(const mcomp_bk_buffer *b)
{
    int64_t n = 1;
    for (int32_t i = 0; i < b->rank; i++) n *= b->dims[i];
    return n;
}

void mc_cpu_claim_name(mcomp_claim *c, const char *name, const char *tier)
{
    snprintf(c->kernel, sizeof c->kernel, "%s:%s", name, tier);
}

/* Cheapest implementation of a node; NULL when there is none. st is an error of a claim. */
static const mc_cpu_impl *choose(const mc_node *n, mcomp_claim *best, int32_t *st)
{
    const mc_cpu_impl *found = NULL;
    *st = MCOMP_OK;
    for (size_t i = 0; i < sizeof impls / sizeof *impls; i++) {
        const mc_cpu_impl *m = impls[i];
        mcomp_claim c = {.size = sizeof c};
        if (m->op && (strcmp(m->op, n->op) != 0 || strcmp(m->domain, n->domain) != 0)) continue;
        const int32_t r = m->claim(n, &c);
        if (r < 0) {
            *st = r;
            return NULL;
        }
        if (r == 0 || (found && c.cost_us >= best->cost_us)) continue;
        found = m;
        *best = c;
    }
    return found;
}

static int32_t score(void) { return 1; }

static int32_t create(mcomp_bk_instance **out, int32_t device, const char *const *keys, const char *const *values, int32_t n)
{
    (void)device;
    (void)values;
    if (n > 0) return host->fail(MCOMP_ARGUMENT, keys[0], "the cpu backend has no options");
    *out = (mcomp_bk_instance *)(void *)(uintptr_t)&host; /* no state of its own */
    return MCOMP_OK;
}

static void destroy(mcomp_bk_instance *b) { (void)b; }

static int32_t claim(mcomp_bk_instance *b, const mcomp_bk_node *n, mcomp_claim *out)
{
    int32_t st;
    const uint32_t size = out->size;
    (void)b;
    const mc_cpu_impl *m = choose(node_of(n), out, &st);
    out->size = size;
    return st != MCOMP_OK ? st : m != NULL;
}

static int32_t slot_of(const mcomp_bk_compile *c, const mc_value *v)
{
    for (int32_t i = 0; v && i < c->n_values; i++)
        if ((const mc_value *)(const void *)c->values[i] == v) return i;
    return -1;
}

static void program_destroy(mcomp_bk_program *p)
{
    if (!p) return;
    if (p->step.impl && p->step.impl->release) p->step.impl->release(&p->step);
    else mc_free(p->step.state);
    mc_free(p->step.in);
    mc_free(p->step.out);
    mc_free(p);
}

static int32_t compile(mcomp_bk_instance *b, const mcomp_bk_compile *c, mcomp_bk_program **out)
{
    int32_t st = MCOMP_OK;
    mcomp_claim best = {.size = sizeof best};
    (void)b;
    *out = NULL;
    if (c->n_nodes != 1) return host->fail(MCOMP_INTERNAL, "cpu", "programs of the cpu backend hold one node");
    mcomp_bk_program *p = mc_calloc(1, sizeof *p);
    if (!p) return MCOMP_NO_MEMORY;
    mc_cpu_step *s = &p->step;
    const mc_node *n = node_of(c->nodes[0]);
    s->node = n;
    s->host = host;
    s->kernels = mc_kernels_for(mc_cpu_isa());
    s->store = c->store;
    s->threads = c->threads;
    s->bf16 = (int32_t)mc_attr_i(n, "bf16", 0);
    s->n_in = n->n_in;
    s->n_out = n->n_out;
    s->in = mc_calloc((size_t)n->n_in + 1, sizeof *s->in);
    s->out = mc_calloc((size_t)n->n_out + 1, sizeof *s->out);
    if (!s->in || !s->out) MC_FAIL(MCOMP_NO_MEMORY, n->name, "no memory for a step");
    for (int32_t i = 0; i < n->n_in; i++) s->in[i] = slot_of(c, n->in[i]);
    for (int32_t i = 0; i < n->n_out; i++) s->out[i] = slot_of(c, n->out[i]);
    s->impl = choose(n, &best, &st);
    if (st != MCOMP_OK) goto done;
    if (!s->impl) MC_FAIL(MCOMP_UNSUPPORTED, n->name, "operator %s has no kernel", n->op);
    if (s->impl->prepare) MC_TRY(s->impl->prepare(s));
    s->store = NULL;
    *out = p;
    return MCOMP_OK;
done:
    program_destroy(p);
    return st;
}

static int32_t program_info(const mcomp_bk_program *p, mcomp_program_info *out)
{
    out->scratch_bytes = p->step.scratch_bytes;
    out->scratch_per_worker_bytes = p->step.worker_scratch_bytes;
    return MCOMP_OK;
}

static int32_t run(const mcomp_bk_program *p, const mcomp_run_args *a) { return p->step.impl->run(&p->step, a); }

const mcomp_backend_api *mc_cpu_backend_entry(const mcomp_host_api *h)
{
    static const mcomp_backend_api api = {
        .size = sizeof(mcomp_backend_api), .abi_major = MCOMP_BACKEND_ABI_MAJOR, .abi_minor = MCOMP_BACKEND_ABI_MINOR,
        .name = "cpu", .vendor = "libmcomp", .version = MCOMP_VERSION_STRING, .score = score, .create = create,
        .destroy = destroy, .claim = claim, .compile = compile, .program_destroy = program_destroy,
        .program_info = program_info, .run = run,
    };
    host = h;
    node_of = (const mc_node *(*)(const mcomp_bk_node *))h->get_proc("node");
    return &api;
}
