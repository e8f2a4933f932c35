/* Bytes: id = value of the byte, 256 = padding. Takes any bytes, valid text or not. Its tokenizer.json is a byte-level BPE without merges
 * whose letters have the ids of their bytes. */
#include "data/tokenizer.h"

static int32_t word(const mc_tokenizer *t, mc_encoder *e, const char *text, int64_t n)
{
    (void)t;
    (void)e;
    (void)text;
    return n == 0 ? MCOMP_OK : mc_fail(MCOMP_INTERNAL, "bytes", "bytes have no words");
}

static int32_t save(const mc_tokenizer *t, mc_json *model)
{
    (void)t;
    return mc_json_set(model, "merges", mc_json_array());
}

const mc_tokenizer_kind mc_tokenizer_bytes = {"bytes", NULL, NULL, word, save, NULL, 1};

int32_t mc_tokenizer_bytes_new(mc_tokenizer **out)
{
    int32_t st = MCOMP_OK;
    char letter[4];
    mc_tokenizer *t = mc_tokenizer_new(&mc_tokenizer_bytes);
    *out = NULL;
    if (!t) return MCOMP_NO_MEMORY;
    for (int i = 0; i < 256; i++) MC_TRY(mc_vocab_put(&t->vocab, letter, mc_utf8_put(letter, mc_byte_letter((uint8_t)i)), i, "bytes"));
    MC_TRY(mc_vocab_put(&t->vocab, "[PAD]", 5, 256, "bytes"));
    t->pad = 256;
    t->pre[0] = (mc_pre){.kind = MC_PRE_BYTE_LEVEL, .behavior = MC_SPLIT_ISOLATED};
    t->n_pre = 1;
    *out = t;
    t = NULL;
done:
    mc_tokenizer_unref(t);
    return st;
}

void mc_tokenizer_bytes_recognise(mc_tokenizer *t)
{
    char letter[4];
    if (t->kind != &mc_tokenizer_bpe || t->vocab.used != 257 || t->pad != 256 || t->n_added || t->n_norm || t->n_before + t->n_after) return;
    if (t->n_pre != 1 || t->pre[0].kind != MC_PRE_BYTE_LEVEL || t->pre[0].use_regex || t->pre[0].prefix_space) return;
    for (int i = 0; i < 256; i++)
        if (mc_vocab_find(&t->vocab, letter, mc_utf8_put(letter, mc_byte_letter((uint8_t)i))) != i) return;
    if (mc_bpe_has_merges(t)) return;
    t->kind->destroy(t->state);
    t->state = NULL;
    t->kind = &mc_tokenizer_bytes;
}
