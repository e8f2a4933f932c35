/* Einsum of up to three inputs: every letter is an axis of one index space, y[output letters] = sum of products over the
 * rest. An ellipsis stands for broadcast axes; without "->" the output has the ellipsis and the letters that occur once, in
 * alphabetical order. At most MC_MAX_RANK different axes.
 * mcomp.EinsumGrad: dY and the inputs -> the gradient of each input, dx_i += dy * product of the others, by the same walk. */
#include "ops/grad.h"
#include "ops/internal.h"

#include <ctype.h>

#define TERMS 3
#define ELLIPSIS 128 /* code of its first axis (from the right: ELLIPSIS + 0 is the last one) */

typedef struct term {
    int32_t n;
    int32_t label[MC_MAX_RANK]; /* letters, or ELLIPSIS + k */
} term;

typedef struct equation {
    int32_t n_in, n_axes;
    term in[TERMS], out;
    int32_t axis[MC_MAX_RANK];  /* labels, output axes first */
    int64_t dim[MC_MAX_RANK];   /* their dims as in mc_type */
} equation;

/* One term up to a delimiter; rank -1: no ellipsis axes can be told (the output). Returns NULL when it is malformed. */
static const char *read_term(const char *p, int32_t rank, int32_t ellipsis, term *t)
{
    int32_t letters = 0, dots = 0;
    const char *q = p;
    for (; *q && *q != ',' && *q != '-'; q++) {
        if (isalpha((unsigned char)*q)) letters++;
        else if (strncmp(q, "...", 3) == 0 && !dots) dots = 1, q += 2;
        else if (*q != ' ') return NULL;
    }
    const int32_t wide = !dots ? 0 : rank >= 0 ? rank - letters : ellipsis;
    if (wide < 0 || letters + wide > MC_MAX_RANK || (rank >= 0 && letters + wide != rank)) return NULL;
    t->n = 0;
    for (; p < q; p++) {
        if (isalpha((unsigned char)*p)) t->label[t->n++] = *p;
        if (*p != '.') continue;
        for (int32_t k = wide - 1; k >= 0; k--) t->label[t->n++] = ELLIPSIS + k;
        p += 2;
    }
    return q;
}

static int32_t find(const equation *e, int32_t label)
{
    for (int32_t i = 0; i < e->n_axes; i++)
        if (e->axis[i] == label) return i;
    return -1;
}

static int add_axis(equation *e, int32_t label)
{
    if (find(e, label) >= 0) return 1;
    if (e->n_axes == MC_MAX_RANK) return 0;
    e->axis[e->n_axes++] = label;
    return 1;
}

/* Without an arrow: ellipsis axes, then letters that occur once. */
static void default_output(equation *e, int32_t ellipsis)
{
    e->out.n = 0;
    for (int32_t k = ellipsis - 1; k >= 0 && e->out.n < MC_MAX_RANK; k--) e->out.label[e->out.n++] = ELLIPSIS + k;
    for (int32_t letter = 'A'; letter <= 'z'; letter++) {
        int32_t count = 0;
        for (int32_t i = 0; i < e->n_in; i++)
            for (int32_t k = 0; k < e->in[i].n; k++) count += e->in[i].label[k] == letter;
        if (count == 1 && e->out.n < MC_MAX_RANK) e->out.label[e->out.n++] = letter;
    }
}

/* 1 = well-formed for these ranks. */
static int parse(equation *e, const char *p, int32_t n_in, const int32_t *rank)
{
    int32_t ellipsis = 0;
    memset(e, 0, sizeof *e);
    e->n_in = n_in;
    for (int32_t i = 0; i < n_in; i++) {
        p = read_term(p, rank[i], 0, &e->in[i]);
        if (!p || (i < n_in - 1 ? *p != ',' : *p == ',')) return 0;
        if (*p == ',') p++;
        int32_t wide = 0;
        for (int32_t k = 0; k < e->in[i].n; k++) wide += e->in[i].label[k] >= ELLIPSIS;
        if (wide > ellipsis) ellipsis = wide;
    }
    if (*p == '-') {
        if (p[1] != '>') return 0;
        p = read_term(p + 2, -1, ellipsis, &e->out);
        if (!p || *p) return 0;
    } else {
        default_output(e, ellipsis);
    }
    for (int32_t k = 0; k < e->out.n; k++)
        if (find(e, e->out.label[k]) >= 0 || !add_axis(e, e->out.label[k])) return 0;
    for (int32_t i = 0; i < n_in; i++)
        for (int32_t k = 0; k < e->in[i].n; k++)
            if (!add_axis(e, e->in[i].label[k])) return 0;
    for (int32_t k = 0; k < e->out.n; k++) { /* an output letter must occur in an input */
        int known = 0;
        for (int32_t i = 0; i < n_in; i++)
            for (int32_t d = 0; d < e->in[i].n; d++) known |= e->in[i].label[d] == e->out.label[k];
        if (!known) return 0;
    }
    return 1;
}

