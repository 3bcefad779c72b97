/* Who gets which share: priority groups, zones, subsets, slow start, and the draw by weight. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "balance/balance_test.h"

enum { PICKS = 40000 };

/* Picks are as the shares say, which need not add up to anything; what has none is never picked. */
static void picked_are(struct pool *p, const double *shares)
{
    uint32_t counts[CHI_MOST] = {0};
    for (uint32_t k = 0; k < PICKS; k++)
        counts[pick_at(p, key_of(k), p->clock)]++;
    shares_fit(counts, shares, p->n);
}

/* One letter a member: h healthy, f failed for certain, u failed on uncertain evidence, x draining;
 * the digit that follows is its group. */
static struct pool groups_of(const char *text, uint32_t least, enum algorithm a)
{
    struct pool_params params = {.algorithm = a,
                                 .n = (uint32_t)strlen(text) / 2,
                                 .eject_permille = 500,
                                 .seed = 9,
                                 .group_least_permille = least};
    struct pool p = pool_with(&params);
    for (uint32_t i = 0; i < p.n; i++) {
        struct member *m = &p.members[i];
        char c = text[2 * i];
        m->verdict = (uint8_t)(c == 'f' || c == 'u' ? VERDICT_FAILED : VERDICT_HEALTHY);
        m->certain = c == 'f';
        m->draining = c == 'x';
        m->priority = (uint8_t)(text[2 * i + 1] - '0');
    }
    pool_update(&p);
    return p;
}

static void test_priority_groups(void **state)
{
    static const struct {
        const char *members;
        uint32_t least;
        double shares[CHI_MOST];
    } rows[] = {
        {"h0h0h1h1", 0, {1, 1, 0, 0}},                   /* backups are for later */
        {"f0h0h1h1", 0, {0, 1, 0, 0}},                   /* one will do */
        {"f0x0h1h1", 0, {0, 0, 1, 1}},                   /* none left */
        {"f0f0f1h2", 0, {0, 0, 0, 1}},                   /* nor in the next */
        {"h3h3h7", 0, {1, 1, 0}},                        /* numbers need not follow each other */
        {"h0h0h1h1", 1000, {1, 1, 0, 0}},                /* all are well */
        {"f0h0h1h1", 1000, {0, 2, 1, 1}},                /* half is missing, half flows on */
        {"f0h0h1h1", 500, {0, 1, 0, 0}},                 /* half was enough */
        {"f0f0f0h0h1", 500, {0, 0, 0, 1, 1}},            /* a quarter of the needed half */
        {"f0h0f1h1h2", 1000, {0, 1, 0, 1, 0}},           /* each can carry half */
        {"f0f0f0h0f1h1h2", 1000, {0, 0, 0, 1, 0, 2, 1}}, /* and on to the third */
        {"f0h0f1h1", 1000, {0, 1, 0, 1}},                /* too little in all: all take more */
        {"f0f0f0h0f1f1f1h1", 1000, {0, 0, 0, 1, 0, 0, 0, 1}}, /* and equally so */
        {"f0f0", 700, {1, 1}},                                /* panic */
        {"f0f0f1", 700, {1, 1, 1}},                           /* knows no groups */
        {"u0u0h1", 0, {0, 0, 1}}, /* nobody well in the first: no trying of the failed */
        {"u0h0h1h1", 1000, {0, 2, 1, 1}},
    };
    static const enum algorithm drawn[] = {ALGORITHM_RANDOM, ALGORITHM_TWO_CHOICES,
                                           ALGORITHM_LEAST_REQUESTS, ALGORITHM_SOURCE_HASH};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        for (size_t a = 0; a < ARRAY_LEN(drawn); a++) {
            struct pool p = groups_of(rows[i].members, rows[i].least, drawn[a]);
            picked_are(&p, rows[i].shares);
            pool_free(&p);
        }
}

/* Members above POOL_GROUPS are in the last group. */
static void test_priorities_are_cut(void **state)
{
    struct pool p = groups_of("h0h0", 0, ALGORITHM_RANDOM);
    p.members[0].priority = POOL_GROUPS - 1;
    p.members[1].priority = 255;
    pool_update(&p);
    picked_are(&p, (double[]){1, 1});
    pool_free(&p);
}

static void test_a_retry_may_leave_group_and_zone(void **state)
{
    for (int a = 0; a < ALGORITHMS; a++) {
        struct pool p = groups_of("h0h1f1", 0, (enum algorithm)a);
        struct tried tried = {0};
        assert_int_equal(pool_pick(&p, &tried, 1, 0), 0);
        assert_int_equal(p.n_standby, 1);
        tried_add(&tried, 0);
        for (int k = 0; k < 5; k++)
            assert_int_equal(pool_pick(&p, &tried, 1, 0), 1);
        tried_add(&tried, 1);
        assert_int_equal(pool_pick(&p, &tried, 1, 0), 0); /* not to the failed */
        pool_update(&p);
        for (int k = 0; k < 5; k++)
            pool_done(&p, 1);
        pool_done(&p, 0);
        pool_done(&p, 0);
        assert_int_equal(p.members[0].inflight + p.members[1].inflight, 0);
        pool_free(&p);
    }
}

