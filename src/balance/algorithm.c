/* The table of algorithms. */
#include "balance/algorithm.h"

#include "base/base.h"

static const struct algorithm_ops *const table[ALGORITHMS] = {
    [ALGORITHM_ROUND_ROBIN] = &round_robin_ops,
    [ALGORITHM_RANDOM] = &random_ops,
    [ALGORITHM_LEAST_REQUESTS] = &least_requests_ops,
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
