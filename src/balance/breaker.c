#include "balance/breaker.h"

#include "base/base.h"

/* --- the state's word: 2 bits of state, 30 of generation, 16 of probes under way, 16 of good ones
 * --- */

struct word {
    enum breaker_state state;
    uint32_t generation;
    uint32_t given, good;
};

enum { GENERATION_BITS = 30, PROBE_BITS = 16 };

static uint64_t pack(struct word w)
{
    uint64_t generation = w.generation & ((UINT32_C(1) << GENERATION_BITS) - 1);
    return (uint64_t)w.state | generation << 2 | (uint64_t)w.given << 32 |
           (uint64_t)w.good << (32 + PROBE_BITS);
}

static struct word unpack(uint64_t x)
{
    return (struct word){.state = (enum breaker_state)(x & 3),
                         .generation = (uint32_t)x >> 2,
                         .given = (uint32_t)(x >> 32) & 0xffff,
                         .good = (uint32_t)(x >> (32 + PROBE_BITS))};
}

const char *breaker_state_name(enum breaker_state s)
{
    switch (s) {
    case BREAKER_CLOSED: return "closed";
    case BREAKER_OPEN: return "open";
    case BREAKER_HALF_OPEN: return "half-open";
    case BREAKER_STATES: break;
    }
    return NULL;
}

enum event { EVENT_SHARE_FAILED, EVENT_TIME_OVER, EVENT_PROBES_GOOD, EVENT_PROBE_BAD, EVENTS };

/* BREAKER_STATES: nothing happens. */
static const enum breaker_state nexts[BREAKER_STATES][EVENTS] = {
    /*                     a share failed  time is over       probes are good  a probe failed */
    [BREAKER_CLOSED] = {BREAKER_OPEN, BREAKER_STATES, BREAKER_STATES, BREAKER_STATES},
    [BREAKER_OPEN] = {BREAKER_STATES, BREAKER_HALF_OPEN, BREAKER_STATES, BREAKER_STATES},
    [BREAKER_HALF_OPEN] = {BREAKER_STATES, BREAKER_HALF_OPEN, BREAKER_CLOSED, BREAKER_OPEN},
};

/* From `seen`, unless another worker was faster. The times and counts are those of the new state
 * before it is seen. */
static bool change(struct breaker *b, const struct breaker_params *p, uint64_t seen,
                   enum event event, uint64_t now)
{
    struct word w = unpack(seen);
    enum breaker_state next = nexts[w.state][event];
    if (next == BREAKER_STATES || atomic_load(&b->word) != seen)
        return false;
    if (next != BREAKER_CLOSED)
        atomic_store(&b->until, now + MAX(p->open_for, 1));
    w = (struct word){.state = next, .generation = w.generation + 1};
    if (!atomic_compare_exchange_strong(&b->word, &seen, pack(w)))
        return false;
    for (int i = 0; i < BREAKER_BUCKETS; i++)
        atomic_store_explicit(&b->buckets[i], 0, memory_order_relaxed);
    if (next == BREAKER_OPEN)
        atomic_fetch_add_explicit(&b->opened, 1, memory_order_relaxed);
    return true;
}

/* --- the window: each bucket is 24 bits of which tenth it is, 20 of requests, 20 of failures ---
 */

enum { COUNT_BITS = 20, COUNT_MAX = (1 << COUNT_BITS) - 1, TENTH_MASK = (1 << 24) - 1 };

static uint64_t tenth_of(const struct breaker_params *p, uint64_t now)
{
    return now / MAX(p->window / BREAKER_BUCKETS, 1);
}

static uint64_t requests_of(uint64_t bucket)
{
    return bucket >> COUNT_BITS & COUNT_MAX;
}

static void count(struct breaker *b, const struct breaker_params *p, bool failed, uint64_t now)
{
    uint64_t tenth = tenth_of(p, now), id = (tenth & TENTH_MASK) << 2 * COUNT_BITS;
    _Atomic uint64_t *bucket = &b->buckets[tenth % BREAKER_BUCKETS];
    uint64_t seen = atomic_load_explicit(bucket, memory_order_relaxed), next;
    do {
        next = seen >> 2 * COUNT_BITS << 2 * COUNT_BITS == id ? seen : id;
        if (requests_of(next) == COUNT_MAX)
            return; /* the share is known well enough */
        next += (UINT64_C(1) << COUNT_BITS) + failed;
    } while (!atomic_compare_exchange_weak_explicit(bucket, &seen, next, memory_order_relaxed,
                                                    memory_order_relaxed));
}

