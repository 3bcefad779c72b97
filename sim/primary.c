/* primary: a node's part, with the functions that recover/failover.h asks of its host. */
#include "primary.h"

#include "coordinator.h"

/* A build with -Dplant=N has fault N, for the invariants to find: */
#ifndef HF_PLANT
#define HF_PLANT 0
#endif
enum { PLANT_FORGETS = 9 /* with src/recover/lease_voter.c */ };

enum {
    TRAVEL_US = 200,
    AGAIN_MS = 200, /* a segment that is lost comes again */
    HOLD_MS = 1000,
    SPINS_MOST = 50,
    TERMS_EACH = 4, /* versions */
};

struct primary *primary_of(const struct node *n)
{
    struct service *s = n->world->service;
    return s && n->index < s->n ? &s->primaries[n->index] : NULL;
}

/* ---- its clock */

uint64_t primary_clock(const struct primary *p)
{
    uint64_t local = node_clock(p->node);
    return local + (uint64_t)((int64_t)(local / 1000) * p->rate / 1000);
}

/* The node's clock, when its lease clock shows this. */
static uint64_t local_of(const struct primary *p, uint64_t lease)
{
    uint64_t per = (uint64_t)(1000000 + p->rate);
    return lease / per * 1000000 + lease % per * 1000000 / per + 2 * US;
}

uint64_t primary_deadline(const struct node *n)
{
    const struct primary *p = primary_of(n);
    if (!p || !p->leases)
        return NEVER;
    uint64_t at = MIN(p->wake, leases_next(p->leases));
    return at == NEVER ? NEVER : local_of(p, at);
}

void primary_wake(struct primary *p)
{
    p->wake = MIN(p->wake, primary_clock(p));
    if (p->node->engine)
        node_schedule(p->node);
}

/* ---- leases */

static void on_send(void *context, uint64_t to, const void *payload, size_t n)
{
    struct primary *p = context;
    sim_enter(&p->node->heap);
    engine_send_lease(p->node->engine, to, payload, n, node_clock(p->node));
    sim_leave();
}

static void on_effect(void *context)
{
    struct primary *p = context;
    p->wake = MIN(p->wake, primary_clock(p));
}

static void on_differs(void *context, uint64_t node, const struct lease_terms *theirs,
                       const struct lease_terms *ours)
{
    struct primary *p = context;
    if (theirs->lease == ours->lease)
        violated(p->service->v, I1_LEASE, "%s takes the terms of %s for others than its own",
                 p->node->name, world_name(p->node->world, node));
}

bool primary_datagram(struct node *n, uint64_t from, const void *payload, size_t size)
{
    struct primary *p = primary_of(n);
    struct sim_heap *charged = sim_leave();
    bool good =
        !p || !p->leases || leases_receive(p->leases, from, payload, size, primary_clock(p));
    sim_enter(charged);
    return good;
}

static void tell_voters(struct primary *p, uint64_t version, const struct voters *set)
{
    uint64_t ids[LEASE_VOTERS_MAX];
    uint32_t n = MIN(set->n, (uint32_t)LEASE_VOTERS_MAX);
    for (uint32_t i = 0; i < n; i++)
        ids[i] = node_id(STR("sim"), str_of(set->names[i]));
    p->voters = version;
    leases_voters(p->leases, version, ids, n, primary_clock(p));
}

/* Where a schedule changes the voters they are those that this node has kept; else the first ones,
 * an odd number, for good. */
static void look_at_voters(struct primary *p)
{
    struct world *w = p->node->world;
    const struct follower *f = &w->coordinator->followers[p->node->index];
    struct voters first = {0};
    if (w->coordinator->wanted.n) {
        if (f->votes.kept.version != p->voters)
            tell_voters(p, f->votes.kept.version, &f->votes.kept);
        return;
    }
    if (p->voters)
        return;
    for (uint32_t i = 0; i < (w->o.nodes >= 5 ? 5u : w->o.nodes >= 3 ? 3u : 1u); i++)
        voters_add(&first, str_of(w->nodes[i].name));
    tell_voters(p, 1, &first);
}

