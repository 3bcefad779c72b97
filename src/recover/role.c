/* One function a state. Each looks at the facts and gives an order, or enters another state, or
 * leaves things as they are. */
#include "recover/role.h"

/* A challenger that raises the epoch again so soon after we answered it means it. */
#define ANSWER_ONCE_IN 10 /* leases */
#define REHEARSE_AGAIN 5  /* beats */

static const char *const names[ROLE_STATES] = {
    [ROLE_REPLICA] = "replica",       [ROLE_CHALLENGE] = "challenge",
    [ROLE_ACQUIRES] = "acquires",     [ROLE_CONFIRMS] = "confirms",
    [ROLE_TAKES_OVER] = "takes over", [ROLE_PRIMARY] = "primary",
    [ROLE_RAISES] = "raises",         [ROLE_YIELDS] = "yields",
    [ROLE_HANDS_OVER] = "hands over", [ROLE_DEMOTES] = "demotes",
};

const char *role_state_name(enum role_state s)
{
    CHECK(s < ROLE_STATES);
    return names[s];
}

void role_init(struct role *r, const struct role_params *p, uint64_t seed, uint64_t now)
{
    *r = (struct role){.params = *p,
                       .since = now,
                       .wake = now,
                       .follows = ROLE_NOBODY,
                       .hands_to = ROLE_NOBODY,
                       .stays = ROLE_NOBODY};
    prng_seed(&r->prng, seed);
}

/* --- candidates --- */

static bool rests(const struct role_facts *f, uint8_t i)
{
    const struct role_node *n = &f->nodes[i];
    return n->instance == INSTANCE_REPLICA && n->acts != f->record.epoch && !n->taking;
}

/* Each of the in-sync set is there, and says that it began anew. */
static bool set_began_anew(const struct role_facts *f)
{
    const struct role_record *k = &f->record;
    for (uint8_t i = 0; i < f->n; i++) {
        const struct role_node *n = &f->nodes[i];
        if (k->insync >> i & 1 && (!n->alive || n->failed || n->data || !rests(f, i)))
            return false;
    }
    return !k->forced && !k->strangers;
}

static bool may_lead(const struct role_facts *f, uint8_t i)
{
    const struct role_record *k = &f->record;
    if (!k->sync)
        return !f->nodes[i].far;
    return k->insync >> i & 1 || (k->without >> i & 1 && f->nodes[i].data && set_began_anew(f));
}

static bool is_candidate(const struct role_facts *f, uint8_t i)
{
    const struct role_node *n = &f->nodes[i];
    if (!n->alive || n->failed || n->maintenance || !n->well)
        return false;
    if (n->instance != INSTANCE_REPLICA && n->instance != INSTANCE_PRIMARY)
        return false;
    return may_lead(f, i);
}

static bool is_better(const struct role_facts *f, uint8_t a, uint8_t b)
{
    const struct role_node *x = &f->nodes[a], *y = &f->nodes[b];
    if (x->data != y->data)
        return x->data > y->data;
    if (x->position != y->position)
        return x->position > y->position;
    if (x->preference != y->preference)
        return x->preference > y->preference;
    if (x->load != y->load)
        return x->load < y->load;
    return a < b;
}

uint8_t role_rank(const struct role_facts *f, uint8_t node)
{
    uint8_t rank = 0;
    if (!is_candidate(f, node))
        return ROLE_NOBODY;
    for (uint8_t i = 0; i < f->n; i++)
        if (i != node && is_candidate(f, i) && is_better(f, i, node))
            rank++;
    return rank;
}

/* Its instance lost what it had, and one that may be promoted has it still, or has more of what
 * nobody vouches for, and would be preferred. It cannot fetch it from
 * there as long as that one follows it: the two would wait for each other. */
static bool began_anew(const struct role_facts *f, uint8_t primary)
{
    const struct role_node *n = &f->nodes[primary];
    if (!rests(f, primary) || n->data || f->record.forced)
        return false;
    for (uint8_t i = 0; i < f->n; i++)
        if (i != primary && is_candidate(f, i) &&
            (f->nodes[i].data || f->nodes[i].position > n->position))
            return true;
    return false;
}

