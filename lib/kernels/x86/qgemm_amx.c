/* Integer GEMM with AMX tiles: tdpbusd multiplies a tile of 16 rows x 64 unsigned bytes by one of 64 x 16 signed ones and adds to
 * 16 x 16 sums of 32 bits without saturation, so sums are exact and equal to those of every other tier.
 *
 * Packed layout: [n/16 panels][depth/64 steps][16 quads][16 lanes][4], a quad being 4 consecutive weights of a run (runs padded to
 * 4 with zeros, end to end; zeros fill the last step). A step is one tile of 1 KiB.
 *
 * A tile of the left operand is up to 16 rows at one distance from each other. Rows of a matrix and pixels of one output row
 * are, and are read in place where runs are whole steps of 64 bytes; all else is copied once into tiles of 16 lines of 64 bytes,
 * runs end to end as in the packed weights. qgemm_load decides and leaves a plan for all columns.
 *
 * Register tile: 2 x 2 sums, two tiles of each operand.
 */
#include "kernels/rows.h"

#include <immintrin.h>
#include <string.h>

#define LANES MC_QGEMM_LANES
#define STEP 64           /* bytes of depth in a tile */
#define TILE_BYTES 1024
#define TILE_ROWS 16
#define BLOCK_BYTES 24576 /* rows x depth of a block: what stays in L1 while all columns pass */

/* Up to 16 rows, `stride` bytes apart; step s of row 0 is at base + off[s]. */
typedef struct row_group {
    const uint8_t *base;
    int64_t stride, rows;
} row_group;

/* At the start of qgemm_load's block; groups, offsets and panels follow. */
typedef struct plan {
    int64_t groups, steps;
    int64_t first, second; /* rows that the tiles of this thread are configured for; 0: not yet */
    row_group *group;
    int64_t *off;
} plan;

static int64_t run_bytes(const mc_qgemm_shape *s) { return (s->seg_len + 3) / 4 * 4; }
static int64_t steps_of(const mc_qgemm_shape *s) { return (s->segments * run_bytes(s) + STEP - 1) / STEP; }
static int64_t panels_of(int64_t cols) { return (cols + LANES - 1) / LANES; }
static int64_t tiles_of(int64_t m) { return (m + TILE_ROWS - 1) / TILE_ROWS; }
/* More groups than this, and copying pays. A tile of few rows takes less time, down to four. */
static int64_t most_groups(int64_t m) { return tiles_of(m) * 2; }
static int64_t up64(int64_t v) { return (v + 63) / 64 * 64; }
static int64_t head_bytes(const mc_qgemm_shape *s, int64_t m)
{
    return up64((int64_t)sizeof(plan) + most_groups(m) * (int64_t)sizeof(row_group) + steps_of(s) * 8);
}

uint64_t mc_k_int8_qgemm_packed_bytes_amx(const mc_qgemm_shape *s, const int8_t *w)
{
    (void)w;
    return (uint64_t)(panels_of(s->n) * steps_of(s) * TILE_BYTES);
}

void mc_k_int8_qgemm_pack_amx(const mc_qgemm_shape *s, const int8_t *w, void *out, int32_t *colsum)
{
    memset(out, 0, (size_t)mc_k_int8_qgemm_packed_bytes_amx(s, w));
    memset(colsum, 0, (size_t)(panels_of(s->n) * LANES) * sizeof *colsum);
    for (int64_t j = 0; j < s->n; j++) {
        int8_t *column = (int8_t *)out + j / LANES * steps_of(s) * TILE_BYTES + j % LANES * 4;
        for (int64_t g = 0; g < s->segments; g++)
            for (int64_t i = 0; i < s->seg_len; i++) {
                const int64_t at = g * run_bytes(s) + i;
                const int8_t v = w[(j * s->segments + g) * s->seg_len + i];
                column[at / 4 * STEP + at % 4] = v;
                colsum[j] += v;
            }
    }
}

uint64_t mc_k_int8_qgemm_loaded_bytes_amx(const mc_qgemm_shape *s, int64_t m)
{
    return (uint64_t)(head_bytes(s, m) + tiles_of(m) * steps_of(s) * TILE_BYTES);
}

/* ---- the left operand ---- */

/* Rows from `row` on that are equally spaced. */
static int64_t even_rows(const mc_qgemm_tile *t, int64_t row)
{
    int64_t n = t->m - row < 2 ? t->m - row : 2;
    while (row + n < t->m && t->rows[row + n] - t->rows[row + n - 1] == t->rows[row + 1] - t->rows[row]) n++;
    return n;
}

/* Cuts `rows` rows from `base` evenly into groups. */
static void add_groups(plan *p, const uint8_t *base, int64_t stride, int64_t rows)
{
    const int64_t size = (rows + tiles_of(rows) - 1) / tiles_of(rows);
    for (int64_t at = 0; at < rows; at += size)
        p->group[p->groups++] = (row_group){base + at * stride, stride, rows - at < size ? rows - at : size};
}

