#include "daemon/control_findings.h"

#include <stdio.h>

#include "daemon/control.h"
#include "daemon/finding_message.h"

#define TICK_NS (250 * NS_PER_MS)

_Static_assert((int)SENSE_NAME_MAX == (int)FINDING_NAME_MAX, "a subject that sense may name");

/* ---- subjects ---- */

struct key {
    char text[FINDING_NAME_MAX + 2];
    size_t n;
};

static struct str key_of(struct key *k, enum subject_kind kind, struct str name)
{
    k->text[0] = (char)('0' + (int)kind);
    k->n = 1 + MIN(name.n, (size_t)FINDING_NAME_MAX);
    memcpy(k->text + 1, name.p, k->n - 1);
    return (struct str){k->text, k->n};
}

static struct finding_subject *find(const struct control *c, enum subject_kind kind,
                                    struct str name)
{
    struct key k;
    return map_get(&c->found.subjects, key_of(&k, kind, name));
}

const struct finding_subject *control_held(const struct control *c, enum subject_kind kind,
                                           struct str name)
{
    return find(c, kind, name);
}

struct str finding_instance_name(const struct view_service *s, const struct view_instance *i,
                                 char out[FINDING_NAME_MAX + 1])
{
    int n = snprintf(out, FINDING_NAME_MAX + 1, STR_FMT "/" STR_FMT, STR_ARG(s->name),
                     STR_ARG(i->name));
    return (struct str){out, MIN((size_t)MAX(n, 0), (size_t)FINDING_NAME_MAX)};
}

/* The instance's slot in the view in force; -1: it has none. */
static int32_t slot_of(const struct control *c, struct str name)
{
    const char *slash = memchr(name.p, '/', name.n);
    if (!slash || !c->view)
        return -1;
    struct str service = {name.p, (size_t)(slash - name.p)};
    struct str instance = {slash + 1, name.n - service.n - 1};
    const struct view_service *s = view_service_find(c->view, service);
    const struct view_instance *i = s ? view_instance_find(s, instance) : NULL;
    return i ? (int32_t)i->slot : -1;
}

/* Whether the view in force has the subject at all. */
static bool is_there(const struct control *c, enum subject_kind kind, struct str name)
{
    if (kind == SUBJECT_INSTANCE)
        return slot_of(c, name) >= 0;
    return kind != SUBJECT_SERVICE || (c->view && view_service_find(c->view, name));
}

static void point(struct control *c, struct finding_subject *one)
{
    if (one->kind != SUBJECT_INSTANCE)
        return;
    one->slot = slot_of(c, str_of(one->name));
    if (one->slot >= 0 && (uint32_t)one->slot < c->n_subjects)
        c->subjects[one->slot].found = one;
}

static struct finding_subject *add(struct control *c, enum subject_kind kind, struct str name)
{
    struct key k;
    struct finding_out *f = &c->found;
    struct finding_subject *one = NULL;
    if (name.n == 0 || name.n > FINDING_NAME_MAX || !is_there(c, kind, name))
        return NULL; /* of a view that is no longer in force */
    if (f->subjects.n < FINDING_SUBJECTS)
        one = mem_zero(1, sizeof *one);
    if (!one || !map_put(&f->subjects, key_of(&k, kind, name), one)) {
        mem_free(one);
        f->refused++;
        return NULL;
    }
    one->kind = kind;
    one->slot = -1;
    str_copy(one->name, sizeof one->name, name);
    point(c, one);
    if (!timer_is_set(&f->tick))
        loop_timer_set(c->loop, &f->tick, loop_now(c->loop) + TICK_NS);
    return one;
}

static void forget(struct control *c, struct finding_subject *one)
{
    struct key k;
    if (one->slot >= 0 && (uint32_t)one->slot < c->n_subjects &&
        c->subjects[one->slot].found == one)
        c->subjects[one->slot].found = NULL;
    map_remove(&c->found.subjects, key_of(&k, one->kind, str_of(one->name)));
    mem_free(one);
}

/* ---- what changed is told ---- */

static const struct finding *same(const struct findings *f, const struct finding *one)
{
    for (uint32_t i = 0; i < f->n; i++)
        if (f->list[i].kind == one->kind && f->list[i].key == one->key)
            return &f->list[i];
    return NULL;
}

static const char *finder_name(uint16_t f)
{
    static const char *const names[] = {"control", "sense", "control before this one"};
    return f < ARRAY_LEN(names) ? names[f] : "control";
}

