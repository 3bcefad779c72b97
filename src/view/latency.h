/* latency: how durations are counted: in the buckets of a Prometheus native histogram of schema 2,
 * four to each doubling, so that two neighbours differ by 19 % and a quantile is off by less than
 * half of that.
 *
 * Cell 0 counts what took up to 2^-16 s (15 us): the histogram's zero bucket. Cell i counts
 * (2^((i-1)/4 - 16), 2^(i/4 - 16)] seconds: the native bucket i - 64. The last cell also counts
 * everything beyond 2^10 s. The bounds are Prometheus's own: seconds, not a round number of
 * microseconds, so that a scrape needs no conversion and loses nothing.
 *
 * Source: "Native Histograms", Prometheus documentation, version 1.0, section "Schema". */
#ifndef HF_VIEW_LATENCY_H
#define HF_VIEW_LATENCY_H

#include "base/base.h"

enum {
    LATENCY_SCHEMA = 2,       /* buckets a doubling: 2 to this */
    LATENCY_PER_DOUBLING = 4, /* = 1 << LATENCY_SCHEMA */
    LATENCY_LOW = -16,        /* the zero bucket ends at 2 to this, in seconds */
    LATENCY_HIGH = 10,        /* and the last bound is 2 to this */
    LATENCY_BUCKETS = 1 + (LATENCY_HIGH - LATENCY_LOW) * LATENCY_PER_DOUBLING + 1,
    LATENCY_NATIVE = LATENCY_LOW * LATENCY_PER_DOUBLING, /* of cell i: i + this */
};

/* The bits of a double between 1 and 2 behind its exponent, for 2^(1/4), 2^(1/2) and 2^(3/4). */
#define LATENCY_ROOT_1 UINT64_C(0x306fe0a31b715)
#define LATENCY_ROOT_2 UINT64_C(0x6a09e667f3bcd)
#define LATENCY_ROOT_3 UINT64_C(0xae89f995ad3ad)

/* The cell that counts this duration. No branch depends on the value but the two ends. */
static inline unsigned latency_bucket(uint64_t us)
{
    double seconds = (double)us / 1e6;
    uint64_t bits;
    memcpy(&bits, &seconds, sizeof bits);
    uint64_t within = bits & ((UINT64_C(1) << 52) - 1);
    int i = ((int)(bits >> 52) - 1023 - LATENCY_LOW) * LATENCY_PER_DOUBLING + (within > 0) +
            (within > LATENCY_ROOT_1) + (within > LATENCY_ROOT_2) + (within > LATENCY_ROOT_3);
    return i < 0 ? 0 : i >= LATENCY_BUCKETS ? LATENCY_BUCKETS - 1 : (unsigned)i;
}

/* The upper bound of a cell in seconds, itself included. The last cell has none: it is told the one
 * that the next native bucket would have. */
static inline double latency_bound(unsigned i)
{
    static const uint64_t roots[] = {0, LATENCY_ROOT_1, LATENCY_ROOT_2, LATENCY_ROOT_3};
    uint64_t exponent = (uint64_t)(1023 + LATENCY_LOW) + i / LATENCY_PER_DOUBLING;
    uint64_t bits = exponent << 52 | roots[i % LATENCY_PER_DOUBLING];
    double seconds;
    memcpy(&seconds, &bits, sizeof seconds);
    return seconds;
}

#endif
