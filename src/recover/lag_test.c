/* How old a replica's data is told to be, against what it really is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "recover/lag.h"

#define MS     UINT64_C(1000000)
#define SECOND (1000 * MS)

static uint64_t of(const struct lag *l, uint64_t position, uint64_t now)
{
    uint64_t lag = UINT64_MAX;
    assert_true(lag_of(l, position, now, &lag));
    return lag;
}

static void nothing_is_known_of_a_primary_that_was_never_heard(void **state)
{
    (void)state;
    struct lag l = {0};
    uint64_t lag = 7;
    assert_false(lag_of(&l, 100, SECOND, &lag));
    assert_int_equal(lag_top(&l), 0);
}

static void who_has_everything_is_not_behind_until_the_primary_is_silent(void **state)
{
    (void)state;
    struct lag l = {0};
    lag_saw(&l, 100, 10 * SECOND);
    assert_int_equal(of(&l, 100, 10 * SECOND), 0);
    assert_int_equal(of(&l, 120, 10 * SECOND), 0);
    lag_saw(&l, 100, 15 * SECOND); /* an idle one is heard of again */
    assert_int_equal(of(&l, 100, 15 * SECOND), 0);
    assert_int_equal(of(&l, 100, 18 * SECOND), 3 * SECOND);
}

static void it_is_as_old_as_the_primary_when_it_had_no_more(void **state)
{
    (void)state;
    struct lag l = {0};
    lag_saw(&l, 100, 1 * SECOND);
    lag_saw(&l, 100, 5 * SECOND); /* nothing new for 4 s: who is there has what 5 s ago was all */
    lag_saw(&l, 200, 6 * SECOND);
    lag_saw(&l, 300, 7 * SECOND);
    assert_int_equal(of(&l, 300, 7 * SECOND), 0);
    assert_int_equal(of(&l, 299, 7 * SECOND), 1 * SECOND);
    assert_int_equal(of(&l, 100, 7 * SECOND), 2 * SECOND);
    assert_int_equal(of(&l, 1, 7 * SECOND), 2 * SECOND); /* and more: nobody was there to see */
}

static void another_primary_with_less_takes_its_place(void **state)
{
    (void)state;
    struct lag l = {0};
    lag_saw(&l, 100, 1 * SECOND);
    lag_saw(&l, 300, 2 * SECOND);
    lag_saw(&l, 200, 3 * SECOND);
    assert_int_equal(lag_top(&l), 200);
    assert_int_equal(of(&l, 200, 3 * SECOND), 0);
    assert_int_equal(of(&l, 150, 3 * SECOND), 2 * SECOND);
}

/* An hour of writes, a replica that stops at any of them: never told younger than it is, and at
 * most a fifth too old. */
static void marks_reach_back_as_far_as_asked(void **state)
{
    (void)state;
    struct lag l = {0};
    uint64_t now = 0;
    for (uint64_t i = 1; i <= 36000; i++)
        lag_saw(&l, i, now = i * 100 * MS);
    assert_int_equal(l.n, LAG_MARKS);
    for (uint64_t age = 1; age < 30000; age += age < 100 ? 1 : 97) {
        uint64_t true_age = age * 100 * MS, told = of(&l, 36000 - age, now);
        assert_in_range(told, true_age, true_age + true_age / 5 + 100 * MS);
    }
}

static void time_that_goes_back_is_no_lag(void **state)
{
    (void)state;
    struct lag l = {0};
    lag_saw(&l, 100, 10 * SECOND);
    lag_saw(&l, 100, 9 * SECOND);
    assert_int_equal(of(&l, 100, 9 * SECOND), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_known_of_a_primary_that_was_never_heard),
        cmocka_unit_test(who_has_everything_is_not_behind_until_the_primary_is_silent),
        cmocka_unit_test(it_is_as_old_as_the_primary_when_it_had_no_more),
        cmocka_unit_test(another_primary_with_less_takes_its_place),
        cmocka_unit_test(marks_reach_back_as_far_as_asked),
        cmocka_unit_test(time_that_goes_back_is_no_lag),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
