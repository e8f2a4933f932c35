/* Tokenizers: the first byte chooses what the bytes are: a tokenizer.json, a vocab.txt, a text for tokenizers that are sound, or a corpus to
 * train on. What loads must encode, and give the same ids after it was saved and loaded. */
#include "data/tokenizer_handle.h"
#include "fuzz/fuzz.h"
#include "fuzz/scratch.h"

static const char *const texts[] = {"Hello, w\xc3\xb6rld! don't [MASK] 12345", "\xe4\xb8\xad\xe6\x96\x87 a\xcc\x81\xcc\xa3 \xff\xfe x", "", "aaab  \t\r\n bab <x>"};

static void outcome(int32_t st)
{
    if (st > 0 || (st != MCOMP_OK && !mc_error_peek()->message[0])) __builtin_trap();
}

static void same(mc_tokenizer *a, mc_tokenizer *b, const char *text, int64_t n)
{
    mc_encoder *x = NULL, *y = NULL;
    if (mc_encoder_create(&x, a) == MCOMP_OK && mc_encoder_create(&y, b) == MCOMP_OK) {
        const int32_t st = mc_encoder_run(x, text, n, 1, 0), st2 = mc_encoder_run(y, text, n, 1, 0);
        outcome(st);
        if (st != st2 || (st == MCOMP_OK && (x->n != y->n || (x->n && memcmp(x->ids, y->ids, sizeof *x->ids * (size_t)x->n) != 0)))) __builtin_trap();
        for (int64_t i = 0; st == MCOMP_OK && i < x->n; i++)
            if (x->ids[i] < 0 || x->ids[i] >= mc_tokenizer_size(a)) __builtin_trap();
        (void)mc_encoder_run(x, text, n, 1, 5);
        if (st == MCOMP_OK && x->n > 5) __builtin_trap();
    }
    mc_encoder_destroy(x);
    mc_encoder_destroy(y);
}

static void use(mc_tokenizer *t, const char *text, int64_t n)
{
    mc_tokenizer *back = NULL;
    mc_str json = {0};
    if (!t) return;
    const int32_t st = mc_tokenizer_dump(t, &json);
    outcome(st);
    if (st == MCOMP_OK && mc_tokenizer_load_json(&back, json.data, (uint64_t)json.len, "saved") != MCOMP_OK) __builtin_trap(); /* what we write, we read */
    mc_str_free(&json);
    for (size_t i = 0; back && i < sizeof texts / sizeof *texts; i++) same(t, back, texts[i], (int64_t)strlen(texts[i]));
    if (back && text) same(t, back, text, n);
    mc_tokenizer_unref(back);
}

/* Sound ones, for hostile texts. */
static mc_tokenizer *sound(int which)
{
    static mc_tokenizer *t[3];
    static const char vocab[] = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nhello\na\n##a\nb\n##b\n,\n!\n";
    const mc_text corpus[] = {{"hello hello world's aaa bbb abab 123 123", 40}};
    mc_error_clear();
    if (t[which]) return t[which];
    if (which == 0) outcome(mc_tokenizer_open(&t[0], NULL, mc_scratch(".txt", (const uint8_t *)vocab, sizeof vocab - 1), NULL, 0));
    if (which == 1) outcome(mc_tokenizer_open(&t[1], NULL, "train:bpe,300", corpus, 1));
    if (which == 2) outcome(mc_tokenizer_open(&t[2], NULL, "chars", corpus, 1));
    return t[which];
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    mc_tokenizer *t = NULL;
    if (size == 0) return 0;
    const char *text = (const char *)data + 1;
    const int64_t n = (int64_t)size - 1;
    mc_error_clear();
    switch (data[0] % 8) {
    case 0: case 1: case 2:
        outcome(mc_tokenizer_load_json(&t, text, (uint64_t)n, "json"));
        use(t, NULL, 0);
        break;
    case 3:
        outcome(mc_tokenizer_open(&t, NULL, mc_scratch(".txt", data + 1, size - 1), NULL, 0));
        use(t, NULL, 0);
        break;
    case 4: use(sound(0), text, n); break;
    case 5: use(sound(1), text, n); break;
    case 6: use(sound(2), text, n); break;
    default: {
        const mc_text corpus[] = {{text, n / 2}, {text + n / 2, n - n / 2}};
        outcome(mc_tokenizer_open(&t, NULL, data[0] & 8 ? "train:bpe,400" : "train:wordpiece,200", corpus, 2));
        use(t, text, n);
    }
    }
    mc_tokenizer_unref(t);
    return 0;
}
