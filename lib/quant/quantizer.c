/* The public quantizer: options, rules, the one call that does it, the report. */
#include <mcomp/quantizer.h>
#include <mcomp/version.h>

#include "quant/auto.h"
#include "quant/quantizer.h"
#include "quant/slower.h"

#define DEFAULT_MAX_ERROR 0.02

static const char *const kind_names[] = {"float", "int8", "int8-dynamic", "int8-dynamic-tensor", "w8"};

static int32_t kind_named(const char *name)
{
    for (int32_t i = 0; i < 4; i++)
        if (strcmp(kind_names[i], name) == 0) return i;
    return -1;
}

int32_t mcomp_quantizer_options_init(mcomp_quantizer_options *o, uint32_t size)
{
    MC_API_ENTER();
    return mc_options_init(o, size, sizeof *o, "mcomp_quantizer_options");
}

static int32_t check_options(const mcomp_quantizer_options *o)
{
    static const char *const schemes[] = {"auto", "int8", "int8-dynamic", "int8-dynamic-tensor", "w8", "w4", NULL};
    int32_t st = MCOMP_OK, known = !o->scheme;
    for (int32_t i = 0; !known && schemes[i]; i++) known = strcmp(schemes[i], o->scheme) == 0;
    if (!known) {
        const char *near = mc_nearest(o->scheme, schemes);
        st = mc_fail(MCOMP_ARGUMENT, o->scheme, "no such scheme");
        mc_fail_hint(near ? "did you mean %s?" : "auto, int8, int8-dynamic or int8-dynamic-tensor%s", near ? near : "");
        return st;
    }
    if (o->scheme && (strcmp(o->scheme, "w8") == 0 || strcmp(o->scheme, "w4") == 0))
        return mc_fail(MCOMP_UNSUPPORTED, o->scheme, "weight-only quantization is not in this version");
    if (o->range && strcmp(o->range, "auto") != 0 && !mc_range_rule_named(o->range)) {
        st = mc_fail(MCOMP_ARGUMENT, o->range, "no such range rule");
        mc_fail_hint("auto, minmax, average, percentile, kl or mse");
        return st;
    }
    if (o->qdq < MCOMP_QDQ_ORT || o->qdq > MCOMP_QDQ_OPENVINO) return mc_fail(MCOMP_ARGUMENT, "qdq", "no such flavour");
    if (!(o->percentile >= 0.0 && o->percentile <= 100.0)) return mc_fail(MCOMP_RANGE, "percentile", "must be within 0..100");
    if (o->slower < MCOMP_SLOWER_AUTO || o->slower > MCOMP_SLOWER_FLOAT) return mc_fail(MCOMP_ARGUMENT, "slower", "must be MCOMP_SLOWER_AUTO, _KEEP or _FLOAT");
    if (!(o->max_error >= 0.0)) return mc_fail(MCOMP_RANGE, "max_error", "must not be negative");
    return st;
}

int32_t mcomp_quantizer_create(mcomp_quantizer **out, mcomp_context *ctx, const mcomp_quantizer_options *options)
{
    mcomp_quantizer_options o = {.size = sizeof o};
    mcomp_quantizer *q = NULL;
    int32_t st = MCOMP_OK;
    MC_API_ENTER();
    MC_CHECK_ARG(1, out, "out", "is NULL");
    *out = NULL;
    MC_CHECK_ARG(2, ctx, "ctx", "is NULL");
    MC_TRY(mc_options_read(&o, sizeof o, options, "mcomp_quantizer_options"));
    MC_TRY(check_options(&o));
    q = mc_calloc(1, sizeof *q);
    if (!q) return MCOMP_NO_MEMORY;
    q->ctx = ctx;
    q->qdq = o.qdq;
    q->slower = o.slower != MCOMP_SLOWER_AUTO ? o.slower : o.scheme && strcmp(o.scheme, "auto") != 0 ? MCOMP_SLOWER_KEEP : MCOMP_SLOWER_FLOAT;
    q->percentile = o.percentile;
    q->max_error = o.max_error > 0.0 ? o.max_error : DEFAULT_MAX_ERROR;
    q->scheme = mc_strdup(o.scheme ? o.scheme : "auto");
    q->range = o.range && strcmp(o.range, "auto") != 0 ? mc_strdup(o.range) : NULL;
    q->chosen = "float";
    if (!q->scheme || (o.range && strcmp(o.range, "auto") != 0 && !q->range)) st = MCOMP_NO_MEMORY;
    if (st == MCOMP_OK) {
        *out = q;
        q = NULL;
    }
done:
    mcomp_quantizer_destroy(q);
    return st;
}

