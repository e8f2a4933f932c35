/* tokenizer.json, out: what the tokenizers library loads and encodes with to the same ids. */
#include "data/tokenizer.h"

static int32_t set_bool(mc_json *o, const char *key, int v) { return mc_json_set(o, key, mc_json_new_bool(v)); }

static int32_t typed(mc_json **out, const char *type)
{
    *out = mc_json_object();
    return mc_json_set_string(*out, "type", type);
}

static int32_t save_normalizer(const mc_norm *n, mc_json **out)
{
    static const char *const types[] = {"BertNormalizer", "Lowercase", "NFC", "NFD", "NFKC", "NFKD", "StripAccents"};
    int32_t st = MCOMP_OK;
    MC_TRY(typed(out, types[n->kind]));
    if (n->kind != MC_NORM_BERT) goto done;
    MC_TRY(set_bool(*out, "clean_text", n->clean));
    MC_TRY(set_bool(*out, "handle_chinese_chars", n->cjk));
    MC_TRY(set_bool(*out, "strip_accents", n->accents));
    st = set_bool(*out, "lowercase", n->lower);
done:
    return st;
}

static int32_t save_pre(const mc_pre *p, mc_json **out)
{
    static const char *const types[] = {"BertPreTokenizer", "Whitespace", "WhitespaceSplit", "ByteLevel", "Split"};
    static const char *const behaviors[] = {"Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"};
    int32_t st = MCOMP_OK;
    MC_TRY(typed(out, types[p->kind]));
    if (p->kind == MC_PRE_BYTE_LEVEL) {
        MC_TRY(set_bool(*out, "add_prefix_space", p->prefix_space));
        MC_TRY(set_bool(*out, "trim_offsets", 1));
        MC_TRY(set_bool(*out, "use_regex", p->use_regex));
    } else if (p->kind == MC_PRE_SPLIT) {
        mc_json *pattern = mc_json_object();
        MC_TRY(mc_json_set(*out, "pattern", pattern));
        MC_TRY(mc_json_set_string(pattern, p->literal ? "String" : "Regex", p->pattern));
        MC_TRY(mc_json_set_string(*out, "behavior", behaviors[p->behavior]));
        MC_TRY(set_bool(*out, "invert", p->invert));
    }
done:
    return st;
}

static int32_t template_items(const mc_tokenizer *t, mc_json *list, mc_json *table, int after)
{
    int32_t st = MCOMP_OK;
    const int32_t n = after ? t->n_after : t->n_before;
    for (int32_t i = 0; i < n; i++) {
        const mc_special s = (after ? t->after : t->before)[i];
        const char *name = mc_tokenizer_token(t, s.id, NULL);
        mc_json *item = mc_json_object(), *inner = mc_json_object();
        MC_TRY(mc_json_append(list, item));
        MC_TRY(mc_json_set(item, "SpecialToken", inner));
        MC_TRY(mc_json_set_string(inner, "id", name));
        MC_TRY(mc_json_set_int(inner, "type_id", s.type));
        if (mc_json_get(table, name)) continue;
        mc_json *row = mc_json_object(), *ids = mc_json_array(), *tokens = mc_json_array();
        MC_TRY(mc_json_set(table, name, row));
        MC_TRY(mc_json_set_string(row, "id", name));
        MC_TRY(mc_json_set(row, "ids", ids));
        MC_TRY(mc_json_set(row, "tokens", tokens));
        MC_TRY(mc_json_append(ids, mc_json_new_int(s.id)));
        MC_TRY(mc_json_append(tokens, mc_json_new_string(name)));
    }
done:
    return st;
}

static int32_t template_text(mc_json *list, const char *id, int64_t type)
{
    int32_t st = MCOMP_OK;
    mc_json *item = mc_json_object(), *inner = mc_json_object();
    MC_TRY(mc_json_append(list, item));
    MC_TRY(mc_json_set(item, "Sequence", inner));
    MC_TRY(mc_json_set_string(inner, "id", id));
    st = mc_json_set_int(inner, "type_id", type);
done:
    return st;
}

/* A pair is the two texts, each as if alone: what we never encode, but the format wants. */
static int32_t save_post(const mc_tokenizer *t, mc_json *root)
{
    int32_t st = MCOMP_OK;
    if (t->n_before + t->n_after == 0) return mc_json_set(root, "post_processor", mc_json_new_null());
    mc_json *p, *single = mc_json_array(), *pair = mc_json_array(), *table = mc_json_object();
    MC_TRY(typed(&p, "TemplateProcessing"));
    MC_TRY(mc_json_set(root, "post_processor", p));
    MC_TRY(mc_json_set(p, "single", single));
    MC_TRY(mc_json_set(p, "pair", pair));
    MC_TRY(mc_json_set(p, "special_tokens", table));
    MC_TRY(template_items(t, single, table, 0));
    MC_TRY(template_text(single, "A", t->text_type));
    MC_TRY(template_items(t, single, table, 1));
    MC_TRY(template_items(t, pair, table, 0));
    MC_TRY(template_text(pair, "A", t->text_type));
    MC_TRY(template_items(t, pair, table, 1));
    MC_TRY(template_text(pair, "B", 1));
    st = template_items(t, pair, table, 1);
done:
    return st;
}

static int32_t save_list(mc_json *root, const char *key, const char *list_key, mc_json **parts, int32_t n)
{
    int32_t st = MCOMP_OK;
    if (n == 0) return mc_json_set(root, key, mc_json_new_null());
    if (n == 1) return mc_json_set(root, key, parts[0]);
    mc_json *seq, *list = mc_json_array();
    MC_TRY(typed(&seq, "Sequence"));
    MC_TRY(mc_json_set(root, key, seq));
    MC_TRY(mc_json_set(seq, list_key, list));
    for (int32_t i = 0; i < n; i++) MC_TRY(mc_json_append(list, parts[i]));
done:
    return st;
}

