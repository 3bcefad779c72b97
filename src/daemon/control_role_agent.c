/* The instance of a role at this node: what should be here, what it is to do, how it is. */
#include "daemon/control.h"

/* --- what should be here --- */

static void describe(const struct control *c, const struct role_here *r, struct agent_instance *a)
{
    const struct view_primary *p = &c->view->services[r->service].primary;
    const struct view_cluster *k = &c->view->cluster;
    *a = (struct agent_instance){.kind = p->agent,
                                 .slot = r->slot,
                                 .place = r->self,
                                 .n_places = (uint8_t)r->n,
                                 .sync = p->sync,
                                 .strict = p->strict,
                                 .vip = p->vip,
                                 .vip_prefix = p->vip_prefix,
                                 .demotion = k->demotion,
                                 .hang_after = p->hang_after};
    str_copy(a->service, sizeof a->service, str_of(r->name));
    str_copy(a->vip_interface, sizeof a->vip_interface, p->vip_interface);
    for (uint32_t i = 0; i < r->n; i++) {
        str_copy(a->places[i].name, sizeof a->places[i].name, r->places[i]);
        a->places[i].address = k->nodes[p->on[i]].address;
        a->places[i].address.port = p->port;
    }
}

void role_tell_instance(struct role_here *r)
{
    struct control *c = r->owner;
    struct agent_instance a;
    struct err e = {0};
    if (r->self == ROLE_NOBODY || !agent_line_is_open(&c->coordinating.agent))
        return;
    describe(c, r, &a);
    int rc = instance_password(c, str_of(r->name), false, a.password, &e);
    rc = rc ? rc : instance_password(c, str_of(r->name), true, a.gate_password, &e);
    rc = rc ? rc : agent_line_instance(&c->coordinating.agent, &a, &e);
    wipe(&a, sizeof a);
    if (rc)
        log_error(c->log, "the instance of %s: %s", r->name, e.text);
    c->rolling.again |= rc == -ERR_NOMEM;
}

static bool give(struct control *c, const char *service, enum instance_order what, uint64_t epoch,
                 uint8_t primary, uint64_t *ticket)
{
    struct agent_role o = {.what = (uint8_t)what, .epoch = epoch, .primary = primary};
    struct err e = {0};
    str_copy(o.service, sizeof o.service, str_of(service));
    if (agent_line_role(&c->coordinating.agent, &o, ticket, &e) == 0)
        return true;
    log_warning(c->log, "the instance of %s: %s", service, e.text);
    return false;
}

void role_stop_instance(struct role_here *r)
{
    uint64_t ticket;
    if (r->self != ROLE_NOBODY && agent_line_is_open(&r->owner->coordinating.agent))
        give(r->owner, r->name, ORDER_STOP, r->core.record.r.epoch, ROLE_NOBODY, &ticket);
}

/* --- what it is to do --- */

static enum instance_order order_of(enum failover_act act)
{
    switch (act) {
    case FAILOVER_FOLLOW: return ORDER_FOLLOW;
    case FAILOVER_FENCE: return ORDER_FENCE;
    case FAILOVER_PROMOTE: return ORDER_PROMOTE;
    case FAILOVER_DEMOTE: return ORDER_DEMOTE;
    case FAILOVER_ACTS: break;
    }
    UNREACHABLE();
}

bool role_order(struct role_here *r, uint64_t ticket, enum failover_act act, uint64_t epoch,
                uint8_t place)
{
    struct role_ordered *to = NULL;
    for (uint32_t i = 0; i < ROLE_ORDERS && !to; i++)
        if (!r->ordered[i].ticket)
            to = &r->ordered[i];
    if (!to) { /* the oldest is of no use any more: a later one has ended it */
        memmove(r->ordered, r->ordered + 1, (ROLE_ORDERS - 1) * sizeof *r->ordered);
        to = &r->ordered[ROLE_ORDERS - 1];
    }
    *to = (struct role_ordered){.ticket = ticket};
    log_debug(r->owner->log, "%s: order %u, act %d under epoch %llu", r->name, (unsigned)ticket,
              (int)act, (unsigned long long)epoch);
    if (give(r->owner, r->name, order_of(act), epoch, place, &to->line_ticket))
        return true;
    to->ticket = 0;
    return false;
}

bool rolling_answer(struct control *c, const struct agent_answer *a)
{
    for (uint32_t i = 0; i < c->rolling.n; i++)
        for (uint32_t k = 0; k < ROLE_ORDERS; k++) {
            struct role_here *r = c->rolling.rows[i];
            uint64_t ticket = r->ordered[k].ticket;
            if (!ticket || r->ordered[k].line_ticket != a->ticket)
                continue;
            r->ordered[k].ticket = 0;
            log_debug(c->log, "%s: order %u is answered with %d", r->name, (unsigned)ticket,
                      a->code);
            if (a->code)
                log_warning(c->log, "the instance of %s: %s", r->name, a->sentence);
            failover_agent_answer(&r->core, ticket, a->code == 0, a->position, loop_now(c->loop));
            role_run(r);
            return true;
        }
    return false;
}

void rolling_agent_gone(struct control *c)
{
    for (uint32_t i = 0; i < c->rolling.n; i++) {
        struct role_here *r = c->rolling.rows[i];
        memset(r->ordered, 0, sizeof r->ordered);
        r->reported = false;
        failover_agent_gone(&r->core, loop_now(c->loop));
        role_run(r);
    }
}

void rolling_agent(struct control *c)
{
    for (uint32_t i = 0; i < c->rolling.n; i++)
        role_tell_instance(c->rolling.rows[i]);
}

void rolling_keys(struct control *c)
{
    rolling_agent(c);
}

/* --- how it is --- */

static void tell_change(struct role_here *r, const struct agent_report *now)
{
    static const char *const names[] = {"unknown", "down", "a replica", "primary"};
    const struct agent_report *was = &r->report;
    bool same = r->reported && was->state == now->state && was->well == now->well &&
                was->starts == now->starts;
    if (same)
        return;
    enum event_level level = now->state == INSTANCE_DOWN ? EVENT_ERROR
                             : now->well                 ? EVENT_INFO
                                                         : EVENT_WARNING;
    struct event *ev = control_event(r->owner, EVENT_ROLE_INSTANCE, level);
    event_subject(ev, "%s", r->name);
    event_text(ev, "%s, %s, process %u%s%s", names[MIN(now->state, 3)],
               now->well ? "well" : "not well", now->pid, now->sentence[0] ? ": " : "",
               now->sentence);
    control_event_end(r->owner, ev);
}

void rolling_report(struct control *c, const struct agent_report *a)
{
    struct role_here *r = role_find(c, str_of(a->service));
    struct failover_report f = {
        .instance = a->state, .well = a->well, .data = a->history, .position = a->position};
    if (!r || r->self == ROLE_NOBODY) {
        uint64_t ticket;
        give(c, a->service, ORDER_STOP, a->epoch, ROLE_NOBODY, &ticket);
        return;
    }
    for (uint32_t i = 0; i < r->n && i < a->n_followers; i++) {
        f.replicas[i].connected = a->followers[i].connected;
        f.replicas[i].acked = a->followers[i].position;
    }
    tell_change(r, a);
    r->report = *a;
    r->reported = true;
    failover_reported(&r->core, &f, loop_now(c->loop));
    role_run(r);
}
