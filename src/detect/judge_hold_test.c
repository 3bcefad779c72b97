/* The judge by example: ejection by requests, holds and trials. */
#include "detect/judge_fixture.h"

static void test_failed_requests_in_a_row_eject(void **state)
{
    uint64_t at;
    struct judge j = passing(params(), &at);
    feed(&j, at, SIGNAL_REQ_5XX, 4);
    assert_int_equal(judge_check_delay(&j), 200 * MS); /* look sooner */
    feed(&j, at, SIGNAL_REQ_OK, 1);
    feed(&j, at, SIGNAL_REQ_TIMEOUT, 4);
    is(&j, VERDICT_HEALTHY, REASON_CHECKS_PASS);
    assert_true(feed(&j, at, SIGNAL_REQ_RESET, 1));
    is(&j, VERDICT_FAILED, REASON_REQUESTS_FAIL);
    assert_false(j.certain);
    assert_int_equal(judge_deadline(&j), at + 5 * SECOND);
    assert_false(feed(&j, at, SIGNAL_REQ_5XX, 20)); /* those under way change nothing */
    assert_false(feed(&j, at, SIGNAL_REQ_OK, 20));
    assert_int_equal(judge_deadline(&j), at + 5 * SECOND);
}

static void test_eject_after_zero_never_ejects(void **state)
{
    struct judge_params p = params();
    p.eject_after = 0;
    p.checked = false;
    struct judge j = judge_of(p);
    feed(&j, START, SIGNAL_REQ_OK, 1);
    is(&j, VERDICT_HEALTHY, REASON_SERVING);
    feed(&j, START, SIGNAL_REQ_REFUSED, 100000);
    is(&j, VERDICT_DEGRADED, REASON_ERROR_RATE);
}

static void test_failed_trials_double_the_hold_up_to_its_bound(void **state)
{
    uint64_t at;
    struct judge j = ejected(&at);
    static const uint64_t seconds[] = {5, 10, 20, 40, 60, 60, 60};
    for (size_t i = 0; i < ARRAY_LEN(seconds); i++) {
        assert_int_equal(judge_deadline(&j), at + seconds[i] * SECOND);
        assert_false(judge_tick(&j, judge_deadline(&j) - 1));
        assert_true(judge_tick(&j, at = judge_deadline(&j)));
        is(&j, VERDICT_SUSPECT, REASON_RECOVERING);
        assert_true(feed(&j, at, SIGNAL_REQ_5XX, 1));
        is(&j, VERDICT_FAILED, REASON_REQUESTS_FAIL);
    }
}

static void test_a_passed_trial_recovers_and_shortens_the_hold(void **state)
{
    uint64_t at;
    struct judge j = ejected(&at);
    judge_tick(&j, at = judge_deadline(&j));
    feed(&j, at, SIGNAL_REQ_5XX, 1);
    judge_tick(&j, at = judge_deadline(&j));
    feed(&j, at, SIGNAL_REQ_OK, JUDGE_TRIAL_REQUESTS - 1);
    is(&j, VERDICT_SUSPECT, REASON_RECOVERING);
    assert_true(feed(&j, at, SIGNAL_REQ_OK, 1));
    is(&j, VERDICT_HEALTHY, REASON_SERVING);
    feed(&j, at, SIGNAL_REQ_5XX, 4); /* back to the full count */
    is(&j, VERDICT_HEALTHY, REASON_SERVING);
    feed(&j, at, SIGNAL_REQ_5XX, 1);
    assert_int_equal(judge_deadline(&j), at + 5 * SECOND);
}

static void test_answers_from_before_the_trial_do_not_count_on_it(void **state)
{
    uint64_t at;
    struct judge j = ejected(&at);
    judge_tick(&j, at = judge_deadline(&j));
    assert_false(feed(&j, at - 1, SIGNAL_REQ_TIMEOUT, 1));
    assert_false(feed(&j, at - 1, SIGNAL_REQ_OK, 9));
    is(&j, VERDICT_SUSPECT, REASON_RECOVERING);
}

