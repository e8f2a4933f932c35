/* Small things into JSON objects. What was not measured is absent. */
#include "recipe/run.h"

#include <math.h>

int32_t mc_put_number(mc_json *o, const char *key, double v) { return isfinite(v) ? mc_json_set_number(o, key, v) : MCOMP_OK; }

int32_t mc_put_text(mc_json *o, const char *key, const char *text) { return text ? mc_json_set_string(o, key, text) : MCOMP_OK; }

int32_t mc_put_interval(mc_json *o, const char *key, double lo, double hi)
{
    int32_t st = MCOMP_OK;
    mc_json *pair;
    if (!isfinite(lo) || !isfinite(hi)) return MCOMP_OK;
    MC_TRY(mc_put_new(o, key, 1, &pair));
    MC_TRY(mc_json_append(pair, mc_json_new_number(lo)));
    st = mc_json_append(pair, mc_json_new_number(hi));
done:
    return st;
}

int32_t mc_put_new(mc_json *o, const char *key, int array, mc_json **out)
{
    *out = array ? mc_json_array() : mc_json_object();
    return key ? mc_json_set(o, key, *out) : mc_json_append(o, *out);
}
