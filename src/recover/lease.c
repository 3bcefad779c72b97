/* The holder's half: rounds out, acknowledgements in, a deadline. lease_voter.c is the other. */
#include "recover/lease.h"

/* A build with -Dplant=N has fault N, for the simulator to find: */
#ifndef HF_PLANT
#define HF_PLANT 0
#endif
enum {
    PLANT_OLDER = 10,   /* an acknowledgement of an older round counts for the latest */
    PLANT_RECEIPT = 11, /* the lease is counted from the acknowledgement */
    PLANT_EARLY = 12,   /* it is acted upon before a majority has acknowledged */
};

#define SOONER 5 /* rounds in a beat, at most, while a promise is about to end */

#define MILLION UINT64_C(1000000)

uint64_t lease_promise(const struct lease_params *p)
{
    uint64_t most = (p->lease + p->demote) * (MILLION + p->rho);
    uint64_t least_rate = MILLION - p->rho;
    return (most + least_rate - 1) / least_rate;
}

int lease_params_check(const struct lease_params *p, struct err *e)
{
    enum { HOUR_S = 3600 };
    if (p->rho >= MILLION / 5)
        return err_set(e, ERR_INVAL, "a clock whose rate may be wrong by a fifth is no clock");
    if (!p->lease || p->lease > HOUR_S * UINT64_C(1000000000) || p->demote > p->lease)
        return err_set(e, ERR_INVAL, "a lease lasts up to an hour, and a demotion no longer");
    if (!p->beat || p->beat > p->lease / 4)
        return err_set(e, ERR_INVAL,
                       "a lease needs four rounds at least: %llu ns, one each %llu ns",
                       (unsigned long long)p->lease, (unsigned long long)p->beat);
    return 0;
}

struct lease_terms lease_params_terms(const struct lease_params *p)
{
    return (struct lease_terms){p->lease, p->demote, p->rho};
}

const char *lease_state_name(enum lease_state s)
{
    static const char *const names[LEASE_STATES] = {
        [LEASE_IDLE] = "idle",
        [LEASE_ACQUIRING] = "acquiring",
        [LEASE_GATE] = "gate",
        [LEASE_HELD] = "held",
    };
    CHECK(s < LEASE_STATES);
    return names[s];
}

void lease_holder_init(struct lease_holder *h, const struct lease_params *p, uint64_t role,
                       uint64_t incarnation)
{
    CHECK(lease_params_check(p, NULL) == 0);
    *h = (struct lease_holder){.params = *p, .role = role, .incarnation = incarnation};
}

static void forget_rounds(struct lease_holder *h)
{
    memset(h->rounds, 0, sizeof h->rounds);
}

void lease_holder_voters(struct lease_holder *h, uint64_t version, const uint64_t *voters,
                         uint32_t n)
{
    CHECK(n <= LEASE_VOTERS_MAX && version >= h->version);
    h->version = version;
    h->n_voters = n;
    memcpy(h->voters, voters, n * sizeof voters[0]);
    forget_rounds(h);
}

static uint64_t less(uint64_t at, uint64_t by)
{
    return at > by ? at - by : 0;
}

void lease_holder_params(struct lease_holder *h, const struct lease_params *p)
{
    CHECK(lease_params_check(p, NULL) == 0);
    uint64_t longer = less(p->demote, h->params.demote);
    h->params = *p;
    h->deadline = less(h->deadline, longer);
    h->outgoing = less(h->outgoing, longer);
    forget_rounds(h);
}

void lease_holder_resume(struct lease_holder *h, uint64_t incarnation, uint64_t round,
                         uint64_t epoch, uint64_t deadline, uint64_t now)
{
    CHECK(h->state == LEASE_IDLE && !h->round && incarnation);
    h->incarnation = incarnation;
    h->round = round;
    if (deadline <= now)
        return;
    h->state = LEASE_HELD;
    h->epoch = h->seen = epoch;
    h->deadline = deadline;
    h->next = now;
}

/* --- states --- */

bool lease_outdated(const struct lease_holder *h)
{
    return h->state != LEASE_IDLE && h->seen > h->epoch;
}

static bool has_lease(const struct lease_holder *h)
{
    return h->state == LEASE_GATE || h->state == LEASE_HELD;
}

static void become_idle(struct lease_holder *h)
{
    h->state = LEASE_IDLE;
    h->deadline = 0;
    forget_rounds(h);
}

static void acquire(struct lease_holder *h, uint64_t now)
{
    h->state = LEASE_ACQUIRING;
    h->deadline = 0;
    h->give_up = now + h->params.lease * 5 / 2;
    h->next = now;
    forget_rounds(h);
    if (HF_PLANT == PLANT_EARLY) {
        h->state = LEASE_GATE;
        h->deadline = now + h->params.lease;
        h->gate++;
    }
}

/* Whatever is asked of a holder, first of all its time may be over. */
static unsigned lapse(struct lease_holder *h, uint64_t now)
{
    unsigned effects = 0;
    if (h->outgoing && now >= h->outgoing) {
        h->outgoing = 0;
        effects |= LEASE_LAPSED;
    }
    if (!has_lease(h) || now < h->deadline)
        return effects;
    if (lease_outdated(h))
        become_idle(h);
    else
        acquire(h, now); /* and through the gate again */
    return effects | LEASE_LAPSED;
}

/* --- rounds --- */

static struct lease_round *oldest(struct lease_holder *h)
{
    struct lease_round *r = &h->rounds[0];
    for (uint32_t i = 1; i < LEASE_ROUNDS; i++)
        if (h->rounds[i].round < r->round)
            r = &h->rounds[i];
    return r;
}

