#include "second.h"

#include <mcomp/mcomp.hpp>

void load_in_second(const char *path)
{
    const mcomp::Context ctx;
    mcomp::Graph::load(ctx, path);
}
