#include "mesh/strangers.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static struct addr from(uint8_t last, uint16_t port)
{
    return (struct addr){.kind = ADDR_IP4, .port = port, .ip = {10, 0, 0, last}};
}

static void once_for_each_source_and_reason(void **state)
{
    (void)state;
    struct strangers s = {0};
    struct addr a = from(1, 1000), b = from(1, 2000), c = from(2, 1000);
    assert_true(strangers_tell(&s, &a, 3, 5));
    assert_false(strangers_tell(&s, &a, 3, 6));
    assert_false(strangers_tell(&s, &b, 3, 6)); /* another port is nobody else */
    assert_true(strangers_tell(&s, &a, 4, 6));
    assert_true(strangers_tell(&s, &c, 3, 6));
}

static void again_when_it_is_long_ago(void **state)
{
    (void)state;
    struct strangers s = {0};
    struct addr a = from(1, 1);
    assert_true(strangers_tell(&s, &a, 1, 7));
    assert_false(strangers_tell(&s, &a, 1, 6 + STRANGERS_AGAIN_NS));
    assert_true(strangers_tell(&s, &a, 1, 7 + STRANGERS_AGAIN_NS));
    assert_false(strangers_tell(&s, &a, 1, 8 + STRANGERS_AGAIN_NS));
}

static void a_flood_of_sources_is_not_a_flood_of_lines(void **state)
{
    (void)state;
    struct strangers s = {0};
    uint32_t told = 0;
    for (uint32_t i = 0; i < 200; i++) {
        struct addr a = from((uint8_t)i, 1);
        told += strangers_tell(&s, &a, 1, 1);
    }
    assert_int_equal(told, STRANGERS_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(once_for_each_source_and_reason),
        cmocka_unit_test(again_when_it_is_long_ago),
        cmocka_unit_test(a_flood_of_sources_is_not_a_flood_of_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
