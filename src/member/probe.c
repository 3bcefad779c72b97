/* Probes on behalf of others. A asks helper H to probe T; T's answer to H goes back to A as an
 * acknowledgement with T as its subject, or after a while one that says that T did not answer
 * (Lifeguard): then A knows that it is not A itself who is cut off. */
#include "member/inside.h"

#define HELPERS_MAX  8
#define TRIES        32
#define PATIENCE_RTT 4

/* ns that an answer of `target` may take. */
uint64_t probe_patience(const struct membership *m, uint16_t target)
{
    uint64_t rtt = m->peers[target].rtt ? m->peers[target].rtt : 2 * m->rtt;
    uint64_t least = m->params.period / 2, most = m->params.period * 5 / 2;
    uint64_t patience = rtt ? MIN(MAX(PATIENCE_RTT * rtt * 1000, least), most) : most;
    return self_stretch(m, patience);
}

static bool can_help(const struct membership *m, uint16_t slot, uint16_t target,
                     const uint16_t *chosen, uint32_t n)
{
    if (slot == SELF || slot == target || m->peers[slot].state != MEMBER_ALIVE)
        return false;
    for (uint32_t i = 0; i < n; i++)
        if (chosen[i] == slot)
            return false;
    return true;
}

/* Somebody at random; at first from another zone, whose path to the target may be another. */
static uint16_t choose(struct membership *m, uint16_t target, const uint16_t *chosen, uint32_t n)
{
    uint32_t zone = m->peers[SELF].zone;
    uint16_t found = NOBODY;
    for (uint32_t i = 0; i < TRIES; i++) {
        uint16_t slot = (uint16_t)prng_below(&m->prng, m->n);
        if (!can_help(m, slot, target, chosen, n))
            continue;
        found = slot;
        if (n > 0 || zone == 0 || m->peers[slot].zone != zone)
            break;
    }
    return found;
}

uint32_t probe_ask_helpers(struct membership *m, uint16_t target, uint32_t sequence)
{
    uint16_t chosen[HELPERS_MAX];
    uint32_t n = 0;
    while (n < m->params.indirect) {
        uint16_t helper = choose(m, target, chosen, n);
        if (helper == NOBODY)
            break;
        chosen[n++] = helper;
        struct gossip g = message_begin(m, GOSSIP_INDIRECT);
        g.has_subject = true;
        g.subject = m->peers[target].id;
        g.answers = sequence;
        message_send(m, helper, &g);
    }
    return n;
}

static void answer(struct membership *m, uint64_t origin, uint64_t target, uint32_t sequence,
                   bool yes)
{
    uint16_t slot = table_find(m, origin);
    if (slot == NOBODY)
        return;
    struct gossip g = message_begin(m, GOSSIP_ACK);
    g.flags |= yes ? 0 : GOSSIP_NOT;
    g.has_subject = true;
    g.subject = target;
    g.answers = sequence;
    message_send(m, slot, &g);
}

static struct relay *free_relay(struct membership *m)
{
    for (uint32_t i = 0; i < RELAYS; i++)
        if (!m->relays[i].target)
            return &m->relays[i];
    return NULL; /* busy: the asker has other helpers */
}

void probe_indirect(struct membership *m, uint16_t from, const struct gossip *g)
{
    uint16_t target = table_find(m, g->subject);
    struct relay *r = free_relay(m);
    if (target == NOBODY || target == SELF || target == from || !r)
        return;
#if HF_PLANT == 2 /* PLANT_STALE */
    answer(m, m->peers[from].id, g->subject, g->answers, m->peers[target].state != MEMBER_FAILED);
    return;
#endif
    *r = (struct relay){
        .origin = m->peers[from].id,
        .target = g->subject,
        .until = m->now + probe_patience(m, target),
        .origin_sequence = g->answers,
        .sequence = message_plain(m, target, GOSSIP_PROBE),
    };
    wake(m, r->until);
}

static void through_helper(struct membership *m, const struct gossip *g)
{
    uint16_t target = table_find(m, g->subject);
    if (target == NOBODY || target == SELF)
        return;
    if (!m->dense) {
        swim_acked(m, target, g);
        return;
    }
    struct dense_peer *d = &m->dense->peers[target];
    if (g->flags & GOSSIP_NOT || !d->silent_since || d->probe != g->answers)
        return;
    d->vouched_until = m->now + m->params.suspect_after;
    wake(m, m->now);
}

void probe_acked(struct membership *m, uint16_t from, const struct gossip *g)
{
    if (g->has_subject) {
        through_helper(m, g);
        return;
    }
    for (uint32_t i = 0; i < RELAYS; i++) {
        struct relay *r = &m->relays[i];
        if (r->target != m->peers[from].id || r->sequence != g->answers)
            continue;
        r->target = 0;
        answer(m, r->origin, m->peers[from].id, r->origin_sequence, true);
    }
    if (!m->dense)
        swim_acked(m, from, g);
}

void probe_tick(struct membership *m)
{
    for (uint32_t i = 0; i < RELAYS; i++) {
        struct relay *r = &m->relays[i];
        if (!r->target)
            continue;
        if (m->now < r->until) {
            wake(m, r->until);
            continue;
        }
        uint64_t target = r->target;
        r->target = 0;
        answer(m, r->origin, target, r->origin_sequence, false);
    }
}
