/* Rate limits: the bound in every stretch of time, the waiting time that is told, the table's
 * bound, and many threads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "balance/rate.h"
#include "balance/balance_test.h"
#include "balance/threads_test.h"

#define SECOND (1000 * MS)

static struct rate *rate_of(uint32_t slots, uint64_t requests, uint64_t per, uint64_t burst)
{
    struct rate *r;
    assert_int_equal(rate_open(&r, slots, requests, per, burst, NULL), 0);
    return r;
}

static uint32_t take_all(struct rate *r, uint64_t key, uint64_t now)
{
    uint32_t n = 0;
    while (rate_take(r, key, now, NULL) == 0)
        n++;
    return n;
}

static void test_burst_then_rate(void **state)
{
    struct rate *r = rate_of(64, 10, SECOND, 3);
    assert_int_equal(take_all(r, 7, 5 * SECOND), 3);
    assert_int_equal(rate_take(r, 7, 5 * SECOND, NULL), 100 * MS);
    assert_int_equal(rate_take(r, 7, 5 * SECOND + 99 * MS, NULL), MS);
    assert_int_equal(rate_take(r, 7, 5 * SECOND + 100 * MS, NULL), 0);
    assert_int_equal(take_all(r, 7, 5 * SECOND + 300 * MS), 2);
    assert_int_equal(take_all(r, 8, 5 * SECOND), 3);
    assert_int_equal(take_all(r, 7, 100 * SECOND), 3);
    rate_close(r);
}

static void test_what_is_left_is_told(void **state)
{
    struct rate *r = rate_of(64, 10, SECOND, 3);
    struct rate_left left;
    assert_int_equal(rate_take(r, 7, SECOND, &left), 0);
    assert_int_equal(left.requests, 2);
    assert_int_equal(left.full_in, 100 * MS);
    take_all(r, 7, SECOND);
    assert_int_not_equal(rate_take(r, 7, SECOND, &left), 0);
    assert_int_equal(left.requests, 0);
    assert_int_equal(left.full_in, 300 * MS);
    rate_close(r);
}

/* In any stretch of time, at most burst + its length * rate pass; and who is told to wait passes
 * then and not a nanosecond before. */
static void test_the_bound_in_every_stretch(void **state)
{
    enum { EVENTS = 1500 };
    struct prng r;
    prng_seed(&r, 3);
    for (int round = 0; round < 10; round++) {
        uint64_t burst = 1 + prng_below(&r, 20), requests = 1 + prng_below(&r, 1000);
        struct rate *rate = rate_of(64, requests, SECOND, burst);
        uint64_t passed[EVENTS], now = prng_below(&r, SECOND * 1000);
        int n = 0;
        for (int i = 0; i < EVENTS; i++) {
            uint64_t wait = rate_take(rate, 42, now, NULL);
            if (wait == 0) {
                passed[n++] = now;
            } else if (prng_below(&r, 3) == 0) {
                assert_true(wait == 1 || rate_take(rate, 42, now + wait - 1, NULL) == 1);
                now += wait;
                assert_int_equal(rate_take(rate, 42, now, NULL), 0);
                passed[n++] = now;
            }
            now += prng_below(&r, 2 * SECOND / requests / (1 + prng_below(&r, 3)));
            if (n == EVENTS)
                break;
        }
        for (int from = 0; from < n; from++)
            for (int to = from; to < n; to++)
                if ((uint64_t)(to - from) + 1 >
                    burst + (passed[to] - passed[from]) * requests / SECOND)
                    fail_msg("%d passed where %d may", to - from + 1, (int)burst);
        assert_true(n > 100);
        rate_close(rate);
    }
}

/* A steady stream at the rate passes whole, whatever the rate: nothing is lost to rounding but
 * one in a thousand. */
