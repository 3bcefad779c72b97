/* Above 32 nodes: SWIM (A. Das et al., DSN 2002) with Lifeguard (A. Dadgar et al., DSN-W 2018).
 *
 * One probe a period, in an order that is reshuffled each round, so that every member is probed
 * once a round. No answer in time: helpers are asked. None then: suspected, and everybody hears of
 * it. A suspicion by one lasts long, each observer that confirms it shortens it, and without a
 * second observer nobody fails. Who hears that he is suspected says with a higher incarnation that
 * he is not.
 *
 * Rumours can miss somebody. So members also ask each other for a piece of what they know (PULL):
 * often while they know nothing of some member, now and then afterwards. And every fifth period one
 * that failed is probed, so that cuts heal. */
#include "member/inside.h"

#define LEAST_PERIODS 4 /* of suspicion, times log10 of the members */
#define MOST_LEAST    6 /* times the least: by one observer */
#define AGAIN_EVERY   5 /* periods between probes of a failed one */
#define PULL_EVERY    25
#define SPARSE        8 /* rumours in an answer to PULL */
#define TRIES         16
#define SCAN          512 /* members looked at in one go */

void swim_start(struct membership *m)
{
    for (uint32_t i = 0; i < PROBES; i++)
        m->probes[i].target = 0;
    m->pull = 0;
    m->pull_from = 0;
    m->next_period = m->now + prng_below(&m->prng, m->params.period);
}

/* The newest is in `order`'s last place. */
void swim_insert(struct membership *m)
{
    uint32_t last = m->n - 2, at = (uint32_t)prng_below(&m->prng, m->n - 1);
    uint16_t slot = m->order[last];
    m->order[last] = m->order[at];
    m->order[at] = slot;
    wake(m, m->next_period);
}

bool swim_fresh(const struct membership *m, const struct peer *p)
{
    return p->heard_at && m->now - p->heard_at <= 2 * m->params.period;
}

/* --- suspicion --- */

/* What this node found itself it says again each time that it finds it: nobody may have been there
 * to hear it before. */
static void accuse(struct membership *m, uint16_t slot, uint16_t accuser)
{
    struct peer *p = &m->peers[slot];
    if (accuser == NOBODY || accuser == slot || p->n_accusers == ACCUSERS)
        return;
    for (uint32_t i = 0; i < p->n_accusers; i++)
        if (p->accusers[i] == accuser) {
            if (accuser == SELF && !p->tells)
                rumour_tell(m, slot, rumour_times(m));
            return;
        }
    p->accusers[p->n_accusers++] = accuser;
    rumour_tell(m, slot, rumour_times(m));
}

void swim_suspect(struct membership *m, uint16_t slot, uint64_t incarnation, bool maintenance,
                  uint16_t accuser)
{
    struct peer *p = &m->peers[slot];
    struct standing s = standing_of(p);
    bool newer = incarnation > p->incarnation;
    bool final = p->state == MEMBER_FAILED || p->state == MEMBER_LEFT;
    if (incarnation < p->incarnation || (final && !newer)) {
        if (final && !p->tells)
            rumour_tell(m, slot, rumour_times(m)); /* somebody does not know it yet */
        return;
    }
    if (accuser != SELF && !newer && swim_fresh(m, p)) {
        if (p->state == MEMBER_ALIVE)
            message_accuse(m, slot, MEMBER_SUSPECT);
        return;
    }
    s.incarnation = incarnation;
    s.maintenance = newer ? maintenance : s.maintenance;
    if (newer || p->state != MEMBER_SUSPECT)
        s.reason = MEMBER_SILENT;
    state_set(m, slot, s);
    accuse(m, slot, accuser);
}

/* How long a suspicion lasts: the least where as many confirm it as count. */
static uint64_t suspicion(const struct membership *m, uint32_t accusers)
{
    static const uint32_t share[ACCUSERS + 1] = {1000, 1000, 369, 0}; /* 1 - log(n) / log(3) */
    uint32_t log2 = 32 - (uint32_t)__builtin_clz(m->n);
    uint64_t least = LEAST_PERIODS * m->params.period * MAX(log2 * 301, 1000) / 1000;
    return self_stretch(m, least + (MOST_LEAST - 1) * least * share[accusers] / 1000);
}

