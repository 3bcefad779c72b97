#include "recover/failover_world_test.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define START (100000 * TICK)

/* HOLDFAST_TRACE=1: one line for each thing that happens. */
static void __attribute__((format(printf, 3, 4)))
trace(const struct world *w, uint8_t i, const char *fmt, ...)
{
    va_list args;
    if (!w->traced)
        return;
    printf("%6lu %c ", (unsigned long)w->tick, 'a' + i);
    va_start(args, fmt);
    vprintf(fmt, args);
    va_end(args);
    putchar('\n');
}

static bool chance(struct world *w, double p)
{
    return prng_unit(&w->prng) < p;
}

static uint64_t now_of(const struct world *w)
{
    return START + w->tick * TICK;
}

static bool is_up(const struct world *w, uint8_t i)
{
    return w->nodes[i].down_until <= w->tick;
}

static bool runs(const struct world *w, uint8_t i)
{
    return is_up(w, i) && w->nodes[i].paused_until <= w->tick;
}

static bool is_cut(const struct world *w, uint8_t i)
{
    return w->nodes[i].cut_until > w->tick;
}

static bool lives(const struct world *w, uint8_t i)
{
    return runs(w, i) && w->nodes[i].instance.down_until <= w->tick;
}

static bool is_ill(const struct world *w, uint8_t i)
{
    return w->nodes[i].instance.ill_until > w->tick;
}

static bool reach(const struct world *w, uint8_t i, uint8_t k)
{
    return lives(w, i) && lives(w, k) && !is_cut(w, i) && !is_cut(w, k);
}

static bool gate_is_open(const struct world *w, uint8_t i)
{
    const struct member *m = &w->nodes[i];
    return runs(w, i) && m->row.gate && m->row.gate == m->holder.epoch &&
           lease_deadline(&m->holder, now_of(w));
}

uint8_t world_acts(const struct world *w)
{
    for (uint8_t i = 0; i < NODES; i++)
        if (gate_is_open(w, i) && lives(w, i) && w->nodes[i].instance.promoted)
            return i;
    return ROLE_NOBODY;
}

/* --- the net --- */

static void post(struct world *w, struct parcel p)
{
    bool far = p.from != p.to || p.kind >= TO_COORDINATOR;
    bool stream = p.kind == TO_NODE; /* comes, unless the link is cut */
    if (far && !w->calm && !stream && chance(w, w->loss))
        return;
    if (far && (is_cut(w, p.from) || is_cut(w, p.to)))
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
        post(w, (struct parcel){.from = from, .to = i, .kind = TO_VOTER, .lease = *m});
}

static void at_coordinator(struct world *w, struct parcel p)
{
    if (w->away_until > w->tick)
        return;
    p.conflict = p.cas && p.expected != w->record.r.revision;
    if (p.cas && !p.conflict) {
        trace(w, p.from, "record: epoch %lu, primary %d, S %x sync %d",
              (unsigned long)p.record.r.epoch, p.record.r.primary, p.record.r.insync,
              p.record.r.sync);
        w->record = p.record;
        w->record.r.revision = ++w->revision;
    }
    p.record = w->record;
    p.kind = FROM_COORDINATOR;
    if (p.cas && !w->calm && chance(w, w->unknown))
        return;
    post(w, p);
}

static void answered(struct world *w, const struct parcel *p)
{
    struct member *m = &w->nodes[p->to];
    if (p->incarnation != m->incarnation)
        return;
    for (int i = 0; i < 8; i++) {
        if (m->asks[i] != p->ticket)
            continue;
        m->asks[i] = 0;
        if (p->cas)
            failover_cas_answer(&m->core, p->ticket,
                                p->conflict ? FAILOVER_CONFLICT : FAILOVER_DONE,
                                p->record.r.revision, now_of(w));
        else
            failover_read_answer(&m->core, p->ticket, true, &p->record, now_of(w));
    }
}

static void holder_effects(struct world *w, uint8_t i, unsigned effects,
                           const struct lease_message *m)
{
    if (effects & LEASE_SEND)
        to_voters(w, i, m);
    w->nodes[i].outdated |= (effects & LEASE_OUTDATED) != 0;
}

