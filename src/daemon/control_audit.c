/* Every event, with the evidence behind it, goes to the audit (docs/audit.md) as it is committed.
 *
 * An event holds a judge's latest signals. What else is known when it happens is gathered before it
 * ends, between control_event and control_event_end: what other nodes see, how it compares with its
 * pool, who says what of a member, the rule in words. Gathering is bounded and allocates nothing;
 * whatever was gathered belongs to the next event that is committed.
 *
 * Who asked: the admin API says so before each request that changes something (auditing_asked), and
 * events that follow at once carry it. What is done later (a reload, a hand-over) takes it along.
 */
#include <stdarg.h>
#include <stdio.h>

#include "daemon/control.h"
#include "daemon/paths.h"

enum { QUEUE_BYTES = 4 * 1024 * 1024 };

/* ---- gathering ---- */

static struct str keep_text(struct auditing *g, const char *fmt, va_list args)
    __attribute__((format(printf, 2, 0)));
static struct str keep_text(struct auditing *g, const char *fmt, va_list args)
{
    size_t room = sizeof g->texts - g->n_texts;
    char *at = g->texts + g->n_texts;
    int n = vsnprintf(at, room, fmt, args);
    size_t used = n < 0 || room == 0 ? 0 : MIN((size_t)n, room - 1);
    g->n_texts += used;
    return (struct str){at, used};
}

