/* The pool: who may take requests, and the bookkeeping around a pick.
 *
 * pool_update sorts the members into who may be picked and who not; it runs when something about a
 * member changes, never per request. Ejection is bounded: evidence that may be wrong (a time-out, a
 * 5xx, a failed check) leaves out at most a share of the members, since errors that all instances
 * share (a broken dependency, an overloaded network) are not mended by taking instances away. A
 * refused connection is certain and needs no such bound. */
#include "balance/algorithm.h"

#include "balance/key.h"
#include "base/base.h"

static int check(const struct pool_params *w, struct err *e)
{
    if ((unsigned)w->algorithm >= ALGORITHMS)
        return err_set(e, ERR_INVAL, "no balancing algorithm has the number %u",
                       (unsigned)w->algorithm);
    if (w->n > POOL_MAX)
        return err_set(e, ERR_LIMIT, "a pool holds at most %d instances, not %u", POOL_MAX, w->n);
    if (w->subset && w->peers && w->peer >= w->peers)
        return err_set(e, ERR_INVAL, "peer %u of %u has no subset", w->peer, w->peers);
    if (w->bound_permille && w->bound_permille < 1000)
        return err_set(e, ERR_INVAL, "a bound of %u/1000 is below the mean load",
                       w->bound_permille);
    return 0;
}

static bool allocate(struct pool *p)
{
    p->members = mem_zero(p->n, sizeof *p->members);
    p->in = mem_zero(p->n, sizeof *p->in);
    p->alias = mem_zero(p->n, sizeof *p->alias);
    p->order = mem_zero(p->n, sizeof *p->order);
    p->factor = mem_zero(p->n, sizeof *p->factor);
    p->table = p->ops->table_size ? mem_zero(1, p->ops->table_size(p->n)) : NULL;
    return p->members && p->in && p->alias && p->order && p->factor &&
           (p->table || !p->ops->table_size);
}

int pool_open(struct pool *p, const struct pool_params *params, struct err *e)
{
    *p = (struct pool){0};
    int r = check(params, e);
    if (r)
        return r;
    p->params = *params;
    p->ops = algorithm_ops(params->algorithm);
    p->n = params->n;
    p->eject_permille = MIN(params->eject_permille, 1000);
    p->reweigh_at = UINT64_MAX;
    uint64_t half_life = params->half_life ? params->half_life : POOL_HALF_LIFE;
    p->half_lives = 1 / (double)half_life;
    p->fresh = half_life / 256;
    if (!allocate(p)) {
        pool_free(p);
        return err_set(e, ERR_NOMEM, "no memory for a pool of %u instances", params->n);
    }
    prng_seed(&p->prng, params->seed);
    return 0;
}

int pool_init(struct pool *p, enum algorithm a, uint32_t n, uint32_t eject_permille, uint64_t seed,
              struct err *e)
{
    struct pool_params params = {
        .algorithm = a, .n = n, .eject_permille = eject_permille, .seed = seed};
    return pool_open(p, &params, e);
}

void pool_free(struct pool *p)
{
    mem_free(p->members);
    mem_free(p->in);
    mem_free(p->alias);
    mem_free(p->order);
    mem_free(p->factor);
    mem_free(p->table);
    *p = (struct pool){0};
}

void pool_inherit(struct pool *p, uint32_t index, const struct pool *from, uint32_t from_index)
{
    CHECK(index < p->n && from_index < from->n);
    struct member *m = &p->members[index];
    const struct member *was = &from->members[from_index];
    m->returned = was->returned;
    p->clock = MAX(p->clock, from->clock);
    if (p->ops != from->ops)
        return;
    m->latency = was->latency;
    m->met = was->met;
    m->cost = was->cost;
    m->measured = was->measured;
    m->heard = was->heard;
    p->mean_latency = from->mean_latency;
    p->hot = from->hot;
}

/* Failed for longer first; of equals, the first in the pool. */
static bool longer(const struct pool *p, uint16_t a, uint16_t b)
{
    uint64_t x = p->members[a].since, y = p->members[b].since;
    return x != y ? x < y : a < b;
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
        if (member_failed(m) && !m->certain && !m->draining && m->weight > 0)
            p->order[n++] = (uint16_t)i;
    }
    if (n <= most)
        return;
    order_sort(p, n, longer);
    for (uint32_t k = most; k < n; k++)
        p->members[p->order[k]].pickable = true;
}

enum rule { RULE_NORMAL, RULE_WEIGHTLESS, RULE_PANIC };

