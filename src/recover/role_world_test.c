/* Roles, leases and voters of three nodes together, with a coordinator, a membership that is late
 * and sometimes wrong, and agents that take their time and sometimes fail.
 *
 * Whatever happens at most one node acts, which is one whose instance was promoted and whose lease
 * lasts (I1); epochs that are promoted only rise (I2); when faults have ended one node acts, the
 * one that is recorded, and all others follow it (I5). A tick is a millisecond. */
#include "recover/role.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#define TICK    UINT64_C(1000000)
#define START   (100000 * TICK)
#define SERVICE UINT64_C(7)
#define AWAY    UINT64_MAX

enum { NODES = 3, QUEUE = 1024, FAULTY = 8000, CALM = 4000, LEASE = 60, DEMOTE = 12, BEAT = 10 };
enum { FAILED_AFTER = 60 };

enum what { TO_VOTER, TO_HOLDER, READ, READ_ANSWER, CAS, CAS_ANSWER };
struct parcel {
    uint64_t at;
    uint8_t from, to;
    enum what what;
    struct lease_message m;
    uint64_t request, expected;
    struct role_record record;
    bool done;
};
struct member {
    struct role role;
    struct lease_holder holder;
    struct lease_voter voter;
    struct role_facts facts;
    uint64_t incarnation, request;
    uint64_t asked_at; /* tick + 1 of the request under way; 0: none */
    bool asks_cas;
    uint64_t gate;        /* at which it reads */
    uint64_t agent_until; /* 0: no order runs */
    enum role_what agent_does;
    uint64_t agent_epoch;
    bool promoted, holds, outdated; /* the instance; the gate's writers wait */
    uint8_t follows;
    uint64_t down_until, cut_until, broken_until; /* ticks */
};
struct world {
    struct prng prng;
    uint64_t tick;
    bool calm;
    double loss, slow, crash, cut, breaks, wrong, agent_fails, operator, away;
    struct member nodes[NODES];
    struct parcel queue[QUEUE];
    uint32_t queued;
    struct role_record record; /* the coordinator's */
    uint64_t away_until, promoted_epoch, promotions, switchovers, acting_ticks;
    const char *broken;
};

static bool chance(struct world *w, double p)
{
    return prng_unit(&w->prng) < p;
}

static uint64_t now_of(const struct world *w)
{
    return START + w->tick * TICK;
}

static bool runs(const struct world *w, uint8_t i)
{
    return w->nodes[i].down_until <= w->tick;
}

static bool is_cut(const struct world *w, uint8_t i)
{
    return w->nodes[i].cut_until > w->tick;
}

/* --- the net --- */

static void post(struct world *w, struct parcel p)
{
    bool far = p.from != p.to || p.what >= READ;
    if (far && !w->calm && (chance(w, w->loss) || is_cut(w, p.from) || is_cut(w, p.to)))
        return;
    assert_true(w->queued < QUEUE);
    p.at = w->tick + 1 + prng_below(&w->prng, 2);
    if (!w->calm && chance(w, w->slow))
        p.at += prng_below(&w->prng, 3 * LEASE);
    w->queue[w->queued++] = p;
}

static void to_voters(struct world *w, uint8_t from, const struct lease_message *m)
{
    for (uint8_t i = 0; i < NODES; i++)
        post(w, (struct parcel){.from = from, .to = i, .what = TO_VOTER, .m = *m});
}

static void take_record(struct member *o, const struct role_record *r)
{
    if (r->revision >= o->facts.record.revision)
        o->facts.record = *r;
}

static void at_coordinator(struct world *w, struct parcel p)
{
    if (w->away_until > w->tick)
        return;
    if (p.what == CAS) {
        p.what = CAS_ANSWER;
        p.done = p.expected == w->record.revision;
        if (p.done) {
            p.record.revision = w->record.revision + 1;
            w->record = p.record;
        }
    } else {
        p.what = READ_ANSWER;
    }
    p.record = w->record;
    post(w, p);
}

