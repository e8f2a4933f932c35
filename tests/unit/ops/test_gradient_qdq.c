/* Gradients of QuantizeLinear and DequantizeLinear: against LSQ's closed form, against central differences of the function that
 * they are the gradient of (rounding residuals frozen), through integers that are moved, and in training. */
#include <math.h>
#include <stdio.h>

#include "ops/ops.h"
#include "passes/passes.h"
#include "support/interp.h"
#include "support/node.h"
#include "support/support.h"

typedef struct grid {
    int32_t dtype, lo, hi, rank;
    int64_t dim[4], axis, block; /* axis -1: per tensor */
    int32_t zero;                /* zero point of scale k: zero + k % 3, or none at all for INT32_MIN */
    float step;
} grid;

static const grid grids[] = {
    {MCOMP_I8, -128, 127, 2, {3, 5}, -1, 0, 0, 0.01f},
    {MCOMP_U8, 0, 255, 2, {3, 5}, -1, 0, 100, 0.006f},
    {MCOMP_U8, 0, 255, 1, {9}, -1, 0, INT32_MIN, 0.01f},
    {MCOMP_I4, -8, 7, 3, {2, 3, 4}, 1, 0, 0, 0.1f},
    {MCOMP_U4, 0, 15, 2, {4, 6}, 0, 0, 6, 0.07f},
    {MCOMP_I4, -8, 7, 2, {3, 7}, 1, 3, -2, 0.08f}, /* blocks of 3, 3 and 1 */
    {MCOMP_I8, -128, 127, 3, {2, 4, 3}, 1, 2, 5, 0.007f},
    {MCOMP_U2, 0, 3, 2, {3, 5}, 0, 0, 1, 0.3f},
    {MCOMP_I8, -128, 127, 3, {6, 40, 100}, -1, 0, 3, 0.01f}, /* sums of several pieces */
    {MCOMP_U8, 0, 255, 3, {60, 4, 150}, 1, 0, 120, 0.006f},
    {MCOMP_I8, -128, 127, 2, {700, 9}, 1, 0, 0, 0.01f},
};

static int64_t groups(const grid *k)
{
    const int64_t d = k->axis < 0 ? 1 : k->dim[k->axis];
    return k->block ? (d + k->block - 1) / k->block : d;
}

/* Which scale element i uses. */
static int64_t scale_of(const grid *k, int64_t i)
{
    int64_t inner = 1;
    if (k->axis < 0) return 0;
    for (int32_t d = (int32_t)k->axis + 1; d < k->rank; d++) inner *= k->dim[d];
    const int64_t at = i / inner % k->dim[k->axis];
    if (!k->block) return at;
    return (i / inner / k->dim[k->axis] * groups(k) + at / k->block) * inner + i % inner;
}

static mc_shape scale_shape(const grid *k)
{
    mc_shape s = {.rank = 0};
    if (k->axis < 0) return s;
    if (!k->block) return mc_shape_make(1, &k->dim[k->axis]);
    s = mc_shape_make(k->rank, k->dim);
    s.dim[k->axis] = groups(k);
    return s;
}

static int32_t zero_of(const grid *k, int64_t s) { return k->zero == INT32_MIN ? 0 : k->zero + (int32_t)(s % 3); }

typedef struct qdq {
    mc_graph *g;
    mc_value *x, *s, *z;
    mc_test_set feed;
} qdq;

