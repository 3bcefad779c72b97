/* The algorithms that place by key: how evenly, who moves when, within which bound. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "balance/balance_test.h"
#include "balance/key.h"

enum { KEYS = 20000, N = 10 };

static const enum algorithm by_key[] = {ALGORITHM_SOURCE_HASH, ALGORITHM_CONSISTENT_HASH,
                                        ALGORITHM_MAGLEV};
static const uint32_t uneven[N] = {1, 2, 3, 4, 5, 5, 4, 3, 2, 1};

static struct pool keyed(enum algorithm a, uint32_t n, const uint32_t *weights)
{
    struct pool_params params = {.algorithm = a, .n = n, .eject_permille = 500, .seed = 1};
    struct pool p = pool_with(&params);
    for (uint32_t i = 0; i < n; i++) {
        p.members[i].key = key_of(1000 + i);
        p.members[i].weight = weights ? weights[i] : 1;
    }
    pool_update(&p);
    return p;
}

static void map(struct pool *p, uint16_t *to)
{
    for (uint32_t k = 0; k < KEYS; k++)
        to[k] = (uint16_t)pick_at(p, key_of(k), p->clock);
}

static void test_names_say_who_places_by_key(void **state)
{
    uint32_t n = 0;
    for (int a = 0; a < ALGORITHMS; a++)
        n += algorithm_by_key((enum algorithm)a);
    assert_int_equal(n, ARRAY_LEN(by_key));
    for (size_t k = 0; k < ARRAY_LEN(by_key); k++)
        assert_true(algorithm_by_key(by_key[k]));
    assert_false(algorithm_by_key(ALGORITHMS));
}

static void test_log2(void **state)
{
    assert_true(log2_unit(UINT64_C(1) << 63) == -1);
    assert_true(log2_unit(1) == -64);
    struct prng r;
    prng_seed(&r, 3);
    double before = -64;
    for (uint64_t x = 1; x < UINT64_MAX / 3; x += x / 2 + 1) {
        double y = log2_unit(x);
        assert_true(y >= before);
        before = y;
    }
    for (int k = 0; k < 10000; k++) { /* of squares it is twice as much */
        uint64_t x = prng_next(&r) | UINT64_C(1) << 32, high = x >> 32;
        double off = 2 * log2_unit(high << 32) - log2_unit(high * high);
        assert_true(off < 1e-8 && off > -1e-8);
    }
    assert_true(log2_unit(UINT64_MAX) > -1e-8 && log2_unit(UINT64_MAX) < 1e-8);
}

/* Over many sets of weights. Rendezvous is exact; so is Maglev but for its rounding to whole
 * entries; a ring is as uneven as its points fall. */
static void test_shares(void **state)
{
    struct prng r;
    prng_seed(&r, 12);
    for (int round = 0; round < 30; round++) {
        uint32_t n = 2 + (uint32_t)prng_below(&r, N - 1), weights[N], counts[N] = {0};
        double shares[N];
        for (uint32_t i = 0; i < n; i++)
            shares[i] = weights[i] = round % 2 ? 1 : 1 + (uint32_t)prng_below(&r, 20);
        struct pool p = keyed(ALGORITHM_SOURCE_HASH, n, weights);
        uint64_t first = prng_next(&r);
        for (uint32_t k = 0; k < KEYS; k++)
            counts[pick_at(&p, key_of(first + k), 0)]++;
        shares_fit(counts, shares, n);
        pool_free(&p);
    }
}

