/* The retry budget: its bound, its time, and whole pools with a sick member under it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "balance/balance.h"

#define MS     UINT64_C(1000000)
#define SECOND (1000 * MS)

static uint32_t retries_left(struct budget b, uint64_t now)
{
    uint32_t n = 0;
    while (budget_retry(&b, now))
        n++;
    return n;
}

static void test_share_and_reserve(void **state)
{
    struct budget b;
    budget_init(&b, 200, 3);
    assert_int_equal(retries_left(b, 0), 3);
    for (int i = 0; i < 50; i++)
        budget_request(&b, 0);
    assert_int_equal(retries_left(b, 0), 13);
    budget_init(&b, 5000, 0); /* at most all of them */
    budget_request(&b, 0);
    assert_int_equal(retries_left(b, 0), 1);
    budget_init(&b, 0, 0);
    budget_request(&b, 0);
    assert_int_equal(retries_left(b, 0), 0);
}

static void test_ten_seconds_and_no_more(void **state)
{
    struct budget b;
    budget_init(&b, 1000, 0);
    for (uint64_t s = 0; s < 10; s++)
        budget_request(&b, s * SECOND);
    assert_int_equal(retries_left(b, 9 * SECOND + 999 * MS), 10);
    for (uint64_t s = 10; s < 20; s++)
        assert_int_equal(retries_left(b, s * SECOND), 19 - s);
    assert_true(budget_retry(&b, 10 * SECOND));
    assert_int_equal(retries_left(b, 10 * SECOND), 8);
}

static void test_time_that_jumps(void **state)
{
    struct budget b;
    budget_init(&b, 1000, 0);
    budget_request(&b, 100 * SECOND);
    budget_request(&b, 99 * SECOND); /* back: counts now */
    budget_request(&b, 0);
    assert_int_equal(retries_left(b, 109 * SECOND), 3);
    assert_int_equal(retries_left(b, 110 * SECOND), 0);
    budget_request(&b, 110 * SECOND);
    budget_request(&b, UINT64_MAX);
    assert_int_equal(retries_left(b, UINT64_MAX), 1);
    assert_int_equal(retries_left(b, 3), 1);
}

/* Against the plainest model: every event kept, those of the last ten seconds counted. */
static void test_random_times(void **state)
{
    enum { EVENTS = 3000 };
    struct prng r;
    prng_seed(&r, 8);
    for (int round = 0; round < 20; round++) {
        struct {
            uint64_t second;
            bool retry;
        } seen[EVENTS];
        uint32_t n = 0, share = (uint32_t)prng_below(&r, 1001),
                 reserve = (uint32_t)prng_below(&r, 9);
        uint64_t now = 0, latest = 0;
        struct budget b;
        budget_init(&b, share, reserve);
        for (int i = 0; i < EVENTS; i++) {
            now += prng_below(&r, prng_below(&r, 100) ? 100 * MS : 30 * SECOND);
            uint64_t at = prng_below(&r, 10) ? now : now / 2;
            latest = MAX(latest, at / SECOND);
            uint64_t requests = 0, retries = 0;
            for (uint32_t k = 0; k < n; k++)
                if (seen[k].second + 10 > latest)
                    *(seen[k].retry ? &retries : &requests) += 1;
            bool retry = prng_below(&r, 2), taken = retry && budget_retry(&b, at);
            if (retry)
                assert_int_equal(taken, retries < requests * share / 1000 + reserve);
            else
                budget_request(&b, at);
            if (retry && !taken)
                continue;
            seen[n].second = latest;
            seen[n].retry = retry;
            n++;
        }
    }
}

/* A service under 64 closed-loop clients: pool, judges and budget together, in virtual time. */
struct simulation {
    struct pool pool;
    struct judge judges[3];
    struct budget budget;
    uint64_t sick_latency;
    enum signal_kind sick_kind;
    unsigned sick; /* how many of the members fail every request */
    uint64_t now;
    uint32_t requests, attempts, retries, denied, failed;
};

enum { CLIENTS = 64, ATTEMPTS = 3 };

struct client {
    uint64_t begin, end, key;
    int member;
    struct tried tried;
};

static void refresh(struct simulation *s)
{
    for (uint32_t i = 0; i < 3; i++) {
        struct member *m = &s->pool.members[i];
        m->verdict = (uint8_t)s->judges[i].verdict;
        m->certain = s->judges[i].certain;
        m->since = s->judges[i].since;
        m->trial = s->judges[i].reason == REASON_RECOVERING;
    }
    pool_update(&s->pool);
}

static void send(struct simulation *s, struct client *c)
{
    c->member = pool_pick(&s->pool, &c->tried, c->key, s->now);
    assert_true(c->member >= 0);
    tried_add(&c->tried, (uint32_t)c->member);
    s->attempts++;
    c->begin = s->now;
    c->end = s->now + ((unsigned)c->member < s->sick ? s->sick_latency : 10 * MS);
}