/* Its node is gone, or says itself that its instance is, or that it has nothing any more. */
static bool is_lost(const struct role_facts *f, uint8_t primary)
{
    if (primary == ROLE_NOBODY)
        return true;
    const struct role_node *n = &f->nodes[primary];
    return n->failed ||
           (n->alive && (n->instance == INSTANCE_DOWN ||
                         (n->instance != INSTANCE_UNKNOWN && !n->well) || began_anew(f, primary)));
}

/* One that rests where it should be primary was started anew, by another agent: nobody would ever
 * wake it. */
static bool has_ended(const struct role_facts *f)
{
    uint8_t instance = f->nodes[f->self].instance;
    return instance == INSTANCE_DOWN || instance == INSTANCE_REPLICA;
}

/* It is there and does not do what it should: a judgement, which may be wrong, and may pass. */
static bool is_ill(const struct role_facts *f)
{
    const struct role_node *me = &f->nodes[f->self];
    return me->instance != INSTANCE_UNKNOWN && me->instance != INSTANCE_DOWN && !me->well;
}

/* --- orders and states --- */

static struct role_order order(enum role_what what, const char *why)
{
    return (struct role_order){.what = what, .why = why};
}

static struct role_order nothing(void)
{
    return order(ROLE_NOTHING, "");
}

static void enter(struct role *r, enum role_state s, uint64_t now)
{
    r->state = s;
    r->since = now;
    r->wake = now;
    r->step = 0;
}

static void wait_until(struct role *r, uint64_t at)
{
    r->wake = MIN(r->wake, at);
}

static void be_quiet(struct role *r, uint64_t now)
{
    r->quiet = now + r->params.retry + prng_below(&r->prng, r->params.retry + 1);
}

/* Out of whatever it was: what acts is demoted first. */
static void leave(struct role *r, uint64_t now)
{
    be_quiet(r, now);
    enter(r, r->acts ? ROLE_DEMOTES : ROLE_REPLICA, now);
}

static struct role_order write_record(const struct role_facts *f, uint8_t primary, const char *why)
{
    struct role_order o = order(ROLE_CAS, why);
    o.expected = f->record.revision;
    o.record = f->record;
    o.record.epoch = f->record.epoch + 1;
    o.record.primary = primary;
    o.record.wanted = ROLE_NOBODY;
    o.record.forced = false;
    return o;
}

static struct role_order promote(const struct role *r)
{
    struct role_order o = order(ROLE_PROMOTE, "the lease is held and the epoch is ours");
    o.epoch = r->epoch;
    return o;
}

static struct role_order read_record(const struct role_facts *f, const char *why)
{
    struct role_order o = order(ROLE_READ, why);
    o.gate = f->gate;
    return o;
}

/* --- one function a state --- */

/* Only one that acts: who does not may be behind this one, and would take from it what it lacks. */
static struct role_order follow(struct role *r, const struct role_facts *f, uint64_t now)
{
    uint8_t primary = f->record.primary;
    if (primary >= f->n || primary == f->self || f->nodes[primary].acts != f->record.epoch)
        return nothing();
    bool told = r->follows == primary && r->follows_epoch == f->record.epoch;
    bool failed = told && f->agent == PROGRESS_FAILED;
    if (f->agent == PROGRESS_RUNS || (told && !failed))
        return nothing();
    if (failed && now < r->followed_at + r->params.retry) {
        wait_until(r, r->followed_at + r->params.retry);
        return nothing();
    }
    r->followed_at = now;
    r->follows = primary;
    r->follows_epoch = f->record.epoch;
    return order(ROLE_FOLLOW, failed ? "following failed, once more" : "the record names another");
}

