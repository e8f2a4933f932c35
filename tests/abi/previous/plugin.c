/* plugin.c - a backend of yesterday, for Relu and MatMul with a constant second operand, so that every part of the interface is used once:
 * attributes and types of nodes, packed constants, both kinds of scratch, parallel_for. Frozen with the headers (README.md). */
#include <mcomp/backend.h>

#include <stddef.h>
#include <string.h>

static const mcomp_host_api *host;

struct mcomp_bk_program {
    int32_t relu, n_in;
    int64_t k, n;
    const float *packed; /* [n][k]: W transposed */
};

typedef struct fill_ctx {
    const float *w;
    int64_t k, n;
} fill_ctx;

static int32_t score(void)
{
    return 10;
}

static int32_t create(mcomp_bk_instance **out, int32_t device, const char *const *keys, const char *const *values, int32_t n)
{
    (void)device;
    (void)keys;
    (void)values;
    (void)n;
    *out = host->alloc(16);
    return *out ? MCOMP_OK : MCOMP_NO_MEMORY;
}

static void destroy(mcomp_bk_instance *b) { host->release(b); }

static int32_t self_test(mcomp_bk_instance *b)
{
    (void)b;
    return MCOMP_OK;
}

static int is_f32(const mcomp_bk_value *v) { return v && host->value_dtype(v) == MCOMP_F32; }

static int32_t claim(mcomp_bk_instance *b, const mcomp_bk_node *n, mcomp_claim *out)
{
    (void)b;
    const int relu = strcmp(host->node_op(n), "Relu") == 0;
    const int matmul = strcmp(host->node_op(n), "MatMul") == 0;
    if ((!relu && !matmul) || host->node_domain(n)[0] || !is_f32(host->node_input(n, 0))) return 0;
    if (matmul && (!host->value_const(host->node_input(n, 1)) || host->value_rank(host->node_input(n, 1)) != 2)) return 0;
    out->cost_us = 0.001;
    out->inplace_input = relu ? 1 : 0;
    strcpy(out->kernel, relu ? "fake:relu" : "fake:dot");
    return 1;
}

static int32_t fill(void *ctx, void *block)
{
    const fill_ctx *f = ctx;
    float *p = block;
    for (int64_t j = 0; j < f->n; j++)
        for (int64_t i = 0; i < f->k; i++) p[j * f->k + i] = f->w[i * f->n + j];
    return MCOMP_OK;
}

static int32_t compile(mcomp_bk_instance *b, const mcomp_bk_compile *c, mcomp_bk_program **out)
{
    (void)b;
    const mcomp_bk_node *n = c->nodes[0];
    mcomp_bk_program *p = host->alloc(sizeof *p);
    *out = NULL;
    if (!p) return MCOMP_NO_MEMORY;
    memset(p, 0, sizeof *p);
    p->relu = strcmp(host->node_op(n), "Relu") == 0;
    if (!p->relu) {
        int64_t dims[MCOMP_MAX_RANK];
        const mcomp_bk_value *w = host->node_input(n, 1);
        host->value_dims(w, dims);
        p->k = dims[0];
        p->n = dims[1];
        fill_ctx f = {host->value_const(w), p->k, p->n};
        const void *block = NULL;
        char key[48] = "fake:";
        uint64_t h = host->value_key(w);
        for (size_t i = 5; h; i++, h /= 16) {
            key[i] = "0123456789abcdef"[h % 16];
            key[i + 1] = 0;
        }
        const int32_t st = host->pack(c->store, key, (uint64_t)(p->k * p->n) * 4, fill, &f, &block);
        if (st != MCOMP_OK) {
            host->release(p);
            return st;
        }
        p->packed = block;
    }
    *out = p;
    return MCOMP_OK;
}

static void program_destroy(mcomp_bk_program *p) { host->release(p); }

static int32_t program_info(const mcomp_bk_program *p, mcomp_program_info *out)
{
    out->scratch_bytes = p->relu ? 0 : (uint64_t)p->n * 4;
    out->scratch_per_worker_bytes = p->relu ? 0 : 4;
    return MCOMP_OK;
}

typedef struct rows {
    const mcomp_bk_program *p;
    const mcomp_run_args *a;
} rows;

static void row(void *ctx, int64_t task, int32_t worker)
{
    const rows *r = ctx;
    const mcomp_bk_program *p = r->p;
    const float *x = (const float *)r->a->buffers[0].data + task * p->k;
    float *y = (float *)r->a->buffers[2].data + task * p->n;
    float *sum = (float *)(void *)((uint8_t *)r->a->worker_scratch + (uint64_t)worker * r->a->worker_scratch_stride);
    for (int64_t j = 0; j < p->n; j++) {
        *sum = 0.0f;
        for (int64_t i = 0; i < p->k; i++) *sum += x[i] * p->packed[j * p->k + i];
        y[j] = *sum;
    }
}

static int64_t elements(const mcomp_bk_buffer *b)
{
    int64_t n = 1;
    for (int32_t i = 0; i < b->rank; i++) n *= b->dims[i];
    return n;
}

static int32_t run(const mcomp_bk_program *p, const mcomp_run_args *a)
{
    if (p->relu) {
        const float *x = a->buffers[0].data;
        float *y = a->buffers[1].data;
        for (int64_t i = 0; i < elements(&a->buffers[1]); i++) y[i] = x[i] > 0.0f ? x[i] : 0.0f;
        return MCOMP_OK;
    }
    rows r = {p, a};
    if (((uintptr_t)a->scratch & 63) != 0 || !a->scratch) return host->fail(MCOMP_INTERNAL, "fake", "scratch is missing or not aligned");
    memset(a->scratch, 255, (size_t)p->n * 4); /* it is ours */
    host->parallel_for(a->pool, elements(&a->buffers[0]) / p->k, row, &r);
    return MCOMP_OK;
}

static const mcomp_backend_api api = {
    .size = sizeof(mcomp_backend_api),
    .abi_major = MCOMP_BACKEND_ABI_MAJOR,
    .abi_minor = MCOMP_BACKEND_ABI_MINOR,
    .name = "fake", .vendor = "tests", .version = "1.2", .score = score, .create = create, .destroy = destroy, .self_test = self_test,
    .claim = claim, .compile = compile, .program_destroy = program_destroy, .program_info = program_info, .run = run,
};

__attribute__((visibility("default"))) const mcomp_backend_api *mcomp_backend_entry(const mcomp_host_api *h)
{
    host = h;
    if (h->abi_major != MCOMP_BACKEND_ABI_MAJOR || h->size < offsetof(mcomp_host_api, get_proc)) return NULL;
    return &api;
}
