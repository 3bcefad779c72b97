/* The arrival estimate: what heartbeats so far make of a silence. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/base.h"
#include "detect/arrival.h"

#define MS    UINT64_C(1000000)
#define START (1000 * 1000 * MS)

static const struct arrival_params params = {50 * MS, 200 * MS, 80};

/* n heartbeats, each `interval` ns after the last one, give or take `wobble` in turn. */
static uint64_t beat(struct arrival *a, uint64_t now, int n, uint64_t interval, uint64_t wobble)
{
    for (int i = 0; i < n; i++) {
        now += i % 2 ? interval + wobble : interval - wobble;
        arrival_heard(a, now, true, UINT64_MAX);
    }
    return now;
}

static uint64_t silence(const struct arrival *a, const struct arrival_params *p)
{
    return arrival_suspect_at(a, p) - a->last;
}

static void nobody_was_heard_yet(void **state)
{
    struct arrival a;
    arrival_init(&a);
    assert_int_equal(arrival_suspect_at(&a, &params), UINT64_MAX);
    assert_int_equal(arrival_mean(&a), 0);
    assert_int_equal(arrival_deviation(&a), 0);
    arrival_heard(&a, START, true, UINT64_MAX);
    assert_int_equal(silence(&a, &params), 200 * MS); /* not before suspect_after */
}

static void regular_heartbeats_are_suspected_at_the_least(void **state)
{
    struct arrival a;
    arrival_init(&a);
    uint64_t now = beat(&a, START, 500, 50 * MS, 0);
    assert_int_equal(arrival_mean(&a), 50000);
    assert_int_equal(arrival_deviation(&a), 0);
    assert_int_equal(arrival_suspect_at(&a, &params), now + 200 * MS);
    /* With no least, the floors decide: 50 ms + 5.612 * 12.5 ms. */
    struct arrival_params p = {50 * MS, 30 * MS, 80};
    assert_int_equal(silence(&a, &p) / 1000, 120150);
}

/* The figures of the normal distribution: a deviation of 40 ms, mean 100 ms. */
static void phi_is_the_normal_tail(void **state)
{
    struct arrival a;
    struct arrival_params p = {50 * MS, 1000 * MS, 10};
    arrival_init(&a);
    beat(&a, START, 501, 100 * MS, 40 * MS);
    assert_int_equal(arrival_mean(&a), 100000);
    assert_in_range(arrival_deviation(&a), 40000, 40110);
    static const struct {
        uint32_t phi;
        double z;
    } rows[] = {{10, 1.2816}, {30, 3.0902},  {80, 5.6120},
                {85, 5.8049}, {120, 7.0345}, {200, 9.2623}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        p.phi_tenths = rows[i].phi;
        p.suspect_after = 200 * MS;
        double ms = 100 + arrival_deviation(&a) / 1e3 * rows[i].z,
               is = (double)silence(&a, &p) / 1e6;
        ms = ms < 200 ? 200 : ms;
        if (is < ms - 0.5 || is > ms + 0.5)
            fail_msg("phi %u/10: %f, not %f", rows[i].phi, is, ms);
    }
    p.phi_tenths = 0;
    uint64_t least = silence(&a, &p);
    p.phi_tenths = ARRIVAL_PHI_MIN;
    assert_int_equal(silence(&a, &p), least);
    p.phi_tenths = 5000;
    uint64_t most = silence(&a, &p);
    p.phi_tenths = ARRIVAL_PHI_MAX;
    assert_int_equal(silence(&a, &p), most);
}

static void nobody_waits_longer_than_five_times(void **state)
{
    struct arrival a;
    arrival_init(&a);
    beat(&a, START, 300, 5000 * MS, 4900 * MS);
    assert_int_equal(silence(&a, &params), 1000 * MS);
}

static void one_outage_does_not_blind(void **state)
{
    struct arrival a;
    arrival_init(&a);
    uint64_t now = beat(&a, START, 300, 50 * MS, 0);
    arrival_heard(&a, now + 5000 * MS, true, 400 * MS);
    assert_int_equal(silence(&a, &params), 200 * MS);
    arrival_heard(&a, now + 10000 * MS, true, UINT64_MAX);
    assert_int_equal(silence(&a, &params), 1000 * MS);
}