/* It is there, and does not do what it is recorded for. */
static bool is_idle(struct role *r, const struct role_facts *f, uint64_t now)
{
    const struct role_record *k = &f->record;
    bool acts = k->primary >= f->n || f->nodes[k->primary].acts == k->epoch;
    if (acts || r->idle_epoch != k->epoch) {
        r->idle_epoch = k->epoch;
        r->idle_since = now;
        return false;
    }
    if (now >= r->idle_since + r->params.idle_patience)
        return true;
    wait_until(r, r->idle_since + r->params.idle_patience);
    return false;
}

/* When this node may challenge; UINT64_MAX: not as things are. */
static uint64_t challenge_at(struct role *r, const struct role_facts *f, uint64_t now)
{
    if (!is_lost(f, f->record.primary) && !is_idle(r, f, now)) {
        r->lost_at = 0;
        return UINT64_MAX;
    }
    r->lost_at = r->lost_at ? r->lost_at : now;
    uint8_t rank = role_rank(f, f->self);
    if (rank == ROLE_NOBODY || !f->coordinator || f->isolated)
        return UINT64_MAX;
    return MAX(MAX(r->quiet, f->not_before), r->lost_at + rank * r->params.beat);
}

static uint64_t again_at(const struct role *r, const struct role_facts *f)
{
    return f->another && (!f->coordinator || f->isolated) ? UINT64_MAX : r->quiet;
}

static struct role_order as_replica(struct role *r, const struct role_facts *f, uint64_t now)
{
    if (f->lease != LEASE_IDLE && !r->step) {
        r->step = 1;
        return order(ROLE_DROP, "it is not used any more");
    }
    if (!f->record.known || f->record.paused)
        return nothing();
    bool ours = f->record.primary == f->self;
    if (ours && (f->awaits || (f->record.epoch && began_anew(f, f->self))))
        return nothing();
    uint64_t at = ours ? again_at(r, f) : challenge_at(r, f, now);
    bool able = is_candidate(f, f->self);
    if (at <= now && able) {
        r->epoch = f->record.epoch;
        enter(r, ours && !f->another ? ROLE_ACQUIRES : ROLE_CHALLENGE, now);
        return nothing();
    }
    if (able)
        wait_until(r, at);
    return follow(r, f, now);
}

/* The outcome is not known: what is there now tells. */
static struct role_order find_out(struct role *r, const struct role_facts *f, uint64_t now)
{
    if (f->read == PROGRESS_DONE && r->step == 2) {
        enter(r, r->acts ? ROLE_DEMOTES : ROLE_REPLICA, now); /* and once more, if it is not ours */
        return nothing();
    }
    if (r->step == 2 && f->read == PROGRESS_RUNS)
        return nothing();
    if (r->step == 2 && now < r->since + r->params.retry) {
        wait_until(r, r->since + r->params.retry);
        return nothing();
    }
    r->step = 2;
    r->since = now;
    return read_record(f, "nobody answered whether the record is ours");
}

static struct role_order as_challenger(struct role *r, const struct role_facts *f, uint64_t now)
{
    bool raises = r->state == ROLE_RAISES;
    if (!r->step) {
        r->step = 1;
        return write_record(f, f->self,
                            raises            ? "an epoch that nobody acts on is above ours"
                            : f->another      ? "the primary began anew"
                            : f->record.epoch ? "the primary is lost"
                                              : "its first primary");
    }
    if (f->cas_unknown)
        return find_out(r, f, now);
    if (f->cas == PROGRESS_DONE) {
        r->epoch = f->record.epoch;
        enter(r, ROLE_ACQUIRES, now);
    } else if (f->cas == PROGRESS_FAILED) {
        leave(r, now);
        if (!f->cas_lost) /* it did not happen: nobody is in the way of the next one */
            r->quiet = now + r->params.beat + prng_below(&r->prng, r->params.beat + 1);
    }
    return nothing();
}

static struct role_order give_lease_up(struct role *r, const char *why, uint64_t now)
{
    bool acts = r->acts;
    leave(r, now);
    if (!acts)
        r->step = 1; /* of the replica: this is the order to drop */
    return acts ? nothing() : order(ROLE_DROP, why);
}

