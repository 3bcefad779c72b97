/* Facts put together, orders carried out. */
#include "recover/failover_inside.h"

/* What was begun since all was quiet may take so long; then it is cut, as fronts do (gate.md). */
#define SETTLE_NS      (350 * MS)
#define BRIEF_NS       (10 * MS) /* the coordinator, while writers wait */
#define SETTLE_LOOK_NS (MS / 2)  /* the proxies answer in their rows */
#define YIELD_NS       (2 * SECOND)
#define AGENT_NS       (5 * SECOND)
#define LAG_NS         (1 * SECOND)
#define STAYS_NS       (10 * SECOND)
#define SLACK          (4u << 20) /* bytes */
#define ORDERS_AT_ONCE 8

static void set_params(struct failover *f, const struct failover_params *p)
{
    f->params = *p;
    f->params.agent_patience = p->agent_patience ? p->agent_patience : AGENT_NS;
    f->params.lag_time = p->lag_time ? p->lag_time : LAG_NS;
    f->lag_bound = p->lag_time;
}

void failover_init(struct failover *f, const struct failover_params *p,
                   const struct failover_host *h, uint64_t now)
{
    CHECK(p->n && p->n <= ROLE_NODES && (p->self < p->n || p->self == ROLE_NOBODY));
    memset(f, 0, sizeof *f);
    set_params(f, p);
    f->host = *h;
    struct role_params r = {.lease = p->lease.lease,
                            .beat = p->lease.beat,
                            .yield_patience = YIELD_NS,
                            .agent_patience = 3 * f->params.agent_patience,
                            .retry = p->lease.lease / 2,
                            .idle_patience = 2 * p->lease.lease + f->params.agent_patience,
                            .slack = SLACK,
                            .brief = BRIEF_NS};
    role_init(&f->role, &r, p->seed, now);
    f->record.r = (struct role_record){.primary = ROLE_NOBODY, .wanted = ROLE_NOBODY};
    f->record.from = ROLE_NOBODY;
    f->facts.better = ROLE_NOBODY;
    f->fenced.by = ROLE_NOBODY;
    f->drafting.before = f->chain.before = ROLE_NOBODY;
    f->said.kind = ROLE_KINDS;
    f->say = true;
    fence_reset(f);
}

/* Whoever was here before holds a lease and was not yet at the gate: it may have ordered a
 * promotion. That is undone before the lease is given up, for then another may begin at once. */
static void undo_promotion(struct failover *f, uint64_t now)
{
    struct failover_lease lease = {.state = LEASE_IDLE};
    f->host.lease(f->host.context, &lease);
    if (!is_candidate_here(f) || lease.state != LEASE_HELD)
        return;
    f->role.state = ROLE_DEMOTES;
    f->role.since = now;
    f->role.acts = true;
}

void failover_resume(struct failover *f, const struct failover_row *row, bool held, uint64_t now)
{
    f->row = *row;
    f->row_known = true;
    if (!held || !row->gate || !is_candidate_here(f)) {
        f->row.gate = 1; /* another than what will be written: it is shut for certain */
        undo_promotion(f, now);
        return;
    }
    f->promoted = f->acted = f->role.epoch = f->resumed = row->gate;
    f->before = *row;
    f->role.state = ROLE_PRIMARY;
    f->role.since = now;
    f->role.acts = true;
    f->fenced.epoch = row->gate;
}

void failover_configure(struct failover *f, const struct failover_params *p)
{
    struct failover_params next = *p;
    next.lease = f->params.lease;
    next.role = f->params.role;
    next.incarnation = f->params.incarnation;
    next.n = f->params.n;
    next.self = f->params.self;
    set_params(f, &next);
}

/* --- what is known --- */

void failover_node(struct failover *f, uint8_t place, bool alive, bool failed, bool maintenance)
{
    CHECK(place < f->params.n);
    struct failover_peer *p = &f->peers[place];
    if (failed)
        p->heard = false;
    p->alive = alive;
    p->failed = failed;
    p->maintenance = maintenance;
}

