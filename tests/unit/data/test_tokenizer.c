/* Tokenizers: ids as the reference implementation gives them (goldens made with it; tests/bench/anchors/tokenizer_ids.py compares ten
 * thousand real lines), saved and loaded, trained; files that are wrong, and parts that are not known. */
#include "data/tokenizer_handle.h"
#include "scratch.h"

static mcomp_tokenizer *make(const char *spec)
{
    mcomp_tokenizer *t;
    mc_ck_ok(mcomp_tokenizer_create(&t, NULL, spec, NULL, NULL, 0));
    return t;
}

/* Ids of one text; at most 64 of them are kept. */
typedef struct encoded {
    int32_t ids[64];
    int64_t n;
} encoded;
static encoded encode(mcomp_tokenizer *t, const char *text, int64_t bytes, int32_t special, int64_t max_length)
{
    encoded e;
    mc_ck_ok(mcomp_tokenizer_encode(t, text, bytes, special, max_length, 64, e.ids, &e.n));
    return e;
}

static void check_ids(mcomp_tokenizer *t, const char *text, int64_t n, const int32_t *want, int64_t n_want)
{
    const encoded e = encode(t, text, n, 1, 0);
    ck_assert_msg(e.n == n_want, "%.60s: %lld ids instead of %lld", text, (long long)e.n, (long long)n_want);
    for (int64_t i = 0; i < e.n; i++) ck_assert_msg(e.ids[i] == want[i], "%.60s: id %lld is %d instead of %d", text, (long long)i, e.ids[i], want[i]);
}
#define IDS(t, text, ...)                                                                                              \
    do {                                                                                                               \
        const int32_t want_[] = {__VA_ARGS__};                                                                         \
        check_ids(t, text, -1, want_, (int64_t)(sizeof want_ / sizeof *want_));                                        \
    } while (0)

static const char vocab[] = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nun\n##aff\n##able\nhello\n!\n##lo\nhe\n##l\nworld\n##s\n\xe4\xb8\xad\na\nb\nab\n##b\nthe\n";

static void check_bert(mcomp_tokenizer *t)
{
    char long_word[102];
    memset(long_word, 'a', 101);
    long_word[101] = 0;
    IDS(t, "Unaffable H\xc3\x89LLO!", 2, 5, 6, 7, 8, 9, 3);
    IDS(t, "hello\xe4\xb8\xadworlds [MASK]x", 2, 8, 15, 13, 14, 4, 1, 3);
    IDS(t, "he\xcc\x81llo\xe2\x80\x8b !\xc2\xa0the\tab", 2, 8, 9, 20, 18, 3);
    IDS(t, long_word, 2, 1, 3);
    IDS(t, "", 2, 3);
    IDS(t, "worldxyz [mask]", 2, 1, 1, 1, 1, 3);
}

START_TEST(wordpiece_is_berts)
{
    int64_t n;
    put("vocab.txt", vocab);
    mcomp_tokenizer *t = make(at("vocab.txt"));
    check_bert(t);
    ck_assert_int_eq(mcomp_tokenizer_count(t), 21);
    ck_assert_int_eq(mcomp_tokenizer_id(t, "##able"), 7);
    ck_assert_str_eq(mcomp_tokenizer_token(t, 13), "world");
    ck_assert_ptr_null(mcomp_tokenizer_token(t, 21));
    ck_assert_int_eq(mcomp_tokenizer_pad_id(t), 0);
    const encoded cut = encode(t, "hello hello hello", -1, 1, 4); /* with [SEP] at the end */
    ck_assert_int_eq(cut.n, 4);
    ck_assert_int_eq(cut.ids[3], 3);
    ck_assert_int_eq(encode(t, "hello", -1, 0, 0).n, 1);
    mc_ck_fails(mcomp_tokenizer_encode(t, "hello", -1, 1, 1, 0, NULL, &n), MCOMP_RANGE);
    mc_ck_fails(mcomp_tokenizer_encode(t, "hello", -1, 1, 0, 1, NULL, &n), MCOMP_ARGUMENT);
    mc_ck_ok(mcomp_tokenizer_save(t, at("t.json"), 0));
    mc_ck_fails(mcomp_tokenizer_save(t, at("t.json"), 0), MCOMP_PATH);
    mcomp_tokenizer_destroy(t);
    t = make(at("t.json"));
    check_bert(t);
    mcomp_tokenizer_destroy(t);
    put("tokenizer_config.json", "{\"do_lower_case\": false}"); /* a cased vocabulary says so */
    t = make(at("vocab.txt"));
    IDS(t, "Hello he\xcc\x81", 2, 1, 1, 3);
    mcomp_tokenizer_destroy(t);
}
END_TEST

