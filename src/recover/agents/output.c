#include "recover/agents/output.h"

enum { PER_LINE = 1000 };
#define NS_PER_THOUSANDTH (UINT64_C(1000000000) / ((uint64_t)OUTPUT_RATE * PER_LINE))

void output_clear(struct output *o, uint64_t now)
{
    *o = (struct output){.context = o->context,
                         .on_line = o->on_line,
                         .tokens = (uint64_t)OUTPUT_BURST * PER_LINE,
                         .filled = now};
}

static bool may_tell(struct output *o, uint64_t now)
{
    uint64_t more = now > o->filled ? (now - o->filled) / NS_PER_THOUSANDTH : 0;
    o->filled += more * NS_PER_THOUSANDTH;
    o->tokens = MIN(o->tokens + more, (uint64_t)OUTPUT_BURST * PER_LINE);
    if (o->tokens < PER_LINE)
        return false;
    o->tokens -= PER_LINE;
    return true;
}

static void keep(struct output *o, struct str line)
{
    uint32_t at = (o->first + o->n) % OUTPUT_KEPT;
    if (o->n == OUTPUT_KEPT)
        o->first = (o->first + 1) % OUTPUT_KEPT;
    else
        o->n++;
    str_copy(o->lines[at], OUTPUT_LINE, line);
}

static void end_line(struct output *o, uint64_t now)
{
    struct str line = {o->open, o->open_n};
    if (line.n) {
        keep(o, line);
        if (!may_tell(o, now))
            o->lost++;
        else if (o->on_line)
            o->on_line(o->context, line);
    }
    o->open_n = 0;
}

static char printable(char c)
{
    return (unsigned char)c < ' ' || c == 127 ? '?' : c;
}

static void add_to_line(struct output *o, struct str part)
{
    size_t room = OUTPUT_LINE - 1 - o->open_n, n = MIN(part.n, room);
    for (size_t i = 0; i < n; i++)
        o->open[o->open_n + i] = printable(part.p[i]);
    o->open_n += (uint32_t)n;
}

void output_add(struct output *o, struct str bytes, uint64_t now)
{
    while (bytes.n) {
        const char *end = memchr(bytes.p, '\n', bytes.n);
        size_t n = end ? (size_t)(end - bytes.p) : bytes.n, over = end ? 1 : 0;
        struct str part = {bytes.p, n};
        if (end && part.n && part.p[part.n - 1] == '\r')
            part.n--;
        add_to_line(o, part);
        if (end)
            end_line(o, now);
        bytes.p += n + over;
        bytes.n -= n + over;
    }
}

void output_end(struct output *o, uint64_t now)
{
    end_line(o, now);
}

const char *output_line(const struct output *o, uint32_t i)
{
    CHECK(i < o->n);
    return o->lines[(o->first + i) % OUTPUT_KEPT];
}
