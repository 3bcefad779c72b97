/* What a core orders, and the coordinator's answers. A key `service/NAME` is watched by all nodes,
 * and written by compare-and-set. */
#include <stdio.h>

#include "daemon/control.h"

#define CAS_NS      (400 * NS_PER_MS) /* then it is not known, and read: which is asked until it is */
#define READ_NS     (2 * NS_PER_S)
#define REPLICAS_NS (250 * NS_PER_MS)
#define PREFIX      "service/"

/* --- the coordinator --- */

static int key_of(const struct role_here *r, char out[COORD_KEY_MAX])
{
    return snprintf(out, COORD_KEY_MAX, PREFIX "%s", r->name);
}

static bool read_item(struct role_here *r, const struct coord_item *item,
                      struct failover_record *out)
{
    struct err e = {0};
    *out = (struct failover_record){
        .r = {.known = true, .primary = ROLE_NOBODY, .wanted = ROLE_NOBODY}, .from = ROLE_NOBODY};
    if (!item || item->gone)
        return true;
    int rc = failover_record_read(item->value, r->places, r->n, out, &e);
    r->owner->rolling.again |= rc == -ERR_NOMEM;
    if (rc) {
        log_error(r->owner->log, "the coordinator's record of %s: %s", r->name, e.text);
        return false;
    }
    out->r.revision = item->revision;
    return true;
}

/* The latest: after a pause a watch tells several changes of one key at once, in their order. */
static const struct coord_item *find_item(const struct role_here *r, const struct coord_item *items,
                                          uint32_t n)
{
    char key[COORD_KEY_MAX];
    key_of(r, key);
    for (uint32_t i = n; i > 0; i--)
        if (str_eq(items[i - 1].key, str_of(key)))
            return &items[i - 1];
    return NULL;
}

static void on_changes(void *context, const struct coord_item *items, uint32_t n, uint64_t revision,
                       bool whole)
{
    struct control *c = context;
    (void)revision;
    for (uint32_t i = 0; i < c->rolling.n; i++) {
        struct role_here *r = c->rolling.rows[i];
        struct failover_record record;
        const struct coord_item *item = find_item(r, items, n);
        if ((!item && !whole) || !read_item(r, item, &record))
            continue;
        failover_learn(&r->core, &record, loop_now(c->loop));
        role_run(r);
    }
}

void rolling_coord(struct control *c, struct coord *coord)
{
    struct rolling *g = &c->rolling;
    struct coord_watcher w = {c, on_changes};
    struct err e = {0};
    if (coord == g->coord)
        return;
    coord_unwatch(g->watch);
    g->watch = NULL;
    for (uint32_t i = 0; i < g->n; i++)
        role_forget_asked(g->rows[i]);
    g->coord = coord;
    if (coord && coord_watch(coord, STR(PREFIX), &w, &g->watch, &e)) {
        log_error(c->log, "the coordinator: %s", e.text);
        g->again = true;
    }
    for (uint32_t i = 0; i < g->n; i++)
        role_run(g->rows[i]);
}

static enum failover_outcome outcome_of(enum coord_outcome o)
{
    switch (o) {
    case COORD_DONE: return FAILOVER_DONE;
    case COORD_CONFLICT: return FAILOVER_CONFLICT;
    case COORD_UNKNOWN: return FAILOVER_UNKNOWN;
    case COORD_FAILED: return FAILOVER_FAILED;
    }
    UNREACHABLE();
}

static void asked_done(void *context, const struct coord_answer *a)
{
    struct role_asked *x = context;
    struct role_here *r = x->role;
    struct failover_record record;
    uint64_t ticket = x->ticket, now = loop_now(r->owner->loop);
    x->ticket = 0;
    if (a->outcome == COORD_FAILED || a->outcome == COORD_UNKNOWN)
        log_warning(r->owner->log, "the record of %s: %s", r->name, a->why->text);
    if (x->cas) {
        failover_cas_answer(&r->core, ticket, outcome_of(a->outcome), a->revision, now);
    } else {
        bool ok = a->outcome == COORD_DONE && read_item(r, find_item(r, a->items, a->n), &record);
        failover_read_answer(&r->core, ticket, ok, &record, now);
    }
    role_run(r);
}

static struct role_asked *place_for(struct role_here *r, uint64_t ticket, bool cas)
{
    for (uint32_t i = 0; i < ROLE_ASKS; i++)
        if (!r->asked[i].ticket) {
            r->asked[i] = (struct role_asked){.role = r, .ticket = ticket, .cas = cas};
            return &r->asked[i];
        }
    return NULL;
}

void role_forget_asked(struct role_here *r)
{
    uint64_t now = loop_now(r->owner->loop);
    for (uint32_t i = 0; i < ROLE_ASKS; i++) {
        struct role_asked x = r->asked[i];
        if (!x.ticket)
            continue;
        r->asked[i].ticket = 0;
        if (r->owner->rolling.coord)
            coord_cancel(r->owner->rolling.coord, x.coord_ticket);
        if (x.cas)
            failover_cas_answer(&r->core, x.ticket, FAILOVER_UNKNOWN, 0, now);
        else
            failover_read_answer(&r->core, x.ticket, false, NULL, now);
    }
    role_forget_wish(r);
}

