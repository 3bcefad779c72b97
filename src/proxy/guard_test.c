/* The counts of addresses: never too few, seldom too many, and nothing is left when all have gone.
 */
#include "proxy/guard.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static uint64_t key_of_number(const struct guard *g, uint32_t n)
{
    uint8_t ip[4];
    memcpy(ip, &n, sizeof ip);
    return guard_key(g, 0, ip, sizeof ip);
}

static void each_is_counted(void **state)
{
    struct guard *g = guard_new(&(struct sip_key){{7, 0}});
    uint64_t a = key_of_number(g, 1), b = key_of_number(g, 2);
    for (uint32_t i = 1; i <= 100; i++)
        assert_int_equal(guard_enter(g, a), i);
    assert_int_equal(guard_enter(g, b), 1);
    guard_leave(g, a);
    assert_int_equal(guard_enter(g, a), 100);
    guard_free(g);
}

static void an_address_is_not_the_same_elsewhere(void **state)
{
    struct guard *g = guard_new(&(struct sip_key){{7, 0}}),
                 *other = guard_new(&(struct sip_key){{8, 0}});
    const uint8_t ip[16] = {10, 0, 0, 1}, far[16] = {10, 0, 0, 1, 0, 0, 0, 0, 1};
    assert_int_not_equal(guard_key(g, 0, ip, 4), guard_key(g, 1, ip, 4));
    assert_int_not_equal(guard_key(g, 0, ip, 4), guard_key(g, 0, ip, 16));
    assert_int_not_equal(guard_key(g, 0, ip, 4), guard_key(other, 0, ip, 4));
    assert_int_equal(guard_key(g, 0, ip, 16), guard_key(g, 0, far, 16)); /* one /64 */
    guard_free(g);
    guard_free(other);
}

/* With 10,000 addresses of three connections each, hardly any seems to have many. */
static void crowds_do_not_add_up(void **state)
{
    enum { ADDRESSES = 10000, EACH = 3 };
    struct guard *g = guard_new(&(struct sip_key){{42, 0}});
    uint32_t much = 0;
    for (uint32_t n = 0; n < ADDRESSES; n++)
        for (int i = 1; i <= EACH; i++) {
            uint32_t count = guard_enter(g, key_of_number(g, n));
            assert_true(count >= (uint32_t)i);
            much += count > (uint32_t)i + EACH;
        }
    assert_true(much < ADDRESSES * EACH / 100);
    for (uint32_t n = 0; n < ADDRESSES; n++)
        for (int i = 0; i < EACH; i++)
            guard_leave(g, key_of_number(g, n));
    for (uint32_t n = 0; n < ADDRESSES; n++) {
        assert_int_equal(guard_enter(g, key_of_number(g, n)), 1);
        guard_leave(g, key_of_number(g, n));
    }
    guard_free(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_is_counted),
        cmocka_unit_test(an_address_is_not_the_same_elsewhere),
        cmocka_unit_test(crowds_do_not_add_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