static void judge(struct membership *m, uint16_t slot)
{
    struct peer *p = &m->peers[slot];
    if (p->state != MEMBER_SUSPECT || p->flags & PEER_MAINTENANCE ||
        m->now < p->since + suspicion(m, p->n_accusers))
        return;
    if (p->n_accusers >= 2 && !agree_isolated(m))
        state_reason(m, slot, MEMBER_AGREED);
    else if (p->reason != MEMBER_UNHEARD)
        state_reason(m, slot, MEMBER_UNCONFIRMED);
}

static void judge_all(struct membership *m)
{
    for (uint16_t i = 1; m->in_state[MEMBER_SUSPECT] && i < m->n; i++)
        judge(m, i);
}

/* --- probes --- */

static void start_probe(struct membership *m, uint16_t slot)
{
    uint64_t patience = probe_patience(m, slot);
    for (uint32_t i = 0; i < PROBES; i++) {
        struct probe *p = &m->probes[i];
        if (p->target)
            continue;
        *p = (struct probe){
            .target = m->peers[slot].id,
            .began = m->now,
            .helpers_at = m->now + patience,
            .fails_at = m->now + 3 * patience,
            .sequence = message_plain(m, slot, GOSSIP_PROBE),
        };
        wake(m, p->helpers_at);
        return;
    }
}

static void shuffle(struct membership *m)
{
    for (uint32_t i = m->n - 2; i > 0; i--) {
        uint32_t k = (uint32_t)prng_below(&m->prng, i + 1);
        uint16_t slot = m->order[i];
        m->order[i] = m->order[k];
        m->order[k] = slot;
    }
    m->at = 0;
}

static void probe_next(struct membership *m)
{
    for (uint32_t tries = 0; tries < SCAN; tries++) {
        if (m->at >= m->n - 1)
            shuffle(m);
        uint16_t slot = m->order[m->at++];
        uint8_t state = m->peers[slot].state;
        if (state == MEMBER_FAILED || state == MEMBER_LEFT)
            continue;
        start_probe(m, slot);
        return;
    }
}

static void probe_failed_one(struct membership *m)
{
    for (uint32_t i = 0; m->in_state[MEMBER_FAILED] && i < MIN(m->n, SCAN); i++) {
        m->again = m->again + 1 < m->n ? m->again + 1 : 1;
        if (m->peers[m->again].state != MEMBER_FAILED)
            continue;
        message_plain(m, (uint16_t)m->again, GOSSIP_PROBE);
        return;
    }
}

/* A patient node's probe may outlive what was wrong: who was heard since is not suspected. */
static void probe_fails(struct membership *m, const struct probe *p, uint16_t slot)
{
    bool heard = m->peers[slot].heard_at > p->began;
    if (p->vouched) {
        self_health(m, -1);
        if (!heard && m->peers[slot].reason == MEMBER_HEARD)
            state_reason(m, slot, MEMBER_VOUCHED);
        return;
    }
    if (p->denied < p->asked || p->asked == 0)
        self_health(m, 1); /* not even the helpers answered */
    if (!heard)
        swim_suspect(m, slot, m->peers[slot].incarnation, false, SELF);
}

static void follow(struct membership *m, struct probe *p)
{
    uint16_t slot = table_find(m, p->target);
    if (slot == NOBODY || m->now >= p->fails_at) {
        struct probe ended = *p;
        p->target = 0;
        if (slot != NOBODY)
            probe_fails(m, &ended, slot);
        return;
    }
    if (m->now < p->helpers_at) {
        wake(m, p->helpers_at);
        return;
    }
    if (!p->asked)
        p->asked = (uint8_t)probe_ask_helpers(m, slot, p->sequence);
    wake(m, p->fails_at);
}

