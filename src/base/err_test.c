#include "base/err.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

static void a_sentence_and_a_code(void **state)
{
    struct err e = {0};
    assert_int_equal(err_set(&e, ERR_LIMIT, "%d of %s", 3, "x"), -ERR_LIMIT);
    assert_int_equal(e.code, -ERR_LIMIT);
    assert_string_equal(e.text, "3 of x");
    assert_int_equal(err_wrap(&e, "reading %s", "y"), -ERR_LIMIT);
    assert_string_equal(e.text, "reading y: 3 of x");
    assert_int_equal(err_wrap(&e, "z"), -ERR_LIMIT);
    assert_string_equal(e.text, "z: reading y: 3 of x");
}

static void no_error_is_wanted(void **state)
{
    assert_int_equal(err_set(NULL, ERR_BUSY, "x"), -ERR_BUSY);
    errno = EACCES;
    assert_int_equal(err_errno(NULL, "x"), -ERR_DENIED);
    assert_true(err_wrap(NULL, "x") < 0);
}

static void system_errors(void **state)
{
    static const struct {
        int number, code;
    } rows[] = {{ENOMEM, -ERR_NOMEM},
                {EACCES, -ERR_DENIED},
                {EPERM, -ERR_DENIED},
                {EIO, -ERR_IO},
                {ENOENT, -ERR_IO}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct err e = {0};
        errno = rows[i].number;
        assert_int_equal(err_errno(&e, "open %s", "/x"), rows[i].code);
        assert_int_equal(errno, rows[i].number); /* kept for the caller */
        assert_int_equal(e.code, rows[i].code);
        assert_memory_equal(e.text, "open /x: ", 9);
        assert_string_equal(e.text + 9, strerror(rows[i].number));
    }
}

static void long_texts_are_cut(void **state)
{
    char big[1000];
    struct err e;
    memset(big, 'x', sizeof big - 1);
    big[sizeof big - 1] = 0;
    err_set(&e, ERR_IO, "%s", big);
    assert_int_equal(strlen(e.text), sizeof e.text - 1);
    err_wrap(&e, "context");
    assert_int_equal(strlen(e.text), sizeof e.text - 1);
    assert_memory_equal(e.text, "context: xxx", 12);
    err_wrap(&e, "%s", big);
    assert_int_equal(strlen(e.text), sizeof e.text - 1);
    errno = EIO;
    err_errno(&e, "%s", big);
    assert_int_equal(strlen(e.text), sizeof e.text - 1);
}

static void every_code_has_a_name(void **state)
{
    for (int i = 0; i < ERR_CODES; i++) {
        assert_string_not_equal(err_name(i), "unknown");
        assert_string_equal(err_name(i), err_name(-i));
        for (int k = 0; k < i; k++)
            assert_string_not_equal(err_name(i), err_name(k));
    }
    assert_string_equal(err_name(0), "ok");
    assert_string_equal(err_name(-ERR_LIMIT), "limit");
    assert_string_equal(err_name(ERR_CODES), "unknown");
    assert_string_equal(err_name(-1000), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sentence_and_a_code), cmocka_unit_test(no_error_is_wanted),
        cmocka_unit_test(system_errors),         cmocka_unit_test(long_texts_are_cut),
        cmocka_unit_test(every_code_has_a_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
