/* Recipes: the documented one, small ones with everything that YAML has, and what is wrong with others. */
#include <string.h>

#include "fuzz/fuzz.h"

#define HEAD "version: 1\nmodel: {teacher: t.onnx}\ndata: {train: a.tsv, eval: b.tsv@split=test}\n"

void mc_fuzz_seeds(mc_fuzz_give give, void *payload)
{
    static const char *const texts[] = {
        "version: 1\nmodel: {teacher: teacher.onnx, expect: {metric: accuracy, value: 0.88, tol: 0.01}}\ndata:\n"
        "  train: {path: \"cuad20.tsv.gz@split=train\", text: text, label: label, tokenizer: vocab.txt, max_length: 128}\n"
        "  eval:  {path: \"cuad20.tsv.gz@split=test\"}   # the rest as in train\n  calib: {from: train, samples: 256}\n"
        "target:  {max_drop: 0.02, max_size_bytes: 3000000, max_p50_ms: 2.0, batch: 1, threads: 2}\nobjective: p50_ms\n"
        "search:  {method: none, max_trials: 1, max_hours: 2, cache: .mcomp}\npasses:\n"
        "  - distill:  {student: \"teacher:layers=0+3+5,hidden=192\", losses: [{kind: logits, temperature: 4, alpha: 0.4}, {kind: relation, weight: 1.0}]}\n"
        "  - prune:    {pattern: 4x1, match: \"*ffn*\", sparsity: 0.8, keep_distilling: true}\n"
        "  - quantize: {scheme: int8, mode: qat, keep_distilling: true}\n  - finetune: {epochs: 1, lr: 1.0e-4}\n"
        "export:  {qdq: ort}\nreport:  {cost: {instances: 8, usd_per_hour: 3.06}}\n",
        HEAD "search: {method: bisect, max_trials: 9}\npasses:\n- prune: {sparsity: {bisect: [0.5, 0.9], step: 0.1}, pattern: {choose: [4x1, channel]}}\n",
        HEAD "passes: [{quantize: {scheme: int8-dynamic, keep: [\"*a*\", b], rules: [{match: x, precision: float}]}}]\n",
        "{\"version\": 1, \"model\": {\"teacher\": \"t\"}, \"data\": {\"eval\": \"e\"}, \"passes\": [{\"quantize\": {\"scheme\": \"w8\"}}]}",
        HEAD "passes: &p\n  - finetune: &f {lr: 1e-3, steps: 5}\n  - finetune: *f\n",
        HEAD "passes:\n- finetune: {augment: \"shift:2,mirror\", lr_scale: \"*a*=0.1\", freeze: 'x,y'}\n",
        "a: &a [x,x]\nb: &b [*a,*a]\nc: &c [*b,*b]\nd: *c\n",
        "a: !!str x\n<<: {b: 1}\na: 2\n? [k]\n: v\n",
        "%YAML 1.1\n---\nversion: 0x1\nseed: 1_000\nobjectiv: |\n  x\n...\n---\nb\n",
        HEAD "raw: 1\npasses:\n- distill: {student: mlp:hidden=3, alpha: .inf, temperature: 1e999, epochs: 010}\n",
        "data:\n  train: idx:${A},b\n  eval: raw:x=f:float32:1,2\n  valid: onnx-test:d@skip=1\n  calib: {from: valid}\n",
        "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[", "\xef\xbb\xbfversion: 1\r\nmodel: \"\\u00e9\\0\"\r\n", "\xff\xfe\x61", ""};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) give(payload, (const uint8_t *)texts[i], strlen(texts[i]));
}
