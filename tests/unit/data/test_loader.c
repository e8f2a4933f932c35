/* Batches for training: every sample once an epoch, the same batches after a resume, like lengths together, targets of masked and of next
 * ids, splits that do not move when rows do. */
#include "data/loader_internal.h"
#include "scratch.h"

#define N_TEXTS 203

/* Rows of 1 to 40 bytes; label = row % 3. */
static void put_texts(const char *name, int turned)
{
    mc_str s = {0};
    mc_ck_ok(mc_str_append(&s, "text\tlabel\tdoc\n"));
    for (int k = 0; k < N_TEXTS; k++) {
        const int i = turned ? N_TEXTS - 1 - k : k, n = 1 + (i * 7) % 37;
        for (int j = 0; j < n; j++) mc_ck_ok(mc_str_appendf(&s, "%c", 'a' + (i + j * j) % 26));
        mc_ck_ok(mc_str_appendf(&s, "%d\t%d\td%d\n", i, i % 3, i / 20));
    }
    put(name, s.data);
    mc_str_free(&s);
}

static mcomp_dataset *open_data(const char *argument, const mcomp_dataset_options *more)
{
    mcomp_dataset *d;
    mcomp_dataset_options o = more ? *more : (mcomp_dataset_options){0};
    o.size = sizeof o;
    if (!o.tokenizer) o.tokenizer = "bytes";
    if (!o.max_length) o.max_length = 64;
    mc_ck_ok(mcomp_dataset_open(&d, NULL, &model, at(argument), &o));
    return d;
}

static mc_loader *open_loader(mcomp_dataset *d, mc_loader_options o)
{
    mc_loader *l;
    mc_ck_ok(mc_loader_open(&l, d, &o));
    return l;
}

static void text_inputs(void)
{
    add_input("input_ids", MCOMP_I64, 2, -1, -1);
    add_input("attention_mask", MCOMP_F32, 2, -1, -1);
    add_input("token_type_ids", MCOMP_I64, 2, -1, -1);
}

/* Everything of the next batch as one number. */
static uint64_t hash_next(mc_loader *l, int64_t *n)
{
    mc_batch b;
    mc_ck_ok(mc_loader_next(l, &b));
    uint64_t h = (uint64_t)b.n;
    for (int32_t i = 0; i < b.n_inputs; i++) h = mc_hash64(b.inputs[i]->data, (size_t)mc_tensor_bytes(b.inputs[i]), h);
    if (b.labels) h = mc_hash64(b.labels->data, (size_t)mc_tensor_bytes(b.labels), h);
    if (n) *n = b.n;
    return h;
}

START_TEST(an_epoch_is_every_sample_once)
{
    text_inputs();
    put_texts("a.tsv", 0);
    mcomp_dataset *d = open_data("a.tsv", NULL);
    mc_loader_options o = mc_loader_defaults();
    o.batch = 16;
    o.seed = 3;
    mc_loader *l = open_loader(d, o);
    int64_t first[2][2], padded = 0, tokens = 0;
    ck_assert_int_eq(mc_loader_batches(l), 13);
    for (int epoch = 0; epoch < 2; epoch++) {
        int seen[N_TEXTS] = {0};
        for (int k = 0;; k++) {
            mc_batch b;
            mc_ck_ok(mc_loader_next(l, &b));
            ck_assert_int_eq(b.epoch, epoch);
            ck_assert_int_eq(b.index, k);
            if (b.n == 0) break;
            ck_assert_int_eq(b.length % 16, 0);
            ck_assert_str_eq(b.names[0], "input_ids");
            if (k == 0) memcpy(first[epoch], b.samples, sizeof first[0]);
            for (int64_t i = 0; i < b.n; i++) {
                const int64_t s = b.samples[i];
                double ones = 0;
                seen[s]++;
                ck_assert_int_eq(((const int64_t *)b.labels->data)[i], s % 3);
                ck_assert_int_eq(mc_tensor_get_i64(b.inputs[0], i * b.length), 'a' + s % 26);
                for (int64_t j = 0; j < b.length; j++) ones += mc_tensor_get_f64(b.inputs[1], i * b.length + j);
                ck_assert(ones == (double)d->table.rows[s].text_len);
                ck_assert_int_eq(mc_tensor_get_i64(b.inputs[0], i * b.length + b.length - 1), ones < (double)b.length ? 256 : mc_tensor_get_i64(b.inputs[0], i * b.length + b.length - 1));
            }
            padded += b.n * b.length;
            tokens += b.tokens;
        }
        for (int i = 0; i < N_TEXTS; i++) ck_assert_int_eq(seen[i], 1);
    }
    ck_assert_int_ne(memcmp(first[0], first[1], sizeof first[0]), 0); /* another order in the second epoch */
    ck_assert_msg(tokens * 100 > padded * 60, "%lld of %lld ids are text", (long long)tokens, (long long)padded); /* unsorted: less than 45 % */
    mc_loader_close(l);
    mcomp_dataset_destroy(d);
}
END_TEST

