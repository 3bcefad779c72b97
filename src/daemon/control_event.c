/* What happened, to the ring of events and to the log in one step. */
#include <stdarg.h>
#include <stdio.h>

#include "daemon/control.h"

struct event *control_event(struct control *c, enum event_code code, enum event_level level)
{
    struct event *ev = events_begin(&c->events, code, level, loop_now(c->loop), clock_wall(),
                                    c->view ? c->view->epoch : 0);
    event_by(ev, c->auditing.by);
    return ev;
}

void event_subject(struct event *ev, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vsnprintf(ev->subject, sizeof ev->subject, fmt, args);
    va_end(args);
}

void event_text(struct event *ev, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vsnprintf(ev->text, sizeof ev->text, fmt, args);
    va_end(args);
}

static enum log_level log_level_of(uint8_t level)
{
    switch ((enum event_level)level) {
    case EVENT_INFO: return LOG_LEVEL_INFO;
    case EVENT_WARNING: return LOG_LEVEL_WARNING;
    case EVENT_ERROR: return LOG_LEVEL_ERROR;
    case EVENT_LEVELS: break;
    }
    UNREACHABLE();
}

void control_event_end(struct control *c, struct event *ev)
{
    log_line(c->log, log_level_of(ev->level), "%s: %s%s%s", event_code_name(ev->code), ev->subject,
             ev->subject[0] ? ": " : "", ev->text);
    events_commit(&c->events);
}

void control_unsaved(struct control *c, const struct err *e)
{
    if (!e) {
        c->unsaved = false;
        return;
    }
    if (c->unsaved)
        return;
    c->unsaved = true;
    struct event *ev = control_event(c, EVENT_STATE_UNSAVED, EVENT_ERROR);
    event_text(ev, "%s", e->text);
    control_event_end(c, ev);
}