static void deliver(struct world *w, struct parcel *p)
{
    struct member *to = &w->nodes[p->to];
    struct parcel answer = {.from = p->to, .to = p->from, .kind = TO_HOLDER};
    switch ((enum parcel_kind)p->kind) {
    case TO_COORDINATOR: at_coordinator(w, *p); return;
    case FROM_COORDINATOR: answered(w, p); return;
    case TO_NODE: failover_hear(&to->core, p->from, &p->role, now_of(w)); return;
    case TO_VOTER:
        if (lease_voter_receive(&to->voter, p->from + 1u, &p->lease, now_of(w), &answer.lease))
            post(w, answer);
        return;
    case TO_HOLDER:
        holder_effects(w, p->to, lease_receive(&to->holder, p->from + 1u, &p->lease, now_of(w)),
                       NULL);
        return;
    }
}

static void deliver_due(struct world *w)
{
    for (uint32_t i = 0; i < w->queued;) {
        struct parcel p = w->queue[i];
        if (p.at > w->tick || (is_up(w, p.to) && !runs(w, p.to) && p.kind != TO_COORDINATOR)) {
            i++;
            continue;
        }
        w->queue[i] = w->queue[--w->queued];
        if (p.kind == TO_COORDINATOR || runs(w, p.to))
            deliver(w, &p);
    }
}

/* --- the host --- */

static bool ask(struct member *m, struct parcel p)
{
    for (int i = 0; i < 8; i++) {
        if (m->asks[i])
            continue;
        m->asks[i] = p.ticket;
        m->asks_at[i] = m->world->tick;
        m->asks_cas[i] = p.cas;
        p.from = p.to = m->place;
        p.kind = TO_COORDINATOR;
        p.incarnation = m->incarnation;
        post(m->world, p);
        return true;
    }
    return false;
}

static bool host_cas(void *context, uint64_t ticket, uint64_t expected,
                     const struct failover_record *r)
{
    return ask(context,
               (struct parcel){.cas = true, .ticket = ticket, .expected = expected, .record = *r});
}

static bool host_read(void *context, uint64_t ticket)
{
    return ask(context, (struct parcel){.ticket = ticket});
}

static bool host_agent(void *context, uint64_t ticket, enum failover_act act, uint64_t epoch,
                       uint8_t place)
{
    struct member *m = context;
    struct instance *x = &m->instance;
    static const char *const names[] = {"follow", "fence", "promote", "demote"};
    trace(m->world, m->place, "agent: %s %d, epoch %lu; has %u of %lu", names[act], place,
          (unsigned long)epoch, x->n, (unsigned long)x->history);
    uint64_t before = x->ticket;
    if (m->deaf && act == FAILOVER_FENCE) {
        m->deaf = false;
        return true;
    }
    x->ticket = ticket;
    x->act = (uint8_t)act;
    x->order_epoch = epoch;
    x->place = place;
    x->due = m->world->tick + 1 + prng_below(&m->world->prng, 5);
    if (before) /* the next one ends the one before */
        failover_agent_answer(&m->core, before, false, 0, now_of(m->world));
    return true;
}

static void host_lease(void *context, struct failover_lease *out)
{
    struct member *m = context;
    *out = (struct failover_lease){
        m->holder.state, m->holder.epoch, lease_deadline(&m->holder, now_of(m->world)),
        m->holder.gate,  m->holder.seen,  m->outdated};
    if (m->world->plant == PLANT_ALWAYS_HELD && m->holder.state == LEASE_ACQUIRING) {
        m->holder.state = LEASE_GATE;
        m->holder.gate++;
        m->holder.deadline = now_of(m->world) + LEASE * TICK;
    }
}

static void host_want(void *context, uint64_t epoch)
{
    struct member *m = context;
    struct lease_message out;
    m->outdated = false;
    holder_effects(m->world, m->place, lease_want(&m->holder, epoch, now_of(m->world), &out), &out);
}

static void host_confirm(void *context, uint64_t gate, uint64_t epoch)
{
    struct member *m = context;
    lease_confirm(&m->holder, gate, epoch, now_of(m->world));
}

static void host_drop(void *context)
{
    struct member *m = context;
    struct lease_message out;
    m->outdated = false;
    if (lease_drop(&m->holder, now_of(m->world), &out))
        to_voters(m->world, m->place, &out);
}