static unsigned send_round(struct lease_holder *h, uint64_t now, struct lease_message *out)
{
    struct lease_round *r = oldest(h);
    h->next = now + h->params.beat;
    *r = (struct lease_round){.round = ++h->round, .sent = now};
    *out = (struct lease_message){.kind = LEASE_RENEW,
                                  .role = h->role,
                                  .epoch = h->epoch,
                                  .incarnation = h->incarnation,
                                  .round = h->round,
                                  .voters = h->version};
    return LEASE_SEND;
}

unsigned lease_tick(struct lease_holder *h, uint64_t now, struct lease_message *out)
{
    unsigned effects = lapse(h, now);
    if (h->state == LEASE_ACQUIRING && now >= h->give_up) {
        become_idle(h);
        return effects | LEASE_GAVE_UP;
    }
    bool renews = h->state != LEASE_IDLE && !lease_outdated(h) && h->n_voters;
    if (renews && now >= h->next)
        effects |= send_round(h, now, out);
    return effects;
}

uint64_t lease_next(const struct lease_holder *h)
{
    uint64_t at = h->outgoing ? h->outgoing : UINT64_MAX;
    if (has_lease(h))
        at = MIN(at, h->deadline);
    if (h->state == LEASE_ACQUIRING)
        at = MIN(at, h->give_up);
    if (h->state != LEASE_IDLE && !lease_outdated(h) && h->n_voters)
        at = MIN(at, h->next);
    return at;
}

void lease_sooner(struct lease_holder *h, uint64_t at)
{
    h->next = MIN(h->next, at);
}

unsigned lease_want(struct lease_holder *h, uint64_t epoch, uint64_t now, struct lease_message *out)
{
    unsigned effects = lapse(h, now);
    if (epoch < h->seen)
        return effects | LEASE_OUTDATED;
    if (h->state != LEASE_IDLE && epoch == h->epoch)
        return effects;
    CHECK(epoch >= h->epoch);
    if (h->state == LEASE_HELD)
        h->outgoing = h->deadline;
    h->epoch = h->seen = epoch;
    acquire(h, now);
    return effects | lease_tick(h, now, out);
}

/* --- answers --- */

static int bit_of(const struct lease_holder *h, uint64_t voter)
{
    for (uint32_t i = 0; i < h->n_voters; i++)
        if (h->voters[i] == voter)
            return (int)i;
    return -1;
}

static struct lease_round *round_of(struct lease_holder *h, uint64_t round)
{
    for (uint32_t i = 0; round && i < LEASE_ROUNDS; i++)
        if (h->rounds[i].round == round)
            return &h->rounds[i];
    return NULL;
}

static bool by_majority(const struct lease_holder *h, const struct lease_round *r)
{
    return 2 * (uint32_t)__builtin_popcount(r->acks) > h->n_voters;
}

static unsigned acknowledged(struct lease_holder *h, int voter, const struct lease_message *m,
                             uint64_t now)
{
    struct lease_round *r = round_of(h, HF_PLANT == PLANT_OLDER ? h->round : m->round);
    if (!r || h->state == LEASE_IDLE || m->epoch != h->epoch)
        return 0;
    r->acks |= 1u << voter;
    uint64_t until = (HF_PLANT == PLANT_RECEIPT ? now : r->sent) + h->params.lease;
    if (!by_majority(h, r) || until <= now || until <= h->deadline)
        return 0;
    h->deadline = until;
    if (h->state != LEASE_ACQUIRING)
        return 0;
    h->state = LEASE_GATE;
    h->gate++;
    return LEASE_ENTERED;
}

/* A promise that ends before the next round is due: the round goes when it does. */
static void ask_sooner(struct lease_holder *h, const struct lease_message *m, uint64_t now)
{
    bool ends = m->refusal == LEASE_TAKEN || m->refusal == LEASE_QUIET;
    if (h->state == LEASE_ACQUIRING && ends && m->round == h->round)
        h->next = MIN(h->next, now + MAX(m->wait, h->params.beat / SOONER));
}

unsigned lease_receive(struct lease_holder *h, uint64_t from, const struct lease_message *m,
                       uint64_t now)
{
    unsigned effects = lapse(h, now);
    int voter = bit_of(h, from);
    if (voter < 0 || m->role != h->role || m->incarnation != h->incarnation)
        return effects;
    if (m->kind == LEASE_ACK && m->voters == h->version)
        return effects | acknowledged(h, voter, m, now);
    if (m->kind != LEASE_REFUSED)
        return effects;
    ask_sooner(h, m, now);
    if (m->seen <= h->seen)
        return effects;
    h->seen = m->seen;
    return effects | (h->state != LEASE_IDLE ? LEASE_OUTDATED : 0);
}

bool lease_confirm(struct lease_holder *h, uint64_t gate, uint64_t epoch, uint64_t now)
{
    bool open = h->state == LEASE_GATE && now < h->deadline && gate == h->gate;
    if (!open || epoch != h->epoch || lease_outdated(h))
        return false;
    h->state = LEASE_HELD;
    h->outgoing = 0;
    return true;
}

bool lease_drop(struct lease_holder *h, uint64_t now, struct lease_message *out)
{
    (void)now;
    become_idle(h);
    h->outgoing = 0;
    *out = (struct lease_message){.kind = LEASE_RELEASE,
                                  .role = h->role,
                                  .epoch = h->epoch,
                                  .incarnation = h->incarnation,
                                  .round = h->round,
                                  .voters = h->version};
    return h->round > 0;
}

uint64_t lease_deadline(const struct lease_holder *h, uint64_t now)
{
    uint64_t until = h->state == LEASE_HELD ? h->deadline : h->outgoing;
    return until > now ? until : 0;
}
