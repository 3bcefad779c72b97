/* quantile: one quantile of a stream of latencies, learnt in constant memory. Pure.
 *
 * Stochastic approximation (Robbins and Monro, "A Stochastic Approximation Method", 1951) on a
 * logarithmic scale: a value above the estimate raises it by step * p, one below lowers it by
 * step * (1 - p); it stands still where a share p of the values is below. Steps are relative, so
 * that microseconds and seconds are learnt alike, and constant, so that it follows a change: with
 * p = 95% about a hundred values after a doubling. */
#ifndef HF_BALANCE_QUANTILE_H
#define HF_BALANCE_QUANTILE_H

#include <stdint.h>

/* Zero-initialise. */
struct quantile {
    double value; /* ns */
    uint32_t n;   /* values seen, up to QUANTILE_LEAST */
};
enum { QUANTILE_LEAST = 100 }; /* values before the estimate is worth anything */

void quantile_add(struct quantile *q, uint32_t permille, uint64_t ns);
/* 0: too few values were seen. */
uint64_t quantile_get(const struct quantile *q);

#endif
