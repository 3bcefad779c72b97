/* Judging: one judge for each instance of the view in force, found by slot.
 *
 * Evidence comes three ways, each counted once:
 *   - control's own checks (prober.c);
 *   - what failed: signals of the proxy's workers, one for each run of failures alike;
 *   - what was answered: the `ok` counters of the workers' instance rows, read every READ_ROWS_NS.
 *     A worker also sends SIGNAL_REQ_OK, at least at the first answer after a failure, so that "in
 *     a row" ends when it ends; what it told that way is taken off the next difference.
 * Before a failure of the proxy is judged, the rows are read: what was answered before it counts
 * before it.
 *
 * With what the other nodes see, each verdict becomes the one in force here (control_health.c).
 * Each change of that goes to the instance's verdict cell, of which control is the only writer, and
 * to the events with the evidence. Numbers from another process are checked before they are
 * believed. */
#include <stdio.h>

#include "daemon/control.h"

#define TICK_NS      (100 * NS_PER_MS)
#define READ_ROWS_NS (500 * NS_PER_MS)

static struct judge_params params_of(const struct view_service *s)
{
    return (struct judge_params){
        .checked = s->check.kind != CHECK_NONE,
        .rise = s->check.rise,
        .fall = s->check.fall,
        .eject_after = s->eject.after,
        .hold = s->eject.hold,
        .hold_max = s->eject.hold_max,
        .interval = s->check.interval,
        .fast_interval = s->check.fast_interval,
    };
}

static uint64_t answered(const struct control *c, uint32_t slot)
{
    uint64_t sum = 0;
    for (uint32_t lane = 0; lane < cells_lanes(&c->cells); lane++)
        if (cells_lane_used(&c->cells, lane))
            sum += cell_get(&cells_instance(&c->cells, lane, slot)->ok);
    return sum;
}

/* Makes what is in force of what the judge says and others see. */
static void weigh(struct control *c, uint32_t slot)
{
    struct subject *s = &c->subjects[slot];
    struct fused f = health_fuse(c, slot);
    bool own = !f.others && !f.kept && !reason_is_found(f.reason);
    if (own)
        s->shown_since = s->judge.since;
    else if (f.verdict != s->shown.verdict)
        s->shown_since = loop_now(c->loop);
    s->shown = f;
    s->good = (uint8_t)f.verdict; /* the same, where it is kept */
    s->good_reason = (uint8_t)f.reason;
}

static void write_cells(struct control *c, uint32_t slot)
{
    struct instance_verdict *row = cells_verdict(&c->cells, slot);
    const struct subject *s = &c->subjects[slot];
    cell_set(&row->verdict, s->shown.verdict);
    cell_set(&row->reason, s->shown.reason);
    cell_set(&row->certain, s->shown.certain);
    cell_set(&row->draining, drains_has(c, s->service->name, s->instance->name));
    cell_set(&row->since, s->shown_since);
    cell_add(&row->changes, 1);
}

void judging_publish(struct control *c, uint32_t slot)
{
    weigh(c, slot);
    write_cells(c, slot);
}

static enum event_level level_of(enum verdict v)
{
    return v == VERDICT_FAILED || v == VERDICT_DEGRADED ? EVENT_WARNING : EVENT_INFO;
}

static void tell(struct control *c, uint32_t slot, enum verdict from)
{
    const struct subject *s = &c->subjects[slot];
    char why[EVENT_TEXT_MAX - 64];
    health_explain(c, slot, why, sizeof why);
    struct event *ev = control_event(c, EVENT_INSTANCE_VERDICT, level_of(s->shown.verdict));
    event_subject(ev, "%.*s/%.*s", (int)MIN(s->service->name.n, 80u), s->service->name.p,
                  (int)MIN(s->instance->name.n, 120u), s->instance->name.p);
    event_text(ev, "%s -> %s (%s): %s", verdict_name(from), verdict_name(s->shown.verdict),
               reason_name(s->shown.reason), why);
    ev->from = (uint8_t)from;
    ev->to = (uint8_t)s->shown.verdict;
    ev->reason = (uint8_t)s->shown.reason;
    event_evidence(ev, &s->judge);
    evidence_verdict(c, slot);
    control_event_end(c, ev);
}

void judging_refresh(struct control *c, uint32_t slot)
{
    const struct subject *s = &c->subjects[slot];
    struct fused was = s->shown;
    weigh(c, slot);
    bool told = s->shown.verdict != was.verdict || s->shown.reason != was.reason;
    if (told || s->shown.certain != was.certain)
        write_cells(c, slot);
    if (told)
        tell(c, slot, was.verdict);
}

