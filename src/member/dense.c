/* Up to 32 nodes: a heartbeat to everybody each interval, and how long each has been silent.
 *
 * Rounds keep their schedule. What must not wait (this node finds somebody silent, somebody failed
 * or left, its own incarnation rose) goes out at once as a round out of turn, which says nothing
 * about intervals; such rounds keep an eighth of the interval between them. Failed members are sent
 * heartbeats too: that is how both sides find out that a cut has healed. */
#include "member/inside.h"

#define BIT(slot) (UINT32_C(1) << (slot))
#define OUTAGE    2 /* suspect_after: a longer silence tells nothing about intervals */

bool dense_start(struct membership *m)
{
    m->dense = mem_zero(1, sizeof *m->dense);
    if (!m->dense)
        return false;
    m->dense->next_round = m->now;
    for (uint32_t i = 1; i < m->n; i++)
        dense_add(m, (uint16_t)i);
    return true;
}

void dense_add(struct membership *m, uint16_t slot)
{
    m->dense->peers[slot].added_at = m->now;
    dense_urgent(m);
}

void dense_again(struct membership *m, uint16_t slot)
{
    struct dense *d = m->dense;
    d->hears &= ~BIT(slot);
    d->silent &= ~BIT(slot);
    d->peers[slot] = (struct dense_peer){.added_at = m->now};
    wake(m, m->now);
}

static uint32_t move_bit(uint32_t bits, uint16_t to, uint16_t from)
{
    uint32_t bit = bits >> from & 1;
    bits &= ~(BIT(from) | BIT(to));
    return to == from ? bits : bits | bit << to;
}

void dense_drop(struct membership *m, uint16_t slot, uint16_t last)
{
    struct dense *d = m->dense;
    d->peers[slot] = d->peers[last];
    d->peers[last] = (struct dense_peer){0};
    d->hears = move_bit(d->hears, slot, last);
    d->silent = move_bit(d->silent, slot, last);
    for (uint32_t i = 0; i < MEMBER_DENSE_MAX; i++) {
        d->peers[i].hears = move_bit(d->peers[i].hears, slot, last);
        d->peers[i].silent = move_bit(d->peers[i].silent, slot, last);
    }
}

void dense_urgent(struct membership *m)
{
    if (!m->dense)
        return;
    m->dense->urgent = true;
    wake(m, m->dense->last_round + m->params.heartbeat / 8);
}

static uint32_t said(const struct gossip *g, enum gossip_hearing what, const uint16_t *slots)
{
    uint32_t bits = 0;
    for (uint32_t i = 0; i < g->n_hearing; i++)
        if (g->hearing[i] == what && slots[i] != NOBODY)
            bits |= BIT(slots[i]);
    return bits;
}

/* Senders list ids in their order, as we do: the search begins where the last one ended. */
static void take_hearing(struct membership *m, uint16_t from, const struct gossip *g)
{
    uint16_t slots[GOSSIP_HEARING_MAX];
    uint32_t at = 0;
    for (uint32_t i = 0; i < g->n_hearing; i++) {
        slots[i] = NOBODY;
        for (uint32_t tries = 0; tries < m->n && slots[i] == NOBODY; tries++) {
            uint16_t slot = m->by_id[at];
            at = at + 1 == m->n ? 0 : at + 1;
            if ((uint32_t)m->peers[slot].id == g->ids[i])
                slots[i] = slot;
        }
    }
    struct dense_peer *d = &m->dense->peers[from];
    uint32_t hears = said(g, GOSSIP_HEARS, slots), silent = said(g, GOSSIP_SILENT, slots);
    if (d->hears != hears || d->silent != silent)
        wake(m, m->now);
    d->hears = hears;
    d->silent = silent;
    struct peer *p = &m->peers[from];
    p->flags = (uint8_t)((p->flags & ~PEER_HEARS_ME) | (hears & BIT(SELF) ? PEER_HEARS_ME : 0));
}

/* The counting of messages began anew. */
static void new_life(struct dense_peer *d, uint64_t incarnation)
{
    d->life = incarnation;
    d->sequence = 0;
    d->hears = d->silent = d->stamp = 0;
    if (d->silent_since)
        arrival_break(&d->arrival);
}

bool dense_heard(struct membership *m, uint16_t slot, const struct gossip *g)
{
    struct dense_peer *d = &m->dense->peers[slot];
    if (g->incarnation != d->life)
        new_life(d, g->incarnation);
    else if ((int32_t)(g->sequence - d->sequence) <= 0)
        return false;
    if (m->peers[slot].state == MEMBER_FAILED)
        arrival_break(&d->arrival);
    arrival_heard(&d->arrival, m->now, g->kind == GOSSIP_HEARTBEAT && !(g->flags & GOSSIP_EXTRA),
                  OUTAGE * m->params.suspect_after);
    d->sequence = g->sequence;
    d->stamp = g->stamp;
    d->stamp_at = m->now;
    d->told_failed_at = 0;
    d->silent_since = d->vouched_until = 0;
    if (!(m->dense->hears & BIT(slot)))
        wake(m, m->now);
    m->dense->hears |= BIT(slot);
    m->dense->silent &= ~BIT(slot);
    if (g->has_hearing)
        take_hearing(m, slot, g);
    return true;
}

