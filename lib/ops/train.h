/* ops/train.h - what the operators of a training step share with their fast kernels. */
#ifndef MC_OPS_TRAIN_H
#define MC_OPS_TRAIN_H

#include "ops/ops.h"

/* Numbers of one Adam or Lamb step, from the node's attributes; see mc_adam_f32 in kernels/f32.h. */
typedef struct mc_adam_step {
    double scale, l2, decay, beta1, beta2, step, root, eps, lr;
    int32_t lamb;
} mc_adam_step;
void mc_adam_read(const mc_node *n, double lr, int64_t step, double scale, mc_adam_step *a);
/* norm(parameter) / norm(update), 1 where either is zero. */
double mc_lamb_trust(double parameter_squares, double update_squares);
/* mcomp.Dropout: an element stays if its random number is at least this. */
uint32_t mc_dropout_threshold(double ratio);

#endif
