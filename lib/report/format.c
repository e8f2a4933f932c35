/* Numbers as people read them: three or four digits that count, a unit, and words where nothing was measured. */
#include "report/page.h"

#include <stdio.h>

const char mc_not_measured[] = "not measured";

static mc_shown absent(void)
{
    mc_shown s;
    snprintf(s.text, sizeof s.text, "%s", mc_not_measured);
    return s;
}

#define SHOW(condition, ...)                                                                                           \
    mc_shown s;                                                                                                        \
    if (!(condition)) return absent();                                                                                 \
    snprintf(s.text, sizeof s.text, __VA_ARGS__);                                                                      \
    return s

/* Digits behind the point, so that `digits` count. */
static int places(double v, int digits)
{
    const double a = fabs(v);
    int n = digits - 1;
    for (double limit = 10.0; a >= limit && n > 0; limit *= 10.0) n--;
    for (double limit = 0.9995; a > 0.0 && a < limit && n < digits + 3; limit /= 10.0) n++;
    return a >= 0.9995 || a == 0.0 ? n : n < digits - 1 ? digits - 1 : n;
}

static mc_shown scaled(double v, const char *const *units, double step)
{
    int u = 0;
    if (!isfinite(v)) return absent();
    while (fabs(v) >= 0.9995 * step && units[u + 1]) {
        v /= step;
        u++;
    }
    SHOW(1, "%.*f %s", u == 0 && v == floor(v) ? 0 : places(v, fabs(v) >= 100.0 ? 4 : 3), v, units[u]);
}

mc_shown mc_show_bytes(double v)
{
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB", NULL};
    return scaled(v, units, 1e3);
}

mc_shown mc_show_count(double v)
{
    static const char *const units[] = {"", "k", "M", "G", "T", NULL};
    mc_shown s = scaled(v, units, 1e3);
    for (size_t n = strlen(s.text); n > 0 && s.text[n - 1] == ' ';) s.text[--n] = 0;
    return s;
}

mc_shown mc_show_ms(double v)
{
    if (fabs(v) < 0.9995 && v != 0.0) {
        SHOW(1, "%.*f \xc2\xb5s", places(1e3 * v, 3), 1e3 * v);
    }
    SHOW(isfinite(v), "%.*f ms", places(v, 3), v);
}
mc_shown mc_show_number(double v)
{
    SHOW(isfinite(v), v == floor(v) && fabs(v) < 1e15 ? "%.0f" : "%.4g", v);
}
mc_shown mc_show_seconds(double v) { SHOW(isfinite(v), "%.*f", v < 10.0 ? 2 : v < 100.0 ? 1 : 0, v); }
mc_shown mc_show_percent(double v) { SHOW(isfinite(v), "%s%.*f %%", v < 0.0 ? "\xe2\x88\x92" : "", fabs(v) < 0.1 ? 2 : 1, 100.0 * fabs(v)); }
mc_shown mc_show_times(double v) { SHOW(isfinite(v), "%.*f\xc3\x97", v < 9.95 ? 2 : v < 99.5 ? 1 : 0, v); }

mc_shown mc_show_usd(double v)
{
    char digits[32], out[40];
    size_t o = 0;
    if (!isfinite(v) || fabs(v) >= 1e15) return absent();
    if (fabs(v) < 1.0 && v != 0.0) {
        SHOW(1, "%s$%.3g", v < 0.0 ? "\xe2\x88\x92" : "", fabs(v));
    }
    if (fabs(v) < 100.0) {
        SHOW(1, "%s$%.2f", v < 0.0 ? "\xe2\x88\x92" : "", fabs(v));
    }
    const int n = snprintf(digits, sizeof digits, "%.0f", fabs(v));
    for (int i = 0; i < n; i++) {
        if (i > 0 && (n - i) % 3 == 0) out[o++] = ',';
        out[o++] = digits[i];
    }
    out[o] = 0;
    SHOW(1, "%s$%.39s", v < 0.0 ? "\xe2\x88\x92" : "", out);
}

int mc_report_is_fraction(const char *name)
{
    static const char *const others[] = {"loss", "mse", "perplexity", "mae", "rmse", NULL};
    for (int i = 0; name && others[i]; i++)
        if (strcmp(name, others[i]) == 0) return 0;
    return 1;
}

mc_shown mc_show_metric(const char *name, double v)
{
    if (!mc_report_is_fraction(name)) return mc_show_number(v);
    SHOW(isfinite(v), "%.2f %%", 100.0 * v);
}

mc_shown mc_show_points(const char *name, double d)
{
    const char *sign = fabs(d) < 5e-5 ? "\xc2\xb1" : d < 0.0 ? "\xe2\x88\x92" : "+";
    if (!mc_report_is_fraction(name)) {
        SHOW(isfinite(d), "%s%.4g", d < 0.0 ? "\xe2\x88\x92" : "+", fabs(d));
    }
    SHOW(isfinite(d), "%s%.2f points", sign, 100.0 * fabs(d));
}

mc_shown mc_show_change(double before, double after)
{
    const double c = 100.0 * (after / before - 1.0);
    if (fabs(c) < 0.05) {
        SHOW(1, "unchanged");
    }
    SHOW(isfinite(c), "%s%.1f %%", c < 0.0 ? "\xe2\x88\x92" : "+", fabs(c));
}
