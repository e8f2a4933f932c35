/* Hostile values and calls at run time, through the public API: indices, sizes that only the run knows, calls out of order. After each
 * refusal the same exec goes on working. */
#include <mcomp/mcomp.h>
#include <stdio.h>
#include <unistd.h>

#include "support/support.h"

static mcomp_context *ctx;
static mcomp_graph *g;
static mcomp_session *s;
static mcomp_exec *e;

static void setup(void)
{
    mc_ck_ok(mcomp_context_create(&ctx, NULL));
    mc_ck_ok(mcomp_graph_create(&g, ctx, "bad", 17));
}

static void teardown(void)
{
    mcomp_exec_destroy(e);
    mcomp_session_destroy(s);
    mcomp_graph_destroy(g);
    mcomp_context_destroy(ctx);
    e = NULL;
    s = NULL;
}

static mcomp_tensor *numbers(int32_t dtype, int32_t rank, const int64_t *dims, const int64_t *values)
{
    mcomp_tensor *t = NULL;
    mc_ck_ok(mcomp_tensor_create(&t, dtype, rank, dims));
    for (int64_t i = 0; i < mcomp_tensor_elements(t); i++) {
        const int64_t v = values ? values[i] : i;
        if (dtype == MCOMP_F32) ((float *)mcomp_tensor_data(t))[i] = (float)v;
        else if (dtype == MCOMP_I32) ((int32_t *)mcomp_tensor_data(t))[i] = (int32_t)v;
        else if (dtype == MCOMP_BOOL) ((uint8_t *)mcomp_tensor_data(t))[i] = v != 0;
        else ((int64_t *)mcomp_tensor_data(t))[i] = v;
    }
    return t;
}

static void constant(const char *name, int32_t dtype, int32_t rank, const int64_t *dims, const int64_t *values)
{
    mcomp_tensor *t = numbers(dtype, rank, dims, values);
    mc_ck_ok(mcomp_graph_add_constant(g, name, t));
    mcomp_tensor_destroy(t);
}

static void node(const char *op, const char *name, int32_t n, const char *const *in)
{
    const char *y = "y";
    mc_ck_ok(mcomp_graph_add_node(g, op, name, n, in, 1, &y));
}

static void open_session(int32_t no_fusion)
{
    mcomp_session_options o;
    mc_ck_ok(mcomp_graph_add_output(g, "y"));
    mc_ck_ok(mcomp_graph_finish(g));
    mc_ck_ok(mcomp_session_options_init(&o, sizeof o));
    o.no_fusion = no_fusion;
    mc_ck_ok(mcomp_session_create(&s, ctx, g, &o));
    mc_ck_ok(mcomp_exec_create(&e, s));
}

static int32_t run(mcomp_tensor *a, mcomp_tensor *b)
{
    const mcomp_tensor *in[2] = {a, b}, *out[1];
    return mcomp_exec_run(e, b ? 2 : 1, in, 1, out);
}

/* One operator with an index input: what it reads beside the index are constants of three rows of two. */
typedef struct index_case {
    const char *op;
    int32_t rank;
    int64_t dims[3];
    int64_t limit;         /* indices from -limit to limit - 1 are right */
    int32_t negative;      /* negative indices count from the end */
    const char *in[4];     /* "i" is the index, "x" data, "u" updates of the index's shape, "boxes" */
    const char *attribute; /* axis, or NULL */
} index_case;

static const index_case index_cases[] = {
    {"Gather", 1, {4}, 3, 1, {"x", "i"}, "axis"},
    {"GatherElements", 2, {2, 2}, 3, 1, {"x", "i"}, "axis"},
    {"GatherND", 2, {3, 1}, 3, 1, {"x", "i"}, NULL},
    {"ScatterElements", 2, {2, 2}, 3, 1, {"x", "i", "u"}, "axis"},
    {"ScatterND", 2, {2, 1}, 3, 1, {"x", "i", "u"}, NULL},
    {"RoiAlign", 1, {2}, 3, 0, {"images", "boxes", "i"}, NULL},
};
enum { N_INDEX_CASES = sizeof index_cases / sizeof *index_cases };