static void answered(struct world *w, const struct parcel *p)
{
    struct member *o = &w->nodes[p->to];
    struct role_facts *f = &o->facts;
    take_record(o, &p->record);
    if (p->request != o->request || !o->asked_at)
        return;
    o->asked_at = 0;
    if (p->what == CAS_ANSWER) {
        f->cas = p->done ? PROGRESS_DONE : PROGRESS_FAILED;
    } else {
        f->read = PROGRESS_DONE;
        f->read_gate = o->gate;
    }
}

static void holder_effects(struct world *w, uint8_t i, unsigned effects,
                           const struct lease_message *m)
{
    struct member *o = &w->nodes[i];
    if (effects & LEASE_SEND)
        to_voters(w, i, m);
    o->outdated |= (effects & LEASE_OUTDATED) != 0;
}

static void deliver(struct world *w, struct parcel *p)
{
    struct member *to = &w->nodes[p->to];
    struct parcel answer = {.from = p->to, .to = p->from, .what = TO_HOLDER};
    switch (p->what) {
    case READ:
    case CAS: at_coordinator(w, *p); return;
    case READ_ANSWER:
    case CAS_ANSWER: answered(w, p); return;
    case TO_VOTER:
        if (lease_voter_receive(&to->voter, p->from + 1, &p->m, now_of(w), &answer.m))
            post(w, answer);
        return;
    case TO_HOLDER:
        holder_effects(w, p->to, lease_receive(&to->holder, p->from + 1, &p->m, now_of(w)), NULL);
        return;
    }
}

static void deliver_due(struct world *w)
{
    for (uint32_t i = 0; i < w->queued;) {
        struct parcel p = w->queue[i];
        bool coordinator = p.what == READ || p.what == CAS;
        if (p.at > w->tick) {
            i++;
            continue;
        }
        w->queue[i] = w->queue[--w->queued];
        if (coordinator || runs(w, p.to))
            deliver(w, &p);
    }
}

/* --- a node --- */

static void ask(struct world *w, uint8_t i, const struct role_order *o)
{
    struct member *m = &w->nodes[i];
    struct parcel p = {.from = i,
                       .to = i,
                       .what = o->what == ROLE_CAS ? CAS : READ,
                       .request = ++m->request,
                       .expected = o->expected,
                       .record = o->record};
    m->asked_at = w->tick + 1;
    m->asks_cas = o->what == ROLE_CAS;
    m->gate = o->gate;
    if (m->asks_cas) {
        m->facts.cas = PROGRESS_RUNS;
        m->facts.cas_unknown = false;
    } else {
        m->facts.read = PROGRESS_RUNS;
    }
    post(w, p);
}

static void give_up_asking(struct world *w, struct member *m)
{
    if (!m->asked_at || w->tick <= m->asked_at + LEASE)
        return;
    m->asked_at = 0;
    m->facts.cas_unknown |= m->asks_cas;
    if (!m->asks_cas)
        m->facts.read = PROGRESS_FAILED;
}

static void order_agent(struct world *w, struct member *m, const struct role_order *o)
{
    m->facts.agent = PROGRESS_RUNS;
    m->agent_does = o->what;
    m->agent_epoch = o->epoch;
    m->agent_until = w->tick + 1 + prng_below(&w->prng, 6);
}

static void agent_done(struct world *w, uint8_t i)
{
    struct member *m = &w->nodes[i];
    if (!m->agent_until || m->agent_until > w->tick)
        return;
    m->agent_until = 0;
    bool fails = !w->calm && (chance(w, w->agent_fails) || m->broken_until > w->tick);
    m->facts.agent = fails ? PROGRESS_FAILED : PROGRESS_DONE;
    if (fails)
        return;
    if (m->agent_does == ROLE_PROMOTE) {
        if (m->agent_epoch < w->promoted_epoch)
            w->broken = "an old epoch is promoted after a newer one";
        w->promoted_epoch = MAX(w->promoted_epoch, m->agent_epoch);
        w->promotions++;
        m->promoted = true;
    } else if (m->agent_does == ROLE_DEMOTE) {
        m->promoted = false;
    } else if (m->agent_does == ROLE_FOLLOW) {
        m->follows = m->role.follows;
    }
}

