/* Limits, gates and queues: bounds, order, turns between workers, and no wake-up lost. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "balance/admit.h"
#include "balance/balance_test.h"
#include "balance/threads_test.h"

static void test_a_limit(void **state)
{
    struct limit l = {0};
    for (int i = 0; i < 1000; i++)
        assert_true(limit_take(&l)); /* none was set */
    limit_set(&l, 2, 1000);
    assert_false(limit_take(&l));
    for (int i = 0; i < 999; i++) {
        limit_give(&l);
        assert_int_equal(limit_take(&l), i == 998);
    }
    assert_true(limit_full(&l));
    assert_int_equal(limit_used(&l), 2);
    limit_set(&l, 0, 1000);
    assert_true(limit_take(&l));
    assert_false(limit_full(&l));
}

static void test_a_share_of_a_limit(void **state)
{
    struct limit l = {0};
    limit_set(&l, 10, 250);
    assert_true(limit_take(&l) && limit_take(&l));
    assert_false(limit_take(&l));
    limit_set(&l, 10, 500);
    assert_true(limit_take(&l) && limit_take(&l) && limit_take(&l));
    assert_false(limit_take(&l));
    limit_set(&l, 10, 0);
    limit_give(&l), limit_give(&l), limit_give(&l), limit_give(&l);
    assert_false(limit_take(&l));
    limit_give(&l);
    assert_true(limit_take(&l)); /* never less than one */
}

static void test_newcomers_do_not_pass_who_waits(void **state)
{
    struct gate g = {0};
    struct queue q;
    struct waiter w = {0};
    limit_set(&g.limit, 1, 1000);
    queue_init(&q, &g, 5);
    assert_true(gate_take(&g));
    assert_int_equal(gate_next(&g), -1);
    assert_true(queue_join(&q, &w, 1, 10, 20));
    limit_give(&g.limit);
    assert_false(gate_take(&g));
    assert_int_equal(gate_next(&g), 5);
    assert_ptr_equal(queue_first(&q), &w);
    assert_true(limit_take(&g.limit));
    queue_leave(&q, &w);
    queue_leave(&q, &w);
    assert_int_equal(gate_next(&g), -1);
    limit_give(&g.limit);
    assert_true(gate_take(&g));
}

static void test_the_queue_is_bounded_over_workers(void **state)
{
    struct gate g = {0};
    struct queue q[2];
    struct waiter w[4] = {0};
    queue_init(&q[0], &g, 0);
    queue_init(&q[1], &g, 63);
    assert_false(queue_join(&q[0], &w[0], 0, 1, 2));
    assert_true(queue_join(&q[0], &w[0], 3, 1, 2));
    assert_true(queue_join(&q[1], &w[1], 3, 1, 2));
    assert_true(queue_join(&q[1], &w[2], 3, 1, 2));
    assert_false(queue_join(&q[0], &w[3], 3, 1, 2));
    assert_false(w[3].queued);
    queue_leave(&q[1], &w[1]);
    assert_true(queue_join(&q[0], &w[3], 3, 1, 2));
}

static void test_order_and_deadlines(void **state)
{
    enum { N = 300 };
    struct gate g = {0};
    struct queue q;
    struct waiter w[N] = {0};
    struct prng r;
    prng_seed(&r, 1);
    queue_init(&q, &g, 1);
    assert_null(queue_first(&q));
    assert_int_equal(queue_deadline(&q), UINT64_MAX);
    for (uint64_t i = 0; i < N; i++)
        assert_true(queue_join(&q, &w[i], N, i, 1000 + prng_below(&r, 50)));
    for (uint32_t i = 0; i < N; i += 3)
        queue_leave(&q, &w[i]);
    struct waiter *last = NULL;
    uint32_t n = 0;
    for (struct waiter *at = queue_first(&q); at; at = queue_after(&q, at), n++) {
        if (last)
            assert_true(last->deadline < at->deadline ||
                        (last->deadline == at->deadline && last->since < at->since));
        last = at;
    }
    assert_int_equal(n, N - N / 3);
    assert_null(queue_expired(&q, queue_deadline(&q) - 1));
    for (uint64_t now = 1000; now <= 1050; now++) {
        for (struct waiter *at; (at = queue_expired(&q, now)); n--) {
            assert_true(at->deadline == now);
            queue_leave(&q, at);
        }
    }
    assert_int_equal(n, 0);
    assert_int_equal(atomic_load(&g.waiting), 0);
    assert_int_equal(atomic_load(&g.queued), 0);
}

