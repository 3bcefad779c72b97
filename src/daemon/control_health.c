/* Health of instances as all nodes of the cluster see it.
 *
 * Each node tells the others what its own judges think (wire/health.h): what changed, SOON_NS later
 * with whatever else has; all of it every FULL_NS, and to a node whose link comes up. Nothing needs
 * to arrive: the next full telling says it again, and what is older than FRESH_NS does not count.
 * What the others said is kept by instance, and made with the own verdict into the one that is in
 * force here (detect/fuse.h): that goes to the cells, to status and events. Own verdicts are sent,
 * never fused ones.
 *
 * An instance is the same on all nodes by service and address. Addresses that mean another place on
 * each machine (Unix sockets, loopback) are not told, unless the cluster's own nodes are on
 * loopback addresses, as in a demonstration.
 *
 * Who is not alive, is isolated or says so of itself does not count; while this node is isolated,
 * nobody but itself does. An instance is on a node in maintenance when its IP address is that
 * node's.
 *
 * This file knows the mesh by `struct health_line` only: control_mesh.c connects the two. */
#include <stdio.h>

#include "daemon/control.h"

#define FULL_NS   (2 * NS_PER_S)
#define FRESH_NS  (6 * NS_PER_S)
#define SETTLE_NS (3 * NS_PER_S)
#define SOON_NS   (10 * NS_PER_MS)
#define AGE_NS    (500 * NS_PER_MS)

static const struct fuse_params fusing = {FRESH_NS, SETTLE_NS};

/* What this node thinks itself: its judge, or, where that is worse, what is held against it. */
static struct observation own_of(const struct subject *s)
{
    struct observation o = observation_of(&s->judge);
    const struct finding *f = s->found ? findings_worst(&s->found->findings) : NULL;
    if (f && f->verdict > (enum verdict)o.verdict) {
        o.verdict = (uint8_t)f->verdict;
        o.reason = (uint8_t)finding_reason(f->kind, f->verdict);
        o.certain = f->verdict == VERDICT_FAILED && finding_is_certain(f->kind);
        o.since = f->since;
    }
    return o;
}

/* ---- telling ---- */

static bool is_loopback(const struct addr *a)
{
    static const uint8_t six[16] = {[15] = 1};
    return (a->kind == ADDR_IP4 && a->ip[0] == 127) ||
           (a->kind == ADDR_IP6 && memcmp(a->ip, six, sizeof six) == 0);
}

static bool is_shared(const struct control *c, const struct addr *a)
{
    const struct view_node *self = view_self(c->view);
    if (!self || (a->kind != ADDR_IP4 && a->kind != ADDR_IP6))
        return false;
    return !is_loopback(a) || is_loopback(&self->address);
}

struct telling {
    struct control *c;
    struct str to; /* empty: everybody */
    struct buf bytes;
    struct health_writer w;
};

static void send_part(struct telling *t)
{
    const struct health_line *line = &t->c->health.line;
    if (t->w.n && !t->bytes.failed)
        line->send(line->context, t->to, buf_str(&t->bytes));
    health_begin(&t->w, &t->bytes, t->c->health.isolated);
}

static void put(struct telling *t, const struct view_service *s, const struct view_instance *in)
{
    const struct observation own = own_of(&t->c->subjects[in->slot]);
    uint64_t now = loop_now(t->c->loop);
    struct health_record r = {
        .service = s->name,
        .instance = in->addr,
        .verdict = own.verdict,
        .reason = own.reason,
        .certain = own.certain,
        .age_ms = (uint32_t)MIN((now - MIN(own.since, now)) / NS_PER_MS, (uint64_t)UINT32_MAX),
    };
    if (!is_shared(t->c, &in->addr) || health_put(&t->w, &r))
        return;
    send_part(t);
    health_put(&t->w, &r);
}

/* All of it, or what is marked. */
static void tell(struct control *c, struct str to, bool marked)
{
    struct healthing *h = &c->health;
    struct telling t = {.c = c, .to = to};
    if (!h->line.send || !c->view || !view_self(c->view))
        return;
    health_begin(&t.w, &t.bytes, h->isolated);
    for (uint32_t i = 0; i < c->view->n_services; i++) {
        const struct view_service *s = &c->view->services[i];
        for (uint32_t k = 0; k < s->n_instances; k++) {
            struct subject *subject = &c->subjects[s->instances[k].slot];
            if (!marked || subject->untold)
                put(&t, s, &s->instances[k]);
            subject->untold &= to.n != 0;
        }
    }
    send_part(&t);
    buf_free(&t.bytes);
}

