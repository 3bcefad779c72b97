/* One proxy takes over from another, without a connection noticing. docs/handover.md tells the
 * whole.
 *
 *   role     event                                  what happens                          role then
 *   ABSENT   a hand-over begins, the bank is free   it starts, waiting; view and sockets  STARTS
 *   STARTS   it has taken the view in force         it accepts; who did before drains     SERVES
 *   STARTS   it dies, or takes too long             it is discarded: nothing has changed  ABSENT
 *   STARTS   the one that serves dies               it takes its place at once            SERVES
 *   SERVES   its successor accepts                  lets go of the sockets                DRAINS
 *   SERVES   it dies, there is no successor         starts again in the same bank         SERVES
 *   DRAINS   its last connection ended, it dies,    its rows stay and go on counting for  ABSENT
 *            or its time is over                    whoever has the bank next
 *
 * There are CELLS_BANKS proxies at most. A hand-over that finds no bank free is refused: nothing is
 * cut before its time. */
#include <stdarg.h>
#include <stdio.h>

#include "daemon/supervisor.h"

/* --- what is told --- */

void change_tell(struct supervisor *s)
{
    struct child *control = &s->children[CHILD_CONTROL];
    struct buf b = {0};
    if (s->change.kind == CHANGE_NONE || !ipc_is_open(&control->ipc))
        return;
    put_u64(&b, s->change.number);
    put_u32(&b, s->change.kind);
    put_u32(&b, s->change.state);
    put_str(&b, str_of(s->change.text));
    if (!b.failed)
        ipc_send(&control->ipc, IPC_CHANGE, buf_str(&b), NULL, 0, NULL);
    buf_free(&b);
}

void change_report(struct supervisor *s, enum change_state state, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(s->change.text, sizeof s->change.text, fmt, ap);
    va_end(ap);
    s->change.state = state;
    log_line(&s->log, state == CHANGE_FAILED ? LOG_LEVEL_ERROR : LOG_LEVEL_INFO, "%s: %s",
             s->change.kind == CHANGE_UPGRADE ? "upgrade" : "hand-over", s->change.text);
    change_tell(s);
}

void change_begin(struct supervisor *s, enum change_kind kind, const char *what)
{
    s->change.number++;
    s->change.kind = kind;
    change_report(s, CHANGE_RUNS, "%s", what);
}

/* --- begin --- */

static struct child *free_bank(struct supervisor *s)
{
    for (uint32_t bank = 0; bank < CELLS_BANKS; bank++) {
        struct child *c = &s->children[CHILD_PROXY + bank];
        if (c->role == PROXY_ABSENT && !child_runs(c))
            return c;
    }
    return NULL;
}

/* Ticks until the first of those that drain is cut. */
static uint32_t soonest(const struct supervisor *s)
{
    uint32_t ticks = UINT32_MAX;
    for (uint32_t bank = 0; bank < CELLS_BANKS; bank++) {
        const struct child *c = &s->children[CHILD_PROXY + bank];
        if (c->role == PROXY_DRAINS)
            ticks = MIN(ticks, c->stop_ticks);
    }
    return ticks;
}

int handover_room(struct supervisor *s, struct err *e)
{
    if (free_bank(s))
        return 0;
    return err_set(
        e, ERR_BUSY,
        "%u proxies drain already, and nothing is cut before its time: the first of them "
        "ends in at most %u s",
        CELLS_BANKS - 1, soonest(s));
}

void handover_start(struct supervisor *s)
{
    struct child *next = free_bank(s);
    CHECK(next && !s->handover.next);
    s->handover = (struct handover){.next = next, .ticks = HAND_OVER_WITHIN};
    child_set_role(next, PROXY_STARTS);
    child_start(next);
}

static int begin(struct supervisor *s, struct err *e)
{
    if (s->phase != PHASE_RUNNING)
        return err_set(e, ERR_BUSY, "the node starts or stops");
    int r = handover_room(s, e);
    if (r == 0)
        handover_start(s);
    return r;
}

