/* What role.h is told: of each place what it said, of this node what its agent and its lease say,
 * and what follows from the record's history. */
#include "recover/failover_inside.h"

#define FAILBACK_NS (60 * SECOND)
#define AWAIT_NS    (1 * SECOND) /* for who handed over */
#define APART_NS    (1 * SECOND) /* for the first primary of what it should be apart from */
#define FLAP_MOST   (60 * SECOND)

static void about_peer(const struct failover *f, uint8_t i, struct role_node *n)
{
    const struct failover_peer *p = &f->peers[i];
    const struct role_message *m = &p->said;
    *n = (struct role_node){.failed = p->failed,
                            .alive = p->alive,
                            .maintenance = p->maintenance,
                            .preference = p->preference,
                            .instance = INSTANCE_UNKNOWN};
    if (!p->heard)
        return;
    n->instance = m->instance;
    n->well = (m->flags & ROLE_WELL) != 0;
    n->data = m->data;
    n->position = m->position;
    n->load = m->load;
    n->acts = m->epoch;
    n->taking = m->state != ROLE_REPLICA;
}

static void about_self(const struct failover *f, struct role_node *n)
{
    *n = (struct role_node){.alive = true,
                            .maintenance = f->peers[f->params.self].maintenance,
                            .preference = f->peers[f->params.self].preference,
                            .load = f->load,
                            .instance = INSTANCE_UNKNOWN,
                            .acts = f->promoted};
    if (!f->reported)
        return;
    n->instance = f->report.instance;
    n->well = f->report.well;
    n->data = f->report.data;
    n->position = f->report.position;
}

/* After so many failovers each further one waits twice as long. */
static uint64_t damped(const struct failover *f)
{
    const struct failover_record *k = &f->record;
    uint64_t wall = f->host.wall(f->host.context), wait = SECOND;
    bool over = wall > k->flaps_since + f->params.flap_window / MS;
    if (!f->params.flaps || k->flaps < f->params.flaps || over || k->r.primary == ROLE_NOBODY)
        return 0;
    for (uint32_t i = f->params.flaps; i < k->flaps && wait < FLAP_MOST; i++)
        wait *= 2;
    return f->record_seen + MIN(wait, FLAP_MOST);
}

/* A place for who is in maintenance, for a wanted one that may be any, and for failback. */
static uint8_t better(struct failover *f, uint64_t now)
{
    const struct role_facts *k = &f->facts;
    uint8_t best = ROLE_NOBODY;
    for (uint8_t i = 0; i < k->n; i++)
        if (i != k->self && role_rank(k, i) != ROLE_NOBODY &&
            (best == ROLE_NOBODY || k->nodes[i].preference > k->nodes[best].preference))
            best = i;
    if (best == ROLE_NOBODY || !f->promoted)
        return ROLE_NOBODY;
    if (k->nodes[k->self].maintenance || k->record.wanted == ROLE_ANYBODY)
        return best;
    bool back = f->params.failback && k->nodes[best].preference > k->nodes[k->self].preference;
    if (!back || !f->better_since) {
        f->better_since = back ? now : 0;
        return ROLE_NOBODY;
    }
    wake_at(f, f->better_since + FAILBACK_NS);
    return now >= f->better_since + FAILBACK_NS ? best : ROLE_NOBODY;
}

static bool awaits(struct failover *f, uint64_t now)
{
    uint8_t from = f->record.from;
    uint64_t until = f->record_seen + AWAIT_NS;
    if (from >= f->params.n || from == f->params.self || now >= until)
        return false;
    const struct failover_peer *p = &f->peers[from];
    wake_at(f, until);
    bool acts = p->said.epoch || p->said.state >= ROLE_PRIMARY; /* or has not given the lease up */
    return p->alive && !p->failed && p->heard && acts;
}

/* Nobody is known to have written it yet: whoever is preferred is given a moment, and whoever this
 * one should be apart from. */
static uint64_t first_come(const struct failover *f)
{
    uint8_t self = f->params.self;
    uint64_t turn = 0;
    for (uint32_t i = 0; i < f->params.n && self != ROLE_NOBODY; i++)
        turn += f->peers[i].preference > f->peers[self].preference ||
                (f->peers[i].preference == f->peers[self].preference && i < self);
    return f->record_seen + turn * f->params.lease.lease + (f->unsettled ? APART_NS : 0);
}

/* The record's epoch is this node's, but a process before this one may have acted under it, or an
 * instance before this one did: its history may be another, and what was asked of the coordinator
 * may land yet. An epoch has one history. */
static bool is_another(const struct failover *f)
{
    const struct role_record *k = &f->record.r;
    bool anew = f->acted == k->epoch && f->reported && f->report.data != f->acted;
    return k->epoch && !k->forced && k->primary == f->params.self && (anew || k->epoch == f->found);
}

void facts_gather(struct failover *f, uint64_t now)
{
    struct role_facts *k = &f->facts;
    struct failover_lease lease = {.state = LEASE_IDLE};
    f->host.lease(f->host.context, &lease);
    k->n = f->params.n;
    k->self = f->params.self;
    k->record = f->record.r;
    for (uint32_t i = 0; i < k->n; i++)
        if (i == k->self)
            about_self(f, &k->nodes[i]);
        else
            about_peer(f, i, &k->nodes[i]);
    for (uint32_t i = 0; i < k->n; i++)
        k->nodes[i].far = failover_far(f, i, now);
    if (!k->record.epoch) {
        k->record.insync = UINT16_MAX;
        k->record.sync = (uint8_t)f->params.sync;
    }
    k->coordinator = f->coordinator;
    k->isolated = f->isolated;
    k->another = is_another(f);
    k->lease = lease.state;
    k->lease_epoch = lease.epoch;
    k->deadline = lease.deadline;
    k->gate = lease.gate;
    k->outdated = lease.outdated;
    k->not_before = k->record.epoch ? damped(f) : first_come(f);
    k->awaits = awaits(f, now);
    k->better = better(f, now);
}
