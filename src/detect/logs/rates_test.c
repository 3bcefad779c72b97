#include "detect/logs/rates.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <cmocka.h>

/* Lines in a tick: Poisson, by Knuth's product of uniform numbers, in parts. */
static uint32_t poisson(struct prng *r, double mean)
{
    uint32_t n = 0;
    for (; mean > 0; mean -= 30) {
        double limit = exp(-MIN(mean, 30.0)), p = prng_unit(r);
        for (; p > limit; p *= prng_unit(r))
            n++;
    }
    return n;
}

static const struct rate_tick usual = {.growth = 1, .learn = RATES_LEAST, .tests = 100};

static bool tick(struct rate *r, uint32_t lines, float growth)
{
    struct rate_tick t = usual;
    t.lines = lines;
    t.growth = growth;
    return rate_tick(r, &t);
}

static struct rate learnt(struct prng *p, double mean)
{
    struct rate r = {0};
    for (int i = 0; i < 200; i++)
        assert_false(tick(&r, poisson(p, mean), 1));
    return r;
}

/* How many ticks until it changes. */
static int delay(struct rate *r, struct prng *p, double mean, enum rate_change wanted)
{
    for (int i = 1; i < 1000; i++)
        if (tick(r, poisson(p, mean), 1)) {
            assert_int_equal(r->change, wanted);
            return i;
        }
    return 1000;
}

static void five_times_as_many_lines_are_seen_within_a_few_ticks(void **state)
{
    struct prng p;
    prng_seed(&p, 1);
    for (int i = 0; i < 50; i++) {
        struct rate r = learnt(&p, 50);
        assert_in_range(delay(&r, &p, 250, RATE_MORE), 1, 2);
        r = learnt(&p, 50);
        assert_in_range(delay(&r, &p, 160, RATE_MORE), 1, 4); /* not four times, but far from one */
        r = learnt(&p, 3);
        assert_in_range(delay(&r, &p, 30, RATE_MORE), 1, 4);
    }
}

static void silence_is_seen_after_so_many_lines_that_did_not_come(void **state)
{
    struct prng p;
    prng_seed(&p, 2);
    struct rate r = learnt(&p, 100);
    assert_in_range(delay(&r, &p, 0, RATE_FEWER), 1, 2);
    r = learnt(&p, 2);
    assert_in_range(delay(&r, &p, 0, RATE_FEWER), 10, 30);
}

static void steady_rates_are_quiet(void **state)
{
    static const double means[] = {0.02, 0.3, 2, 20, 500};
    struct prng p;
    prng_seed(&p, 3);
    for (uint32_t m = 0; m < ARRAY_LEN(means); m++)
        for (int k = 0; k < 4; k++) {
            struct rate r = {0};
            for (int i = 0; i < 20000; i++)
                assert_false(tick(&r, poisson(&p, means[m]), 1));
        }
}

/* A job that writes 60 lines every 40 ticks, and one whose pace wanders. */
static void bunches_and_slow_drift_are_quiet(void **state)
{
    struct prng p;
    prng_seed(&p, 4);
    struct rate a = {0}, b = {0};
    for (int i = 0; i < 20000; i++) {
        assert_false(tick(&a, i % 40 == 7 ? 60 : 0, 1));
        assert_false(tick(&b, poisson(&p, 30 + 20 * sin(i / 2000.0)), 1));
    }
}

static void a_busy_hour_is_no_change_and_a_single_event_in_it_is(void **state)
{
    struct prng p;
    prng_seed(&p, 5);
    struct rate r = learnt(&p, 40);
    for (int i = 0; i < 100; i++)
        assert_false(tick(&r, poisson(&p, 200), 5));
    r = learnt(&p, 40);
    assert_true(tick(&r, 1200, 5));
    r = learnt(&p, 40);
    for (int i = 0; i < 20; i++)
        assert_false(tick(&r, 0, 0)); /* all is silent: for the total to tell */
}

static void nothing_is_judged_before_it_is_learnt(void **state)
{
    struct rate r = {0};
    for (int i = 0; i < RATES_LEAST; i++)
        assert_false(tick(&r, i < 30 ? 10 : 1000, 1));
}

static void a_change_ends_and_one_that_stays_becomes_normal(void **state)
{
    struct prng p;
    prng_seed(&p, 6);
    struct rate r = learnt(&p, 50);
    assert_true(delay(&r, &p, 500, RATE_MORE) < 3);
    assert_int_equal(delay(&r, &p, 50, RATE_STEADY), RATES_CALM);
    assert_true(delay(&r, &p, 500, RATE_MORE) < 3);
    assert_in_range(delay(&r, &p, 500, RATE_STEADY), 50, 400);
}

static void few_lines_are_no_change(void **state)
{
    struct rate r = {0};
    for (int i = 0; i < 300; i++)
        assert_false(tick(&r, i % 8 == 0, 1));
    for (int i = 0; i < 20; i++)
        assert_false(tick(&r, 6, 1) && r.up < rate_bound(100));
}

static void the_total_tells_of_silence_alone(void **state)
{
    struct rate r = {0};
    struct rate_tick t = usual;
    t.total = true;
    for (int i = 0; i < 200; i++) {
        t.lines = i < 100 ? 100 : 900;
        assert_false(rate_tick(&r, &t));
    }
    t.lines = 0;
    bool changed = false;
    for (int i = 0; i < 60 && !changed; i++)
        changed = rate_tick(&r, &t);
    assert_true(changed);
    assert_int_equal(r.change, RATE_FEWER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(five_times_as_many_lines_are_seen_within_a_few_ticks),
        cmocka_unit_test(silence_is_seen_after_so_many_lines_that_did_not_come),
        cmocka_unit_test(steady_rates_are_quiet),
        cmocka_unit_test(bunches_and_slow_drift_are_quiet),
        cmocka_unit_test(a_busy_hour_is_no_change_and_a_single_event_in_it_is),
        cmocka_unit_test(nothing_is_judged_before_it_is_learnt),
        cmocka_unit_test(a_change_ends_and_one_that_stays_becomes_normal),
        cmocka_unit_test(few_lines_are_no_change),
        cmocka_unit_test(the_total_tells_of_silence_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
