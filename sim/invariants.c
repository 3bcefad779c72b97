#include "invariants.h"

#include <stdarg.h>
#include <stdio.h>

enum {
    ALL_AT_ONCE = 8,     /* nodes: above, and beside a service, one member of a view at a time */
    SPINS_MOST = 4,      /* runs in a row after which the timer was still due */
    UNDER_WAY_MS = 3000, /* what was sent longer ago may be under a key that was dropped since */
    GROWTH_MOST = 8192,  /* bytes, from when all had settled to the end */
};

struct sight *sight_of(struct invariants *v, uint32_t observer, uint32_t subject)
{
    return &v->sights[(size_t)observer * v->n + subject];
}

void violated(struct invariants *v, enum invariant number, const char *fmt, ...)
{
    va_list args;
    if (v->broken)
        return;
    v->broken = number;
    v->broken_at = v->world->now;
    v->world->stop = true;
    va_start(args, fmt);
    vsnprintf(v->text, sizeof v->text, fmt, args);
    va_end(args);
}

/* ---- what a node says of another */

static void check_incarnation(struct invariants *v, uint32_t i, uint32_t j,
                              const struct member_info *m)
{
    const struct sight *s = sight_of(v, i, j);
    if (s->known && m->incarnation < s->incarnation)
        violated(v, I20_INCARNATION, "n%u's incarnation of n%u falls from %llu to %llu", i, j,
                 (unsigned long long)s->incarnation, (unsigned long long)m->incarnation);
    if (m->incarnation > v->world->nodes[j].highest)
        violated(v, I20_INCARNATION, "n%u knows incarnation %llu of n%u, which had at most %llu", i,
                 (unsigned long long)m->incarnation, j,
                 (unsigned long long)v->world->nodes[j].highest);
}

static void check_final(struct invariants *v, uint32_t i, uint32_t j, const struct member_change *c)
{
    struct sight *s = sight_of(v, i, j);
    const struct member_info *m = &c->info;
    if (s->left && m->incarnation <= s->left_at && m->state != MEMBER_LEFT)
        violated(v, I21_FINAL, "n%u takes n%u for %s with incarnation %llu, which had left", i, j,
                 member_state_name((enum member_state)m->state),
                 (unsigned long long)m->incarnation);
    if (s->left && s->left_at == m->incarnation && m->state == MEMBER_LEFT && c->was != MEMBER_LEFT)
        violated(v, I21_FINAL, "n%u is told twice that n%u has left with incarnation %llu", i, j,
                 (unsigned long long)m->incarnation);
    if (m->state == MEMBER_LEFT) {
        s->left = true;
        s->left_at = m->incarnation;
    }
}

static void remember(struct sight *s, const struct member_info *m)
{
    s->known = true;
    s->state = m->state;
    s->reason = m->reason;
    s->incarnation = m->incarnation;
    s->maintenance = m->maintenance;
}

static void on_changed(struct invariants *v, uint32_t i, const struct member_change *c)
{
    uint32_t j = world_node(v->world, c->info.id);
    if (j == UINT32_MAX) {
        violated(v, I29_TOLD, "n%u tells of a member that nobody knows", i);
        return;
    }
    struct sight *s = sight_of(v, i, j);
    if (s->known && (c->was != s->state || c->was_reason != s->reason))
        violated(v, I29_TOLD, "n%u says that n%u was %s (%s); it was %s (%s)", i, j,
                 member_state_name((enum member_state)c->was),
                 member_reason_name((enum member_reason)c->was_reason),
                 member_state_name((enum member_state)s->state),
                 member_reason_name((enum member_reason)s->reason));
    if (s->known && s->state == c->info.state && s->reason == c->info.reason &&
        s->incarnation == c->info.incarnation && s->maintenance == c->info.maintenance)
        violated(v, I29_TOLD, "n%u tells a change of n%u that is none (%s, %s)", i, j,
                 member_state_name((enum member_state)s->state),
                 member_reason_name((enum member_reason)s->reason));
    check_incarnation(v, i, j, &c->info);
    check_final(v, i, j, c);
    truth_changed(v, i, c);
    if (v->settled && c->was != c->info.state)
        violated(v, I25_AGREEMENT, "n%u takes n%u for %s (%s) long after the last fault", i, j,
                 member_state_name((enum member_state)c->info.state),
                 member_reason_name((enum member_reason)c->info.reason));
    remember(s, &c->info);
}

/* ---- views, after an event */

