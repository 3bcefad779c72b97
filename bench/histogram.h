/* Latencies in buckets of equal relative width: 128 to each power of two, so every figure is within
 * 0.8% of the truth whatever its size. Nanoseconds in, microseconds out. For the load generators.
 */
#ifndef HF_BENCH_HISTOGRAM_H
#define HF_BENCH_HISTOGRAM_H

#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { HISTOGRAM_SUB = 128, HISTOGRAM_SUB_BITS = 7, HISTOGRAM_BUCKETS = 58 * HISTOGRAM_SUB };

struct histogram {
    uint64_t count[HISTOGRAM_BUCKETS], total, max;
};

static inline uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static inline void histogram_add(struct histogram *h, uint64_t ns)
{
    unsigned shift = 0;
    if (ns >= HISTOGRAM_SUB)
        shift = 64 - (unsigned)__builtin_clzll(ns) - (HISTOGRAM_SUB_BITS + 1);
    h->count[shift * HISTOGRAM_SUB + (ns >> shift)]++;
    h->total++;
    if (ns > h->max)
        h->max = ns;
}

/* The latency that this share of all did not exceed: the upper end of its bucket. */
static inline double histogram_us(const struct histogram *h, double share)
{
    uint64_t wanted = (uint64_t)(share * (double)h->total + 0.999999), seen = 0;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        seen += h->count[i];
        if (seen >= wanted && seen) {
            unsigned shift = i < 2 * HISTOGRAM_SUB ? 0 : i / HISTOGRAM_SUB - 1;
            uint64_t end = ((uint64_t)(i - shift * HISTOGRAM_SUB) + 1) << shift;
            return (double)(end < h->max ? end : h->max) / 1e3;
        }
    }
    return (double)h->max / 1e3;
}

/* As fields of a JSON object, with a comma before each. */
static inline void histogram_print(const struct histogram *h)
{
    static const double shares[] = {50, 75, 90, 95, 99, 99.5, 99.9, 99.95, 99.99, 99.995, 99.999};
    for (unsigned i = 0; i < sizeof shares / sizeof *shares; i++)
        printf(", \"p%g\": %.1f", shares[i], histogram_us(h, shares[i] / 100));
    printf(", \"max\": %.1f", (double)h->max / 1e3);
}

#endif
