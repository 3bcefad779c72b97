/* Both halves of the lease in a small world of their own: clocks of different rates, messages that
 * are lost, doubled and late, pauses, restarts, a coordinator that answers late or not at all.
 *
 * Whatever happens, no two nodes act at once, their demotions counted in (I1), epochs only rise
 * (I2), and when the faults have stopped somebody has the role under the coordinator's epoch (I5).
 * The same world with one rule broken must show two primaries, or an old epoch after a newer one:
 * else it would prove nothing. Times are in ticks of a millisecond; the lease is 40 of them. */
#include "recover/lease.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#define TICK   UINT64_C(1000000)
#define FAULTY 5000 /* ticks */
#define CALM   2000
#define ROLE   UINT64_C(7)

enum { NODES = 5, QUEUE = 4096, LEASE = 40, DEMOTE = 8, BEAT = 8, RATE_ERROR = 100000 };

enum broken {
    NOTHING_BROKEN,
    VOTER_FORGETS,     /* a restarted voter is not quiet */
    PROMISE_TOO_SHORT, /* by the demotion */
    ANY_ROUND_COUNTS,  /* an acknowledgement is taken for the latest round */
    FROM_RECEIPT,      /* the lease counts from the acknowledgement */
    NO_READ,           /* no read at the gate */
    SAME_INCARNATION,  /* after a restart, and rounds from 1 again */
    OLDER_ROUNDS,      /* who goes on after a restart begins below rounds that left before */
    HELD_ANEW,         /* who goes on after a restart has the whole lease again */
    BROKEN
};

enum what { TO_VOTER, TO_HOLDER, READ, READ_ANSWER, CAS, CAS_ANSWER };
struct parcel {
    uint64_t at; /* tick */
    uint32_t from, to;
    enum what what;
    struct lease_message m;
    uint64_t request, gate; /* of the owner */
    uint64_t epoch, expected;
    uint32_t owner;
    bool done;
};

enum owner_state { WAITING, READING, RAISING, LEASING };
struct member {
    double clock, rate;               /* ns; ns of its own a ns of the world */
    uint64_t paused_until, cut_until; /* ticks */
    struct lease_voter voter;
    struct lease_holder holder;
    uint64_t incarnation;
    uint64_t acts; /* epoch that it HELD last */
    enum owner_state state;
    uint64_t request, next; /* own clock */
    double acts_until;      /* own clock, its demotion included */
};
struct world {
    struct prng prng;
    enum broken broken;
    bool resumes; /* who restarts has what the one before kept in memory */
    uint32_t n;
    uint64_t tick;
    bool calm;
    double loss, twice, slow, pause, cut, restart, forget, away; /* how often; of each seed */
    struct member nodes[NODES];
    struct parcel queue[QUEUE];
    uint32_t queued;
    uint64_t epoch; /* the coordinator's */
    uint32_t owner;
    uint64_t away_until;
    uint64_t highest; /* epoch that anybody began to act under */
    uint64_t terms;
    bool two, old;
};

static bool chance(struct world *w, double p)
{
    return prng_unit(&w->prng) < p;
}

static uint64_t clock_of(const struct member *m)
{
    return (uint64_t)m->clock;
}

static struct lease_params params_of(enum broken broken, bool voter)
{
    struct lease_params p = {LEASE * TICK, DEMOTE * TICK, BEAT * TICK, RATE_ERROR};
    if (voter && broken == PROMISE_TOO_SHORT) {
        p.demote = 0;
        p.rho = 0;
    }
    return p;
}

/* --- the net --- */

static void put(struct world *w, const struct parcel *p)
{
    assert_true(w->queued < QUEUE);
    struct parcel *to = &w->queue[w->queued++];
    *to = *p;
    to->at = w->tick + 1 + prng_below(&w->prng, 2);
    if (!w->calm && chance(w, w->slow))
        to->at += prng_below(&w->prng, 4 * LEASE);
}

/* A cut loses what is sent, and not what is under way. */
static bool is_cut(const struct world *w, const struct parcel *p)
{
    const struct member *a = &w->nodes[p->from], *b = &w->nodes[p->to];
    return p->from != p->to && MAX(a->cut_until, b->cut_until) > w->tick;
}

