/* JSON through jansson. A mc_json is a json_t; ownership follows containers. */
#include "base/base.h"

#include <jansson.h>
#include <math.h>

static json_t *in(const mc_json *j) { return (json_t *)(uintptr_t)j; }
static mc_json *out_of(json_t *j) { return (mc_json *)(void *)j; }

int32_t mc_json_parse(mc_json **out, const char *text, uint64_t bytes, const char *where)
{
    json_error_t e;
    int depth = 0, in_string = 0;
    *out = NULL;
    for (uint64_t i = 0; i < bytes; i++) { /* nesting is bounded before the parser recurses */
        const char c = text[i];
        if (in_string) {
            if (c == '\\') i++;
            else if (c == '"') in_string = 0;
        } else if (c == '"') {
            in_string = 1;
        } else if (c == '[' || c == '{') {
            if (++depth > 64) return mc_fail(MCOMP_LIMIT, where, "JSON nested deeper than 64 levels at byte %llu", (unsigned long long)i);
        } else if (c == ']' || c == '}') {
            depth--;
        }
    }
    json_t *j = json_loadb(text, (size_t)bytes, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL, &e);
    if (!j) return mc_fail(MCOMP_FORMAT, where, "JSON error at line %d column %d: %s", e.line, e.column, e.text);
    *out = out_of(j);
    return MCOMP_OK;
}

void mc_json_destroy(mc_json *j) { json_decref(in(j)); }
mc_json *mc_json_object(void) { return out_of(json_object()); }
mc_json *mc_json_array(void) { return out_of(json_array()); }
const mc_json *mc_json_get(const mc_json *obj, const char *key) { return out_of(json_object_get(in(obj), key)); }
const mc_json *mc_json_at(const mc_json *arr, int64_t i) { return i < 0 ? NULL : out_of(json_array_get(in(arr), (size_t)i)); }

int64_t mc_json_size(const mc_json *j)
{
    return json_is_array(in(j)) ? (int64_t)json_array_size(in(j)) : json_is_object(in(j)) ? (int64_t)json_object_size(in(j)) : 0;
}

const char *mc_json_key_at(const mc_json *obj, int64_t i)
{
    void *it = json_object_iter(in(obj));
    for (; it && i > 0; i--) it = json_object_iter_next(in(obj), it);
    return it ? json_object_iter_key(it) : NULL;
}

int32_t mc_json_each(const mc_json *obj, int32_t (*visit)(void *payload, const char *key, const mc_json *value), void *payload)
{
    int32_t st = MCOMP_OK;
    for (void *it = json_object_iter(in(obj)); it && st == MCOMP_OK; it = json_object_iter_next(in(obj), it))
        st = visit(payload, json_object_iter_key(it), out_of(json_object_iter_value(it)));
    return st;
}

int mc_json_is_object(const mc_json *j) { return json_is_object(in(j)); }
int mc_json_is_array(const mc_json *j) { return json_is_array(in(j)); }
int mc_json_has_nul(const mc_json *j) { return json_is_string(in(j)) && strlen(json_string_value(in(j))) != json_string_length(in(j)); }
const char *mc_json_string(const mc_json *j) { return json_string_value(in(j)); }

int mc_json_int(const mc_json *j, int64_t *out)
{
    if (!json_is_integer(in(j))) return 0;
    *out = json_integer_value(in(j));
    return 1;
}

int mc_json_number(const mc_json *j, double *out)
{
    if (!json_is_number(in(j))) return 0;
    *out = json_number_value(in(j));
    return 1;
}

int mc_json_bool(const mc_json *j, int *out)
{
    if (!json_is_boolean(in(j))) return 0;
    *out = json_is_true(in(j));
    return 1;
}

int mc_json_is_null(const mc_json *j) { return !j || json_is_null(in(j)); }

int32_t mc_json_set(mc_json *obj, const char *key, mc_json *value)
{
    return json_object_set_new(in(obj), key, in(value)) == 0 ? MCOMP_OK : mc_fail(MCOMP_NO_MEMORY, key, "JSON value not stored");
}
int32_t mc_json_set_string(mc_json *obj, const char *key, const char *value) { return mc_json_set(obj, key, mc_json_new_string(value)); }
int32_t mc_json_set_int(mc_json *obj, const char *key, int64_t value) { return mc_json_set(obj, key, mc_json_new_int(value)); }
int32_t mc_json_set_number(mc_json *obj, const char *key, double value) { return mc_json_set(obj, key, mc_json_new_number(value)); }
int32_t mc_json_append(mc_json *arr, mc_json *value)
{
    return json_array_append_new(in(arr), in(value)) == 0 ? MCOMP_OK : mc_fail(MCOMP_NO_MEMORY, "", "JSON value not stored");
}

mc_json *mc_json_new_string(const char *value)
{
    char buf[1024];
    json_t *j = json_string(value);
    return out_of(j ? j : json_string(mc_escape(buf, sizeof buf, value))); /* invalid UTF-8 is escaped */
}
mc_json *mc_json_new_int(int64_t value) { return out_of(json_integer(value)); }
mc_json *mc_json_new_bool(int value) { return out_of(json_boolean(value)); }
mc_json *mc_json_new_null(void) { return out_of(json_null()); }
mc_json *mc_json_new_number(double value) { return isfinite(value) ? out_of(json_real(value)) : out_of(json_null()); }

mc_json *mc_json_copy(const mc_json *j)
{
    mc_json *copy = out_of(json_deep_copy(in(j)));
    if (!copy) (void)mc_fail(MCOMP_NO_MEMORY, NULL, "no memory for a JSON value");
    return copy;
}

/* jansson does not look at what the callback returns for the key of an object, so the first failure is kept here. */
typedef struct dumped {
    mc_str *out;
    int32_t st;
} dumped;

static int dump_cb(const char *buffer, size_t size, void *data)
{
    dumped *d = data;
    if (d->st == MCOMP_OK) d->st = mc_str_append_bytes(d->out, buffer, size);
    return d->st == MCOMP_OK ? 0 : -1;
}

int32_t mc_json_dump(const mc_json *j, mc_str *out)
{
    dumped d = {out, MCOMP_OK};
    if (json_dump_callback(in(j), dump_cb, &d, JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(9)) == 0 && d.st == MCOMP_OK) return MCOMP_OK;
    return mc_fail(MCOMP_NO_MEMORY, "", "JSON text not written");
}
