/* coordinator: the server, and the way there and back. */
#include "coordinator.h"
#include "primary.h"

#include <math.h>

/* A build with -Dplant=N has fault N, for the invariants to find: */
#ifndef HF_PLANT
#define HF_PLANT 0
#endif
enum { PLANT_RESUME = 6 /* a watch that is resumed skips a revision */ };

enum {
    TRAVEL_US = 200, /* one way, at least, and on average more: */
    NOISE_US = 400,
    HELD_BACK_ONE_IN = 40, /* a change comes late, */
    HELD_BACK_MS = 4000,   /* up to so much, */
    WAITS_MS = 300,        /* or looks again after at most so long whether there is a leader */
    NOTICE_MS = 600,       /* until a broken connection is noticed */
    DEADLINE_MS = 2000,
    WATCH_DEADLINE_MS = 700,
    RANGE_AGAIN_MS = 500,
    KEEP_MS = 3, /* a disk that is well */
};

void coordinator_mix(struct coordinator *c, uint64_t value)
{
    c->digest = (c->digest ^ value ^ c->world->now << 1) * UINT64_C(0x100000001b3);
    c->digest ^= c->digest >> 31;
}

/* ---- errands */

struct errand *errand_new(struct follower *f, enum errand_kind kind, uint32_t which, uint64_t id)
{
    struct errand *a = sim_zero(1, sizeof *a);
    a->kind = kind;
    a->node = f->node->index;
    a->which = which;
    a->life = f->node->life;
    a->id = id;
    return a;
}

void coordinator_drop(struct errand *a)
{
    store_list_free(&a->list);
    mem_free(a->bytes);
    mem_free(a);
}

void errand_later(struct coordinator *c, struct errand *a, uint64_t delay)
{
    queue_put(&c->world->queue,
              (struct event){c->world->now + delay, 0, EVENT_ERRAND, a->node, 0, a});
}

/* To its disk. */
void errand_land(struct follower *f, struct errand *a)
{
    uint64_t takes = f->node->disk_slow + prng_below(&f->coordinator->draw, KEEP_MS * MS);
    f->lands = MAX(f->lands, f->node->world->now + takes);
    errand_later(f->coordinator, a, takes);
}

static uint64_t travel(struct coordinator *c, const struct follower *f)
{
    uint64_t noise = (uint64_t)(-log(1 - prng_unit(&c->draw)) * (double)(NOISE_US * US));
    uint64_t delay = f->delay ? f->delay / 2 + prng_below(&c->draw, f->delay) : 0;
    return TRAVEL_US * US + noise + delay;
}

static bool lost(struct coordinator *c, const struct follower *f)
{
    return f->loss > 0 && prng_unit(&c->draw) < f->loss;
}

/* There. */
void coordinator_ask(struct follower *f, struct errand *a)
{
    struct coordinator *c = f->coordinator;
    uint64_t late = a->kind == ERRAND_CAS && !prng_below(&c->draw, HELD_BACK_ONE_IN)
                        ? prng_below(&c->draw, HELD_BACK_MS * MS)
                        : 0;
    if (lost(c, f))
        coordinator_drop(a);
    else
        errand_later(c, a, travel(c, f) + late);
}

/* ---- what a node asks */

const char *coordinator_prefix(uint32_t which)
{
    static const char *const prefixes[WATCHES] = {[WATCH_HEAD] = VERSIONS_HEAD,
                                                  [WATCH_VOTERS] = VOTING_KEY,
                                                  [WATCH_ALL] = "",
                                                  [WATCH_ROLE] = "service/"};
    return prefixes[which];
}

bool coordinator_watched(const struct coordinator *c, uint32_t which)
{
    if (which == WATCH_VOTERS)
        return c->wanted.n > 0;
    return which != WATCH_ROLE || c->world->service;
}

void errand_ops(struct errand *a, const struct coord_op *ops, uint32_t n)
{
    size_t size = 1;
    CHECK(n <= ARRAY_LEN(a->ops));
    for (uint32_t i = 0; i < n; i++)
        size += ops[i].key.n + ops[i].value.n;
    char *at = a->bytes = sim_zero(1, size);
    a->n_ops = n;
    for (uint32_t i = 0; i < n; i++) {
        a->ops[i] = ops[i];
        struct str *parts[2] = {&a->ops[i].key, &a->ops[i].value};
        for (uint32_t k = 0; k < 2; k++) {
            if (parts[k]->n)
                memcpy(at, parts[k]->p, parts[k]->n);
            parts[k]->p = at;
            at += parts[k]->n;
        }
    }
}

static void begin(struct follower *f, uint32_t which, uint64_t deadline)
{
    f->asks[which] = ++f->coordinator->ids;
    errand_later(f->coordinator, errand_new(f, ERRAND_DEADLINE, which, f->asks[which]), deadline);
}