static void host_send(void *context, uint8_t place, const struct role_message *msg)
{
    struct member *m = context;
    struct role_message told = *msg;
    if (m->world->plant == PLANT_FENCE_LIES && msg->kind == ROLE_FENCED)
        told.position = 0;
    for (uint8_t i = 0; i < NODES; i++)
        if (i != m->place && (place == i || place == ROLE_NOBODY))
            post(m->world,
                 (struct parcel){.from = m->place, .to = i, .kind = TO_NODE, .role = told});
}

static void host_row(void *context, const struct failover_row *row)
{
    struct member *m = context;
    m->row = *row;
}

static void host_news(void *context, const struct failover_news *news)
{
    struct member *m = context;
    trace(m->world, m->place, "news %d about %d, epoch %lu, S %x sync %d: %s", news->what,
          news->place, (unsigned long)news->epoch, m->core.record.r.insync, m->core.record.r.sync,
          news->text);
    m->world->switchovers += news->what == FAILOVER_NEWS_YIELDS;
    m->world->waits += news->what == FAILOVER_NEWS_WAITS;
    m->world->demotions += news->what == FAILOVER_NEWS_DEMOTED;
    if (news->what == FAILOVER_NEWS_PROMOTED)
        for (uint32_t i = 0; i < m->core.chain.n; i++)
            m->world->catch_ups += m->core.chain.steps[i].kind == FAILOVER_STEP_CATCH_UP;
}

static bool host_quiet(void *context, uint64_t hold)
{
    const struct member *m = context;
    assert_int_equal(hold, m->row.hold);
    return !m->world->busy;
}

static uint64_t host_wall(void *context)
{
    return 1000000 + ((struct member *)context)->world->tick;
}

/* --- instances --- */

static bool is_prefix(const struct instance *a, const struct instance *b)
{
    return a->n <= b->n && (a->n == 0 || a->log[a->n - 1] == b->log[a->n - 1]);
}

static void has_what_was_acknowledged(struct world *w, const struct instance *x)
{
    for (uint32_t i = 0; i < LOG; i++)
        if (w->acked_at[i] && (i >= x->n || x->log[i] != w->acked_at[i])) {
            w->broken = "an acknowledged write is lost";
            trace(w, 0, "lost at %u", i);
            return;
        }
}

static void do_promote(struct world *w, struct instance *x)
{
    trace(w, (uint8_t)(CONTAINER_OF(x, struct member, instance)->place),
          "promoted under %lu with %u of %lu", (unsigned long)x->order_epoch, x->n,
          (unsigned long)x->history);
    if (x->order_epoch < w->promoted_epoch)
        w->broken = "an old epoch is promoted after a newer one";
    if (x->order_epoch != w->promoted_epoch)
        w->promotions++;
    w->promoted_epoch = x->order_epoch;
    x->promoted = true;
    x->follows = ROLE_NOBODY;
    x->history = x->order_epoch;
    if (w->sync && !w->broken)
        has_what_was_acknowledged(w, x);
}

static void do_follow(struct world *w, struct instance *x)
{
    if (x->follows == x->place && x->joined) {
        x->follows_epoch = x->order_epoch; /* only the epoch is another: and what it began with */
        x->join_until = w->nodes[x->place].instance.n;
        return;
    }
    x->promoted = x->joined = false;
    x->follows = x->place;
    x->follows_epoch = x->order_epoch;
    x->join_at = w->tick + prng_below(&w->prng, 4);
}

static void do_fence(struct world *w, struct instance *x)
{
    bool already = (x->promoted && x->history == x->order_epoch) ||
                   (x->follows != ROLE_NOBODY && x->follows_epoch == x->order_epoch);
    if (already)
        return;
    x->promoted = x->joined = false;
    x->follows = ROLE_NOBODY;
}

static void order_done(struct world *w, uint8_t i)
{
    struct member *m = &w->nodes[i];
    struct instance *x = &m->instance;
    if (!x->ticket || x->due > w->tick)
        return;
    uint64_t ticket = x->ticket;
    bool safe = x->act == FAILOVER_DEMOTE, ok = lives(w, i) && (safe || x->order_epoch >= x->epoch);
    x->ticket = 0;
    x->epoch = MAX(x->epoch, x->order_epoch);
    if (safe) {
        x->promoted = false;
        ok = true;
    } else if (ok && x->act == FAILOVER_PROMOTE) { /* it looks at the cells itself */
        ok = m->holder.epoch == x->order_epoch && lease_deadline(&m->holder, now_of(w));
        if (ok)
            do_promote(w, x);
    } else if (ok && x->act == FAILOVER_FOLLOW) {
        do_follow(w, x);
    } else if (ok && x->act == FAILOVER_FENCE) {
        do_fence(w, x);
    }
    failover_agent_answer(&m->core, ticket, ok, x->n, now_of(w));
}

