#include "base/arena.h"

#include <setjmp.h>
#include <stdalign.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/mem.h"
#include "base/prng.h"

/* Blocks of random sizes, each filled with its number: aligned, zeroed, and nobody's but its own.
 */
static void blocks_are_apart(void **state)
{
    enum { N = 2000 };
    struct arena a = {0};
    struct prng r;
    unsigned char *blocks[N];
    size_t sizes[N];
    prng_seed(&r, 1);
    for (int i = 0; i < N; i++) {
        sizes[i] = prng_below(&r, i % 100 ? 200 : 40000);
        blocks[i] = arena_alloc(&a, sizes[i]);
        assert_non_null(blocks[i]);
        assert_int_equal((uintptr_t)blocks[i] % alignof(max_align_t), 0);
        for (size_t k = 0; k < sizes[i]; k++)
            assert_int_equal(blocks[i][k], 0);
        if (sizes[i])
            memset(blocks[i], i & 0xff, sizes[i]);
    }
    for (int i = 0; i < N; i++)
        for (size_t k = 0; k < sizes[i]; k++)
            assert_int_equal(blocks[i][k], i & 0xff);
    arena_free(&a);
    assert_int_equal(a.used, 0);
    /* Usable again; the allocator hands the same blocks out, which are not clean any more. */
    for (int i = 0; i < N; i++) {
        unsigned char *p = arena_alloc(&a, 200);
        assert_non_null(p);
        for (int k = 0; k < 200; k++)
            assert_int_equal(p[k], 0);
    }
    arena_free(&a);
}

static void the_limit_holds(void **state)
{
    struct arena a = {.limit = 1000};
    size_t got = 0;
    while (arena_alloc(&a, 32))
        got += 32;
    assert_in_range(got, 960, 1000);
    assert_in_range(a.used, got, 1000);
    assert_null(arena_alloc(&a, 32));
    assert_non_null(arena_alloc(&a, 0)); /* takes nothing */
    arena_free(&a);
    assert_null(arena_alloc(&a, 1001));
    assert_non_null(arena_alloc(&a, 500));
    arena_free(&a);
}

static void sizes_do_not_overflow(void **state)
{
    struct arena a = {0};
    assert_null(arena_alloc(&a, SIZE_MAX));
    assert_null(arena_alloc(&a, SIZE_MAX - 8));
    assert_null(arena_array(&a, SIZE_MAX / 2, 3));
    assert_null(arena_array(&a, SIZE_MAX, SIZE_MAX));
    assert_non_null(arena_array(&a, 0, 8));
    assert_non_null(arena_array(&a, 8, 0));
    assert_null(arena_cstr(&a, (struct str){"", SIZE_MAX}));
    arena_free(&a);
}

static void strings_are_terminated_copies(void **state)
{
    struct arena a = {0};
    char text[] = "hello";
    char *copy = arena_cstr(&a, (struct str){text, 4});
    struct str view = arena_str(&a, str_of(text)), empty = arena_str(&a, STR(""));
    text[0] = 'x';
    assert_string_equal(copy, "hell");
    assert_string_equal(view.p, "hello");
    assert_int_equal(view.n, 5);
    assert_non_null(empty.p);
    assert_int_equal(empty.n, 0);
    arena_free(&a);
}

static void memory_may_run_out(void **state)
{
    struct arena a = {0};
    mem_fail_at(1);
    assert_null(arena_alloc(&a, 10));
    assert_non_null(arena_alloc(&a, 10));
    mem_fail_at(1);
    struct str s = arena_str(&a, (struct str){"x", 1}); /* fits the block that is there */
    assert_non_null(s.p);
    mem_fail_at(1);
    assert_null(arena_alloc(&a, 100000));
    char big[20000] = "";
    mem_fail_at(1);
    s = arena_str(&a, (struct str){big, sizeof big});
    assert_null(s.p);
    assert_int_equal(s.n, 0);
    mem_fail_at(0);
    arena_free(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_are_apart),      cmocka_unit_test(the_limit_holds),
        cmocka_unit_test(sizes_do_not_overflow), cmocka_unit_test(strings_are_terminated_copies),
        cmocka_unit_test(memory_may_run_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
