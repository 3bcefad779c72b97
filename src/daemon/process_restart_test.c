/* Restart and hang policies over whole lives. */
#include "daemon/process_restart.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

#include "daemon/process_hang.h"

#define MS UINT64_C(1000000)

static void the_first_death_is_answered_at_once(void **state)
{
    struct restart r = {0};
    assert_int_equal(restart_delay(&r, 0), 0);
}

static void repeated_deaths_wait_longer_and_never_give_up(void **state)
{
    static const uint64_t expected[] = {0, 100, 200, 400, 800, 1000, 1000, 1000};
    struct restart r = {0};
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++)
        assert_int_equal(restart_delay(&r, 50 * MS), expected[i] * MS);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(restart_delay(&r, 0), RESTART_LONGEST);
    r.streak = UINT32_MAX;
    assert_int_equal(restart_delay(&r, 0), RESTART_LONGEST);
}

static void a_steady_life_forgives(void **state)
{
    struct restart r = {0};
    for (int i = 0; i < 20; i++)
        restart_delay(&r, 0);
    assert_int_equal(restart_delay(&r, RESTART_STEADY - 1), RESTART_LONGEST);
    assert_int_equal(restart_delay(&r, RESTART_STEADY), 0);
    assert_int_equal(restart_delay(&r, RESTART_STEADY), 0);
    assert_int_equal(restart_delay(&r, 0), 100 * MS);
}

static void a_beat_that_stands_still_is_a_hang(void **state)
{
    struct hang h;
    hang_start(&h, 10);
    for (uint64_t beat = 11; beat < 100; beat++)
        assert_false(hang_tick(&h, beat, 3, 30));
    assert_false(hang_tick(&h, 99, 3, 30));
    assert_false(hang_tick(&h, 99, 3, 30));
    assert_true(hang_tick(&h, 99, 3, 30));
}

static void a_beat_may_come_late_but_not_never(void **state)
{
    struct hang h;
    hang_start(&h, 5);
    for (int i = 0; i < 29; i++)
        assert_false(hang_tick(&h, 5, 3, 30));
    assert_true(hang_tick(&h, 5, 3, 30));
    hang_start(&h, 5);
    for (int i = 0; i < 1000; i++)
        assert_false(hang_tick(&h, 5, 3, 0));
    assert_false(hang_tick(&h, 6, 3, 0));
    assert_false(hang_tick(&h, 6, 3, 0));
    assert_false(hang_tick(&h, 6, 3, 0));
    assert_true(hang_tick(&h, 6, 3, 0));
}

/* A predecessor's count may be higher or lower: any change is life. */
static void a_beat_may_start_anew(void **state)
{
    struct hang h;
    hang_start(&h, 1000);
    assert_false(hang_tick(&h, 1, 2, 30));
    assert_true(h.alive);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_death_is_answered_at_once),
        cmocka_unit_test(repeated_deaths_wait_longer_and_never_give_up),
        cmocka_unit_test(a_steady_life_forgives),
        cmocka_unit_test(a_beat_that_stands_still_is_a_hang),
        cmocka_unit_test(a_beat_may_come_late_but_not_never),
        cmocka_unit_test(a_beat_may_start_anew),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
