/* mcomp/dataset.h - samples for calibration, evaluation and benchmarks, from files or from the caller.
 *
 * A dataset yields samples 0..n-1. A sample is one tensor an input of the model it was opened for (with a leading sample axis
 * of 1 where the model has one) and optionally a label. @thread one at a time.
 */
#ifndef MCOMP_DATASET_H
#define MCOMP_DATASET_H

#include <mcomp/graph.h>
#include <mcomp/tokenizer.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mcomp_dataset_options { /* the strings are copied */
    uint32_t size;
    int32_t max_length;      /* text: ids a sample; 0 = from the model's input or 128 */
    const char *label;       /* name of the label array or column; NULL: "label" if there is one */
    const char *text;        /* text column; NULL: "text" */
    const char *tokenizer;   /* a vocab.txt, a tokenizer.json, bytes, chars, train:wordpiece,8000, train:bpe,8000 */
    const char *map;         /* "role=name,..." for input_ids, attention_mask, token_type_ids; may be NULL */
    const char *labels;      /* JSON array or newline-separated label names; NULL: mcomp.labels of the model */
    double scale, shift;     /* IDX images: (x - shift) / scale; scale 0 = 1 */
    int64_t skip, limit;     /* limit 0: all */
    int64_t every;           /* keep each every-th sample; 0 = 1 */
    const char *optional;    /* "name,...": inputs that the data may lack; they are zeros then (free axes 1). NULL: none */
    const mcomp_tokenizer *tokenizer_handle; /* instead of tokenizer; need not outlive the call. NULL: none */
    const char *group;       /* column of text files by which a validation split keeps rows together; NULL: none */
    const char *objective;   /* text: "classify", "mlm" (labels are not read), "next-token" (one stream in windows); NULL: classify */
} mcomp_dataset_options;
MCOMP_API int32_t mcomp_dataset_options_init(mcomp_dataset_options *o, uint32_t size);

/* Opens a data argument as docs/data.md describes: x.npz, x.npy, x.tsv, x.csv, x.jsonl (.gz too), idx:IMAGES,LABELS,
 * onnx-test:DIR, raw:NAME=FILE:DTYPE:SHAPE, each with an optional @key=value,... suffix. g gives input names, types and
 * labels. ctx may be NULL. Codes: PATH, FORMAT, DATA, DTYPE, SHAPE, RANGE, UNSUPPORTED. */
MCOMP_API int32_t mcomp_dataset_open(mcomp_dataset **out, mcomp_context *ctx, const mcomp_graph *g, const char *argument,
                                     const mcomp_dataset_options *options);

/* From the caller: fetch(payload, index, n_inputs, inputs[], &label) puts new tensors (the library destroys them) into
 * inputs[] in the graph's input order and returns 0, or a status code that ends the operation. label -1: none. */
typedef int32_t (*mcomp_fetch_fn)(void *payload, int64_t index, int32_t n_inputs, mcomp_tensor **inputs, int64_t *label);
MCOMP_API int32_t mcomp_dataset_create(mcomp_dataset **out, mcomp_context *ctx, const mcomp_graph *g, int64_t samples,
                                       mcomp_fetch_fn fetch, void *payload);
MCOMP_API void mcomp_dataset_destroy(mcomp_dataset *d);
MCOMP_API int64_t mcomp_dataset_count(const mcomp_dataset *d);
/* Sample i: tensors owned by the dataset, valid until the next call. label: class index, or -1. */
MCOMP_API int32_t mcomp_dataset_get(mcomp_dataset *d, int64_t i, int32_t n_inputs, const mcomp_tensor **inputs, int64_t *label);
/* Keeps one part of the samples, in their order: 0 those to train on, 1 those to validate on, about `fraction` of all. A sample goes to
 * validation by the hash of its text, arrays or group, so the same ones do whatever their order or number; equal texts stay together (a
 * stream is cut at its end). mcomp_trainer_fit without validation data uses these parts with 0.1. by: divides as this dataset of the same
 * rows does, which was opened for other inputs and is still whole; NULL: by itself. Codes: ARGUMENT, RANGE, DATA (too few samples). */
MCOMP_API int32_t mcomp_dataset_split(mcomp_dataset *d, mcomp_dataset *by, int32_t part, double fraction);
/* 1 if samples carry labels. */
MCOMP_API int32_t mcomp_dataset_has_labels(const mcomp_dataset *d);
/* Label names known (from the model, the options or the data, sorted bytewise); NULL beyond the last. Borrowed. */
MCOMP_API const char *mcomp_dataset_label_name(const mcomp_dataset *d, int64_t i);
/* Warnings found while opening (extra arrays, casts ...); NULL beyond the last. Borrowed. */
MCOMP_API const char *mcomp_dataset_warning(const mcomp_dataset *d, int64_t i);
/* What turns texts into ids here, given or trained on the texts; NULL when there is none. Borrowed. */
MCOMP_API const mcomp_tokenizer *mcomp_dataset_tokenizer(mcomp_dataset *d);
/* Next ids of sample i, one a position: n must be the number of ids a sample. DATA unless the objective is next-token. */
MCOMP_API int32_t mcomp_dataset_targets(mcomp_dataset *d, int64_t i, int64_t n, int64_t *targets);
/* Expected outputs of an onnx-test directory for sample i, output k; MCOMP_DATA if there are none. Borrowed. */
MCOMP_API int32_t mcomp_dataset_expected(mcomp_dataset *d, int64_t i, int32_t k, const mcomp_tensor **out);

#ifdef __cplusplus
}
#endif
#endif
