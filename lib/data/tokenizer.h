/* data/tokenizer.h - private: texts to ids. The stages are those of the Hugging Face tokenizers library, whose tokenizer.json is read
 * and written: added tokens are cut out, each section between them is normalized, cut into words, each word goes through the
 * model, and the post-processor puts special ids around the whole. docs/tokenizers.md says what is known of each stage.
 *
 * A tokenizer does not change once it is made and may be shared; what an encoding needs besides is an mc_encoder, one a thread.
 */
#ifndef MC_DATA_TOKENIZER_H
#define MC_DATA_TOKENIZER_H

#include "data/data.h"
#include "data/unicode.h"

/* ---- vocabulary (tokenizer_vocab.c): bytes <-> id; ids may have gaps ---- */

typedef struct mc_vocab {
    mc_str pool;
    struct mc_vocab_token {
        int64_t at; /* in pool, NUL after it; -1: no such id */
        int64_t len;
    } *token;
    int64_t n, cap; /* 1 + highest id */
    int32_t *slots; /* id + 1, 0 = free */
    int64_t n_slots, used;
} mc_vocab;
int32_t mc_vocab_put(mc_vocab *v, const char *bytes, int64_t len, int64_t id, const char *where); /* FORMAT when either is taken */
int32_t mc_vocab_find(const mc_vocab *v, const char *bytes, int64_t len);     /* -1: none */
const char *mc_vocab_token(const mc_vocab *v, int64_t id, int64_t *len);      /* NULL: none; len may be NULL */
void mc_vocab_free(mc_vocab *v);

/* ---- parts ---- */

typedef struct mc_added { /* an added token: matched in the text before (raw) or after the normalizer */
    char *text, *match;   /* content; what is searched for: the content, normalized if the token says so */
    int64_t len, match_len;
    int32_t id;
    uint8_t single_word, lstrip, rstrip, normalized, special;
    uint8_t outside; /* not of the model's vocabulary */
} mc_added;

enum { MC_NORM_BERT, MC_NORM_LOWER, MC_NORM_NFC, MC_NORM_NFD, MC_NORM_NFKC, MC_NORM_NFKD, MC_NORM_ACCENTS };
typedef struct mc_norm {
    int32_t kind;
    uint8_t clean, cjk, accents, lower; /* of Bert */
} mc_norm;

enum { MC_PRE_BERT, MC_PRE_WHITESPACE, MC_PRE_WHITESPACE_SPLIT, MC_PRE_BYTE_LEVEL, MC_PRE_SPLIT };
enum { MC_SPLIT_REMOVED, MC_SPLIT_ISOLATED, MC_SPLIT_PREVIOUS, MC_SPLIT_NEXT, MC_SPLIT_CONTIGUOUS };
typedef struct mc_pre {
    int32_t kind, behavior;
    uint8_t invert, prefix_space, use_regex, literal;
    char *pattern; /* of Split */
    void *regex;   /* pcre2_code */
} mc_pre;

typedef struct mc_special { /* an id that the post-processor adds */
    int32_t id, type;
} mc_special;

#define MC_TOKENIZER_PARTS 16
typedef struct mc_tokenizer mc_tokenizer;
typedef struct mc_encoder mc_encoder;

/* One kind of model: a row of tokenizers.def, a file tokenizer_<name>.c. */
typedef struct mc_tokenizer_kind {
    const char *name;
    const char *json_type; /* model.type of tokenizer.json; NULL: never found there */
    /* Model from tokenizer.json; the parts around it are there already. */
    int32_t (*load)(mc_tokenizer *t, const mc_json *model, const char *where);
    /* Ids of one word (n > 0 valid bytes), appended with mc_encoder_push. */
    int32_t (*word)(const mc_tokenizer *t, mc_encoder *e, const char *word, int64_t n);
    int32_t (*save)(const mc_tokenizer *t, mc_json *model);
    void (*destroy)(void *state);
    int32_t raw; /* 1: takes the bytes of the whole text as they are, no stage before or after it */
} mc_tokenizer_kind;
#define MC_TOKENIZER(name) extern const mc_tokenizer_kind mc_tokenizer_##name;
#include "data/tokenizers.def"
#undef MC_TOKENIZER

struct mc_tokenizer {
    int64_t refs; /* atomic */
    const mc_tokenizer_kind *kind;
    void *state; /* of the kind */
    mc_vocab vocab;
    mc_added *added;
    int64_t n_added, cap_added;
    uint8_t added_first[2][256]; /* [normalized][first byte] */
    mc_norm norm[MC_TOKENIZER_PARTS];
    mc_pre pre[MC_TOKENIZER_PARTS];
    int32_t n_norm, n_pre;
    mc_special before[MC_TOKENIZER_PARTS], after[MC_TOKENIZER_PARTS];
    int32_t n_before, n_after, text_type;
    int32_t unk, pad, mask; /* ids, -1 = none */
};

typedef struct mc_piece {
    int64_t from, to;
} mc_piece;

struct mc_encoder {
    const mc_tokenizer *t;
    mc_str clean, norm, text, other; /* input without invalid bytes; a section's normal form; words rewritten, twice */
    const char *base;                /* what the pieces point into */
    mc_cps cps;
    mc_piece *piece, *piece2;
    int64_t n_piece, cap_piece, n_piece2, cap_piece2;
    int32_t *ids; /* result */
    int64_t n, cap;
    void *match;    /* pcre2_match_data */
    void *scratch;  /* of the kind; freed with mc_free */
    int64_t scratch_cap;
    struct mc_word_cache *cache;
};

/* ---- life (tokenizer.c) ---- */