static void post(struct world *w, const struct parcel *p)
{
    if (!w->calm && (chance(w, w->loss) || is_cut(w, p)))
        return;
    put(w, p);
    if (!w->calm && chance(w, w->twice))
        put(w, p);
}

static void to_voters(struct world *w, uint32_t from, const struct lease_message *m)
{
    for (uint32_t i = 0; i < w->n; i++) {
        struct parcel p = {.from = from, .to = i, .what = TO_VOTER, .m = *m};
        post(w, &p);
    }
}

/* --- the owner of a holder: what control does --- */

static void ask_coordinator(struct world *w, uint32_t i, enum what what)
{
    struct member *o = &w->nodes[i];
    struct parcel p = {.from = i,
                       .to = i,
                       .what = what,
                       .request = ++o->request,
                       .gate = o->holder.gate,
                       .epoch = w->nodes[i].holder.seen,
                       .expected = 0};
    post(w, &p);
}

static void wait_a_while(struct world *w, uint32_t i)
{
    struct member *o = &w->nodes[i];
    o->state = WAITING;
    o->next = clock_of(o) + prng_below(&w->prng, LEASE) * TICK;
}

static void began(struct world *w, uint32_t i)
{
    uint64_t epoch = w->nodes[i].holder.epoch;
    w->old |= epoch < w->highest;
    w->terms += epoch > w->highest;
    w->highest = MAX(w->highest, epoch);
}

static void at_gate(struct world *w, uint32_t i)
{
    struct member *o = &w->nodes[i];
    o->next = clock_of(o) + LEASE / 2 * TICK; /* then once more: the answer may be lost */
    if (w->broken != NO_READ)
        ask_coordinator(w, i, READ);
    else if (lease_confirm(&o->holder, o->holder.gate, o->holder.epoch, clock_of(o)))
        began(w, i);
}

static void effects_of(struct world *w, uint32_t i, unsigned effects, const struct lease_message *m)
{
    struct member *o = &w->nodes[i];
    if (effects & LEASE_SEND)
        to_voters(w, i, m);
    if (effects & LEASE_ENTERED)
        at_gate(w, i);
    if (effects & LEASE_GAVE_UP)
        wait_a_while(w, i);
    if (effects & LEASE_OUTDATED) {
        /* A holder answers at once, with what it finds there; a challenger leaves it. */
        o->state = READING;
        o->next = clock_of(o) + LEASE * TICK;
        ask_coordinator(w, i, READ);
    }
}

static void raise_epoch(struct world *w, uint32_t i, uint64_t epoch)
{
    struct member *o = &w->nodes[i];
    o->state = RAISING;
    o->next = clock_of(o) + LEASE * TICK;
    struct parcel p = {.from = i,
                       .to = i,
                       .what = CAS,
                       .request = ++o->request,
                       .epoch = MAX(epoch, o->holder.seen) + 1,
                       .expected = epoch};
    post(w, &p);
}

static void start_lease(struct world *w, uint32_t i, uint64_t epoch)
{
    struct member *o = &w->nodes[i];
    struct lease_message m;
    o->state = LEASING;
    effects_of(w, i, lease_want(&o->holder, epoch, clock_of(o), &m), &m);
}

/* What membership says: the truth, and while there are faults often something else. */
static bool seems_failed(struct world *w, uint32_t node)
{
    if (node == UINT32_MAX)
        return true;
    return !w->calm && (w->nodes[node].paused_until > w->tick ||
                        w->nodes[node].cut_until > w->tick || chance(w, 0.3));
}

static void read_answered(struct world *w, uint32_t i, const struct parcel *p)
{
    struct member *o = &w->nodes[i];
    if (p->owner == i && lease_confirm(&o->holder, p->gate, p->epoch, clock_of(o))) {
        began(w, i);
        return;
    }
    if (o->state != READING || p->request != o->request)
        return;
    bool mine = p->owner == i && p->epoch >= o->holder.seen && p->epoch > 0;
    if (mine)
        start_lease(w, i, p->epoch);
    else if (lease_deadline(&o->holder, clock_of(o)) || p->owner == i || seems_failed(w, p->owner))
        raise_epoch(w, i, p->epoch);
    else
        wait_a_while(w, i);
}

