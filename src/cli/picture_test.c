/* The picture of a status that uses every line there is: whole or marked failed at every
 * allocation, and rates that take a counter's new beginning for one. test/cli/test_status.py has
 * the text. */
#include "cli/picture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static const struct term coloured = {.terminal = true, .colour = true, .columns = 60};

static const char text[] =
    "{'node': 'a', 'version': '1', 'uptime_seconds': 5, 'epoch': 7, 'file': 'f', 'processes': ["
    "{'name': 'control', 'pid': 2, 'turning': false},"
    "{'name': 'proxy', 'pid': 3, 'turning': true, 'starts': 3, 'uptime_seconds': 9}],"
    "'cluster': {'cluster': 'c', 'isolated': true, 'explain': 'a\\nb', 'states': {'alive': 1, "
    "'failed': "
    "4}, 'members': [{'name': 'd', 'state': 'failed', 'reason': 'agreed', 'role': 'witness'},"
    "{'name': 'e', 'state': 'failed'}, {'name': 'f', 'state': 'failed'}, {'name': 'g', 'state': "
    "'failed'}, {'name': 'h', 'state': 'alive', 'maintenance': true, 'rtt_us': 7}]},"
    "'services': [{'name': 'web', 'verdict': 'degraded', 'balance': 'random', 'listen': ['x', 'y'],"
    "'requests': 100, 'tunnels': 1, 'no_instance': 2, 'latency_us': {'p50': 5, 'p99': 9}, "
    "'instances':"
    "[{'name': 'one', 'verdict': 'failed', 'reason': 'checks-fail', 'explanation': 'no answer'},"
    "{'name': 'two', 'verdict': 'healthy', 'proxy_verdict': 'failed', 'errors': {'5xx': 3}}]},"
    "{'name': 'empty'}]}";

static json_t *parse(const char *single_quoted)
{
    char json[2048];
    size_t n = str_copy(json, sizeof json, str_of(single_quoted));
    for (size_t i = 0; i < n; i++)
        if (json[i] == '\'')
            json[i] = '"';
    json_t *parsed = json_loads(json, 0, NULL);
    assert_non_null(parsed);
    return parsed;
}

static void draw(const struct picture *p, struct buf *out)
{
    picture_node(p, out);
    picture_services(p, out);
}

static void test_whole_or_failed_at_every_allocation(void **state)
{
    json_t *now = parse(text);
    struct picture p = {.now = now, .before = now, .seconds = 1, .live = true, .term = &coloured};
    struct buf whole = {0};
    draw(&p, &whole);
    assert_false(whole.failed);
    bool clean = false;
    for (unsigned long n = 1; !clean; n++) {
        struct buf out = {0};
        mem_fail_at(n);
        draw(&p, &out);
        clean = !mem_failed();
        mem_fail_at(0);
        if (!out.failed)
            assert_true(str_eq(buf_str(&out), buf_str(&whole)));
        assert_true(out.failed || clean);
        assert_true(n < 1000);
        buf_free(&out);
    }
    buf_free(&whole);
    json_decref(now);
}

static void shows(const char *before, const char *now, double seconds, const char *expected)
{
    static const struct term plain = {0};
    json_t *a = parse(before), *b = parse(now);
    struct picture p = {.now = b, .before = a, .seconds = seconds, .term = &plain};
    struct buf out = {0};
    picture_services(&p, &out);
    buf_add(&out, "", 1);
    assert_false(out.failed);
    assert_non_null(strstr(out.p, expected));
    buf_free(&out);
    json_decref(a);
    json_decref(b);
}

static void test_rates(void **state)
{
    const char *at_100 = "{'services': [{'name': 'w', 'requests': 100, 'requests_per_second': 7}]}";
    const char *at_300 = "{'services': [{'name': 'w', 'requests': 300, 'requests_per_second': 7}]}";
    const char *other = "{'services': [{'name': 'v', 'requests': 100}]}";
    shows(at_100, at_300, 2, "  100 requests/s");
    shows(at_300, at_100, 2, "  0 requests/s"); /* the counter began anew */
    shows(at_100, at_300, 0, "  0 requests/s");
    shows(other, at_300, 2, "  7 requests/s"); /* a new service: the node's own figure */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole_or_failed_at_every_allocation),
        cmocka_unit_test(test_rates),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