static void test_a_restarted_process_is_back_before_its_hold_ends(void **state)
{
    uint64_t at;
    struct judge j = passing(params(), &at);
    feed(&j, at, SIGNAL_REQ_RESET, 20);
    is(&j, VERDICT_FAILED, REASON_REQUESTS_FAIL);
    uint64_t killed = at;
    checks(&j, &at, SIGNAL_CHECK_REFUSED, 2);
    assert_true(j.certain);
    checks(&j, &at, SIGNAL_CHECK_OK, 2);
    is(&j, VERDICT_SUSPECT, REASON_RECOVERING);
    assert_true(at - killed < SECOND);
    feed(&j, at, SIGNAL_REQ_OK, 5);
    is(&j, VERDICT_HEALTHY, REASON_CHECKS_PASS);
    /* and again: recovered is recovered */
    feed(&j, at, SIGNAL_REQ_REFUSED, 5);
    assert_true(j.certain);
    checks(&j, &at, SIGNAL_CHECK_REFUSED, 3);
    is(&j, VERDICT_FAILED, REASON_CHECKS_FAIL);
    checks(&j, &at, SIGNAL_CHECK_OK, 2);
    is(&j, VERDICT_SUSPECT, REASON_RECOVERING);
}

static void test_a_gray_failure_does_not_flap(void **state)
{
    static const enum signal_kind kinds[] = {SIGNAL_REQ_5XX, SIGNAL_REQ_TIMEOUT, SIGNAL_REQ_RESET};
    for (size_t k = 0; k < ARRAY_LEN(kinds); k++) {
        uint64_t at;
        struct judge j = passing(params(), &at);
        int ejections = 0;
        for (uint64_t end = at + 600 * SECOND; at < end;) {
            checks(&j, &at, SIGNAL_CHECK_OK, 1);
            if (j.verdict != VERDICT_FAILED)
                ejections += feed(&j, at, kinds[k], 5) && j.verdict == VERDICT_FAILED;
        }
        /* holds of 5, 10, 20, 40, 60, 60 ...; a crash's hold yields once */
        assert_in_range(ejections, 12, kinds[k] == SIGNAL_REQ_RESET ? 14 : 13);
    }
}

static void test_a_crash_loop_does_not_flap(void **state)
{
    uint64_t at;
    struct judge j = passing(params(), &at);
    int ejections = 0;
    for (uint64_t end = at + 600 * SECOND; at < end;) {
        if (j.verdict != VERDICT_FAILED) {
            ejections += feed(&j, at, SIGNAL_REQ_REFUSED, 5);
            checks(&j, &at, SIGNAL_CHECK_REFUSED, 3);
        }
        checks(&j, &at, SIGNAL_CHECK_OK, 1);
    }
    assert_in_range(ejections, 8, 14);
}

static void test_failing_checks_keep_a_held_subject_failed(void **state)
{
    uint64_t at;
    struct judge j = passing(params(), &at);
    feed(&j, at, SIGNAL_REQ_TIMEOUT, 5);
    uint64_t due = judge_deadline(&j);
    feed(&j, due - MS, SIGNAL_CHECK_TIMEOUT, 1);
    assert_true(judge_deadline(&j) == UINT64_MAX); /* only checks can say more */
    assert_false(judge_tick(&j, due + MS));
    is(&j, VERDICT_FAILED, REASON_REQUESTS_FAIL);
    at = due + MS;
    checks(&j, &at, SIGNAL_CHECK_TIMEOUT, 2);
    is(&j, VERDICT_FAILED, REASON_CHECKS_FAIL);
    assert_false(judge_tick(&j, at += 3600 * SECOND));
    checks(&j, &at, SIGNAL_CHECK_OK, 2);
    is(&j, VERDICT_SUSPECT, REASON_RECOVERING); /* requests had failed: they are tried */
}

static void test_a_trial_is_not_passed_while_checks_fail(void **state)
{
    uint64_t at;
    struct judge j = passing(params(), &at);
    feed(&j, at, SIGNAL_REQ_TIMEOUT, 5);
    judge_tick(&j, at = judge_deadline(&j));
    is(&j, VERDICT_SUSPECT, REASON_RECOVERING);
    checks(&j, &at, SIGNAL_CHECK_TIMEOUT, 1);
    feed(&j, at, SIGNAL_REQ_OK, 2 * JUDGE_TRIAL_REQUESTS);
    is(&j, VERDICT_SUSPECT, REASON_RECOVERING);
    checks(&j, &at, SIGNAL_CHECK_OK, 1);
    feed(&j, at, SIGNAL_REQ_OK, 1);
    is(&j, VERDICT_HEALTHY, REASON_CHECKS_PASS);
}

