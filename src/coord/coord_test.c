/* What all engines have in common, with an engine that does what the test says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>

#include "coord/engine.h"

struct by_hand {
    struct coord c;
    struct coord_request *last;
    uint32_t begun, dropped, watched, unwatched;
    bool maybe, refuse;
};

static struct fixture {
    struct loop *loop;
    struct by_hand *h;
    struct coord *c;
    uint32_t answers, told, health;
    enum coord_outcome outcome;
    int why;
    uint64_t revision;
    struct timer stop;
    void (*within)(void);
    struct coord_watch *watch;
} f;

static int begin(struct coord *c, struct coord_request *r, struct err *e)
{
    if (f.h->refuse)
        return err_set(e, ERR_NOMEM, "refused");
    f.h->last = r;
    f.h->begun++;
    return 0;
}

static bool drop(struct coord *c, struct coord_request *r)
{
    f.h->dropped++;
    return f.h->maybe;
}

static int watch(struct coord *c, struct coord_watch *w, struct err *e)
{
    if (f.h->refuse)
        return err_set(e, ERR_NOMEM, "refused");
    f.h->watched++;
    return 0;
}

static void unwatch(struct coord *c, struct coord_watch *w)
{
    f.h->unwatched++;
}

static void let_go(struct coord *c)
{
    mem_free(f.h);
    f.h = NULL;
}

static const struct coord_engine engine = {"by hand", begin, drop, watch, unwatch, let_go};

static void stop(struct timer *t)
{
    loop_stop(f.loop);
}

static int setup(void **state)
{
    memset(&f, 0, sizeof f);
    assert_int_equal(loop_new(&f.loop, NULL), 0);
    f.h = mem_zero(1, sizeof *f.h);
    f.c = &f.h->c;
    coord_init(f.c, &engine, f.loop);
    timer_init(&f.stop, stop);
    return 0;
}

static int teardown(void **state)
{
    coord_free(f.c);
    assert_null(f.h);
    loop_free(f.loop);
    return 0;
}

static void turn(uint64_t ms)
{
    loop_timer_set(f.loop, &f.stop, clock_now() + ms * NS_PER_MS);
    assert_int_equal(loop_run(f.loop, NULL), 0);
}

static void done(void *context, const struct coord_answer *a)
{
    assert_ptr_equal(context, &f);
    f.answers++;
    f.outcome = a->outcome;
    f.revision = a->revision;
    f.why = a->why ? a->why->code : 0;
    if (f.within)
        f.within();
}

static const struct coord_op one = {{"key", 3}, {"value", 5}, 0, COORD_PUT};

static int ask(int64_t ms, uint64_t *ticket)
{
    return coord_cas(f.c, &one, 1, clock_now() + (uint64_t)(ms * (int64_t)NS_PER_MS), done, &f,
                     ticket, NULL);
}

static void keys_and_values_are_copied(void **state)
{
    char key[] = "key", value[] = "value";
    struct coord_op op = {{key, 3}, {value, 5}, 7, COORD_PUT};
    assert_int_equal(coord_cas(f.c, &op, 1, clock_now() + NS_PER_S, done, &f, NULL, NULL), 0);
    memset(key, 0, sizeof key);
    memset(value, 0, sizeof value);
    const struct coord_op *is = &f.h->last->ops[0];
    assert_true(str_eq(is->key, STR("key")) && str_eq(is->value, STR("value")));
    assert_int_equal(is->expected, 7);
    coord_answer(f.h->last, &(struct coord_answer){COORD_DONE, .revision = 9});
    assert_int_equal(f.answers, 1);
    assert_int_equal(f.revision, 9);
    struct coord_health h;
    coord_health(f.c, &h);
    assert_true(h.reachable && h.done == 1 && h.revision == 9 && h.last_ns > 0);
}

static void a_deadline_answers_what_the_engine_did_not(void **state)
{
    f.h->maybe = true;
    assert_int_equal(ask(10, NULL), 0);
    turn(30);
    assert_int_equal(f.answers, 1);
    assert_int_equal(f.outcome, COORD_UNKNOWN);
    assert_int_equal(f.why, -ERR_TIMEOUT);
    f.h->maybe = false;
    assert_int_equal(ask(10, NULL), 0);
    turn(30);
    assert_int_equal(f.outcome, COORD_FAILED);
    f.h->maybe = true; /* of a range nothing is unknown */
    assert_int_equal(coord_range(f.c, STR("k"), clock_now() + 10 * NS_PER_MS, done, &f, NULL, NULL),
                     0);
    turn(30);
    assert_int_equal(f.outcome, COORD_FAILED);
    assert_int_equal(f.answers, 3);
    assert_int_equal(f.h->dropped, 3);
}

