/* distill/store.h - private: what the two halves of the store share. */
#ifndef MC_DISTILL_STORE_H
#define MC_DISTILL_STORE_H

#include "distill/distill.h"

#define MC_SHARD_BYTES (8u << 20) /* a shard is written when it has this size */

/* A shard: MC_SHARD_MAGIC, then records one after another, each at a multiple of 8 bytes:
 * key (hex), payload bytes and checksum as uint64, payload. Byte order is the machine's, as it is a cache. */
#define MC_SHARD_MAGIC "mckd\1\0\0\0"
#define MC_SHARD_HEAD 8
typedef struct mc_record {
    char key[MC_KD_KEY];
    uint64_t bytes, check; /* check: mc_hash64 of the payload, with that of the key as its seed */
} mc_record;

typedef struct mc_shard {
    mc_mapping map; /* of a file */
    mc_str own;     /* or memory */
} mc_shard;

struct mc_kd_store {
    char *folder, *group; /* NULL: memory */
    uint64_t limit, bytes;
    mc_shard *shards;
    int64_t n_shards, cap_shards;
    struct mc_entry {
        const uint8_t *data;
        uint64_t bytes;
    } *entries;
    int64_t n_entries, cap_entries, damaged;
    mc_map *index; /* key -> entry */
    mc_str pending;
    int64_t n_pending;
};

int32_t mc_kd_store_adopt(mc_kd_store *s, mc_shard *shard); /* takes over the shard, also on failure; damaged records are left out */
/* Files: adopts every shard of the group and counts the rest; writes one shard and maps it, making room first. */
int32_t mc_kd_store_scan(mc_kd_store *s);
int32_t mc_kd_store_write(mc_kd_store *s, mc_str *bytes); /* consumes bytes */

#endif
