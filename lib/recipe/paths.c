/* Paths in a recipe: ${VAR} stands for an environment variable, what is relative is relative to the recipe's folder, files must be there.
 * Messages show a path as it is written: a variable may hold what is nobody's business. */
#include "recipe/values.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#define PATH_BYTES 4096

static int is_name(char c, int first) { return c == '_' || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (!first && c >= '0' && c <= '9'); }

/* ${NAME} everywhere in text; NULL, or why not. */
static const char *expand(const char *text, char out[PATH_BYTES], char name[64])
{
    size_t o = 0;
    for (const char *c = text; *c;) {
        const char *value = NULL;
        size_t n = 0;
        if (c[0] == '$' && c[1] == '{') {
            while (n < 63 && is_name(c[2 + n], n == 0)) n++;
            snprintf(name, 64, "%.*s", (int)n, c + 2);
            if (!n || c[2 + n] != '}') return "${ must be followed by a name and }";
            if (!(value = secure_getenv(name))) return "the environment has no variable of that name";
            c += 3 + n;
            n = strlen(value);
        } else {
            value = c++;
            n = 1;
        }
        if (o + n >= PATH_BYTES) return "a path of more than 4,095 bytes";
        memcpy(out + o, value, n);
        o += n;
    }
    out[o] = 0;
    return NULL;
}

/* Relative to the recipe's folder. */
static int32_t append_path(const mcomp_recipe *r, mc_str *out, const char *path, size_t n)
{
    int32_t st = MCOMP_OK;
    if (n && *path != '/' && *r->folder) MC_TRY(mc_str_appendf(out, "%s/", r->folder));
    st = mc_str_append_bytes(out, path, n);
done:
    return st;
}

enum { A_FILE, A_FOLDER };

/* What is wrong with a file that is to be read; NULL: nothing. */
static const char *trouble(const mcomp_recipe *r, const char *path, int want)
{
    struct stat s;
    if (r->options.no_files || r->choices) return NULL;
    if (stat(path, &s) != 0) return "is not there";
    if (want == A_FOLDER) return S_ISDIR(s.st_mode) ? NULL : "is no folder";
    return S_ISREG(s.st_mode) ? NULL : S_ISDIR(s.st_mode) ? "is a folder, not a file" : "is no regular file";
}

/* Start of the suffix of a data argument: the last '@' that is followed by word=, unless the whole is a file (as data/argument.c). */
static size_t without_suffix(const mcomp_recipe *r, const char *text)
{
    const char *at = strrchr(text, '@');
    struct stat s;
    mc_str whole = {0};
    if (!at) return strlen(text);
    const size_t n = strcspn(at + 1, "=,/");
    int is_file = append_path(r, &whole, text, strlen(text)) == MCOMP_OK && stat(whole.data, &s) == 0;
    mc_str_free(&whole);
    return !is_file && n > 0 && at[1 + n] == '=' ? (size_t)(at - text) : strlen(text);
}

static int32_t piece(const mcomp_recipe *r, mc_str *out, const char *path, size_t n, int want, const char **why)
{
    const int64_t start = out->len;
    const int32_t st = append_path(r, out, path, n);
    if (st == MCOMP_OK && !*why) *why = n ? trouble(r, out->data + start, want) : "is missing";
    return st;
}