static void replicate(struct world *w, uint8_t i)
{
    struct instance *x = &w->nodes[i].instance;
    if (x->follows == ROLE_NOBODY)
        return;
    const struct instance *from = &w->nodes[x->follows].instance;
    if (!reach(w, i, x->follows) || (x->joined && x->joined_life != from->life)) {
        x->joined = false; /* also when the other one has begun anew */
        return;
    }
    if (!x->joined) {
        if (w->tick < x->join_at || !from->history)
            return;                /* one that began anew gives nothing to anybody */
        if (!is_prefix(x, from)) { /* all of it anew: what it had is gone from here on */
            x->n = 0;
            x->history = 0;
            x->life++;
        }
        x->joined = true;
        x->join_until = from->n;
        x->joined_life = from->life;
    }
    for (int k = 0; k < 6 && x->n < from->n; k++, x->n++)
        x->log[x->n] = from->log[x->n];
    if (x->n >= MIN(x->join_until, from->n) && x->history < x->follows_epoch)
        x->history = x->follows_epoch;
}

static struct failover_report report_of(struct world *w, uint8_t i)
{
    const struct instance *x = &w->nodes[i].instance;
    struct failover_report r = {.instance = INSTANCE_DOWN};
    if (!lives(w, i))
        return r;
    r.instance = x->promoted ? INSTANCE_PRIMARY : INSTANCE_REPLICA;
    r.well = !is_ill(w, i);
    r.data = w->plant == PLANT_NO_HISTORY ? 1 : x->history;
    r.position = x->n;
    for (uint8_t k = 0; k < NODES; k++) {
        const struct instance *o = &w->nodes[k].instance;
        if (k == i || o->follows != i || !o->joined || !reach(w, i, k))
            continue;
        r.replicas[k].connected = true;
        r.replicas[k].acked = w->plant == PLANT_ACKS_LIE ? x->n : o->n;
    }
    return r;
}

/* --- clients --- */

static bool has_write(const struct world *w, uint8_t primary, uint8_t k, uint32_t at)
{
    const struct instance *o = &w->nodes[k].instance;
    return o->follows == primary && o->joined && reach(w, primary, k) && o->n > at;
}

static void serve(struct world *w, uint8_t i)
{
    struct member *m = &w->nodes[i];
    struct instance *x = &m->instance;
    if (!gate_is_open(w, i) || !lives(w, i) || !x->promoted) {
        m->pending = UINT32_MAX;
        return;
    }
    w->serving_ticks += !is_ill(w, i);
    m->pending = MIN(m->pending, x->n);
    if (!m->row.hold && x->n < LOG && !is_ill(w, i) && chance(w, 0.5))
        x->log[x->n++] = ++w->written;
    for (; m->pending < x->n; m->pending++) {
        uint32_t acks = 0, need = (uint32_t)m->row.sync;
        for (uint8_t k = 0; k < NODES; k++) {
            bool counts = m->row.insync >> k & 1 || w->plant == PLANT_OLD_SET;
            acks += k != i && counts && has_write(w, i, k, m->pending);
        }
        if (acks + (w->plant == PLANT_FIRST_COME) < need)
            return;
        trace(w, i, "acknowledges %u (sync %u, S %x)", m->pending, need, (unsigned)m->row.insync);
        w->acked_at[m->pending] = x->log[m->pending];
        w->acknowledged++;
    }
}

/* --- a node --- */

static void learn(struct world *w, struct member *m)
{
    bool reachable = !is_cut(w, m->place) && w->away_until <= w->tick;
    failover_surroundings(&m->core, reachable, is_cut(w, m->place), 0);
    if (reachable && chance(w, 0.3))
        failover_learn(&m->core, &w->record, now_of(w));
    for (uint8_t k = 0; k < NODES; k++) {
        bool silent = k != m->place && (!runs(w, k) || is_cut(w, k) || is_cut(w, m->place));
        bool wrong = !w->calm && k != m->place && chance(w, w->wrong);
        bool failed = (silent && !is_cut(w, m->place) && w->tick >= FAILED_AFTER) || wrong;
        failover_node(&m->core, k, !silent, failed, false);
    }
}

