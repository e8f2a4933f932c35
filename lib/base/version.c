/* Version of the loaded library. */
#include "base/base.h"

#include <mcomp/version.h>

const char *mcomp_version_string(void) { return MCOMP_VERSION_STRING; }

uint32_t mcomp_version_number(void)
{
    return (uint32_t)MCOMP_VERSION_MAJOR << 16 | (uint32_t)MCOMP_VERSION_MINOR << 8 | (uint32_t)MCOMP_VERSION_PATCH;
}
