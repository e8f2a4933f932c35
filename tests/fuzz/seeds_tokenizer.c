/* Small tokenizers with every known part, vocabularies, texts. */
#include <stdio.h>
#include <string.h>

#include "fuzz/fuzz.h"

#define WP "\"model\":{\"type\":\"WordPiece\",\"unk_token\":\"[UNK]\",\"continuing_subword_prefix\":\"##\",\"max_input_chars_per_word\":100,\"vocab\":{\"[UNK]\":0,\"[CLS]\":1,\"[SEP]\":2,\"a\":3,\"##b\":4,\"hello\":5,\"##\xc3\xb6\":6}}"
#define BPE "\"model\":{\"type\":\"BPE\",\"dropout\":null,\"unk_token\":\"?\",\"fuse_unk\":true,\"byte_fallback\":true,\"ignore_merges\":true,\"vocab\":{\"a\":0,\"b\":1,\"ab\":2,\"?\":3,\"\xc4\xa0\":4,\"<0xC3>\":5,\"<0xB6>\":6,\"aab\":9},\"merges\":[\"a b\",[\"a\",\"ab\"]]}"
#define ADDED "\"added_tokens\":[{\"id\":20,\"content\":\"<x>\",\"single_word\":false,\"lstrip\":true,\"rstrip\":true,\"normalized\":false,\"special\":true},{\"id\":21,\"content\":\"bab\",\"single_word\":true,\"normalized\":true,\"special\":false}]"

static const struct {
    char form;
    const char *text;
} rows[] = {
    {0, "{\"version\":\"1.0\",\"truncation\":null,\"padding\":null,\"normalizer\":{\"type\":\"BertNormalizer\",\"clean_text\":true,\"handle_chinese_chars\":true,\"strip_accents\":null,\"lowercase\":true},\"pre_tokenizer\":{\"type\":\"BertPreTokenizer\"},"
        "\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{\"id\":\"[CLS]\",\"type_id\":0}},{\"Sequence\":{\"id\":\"A\",\"type_id\":0}},{\"SpecialToken\":{\"id\":\"[SEP]\",\"type_id\":0}}],\"special_tokens\":{\"[CLS]\":{\"id\":\"[CLS]\",\"ids\":[1]},\"[SEP]\":{\"id\":\"[SEP]\",\"ids\":[2]}}}," WP "}"},
    {0, "{" ADDED ",\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"NFKD\"},{\"type\":\"StripAccents\"},{\"type\":\"Lowercase\"},{\"type\":\"NFC\"}]},\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":true,\"use_regex\":true},"
        "\"post_processor\":{\"type\":\"RobertaProcessing\",\"sep\":[\"b\",1],\"cls\":[\"a\",0],\"trim_offsets\":true,\"add_prefix_space\":true}," BPE "}"},
    {0, "{\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Whitespace\"},{\"type\":\"Split\",\"pattern\":{\"Regex\":\"[0-9]{1,3}|x*\"},\"behavior\":\"MergedWithNext\",\"invert\":true},"
        "{\"type\":\"Split\",\"pattern\":{\"String\":\"a\"},\"behavior\":\"Contiguous\",\"invert\":false},{\"type\":\"WhitespaceSplit\"}]},\"post_processor\":{\"type\":\"Sequence\",\"processors\":[{\"type\":\"ByteLevel\"},{\"type\":\"BertProcessing\",\"sep\":[\"b\",1],\"cls\":[\"a\",0]}]}," BPE "}"},
    {3, "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nhello\n##b\r\n\na\n"},
    {4, "hello abba, \xe4\xb8\xad [MASK] e\xcc\x81\xcc\xa3!"},
    {5, "hello world's \xff 123  \r\n\t x"},
    {6, "abc [PAD] \xf0\x9f\x91\xa8\xe2\x80\x8d\xf0\x9f\x91\xa9"},
    {7, "the cat the cats sat on the mat, mats \xc3\xa9t\xc3\xa9"},
    {15, "the cat the cats sat on the mat, mats \xc3\xa9t\xc3\xa9"},
};

void mc_fuzz_seeds(mc_fuzz_give give, void *payload)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        uint8_t b[2048] = {(uint8_t)rows[i].form};
        const size_t n = strlen(rows[i].text);
        memcpy(b + 1, rows[i].text, n);
        give(payload, b, n + 1);
    }
}
