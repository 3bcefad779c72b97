#include "conf/scalar.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#define S 1000000000ull

struct row {
    const char *text;
    int result;
    uint64_t value;
};

static void check_rows(enum scalar_result (*read)(struct str, uint64_t *), const struct row *rows,
                       size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint64_t value = 77;
        int r = (int)read(str_of(rows[i].text), &value);
        if (r != rows[i].result || value != (r == SCALAR_OK ? rows[i].value : 77))
            fail_msg("'%s' gave %d, %llu", rows[i].text, r, (unsigned long long)value);
    }
}

static void durations(void **state)
{
    static const struct row rows[] = {
        {"0", SCALAR_OK, 0},
        {"0s", SCALAR_OK, 0},
        {"7us", SCALAR_OK, 7000},
        {"500ms", SCALAR_OK, S / 2},
        {"2s", SCALAR_OK, 2 * S},
        {"90m", SCALAR_OK, 5400 * S},
        {"1h", SCALAR_OK, 3600 * S},
        {"30d", SCALAR_OK, 30 * 86400 * S},
        {"2S", SCALAR_OK, 2 * S},
        {"18446744073s", SCALAR_OK, 18446744073 * S},
        {"18446744074s", SCALAR_HUGE, 0},
        {"99999999999999999999d", SCALAR_HUGE, 0},
        {"10", SCALAR_UNIT, 0},
        {"10x", SCALAR_UNIT, 0},
        {"10 s", SCALAR_UNIT, 0},
        {"", SCALAR_SYNTAX, 0},
        {"s", SCALAR_SYNTAX, 0},
        {"-1s", SCALAR_SYNTAX, 0},
        {"1.5s", SCALAR_SYNTAX, 0},
        {"+1s", SCALAR_SYNTAX, 0},
    };
    check_rows(scalar_duration, rows, ARRAY_LEN(rows));
}

static void sizes(void **state)
{
    static const struct row rows[] = {
        {"0", SCALAR_OK, 0},
        {"100", SCALAR_OK, 100},
        {"16k", SCALAR_OK, 16384},
        {"2M", SCALAR_OK, 2 << 20},
        {"3g", SCALAR_OK, 3ull << 30},
        {"1t", SCALAR_OK, 1ull << 40},
        {"16777215t", SCALAR_OK, 16777215ull << 40},
        {"16777216t", SCALAR_HUGE, 0},
        {"16kb", SCALAR_UNIT, 0},
        {"k", SCALAR_SYNTAX, 0},
        {"1.5k", SCALAR_SYNTAX, 0},
        {"", SCALAR_SYNTAX, 0},
    };
    check_rows(scalar_size, rows, ARRAY_LEN(rows));
}

static void shares(void **state)
{
    static const struct row rows[] = {
        {"0%", SCALAR_OK, 0},         {"20%", SCALAR_OK, 200},     {"12.5%", SCALAR_OK, 125},
        {"100%", SCALAR_OK, 1000},    {"101%", SCALAR_OK, 1010},   {"20", SCALAR_UNIT, 0},
        {"%", SCALAR_SYNTAX, 0},      {"a%", SCALAR_SYNTAX, 0},    {"1.%", SCALAR_SYNTAX, 0},
        {".5%", SCALAR_SYNTAX, 0},    {"1.25%", SCALAR_SYNTAX, 0}, {"", SCALAR_SYNTAX, 0},
        {"1000001%", SCALAR_HUGE, 0}, {"x", SCALAR_SYNTAX, 0},
    };
    check_rows(scalar_share, rows, ARRAY_LEN(rows));
}

static void counts(void **state)
{
    static const struct row rows[] = {
        {"0", SCALAR_OK, 0},
        {"18446744073709551615", SCALAR_OK, UINT64_MAX},
        {"18446744073709551616", SCALAR_HUGE, 0},
        {"", SCALAR_SYNTAX, 0},
        {"1k", SCALAR_SYNTAX, 0},
    };
    check_rows(scalar_count, rows, ARRAY_LEN(rows));
}

/* What is written reads back as the same value. */
static void texts_read_back(void **state)
{
    struct prng r;
    prng_seed(&r, 3);
    for (int i = 0; i < 20000; i++) {
        char text[SCALAR_TEXT_MAX];
        uint64_t v = prng_next(&r) >> prng_below(&r, 64), back;
        uint64_t us = v / 1000 * 1000;
        assert_int_equal(scalar_duration(str_of(scalar_duration_text(us, text)), &back), SCALAR_OK);
        assert_int_equal(back, us);
        assert_int_equal(scalar_size(str_of(scalar_size_text(v, text)), &back), SCALAR_OK);
        assert_int_equal(back, v);
        v %= 1001;
        assert_int_equal(scalar_share(str_of(scalar_share_text(v, text)), &back), SCALAR_OK);
        assert_int_equal(back, v);
    }
    char text[SCALAR_TEXT_MAX];
    assert_string_equal(scalar_duration_text(90 * S, text), "90s");
    assert_string_equal(scalar_duration_text(60 * S, text), "1m");
    assert_string_equal(scalar_duration_text(1500000, text), "1500us");
    assert_string_equal(scalar_duration_text(0, text), "0");
    assert_string_equal(scalar_size_text(65536, text), "64k");
    assert_string_equal(scalar_share_text(125, text), "12.5%");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(durations), cmocka_unit_test(sizes),           cmocka_unit_test(shares),
        cmocka_unit_test(counts),    cmocka_unit_test(texts_read_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
