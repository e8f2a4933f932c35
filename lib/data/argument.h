/* data/argument.h - private: a data argument taken apart. */
#ifndef MC_DATA_ARGUMENT_H
#define MC_DATA_ARGUMENT_H

#include "data/internal.h"

typedef struct mc_argument {
    char *copy;            /* owns what the others point into */
    const char *form, *path;
    mc_select select[16];
    int32_t n_select;
    int64_t skip, limit, every; /* of the suffix; limit -1: none, every 1 */
} mc_argument;
int32_t mc_argument_parse(mc_argument *a, const char *text);
void mc_argument_free(mc_argument *a);

#endif