static void carry_out(struct world *w, uint8_t i, const struct role_order *o)
{
    struct member *m = &w->nodes[i];
    struct lease_message out;
    switch (o->what) {
    case ROLE_NOTHING: break;
    case ROLE_CAS:
    case ROLE_READ: ask(w, i, o); break;
    case ROLE_ACQUIRE:
        m->outdated = false;
        holder_effects(w, i, lease_want(&m->holder, o->epoch, now_of(w), &out), &out);
        break;
    case ROLE_CONFIRM: lease_confirm(&m->holder, o->gate, o->epoch, now_of(w)); break;
    case ROLE_DROP:
        m->outdated = false;
        if (lease_drop(&m->holder, now_of(w), &out))
            to_voters(w, i, &out);
        break;
    case ROLE_HOLD:
        m->holds = true;
        m->facts.agent = PROGRESS_DONE;
        break;
    case ROLE_UNHOLD: m->holds = false; break;
    case ROLE_PROMOTE:
    case ROLE_DEMOTE:
        m->holds = false;
        order_agent(w, m, o);
        break;
    case ROLE_FOLLOW: order_agent(w, m, o); break;
    }
}

/* What membership and announcements tell: late, and now and then wrong. */
static void look_around(struct world *w, uint8_t i)
{
    struct role_facts *f = &w->nodes[i].facts;
    for (uint8_t k = 0; k < NODES; k++) {
        const struct member *other = &w->nodes[k];
        bool silent = k != i && (!runs(w, k) || is_cut(w, k) || is_cut(w, i));
        bool wrong = !w->calm && k != i && chance(w, w->wrong);
        struct role_node *n = &f->nodes[k];
        n->alive = !silent;
        n->failed = (silent && !is_cut(w, i) && w->tick >= FAILED_AFTER) || wrong;
        n->well = other->broken_until <= w->tick;
        n->instance = other->promoted ? INSTANCE_PRIMARY : INSTANCE_REPLICA;
        n->position = 100;
    }
    f->isolated = is_cut(w, i);
    f->coordinator = !f->isolated && w->away_until <= w->tick;
    if (f->coordinator && chance(w, 0.2))
        take_record(&w->nodes[i], &w->record); /* the watch */
    f->lease = w->nodes[i].holder.state;
    f->lease_epoch = w->nodes[i].holder.epoch;
    f->deadline = lease_deadline(&w->nodes[i].holder, now_of(w));
    f->gate = w->nodes[i].holder.gate;
    f->outdated = w->nodes[i].outdated;
}

static void turn(struct world *w, uint8_t i)
{
    struct member *m = &w->nodes[i];
    struct lease_message out;
    holder_effects(w, i, lease_tick(&m->holder, now_of(w), &out), &out);
    give_up_asking(w, m);
    agent_done(w, i);
    for (int k = 0; k < 4; k++) {
        look_around(w, i);
        struct role_order o = role_step(&m->role, &m->facts, now_of(w));
        if (o.what == ROLE_NOTHING)
            return;
        carry_out(w, i, &o);
    }
}

/* A node that begins anew: its instance is stopped, and knows no lease. */
static void begin(struct world *w, uint8_t i)
{
    static const uint64_t ids[NODES] = {1, 2, 3};
    struct lease_params l = {LEASE * TICK, DEMOTE * TICK, BEAT * TICK, 10000};
    struct role_params p = {.lease = LEASE * TICK,
                            .beat = BEAT * TICK,
                            .yield_patience = 5 * LEASE * TICK,
                            .agent_patience = 2 * LEASE * TICK,
                            .retry = LEASE * TICK / 2};
    struct member *m = &w->nodes[i];
    uint64_t incarnation = m->incarnation + 1, request = m->request + 1000;
    *m = (struct member){.incarnation = incarnation, .request = request, .follows = ROLE_NOBODY};
    lease_holder_init(&m->holder, &l, SERVICE, incarnation);
    lease_holder_voters(&m->holder, 1, ids, NODES);
    lease_voter_init(&m->voter, &l, now_of(w));
    lease_voter_set(&m->voter, 1, true);
    role_init(&m->role, &p, prng_next(&w->prng), now_of(w));
    m->facts.n = NODES;
    m->facts.self = i;
    m->facts.record =
        (struct role_record){.known = true, .primary = ROLE_NOBODY, .wanted = ROLE_NOBODY};
}

