/* What is passed on, and what is believed of it.
 *
 * Rumours ride on whatever is sent (SWIM, A. Das et al., DSN 2002): newest first, each about
 * 3 log2(n) times; of whom nothing was known, that he is alive, a few times only, since what is
 * missed of it comes by asking (swim.c). The queue is a list through the slots: a newer rumour of a
 * member replaces the older one, and nothing is allocated. */
#include "member/inside.h"

static void unlink(struct membership *m, uint16_t slot)
{
    struct peer *p = &m->peers[slot];
    *(p->before == NOBODY ? &m->first : &m->peers[p->before].next) = p->next;
    *(p->next == NOBODY ? &m->last : &m->peers[p->next].before) = p->before;
    p->next = p->before = NOBODY;
}

static void link_between(struct membership *m, uint16_t slot, uint16_t before, uint16_t next)
{
    m->peers[slot].before = before;
    m->peers[slot].next = next;
    *(before == NOBODY ? &m->first : &m->peers[before].next) = slot;
    *(next == NOBODY ? &m->last : &m->peers[next].before) = slot;
}

void rumour_forget(struct membership *m, uint16_t slot)
{
    if (m->peers[slot].tells == 0)
        return;
    m->peers[slot].tells = 0;
    unlink(m, slot);
}

uint32_t rumour_times(const struct membership *m)
{
    return 3 * (33 - (uint32_t)__builtin_clz(m->n));
}

void rumour_tell(struct membership *m, uint16_t slot, uint32_t times)
{
    rumour_forget(m, slot);
    m->peers[slot].tells = (uint8_t)times;
    link_between(m, slot, NOBODY, m->first);
}

/* Once more told. */
static void count(struct membership *m, uint16_t slot)
{
    struct peer *p = &m->peers[slot];
    if (p->tells == 1) {
        rumour_forget(m, slot);
        return;
    }
    p->tells--;
    unlink(m, slot);
    link_between(m, slot, m->last, NOBODY);
}

void rumour_fill(struct membership *m, struct gossip *g)
{
    uint16_t last = m->last;
    for (uint16_t slot = m->first; slot != NOBODY && g->n_rumours < GOSSIP_RUMOURS_MAX;) {
        uint16_t next = slot == last ? NOBODY : m->peers[slot].next;
        message_add(m, g, slot);
        if (!m->dense)
            count(m, slot);
        slot = next;
    }
}

void rumour_round(struct membership *m)
{
    uint16_t last = m->last;
    for (uint16_t slot = m->first; slot != NOBODY;) {
        uint16_t next = slot == last ? NOBODY : m->peers[slot].next;
        count(m, slot);
        slot = next;
    }
}

/* Of an incarnation that is new here. Heard or not is seen by the next heartbeat; one that had
 * failed or left is vouched for until then. */
static void told_alive(struct membership *m, uint16_t slot, const struct gossip_rumour *r)
{
    struct peer *p = &m->peers[slot];
    struct standing s = {r->incarnation, MEMBER_VOUCHED, r->maintenance};
    if (r->incarnation <= p->incarnation)
        return;
    bool gone = p->state == MEMBER_FAILED || p->state == MEMBER_LEFT;
    if (m->dense ? !gone : p->state == MEMBER_ALIVE)
        s.reason = (enum member_reason)p->reason;
    if (m->dense && gone)
        dense_again(m, slot);
    state_set(m, slot, s);
}

static void told_failed(struct membership *m, uint16_t from, uint16_t slot,
                        const struct gossip_rumour *r)
{
    struct peer *p = &m->peers[slot];
    bool newer = r->incarnation > p->incarnation;
    if (r->incarnation < p->incarnation ||
        (!newer && (p->state == MEMBER_FAILED || p->state == MEMBER_LEFT)))
        return;
    if (m->dense && p->state != MEMBER_LEFT) {
        if (!newer && p->reason == MEMBER_HEARD)
            message_accuse(m, slot, MEMBER_FAILED);
        dense_told_failed(m, from, slot, r);
        return;
    }
    if (m->dense)
        dense_again(m, slot);
    bool maintenance = newer ? r->maintenance : p->flags & PEER_MAINTENANCE;
    if (!newer && swim_fresh(m, p))
        message_accuse(m, slot, MEMBER_FAILED); /* it is not: let it say so itself */
    else if (maintenance)
        swim_suspect(m, slot, r->incarnation, r->maintenance, table_find(m, r->accuser));
    else
        state_set(m, slot, (struct standing){r->incarnation, MEMBER_AGREED, false});
}

/* Up to 32 nodes: of a silent member in maintenance, which cannot say itself any more that it is.
 */
static void told_silent(struct membership *m, uint16_t slot, const struct gossip_rumour *r)
{
    struct standing s = standing_of(&m->peers[slot]);
    if (r->incarnation <= s.incarnation || reason_state(s.reason) == MEMBER_FAILED ||
        reason_state(s.reason) == MEMBER_LEFT)
        return;
    s.incarnation = r->incarnation;
    s.maintenance = r->maintenance;
    state_set(m, slot, s);
}

void rumour_hear(struct membership *m, uint16_t from, const struct gossip_rumour *r)
{
    uint16_t slot = table_find(m, r->id);
    if (slot == NOBODY)
        return;
    if (slot == SELF) {
        self_told(m, r);
        return;
    }
    switch ((enum gossip_state)r->state) {
    case GOSSIP_ALIVE: told_alive(m, slot, r); return;
    case GOSSIP_SUSPECT:
        if (m->dense)
            told_silent(m, slot, r);
        else
            swim_suspect(m, slot, r->incarnation, r->maintenance, table_find(m, r->accuser));
        return;
    case GOSSIP_FAILED: told_failed(m, from, slot, r); return;
    case GOSSIP_LEFT: leave_apply(m, slot, r->incarnation); return;
    }
}
