/* sketch: how long answers took, in little memory: quantiles with a bounded relative error,
 * sketches that add up, and weights that fade.
 *
 * It is the DDSketch of Masson, Rim and Lee ("DDSketch: A Fast and Fully-Mergeable Quantile Sketch
 * with Relative-Error Guarantees", VLDB 2019) with gamma = 2^(1/4) and a fixed range: bucket i
 * counts what lies in (gamma^(i-1), gamma^i] * 2^-16 s. So a quantile's value is off by at most
 *
 *   alpha = (gamma - 1) / (gamma + 1) = 8.7 %
 *
 * of itself, whatever the distribution. The lowest buckets are collapsed from the start, as the
 * paper does when memory runs out: bucket 0 has all up to 15 us, and the last one all beyond
 * 2^10 s; in those two nothing is promised. Memory: 106 buckets, 428 bytes, for ever.
 *
 * The buckets are those of the latency histograms in the shared cells (view/latency.h), so a sketch
 * is fed from them without loss, and no worker counts anything twice. Are they fine enough? What is
 * to be told apart are factors of 1.5 and more: 2.3 buckets; and whoever compares two sketches at a
 * bound of a bucket (sketch_above) makes no error at all. Finer ones (2 % would be 35 a doubling)
 * would cost 7 KiB for each instance and worker, and find nothing more.
 *
 * Weights are floats, so that they may fade; counts are exact up to 2^24. */
#ifndef HF_DETECT_SKETCH_H
#define HF_DETECT_SKETCH_H

#include <stdint.h>

enum {
    SKETCH_PER_DOUBLING = 4,
    SKETCH_LOW = -16, /* bucket 0 ends at 2 to this, in seconds */
    SKETCH_HIGH = 10,
    SKETCH_BUCKETS = 1 + (SKETCH_HIGH - SKETCH_LOW) * SKETCH_PER_DOUBLING + 1
};

struct sketch {
    float weight[SKETCH_BUCKETS];
    float total; /* of all buckets; approximately, after much fading */
};

/* The bucket of a duration, and the upper bound of one, in seconds. */
unsigned sketch_bucket(double seconds);
double sketch_bound(unsigned bucket);

void sketch_put(struct sketch *s, unsigned bucket, double weight);
/* Adds `from`, each weight times `by`. Order does not matter. */
void sketch_merge(struct sketch *s, const struct sketch *from, double by);
/* All weights times `by`, 0..1. What fades below 1e-9 is gone. */
void sketch_fade(struct sketch *s, double by);
/* The value in seconds that a share `q` (0..1) lies below; within its bucket by geometric
 * interpolation. 0 of an empty one. */
double sketch_quantile(const struct sketch *s, double q);
/* The weight in the buckets above this one. */
double sketch_above(const struct sketch *s, unsigned bucket);

#endif