/* Dims of all axes: numbers win over symbols, 1 broadcasts. */
static int32_t unite(const mc_infer *c, equation *e)
{
    for (int32_t i = 0; i < e->n_axes; i++) e->dim[i] = 1;
    for (int32_t i = 0; i < e->n_in; i++)
        for (int32_t k = 0; k < e->in[i].n; k++) {
            int64_t *d = &e->dim[find(e, e->in[i].label[k])];
            const int64_t x = c->in[i]->dim[k];
            if (x == 1 || (x < 0 && *d > 1) || (x < 0 && *d == 0)) continue;
            if (*d != 1 && *d >= 0 && x >= 0 && *d != x)
                return mc_infer_fail(c, MCOMP_SHAPE, "sizes %lld and %lld of one axis", (long long)*d, (long long)x);
            *d = x;
        }
    return MCOMP_OK;
}

static int32_t infer(mc_infer *c)
{
    equation e;
    int32_t rank[TERMS], st = MCOMP_OK;
    MC_TRY(mc_infer_one_dtype(c, 0, c->n_in - 1, &c->out[0].dtype));
    MC_TRY(mc_infer_check(c, 0, MC_CLASS_NUMBER));
    if (c->n_in > TERMS) return mc_infer_fail(c, MCOMP_UNSUPPORTED, "more than %d inputs", TERMS);
    for (int32_t i = 0; i < c->n_in; i++) {
        if (!c->in[i]) return mc_infer_fail(c, MCOMP_FORMAT, "input %d is missing", i);
        rank[i] = c->in[i]->rank;
        if (rank[i] < 0) return MCOMP_OK;
    }
    if (!parse(&e, mc_attr_s(c->node, "equation", ""), c->n_in, rank))
        return mc_infer_fail(c, MCOMP_FORMAT, "the equation does not fit the inputs, or has more than %d axes", MC_MAX_RANK);
    MC_TRY(unite(c, &e));
    c->out[0].rank = e.out.n;
    for (int32_t k = 0; k < e.out.n; k++) c->out[0].dim[k] = e.dim[k];
done:
    return st;
}

/* Strides of one input over the index space; 0 where it is broadcast, summed where a letter is repeated (a diagonal). */
static int strides_of(const equation *e, const term *t, const mc_shape *s, const mc_shape *space, int64_t *stride)
{
    int64_t flat[MC_MAX_RANK];
    mc_contiguous_strides(s, flat);
    for (int32_t k = 0; k < t->n; k++) {
        const int32_t a = find(e, t->label[k]);
        if (s->dim[k] != 1 && s->dim[k] != space->dim[a]) return 0;
        if (s->dim[k] != 1) stride[a] += flat[k];
    }
    return 1;
}

/* The walk over the index space of inputs first.. of a run: operand 0 is the output (whose shape goes to *want), then the inputs. */
static int32_t open_walk(const mc_op_run *r, int32_t first, equation *e, mc_shape *want, mc_walk *w)
{
    int32_t rank[TERMS], st = MCOMP_OK;
    int64_t stride[MC_WALK_OPERANDS][MC_MAX_RANK] = {{0}}, elements;
    mc_shape space = {0};
    const mc_tensor *const *in = r->in + first;
    for (int32_t i = 0; i < r->n_in - first; i++) rank[i] = in[i]->shape.rank;
    if (!parse(e, mc_attr_s(r->node, "equation", ""), r->n_in - first, rank)) return mc_op_fail(r, MCOMP_FORMAT, "the equation does not fit");
    space.rank = e->n_axes;
    for (int32_t i = 0; i < e->n_axes; i++) space.dim[i] = 1;
    for (int32_t i = 0; i < e->n_in; i++)
        for (int32_t k = 0; k < e->in[i].n; k++)
            if (in[i]->shape.dim[k] != 1) space.dim[find(e, e->in[i].label[k])] = in[i]->shape.dim[k];
    *want = mc_shape_make(e->out.n, space.dim); /* output axes come first */
    MC_TRY(mc_shape_elements(&space, &elements));
    mc_contiguous_strides(want, stride[0]);
    for (int32_t i = 0; i < e->n_in; i++)
        if (!strides_of(e, &e->in[i], &in[i]->shape, &space, stride[i + 1])) MC_TRY(mc_op_fail(r, MCOMP_SHAPE, "sizes of one axis differ"));
    mc_walk_init(w, &space, e->n_in + 1, stride);
done:
    return st;
}

