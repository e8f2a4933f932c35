/* Descriptor table, look-up by name, and the registration that lets graph/ find descriptors. */
#include "ops/ops.h"

#include <pthread.h>

#define MC_OP(symbol, file) extern const mc_op mc_op_##symbol;
#include "ops/ops.def"
#undef MC_OP

static const mc_op *const table[] = {
#define MC_OP(symbol, file) &mc_op_##symbol,
#include "ops/ops.def"
#undef MC_OP
    NULL,
};

static mc_map *names; /* "domain:name" -> index; built once, lives for ever */
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void key_of(char *buf, size_t cap, const char *domain, const char *name)
{
    const size_t d = strlen(domain), n = strlen(name);
    buf[0] = 0;
    if (d + n + 2 > cap) return; /* no operator has such a name */
    memcpy(buf, domain, d);
    buf[d] = ':';
    memcpy(buf + d + 1, name, n + 1);
}

static int32_t version_of(const mc_op *op) { return op->version; }

static void build(void)
{
    char key[128];
    names = mc_map_create();
    for (int64_t i = 0; names && table[i]; i++) {
        key_of(key, sizeof key, table[i]->domain, table[i]->name);
        if (mc_map_put(names, key, i) != MCOMP_OK) break;
    }
    mc_graph_set_op_lookup(mc_op_find, version_of);
}

void mc_ops_register(void) { pthread_once(&once, build); }

const mc_op *mc_op_find(const char *domain, const char *name)
{
    char key[128];
    int64_t i;
    mc_ops_register();
    key_of(key, sizeof key, domain, name);
    return names && mc_map_get(names, key, &i) ? table[i] : NULL;
}

int32_t mc_op_all(const mc_op *const **out)
{
    *out = table;
    return (int32_t)(sizeof table / sizeof *table) - 1;
}

int32_t mc_op_count(const mc_node *n, mc_op_cost *cost)
{
    const mc_type *in[MC_OP_MAX_IO], *out[MC_OP_MAX_IO];
    memset(cost, 0, sizeof *cost);
    if (!n->desc || n->n_in > MC_OP_MAX_IO || n->n_out > MC_OP_MAX_IO) return MCOMP_OK;
    for (int32_t i = 0; i < n->n_in; i++) in[i] = n->in[i] ? &n->in[i]->type : NULL;
    for (int32_t i = 0; i < n->n_out; i++) out[i] = n->out[i] ? &n->out[i]->type : NULL;
    if (n->desc->cost) return n->desc->cost(n, in, out, cost);
    for (int32_t i = 0; i < n->n_out; i++) {
        double elements = 1.0;
        if (!out[i] || !mc_type_known(out[i])) continue;
        for (int32_t k = 0; k < out[i]->rank; k++) elements *= (double)out[i]->dim[k];
        cost->flops += elements;
    }
    return MCOMP_OK;
}
