/* safetensors/internal.h - private to the room: element types, header of one file, architectures. */
#ifndef MC_SAFETENSORS_INTERNAL_H
#define MC_SAFETENSORS_INTERNAL_H

#include "safetensors/safetensors.h"

/* header.c */
int32_t mc_st_dtype_of(const char *name);   /* MCOMP_UNDEFINED: not one of ours */
const char *mc_st_dtype_name(int32_t dtype); /* NULL: the format has no such type, or we do not read it */
int32_t mc_st_dtype_order(int32_t dtype);    /* the reference's order: by alignment */
/* Appends the tensors of one file to s and checks everything the header says of it. The buffer is taken over. */
int32_t mc_st_header_in(mc_safetensors *s, mcomp_context *ctx, mc_buffer *b, const char *where);
int32_t mc_st_add_meta(mc_safetensors *s, const char *key, const char *value);

/* An architecture: one file arch_<name>.c and one row in archs.def. */
typedef struct mc_arch_in {
    const mc_safetensors *s;
    const mc_json *config; /* config.json */
    const char *config_path;
    int32_t head;          /* classes of a fresh classifier, 0: none */
    uint64_t seed;
    mc_str *warnings;
} mc_arch_in;
typedef struct mc_arch {
    const char *name;
    int32_t (*build)(mc_arch_in *in, mc_graph **out);
} mc_arch;
#define MC_ARCH(name) int32_t mc_st_arch_##name(mc_arch_in *in, mc_graph **out);
#include "safetensors/archs.def"
#undef MC_ARCH
int32_t mc_st_warn(mc_str *warnings, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
