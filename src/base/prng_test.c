#include "base/prng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

/* splitmix64 from seed 0 gives e220a8397b1dcdaf, 6e789e6aa1b965f4, 06c45d188009454f,
 * f88bb8a8724c81ec: the state that xoshiro256** starts from. */
static void seeding_is_splitmix(void **state)
{
    struct prng r;
    prng_seed(&r, 0);
    assert_true(r.s[0] == 0xe220a8397b1dcdaf && r.s[1] == 0x6e789e6aa1b965f4);
    assert_true(r.s[2] == 0x06c45d188009454f && r.s[3] == 0xf88bb8a8724c81ec);
}

/* From the state 1, 2, 3, 4 the reference implementation of xoshiro256** begins with these. */
static void numbers_are_xoshiro(void **state)
{
    static const uint64_t want[] = {11520, 0, 1509978240, 1215971899390074240};
    struct prng r = {{1, 2, 3, 4}};
    for (size_t i = 0; i < sizeof want / sizeof *want; i++)
        assert_true(prng_next(&r) == want[i]);
}

static void one_seed_one_sequence(void **state)
{
    struct prng a, b, c;
    prng_seed(&a, 42);
    prng_seed(&b, 42);
    prng_seed(&c, 43);
    int same = 0;
    for (int i = 0; i < 1000; i++) {
        uint64_t x = prng_next(&a);
        assert_true(x == prng_next(&b));
        same += x == prng_next(&c);
    }
    assert_int_equal(same, 0);
}

/* Chi squared with 9 degrees of freedom; 27.9 is passed by one seed in a thousand. */
static void below_is_uniform(void **state)
{
    enum { N = 100000, CELLS = 10 };
    struct prng r;
    double chi = 0;
    unsigned counts[CELLS] = {0};
    prng_seed(&r, 5);
    for (int i = 0; i < N; i++)
        counts[prng_below(&r, CELLS)]++;
    for (int i = 0; i < CELLS; i++) {
        double off = counts[i] - (double)N / CELLS;
        chi += off * off / ((double)N / CELLS);
    }
    assert_true(chi < 27.9);
}

static void below_stays_below(void **state)
{
    struct prng r;
    prng_seed(&r, 6);
    const uint64_t bounds[] = {1, 2, 3, 1000, (1ull << 63) + 1, UINT64_MAX};
    for (size_t i = 0; i < sizeof bounds / sizeof *bounds; i++)
        for (int k = 0; k < 1000; k++)
            assert_true(prng_below(&r, bounds[i]) < bounds[i]);
    for (int k = 0; k < 1000; k++)
        assert_true(prng_below(&r, 1) == 0);
}

static void unit_is_in_the_unit(void **state)
{
    struct prng r;
    double sum = 0;
    prng_seed(&r, 8);
    for (int i = 0; i < 100000; i++) {
        double u = prng_unit(&r);
        assert_true(u >= 0 && u < 1);
        sum += u;
    }
    assert_true(sum > 49500 && sum < 50500);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(seeding_is_splitmix),   cmocka_unit_test(numbers_are_xoshiro),
        cmocka_unit_test(one_seed_one_sequence), cmocka_unit_test(below_is_uniform),
        cmocka_unit_test(below_stays_below),     cmocka_unit_test(unit_is_in_the_unit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
