/* Latency outliers: who is one, who is not, how many at most, and how they return. Pools are
 * simulated: members answer with noise, those that are out get nothing, those on trial little. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "balance/outlier.h"
#include "balance/balance_test.h"

#define SECOND (1000 * MS)

enum { MOST = 200, ANSWERS = 100 };

static const struct outlier_params usual = {.factor_permille = 3000,
                                            .answers = 20,
                                            .least = 20 * MS,
                                            .share_permille = 300,
                                            .after = 2,
                                            .hold = 30 * SECOND,
                                            .hold_max = 300 * SECOND};

struct pond {
    struct outlier_params p;
    struct outlier m[MOST];
    uint64_t typical[MOST]; /* ns */
    uint32_t n;
    uint64_t now, scratch[MOST];
    struct prng r;
    double noise; /* up to this part more or less */
};

static struct pond *pond_of(uint32_t n, uint64_t typical, uint64_t seed)
{
    struct pond *p = calloc(1, sizeof *p);
    assert_non_null(p);
    *p = (struct pond){.p = usual, .n = n, .now = 1000 * SECOND, .noise = 0.3};
    for (uint32_t i = 0; i < n; i++)
        p->typical[i] = typical;
    prng_seed(&p->r, seed);
    return p;
}

static bool window(struct pond *p)
{
    for (uint32_t i = 0; i < p->n; i++) {
        struct outlier *m = &p->m[i];
        double noise = 1 + p->noise * (2 * prng_unit(&p->r) - 1);
        m->latency = (uint64_t)((double)p->typical[i] * noise);
        m->answers = m->state == OUTLIER_OUT ? 0 : m->state == OUTLIER_TRIAL ? 5 : ANSWERS;
    }
    p->now += 10 * SECOND;
    return outlier_judge(&p->p, p->m, p->n, p->scratch, p->now);
}

static uint32_t count(const struct pond *p, enum outlier_state s)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < p->n; i++)
        n += p->m[i].state == s;
    return n;
}

