/* The content-addressed store of a recipe. Files are written whole beside their place and renamed; node.json comes last and names the hash
 * of every file, so a process that is killed at any moment leaves finished nodes and unfinished ones, and nothing between. */
#include "recipe/store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_FILES 64
static const char *const passing[] = {"node.json", "journal.json", "checkpoint", "checkpoint.control", NULL};

struct mc_store {
    char *folder;
    int lock;
};

/* ---- files ---- */

static int32_t system_fail(const char *path, const char *what)
{
    const int e = errno;
    return mc_fail(e == ENOSPC || e == EDQUOT ? MCOMP_NO_SPACE : MCOMP_PATH, path, "%s: %s", what, strerror(e));
}

int32_t mc_store_make_folder(const char *path)
{
    int32_t st = MCOMP_OK;
    struct stat info;
    char *copy = mc_strdup(path);
    if (!copy) return MCOMP_NO_MEMORY;
    for (char *p = copy + 1; *p && st == MCOMP_OK; p++) {
        if (*p != '/') continue;
        *p = 0;
        if (mkdir(copy, 0777) != 0 && errno != EEXIST) st = system_fail(copy, "cannot make the folder");
        *p = '/';
    }
    if (st == MCOMP_OK && mkdir(copy, 0777) != 0 && errno != EEXIST) st = system_fail(copy, "cannot make the folder");
    if (st == MCOMP_OK && (stat(copy, &info) != 0 || !S_ISDIR(info.st_mode))) st = mc_fail(MCOMP_PATH, path, "is no folder");
    mc_free(copy);
    return st;
}

int32_t mc_store_write(const char *path, const char *text, uint64_t bytes, int32_t overwrite)
{
    int32_t st = MCOMP_OK;
    mc_writer *w = NULL;
    MC_TRY(mc_writer_open(&w, path, overwrite));
    MC_TRY(mc_writer_write(w, text, bytes));
    st = mc_writer_commit(w);
    w = NULL;
done:
    mc_writer_abort(w);
    return st;
}

int32_t mc_store_hash_file(const char *path, char hex[65])
{
    mc_mapping m;
    int32_t st = mc_file_map(path, &m);
    if (st != MCOMP_OK) return st;
    st = mc_sha256_hex(m.data, m.bytes, hex);
    mc_file_unmap(&m);
    return st;
}

/* A file that was being named when the process was killed. */
static int is_left_over(const char *name) { return strstr(name, ".tmp") != NULL; }

static int is_passing(const char *name)
{
    if (is_left_over(name)) return 1;
    for (int i = 0; passing[i]; i++)
        if (strcmp(passing[i], name) == 0) return 1;
    return 0;
}

static int by_name(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

/* Names in a node's folder, sorted; mc_free each. */
static int32_t names_in(const char *folder, char *names[MAX_FILES], int *n)
{
    int32_t st = MCOMP_OK;
    DIR *d = opendir(folder);
    *n = 0;
    if (!d) return system_fail(folder, "cannot read the folder");
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        if (e->d_name[0] == '.') continue;
        if (*n == MAX_FILES) MC_FAIL(MCOMP_LIMIT, folder, "more than %d files", MAX_FILES);
        if (!(names[*n] = mc_strdup(e->d_name))) MC_TRY(MCOMP_NO_MEMORY);
        ++*n;
    }
    qsort(names, (size_t)*n, sizeof *names, by_name);
done:
    closedir(d);
    return st;
}

/* ---- the store ---- */

int32_t mc_store_open(mc_store **out, const char *folder)
{
    int32_t st = MCOMP_OK;
    mc_str path = {0};
    mc_store *s = mc_calloc(1, sizeof *s);
    *out = NULL;
    if (!s) return MCOMP_NO_MEMORY;
    s->lock = -1;
    if (!(s->folder = mc_strdup(folder))) MC_TRY(MCOMP_NO_MEMORY);
    MC_TRY(mc_str_appendf(&path, "%s/nodes", folder));
    MC_TRY(mc_store_make_folder(path.data));
    path.len = 0;
    MC_TRY(mc_str_appendf(&path, "%s/lock", folder));
    s->lock = open(path.data, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666); /* the kernel lets go of the lock when the process ends, however it ends */
    if (s->lock < 0) {
        st = system_fail(path.data, "cannot open the lock");
        goto done;
    }
    if (flock(s->lock, LOCK_EX | LOCK_NB) != 0) {
        (void)mc_fail(MCOMP_BUSY, folder, "another run uses this store");
        st = mc_fail_hint("wait for it, or name another folder in search.cache");
        goto done;
    }
    *out = s;
    s = NULL;
done:
    mc_str_free(&path);
    mc_store_close(s);
    return st;
}

