/* The real clock and the kernel's random numbers. */
#include "os/loop.h"

#include <errno.h>
#include <sys/random.h>
#include <time.h>

static uint64_t read_clock(clockid_t id)
{
    struct timespec t;
    int r = clock_gettime(id, &t);
    CHECK(r == 0);
    return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

uint64_t clock_now(void)
{
    return read_clock(CLOCK_BOOTTIME);
}

uint64_t clock_wall(void)
{
    return read_clock(CLOCK_REALTIME);
}

void entropy(void *p, size_t n)
{
    char *at = p;
    while (n) {
        ssize_t r = getrandom(at, n, 0);
        CHECK(r > 0 || errno == EINTR);
        if (r > 0) {
            at += r;
            n -= (size_t)r;
        }
    }
}
