/* instance: what a service's data does: an order of the agent takes its time and may be overtaken,
 * replicas fetch what there is, clients write through the gate and are told when enough have it. It
 * has the shape of Redis: a replica whose log is no prefix of its primary's begins anew. */
#include "primary.h"

/* A build with -Dplant=N has fault N, for the invariants to find: */
#ifndef HF_PLANT
#define HF_PLANT 0
#endif
enum { PLANT_GATE = 13 /* the proxy looks at the lease and not at its epoch */ };

enum {
    ORDER_MS = 6,
    JOIN_MS = 8,
    FETCH = 8 /* writes a tick */,
    WRITES_PERCENT = 40,
    REPORT_MS = 30,
    LOOK_TICKS = 3, /* its agent looks at it so often */
    DEMOTE_MS = 96  /* and a tick or two more */
};

bool instance_lives(const struct primary *p)
{
    return !p->instance.down;
}

bool instances_reach(const struct primary *a, const struct primary *b)
{
    const struct world *w = a->node->world;
    uint32_t i = a->node->index, k = b->node->index;
    return instance_lives(a) && instance_lives(b) && !w->links[i * w->o.nodes + k].cut &&
           !w->links[k * w->o.nodes + i].cut;
}

bool primary_open(const struct primary *p)
{
    const struct role_row *r = p->row;
    uint64_t gate = cell_get(&r->gate);
    bool ours = (gate && gate == cell_get(&r->lease_epoch)) || HF_PLANT == PLANT_GATE;
    return instance_lives(p) && ours && primary_clock(p) < cell_get(&r->lease_until);
}

static void tell(struct primary *p, const char *text)
{
    world_tell(p->node->world, &(struct happening){.kind = HAPPENED_NEWS,
                                                   .node = p->node->index,
                                                   .revision = p->instance.history,
                                                   .text = text});
}

/* ---- orders */

static void answer(struct primary *p, uint64_t ticket, bool ok)
{
    CHECK(p->n_answers < PRIMARY_ANSWERS);
    p->answers[p->n_answers++] = (struct primary_answer){ticket, p->instance.n, ok};
    primary_wake(p);
}

/* The next one ends the one before. */
void instance_order(struct primary *p, uint64_t ticket, enum failover_act act, uint64_t epoch,
                    uint8_t place)
{
    struct sim_instance *x = &p->instance;
    if (x->ticket)
        answer(p, x->ticket, false);
    x->ticket = ticket;
    x->act = (uint8_t)act;
    x->order_epoch = epoch;
    x->place = place;
    x->due = p->node->world->now + MS + prng_below(&p->service->draw, ORDER_MS * MS);
}

static void promote(struct primary *p)
{
    struct sim_instance *x = &p->instance;
    x->promoted = true;
    x->follows = ROLE_NOBODY;
    x->history = x->order_epoch;
    tell(p, "its instance is promoted");
    acting_promoted(p->service, p);
}

static void follow(struct primary *p)
{
    struct sim_instance *x = &p->instance;
    x->follows_epoch = x->order_epoch;
    if (x->follows == x->place && x->joined)
        return;
    x->promoted = x->joined = false;
    x->follows = x->place;
    x->join_at = p->node->world->now + prng_below(&p->service->draw, JOIN_MS * MS);
}

static void fence(struct sim_instance *x)
{
    bool already = (x->promoted && x->history == x->order_epoch) ||
                   (x->follows != ROLE_NOBODY && x->follows_epoch == x->order_epoch);
    if (already)
        return;
    x->promoted = x->joined = false;
    x->follows = ROLE_NOBODY;
}

/* The agent looks at the row itself before it promotes. */
static bool may_promote(const struct primary *p, uint64_t epoch)
{
    return cell_get(&p->row->lease_epoch) == epoch &&
           primary_clock(p) < cell_get(&p->row->lease_until);
}

static void do_order(struct primary *p)
{
    struct sim_instance *x = &p->instance;
    bool safe = x->act == FAILOVER_DEMOTE, ok = safe || x->order_epoch >= x->heard;
    uint64_t ticket = x->ticket;
    x->ticket = 0;
    x->heard = MAX(x->heard, x->order_epoch);
    switch ((enum failover_act)x->act) {
    case FAILOVER_DEMOTE: x->promoted = false; break;
    case FAILOVER_PROMOTE:
        ok = ok && may_promote(p, x->order_epoch);
        if (ok)
            promote(p);
        break;
    case FAILOVER_FOLLOW:
        if (ok)
            follow(p);
        break;
    case FAILOVER_FENCE:
        if (ok)
            fence(x);
        break;
    case FAILOVER_ACTS: UNREACHABLE();
    }
    answer(p, ticket, ok);
}

/* ---- replication */

static bool is_prefix(const struct sim_instance *a, const struct sim_instance *b)
{
    return a->n <= b->n && (a->n == 0 || a->log[a->n - 1] == b->log[a->n - 1]);
}

static void join(struct primary *p, const struct sim_instance *from)
{
    struct sim_instance *x = &p->instance;
    if (p->node->world->now < x->join_at || !from->history)
        return; /* one that began anew gives nothing to anybody */
    if (!is_prefix(x, from)) {
        tell(p, "its instance begins anew, from another");
        x->n = 0;
        x->history = 0;
        x->life++;
    }
    x->joined = true;
    x->join_until = from->n;
    x->joined_life = from->life;
}

