#include "balance/quantile.h"

/* The first values take large steps: the first of all may be far off. */
static double step(uint32_t n)
{
    return n < QUANTILE_LEAST ? 0.5 : 0.05;
}

void quantile_add(struct quantile *q, uint32_t permille, uint64_t ns)
{
    double p = permille / 1000.0, value = ns ? (double)ns : 1;
    if (q->n == 0)
        q->value = value;
    else if (value > q->value)
        q->value *= 1 + step(q->n) * p;
    else
        q->value /= 1 + step(q->n) * (1 - p);
    q->n += q->n < QUANTILE_LEAST;
}

uint64_t quantile_get(const struct quantile *q)
{
    return q->n < QUANTILE_LEAST ? 0 : (uint64_t)q->value;
}