START_TEST(a_saved_position_goes_on_with_the_same_batches)
{
    text_inputs();
    put_texts("a.tsv", 0);
    for (int objective = 0; objective < 3; objective++) {
        static const char *const names[] = {"classify", "mlm", "next-token"};
        mc_loader_options o = mc_loader_defaults();
        const mcomp_dataset_options q = {.objective = names[objective], .tokenizer = objective ? "train:bpe,400" : "bytes", .max_length = 24};
        mcomp_dataset *d = open_data("a.tsv", &q), *e = open_data("a.tsv", &q);
        uint64_t want[40];
        int64_t n[40];
        mc_cursor at_7 = {0}, now;
        o.objective = objective;
        o.batch = 16;
        o.seed = 99;
        mc_loader *l = open_loader(d, o), *again = open_loader(e, o);
        for (int k = 0; k < 40; k++) {
            if (k == 17) mc_loader_tell(l, &at_7);
            want[k] = hash_next(l, &n[k]);
        }
        mc_ck_ok(mc_loader_seek(again, &at_7));
        for (int k = 17; k < 40; k++) ck_assert_uint_eq(hash_next(again, NULL), want[k]);
        mc_loader_tell(again, &now);
        mc_loader_close(again);
        o.seed = 100;
        again = open_loader(e, o);
        mc_ck_fails(mc_loader_seek(again, &now), MCOMP_MISMATCH);
        ck_assert_uint_ne(hash_next(again, NULL), want[0]);
        mc_loader_close(again);
        o.repeat = 1; /* validation: the second epoch is the first one again */
        again = open_loader(e, o);
        const uint64_t once = hash_next(again, NULL);
        for (int64_t k = 0; k < mc_loader_batches(again); k++) (void)hash_next(again, NULL);
        ck_assert_uint_eq(hash_next(again, NULL), once);
        mc_loader_close(l);
        mc_loader_close(again);
        mcomp_dataset_destroy(d);
        mcomp_dataset_destroy(e);
    }
}
END_TEST

