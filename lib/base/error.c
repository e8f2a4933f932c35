/* Error record: thread-local, fixed size, never allocates. Texts from files are escaped before they get here or on the way
 * in, so a record is always printable. */
#include "base/base.h"

#include <stdio.h>

static _Thread_local mcomp_error record;

static void put_escaped(char *dst, size_t cap, const char *src) { mc_escape(dst, cap, src ? src : ""); }

int32_t mc_fail(int32_t code, const char *where, const char *fmt, ...)
{
    char text[sizeof record.message];
    va_list ap;
    if (record.code == code && record.message[0]) return code; /* the innermost message is the precise one */
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    record.code = code;
    record.argument = 0;
    record.hint[0] = 0;
    put_escaped(record.where, sizeof record.where, where);
    put_escaped(record.message, sizeof record.message, text);
    return code;
}

int32_t mc_fail_hint(const char *fmt, ...)
{
    char text[sizeof record.hint];
    va_list ap;
    if (record.hint[0]) return record.code;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    put_escaped(record.hint, sizeof record.hint, text);
    return record.code;
}

int32_t mc_fail_argument(int32_t index, const char *name, const char *why)
{
    mc_error_clear();
    (void)mc_fail(MCOMP_ARGUMENT, name, "argument %d (%s) %s", index, name, why);
    record.argument = index;
    return MCOMP_ARGUMENT;
}

void mc_error_clear(void)
{
    record.code = 0;
    record.argument = 0;
    record.where[0] = record.message[0] = record.hint[0] = 0;
}

const mcomp_error *mc_error_peek(void)
{
    record.size = sizeof record;
    return &record;
}

void mc_error_restore(const mcomp_error *saved) { record = *saved; }

/* ---- public ---- */

void mcomp_error_get(mcomp_error *out)
{
    if (!out || out->size < offsetof(mcomp_error, argument)) return;
    const uint32_t size = out->size, n = size < sizeof record ? size : (uint32_t)sizeof record;
    memset(out, 0, size);
    memcpy(out, &record, n);
    out->size = size;
}

const char *mcomp_status_name(int32_t status)
{
    switch (status) {
#define ROW(name, value, exit_code, text)                                                                              \
    case value: return #name;
        MCOMP_STATUS_TABLE(ROW)
#undef ROW
    default: return "UNKNOWN";
    }
}

const char *mcomp_status_text(int32_t status)
{
    switch (status) {
#define ROW(name, value, exit_code, text)                                                                              \
    case value: return text;
        MCOMP_STATUS_TABLE(ROW)
#undef ROW
    default: return "unknown status";
    }
}

int32_t mcomp_status_exit_code(int32_t status)
{
    switch (status) {
#define ROW(name, value, exit_code, text)                                                                              \
    case value: return exit_code;
        MCOMP_STATUS_TABLE(ROW)
#undef ROW
    default: return 6;
    }
}
