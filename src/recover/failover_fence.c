/* Fences: what stands between a lease that is held and a promotion.
 *
 * From the compare-and-set on, not only from the lease on, this node asks the others to take
 * nothing more from whoever was primary before its epoch: their answers are there when the lease
 * is. Each answer names the history and the exact position; both stay so until the node is told to
 * follow. Rule 1 of failover.h says how many are enough. A node that lost what it had (`data` 0)
 * counts only when all of S have answered: then nothing better can come from S. It may from those
 * that S became smaller without (the record's `without`): a primary that loses sight of the others
 * asks for that and dies, and its compare-and-set lands after it. So all of them must answer then.
 *
 * The other side (fenced_*): the highest epoch that was asked counts. A node that acts ends first.
 */
#include "recover/failover_inside.h"

#include <stdio.h>

#define GRACE_BEATS 1 /* so long the others are waited for when they need not be */

/* --- whoever takes over --- */

void fence_reset(struct failover *f)
{
    f->fence = (struct failover_fence){.catches = ROLE_NOBODY};
}

static bool is_there(const struct failover *f, uint8_t i)
{
    return f->peers[i].alive && !f->peers[i].failed;
}

static void ask_others(struct failover *f, uint64_t now)
{
    struct role_message m = say_message(f, ROLE_FENCE, f->fence.epoch);
    f->fence.asked_at = now;
    for (uint32_t i = 0; i < f->params.n; i++) {
        if (i == f->params.self || f->fence.done & bit_at(i) || !is_there(f, i))
            continue;
        f->fence.asked |= bit_at(i);
        f->host.send(f->host.context, i, &m);
    }
}

static void ask_self(struct failover *f)
{
    f->fence.asked |= bit_at(f->params.self);
    failover_ask_agent(f, FAILOVER_FENCE, f->fence.epoch, ROLE_NOBODY, &f->fence.ticket);
}

void fence_begin(struct failover *f, uint64_t epoch, uint64_t now)
{
    if (f->fence.epoch == epoch)
        return;
    fence_reset(f);
    f->fence.epoch = epoch;
    f->fence.began = now;
    f->fenced.epoch = MAX(f->fenced.epoch, epoch);
    chain_step(f, FAILOVER_STEP_FENCE, ROLE_NOBODY, 0, now);
    ask_self(f);
    ask_others(f, now);
}

static void take_answer(struct failover *f, uint8_t from, uint64_t data, uint64_t position,
                        uint64_t now)
{
    f->fence.done |= bit_at(from);
    f->fence.data[from] = data;
    f->fence.position[from] = position;
    chain_step(f, FAILOVER_STEP_FENCED, from, position, now);
}

void fence_heard(struct failover *f, uint8_t from, const struct role_message *m, uint64_t now)
{
    bool ours = f->fence.epoch && m->epoch == f->fence.epoch && f->fence.asked & bit_at(from);
    if (m->kind != ROLE_FENCED || !ours || f->fence.done & bit_at(from))
        return;
    f->peers[from].said.data = m->data; /* the latest that is known of it */
    take_answer(f, from, m->data, m->position, now);
}

bool fence_answered(struct failover *f, uint64_t ticket, bool ok, uint64_t position, uint64_t now)
{
    uint64_t data = f->report.data;
    if (ticket == f->fence.ticket) {
        f->fence.ticket = 0;
        if (ok && f->fence.catches == ROLE_NOBODY)
            take_answer(f, f->params.self, data, position, now);
        return true;
    }
    if (ticket != f->fenced.ticket)
        return false;
    f->fenced.ticket = 0;
    f->role.follows = ROLE_NOBODY;
    struct role_message m = say_message(f, ok ? ROLE_FENCED : ROLE_UNFENCED, f->fenced.asked);
    if (ok)
        m.position = position;
    f->host.send(f->host.context, f->fenced.by, &m);
    f->fenced.by = ROLE_NOBODY;
    return true;
}

