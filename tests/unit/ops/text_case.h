/* Operator cases written as text, for tables:
 *
 *   {"Slice", "", "f32[4]:1 2 3 4; i64[1]:-1; i64[1]:-9; i64[1]:0; i64[1]:-2", "f32[2]:4 2"}
 *
 * Tensors are type[dims]:values, "-" is an omitted input, "!RANGE" stands for the status that is expected. */
#ifndef MC_TEST_TEXT_CASE_H
#define MC_TEST_TEXT_CASE_H

#include "ops/ops.h"
#include "support/node.h"
#include "support/support.h"

#include <math.h>
#include <stdlib.h>

#define TEXT_IO 16

typedef struct text_case {
    const char *op, *attrs, *in, *out;
} text_case;

static inline int32_t text_dtype(const char *s, size_t n)
{
    static const struct {
        const char *name;
        int32_t dtype;
    } table[] = {{"f32", MCOMP_F32}, {"f64", MCOMP_F64}, {"f16", MCOMP_F16}, {"bf16", MCOMP_BF16}, {"i64", MCOMP_I64}, {"i32", MCOMP_I32},
                 {"i16", MCOMP_I16}, {"i8", MCOMP_I8}, {"u64", MCOMP_U64}, {"u32", MCOMP_U32}, {"u16", MCOMP_U16}, {"u8", MCOMP_U8},
                 {"b", MCOMP_BOOL}, {"i4", MCOMP_I4}, {"u4", MCOMP_U4}, {"i2", MCOMP_I2}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (strlen(table[i].name) == n && strncmp(s, table[i].name, n) == 0) return table[i].dtype;
    ck_abort_msg("no type at %s", s);
    return 0;
}

/* One tensor; *p moves behind it (to ';' or the end). */
static inline mc_tensor *text_tensor(const char **p)
{
    mc_shape s = {0};
    mc_tensor *t;
    char *end;
    const char *q = *p + strcspn(*p, "[");
    const int32_t dtype = text_dtype(*p, (size_t)(q - *p));
    for (q++; *q != ']'; q += *q == ',') {
        s.dim[s.rank++] = strtoll(q, &end, 10);
        q = end;
    }
    mc_ck_ok(mc_tensor_create(&t, dtype, &s));
    q += q[1] == ':' ? 2 : 1;
    for (int64_t i = 0; i < mc_tensor_elements(t); i++) {
        if (mc_dtype_is_float(dtype)) mc_tensor_set_f64(t, i, strtod(q, &end));
        else if (dtype == MCOMP_U64) ((uint64_t *)t->data)[i] = strtoull(q, &end, 10);
        else mc_tensor_set_i64(t, i, strtoll(q, &end, 10));
        ck_assert_msg(end != q, "value %d is missing at %s", (int)i, *p);
        q = end;
    }
    while (*q == ' ') q++;
    ck_assert_msg(*q == 0 || *q == ';', "too many values at %s", *p);
    *p = q;
    return t;
}

static inline int32_t text_list(const char *text, mc_tensor **t)
{
    int32_t n = 0;
    for (const char *p = text; *p;) {
        while (*p == ' ' || *p == ';') p++;
        if (!*p) break;
        if (*p == '-') p++, t[n++] = NULL;
        else t[n++] = text_tensor(&p);
    }
    return n;
}

static inline void text_compare(const text_case *c, const mc_tensor *got, const mc_tensor *want)
{
    char a[96], b[96];
    ck_assert_msg(got && got->dtype == want->dtype, "%s: type %s", c->op, got ? mc_dtype_name(got->dtype) : "none");
    ck_assert_msg(mc_shape_equal(&got->shape, &want->shape), "%s(%s): shape %s, not %s", c->op, c->in,
                  mc_shape_text(&got->shape, a, sizeof a), mc_shape_text(&want->shape, b, sizeof b));
    for (int64_t i = 0; i < mc_tensor_elements(got); i++) {
        const double g = mc_tensor_get_f64(got, i), w = mc_tensor_get_f64(want, i);
        const int same = mc_dtype_is_float(got->dtype) ? g == w || (isnan(g) && isnan(w)) || fabs(g - w) <= 2e-6 * fmax(1.0, fabs(w))
                                                       : mc_tensor_get_i64(got, i) == mc_tensor_get_i64(want, i);
        ck_assert_msg(same, "%s(%s; %s): element %d is %.9g, not %.9g", c->op, c->attrs, c->in, (int)i, g, w);
    }
}

static inline void text_run(const text_case *c)
{
    mc_tensor *in[TEXT_IO] = {NULL}, *want[TEXT_IO] = {NULL}, *got[TEXT_IO] = {NULL};
    mc_value *v[TEXT_IO] = {NULL};
    mc_graph *g;
    mc_node *n;
    const int fails = c->out[0] == '!';
    const int32_t n_in = text_list(c->in, in), n_out = fails ? 1 : text_list(c->out, want);
    mc_ops_register();
    mc_ck_ok(mc_graph_create(&g, "case"));
    for (int32_t i = 0; i < n_in; i++)
        if (in[i]) {
            const mc_type type = mc_type_of(in[i]);
            mc_ck_ok(mc_graph_add_input(g, NULL, &type, &v[i]));
        }
    mc_ck_ok(mc_graph_add_node(g, "", c->op, 0, c->op, n_in, v, n_out, NULL, &n));
    ck_assert_msg(n->desc != NULL, "%s is unknown", c->op);
    mc_test_set_attrs(n, c->attrs);
    mc_error_clear();
    const int32_t st = mc_op_eval(n, n_in, (const mc_tensor *const *)in, got);
    if (fails) {
        ck_assert_msg(strcmp(mcomp_status_name(st), c->out + 1) == 0, "%s(%s; %s): %s", c->op, c->attrs, c->in, mcomp_status_name(st));
        ck_assert_msg(mc_error_peek()->message[0] != 0, "%s: no message", c->op);
    } else {
        ck_assert_msg(st == MCOMP_OK, "%s(%s; %s): %s", c->op, c->attrs, c->in, mc_error_peek()->message);
        for (int32_t i = 0; i < n_out; i++)
            if (want[i]) text_compare(c, got[i], want[i]);
    }
    for (int32_t i = 0; i < TEXT_IO; i++) {
        mc_tensor_destroy(in[i]);
        mc_tensor_destroy(want[i]);
        mc_tensor_destroy(got[i]);
    }
    mc_graph_destroy(g);
}

static inline void text_run_all(const text_case *c, size_t n)
{
    for (size_t i = 0; i < n; i++) text_run(&c[i]);
}
#define TEXT_RUN(table) text_run_all(table, sizeof(table) / sizeof *(table))

#endif
