/* The algorithms that look at latencies: what they learn, whom they spare, and for how long. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "balance/algorithm.h"
#include "balance/balance_test.h"

static const enum algorithm by_latency[] = {ALGORITHM_LEAST_TIME, ALGORITHM_PREQUAL};

static struct pool pool_of(enum algorithm a, uint32_t n)
{
    struct pool_params params = {.algorithm = a, .n = n, .eject_permille = 500, .seed = 3};
    struct pool p = pool_with(&params);
    pool_update(&p);
    return p;
}

static void test_names_say_who_looks_at_latency(void **state)
{
    for (int a = 0; a < ALGORITHMS; a++)
        assert_int_equal(algorithm_by_latency((enum algorithm)a),
                         a == ALGORITHM_LEAST_TIME || a == ALGORITHM_PREQUAL);
    assert_false(algorithm_by_latency(ALGORITHMS));
}

static void test_fade_halves(void **state)
{
    struct pool p = pool_of(ALGORITHM_LEAST_TIME, 1);
    double root = 0.70710678118654752;
    assert_true(fade(&p, 0) == 1);
    for (unsigned k = 0; k < 60; k++) {
        double exact = 1.0 / (double)(UINT64_C(1) << k);
        double at = fade(&p, k * POOL_HALF_LIFE) / exact,
               half = fade(&p, k * POOL_HALF_LIFE + POOL_HALF_LIFE / 2) / exact;
        assert_true(at > 0.9999 && at < 1.0001);
        assert_true(half > root * 0.9999 && half < root * 1.0001);
    }
    double before = 1;
    for (uint64_t t = 0; t < 70 * POOL_HALF_LIFE; t += POOL_HALF_LIFE / 97) {
        double now = fade(&p, t);
        assert_true(now <= before && now >= 0);
        before = now;
    }
    assert_true(fade(&p, UINT64_MAX) < 1e-18);
    pool_free(&p);
}

/* One answer that is slow replaces the average at once; fast ones take half-lives. */
static void test_least_time_is_sensitive_to_peaks(void **state)
{
    struct pool p = pool_of(ALGORITHM_LEAST_TIME, 1);
    uint64_t now = 0;
    pool_observe(&p, 0, OUTCOME_OK, 10 * MS, now);
    pool_observe(&p, 0, OUTCOME_OK, 100 * MS, now += MS);
    assert_true(p.members[0].latency == 100 * MS);
    for (int k = 0; k < 1000; k++)
        pool_observe(&p, 0, OUTCOME_OK, 10 * MS, now += MS);
    double half_way = p.members[0].latency / (double)MS; /* after one half-life */
    assert_true(half_way > 54.5 && half_way < 55.5);
    pool_free(&p);
}

static void test_prequal_is_not(void **state)
{
    struct pool p = pool_of(ALGORITHM_PREQUAL, 1);
    uint64_t now = 0;
    pool_observe(&p, 0, OUTCOME_OK, 10 * MS, now);
    pool_observe(&p, 0, OUTCOME_OK, 100 * MS, now += MS);
    assert_true(p.members[0].latency < 20 * MS);
    for (int k = 0; k < 100; k++)
        pool_observe(&p, 0, OUTCOME_OK, 100 * MS, now += MS);
    assert_true(p.members[0].latency > 98 * MS);
    pool_free(&p);
}

/* An instance that fails at once is no magnet. */
static void test_failures_are_not_fast(void **state)
{
    for (size_t a = 0; a < ARRAY_LEN(by_latency); a++) {
        struct pool p = pool_of(by_latency[a], 3);
        uint32_t counts[3] = {0};
        uint64_t now = 0;
        for (int k = 0; k < 3000; k++) {
            uint32_t i = (uint32_t)pool_pick(&p, NULL, 0, now += MS);
            counts[i]++;
            pool_end(&p, i, i == 2 ? OUTCOME_FAILED : OUTCOME_OK, i == 2 ? MS / 100 : 10 * MS, now);
        }
        assert_in_range(counts[2], 1, 30);
        pool_free(&p);
    }
}

/* What was given up after longer than it usually takes is slow; before that nothing is known. */
static void test_abandoned_requests(void **state)
{
    for (size_t a = 0; a < ARRAY_LEN(by_latency); a++) {
        struct pool p = pool_of(by_latency[a], 1);
        pool_observe(&p, 0, OUTCOME_ABANDONED, 50 * MS, 0);
        assert_true(p.members[0].latency == 50 * MS);
        pool_observe(&p, 0, OUTCOME_ABANDONED, 10 * MS, 1);
        assert_true(p.members[0].latency == 50 * MS);
        pool_observe(&p, 0, OUTCOME_ABANDONED, 500 * MS, 2);
        assert_true(p.members[0].latency > 70 * MS);
        assert_true(p.mean_latency == 0); /* of answers only */
        pool_free(&p);
    }
}