/* As when a node is back: the first intervals hold its start. */
static void one_late_sign_among_few_does_not_blind(void **state)
{
    struct arrival a;
    arrival_init(&a);
    arrival_heard(&a, START, true, UINT64_MAX);
    uint64_t now = START + 380 * MS;
    arrival_heard(&a, now, true, UINT64_MAX);
    assert_in_range(silence(&a, &params), 400 * MS, 500 * MS);
    beat(&a, now, 5, 50 * MS, 0);
    assert_in_range(silence(&a, &params), 350 * MS, 450 * MS);
}

static void the_window_forgets(void **state)
{
    struct arrival a;
    arrival_init(&a);
    uint64_t now = beat(&a, START, 300, 500 * MS, 400 * MS);
    assert_true(silence(&a, &params) == 1000 * MS);
    beat(&a, now, ARRIVAL_WINDOW, 50 * MS, 0);
    assert_int_equal(arrival_mean(&a), 50000);
    assert_int_equal(silence(&a, &params), 200 * MS);
}

static void what_comes_out_of_turn_tells_nothing_of_intervals(void **state)
{
    struct arrival a;
    arrival_init(&a);
    uint64_t now = beat(&a, START, 20, 50 * MS, 0);
    uint16_t n = a.n;
    arrival_heard(&a, now + 3 * MS, false, UINT64_MAX);
    arrival_heard(&a, now + 50 * MS, true, UINT64_MAX);
    assert_int_equal(a.n, n);
    assert_int_equal(arrival_suspect_at(&a, &params),
                     now + 250 * MS); /* but it was a sign of life */
    arrival_break(&a);
    arrival_heard(&a, now + 9000 * MS, true, UINT64_MAX);
    assert_int_equal(a.n, n);
    arrival_heard(&a, now + 8000 * MS, true, UINT64_MAX); /* time does not go back */
    assert_int_equal(a.last, now + 9000 * MS);
}

static void time_that_we_did_not_run_is_not_silence(void **state)
{
    struct arrival a;
    arrival_init(&a);
    arrival_skip(&a, 100 * MS, START); /* nobody was heard: nothing to move */
    assert_int_equal(a.last, 0);
    uint64_t now = beat(&a, START, 20, 50 * MS, 0);
    arrival_skip(&a, 3000 * MS, now + 3010 * MS);
    assert_int_equal(arrival_suspect_at(&a, &params), now + 3200 * MS);
    arrival_heard(&a, now + 3050 * MS, true, UINT64_MAX);
    assert_int_equal(arrival_mean(&a), 50000);
    arrival_skip(&a, 9000 * MS, now + 3060 * MS); /* never beyond now */
    assert_int_equal(a.last, now + 3060 * MS);
}

static void sums_never_overflow(void **state)
{
    struct arrival a;
    arrival_init(&a);
    uint64_t now = 1;
    for (int i = 0; i < 1000; i++) {
        arrival_heard(&a, now, true, UINT64_MAX);
        now += i % 3 ? UINT64_C(1) << 60 : 0;
        now = MIN(now, UINT64_MAX / 2);
        assert_true(arrival_mean(&a) <= 10000000 && arrival_deviation(&a) <= 10000000);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody_was_heard_yet),
        cmocka_unit_test(regular_heartbeats_are_suspected_at_the_least),
        cmocka_unit_test(phi_is_the_normal_tail),
        cmocka_unit_test(nobody_waits_longer_than_five_times),
        cmocka_unit_test(one_outage_does_not_blind),
        cmocka_unit_test(one_late_sign_among_few_does_not_blind),
        cmocka_unit_test(the_window_forgets),
        cmocka_unit_test(what_comes_out_of_turn_tells_nothing_of_intervals),
        cmocka_unit_test(time_that_we_did_not_run_is_not_silence),
        cmocka_unit_test(sums_never_overflow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
