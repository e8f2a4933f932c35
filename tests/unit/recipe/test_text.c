/* Recipes as text: what is right is read, what is wrong is named with its place. */
#include <mcomp/mcomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "recipe/recipe.h"
#include "support/support.h"

/* The recipe of the documentation. */
static const char sample[] =
    "version: 1\n"
    "model:   {teacher: teacher.onnx, expect: {metric: accuracy, value: 0.88, tol: 0.01}}\n"
    "data:\n"
    "  train: {path: \"cuad20.tsv.gz@split=train\", text: text, label: label, tokenizer: vocab.txt, max_length: 128}\n"
    "  eval:  {path: \"cuad20.tsv.gz@split=test\", text: text, label: label}      # the rest as in train\n"
    "  calib: {from: train, samples: 256}\n"
    "target:  {max_drop: 0.02, max_size_bytes: 3000000, max_p50_ms: 2.0, batch: 1, threads: 2}   # any subset; hard\n"
    "objective: p50_ms\n"
    "search:  {method: none, max_trials: 1, max_hours: 2, cache: .mcomp}\n"
    "passes:\n"
    "  - distill:  {student: \"teacher:layers=0+3+5,hidden=192,heads=6,ffn=768,vocab=8000\", losses: [{kind: logits, temperature: 4, alpha: 0.4}, {kind: relation, "
    "weight: 1.0}], epochs: 10, lr: 3.0e-4}\n"
    "  - prune:    {pattern: 4x1, criterion: l2, match: \"*ffn*\", sparsity: 0.8, schedule: cubic, epochs: 6, keep_distilling: true}\n"
    "  - quantize: {scheme: int8, mode: qat, epochs: 2, keep_distilling: true}     # mode: ptq | qat | ptq_then_qat\n"
    "  - finetune: {epochs: 1, lr: 1.0e-4}\n"
    "export:  {qdq: ort}\n"
    "report:  {cost: {instances: 8, usd_per_hour: 3.06, after_usd_per_hour: 0.752, peak_rps: 60}}\n";

static int32_t parse(mcomp_recipe **r, const char *text)
{
    mcomp_recipe_options o;
    mc_ck_ok(mcomp_recipe_options_init(&o, sizeof o));
    o.no_files = 1;
    return mcomp_recipe_parse(r, text, strlen(text), "r.yaml", "dir", &o);
}

START_TEST(the_documented_recipe)
{
    mcomp_recipe *r;
    mc_ck_ok(parse(&r, sample));
    ck_assert_int_eq(r->n_passes, 4);
    ck_assert_int_eq(r->passes[0]->kind, MC_IN_DISTILL);
    ck_assert_int_eq(r->passes[3]->kind, MC_IN_FINETUNE);
    ck_assert_str_eq(mc_section_str(r->model, "teacher"), "dir/teacher.onnx");
    ck_assert_str_eq(mc_section_str(r->train, "path"), "dir/cuad20.tsv.gz@split=train");
    ck_assert_str_eq(mc_section_str(r->eval, "tokenizer"), "dir/vocab.txt"); /* as in train */
    ck_assert_int_eq(mc_section_int(r->eval, "max_length"), 128);
    ck_assert_str_eq(mc_section_str(r->calib, "path"), "dir/cuad20.tsv.gz@split=train");
    ck_assert_int_eq(mc_section_int(r->calib, "samples"), 256);
    ck_assert(!mc_section_given(r->valid) && !mc_section_has(r->valid, "path"));
    ck_assert(mc_section_num(r->target, "max_drop") == 0.02 && !mc_section_has(r->target, "min_metric"));
    ck_assert(mc_section_num(r->passes[0], "alpha") == 0.4 && mc_section_num(r->passes[0], "temperature") == 4.0); /* from its loss */
    ck_assert(mc_section_num(r->passes[0], "lr") == 3e-4 && mc_section_num(r->passes[1], "lr") == 1e-3);           /* the optimizer's own */
    ck_assert_str_eq(mc_section_list(r->passes[1], "match", NULL)[0], "*ffn*");
    ck_assert(mc_section_flag(r->passes[1], "keep_distilling") && !mc_section_flag(r->passes[1], "global"));
    ck_assert_str_eq(mc_section_str(r->search, "cache"), "dir/.mcomp");
    ck_assert(mc_section_num(r->cost, "usd_per_hour") == 3.06);
    mc_str losses = {0};
    mc_ck_ok(mc_recipe_losses(&losses, r->passes[0]));
    ck_assert_str_eq(losses.data, "logits=1,relation=1");
    mc_str_free(&losses);
    mcomp_recipe_destroy(r);
}
END_TEST

START_TEST(explained_it_is_the_same_recipe)
{
    mcomp_recipe *r, *again;
    const char *first, *second;
    mc_ck_ok(parse(&r, sample));
    mc_ck_ok(mcomp_recipe_explain(&first, r));
    mc_ck_ok(parse(&again, first));
    mc_str a = {0}, b = {0};
    mc_ck_ok(mc_section_write(&a, r->top));
    mc_ck_ok(mc_section_write(&b, again->top));
    ck_assert_str_eq(a.data, b.data);
    mc_ck_ok(mcomp_recipe_explain(&second, again));
    ck_assert(strstr(second, "# default") == NULL); /* everything is written out */
    mc_str_free(&a);
    mc_str_free(&b);
    mcomp_recipe_destroy(again);
    mcomp_recipe_destroy(r);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("recipe/text");
    TCase *t = tcase_create("text");
    tcase_add_test(t, the_documented_recipe);
    tcase_add_test(t, explained_it_is_the_same_recipe);
    suite_add_tcase(s, t);
    return mc_test_main(s);
}
