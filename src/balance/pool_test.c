/* The pool's rules: who may be picked. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "balance/admit.h"
#include "balance/balance.h"

/* Keys that differ, for the algorithms that place by them. */
static uint64_t key(uint32_t k)
{
    return (k + 1) * UINT64_C(0x9e3779b97f4a7c15);
}

static struct pool pool_of(enum algorithm a, uint32_t n, uint32_t permille)
{
    struct pool p;
    assert_int_equal(pool_init(&p, a, n, permille, 7, NULL), 0);
    for (uint32_t i = 0; i < n; i++)
        p.members[i].weight = 1;
    return p;
}

/* One letter a member: h healthy, d degraded, s suspect, c certain failed, f uncertain failed (the
 * later in the text, the longer ago), x draining; upper case: weight 0. */
static void set(struct pool *p, const char *letters)
{
    assert_int_equal(strlen(letters), p->n);
    for (uint32_t i = 0; i < p->n; i++) {
        char c = letters[i], low = (char)(c | 0x20);
        struct member *m = &p->members[i];
        m->weight = c == low;
        m->verdict = (uint8_t)(low == 'h' || low == 'x' ? VERDICT_HEALTHY
                               : low == 'd'             ? VERDICT_DEGRADED
                               : low == 's'             ? VERDICT_SUSPECT
                                                        : VERDICT_FAILED);
        m->certain = low == 'c';
        m->draining = low == 'x';
        m->since = 1000 - i;
    }
    pool_update(p);
}

static void pickable_are(const char *letters, uint32_t permille, const char *wanted, bool panic)
{
    struct pool p = pool_of(ALGORITHM_RANDOM, (uint32_t)strlen(letters), permille);
    set(&p, letters);
    uint32_t n = 0;
    for (uint32_t i = 0; i < p.n; i++) {
        if (p.members[i].pickable != (wanted[i] == '1'))
            fail_msg("%s at %u: member %u is%s pickable", letters, permille, i,
                     p.members[i].pickable ? "" : " not");
        n += wanted[i] == '1';
    }
    assert_int_equal(p.n_pickable, n);
    assert_int_equal(p.panic, panic);
    assert_true((pool_pick(&p, NULL, 0, 0) >= 0) == (n > 0));
    pool_free(&p);
}

