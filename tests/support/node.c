#include "support/node.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "backends/cpu/entry.h"
#include "runtime/registry.h"
#include "support/support.h"

int32_t mc_test_rounds;
double mc_test_us;

mc_tensor *mc_test_tensor(int32_t dtype, const int64_t *dims, int32_t rank, uint64_t seed)
{
    mc_tensor *t = NULL;
    const mc_shape s = mc_shape_make(rank, dims);
    mc_ck_ok(mc_tensor_create(&t, dtype, &s));
    for (int64_t i = 0; i < mc_tensor_elements(t); i++) {
        const double r = (double)mc_test_random(&seed);
        if (mc_dtype_is_float(dtype)) mc_tensor_set_f64(t, i, r);
        else mc_tensor_set_i64(t, i, dtype == MCOMP_BOOL ? r > 0.0 : (int64_t)(r * 100.0) + (dtype == MCOMP_U8 ? 100 : 0));
    }
    return t;
}

mc_tensor *mc_test_f32(uint64_t seed, int32_t rank, ...)
{
    int64_t dims[MC_MAX_RANK];
    va_list ap;
    va_start(ap, rank);
    for (int32_t i = 0; i < rank; i++) dims[i] = va_arg(ap, int);
    va_end(ap);
    return mc_test_tensor(MCOMP_F32, dims, rank, seed * 77 + 1);
}

mc_tensor *mc_test_ints(int32_t n, ...)
{
    const int64_t dim = n;
    va_list ap;
    mc_tensor *t = mc_test_tensor(MCOMP_I64, &dim, 1, 1);
    va_start(ap, n);
    for (int32_t i = 0; i < n; i++) mc_tensor_set_i64(t, i, va_arg(ap, int));
    va_end(ap);
    return t;
}

/* One `name=value`: [ints], 'string', 1.5f, 3. Returns the rest of the text. */
static const char *set_attr(mc_node *n, const char *p)
{
    char name[32] = {0};
    size_t len = strcspn(p, "=");
    ck_assert_uint_lt(len, sizeof name);
    memcpy(name, p, len);
    p += len + 1;
    if (*p == '[') {
        int64_t v[16];
        int64_t count = 0;
        for (p++; *p != ']';) {
            char *end;
            v[count++] = strtoll(p, &end, 10);
            p = *end == ',' ? end + 1 : end;
        }
        mc_ck_ok(mc_node_set_ints(n, name, v, count));
        return p + 1;
    }
    if (*p == '\'') {
        char text[64] = {0};
        len = strcspn(p + 1, "'");
        ck_assert_uint_lt(len, sizeof text);
        memcpy(text, p + 1, len);
        mc_ck_ok(mc_node_set_s(n, name, text));
        return p + len + 2;
    }
    len = strcspn(p, " ");
    if (p[len - 1] == 'f') {
        char text[32] = {0};
        double v;
        memcpy(text, p, len - 1);
        ck_assert_int_eq(mc_parse_f64(text, &v), MCOMP_OK);
        mc_ck_ok(mc_node_set_f(n, name, (float)v));
    } else {
        mc_ck_ok(mc_node_set_i(n, name, strtoll(p, NULL, 10)));
    }
    return p + len;
}

void mc_test_set_attrs(mc_node *n, const char *attrs)
{
    for (const char *p = attrs; p && *p;) {
        while (*p == ' ') p++;
        if (*p) p = set_attr(n, p);
    }
}

static mc_node *build(const mc_node_case *c, mc_graph *g)
{
    mc_value *in[MC_TEST_IN] = {NULL};
    mc_node *n;
    for (int32_t i = 0; i < c->n_in; i++) {
        if (!c->in[i]) continue;
        const mc_type type = mc_type_of(c->in[i]);
        if (c->constant >> i & 1) {
            mc_tensor *t;
            mc_ck_ok(mc_tensor_share(&t, c->in[i]));
            mc_ck_ok(mc_graph_add_const(g, NULL, t, &in[i]));
        } else {
            mc_ck_ok(mc_graph_add_input(g, NULL, &type, &in[i]));
        }
    }
    mc_ck_ok(mc_graph_add_node(g, c->domain, c->op, 0, "node", c->n_in, in, c->n_out, NULL, &n));
    mc_test_set_attrs(n, c->attrs);
    for (int32_t i = 0; i < c->n_out; i++) mc_ck_ok(mc_graph_add_output(g, n->out[i]));
    return n;
}

static void compare(const mc_node_case *c, const mc_tensor *got, const mc_tensor *want)
{
    const int64_t n = mc_tensor_elements(want);
    if (want->dtype == MCOMP_F32) {
        mc_ck_close_f32(got->data, want->data, n, c->rtol, c->atol);
        return;
    }
    for (int64_t i = 0; i < n; i++) {
        const double g = mc_tensor_get_f64(got, i), w = mc_tensor_get_f64(want, i);
        if (g == w || (isnan(g) && isnan(w))) continue;
        ck_abort_msg("%s: element %d is %g instead of %g", c->op, (int)i, g, w);
    }
}

typedef struct program {
    mcomp_bk_program *p;
    mcomp_bk_buffer buffers[MC_TEST_IN + MC_TEST_OUT];
    mc_tensor *out[MC_TEST_OUT];
    mcomp_run_args args;
    mc_pool *pool;
} program;

