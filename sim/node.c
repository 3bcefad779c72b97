/* node: the process of one node: its clock, its loop, its disk, its life. As control does, a node
 * that runs reads everything that has arrived and lets time pass afterwards. */
#include "coordinator.h"
#include "primary.h"

enum { LEAVE_SECONDS = 2 };

/* ---- its clock */

uint64_t node_clock(const struct node *n)
{
    uint64_t past = n->world->now - n->clock_world;
    return n->clock_local + past + (uint64_t)((int64_t)(past / 1000) * n->clock_ppb / 1000000);
}

/* The first moment at which its clock shows `local` or more. */
static uint64_t moment_of(const struct node *n, uint64_t local)
{
    uint64_t now = node_clock(n);
    if (local <= now)
        return n->world->now;
    uint64_t left = local - now;
    if (left > HOUR)
        return n->world->now + HOUR; /* it looks again then */
    int64_t correction = (int64_t)left * n->clock_ppb / (1000000000 + n->clock_ppb);
    return n->world->now + left - (uint64_t)correction + 2 * US;
}

static void set_rate(struct node *n, int64_t ppb)
{
    uint64_t local = node_clock(n);
    n->clock_local = local;
    n->clock_world = n->world->now;
    n->clock_ppb = ppb;
}

/* ---- its disk */

static void land_writes(struct node *n)
{
    uint32_t left = 0;
    for (uint32_t i = 0; i < n->write_count; i++)
        if (n->writes[i].lands <= n->world->now)
            n->kept = MAX(n->kept, n->writes[i].incarnation);
        else
            n->writes[left++] = n->writes[i];
    n->write_count = left;
}

static void keep(struct node *n, uint64_t incarnation)
{
    land_writes(n);
    if (n->disk_full || n->write_count == DISK_WRITES)
        return;
    n->writes[n->write_count++] = (struct disk_write){n->world->now + n->disk_slow, incarnation};
    land_writes(n);
}

/* ---- what the engine asks of its host */

static void on_changed(void *context, const struct member_change *c)
{
    struct node *n = context;
    struct sim_heap *charged = sim_leave();
    primary_changed(n);
    if (c->info.id == n->id) /* it is told of as a change first, and then to be kept */
        n->highest = MAX(n->highest, c->info.incarnation);
    world_mix(n->world, n->index ^ c->info.id ^ (c->info.incarnation << 8) ^
                            ((uint64_t)c->info.state << 4) ^ c->info.reason);
    world_tell(n->world,
               &(struct happening){.kind = HAPPENED_CHANGED, .node = n->index, .change = c});
    sim_enter(charged);
}

static void on_incarnation(void *context, uint64_t incarnation)
{
    struct node *n = context;
    struct sim_heap *charged = sim_leave();
    n->incarnation = incarnation;
    n->highest = MAX(n->highest, incarnation);
    keep(n, incarnation);
    world_tell(
        n->world,
        &(struct happening){.kind = HAPPENED_RAISED, .node = n->index, .incarnation = incarnation});
    sim_enter(charged);
}

static void on_entropy(void *context, void *out, size_t size)
{
    struct node *n = context;
    uint8_t *to = out;
    for (size_t i = 0; i < size; i += 8) {
        uint64_t random = prng_next(&n->world->entropy);
        memcpy(to + i, &random, MIN(size - i, sizeof random));
    }
}

static void on_refused(void *context, enum seal_result why, bool payload)
{
    struct node *n = context;
    n->refusals++;
    n->refused = why;
}

static bool on_lease(void *context, uint64_t from, const void *payload, size_t n)
{
    return primary_datagram(context, from, payload, n);
}

/* ---- its timer */

static uint64_t due(const struct node *n)
{
    uint64_t engine = engine_deadline(n->engine), primary = primary_deadline(n);
    return MIN(engine, primary);
}