START_TEST(bad_049_index_values)
{
    const index_case *c = &index_cases[_i / 4];
    const int32_t no_fusion = _i & 1, dtype = _i & 2 && strncmp(c->op, "Gather", 6) == 0 && strcmp(c->op, "GatherND") != 0 ? MCOMP_I32 : MCOMP_I64;
    static const int64_t x[2] = {3, 2}, images[4] = {3, 1, 4, 4}, boxes[2] = {2, 4}, corners[8] = {0, 0, 2, 2, 1, 1, 3, 3};
    const int64_t wrong[] = {c->limit, c->negative ? -c->limit - 1 : -1, 1 << 30, dtype == MCOMP_I32 ? INT32_MIN : INT64_MIN, dtype == MCOMP_I32 ? INT32_MAX : INT64_MAX,
                             dtype == MCOMP_I32 ? -(1 << 30) : (int64_t)1 << 32};
    int32_t n = 0;
    mc_ck_ok(mcomp_graph_add_input(g, "i", dtype, c->rank, c->dims, NULL));
    constant("x", MCOMP_F32, 2, x, NULL);
    constant("u", MCOMP_F32, 2, (const int64_t[]){2, 2}, NULL);
    constant("images", MCOMP_F32, 4, images, NULL);
    constant("boxes", MCOMP_F32, 2, boxes, corners);
    while (n < 4 && c->in[n]) n++;
    node(c->op, "culprit", n, c->in);
    if (c->attribute) mc_ck_ok(mcomp_graph_set_int(g, "culprit", c->attribute, 0));
    open_session(no_fusion);
    int64_t elements = 1;
    for (int32_t k = 0; k < c->rank; k++) elements *= c->dims[k];
    for (size_t w = 0; w < sizeof wrong / sizeof *wrong; w++)
        for (int64_t at = 0; at < elements; at++) {
            int64_t v[8] = {0, 1, 2, 0, 1, 2, 0, 1};
            v[at] = wrong[w];
            mcomp_tensor *bad = numbers(dtype, c->rank, c->dims, v), *good = NULL;
            mc_ck_fails(run(bad, NULL), MCOMP_RANGE);
            ck_assert_msg(strstr(mc_error_peek()->where, "culprit"), "%s: where is \"%s\": %s", c->op, mc_error_peek()->where, mc_error_peek()->message);
            v[at] = c->negative ? -1 : 2;
            good = numbers(dtype, c->rank, c->dims, v);
            mc_ck_ok(run(good, NULL));
            mcomp_tensor_destroy(bad);
            mcomp_tensor_destroy(good);
        }
}
END_TEST

/* A text longer than the table of positions. */
START_TEST(bad_049_longer_than_the_positions)
{
    static const int64_t dims[2] = {1, -1}, table[2] = {4, 2}, none[1] = {0}, zero[1] = {0}, one[1] = {1};
    mc_ck_ok(mcomp_graph_add_input(g, "ids", MCOMP_I64, 2, dims, NULL));
    constant("positions", MCOMP_F32, 2, table, NULL);
    constant("zero", MCOMP_I64, 0, none, zero);
    constant("one", MCOMP_I64, 0, none, one);
    const struct {
        const char *op, *in[3], *out;
    } nodes[] = {{"Shape", {"ids"}, "shape"}, {"Gather", {"shape", "one"}, "n"}, {"Range", {"zero", "n", "one"}, "at"}, {"Gather", {"positions", "at"}, "y"}};
    for (int k = 0; k < 4; k++) {
        int32_t n = 0;
        while (n < 3 && nodes[k].in[n]) n++;
        mc_ck_ok(mcomp_graph_add_node(g, nodes[k].op, nodes[k].out, n, nodes[k].in, 1, &nodes[k].out));
    }
    open_session(0);
    for (int64_t n = 1; n <= 8; n++) {
        mcomp_tensor *ids = numbers(MCOMP_I64, 2, (const int64_t[]){1, n}, NULL);
        const int32_t st = run(ids, NULL);
        if (n <= 4) mc_ck_ok(st);
        else ck_assert_msg(st == MCOMP_RANGE && strstr(mc_error_peek()->where, "y"), "%lld positions: %s (%s)", (long long)n, mcomp_status_name(st), mc_error_peek()->where);
        mcomp_tensor_destroy(ids);
    }
}
END_TEST

