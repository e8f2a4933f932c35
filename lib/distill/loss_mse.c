/* Mean square of the difference of scores, over rows and classes (Ba and Caruana, 2014): what `logits` tends to for high temperatures,
 * up to a factor. */
#include "distill/distill.h"

mc_value *mc_kd_mse(mc_kd_site *k);

mc_value *mc_kd_mse(mc_kd_site *k)
{
    mc_value *d = mc_loss_node(k->s, "Sub", 2, (mc_value *[]){k->student, k->teacher});
    return mc_loss_mean(k->s, mc_loss_node(k->s, "Mul", 2, (mc_value *[]){d, d}));
}
