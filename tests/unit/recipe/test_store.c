/* The store of a recipe: what is finished is found, what is not stays apart, damage is seen, one run at a time. */
#include "support/support.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "recipe/store.h"

static char folder[64];
static char key[65], other[65];

static void setup(void)
{
    strcpy(folder, "/tmp/mc_store_XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    mc_ck_ok(mc_sha256_hex("a", 1, key));
    mc_ck_ok(mc_sha256_hex("b", 1, other));
}

static void teardown(void)
{
    char command[96];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    ck_assert_int_eq(system(command), 0);
}

static void put(const mc_store_node *n, const char *file, const char *text)
{
    mc_str path = {0};
    mc_ck_ok(mc_store_node_path(n, file, &path));
    mc_ck_ok(mc_store_write(path.data, text, strlen(text), 1));
    mc_str_free(&path);
}

static int there(const mc_store_node *n, const char *file)
{
    mc_str path = {0};
    mc_ck_ok(mc_store_node_path(n, file, &path));
    const int yes = access(path.data, F_OK) == 0;
    mc_str_free(&path);
    return yes;
}

static mc_json *some_facts(void)
{
    mc_json *facts = mc_json_object();
    mc_ck_ok(mc_json_set_string(facts, "what", "something"));
    return facts;
}

START_TEST(finished_is_found)
{
    mc_store *s;
    mc_store_node n;
    mc_ck_ok(mc_store_open(&s, folder));
    mc_ck_ok(mc_store_node_open(&n, s, key, 0));
    ck_assert_ptr_null(n.facts);
    put(&n, "model.onnx", "weights");
    put(&n, "checkpoint", "half");
    put(&n, "journal.json.tmp1234", "killed while it was named");
    mc_ck_ok(mc_json_set_number(n.journal, "sparsity", 0.25));
    mc_ck_ok(mc_store_node_keep(&n));
    mc_store_node_close(&n);
    mc_store_close(s);

    mc_ck_ok(mc_store_open(&s, folder)); /* the next run: unfinished, with what it had decided */
    mc_ck_ok(mc_store_node_open(&n, s, key, 0));
    double sparsity = 0.0;
    ck_assert_ptr_null(n.facts);
    ck_assert_int_eq(mc_json_number(mc_json_get(n.journal, "sparsity"), &sparsity), 1);
    ck_assert_double_eq_tol(sparsity, 0.25, 1e-12);
    ck_assert_int_eq(there(&n, "checkpoint"), 1);
    ck_assert_int_eq(there(&n, "journal.json.tmp1234"), 0);
    mc_ck_ok(mc_store_node_finish(&n, some_facts()));
    ck_assert_int_eq(there(&n, "checkpoint"), 0);
    ck_assert_int_eq(there(&n, "journal.json"), 0);
    mc_store_node_close(&n);

    mc_ck_ok(mc_store_node_open(&n, s, key, 1)); /* fresh concerns unfinished nodes only */
    ck_assert_str_eq(mc_json_string(mc_json_get(n.facts, "what")), "something");
    mc_store_node_close(&n);
    mc_ck_ok(mc_store_node_open(&n, s, other, 0));
    ck_assert_ptr_null(n.facts);
    mc_store_node_close(&n);
    mc_store_close(s);
}
END_TEST

START_TEST(fresh_removes_what_is_unfinished)
{
    mc_store *s;
    mc_store_node n;
    mc_ck_ok(mc_store_open(&s, folder));
    mc_ck_ok(mc_store_node_open(&n, s, key, 0));
    put(&n, "checkpoint", "half");
    put(&n, "model.onnx", "weights");
    mc_store_node_close(&n);
    mc_ck_ok(mc_store_node_open(&n, s, key, 1));
    ck_assert_int_eq(there(&n, "checkpoint"), 0);
    ck_assert_int_eq(there(&n, "model.onnx"), 0);
    mc_store_node_close(&n);
    mc_store_close(s);
}
END_TEST

/* _i 0: the model changed; 1: it is gone; 2: node.json is cut; 3: node.json of another key. */
START_TEST(damage_is_seen)
{
    mc_store *s;
    mc_store_node n;
    mc_str path = {0};
    mc_ck_ok(mc_store_open(&s, folder));
    mc_ck_ok(mc_store_node_open(&n, s, key, 0));
    put(&n, "model.onnx", "weights");
    mc_ck_ok(mc_store_node_finish(&n, some_facts()));
    mc_ck_ok(mc_store_node_path(&n, "model.onnx", &path));
    if (_i == 0) put(&n, "model.onnx", "weightz");
    if (_i == 1) ck_assert_int_eq(unlink(path.data), 0);
    if (_i == 2) put(&n, "node.json", "{\"format\":1,");
    if (_i == 3) put(&n, "node.json", "{\"format\":1,\"key\":\"x\",\"files\":{},\"facts\":{}}");
    mc_store_node_close(&n);
    mc_ck_ok(mc_store_node_open(&n, s, key, 0));
    ck_assert_ptr_null(n.facts);
    ck_assert_int_eq(n.damaged, 1);
    ck_assert_int_eq(there(&n, "node.json"), 0);
    ck_assert_int_eq(there(&n, "model.onnx"), 0);
    mc_store_node_close(&n);
    mc_str_free(&path);
    mc_store_close(s);
}
END_TEST

START_TEST(one_run_at_a_time)
{
    mc_store *a, *b;
    int fd[2], status;
    char c;
    mc_ck_ok(mc_store_open(&a, folder));
    mc_ck_fails(mc_store_open(&b, folder), MCOMP_BUSY);
    mc_store_close(a);
    ck_assert_int_eq(pipe(fd), 0);
    const pid_t pid = fork(); /* a run that is killed lets go */
    if (pid == 0) {
        const ssize_t put_ = mc_store_open(&a, folder) == MCOMP_OK ? write(fd[1], "x", 1) : 0;
        for (;;) sleep((unsigned)(10 + put_));
    }
    ck_assert_int_eq(read(fd[0], &c, 1), 1);
    mc_ck_fails(mc_store_open(&b, folder), MCOMP_BUSY);
    ck_assert_int_eq(kill(pid, SIGKILL), 0);
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    mc_ck_ok(mc_store_open(&b, folder));
    mc_store_close(b);
    close(fd[0]);
    close(fd[1]);
}
END_TEST

START_TEST(full_disk)
{
    mc_store *s;
    mc_store_node n;
    struct rlimit old, small;
    mc_ck_ok(mc_store_open(&s, folder));
    mc_ck_ok(mc_store_node_open(&n, s, key, 0));
    put(&n, "model.onnx", "weights");
    mc_json *facts = mc_json_object(), *list = mc_json_array();
    for (int i = 0; i < 3000; i++) mc_ck_ok(mc_json_append(list, mc_json_new_int(i)));
    mc_ck_ok(mc_json_set(facts, "list", list));
    ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &old), 0);
    small = old;
    small.rlim_cur = 1000;
    const int set = setrlimit(RLIMIT_FSIZE, &small);
    const int32_t st = mc_store_node_finish(&n, facts);
    const int back = setrlimit(RLIMIT_FSIZE, &old);
    ck_assert_int_eq(set | back, 0);
    ck_assert_int_eq(st, MCOMP_NO_SPACE);
    ck_assert_int_eq(there(&n, "node.json"), 0);
    mc_store_node_close(&n);
    mc_store_close(s);
}
END_TEST

START_TEST(folders)
{
    char path[128];
    mc_store *s;
    snprintf(path, sizeof path, "%s/a/b/c", folder);
    mc_ck_ok(mc_store_open(&s, path));
    mc_store_close(s);
    snprintf(path, sizeof path, "%s/file", folder);
    mc_ck_ok(mc_store_write(path, "x", 1, 0));
    mc_ck_fails(mc_store_write(path, "y", 1, 0), MCOMP_PATH);
    mc_ck_fails(mc_store_open(&s, path), MCOMP_PATH);
    ck_assert_ptr_null(s);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("store");
    TCase *t = tcase_create("store");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, finished_is_found);
    tcase_add_test(t, fresh_removes_what_is_unfinished);
    tcase_add_loop_test(t, damage_is_seen, 0, 4);
    tcase_add_test(t, one_run_at_a_time);
    tcase_add_test(t, full_disk);
    tcase_add_test(t, folders);
    suite_add_tcase(s, t);
    return mc_test_main(s);
}