static void replicate(struct primary *p)
{
    struct sim_instance *x = &p->instance;
    if (x->follows == ROLE_NOBODY)
        return;
    const struct primary *other = &p->service->primaries[x->follows];
    const struct sim_instance *from = &other->instance;
    if (!instances_reach(p, other) || (x->joined && x->joined_life != from->life)) {
        x->joined = false;
        return;
    }
    if (!x->joined)
        join(p, from);
    for (uint32_t i = 0; x->joined && i < FETCH && x->n < from->n; i++, x->n++)
        x->log[x->n] = from->log[x->n];
    if (x->joined && x->n >= MIN(x->join_until, from->n) && x->history < x->follows_epoch)
        x->history = x->follows_epoch;
}

struct failover_report instance_report(const struct primary *p)
{
    const struct sim_instance *x = &p->instance;
    struct failover_report r = {.instance = x->promoted ? INSTANCE_PRIMARY : INSTANCE_REPLICA,
                                .well = true,
                                .data = x->history,
                                .position = x->n};
    for (uint32_t k = 0; k < p->service->n; k++) {
        const struct primary *o = &p->service->primaries[k];
        if (o == p || o->instance.follows != p->place || !o->instance.joined ||
            !instances_reach(p, o))
            continue;
        r.replicas[k].connected = true;
        r.replicas[k].acked = o->instance.n;
    }
    return r;
}

/* As the agent does: what moves all the time is told now and then. */
static bool only_positions(const struct failover_report *a, const struct failover_report *b)
{
    bool same = a->instance == b->instance && a->data == b->data && a->well == b->well;
    for (uint32_t k = 0; k < PRIMARY_PLACES; k++)
        same = same && a->replicas[k].connected == b->replicas[k].connected;
    return same;
}

/* The agent's own doing, whatever control does. */
static void demote_itself(struct primary *p)
{
    struct sim_instance *x = &p->instance;
    uint64_t now = primary_clock(p);
    bool held = now < cell_get(&p->row->lease_until);
    if (!x->promoted || held)
        x->alone = 0;
    else if (!x->alone)
        x->alone = now;
    else if (now > x->alone + DEMOTE_MS * MS)
        x->promoted = false;
}

static void report(struct primary *p)
{
    uint64_t now = p->node->world->now;
    struct failover_report r = instance_report(p);
    bool moved = memcmp(&r, &p->told, sizeof r) != 0;
    if (!moved || (only_positions(&r, &p->told) && now < p->told_at + REPORT_MS * MS))
        return;
    p->told = r;
    p->reported = true;
    p->told_at = now;
    primary_wake(p);
}

void instance_tick(struct primary *p)
{
    if (!instance_lives(p))
        return;
    demote_itself(p);
    if (p->instance.ticket && p->instance.due <= p->node->world->now)
        do_order(p);
    replicate(p);
    if ((p->service->ticks + p->place) % LOOK_TICKS == 0)
        report(p);
}

/* ---- clients */

static bool has_write(const struct primary *p, const struct primary *o, uint32_t at)
{
    return o->instance.follows == p->place && o->instance.joined && instances_reach(p, o) &&
           o->instance.n > at;
}

static bool acknowledge(struct primary *p, uint32_t at)
{
    struct service *s = p->service;
    uint32_t acks = 0;
    for (uint32_t k = 0; k < s->n; k++)
        acks += k != p->place && cell_get(&p->row->insync) >> k & 1 &&
                has_write(p, &s->primaries[k], at);
    if (acks < cell_get(&p->row->sync))
        return false;
    if (p->instance.history >= s->forced)
        s->acked[at] = p->instance.log[at];
    s->acknowledged++;
    return true;
}

void instance_serve(struct primary *p)
{
    struct sim_instance *x = &p->instance;
    struct service *s = p->service;
    if (!primary_open(p) || !x->promoted) {
        x->pending = UINT32_MAX;
        return;
    }
    s->serving_ticks++;
    x->pending = MIN(x->pending, x->n);
    bool held = cell_get(&p->row->hold) > primary_clock(p);
    if (!held && x->n < PRIMARY_LOG && prng_below(&s->draw, 100) < WRITES_PERCENT) {
        acting_written(s, p);
        x->log[x->n++] = ++s->written;
    }
    while (x->pending < x->n && acknowledge(p, x->pending))
        x->pending++;
}

/* ---- crashes */

/* See the story: the promise is one failure, of a set that is whole, also while it changes. */
static bool may_lose(const struct primary *p)
{
    const struct service *s = p->service;
    const struct role_record *r = &s->record.r;
    uint32_t others = r->insync & ~(1u << p->place);
    if (!s->sync)
        return true;
    if (!others || !r->sync)
        return false;
    for (uint32_t k = 0; k < s->n; k++)
        if (others >> k & 1 && !s->primaries[k].instance.history)
            return false;
    return true;
}

void instance_crash(struct primary *p)
{
    struct sim_instance *x = &p->instance;
    uint32_t *log = x->log, n = x->n, life = x->life;
    uint64_t history = x->history;
    bool lost = may_lose(p);
    tell(p, lost ? "its machine dies, and what it had" : "its machine dies");
    *x = (struct sim_instance){
        .log = log, .life = life + 1, .down = true, .follows = ROLE_NOBODY, .pending = UINT32_MAX};
    if (!lost) {
        x->n = n;
        x->history = history;
    }
    p->told = (struct failover_report){0};
}