/* Off by what part of its share, in the mean square, over all members of many pools. */
static double spread(enum algorithm a, uint32_t n, const uint32_t *weights)
{
    double sum = 0, total = 0;
    enum { POOLS = 40, MANY = 50000 };
    for (uint32_t i = 0; i < n; i++)
        total += weights[i];
    for (uint32_t round = 0; round < POOLS; round++) {
        struct pool p = keyed(a, n, weights);
        uint32_t counts[N] = {0};
        for (uint32_t i = 0; i < n; i++)
            p.members[i].key = key_of(round * 7919 + i);
        pool_update(&p);
        for (uint32_t k = 0; k < MANY; k++)
            counts[pick_at(&p, key_of(k), 0)]++;
        for (uint32_t i = 0; i < n; i++) {
            double off = counts[i] * total / MANY / weights[i] - 1;
            sum += off * off;
        }
        pool_free(&p);
    }
    return sum / (POOLS * n);
}

static void test_tables_are_as_even_as_documented(void **state)
{
    static const uint32_t ones[N] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
    double chance = (double)N / 50000; /* of drawing so many keys, in the mean square */
    double ring = spread(ALGORITHM_CONSISTENT_HASH, N, ones) - chance;
    assert_true(ring > 0.045 * 0.045 && ring < 0.075 * 0.075); /* 1 / sqrt(256) */
    double maglev = spread(ALGORITHM_MAGLEV, N, ones) - chance;
    assert_true(maglev < 0.01 * 0.01);
    maglev = spread(ALGORITHM_MAGLEV, N, uneven) - 2 * chance;
    assert_true(maglev < 0.02 * 0.02);
}

/* Two sets of keys find the same shares: chi-square of homogeneity. */
static void test_a_table_treats_all_keys_alike(void **state)
{
    for (size_t a = 0; a < ARRAY_LEN(by_key); a++) {
        struct pool p = keyed(by_key[a], N, uneven);
        uint32_t first[N] = {0}, second[N] = {0};
        double sum = 0;
        for (uint32_t k = 0; k < KEYS; k++) {
            first[pick_at(&p, k, 0)]++; /* numbers in a row are as good as hashes */
            second[pick_at(&p, key_of(k), 0)]++;
        }
        for (uint32_t i = 0; i < N; i++) {
            double off = (double)first[i] - second[i];
            sum += off * off / (first[i] + second[i]);
        }
        assert_true(sum < chi_square_bound[N - 1]);
        pool_free(&p);
    }
}

/* A member that leaves, by failure or drain, moves exactly its own keys, to all others by weight,
 * and takes exactly them back. Two that leave: the same. */
static void test_only_the_keys_of_who_leaves_move(void **state)
{
    static uint16_t before[KEYS], without[KEYS], after[KEYS];
    for (size_t a = 0; a < ARRAY_LEN(by_key); a++) {
        for (uint32_t gone = 0; gone < N; gone += 3) {
            struct pool p = keyed(by_key[a], N, uneven);
            uint32_t moved[N] = {0}, n = 0;
            map(&p, before);
            p.members[gone].draining = true;
            p.members[(gone + 1) % N].verdict = VERDICT_FAILED;
            p.members[(gone + 1) % N].certain = true;
            pool_update(&p);
            map(&p, without);
            for (uint32_t k = 0; k < KEYS; k++) {
                bool was_theirs = before[k] == gone || before[k] == (gone + 1) % N;
                assert_true(was_theirs ? p.members[without[k]].pickable : without[k] == before[k]);
                moved[without[k]] += was_theirs;
                n += was_theirs;
            }
            for (uint32_t i = 0; i < N; i++)
                assert_true(!p.members[i].pickable || moved[i] > n / 200);
            p.members[gone].draining = false;
            p.members[(gone + 1) % N].verdict = VERDICT_HEALTHY;
            pool_update(&p);
            map(&p, after);
            assert_memory_equal(before, after, sizeof before);
            pool_free(&p);
        }
    }
}