void node_schedule(struct node *n)
{
    uint64_t deadline = due(n);
    if (deadline == NEVER)
        return;
    uint64_t at = moment_of(n, deadline);
    if (at >= n->wake_at)
        return; /* it looks earlier anyway */
    n->wake_at = at;
    queue_put(&n->world->queue, (struct event){at, 0, EVENT_WAKE, n->index, ++n->wake_tag, NULL});
}

/* How late it is this time: what the machine does to everybody, and what a fault does to it. */
static uint64_t lateness(struct node *n)
{
    struct world *w = n->world;
    uint64_t late = w->o.jitter ? jitter_next(w->o.jitter, &n->jitter_at, &w->chance) : 0;
    return n->slow ? late + prng_below(&w->chance, 2 * n->slow) : late;
}

static void want_run(struct node *n)
{
    if (n->paused || n->late)
        return;
    uint64_t late = lateness(n);
    if (!late) {
        node_run(n);
        return;
    }
    n->late = true;
    queue_put(&n->world->queue,
              (struct event){n->world->now + late, 0, EVENT_RUN, n->index, n->life, NULL});
}

void node_wake(struct node *n, uint64_t tag)
{
    if (tag != n->wake_tag || !n->engine)
        return;
    n->wake_at = NEVER;
    if (due(n) <= node_clock(n))
        want_run(n);
    else
        node_schedule(n);
}

/* ---- its loop */

static bool seen_twin(struct node *n, uint64_t twin)
{
    for (uint32_t i = 0; i < TWINS; i++)
        if (n->twins[i] == twin)
            return true;
    n->twins[n->twin_next++ % TWINS] = twin;
    return false;
}

static void read_packet(struct node *n, struct packet *p)
{
    struct world *w = n->world;
    if (p->twin && p->kind == PACKET_GENUINE && seen_twin(n, p->twin))
        p->kind = PACKET_COPY;
    struct happening h = {.kind = HAPPENED_READING, .node = n->index, .packet = p};
    world_tell(w, &h);
    n->refusals = 0;
    n->received++;
    if (w->tape && p->kind == PACKET_GENUINE)
        net_keep(w, p); /* the engine opens it in place */
    sim_enter(&n->heap);
    engine_receive(n->engine, p->data, p->n, node_clock(n));
    sim_leave();
    h.kind = HAPPENED_READ;
    h.refused = n->refusals > 0;
    h.why = n->refused;
    world_tell(w, &h);
}

static void pass_time(struct node *n)
{
    uint64_t now = node_clock(n);
    if (engine_deadline(n->engine) > now) {
        n->spins = 0;
        return;
    }
    sim_enter(&n->heap);
    engine_tick(n->engine, now);
    sim_leave();
    n->spins = engine_deadline(n->engine) <= now ? n->spins + 1 : 0;
}

void node_run(struct node *n)
{
    n->late = false;
    if (!n->engine || n->paused)
        return;
    for (struct packet *p; (p = n->first);) {
        n->first = p->next;
        n->waiting--;
        read_packet(n, p);
        net_release(n->world, p);
    }
    n->last = NULL;
    pass_time(n);
    primary_run(n);
    world_tell(n->world, &(struct happening){.kind = HAPPENED_RAN, .node = n->index});
    if (n->leaving && (member_left(engine_members(n->engine)) || n->world->now >= n->leave_by)) {
        n->left = true;
        node_stop(n);
        if (!n->down)
            node_start(n); /* it should be back already */
        return;
    }
    node_schedule(n);
}

void node_arrive(struct node *n, struct packet *p)
{
    if (!n->engine || n->waiting == RECEIVE_BUFFER) {
        net_release(n->world, p);
        return;
    }
    world_tell(n->world,
               &(struct happening){.kind = HAPPENED_ARRIVED, .node = n->index, .packet = p});
    p->next = NULL;
    if (n->first)
        n->last->next = p;
    else
        n->first = p;
    n->last = p;
    n->waiting++;
    want_run(n);
}

/* ---- its life */