static void test_the_rate_is_reached(void **state)
{
    static const uint64_t rates[] = {1, 3, 7, 999, 1000000};
    for (size_t i = 0; i < ARRAY_LEN(rates); i++) {
        struct rate *r = rate_of(4, rates[i], SECOND, 1);
        uint64_t n = 0, end = 10 * SECOND;
        for (uint64_t now = 0; now < end;) {
            uint64_t wait = rate_take(r, 1, now, NULL);
            n += wait == 0;
            now += wait;
        }
        assert_in_range(n, rates[i] * 10 * 999 / 1000, rates[i] * 10);
        rate_close(r);
    }
}

static void test_many_keys_are_apart(void **state)
{
    enum { KEYS = 1000 };
    struct rate *r = rate_of(64 * KEYS, 1, SECOND, 5);
    for (int turn = 0; turn < 7; turn++)
        for (uint64_t k = 0; k < KEYS; k++)
            assert_int_equal(rate_take(r, key_of(k), 9 * SECOND, NULL) == 0, turn < 5);
    assert_int_equal(rate_replaced(r), 0);
    rate_close(r);
}

/* Five keys of one set of four: the one whose bucket is fullest goes, and comes back with a full
 * one. Those that are watched most stay limited. */
static void test_a_full_set_lets_the_fullest_go(void **state)
{
    struct rate *r = rate_of(4, 1, SECOND, 4);
    for (uint64_t k = 1; k <= 4; k++)
        for (uint64_t i = 0; i < k; i++)
            assert_int_equal(rate_take(r, k, SECOND, NULL), 0);
    assert_int_equal(take_all(r, 5, SECOND), 4); /* in the place of 1 */
    assert_int_equal(rate_replaced(r), 1);
    assert_int_equal(take_all(r, 4, SECOND), 0);
    assert_int_equal(take_all(r, 3, SECOND), 1);
    assert_int_equal(take_all(r, 1, SECOND), 4); /* in the place of 2 */
    assert_int_equal(rate_replaced(r), 2);
    assert_int_equal(take_all(r, 6, 100 * SECOND), 4); /* all full again: nobody is wronged */
    assert_int_equal(rate_replaced(r), 2);
    rate_close(r);
}

static void test_a_share_of_the_limit(void **state)
{
    struct rate *r = rate_of(64, 100, SECOND, 10);
    rate_set_share(r, 300);
    assert_int_equal(take_all(r, 7, SECOND), 3);
    uint64_t n = 0;
    for (uint64_t now = SECOND; now < 11 * SECOND; now += MS)
        n += rate_take(r, 7, now, NULL) == 0;
    assert_in_range(n, 295, 300);
    rate_set_share(r, 1000);
    assert_in_range(take_all(r, 7, 11 * SECOND), 0, 4); /* the debt is still there */
    assert_int_equal(take_all(r, 7, 12 * SECOND), 10);
    rate_set_share(r, 0); /* the least there is */
    assert_int_equal(take_all(r, 9, 11 * SECOND), 1);
    assert_int_equal(rate_take(r, 9, 11 * SECOND, NULL), 10 * SECOND);
    rate_close(r);
}

static void test_extreme_times(void **state)
{
    struct rate *r = rate_of(64, 10, SECOND, 3);
    assert_int_equal(take_all(r, 7, 0), 3);
    assert_int_equal(take_all(r, 7, UINT64_MAX), 3);
    assert_true(rate_take(r, 7, 0, NULL) > SECOND); /* time that steps back frees nothing */
    assert_int_equal(take_all(r, 0, SECOND), 3);    /* the key 0 is a key */
    rate_close(r);
}

