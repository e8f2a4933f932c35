/* The data file beside a model: STEM.<8 hex digits of its content>.data, tensors on 4 KiB boundaries. */
#include "onnx/save.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* Path behind a symbolic link, so that model and data stay together. mc_free. */
static char *target_of(const char *path)
{
    struct stat s;
    char *real, *copy;
    if (lstat(path, &s) != 0 || !S_ISLNK(s.st_mode)) return mc_strdup(path);
    real = realpath(path, NULL);
    copy = mc_strdup(real ? real : path);
    free(real);
    return copy;
}

/* Is it a name that we would give to a data file of this stem? */
static int is_ours(const char *name, const char *stem)
{
    const size_t n = strlen(stem);
    if (strncmp(name, stem, n) != 0 || strlen(name) != n + 14 || name[n] != '.' || strcmp(name + n + 9, ".data") != 0) return 0;
    for (size_t i = n + 1; i < n + 9; i++)
        if (!strchr("0123456789abcdef", name[i])) return 0;
    return 1;
}

/* Data files of ours that the model now at `path` uses. A file that is no model has none. */
static int32_t find_old(mc_onnx_beside *b, const char *path)
{
    mc_mapping map;
    mc_onnx_skeleton sk = {0};
    int32_t st = MCOMP_OK;
    if (mc_file_map(path, &map) != MCOMP_OK) {
        mc_error_clear();
        return MCOMP_OK;
    }
    if (mc_onnx_skeleton_make(&sk, map.data, map.bytes, MC_ONNX_ROOT_MODEL, INT64_MAX, path) != MCOMP_OK) mc_error_clear();
    for (int64_t i = 0; i < sk.locations.len; i += (int64_t)strlen(sk.locations.data + i) + 1)
        if (is_ours(sk.locations.data + i, b->stem)) MC_TRY(mc_str_append_bytes(&b->old, sk.locations.data + i, strlen(sk.locations.data + i) + 1));
done:
    mc_onnx_skeleton_free(&sk);
    mc_file_unmap(&map);
    return st;
}

int32_t mc_onnx_beside_plan(mc_onnx_beside *b, const char *path)
{
    int32_t st = MCOMP_OK;
    char *target = target_of(path);
    mc_str name = {0};
    if (!target) return MCOMP_NO_MEMORY;
    char *slash = strrchr(target, '/');
    const char *file = slash ? slash + 1 : target;
    size_t n = strlen(file);
    if (n > 5 && strcmp(file + n - 5, ".onnx") == 0) n -= 5;
    b->stem = mc_strndup(file, n);
    b->folder = mc_strndup(target, slash ? (size_t)(slash - target) + 1 : 0);
    if (!b->stem || !b->folder) MC_FAIL(MCOMP_NO_MEMORY, path, "no memory");
    MC_TRY(mc_str_appendf(&name, "%s.00000000.data", b->stem));
    b->name = name.data;
    name.data = NULL;
    MC_TRY(find_old(b, target));
done:
    mc_free(target);
    mc_str_free(&name);
    return st;
}

static int32_t path_of(const mc_onnx_beside *b, const char *name, mc_str *out)
{
    out->len = 0;
    return mc_str_appendf(out, "%s%s", b->folder, name);
}

int32_t mc_onnx_beside_write(mc_onnx_beside *b, const mc_onnx_writer *w)
{
    static const uint8_t zeros[4096];
    int32_t st = MCOMP_OK;
    uint64_t hash = 0;
    struct stat s;
    mc_str path = {0};
    mc_writer *out = NULL;
    char digits[17];
    for (int64_t i = 0; i < w->n_side; i++) hash = mc_hash64(w->side[i].t->data, (size_t)mc_tensor_bytes(w->side[i].t), hash + 1);
    snprintf(digits, sizeof digits, "%016llx", (unsigned long long)hash);
    memcpy(b->name + strlen(b->stem) + 1, digits, 8);
    MC_TRY(path_of(b, b->name, &path));
    const int exists = lstat(path.data, &s) == 0;
    if (exists && !S_ISREG(s.st_mode)) MC_FAIL(MCOMP_PATH, path.data, "exists and is no regular file");
    MC_TRY(mc_writer_open(&out, path.data, 1));
    for (int64_t i = 0; i < w->n_side; i++) {
        MC_TRY(mc_writer_write(out, zeros, w->side[i].offset - mc_writer_tell(out)));
        MC_TRY(mc_writer_write(out, w->side[i].t->data, mc_tensor_bytes(w->side[i].t)));
    }
    mc_writer *done_writer = out;
    out = NULL;
    MC_TRY(mc_writer_commit(done_writer));
    b->written = !exists;
done:
    mc_writer_abort(out);
    mc_str_free(&path);
    return st;
}

static void remove_file(const mc_onnx_beside *b, const char *name)
{
    mc_str path = {0};
    if (path_of(b, name, &path) == MCOMP_OK) (void)unlink(path.data);
    mc_str_free(&path);
}

void mc_onnx_beside_done(const mc_onnx_beside *b, int used)
{
    for (int64_t i = 0; i < b->old.len; i += (int64_t)strlen(b->old.data + i) + 1)
        if (!used || strcmp(b->old.data + i, b->name) != 0) remove_file(b, b->old.data + i);
}

void mc_onnx_beside_undo(const mc_onnx_beside *b)
{
    if (b->written) remove_file(b, b->name);
}

void mc_onnx_beside_free(mc_onnx_beside *b)
{
    mc_free(b->stem);
    mc_free(b->folder);
    mc_free(b->name);
    mc_str_free(&b->old);
}
