/* The teacher's part of the loss of a trainer: one term a loss, and for each batch what the teacher said of its samples. */
#include "distill/distiller.h"

#include <stdio.h>

static const char *const names[MC_TOKENS] = {"mcomp.teacher.hidden", "mcomp.teacher.query", "mcomp.teacher.key", "mcomp.teacher.value"};

mc_value *mc_kd_over_tokens(mc_kd_site *k, mc_value *x)
{
    mc_loss_site *s = k->s;
    mc_value *mask = mc_loss_node(s, "Unsqueeze", 2, (mc_value *[]){k->tokens.mask, mc_loss_ints(s, 1, (const int64_t[]){2})});
    mc_value *masked = mc_loss_node(s, "Mul", 2, (mc_value *[]){x, mask});
    mc_value *total = mc_loss_node_i(s, "ReduceSum", 1, &masked, "keepdims", 0), *count = mc_loss_node_i(s, "ReduceSum", 1, &mask, "keepdims", 0);
    return mc_loss_node(s, "Div", 2, (mc_value *[]){total, count});
}

/* ---- the term ---- */

/* Where the student has what the losses over tokens compare. */
static int32_t student_tokens(const mcomp_distiller *d, mc_loss_site *s, mc_value *out[MC_TOKENS])
{
    int32_t st = MCOMP_OK;
    mc_encoder_map m = {0};
    MC_TRY(mc_cut_find(&m, s->g));
    const mc_layer *last = &m.layers[m.n - 1];
    mc_value *const all[MC_TOKENS] = {last->out, last->q, last->k, last->v};
    for (int i = 0; i < MC_TOKENS; i++) {
        out[i] = all[i];
        if (mc_distiller_keeps(d, i) && (all[i]->type.rank != 3 || all[i]->type.dim[2] < 1)) MC_FAIL(MCOMP_UNSUPPORTED, all[i]->name, "the width of the student's layers is not known");
    }
done:
    mc_free(m.layers);
    return st;
}

static void find_mask(mcomp_distiller *d, const mc_graph *g)
{
    d->mask_input = -1;
    for (int64_t i = 0; i < g->n_inputs && d->mask_input < 0; i++)
        if (strstr(g->inputs[i]->name, "mask") && mc_dtype_is_integer(g->inputs[i]->type.dtype) && !(g->inputs[i]->flags & MC_VALUE_VARIABLE)) d->mask_input = (int32_t)i;
}

/* Inputs of the term, in the order that feed() fills them: scores, mask, then what is kept of tokens. */
static void inputs(mcomp_distiller *d, mc_kd_site *k)
{
    mc_loss_site *s = k->s;
    const mc_type scores = {.dtype = MCOMP_F32, .rank = 2, .dim = {k->student->type.dim[0], d->width}};
    k->teacher = mc_loss_input(s, "mcomp.teacher.scores", &scores);
    if (!d->taps) return;
    find_mask(d, s->g);
    if (s->status == MCOMP_OK) s->status = student_tokens(d, s, k->tokens.student);
    if (s->status != MCOMP_OK) return;
    const mc_type *like = &k->tokens.student[MC_TOKENS_HIDDEN]->type;
    const mc_type mask = {.dtype = MCOMP_F32, .rank = 2, .dim = {like->dim[0], like->dim[1]}};
    k->tokens.mask = mc_loss_input(s, "mcomp.teacher.mask", &mask);
    for (int i = 0; i < MC_TOKENS; i++) {
        const mc_type type = {.dtype = MCOMP_F32, .rank = 3, .dim = {like->dim[0], like->dim[1], i == MC_TOKENS_HIDDEN ? d->hidden : d->inner}};
        if (mc_distiller_keeps(d, i)) k->tokens.teacher[i] = mc_loss_input(s, names[i], &type);
    }
}

static mc_value *emit(mc_loss_site *s, void *payload)
{
    mcomp_distiller *d = payload;
    mc_value *student = s->out[0], *sum = NULL;
    mc_kd_site k = {.s = s, .student = student, .temperature = d->o.temperature};
    if (student->type.rank != 2) return mc_loss_fail(s, MCOMP_UNSUPPORTED, "the student's scores have rank %d; a row of scores a sample can learn from a teacher", student->type.rank);
    if (student->type.dim[1] != d->width)
        return mc_loss_fail(s, MCOMP_SHAPE, "the teacher gives %lld scores a sample, the student %lld", (long long)d->width, (long long)student->type.dim[1]);
    inputs(d, &k);
    for (int32_t i = 0; i < d->n_losses && s->status == MCOMP_OK; i++) {
        mc_value *x = d->losses[i].loss->emit(&k);
        if (x && d->losses[i].weight != 1.0) x = mc_loss_node(s, "Mul", 2, (mc_value *[]){x, mc_loss_scalar(s, d->losses[i].weight)});
        sum = sum ? mc_loss_node(s, "Add", 2, (mc_value *[]){sum, x}) : x;
    }
    return sum;
}

