/* Records in the queue and as JSON. */
#include "audit/inside.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static struct audit_record sample(const struct audit_signal *evidence, uint32_t n)
{
    return (struct audit_record){
        .seq = 7,
        .boot = 90 * NS_PER_S,
        .wall = UINT64_C(1780000000) * NS_PER_S,
        .epoch = 3,
        .kind = AUDIT_VERDICT,
        .code = STR("instance-verdict"),
        .level = STR("warning"),
        .subject_kind = STR("instance"),
        .subject = STR("web/10.0.0.1:80"),
        .before = STR("suspect"),
        .after = STR("failed"),
        .reason = STR("checks-fail"),
        .by = STR("nobody"),
        .text = STR("3 checks in a row failed"),
        .rule = STR("failed from 3 on"),
        .evidence = evidence,
        .n_evidence = n,
    };
}

static void test_what_goes_in_comes_out(void **state)
{
    (void)state;
    struct audit_signal evidence[] = {
        {STR("check-refused"), STR("control"), STR(""), 89 * NS_PER_S, 0, 3},
        {STR("check-bad"), STR("node b"), STR("a word"), 0, 503, 1},
    };
    struct audit_signal back[AUDIT_EVIDENCE];
    struct audit_record in = sample(evidence, 2), out;
    struct buf bytes = {0};
    assert_true(record_pack(&bytes, &in));
    in.seq = 8;
    in.n_evidence = 0;
    assert_true(record_pack(&bytes, &in));
    struct str left = buf_str(&bytes);
    assert_true(record_next(&left, &out, back));
    assert_int_equal(out.seq, 7);
    assert_int_equal(out.boot, 90 * NS_PER_S);
    assert_int_equal(out.n_evidence, 2);
    assert_true(str_eq(out.subject, in.subject) && str_eq(out.before, in.before));
    assert_true(str_eq(out.after, in.after) && str_eq(out.reason, in.reason));
    assert_true(str_eq(out.by, in.by) && str_eq(out.text, in.text) && str_eq(out.rule, in.rule));
    assert_true(str_eq(out.evidence[1].observer, STR("node b")));
    assert_int_equal(out.evidence[1].detail, 503);
    assert_true(record_next(&left, &out, back));
    assert_int_equal(out.seq, 8);
    assert_false(record_next(&left, &out, back));
    buf_free(&bytes);
}

static void test_the_longest_texts_are_cut_and_fit(void **state)
{
    (void)state;
    static char longest[4096];
    memset(longest, 'x', sizeof longest);
    struct str text = {longest, sizeof longest};
    struct audit_signal evidence[AUDIT_EVIDENCE + 5];
    struct audit_signal back[AUDIT_EVIDENCE];
    for (size_t i = 0; i < ARRAY_LEN(evidence); i++)
        evidence[i] = (struct audit_signal){text, text, text, 1, UINT64_MAX, UINT32_MAX};
    struct audit_record in = sample(evidence, ARRAY_LEN(evidence)), out;
    in.subject = in.text = in.by = in.rule = in.code = text;
    struct buf bytes = {0};
    assert_true(record_pack(&bytes, &in));
    assert_true(bytes.n <= RECORD_MAX);
    struct str left = buf_str(&bytes);
    assert_true(record_next(&left, &out, back));
    assert_int_equal(out.n_evidence, AUDIT_EVIDENCE);
    assert_int_equal(out.subject.n, AUDIT_NAME_MAX);
    buf_free(&bytes);
}

static void test_a_full_queue_stays_as_it_was(void **state)
{
    (void)state;
    struct audit_record in = sample(NULL, 0);
    struct buf bytes = {.limit = 300};
    assert_true(record_pack(&bytes, &in));
    size_t n = bytes.n;
    assert_false(record_pack(&bytes, &in));
    assert_int_equal(bytes.n, n);
    buf_free(&bytes);
}

static void test_memory_may_fail_at_any_point(void **state)
{
    (void)state;
    struct audit_record in = sample(NULL, 0);
    for (unsigned long at = 1;; at++) {
        struct buf bytes = {0};
        mem_fail_at(at);
        bool ok = record_pack(&bytes, &in);
        bool hit = mem_failed();
        mem_fail_at(0);
        assert_true(ok || bytes.n == 0);
        buf_free(&bytes);
        if (!hit)
            return;
    }
}

static const char *json(struct str s)
{
    static struct buf out;
    buf_clear(&out);
    text_json(&out, s);
    buf_add(&out, "", 1);
    static char copy[256];
    str_copy(copy, sizeof copy, (struct str){out.p, out.n - 1});
    buf_free(&out);
    return copy;
}

static void test_texts_become_json(void **state)
{
    (void)state;
    assert_string_equal(json(STR("plain")), "\"plain\"");
    assert_string_equal(json(STR("a\"b\\c")), "\"a\\\"b\\\\c\"");
    assert_string_equal(json(STR("a\nb\x7f")), "\"a\\u000ab\\u007f\"");
    assert_string_equal(json(STR("\xc3\xa4\xf0\x9f\x98\x80")), "\"\xc3\xa4\xf0\x9f\x98\x80\"");
    /* a cut one, an overlong one, a surrogate, a lone continuation, one beyond the last */
    assert_string_equal(json(STR("\xc3")), "\"?\"");
    assert_string_equal(json(STR("\xc0\x80")), "\"??\"");
    assert_string_equal(json(STR("\xed\xa0\x80")), "\"???\"");
    assert_string_equal(json(STR("\x80x")), "\"?x\"");
    assert_string_equal(json(STR("\xf4\x90\x80\x80")), "\"????\"");
    assert_string_equal(json(STR("")), "\"\"");
}

static void test_evidence_tells_what_when_and_by_whom(void **state)
{
    (void)state;
    struct audit_signal evidence[] = {
        {STR("check-refused"), STR("control"), STR(""), 89 * NS_PER_S + 500 * NS_PER_MS, 0, 3},
        {STR("pace"), STR("control"), STR("the median of 4 others"), 0, 412000, 1},
    };
    struct audit_record r = sample(evidence, 2);
    struct buf out = {0};
    record_evidence(&out, &r);
    buf_add(&out, "", 1);
    assert_string_equal(
        out.p, "[{\"signal\":\"check-refused\",\"count\":3,\"detail\":0,\"observer\":\"control\","
               "\"age_seconds\":0.500,\"time\":\"2026-05-28T20:26:39.500Z\"},"
               "{\"signal\":\"pace\",\"count\":1,\"detail\":412000,\"observer\":\"control\","
               "\"age_seconds\":0.000,\"says\":\"the median of 4 others\"}]");
    buf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_goes_in_comes_out),
        cmocka_unit_test(test_the_longest_texts_are_cut_and_fit),
        cmocka_unit_test(test_a_full_queue_stays_as_it_was),
        cmocka_unit_test(test_memory_may_fail_at_any_point),
        cmocka_unit_test(test_texts_become_json),
        cmocka_unit_test(test_evidence_tells_what_when_and_by_whom),
    };
    return cmocka_run_group_tests_name("record", tests, NULL, NULL);
}