int32_t mc_parts_save(const mc_tokenizer *t, mc_json *root)
{
    int32_t st = MCOMP_OK;
    mc_json *parts[MC_TOKENIZER_PARTS];
    for (int32_t i = 0; i < t->n_norm; i++) MC_TRY(save_normalizer(&t->norm[i], &parts[i]));
    MC_TRY(save_list(root, "normalizer", "normalizers", parts, t->n_norm));
    for (int32_t i = 0; i < t->n_pre; i++) MC_TRY(save_pre(&t->pre[i], &parts[i]));
    MC_TRY(save_list(root, "pre_tokenizer", "pretokenizers", parts, t->n_pre));
    st = save_post(t, root);
done:
    return st;
}

static int32_t save_added(const mc_tokenizer *t, mc_json *root)
{
    int32_t st = MCOMP_OK;
    mc_json *list = mc_json_array();
    MC_TRY(mc_json_set(root, "added_tokens", list));
    for (int64_t i = 0; i < t->n_added; i++) {
        const mc_added *a = &t->added[i];
        mc_json *o = mc_json_object();
        MC_TRY(mc_json_append(list, o));
        MC_TRY(mc_json_set_int(o, "id", a->id));
        MC_TRY(mc_json_set_string(o, "content", a->text));
        MC_TRY(set_bool(o, "single_word", a->single_word));
        MC_TRY(set_bool(o, "lstrip", a->lstrip));
        MC_TRY(set_bool(o, "rstrip", a->rstrip));
        MC_TRY(set_bool(o, "normalized", a->normalized));
        MC_TRY(set_bool(o, "special", a->special));
    }
done:
    return st;
}

static int32_t save_padding(const mc_tokenizer *t, mc_json *root)
{
    int32_t st = MCOMP_OK;
    const char *token = mc_tokenizer_token(t, t->pad, NULL);
    if (!token) return mc_json_set(root, "padding", mc_json_new_null());
    mc_json *p = mc_json_object();
    MC_TRY(mc_json_set(root, "padding", p));
    MC_TRY(mc_json_set_string(p, "strategy", "BatchLongest"));
    MC_TRY(mc_json_set_string(p, "direction", "Right"));
    MC_TRY(mc_json_set(p, "pad_to_multiple_of", mc_json_new_null()));
    MC_TRY(mc_json_set_int(p, "pad_id", t->pad));
    MC_TRY(mc_json_set_int(p, "pad_type_id", 0));
    st = mc_json_set_string(p, "pad_token", token);
done:
    return st;
}

static int32_t save_model(const mc_tokenizer *t, mc_json *root)
{
    int32_t st = MCOMP_OK;
    mc_json *model, *vocab = mc_json_object(), *decoder;
    const char *type = t->kind->json_type ? t->kind->json_type : "BPE";
    int byte_level = 0;
    for (int32_t i = 0; i < t->n_pre; i++) byte_level |= t->pre[i].kind == MC_PRE_BYTE_LEVEL;
    if (strcmp(type, "WordPiece") == 0) {
        MC_TRY(typed(&decoder, "WordPiece"));
        MC_TRY(mc_json_set(root, "decoder", decoder));
        MC_TRY(mc_json_set_string(decoder, "prefix", "##"));
        MC_TRY(set_bool(decoder, "cleanup", 1));
    } else if (byte_level) {
        MC_TRY(typed(&decoder, "ByteLevel"));
        MC_TRY(mc_json_set(root, "decoder", decoder));
        MC_TRY(set_bool(decoder, "add_prefix_space", 1));
        MC_TRY(set_bool(decoder, "trim_offsets", 1));
        MC_TRY(set_bool(decoder, "use_regex", 1));
    } else {
        MC_TRY(typed(&decoder, "Fuse"));
        MC_TRY(mc_json_set(root, "decoder", decoder));
    }
    MC_TRY(typed(&model, type));
    MC_TRY(mc_json_set(root, "model", model));
    MC_TRY(mc_json_set(model, "vocab", vocab));
    for (int64_t i = 0; i < t->vocab.n; i++) {
        const char *token = mc_vocab_token(&t->vocab, i, NULL);
        if (token) MC_TRY(mc_json_set_int(vocab, token, i));
    }
    st = t->kind->save(t, model);
done:
    return st;
}

int32_t mc_tokenizer_dump(const mc_tokenizer *t, mc_str *out)
{
    int32_t st = MCOMP_OK;
    mc_json *root = mc_json_object();
    MC_TRY(mc_json_set_string(root, "version", "1.0"));
    MC_TRY(mc_json_set(root, "truncation", mc_json_new_null()));
    MC_TRY(save_padding(t, root));
    MC_TRY(save_added(t, root));
    MC_TRY(mc_parts_save(t, root));
    MC_TRY(save_model(t, root));
    st = mc_json_dump(root, out);
done:
    mc_json_destroy(root);
    return st;
}

int32_t mc_tokenizer_save(const mc_tokenizer *t, const char *path, int32_t overwrite)
{
    int32_t st = MCOMP_OK;
    mc_str text = {0};
    mc_writer *w = NULL;
    MC_TRY(mc_tokenizer_dump(t, &text));
    MC_TRY(mc_writer_open(&w, path, overwrite));
    MC_TRY(mc_writer_write(w, text.data, (uint64_t)text.len));
    st = mc_writer_commit(w);
    w = NULL;
done:
    mc_writer_abort(w);
    mc_str_free(&text);
    return st;
}