static void disturb(struct world *w)
{
    for (uint8_t i = 0; i < NODES; i++) {
        struct member *m = &w->nodes[i];
        if (runs(w, i) && chance(w, w->crash)) {
            begin(w, i);
            m->down_until = w->tick + 1 + prng_below(&w->prng, 8 * LEASE);
        }
        if (chance(w, w->cut))
            m->cut_until = w->tick + prng_below(&w->prng, 8 * LEASE);
        if (chance(w, w->breaks))
            m->broken_until = w->tick + prng_below(&w->prng, 8 * LEASE);
    }
    if (chance(w, w->away))
        w->away_until = w->tick + prng_below(&w->prng, 8 * LEASE);
    if (w->record.revision && chance(w, w->operator)) {
        w->record.wanted = (uint8_t)prng_below(&w->prng, NODES);
        w->record.revision++;
    }
}

static void end_faults(struct world *w)
{
    w->calm = true;
    w->away_until = 0;
    for (uint8_t i = 0; i < NODES; i++)
        w->nodes[i].down_until = w->nodes[i].cut_until = w->nodes[i].broken_until = 0;
}

/* --- what must hold --- */

static void look(struct world *w)
{
    uint32_t acting = 0;
    for (uint8_t i = 0; i < NODES; i++) {
        const struct member *m = &w->nodes[i];
        acting += runs(w, i) && m->promoted && lease_deadline(&m->holder, now_of(w));
    }
    if (acting > 1)
        w->broken = "two act at once";
    w->acting_ticks += acting;
}

static bool is_well(const struct world *w)
{
    uint8_t primary = w->record.primary;
    if (primary == ROLE_NOBODY || w->nodes[primary].role.state != ROLE_PRIMARY)
        return false;
    for (uint8_t i = 0; i < NODES; i++) {
        const struct member *m = &w->nodes[i];
        if (m->promoted != (i == primary) || m->holds || (i != primary && m->follows != primary))
            return false;
    }
    return w->nodes[primary].holder.epoch == w->record.epoch;
}

static struct world *make(uint64_t seed)
{
    struct world *w = calloc(1, sizeof *w);
    assert_non_null(w);
    prng_seed(&w->prng, seed);
    double *rates[] = {&w->loss, &w->slow, &w->crash, &w->cut, &w->breaks, &w->wrong,
                       &w->agent_fails, &w->operator, & w->away };
    static const double most[] = {0.3, 0.3, 0.002, 0.004, 0.002, 0.02, 0.3, 0.003, 0.002};
    for (size_t i = 0; i < ARRAY_LEN(rates); i++)
        *rates[i] = prng_unit(&w->prng) * prng_unit(&w->prng) * most[i];
    w->record = (struct role_record){.known = true, .primary = ROLE_NOBODY, .wanted = ROLE_NOBODY};
    for (uint8_t i = 0; i < NODES; i++)
        begin(w, i);
    return w;
}

static void run(struct world *w, uint64_t ticks)
{
    for (uint64_t end = w->tick + ticks; w->tick < end && !w->broken; w->tick++) {
        if (!w->calm)
            disturb(w);
        deliver_due(w);
        for (uint8_t i = 0; i < NODES; i++)
            if (runs(w, i))
                turn(w, i);
        look(w);
    }
}

static void whatever_happens(void **state)
{
    const char *many = getenv("HOLDFAST_LEASE_SEEDS");
    uint64_t seeds = many ? strtoull(many, NULL, 10) : 100, promotions = 0, acting = 0;
    (void)state;
    for (uint64_t seed = 1; seed <= seeds; seed++) {
        struct world *w = make(seed);
        run(w, FAULTY);
        end_faults(w);
        run(w, CALM);
        if (w->broken || !is_well(w))
            fail_msg("seed %lu: %s", (unsigned long)seed,
                     w->broken ? w->broken : "all is calm, and not well");
        promotions += w->promotions;
        acting += w->acting_ticks;
        free(w);
    }
    print_message("%lu promotions; somebody acted in %lu%% of the time\n",
                  (unsigned long)promotions,
                  (unsigned long)(100 * acting / seeds / (FAULTY + CALM)));
    assert_true(promotions > 3 * seeds);
    assert_true(acting > seeds * (FAULTY + CALM) / 3);
}

