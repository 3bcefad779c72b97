/* Prequal's rule: members with many requests in flight are hot, the others cold; of a sample the
 * fastest cold member is picked, unless a hot one is faster still by HOT_COSTS.
 *
 * Source: B. Wydrowski, R. Kleinberg, S. Rumble, A. Archer, "Load is not what you should balance:
 * Introducing Prequal", NSDI 2024: the hot-cold lexicographic rule, hot being above the 0.84
 * quantile (2^-1/4) of requests in flight. It steers to whoever answers fastest now, whatever the
 * reason, and what is in flight keeps the fastest from being flooded.
 *
 * This is Prequal's rule and not Prequal, whose other half are probes:
 * - There, servers say how many requests they have from all clients. A proxy asks nobody: here the
 *   requests in flight are this worker's own. Of w workers each sees one part in w.
 * - There, servers say the median latency of recent requests that met about as many others as there
 *   are now. Here latency is what this worker's own requests took, network included: a moving
 *   average of one in ANSWERS, scaled from how many of ours were in flight then to how many are
 * now.
 * - There, probes are fresh within a second and reach servers that get no requests. Here a member
 *   that is not asked is not heard of: what is known fades (latency.c), until it is asked again.
 * - There, any cold server comes before any hot one, and of hot ones the emptiest. In a pool of
 *   three, of which the two fast ones are hot now and then, that sends requests to the slow one: so
 *   here to be hot costs a factor and not everything.
 * - There, a pool of up to 16 probes is compared. Here SAMPLE members drawn by weight are, or all
 * if they are no more than that.
 * - The quantile is estimated from one member of each sample, by a step up or down.
 *
 * Weight says how many in flight are hot, and how often a member is in the sample of a large pool;
 * beyond that capacity shows in latency. */
#include "balance/algorithm.h"

enum { SAMPLE = 5, ANSWERS = 16, STEPS = 32 };

#define QUANTILE  0.84
#define HOT_COSTS 2

static void learn(struct pool *p, struct member *m, double latency, uint64_t now)
{
    double part = m->latency > 0 ? MAX(1 - fade(p, now - m->measured), 1.0 / ANSWERS) : 1;
    m->latency += (latency - m->latency) * part;
    m->met += (m->inflight - m->met) * part;
    m->cost = m->latency / (m->met + 1);
}

/* Of a heavier member more are as much. */
static double load_of(const struct member *m)
{
    return m->inflight * m->inverse;
}

/* Rises as often by 0.84 of a step as it falls by 0.16, when 0.84 of what it sees is below it. */
static void see(struct pool *p, double load)
{
    double step = MAX(p->hot, 1) / STEPS;
    p->hot += load > p->hot ? step * QUANTILE : step * (QUANTILE - 1);
    p->hot = MAX(p->hot, 0);
}

static double rank(const struct pool *p, const struct member *m, uint64_t now)
{
    return cost_of(p, m, now) * (load_of(m) > p->hot ? HOT_COSTS : 1);
}

static int pick(struct pool *p, const struct choice *c, uint64_t hash, uint64_t now)
{
    uint16_t sample[SAMPLE];
    uint32_t n = draw_several(p, c, SAMPLE, sample);
    int best = -1;
    uint64_t lowest = UINT64_MAX;
    for (uint32_t k = 0; k < n; k++) {
        uint64_t its = order_of(rank(p, &p->members[sample[k]], now));
        best = its < lowest ? sample[k] : best;
        lowest = MIN(its, lowest);
    }
    if (n > 0)
        see(p, load_of(&p->members[sample[0]]));
    return best;
}

const struct algorithm_ops prequal_ops = {.name = "prequal", .pick = pick, .learn = learn};
