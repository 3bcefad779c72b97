/* The contract of all engines (coord/contract_test.h) on the simulator's coordinator: an engine
 * that asks it as a daemon does in a world, from a node whose daemon it stands in for.
 *
 * The world's time is driven by the loop's, and runs SPEED times as fast. What the simulator does
 * by itself it does here too: requests take their time and overtake each other, changes are held
 * back and happen long after they were asked for, watches are pushed in order and resume where they
 * were. The faults are ordered through what schedules order. */
#include "coordinator.h"

#include "coord/contract_test.h"
#include "coord/engine.h"

enum {
    NODES = 5,
    SPEED = 20,
    PROBE_MS = 400, /* of the world; the next three too */
    AGAIN_MS = 300,
    REWATCH_MS = 50,
    START_MS = 3000,
    SILENT = 3, /* so many probes without an answer: it is away */
    PROBE = 1,  /* the id of all of them; those of requests are higher */
};

static struct sim {
    struct faults faults;
    struct world *w;
    struct timer pump;
    uint64_t began, ids;
    enum { NO_FAULT, LOSE_REQUEST, LOSE_ANSWER } ordered; /* of the next change */
} sim;

struct engine {
    struct coord c;
    struct follower *f;
    uint64_t probed, asked; /* world's time: the last probe, the last time that ranges were asked */
    uint32_t silent;
    char prefixes[COORD_WATCHES][COORD_KEY_MAX + 1];
    struct coord_watch *watches[COORD_WATCHES];
};

/* A request under way: coord_request.own. */
struct way {
    uint64_t id;
    bool lose_answer;
};

static struct engine *engine_of(struct coord *c)
{
    return CONTAINER_OF(c, struct engine, c);
}

/* ---- Requests ---- */

static void ask_range(struct engine *x, uint64_t id, struct str prefix)
{
    struct errand *a = errand_new(x->f, ERRAND_RANGE, 0, id);
    str_copy(a->prefix, sizeof a->prefix, prefix);
    coordinator_ask(x->f, a);
}

static void ask_change(struct engine *x, const struct coord_request *r, struct way *way)
{
    struct errand *a = errand_new(x->f, ERRAND_CAS, 0, way->id);
    errand_ops(a, r->ops, r->n);
    if (sim.ordered == NO_FAULT) {
        coordinator_ask(x->f, a);
        return;
    }
    way->lose_answer = sim.ordered == LOSE_ANSWER;
    if (sim.ordered == LOSE_REQUEST)
        coordinator_drop(a);
    else
        errand_later(x->f->coordinator, a, MS);
    sim.ordered = NO_FAULT;
}

static int begin(struct coord *c, struct coord_request *r, struct err *e)
{
    struct engine *x = engine_of(c);
    struct way *way = sim_zero(1, sizeof *way);
    way->id = PROBE + ++sim.ids;
    r->own = way;
    if (r->is_range)
        ask_range(x, way->id, r->prefix);
    else
        ask_change(x, r, way);
    return 0;
}

static bool drop(struct coord *c, struct coord_request *r)
{
    mem_free(r->own);
    return !r->is_range;
}

static struct coord_request *request_of(struct engine *x, uint64_t id)
{
    list_for_each (it, &x->c.requests) {
        struct coord_request *r = LIST_ENTRY(it, struct coord_request, link);
        const struct way *way = r->own;
        if (way && way->id == id)
            return r;
    }
    return NULL;
}

static void on_answer(struct engine *x, const struct errand *a)
{
    struct coord_request *r = request_of(x, a->id);
    struct way *way = r ? r->own : NULL;
    if (a->outcome != COORD_FAILED) {
        x->silent = 0;
        coord_reached(&x->c);
    }
    if (!r || way->lose_answer || (r->is_range && a->outcome == COORD_FAILED))
        return;
    struct err refused;
    err_set(&refused, ERR_IO, "the coordinator refuses");
    struct coord_answer answer = {
        .outcome = a->outcome,
        .revision = a->outcome == COORD_DONE ? a->list.revision : 0,
        .items = a->list.items,
        .n = a->list.n,
        .why = a->outcome == COORD_FAILED ? &refused : NULL,
    };
    mem_free(way);
    r->own = NULL;
    coord_answer(r, &answer);
}

/* ---- Watches ---- */

static int watch(struct coord *c, struct coord_watch *w, struct err *e)
{
    struct engine *x = engine_of(c);
    uint32_t slot = 0;
    while (x->watches[slot])
        slot++;
    x->watches[slot] = w;
    str_copy(x->prefixes[slot], sizeof x->prefixes[slot], w->prefix);
    x->f->watches[slot] = (struct sim_watch){.prefix = x->prefixes[slot]};
    coordinator_watch(x->f, slot);
    return 0;
}

static void unwatch(struct coord *c, struct coord_watch *w)
{
    struct engine *x = engine_of(c);
    for (uint32_t slot = 0; slot < COORD_WATCHES; slot++)
        if (x->watches[slot] == w) {
            x->watches[slot] = NULL;
            x->f->watches[slot] = (struct sim_watch){0};
        }
}

static void on_changes(struct engine *x, const struct errand *a)
{
    struct sim_watch *stream = &x->f->watches[a->which];
    struct coord_watch *w = x->watches[a->which];
    if (!w || a->id != stream->id)
        return;
    stream->connected = true;
    stream->seen = a->list.revision;
    if (a->whole || a->list.n)
        assert_true(coord_tell(w, a->list.items, a->list.n, a->list.revision, a->whole));
}

