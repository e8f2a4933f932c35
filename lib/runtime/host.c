/* The host table: what plugins and the built-in backend may ask of the library. Nodes and values of a plan are handed out
 * as opaque pointers to the graph's own structures and read only through these functions. */
#include "runtime/registry.h"

#include "graph/graph.h"
#include "ops/ops.h"

static const mc_node *node_of(const mcomp_bk_node *n) { return (const mc_node *)(const void *)n; }
static const mc_value *value_of(const mcomp_bk_value *v) { return (const mc_value *)(const void *)v; }
static const mcomp_bk_value *value_out(const mc_value *v) { return (const mcomp_bk_value *)(const void *)v; }

static void *host_alloc(uint64_t bytes) { return bytes > SIZE_MAX ? NULL : mc_malloc((size_t)bytes); }
static void host_release(void *p) { mc_free(p); }
static void host_log(int32_t level, const char *text)
{
    (void)level;
    (void)text; /* the library prints nothing; contexts with a log callback report through mc_context_log */
}
static int32_t host_fail(int32_t code, const char *where, const char *message)
{
    return mc_fail(code, where, "%s", message ? message : "");
}

static void host_parallel_for(mcomp_bk_pool *pool, int64_t n, mcomp_bk_task_fn fn, void *ctx)
{
    mc_parallel_for((mc_pool *)(void *)pool, n, fn, ctx);
}
static int32_t host_threads(const mcomp_bk_pool *pool)
{
    return pool ? mc_pool_threads((const mc_pool *)(const void *)pool) : 1;
}
static int32_t host_isa(void) { return (int32_t)mc_isa_tier(mc_cpu_isa()); }
static int32_t host_bf16(void) { return mc_cpu_has_bf16() ? 1 : 0; }

static const char *host_node_name(const mcomp_bk_node *n) { return node_of(n)->name; }
static const char *host_node_domain(const mcomp_bk_node *n) { return node_of(n)->domain; }
static const char *host_node_op(const mcomp_bk_node *n) { return node_of(n)->op; }
static int32_t host_n_inputs(const mcomp_bk_node *n) { return node_of(n)->n_in; }
static int32_t host_n_outputs(const mcomp_bk_node *n) { return node_of(n)->n_out; }

static const mcomp_bk_value *host_input(const mcomp_bk_node *n, int32_t i)
{
    const mc_node *node = node_of(n);
    return i >= 0 && i < node->n_in ? value_out(node->in[i]) : NULL;
}

static const mcomp_bk_value *host_output(const mcomp_bk_node *n, int32_t i)
{
    const mc_node *node = node_of(n);
    if (i < 0 || i >= node->n_out || !node->out[i]) return NULL;
    const mc_value *v = node->out[i];
    return i == 0 || v->n_uses > 0 || (v->flags & MC_VALUE_OUTPUT) ? value_out(v) : NULL;
}

static int64_t host_attr_int(const mcomp_bk_node *n, const char *name, int64_t otherwise)
{
    return mc_attr_i(node_of(n), name, otherwise);
}
static double host_attr_float(const mcomp_bk_node *n, const char *name, double otherwise)
{
    return mc_node_attr(node_of(n), name) ? (double)mc_attr_f(node_of(n), name, 0.0f) : otherwise;
}
static const char *host_attr_string(const mcomp_bk_node *n, const char *name, const char *otherwise)
{
    return mc_attr_s(node_of(n), name, otherwise);
}
static int32_t host_attr_ints(const mcomp_bk_node *n, const char *name, int64_t *out, int32_t cap)
{
    int64_t count = 0;
    const int64_t *v = mc_attr_ints(node_of(n), name, &count);
    if (!v && !mc_node_attr(node_of(n), name)) return -1;
    for (int64_t i = 0; i < count && i < cap; i++) out[i] = v[i];
    return count > INT32_MAX ? INT32_MAX : (int32_t)count;
}

static int32_t host_value_dtype(const mcomp_bk_value *v) { return value_of(v)->type.dtype; }
static int32_t host_value_rank(const mcomp_bk_value *v) { return value_of(v)->type.rank; }
static void host_value_dims(const mcomp_bk_value *v, int64_t dims[MCOMP_MAX_RANK])
{
    const mc_type *t = &value_of(v)->type;
    for (int32_t i = 0; i < MCOMP_MAX_RANK; i++) dims[i] = i < t->rank ? t->dim[i] : 1;
}
static const void *host_value_const(const mcomp_bk_value *v)
{
    const mc_tensor *t = mc_value_const(value_of(v));
    return t ? t->data : NULL;
}

