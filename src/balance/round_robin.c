/* Smooth weighted round-robin: every candidate earns its weight in credit, the richest is picked
 * and pays what all earned. Weights 5, 1, 1 give a a b a c a a and not a a a a a b c.
 *
 * Source: the idea is Igor Sysoev's, in nginx's upstream round robin (2012). Over any row of picks
 * without a change, a member gets its exact share give or take less than one turn for equal
 * weights, and the pattern repeats after as many picks as the weights add up to. Ties go to the
 * first. Candidates only earn: a member that a retry must avoid gains nothing by it. */
#include "balance/algorithm.h"

static int pick(struct pool *p, const struct choice *c, uint64_t hash, uint64_t now)
{
    int best = -1;
    int64_t total = 0;
    for (uint32_t k = 0; k < p->n_pickable; k++) {
        uint32_t i = p->in[k];
        if (!candidate(p, i, c))
            continue;
        struct member *m = &p->members[i];
        total += weight_of(m);
        m->credit += weight_of(m);
        if (best < 0 || m->credit > p->members[best].credit)
            best = (int)i;
    }
    if (best >= 0)
        p->members[best].credit -= total;
    return best;
}

const struct algorithm_ops round_robin_ops = {.name = "round-robin", .pick = pick};