/* What every change of a judge does. */
static void changed(struct control *c, uint32_t slot)
{
    judging_refresh(c, slot);
    health_changed(c, slot);
    prober_hurry(c->prober, slot);
}

static void feed(struct control *c, const struct signal *signal)
{
    struct judge *j = &c->subjects[signal->slot].judge;
    if (judge_signal(j, signal))
        changed(c, signal->slot);
}

void judging_pace(struct control *c, uint32_t slot, enum pace pace, const struct pace_report *r)
{
    struct judge *j = &c->subjects[slot].judge;
    if (judge_pace(j, pace, r, loop_now(c->loop)))
        changed(c, slot);
}

/* Feeds what the rows say was answered since they were last read. */
static void read_row(struct control *c, uint32_t slot, uint64_t now)
{
    struct subject *s = &c->subjects[slot];
    uint64_t sum = answered(c, slot);
    if (sum < s->ok_seen) { /* a row that its worker cleared */
        s->ok_seen = sum;
        s->ok_told = 0;
    }
    if (sum == s->ok_seen)
        return;
    uint64_t more = sum - s->ok_seen;
    uint64_t told = MIN(more, s->ok_told);
    s->ok_seen = sum;
    s->ok_told -= told;
    if (more == told)
        return;
    struct signal ok = {.at = now,
                        .slot = slot,
                        .count = (uint32_t)MIN(more - told, (uint64_t)UINT32_MAX),
                        .kind = SIGNAL_REQ_OK,
                        .observer = 1};
    feed(c, &ok);
}

void judging_signal(struct control *c, const struct signal *s)
{
    if (s->slot >= c->n_subjects || !c->subjects[s->slot].used)
        return; /* of a view that is no longer in force */
    struct signal signal = *s;
    uint64_t now = loop_now(c->loop);
    signal.at = MIN(signal.at, now);
    if (signal.kind == SIGNAL_REQ_OK)
        c->subjects[s->slot].ok_told += signal.count;
    else if (signal.observer != 0)
        read_row(c, s->slot, now);
    feed(c, &signal);
}

void judging_message(struct control *c, struct reader *body)
{
    uint32_t n = get_count(body, IPC_SIGNAL_BYTES);
    bool ok = !body->failed;
    for (uint32_t i = 0; ok && i < n; i++) {
        struct signal s;
        ok = ipc_get_signal(body, &s) && s.kind >= SIGNAL_REQ_OK && s.kind <= SIGNAL_REQ_5XX &&
             s.observer > 0;
        if (ok)
            judging_signal(c, &s);
    }
    if (ok && reader_done(body))
        return;
    if (c->nonsense++ == 0) {
        struct event *ev = control_event(c, EVENT_SIGNALS_DROPPED, EVENT_ERROR);
        event_subject(ev, "proxy");
        event_text(ev, "evidence of the proxy could not be read and was dropped");
        control_event_end(c, ev);
    }
}

static void on_tick(struct timer *t)
{
    struct control *c = CONTAINER_OF(t, struct control, judge);
    uint64_t now = loop_now(c->loop);
    bool rows = now - c->rows_read_at >= READ_ROWS_NS;
    if (rows)
        c->rows_read_at = now;
    for (uint32_t slot = 0; slot < c->n_subjects; slot++) {
        struct subject *s = &c->subjects[slot];
        if (!s->used)
            continue;
        if (rows)
            read_row(c, slot, now);
        if (judge_deadline(&s->judge) <= now && judge_tick(&s->judge, now))
            changed(c, slot);
    }
    loop_timer_set(c->loop, t, now + TICK_NS);
}

int judging_init(struct control *c, struct err *e)
{
    c->n_subjects = c->cells.header->slots;
    c->subjects = mem_zero(MAX(c->n_subjects, 1u), sizeof *c->subjects);
    if (!c->subjects)
        return err_set(e, ERR_NOMEM, "no memory to judge %u instances", c->n_subjects);
    int code = pacing_init(c, e);
    if (!code && (code = pacers_init(c, e)))
        pacing_end(c);
    if (code) {
        mem_free(c->subjects);
        c->subjects = NULL;
        return code;
    }
    timer_init(&c->judge, on_tick);
    loop_timer_set(c->loop, &c->judge, loop_now(c->loop) + TICK_NS);
    return 0;
}