/* A longer promise is kept before it is given, a shorter one when none of the longer is out. */
static void keep_promise(struct primary *p)
{
    uint64_t promise = lease_promise(&p->terms);
    if (promise > p->kept || primary_clock(p) - p->terms_at > p->kept)
        p->kept = promise;
}

/* Those of the version that its node runs. */
static struct lease_params terms_of(const struct primary *p)
{
    const struct follower *f = &p->node->world->coordinator->followers[p->node->index];
    struct lease_params t = p->service->terms;
    if (f->force.number / TERMS_EACH % 2) {
        t.lease += t.lease / 3;
        t.demote += t.demote / 4;
    }
    return t;
}

static void look_at_terms(struct primary *p)
{
    struct lease_params t = terms_of(p);
    if (t.lease != p->terms.lease) {
        p->terms = t;
        p->terms_at = primary_clock(p);
    }
    keep_promise(p);
    leases_params(p->leases, &p->terms, primary_clock(p));
}

/* ---- the coordinator */

static struct primary_ask *free_ask(struct primary *p)
{
    for (uint32_t i = 0; i < PRIMARY_ASKS; i++)
        if (!p->asks[i].ticket)
            return &p->asks[i];
    return NULL;
}

static bool host_cas(void *context, uint64_t ticket, uint64_t expected,
                     const struct failover_record *r)
{
    struct primary *p = context;
    struct primary_ask *a = free_ask(p);
    struct buf text = {0};
    if (!a)
        return false;
    *a = (struct primary_ask){ticket, true};
    if (!failover_record_write(r, p->service->names, p->service->n, &text))
        sim_die("no memory for a record");
    struct coord_op op = {
        .key = STR(PRIMARY_KEY), .value = sim_text(&text), .expected = expected, .act = COORD_PUT};
    coordinator_cas(&p->node->world->coordinator->followers[p->node->index],
                    ASK_ROLE + (uint32_t)(a - p->asks), &op, 1);
    buf_free(&text);
    return true;
}

static bool host_read(void *context, uint64_t ticket)
{
    struct primary *p = context;
    struct primary_ask *a = free_ask(p);
    if (!a)
        return false;
    *a = (struct primary_ask){ticket, false};
    coordinator_range(&p->node->world->coordinator->followers[p->node->index],
                      ASK_ROLE + (uint32_t)(a - p->asks), STR(PRIMARY_KEY));
    return true;
}

static struct failover_record absent(void)
{
    struct failover_record r = {.from = ROLE_NOBODY};
    r.r = (struct role_record){.known = true, .primary = ROLE_NOBODY, .wanted = ROLE_NOBODY};
    return r;
}

static struct failover_record read_record(const struct service *s, const struct coord_item *item)
{
    struct failover_record r;
    struct err e = {0};
    if (item->gone)
        return absent();
    if (failover_record_read(item->value, s->names, s->n, &r, &e))
        sim_die("a record cannot be read: %s", e.text);
    r.r.revision = item->revision;
    return r;
}

bool primary_reads(const struct node *n, uint32_t which)
{
    const struct primary *p = primary_of(n);
    return p && which < PRIMARY_ASKS && !p->asks[which].cas;
}

void primary_answered(struct node *n, uint32_t which, int outcome, const struct store_list *list)
{
    static const enum failover_outcome outcomes[] = {[COORD_DONE] = FAILOVER_DONE,
                                                     [COORD_CONFLICT] = FAILOVER_CONFLICT,
                                                     [COORD_FAILED] = FAILOVER_FAILED,
                                                     [COORD_UNKNOWN] = FAILOVER_UNKNOWN};
    struct primary *p = primary_of(n);
    CHECK(p);
    if (which == PRIMARY_ASKS)
        return; /* an operator sees for himself */
    struct primary_ask a = p->asks[which];
    p->asks[which] = (struct primary_ask){0};
    if (!p->leases || !a.ticket)
        return;
    if (a.cas) {
        failover_cas_answer(&p->core, a.ticket, outcomes[outcome], list ? list->revision : 0,
                            primary_clock(p));
    } else {
        bool ok = outcome == COORD_DONE && list;
        struct failover_record r =
            ok && list->n ? read_record(p->service, &list->items[0]) : absent();
        failover_read_answer(&p->core, a.ticket, ok, &r, primary_clock(p));
    }
    primary_wake(p);
}

