/* Goodbye: said until a majority of those who were asked has acknowledged it, or for a second.
 * Final for the incarnation that said it. */
#include "member/inside.h"

#define GIVE_UP SECOND

static bool can_be_told(const struct membership *m, uint16_t slot)
{
    uint8_t state = m->peers[slot].state;
    return slot != SELF && state != MEMBER_LEFT && state != MEMBER_FAILED;
}

/* Everybody, or as many as are enough to spread it. */
static void choose(struct membership *m)
{
    uint32_t from = m->n > LEAVE_ASKED ? (uint32_t)prng_below(&m->prng, m->n) : 0;
    for (uint32_t i = 0; i < m->n && m->n_asked < LEAVE_ASKED; i++) {
        uint16_t slot = (uint16_t)((from + i) % m->n);
        if (can_be_told(m, slot))
            m->asked[m->n_asked++] = m->peers[slot].id;
    }
}

void member_leave(struct membership *m, uint64_t now)
{
    self_observe(m, now);
    if (m->leaving)
        return;
    m->leaving = true;
    m->leave_at = m->goodbye_at = m->now;
    choose(m);
    state_reason(m, SELF, MEMBER_SAID_GOODBYE);
    wake(m, m->now);
}

bool member_left(const struct membership *m)
{
    return m->left;
}

static void say_goodbye(struct membership *m)
{
    m->goodbye_at = m->now + MIN(m->params.heartbeat, 100 * MS);
    for (uint32_t i = 0; i < m->n_asked; i++) {
        uint16_t slot = m->asked[i] ? table_find(m, m->asked[i]) : NOBODY;
        if (slot != NOBODY)
            message_plain(m, slot, GOSSIP_GOODBYE);
    }
}

void leave_tick(struct membership *m)
{
    if (2 * m->n_acked > m->n_asked || m->n_asked == 0 || m->now >= m->leave_at + GIVE_UP) {
        m->left = true;
        m->due = UINT64_MAX;
        return;
    }
    if (m->now >= m->goodbye_at)
        say_goodbye(m);
    wake(m, m->goodbye_at);
    wake(m, m->leave_at + GIVE_UP);
}

void leave_acked(struct membership *m, uint16_t from)
{
    for (uint32_t i = 0; m->leaving && i < m->n_asked; i++) {
        if (m->asked[i] != m->peers[from].id)
            continue;
        m->asked[i] = 0;
        m->n_acked++;
        wake(m, m->now);
    }
}

/* Applied once: repeated goodbyes, and rumours of it, come long after. */
void leave_apply(struct membership *m, uint16_t slot, uint64_t incarnation)
{
    struct standing s = standing_of(&m->peers[slot]);
#if HF_PLANT == 4 /* PLANT_LEAVE */
    incarnation = MAX(incarnation, s.incarnation);
#endif
    if (incarnation < s.incarnation ||
        (incarnation == s.incarnation && m->peers[slot].state == MEMBER_LEFT))
        return;
    s.incarnation = incarnation;
    s.reason = MEMBER_SAID_GOODBYE;
    if (m->dense)
        dense_again(m, slot);
    state_set(m, slot, s);
}

void leave_goodbye(struct membership *m, uint16_t from, const struct gossip *g)
{
    leave_apply(m, from, g->incarnation);
    message_plain(m, from, GOSSIP_GOODBYE_ACK);
}
