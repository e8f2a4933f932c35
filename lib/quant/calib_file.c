/* The .calib file, little-endian:
 *   "MCCALIB\n" | u32 version 1 | u32 tensors | u32 labels | u32 0 | fingerprint, 32 hex digits | i64 samples, skipped
 *   | labels i64[] | tensors | SHA-256 of everything before, 64 hex digits
 * tensor: u32 name bytes, name | i32 channel axis | i32 exponent | u64 count, zeros, batches | f64 batch_min_sum,
 *   batch_max_sum, min, max, sum, sumsq | u32 first bin, u32 bins, u64[bins] | u32 channels, f32 absmax[], f64 sumsq[]
 * The checksum is compared first, so a truncated or damaged file is refused whole; the rest is still read with bounds. */
#include "quant/calibrator.h"

#include <math.h>

static const char magic[8] = {'M', 'C', 'C', 'A', 'L', 'I', 'B', '\n'};
enum { VERSION = 1, HASH = 64, TENSOR_LEAST = 100, MAX_TENSORS = 65536 }; /* a tensor takes 100 bytes in the file, but 32 KiB in memory */

static int32_t put(mc_str *s, uint64_t v, int bytes)
{
    uint8_t b[8];
    for (int i = 0; i < bytes; i++) b[i] = (uint8_t)(v >> (8 * i));
    return mc_str_append_bytes(s, b, (size_t)bytes);
}

static int32_t put_f64(mc_str *s, double v)
{
    uint64_t u;
    memcpy(&u, &v, 8);
    return put(s, u, 8);
}

static int32_t put_sketch(mc_str *o, const mc_sketch *s)
{
    const double d[6] = {s->batch_min_sum, s->batch_max_sum, s->min, s->max, s->sum, s->sumsq};
    int32_t st = MCOMP_OK, first = 0, last = MC_SKETCH_BINS - 1;
    while (first < MC_SKETCH_BINS && s->bin[first] == 0) first++;
    while (last > first && s->bin[last] == 0) last--;
    if (first == MC_SKETCH_BINS) first = 0, last = -1;
    MC_TRY(put(o, (uint32_t)s->exponent, 4));
    MC_TRY(put(o, s->count, 8));
    MC_TRY(put(o, s->zeros, 8));
    MC_TRY(put(o, s->batches, 8));
    for (int i = 0; i < 6; i++) MC_TRY(put_f64(o, d[i]));
    MC_TRY(put(o, (uint32_t)first, 4));
    MC_TRY(put(o, (uint32_t)(last - first + 1), 4));
    for (int32_t i = first; i <= last; i++) MC_TRY(put(o, s->bin[i], 8));
    MC_TRY(put(o, (uint32_t)s->channels, 4));
    for (int32_t i = 0; i < s->channels; i++) {
        uint32_t u;
        memcpy(&u, &s->ch_absmax[i], 4);
        MC_TRY(put(o, u, 4));
    }
    for (int32_t i = 0; i < s->channels; i++) MC_TRY(put_f64(o, s->ch_sumsq[i]));
done:
    return st;
}

int32_t mcomp_calibrator_save(const mcomp_calibrator *c, const char *path, int32_t overwrite)
{
    mc_str o = {0};
    mc_writer *w = NULL;
    char hash[65];
    int32_t st = MCOMP_OK;
    MC_API_ENTER();
    MC_CHECK_ARG(1, c, "c", "is NULL");
    MC_CHECK_ARG(2, path, "path", "is NULL");
    MC_TRY(mc_str_append_bytes(&o, magic, sizeof magic));
    MC_TRY(put(&o, VERSION, 4));
    MC_TRY(put(&o, (uint64_t)c->n, 4));
    MC_TRY(put(&o, (uint64_t)c->n_labels, 4));
    MC_TRY(put(&o, 0, 4));
    MC_TRY(mc_str_append_bytes(&o, c->fingerprint, 32));
    MC_TRY(put(&o, (uint64_t)c->samples, 8));
    MC_TRY(put(&o, (uint64_t)c->skipped, 8));
    for (int64_t i = 0; i < c->n_labels; i++) MC_TRY(put(&o, (uint64_t)c->labels[i], 8));
    for (int64_t i = 0; i < c->n; i++) {
        const mc_calib_tensor *t = &c->tensor[i];
        MC_TRY(put(&o, strlen(t->name), 4));
        MC_TRY(mc_str_append_bytes(&o, t->name, strlen(t->name)));
        MC_TRY(put(&o, (uint32_t)t->axis, 4));
        MC_TRY(put_sketch(&o, &t->total));
    }
    MC_TRY(mc_sha256_hex(o.data, (uint64_t)o.len, hash));
    MC_TRY(mc_str_append_bytes(&o, hash, HASH));
    MC_TRY(mc_writer_open(&w, path, overwrite));
    MC_TRY(mc_writer_write(w, o.data, (uint64_t)o.len));
    mc_writer *done_with = w;
    w = NULL;
    MC_TRY(mc_writer_commit(done_with));
done:
    mc_writer_abort(w);
    mc_str_free(&o);
    return st;
}