static void test_failing_checks_end_a_trial(void **state)
{
    uint64_t at;
    struct judge j = passing(params(), &at);
    feed(&j, at, SIGNAL_REQ_TIMEOUT, 5);
    judge_tick(&j, at = judge_deadline(&j));
    checks(&j, &at, SIGNAL_CHECK_TIMEOUT, 2);
    is(&j, VERDICT_SUSPECT, REASON_RECOVERING);
    checks(&j, &at, SIGNAL_CHECK_TIMEOUT, 1);
    is(&j, VERDICT_FAILED, REASON_CHECKS_FAIL);
}

static void test_a_reload_keeps_the_hold_within_its_new_bounds(void **state)
{
    uint64_t at;
    struct judge j = ejected(&at);
    judge_tick(&j, at = judge_deadline(&j));
    feed(&j, at, SIGNAL_REQ_5XX, 1);
    assert_int_equal(j.hold_now, 10 * SECOND);
    struct judge_params p = params();
    p.checked = false;
    p.hold_max = 8 * SECOND;
    judge_set_params(&j, &p);
    assert_int_equal(j.hold_now, 8 * SECOND);
    judge_tick(&j, at = judge_deadline(&j));
    feed(&j, at, SIGNAL_REQ_5XX, 1);
    assert_int_equal(judge_deadline(&j), at + 8 * SECOND);
}

static void test_a_trial_without_requests_ends_by_checks_after_another_hold(void **state)
{
    uint64_t at;
    struct judge j = passing(params(), &at);
    feed(&j, at, SIGNAL_REQ_5XX, 5);
    uint64_t due = judge_deadline(&j);
    while (j.verdict == VERDICT_FAILED)
        checks(&j, &at, SIGNAL_CHECK_OK, 1);
    assert_in_range(at, due, due + 200 * MS);
    uint64_t trial = at;
    while (j.verdict == VERDICT_SUSPECT)
        checks(&j, &at, SIGNAL_CHECK_OK, 1);
    is(&j, VERDICT_HEALTHY, REASON_CHECKS_PASS);
    assert_in_range(at - trial, 5 * SECOND, 5 * SECOND + 200 * MS);
    feed(&j, at, SIGNAL_REQ_5XX, 5); /* not forgotten: no request spoke for it */
    assert_int_equal(j.hold_now, 10 * SECOND);
}

static void test_a_reload_without_checks_gives_the_failed_a_trial(void **state)
{
    uint64_t at;
    struct judge j = passing(params(), &at);
    checks(&j, &at, SIGNAL_CHECK_REFUSED, 3);
    is(&j, VERDICT_FAILED, REASON_CHECKS_FAIL);
    struct judge_params p = params();
    p.checked = false;
    judge_set_params(&j, &p);
    is(&j, VERDICT_FAILED, REASON_CHECKS_FAIL);
    assert_int_equal(judge_deadline(&j), j.since + 5 * SECOND);
    assert_true(judge_tick(&j, judge_deadline(&j)));
    is(&j, VERDICT_SUSPECT, REASON_RECOVERING);
    feed(&j, j.now, SIGNAL_REQ_OK, 5);
    is(&j, VERDICT_HEALTHY, REASON_SERVING);
    p.checked = true;
    judge_set_params(&j, &p);
    checks(&j, &at, SIGNAL_CHECK_OK, 1);
    is(&j, VERDICT_HEALTHY, REASON_CHECKS_PASS);
}

static void test_a_worker_heeds_that_control_saw_the_subject_return(void **state)
{
    uint64_t at;
    struct judge j = ejected(&at);
    assert_false(judge_hear(&j, VERDICT_HEALTHY, at += MS)); /* control had not noticed: no news */
    assert_false(judge_hear(&j, VERDICT_SUSPECT, at += MS));
    assert_false(judge_hear(&j, VERDICT_FAILED, at += MS));
    assert_false(judge_hear(&j, VERDICT_FAILED, at += MS));
    assert_true(judge_hear(&j, VERDICT_SUSPECT, at += MS));
    is(&j, VERDICT_SUSPECT, REASON_RECOVERING);
    feed(&j, at, SIGNAL_REQ_5XX, 1);
    is(&j, VERDICT_FAILED, REASON_REQUESTS_FAIL);
    assert_int_equal(j.hold_now, 10 * SECOND);
    assert_false(judge_hear(&j, VERDICT_HEALTHY, at += MS));
}

