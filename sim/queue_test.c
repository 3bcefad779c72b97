#include "queue.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

static void takes_the_earliest_and_keeps_the_order_of_equals(void **state)
{
    struct queue q = {0};
    struct prng r;
    prng_seed(&r, 7);
    for (uint32_t i = 0; i < 5000; i++)
        queue_put(&q, (struct event){.at = prng_below(&r, 300), .node = i});
    struct event before = {0}, e;
    uint32_t n = 0;
    for (; queue_take(&q, NEVER, &e); n++) {
        assert_true(!n || before.at < e.at || (before.at == e.at && before.node < e.node));
        before = e;
    }
    assert_int_equal(n, 5000);
    queue_free(&q);
}

static void gives_nothing_before_its_time(void **state)
{
    struct queue q = {0};
    struct event e;
    queue_put(&q, (struct event){.at = 10});
    assert_false(queue_take(&q, 9, &e));
    assert_true(queue_take(&q, 10, &e));
    assert_false(queue_take(&q, NEVER, &e));
    queue_free(&q);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_the_earliest_and_keeps_the_order_of_equals),
        cmocka_unit_test(gives_nothing_before_its_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
