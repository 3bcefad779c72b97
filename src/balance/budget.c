/* The retry budget: ten buckets of a second each, their sums kept as they come and go.
 *
 * Source: the idea is Finagle's RetryBudget: a share of the requests, so that retries cannot
 * multiply the load of a service that is down, and a small reserve, so that a quiet service may
 * retry at all. Time that jumps forward empties the buckets; time that steps back counts into the
 * current second. */
#include "balance/balance.h"

#include "base/base.h"

enum { BUCKETS = ARRAY_LEN(((struct budget *)0)->requests) };

static void turn(struct budget *b, uint64_t now)
{
    uint64_t second = now / UINT64_C(1000000000);
    if (second <= b->second)
        return;
    uint64_t passed = MIN(second - b->second, BUCKETS);
    for (uint64_t i = 0; i < passed; i++) {
        uint64_t slot = (second - i) % BUCKETS;
        b->sum_requests -= b->requests[slot];
        b->sum_retries -= b->retries[slot];
        b->requests[slot] = b->retries[slot] = 0;
    }
    b->second = second;
}

void budget_init(struct budget *b, uint32_t share_permille, uint32_t reserve)
{
    *b = (struct budget){.share_permille = MIN(share_permille, 1000), .reserve = reserve};
}

void budget_request(struct budget *b, uint64_t now)
{
    turn(b, now);
    if (b->sum_requests == UINT32_MAX)
        return;
    b->requests[b->second % BUCKETS]++;
    b->sum_requests++;
}

bool budget_retry(struct budget *b, uint64_t now)
{
    turn(b, now);
    uint64_t most = (uint64_t)b->sum_requests * b->share_permille / 1000 + b->reserve;
    if (b->sum_retries >= most || b->sum_retries == UINT32_MAX)
        return false;
    b->retries[b->second % BUCKETS]++;
    b->sum_retries++;
    return true;
}