/* Slow, on trial, well: as who compares says, and not because some requests are answered. */
static void test_pace_is_decided_by_comparison(void **state)
{
    uint64_t at;
    struct judge j = passing(params(), &at);
    struct pace_report r = {.latency = 412 * MS, .median = 38 * MS, .answers = 50, .others = 4};
    assert_true(judge_pace(&j, PACE_SLOW, &r, at));
    is(&j, VERDICT_FAILED, REASON_SLOW);
    assert_false(j.certain);
    assert_false(judge_pace(&j, PACE_SLOW, &r, at));
    feed(&j, at, SIGNAL_REQ_OK, 50);
    checks(&j, &at, SIGNAL_CHECK_OK, 5);
    is(&j, VERDICT_FAILED, REASON_SLOW);
    assert_true(judge_pace(&j, PACE_TRIAL, NULL, at));
    is(&j, VERDICT_SUSPECT, REASON_RECOVERING);
    feed(&j, at, SIGNAL_REQ_OK, 50);
    is(&j, VERDICT_SUSPECT, REASON_RECOVERING);
    assert_true(judge_pace(&j, PACE_SLOW, &r, at));
    is(&j, VERDICT_FAILED, REASON_SLOW);
    judge_pace(&j, PACE_TRIAL, NULL, at);
    feed(&j, at, SIGNAL_REQ_OK, 50);
    assert_true(judge_pace(&j, PACE_NORMAL, NULL, at));
    is(&j, VERDICT_HEALTHY, REASON_CHECKS_PASS);
}

/* Other failures go first, and come back to it when they are over. */
static void test_a_slow_one_can_die(void **state)
{
    uint64_t at;
    struct judge j = passing(params(), &at);
    struct pace_report r = {.latency = 412 * MS, .median = 38 * MS, .answers = 50, .others = 4};
    judge_pace(&j, PACE_SLOW, &r, at);
    checks(&j, &at, SIGNAL_CHECK_REFUSED, 3);
    is(&j, VERDICT_FAILED, REASON_CHECKS_FAIL);
    assert_true(j.certain);
    assert_false(judge_pace(&j, PACE_SLOW, &r, at));
    assert_false(judge_pace(&j, PACE_TRIAL, NULL, at));
    is(&j, VERDICT_FAILED, REASON_CHECKS_FAIL);
    checks(&j, &at, SIGNAL_CHECK_OK, 2);
    is(&j, VERDICT_HEALTHY, REASON_CHECKS_PASS);
    assert_true(judge_pace(&j, PACE_SLOW, &r, at));
    is(&j, VERDICT_FAILED, REASON_SLOW);
    assert_false(j.certain);
    judge_pace(&j, PACE_NORMAL, NULL, at); /* the comparison was turned off */
    is(&j, VERDICT_HEALTHY, REASON_CHECKS_PASS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_failed_requests_in_a_row_eject),
        cmocka_unit_test(test_eject_after_zero_never_ejects),
        cmocka_unit_test(test_failed_trials_double_the_hold_up_to_its_bound),
        cmocka_unit_test(test_a_passed_trial_recovers_and_shortens_the_hold),
        cmocka_unit_test(test_answers_from_before_the_trial_do_not_count_on_it),
        cmocka_unit_test(test_a_restarted_process_is_back_before_its_hold_ends),
        cmocka_unit_test(test_a_gray_failure_does_not_flap),
        cmocka_unit_test(test_a_crash_loop_does_not_flap),
        cmocka_unit_test(test_failing_checks_keep_a_held_subject_failed),
        cmocka_unit_test(test_a_trial_is_not_passed_while_checks_fail),
        cmocka_unit_test(test_failing_checks_end_a_trial),
        cmocka_unit_test(test_a_reload_keeps_the_hold_within_its_new_bounds),
        cmocka_unit_test(test_a_trial_without_requests_ends_by_checks_after_another_hold),
        cmocka_unit_test(test_a_reload_without_checks_gives_the_failed_a_trial),
        cmocka_unit_test(test_a_worker_heeds_that_control_saw_the_subject_return),
        cmocka_unit_test(test_pace_is_decided_by_comparison),
        cmocka_unit_test(test_a_slow_one_can_die),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