mc_tokenizer *mc_tokenizer_new(const mc_tokenizer_kind *kind);
mc_tokenizer *mc_tokenizer_ref(mc_tokenizer *t);
void mc_tokenizer_unref(mc_tokenizer *t); /* NULL is a no-op */
const mc_tokenizer_kind *mc_tokenizer_kind_of(const char *name, const char *json_type);
/* 1 + highest id, added tokens included: rows of an embedding table. */
int64_t mc_tokenizer_size(const mc_tokenizer *t);
/* Token of an id and id of a token, added ones included; NULL, -1: none. */
const char *mc_tokenizer_token(const mc_tokenizer *t, int64_t id, int64_t *len);
int32_t mc_tokenizer_id(const mc_tokenizer *t, const char *token, int64_t len);

/* One text in a corpus. */
typedef struct mc_text {
    const char *bytes;
    int64_t len;
} mc_text;
/* T of a data argument: a path, "bytes", "chars", "train:KIND,N". corpus (n of them) may be NULL for those that need none. */
int32_t mc_tokenizer_open(mc_tokenizer **out, mcomp_context *ctx, const char *spec, const mc_text *corpus, int64_t n);
int mc_tokenizer_needs_corpus(const char *spec);

int32_t mc_tokenizer_load_vocab(mc_tokenizer **out, const char *path);                                         /* tokenizer_wordpiece.c */
int32_t mc_tokenizer_load_json(mc_tokenizer **out, const char *text, uint64_t bytes, const char *where);       /* tokenizer_json.c */
int32_t mc_tokenizer_dump(const mc_tokenizer *t, mc_str *out);                                                 /* tokenizer_save.c */
int32_t mc_tokenizer_save(const mc_tokenizer *t, const char *path, int32_t overwrite);
int32_t mc_tokenizer_bytes_new(mc_tokenizer **out);
void mc_tokenizer_bytes_recognise(mc_tokenizer *t); /* turns a BPE that is nothing but bytes into the kind bytes */
int32_t mc_tokenizer_chars_new(mc_tokenizer **out, const mc_text *corpus, int64_t n);
int32_t mc_tokenizer_train(mc_tokenizer **out, mcomp_context *ctx, const char *kind, int64_t size, const mc_text *corpus, int64_t n);
/* The five special tokens, BERT's normalizer or byte-level words, [CLS] text [SEP] (tokenizer_train.c). */
int32_t mc_tokenizer_bert_parts(mc_tokenizer *t, const char *where);
int32_t mc_tokenizer_add(mc_tokenizer *t, const char *text, int32_t special, const char *where);
/* BPE from a list of merges in the order of their ranks, as pairs of ids (tokenizer_bpe.c). */
int mc_bpe_has_merges(const mc_tokenizer *t);
int32_t mc_bpe_set_merges(mc_tokenizer *t, const int32_t (*pairs)[2], int64_t n, const char *where);
/* model.vocab of tokenizer.json (tokenizer_wordpiece.c). */
int32_t mc_tokenizer_json_vocab(mc_tokenizer *t, const mc_json *model, const char *where);
int32_t mc_wordpiece_init(mc_tokenizer *t, const char *unk, const char *prefix, int64_t max_chars, const char *where);

/* ---- encoding (encoder.c) ---- */

int32_t mc_encoder_create(mc_encoder **out, const mc_tokenizer *t); /* t must outlive it */
void mc_encoder_destroy(mc_encoder *e);
/* Ids of a text into e->ids, e->n. special: with the post-processor's ids. limit > 0: at most that many, special ones included; the
 * text is cut at its end. */
int32_t mc_encoder_run(mc_encoder *e, const char *text, int64_t bytes, int32_t special, int64_t limit);
int32_t mc_encoder_push(mc_encoder *e, int32_t id);
/* A text with invalid bytes becomes its repaired copy in e->clean. */
int32_t mc_encoder_valid(mc_encoder *e, const char **text, int64_t *n);

/* Stages: normalize appends the normal form of n valid bytes to out; words cuts text into e->piece over e->base. */
int32_t mc_tokenizer_normalize(const mc_tokenizer *t, mc_cps *spare, const char *text, int64_t n, mc_str *out);
int32_t mc_tokenizer_words(const mc_tokenizer *t, mc_encoder *e, const char *text, int64_t n);
int32_t mc_encoder_piece(mc_encoder *e, int64_t from, int64_t to); /* appends to e->piece unless empty */
/* Next added token at or after `from` in text: 1 and its place and row, 0 if there is none. */
int mc_added_find(const mc_tokenizer *t, int normalized, const char *text, int64_t n, int64_t from, int64_t floor, mc_piece *at, int64_t *row);
int32_t mc_pre_compile(mc_pre *p, const char *where);
void mc_pre_free(mc_pre *p);
int32_t mc_pre_split(const mc_pre *p, mc_encoder *e); /* every piece by the pattern */
/* The 256 letters of byte-level BPE (GPT-2): code point of each byte. */
uint32_t mc_byte_letter(uint8_t b);

/* Reading parts of tokenizer.json (tokenizer_parts.c). */
int32_t mc_parts_read_normalizer(mc_tokenizer *t, const mc_json *j, const char *where);
int32_t mc_parts_read_pre(mc_tokenizer *t, const mc_json *j, const char *where);
int32_t mc_parts_read_post(mc_tokenizer *t, const mc_json *j, const char *where);
int32_t mc_parts_save(const mc_tokenizer *t, mc_json *root);
/* "type" of a part, "" if it has none. */
const char *mc_part_type(const mc_json *j);
int mc_part_flag(const mc_json *j, const char *key, int otherwise);

#endif
