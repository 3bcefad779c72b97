#include "detect/sketch.h"

#include <math.h>

#include "base/base.h"

unsigned sketch_bucket(double seconds)
{
    if (!(seconds > ldexp(1, SKETCH_LOW)))
        return 0;
    double place = ceil((log2(seconds) - SKETCH_LOW) * SKETCH_PER_DOUBLING - 1e-9);
    return place >= SKETCH_BUCKETS - 1 ? SKETCH_BUCKETS - 1 : (unsigned)place;
}

double sketch_bound(unsigned bucket)
{
    CHECK(bucket < SKETCH_BUCKETS);
    return exp2(SKETCH_LOW + (double)bucket / SKETCH_PER_DOUBLING);
}

void sketch_put(struct sketch *s, unsigned bucket, double weight)
{
    CHECK(bucket < SKETCH_BUCKETS && weight >= 0);
    s->weight[bucket] += (float)weight;
    s->total += (float)weight;
}

void sketch_merge(struct sketch *s, const struct sketch *from, double by)
{
    float factor = (float)by;
    for (unsigned i = 0; i < SKETCH_BUCKETS; i++)
        s->weight[i] += from->weight[i] * factor;
    s->total += from->total * factor;
}

void sketch_fade(struct sketch *s, double by)
{
    float total = 0, factor = (float)by;
    for (unsigned i = 0; i < SKETCH_BUCKETS; i++) {
        float left = s->weight[i] * factor;
        s->weight[i] = left < 1e-9f ? 0 : left;
        total += s->weight[i];
    }
    s->total = total;
}

double sketch_quantile(const struct sketch *s, double q)
{
    double sum = 0, all = 0;
    unsigned i = 0;
    for (unsigned k = 0; k < SKETCH_BUCKETS; k++)
        all += (double)s->weight[k];
    if (all <= 0)
        return 0;
    double rank = q * all;
    while (i < SKETCH_BUCKETS - 1 && sum + (double)s->weight[i] < rank)
        sum += (double)s->weight[i++];
    double had = (double)s->weight[i];
    double part = had > 0 ? MAX(MIN((rank - sum) / had, 1.0), 0.0) : 1;
    return exp2(SKETCH_LOW + ((double)i - 1 + part) / SKETCH_PER_DOUBLING);
}

double sketch_above(const struct sketch *s, unsigned bucket)
{
    double sum = 0;
    for (unsigned i = bucket + 1; i < SKETCH_BUCKETS; i++)
        sum += (double)s->weight[i];
    return sum;
}
