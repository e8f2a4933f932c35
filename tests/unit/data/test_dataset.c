/* Datasets over a graph: binding of arrays, casts, labels, selection, bytes tokenizer, callbacks. */
#include "support/support.h"

#include <stdio.h>
#include <stdlib.h>

#include "data/internal.h"

static char dir[64];
static mcomp_graph model;
static const char *at(const char *name)
{
    static char path[4][256];
    static int next;
    char *p = path[next++ % 4];
    snprintf(p, 256, "%s/%s", dir, name);
    return p;
}
static void put(const char *name, const char *text)
{
    FILE *f = fopen(at(name), "wb");
    ck_assert_ptr_nonnull(f);
    fputs(text, f);
    fclose(f);
}
static void add_input(const char *name, int32_t dtype, int32_t rank, int64_t d0, int64_t d1)
{
    mc_value *v;
    mc_type t = {.dtype = dtype, .rank = rank, .dim = {d0, d1}};
    if (d0 < 0) mc_ck_ok(mc_graph_symbol(model.g, "batch", &t.dim[0]));
    mc_ck_ok(mc_graph_add_input(model.g, name, &t, &v));
}
static void setup(void)
{
    strcpy(dir, "/tmp/mcomp_data_XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    mc_ck_ok(mc_graph_create(&model.g, "m"));
}
static void teardown(void)
{
    char cmd[128];
    mc_graph_destroy(model.g);
    snprintf(cmd, sizeof cmd, "rm -rf %s", dir);
    ck_assert_int_eq(system(cmd), 0);
}
static void save(const char *name, int32_t dtype, int32_t rank, const int64_t *dims, const double *v)
{
    mcomp_tensor *t;
    mc_ck_ok(mcomp_tensor_create(&t, dtype, rank, dims));
    for (int64_t i = 0; i < mcomp_tensor_elements(t); i++) mc_tensor_set_f64(&t->t, i, v[i]);
    mc_ck_ok(mcomp_tensor_save_npy(t, at(name), 1));
    mcomp_tensor_destroy(t);
}

START_TEST(arrays_cast_exactly_or_not_at_all)
{
    mcomp_dataset *d;
    const mcomp_tensor *in[1];
    const int64_t dims[2] = {3, 2};
    const double v[6] = {0, 1, 2, 3, 4, 5}, w[6] = {0, 1, 2.5, 3, 4, 5};
    add_input("x", MCOMP_I32, 2, -1, 2);
    save("a.npy", MCOMP_F64, 2, dims, v);
    mc_ck_ok(mcomp_dataset_open(&d, NULL, &model, at("a.npy"), NULL));
    ck_assert_int_eq(mcomp_dataset_count(d), 3);
    mc_ck_ok(mcomp_dataset_get(d, 2, 1, in, NULL));
    ck_assert_int_eq(mcomp_tensor_dims(in[0])[0], 1);
    ck_assert_int_eq(((const int32_t *)mcomp_tensor_data(in[0]))[1], 5);
    ck_assert_int_eq(mcomp_dataset_get(d, 3, 1, in, NULL), MCOMP_ARGUMENT);
    mcomp_dataset_destroy(d);
    save("b.npy", MCOMP_F64, 2, dims, w);
    mc_ck_fails(mcomp_dataset_open(&d, NULL, &model, at("b.npy"), NULL), MCOMP_DTYPE);
    const int64_t wrong[2] = {2, 3};
    save("c.npy", MCOMP_I32, 2, wrong, v);
    mc_ck_fails(mcomp_dataset_open(&d, NULL, &model, at("c.npy"), NULL), MCOMP_SHAPE);
}
END_TEST

START_TEST(suffix_selects_then_counts)
{
    char arg[300];
    mcomp_dataset *d;
    mcomp_dataset_options o;
    const mcomp_tensor *in[2];
    int64_t label;
    add_input("input_ids", MCOMP_I64, 2, -1, 4);
    add_input("attention_mask", MCOMP_I64, 2, -1, 4);
    put("a.tsv", "split\tlabel\ttext\ntrain\tx\ta\ntest\ty\tb\ntest\tx\tlonger\ntest\ty\td\n");
    mc_ck_ok(mcomp_dataset_options_init(&o, sizeof o));
    o.tokenizer = "bytes";
    snprintf(arg, sizeof arg, "%s@split=test,skip=1,limit=1", at("a.tsv"));
    mc_ck_ok(mcomp_dataset_open(&d, NULL, &model, arg, &o));
    ck_assert_int_eq(mcomp_dataset_count(d), 1);
    mc_ck_ok(mcomp_dataset_get(d, 0, 2, in, &label));
    ck_assert_int_eq(((const int64_t *)mcomp_tensor_data(in[0]))[3], 'g');
    ck_assert_str_eq(mcomp_dataset_label_name(d, label), "x");
    mcomp_dataset_destroy(d);
    mc_ck_ok(mcomp_dataset_open(&d, NULL, &model, at("a.tsv"), &o));
    mc_ck_ok(mcomp_dataset_get(d, 0, 2, in, NULL));
    ck_assert_int_eq(((const int64_t *)mcomp_tensor_data(in[0]))[1], 256);
    ck_assert_int_eq(((const int64_t *)mcomp_tensor_data(in[1]))[0], 1);
    ck_assert_int_eq(((const int64_t *)mcomp_tensor_data(in[1]))[1], 0);
    mcomp_dataset_destroy(d);
    snprintf(arg, sizeof arg, "%s@splitt=test", at("a.tsv"));
    mc_ck_fails(mcomp_dataset_open(&d, NULL, &model, arg, &o), MCOMP_DATA);
    snprintf(arg, sizeof arg, "%s@split=none", at("a.tsv"));
    mc_ck_fails(mcomp_dataset_open(&d, NULL, &model, arg, &o), MCOMP_DATA);
    o.tokenizer = "vocab.txt";
    mc_ck_fails(mcomp_dataset_open(&d, NULL, &model, at("a.tsv"), &o), MCOMP_PATH);
    o.tokenizer = "bytes";
    o.labels = "x\nz\n";
    mc_ck_fails(mcomp_dataset_open(&d, NULL, &model, at("a.tsv"), &o), MCOMP_DATA);
}
END_TEST

static int32_t fetch(void *payload, int64_t i, int32_t n, mcomp_tensor **in, int64_t *label)
{
    const int64_t dims[2] = {1, *(int64_t *)payload};
    (void)n;
    *label = i;
    return mcomp_tensor_create(&in[0], MCOMP_F32, 2, dims);
}

START_TEST(callbacks_are_checked)
{
    mcomp_dataset *d;
    const mcomp_tensor *in[1];
    int64_t label, width = 2;
    add_input("x", MCOMP_F32, 2, -1, 2);
    mc_ck_ok(mcomp_dataset_create(&d, NULL, &model, 5, fetch, &width));
    mc_ck_ok(mcomp_dataset_get(d, 4, 1, in, &label));
    ck_assert_int_eq(label, 4);
    width = 3;
    mc_ck_fails(mcomp_dataset_get(d, 0, 1, in, &label), MCOMP_SHAPE);
    mcomp_dataset_destroy(d);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("data/dataset");
    TCase *c = tcase_create("core");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, arrays_cast_exactly_or_not_at_all);
    tcase_add_test(c, suffix_selects_then_counts);
    tcase_add_test(c, callbacks_are_checked);
    suite_add_tcase(s, c);
    return mc_test_main(s);
}
