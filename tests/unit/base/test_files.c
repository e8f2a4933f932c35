/* Mapping and atomic replacement: what exists stays until the commit, nothing half-written is left, special files are refused. */
#include "support/support.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[64], path[128];

static void setup(void)
{
    strcpy(dir, "/tmp/mcomp_file_XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/a", dir);
}
static void teardown(void)
{
    char cmd[128];
    snprintf(cmd, sizeof cmd, "rm -rf %s", dir);
    ck_assert_int_eq(system(cmd), 0);
}
static int files(void)
{
    char cmd[128];
    int n = -1;
    snprintf(cmd, sizeof cmd, "ls -A %s | wc -l", dir);
    FILE *f = popen(cmd, "r");
    ck_assert_int_eq(fscanf(f, "%d", &n), 1);
    pclose(f);
    return n;
}
static void put(const char *text)
{
    mc_writer *w;
    mc_ck_ok(mc_writer_open(&w, path, 1));
    mc_ck_ok(mc_writer_write(w, text, strlen(text)));
    mc_ck_ok(mc_writer_commit(w));
}
static void expect(const char *text)
{
    char *data;
    uint64_t n;
    mc_ck_ok(mc_file_read(path, 1 << 20, &data, &n));
    ck_assert_str_eq(data, text);
    mc_free(data);
}

START_TEST(old_until_commit)
{
    mc_writer *w;
    put("old");
    ck_assert_int_eq(chmod(path, 0640), 0);
    mc_ck_fails(mc_writer_open(&w, path, 0), MCOMP_PATH);
    mc_ck_ok(mc_writer_open(&w, path, 1));
    mc_ck_ok(mc_writer_write(w, "new", 3));
    expect("old");
    mc_writer_abort(w);
    expect("old");
    ck_assert_int_eq(files(), 1);
    put("new");
    expect("new");
    struct stat s;
    ck_assert_int_eq(stat(path, &s), 0);
    ck_assert_int_eq(s.st_mode & 0777, 0640);
}
END_TEST

START_TEST(a_mapping_survives_the_replacement_of_its_file)
{
    mc_mapping m;
    put("first");
    mc_ck_ok(mc_file_map(path, &m));
    put("second version");
    ck_assert_uint_eq(m.bytes, 5);
    ck_assert_mem_eq(m.data, "first", 5);
    mc_file_unmap(&m);
}
END_TEST

START_TEST(special_files_are_refused)
{
    mc_mapping m;
    mc_writer *w;
    char *data, fifo[140];
    uint64_t n;
    mc_ck_fails(mc_file_map("/dev/zero", &m), MCOMP_PATH);
    mc_ck_fails(mc_file_map(dir, &m), MCOMP_PATH);
    mc_ck_fails(mc_file_map("/nonexistent/x", &m), MCOMP_PATH);
    snprintf(fifo, sizeof fifo, "%s/fifo", dir);
    ck_assert_int_eq(mkfifo(fifo, 0600), 0);
    mc_ck_fails(mc_file_map(fifo, &m), MCOMP_PATH); /* and does not hang */
    mc_ck_fails(mc_file_read(fifo, 10, &data, &n), MCOMP_PATH);
    mc_ck_fails(mc_writer_open(&w, dir, 1), MCOMP_PATH);
    mc_ck_fails(mc_writer_open(&w, "/nonexistent/x", 1), MCOMP_PATH);
}
END_TEST

START_TEST(a_full_disk_leaves_the_old_file)
{
    mc_writer *w;
    static char block[200000];
    struct rlimit old, small = {.rlim_cur = 100000, .rlim_max = RLIM_INFINITY};
    int32_t st;
    put("old");
    ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &old), 0);
    small.rlim_max = old.rlim_max;
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &small), 0);
    mc_ck_ok(mc_writer_open(&w, path, 1));
    st = mc_writer_write(w, block, sizeof block);
    if (st == MCOMP_OK) st = mc_writer_commit(w);
    else mc_writer_abort(w);
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &old), 0);
    ck_assert_int_ne(st, MCOMP_OK);
    expect("old");
    ck_assert_int_eq(files(), 1);
}
END_TEST

START_TEST(reading_has_a_limit)
{
    char *data;
    uint64_t n;
    put("0123456789");
    mc_ck_fails(mc_file_read(path, 9, &data, &n), MCOMP_LIMIT);
    mc_ck_ok(mc_file_read(path, 10, &data, &n));
    mc_free(data);
}
END_TEST

