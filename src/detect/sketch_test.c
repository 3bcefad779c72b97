/* sketch: the error bound over many distributions, merging, fading, the ends. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/base.h"
#include "base/prng.h"
#include "detect/sketch.h"

#define ALPHA 0.0865 /* (2^(1/4) - 1) / (2^(1/4) + 1) = 0.08642 */

enum { SAMPLES = 5000 };

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double normal(struct prng *r)
{
    return sqrt(-2 * log(1 - prng_unit(r))) * cos(2 * M_PI * prng_unit(r));
}

static double draw(struct prng *r, int shape)
{
    switch (shape) {
    case 0: return 0.005 * exp(normal(r));
    case 1: return 0.050 * exp(0.1 * normal(r));
    case 2: return 0.0001 + 10 * prng_unit(r);
    case 3: return 0.001 / pow(1 - prng_unit(r), 1.5); /* Pareto: a heavy tail */
    default: return prng_unit(r) < 0.5 ? 0.002 : 0.9;
    }
}

/* In one bucket the value may be anywhere: two alphas from its end to its other end. */
static void keeps_its_error_bound(void **state)
{
    (void)state;
    static double v[SAMPLES];
    static const double shares[] = {0.01, 0.25, 0.5, 0.9, 0.99};
    for (int shape = 0; shape < 5; shape++) {
        struct prng r;
        struct sketch s = {0};
        prng_seed(&r, 7 + (uint64_t)shape);
        for (int i = 0; i < SAMPLES; i++) {
            v[i] = draw(&r, shape);
            sketch_put(&s, sketch_bucket(v[i]), 1);
        }
        qsort(v, SAMPLES, sizeof *v, by_size);
        for (size_t k = 0; k < ARRAY_LEN(shares); k++) {
            double real = v[(size_t)ceil(shares[k] * SAMPLES) - 1];
            double said = sketch_quantile(&s, shares[k]);
            if (shape < 4) /* between two values that are far apart any is right */
                assert_true(fabs(said - real) <= 2 * ALPHA * real + 1e-12);
            unsigned in = sketch_bucket(real);
            double middle = sketch_bound(in) * 2 / (1 + exp2(0.25));
            assert_true(fabs(middle - real) <= ALPHA * real);
        }
    }
}

static void bounds_and_buckets_agree(void **state)
{
    (void)state;
    for (unsigned i = 0; i < SKETCH_BUCKETS - 1; i++) {
        assert_int_equal(sketch_bucket(sketch_bound(i)), i);
        assert_int_equal(sketch_bucket(sketch_bound(i) * 1.01), i + 1);
    }
    assert_int_equal(sketch_bucket(0), 0);
    assert_int_equal(sketch_bucket(-1), 0);
    assert_int_equal(sketch_bucket(1e30), SKETCH_BUCKETS - 1);
    assert_int_equal(sketch_bucket((double)NAN), 0);
}

static void adds_up_in_any_order(void **state)
{
    (void)state;
    struct sketch a = {0}, b = {0}, all = {0}, ab = {0}, ba = {0};
    struct prng r;
    prng_seed(&r, 3);
    for (int i = 0; i < 1000; i++) {
        unsigned at = sketch_bucket(draw(&r, 0));
        sketch_put(i % 3 ? &a : &b, at, 1);
        sketch_put(&all, at, 1);
    }
    sketch_merge(&ab, &a, 1);
    sketch_merge(&ab, &b, 1);
    sketch_merge(&ba, &b, 1);
    sketch_merge(&ba, &a, 1);
    assert_memory_equal(&ab, &all, sizeof all);
    assert_memory_equal(&ba, &all, sizeof all);
    assert_true(sketch_above(&all, 0) <= 1000);
}

static void fades_and_forgets(void **state)
{
    (void)state;
    struct sketch s = {0};
    assert_true(sketch_quantile(&s, 0.5) <= 0);
    sketch_put(&s, sketch_bucket(0.010), 100);
    sketch_fade(&s, 0.01);
    sketch_put(&s, sketch_bucket(1.0), 3);
    assert_true(sketch_quantile(&s, 0.5) > 0.8);
    assert_true(fabs(sketch_above(&s, sketch_bucket(0.1)) - 3) < 1e-6);
    for (int i = 0; i < 200; i++)
        sketch_fade(&s, 0.5);
    assert_true((double)s.total <= 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_its_error_bound),
        cmocka_unit_test(bounds_and_buckets_agree),
        cmocka_unit_test(adds_up_in_any_order),
        cmocka_unit_test(fades_and_forgets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