static struct role_order as_acquirer(struct role *r, const struct role_facts *f, uint64_t now)
{
    if (f->record.epoch > r->epoch || f->record.primary != f->self)
        return give_lease_up(r, "the record names another", now);
    if (!r->step) {
        struct role_order o = order(ROLE_ACQUIRE, "the record names this node");
        r->step = 1;
        o.epoch = r->epoch;
        return o;
    }
    if (f->outdated)
        return give_lease_up(r, "voters have seen a higher epoch", now);
    if (f->lease == LEASE_IDLE)
        leave(r, now);
    else if (f->lease == LEASE_GATE && f->lease_epoch == r->epoch)
        enter(r, ROLE_CONFIRMS, now);
    return nothing();
}

static struct role_order confirmed(struct role *r, const struct role_facts *f, uint64_t now)
{
    if (f->record.primary != f->self || f->record.epoch != r->epoch)
        return give_lease_up(r, "the record names another", now);
    struct role_order o = order(ROLE_CONFIRM, "the record names this node");
    o.gate = f->gate;
    o.epoch = r->epoch;
    r->step = 0; /* if it came too late, the next gate needs another read */
    return o;
}

static struct role_order as_confirmer(struct role *r, const struct role_facts *f, uint64_t now)
{
    if (f->lease == LEASE_HELD) {
        enter(r, ROLE_TAKES_OVER, now);
        return nothing();
    }
    if (f->lease == LEASE_ACQUIRING) {
        enter(r, ROLE_ACQUIRES, now);
        r->step = 1;
        return nothing();
    }
    if (f->lease == LEASE_IDLE) {
        leave(r, now);
        return nothing();
    }
    bool ours = r->step && f->read_gate == f->gate;
    if (ours && f->read == PROGRESS_DONE)
        return confirmed(r, f, now);
    if (ours && f->read == PROGRESS_RUNS)
        return nothing();
    if (r->step && now < r->since + r->params.beat) {
        wait_until(r, r->since + r->params.beat);
        return nothing();
    }
    r->step = 1;
    r->since = now;
    return read_record(f, "whether the epoch is still ours");
}

static struct role_order as_successor(struct role *r, const struct role_facts *f, uint64_t now)
{
    if (f->lease != LEASE_HELD) {
        leave(r, now);
        return nothing();
    }
    if (!r->step) {
        r->step = 1;
        r->acts = true; /* from the order on: it may be half done */
        return promote(r);
    }
    if (f->agent == PROGRESS_DONE) {
        r->follows = r->stays = ROLE_NOBODY;
        r->lost_at = 0;
        enter(r, ROLE_PRIMARY, now);
    } else if (f->agent == PROGRESS_FAILED || now >= r->since + r->params.agent_patience) {
        leave(r, now);
    } else {
        wait_until(r, r->since + r->params.agent_patience);
    }
    return nothing();
}

/* A higher epoch than ours: of a challenger that gave up, or of one that goes on. */
static void challenged(struct role *r, const struct role_facts *f, uint64_t now)
{
    bool again = r->raised_at && now - r->raised_at < ANSWER_ONCE_IN * r->params.lease;
    if (f->record.epoch > r->epoch && f->record.primary == f->self) {
        r->epoch = f->record.epoch; /* raised by us, and the answer was late */
        enter(r, ROLE_ACQUIRES, now);
    } else if (again || !f->coordinator || f->record.forced) {
        leave(r, now);
    } else if (f->record.epoch > r->epoch) {
        r->raised_at = now;
        enter(r, ROLE_RAISES, now);
    } else {
        wait_until(r, now + r->params.beat); /* voters know more than the watch has brought */
    }
}

