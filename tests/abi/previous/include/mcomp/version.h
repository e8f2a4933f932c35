/* mcomp/version.h - version of the library. Product version and ABI follow CHANGELOG.md. */
#ifndef MCOMP_VERSION_H
#define MCOMP_VERSION_H

#include <mcomp/types.h>

#define MCOMP_VERSION_MAJOR 0
#define MCOMP_VERSION_MINOR 1
#define MCOMP_VERSION_PATCH 0
#define MCOMP_VERSION_STRING "0.1.0"

#ifdef __cplusplus
extern "C" {
#endif

/* "0.1.0": the version of the library that is loaded, which may differ from the header's. Static storage. */
MCOMP_API const char *mcomp_version_string(void);

/* major << 16 | minor << 8 | patch of the loaded library. */
MCOMP_API uint32_t mcomp_version_number(void);

#ifdef __cplusplus
}
#endif
#endif
