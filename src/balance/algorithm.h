/* The seam between the pool and its algorithms. Inside balance only. */
#ifndef HF_BALANCE_ALGORITHM_H
#define HF_BALANCE_ALGORITHM_H

#include "balance/balance.h"

/* Who is left out of this pick. */
struct choice {
    const struct tried *tried; /* NULL: none was tried */
    bool beyond_trial;         /* nobody else is left: a trial may get more requests */
};

struct algorithm_ops {
    const char *name;
    /* One of the members that candidate() allows, or -1. Does not count it as in flight. */
    int (*pick)(struct pool *p, const struct choice *c, uint64_t hash, uint64_t now);
};

extern const struct algorithm_ops round_robin_ops, random_ops, least_requests_ops;

const struct algorithm_ops *algorithm_ops(enum algorithm a);

static inline bool candidate(const struct pool *p, uint32_t i, const struct choice *c)
{
    const struct member *m = &p->members[i];
    if (!m->pickable || (c->tried && tried_has(c->tried, i)))
        return false;
    return !m->trial || m->inflight < POOL_TRIAL_INFLIGHT || c->beyond_trial;
}

/* A member of weight 0 is a candidate only when nobody else is left: then it counts as 1. */
static inline uint32_t weight_of(const struct member *m)
{
    return m->weight ? m->weight : 1;
}

#endif