void judging_end(struct control *c)
{
    if (c->subjects)
        loop_timer_stop(c->loop, &c->judge);
    pacing_end(c);
    pacers_end(c);
    mem_free(c->subjects);
    c->subjects = NULL;
}

static void prepare_slot(struct control *c, const struct view_service *s,
                         const struct view_instance *in)
{
    struct instance_verdict *row = cells_verdict(&c->cells, in->slot);
    cell_set(&row->verdict, VERDICT_SUSPECT);
    cell_set(&row->reason, REASON_UNCHECKED);
    cell_set(&row->certain, 0);
    cell_set(&row->draining, drains_has(c, s->name, in->name));
    cell_set(&row->since, loop_now(c->loop));
    cell_add(&row->changes, 1);
}

void judging_prepare(struct control *c, const struct view *next)
{
    for (uint32_t i = 0; i < next->n_services; i++) {
        const struct view_service *s = &next->services[i];
        for (uint32_t k = 0; k < s->n_instances; k++)
            if (!c->subjects[s->instances[k].slot].used)
                prepare_slot(c, s, &s->instances[k]);
    }
}

/* The verdict and the drain that the control before us left in the cell. */
static void restore_slot(struct control *c, const struct view_service *s,
                         const struct view_instance *in)
{
    const struct instance_verdict *row = cells_verdict(&c->cells, in->slot);
    uint64_t verdict = cell_get(&row->verdict), reason = cell_get(&row->reason);
    uint64_t now = loop_now(c->loop), since = cell_get(&row->since);
    if (cell_get(&row->changes) == 0)
        return;
    drains_set(c, s->name, in->name, cell_get(&row->draining) != 0, NULL);
    if (reason == REASON_OWN_PATH) /* which of the two it was is not known any more */
        reason = s->check.kind != CHECK_NONE ? REASON_CHECKS_FAIL : REASON_REQUESTS_FAIL;
    if (reason_is_found((enum reason)MIN(reason, (uint64_t)REASON_FOUND_END)))
        finding_restore(c, in->slot, (enum reason)reason);
    else if (verdict < VERDICTS && reason < REASONS)
        judge_restore(&c->subjects[in->slot].judge, (enum verdict)verdict, (enum reason)reason,
                      MIN(since, now));
}

/* An instance is the same while its service, its name and its address are. */
static bool same(const struct subject *s, const struct view_service *service,
                 const struct view_instance *in)
{
    return s->used && str_eq(s->service->name, service->name) &&
           str_eq(s->instance->name, in->name) && addr_eq(&s->instance->addr, &in->addr);
}

static void adopt_slot(struct control *c, const struct view_service *service,
                       const struct view_instance *in, bool restore)
{
    struct subject *s = &c->subjects[in->slot];
    struct judge_params params = params_of(service);
    if (same(s, service, in)) {
        judge_set_params(&s->judge, &params);
    } else {
        *s = (struct subject){.used = true,
                              .found = s->found,
                              .service = service,
                              .instance = in,
                              .ok_seen = answered(c, in->slot)};
        judge_init(&s->judge, &params, loop_now(c->loop));
        health_forget_slot(c, in->slot);
        if (restore)
            restore_slot(c, service, in);
        s->good = (uint8_t)s->judge.verdict;
        s->good_reason = (uint8_t)s->judge.reason;
        pacing_begin(c, in->slot);
        pacers_begin(c, in->slot);
    }
    s->epoch = c->view->epoch;
    s->service = service;
    s->instance = in;
    judging_publish(c, in->slot);
}

/* Slots that the view in force does not name are free. */
static void forget_unnamed(struct control *c)
{
    for (uint32_t slot = 0; slot < c->n_subjects; slot++)
        if (c->subjects[slot].used && c->subjects[slot].epoch != c->view->epoch) {
            c->subjects[slot] = (struct subject){0};
            c->discovering.freed[slot] = loop_now(c->loop);
            prober_remove(c->prober, slot);
        }
}

void judging_adopt(struct control *c, bool restore)
{
    finding_adopt(c);
    for (uint32_t i = 0; i < c->view->n_services; i++) {
        const struct view_service *s = &c->view->services[i];
        for (uint32_t k = 0; k < s->n_instances; k++) {
            adopt_slot(c, s, &s->instances[k], restore);
            prober_set(c->prober, s->instances[k].slot, &s->instances[k].addr, &s->check);
        }
    }
    forget_unnamed(c);
    health_adopt(c);
}
