/* balance: PICK. Which instance takes the next request, and may a failed one be tried again.
 *
 * A pool belongs to one thread; each proxy worker has its own for every service. Nothing here
 * locks, allocates after pool_init, reads a clock or knows a socket. An algorithm is one small file
 * and one entry in the table of balance/algorithm.c.
 *
 * Two layers decide. The pool says who may be picked and with what weight (verdicts, priority
 * groups, zones, a subset for this peer, slow start); the algorithm chooses among those. Neither
 * knows the other. docs/balancing.md explains both. */
#ifndef HF_BALANCE_H
#define HF_BALANCE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/base.h"
#include "detect/detect.h"

enum algorithm {
    ALGORITHM_ROUND_ROBIN,
    ALGORITHM_RANDOM,
    ALGORITHM_LEAST_REQUESTS,
    ALGORITHM_TWO_CHOICES,
    ALGORITHM_LEAST_TIME,
    ALGORITHM_PREQUAL,
    ALGORITHM_SOURCE_HASH,
    ALGORITHM_CONSISTENT_HASH,
    ALGORITHM_MAGLEV,
    ALGORITHMS
};
/* "round-robin", "random", "least-requests", "two-choices", "least-time", "prequal", "source-hash",
 * "consistent-hash", "maglev"; NULL above the last. */
const char *algorithm_name(enum algorithm a);
bool algorithm_parse(struct str name, enum algorithm *out);
/* It places by the hash that pool_pick is given: the caller must give a real one. */
bool algorithm_by_key(enum algorithm a);
/* It learns from pool_observe and pool_end. */
bool algorithm_by_latency(enum algorithm a);

enum {
    POOL_MAX = 1024,         /* instances in one pool */
    POOL_TRIAL_INFLIGHT = 2, /* requests at a time that a member on trial is given */
    POOL_GROUPS = 16,        /* priorities; a member's is cut to the last */
    POOL_ZONES = 16,         /* the same of zones */
    POOL_WEIGHT_ONE = 1024,  /* the effective weight that weight 1 is */
};
#define POOL_HALF_LIFE UINT64_C(1000000000) /* ns, of what is learnt of latency; the default */

struct member {
    /* set by the owner, followed by pool_update */
    uint32_t weight;   /* 0..1000; 0 takes no requests unless nobody else can */
    uint8_t verdict;   /* enum verdict */
    uint8_t priority;  /* its group: 0 is used first */
    bool certain;      /* the verdict rests on certain evidence */
    bool draining;     /* no new requests */
    bool trial;        /* REASON_RECOVERING: given few requests at a time while others are there */
    uint8_t zone;      /* where it is; 0: not said */
    uint64_t since;    /* ns, when it got this verdict */
    uint64_t returned; /* ns, when it was added or left failed: slow start counts from here; 0: it
                          needs none */
    struct limit
        *limit;   /* balance/admit.h: while it is full the member is not picked; NULL: none */
    uint64_t key; /* who it is, for placement by key and subsets: the same for every worker and
                     node and over reloads (a hash of its name); 0: its index */
    /* kept by the pool */
    bool pickable;      /* pool_update's decision */
    bool standby;       /* well, but outside: another zone, a later group; for retries only */
    uint32_t inflight;  /* requests given and not yet done, of this worker */
    uint32_t share;     /* weight after groups, zones and subset, in 1/POOL_WEIGHT_ONE */
    uint32_t effective; /* the same after slow start */
    int64_t credit;     /* smooth weighted round-robin's running credit */
    uint64_t id;        /* from key */
    double inverse;     /* the mean effective weight over this one's */
    double latency;     /* ns, as the algorithm estimates it; 0: unknown */
    double met;         /* Prequal: how many were in flight when that was seen */
    double cost;        /* what the algorithm makes of them: ns for each request in flight */
    uint64_t measured;  /* ns, when latency was last estimated */
    uint64_t heard;     /* ns, when it last was picked or answered */
};

/* A fraction from 0 to 1 is in permille. What is zero is off. */
struct pool_params {
    enum algorithm algorithm;
    uint32_t n;              /* members; 0 is allowed */
    uint32_t eject_permille; /* never more than this share is left out for uncertain evidence */
    uint64_t seed;           /* pools of equal seed behave alike: give each worker its own */
    uint32_t group_least_permille; /* a priority group carries all that comes to it while this share
                                      of its weight is well; 0: while one member is */
    uint8_t zone;                  /* of this node: members there are preferred; 0: no preference */
    uint32_t zone_permille; /* of all requests, how many arrive in this zone; 0: as its share of the
                               weight configured */
    uint32_t subset;        /* members that this peer needs at least; 0: all */
    uint32_t peer, peers; /* subset: which of how many workers of all nodes this is; peer < peers */
    uint64_t slow_start;  /* ns until a new or returned member has its whole weight */
    uint32_t bound_permille; /* placement by key: the load of a member over the mean, at most; 1250
                                is 1.25; 0: unbounded; at least 1000 otherwise */
    uint64_t half_life; /* ns after which what was learnt of latency counts half; 0: the default */
};