/* Of a pool without the member, and of one in another order: which keys are elsewhere? */
static uint32_t elsewhere(enum algorithm a, uint32_t without)
{
    static uint16_t before[KEYS], after[KEYS];
    struct pool p = keyed(a, N, uneven), q = keyed(a, N - 1, NULL);
    uint32_t others = 0, n = 0;
    for (uint32_t i = N; i-- > 0;) {
        if (i == without)
            continue;
        q.members[n].key = p.members[i].key;
        q.members[n++].weight = p.members[i].weight;
    }
    pool_update(&q);
    map(&p, before);
    map(&q, after);
    for (uint32_t k = 0; k < KEYS; k++)
        others += before[k] != without && p.members[before[k]].key != q.members[after[k]].key;
    pool_free(&p);
    pool_free(&q);
    return others;
}

/* Removed from the configuration, or, read the other way, added. Exactly its keys move; with Maglev
 * few others as well. */
static void test_configuration_changes_move_the_least(void **state)
{
    uint32_t maglev = 0;
    for (uint32_t i = 0; i < N; i++) {
        assert_int_equal(elsewhere(ALGORITHM_SOURCE_HASH, i), 0);
        assert_int_equal(elsewhere(ALGORITHM_CONSISTENT_HASH, i), 0);
        maglev += elsewhere(ALGORITHM_MAGLEV, i);
    }
    assert_in_range(maglev, 1, N * KEYS * 4 / 100);
}

/* Nodes whose files list the members in another order place every key alike. */
static void test_the_order_of_members_does_not_matter(void **state)
{
    for (size_t a = 0; a < ARRAY_LEN(by_key); a++) {
        struct pool p = keyed(by_key[a], N, uneven), q = keyed(by_key[a], N, NULL);
        for (uint32_t i = 0; i < N; i++) {
            q.members[i].key = p.members[(i + 3) % N].key;
            q.members[i].weight = p.members[(i + 3) % N].weight;
        }
        pool_update(&q);
        for (uint32_t k = 0; k < KEYS; k++)
            assert_int_equal(pick_at(&p, key_of(k), 0), (pick_at(&q, key_of(k), 0) + 3) % N);
        pool_free(&p);
        pool_free(&q);
    }
}

/* A heavier weight draws keys from the others and moves none between them. */
static void test_a_weight_that_rises_only_draws(void **state)
{
    static uint16_t before[KEYS], after[KEYS];
    static const enum algorithm exact[] = {ALGORITHM_SOURCE_HASH, ALGORITHM_CONSISTENT_HASH};
    for (size_t a = 0; a < ARRAY_LEN(exact); a++) {
        struct pool p = keyed(exact[a], N, uneven);
        uint32_t drawn = 0;
        map(&p, before);
        p.members[0].weight = 4;
        pool_update(&p);
        map(&p, after);
        for (uint32_t k = 0; k < KEYS; k++) {
            assert_true(after[k] == before[k] || after[k] == 0);
            drawn += after[k] != before[k];
        }
        assert_in_range(drawn, KEYS * 6 / 100, KEYS * 12 / 100); /* from 1/30 to 4/33 */
        pool_free(&p);
    }
}

/* Weight 0 is in no table, and stands in all the same. */
static void test_weight_zero(void **state)
{
    for (size_t a = 0; a < ARRAY_LEN(by_key); a++) {
        static const uint32_t weights[] = {0, 3, 0};
        struct pool p = keyed(by_key[a], 3, weights);
        uint32_t counts[3] = {0};
        for (uint32_t k = 0; k < 100; k++)
            assert_int_equal(pick_at(&p, key_of(k), 0), 1);
        p.members[1].draining = true;
        pool_update(&p);
        for (uint32_t k = 0; k < 2000; k++)
            counts[pick_at(&p, key_of(k), 0)]++;
        assert_in_range(counts[0], 900, 1100);
        assert_in_range(counts[2], 900, 1100);
        for (uint32_t i = 0; i < 3; i++)
            p.members[i].weight = 0; /* now the table is empty */
        pool_update(&p);
        assert_int_not_equal(pick_at(&p, 1, 0), 1);
        pool_free(&p);
    }
}

