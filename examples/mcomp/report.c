/* The one JSON object, the human text, errors and exit codes. */
#include "cli.h"

#include <stdlib.h>

#include <math.h>
#include <stdarg.h>
#include <string.h>

int cli_fail(cli *c, int code, const char *where, const char *hint, const char *fmt, ...)
{
    va_list ap;
    memset(&c->error, 0, sizeof c->error);
    c->error.size = sizeof c->error;
    c->error.code = code;
    snprintf(c->error.where, sizeof c->error.where, "%s", where);
    snprintf(c->error.hint, sizeof c->error.hint, "%s", hint);
    va_start(ap, fmt);
    vsnprintf(c->error.message, sizeof c->error.message, fmt, ap);
    va_end(ap);
    return code;
}

int cli_lib(cli *c, int code)
{
    mcomp_error e = {.size = sizeof e};
    mcomp_error_get(&e);
    if (e.code == code) c->error = e;
    else (void)cli_fail(c, code, "", "", "%s", mcomp_status_text(code));
    return code;
}

int cli_lib_samples(cli *c, int code, int64_t first, int64_t n)
{
    char where[sizeof c->error.where];
    (void)cli_lib(c, code);
    if (code != MCOMP_RANGE && code != MCOMP_DATA && code != MCOMP_SHAPE && code != MCOMP_DTYPE) return code;
    memcpy(where, c->error.where, sizeof where);
    if (n > 1) snprintf(c->error.where, sizeof c->error.where, "samples %lld to %lld, %.200s", (long long)first, (long long)(first + n - 1), where);
    else snprintf(c->error.where, sizeof c->error.where, "sample %lld, %.200s", (long long)first, where);
    return code;
}

void cli_set(json_t *o, const char *key, json_t *value)
{
    if (value) (void)json_object_set_new(o, key, value);
}

void cli_set_real(json_t *o, const char *key, double v)
{
    if (isfinite(v)) cli_set(o, key, json_real(v));
}

json_t *cli_interval(double lo, double hi) { return isfinite(lo) && isfinite(hi) ? json_pack("[f,f]", lo, hi) : NULL; }

/* Text for people. Names come from files: what could steer a terminal is written as \xNN. */
static void put(FILE *f, const char *text)
{
    for (; *text; text++) {
        const unsigned char b = (unsigned char)*text;
        if ((b < 32 && b != '\n' && b != '\t') || b == 127) fprintf(f, "\\x%02x", b);
        else (void)putc(b, f);
    }
}

static void vput(FILE *f, const char *fmt, va_list ap)
{
    char small[1024], *text = small;
    va_list again;
    va_copy(again, ap);
    const int n = vsnprintf(small, sizeof small, fmt, ap);
    if (n >= (int)sizeof small && (text = malloc((size_t)n + 1)) != NULL) vsnprintf(text, (size_t)n + 1, fmt, again);
    va_end(again);
    put(f, text ? text : small); /* without memory: the beginning of it */
    if (text != small) free(text);
}

void cli_warn(cli *c, const char *code, const char *node, const char *fmt, ...)
{
    char text[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    (void)json_array_append_new(c->warnings, json_pack("{s:s,s:s,s:s}", "code", code, "node", node, "text", text));
    if (c->quiet) return;
    put(stderr, "warning: ");
    put(stderr, node);
    put(stderr, *node ? ": " : "");
    put(stderr, text);
    put(stderr, "\n");
}

void cli_say(const cli *c, const char *fmt, ...)
{
    va_list ap;
    if (c->json || c->quiet) return;
    va_start(ap, fmt);
    vput(stdout, fmt, ap);
    va_end(ap);
}

void cli_log(const cli *c, const char *fmt, ...)
{
    va_list ap;
    if (!c->verbose) return;
    va_start(ap, fmt);
    vput(stderr, fmt, ap);
    va_end(ap);
}

static json_t *machine(const cli *c)
{
    mcomp_machine_info m = {.size = sizeof m};
    int32_t n = 0;
    json_t *o = json_object(), *list = json_array();
    if (mcomp_machine_info_get(&m) != 0) return o;
    cli_set(o, "cpu", json_string(m.cpu));
    cli_set(o, "isa", json_string(m.isa));
    cli_set(o, "bf16", json_boolean(m.bf16));
    cli_set(o, "amx", json_boolean(m.amx));
    cli_set(o, "threads", json_integer(c->ctx ? mcomp_context_threads(c->ctx) : m.cpus));
    if (c->ctx && mcomp_backend_count(c->ctx, &n) == 0)
        for (int32_t i = 0; i < n; i++) {
            mcomp_backend_info b = {.size = sizeof b};
            if (mcomp_backend_info_get(c->ctx, i, &b) == 0 && b.usable) (void)json_array_append_new(list, json_string(b.name));
        }
    if (json_array_size(list) == 0) (void)json_array_append_new(list, json_string("cpu"));
    cli_set(o, "backends", list);
    return o;
}

static void print_error(const cli *c)
{
    const mcomp_error *e = &c->error;
    fprintf(stderr, "error: %s%s%s\n", e->where, e->where[0] ? ": " : "", e->message);
    if (e->hint[0]) fprintf(stderr, "hint: %s\n", e->hint);
}

int cli_finish(cli *c, int status)
{
    int code = status == 0 ? 0 : mcomp_status_exit_code(status);
    if (status != 0 && c->error.code == 0) (void)cli_fail(c, status, "", "", "%s", mcomp_status_text(status));
    if (status != 0) print_error(c);
    if (c->json) {
        json_t *o = json_object();
        cli_set(o, "schema_version", json_integer(1));
        cli_set(o, "command", json_string(c->command ? c->command : ""));
        cli_set(o, "mcomp", json_string(mcomp_version_string()));
        cli_set(o, "machine", machine(c));
        cli_set(o, "warnings", json_incref(c->warnings));
        (void)json_object_update(o, c->root);
        if (status != 0)
            cli_set(o, "error", json_pack("{s:i,s:s,s:s,s:s,s:s}", "code", status, "name", mcomp_status_name(status), "what", c->error.message,
                                          "where", c->error.where, "hint", c->error.hint));
        (void)json_dumpf(o, stdout, JSON_INDENT(1) | JSON_REAL_PRECISION(9) | JSON_ENSURE_ASCII);
        (void)putchar('\n');
        json_decref(o);
    }
    if (fflush(stdout) != 0 || ferror(stdout)) {
        fprintf(stderr, "error: cannot write the result to standard output\n");
        if (code == 0) code = 5;
    }
    return code;
}