static void cas_answered(struct world *w, uint32_t i, const struct parcel *p)
{
    struct member *o = &w->nodes[i];
    if (o->state != RAISING || p->request != o->request)
        return;
    if (p->done)
        start_lease(w, i, p->epoch);
    else
        wait_a_while(w, i);
}

static void owner_turn(struct world *w, uint32_t i)
{
    struct member *o = &w->nodes[i];
    uint64_t now = clock_of(o);
    struct lease_message m;
    effects_of(w, i, lease_tick(&o->holder, now, &m), &m);
    bool leased = o->state == LEASING && o->holder.state != LEASE_IDLE;
    if (leased && !w->calm && chance(w, 0.002) && o->holder.state == LEASE_HELD) {
        o->acts_until = (double)now; /* it has stopped before it says so */
        if (lease_drop(&o->holder, now, &m))
            to_voters(w, i, &m);
        wait_a_while(w, i);
    }
    if (leased && o->holder.state == LEASE_GATE && now >= o->next)
        at_gate(w, i);
    if (leased || now < o->next)
        return;
    if (o->state == LEASING) { /* lapsed, and outdated */
        wait_a_while(w, i);
        return;
    }
    o->state = READING;
    o->next = now + LEASE * TICK;
    ask_coordinator(w, i, READ);
}

/* --- parcels --- */

static void at_coordinator(struct world *w, const struct parcel *p)
{
    if (w->tick < w->away_until)
        return;
    struct parcel answer = *p;
    if (p->what == CAS) {
        answer.what = CAS_ANSWER;
        answer.done = p->expected == w->epoch;
        if (answer.done) {
            w->epoch = p->epoch;
            w->owner = p->from;
        }
    } else {
        answer.what = READ_ANSWER;
        answer.epoch = w->epoch;
        answer.owner = w->owner;
    }
    post(w, &answer);
}

static void at_voter(struct world *w, const struct parcel *p)
{
    struct parcel answer = {.from = p->to, .to = p->from, .what = TO_HOLDER};
    struct member *v = &w->nodes[p->to];
    if (lease_voter_receive(&v->voter, p->from + 1, &p->m, clock_of(v), &answer.m))
        post(w, &answer);
}

static void at_holder(struct world *w, const struct parcel *p)
{
    struct member *o = &w->nodes[p->to];
    struct lease_message m = p->m;
    struct lease_holder *h = &o->holder;
    if (w->broken == ANY_ROUND_COUNTS)
        m.round = h->round;
    for (uint32_t i = 0; w->broken == FROM_RECEIPT && i < LEASE_ROUNDS; i++)
        if (h->rounds[i].round == m.round)
            h->rounds[i].sent = clock_of(o);
    effects_of(w, p->to, lease_receive(h, p->from + 1, &m, clock_of(o)), NULL);
}

static void deliver(struct world *w, struct parcel *p)
{
    switch (p->what) {
    case TO_VOTER: at_voter(w, p); break;
    case TO_HOLDER: at_holder(w, p); break;
    case READ:
    case CAS: at_coordinator(w, p); break;
    case READ_ANSWER: read_answered(w, p->to, p); break;
    case CAS_ANSWER: cas_answered(w, p->to, p); break;
    }
}

/* What comes to a node that is paused waits for it. */
static bool is_due(const struct world *w, const struct parcel *p)
{
    bool coordinator = p->what == READ || p->what == CAS;
    return p->at <= w->tick && (coordinator || w->nodes[p->to].paused_until <= w->tick);
}

static void deliver_due(struct world *w)
{
    for (uint32_t i = 0; i < w->queued;) {
        if (!is_due(w, &w->queue[i])) {
            i++;
            continue;
        }
        struct parcel taken = w->queue[i];
        w->queue[i] = w->queue[--w->queued];
        deliver(w, &taken);
    }
}

/* --- faults --- */

