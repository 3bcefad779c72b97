#include "detect/say.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/base.h"

struct out say_into(char *p, size_t size)
{
    if (size)
        p[0] = 0;
    return (struct out){p, size, 0};
}

void say(struct out *o, const char *fmt, ...)
{
    if (o->n + 1 >= o->size)
        return;
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(o->p + o->n, o->size - o->n, fmt, ap);
    va_end(ap);
    if (n > 0)
        o->n = MIN(o->n + (size_t)n, o->size - 1);
}

void say_span(struct out *o, uint64_t from, uint64_t to)
{
    uint64_t ms = to > from ? (to - from) / 1000000 : 0;
    if (ms < 10000)
        say(o, "%" PRIu64 ".%" PRIu64 " s", ms / 1000, ms % 1000 / 100);
    else
        say(o, "%" PRIu64 " s", ms / 1000);
}

void say_signals(struct out *o, const struct signal *ring, uint64_t size, uint64_t n)
{
    uint64_t shown = MIN(n, size);
    if (shown)
        say(o, " Latest signals: ");
    for (uint64_t i = 0; i < shown; i++) { /* the latest first */
        const struct signal *s = &ring[(n - 1 - i) % size];
        say(o, "%s%s", i ? ", " : "", signal_name((enum signal_kind)s->kind));
        if (s->count > 1)
            say(o, " x%u", s->count);
    }
    if (shown)
        say(o, ".");
}
