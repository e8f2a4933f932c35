/* Strided walks over index spaces, and moving elements with them: what broadcasting and all data movement is made of. */
#include "ops/internal.h"

void mc_contiguous_strides(const mc_shape *s, int64_t stride[MC_MAX_RANK])
{
    int64_t n = 1;
    for (int32_t i = s->rank - 1; i >= 0; i--) {
        stride[i] = n;
        n *= s->dim[i];
    }
}

/* Axis `a` (outer) and the one just taken can be one axis for every operand. */
static int mergeable(const mc_walk *w, const int64_t outer[][MC_MAX_RANK], int32_t a, int64_t inner_dim, const int64_t *inner_stride)
{
    for (int32_t k = 0; k < w->n; k++)
        if (outer[k][a] != inner_stride[k] * inner_dim) return 0;
    return 1;
}

void mc_walk_init(mc_walk *w, const mc_shape *space, int32_t n, int64_t stride[][MC_MAX_RANK])
{
    int64_t dim[MC_MAX_RANK], st[MC_MAX_RANK][MC_WALK_OPERANDS] = {{0}};
    int32_t axes = 0; /* merged axes, innermost first */
    memset(w, 0, sizeof *w);
    w->n = n;
    w->rows = 1;
    for (int32_t a = space->rank - 1; a >= 0; a--) {
        if (space->dim[a] == 0) w->rows = 0;
        if (space->dim[a] == 1) continue;
        if (axes > 0 && mergeable(w, (const int64_t(*)[MC_MAX_RANK])stride, a, dim[axes - 1], st[axes - 1])) {
            dim[axes - 1] *= space->dim[a];
            continue;
        }
        dim[axes] = space->dim[a];
        for (int32_t k = 0; k < n; k++) st[axes][k] = stride[k][a];
        axes++;
    }
    w->inner = axes ? dim[0] : 1;
    for (int32_t k = 0; k < n; k++) w->step[k] = st[0][k];
    w->rank = axes ? axes - 1 : 0;
    for (int32_t i = 0; i < w->rank; i++) { /* outermost first */
        w->dim[i] = dim[axes - 1 - i];
        w->rows *= w->dim[i];
        for (int32_t k = 0; k < n; k++) w->stride[k][i] = st[axes - 1 - i][k];
    }
}

/* Every axis of s is 1 or that of the space: nothing can be read out of bounds. */
static int fits(const mc_shape *s, const mc_shape *space)
{
    const int32_t skip = space->rank - s->rank;
    for (int32_t i = 0; i < s->rank; i++)
        if (skip < 0 || (s->dim[i] != 1 && s->dim[i] != space->dim[skip + i])) return 0;
    return 1;
}

int32_t mc_walk_broadcast(mc_walk *w, const mc_op_run *r, const mc_shape *space, int32_t n, const mc_tensor *const *t)
{
    int64_t stride[MC_WALK_OPERANDS][MC_MAX_RANK];
    char a[96], b[96];
    mc_contiguous_strides(space, stride[0]);
    for (int32_t k = 0; k < n; k++) {
        if (!fits(&t[k]->shape, space))
            return mc_op_fail(r, MCOMP_SHAPE, "%s does not broadcast to %s", mc_shape_text(&t[k]->shape, a, sizeof a),
                              mc_shape_text(space, b, sizeof b));
        mc_shape_broadcast_strides(&t[k]->shape, space, stride[k + 1]);
    }
    mc_walk_init(w, space, n + 1, stride);
    return MCOMP_OK;
}

void mc_walk_next(mc_walk *w)
{
    for (int32_t a = w->rank - 1; a >= 0; a--) {
        for (int32_t k = 0; k < w->n; k++) w->off[k] += w->stride[k][a];
        if (++w->at[a] < w->dim[a]) return;
        for (int32_t k = 0; k < w->n; k++) w->off[k] -= w->stride[k][a] * w->dim[a];
        w->at[a] = 0;
    }
}

#define MOVE_AS(T)                                                                                                     \
    MC_WALK_ROWS(&w)                                                                                                   \
    {                                                                                                                  \
        T *d = (T *)to->data + to_off + w.off[0];                                                                      \
        const T *s = (const T *)from->data + from_off + w.off[1];                                                      \
        if (w.step[0] == 1 && w.step[1] == 1) {                                                                        \
            memcpy(d, s, sizeof(T) * (size_t)w.inner);                                                                 \
            continue;                                                                                                  \
        }                                                                                                              \
        for (int64_t i = 0; i < w.inner; i++) d[i * w.step[0]] = s[i * w.step[1]];                                     \
    }