static void give_up_asking(struct world *w, struct member *m)
{
    for (int i = 0; i < 8; i++) {
        uint64_t ticket = m->asks[i];
        if (!ticket || w->tick <= m->asks_at[i] + LEASE)
            continue;
        m->asks[i] = 0;
        if (m->asks_cas[i])
            failover_cas_answer(&m->core, ticket, FAILOVER_UNKNOWN, 0, now_of(w));
        else
            failover_read_answer(&m->core, ticket, false, NULL, now_of(w));
    }
}

static void turn(struct world *w, uint8_t i)
{
    struct member *m = &w->nodes[i];
    struct lease_message out;
    holder_effects(w, i, lease_tick(&m->holder, now_of(w), &out), &out);
    give_up_asking(w, m);
    order_done(w, i);
    learn(w, m);
    struct failover_report r = report_of(w, i);
    failover_reported(&m->core, &r, now_of(w));
    failover_run(&m->core, now_of(w));
}

/* Anew: nothing is known, and the instance has nothing. */
static void begin(struct world *w, uint8_t i)
{
    static const uint64_t ids[NODES] = {1, 2, 3};
    static const struct failover_host host = {
        NULL,      host_cas,  host_read, host_agent, host_lease, host_want, host_confirm,
        host_drop, host_send, host_row,  host_news,  host_quiet, host_wall};
    struct member *m = &w->nodes[i];
    struct lease_params l = {LEASE * TICK, DEMOTE * TICK, BEAT * TICK, 10000};
    struct failover_params p = {.lease = l,
                                .role = 7,
                                .n = NODES,
                                .self = i,
                                .sync = w->sync,
                                .strict = w->strict,
                                .rehearses = true,
                                .hold = NODES * LEASE * TICK,
                                .agent_patience = 2 * LEASE * TICK,
                                .seed = prng_next(&w->prng)};
    uint64_t down = m->down_until, cut = m->cut_until;
    uint32_t life = m->instance.life + 1;
    memset(m, 0, sizeof *m);
    m->instance.life = life;
    m->world = w;
    m->place = i;
    m->down_until = down;
    m->cut_until = cut;
    m->incarnation = p.incarnation = prng_next(&w->prng);
    m->pending = UINT32_MAX;
    m->instance.follows = ROLE_NOBODY;
    lease_holder_init(&m->holder, &l, p.role, m->incarnation);
    lease_holder_voters(&m->holder, 1, ids, NODES);
    lease_voter_init(&m->voter, &l, now_of(w));
    lease_voter_set(&m->voter, 1, true);
    struct failover_host h = host;
    h.context = m;
    failover_init(&m->core, &p, &h, now_of(w));
}

/* --- faults --- */

/* Whether what was acknowledged survives the loss of what this node has: the promise is one
 * failure, of a set that is whole, also while it changes. */
static bool may_lose(const struct world *w, uint8_t i)
{
    uint16_t others = w->record.r.insync & (uint16_t) ~(1u << i);
    if (!w->sync)
        return true;
    if (!others || !w->record.r.sync)
        return false;
    for (uint8_t k = 0; k < NODES; k++)
        if (others >> k & 1 && !w->nodes[k].instance.history)
            return false;
    return true;
}

void world_crash(struct world *w, uint8_t i, uint64_t ticks)
{
    trace(w, i, "crashes for %lu; S %x", (unsigned long)ticks, w->record.r.insync);
    w->nodes[i].down_until = w->tick + ticks;
    begin(w, i);
}

void world_break(struct world *w, uint8_t i, uint64_t ticks)
{
    struct instance *x = &w->nodes[i].instance;
    trace(w, i, "instance dies for %lu; S %x", (unsigned long)ticks, w->record.r.insync);
    uint64_t epoch = x->epoch, ticket = x->ticket;
    uint32_t life = x->life + 1;
    memset(x, 0, sizeof *x);
    x->life = life;
    x->epoch = epoch;
    x->ticket = ticket;
    x->follows = ROLE_NOBODY;
    x->down_until = w->tick + ticks;
}

void world_ail(struct world *w, uint8_t i, uint64_t ticks)
{
    trace(w, i, "instance is ill for %lu", (unsigned long)ticks);
    w->nodes[i].instance.ill_until = w->tick + ticks;
}