void primary_told(struct node *n, const struct store_list *list, bool whole)
{
    struct primary *p = primary_of(n);
    if (!p || !p->leases)
        return;
    struct failover_record r = absent();
    for (uint32_t i = 0; i < list->n; i++)
        r = read_record(p->service, &list->items[i]);
    if (list->n || whole) {
        p->record = r;
        p->record_there = true;
        failover_learn(&p->core, &r, primary_clock(p));
    }
    primary_wake(p);
}

/* Somebody at this node asks for another primary, by what its process knows. */
void primary_operator(struct primary *p, uint8_t to, bool force)
{
    struct failover_record r = p->core.record;
    struct follower *f = &p->node->world->coordinator->followers[p->node->index];
    struct buf text = {0};
    struct err e = {0};
    if (!p->leases || !r.r.revision || f->asks[ASK_ROLE + PRIMARY_ASKS])
        return;
    if (force ? failover_wants_force(&r, to, &e) : failover_wants_switchover(&r, to, &e))
        return;
    if (!failover_record_write(&r, p->service->names, p->service->n, &text))
        sim_die("no memory for a record");
    struct coord_op op = {.key = STR(PRIMARY_KEY),
                          .value = sim_text(&text),
                          .expected = r.r.revision,
                          .act = COORD_PUT};
    coordinator_cas(f, ASK_ROLE + PRIMARY_ASKS, &op, 1);
    buf_free(&text);
}

/* ---- the rest of the host */

static bool host_agent(void *context, uint64_t ticket, enum failover_act act, uint64_t epoch,
                       uint8_t place)
{
    instance_order(context, ticket, act, epoch, place);
    return true;
}

static void host_lease(void *context, struct failover_lease *out)
{
    struct primary *p = context;
    struct mesh_lease l = {0};
    leases_read(p->leases, PRIMARY_ROLE, primary_clock(p), &l);
    *out = (struct failover_lease){l.state, l.epoch, l.deadline, l.gate, l.seen, l.outdated};
}

static void host_want(void *context, uint64_t epoch)
{
    struct primary *p = context;
    leases_want(p->leases, PRIMARY_ROLE, epoch, primary_clock(p));
}

static void host_confirm(void *context, uint64_t gate, uint64_t epoch)
{
    struct primary *p = context;
    leases_confirm(p->leases, PRIMARY_ROLE, gate, epoch, primary_clock(p));
}

static void host_drop(void *context)
{
    struct primary *p = context;
    leases_drop(p->leases, PRIMARY_ROLE, primary_clock(p));
}

/* Over a stream: what is lost comes again, unless the link is cut. */
static void post(struct primary *p, uint32_t to, const struct role_message *message)
{
    struct world *w = p->node->world;
    const struct link *l = &w->links[p->node->index * w->o.nodes + to];
    const struct link *back = &w->links[to * w->o.nodes + p->node->index];
    if (l->cut || back->cut || !w->nodes[to].engine)
        return;
    struct role_letter *m = sim_zero(1, sizeof *m);
    *m = (struct role_letter){.from = p->place, .life = w->nodes[to].life, .message = *message};
    uint64_t delay = TRAVEL_US * US + world_base_delay(w, p->node->index, to) + l->delay;
    while (prng_unit(&p->service->draw) < l->loss && delay < 3 * SEC)
        delay += AGAIN_MS * MS;
    queue_put(&w->queue, (struct event){w->now + delay, 0, EVENT_LETTER, to, 0, m});
}

static void host_send(void *context, uint8_t place, const struct role_message *message)
{
    struct primary *p = context;
    for (uint32_t i = 0; i < p->service->n; i++)
        if (i != p->place && (place == i || place == ROLE_NOBODY))
            post(p, i, message);
}

