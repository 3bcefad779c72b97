/* Two choices: two candidates are drawn by weight, and the one with fewer requests in flight for
 * its weight is picked; of equals the first drawn.
 *
 * Source: M. Mitzenmacher, "The Power of Two Choices in Randomized Load Balancing", IEEE TPDS 12
 * (10), 2001: the second choice makes the longest queue exponentially shorter than one choice does,
 * a third adds little. Next to least-requests it costs the same for any number of members, and many
 * workers whose counts are alike do not all run to the same member. Envoy's LEAST_REQUEST and
 * nginx's `random two` are this; weights enter as in least-requests. */
#include "balance/algorithm.h"

static bool less(const struct member *a, const struct member *b)
{
    return (uint64_t)a->inflight * weight_of(b) < (uint64_t)b->inflight * weight_of(a);
}

static int pick(struct pool *p, const struct choice *c, uint64_t hash, uint64_t now)
{
    int first = draw(p, c);
    int second = first < 0 ? -1 : draw_other(p, c, first);
    if (second >= 0 && less(&p->members[second], &p->members[first]))
        return second;
    return first;
}

const struct algorithm_ops two_choices_ops = {.name = "two-choices", .pick = pick};