static void begin_request(struct simulation *s, struct client *c)
{
    c->tried.n = 0;
    c->key = ++s->requests * UINT64_C(0x9e3779b97f4a7c15);
    budget_request(&s->budget, s->now);
    send(s, c);
}

static void end_attempt(struct simulation *s, struct client *c)
{
    bool bad = (unsigned)c->member < s->sick;
    struct signal sig = {
        .at = s->now, .count = 1, .kind = (uint16_t)(bad ? s->sick_kind : SIGNAL_REQ_OK)};
    pool_end(&s->pool, (uint32_t)c->member, bad ? OUTCOME_FAILED : OUTCOME_OK, s->now - c->begin,
             s->now);
    if (judge_signal(&s->judges[c->member], &sig))
        refresh(s);
    bool more = bad && c->tried.n < ATTEMPTS;
    if (more && budget_retry(&s->budget, s->now)) {
        s->retries++;
        send(s, c);
        return;
    }
    s->denied += more;
    s->failed += bad;
    begin_request(s, c);
}

static struct simulation simulate(enum algorithm a, unsigned sick, enum signal_kind kind,
                                  uint64_t latency, uint64_t until, uint64_t seed)
{
    struct simulation s = {.sick = sick, .sick_kind = kind, .sick_latency = latency};
    struct judge_params p = {.eject_after = 5, .hold = SECOND, .hold_max = 30 * SECOND};
    struct client clients[CLIENTS] = {0};
    assert_int_equal(pool_init(&s.pool, a, 3, 700, seed, NULL), 0);
    budget_init(&s.budget, 200, 32);
    for (uint32_t i = 0; i < 3; i++) {
        s.pool.members[i].weight = 1;
        judge_init(&s.judges[i], &p, 0);
    }
    refresh(&s);
    for (int i = 0; i < CLIENTS; i++)
        begin_request(&s, &clients[i]);
    while (s.now < until) {
        struct client *next = &clients[0];
        for (int i = 1; i < CLIENTS; i++)
            if (clients[i].end < next->end)
                next = &clients[i];
        s.now = next->end;
        bool changed = false;
        for (uint32_t i = 0; i < 3; i++)
            changed |= judge_tick(&s.judges[i], s.now);
        if (changed)
            refresh(&s);
        end_attempt(&s, next);
    }
    pool_free(&s.pool);
    return s;
}

/* Not one request is lost, from a cold start, though the sick member is back on trial again and
 * again. */
static void test_one_sick_of_three_never_exhausts_it(void **state)
{
    static const struct {
        enum signal_kind kind;
        uint64_t latency;
    } sickness[] = {{SIGNAL_REQ_REFUSED, MS / 10},
                    {SIGNAL_REQ_5XX, 5 * MS},
                    {SIGNAL_REQ_RESET, 10 * MS},
                    {SIGNAL_REQ_TIMEOUT, 500 * MS},
                    {SIGNAL_REQ_TIMEOUT, 2000 * MS}};
    for (int a = 0; a < ALGORITHMS; a++) {
        for (size_t k = 0; k < ARRAY_LEN(sickness); k++) {
            for (uint64_t seed = 1; seed <= 2; seed++) {
                struct simulation s = simulate((enum algorithm)a, 1, sickness[k].kind,
                                               sickness[k].latency, 20 * SECOND, seed);
                if (s.denied || s.failed)
                    fail_msg("%s, sickness %zu: %u denied, %u failed of %u",
                             algorithm_name((enum algorithm)a), k, s.denied, s.failed, s.requests);
                assert_true(s.retries >= 5 && s.requests > 30000);
            }
        }
    }
}

/* All three fail: the load on them stays within what was asked plus share and reserve. */
static void test_a_sick_service_is_not_asked_much_more(void **state)
{
    for (int a = 0; a < ALGORITHMS; a++) {
        struct simulation s =
            simulate((enum algorithm)a, 3, SIGNAL_REQ_5XX, 5 * MS, 60 * SECOND, 1);
        assert_true(s.attempts == s.requests + s.retries);
        assert_true(s.retries <= s.requests / 5 + 32 * 7); /* a reserve for each ten seconds */
        assert_true(s.denied > 0 && s.failed > s.requests / 2);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_share_and_reserve),
        cmocka_unit_test(test_ten_seconds_and_no_more),
        cmocka_unit_test(test_time_that_jumps),
        cmocka_unit_test(test_random_times),
        cmocka_unit_test(test_one_sick_of_three_never_exhausts_it),
        cmocka_unit_test(test_a_sick_service_is_not_asked_much_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