static void compare(struct invariants *v, uint32_t i, uint32_t rank)
{
    struct node *x = &v->world->nodes[i];
    uint32_t j = v->by_id[rank];
    struct member_info m = member_at(engine_members(x->engine), rank);
    struct sight *s = sight_of(v, i, j);
    if (m.id != v->world->nodes[j].id) {
        violated(v, I29_TOLD, "n%u's members are not those of its configuration", i);
        return;
    }
    check_incarnation(v, i, j, &m);
    if (s->known && (s->state != m.state || s->reason != m.reason ||
                     s->incarnation != m.incarnation || s->maintenance != m.maintenance))
        violated(v, I29_TOLD,
                 "n%u has n%u as %s (%s, incarnation %llu) and told of %s (%s, incarnation %llu)",
                 i, j, member_state_name((enum member_state)m.state),
                 member_reason_name((enum member_reason)m.reason),
                 (unsigned long long)m.incarnation, member_state_name((enum member_state)s->state),
                 member_reason_name((enum member_reason)s->reason),
                 (unsigned long long)s->incarnation);
    if (m.hearing + m.silent > m.observers)
        violated(v, I29_TOLD, "n%u counts %u and %u of %u observers of n%u", i, m.hearing, m.silent,
                 m.observers, j);
    if (i == j && !x->leaving && (m.state != MEMBER_ALIVE || m.incarnation != x->incarnation))
        violated(v, I29_TOLD, "n%u takes itself for %s with incarnation %llu; it has %llu", i,
                 member_state_name((enum member_state)m.state), (unsigned long long)m.incarnation,
                 (unsigned long long)x->incarnation);
    if (!s->known)
        remember(s, &m);
}

static void check_settling(struct invariants *v)
{
    struct world *w = v->world;
    if (!v->healed || w->now < v->healed + v->bounds.agree)
        return;
    if (!v->settled) {
        v->settled = true;
        truth_check_agreement(v);
    }
    if (v->remembered || w->now < v->healed + v->bounds.agree * 3 / 2)
        return;
    v->remembered = true;
    for (uint32_t i = 0; i < v->n; i++) {
        v->truths[i].settled = w->nodes[i].heap;
        v->truths[i].sent_before = w->nodes[i].sent;
    }
}

static void on_ran(struct invariants *v, uint32_t i)
{
    const struct node *x = &v->world->nodes[i];
    if (x->spins > SPINS_MOST)
        violated(v, I28_PROGRESS, "n%u's timer stays due, however often it runs", i);
    if (v->n <= ALL_AT_ONCE && !v->world->o.primary)
        for (uint32_t k = 0; k < v->n; k++)
            compare(v, i, k);
    else
        compare(v, i, v->turn++ % v->n);
    truth_check_noticed(v, i);
    check_settling(v);
}

/* ---- datagrams */

static void on_reading(struct invariants *v, uint32_t i, const struct packet *p)
{
    if (p->kind == PACKET_GENUINE)
        return;
    for (uint32_t k = 0; k < v->n; k++)
        v->snapshot[k] = member_at(engine_members(v->world->nodes[i].engine), k);
}

static bool same(const struct member_info *a, const struct member_info *b)
{
    return a->id == b->id && a->incarnation == b->incarnation && a->since == b->since &&
           (a->self || a->heard_at == b->heard_at) && a->rtt == b->rtt &&
           a->observers == b->observers && a->hearing == b->hearing && a->silent == b->silent &&
           a->state == b->state && a->reason == b->reason && a->maintenance == b->maintenance &&
           a->hears_me == b->hears_me;
}

static const char *const packet_names[PACKET_KINDS] = {
    [PACKET_GENUINE] = "genuine",   [PACKET_COPY] = "doubled",  [PACKET_DAMAGED] = "damaged",
    [PACKET_REPLAYED] = "replayed", [PACKET_FORGED] = "forged",
};

/* Whoever is greeted under an old key that he still has answers under that, also when it was a
 * recording. */
static bool replayed_lately(const struct world *w)
{
    for (uint32_t k = 0; w->o.faults && k < w->o.faults->n; k++) {
        const struct fault *f = &w->o.faults->v[k];
        if (f->kind == FAULT_REPLAY && f->at <= w->now &&
            w->now < f->at + f->length + UNDER_WAY_MS * MS)
            return true;
    }
    return false;
}

static void check_key(struct invariants *v, uint32_t i, const struct happening *h)
{
    const struct packet *p = h->packet;
    if (h->refused && h->why == SEAL_KEY && p->kind == PACKET_GENUINE &&
        v->world->now - p->sent < UNDER_WAY_MS * MS && !replayed_lately(v->world))
        violated(v, I31_KEYS, "n%u does not understand the key that n%u uses", i, p->from);
}

static void on_read(struct invariants *v, uint32_t i, const struct packet *p, bool refused)
{
    struct membership *m = engine_members(v->world->nodes[i].engine);
    if (p->kind == PACKET_GENUINE) {
        struct member_info from;
        if (member_find(m, v->world->nodes[p->from].id, &from) &&
            from.heard_at == node_clock(&v->world->nodes[i]))
            truth_heard(v, i, p->from, p->sent);
        return;
    }
    if (v->world->o.plain)
        return; /* nothing there tells them apart */
    for (uint32_t k = 0; k < v->n; k++) {
        struct member_info now = member_at(m, k);
        if (!same(&v->snapshot[k], &now))
            violated(v, I26_STRANGERS, "a %s datagram of n%u changes what n%u knows of n%u",
                     packet_names[p->kind], p->from, i, v->by_id[k]);
    }
    if (!refused && (p->kind == PACKET_DAMAGED || p->kind == PACKET_FORGED))
        violated(v, I26_STRANGERS, "n%u accepts a %s datagram of n%u", i, packet_names[p->kind],
                 p->from);
}

