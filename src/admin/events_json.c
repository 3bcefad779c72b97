/* Events as JSON: the shape of docs/admin-api.md. */
#include "admin/inside.h"

#include <stdio.h>

static json_t *evidence_json(const struct signal *s, uint64_t now)
{
    char observer[32] = "control";
    if (s->observer)
        snprintf(observer, sizeof observer, "worker-%u", s->observer - 1u);
    struct json_object o = json_begin();
    json_put_text(&o, "signal", s->kind < SIGNAL_KINDS ? signal_name(s->kind) : "unknown");
    json_put_u64(&o, "count", s->count);
    json_put_u64(&o, "detail", s->detail);
    json_put_text(&o, "observer", observer);
    json_put_real(&o, "age_seconds", now > s->at ? (double)(now - s->at) / 1e9 : 0);
    return json_end(&o);
}

static void put_verdict(struct json_object *o, const struct event *ev)
{
    json_put_text(o, "from", verdict_name(ev->from));
    json_put_text(o, "to", verdict_name(ev->to));
    json_put_text(o, "reason", reason_name(ev->reason));
}

bool event_has_verdict(const struct event *ev)
{
    return ev->code == EVENT_INSTANCE_VERDICT || ev->code == EVENT_BEAT_MISSING ||
           ev->code == EVENT_BEAT_FAILED || ev->code == EVENT_BEAT_BACK;
}

json_t *event_json(const struct event *ev)
{
    struct json_object o = json_begin();
    json_put_u64(&o, "seq", ev->seq);
    json_put(&o, "time", json_time(ev->wall));
    json_put_u64(&o, "boot_ns", ev->boot);
    json_put_u64(&o, "epoch", ev->epoch);
    json_put_text(&o, "code", event_code_name(ev->code));
    json_put_text(&o, "level", event_level_name(ev->level));
    json_put_text(&o, "kind", audit_kind_name(event_kind((enum event_code)ev->code)));
    json_put_text(&o, "subject_kind", event_subject_kind((enum event_code)ev->code));
    json_put_text(&o, "subject", ev->subject);
    json_put_text(&o, "text", ev->text);
    if (event_has_verdict(ev))
        put_verdict(&o, ev);
    if (ev->by[0])
        json_put_text(&o, "by", ev->by);
    json_t *evidence = json_array();
    for (uint8_t i = 0; i < ev->n_evidence; i++)
        if (!json_push(evidence, evidence_json(&ev->evidence[i], ev->boot)))
            o.bad = true;
    json_put(&o, "evidence", evidence);
    return json_end(&o);
}

json_t *events_json(const struct events *e, uint64_t after, uint32_t limit)
{
    struct json_object o = json_begin_schema("events");
    json_t *list = json_array();
    uint64_t next = after >= e->next ? e->next - 1 : after;
    const struct event *ev = events_after(e, after);
    for (uint32_t n = 0; ev && n < limit; n++, ev = events_next(e, ev)) {
        next = ev->seq;
        if (!json_push(list, event_json(ev)))
            o.bad = true;
    }
    json_put_u64(&o, "next", next);
    json_put_u64(&o, "lost", events_lost(e, after));
    json_put(&o, "events", list);
    return json_end(&o);
}
