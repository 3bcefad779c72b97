/* What several nodes see: who counts, who decides, and what is said of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/base.h"
#include "base/prng.h"
#include "detect/findings.h"
#include "detect/fuse.h"

#define SECOND UINT64_C(1000000000)
#define NOW    (1000 * SECOND)
#define FRESH  (6 * SECOND)

static const struct fuse_params params = {FRESH, 3 * SECOND};

static struct observation sees(uint64_t node, enum reason r)
{
    return (struct observation){.node = node,
                                .at = NOW - SECOND,
                                .since = NOW - 10 * SECOND,
                                .verdict = (uint8_t)reason_verdict(r),
                                .reason = (uint8_t)r,
                                .counts = true};
}

static struct observation here(enum reason r, bool good)
{
    struct observation o = sees(0, r);
    o.good = good;
    return o;
}

#define WELL    REASON_CHECKS_PASS
#define DOWN    REASON_CHECKS_FAIL
#define UNKNOWN REASON_UNCHECKED

static const char *name(void *context, uint64_t node)
{
    static const char *const names[] = {NULL, "b", "c", "d", "e", "f", "g", "h", "i"};
    return node < ARRAY_LEN(names) ? names[node] : NULL;
}

static void says(const struct observation *own, const struct observation *others, uint32_t n,
                 const char *text)
{
    char out[256];
    struct fused f = fuse(own, others, n, &params, NOW);
    size_t length = fuse_explain(&f, own, others, n, FRESH, NOW, name, NULL, out, sizeof out);
    assert_int_equal(length, strlen(out));
    assert_string_equal(out, text);
}

static void is(struct observation own, const struct observation *others, uint32_t n, enum verdict v,
               enum reason r)
{
    struct fused f = fuse(&own, others, n, &params, NOW);
    assert_int_equal(f.reason, r);
    assert_int_equal(f.verdict, v);
}

static void test_alone_it_is_the_own_verdict(void **state)
{
    for (unsigned r = 0; r < REASONS_OF_JUDGES; r++) {
        struct observation own = here((enum reason)r, true);
        own.certain = true;
        struct fused f = fuse(&own, NULL, 0, &params, NOW);
        assert_int_equal(f.reason, r);
        assert_int_equal(f.verdict, reason_verdict((enum reason)r));
        assert_true(f.certain && !f.others);
        says(&own, NULL, 0, "");
    }
}

static void test_the_own_path_decides_here(void **state)
{
    struct observation both[] = {sees(1, WELL), sees(2, WELL)};
    struct observation split[] = {sees(1, WELL), sees(2, DOWN)};
    struct observation down[] = {sees(1, DOWN), sees(2, DOWN)};
    is(here(DOWN, false), both, 2, VERDICT_FAILED, REASON_OWN_PATH);
    is(here(DOWN, false), split, 2, VERDICT_FAILED, DOWN);
    is(here(DOWN, false), down, 2, VERDICT_FAILED, DOWN);
    is(here(DOWN, false), both, 1, VERDICT_FAILED, REASON_OWN_PATH);
    is(here(WELL, true), down, 2, VERDICT_HEALTHY, WELL); /* what works here works here */
    struct observation early = here(DOWN, false);
    early.since = NOW - 3 * SECOND + 1; /* the others may see the same in a moment */
    is(early, both, 2, VERDICT_FAILED, DOWN);
    struct observation certain = here(DOWN, false);
    certain.certain = true;
    assert_true(fuse(&certain, both, 2, &params, NOW).certain);
}

static void test_others_decide_what_is_not_known_here(void **state)
{
    struct observation down[] = {sees(1, DOWN), sees(2, DOWN), sees(3, WELL), sees(4, WELL)};
    down[0].certain = down[1].certain = true;
    is(here(UNKNOWN, false), down, 2, VERDICT_FAILED, REASON_AGREED);
    is(here(UNKNOWN, false), down, 3, VERDICT_FAILED, REASON_AGREED);
    is(here(UNKNOWN, false), down, 4, VERDICT_SUSPECT, UNKNOWN); /* half is no majority */
    is(here(REASON_CHECK_FAILING, false), down, 2, VERDICT_FAILED, REASON_AGREED);
    is(here(REASON_CHECK_FAILING, false), down, 3, VERDICT_SUSPECT, REASON_CHECK_FAILING);
    struct observation stale = here(WELL, true);
    stale.at = NOW - FRESH - 1;
    is(stale, down, 2, VERDICT_FAILED, REASON_AGREED);
    is(stale, down, 3, VERDICT_HEALTHY, WELL);
    struct observation failing = here(WELL, false); /* its latest evidence is bad */
    is(failing, down, 2, VERDICT_FAILED, REASON_AGREED);
    struct fused f = fuse(&failing, down, 2, &params, NOW);
    assert_false(f.certain); /* that is of the own path only */
    assert_true(f.others);
}

