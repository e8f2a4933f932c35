/* recipe/store.h - private: what passes made, by content.
 *
 * CACHE/lock                 held while a run uses the store
 * CACHE/teacher/             what the teacher said (lib/distill)
 * CACHE/nodes/KEY/           one pass on one model:
 *     node.json              written last: format, key, SHA-256 of every other file, facts. Without it the node is unfinished
 *     model.onnx [model.tokenizer.json] [control.onnx]
 *     journal.json           of an unfinished node: decisions that must not be taken anew, and the curve so far
 *     checkpoint[.control]   of an unfinished node: the trainer's own
 */
#ifndef MC_RECIPE_STORE_H
#define MC_RECIPE_STORE_H

#include "base/base.h"

#define MC_STORE_FORMAT 1 /* goes into every key: another format makes everything anew */

typedef struct mc_store mc_store;
/* Makes the folder where it is missing. BUSY: another run uses it. */
int32_t mc_store_open(mc_store **out, const char *folder);
void mc_store_close(mc_store *s);
const char *mc_store_folder(const mc_store *s);

typedef struct mc_store_node {
    char key[65];
    char *folder;
    mc_json *facts;   /* of a finished node; NULL: unfinished */
    mc_json *journal; /* an object, of an unfinished node */
    int32_t damaged;  /* 1: it was finished, and a file is not what was written */
} mc_store_node;
/* Finds or makes the node. fresh: what an unfinished one holds is removed. */
int32_t mc_store_node_open(mc_store_node *n, const mc_store *s, const char key[65], int32_t fresh);
void mc_store_node_close(mc_store_node *n);
int32_t mc_store_node_path(const mc_store_node *n, const char *file, mc_str *out); /* out is set anew */
int32_t mc_store_node_keep(const mc_store_node *n);                  /* writes the journal */
int32_t mc_store_node_reread(mc_store_node *n);                      /* the journal as it was written */
/* Writes node.json with these facts (handed over) and removes what an unfinished node needs. */
int32_t mc_store_node_finish(mc_store_node *n, mc_json *facts);

/* Makes a folder and those above it. */
int32_t mc_store_make_folder(const char *path);
int32_t mc_store_write(const char *path, const char *text, uint64_t bytes, int32_t overwrite);
int32_t mc_store_hash_file(const char *path, char hex[65]);

#endif
