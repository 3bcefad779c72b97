#include "base/mem.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

/* Under AddressSanitizer an impossible size shall give NULL too, not end the program. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "allocator_may_return_null=1";
}

static void the_nth_fails_once(void **state)
{
    for (unsigned long n = 1; n <= 9; n++) {
        mem_fail_at(n);
        for (unsigned long i = 1; i <= 12; i++) {
            void *p = i % 3 == 0 ? mem_alloc(8) : i % 3 == 1 ? mem_zero(2, 4) : mem_resize(NULL, 8);
            assert_int_equal(p == NULL, i == n);
            assert_int_equal(mem_failed(), i >= n);
            mem_free(p);
        }
    }
    mem_fail_at(0);
    assert_int_equal(mem_failed(), 0);
    void *p = mem_alloc(1);
    assert_non_null(p);
    mem_free(p);
}

static void a_failed_resize_keeps_the_block(void **state)
{
    char *p = mem_alloc(4);
    memcpy(p, "abc", 4);
    mem_fail_at(1);
    assert_null(mem_resize(p, 100));
    assert_string_equal(p, "abc");
    p = mem_resize(p, 100);
    assert_string_equal(p, "abc");
    mem_free(p);
    mem_fail_at(0);
}

static void nothing_is_something(void **state)
{
    void *a = mem_alloc(0), *b = mem_zero(0, 0), *c = mem_resize(NULL, 0);
    assert_true(a && b && c);
    mem_free(a);
    mem_free(b);
    mem_free(c);
    mem_free(NULL);
    unsigned char *z = mem_zero(100, 3);
    for (int i = 0; i < 300; i++)
        assert_int_equal(z[i], 0);
    mem_free(z);
    volatile size_t huge = SIZE_MAX / 2;
    assert_null(mem_zero(huge, 3));
}

static void *allocate(void *arg)
{
    void *p = mem_alloc(1);
    mem_free(p);
    return p ? NULL : arg;
}

/* Arming one thread leaves the others alone. */
static void per_thread(void **state)
{
    pthread_t t;
    void *failed = state;
    mem_fail_at(1);
    assert_int_equal(pthread_create(&t, NULL, allocate, state), 0);
    assert_int_equal(pthread_join(t, &failed), 0);
    assert_null(failed);
    assert_int_equal(mem_failed(), 0);
    assert_null(mem_alloc(1));
    mem_fail_at(0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_nth_fails_once),
        cmocka_unit_test(a_failed_resize_keeps_the_block),
        cmocka_unit_test(nothing_is_something),
        cmocka_unit_test(per_thread),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