static void test_one_bad_observer_fails_nothing(void **state)
{
    struct observation one[] = {sees(1, DOWN)};
    struct observation unknown[] = {sees(1, DOWN), sees(2, UNKNOWN), sees(3, UNKNOWN)};
    is(here(UNKNOWN, false), one, 1, VERDICT_SUSPECT, UNKNOWN);
    is(here(UNKNOWN, false), unknown, 3, VERDICT_SUSPECT, UNKNOWN);
    is(here(REASON_CHECK_FAILING, false), one, 1, VERDICT_SUSPECT, REASON_CHECK_FAILING);
}

static void test_who_does_not_count(void **state)
{
    for (int how = 0; how < 4; how++) {
        struct observation all[] = {sees(1, DOWN), sees(2, DOWN), sees(3, DOWN)};
        for (size_t i = 0; i < 2; i++) {
            if (how == 0)
                all[i].counts = false;
            else if (how == 1)
                all[i].at = NOW - FRESH - 1;
            else if (how == 2)
                all[i].at = 0;
            else
                all[i].verdict = VERDICTS;
        }
        is(here(UNKNOWN, false), all, 3, VERDICT_SUSPECT, UNKNOWN);
        struct observation own = here(UNKNOWN, false);
        assert_int_equal(fuse(&own, all, 3, &params, NOW).observers, 1);
    }
    struct observation edge[] = {sees(1, DOWN), sees(2, DOWN)};
    edge[0].at = NOW - FRESH;
    edge[1].at = NOW + SECOND; /* clocks are read at different moments */
    is(here(UNKNOWN, false), edge, 2, VERDICT_FAILED, REASON_AGREED);
}

static void test_maintenance_keeps_what_was_good(void **state)
{
    struct observation own = here(DOWN, false);
    own.certain = true;
    struct fused f = fuse(&own, NULL, 0, &params, NOW);
    fuse_keep(&f, VERDICT_HEALTHY, REASON_SERVING);
    assert_int_equal(f.verdict, VERDICT_HEALTHY);
    assert_int_equal(f.reason, REASON_SERVING);
    assert_true(f.kept && !f.certain);
    own = here(WELL, true);
    f = fuse(&own, NULL, 0, &params, NOW);
    fuse_keep(&f, VERDICT_DEGRADED, REASON_ERROR_RATE); /* better than it was: no need */
    assert_int_equal(f.reason, WELL);
    assert_false(f.kept);
}

static void test_it_says_who_sees_what(void **state)
{
    struct observation own = here(DOWN, false), unknown = here(UNKNOWN, false);
    struct observation all[] = {sees(1, WELL), sees(2, WELL), sees(3, DOWN),
                                sees(4, REASON_CHECK_FAILING), sees(5, UNKNOWN)};
    says(&own, all, 1, "failed here, healthy from b: my path");
    says(&own, all, 2, "failed here, healthy from b and c: my path");
    says(&own, all, 5, "failed here, failed from d, suspect from e, healthy from b and c: my path");
    says(&unknown, all + 2, 1, "unknown here, failed from d");
    struct observation many[12];
    for (uint64_t i = 0; i < ARRAY_LEN(many); i++)
        many[i] = sees(i + 1, WELL);
    says(&own, many, 12, "failed here, healthy from b, c, d, e, f, g and 6 more: my path");
    char cut[8];
    struct fused f = fuse(&own, all, 2, &params, NOW);
    size_t n = fuse_explain(&f, &own, all, 2, FRESH, NOW, name, NULL, cut, sizeof cut);
    assert_int_equal(n, 7);
    assert_string_equal(cut, "failed ");
}

static void test_the_own_observation(void **state)
{
    struct judge j;
    struct judge_params p = {.checked = true, .rise = 2, .fall = 3, .hold = SECOND};
    judge_init(&j, &p, NOW);
    struct observation o = observation_of(&j);
    assert_true(o.at == 0 && !o.good && o.reason == REASON_UNCHECKED);
    struct signal s = {.at = NOW + SECOND, .count = 1, .kind = SIGNAL_CHECK_OK};
    judge_signal(&j, &s);
    o = observation_of(&j);
    assert_true(o.at == NOW + SECOND && o.good && o.verdict == VERDICT_HEALTHY);
    s.kind = SIGNAL_CHECK_TIMEOUT;
    judge_signal(&j, &s);
    assert_false(observation_of(&j).good);
}

/* Whatever others say: without two who agree nothing fails for them, what fails here is failed,
 * what works here works, and the order of the others does not matter. */
