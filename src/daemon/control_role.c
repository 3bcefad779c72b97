/* One core for each service of kind primary: when it is made and ended, what it is told, and that
 * it runs. */
#include <stdio.h>

#include "daemon/control.h"

/* --- rows --- */

struct role_here *role_find(struct control *c, struct str name)
{
    for (uint32_t i = 0; i < c->rolling.n; i++)
        if (str_eq(name, str_of(c->rolling.rows[i]->name)))
            return c->rolling.rows[i];
    return NULL;
}

const char *role_place_name(const struct role_here *r, uint8_t place)
{
    return place < r->n ? r->names[place] : "nobody";
}

static uint8_t place_of(const struct role_here *r, struct str node)
{
    for (uint8_t i = 0; i < r->n; i++)
        if (str_eq(node, r->places[i]))
            return i;
    return ROLE_NOBODY;
}

/* --- facts that are looked at when it runs --- */

static void look_at_members(struct role_here *r)
{
    struct control *c = r->owner;
    const struct membership *m = mesh_borrow(c->meshing.mesh);
    for (uint32_t i = 0; i < r->n; i++) {
        struct member_info k = {.state = MEMBER_SUSPECT};
        bool known = member_find(m, node_id(c->view->cluster.name, r->places[i]), &k);
        bool gone = known && (k.state == MEMBER_FAILED || k.state == MEMBER_LEFT);
        failover_node(&r->core, i, known && !gone, gone && !k.self, k.maintenance);
    }
    bool isolated = member_isolated(m);
    mesh_return(c->meshing.mesh);
    struct coord_health h = {.reachable = false};
    if (c->rolling.coord)
        coord_health(c->rolling.coord, &h);
    uint32_t load = 0;
    for (uint32_t i = 0; i < c->rolling.n; i++)
        load += c->rolling.rows[i] != r && c->rolling.rows[i]->core.promoted;
    failover_surroundings(&r->core, h.reachable, isolated, load);
}

static bool is_apart(const struct view *view, uint32_t service, struct str other)
{
    const struct view_words *apart = &view->services[service].primary.apart;
    for (uint32_t i = 0; i < apart->n; i++)
        if (str_eq(apart->list[i], other))
            return true;
    return false;
}

/* Of two that are apart from each other the first in the file waits for nobody. */
static bool waits_for(const struct role_here *r, const struct role_here *o)
{
    const struct view *view = r->owner->view;
    bool mutual = is_apart(view, o->service, view->services[r->service].name);
    return failover_primary(&o->core) == ROLE_NOBODY && (!mutual || o->service < r->service);
}

/* The order of the file, and nodes where a service is primary that this one should be apart from
 * last of all. */
static void look_at_preferences(struct role_here *r)
{
    const struct view_primary *p = &r->owner->view->services[r->service].primary;
    bool unsettled = false;
    for (uint32_t k = 0; k < p->apart.n; k++) {
        const struct role_here *o = role_find(r->owner, p->apart.list[k]);
        unsettled = unsettled || (o && waits_for(r, o));
    }
    failover_unsettled(&r->core, unsettled);
    for (uint32_t i = 0; i < r->n; i++) {
        int32_t value = (int32_t)(r->n - i);
        for (uint32_t k = 0; k < p->apart.n; k++) {
            const struct role_here *o = role_find(r->owner, p->apart.list[k]);
            uint8_t primary = o ? failover_primary(&o->core) : ROLE_NOBODY;
            if (o && primary < o->n && str_eq(o->places[primary], r->places[i]))
                value -= 1000;
        }
        failover_prefers(&r->core, i, value);
    }
}

/* Whoever calls from inside has it run once more. */
void role_run(struct role_here *r)
{
    struct control *c = r->owner;
    if (r->runs || !c->meshing.mesh || !c->view) {
        r->again = true;
        return;
    }
    uint64_t next = UINT64_MAX;
    r->runs = true;
    for (int i = 0; i < 4; i++) {
        r->again = false;
        look_at_members(r);
        look_at_preferences(r);
        next = failover_run(&r->core, loop_now(c->loop));
        if (!r->again)
            break;
    }
    r->runs = false;
    role_held_step(r);
    role_ask_step(r);
    next = MIN(next, role_tell_replicas(r, loop_now(c->loop)));
    if (r->again)
        next = loop_now(c->loop);
    if (next == UINT64_MAX)
        loop_timer_stop(c->loop, &r->due);
    else
        loop_timer_set(c->loop, &r->due, next);
}

static void on_due(struct timer *t)
{
    role_run(CONTAINER_OF(t, struct role_here, due));
}

static void run_all(struct control *c)
{
    for (uint32_t i = 0; i < c->rolling.n; i++)
        role_run(c->rolling.rows[i]);
}

