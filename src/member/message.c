/* What goes out. Up to 32 nodes every message says whom this node hears and who failed or left;
 * above, as many rumours as fit ride on it. */
#include "member/inside.h"

struct gossip message_begin(struct membership *m, enum gossip_kind kind)
{
    struct gossip g;
    gossip_init(&g, kind);
    g.flags = m->peers[SELF].flags & PEER_MAINTENANCE ? GOSSIP_MAINTENANCE : 0;
    g.flags |= m->dense ? GOSSIP_DENSE : 0;
    g.incarnation = m->peers[SELF].incarnation;
    g.sequence = ++m->sequence;
    g.stamp = (uint32_t)(m->now / 1000) | 1;
    return g;
}

static uint64_t accuser_of(const struct membership *m, const struct peer *p)
{
    if (p->state != MEMBER_SUSPECT || p->n_accusers == 0)
        return m->peers[SELF].id;
    return m->peers[p->accusers[p->tells % p->n_accusers]].id;
}

void message_add(const struct membership *m, struct gossip *g, uint16_t slot)
{
    const struct peer *p = &m->peers[slot];
    if (g->n_rumours == GOSSIP_RUMOURS_MAX)
        return;
    g->rumours[g->n_rumours++] = (struct gossip_rumour){
        .id = p->id,
        .incarnation = p->incarnation,
        .accuser = accuser_of(m, p),
        .state = p->state, /* the same numbers (asserted in member.c) */
        .maintenance = p->flags & PEER_MAINTENANCE,
    };
}

static void add_hearing(const struct membership *m, struct gossip *g)
{
    const struct dense *d = m->dense;
    g->has_hearing = true;
    for (uint32_t i = 0; i < m->n; i++) {
        uint16_t slot = m->by_id[i];
        if (slot == SELF)
            continue;
        g->ids[g->n_hearing] = (uint32_t)m->peers[slot].id;
        g->hearing[g->n_hearing++] = d->hears >> slot & 1    ? GOSSIP_HEARS
                                     : d->silent >> slot & 1 ? GOSSIP_SILENT
                                                             : GOSSIP_UNKNOWN;
    }
}

static void add_dense(const struct membership *m, uint16_t to, struct gossip *g)
{
    const struct dense_peer *d = &m->dense->peers[to];
    if (!g->echo && d->stamp) {
        g->echo = d->stamp;
        g->held = (uint32_t)MIN((m->now - d->stamp_at) / 1000, UINT32_MAX);
    }
    add_hearing(m, g);
    for (uint16_t i = 1; i < m->n; i++)
        if (m->peers[i].state == MEMBER_FAILED || m->peers[i].state == MEMBER_LEFT ||
            (m->peers[i].state == MEMBER_SUSPECT && m->peers[i].flags & PEER_MAINTENANCE))
            message_add(m, g, i);
}

uint32_t message_send(struct membership *m, uint16_t to, struct gossip *g)
{
    uint8_t out[GOSSIP_MAX];
    const struct peer *p = &m->peers[to];
    if (m->dense)
        add_dense(m, to, g);
    else if (p->incarnation && p->state != MEMBER_ALIVE)
        message_add(m, g, to);
    rumour_fill(m, g);
    m->host.send(m->host.context, p->id, out, gossip_write(g, out));
    return g->sequence;
}

uint32_t message_plain(struct membership *m, uint16_t to, enum gossip_kind kind)
{
    struct gossip g = message_begin(m, kind);
    return message_send(m, to, &g);
}

void message_accuse(struct membership *m, uint16_t slot, enum member_state state)
{
    struct gossip g = message_begin(m, GOSSIP_RUMOURS);
    message_add(m, &g, slot);
    g.rumours[0].state = (uint8_t)state;
    message_send(m, slot, &g);
}
