/* What the algorithms that look at latencies share: how time fades what was seen, and what a
 * failure counts as.
 *
 * An instance that fails at once must not look fast (Prequal's authors call it sinkholing): a
 * failure counts as several times the pool's mean latency, if it did not take longer. A request
 * that was abandoned says only that it would have taken longer than it did. */
#include "balance/algorithm.h"

#define FAILURE_COUNTS 8.0
#define MEAN_STEP      (1 / 64.0)

/* 2^-x: halved for each whole, and between by the cubic with its values at 0, 1/2 and 1 and its
 * slope at 0, so that many small steps make the same as one large. Within 0.1 %. */
double fade(const struct pool *p, uint64_t elapsed)
{
    double x = MIN((double)elapsed * p->half_lives, 62);
    int64_t whole = (int64_t)x;
    double part = x - (double)whole;
    return (1 - part * (0.693147 - part * (0.236319 - part * 0.043172))) /
           (double)(INT64_C(1) << whole);
}

double latency_charged(const struct pool *p, const struct member *m, enum outcome o,
                       uint64_t latency)
{
    double took = MAX((double)latency, 1);
    switch (o) {
    case OUTCOME_OK: return took;
    case OUTCOME_FAILED: return MAX(took, FAILURE_COUNTS * p->mean_latency);
    case OUTCOME_ABANDONED: return took > m->latency ? took : 0;
    }
    UNREACHABLE();
}

void pool_observe(struct pool *p, uint32_t index, enum outcome outcome, uint64_t latency,
                  uint64_t now)
{
    CHECK(index < p->n);
    if (!p->ops->learn)
        return;
    struct member *m = &p->members[index];
    double counts = latency_charged(p, m, outcome, latency);
    if (counts <= 0)
        return;
    if (outcome == OUTCOME_OK)
        p->mean_latency += p->mean_latency > 0 ? (counts - p->mean_latency) * MEAN_STEP : counts;
    now = MAX(now, m->heard);
    p->ops->learn(p, m, counts, now);
    m->measured = m->heard = now;
}