static int32_t forward(const mc_op_run *r)
{
    equation e;
    int32_t st = MCOMP_OK;
    mc_shape want;
    mc_walk w;
    double *acc = NULL;
    const int64_t n = mc_tensor_elements(r->out[0]);
    MC_TRY(open_walk(r, 0, &e, &want, &w));
    MC_TRY(mc_run_expect(r, 0, &want));
    acc = mc_calloc((size_t)(n ? n : 1), sizeof *acc);
    if (!acc) MC_TRY(MCOMP_NO_MEMORY);
    MC_WALK_ROWS(&w)
    {
        for (int64_t i = 0; i < w.inner; i++) {
            double v = 1.0;
            for (int32_t k = 0; k < e.n_in; k++) v *= mc_tensor_get_f64(r->in[k], w.off[k + 1] + i * w.step[k + 1]);
            acc[w.off[0] + i * w.step[0]] += v;
        }
    }
    for (int64_t i = 0; i < n; i++) mc_tensor_set_f64(r->out[0], i, acc[i]);
done:
    mc_free(acc);
    return st;
}

static int32_t infer_grad(mc_infer *c)
{
    int32_t st = MCOMP_OK;
    MC_TRY(mc_infer_check(c, 0, MC_CLASS_FLOAT));
    if (c->n_in > TERMS + 1) return mc_infer_fail(c, MCOMP_UNSUPPORTED, "more than %d inputs", TERMS);
    for (int32_t k = 0; k < c->n_out && k + 1 < c->n_in; k++) c->out[k] = *c->in[k + 1];
done:
    return st;
}

static void grad_walk(mc_walk w, const mc_op_run *r, int32_t n_in, int32_t by, double *acc)
{
    MC_WALK_ROWS(&w)
    {
        for (int64_t i = 0; i < w.inner; i++) {
            double v = mc_tensor_get_f64(r->in[0], w.off[0] + i * w.step[0]);
            for (int32_t k = 0; k < n_in; k++)
                if (k != by) v *= mc_tensor_get_f64(r->in[k + 1], w.off[k + 1] + i * w.step[k + 1]);
            acc[w.off[by + 1] + i * w.step[by + 1]] += v;
        }
    }
}

static int32_t forward_grad(const mc_op_run *r)
{
    equation e;
    int32_t st = MCOMP_OK;
    mc_shape want;
    mc_walk w;
    double *acc = NULL;
    MC_TRY(open_walk(r, 1, &e, &want, &w));
    if (!mc_shape_equal(&want, &r->in[0]->shape)) return mc_op_fail(r, MCOMP_SHAPE, "gradient of the output");
    for (int32_t k = 0; k < r->n_out; k++) {
        if (!r->out[k]) continue;
        const int64_t n = mc_tensor_elements(r->out[k]);
        MC_TRY(mc_run_expect(r, k, &r->in[k + 1]->shape));
        mc_free(acc);
        acc = mc_calloc((size_t)n + 1, sizeof *acc);
        if (!acc) MC_TRY(MCOMP_NO_MEMORY);
        grad_walk(w, r, e.n_in, k, acc);
        for (int64_t i = 0; i < n; i++) mc_tensor_set_f64(r->out[k], i, acc[i]);
    }
done:
    mc_free(acc);
    return st;
}

static int32_t gradient(mc_op_grad *c)
{
    mc_value *in[TERMS + 1] = {c->dy[0]};
    if (c->n_in > TERMS) return mc_grad_fail(c, MCOMP_NO_GRADIENT, "more than %d inputs", TERMS);
    for (int32_t i = 0; i < c->n_in; i++) in[i + 1] = c->x[i];
    mc_node *n = mc_grad_begin(c, "mcomp.EinsumGrad", c->n_in + 1, in, c->n_in);
    if (!n) return c->status;
    c->status = mc_node_copy_attrs(n, c->node);
    mc_grad_end(c, n);
    for (int32_t i = 0; i < c->n_in; i++) c->dx[i] = n->out[i];
    return c->status;
}

const mc_op mc_op_Einsum = {.name = "Einsum", .domain = "", .version = 12, .since = 12, .min_in = 1, .max_in = -1, .min_out = 1,
                            .max_out = 1, .traits = 0, .quant = MC_Q_NONE, .infer = infer, .forward = forward,
                            .gradient = gradient};
const mc_op mc_op_mcomp_EinsumGrad = {.name = "EinsumGrad", .domain = "mcomp", .version = 1, .since = 1, .min_in = 2, .max_in = TERMS + 1,
                                      .min_out = 1, .max_out = TERMS, .quant = MC_Q_NONE, .infer = infer_grad, .forward = forward_grad};
