#include "second.h"

#include <cstdlib>
#include <mcomp/mcomp.hpp>
#include <new>

static long news;

void *operator new(std::size_t n)
{
    news++;
    if (void *p = std::malloc(n)) return p;
    throw std::bad_alloc();
}
void operator delete(void *p) noexcept { std::free(p); }
void operator delete(void *p, std::size_t) noexcept { std::free(p); }

long allocations() { return news; }

void load_in_second(const char *path)
{
    const mcomp::Context ctx;
    mcomp::Graph::load(ctx, path);
}
