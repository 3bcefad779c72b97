/* acting: what must hold of a service of kind primary: I1 to I3 at every moment, I5 at the end. The
 * coordinator's record is kept from what it was seen to decide. */
#include "primary.h"

#include <stdlib.h>

#include "coordinator.h"

enum {
    OPERATOR_ONE_IN = 2500, /* ticks */
    RESTART_ONE_IN = 1500,
};
enum { WELL_MS = 8000 /* after the last fault, until there is a primary that all follow */ };

static unsigned long long ull(uint64_t v)
{
    return v;
}

bool primary_acts(const struct primary *p)
{
    return primary_open(p) && p->instance.promoted;
}

/* I1: after whatever may have opened a gate. Whoever was primary has ended when the next begins:
 * its gate, and the instance behind it too, for which it has so long as a demotion may take. */
void acting_look(struct service *s)
{
    const struct primary *first = NULL;
    for (uint32_t i = 0; i < s->n; i++) {
        const struct primary *p = &s->primaries[i];
        if (!instance_lives(p) || !p->instance.promoted)
            continue;
        if (first)
            violated(s->v, I1_LEASE, "n%u is primary under epoch %llu while n%u is under %llu",
                     first->place, ull(first->instance.history), p->place,
                     ull(p->instance.history));
        first = p;
    }
}

/* I2: a write that is taken for an older epoch than the lease's has passed a gate that must have
 * refused it. */
void acting_written(struct service *s, const struct primary *p)
{
    if (p->instance.history != cell_get(&p->row->lease_epoch))
        violated(s->v, I2_EPOCHS, "n%u takes a write under epoch %llu, its lease is of epoch %llu",
                 p->place, ull(p->instance.history), ull(cell_get(&p->row->lease_epoch)));
}

/* I2, and I3: whoever is promoted has all that clients were told is done. */
void acting_promoted(struct service *s, const struct primary *p)
{
    const struct sim_instance *x = &p->instance;
    if (x->history < s->promoted_epoch)
        violated(s->v, I2_EPOCHS, "n%u is promoted under epoch %llu after somebody was under %llu",
                 p->place, ull(x->history), ull(s->promoted_epoch));
    /* Forced epochs apart: they may be taken again by a process that does not know of the one
     * before. */
    bool forced = s->was_forced[x->history % PRIMARY_EPOCHS];
    if (x->history == s->promoted_epoch && x->life != s->promoted_life && !forced)
        violated(s->v, I2_EPOCHS, "n%u is promoted under epoch %llu again, with another history",
                 p->place, ull(x->history));
    s->promotions += x->history != s->promoted_epoch;
    s->promoted_epoch = x->history;
    s->promoted_life = x->life;
    for (uint32_t at = 0; s->sync && at < PRIMARY_LOG; at++) {
        if (!s->acked[at] || (at < x->n && x->log[at] == s->acked[at]))
            continue;
        violated(s->v, I3_WRITES,
                 "n%u is promoted under epoch %llu without write %u, which was acknowledged at %u",
                 p->place, ull(x->history), s->acked[at], at);
        return;
    }
}

/* Besides the schedule: an operator who wants another primary, with or without regard to its data,
 * and a process or a machine that is back at once (a voter that starts again while its promise
 * lasts). */
static void disturb(struct service *s)
{
    uint32_t i = (uint32_t)prng_below(&s->draw, s->n);
    struct node *n = &s->world->nodes[i];
    if (s->world->now >= s->healed)
        return;
    if (!prng_below(&s->draw, OPERATOR_ONE_IN)) {
        uint8_t to = (uint8_t)prng_below(&s->draw, s->n);
        primary_operator(&s->primaries[i], to, prng_below(&s->draw, 2));
    }
    if (!prng_below(&s->draw, RESTART_ONE_IN))
        primary_flicker(n);
}

void service_tick(struct service *s)
{
    struct world *w = s->world;
    s->ticks++;
    disturb(s);
    window_tick(s);
    for (uint32_t i = 0; i < s->n; i++)
        instance_tick(&s->primaries[i]);
    for (uint32_t i = 0; i < s->n; i++)
        instance_serve(&s->primaries[i]);
    acting_look(s);
    queue_put(&w->queue,
              (struct event){w->now + PRIMARY_TICK_MS * MS, 0, EVENT_SERVICE, 0, 0, NULL});
}

