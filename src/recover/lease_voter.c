/* The voter's half: one promise per role at a time. */
#include "recover/lease.h"

/* A build with -Dplant=N has fault N, for the simulator to find: */
#ifndef HF_PLANT
#define HF_PLANT 0
#endif
enum { PLANT_FORGETS = 9 /* a voter that starts again promises at once */ };

void lease_voter_init(struct lease_voter *v, const struct lease_params *p, uint64_t now)
{
    CHECK(lease_params_check(p, NULL) == 0);
    uint64_t quiet = HF_PLANT == PLANT_FORGETS ? 0 : lease_promise(p);
    *v = (struct lease_voter){.params = *p, .quiet_until = now + quiet};
}

void lease_voter_params(struct lease_voter *v, const struct lease_params *p)
{
    CHECK(lease_params_check(p, NULL) == 0);
    v->params = *p;
}

void lease_voter_set(struct lease_voter *v, uint64_t version, bool member)
{
    v->voters = member ? version : 0;
}

const struct lease_promised *lease_voter_find(const struct lease_voter *v, uint64_t role)
{
    for (uint32_t i = 0; i < LEASE_ROLES_MAX; i++)
        if (v->promised[i].used && v->promised[i].role == role)
            return &v->promised[i];
    return NULL;
}

static struct lease_promised *find(struct lease_voter *v, uint64_t role)
{
    const struct lease_promised *p = lease_voter_find(v, role);
    return p ? &v->promised[p - v->promised] : NULL;
}

/* A place that nobody has, else the one whose promise has been over for longest: only its epoch is
 * lost, which the gate makes up for. */
static struct lease_promised *place(struct lease_voter *v, uint64_t role, uint64_t now)
{
    struct lease_promised *p = find(v, role), *best = NULL;
    for (uint32_t i = 0; !p && i < LEASE_ROLES_MAX; i++) {
        struct lease_promised *at = &v->promised[i];
        if (at->used && at->until > now)
            continue;
        if (!best || !at->used || (best->used && at->until < best->until))
            best = at;
    }
    if (!p && best) {
        *best = (struct lease_promised){.used = true, .role = role};
        p = best;
    }
    return p;
}

static bool is_of(const struct lease_promised *p, uint64_t from, const struct lease_message *m)
{
    return p->holder == from && p->incarnation == m->incarnation;
}

static void refuse(struct lease_message *answer, enum lease_refusal why, uint64_t wait)
{
    answer->kind = LEASE_REFUSED;
    answer->refusal = (uint8_t)why;
    answer->wait = wait;
}

static void promise(struct lease_promised *p, uint64_t from, const struct lease_message *m,
                    uint64_t until)
{
    bool same = is_of(p, from, m);
    if (!same)
        p->round = p->released = 0;
    p->holder = from;
    p->incarnation = m->incarnation;
    p->seen = m->epoch;
    p->round = MAX(p->round, m->round);
    p->until = same ? MAX(p->until, until) : until; /* under longer terms it may have got more */
}

static void renew(struct lease_voter *v, uint64_t from, const struct lease_message *m, uint64_t now,
                  struct lease_message *answer)
{
    if (!v->voters || m->voters != v->voters) {
        refuse(answer, LEASE_OTHER_SET, 0);
        return;
    }
    if (now < v->quiet_until) {
        refuse(answer, LEASE_QUIET, v->quiet_until - now);
        return;
    }
    struct lease_promised *p = place(v, m->role, now);
    if (!p) {
        refuse(answer, LEASE_FULL, 0);
        return;
    }
    if (m->epoch < p->seen)
        refuse(answer, LEASE_OLD_EPOCH, 0);
    else if (now < p->until && !is_of(p, from, m))
        refuse(answer, LEASE_TAKEN, p->until - now);
    else if (is_of(p, from, m) && m->round <= p->released)
        refuse(answer, LEASE_VOID, 0);
    else
        promise(p, from, m, now + lease_promise(&v->params));
    p->seen = MAX(p->seen, m->epoch); /* refused or not: a holder below it must notice */
    answer->seen = p->seen;
}

static void release(struct lease_voter *v, uint64_t from, const struct lease_message *m,
                    uint64_t now)
{
    struct lease_promised *p = find(v, m->role);
    if (!p || !is_of(p, from, m) || m->round < p->round)
        return;
    p->until = MIN(p->until, now);
    p->released = MAX(p->released, m->round);
}

bool lease_voter_receive(struct lease_voter *v, uint64_t from, const struct lease_message *m,
                         uint64_t now, struct lease_message *answer)
{
    if (m->kind == LEASE_RELEASE)
        release(v, from, m, now);
    if (m->kind != LEASE_RENEW || !m->round)
        return false;
    *answer = *m;
    answer->kind = LEASE_ACK;
    answer->refusal = 0;
    answer->seen = answer->wait = 0;
    renew(v, from, m, now, answer);
    return true;
}
