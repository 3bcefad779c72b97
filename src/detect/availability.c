#include "detect/availability.h"

#include <math.h>

#include "base/base.h"

static double choose(uint32_t n, uint32_t k)
{
    double c = 1;
    for (uint32_t i = 1; i <= k; i++)
        c = c * (n - k + i) / i;
    return c;
}

/* That so many of n or more are away. */
static double at_least(uint32_t n, uint32_t away, double u)
{
    double sum = 0;
    for (uint32_t k = away; k <= n; k++)
        sum += choose(n, k) * pow(u, k) * pow(1 - u, n - k);
    return sum;
}

struct availability availability_of(const struct availability_plan *p)
{
    CHECK(p->copies >= 1 && p->copies <= AVAILABILITY_COPIES);
    CHECK(p->voters >= 1 && p->voters <= AVAILABILITY_VOTERS && p->sync < p->copies);
    CHECK(p->mtbf > 0 && p->repair > 0 && p->data_mtbf > 0 && p->resync > 0);
    double u = p->repair / (p->mtbf + p->repair), a = MIN(p->resync / p->data_mtbf, 1.0);
    uint32_t majority = p->voters / 2 + 1;
    struct availability r = {0};
    if (p->copies > 1) /* one copy is away until it is repaired: `copies` has that */
        r.failovers = AVAILABILITY_YEAR / p->mtbf;
    r.switching = r.failovers * (p->detect + p->failover);
    r.copies = AVAILABILITY_YEAR * pow(u, p->copies);
    if (p->copies > 1)
        r.voters = AVAILABILITY_YEAR * at_least(p->voters, p->voters - majority + 1, u);
    r.downtime = MIN(r.switching + r.copies + r.voters, AVAILABILITY_YEAR);
    r.available = 1 - r.downtime / AVAILABILITY_YEAR;
    r.loss = p->copies * pow(a, p->copies - 1) * AVAILABILITY_YEAR / p->data_mtbf;
    r.loss_probability = -expm1(-r.loss);
    r.lost_writes = p->sync == 0 ? r.failovers * p->lag : 0;
    return r;
}