/* Somebody says that it failed. Whether this node believes it is judged in the next tick. */
void dense_told_failed(struct membership *m, uint16_t from, uint16_t slot,
                       const struct gossip_rumour *r)
{
    struct standing s = standing_of(&m->peers[slot]);
    if (r->incarnation > s.incarnation) {
        s.incarnation = r->incarnation;
        s.maintenance = r->maintenance;
        state_set(m, slot, s);
    }
    if (agree_believed(m, from) && m->now >= m->stale_until) /* else it was thought long ago */
        m->dense->peers[slot].told_failed_at = MAX(m->now, 1);
    wake(m, m->now);
}

/* Whoever thinks so says it with each heartbeat: what was said longer ago is no longer thought. */
bool dense_told_lately(const struct membership *m, uint16_t slot)
{
    uint64_t at = m->dense->peers[slot].told_failed_at;
    return at && m->now - at <= m->params.suspect_after;
}

/* Never before suspect_after of silence, nor before what intervals so far make likely. Whom nobody
 * has heard yet may take its time to start. */
static uint64_t doubtful_after(const struct membership *m, uint16_t slot)
{
    const struct dense_peer *d = &m->dense->peers[slot];
    struct arrival_params p = {m->params.heartbeat, m->params.suspect_after, m->params.phi_tenths};
    return d->arrival.last ? arrival_suspect_at(&d->arrival, &p) - d->arrival.last
                           : m->params.suspect_after * ARRIVAL_STRETCH;
}

/* Longer for a node that trusts itself less. */
uint64_t dense_silence(const struct membership *m, uint16_t slot)
{
    return self_stretch(m, doubtful_after(m, slot));
}

uint64_t dense_silent_from(const struct membership *m, uint16_t slot)
{
    const struct dense_peer *d = &m->dense->peers[slot];
    return d->arrival.last ? d->arrival.last : d->added_at;
}

void dense_skip(struct membership *m, uint64_t unobserved)
{
    for (uint32_t i = 1; m->dense && i < m->n; i++) {
        struct dense_peer *d = &m->dense->peers[i];
        arrival_skip(&d->arrival, unobserved, m->now);
        d->added_at = MIN(d->added_at + unobserved, m->now);
        if (d->silent_since)
            d->silent_since = MIN(d->silent_since + unobserved, m->now);
        if (d->vouched_until)
            d->vouched_until += unobserved;
    }
}

/* A node that is slow is patient before it says that somebody is silent, but it does not say either
 * that it hears him: its patience must not keep the others from agreeing. */
static void doubt(struct membership *m, uint16_t slot)
{
    uint64_t at = dense_silent_from(m, slot) + doubtful_after(m, slot);
    if (m->now < at)
        wake(m, at);
    else
        m->dense->hears &= ~BIT(slot);
}

static void listen(struct membership *m, uint16_t slot)
{
    struct dense_peer *d = &m->dense->peers[slot];
    if (m->peers[slot].state == MEMBER_LEFT || d->silent_since)
        return;
    uint64_t at = dense_silent_from(m, slot) + dense_silence(m, slot);
    if (m->now < at) {
        doubt(m, slot);
        wake(m, at);
        return;
    }
    d->silent_since = m->now;
    m->dense->hears &= ~BIT(slot);
    m->dense->silent |= BIT(slot);
    dense_urgent(m);
}

static void send_round(struct membership *m, bool in_turn)
{
    struct dense *d = m->dense;
    d->urgent = false;
    d->last_round = m->now;
    for (uint32_t i = 1; i < m->n; i++) {
        if (m->peers[i].state == MEMBER_LEFT)
            continue;
        struct gossip g = message_begin(m, GOSSIP_HEARTBEAT);
        g.flags |= in_turn ? 0 : GOSSIP_EXTRA;
        message_send(m, (uint16_t)i, &g);
    }
    rumour_round(m);
}

static void rounds(struct membership *m)
{
    struct dense *d = m->dense;
    if (m->now >= d->next_round) {
        d->next_round += m->params.heartbeat;
        if (d->next_round <= m->now)
            d->next_round = m->now + m->params.heartbeat;
        send_round(m, true);
    } else if (d->urgent && m->now >= d->last_round + m->params.heartbeat / 8) {
        send_round(m, false);
    }
    wake(m, d->next_round);
    if (d->urgent)
        dense_urgent(m);
}

void dense_tick(struct membership *m)
{
    for (uint32_t i = 1; i < m->n; i++)
        listen(m, (uint16_t)i);
    for (uint32_t i = 1; i < m->n; i++)
        agree_judge(m, (uint16_t)i);
    rounds(m);
}
