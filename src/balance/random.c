/* Weighted random: each candidate with the chance of its weight. It keeps no state between picks,
 * so that many workers and nodes never fall into step. */
#include "balance/algorithm.h"

static int pick(struct pool *p, const struct choice *c, uint64_t hash, uint64_t now)
{
    return draw(p, c);
}

const struct algorithm_ops random_ops = {.name = "random", .pick = pick};
