/* The seams inside balance: between the pool and its algorithms, and between the pool's own parts.
 * Inside balance only. */
#ifndef HF_BALANCE_ALGORITHM_H
#define HF_BALANCE_ALGORITHM_H

#include "balance/admit.h"
#include "balance/balance.h"

/* Who is left out of this pick. */
struct choice {
    const struct tried *tried; /* NULL: none was tried */
    bool beyond_trial;         /* nobody else is left: a trial may get more requests */
    bool lax;                  /* by key: nobody is left within group, ramp and bound */
    uint8_t group;             /* by key: the priority group of this key */
};

struct algorithm_ops {
    const char *name;
    /* One of the members that candidate() allows, or -1. Does not count it as in flight. */
    int (*pick)(struct pool *p, const struct choice *c, uint64_t hash, uint64_t now);
    /* NULL: it does not look at latencies. latency > 0. */
    void (*learn)(struct pool *p, struct member *m, double latency, uint64_t now);
    bool by_key; /* it places by hash */
    /* NULL: it has no table. The bytes of one for n members; the table starts zeroed. */
    size_t (*table_size)(uint32_t n);
    /* Weights or ids are new. All members with a weight belong in it, pickable or not: so that
     * those who leave and return move no other's keys. */
    void (*build)(struct pool *p);
};

extern const struct algorithm_ops round_robin_ops, random_ops, least_requests_ops, two_choices_ops,
    least_time_ops, prequal_ops, source_hash_ops, consistent_hash_ops, maglev_ops;

const struct algorithm_ops *algorithm_ops(enum algorithm a);

static inline bool candidate(const struct pool *p, uint32_t i, const struct choice *c)
{
    const struct member *m = &p->members[i];
    if (!m->pickable || (c->tried && tried_has(c->tried, i)))
        return false;
    if (m->limit && limit_full(m->limit))
        return false;
    return !m->trial || m->inflight < POOL_TRIAL_INFLIGHT || c->beyond_trial;
}

/* A member of weight 0 is pickable only when nobody else is left: then it counts as 1. Not 0 for a
 * pickable member. */
static inline uint32_t weight_of(const struct member *m)
{
    return m->effective;
}

static inline bool member_failed(const struct member *m)
{
    return m->verdict >= VERDICT_FAILED;
}

/* --- draw.c --- */

void draw_build(struct pool *p);
/* A candidate, by chance of its weight; -1 if there is none. */
int draw(struct pool *p, const struct choice *c);
/* Another one than `except`, or -1. By chance of weight, but for pools with one very heavy member.
 */
int draw_other(struct pool *p, const struct choice *c, int except);
/* Up to `most` different candidates; all of them if they are no more than that. Returns how many.
 */
uint32_t draw_several(struct pool *p, const struct choice *c, uint32_t most, uint16_t *out);
/* One of the standby members that was not tried, or -1. */
int draw_standby(struct pool *p, const struct tried *tried);

/* --- order.c --- */

/* Heap sort of p->order[0..n): qsort may allocate. */
void order_sort(struct pool *p, uint32_t n,
                bool (*before)(const struct pool *p, uint16_t a, uint16_t b));

/* --- share.c --- */

/* Sets share and standby, and takes pickable from those whose share is nothing. */
void share_out(struct pool *p);

/* --- weigh.c --- */

/* Sets effective weights as of now, and what depends on them. */
void weigh(struct pool *p, uint64_t now);
/* Of a member: 0.1 to 1. */
double ramp(const struct pool *p, const struct member *m, uint64_t now);

/* --- latency.c --- */

/* 2^-(elapsed / half-life). */
double fade(const struct pool *p, uint64_t elapsed);
/* What an observation counts as; 0: it says nothing. */
double latency_charged(const struct pool *p, const struct member *m, enum outcome o,
                       uint64_t latency);
/* What one more request to it would cost: what it costs for each in flight, times those and the new
 * one. A member of which nothing is known is asked at once, and counts as average until it has
 * answered. What is known fades while nothing is heard, so that it is tried again some day. */
static inline double cost_of(const struct pool *p, const struct member *m, uint64_t now)
{
    double cost = m->cost;
    if (cost <= 0)
        return m->inflight ? MAX(p->mean_latency, 1) * (m->inflight + 1) : 0;
    if (now > m->heard + p->fresh)
        cost *= fade(p, now - m->heard);
    return cost * (m->inflight + 1);
}

/* Doubles that are not negative are in the order of their bits, and to compare those needs no
 * jump. */
static inline uint64_t order_of(double x)
{
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

#endif