/* One column of the alias table. */
struct alias {
    uint32_t below; /* a draw below this is the first one's */
    uint16_t either[2];
};

/* Of one priority group: what its members have now. */
struct pool_group {
    uint64_t weight;   /* effective, of the pickable */
    uint32_t inflight; /* of the pickable */
    uint32_t until;    /* keys whose draw is below this, and not below the group before, are its */
};

struct pool {
    const struct algorithm_ops *ops;
    struct pool_params params;
    struct member *members; /* owned */
    uint32_t n;
    uint32_t n_pickable;
    uint32_t n_standby;
    uint32_t n_trial;        /* of the pickable, on trial */
    uint32_t eject_permille; /* as in params; may be changed before pool_update */
    bool panic; /* nobody is healthy enough: every member that is not draining may be picked */
    bool begun; /* the first turn was drawn */
    bool even;  /* all effective weights are equal */
    struct prng prng;
    uint64_t clock;      /* the latest now that was said */
    uint64_t weighed_at; /* ns, that effective weights are as of */
    uint64_t reweigh_at; /* slow start: when weights change next; UINT64_MAX if none does */
    double half_lives;   /* in a ns */
    uint64_t fresh;      /* ns in which nothing fades to speak of */
    double mean_latency; /* ns, of the answered requests of late; 0: unknown */
    double hot;          /* Prequal: load from which a member is hot */
    struct pool_group groups[POOL_GROUPS];
    uint16_t *in;        /* owned: the pickable */
    struct alias *alias; /* owned: for drawing one of them by weight */
    uint16_t *order;     /* owned: pool_update's scratch */
    double *factor;      /* owned: pool_update's scratch */
    void *table;         /* owned: the algorithm's own */
    uint64_t built_for;  /* of which members the table is */
};

/* members are zeroed: the owner sets weight and verdict, then calls pool_update; until then nobody
 * is pickable. ERR_INVAL, ERR_LIMIT above POOL_MAX, ERR_NOMEM; the pool is empty then and may be
 * freed. Nothing else allocates. */
int pool_open(struct pool *p, const struct pool_params *params, struct err *e);
/* With these parameters and no other. */
int pool_init(struct pool *p, enum algorithm a, uint32_t n, uint32_t eject_permille, uint64_t seed,
              struct err *e);
/* A zeroed pool is allowed. */
void pool_free(struct pool *p);
/* What was learnt of a member lives on in a new pool, at a reload: when it returned and, if the
 * algorithm is the same, its latency. Call before pool_update. */
void pool_inherit(struct pool *p, uint32_t index, const struct pool *from, uint32_t from_index);

/* Decides anew who may be picked, and with what weight. Call after any change of what the owner
 * sets. Cost O(n log n), not per request; where weights or keys of a pool that places by key
 * changed, that of building its table (docs/balancing.md). Failed members are left out: those with
 * certain evidence always, the others, longest failed first, up to eject_permille of all members
 * (rounded down, but one at least where there are two or more; 0 leaves none out). Where no member
 * with a weight is well, those with weight 0 that are join. If nobody is left, all that do not
 * drain are pickable (panic): a wrong verdict must not stop a service. */
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

/* One of those not tried could be picked, but for its limit. tried may be NULL. */
bool pool_full(const struct pool *p, const struct tried *tried);

/* A member that is pickable and not in tried; or, if there is none, one untried of another zone or
 * a later group; or a tried pickable one; -1 when no member is pickable. A suspect member is picked
 * like others; one on trial only while it has few requests in flight, unless that leaves nobody.
 * hash is for algorithms that place by key (algorithm_by_key): any 64 bits that depend on the key
 * alone, keyed where clients may choose keys to hit one member. now is monotonic, in ns. The caller
 * pairs it with pool_done or pool_end. */
int pool_pick(struct pool *p, const struct tried *tried, uint64_t hash, uint64_t now);
/* This member and no other (balance/sticky.h): its index, or -1 where it drains, failed and is not
 * kept in the pool, or was tried. Weight, group, zone, subset and trial do not matter: who belongs
 * to it shall find it. As pool_pick otherwise. */
int pool_pick_sticky(struct pool *p, const struct tried *tried, uint32_t index, uint64_t now);
/* What pool_pick does once it has chosen: for a request that another pool was asked for. */
void pool_begin(struct pool *p, uint32_t index);
void pool_done(struct pool *p, uint32_t index);

enum outcome {
    OUTCOME_OK,        /* it answered */
    OUTCOME_FAILED,    /* no answer, or one that counts as a failure of the instance */
    OUTCOME_ABANDONED, /* it was not waited for: the client left, or a hedge won */
};

/* What an attempt showed: the time from pool_pick to the first byte of the answer (for a connection
 * that is only passed through: until it was connected), or until it failed or was given up. At most
 * once an attempt, as soon as it is known; the request may go on. */
void pool_observe(struct pool *p, uint32_t index, enum outcome outcome, uint64_t latency,
                  uint64_t now);
/* pool_observe and pool_done. */
void pool_end(struct pool *p, uint32_t index, enum outcome outcome, uint64_t latency, uint64_t now);

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
