/* Frames: exactly as many lines as the terminal has, none too wide, scrolled within bounds. */
#include "cli/top.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static void equal(struct buf *out, const char *expected)
{
    assert_false(out->failed);
    buf_add(out, "", 1);
    assert_string_equal(out->p, expected);
    buf_free(out);
}

static void test_frame(void **state)
{
    struct term term = {.terminal = true, .columns = 5, .rows = 4};
    struct buf out = {0};
    size_t scroll = 0;
    top_frame(&term, STR("one\n\033[31mtwotwo\033[0m\nthree\n"), &scroll, STR("head"), STR("foot"),
              &out);
    equal(&out, "\033[Hhead\033[K\r\none\033[K\r\n\033[31mtwotw\033[0m\033[K\r\nfoot\033[K");
}

static void test_a_short_body_is_filled_up(void **state)
{
    struct term term = {.terminal = true, .columns = 9, .rows = 5};
    struct buf out = {0};
    size_t scroll = 7;
    top_frame(&term, STR("é"), &scroll, STR("h"), STR("f"), &out);
    assert_int_equal(scroll, 0);
    equal(&out, "\033[Hh\033[K\r\né\033[K\r\n\033[K\r\n\033[K\r\nf\033[K");
}

static void test_scrolling_ends_at_the_last_line(void **state)
{
    struct term term = {.terminal = true, .columns = 9, .rows = 4};
    struct buf out = {0};
    size_t scroll = 99;
    top_frame(&term, STR("1\n2\n3\n4\n"), &scroll, STR("h"), STR("f"), &out);
    assert_int_equal(scroll, 2);
    equal(&out, "\033[Hh\033[K\r\n3\033[K\r\n4\033[K\r\nf\033[K");
}

/* Every size: the line breaks are one less than the rows, whatever the body is. */
static void test_every_size(void **state)
{
    for (unsigned rows = 3; rows < 30; rows++) {
        for (unsigned columns = 1; columns < 30; columns++) {
            struct term term = {.terminal = true, .columns = columns, .rows = rows};
            struct buf out = {0};
            size_t scroll = rows, breaks = 0;
            top_frame(&term, STR("aaaaaaaaaa\n\n\033[1mbb\033[0m\n"), &scroll, STR("h"), STR("f"),
                      &out);
            for (size_t i = 0; i < out.n; i++)
                breaks += out.p[i] == '\n';
            assert_int_equal(breaks, rows - 1);
            buf_free(&out);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_frame),
        cmocka_unit_test(test_a_short_body_is_filled_up),
        cmocka_unit_test(test_scrolling_ends_at_the_last_line),
        cmocka_unit_test(test_every_size),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
