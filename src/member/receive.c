/* What comes in. Whoever is heard is alive at once; a message of an older incarnation, or of one
 * that said goodbye, is answered with what is known here, so that its sender rises above it. */
#include "member/inside.h"

#define RTT_MAX UINT32_C(60000000) /* us; more is a mistake, or a lie */

static uint32_t smooth(uint32_t old, uint32_t sample)
{
    return old ? (uint32_t)((old * UINT64_C(7) + sample) / 8) : sample;
}

static void measure(struct membership *m, struct peer *p, const struct gossip *g)
{
    uint32_t sample = (uint32_t)(m->now / 1000) - g->echo - g->held;
    if (!g->echo || sample > RTT_MAX)
        return;
    sample = MAX(sample, 1);
    p->rtt = smooth(p->rtt, sample);
    m->rtt = smooth(m->rtt, sample);
}

static struct standing heard_as(const struct membership *m, uint16_t slot, const struct gossip *g)
{
    const struct peer *p = &m->peers[slot];
    struct standing s = {g->incarnation, MEMBER_HEARD, g->flags & GOSSIP_MAINTENANCE};
    if (m->dense && p->reason == MEMBER_DEAF && agree_deaf(m, slot))
        s.reason = MEMBER_DEAF;
#if HF_PLANT == 1 /* PLANT_INCARNATION */
    if (p->state == MEMBER_FAILED || p->state == MEMBER_LEFT)
        s.incarnation = p->incarnation;
#endif
    return s;
}

/* False when the message is not to be listened to. */
static bool take_sender(struct membership *m, uint16_t slot, const struct gossip *g)
{
    struct peer *p = &m->peers[slot];
    if (g->incarnation < p->incarnation ||
        (g->incarnation == p->incarnation && p->state == MEMBER_LEFT)) {
        for (uint32_t i = 0; i < g->n_rumours; i++)
            if (g->rumours[i].id == m->peers[SELF].id)
                self_told(m, &g->rumours[i]);
        if (g->kind != GOSSIP_RUMOURS) /* else two of them might go on for ever */
            message_accuse(m, slot, (enum member_state)p->state);
        return false;
    }
    if (m->dense && !dense_heard(m, slot, g)) {
        /* Overtaken by a newer one: no sign of life, but perhaps an answer. Or a restarted node
         * that took an incarnation twice: a new one makes it heard. */
        if (m->dense->peers[slot].silent_since && g->kind != GOSSIP_RUMOURS)
            message_accuse(m, slot, MEMBER_SUSPECT);
        return true;
    }
    p->heard_at = MAX(m->now, 1);
    m->heard_last = slot;
    p->flags = (uint8_t)((p->flags & ~PEER_DENSE) | (g->flags & GOSSIP_DENSE ? PEER_DENSE : 0));
    measure(m, p, g);
    /* Others may suspect it yet: it must say itself that it is alive. */
    if (!m->dense && p->incarnation == g->incarnation && p->state != MEMBER_ALIVE &&
        g->kind != GOSSIP_RUMOURS)
        message_accuse(m, slot, (enum member_state)p->state);
    state_set(m, slot, heard_as(m, slot, g));
    return true;
}

static void acknowledge(struct membership *m, uint16_t from, const struct gossip *g)
{
    struct gossip a = message_begin(m, GOSSIP_ACK);
    a.answers = g->sequence;
    a.echo = g->stamp;
    message_send(m, from, &a);
}

static void take_kind(struct membership *m, uint16_t from, const struct gossip *g, bool news)
{
    switch ((enum gossip_kind)g->kind) {
    case GOSSIP_HEARTBEAT:
        if (!m->dense && g->flags & GOSSIP_DENSE)
            acknowledge(m, from, g); /* it expects heartbeats: answers will do */
        return;
    case GOSSIP_PROBE: acknowledge(m, from, g); return;
    case GOSSIP_ACK: probe_acked(m, from, g); return;
    case GOSSIP_INDIRECT: probe_indirect(m, from, g); return;
    case GOSSIP_PULL: swim_pulled(m, from, g); return;
    case GOSSIP_RUMOURS: swim_told_table(m, from, g, news); return;
    case GOSSIP_GOODBYE: return; /* taken before */
    case GOSSIP_GOODBYE_ACK: leave_acked(m, from); return;
    }
    /* A kind of a later release: a sign of life. */
}

void member_receive(struct membership *m, uint64_t from, const void *p, size_t n, uint64_t now)
{
    struct gossip g;
    self_observe(m, now);
    uint16_t slot = table_find(m, from);
    if (m->left || slot == NOBODY || slot == SELF)
        return;
    if (!gossip_read(p, n, &g)) {
        m->refused++;
        return;
    }
    if (g.kind == GOSSIP_GOODBYE) {
        leave_goodbye(m, slot, &g);
        return;
    }
    uint32_t unheard = m->unheard;
    if (!take_sender(m, slot, &g))
        return;
    m->pulling = g.kind == GOSSIP_RUMOURS && m->pull && g.answers == m->pull;
    for (uint32_t i = 0; i < g.n_rumours; i++)
        rumour_hear(m, slot, &g.rumours[i]);
    m->pulling = false;
    take_kind(m, slot, &g, m->unheard < unheard);
}
