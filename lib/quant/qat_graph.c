/* From a graph with pairs to its training form (qat.h). */
#include "quant/qat.h"

#include <math.h>

/* In steps: what rounds to -127. A step more and QuantizeLinear would say -128, which weights never are (docs/quantization.md, 1). */
#define LOWEST (-127.49f)

void mc_qat_close(mc_qat *q)
{
    for (int64_t i = 0; i < q->n_links; i++) {
        mc_free(q->links[i].file);
        mc_free(q->links[i].step);
    }
    for (int64_t i = 0; i < q->n_marks; i++) mc_free(q->marks[i].name);
    mc_free(q->links);
    mc_free(q->marks);
    mc_graph_destroy(q->g);
    q->links = NULL;
    q->marks = NULL;
    q->g = NULL;
    q->n_links = q->n_marks = q->cap_links = q->cap_marks = 0;
}

int32_t mc_qat_mark(mc_qat *q, const char *initializer, int32_t trained)
{
    const int32_t st = mc_grow(&q->marks, &q->cap_marks, q->n_marks + 1, sizeof *q->marks);
    if (st != MCOMP_OK) return st;
    q->marks[q->n_marks] = (mc_mark){mc_strdup(initializer), trained};
    if (!q->marks[q->n_marks].name) return MCOMP_NO_MEMORY;
    q->n_marks++;
    return MCOMP_OK;
}

int32_t mc_qat_link_add(mc_qat *q, const char *file, const char *step)
{
    const int32_t st = mc_grow(&q->links, &q->cap_links, q->n_links + 1, sizeof *q->links);
    if (st != MCOMP_OK) return st;
    mc_qat_link *l = &q->links[q->n_links];
    *l = (mc_qat_link){mc_strdup(file), mc_strdup(step)};
    q->n_links++;
    return l->file && l->step ? MCOMP_OK : MCOMP_NO_MEMORY;
}

/* ---- recognising ---- */

static int is_product(const mc_node *n) { return n->desc && n->desc->quant == MC_Q_WEIGHTED; }

/* The node is DequantizeLinear of constant integers, and all its readers are products that read it as input `at`. */
static int feeds(const mc_node *n, int32_t at)
{
    if (n->dead || !mc_node_is(n, "DequantizeLinear") || !n->in[0]->init || n->out[0]->n_uses == 0 || (n->out[0]->flags & MC_VALUE_OUTPUT)) return 0;
    for (int64_t u = 0; u < n->out[0]->n_uses; u++)
        if (!is_product(n->out[0]->uses[u].node) || n->out[0]->uses[u].index != at) return 0;
    return 1;
}

int mc_qat_is_weight(const mc_node *n)
{
    if (!feeds(n, 1) || mc_attr_i(n, "block_size", 0) != 0) return 0;
    const int32_t dtype = n->in[0]->init->dtype;
    return dtype == MCOMP_I8 || dtype == MCOMP_U8;
}

static int is_bias(const mc_node *n) { return feeds(n, 2) && n->out[0]->n_uses == 1 && n->in[0]->init->dtype == MCOMP_I32; }

/* ---- masters ---- */

/* scale (q - zero) in float. n: a node of the file. */
static int32_t dequantized(const mc_node *n, mc_tensor **out)
{
    int32_t st = MCOMP_OK;
    const mc_tensor *q = n->in[0]->init, *s = n->in[1]->init, *z = n->n_in > 2 && n->in[2] ? n->in[2]->init : NULL;
    const int32_t rank = q->shape.rank;
    int64_t axis = mc_attr_i(n, "axis", 1), inner = 1;
    if (axis < 0) axis += rank;
    if (s->shape.rank > 1 || (s->shape.rank == 1 && (axis < 0 || axis >= rank))) MC_FAIL(MCOMP_UNSUPPORTED, n->name, "its scale is neither one number nor one a channel");
    MC_TRY(mc_tensor_create(out, MCOMP_F32, &q->shape));
    for (int64_t d = axis + 1; d < rank; d++) inner *= q->shape.dim[d];
    const int64_t count = mc_tensor_elements(q), channels = mc_tensor_elements(s);
    for (int64_t i = 0; i < count; i++) {
        const int64_t c = channels == 1 ? 0 : i / inner % channels;
        ((float *)(*out)->data)[i] = (float)(mc_tensor_get_i64(q, i) - (z ? mc_tensor_get_i64(z, c) : 0)) * ((const float *)s->data)[c];
    }
done:
    return st;
}

