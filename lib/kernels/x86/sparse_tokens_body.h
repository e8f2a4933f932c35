/* x86/sparse_tokens_body.h - 4x1 sparse integer GEMM with rows of the left operand in the vector lanes; the body of every x86 tier.
 *
 * A group of GROUP rows is transposed once into lines [depth][GROUP], one byte a row. Four lines that a quad names are interleaved
 * byte by byte, so that every 32-bit lane holds the quad's four inputs of one row; the 16 weights are broadcast, four to a lane.
 * The interleaving serves four columns: that is what the 4x1 pattern buys. A strip's sums stay in registers (PASSES: the lines are
 * taken in halves where registers are few). Sums of four strips then go through 4 KiB to whole rows of 16 columns.
 *
 * The includer defines NAME(x), vec (GROUP bytes), PASSES, CHAINS (1 or 2), LINE_SCALE (GROUP / 8: places are 8 * input) and, on vec: vec_load,
 * vec_store, vec_quad (broadcast), vec_lo8, vec_hi8, vec_lo16, vec_hi16, vec_lo32, vec_hi32, vec_lo64, vec_hi64 (interleave within
 * 128 bits), vec_sum, vec_dot(sum, bytes, weights), vec_row(const int32_t *const p[4], int32_t *out) (four times 16 bytes to a row), and
 * vec_lines(const uint8_t *const p[]): 16 bytes from each of GROUP / 16 addresses.
 */
#define GROUP ((int64_t)sizeof(vec))
#define LANES16 (GROUP / 16) /* 128-bit lanes */
#define VECS (4 / PASSES)    /* vectors of rows in a pass */

/* Byte of a line in which row i of the group stands. One pass over the halves reaches GROUP / 2 rows if these come first. */
static inline int64_t NAME(byte_of)(int64_t i, int half) { return half ? i / 8 * 16 + i % 8 : i; }

static inline __attribute__((always_inline)) void NAME(interleave16)(const vec from[16], vec to[16])
{
#pragma GCC unroll 8
    for (int i = 0; i < 8; i++) {
        to[2 * i] = vec_lo8(from[i], from[i + 8]);
        to[2 * i + 1] = vec_hi8(from[i], from[i + 8]);
    }
}

/* Bytes of 16 vectors within 128 bits, rows to columns: an interleaving of i and i + 8 turns the 8-bit address (row, byte) by one
 * bit, and four of them swap row and byte. */
static inline __attribute__((always_inline)) void NAME(transpose16)(vec x[16])
{
    vec t[16];
    NAME(interleave16)(x, t);
    NAME(interleave16)(t, x);
    NAME(interleave16)(x, t);
    NAME(interleave16)(t, x);
}

/* n <= 16 bytes of every row from `at` on; nothing is read beyond them. */
static inline __attribute__((always_inline)) void NAME(load_block)(const uint8_t *const row[], int64_t at, const int64_t n, uint8_t *out)
{
    uint8_t end[16][sizeof(vec) / 16][16];
    vec x[16];
#pragma GCC unroll 16
    for (int i = 0; i < 16; i++) {
        const uint8_t *p[sizeof(vec) / 16];
#pragma GCC unroll 4
        for (int l = 0; l < LANES16; l++) {
            p[l] = row[l * 16 + i] + at;
            if (n < 16) p[l] = memcpy(end[i][l], p[l], (size_t)n);
        }
        x[i] = vec_lines(p);
    }
    NAME(transpose16)(x);
#pragma GCC unroll 16
    for (int i = 0; i < 16; i++)
        if (i < n) vec_store(out + i * GROUP, x[i]);
}

/* Rows `first` .. of the tile to lines; rows past `rows` repeat the last one, their sums are dropped. half: GROUP / 2 rows at most. */
static void NAME(load_group)(const mc_qgemm_tile *t, int64_t first, int64_t rows, int half, uint8_t *out)
{
    const uint8_t *row[sizeof(vec)];
    const int64_t run = t->shape.seg_len;
    for (int64_t i = 0; i < GROUP; i++) row[i] = t->rows[first + rows - 1];
    for (int64_t i = 0; i < rows; i++) row[NAME(byte_of)(i, half)] = t->rows[first + i];
    for (int64_t s = 0; s < t->shape.segments; s++) {
        const int64_t whole = run / 16 * 16;
        for (int64_t at = 0; at < whole; at += 16, out += 16 * GROUP) NAME(load_block)(row, t->seg[s] + at, 16, out);
        if (whole < run) NAME(load_block)(row, t->seg[s] + whole, run - whole, out);
        out += (run - whole) * GROUP;
    }
}

/* Sums of one strip over one pass of a group: c[column][vector]. Quads come in pairs; with CHAINS 2 each of a pair has sums of its
 * own, where half the vectors would wait for the product before. */
