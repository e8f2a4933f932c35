/* Advice on what to do first, one row a rule, in the order of importance. Each line holds the figure that made the rule hold. The limits
 * are those of docs/cost.md. */
#include "report/cost.h"

#include <math.h>
#include <stdio.h>

enum { LOW_LOAD_PERCENT = 40, MONTH_USD = 3000, LATENCY_TIMES = 2, DISTIL_SAMPLES = 10000, PAYBACK_MONTHS = 6 };

/* Writes the text and returns 1 when the rule holds. Comparisons with NaN, which is "not given", are false. */
typedef int (*rule_fn)(mc_advice *a, const mcomp_cost_options *o, const mcomp_cost_result *r);

#define SAY(v, ...) (a->value = (v), (void)snprintf(a->text, sizeof a->text, __VA_ARGS__), 1)

static int right_size(mc_advice *a, const mcomp_cost_options *o, const mcomp_cost_result *r)
{
    (void)o;
    if (!(r->utilization_before * 100.0 < LOW_LOAD_PERCENT && r->needed_before < r->instances_before)) return 0;
    return SAY(r->utilization_before, "The busiest second takes %.0f %% of what the %.0f instances carry: %.0f would do, without touching the model. Do that first.",
               100.0 * r->utilization_before, r->instances_before, r->needed_before);
}

static int too_few(mc_advice *a, const mcomp_cost_options *o, const mcomp_cost_result *r)
{
    if (!(r->needed_after > r->instances_after)) return 0;
    return SAY(r->needed_after, "The busiest second needs %.0f instances afterwards at a load of %.0f %%, and %.0f are planned.", r->needed_after,
               100.0 * o->utilization, r->instances_after);
}

static int quantize(mc_advice *a, const mcomp_cost_options *o, const mcomp_cost_result *r)
{
    (void)o;
    if (!(r->monthly_before > 0.0)) return 0;
    return SAY(r->monthly_before, "Quantize first: it takes hours and no training, and pays far below the $%.0f a month spent now.", r->monthly_before);
}

static int distill(mc_advice *a, const mcomp_cost_options *o, const mcomp_cost_result *r)
{
    const int slow = o->max_p50_ms > 0.0 && o->p50_ms > LATENCY_TIMES * o->max_p50_ms;
    if (!slow && !(r->monthly_before > MONTH_USD)) return 0;
    if (o->samples > 0.0 && o->samples < DISTIL_SAMPLES)
        return a->figure = "samples", SAY(o->samples, "Distillation would pay, but wants about %d samples of the task, labelled or not; there are %.0f.", DISTIL_SAMPLES, o->samples);
    if (slow) return a->figure = "p50_ms", SAY(o->p50_ms, "Distill: the latency is %.1f times what is asked for, more than other integers alone give.", o->p50_ms / o->max_p50_ms);
    return a->figure = "monthly_cost.before", SAY(r->monthly_before, "Distill after that: above $%d a month ($%.0f here) a smaller model is worth the training.", MONTH_USD, r->monthly_before);
}

static int prune(mc_advice *a, const mcomp_cost_options *o, const mcomp_cost_result *r)
{
    if (!(r->monthly_before > MONTH_USD) || (o->max_drop > 0.0 && o->max_drop < 0.01)) return 0;
    return SAY(r->monthly_before, "Prune last: whole channels and heads help everywhere, blocks of weights only where a sparse kernel was measured to win.");
}

static int tight(mc_advice *a, const mcomp_cost_options *o, const mcomp_cost_result *r)
{
    (void)r;
    if (!(o->max_drop > 0.0 && o->max_drop < 0.01)) return 0;
    return SAY(o->max_drop, "At most %.2f points may be lost: keep sensitive layers float, train with quantization and the teacher's loss, do not prune single weights.",
               100.0 * o->max_drop);
}

static int too_lossy(mc_advice *a, const mcomp_cost_options *o, const mcomp_cost_result *r)
{
    (void)r;
    if (!(o->max_drop > 0.0 && o->accuracy_drop > o->max_drop)) return 0;
    return SAY(o->accuracy_drop, "%.2f points of accuracy are lost where %.2f are allowed.", 100.0 * o->accuracy_drop, 100.0 * o->max_drop);
}

static int errors(mc_advice *a, const mcomp_cost_options *o, const mcomp_cost_result *r)
{
    if (r->error_usd > r->saving_usd)
        return SAY(r->error_usd, "Do not: the answers that become wrong cost $%.0f a month, more than the $%.0f saved.", r->error_usd, r->saving_usd);
    if (!isfinite(r->break_even_usd_per_error)) return 0;
    return a->figure = "break_even_usd_per_error", SAY(r->break_even_usd_per_error, "%.0f more answers a day are wrong; the saving is gone once one costs $%.4g.", o->accuracy_drop * o->requests_per_day,
               r->break_even_usd_per_error);
}

static int payback(mc_advice *a, const mcomp_cost_options *o, const mcomp_cost_result *r)
{
    (void)o;
    if (r->net_saving_usd <= 0.0) return a->figure = "net_saving_usd", SAY(r->net_saving_usd, "Nothing is saved: it would cost $%.0f a month more.", -r->net_saving_usd);
    if (!(r->payback_months > PAYBACK_MONTHS)) return 0;
    return SAY(r->payback_months, "Do not: it takes %.1f months to earn back $%.0f, more than %d.", r->payback_months, r->one_off_usd, PAYBACK_MONTHS);
}

static int mixed(mc_advice *a, const mcomp_cost_options *o, const mcomp_cost_result *r)
{
    if (!(o->after_usd_per_hour > 0.0 && o->after_usd_per_hour != o->usd_per_hour && r->saving_usd > 0.0)) return 0;
    return SAY(r->saving_price_usd, "Of the saving $%.0f is another price an hour, not the model: measure the latency on the machine that is paid for.", r->saving_price_usd);
}

static const struct {
    const char *rule, *figure;
    rule_fn holds;
} rules[] = {
    {"right_size", "peak_load_ratio.before", right_size}, {"payback", "payback_months", payback}, {"errors", "error_usd", errors},
    {"too_lossy", "accuracy_drop", too_lossy},     {"too_few", "instances_needed.after", too_few}, {"quantize", "monthly_cost.before", quantize},
    {"distill", NULL, distill},                 {"tight", "max_drop", tight},             {"prune", "monthly_cost.before", prune},
    {"mixed", "saving_parts.price_usd", mixed},
};

int32_t mc_cost_advice(mc_advice *out, int32_t capacity, const mcomp_cost_options *o, const mcomp_cost_result *r)
{
    int32_t n = 0;
    for (size_t i = 0; i < sizeof rules / sizeof *rules && n < capacity; i++) {
        out[n] = (mc_advice){.rule = rules[i].rule, .figure = rules[i].figure};
        n += rules[i].holds(&out[n], o, r);
    }
    return n;
}
