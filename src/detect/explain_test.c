/* The judge in words, and the names. */
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

static struct judge judge_of(bool checked)
{
    struct judge_params p = {
        .checked = checked,
        .rise = 2,
        .fall = 3,
        .eject_after = 5,
        .hold = 5 * SECOND,
        .hold_max = 60 * SECOND,
        .interval = SECOND,
        .fast_interval = 200 * MS,
    };
    struct judge j;
    judge_init(&j, &p, START);
    return j;
}

static void feed(struct judge *j, uint64_t at, enum signal_kind kind, uint32_t count)
{
    struct signal s = {.at = START + at, .count = count, .kind = (uint16_t)kind};
    if (kind == SIGNAL_REQ_5XX)
        s.detail = 503;
    judge_signal(j, &s);
}

static void says(const struct judge *j, uint64_t at, const char *wanted)
{
    char text[512];
    size_t n = judge_explain(j, START + at, text, sizeof text);
    assert_string_equal(text, wanted);
    assert_int_equal(n, strlen(wanted));
}

static void test_checks(void **state)
{
    struct judge j = judge_of(true);
    says(&j, 0, "No check has ended yet.");
    feed(&j, 100 * MS, SIGNAL_CHECK_OK, 1);
    says(&j, 100 * MS, "Checks pass, 1 in a row. Latest signals: check-ok.");
    feed(&j, 200 * MS, SIGNAL_REQ_OK, 12);
    feed(&j, 300 * MS, SIGNAL_CHECK_REFUSED, 1);
    says(&j, 300 * MS,
         "1 check in a row failed, failed from 3 on, last failure: connection refused, 0.0 s ago. "
         "Latest signals: check-refused, request-ok x12, check-ok.");
    feed(&j, 400 * MS, SIGNAL_CHECK_REFUSED, 1);
    feed(&j, 500 * MS, SIGNAL_CHECK_REFUSED, 1);
    says(&j, 900 * MS,
         "3 checks in a row failed, last failure: connection refused, 0.4 s ago. "
         "Latest signals: check-refused x3, request-ok x12, check-ok.");
    feed(&j, SECOND, SIGNAL_CHECK_OK, 1);
    says(&j, SECOND,
         "Checks failed, 1 of the 2 passes wanted are in, last failure: connection refused, 0.5 s "
         "ago. Latest signals: check-ok, check-refused x3, request-ok x12, check-ok.");
}

static void test_requests(void **state)
{
    struct judge j = judge_of(false);
    says(&j, 0, "No request was answered yet.");
    feed(&j, 0, SIGNAL_REQ_OK, 1);
    says(&j, 0, "Requests are answered. Latest signals: request-ok.");
    feed(&j, 0, SIGNAL_REQ_5XX, 5);
    says(&j, 1500 * MS,
         "5 requests in a row failed, last failure: answered 503, 1.5 s ago; a trial in 3.5 s. "
         "Latest signals: request-5xx x5, request-ok.");
    feed(&j, 2 * SECOND, SIGNAL_REQ_OK, 1); /* one under way still counts as none */
    says(&j, 2 * SECOND,
         "5 requests in a row failed, last failure: answered 503, 2.0 s ago; a trial in 3.0 s. "
         "Latest signals: request-ok, request-5xx x5, request-ok.");
    feed(&j, 6 * SECOND, SIGNAL_REQ_OK, 2);
    says(&j, 6 * SECOND,
         "Was failed, on trial for 0.0 s with 2 of 5 requests answered in a row, last failure: "
         "answered 503, 6.0 s ago. Latest signals: request-ok x3, request-5xx x5, request-ok.");
    feed(&j, 7 * SECOND, SIGNAL_REQ_TIMEOUT, 1);
    says(&j, 7 * SECOND,
         "A request failed on trial, last failure: no answer in time, 0.0 s ago; a trial in 10 s "
         "(ejected 2 times). Latest signals: request-timeout, request-ok x3, request-5xx x5, "
         "request-ok.");
    judge_tick(&j, START + 17 * SECOND);
    feed(&j, 17 * SECOND, SIGNAL_REQ_RESET, 1);
    says(
        &j, 17 * SECOND,
        "A request failed on trial, last failure: connection cut before a whole answer, 0.0 s ago; "
        "a trial in 20 s (ejected 3 times). Latest signals: request-reset, request-timeout, "
        "request-ok x3, request-5xx x5, request-ok.");
}

static void test_pace(void **state)
{
    struct judge j = judge_of(false);
    struct pace_report r = {.latency = 412 * MS,
                            .median = 3850 * MS / 1000,
                            .answers = 120,
                            .others = 4,
                            .until = START + 7 * SECOND};
    feed(&j, 0, SIGNAL_REQ_OK, 3);
    assert_true(judge_pace(&j, PACE_SLOW, &r, START));
    says(&j, 0,
         "Slower than the pool: 412 ms against 3.8 ms, the median of 4 others (120 answers); a "
         "trial in 7.0 s. Latest signals: request-ok x3.");
    assert_true(judge_pace(&j, PACE_TRIAL, NULL, START + 7 * SECOND));
    says(&j, 8 * SECOND,
         "Was slower than the pool (412 ms against 3.8 ms, the median of 4 others), on trial for "
         "1.0 s with 0 of 5 requests answered in a row. Latest signals: request-ok x3.");
    struct judge_params p = {.eject_after = 5, .hold = SECOND};
    judge_init(&j, &p, START);
    judge_restore(&j, VERDICT_FAILED, REASON_SLOW, START);
    says(&j, 0, "Slower than the pool, known from before a restart.");
}

static void test_cut_to_fit(void **state)
{
    char cut[20];
    struct judge j = judge_of(true);
    assert_int_equal(judge_explain(&j, START, cut, sizeof cut), sizeof cut - 1);
    assert_string_equal(cut, "No check has ended ");
    assert_int_equal(judge_explain(&j, START, cut, 0), 0);
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

static void test_every_reason_has_its_rule(void **state)
{
    struct judge_params p = {
        .rise = 4, .fall = 7, .eject_after = 6, .hold = 3 * SECOND, .hold_max = 9 * SECOND};
    char out[320];
    for (unsigned i = 0; i < REASONS; i++) {
        size_t n = judge_rule((enum reason)i, &p, out, sizeof out);
        const char *verdict = verdict_name(reason_verdict((enum reason)i));
        assert_true(n > strlen(verdict) + 2 && n < 200);
        assert_memory_equal(out, verdict, strlen(verdict));
    }
    judge_rule(REASON_CHECKS_FAIL, &p, out, sizeof out);
    assert_string_equal(out, "failed: 7 checks or more failed in a row (fall)");
    judge_rule(REASON_REQUESTS_FAIL, &p, out, sizeof out);
    assert_string_equal(out, "failed: 6 requests in a row failed (eject after), or one on trial; "
                             "held for 3.0 s, doubling up to 9.0 s");
    assert_int_equal(judge_rule(REASON_SLOW, &p, out, 5), 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_checks), cmocka_unit_test(test_requests),
        cmocka_unit_test(test_pace),   cmocka_unit_test(test_cut_to_fit),
        cmocka_unit_test(test_names),  cmocka_unit_test(test_every_reason_has_its_rule),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