void health_changed(struct control *c, uint32_t slot)
{
    struct healthing *h = &c->health;
    if (!h->line.send)
        return;
    c->subjects[slot].untold = true;
    if (!timer_is_set(&h->soon))
        loop_timer_set(c->loop, &h->soon, loop_now(c->loop) + SOON_NS);
}

static void on_soon(struct timer *t)
{
    tell(CONTAINER_OF(t, struct control, health.soon), STR(""), true);
}

static void on_full(struct timer *t)
{
    struct control *c = CONTAINER_OF(t, struct control, health.full);
    tell(c, STR(""), false);
    loop_timer_set(c->loop, t, loop_now(c->loop) + FULL_NS);
}

/* ---- what others said ---- */

static struct health_peer *find(struct healthing *h, struct str node)
{
    for (uint32_t i = 0; i < h->n_peers; i++)
        if (str_eq(str_of(h->peers[i].name), node))
            return &h->peers[i];
    return NULL;
}

static void sort(struct healthing *h)
{
    for (uint32_t i = 0; i < h->n_peers; i++) {
        uint32_t at = i;
        for (; at > 0 && strcmp(h->peers[h->order[at - 1]].name, h->peers[i].name) > 0; at--)
            h->order[at] = h->order[at - 1];
        h->order[at] = (uint8_t)i;
    }
}

/* The place of one that is gone is another's; NULL: there is no room, or no memory. */
static struct health_peer *find_or_add(struct control *c, struct str node)
{
    struct healthing *h = &c->health;
    struct health_peer *p = find(h, node);
    for (uint32_t i = 0; !p && i < h->n_peers; i++)
        if (h->peers[i].gone)
            p = &h->peers[i];
    if (!p && h->n_peers < FUSE_OBSERVERS && node.n && node.n < sizeof p->name)
        p = &h->peers[h->n_peers];
    if (!p || (p->seen && str_eq(str_of(p->name), node)))
        return p;
    mem_free(p->seen);
    *p = (struct health_peer){.seen = mem_zero(MAX(c->n_subjects, 1u), sizeof *p->seen)};
    str_copy(p->name, sizeof p->name, node);
    p->gone = p->seen == NULL;
    h->n_peers = MAX(h->n_peers, (uint32_t)(p - h->peers) + 1);
    sort(h);
    return p->seen ? p : NULL;
}

static uint32_t observers(const struct control *c, uint32_t slot,
                          struct observation out[FUSE_OBSERVERS])
{
    const struct healthing *h = &c->health;
    uint32_t n = 0;
    for (uint32_t i = 0; i < h->n_peers; i++) {
        const struct health_peer *p = &h->peers[h->order[i]];
        if (p->gone || p->seen[slot].at == 0)
            continue;
        out[n++] = (struct observation){
            .node = h->order[i],
            .at = p->seen[slot].at,
            .since = p->seen[slot].since,
            .verdict = p->seen[slot].verdict,
            .reason = p->seen[slot].reason,
            .certain = p->seen[slot].certain,
            .counts = p->alive && !p->isolated && !h->isolated,
        };
    }
    return n;
}

static bool is_resting(const struct control *c, const struct addr *a)
{
    const struct healthing *h = &c->health;
    for (uint32_t i = 0; i < h->n_resting; i++) {
        const struct addr *node = &h->resting[i];
        if (node->kind == a->kind && memcmp(node->ip, a->ip, sizeof a->ip) == 0)
            return true;
    }
    return false;
}

struct fused health_fuse(const struct control *c, uint32_t slot)
{
    struct observation others[FUSE_OBSERVERS];
    const struct subject *s = &c->subjects[slot];
    struct observation own = own_of(s);
    struct fused f = fuse(&own, others, observers(c, slot, others), &fusing, loop_now(c->loop));
    if (is_resting(c, &s->instance->addr))
        fuse_keep(&f, (enum verdict)s->good, (enum reason)s->good_reason);
    return f;
}

void health_forget_slot(struct control *c, uint32_t slot)
{
    for (uint32_t i = 0; i < c->health.n_peers; i++)
        if (c->health.peers[i].seen)
            c->health.peers[i].seen[slot] = (struct health_seen){0};
}

