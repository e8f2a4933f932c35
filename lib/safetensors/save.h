/* safetensors/save.h - private to the writer: what is written, and its pieces. */
#ifndef MC_SAFETENSORS_SAVE_H
#define MC_SAFETENSORS_SAVE_H

#include "safetensors/internal.h"

typedef struct mc_st_item {
    const char *name;
    const mc_tensor *t;
    int32_t order;
    int64_t shard;
} mc_st_item;

typedef struct mc_st_output {
    const char *path;
    const mc_graph *g;
    int32_t overwrite;
    mc_st_item *items; /* in the order of the file */
    int64_t n, cap;
    mc_map *taken;
    mc_arena *arena; /* made-up names */
    int64_t n_shards;
} mc_st_output;

/* Text as a JSON string; what is no UTF-8 is refused. */
int32_t mc_st_quote(mc_str *out, const char *text, const char *what);
/* The items of one shard as a file. */
int32_t mc_st_file_out(const mc_st_output *o, int64_t shard, const char *path, int32_t overwrite);
/* All items in shards with at most limit bytes of tensors, and their index. */
int32_t mc_st_shards_out(mc_st_output *o, uint64_t limit);

#endif
