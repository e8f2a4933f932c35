/* How axes couple: the groups of small graphs and of built models. */
#include "ops/axes.h"
#include <mcomp/build.h>
#include <stdio.h>

#include "unit/train/net.h"

static mcomp_context *ctx;

static void setup(void) { ctx = net_context(1); }
static void teardown(void) { mcomp_context_destroy(ctx); }

static void inferred(mcomp_graph *g)
{
    mc_ck_ok(mc_graph_sort(g->g));
    mc_ck_ok(mc_infer_graph(g->g));
}

static void groups_of(mcomp_graph *g, mc_axes **a, mc_axis_groups *out)
{
    inferred(g);
    mc_ck_ok(mc_axes_build(a, g->g));
    mc_ck_ok(mc_axes_groups(out, *a, g->g));
}

static mcomp_graph *built(const char *spec)
{
    mcomp_graph *g = NULL;
    mcomp_build_options o;
    mc_ck_ok(mcomp_build_options_init(&o, sizeof o));
    o.features = 10;
    mc_ck_ok(mcomp_graph_build(&g, ctx, spec, &o));
    return g;
}

static int64_t count(const mc_axis_groups *g, int32_t kind, int64_t *units)
{
    int64_t n = 0;
    *units = 0;
    for (int64_t i = 0; i < g->n; i++)
        if (g->v[i].kind == kind) {
            n++;
            *units += g->v[i].units;
        }
    return n;
}

static void check_kinds(const char *spec, const int64_t want[6])
{
    mcomp_graph *g = built(spec);
    mc_axes *a;
    mc_axis_groups groups;
    groups_of(g, &a, &groups);
    for (int32_t k = 0; k < 3; k++) {
        int64_t units;
        const int64_t n = count(&groups, k, &units);
        ck_assert_msg(n == want[2 * k] && units == want[2 * k + 1], "%s: %lld groups of kind %s with %lld units", spec, (long long)n, mc_axis_kind_name(k), (long long)units);
    }
    mc_axis_groups_free(&groups);
    mc_axes_free(a);
    mcomp_graph_destroy(g);
}

/* groups and units of: channel, ffn, head */
START_TEST(kinds)
{
    check_kinds("mlp:hidden=24,layers=2,classes=3", (const int64_t[]){0, 0, 2, 48, 0, 0});
    check_kinds("encoder:layers=2,hidden=32,heads=4,ffn=64,vocab=50,length=16,classes=3", (const int64_t[]){0, 0, 2, 128, 2, 8});
}
END_TEST

static mcomp_graph *start(const char *in, int32_t rank, const int64_t *dims)
{
    mcomp_graph *g = NULL;
    mc_ck_ok(mcomp_graph_create(&g, ctx, "g", 17));
    mc_ck_ok(mcomp_graph_add_input(g, in, MCOMP_F32, rank, dims, (const char *const[]){"N", NULL, NULL, NULL}));
    return g;
}

static void finish(mcomp_graph *g, const char *out)
{
    mc_ck_ok(mcomp_graph_add_output(g, out));
    inferred(g);
}

/* Members a unit, by weight: "c1:0" etc. Every unit of the only group must have them. */
static void check_group(mcomp_graph *g, int64_t units, const char *const *members, int64_t n)
{
    mc_axes *a;
    mc_axis_groups groups;
    groups_of(g, &a, &groups);
    ck_assert_int_eq(groups.n, 1);
    ck_assert_int_eq(groups.v[0].units, units);
    ck_assert_int_eq(groups.v[0].width, n);
    for (int64_t u = 0; u < units; u++)
        for (int64_t i = 0; i < n; i++) {
            char name[64];
            const mc_axis_member *m = &groups.v[0].members[u * n + i];
            snprintf(name, sizeof name, "%s:%d", m->value->name, m->axis);
            ck_assert_str_eq(name, members[i]);
        }
    mc_axis_groups_free(&groups);
    mc_axes_free(a);
}

/* x -> c1 -> BN -> Relu, + shortcut conv -> Add -> depthwise -> Concat with itself -> c2 -> y */
START_TEST(residual_and_depthwise)
{
    mcomp_graph *g = start("x", 4, (const int64_t[]){-1, 3, 8, 8});
    net_weight(g, "c1", 4, (const int64_t[]){6, 3, 1, 1}, 1, 0.5f, 0.0f);
    net_weight(g, "s1", 4, (const int64_t[]){6, 3, 1, 1}, 2, 0.5f, 0.0f);
    net_weight(g, "dw", 4, (const int64_t[]){6, 1, 3, 3}, 3, 0.5f, 0.0f);
    net_weight(g, "c2", 4, (const int64_t[]){5, 12, 1, 1}, 4, 0.5f, 0.0f);
    net_node(g, "Conv", "a", "x", "c1", NULL, "p");
    net_node(g, "Conv", "b", "x", "s1", NULL, "q");
    net_node(g, "Add", "add", "p", "q", NULL, "r");
    net_node(g, "Relu", "relu", "r", NULL, NULL, "t");
    net_node(g, "Conv", "c", "t", "dw", NULL, "u");
    net_node(g, "Concat", "cat", "u", "t", NULL, "v");
    net_node(g, "Conv", "d", "v", "c2", NULL, "y");
    mc_ck_ok(mcomp_graph_set_int(g, "c", "group", 6));
    mc_ck_ok(mcomp_graph_set_ints(g, "c", "pads", (const int64_t[]){1, 1, 1, 1}, 4));
    mc_ck_ok(mcomp_graph_set_int(g, "cat", "axis", 1));
    finish(g, "y");
    check_group(g, 6, (const char *const[]){"c1:0", "s1:0", "dw:0", "c2:1", "c2:1"}, 5);
    mcomp_graph_destroy(g);
}
END_TEST

/* An operator that nobody knows pins what it touches, and nothing else. */
START_TEST(unknown_pins)
{
    mcomp_graph *g = start("x", 2, (const int64_t[]){-1, 4});
    mcomp_tensor *t = NULL;
    mc_ck_ok(mcomp_tensor_create(&t, MCOMP_I64, 0, NULL));
    *(int64_t *)mcomp_tensor_data(t) = 1;
    mc_ck_ok(mcomp_graph_add_constant(g, "axis", t));
    mcomp_tensor_destroy(t);
    net_weight(g, "w1", 2, (const int64_t[]){4, 8}, 1, 0.5f, 0.0f);
    net_weight(g, "w2", 2, (const int64_t[]){8, 8}, 2, 0.5f, 0.0f);
    net_weight(g, "w3", 2, (const int64_t[]){8, 3}, 3, 0.5f, 0.0f);
    net_node(g, "MatMul", "a", "x", "w1", NULL, "p");
    net_node(g, "Relu", "relu", "p", NULL, NULL, "q");
    net_node(g, "MatMul", "b", "q", "w2", NULL, "r");
    net_node(g, "CumSum", "sum", "r", "axis", NULL, "s");
    net_node(g, "MatMul", "c", "s", "w3", NULL, "y");
    finish(g, "y");
    check_group(g, 8, (const char *const[]){"w1:1", "w2:0"}, 2);
    mcomp_graph_destroy(g);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("prune/axes");
    TCase *t = tcase_create("all");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, kinds);
    tcase_add_test(t, residual_and_depthwise);
    tcase_add_test(t, unknown_pins);
    suite_add_tcase(s, t);
    return mc_test_main(s);
}