void failover_prefers(struct failover *f, uint8_t place, int32_t preference)
{
    CHECK(place < f->params.n);
    f->peers[place].preference = preference;
}

void failover_unsettled(struct failover *f, bool unsettled)
{
    f->unsettled = unsettled;
}

void failover_surroundings(struct failover *f, bool coordinator, bool isolated, uint32_t load)
{
    f->coordinator = coordinator;
    f->isolated = isolated;
    f->load = load;
}

void failover_take(struct failover *f, const struct failover_record *r, uint64_t now)
{
    if (f->record.r.known && r->r.revision && r->r.revision < f->record.r.revision)
        return;
    if (r->r.epoch <
        f->record.r.epoch) { /* removed, or restored: epochs only rise, so it is ours */
        f->record.r.revision = r->r.revision;
        f->rewrite = true;
        return;
    }
    bool first = !f->record.r.known || r->r.epoch != f->record.r.epoch;
    f->record = *r;
    f->rewrite = false;
    f->record.r.known = true;
    if (first)
        f->record_seen = now;
    if (r->r.wanted == ROLE_NOBODY && f->role.state != ROLE_YIELDS)
        f->role.stays = f->stays_at && now < f->stays_at + STAYS_NS ? f->role.stays : ROLE_NOBODY;
}

void failover_learn(struct failover *f, const struct failover_record *r, uint64_t now)
{
    failover_take(f, r, now);
}

void failover_reported(struct failover *f, const struct failover_report *r, uint64_t now)
{
    (void)now;
    bool anew = f->report.data && !r->data;
    if (!f->reported || anew || (r->instance == INSTANCE_DOWN && f->report.instance != r->instance))
        f->role.follows = ROLE_NOBODY; /* it knows of nobody any more */
    f->report = *r;
    f->reported = true;
    if (f->caught && r->data == f->caught && f->acted != f->caught)
        f->report.data = f->caught_data;
}

void failover_draft(struct failover *f, struct failover_record *out, const char *why)
{
    *out = f->record;
    out->when = f->host.wall(f->host.context);
    out->who[0] = 0;
    str_copy(out->why, sizeof out->why, str_of(why));
}

bool failover_ask_agent(struct failover *f, enum failover_act act, uint64_t epoch, uint8_t place,
                        uint64_t *ticket)
{
    *ticket = ++f->tickets;
    if (f->host.agent(f->host.context, *ticket, act, epoch, place))
        return true;
    *ticket = 0;
    return false;
}

bool failover_acts(const struct failover *f, uint8_t place)
{
    if (place == f->params.self)
        return f->promoted && f->promoted == f->record.r.epoch;
    return place < f->params.n && f->peers[place].heard && f->peers[place].said.epoch &&
           f->peers[place].said.epoch == f->record.r.epoch;
}

/* --- orders --- */

/* Who says that it acts under a later epoch than the record's, as it is known here, was named by a
 * later record: clients are led there before the watch has brought it. */
static void look_ahead(const struct failover *f, struct failover_row *row)
{
    for (uint8_t i = 0; i < f->params.n; i++) {
        const struct failover_peer *p = &f->peers[i];
        if (i == f->params.self || !p->heard || p->said.epoch <= row->epoch)
            continue;
        row->epoch = p->said.epoch;
        row->primary = 1u + i;
    }
}

static void flush_row(struct failover *f, uint64_t now)
{
    struct failover_row row = {.gate = f->promoted,
                               .hold = now < f->hold_until ? f->hold_until : 0,
                               .epoch = f->record.r.epoch,
                               .state = f->role.state};
    row.primary = f->record.r.primary < f->params.n ? 1u + f->record.r.primary : 0;
    insync_row(f, &row);
    if (!f->record.r.epoch && f->row_known) { /* what was known before counts until more is */
        row.epoch = f->row.epoch;
        row.primary = f->row.primary;
        row.sync = f->row.sync;
        row.insync = f->row.insync;
    }
    look_ahead(f, &row);
    if (f->row_known && memcmp(&row, &f->row, sizeof row) == 0)
        return;
    f->row = row;
    f->row_known = true;
    f->host.row(f->host.context, &row);
}