static qdq open_grid(const grid *k, int symbolic)
{
    qdq b = {0};
    const mc_shape ss = scale_shape(k), xs = mc_shape_make(k->rank, k->dim);
    mc_tensor *x, *s, *z;
    uint64_t state = (uint64_t)k->dim[0] * 77 + 3;
    mc_ck_ok(mc_graph_create(&b.g, "qdq"));
    mc_ck_ok(mc_tensor_create(&x, MCOMP_F32, &xs));
    mc_ck_ok(mc_tensor_create(&s, MCOMP_F32, &ss));
    mc_ck_ok(mc_tensor_create(&z, k->dtype, &ss));
    for (int64_t i = 0; i < mc_tensor_elements(s); i++) {
        ((float *)s->data)[i] = k->step * (1.0f + 0.3f * mc_test_random(&state));
        mc_tensor_set_i64(z, i, zero_of(k, i));
    }
    for (int64_t i = 0; i < mc_tensor_elements(x); i++) /* about a third of the elements lies outside */
        ((float *)x->data)[i] = 0.75f * (float)(k->hi - k->lo) * k->step * mc_test_random(&state);
    mc_type tx = mc_type_of(x), ts = mc_type_of(s);
    for (int32_t i = 0; symbolic && i < tx.rank; i++) mc_ck_ok(mc_graph_symbol(b.g, NULL, &tx.dim[i]));
    mc_ck_ok(mc_graph_add_input(b.g, "x", &tx, &b.x));
    mc_ck_ok(mc_graph_add_input(b.g, "s", &ts, &b.s));
    if (k->zero != INT32_MIN) mc_ck_ok(mc_graph_add_const(b.g, "z", z, &b.z));
    else mc_tensor_destroy(z);
    b.feed = (mc_test_set){.n = 2, .t = {x, s}};
    return b;
}

static void close_grid(qdq *b)
{
    mc_test_set_free(&b->feed);
    mc_graph_destroy(b->g);
}

static mc_value *linear(qdq *b, const grid *k, const char *op, mc_value *x)
{
    mc_value *y = b->z ? mc_test_op(b->g, op, 3, x, b->s, b->z) : mc_test_op(b->g, op, 2, x, b->s);
    if (k->axis >= 0) mc_ck_ok(mc_node_set_i(y->producer, "axis", k->axis));
    if (k->block) mc_ck_ok(mc_node_set_i(y->producer, "block_size", k->block));
    return y;
}

/* sum(y * w), w random of y's known or of the given shape. */
static mc_value *weighted(qdq *b, mc_value *y, const mc_shape *s, uint64_t seed)
{
    mc_value *sum = mc_test_op(b->g, "ReduceSum", 1, mc_test_op(b->g, "Mul", 2, y, mc_test_random_const(b->g, seed, 1.0f, s->rank, s->dim)));
    mc_ck_ok(mc_node_set_i(sum->producer, "keepdims", 0));
    return sum;
}

static void same(const mc_test_set *a, const mc_test_set *b, double tol)
{
    for (int t = 0; t < 2; t++) {
        ck_assert(mc_shape_equal(&a->t[t]->shape, &b->t[t]->shape));
        for (int64_t i = 0; i < mc_tensor_elements(a->t[t]); i++) {
            const double p = mc_tensor_get_f64(a->t[t], i), q = mc_tensor_get_f64(b->t[t], i);
            ck_assert_msg(fabs(p - q) <= tol * fmax(1.0, fabs(q)), "gradient %d [%lld]: %g and %g", t, (long long)i, p, q);
        }
    }
}

/* d loss / d x and d loss / d s as the graph's outputs 0 and 1, by the references; a session's agree. */
static mc_test_set differentiate(qdq *b, mc_value *loss)
{
    mc_value *grads[2];
    mc_ck_ok(mc_graph_sort(b->g));
    mc_ck_ok(mc_infer_graph(b->g));
    mc_ck_ok(mc_gradient(b->g, loss, 2, (mc_value *[]){b->x, b->s}, grads));
    for (int i = 0; i < 2; i++) {
        ck_assert_ptr_nonnull(grads[i]);
        mc_ck_ok(mc_graph_add_output(b->g, grads[i]));
    }
    mc_ck_ok(mc_graph_remove_dead(b->g, NULL));
    mc_ck_ok(mc_graph_validate(b->g));
    mc_test_set out = mc_test_interp(b->g, &b->feed), fast = mc_test_session(b->g, &b->feed, NULL);
    same(&fast, &out, 1e-5);
    mc_test_set_free(&fast);
    return out;
}