/* Sizes that come as data: refused, however large, before anybody reserves them. */
START_TEST(bad_049_sizes_from_data)
{
    static const char *const ops[] = {"ConstantOfShape", "Expand", "Tile", "Range"};
    static const int64_t wrong[] = {(int64_t)1 << 40, (int64_t)1 << 62, INT64_MAX, -1};
    const char *op = ops[_i];
    const int range = strcmp(op, "Range") == 0;
    static const int64_t one_dim[1] = {1}, none[1] = {0}, seven[1] = {1};
    mc_ck_ok(mcomp_graph_add_input(g, "n", MCOMP_I64, range ? 0 : 1, range ? none : one_dim, NULL));
    constant("x", MCOMP_F32, 1, one_dim, seven);
    constant("zero", MCOMP_I64, 0, none, none);
    constant("one", MCOMP_I64, 0, none, seven);
    if (range) node(op, "culprit", 3, (const char *[]){"zero", "n", "one"});
    else if (strcmp(op, "ConstantOfShape") == 0) node(op, "culprit", 1, (const char *[]){"n"});
    else node(op, "culprit", 2, (const char *[]){"x", "n"});
    open_session(0);
    for (size_t w = 0; w < sizeof wrong / sizeof *wrong; w++) {
        mcomp_tensor *n = numbers(MCOMP_I64, range ? 0 : 1, range ? none : one_dim, &wrong[w]);
        mc_error_clear();
        const uint64_t live = mc_alloc_live_bytes();
        const int32_t st = run(n, NULL);
        if (range && wrong[w] < 0) mc_ck_ok(st); /* an empty range */
        else
            ck_assert_msg(st == MCOMP_LIMIT || st == MCOMP_NO_MEMORY || st == MCOMP_RANGE || st == MCOMP_SHAPE || st == MCOMP_FORMAT, "%s of %lld: %s: %s", op, (long long)wrong[w], mcomp_status_name(st),
                          mc_error_peek()->message);
        ck_assert_uint_lt(mc_alloc_live_bytes(), live + (1 << 20));
        mcomp_tensor_destroy(n);
        const int64_t two = 2;
        n = numbers(MCOMP_I64, range ? 0 : 1, range ? none : one_dim, &two);
        mc_ck_ok(run(n, NULL));
        mcomp_tensor_destroy(n);
    }
    mcomp_tensor *t = NULL;
    mc_error_clear();
    ck_assert_int_ne(mcomp_tensor_create(&t, MCOMP_F32, 2, (const int64_t[]){(int64_t)1 << 40, 1 << 20}), MCOMP_OK);
    ck_assert_ptr_null(t);
    ck_assert(mc_error_peek()->message[0]);
}
END_TEST

/* A few bytes of file that ask for petabytes when they run. They load, they are not folded, and the run says no. */
START_TEST(bad_010_constants_that_cannot_be)
{
    static const int64_t one_dim[1] = {1}, two_dim[1] = {2}, none[1] = {0}, one[1] = {1}, zero[1] = {0}, huge[2] = {(int64_t)1 << 27, (int64_t)1 << 27}, far[1] = {(int64_t)1 << 50},
                         pads[4] = {0, 0, (int64_t)1 << 27, (int64_t)1 << 27};
    static const char *const ops[] = {"ConstantOfShape", "Expand", "Tile", "Range", "Pad", "OneHot"};
    const char *op = ops[_i];
    mcomp_session_options o;
    constant("x", MCOMP_F32, 2, (const int64_t[]){1, 1}, one);
    constant("zero", MCOMP_I64, 0, none, zero);
    constant("one", MCOMP_I64, 0, none, one);
    constant("two", MCOMP_F32, 1, two_dim, NULL);
    constant("i", MCOMP_I64, 1, (const int64_t[]){64}, NULL);
    constant("huge", MCOMP_I64, 1, two_dim, huge);
    constant("far", MCOMP_I64, 0, none, far);
    constant("far1", MCOMP_I64, 1, one_dim, far);
    constant("pads", MCOMP_I64, 1, (const int64_t[]){4}, pads);
    switch (_i) {
    case 0: node(op, "culprit", 1, (const char *[]){"huge"}); break;
    case 3: node(op, "culprit", 3, (const char *[]){"zero", "far", "one"}); break;
    case 4: node(op, "culprit", 2, (const char *[]){"x", "pads"}); break;
    case 5: node(op, "culprit", 3, (const char *[]){"i", "far", "two"}); break;
    default: node(op, "culprit", 2, (const char *[]){"x", "huge"}); break;
    }
    const uint64_t live = mc_alloc_live_bytes();
    int32_t st = mcomp_graph_add_output(g, "y");
    if (st == MCOMP_OK) st = mcomp_graph_finish(g);
    mc_ck_ok(mcomp_session_options_init(&o, sizeof o));
    if (st == MCOMP_OK) st = mcomp_session_create(&s, ctx, g, &o);
    if (st == MCOMP_OK) st = mcomp_exec_create(&e, s);
    const mcomp_tensor *out[1];
    if (st == MCOMP_OK) st = mcomp_exec_run(e, 0, NULL, 1, out);
    ck_assert_msg(st == MCOMP_LIMIT || st == MCOMP_NO_MEMORY, "%s: %s: %s", op, mcomp_status_name(st), mc_error_peek()->message);
    ck_assert(mc_error_peek()->message[0]);
    ck_assert_uint_lt(mc_alloc_live_bytes(), live + (4 << 20));
}
END_TEST