static inline __attribute__((always_inline)) void NAME(strip)(const uint8_t *lines, const mc_sparse_quad *q, const mc_sparse_quad *end,
                                                             const int32_t *init, const int high, vec c[4][VECS])
{
    vec sum[CHAINS][4][VECS];
#pragma GCC unroll 4
    for (int o = 0; o < 4; o++)
#pragma GCC unroll 4
        for (int v = 0; v < VECS; v++) {
            c[o][v] = sum[0][o][v] = vec_quad(init[o]);
            if (CHAINS > 1) sum[CHAINS - 1][o][v] = vec_quad(0);
        }
    if (q == end) return;
    do {
#pragma GCC unroll 2
        for (int twice = 0; twice < 2; twice++, q++) {
            const vec r0 = vec_load(lines + (int64_t)q->place[0] * LINE_SCALE), r1 = vec_load(lines + (int64_t)q->place[1] * LINE_SCALE);
            const vec r2 = vec_load(lines + (int64_t)q->place[2] * LINE_SCALE), r3 = vec_load(lines + (int64_t)q->place[3] * LINE_SCALE);
            vec x[4];
            if (PASSES == 1 || !high) {
                const vec a = vec_lo8(r0, r1), b = vec_lo8(r2, r3);
                x[0] = vec_lo16(a, b);
                x[1] = vec_hi16(a, b);
            }
            if (PASSES == 1 || high) {
                const vec a = vec_hi8(r0, r1), b = vec_hi8(r2, r3);
                x[4 - PASSES * 2] = vec_lo16(a, b);
                x[5 - PASSES * 2] = vec_hi16(a, b);
            }
#pragma GCC unroll 4
            for (int o = 0; o < 4; o++) {
                int32_t quad;
                memcpy(&quad, q->w[o], 4);
                const vec w = vec_quad(quad);
#pragma GCC unroll 4
                for (int v = 0; v < VECS; v++) sum[twice % CHAINS][o][v] = vec_dot(sum[twice % CHAINS][o][v], x[v], w);
            }
        }
    } while (q < end);
#pragma GCC unroll 4
    for (int o = 0; o < 4; o++)
#pragma GCC unroll 4
        for (int v = 0; v < VECS; v++) c[o][v] = CHAINS > 1 ? vec_sum(sum[0][o][v], sum[CHAINS - 1][o][v]) : sum[0][o][v];
}

/* Columns to rows within 128 bits: 16 bytes of four columns for each row, in the order [vector][row in four][lane]. */
static inline void NAME(turn)(vec c[4][VECS], int32_t *out)
{
#pragma GCC unroll 4
    for (int v = 0; v < VECS; v++) {
        const vec a = vec_lo32(c[0][v], c[1][v]), b = vec_hi32(c[0][v], c[1][v]);
        const vec d = vec_lo32(c[2][v], c[3][v]), e = vec_hi32(c[2][v], c[3][v]);
        int32_t *o = out + v * 4 * (GROUP / 4);
        vec_store(o, vec_lo64(a, d));
        vec_store(o + GROUP / 4, vec_hi64(a, d));
        vec_store(o + 2 * (GROUP / 4), vec_lo64(b, e));
        vec_store(o + 3 * (GROUP / 4), vec_hi64(b, e));
    }
}

/* Sums of four strips, one pass, to the rows of the tile. A lane holds 16 / PASSES rows that follow each other. */
static inline void NAME(rows_out)(const mc_qgemm_tile *t, int32_t sums[4][VECS * 4 * (sizeof(vec) / 4)], int64_t first, int64_t rows, int half,
                                  int high, int64_t col)
{
    const int64_t step = half ? 16 / PASSES : 16; /* rows from lane to lane */
    for (int64_t lane = 0; lane < LANES16; lane++) {
        const int64_t row = lane * step + high * 8, left = rows - row < VECS * 4 ? rows - row : VECS * 4;
        int32_t *out = t->acc + (first + row) * t->ld_acc + col;
        for (int64_t i = 0; i < left; i++, out += t->ld_acc) {
            const int64_t at = i * (GROUP / 4) + lane * 4;
            const int32_t *p[4] = {sums[0] + at, sums[1] + at, sums[2] + at, sums[3] + at};
            vec_row(p, out);
        }
    }
}

/* Rows of a group x 16 columns from column `col` of the tile. */
static void NAME(panel)(const mc_qgemm_tile *t, const uint8_t *lines, int64_t first, int64_t rows, int half, int64_t col)
{
    const uint32_t *start = (const uint32_t *)t->packed + (t->n0 + col) / 4;
    const mc_sparse_quad *q = sparse_quads(&t->shape, t->packed);
    const int32_t *init = t->init + t->n0 + col;
    _Alignas(64) int32_t sums[4][VECS * 4 * (sizeof(vec) / 4)];
    for (int high = 0; high < (half ? 1 : PASSES); high++) {
        for (int s = 0; s < 4; s++) {
            vec c[4][VECS];
            if (PASSES == 1 || !high) NAME(strip)(lines, q + start[s], q + start[s + 1], init + s * 4, 0, c);
            else NAME(strip)(lines, q + start[s], q + start[s + 1], init + s * 4, 1, c);
            NAME(turn)(c, sums[s]);
        }
        NAME(rows_out)(t, sums, first, rows, half, high, col);
    }
}

#undef GROUP
#undef LANES16
#undef VECS