static void move_packed(uint8_t *to, int64_t to_i, const uint8_t *from, int64_t from_i, int32_t bits)
{
    const int32_t per = 8 / bits, ts = (int32_t)(to_i % per) * bits, fs = (int32_t)(from_i % per) * bits;
    const uint32_t mask = (1u << bits) - 1, v = (uint32_t)from[from_i / per] >> fs & mask;
    to[to_i / per] = (uint8_t)((to[to_i / per] & ~(mask << ts)) | v << ts);
}

void mc_move_one(mc_tensor *to, int64_t to_i, const mc_tensor *from, int64_t from_i)
{
    switch (mc_dtype_bits(to->dtype)) {
    case 8: ((uint8_t *)to->data)[to_i] = ((const uint8_t *)from->data)[from_i]; break;
    case 16: ((uint16_t *)to->data)[to_i] = ((const uint16_t *)from->data)[from_i]; break;
    case 32: ((uint32_t *)to->data)[to_i] = ((const uint32_t *)from->data)[from_i]; break;
    case 64: ((uint64_t *)to->data)[to_i] = ((const uint64_t *)from->data)[from_i]; break;
    case 128: memcpy((uint8_t *)to->data + 16 * to_i, (const uint8_t *)from->data + 16 * from_i, 16); break;
    case 4: move_packed(to->data, to_i, from->data, from_i, 4); break;
    case 2: move_packed(to->data, to_i, from->data, from_i, 2); break;
    default: break;
    }
}

void mc_move(mc_tensor *to, int64_t to_off, const int64_t *to_stride, const mc_tensor *from, int64_t from_off,
             const int64_t *from_stride, const mc_shape *space)
{
    int64_t stride[2][MC_MAX_RANK];
    mc_walk w;
    for (int32_t i = 0; i < space->rank; i++) {
        stride[0][i] = to_stride[i];
        stride[1][i] = from_stride[i];
    }
    mc_walk_init(&w, space, 2, stride);
    switch (mc_dtype_bits(to->dtype)) {
    case 8: MOVE_AS(uint8_t) break;
    case 16: MOVE_AS(uint16_t) break;
    case 32: MOVE_AS(uint32_t) break;
    case 64: MOVE_AS(uint64_t) break;
    default:
        MC_WALK_ROWS(&w)
        {
            for (int64_t i = 0; i < w.inner; i++)
                mc_move_one(to, to_off + w.off[0] + i * w.step[0], from, from_off + w.off[1] + i * w.step[1]);
        }
        break;
    }
}

int32_t mc_move_broadcast(const mc_op_run *r, mc_tensor *to, const mc_tensor *from)
{
    int64_t ts[MC_MAX_RANK], fs[MC_MAX_RANK];
    mc_walk w;
    const int32_t st = mc_walk_broadcast(&w, r, &to->shape, 1, &from);
    if (st != MCOMP_OK) return st;
    mc_contiguous_strides(&to->shape, ts);
    mc_shape_broadcast_strides(&from->shape, &to->shape, fs);
    mc_move(to, 0, ts, from, 0, fs, &to->shape);
    return MCOMP_OK;
}

void mc_move_all(mc_tensor *to, const mc_tensor *from)
{
    const uint64_t bytes = mc_tensor_bytes(to);
    if (bytes) memcpy(to->data, from->data, (size_t)bytes);
}

void mc_move_mapped(mc_tensor *to, const mc_tensor *from, const int64_t *const *map, const mc_tensor *fill)
{
    int64_t at[MC_MAX_RANK] = {0}, stride[MC_MAX_RANK];
    const int32_t rank = to->shape.rank;
    const int64_t n = mc_tensor_elements(to);
    mc_contiguous_strides(&from->shape, stride);
    for (int64_t i = 0; i < n; i++) {
        int64_t off = 0;
        int inside = 1;
        for (int32_t a = 0; a < rank; a++) {
            inside &= map[a][at[a]] >= 0;
            off += map[a][at[a]] * stride[a];
        }
        if (inside) mc_move_one(to, i, from, off);
        else if (fill) mc_move_one(to, i, fill, 0);
        for (int32_t a = rank - 1; a >= 0 && ++at[a] == to->shape.dim[a]; a--) at[a] = 0;
    }
}

int32_t mc_run_expect(const mc_op_run *r, int32_t k, const mc_shape *want)
{
    char a[96], b[96];
    if (mc_shape_equal(&r->out[k]->shape, want)) return MCOMP_OK;
    return mc_op_fail(r, MCOMP_SHAPE, "the result has shape %s, not %s", mc_shape_text(want, a, sizeof a),
                      mc_shape_text(&r->out[k]->shape, b, sizeof b));
}