void failover_shut(struct failover *f, uint64_t now)
{
    if (!f->promoted)
        return;
    f->promoted = 0;
    flush_row(f, now);
    failover_tell(f, FAILOVER_NEWS_DEMOTED, f->params.self, "it takes no writes here any more");
}

static void count_flap(struct failover *f, struct failover_record *w)
{
    bool failover = f->role.state == ROLE_CHALLENGE && f->record.r.primary != ROLE_NOBODY &&
                    f->record.r.primary != f->params.self;
    uint64_t window = f->params.flap_window / MS;
    if (!failover)
        return;
    if (w->when > w->flaps_since + window) {
        w->flaps = 0;
        w->flaps_since = w->when;
    }
    w->flaps++;
}

static void write_record(struct failover *f, const struct role_order *o, uint64_t now)
{
    struct failover_record *w = &f->writing;
    failover_draft(f, w, o->why);
    w->r = o->record;
    w->from = f->role.state == ROLE_HANDS_OVER ? f->params.self : ROLE_NOBODY;
    if (!f->record.r.epoch) {
        w->r.insync = bit_at(f->params.self);
        w->r.sync = (uint8_t)f->params.sync;
    }
    w->r.holder = facts_holder(f, w->r.primary);
    count_flap(f, w);
    if (f->role.state == ROLE_CHALLENGE) {
        chain_step(f, FAILOVER_STEP_AGREED, f->record.r.primary, 0, now);
        chain_step(f, FAILOVER_STEP_CHALLENGE, f->params.self, 0, now);
    }
    f->facts.cas = PROGRESS_RUNS;
    f->facts.cas_unknown = f->facts.cas_lost = false;
    f->cas_ticket = ++f->tickets;
    if (!f->host.cas(f->host.context, f->cas_ticket, o->expected, w)) {
        f->cas_ticket = 0;
        f->facts.cas = PROGRESS_FAILED;
    }
}

static void read_record(struct failover *f, const struct role_order *o)
{
    f->facts.read = PROGRESS_RUNS;
    f->facts.read_gate = o->gate;
    f->read_ticket = ++f->tickets;
    if (!f->host.read(f->host.context, f->read_ticket)) {
        f->read_ticket = 0;
        f->facts.read = PROGRESS_FAILED;
    }
}

static void to_agent(struct failover *f, enum role_what what, enum failover_act act, uint64_t epoch,
                     uint8_t place, uint64_t now)
{
    f->agent_does = what;
    f->agent_since = now;
    bool asked = failover_ask_agent(f, act, epoch, place, &f->agent_ticket);
    f->facts.agent = asked ? PROGRESS_RUNS : PROGRESS_FAILED;
}

static void hold(struct failover *f, uint64_t now)
{
    if (now >= f->hold_until) {
        f->hold_until = now + f->params.hold;
        f->held_at = now;
    }
    f->settled_at = now + MIN(SETTLE_NS, f->params.hold);
    f->agent_does = ROLE_HOLD;
    f->agent_ticket = 0;
    f->facts.agent = PROGRESS_RUNS;
}

static void promote(struct failover *f, uint64_t now)
{
    f->agent_does = ROLE_PROMOTE;
    f->agent_since = now;
    f->agent_ticket = 0;
    f->facts.agent = PROGRESS_RUNS;
    f->fence.promotes = false;
    f->fence.catches = ROLE_NOBODY;
    chain_step(f, FAILOVER_STEP_CONFIRMED, f->params.self, 0, now);
}

static void acquire(struct failover *f, uint64_t epoch, uint64_t now)
{
    f->host.want(f->host.context, epoch);
    if (!f->role.acts) {
        if (!f->drafting.n)
            chain_begin(f, now);
        fence_begin(f, epoch, now);
    }
}