/* Calls before what they need, and after what ends it. */
START_TEST(bad_042_calls_out_of_order)
{
    static const int64_t dims[2] = {-1, 3}, w[2] = {3, 2};
    mcomp_calibrator *c = NULL, *loaded = NULL;
    mcomp_quantizer *q = NULL;
    mcomp_quantizer_options qo;
    mcomp_graph *made = NULL;
    mcomp_quantized_node row = {.size = sizeof row};
    mcomp_kernel_info kernel = {.size = sizeof kernel};
    mcomp_session *early = NULL;
    int32_t n = -1;
    char path[64];
    snprintf(path, sizeof path, "/tmp/mcomp-order-%d.calib", (int)getpid());
    mc_ck_ok(mcomp_graph_add_input(g, "x", MCOMP_F32, 2, dims, NULL));
    constant("w", MCOMP_F32, 2, w, NULL);
    node("MatMul", "product", 2, (const char *[]){"x", "w"});
    mc_ck_fails(mcomp_session_create(&early, ctx, g, NULL), MCOMP_ARGUMENT);
    open_session(0);
    mc_ck_fails(mcomp_exec_kernel_count(e, &n), MCOMP_ARGUMENT); /* before the first run */
    mc_ck_fails(mcomp_exec_kernel(e, 0, &kernel), MCOMP_ARGUMENT);
    mc_ck_ok(mcomp_calibrator_create(&c, ctx, g));
    mc_ck_ok(mcomp_quantizer_options_init(&qo, sizeof qo));
    qo.scheme = "int8";
    mc_ck_ok(mcomp_quantizer_create(&q, ctx, &qo));
    mc_ck_ok(mcomp_quantizer_node_count(q, &n));
    ck_assert_int_eq(n, 0);
    mc_ck_fails(mcomp_quantizer_node(q, 0, &row), MCOMP_ARGUMENT);
    mc_ck_fails(mcomp_quantizer_apply(&made, q, g, NULL, NULL), MCOMP_ARGUMENT); /* static without a calibrator */
    ck_assert(mc_error_peek()->hint[0]);
    mc_ck_fails(mcomp_quantizer_apply(&made, q, g, c, NULL), MCOMP_DATA); /* a calibrator that saw nothing */
    ck_assert_ptr_null(made);
    mc_ck_ok(mcomp_calibrator_save(c, path, 1));
    mc_ck_ok(mcomp_calibrator_load(&loaded, ctx, NULL, path));
    mcomp_tensor *x = numbers(MCOMP_F32, 2, (const int64_t[]){1, 3}, NULL);
    const mcomp_tensor *in[1] = {x};
    mc_ck_fails(mcomp_calibrator_feed(loaded, 1, in, -1), MCOMP_ARGUMENT); /* loaded without its model */
    mc_ck_ok(run(x, NULL));
    mc_ck_ok(mcomp_exec_kernel_count(e, &n));
    (void)remove(path);
    mcomp_tensor_destroy(x);
    mcomp_calibrator_destroy(c);
    mcomp_calibrator_destroy(loaded);
    mcomp_quantizer_destroy(q);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("runtime/bad");
    TCase *t = tcase_create("bad");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, bad_049_index_values, 0, 4 * N_INDEX_CASES);
    tcase_add_test(t, bad_049_longer_than_the_positions);
    tcase_add_loop_test(t, bad_049_sizes_from_data, 0, 4);
    tcase_add_loop_test(t, bad_010_constants_that_cannot_be, 0, 6);
    tcase_add_test(t, bad_042_calls_out_of_order);
    suite_add_tcase(suite, t);
    return mc_test_main(suite);
}