void mc_store_close(mc_store *s)
{
    if (!s) return;
    if (s->lock >= 0) close(s->lock);
    mc_free(s->folder);
    mc_free(s);
}

const char *mc_store_folder(const mc_store *s) { return s->folder; }

/* ---- nodes ---- */

int32_t mc_store_node_path(const mc_store_node *n, const char *file, mc_str *out)
{
    out->len = 0;
    return mc_str_appendf(out, "%s/%s", n->folder, file);
}

static int32_t read_json(const char *path, mc_json **out)
{
    int32_t st = MCOMP_OK;
    char *text = NULL;
    uint64_t bytes = 0;
    *out = NULL;
    MC_TRY(mc_file_read(path, UINT64_C(256) << 20, &text, &bytes));
    st = mc_json_parse(out, text, bytes, path);
done:
    mc_free(text);
    return st;
}

typedef struct checking {
    const mc_store_node *n;
    mc_str path;
    int same;
} checking;

static int32_t check_file(void *payload, const char *name, const mc_json *value)
{
    checking *c = payload;
    char hex[65];
    const char *want = mc_json_string(value);
    const int32_t st = mc_store_node_path(c->n, name, &c->path);
    if (st != MCOMP_OK) return st;
    if (strchr(name, '/') || !want || mc_store_hash_file(c->path.data, hex) != MCOMP_OK || strcmp(hex, want) != 0) c->same = 0;
    return MCOMP_OK;
}

/* node.json, if it is there and everything is as it says. */
static int32_t read_facts(mc_store_node *n, const char *path)
{
    int32_t st = MCOMP_OK;
    int64_t format = 0;
    mc_json *j = NULL;
    checking c = {.n = n, .same = 1};
    if (access(path, F_OK) != 0) return MCOMP_OK;
    if (read_json(path, &j) == MCOMP_OK) {
        const char *key = mc_json_string(mc_json_get(j, "key"));
        c.same = mc_json_int(mc_json_get(j, "format"), &format) && format == MC_STORE_FORMAT && key && strcmp(key, n->key) == 0 && mc_json_is_object(mc_json_get(j, "files")) &&
                 mc_json_is_object(mc_json_get(j, "facts"));
        if (c.same) MC_TRY(mc_json_each(mc_json_get(j, "files"), check_file, &c));
        if (c.same && !(n->facts = mc_json_copy(mc_json_get(j, "facts")))) MC_TRY(MCOMP_NO_MEMORY);
    } else {
        c.same = 0;
    }
    mc_error_clear(); /* a file that cannot be read is a damaged node, and made anew */
    n->damaged = !c.same;
done:
    mc_str_free(&c.path);
    mc_json_destroy(j);
    return st;
}

enum { LEFT_OVERS, PASSING, EVERYTHING };

static int32_t empty(const mc_store_node *n, int what)
{
    int32_t st = MCOMP_OK;
    char *names[MAX_FILES];
    int count = 0;
    mc_str path = {0};
    MC_TRY(names_in(n->folder, names, &count));
    for (int i = 0; i < count; i++) {
        if (what == PASSING && (!is_passing(names[i]) || strcmp(names[i], "node.json") == 0)) continue;
        if (what == LEFT_OVERS && !is_left_over(names[i])) continue;
        MC_TRY(mc_store_node_path(n, names[i], &path));
        if (unlink(path.data) != 0 && errno != ENOENT) {
            st = system_fail(path.data, "cannot remove");
            goto done;
        }
    }
done:
    for (int i = 0; i < count; i++) mc_free(names[i]);
    mc_str_free(&path);
    return st;
}

