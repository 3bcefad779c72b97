/* The message of a finding: what one puts the other gets, what is cut or out of range is refused,
 * and texts of any bytes and length come through within their bounds. */
#include "daemon/finding_message.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

static struct sense_finding sample(void)
{
    return (struct sense_finding){.subject = SUBJECT_INSTANCE,
                                  .name = STR("web/10.0.0.11:3000"),
                                  .signal = {.at = 123,
                                             .kind = FINDING_LOG_RULE,
                                             .verdict = VERDICT_FAILED,
                                             .key = UINT64_C(0xfedcba9876543210),
                                             .weight = 0.25,
                                             .says = STR("5 lines matched FATAL in 10 s"),
                                             .sample = STR("FATAL: \xff\x00 gone")}};
}

static void it_comes_through(void **state)
{
    (void)state;
    struct sense_finding in = sample(), out;
    struct buf b = {0};
    finding_put(&b, &in);
    for (size_t n = 0; n < b.n; n++) {
        struct reader r = reader_of(b.p, n);
        assert_false(finding_get(&r, &out));
    }
    struct reader r = reader_of(b.p, b.n);
    assert_true(finding_get(&r, &out));
    assert_false(out.gone);
    assert_int_equal(out.subject, SUBJECT_INSTANCE);
    assert_true(str_eq(out.name, in.name));
    assert_int_equal(out.signal.at, 123);
    assert_int_equal(out.signal.kind, FINDING_LOG_RULE);
    assert_int_equal(out.signal.verdict, VERDICT_FAILED);
    assert_true(out.signal.key == in.signal.key);
    assert_true(out.signal.weight == 0.25);
    assert_true(str_eq(out.signal.says, in.signal.says));
    assert_true(str_eq(out.signal.sample, in.signal.sample));
    put_u8(&b, 0);
    r = reader_of(b.p, b.n);
    assert_false(finding_get(&r, &out));
    buf_free(&b);
}

static void texts_are_cut(void **state)
{
    (void)state;
    char text[4096];
    memset(text, 'x', sizeof text);
    struct str all = {text, sizeof text};
    struct sense_finding in = sample(), out;
    struct buf b = {0};
    in.name = in.signal.says = in.signal.sample = all;
    in.signal.weight = 7;
    finding_put(&b, &in);
    struct reader r = reader_of(b.p, b.n);
    assert_true(finding_get(&r, &out));
    assert_int_equal(out.name.n, SENSE_NAME_MAX);
    assert_int_equal(out.signal.says.n, FINDING_SAYS - 1);
    assert_int_equal(out.signal.sample.n, SENSE_SAMPLE_MAX);
    assert_true(out.signal.weight == 1);
    buf_free(&b);
}

/* Each byte of the head in turn is one that no message has. */
static void what_is_out_of_range_is_refused(void **state)
{
    (void)state;
    static const struct {
        size_t at;
        char byte;
    } wrong[] = {{0, 2}, {1, SUBJECT_KINDS}, {2, FINDING_KINDS}, {3, VERDICTS}, {21, '\x7f'}};
    struct sense_finding in = sample(), out;
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        struct buf b = {0};
        finding_put(&b, &in);
        b.p[wrong[i].at] = wrong[i].byte;
        struct reader r = reader_of(b.p, b.n);
        assert_false(finding_get(&r, &out));
        buf_free(&b);
    }
    struct buf b = {0};
    in.name = STR("");
    finding_put(&b, &in);
    struct reader r = reader_of(b.p, b.n);
    assert_false(finding_get(&r, &out));
    buf_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_comes_through),
        cmocka_unit_test(texts_are_cut),
        cmocka_unit_test(what_is_out_of_range_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
