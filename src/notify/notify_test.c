/* What is told, held, shed, tried again and given up; and that it stays bounded and in order
 * whatever comes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <stdio.h>

#include <cmocka.h>

#include "notify/notify.h"

#define START (1000 * NOTIFY_SECOND)
enum { INFO, WARNING, ERROR };

static struct notify *fresh(uint64_t repeat)
{
    struct notify_policy p = {
        .levels = 1 << WARNING | 1 << ERROR, .critical = ERROR, .repeat = repeat};
    struct notify *n = NULL;
    assert_int_equal(notify_new(&n, &p, 1, NULL), 0);
    return n;
}

static struct notify_event event(uint64_t seq, uint8_t level, const char *subject)
{
    struct notify_event ev = {.seq = seq, .level = level, .code = 7};
    str_copy(ev.subject, sizeof ev.subject, str_of(subject));
    return ev;
}

static bool offer(struct notify *n, uint64_t seq, uint8_t level, const char *subject, uint64_t at)
{
    struct notify_event ev = event(seq, level, subject);
    return notify_offer(n, &ev, at);
}

/* Sends what is next; its number, 0: nothing. */
static uint64_t sent(struct notify *n, uint64_t at, uint32_t *repeats)
{
    const struct notify_item *i = notify_next(n, at);
    uint64_t seq = i ? i->ev.seq : 0;
    if (i && repeats)
        *repeats = i->repeats;
    if (i)
        notify_done(n, NOTIFY_SENT, at);
    return seq;
}

static void test_selected_in_order(void **state)
{
    struct notify *n = fresh(0);
    assert_true(offer(n, 1, WARNING, "a", START));
    assert_false(offer(n, 2, INFO, "a", START));
    assert_true(offer(n, 3, ERROR, "b", START));
    struct notify_policy p = {.critical = ERROR, .codes = {1 << 7}};
    notify_set_policy(n, &p);
    assert_true(offer(n, 4, INFO, "a", START));
    assert_non_null(notify_next(n, START));
    assert_null(notify_next(n, START)); /* one at a time */
    notify_done(n, NOTIFY_SENT, START);
    assert_int_equal(sent(n, START, NULL), 3);
    assert_int_equal(sent(n, START, NULL), 4);
    assert_int_equal(sent(n, START, NULL), 0);
    assert_true(notify_deadline(n) == UINT64_MAX);
    notify_free(n);
}

static void test_the_same_once_in_its_time(void **state)
{
    struct notify *n = fresh(60 * NOTIFY_SECOND);
    uint32_t repeats = 9;
    for (uint64_t i = 1; i <= 5; i++)
        assert_true(offer(n, i, WARNING, "a", START + i));
    assert_int_equal(sent(n, START + 5, &repeats), 1);
    assert_int_equal(repeats, 0);
    assert_int_equal(sent(n, START + 6, NULL), 0);
    assert_true(notify_deadline(n) == START + 1 + 60 * NOTIFY_SECOND);
    assert_int_equal(sent(n, notify_deadline(n), &repeats), 5);
    assert_int_equal(repeats, 4);
    assert_true(offer(n, 6, ERROR, "a", START + 7)); /* another level is another event */
    assert_int_equal(sent(n, START + 7, NULL), 6);
    notify_free(n);
}

static void test_the_end_of_what_was_told(void **state)
{
    struct notify *n = fresh(60 * NOTIFY_SECOND);
    struct notify_event ev = event(1, WARNING, "a"), end = event(2, INFO, "a");
    ev.trouble = end.trouble = 3;
    end.over = true;
    assert_false(notify_offer(n, &end, START)); /* of nothing */
    assert_true(notify_offer(n, &ev, START));
    assert_int_equal(sent(n, START, NULL), 1);
    assert_true(notify_offer(n, &end, START + 1));
    assert_true(notify_at(n, 0)->resolved);
    assert_false(notify_offer(n, &end, START + 2));
    notify_free(n);
}

static void test_tried_again_later_and_later(void **state)
{
    struct notify *n = fresh(0);
    uint64_t now = START, dropped, before = 0;
    offer(n, 1, WARNING, "a", now);
    for (int i = 0; i < 12; i++) {
        const struct notify_item *item = notify_next(n, now);
        assert_non_null(item);
        assert_int_equal(item->ev.seq, 1);
        notify_done(n, NOTIFY_FAILED, now);
        uint64_t wait = notify_deadline(n) - now, most = NOTIFY_SECOND << MIN(i, 20);
        assert_in_range(wait, MIN(most, NOTIFY_WAIT_MOST) / 2, MIN(most, NOTIFY_WAIT_MOST));
        assert_true(2 * wait >= before || wait >= NOTIFY_WAIT_MOST / 2);
        assert_null(notify_next(n, notify_deadline(n) - 1));
        assert_int_equal(notify_news(n, &dropped), i == 2 ? NOTIFY_FAILS : NOTIFY_NO_NEWS);
        before = wait;
        now = notify_deadline(n);
    }
    assert_int_equal(sent(n, now, NULL), 1);
    assert_int_equal(notify_news(n, &dropped), NOTIFY_WORKS);
    assert_int_equal(notify_counts(n).failed, 12);
    notify_free(n);
}