/* However long their queues are, workers are woken equally often. */
static void test_turns(void **state)
{
    static const uint32_t workers[] = {0, 3, 17, 62, 63};
    struct gate g = {0};
    struct queue q[ARRAY_LEN(workers)];
    struct waiter w[ARRAY_LEN(workers)][5] = {0};
    uint32_t woken[GATE_WORKERS_MAX] = {0};
    for (size_t i = 0; i < ARRAY_LEN(workers); i++) {
        queue_init(&q[i], &g, workers[i]);
        for (size_t k = 0; k <= i; k++)
            queue_join(&q[i], &w[i][k], 100, 1, 2);
    }
    for (int i = 0; i < 50; i++)
        woken[gate_next(&g)]++;
    for (size_t i = 0; i < ARRAY_LEN(workers); i++)
        assert_int_equal(woken[workers[i]], 10);
}

/* Each thread is a worker: takes a place or waits for one; gives it back and wakes whom it should.
 * A lost wake-up would leave some waiting for ever, and the test with them. */
enum { PLACES = 3, ROUNDS = 20000, EACH = 4 };

struct mill {
    struct gate gate;
    _Atomic uint32_t wake[THREADS];
    _Atomic uint32_t inside, most_inside, ended;
};

struct worker_state {
    struct mill *m;
    struct queue q;
    struct waiter w[EACH];
    uint32_t held, done;
};

static void wake_next(struct mill *m)
{
    int next = gate_next(&m->gate);
    if (next >= 0)
        atomic_store(&m->wake[next], 1);
}

static void entered(struct worker_state *s)
{
    uint32_t inside = atomic_fetch_add(&s->m->inside, 1) + 1;
    uint32_t most = atomic_load(&s->m->most_inside);
    while (inside > most && !atomic_compare_exchange_weak(&s->m->most_inside, &most, inside))
        ;
    s->held++;
}

static void leave_all(struct worker_state *s)
{
    for (; s->held > 0; s->held--, s->done++) {
        atomic_fetch_sub(&s->m->inside, 1);
        limit_give(&s->m->gate.limit);
        wake_next(s->m);
    }
}

/* What a worker does when woken, and after its own requests joined the queue. */
static void serve_queue(struct worker_state *s)
{
    struct waiter *w;
    while ((w = queue_first(&s->q)) && limit_take(&s->m->gate.limit)) {
        queue_leave(&s->q, w);
        entered(s);
    }
    if (!w && !limit_full(&s->m->gate.limit))
        wake_next(s->m);
}

static void arrive(struct worker_state *s)
{
    for (int i = 0; i < EACH; i++) {
        if (s->w[i].queued)
            continue;
        if (gate_take(&s->m->gate))
            entered(s);
        else if (queue_join(&s->q, &s->w[i], 1000, 1, 2))
            serve_queue(s);
    }
}

static void be_worker(void *context, uint32_t number)
{
    struct worker_state s = {.m = context};
    queue_init(&s.q, &s.m->gate, number);
    while (s.done < ROUNDS) {
        arrive(&s);
        leave_all(&s);
        while (s.q.n == EACH && !atomic_exchange(&s.m->wake[number], 0))
            ;
        serve_queue(&s);
        leave_all(&s);
    }
    while (queue_first(&s.q))
        queue_leave(&s.q, queue_first(&s.q));
    wake_next(s.m); /* it may have been woken for nothing */
}

static void test_no_wake_up_is_lost(void **state)
{
    struct mill m = {0};
    limit_set(&m.gate.limit, PLACES, 1000);
    in_threads(be_worker, &m);
    assert_in_range(atomic_load(&m.most_inside), 1, PLACES);
    assert_int_equal(atomic_load(&m.gate.limit.used), 0);
    assert_int_equal(atomic_load(&m.gate.queued), 0);
    assert_int_equal(atomic_load(&m.gate.waiting), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_limit),
        cmocka_unit_test(test_a_share_of_a_limit),
        cmocka_unit_test(test_newcomers_do_not_pass_who_waits),
        cmocka_unit_test(test_the_queue_is_bounded_over_workers),
        cmocka_unit_test(test_order_and_deadlines),
        cmocka_unit_test(test_turns),
        cmocka_unit_test(test_no_wake_up_is_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
