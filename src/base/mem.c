#include "base/mem.h"

#include <stdlib.h>

static _Thread_local unsigned long fail_countdown; /* 0: disarmed */
static _Thread_local int fail_happened;

static int fails_now(void)
{
    if (__builtin_expect(fail_countdown == 0, 1))
        return 0;
    if (--fail_countdown)
        return 0;
    fail_happened = 1;
    return 1;
}

void *mem_alloc(size_t size)
{
    return fails_now() ? NULL : malloc(size ? size : 1);
}

void *mem_zero(size_t count, size_t size)
{
    return fails_now() ? NULL : calloc(count ? count : 1, size ? size : 1);
}

void *mem_resize(void *p, size_t size)
{
    return fails_now() ? NULL : realloc(p, size ? size : 1);
}

void mem_free(void *p)
{
    free(p);
}

void mem_fail_at(unsigned long n)
{
    fail_countdown = n;
    fail_happened = 0;
}

int mem_failed(void)
{
    return fail_happened;
}
