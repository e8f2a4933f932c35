/* A student cut from the teacher: the description, and the steps in order: layers, feed-forward width, heads, hidden width, vocabulary.
 * What stays keeps the teacher's weights. */
#include "distill/cut.h"

#include "distill/distiller.h"

typedef struct cut_spec { /* 0: as in the teacher */
    int64_t layer[256], n_layers, hidden, heads, ffn, vocab;
} cut_spec;

static int32_t read_layers(cut_spec *s, char *text)
{
    for (char *item; (item = strsep(&text, "+")) != NULL;) {
        int64_t v = 0;
        if (mc_parse_i64(item, &v) != MCOMP_OK || v < 0) return mc_fail(MCOMP_RANGE, "layers", "\"%.40s\" is no number of a layer; 0+2+4 takes the first, third and fifth", item);
        if (s->n_layers > 0 && v <= s->layer[s->n_layers - 1]) return mc_fail(MCOMP_RANGE, "layers", "layer %lld does not come after layer %lld", (long long)v, (long long)s->layer[s->n_layers - 1]);
        if (s->n_layers == 256) return mc_fail(MCOMP_LIMIT, "layers", "more than 256 layers");
        s->layer[s->n_layers++] = v;
    }
    return MCOMP_OK;
}

static int32_t read_key(cut_spec *s, char *item)
{
    static const char *const keys[] = {"layers", "hidden", "heads", "ffn", "vocab", NULL};
    int64_t *const place[] = {NULL, &s->hidden, &s->heads, &s->ffn, &s->vocab};
    char *value = strchr(item, '=');
    int k = 0;
    if (value) *value++ = 0;
    while (keys[k] && strcmp(keys[k], item) != 0) k++;
    if (!keys[k]) {
        const char *near = mc_nearest(item, keys);
        (void)mc_fail(MCOMP_ARGUMENT, "student", "a student cut from the teacher has no key \"%.60s\"", item);
        return mc_fail_hint(near ? "did you mean %s?" : "layers, hidden, heads, ffn and vocab exist%s", near ? near : "");
    }
    if (!value) return mc_fail(MCOMP_ARGUMENT, item, "the key has no value");
    if (k == 0) return read_layers(s, value);
    if (mc_parse_i64(value, place[k]) != MCOMP_OK || *place[k] < 1) return mc_fail(MCOMP_RANGE, item, "\"%.40s\" is no whole number from 1", value);
    return MCOMP_OK;
}

static int32_t read_spec(cut_spec *s, const char *text)
{
    int32_t st = MCOMP_OK;
    *s = (cut_spec){0};
    if (strcmp(text, "teacher") == 0) return MCOMP_OK;
    if (strncmp(text, "teacher:", 8) != 0) return mc_fail(MCOMP_ARGUMENT, "student", "\"%.60s\" is not teacher:key=value,...", text);
    char *copy = mc_strdup(text + 8), *rest = copy;
    if (!copy) return MCOMP_NO_MEMORY;
    for (char *item; st == MCOMP_OK && (item = strsep(&rest, ",")) != NULL;) st = read_key(s, item);
    mc_free(copy);
    return st;
}

int32_t mc_cut_check(const char *spec)
{
    cut_spec s;
    return read_spec(&s, spec);
}

/* ---- steps ---- */

/* The stream jumps from each kept layer to the next kept one; m then holds the kept ones. */
static int32_t take_layers(mc_graph *g, mc_encoder_map *m, const cut_spec *s)
{
    int32_t st = MCOMP_OK;
    mc_value *stream = m->layers[0].stream, *const last = m->layers[m->n - 1].out;
    if (s->n_layers == 0) return MCOMP_OK;
    if (s->layer[s->n_layers - 1] >= m->n)
        return mc_fail(MCOMP_RANGE, "layers", "there is no layer %lld: the teacher has %lld, numbered from 0", (long long)s->layer[s->n_layers - 1], (long long)m->n);
    for (int64_t i = 0; i < s->n_layers; i++) {
        mc_layer l = m->layers[s->layer[i]];
        if (l.stream != stream) MC_TRY(mc_graph_replace_uses(g, l.stream, stream));
        l.stream = stream;
        stream = l.out;
        m->layers[i] = l;
    }
    m->n = s->n_layers;
    if (stream != last) MC_TRY(mc_graph_replace_uses(g, last, stream));
    st = mc_graph_remove_dead(g, NULL);
done:
    return st;
}

