/* Unicode for tokenizers. The data is utf8proc's; the canonical order is ours, because utf8proc sorts by exchange of neighbours,
 * which is quadratic on a long run of combining marks. */
#include "data/unicode.h"

#include <utf8proc.h>

int32_t mc_cps_push(mc_cps *c, uint32_t cp)
{
    if (c->n == c->cap) {
        const int32_t st = mc_grow(&c->v, &c->cap, c->n + 1, sizeof *c->v);
        if (st != MCOMP_OK) return st;
    }
    c->v[c->n++] = cp;
    return MCOMP_OK;
}

/* Lead byte: bytes that follow and the range of the first of them (Unicode, table 3-7). */
static int follow(uint8_t lead, uint8_t *lo, uint8_t *hi)
{
    *lo = 0x80;
    *hi = 0xbf;
    if (lead >= 0xc2 && lead <= 0xdf) return 1;
    if (lead >= 0xe0 && lead <= 0xef) {
        if (lead == 0xe0) *lo = 0xa0;
        if (lead == 0xed) *hi = 0x9f;
        return 2;
    }
    if (lead >= 0xf0 && lead <= 0xf4) {
        if (lead == 0xf0) *lo = 0x90;
        if (lead == 0xf4) *hi = 0x8f;
        return 3;
    }
    return -1;
}

int64_t mc_utf8_next(const uint8_t *p, int64_t n, uint32_t *cp, int *valid)
{
    uint8_t lo, hi;
    *valid = 1;
    if (p[0] < 0x80) {
        *cp = p[0];
        return 1;
    }
    const int k = follow(p[0], &lo, &hi);
    uint32_t v = k > 0 ? p[0] & (0x3fu >> k) : 0;
    for (int i = 1; i <= k; i++) {
        if (i >= n || p[i] < lo || p[i] > hi) {
            *valid = 0;
            *cp = 0xfffd;
            return i;
        }
        v = v << 6 | (p[i] & 0x3fu);
        lo = 0x80;
        hi = 0xbf;
    }
    *valid = k > 0;
    *cp = k > 0 ? v : 0xfffd;
    return k > 0 ? k + 1 : 1;
}

int mc_utf8_valid(const char *text, int64_t n)
{
    const uint8_t *p = (const uint8_t *)text;
    int64_t i = 0;
    int ok = 1;
    uint32_t cp;
    while (i < n && ok) {
        uint64_t w;
        if (i + 8 <= n && (memcpy(&w, p + i, 8), (w & 0x8080808080808080u) == 0)) i += 8;
        else i += mc_utf8_next(p + i, n - i, &cp, &ok);
    }
    return ok;
}

int mc_utf8_put(char out[4], uint32_t cp) { return (int)utf8proc_encode_char((utf8proc_int32_t)cp, (utf8proc_uint8_t *)out); }

int64_t mc_utf8_length(const char *text, int64_t n)
{
    int64_t k = 0;
    for (int64_t i = 0; i < n; i++) k += ((uint8_t)text[i] & 0xc0) != 0x80;
    return k;
}

int32_t mc_cps_decode(mc_cps *out, const char *text, int64_t n)
{
    int valid;
    const int32_t st = mc_grow(&out->v, &out->cap, out->n + n, sizeof *out->v);
    if (st != MCOMP_OK) return st;
    for (int64_t i = 0; i < n;) i += mc_utf8_next((const uint8_t *)text + i, n - i, &out->v[out->n++], &valid);
    return MCOMP_OK;
}

int32_t mc_cps_encode(mc_str *out, const mc_cps *in)
{
    int32_t st = MCOMP_OK;
    char buf[4 * 64];
    for (int64_t i = 0; i < in->n;) {
        int n = 0;
        for (int k = 0; k < 64 && i < in->n; k++, i++) n += mc_utf8_put(buf + n, in->v[i]);
        MC_TRY(mc_str_append_bytes(out, buf, (size_t)n));
    }
done:
    return st;
}

static utf8proc_category_t category(uint32_t cp) { return utf8proc_category((utf8proc_int32_t)cp); }

int mc_uc_space(uint32_t cp)
{
    if (cp < 0x80) return cp == ' ' || (cp >= 9 && cp <= 13);
    return cp == 0x85 || cp == 0xa0 || cp == 0x1680 || (cp >= 0x2000 && cp <= 0x200a) || cp == 0x2028 || cp == 0x2029 || cp == 0x202f || cp == 0x205f || cp == 0x3000;
}

int mc_uc_other(uint32_t cp)
{
    const utf8proc_category_t k = category(cp);
    return k == UTF8PROC_CATEGORY_CC || k == UTF8PROC_CATEGORY_CF || k == UTF8PROC_CATEGORY_CO;
}

int mc_uc_punctuation(uint32_t cp)
{
    if (cp < 0x80) return (cp >= 33 && cp <= 47) || (cp >= 58 && cp <= 64) || (cp >= 91 && cp <= 96) || (cp >= 123 && cp <= 126);
    const utf8proc_category_t k = category(cp);
    return k >= UTF8PROC_CATEGORY_PC && k <= UTF8PROC_CATEGORY_PO;
}

int mc_uc_mark(uint32_t cp)
{
    const utf8proc_category_t k = category(cp);
    return k >= UTF8PROC_CATEGORY_MN && k <= UTF8PROC_CATEGORY_ME;
}

int mc_uc_nonspacing(uint32_t cp) { return category(cp) == UTF8PROC_CATEGORY_MN; }

