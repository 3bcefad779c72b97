/* The circuit breaker: when it opens, whom it lets through, how it closes; every order of events
 * against its table; many threads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "balance/breaker.h"
#include "balance/balance_test.h"
#include "balance/threads_test.h"

#define SECOND (1000 * MS)

static const struct breaker_params half = {.failure_permille = 500,
                                           .requests = 10,
                                           .window = 10 * SECOND,
                                           .open_for = 5 * SECOND,
                                           .probes = 3};

static bool pass(struct breaker *b, enum outcome o, uint64_t now)
{
    struct breaker_ticket t = breaker_ask(b, &half, now, NULL);
    assert_false(t.stopped);
    return breaker_tell(b, &half, t, o, now);
}

static void fail_it(struct breaker *b, uint64_t now)
{
    for (int i = 0; i < 9; i++)
        assert_false(pass(b, OUTCOME_FAILED, now));
    assert_true(pass(b, OUTCOME_FAILED, now));
    assert_int_equal(breaker_state(b), BREAKER_OPEN);
}

static void test_few_requests_say_nothing(void **state)
{
    struct breaker b = {0};
    for (int i = 0; i < 9; i++)
        assert_false(pass(&b, OUTCOME_FAILED, SECOND));
    assert_int_equal(breaker_state(&b), BREAKER_CLOSED);
    assert_false(pass(&b, OUTCOME_ABANDONED, SECOND)); /* says nothing */
    assert_true(pass(&b, OUTCOME_FAILED, SECOND));
    assert_int_equal(atomic_load(&b.opened), 1);
}

static void test_the_share_opens_it(void **state)
{
    struct breaker b = {0};
    for (uint64_t i = 0; i < 51; i++)
        assert_false(pass(&b, OUTCOME_OK, SECOND + i));
    for (uint64_t i = 0; i < 50; i++)
        assert_false(pass(&b, OUTCOME_FAILED, 2 * SECOND + i));
    uint64_t failed, requests;
    breaker_counts(&b, &half, 3 * SECOND, &failed, &requests);
    assert_int_equal(failed, 50);
    assert_int_equal(requests, 101);
    assert_true(pass(&b, OUTCOME_FAILED, 3 * SECOND)); /* 51 of 102 */
}

static void test_the_window_passes(void **state)
{
    struct breaker b = {0};
    for (uint64_t i = 0; i < 1000; i++) /* one failure in two seconds, for half an hour */
        assert_false(pass(&b, OUTCOME_FAILED, i * 2 * SECOND));
    uint64_t failed, requests;
    breaker_counts(&b, &half, 2000 * SECOND, &failed, &requests);
    assert_in_range(failed, 4, 5);
}

static void test_open_then_probes_then_closed(void **state)
{
    struct breaker b = {0};
    bool changed;
    fail_it(&b, SECOND);
    assert_true(breaker_ask(&b, &half, 6 * SECOND - 1, &changed).stopped);
    assert_false(changed);
    assert_int_equal(breaker_wait(&b, 2 * SECOND), 4 * SECOND);
    struct breaker_ticket t[4];
    for (int i = 0; i < 4; i++) {
        t[i] = breaker_ask(&b, &half, 6 * SECOND, &changed);
        assert_int_equal(changed, i == 0);
        assert_int_equal(t[i].stopped, i == 3);
        assert_int_equal(t[i].probe, i < 3);
    }
    assert_int_equal(breaker_state(&b), BREAKER_HALF_OPEN);
    assert_false(breaker_tell(&b, &half, t[0], OUTCOME_OK, 7 * SECOND));
    assert_true(breaker_ask(&b, &half, 7 * SECOND, NULL).stopped); /* three were asked for */
    assert_false(breaker_tell(&b, &half, t[1], OUTCOME_ABANDONED, 7 * SECOND));
    t[1] = breaker_ask(&b, &half, 7 * SECOND, NULL); /* its place is free again */
    assert_true(t[1].probe);
    assert_false(breaker_tell(&b, &half, t[1], OUTCOME_OK, 7 * SECOND));
    assert_true(breaker_tell(&b, &half, t[2], OUTCOME_OK, 7 * SECOND));
    assert_int_equal(breaker_state(&b), BREAKER_CLOSED);
    fail_it(&b, 7 * SECOND); /* from an empty window */
}

