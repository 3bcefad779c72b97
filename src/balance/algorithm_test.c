/* The algorithms by what they do in bulk: shares, smoothness, fairness of ties, slow members. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "balance/balance_test.h"

enum { MOST = CHI_MOST };

static struct pool pool_of(enum algorithm a, uint32_t n, const uint32_t *weights, uint64_t seed)
{
    struct pool p;
    assert_int_equal(pool_init(&p, a, n, 500, seed, NULL), 0);
    for (uint32_t i = 0; i < n; i++)
        p.members[i].weight = weights ? weights[i] : 1;
    pool_update(&p);
    return p;
}

/* Requests that end at once: random by its nature, the others by how they break ties. */
static void test_idle_pools_share_by_weight(void **state)
{
    static const enum algorithm drawn[] = {ALGORITHM_RANDOM, ALGORITHM_LEAST_REQUESTS,
                                           ALGORITHM_TWO_CHOICES};
    struct prng r;
    prng_seed(&r, 31);
    for (int round = 0; round < 60; round++) {
        uint32_t n = 2 + (uint32_t)prng_below(&r, MOST - 1), weights[MOST], counts[MOST] = {0};
        double shares[MOST];
        for (uint32_t i = 0; i < n; i++)
            shares[i] = weights[i] = round % 2 ? 1 : 1 + (uint32_t)prng_below(&r, 20);
        struct pool p = pool_of(drawn[round / 2 % 3], n, weights, prng_next(&r));
        for (int k = 0; k < 20000; k++)
            counts[pick_at(&p, 0, 0)]++;
        shares_fit(counts, shares, n);
        pool_free(&p);
    }
}

/* n requests to n members of which none ends. One choice fills one member with about
 * ln n / ln ln n, two choices with log2(ln n), and with least-requests all are alike. */
static void test_two_choices_shorten_the_longest_queue(void **state)
{
    static const struct {
        enum algorithm a;
        uint32_t least, most;
    } rows[] = {
        {ALGORITHM_RANDOM, 5, 8}, {ALGORITHM_TWO_CHOICES, 2, 3}, {ALGORITHM_LEAST_REQUESTS, 1, 1}};
    for (size_t k = 0; k < ARRAY_LEN(rows); k++) {
        struct pool p = pool_of(rows[k].a, POOL_MAX, NULL, 5);
        uint32_t longest = 0;
        for (uint32_t i = 0; i < POOL_MAX; i++) {
            int to = pool_pick(&p, NULL, 0, 0);
            longest = MAX(longest, p.members[to].inflight);
        }
        assert_in_range(longest, rows[k].least, rows[k].most);
        pool_free(&p);
    }
}