static void start_voter(struct world *w, uint32_t i, bool again)
{
    struct member *o = &w->nodes[i];
    struct lease_params p = params_of(w->broken, true);
    lease_voter_init(&o->voter, &p, clock_of(o));
    lease_voter_set(&o->voter, 1, true);
    if (again && w->broken == VOTER_FORGETS)
        o->voter.quiet_until = 0;
}

static void start_holder(struct world *w, uint32_t i, bool again)
{
    uint64_t ids[NODES];
    struct member *o = &w->nodes[i];
    struct lease_params p = params_of(w->broken, false);
    for (uint32_t k = 0; k < w->n; k++)
        ids[k] = k + 1;
    if (!again || w->broken != SAME_INCARNATION)
        o->incarnation++;
    lease_holder_init(&o->holder, &p, ROLE, o->incarnation);
    lease_holder_voters(&o->holder, 1, ids, w->n);
    o->request += 1000; /* answers to what it asked before are nobody's */
    wait_a_while(w, i);
}

/* As after a restart of the process alone: what it has promised is kept, so the voter is as it was.
 */
static void resume_holder(struct world *w, uint32_t i)
{
    struct member *o = &w->nodes[i];
    uint64_t now = clock_of(o), until = lease_deadline(&o->holder, now);
    uint64_t round = o->holder.round, incarnation = o->holder.incarnation;
    if (w->broken == OLDER_ROUNDS)
        round -= MIN(round, 8u);
    if (w->broken == HELD_ANEW && until)
        until = now + LEASE * TICK;
    start_holder(w, i, true);
    lease_holder_resume(&o->holder, incarnation, round, o->acts, until, now);
    if (until)
        o->state = LEASING;
}

static void restart(struct world *w, uint32_t i)
{
    if (w->resumes && chance(w, 0.8))
        resume_holder(w, i);
    else
        start_holder(w, i, true);
}

static void disturb(struct world *w)
{
    for (uint32_t i = 0; i < w->n; i++) {
        struct member *o = &w->nodes[i];
        if (chance(w, 0.02))
            o->rate = 1 + RATE_ERROR / 1e6 * (2 * prng_unit(&w->prng) - 1);
        if (chance(w, w->pause))
            o->paused_until = w->tick + prng_below(&w->prng, 6 * LEASE);
        if (chance(w, w->cut))
            o->cut_until = w->tick + prng_below(&w->prng, 4 * LEASE);
        if (chance(w, w->restart))
            restart(w, i);
        if (chance(w, w->forget))
            start_voter(w, i, true);
    }
    if (chance(w, w->away))
        w->away_until = w->tick + prng_below(&w->prng, 4 * LEASE);
}

static void end_faults(struct world *w)
{
    w->calm = true;
    w->away_until = 0;
    for (uint32_t i = 0; i < w->n; i++)
        w->nodes[i].paused_until = 0;
}

/* --- what must hold --- */

static void look(struct world *w)
{
    uint32_t acting = 0;
    for (uint32_t i = 0; i < w->n; i++) {
        struct member *o = &w->nodes[i];
        uint64_t until = lease_deadline(&o->holder, clock_of(o));
        if (o->holder.state == LEASE_HELD)
            o->acts = o->holder.epoch;
        if (until)
            o->acts_until = MAX(o->acts_until, (double)(until + DEMOTE * TICK));
        acting += o->acts_until > o->clock;
    }
    w->two |= acting > 1;
}

static bool is_well(const struct world *w)
{
    for (uint32_t i = 0; i < w->n; i++) {
        const struct member *o = &w->nodes[i];
        if (o->holder.state == LEASE_HELD && o->holder.epoch == w->epoch && w->owner == i &&
            lease_deadline(&o->holder, clock_of(o)))
            return true;
    }
    return false;
}

/* From 0 to 1, and more often little than much. */
static double seldom(struct world *w)
{
    return prng_unit(&w->prng) * prng_unit(&w->prng);
}