START_TEST(masked_ids_are_the_targets)
{
    text_inputs();
    put_texts("a.tsv", 0);
    const mcomp_dataset_options q = {.objective = "mlm", .tokenizer = "train:bpe,400"};
    mcomp_dataset *d = open_data("a.tsv", &q);
    mc_loader_options o = mc_loader_defaults();
    o.objective = MC_OBJECTIVE_MLM;
    int64_t hidden = 0, all = 0, masks = 0, kept = 0;
    mc_loader *l = open_loader(d, o);
    for (int epoch = 0; epoch < 20;) {
        mc_batch b;
        mc_ck_ok(mc_loader_next(l, &b));
        if (b.n == 0) epoch++;
        for (int64_t i = 0; i < b.n; i++) {
            const int32_t *ids;
            int64_t n;
            mc_ck_ok(mc_text_ids(d, d->order[b.samples[i]], &ids, &n));
            for (int64_t j = 0; j < b.length; j++) {
                const int64_t target = mc_tensor_get_i64(b.labels, i * b.length + j), shown = mc_tensor_get_i64(b.inputs[0], i * b.length + j);
                const int inner = j > 0 && j < n - 1;
                all += inner;
                if (target == MC_IGNORE_LABEL) {
                    ck_assert_int_eq(shown, j < n ? ids[j] : 0);
                    continue;
                }
                ck_assert(inner); /* neither [CLS], [SEP] nor padding */
                ck_assert_int_eq(target, ids[j]);
                hidden++;
                masks += shown == 4;
                kept += shown == target;
            }
        }
    }
    const double rate = (double)hidden / (double)all, mask = (double)masks / (double)hidden, same = (double)kept / (double)hidden;
    ck_assert_msg(rate > 0.14 && rate < 0.16 && mask > 0.78 && mask < 0.82 && same > 0.08 && same < 0.12, "%g hidden, %g masks, %g as they were", rate, mask, same);
    mc_loader_close(l);
    mcomp_dataset_destroy(d);
    mc_ck_fails(mcomp_dataset_open(&d, NULL, &model, at("a.tsv"), &(mcomp_dataset_options){.size = sizeof(mcomp_dataset_options), .objective = "mlm", .tokenizer = "bytes"}), MCOMP_UNSUPPORTED);
    mc_ck_fails(mcomp_dataset_open(&d, NULL, &model, at("a.tsv"), &(mcomp_dataset_options){.size = sizeof(mcomp_dataset_options), .objective = "mml", .tokenizer = "bytes"}), MCOMP_ARGUMENT);
}
END_TEST

START_TEST(a_stream_is_windows)
{
    static const char text[] = "ab\ncd\r\nefghijk";
    int64_t targets[4];
    mc_batch b;
    add_input("input_ids", MCOMP_I64, 2, -1, -1);
    put("s.txt", text);
    const mcomp_dataset_options q = {.objective = "next-token", .max_length = 4};
    mcomp_dataset *d = open_data("s.txt", &q);
    ck_assert_int_eq(mcomp_dataset_count(d), 3); /* 14 bytes: three windows and the byte after them */
    mc_loader_options o = mc_loader_defaults();
    o.objective = MC_OBJECTIVE_NEXT_TOKEN;
    o.shuffle = 0;
    mc_loader *l = open_loader(d, o);
    mc_ck_ok(mc_loader_next(l, &b));
    ck_assert_int_eq(b.n, 3);
    for (int64_t i = 0; i < 12; i++) {
        ck_assert_int_eq(mc_tensor_get_i64(b.inputs[0], i), text[i]);
        ck_assert_int_eq(mc_tensor_get_i64(b.labels, i), text[i + 1]);
    }
    mc_loader_close(l);
    mc_ck_ok(mcomp_dataset_targets(d, 2, 4, targets));
    ck_assert_int_eq(targets[3], text[12]);
    mcomp_dataset_destroy(d);
    put("t.tsv", "text\nab\ncd\n"); /* rows of a table: a newline after each */
    d = open_data("t.tsv", &q);
    ck_assert_int_eq(mcomp_dataset_count(d), 1);
    mc_ck_ok(mcomp_dataset_targets(d, 0, 4, targets));
    ck_assert_int_eq(targets[3], 'd');
    ck_assert_int_eq(targets[1], '\n');
    mc_split s;
    mc_ck_fails(mc_split_make(&s, d, 0.1), MCOMP_DATA);
    mcomp_dataset_destroy(d);
    put("short.txt", "abc");
    mcomp_dataset_options p = q;
    p.size = sizeof p;
    p.tokenizer = "bytes";
    mc_ck_fails(mcomp_dataset_open(&d, NULL, &model, at("short.txt"), &p), MCOMP_DATA);
}
END_TEST

