/* The judge by example: each rule of docs/detection.md once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/base.h"
#include "detect/detect.h"

#define MS     UINT64_C(1000000)
#define SECOND (1000 * MS)
#define START  (1000 * SECOND)

static struct judge_params params(void)
{
    return (struct judge_params){
        .checked = true,
        .rise = 2,
        .fall = 3,
        .eject_after = 5,
        .hold = 5 * SECOND,
        .hold_max = 60 * SECOND,
        .interval = SECOND,
        .fast_interval = 200 * MS,
    };
}

static struct judge judge_of(struct judge_params p)
{
    struct judge j;
    judge_init(&j, &p, START);
    return j;
}

static bool feed(struct judge *j, uint64_t at, enum signal_kind kind, uint32_t count)
{
    struct signal s = {.at = at, .count = count, .kind = (uint16_t)kind};
    if (kind == SIGNAL_REQ_5XX)
        s.detail = 503;
    return judge_signal(j, &s);
}

static void checks(struct judge *j, uint64_t *at, enum signal_kind kind, int n)
{
    for (int i = 0; i < n; i++)
        feed(j, *at += judge_check_delay(j), kind, 1);
}

static struct judge passing(struct judge_params p, uint64_t *at)
{
    struct judge j = judge_of(p);
    *at = START;
    checks(&j, at, SIGNAL_CHECK_OK, 1);
    assert_int_equal(j.reason, REASON_CHECKS_PASS);
    return j;
}

static void is(const struct judge *j, enum verdict v, enum reason r)
{
    assert_string_equal(verdict_name(j->verdict), verdict_name(v));
    assert_string_equal(reason_name(j->reason), reason_name(r));
}

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

/* Ejected by 5xx, a subject without checks, as a proxy worker has them. */
static struct judge ejected(uint64_t *at)
{
    struct judge_params p = params();
    p.checked = false;
    struct judge j = judge_of(p);
    *at = START;
    feed(&j, *at, SIGNAL_REQ_OK, 1);
    feed(&j, *at, SIGNAL_REQ_5XX, 5);
    is(&j, VERDICT_FAILED, REASON_REQUESTS_FAIL);
    return j;
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

/* kill -9 under load, started again half a second later: back after `rise` fast checks. */
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

/* The health page is fine, the real requests fail: the growing hold decides, not the checks. */
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

/* It starts, passes its checks, and dies with the first request, over and over. */
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

static void test_time_never_goes_back_and_never_overflows(void **state)
{
    uint64_t at;
    struct judge j = ejected(&at);
    judge_tick(&j, at + SECOND);
    assert_false(judge_tick(&j, 0));
    assert_int_equal(j.now, at + SECOND);
    feed(&j, 0, SIGNAL_REQ_5XX, 1);
    assert_int_equal(j.now, at + SECOND);
    judge_tick(&j, UINT64_MAX);
    feed(&j, UINT64_MAX, SIGNAL_REQ_5XX, UINT32_MAX);
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

static void test_explains_itself(void **state)
{
    uint64_t at;
    char text[256], cut[20];
    struct judge j = judge_of(params());
    judge_explain(&j, START, text, sizeof text);
    assert_string_equal(text, "No check has ended yet.");
    j = passing(params(), &at);
    feed(&j, at += 200 * MS, SIGNAL_REQ_OK, 12);
    feed(&j, at += 200 * MS, SIGNAL_CHECK_REFUSED, 1);
    feed(&j, at += 200 * MS, SIGNAL_CHECK_REFUSED, 1);
    feed(&j, at += 200 * MS, SIGNAL_CHECK_REFUSED, 1);
    judge_explain(&j, at + 400 * MS, text, sizeof text);
    assert_string_equal(text,
                        "3 checks in a row failed, last failure: connection refused, 0.4 s ago. "
                        "Latest signals: check-refused x3, request-ok x12, check-ok.");
    assert_int_equal(judge_explain(&j, at, cut, sizeof cut), sizeof cut - 1);
    assert_string_equal(cut, "3 checks in a row f");
    assert_int_equal(judge_explain(&j, at, cut, 0), 0);
    j = ejected(&at);
    judge_explain(&j, at + 1500 * MS, text, sizeof text);
    assert_string_equal(
        text, "5 requests in a row failed, last failure: answered 503, 1.5 s ago; a trial in "
              "3.5 s. Latest signals: request-5xx x5, request-ok.");
}

static void test_names(void **state)
{
    for (unsigned i = 0; i < SIGNAL_KINDS; i++) {
        assert_non_null(signal_name((enum signal_kind)i));
        for (unsigned k = 0; k < i; k++)
            assert_string_not_equal(signal_name((enum signal_kind)i),
                                    signal_name((enum signal_kind)k));
    }
    for (unsigned i = 0; i < REASONS; i++)
        assert_string_not_equal(reason_name((enum reason)i), "unknown");
    assert_string_equal(verdict_name((enum verdict)9), "unknown");
    assert_true(signal_is_certain(SIGNAL_REQ_REFUSED) && !signal_is_certain(SIGNAL_REQ_TIMEOUT));
    assert_true(signal_is_failure(SIGNAL_CHECK_BAD) && !signal_is_failure(SIGNAL_CHECK_OK));
    assert_false(signal_is_failure(SIGNAL_KINDS));
    assert_int_equal(verdict_worse(VERDICT_SUSPECT, VERDICT_DEGRADED), VERDICT_SUSPECT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_begins_unchecked_and_one_pass_makes_healthy),
        cmocka_unit_test(test_failed_checks_need_fall_in_a_row),
        cmocka_unit_test(test_one_probe_never_ejects_even_where_fall_is_one),
        cmocka_unit_test(test_refusals_are_certain),
        cmocka_unit_test(test_failed_requests_in_a_row_eject),
        cmocka_unit_test(test_eject_after_zero_never_ejects),
        cmocka_unit_test(test_failed_trials_double_the_hold_up_to_its_bound),
        cmocka_unit_test(test_a_passed_trial_recovers_and_shortens_the_hold),
        cmocka_unit_test(test_answers_from_before_the_trial_do_not_count_on_it),
        cmocka_unit_test(test_a_restarted_process_is_back_before_its_hold_ends),
        cmocka_unit_test(test_a_gray_failure_does_not_flap),
        cmocka_unit_test(test_a_crash_loop_does_not_flap),
        cmocka_unit_test(test_failing_checks_keep_a_held_subject_failed),
        cmocka_unit_test(test_a_trial_without_requests_ends_by_checks_after_another_hold),
        cmocka_unit_test(test_many_errors_but_not_in_a_row_degrade),
        cmocka_unit_test(test_degraded_ends_with_the_traffic),
        cmocka_unit_test(test_a_reload_without_checks_gives_the_failed_a_trial),
        cmocka_unit_test(test_a_verdict_outlives_a_restart),
        cmocka_unit_test(test_a_worker_heeds_that_control_saw_the_subject_return),
        cmocka_unit_test(test_time_never_goes_back_and_never_overflows),
        cmocka_unit_test(test_parameters_are_moved_into_their_bounds),
        cmocka_unit_test(test_an_unknown_signal_is_ignored),
        cmocka_unit_test(test_explains_itself),
        cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