static void refresh_all(struct control *c)
{
    for (uint32_t slot = 0; slot < c->n_subjects; slot++)
        if (c->subjects[slot].used)
            judging_refresh(c, slot);
}

/* Others' files have the services in the same order, mostly: each is looked for where it would be
 * next. */
struct place {
    uint32_t service, instance;
};

static bool find_slot(const struct control *c, const struct health_record *r, struct place *at,
                      uint32_t *slot)
{
    const struct view *v = c->view;
    for (uint32_t i = 0; i < v->n_services; i++) {
        uint32_t k = (at->service + i) % v->n_services;
        const struct view_service *s = &v->services[k];
        if (!str_eq(s->name, r->service))
            continue;
        uint32_t first = k == at->service ? at->instance : 0;
        for (uint32_t m = 0; m < s->n_instances; m++) {
            uint32_t n = (first + m) % s->n_instances;
            if (!addr_eq(&s->instances[n].addr, &r->instance))
                continue;
            *at = (struct place){k, n + 1};
            *slot = s->instances[n].slot;
            return true;
        }
        return false;
    }
    return false;
}

static void hear(struct control *c, struct health_peer *p, const struct health_record *r,
                 uint32_t slot)
{
    struct health_seen *seen = &p->seen[slot];
    uint64_t now = loop_now(c->loop), age = r->age_ms * NS_PER_MS;
    bool same = seen->at && seen->verdict == r->verdict && seen->reason == r->reason;
    *seen = (struct health_seen){.at = MAX(now, UINT64_C(1)),
                                 .since = now - MIN(age, now),
                                 .verdict = r->verdict,
                                 .reason = r->reason,
                                 .certain = r->certain};
    if (!same && c->subjects[slot].used)
        judging_refresh(c, slot);
}

void control_health_message(struct control *c, struct str from, struct str bytes)
{
    struct health_reader reader;
    struct health_record r;
    struct place at = {0, 0};
    uint32_t slot;
    if (!health_check(bytes)) {
        if (c->health.malformed++ == 0)
            log_warning(c->log, "node %.*s says of instances what is not understood here",
                        (int)MIN(from.n, 63u), from.p);
        return;
    }
    struct health_peer *p = c->view ? find_or_add(c, from) : NULL;
    if (!p)
        return;
    health_open(&reader, bytes);
    bool turned = p->isolated != reader.isolated;
    p->isolated = reader.isolated;
    while (health_next(&reader, &r))
        if (is_shared(c, &r.instance) && find_slot(c, &r, &at, &slot))
            hear(c, p, &r, slot);
    if (turned)
        refresh_all(c);
}

/* ---- who is there ---- */

void control_health_link(struct control *c, struct str node, bool up)
{
    if (up)
        tell(c, node, false);
}

void control_health_member(struct control *c, struct str node, enum member_state state,
                           bool maintenance)
{
    struct healthing *h = &c->health;
    const struct view_node *self = c->view ? view_self(c->view) : NULL;
    if (self && str_eq(self->name, node)) {
        h->self_resting = maintenance;
    } else {
        struct health_peer *p = find_or_add(c, node);
        if (!p)
            return;
        p->alive = state == MEMBER_ALIVE;
        p->resting = maintenance;
        if (state == MEMBER_FAILED || state == MEMBER_LEFT)
            memset(p->seen, 0, MAX(c->n_subjects, 1u) * sizeof *p->seen);
        /* Its maintenance outlives its failure: that is what it is for. */
        p->gone = state == MEMBER_LEFT && !maintenance;
    }
    health_adopt(c);
}

/* The addresses of nodes in maintenance, by the view in force. */
void health_adopt(struct control *c)
{
    struct healthing *h = &c->health;
    h->n_resting = 0;
    for (uint32_t i = 0; c->view && i < c->view->cluster.n_nodes; i++) {
        const struct view_node *n = &c->view->cluster.nodes[i];
        const struct health_peer *p = find(h, n->name);
        bool rests = i == c->view->cluster.self ? h->self_resting : p && p->resting;
        if (rests && h->n_resting < ARRAY_LEN(h->resting))
            h->resting[h->n_resting++] = n->address;
    }
    if (c->view)
        refresh_all(c);
}

