/* distill/distill.h - distillation: losses with a teacher, what the teacher said, student and control.
 *
 * The teacher's outputs are constants of the training: they are computed once a sample (teacher.c), kept as fp16 in a store (store.c) and
 * come into the step as inputs, filled by sample index (feed.c). So a grid over temperatures and weights runs the teacher once.
 */
#ifndef MC_DISTILL_H
#define MC_DISTILL_H

#include <mcomp/distiller.h>

#include "train/train.h"

/* ---- losses (losses.def: one file loss_<name>.c and one row each) ---------------------------------------------------- */

/* What of the teacher a loss looks at, as bits: scores always; of its last layer the hidden states, or queries, keys and values. */
enum { MC_TAP_SCORES = 0, MC_TAP_HIDDEN = 1, MC_TAP_RELATION = 2 };
enum { MC_TOKENS_HIDDEN, MC_TOKENS_Q, MC_TOKENS_K, MC_TOKENS_V, MC_TOKENS };

typedef struct mc_kd_site {
    mc_loss_site *s;
    mc_value *student;   /* scores [N, C] */
    mc_value *teacher;   /* input, the same of the teacher; constant */
    double temperature;
    struct {
        mc_value *mask; /* [N, S]: 1 at real tokens */
        mc_value *student[MC_TOKENS], *teacher[MC_TOKENS]; /* [N, S, width]; of the teacher 0 at padding, NULL: not looked at */
    } tokens;
} mc_kd_site;
/* Mean of x [N, S, 1] over the real tokens of the batch (feed.c). */
mc_value *mc_kd_over_tokens(mc_kd_site *k, mc_value *x);
/* A scalar, 0 where student and teacher agree: the mean over rows. */
typedef mc_value *(*mc_kd_fn)(mc_kd_site *k);
typedef struct mc_kd {
    const char *name;
    int32_t tap;
    mc_kd_fn emit;
} mc_kd;
const mc_kd *mc_kd_find(const char *name); /* NULL: unknown, the record names the nearest */
int32_t mc_kd_count(void);

#define MC_KD_MAX 8
typedef struct mc_kd_choice {
    const mc_kd *loss;
    double weight;
} mc_kd_choice;
/* "NAME[=WEIGHT],...": each name once, weights positive. */
int32_t mc_kd_parse(mc_kd_choice out[MC_KD_MAX], int32_t *n, const char *text);

/* ---- the teacher's outputs, by content (store.c, store_files.c) -------------------------------------------------------- */

/* Byte strings by 32-byte keys, in memory or in files of a folder. Files are written whole beside their target and renamed, never
 * changed; each entry carries a checksum. */
typedef struct mc_kd_store mc_kd_store;
#define MC_KD_KEY 64 /* hex digits */
/* folder NULL: memory only. group: the sub-folder that is read (others only count for the limit, and make room first). */
int32_t mc_kd_store_open(mc_kd_store **out, const char *folder, const char *group, uint64_t limit);
void mc_kd_store_close(mc_kd_store *s);
const uint8_t *mc_kd_store_find(const mc_kd_store *s, const char *key, uint64_t *bytes); /* NULL: not there; valid until the store is closed */
int32_t mc_kd_store_put(mc_kd_store *s, const char *key, const void *data, uint64_t bytes); /* findable after mc_kd_store_flush */
int32_t mc_kd_store_flush(mc_kd_store *s);
int64_t mc_kd_store_damaged(const mc_kd_store *s);
uint64_t mc_kd_store_bytes(const mc_kd_store *s);

/* Whether "teacher[:...]" can be read (cut.c): ARGUMENT, RANGE with the record filled. What the teacher has is not looked at. */
int32_t mc_cut_check(const char *spec);

/* SHA-256 of everything that decides what a graph computes: structure, attributes, weights, input and output names. */
int32_t mc_graph_digest(const mc_graph *g, char hex[65]);

#endif
