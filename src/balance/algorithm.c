/* The table of algorithms. */
#include "balance/algorithm.h"

#include "base/base.h"

static const struct algorithm_ops *const table[ALGORITHMS] = {
    [ALGORITHM_ROUND_ROBIN] = &round_robin_ops,
    [ALGORITHM_RANDOM] = &random_ops,
    [ALGORITHM_LEAST_REQUESTS] = &least_requests_ops,
    [ALGORITHM_TWO_CHOICES] = &two_choices_ops,
    [ALGORITHM_LEAST_TIME] = &least_time_ops,
    [ALGORITHM_PREQUAL] = &prequal_ops,
    [ALGORITHM_SOURCE_HASH] = &source_hash_ops,
    [ALGORITHM_CONSISTENT_HASH] = &consistent_hash_ops,
    [ALGORITHM_MAGLEV] = &maglev_ops,
};

const struct algorithm_ops *algorithm_ops(enum algorithm a)
{
    CHECK((unsigned)a < ALGORITHMS);
    return table[a];
}

const char *algorithm_name(enum algorithm a)
{
    return (unsigned)a < ALGORITHMS ? table[a]->name : NULL;
}

bool algorithm_parse(struct str name, enum algorithm *out)
{
    for (unsigned a = 0; a < ALGORITHMS; a++) {
        if (str_eq(name, str_of(table[a]->name))) {
            *out = (enum algorithm)a;
            return true;
        }
    }
    return false;
}

bool algorithm_by_key(enum algorithm a)
{
    return (unsigned)a < ALGORITHMS && table[a]->by_key;
}

bool algorithm_by_latency(enum algorithm a)
{
    return (unsigned)a < ALGORITHMS && table[a]->learn;
}
