/* tests/abi/layout.h - what pins offsets and sizes: layout*.c. */
#include <mcomp/backend.h>
#include <mcomp/mcomp.h>
#include <stddef.h>

#define PIN(type, member, offset) _Static_assert(offsetof(type, member) == (offset), #type "." #member " moved");
#define PIN_SIZE(type, size) _Static_assert(sizeof(type) == (size), "size of " #type " changed");
