/* Units of the quantile: how near it comes to the sorted truth, and how fast it follows. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "balance/quantile.h"
#include "base/base.h"

/* Exponentially distributed around `mean` ns. */
static uint64_t draw(struct prng *r, double mean)
{
    return (uint64_t)(-log(1 - prng_unit(r)) * mean);
}

/* The share of values below the estimate, while it runs. */
static double share_below(uint32_t permille, double mean, uint64_t seed)
{
    struct prng r;
    struct quantile q = {0};
    unsigned below = 0, n = 20000;
    prng_seed(&r, seed);
    for (int i = 0; i < 1000; i++)
        quantile_add(&q, permille, draw(&r, mean));
    for (unsigned i = 0; i < n; i++) {
        uint64_t value = draw(&r, mean);
        below += value <= quantile_get(&q);
        quantile_add(&q, permille, value);
    }
    return below / (double)n;
}

static void it_divides_the_stream_where_asked(void **state)
{
    (void)state;
    static const uint32_t asked[] = {500, 900, 950, 990};
    static const double means[] = {1e3, 1e6, 1e9};
    for (size_t i = 0; i < ARRAY_LEN(asked); i++)
        for (size_t k = 0; k < ARRAY_LEN(means); k++) {
            double below = share_below(asked[i], means[k], 7 + i);
            if (fabs(below - asked[i] / 1000.0) > 0.01)
                fail_msg("%u permille of mean %g: %g below", asked[i], means[k], below);
        }
}

static void it_follows_a_change(void **state)
{
    (void)state;
    struct prng r;
    struct quantile q = {0};
    prng_seed(&r, 1);
    for (int i = 0; i < 2000; i++)
        quantile_add(&q, 950, draw(&r, 1e6));
    uint64_t before = quantile_get(&q);
    int n = 0;
    while (quantile_get(&q) < 5 * before && n < 10000) {
        quantile_add(&q, 950, draw(&r, 10e6));
        n++;
    }
    assert_in_range(n, 1, 400);
}

static void few_values_say_nothing(void **state)
{
    (void)state;
    struct quantile q = {0};
    for (int i = 0; i < QUANTILE_LEAST; i++) {
        assert_int_equal(quantile_get(&q), 0);
        quantile_add(&q, 950, 0);
    }
    assert_true(quantile_get(&q) >= 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_divides_the_stream_where_asked),
        cmocka_unit_test(it_follows_a_change),
        cmocka_unit_test(few_values_say_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
