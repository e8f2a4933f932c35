/* tests/fuzz/fuzz.h - what targets, seed makers and the replay driver share. */
#ifndef MC_FUZZ_H
#define MC_FUZZ_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Calls give(payload, data, size) for each seed of the target. */
typedef void (*mc_fuzz_give)(void *payload, const uint8_t *data, size_t size);
void mc_fuzz_seeds(mc_fuzz_give give, void *payload);

#endif
