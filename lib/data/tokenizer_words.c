/* Pre-tokenizers: a stretch of normal form to words. */
#include "data/tokenizer.h"

uint32_t mc_byte_letter(uint8_t b)
{
    if ((b >= '!' && b <= '~') || (b >= 0xa1 && b != 0xad)) return b;
    /* the others in order: 0..32, 127..160, 173 */
    return 256u + (b <= 32 ? b : b <= 160 ? b - 127u + 33u : 67u);
}

/* What a pre-tokenizer sees in a character. */
enum { SPACE, ALONE, WORD, OTHER };

static int bert_class(uint32_t cp) { return mc_uc_space(cp) ? SPACE : mc_uc_punctuation(cp) ? ALONE : WORD; }
static int white_class(uint32_t cp) { return mc_uc_word(cp) ? WORD : mc_uc_space(cp) ? SPACE : OTHER; }
static int split_class(uint32_t cp) { return mc_uc_space(cp) ? SPACE : WORD; }

/* Runs of one class are words; spaces are dropped; ALONE is a word by itself. */
static int32_t by_class(mc_encoder *e, int64_t from, int64_t to, int (*class_of)(uint32_t))
{
    int32_t st = MCOMP_OK;
    int last = SPACE, valid;
    int64_t start = from;
    for (int64_t i = from; i < to;) {
        uint32_t cp = (uint8_t)e->base[i];
        const int64_t len = cp < 0x80 ? 1 : mc_utf8_next((const uint8_t *)e->base + i, to - i, &cp, &valid);
        const int k = class_of(cp);
        if (k != last || k == ALONE) {
            if (last != SPACE) MC_TRY(mc_encoder_piece(e, start, i));
            start = i;
        }
        last = k;
        i += len;
    }
    if (last != SPACE) st = mc_encoder_piece(e, start, to);
done:
    return st;
}

/* Byte level: each word's bytes become letters; a space in front where wanted. */
static int32_t letters(mc_encoder *e, int64_t from, int64_t to, mc_str *out)
{
    int32_t st = MCOMP_OK;
    static const int chunk = 64;
    char buf[128];
    const int64_t at = out->len;
    while (from < to) {
        int n = 0;
        for (int k = 0; k < chunk && from < to; k++) n += mc_utf8_put(buf + n, mc_byte_letter((uint8_t)e->base[from++]));
        MC_TRY(mc_str_append_bytes(out, buf, (size_t)n));
    }
    st = mc_encoder_piece(e, at, out->len);
done:
    return st;
}

/* The pieces so far become input: e->piece2. */
static void take_pieces(mc_encoder *e)
{
    mc_piece *p = e->piece;
    const int64_t n = e->n_piece, cap = e->cap_piece;
    e->piece = e->piece2;
    e->cap_piece = e->cap_piece2;
    e->piece2 = p;
    e->n_piece2 = n;
    e->cap_piece2 = cap;
    e->n_piece = 0;
}

static mc_str *spare_text(mc_encoder *e) { return e->base == e->text.data && e->text.data ? &e->other : &e->text; }

static int32_t byte_level(const mc_pre *p, mc_encoder *e)
{
    int32_t st = MCOMP_OK;
    if (p->prefix_space) {
        mc_str *s = spare_text(e);
        take_pieces(e);
        s->len = 0;
        for (int64_t i = 0; i < e->n_piece2; i++) {
            const mc_piece w = e->piece2[i];
            const int64_t at = s->len;
            if (e->base[w.from] != ' ') MC_TRY(mc_str_append_bytes(s, " ", 1));
            MC_TRY(mc_str_append_bytes(s, e->base + w.from, (size_t)(w.to - w.from)));
            MC_TRY(mc_encoder_piece(e, at, s->len));
        }
        e->base = s->data;
    }
    if (p->use_regex) MC_TRY(mc_pre_split(p, e));
    mc_str *s = spare_text(e);
    s->len = 0;
    take_pieces(e);
    for (int64_t i = 0; i < e->n_piece2; i++) MC_TRY(letters(e, e->piece2[i].from, e->piece2[i].to, s));
    e->base = s->data;
done:
    return st;
}

int32_t mc_tokenizer_words(const mc_tokenizer *t, mc_encoder *e, const char *text, int64_t n)
{
    static int (*const class_of[])(uint32_t) = {bert_class, white_class, split_class};
    int32_t st = MCOMP_OK;
    e->base = text;
    e->n_piece = 0;
    if (t->n_pre == 0) return mc_encoder_piece(e, 0, n);
    MC_TRY(mc_encoder_piece(e, 0, n));
    for (int32_t i = 0; i < t->n_pre; i++) {
        const mc_pre *p = &t->pre[i];
        if (p->kind == MC_PRE_BYTE_LEVEL) {
            MC_TRY(byte_level(p, e));
        } else if (p->kind == MC_PRE_SPLIT) {
            MC_TRY(mc_pre_split(p, e));
        } else {
            take_pieces(e);
            for (int64_t k = 0; k < e->n_piece2; k++) MC_TRY(by_class(e, e->piece2[k].from, e->piece2[k].to, class_of[p->kind]));
        }
    }
done:
    return st;
}
