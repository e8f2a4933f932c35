/* The trained graph as a file: the nodes between masters and integers are evaluated once, by the same operators as in training, and
 * what comes out takes the places of the constants. So the integers of the file are those that the training computed with. */
#include "passes/passes.h"
#include "quant/qat.h"

#define LARGEST 2147483520 /* where mcomp.Through ends */

/* t with the shape of `like`: one number a tensor may stand for one a channel. */
static int32_t shaped(mc_tensor **out, const mc_tensor *t, const mc_tensor *like)
{
    int32_t st = MCOMP_OK;
    const int64_t n = mc_tensor_elements(t);
    if (mc_shape_equal(&t->shape, &like->shape)) return mc_tensor_copy(out, t);
    if (n != 1) return mc_fail(MCOMP_INTERNAL, "qat", "a constant has changed its shape");
    MC_TRY(mc_tensor_create(out, t->dtype, &like->shape));
    for (int64_t i = 0; i < mc_tensor_elements(*out); i++) mc_tensor_set_f64(*out, i, mc_tensor_get_f64(t, 0));
done:
    return st;
}

static int32_t put(mc_value *to, const mc_tensor *t)
{
    mc_tensor *copy = NULL;
    const int32_t st = shaped(&copy, t, to->init);
    if (st != MCOMP_OK) return st;
    mc_tensor_destroy(to->init);
    to->init = copy;
    return MCOMP_OK;
}

/* A bias that does not fit int32 would be another bias. */
static int32_t check_range(const mc_tensor *t, const char *name)
{
    if (t->dtype != MCOMP_I32) return MCOMP_OK;
    for (int64_t i = 0; i < mc_tensor_elements(t); i++) {
        const int64_t v = ((const int32_t *)t->data)[i];
        if (v < LARGEST && v > -LARGEST) continue;
        (void)mc_fail(MCOMP_RANGE, name, "element %lld is too large for int32 in steps of input scale times weight scale", (long long)i);
        return mc_fail_hint("train with fixed scales, with a lower rate, or keep the node float");
    }
    return MCOMP_OK;
}

static int is_linked(const mc_qat *q, const char *name)
{
    for (int64_t i = 0; i < q->n_links; i++)
        if (strcmp(q->links[i].file, name) == 0) return 1;
    return 0;
}

int32_t mc_qat_export(mc_graph **out, const mc_qat *q, const mc_graph *trained)
{
    int32_t st = MCOMP_OK;
    const mc_pass_options o = {.fold_bytes = UINT64_MAX / 8};
    mc_graph *g = NULL, *file = NULL;
    MC_TRY(mc_graph_clone(&g, trained));
    MC_TRY(mc_graph_sort(g));
    MC_TRY(mc_infer_graph(g));
    MC_TRY(mc_pass_run_one(g, "fold", &o));
    MC_TRY(mc_graph_clone(&file, q->file));
    for (int64_t i = 0; i < q->n_links; i++) {
        const mc_qat_link *l = &q->links[i];
        const mc_value *from = mc_graph_find_value(g, l->step);
        mc_value *to = mc_graph_find_value(file, l->file);
        if (!from || !from->init || !to || !to->init) MC_FAIL(MCOMP_INTERNAL, l->file, "its trained value is not a constant");
        MC_TRY(check_range(from->init, l->file));
        MC_TRY(put(to, from->init));
    }
    for (int64_t i = 0; i < file->n_values; i++) { /* what stayed float: norms, biases of products, layers that a rule keeps */
        mc_value *v = file->values[i];
        if (v->dead || !v->init || v->init->dtype != MCOMP_F32 || is_linked(q, v->name)) continue;
        const mc_value *from = mc_graph_find_value(trained, v->name);
        if (from && from->init && from->init->dtype == MCOMP_F32 && mc_shape_equal(&from->init->shape, &v->init->shape)) MC_TRY(put(v, from->init));
    }
    MC_TRY(mc_graph_validate(file));
    *out = file;
    file = NULL;
done:
    mc_graph_destroy(g);
    mc_graph_destroy(file);
    return st;
}
