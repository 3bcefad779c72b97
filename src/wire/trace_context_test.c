/* traceparent: the examples of the recommendation, what it refuses, and what goes on. */
#include <stdio.h>

#include "wire/http1_test.h"

#include "wire/trace_context.h"

#define TRACE "4bf92f3577b34da6a3ce929d0e0e4736"
#define SPAN  "00f067aa0ba902b7"

static const struct {
    const char *value;
    bool valid;
    uint8_t flags;
} rows[] = {
    {"00-" TRACE "-" SPAN "-01", true, 1},
    {"00-" TRACE "-" SPAN "-00", true, 0},
    {"00-" TRACE "-" SPAN "-ff", true, 1}, /* flags that 00 does not have are not passed on */
    {"00-" TRACE "-" SPAN "-fe", true, 0},
    {"01-" TRACE "-" SPAN "-01", true, 1},
    {"cc-" TRACE "-" SPAN "-01", true, 1},
    {"cc-" TRACE "-" SPAN "-01-what-the-future-brings", true, 1},
    {"cc-" TRACE "-" SPAN "-01-", true, 1},
    {"cc-" TRACE "-" SPAN "-01.what", false, 0},
    {"cc-" TRACE "-" SPAN "-011", false, 0},
    {"ff-" TRACE "-" SPAN "-01", false, 0},
    {"00-" TRACE "-" SPAN "-01-what", false, 0},
    {"00-" TRACE "-" SPAN "-01-", false, 0},
    {"00-" TRACE "-" SPAN "-0", false, 0},
    {"00-" TRACE "-" SPAN "-", false, 0},
    {"00-" TRACE "-" SPAN, false, 0},
    {"00-" TRACE "-" SPAN "-0A", false, 0},
    {"00-" TRACE "-" SPAN "-0g", false, 0},
    {"0-" TRACE "-" SPAN "-01-", false, 0},
    {"0x-" TRACE "-" SPAN "-01", false, 0},
    {"00_" TRACE "-" SPAN "-01", false, 0},
    {"00-" TRACE "_" SPAN "-01", false, 0},
    {"00-" TRACE "-" SPAN "_01", false, 0},
    {"00-4BF92f3577b34da6a3ce929d0e0e4736-" SPAN "-01", false, 0},
    {"00-" TRACE "-00F067aa0ba902b7-01", false, 0},
    {"00-00000000000000000000000000000000-" SPAN "-01", false, 0},
    {"00-" TRACE "-0000000000000000-01", false, 0},
    {"", false, 0},
};

static void what_is_a_traceparent(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct trace_context t;
        size_t n = strlen(rows[i].value);
        char *exact = exactly(rows[i].value, n);
        if (trace_context_parse((struct str){exact, n}, &t) != rows[i].valid)
            fail_msg("%s", rows[i].value);
        free(exact);
        if (!rows[i].valid)
            continue;
        char to[TRACEPARENT_BYTES + 1] = "", want[TRACEPARENT_BYTES + 1];
        trace_context_write(&t, to);
        snprintf(want, sizeof want, "00-" TRACE "-" SPAN "-%02x", rows[i].flags);
        assert_string_equal(to, want);
    }
}

static void a_child_keeps_the_trace(void **state)
{
    struct trace_context t;
    char to[TRACEPARENT_BYTES + 1] = "", id[TRACE_ID_BYTES + 1] = "";
    assert_true(trace_context_parse(STR("00-" TRACE "-" SPAN "-01"), &t));
    trace_context_span(&t, (const uint8_t[]){1, 2, 3, 4, 5, 6, 7, 0xff});
    trace_context_write(&t, to);
    assert_string_equal(to, "00-" TRACE "-01020304050607ff-01");
    trace_context_id(&t, id);
    assert_string_equal(id, TRACE);
}

static void a_trace_begins(void **state)
{
    struct trace_context t;
    char to[TRACEPARENT_BYTES + 1] = "";
    trace_context_start(&t, (const uint8_t[16]){0xab, [15] = 0xcd}, true);
    trace_context_span(&t, (const uint8_t[8]){[7] = 9});
    trace_context_write(&t, to);
    assert_string_equal(to, "00-ab0000000000000000000000000000cd-0000000000000009-01");
    trace_context_start(&t, (const uint8_t[16]){0}, false); /* no id is all 0 */
    trace_context_span(&t, (const uint8_t[8]){0});
    trace_context_write(&t, to);
    assert_string_equal(to, "00-00000000000000000000000000000001-0000000000000001-00");
}

static bool of(const char *fields)
{
    static struct http_head h;
    const struct http_refusal *why;
    struct trace_context t;
    char in[512];
    snprintf(in, sizeof in, "GET / HTTP/1.1\r\nHost: a\r\n%s\r\n", fields);
    assert_int_equal(http1_case_parse(CASE_REQUEST, in, strlen(in), 0, &h, &why), HTTP_DONE);
    return trace_context_of(&h, &t);
}

static void a_request_has_one(void **state)
{
    assert_true(of("TraceParent: 00-" TRACE "-" SPAN "-01\r\n"));
    assert_true(of("b: c\r\ntraceparent:  00-" TRACE "-" SPAN "-01 \r\n"));
    assert_false(of("tracestate: a=b\r\n"));
    assert_false(of("traceparent: x\r\n"));
    assert_false(
        of("traceparent: 00-" TRACE "-" SPAN "-01\r\ntraceparent: 00-" TRACE "-" SPAN "-01\r\n"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_a_traceparent),
        cmocka_unit_test(a_child_keeps_the_trace),
        cmocka_unit_test(a_trace_begins),
        cmocka_unit_test(a_request_has_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