static bool host_cas(void *context, uint64_t ticket, uint64_t expected,
                     const struct failover_record *record)
{
    struct role_here *r = context;
    struct control *c = r->owner;
    struct role_asked *x = c->rolling.coord ? place_for(r, ticket, true) : NULL;
    struct failover_record w = *record;
    struct buf text = {0};
    struct err e = {0};
    char key[COORD_KEY_MAX];
    key_of(r, key);
    if (!w.who[0])
        str_copy(w.who, sizeof w.who, c->view->cluster.nodes[c->view->cluster.self].name);
    bool ok = x && failover_record_write(&w, r->places, r->n, &text);
    struct coord_op op = {str_of(key), buf_str(&text), expected, COORD_PUT};
    ok = ok && coord_cas(c->rolling.coord, &op, 1, loop_now(c->loop) + CAS_NS, asked_done, x,
                         &x->coord_ticket, &e) == 0;
    if (!ok && x)
        x->ticket = 0;
    buf_free(&text);
    return ok;
}

static bool host_read(void *context, uint64_t ticket)
{
    struct role_here *r = context;
    struct control *c = r->owner;
    struct role_asked *x = c->rolling.coord ? place_for(r, ticket, false) : NULL;
    struct err e = {0};
    char key[COORD_KEY_MAX];
    key_of(r, key);
    bool ok = x && coord_range(c->rolling.coord, str_of(key), loop_now(c->loop) + READ_NS,
                               asked_done, x, &x->coord_ticket, &e) == 0;
    if (!ok && x)
        x->ticket = 0;
    return ok;
}

/* --- the lease, other nodes --- */

static void host_lease(void *context, struct failover_lease *out)
{
    struct role_here *r = context;
    struct mesh_lease l = {.state = LEASE_IDLE};
    mesh_lease_read(r->owner->meshing.mesh, r->id, &l);
    *out = (struct failover_lease){l.state, l.epoch, l.deadline, l.gate, l.seen, l.outdated};
}

static void host_want(void *context, uint64_t epoch)
{
    struct role_here *r = context;
    mesh_lease_want(r->owner->meshing.mesh, r->id, epoch);
}

static void host_confirm(void *context, uint64_t gate, uint64_t epoch)
{
    struct role_here *r = context;
    mesh_lease_confirm(r->owner->meshing.mesh, r->id, gate, epoch);
}

static void host_drop(void *context)
{
    struct role_here *r = context;
    mesh_lease_drop(r->owner->meshing.mesh, r->id);
}

static void host_send(void *context, uint8_t place, const struct role_message *m)
{
    struct role_here *r = context;
    uint8_t bytes[ROLE_BYTES_MAX];
    size_t n = role_write(m, 1, bytes);
    struct str to = place < r->n ? r->places[place] : STR("");
    mesh_send(r->owner->meshing.mesh, to, MESH_ROLE, (struct str){(const char *)bytes, n}, NULL);
}

static bool host_agent(void *context, uint64_t ticket, enum failover_act act, uint64_t epoch,
                       uint8_t place)
{
    return role_order(context, ticket, act, epoch, place);
}

static void host_news(void *context, const struct failover_news *news)
{
    role_news(context, news);
}

static uint64_t host_wall(void *context)
{
    (void)context;
    return clock_wall() / NS_PER_MS;
}

/* --- the cells --- */

/* A gate that shuts does so first, one that opens does so last. */
static bool host_quiet(void *context, uint64_t hold)
{
    struct role_here *r = context;
    return cells_quiet(&r->owner->cells, r->slot, hold);
}

static void host_row(void *context, const struct failover_row *row)
{
    struct role_here *r = context;
    struct role_row *to = cells_role(&r->owner->cells, r->slot);
    if (cell_get(&to->gate) != row->gate)
        cell_set(&to->gate, 0);
    atomic_thread_fence(memory_order_seq_cst);
    cell_set(&to->epoch, row->epoch);
    cell_set(&to->primary, row->primary);
    cell_set(&to->sync, row->sync);
    cell_set(&to->insync, row->insync);
    cell_set(&to->hold, row->hold);
    cell_set(&to->state, row->state);
    atomic_thread_fence(memory_order_seq_cst);
    cell_set(&to->gate, row->gate);
    gate_tell_roles(r->owner);
}

uint64_t role_tell_replicas(struct role_here *r, uint64_t now)
{
    struct role_row *to = cells_role(&r->owner->cells, r->slot);
    bool changed = false;
    for (uint32_t i = 0; i < CELLS_PLACES; i++) {
        struct failover_behind b = {0};
        if (i < r->n && failover_readable(&r->core, i))
            b = failover_behind(&r->core, i, now);
        uint64_t v = b.known ? cells_replica(b.time, b.bytes) : 0;
        changed |= (v != 0) != (cell_get(&to->replicas[i]) != 0);
        cell_set(&to->replicas[i], v);
    }
    cell_set(&to->known_at, now);
    if (changed)
        gate_tell_roles(r->owner);
    return now + REPLICAS_NS;
}

struct failover_host role_host(struct role_here *r)
{
    return (struct failover_host){
        .context = r,
        .cas = host_cas,
        .read = host_read,
        .agent = host_agent,
        .lease = host_lease,
        .want = host_want,
        .confirm = host_confirm,
        .drop = host_drop,
        .send = host_send,
        .row = host_row,
        .news = host_news,
        .quiet = host_quiet,
        .wall = host_wall,
    };
}
