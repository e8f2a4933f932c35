/* The Nth allocation fails, once or from then on for ever, in tokenizers, text datasets and loaders: NO_MEMORY with a message (or it gets
 * by without), nothing leaks, no file is left half-written. */
#include <unistd.h>

#include "data/tokenizer_handle.h"
#include "scratch.h"
#include "support/failing.h"

static int32_t encode(const char *spec)
{
    int32_t st = MCOMP_OK, ids[8];
    int64_t n;
    mcomp_tokenizer *t = NULL, *u = NULL;
    MC_TRY(mcomp_tokenizer_create(&t, NULL, spec, NULL, NULL, 0));
    MC_TRY(mcomp_tokenizer_share(&u, t));
    MC_TRY(mcomp_tokenizer_encode(u, "\xc3\x89t\xc3\xa9 hello \xff [MASK] don't", -1, 1, 0, 8, ids, &n));
    MC_TRY(mcomp_tokenizer_save(t, at("saved.json"), 1));
done:
    mcomp_tokenizer_destroy(t);
    mcomp_tokenizer_destroy(u);
    return st;
}

static int32_t batches(const char *tokenizer, const char *objective, int32_t number)
{
    int32_t st = MCOMP_OK;
    mcomp_dataset *d = NULL;
    mc_loader *l = NULL;
    mc_batch b;
    mc_split s = {0};
    const mcomp_dataset_options o = {.size = sizeof o, .tokenizer = tokenizer, .objective = objective, .max_length = 8};
    MC_TRY(mcomp_dataset_open(&d, NULL, &model, at("a.tsv"), &o));
    MC_TRY(mc_split_make(&s, d, 0.3));
    mc_loader_options q = mc_loader_defaults();
    q.batch = 2;
    q.objective = number;
    q.samples = s.train;
    q.n_samples = s.n_train;
    MC_TRY(mc_loader_open(&l, d, &q));
    do MC_TRY(mc_loader_next(l, &b));
    while (b.n);
    if (!mcomp_dataset_tokenizer(d)) st = mc_error_peek()->code;
done:
    mc_loader_close(l);
    mc_split_free(&s);
    mcomp_dataset_destroy(d);
    return st;
}

static int32_t all(void)
{
    int32_t st = MCOMP_OK;
    MC_TRY(encode(at("vocab.txt")));
    MC_TRY(encode(at("bpe.json")));
    MC_TRY(encode("bytes"));
    MC_TRY(batches("train:wordpiece,40", "mlm", MC_OBJECTIVE_MLM));
    MC_TRY(batches("train:bpe,280", NULL, MC_OBJECTIVE_CLASSIFY));
    MC_TRY(batches("chars", "next-token", MC_OBJECTIVE_NEXT_TOKEN));
done:
    return st;
}

START_TEST(every_allocation)
{
    add_input("input_ids", MCOMP_I64, 2, -1, -1);
    add_input("attention_mask", MCOMP_I64, 2, -1, -1);
    put("vocab.txt", "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nete\nhello\n");
    put("a.tsv", "text\tlabel\nthe cat sat\tx\nthe cats sit\ty\na cat\tx\nsat the cat\ty\nwhat\tz\n");
    mcomp_tokenizer *t;
    mc_ck_ok(mcomp_tokenizer_create(&t, NULL, "train:bpe,270", (const char *const[]){"hello hello"}, NULL, 1));
    mc_ck_ok(mcomp_tokenizer_save(t, at("bpe.json"), 0));
    mcomp_tokenizer_destroy(t);
    mc_ck_ok(all());
    const uint64_t before = mc_alloc_count(), live = mc_alloc_live_bytes();
    mc_ck_ok(all());
    const long n_all = (long)(mc_alloc_count() - before), step = n_all > 400 ? n_all / 400 : 1;
    ck_assert_int_gt(n_all, 300);
    atomic_store(&for_ever, _i);
    long failed = 0;
    for (long n = 0; n < n_all; n += step) {
        (void)unlink(at("saved.json"));
        mc_error_clear();
        atomic_store(&countdown, n);
        const int32_t st = all();
        atomic_store(&countdown, -1);
        ck_assert_msg(st == MCOMP_OK || st == MCOMP_NO_MEMORY, "allocation %ld: %s: %s (%s)", n, mcomp_status_name(st), mc_error_peek()->message, mc_error_peek()->where);
        ck_assert_msg(st == MCOMP_OK || mc_error_peek()->message[0], "allocation %ld: no message", n);
        ck_assert_msg(mc_alloc_live_bytes() == live, "allocation %ld leaks %lld bytes (%s)", n, (long long)(mc_alloc_live_bytes() - live), mc_error_peek()->message);
        failed += st != MCOMP_OK;
        if (access(at("saved.json"), F_OK) != 0) continue;
        mc_ck_ok(mcomp_tokenizer_create(&t, NULL, at("saved.json"), NULL, NULL, 0)); /* what is there is whole */
        mcomp_tokenizer_destroy(t);
    }
    ck_assert_int_gt(failed, n_all / step * 9 / 10);
    mc_ck_ok(all());
}
END_TEST

int main(void)
{
    if (mc_allocator_set(&mc_test_failing) != MCOMP_OK) return 2;
    Suite *s = suite_create("data/oom");
    TCase *c = tcase_create("core");
    tcase_set_timeout(c, 120);
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_loop_test(c, every_allocation, 0, 2);
    suite_add_tcase(s, c);
    return mc_test_main(s);
}