/* --- with the view --- */

/* A hook that hangs is killed before it is given up. */
#define HOOK_PATIENCE (HOOK_LIMIT + 1 * NS_PER_S)

static struct failover_params params_of(const struct control *c, const struct role_here *r,
                                        const struct view_primary *p)
{
    const struct view_cluster *k = &c->view->cluster;
    return (struct failover_params){
        .lease = {.lease = k->lease,
                  .demote = k->demotion,
                  .beat = MIN(k->heartbeat, k->lease / 4)},
        .role = r->id,
        .incarnation = c->rolling.incarnation,
        .n = r->n,
        .self = r->self,
        .sync = p->sync,
        .strict = p->strict,
        .lag_bytes = p->lag_bytes,
        .lag_time = p->lag_time,
        .agent_patience = p->agent == AGENT_HOOK ? HOOK_PATIENCE : 0,
        .hold = p->hold,
        .rehearses = p->agent == AGENT_REDIS,
        .failback = p->failback,
        .flaps = p->flaps,
        .flap_window = p->flap_window,
        .seed = c->rolling.incarnation ^ r->id,
    };
}

static bool same_places(const struct control *c, const struct role_here *r,
                        const struct view_primary *p)
{
    if (r->n != p->n_on)
        return false;
    for (uint32_t i = 0; i < r->n; i++)
        if (!str_eq(r->places[i], c->view->cluster.nodes[p->on[i]].name))
            return false;
    return true;
}

static struct failover_row row_now(const struct role_row *row)
{
    return (struct failover_row){cell_get(&row->gate),  cell_get(&row->hold),
                                 cell_get(&row->epoch), cell_get(&row->primary),
                                 cell_get(&row->sync),  cell_get(&row->insync),
                                 cell_get(&row->state)};
}

/* A control before this one may have been primary, and its lease may last. */
static void begin_core(struct role_here *r, const struct view_primary *p)
{
    struct control *c = r->owner;
    struct failover_params params = params_of(c, r, p);
    struct failover_host host = role_host(r);
    struct failover_row row = row_now(cells_role(&c->cells, r->slot));
    struct mesh_lease lease = {.state = LEASE_IDLE};
    uint64_t now = loop_now(c->loop);
    failover_init(&r->core, &params, &host, now);
    bool held = r->self != ROLE_NOBODY && mesh_lease_read(c->meshing.mesh, r->id, &lease) &&
                lease.state == LEASE_HELD && lease.epoch == row.gate;
    failover_resume(&r->core, &row, held, now);
}

static void take_lease(struct role_here *r)
{
    struct control *c = r->owner;
    struct err e = {0};
    if (r->self != ROLE_NOBODY &&
        mesh_lease_role(c->meshing.mesh, r->id, cells_role(&c->cells, r->slot), &e))
        log_error(c->log, "service %s: %s", r->name, e.text);
}

static struct role_here *make(struct control *c, const struct view_service *s)
{
    const struct view_cluster *k = &c->view->cluster;
    struct role_here *r = mem_zero(1, sizeof *r);
    if (!r)
        return NULL;
    r->owner = c;
    str_copy(r->name, sizeof r->name, s->name);
    r->id = mesh_role(s->name);
    r->slot = s->slot;
    r->service = (uint32_t)(s - c->view->services);
    r->self = r->named = r->before = ROLE_NOBODY;
    timer_init(&r->due, on_due);
    for (uint32_t i = 0; i < s->primary.n_on && i < ROLE_NODES; i++) {
        str_copy(r->names[i], sizeof r->names[i], k->nodes[s->primary.on[i]].name);
        r->places[i] = str_of(r->names[i]);
        if (s->primary.on[i] == k->self)
            r->self = (uint8_t)i;
        r->n++;
    }
    take_lease(r);
    begin_core(r, &s->primary);
    return r;
}

static void shut(struct role_here *r)
{
    struct control *c = r->owner;
    loop_timer_stop(c->loop, &r->due);
    role_forget_asked(r);
    if (r->self != ROLE_NOBODY && c->meshing.mesh) {
        cell_set(&cells_role(&c->cells, r->slot)->gate, 0);
        /* Nothing is dropped: the instance may still act, and others wait until it cannot. */
        mesh_lease_role(c->meshing.mesh, r->id, NULL, NULL);
    }
    mem_free(r);
}

static void remove_row(struct control *c, uint32_t i)
{
    struct rolling *g = &c->rolling;
    role_stop_instance(g->rows[i]);
    shut(g->rows[i]);
    g->rows[i] = g->rows[--g->n];
}

