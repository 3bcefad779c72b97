/* The cells of durations against their definition, by pow(). */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "view/latency.h"

static void bounds_are_powers_of_the_fourth_root_of_two(void **state)
{
    for (unsigned i = 0; i < LATENCY_BUCKETS; i++) {
        double want = pow(2, ((int)i + LATENCY_NATIVE) / 4.0);
        assert_true(fabs(latency_bound(i) - want) <= want * 1e-15);
        if (i % 4 == 0)
            assert_true(latency_bound(i) == want);
    }
    assert_true(latency_bound(LATENCY_BUCKETS - 2) == 1024);
}

static void check(uint64_t us)
{
    unsigned i = latency_bucket(us);
    double seconds = (double)us / 1e6;
    assert_true(i < LATENCY_BUCKETS);
    assert_true(i == LATENCY_BUCKETS - 1 || seconds <= latency_bound(i));
    assert_true(i == 0 || seconds > latency_bound(i - 1));
}

static void every_duration_lies_in_its_bucket(void **state)
{
    struct prng r;
    prng_seed(&r, 5);
    for (uint64_t us = 0; us < 100000; us++)
        check(us);
    for (int i = 0; i < 300000; i++)
        check(prng_next(&r) >> prng_below(&r, 64));
    check(UINT64_MAX);
}

static void bounds_belong_to_the_bucket_that_they_end(void **state)
{
    assert_int_equal(latency_bucket(0), 0);
    assert_int_equal(latency_bucket(15), 0);
    assert_int_equal(latency_bucket(16), 1);
    assert_int_equal(latency_bucket(1000000), 64); /* the native bucket 0 ends at 1 s */
    assert_int_equal(latency_bucket(1000001), 65);
    assert_int_equal(latency_bucket(500000), 60);
    assert_int_equal(latency_bucket(1024000000), LATENCY_BUCKETS - 2);
    assert_int_equal(latency_bucket(1024000001), LATENCY_BUCKETS - 1);
    assert_int_equal(latency_bucket(UINT64_MAX), LATENCY_BUCKETS - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bounds_are_powers_of_the_fourth_root_of_two),
        cmocka_unit_test(every_duration_lies_in_its_bucket),
        cmocka_unit_test(bounds_belong_to_the_bucket_that_they_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
