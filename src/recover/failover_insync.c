/* The in-sync set S, and how many acknowledgements a reply needs. Only the primary changes S, one
 * step at a time, each by compare-and-set:
 *
 *     RESTS ----> SETTLES ----> DRAINS ----> WRITES ----> RESTS
 *           differs       a beat       caught up     done, conflict
 *
 * From SETTLES on the row asks for what S and its successor both need, so that replies of either
 * side meet the fences of a promotion under either record. A beat later whoever acknowledges has
 * seen that row; what was written until then must be on as many of the new set as it will need
 * (DRAINS), for the acknowledgements that it had may be of nodes that leave. Then the record is
 * written. An outcome that is not known is asked for again under the same revision until it is.
 *
 * A set that shrinks so far that a reply needs nobody any more is the exception: nothing is drained
 * for nobody could be promoted but the primary, and replies wait until the record says so.
 *
 * What was asked for may land for as long as the record has the revision that it was asked under:
 * also after the lease was lost, and taken again under the same epoch. So that is not forgotten
 * with the lease; a process that goes on where another one was writes the record once more, which
 * bars what that one asked for, and keeps to its row until then.
 *
 * The record keeps whom S became smaller `without`, for its primary may be dead when that is
 * written, and without its data: then they have all that was acknowledged. Once it has acted
 * under the new set for WITHOUT_NS, theirs is old, and they are forgotten. That is written of the
 * past: it is true whenever it lands. */
#include "recover/failover_inside.h"

#define CONNECT_NS (300 * MS) /* a link between instances may be gone for so long */
#define WITHOUT_NS (10 * SECOND)

uint32_t failover_needs(const struct failover *f, uint16_t insync, uint8_t strangers, uint8_t sync)
{
    uint32_t members = (uint32_t)__builtin_popcount(insync) + strangers;
    if (f->params.strict)
        return sync;
    return MIN(sync, members ? members - 1 : 0);
}

void insync_reset(struct failover *f)
{
    f->insync = (struct failover_insync){.stage = INSYNC_RESTS};
}

static uint32_t needs_now(const struct failover *f)
{
    const struct role_record *k = &f->record.r;
    return failover_needs(f, k->insync, k->strangers, k->sync);
}

static uint32_t needs_next(const struct failover *f)
{
    return failover_needs(f, f->insync.to, 0, (uint8_t)f->params.sync);
}

/* Who is known to follow this epoch. An acknowledgement of one that still follows an older one is
 * none: at a fence its history would be taken for less than it is. */
static uint16_t followers(const struct failover *f)
{
    uint16_t set = bit_at(f->params.self);
    for (uint8_t i = 0; i < f->params.n; i++)
        if (i != f->params.self && f->peers[i].heard && f->peers[i].said.data == f->promoted)
            set |= bit_at(i);
    return set;
}

/* The process that was here before may have asked for another set than the record has. The row that
 * it left takes both into account. */
static bool may_have_asked(const struct failover *f)
{
    return f->promoted && f->promoted == f->resumed;
}

void insync_row(const struct failover *f, struct failover_row *row)
{
    uint16_t from = f->record.r.insync, to = f->insync.to;
    row->sync = needs_now(f);
    row->insync = from;
    if (may_have_asked(f)) {
        row->sync = MAX(row->sync, f->before.sync);
        row->insync = f->before.insync & followers(f);
        return;
    }
    if (f->promoted && f->record.r.sync && !(from & bit_at(f->params.self))) {
        row->sync = MAX(row->sync, 1); /* of none of S: nothing is acknowledged until it is */
        row->insync = 0;
        return;
    }
    if (f->insync.stage != INSYNC_RESTS) {
        uint32_t new = (uint32_t)__builtin_popcount(to & ~from & ~bit_at(f->params.self));
        bool grows = (to & ~from) != 0;
        row->insync = grows && needs_next(f) <= row->sync ? from & to : to;
        if (row->insync == to && row->sync)
            row->sync += new; /* they may acknowledge first, and a fence under S asks S alone */
        row->sync = MAX(row->sync, needs_next(f));
    }
    if (f->promoted)
        row->insync &= followers(f);
}

/* --- who should be in it --- */

static uint64_t acked(const struct failover *f, uint8_t i)
{
    const struct failover_peer *p = &f->peers[i];
    uint64_t told = p->heard && p->said.data == f->report.data ? p->said.position : 0;
    return MAX(f->report.replicas[i].acked, told);
}