static void add_row(struct control *c, const struct view_service *s)
{
    struct rolling *g = &c->rolling;
    struct role_here **more = mem_resize(g->rows, (g->n + 1) * sizeof *more);
    struct role_here *r = more ? make(c, s) : NULL;
    g->rows = more ? more : g->rows;
    if (!r) {
        log_error(c->log, "no memory for service " STR_FMT, STR_ARG(s->name));
        g->again = true;
        return;
    }
    g->rows[g->n++] = r;
    r->kept = true;
}

/* Other places: what was known speaks of the old ones, and all begins anew. */
static void keep_row(struct control *c, struct role_here *r, const struct view_service *s)
{
    if (!same_places(c, r, &s->primary) || r->slot != s->slot)
        return;
    struct failover_params p = params_of(c, r, &s->primary);
    r->kept = true;
    r->service = (uint32_t)(s - c->view->services);
    failover_configure(&r->core, &p);
}

static void watch_again(struct control *c)
{
    struct coord *coord = c->rolling.coord;
    rolling_coord(c, NULL);
    rolling_coord(c, coord);
}

void rolling_adopt(struct control *c)
{
    struct rolling *g = &c->rolling;
    bool more = false;
    for (uint32_t i = 0; i < g->n; i++)
        g->rows[i]->kept = false;
    for (uint32_t i = 0; c->meshing.mesh && i < c->view->n_services; i++) {
        const struct view_service *s = &c->view->services[i];
        struct role_here *r = role_find(c, s->name);
        if (r && s->primary.agent != AGENT_NONE)
            keep_row(c, r, s);
    }
    for (uint32_t i = 0; i < g->n;)
        if (g->rows[i]->kept)
            i++;
        else
            remove_row(c, i);
    for (uint32_t i = 0; c->meshing.mesh && i < c->view->n_services; i++) {
        const struct view_service *s = &c->view->services[i];
        if (s->primary.agent == AGENT_NONE || role_find(c, s->name))
            continue;
        add_row(c, s);
        more = true;
    }
    for (uint32_t i = 0; i < g->n; i++) {
        take_lease(g->rows[i]);
        role_tell_instance(g->rows[i]);
    }
    if (more)
        watch_again(c);
    run_all(c);
}

void rolling_tick(struct control *c)
{
    struct rolling *g = &c->rolling;
    for (uint32_t i = 0; i < g->n; i++)
        if (g->rows[i]->address_owed)
            role_address(g->rows[i], g->rows[i]->core.promoted);
    if (!g->again || !c->view)
        return;
    g->again = false;
    rolling_adopt(c);
    watch_again(c);
}

void rolling_init(struct control *c)
{
    memset(&c->rolling, 0, sizeof c->rolling);
    entropy(&c->rolling.incarnation, sizeof c->rolling.incarnation);
}

/* The successor goes on with the leases: nothing is dropped. */
void rolling_end(struct control *c)
{
    struct rolling *g = &c->rolling;
    rolling_coord(c, NULL);
    for (uint32_t i = 0; i < g->n; i++) {
        loop_timer_stop(c->loop, &g->rows[i]->due);
        mem_free(g->rows[i]);
    }
    mem_free(g->rows);
    g->rows = NULL;
    g->n = 0;
}

/* --- what others say --- */

void rolling_message(struct control *c, struct str from, struct str bytes)
{
    struct role_message m[ROLE_BATCH];
    int n = role_read(bytes.p, bytes.n, m);
    for (int i = 0; i < n; i++)
        for (uint32_t k = 0; k < c->rolling.n; k++) {
            struct role_here *r = c->rolling.rows[k];
            uint8_t place = r->id == m[i].role ? place_of(r, from) : ROLE_NOBODY;
            if (place == ROLE_NOBODY || place == r->self)
                continue;
            failover_hear(&r->core, place, &m[i], loop_now(c->loop));
            role_run(r);
        }
}

void rolling_link(struct control *c)
{
    for (uint32_t i = 0; i < c->rolling.n; i++) {
        failover_link(&c->rolling.rows[i]->core);
        role_run(c->rolling.rows[i]);
    }
}

void rolling_members(struct control *c)
{
    run_all(c);
}

void rolling_lease(struct control *c, uint64_t role, unsigned effects)
{
    for (uint32_t i = 0; i < c->rolling.n; i++) {
        struct role_here *r = c->rolling.rows[i];
        if (r->id != role)
            continue;
        if (effects & LEASE_LAPSED && r->core.promoted) {
            struct event *ev = control_event(c, EVENT_ROLE_LAPSED, EVENT_ERROR);
            event_subject(ev, "%s", r->name);
            event_text(ev, "no majority of the voters has answered for %llu ms",
                       (unsigned long long)(c->view->cluster.lease / NS_PER_MS));
            control_event_end(c, ev);
        }
        role_run(r);
    }
}