/* One that failed and is tried all the same, for the share, is no refuge: not while its group is
 * closed. */
static void test_the_failed_do_not_stand_by(void **state)
{
    struct pool p = groups_of("u0u0h1", 0, ALGORITHM_RANDOM);
    struct tried tried = {0};
    tried_add(&tried, 2);
    assert_int_equal(p.n_standby, 0);
    assert_int_equal(pool_pick(&p, &tried, 0, 0), 2);
    pool_free(&p);
}

/* A letter is a zone; upper case: failed for certain. */
static struct pool zones_of(const char *text, char own, uint32_t zone_permille)
{
    struct pool_params params = {.algorithm = ALGORITHM_RANDOM,
                                 .n = (uint32_t)strlen(text),
                                 .eject_permille = 500,
                                 .seed = 9,
                                 .zone = (uint8_t)(own - 'a' + 1),
                                 .zone_permille = zone_permille};
    struct pool p = pool_with(&params);
    for (uint32_t i = 0; i < p.n; i++) {
        char low = (char)(text[i] | 0x20);
        p.members[i].zone = (uint8_t)(low - 'a' + 1);
        p.members[i].verdict = (uint8_t)(low == text[i] ? VERDICT_HEALTHY : VERDICT_FAILED);
        p.members[i].certain = true;
    }
    pool_update(&p);
    return p;
}

static void test_zones(void **state)
{
    static const struct {
        const char *members;
        uint32_t permille;
        double shares[CHI_MOST]; /* as seen from zone a */
    } rows[] = {
        {"aabb", 0, {1, 1, 0, 0}},   /* each zone for itself */
        {"aabb", 500, {1, 1, 0, 0}}, /* half of the requests, half of the members */
        {"abbb", 0, {1, 0, 0, 0}}, /* a small zone with as small a share of requests, as believed */
        {"abbb", 500, {3, 1, 1, 1}}, /* or as known: half of them, a quarter of the members */
        {"aAbb", 0, {4, 0, 1, 1}},   /* half of the requests, a third of what is well: 2/3 stay */
        {"aAbbcC", 0, {6, 0, 1, 1, 0, 0}}, /* what is over goes where something is left */
        {"abbcC", 500, {2, 1, 1, 0, 0}},   /* b gets a quarter of the requests and has half */
        {"AAbb", 0, {0, 0, 1, 1}},         /* nobody near */
        {"aaBB", 0, {1, 1, 0, 0}},         /* nobody elsewhere */
        {"bbb", 0, {1, 1, 1}},             /* a zone without members */
        {"bbcccc", 700, {1, 1, 1, 1, 1, 1}},
        {"aaa", 0, {1, 1, 1}},
        {"AABB", 0, {1, 1, 1, 1}}, /* panic knows no zones */
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct pool p = zones_of(rows[i].members, 'a', rows[i].permille);
        picked_are(&p, rows[i].shares);
        pool_free(&p);
    }
}

static void test_no_zone_without_preference(void **state)
{
    struct pool p = zones_of("aab", 'a' - 1, 0);
    picked_are(&p, (double[]){1, 1, 1});
    pool_free(&p);
}

/* Seen from all zones at once, whoever fails: all that are well have the same load. */
static void test_no_zone_is_overloaded(void **state)
{
    static const char zones[] = "aabbbccccc";
    static const uint32_t sizes[3] = {2, 3, 5};
    for (uint32_t failed = 0; failed < (1u << 10) - 1; failed++) {
        char text[11] = {0};
        double load[10] = {0};
        for (uint32_t i = 0; i < 10; i++)
            text[i] = (char)(failed >> i & 1 ? zones[i] & ~0x20 : zones[i]);
        for (uint32_t zone = 0; zone < 3; zone++) {
            struct pool p = zones_of(text, (char)('a' + zone), 0);
            double total = 0;
            for (uint32_t i = 0; i < 10; i++)
                total += p.members[i].pickable ? p.members[i].effective : 0;
            for (uint32_t i = 0; i < 10; i++)
                if (p.members[i].pickable)
                    load[i] += sizes[zone] * p.members[i].effective / total;
            pool_free(&p);
        }
        double even = 10.0 / (10 - __builtin_popcount(failed));
        for (uint32_t i = 0; i < 10; i++) {
            double wanted = failed >> i & 1 ? 0 : even;
            assert_true(load[i] > wanted * 0.99 - 1e-9 && load[i] < wanted * 1.01 + 1e-9);
        }
    }
}