void fence_gone(struct failover *f)
{
    fence_reset(f);
    f->fenced.ticket = 0;
    f->fenced.by = ROLE_NOBODY;
}

/* --- enough? --- */

static bool says_it_lost(const struct failover *f, uint8_t i)
{
    const struct failover_peer *p = &f->peers[i];
    return i == f->params.self ? f->reported && !f->report.data : p->heard && !p->said.data;
}

/* Whoever lost what it had after it answered says so. */
static bool still_has_it(const struct failover *f, uint8_t i)
{
    return f->fence.data[i] && !says_it_lost(f, i);
}

static uint32_t honest(const struct failover *f, uint16_t of)
{
    uint32_t n = 0;
    for (uint8_t i = 0; i < f->params.n; i++)
        n += (of & f->fence.done & bit_at(i)) && still_has_it(f, i);
    return n;
}

/* It has been primary of just this history all along: nobody has what it lacks. */
static bool has_all(const struct failover *f)
{
    const struct failover_fence *x = &f->fence;
    uint8_t self = f->params.self;
    return x->done & bit_at(self) && f->acted == x->epoch && x->data[self] == x->epoch &&
           still_has_it(f, self);
}

static bool giver_answered(const struct failover *f, uint64_t now)
{
    uint8_t from = f->record.from;
    if (from >= f->params.n || from == f->params.self || !is_there(f, from))
        return true;
    return f->fence.done & bit_at(from) || now >= f->fence.began + SECOND;
}

static bool all_answered(const struct failover *f)
{
    for (uint8_t i = 0; i < f->params.n; i++)
        if (is_there(f, i) && !(f->fence.done & bit_at(i)))
            return false;
    return true;
}

static void too_few(struct failover *f, uint32_t have, uint32_t need)
{
    snprintf(f->waits_text, sizeof f->waits_text,
             "%u in-sync nodes still have their data and refuse the old primary; %u are needed, or "
             "acknowledged writes could be lost",
             have, need);
    f->waits = f->waits_text;
}

/* Nobody of S can tell what was acknowledged. True: those that could have been asked, all. */
static bool all_without_answered(struct failover *f)
{
    uint16_t missing = f->record.r.without & (uint16_t)~f->fence.done;
    if (!missing)
        return true;
    snprintf(f->waits_text, sizeof f->waits_text,
             "too few in-sync nodes still have their data, and %d that were in sync just before "
             "do not answer: acknowledged writes could be lost",
             __builtin_popcount(missing));
    f->waits = f->waits_text;
    return false;
}

static bool is_enough(struct failover *f, uint64_t now)
{
    const struct role_record *k = &f->record.r;
    uint8_t self = f->params.self;
    uint32_t acks = failover_needs(f, k->insync, k->strangers, k->sync);
    uint32_t members = (uint32_t)__builtin_popcount(k->insync) + k->strangers;
    bool whole = !k->strangers && (k->insync & ~f->fence.done) == 0;
    uint64_t grace = f->fence.began + GRACE_BEATS * f->params.lease.beat;
    if (!(f->fence.done & bit_at(self)))
        return false;
    if (has_all(f))
        return true;
    if (!giver_answered(f, now)) {
        wake_at(f, f->fence.began + SECOND);
        return false;
    }
    uint32_t have = honest(f, k->insync), need = MAX(1, members - MIN(acks, members));
    if (k->sync && !k->forced && have < need) {
        if (!whole)
            too_few(f, have, need);
        if (!whole || !all_without_answered(f))
            return false;
    }
    if (acks && !k->forced)
        return true;
    if (now >= grace || all_answered(f))
        return true;
    wake_at(f, grace);
    return false;
}

static bool is_able(const struct failover *f, uint8_t i)
{
    const struct failover_peer *p = &f->peers[i];
    return is_there(f, i) && !p->maintenance && p->heard && p->said.flags & ROLE_WELL;
}

