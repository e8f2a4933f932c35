/* Truncated and damaged files: any status is fine, a crash, a leak or a hang is not. What still loads must be sound enough
 * to be saved and loaded again. */
#include "unit/onnx/pb.h"

#include <unistd.h>

static uint64_t next(uint64_t *s) /* splitmix64 */
{
    uint64_t z = (*s += 0x9e3779b97f4a7c15u);
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static int64_t loaded, refused;
static char out[] = "/tmp/mcomp-damage-XXXXXX";

static void try(const uint8_t *data, size_t n, int save)
{
    mc_graph *g = NULL;
    mc_error_clear();
    const int32_t st = mc_onnx_load_memory(&g, NULL, data, n);
    if (st != MCOMP_OK) {
        ck_assert_ptr_null(g);
        ck_assert_msg(st < 0 && mc_error_peek()->message[0], "refused without a reason");
        ck_assert_int_ne(st, MCOMP_INTERNAL);
        refused++;
        return;
    }
    loaded++;
    mc_ck_ok(mc_graph_validate(g));
    if (save) {
        const mcomp_save_options o = {.size = sizeof o, .overwrite = 1};
        mc_graph *b = NULL;
        if (mc_onnx_save(g, out, &o) == MCOMP_OK) {
            mc_error_clear();
            mc_ck_ok(mc_onnx_load(&b, NULL, out, NULL));
        }
        mc_graph_destroy(b);
    }
    mc_graph_destroy(g);
}

static void every_prefix(const uint8_t *data, size_t n)
{
    const uint64_t live = mc_alloc_live_bytes();
    for (size_t k = 0; k < n; k++) {
        uint8_t *copy = malloc(k ? k : 1); /* exactly as long, so that reading behind it is seen */
        memcpy(copy, data, k);
        try(copy, k, 0);
        free(copy);
    }
    ck_assert_uint_eq(mc_alloc_live_bytes(), live);
}

START_TEST(truncated_small_model)
{
    static const float v[4] = {1, 2, 3, 4};
    static const int64_t no_dims[1] = {0};
    pb graph = pb_graph(), w = pb_floats("w", 4, v), n = pb_node("Add", "a", "x,w", "p"), c = pb_value("c", 9, 0, no_dims), sub = {.n = 0}, o = {.n = 0};
    mc_ops_register();
    pb_str(&o, 1, "q");
    pb inner = pb_node("Relu", "", "p", "q");
    pb_msg(&sub, 1, &inner);
    pb_msg(&sub, 12, &o);
    pb_msg(&graph, 1, &n);
    n = pb_node("If", "if", "c", "y");
    pb_attr_msg(&n, "then_branch", 5, &sub);
    pb_attr_msg(&n, "else_branch", 5, &sub);
    pb_msg(&graph, 1, &n);
    pb_msg(&graph, 11, &c);
    pb_msg(&graph, 5, &w);
    const pb m = pb_model_of(&graph, 13, 8);
    mc_graph *g;
    mc_ck_ok(pb_load(&m, &g)); /* whole: fine */
    mc_graph_destroy(g);
    loaded = 0;
    every_prefix(m.data, m.n);
    ck_assert_int_le(loaded, 0); /* the opset comes last: no prefix is a model */
}
END_TEST

START_TEST(truncated_mnist)
{
    uint64_t n;
    char *data;
    if (mc_test_skip_without_data()) return;
    mc_ops_register();
    mc_ck_ok(mc_file_read(mc_test_data("models/mnist8.onnx"), 1 << 20, &data, &n));
    every_prefix((const uint8_t *)data, (size_t)n);
    ck_assert_int_gt(refused, (int64_t)n - 100);
    mc_free(data);
}
END_TEST

/* Bytes overwritten, removed, inserted or swapped at seeded places; more often in the structure than in the weights. */
static void damage(const char *name, int count)
{
    uint64_t n, seed = 42;
    char path[64], *data;
    snprintf(path, sizeof path, "models/%s", name);
    mc_ck_ok(mc_file_read(mc_test_data(path), (uint64_t)1 << 24, &data, &n));
    const uint64_t live = mc_alloc_live_bytes();
    uint8_t *copy = malloc((size_t)n + 64);
    for (int i = 0; i < count; i++) {
        size_t size = (size_t)n;
        memcpy(copy, data, size);
        for (uint64_t k = 1 + next(&seed) % 4; k > 0; k--) {
            const size_t range = next(&seed) % 2 ? size : size < 4096 ? size : 4096;
            const size_t at = next(&seed) % 3 ? next(&seed) % range : size - 1 - next(&seed) % range;
            const size_t span = 1 + next(&seed) % 8;
            switch (next(&seed) % 4) {
            case 0: copy[at] ^= (uint8_t)(1u << next(&seed) % 8); break;
            case 1: copy[at] = (uint8_t)(next(&seed) % 2 ? 0xff : next(&seed)); break;
            case 2: /* bytes disappear */
                if (at + span >= size) break;
                memmove(copy + at, copy + at + span, size - at - span);
                size -= span;
                break;
            default: /* a piece is repeated */
                if (size + span > n + 64 || at + span >= size) break;
                memmove(copy + at + span, copy + at, size - at);
                size += span;
            }
        }
        try(copy, size, i % 8 == 0);
    }
    free(copy);
    mc_free(data);
    ck_assert_uint_le(mc_alloc_live_bytes(), live);
}

START_TEST(damaged_models)
{
    static const struct {
        const char *name;
        int count;
    } rows[] = {{"mnist8.onnx", 600}, {"bert_toy_optimized.onnx", 300}, {"resnet8_cifar.onnx", 300}, {"silero_vad_16k_op15.onnx", 200}};
    if (mc_test_skip_without_data()) return;
    const int fd = mkstemp(out);
    ck_assert_int_ge(fd, 0);
    close(fd);
    mc_ops_register();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) damage(rows[i].name, rows[i].count);
    unlink(out);
    ck_assert_int_gt(refused, 100);
    ck_assert_int_gt(loaded, 100); /* or the damage is no test */
}
END_TEST

int main(void)
{
    Suite *s = suite_create("onnx/damage");
    TCase *t = tcase_create("damage");
    tcase_add_test(t, truncated_small_model);
    tcase_add_test(t, truncated_mnist);
    tcase_add_test(t, damaged_models);
    suite_add_tcase(s, t);
    return mc_test_main(s);
}