/* An answer, its own or a helper's. */
void swim_acked(struct membership *m, uint16_t target, const struct gossip *g)
{
    for (uint32_t i = 0; i < PROBES; i++) {
        struct probe *p = &m->probes[i];
        if (p->target != m->peers[target].id || p->sequence != g->answers)
            continue;
        if (g->flags & GOSSIP_NOT) {
            p->denied++;
            return;
        }
        if (g->has_subject) {
            p->vouched = true; /* its own answer may be on the way */
            return;
        }
        p->target = 0;
        self_health(m, -1);
        m->peers[target].flags |= PEER_HEARS_ME;
        return;
    }
}

/* --- asking for what was missed --- */

static void pull(struct membership *m, uint16_t from)
{
    struct gossip g = message_begin(m, GOSSIP_PULL);
    g.has_subject = true;
    g.subject = m->pull_from;
    m->pull = message_send(m, from, &g);
}

/* To the next member of whom nothing is known, if there is one near. */
static void skip_known(struct membership *m)
{
    uint32_t at = table_from(m, m->pull_from);
    for (uint32_t i = 0; m->unheard && i < MIN(m->n, SCAN); i++) {
        at = at < m->n ? at : 0;
        m->pull_from = m->peers[m->by_id[at]].id;
        if (m->peers[m->by_id[at++]].reason == MEMBER_UNHEARD)
            return;
    }
}

static void pull_from_anybody(struct membership *m)
{
    uint16_t slot = m->heard_last < m->n ? m->heard_last : SELF; /* if nobody else comes up */
    for (uint32_t tries = 0; tries < TRIES; tries++) {
        uint16_t other = (uint16_t)(1 + prng_below(&m->prng, m->n - 1));
        if (m->peers[other].state != MEMBER_ALIVE)
            continue;
        slot = other;
        break;
    }
    skip_known(m);
    if (slot != SELF)
        pull(m, slot);
}

/* The members from an id on of whom something is known, and where to go on. */
void swim_pulled(struct membership *m, uint16_t from, const struct gossip *g)
{
    struct gossip a = message_begin(m, GOSSIP_RUMOURS);
    uint32_t low = table_from(m, g->subject), i;
    for (i = low; i < m->n && i - low < SCAN && a.n_rumours < GOSSIP_RUMOURS_MAX - 1; i++)
        if (m->peers[m->by_id[i]].incarnation)
            message_add(m, &a, m->by_id[i]);
    a.has_subject = true;
    a.subject = i < m->n ? m->peers[m->by_id[i]].id : 0;
    a.answers = g->sequence;
    message_send(m, from, &a);
}

void swim_told_table(struct membership *m, uint16_t from, const struct gossip *g, bool news)
{
    if (m->dense || !m->pull || g->answers != m->pull)
        return;
    m->pull = 0;
    m->pull_from = g->subject;
    /* On where there is more: he knows something, or too little to take long. */
    if ((news || g->n_rumours < SPARSE) && m->unheard && g->subject)
        pull(m, from);
}

/* --- time --- */

static void period(struct membership *m)
{
    m->next_period += m->params.period;
    if (m->next_period <= m->now)
        m->next_period = m->now + m->params.period;
    m->periods++;
    judge_all(m);
    probe_next(m);
    if (m->periods % AGAIN_EVERY == 0)
        probe_failed_one(m);
    if (m->unheard || m->periods % PULL_EVERY == 0)
        pull_from_anybody(m);
}

void swim_tick(struct membership *m)
{
    for (uint32_t i = 0; i < PROBES; i++)
        if (m->probes[i].target)
            follow(m, &m->probes[i]);
    if (m->now >= m->next_period && m->n > 1)
        period(m);
    wake(m, m->next_period);
}

void swim_skip(struct membership *m, uint64_t unobserved)
{
    for (uint32_t i = 0; i < PROBES; i++) {
        m->probes[i].helpers_at += unobserved;
        m->probes[i].fails_at += unobserved;
    }
    for (uint32_t i = 0; i < RELAYS; i++)
        m->relays[i].until += unobserved;
    for (uint32_t i = 1; !m->dense && m->in_state[MEMBER_SUSPECT] && i < m->n; i++)
        if (m->peers[i].state == MEMBER_SUSPECT)
            m->peers[i].since = MIN(m->peers[i].since + unobserved, m->now);
}