static struct str keep_name(struct auditing *g, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
static struct str keep_name(struct auditing *g, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    struct str s = keep_text(g, fmt, args);
    va_end(args);
    return s;
}

void audit_evidence(struct control *c, const char *signal, struct str observer, uint64_t at,
                    uint64_t detail, uint32_t count, const char *fmt, ...)
{
    struct auditing *g = &c->auditing;
    va_list args;
    if (!g->audit || g->n >= ARRAY_LEN(g->signals))
        return;
    struct audit_signal *s = &g->signals[g->n++];
    *s =
        (struct audit_signal){.signal = str_of(signal), .at = at, .detail = detail, .count = count};
    s->observer = keep_name(g, STR_FMT, (int)MIN(observer.n, (size_t)100), observer.p);
    va_start(args, fmt);
    s->says = keep_text(g, fmt, args);
    va_end(args);
}

void audit_rule(struct control *c, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vsnprintf(c->auditing.rule, sizeof c->auditing.rule, fmt, args);
    va_end(args);
}

void audit_states(struct control *c, const char *before, const char *after, const char *reason)
{
    c->auditing.before = before;
    c->auditing.after = after;
    c->auditing.reason = reason;
}

static void forget_gathered(struct auditing *g)
{
    g->n = 0;
    g->n_texts = 0;
    g->rule[0] = 0;
    g->before = g->after = g->reason = NULL;
}

/* ---- who asked ---- */

void auditing_asked(void *context, const char *who)
{
    struct control *c = context;
    str_copy(c->auditing.by, sizeof c->auditing.by, str_of(who));
}

void event_by(struct event *ev, const char *who)
{
    str_copy(ev->by, sizeof ev->by, str_of(who));
}

/* ---- an event is committed ---- */

static void take_signals(struct auditing *g, const struct event *ev)
{
    struct audit_signal *to = g->all;
    for (uint8_t i = 0; i < ev->n_evidence; i++) {
        const struct signal *s = &ev->evidence[i];
        *to++ = (struct audit_signal){
            .signal = str_of(signal_name((enum signal_kind)s->kind)),
            .observer = s->observer ? keep_name(g, "worker-%u", s->observer - 1u) : STR("control"),
            .at = s->at,
            .detail = s->detail,
            .count = s->count};
    }
    uint32_t room = (uint32_t)(g->all + ARRAY_LEN(g->all) - to), n = MIN(g->n, room);
    memcpy(to, g->signals, n * sizeof *to);
    g->n_all = ev->n_evidence + n;
}

static void keep(void *keeper, const struct event *ev)
{
    struct control *c = keeper;
    struct auditing *g = &c->auditing;
    enum event_code code = (enum event_code)ev->code;
    bool judged = event_has_verdict(ev);
    take_signals(g, ev);
    struct audit_record r = {
        .seq = ev->seq,
        .boot = ev->boot,
        .wall = ev->wall,
        .epoch = ev->epoch,
        .kind = event_kind(code),
        .code = str_of(event_code_name(code)),
        .level = str_of(event_level_name((enum event_level)ev->level)),
        .subject_kind = str_of(event_subject_kind(code)),
        .subject = str_of(ev->subject),
        .before = str_of(judged ? verdict_name((enum verdict)ev->from) : g->before),
        .after = str_of(judged ? verdict_name((enum verdict)ev->to) : g->after),
        .reason = str_of(judged ? reason_name((enum reason)ev->reason) : g->reason),
        .by = str_of(ev->by),
        .text = str_of(ev->text),
        .rule = str_of(g->rule),
        .evidence = g->all,
        .n_evidence = g->n_all,
    };
    if (g->audit)
        audit_add(g->audit, &r);
    forget_gathered(g);
    notifying_event(c, ev);
}

/* ---- what the store says of itself ---- */

static void on_news(void *context, enum audit_news what, uint64_t n, const char *text)
{
    static const struct {
        uint8_t code, level;
    } told[] = {
        [AUDIT_FAILS] = {EVENT_AUDIT_FAILED, EVENT_ERROR},
        [AUDIT_WORKS] = {EVENT_AUDIT_BACK, EVENT_INFO},
        [AUDIT_LOST] = {EVENT_AUDIT_LOST, EVENT_WARNING},
        [AUDIT_DAMAGED] = {EVENT_STATE_DAMAGED, EVENT_ERROR},
    };
    struct event *ev = control_event(context, (enum event_code)told[what].code,
                                     (enum event_level)told[what].level);
    event_by(ev, ""); /* whoever asks just now has nothing to do with it */
    switch (what) {
    case AUDIT_FAILS: event_text(ev, "%s; it is tried again every second", text); break;
    case AUDIT_WORKS: event_text(ev, "what happens is kept again"); break;
    case AUDIT_LOST:
        event_text(ev, "%llu events had no place in the audit's queue: its disk was too slow",
                   (unsigned long long)n);
        break;
    case AUDIT_DAMAGED:
        event_subject(ev, "audit.db");
        event_text(ev, "set aside as %.280s", text);
        break;
    }
    control_event_end(context, ev);
}

/* ---- start and end ---- */

static struct audit_limits limits_of(const struct view *v)
{
    const struct view_audit *a = &v->audit;
    return (struct audit_limits){.keep = a->keep ? a->keep : VIEW_AUDIT_KEEP,
                                 .rows = a->rows ? a->rows : VIEW_AUDIT_ROWS,
                                 .bytes = a->size ? a->size : VIEW_AUDIT_SIZE};
}

void auditing_init(struct control *c)
{
    char path[PATHS_MAX];
    struct err e = {0};
    struct audit_options o = {
        .loop = c->loop,
        .path = path,
        .node = c->o.node ? c->o.node : "",
        .limits = {VIEW_AUDIT_KEEP, VIEW_AUDIT_ROWS, VIEW_AUDIT_SIZE},
        .queue = QUEUE_BYTES,
        .context = c,
        .news = on_news,
    };
    int r = paths_join(path, c->o.state_dir, "audit.db", &e);
    if (r == 0)
        r = audit_new(&c->auditing.audit, &o, &e);
    c->events.keep = keep;
    c->events.keeper = c;
    if (r)
        on_news(c, AUDIT_FAILS, 1, e.text);
}

void auditing_adopt(struct control *c)
{
    struct audit_limits l = limits_of(c->view);
    if (c->auditing.audit)
        audit_set_limits(c->auditing.audit, &l);
}

void auditing_end(struct control *c)
{
    c->events.keep = NULL;
    audit_free(c->auditing.audit);
    c->auditing.audit = NULL;
}

struct audit *auditing_audit(void *context)
{
    return ((struct control *)context)->auditing.audit;
}