/* Mirrokni's bound, after every single pick: ceil(c * T * w / W). One key has half the requests. */
static void test_bounded_load(void **state)
{
    for (size_t a = 0; a < ARRAY_LEN(by_key); a++) {
        struct pool_params params = {
            .algorithm = by_key[a], .n = N, .seed = 1, .bound_permille = 1250};
        struct pool p = pool_with(&params);
        struct prng r;
        enum { FLIGHT = 97 };
        uint16_t with[FLIGHT];
        uint32_t total = 0, weight = 0, at_bound = 0;
        prng_seed(&r, 5);
        for (uint32_t i = 0; i < N; i++)
            weight += p.members[i].weight = uneven[i];
        pool_update(&p);
        for (uint32_t k = 0; k < 20000; k++) {
            if (k % 500 == 0)
                pool_update(&p); /* which counts anew */
            if (k >= FLIGHT)
                pool_done(&p, with[k % FLIGHT]);
            total = MIN(k + 1, FLIGHT);
            int i = pool_pick(&p, NULL, prng_below(&r, 2) ? 7 : prng_next(&r), 0);
            assert_true(i >= 0);
            with[k % FLIGHT] = (uint16_t)i;
            uint32_t over = total * 125 * uneven[i],
                     most = (over + 100 * weight - 1) / (100 * weight);
            assert_true(p.members[i].inflight <= most);
            at_bound += p.members[i].inflight == most;
        }
        assert_true(at_bound > 1000); /* it did bind */
        pool_free(&p);
    }
}

/* Without contention a bound changes nothing, and the popular key overflows to few. */
static void test_a_popular_key_overflows_in_its_own_order(void **state)
{
    for (size_t a = 0; a < ARRAY_LEN(by_key); a++) {
        struct pool_params params = {
            .algorithm = by_key[a], .n = N, .seed = 1, .bound_permille = 2000};
        struct pool p = pool_with(&params), q = keyed(by_key[a], N, NULL);
        for (uint32_t i = 0; i < N; i++)
            p.members[i].key = q.members[i].key;
        pool_update(&p);
        uint32_t counts[N] = {0}, used = 0;
        for (uint32_t k = 0; k < 1000; k++)
            assert_int_equal(pick_at(&p, key_of(k), 0), pick_at(&q, key_of(k), 0));
        for (uint32_t k = 0; k < 100; k++)
            counts[pool_pick(&p, NULL, 7, 0)]++;
        for (uint32_t i = 0; i < N; i++)
            used += counts[i] > 0;
        assert_int_equal(used, 5); /* each takes at most twice the mean, a fifth */
        pool_free(&p);
        pool_free(&q);
    }
}

/* While a member's weight ramps up its keys come to it one by one, each once, and no other's move.
 */
static void test_slow_start(void **state)
{
    static uint16_t whole[KEYS], now[KEYS], before[KEYS];
    for (size_t a = 0; a < ARRAY_LEN(by_key); a++) {
        struct pool_params params = {
            .algorithm = by_key[a], .n = N, .seed = 1, .slow_start = 1000 * MS};
        struct pool p = pool_with(&params);
        pool_update(&p);
        map(&p, whole);
        p.members[3].draining = true;
        pool_update(&p);
        map(&p, before);
        p.members[3].draining = false;
        p.members[3].returned = 5000 * MS;
        pool_update(&p);
        for (uint32_t percent = 0; percent <= 100; percent += 20) {
            uint32_t own = 0, has = 0;
            pick_at(&p, 1, (5000 + percent * 10) * MS);
            map(&p, now);
            for (uint32_t k = 0; k < KEYS; k++) {
                assert_true(now[k] == before[k] || (now[k] == 3 && whole[k] == 3));
                own += whole[k] == 3;
                has += now[k] == 3;
            }
            double part = (double)has / own, wanted = MAX(percent, 10u) / 100.0;
            assert_true(part > wanted - 0.05 && part < wanted + 0.05);
            memcpy(before, now, sizeof now);
        }
        assert_memory_equal(now, whole, sizeof now);
        pool_free(&p);
    }
}

