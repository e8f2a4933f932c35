/* Normalizer, pre-tokenizer and post-processor of tokenizer.json, in. Every part or option that is not known is an error that names
 * it: ids that are nearly right would be worse. */
#include "data/tokenizer.h"

const char *mc_part_type(const mc_json *j)
{
    const char *s = mc_json_string(mc_json_get(j, "type"));
    return s ? s : "";
}

int mc_part_flag(const mc_json *j, const char *key, int otherwise)
{
    (void)mc_json_bool(mc_json_get(j, key), &otherwise);
    return otherwise;
}

static int32_t unknown(const char *where, const char *what, const char *type)
{
    char shown[80];
    (void)mc_fail(MCOMP_UNSUPPORTED, where, "the %s \"%s\" is not supported", what, mc_escape(shown, sizeof shown, type));
    (void)mc_fail_hint("docs/tokenizers.md lists what is; or tokenize elsewhere and pass an .npz");
    return MCOMP_UNSUPPORTED;
}

static int32_t too_many(const char *where, const char *what) { return mc_fail(MCOMP_LIMIT, where, "more than %d parts in the %s", MC_TOKENIZER_PARTS, what); }

/* The members of a Sequence one by one; the part itself otherwise. */
static int32_t each(mc_tokenizer *t, const mc_json *j, const char *list, const char *where, int32_t (*take)(mc_tokenizer *, const mc_json *, const char *))
{
    int32_t st = MCOMP_OK;
    if (strcmp(mc_part_type(j), "Sequence") != 0) return take(t, j, where);
    const mc_json *parts = mc_json_get(j, list);
    if (!mc_json_is_array(parts)) return mc_fail(MCOMP_FORMAT, where, "a Sequence without \"%s\"", list);
    for (int64_t i = 0; i < mc_json_size(parts) && st == MCOMP_OK; i++) st = each(t, mc_json_at(parts, i), list, where, take);
    return st;
}

static int32_t take_normalizer(mc_tokenizer *t, const mc_json *j, const char *where)
{
    static const struct {
        const char *type;
        int32_t kind;
    } rows[] = {{"BertNormalizer", MC_NORM_BERT}, {"Lowercase", MC_NORM_LOWER}, {"NFC", MC_NORM_NFC}, {"NFD", MC_NORM_NFD}, {"NFKC", MC_NORM_NFKC}, {"NFKD", MC_NORM_NFKD}, {"StripAccents", MC_NORM_ACCENTS}};
    const char *type = mc_part_type(j);
    if (t->n_norm == MC_TOKENIZER_PARTS) return too_many(where, "normalizer");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (strcmp(type, rows[i].type) != 0) continue;
        mc_norm *n = &t->norm[t->n_norm++];
        n->kind = rows[i].kind;
        if (n->kind != MC_NORM_BERT) return MCOMP_OK;
        n->clean = (uint8_t)mc_part_flag(j, "clean_text", 1);
        n->cjk = (uint8_t)mc_part_flag(j, "handle_chinese_chars", 1);
        n->lower = (uint8_t)mc_part_flag(j, "lowercase", 1);
        n->accents = (uint8_t)mc_part_flag(j, "strip_accents", n->lower);
        return MCOMP_OK;
    }
    return unknown(where, "normalizer", type);
}

int32_t mc_parts_read_normalizer(mc_tokenizer *t, const mc_json *j, const char *where)
{
    return mc_json_is_null(j) ? MCOMP_OK : each(t, j, "normalizers", where, take_normalizer);
}

static int32_t take_split(mc_pre *p, const mc_json *j, const char *where)
{
    static const char *const behaviors[] = {"Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"};
    const mc_json *pattern = mc_json_get(j, "pattern");
    const char *regex = mc_json_string(mc_json_get(pattern, "Regex")), *text = mc_json_string(mc_json_get(pattern, "String"));
    const char *behavior = mc_json_string(mc_json_get(j, "behavior"));
    p->behavior = -1;
    for (int32_t i = 0; behavior && i < 5; i++)
        if (strcmp(behavior, behaviors[i]) == 0) p->behavior = i;
    if (p->behavior < 0) return unknown(where, "behavior of a Split", behavior ? behavior : "");
    if (!regex && !text) return mc_fail(MCOMP_FORMAT, where, "a Split without a pattern");
    if (mc_json_has_nul(mc_json_get(pattern, "Regex")) || mc_json_has_nul(mc_json_get(pattern, "String"))) return unknown(where, "pattern of a Split", "with a NUL");
    p->invert = (uint8_t)mc_part_flag(j, "invert", 0);
    p->literal = !regex;
    p->pattern = mc_strdup(regex ? regex : text);
    return p->pattern ? mc_pre_compile(p, where) : MCOMP_NO_MEMORY;
}

