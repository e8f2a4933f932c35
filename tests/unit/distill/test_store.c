/* The store of teacher outputs: what goes in comes out, in memory and from a folder; damage, limits, folders that cannot be written. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "distill/distill.h"
#include "support/support.h"

static char folder[64];

static void setup(void)
{
    strcpy(folder, "/tmp/mcomp-store-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
}

static void teardown(void)
{
    char command[256];
    snprintf(command, sizeof command, "chmod -R u+w %s; rm -rf %s", folder, folder);
    ck_assert_int_eq(system(command), 0);
}

static const char *key(int i)
{
    static char hex[4][MC_KD_KEY + 1];
    static int at;
    at = (at + 1) % 4;
    const uint64_t x = (uint64_t)i;
    mc_ck_ok(mc_sha256_hex(&x, sizeof x, hex[at]));
    return hex[at];
}

static void put(mc_kd_store *s, int first, int last, uint64_t bytes)
{
    uint8_t *data = malloc(bytes + 1);
    for (int i = first; i < last; i++) {
        memset(data, i, bytes);
        mc_ck_ok(mc_kd_store_put(s, key(i), data, bytes));
    }
    free(data);
}

static void check(const mc_kd_store *s, int first, int last, uint64_t bytes)
{
    uint64_t n = 0;
    for (int i = first; i < last; i++) {
        const uint8_t *p = mc_kd_store_find(s, key(i), &n);
        ck_assert_msg(p && n == bytes, "entry %d", i);
        for (uint64_t k = 0; k < n; k++)
            if (p[k] != (uint8_t)i) ck_abort_msg("entry %d, byte %llu", i, (unsigned long long)k);
    }
}

/* The only shard of a group. */
static void shard(char *path, size_t cap, const char *group)
{
    char in[128];
    snprintf(in, sizeof in, "%s/%s", folder, group);
    DIR *d = opendir(in);
    ck_assert_ptr_nonnull(d);
    path[0] = 0;
    for (struct dirent *e; (e = readdir(d)) != NULL;)
        if (strstr(e->d_name, ".kd")) snprintf(path, cap, "%s/%s", in, e->d_name);
    closedir(d);
    ck_assert(path[0] != 0);
}

START_TEST(memory_and_folder)
{
    uint64_t n;
    for (int on_disk = 0; on_disk < 2; on_disk++) {
        mc_kd_store *s = NULL;
        mc_ck_ok(mc_kd_store_open(&s, on_disk ? folder : NULL, "g", 1 << 20));
        put(s, 0, 10, 7);
        ck_assert_ptr_null(mc_kd_store_find(s, key(0), &n));
        mc_ck_ok(mc_kd_store_flush(s));
        put(s, 10, 12, 7);
        mc_ck_ok(mc_kd_store_flush(s));
        mc_ck_ok(mc_kd_store_flush(s));
        check(s, 0, 12, 7);
        mc_kd_store_close(s);
    }
    mc_kd_store *again = NULL;
    mc_ck_ok(mc_kd_store_open(&again, folder, "g", 1 << 20));
    check(again, 0, 12, 7);
    ck_assert_int_eq(mc_kd_store_damaged(again), 0);
    mc_kd_store_close(again);
    mc_ck_ok(mc_kd_store_open(&again, folder, "other", 1 << 20));
    ck_assert_ptr_null(mc_kd_store_find(again, key(0), &n));
    ck_assert(mc_kd_store_bytes(again) > 12 * 8);
    mc_kd_store_close(again);
}
END_TEST

/* A shard that is full is written by itself. */
START_TEST(large)
{
    mc_kd_store *s = NULL;
    mc_ck_ok(mc_kd_store_open(&s, folder, "g", 64 << 20));
    put(s, 0, 20, 1 << 20);
    check(s, 0, 16, 1 << 20);
    mc_ck_ok(mc_kd_store_flush(s));
    check(s, 0, 20, 1 << 20);
    mc_kd_store_close(s);
}
END_TEST