static void follow(struct failover *f, uint64_t now)
{
    if (f->record.r.epoch >= f->fenced.epoch)
        to_agent(f, ROLE_FOLLOW, FAILOVER_FOLLOW, f->record.r.epoch, f->record.r.primary, now);
    else
        f->facts.agent = PROGRESS_FAILED; /* the record that is known here is old: later */
}

static void carry_out(struct failover *f, const struct role_order *o, uint64_t now)
{
    void *at = f->host.context;
    switch (o->what) {
    case ROLE_NOTHING: return;
    case ROLE_CAS: write_record(f, o, now); return;
    case ROLE_READ: read_record(f, o); return;
    case ROLE_ACQUIRE: acquire(f, o->epoch, now); return;
    case ROLE_CONFIRM: f->host.confirm(at, o->gate, o->epoch); return;
    case ROLE_DROP:
        f->host.drop(at);
        f->say = true;
        return;
    case ROLE_PROMOTE: promote(f, now); return;
    case ROLE_REHEARSE: rehearse_begin(f, now); return;
    case ROLE_HOLD: hold(f, now); return;
    case ROLE_UNHOLD: f->hold_until = f->held_at = 0; return;
    case ROLE_DEMOTE:
        failover_shut(f, now);
        fence_reset(f);
        to_agent(f, o->what, FAILOVER_DEMOTE, f->record.r.epoch, ROLE_NOBODY, now);
        return;
    case ROLE_FOLLOW: follow(f, now); return;
    }
}

/* --- outcomes --- */

void failover_cas_answer(struct failover *f, uint64_t ticket, enum failover_outcome outcome,
                         uint64_t revision, uint64_t now)
{
    if (!ticket || insync_answered(f, ticket, outcome, revision, now) || ticket != f->cas_ticket)
        return;
    f->cas_ticket = 0;
    f->facts.cas = outcome == FAILOVER_DONE ? PROGRESS_DONE : PROGRESS_FAILED;
    f->facts.cas_unknown = outcome == FAILOVER_UNKNOWN;
    f->facts.cas_lost = outcome == FAILOVER_CONFLICT;
    if (outcome != FAILOVER_DONE)
        return;
    f->writing.r.revision = revision;
    if (f->writing.r.primary == f->params.self && !f->role.acts) {
        chain_step(f, FAILOVER_STEP_RECORDED, f->params.self, 0, now);
        failover_take(f, &f->writing, now);
        failover_tell(f, FAILOVER_NEWS_BEGINS, f->params.self, "%s", f->writing.why);
    }
    failover_take(f, &f->writing, now);
}

void failover_read_answer(struct failover *f, uint64_t ticket, bool ok,
                          const struct failover_record *r, uint64_t now)
{
    if (!ticket || rehearse_read(f, ticket, ok) || ticket != f->read_ticket)
        return;
    f->read_ticket = 0;
    f->facts.read = ok ? PROGRESS_DONE : PROGRESS_FAILED;
    if (ok)
        failover_take(f, r, now);
}

static void promoted(struct failover *f, uint64_t now)
{
    struct failover_lease lease = {.state = LEASE_IDLE};
    f->host.lease(f->host.context, &lease);
    if (lease.state != LEASE_HELD || lease.epoch != f->role.epoch || now >= lease.deadline) {
        f->facts.agent = PROGRESS_FAILED; /* too late: role.h sees that, and demotes */
        return;
    }
    f->promoted = f->acted = f->role.epoch;
    f->hold_until = 0;
    f->report.instance = INSTANCE_PRIMARY;
    f->report.well = true;
    f->report.data = f->promoted;
    f->waits = NULL;
    flush_row(f, now);
    chain_step(f, FAILOVER_STEP_PROMOTED, f->params.self, 0, now);
    chain_end(f);
    failover_tell(f, FAILOVER_NEWS_PROMOTED, f->params.self, "%s", f->record.why);
}

