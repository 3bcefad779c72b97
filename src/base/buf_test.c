#include "base/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "base/mem.h"

static void appends_grow(void **state)
{
    struct buf b = {0};
    for (int i = 0; i < 10000; i++) {
        char c = (char)i;
        assert_true(buf_add(&b, &c, 1));
    }
    assert_int_equal(b.n, 10000);
    for (int i = 0; i < 10000; i++)
        assert_int_equal((unsigned char)b.p[i], i & 0xff);
    assert_true(buf_add(&b, NULL, 0));
    assert_false(b.failed);
    buf_free(&b);
    assert_null(b.p);
    assert_int_equal(b.cap, 0);
}

/* All of it or nothing, and the failure is remembered. */
static void the_limit_holds(void **state)
{
    struct buf b = {.limit = 10};
    assert_true(buf_add(&b, "12345678", 8));
    assert_false(buf_add(&b, "abc", 3));
    assert_int_equal(b.n, 8);
    assert_true(b.failed);
    assert_true(buf_add(&b, "90", 2)); /* fits, but the row of appends stays failed */
    assert_true(b.failed);
    assert_memory_equal(b.p, "1234567890", 10);
    assert_false(buf_add(&b, "x", 1));
    buf_clear(&b);
    assert_false(b.failed);
    assert_true(buf_printf(&b, "%s", "0123456789")); /* its terminator does not count */
    assert_false(buf_printf(&b, "%d", 1));
    assert_int_equal(b.n, 10);
    buf_clear(&b);
    assert_false(buf_printf(&b, "%s", "0123456789a"));
    assert_int_equal(b.n, 0);
    assert_int_equal(b.limit, 10);
    buf_free(&b);
    assert_false(buf_reserve(&(struct buf){.limit = 5}, 6));
}

static void sizes_do_not_overflow(void **state)
{
    struct buf b = {0};
    assert_true(buf_add(&b, "x", 1));
    assert_false(buf_reserve(&b, SIZE_MAX));
    assert_false(buf_reserve(&b, SIZE_MAX - 1));
    assert_false(buf_reserve(&b, SIZE_MAX / 2));
    assert_int_equal(b.n, 1);
    buf_free(&b);
}

static void printing(void **state)
{
    struct buf b = {0};
    assert_true(buf_printf(&b, "%d-%s", 42, "x"));
    assert_true(buf_printf(&b, "%s", ""));
    assert_true(buf_add_str(&b, STR("yz")));
    assert_true(str_eq(buf_str(&b), STR("42-xyz")));
    assert_true(buf_printf(&b, "%1000d", 7));
    assert_int_equal(b.n, 1006);
    buf_free(&b);
}

static void dropping_the_front(void **state)
{
    struct buf b = {0};
    buf_add_str(&b, STR("abcdef"));
    buf_drop_front(&b, 0);
    buf_drop_front(&b, 2);
    assert_true(str_eq(buf_str(&b), STR("cdef")));
    buf_add_str(&b, STR("gh"));
    buf_drop_front(&b, 6);
    assert_int_equal(b.n, 0);
    buf_free(&b);
}

static void memory_may_run_out(void **state)
{
    struct buf b = {0};
    assert_true(buf_add_str(&b, STR("kept")));
    char big[1000] = "";
    mem_fail_at(1);
    assert_false(buf_add(&b, big, sizeof big));
    assert_true(b.failed);
    assert_true(str_eq(buf_str(&b), STR("kept")));
    buf_clear(&b);
    mem_fail_at(1);
    assert_false(buf_printf(&b, "%999d", 1));
    mem_fail_at(0);
    assert_int_equal(b.limit, 0);
    assert_true(buf_add(&b, big, sizeof big)); /* and afterwards all is well */
    buf_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(appends_grow),          cmocka_unit_test(the_limit_holds),
        cmocka_unit_test(sizes_do_not_overflow), cmocka_unit_test(printing),
        cmocka_unit_test(dropping_the_front),    cmocka_unit_test(memory_may_run_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