static bool admits(enum rule r, const struct member *m)
{
    if (m->draining)
        return false;
    switch (r) {
    case RULE_NORMAL: return m->weight > 0 && !member_failed(m);
    case RULE_WEIGHTLESS: return m->weight == 0 && !member_failed(m);
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
        if (!p->members[i].pickable)
            continue;
        p->in[p->n_pickable++] = (uint16_t)i;
        p->n_trial += p->members[i].trial;
    }
}

/* The algorithm's table depends on ids and weights alone. Says whether they are others than those
 * that it was built for. */
static bool identify(struct pool *p)
{
    uint64_t all = p->n;
    for (uint32_t i = 0; i < p->n; i++) {
        struct member *m = &p->members[i];
        m->id = mix(m->key ? m->key : i + 1);
        all = mix_nth(all ^ m->id, m->weight + 1);
    }
    bool other = all != p->built_for;
    p->built_for = all;
    return other;
}

void pool_update(struct pool *p)
{
    for (uint32_t i = 0; i < p->n; i++)
        p->members[i].pickable = false;
    if (identify(p) && p->ops->build)
        p->ops->build(p);
    if (!admit(p, RULE_NORMAL))
        admit(p, RULE_WEIGHTLESS);
    keep_beyond_share(p);
    count(p);
    p->panic = p->n_pickable == 0 && admit(p, RULE_PANIC);
    share_out(p);
    count(p);
    weigh(p, p->clock);
    begin(p);
}

static uint8_t group_for(const struct pool *p, uint64_t hash)
{
    uint32_t at = (uint32_t)(mix_nth(hash, UINT32_MAX) >> 32);
    for (uint32_t g = 0; g < POOL_GROUPS; g++)
        if (at < p->groups[g].until || p->groups[g].until == UINT32_MAX)
            return (uint8_t)g;
    return POOL_GROUPS;
}

/* First within all bounds, then beyond those of a key, then beyond those of a trial. */
static int pick_pickable(struct pool *p, const struct tried *tried, uint64_t hash, uint64_t now)
{
    struct choice c = {.tried = tried};
    if (p->ops->by_key)
        c.group = group_for(p, hash);
    int i = p->ops->pick(p, &c, hash, now);
    if (i < 0 && p->ops->by_key) {
        c.lax = true;
        i = p->ops->pick(p, &c, hash, now);
    }
    if (i < 0 && p->n_trial > 0) {
        c.beyond_trial = true;
        i = p->ops->pick(p, &c, hash, now);
    }
    return i;
}

void pool_begin(struct pool *p, uint32_t index)
{
    CHECK(index < p->n);
    struct member *m = &p->members[index];
    m->inflight++;
    if (m->pickable)
        p->groups[MIN(m->priority, POOL_GROUPS - 1)].inflight++;
}

bool pool_full(const struct pool *p, const struct tried *tried)
{
    for (uint32_t i = 0; i < p->n; i++) {
        const struct member *m = &p->members[i];
        bool full = m->pickable && m->limit && limit_full(m->limit);
        if (full && !(tried && tried_has(tried, i)))
            return true;
    }
    return false;
}

/* First the untried, then those that stand by, then anybody, unless an untried one is only full. */
int pool_pick(struct pool *p, const struct tried *tried, uint64_t hash, uint64_t now)
{
    if (tried && tried->n == 0)
        tried = NULL;
    p->clock = MAX(p->clock, now);
    if (p->n_pickable == 0)
        return -1;
    if (p->clock >= p->reweigh_at)
        weigh(p, p->clock);
    int i = pick_pickable(p, tried, hash, p->clock);
    if (i < 0 && tried && p->n_standby > 0)
        i = draw_standby(p, tried);
    if (i < 0 && tried && !pool_full(p, tried))
        i = pick_pickable(p, NULL, hash, p->clock);
    if (i < 0)
        return -1;
    p->members[i].heard = p->clock;
    pool_begin(p, (uint32_t)i);
    return i;
}

int pool_pick_sticky(struct pool *p, const struct tried *tried, uint32_t index, uint64_t now)
{
    CHECK(index < p->n);
    const struct member *m = &p->members[index];
    p->clock = MAX(p->clock, now);
    if (m->draining || (member_failed(m) && !m->pickable) || (tried && tried_has(tried, index)))
        return -1;
    pool_begin(p, index);
    p->members[index].heard = p->clock;
    return (int)index;
}

void pool_done(struct pool *p, uint32_t index)
{
    CHECK(index < p->n && p->members[index].inflight > 0);
    struct member *m = &p->members[index];
    m->inflight--;
    if (m->pickable)
        p->groups[MIN(m->priority, POOL_GROUPS - 1)].inflight--;
}

void pool_end(struct pool *p, uint32_t index, enum outcome outcome, uint64_t latency, uint64_t now)
{
    pool_observe(p, index, outcome, latency, now);
    pool_done(p, index);
}
