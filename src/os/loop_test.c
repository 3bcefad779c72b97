/* Units of the real loop: edges, timers, deferred work, and ending things inside handlers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <sys/socket.h>
#include <unistd.h>

#include "os/os.h"

struct fixture {
    struct loop *loop;
    struct io io[2];
    int pair[2][2];
    struct timer timers[3];
    int fired[3], ready;
    uint64_t fired_at[3];
    struct task task;
};

static struct fixture f;

static int setup(void **state)
{
    (void)state;
    memset(&f, 0, sizeof f);
    struct err e = {0};
    assert_int_equal(loop_new(&f.loop, &e), 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    loop_free(f.loop);
    return 0;
}

static void on_fire(struct timer *t)
{
    size_t i = (size_t)(t - f.timers);
    f.fired[i]++;
    f.fired_at[i] = clock_now();
    if (i == 2)
        loop_stop(f.loop);
}

static void timers_fire_in_order_and_never_early(void **state)
{
    (void)state;
    uint64_t now = loop_refresh(f.loop);
    for (int i = 0; i < 3; i++) {
        timer_init(&f.timers[i], on_fire);
        loop_timer_set(f.loop, &f.timers[i], now + (uint64_t)(i + 1) * 15 * NS_PER_MS);
    }
    loop_timer_stop(f.loop, &f.timers[1]);
    assert_false(timer_is_set(&f.timers[1]));
    assert_int_equal(loop_run(f.loop, NULL), 0);
    assert_int_equal(f.fired[0], 1);
    assert_int_equal(f.fired[1], 0);
    assert_int_equal(f.fired[2], 1);
    assert_true(f.fired_at[0] >= now + 15 * NS_PER_MS);
    assert_true(f.fired_at[2] >= now + 45 * NS_PER_MS);
    assert_true(f.fired_at[2] > f.fired_at[0]);
}

static void an_overdue_timer_does_not_spin(void **state)
{
    (void)state;
    timer_init(&f.timers[2], on_fire);
    uint64_t before = loop_turns(f.loop);
    loop_timer_set(f.loop, &f.timers[2], 1);
    assert_int_equal(loop_run(f.loop, NULL), 0);
    assert_int_equal(f.fired[2], 1);
    assert_true(loop_turns(f.loop) - before <= 4);
}

static void moved_timer_fires_once(void **state)
{
    (void)state;
    uint64_t now = loop_refresh(f.loop);
    timer_init(&f.timers[0], on_fire);
    timer_init(&f.timers[2], on_fire);
    loop_timer_set(f.loop, &f.timers[0], now + 5 * NS_PER_MS);
    loop_timer_set(f.loop, &f.timers[0], now + 25 * NS_PER_MS);
    /* a whole turn of the wheel ahead, in an early slot: must wait its turn */
    timer_init(&f.timers[1], on_fire);
    loop_timer_set(f.loop, &f.timers[1], now + 4096 * 4 * NS_PER_MS + 8 * NS_PER_MS);
    loop_timer_set(f.loop, &f.timers[2], now + 40 * NS_PER_MS);
    assert_int_equal(loop_run(f.loop, NULL), 0);
    assert_int_equal(f.fired[0], 1);
    assert_int_equal(f.fired[1], 0);
    assert_true(f.fired_at[0] >= now + 25 * NS_PER_MS);
    loop_timer_stop(f.loop, &f.timers[1]);
}

/* The first handler of a batch ends the other one: its event, fetched already, must not arrive. */
static void on_ready_end_other(struct io *io, unsigned ready)
{
    if (!(ready & IO_READ))
        return;
    struct io *other = io == &f.io[0] ? &f.io[1] : &f.io[0];
    f.ready++;
    loop_io_stop(f.loop, other);
    memset(other, 0xAA, sizeof *other);
    loop_stop(f.loop);
}