static void what_comes_too_late_is_not_begun(void **state)
{
    assert_int_equal(ask(-10, NULL), 0);
    assert_int_equal(f.answers, 0); /* never from within */
    turn(20);
    assert_int_equal(f.answers, 1);
    assert_int_equal(f.outcome, COORD_FAILED);
    assert_int_equal(f.h->begun, 0);
    assert_int_equal(f.h->dropped, 0);
}

static void ask_late_again(void)
{
    if (f.answers < 5)
        assert_int_equal(ask(-1, NULL), 0);
}

static void asking_late_in_an_answer_does_not_spin(void **state)
{
    f.within = ask_late_again;
    assert_int_equal(ask(-1, NULL), 0);
    turn(100);
    assert_int_equal(f.answers, 5);
}

static void what_is_taken_back_is_never_answered(void **state)
{
    uint64_t ticket = 0, other = 0;
    assert_int_equal(ask(10, &ticket), 0);
    assert_int_equal(ask(10, &other), 0);
    assert_true(ticket && other && ticket != other);
    coord_cancel(f.c, ticket);
    coord_cancel(f.c, ticket);
    coord_cancel(f.c, 99);
    turn(30);
    assert_int_equal(f.answers, 1);
    assert_int_equal(f.h->dropped, 2);
}

static void requests_under_way_are_bounded(void **state)
{
    for (uint32_t i = 0; i < COORD_PENDING; i++)
        assert_int_equal(ask(1000, NULL), 0);
    assert_int_equal(ask(1000, NULL), -ERR_BUSY);
    assert_int_equal(coord_range(f.c, STR(""), 1, done, &f, NULL, NULL), -ERR_BUSY);
    coord_answer(f.h->last, &(struct coord_answer){COORD_CONFLICT});
    assert_int_equal(ask(1000, NULL), 0);
}

static void what_the_engine_refuses_leaves_nothing(void **state)
{
    struct coord_watch *w = NULL;
    f.h->refuse = true;
    assert_int_equal(ask(1, NULL), -ERR_NOMEM);
    assert_int_equal(coord_watch(f.c, STR(""), &(struct coord_watcher){0}, &w, NULL), -ERR_NOMEM);
    assert_null(w);
    turn(20);
    assert_int_equal(f.answers, 0);
    assert_int_equal(f.c->pending, 0);
    assert_int_equal(f.c->watching, 0);
    mem_fail_at(1);
    assert_int_equal(ask(1, NULL), -ERR_NOMEM);
    mem_fail_at(1);
    assert_int_equal(coord_range(f.c, STR(""), 1, done, &f, NULL, NULL), -ERR_NOMEM);
    mem_fail_at(1);
    assert_int_equal(coord_watch(f.c, STR(""), &(struct coord_watcher){0}, &w, NULL), -ERR_NOMEM);
    mem_fail_at(0);
}

static void changed(void *context, const struct coord_item *items, uint32_t n, uint64_t revision,
                    bool whole)
{
    f.told++;
    f.revision = revision;
    if (f.within)
        f.within();
}

static void end_it(void)
{
    coord_unwatch(f.watch);
}