/* [form:]path[@key=value,...] with every path in it resolved. */
static int32_t data_argument(const mcomp_recipe *r, mc_str *out, const char *text, const char **why)
{
    int32_t st = MCOMP_OK;
    const size_t end = without_suffix(r, text);
    if (strncmp(text, "idx:", 4) == 0) {
        const char *p = text + 4;
        MC_TRY(mc_str_append(out, "idx:"));
        for (int first = 1; p < text + end; first = 0) {
            size_t n = strcspn(p, ",");
            if (p + n > text + end) n = (size_t)(text + end - p);
            if (!first) MC_TRY(mc_str_append(out, ","));
            mc_str one = {0};
            st = piece(r, &one, p, n, A_FILE, why);
            if (st == MCOMP_OK) st = mc_str_append(out, one.data);
            mc_str_free(&one);
            MC_TRY(st);
            p += n + 1;
        }
    } else if (strncmp(text, "onnx-test:", 10) == 0) {
        MC_TRY(mc_str_append(out, "onnx-test:"));
        MC_TRY(piece(r, out, text + 10, end > 10 ? end - 10 : 0, A_FOLDER, why));
    } else if (strncmp(text, "raw:", 4) == 0) { /* raw:NAME=FILE:DTYPE:SHAPE */
        const char *eq = strchr(text, '='), *shape = NULL, *type = NULL;
        for (const char *c = text + end; eq && c-- > eq && !type;)
            if (*c == ':') *(shape ? &type : &shape) = c;
        if (!type) *why = "is not raw:NAME=FILE:DTYPE:SHAPE";
        if (!type) goto done;
        MC_TRY(mc_str_append_bytes(out, text, (size_t)(eq + 1 - text)));
        MC_TRY(piece(r, out, eq + 1, (size_t)(type - eq - 1), A_FILE, why));
        MC_TRY(mc_str_append_bytes(out, type, (size_t)(text + end - type)));
    } else {
        MC_TRY(piece(r, out, text, end, A_FILE, why));
    }
    st = mc_str_append(out, text + end);
done:
    return st;
}

static int ends(const char *text, const char *end)
{
    const size_t n = strlen(text), m = strlen(end);
    return n > m && strcmp(text + n - m, end) == 0;
}

/* Written to: a recipe from elsewhere must not reach out of its folder. */
static const char *outside(const mcomp_recipe *r, const char *path)
{
    if (r->options.outside) return NULL;
    if (*path == '/') return "leads out of the recipe's folder";
    for (const char *c = path; c && *c; c = strchr(c, '/'), c = c ? c + 1 : NULL)
        if (c[0] == '.' && c[1] == '.' && (!c[2] || c[2] == '/')) return "leads out of the recipe's folder";
    return NULL;
}

static int is_path(const mc_setting *v)
{
    const char *t = v->written;
    switch (v->param->type) {
    case MC_P_FILE:
    case MC_P_DATA:
    case MC_P_FOLDER: return 1;
    case MC_P_TOKENS: return strcmp(t, "bytes") != 0 && strcmp(t, "chars") != 0 && strncmp(t, "train:", 6) != 0;
    case MC_P_STUDENT: return ends(t, ".onnx") || ends(t, ".safetensors");
    default: return 0;
    }
}

/* ${VAR} in a text that is no path would be taken as it is: nobody means that. */
static int32_t no_variable(mcomp_recipe *r, const mc_section *s, const mc_setting *v)
{
    if (!strstr(v->written, "${")) return MCOMP_OK;
    return mc_note(r, s, v->param->key, "write the value", "${...} stands for a variable in paths only");
}

int32_t mc_path_resolve(mcomp_recipe *r, const mc_section *s, mc_setting *v)
{
    int32_t st = MCOMP_OK;
    char expanded[PATH_BYTES], name[64] = "", shown[160];
    const char *why = NULL;
    mc_str out = {0};
    if (!is_path(v)) return no_variable(r, s, v);
    why = expand(v->written, expanded, name);
    (void)mc_escape(shown, sizeof shown, v->written);
    if (why) return mc_note(r, s, v->param->key, name, "%s: %s", shown, why);
    if (v->param->type == MC_P_DATA) {
        MC_TRY(data_argument(r, &out, expanded, &why));
    } else if (v->param->type == MC_P_FOLDER) {
        MC_TRY(append_path(r, &out, expanded, strlen(expanded)));
        why = outside(r, expanded);
    } else {
        MC_TRY(piece(r, &out, expanded, strlen(expanded), A_FILE, &why));
    }
    if (!(v->text = mc_arena_strdup(r->arena, out.data ? out.data : ""))) MC_TRY(MCOMP_NO_MEMORY);
    if (why) {
        const mc_text_mark at = v->mark.line ? v->mark : s->mark;
        st = mc_recipe_note_at(r, MCOMP_PATH, at, v->param->type == MC_P_FOLDER ? "the option outside (--outside) allows it" : "paths are relative to the recipe's folder", "%s%s%s: %s %s", s->name,
                               s->name[0] ? "." : "", v->param->key, shown, why);
    }
done:
    mc_str_free(&out);
    return st;
}
