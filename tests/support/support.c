#include "support/support.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

int mc_test_main(Suite *s)
{
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    const int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

const char *mc_test_data(const char *relative)
{
    static char buffers[8][1024];
    static int next;
    const char *root = getenv("MCOMP_TEST_DATA");
    if (!root || !*root) return NULL;
    char *b = buffers[next++ % 8];
    snprintf(b, sizeof buffers[0], "%s/%s", root, relative);
    return b;
}

int mc_test_skip_without_data(void)
{
    const char *ci = getenv("CI");
    if (mc_test_data("")) {
        const char *floor_file = getenv("MCOMP_TEST_DATA_LOG"); /* counts tests that ran on real data */
        FILE *f = floor_file ? fopen(floor_file, "a") : NULL;
        if (f) {
            fputs("1\n", f);
            fclose(f);
        }
        return 0;
    }
    ck_assert_msg(!ci || strcmp(ci, "true") != 0, "no test data under CI: configure with -Dtest_data=");
    fprintf(stderr, "SKIPPED: no test data; configure with -Dtest_data=FOLDER\n");
    return 1;
}

void mc_ck_close_f32(const float *got, const float *want, int64_t n, double rtol, double atol)
{
    for (int64_t i = 0; i < n; i++) {
        const double g = (double)got[i], w = (double)want[i], d = fabs(g - w);
        if (isnan(g) && isnan(w)) continue;
        if (d <= atol + rtol * fabs(w) || (isinf(g) && g == w)) continue; /* an assertion an element would take most of the time */
        ck_abort_msg("element %lld: got %.9g, want %.9g, difference %.3g", (long long)i, g, w, d);
    }
}

float mc_test_random(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (float)((double)(*state >> 40) / (double)(1u << 23) - 1.0);
}
