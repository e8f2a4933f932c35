/* Characters: 0 = padding, 1 = unknown, then the characters of the data in the order of their code points. It is a BPE without merges over
 * the text as one word, and saved as such. */
#include <stdlib.h>

#include "data/tokenizer.h"

#define MAX_CHARS 65536

int32_t mc_tokenizer_chars_new(mc_tokenizer **out, const mc_text *corpus, int64_t n)
{
    int32_t st = MCOMP_OK;
    char utf8[4];
    int64_t id = 2;
    int valid;
    uint8_t *seen = mc_calloc(0x110000 / 8, 1);
    mc_tokenizer *t = mc_tokenizer_new(&mc_tokenizer_bpe);
    *out = NULL;
    if (!t || !seen) MC_FAIL(MCOMP_NO_MEMORY, "chars", "no memory");
    for (int64_t i = 0; i < n; i++)
        for (int64_t k = 0; k < corpus[i].len;) {
            uint32_t cp;
            k += mc_utf8_next((const uint8_t *)corpus[i].bytes + k, corpus[i].len - k, &cp, &valid);
            seen[cp >> 3] |= (uint8_t)(1u << (cp & 7));
        }
    MC_TRY(mc_vocab_put(&t->vocab, "[PAD]", 5, 0, "chars"));
    MC_TRY(mc_vocab_put(&t->vocab, "[UNK]", 5, 1, "chars"));
    for (uint32_t cp = 1; cp < 0x110000; cp++) {
        if (!(seen[cp >> 3] >> (cp & 7) & 1)) continue;
        if (id >= MAX_CHARS) MC_FAIL(MCOMP_LIMIT, "chars", "more than %d different characters: not a text of letters", MAX_CHARS);
        MC_TRY(mc_vocab_put(&t->vocab, utf8, mc_utf8_put(utf8, cp), id++, "chars"));
    }
    MC_TRY(mc_bpe_set_merges(t, NULL, 0, "chars"));
    t->pad = 0;
    t->unk = 1;
    *out = t;
    t = NULL;
done:
    mc_free(seen);
    mc_tokenizer_unref(t);
    return st;
}