static void test_given_up(void **state)
{
    struct notify *n = fresh(0);
    uint64_t dropped;
    offer(n, 1, ERROR, "a", START);
    offer(n, 2, ERROR, "b", START + NOTIFY_SECOND);
    assert_non_null(notify_next(n, START + NOTIFY_SECOND));
    notify_done(n, NOTIFY_FAILED, START + NOTIFY_SECOND);
    assert_int_equal(sent(n, START + NOTIFY_GIVE_UP, NULL), 2);
    assert_int_equal(notify_news(n, &dropped), NOTIFY_DROPS);
    assert_int_equal(notify_news(n, &dropped), NOTIFY_DROPPED);
    assert_int_equal(dropped, 1);
    offer(n, 3, ERROR, "c", START);
    assert_non_null(notify_next(n, START));
    notify_done(n, NOTIFY_REFUSED, START);
    assert_int_equal(notify_waiting(n), 0);
    assert_int_equal(notify_counts(n).given_up, 2);
    notify_free(n);
}

static void test_a_storm_stays_bounded(void **state)
{
    struct notify *n = fresh(60 * NOTIFY_SECOND);
    uint64_t dropped;
    char subject[32];
    offer(n, 1, ERROR, "first", START);
    assert_non_null(notify_next(n, START)); /* under way: stays */
    for (uint64_t i = 2; i <= 10001; i++) {
        snprintf(subject, sizeof subject, "s%llu", (unsigned long long)i);
        offer(n, i, i == 5000 ? ERROR : WARNING, subject, START + i);
        assert_in_range(notify_waiting(n), 1, NOTIFY_QUEUE);
    }
    assert_int_equal(notify_counts(n).shed, 10001 - NOTIFY_QUEUE);
    assert_int_equal(notify_news(n, &dropped), NOTIFY_DROPS);
    assert_int_equal(notify_news(n, &dropped), NOTIFY_NO_NEWS);
    assert_int_equal(notify_at(n, 0)->ev.seq, 1);
    assert_int_equal(notify_at(n, 1)->ev.seq, 5000); /* what is worst stays */
    assert_int_equal(notify_at(n, NOTIFY_QUEUE - 1)->ev.seq, 10001);
    notify_done(n, NOTIFY_SENT, START);
    while (sent(n, START + NOTIFY_SECOND, NULL)) {
    }
    assert_int_equal(notify_news(n, &dropped), NOTIFY_DROPPED);
    assert_int_equal(dropped, 10001 - NOTIFY_QUEUE);
    notify_free(n);
}

/* Whatever comes: of each subject numbers rise, nothing is told twice, all that was taken is
 * accounted for. */
static void run(uint64_t seed)
{
    struct prng r;
    struct notify *n = fresh(0);
    uint64_t now = START, last[4] = {0}, taken = 0, told = 0;
    prng_seed(&r, seed);
    for (uint64_t i = 1; i < 4000; i++) {
        char subject[2] = {(char)('a' + prng_below(&r, 4)), 0};
        now += prng_below(&r, NOTIFY_SECOND);
        taken += offer(n, i, (uint8_t)prng_below(&r, 3), subject, now);
        const struct notify_item *item = prng_below(&r, 4) ? NULL : notify_next(n, now);
        if (!item)
            continue;
        assert_true(item->ev.seq > last[item->ev.subject[0] - 'a']);
        bool ok = prng_below(&r, 5) != 0;
        if (ok)
            last[item->ev.subject[0] - 'a'] = item->ev.seq;
        told += ok;
        notify_done(n, ok ? NOTIFY_SENT : NOTIFY_FAILED, now);
    }
    struct notify_counts k = notify_counts(n);
    assert_int_equal(k.sent, told);
    assert_int_equal(taken, told + k.shed + k.given_up + notify_waiting(n));
    notify_free(n);
}

static void test_any_history(void **state)
{
    for (uint64_t seed = 1; seed <= 50; seed++)
        run(seed);
}

static void test_no_memory(void **state)
{
    struct notify_policy p = {0};
    struct notify *n = NULL;
    struct err e = {0};
    mem_fail_at(1);
    assert_int_equal(notify_new(&n, &p, 1, &e), -ERR_NOMEM);
    mem_fail_at(0);
    assert_null(n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_selected_in_order),
        cmocka_unit_test(test_the_same_once_in_its_time),
        cmocka_unit_test(test_the_end_of_what_was_told),
        cmocka_unit_test(test_tried_again_later_and_later),
        cmocka_unit_test(test_given_up),
        cmocka_unit_test(test_a_storm_stays_bounded),
        cmocka_unit_test(test_any_history),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