void failover_agent_answer(struct failover *f, uint64_t ticket, bool ok, uint64_t position,
                           uint64_t now)
{
    if (!ticket || fence_answered(f, ticket, ok, position, now) || ticket != f->agent_ticket)
        return;
    f->agent_ticket = 0;
    f->facts.agent = ok ? PROGRESS_DONE : PROGRESS_FAILED;
    if (f->agent_does == ROLE_PROMOTE) {
        f->fence.promotes = false;
        if (ok && f->role.state == ROLE_TAKES_OVER)
            promoted(f, now);
    }
    if (f->agent_does == ROLE_PROMOTE && f->facts.agent == PROGRESS_FAILED)
        failover_tell(f, FAILOVER_NEWS_FAILED, f->params.self, "the instance was not promoted");
}

void failover_agent_gone(struct failover *f, uint64_t now)
{
    (void)now;
    f->reported = false;
    f->report = (struct failover_report){.instance = INSTANCE_UNKNOWN};
    if (f->facts.agent == PROGRESS_RUNS && f->agent_does != ROLE_HOLD)
        f->facts.agent = PROGRESS_FAILED;
    f->agent_ticket = 0;
    f->role.follows = ROLE_NOBODY;
    fence_gone(f);
}

/* --- the turn --- */

static void look_at_time(struct failover *f, uint64_t now)
{
    struct role_facts *k = &f->facts;
    if (f->promoted && (!k->deadline || now >= k->deadline))
        failover_shut(f, now); /* it lapsed; what follows is role.h's to say */
    if (f->agent_does == ROLE_HOLD && k->agent == PROGRESS_RUNS) {
        if (now >= f->settled_at ||
            (f->row.hold == f->hold_until && f->host.quiet(f->host.context, f->hold_until)))
            k->agent = PROGRESS_DONE;
        else
            wake_at(f, MIN(f->settled_at, now + SETTLE_LOOK_NS));
    }
    rehearse_step(f, now);
    uint64_t late = f->agent_since + f->params.agent_patience;
    if (f->agent_ticket && now >= late) {
        f->agent_ticket = 0;
        k->agent = PROGRESS_FAILED;
    } else if (f->agent_ticket) {
        wake_at(f, late);
    }
}

static void take_over(struct failover *f, uint64_t now)
{
    bool under_way = f->role.state == ROLE_TAKES_OVER && f->agent_does == ROLE_PROMOTE &&
                     f->facts.agent == PROGRESS_RUNS;
    if (!under_way)
        return;
    f->facts.agent = fence_step(f, now);
    if (f->facts.agent == PROGRESS_FAILED) {
        failover_tell(f, FAILOVER_NEWS_FAILED, f->params.self, "%s",
                      f->waits          ? f->waits
                      : f->fence.failed ? f->fence.failed
                                        : "the agent could not be asked");
        fence_reset(f);
    }
}

static void step(struct failover *f, uint64_t now)
{
    for (int i = 0; i < ORDERS_AT_ONCE; i++) {
        enum role_state before = f->role.state;
        facts_gather(f, now);
        look_at_time(f, now);
        take_over(f, now);
        struct role_order o = role_step(&f->role, &f->facts, now);
        tell_state(f, before, now);
        if (f->role.state != ROLE_YIELDS && f->role.state != ROLE_HANDS_OVER)
            f->hold_until = 0;
        if (f->role.state == ROLE_PRIMARY)
            f->held_at = 0;
        if (o.what == ROLE_NOTHING && f->role.state == before)
            return;
        carry_out(f, &o, now);
    }
    wake_at(f, now); /* once more, after the others had their turn */
}

uint64_t failover_run(struct failover *f, uint64_t now)
{
    f->wake = UINT64_MAX;
    lag_step(f, now);
    if (is_candidate_here(f)) {
        step(f, now);
        fenced_step(f, now);
        insync_step(f, now);
        wake_at(f, role_wake(&f->role));
        if (f->promoted)
            wake_at(f, f->facts.deadline);
        say_step(f, now);
    }
    tell_step(f, now);
    chain_tell(f, now);
    flush_row(f, now);
    return MAX(f->wake, now);
}