static void clear_report(mcomp_quantizer *q)
{
    for (int64_t i = 0; i < q->n_rows; i++) {
        mc_free(q->rows[i].node);
        mc_free(q->rows[i].op);
        mc_free(q->rows[i].why);
    }
    q->n_rows = 0;
}

void mcomp_quantizer_destroy(mcomp_quantizer *q)
{
    if (!q) return;
    clear_report(q);
    for (int64_t i = 0; i < q->n_rules; i++) {
        mc_free(q->rules[i].pattern);
        mc_free(q->rules[i].value);
    }
    mc_free(q->rules);
    mc_free(q->rows);
    mc_free(q->scheme);
    mc_free(q->range);
    mc_free(q);
}

int32_t mcomp_quantizer_set_rule(mcomp_quantizer *q, const char *pattern, const char *key, const char *value)
{
    int32_t st = MCOMP_OK;
    MC_API_ENTER();
    MC_CHECK_ARG(1, q, "q", "is NULL");
    MC_CHECK_ARG(2, pattern && *pattern, "pattern", "is NULL or empty");
    MC_CHECK_ARG(3, key && (strcmp(key, "precision") == 0 || strcmp(key, "range") == 0), "key", "must be precision or range");
    const int is_range = strcmp(key, "range") == 0;
    MC_CHECK_ARG(4, value && (is_range ? strcmp(value, "auto") == 0 || mc_range_rule_named(value) != NULL : kind_named(value) >= 0),
                 "value", is_range ? "is no range rule" : "must be float, int8, int8-dynamic or int8-dynamic-tensor");
    MC_TRY(mc_grow(&q->rules, &q->cap_rules, q->n_rules + 1, sizeof *q->rules));
    mc_qrule r = {mc_strdup(pattern), mc_strdup(value), is_range ? -1 : kind_named(value)};
    if (!r.pattern || !r.value) {
        mc_free(r.pattern);
        mc_free(r.value);
        return MCOMP_NO_MEMORY;
    }
    q->rules[q->n_rules++] = r;
done:
    return st;
}

static int matches(const char *pattern, const mc_node *n)
{
    if (mc_glob_match(pattern, n->name) || mc_glob_match(pattern, n->op)) return 1;
    for (int32_t i = 0; i < n->n_aliases; i++)
        if (mc_glob_match(pattern, n->aliases[i])) return 1;
    return 0;
}

/* Later rules win. `given` is the graph as the user knows it: names in it count as matched even if a pass removed the node. */
static int32_t apply_rules(const mcomp_quantizer *q, mc_qplan *p, const mc_graph *given)
{
    for (int64_t r = 0; r < q->n_rules; r++) {
        const mc_qrule *u = &q->rules[r];
        int64_t hits = 0;
        for (int64_t i = 0; i < given->n_nodes; i++) hits += !given->nodes[i]->dead && matches(u->pattern, given->nodes[i]);
        for (int64_t i = 0; i < p->n_nodes; i++) {
            const mc_node *n = p->g->nodes[i];
            mc_qnode *k = &p->node[i];
            if (n->dead || !matches(u->pattern, n)) continue;
            hits++;
            if (u->precision < 0) {
                k->range = u->value;
                continue;
            }
            if (k->candidate && !mc_q_kind_fits(n, u->precision))
                return mc_fail(MCOMP_UNSUPPORTED, n->name, "%s cannot be %s", n->op, u->value);
            if (u->precision == MC_QK_STATIC && k->candidate && !p->calibrator)
                return mc_fail(MCOMP_ARGUMENT, n->name, "int8 needs calibration data");
            k->ruled = 1;
            if (k->candidate || u->precision == MC_QK_FLOAT) k->kind = u->precision;
            if (u->precision == MC_QK_FLOAT) k->why = "a rule keeps it";
        }
        if (hits == 0) {
            const int32_t st = mc_fail(MCOMP_ARGUMENT, u->pattern, "the pattern matches no node");
            mc_fail_hint("patterns match node names, names of nodes that were merged, and operator types; * and ? are wild");
            return st;
        }
    }
    return MCOMP_OK;
}

