#include "base/check.h"

#include <stdio.h>
#include <stdlib.h>

void check_failed(const char *file, int line, const char *func, const char *what)
{
    fprintf(stderr, "holdfast: check failed: %s (%s:%d, %s)\n", what, file, line, func);
    abort();
}