static void host_row(void *context, const struct failover_row *row)
{
    struct primary *p = context;
    cell_set(&p->row->gate, row->gate);
    cell_set(&p->row->hold, row->hold);
    cell_set(&p->row->epoch, row->epoch);
    cell_set(&p->row->primary, row->primary);
    cell_set(&p->row->sync, row->sync);
    cell_set(&p->row->insync, row->insync);
    cell_set(&p->row->state, row->state);
}

static void host_news(void *context, const struct failover_news *news)
{
    struct primary *p = context;
    world_tell(p->node->world, &(struct happening){.kind = HAPPENED_NEWS,
                                                   .node = p->node->index,
                                                   .revision = news->epoch,
                                                   .text = news->text});
}

/* Commands take no time here. */
static bool host_quiet(void *context, uint64_t hold)
{
    return true;
}

static uint64_t host_wall(void *context)
{
    return ((struct primary *)context)->node->world->now / MS;
}

/* ---- its loop */

void primary_letter(struct world *w, uint32_t node, struct role_letter *m)
{
    struct primary *p = primary_of(&w->nodes[node]);
    CHECK(p);
    if (!p->leases || m->life != w->nodes[node].life) {
        mem_free(m);
        return;
    }
    m->next = NULL;
    if (p->first)
        p->last->next = m;
    else
        p->first = m;
    p->last = m;
    primary_wake(p);
}

static void about_members(struct primary *p)
{
    struct membership *all = engine_members(p->node->engine);
    for (uint32_t i = 0; i < p->service->n; i++) {
        struct member_info m;
        if (member_find(all, p->node->world->nodes[i].id, &m))
            failover_node(&p->core, (uint8_t)i, m.state == MEMBER_ALIVE,
                          m.state == MEMBER_FAILED || m.state == MEMBER_LEFT, m.maintenance);
    }
    p->members_changed = false;
}

void primary_changed(struct node *n)
{
    struct primary *p = primary_of(n);
    if (p)
        p->members_changed = true;
}

/* What it is told of without being woken. True: some of it is new. */
static bool look_around(struct primary *p)
{
    const struct follower *f = &p->node->world->coordinator->followers[p->node->index];
    bool connected = f->watches[WATCH_ROLE].connected;
    bool isolated = member_isolated(engine_members(p->node->engine));
    bool news = p->members_changed || connected != p->connected || isolated != p->isolated;
    p->connected = connected;
    p->isolated = isolated;
    return news;
}

static void run_core(struct primary *p)
{
    for (struct role_letter *m; (m = p->first);) {
        p->first = m->next;
        failover_hear(&p->core, m->from, &m->message, primary_clock(p));
        mem_free(m);
    }
    if (p->members_changed)
        about_members(p);
    failover_surroundings(&p->core, p->connected, p->isolated, 0);
    for (uint32_t i = 0; i < p->n_answers; i++)
        failover_agent_answer(&p->core, p->answers[i].ticket, p->answers[i].ok,
                              p->answers[i].position, primary_clock(p));
    p->n_answers = 0;
    if (p->reported)
        failover_reported(&p->core, &p->told, primary_clock(p));
    p->reported = false;
    p->wake = failover_run(&p->core, primary_clock(p));
    p->spins = p->wake <= primary_clock(p) ? p->spins + 1 : 0;
    if (p->spins > SPINS_MOST)
        violated(p->service->v, I28_PROGRESS, "n%u's service stays due, however often it runs",
                 p->place);
}

/* As in the daemon, the failover has its turn when something has happened to it or is due. */
void primary_run(struct node *n)
{
    struct primary *p = primary_of(n);
    uint64_t role;
    unsigned effects;
    if (!p || !p->leases)
        return;
    look_at_terms(p);
    look_at_voters(p);
    if (leases_next(p->leases) <= primary_clock(p))
        leases_tick(p->leases, primary_clock(p));
    while (leases_effect(p->leases, &role, &effects))
        continue; /* the lease is read at each run */
    if (look_around(p) || p->wake <= primary_clock(p))
        run_core(p);
    acting_look(p->service);
}

/* ---- its life */