/* Who should be primary instead, by an operator's word or by the owner's judgement. */
static uint8_t target(const struct role *r, const struct role_facts *f)
{
    uint8_t wanted = f->record.wanted, to = f->better;
    if (f->record.paused || !f->coordinator || f->record.strangers)
        return ROLE_NOBODY;
    if (wanted != ROLE_NOBODY && wanted != ROLE_ANYBODY)
        to = wanted;
    if (to >= f->n || to == f->self || to == r->stays || !is_candidate(f, to))
        return ROLE_NOBODY;
    return to;
}

/* One whose process has ended cannot act, whoever else can. One that is only ill goes on until
 * somebody has recorded a higher epoch, which shows that there is a coordinator and one that may be
 * promoted: to step down before could only lose what it still does. */
static struct role_order as_primary(struct role *r, const struct role_facts *f, uint64_t now)
{
    const struct role_node *me = &f->nodes[f->self];
    bool beyond = f->outdated || f->record.epoch > r->epoch;
    if (f->lease != LEASE_HELD || now >= f->deadline) {
        leave(r, now);
        return nothing();
    }
    wait_until(r, f->deadline);
    if (has_ended(f) || (beyond && is_ill(f))) {
        leave(r, now);
        return nothing();
    }
    if (beyond) {
        challenged(r, f, now);
        return nothing();
    }
    uint8_t to = target(r, f);
    if (to != ROLE_NOBODY && now < r->quiet) {
        wait_until(r, r->quiet);
    } else if (to != ROLE_NOBODY && me->well) {
        r->hands_to = to;
        enter(r, ROLE_YIELDS, now);
    }
    return nothing();
}

static bool keeps_up(const struct role *r, const struct role_facts *f)
{
    const struct role_node *to = &f->nodes[r->hands_to], *me = &f->nodes[f->self];
    return to->data == me->data && to->position + r->params.slack >= me->position;
}

static struct role_order stay(struct role *r, uint64_t now)
{
    r->stays = r->hands_to;
    enter(r, ROLE_PRIMARY, now);
    return nothing();
}

/* Nothing is begun that could not be ended soon: the target, the coordinator and whoever has a
 * command under way are asked before. */
static struct role_order rehearse(struct role *r, const struct role_facts *f, uint64_t now)
{
    uint64_t again = r->rehearsed_at + REHEARSE_AGAIN * r->params.beat;
    if (r->step && f->rehearsal == PROGRESS_RUNS)
        return nothing();
    if (r->step && f->rehearsal == PROGRESS_DONE) {
        enter(r, ROLE_HANDS_OVER, now);
        return nothing();
    }
    if (r->step && now < again) {
        wait_until(r, again);
        return nothing();
    }
    r->step = 1;
    r->rehearsed_at = now;
    return order(ROLE_REHEARSE, "whether a switchover would be short");
}

static struct role_order as_yielder(struct role *r, const struct role_facts *f, uint64_t now)
{
    uint64_t until = r->since + r->params.yield_patience;
    bool bad = has_ended(f) || is_ill(f);
    if (f->lease != LEASE_HELD || f->outdated || f->record.epoch > r->epoch || bad) {
        enter(r, ROLE_PRIMARY, now); /* it knows what to do */
        return nothing();
    }
    if (!f->coordinator || now >= until || !is_candidate(f, r->hands_to))
        return stay(r, now);
    wait_until(r, MIN(until, f->deadline));
    return keeps_up(r, f) || r->step ? rehearse(r, f, now) : nothing();
}

enum { GIVER_ASKS = 1, GIVER_GOES_ON, GIVER_READS, GIVER_HOLDS };

/* Whether the record names the other one. It acts on meanwhile: the lease says until when. */
static struct role_order was_given(struct role *r, const struct role_facts *f, uint64_t now)
{
    uint64_t again = r->since + r->params.retry;
    bool reads = r->step == GIVER_READS;
    if (reads && f->read == PROGRESS_DONE) { /* should it yet come, that is a higher epoch */
        be_quiet(r, now);
        enter(r, ROLE_PRIMARY, now);
        return nothing();
    }
    if (reads && (f->read == PROGRESS_RUNS || now < again)) {
        if (f->read != PROGRESS_RUNS)
            wait_until(r, again);
        return nothing();
    }
    r->step = GIVER_READS;
    r->since = now;
    return read_record(f, "nobody answered whether the record names the other one");
}

