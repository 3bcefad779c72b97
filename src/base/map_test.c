#include "base/map.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#include "base/mem.h"
#include "base/prng.h"

enum { KEYS = 300 };

static struct str key_of(unsigned i, char to[16])
{
    return (struct str){to, (size_t)snprintf(to, 16, "key%u", i)};
}

static void agrees(const struct map *m, void *const *model)
{
    size_t n = 0, seen = 0;
    char text[16];
    for (unsigned i = 0; i < KEYS; i++) {
        assert_ptr_equal(map_get(m, key_of(i, text)), model[i]);
        n += model[i] != NULL;
    }
    assert_int_equal(m->n, n);
    struct map_slot *s;
    for (size_t i = 0; (s = map_next(m, &i));) {
        assert_non_null(s->value);
        assert_int_equal(s->key[s->key_n], 0);
        seen++;
    }
    assert_int_equal(seen, n);
}

/* Random puts and removals beside an array that does the same; clusters form and gaps close. */
static void behaves_as_an_array(void **state)
{
    static char values[1000];
    void *model[KEYS] = {NULL};
    struct map m = {0};
    struct prng r;
    char text[16];
    prng_seed(&r, 7);
    for (int step = 0; step < 60000; step++) {
        unsigned i = (unsigned)prng_below(&r, KEYS);
        /* Filling and emptying phases, so that every load is passed. */
        if (prng_below(&r, 100) < (step / 10000 % 2 ? 30u : 70u)) {
            model[i] = &values[prng_below(&r, sizeof values)];
            assert_true(map_put(&m, key_of(i, text), model[i]));
        } else {
            assert_ptr_equal(map_remove(&m, key_of(i, text)), model[i]);
            model[i] = NULL;
        }
        if (step % 500 == 0)
            agrees(&m, model);
        assert_true(m.cap == 0 || m.n <= m.cap / 4 * 3);
    }
    agrees(&m, model);
    map_free(&m);
    assert_int_equal(m.n, 0);
    assert_null(map_get(&m, STR("key1")));
}

static void keys_are_copied_bytes(void **state)
{
    struct map m = {0};
    char key[] = "abc";
    int a, b, c;
    assert_true(map_put(&m, str_of(key), &a));
    key[0] = 'x';
    assert_ptr_equal(map_get(&m, STR("abc")), &a);
    assert_null(map_get(&m, STR("xbc")));
    assert_true(map_put(&m, STR(""), &b)); /* the empty key is a key */
    assert_ptr_equal(map_get(&m, STR("")), &b);
    assert_true(map_put(&m, (struct str){"abc\0d", 5}, &c));
    assert_ptr_equal(map_get(&m, STR("abc")), &a);
    assert_ptr_equal(map_get(&m, (struct str){"abc\0d", 5}), &c);
    assert_null(map_remove(&m, STR("none")));
    assert_int_equal(m.n, 3);
    map_free(&m);
}

static void an_empty_map(void **state)
{
    struct map m = {0};
    size_t i = 0;
    assert_null(map_get(&m, STR("x")));
    assert_null(map_remove(&m, STR("x")));
    assert_null(map_next(&m, &i));
    map_free(&m);
}

static void memory_may_run_out(void **state)
{
    static int value;
    for (unsigned long n = 1; n < 40; n++) {
        struct map m = {0};
        char text[16];
        unsigned i = 0;
        mem_fail_at(n);
        while (i < 30 && map_put(&m, key_of(i, text), &value))
            i++;
        int happened = mem_failed();
        mem_fail_at(0);
        assert_true((i < 30) == (happened != 0));
        assert_int_equal(m.n, i); /* what was there stays */
        for (unsigned k = 0; k < 30; k++)
            assert_ptr_equal(map_get(&m, key_of(k, text)), k < i ? &value : NULL);
        map_free(&m);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(behaves_as_an_array),
        cmocka_unit_test(keys_are_copied_bytes),
        cmocka_unit_test(an_empty_map),
        cmocka_unit_test(memory_may_run_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