static void tell(struct control *c, const struct finding_subject *s, const struct finding *f,
                 bool raised, struct str sample)
{
    enum event_level level = !raised                        ? EVENT_INFO
                             : f->verdict == VERDICT_FAILED ? EVENT_ERROR
                                                            : EVENT_WARNING;
    char rule[AUDIT_TEXT_MAX];
    c->found.raised[f->kind] += raised;
    struct event *ev =
        control_event(c, raised ? EVENT_FINDING_RAISED : EVENT_FINDING_CLEARED, level);
    event_subject(ev, "%.*s", EVENT_SUBJECT_MAX - 1, s->name);
    event_text(ev, "%s %s (%s): %s%s%.*s", subject_kind_name(s->kind), finding_name(f->kind),
               raised ? verdict_name(f->verdict) : "over",
               f->says[0] ? f->says : finding_meaning(f->kind), raised && sample.n ? ": " : "",
               raised ? (int)MIN(sample.n, 200u) : 0, sample.p);
    finding_rule(f->kind, rule, sizeof rule);
    audit_rule(c, "%s", rule);
    audit_states(c, raised ? "absent" : "raised", raised ? "raised" : "absent",
                 finding_name(f->kind));
    audit_evidence(c, finding_name(f->kind), str_of(finder_name(f->observer)), f->at, f->key,
                   (uint32_t)MIN(f->count, (uint64_t)UINT32_MAX), "%s", f->says);
    if (raised && sample.n)
        audit_evidence(c, "sample", str_of(finder_name(f->observer)), f->at, 0, 1, STR_FMT,
                       STR_ARG(sample));
    control_event_end(c, ev);
}

static void tell_difference(struct control *c, const struct finding_subject *s,
                            const struct findings *before, struct str sample)
{
    for (uint32_t i = 0; i < s->findings.n; i++) {
        const struct finding *f = &s->findings.list[i], *was = same(before, f);
        if (f->raised && !(was && was->raised))
            tell(c, s, f, true, sample);
    }
    for (uint32_t i = 0; i < before->n; i++) {
        const struct finding *f = same(&s->findings, &before->list[i]);
        if (before->list[i].raised && !(f && f->raised))
            tell(c, s, &before->list[i], false, STR(""));
    }
}

/* What an instance's verdict is made of has changed. */
static void weigh(struct control *c, const struct finding_subject *s)
{
    if (s->slot < 0 || (uint32_t)s->slot >= c->n_subjects || !c->subjects[s->slot].used)
        return;
    judging_refresh(c, (uint32_t)s->slot);
    health_changed(c, (uint32_t)s->slot);
}

static void changed(struct control *c, struct finding_subject *s, const struct findings *before,
                    struct str sample)
{
    tell_difference(c, s, before, sample);
    weigh(c, s);
}

/* ---- what is found ---- */

bool control_found(struct control *c, enum subject_kind kind, struct str name,
                   const struct finding_signal *signal)
{
    struct finding_subject *s = find(c, kind, name);
    struct finding_signal now = *signal;
    if (!s)
        s = add(c, kind, name);
    if (!s)
        return false;
    struct findings before = s->findings;
    now.at = MIN(now.at, loop_now(c->loop));
    if (!findings_signal(&s->findings, &now))
        return false;
    changed(c, s, &before, signal->sample);
    return true;
}

bool control_cleared(struct control *c, enum subject_kind kind, struct str name,
                     enum finding_kind what, uint64_t key)
{
    struct finding_subject *s = find(c, kind, name);
    if (!s)
        return false;
    struct findings before = s->findings;
    bool did = findings_clear(&s->findings, what, key, loop_now(c->loop));
    if (did)
        changed(c, s, &before, STR(""));
    if (s->findings.n == 0)
        forget(c, s);
    return did;
}

/* ---- time ---- */

/* Whoever said it is gone, and who came instead does not say it. */
static bool is_forgotten(const struct finding_out *o, const struct finding *f, uint64_t now)
{
    if (f->gone)
        return false;
    if (f->observer == FINDER_BEFORE)
        return now - o->began > FINDING_FORGOTTEN;
    return f->observer == FINDER_SENSE && o->line_since && f->at < o->line_since &&
           now - o->line_since > FINDING_FORGOTTEN;
}

static void age(struct control *c, struct finding_subject *s, uint64_t now)
{
    struct findings before = s->findings;
    bool did = false;
    for (uint32_t i = 0; i < before.n; i++)
        if (is_forgotten(&c->found, &before.list[i], now))
            did |= findings_clear(&s->findings, before.list[i].kind, before.list[i].key, now);
    if (findings_deadline(&s->findings) <= now)
        did |= findings_tick(&s->findings, now);
    if (did)
        changed(c, s, &before, STR(""));
    if (s->findings.n == 0)
        forget(c, s);
}