/* Texts of the validation part, as one number that does not depend on their order. */
static uint64_t part(const mcomp_dataset *d, const mc_split *s)
{
    uint64_t sum = 0;
    for (int64_t i = 0; i < s->n_valid; i++) {
        const mc_row *r = &d->table.rows[s->valid[i]];
        sum += mc_hash64(r->text, (size_t)r->text_len, 5);
    }
    return sum;
}

START_TEST(a_split_stays_when_rows_move)
{
    mc_split s, t;
    text_inputs();
    put_texts("a.tsv", 0);
    put_texts("b.tsv", 1);
    mcomp_dataset *d = open_data("a.tsv", NULL), *e = open_data("b.tsv", NULL);
    mc_ck_ok(mc_split_make(&s, d, 0.2));
    mc_ck_ok(mc_split_make(&t, e, 0.2));
    ck_assert_int_eq(s.n_train + s.n_valid, N_TEXTS);
    ck_assert(s.n_valid > 20 && s.n_valid < 62);
    ck_assert_int_eq(s.n_valid, t.n_valid);
    ck_assert_uint_eq(part(d, &s), part(e, &t));
    mc_split_free(&s);
    mc_split_free(&t);
    mcomp_dataset_destroy(d);
    mcomp_dataset_destroy(e);
    const mcomp_dataset_options q = {.group = "doc"};
    int side[11] = {0};
    d = open_data("a.tsv", &q);
    mc_ck_ok(mc_split_make(&s, d, 0.3));
    for (int64_t i = 0; i < s.n_valid; i++) side[s.valid[i] / 20] |= 1;
    for (int64_t i = 0; i < s.n_train; i++) side[s.train[i] / 20] |= 2;
    for (int i = 0; i < 11; i++) ck_assert_int_ne(side[i], 3); /* no document on both sides */
    ck_assert(s.n_valid > 0 && s.n_train > 0);
    mc_split_free(&s);
    mc_ck_fails(mc_split_make(&s, d, 1.0), MCOMP_RANGE);
    mcomp_dataset_destroy(d);
    mc_ck_fails(mcomp_dataset_open(&d, NULL, &model, at("a.tsv"), &(mcomp_dataset_options){.size = sizeof(mcomp_dataset_options), .group = "dco", .tokenizer = "bytes"}), MCOMP_DATA);
    put("two.tsv", "text\nsame\nsame\nother\n"); /* neither side empty */
    d = open_data("two.tsv", NULL);
    mc_ck_ok(mc_split_make(&s, d, 0.0001));
    ck_assert(s.n_valid > 0 && s.n_train > 0);
    mc_split_free(&s);
    mcomp_dataset_destroy(d);
}
END_TEST

START_TEST(class_weights_count_classes_alike)
{
    float w[4];
    text_inputs();
    put("a.tsv", "text\tlabel\na\tyes\nb\tno\nc\tno\nd\tno\n");
    mcomp_dataset *d = open_data("a.tsv", NULL);
    ck_assert_int_eq(mc_class_count(d), 2);
    mc_ck_ok(mc_class_weights(d, NULL, 0, 3, w));
    ck_assert(w[0] == (float)(4.0 / 9.0) && w[1] == (float)(4.0 / 3.0) && w[2] == 0.0f); /* no, yes: sorted bytewise */
    mc_ck_ok(mc_class_weights(d, (const int64_t[]){0, 1}, 2, 2, w));
    ck_assert(w[0] == 1.0f && w[1] == 1.0f);
    mc_ck_fails(mc_class_weights(d, NULL, 0, 1, w), MCOMP_RANGE);
    mcomp_dataset_destroy(d);
}
END_TEST

static int32_t fetch(void *payload, int64_t i, int32_t n, mcomp_tensor **in, int64_t *label)
{
    const int64_t dims[2] = {1, 3};
    (void)payload;
    for (int32_t k = 0; k < n; k++) {
        const int32_t st = mcomp_tensor_create(&in[k], MCOMP_F32, 2, dims);
        if (st != MCOMP_OK) return st;
        ((float *)mcomp_tensor_data(in[k]))[1] = (float)i;
    }
    *label = i % 2;
    return MCOMP_OK;
}