/* ---- batches ---- */

static int32_t room(mc_tensor **t, const mc_shape *s)
{
    if (*t && mc_shape_equal(&(*t)->shape, s)) {
        memset((*t)->data, 0, (size_t)mc_tensor_bytes(*t));
        return MCOMP_OK;
    }
    mc_tensor_destroy(*t);
    *t = NULL;
    return mc_tensor_create(t, MCOMP_F32, s);
}

static const uint8_t *halves(float *to, const uint8_t *from, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        uint16_t h;
        memcpy(&h, from + 2 * i, sizeof h);
        to[i] = mc_f16_to_f32(h);
    }
    return from + 2 * n;
}

/* Teacher and student must have cut the text alike: what is compared stands at the same place. */
static int32_t check_tokens(const mcomp_distiller *d, const mc_feed_batch *b, int64_t row, int64_t tokens, int64_t length)
{
    int64_t own = tokens;
    if (d->mask_input >= 0) {
        const mc_tensor *mask = &b->inputs[d->mask_input]->t;
        own = 0;
        for (int64_t i = 0; i < length; i++) own += mc_tensor_get_i64(mask, row * length + i) != 0;
    }
    if (own == tokens && tokens <= length) return MCOMP_OK;
    (void)mc_fail(MCOMP_UNSUPPORTED, "distiller", "sample %lld has %lld tokens for the student and %lld for the teacher; losses over tokens need the same ones", (long long)b->samples[row],
                  (long long)own, (long long)tokens);
    return mc_fail_hint("give both one tokenizer and length (mcomp_tokenizer_renumber where the student has a part of the vocabulary), or use logits");
}

static int32_t row_of(mcomp_distiller *d, const mc_feed_batch *b, int64_t row, int64_t length)
{
    int32_t st = MCOMP_OK;
    mc_said_head h;
    const uint8_t *p = d->said[b->samples[row]].data;
    memcpy(&h, p, sizeof h);
    p = halves((float *)d->batch[0]->data + row * d->width, p + sizeof h, d->width);
    if (!d->taps) return MCOMP_OK;
    MC_TRY(check_tokens(d, b, row, h.tokens, length));
    for (int64_t i = 0; i < h.tokens; i++) ((float *)d->batch[1]->data)[row * length + i] = 1.0f;
    for (int i = 0, at = 2; i < MC_TOKENS; i++) {
        const int64_t width = i == MC_TOKENS_HIDDEN ? d->hidden : d->inner;
        if (mc_distiller_keeps(d, i)) p = halves((float *)d->batch[at++]->data + row * length * width, p, h.tokens * width);
    }
done:
    return st;
}

static int32_t feed(void *payload, const mc_feed_batch *b, int64_t n, const mcomp_tensor **extra)
{
    int32_t st = MCOMP_OK;
    mcomp_distiller *d = payload;
    int32_t used = 1;
    const mc_shape scores = {.rank = 2, .dim = {b->n_samples, d->width}};
    if (!b->samples) MC_FAIL(MCOMP_ARGUMENT, "distiller", "a batch without sample numbers cannot be matched with the teacher; use mcomp_trainer_fit");
    const mc_tensor *like = &b->inputs[d->mask_input >= 0 ? d->mask_input : 0]->t;
    const int64_t length = like->shape.rank == 2 ? like->shape.dim[1] : 0;
    MC_TRY(room(&d->batch[0], &scores));
    if (d->taps) {
        MC_TRY(room(&d->batch[used++], &(mc_shape){.rank = 2, .dim = {b->n_samples, length}}));
        for (int i = 0; i < MC_TOKENS; i++)
            if (mc_distiller_keeps(d, i)) MC_TRY(room(&d->batch[used++], &(mc_shape){.rank = 3, .dim = {b->n_samples, length, i == MC_TOKENS_HIDDEN ? d->hidden : d->inner}}));
    }
    if (n != used) MC_FAIL(MCOMP_INTERNAL, "distiller", "%lld inputs for %d outputs of the teacher", (long long)n, used);
    for (int64_t i = 0; i < b->n_samples; i++) {
        if (b->samples[i] < 0 || b->samples[i] >= d->n_samples) {
            (void)mc_fail(MCOMP_DATA, "distiller", "the student is trained on sample %lld, the teacher saw %lld", (long long)b->samples[i], (long long)d->n_samples);
            st = mc_fail_hint("teach and train on the same rows in the same order");
            goto done;
        }
        MC_TRY(row_of(d, b, i, length));
    }
    for (int32_t i = 0; i < used; i++) extra[i] = (const mcomp_tensor *)d->batch[i];
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