void coordinator_cas(struct follower *f, uint32_t which, const struct coord_op *ops, uint32_t n)
{
    struct err e = {0};
    if (coord_check_ops(ops, n, &e))
        sim_die("%s asks for what no engine takes: %s", f->node->name, e.text);
    begin(f, which, DEADLINE_MS * MS);
    struct errand *a = errand_new(f, ERRAND_CAS, which, f->asks[which]);
    errand_ops(a, ops, n);
    coordinator_ask(f, a);
}

/* Again and again until its deadline. */
void coordinator_range(struct follower *f, uint32_t which, struct str prefix)
{
    begin(f, which, DEADLINE_MS * MS);
    for (uint32_t k = 0; k < DEADLINE_MS / RANGE_AGAIN_MS; k++) {
        struct errand *a = errand_new(f, ERRAND_RANGE, which, f->asks[which]);
        str_copy(a->prefix, sizeof a->prefix, prefix);
        if (k)
            errand_later(f->coordinator, a, k * RANGE_AGAIN_MS * MS);
        else
            coordinator_ask(f, a);
    }
}

void coordinator_watch(struct follower *f, uint32_t which)
{
    struct sim_watch *k = &f->watches[which];
    if (!k->prefix)
        k->prefix = coordinator_prefix(which);
    k->id = ++f->coordinator->ids;
    k->sent = 0;
    k->connected = false;
    struct errand *a = errand_new(f, ERRAND_WATCH, which, k->id);
    a->after = k->seen;
    str_copy(a->prefix, sizeof a->prefix, str_of(k->prefix));
    errand_later(f->coordinator, errand_new(f, ERRAND_DEADLINE, ASKS + which, k->id),
                 WATCH_DEADLINE_MS * MS);
    coordinator_ask(f, a);
}

/* ---- what the server does */

static void answer(struct coordinator *c, struct errand *a, enum coord_outcome outcome)
{
    struct follower *f = &c->followers[a->node];
    a->kind = ERRAND_ANSWER;
    a->outcome = outcome;
    if (lost(c, f))
        coordinator_drop(a);
    else
        errand_later(c, a, travel(c, f));
}

static void break_watch(struct coordinator *c, struct follower *f, uint32_t which)
{
    struct sim_watch *k = &f->watches[which];
    if (!k->sent)
        return;
    k->sent = 0;
    struct errand *a = errand_new(f, ERRAND_BROKEN, which, k->id);
    uint64_t notice = MAX(k->arrives, c->world->now) + prng_below(&c->draw, NOTICE_MS * MS);
    if (prng_below(&c->draw, 2)) { /* what is under way is lost */
        k->id = a->id = ++c->ids;
        notice = c->world->now + prng_below(&c->draw, NOTICE_MS * MS);
    }
    errand_later(c, a, notice - c->world->now);
}

/* Tells a watch what is new, in order behind what is under way. */
static void push(struct coordinator *c, struct follower *f, uint32_t which, struct errand *a)
{
    struct sim_watch *k = &f->watches[which];
    uint64_t at = c->world->now + travel(c, f);
    at = MAX(at, k->arrives + 1);
    a->kind = ERRAND_CHANGES;
    k->sent = a->list.revision;
    k->arrives = at;
    errand_later(c, a, at - c->world->now);
}

static void push_changes(struct coordinator *c, struct follower *f, uint32_t which)
{
    struct sim_watch *k = &f->watches[which];
    struct err e = {0};
    if (!k->sent || k->sent == c->store.revision)
        return;
    if (f->away || lost(c, f)) {
        break_watch(c, f, which);
        return;
    }
    struct errand *a = errand_new(f, ERRAND_CHANGES, which, k->id);
    if (store_since(&c->store, str_of(k->prefix), k->sent, &a->list, &e))
        sim_die("a connection is behind what the store remembers: %s", e.text);
    push(c, f, which, a);
}

static void tell_watches(struct coordinator *c)
{
    for (uint32_t i = 0; i < c->world->o.nodes; i++)
        for (uint32_t k = 0; k < WATCHES_MOST; k++)
            push_changes(c, &c->followers[i], k);
}

static void do_cas(struct coordinator *c, struct errand *a)
{
    enum coord_outcome outcome;
    struct err e = {0};
    uint64_t before = c->store.revision;
    if (store_cas(&c->store, a->ops, a->n_ops, &outcome, &e))
        sim_die("%s", e.text);
    coordinator_mix(c, (uint64_t)a->node << 32 ^ c->store.revision ^ (uint64_t)outcome << 60);
    world_tell(c->world, &(struct happening){.kind = HAPPENED_DECIDED,
                                             .node = a->node,
                                             .ops = a->ops,
                                             .n = c->store.revision > before ? a->n_ops : 0,
                                             .revision = c->store.revision});
    a->list.revision = c->store.revision; /* the answer has it */
    answer(c, a, outcome);
    tell_watches(c);
}

static void do_range(struct coordinator *c, struct errand *a)
{
    struct err e = {0};
    if (store_range(&c->store, str_of(a->prefix), &a->list, &e))
        sim_die("%s", e.text);
    answer(c, a, COORD_DONE);
}