/* Texts cut by a small vocabulary, under the numbers of a large one. */
START_TEST(renumbered_as_another)
{
    mcomp_tokenizer *r = NULL;
    put("large.txt", vocab);
    put("small.txt", "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n##lo\nhe\n##l\nun\n##aff\n##able\n!\n");
    put("strange.txt", "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nhe\nzebra\n");
    mcomp_tokenizer *large = make(at("large.txt")), *small = make(at("small.txt")), *strange = make(at("strange.txt")), *bytes = make("bytes");
    IDS(large, "unaffable hello!", 2, 5, 6, 7, 8, 9, 3);
    IDS(small, "unaffable hello!", 2, 8, 9, 10, 6, 7, 5, 11, 3);
    mc_ck_ok(mcomp_tokenizer_renumber(&r, small, large));
    IDS(r, "unaffable hello!", 2, 5, 6, 7, 11, 12, 10, 9, 3); /* he ##l ##lo, as small cuts it */
    IDS(r, "[MASK] world", 2, 4, 1, 3);
    ck_assert_int_eq(mcomp_tokenizer_pad_id(r), 0);
    mcomp_tokenizer_destroy(r);
    mc_ck_fails(mcomp_tokenizer_renumber(&r, strange, large), MCOMP_DATA);
    ck_assert(strstr(mc_error_peek()->message, "zebra"));
    ck_assert_ptr_null(r);
    mc_ck_fails(mcomp_tokenizer_renumber(&r, bytes, large), MCOMP_UNSUPPORTED);
    mcomp_tokenizer_destroy(large);
    mcomp_tokenizer_destroy(small);
    mcomp_tokenizer_destroy(strange);
    mcomp_tokenizer_destroy(bytes);
}
END_TEST

#define BPE_MODEL "\"model\":{\"type\":\"BPE\",\"unk_token\":\"?\",\"vocab\":{\"a\":0,\"b\":1,\"c\":2,\"ab\":3,\"bc\":4,\"abc\":5,\"?\":6,\" \":7},"

START_TEST(bpe_merges_by_rank_leftmost_first)
{
    put("a.json", "{\"version\":\"1.0\"," BPE_MODEL "\"merges\":[\"b c\",[\"a\",\"b\"],\"a bc\"]}}");
    mcomp_tokenizer *t = make(at("a.json"));
    IDS(t, "abc", 5);
    IDS(t, "abab", 3, 3);
    IDS(t, "aabbcxx a", 0, 3, 4, 6, 6, 7, 0);
    mcomp_tokenizer_destroy(t);
    put("b.json", "{" BPE_MODEL "\"fuse_unk\":true,\"merges\":[\"a b\"]}}");
    t = make(at("b.json"));
    IDS(t, "abcxx\xe4\xb8\xadyc", 3, 2, 6, 2);
    mcomp_tokenizer_destroy(t);
    put("c.json", "{\"model\":{\"type\":\"BPE\",\"unk_token\":null,\"vocab\":{\"[UNK]\":0,\"a\":1},\"merges\":[]}}"); /* a token of that name is none that was asked for */
    t = make(at("c.json"));
    IDS(t, "axa", 1, 1);
    mcomp_tokenizer_destroy(t);
}
END_TEST