static struct world *run(uint32_t n, uint64_t seed, enum broken broken)
{
    struct world *w = calloc(1, sizeof *w);
    assert_non_null(w);
    prng_seed(&w->prng, seed);
    w->n = n;
    w->broken = broken;
    w->resumes =
        broken == OLDER_ROUNDS || broken == HELD_ANEW || (broken == NOTHING_BROKEN && seed % 2);
    w->owner = UINT32_MAX;
    w->loss = seldom(w) * 0.4;
    w->twice = seldom(w) * 0.2;
    w->slow = seldom(w) * 0.5;
    w->pause = seldom(w) * 0.01;
    w->cut = seldom(w) * 0.02;
    w->restart = seldom(w) * (w->resumes ? 0.05 : 0.01);
    w->forget = seldom(w) * 0.01;
    w->away = seldom(w) * 0.01;
    for (uint32_t i = 0; i < n; i++) {
        w->nodes[i].clock = (double)(1000 + prng_below(&w->prng, 1000)) * TICK;
        w->nodes[i].rate = 1;
        start_voter(w, i, false);
        start_holder(w, i, false);
    }
    for (w->tick = 1; w->tick < FAULTY + CALM && !w->two && !w->old; w->tick++) {
        if (w->tick < FAULTY)
            disturb(w);
        else if (w->tick == FAULTY)
            end_faults(w);
        for (uint32_t i = 0; i < n; i++)
            w->nodes[i].clock += TICK * w->nodes[i].rate;
        deliver_due(w);
        for (uint32_t i = 0; i < n; i++)
            if (w->nodes[i].paused_until <= w->tick)
                owner_turn(w, i);
        look(w);
    }
    return w;
}

static uint64_t seeds(uint64_t few)
{
    const char *many = getenv("HOLDFAST_LEASE_SEEDS");
    return many ? strtoull(many, NULL, 10) : few;
}

static void at_most_one_acts(uint32_t n)
{
    uint64_t terms = 0;
    for (uint64_t seed = 1; seed <= seeds(60); seed++) {
        struct world *w = run(n, seed, NOTHING_BROKEN);
        if (w->two || w->old || !is_well(w))
            fail_msg("%u nodes, seed %lu: %s", n, (unsigned long)seed,
                     w->two   ? "two act at once"
                     : w->old ? "an old epoch began after a newer one"
                              : "nobody has the role when all is well");
        terms += w->terms;
        free(w);
    }
    assert_true(terms > 3 * seeds(60)); /* there were changes to get wrong */
}

static void one_of_three_acts(void **state)
{
    (void)state;
    at_most_one_acts(3);
}

static void one_of_five_acts(void **state)
{
    (void)state;
    at_most_one_acts(5);
}

/* Where each is found. HOLDFAST_LEASE_SEEDS looks for others. */
static const struct {
    const char *name;
    uint64_t seed;
} planted[BROKEN] = {
    [VOTER_FORGETS] = {"a voter forgets its promise", 21},
    [PROMISE_TOO_SHORT] = {"a promise is too short", 2},
    [ANY_ROUND_COUNTS] = {"any round counts", 66},
    [FROM_RECEIPT] = {"the lease counts from receipt", 40},
    [NO_READ] = {"nobody reads at the gate", 868},
    [SAME_INCARNATION] = {"an incarnation comes twice", 16656},
    [OLDER_ROUNDS] = {"rounds come twice after a restart", 653},
    [HELD_ANEW] = {"a restart begins the lease anew", 20},
};

static bool finds(enum broken b, uint64_t seed)
{
    struct world *w = run(3, seed, b);
    bool found = w->two || w->old;
    free(w);
    return found;
}

static void each_rule_is_needed(void **state)
{
    (void)state;
    for (enum broken b = NOTHING_BROKEN + 1; b < BROKEN; b++) {
        uint64_t seed = planted[b].seed;
        if (seeds(0)) {
            for (seed = 1; seed <= seeds(0) && !finds(b, seed);)
                seed++;
            print_message("%s: seed %lu\n", planted[b].name, (unsigned long)seed);
        }
        assert_true(finds(b, seed));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_of_three_acts),
        cmocka_unit_test(one_of_five_acts),
        cmocka_unit_test(each_rule_is_needed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
