/* second.h - of second.cpp, another file that includes mcomp.hpp. */
#ifndef TEST_CPP_SECOND_H
#define TEST_CPP_SECOND_H

void load_in_second(const char *path);
long allocations(); /* calls of operator new so far: what C++ allocates, not the library */

#endif
