/* Cross-entropy of class scores: the mean of -log softmax(scores)[label] over the rows whose label is not -100, weighted by class
 * weights where there are any. Scores [N, C] with labels [N], or [N, S, C] with labels [N, S] (language models). With smoothing e the
 * target is (1 - e) one-hot + e / C (Szegedy et al., 2016). */
#include "train/train.h"

mc_value *mc_loss_cross_entropy(mc_loss_site *s);

static mc_value *rows_of(mc_loss_site *s, mc_value *x, const int64_t *shape, int64_t rank)
{
    return mc_loss_node(s, "Reshape", 2, (mc_value *[]){x, mc_loss_ints(s, rank, shape)});
}

static mc_value *class_weights(mc_loss_site *s, int64_t classes)
{
    mc_tensor *t;
    mc_value *w = NULL;
    const mc_shape shape = {.rank = 1, .dim = {s->n_weight}};
    if (!s->weight || s->status != MCOMP_OK) return NULL;
    if (classes != s->n_weight) return mc_loss_fail(s, MCOMP_SHAPE, "%lld class weights for %lld classes", (long long)s->n_weight, (long long)classes);
    s->status = mc_tensor_create(&t, MCOMP_F32, &shape);
    if (s->status != MCOMP_OK) return NULL;
    memcpy(t->data, s->weight, (size_t)s->n_weight * sizeof(float));
    s->status = mc_graph_add_const(s->g, NULL, t, &w);
    return s->status == MCOMP_OK ? w : NULL;
}

/* e times the mean over rows of -mean over classes of log p. */
static mc_value *uniform_part(mc_loss_site *s, mc_value *scores)
{
    mc_value *log_p = mc_loss_node_i(s, "LogSoftmax", 1, &scores, "axis", -1);
    return log_p ? mc_loss_mean(s, log_p) : NULL;
}

mc_value *mc_loss_cross_entropy(mc_loss_site *s)
{
    mc_value *scores = s->out[0], *labels, *weight, *loss;
    const int32_t rank = scores->type.rank;
    if (rank != 2 && rank != 3) return mc_loss_fail(s, MCOMP_SHAPE, "cross_entropy needs scores [batch, classes] or [batch, positions, classes]; the output has rank %d", rank);
    const int64_t classes = scores->type.dim[rank - 1];
    if (classes < 2) return mc_loss_fail(s, MCOMP_SHAPE, "cross_entropy needs a known number of classes, at least 2");
    mc_type type = {.dtype = MCOMP_I64, .rank = rank - 1};
    for (int32_t i = 0; i < rank - 1; i++) type.dim[i] = scores->type.dim[i];
    labels = mc_loss_target(s, &type);
    if (rank == 3) {
        scores = rows_of(s, scores, (const int64_t[]){-1, classes}, 2);
        labels = rows_of(s, labels, (const int64_t[]){-1}, 1);
    }
    weight = class_weights(s, classes);
    loss = mc_loss_node_i(s, "SoftmaxCrossEntropyLoss", weight ? 3 : 2, (mc_value *[]){scores, labels, weight}, "ignore_index", -100);
    if (s->smoothing <= 0.0f || !loss) return loss;
    if (s->weight || rank == 3) return mc_loss_fail(s, MCOMP_UNSUPPORTED, "label smoothing goes with one label a sample and without class weights");
    loss = mc_loss_node(s, "Mul", 2, (mc_value *[]){loss, mc_loss_scalar(s, 1.0 - (double)s->smoothing)});
    mc_value *u = mc_loss_node(s, "Mul", 2, (mc_value *[]){uniform_part(s, scores), mc_loss_scalar(s, -(double)s->smoothing)});
    return mc_loss_node(s, "Add", 2, (mc_value *[]){loss, u});
}
