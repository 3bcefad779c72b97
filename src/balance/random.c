/* Weighted random: each candidate with the chance of its weight. It keeps no state between picks,
 * so that many workers and nodes never fall into step. */
#include "balance/algorithm.h"

static int pick(struct pool *p, const struct choice *c, uint64_t hash, uint64_t now)
{
    uint64_t total = 0;
    for (uint32_t i = 0; i < p->n; i++)
        if (candidate(p, i, c))
            total += weight_of(&p->members[i]);
    if (total == 0)
        return -1;
    uint64_t left = prng_below(&p->prng, total);
    for (uint32_t i = 0; i < p->n; i++) {
        if (!candidate(p, i, c))
            continue;
        uint32_t weight = weight_of(&p->members[i]);
        if (left < weight)
            return (int)i;
        left -= weight;
    }
    UNREACHABLE();
}

const struct algorithm_ops random_ops = {"random", pick};
