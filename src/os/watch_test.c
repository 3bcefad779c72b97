/* Units of watching a directory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "os/os.h"

static char dir[64], path[128], other[128];

static int setup(void **state)
{
    (void)state;
    strcpy(dir, "/tmp/watch-test-XXXXXX");
    if (!mkdtemp(dir))
        return -1;
    snprintf(path, sizeof path, "%s/a.conf", dir);
    snprintf(other, sizeof other, "%s/b.conf", dir);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    unlink(path);
    unlink(other);
    return rmdir(dir);
}

static void what_happens_is_heard(void **state)
{
    (void)state;
    int fd = watch_open(NULL);
    assert_true(fd >= 0);
    assert_int_equal(watch_add(fd, dir, NULL), 0);
    assert_int_equal(watch_add(fd, dir, NULL), 0);
    assert_false(watch_take(fd));
    int file = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    assert_true(watch_take(fd));
    assert_int_equal(write(file, "x", 1), 1);
    assert_false(watch_take(fd)); /* not whole yet */
    close(file);
    assert_true(watch_take(fd));
    assert_int_equal(rename(path, other), 0);
    assert_true(watch_take(fd));
    unlink(other);
    assert_true(watch_take(fd));
    assert_false(watch_take(fd));
    close(fd);
}

static void what_cannot_be_watched_is_an_error(void **state)
{
    (void)state;
    struct err e = {0};
    int fd = watch_open(NULL);
    assert_int_equal(watch_add(fd, path, &e), -ERR_IO);
    assert_non_null(strstr(e.text, path));
    close(fd);
    assert_int_equal(dir_check(path, &e), -ERR_IO);
    assert_int_equal(dir_check(dir, &e), 0);
}

static void a_stamp_changes_with_the_file(void **state)
{
    (void)state;
    struct file_stamp a, b;
    struct err e = {0};
    assert_int_equal(file_stamp(path, &a, &e), -ERR_ABSENT);
    assert_int_equal(file_replace(path, STR("one"), 0600, NULL), 0);
    assert_int_equal(file_stamp(path, &a, &e), 0);
    assert_int_equal(file_stamp(path, &b, &e), 0);
    assert_memory_equal(&a, &b, sizeof a);
    assert_int_equal(file_replace(path, STR("two"), 0600, NULL), 0);
    assert_int_equal(file_stamp(path, &b, &e), 0);
    assert_memory_not_equal(&a, &b, sizeof a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_happens_is_heard, setup, teardown),
        cmocka_unit_test_setup_teardown(what_cannot_be_watched_is_an_error, setup, teardown),
        cmocka_unit_test_setup_teardown(a_stamp_changes_with_the_file, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