START_TEST(bad_055_output_paths)
{
    mc_writer *w;
    char link[140], name[160], longest[5001];
    struct stat s;
    memset(longest, 'a', 5000);
    longest[5000] = 0;
    put("old");
    snprintf(link, sizeof link, "%s/link", dir);
    ck_assert_int_eq(symlink("a", link), 0);
    mc_ck_ok(mc_writer_open(&w, link, 1)); /* the link stays, its target is replaced */
    mc_ck_ok(mc_writer_write(w, "new", 3));
    mc_ck_ok(mc_writer_commit(w));
    expect("new");
    ck_assert_int_eq(lstat(link, &s), 0);
    ck_assert(S_ISLNK(s.st_mode));
    mc_ck_fails(mc_writer_open(&w, longest, 1), MCOMP_PATH);
    mc_ck_fails(mc_writer_open(&w, "", 1), MCOMP_PATH);
    snprintf(name, sizeof name, "%s/none/x", dir);
    mc_ck_fails(mc_writer_open(&w, name, 1), MCOMP_PATH);
    snprintf(name, sizeof name, "%s/a/x", dir);
    mc_ck_fails(mc_writer_open(&w, name, 1), MCOMP_PATH);
    snprintf(name, sizeof name, "%s/\xff\xfe", dir); /* no UTF-8: a name like any other */
    mc_ck_ok(mc_writer_open(&w, name, 0));
    mc_ck_ok(mc_writer_commit(w));
    ck_assert_int_eq(files(), 3);
}
END_TEST

/* Two writers at once: each has a temporary file of its own, the later commit wins whole. */
START_TEST(bad_057_two_writers)
{
    mc_writer *a, *b;
    mc_ck_ok(mc_writer_open(&a, path, 1));
    mc_ck_ok(mc_writer_open(&b, path, 1));
    mc_ck_ok(mc_writer_write(a, "aaaaaaaa", 8));
    mc_ck_ok(mc_writer_write(b, "bb", 2));
    mc_ck_ok(mc_writer_commit(b));
    expect("bb");
    mc_ck_ok(mc_writer_commit(a));
    expect("aaaaaaaa");
    ck_assert_int_eq(files(), 1);
}
END_TEST

START_TEST(bad_060_growing_file)
{
    mc_mapping m;
    put("first");
    mc_ck_ok(mc_file_map(path, &m));
    FILE *f = fopen(path, "ab");
    ck_assert_ptr_nonnull(f);
    fputs(" and more", f);
    fclose(f);
    ck_assert_uint_eq(m.bytes, 5);
    ck_assert_mem_eq(m.data, "first", 5);
    mc_file_unmap(&m);
}
END_TEST

/* Reading a copy notices that the file became shorter or longer since its size was asked for. */
START_TEST(a_file_that_changes_while_it_is_read)
{
    int fd;
    uint64_t bytes;
    char data[16];
    put("0123456789");
    mc_ck_ok(mc_file_open(path, &fd));
    mc_ck_ok(mc_file_size_fd(fd, path, &bytes));
    ck_assert_uint_eq(bytes, 10);
    mc_ck_ok(mc_file_copy_fd(fd, path, data, bytes));
    ck_assert_mem_eq(data, "0123456789", 10);
    ck_assert_int_eq(truncate(path, 4), 0);
    mc_ck_fails(mc_file_copy_fd(fd, path, data, bytes), MCOMP_IO);
    ck_assert_str_eq(mc_error_peek()->where, path);
    ck_assert(mc_error_peek()->hint[0]);
    ck_assert_int_eq(truncate(path, 12), 0);
    mc_error_clear();
    mc_ck_fails(mc_file_copy_fd(fd, path, data, bytes), MCOMP_IO);
    close(fd);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("base/files");
    TCase *c = tcase_create("core");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, old_until_commit);
    tcase_add_test(c, a_mapping_survives_the_replacement_of_its_file);
    tcase_add_test(c, special_files_are_refused);
    tcase_add_test(c, a_full_disk_leaves_the_old_file);
    tcase_add_test(c, reading_has_a_limit);
    tcase_add_test(c, bad_055_output_paths);
    tcase_add_test(c, bad_057_two_writers);
    tcase_add_test(c, bad_060_growing_file);
    tcase_add_test(c, a_file_that_changes_while_it_is_read);
    suite_add_tcase(s, c);
    return mc_test_main(s);
}