/* One member is 10 times slower for ten seconds, then well. Requests one after the other: each
 * member is idle when the next comes, which tells least-requests nothing. */
static void test_spared_while_slow_and_used_again(void **state)
{
    for (size_t a = 0; a < ARRAY_LEN(by_latency); a++) {
        struct pool p = pool_of(by_latency[a], 4);
        uint32_t slow = 0, well = 0, n_slow = 0, n_well = 0;
        for (uint64_t now = 0; now < 30000 * MS;) {
            uint32_t i = (uint32_t)pool_pick(&p, NULL, 0, now);
            bool sick = now < 10000 * MS;
            uint64_t took = i == 1 && sick ? 100 * MS : 10 * MS + (now ^ i) % MS;
            pool_end(&p, i, OUTCOME_OK, took, now += took);
            slow += sick && i == 1;
            n_slow += sick;
            well += now > 20000 * MS && i == 1;
            n_well += now > 20000 * MS;
        }
        assert_in_range(slow, 1, n_slow / 50);          /* it is tried now and then */
        assert_in_range(well, n_well / 20, n_well / 2); /* a fourth is its share */
        pool_free(&p);
    }
}

/* A member that does not answer at all is asked once, and not again while the others answer, though
 * what was known of it fades. */
static void test_a_silent_member_gathers_few(void **state)
{
    for (size_t a = 0; a < ARRAY_LEN(by_latency); a++) {
        struct pool p = pool_of(by_latency[a], 3);
        uint64_t now = 0;
        for (int k = 0; k < 300; k++) { /* all are known as equal */
            uint32_t i = (uint32_t)pool_pick(&p, NULL, 0, now += MS);
            pool_end(&p, i, OUTCOME_OK, 10 * MS, now);
        }
        for (int k = 0; k < 2000; k++) {
            uint32_t i = (uint32_t)pool_pick(&p, NULL, 0, now += 10 * MS);
            if (i != 2)
                pool_end(&p, i, OUTCOME_OK, 10 * MS, now);
        }
        assert_in_range(p.members[2].inflight, 1, 20); /* in 20 half-lives, not 700 */
        pool_free(&p);
    }
}

/* Many in flight and equally fast: in proportion to weight. */
static void test_least_time_fills_by_weight(void **state)
{
    static const uint32_t weights[] = {1, 2, 5};
    struct pool p = pool_of(ALGORITHM_LEAST_TIME, 3);
    for (uint32_t i = 0; i < 3; i++) {
        p.members[i].weight = weights[i];
        pool_observe(&p, i, OUTCOME_OK, 10 * MS, 0);
    }
    pool_update(&p);
    for (int k = 0; k < 800; k++)
        pool_pick(&p, NULL, 0, 1);
    for (uint32_t i = 0; i < 3; i++)
        assert_in_range(p.members[i].inflight, 100 * weights[i] - 2, 100 * weights[i] + 2);
    pool_free(&p);
}

/* A member with four times the weight is hot with four times as much in flight. */
static void test_prequal_allows_by_weight(void **state)
{
    for (uint32_t heavy = 0; heavy <= 12; heavy++) {
        struct pool p = pool_of(ALGORITHM_PREQUAL, 2);
        p.members[1].weight = 4;
        pool_update(&p);
        pool_observe(&p, 0, OUTCOME_OK, 100 * MS, 0);
        pool_observe(&p, 1, OUTCOME_OK, 7 * MS, 0); /* 12 in flight cost 91, or 182 if hot */
        p.members[1].inflight = heavy;
        p.hot = 8 * 2.5 / 4; /* 8 of the heavy one: the mean weight is 2.5 */
        assert_int_equal(pool_pick(&p, NULL, 0, 0), heavy <= 8);
        pool_free(&p);
    }
}

/* A member that is new is asked once at once, and again when it has answered. */
static void test_the_unknown_are_asked(void **state)
{
    for (size_t a = 0; a < ARRAY_LEN(by_latency); a++) {
        struct pool p = pool_of(by_latency[a], 3);
        pool_observe(&p, 0, OUTCOME_OK, 10 * MS, 0);
        pool_observe(&p, 1, OUTCOME_OK, 10 * MS, 0);
        p.hot = 9;
        assert_int_equal(pool_pick(&p, NULL, 0, 1), 2);
        assert_int_not_equal(pool_pick(&p, NULL, 0, 1), 2);
        pool_end(&p, 2, OUTCOME_OK, MS, 2);
        assert_int_equal(pool_pick(&p, NULL, 0, 3), 2);
        pool_free(&p);
    }
}