START_TEST(added_tokens_are_cut_out)
{
    put("a.json", "{\"added_tokens\":[{\"id\":8,\"content\":\"<x>\",\"lstrip\":true,\"rstrip\":true,\"special\":true},"
                  "{\"id\":9,\"content\":\"<xy>\",\"special\":true},{\"id\":10,\"content\":\"CAB\",\"single_word\":true,\"normalized\":true}],"
                  "\"normalizer\":{\"type\":\"Lowercase\"}," BPE_MODEL "\"merges\":[]}}");
    mcomp_tokenizer *t = make(at("a.json"));
    IDS(t, "a  <x> b<xy>c", 0, 8, 1, 9, 2);
    IDS(t, "Cab cabb cab", 10, 7, 2, 0, 1, 1, 7, 10);
    ck_assert_int_eq(mcomp_tokenizer_count(t), 11);
    mc_ck_ok(mcomp_tokenizer_save(t, at("t.json"), 0));
    mcomp_tokenizer_destroy(t);
    t = make(at("t.json"));
    IDS(t, "a  <x> b<xy>c", 0, 8, 1, 9, 2);
    mcomp_tokenizer_destroy(t);
}
END_TEST

START_TEST(invalid_bytes_are_one_replacement_each)
{
    const char *const texts[][2] = {{"a\xff" "b", "a\xef\xbf\xbd" "b"}, {"\xe4\xb8", "\xef\xbf\xbd"}, {"\xc0\x80", "\xef\xbf\xbd\xef\xbf\xbd"}, {"\xed\xa0\x80z", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdz"}};
    mcomp_tokenizer *t, *bytes = make("bytes");
    mc_ck_ok(mcomp_tokenizer_create(&t, NULL, "chars", (const char *const[]){"ba\xff"}, (const int64_t[]){3}, 1));
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        const encoded a = encode(t, texts[i][0], -1, 1, 0), b = encode(t, texts[i][1], -1, 1, 0);
        ck_assert_int_eq(a.n, b.n);
        ck_assert_int_eq(memcmp(a.ids, b.ids, sizeof *a.ids * (size_t)a.n), 0);
    }
    IDS(t, "abz", 2, 3, 1);
    check_ids(bytes, "\xff\0a", 3, (const int32_t[]){255, 0, 97}, 3);
    ck_assert_int_eq(mcomp_tokenizer_pad_id(bytes), 256);
    mc_ck_ok(mcomp_tokenizer_save(bytes, at("bytes.json"), 0));
    mcomp_tokenizer_destroy(bytes);
    bytes = make(at("bytes.json"));
    check_ids(bytes, "\xff\0a", 3, (const int32_t[]){255, 0, 97}, 3);
    ck_assert_int_eq(mcomp_tokenizer_count(bytes), 257);
    mcomp_tokenizer_destroy(bytes);
    mcomp_tokenizer_destroy(t);
}
END_TEST

/* Normal forms against their definition: canonical order, composition, compatibility. */
START_TEST(normal_forms)
{
    static const struct {
        const char *type, *in, *out;
    } rows[] = {{"NFD", "\xe1\xb9\xa9", "s\xcc\xa3\xcc\x87"}, {"NFD", "s\xcc\x87\xcc\xa3", "s\xcc\xa3\xcc\x87"}, {"NFC", "s\xcc\x87\xcc\xa3", "\xe1\xb9\xa9"},
                {"NFKC", "\xef\xac\x81\xe2\x91\xa0", "fi1"}, {"NFKD", "\xe2\x84\xab", "A\xcc\x8a"}, {"NFC", "\xe1\x84\x80\xe1\x85\xa1\xe1\x86\xa8", "\xea\xb0\x81"},
                {"Lowercase", "\xc4\xb0\xce\xa3", "i\xcc\x87\xcf\x83"}, {"StripAccents", "e\xcc\x81\xe0\xa4\x83", "e"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char json[400];
        mc_tokenizer *t;
        mc_str out = {0};
        mc_cps spare = {0};
        snprintf(json, sizeof json, "{\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"%s\"}]},\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[]}}", rows[i].type);
        mc_ck_ok(mc_tokenizer_load_json(&t, json, strlen(json), "json"));
        mc_ck_ok(mc_tokenizer_normalize(t, &spare, rows[i].in, (int64_t)strlen(rows[i].in), &out));
        ck_assert_str_eq(out.data, rows[i].out);
        mc_str_free(&out);
        mc_cps_free(&spare);
        mc_tokenizer_unref(t);
    }
}
END_TEST

START_TEST(unknown_parts_are_named)
{
    static const struct {
        const char *json, *names;
        int32_t code;
    } rows[] = {
        {"{\"normalizer\":{\"type\":\"Nmt\"}," BPE_MODEL "\"merges\":[]}}", "Nmt", MCOMP_UNSUPPORTED},
        {"{\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"NFC\"},{\"type\":\"Replace\"}]}," BPE_MODEL "\"merges\":[]}}", "Replace", MCOMP_UNSUPPORTED},
        {"{\"pre_tokenizer\":{\"type\":\"Metaspace\"}," BPE_MODEL "\"merges\":[]}}", "Metaspace", MCOMP_UNSUPPORTED},
        {"{\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"Regex\":\"a\"},\"behavior\":\"Odd\"}," BPE_MODEL "\"merges\":[]}}", "Odd", MCOMP_UNSUPPORTED},
        {"{\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"Regex\":\"(a\"},\"behavior\":\"Isolated\"}," BPE_MODEL "\"merges\":[]}}", "pattern", MCOMP_FORMAT},
        {"{\"post_processor\":{\"type\":\"Strange\"}," BPE_MODEL "\"merges\":[]}}", "Strange", MCOMP_UNSUPPORTED},
        {"{\"truncation\":{\"direction\":\"Left\"}," BPE_MODEL "\"merges\":[]}}", "Left", MCOMP_UNSUPPORTED},
        {"{\"model\":{\"type\":\"Unigram\",\"vocab\":[]}}", "Unigram", MCOMP_UNSUPPORTED},
        {"{" BPE_MODEL "\"dropout\":0.1,\"merges\":[]}}", "dropout", MCOMP_UNSUPPORTED},
        {"{\"version\":\"2.0\"," BPE_MODEL "\"merges\":[]}}", "2.0", MCOMP_UNSUPPORTED},
        {"{" BPE_MODEL "\"merges\":[\"a d\"]}}", "d", MCOMP_FORMAT},
        {"{" BPE_MODEL "\"merges\":[\"c a\"]}}", "ca", MCOMP_FORMAT},
        {"{" BPE_MODEL "\"merges\":[\"a b c\"]}}", "merge 1", MCOMP_FORMAT},
        {"{" BPE_MODEL "\"merges\":[[\"a\"]]}}", "merge 1", MCOMP_FORMAT},
        {"{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":0},\"merges\":[]}}", "id 0", MCOMP_FORMAT},
        {"{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"a\":1},\"merges\":[]}}", "JSON", MCOMP_FORMAT},
        {"{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":4000000000},\"merges\":[]}}", "4000000000", MCOMP_LIMIT},
        {"{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":-1},\"merges\":[]}}", "-1", MCOMP_LIMIT},
        {"{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":\"0\"},\"merges\":[]}}", "integer", MCOMP_FORMAT},
        {"{\"model\":{\"type\":\"BPE\",\"vocab\":{},\"merges\":[]}}", "empty", MCOMP_FORMAT},
        {"{\"model\":{\"type\":\"WordPiece\",\"vocab\":{\"a\":0}}}", "[UNK]", MCOMP_FORMAT},
        {"{\"added_tokens\":[{\"id\":0,\"content\":\"b\"}]," BPE_MODEL "\"merges\":[]}}", "b", MCOMP_FORMAT},
        {"{\"added_tokens\":[{\"id\":0,\"content\":\"zz\"}]," BPE_MODEL "\"merges\":[]}}", "zz", MCOMP_FORMAT},
        {"{\"post_processor\":{\"type\":\"BertProcessing\",\"sep\":[\"x\",50],\"cls\":[\"y\",51]}," BPE_MODEL "\"merges\":[]}}", "51", MCOMP_FORMAT},
        {"{\"model\":{\"type\":\"BPE\"", "JSON", MCOMP_FORMAT},
        {"{}", "model", MCOMP_FORMAT},
        {"[]", "model", MCOMP_FORMAT},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        mc_tokenizer *t;
        mc_error_clear();
        const int32_t st = mc_tokenizer_load_json(&t, rows[i].json, strlen(rows[i].json), "t.json");
        ck_assert_msg(st == rows[i].code, "%s: %s", rows[i].json, mcomp_status_name(st));
        ck_assert_ptr_null(t);
        ck_assert_msg(strstr(mc_error_peek()->message, rows[i].names) != NULL, "%s: \"%s\" does not name %s", rows[i].json, mc_error_peek()->message, rows[i].names);
    }
}
END_TEST