static int32_t narrow(mc_graph *g, mc_value *v, int64_t size, const char *what)
{
    int32_t st = MCOMP_OK;
    mc_axis a = {0};
    double *score = NULL;
    int64_t *keep = NULL;
    MC_TRY(mc_axis_follow(&a, g, v, NULL, 0));
    if (size > a.size) MC_FAIL(MCOMP_RANGE, what, "%lld is more than the teacher's %lld", (long long)size, (long long)a.size);
    score = mc_calloc((size_t)a.size, sizeof *score);
    keep = mc_calloc((size_t)a.size, sizeof *keep);
    if (!score || !keep) MC_TRY(MCOMP_NO_MEMORY);
    MC_TRY(mc_axis_scores(&a, score));
    MC_TRY(mc_best_of(score, a.size, size, keep));
    st = mc_axis_take(&a, keep, size);
done:
    mc_axis_free(&a);
    mc_free(score);
    mc_free(keep);
    return st;
}

/* Types follow from the weights anew. */
static int32_t retype(mc_graph *g)
{
    for (int64_t i = 0; i < g->n_values; i++)
        if (!g->values[i]->dead && g->values[i]->producer) g->values[i]->type.rank = -1;
    int32_t st = mc_graph_remove_dead(g, NULL);
    return st == MCOMP_OK ? mc_infer_graph(g) : st;
}

static int32_t cut(mc_graph *g, mcomp_tokenizer **tokenizer, const cut_spec *s, mcomp_dataset *data)
{
    int32_t st = MCOMP_OK;
    mc_encoder_map m = {0};
    MC_TRY(mc_cut_find(&m, g));
    MC_TRY(take_layers(g, &m, s));
    for (int64_t i = 0; s->ffn && i < m.n; i++) MC_TRY(narrow(g, m.layers[i].up->out[0], s->ffn, "ffn"));
    for (int64_t i = 0; s->heads && i < m.n; i++) {
        if (s->heads > m.layers[i].heads) MC_FAIL(MCOMP_RANGE, "heads", "%lld is more than the teacher's %lld", (long long)s->heads, (long long)m.layers[i].heads);
        MC_TRY(mc_cut_heads(g, &m.layers[i], s->heads));
    }
    if (s->hidden) MC_TRY(narrow(g, m.layers[0].stream, s->hidden, "hidden"));
    if (s->vocab) MC_TRY(mc_cut_vocab(tokenizer, g, s->vocab, data));
    st = retype(g);
done:
    mc_free(m.layers);
    return st;
}

int32_t mcomp_distiller_cut(mcomp_graph **out, mcomp_tokenizer **tokenizer, mcomp_distiller *d, const char *spec, mcomp_dataset *data)
{
    int32_t st = MCOMP_OK;
    cut_spec s;
    mcomp_graph *g = NULL;
    mcomp_tokenizer *t = NULL;
    const mc_pass_options o = {.isa = (int32_t)mc_cpu_isa()};
    MC_API_ENTER();
    MC_CHECK_ARG(1, out, "out", "is NULL");
    *out = NULL;
    if (tokenizer) *tokenizer = NULL;
    MC_CHECK_ARG(3, d, "d", "is NULL");
    MC_CHECK_ARG(4, spec, "spec", "is NULL");
    MC_TRY(read_spec(&s, spec));
    MC_CHECK_ARG(2, tokenizer || !s.vocab, "tokenizer", "is NULL, and a smaller vocabulary makes one");
    g = mc_calloc(1, sizeof *g);
    if (!g) return MCOMP_NO_MEMORY;
    g->ctx = d->ctx;
    MC_TRY(mc_graph_clone(&g->g, d->teacher));
    MC_TRY(mc_infer_graph(g->g));
    MC_TRY(mc_passes_run(g->g, MC_STAGE_LOAD | MC_STAGE_SHAPE | MC_STAGE_FUSE, &o));
    MC_TRY(cut(g->g, &t, &s, data));
    *out = g;
    g = NULL;
    if (tokenizer) {
        *tokenizer = t;
        t = NULL;
    }
done:
    mcomp_tokenizer_destroy(t);
    mcomp_graph_destroy(g);
    return st;
}