/* The differentiable function behind the pair at (x0, s0): rounding adds a residual that does not move. */
static double surrogate(const grid *k, double x, double s, double x0, double s0, int32_t z)
{
    const double r0 = (double)rintf((float)x0 / (float)s0), q0 = r0 + z;
    if (q0 < k->lo) return (double)(k->lo - z) * s;
    if (q0 > k->hi) return (double)(k->hi - z) * s;
    return (x / s + (r0 - x0 / s0)) * s;
}

static void check_lsq(const grid *k, const qdq *b, const mc_test_set *got, const float *w)
{
    const int64_t n = mc_tensor_elements(b->feed.t[0]), m = mc_tensor_elements(b->feed.t[1]);
    const float *x = b->feed.t[0]->data, *s = b->feed.t[1]->data, *dx = got->t[0]->data, *ds = got->t[1]->data;
    double closed[64] = {0}, differences[64] = {0}, size[64] = {0};
    int64_t inside = 0;
    ck_assert(mc_shape_equal(&got->t[0]->shape, &b->feed.t[0]->shape) && mc_shape_equal(&got->t[1]->shape, &b->feed.t[1]->shape));
    ck_assert_int_le(m, 64);
    for (int64_t i = 0; i < n; i++) {
        const int64_t c = scale_of(k, i);
        const int32_t z = zero_of(k, c);
        const double h = 1e-6 * (double)s[c], xi = (double)x[i], si = (double)s[c], q = (double)rintf(x[i] / s[c]) + z;
        const int in = q >= k->lo && q <= k->hi;
        inside += in;
        ck_assert_msg(dx[i] == (in ? w[i] : 0.0f), "dx[%lld] is %g, not %g", (long long)i, (double)dx[i], in ? (double)w[i] : 0.0);
        closed[c] += (double)w[i] * (in ? q - z - xi / si : q < k->lo ? k->lo - z : k->hi - z);
        differences[c] += (double)w[i] * (surrogate(k, xi, si + h, xi, si, z) - surrogate(k, xi, si - h, xi, si, z)) / (2.0 * h);
        const double along = (surrogate(k, xi + h, si, xi, si, z) - surrogate(k, xi - h, si, xi, si, z)) / (2.0 * h);
        ck_assert_double_eq_tol((double)dx[i], (double)w[i] * along, 1e-6);
        size[c] += fabs((double)w[i]) * (k->hi - k->lo);
    }
    ck_assert_msg(inside > 0 && inside < n, "%lld of %lld inside", (long long)inside, (long long)n);
    for (int64_t c = 0; c < m; c++) {
        ck_assert_msg(fabs((double)ds[c] - closed[c]) <= 1e-6 * fmax(1.0, fabs(closed[c])), "ds[%lld] is %g, not %g", (long long)c,
                      (double)ds[c], closed[c]);
        ck_assert_double_eq_tol(closed[c], differences[c], 1e-6 * size[c]);
    }
}

START_TEST(pair_is_lsq)
{
    const grid *k = &grids[_i / 2];
    const mc_shape xs = mc_shape_make(k->rank, k->dim);
    qdq b = open_grid(k, _i % 2);
    if (!b.z && k->dtype != MCOMP_U8) ck_abort_msg("no zero point: u8");
    mc_value *loss = weighted(&b, linear(&b, k, "DequantizeLinear", linear(&b, k, "QuantizeLinear", b.x)), &xs, 5);
    const mc_tensor *w = loss->producer->in[0]->producer->in[1]->init;
    mc_test_set got = differentiate(&b, loss);
    check_lsq(k, &b, &got, w->data);
    ck_assert_int_eq(mc_test_count(b.g, "mcomp", "ScaleGrad"), 1);
    ck_assert_int_eq(mc_test_count(b.g, "mcomp", "DequantizeGrad"), 0);
    mc_test_set_free(&got);
    close_grid(&b);
}
END_TEST

