/* ops_docs [--write] FILE - docs/ops.md from the operator table: compares the file with it (exit 1 when it is old) or writes
 * it. Run `ops_docs --write docs/ops.md` after adding a row. */
#include "ops/ops.h"

#include <stdio.h>
#include <stdlib.h>

static const char head[] =
    "# Operators\n\n"
    "Made from lib/ops/ops.def by `ops_docs --write docs/ops.md`; do not edit.\n\n"
    "`form` is the opset whose inputs and attributes the library works with: older files are brought to it on import. `since` is\n"
    "the lowest opset that has this form: export writes the lowest opset that all nodes of a model agree with. Inputs and outputs\n"
    "are counts, `n` means any number. Kinds: *elementwise*, *view* (same elements, other shape), *shape* (folded when its inputs\n"
    "are known), *value* (the output's shape depends on values), *control* (has subgraphs). Quantization: *weighted* (activation,\n"
    "weight, bias), *pass* (integers go through), *shared* (one scale for all), *add*, *pool*, *table* (256 entries), or stays\n"
    "float. Gradient: whether a loss can be differentiated through it (training_ops.md). Any other operator of a model is\n"
    "kept as it is; only running it is refused.\n\n";

static int32_t row(mc_str *s, const mc_op *o)
{
    static const char *const quant[] = {"float", "weighted", "pass", "shared", "add", "pool", "table"};
    static const struct {
        uint32_t bit;
        const char *name;
    } kinds[] = {{MC_OP_ELEMENTWISE, "elementwise"}, {MC_OP_VIEW, "view"}, {MC_OP_SHAPE_GLUE, "shape"}, {MC_OP_VALUE_SHAPED, "value"},
                 {MC_OP_CONTROL, "control"}};
    char in[16] = "n", out[16] = "n";
    int32_t st = MCOMP_OK, any = 0;
    if (o->max_in >= 0) snprintf(in, sizeof in, "%d", o->max_in);
    if (o->max_out >= 0) snprintf(out, sizeof out, "%d", o->max_out);
    MC_TRY(mc_str_appendf(s, "| %s | ", o->name));
    if (strcmp(o->domain, "mcomp") != 0) MC_TRY(mc_str_appendf(s, "%d | %d | ", o->version, o->since));
    MC_TRY(mc_str_appendf(s, o->min_in == o->max_in ? "%d" : "%d..%s", o->min_in, in));
    MC_TRY(mc_str_append(s, " | "));
    MC_TRY(mc_str_appendf(s, o->min_out == o->max_out ? "%d" : "%d..%s", o->min_out, out));
    MC_TRY(mc_str_append(s, " |"));
    if (strcmp(o->domain, "mcomp") != 0) {
        for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
            if (o->traits & kinds[i].bit) MC_TRY(mc_str_appendf(s, "%s %s", any++ ? "," : "", kinds[i].name));
        MC_TRY(mc_str_appendf(s, " | %s | %s", quant[o->quant], o->gradient ? "yes |" : "|"));
    }
    MC_TRY(mc_str_append(s, "\n"));
done:
    return st;
}

static int by_name(const void *a, const void *b)
{
    const mc_op *x = *(const mc_op *const *)a, *y = *(const mc_op *const *)b;
    return strcmp(x->name, y->name);
}

static int32_t make(mc_str *s)
{
    const mc_op *const *table, *sorted[512];
    const int32_t n = mc_op_all(&table);
    int32_t st = MCOMP_OK;
    if (n > 512) return MCOMP_LIMIT;
    memcpy(sorted, table, sizeof *sorted * (size_t)n);
    qsort(sorted, (size_t)n, sizeof *sorted, by_name);
    MC_TRY(mc_str_append(s, head));
    MC_TRY(mc_str_append(s, "## ONNX\n\n| operator | form | since | inputs | outputs | kind | quantized | gradient |\n|---|---|---|---|---|---|---|---|\n"));
    for (int32_t i = 0; i < n; i++)
        if (sorted[i]->domain[0] == 0) MC_TRY(row(s, sorted[i]));
    MC_TRY(mc_str_append(s, "\n## ONNX, domain ai.onnx.preview.training\n\nGradient is expanded when a model is made ready to run.\n\n"
                            "| operator | form | since | inputs | outputs | kind | quantized | gradient |\n|---|---|---|---|---|---|---|---|\n"));
    for (int32_t i = 0; i < n; i++)
        if (strcmp(sorted[i]->domain, "ai.onnx.preview.training") == 0) MC_TRY(row(s, sorted[i]));
    MC_TRY(mc_str_append(s, "\n## Domain mcomp\n\nOnly inside of compiled plans, never in a file (fused_ops.md, training_ops.md).\n\n"
                            "| operator | inputs | outputs |\n|---|---|---|\n"));
    for (int32_t i = 0; i < n; i++)
        if (strcmp(sorted[i]->domain, "mcomp") == 0) MC_TRY(row(s, sorted[i]));
done:
    return st;
}

int main(int argc, char **argv)
{
    mc_str s = {0};
    char *is = NULL;
    uint64_t bytes;
    mc_writer *w;
    const char *path = argc > 1 ? argv[argc - 1] : NULL;
    if (!path || make(&s) != MCOMP_OK) {
        mc_str_free(&s);
        return 2;
    }
    if (argc > 2) {
        const int ok = mc_writer_open(&w, path, 1) == MCOMP_OK && mc_writer_write(w, s.data, (uint64_t)s.len) == MCOMP_OK &&
                       mc_writer_commit(w) == MCOMP_OK;
        mc_str_free(&s);
        return !ok;
    }
    const int same = mc_file_read(path, 1 << 20, &is, &bytes) == MCOMP_OK && bytes == (uint64_t)s.len && memcmp(is, s.data, bytes) == 0;
    if (!same) printf("%s is old: run ops_docs --write %s\n", path, path);
    mc_free(is);
    mc_str_free(&s);
    return !same;
}
