/* The algorithms by what they do in bulk: shares, smoothness, fairness of ties, slow members. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "balance/balance.h"

enum { MOST = 10 };

static struct pool pool_of(enum algorithm a, uint32_t n, const uint32_t *weights, uint64_t seed)
{
    struct pool p;
    assert_int_equal(pool_init(&p, a, n, 500, seed, NULL), 0);
    for (uint32_t i = 0; i < n; i++)
        p.members[i].weight = weights ? weights[i] : 1;
    pool_update(&p);
    return p;
}

/* The 99.99 % points of the chi-square distribution by degrees of freedom (tables of it are in any
 * handbook): seeds are fixed, so a row fails always or never. */
static const double chi_square_bound[MOST] = {0,    15.1, 18.4, 21.1, 23.5,
                                              25.7, 27.9, 29.9, 31.8, 33.7};

static void shares_fit(const struct pool *p, const uint32_t *counts)
{
    double total = 0, picks = 0, sum = 0;
    for (uint32_t i = 0; i < p->n; i++) {
        total += p->members[i].weight;
        picks += counts[i];
    }
    for (uint32_t i = 0; i < p->n; i++) {
        double wanted = picks * p->members[i].weight / total, off = counts[i] - wanted;
        sum += off * off / wanted;
    }
    if (sum > chi_square_bound[p->n - 1])
        fail_msg("%u members: chi-square is %.1f", p->n, sum);
}

/* Requests that end at once: random by its nature, least-requests by how it breaks ties. */
static void test_idle_pools_share_by_weight(void **state)
{
    static const enum algorithm drawn[] = {ALGORITHM_RANDOM, ALGORITHM_LEAST_REQUESTS};
    struct prng r;
    prng_seed(&r, 31);
    for (int round = 0; round < 40; round++) {
        uint32_t n = 2 + (uint32_t)prng_below(&r, MOST - 1), weights[MOST], counts[MOST] = {0};
        for (uint32_t i = 0; i < n; i++)
            weights[i] = round % 2 ? 1 : 1 + (uint32_t)prng_below(&r, 20);
        struct pool p = pool_of(drawn[round / 2 % 2], n, weights, prng_next(&r));
        for (int k = 0; k < 20000; k++) {
            int i = pool_pick(&p, NULL, 0, 0);
            counts[i]++;
            pool_done(&p, (uint32_t)i);
        }
        shares_fit(&p, counts);
        pool_free(&p);
    }
}

static void test_least_requests_fills_by_weight(void **state)
{
    static const uint32_t weights[] = {1, 2, 5};
    struct pool p = pool_of(ALGORITHM_LEAST_REQUESTS, 3, weights, 3);
    for (int k = 0; k < 800; k++)
        pool_pick(&p, NULL, 0, 0);
    for (uint32_t i = 0; i < 3; i++)
        assert_in_range(p.members[i].inflight, 100 * weights[i] - 1, 100 * weights[i] + 1);
    pool_free(&p);
}

/* After every single pick each member has its share, give or take two; over whole rounds, exactly.
 */
static void test_round_robin_is_smooth(void **state)
{
    struct prng r;
    prng_seed(&r, 5);
    double worst = 0;
    for (int round = 0; round < 300; round++) {
        uint32_t n = 1 + (uint32_t)prng_below(&r, MOST), weights[MOST], counts[MOST] = {0};
        uint32_t total = 0, high = round % 2 ? 1 : 1 + (uint32_t)prng_below(&r, 100);
        for (uint32_t i = 0; i < n; i++)
            total += weights[i] = 1 + (uint32_t)prng_below(&r, high);
        struct pool p = pool_of(ALGORITHM_ROUND_ROBIN, n, weights, prng_next(&r));
        for (uint32_t k = 1; k <= 3 * total; k++) {
            counts[pool_pick(&p, NULL, 0, 0)]++;
            for (uint32_t i = 0; i < n; i++) {
                double off = counts[i] - (double)k * weights[i] / total;
                worst = MAX(worst, MAX(off, -off));
            }
        }
        for (uint32_t i = 0; i < n; i++)
            assert_int_equal(counts[i], 3 * weights[i]);
        pool_free(&p);
    }
    assert_true(worst < 2);
    assert_true(worst > 0.5); /* else nothing was measured */
}

