/* now.c - the lengths of structs.inc in the headers of today, for use.c, which does not see them. */
#include <mcomp/mcomp.h>

#include "now.h"

const struct length lengths_now[] = {
#define STRUCT(name) {#name, sizeof(name)},
#include "structs.inc"
#undef STRUCT
    {0, 0}};
