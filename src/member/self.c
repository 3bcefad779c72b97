/* This node: its incarnation, and how far it trusts its own clockwork.
 *
 * Lifeguard (A. Dadgar et al., DSN-W 2018): most false suspicions are raised by nodes that are slow
 * themselves. Each has a local health, 1 (well) to 8, raised by its own late timers and, above 32
 * nodes, by probes that nobody answered and by being suspected itself, lowered by time; it
 * multiplies how long others may be silent. */
#include "member/inside.h"

#define SLEPT       5      /* suspect_after: what came meanwhile may be that old */
#define HEALS_AFTER SECOND /* one step */

void self_health(struct membership *m, int by)
{
    if (by > 0)
        m->health_at = m->now;
    m->health = by < 0 ? MAX(m->health, 2u) - 1 : MIN(m->health + (uint32_t)by, MEMBER_HEALTH_MAX);
}

uint64_t self_stretch(const struct membership *m, uint64_t ns)
{
#if HF_PLANT == 3 /* PLANT_HEALTH */
    return ns / m->health;
#endif
    return ns * m->health;
}

static void heal(struct membership *m)
{
    while (m->health > 1 && m->now - m->health_at >= HEALS_AFTER) {
        m->health--;
        m->health_at += HEALS_AFTER;
    }
}

void self_observe(struct membership *m, uint64_t now)
{
    m->now = MAX(m->now, now);
    uint64_t late = m->now > m->due ? m->now - m->due : 0;
    if (late > m->params.heartbeat) {
        self_health(m, late > m->params.suspect_after ? 2 : 1);
        if (late > SLEPT * m->params.suspect_after)
            m->stale_until = m->now + m->params.heartbeat;
        dense_skip(m, late);
        swim_skip(m, late);
        m->leave_at = MIN(m->leave_at + late, m->now);
        m->due = m->now;
    }
    heal(m);
}

void self_refute(struct membership *m, uint64_t claimed)
{
    struct standing s = standing_of(&m->peers[SELF]);
    if (claimed >= GOSSIP_INCARNATION_MAX)
        return;
    s.incarnation = MAX(claimed, s.incarnation) + 1;
    state_set(m, SELF, s);
    m->host.incarnation(m->host.context, s.incarnation);
}

/* What others say of this node: anything but that it is alive now is answered by a higher
 * incarnation. Also that a higher one was alive: that was this node, before it lost its memory. */
void self_told(struct membership *m, const struct gossip_rumour *r)
{
    uint64_t mine = m->peers[SELF].incarnation;
    if (m->leaving || r->incarnation < mine)
        return;
    if (r->incarnation == mine && r->state == GOSSIP_ALIVE)
        return;
    /* Up to 32 nodes it may as well have been cut off: late timers tell more. */
    if (!m->dense && (r->state == GOSSIP_SUSPECT || r->state == GOSSIP_FAILED))
        self_health(m, 1);
    self_refute(m, r->incarnation);
}

void member_set_maintenance(struct membership *m, bool on, uint64_t now)
{
    self_observe(m, now);
    struct standing s = standing_of(&m->peers[SELF]);
    if (s.maintenance == on || m->leaving)
        return;
    s.maintenance = on;
    s.incarnation++; /* the flag belongs to the incarnation: the newer one wins */
    state_set(m, SELF, s);
    m->host.incarnation(m->host.context, s.incarnation);
}

uint32_t member_health(const struct membership *m)
{
    return m->health;
}