static int32_t take_pre(mc_tokenizer *t, const mc_json *j, const char *where)
{
    static const char *const types[] = {"BertPreTokenizer", "Whitespace", "WhitespaceSplit", "ByteLevel", "Split"};
    const char *type = mc_part_type(j);
    if (t->n_pre == MC_TOKENIZER_PARTS) return too_many(where, "pre-tokenizer");
    for (int32_t i = 0; i < 5; i++) {
        if (strcmp(type, types[i]) != 0) continue;
        mc_pre *p = &t->pre[t->n_pre++];
        p->kind = i;
        if (i == MC_PRE_SPLIT) return take_split(p, j, where);
        if (i != MC_PRE_BYTE_LEVEL) return MCOMP_OK;
        p->behavior = MC_SPLIT_ISOLATED;
        p->prefix_space = (uint8_t)mc_part_flag(j, "add_prefix_space", 1);
        p->use_regex = (uint8_t)mc_part_flag(j, "use_regex", 1);
        return p->use_regex ? mc_pre_compile(p, where) : MCOMP_OK;
    }
    return unknown(where, "pre-tokenizer", type);
}

int32_t mc_parts_read_pre(mc_tokenizer *t, const mc_json *j, const char *where)
{
    return mc_json_is_null(j) ? MCOMP_OK : each(t, j, "pretokenizers", where, take_pre);
}

static int32_t put_special(mc_tokenizer *t, int after, int64_t id, int64_t type, const char *where)
{
    int32_t *n = after ? &t->n_after : &t->n_before;
    if (*n == MC_TOKENIZER_PARTS) return too_many(where, "post-processor");
    if (id < 0 || id >= 1 << 22 || type < 0 || type > 1 << 16) return mc_fail(MCOMP_FORMAT, where, "post-processor: id %lld of type %lld", (long long)id, (long long)type);
    (after ? t->after : t->before)[(*n)++] = (mc_special){(int32_t)id, (int32_t)type};
    return MCOMP_OK;
}

/* Ids of a template's special token, in the template's own table. */
static int32_t put_template(mc_tokenizer *t, const mc_json *j, const mc_json *special, int after, const char *where)
{
    int32_t st = MCOMP_OK;
    int64_t type = 0, id;
    const char *name = mc_json_string(mc_json_get(special, "id"));
    const mc_json *row = name ? mc_json_get(mc_json_get(j, "special_tokens"), name) : NULL, *ids = mc_json_get(row, "ids");
    (void)mc_json_int(mc_json_get(special, "type_id"), &type);
    if (!mc_json_is_array(ids)) return mc_fail(MCOMP_FORMAT, where, "TemplateProcessing: no ids for the special token \"%.60s\"", name ? name : "");
    for (int64_t i = 0; i < mc_json_size(ids); i++) {
        if (!mc_json_int(mc_json_at(ids, i), &id)) return mc_fail(MCOMP_FORMAT, where, "TemplateProcessing: an id is no integer");
        MC_TRY(put_special(t, after, id, type, where));
    }
done:
    return st;
}

static int32_t take_template(mc_tokenizer *t, const mc_json *j, const char *where)
{
    int32_t st = MCOMP_OK;
    int after = 0;
    int64_t type = 0;
    const mc_json *single = mc_json_get(j, "single");
    if (!mc_json_is_array(single)) return mc_fail(MCOMP_FORMAT, where, "TemplateProcessing without \"single\"");
    for (int64_t i = 0; i < mc_json_size(single); i++) {
        const mc_json *item = mc_json_at(single, i), *special = mc_json_get(item, "SpecialToken"), *sequence = mc_json_get(item, "Sequence");
        const char *id = mc_json_string(mc_json_get(sequence, "id"));
        if (special) {
            MC_TRY(put_template(t, j, special, after, where));
        } else if (id && strcmp(id, "A") == 0 && !after) {
            after = 1;
            (void)mc_json_int(mc_json_get(sequence, "type_id"), &type);
            t->text_type = type < 0 || type > 1 << 16 ? 0 : (int32_t)type;
        } else {
            return unknown(where, "post-processor", "TemplateProcessing with a single other than special tokens around one A");
        }
    }
    if (!after) return unknown(where, "post-processor", "TemplateProcessing without A");
done:
    return st;
}

static int32_t take_post(mc_tokenizer *t, const mc_json *j, const char *where)
{
    int32_t st = MCOMP_OK;
    int64_t cls, sep;
    const char *type = mc_part_type(j);
    if (strcmp(type, "ByteLevel") == 0) return MCOMP_OK; /* moves offsets only */
    if (t->n_before + t->n_after > 0) return unknown(where, "post-processor", "Sequence of more than one that adds ids");
    if (strcmp(type, "TemplateProcessing") == 0) return take_template(t, j, where);
    if (strcmp(type, "BertProcessing") != 0 && strcmp(type, "RobertaProcessing") != 0) return unknown(where, "post-processor", type);
    if (!mc_json_int(mc_json_at(mc_json_get(j, "cls"), 1), &cls) || !mc_json_int(mc_json_at(mc_json_get(j, "sep"), 1), &sep)) return mc_fail(MCOMP_FORMAT, where, "%s without cls and sep", type);
    MC_TRY(put_special(t, 0, cls, 0, where));
    st = put_special(t, 1, sep, 0, where);
done:
    return st;
}

int32_t mc_parts_read_post(mc_tokenizer *t, const mc_json *j, const char *where)
{
    return mc_json_is_null(j) ? MCOMP_OK : each(t, j, "processors", where, take_post);
}