static bool is_connected(const struct failover *f, uint8_t i)
{
    const struct failover_peer *p = &f->peers[i];
    return p->alive && !p->failed && p->heard && p->said.instance == INSTANCE_REPLICA &&
           p->said.data == f->promoted && f->report.replicas[i].connected;
}

/* How long ago the place had everything that there was then. */
static void watch_pace(struct failover *f, uint64_t now)
{
    for (uint32_t i = 0; i < f->params.n; i++) {
        struct failover_pace *p = &f->pace[i];
        if (!is_connected(f, i) || (p->at && acked(f, i) < p->mark))
            continue;
        p->mark = f->report.position;
        p->at = now;
    }
}

static bool is_lost(struct failover *f, uint8_t i, uint64_t now)
{
    const struct failover_peer *p = &f->peers[i];
    uint64_t patience = is_connected(f, i) ? f->params.lag_time : CONNECT_NS;
    uint64_t since = MAX(f->pace[i].at, f->insync.epoch == f->promoted ? f->insync.began : now);
    if (p->failed || (p->heard && p->said.instance == INSTANCE_DOWN))
        return true;
    if (now < since + patience)
        wake_at(f, since + patience);
    return now >= since + patience;
}

static bool keeps_up(const struct failover *f, uint8_t i, uint64_t now)
{
    const struct failover_pace *p = &f->pace[i];
    uint64_t behind = f->report.position - MIN(f->report.position, acked(f, i));
    bool bytes = !f->params.lag_bytes || behind <= f->params.lag_bytes;
    return is_connected(f, i) && p->at && now - p->at <= f->params.lag_time / 2 && bytes;
}

static uint16_t should_be(struct failover *f, uint64_t now)
{
    uint16_t set = f->record.r.insync | bit_at(f->params.self);
    uint16_t left = set, more = set;
    for (uint32_t i = 0; i < f->params.n; i++) {
        if (i == f->params.self)
            continue;
        if (set & bit_at(i) && is_lost(f, i, now))
            left &= (uint16_t)~bit_at(i);
        else if (!(set & bit_at(i)) && keeps_up(f, i, now))
            more |= bit_at(i);
    }
    bool too_few = f->params.strict && (uint32_t)__builtin_popcount(left) <= f->params.sync;
    if (left != set && !too_few)
        return left;
    return more;
}

/* --- the steps --- */

/* When they are forgotten. */
static uint64_t without_until(const struct failover *f)
{
    return f->insync.shrunk_at + WITHOUT_NS;
}

static bool is_same(const struct failover *f, uint16_t to)
{
    const struct role_record *k = &f->record.r;
    return to == k->insync && !k->strangers && k->sync == f->params.sync;
}

static void watch_without(struct failover *f, uint64_t now)
{
    struct failover_insync *x = &f->insync;
    if (f->record.r.without & ~x->without)
        x->shrunk_at = now;
    x->without = f->record.r.without;
    if (x->without && now < without_until(f))
        wake_at(f, without_until(f));
}

static bool differs(const struct failover *f, uint16_t to, uint64_t now)
{
    const struct role_record *k = &f->record.r;
    if (may_have_asked(f) || (k->without && now >= without_until(f)))
        return true;
    bool given_up = k->wanted != ROLE_NOBODY && k->wanted == f->role.stays;
    return f->rewrite || to != k->insync || k->strangers || k->sync != f->params.sync || given_up ||
           k->wanted == f->params.self;
}

static bool is_drained(const struct failover *f)
{
    if (is_same(f, f->insync.to))
        return true; /* nobody needs to have anything */
    uint32_t enough = 0;
    for (uint8_t i = 0; i < f->params.n; i++)
        enough += i != f->params.self && f->insync.to & bit_at(i) && is_connected(f, i) &&
                  acked(f, i) >= f->insync.mark;
    return enough >= needs_next(f);
}

/* A compare-and-set of this node's is under way, or never was answered. */
static bool may_land(const struct failover *f)
{
    const struct failover_insync *x = &f->insync;
    return x->stage == INSYNC_WRITES && x->expected == f->record.r.revision;
}

