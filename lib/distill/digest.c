/* One hash of what a graph computes. Weights go in by their own hash, so that nothing large is copied; inner values by their number, which
 * is the same each time the same file is read. */
#include "distill/distill.h"

typedef struct writer {
    mc_str s;
    int32_t st;
} writer;

static void put(writer *w, const void *p, size_t n)
{
    const uint64_t bytes = n;
    if (w->st == MCOMP_OK) w->st = mc_str_append_bytes(&w->s, &bytes, sizeof bytes); /* lengths keep neighbours apart */
    if (w->st == MCOMP_OK && n) w->st = mc_str_append_bytes(&w->s, p, n);
}

static void text(writer *w, const char *s) { put(w, s, strlen(s)); }
static void number(writer *w, int64_t v) { put(w, &v, sizeof v); }

static void tensor(writer *w, const mc_tensor *t)
{
    char hex[65];
    number(w, t->dtype);
    put(w, t->shape.dim, sizeof *t->shape.dim * (size_t)t->shape.rank);
    if (t->dtype == MCOMP_STRING) {
        for (int64_t i = 0; i < mc_tensor_elements(t); i++) text(w, ((char *const *)t->data)[i]);
        return;
    }
    if (w->st == MCOMP_OK) w->st = mc_sha256_hex(t->data, mc_tensor_bytes(t), hex);
    if (w->st == MCOMP_OK) text(w, hex);
}

static void value(writer *w, const mc_value *v)
{
    number(w, v ? v->id : -1);
    if (v && v->init) tensor(w, v->init);
}

static void graph(writer *w, const mc_graph *g);

static void attribute(writer *w, const mc_attr *a)
{
    text(w, a->name);
    number(w, a->kind);
    put(w, &a->f, sizeof a->f);
    number(w, a->i);
    if (a->s) put(w, a->s, (size_t)a->s_len);
    for (int64_t i = 0; a->floats && i < a->n; i++) put(w, &a->floats[i], sizeof *a->floats);
    for (int64_t i = 0; a->ints && i < a->n; i++) number(w, a->ints[i]);
    for (int64_t i = 0; a->strings && i < a->n; i++) text(w, a->strings[i]);
    if (a->tensor) tensor(w, a->tensor);
    if (a->graph) graph(w, a->graph);
}

static void ports(writer *w, mc_value *const *v, int64_t n)
{
    number(w, n);
    for (int64_t i = 0; i < n; i++) {
        text(w, v[i]->name);
        value(w, v[i]);
    }
}

static void graph(writer *w, const mc_graph *g)
{
    ports(w, g->inputs, g->n_inputs);
    ports(w, g->outputs, g->n_outputs);
    for (int64_t i = 0; i < g->n_nodes; i++) {
        const mc_node *n = g->nodes[i];
        if (n->dead) continue;
        text(w, n->domain);
        text(w, n->op);
        number(w, n->version);
        for (int32_t k = 0; k < n->n_in + n->n_cap; k++) value(w, n->in[k]);
        for (int32_t k = 0; k < n->n_out; k++) value(w, n->out[k]);
        for (int32_t k = 0; k < n->n_attrs; k++) attribute(w, &n->attrs[k]);
    }
}

int32_t mc_graph_digest(const mc_graph *g, char hex[65])
{
    writer w = {0};
    graph(&w, g);
    if (w.st == MCOMP_OK) w.st = mc_sha256_hex(w.s.data, (uint64_t)w.s.len, hex);
    mc_str_free(&w.s);
    return w.st;
}