/* The float weight or bias that the integers came from: the float graph's, else what they stand for. */
static int32_t master(mc_qat *q, const mc_node *n, mc_value **out)
{
    int32_t st = MCOMP_OK;
    const mc_use *u = &n->out[0]->uses[0];
    const mc_node *was = q->real ? mc_graph_find_node(q->real, u->node->name) : NULL;
    const mc_value *v = was && u->index < was->n_in ? was->in[u->index] : NULL;
    mc_tensor *t = NULL;
    mc_str name = {0};
    if (v && v->init && v->init->dtype == MCOMP_F32 && mc_shape_equal(&v->init->shape, &n->in[0]->init->shape)) {
        mc_value *have = mc_graph_find_value(q->g, v->name);
        MC_TRY(mc_str_appendf(&name, "%s", v->name));
        if (have && have->init && have->init->dtype == MCOMP_F32 && mc_shape_equal(&have->init->shape, &v->init->shape)) {
            *out = have; /* one weight of several nodes */
            MC_TRY(mc_qat_mark(q, name.data, 1));
            goto done;
        }
        MC_TRY(mc_tensor_copy(&t, v->init));
    } else {
        const char *file = n->in[0]->name, *end = strstr(file, "_quantized");
        MC_TRY(mc_str_appendf(&name, "%.*s", (int)(end && !end[10] ? end - file : (long)strlen(file)), file));
        if (mc_graph_find_value(q->g, name.data)) MC_TRY(mc_str_appendf(&name, "_float"));
        MC_TRY(dequantized(q->file->nodes[n->id], &t));
    }
    MC_TRY(mc_qat_mark(q, name.data, 1));
    st = mc_graph_add_const(q->g, name.data, t, out);
    t = NULL;
done:
    mc_tensor_destroy(t);
    mc_str_free(&name);
    return st;
}

/* ---- rewriting ---- */

static int32_t emit(mc_qat *q, const char *domain, const char *op, int32_t n_in, mc_value *const *in, mc_node **out)
{
    const int32_t st = mc_graph_add_node(q->g, domain, op, 0, NULL, n_in, in, 1, NULL, out);
    if (st == MCOMP_OK) (*out)->origin = "quantize";
    return st;
}

/* The lower end of a symmetric grid, shaped to lie along the channels of the weight. */
static int32_t lowest(mc_qat *q, const mc_node *n, int32_t rank, mc_value **out)
{
    int32_t st = MCOMP_OK;
    int64_t axis = mc_attr_i(n, "axis", 1), dims[MC_MAX_RANK];
    mc_value *in[2] = {n->in[1], NULL};
    mc_node *made;
    if (axis < 0) axis += rank;
    MC_TRY(mc_q_const_f32(q->g, NULL, LOWEST, &in[1]));
    MC_TRY(emit(q, "", "Mul", 2, in, &made));
    in[0] = made->out[0];
    if (n->in[1]->type.rank == 1 && axis < rank - 1) {
        for (int32_t d = 0; d < rank; d++) dims[d] = d == axis ? -1 : 1;
        MC_TRY(mc_graph_add_const_i64s(q->g, NULL, dims, rank, &in[1]));
        MC_TRY(emit(q, "", "Reshape", 2, in, &made));
        in[0] = made->out[0];
    }
    *out = in[0];
done:
    return st;
}