static void stopping_another_forgets_its_event(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, f.pair[i]), 0);
        assert_int_equal(write(f.pair[i][1], "x", 1), 1);
        io_init(&f.io[i], on_ready_end_other);
        assert_int_equal(loop_io_start(f.loop, &f.io[i], f.pair[i][0], NULL), 0);
    }
    assert_int_equal(loop_run(f.loop, NULL), 0);
    assert_int_equal(f.ready, 1);
    for (int i = 0; i < 2; i++) {
        close(f.pair[i][0]);
        close(f.pair[i][1]);
    }
}

static void on_ready_close_other(struct io *io, unsigned ready)
{
    if (!(ready & IO_READ))
        return;
    struct io *other = io == &f.io[0] ? &f.io[1] : &f.io[0];
    f.ready++;
    loop_io_close(f.loop, other);
    memset(other, 0xAA, sizeof *other);
    loop_stop(f.loop);
}

/* Closing is stopping too; and whoever gets the number next is watched by itself alone. */
static void a_closed_descriptor_is_watched_no_more(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, f.pair[i]), 0);
        assert_int_equal(write(f.pair[i][1], "x", 1), 1);
        io_init(&f.io[i], on_ready_close_other);
        assert_int_equal(loop_io_start(f.loop, &f.io[i], f.pair[i][0], NULL), 0);
    }
    assert_int_equal(loop_run(f.loop, NULL), 0);
    assert_int_equal(f.ready, 1);
    struct io *open = f.io[0].fd == f.pair[0][0] ? &f.io[0] : &f.io[1];
    int closed = open == &f.io[0] ? f.pair[1][0] : f.pair[0][0];
    assert_int_equal(dup2(open->fd, closed), closed);
    struct io again;
    io_init(&again, on_ready_close_other);
    assert_int_equal(loop_io_start(f.loop, &again, closed, NULL), 0);
    loop_io_stop(f.loop, &again);
    close(closed);
    loop_io_close(f.loop, open);
    loop_io_close(f.loop, open); /* once is enough */
    assert_int_equal(open->fd, -1);
    for (int i = 0; i < 2; i++)
        close(f.pair[i][1]);
}

static void run_task(struct task *t)
{
    f.ready++;
    if (f.ready < 3)
        loop_defer(f.loop, t);
    else
        loop_stop(f.loop);
}

static void a_deferred_task_may_defer_itself(void **state)
{
    (void)state;
    task_init(&f.task, run_task);
    loop_defer(f.loop, &f.task);
    loop_defer(f.loop, &f.task);
    uint64_t before = loop_turns(f.loop);
    assert_int_equal(loop_run(f.loop, NULL), 0);
    assert_int_equal(f.ready, 3);
    assert_int_equal(loop_turns(f.loop) - before, 3);
}

static void the_loop_ends_from_outside(void **state)
{
    (void)state;
    loop_wake_and_stop(f.loop);
    assert_int_equal(loop_run(f.loop, NULL), 0);
}

static void allocation_failure_is_an_error(void **state)
{
    (void)state;
    struct loop *l = NULL;
    struct err e = {0};
    mem_fail_at(1);
    assert_int_equal(loop_new(&l, &e), -ERR_NOMEM);
    assert_true(mem_failed());
    assert_null(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(timers_fire_in_order_and_never_early, setup, teardown),
        cmocka_unit_test_setup_teardown(an_overdue_timer_does_not_spin, setup, teardown),
        cmocka_unit_test_setup_teardown(moved_timer_fires_once, setup, teardown),
        cmocka_unit_test_setup_teardown(stopping_another_forgets_its_event, setup, teardown),
        cmocka_unit_test_setup_teardown(a_closed_descriptor_is_watched_no_more, setup, teardown),
        cmocka_unit_test_setup_teardown(a_deferred_task_may_defer_itself, setup, teardown),
        cmocka_unit_test_setup_teardown(the_loop_ends_from_outside, setup, teardown),
        cmocka_unit_test_setup_teardown(allocation_failure_is_an_error, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
