/* graph/internal.h - private to the room. */
#ifndef MC_GRAPH_INTERNAL_H
#define MC_GRAPH_INTERNAL_H

#include "graph/graph.h"

const struct mc_op *mc_graph_lookup(const char *domain, const char *op, int32_t *version);
void mc_attr_clear(mc_attr *a);
int32_t mc_attr_copy(mc_attr *to, const mc_attr *from);
mc_attr *mc_node_attr_new(mc_node *n, const char *name, int32_t kind); /* replaces one of the same name */
int32_t mc_value_add_use(mc_value *v, mc_node *n, int32_t index);
void mc_value_drop_use(mc_value *v, const mc_node *n, int32_t index);
void mc_value_free(mc_value *v);
void mc_node_free(mc_node *n);
int32_t mc_graph_unique_name(mc_graph *g, const mc_map *taken, const char *base, char **out);

#endif
