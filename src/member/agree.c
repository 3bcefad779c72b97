/* What several observers make of a silence (after Rapid, L. Suresh et al., ATC 2018: a cut needs
 * more than one witness).
 *
 * Observers of a member are all others that have not failed or left. Believed is who is heard here
 * and hears somebody: what others said last may be old. Failed is whom this node does not hear,
 * nobody believed hears, and a majority of the observers does not hear, when this node hears a
 * majority of all members: of any cut at most one side has that. It also is what somebody believed
 * says to be agreed. Between a node's own suspicion and failure lie at least two more heartbeats,
 * in which the suspect is probed, by it and through helpers: whoever answers them is alive. Each
 * node waits them itself, whatever the others say meanwhile: so the one whose ears were shut a
 * little longer than those of the rest does not draw them along. */
#include "member/inside.h"

#define BIT(slot)      (UINT32_C(1) << (slot))
#define ALONE_STRETCH  4
#define CONFIRM_BEATS  2 /* heartbeats between suspicion and failure, at least */
#define PROBE_STRETCH  2 /* heartbeats between probes of a suspect */
#define PROBES_AT_ONCE 5 /* so long, in suspect_after; then so seldom */

int agree_says(const struct membership *m, uint16_t observer, uint16_t subject)
{
    const struct dense *d = m->dense;
    if (!d || observer == subject)
        return -1;
    uint32_t hears = observer == SELF ? d->hears : d->peers[observer].hears;
    uint32_t silent = observer == SELF ? d->silent : d->peers[observer].silent;
    return hears & BIT(subject) ? 1 : silent & BIT(subject) ? 0 : -1;
}

bool agree_believed(const struct membership *m, uint16_t slot)
{
    const struct peer *p = &m->peers[slot];
    return slot == SELF || (p->state == MEMBER_ALIVE && p->reason == MEMBER_HEARD);
}

static bool observes(const struct membership *m, uint16_t observer, uint16_t subject)
{
    uint8_t state = m->peers[observer].state;
    return observer != subject && state != MEMBER_FAILED && state != MEMBER_LEFT;
}

/* Not only in letters that this node found when it had slept. */
static bool spoke_since(const struct membership *m, uint16_t slot)
{
    return slot == SELF || m->dense->peers[slot].arrival.last >= m->stale_until;
}

struct tally agree_tally(const struct membership *m, uint16_t subject)
{
    struct tally t = {0};
    if (!m->dense) {
        const struct peer *p = &m->peers[subject];
        t.observers = m->in_state[MEMBER_ALIVE] + m->in_state[MEMBER_SUSPECT] -
                      (p->state == MEMBER_ALIVE || p->state == MEMBER_SUSPECT);
        t.silent = MIN(p->n_accusers, t.observers); /* some may have gone since */
        return t;
    }
    for (uint16_t i = 0; i < m->n; i++) {
        if (!observes(m, i, subject))
            continue;
        t.observers++;
        if (!agree_believed(m, i))
            continue;
        int says = agree_says(m, i, subject);
        t.hearing += says == 1;
        t.silent += says == 0 && spoke_since(m, i);
    }
    return t;
}

bool agree_isolated(const struct membership *m)
{
    uint32_t in = members_in(m), heard = m->in_state[MEMBER_ALIVE];
    if (in <= 2)
        return false;
    if (m->dense) {
        heard = 1;
        for (uint16_t i = 1; i < m->n; i++)
            heard += m->dense->hears >> i & 1;
    }
    return 2 * heard <= in;
}

/* It says of everybody else that it does not hear him. */
bool agree_deaf(const struct membership *m, uint16_t slot)
{
    const struct dense_peer *d = &m->dense->peers[slot];
    if (d->hears || !d->silent)
        return false;
    for (uint16_t i = 0; i < m->n; i++)
        if (observes(m, i, slot) && !(d->silent & BIT(i)))
            return false;
    return true;
}

/* Somebody else hears it. He may only be late to notice: that he says so when the time for it is
 * over, or that the suspect answered through a helper, makes it alive. Not what has failed: he may
 * read now what was sent before. He who hears it makes it say itself that it is back. */
static enum member_reason vouched(struct membership *m, uint16_t slot)
{
    const struct dense_peer *d = &m->dense->peers[slot];
    uint64_t until = d->silent_since + m->params.suspect_after;
    if (m->peers[slot].state == MEMBER_FAILED)
        return (enum member_reason)m->peers[slot].reason;
    if (m->now < d->vouched_until) {
        wake(m, d->vouched_until);
        return MEMBER_VOUCHED;
    }
    if (m->peers[slot].state != MEMBER_SUSPECT || m->now >= until)
        return MEMBER_VOUCHED;
    wake(m, until);
    return m->peers[slot].reason == MEMBER_UNHEARD ? MEMBER_UNHEARD : MEMBER_SILENT;
}