static void compile(const mc_node_case *c, mc_node *n, mc_store *store, mc_tensor **want, program *p)
{
    const mcomp_bk_value *values[MC_TEST_IN + MC_TEST_OUT];
    const mcomp_bk_node *node = (const mcomp_bk_node *)(const void *)n;
    mcomp_program_info info = {.size = sizeof info};
    int32_t count = 0;
    for (int32_t i = 0; i < n->n_in + n->n_out; i++) {
        mc_value *v = i < n->n_in ? n->in[i] : n->out[i - n->n_in];
        const mc_tensor *t = i < n->n_in ? c->in[i] : want[i - n->n_in];
        if (!v) continue;
        if (i >= n->n_in) {
            mc_ck_ok(mc_tensor_create(&p->out[i - n->n_in], t->dtype, &t->shape));
            t = p->out[i - n->n_in];
            memset(t->data, 0xa5, mc_tensor_bytes(t));
        }
        mcomp_bk_buffer *b = &p->buffers[count];
        values[count++] = (const mcomp_bk_value *)(const void *)v;
        b->data = t->data;
        b->rank = t->shape.rank;
        b->dtype = t->dtype;
        memcpy(b->dims, t->shape.dim, sizeof b->dims);
    }
    mcomp_bk_compile b = {.size = sizeof b, .n_nodes = 1, .nodes = &node, .n_values = count, .values = values,
                          .store = (mcomp_bk_store *)(void *)store, .threads = c->threads};
    mc_ck_ok(c->api->compile(c->instance, &b, &p->p));
    mc_ck_ok(c->api->program_info(p->p, &info));
    mc_ck_ok(mc_pool_create(&p->pool, c->threads));
    const uint64_t stride = (info.scratch_per_worker_bytes + 63) / 64 * 64;
    p->args = (mcomp_run_args){.size = sizeof p->args, .n_buffers = count, .buffers = p->buffers, .scratch = mc_malloc(info.scratch_bytes + 64),
                               .worker_scratch = mc_malloc(stride * (uint64_t)c->threads + 64), .worker_scratch_stride = stride,
                               .pool = (mcomp_bk_pool *)(void *)p->pool};
}

static void run(const mc_node_case *c, program *p)
{
    const int32_t st = c->api->run(p->p, &p->args);
    ck_assert_msg(st == c->expect, "%s: %s (%s)", c->op, mcomp_status_name(st), mc_error_peek()->message);
    mc_test_us = 1e12;
    for (int32_t r = 0; r < mc_test_rounds; r++) {
        const int64_t start = mc_clock_ns();
        for (int i = 0; i < 4; i++) (void)c->api->run(p->p, &p->args);
        const double us = (double)(mc_clock_ns() - start) / 4e3;
        if (us < mc_test_us) mc_test_us = us;
    }
}

double mc_ck_node_want(mc_node_case *c, mc_tensor **want)
{
    mc_graph *g = NULL;
    mc_store *store = mc_store_create();
    program p = {0};
    mcomp_claim claim = {.size = sizeof claim};
    mc_ops_register();
    if (!c->api) c->api = mc_cpu_backend_entry(mc_host_api());
    if (c->threads == 0) c->threads = 2;
    mc_ck_ok(mc_graph_create(&g, "case"));
    mc_node *n = build(c, g);
    for (int32_t i = 0; i < c->n_out; i++) n->out[i]->type = mc_type_of(want[i]);
    mc_ck_ok(mc_graph_sort(g));
    ck_assert_msg(c->api->claim(c->instance, (const mcomp_bk_node *)(const void *)n, &claim) == 1, "%s (%s) is not claimed: %s", c->op, c->attrs ? c->attrs : "",
                  mc_error_peek()->message);
    ck_assert_msg(!c->kernel || strncmp(claim.kernel, c->kernel, strlen(c->kernel)) == 0, "%s runs on %s instead of %s", c->op,
                  claim.kernel, c->kernel);
    compile(c, n, store, want, &p);
    run(c, &p);
    for (int32_t i = 0; i < c->n_out && c->expect == MCOMP_OK; i++) compare(c, p.out[i], want[i]);
    for (int64_t i = 0, at = 0; i < c->n_out; at += mc_tensor_elements(p.out[i++])) {
        if (c->keep) memcpy(c->keep + at, p.out[i]->data, mc_tensor_bytes(p.out[i]));
        if (c->same) ck_assert_mem_eq(c->same + at, p.out[i]->data, mc_tensor_bytes(p.out[i]));
    }
    c->api->program_destroy(p.p);
    mc_pool_destroy(p.pool);
    mc_free(p.args.scratch);
    mc_free(p.args.worker_scratch);
    for (int32_t i = 0; i < c->n_out; i++) {
        mc_tensor_destroy(p.out[i]);
        mc_tensor_destroy(want[i]);
    }
    mc_graph_destroy(g);
    mc_store_destroy(store);
    for (int32_t i = 0; i < c->n_in; i++) mc_tensor_destroy(c->in[i]);
    return claim.cost_us;
}

double mc_ck_node(mc_node_case *c)
{
    mc_graph *g = NULL;
    mc_tensor *want[MC_TEST_OUT] = {NULL};
    const mc_tensor *in[MC_TEST_IN];
    mc_ops_register();
    mc_ck_ok(mc_graph_create(&g, "reference"));
    mc_node *n = build(c, g);
    for (int32_t i = 0; i < c->n_in; i++) in[i] = c->in[i];
    ck_assert_msg(n->desc != NULL, "%s has no descriptor", c->op);
    mc_ck_ok(mc_op_eval(n, c->n_in, in, want));
    mc_graph_destroy(g);
    return mc_ck_node_want(c, want);
}
