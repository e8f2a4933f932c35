/* External data: the files named by a model, kept in its folder (mc_file_open_beneath). All locations of a file are opened
 * before anything else happens, those in places we do not read included. */
#include "onnx/internal.h"

#include <strings.h>
#include <unistd.h>

static int32_t refuse(const mc_onnx_file *f, const char *location, const char *why)
{
    (void)f;
    (void)mc_fail(MCOMP_PATH, location, "the location of external data is refused: %s", why);
    return mc_fail_hint("keep the data as a plain file in the folder of the model, without links, and name it by a relative path");
}

static int32_t open_one(mc_onnx_file *f, const char *location)
{
    int32_t st = MCOMP_OK;
    mc_buffer *buffer = NULL;
    int fd = -1;
    if (mc_onnx_external_find(f, location, &buffer) == MCOMP_OK) return MCOMP_OK;
    mc_error_clear();
    if (!f->path) return refuse(f, location, "a model that is loaded from memory has no folder");
    const char *why = mc_file_open_beneath(f->path, location, &fd);
    if (why) return refuse(f, location, why);
    st = mc_buffer_from_file(&buffer, fd, location, f->copy, f->max_bytes - f->external_bytes);
    close(fd);
    MC_TRY(st);
    MC_TRY(mc_grow(&f->externals, &f->cap_externals, f->n_externals + 1, sizeof *f->externals));
    mc_onnx_external *e = &f->externals[f->n_externals];
    e->location = mc_strdup(location);
    if (!e->location) MC_FAIL(MCOMP_NO_MEMORY, location, "no memory");
    e->buffer = buffer;
    e->sha1[0] = 0;
    e->warned = 0;
    f->n_externals++;
    f->external_bytes += mc_buffer_bytes(buffer);
    return MCOMP_OK;
done:
    mc_buffer_unref(buffer);
    return st;
}

int32_t mc_onnx_external_open_all(mc_onnx_file *f, const mc_str *locations)
{
    int32_t st = MCOMP_OK;
    for (int64_t i = 0; i < locations->len; i += (int64_t)strlen(locations->data + i) + 1)
        MC_TRY(open_one(f, locations->data + i));
done:
    return st;
}

int32_t mc_onnx_external_find(mc_onnx_file *f, const char *location, mc_buffer **out)
{
    for (int64_t i = 0; i < f->n_externals; i++)
        if (strcmp(f->externals[i].location, location) == 0) {
            *out = f->externals[i].buffer;
            return MCOMP_OK;
        }
    return mc_fail(MCOMP_PATH, location, "the external data is not open");
}

/* A file that cannot be verified is told once, however many tensors are in it. */
static int32_t warn(const mc_onnx_file *f, mc_onnx_external *e, const char *where)
{
    char name[128], tensor[128];
    if (e->warned || !f->warnings) return MCOMP_OK;
    e->warned = 1;
    const int32_t st = mc_str_appendf(f->warnings, "\"%s\" is not verified: tensor \"%s\" in it has no checksum", mc_escape(name, sizeof name, e->location),
                                      mc_escape(tensor, sizeof tensor, where));
    return st == MCOMP_OK ? mc_str_append_bytes(f->warnings, "", 1) : st;
}

int32_t mc_onnx_external_check(mc_onnx_file *f, const char *location, const char *checksum, const char *where)
{
    if (!f->verify) return MCOMP_OK;
    for (int64_t i = 0; i < f->n_externals; i++) {
        mc_onnx_external *e = &f->externals[i];
        if (strcmp(e->location, location) != 0) continue;
        if (!checksum) return warn(f, e, where);
        if (!e->sha1[0]) mc_sha1_hex(mc_buffer_data(e->buffer), mc_buffer_bytes(e->buffer), e->sha1);
        if (strcasecmp(e->sha1, checksum) == 0) return MCOMP_OK;
        (void)mc_fail(MCOMP_FORMAT, where, "the checksum (SHA-1) of \"%s\" is %s, the model names \"%s\"", location, e->sha1, checksum);
        return mc_fail_hint("the data was damaged, or belongs to another version of the model: get both again");
    }
    return mc_fail(MCOMP_PATH, location, "the external data is not open");
}