/* 1 if tiles can be loaded from the rows themselves; then the plan is made. */
static int in_place(const mc_qgemm_tile *t, plan *p)
{
    int64_t n = 0, rows;
    if (t->shape.seg_len % STEP != 0) return 0;
    for (int64_t i = 0; i < t->m; i += rows) {
        rows = even_rows(t, i);
        n += tiles_of(rows);
        if (n > most_groups(t->m)) return 0;
    }
    for (int64_t i = 0; i < t->m; i += rows) {
        rows = even_rows(t, i);
        add_groups(p, t->rows[i], rows > 1 ? t->rows[i + 1] - t->rows[i] : 0, rows);
    }
    int64_t *off = p->off;
    for (int64_t g = 0; g < t->shape.segments; g++)
        for (int64_t b = 0; b < t->shape.seg_len; b += STEP) *off++ = t->seg[g] + b;
    return 1;
}

/* Bytes x .. x+n of each row into its line of a tile, from byte `fill` on. */
static void copy_piece(const uint8_t *const *rows, int64_t m, int64_t x, int64_t n, uint8_t *tile, int64_t fill)
{
    const __mmask64 first = ~(__mmask64)0 >> (STEP - n);
    for (int64_t i = 0; i < m; i++)
        _mm512_mask_storeu_epi8(tile + i * STEP + fill, first, _mm512_maskz_loadu_epi8(first, rows[i] + x));
}

/* Up to 16 rows into tiles: runs end to end, each padded to a quad with what lies there. */
static void copy_rows(const mc_qgemm_tile *t, const uint8_t *const *rows, int64_t m, uint8_t *tile)
{
    const int64_t run = run_bytes(&t->shape);
    int64_t fill = 0;
    for (int64_t g = 0; g < t->shape.segments; g++)
        for (int64_t b = 0, n; b < run; b += n) {
            n = run - b < STEP - fill ? run - b : STEP - fill;
            copy_piece(rows, m, t->seg[g] + b, n, tile, fill);
            fill += n;
            if (fill == STEP) {
                fill = 0;
                tile += TILE_BYTES;
            }
        }
    for (int64_t i = 0; i < m && fill; i++)
        _mm512_mask_storeu_epi8(tile + i * STEP + fill, ~(__mmask64)0 >> fill, _mm512_setzero_si512());
}

void mc_k_int8_qgemm_load_amx(const mc_qgemm_tile *t)
{
    plan *p = t->loaded;
    *p = (plan){.steps = steps_of(&t->shape), .group = (row_group *)(void *)(p + 1)};
    p->off = (int64_t *)(void *)(p->group + most_groups(t->m));
    if (in_place(t, p)) return;
    uint8_t *panels = (uint8_t *)t->loaded + head_bytes(&t->shape, t->m);
    for (int64_t i = 0; i < t->m; i += TILE_ROWS) {
        const int64_t rows = t->m - i < TILE_ROWS ? t->m - i : TILE_ROWS;
        p->group[p->groups++] = (row_group){panels, STEP, rows};
        copy_rows(t, t->rows + i, rows, panels);
        panels += p->steps * TILE_BYTES;
    }
    for (int64_t s = 0; s < p->steps; s++) p->off[s] = s * TILE_BYTES;
}

/* ---- tiles ---- */

/* Sums are tiles 0 to 3 (two rows of two), the left operand 4 and 5, the right 6 and 7. */
static void configure(int64_t first, int64_t second)
{
    struct {
        uint8_t palette, start_row, reserved[14];
        uint16_t row_bytes[16];
        uint8_t rows[16];
    } c = {.palette = 1, .row_bytes = {64, 64, 64, 64, 64, 64, 64, 64}};
    const uint8_t a = (uint8_t)first, b = (uint8_t)(second ? second : 1);
    const uint8_t rows[8] = {a, a, b, b, a, b, TILE_ROWS, TILE_ROWS};
    memcpy(c.rows, rows, sizeof rows);
    __asm__ volatile("ldtilecfg %0" : : "m"(c));
}

typedef struct step_block {
    const row_group *a;  /* one or two */
    const int64_t *off;  /* [steps] */
    int64_t steps;
    const int8_t *b;     /* first panel at this depth */
    int64_t b_stride;    /* bytes from panel to panel */
    const int32_t *init; /* NULL: go on from acc */
    int32_t *acc;
    int64_t ld;          /* of acc, bytes */
} step_block;

