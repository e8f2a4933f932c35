/* Making, packing for and executing primitives. */
#include "plugin.h"

#include <pthread.h>

#include <stdio.h>
#include <string.h>

/* The OpenMP runtime behind oneDNN, if there is one. */
extern void omp_set_num_threads(int n) __attribute__((weak));

void dn_single_thread(void)
{
    static _Thread_local int done;
    if (!done && omp_set_num_threads) omp_set_num_threads(1);
    done = 1;
}

int32_t dn_fail(int32_t code, const mcomp_bk_node *n, const char *message)
{
    return dn_host->fail(code, n ? dn_host->node_name(n) : "onednn", message);
}

int32_t dn_refuse(const mcomp_bk_node *n, const char *reason)
{
    (void)dn_fail(MCOMP_UNSUPPORTED, n, reason);
    return 0;
}

int32_t dn_slot(const mcomp_bk_compile *c, const mcomp_bk_value *v)
{
    for (int32_t i = 0; v && i < c->n_values; i++)
        if (c->values[i] == v) return i;
    return -1;
}

static int is_reference(const_dnnl_primitive_desc_t pd)
{
    const char *name = dc_impl_name(pd);
    return strncmp(name, "ref", 3) == 0 || strncmp(name, "simple", 6) == 0;
}

/* Of the integer implementations only brgemm's keep sums in s32 to the end; the older kernels pass them through f32, which is
 * exact up to 2^24. */
static int is_exact(const_dnnl_primitive_desc_t pd, int64_t depth)
{
    return strncmp(dc_impl_name(pd), "brg", 3) == 0 || depth * 255 * 128 <= 1 << 24;
}

int dn_usable(dnnl_primitive_desc_t pd, int64_t depth)
{
    const int good = !is_reference(pd) && is_exact(pd, depth);
    dnnl_primitive_desc_destroy(pd);
    return good;
}

int32_t dn_add(mcomp_bk_program *p, dnnl_primitive_desc_t pd, const int64_t key[DN_KEY], int32_t set)
{
    int32_t st = MCOMP_OK;
    dc_md weights = {0};
    if (p->n == DN_MAX_PRIMITIVES) {
        st = dn_host->fail(MCOMP_INTERNAL, "onednn", "too many tile shapes");
        goto done;
    }
    if (is_reference(pd)) {
        st = dn_host->fail(MCOMP_UNSUPPORTED, "onednn", "only a reference implementation for a tile");
        goto done;
    }
    int first = 1;
    for (int32_t i = 0; i < p->n; i++) first &= p->list[i].set != set;
    dn_primitive *k = &p->list[p->n++];
    memcpy(k->key, key, sizeof k->key);
    k->set = set;
    int bad = dc_md_query(&k->src, pd, dnnl_query_src_md) || dc_md_query(&k->dst, pd, dnnl_query_dst_md) ||
              dc_md_query(&k->scratch, pd, dnnl_query_scratchpad_md) || (set >= 0 && dc_md_query(&weights, pd, dnnl_query_weights_md));
    if (!bad) {
        k->scratch_bytes = dc_md_bytes(&k->scratch);
        if (k->scratch_bytes > p->pad_bytes) p->pad_bytes = k->scratch_bytes;
        if (set >= 0 && first) {
            p->weights[set] = weights;
            memset(&weights, 0, sizeof weights);
        } else if (set >= 0) {
            bad = !dc_md_equal(&weights, &p->weights[set]);
        }
    }
    if (!bad) bad = dnnl_primitive_create(&k->p, pd) != dnnl_success;
    if (bad) st = dn_host->fail(MCOMP_INTERNAL, "onednn", "a primitive could not be created");
done:
    dc_md_free(&weights);
    dnnl_primitive_desc_destroy(pd);
    return st;
}

const dn_primitive *dn_find(const mcomp_bk_program *p, const int64_t key[DN_KEY])
{
    for (int32_t i = 0; i < p->n; i++)
        if (memcmp(p->list[i].key, key, sizeof p->list[i].key) == 0) return &p->list[i];
    return NULL;
}

/* A stream belongs to one thread and is destroyed with it. */
static pthread_key_t stream_key;
static int stream_key_made;
static pthread_once_t stream_once = PTHREAD_ONCE_INIT;

static void destroy_stream(void *stream) { (void)dnnl_stream_destroy((dnnl_stream_t)stream); }
static void make_stream_key(void) { stream_key_made = pthread_key_create(&stream_key, destroy_stream) == 0; }

static dnnl_stream_t stream_of(dnnl_engine_t engine)
{
    static _Thread_local dnnl_stream_t stream;
    static _Thread_local dnnl_engine_t owner;
    if (stream && owner == engine) return stream;
    (void)pthread_once(&stream_once, make_stream_key);
    if (!stream_key_made) return NULL;
    if (stream) dnnl_stream_destroy(stream);
    stream = NULL;
    owner = engine;
    if (dnnl_stream_create(&stream, engine, dnnl_stream_default_flags) != dnnl_success) stream = NULL;
    (void)pthread_setspecific(stream_key, stream);
    return stream;
}