static int by_size(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static void test_median(void **state)
{
    struct prng r;
    prng_seed(&r, 1);
    for (int round = 0; round < 5000; round++) {
        uint64_t v[40], sorted[40];
        uint32_t n = 1 + (uint32_t)prng_below(&r, 40), kinds = 1 + (uint32_t)prng_below(&r, 50);
        for (uint32_t i = 0; i < n; i++)
            v[i] = sorted[i] = prng_below(&r, kinds);
        qsort(sorted, n, sizeof *sorted, by_size);
        uint64_t wanted = (sorted[(n - 1) / 2] + sorted[n / 2]) / 2;
        assert_int_equal(outlier_median(v, n), wanted);
    }
}

/* Slow, fast, or all worse at once: nobody differs, nobody goes. */
static void test_a_uniform_pool_ejects_nobody(void **state)
{
    static const uint32_t sizes[] = {1, 2, 3, 4, 5, 10, 50, 100, 200};
    static const uint64_t typical[] = {100, MS, 50 * MS, 5000 * MS, 600 * SECOND};
    for (size_t s = 0; s < ARRAY_LEN(sizes); s++) {
        for (size_t t = 0; t < ARRAY_LEN(typical); t++) {
            struct pond *p = pond_of(sizes[s], typical[t], s * 10 + t);
            for (int w = 0; w < 100; w++) {
                for (uint32_t i = 0; i < p->n; i++)
                    p->typical[i] = typical[t] * (w >= 50 ? 20 : 1);
                assert_false(window(p));
            }
            assert_int_equal(count(p, OUTLIER_IN), p->n);
            free(p);
        }
    }
}

/* A pool whose members always differ much from each other is as it is. */
static void test_a_wide_pool_ejects_nobody(void **state)
{
    struct pond *p = pond_of(9, 10 * MS, 1);
    p->noise = 0.05;
    for (uint32_t i = 0; i < 9; i++)
        p->typical[i] = (10 + 40 * i) * MS; /* the median 170 ms, the slowest 330 ms */
    p->p.factor_permille = 1500;
    for (int w = 0; w < 50; w++)
        assert_false(window(p));
    free(p);
}

static void test_one_slow_member_goes(void **state)
{
    static const uint32_t sizes[] = {2, 3, 4, 5, 10, 50, 100, 200};
    for (size_t s = 0; s < ARRAY_LEN(sizes); s++) {
        for (uint64_t seed = 0; seed < 20; seed++) {
            struct pond *p = pond_of(sizes[s], 38 * MS, seed);
            uint32_t sick = (uint32_t)prng_below(&p->r, p->n);
            for (int w = 0; w < 10; w++)
                window(p);
            p->typical[sick] *= 10;
            assert_false(window(p)); /* one window may be an accident */
            assert_true(window(p));
            assert_int_equal(p->m[sick].state, OUTLIER_OUT);
            assert_int_equal(count(p, OUTLIER_IN), p->n - 1);
            assert_in_range(p->m[sick].said_latency, 380 * MS * 7 / 10, 380 * MS * 13 / 10);
            assert_in_range(p->m[sick].said_median, 38 * MS * 7 / 10, 38 * MS * 13 / 10);
            assert_int_equal(p->m[sick].said_answers, ANSWERS);
            free(p);
        }
    }
}

/* Many slow ones: the slowest go, up to the share; where most are slow, that is the pool. */
static void test_never_more_than_the_share(void **state)
{
    struct prng r;
    prng_seed(&r, 5);
    for (uint64_t seed = 0; seed < 300; seed++) {
        uint32_t n = 2 + (uint32_t)prng_below(&r, seed % 10 ? 30 : 150);
        struct pond *p = pond_of(n, 38 * MS, seed);
        p->p.share_permille = (uint32_t)prng_below(&r, 1001);
        uint32_t most = n * p->p.share_permille / 1000;
        most = p->p.share_permille && !most ? 1 : most;
        for (int w = 0; w < 100; w++) {
            if (prng_below(&r, 4) == 0)
                p->typical[prng_below(&r, n)] = (38 << prng_below(&r, 8)) * MS;
            if (prng_below(&r, 10) == 0)
                p->m[prng_below(&r, n)].absent ^= true;
            uint32_t absent = 0, out = 0, before = count(p, OUTLIER_OUT);
            window(p);
            for (uint32_t i = 0; i < n; i++) {
                absent += p->m[i].absent && p->m[i].state != OUTLIER_OUT;
                out += p->m[i].state == OUTLIER_OUT;
            }
            assert_true(out <= most);
            assert_true(out + absent <= most || out <= before);
        }
        free(p);
    }
}

static void test_the_slowest_goes_first(void **state)
{
    struct pond *p = pond_of(10, 38 * MS, 3);
    p->p.share_permille = 200;
    p->typical[1] = 400 * MS;
    p->typical[4] = 4000 * MS;
    p->typical[7] = 1500 * MS;
    window(p), window(p);
    assert_int_equal(p->m[4].state, OUTLIER_OUT);
    assert_int_equal(p->m[7].state, OUTLIER_OUT);
    assert_int_equal(count(p, OUTLIER_OUT), 2);
    free(p);
}

static void test_where_most_are_slow_that_is_the_pool(void **state)
{
    struct pond *p = pond_of(3, 38 * MS, 3);
    p->noise = 0.1;
    p->typical[0] = p->typical[1] = 100 * MS;
    for (int w = 0; w < 50; w++)
        assert_false(window(p));
    free(p);
}

static void test_small_differences_and_few_answers_say_nothing(void **state)
{
    struct pond *p = pond_of(5, MS / 2, 3);
    p->typical[2] = 10 * MS; /* twenty times as slow, and nobody minds */
    for (int w = 0; w < 20; w++)
        assert_false(window(p));
    p->typical[2] = 100 * MS;
    p->p.answers = ANSWERS + 1;
    for (int w = 0; w < 20; w++)
        assert_false(window(p));
    p->p.answers = ANSWERS;
    window(p);
    assert_true(window(p));
    free(p);
}

/* Slow for n windows, then well: it is back after its hold and one trial. */
static void test_recovery(void **state)
{
    struct pond *p = pond_of(4, 38 * MS, 9);
    p->typical[2] *= 10;
    window(p), window(p);
    assert_int_equal(p->m[2].state, OUTLIER_OUT);
    uint64_t out_at = p->now;
    p->typical[2] = 38 * MS;
    while (p->m[2].state == OUTLIER_OUT)
        window(p);
    assert_int_equal(p->m[2].state, OUTLIER_TRIAL);
    assert_int_equal(p->now, out_at + 30 * SECOND);
    assert_true(window(p));
    assert_int_equal(p->m[2].state, OUTLIER_IN);
    free(p);
}

/* Who is out may be asked all the same, where nobody else is left: that is no trial. */
static void test_answers_from_before_the_trial(void **state)
{
    struct pond *p = pond_of(4, 38 * MS, 9);
    p->typical[2] *= 10;
    window(p), window(p);
    p->now += 60 * SECOND;
    for (uint32_t i = 0; i < 4; i++)
        p->m[i].answers = ANSWERS;
    assert_true(outlier_judge(&p->p, p->m, p->n, p->scratch, p->now));
    assert_int_equal(p->m[2].state, OUTLIER_TRIAL);
    assert_true(window(p));
    assert_int_equal(p->m[2].state, OUTLIER_OUT);
    free(p);
}

/* Still slow on trial: out again at once, for twice as long, up to the longest. Long well: short
 * again. */
static void test_the_hold_doubles(void **state)
{
    struct pond *p = pond_of(4, 38 * MS, 9);
    p->typical[2] *= 10;
    window(p), window(p);
    for (uint64_t hold = 30; hold <= 600; hold *= 2) {
        uint64_t out_at = p->now;
        while (p->m[2].state == OUTLIER_OUT)
            window(p);
        assert_int_equal(p->now - out_at, MIN(hold, 300) * SECOND);
        assert_int_equal(p->m[2].state, OUTLIER_TRIAL);
        window(p);
        assert_int_equal(p->m[2].state, OUTLIER_OUT);
    }
    p->typical[2] = 38 * MS;
    for (int w = 0; w < 70; w++)
        window(p);
    assert_int_equal(p->m[2].state, OUTLIER_IN);
    p->typical[2] *= 10;
    window(p), window(p);
    assert_int_equal(p->m[2].hold_now, 30 * SECOND);
    free(p);
}

/* Between normal and slow: who is in stays in, who is on trial stays on trial. */
static void test_hysteresis(void **state)
{
    struct pond *p = pond_of(4, 40 * MS, 9);
    p->noise = 0.01;
    p->typical[2] = 110 * MS; /* the bound is 120 ms, back to normal is 80 ms */
    for (int w = 0; w < 20; w++)
        assert_false(window(p));
    p->typical[2] = 130 * MS;
    window(p), window(p);
    assert_int_equal(p->m[2].state, OUTLIER_OUT);
    p->typical[2] = 110 * MS;
    for (int w = 0; w < 20; w++)
        window(p);
    assert_int_equal(p->m[2].state, OUTLIER_TRIAL);
    p->typical[2] = 70 * MS;
    window(p);
    assert_int_equal(p->m[2].state, OUTLIER_IN);
    free(p);
}

static void test_turned_off_everybody_is_in(void **state)
{
    struct pond *p = pond_of(4, 40 * MS, 9);
    p->typical[2] *= 10;
    window(p), window(p);
    assert_int_equal(count(p, OUTLIER_OUT), 1);
    p->p.factor_permille = 0;
    assert_true(window(p));
    assert_int_equal(count(p, OUTLIER_OUT), 0);
    assert_false(window(p));
    free(p);
}

/* Numbers of any size do no harm. */
static void test_any_numbers(void **state)
{
    struct prng r;
    prng_seed(&r, 5);
    for (int round = 0; round < 2000; round++) {
        struct pond *p = pond_of(2 + (uint32_t)prng_below(&r, 8), 1, 1);
        p->p = (struct outlier_params){.factor_permille = (uint32_t)(prng_next(&r) >> 32),
                                       .answers = (uint32_t)prng_below(&r, 3),
                                       .least = prng_next(&r) >> prng_below(&r, 64),
                                       .share_permille = (uint32_t)prng_below(&r, 3000),
                                       .after = (uint32_t)prng_below(&r, 3),
                                       .hold = prng_next(&r) >> (1 + prng_below(&r, 63)),
                                       .hold_max = prng_next(&r) >> (1 + prng_below(&r, 63))};
        for (int w = 0; w < 10; w++) {
            for (uint32_t i = 0; i < p->n; i++) {
                p->m[i].latency = prng_next(&r) >> prng_below(&r, 64);
                p->m[i].answers = (uint32_t)prng_below(&r, 5);
            }
            p->now += prng_next(&r) >> (8 + prng_below(&r, 56));
            outlier_judge(&p->p, p->m, p->n, p->scratch, p->now);
            for (uint32_t i = 0; i < p->n; i++)
                assert_true(p->m[i].hold_now <= MAX(MAX(p->p.hold, 1), p->p.hold_max));
        }
        free(p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_median),
        cmocka_unit_test(test_a_uniform_pool_ejects_nobody),
        cmocka_unit_test(test_a_wide_pool_ejects_nobody),
        cmocka_unit_test(test_one_slow_member_goes),
        cmocka_unit_test(test_never_more_than_the_share),
        cmocka_unit_test(test_the_slowest_goes_first),
        cmocka_unit_test(test_where_most_are_slow_that_is_the_pool),
        cmocka_unit_test(test_small_differences_and_few_answers_say_nothing),
        cmocka_unit_test(test_recovery),
        cmocka_unit_test(test_answers_from_before_the_trial),
        cmocka_unit_test(test_the_hold_doubles),
        cmocka_unit_test(test_hysteresis),
        cmocka_unit_test(test_turned_off_everybody_is_in),
        cmocka_unit_test(test_any_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