START_TEST(callbacks_fill_batches)
{
    mcomp_dataset *d;
    mc_batch b;
    mc_loader_options o = mc_loader_defaults();
    add_input("x", MCOMP_F32, 2, -1, 3);
    mc_ck_ok(mcomp_dataset_create(&d, NULL, &model, 5, fetch, NULL));
    o.batch = 4;
    mc_loader *l = open_loader(d, o);
    mc_ck_ok(mc_loader_next(l, &b));
    ck_assert_int_eq(b.inputs[0]->shape.dim[0], 4);
    for (int i = 0; i < 4; i++) {
        ck_assert(((const float *)b.inputs[0]->data)[3 * i + 1] == (float)b.samples[i]);
        ck_assert_int_eq(((const int64_t *)b.labels->data)[i], b.samples[i] % 2);
    }
    mc_loader_close(l);
    mcomp_dataset_destroy(d);
}
END_TEST

/* MNIST's container: two images of 2x2, labels; a model that takes [N, 1, 2, 2]. */
START_TEST(images_are_shifted_by_their_own_numbers)
{
    static const uint8_t images[] = {0, 0, 8, 3, 0, 0, 0, 3, 0, 0, 0, 2, 0, 0, 0, 2, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}, labels[] = {0, 0, 8, 1, 0, 0, 0, 3, 7, 0, 1};
    mc_value *v;
    mc_type type = {.dtype = MCOMP_F32, .rank = 4, .dim = {0, 1, 2, 2}};
    char arg[300];
    mc_batch b;
    mc_augment_shift a = {.pixels = 1, .mirror = 1, .fill = -1};
    mc_ck_ok(mc_graph_symbol(model.g, "batch", &type.dim[0]));
    mc_ck_ok(mc_graph_add_input(model.g, "image", &type, &v));
    put_bytes("i", images, sizeof images);
    put_bytes("l", labels, sizeof labels);
    snprintf(arg, sizeof arg, "idx:%s,%s", at("i"), at("l"));
    mcomp_dataset *d;
    mc_ck_ok(mcomp_dataset_open(&d, NULL, &model, arg, &(mcomp_dataset_options){.size = sizeof(mcomp_dataset_options), .scale = 2}));
    mc_loader_options o = mc_loader_defaults();
    o.batch = 3;
    o.shuffle = 0;
    mc_loader *l = open_loader(d, o);
    mc_ck_ok(mc_loader_next(l, &b));
    ck_assert_int_eq(b.inputs[0]->shape.rank, 4);
    for (int i = 0; i < 12; i++) ck_assert(((const float *)b.inputs[0]->data)[i] == (float)(i + 1) / 2);
    ck_assert_int_eq(((const int64_t *)b.labels->data)[0], 7);
    mc_loader_close(l);
    o.augment = mc_augment_shift_image;
    o.augment_payload = &a;
    l = open_loader(d, o);
    int changed = 0, from_outside = 0, apart = 0;
    for (int k = 0; k < 20; k++) {
        mc_ck_ok(mc_loader_next(l, &b));
        for (int i = 0; b.n && i < 12; i++) {
            const float got = ((const float *)b.inputs[0]->data)[i];
            changed += got != (float)(i + 1) / 2;
            from_outside += got == -1;
            apart += i < 8 && (got == -1) != (((const float *)b.inputs[0]->data)[i + 4] == -1);
            ck_assert(got == -1 || (got >= 0.5f + 2.0f * (float)(i / 4) && got <= 2.0f + 2.0f * (float)(i / 4))); /* never another image's */
        }
    }
    ck_assert(changed > 20 && from_outside > 10);
    ck_assert(apart > 10); /* each image its own shift */
    /* the same epoch of a loader with another batch size: the same images */
    float first[12], again[12];
    mc_loader_close(l);
    o.seed = 5;
    l = open_loader(d, o);
    mc_ck_ok(mc_loader_next(l, &b));
    memcpy(first, b.inputs[0]->data, sizeof first);
    mc_loader_close(l);
    o.batch = 1;
    l = open_loader(d, o);
    for (int k = 0; k < 3; k++) {
        mc_ck_ok(mc_loader_next(l, &b));
        memcpy(again + 4 * k, b.inputs[0]->data, sizeof again / 3);
    }
    ck_assert_int_eq(memcmp(first, again, sizeof first), 0);
    mc_loader_close(l);
    mcomp_dataset_destroy(d);
}
END_TEST

