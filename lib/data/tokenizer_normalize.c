/* Normalizers: BERT's cleaning, case, normal forms, accents. Text that is all ASCII, which most is, takes a table. */
#include "data/tokenizer.h"

/* BERT on ASCII: what a byte becomes; 0 = dropped. */
static void bert_table(const mc_norm *b, char table[128])
{
    for (int c = 0; c < 128; c++) {
        table[c] = (char)c;
        if (b->clean) {
            if (c == '\t' || c == '\n' || c == '\r') table[c] = ' ';
            else if (c < 32 || c == 127) table[c] = 0;
        }
        if (b->lower && c >= 'A' && c <= 'Z') table[c] = (char)(c + 32);
    }
}

static int32_t bert(const mc_norm *b, mc_cps *c)
{
    int32_t st = MCOMP_OK;
    int64_t n = 0, cjk = 0;
    if (b->clean) {
        for (int64_t i = 0; i < c->n; i++) {
            const uint32_t cp = c->v[i];
            const int space = mc_uc_space(cp) && (cp >= 0x80 || cp == ' ' || cp == '\t' || cp == '\n' || cp == '\r') && cp != 0x85;
            if (space) c->v[n++] = ' ';
            else if (cp != 0 && cp != 0xfffd && !mc_uc_other(cp)) c->v[n++] = cp;
        }
        c->n = n;
    }
    for (int64_t i = 0; b->cjk && i < c->n; i++) cjk += mc_uc_cjk(c->v[i]);
    if (cjk) {
        MC_TRY(mc_grow(&c->v, &c->cap, c->n + 2 * cjk, sizeof *c->v));
        for (int64_t i = c->n - 1, to = c->n + 2 * cjk; i >= 0; i--) {
            const uint32_t cp = c->v[i];
            if (mc_uc_cjk(cp)) c->v[--to] = ' ';
            c->v[--to] = cp;
            if (mc_uc_cjk(cp)) c->v[--to] = ' ';
        }
        c->n += 2 * cjk;
    }
    if (b->accents) {
        MC_TRY(mc_uc_decompose(c, 0));
        n = 0;
        for (int64_t i = 0; i < c->n; i++)
            if (!mc_uc_nonspacing(c->v[i])) c->v[n++] = c->v[i];
        c->n = n;
    }
    if (b->lower) st = mc_uc_lower(c);
done:
    return st;
}

static int32_t stage(const mc_norm *s, mc_cps *c)
{
    int32_t st = MCOMP_OK;
    int64_t n = 0;
    switch (s->kind) {
    case MC_NORM_BERT: return bert(s, c);
    case MC_NORM_LOWER: return mc_uc_lower(c);
    case MC_NORM_ACCENTS:
        for (int64_t i = 0; i < c->n; i++)
            if (!mc_uc_mark(c->v[i])) c->v[n++] = c->v[i];
        c->n = n;
        return MCOMP_OK;
    default: st = mc_uc_decompose(c, s->kind == MC_NORM_NFKC || s->kind == MC_NORM_NFKD);
    }
    if (st == MCOMP_OK && (s->kind == MC_NORM_NFC || s->kind == MC_NORM_NFKC)) st = mc_uc_compose(c);
    return st;
}

/* All stages on text without a short cut. */
static int32_t general(const mc_tokenizer *t, mc_cps *c, const char *text, int64_t n, mc_str *out)
{
    int32_t st = MCOMP_OK;
    c->n = 0;
    MC_TRY(mc_cps_decode(c, text, n));
    for (int32_t i = 0; i < t->n_norm; i++) MC_TRY(stage(&t->norm[i], c));
    st = mc_cps_encode(out, c);
done:
    return st;
}

/* BERT alone: decomposition never reaches across an ASCII character, so that runs of the two sorts are independent. */
static int32_t bert_runs(const mc_tokenizer *t, mc_cps *c, const char *text, int64_t n, mc_str *out)
{
    int32_t st = MCOMP_OK;
    char table[128], buf[256];
    bert_table(&t->norm[0], table);
    for (int64_t i = 0; i < n;) {
        int64_t e = i;
        int k = 0;
        for (; i < n && !(text[i] & 0x80) && k < 256; i++)
            if (table[(int)text[i]] || !t->norm[0].clean) buf[k++] = table[(int)text[i]];
        if (k) MC_TRY(mc_str_append_bytes(out, buf, (size_t)k));
        for (e = i; e < n && (text[e] & 0x80);) e++;
        if (e > i) MC_TRY(general(t, c, text + i, e - i, out));
        i = e;
    }
done:
    return st;
}

int32_t mc_tokenizer_normalize(const mc_tokenizer *t, mc_cps *spare, const char *text, int64_t n, mc_str *out)
{
    int32_t st = MCOMP_OK;
    int64_t i = 0;
    if (t->n_norm == 0) return mc_str_append_bytes(out, text, (size_t)n);
    if (t->n_norm == 1 && t->norm[0].kind == MC_NORM_BERT) return bert_runs(t, spare, text, n, out);
    while (i < n && !(text[i] & 0x80)) i++;
    if (i < n) return general(t, spare, text, n, out);
    for (int32_t k = 0; k < t->n_norm; k++)
        if (t->norm[k].kind == MC_NORM_BERT) return general(t, spare, text, n, out);
    const int64_t at = out->len; /* ASCII is its own normal form, and has no accents */
    MC_TRY(mc_str_append_bytes(out, text, (size_t)n));
    for (int32_t k = 0; k < t->n_norm; k++)
        for (i = at; t->norm[k].kind == MC_NORM_LOWER && i < out->len; i++)
            if (out->data[i] >= 'A' && out->data[i] <= 'Z') out->data[i] = (char)(out->data[i] + 32);
done:
    return st;
}