/* Weights are shared between the plans of a session, so the address of their bytes identifies them there. */
static uint64_t host_value_key(const mcomp_bk_value *v)
{
    const mc_tensor *t = mc_value_const(value_of(v));
    if (!t) return 0;
    const uint64_t bytes = mc_tensor_bytes(t);
    if (bytes <= 4096) { /* small constants may be rebuilt by each plan: identify them by content */
        const uint64_t h = mc_hash64(t->data, (size_t)bytes, (uint64_t)t->dtype * 0x9e3779b97f4a7c15u + bytes);
        return h ? h : 1;
    }
    return (uint64_t)(uintptr_t)t->data;
}

/* ---- packed constants ---- */

typedef struct store_block {
    void *data;
    uint64_t bytes;
} store_block;

struct mc_store {
    mc_map *names; /* key -> block index */
    store_block *blocks;
    int64_t n, cap;
    uint64_t bytes;
};

mc_store *mc_store_create(void)
{
    mc_store *s = mc_calloc(1, sizeof *s);
    if (!s) return NULL;
    s->names = mc_map_create();
    if (!s->names) {
        mc_free(s);
        return NULL;
    }
    return s;
}

void mc_store_destroy(mc_store *s)
{
    if (!s) return;
    for (int64_t i = 0; i < s->n; i++) mc_free(s->blocks[i].data);
    mc_free(s->blocks);
    mc_map_destroy(s->names);
    mc_free(s);
}

uint64_t mc_store_bytes(const mc_store *s) { return s ? s->bytes : 0; }

/* Compiling is serialised by the session, so the store needs no lock of its own. */
static int32_t host_pack(mcomp_bk_store *store, const char *key, uint64_t bytes, int32_t (*fill)(void *ctx, void *block),
                         void *ctx, const void **block)
{
    mc_store *s = (mc_store *)(void *)store;
    int32_t st = MCOMP_OK;
    int64_t at = 0;
    void *data = NULL;
    if (mc_map_get(s->names, key, &at) && s->blocks[at].bytes == bytes) {
        *block = s->blocks[at].data;
        return MCOMP_OK;
    }
    MC_TRY(mc_grow(&s->blocks, &s->cap, s->n + 1, sizeof *s->blocks));
    data = bytes > SIZE_MAX ? NULL : mc_malloc((size_t)bytes);
    if (!data) MC_FAIL(MCOMP_NO_MEMORY, key, "no memory for %llu bytes of packed weights", (unsigned long long)bytes);
    MC_TRY(fill(ctx, data));
    MC_TRY(mc_map_put(s->names, key, s->n));
    s->blocks[s->n++] = (store_block){data, bytes};
    s->bytes += bytes;
    *block = data;
    return MCOMP_OK;
done:
    mc_free(data);
    return st;
}

/* ---- extensions ---- */

static const mc_op *ext_op_desc(const mcomp_bk_node *n) { return node_of(n)->desc; }
static const mc_node *ext_node(const mcomp_bk_node *n) { return node_of(n); }

static void (*host_get_proc(const char *name))(void)
{
    if (strcmp(name, "epilogue_f32") == 0) return (void (*)(void))mc_cpu_epilogue_f32;
    if (strcmp(name, "epilogue_q8") == 0) return (void (*)(void))mc_cpu_epilogue_q8;
    if (strcmp(name, "quantize_q8") == 0) return (void (*)(void))mc_cpu_quantize_q8;
    if (strcmp(name, "op_desc") == 0) return (void (*)(void))ext_op_desc; /* built-in backend only */
    if (strcmp(name, "node") == 0) return (void (*)(void))ext_node;      /* built-in backend only */
    return NULL;
}

const mcomp_host_api *mc_host_api(void)
{
    static const mcomp_host_api api = {
        .size = sizeof(mcomp_host_api), .abi_major = MCOMP_BACKEND_ABI_MAJOR, .abi_minor = MCOMP_BACKEND_ABI_MINOR,
        .alloc = host_alloc, .release = host_release, .log = host_log, .fail = host_fail,
        .parallel_for = host_parallel_for, .threads = host_threads, .cpu_isa = host_isa, .cpu_has_bf16 = host_bf16,
        .node_name = host_node_name, .node_domain = host_node_domain, .node_op = host_node_op,
        .node_n_inputs = host_n_inputs, .node_n_outputs = host_n_outputs, .node_input = host_input,
        .node_output = host_output, .attr_int = host_attr_int, .attr_float = host_attr_float,
        .attr_string = host_attr_string, .attr_ints = host_attr_ints, .value_dtype = host_value_dtype,
        .value_rank = host_value_rank, .value_dims = host_value_dims, .value_const = host_value_const,
        .value_key = host_value_key, .pack = host_pack, .get_proc = host_get_proc,
    };
    return &api;
}
