/* Bounded reader of protobuf's wire format: varints of at most 10 bytes, lengths checked against the enclosing message
 * before anything is touched, groups refused. Only the pre-pass needs it; messages are packed and unpacked by protobuf-c. */
#include "onnx/internal.h"

int32_t mc_wire_fail(const mc_wire *w, const uint8_t *at, int32_t code, const char *what)
{
    return mc_fail(code, w->where, "%s at byte %llu", what, (unsigned long long)(at - w->base));
}

int32_t mc_wire_varint(mc_wire *w, uint64_t *v)
{
    const uint8_t *start = w->p;
    uint64_t r = 0;
    for (int shift = 0; shift < 70; shift += 7) {
        if (w->p == w->end) return mc_wire_fail(w, start, MCOMP_FORMAT, "a number is cut off");
        const uint8_t b = *w->p++;
        if (shift == 63 && b > 1) break;
        r |= (uint64_t)(b & 0x7f) << shift;
        if (!(b & 0x80)) {
            *v = r;
            return MCOMP_OK;
        }
    }
    return mc_wire_fail(w, start, MCOMP_FORMAT, "a number is longer than 64 bits");
}

int32_t mc_wire_next(mc_wire *w, mc_wire_field *f)
{
    const uint8_t *start = w->p;
    uint64_t tag, n = 0;
    int32_t st = mc_wire_varint(w, &tag);
    if (st != MCOMP_OK) return st;
    if (tag > UINT32_MAX || (tag >> 3) == 0) return mc_wire_fail(w, start, MCOMP_FORMAT, "invalid field number");
    f->number = (uint32_t)(tag >> 3);
    f->type = (int32_t)(tag & 7);
    f->data = w->p;
    switch (f->type) {
    case 0:
        st = mc_wire_varint(w, &n);
        n = (uint64_t)(w->p - f->data);
        w->p = f->data;
        break;
    case 1: n = 8; break;
    case 2:
        st = mc_wire_varint(w, &n);
        f->data = w->p;
        break;
    case 5: n = 4; break;
    default: return mc_wire_fail(w, start, MCOMP_FORMAT, "invalid wire type");
    }
    if (st != MCOMP_OK) return st;
    if (n > (uint64_t)(w->end - w->p)) return mc_wire_fail(w, start, MCOMP_FORMAT, "a field is longer than its message");
    f->bytes = n;
    w->p += n;
    return MCOMP_OK;
}

size_t mc_wire_put(uint8_t out[10], uint64_t v)
{
    size_t n = 0;
    for (; v >= 0x80; v >>= 7) out[n++] = (uint8_t)(v | 0x80);
    out[n++] = (uint8_t)v;
    return n;
}
