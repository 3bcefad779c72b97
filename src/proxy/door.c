/* door: a service's gate as one worker sees it.
 *
 * The cells are looked at when control says that they have changed (proxy_roles_changed), at the
 * worker's tick, every few milliseconds while somebody waits, and at the deadline of an open gate.
 * A door keeps what it saw, so that passages are only turned to when something has changed. What
 * makes the gate safe does not depend on any of that: before bytes go to the instance the cells
 * themselves are asked (door_open). */
#include "proxy/front.h"

/* Whoever is run may end others, and look at the cells again, which runs them all: nobody is run
 * from a list that he may have left. Those that are `left` to be run are nowhere else. */
static void take_all(struct list *left, struct list *from)
{
    list_init(left);
    while (!list_empty(from)) {
        struct list *it = from->next;
        list_remove(it);
        list_push_back(left, it);
    }
}

static struct list *next_of(struct list *left, struct list *back)
{
    struct list *it = left->next;
    list_remove(it);
    list_push_back(back, it);
    return it;
}

static void run_all(struct door *d)
{
    struct list left;
    for (take_all(&left, &d->passages); !list_empty(&left);)
        client_run(LIST_ENTRY(next_of(&left, &d->passages), struct passage, link)->client);
}

static void run_waiting(struct door *d)
{
    struct list left;
    for (take_all(&left, &d->waiting); !list_empty(&left);)
        client_run(LIST_ENTRY(next_of(&left, &d->waiting), struct passage, waiting)->client);
}

static void on_deadline(struct timer *t)
{
    door_look(CONTAINER_OF(t, struct door, deadline));
}

static void on_look(struct timer *t)
{
    struct door *d = CONTAINER_OF(t, struct door, look);
    door_look(d);
    run_waiting(d);
    if (d->n_waiting || d->held)
        loop_timer_set(d->worker->loop, t, loop_now(d->worker->loop) + LOOK_NS);
}

static void on_settle(struct task *t)
{
    struct door *d = CONTAINER_OF(t, struct door, settle);
    if (!d->service || !d->held)
        return;
    list_for_each (it, &d->passages)
        if (!passage_quiet(LIST_ENTRY(it, struct passage, link)))
            return;
    cell_set(&d->counts->quiet, d->seen.hold);
}

struct door *door_get(struct worker *w, uint32_t slot)
{
    list_for_each (it, &w->doors) {
        struct door *d = LIST_ENTRY(it, struct door, link);
        if (d->slot == slot) {
            d->refs++;
            return d;
        }
    }
    struct door *d = mem_zero(1, sizeof *d);
    if (!d)
        return NULL;
    d->refs = 1;
    d->worker = w;
    d->slot = slot;
    d->self = -1;
    d->row = cells_role(&w->cells, slot);
    d->counts = cells_service(&w->cells, w->lane, slot);
    cell_set(&d->counts->held, 0);
    cell_set(&d->counts->commit_since, 0);
    cell_set(&d->counts->quiet, 0);
    list_init(&d->passages);
    list_init(&d->waiting);
    list_init(&d->withheld);
    list_init(&d->asked);
    timer_init(&d->deadline, on_deadline);
    timer_init(&d->look, on_look);
    task_init(&d->settle, on_settle);
    committer_init(&d->committer);
    list_push_back(&w->doors, &d->link);
    return d;
}

void door_unref(struct door *d)
{
    CHECK(d->refs > 0);
    if (--d->refs)
        return;
    struct loop *l = d->worker->loop;
    committer_end(d);
    loop_timer_stop(l, &d->deadline);
    loop_timer_stop(l, &d->look);
    task_cancel(&d->settle);
    list_remove(&d->link);
    mem_free(d);
}

static void cut_all(struct door *d)
{
    list_for_each_safe (it, &d->passages)
        passage_cut(LIST_ENTRY(it, struct passage, link));
}

bool door_node(const struct door *d, int place, uint16_t port, struct addr *out)
{
    const struct view *v = d->service->shared->view;
    const struct view_primary *conf = door_conf(d);
    if (place < 0 || (uint32_t)place >= conf->n_on || conf->on[place] >= v->cluster.n_nodes)
        return false;
    *out = v->cluster.nodes[conf->on[place]].address;
    out->port = port;
    return true;
}

void door_serve(struct door *d, struct service *s)
{
    d->service = s;
    const struct view *v = s->shared->view;
    const struct view_primary *conf = door_conf(d);
    d->self = -1;
    d->places.n = MIN(conf->n_on, (uint32_t)GATE_PLACES);
    for (uint32_t i = 0; i < d->places.n; i++) {
        if (conf->on[i] == v->cluster.self)
            d->self = (int)i;
        door_node(d, (int)i, conf->port, &d->places.at[i]);
    }
    d->places.self = d->self;
    door_look(d);
}

