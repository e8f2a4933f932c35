/* base/base.h - what every room stands on: status and error record, memory, strings, containers, files, threads.
 *
 * Rules: all memory comes from mc_malloc & friends (the allocator hook of the context stands behind them); failing
 * functions return int32_t status and fill the thread's error record through mc_fail(); nothing here prints, exits,
 * aborts or touches the locale.
 */
#ifndef MC_BASE_H
#define MC_BASE_H

#include <mcomp/status.h>
#include <mcomp/types.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* ---- errors (error.c) ---------------------------------------------------------------------------------------- */

/* Fills the thread's record and returns code. where: file, node, tensor (may be NULL). The innermost failure wins:
 * a second mc_fail before the record is cleared keeps the first message unless code differs. */
int32_t mc_fail(int32_t code, const char *where, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* Adds "what to do next" to the current record. Returns the record's code. */
int32_t mc_fail_hint(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* Index (1-based) of a bad argument of a public function; returns MCOMP_ARGUMENT. */
int32_t mc_fail_argument(int32_t index, const char *name, const char *why);
void mc_error_clear(void);
const mcomp_error *mc_error_peek(void);
/* Moves a worker thread's record to the submitting thread. */
void mc_error_restore(const mcomp_error *saved);

#define MC_TRY(expr)                                                                                                   \
    do {                                                                                                               \
        st = (expr);                                                                                                   \
        if (st != MCOMP_OK) goto done;                                                                                 \
    } while (0)
#define MC_FAIL(...)                                                                                                   \
    do {                                                                                                               \
        st = mc_fail(__VA_ARGS__);                                                                                     \
        goto done;                                                                                                     \
    } while (0)
/* First lines of a public function: clear the record, check pointer arguments. */
#define MC_API_ENTER() mc_error_clear()
#define MC_CHECK_ARG(index, cond, name, why)                                                                           \
    do {                                                                                                               \
        if (!(cond)) return mc_fail_argument(index, name, why);                                                        \
    } while (0)

/* ---- memory (alloc.c) ---------------------------------------------------------------------------------------- */

/* NULL on failure, record set to NO_MEMORY. Size 0 yields a unique non-NULL pointer. All blocks are 64-byte aligned. */
void *mc_malloc(size_t bytes);
void *mc_calloc(size_t count, size_t bytes); /* checked product */
void *mc_realloc(void *p, size_t bytes);
void mc_free(void *p);
char *mc_strdup(const char *s);
char *mc_strndup(const char *s, size_t n);
/* Bytes now held through the allocator, and the number of calls so far (tests, monitoring). */
uint64_t mc_alloc_live_bytes(void);
uint64_t mc_alloc_count(void);

typedef struct mc_allocator {
    void *(*alloc)(void *payload, size_t bytes, size_t alignment);
    void (*release)(void *payload, void *p, size_t bytes, size_t alignment);
    void *payload;
} mc_allocator;
/* Process-wide; only before the first allocation, else MCOMP_ARGUMENT (unless it is the one already set). */
int32_t mc_allocator_set(const mc_allocator *a);

/* Makes room for `need` elements: *p grows geometrically. */
int32_t mc_grow(void *p_to_pointer, int64_t *capacity, int64_t need, size_t element_bytes);

/* Arena: many small blocks, freed at once. */
typedef struct mc_arena mc_arena;
mc_arena *mc_arena_create(void);
void mc_arena_destroy(mc_arena *a);
void *mc_arena_alloc(mc_arena *a, size_t bytes); /* 16-byte aligned, zeroed; NULL on failure */
char *mc_arena_strdup(mc_arena *a, const char *s);
/* The words of a list separated by commas (NULL: none), NULL-terminated; empty ones are left out. */
int32_t mc_arena_split(mc_arena *a, const char *list, const char ***out);

/* ---- strings (str.c) ----------------------------------------------------------------------------------------- */

typedef struct mc_str {
    char *data; /* NUL-terminated when non-NULL */
    int64_t len;
    int64_t cap;
} mc_str;
int32_t mc_str_append(mc_str *s, const char *text);
int32_t mc_str_append_bytes(mc_str *s, const void *bytes, size_t n);
int32_t mc_str_appendf(mc_str *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void mc_str_free(mc_str *s);
/* Printable copy of a possibly hostile name: non-printables as \xNN, at most cap-1 bytes. Returns buf. */
const char *mc_escape(char *buf, size_t cap, const char *text);
int mc_glob_match(const char *pattern, const char *text); /* '*' and '?'; 1 = match */
/* Levenshtein-nearest of `candidates` (NULL-terminated), or NULL when none is near enough to be worth suggesting. */
const char *mc_nearest(const char *word, const char *const *candidates);
int32_t mc_parse_i64(const char *text, int64_t *out); /* whole string; MCOMP_RANGE / MCOMP_FORMAT, record not set */
int32_t mc_parse_f64(const char *text, double *out);  /* strtod_l in the C locale; finite only */

/* ---- map (map.c): string -> int64, seeded hash ---------------------------------------------------------------- */

typedef struct mc_map mc_map;
mc_map *mc_map_create(void);
void mc_map_destroy(mc_map *m);
int32_t mc_map_put(mc_map *m, const char *key, int64_t value); /* copies the key; replaces */
int mc_map_get(const mc_map *m, const char *key, int64_t *value); /* 1 = found; value may be NULL */
int mc_map_remove(mc_map *m, const char *key);
int64_t mc_map_count(const mc_map *m);

/* ---- files (file.c) ------------------------------------------------------------------------------------------- */

typedef struct mc_mapping { /* read-only mapping of a regular file */
    const uint8_t *data;
    uint64_t bytes;
} mc_mapping;
/* Regular files only (no FIFO, device, directory: MCOMP_PATH). Empty file: data non-NULL, bytes 0. */
int32_t mc_file_map(const char *path, mc_mapping *out);
int32_t mc_file_map_fd(int fd, const char *name_for_errors, mc_mapping *out); /* does not close fd */
void mc_file_unmap(mc_mapping *m);
int32_t mc_file_open(const char *path, int *fd); /* for reading; never waits */
/* Size of a regular file, and exactly that many bytes of it; IO when it is changed meanwhile. */
int32_t mc_file_size_fd(int fd, const char *name_for_errors, uint64_t *bytes);
int32_t mc_file_copy_fd(int fd, const char *name_for_errors, void *data, uint64_t bytes);
/* Opens `location`, a path that the file `of` names, in the folder of that file (beneath.c). Returns NULL and a descriptor of a
 * regular file, or the reason for refusing it. */
const char *mc_file_open_beneath(const char *of, const char *location, int *fd);
int32_t mc_file_read(const char *path, uint64_t max_bytes, char **data, uint64_t *bytes); /* NUL appended, mc_free */

/* Atomic replacement: temporary file beside the target (O_EXCL, same mode), fsync, rename, fsync of the directory. */
typedef struct mc_writer mc_writer;
int32_t mc_writer_open(mc_writer **out, const char *path, int32_t overwrite); /* exists and !overwrite: MCOMP_PATH */
int32_t mc_writer_write(mc_writer *w, const void *data, uint64_t bytes);
uint64_t mc_writer_tell(const mc_writer *w);
int32_t mc_writer_commit(mc_writer *w); /* consumes w, also on failure */
void mc_writer_abort(mc_writer *w);     /* removes the temporary; NULL is a no-op */

/* ---- clock, random numbers, checksums ------------------------------------------------------------------------- */

int64_t mc_clock_ns(void); /* monotonic */
/* Counter-based (Philox 4x32-10): the same key and counter give the same numbers on every machine and thread. */
void mc_rng_block(uint64_t seed, uint64_t stream, uint64_t counter, uint32_t out[4]);
uint64_t mc_hash64(const void *data, size_t bytes, uint64_t seed); /* not cryptographic */
int32_t mc_sha256_hex(const void *data, uint64_t bytes, char out[65]);
void mc_sha1_hex(const void *data, uint64_t bytes, char out[41]); /* what ONNX asks of external data; protects nothing */

/* ---- threads (threads.c) --------------------------------------------------------------------------------------- */

typedef struct mc_pool mc_pool;
/* n = number of workers that take part, the caller included; 0 = one per online CPU of the affinity mask (max 256). */
int32_t mc_pool_create(mc_pool **out, int32_t n);
void mc_pool_destroy(mc_pool *p);
int32_t mc_pool_threads(const mc_pool *p);
typedef void (*mc_task_fn)(void *ctx, int64_t task, int32_t worker); /* worker 0..threads-1, 0 = the caller */
/* Runs fn for task 0..n-1, each once, in any order, and returns when all are done. Not re-entrant from a task (runs the
 * tasks in the calling worker then). p == NULL: runs in the caller. A forked child gets fresh workers. */
void mc_parallel_for(mc_pool *p, int64_t n, mc_task_fn fn, void *ctx);

/* ---- CPU, dynamic loading, JSON -------------------------------------------------------------------------------- */

#include "base/context.h"
#include "base/cpu.h"

typedef struct mc_dl mc_dl;
int32_t mc_dl_open(mc_dl **out, const char *absolute_path); /* RTLD_NOW | RTLD_LOCAL; never closed */
void *mc_dl_symbol(mc_dl *d, const char *name);

/* JSON document (jansson behind it). Parsing rejects duplicate keys, depth > 64 and NaN/Inf. */
typedef struct mc_json mc_json;
int32_t mc_json_parse(mc_json **out, const char *text, uint64_t bytes, const char *where);
void mc_json_destroy(mc_json *j); /* only on the value that mc_json_parse or mc_json_object/array returned as root */
mc_json *mc_json_object(void);
mc_json *mc_json_array(void);
const mc_json *mc_json_get(const mc_json *obj, const char *key); /* NULL when absent or not an object */
const mc_json *mc_json_at(const mc_json *arr, int64_t i);
int64_t mc_json_size(const mc_json *j);
const char *mc_json_key_at(const mc_json *obj, int64_t i);
/* Members in file order, in linear time; stops at the first status that is not OK and returns it. */
int32_t mc_json_each(const mc_json *obj, int32_t (*visit)(void *payload, const char *key, const mc_json *value), void *payload);
int mc_json_is_object(const mc_json *j);
int mc_json_is_array(const mc_json *j);
const char *mc_json_string(const mc_json *j);         /* NULL when not a string */
int mc_json_has_nul(const mc_json *j);                /* a string with a NUL character in it, where mc_json_string seems to end */
int mc_json_int(const mc_json *j, int64_t *out);      /* 1 = it is an integer */
int mc_json_number(const mc_json *j, double *out);
int mc_json_bool(const mc_json *j, int *out);          /* 1 = it is true or false */
int mc_json_is_null(const mc_json *j);                /* absent (NULL) counts as null */
/* Setters: value handed over to the container. Return status. */
int32_t mc_json_set(mc_json *obj, const char *key, mc_json *value);
int32_t mc_json_set_string(mc_json *obj, const char *key, const char *value);
int32_t mc_json_set_int(mc_json *obj, const char *key, int64_t value);
int32_t mc_json_set_number(mc_json *obj, const char *key, double value);
int32_t mc_json_append(mc_json *arr, mc_json *value);
mc_json *mc_json_new_string(const char *value);
mc_json *mc_json_new_int(int64_t value);
mc_json *mc_json_new_number(double value);
mc_json *mc_json_new_bool(int value);
mc_json *mc_json_new_null(void);
mc_json *mc_json_copy(const mc_json *j); /* all of it; NULL without memory */
int32_t mc_json_dump(const mc_json *j, mc_str *out);

#endif
