/* The judge by example: checks, rates, reloads, restarts. Each rule of docs/detection.md once. */
#include "detect/judge_fixture.h"

static void test_begins_unchecked_and_one_pass_makes_healthy(void **state)
{
    struct judge j = judge_of(params());
    is(&j, VERDICT_SUSPECT, REASON_UNCHECKED);
    assert_int_equal(judge_check_delay(&j), 200 * MS);
    assert_true(feed(&j, START + MS, SIGNAL_CHECK_OK, 1));
    is(&j, VERDICT_HEALTHY, REASON_CHECKS_PASS);
    assert_int_equal(j.since, START + MS);
    assert_int_equal(judge_check_delay(&j), SECOND);
}

static void test_failed_checks_need_fall_in_a_row(void **state)
{
    uint64_t at;
    struct judge j = passing(params(), &at);
    checks(&j, &at, SIGNAL_CHECK_TIMEOUT, 1);
    is(&j, VERDICT_SUSPECT, REASON_CHECK_FAILING);
    assert_int_equal(judge_check_delay(&j), 200 * MS);
    checks(&j, &at, SIGNAL_CHECK_TIMEOUT, 1);
    checks(&j, &at, SIGNAL_CHECK_OK, 1);
    is(&j, VERDICT_SUSPECT, REASON_CHECK_FAILING); /* rise is 2 */
    checks(&j, &at, SIGNAL_CHECK_BAD, 2);
    is(&j, VERDICT_SUSPECT, REASON_CHECK_FAILING);
    checks(&j, &at, SIGNAL_CHECK_RESET, 1);
    is(&j, VERDICT_FAILED, REASON_CHECKS_FAIL);
    assert_false(j.certain);
    assert_int_equal(judge_check_delay(&j), SECOND);
    assert_true(judge_deadline(&j) == UINT64_MAX);
}

static void test_one_probe_never_ejects_even_where_fall_is_one(void **state)
{
    struct judge_params p = params();
    p.fall = 1;
    uint64_t at;
    struct judge j = passing(p, &at);
    checks(&j, &at, SIGNAL_CHECK_REFUSED, 1);
    is(&j, VERDICT_SUSPECT, REASON_CHECK_FAILING);
    checks(&j, &at, SIGNAL_CHECK_REFUSED, 1);
    is(&j, VERDICT_FAILED, REASON_CHECKS_FAIL);
    j = judge_of(p);
    feed(&j, START, SIGNAL_CHECK_REFUSED, 1000); /* a check is one, whatever the count says */
    is(&j, VERDICT_SUSPECT, REASON_CHECK_FAILING);
}

static void test_refusals_are_certain(void **state)
{
    uint64_t at;
    struct judge j = passing(params(), &at);
    checks(&j, &at, SIGNAL_CHECK_TIMEOUT, 1);
    checks(&j, &at, SIGNAL_CHECK_REFUSED, 2);
    is(&j, VERDICT_FAILED, REASON_CHECKS_FAIL);
    assert_true(j.certain);
    assert_true(
        feed(&j, at += SECOND, SIGNAL_CHECK_TIMEOUT, 1)); /* no longer so: tells the owner */
    assert_false(j.certain);
    checks(&j, &at, SIGNAL_CHECK_REFUSED, 2);
    assert_true(j.certain);
    checks(&j, &at, SIGNAL_CHECK_OK, 1);
    is(&j, VERDICT_FAILED, REASON_CHECKS_FAIL);
    assert_int_equal(judge_check_delay(&j), 200 * MS);
    checks(&j, &at, SIGNAL_CHECK_OK, 1);
    is(&j, VERDICT_HEALTHY, REASON_CHECKS_PASS);
    assert_false(j.certain);
}

static void test_a_late_tick_does_not_stretch_a_window(void **state)
{
    uint64_t at;
    struct judge j = passing(params(), &at);
    feed(&j, at, SIGNAL_REQ_5XX, 4); /* long before the others: not counted with them */
    feed(&j, at, SIGNAL_REQ_OK, 1);
    feed(&j, at += 30 * SECOND + 100 * MS, SIGNAL_REQ_OK, 17);
    feed(&j, at, SIGNAL_REQ_5XX, 1);
    is(&j, VERDICT_HEALTHY, REASON_CHECKS_PASS);
    assert_int_equal(j.window_start, START + 30 * SECOND);
}

static void test_many_errors_but_not_in_a_row_degrade(void **state)
{
    uint64_t at;
    struct judge j = passing(params(), &at);
    bool changed = false;
    for (int i = 0; i < JUDGE_RATE_REQUESTS; i++) {
        assert_false(changed); /* not on fewer requests */
        changed = feed(&j, at, i % 5 == 4 ? SIGNAL_REQ_5XX : SIGNAL_REQ_OK, 1);
    }
    assert_true(changed);
    is(&j, VERDICT_DEGRADED, REASON_ERROR_RATE);
    assert_int_equal(judge_check_delay(&j), 200 * MS);
    /* 15 % is no longer high, but not low either */
    for (int i = 0; i < 100; i++)
        feed(&j, at += 200 * MS, i % 20 < 3 ? SIGNAL_REQ_5XX : SIGNAL_REQ_OK, 1);
    is(&j, VERDICT_DEGRADED, REASON_ERROR_RATE);
    for (int i = 0; i < 100 && j.reason == REASON_ERROR_RATE; i++)
        feed(&j, at += 200 * MS, i % 20 < 1 ? SIGNAL_REQ_5XX : SIGNAL_REQ_OK, 1);
    is(&j, VERDICT_HEALTHY, REASON_CHECKS_PASS);
}

