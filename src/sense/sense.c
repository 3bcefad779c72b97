#include "sense/sense.h"

#include <stdarg.h>
#include <stdio.h>

#include "sense/reading.h"

struct sense {
    struct loop *loop;
    struct sense_host host;
    const struct view *view; /* the caller's */
    struct reading *reading;
};

int sense_new(struct sense **out, struct loop *l, const struct sense_host *host, struct err *e)
{
    struct sense *s = mem_zero(1, sizeof *s);
    if (!s)
        return err_set(e, ERR_NOMEM, "no memory to sense anything");
    s->loop = l;
    s->host = *host;
    int r = reading_new(&s->reading, s, e);
    if (r)
        mem_free(s);
    else
        *out = s;
    return r;
}

void sense_free(struct sense *s)
{
    if (s)
        reading_free(s->reading);
    mem_free(s);
}

void sense_adopt(struct sense *s, const struct view *v)
{
    s->view = v;
    reading_adopt(s->reading, v);
}

void sense_repeat(struct sense *s)
{
    reading_repeat(s->reading);
}

void sense_say(struct sense *s, const struct sense_finding *f)
{
    s->host.say(s->host.context, f);
}

void sense_log(struct sense *s, bool warning, const char *fmt, ...)
{
    char text[512];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    s->host.log(s->host.context, warning, text);
}

struct loop *sense_loop(const struct sense *s)
{
    return s->loop;
}

const struct view *sense_view(const struct sense *s)
{
    return s->view;
}

const struct sense_host *sense_host(const struct sense *s)
{
    return &s->host;
}