static int32_t rewrite_weight(mc_qat *q, mc_node *n)
{
    int32_t st = MCOMP_OK;
    const mc_tensor *was = n->in[0]->init, *zero = n->n_in > 2 && n->in[2] ? n->in[2]->init : NULL;
    mc_value *in[3] = {NULL, NULL, n->n_in > 2 ? n->in[2] : NULL}, *file = n->in[0];
    mc_tensor *z = NULL;
    mc_node *made;
    MC_TRY(master(q, n, &in[0]));
    if (was->dtype == MCOMP_I8) {
        MC_TRY(lowest(q, n, was->shape.rank, &in[1]));
        MC_TRY(emit(q, "", "Max", 2, in, &made));
        in[0] = made->out[0];
    }
    if (!zero) { /* QuantizeLinear reads its type off the zero point */
        MC_TRY(mc_tensor_create(&z, was->dtype, &(mc_shape){.rank = n->in[1]->type.rank, .dim = {n->in[1]->type.rank ? n->in[1]->type.dim[0] : 0}}));
        MC_TRY(mc_q_const_tensor(q->g, file->name, "_zero", &z, &in[2]));
        MC_TRY(mc_node_set_input(q->g, n, 2, in[2]));
    }
    in[1] = n->in[1];
    MC_TRY(emit(q, "", "QuantizeLinear", 3, in, &made));
    if (mc_node_attr(n, "axis")) MC_TRY(mc_node_set_i(made, "axis", mc_attr_i(n, "axis", 1)));
    MC_TRY(mc_node_set_input(q->g, n, 0, made->out[0]));
    MC_TRY(mc_qat_link_add(q, file->name, made->out[0]->name));
    q->n_weights++;
done:
    mc_tensor_destroy(z);
    return st;
}

static mc_value *scale_behind(const mc_value *v)
{
    const mc_node *n = v ? v->producer : NULL;
    return n && mc_node_is(n, "DequantizeLinear") ? n->in[1] : NULL;
}

/* The scale of a bias is the product of those of input and weight, also while these move. */
static int32_t rewrite_bias(mc_qat *q, mc_node *n, int32_t learn)
{
    int32_t st = MCOMP_OK;
    const mc_node *user = n->out[0]->uses[0].node;
    mc_value *in[2] = {scale_behind(user->in[0]), scale_behind(user->in[1])}, *file = n->in[0], *scale = n->in[1], *b = NULL;
    mc_node *made;
    MC_TRY(master(q, n, &b));
    if (learn && in[0] && in[1]) {
        MC_TRY(emit(q, "", "Mul", 2, in, &made));
        MC_TRY(mc_qat_link_add(q, scale->name, made->out[0]->name));
        scale = made->out[0];
    }
    in[0] = b;
    in[1] = scale;
    MC_TRY(emit(q, "", "Div", 2, in, &made));
    MC_TRY(emit(q, "mcomp", "Through", 1, made->out, &made));
    MC_TRY(mc_node_set_i(made, "grid", 1));
    MC_TRY(mc_node_set_input(q->g, n, 0, made->out[0]));
    MC_TRY(mc_node_set_input(q->g, n, 1, scale));
    MC_TRY(mc_qat_link_add(q, file->name, made->out[0]->name));
done:
    return st;
}

int32_t mc_qat_open(mc_qat *q, int32_t learn)
{
    int32_t st = MCOMP_OK;
    MC_TRY(mc_graph_clone(&q->g, q->file));
    MC_TRY(mc_graph_sort(q->g));
    MC_TRY(mc_infer_graph(q->g));
    const int64_t n = q->g->n_nodes;
    if (learn) MC_TRY(mc_qat_learn(q));
    for (int64_t i = 0; i < n; i++) { /* vectors that are multiplied look like parameters */
        const mc_node *x = q->g->nodes[i];
        const int pair = !x->dead && (mc_node_is(x, "QuantizeLinear") || mc_node_is(x, "DequantizeLinear"));
        if (pair && x->in[1]->init) MC_TRY(mc_qat_mark(q, x->in[1]->name, 0));
    }
    for (int64_t i = 0; i < n; i++)
        if (is_bias(q->g->nodes[i])) MC_TRY(rewrite_bias(q, q->g->nodes[i], learn));
    for (int64_t i = 0; i < n; i++)
        if (mc_qat_is_weight(q->g->nodes[i])) MC_TRY(rewrite_weight(q, q->g->nodes[i]));
    if (q->n_weights == 0) {
        (void)mc_fail(MCOMP_UNSUPPORTED, "quantize", "no node has a quantized weight that could be trained");
        st = mc_fail_hint("train the float model (mcomp train), or keep fewer nodes float");
        goto done;
    }
    MC_TRY(mc_graph_remove_dead(q->g, NULL));
    MC_TRY(mc_graph_sort(q->g));
    MC_TRY(mc_infer_graph(q->g));
done:
    return st;
}
