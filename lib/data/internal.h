/* data/internal.h - private: what a source of samples offers to dataset.c, and the readers they share. */
#ifndef MC_DATA_INTERNAL_H
#define MC_DATA_INTERNAL_H

#include "data/data.h"

/* Arrays of one archive or file; owned. */
typedef struct mc_array {
    char *name;
    mc_tensor *t;
} mc_array;
typedef struct mc_arrays {
    mc_array *list;
    int64_t n, cap;
} mc_arrays;
void mc_arrays_free(mc_arrays *a);
int32_t mc_arrays_add(mc_arrays *a, const char *name, size_t name_len, mc_tensor *t); /* takes over t, also on failure */

int32_t mc_npz_read(mc_arrays *out, const char *path);
int32_t mc_idx_read(mc_tensor **out, const char *path);
/* FILE:DTYPE:SHAPE of the raw form. */
int32_t mc_raw_read(mc_tensor **out, const char *spec);
/* 1 if path ends in `end`, or in `end` and .gz when gz is allowed. */
int mc_path_ends(const char *path, const char *end, int gz);
/* Whole file, inflated when the name ends in .gz; at most max bytes. *data is NUL-terminated, mc_free. */
int32_t mc_text_slurp(const char *path, uint64_t max, char **data, uint64_t *bytes);

/* Rows of a text file: the text column, the label column and any selected columns, as pointers into one block. */
typedef struct mc_row {
    const char *text;
    const char *label, *group; /* NULL: none */
    int64_t text_len;          /* text may hold NUL bytes */
} mc_row;
typedef struct mc_select { /* COLUMN=VALUE */
    char *column, *value;
} mc_select;
typedef struct mc_table {
    char *block;      /* owns the bytes that rows point into */
    mc_arena *arena;  /* unescaped fields */
    mc_row *rows;
    int64_t n, cap;
    int32_t has_label;
} mc_table;
typedef struct mc_table_request {
    const char *path;
    const char *text;  /* text column; NULL = "text" */
    const char *label; /* NULL = "label" if there is one */
    const char *group; /* NULL: none */
    const mc_select *select; /* filter rows */
    int32_t n_select;
    int32_t stream;    /* 1: all the texts follow one another, with a newline after each but in .txt files, which are one row as they are */
} mc_table_request;
int32_t mc_table_read(mc_table *out, const mc_table_request *q);
void mc_table_free(mc_table *t);

/* Names of classes: given, from the model, or found in the data (sorted bytewise). */
typedef struct mc_labels {
    char **names;
    int64_t n, cap;
    mc_map *index;
} mc_labels;
int32_t mc_labels_parse(mc_labels *l, const char *text, const char *where); /* JSON array or one a line */
int32_t mc_labels_collect(mc_labels *l, const char *const *values, int64_t n);
void mc_labels_free(mc_labels *l);

/* How the k-th graph input is filled from an array. */
typedef struct mc_binding {
    mc_tensor *t;       /* owned: cast to the input's dtype; NULL: filled otherwise */
    int32_t constant;   /* the same for every sample */
    mc_shape sample;    /* shape of one sample's tensor */
    int64_t elements;
} mc_binding;
/* Fits array `a` (consumed) to graph input `v`; *samples is set to its number of samples (1 when constant). */
int32_t mc_binding_make(mc_binding *b, const mc_value *v, mc_tensor *a, int64_t *samples, int32_t reshape);
/* Cast where every value survives; else MCOMP_DTYPE naming the first that does not. Consumes t. */
int32_t mc_cast_exact(mc_tensor **out, mc_tensor *t, int32_t dtype, const char *where);

typedef struct mc_onnx_case { /* one test_data_set */
    mc_tensor **in, **out;
    int64_t n_in, n_out;
} mc_onnx_case;

struct mcomp_dataset {
    mcomp_context *ctx;
    int64_t n_inputs;
    char **input_names;
    mc_type *input_types;
    int64_t count;           /* samples after selection */
    int64_t *order;          /* sample -> source row; NULL: identity */
    /* one of these sources */
    mcomp_fetch_fn fetch;
    void *payload;
    mc_table table;
    int32_t text;            /* table in use */
    int64_t max_length;
    int32_t ids, mask, types; /* input index of each role, -1 = none */
    int32_t objective;       /* MC_OBJECTIVE_* */
    struct mc_tokenizer *tokenizer;
    struct mc_encoder *encoder;
    int32_t **encoded;       /* by source row: length, then the ids; NULL: not yet */
    int32_t *stream;         /* next-token: ids of the whole text */
    mcomp_tokenizer *handle; /* given out by mcomp_dataset_tokenizer */
    mc_binding *bind;        /* arrays */
    mc_onnx_case *cases;
    int64_t n_cases;
    /* labels */
    int32_t has_labels;
    int64_t *label;          /* by source row */
    mc_tensor *target;       /* labels that are no classes: f32 [rows, ...] */
    mc_labels labels;
    char **warnings;
    int64_t n_warnings, cap_warnings;
    mcomp_tensor **current;  /* tensors of the sample last given out */
};
int32_t mc_dataset_warn(mcomp_dataset *d, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Finds the input of the dataset with this name; -1 if none. */
int32_t mc_dataset_input(const mcomp_dataset *d, const char *name);

/* Openers by form (data_arrays.c, data_text.c, data_onnx_test.c). path has no prefix and no suffix. */
typedef struct mc_data_request {
    const mc_graph *g;
    const mcomp_dataset_options *o;
    const char *form, *path; /* form: "npz" "npy" "idx" "raw" "text" "onnx-test" */
    const mc_select *select;
    int32_t n_select;
} mc_data_request;
int32_t mc_open_arrays(mcomp_dataset *d, const mc_data_request *r, int64_t *rows);
int32_t mc_open_text(mcomp_dataset *d, const mc_data_request *r, int64_t *rows);
int32_t mc_open_onnx_test(mcomp_dataset *d, const mc_data_request *r, int64_t *rows);
/* Sample `row` into fresh tensors. */
int32_t mc_sample_arrays(mcomp_dataset *d, int64_t row, mcomp_tensor **inputs);
int32_t mc_sample_text(mcomp_dataset *d, int64_t row, mcomp_tensor **inputs);
int32_t mc_sample_onnx_test(mcomp_dataset *d, int64_t row, mcomp_tensor **inputs);
/* New zeroed public tensor of a shape. */
int32_t mc_dataset_tensor(mcomp_tensor **out, int32_t dtype, const mc_shape *s);

#endif
