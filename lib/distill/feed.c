/* The teacher's part of the loss of a trainer: one term a loss, and for each batch what the teacher said of its samples. */
#include "distill/distiller.h"

#include <stdio.h>

/* One input for all losses that look at scores. */
static mc_value *scores_input(mcomp_distiller *d, mc_loss_site *s, const mc_value *student)
{
    mc_value *v = mc_graph_find_value(s->g, "mcomp.teacher.scores");
    const mc_type type = {.dtype = MCOMP_F32, .rank = 2, .dim = {student->type.dim[0], d->width}};
    return v ? v : mc_loss_input(s, "mcomp.teacher.scores", &type);
}

static mc_value *emit(mc_loss_site *s, void *payload)
{
    mcomp_distiller *d = payload;
    mc_value *student = s->out[0], *sum = NULL;
    if (student->type.rank != 2) return mc_loss_fail(s, MCOMP_UNSUPPORTED, "the student's scores have rank %d; a row of scores a sample can learn from a teacher", student->type.rank);
    if (student->type.dim[1] != d->width)
        return mc_loss_fail(s, MCOMP_SHAPE, "the teacher gives %lld scores a sample, the student %lld", (long long)d->width, (long long)student->type.dim[1]);
    mc_value *teacher = scores_input(d, s, student);
    for (int32_t i = 0; i < d->n_losses && s->status == MCOMP_OK; i++) {
        mc_kd_site k = {.s = s, .student = student, .teacher = teacher, .temperature = d->o.temperature};
        mc_value *x = d->losses[i].loss->emit(&k);
        if (x && d->losses[i].weight != 1.0) x = mc_loss_node(s, "Mul", 2, (mc_value *[]){x, mc_loss_scalar(s, d->losses[i].weight)});
        sum = sum ? mc_loss_node(s, "Add", 2, (mc_value *[]){sum, x}) : x;
    }
    return sum;
}

static int32_t feed(void *payload, const mc_feed_batch *b, int64_t n, const mcomp_tensor **extra)
{
    int32_t st = MCOMP_OK;
    mcomp_distiller *d = payload;
    const mc_shape s = {.rank = 2, .dim = {b->n_samples, d->width}};
    if (n != 1) MC_FAIL(MCOMP_INTERNAL, "distiller", "%lld inputs for the teacher's scores", (long long)n);
    if (!b->samples) MC_FAIL(MCOMP_ARGUMENT, "distiller", "a batch without sample numbers cannot be matched with the teacher; use mcomp_trainer_fit");
    if (!d->batch || !mc_shape_equal(&d->batch->shape, &s)) {
        mc_tensor_destroy(d->batch);
        d->batch = NULL;
        MC_TRY(mc_tensor_create(&d->batch, MCOMP_F32, &s));
    }
    for (int64_t i = 0; i < b->n_samples; i++) {
        if (b->samples[i] < 0 || b->samples[i] >= d->n_samples) {
            (void)mc_fail(MCOMP_DATA, "distiller", "the student is trained on sample %lld, the teacher saw %lld", (long long)b->samples[i], (long long)d->n_samples);
            st = mc_fail_hint("teach and train on the same rows in the same order");
            goto done;
        }
        const uint8_t *p = d->said[b->samples[i]].data;
        for (int64_t k = 0; k < d->width; k++) {
            uint16_t h;
            memcpy(&h, p + 2 * k, sizeof h);
            ((float *)d->batch->data)[i * d->width + k] = mc_f16_to_f32(h);
        }
    }
    extra[0] = (const mcomp_tensor *)d->batch;
done:
    return st;
}

int32_t mcomp_distiller_attach(mcomp_distiller *d, mcomp_trainer *t)
{
    int32_t st = MCOMP_OK;
    MC_API_ENTER();
    MC_CHECK_ARG(1, d, "d", "is NULL");
    MC_CHECK_ARG(2, t, "t", "is NULL");
    if (!d->said) return mc_fail(MCOMP_ARGUMENT, "distiller", "the teacher has not seen the samples: mcomp_distiller_teach comes first");
    if (d->o.alpha >= 1.0) return MCOMP_OK; /* the hard loss alone */
    MC_TRY(mc_trainer_add_term(t, &(mc_loss_term){emit, d, 1.0 - d->o.alpha}));
    mc_trainer_weigh_loss(t, d->o.alpha);
    mc_trainer_set_feed(t, feed, d);
done:
    return st;
}