typedef struct reader {
    const uint8_t *p, *end;
    int32_t bad; /* something was missing: values read since are 0 */
} reader;

static const uint8_t *take(reader *r, uint64_t bytes)
{
    const uint8_t *at = r->p;
    if (r->bad || (uint64_t)(r->end - r->p) < bytes) {
        r->bad = 1;
        return NULL;
    }
    r->p += bytes;
    return at;
}

static uint64_t get(reader *r, int bytes)
{
    const uint8_t *b = take(r, (uint64_t)bytes);
    uint64_t v = 0;
    for (int i = 0; b && i < bytes; i++) v |= (uint64_t)b[i] << (8 * i);
    return v;
}

static double get_f64(reader *r)
{
    const uint64_t u = get(r, 8);
    double d;
    memcpy(&d, &u, 8);
    if (isnan(d)) r->bad = 1;
    return d;
}

static void get_sketch(reader *r, mc_sketch *s)
{
    uint64_t total = 0;
    const uint32_t exponent = (uint32_t)get(r, 4);
    s->exponent = exponent <= 128 || exponent >= (uint32_t)MC_SKETCH_MIN_EXP ? (int32_t)exponent : 0;
    s->count = get(r, 8);
    s->zeros = get(r, 8);
    s->batches = get(r, 8);
    s->batch_min_sum = get_f64(r);
    s->batch_max_sum = get_f64(r);
    s->min = get_f64(r);
    s->max = get_f64(r);
    s->sum = get_f64(r);
    s->sumsq = get_f64(r);
    const uint64_t first = get(r, 4), n = get(r, 4);
    if (first + n > MC_SKETCH_BINS || s->exponent != (int32_t)exponent) r->bad = 1;
    for (uint64_t i = 0; i < n && !r->bad; i++) total += s->bin[first + i] = get(r, 8);
    if (total != s->count || s->zeros > s->count) r->bad = 1;
    if (get(r, 4) != (uint64_t)s->channels) r->bad = 1;
    for (int32_t i = 0; i < s->channels && !r->bad; i++) {
        const uint32_t u = (uint32_t)get(r, 4);
        memcpy(&s->ch_absmax[i], &u, 4);
    }
    for (int32_t i = 0; i < s->channels && !r->bad; i++) s->ch_sumsq[i] = get_f64(r);
}

/* Number of channels of the sketch at the reader, without moving it. */
static uint32_t peek_channels(const reader *r)
{
    reader t = *r;
    take(&t, 4 + 3 * 8 + 6 * 8 + 4);
    take(&t, get(&t, 4) * 8);
    return (uint32_t)get(&t, 4);
}

static int32_t read_tensor(reader *r, mcomp_calibrator *c, const char *path)
{
    char *name = NULL;
    int64_t at;
    int32_t st = MCOMP_OK;
    const uint64_t bytes = get(r, 4);
    const uint8_t *text = take(r, bytes);
    const int32_t axis = (int32_t)(uint32_t)get(r, 4);
    const uint32_t channels = peek_channels(r);
    if (!text || r->bad || memchr(text, 0, (size_t)bytes) || axis < -1 || axis >= MC_MAX_RANK || channels > MC_SKETCH_CHANNELS)
        MC_FAIL(MCOMP_FORMAT, path, "damaged entry of a tensor");
    name = mc_strndup((const char *)text, (size_t)bytes);
    if (!name) MC_FAIL(MCOMP_NO_MEMORY, path, "no memory for a tensor's name");
    if (mc_map_get(c->names, name, NULL)) MC_FAIL(MCOMP_FORMAT, path, "a tensor occurs twice");
    MC_TRY(mc_calib_tensor_add(c, name, axis, (int32_t)channels, &at));
    get_sketch(r, &c->tensor[at].total);
    if (r->bad) MC_FAIL(MCOMP_FORMAT, path, "damaged sketch of a tensor");
done:
    mc_free(name);
    return st;
}

