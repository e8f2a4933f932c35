/* What is pruned: matrices that products and convolutions read, or groups of axes; and the elements of a granule. */
#include "prune/prune.h"

#define SMALLEST 16 /* a matrix with fewer outputs or inputs is a stem or a classifier: small, and everything depends on it */

static int listed(const char *const *globs, const char *name)
{
    for (; globs && *globs; globs++)
        if (mc_glob_match(*globs, name)) return 1;
    return 0;
}

/* Do the matrices of these hidden units lead back to the width that they came from, as a feed-forward block does and a pooler does not? */
static int comes_back(const mc_axis_group *g)
{
    int64_t width = 0;
    for (int64_t k = 0; k < g->width; k++) {
        const mc_tensor *w = g->members[k].value->init;
        const int64_t other = w->shape.rank < 2 ? width : mc_tensor_elements(w) / w->shape.dim[g->members[k].axis];
        if (width && other != width) return 0;
        width = other;
    }
    return width > 0;
}

/* The part of a transformer that a weight belongs to, whatever its name: "ffn", "attention"; "" for others. */
static const char *role_of(const mc_prune_plan *p, const mc_value *w)
{
    for (int64_t i = 0; i < p->groups.n; i++) {
        const mc_axis_group *g = &p->groups.v[i];
        if (g->kind != MC_AXIS_HEAD && (g->kind != MC_AXIS_FFN || !comes_back(g))) continue;
        for (int64_t k = 0; k < g->width; k++)
            if (g->members[k].value == w) return g->kind == MC_AXIS_FFN ? "ffn" : "attention";
    }
    return "";
}

static int any_listed(const char *const *globs, const char *name, const mc_prune_plan *p, const mc_value *w)
{
    if (!globs || !*globs) return 0;
    const char *role = role_of(p, w);
    return listed(globs, name) || listed(globs, w->name) || (*role && listed(globs, role));
}

static int asked(const mc_prune_plan *p, const mc_prune_ask *ask, const char *name, const mc_value *w)
{
    if (ask->match && *ask->match && !any_listed(ask->match, name, p, w)) return 0;
    return !any_listed(ask->keep, name, p, w);
}

/* Every pattern must name something. */
static int32_t check_globs(const mc_prune_plan *p, const char *what, const char *const *list)
{
    for (; list && *list; list++) {
        const mc_graph *g = p->g;
        const char *some = NULL;
        int hit = 0;
        for (int64_t i = 0; i < g->n_order && !hit; i++) hit = mc_glob_match(*list, g->order[i]->name);
        for (int64_t i = 0; i < g->n_values && !hit; i++) {
            const mc_value *v = g->values[i];
            if (v->dead || !v->init) continue;
            hit = any_listed((const char *const[]){*list, NULL}, v->name, p, v);
            if (!some && v->init->shape.rank >= 2) some = v->name;
        }
        if (hit) continue;
        (void)mc_fail(MCOMP_ARGUMENT, what, "no node, no weight and no part (ffn, attention) of the model matches \"%.100s\"", *list);
        return some ? mc_fail_hint("a weight here is called \"%.120s\"; mcomp inspect --groups lists more", some) : MCOMP_ARGUMENT;
    }
    return MCOMP_OK;
}

/* The weights of a product: a constant, or one behind a Transpose, as PyTorch stores them. */
static mc_value *weights_of(const mc_node *n)
{
    mc_value *w = n->n_in > 1 ? n->in[1] : NULL;
    if (w && !w->init && w->producer && mc_node_is(w->producer, "Transpose") && mc_node_is(n, "MatMul")) {
        int64_t count = 0;
        const int64_t *perm = mc_attr_ints(w->producer, "perm", &count);
        if (count < 2 || perm[0] == 1) w = w->producer->in[0];
    }
    return w && w->init && w->init->dtype == MCOMP_F32 ? w : NULL;
}

