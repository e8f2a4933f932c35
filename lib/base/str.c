/* Strings: growable buffer, escaping of hostile names, glob match, nearest word, numbers independent of the locale. */
#include "base/base.h"

#include <errno.h>
#include <locale.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

int32_t mc_str_append_bytes(mc_str *s, const void *bytes, size_t n)
{
    int32_t st = mc_grow(&s->data, &s->cap, s->len + (int64_t)n + 1, 1);
    if (st != MCOMP_OK) return st;
    if (n) memcpy(s->data + s->len, bytes, n);
    s->len += (int64_t)n;
    s->data[s->len] = 0;
    return MCOMP_OK;
}

int32_t mc_str_append(mc_str *s, const char *text) { return mc_str_append_bytes(s, text, strlen(text)); }

int32_t mc_str_appendf(mc_str *s, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    const int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (n < 0) return mc_fail(MCOMP_INTERNAL, "", "text formatting failed");
    int32_t st = mc_grow(&s->data, &s->cap, s->len + n + 1, 1);
    if (st != MCOMP_OK) return st;
    va_start(ap, fmt);
    vsnprintf(s->data + s->len, (size_t)n + 1, fmt, ap);
    va_end(ap);
    s->len += n;
    return MCOMP_OK;
}

void mc_str_free(mc_str *s)
{
    mc_free(s->data);
    memset(s, 0, sizeof *s);
}

/* Length of the valid UTF-8 sequence at p (0 if it is not one). */
static int utf8_length(const unsigned char *p)
{
    int n = p[0] >= 0xf0 && p[0] <= 0xf4 ? 4 : p[0] >= 0xe0 ? 3 : p[0] >= 0xc2 ? 2 : 0;
    if (p[0] > 0xf4) n = 0;
    for (int i = 1; i < n; i++)
        if ((p[i] & 0xc0) != 0x80) return 0;
    if (p[0] == 0xe0 && p[1] < 0xa0) return 0;                                       /* longer than it has to be */
    if ((p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] >= 0x90)) return 0; /* the same; beyond U+10FFFF */
    if (p[0] == 0xed && p[1] >= 0xa0) return 0;                                      /* half of a surrogate pair */
    return n;
}

const char *mc_escape(char *buf, size_t cap, const char *text)
{
    static const char hex[] = "0123456789abcdef";
    size_t o = 0;
    if (cap == 0) return "";
    for (const unsigned char *p = (const unsigned char *)text; *p;) {
        const int n = *p >= 0x80 ? utf8_length(p) : 1;
        if (*p >= 0x20 && *p != 0x7f && n > 0) {
            if (o + (size_t)n >= cap) break;
            for (int i = 0; i < n; i++) buf[o++] = (char)p[i];
            p += n;
        } else {
            if (o + 4 >= cap) break;
            buf[o++] = '\\';
            buf[o++] = 'x';
            buf[o++] = hex[*p >> 4];
            buf[o++] = hex[*p & 15];
            p++;
        }
    }
    buf[o] = 0;
    return buf;
}

int mc_glob_match(const char *pattern, const char *text)
{
    const char *star = NULL, *back = NULL;
    while (*text) {
        if (*pattern == '*') {
            star = pattern++;
            back = text;
        } else if (*pattern == '?' || *pattern == *text) {
            pattern++;
            text++;
        } else if (star) {
            pattern = star + 1;
            text = ++back;
        } else {
            return 0;
        }
    }
    while (*pattern == '*') pattern++;
    return *pattern == 0;
}

/* Edit distance of words of at most 63 bytes, one row at a time. */
static int distance(const char *a, const char *b)
{
    int row[64];
    const int n = (int)strlen(a), m = (int)strlen(b);
    if (n > 63 || m > 63) return 99;
    for (int j = 0; j <= m; j++) row[j] = j;
    for (int i = 1; i <= n; i++) {
        int diagonal = row[0];
        row[0] = i;
        for (int j = 1; j <= m; j++) {
            const int up = row[j];
            int best = diagonal + (a[i - 1] != b[j - 1]);
            if (up + 1 < best) best = up + 1;
            if (row[j - 1] + 1 < best) best = row[j - 1] + 1;
            row[j] = best;
            diagonal = up;
        }
    }
    return row[m];
}

const char *mc_nearest(const char *word, const char *const *candidates)
{
    const char *best = NULL;
    int best_distance = 1 + (int)strlen(word) / 3;
    if (best_distance < 2) best_distance = 2;
    for (; *candidates; candidates++) {
        const int d = distance(word, *candidates);
        if (d <= best_distance && (!best || d < best_distance)) {
            best = *candidates;
            best_distance = d;
        }
    }
    return best;
}

int32_t mc_parse_i64(const char *text, int64_t *out)
{
    char *end;
    if (!((*text >= '0' && *text <= '9') || ((*text == '-' || *text == '+') && text[1] >= '0' && text[1] <= '9')))
        return MCOMP_FORMAT;
    errno = 0;
    const long long v = strtoll(text, &end, 10);
    if (*end) return MCOMP_FORMAT;
    if (errno == ERANGE) return MCOMP_RANGE;
    *out = v;
    return MCOMP_OK;
}

static locale_t c_locale;
static pthread_once_t c_locale_once = PTHREAD_ONCE_INIT;
static void make_c_locale(void) { c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0); }

int32_t mc_parse_f64(const char *text, double *out)
{
    char *end;
    if (!*text || strchr(" \t\n\r\v\f", *text)) return MCOMP_FORMAT;
    pthread_once(&c_locale_once, make_c_locale);
    if (!c_locale) return MCOMP_NO_MEMORY;
    const double v = strtod_l(text, &end, c_locale);
    if (*end || end == text) return MCOMP_FORMAT;
    if (!isfinite(v)) return MCOMP_RANGE;
    *out = v;
    return MCOMP_OK;
}