static int32_t parse(const mc_mapping *m, mcomp_calibrator *c, const char *path)
{
    char hash[65];
    int32_t st = MCOMP_OK;
    reader r = {m->data, m->data + m->bytes, 0};
    if (m->bytes < sizeof magic || memcmp(m->data, magic, sizeof magic) != 0)
        MC_FAIL(MCOMP_FORMAT, path, "is not a calibration file");
    if (m->bytes < sizeof magic + HASH) MC_FAIL(MCOMP_FORMAT, path, "is truncated");
    take(&r, sizeof magic);
    const uint64_t version = get(&r, 4);
    if (version != VERSION)
        MC_FAIL(MCOMP_FORMAT, path, "is a calibration file of version %llu; this library reads version 1", (unsigned long long)version);
    MC_TRY(mc_sha256_hex(m->data, m->bytes - HASH, hash));
    if (memcmp(hash, m->data + m->bytes - HASH, HASH) != 0) MC_FAIL(MCOMP_FORMAT, path, "is truncated or damaged: wrong checksum");
    r.end -= HASH;
    const uint64_t tensors = get(&r, 4), labels = get(&r, 4);
    get(&r, 4);
    const uint8_t *fingerprint = take(&r, 32);
    if (!fingerprint || tensors > m->bytes / TENSOR_LEAST || labels > MC_CALIB_LABELS) MC_FAIL(MCOMP_FORMAT, path, "damaged header");
    if (tensors > MAX_TENSORS) MC_FAIL(MCOMP_LIMIT, path, "sketches of %llu tensors; %d are possible", (unsigned long long)tensors, MAX_TENSORS);
    memcpy(c->fingerprint, fingerprint, 32);
    c->samples = (int64_t)get(&r, 8);
    c->skipped = (int64_t)get(&r, 8);
    for (uint64_t i = 0; i < labels && !r.bad; i++) MC_TRY(mc_calib_label_add(c, (int64_t)get(&r, 8)));
    for (uint64_t i = 0; i < tensors; i++) MC_TRY(read_tensor(&r, c, path));
    if (r.bad || r.p != r.end || c->samples < 0 || c->samples > INT64_MAX / 2 || c->skipped < 0 || c->skipped > c->samples)
        MC_FAIL(MCOMP_FORMAT, path, "the contents do not add up");
done:
    return st;
}

int32_t mcomp_calibrator_load(mcomp_calibrator **out, mcomp_context *ctx, const mcomp_graph *g, const char *path)
{
    mcomp_calibrator *file = NULL, *c = NULL;
    mc_mapping m = {0};
    int32_t st = MCOMP_OK;
    MC_API_ENTER();
    MC_CHECK_ARG(1, out, "out", "is NULL");
    *out = NULL;
    MC_CHECK_ARG(2, ctx, "ctx", "is NULL");
    MC_CHECK_ARG(4, path, "path", "is NULL");
    MC_TRY(mc_file_map(path, &m));
    MC_TRY(mc_calib_new(&file, ctx));
    MC_TRY(parse(&m, file, path));
    if (g) {
        MC_TRY(mcomp_calibrator_create(&c, ctx, g));
        if (strcmp(c->fingerprint, file->fingerprint) != 0) {
            st = mc_fail(MCOMP_DATA, path, "was made with another model");
            mc_fail_hint("calibrate again with this model");
            goto done;
        }
        MC_TRY(mcomp_calibrator_merge(c, file));
        *out = c;
        c = NULL;
    } else {
        *out = file;
        file = NULL;
    }
done:
    mcomp_calibrator_destroy(c);
    mcomp_calibrator_destroy(file);
    mc_file_unmap(&m);
    return st;
}
