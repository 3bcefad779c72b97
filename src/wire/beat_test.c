/* Lines of jobs: what is understood, and that all else is refused for the right reason. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "wire/beat.h"

#define TOKEN "0123456789abcdef"

static void test_what_is_understood(void **state)
{
    static const struct {
        const char *line, *name, *token, *text;
        bool failed;
    } cases[] = {
        {"backup", "backup", "", "", false},
        {"backup\n", "backup", "", "", false},
        {"  backup \t\r\n", "backup", "", "", false},
        {"backup ok\n", "backup", "", "", false},
        {"backup failed\n", "backup", "", "", true},
        {"backup failed disk  full, 0 left \n", "backup", "", "disk  full, 0 left", true},
        {"backup failed ok", "backup", "", "ok", true},
        {"ok ok", "ok", "", "", false},
        {"failed failed failed", "failed", "", "failed", true},
        {"a.b_c-9 " TOKEN "\n", "a.b_c-9", TOKEN, "", false},
        {"a\t" TOKEN "  ok", "a", TOKEN, "", false},
        {"a " TOKEN " failed \xc3\xbc\tb", "a", TOKEN, "\xc3\xbc\tb", true},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct beat_line l;
        assert_int_equal(beat_read(str_of(cases[i].line), &l), BEAT_LINE_OK);
        assert_true(str_eq(l.name, str_of(cases[i].name)));
        assert_true(str_eq(l.token, str_of(cases[i].token)));
        assert_true(str_eq(l.text, str_of(cases[i].text)));
        assert_int_equal(l.failed, cases[i].failed);
    }
}

static void test_what_is_refused(void **state)
{
    static const struct {
        const char *line;
        enum beat_result result;
    } cases[] = {
        {"", BEAT_LINE_NAME},
        {"\n", BEAT_LINE_NAME},
        {"  \r\n", BEAT_LINE_NAME},
        {"a/b", BEAT_LINE_NAME},
        {"a\rb", BEAT_LINE_NAME},
        {"a\n\n", BEAT_LINE_NAME},
        {"\xc3\xbc", BEAT_LINE_NAME},
        {"0123456789012345678901234567890123456789012345678901234567890123", BEAT_LINE_NAME},
        {"a OK", BEAT_LINE_TOKEN},
        {"a okay", BEAT_LINE_TOKEN},
        {"a 0123456789abcde", BEAT_LINE_TOKEN},
        {"a 0123456789abcde\x01", BEAT_LINE_TOKEN},
        {"a 0123456789abcde\x80", BEAT_LINE_TOKEN},
        {"a " TOKEN " well", BEAT_LINE_WORD},
        {"a ok well", BEAT_LINE_WORD},
        {"a " TOKEN " ok well", BEAT_LINE_WORD},
        {"a failed \x1b[2J", BEAT_LINE_TEXT},
        {"a failed two\nlines\n", BEAT_LINE_TEXT},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct beat_line l;
        assert_int_equal(beat_read(str_of(cases[i].line), &l), cases[i].result);
    }
    struct beat_line l;
    assert_int_equal(beat_read(STR("a\0b"), &l), BEAT_LINE_NAME);
    assert_int_equal(beat_read((struct str){NULL, 0}, &l), BEAT_LINE_NAME);
}

static void test_bounds(void **state)
{
    char line[BEAT_LINE_MAX + 1];
    struct beat_line l;
    memset(line, 'x', sizeof line);
    memcpy(line, "a failed ", 9);
    assert_int_equal(beat_read((struct str){line, BEAT_LINE_MAX}, &l), BEAT_LINE_OK);
    assert_int_equal(l.text.n, BEAT_LINE_MAX - 9);
    assert_int_equal(beat_read((struct str){line, sizeof line}, &l), BEAT_LINE_LONG);
    memcpy(line, "a xxxxxxx", 9);
    assert_int_equal(beat_read((struct str){line, 2 + BEAT_TOKEN_MAX}, &l), BEAT_LINE_OK);
    assert_int_equal(beat_read((struct str){line, 3 + BEAT_TOKEN_MAX}, &l), BEAT_LINE_TOKEN);
}

static void test_every_result_says_something(void **state)
{
    for (unsigned i = 0; i < BEAT_LINE_RESULTS; i++)
        assert_true(strlen(beat_result_text((enum beat_result)i)) >= 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_understood),
        cmocka_unit_test(test_what_is_refused),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_every_result_says_something),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
