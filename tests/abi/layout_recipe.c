/* Offsets and sizes of the structs of recipes, as layout.c. */
#include "layout.h"

/* 0.1.0 */
PIN_SIZE(mcomp_recipe_options, 16)
PIN(mcomp_recipe_options, size, 0)
PIN(mcomp_recipe_options, outside, 4)
PIN(mcomp_recipe_options, no_files, 8)
PIN(mcomp_recipe_options, reserved, 12)
PIN_SIZE(mcomp_recipe_error, 48)
PIN(mcomp_recipe_error, size, 0)
PIN(mcomp_recipe_error, code, 4)
PIN(mcomp_recipe_error, line, 8)
PIN(mcomp_recipe_error, column, 12)
PIN(mcomp_recipe_error, file, 16)
PIN(mcomp_recipe_error, text, 24)
PIN(mcomp_recipe_error, hint, 32)
PIN(mcomp_recipe_error, source, 40)
