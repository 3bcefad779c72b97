/* The text of `why`. */
#include "cli/reasons.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define NOW (UINT64_C(1795412067) * 1000000000) /* 2026-11-23T05:34:27Z */

static const char failed[] =
    "{'subject': 'web/a', 'at': null, 'more': false, 'now': [{'kind': 'instance', 'subject': "
    "'web/a',"
    " 'verdict': 'failed', 'reason': 'observers-agree', 'own_verdict': 'suspect', 'since_seconds': "
    "12.0,"
    " 'explanation': 'Two see it failed.', 'draining': true, 'observers': [{'node': 'b', 'verdict':"
    " 'failed', 'reason': 'checks-fail', 'counts': true}, {'node': 'c', 'verdict': 'healthy', "
    "'reason':"
    " 'checks-pass', 'counts': false}]}], 'records': [{'time': '2026-11-23T05:34:15.000Z', "
    "'subject':"
    " 'web/a', 'code': 'instance-verdict', 'from': 'suspect', 'to': 'failed', 'reason': "
    "'observers-agree',"
    " 'rule': 'failed: they say so', 'text': 'x', 'evidence': [{'signal': 'check-ok', 'count': 4, "
    "'detail':"
    " 1500, 'observer': 'control', 'age_seconds': 9.04, 'time': 'x'}, {'signal': 'check-bad', "
    "'count': 1,"
    " 'detail': 503, 'observer': 'control', 'age_seconds': 0.2, 'time': 'x'}, {'signal': "
    "'observer',"
    " 'count': 1, 'detail': 0, 'observer': 'node b', 'age_seconds': 0, 'says': 'failed "
    "(checks-fail)'}]},"
    " {'time': '2026-11-22T05:34:15.000Z', 'subject': 'web/b', 'code': 'drain', 'text': 'takes no "
    "new"
    " requests', 'by': 'uid 0', 'evidence': []}]}";

static char *text_of(const char *json, unsigned lines, bool *cut)
{
    char *copy = strdup(json);
    for (char *p = copy; *p; p++)
        *p = *p == '\'' ? '"' : *p;
    json_t *why = json_loads(copy, 0, NULL);
    assert_non_null(why);
    free(copy);
    struct term term = {0};
    struct reasons r = {&term, NOW, lines};
    struct buf out = {0};
    reasons_state(&r, why, &out);
    bool was_cut = reasons_records(&r, why, &out);
    if (cut)
        *cut = was_cut;
    buf_add(&out, "", 1);
    assert_false(out.failed);
    json_decref(why);
    return out.p; /* mem_free's */
}

static void test_all_of_it(void **state)
{
    bool cut;
    char *text = text_of(failed, 0, &cut);
    assert_string_equal(text, "web/a is failed (observers-agree) since 05:34:15.000, for 12 s\n"
                              "  Two see it failed.\n"
                              "  node b sees it failed (checks-fail)\n"
                              "  node c sees it healthy (checks-pass); that does not count now\n"
                              "  by this node's own evidence it is suspect\n"
                              "  It drains: it takes no new requests.\n"
                              "05:34:15.000  suspect -> failed (observers-agree)\n"
                              "    failed: they say so\n"
                              "    observer by node b: failed (checks-fail)\n"
                              "    check-bad by control, answered 503, 0.2 s before\n"
                              "    check-ok x4 by control, in 1.5 ms, 9.0 s before\n"
                              "2026-11-22 05:34:15.000  web/b  drain: takes no new requests; asked "
                              "for by uid 0\n");
    assert_false(cut);
    mem_free(text);
}

static void test_a_screenful(void **state)
{
    bool cut;
    char *text = text_of(failed, 5, &cut);
    assert_true(cut);
    assert_null(strstr(text, "drain: takes"));
    mem_free(text);
    text = text_of(failed, 1, &cut); /* one record in any case */
    assert_true(cut);
    assert_non_null(strstr(text, "check-bad"));
    mem_free(text);
}

static void test_the_past(void **state)
{
    char *text =
        text_of("{'subject': 'web', 'at': '2026-11-23T05:00:00.000Z', 'now': [], 'records': [],"
                " 'then': [{'subject': 'web/a', 'to': 'healthy', 'reason': 'checks-pass',"
                " 'time': '2026-11-23T04:00:00.000Z'}]}",
                0, NULL);
    assert_string_equal(text, "At 05:00:00.000:\n"
                              "  web/a was healthy (checks-pass) since 04:00:00.000\n"
                              "Nothing is recorded about it.\n");
    mem_free(text);
}

static void test_a_member(void **state)
{
    char *text =
        text_of("{'subject': 'c', 'at': null, 'now': [{'kind': 'node', 'subject': 'c', 'state':"
                " 'failed', 'reason': 'agreed', 'since_seconds': 60, 'maintenance': true,"
                " 'observers': {'count': 2, 'hearing_count': 0, 'silent_count': 2, 'hearing':"
                " [], 'silent': ['a', 'b']}}], 'records': []}",
                0, NULL);
    assert_string_equal(text, "c is failed (agreed) since 05:33:27.000, for 60 s\n"
                              "  2 observe it: 0 hear it, 2 do not (a, b)\n"
                              "  It is in maintenance: nothing on it is judged failed.\n"
                              "Nothing is recorded about it.\n");
    mem_free(text);
}

/* A newer node may answer differently; what is missing reads as nothing, and no control byte
 * passes. */
static void test_strange_answers(void **state)
{
    char *text =
        text_of("{'subject': 'x\\u001b[31m', 'now': 7, 'records': [{}, 3, {'evidence': [4, {}]}]}",
                0, NULL);
    assert_null(strchr(text, 27));
    mem_free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_of_it),       cmocka_unit_test(test_a_screenful),
        cmocka_unit_test(test_the_past),        cmocka_unit_test(test_a_member),
        cmocka_unit_test(test_strange_answers),
    };
    setenv("TZ", "UTC", 1);
    return cmocka_run_group_tests_name("reasons", tests, NULL, NULL);
}