/* What is old no longer counts, and what failed here may be settled. */
static void on_age(struct timer *t)
{
    struct control *c = CONTAINER_OF(t, struct control, health.age);
    struct healthing *h = &c->health;
    if (h->line.isolated)
        h->isolated = h->line.isolated(h->line.context);
    if (h->n_peers && c->view)
        refresh_all(c);
    loop_timer_set(c->loop, t, loop_now(c->loop) + AGE_NS);
}

void control_health_connect(struct control *c, const struct health_line *line)
{
    struct healthing *h = &c->health;
    h->line = line ? *line : (struct health_line){0};
    if (!line) {
        loop_timer_stop(c->loop, &h->soon);
        loop_timer_stop(c->loop, &h->full);
        loop_timer_stop(c->loop, &h->age);
        for (uint32_t i = 0; i < h->n_peers; i++)
            mem_free(h->peers[i].seen);
        h->n_peers = h->n_resting = 0;
        h->self_resting = h->isolated = false;
        if (c->view)
            refresh_all(c);
        return;
    }
    on_full(&h->full);
    on_age(&h->age);
}

void health_init(struct control *c)
{
    timer_init(&c->health.soon, on_soon);
    timer_init(&c->health.full, on_full);
    timer_init(&c->health.age, on_age);
}

void health_end(struct control *c)
{
    struct healthing *h = &c->health;
    if (!h->soon.on_fire)
        return;
    loop_timer_stop(c->loop, &h->soon);
    loop_timer_stop(c->loop, &h->full);
    loop_timer_stop(c->loop, &h->age);
    for (uint32_t i = 0; i < h->n_peers; i++)
        mem_free(h->peers[i].seen);
    *h = (struct healthing){0};
}

/* ---- what is said ---- */

static const char *peer_name(void *context, uint64_t node)
{
    const struct control *c = context;
    return node < c->health.n_peers ? c->health.peers[node].name : NULL;
}

/* What is raised: first where it decides, else last. */
static size_t explain_found(const struct subject *s, const char *before, uint64_t now, char *out,
                            size_t size)
{
    size_t said = str_copy(out, size, str_of(before));
    if (said + 4 >= size)
        return said;
    said += findings_explain(&s->found->findings, now, out + said, size - said - 2);
    return said + str_copy(out + said, size - said, STR(". "));
}

size_t health_explain(struct control *c, uint32_t slot, char *out, size_t size)
{
    struct observation others[FUSE_OBSERVERS];
    const struct subject *s = &c->subjects[slot];
    struct observation own = own_of(s);
    uint64_t now = loop_now(c->loop);
    uint32_t n = observers(c, slot, others);
    size_t said = 0;
    if (size)
        out[0] = 0;
    if (s->shown.kept)
        said = str_copy(out, size, STR("Its node is in maintenance. "));
    bool found = s->found && findings_worst(&s->found->findings);
    bool decides = found && reason_is_found(s->shown.reason);
    if (decides && said + 4 < size)
        said += explain_found(s, "", now, out + said, size - said);
    bool differs = s->shown.verdict != VERDICT_HEALTHY || s->judge.verdict != VERDICT_HEALTHY ||
                   s->shown.seen[VERDICT_FAILED];
    if (differs && said + 1 < size) {
        size_t more = fuse_explain(&s->shown, &own, others, n, FRESH_NS, now, peer_name, c,
                                   out + said, size - said);
        if (more)
            said += more + str_copy(out + said + more, size - said - more, STR(". "));
    }
    said += judge_explain(&s->judge, now, out + said, size - said);
    if (found && !decides && said + 4 < size)
        said += explain_found(s, " Besides: ", now, out + said, size - said);
    return said;
}

uint32_t health_observers(struct control *c, uint32_t slot, struct admin_observer *out,
                          uint32_t size)
{
    struct observation others[FUSE_OBSERVERS];
    uint32_t n = observers(c, slot, others);
    uint64_t now = loop_now(c->loop);
    for (uint32_t i = 0; i < MIN(n, size); i++)
        out[i] = (struct admin_observer){
            .node = c->health.peers[others[i].node].name,
            .verdict = others[i].verdict,
            .reason = others[i].reason,
            .certain = others[i].certain,
            .counts = observation_knows(&others[i], FRESH_NS, now),
            .at = others[i].at,
            .since = others[i].since,
        };
    return MIN(n, size);
}
