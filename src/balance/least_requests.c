/* Least requests: the candidate with the fewest requests in flight for its weight. A slow instance
 * holds its requests longer and so gets fewer, without anybody measuring it.
 *
 * Loads are compared as fractions, in flight / weight, by cross-multiplication. Among equals one is
 * drawn with the chance of its weight (a weighted reservoir of one: Chao 1982), so that an idle
 * pool spreads its requests by weight and does not always start with the first. The counts are this
 * worker's own; its share of the traffic is a fair sample of all.
 *
 * Known weakness: an instance that fails at once has nothing in flight and draws requests. Ejection
 * answers that, not the algorithm. */
#include "balance/algorithm.h"

static int pick(struct pool *p, const struct choice *c, uint64_t hash, uint64_t now)
{
    int best = -1;
    uint64_t best_inflight = 0, best_weight = 1, equal = 0;
    for (uint32_t k = 0; k < p->n_pickable; k++) {
        uint32_t i = p->in[k];
        if (!candidate(p, i, c))
            continue;
        const struct member *m = &p->members[i];
        uint64_t weight = weight_of(m);
        uint64_t mine = m->inflight * best_weight, its = best_inflight * weight;
        if (best < 0 || mine < its) {
            equal = weight;
        } else if (mine == its) {
            equal += weight;
            if (prng_below(&p->prng, equal) >= weight)
                continue;
        } else {
            continue;
        }
        best = (int)i;
        best_inflight = m->inflight;
        best_weight = weight;
    }
    return best;
}

const struct algorithm_ops least_requests_ops = {.name = "least-requests", .pick = pick};
