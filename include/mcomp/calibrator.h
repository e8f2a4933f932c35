/* mcomp/calibrator.h - one pass over data, one fixed-size mergeable sketch a tensor.
 *
 * The sketch holds minimum, maximum, moments, a log-doubling histogram and per-channel extremes; every range rule is
 * computed from it afterwards. Memory does not depend on the number of samples. Sketches merge across runs, processes and
 * days, and are saved as .calib files (versioned, checksummed). @thread one at a time.
 */
#ifndef MCOMP_CALIBRATOR_H
#define MCOMP_CALIBRATOR_H

#include <mcomp/dataset.h>
#include <mcomp/session.h>

#ifdef __cplusplus
extern "C" {
#endif

MCOMP_API int32_t mcomp_calibrator_create(mcomp_calibrator **out, mcomp_context *ctx, const mcomp_graph *g);
MCOMP_API void mcomp_calibrator_destroy(mcomp_calibrator *c);
/* Feeds one sample (tensors in graph input order). A sample with NaN or Inf anywhere is skipped and counted. */
MCOMP_API int32_t mcomp_calibrator_feed(mcomp_calibrator *c, int32_t n_inputs, const mcomp_tensor *const *inputs, int64_t label);
/* Feeds a whole dataset. MCOMP_DATA when it is empty or more than 1 % of the samples are not finite. */
MCOMP_API int32_t mcomp_calibrator_feed_dataset(mcomp_calibrator *c, mcomp_dataset *d);
/* Adds the sketches of another calibrator or file of the same model. MCOMP_DATA if the models differ. */
MCOMP_API int32_t mcomp_calibrator_merge(mcomp_calibrator *c, const mcomp_calibrator *other);
MCOMP_API int32_t mcomp_calibrator_save(const mcomp_calibrator *c, const char *path, int32_t overwrite);
/* Loads a .calib file; g may be NULL (merge and inspection only). */
MCOMP_API int32_t mcomp_calibrator_load(mcomp_calibrator **out, mcomp_context *ctx, const mcomp_graph *g, const char *path);

typedef struct mcomp_calibration_info {
    uint32_t size;
    int32_t reserved;
    int64_t samples, skipped;      /* fed; of those skipped as not finite */
    int64_t tensors;               /* tensors with a sketch */
    int64_t dead_channels;         /* channels that never left zero */
    int64_t constant_tensors;      /* tensors that never varied */
    int64_t labels_seen;           /* distinct labels among the samples, 0 without labels */
    int64_t classes;               /* of the model: names in its metadata mcomp.labels, else columns of its scores; 0: not known */
    int64_t channels;              /* channels that have figures of their own */
} mcomp_calibration_info;
MCOMP_API int32_t mcomp_calibrator_info(const mcomp_calibrator *c, mcomp_calibration_info *out);
/* The i-th class of the model, ascending, that no sample had; *label -1: there are no more (or no labels). Ranges of a calibration that
 * misses classes may clip what those need. */
MCOMP_API int32_t mcomp_calibrator_unseen(int64_t *label, const mcomp_calibrator *c, int64_t i);
/* Tensor i: name (tensor may be NULL) and the range by a rule ("minmax", "average", "percentile", "kl", "mse"; NULL or "auto": the one that the
 * quantizer would choose). */
MCOMP_API int32_t mcomp_calibrator_range(const mcomp_calibrator *c, int64_t i, const char *rule, const char **tensor,
                                         double *lo, double *hi);

#ifdef __cplusplus
}
#endif
#endif