static void do_watch(struct coordinator *c, struct errand *a)
{
    struct follower *f = &c->followers[a->node];
    struct sim_watch *k = &f->watches[a->which];
    struct err e = {0};
    if (a->life != f->node->life || a->id != k->id || k->sent || lost(c, f)) {
        coordinator_drop(a);
        return;
    }
    uint64_t after = a->after + (HF_PLANT == PLANT_RESUME && a->after < c->store.revision);
    a->whole = !a->after || store_since(&c->store, str_of(a->prefix), after, &a->list, &e);
    if (a->whole && store_range(&c->store, str_of(a->prefix), &a->list, &e))
        sim_die("%s", e.text);
    push(c, f, a->which, a);
}

/* It is away from who asks. */
static void do_nothing(struct coordinator *c, struct errand *a)
{
    switch (prng_below(&c->draw, a->kind == ERRAND_WATCH ? 1 : 3)) {
    case 0: coordinator_drop(a); break;
    case 1: answer(c, a, COORD_FAILED); break;
    default: errand_later(c, a, MS + prng_below(&c->draw, WAITS_MS * MS)); break;
    }
}

void coordinator_errand(struct coordinator *c, struct errand *a)
{
    struct follower *f = &c->followers[a->node];
    switch (a->kind) {
    case ERRAND_CAS:
    case ERRAND_RANGE:
    case ERRAND_WATCH:
        if (f->away)
            do_nothing(c, a);
        else if (a->kind == ERRAND_CAS)
            do_cas(c, a);
        else if (a->kind == ERRAND_RANGE)
            do_range(c, a);
        else
            do_watch(c, a);
        break;
    case ERRAND_ANSWER:
    case ERRAND_CHANGES:
    case ERRAND_BROKEN:
    case ERRAND_REWATCH:
    case ERRAND_DEADLINE:
    case ERRAND_STEP:
    case ERRAND_LANDED:
    case ERRAND_VOTERS:
    case ERRAND_BEAT:
    case ERRAND_SAYS: follower_arrive(f, a); break;
    }
}

/* ---- faults */

static void worsen(struct follower *f, const struct fault *x)
{
    if (x->kind == FAULT_COORD_AWAY)
        f->away++;
    else if (x->kind == FAULT_COORD_LOSS)
        f->loss = 1 - (1 - f->loss) * (1 - (float)x->value / 100);
    else if (x->kind == FAULT_COORD_DELAY)
        f->delay += (uint64_t)x->value * MS;
    else if (x->kind == FAULT_REFUSE)
        f->refuses = true;
}

/* All conditions from all faults that are under way. */
void coordinator_conditions(struct coordinator *c)
{
    const struct world *w = c->world;
    for (uint32_t i = 0; i < w->o.nodes; i++) {
        struct follower *f = &c->followers[i];
        f->away = w->service && window_away(w->service, i);
        f->refuses = false;
        f->loss = 0;
        f->delay = 0;
        for (uint32_t k = 0; k < w->o.faults->n; k++)
            if (w->active[k] && w->o.faults->v[k].a >> i & 1)
                worsen(f, &w->o.faults->v[k]);
        for (uint32_t k = 0; k < WATCHES_MOST && f->away; k++)
            break_watch(c, f, k);
        follower_resume(f);
    }
}

void coordinator_strike(struct coordinator *c, const struct fault *x)
{
    if (x->kind == FAULT_COORD_COMPACT)
        store_compact(&c->store, c->store.revision);
    if (x->kind == FAULT_VOTERS)
        voting_want(c, x->a);
    for (uint32_t i = 0; i < c->world->o.nodes; i++) {
        struct follower *f = &c->followers[i];
        if (!(x->a >> i & 1))
            continue;
        for (uint32_t k = 0; k < WATCHES_MOST && x->kind == FAULT_COORD_BREAK; k++)
            break_watch(c, f, k);
        if (x->kind == FAULT_APPLY)
            follower_apply(f);
    }
}

/* ---- its life */

struct coordinator *coordinator_new(struct world *w)
{
    struct coordinator *c = sim_zero(1, sizeof *c);
    c->world = w;
    prng_seed(&c->draw, w->o.seed ^ UINT64_C(0x636f6f7264));
    store_init(&c->store);
    c->followers = sim_zero(w->o.nodes, sizeof *c->followers);
    for (uint32_t i = 0; i < w->o.nodes; i++) {
        c->followers[i].node = &w->nodes[i];
        c->followers[i].coordinator = c;
        c->followers[i].due = NEVER;
    }
    for (uint32_t k = 0; k < w->o.faults->n && !c->wanted.n; k++)
        if (w->o.faults->v[k].kind == FAULT_VOTERS)
            voting_want(c, UINT64_MAX); /* until then */
    return c;
}

void coordinator_free(struct coordinator *c)
{
    if (!c)
        return;
    for (uint32_t i = 0; i < c->world->o.nodes; i++)
        follower_free(&c->followers[i]);
    store_free(&c->store);
    mem_free(c->followers);
    mem_free(c);
}
