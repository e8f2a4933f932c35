/* tokenizer.json of the Hugging Face tokenizers library, in. */
#include "data/tokenizer.h"

static int32_t take_added(mc_tokenizer *t, const mc_json *j, const char *where)
{
    int32_t st = MCOMP_OK;
    const char *text = mc_json_string(mc_json_get(j, "content"));
    int64_t given;
    if (!text || !mc_json_int(mc_json_get(j, "id"), &given)) return mc_fail(MCOMP_FORMAT, where, "added_tokens: one without content and id");
    if (mc_json_has_nul(mc_json_get(j, "content"))) return mc_fail(MCOMP_UNSUPPORTED, where, "added_tokens: a token with a NUL in it");
    if (!*text) return MCOMP_OK;
    mc_added a = {.len = (int64_t)strlen(text), .single_word = (uint8_t)mc_part_flag(j, "single_word", 0), .lstrip = (uint8_t)mc_part_flag(j, "lstrip", 0),
                  .rstrip = (uint8_t)mc_part_flag(j, "rstrip", 0), .special = (uint8_t)mc_part_flag(j, "special", 0)};
    a.normalized = (uint8_t)mc_part_flag(j, "normalized", !a.special);
    a.id = mc_vocab_find(&t->vocab, text, a.len);
    if (a.id >= 0 && a.id != given)
        return mc_fail(MCOMP_FORMAT, where, "added_tokens: \"%.60s\" has id %lld, the vocabulary says %d", text, (long long)given, a.id);
    if (a.id < 0) {
        if (given < 0 || given >= 1 << 22 || mc_tokenizer_token(t, given, NULL))
            return mc_fail(MCOMP_FORMAT, where, "added_tokens: the id %lld of \"%.60s\" is taken or out of range", (long long)given, text);
        if (mc_tokenizer_id(t, text, a.len) >= 0) return mc_fail(MCOMP_FORMAT, where, "added_tokens: \"%.60s\" is there twice", text);
        a.id = (int32_t)given;
        a.outside = 1;
    }
    MC_TRY(mc_grow(&t->added, &t->cap_added, t->n_added + 1, sizeof *t->added));
    mc_str normal = {0};
    mc_cps spare = {0};
    a.text = mc_strdup(text);
    st = a.normalized ? mc_tokenizer_normalize(t, &spare, text, a.len, &normal) : mc_str_append_bytes(&normal, text, (size_t)a.len);
    mc_cps_free(&spare);
    a.match = normal.data;
    a.match_len = normal.len;
    if (!a.text || st != MCOMP_OK) {
        mc_free(a.text);
        mc_free(a.match);
        return st != MCOMP_OK ? st : MCOMP_NO_MEMORY;
    }
    if (a.match_len > 0) t->added_first[a.normalized][(uint8_t)a.match[0]] = 1;
    t->added[t->n_added++] = a;
done:
    return st;
}

static int32_t take_all_added(mc_tokenizer *t, const mc_json *list, const char *where)
{
    int32_t st = MCOMP_OK;
    if (mc_json_is_null(list)) return MCOMP_OK;
    if (!mc_json_is_array(list)) return mc_fail(MCOMP_FORMAT, where, "added_tokens is no list");
    if (mc_json_size(list) > 65536) return mc_fail(MCOMP_LIMIT, where, "more than 65536 added tokens");
    for (int64_t i = 0; i < mc_json_size(list) && st == MCOMP_OK; i++) st = take_added(t, mc_json_at(list, i), where);
    return st;
}

static int32_t first_of(const mc_tokenizer *t, const char *const *names)
{
    int32_t id = -1;
    for (; *names && id < 0; names++) id = mc_tokenizer_id(t, *names, (int64_t)strlen(*names));
    return id;
}

/* Ids by the names that models use; padding by what the file says. */
static void find_roles(mc_tokenizer *t, const mc_json *root)
{
    static const char *const pads[] = {"[PAD]", "<pad>", "<|pad|>", "<|endoftext|>", "</s>", NULL}, *const masks[] = {"[MASK]", "<mask>", "<|mask|>", NULL};
    int64_t id = -1;
    (void)mc_json_int(mc_json_get(mc_json_get(root, "padding"), "pad_id"), &id);
    t->pad = id >= 0 && id < 1 << 22 ? (int32_t)id : first_of(t, pads);
    t->mask = first_of(t, masks);
}

static int32_t take_root(mc_tokenizer *t, const mc_json *root, const mc_json *model, const char *where)
{
    int32_t st = MCOMP_OK;
    const char *side = mc_json_string(mc_json_get(mc_json_get(root, "truncation"), "direction"));
    if (side && strcmp(side, "Right") != 0) MC_FAIL(MCOMP_UNSUPPORTED, where, "truncation.direction \"%.30s\": texts are cut at their end", side);
    MC_TRY(mc_parts_read_normalizer(t, mc_json_get(root, "normalizer"), where));
    MC_TRY(mc_parts_read_pre(t, mc_json_get(root, "pre_tokenizer"), where));
    MC_TRY(mc_parts_read_post(t, mc_json_get(root, "post_processor"), where));
    MC_TRY(t->kind->load(t, model, where));
    MC_TRY(take_all_added(t, mc_json_get(root, "added_tokens"), where));
    find_roles(t, root);
    for (int32_t i = 0; i < t->n_before + t->n_after; i++) {
        const int32_t id = i < t->n_before ? t->before[i].id : t->after[i - t->n_before].id;
        if (!mc_tokenizer_token(t, id, NULL)) MC_FAIL(MCOMP_FORMAT, where, "the post-processor adds id %d, which is no token", id);
    }
    if (t->vocab.used == 0) MC_FAIL(MCOMP_FORMAT, where, "the vocabulary is empty");
done:
    return st;
}

int32_t mc_tokenizer_load_json(mc_tokenizer **out, const char *text, uint64_t bytes, const char *where)
{
    int32_t st = MCOMP_OK;
    char shown[80];
    mc_json *root = NULL;
    mc_tokenizer *t = NULL;
    *out = NULL;
    MC_TRY(mc_json_parse(&root, text, bytes, where));
    const mc_json *model = mc_json_get(root, "model");
    if (!mc_json_is_object(model)) MC_FAIL(MCOMP_FORMAT, where, "no \"model\" in it: not a tokenizer.json");
    const char *version = mc_json_string(mc_json_get(root, "version")), *type = mc_part_type(model);
    if (version && strcmp(version, "1.0") != 0) MC_FAIL(MCOMP_UNSUPPORTED, where, "version \"%.30s\" of the format; 1.0 is known", version);
    if (!*type) type = mc_json_get(model, "merges") ? "BPE" : "WordPiece"; /* files before 2020 */
    const mc_tokenizer_kind *kind = mc_tokenizer_kind_of(NULL, type);
    if (!kind) {
        (void)mc_fail(MCOMP_UNSUPPORTED, where, "the model \"%s\" is not supported", mc_escape(shown, sizeof shown, type));
        (void)mc_fail_hint("WordPiece and BPE are; or tokenize elsewhere and pass an .npz");
        st = MCOMP_UNSUPPORTED;
        goto done;
    }
    t = mc_tokenizer_new(kind);
    if (!t) MC_FAIL(MCOMP_NO_MEMORY, where, "no memory");
    MC_TRY(take_root(t, root, model, where));
    mc_tokenizer_bytes_recognise(t);
    *out = t;
    t = NULL;
done:
    mc_json_destroy(root);
    mc_tokenizer_unref(t);
    return st;
}