START_TEST(bad_vocabularies)
{
    static const char *const texts[] = {"", "a\nb\n", "[UNK]\n[CLS]\n[SEP]\na\nb\na\n", "[UNK]\n[SEP]\n", "[UNK]\n\xff\n[CLS]\n[SEP]\n"};
    mcomp_tokenizer *t;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        put("vocab.txt", texts[i]);
        mc_ck_fails(mcomp_tokenizer_create(&t, NULL, at("vocab.txt"), NULL, NULL, 0), MCOMP_FORMAT);
        ck_assert_ptr_null(t);
    }
    put("vocab.txt", texts[2]);
    mc_ck_fails(mcomp_tokenizer_create(&t, NULL, at("vocab.txt"), NULL, NULL, 0), MCOMP_FORMAT);
    ck_assert_ptr_nonnull(strstr(mc_error_peek()->where, "vocab.txt:6")); /* the line of the second one */
    mc_ck_fails(mcomp_tokenizer_create(&t, NULL, at("none.json"), NULL, NULL, 0), MCOMP_PATH);
    mc_ck_fails(mcomp_tokenizer_create(&t, NULL, "wordpiece", NULL, NULL, 0), MCOMP_ARGUMENT);
    mc_ck_fails(mcomp_tokenizer_create(&t, NULL, "chars", NULL, NULL, 0), MCOMP_ARGUMENT);
    mc_ck_fails(mcomp_tokenizer_create(&t, NULL, "train:unigram,800", (const char *const[]){"a"}, NULL, 1), MCOMP_ARGUMENT);
    mc_ck_fails(mcomp_tokenizer_create(&t, NULL, "train:bpe", (const char *const[]){"a"}, NULL, 1), MCOMP_ARGUMENT);
    mc_ck_fails(mcomp_tokenizer_create(&t, NULL, "train:bpe,100", (const char *const[]){"a b"}, NULL, 1), MCOMP_RANGE);
    mc_ck_fails(mcomp_tokenizer_create(&t, NULL, "train:wordpiece,100", (const char *const[]){"\x01"}, NULL, 1), MCOMP_DATA);
}
END_TEST

