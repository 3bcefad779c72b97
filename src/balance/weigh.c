/* Effective weights: a member's share, less what slow start withholds.
 *
 * Slow start: a member that is new or was failed has cold caches and no connections; it gets a
 * tenth of its weight at first and all of it after the configured time, in a straight line (as
 * haproxy's and nginx's do, and Envoy's with aggression 1; its least is a tenth as well). Weights
 * change in 64 steps, each at the first pick after it is due. Where all members ramp alike, nothing
 * is withheld from anybody. */
#include "balance/algorithm.h"

#define LEAST 0.1
enum { STEPS = 64 };

double ramp(const struct pool *p, const struct member *m, uint64_t now)
{
    uint64_t whole = p->params.slow_start;
    if (whole == 0 || m->returned == 0)
        return 1;
    uint64_t elapsed = now > m->returned ? now - m->returned : 0;
    if (elapsed >= whole)
        return 1;
    return MAX((double)elapsed / (double)whole, LEAST);
}

/* Credit of an earlier set of weights must not turn into a burst now: it stays within one round,
 * as it does by itself while nothing changes. */
static void bound_credits(struct pool *p)
{
    int64_t total = 0;
    for (uint32_t k = 0; k < p->n_pickable; k++)
        total += weight_of(&p->members[p->in[k]]);
    for (uint32_t k = 0; k < p->n_pickable; k++) {
        struct member *m = &p->members[p->in[k]];
        m->inverse = (double)total / p->n_pickable / weight_of(m);
    }
    for (uint32_t i = 0; i < p->n; i++) {
        struct member *m = &p->members[i];
        m->credit = m->pickable ? MAX(MIN(m->credit, total), -total) : 0;
    }
}

static void count_groups(struct pool *p)
{
    for (uint32_t g = 0; g < POOL_GROUPS; g++) {
        p->groups[g].weight = 0;
        p->groups[g].inflight = 0;
    }
    for (uint32_t k = 0; k < p->n_pickable; k++) {
        const struct member *m = &p->members[p->in[k]];
        struct pool_group *g = &p->groups[MIN(m->priority, POOL_GROUPS - 1)];
        g->weight += m->effective;
        g->inflight += m->inflight;
    }
}

void weigh(struct pool *p, uint64_t now)
{
    bool ramping = false;
    p->weighed_at = now;
    p->even = true;
    for (uint32_t k = 0; k < p->n_pickable; k++) {
        struct member *m = &p->members[p->in[k]];
        double part = ramp(p, m, now);
        ramping |= part < 1;
        m->effective = MAX((uint32_t)(m->share * part), 1u);
        p->even &= m->effective == p->members[p->in[0]].effective;
    }
    uint64_t step = MAX(p->params.slow_start / STEPS, 1);
    p->reweigh_at = !ramping ? UINT64_MAX : now < UINT64_MAX - step ? now + step : UINT64_MAX;
    count_groups(p);
    bound_credits(p);
    draw_build(p);
}