/* How a node reads a constant as a matrix; 0 if it is not one. */
static int as_matrix(const mc_node *n, const mc_value *w, mc_prune_matrix *m)
{
    const mc_shape *s = &w->init->shape;
    if (mc_node_is(n, "MatMul") && n->in[1] != w && s->rank == 2) {
        *m = (mc_prune_matrix){s->dim[0], s->dim[1], s->dim[1], 1};
    } else if (mc_node_is(n, "MatMul") && s->rank == 2) {
        *m = (mc_prune_matrix){s->dim[1], s->dim[0], 1, s->dim[1]};
    } else if (mc_node_is(n, "Gemm") && n->in[1] == w && s->rank == 2) {
        *m = mc_attr_i(n, "transB", 0) != 0 ? (mc_prune_matrix){s->dim[0], s->dim[1], s->dim[1], 1} : (mc_prune_matrix){s->dim[1], s->dim[0], 1, s->dim[1]};
    } else if (mc_node_is(n, "Conv") && n->in[1] == w && s->rank >= 3) {
        int64_t k = 1;
        for (int32_t i = 1; i < s->rank; i++) k *= s->dim[i];
        *m = (mc_prune_matrix){s->dim[0], k, k, 1};
    } else {
        return 0;
    }
    return 1;
}

static int64_t up(int64_t n, int64_t by) { return (n + by - 1) / by; }

static int64_t granules_of(const mc_prune_pattern *p, const mc_prune_matrix *m)
{
    return p->kind == MC_PRUNE_N_OF_M ? m->n * m->k : up(m->n, p->rows) * up(m->k, p->cols);
}

static int32_t add(mc_prune_plan *p, const mc_prune_site *s)
{
    const int32_t st = mc_grow(&p->sites, &p->cap, p->n + 1, sizeof *p->sites);
    if (st == MCOMP_OK) p->sites[p->n++] = *s;
    return st;
}

static int32_t matrices(mc_prune_plan *p, const mc_prune_ask *ask)
{
    int32_t st = MCOMP_OK;
    for (int64_t i = 0; i < p->g->n_order; i++) {
        const mc_node *n = p->g->order[i];
        mc_value *w = weights_of(n);
        mc_prune_matrix m;
        int again = 0;
        if (!w || !as_matrix(n, w, &m) || !asked(p, ask, n->name, w)) continue;
        if (m.n < SMALLEST || m.k < SMALLEST) continue;
        for (int64_t k = 0; k < p->n; k++) again |= p->sites[k].weight == w; /* a weight that two nodes share */
        if (again) continue;
        const mc_prune_site s = {.name = n->name, .weight = w, .m = m, .granules = granules_of(p->pattern, &m), .elements = m.n * m.k, .align = 1};
        MC_TRY(add(p, &s));
    }
done:
    return st;
}

static int64_t inner_of(const mc_axis_member *m)
{
    int64_t inner = 1;
    for (int32_t k = m->axis + 1; k < m->value->init->shape.rank; k++) inner *= m->value->init->shape.dim[k];
    return inner;
}

/* Of the matrices: vectors do not count. */
static int64_t elements_of(const mc_axis_group *g)
{
    int64_t n = 0;
    for (int64_t i = 0; i < g->width; i++)
        if (g->members[i].value->init->dtype == MCOMP_F32 && g->members[i].value->init->shape.rank >= 2)
            n += mc_tensor_elements(g->members[i].value->init) / g->members[i].value->init->shape.dim[g->members[i].axis];
    return n * g->units;
}

static int32_t units(mc_prune_plan *p, const mc_prune_ask *ask)
{
    int32_t st = MCOMP_OK;
    for (int64_t i = 0; i < p->groups.n; i++) {
        const mc_axis_group *g = &p->groups.v[i];
        if (g->kind != p->pattern->rows || !asked(p, ask, g->name, g->members[0].value)) continue;
        const mc_prune_site s = {.name = g->name, .group = g, .granules = g->units, .elements = elements_of(g),
                                 .align = g->kind == MC_AXIS_HEAD || g->units < 4 * ask->align ? 1 : ask->align};
        MC_TRY(add(p, &s));
    }
done:
    return st;
}

