/* oneDNN as a backend: matrix products, convolutions and pools, float and INT8. The table, the instance and its options. */
#include "plugin.h"

#include <stdio.h>
#include <string.h>

const mcomp_host_api *dn_host;

double dn_rate(int32_t integer) { return integer ? 280.0 : dn_host->cpu_isa() >= MCOMP_ISA_AVX512 ? 80.0 : 40.0; }
int dn_has_vnni(void) { return dn_host->cpu_isa() >= MCOMP_ISA_AVX512_VNNI; }

/* MCOMP_ISA reaches oneDNN once, before anything else is asked of it. */
static void cap_isa(void)
{
    static int done;
    if (done) return;
    done = 1;
    switch (dn_host->cpu_isa()) {
    case MCOMP_ISA_AVX2: (void)dnnl_set_max_cpu_isa(dnnl_cpu_isa_avx2); break;
    case MCOMP_ISA_AVX512: (void)dnnl_set_max_cpu_isa(dnnl_cpu_isa_avx512_core); break;
    default: (void)dnnl_set_max_cpu_isa(dn_host->cpu_has_bf16() ? dnnl_cpu_isa_avx512_core_bf16 : dnnl_cpu_isa_avx512_core_vnni); break;
    }
}

static int32_t score(void)
{
    if (dn_host->cpu_isa() < MCOMP_ISA_AVX2) {
        (void)dn_host->fail(MCOMP_NO_BACKEND, "onednn", "needs AVX2 (the CPU lacks it, or MCOMP_ISA caps the tier)");
        return 0;
    }
    return 10;
}

static void destroy(mcomp_bk_instance *b)
{
    if (!b) return;
    if (b->attr) dnnl_primitive_attr_destroy(b->attr);
    if (b->engine) dnnl_engine_destroy(b->engine);
    dn_host->release(b);
}

static int32_t create(mcomp_bk_instance **out, int32_t device, const char *const *keys, const char *const *values, int32_t n)
{
    (void)device;
    mcomp_bk_instance *b = dn_host->alloc(sizeof *b);
    if (!b) return dn_host->fail(MCOMP_NO_MEMORY, "onednn", "no memory for the instance");
    memset(b, 0, sizeof *b);
    for (int32_t i = 0; i < n; i++) {
        if (strcmp(keys[i], "bf16") == 0 && (strcmp(values[i], "0") == 0 || strcmp(values[i], "1") == 0)) {
            b->bf16 = values[i][0] == '1';
            continue;
        }
        destroy(b);
        return dn_host->fail(MCOMP_ARGUMENT, keys[i], "options of onednn: bf16=0|1");
    }
    cap_isa();
    dn_single_thread();
    int bad = dnnl_engine_create(&b->engine, dnnl_cpu, 0) != dnnl_success || dnnl_primitive_attr_create(&b->attr) != dnnl_success ||
              dnnl_primitive_attr_set_scratchpad_mode(b->attr, dnnl_scratchpad_mode_user) != dnnl_success;
    if (!bad && b->bf16) bad = dnnl_primitive_attr_set_fpmath_mode(b->attr, dnnl_fpmath_mode_bf16) != dnnl_success;
    if (bad) {
        destroy(b);
        return dn_host->fail(MCOMP_NO_BACKEND, "onednn", "oneDNN gives no CPU engine");
    }
    *out = b;
    return MCOMP_OK;
}

int dn_is_op(const mcomp_bk_node *n, const char *op) { return strcmp(dn_host->node_domain(n), "mcomp") == 0 && strcmp(dn_host->node_op(n), op) == 0; }

typedef struct operator_row {
    const char *op;
    int32_t (*claim)(mcomp_bk_instance *b, const mcomp_bk_node *n, mcomp_claim *out);
    int32_t (*compile)(mcomp_bk_program *p, const mcomp_bk_compile *c);
} operator_row;