static int execute(dnnl_engine_t engine, dnnl_primitive_t primitive, int n, const dc_md *const *md, void *const *data, const int *arg)
{
    dnnl_memory_t memory[4] = {NULL};
    dnnl_exec_arg_t args[4];
    dnnl_stream_t stream = stream_of(engine);
    int bad = stream == NULL;
    dn_single_thread();
    for (int i = 0; i < n && !bad; i++) {
        bad = dc_memory(&memory[i], md[i], engine, data[i]);
        args[i].arg = arg[i];
        args[i].memory = memory[i];
    }
    if (!bad) bad = dnnl_primitive_execute(primitive, stream, n, args) != dnnl_success || dnnl_stream_wait(stream) != dnnl_success;
    for (int i = 0; i < n; i++)
        if (memory[i]) dnnl_memory_destroy(memory[i]);
    return bad;
}

int32_t dn_execute(const mcomp_bk_program *p, const dn_primitive *k, int64_t part, const void *src, void *dst, void *scratch)
{
    union { /* the library takes sources as plain pointers and does not write to them */
        const void *c;
        void *v;
    } from = {src}, weights = {p->packed[part]};
    const dc_md *md[4] = {&k->src, &k->dst};
    void *data[4] = {from.v, dst};
    int arg[4] = {DNNL_ARG_SRC, DNNL_ARG_DST}, n = 2;
    if (k->set >= 0) {
        md[n] = &p->weights[k->set];
        data[n] = weights.v;
        arg[n++] = DNNL_ARG_WEIGHTS;
    }
    if (k->scratch_bytes > 0) {
        md[n] = &k->scratch;
        data[n] = scratch;
        arg[n++] = DNNL_ARG_SCRATCHPAD;
    }
    if (execute(p->b->engine, k->p, n, md, data, arg)) return dn_host->fail(MCOMP_INTERNAL, "onednn", "a primitive failed");
    return MCOMP_OK;
}

static void work_task(void *ctx, int64_t index, int32_t worker)
{
    dn_work *w = ctx;
    const int32_t st = w->task(w, index, worker);
    if (st != MCOMP_OK) __atomic_store_n(&w->status, st, __ATOMIC_RELAXED);
}

int32_t dn_work_run(dn_work *w, int64_t tasks, int here)
{
    if (!here) dn_host->parallel_for(w->a->pool, tasks, work_task, w);
    else
        for (int64_t i = 0; i < tasks; i++) work_task(w, i, 0);
    return w->status == MCOMP_OK ? MCOMP_OK : dn_host->fail(w->status, "onednn", "a primitive failed");
}

dn_parts dn_cut(int64_t m, double most)
{
    const int64_t parts = most < 2.0 ? 1 : most > DN_MAX_PARTS ? DN_MAX_PARTS : (int64_t)most;
    dn_parts c = {m, ((m + parts - 1) / parts + 63) / 64 * 64, 1};
    if (parts == 1 || c.block > m) c.block = m;
    c.count = (m + c.block - 1) / c.block;
    return c;
}

typedef struct pack_ctx {
    mcomp_bk_program *p;
    const dc_md *from, *to;
    const void *data;
} pack_ctx;

int dn_reorder_run(mcomp_bk_instance *b, dnnl_primitive_desc_t pd, const dc_md *from, const dc_md *to, const void *data, void *out)
{
    dnnl_primitive_t reorder = NULL;
    union {
        const void *c;
        void *v;
    } source = {data};
    const dc_md *md[2] = {from, to};
    void *const pointer[2] = {source.v, out};
    static const int arg[2] = {DNNL_ARG_FROM, DNNL_ARG_TO};
    const int bad = dnnl_primitive_create(&reorder, pd) != dnnl_success || execute(b->engine, reorder, 2, md, pointer, arg);
    if (reorder) dnnl_primitive_destroy(reorder);
    return bad;
}

static int32_t fill(void *ctx, void *block)
{
    const pack_ctx *c = ctx;
    dnnl_primitive_desc_t pd = NULL;
    const int bad = dc_reorder(&pd, c->p->b->engine, c->from, c->to) || dn_reorder_run(c->p->b, pd, c->from, c->to, c->data, block);
    if (pd) dnnl_primitive_desc_destroy(pd);
    return bad ? dn_host->fail(MCOMP_INTERNAL, "onednn", "the weights could not be reordered") : MCOMP_OK;
}

int32_t dn_pack(mcomp_bk_program *p, const mcomp_bk_compile *c, const mcomp_bk_value *v, int64_t part, const dc_md *from, const void *data,
                const char *what)
{
    char key[128];
    const int32_t set = dn_part_set(&p->cut, part);
    pack_ctx ctx = {p, from, &p->weights[set], data};
    const uint64_t bytes = dc_md_bytes(&p->weights[set]);
    const int64_t *first = p->list[0].key;
    /* The layout depends on the first tile shape: it is part of the identity. */
    snprintf(key, sizeof key, "onednn:%s:%llx:%lld:%lld:%lld:%lld.%lld:%llu:%d", what, (unsigned long long)dn_host->value_key(v),
             (long long)first[0], (long long)first[1], (long long)first[3], (long long)part, (long long)p->cut.block, (unsigned long long)bytes, p->b->bf16);
    return dn_host->pack(c->store, key, bytes, fill, &ctx, &p->packed[part]);
}
