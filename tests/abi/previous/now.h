/* now.h - between now.c and use.c, which include different headers of the library. */
#ifndef TEST_PREVIOUS_NOW_H
#define TEST_PREVIOUS_NOW_H

#include <stddef.h>

struct length {
    const char *name;
    size_t bytes;
};
extern const struct length lengths_now[]; /* in the order of structs.inc, a NULL name ends it */

#endif