/* Two readers of one q: no pair, the separate rules; together the same as two pairs. */
START_TEST(two_readers)
{
    const grid *k = &grids[_i];
    const mc_shape xs = mc_shape_make(k->rank, k->dim);
    mc_test_set out[2];
    for (int twice = 0; twice < 2; twice++) {
        qdq b = open_grid(k, 0);
        mc_value *q = linear(&b, k, "QuantizeLinear", b.x), *other = twice ? linear(&b, k, "QuantizeLinear", b.x) : q;
        mc_value *l0 = weighted(&b, linear(&b, k, "DequantizeLinear", q), &xs, 5);
        mc_value *l1 = weighted(&b, linear(&b, k, "DequantizeLinear", other), &xs, 6);
        out[twice] = differentiate(&b, mc_test_op(b.g, "Add", 2, l0, l1));
        close_grid(&b);
    }
    same(&out[0], &out[1], 1e-4);
    mc_test_set_free(&out[0]);
    mc_test_set_free(&out[1]);
}
END_TEST

static mc_value *moved(qdq *b, int how, mc_value *x)
{
    switch (how) {
    case 0: return mc_test_op(b->g, "Transpose", 1, x);
    case 1: return mc_test_op(b->g, "Reshape", 2, x, mc_test_i64s(b->g, 2, (int64_t)5, (int64_t)3));
    case 2: return mc_test_op(b->g, "Slice", 5, x, mc_test_i64s(b->g, 1, (int64_t)1), mc_test_i64s(b->g, 1, (int64_t)4),
                              mc_test_i64s(b->g, 1, (int64_t)1), mc_test_i64s(b->g, 1, (int64_t)2));
    case 3: {
        mc_value *y = mc_test_op(b->g, "Concat", 2, x, x);
        mc_ck_ok(mc_node_set_i(y->producer, "axis", 0));
        return y;
    }
    default: {
        mc_value *wide = mc_test_op(b->g, "Unsqueeze", 2, x, mc_test_i64s(b->g, 1, (int64_t)0));
        mc_value *y = mc_test_op(b->g, "MaxPool", 1, wide);
        mc_ck_ok(mc_node_set_ints(y->producer, "kernel_shape", (const int64_t[]){2}, 1));
        return y;
    }
    }
}

/* Moving the integers or moving the floats: one gradient. */
START_TEST(through_moved_integers)
{
    static const mc_shape shapes[] = {{2, {5, 3}}, {2, {5, 3}}, {2, {3, 2}}, {2, {6, 5}}, {3, {1, 3, 4}}};
    const grid *k = &grids[1];
    mc_test_set out[2];
    for (int late = 0; late < 2; late++) {
        qdq b = open_grid(k, 0);
        mc_value *q = linear(&b, k, "QuantizeLinear", b.x), *y;
        if (late) y = moved(&b, _i, linear(&b, k, "DequantizeLinear", q));
        else y = linear(&b, k, "DequantizeLinear", moved(&b, _i, q));
        out[late] = differentiate(&b, weighted(&b, y, &shapes[_i], 7));
        ck_assert_int_eq(mc_test_count(b.g, "mcomp", "DequantizeGrad"), !late);
        close_grid(&b);
    }
    same(&out[0], &out[1], 1e-4);
    mc_test_set_free(&out[0]);
    mc_test_set_free(&out[1]);
}
END_TEST

/* Integers that stand for floats end in an error, not in a silent zero, where nothing is known of their gradient. */
START_TEST(integer_product_has_none)
{
    const grid k = {MCOMP_U8, 0, 255, 2, {3, 3}, -1, 0, 9, 0.01f};
    qdq b = open_grid(&k, 0);
    mc_value *grads[1], *q = linear(&b, &k, "QuantizeLinear", b.x), *y = mc_test_op(b.g, "MatMulInteger", 2, q, q);
    mc_value *f = mc_test_op(b.g, "Cast", 1, y);
    mc_ck_ok(mc_node_set_i(f->producer, "to", MCOMP_F32));
    mc_value *loss = mc_test_op(b.g, "ReduceSum", 1, f);
    mc_ck_ok(mc_node_set_i(loss->producer, "keepdims", 0));
    mc_ck_fails(mc_gradient(b.g, loss, 1, &b.x, grads), MCOMP_NO_GRADIENT);
    ck_assert_msg(strstr(mc_error_peek()->message, "MatMulInteger") != NULL, "%s", mc_error_peek()->message);
    mc_ck_fails(mc_gradient(b.g, loss, 1, &b.z, grads), MCOMP_DTYPE);
    close_grid(&b);
}
END_TEST

