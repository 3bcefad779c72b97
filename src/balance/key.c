/* What the algorithms that place by key share: who may take a key. */
#include "balance/key.h"

/* log2(1 + f) = 2 / ln 2 * (s + s^3 / 3 + s^5 / 5 + ...) with s = f / (2 + f) <= 1/3. */
double log2_unit(uint64_t x)
{
    int zeros = __builtin_clzll(x);
    double f = (double)((x << zeros) >> 11) * 0x1p-52 - 1;
    double s = f / (2 + f), q = s * s;
    double r = q * q; /* in pairs, since that is faster than one after the other */
    double high = (1 / 9.0 + q * (1 / 11.0)) + r * (1 / 13.0 + q * (1 / 15.0));
    double series = s * ((1 + q * (1 / 3.0)) + r * ((1 / 5.0 + q * (1 / 7.0)) + r * high));
    return 2.8853900817779268 * series - zeros - 1;
}

/* At most its share of what is in flight, times the bound. */
static bool bounded(const struct pool *p, const struct member *m)
{
    const struct pool_group *g = &p->groups[MIN(m->priority, POOL_GROUPS - 1)];
    double all = (double)(g->inflight + 1) * weight_of(m) / (double)g->weight;
    return m->inflight * 1000.0 < p->params.bound_permille * all;
}

bool key_candidate(const struct pool *p, uint32_t i, const struct choice *c)
{
    const struct member *m = &p->members[i];
    if (!candidate(p, i, c))
        return false;
    if (c->lax)
        return true;
    if (c->group < POOL_GROUPS && MIN(m->priority, POOL_GROUPS - 1) != c->group)
        return false;
    return p->params.bound_permille == 0 || bounded(p, m);
}

bool key_admitted(const struct pool *p, uint32_t i, const struct choice *c, uint64_t hash)
{
    if (!key_candidate(p, i, c))
        return false;
    const struct member *m = &p->members[i];
    if (c->lax || p->reweigh_at == UINT64_MAX)
        return true;
    double part = ramp(p, m, p->weighed_at);
    return part >= 1 || (double)(mix(hash ^ ~m->id) >> 11) * 0x1p-53 < part;
}