static void test_random_clusters(void **state)
{
    static const enum reason reasons[] = {
        WELL, DOWN, UNKNOWN, REASON_CHECK_FAILING, REASON_ERROR_RATE, REASON_REQUESTS_FAIL};
    struct prng r;
    unsigned agreed = 0, own_path = 0;
    prng_seed(&r, 11);
    for (int round = 0; round < 200000; round++) {
        struct observation others[8], own = here(reasons[prng_below(&r, 6)], prng_below(&r, 2));
        uint32_t n = (uint32_t)prng_below(&r, 9), failing = 0;
        if (prng_below(&r, 3) == 0)
            own.at = NOW - prng_below(&r, 3) * FRESH;
        for (uint32_t i = 0; i < n; i++) {
            others[i] = sees(i + 1, reasons[prng_below(&r, 6)]);
            others[i].counts = prng_below(&r, 5) > 0;
            others[i].at = NOW - prng_below(&r, 8) * SECOND;
            failing +=
                others[i].verdict == VERDICT_FAILED && observation_knows(&others[i], FRESH, NOW);
        }
        struct fused f = fuse(&own, others, n, &params, NOW);
        if (own.verdict == VERDICT_FAILED)
            assert_int_equal(f.verdict, VERDICT_FAILED);
        else if (f.verdict == VERDICT_FAILED)
            assert_true(failing >= 2 && failing * 2 > f.observers && !f.certain);
        else
            assert_int_equal(f.reason, own.reason);
        bool works = own.good && NOW - own.at <= FRESH && own.verdict <= VERDICT_DEGRADED;
        assert_true(!works || f.verdict == (enum verdict)own.verdict);
        agreed += f.reason == REASON_AGREED;
        own_path += f.reason == REASON_OWN_PATH;
        for (uint32_t i = 0; i < n / 2; i++) {
            struct observation o = others[i];
            others[i] = others[n - 1 - i];
            others[n - 1 - i] = o;
        }
        struct fused again = fuse(&own, others, n, &params, NOW);
        assert_true(f.reason == again.reason && f.observers == again.observers);
    }
    assert_true(agreed > 1000 && own_path > 1000);
}

/* A program's own words are true wherever they are read. */
static void test_what_is_seen_from_inside_is_believed(void **state)
{
    (void)state;
    const enum reason log_failed = finding_reason(FINDING_LOG_RULE, VERDICT_FAILED);
    const enum reason log_degraded = finding_reason(FINDING_LOG_RATE, VERDICT_DEGRADED);
    struct observation own = here(REASON_CHECKS_PASS, true), others[2];
    others[0] = sees(1, log_degraded);
    struct fused f = fuse(&own, others, 1, &params, NOW);
    assert_int_equal(f.verdict, VERDICT_DEGRADED);
    assert_int_equal(f.reason, log_degraded);
    assert_true(f.others && !f.certain);
    /* the worst of several, in any order */
    others[1] = sees(2, log_failed);
    f = fuse(&own, others, 2, &params, NOW);
    assert_int_equal(f.reason, log_failed);
    struct observation swapped[2] = {others[1], others[0]};
    f = fuse(&own, swapped, 2, &params, NOW);
    assert_int_equal(f.reason, log_failed);
    /* not of one that does not count, nor of old evidence, nor what is seen over a path */
    others[1].counts = false;
    f = fuse(&own, others, 2, &params, NOW);
    assert_int_equal(f.reason, log_degraded);
    others[1].counts = true;
    others[1].at = NOW - FRESH - SECOND;
    f = fuse(&own, others, 2, &params, NOW);
    assert_int_equal(f.reason, log_degraded);
    others[0] = sees(1, finding_reason(FINDING_SLOWER_THAN_POOL, VERDICT_DEGRADED));
    f = fuse(&own, others, 1, &params, NOW);
    assert_int_equal(f.verdict, VERDICT_HEALTHY);
    /* what the own log says is no matter of the own path, though others reach it well */
    own = here(log_failed, false);
    others[0] = sees(1, REASON_CHECKS_PASS);
    others[1] = sees(2, REASON_CHECKS_PASS);
    f = fuse(&own, others, 2, &params, NOW);
    assert_int_equal(f.reason, log_failed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_alone_it_is_the_own_verdict),
        cmocka_unit_test(test_the_own_path_decides_here),
        cmocka_unit_test(test_others_decide_what_is_not_known_here),
        cmocka_unit_test(test_one_bad_observer_fails_nothing),
        cmocka_unit_test(test_who_does_not_count),
        cmocka_unit_test(test_maintenance_keeps_what_was_good),
        cmocka_unit_test(test_it_says_who_sees_what),
        cmocka_unit_test(test_the_own_observation),
        cmocka_unit_test(test_what_is_seen_from_inside_is_believed),
        cmocka_unit_test(test_random_clusters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
