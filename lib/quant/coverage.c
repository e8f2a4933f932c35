/* What a calibration never saw: classes of the model, channels. Ranges that only one class has shaped clip what the others need. */
#include "quant/calibrator.h"

/* Classes by the names in the model, else by the columns of its first output of scores; 0: not known. */
int64_t mc_calib_classes(const mcomp_calibrator *c)
{
    const char *text = c->g ? mc_graph_get_meta(c->g, "mcomp.labels") : NULL;
    mc_json *list = NULL;
    int64_t n = 0;
    if (text && mc_json_parse(&list, text, strlen(text), "mcomp.labels") == MCOMP_OK)
        while (mc_json_at(list, n)) n++;
    mc_json_destroy(list);
    mc_error_clear();
    for (int64_t i = 0; n == 0 && c->g && i < c->g->n_outputs; i++) {
        const mc_type *t = &c->g->outputs[i]->type;
        if (!mc_dtype_is_float(t->dtype)) continue;
        if (t->rank == 2 && t->dim[1] > 1) n = t->dim[1];
        break;
    }
    return n;
}

static int seen(const mcomp_calibrator *c, int64_t label)
{
    int64_t lo = 0, hi = c->n_labels;
    while (lo < hi) {
        const int64_t mid = lo + (hi - lo) / 2;
        if (c->labels[mid] < label) lo = mid + 1;
        else hi = mid;
    }
    return lo < c->n_labels && c->labels[lo] == label;
}

int32_t mcomp_calibrator_unseen(int64_t *label, const mcomp_calibrator *c, int64_t i)
{
    MC_API_ENTER();
    MC_CHECK_ARG(1, label, "label", "is NULL");
    *label = -1;
    MC_CHECK_ARG(2, c, "c", "is NULL");
    MC_CHECK_ARG(3, i >= 0, "i", "is negative");
    const int64_t classes = mc_calib_classes(c);
    if (c->n_labels == 0) return MCOMP_OK; /* samples without labels say nothing about classes */
    for (int64_t k = 0; k < classes; k++) {
        if (seen(c, k) || i-- > 0) continue;
        *label = k;
        break;
    }
    return MCOMP_OK;
}
