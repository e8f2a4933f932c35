/* A device with memory of its own: its pointers are masked, so the host cannot read what is behind them. Offers Relu, Add of equal
 * shapes, MatMul with a constant second operand, and Reshape, in groups of any size. Leaks are caught: destroy fails loudly (it
 * crashes) when buffers or streams are left. */
#include <mcomp/backend.h>

#include <string.h>

#define MASK ((uintptr_t)0xa5a5000000000000u)
#define MAX_NODES 64

static const mcomp_host_api *host;

struct mcomp_bk_instance {
    int64_t buffers, streams;
};
struct mcomp_bk_stream {
    int64_t copies;
};

typedef struct op {
    char kind; /* R A M V */
    int32_t a, b, y;
    int64_t k, n;
    float *w;
} op;

struct mcomp_bk_program {
    int32_t n;
    op ops[MAX_NODES];
};

static void *real(const void *p) { return p ? (void *)((uintptr_t)p ^ MASK) : NULL; }

static int32_t score(void) { return 5; }

static int32_t create(mcomp_bk_instance **out, int32_t device, const char *const *keys, const char *const *values, int32_t n)
{
    (void)device, (void)keys, (void)values, (void)n;
    *out = host->alloc(sizeof **out);
    if (!*out) return MCOMP_NO_MEMORY;
    memset(*out, 0, sizeof **out);
    return MCOMP_OK;
}

static void destroy(mcomp_bk_instance *b)
{
    if (b->buffers || b->streams) __builtin_trap();
    host->release(b);
}

static char kind_of(const mcomp_bk_node *n)
{
    const char *name = host->node_op(n);
    if (host->node_domain(n)[0] || !host->node_input(n, 0) || host->value_dtype(host->node_input(n, 0)) != MCOMP_F32) return 0;
    if (strcmp(name, "Relu") == 0) return 'R';
    if (strcmp(name, "Reshape") == 0) return 'V';
    if (strcmp(name, "MatMul") == 0 && host->value_const(host->node_input(n, 1)) && host->value_rank(host->node_input(n, 1)) == 2) return 'M';
    if (strcmp(name, "Add") == 0) {
        int64_t a[MCOMP_MAX_RANK], b[MCOMP_MAX_RANK];
        host->value_dims(host->node_input(n, 0), a);
        host->value_dims(host->node_input(n, 1), b);
        if (host->value_rank(host->node_input(n, 0)) == host->value_rank(host->node_input(n, 1)) && memcmp(a, b, sizeof a) == 0) return 'A';
    }
    return 0;
}

static int32_t claim(mcomp_bk_instance *b, const mcomp_bk_node *n, mcomp_claim *out)
{
    (void)b;
    const char kind = kind_of(n);
    if (!kind) return 0;
    out->cost_us = 0.01;
    strcpy(out->kernel, "device:x");
    out->kernel[7] = kind;
    return 1;
}

static int32_t slot(const mcomp_bk_compile *c, const mcomp_bk_value *v)
{
    for (int32_t i = 0; i < c->n_values; i++)
        if (c->values[i] == v) return i;
    return -1;
}

static void program_destroy(mcomp_bk_program *p)
{
    for (int32_t i = 0; i < p->n; i++) host->release(p->ops[i].w);
    host->release(p);
}

static int32_t compile(mcomp_bk_instance *b, const mcomp_bk_compile *c, mcomp_bk_program **out)
{
    (void)b;
    *out = NULL;
    if (c->n_nodes > MAX_NODES) return host->fail(MCOMP_LIMIT, "fakedev", "group too large");
    mcomp_bk_program *p = host->alloc(sizeof *p);
    if (!p) return MCOMP_NO_MEMORY;
    memset(p, 0, sizeof *p);
    for (int32_t i = 0; i < c->n_nodes; i++) {
        const mcomp_bk_node *n = c->nodes[i];
        op *o = &p->ops[p->n++];
        o->kind = kind_of(n);
        o->a = slot(c, host->node_input(n, 0));
        o->b = slot(c, host->node_input(n, 1));
        o->y = slot(c, host->node_output(n, 0));
        if (o->kind == 'M') {
            int64_t d[MCOMP_MAX_RANK];
            host->value_dims(host->node_input(n, 1), d);
            o->k = d[0];
            o->n = d[1];
            o->w = host->alloc((uint64_t)(o->k * o->n) * 4);
            if (!o->w) {
                program_destroy(p);
                return MCOMP_NO_MEMORY;
            }
            memcpy(o->w, host->value_const(host->node_input(n, 1)), (size_t)(o->k * o->n) * 4);
        }
    }
    *out = p;
    return MCOMP_OK;
}

