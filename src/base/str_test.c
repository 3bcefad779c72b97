#include "base/str.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static void equality(void **state)
{
    assert_true(str_eq(STR(""), STR("")));
    assert_true(str_eq((struct str){NULL, 0}, STR("")));
    assert_true(str_eq(STR("abc"), STR("abc")));
    assert_false(str_eq(STR("abc"), STR("abd")));
    assert_false(str_eq(STR("abc"), STR("ab")));
    assert_true(str_eq((struct str){"a\0b", 3}, (struct str){"a\0b", 3}));
    assert_false(str_eq((struct str){"a\0b", 3}, (struct str){"a\0c", 3}));
    assert_int_equal(str_of(NULL).n, 0);
    assert_int_equal(str_of("abc").n, 3);
}

/* ASCII letters fold, and nothing else does: every pair of bytes. */
static void equality_without_case(void **state)
{
    for (int a = 0; a < 256; a++) {
        for (int b = 0; b < 256; b++) {
            char x = (char)a, y = (char)b;
            bool letters = (a ^ b) == 0x20 && ((a | 0x20) >= 'a' && (a | 0x20) <= 'z');
            assert_int_equal(str_eq_nocase((struct str){&x, 1}, (struct str){&y, 1}),
                             a == b || letters);
        }
    }
    assert_true(str_eq_nocase(STR("Host"), STR("hOST")));
    assert_false(str_eq_nocase(STR("Host"), STR("Hos")));
}

static void starts_and_trims(void **state)
{
    assert_true(str_starts(STR("unix:/x"), STR("unix:")));
    assert_true(str_starts(STR("x"), STR("")));
    assert_true(str_starts(STR(""), STR("")));
    assert_false(str_starts(STR("uni"), STR("unix")));
    assert_false(str_starts(STR("xunix"), STR("unix")));
    assert_true(str_eq(str_trim(STR(" \t a b\t ")), STR("a b")));
    assert_true(str_eq(str_trim(STR("a")), STR("a")));
    assert_int_equal(str_trim(STR(" \t ")).n, 0);
    assert_int_equal(str_trim(STR("")).n, 0);
    assert_true(str_eq(str_trim(STR("\na\n")), STR("\na\n"))); /* blanks only */
}

static void numbers(void **state)
{
    static const struct {
        const char *text;
        uint64_t max;
        bool good;
        uint64_t value;
    } rows[] = {
        {"0", 0, true, 0},
        {"1", 0, false, 0},
        {"9", 9, true, 9},
        {"10", 9, false, 0},
        {"007", 9, true, 7},
        {"65535", 65535, true, 65535},
        {"65536", 65535, false, 0},
        {"18446744073709551615", UINT64_MAX, true, UINT64_MAX},
        {"18446744073709551616", UINT64_MAX, false, 0},
        {"184467440737095516150", UINT64_MAX, false, 0},
        {"", 9, false, 0},
        {" 1", 9, false, 0},
        {"1 ", 9, false, 0},
        {"+1", 9, false, 0},
        {"-1", 9, false, 0},
        {"0x1", 99, false, 0},
        {"1.0", 99, false, 0},
        {"/", 99, false, 0},
        {":", 99, false, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        uint64_t v = 77;
        assert_int_equal(str_u64(str_of(rows[i].text), rows[i].max, &v), rows[i].good);
        assert_true(v == (rows[i].good ? rows[i].value : 77));
    }
}

/* Exhaustive: every number up to 300 against every bound up to 300. */
static void every_small_number(void **state)
{
    for (uint64_t max = 0; max <= 300; max++) {
        for (uint64_t n = 0; n <= 300; n++) {
            char text[3] = {(char)('0' + n / 100), (char)('0' + n / 10 % 10), (char)('0' + n % 10)};
            uint64_t v = 0;
            bool good = str_u64((struct str){text, 3}, max, &v);
            assert_int_equal(good, n <= max);
            assert_true(!good || v == n);
        }
    }
}

static void copies_are_cut_and_terminated(void **state)
{
    char to[4] = "xxx";
    assert_int_equal(str_copy(to, 0, STR("abc")), 0);
    assert_string_equal(to, "xxx");
    assert_int_equal(str_copy(to, 1, STR("abc")), 0);
    assert_string_equal(to, "");
    assert_int_equal(str_copy(to, 4, STR("abc")), 3);
    assert_string_equal(to, "abc");
    assert_int_equal(str_copy(to, 4, STR("abcdef")), 3);
    assert_string_equal(to, "abc");
    assert_int_equal(str_copy(to, 4, (struct str){NULL, 0}), 0);
    assert_string_equal(to, "");
}

/* Vectors that the authors of FNV publish for the 64-bit FNV-1a. */
static void the_hash_is_fnv1a(void **state)
{
    assert_true(str_hash(STR("")) == 0xcbf29ce484222325);
    assert_true(str_hash(STR("a")) == 0xaf63dc4c8601ec8c);
    assert_true(str_hash(STR("foobar")) == 0x85944171f73967e8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equality),           cmocka_unit_test(equality_without_case),
        cmocka_unit_test(starts_and_trims),   cmocka_unit_test(numbers),
        cmocka_unit_test(every_small_number), cmocka_unit_test(copies_are_cut_and_terminated),
        cmocka_unit_test(the_hash_is_fnv1a),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