static void test_round_robin_spreads_a_heavy_member(void **state)
{
    static const uint32_t weights[] = {5, 1, 1};
    struct pool p = pool_of(ALGORITHM_ROUND_ROBIN, 3, weights, 1);
    for (uint32_t i = 0; i < 3; i++)
        p.members[i].credit = 0; /* from the start of a round */
    char order[8] = {0};
    for (int k = 0; k < 7; k++)
        order[k] = (char)('a' + pool_pick(&p, NULL, 0, 0));
    assert_string_equal(order, "aabacaa");
    pool_free(&p);
}

static void test_pools_begin_at_different_members(void **state)
{
    uint32_t first[4] = {0};
    for (uint64_t seed = 0; seed < 400; seed++) {
        struct pool p = pool_of(ALGORITHM_ROUND_ROBIN, 4, NULL, seed);
        first[pool_pick(&p, NULL, 0, 0)]++;
        pool_free(&p);
    }
    for (int i = 0; i < 4; i++)
        assert_in_range(first[i], 60, 140);
}

/* An update that changes nothing changes nothing: verdicts come and go all the time. */
static void test_an_update_keeps_the_round(void **state)
{
    static const uint32_t weights[] = {3, 2, 1};
    struct pool p = pool_of(ALGORITHM_ROUND_ROBIN, 3, weights, 1);
    uint32_t counts[3] = {0};
    for (int k = 0; k < 60; k++) {
        counts[pool_pick(&p, NULL, 0, 0)]++;
        pool_update(&p);
    }
    for (uint32_t i = 0; i < 3; i++)
        assert_int_equal(counts[i], 10 * weights[i]);
    pool_free(&p);
}

/* A reload from weight 1000 to 1 must not send a long burst to one member. */
static void test_new_weights_make_no_burst(void **state)
{
    static const uint32_t heavy[] = {1000, 999, 7};
    for (int after = 0; after < 50; after++) {
        struct pool p = pool_of(ALGORITHM_ROUND_ROBIN, 3, heavy, 1);
        for (int k = 0; k < after; k++)
            pool_pick(&p, NULL, 0, 0);
        for (uint32_t i = 0; i < 3; i++)
            p.members[i].weight = 1;
        pool_update(&p);
        uint32_t counts[3] = {0};
        for (int k = 0; k < 9; k++)
            counts[pool_pick(&p, NULL, 0, 0)]++;
        for (int i = 0; i < 3; i++)
            assert_in_range(counts[i], 1, 6);
        pool_free(&p);
    }
}

/* 64 clients, each sending its next request when the last one was answered; members answer after a
 * fixed time. Returns how many of `requests` the last member got. */
static uint32_t closed_loop(enum algorithm a, const uint32_t latency[3], uint32_t requests)
{
    enum { CLIENTS = 64 };
    struct pool p = pool_of(a, 3, NULL, 17);
    uint64_t ends[CLIENTS] = {0};
    int with[CLIENTS];
    memset(with, -1, sizeof with);
    uint32_t slow = 0;
    for (uint32_t k = 0; k < requests; k++) {
        int next = 0;
        for (int i = 1; i < CLIENTS; i++)
            if (ends[i] < ends[next])
                next = i;
        if (with[next] >= 0)
            pool_done(&p, (uint32_t)with[next]);
        with[next] = pool_pick(&p, NULL, 0, ends[next]);
        ends[next] += latency[with[next]];
        slow += with[next] == 2;
    }
    pool_free(&p);
    return slow;
}

static void test_least_requests_spares_a_slow_member(void **state)
{
    static const uint32_t ten_times[3] = {10, 10, 100};
    enum { REQUESTS = 30000 };
    uint32_t least = closed_loop(ALGORITHM_LEAST_REQUESTS, ten_times, REQUESTS);
    uint32_t round = closed_loop(ALGORITHM_ROUND_ROBIN, ten_times, REQUESTS);
    assert_in_range(least, REQUESTS / 30, REQUESTS / 15); /* 1/21 of them, by Little's law */
    assert_in_range(round, REQUESTS * 33 / 100, REQUESTS * 34 / 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_idle_pools_share_by_weight),
        cmocka_unit_test(test_least_requests_fills_by_weight),
        cmocka_unit_test(test_round_robin_is_smooth),
        cmocka_unit_test(test_round_robin_spreads_a_heavy_member),
        cmocka_unit_test(test_pools_begin_at_different_members),
        cmocka_unit_test(test_an_update_keeps_the_round),
        cmocka_unit_test(test_new_weights_make_no_burst),
        cmocka_unit_test(test_least_requests_spares_a_slow_member),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
