/* The folder behind a store: FOLDER/GROUP/<hash of the content>.kd. A shard is never changed: it is written beside its target, renamed, and
 * goes only when room is made for a newer one, the oldest first. Several processes may use one folder. */
#include "distill/store.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct found {
    char *path;
    int32_t own; /* 1: of this store's group */
    uint64_t bytes;
    int64_t age; /* time of its last change */
} found;
typedef struct listing {
    found *files;
    int64_t n, cap;
} listing;

static void listing_free(listing *l)
{
    for (int64_t i = 0; i < l->n; i++) mc_free(l->files[i].path);
    mc_free(l->files);
}

static int is_shard(const char *name)
{
    const size_t n = strlen(name);
    return n > 3 && strcmp(name + n - 3, ".kd") == 0;
}

/* The shards of one group. */
static int32_t list_group(listing *l, const char *folder, const char *group, int32_t own)
{
    int32_t st = MCOMP_OK;
    mc_str path = {0};
    DIR *d = NULL;
    MC_TRY(mc_str_appendf(&path, "%s/%s", folder, group));
    d = opendir(path.data);
    const int64_t stem = path.len;
    for (struct dirent *e; d && (e = readdir(d)) != NULL;) {
        struct stat info;
        path.len = stem;
        if (!is_shard(e->d_name)) continue;
        MC_TRY(mc_str_appendf(&path, "/%s", e->d_name));
        if (lstat(path.data, &info) != 0 || !S_ISREG(info.st_mode)) continue;
        MC_TRY(mc_grow(&l->files, &l->cap, l->n + 1, sizeof *l->files));
        l->files[l->n] = (found){mc_strdup(path.data), own, (uint64_t)info.st_size, (int64_t)info.st_mtime};
        if (!l->files[l->n].path) MC_TRY(MCOMP_NO_MEMORY);
        l->n++;
    }
done:
    if (d) closedir(d);
    mc_str_free(&path);
    return st;
}

/* Oldest first; names settle ties, so that the order is the same everywhere. */
static int by_age(const void *a, const void *b)
{
    const found *x = a, *y = b;
    if (x->age != y->age) return x->age < y->age ? -1 : 1;
    return strcmp(x->path, y->path);
}

static int32_t list_all(listing *l, const mc_kd_store *s)
{
    int32_t st = MCOMP_OK;
    DIR *d = opendir(s->folder);
    if (!d) return mc_fail(MCOMP_PATH, s->folder, "cannot read the folder of the cache: %s", strerror(errno));
    for (struct dirent *e; st == MCOMP_OK && (e = readdir(d)) != NULL;)
        if (e->d_name[0] != '.') st = list_group(l, s->folder, e->d_name, strcmp(e->d_name, s->group) == 0);
    closedir(d);
    if (st == MCOMP_OK && l->n > 1) qsort(l->files, (size_t)l->n, sizeof *l->files, by_age);
    return st;
}

static int32_t make_folder(const char *path)
{
    if (mkdir(path, 0777) == 0 || errno == EEXIST) return MCOMP_OK;
    const int e = errno;
    (void)mc_fail(e == ENOSPC || e == EDQUOT ? MCOMP_NO_SPACE : MCOMP_PATH, path, "cannot make the folder of the cache: %s", strerror(e));
    return mc_fail_hint("name a folder that can be written to, or keep the teacher's outputs in memory");
}

int32_t mc_kd_store_scan(mc_kd_store *s)
{
    int32_t st = MCOMP_OK;
    listing l = {0};
    mc_str path = {0};
    MC_TRY(make_folder(s->folder));
    MC_TRY(mc_str_appendf(&path, "%s/%s", s->folder, s->group));
    MC_TRY(make_folder(path.data));
    if (access(path.data, W_OK | X_OK) != 0) {
        (void)mc_fail(MCOMP_PATH, path.data, "cannot write into the folder of the cache: %s", strerror(errno));
        st = mc_fail_hint("name a folder that can be written to, or keep the teacher's outputs in memory");
        goto done;
    }
    MC_TRY(list_all(&l, s));
    for (int64_t i = 0; i < l.n; i++) {
        mc_shard x = {0};
        s->bytes += l.files[i].bytes;
        if (!l.files[i].own) continue;
        if (mc_file_map(l.files[i].path, &x.map) != MCOMP_OK) { /* gone since, or not ours to read: its samples are computed again */
            mc_error_clear();
            s->damaged++;
            continue;
        }
        MC_TRY(mc_kd_store_adopt(s, &x));
    }
done:
    listing_free(&l);
    mc_str_free(&path);
    return st;
}

/* Removes shards of other teachers, the oldest first, until `need` more bytes fit. */
static int32_t make_room(mc_kd_store *s, uint64_t need)
{
    int32_t st = MCOMP_OK;
    listing l = {0};
    if (s->bytes + need <= s->limit) return MCOMP_OK;
    MC_TRY(list_all(&l, s));
    s->bytes = 0;
    for (int64_t i = 0; i < l.n; i++) s->bytes += l.files[i].bytes;
    for (int64_t i = 0; i < l.n && s->bytes + need > s->limit; i++)
        if (!l.files[i].own && unlink(l.files[i].path) == 0) s->bytes -= l.files[i].bytes;
    if (s->bytes + need > s->limit) {
        (void)mc_fail(MCOMP_LIMIT, s->folder, "the teacher's outputs take more than the %llu bytes that the cache may have", (unsigned long long)s->limit);
        st = mc_fail_hint("allow more (cache_bytes), or choose losses that keep less");
    }
done:
    listing_free(&l);
    return st;
}

int32_t mc_kd_store_write(mc_kd_store *s, mc_str *bytes)
{
    int32_t st = MCOMP_OK;
    mc_str path = {0};
    mc_writer *w = NULL;
    mc_shard x = {0};
    char hash[65];
    MC_TRY(make_room(s, (uint64_t)bytes->len));
    MC_TRY(mc_sha256_hex(bytes->data, (uint64_t)bytes->len, hash));
    MC_TRY(mc_str_appendf(&path, "%s/%s/%.32s.kd", s->folder, s->group, hash));
    MC_TRY(mc_writer_open(&w, path.data, 1));
    MC_TRY(mc_writer_write(w, bytes->data, (uint64_t)bytes->len));
    st = mc_writer_commit(w);
    w = NULL;
    MC_TRY(st);
    s->bytes += (uint64_t)bytes->len;
    MC_TRY(mc_file_map(path.data, &x.map));
    st = mc_kd_store_adopt(s, &x);
done:
    mc_writer_abort(w);
    mc_str_free(&path);
    mc_str_free(bytes);
    return st;
}