int32_t mc_prune_plan_make(mc_prune_plan *p, const mc_prune_ask *ask)
{
    int32_t st = MCOMP_OK;
    if (p->pattern->kind != MC_PRUNE_UNITS && !p->criterion->element) {
        (void)mc_fail(MCOMP_ARGUMENT, p->criterion->name, "%s compares whole units, not the elements of %s", p->criterion->name, p->pattern->name);
        return mc_fail_hint("l1, l2 or taylor; or the patterns channel, ffn, head");
    }
    MC_TRY(mc_axes_build(&p->axes, p->g));
    MC_TRY(mc_axes_groups(&p->groups, p->axes, p->g));
    MC_TRY(check_globs(p, "match", ask->match));
    MC_TRY(check_globs(p, "keep", ask->keep));
    MC_TRY(p->pattern->kind == MC_PRUNE_UNITS ? units(p, ask) : matrices(p, ask));
    if (p->n == 0) {
        (void)mc_fail(MCOMP_ARGUMENT, p->pattern->name, ask->match && *ask->match ? "nothing that the pattern %s can prune matches" : "the model has nothing that the pattern %s can prune", p->pattern->name);
        st = mc_fail_hint(p->pattern->kind == MC_PRUNE_UNITS ? "mcomp inspect --groups lists what can be cut" : "float32 weights of MatMul, Gemm and Conv with at least 16 outputs and inputs are pruned");
    }
done:
    return st;
}

void mc_prune_plan_free(mc_prune_plan *p)
{
    mc_axis_groups_free(&p->groups);
    mc_axes_free(p->axes);
    mc_free(p->sites);
    *p = (mc_prune_plan){0};
}

/* ---- granules ---- */

static int32_t walk_block(const mc_prune_site *s, int64_t rows, int64_t cols, int64_t granule, mc_prune_visit visit, void *ctx)
{
    int32_t st = MCOMP_OK;
    const int64_t across = up(s->m.k, cols), i0 = granule / across * rows, j0 = granule % across * cols;
    for (int64_t i = i0; i < i0 + rows && i < s->m.n && st == MCOMP_OK; i++) {
        const mc_prune_run r = {s->weight, i * s->m.stride_n + j0 * s->m.stride_k, j0 + cols <= s->m.k ? cols : s->m.k - j0, s->m.stride_k};
        st = visit(ctx, &r);
    }
    return st;
}

/* A slab of a tensor is `outer` runs of `inner` elements; whichever is longer becomes the run. */
static int32_t walk_member(const mc_axis_member *m, mc_prune_visit visit, void *ctx)
{
    int32_t st = MCOMP_OK;
    const int64_t inner = inner_of(m), len = m->value->init->shape.dim[m->axis], outer = mc_tensor_elements(m->value->init) / (len * inner);
    if (m->value->init->dtype != MCOMP_F32) return MCOMP_OK;
    for (int64_t i = 0; outer <= inner && i < outer && st == MCOMP_OK; i++) st = visit(ctx, &(mc_prune_run){m->value, (i * len + m->at) * inner, inner, 1});
    for (int64_t i = 0; outer > inner && i < inner && st == MCOMP_OK; i++) st = visit(ctx, &(mc_prune_run){m->value, m->at * inner + i, outer, len * inner});
    return st;
}

int32_t mc_prune_walk(const mc_prune_site *s, const mc_prune_pattern *p, int64_t granule, mc_prune_visit visit, void *ctx)
{
    int32_t st = MCOMP_OK;
    if (p->kind == MC_PRUNE_N_OF_M) return walk_block(s, 1, 1, granule, visit, ctx);
    if (p->kind == MC_PRUNE_BLOCKS) return walk_block(s, p->rows, p->cols, granule, visit, ctx);
    for (int64_t i = 0; i < s->group->width && st == MCOMP_OK; i++) st = walk_member(&s->group->members[granule * s->group->width + i], visit, ctx);
    return st;
}
