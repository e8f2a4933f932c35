/* tests/support/support.h - what every test uses: main, data folder, closeness, the formula inputs. */
#ifndef MC_TEST_SUPPORT_H
#define MC_TEST_SUPPORT_H

#include <check.h>
#include <stdint.h>

#include "base/base.h"

/* int main body: runs the suite, returns the exit status. */
int mc_test_main(Suite *s);
/* Path of a file below the test data folder (static buffer, 8 in rotation), or NULL when there is no folder. */
const char *mc_test_data(const char *relative);
/* For tests on real data: returns 1 (and says so loudly) when there is no data; fails the test instead under CI=true. Usage:
 * if (mc_test_skip_without_data()) return; */
int mc_test_skip_without_data(void);
/* Fails the test naming index, values and difference unless |got - want| <= atol + rtol * |want| for all n. */
void mc_ck_close_f32(const float *got, const float *want, int64_t n, double rtol, double atol);
#define mc_ck_ok(expr)                                                                                                 \
    do {                                                                                                               \
        const int32_t st_ = (expr);                                                                                    \
        ck_assert_msg(st_ == 0, "%s: %s: %s (%s)", #expr, mcomp_status_name(st_), mc_error_peek()->message,            \
                      mc_error_peek()->where);                                                                         \
    } while (0)
#define mc_ck_fails(expr, code)                                                                                        \
    do {                                                                                                               \
        mc_error_clear();                                                                                              \
        const int32_t st_ = (expr);                                                                                    \
        ck_assert_msg(st_ == (code), "%s: %s instead of %s", #expr, mcomp_status_name(st_), mcomp_status_name(code));  \
        ck_assert_msg(mc_error_peek()->message[0] != 0, "%s: no message", #expr);                                      \
    } while (0)
/* u(i) of the golden inputs: 0..255. */
static inline uint32_t mc_test_formula(uint32_t i) { return (i * 2654435761u + 12345u) >> 24; }
/* Reproducible numbers in [-1, 1). */
float mc_test_random(uint64_t *state);

#endif
