/* Sums, rates and quantiles. */
#include "admin/fixture.h"

static void sums_run_over_all_workers(void **state)
{
    struct fixture f;
    struct service_totals s;
    struct instance_totals a, b;
    fixture_open(&f, fixture_new_view("web"));
    totals_service(&f.cells, 2, 0, &s);
    assert_int_equal(s.requests, 201);
    assert_int_equal(s.status[2], 181);
    assert_int_equal(s.latency[24], 100);
    totals_instance(&f.cells, 2, 0, &a);
    totals_instance(&f.cells, 2, 1, &b);
    assert_int_equal(a.requests, 121);
    assert_int_equal(a.inflight, 2);
    assert_int_equal(a.proxy_verdict, VERDICT_HEALTHY);
    assert_int_equal(b.proxy_verdict, VERDICT_DEGRADED);
    /* more workers than rows, slots outside, nonsense for a verdict */
    totals_service(&f.cells, 64, 0, &s);
    assert_int_equal(s.requests, 201);
    totals_service(&f.cells, 2, 4, &s);
    assert_int_equal(s.requests, 0);
    totals_instance(&f.cells, 2, 8, &a);
    assert_int_equal(a.requests, 0);
    cell_set(&cells_instance(&f.cells, 0, 1)->verdict, 99);
    totals_instance(&f.cells, 2, 1, &b);
    assert_int_equal(b.proxy_verdict, VERDICT_SUSPECT);
    fixture_close(&f);
}

static double quantile(const uint64_t counts[LATENCY_BUCKETS], double q)
{
    double us = -1;
    assert_true(latency_quantile(counts, q, &us));
    return us;
}

static void quantiles_lie_in_their_bucket(void **state)
{
    uint64_t counts[LATENCY_BUCKETS] = {0};
    double us;
    assert_false(latency_quantile(counts, 0.5, &us));
    counts[64] = 100; /* (2^(-1/4), 1] s */
    assert_float_equal(quantile(counts, 0.5), 1e6 * (0.8408964153 + 1) / 2, 0.01);
    assert_float_equal(quantile(counts, 1), 1e6, 0.01);
    counts[66] = 100; /* (2^(1/4), 2^(1/2)] s */
    assert_float_equal(quantile(counts, 0.5), 1e6, 0.01);
    assert_float_equal(quantile(counts, 0.75), 1e6 * (1.1892071150 + 1.4142135624) / 2, 0.01);
    counts[LATENCY_BUCKETS - 1] = 1000; /* longer than anything that is told apart */
    assert_float_equal(quantile(counts, 0.99), 1024e6, 0.01);
    /* never falls with q, whatever the counts */
    struct prng r;
    prng_seed(&r, 7);
    for (int round = 0; round < 1000; round++) {
        for (size_t i = 0; i < LATENCY_BUCKETS; i++)
            counts[i] = prng_below(&r, 3) ? 0 : prng_below(&r, 1000);
        double last = 0;
        for (double q = 0; q <= 1 && latency_quantile(counts, q, &us); q += 0.01) {
            assert_true(us >= last);
            last = us;
        }
    }
}

static void rates_look_back_one_to_two_seconds(void **state)
{
    struct fixture f;
    struct history h;
    struct service_totals t;
    struct recent r;
    fixture_open(&f, fixture_new_view("web"));
    uint64_t now = 1000 * NS_PER_S;
    assert_int_equal(history_init(&h, &f.cells, now, NULL), 0);
    totals_service(&f.cells, 2, 0, &t);
    history_service(&h, 0, &t, now + NS_PER_S / 2, &r);
    assert_float_equal(r.requests_per_second, 0, 0.001); /* not sampled yet: not 201 a second */
    cell *requests = &cells_service(&f.cells, 0, 0)->requests;
    for (int i = 1; i <= 12; i++) {
        now += NS_PER_S;
        history_sample(&h, f.view, &f.cells, now);
        cell_add(requests, 50);
        cell_add(&cells_service(&f.cells, 0, 0)->latency[3], 10);
        totals_service(&f.cells, 2, 0, &t);
        history_service(&h, 0, &t, now + NS_PER_S, &r);
        if (i > 1)
            assert_float_equal(r.requests_per_second, 50, 0.001);
    }
    /* the five to ten seconds of the slow samples: old buckets do not count */
    assert_int_equal(r.latency[24], 0);
    assert_in_range(r.latency[3], 50, 100);
    /* a row that was cleared is no negative rate */
    cell_set(requests, 0);
    totals_service(&f.cells, 2, 0, &t);
    history_service(&h, 0, &t, now + NS_PER_S, &r);
    assert_float_equal(r.requests_per_second, 0, 0.001);
    history_free(&h);
    fixture_close(&f);
}

int main(void)
{
    json_use_mem();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums_run_over_all_workers),
        cmocka_unit_test(quantiles_lie_in_their_bucket),
        cmocka_unit_test(rates_look_back_one_to_two_seconds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