/* A fixed scheme: the same kind for every candidate that no rule has fixed. */
static void fixed_scheme(mc_qplan *p, int32_t kind)
{
    for (int64_t i = 0; i < p->n_nodes; i++) {
        mc_qnode *k = &p->node[i];
        if (p->g->nodes[i]->dead || !k->candidate || k->ruled) continue;
        k->kind = mc_q_kind_fits(p->g->nodes[i], kind) ? kind : MC_QK_FLOAT;
        if (k->kind == MC_QK_FLOAT) k->why = "convolutions are never dynamic";
    }
}

static int32_t report(mcomp_quantizer *q, const mc_qplan *p)
{
    int32_t st = MCOMP_OK;
    for (int64_t i = 0; i < p->n_nodes; i++) {
        const mc_node *n = p->g->nodes[i];
        const mc_qnode *k = &p->node[i];
        if (!k->candidate && !k->why && k->kind != MC_QK_TABLE) continue;
        MC_TRY(mc_grow(&q->rows, &q->cap_rows, q->n_rows + 1, sizeof *q->rows));
        mc_qreport_row *r = &q->rows[q->n_rows];
        *r = (mc_qreport_row){mc_strdup(n->name), mc_strdup(n->op), mc_strdup(k->kind == MC_QK_FLOAT && k->why ? k->why : ""),
                          kind_names[k->kind], k->kind != MC_QK_FLOAT, k->slower, k->error};
        q->n_rows++;
        if (!r->node || !r->op || !r->why) st = MCOMP_NO_MEMORY;
        if (st != MCOMP_OK) goto done;
    }
done:
    return st;
}

static int any_integer(const mc_qplan *p)
{
    for (int64_t i = 0; i < p->n_nodes; i++)
        if (p->node[i].candidate && p->node[i].kind != MC_QK_FLOAT) return 1;
    return 0;
}

static int32_t decide(mcomp_quantizer *q, mc_qplan *p, mcomp_dataset *samples)
{
    mc_qauto a = {.ctx = q->ctx, .range = q->range ? q->range : "auto", .range_given = q->range != NULL, .max_error = q->max_error};
    int32_t st = MCOMP_OK;
    if (strcmp(q->scheme, "auto") != 0) {
        fixed_scheme(p, kind_named(q->scheme));
        p->range = a.range;
        q->chosen = kind_names[kind_named(q->scheme)];
    } else {
        if (samples) MC_TRY(mc_qmeasure_open(&a.measure, q->ctx, p->g, samples));
        MC_TRY(mc_qauto_run(&a, p));
        q->chosen = a.scheme;
    }
    if (samples && q->slower == MCOMP_SLOWER_FLOAT) {
        MC_TRY(mc_qslower_run(q->ctx, p, samples));
        if (!any_integer(p)) q->chosen = kind_names[MC_QK_FLOAT];
    }
done:
    mc_qmeasure_close(a.measure);
    return st;
}

