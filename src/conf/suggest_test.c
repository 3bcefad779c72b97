#include "conf/suggest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

static const char *guess(const char *word, const char *const *known)
{
    struct suggestion s = suggest_for(str_of(word));
    while (*known)
        suggest_try(&s, *known++);
    return s.best;
}

#define GUESS(word, ...) guess(word, (const char *const[]){__VA_ARGS__, NULL})

static void what_was_meant(void **state)
{
    assert_string_equal(GUESS("blance", "balance", "backend"), "balance");
    assert_string_equal(GUESS("balancee", "balance"), "balance");
    assert_string_equal(GUESS("balanec", "balance"), "balance"); /* neighbours swapped */
    assert_string_equal(GUESS("chekc", "connect", "check"), "check");
    assert_string_equal(GUESS("first_byte", "first-byte"), "first-byte");
    assert_string_equal(GUESS("BALANCE", "balance"), "balance");
    assert_string_equal(GUESS("timeouts", "timeout"), "timeout");
    assert_string_equal(GUESS("least-request", "random", "least-requests"), "least-requests");
}

static void the_nearest_wins(void **state)
{
    assert_string_equal(GUESS("reset", "rest", "reset"), "reset");
    assert_string_equal(GUESS("hold-mx", "hold", "hold-max"), "hold-max");
}

static void far_words_are_no_guess(void **state)
{
    char longest[200];
    memset(longest, 'a', sizeof longest);
    longest[199] = 0;
    assert_null(GUESS("colour", "balance", "backend", "check"));
    assert_null(GUESS("x", "y", "on"));
    assert_null(GUESS("", "on", "balance"));
    assert_null(GUESS("on", ""));
    assert_null(GUESS(longest, "balance"));
    assert_null(GUESS("balance", longest));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_meant),
        cmocka_unit_test(the_nearest_wins),
        cmocka_unit_test(far_words_are_no_guess),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