static struct world *calm_world(void)
{
    struct world *w = make(1);
    end_faults(w);
    run(w, 500);
    assert_true(is_well(w));
    return w;
}

static uint64_t until_acts(struct world *w, uint8_t not_this)
{
    for (uint64_t ticks = 0; ticks < 1000; ticks++) {
        for (uint8_t i = 0; i < NODES; i++)
            if (i != not_this && runs(w, i) && w->nodes[i].promoted &&
                lease_deadline(&w->nodes[i].holder, now_of(w)))
                return ticks;
        run(w, 1);
    }
    fail_msg("nobody takes over");
    return 0;
}

/* The node is gone without a word: its promise must be over, and then a few round trips. */
static void a_lost_node_is_replaced_after_its_promise(void **state)
{
    (void)state;
    struct world *w = calm_world();
    uint8_t lost = w->record.primary;
    begin(w, lost);
    w->nodes[lost].down_until = w->tick + 5000;
    uint64_t took = until_acts(w, lost);
    assert_in_range(took, LEASE, LEASE + DEMOTE + 45);
    assert_null(w->broken);
    free(w);
}

/* Its instance is gone, and its own node knows: nobody waits for a promise. */
static void a_broken_instance_is_replaced_at_once(void **state)
{
    (void)state;
    struct world *w = calm_world();
    uint8_t lost = w->record.primary;
    w->nodes[lost].broken_until = w->tick + 5000;
    w->nodes[lost].promoted = false;
    w->calm = true;
    assert_in_range(until_acts(w, lost), 1, 45);
    assert_null(w->broken);
    free(w);
}

static void a_switchover_goes_where_it_should(void **state)
{
    (void)state;
    struct world *w = calm_world();
    uint8_t before = w->record.primary, wanted = (uint8_t)((before + 1) % NODES);
    w->record.wanted = wanted;
    w->record.revision++;
    run(w, 300);
    assert_int_equal(w->record.primary, wanted);
    assert_true(is_well(w));
    free(w);
}

static void without_a_coordinator_the_primary_stays_and_nobody_is_promoted(void **state)
{
    (void)state;
    struct world *w = calm_world();
    uint8_t primary = w->record.primary;
    w->away_until = AWAY;
    uint64_t acted = w->acting_ticks;
    run(w, 2000);
    assert_int_equal(w->acting_ticks - acted, 2000);
    begin(w, primary);
    w->nodes[primary].down_until = AWAY;
    acted = w->acting_ticks;
    run(w, 1000);
    assert_int_equal(w->acting_ticks, acted);
    w->away_until = 0; /* it is back: so is the service */
    until_acts(w, primary);
    free(w);
}

/* A compare-and-set lands whose challenger is gone: the holder answers, and goes on acting. */
static void a_late_challenge_is_answered_without_a_pause(void **state)
{
    (void)state;
    struct world *w = calm_world();
    uint8_t primary = w->record.primary, other = (uint8_t)((primary + 1) % NODES);
    w->nodes[other].down_until = AWAY;
    w->record.epoch++;
    w->record.revision++;
    w->record.primary = other;
    uint64_t acted = w->acting_ticks;
    run(w, 500);
    assert_int_equal(w->record.primary, primary);
    assert_int_equal(w->acting_ticks - acted, 500);
    free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whatever_happens),
        cmocka_unit_test(a_lost_node_is_replaced_after_its_promise),
        cmocka_unit_test(a_broken_instance_is_replaced_at_once),
        cmocka_unit_test(a_switchover_goes_where_it_should),
        cmocka_unit_test(without_a_coordinator_the_primary_stays_and_nobody_is_promoted),
        cmocka_unit_test(a_late_challenge_is_answered_without_a_pause),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
