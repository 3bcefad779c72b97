/* The form of a line, and that writing one never waits. */
#include "daemon/log.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>
#include <cmocka.h>

#define WHEN UINT64_C(1772360430123456789) /* 2026-03-01T10:20:30.123456789Z */

static void check_line(const struct log *l, const char *text, const char *expected)
{
    char out[256];
    size_t n = log_line_format(out, sizeof out, l, LOG_LEVEL_WARNING, WHEN, text);
    assert_int_equal(n, strlen(expected));
    assert_memory_equal(out, expected, n);
}

static void has_two_forms(void **state)
{
    struct log l = {.name = "proxy"};
    check_line(&l, "text", "2026-03-01T10:20:30.123Z holdfast[proxy] warning: text\n");
    l.managed = true;
    check_line(&l, "text", "<4>holdfast[proxy]: text\n");
    l.name = NULL;
    check_line(&l, "text", "<4>holdfast: text\n");
    l.managed = false;
    check_line(&l, "text", "2026-03-01T10:20:30.123Z holdfast warning: text\n");
}

static void a_quoted_line_cannot_forge_another(void **state)
{
    struct log l = {.managed = true};
    check_line(&l, "a\nb\r\x1b[31m\x7f\xc3\xa4", "<4>holdfast: a?b??[31m?\xc3\xa4\n");
}

static void is_cut_to_fit(void **state)
{
    struct log l = {.managed = true};
    char text[300], out[128];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = 0;
    size_t n = log_line_format(out, sizeof out, &l, LOG_LEVEL_INFO, WHEN, text);
    assert_true(n <= sizeof out);
    assert_int_equal(out[n - 1], '\n');
    assert_int_equal(out[n - 2], 'x');
}

static size_t drain(int fd, char *out, size_t size)
{
    size_t n = 0;
    for (ssize_t r; n < size && (r = read(fd, out + n, size - n)) > 0;)
        n += (size_t)r;
    return n;
}

static void never_waits_and_says_what_was_lost(void **state)
{
    int fds[2];
    static char out[128 * 1024];
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    assert_int_equal(fcntl(fds[0], F_SETFL, O_NONBLOCK), 0);
    struct log l = {.fd = fds[1], .least = LOG_LEVEL_INFO};
    log_debug(&l, "not asked for");
    assert_int_equal(drain(fds[0], out, sizeof out), 0);
    for (int i = 0; i < 5000; i++)
        log_info(&l, "line %d", i);
    uint32_t lost = l.dropped;
    assert_true(lost > 0);
    drain(fds[0], out, sizeof out);
    log_info(&l, "after");
    size_t n = drain(fds[0], out, sizeof out - 1);
    out[n] = 0;
    char expected[64];
    snprintf(expected, sizeof expected, "%u lines could not be written", lost);
    assert_non_null(strstr(out, expected));
    assert_non_null(strstr(out, "after"));
    assert_int_equal(l.dropped, 0);
    close(fds[0]);
    close(fds[1]);
}

static void levels_have_names(void **state)
{
    struct log l;
    struct err e;
    assert_int_equal(log_open(&l, "x", NULL, &e), 0);
    assert_int_equal(l.least, LOG_LEVEL_INFO);
    for (enum log_level i = 0; i < LOG_LEVELS; i++) {
        assert_int_equal(log_open(&l, "x", log_level_name(i), &e), 0);
        assert_int_equal(l.least, i);
    }
    assert_int_equal(log_open(&l, "x", "loud", &e), -ERR_INVAL);
    assert_non_null(strstr(e.text, "loud"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(has_two_forms),     cmocka_unit_test(a_quoted_line_cannot_forge_another),
        cmocka_unit_test(is_cut_to_fit),     cmocka_unit_test(never_waits_and_says_what_was_lost),
        cmocka_unit_test(levels_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