static void test_subsets_cover_every_member_alike(void **state)
{
    struct prng r;
    prng_seed(&r, 21);
    for (int round = 0; round < 60; round++) {
        uint32_t n = 1 + (uint32_t)prng_below(&r, 300), peers = 2 + (uint32_t)prng_below(&r, 40);
        uint32_t size = 1 + (uint32_t)prng_below(&r, 30), weights[300];
        double load[300] = {0}, total = 0;
        for (uint32_t i = 0; i < n; i++)
            total += weights[i] = round % 2 ? 1 : 1 + (uint32_t)prng_below(&r, 9);
        for (uint32_t peer = 0; peer < peers; peer++) {
            struct pool_params params = {.algorithm = ALGORITHM_TWO_CHOICES,
                                         .n = n,
                                         .subset = size,
                                         .peer = peer,
                                         .peers = peers};
            struct pool p = pool_with(&params);
            for (uint32_t i = 0; i < n; i++)
                p.members[i].weight = weights[i];
            pool_update(&p);
            assert_true(p.n_pickable >= MIN(round % 2 ? size : 1, n));
            assert_int_equal(p.n_pickable + p.n_standby, n);
            double sum = 0;
            for (uint32_t k = 0; k < p.n_pickable; k++)
                sum += p.members[p.in[k]].effective;
            for (uint32_t k = 0; k < p.n_pickable; k++)
                load[p.in[k]] += p.members[p.in[k]].effective / sum / peers;
            pool_free(&p);
        }
        for (uint32_t i = 0; i < n; i++) {
            double off = load[i] * total / weights[i] - 1;
            assert_true(off > -0.02 && off < 0.02); /* rounding of shares to 1/1024 */
        }
    }
}

/* With many peers, each has about as many as it asked for; when one member fails each peer changes
 * two at most. By key nobody has a subset. */
static void test_subsets_are_small_and_stay(void **state)
{
    enum { LARGE = 400, PEERS = 50, SIZE = 20 };
    for (uint32_t peer = 0; peer < PEERS; peer++) {
        struct pool_params params = {.algorithm = ALGORITHM_LEAST_REQUESTS,
                                     .n = LARGE,
                                     .subset = SIZE,
                                     .peer = peer,
                                     .peers = PEERS};
        struct pool p = pool_with(&params);
        bool before[LARGE];
        pool_update(&p);
        assert_in_range(p.n_pickable, SIZE, SIZE + LARGE / PEERS + 2);
        for (uint32_t gone = 0; gone < LARGE; gone += 37) {
            uint32_t changed = 0;
            for (uint32_t i = 0; i < LARGE; i++)
                before[i] = p.members[i].pickable;
            p.members[gone].draining = true;
            pool_update(&p);
            for (uint32_t i = 0; i < LARGE; i++)
                changed += i != gone && before[i] != p.members[i].pickable;
            assert_true(changed <= 3);
            p.members[gone].draining = false;
            pool_update(&p);
        }
        pool_free(&p);
        params.algorithm = ALGORITHM_MAGLEV;
        p = pool_with(&params);
        pool_update(&p);
        assert_int_equal(p.n_pickable, LARGE);
        pool_free(&p);
    }
}

/* The order of the file has no part in who is in a subset. */
static void test_subsets_go_by_key(void **state)
{
    enum { LARGE = 100 };
    struct pool_params params = {
        .algorithm = ALGORITHM_RANDOM, .n = LARGE, .subset = 10, .peers = 7};
    struct pool p = pool_with(&params), q = pool_with(&params);
    uint32_t neighbours = 0;
    for (uint32_t i = 0; i < LARGE; i++)
        p.members[i].key = q.members[LARGE - 1 - i].key = 5000 + i;
    pool_update(&p);
    pool_update(&q);
    for (uint32_t i = 0; i < LARGE; i++) {
        assert_int_equal(p.members[i].pickable, q.members[LARGE - 1 - i].pickable);
        neighbours += i > 0 && p.members[i].pickable && p.members[i - 1].pickable;
    }
    assert_in_range(neighbours, 0, p.n_pickable / 2);
    pool_free(&p);
    pool_free(&q);
}

