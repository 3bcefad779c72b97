/* States and reasons. A reason belongs to one state, and the table says from which states it can be
 * reached: what is not in it is a fault of ours. */
#include "member/inside.h"

#define FROM(state) (1u << (state))
#define ALIVE       FROM(MEMBER_ALIVE)
#define SUSPECT     FROM(MEMBER_SUSPECT)
#define FAILED      FROM(MEMBER_FAILED)
#define LEFT        FROM(MEMBER_LEFT)
#define NEW_TIMES   4 /* that somebody new is there is told so often */

static const struct row {
    enum member_state state;
    unsigned from;
    const char *name;
} rows[MEMBER_REASONS] = {
    /* Heard again, or vouched for: alive at once. After a goodbye only as a newer incarnation. */
    [MEMBER_SELF] = {MEMBER_ALIVE, ALIVE, "self"},
    [MEMBER_HEARD] = {MEMBER_ALIVE, ALIVE | SUSPECT | FAILED | LEFT, "heard"},
    [MEMBER_VOUCHED] = {MEMBER_ALIVE, ALIVE | SUSPECT | FAILED | LEFT, "vouched"},
    /* Failed becomes suspect only as a newer incarnation that others suspect. */
    [MEMBER_UNHEARD] = {MEMBER_SUSPECT, SUSPECT, "unheard"},
    [MEMBER_SILENT] = {MEMBER_SUSPECT, ALIVE | SUSPECT | FAILED | LEFT, "silent"},
    [MEMBER_UNCONFIRMED] = {MEMBER_SUSPECT, SUSPECT, "unconfirmed"},
    [MEMBER_DEAF] = {MEMBER_SUSPECT, ALIVE | SUSPECT, "deaf"},
    /* Nobody fails here without being suspected first, but what others agreed is taken over. */
    [MEMBER_AGREED] = {MEMBER_FAILED, ALIVE | SUSPECT | FAILED | LEFT, "agreed"},
    /* Who has failed may fail once more, in a later life that this node only hears of. */
    [MEMBER_ALONE] = {MEMBER_FAILED, SUSPECT | FAILED, "alone"},
    [MEMBER_SAID_GOODBYE] = {MEMBER_LEFT, ALIVE | SUSPECT | FAILED | LEFT, "goodbye"},
};

static const char *const state_names[MEMBER_STATES] = {"alive", "suspect", "failed", "left"};

const char *member_state_name(enum member_state s)
{
    CHECK(s < MEMBER_STATES);
    return state_names[s];
}

const char *member_reason_name(enum member_reason r)
{
    CHECK(r < MEMBER_REASONS);
    return rows[r].name;
}

enum member_state reason_state(enum member_reason r)
{
    return rows[r].state;
}

struct standing standing_of(const struct peer *p)
{
    return (struct standing){p->incarnation, (enum member_reason)p->reason,
                             p->flags & PEER_MAINTENANCE};
}

struct member_info state_info(const struct membership *m, uint16_t slot)
{
    const struct peer *p = &m->peers[slot];
    struct tally t = agree_tally(m, slot);
    return (struct member_info){
        .id = p->id,
        .incarnation = p->incarnation,
        .since = p->since,
        .heard_at = slot == SELF ? m->now : p->heard_at,
        .rtt = p->rtt * UINT64_C(1000),
        .observers = t.observers,
        .hearing = t.hearing,
        .silent = t.silent,
        .state = p->state,
        .reason = p->reason,
        .witness = p->flags & PEER_WITNESS,
        .maintenance = p->flags & PEER_MAINTENANCE,
        .self = slot == SELF,
        .hears_me = p->flags & PEER_HEARS_ME,
        .zone = p->zone,
    };
}

uint32_t members_in(const struct membership *m)
{
    return m->n - m->in_state[MEMBER_LEFT];
}

/* Up to 32 nodes, who is silent stands in every heartbeat: no rumour says it. */
static bool worth_telling(const struct membership *m, const struct peer *was, const struct peer *is)
{
    if (was->incarnation != is->incarnation || (was->flags ^ is->flags) & PEER_MAINTENANCE)
        return true;
    return was->state != is->state && (is->state == MEMBER_FAILED || is->state == MEMBER_LEFT ||
                                       (is->state == MEMBER_SUSPECT && !m->dense));
}

static void spread(struct membership *m, uint16_t slot, const struct peer *was)
{
    const struct peer *p = &m->peers[slot];
    if (!worth_telling(m, was, p))
        return;
    if (was->incarnation || p->state != MEMBER_ALIVE)
        rumour_tell(m, slot, rumour_times(m));
    else if (!m->pulling)
        rumour_tell(m, slot, NEW_TIMES);
    if (p->state == MEMBER_FAILED || p->state == MEMBER_LEFT || slot == SELF)
        dense_urgent(m);
}

void state_set(struct membership *m, uint16_t slot, struct standing s)
{
    struct peer *p = &m->peers[slot];
    const struct peer was = *p;
    const struct row *row = &rows[s.reason];
    bool maintenance = p->flags & PEER_MAINTENANCE;
    if (p->reason == s.reason && p->incarnation == s.incarnation && maintenance == s.maintenance)
        return;
    CHECK(row->from & FROM(p->state));
    p->reason = (uint8_t)s.reason;
    p->incarnation = s.incarnation;
    p->flags = (uint8_t)((p->flags & ~PEER_MAINTENANCE) | (s.maintenance ? PEER_MAINTENANCE : 0));
    m->unheard += p->reason == MEMBER_UNHEARD;
    m->unheard -= was.reason == MEMBER_UNHEARD;
    if (row->state != p->state) {
        m->in_state[p->state]--;
        m->in_state[row->state]++;
        p->state = (uint8_t)row->state;
        p->since = m->now;
    }
    if (p->state != MEMBER_SUSPECT || p->incarnation != was.incarnation)
        p->n_accusers = 0;
    spread(m, slot, &was);
    struct member_change c = {state_info(m, slot), was.state, was.reason};
    m->host.changed(m->host.context, &c);
}