static void test_bounds_and_memory(void **state)
{
    struct rate *r;
    struct err e;
    assert_int_equal(rate_open(&r, 0, 1, SECOND, 1, &e), -ERR_INVAL);
    assert_int_equal(rate_open(&r, 1, 0, SECOND, 1, &e), -ERR_INVAL);
    assert_int_equal(rate_open(&r, 1, 1, 0, 1, &e), -ERR_INVAL);
    assert_int_equal(rate_open(&r, 1, 1, SECOND, 0, &e), -ERR_INVAL);
    assert_int_equal(rate_open(&r, 1, 1, UINT64_MAX, 1, &e), -ERR_INVAL);
    assert_null(r);
    r = rate_of(1, 1, 86400 * SECOND, UINT64_MAX); /* a burst of a century and more */
    for (int i = 0; i < 1000; i++)
        assert_int_equal(rate_take(r, 1, UINT64_MAX, NULL), 0);
    rate_close(r);
    r = rate_of(1, 100000000, SECOND, 100000000);
    assert_int_equal(rate_take(r, 1, SECOND, NULL), 0);
    rate_close(r);
    for (unsigned long n = 1;; n++) {
        mem_fail_at(n);
        int code = rate_open(&r, 100, 1, SECOND, 1, &e);
        bool failed = mem_failed();
        mem_fail_at(0);
        assert_int_equal(code, failed ? -ERR_NOMEM : 0);
        if (!failed) {
            assert_int_equal(n, 3);
            break;
        }
    }
    rate_close(r);
    rate_close(NULL);
}

struct race {
    struct rate *rate;
    _Atomic uint64_t clock, passed;
    uint32_t keys;
};

static void on_one_key(void *context, uint32_t number)
{
    struct race *race = context;
    for (int i = 0; i < 200000; i++) {
        uint64_t now = atomic_fetch_add(&race->clock, 1000);
        if (rate_take(race->rate, 99, now, NULL) == 0)
            atomic_fetch_add(&race->passed, 1);
    }
}

/* 800,000 requests in 0.8 s at 10,000 a second. */
static void test_threads_share_one_bucket(void **state)
{
    struct race race = {.rate = rate_of(4, 10000, SECOND, 100)};
    atomic_store(&race.clock, SECOND);
    in_threads(on_one_key, &race);
    uint64_t passed = atomic_load(&race.passed);
    uint64_t elapsed = atomic_load(&race.clock) - SECOND;
    assert_in_range(passed, elapsed / 100000, 100 + elapsed / 100000 + THREADS);
    rate_close(race.rate);
}

static void on_new_keys(void *context, uint32_t number)
{
    struct race *race = context;
    for (uint64_t k = 0; k < race->keys; k++)
        for (int i = 0; i < 20; i++)
            if (rate_take(race->rate, key_of(k), 5 * SECOND, NULL) == 0)
                atomic_fetch_add(&race->passed, 1);
}

/* Every thread asks for the same new keys at the same moment: none twice over. */
static void test_threads_meet_new_keys(void **state)
{
    struct race race = {.rate = rate_of(1 << 18, 1, SECOND, 10), .keys = 10000};
    in_threads(on_new_keys, &race);
    uint64_t passed = atomic_load(&race.passed);
    assert_in_range(passed, 10 * race.keys, 10 * race.keys + race.keys / 10);
    assert_int_equal(rate_replaced(race.rate), 0);
    rate_close(race.rate);
}

/* A table that is far too small stays sound, and limits what it holds. */
static void test_threads_in_a_crowd(void **state)
{
    struct race race = {.rate = rate_of(16, 1, SECOND, 10), .keys = 10000};
    in_threads(on_new_keys, &race);
    assert_in_range(atomic_load(&race.passed), 10 * race.keys, 20 * race.keys * THREADS);
    assert_true(rate_replaced(race.rate) > race.keys / 2);
    assert_in_range(take_all(race.rate, 12345, 100000 * SECOND), 10, 10);
    rate_close(race.rate);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_burst_then_rate),
        cmocka_unit_test(test_what_is_left_is_told),
        cmocka_unit_test(test_the_bound_in_every_stretch),
        cmocka_unit_test(test_the_rate_is_reached),
        cmocka_unit_test(test_many_keys_are_apart),
        cmocka_unit_test(test_a_full_set_lets_the_fullest_go),
        cmocka_unit_test(test_a_share_of_the_limit),
        cmocka_unit_test(test_extreme_times),
        cmocka_unit_test(test_bounds_and_memory),
        cmocka_unit_test(test_threads_share_one_bucket),
        cmocka_unit_test(test_threads_meet_new_keys),
        cmocka_unit_test(test_threads_in_a_crowd),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