static void write_set(struct failover *f, uint64_t now)
{
    struct failover_insync *x = &f->insync;
    struct failover_record *w = &x->writing;
    failover_draft(f, w, f->record.why);
    str_copy(w->who, sizeof w->who, str_of(f->record.who));
    w->when = f->record.when;
    uint16_t were = now < without_until(f) ? w->r.without : 0;
    w->r.without = (uint16_t)((were | w->r.insync) & ~x->to);
    w->r.insync = x->to;
    w->r.sync = (uint8_t)f->params.sync;
    w->r.strangers = 0;
    w->r.forced = false;
    if (w->r.wanted == f->role.stays || w->r.wanted == f->params.self)
        w->r.wanted = ROLE_NOBODY;
    if (x->stage != INSYNC_WRITES)
        x->unknown = false;
    x->stage = INSYNC_WRITES;
    x->retry_at = now + f->params.lease.beat;
    x->ticket = ++f->tickets;
    if (!f->host.cas(f->host.context, x->ticket, x->expected, w))
        x->ticket = 0;
}

static void begin(struct failover *f, uint16_t to, uint64_t now)
{
    struct failover_insync *x = &f->insync;
    x->to = to;
    x->stage = INSYNC_SETTLES;
    x->since = now;
    x->expected = f->record.r.revision;
    if (is_same(f, to))
        x->stage = INSYNC_DRAINS;
    x->mark = 0;
}

static void advance(struct failover *f, uint16_t to, uint64_t now)
{
    struct failover_insync *x = &f->insync;
    uint64_t settled = x->since + f->params.lease.beat;
    if (x->stage == INSYNC_WRITES) {
        if (!x->ticket && x->expected != f->record.r.revision)
            x->stage =
                INSYNC_RESTS; /* what was written can land no more, and what is there is known */
        else if (!x->ticket && now >= x->retry_at)
            write_set(f, now);
        else if (!x->ticket)
            wake_at(f, x->retry_at);
        return;
    }
    if (to != x->to || x->expected != f->record.r.revision) {
        begin(f, to, now);
        settled = now + f->params.lease.beat;
    }
    if (x->stage == INSYNC_SETTLES && needs_next(f) == 0)
        x->stage = INSYNC_DRAINS;
    if (x->stage == INSYNC_SETTLES && now >= settled) {
        x->mark = f->report.position;
        x->stage = INSYNC_DRAINS;
    }
    if (x->stage == INSYNC_SETTLES)
        wake_at(f, settled);
    if (x->stage == INSYNC_DRAINS && is_drained(f))
        write_set(f, now);
}

void insync_step(struct failover *f, uint64_t now)
{
    struct failover_insync *x = &f->insync;
    bool acts = f->promoted && f->role.state == ROLE_PRIMARY && f->record.r.epoch == f->promoted;
    if ((x->epoch != f->promoted || !f->promoted) && !may_land(f))
        insync_reset(f);
    if (!acts) {
        x->epoch = f->promoted ? x->epoch : 0;
        return;
    }
    if (x->epoch != f->promoted) {
        memset(f->pace, 0, sizeof f->pace);
        x->epoch = f->promoted;
        x->began = now;
    }
    watch_pace(f, now);
    watch_without(f, now);
    uint16_t to = may_have_asked(f) ? f->record.r.insync : should_be(f, now);
    if (x->stage == INSYNC_RESTS &&
        (now < x->retry_at || !f->coordinator || !differs(f, to, now))) {
        if (f->coordinator && differs(f, to, now)) /* that it is back is told */
            wake_at(f, x->retry_at);
        return;
    }
    if (x->stage == INSYNC_RESTS)
        begin(f, to, now);
    if (x->stage != INSYNC_WRITES && !differs(f, to, now))
        x->stage = INSYNC_RESTS;
    else
        advance(f, to, now);
}

bool insync_answered(struct failover *f, uint64_t ticket, enum failover_outcome outcome,
                     uint64_t revision, uint64_t now)
{
    struct failover_insync *x = &f->insync;
    if (ticket != x->ticket)
        return false;
    x->ticket = 0;
    x->retry_at = now + f->params.lease.beat;
    x->unknown |= outcome == FAILOVER_UNKNOWN;
    if (outcome == FAILOVER_FAILED && !x->unknown)
        x->stage = INSYNC_RESTS;
    if (outcome != FAILOVER_DONE) /* once more under the same revision, until it is another */
        return true;
    x->stage = INSYNC_RESTS;
    x->retry_at = now;
    f->resumed = 0;
    bool news = x->writing.r.insync != f->record.r.insync;
    x->writing.r.revision = revision;
    failover_take(f, &x->writing, now);
    if (news)
        failover_tell(f, FAILOVER_NEWS_INSYNC, ROLE_NOBODY, "the in-sync set is another");
    return true;
}