static void add_others(struct node *n)
{
    struct world *w = n->world;
    struct err e = {0};
    for (uint32_t i = 0; i < w->o.nodes; i++) {
        struct member_node other = {.id = w->nodes[i].id};
        if (i != n->index && member_add(engine_members(n->engine), &other, node_clock(n), &e))
            sim_die("%s cannot add a member: %s", n->name, e.text);
    }
}

void node_start(struct node *n)
{
    struct world *w = n->world;
    land_writes(n);
    n->incarnation = n->kept + 1;
    n->highest = MAX(n->highest, n->incarnation);
    keep(n, n->incarnation);
    n->life++;
    n->left = n->leaving = n->goodbye = false;
    world_tell(w, &(struct happening){
                      .kind = HAPPENED_STARTED, .node = n->index, .incarnation = n->incarnation});
    struct engine_options o = {.cluster = STR("sim"),
                               .self = {.id = n->id},
                               .params = w->o.params,
                               .keys = n->keys,
                               .incarnation = n->incarnation,
                               .seed = prng_next(&w->chance),
                               .plain = w->o.plain};
    struct engine_host h = {n,          net_send,   on_changed, on_incarnation,
                            on_entropy, on_refused, on_lease};
    struct err e = {0};
    n->heap = (struct sim_heap){0};
    sim_enter(&n->heap);
    if (engine_new(&n->engine, &o, &h, node_clock(n), &e))
        sim_die("%s does not start: %s", n->name, e.text);
    add_others(n);
    if (n->maintenance)
        member_set_maintenance(engine_members(n->engine), true, node_clock(n));
    sim_leave();
    n->wake_at = NEVER;
    primary_start(n);
    node_schedule(n);
    if (w->coordinator)
        follower_start(&w->coordinator->followers[n->index]);
    world_tell(w, &(struct happening){.kind = HAPPENED_CONDITIONS});
}

void node_stop(struct node *n)
{
    struct world *w = n->world;
    if (!n->engine)
        return;
    land_writes(n);
    n->write_count = 0; /* what had not landed is lost */
    primary_stop(n);
    sim_enter(&n->heap);
    engine_free(n->engine);
    sim_leave();
    n->engine = NULL;
    n->life++;
    n->wake_at = NEVER;
    n->wake_tag++;
    n->late = n->leaving = false;
    for (struct packet *p; (p = n->first);) {
        n->first = p->next;
        net_release(w, p);
    }
    n->last = NULL;
    n->waiting = 0;
    if (w->coordinator)
        follower_stop(&w->coordinator->followers[n->index]);
    world_tell(w, &(struct happening){.kind = HAPPENED_STOPPED, .node = n->index});
}

void node_leave(struct node *n)
{
    if (!n->engine || n->leaving)
        return;
    n->leaving = n->goodbye = true;
    n->leave_by = n->world->now + LEAVE_SECONDS * SEC;
    sim_enter(&n->heap);
    member_leave(engine_members(n->engine), node_clock(n));
    sim_leave();
    node_schedule(n);
}

/* Its key file is another. */
void node_rekeyed(struct node *n)
{
    if (!n->engine)
        return;
    sim_enter(&n->heap);
    seal_set_keys(engine_seal(n->engine), &n->keys);
    sim_leave();
    node_schedule(n);
}

/* After a fault began or ended: clock, disk and process are as the conditions say. */
void node_conditions(struct node *n)
{
    struct world *w = n->world;
    int64_t ppb = n->ppm * 1000;
    if (ppb != n->clock_ppb) {
        set_rate(n, ppb);
        n->wake_at = NEVER;
        n->wake_tag++;
    }
    if (n->down && n->engine && !n->leaving)
        node_stop(n);
    if (!n->down && !n->engine && w->now)
        node_start(n);
    if (!n->engine)
        return;
    struct member_info self;
    if (member_find(engine_members(n->engine), n->id, &self) &&
        self.maintenance != n->maintenance) {
        sim_enter(&n->heap);
        member_set_maintenance(engine_members(n->engine), n->maintenance, node_clock(n));
        sim_leave();
    }
    node_schedule(n);
    if (n->first)
        want_run(n);
}
