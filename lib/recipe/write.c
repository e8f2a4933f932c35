/* Values as text: numbers and words that read back as what they were. */
#include "recipe/values.h"

#include <math.h>
#include <stdio.h>

/* printf writes the locale's decimal point, whatever its bytes: digits and exponent are picked out and put together here. */
static int digits_of(double v, int precision, char digits[20], int *exponent)
{
    char raw[64];
    int n = 0;
    const char *c;
    snprintf(raw, sizeof raw, "%.*e", precision - 1, fabs(v));
    for (c = raw; *c && *c != 'e'; c++)
        if (*c >= '0' && *c <= '9' && n < 18) digits[n++] = *c;
    int64_t e = 0;
    if (*c == 'e') (void)mc_parse_i64(c + 1, &e);
    *exponent = (int)e;
    return n;
}

static void compose(char buf[MC_NUMBER_TEXT], int negative, const char *digits, int n, int exponent)
{
    int o = 0;
    while (n > 1 && digits[n - 1] == '0') n--;
    if (negative) buf[o++] = '-';
    if (exponent >= 0 && exponent < 16) {
        for (int i = 0; i <= exponent; i++) buf[o++] = i < n ? digits[i] : '0';
        if (n > exponent + 1) buf[o++] = '.';
        for (int i = exponent + 1; i < n; i++) buf[o++] = digits[i];
    } else if (exponent < 0 && exponent >= -4) {
        buf[o++] = '0';
        buf[o++] = '.';
        for (int i = -1; i > exponent; i--) buf[o++] = '0';
        for (int i = 0; i < n; i++) buf[o++] = digits[i];
    } else {
        buf[o++] = digits[0];
        if (n > 1) buf[o++] = '.';
        for (int i = 1; i < n; i++) buf[o++] = digits[i];
        snprintf(buf + o, (size_t)(MC_NUMBER_TEXT - o), "e%d", exponent);
        return;
    }
    buf[o] = 0;
}

const char *mc_number_text(char buf[MC_NUMBER_TEXT], double v)
{
    for (int precision = 1; precision <= 17; precision++) {
        char digits[20];
        int exponent;
        double back;
        const int n = digits_of(v, precision, digits, &exponent);
        compose(buf, v < 0.0, digits, n, exponent);
        if (mc_parse_f64(buf, &back) == MCOMP_OK && back == v) break;
    }
    return buf;
}

/* Plain: letters, digits and a few signs that mean nothing to YAML inside of a word, and nothing that could be read as something else. */
static int is_plain(const char *t)
{
    const int start = (*t >= 'a' && *t <= 'z') || (*t >= 'A' && *t <= 'Z') || (*t >= '0' && *t <= '9') || *t == '.' || *t == '/' || *t == '_';
    if (!start) return 0;
    for (const char *c = t; *c; c++) {
        const int letter = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || (*c >= '0' && *c <= '9');
        if (!letter && !strchr("._/-+=@$", *c) && !(*c == ':' && c[1] && c[1] != ' ')) return 0;
    }
    return strcmp(t, "null") != 0;
}

int32_t mc_scalar_write(mc_str *out, const char *text)
{
    int32_t st = MCOMP_OK;
    if (is_plain(text)) return mc_str_append(out, text);
    MC_TRY(mc_str_append(out, "\""));
    for (const unsigned char *c = (const unsigned char *)text; *c; c++) {
        if (*c == '"' || *c == '\\') MC_TRY(mc_str_appendf(out, "\\%c", *c));
        else if (*c < 0x20 || *c == 0x7f) MC_TRY(mc_str_appendf(out, "\\x%02x", *c));
        else MC_TRY(mc_str_append_bytes(out, c, 1));
    }
    st = mc_str_append(out, "\"");
done:
    return st;
}