static void test_degraded_ends_with_the_traffic(void **state)
{
    uint64_t at;
    struct judge j = passing(params(), &at);
    feed(&j, at, SIGNAL_REQ_OK, 50);
    for (int i = 0; i < 50; i++) {
        feed(&j, at, SIGNAL_REQ_5XX, 1);
        feed(&j, at, SIGNAL_REQ_OK, 1);
    }
    is(&j, VERDICT_DEGRADED, REASON_ERROR_RATE);
    for (int i = 0; i < 3 && j.reason == REASON_ERROR_RATE; i++)
        judge_tick(&j, judge_deadline(&j));
    is(&j, VERDICT_HEALTHY, REASON_CHECKS_PASS);
}

static void test_a_verdict_outlives_a_restart(void **state)
{
    struct judge j = judge_of(params());
    judge_restore(&j, VERDICT_FAILED, REASON_REQUESTS_FAIL, START - SECOND);
    is(&j, VERDICT_FAILED, REASON_REQUESTS_FAIL);
    assert_int_equal(judge_deadline(&j), START + 4 * SECOND);
    char text[256];
    judge_explain(&j, START, text, sizeof text);
    assert_non_null(strstr(text, "known from before a restart"));

    static const struct {
        unsigned verdict, reason;
    } bad[] = {{VERDICT_FAILED, REASON_CHECKS_PASS},
               {VERDICT_HEALTHY, REASONS},
               {77, REASON_SERVING},
               {VERDICT_HEALTHY, 99}};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        j = judge_of(params());
        judge_restore(&j, (enum verdict)bad[i].verdict, (enum reason)bad[i].reason, START);
        is(&j, VERDICT_SUSPECT, REASON_UNCHECKED);
    }
    j = judge_of(params());
    judge_restore(&j, VERDICT_HEALTHY, REASON_CHECKS_PASS, UINT64_MAX);
    assert_int_equal(j.since, START);
}

static void test_time_never_goes_back_and_never_overflows(void **state)
{
    uint64_t at;
    struct judge j = ejected(&at);
    judge_tick(&j, at + SECOND);
    assert_false(judge_tick(&j, 0));
    assert_int_equal(j.now, at + SECOND);
    feed(&j, 0, SIGNAL_REQ_5XX, 1);
    assert_int_equal(j.now, at + SECOND);
    judge_tick(&j, UINT64_MAX - SECOND);
    feed(&j, UINT64_MAX - SECOND, SIGNAL_REQ_5XX, UINT32_MAX);
    assert_true(judge_deadline(&j) > UINT64_MAX - SECOND && judge_deadline(&j) < UINT64_MAX);
    judge_tick(&j, UINT64_MAX);
    feed(&j, UINT64_MAX, SIGNAL_REQ_5XX, UINT32_MAX);
    judge_tick(&j, UINT64_MAX);
    assert_in_range(j.verdict, VERDICT_HEALTHY, VERDICT_FAILED);
}

static void test_parameters_are_moved_into_their_bounds(void **state)
{
    struct judge_params p = {.fast_interval = UINT64_MAX, .fall = UINT32_MAX, .eject_after = 4000};
    struct judge j = judge_of(p);
    assert_int_equal(j.params.rise, 1);
    assert_int_equal(j.params.fall, 100);
    assert_int_equal(j.params.eject_after, 1000);
    assert_true(j.params.hold > 0 && j.params.hold_max >= j.params.hold);
    assert_true(j.params.interval > 0 && j.params.fast_interval <= j.params.interval);
    p.hold = UINT64_MAX;
    judge_set_params(&j, &p);
    assert_true(j.params.hold < UINT64_MAX / 2 && j.hold_now == j.params.hold);
}

static void test_an_unknown_signal_is_ignored(void **state)
{
    struct judge j = judge_of(params()), before = j;
    struct signal s = {.at = START + SECOND, .kind = SIGNAL_KINDS, .count = 1};
    assert_false(judge_signal(&j, &s));
    assert_memory_equal(&j, &before, sizeof j);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_begins_unchecked_and_one_pass_makes_healthy),
        cmocka_unit_test(test_failed_checks_need_fall_in_a_row),
        cmocka_unit_test(test_one_probe_never_ejects_even_where_fall_is_one),
        cmocka_unit_test(test_refusals_are_certain),
        cmocka_unit_test(test_a_late_tick_does_not_stretch_a_window),
        cmocka_unit_test(test_many_errors_but_not_in_a_row_degrade),
        cmocka_unit_test(test_degraded_ends_with_the_traffic),
        cmocka_unit_test(test_a_verdict_outlives_a_restart),
        cmocka_unit_test(test_time_never_goes_back_and_never_overflows),
        cmocka_unit_test(test_parameters_are_moved_into_their_bounds),
        cmocka_unit_test(test_an_unknown_signal_is_ignored),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