START_TEST(training_does_not_depend_on_order)
{
    static const char *const kinds[] = {"train:wordpiece,60", "train:bpe,300"};
    static const char *const texts[] = {"the cat sat on the mat", "the cats sat there", "a cat that sat", "mats and cats", "the thin thing"};
    for (int k = 0; k < 2; k++) {
        mcomp_tokenizer *a, *b, *c;
        const char *turned[5];
        for (int i = 0; i < 5; i++) turned[i] = texts[4 - i];
        mc_ck_ok(mcomp_tokenizer_create(&a, NULL, kinds[k], texts, NULL, 5));
        mc_ck_ok(mcomp_tokenizer_create(&b, NULL, kinds[k], turned, NULL, 5));
        mc_ck_ok(mcomp_tokenizer_save(a, at("a.json"), 1));
        mc_ck_ok(mcomp_tokenizer_save(b, at("b.json"), 1));
        char *x, *y;
        uint64_t n, m;
        mc_ck_ok(mc_file_read(at("a.json"), 1 << 20, &x, &n));
        mc_ck_ok(mc_file_read(at("b.json"), 1 << 20, &y, &m));
        ck_assert_int_eq(n, m);
        ck_assert_int_eq(memcmp(x, y, n), 0);
        mc_free(x);
        mc_free(y);
        ck_assert_int_ge(mcomp_tokenizer_id(a, "cat"), 5); /* it was seen four times */
        c = make(at("a.json"));
        const encoded p = encode(a, "the cat thinks [MASK]", -1, 1, 0), q = encode(c, "the cat thinks [MASK]", -1, 1, 0);
        ck_assert_int_eq(p.n, q.n);
        ck_assert_int_eq(memcmp(p.ids, q.ids, sizeof *p.ids * (size_t)p.n), 0);
        ck_assert_int_eq(p.ids[0], 2);
        ck_assert_int_eq(p.ids[p.n - 2], 4);
        ck_assert_int_eq(p.ids[p.n - 1], 3);
        mcomp_tokenizer_destroy(a);
        mcomp_tokenizer_destroy(b);
        mcomp_tokenizer_destroy(c);
    }
}
END_TEST