static void test_a_bad_probe_opens_it_again(void **state)
{
    struct breaker b = {0};
    fail_it(&b, SECOND);
    struct breaker_ticket good = breaker_ask(&b, &half, 6 * SECOND, NULL);
    struct breaker_ticket bad = breaker_ask(&b, &half, 6 * SECOND, NULL);
    assert_true(breaker_tell(&b, &half, bad, OUTCOME_FAILED, 8 * SECOND));
    assert_int_equal(breaker_state(&b), BREAKER_OPEN);
    assert_false(breaker_tell(&b, &half, good, OUTCOME_OK, 8 * SECOND)); /* too late */
    assert_true(breaker_ask(&b, &half, 13 * SECOND - 1, NULL).stopped);
    assert_true(breaker_ask(&b, &half, 13 * SECOND, NULL).probe);
    assert_false(breaker_tell(&b, &half, good, OUTCOME_FAILED, 13 * SECOND)); /* of another time */
    assert_int_equal(breaker_state(&b), BREAKER_HALF_OPEN);
    assert_int_equal(atomic_load(&b.opened), 2);
}

static void test_late_failures_of_before_count_nothing(void **state)
{
    struct breaker b = {0};
    struct breaker_ticket old[20];
    for (int i = 0; i < 20; i++)
        old[i] = breaker_ask(&b, &half, SECOND, NULL);
    fail_it(&b, SECOND);
    for (int i = 0; i < 10; i++)
        assert_false(breaker_tell(&b, &half, old[i], OUTCOME_FAILED, 2 * SECOND));
    for (int i = 0; i < 3; i++)
        pass(&b, OUTCOME_OK, 6 * SECOND);
    assert_int_equal(breaker_state(&b), BREAKER_CLOSED);
    for (int i = 10; i < 20; i++)
        assert_false(breaker_tell(&b, &half, old[i], OUTCOME_FAILED, 6 * SECOND));
    assert_int_equal(breaker_state(&b), BREAKER_CLOSED);
}

/* Probes that never come back do not keep it half-open for ever. */
static void test_lost_probes(void **state)
{
    struct breaker b = {0};
    bool changed;
    fail_it(&b, SECOND);
    for (int i = 0; i < 3; i++)
        breaker_ask(&b, &half, 6 * SECOND, NULL);
    assert_true(breaker_ask(&b, &half, 11 * SECOND - 1, NULL).stopped);
    assert_true(breaker_ask(&b, &half, 11 * SECOND, &changed).probe);
    assert_true(changed);
}

static void test_turned_off(void **state)
{
    struct breaker b = {0};
    struct breaker_params off = half;
    off.failure_permille = 0;
    fail_it(&b, SECOND);
    struct breaker_ticket t = breaker_ask(&b, &off, SECOND, NULL);
    assert_false(t.stopped);
    assert_false(breaker_tell(&b, &off, t, OUTCOME_FAILED, SECOND));
}

/* Against the plainest model of the table, over random events and times. */
struct model {
    enum breaker_state state;
    uint64_t until;
    uint32_t given, good, generation;
    struct {
        uint64_t tenth;
        bool failed;
    } seen[4000];
    uint32_t n;
};

static void enter(struct model *m, enum breaker_state s, uint64_t now)
{
    m->state = s;
    m->until = now + half.open_for;
    m->given = m->good = m->n = 0;
    m->generation++;
}

static struct breaker_ticket model_ask(struct model *m, uint64_t now)
{
    if (m->state != BREAKER_CLOSED && now >= m->until)
        enter(m, BREAKER_HALF_OPEN, now);
    bool probe = m->state == BREAKER_HALF_OPEN && m->given + m->good < half.probes;
    m->given += probe;
    return (struct breaker_ticket){m->generation, m->state != BREAKER_CLOSED && !probe, probe};
}

static void model_tell(struct model *m, struct breaker_ticket t, enum outcome o, uint64_t now)
{
    if (t.generation != m->generation)
        return;
    if (t.probe) {
        m->given--;
        m->good += o == OUTCOME_OK;
        if (o == OUTCOME_FAILED)
            enter(m, BREAKER_OPEN, now);
        else if (m->good == half.probes)
            enter(m, BREAKER_CLOSED, now);
        return;
    }
    if (o == OUTCOME_ABANDONED)
        return;
    m->seen[m->n].tenth = now / SECOND;
    m->seen[m->n++].failed = o == OUTCOME_FAILED;
    uint32_t failed = 0, all = 0;
    for (uint32_t i = 0; i < m->n; i++) {
        bool in = m->seen[i].tenth + 10 > now / SECOND;
        all += in;
        failed += in && m->seen[i].failed;
    }
    if (o == OUTCOME_FAILED && all >= half.requests && failed * 2 >= all)
        enter(m, BREAKER_OPEN, now);
}