static inline __attribute__((always_inline)) void tiles(const step_block *k, const int two_rows, const int two_panels)
{
    const int32_t *from = k->init ? k->init : k->acc;
    const int64_t ld = k->ld, ld_from = k->init ? 0 : ld; /* the same line for every row */
    int32_t *acc1 = k->acc + k->a[0].rows * (ld / 4);
    const int32_t *from1 = k->init ? from : acc1;
    const uint8_t *a0 = k->a[0].base, *a1 = two_rows ? k->a[1].base : NULL;
    const int64_t stride0 = k->a[0].stride, stride1 = two_rows ? k->a[1].stride : 0;
    const int8_t *b0 = k->b, *b1 = k->b + k->b_stride;
    _tile_loadd(0, from, ld_from);
    if (two_panels) _tile_loadd(1, from + LANES, ld_from);
    if (two_rows) _tile_loadd(2, from1, ld_from);
    if (two_rows && two_panels) _tile_loadd(3, from1 + LANES, ld_from);
    for (int64_t s = 0; s < k->steps; s++, b0 += TILE_BYTES, b1 += TILE_BYTES) {
        _tile_loadd(6, b0, STEP);
        _tile_loadd(4, a0 + k->off[s], stride0);
        if (two_panels) _tile_loadd(7, b1, STEP);
        if (two_rows) _tile_loadd(5, a1 + k->off[s], stride1);
        _tile_dpbusd(0, 4, 6);
        if (two_panels) _tile_dpbusd(1, 4, 7);
        if (two_rows) _tile_dpbusd(2, 5, 6);
        if (two_rows && two_panels) _tile_dpbusd(3, 5, 7);
    }
    _tile_stored(0, k->acc, ld);
    if (two_panels) _tile_stored(1, k->acc + LANES, ld);
    if (two_rows) _tile_stored(2, acc1, ld);
    if (two_rows && two_panels) _tile_stored(3, acc1 + LANES, ld);
}

static void multiply(const step_block *k, int two_rows, int two_panels)
{
    if (two_rows && two_panels) tiles(k, 1, 1);
    else if (two_rows) tiles(k, 1, 0);
    else if (two_panels) tiles(k, 0, 1);
    else tiles(k, 0, 0);
}

/* Depth of a block, in steps: the whole cut evenly. */
static int64_t block_steps(int64_t steps, int64_t m)
{
    const int64_t most = BLOCK_BYTES / (m * STEP) < 8 ? 8 : BLOCK_BYTES / (m * STEP), blocks = (steps + most - 1) / most;
    return (steps + blocks - 1) / blocks;
}

/* Rows of the two groups of the pair that begins at g, 0 if there is no second; tiles set up for two serve one. */
static void pair_rows(const plan *p, int64_t g, int64_t *first, int64_t *second)
{
    *first = p->group[g].rows;
    *second = g + 1 < p->groups ? p->group[g + 1].rows : 0;
}

/* Pairs from g on that the same configuration serves: where they end. Changing it takes as long as multiplying five tiles. */
static int64_t span_end(plan *p, int64_t g)
{
    int64_t first, second;
    pair_rows(p, g, &first, &second);
    if (first != p->first || (second && second != p->second)) configure(p->first = first, p->second = second);
    for (g += 2; g < p->groups; g += 2) {
        pair_rows(p, g, &first, &second);
        if (first != p->first || (second && second != p->second)) break;
    }
    return g < p->groups ? g : p->groups;
}

/* Groups g .. end: all columns, depth block by depth block. */
static void groups_pass(const mc_qgemm_tile *t, const plan *p, int64_t g0, int64_t end, int32_t *acc)
{
    const int64_t panels = panels_of(t->cols), depth = block_steps(p->steps, t->m), stride = p->steps * TILE_BYTES;
    for (int64_t s = 0; s < p->steps; s += depth)
        for (int64_t j = 0; j < panels; j += 2) {
            step_block k = {.off = p->off + s, .steps = p->steps - s < depth ? p->steps - s : depth, .b_stride = stride,
                            .b = (const int8_t *)t->packed + (t->n0 / LANES + j) * stride + s * TILE_BYTES,
                            .init = s ? NULL : t->init + t->n0 + j * LANES, .acc = acc + j * LANES, .ld = t->ld_acc * 4};
            for (int64_t g = g0; g < end; g += 2) {
                const int two = g + 1 < end;
                k.a = p->group + g;
                multiply(&k, two, panels - j > 1);
                k.acc += (k.a[0].rows + (two ? k.a[1].rows : 0)) * t->ld_acc;
            }
        }
}

void mc_k_int8_qgemm_amx(const mc_qgemm_tile *t)
{
    plan *p = t->loaded;
    int32_t *acc = t->acc;
    for (int64_t g = 0, end; g < p->groups; g = end) {
        end = span_end(p, g);
        groups_pass(t, p, g, end, acc);
        for (int64_t i = g; i < end; i++) acc += p->group[i].rows * t->ld_acc;
    }
}

void mc_k_int8_qgemm_done_amx(const mc_qgemm_tile *t)
{
    plan *p = t->loaded;
    if (p->first) _tile_release();
    p->first = 0;
}