static void a_watch_hears_the_whole_then_only_what_is_new(void **state)
{
    const struct coord_watcher watcher = {&f, changed};
    struct coord_item item = {STR("k"), STR("v"), 5, false};
    assert_int_equal(coord_watch(f.c, STR("k"), &watcher, &f.watch, NULL), 0);
    assert_false(coord_tell(f.watch, &item, 1, 5, false)); /* the whole first */
    assert_true(coord_tell(f.watch, NULL, 0, 4, true));
    assert_false(coord_tell(f.watch, &item, 1, 4, false));
    assert_true(coord_tell(f.watch, &item, 1, 5, false));
    assert_false(coord_tell(f.watch, &item, 1, 4, true)); /* nor is the whole of the past told */
    assert_int_equal(f.told, 2);
    assert_true(coord_tell(f.watch, NULL, 0, 6, false)); /* nothing of it: nobody is called */
    assert_int_equal(f.told, 2);
    f.within = end_it;
    assert_true(coord_tell(f.watch, &item, 1, 7, false));
    assert_true(coord_tell(f.watch, &item, 1, 8, false));
    assert_int_equal(f.told, 3);
    assert_int_equal(f.h->unwatched, 1);
    turn(5);
    assert_true(list_empty(&f.c->watches));
    struct coord_health h;
    coord_health(f.c, &h);
    assert_int_equal(h.watched, 2);
    assert_int_equal(h.revision, 7);
}

static void watches_are_bounded(void **state)
{
    const struct coord_watcher watcher = {&f, changed};
    struct coord_watch *w, *last = NULL;
    for (uint32_t i = 0; i < COORD_WATCHES; i++)
        assert_int_equal(coord_watch(f.c, STR(""), &watcher, &last, NULL), 0);
    assert_int_equal(coord_watch(f.c, STR(""), &watcher, &w, NULL), -ERR_BUSY);
    coord_unwatch(last);
    assert_int_equal(coord_watch(f.c, STR(""), &watcher, &w, NULL), 0);
    coord_unwatch(NULL);
}

static void on_health(void *context)
{
    f.health++;
}

static void health_is_told_when_it_changes(void **state)
{
    struct err why;
    struct coord_health h;
    coord_on_health(f.c, on_health, &f);
    err_set(&why, ERR_IO, "the cable is out");
    coord_reached(f.c);
    coord_reached(f.c);
    assert_int_equal(f.health, 0); /* never from within */
    turn(5);
    assert_int_equal(f.health, 1);
    coord_lost(f.c, &why);
    turn(5);
    assert_int_equal(f.health, 2);
    coord_health(f.c, &h);
    assert_false(h.reachable);
    assert_string_equal(h.problem, "the cable is out");
    assert_string_equal(h.engine, "by hand");
    coord_reached(f.c);
    coord_lost(f.c, &why); /* as before, at the end of the turn */
    turn(5);
    assert_int_equal(f.health, 2);
}

static void silence_is_not_health(void **state)
{
    struct coord_health h;
    coord_on_health(f.c, on_health, &f);
    coord_reached(f.c);
    f.h->maybe = true;
    assert_int_equal(ask(50, NULL), 0);
    turn(1000);
    coord_health(f.c, &h);
    assert_true(h.reachable); /* an impatient question proves nothing */
    turn(2100);
    coord_health(f.c, &h);
    assert_false(h.reachable);
    assert_string_equal(h.problem, "no answer for 3 s");
    assert_int_equal(h.unknown, 1);
    assert_int_equal(f.health, 2);
}

int main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(keys_and_values_are_copied),
        T(a_deadline_answers_what_the_engine_did_not),
        T(what_comes_too_late_is_not_begun),
        T(asking_late_in_an_answer_does_not_spin),
        T(what_is_taken_back_is_never_answered),
        T(requests_under_way_are_bounded),
        T(what_the_engine_refuses_leaves_nothing),
        T(a_watch_hears_the_whole_then_only_what_is_new),
        T(watches_are_bounded),
        T(health_is_told_when_it_changes),
        T(silence_is_not_health),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