static int32_t program_info(const mcomp_bk_program *p, mcomp_program_info *out)
{
    (void)p;
    out->scratch_bytes = 100;
    return MCOMP_OK;
}

static int64_t elements(const mcomp_bk_buffer *b)
{
    int64_t n = 1;
    for (int32_t i = 0; i < b->rank; i++) n *= b->dims[i];
    return n;
}

static int32_t run(const mcomp_bk_program *p, const mcomp_run_args *a)
{
    if (!a->stream || a->stream->copies < 1) return host->fail(MCOMP_DEVICE, "fakedev", "nothing was uploaded on the stream");
    memset(real(a->scratch), 1, 100);
    for (int32_t i = 0; i < p->n; i++) {
        const op *o = &p->ops[i];
        const float *x = real(a->buffers[o->a].data), *z = o->kind == 'A' ? real(a->buffers[o->b].data) : NULL;
        float *y = real(a->buffers[o->y].data);
        const int64_t n = elements(&a->buffers[o->y]);
        if (o->kind == 'R') {
            for (int64_t j = 0; j < n; j++) y[j] = x[j] > 0.0f ? x[j] : 0.0f;
        } else if (o->kind == 'A') {
            for (int64_t j = 0; j < n; j++) y[j] = x[j] + z[j];
        } else if (o->kind == 'V') {
            memcpy(y, x, (size_t)n * 4);
        } else {
            if (a->buffers[o->b].data) return host->fail(MCOMP_DEVICE, "fakedev", "a constant was given a buffer");
            for (int64_t j = 0; j < n; j++) {
                y[j] = 0.0f;
                for (int64_t k = 0; k < o->k; k++) y[j] += x[j / o->n * o->k + k] * o->w[k * o->n + j % o->n];
            }
        }
    }
    return MCOMP_OK;
}

static int32_t buffer_alloc(mcomp_bk_instance *b, uint64_t bytes, void **out)
{
    void *p = host->alloc(bytes);
    if (!p) return MCOMP_NO_MEMORY;
    b->buffers++;
    *out = (void *)((uintptr_t)p ^ MASK);
    return MCOMP_OK;
}
static void buffer_free(mcomp_bk_instance *b, void *p)
{
    b->buffers--;
    host->release(real(p));
}
static int32_t upload(mcomp_bk_instance *b, mcomp_bk_stream *s, void *device, const void *from, uint64_t bytes)
{
    (void)b;
    s->copies++;
    memcpy(real(device), from, (size_t)bytes);
    return MCOMP_OK;
}
static int32_t download(mcomp_bk_instance *b, mcomp_bk_stream *s, void *to, const void *device, uint64_t bytes)
{
    (void)b;
    s->copies++;
    memcpy(to, real(device), (size_t)bytes);
    return MCOMP_OK;
}
static int32_t stream_create(mcomp_bk_instance *b, mcomp_bk_stream **out)
{
    *out = host->alloc(sizeof **out);
    if (!*out) return MCOMP_NO_MEMORY;
    (*out)->copies = 0;
    b->streams++;
    return MCOMP_OK;
}
static void stream_destroy(mcomp_bk_instance *b, mcomp_bk_stream *s)
{
    b->streams--;
    host->release(s);
}
static int32_t synchronize(mcomp_bk_instance *b, mcomp_bk_stream *s)
{
    (void)b, (void)s;
    return MCOMP_OK;
}

__attribute__((visibility("default"))) const mcomp_backend_api *mcomp_backend_entry(const mcomp_host_api *h)
{
    static const mcomp_backend_api api = {
        .size = sizeof(mcomp_backend_api), .abi_major = MCOMP_BACKEND_ABI_MAJOR, .abi_minor = MCOMP_BACKEND_ABI_MINOR,
        .flags = MCOMP_BACKEND_OWN_MEMORY, .name = "fakedev", .vendor = "tests", .version = "1", .score = score, .create = create,
        .destroy = destroy, .claim = claim, .compile = compile, .program_destroy = program_destroy, .program_info = program_info,
        .run = run, .buffer_alloc = buffer_alloc, .buffer_free = buffer_free, .upload = upload, .download = download,
        .stream_create = stream_create, .stream_destroy = stream_destroy, .synchronize = synchronize,
    };
    host = h;
    return &api;
}