static const operator_row operators[] = {
    {"Linear", dn_linear_claim, dn_linear_compile},
    {"QLinear", dn_linear_claim, dn_linear_compile},
    {"Conv", dn_conv_claim, dn_conv_compile},
    {"QConv", dn_conv_claim, dn_conv_compile},
    {"MaxPool", dn_pool_claim, dn_pool_compile},
    {"AveragePool", dn_pool_claim, dn_pool_compile},
    {"GlobalMaxPool", dn_pool_claim, dn_pool_compile},
    {"GlobalAveragePool", dn_pool_claim, dn_pool_compile},
    {"QAveragePool", dn_pool_claim, dn_pool_compile},
    {"QGlobalAveragePool", dn_pool_claim, dn_pool_compile},
};

static const operator_row *find(const mcomp_bk_node *n)
{
    for (size_t i = 0; i < sizeof operators / sizeof *operators; i++)
        if (dn_is_op(n, operators[i].op)) return &operators[i];
    return NULL;
}

static int32_t claim(mcomp_bk_instance *b, const mcomp_bk_node *n, mcomp_claim *out)
{
    const operator_row *o = find(n);
    return o ? o->claim(b, n, out) : 0;
}

void dn_program_clear(mcomp_bk_program *p)
{
    for (int32_t i = 0; i < p->n; i++) {
        if (p->list[i].p) dnnl_primitive_destroy(p->list[i].p);
        dc_md_free(&p->list[i].src);
        dc_md_free(&p->list[i].dst);
        dc_md_free(&p->list[i].scratch);
    }
    dc_md_free(&p->weights[0]);
    dc_md_free(&p->weights[1]);
    dn_host->release(p->correction.rows);
    dn_host->release(p->correction.row_class);
    dn_host->release(p->correction.col_class);
}

static void program_destroy(mcomp_bk_program *p)
{
    if (!p) return;
    dn_program_clear(p);
    dn_host->release(p);
}

static int32_t compile(mcomp_bk_instance *b, const mcomp_bk_compile *c, mcomp_bk_program **out)
{
    if (c->n_nodes != 1) return dn_host->fail(MCOMP_INTERNAL, "onednn", "programs hold one node");
    mcomp_bk_program *p = dn_host->alloc(sizeof *p);
    if (!p) return dn_host->fail(MCOMP_NO_MEMORY, "onednn", "no memory for a program");
    memset(p, 0, sizeof *p);
    p->b = b;
    p->x = dn_slot(c, dn_host->node_input(c->nodes[0], 0));
    p->y = dn_slot(c, dn_host->node_output(c->nodes[0], 0));
    const int32_t st = find(c->nodes[0])->compile(p, c);
    if (st != MCOMP_OK) {
        program_destroy(p);
        return st;
    }
    *out = p;
    return MCOMP_OK;
}

static int32_t program_info(const mcomp_bk_program *p, mcomp_program_info *out)
{
    out->scratch_per_worker_bytes = p->pad_bytes + p->acc_bytes + p->row_bytes + p->x_bytes;
    return MCOMP_OK;
}

static int32_t run(const mcomp_bk_program *p, const mcomp_run_args *a) { return p->run(p, a); }

__attribute__((visibility("default"))) const mcomp_backend_api *mcomp_backend_entry(const mcomp_host_api *host)
{
    static char version[64];
    static mcomp_backend_api api = {
        .size = sizeof(mcomp_backend_api), .abi_major = MCOMP_BACKEND_ABI_MAJOR, .abi_minor = MCOMP_BACKEND_ABI_MINOR, .name = "onednn",
        .vendor = "oneDNN", .version = version, .score = score, .create = create, .destroy = destroy, .self_test = dn_self_test,
        .claim = claim, .compile = compile, .program_destroy = program_destroy, .program_info = program_info, .run = run,
    };
    const dnnl_version_t *v = dnnl_version();
    if (host->abi_major != MCOMP_BACKEND_ABI_MAJOR || host->size < sizeof(mcomp_host_api)) return NULL;
    dn_host = host;
    if (v->major != DNNL_VERSION_MAJOR) {
        (void)host->fail(MCOMP_NO_BACKEND, "onednn", "built for another major version of oneDNN than the library found");
        return NULL;
    }
    snprintf(version, sizeof version, "oneDNN %d.%d.%d", v->major, v->minor, v->patch);
    return &api;
}
