/* Student and control: two trainings from the same start that differ in the teacher alone. */
#include "distill/distiller.h"

#include <stdio.h>

/* Class names of model and data in one order: the teacher's scores are matched by place. */
static int32_t check_labels(const mcomp_distiller *d, const mcomp_dataset *train)
{
    int32_t st = MCOMP_OK;
    const char *text = mc_graph_get_meta(d->teacher, "mcomp.labels");
    mc_json *list = NULL;
    if (!text || !mcomp_dataset_label_name(train, 0)) return MCOMP_OK;
    MC_TRY(mc_json_parse(&list, text, strlen(text), "mcomp.labels of the teacher"));
    for (int64_t i = 0;; i++) {
        const char *a = mc_json_string(mc_json_at(list, i)), *b = mcomp_dataset_label_name(train, i);
        if (!a && !b) break;
        if (a && b && strcmp(a, b) == 0) continue;
        (void)mc_fail(MCOMP_DATA, "labels", "class %lld is \"%.60s\" for the teacher and \"%.60s\" in the training data", (long long)i, a ? a : "", b ? b : "");
        st = mc_fail_hint("give the data the teacher's class names, in its order");
        goto done;
    }
done:
    mc_json_destroy(list);
    return st;
}

/* A callback's labels are known once it was asked. */
static int32_t has_labels(mcomp_dataset *data, int64_t n_inputs, int *yes)
{
    int32_t st = MCOMP_OK;
    int64_t label = -1;
    const mcomp_tensor **in = NULL;
    *yes = mcomp_dataset_has_labels(data);
    if (*yes) return MCOMP_OK;
    in = mc_calloc((size_t)n_inputs + 1, sizeof *in);
    if (!in) return MCOMP_NO_MEMORY;
    MC_TRY(mcomp_dataset_get(data, 0, (int32_t)n_inputs, in, &label));
    *yes = mcomp_dataset_has_labels(data);
done:
    mc_free(in);
    return st;
}

static int32_t check_fit(const mcomp_distiller *d, const mc_graph *student, const mcomp_trainer_options *o, mcomp_dataset *train, mcomp_dataset *valid)
{
    int32_t st = MCOMP_OK;
    int labelled = 1;
    if (!d->said) MC_FAIL(MCOMP_ARGUMENT, "distiller", "the teacher has not seen the samples: mcomp_distiller_teach comes first");
    if (mcomp_dataset_count(train) != d->n_samples) {
        (void)mc_fail(MCOMP_DATA, "train", "the student has %lld samples, the teacher saw %lld", (long long)mcomp_dataset_count(train), (long long)d->n_samples);
        st = mc_fail_hint("teach and train on the same rows in the same order");
        goto done;
    }
    if (o->augment) {
        (void)mc_fail(MCOMP_UNSUPPORTED, "augment", "the teacher has not seen images that are moved at random");
        st = mc_fail_hint("train without augmentation");
        goto done;
    }
    if (!d->o.no_control) MC_TRY(has_labels(train, student->n_inputs, &labelled));
    if (!labelled) {
        (void)mc_fail(MCOMP_DATA, "train", "the control learns from labels, and these samples have none");
        st = mc_fail_hint("train without the control if there are no labels");
        goto done;
    }
    if (valid) MC_TRY(has_labels(valid, student->n_inputs, &labelled));
    if (!labelled) MC_FAIL(MCOMP_DATA, "valid", "the validation samples have no labels to choose the best epoch by");
    MC_TRY(check_labels(d, train));
done:
    return st;
}

static int32_t train_one(mcomp_distiller *d, int taught, const mcomp_graph *start, const mcomp_trainer_options *o, mcomp_dataset *train, mcomp_dataset *valid,
                         mcomp_train_result *r, mcomp_graph **out)
{
    int32_t st = MCOMP_OK;
    mcomp_trainer *t = NULL;
    MC_TRY(mcomp_trainer_create(&t, d->ctx, start, o));
    if (taught) MC_TRY(mcomp_distiller_attach(d, t));
    st = mcomp_trainer_fit(r, t, train, valid);
    if (st != MCOMP_OK && !(st == MCOMP_DIVERGED && r->best_epoch > 0)) goto done;
    const int32_t fitted = st;
    const mcomp_error why = *mc_error_peek();
    MC_TRY(mcomp_trainer_graph(out, t));
    st = fitted;
    if (st != MCOMP_OK) mc_error_restore(&why);
done:
    mcomp_trainer_destroy(t);
    return st;
}

int32_t mcomp_distiller_fit(mcomp_train_result *student_result, mcomp_train_result *control_result, mcomp_distiller *d, const mcomp_graph *student,
                            const mcomp_trainer_options *options, mcomp_dataset *train, mcomp_dataset *valid)
{
    int32_t st = MCOMP_OK;
    mc_str path = {0};
    mcomp_trainer_options o;
    mcomp_train_result r = {.size = sizeof r}, c = {.size = sizeof c};
    MC_API_ENTER();
    MC_CHECK_ARG(1, !student_result || mc_info_sized(student_result), "student_result", "its size is not set");
    MC_CHECK_ARG(2, !control_result || mc_info_sized(control_result), "control_result", "its size is not set");
    MC_CHECK_ARG(3, d, "d", "is NULL");
    MC_CHECK_ARG(4, student && student->g, "student", "is NULL");
    MC_CHECK_ARG(6, train, "train", "is NULL");
    MC_TRY(mcomp_trainer_options_init(&o, sizeof o));
    MC_TRY(mc_options_read(&o, sizeof o, options, "options"));
    MC_TRY(check_fit(d, student->g, &o, train, valid));
    mcomp_graph_destroy(d->student);
    mcomp_graph_destroy(d->control);
    d->student = d->control = NULL;
    MC_TRY(train_one(d, 1, student, &o, train, valid, &r, &d->student));
    if (!d->o.no_control) {
        if (o.checkpoint) {
            MC_TRY(mc_str_appendf(&path, "%s.control", o.checkpoint));
            o.checkpoint = path.data;
        }
        MC_TRY(train_one(d, 0, student, &o, train, valid, &c, &d->control));
    }
done:
    if (student_result) (void)mc_info_give(student_result, &r, sizeof r, 1);
    if (control_result) (void)mc_info_give(control_result, &c, sizeof c, 2);
    mc_str_free(&path);
    return st;
}

int32_t mcomp_distiller_graph(mcomp_graph **out, mcomp_distiller *d, int32_t which)
{
    MC_API_ENTER();
    MC_CHECK_ARG(1, out, "out", "is NULL");
    *out = NULL;
    MC_CHECK_ARG(2, d, "d", "is NULL");
    MC_CHECK_ARG(3, which == 0 || which == 1, "which", "is neither 0 (student) nor 1 (control)");
    const mcomp_graph *g = which ? d->control : d->student;
    if (!g) return mc_fail(MCOMP_ARGUMENT, which ? "control" : "student", "it has not been trained");
    return mcomp_graph_clone(out, g);
}
