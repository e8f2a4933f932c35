/* Models larger than the machine should ever read: sparse files of 2.5 GB open in milliseconds at a few MB, and a model
 * of more than 2 GiB is saved with its data beside it. Slow suite: it needs a file system with sparse files. */
#include "unit/onnx/pb.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static char path[64], dir[64];

static void setup(void)
{
    strcpy(dir, "/tmp/mcomp-big-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/big.onnx", dir);
}
static void teardown(void)
{
    char cmd[128];
    snprintf(cmd, sizeof cmd, "rm -rf %s", dir);
    ck_assert_int_eq(system(cmd), 0);
}

static int64_t peak_kb(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return u.ru_maxrss;
}

/* graph { input x[rows], output y = x + w, w: dtype [n] whose raw_data is a hole with `last` at its end } */
static void write_sparse(int64_t dtype, int64_t n, uint64_t bytes, uint8_t last)
{
    const int64_t dims[1] = {n};
    pb tensor = pb_tensor("w", dtype, 1, dims), graph = {.n = 0}, head = {.n = 0}, tail = {.n = 0}, node = pb_node("Add", "add", "x,w", "y");
    pb x = pb_value("x", dtype, 1, dims), y = {.n = 0}, prefix = {.n = 0};
    pb_str(&y, 1, "y");
    pb_varint(&tensor, 9 << 3 | 2);
    pb_varint(&tensor, bytes);
    pb_msg(&graph, 1, &node);
    pb_msg(&graph, 11, &x);
    pb_msg(&graph, 12, &y);
    pb_varint(&graph, 5 << 3 | 2);
    pb_varint(&graph, tensor.n + bytes);
    pb_raw(&graph, tensor.data, tensor.n);
    pb_int(&head, 1, 8);
    pb_varint(&prefix, 7 << 3 | 2);
    pb_varint(&prefix, graph.n + bytes);
    pb_raw(&head, prefix.data, prefix.n);
    pb_raw(&head, graph.data, graph.n);
    pb opset = {.n = 0};
    pb_int(&opset, 2, 14);
    pb_msg(&tail, 8, &opset);
    const int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(pwrite(fd, head.data, head.n, 0), (ssize_t)head.n);
    ck_assert_int_eq(pwrite(fd, &last, 1, (off_t)(head.n + bytes - 1)), 1);
    ck_assert_int_eq(pwrite(fd, tail.data, tail.n, (off_t)(head.n + bytes)), (ssize_t)tail.n);
    close(fd);
}

START_TEST(opens_without_reading)
{
    static const struct {
        int64_t dtype, unit;
    } rows[] = {{MCOMP_I8, 1}, {MCOMP_F32, 4}};
    for (size_t i = 0; i < 2; i++) {
        mc_graph *g;
        const int64_t n = (int64_t)2500000000 / rows[i].unit;
        write_sparse(rows[i].dtype, n, (uint64_t)(n * rows[i].unit), 0x40);
        const int64_t before = peak_kb(), t0 = mc_clock_ns();
        mc_ck_ok(mc_onnx_load(&g, NULL, path, NULL));
        const int64_t ms = (mc_clock_ns() - t0) / 1000000, grown = peak_kb() - before;
        ck_assert_msg(grown < 16 * 1024, "%lld kB more", (long long)grown);
        ck_assert_msg(ms < 200, "%lld ms", (long long)ms);
        const mc_tensor *w = mc_graph_find_value(g, "w")->init;
        ck_assert_int_eq(((const uint8_t *)w->data)[(int64_t)mc_tensor_bytes(w) - 1], 0x40);
        mc_graph_destroy(g);
    }
}
END_TEST

START_TEST(saves_beyond_two_gigabytes)
{
    mc_graph *g, *b;
    mcomp_save_options o = {.size = sizeof o, .overwrite = 1, .data = MCOMP_DATA_INSIDE};
    char out[96];
    write_sparse(MCOMP_I8, 2200000000, 2200000000, 7);
    mc_ck_ok(mc_onnx_load(&g, NULL, path, NULL));
    snprintf(out, sizeof out, "%s/out.onnx", dir);
    mc_ck_fails(mc_onnx_save(g, out, &o), MCOMP_LIMIT);
    ck_assert_int_ne(mc_error_peek()->hint[0], 0);
    ck_assert_int_ne(access(out, F_OK), 0);
    o.data = MCOMP_DATA_AUTO;
    mc_ck_ok(mc_onnx_save(g, out, &o));
    mc_ck_ok(mc_onnx_load(&b, NULL, out, NULL));
    const mc_tensor *w = mc_graph_find_value(b, "w")->init;
    ck_assert_int_eq(((const uint8_t *)w->data)[2200000000 - 1], 7);
    ck_assert_int_eq((uintptr_t)w->data % 4096, 0);
    mc_graph_destroy(g);
    mc_graph_destroy(b);
}
END_TEST

/* A million distinct names: the time for twice as many is about twice as long. */
START_TEST(many_names_are_linear)
{
    int64_t t[2];
    for (int k = 0; k < 2; k++) {
        const int64_t n = 500000 << k;
        mc_str s = {0}, model = {0};
        mc_graph *g;
        pb head = pb_graph(), node = pb_node("Relu", "r", "x", "y"), p = {.n = 0}, opset = {.n = 0};
        pb_msg(&head, 1, &node);
        mc_ck_ok(mc_str_append_bytes(&s, head.data, head.n));
        for (int64_t i = 0; i < n; i++) {
            static const int64_t one[1] = {1};
            char name[32];
            snprintf(name, sizeof name, "weight.%lld", (long long)i);
            pb w = pb_tensor(name, MCOMP_I8, 1, one), field = {.n = 0};
            pb_bytes(&w, 9, "a", 1);
            pb_msg(&field, 5, &w);
            mc_ck_ok(mc_str_append_bytes(&s, field.data, field.n));
        }
        pb_int(&p, 1, 8);
        pb_int(&opset, 2, 13);
        pb_msg(&p, 8, &opset);
        pb_varint(&p, 7 << 3 | 2);
        pb_varint(&p, (uint64_t)s.len);
        mc_ck_ok(mc_str_append_bytes(&model, p.data, p.n));
        mc_ck_ok(mc_str_append_bytes(&model, s.data, (size_t)s.len));
        const clock_t t0 = clock(); /* of this process: the machine may be busy */
        mc_ck_ok(mc_onnx_load_memory(&g, NULL, model.data, (uint64_t)model.len));
        t[k] = (int64_t)(clock() - t0) * (1000000000 / CLOCKS_PER_SEC);
        mc_graph_destroy(g);
        mc_str_free(&s);
        mc_str_free(&model);
    }
    ck_assert_msg((double)t[1] / (double)t[0] <= 2.3, "%lld and %lld ms", (long long)t[0] / 1000000, (long long)t[1] / 1000000);
    ck_assert_msg(t[1] < (int64_t)10000000000, "%lld ms", (long long)t[1] / 1000000);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("onnx/big");
    TCase *t = tcase_create("big");
    tcase_set_timeout(t, 280);
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, opens_without_reading);
    tcase_add_test(t, saves_beyond_two_gigabytes);
    tcase_add_test(t, many_names_are_linear);
    suite_add_tcase(s, t);
    return mc_test_main(s);
}
