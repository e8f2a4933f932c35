/* Any bytes as a safetensors file; bytes that start with '{' (no length of a header that fits starts so) also as the index of a sharded
 * set. What opens must be readable to the last byte, and now and then it is written, read again and compared. */
#include <stdio.h>
#include <unistd.h>

#include "fuzz/fuzz.h"
#include "safetensors/safetensors.h"

static void must(int ok)
{
    if (!ok) __builtin_trap();
}

static uint64_t touch(const mc_st_tensor *e)
{
    mc_tensor *t;
    uint64_t sum = 0;
    must(mc_safetensors_tensor(e, &t) == MCOMP_OK && mc_tensor_bytes(t) == e->bytes);
    for (uint64_t i = 0; i < e->bytes; i++) sum += ((const uint8_t *)t->data)[i];
    mc_tensor_destroy(t);
    return sum;
}

static void save_and_open(const mc_safetensors *s, int sharded)
{
    const mcomp_save_options o = {.size = sizeof o, .overwrite = 1, .shard_bytes = sharded ? 1 : 0};
    char path[64], index[80];
    mc_graph *g;
    mc_safetensors *again = NULL;
    must(mc_graph_create(&g, "fuzz") == MCOMP_OK);
    for (int64_t i = 0; i < s->n; i++) {
        mc_tensor *t;
        mc_value *v;
        must(mc_safetensors_tensor(&s->tensor[i], &t) == MCOMP_OK && mc_graph_add_const(g, s->tensor[i].name, t, &v) == MCOMP_OK);
    }
    for (int64_t i = 0; i < s->n_meta && i < 100; i++) must(mc_graph_set_meta(g, s->meta[i].key, s->meta[i].value) == MCOMP_OK);
    snprintf(path, sizeof path, "/tmp/mcomp-fuzz-%ld.safetensors", (long)getpid());
    snprintf(index, sizeof index, "%s.index.json", path);
    must(mc_safetensors_save(g, path, &o) == MCOMP_OK && mc_safetensors_open(&again, NULL, sharded ? index : path, 0) == MCOMP_OK && again->n == s->n);
    for (int64_t i = 0; i < s->n; i++) {
        const mc_st_tensor *a = &s->tensor[i], *b = mc_safetensors_find(again, a->name);
        must(b && a->dtype == b->dtype && mc_shape_equal(&a->shape, &b->shape) && touch(a) == touch(b));
    }
    mc_safetensors_close(again);
    if (sharded) { /* an empty set in its place takes the shards away */
        mc_graph *empty;
        must(mc_graph_create(&empty, "empty") == MCOMP_OK && mc_safetensors_save(empty, path, &o) == MCOMP_OK);
        mc_graph_destroy(empty);
        must(mc_safetensors_open(&again, NULL, index, 0) == MCOMP_OK && again->n == 0);
        mc_safetensors_close(again);
    }
    mc_graph_destroy(g);
    (void)unlink(sharded ? index : path);
}

static void as_index(const uint8_t *data, size_t size)
{
    char path[64];
    mc_safetensors *s;
    snprintf(path, sizeof path, "/tmp/mcomp-fuzz-%ld.index.json", (long)getpid());
    FILE *f = fopen(path, "wb");
    must(f != NULL && fwrite(data, 1, size, f) == size);
    must(fclose(f) == 0);
    mc_error_clear();
    if (mc_safetensors_open(&s, NULL, path, 0) == MCOMP_OK) must(s->n == 0); /* there are no shards to be found */
    else must(!s && mc_error_peek()->message[0]);
    mc_safetensors_close(s);
    (void)unlink(path);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    mc_safetensors *s = NULL;
    uint64_t covered = 0;
    mc_error_clear();
    if (size && data[0] == '{' && size < 4096) as_index(data, size);
    mc_error_clear();
    const int32_t st = mc_safetensors_open_memory(&s, NULL, data, size);
    if (st != MCOMP_OK) {
        must(!s && st < 0 && mc_error_peek()->message[0]); /* a failure has a code and a reason */
        return 0;
    }
    for (int64_t i = 0; i < s->n; i++) {
        covered += s->tensor[i].bytes;
        (void)touch(&s->tensor[i]);
        must(mc_safetensors_find(s, s->tensor[i].name) == &s->tensor[i]);
    }
    must(covered <= size);
    const uint64_t h = mc_hash64(data, size, 1);
    if (s->n <= 32 && h % 16 == 0) save_and_open(s, h % 64 == 0);
    mc_safetensors_close(s);
    return 0;
}