static void on_watch(struct engine *x, const struct errand *a, uint32_t slot)
{
    struct sim_watch *stream = &x->f->watches[slot];
    if (!x->watches[slot] || a->id != stream->id)
        return;
    if (a->kind == ERRAND_BROKEN) {
        stream->connected = false;
        errand_later(x->f->coordinator, errand_new(x->f, ERRAND_REWATCH, slot, stream->id),
                     REWATCH_MS * MS);
    } else if (a->kind == ERRAND_REWATCH || !stream->connected) {
        coordinator_watch(x->f, slot);
    }
}

static void arrive(struct follower *f, struct errand *a)
{
    struct engine *x = f->program;
    if (!x || a->life != f->node->life)
        return;
    if (a->kind == ERRAND_ANSWER)
        on_answer(x, a);
    else if (a->kind == ERRAND_CHANGES)
        on_changes(x, a);
    else if (a->kind == ERRAND_DEADLINE)
        on_watch(x, a, a->which - ASKS);
    else
        on_watch(x, a, a->which);
}

/* ---- Its loop ---- */

static void tend(struct engine *x)
{
    uint64_t now = sim.w->now;
    struct err away;
    if (now - x->probed > PROBE_MS * MS) {
        x->probed = now;
        ask_range(x, PROBE, STR("none"));
        if (++x->silent > SILENT) {
            err_set(&away, ERR_TIMEOUT, "the coordinator does not answer");
            coord_lost(&x->c, &away);
        }
    }
    if (now - x->asked < AGAIN_MS * MS)
        return;
    x->asked = now;
    list_for_each (it, &x->c.requests) {
        const struct coord_request *r = LIST_ENTRY(it, struct coord_request, link);
        if (r->is_range && r->own)
            ask_range(x, ((struct way *)r->own)->id, r->prefix);
    }
}

static void on_pump(struct timer *t)
{
    world_run(sim.w, START_MS * MS + SPEED * (clock_now() - sim.began));
    for (uint32_t i = 0; i < NODES; i++)
        if (sim.w->coordinator->followers[i].program)
            tend(sim.w->coordinator->followers[i].program);
    loop_timer_set(k.loop, t, clock_now() + NS_PER_MS);
}

static void free_engine(struct coord *c)
{
    struct engine *x = engine_of(c);
    x->f->program = NULL;
    for (uint32_t slot = 0; slot < COORD_WATCHES; slot++)
        x->f->watches[slot] = (struct sim_watch){0};
    mem_free(x);
}

static const struct coord_engine simulated = {"simulated", begin,   drop,
                                              watch,       unwatch, free_engine};

/* ---- The rig ---- */

static void sim_begin(struct loop *l)
{
    static uint64_t seeds;
    struct err e = {0};
    sim = (struct sim){0};
    /* A schedule that asks for a coordinator, and for nothing within our time. */
    assert_int_equal(faults_parse(STR("1000000+0 apply 0"), NODES, &sim.faults, &e), 0);
    struct world_options o = {
        .seed = ++seeds, .nodes = NODES, .params = member_defaults(), .faults = &sim.faults};
    sim.w = world_new(&o);
    for (uint32_t i = 0; i < NODES; i++)
        sim.w->coordinator->followers[i].arrive = arrive;
    world_run(sim.w, START_MS * MS);
    sim.began = clock_now();
    timer_init(&sim.pump, on_pump);
    loop_timer_set(l, &sim.pump, sim.began + NS_PER_MS);
}

static void sim_end(void)
{
    loop_timer_stop(k.loop, &sim.pump);
    world_free(sim.w);
}

static struct coord *sim_open(struct loop *l)
{
    struct engine *x = sim_zero(1, sizeof *x);
    uint32_t i = 0;
    while (sim.w->coordinator->followers[i].program)
        i++;
    assert_true(i < NODES);
    x->f = &sim.w->coordinator->followers[i];
    x->f->program = x;
    coord_init(&x->c, &simulated, l);
    return &x->c;
}

static void break_all(const struct follower *f)
{
    const struct fault broken = {.kind = FAULT_COORD_BREAK,
                                 .a = f ? UINT64_C(1) << f->node->index : UINT64_MAX};
    coordinator_strike(sim.w->coordinator, &broken);
}

static void sim_away(bool away)
{
    for (uint32_t i = 0; i < NODES; i++)
        sim.w->coordinator->followers[i].away = away;
    if (away)
        break_all(NULL);
}

static void sim_cut(struct coord *c, bool away)
{
    struct follower *f = engine_of(c)->f;
    f->away = away;
    if (away)
        break_all(f);
}

static void sim_compact(void)
{
    const struct fault forgets = {.kind = FAULT_COORD_COMPACT, .a = UINT64_MAX};
    coordinator_strike(sim.w->coordinator, &forgets);
}

static void sim_unknown(bool happens)
{
    sim.ordered = happens ? LOSE_ANSWER : LOSE_REQUEST;
}

int main(void)
{
    static const struct rig rig = {"simulated", true,        true,     sim_begin,
                                   sim_end,     sim_open,    sim_away, sim_cut,
                                   sim_compact, sim_unknown, false};
    k.rig = &rig;
    return contract_cases() + contract_faults();
}