/* Idle and equally fast: the same to each, in small pools and in those that are sampled. */
static void test_idle_equals_share_evenly(void **state)
{
    for (size_t a = 0; a < ARRAY_LEN(by_latency); a++) {
        for (uint32_t n = 1; n <= CHI_MOST; n++) {
            struct pool p = pool_of(by_latency[a], n);
            uint32_t counts[CHI_MOST] = {0};
            double shares[CHI_MOST];
            for (int k = 0; k < 20000; k++) {
                uint32_t i = (uint32_t)pool_pick(&p, NULL, 0, 1);
                pool_end(&p, i, OUTCOME_OK, 10 * MS, 1);
                counts[i]++;
            }
            for (uint32_t i = 0; i < n; i++)
                shares[i] = 1;
            shares_fit(counts, shares, n);
            pool_free(&p);
        }
    }
}

/* The quantile finds its place: of loads 0 to 99 the hot ones are the last 16. */
static void test_prequal_knows_what_is_hot(void **state)
{
    struct pool p = pool_of(ALGORITHM_PREQUAL, 100);
    double sum = 0;
    for (uint32_t i = 0; i < 100; i++) {
        p.members[i].inflight = i;
        pool_observe(&p, i, OUTCOME_OK, 10 * MS, 0);
    }
    for (int k = 0; k < 20000; k++) {
        pool_done(&p, (uint32_t)pool_pick(&p, NULL, 0, 1));
        sum += k >= 10000 ? p.hot : 0;
    }
    sum /= 10000;
    assert_true(sum > 75 && sum < 90);
    pool_free(&p);
}

/* The fastest is picked while it is cold; then the next, unless that is slower by more than being
 * hot costs. In flight when latency was seen: none. */
static void test_prequal_prefers_the_fast_until_they_are_hot(void **state)
{
    static const struct {
        uint32_t inflight[3];
        int pick;
    } rows[] = {
        {{0, 0, 0}, 0}, {{1, 0, 0}, 0}, /* 10 * 2 < 30 */
        {{2, 0, 0}, 1},                 /* 10 * 3 * 2 > 31 */
        {{2, 3, 0}, 0},                 /* both are hot: 60 < 248 */
        {{9, 3, 0}, 0},                 /* 200 < 248 < 400 */
    };
    for (size_t k = 0; k < ARRAY_LEN(rows); k++) {
        struct pool p = pool_of(ALGORITHM_PREQUAL, 3);
        static const uint64_t latency[3] = {10 * MS, 31 * MS, 400 * MS};
        for (uint32_t i = 0; i < 3; i++) {
            pool_observe(&p, i, OUTCOME_OK, latency[i], 0);
            p.members[i].inflight = rows[k].inflight[i];
        }
        p.hot = 1;
        assert_int_equal(pool_pick(&p, NULL, 0, 1), rows[k].pick);
        pool_free(&p);
    }
}

static void test_a_reload_forgets_nothing(void **state)
{
    for (size_t a = 0; a < ARRAY_LEN(by_latency); a++) {
        struct pool p = pool_of(by_latency[a], 2), q = pool_of(by_latency[a], 2);
        pool_observe(&p, 0, OUTCOME_OK, 10 * MS, 5);
        pool_observe(&p, 1, OUTCOME_OK, 90 * MS, 5);
        p.members[1].returned = 4;
        pool_inherit(&q, 1, &p, 0);
        pool_inherit(&q, 0, &p, 1);
        pool_update(&q);
        assert_true(q.members[1].latency == 10 * MS && q.members[0].latency == 90 * MS);
        assert_int_equal(q.members[0].returned, 4);
        assert_int_equal(pool_pick(&q, NULL, 0, 6), 1);
        struct pool other = pool_of(ALGORITHM_TWO_CHOICES, 2);
        pool_inherit(&other, 0, &p, 1);
        assert_true(other.members[0].latency == 0 && other.members[0].returned == 4);
        pool_free(&other);
        pool_free(&p);
        pool_free(&q);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names_say_who_looks_at_latency),
        cmocka_unit_test(test_fade_halves),
        cmocka_unit_test(test_least_time_is_sensitive_to_peaks),
        cmocka_unit_test(test_prequal_is_not),
        cmocka_unit_test(test_failures_are_not_fast),
        cmocka_unit_test(test_abandoned_requests),
        cmocka_unit_test(test_spared_while_slow_and_used_again),
        cmocka_unit_test(test_a_silent_member_gathers_few),
        cmocka_unit_test(test_least_time_fills_by_weight),
        cmocka_unit_test(test_prequal_allows_by_weight),
        cmocka_unit_test(test_the_unknown_are_asked),
        cmocka_unit_test(test_idle_equals_share_evenly),
        cmocka_unit_test(test_prequal_knows_what_is_hot),
        cmocka_unit_test(test_prequal_prefers_the_fast_until_they_are_hot),
        cmocka_unit_test(test_a_reload_forgets_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
