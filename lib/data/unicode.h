/* data/unicode.h - private: what tokenizers need of Unicode, over utf8proc (Unicode 14): UTF-8 in and out, classes of characters,
 * normal forms. Invalid UTF-8 becomes U+FFFD, one for each maximal part of a sequence, as browsers and Python's "replace" do. */
#ifndef MC_DATA_UNICODE_H
#define MC_DATA_UNICODE_H

#include "base/base.h"

typedef struct mc_cps { /* code points */
    uint32_t *v;
    int64_t n, cap;
} mc_cps;
static inline void mc_cps_free(mc_cps *c) { mc_free(c->v); }
int32_t mc_cps_push(mc_cps *c, uint32_t cp);

/* Bytes of the valid sequence at p, its code point in *cp; an invalid one: U+FFFD, the bytes to skip, *valid = 0. n > 0. */
int64_t mc_utf8_next(const uint8_t *p, int64_t n, uint32_t *cp, int *valid);
/* 1 if all n bytes are valid UTF-8. */
int mc_utf8_valid(const char *text, int64_t n);
int mc_utf8_put(char out[4], uint32_t cp); /* bytes written */
/* Number of characters of valid UTF-8. */
int64_t mc_utf8_length(const char *text, int64_t n);
int32_t mc_cps_decode(mc_cps *out, const char *text, int64_t n); /* appends; replaces what is invalid */
int32_t mc_cps_encode(mc_str *out, const mc_cps *in);            /* appends */

int mc_uc_space(uint32_t cp);       /* property White_Space */
int mc_uc_other(uint32_t cp);       /* control, format, private use */
int mc_uc_punctuation(uint32_t cp); /* P*, or ASCII that is neither letter, digit, space nor control */
int mc_uc_mark(uint32_t cp);        /* M* */
int mc_uc_nonspacing(uint32_t cp);  /* Mn */
int mc_uc_word(uint32_t cp);        /* \w of UTS 18: alphabetic, marks, decimal digits, connectors, joiners */
int mc_uc_cjk(uint32_t cp);         /* the blocks that BERT sets apart */
int32_t mc_uc_lower(mc_cps *c);     /* full lower case of each character by itself; in place */

/* Normal forms in place: decompose (compat: NFKD) with canonical order, then compose for NFC, NFKC. Linear in the length. */
int32_t mc_uc_decompose(mc_cps *c, int compat);
int32_t mc_uc_compose(mc_cps *c);

#endif