void door_leave(struct door *d, const struct service *s)
{
    if (d->service != s)
        return;
    d->service = NULL;
    cut_all(d);
    committer_end(d);
}

/* --- looking --- */

bool door_open(const struct door *d)
{
    return gate_open(d->row, clock_now());
}

static bool differs(const struct gate_state *a, const struct gate_state *b)
{
    return (a->until != 0) != (b->until != 0) || a->hold != b->hold || a->epoch != b->epoch ||
           a->primary != b->primary || a->sync != b->sync || a->insync != b->insync;
}

static void arm_deadline(struct door *d)
{
    struct loop *l = d->worker->loop;
    if (d->seen.until && d->n_here)
        loop_timer_set(l, &d->deadline, d->seen.until);
    else
        loop_timer_stop(l, &d->deadline);
}

/* True: others are fit than before. */
static bool look_at_replicas(struct door *d, uint64_t now)
{
    const struct view_primary *conf = door_conf(d);
    const struct reads_bounds b = {conf->lag_bytes, conf->lag_time};
    uint16_t was = d->reads.fit;
    if (conf->n_readers)
        d->reads = reads_look(d->row, d->places.n, &b, was, now);
    return d->reads.fit != was;
}

void door_look(struct door *d)
{
    uint64_t now = clock_now();
    if (!d->service)
        return;
    struct gate_state g = gate_look(d->row, d->places.n, now);
    bool others = look_at_replicas(d, now);
    bool changed = others || differs(&d->seen, &g) || d->held != gate_holds(&g, now);
    d->seen = g;
    d->held = gate_holds(&g, now);
    if (!g.until)
        committer_end(d);
    arm_deadline(d);
    if (changed)
        run_all(d);
    if (changed && d->committer.state != COMMITTER_NONE)
        committer_judge(d);
    if (!d->held)
        return;
    loop_defer(d->worker->loop, &d->settle);
    if (!timer_is_set(&d->look))
        loop_timer_set(d->worker->loop, &d->look, loop_now(d->worker->loop) + LOOK_NS);
}

void doors_look(struct worker *w)
{
    list_for_each_safe (it, &w->doors)
        door_look(LIST_ENTRY(it, struct door, link));
}

void door_refused(struct door *d, int place)
{
    const struct view *v = d->service->shared->view;
    const struct view_primary *conf = door_conf(d);
    uint64_t now = loop_now(d->worker->loop);
    if (d->complained && now - d->complained < COMPLAIN_NS)
        return;
    d->complained = now;
    proxy_complain(d->worker->proxy,
                   "worker %u: the instance of service " STR_FMT " at node " STR_FMT
                   " refuses the gate's password: its clients wait",
                   d->worker->index, STR_ARG(d->service->conf->name),
                   STR_ARG(v->cluster.nodes[conf->on[place]].name));
}

/* --- readers --- */

int door_replica(struct door *d)
{
    uint64_t now = loop_now(d->worker->loop);
    struct reads s = d->reads;
    for (uint32_t i = 0; i < GATE_PLACES; i++)
        if (d->avoid_until[i] > now)
            s.fit &= (uint16_t) ~(1u << i);
    return reads_pick(&s, d->readers, prng_below(&d->worker->prng, GATE_PLACES));
}

void door_reader(struct passage *p, bool replica)
{
    if (p->replica == replica)
        return;
    p->replica = replica;
    p->door->readers[p->place] += replica ? 1 : UINT32_MAX;
}

/* --- who is where --- */

bool door_has_room(const struct door *d)
{
    const struct worker *w = d->worker;
    uint64_t all = 0;
    for (uint32_t k = 0; k < w->proxy_workers; k++) {
        uint32_t lane = cells_lane(&w->cells, w->cells.bank, k);
        all += cell_get(&cells_service(&w->cells, lane, d->slot)->held);
    }
    return all < door_conf(d)->hold_clients;
}

void door_wait(struct passage *p)
{
    struct door *d = p->door;
    struct loop *l = d->worker->loop;
    list_push_back(&d->waiting, &p->waiting);
    cell_set(&d->counts->held, ++d->n_waiting);
    if (!timer_is_set(&d->look))
        loop_timer_set(l, &d->look, loop_now(l) + LOOK_NS);
}

void door_wait_over(struct passage *p)
{
    struct door *d = p->door;
    if (list_empty(&p->waiting))
        return;
    list_remove(&p->waiting);
    cell_set(&d->counts->held, --d->n_waiting);
}

void door_here(struct passage *p, bool here)
{
    struct door *d = p->door;
    if (p->here == here)
        return;
    p->here = here;
    d->n_here += here ? 1 : UINT32_MAX;
    if (!timer_is_set(&d->deadline) || !d->n_here)
        arm_deadline(d);
}
