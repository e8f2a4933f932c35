/* mcomp/tokenizer.h - texts to the ids that a model takes, and vocabularies trained from texts.
 *
 * Kinds and what is known of tokenizer.json: docs/tokenizers.md. Texts are UTF-8; invalid bytes count as U+FFFD (but for "bytes", which
 * takes any). @thread one at a time.
 */
#ifndef MCOMP_TOKENIZER_H
#define MCOMP_TOKENIZER_H

#include <mcomp/status.h>
#include <mcomp/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* spec: a vocab.txt (BERT), a tokenizer.json, or "bytes"; with texts also "chars", "train:wordpiece,SIZE", "train:bpe,SIZE". texts[n_texts]
 * of lengths[] bytes (NULL: each ends in NUL) may be NULL for the first three, and are not kept. ctx may be NULL.
 * Codes: ARGUMENT, PATH, FORMAT, UNSUPPORTED (naming the part), RANGE, LIMIT, DATA, NO_MEMORY, CANCELLED. */
MCOMP_API int32_t mcomp_tokenizer_create(mcomp_tokenizer **out, mcomp_context *ctx, const char *spec, const char *const *texts,
                                         const int64_t *lengths, int64_t n_texts);
MCOMP_API void mcomp_tokenizer_destroy(mcomp_tokenizer *t);
/* Another handle of the same vocabulary, for another thread or to outlive the first. */
MCOMP_API int32_t mcomp_tokenizer_share(mcomp_tokenizer **out, const mcomp_tokenizer *t);
/* Ids of a text of `bytes` bytes (-1: it ends in NUL), with the special ids around it when special is 1, cut at its end to max_length
 * ids (0: not cut). *n is their number; the first `cap` of them are written to ids[] (which may be NULL when cap is 0). Codes: ARGUMENT,
 * RANGE (max_length leaves no room for the special ids), LIMIT, NO_MEMORY. */
MCOMP_API int32_t mcomp_tokenizer_encode(mcomp_tokenizer *t, const char *text, int64_t bytes, int32_t special, int64_t max_length,
                                         int64_t cap, int32_t *ids, int64_t *n);
/* Rows that an embedding table needs: 1 + the highest id. */
MCOMP_API int64_t mcomp_tokenizer_count(const mcomp_tokenizer *t);
/* Id of a token, -1 if there is none; token of an id, NULL if there is none (borrowed). */
MCOMP_API int64_t mcomp_tokenizer_id(const mcomp_tokenizer *t, const char *token);
MCOMP_API const char *mcomp_tokenizer_token(const mcomp_tokenizer *t, int64_t id);
/* Id that fills up, -1 if there is none. */
MCOMP_API int64_t mcomp_tokenizer_pad_id(const mcomp_tokenizer *t);
/* A tokenizer that cuts texts as t does and gives every token the id that it has in `like`: what a model with the vocabulary of `like` is to
 * read where texts are cut for another. WordPiece. Codes: ARGUMENT, DATA (naming a token that `like` lacks), UNSUPPORTED, NO_MEMORY. */
MCOMP_API int32_t mcomp_tokenizer_renumber(mcomp_tokenizer **out, const mcomp_tokenizer *t, const mcomp_tokenizer *like);
/* Writes a tokenizer.json, which the Hugging Face tokenizers library reads as well. Codes: PATH, IO, NO_SPACE, NO_MEMORY. */
MCOMP_API int32_t mcomp_tokenizer_save(const mcomp_tokenizer *t, const char *path, int32_t overwrite);

#ifdef __cplusplus
}
#endif
#endif