/* A megabyte in one word, in one run of marks, in one run of spaces: none of it takes longer than linear times a logarithm. */
START_TEST(long_lines_take_no_time)
{
    const int64_t n = 1 << 20;
    char *text = malloc((size_t)n + 1);
    mcomp_tokenizer *t[2];
    int64_t got;
    ck_assert_ptr_nonnull(text);
    put("vocab.txt", vocab);
    t[0] = make(at("vocab.txt"));
    mc_ck_ok(mcomp_tokenizer_create(&t[1], NULL, "train:bpe,400", (const char *const[]){"abab abab ababab abab"}, NULL, 1));
    for (int form = 0; form < 3; form++) {
        for (int64_t i = 0; i < n; i++) text[i] = form == 0 ? "ab"[i % 2] : form == 1 ? "\xcc\x81\xcc\xa3"[i % 4] : ' ';
        text[n] = 0;
        for (int k = 0; k < 2; k++) {
            const int64_t start = mc_clock_ns();
            mc_ck_ok(mcomp_tokenizer_encode(t[k], text, n, 1, 0, 0, NULL, &got));
            ck_assert_msg(mc_clock_ns() - start < 20000000000, "form %d, tokenizer %d", form, k);
        }
    }
    mcomp_tokenizer_destroy(t[0]);
    mcomp_tokenizer_destroy(t[1]);
    free(text);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("data/tokenizer");
    TCase *c = tcase_create("core");
    tcase_set_timeout(c, 120);
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, wordpiece_is_berts);
    tcase_add_test(c, renumbered_as_another);
    tcase_add_test(c, bpe_merges_by_rank_leftmost_first);
    tcase_add_test(c, added_tokens_are_cut_out);
    tcase_add_test(c, invalid_bytes_are_one_replacement_each);
    tcase_add_test(c, normal_forms);
    tcase_add_test(c, unknown_parts_are_named);
    tcase_add_test(c, bad_vocabularies);
    tcase_add_test(c, training_does_not_depend_on_order);
    tcase_add_test(c, long_lines_take_no_time);
    suite_add_tcase(s, c);
    return mc_test_main(s);
}
