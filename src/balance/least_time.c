/* Least time: of a few candidates drawn by weight, the one whose next request will probably end
 * first: that with the least latency * (requests in flight + 1) / weight.
 *
 * Source: "Peak EWMA" of Finagle (Twitter, 2014) and linkerd. The latency is an exponentially
 * weighted moving average that is sensitive to peaks: what is slower than the average replaces it
 * at once, what is faster pulls it down as time passes. So a slow instance is spared after its
 * first slow answer, and trusted again only gradually.
 *
 * Other than there:
 * - The average fades only while the instance has neither answered nor been asked, so that one
 *   whose answers take long is not asked more and more meanwhile. One that is n times slower than
 *   the others is asked again after about log2(n) half-lives without a request.
 * - SAMPLE members are drawn and not two, or all if they are no more than that.
 * - New members count as average. Finagle holds them back by a penalty; slow start and trials do
 *   that here.
 * - Finagle's average lives 10 s, a half-life of 6.9 s; ours is POOL_HALF_LIFE. */
#include "balance/algorithm.h"

enum { SAMPLE = 5 };

static void learn(struct pool *p, struct member *m, double latency, uint64_t now)
{
    if (latency >= m->latency) {
        m->latency = latency;
    } else {
        double keep = fade(p, now - m->measured);
        m->latency = m->latency * keep + latency * (1 - keep);
    }
    m->cost = m->latency;
}

static int pick(struct pool *p, const struct choice *c, uint64_t hash, uint64_t now)
{
    uint16_t sample[SAMPLE];
    uint32_t n = draw_several(p, c, SAMPLE, sample);
    int best = -1;
    uint64_t lowest = UINT64_MAX;
    for (uint32_t k = 0; k < n; k++) {
        const struct member *m = &p->members[sample[k]];
        uint64_t its = order_of(cost_of(p, m, now) * m->inverse);
        best = its < lowest ? sample[k] : best;
        lowest = MIN(its, lowest);
    }
    return best;
}

const struct algorithm_ops least_time_ops = {.name = "least-time", .pick = pick, .learn = learn};
