/* MatMulNBits(A [..., K], B, scales, zero points, -, bias): a weight of N rows of ceil(K / block) blocks of `bits` (2, 4, 8) bits an
 * element, the lowest bits first. Written out as
 *   MatMul(A, DequantizeLinear(W [K, N], scales [blocks, N], zero points, axis = 0, block_size)) + bias
 * with W of that many bits; that is the form in which the quantizers of other tools write it too. */
#include "onnx/foreign.h"

typedef struct nbits {
    int64_t k, n, bits, block, blocks;
    int32_t dtype;
} nbits;

static int read(const mc_foreign *f, nbits *b)
{
    const mc_node *n = f->n;
    *b = (nbits){.k = mc_attr_i(n, "K", 0), .n = mc_attr_i(n, "N", 0), .bits = mc_attr_i(n, "bits", 4), .block = mc_attr_i(n, "block_size", 0)};
    if (b->k < 1 || b->n < 1 || b->block < 16 || b->block > 1 << 16 || b->k > INT32_MAX || b->n > INT32_MAX) return 0;
    b->dtype = b->bits == 2 ? MCOMP_U2 : b->bits == 4 ? MCOMP_U4 : b->bits == 8 ? MCOMP_U8 : 0;
    b->blocks = (b->k + b->block - 1) / b->block;
    return b->dtype && b->block * b->bits % 8 == 0;
}

static const mc_tensor *constant(const mc_foreign *f, int32_t i)
{
    const mc_value *v = mc_foreign_in(f, i);
    return v ? mc_value_const(v) : NULL;
}

static uint32_t element(const uint8_t *row, int64_t i, int64_t bits)
{
    return (uint32_t)(row[i * bits / 8] >> (i * bits % 8)) & ((1u << bits) - 1u);
}

/* [rows, bits of `width` elements, padded to bytes: `stride`] -> [width, rows] of the same bits. */
static mc_value *turned(mc_foreign *f, const nbits *b, const uint8_t *data, int64_t stride, int64_t width, const char *name)
{
    mc_tensor *t = NULL;
    mc_value *v = NULL;
    const mc_shape s = {.rank = 2, .dim = {width, b->n}};
    f->st = mc_tensor_create(&t, b->dtype, &s);
    if (f->st != MCOMP_OK) return NULL;
    uint8_t *to = t->data;
    memset(to, 0, (size_t)mc_tensor_bytes(t));
    for (int64_t r = 0; r < b->n; r++)
        for (int64_t i = 0; i < width; i++) {
            const int64_t at = (i * b->n + r) * b->bits;
            to[at / 8] = (uint8_t)(to[at / 8] | element(data + r * stride, i, b->bits) << at % 8);
        }
    f->st = mc_graph_add_const(f->g, name, t, &v);
    return f->st == MCOMP_OK ? v : NULL;
}

static mc_value *scales(mc_foreign *f, const nbits *b, const mc_tensor *from)
{
    mc_tensor *t = NULL;
    mc_value *v = NULL;
    const mc_shape s = {.rank = 2, .dim = {b->blocks, b->n}};
    f->st = mc_tensor_create(&t, from->dtype, &s);
    for (int64_t r = 0; f->st == MCOMP_OK && r < b->n; r++)
        for (int64_t i = 0; i < b->blocks; i++) mc_tensor_set_f64(t, i * b->n + r, mc_tensor_get_f64(from, r * b->blocks + i));
    if (f->st == MCOMP_OK) f->st = mc_graph_add_const(f->g, mc_foreign_in(f, 2)->name, t, &v);
    return f->st == MCOMP_OK ? v : NULL;
}

/* Packed like the weight; without them the middle of the range. */
static mc_value *zero_points(mc_foreign *f, const nbits *b, const mc_tensor *from)
{
    const int64_t stride = (b->blocks * b->bits + 7) / 8;
    mc_value *v = NULL;
    if (from) return turned(f, b, from->data, stride, b->blocks, mc_foreign_in(f, 3)->name);
    uint8_t *row = mc_malloc((size_t)(stride * b->n));
    if (!row) f->st = MCOMP_NO_MEMORY;
    if (row) memset(row, b->bits == 8 ? 0x80 : b->bits == 4 ? 0x88 : 0xaa, (size_t)(stride * b->n));
    if (row) v = turned(f, b, row, stride, b->blocks, NULL);
    mc_free(row);
    return v;
}

mc_value *mc_foreign_nbits(mc_foreign *f)
{
    nbits b;
    const mc_tensor *w = constant(f, 1), *s = constant(f, 2), *z = constant(f, 3);
    f->st = MCOMP_UNSUPPORTED;
    if (!read(f, &b) || !w || !s || w->dtype != MCOMP_U8 || !mc_dtype_is_float(s->dtype) || mc_foreign_in(f, 4)) return NULL;
    if (mc_foreign_in(f, 3) && (!z || z->dtype != MCOMP_U8 || mc_tensor_elements(z) != b.n * ((b.blocks * b.bits + 7) / 8))) return NULL;
    if (mc_tensor_elements(w) != b.n * b.blocks * (b.block * b.bits / 8) || mc_tensor_elements(s) != b.n * b.blocks) return NULL;
    f->st = MCOMP_OK;
    mc_value *in[3] = {turned(f, &b, w->data, b.blocks * b.block * b.bits / 8, b.k, mc_foreign_in(f, 1)->name), NULL, NULL};
    if (f->st == MCOMP_OK) in[1] = scales(f, &b, s);
    if (f->st == MCOMP_OK) in[2] = zero_points(f, &b, z);
    mc_node *d = mc_foreign_node(f, "DequantizeLinear", 3, in);
    if (!d) return NULL;
    f->st = mc_node_set_i(d, "axis", 0);
    if (f->st == MCOMP_OK) f->st = mc_node_set_i(d, "block_size", b.block);
    mc_value *const operands[2] = {mc_foreign_in(f, 0), d->out[0]}, *y = mc_foreign_op(f, "MatMul", 2, operands);
    mc_value *const sum[2] = {y, mc_foreign_in(f, 5)};
    return sum[1] ? mc_foreign_op(f, "Add", 2, sum) : y;
}