static void disturb(struct world *w)
{
    for (uint8_t i = 0; i < NODES; i++) {
        struct member *m = &w->nodes[i];
        if (runs(w, i) && chance(w, w->crash) && may_lose(w, i))
            world_crash(w, i, 1 + prng_below(&w->prng, 8 * LEASE));
        if (lives(w, i) && chance(w, w->breaks) && may_lose(w, i))
            world_break(w, i, 1 + prng_below(&w->prng, 3 * LEASE));
        if (lives(w, i) && chance(w, w->ill))
            world_ail(w, i, 1 + prng_below(&w->prng, 8 * LEASE));
        if (chance(w, w->cut))
            m->cut_until = w->tick + prng_below(&w->prng, 8 * LEASE);
        if (runs(w, i) && chance(w, w->pause))
            m->paused_until = w->tick + prng_below(&w->prng, 8 * LEASE);
    }
    if (chance(w, w->away))
        w->away_until = w->tick + prng_below(&w->prng, 8 * LEASE);
    if (w->record.r.revision && chance(w, w->operator)) {
        struct failover_record r = w->record;
        struct err e;
        if (failover_wants_switchover(&r, (uint8_t)prng_below(&w->prng, NODES), &e) == 0) {
            w->record = r;
            w->record.r.revision = ++w->revision;
        }
    }
}

void world_calm(struct world *w)
{
    w->calm = true;
    w->away_until = 0;
    for (uint8_t i = 0; i < NODES; i++) {
        struct member *m = &w->nodes[i];
        m->down_until = m->cut_until = m->paused_until = 0;
        m->instance.down_until = m->instance.ill_until = 0;
    }
}

/* --- what must hold --- */

static void look(struct world *w)
{
    uint32_t acting = 0;
    for (uint8_t i = 0; i < NODES; i++)
        acting += gate_is_open(w, i) && lives(w, i) && w->nodes[i].instance.promoted;
    if (acting > 1)
        w->broken = "two act at once";
}

bool world_is_well(const struct world *w)
{
    uint8_t primary = w->record.r.primary;
    if (primary == ROLE_NOBODY || world_acts(w) != primary ||
        w->record.r.insync != (1u << NODES) - 1)
        return false;
    for (uint8_t i = 0; i < NODES; i++)
        if (i != primary &&
            (w->nodes[i].instance.follows != primary || !w->nodes[i].instance.joined))
            return false;
    return w->nodes[primary].holder.epoch == w->record.r.epoch && !w->nodes[primary].row.hold;
}

struct world *world_make(uint64_t seed, uint32_t sync, enum plant plant)
{
    struct world *w = calloc(1, sizeof *w);
    assert_non_null(w);
    prng_seed(&w->prng, seed);
    w->sync = sync;
    w->plant = plant;
    w->traced = getenv("HOLDFAST_TRACE") != NULL;
    w->strict = sync && seed % 4 == 0;
    double *rates[] = {&w->loss, &w->slow,    &w->crash,
                       &w->cut,  &w->breaks,  &w->wrong,
                       &w->away, &w->unknown, &w->operator, & w->pause,
                       &w->ill};
    static const double most[] = {0.3,   0.2, 0.002, 0.003, 0.002, 0.02,
                                  0.002, 0.2, 0.003, 0.002, 0.002};
    for (size_t i = 0; i < ARRAY_LEN(rates); i++)
        *rates[i] = prng_unit(&w->prng) * prng_unit(&w->prng) * most[i];
    w->record.r =
        (struct role_record){.known = true, .primary = ROLE_NOBODY, .wanted = ROLE_NOBODY};
    w->record.from = ROLE_NOBODY;
    for (uint8_t i = 0; i < NODES; i++)
        begin(w, i);
    return w;
}

void world_run(struct world *w, uint64_t ticks)
{
    for (uint64_t end = w->tick + ticks; w->tick < end && !w->broken; w->tick++) {
        if (!w->calm)
            disturb(w);
        deliver_due(w);
        for (uint8_t i = 0; i < NODES; i++)
            if (runs(w, i))
                turn(w, i);
        for (uint8_t i = 0; i < NODES; i++)
            if (lives(w, i))
                replicate(w, i);
        for (uint8_t i = 0; i < NODES; i++)
            serve(w, i);
        look(w);
    }
}