/* A returned member's part of its share, as time passes, for all that draw by weight. */
static void test_slow_start(void **state)
{
    static const enum algorithm drawn[] = {ALGORITHM_ROUND_ROBIN, ALGORITHM_RANDOM,
                                           ALGORITHM_LEAST_REQUESTS, ALGORITHM_TWO_CHOICES};
    static const struct {
        uint64_t ms;
        double part;
    } rows[] = {{0, 0.1}, {50, 0.1}, {250, 0.25}, {500, 0.5}, {750, 0.75}, {1000, 1}, {9000, 1}};
    for (size_t a = 0; a < ARRAY_LEN(drawn); a++) {
        struct pool_params params = {
            .algorithm = drawn[a], .n = 4, .seed = 4, .slow_start = 1000 * MS};
        struct pool p = pool_with(&params);
        pool_update(&p);
        pick_at(&p, 0, 60000 * MS);
        p.members[2].returned = 60000 * MS;
        pool_update(&p);
        for (size_t k = 0; k < ARRAY_LEN(rows); k++) {
            double shares[] = {1, 1, rows[k].part, 1};
            pick_at(&p, 0, (60000 + rows[k].ms) * MS);
            picked_are(&p, shares);
        }
        assert_int_equal(p.reweigh_at, UINT64_MAX); /* and it costs nothing more */
        pool_free(&p);
    }
}

/* In steps, at the first pick after each; where all start together none is held back. */
static void test_slow_start_in_steps(void **state)
{
    struct pool_params params = {
        .algorithm = ALGORITHM_RANDOM, .n = 2, .seed = 4, .slow_start = 640 * MS};
    struct pool p = pool_with(&params);
    uint32_t changes = 0, before = 0;
    p.members[1].returned = 1;
    pool_update(&p);
    for (uint64_t now = 1; now < 1000 * MS; now += MS) {
        pick_at(&p, 0, now);
        changes += p.members[1].effective != before;
        before = p.members[1].effective;
    }
    assert_in_range(changes, 50, 66);
    p.members[0].returned = p.members[1].returned = p.clock;
    pool_update(&p);
    picked_are(&p, (double[]){1, 1});
    p.members[0].returned = UINT64_MAX; /* in the future: as if now */
    p.members[1].returned = 0;
    pool_update(&p);
    pick_at(&p, 0, UINT64_MAX - 1);
    picked_are(&p, (double[]){1, 10});
    pool_free(&p);
}

/* The alias table holds exactly the weights: each column's parts added up. */
static void test_the_draw_is_exact(void **state)
{
    struct prng r;
    prng_seed(&r, 77);
    for (int round = 0; round < 300; round++) {
        uint32_t n = 1 + (uint32_t)prng_below(&r, round % 3 ? 20 : POOL_MAX);
        struct pool_params params = {.algorithm = ALGORITHM_RANDOM, .n = n};
        struct pool p = pool_with(&params);
        double part[POOL_MAX] = {0}, total = 0;
        for (uint32_t i = 0; i < n; i++)
            total += p.members[i].weight = 1 + (uint32_t)prng_below(&r, round % 2 ? 1000 : 3);
        pool_update(&p);
        for (uint32_t k = 0; k < n; k++) {
            double first = p.alias[k].below / 0x1p32;
            part[p.alias[k].either[0]] += first / n;
            part[p.alias[k].either[1]] += (1 - first) / n;
        }
        for (uint32_t i = 0; i < n; i++) {
            double off = part[i] - p.members[i].weight / total;
            assert_true(off > -1e-9 * n && off < 1e-9 * n);
        }
        pool_free(&p);
    }
}

static void test_parameters_are_checked(void **state)
{
    struct pool p;
    struct err e;
    struct pool_params bad[] = {{.n = 3, .subset = 2, .peer = 4, .peers = 4},
                                {.n = 3, .bound_permille = 999}};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_int_equal(pool_open(&p, &bad[i], &e), -ERR_INVAL);
        pool_free(&p);
    }
    for (int a = 0; a < ALGORITHMS; a++) { /* every allocation fails once */
        struct pool_params params = {.algorithm = (enum algorithm)a, .n = 3};
        for (unsigned long at = 1;; at++) {
            mem_fail_at(at);
            int r = pool_open(&p, &params, &e);
            int failed = mem_failed();
            mem_fail_at(0);
            assert_int_equal(r, failed ? -ERR_NOMEM : 0);
            pool_free(&p);
            if (!failed)
                break;
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_priority_groups),
        cmocka_unit_test(test_priorities_are_cut),
        cmocka_unit_test(test_a_retry_may_leave_group_and_zone),
        cmocka_unit_test(test_the_failed_do_not_stand_by),
        cmocka_unit_test(test_zones),
        cmocka_unit_test(test_no_zone_without_preference),
        cmocka_unit_test(test_no_zone_is_overloaded),
        cmocka_unit_test(test_subsets_cover_every_member_alike),
        cmocka_unit_test(test_subsets_are_small_and_stay),
        cmocka_unit_test(test_subsets_go_by_key),
        cmocka_unit_test(test_slow_start),
        cmocka_unit_test(test_slow_start_in_steps),
        cmocka_unit_test(test_the_draw_is_exact),
        cmocka_unit_test(test_parameters_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