void breaker_counts(const struct breaker *b, const struct breaker_params *p, uint64_t now,
                    uint64_t *failed, uint64_t *requests)
{
    uint64_t tenth = tenth_of(p, now);
    *failed = *requests = 0;
    for (int i = 0; i < BREAKER_BUCKETS; i++) {
        uint64_t bucket = atomic_load_explicit(&b->buckets[i], memory_order_relaxed);
        uint64_t age = (tenth - (bucket >> 2 * COUNT_BITS)) & TENTH_MASK;
        if (age >= BREAKER_BUCKETS)
            continue;
        *failed += bucket & COUNT_MAX;
        *requests += requests_of(bucket);
    }
}

static bool share_failed(struct breaker *b, const struct breaker_params *p, uint64_t now)
{
    uint64_t failed, requests;
    breaker_counts(b, p, now, &failed, &requests);
    return requests >= MAX(p->requests, 1) && failed * 1000 >= requests * p->failure_permille;
}

/* --- what requests ask and tell --- */

static uint32_t probes(const struct breaker_params *p)
{
    return MIN(MAX(p->probes, 1), BREAKER_PROBES_MAX);
}

struct breaker_ticket breaker_ask(struct breaker *b, const struct breaker_params *p, uint64_t now,
                                  bool *changed)
{
    if (changed)
        *changed = false;
    for (;;) {
        uint64_t seen = atomic_load(&b->word);
        struct word w = unpack(seen);
        struct breaker_ticket t = {.generation = w.generation};
        if (w.state == BREAKER_CLOSED || p->failure_permille == 0)
            return t;
        if (now >= atomic_load(&b->until)) {
            bool here = change(b, p, seen, EVENT_TIME_OVER, now);
            if (here && changed)
                *changed = true;
            if (atomic_load(&b->word) != seen)
                continue;
        }
        t.stopped = true;
        if (w.state == BREAKER_OPEN || w.given + w.good >= probes(p))
            return t;
        w.given++;
        if (!atomic_compare_exchange_weak(&b->word, &seen, pack(w)))
            continue;
        return (struct breaker_ticket){.generation = w.generation, .probe = true};
    }
}

static bool tell_probe(struct breaker *b, const struct breaker_params *p, struct breaker_ticket t,
                       enum outcome outcome, uint64_t now)
{
    for (;;) {
        uint64_t seen = atomic_load(&b->word);
        struct word w = unpack(seen);
        if (w.generation != t.generation || w.state != BREAKER_HALF_OPEN || w.given == 0)
            return false;
        w.given--;
        w.good += outcome == OUTCOME_OK;
        bool decided = outcome == OUTCOME_FAILED || w.good >= probes(p);
        enum event event = outcome == OUTCOME_FAILED ? EVENT_PROBE_BAD : EVENT_PROBES_GOOD;
        if (decided ? change(b, p, seen, event, now)
                    : atomic_compare_exchange_weak(&b->word, &seen, pack(w)))
            return decided;
    }
}

bool breaker_tell(struct breaker *b, const struct breaker_params *p, struct breaker_ticket t,
                  enum outcome outcome, uint64_t now)
{
    if (t.probe)
        return tell_probe(b, p, t, outcome, now);
    uint64_t seen = atomic_load(&b->word);
    struct word w = unpack(seen);
    if (p->failure_permille == 0 || outcome == OUTCOME_ABANDONED || w.state != BREAKER_CLOSED ||
        w.generation != t.generation)
        return false;
    count(b, p, outcome == OUTCOME_FAILED, now);
    return outcome == OUTCOME_FAILED && share_failed(b, p, now) &&
           change(b, p, seen, EVENT_SHARE_FAILED, now);
}

enum breaker_state breaker_state(const struct breaker *b)
{
    return unpack(atomic_load(&b->word)).state;
}

uint64_t breaker_wait(const struct breaker *b, uint64_t now)
{
    uint64_t until = atomic_load(&b->until);
    return breaker_state(b) == BREAKER_OPEN && until > now ? until - now : 0;
}
