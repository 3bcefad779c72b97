/* The beginning and the end of a membership, members that come and go, and what is asked of it. The
 * story is in member.h and inside.h. */
#include "member/inside.h"
_Static_assert((int)MEMBER_ALIVE == GOSSIP_ALIVE && (int)MEMBER_SUSPECT == GOSSIP_SUSPECT &&
                   (int)MEMBER_FAILED == GOSSIP_FAILED && (int)MEMBER_LEFT == GOSSIP_LEFT,
               "states have the same numbers on the wire");
_Static_assert((int)GOSSIP_HEARING_MAX >= MEMBER_DENSE_MAX - 1 &&
                   (int)GOSSIP_MAX == MEMBER_DATAGRAM_MAX,
               "a heartbeat has room for all");
_Static_assert(sizeof(struct peer) + 2 * sizeof(uint16_t) <= 64, "a member costs 64 bytes");

struct member_params member_defaults(void)
{
    return (struct member_params){
        .heartbeat = 50 * MS,
        .suspect_after = 200 * MS,
        .phi_tenths = 80,
        .indirect = 3,
        .period = 200 * MS,
        .dense_max = MEMBER_DENSE_MAX,
    };
}

static uint64_t within(uint64_t v, uint64_t least, uint64_t most)
{
    return MIN(MAX(v, least), most);
}

void member_set_params(struct membership *m, const struct member_params *p)
{
    struct member_params in = *p;
    in.heartbeat = within(in.heartbeat, 10 * MS, 10 * SECOND);
    in.suspect_after = within(in.suspect_after, 3 * in.heartbeat, 3600 * SECOND);
    in.phi_tenths = (uint32_t)within(in.phi_tenths, ARRIVAL_PHI_MIN, ARRIVAL_PHI_MAX);
    in.indirect = (uint32_t)within(in.indirect, 0, 8);
    in.dense_max = MIN(in.dense_max, MEMBER_DENSE_MAX);
    in.period = within(in.period, 10 * MS, 60 * SECOND);
    m->params = in;
    wake(m, m->now);
}

int member_new(struct membership **out, const struct member_params *p, const struct member_host *h,
               const struct member_node *self, uint64_t incarnation, uint64_t seed, uint64_t now,
               struct err *e)
{
    struct membership *m = mem_zero(1, sizeof *m);
    if (!m)
        return err_set(e, ERR_NOMEM, "no memory for the membership");
    m->host = *h;
    m->now = m->due = m->health_at = now;
    m->health = 1;
    m->first = m->last = NOBODY;
    prng_seed(&m->prng, seed);
    member_set_params(m, p);
    int rc = table_init(m, self, within(incarnation, 1, GOSSIP_INCARNATION_MAX), e);
    if (rc == 0 && !dense_start(m))
        rc = err_set(e, ERR_NOMEM, "no memory for the membership");
    if (rc) {
        member_free(m);
        return rc;
    }
    swim_start(m);
    *out = m;
    return 0;
}

void member_free(struct membership *m)
{
    if (!m)
        return;
    table_free(m);
    mem_free(m->dense);
    mem_free(m);
}

static void change(struct membership *m, uint16_t slot, const struct member_node *n)
{
    struct peer *p = &m->peers[slot];
    p->zone = n->zone;
    p->flags = (uint8_t)((p->flags & ~PEER_WITNESS) | (n->witness ? PEER_WITNESS : 0));
}

int member_add(struct membership *m, const struct member_node *n, uint64_t now, struct err *e)
{
    self_observe(m, now);
    uint16_t slot = table_find(m, n->id);
    if (slot != NOBODY) {
        change(m, slot, n);
        return 0;
    }
    if (n->id == 0)
        return err_set(e, ERR_INVAL, "a member needs an id");
    if (m->n == MEMBER_MAX)
        return err_set(e, ERR_LIMIT, "a cluster has at most %d nodes", MEMBER_MAX);
    int rc = table_insert(m, n, e);
    if (rc)
        return rc;
    if (m->dense && m->n > m->params.dense_max) {
        mem_free(m->dense);
        m->dense = NULL;
        swim_start(m);
    }
    if (m->dense)
        dense_add(m, (uint16_t)(m->n - 1));
    else
        swim_insert(m);
    wake(m, m->now);
    return 0;
}

void member_remove(struct membership *m, uint64_t id, uint64_t now)
{
    self_observe(m, now);
    uint16_t slot = table_find(m, id);
    if (slot == NOBODY || slot == SELF)
        return;
    if (m->dense)
        dense_drop(m, slot, (uint16_t)(m->n - 1));
    table_remove(m, slot);
    wake(m, m->now);
}

void member_tick(struct membership *m, uint64_t now)
{
    self_observe(m, now);
    if (m->left)
        return;
    m->due = UINT64_MAX;
    /* Without memory for it, probing goes on. */
    if (!m->dense && m->n <= MIN(DENSE_AGAIN, m->params.dense_max))
        dense_start(m);
    probe_tick(m);
    if (m->leaving)
        leave_tick(m);
    else if (m->dense)
        dense_tick(m);
    else
        swim_tick(m);
}

uint64_t member_deadline(const struct membership *m)
{
    return m->due;
}

uint32_t member_count(const struct membership *m)
{
    return m->n;
}

struct member_info member_at(const struct membership *m, uint32_t i)
{
    CHECK(i < m->n);
    return state_info(m, m->by_id[i]);
}

bool member_find(const struct membership *m, uint64_t id, struct member_info *out)
{
    uint16_t slot = table_find(m, id);
    if (slot == NOBODY)
        return false;
    *out = state_info(m, slot);
    return true;
}

uint64_t member_refused(const struct membership *m)
{
    return m->refused;
}

bool member_isolated(const struct membership *m)
{
    return agree_isolated(m);
}

int member_says(const struct membership *m, uint64_t observer, uint64_t subject)
{
    uint16_t o = table_find(m, observer), s = table_find(m, subject);
    return o == NOBODY || s == NOBODY ? -1 : agree_says(m, o, s);
}
