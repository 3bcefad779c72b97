/* Source hash: each key has an order of preference among all members of its own, and goes to the
 * first that may be picked. The key is the hash of the client's address.
 *
 * Source: highest random weight, or rendezvous hashing: D. Thaler and C. Ravishankar, "Using
 * Name-Based Mappings to Increase Hit Rates", IEEE/ACM ToN 6(1), 1998. With weights: the member
 * with the least -ln(u) / weight, where u is a hash of key and member as a number in (0, 1): the
 * least of exponential variables falls on each in proportion to its rate (C. Schindler and R.
 * Schomaker, "Weighted Distributed Hash Tables", SPAA 2005, use it so).
 *
 * There is no table, so that nothing is built and every change of members or weights moves the
 * least that is possible: when a member leaves exactly its keys, when weights change only keys
 * towards the heavier. The price is a look at every member: for pools of a few dozen. */
#include "balance/key.h"

/* -ln(u) is at least 1 - u, and hardly more where it is small: most members are seen to be worse
 * than the best so far without a logarithm. */
static bool hopeless(const struct member *m, uint64_t x, double lowest)
{
    return (double)(~x >> 11) * (0x1p-53 * 1.4426950408889634) * m->inverse > lowest;
}

int key_rendezvous(const struct pool *p, const struct choice *c, uint64_t hash)
{
    int best = -1;
    double lowest = 0;
    for (uint32_t k = 0; k < p->n_pickable; k++) {
        uint32_t i = p->in[k];
        const struct member *m = &p->members[i];
        uint64_t x = mix(hash ^ m->id);
        if ((best >= 0 && !p->even && hopeless(m, x, lowest)) || !key_candidate(p, i, c))
            continue;
        double its = p->even ? -(double)(x >> 11) : -log2_unit(x | 1) * m->inverse;
        if (best < 0 || its < lowest) {
            best = (int)i;
            lowest = its;
        }
    }
    return best;
}

static int pick(struct pool *p, const struct choice *c, uint64_t hash, uint64_t now)
{
    return key_rendezvous(p, c, hash);
}

const struct algorithm_ops source_hash_ops = {.name = "source-hash", .pick = pick, .by_key = true};