/* More of what nobody vouches for counts where role.h lets it be promoted. */
static bool could_lead(const struct failover *f, uint8_t i)
{
    return is_able(f, i) && (!f->record.r.sync || f->record.r.insync & bit_at(i));
}

static bool has_more(const struct failover *f, uint8_t a, uint8_t b)
{
    const struct failover_fence *x = &f->fence;
    uint64_t of_a = still_has_it(f, a) ? x->data[a] : 0, of_b = still_has_it(f, b) ? x->data[b] : 0;
    if (of_a != of_b || of_a)
        return of_a != of_b ? of_a > of_b : x->position[a] > x->position[b];
    return could_lead(f, a) && x->position[a] > x->position[b];
}

/* Of S when enough of it still have their data: what was acknowledged is there, and to fetch more
 * from others would cost what this one has. Else of all. */
static uint8_t most_advanced(const struct failover *f)
{
    const struct role_record *k = &f->record.r;
    uint32_t acks = failover_needs(f, k->insync, k->strangers, k->sync);
    uint32_t members = (uint32_t)__builtin_popcount(k->insync) + k->strangers;
    bool enough = acks && !k->forced && honest(f, k->insync) >= members - MIN(acks, members);
    uint16_t of = enough ? k->insync & f->fence.done : f->fence.done;
    uint8_t best = f->params.self;
    for (uint8_t i = 0; i < f->params.n; i++)
        if (of & bit_at(i) && has_more(f, i, best))
            best = i;
    return best;
}

/* --- the steps of a take-over --- */

static enum role_progress promote(struct failover *f, uint64_t now)
{
    f->fence.promotes = true;
    chain_step(f, FAILOVER_STEP_PROMOTE, f->params.self, 0, now);
    return failover_ask_agent(f, FAILOVER_PROMOTE, f->role.epoch, ROLE_NOBODY, &f->agent_ticket)
               ? PROGRESS_RUNS
               : PROGRESS_FAILED;
}

static enum role_progress catch_up(struct failover *f, uint8_t with, uint64_t now)
{
    struct failover_fence *x = &f->fence;
    x->catches = with;
    x->catch_since = now;
    x->catch_data = x->data[with];
    x->catch_position = x->position[with];
    f->caught = x->epoch; /* what is reported under it is still of the old history */
    f->caught_data = x->catch_data;
    chain_step(f, FAILOVER_STEP_CATCH_UP, with, x->catch_position, now);
    return failover_ask_agent(f, FAILOVER_FOLLOW, x->epoch, with, &x->ticket) ? PROGRESS_RUNS
                                                                              : PROGRESS_FAILED;
}

/* Patience is for one that makes no progress: what it must have it waits for. */
static enum role_progress catching(struct failover *f, uint64_t now)
{
    struct failover_fence *x = &f->fence;
    bool must = f->record.r.sync && !f->record.r.forced;
    if (f->report.data >= x->catch_data && f->report.position >= x->catch_position) {
        x->position[f->params.self] = x->catch_position;
        x->data[f->params.self] = x->catch_data;
        return promote(f, now);
    }
    if (must && f->report.position != x->catch_seen)
        x->catch_since = now;
    x->catch_seen = f->report.position;
    uint64_t until = x->catch_since + f->params.agent_patience;
    wake_at(f, until);
    if (now < until)
        return PROGRESS_RUNS;
    if (!must)
        return promote(f, now);
    x->failed = "the one that has more writes did not give them in time";
    return PROGRESS_FAILED;
}

/* Who says that it lost what it had: after its answer, or was that said before it? */
static void doubt(struct failover *f)
{
    for (uint8_t i = 0; i < f->params.n; i++)
        if (i != f->params.self && f->fence.data[i] && says_it_lost(f, i))
            f->fence.done &= (uint16_t)~bit_at(i);
}