/* Writers are held when the record is asked for; not for longer than a moment. */
static struct role_order given(struct role *r, const struct role_facts *f, uint64_t now)
{
    bool other = f->record.epoch > r->epoch, theirs = f->record.primary == r->hands_to;
    uint64_t brief = r->since + r->params.brief;
    if (f->cas == PROGRESS_DONE || (f->cas != PROGRESS_RUNS && other && theirs)) {
        r->step = GIVER_HOLDS;
        return order(ROLE_HOLD, "another is primary now");
    }
    if (r->step == GIVER_ASKS && (now >= brief || f->cas_unknown)) {
        r->step = GIVER_GOES_ON;
        return order(ROLE_UNHOLD, "the coordinator takes its time");
    }
    if (f->cas == PROGRESS_RUNS) {
        if (r->step == GIVER_ASKS)
            wait_until(r, brief);
        return nothing();
    }
    if (f->cas_unknown && !other && !f->outdated)
        return was_given(r, f, now);
    be_quiet(r, now); /* the record is another by now, or as it was: once more, after a while */
    enter(r, ROLE_PRIMARY, now);
    return nothing();
}

/* The record first, still acting: the others learn it while this one ends. Then no write is let
 * in any more, what is under way ends before the demotion, and the lease is free. Whoever takes
 * over asks this node where it ended, and has all of it before it acts. */
static struct role_order as_giver(struct role *r, const struct role_facts *f, uint64_t now)
{
    if (f->lease != LEASE_HELD || now >= f->deadline) {
        leave(r, now);
        return nothing();
    }
    wait_until(r, f->deadline);
    if (r->step == 0) {
        r->step = GIVER_ASKS;
        return write_record(f, r->hands_to, "a planned switchover");
    }
    if (r->step != GIVER_HOLDS)
        return given(r, f, now);
    if (f->agent == PROGRESS_RUNS)
        return nothing();
    be_quiet(r, now);
    enter(r, ROLE_DEMOTES, now);
    return nothing();
}

static struct role_order as_demoter(struct role *r, const struct role_facts *f, uint64_t now)
{
    if (!r->step) {
        r->step = 1;
        return order(ROLE_DEMOTE, "it may not act any more");
    }
    if (f->agent == PROGRESS_DONE) {
        r->acts = false;
        enter(r, ROLE_REPLICA, now);
    } else if (f->agent == PROGRESS_FAILED) { /* until it has: nothing is as important */
        r->step = 0;
        r->since = now;
        r->wake = now + r->params.retry;
    }
    return nothing();
}

struct role_order role_step(struct role *r, const struct role_facts *f, uint64_t now)
{
    static struct role_order (*const states[ROLE_STATES])(struct role *, const struct role_facts *,
                                                          uint64_t) = {
        [ROLE_REPLICA] = as_replica,      [ROLE_CHALLENGE] = as_challenger,
        [ROLE_ACQUIRES] = as_acquirer,    [ROLE_CONFIRMS] = as_confirmer,
        [ROLE_TAKES_OVER] = as_successor, [ROLE_PRIMARY] = as_primary,
        [ROLE_RAISES] = as_challenger,    [ROLE_YIELDS] = as_yielder,
        [ROLE_HANDS_OVER] = as_giver,     [ROLE_DEMOTES] = as_demoter,
    };
    CHECK(f->n <= ROLE_NODES && f->self < f->n);
    for (int i = 0; i <= ROLE_STATES; i++) {
        enum role_state before = r->state;
        r->wake = UINT64_MAX;
        struct role_order o = states[r->state](r, f, now);
        if (o.what != ROLE_NOTHING || r->state == before)
            return o;
    }
    CHECK(!"states that lead to each other and give no order");
    return nothing();
}