/* Half of group 0 fails and the threshold is all of it: half the keys go to group 1. Those of the
 * members that are well and of the half that stays, stay. */
static void test_priority_groups(void **state)
{
    static uint16_t before[KEYS], after[KEYS];
    for (size_t a = 0; a < ARRAY_LEN(by_key); a++) {
        struct pool_params params = {
            .algorithm = by_key[a], .n = 8, .seed = 1, .group_least_permille = 1000};
        struct pool p = pool_with(&params);
        for (uint32_t i = 0; i < 8; i++)
            p.members[i].priority = i >= 4;
        pool_update(&p);
        map(&p, before);
        p.members[0].draining = p.members[1].draining = true;
        pool_update(&p);
        map(&p, after);
        uint32_t to_second = 0;
        for (uint32_t k = 0; k < KEYS; k++) {
            assert_true(before[k] < 4);
            to_second += after[k] >= 4;
            assert_true(after[k] >= 4 || after[k] == before[k] || before[k] < 2);
        }
        assert_in_range(to_second, KEYS * 48 / 100, KEYS * 52 / 100);
        pool_free(&p);
    }
}

/* A retry leaves the key's group, and the bound, before it goes back to who was tried. */
static void test_a_retry_goes_beyond_group_and_bound(void **state)
{
    for (size_t a = 0; a < ARRAY_LEN(by_key); a++) {
        struct pool_params params = {
            .algorithm = by_key[a], .n = 3, .group_least_permille = 1000, .bound_permille = 1000};
        struct pool p = pool_with(&params);
        p.members[1].draining = true;
        p.members[2].priority = 1;
        pool_update(&p);
        for (uint32_t k = 0; k < 50; k++) {
            struct tried tried = {0};
            int first = pool_pick(&p, NULL, key_of(k), 0);
            tried_add(&tried, (uint32_t)first);
            assert_int_equal(pool_pick(&p, &tried, key_of(k), 0), 2 - first);
        }
        pool_free(&p);
    }
}

/* A retry goes where the key would go if the first did not exist. */
static void test_a_retry_goes_on_in_the_keys_order(void **state)
{
    for (size_t a = 0; a < ARRAY_LEN(by_key); a++) {
        struct pool p = keyed(by_key[a], N, uneven), q = keyed(by_key[a], N, uneven);
        for (uint32_t i = 0; i < N; i++) {
            q.members[i].draining = true;
            pool_update(&q);
            for (uint32_t k = 0; k < 300; k++) {
                struct tried tried = {0};
                tried_add(&tried, i);
                int to = pool_pick(&p, &tried, key_of(k), 0);
                pool_done(&p, (uint32_t)to);
                assert_int_equal(to, pick_at(&q, key_of(k), 0));
            }
            q.members[i].draining = false;
        }
        pool_free(&p);
        pool_free(&q);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names_say_who_places_by_key),
        cmocka_unit_test(test_log2),
        cmocka_unit_test(test_shares),
        cmocka_unit_test(test_tables_are_as_even_as_documented),
        cmocka_unit_test(test_a_table_treats_all_keys_alike),
        cmocka_unit_test(test_only_the_keys_of_who_leaves_move),
        cmocka_unit_test(test_configuration_changes_move_the_least),
        cmocka_unit_test(test_the_order_of_members_does_not_matter),
        cmocka_unit_test(test_a_weight_that_rises_only_draws),
        cmocka_unit_test(test_weight_zero),
        cmocka_unit_test(test_bounded_load),
        cmocka_unit_test(test_a_popular_key_overflows_in_its_own_order),
        cmocka_unit_test(test_slow_start),
        cmocka_unit_test(test_priority_groups),
        cmocka_unit_test(test_a_retry_goes_beyond_group_and_bound),
        cmocka_unit_test(test_a_retry_goes_on_in_the_keys_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