static void ask_again(struct failover *f, uint64_t now)
{
    uint64_t at = f->fence.asked_at + f->params.lease.beat;
    if (now >= at) {
        ask_others(f, now);
        if (!f->fence.ticket && !(f->fence.done & bit_at(f->params.self)))
            ask_self(f);
        at = now + f->params.lease.beat;
    }
    wake_at(f, at);
}

/* What it waits for may come, for a while. */
static enum role_progress in_time(const struct failover *f, uint64_t now)
{
    bool late = now >= f->fence.began + f->params.agent_patience && now >= f->role.since + SECOND;
    return late ? PROGRESS_FAILED : PROGRESS_RUNS;
}

static enum role_progress leave_turn(struct failover *f, uint8_t to, uint64_t now)
{
    if (!is_able(f, to)) {
        f->waits = "its instance began anew, and the one that has the data is not well";
        return in_time(f, now);
    }
    f->fence.failed = "its instance began anew, and another one has more: it is its turn";
    return PROGRESS_FAILED;
}

enum role_progress fence_step(struct failover *f, uint64_t now)
{
    struct failover_fence *x = &f->fence;
    if (x->promotes)
        return PROGRESS_RUNS; /* its answer ends it */
    if (x->epoch != f->role.epoch) {
        /* Raised while it acts: it has everything, and nobody needs to be asked. */
        if (f->promoted && f->report.data == f->promoted && f->promoted < f->role.epoch)
            return promote(f, now);
        fence_begin(f, f->role.epoch, now);
    }
    if (x->catches != ROLE_NOBODY)
        return catching(f, now);
    doubt(f);
    ask_again(f, now);
    if (!is_enough(f, now))
        return in_time(f, now);
    f->waits = NULL;
    uint8_t best = has_all(f) ? f->params.self : most_advanced(f);
    /* Nobody may fetch from one that began anew, nor from one that follows this node under this
     * very epoch: a fence does not part those. */
    if (best != f->params.self && (!x->data[best] || x->data[best] == x->epoch))
        return leave_turn(f, best, now);
    chain_step(f, FAILOVER_STEP_ENOUGH, ROLE_NOBODY, 0, now);
    return best == f->params.self ? promote(f, now) : catch_up(f, best, now);
}

/* --- whoever is asked --- */

void fenced_asked(struct failover *f, uint8_t by, const struct role_message *m)
{
    if (m->epoch < f->fenced.epoch || m->epoch < f->record.r.epoch || m->epoch <= f->promoted) {
        struct role_message no = say_message(f, ROLE_UNFENCED, m->epoch);
        f->host.send(f->host.context, by, &no);
        return;
    }
    if (m->epoch != f->fenced.asked)
        f->fenced.ticket = 0; /* the order under way is of an older question: none of this one */
    f->fenced.epoch = f->fenced.asked = m->epoch;
    f->fenced.by = by;
}

static void not_fenced(struct failover *f)
{
    struct failover_fenced *x = &f->fenced;
    struct role_message no = say_message(f, ROLE_UNFENCED, x->asked);
    f->host.send(f->host.context, x->by, &no);
    x->ticket = 0;
    x->by = ROLE_NOBODY;
}

/* One that acts ends first: its position is not the last one. An agent that does not answer is
 * asked again when whoever takes over asks again. */
void fenced_step(struct failover *f, uint64_t now)
{
    struct failover_fenced *x = &f->fenced;
    uint64_t late = x->since + f->params.agent_patience;
    if (x->ticket && now >= late)
        not_fenced(f);
    else if (x->ticket)
        wake_at(f, late);
    bool acts = f->role.acts || f->agent_does == ROLE_PROMOTE;
    if (x->by == ROLE_NOBODY || x->ticket || acts || f->agent_ticket)
        return;
    x->since = now;
    failover_ask_agent(f, FAILOVER_FENCE, x->asked, ROLE_NOBODY, &x->ticket);
}
