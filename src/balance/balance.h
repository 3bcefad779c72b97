/* balance: PICK. Which instance takes the next request, and may a failed one be tried again.
 *
 * A pool belongs to one thread; each proxy worker has its own for every service. Nothing here
 * locks, allocates after pool_init, reads a clock or knows a socket. An algorithm is one small file
 * and one entry in the table of balance/algorithm.c. */
#ifndef HF_BALANCE_H
#define HF_BALANCE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/base.h"
#include "detect/detect.h"

enum algorithm { ALGORITHM_ROUND_ROBIN, ALGORITHM_RANDOM, ALGORITHM_LEAST_REQUESTS, ALGORITHMS };
/* "round-robin", "random", "least-requests"; NULL above the last. */
const char *algorithm_name(enum algorithm a);
bool algorithm_parse(struct str name, enum algorithm *out);

enum {
    POOL_MAX = 1024,         /* instances in one pool */
    POOL_TRIAL_INFLIGHT = 2, /* requests at a time that a member on trial is given */
};

struct member {
    /* set by the owner */
    uint32_t weight; /* 0..1000; 0 takes no requests unless nobody else can */
    uint8_t verdict; /* enum verdict */
    bool certain;    /* the verdict rests on certain evidence */
    bool draining;   /* no new requests */
    bool trial;      /* REASON_RECOVERING: given few requests at a time while others are there */
    uint64_t since;  /* ns, when it got this verdict */
    /* kept by the pool */
    bool pickable;     /* pool_update's decision */
    uint32_t inflight; /* requests given and not yet done, of this worker */
    int64_t credit;    /* smooth weighted round-robin's running credit */
};

struct pool {
    const struct algorithm_ops *ops;
    struct member *members; /* owned */
    uint32_t n;
    uint32_t n_pickable;
    uint32_t n_trial;        /* of them, on trial */
    uint32_t eject_permille; /* 0..1000: never more than this share of the members is left out for
                                uncertain evidence */
    bool panic; /* nobody is healthy enough: every member that is not draining may be picked */
    bool begun; /* the first turn was drawn */
    struct prng prng;
    uint16_t *order; /* owned: pool_update's scratch */
};

/* members are zeroed: the owner sets weight and verdict, then calls pool_update; until then nobody
 * is pickable. n may be 0. Pools of equal seed behave alike: give each worker its own. ERR_LIMIT
 * above POOL_MAX, ERR_NOMEM; the pool is empty then and may be freed. */
int pool_init(struct pool *p, enum algorithm a, uint32_t n, uint32_t eject_permille, uint64_t seed,
              struct err *e);
/* A zeroed pool is allowed. */
void pool_free(struct pool *p);

/* Decides anew who may be picked. Call after any change of what the owner sets.
 * Cost O(n log n), not per request. Failed members are left out: those with certain evidence
 * always, the others, longest failed first, up to eject_permille of all members (rounded down, but
 * one at least where there are two or more; 0 leaves none out). Where no member with a weight is
 * well, those with weight 0 that are join. If nobody is left, all that do not drain are pickable
 * (panic): a wrong verdict must not stop a service. */
void pool_update(struct pool *p);

/* The members already tried for this request; a retry goes elsewhere. */
struct tried {
    uint16_t index[16];
    uint8_t n;
};
static inline bool tried_has(const struct tried *t, uint32_t i)
{
    for (uint8_t k = 0; k < t->n; k++)
        if (t->index[k] == i)
            return true;
    return false;
}
static inline void tried_add(struct tried *t, uint32_t i)
{
    if (t->n < ARRAY_LEN(t->index))
        t->index[t->n++] = (uint16_t)i;
}

/* A member that is pickable and not in tried, or, if there is none, a tried pickable one; -1 when
 * no member is pickable. A suspect member is picked like others; one on trial only while it has few
 * requests in flight, unless that leaves nobody. hash is for algorithms that place by key. The
 * caller pairs it with pool_done. */
int pool_pick(struct pool *p, const struct tried *tried, uint64_t hash, uint64_t now);
void pool_done(struct pool *p, uint32_t index);

/* Retry budget: over the last ten seconds, retries stay within reserve + share of the requests. A
 * sick instance of three cannot use it up before it is ejected; a sick service cannot double its
 * own load. (Finagle's RetryBudget is the idea's source.) */
struct budget {
    uint32_t share_permille; /* 0..1000 */
    uint32_t reserve;        /* retries allowed besides the share, in ten seconds */
    uint64_t second;         /* the second that `now` points to */
    uint32_t requests[10], retries[10];
    uint32_t sum_requests, sum_retries;
};
void budget_init(struct budget *b, uint32_t share_permille, uint32_t reserve);
void budget_request(struct budget *b, uint64_t now);
/* Takes one if there is one. Each worker has its own budget: what it sees is a sample of all. */
bool budget_retry(struct budget *b, uint64_t now);

#endif