void handover_ask(struct supervisor *s)
{
    struct err e;
    if (s->handover.next || s->upgrade.step != UPGRADE_IDLE)
        return; /* one that runs is the one that was asked for */
    change_begin(s, CHANGE_RESTART, "a new proxy starts beside the one that accepts");
    if (begin(s, &e))
        change_report(s, CHANGE_FAILED, "%s", e.text);
}

/* --- end --- */

static void drain(struct child *old)
{
    struct supervisor *s = old->owner;
    uint32_t ticks = supervisor_drain_ticks(s);
    child_set_role(old, PROXY_DRAINS);
    cell_set(&s->cells.processes[old->row].until,
             loop_now(s->loop) + (ticks - STOP_PROXY_MARGIN) * NS_PER_S);
    if (!ipc_is_open(&old->ipc) || ipc_send(&old->ipc, IPC_HAND_OVER, STR(""), NULL, 0, NULL))
        child_kill(old, "it cannot be told to hand over");
    else
        old->stop_ticks = ticks;
}

static void report_switch(struct supervisor *s, const struct child *next, const struct child *old)
{
    char program[UPGRADE_VERSION_MAX + 32] = "", before[96];
    if (s->change.kind == CHANGE_UPGRADE)
        snprintf(program, sizeof program, "holdfast %s runs; ", HF_VERSION);
    if (old->role == PROXY_DRAINS)
        snprintf(before, sizeof before, "proxy %llu (process %ld) drains for up to %u s",
                 (unsigned long long)old->generation, (long)old->pid,
                 supervisor_drain_ticks(s) - STOP_PROXY_MARGIN);
    else
        snprintf(before, sizeof before, "the one before it had died");
    change_report(s, CHANGE_DONE, "%sproxy %llu (process %ld) accepts; %s", program,
                  (unsigned long long)next->generation, (long)next->pid, before);
}

void handover_switch(struct supervisor *s)
{
    struct child *old = serving_proxy(s), *next = s->handover.next;
    s->handover.next = NULL;
    s->serving = next->bank;
    child_set_role(next, PROXY_SERVES);
    ipc_send(&next->ipc, IPC_ACCEPT, STR(""), NULL, 0, NULL);
    if (child_runs(old)) {
        drain(old);
    } else {
        loop_timer_stop(s->loop, &old->again);
        child_set_role(old, PROXY_ABSENT);
    }
    report_switch(s, next, old);
    if (s->taking)
        view_taken(next, next->taken);
}

static void discard(struct supervisor *s, const char *why)
{
    struct child *next = s->handover.next;
    if (upgrade_on_trial(s)) {
        upgrade_go_back(s, why);
        return;
    }
    s->handover.next = NULL;
    loop_timer_stop(s->loop, &next->again);
    change_report(s, CHANGE_FAILED, "%s: proxy %llu goes on accepting", why,
                  (unsigned long long)serving_proxy(s)->generation);
    if (child_runs(next))
        child_kill(next, why);
    else
        child_set_role(next, PROXY_ABSENT);
}

void handover_taken(struct child *c)
{
    struct supervisor *s = c->owner;
    if (c == s->handover.next && c->taken == s->now.view->epoch && !upgrade_on_trial(s))
        handover_switch(s);
}

bool handover_ended(struct child *c, enum proxy_role role)
{
    struct supervisor *s = c->owner;
    if (role == PROXY_SERVES && !s->handover.next)
        return false;
    if (role == PROXY_SERVES && upgrade_on_trial(s))
        upgrade_confirm(s); /* the sooner somebody accepts the better */
    else if (role == PROXY_SERVES)
        handover_switch(s);
    else if (c == s->handover.next)
        discard(s, "the new proxy died");
    else
        child_set_role(c, PROXY_ABSENT);
    return true;
}

void handover_tick(struct supervisor *s)
{
    if (s->handover.next && --s->handover.ticks == 0)
        discard(s, "the new proxy did not take the view in time");
}

void handover_cancel(struct supervisor *s, const char *why)
{
    if (s->handover.next)
        discard(s, why);
}