START_TEST(arrays_with_numbers_for_targets)
{
    const int64_t dims[2] = {3, 2};
    mcomp_tensor *x, *y;
    mcomp_dataset *d;
    mc_batch b;
    add_input("x", MCOMP_F32, 2, -1, 2);
    mc_ck_ok(mcomp_tensor_create(&x, MCOMP_F32, 2, dims));
    mc_ck_ok(mcomp_tensor_create(&y, MCOMP_F64, 2, dims));
    for (int i = 0; i < 6; i++) {
        ((float *)mcomp_tensor_data(x))[i] = (float)i;
        ((double *)mcomp_tensor_data(y))[i] = 0.25 * i - 1;
    }
    mc_ck_ok(mcomp_tensor_save_npy(x, at("x.npy"), 1));
    mc_ck_ok(mcomp_tensor_save_npy(y, at("label.npy"), 1));
    mcomp_tensor_destroy(x);
    mcomp_tensor_destroy(y);
    char cmd[300];
    snprintf(cmd, sizeof cmd, "cd %s && python3 -c \"import zipfile; z = zipfile.ZipFile('a.npz', 'w'); z.write('x.npy'); z.write('label.npy')\"", dir);
    ck_assert_int_eq(system(cmd), 0);
    mc_ck_ok(mcomp_dataset_open(&d, NULL, &model, at("a.npz"), NULL));
    mc_loader_options o = mc_loader_defaults();
    o.batch = 2;
    o.samples = (const int64_t[]){2, 0};
    o.n_samples = 2;
    o.shuffle = 0;
    mc_loader *l = open_loader(d, o);
    mc_ck_ok(mc_loader_next(l, &b));
    ck_assert_int_eq(b.labels->dtype, MCOMP_F32);
    ck_assert_int_eq(b.labels->shape.dim[1], 2);
    ck_assert(((const float *)b.labels->data)[1] == 0.25f && ((const float *)b.labels->data)[2] == -1.0f);
    ck_assert(((const float *)b.inputs[0]->data)[0] == 4.0f);
    mc_loader_close(l);
    o.n_samples = 1;
    o.samples = (const int64_t[]){3};
    mc_ck_fails(mc_loader_open(&l, d, &o), MCOMP_RANGE);
    o.samples = NULL;
    o.batch = 0;
    mc_ck_fails(mc_loader_open(&l, d, &o), MCOMP_RANGE);
    mcomp_dataset_destroy(d);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("data/loader");
    TCase *c = tcase_create("core");
    tcase_set_timeout(c, 60);
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, an_epoch_is_every_sample_once);
    tcase_add_test(c, a_saved_position_goes_on_with_the_same_batches);
    tcase_add_test(c, masked_ids_are_the_targets);
    tcase_add_test(c, a_stream_is_windows);
    tcase_add_test(c, a_split_stays_when_rows_move);
    tcase_add_test(c, class_weights_count_classes_alike);
    tcase_add_test(c, callbacks_fill_batches);
    tcase_add_test(c, images_are_shifted_by_their_own_numbers);
    tcase_add_test(c, arrays_with_numbers_for_targets);
    suite_add_tcase(s, c);
    return mc_test_main(s);
}
