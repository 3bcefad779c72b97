/* The pool: who may take requests, and the bookkeeping around a pick.
 *
 * pool_update sorts the members into who may be picked and who not; it runs when something about a
 * member changes, never per request. Ejection is bounded: evidence that may be wrong (a time-out, a
 * 5xx, a failed check) leaves out at most a share of the members, since errors that all instances
 * share (a broken dependency, an overloaded network) are not mended by taking instances away. A
 * refused connection is certain and needs no such bound. */
#include "balance/algorithm.h"

#include "base/base.h"

int pool_init(struct pool *p, enum algorithm a, uint32_t n, uint32_t eject_permille, uint64_t seed,
              struct err *e)
{
    *p = (struct pool){0};
    if ((unsigned)a >= ALGORITHMS)
        return err_set(e, ERR_INVAL, "no balancing algorithm has the number %u", (unsigned)a);
    if (n > POOL_MAX)
        return err_set(e, ERR_LIMIT, "a pool holds at most %d instances, not %u", POOL_MAX, n);
    struct member *members = mem_zero(n, sizeof *members);
    uint16_t *order = mem_zero(n, sizeof *order);
    if (!members || !order) {
        mem_free(members);
        mem_free(order);
        return err_set(e, ERR_NOMEM, "no memory for a pool of %u instances", n);
    }
    p->ops = algorithm_ops(a);
    p->members = members;
    p->order = order;
    p->n = n;
    p->eject_permille = MIN(eject_permille, 1000);
    prng_seed(&p->prng, seed);
    return 0;
}

void pool_free(struct pool *p)
{
    mem_free(p->members);
    mem_free(p->order);
    *p = (struct pool){0};
}

/* Failed for longer first; of equals, the first in the pool. */
static bool longer(const struct pool *p, uint16_t a, uint16_t b)
{
    uint64_t x = p->members[a].since, y = p->members[b].since;
    return x != y ? x < y : a < b;
}

static void sift(const struct pool *p, uint32_t root, uint32_t n)
{
    uint16_t *o = p->order;
    for (uint32_t child; (child = 2 * root + 1) < n; root = child) {
        if (child + 1 < n && longer(p, o[child], o[child + 1]))
            child++;
        if (!longer(p, o[root], o[child]))
            return;
        uint16_t swap = o[root];
        o[root] = o[child];
        o[child] = swap;
    }
}

/* Heap sort: qsort may allocate. */
static void sort_by_since(const struct pool *p, uint32_t n)
{
    for (uint32_t i = n / 2; i-- > 0;)
        sift(p, i, n);
    for (uint32_t end = n; end-- > 1;) {
        uint16_t swap = p->order[0];
        p->order[0] = p->order[end];
        p->order[end] = swap;
        sift(p, 0, end);
    }
}

static bool failed(const struct member *m)
{
    return m->verdict >= VERDICT_FAILED;
}

/* How many members uncertain evidence may leave out. */
static uint32_t eject_most(const struct pool *p)
{
    if (p->n < 2 || p->eject_permille == 0)
        return 0;
    return MAX((uint32_t)((uint64_t)p->n * p->eject_permille / 1000), 1);
}

/* Those that failed on uncertain evidence stay in where the share is used up. */
static void keep_beyond_share(struct pool *p)
{
    uint32_t n = 0, most = eject_most(p);
    for (uint32_t i = 0; i < p->n; i++) {
        const struct member *m = &p->members[i];
        if (failed(m) && !m->certain && !m->draining && m->weight > 0)
            p->order[n++] = (uint16_t)i;
    }
    if (n <= most)
        return;
    sort_by_since(p, n);
    for (uint32_t k = most; k < n; k++)
        p->members[p->order[k]].pickable = true;
}

enum rule { RULE_NORMAL, RULE_WEIGHTLESS, RULE_PANIC };

static bool admits(enum rule r, const struct member *m)
{
    if (m->draining)
        return false;
    switch (r) {
    case RULE_NORMAL: return m->weight > 0 && !failed(m);
    case RULE_WEIGHTLESS: return m->weight == 0 && !failed(m);
    case RULE_PANIC: return true;
    }
    UNREACHABLE();
}

/* True when there is one. */
static bool admit(struct pool *p, enum rule r)
{
    bool any = false;
    for (uint32_t i = 0; i < p->n; i++) {
        bool in = admits(r, &p->members[i]);
        p->members[i].pickable |= in;
        any |= in;
    }
    return any;
}

/* Credit of an earlier set of weights must not turn into a burst now: it stays within one round,
 * as it does by itself while nothing changes. */
static void bound_credits(struct pool *p)
{
    int64_t total = 0;
    for (uint32_t i = 0; i < p->n; i++)
        if (p->members[i].pickable)
            total += weight_of(&p->members[i]);
    for (uint32_t i = 0; i < p->n; i++) {
        struct member *m = &p->members[i];
        m->credit = m->pickable ? MAX(MIN(m->credit, total), -total) : 0;
    }
}

/* Every pool starts somewhere else in the round: workers must not all begin with the first. */
static void begin(struct pool *p)
{
    if (p->begun || p->n_pickable == 0)
        return;
    p->begun = true;
    for (uint64_t skip = prng_below(&p->prng, p->n_pickable); skip > 0; skip--)
        p->ops->pick(p, &(struct choice){0}, 0, 0);
}

static void count(struct pool *p)
{
    p->n_pickable = p->n_trial = 0;
    for (uint32_t i = 0; i < p->n; i++) {
        p->n_pickable += p->members[i].pickable;
        p->n_trial += p->members[i].pickable && p->members[i].trial;
    }
}

void pool_update(struct pool *p)
{
    for (uint32_t i = 0; i < p->n; i++)
        p->members[i].pickable = false;
    if (!admit(p, RULE_NORMAL))
        admit(p, RULE_WEIGHTLESS);
    keep_beyond_share(p);
    count(p);
    p->panic = p->n_pickable == 0 && admit(p, RULE_PANIC);
    count(p);
    bound_credits(p);
    begin(p);
}

/* First the untried within the bounds of a trial, then the untried, then anybody. */
int pool_pick(struct pool *p, const struct tried *tried, uint64_t hash, uint64_t now)
{
    struct choice c = {.tried = tried && tried->n > 0 ? tried : NULL};
    if (p->n_pickable == 0)
        return -1;
    int i = p->ops->pick(p, &c, hash, now);
    if (i < 0 && p->n_trial > 0) {
        c.beyond_trial = true;
        i = p->ops->pick(p, &c, hash, now);
    }
    if (i < 0 && c.tried)
        i = pool_pick(p, NULL, hash, now);
    else if (i >= 0)
        p->members[i].inflight++;
    return i;
}

void pool_done(struct pool *p, uint32_t index)
{
    CHECK(index < p->n && p->members[index].inflight > 0);
    p->members[index].inflight--;
}