static void on_decided(struct service *s, const struct happening *h)
{
    struct coord_item item;
    struct err e = {0};
    if (!store_get(&s->world->coordinator->store, STR(PRIMARY_KEY), &item) ||
        item.revision == s->record.r.revision)
        return;
    struct failover_record before = s->record;
    if (failover_record_read(item.value, s->names, s->n, &s->record, &e)) {
        violated(s->v, I2_EPOCHS, "n%u writes a record that cannot be read: %s", h->node, e.text);
        return;
    }
    s->record.r.revision = item.revision;
    if (s->record.r.forced && s->record.r.epoch != before.r.epoch) {
        memset(s->acked, 0, PRIMARY_LOG * sizeof *s->acked);
        s->forced = s->record.r.epoch;
        s->was_forced[s->forced % PRIMARY_EPOCHS] = true;
    }
    if (s->record.r.epoch < before.r.epoch ||
        (s->record.r.epoch == before.r.epoch && before.r.revision &&
         s->record.r.primary != before.r.primary))
        violated(s->v, I2_EPOCHS, "n%u changes the primary of epoch %llu", h->node,
                 ull(before.r.epoch));
}

static void tell(void *context, struct world *w, const struct happening *h)
{
    (void)w;
    if (h->kind == HAPPENED_DECIDED)
        on_decided(context, h);
}

static bool all_run(const struct service *s)
{
    for (uint32_t i = 0; i < s->world->o.nodes; i++)
        if (!s->world->nodes[i].engine || s->world->nodes[i].paused ||
            s->world->nodes[i].maintenance)
            return false;
    return true;
}

static void check_followers(struct service *s, uint8_t primary)
{
    for (uint32_t i = 0; i < s->n; i++) {
        const struct sim_instance *x = &s->primaries[i].instance;
        if (i != primary && (x->follows != primary || !x->joined))
            violated(s->v, I5_SERVICE, "n%u does not follow n%u long after the last fault", i,
                     primary);
    }
}

/* I5. With a node that is down for good nothing is promised here: its voters may be a majority. */
void service_end(struct service *s)
{
    uint8_t primary = s->record.r.primary;
    if (s->v->broken || s->world->now < s->healed + WELL_MS * MS || !all_run(s))
        return;
    if (primary == ROLE_NOBODY || !primary_acts(&s->primaries[primary]))
        violated(s->v, I5_SERVICE,
                 "nobody acts for the service long after the last fault; epoch %llu is n%u's: %s",
                 ull(s->record.r.epoch), primary,
                 primary < s->n ? failover_waits(&s->primaries[primary].core) : "");
    else
        check_followers(s, primary);
}

/* Cells lie in cache lines of their own. */
static void *shared(size_t size)
{
    void *p = aligned_alloc(64, size);
    if (!p)
        sim_die("no memory for cells");
    return memset(p, 0, size);
}

/* The defaults, but for rho; on a wide area a lease must last several round trips. */
static struct lease_params terms_of(const struct world *w)
{
    uint64_t times = w->o.wan ? 6 : 1;
    return (struct lease_params){.lease = times * 300 * MS,
                                 .demote = times * 100 * MS,
                                 .beat = times * 50 * MS,
                                 .rho = PRIMARY_RHO};
}

struct service *service_new(struct world *w, struct invariants *v, uint64_t healed, uint32_t rate)
{
    struct service *s = sim_zero(1, sizeof *s);
    s->world = w;
    s->v = v;
    s->healed = healed;
    s->n = MIN(w->o.nodes, (uint32_t)PRIMARY_PLACES);
    prng_seed(&s->draw, w->o.seed ^ UINT64_C(0x7072696d));
    prng_seed(&s->window.draw, w->o.seed ^ UINT64_C(0x77696e646f77));
    s->terms = terms_of(w);
    s->promise = lease_promise(&s->terms);
    s->sync = MIN((uint32_t)prng_below(&s->draw, 3), s->n - 1);
    s->acked = sim_zero(PRIMARY_LOG, sizeof *s->acked);
    for (uint32_t i = 0; i < s->n; i++) {
        struct primary *p = &s->primaries[i];
        *p = (struct primary){
            .service = s, .node = &w->nodes[i], .place = (uint8_t)i, .wake = NEVER};
        s->names[i] = str_of(w->nodes[i].name);
        p->rate = (int64_t)prng_below(&s->draw, 2 * rate + 1) - rate;
        p->row = shared(sizeof *p->row);
        p->votes_head = shared(sizeof *p->votes_head);
        p->votes = shared(CELLS_VOTES * sizeof *p->votes);
        p->instance.log = sim_zero(PRIMARY_LOG, sizeof *p->instance.log);
        p->instance.follows = ROLE_NOBODY;
        p->instance.down = true;
    }
    s->watch = (struct watch){s, tell};
    world_watch(w, &s->watch);
    w->service = s;
    queue_put(&w->queue, (struct event){PRIMARY_TICK_MS * MS, 0, EVENT_SERVICE, 0, 0, NULL});
    return s;
}

/* After the world. */
void service_free(struct service *s)
{
    if (!s)
        return;
    for (uint32_t i = 0; i < s->n; i++) {
        free(s->primaries[i].row);
        free(s->primaries[i].votes_head);
        free(s->primaries[i].votes);
        mem_free(s->primaries[i].instance.log);
    }
    mem_free(s->acked);
    mem_free(s);
}
