/* backends/onednn/plugin.h - private: what the files of the plugin share.
 *
 * A program is one node: a list of primitives (one a tile shape), packed weights, and a list of tiles. Primitives are made and
 * run by one thread each (no OpenMP team), on tiles that parallel_for hands out, with scratchpads from the worker's scratch.
 */
#ifndef MC_ONEDNN_PLUGIN_H
#define MC_ONEDNN_PLUGIN_H

#include <mcomp/backend.h>

#include "dnnl_compat.h"

#define DN_MAX_PRIMITIVES 24
#define DN_EXEC_US 3.0 /* one execution's own cost: argument map, memory objects */

typedef struct dn_primitive {
    dnnl_primitive_t p;
    dc_md src, dst, scratch;
    uint64_t scratch_bytes;
    int64_t key[4]; /* tile shape it is for */
} dn_primitive;

struct mcomp_bk_instance {
    dnnl_engine_t engine;
    dnnl_primitive_attr_t attr; /* user scratchpad; BF16 arithmetic if asked for */
    int32_t bf16;
};

typedef struct dn_epilogue {
    mcomp_epilogue_f32 e;
    int32_t slot[4]; /* of bias, residual, gamma, beta; -1 none */
} dn_epilogue;

struct mcomp_bk_program {
    mcomp_bk_instance *b;
    int32_t (*run)(const mcomp_bk_program *p, const mcomp_run_args *a);
    dn_primitive list[DN_MAX_PRIMITIVES];
    int32_t n;
    dc_md weights;
    const void *packed;
    uint64_t scratch_bytes; /* a worker */
    int32_t x, y;           /* slots */
    dn_epilogue e;
    int64_t k, m;           /* channels in and out */
    int64_t geometry[20];   /* conv.c */
};

extern const mcomp_host_api *dn_host;

/* ---- primitive.c ---- */
/* This thread runs primitives without a team from now on. */
void dn_single_thread(void);
/* Makes a primitive from pd and consumes pd. weights NULL: the first one decides p->weights. MCOMP_UNSUPPORTED if the
 * implementation is a reference one. */
int32_t dn_add(mcomp_bk_program *p, dnnl_primitive_desc_t pd, const int64_t key[4]);
const dn_primitive *dn_find(const mcomp_bk_program *p, const int64_t key[4]);
/* 1 if pd's implementation is usable; consumes pd. */
int dn_usable(dnnl_primitive_desc_t pd);
int32_t dn_execute(const mcomp_bk_program *p, const dn_primitive *k, const void *src, void *dst, void *scratch);
/* Reorders the constant (plain layout `from`) into p->weights once a session. */
int32_t dn_pack(mcomp_bk_program *p, const mcomp_bk_compile *c, const mcomp_bk_value *v, const dc_md *from, const char *what);
/* One reorder by pd; 0 = done. */
int dn_reorder_run(mcomp_bk_instance *b, dnnl_primitive_desc_t pd, const dc_md *from, const dc_md *to, const void *data, void *out);
void dn_program_clear(mcomp_bk_program *p); /* frees what a program holds, not the program */
int32_t dn_slot(const mcomp_bk_compile *c, const mcomp_bk_value *v);
int32_t dn_fail(int32_t code, const mcomp_bk_node *n, const char *message);

/* ---- epilogue.c ---- */
/* Activations and operand slots; input indices of bias, residual, gamma, beta (-1: the operator has none). 0: unknown. */
int dn_epilogue_read(const mcomp_bk_node *n, const mcomp_bk_compile *c, const int32_t index[4], dn_epilogue *e);
/* Rows of m outputs at element offset `at` of Y. */
void dn_epilogue_run(const mcomp_bk_program *p, const mcomp_run_args *a, int64_t at, int64_t rows);

/* ---- operators ---- */
int32_t dn_linear_claim(mcomp_bk_instance *b, const mcomp_bk_node *n, mcomp_claim *out);
int32_t dn_linear_compile(mcomp_bk_program *p, const mcomp_bk_compile *c);
int32_t dn_conv_claim(mcomp_bk_instance *b, const mcomp_bk_node *n, mcomp_claim *out);
int32_t dn_conv_compile(mcomp_bk_program *p, const mcomp_bk_compile *c);
int32_t dn_self_test(mcomp_bk_instance *b);
/* Multiply-adds a nanosecond of the tier, from measurements. */
double dn_rate(void);

#endif
