#include "coord/etcd_timers.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define MS UINT64_C(1000000) /* ns */

static uint32_t level_for(uint64_t median_ms, uint64_t p99_ms)
{
    return etcd_level_for(median_ms * MS, p99_ms * MS);
}

static void levels_double(void **state)
{
    assert_true(etcd_heartbeat_ms(0) == 50 && etcd_election_ms(0) == 300);
    assert_true(etcd_heartbeat_ms(3) == 400 && etcd_election_ms(3) == 2400);
    for (uint32_t i = 0; i < ETCD_LEVELS; i++) {
        assert_int_equal(etcd_level_of(etcd_heartbeat_ms(i)), i);
        assert_true(etcd_election_ms(i) >= 5 * etcd_heartbeat_ms(i)); /* etcd insists */
    }
    assert_int_equal(etcd_level_of(0), 0);
    assert_int_equal(etcd_level_of(100 + 1), 2);
    assert_int_equal(etcd_level_of(5000), ETCD_LEVELS - 1);
    assert_true(2 * ETCD_STALL_MS <= ETCD_ELECTION_MS);
}

static void a_disk_asks_by_what_is_usual_and_by_its_stalls(void **state)
{
    assert_int_equal(level_for(0, 0), 0);
    assert_int_equal(level_for(20, 150), 0);
    assert_int_equal(level_for(21, 21), 1);
    assert_int_equal(level_for(1, 151), 1);
    assert_int_equal(level_for(40, 300), 1);
    assert_int_equal(level_for(41, 41), 2);
    assert_int_equal(level_for(1, 600), 2);
    assert_int_equal(level_for(500, 510), 3);
    assert_int_equal(etcd_level_for(UINT64_MAX, UINT64_MAX), 3);
}

static bool judge(struct disk_judge *j, uint64_t ms)
{
    return disk_judge(j, ms * MS, ms * MS);
}

static void one_good_measurement_is_enough_to_begin(void **state)
{
    struct disk_judge j = {0};
    assert_int_equal(disk_judge_again(&j), 0);
    assert_true(judge(&j, 2));
    assert_true(j.known && j.level == 0);
    assert_int_equal(disk_judge_again(&j), 60);
}

static void of_two_bad_ones_the_better_counts_to_begin(void **state)
{
    struct disk_judge j = {0};
    assert_false(judge(&j, 500));
    assert_true(!j.known && disk_judge_again(&j) == 0);
    assert_true(judge(&j, 30));
    assert_true(j.known && j.level == 1 && disk_judge_again(&j) == 15);
    j = (struct disk_judge){0};
    assert_false(judge(&j, 30));
    assert_true(judge(&j, 500) && j.level == 1);
    j = (struct disk_judge){0};
    assert_false(judge(&j, 500));
    assert_true(judge(&j, 2) && j.known && j.level == 0);
}

static void it_goes_up_when_two_agree(void **state)
{
    struct disk_judge j = {.known = true};
    assert_false(judge(&j, 500));
    assert_int_equal(disk_judge_again(&j), 10);
    assert_false(judge(&j, 2)); /* that was a moment */
    assert_int_equal(disk_judge_again(&j), 60);
    assert_false(judge(&j, 500));
    assert_true(judge(&j, 70) && j.level == 2); /* as far as both say */
    assert_false(judge(&j, 70));
    assert_false(judge(&j, 500));
    assert_true(judge(&j, 500) && j.level == 3);
}

static void it_goes_down_when_four_have_room_to_spare(void **state)
{
    struct disk_judge j = {.known = true, .level = 3};
    for (int i = 0; i < 3; i++)
        assert_false(judge(&j, 2));
    assert_false(judge(&j, 500)); /* not yet */
    assert_true(j.times == 0 && disk_judge_again(&j) == 15);
    for (int i = 0; i < 3; i++)
        assert_false(judge(&j, i == 1 ? 25 : 2));
    assert_true(judge(&j, 2) && j.level == 1); /* as far as all would bear */
    for (int i = 0; i < 20; i++)
        assert_false(judge(&j, 16)); /* 20 is the bound: too near to it */
    for (int i = 0; i < 3; i++)
        assert_false(judge(&j, 15));
    assert_true(judge(&j, 15) && j.level == 0);
}

/* Around a bound it stays where it is. */
static void it_does_not_flap(void **state)
{
    struct disk_judge j = {.known = true};
    uint32_t changes = 0;
    for (int i = 0; i < 1000; i++)
        changes += judge(&j, i % 7 < 4 ? 22 : 18);
    assert_int_equal(changes, 1);
    assert_int_equal(j.level, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(levels_double),
        cmocka_unit_test(a_disk_asks_by_what_is_usual_and_by_its_stalls),
        cmocka_unit_test(one_good_measurement_is_enough_to_begin),
        cmocka_unit_test(of_two_bad_ones_the_better_counts_to_begin),
        cmocka_unit_test(it_goes_up_when_two_agree),
        cmocka_unit_test(it_goes_down_when_four_have_room_to_spare),
        cmocka_unit_test(it_does_not_flap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