int mc_uc_word(uint32_t cp)
{
    if (cp < 0x80) return cp == '_' || (cp >= '0' && cp <= '9') || ((cp | 32) >= 'a' && (cp | 32) <= 'z');
    const utf8proc_category_t k = category(cp);
    if ((k >= UTF8PROC_CATEGORY_LU && k <= UTF8PROC_CATEGORY_NL) || k == UTF8PROC_CATEGORY_PC) return 1; /* L, M, Nd, Nl are neighbours */
    /* joiners, and the circled and squared letters, which are symbols that count as alphabetic */
    return cp == 0x200c || cp == 0x200d || (cp >= 0x24b6 && cp <= 0x24e9) || (cp >= 0x1f130 && cp <= 0x1f149) || (cp >= 0x1f150 && cp <= 0x1f169) ||
           (cp >= 0x1f170 && cp <= 0x1f189);
}

int mc_uc_cjk(uint32_t cp)
{
    return cp >= 0x3400 && ((cp <= 0x4dbf) || (cp >= 0x4e00 && cp <= 0x9fff) || (cp >= 0xf900 && cp <= 0xfaff) || (cp >= 0x20000 && cp <= 0x2a6df) ||
                            (cp >= 0x2a700 && cp <= 0x2b81f) || (cp >= 0x2b920 && cp <= 0x2ceaf) || (cp >= 0x2f800 && cp <= 0x2fa1f));
}

int32_t mc_uc_lower(mc_cps *c)
{
    int64_t dotted = 0;
    for (int64_t i = 0; i < c->n; i++) dotted += c->v[i] == 0x130;
    if (dotted) { /* U+0130 is the one character whose lower case is two: i and a dot above */
        const int32_t st = mc_grow(&c->v, &c->cap, c->n + dotted, sizeof *c->v);
        if (st != MCOMP_OK) return st;
        for (int64_t i = c->n - 1, to = c->n + dotted - 1; i >= 0; i--) {
            if (c->v[i] == 0x130) c->v[to--] = 0x307;
            c->v[to--] = c->v[i];
        }
        c->n += dotted;
    }
    for (int64_t i = 0; i < c->n; i++) c->v[i] = (uint32_t)utf8proc_tolower((utf8proc_int32_t)c->v[i]);
    return MCOMP_OK;
}

/* Stable counting sort of a run of marks by combining class. */
static void sort_run(uint32_t *v, uint32_t *spare, int64_t n)
{
    int64_t at[256] = {0};
    for (int64_t i = 0; i < n; i++) at[utf8proc_get_property((utf8proc_int32_t)v[i])->combining_class & 255]++;
    for (int64_t k = 0, sum = 0; k < 256; k++) {
        const int64_t m = at[k];
        at[k] = sum;
        sum += m;
    }
    for (int64_t i = 0; i < n; i++) spare[at[utf8proc_get_property((utf8proc_int32_t)v[i])->combining_class & 255]++] = v[i];
    memcpy(v, spare, sizeof *v * (size_t)n);
}

static int32_t canonical_order(mc_cps *c)
{
    uint32_t few[32], *spare = few;
    int64_t cap = 32;
    for (int64_t i = 0; i < c->n;) {
        int64_t e = i;
        while (e < c->n && c->v[e] >= 0x300 && utf8proc_get_property((utf8proc_int32_t)c->v[e])->combining_class) e++;
        if (e - i > cap) {
            uint32_t *more = mc_realloc(spare == few ? NULL : spare, sizeof *more * (size_t)(e - i));
            if (!more) {
                if (spare != few) mc_free(spare);
                return MCOMP_NO_MEMORY;
            }
            spare = more;
            cap = e - i;
        }
        if (e - i > 1) sort_run(c->v + i, spare, e - i);
        i = e > i ? e : i + 1;
    }
    if (spare != few) mc_free(spare);
    return MCOMP_OK;
}

int32_t mc_uc_decompose(mc_cps *c, int compat)
{
    int32_t st = MCOMP_OK;
    mc_cps out = {0};
    const utf8proc_option_t options = (utf8proc_option_t)(UTF8PROC_DECOMPOSE | UTF8PROC_STABLE | (compat ? UTF8PROC_COMPAT : 0));
    MC_TRY(mc_grow(&out.v, &out.cap, c->n + 32, sizeof *out.v));
    for (int64_t i = 0; i < c->n; i++) {
        int bound = 0;
        if (out.cap - out.n < 32) MC_TRY(mc_grow(&out.v, &out.cap, out.n + 64, sizeof *out.v));
        if (c->v[i] < 0xa0) {
            out.v[out.n++] = c->v[i];
            continue;
        }
        const utf8proc_ssize_t k = utf8proc_decompose_char((utf8proc_int32_t)c->v[i], (utf8proc_int32_t *)(out.v + out.n), 32, options, &bound);
        if (k < 0 || k > 32) MC_FAIL(MCOMP_INTERNAL, "unicode", "no decomposition of U+%04X", (unsigned)c->v[i]);
        out.n += k;
    }
    MC_TRY(canonical_order(&out));
    mc_free(c->v);
    *c = out;
    return MCOMP_OK;
done:
    mc_cps_free(&out);
    return st;
}

int32_t mc_uc_compose(mc_cps *c)
{
    const utf8proc_ssize_t n = utf8proc_normalize_utf32((utf8proc_int32_t *)c->v, c->n, (utf8proc_option_t)(UTF8PROC_COMPOSE | UTF8PROC_STABLE));
    if (n < 0) return mc_fail(MCOMP_INTERNAL, "unicode", "cannot compose");
    c->n = n;
    return MCOMP_OK;
}