static void test_rules(void **state)
{
    static const struct {
        const char *members;
        uint32_t permille;
        const char *pickable;
        bool panic;
    } rows[] = {
        {"", 500, "", false},       {"h", 500, "1", false},       {"hds", 500, "111", false},
        {"hfh", 500, "101", false}, {"hch", 0, "101", false}, /* certain evidence needs no share */
        {"hfh", 0, "111", false},   {"hff", 340, "110", false}, /* one of three: the longest failed
                                                                 */
        {"hff", 700, "100", false}, {"hffc", 250, "1100", false}, /* the certain ones do not use the
                                                                     share up */
        {"fff", 700, "100", false}, {"f", 1000, "1", false},      /* one of one is never left out */
        {"ff", 1000, "11", true},   {"ff", 100, "10", false},     /* at least one of two */
        {"c", 500, "1", true},      {"ccc", 500, "111", true},    {"cfc", 500, "111", true},
        {"ccx", 500, "110", true},  {"x", 500, "0", false},       {"xxx", 500, "000", false},
        {"xhx", 500, "010", false}, {"xfx", 500, "010", true},    {"hH", 500, "10", false},
        {"cH", 500, "01", false}, /* weight 0 stands in */
        {"cHS", 500, "011", false}, {"cX", 500, "10", true},      {"cC", 500, "11", true},
        {"HH", 500, "11", false},   {"ffH", 340, "101", false}, /* one too many of the failed stays
                                                                   in, and so does the well */
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        pickable_are(rows[i].members, rows[i].permille, rows[i].pickable, rows[i].panic);
}

/* Every size to 12 and every number of certain and uncertain failures in it. */
static void test_share(void **state)
{
    static const uint32_t shares[] = {0, 100, 333, 334, 500, 700, 999, 1000};
    for (uint32_t n = 1; n <= 12; n++)
        for (uint32_t certain = 0; certain <= n; certain++)
            for (uint32_t uncertain = 0; certain + uncertain <= n; uncertain++)
                for (size_t k = 0; k < ARRAY_LEN(shares); k++) {
                    char letters[16] = "hhhhhhhhhhhh";
                    memset(letters, 'c', certain);
                    memset(letters + certain, 'f', uncertain);
                    letters[n] = 0;
                    struct pool p = pool_of(ALGORITHM_RANDOM, n, shares[k]);
                    set(&p, letters);
                    uint32_t most = n * shares[k] / 1000;
                    if (n >= 2 && shares[k] > 0 && most == 0)
                        most = 1;
                    if (n < 2)
                        most = 0;
                    uint32_t out = certain + MIN(uncertain, most);
                    assert_int_equal(p.n_pickable, out == n ? n : n - out);
                    assert_int_equal(p.panic, out == n);
                    for (uint32_t i = 0; out < n && i < n; i++) /* the longest failed are out */
                        assert_int_equal(p.members[i].pickable,
                                         i >= certain &&
                                             !(i >= certain + uncertain - (out - certain) &&
                                               i < certain + uncertain));
                    pool_free(&p);
                }
}

/* Whatever the members are: nobody who drains, nobody certain while another is there, never fewer
 * than the share leaves, never nobody while somebody does not drain. */
static void test_random_pools(void **state)
{
    struct prng r;
    prng_seed(&r, 11);
    for (int round = 0; round < 20000; round++) {
        uint32_t n = (uint32_t)prng_below(&r, 80), share = (uint32_t)prng_below(&r, 1001);
        struct pool p = pool_of(ALGORITHM_LEAST_REQUESTS, n, share);
        uint32_t open = 0, uncertain_out = 0;
        uint64_t latest_out = 0, earliest_in = UINT64_MAX;
        for (uint32_t i = 0; i < n; i++) {
            struct member *m = &p.members[i];
            m->weight = (uint32_t)prng_below(&r, 3);
            m->verdict = (uint8_t)(prng_below(&r, 3) ? VERDICT_FAILED : prng_below(&r, VERDICTS));
            m->certain = m->verdict == VERDICT_FAILED && prng_below(&r, 4) == 0;
            m->draining = prng_below(&r, 8) == 0;
            m->since = prng_below(&r, 50);
            open += !m->draining;
        }
        pool_update(&p);
        assert_int_equal(p.n_pickable > 0, open > 0);
        for (uint32_t i = 0; i < n; i++) {
            const struct member *m = &p.members[i];
            assert_false(m->pickable && m->draining);
            if (p.panic)
                assert_int_equal(m->pickable, !m->draining);
            else if (m->verdict == VERDICT_FAILED)
                assert_false(m->pickable && m->certain);
            else if (m->weight > 0)
                assert_true(m->pickable || m->draining);
            if (m->verdict != VERDICT_FAILED || m->certain || m->draining || m->weight == 0)
                continue;
            uncertain_out += !m->pickable;
            if (m->pickable)
                earliest_in = MIN(earliest_in, m->since);
            else
                latest_out = MAX(latest_out, m->since);
        }
        uint32_t most = MAX(n * share / 1000, 1u);
        assert_true(uncertain_out <= (share ? most : 0));
        if (!p.panic)
            assert_true(latest_out <= earliest_in);
        pool_free(&p);
    }
}

/* Every set of pickable members, every set of tried ones, each algorithm. */
static void test_a_retry_goes_elsewhere(void **state)
{
    for (int a = 0; a < ALGORITHMS; a++) {
        for (unsigned in = 0; in < 16; in++) {
            for (unsigned before = 0; before < 16; before++) {
                struct pool p = pool_of((enum algorithm)a, 4, 500);
                struct tried tried = {0};
                for (uint32_t i = 0; i < 4; i++) {
                    p.members[i].draining = !(in >> i & 1);
                    if (before >> i & 1)
                        tried_add(&tried, i);
                }
                pool_update(&p);
                for (uint32_t k = 0; k < 20; k++) {
                    int i = pool_pick(&p, &tried, key(k), 0);
                    unsigned wanted = in & ~before ? in & ~before : in;
                    assert_true(wanted ? i >= 0 && (wanted >> i & 1) : i == -1);
                }
                pool_free(&p);
            }
        }
    }
}

static void test_a_trial_gets_few_requests_at_a_time(void **state)
{
    for (int a = 0; a < ALGORITHMS; a++) {
        struct pool p = pool_of((enum algorithm)a, 3, 500);
        set(&p, "hsh");
        p.members[1].trial = true;
        pool_update(&p);
        assert_int_equal(p.n_trial, 1);
        for (uint32_t k = 0; k < 300; k++)
            assert_true(pool_pick(&p, NULL, key(k), 0) >= 0);
        assert_int_equal(p.members[1].inflight, POOL_TRIAL_INFLIGHT);
        pool_done(&p, 1);
        for (uint32_t k = 0; k < 300; k++)
            pool_pick(&p, NULL, key(k), 0);
        assert_int_equal(p.members[1].inflight, POOL_TRIAL_INFLIGHT);
        /* a retry that has nowhere else to go */
        struct tried tried = {0};
        tried_add(&tried, 0);
        tried_add(&tried, 2);
        assert_int_equal(pool_pick(&p, &tried, 0, 0), 1);
        /* nor has anybody when all are on trial */
        set(&p, "xsx");
        for (int k = 0; k < 10; k++)
            assert_int_equal(pool_pick(&p, NULL, 0, 0), 1);
        pool_free(&p);
    }
}

static void test_inflight_is_counted(void **state)
{
    struct pool p = pool_of(ALGORITHM_ROUND_ROBIN, 2, 500);
    set(&p, "hh");
    for (int k = 0; k < 10; k++)
        pool_pick(&p, NULL, 0, 0);
    assert_int_equal(p.members[0].inflight, 5);
    assert_int_equal(p.members[1].inflight, 5);
    set(&p, "xc"); /* verdicts do not touch it */
    for (int k = 0; k < 5; k++)
        pool_done(&p, 0);
    assert_int_equal(p.members[0].inflight, 0);
    assert_int_equal(p.members[1].inflight, 5);
    pool_free(&p);
}

static void test_bounds_and_memory(void **state)
{
    struct pool p;
    struct err e;
    assert_int_equal(pool_init(&p, ALGORITHMS, 1, 500, 1, &e), -ERR_INVAL);
    assert_int_equal(pool_init(&p, ALGORITHM_RANDOM, POOL_MAX + 1, 500, 1, &e), -ERR_LIMIT);
    pool_free(&p);
    int failures = 0;
    for (unsigned long at = 1;; at++) {
        mem_fail_at(at);
        int r = pool_init(&p, ALGORITHM_RANDOM, 3, 5000, 1, &e);
        int failed = mem_failed();
        mem_fail_at(0);
        assert_int_equal(r, failed ? -ERR_NOMEM : 0);
        if (r == 0)
            assert_int_equal(p.eject_permille, 1000);
        pool_free(&p);
        assert_int_equal(pool_pick(&p, NULL, 0, 0), -1);
        if (!failed)
            break;
        failures++;
    }
    assert_int_equal(failures, 5);
    p = pool_of(ALGORITHM_LEAST_REQUESTS, POOL_MAX, 500);
    pool_update(&p);
    assert_true(pool_pick(&p, NULL, 0, 0) >= 0);
    pool_free(&p);
}

static void test_names(void **state)
{
    for (unsigned a = 0; a < ALGORITHMS; a++) {
        enum algorithm back;
        assert_true(algorithm_parse(str_of(algorithm_name((enum algorithm)a)), &back));
        assert_int_equal(back, a);
    }
    enum algorithm a = ALGORITHM_RANDOM;
    assert_false(algorithm_parse(STR("fastest"), &a));
    assert_int_equal(a, ALGORITHM_RANDOM);
    assert_null(algorithm_name(ALGORITHMS));
}

/* A member whose limit is full is passed over by every algorithm, and none is asked twice for
 * that. */
static void test_full_members_are_passed_over(void **state)
{
    for (int a = 0; a < ALGORITHMS; a++) {
        struct limit limits[4] = {0};
        struct pool p;
        assert_int_equal(pool_init(&p, (enum algorithm)a, 4, 500, 7, NULL), 0);
        for (uint32_t i = 0; i < 4; i++) {
            limit_set(&limits[i], 2, 1000);
            p.members[i].weight = 1 + i;
            p.members[i].limit = &limits[i];
        }
        pool_update(&p);
        struct tried tried = {.n = 1, .index = {3}};
        for (uint64_t k = 0; k < 8; k++) {
            assert_int_equal(k == 0 ? pool_full(&p, NULL) : 0, 0);
            int i = pool_pick(&p, NULL, k * UINT64_C(0x9e3779b97f4a7c15), k);
            assert_true(i >= 0 && limit_take(&limits[i]));
        }
        assert_int_equal(pool_pick(&p, NULL, 1, 9), -1);
        assert_true(pool_full(&p, NULL));
        limit_give(&limits[3]); /* who was tried there waits for another rather than go again */
        assert_int_equal(pool_pick(&p, &tried, 1, 9), -1);
        assert_true(pool_full(&p, &tried));
        assert_int_equal(pool_pick(&p, NULL, 1, 9), 3);
        p.members[0].verdict = p.members[1].verdict = p.members[2].verdict = VERDICT_FAILED;
        p.members[0].certain = p.members[1].certain = p.members[2].certain = true;
        pool_update(&p);
        assert_int_equal(pool_pick(&p, &tried, 1, 9), 3); /* nobody else is left to wait for */
        pool_free(&p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rules),
        cmocka_unit_test(test_share),
        cmocka_unit_test(test_random_pools),
        cmocka_unit_test(test_a_retry_goes_elsewhere),
        cmocka_unit_test(test_a_trial_gets_few_requests_at_a_time),
        cmocka_unit_test(test_inflight_is_counted),
        cmocka_unit_test(test_bounds_and_memory),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_full_members_are_passed_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
