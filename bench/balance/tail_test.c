/* What the comparison in docs/balancing.md claims, on shorter runs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "scenarios.h"

struct tail {
    double p99, p999, slow_share, imbalance;
};

static struct tail run(const char *scenario, enum algorithm a, uint64_t length)
{
    const struct scenario *found = NULL;
    for (uint32_t k = 0; k < SCENARIOS; k++)
        if (strcmp(scenarios[k].name, scenario) == 0)
            found = &scenarios[k];
    assert_non_null(found);
    struct scenario s = *found;
    struct variant v = {.name = algorithm_name(a), .algorithm = a};
    struct samples all = {0};
    s.length = length;
    for (uint64_t seed = 1; seed <= 2; seed++)
        assert_true(simulate(&s, &v, seed, &all, NULL));
    samples_sort(&all);
    struct tail t = {
        .p99 = samples_at(&all, 0.99),
        .p999 = samples_at(&all, 0.999),
        .slow_share = (double)all.slow_picks / (double)all.picks,
        .imbalance = all.imbalance / all.runs,
    };
    mem_free(all.ns);
    return t;
}

/* By a tenth at p99, by a quarter at p99.9, where one instance is slow. */
static void test_latency_beats_least_requests_where_one_is_slow(void **state)
{
    static const char *const where[] = {"slow", "closed", "three", "many workers"};
    for (size_t k = 0; k < ARRAY_LEN(where); k++) {
        struct tail least = run(where[k], ALGORITHM_LEAST_REQUESTS, 15 * S);
        struct tail time = run(where[k], ALGORITHM_LEAST_TIME, 15 * S);
        struct tail prequal = run(where[k], ALGORITHM_PREQUAL, 15 * S);
        assert_true(time.p99 < 0.9 * least.p99 && prequal.p99 < 0.9 * least.p99);
        assert_true(time.p999 < 0.75 * least.p999 && prequal.p999 < 0.75 * least.p999);
        assert_true(time.slow_share < least.slow_share && prequal.slow_share < least.slow_share);
    }
}

static void test_and_where_weights_hide_capacity(void **state)
{
    struct tail least = run("capacity", ALGORITHM_LEAST_REQUESTS, 10 * S);
    assert_true(run("capacity", ALGORITHM_PREQUAL, 10 * S).p99 < 0.9 * least.p99);
}

/* Where there is nothing to gain, hardly anything is lost. */
static void test_and_costs_little_where_all_are_equal(void **state)
{
    static const char *const where[] = {"even", "bursts"};
    for (size_t k = 0; k < ARRAY_LEN(where); k++) {
        struct tail least = run(where[k], ALGORITHM_LEAST_REQUESTS, 10 * S);
        assert_true(run(where[k], ALGORITHM_LEAST_TIME, 10 * S).p99 < 1.05 * least.p99);
        assert_true(run(where[k], ALGORITHM_PREQUAL, 10 * S).p99 < 1.05 * least.p99);
        assert_true(run(where[k], ALGORITHM_TWO_CHOICES, 10 * S).p99 < 1.1 * least.p99);
    }
}

static void test_runs_repeat(void **state)
{
    struct tail a = run("three", ALGORITHM_PREQUAL, 3 * S),
                b = run("three", ALGORITHM_PREQUAL, 3 * S);
    assert_memory_equal(&a, &b, sizeof a);
}

/* The simulator itself: one core, exponential service would be known; here by its own mean. At half
 * load the mean use is a half whatever the algorithm, and a lone instance is the busiest. */
static void test_the_model(void **state)
{
    struct scenario s = {
        .name = "one", .instances = 1, .workers = 1, .cores = 1, .load = 0.5, .length = 4000 * S};
    struct variant v = {.name = "random", .algorithm = ALGORITHM_RANDOM};
    struct samples all = {0}, unloaded = {0};
    assert_true(simulate(&s, &v, 1, &all, &unloaded));
    double wait = 0, service = 0;
    for (size_t i = 0; i < all.n; i++)
        wait += all.ns[i];
    for (size_t i = 0; i < unloaded.n; i++)
        service += unloaded.ns[i];
    wait = wait / (double)all.n / (double)MS;
    service = service / (double)unloaded.n / (double)MS;
    assert_true(service > 4.8 && service < 5.2);
    /* Pollaczek and Khinchine: the wait is load / (1 - load) * service * (1 + cv^2) / 2 = 12.2 */
    assert_true(wait - service > 11.5 && wait - service < 12.7);
    assert_true(all.imbalance == 1);
    mem_free(all.ns);
    mem_free(unloaded.ns);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_latency_beats_least_requests_where_one_is_slow),
        cmocka_unit_test(test_and_where_weights_hide_capacity),
        cmocka_unit_test(test_and_costs_little_where_all_are_equal),
        cmocka_unit_test(test_runs_repeat),
        cmocka_unit_test(test_the_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
