/* Points in time as people write them. */
#include "cli/moment.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#define S   UINT64_C(1000000000)
#define NOW (UINT64_C(1795412067) * S) /* 2026-11-23T05:34:27Z */

static uint64_t parsed(const char *text)
{
    uint64_t out = 1;
    return moment_parse(str_of(text), NOW, &out) ? out : UINT64_MAX;
}

static void test_so_long_ago(void **state)
{
    assert_int_equal(parsed("45s"), NOW - 45 * S);
    assert_int_equal(parsed("10m"), NOW - 600 * S);
    assert_int_equal(parsed("2h"), NOW - 7200 * S);
    assert_int_equal(parsed("3d"), NOW - 3 * 86400 * S);
    assert_int_equal(parsed("1w"), NOW - 7 * 86400 * S);
    assert_int_equal(parsed("90000000m"), 0);
}

static void test_the_last_time_the_clock_showed_it(void **state)
{
    assert_int_equal(parsed("05:30"), NOW - 267 * S);
    assert_int_equal(parsed("05:34:27"), NOW);
    assert_int_equal(parsed("05:34:28"), NOW + S - 86400 * S); /* yesterday */
    assert_int_equal(parsed("04:00:00.250"), NOW - 5667 * S + S / 4);
}

static void test_dates(void **state)
{
    assert_int_equal(parsed("2026-11-23T05:34:27Z"), NOW);
    assert_int_equal(parsed("2026-11-23T05:34:27.125Z"), NOW + S / 8);
    assert_int_equal(parsed("2026-11-23 05:34"), NOW - 27 * S);
    assert_int_equal(parsed("2026-11-23"), NOW - 20067 * S);
}

static void test_local_is_not_utc(void **state)
{
    setenv("TZ", "EAST-2", 1); /* two hours ahead */
    tzset();
    assert_int_equal(parsed("2026-11-23T07:34:27"), NOW);
    assert_int_equal(parsed("2026-11-23T05:34:27Z"), NOW);
    assert_int_equal(parsed("07:34:27"), NOW);
    char text[MOMENT_MAX];
    moment_local(NOW, NOW, text);
    assert_string_equal(text, "07:34:27.000");
    setenv("TZ", "UTC", 1);
    tzset();
}

static void test_nonsense(void **state)
{
    static const char *const bad[] = {
        "",      "m",          "10",          "10x",     "-5m",    "25:00",       "5:00",
        "12:60", "2026-13-01", "2026-11-23T", "12:00 x", "12:00Z", "2026-11-23Zx"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_int_equal(parsed(bad[i]), UINT64_MAX);
}

static void test_written_and_read_again(void **state)
{
    char text[MOMENT_MAX];
    moment_format(NOW + S / 8, text);
    assert_string_equal(text, "2026-11-23T05:34:27.125Z");
    assert_int_equal(moment_of(str_of(text)), NOW + S / 8);
    assert_int_equal(moment_of(STR("yesterday")), 0);
    moment_local(NOW - 86400 * S, NOW, text);
    assert_string_equal(text, "2026-11-22 05:34:27.000");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_so_long_ago),
        cmocka_unit_test(test_the_last_time_the_clock_showed_it),
        cmocka_unit_test(test_dates),
        cmocka_unit_test(test_local_is_not_utc),
        cmocka_unit_test(test_nonsense),
        cmocka_unit_test(test_written_and_read_again),
    };
    setenv("TZ", "UTC", 1);
    return cmocka_run_group_tests_name("moment", tests, NULL, NULL);
}
