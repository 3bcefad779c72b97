/* What the tests of this room share. Include after cmocka.h. */
#ifndef HF_BALANCE_TEST_H
#define HF_BALANCE_TEST_H

#include "balance/balance.h"

#define MS UINT64_C(1000000)

enum { CHI_MOST = 10 };

/* The 99.99 % points of the chi-square distribution by degrees of freedom (tables of it are in any
 * handbook): seeds are fixed, so a row fails always or never. */
static const double chi_square_bound[CHI_MOST] = {0,    15.1, 18.4, 21.1, 23.5,
                                                  25.7, 27.9, 29.9, 31.8, 33.7};

/* Do counts of n kinds come from these shares, whatever they add up to? */
static inline void shares_fit(const uint32_t *counts, const double *shares, uint32_t n)
{
    double total = 0, picks = 0, sum = 0;
    for (uint32_t i = 0; i < n; i++) {
        total += shares[i];
        picks += counts[i];
    }
    for (uint32_t i = 0; i < n; i++) {
        double wanted = picks * shares[i] / total, off = counts[i] - wanted;
        if (wanted > 0)
            sum += off * off / wanted;
        else
            assert_int_equal(counts[i], 0);
    }
    assert_in_range(n, 1, CHI_MOST);
    if (sum > chi_square_bound[n - 1])
        fail_msg("%u kinds: chi-square is %.1f", n, sum);
}

/* The k-th of keys that differ. */
static inline uint64_t key_of(uint64_t k)
{
    return (k + 1) * UINT64_C(0x9e3779b97f4a7c15);
}

/* All of weight 1 and healthy; pool_update is the caller's. */
static inline struct pool pool_with(const struct pool_params *params)
{
    struct pool p;
    assert_int_equal(pool_open(&p, params, NULL), 0);
    for (uint32_t i = 0; i < p.n; i++)
        p.members[i].weight = 1;
    return p;
}

/* Picks and ends at once. */
static inline uint32_t pick_at(struct pool *p, uint64_t key, uint64_t now)
{
    int i = pool_pick(p, NULL, key, now);
    assert_true(i >= 0);
    pool_done(p, (uint32_t)i);
    return (uint32_t)i;
}

#endif