/* Removing from a map moves what is in it: one is forgotten a turn at most, or passed over once. */
static void on_tick(struct timer *t)
{
    struct control *c = CONTAINER_OF(t, struct control, found.tick);
    uint64_t now = loop_now(c->loop);
    struct map_slot *slot;
    for (size_t i = 0; (slot = map_next(&c->found.subjects, &i));)
        age(c, slot->value, now);
    if (c->found.subjects.n)
        loop_timer_set(c->loop, t, now + TICK_NS);
}

/* ---- sense ---- */

static void on_message(struct ipc *i, struct ipc_message *m)
{
    struct control *c = CONTAINER_OF(i, struct control, found.sense);
    struct sense_finding f;
    if (m->type != IPC_FINDING || !finding_get(&m->body, &f)) {
        if (c->found.malformed++ == 0)
            log_warning(c->log, "sense sent a message of type %u that makes no sense", m->type);
        return;
    }
    f.signal.observer = FINDER_SENSE;
    if (f.gone)
        control_cleared(c, f.subject, f.name, f.signal.kind, f.signal.key);
    else
        control_found(c, f.subject, f.name, &f.signal);
}

static void on_gone(struct ipc *i, const char *why)
{
    struct control *c = CONTAINER_OF(i, struct control, found.sense);
    log_debug(c->log, "sense is gone: %s", why);
    c->found.line_since = 0;
}

void finding_line(struct control *c, int fd)
{
    struct err e;
    ipc_close(&c->found.sense);
    c->found.line_since = 0;
    if (ipc_open(&c->found.sense, c->loop, fd, &e))
        log_error(c->log, "sense cannot be heard: %s", e.text);
    else
        c->found.line_since = MAX(loop_now(c->loop), UINT64_C(1));
}

/* ---- control's life ---- */

void finding_init(struct control *c)
{
    c->found = (struct finding_out){.began = loop_now(c->loop)};
    c->found.sense = (struct ipc){.fd = -1, .on_message = on_message, .on_gone = on_gone};
    timer_init(&c->found.tick, on_tick);
}

void finding_end(struct control *c)
{
    struct map_slot *slot;
    if (!c->found.tick.on_fire)
        return;
    loop_timer_stop(c->loop, &c->found.tick);
    ipc_close(&c->found.sense);
    for (size_t i = 0; (slot = map_next(&c->found.subjects, &i));)
        mem_free(slot->value);
    map_free(&c->found.subjects);
}

/* What is removed from the map makes room for a later one: its place is looked at again. */
void finding_adopt(struct control *c)
{
    struct map_slot *slot;
    for (uint32_t i = 0; i < c->n_subjects; i++)
        c->subjects[i].found = NULL;
    for (size_t i = 0; (slot = map_next(&c->found.subjects, &i));) {
        struct finding_subject *s = slot->value;
        if (is_there(c, s->kind, str_of(s->name))) {
            point(c, s);
            continue;
        }
        forget(c, s);
        i--;
    }
}

void finding_restore(struct control *c, uint32_t slot, enum reason reason)
{
    const struct subject *s = &c->subjects[slot];
    enum finding_kind kind = finding_of_reason(reason);
    char name[FINDING_NAME_MAX + 1];
    if (kind == FINDING_KINDS)
        return;
    struct str full = finding_instance_name(s->service, s->instance, name);
    struct finding_subject *one = find(c, SUBJECT_INSTANCE, full);
    if (!one)
        one = add(c, SUBJECT_INSTANCE, full);
    struct finding_signal was = {.at = loop_now(c->loop),
                                 .kind = kind,
                                 .verdict = reason_verdict(reason),
                                 .key = UINT64_MAX,
                                 .weight = 1,
                                 .observer = FINDER_BEFORE,
                                 .says = STR("known from before a restart of control")};
    if (one)
        findings_signal(&one->findings, &was);
}

/* ---- who asks ---- */

const struct findings *finding_host_at(void *context, uint32_t slot)
{
    const struct control *c = context;
    return slot < c->n_subjects && c->subjects[slot].used && c->subjects[slot].found
               ? &c->subjects[slot].found->findings
               : NULL;
}

const struct findings *finding_host_held(void *context, enum subject_kind kind, struct str name)
{
    const struct finding_subject *s = find(context, kind, name);
    return s ? &s->findings : NULL;
}

bool finding_host_next(void *context, size_t *at, struct admin_held *out)
{
    const struct control *c = context;
    struct map_slot *slot = map_next(&c->found.subjects, at);
    if (!slot)
        return false;
    const struct finding_subject *s = slot->value;
    *out = (struct admin_held){s->kind, s->name, &s->findings};
    return true;
}

struct admin_found finding_host_found(void *context)
{
    const struct finding_out *o = &((const struct control *)context)->found;
    struct admin_found f = {.refused = o->refused + o->malformed};
    memcpy(f.raised, o->raised, sizeof f.raised);
    return f;
}