/* Two nodes are each other's only observers. */
static bool alone_for_long(struct membership *m, uint16_t slot)
{
    uint64_t at = dense_silent_from(m, slot) + ALONE_STRETCH * dense_silence(m, slot);
    if (m->now >= at)
        return true;
    wake(m, at);
    return false;
}

/* Silent here, and nobody vouches for it. */
static enum member_reason unvouched(struct membership *m, uint16_t slot, const struct tally *t)
{
    const struct dense_peer *d = &m->dense->peers[slot];
    const struct peer *p = &m->peers[slot];
    enum member_reason silent = p->reason == MEMBER_UNHEARD ? MEMBER_UNHEARD : MEMBER_SILENT;
    if (p->state == MEMBER_FAILED)
        return (enum member_reason)p->reason;
    if (p->flags & PEER_MAINTENANCE)
        return silent;
    if (m->now < m->stale_until) {
        wake(m, m->stale_until); /* newer ones come with the next heartbeats */
        return silent;
    }
    if (members_in(m) == 2)
        return alone_for_long(m, slot) ? MEMBER_ALONE : silent;
    bool told = dense_told_lately(m, slot);
    if (!told && agree_isolated(m))
        return MEMBER_UNCONFIRMED;
    uint64_t confirmed = d->silent_since + CONFIRM_BEATS * m->params.heartbeat;
    if (m->now < confirmed) {
        wake(m, confirmed);
        return silent;
    }
    return told || 2 * t->silent > t->observers ? MEMBER_AGREED : silent;
}

/* Not heard since this node began, or since it came back, and not for long yet. */
static enum member_reason unheard(const struct membership *m, uint16_t slot, const struct tally *t)
{
    const struct peer *p = &m->peers[slot];
    if (p->state != MEMBER_FAILED && m->now >= m->stale_until && dense_told_lately(m, slot) &&
        !t->hearing && !(p->flags & PEER_MAINTENANCE))
        return MEMBER_AGREED;
    return (enum member_reason)p->reason;
}

/* Not silent yet for one who is so patient, but no longer heard: what the others agreed counts. */
static bool conceded(const struct membership *m, uint16_t slot)
{
    const struct peer *p = &m->peers[slot];
    if (m->dense->hears & BIT(slot))
        return false;
    return p->state == MEMBER_FAILED ||
           (m->now >= m->stale_until && dense_told_lately(m, slot) &&
            !(p->flags & PEER_MAINTENANCE) && !agree_tally(m, slot).hearing);
}

static enum member_reason judged(struct membership *m, uint16_t slot)
{
    const struct dense_peer *d = &m->dense->peers[slot];
    struct tally t;
    if (!d->silent_since && d->arrival.last) {
        if (conceded(m, slot))
            return MEMBER_AGREED;
        return agree_deaf(m, slot) ? MEMBER_DEAF : MEMBER_HEARD;
    }
    t = agree_tally(m, slot);
    if (!d->silent_since)
        return unheard(m, slot, &t);
    if (t.hearing || m->now < d->vouched_until)
        return vouched(m, slot);
    return unvouched(m, slot, &t);
}

static void probe(struct membership *m, uint16_t slot)
{
    struct dense_peer *d = &m->dense->peers[slot];
    uint64_t early = PROBES_AT_ONCE * m->params.suspect_after;
    uint64_t every = m->now - d->silent_since < early ? PROBE_STRETCH * m->params.heartbeat : early;
    if (d->probed_at && m->now < d->probed_at + every) {
        wake(m, d->probed_at + every);
        return;
    }
    d->probed_at = m->now;
    d->probe = message_plain(m, slot, GOSSIP_PROBE);
    probe_ask_helpers(m, slot, d->probe);
    wake(m, m->now + every);
}

void agree_judge(struct membership *m, uint16_t slot)
{
    struct peer *p = &m->peers[slot];
    if (p->state == MEMBER_LEFT)
        return;
    enum member_reason r = judged(m, slot);
    /* Whoever fails was suspected. */
    if (p->state == MEMBER_ALIVE && reason_state(r) != MEMBER_ALIVE && r != MEMBER_DEAF)
        state_reason(m, slot, MEMBER_SILENT);
    state_reason(m, slot, r);
    if (p->state == MEMBER_SUSPECT && m->dense->peers[slot].silent_since)
        probe(m, slot);
}