/* ---- lives */

static void on_started(struct invariants *v, uint32_t i)
{
    v->truths[i].started = v->world->now;
    for (uint32_t j = 0; j < v->n; j++)
        *sight_of(v, i, j) = (struct sight){.silent = sight_of(v, i, j)->silent};
}

static void tell(void *context, struct world *w, const struct happening *h)
{
    struct invariants *v = context;
    switch (h->kind) {
    case HAPPENED_STARTED: on_started(v, h->node); break;
    case HAPPENED_STOPPED:
        truth_stopped(v, h->node);
        truth_conditions(v);
        break;
    case HAPPENED_CONDITIONS: truth_conditions(v); break;
    case HAPPENED_CHANGED: on_changed(v, h->node, h->change); break;
    case HAPPENED_READING: on_reading(v, h->node, h->packet); break;
    case HAPPENED_READ:
        check_key(v, h->node, h);
        if (!v->broken)
            on_read(v, h->node, h->packet, h->refused);
        break;
    case HAPPENED_RAN: on_ran(v, h->node); break;
    case HAPPENED_RAISED:
    case HAPPENED_ARRIVED:
    case HAPPENED_DECIDED: /* these are ledger.c's */
    case HAPPENED_TOLD:
    case HAPPENED_PLANNED:
    case HAPPENED_APPLIED:
    case HAPPENED_FORCE:
    case HAPPENED_VOTING:
    case HAPPENED_WIPED:
    case HAPPENED_FOLLOWED:
    case HAPPENED_NEWS:
    case HAPPENED_REKEYED: break;
    }
}

void invariants_end(struct invariants *v)
{
    struct world *w = v->world;
    if (!v->settled && w->now >= v->healed + v->bounds.agree + SEC)
        violated(v, I28_PROGRESS, "nobody ran after the last fault");
    for (uint32_t i = 0; i < v->n && v->remembered; i++) {
        int64_t grown = w->nodes[i].heap.bytes - v->truths[i].settled.bytes;
        if (w->nodes[i].engine && grown > GROWTH_MOST)
            violated(v, I27_MEMORY, "n%u holds %lld bytes more than when all had settled", i,
                     (long long)grown);
        if (w->nodes[i].engine && w->nodes[i].sent == v->truths[i].sent_before)
            violated(v, I28_PROGRESS, "n%u says nothing any more", i);
    }
}

static void sort_by_id(struct invariants *v)
{
    for (uint32_t i = 0; i < v->n; i++) {
        uint32_t at = i;
        for (; at > 0 && v->world->nodes[v->by_id[at - 1]].id > v->world->nodes[i].id; at--)
            v->by_id[at] = v->by_id[at - 1];
        v->by_id[at] = i;
    }
}

/* All pairs: 2 s to agree. Probing reaches everybody once a round of a probe a period; a suspicion
 * takes a round to be raised, and one to be answered and known to all; and a node that was cut off
 * for long is so patient that it takes eight seconds until it judges as others do. */
struct bounds bounds_of(uint32_t nodes, bool probing, bool wan)
{
    uint64_t round = probing ? nodes * member_defaults().period : 0, slow = wan ? SEC : 0;
    struct bounds b = {.notice = 3 * SEC + slow + 4 * round, .agree = 2 * SEC + slow};
    if (probing) {
        b.notice += 8 * SEC;
        b.agree += 10 * SEC + 2 * round;
    }
    b.quiet = b.agree * 3 / 2 + 2 * SEC;
    return b;
}

struct invariants *invariants_new(struct world *w, uint64_t healed, const struct bounds *b)
{
    struct invariants *v = sim_zero(1, sizeof *v);
    uint32_t n = w->o.nodes;
    v->world = w;
    v->n = n;
    v->healed = healed;
    v->bounds = *b;
    v->sights = sim_zero((size_t)n * n, sizeof *v->sights);
    v->whole = w->links ? sim_zero((size_t)n * n, sizeof *v->whole) : NULL;
    v->truths = sim_zero(n, sizeof *v->truths);
    v->by_id = sim_zero(n, sizeof *v->by_id);
    v->snapshot = sim_zero(n, sizeof *v->snapshot);
    for (uint32_t i = 0; i < n; i++)
        v->truths[i].well = v->truths[i].lost = NEVER;
    sort_by_id(v);
    v->watch = (struct watch){v, tell};
    world_watch(w, &v->watch);
    return v;
}

void invariants_free(struct invariants *v)
{
    mem_free(v->sights);
    mem_free(v->whole);
    mem_free(v->truths);
    mem_free(v->by_id);
    mem_free(v->snapshot);
    mem_free(v);
}
