/* One stream of ids for the objective next-token: all the text, encoded without special ids, cut into windows that follow one another. The
 * window of sample i holds ids iN .. iN+N-1 and its targets are ids iN+1 .. iN+N; what is left at the end is not used. */
#include "data/text.h"

int32_t mc_stream_open(mcomp_dataset *d, int64_t *rows)
{
    int32_t st = MCOMP_OK;
    int64_t cap = 0, n = 0;
    for (int64_t i = 0; i < d->table.n; i++) {
        const mc_row *r = &d->table.rows[i];
        MC_TRY(mc_encoder_run(d->encoder, r->text, r->text_len, 0, 0));
        MC_TRY(mc_grow(&d->stream, &cap, n + d->encoder->n + 1, sizeof *d->stream));
        if (d->encoder->n) memcpy(d->stream + n, d->encoder->ids, sizeof *d->stream * (size_t)d->encoder->n);
        n += d->encoder->n;
    }
    *rows = n > 0 ? (n - 1) / d->max_length : 0;
    if (*rows == 0) {
        (void)mc_fail(MCOMP_DATA, "next-token", "the stream has %lld ids, a window and its target take %lld", (long long)n, (long long)d->max_length + 1);
        (void)mc_fail_hint("give more text or a smaller max_length");
        st = MCOMP_DATA;
    }
done:
    return st;
}
