/* tests/unit/safetensors/st.h - files of the format by hand, and a folder to put them in. */
#ifndef MC_TEST_ST_H
#define MC_TEST_ST_H

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "safetensors/safetensors.h"
#include "support/support.h"

typedef struct st_file {
    uint8_t *bytes;
    size_t n;
} st_file;

/* length, header, and data_bytes of data: 0, 1, 2, ... */
static inline st_file st_make_n(const char *header, size_t header_bytes, size_t data_bytes)
{
    st_file f = {malloc(8 + header_bytes + data_bytes + 1), 8 + header_bytes + data_bytes};
    ck_assert_ptr_nonnull(f.bytes);
    for (int i = 0; i < 8; i++) f.bytes[i] = (uint8_t)((uint64_t)header_bytes >> 8 * i);
    memcpy(f.bytes + 8, header, header_bytes);
    for (size_t i = 0; i < data_bytes; i++) f.bytes[8 + header_bytes + i] = (uint8_t)i;
    return f;
}

static inline st_file st_make(const char *header, size_t data_bytes) { return st_make_n(header, strlen(header), data_bytes); }

static inline int32_t st_open(mc_safetensors **s, const st_file *f)
{
    /* exactly as many bytes as there are, so that a sanitizer sees a read beyond them */
    uint8_t *copy = malloc(f->n ? f->n : 1);
    ck_assert_ptr_nonnull(copy);
    memcpy(copy, f->bytes, f->n);
    mc_error_clear();
    *s = NULL;
    const int32_t st = mc_safetensors_open_memory(s, NULL, copy, f->n);
    free(copy);
    return st;
}

static char st_dir[64];

static inline char *st_path(const char *name)
{
    static char b[6][512];
    static int k;
    char *p = b[k++ % 6];
    snprintf(p, sizeof b[0], "%s/%s", st_dir, name);
    return p;
}

static inline void st_put(const char *name, const void *data, size_t n)
{
    FILE *f = fopen(st_path(name), "wb");
    ck_assert_ptr_nonnull(f);
    ck_assert_uint_eq(fwrite(data, 1, n, f), n);
    fclose(f);
}

static inline void st_put_text(const char *name, const char *text) { st_put(name, text, strlen(text)); }

static inline void st_put_file(const char *name, const char *header, size_t data_bytes)
{
    st_file f = st_make(header, data_bytes);
    st_put(name, f.bytes, f.n);
    free(f.bytes);
}

/* Files whose name has `part` in it. */
static inline int st_count(const char *part)
{
    char cmd[160];
    int n = -1;
    snprintf(cmd, sizeof cmd, "ls -A %s | grep -c -F -- '%s'", st_dir, part);
    FILE *f = popen(cmd, "r");
    ck_assert_int_eq(fscanf(f, "%d", &n), 1);
    pclose(f);
    return n;
}

static inline int st_count_files(void) { return st_count(""); }

static inline void st_setup(void)
{
    strcpy(st_dir, "/tmp/mcomp-st-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(st_dir));
}

static inline void st_teardown(void)
{
    char cmd[128];
    snprintf(cmd, sizeof cmd, "rm -rf %s", st_dir);
    ck_assert_int_eq(system(cmd), 0);
}

#endif