int32_t mc_store_node_open(mc_store_node *n, const mc_store *s, const char key[65], int32_t fresh)
{
    int32_t st = MCOMP_OK;
    mc_str path = {0};
    memset(n, 0, sizeof *n);
    memcpy(n->key, key, sizeof n->key);
    MC_TRY(mc_str_appendf(&path, "%s/nodes/%.32s", s->folder, key));
    if (!(n->folder = mc_strdup(path.data))) MC_TRY(MCOMP_NO_MEMORY);
    MC_TRY(mc_store_make_folder(n->folder));
    MC_TRY(mc_store_node_path(n, "node.json", &path));
    MC_TRY(read_facts(n, path.data));
    if (n->facts) goto done;
    MC_TRY(empty(n, fresh || n->damaged ? EVERYTHING : LEFT_OVERS));
    MC_TRY(mc_store_node_path(n, "journal.json", &path));
    if (access(path.data, F_OK) == 0) (void)read_json(path.data, &n->journal);
    mc_error_clear();
    if (!mc_json_is_object(n->journal)) {
        mc_json_destroy(n->journal);
        if (!(n->journal = mc_json_object())) MC_TRY(MCOMP_NO_MEMORY);
    }
done:
    mc_str_free(&path);
    if (st != MCOMP_OK) mc_store_node_close(n);
    return st;
}

void mc_store_node_close(mc_store_node *n)
{
    mc_free(n->folder);
    mc_json_destroy(n->facts);
    mc_json_destroy(n->journal);
    memset(n, 0, sizeof *n);
}

int32_t mc_store_node_keep(const mc_store_node *n)
{
    int32_t st = MCOMP_OK;
    mc_str path = {0}, text = {0};
    MC_TRY(mc_store_node_path(n, "journal.json", &path));
    MC_TRY(mc_json_dump(n->journal, &text));
    st = mc_store_write(path.data, text.data, (uint64_t)text.len, 1);
done:
    mc_str_free(&path);
    mc_str_free(&text);
    return st;
}

int32_t mc_store_node_reread(mc_store_node *n)
{
    int32_t st = MCOMP_OK;
    mc_json *j = NULL;
    mc_str path = {0};
    MC_TRY(mc_store_node_path(n, "journal.json", &path));
    MC_TRY(read_json(path.data, &j));
    mc_json_destroy(n->journal);
    n->journal = j;
done:
    mc_str_free(&path);
    return st;
}

static int32_t hash_all(const mc_store_node *n, mc_json *files)
{
    int32_t st = MCOMP_OK;
    char *names[MAX_FILES], hex[65];
    int count = 0;
    mc_str path = {0};
    MC_TRY(names_in(n->folder, names, &count));
    for (int i = 0; i < count; i++) {
        if (is_passing(names[i])) continue;
        MC_TRY(mc_store_node_path(n, names[i], &path));
        MC_TRY(mc_store_hash_file(path.data, hex));
        MC_TRY(mc_json_set_string(files, names[i], hex));
    }
done:
    for (int i = 0; i < count; i++) mc_free(names[i]);
    mc_str_free(&path);
    return st;
}

int32_t mc_store_node_finish(mc_store_node *n, mc_json *facts)
{
    int32_t st = MCOMP_OK;
    mc_str path = {0}, text = {0};
    mc_json *j = mc_json_object(), *files = mc_json_object();
    if (!j || !files) MC_TRY(MCOMP_NO_MEMORY);
    MC_TRY(hash_all(n, files));
    MC_TRY(mc_json_set_int(j, "format", MC_STORE_FORMAT));
    MC_TRY(mc_json_set_string(j, "key", n->key));
    st = mc_json_set(j, "files", files);
    files = NULL;
    MC_TRY(st);
    MC_TRY(mc_json_set(j, "facts", mc_json_copy(facts)));
    MC_TRY(mc_store_node_path(n, "node.json", &path));
    MC_TRY(mc_json_dump(j, &text));
    MC_TRY(mc_store_write(path.data, text.data, (uint64_t)text.len, 1));
    n->facts = facts;
    facts = NULL;
    st = empty(n, PASSING);
done:
    mc_json_destroy(facts);
    mc_json_destroy(files);
    mc_json_destroy(j);
    mc_str_free(&path);
    mc_str_free(&text);
    return st;
}