/* A student with 3-bit-like weights (i4 grid, step far too large at first) learns a linear teacher: returns the last loss. */
static double train(int learn_scale, double *first)
{
    const int64_t xd[] = {64, 8}, wd[] = {8, 4}, sd[] = {4}, yd[] = {64, 4};
    mc_graph *g;
    mc_value *loss, *grads[2];
    double last = 0.0;
    mc_ck_ok(mc_graph_create(&g, "qat"));
    mc_value *w = mc_test_input(g, "w", MCOMP_F32, 2, wd), *s = mc_test_input(g, "s", MCOMP_F32, 1, sd);
    mc_value *x = mc_test_random_const(g, 3, 1.0f, 2, xd), *teacher = mc_test_random_const(g, 4, 1.0f, 2, wd);
    mc_shape zs = mc_shape_make(1, sd);
    mc_tensor *z;
    mc_ck_ok(mc_tensor_create(&z, MCOMP_I4, &zs));
    mc_value *zero;
    mc_ck_ok(mc_graph_add_const(g, "zero", z, &zero));
    mc_value *q = mc_test_op(g, "QuantizeLinear", 3, w, s, zero), *dq = mc_test_op(g, "DequantizeLinear", 3, q, s, zero);
    mc_value *miss = mc_test_op(g, "Sub", 2, mc_test_op(g, "MatMul", 2, x, dq), mc_test_op(g, "MatMul", 2, x, teacher));
    loss = mc_test_op(g, "ReduceMean", 1, mc_test_op(g, "Mul", 2, miss, miss));
    mc_ck_ok(mc_node_set_i(loss->producer, "keepdims", 0));
    (void)yd;
    mc_ck_ok(mc_graph_add_output(g, loss));
    mc_ck_ok(mc_graph_sort(g));
    mc_ck_ok(mc_gradient(g, loss, 2, (mc_value *[]){w, s}, grads));
    for (int i = 0; i < 2; i++) mc_ck_ok(mc_graph_add_output(g, grads[i]));
    mc_ck_ok(mc_graph_remove_dead(g, NULL));
    mc_test_set in = mc_test_inputs(g, 11, 1, NULL, 0);
    for (int64_t i = 0; i < 4; i++) ((float *)in.t[1]->data)[i] = 0.6f;
    for (int step = 0; step < 400; step++) {
        mc_test_set out = mc_test_interp(g, &in);
        last = mc_tensor_get_f64(out.t[0], 0);
        if (step == 0) *first = last;
        for (int t = 0; t < 1 + learn_scale; t++)
            for (int64_t i = 0; i < mc_tensor_elements(in.t[t]); i++)
                ((float *)in.t[t]->data)[i] -= (t ? 0.02f : 0.3f) * ((const float *)out.t[1 + t]->data)[i];
        mc_test_set_free(&out);
    }
    mc_test_set_free(&in);
    mc_graph_destroy(g);
    return last;
}

START_TEST(quantized_student_trains)
{
    double first = 0.0;
    const double fixed = train(0, &first), learnt = train(1, &first);
    ck_assert_msg(fixed < 0.35 * first, "fixed steps: loss from %g to %g", first, fixed);
    ck_assert_msg(learnt < 0.3 * fixed, "learnt steps: loss %g, fixed %g", learnt, fixed);
}
END_TEST

int main(void)
{
    mc_ops_register();
    Suite *s = suite_create("ops/gradient_qdq");
    TCase *tc = tcase_create("gradient_qdq");
    const int n = (int)(sizeof grids / sizeof *grids);
    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, pair_is_lsq, 0, 2 * n);
    tcase_add_loop_test(tc, two_readers, 0, n);
    tcase_add_loop_test(tc, through_moved_integers, 0, 5);
    tcase_add_test(tc, integer_product_has_none);
    tcase_add_test(tc, quantized_student_trains);
    suite_add_tcase(s, tc);
    return mc_test_main(s);
}