/* Every byte of a shard turned over, and every length it may be cut to: never a wrong entry, never a crash. */
START_TEST(damage)
{
    char path[512];
    uint64_t n;
    mc_kd_store *s = NULL;
    mc_ck_ok(mc_kd_store_open(&s, folder, "g", 1 << 20));
    put(s, 0, 3, 9);
    mc_ck_ok(mc_kd_store_flush(s));
    mc_kd_store_close(s);
    shard(path, sizeof path, "g");
    char *data = NULL;
    uint64_t bytes = 0;
    mc_ck_ok(mc_file_read(path, 1 << 20, &data, &bytes));
    for (uint64_t at = 0; at < 2 * bytes; at++) {
        FILE *f = fopen(path, "wb");
        if (at < bytes) data[at] = (char)(data[at] ^ 0x55);
        ck_assert(fwrite(data, 1, at < bytes ? bytes : at - bytes, f) == (at < bytes ? bytes : at - bytes));
        fclose(f);
        if (at < bytes) data[at] = (char)(data[at] ^ 0x55);
        mc_ck_ok(mc_kd_store_open(&s, folder, "g", 1 << 20));
        int left = 0;
        for (int i = 0; i < 3; i++) {
            const uint8_t *p = mc_kd_store_find(s, key(i), &n);
            left += p != NULL;
            for (uint64_t k = 0; p && k < n; k++) ck_assert_int_eq(p[k], i);
            ck_assert(!p || n == 9);
        }
        const int whole = at >= bytes && (at - bytes) % 96 == 8; /* cut between two records: nothing shows it */
        ck_assert_msg(mc_kd_store_damaged(s) > 0 || left == 3 || whole, "at %llu of %llu: %d entries", (unsigned long long)at, (unsigned long long)bytes, left);
        mc_kd_store_close(s);
    }
    mc_free(data);
}
END_TEST

START_TEST(limit)
{
    mc_kd_store *s = NULL;
    uint64_t n;
    uint8_t byte = 1;
    mc_ck_ok(mc_kd_store_open(&s, folder, "old", 4000));
    put(s, 0, 1, 2000);
    mc_ck_ok(mc_kd_store_flush(s));
    mc_kd_store_close(s);
    mc_ck_ok(mc_kd_store_open(&s, folder, "new", 4000));
    put(s, 1, 2, 2000); /* the other teacher's go */
    mc_ck_ok(mc_kd_store_flush(s));
    check(s, 1, 2, 2000);
    ck_assert(mc_kd_store_bytes(s) <= 4000);
    put(s, 2, 3, 2000); /* its own stay: too much */
    mc_ck_fails(mc_kd_store_flush(s), MCOMP_LIMIT);
    check(s, 1, 2, 2000);
    mc_kd_store_close(s);
    mc_ck_ok(mc_kd_store_open(&s, folder, "old", 4000));
    ck_assert_ptr_null(mc_kd_store_find(s, key(0), &n));
    mc_kd_store_close(s);
    mc_ck_ok(mc_kd_store_open(&s, NULL, "", 100));
    mc_ck_ok(mc_kd_store_put(s, key(0), &byte, 1));
    put(s, 1, 2, 100);
    mc_ck_fails(mc_kd_store_flush(s), MCOMP_LIMIT);
    mc_kd_store_close(s);
}
END_TEST

START_TEST(folders)
{
    mc_kd_store *s = NULL;
    char path[128];
    snprintf(path, sizeof path, "%s/not/there", folder);
    mc_ck_fails(mc_kd_store_open(&s, path, "g", 100), MCOMP_PATH);
    mc_ck_fails(mc_kd_store_open(&s, "/dev/null", "g", 100), MCOMP_PATH);
    if (geteuid() == 0) return; /* root may write anywhere */
    ck_assert_int_eq(chmod(folder, 0500), 0);
    mc_ck_fails(mc_kd_store_open(&s, folder, "g", 100), MCOMP_PATH);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("distill/store");
    TCase *t = tcase_create("all");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, memory_and_folder);
    tcase_add_test(t, large);
    tcase_add_test(t, damage);
    tcase_add_test(t, limit);
    tcase_add_test(t, folders);
    suite_add_tcase(s, t);
    return mc_test_main(s);
}
