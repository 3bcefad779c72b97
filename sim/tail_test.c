#include "tail.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

/* Draws from a generalised Pareto distribution of this scale (ms) and shape, above 50 ms. */
static struct tail *drawn(double scale, double shape, uint32_t n)
{
    struct tail *t = sim_zero(1, sizeof *t);
    struct prng r;
    prng_seed(&r, 3);
    for (uint32_t i = 0; i < n; i++) {
        double u = 1 - prng_unit(&r);
        double x = fabs(shape) < 1e-9 ? -scale * log(u) : scale * (pow(u, -shape) - 1) / shape;
        tail_add(t, (uint64_t)((50 + x) * 1e6));
    }
    return t;
}

static void finds_the_distribution_that_it_was_drawn_from(void **state)
{
    static const double shapes[] = {-0.2, 0, 0.2}, hundred_thousandth[] = {9, 23, 90};
    for (uint32_t i = 0; i < ARRAY_LEN(shapes); i++) {
        struct tail *t = drawn(2, shapes[i], 4000000);
        struct tail_fit f;
        assert_true(tail_fit(t, &f));
        assert_true(fabs(f.shape - shapes[i]) < 0.1);
        double fitted = tail_beyond(t, &f, (50 + hundred_thousandth[i]) * 1e6, false);
        assert_true(fitted > 0.5e-5 && fitted < 2e-5);
        mem_free(t);
    }
}

static void counts_and_merges(void **state)
{
    struct tail *a = drawn(2, 0, 1000), *b = drawn(2, 0, 1000);
    tail_add(b, 5 * SEC);
    tail_merge(a, b);
    assert_int_equal(a->n, 2001);
    assert_true(a->worst == 5 * SEC);
    double p50 = tail_quantile(a, 0.5) / 1e6;
    assert_true(p50 > 51 && p50 < 52);
    mem_free(a);
    mem_free(b);
}

static void says_when_there_is_too_little(void **state)
{
    struct tail *t = drawn(2, 0, 100);
    struct tail_fit f;
    assert_false(tail_fit(t, &f));
    mem_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_the_distribution_that_it_was_drawn_from),
        cmocka_unit_test(counts_and_merges),
        cmocka_unit_test(says_when_there_is_too_little),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