int32_t mcomp_quantizer_apply(mcomp_graph **out, mcomp_quantizer *q, const mcomp_graph *g, const mcomp_calibrator *calibrator,
                              mcomp_dataset *samples)
{
    mcomp_graph *made = NULL;
    mc_qplan *p = NULL;
    char fingerprint[33];
    int32_t st = MCOMP_OK;
    MC_API_ENTER();
    MC_CHECK_ARG(1, out, "out", "is NULL");
    *out = NULL;
    MC_CHECK_ARG(2, q, "q", "is NULL");
    MC_CHECK_ARG(3, g, "g", "is NULL");
    clear_report(q);
    if (!calibrator && strcmp(q->scheme, "int8") == 0) {
        st = mc_fail(MCOMP_ARGUMENT, "int8", "static quantization needs calibration data");
        mc_fail_hint("give calibration data, or use int8-dynamic");
        return st;
    }
    if (calibrator) {
        mc_calib_fingerprint(g->g, fingerprint);
        if (strcmp(fingerprint, calibrator->fingerprint) != 0)
            return mc_fail(MCOMP_DATA, NULL, "the calibration was made with another model");
        if (calibrator->samples == calibrator->skipped) return mc_fail(MCOMP_DATA, NULL, "the calibration saw no usable sample");
    }
    made = mc_calloc(1, sizeof *made);
    if (!made) MC_FAIL(MCOMP_NO_MEMORY, NULL, "no memory for the graph");
    made->ctx = g->ctx;
    MC_TRY(mc_graph_clone(&made->g, g->g));
    MC_TRY(mc_q_prepare(made->g, q->ctx->options.max_fold_bytes));
    MC_TRY(mc_qplan_create(&p, made->g));
    p->qdq = q->qdq;
    p->percentile = q->percentile;
    p->calibrator = calibrator;
    mc_q_candidates(p);
    mc_q_tables(p);
    MC_TRY(apply_rules(q, p, g->g));
    MC_TRY(mc_q_check_weights(p));
    MC_TRY(decide(q, p, samples));
    MC_TRY(mc_qplan_apply(p));
    MC_TRY(report(q, p));
    MC_TRY(mc_graph_set_meta(made->g, "mcomp.version", mcomp_version_string()));
    MC_TRY(mc_graph_set_meta(made->g, "mcomp.scheme", q->chosen));
    *out = made;
    made = NULL;
done:
    mc_qplan_destroy(p);
    if (made) mc_graph_destroy(made->g);
    mc_free(made);
    return st;
}

int32_t mcomp_quantizer_node_count(const mcomp_quantizer *q, int32_t *count)
{
    MC_API_ENTER();
    MC_CHECK_ARG(1, q, "q", "is NULL");
    MC_CHECK_ARG(2, count, "count", "is NULL");
    *count = (int32_t)q->n_rows;
    return MCOMP_OK;
}

int32_t mcomp_quantizer_node(const mcomp_quantizer *q, int32_t i, mcomp_quantized_node *out)
{
    MC_API_ENTER();
    MC_CHECK_ARG(1, q, "q", "is NULL");
    MC_CHECK_ARG(2, i >= 0 && i < q->n_rows, "i", "is out of range");
    MC_CHECK_ARG(3, out, "out", "is NULL");
    const mc_qreport_row *r = &q->rows[i];
    const mcomp_quantized_node n = {sizeof n, r->quantized, r->node, r->op, r->scheme, r->why, r->error, r->slower, 0};
    return mc_info_give(out, &n, sizeof n, 3);
}

int32_t mc_quantizer_apply_static(mcomp_graph **out, mcomp_quantizer *q, const mcomp_graph *g, const mcomp_calibrator *calibrator)
{
    int32_t st = MCOMP_OK;
    char *given = q->scheme, fixed[] = "int8";
    for (int64_t r = 0; r < q->n_rules && st == MCOMP_OK; r++)
        if (q->rules[r].precision > MC_QK_STATIC) st = mc_fail(MCOMP_UNSUPPORTED, q->rules[r].pattern, "dynamic scales are not trained");
    if (st == MCOMP_OK && strcmp(given, "auto") != 0 && strcmp(given, "int8") != 0) st = mc_fail(MCOMP_UNSUPPORTED, given, "training is for static quantization");
    if (st != MCOMP_OK) {
        mc_fail_hint("int8, with calibration data: its scales are part of the file, so they can be trained with it");
        return st;
    }
    q->scheme = fixed;
    st = mcomp_quantizer_apply(out, q, g, calibrator, NULL);
    q->scheme = given;
    return st;
}

void mc_quantizer_was_static(mcomp_quantizer *q)
{
    clear_report(q);
    q->chosen = kind_names[MC_QK_STATIC];
}

void mc_quantizer_set_prepare(mcomp_quantizer *q, mc_quant_prepare_fn prepare, void *payload)
{
    q->prepare = prepare;
    q->prepare_payload = payload;
}

const char *mcomp_quantizer_scheme(const mcomp_quantizer *q) { return q ? q->chosen : "float"; }
