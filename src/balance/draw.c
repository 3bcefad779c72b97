/* Drawing members by weight, in constant time: Walker's alias method (1977), built as Vose showed
 * (1991). Every column of the table is one member and at most one other; a draw takes a column,
 * then one of the two. Members that this request must not get are drawn again; where most are such,
 * a walk over the pool decides. */
#include "balance/algorithm.h"

enum { TRIES = 4 };

static void column(struct pool *p, uint16_t at, uint64_t scaled, uint64_t total, uint16_t other)
{
    p->alias[at].either[0] = p->in[at];
    p->alias[at].either[1] = scaled >= total ? p->in[at] : p->in[other];
    p->alias[at].below = scaled >= total ? UINT32_MAX : (uint32_t)((scaled << 32) / total);
}

/* While it runs, below holds weight * n of a column: at most 2^10 * 1000 * 2^10. order is two
 * stacks: from the front the columns with less than the mean, from the back those with more. */
void draw_build(struct pool *p)
{
    uint32_t n = p->n_pickable, less = 0, more = n;
    uint64_t total = 0;
    for (uint32_t k = 0; k < n; k++)
        total += weight_of(&p->members[p->in[k]]);
    for (uint32_t k = 0; k < n; k++) {
        p->alias[k].below = weight_of(&p->members[p->in[k]]) * n;
        p->order[p->alias[k].below < total ? less++ : --more] = (uint16_t)k;
    }
    while (less > 0 && more < n) {
        uint16_t small = p->order[--less], large = p->order[more];
        uint32_t has = p->alias[small].below;
        uint32_t left = p->alias[large].below - (uint32_t)(total - has);
        column(p, small, has, total, large);
        p->alias[large].below = left;
        if (left < total) {
            more++;
            p->order[less++] = large;
        }
    }
    while (less > 0) /* full, but for rounding */
        column(p, p->order[--less], total, total, 0);
    for (; more < n; more++)
        column(p, p->order[more], total, total, 0);
}

static uint32_t draw_any(struct pool *p)
{
    uint64_t r = prng_next(&p->prng);
    const struct alias *a = &p->alias[((r >> 32) * p->n_pickable) >> 32];
    return a->either[(uint32_t)r >= a->below];
}

/* By weight among whom is left, `except` aside. */
static int draw_slowly(struct pool *p, const struct choice *c, int except)
{
    int found = -1;
    uint64_t total = 0;
    for (uint32_t k = 0; k < p->n_pickable; k++) {
        uint32_t i = p->in[k];
        if ((int)i == except || !candidate(p, i, c))
            continue;
        uint32_t weight = weight_of(&p->members[i]);
        total += weight;
        if (prng_below(&p->prng, total) < weight) /* a reservoir of one: Chao 1982 */
            found = (int)i;
    }
    return found;
}

int draw(struct pool *p, const struct choice *c)
{
    for (int k = 0; k < TRIES; k++) {
        uint32_t i = draw_any(p);
        if (candidate(p, i, c))
            return (int)i;
    }
    return draw_slowly(p, c, -1);
}

int draw_other(struct pool *p, const struct choice *c, int except)
{
    if (p->n_pickable < 2)
        return -1;
    for (int k = 0; k < TRIES; k++) {
        uint32_t i = draw_any(p);
        if ((int)i != except && candidate(p, i, c))
            return (int)i;
    }
    uint32_t start = (uint32_t)prng_below(&p->prng, p->n_pickable);
    for (uint32_t k = 0; k < p->n_pickable; k++) {
        uint32_t at = start + k, i = p->in[at < p->n_pickable ? at : at - p->n_pickable];
        if ((int)i != except && candidate(p, i, c))
            return (int)i;
    }
    return -1;
}

uint32_t draw_several(struct pool *p, const struct choice *c, uint32_t most, uint16_t *out)
{
    uint32_t n = 0;
    if (p->n_pickable <= most) {
        uint32_t at = (uint32_t)prng_below(&p->prng, p->n_pickable);
        for (uint32_t k = 0; k < p->n_pickable; k++, at++) {
            at = at < p->n_pickable ? at : 0;
            if (candidate(p, p->in[at], c))
                out[n++] = p->in[at];
        }
        return n;
    }
    for (uint32_t k = 0; k < most; k++) {
        uint32_t i = draw_any(p);
        out[n] = (uint16_t)i;
        n += candidate(p, i, c);
    }
    int one = n > 0 ? -1 : draw_slowly(p, c, -1);
    if (one >= 0)
        out[n++] = (uint16_t)one;
    return n;
}

int draw_standby(struct pool *p, const struct tried *tried)
{
    int found = -1;
    uint64_t total = 0;
    for (uint32_t i = 0; i < p->n; i++) {
        const struct member *m = &p->members[i];
        if (!m->standby || tried_has(tried, i) || (m->trial && m->inflight >= POOL_TRIAL_INFLIGHT))
            continue;
        if (m->limit && limit_full(m->limit))
            continue;
        total += MAX(m->weight, 1);
        if (prng_below(&p->prng, total) < MAX(m->weight, 1))
            found = (int)i;
    }
    return found;
}