/* As in the daemon: the process before may have been primary, and its lease may last. */
static void go_on(struct primary *p)
{
    const struct role_row *r = p->row;
    struct failover_row row = {cell_get(&r->gate),    cell_get(&r->hold), cell_get(&r->epoch),
                               cell_get(&r->primary), cell_get(&r->sync), cell_get(&r->insync),
                               cell_get(&r->state)};
    struct mesh_lease l = {.state = LEASE_IDLE};
    bool known = leases_read(p->leases, PRIMARY_ROLE, primary_clock(p), &l);
    failover_resume(&p->core, &row, known && l.state == LEASE_HELD && l.epoch == row.gate,
                    primary_clock(p));
}

static void begin_core(struct primary *p, uint64_t incarnation)
{
    struct service *s = p->service;
    struct failover_params o = {.lease = s->terms,
                                .role = PRIMARY_ROLE,
                                .incarnation = incarnation,
                                .n = s->n,
                                .self = p->place,
                                .sync = s->sync,
                                .hold = HOLD_MS * MS,
                                .rehearses = true,
                                .seed = prng_next(&s->draw)};
    struct failover_host h = {p,         host_cas,     host_read, host_agent, host_lease,
                              host_want, host_confirm, host_drop, host_send,  host_row,
                              host_news, host_quiet,   host_wall};
    failover_init(&p->core, &o, &h, primary_clock(p));
    go_on(p);
    for (uint32_t i = 0; i < s->n; i++)
        failover_prefers(&p->core, (uint8_t)i, (int32_t)(s->n - i));
}

void primary_start(struct node *n)
{
    struct primary *p = primary_of(n);
    struct err e = {0};
    if (!p)
        return;
    struct leases_host h = {p, on_send, on_effect, on_differs};
    uint64_t incarnation = prng_next(&p->service->draw);
    p->terms_at = primary_clock(p);
    p->terms = terms_of(p);
    uint64_t quiet = HF_PLANT == PLANT_FORGETS ? 0 : p->terms_at + p->kept;
    keep_promise(p);
    if (leases_new(&p->leases, n->id, &p->terms, incarnation, quiet, &h, primary_clock(p), &e))
        sim_die("%s has no leases: %s", n->name, e.text);
    leases_votes(p->leases, p->votes_head, p->votes);
    p->voters = 0;
    look_at_voters(p);
    if (leases_role(p->leases, PRIMARY_ROLE, p->row, primary_clock(p), &e))
        sim_die("%s has no role: %s", n->name, e.text);
    begin_core(p, incarnation);
    p->wake = primary_clock(p);
    p->members_changed = p->reported = true;
    p->instance.down = false;
    for (uint32_t i = 0; i < p->service->n; i++)
        if (p->service->primaries[i].leases)
            failover_link(&p->service->primaries[i].core);
}

void primary_stop(struct node *n)
{
    struct primary *p = primary_of(n);
    if (!p || !p->leases)
        return;
    leases_free(p->leases);
    p->leases = NULL;
    p->wake = NEVER;
    for (struct role_letter *m; (m = p->first);) {
        p->first = m->next;
        mem_free(m);
    }
    for (uint32_t i = 0; i < PRIMARY_ASKS; i++)
        p->asks[i] = (struct primary_ask){0};
    p->n_answers = 0;
    bool machine = prng_below(&p->service->draw, 2);
    if (machine) { /* else the process alone */
        memset((void *)p->row, 0, sizeof *p->row);
        memset((void *)p->votes_head, 0, sizeof *p->votes_head);
        memset((void *)p->votes, 0, CELLS_VOTES * sizeof *p->votes);
    }
    p->instance.ticket = 0;
    if (machine)
        instance_crash(p);
}

void primary_restart(struct node *n)
{
    struct primary *p = primary_of(n);
    CHECK(p);
    struct follower *f = &n->world->coordinator->followers[n->index];
    primary_stop(n);
    for (uint32_t i = 0; i <= PRIMARY_ASKS; i++)
        f->asks[ASK_ROLE + i] = 0;
    primary_start(n);
    if (p->record_there) /* its watch goes on */
        failover_learn(&p->core, &p->record, primary_clock(p));
    node_schedule(n);
}

void primary_flicker(struct node *n)
{
    if (n->engine && !n->leaving && !n->paused)
        primary_restart(n);
}