static void test_random_events_against_the_table(void **state)
{
    enum { UNDER_WAY = 12 };
    static struct model m;
    uint32_t visits[BREAKER_STATES] = {0};
    struct prng r;
    prng_seed(&r, 4);
    for (int round = 0; round < 50; round++) {
        struct breaker b = {0};
        m = (struct model){0};
        struct breaker_ticket t[UNDER_WAY] = {0}, mt[UNDER_WAY] = {0};
        bool used[UNDER_WAY] = {0};
        uint64_t now = 1000 * SECOND, bad = prng_below(&r, 100);
        for (int i = 0; i < 3000; i++) {
            uint64_t k = prng_below(&r, UNDER_WAY);
            now += prng_below(&r, SECOND);
            if (!used[k]) {
                t[k] = breaker_ask(&b, &half, now, NULL);
                mt[k] = model_ask(&m, now);
                assert_int_equal(t[k].stopped, mt[k].stopped);
                assert_int_equal(t[k].probe, mt[k].probe);
                used[k] = !t[k].stopped;
            } else {
                enum outcome o = prng_below(&r, 100) < bad ? OUTCOME_FAILED
                                 : prng_below(&r, 10) == 0 ? OUTCOME_ABANDONED
                                                           : OUTCOME_OK;
                enum breaker_state before = m.state;
                uint32_t generation = m.generation;
                model_tell(&m, mt[k], o, now);
                assert_int_equal(breaker_tell(&b, &half, t[k], o, now),
                                 before != m.state || generation != m.generation);
                used[k] = false;
            }
            assert_int_equal(breaker_state(&b), m.state);
            visits[m.state]++;
        }
    }
    for (int s = 0; s < BREAKER_STATES; s++)
        assert_true(visits[s] > 1000);
}

struct storm {
    struct breaker b;
    struct breaker_params p;
    _Atomic uint64_t clock, probes, changes, passed, stopped;
};

static void storm_requests(void *context, uint32_t number)
{
    struct storm *s = context;
    for (int i = 0; i < 100000; i++) {
        uint64_t now = atomic_fetch_add(&s->clock, MS);
        bool changed;
        struct breaker_ticket t = breaker_ask(&s->b, &s->p, now, &changed);
        atomic_fetch_add(&s->changes, changed);
        atomic_fetch_add(t.stopped ? &s->stopped : &s->passed, 1);
        atomic_fetch_add(&s->probes, t.probe);
        bool sick = now / (60 * SECOND) % 2;
        if (!t.stopped && breaker_tell(&s->b, &s->p, t, sick ? OUTCOME_FAILED : OUTCOME_OK, now))
            atomic_fetch_add(&s->changes, 1);
    }
}

/* 400 s of a thousand requests a second, sick every other minute. */
static void test_threads(void **state)
{
    struct storm s = {.p = half};
    atomic_store(&s.clock, 0);
    in_threads(storm_requests, &s);
    uint64_t opened = atomic_load(&s.b.opened);
    assert_in_range(opened, 3 * 2, 3 * 16); /* each minute once, and then after each 5 s */
    assert_in_range(atomic_load(&s.changes), 2 * opened - 1, 2 * opened + 10);
    assert_in_range(atomic_load(&s.probes), opened - 3, opened * half.probes + 20);
    assert_true(atomic_load(&s.stopped) > 100000 && atomic_load(&s.passed) > 150000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_few_requests_say_nothing),
        cmocka_unit_test(test_the_share_opens_it),
        cmocka_unit_test(test_the_window_passes),
        cmocka_unit_test(test_open_then_probes_then_closed),
        cmocka_unit_test(test_a_bad_probe_opens_it_again),
        cmocka_unit_test(test_late_failures_of_before_count_nothing),
        cmocka_unit_test(test_lost_probes),
        cmocka_unit_test(test_turned_off),
        cmocka_unit_test(test_random_events_against_the_table),
        cmocka_unit_test(test_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