static void test_two_choices_fill_by_weight(void **state)
{
    static const uint32_t weights[] = {1, 2, 5};
    struct pool p = pool_of(ALGORITHM_TWO_CHOICES, 3, weights, 3);
    for (int k = 0; k < 800; k++)
        pool_pick(&p, NULL, 0, 0);
    for (uint32_t i = 0; i < 3; i++)
        assert_in_range(p.members[i].inflight, 90 * weights[i], 110 * weights[i]);
    pool_free(&p);
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
static uint32_t closed_loop(enum algorithm a, uint32_t bound_permille, uint32_t requests)
{
    enum { CLIENTS = 64 };
    static const uint64_t latency[3] = {10 * MS, 10 * MS, 100 * MS};
    struct pool_params params = {
        .algorithm = a, .n = 3, .seed = 17, .bound_permille = bound_permille};
    struct pool p = pool_with(&params);
    uint64_t ends[CLIENTS] = {0};
    int with[CLIENTS];
    uint32_t slow = 0;
    memset(with, -1, sizeof with);
    pool_update(&p);
    for (uint32_t k = 0; k < requests; k++) {
        int next = 0;
        for (int i = 1; i < CLIENTS; i++)
            if (ends[i] < ends[next])
                next = i;
        if (with[next] >= 0)
            pool_end(&p, (uint32_t)with[next], OUTCOME_OK, latency[with[next]], ends[next]);
        with[next] = pool_pick(&p, NULL, key_of(k), ends[next]);
        ends[next] += latency[with[next]];
        slow += with[next] == 2;
    }
    pool_free(&p);
    return slow;
}

/* One of three is ten times slower, whatever the load. How many per mille of the requests it gets.
 */
static void test_a_slow_member(void **state)
{
    static const struct {
        enum algorithm a;
        uint32_t bound, least, most;
    } rows[] = {
        {ALGORITHM_ROUND_ROBIN, 0, 330, 340},
        {ALGORITHM_RANDOM, 0, 320, 350},
        {ALGORITHM_LEAST_REQUESTS, 0, 42, 54}, /* 1/21, by Little's law */
        {ALGORITHM_TWO_CHOICES, 0, 42, 60},
        {ALGORITHM_LEAST_TIME, 0, 2, 8}, /* a tenth as many in flight, each ten times longer */
        {ALGORITHM_PREQUAL, 0, 0, 8},
        {ALGORITHM_SOURCE_HASH, 0, 320, 350},
        {ALGORITHM_CONSISTENT_HASH, 0, 300, 380},
        {ALGORITHM_MAGLEV, 0, 320, 350},
        {ALGORITHM_CONSISTENT_HASH, 1250, 42,
         70}, /* the bound lets it have 5/12 of those in flight */
        {ALGORITHM_MAGLEV, 1250, 42, 70},
        {ALGORITHM_SOURCE_HASH, 1250, 42, 70},
    };
    for (size_t k = 0; k < ARRAY_LEN(rows); k++) {
        uint32_t permille = closed_loop(rows[k].a, rows[k].bound, 30000) / 30;
        if (permille < rows[k].least || permille > rows[k].most)
            fail_msg("%s, bound %u: %u", algorithm_name(rows[k].a), rows[k].bound, permille);
    }
}

/* Every algorithm alike. */
static void test_edges(void **state)
{
    for (int k = 0; k < ALGORITHMS; k++) {
        enum algorithm a = (enum algorithm)k;
        struct tried tried = {0};
        struct pool p = pool_of(a, 0, NULL, 1);
        assert_int_equal(pool_pick(&p, NULL, 1, 0), -1);
        pool_free(&p);
        p = pool_of(a, 1, NULL, 1); /* alone, also for a retry */
        assert_int_equal(pool_pick(&p, NULL, 1, 0), 0);
        tried_add(&tried, 0);
        assert_int_equal(pool_pick(&p, &tried, 1, 0), 0);
        pool_end(&p, 0, OUTCOME_FAILED, MS, 0);
        pool_end(&p, 0, OUTCOME_OK, 0, 0);
        assert_int_equal(p.members[0].inflight, 0);
        p.members[0].weight = 0;
        pool_update(&p);
        assert_int_equal(pick_at(&p, 1, 0), 0);
        pool_free(&p);
        static const uint32_t weights[] = {0, 1000, 0, 1}; /* weight 0 only for want of others */
        p = pool_of(a, 4, weights, 1);
        for (uint32_t i = 0; i < 4000; i++)
            assert_true(pick_at(&p, key_of(i), i) % 2 == 1);
        tried.n = 0;
        tried_add(&tried, 1);
        assert_int_equal(pool_pick(&p, &tried, 1, 4000), 3);
        tried_add(&tried, 3);
        assert_true(pool_pick(&p, &tried, 1, 4000) % 2 == 1);
        pool_free(&p);
        p = pool_of(a, POOL_MAX, NULL, 1); /* only the last is left, far from where a draw begins */
        for (uint32_t i = 0; i + 1 < POOL_MAX; i++)
            p.members[i].trial = true, p.members[i].inflight = POOL_TRIAL_INFLIGHT;
        pool_update(&p);
        assert_int_equal(pick_at(&p, 1, 0), POOL_MAX - 1);
        pool_free(&p);
    }
}

/* Time may stand still or jump, and is never asked to go back. */
static void test_any_time(void **state)
{
    static const uint64_t times[] = {0, 5, 0, UINT64_MAX, 3, UINT64_MAX - 1, UINT64_MAX};
    for (int a = 0; a < ALGORITHMS; a++) {
        struct pool_params params = {
            .algorithm = (enum algorithm)a, .n = 3, .seed = 1, .slow_start = 1000 * MS};
        struct pool p = pool_with(&params);
        for (uint32_t i = 0; i < 3; i++)
            p.members[i].returned = i == 1 ? UINT64_MAX : i;
        pool_update(&p);
        for (size_t k = 0; k < 70; k++) {
            uint64_t now = times[k % ARRAY_LEN(times)];
            int i = pool_pick(&p, NULL, key_of(k), now);
            assert_in_range(i, 0, 2);
            pool_end(&p, (uint32_t)i, (enum outcome)(k % 3), k % 2 ? UINT64_MAX : 0, now);
        }
        pool_free(&p);
    }
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
        cmocka_unit_test(test_two_choices_shorten_the_longest_queue),
        cmocka_unit_test(test_two_choices_fill_by_weight),
        cmocka_unit_test(test_a_slow_member),
        cmocka_unit_test(test_edges),
        cmocka_unit_test(test_any_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
